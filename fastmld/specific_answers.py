"""Answers to Queries for one address, with sources or without (RFC 9777 section 6.2, rules 3 to 5, and 6.3).

A row's timer is that of its answer, and its deadline only ever goes down.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastmld._native import lib, pin
from fastmld.constants import MODE_IS_EXCLUDE, MODE_IS_INCLUDE
from fastmld.filters import Filters
from fastmld.groups import NO_DEADLINE, GroupTable, Rows
from fastmld.interface import Interface
from fastmld.listener_v1 import State, move
from fastmld.listener_v2 import asked_for
from fastmld.recorded import Recorded
from fastmld.reportable import Reportable
from fastmld.reports_v2 import Named
from fastmld.speaker import Speaker

_ASKED = move(State.DELAYING, lib.FASTMLD_TIMER_SET)
_RESTING = move(State.IDLE, lib.FASTMLD_TIMER_STOP)
_IS_EXCLUDE = np.array([MODE_IS_EXCLUDE], np.uint8)


class SpecificAnswers:
    """What rows of interfaces in MLDv2 mode were asked for."""

    def __init__(
        self, seed: int, table: GroupTable, filters: Filters, reportable: Reportable, speaker: Speaker
    ) -> None:
        self._seed = seed
        self._table = table
        self._filters = filters
        self._reportable = reportable
        self._speaker = speaker
        self._recorded = Recorded(table, filters)
        self.latest_ms = -NO_DEADLINE  # no timer of a row ends later

    def hear(self, queries: npt.NDArray[np.void], buffer: npt.NDArray[np.uint8], now_ms: int) -> None:
        """(N,) of csrc/fastmld.h's fastmld_query2, whose sources lie in the buffer."""
        table = self._table
        rows, delays_ms = self._recorded.ask(queries, buffer, self._reportable.which)
        if not len(rows):
            return
        deadlines_ms = np.empty(len(rows), np.int64)
        lib.fastmld_draw(
            table.c, self._seed, pin("uint32_t[]", rows), len(rows), now_ms, pin("int32_t[]", delays_ms),
            pin("int64_t[]", deadlines_ms),
        )  # fmt: skip
        sooner = deadlines_ms < table.deadline_ms[rows]
        self.set(rows[sooner], deadlines_ms[sooner])

    def set(self, rows: Rows, deadlines_ms: npt.NDArray[np.int64]) -> None:
        """These rows answer then."""
        self._table.write(rows, _ASKED, deadlines_ms)
        self.latest_ms = max(self.latest_ms, int(deadlines_ms.max(initial=-NO_DEADLINE)))

    def say(self, interface: Interface, rows: Rows, at_ms: int, now_ms: int) -> None:
        """Rows whose timers ended, in order: all of their state, or the sources that were asked for."""
        special = self._reportable.states(rows)
        positions = self._recorded.positions(rows)
        named = None
        if len(positions):
            counts, sources = self._recorded.of(rows[positions])
            named = Named(positions, MODE_IS_INCLUDE, counts, sources)
            if special:
                named, some = named.without(special)
                for position, asked in some:
                    special[position] = asked_for(self._filters.of(int(rows[position])), asked)
        self._speaker.say(interface, rows, _IS_EXCLUDE, list(special.items()), at_ms, now_ms, named)
        self.stop(rows)

    def stop(self, rows: Rows) -> None:
        """End the timers of rows that are listened to: they were answered for, or are not to be."""
        self._table.write(rows, _RESTING)
        self._recorded.forget(rows)
        self._reportable.end(rows)

    def forget(self, rows: Rows) -> None:
        """These rows are left."""
        self._recorded.forget(rows)

    def renumber(self, moved: npt.NDArray[np.uint32]) -> None:
        """The table was compacted."""
        self._recorded.renumber(moved)
