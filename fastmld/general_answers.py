"""Answers to General Queries: all that can be reported, a Report's worth at a time, over what is left of the window.

RFC 9777 section 6.3 has such Reports spread over the Maximum Response Delay; docs/mldv2.md D8 says how.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastmld._native import NO_ROW
from fastmld.constants import MODE_IS_EXCLUDE
from fastmld.groups import GroupTable, Rows
from fastmld.hosts import Hosts
from fastmld.interface import Interface
from fastmld.listener_v1 import State
from fastmld.reportable import Reportable
from fastmld.reports_v2 import Reports, most_records
from fastmld.speaker import Speaker
from fastmld.specific_answers import SpecificAnswers

_IS_EXCLUDE = np.array([MODE_IS_EXCLUDE], np.uint8)
_AT_ONCE = 4096  # Reports that are looked at together


@dataclass(slots=True)
class Answer:
    """An answer under way: what could be reported when it began."""

    rows: Rows  # in the order in which they leave
    gone: npt.NDArray[np.bool_] | None  # rows that were left, after renumbering
    size: int  # rows a Report
    begin: int  # the row that it began with
    begin_ms: int
    window_ms: int
    sent: int = 0  # Reports

    @property
    def reports(self) -> int:
        """How many it has."""
        return -(-len(self.rows) // self.size)

    def times_ms(self, first: int, end: int) -> npt.NDArray[np.int64]:
        """When these of its Reports leave."""
        return self.begin_ms + np.arange(first, end, dtype=np.int64) * self.window_ms // self.reports

    @property
    def next_ms(self) -> int:
        """When the next leaves."""
        return self.begin_ms + self.sent * self.window_ms // self.reports

    @property
    def next_row(self) -> int:
        """What the next begins with."""
        return int(self.rows[self.sent * self.size])


class GeneralAnswers:
    """The answer of every interface in MLDv2 mode."""

    def __init__(
        self, table: GroupTable, hosts: Hosts, reportable: Reportable, speaker: Speaker, specific: SpecificAnswers
    ) -> None:
        self._table = table
        self._hosts = hosts
        self._reportable = reportable
        self._speaker = speaker
        self._specific = specific
        self._running: dict[int, Answer] = {}
        self._begin: dict[int, int] = {}  # the row that the next answer of an interface begins with

    def next_ms(self, interface: int) -> int:
        """When an answer begins or goes on; NONE."""
        answer = self._running.get(interface)
        pending_ms = int(self._hosts.pending_ms[interface])
        return pending_ms if answer is None else min(pending_ms, answer.next_ms)

    def stop(self, interface: int) -> None:
        """No answer is pending or under way any more."""
        self._hosts.stop(interface)
        self._running.pop(interface, None)
        self._begin.pop(interface, None)

    def begin(self, interface: Interface, at_ms: int) -> None:
        """If it is time, the pending answer begins, with the rows that the one before it has not come to."""
        index = interface.index
        if self._hosts.pending_ms[index] > at_ms:
            return
        before = self._running.pop(index, None)
        begin = self._begin.pop(index, 0) if before is None else before.next_row
        self._begin.pop(index, None)
        rows = self._reportable.rows_of(interface)
        end_ms = self._hosts.begin(index)
        if not len(rows):
            self._hosts.end(index, at_ms)
            return
        rows = np.roll(rows, -int(np.searchsorted(rows, begin)))
        self._running[index] = Answer(rows, None, most_records(interface.mtu), begin, at_ms, max(0, end_ms - at_ms))

    def go_on(self, interface: Interface, at_ms: int, until_ms: int, now_ms: int) -> None:
        """The Reports that are due at at_ms, and those that are by until_ms. Tokens are those of now_ms."""
        index = interface.index
        answer = self._running.get(index)
        if answer is None or answer.next_ms > at_ms:
            return
        until_ms = max(at_ms, min(until_ms, int(self._hosts.pending_ms[index]) - 1))
        last_ms = at_ms
        while answer.sent < answer.reports and index not in self._speaker:
            first = answer.sent
            times_ms = np.maximum(answer.times_ms(first, min(answer.reports, first + _AT_ONCE)), at_ms)
            times_ms = times_ms[: np.searchsorted(times_ms, until_ms, side="right")]
            if not len(times_ms):
                break
            self._say(interface, answer, first, times_ms, now_ms)
            answer.sent += len(times_ms)
            last_ms = int(times_ms[-1])
        if answer.sent == answer.reports:
            del self._running[index]
            if self._hosts.end(index, last_ms):
                self._begin[index] = answer.begin

    def _say(
        self, interface: Interface, answer: Answer, first: int, times_ms: npt.NDArray[np.int64], now_ms: int
    ) -> None:
        """Reports of an answer from the first on, one for each of times_ms: of what can still be reported."""
        table, size = self._table, answer.size
        part = slice(first * size, (first + len(times_ms)) * size)
        rows = answer.rows[part]
        kept = self._reportable.which(rows)
        if answer.gone is not None:
            kept &= ~answer.gone[part]
        if self._reportable.states(rows) or most_records(interface.mtu) < size:
            for n, time_ms in enumerate(times_ms.tolist()):
                chunk = slice(n * size, (n + 1) * size)
                here = rows[chunk][kept[chunk]]
                special = list(self._reportable.states(here).items())
                self._speaker.say(interface, here, _IS_EXCLUDE, special, time_ms, now_ms)
        else:
            edges = np.append(np.arange(0, len(rows), size), len(rows))
            if not kept.all():
                edges = np.append(0, np.cumsum(kept))[edges]
            full = np.flatnonzero(np.diff(edges))
            edges = np.append(edges[full], edges[-1]).astype(np.uint32)
            if len(full):
                template = self._speaker.template(interface)
                reports = Reports(rows[kept], _IS_EXCLUDE, edges, times_ms[full], template)
                self._speaker.put(interface, reports, now_ms)
        said = rows[kept]
        self._specific.stop(said[table.state[said] == State.DELAYING])

    def reindex(self, now_ms: int) -> None:
        """Something went wrong on the way: an answer that does not run is over."""
        for index in np.flatnonzero(self._hosts.window_ms >= 0).tolist():
            if index not in self._running:
                self._hosts.end(index, now_ms)

    def renumber(self, moved: npt.NDArray[np.uint32]) -> None:
        """The table was compacted."""
        kept = np.flatnonzero(moved != NO_ROW)
        self._begin = {index: int(np.searchsorted(kept, row)) for index, row in self._begin.items()}
        for answer in self._running.values():
            gone = moved[answer.rows] == NO_ROW
            answer.gone = gone if answer.gone is None else gone | answer.gone
            answer.rows = np.searchsorted(kept, answer.rows).astype(np.uint32)
            answer.begin = int(np.searchsorted(kept, answer.begin))
