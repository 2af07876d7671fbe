"""`fastmld demo`: 10,000 groups, a querier that is not ours, in both versions, and a flood; all in half a minute."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from fastmld.cli.console import console
from fastmld.cli.errors import CommandError
from fastmld.cli.far_end import flood_of_queries
from fastmld.cli.namespace import Refused, enter
from fastmld.cli.stage import BridgeStage, MemoryStage, Stage
from fastmld.cli.table import LiveTable
from fastmld.cli.watch import Snapshot
from fastmld.runtime import monotonic_ms

if TYPE_CHECKING:
    from rich.live import Live

FIRST: Final = "ff05::1:0"
GROUPS: Final = 10_000
_BARS: Final = 10
_WIDEST: Final = 50  # characters
_ALL_OF_IT_MS: Final = 24_000  # whatever happens; the rest of half a minute is for starting and ending
_JOINS_WITHIN_MS: Final = 5_000
_ASKED_WITHIN_MS: Final = 5_000
_GRACE_MS: Final = 1_000  # after the window, for what a busy machine holds up
_BACK_WITHIN_MS: Final = 12_000
_SAID_WITHIN_MS: Final = 1_500  # the listener says how it stands each second
_FLOOD_MS: Final = 4_000
_LAST_WORDS_S: Final = 0.1  # until what was said at the end has come to the far end
_DRAW_EVERY_MS: Final = 250


def demo() -> None:
    """See it work, without arguments and without root: takes some 20 seconds.

    In a network namespace of its own a Linux bridge asks, and `fastmld run` answers for 10,000 groups at the other end
    of a veth pair: in MLDv2, in MLDv1 when the bridge turns to that, and in MLDv2 again; then a flood of Queries goes
    through it. Where namespaces are refused, the wire is one in memory. Exit status 0 only when every group was
    answered for, each time in the version that was due, as seen at the far end of the wire.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with closing(_stage()) as stage:
            failure = _Play(stage).play()
    except KeyboardInterrupt:
        raise CommandError("interrupted", 1) from None
    if failure:
        raise CommandError(failure, 1)


def _stage() -> Stage:
    groups = f"{FIRST}+{GROUPS}"
    try:
        enter()
        return BridgeStage(groups)
    except Refused as refused:
        return MemoryStage(groups, str(refused))


@dataclass
class _Flood:
    sent: int = 0
    heard: int = 0
    seconds: float = 0
    answered: int = 0


@dataclass
class _Answer:
    """What the far end saw of the answer to one of the querier's Queries, and what the querier's table had then."""

    at_ms: int
    version: int  # of the Query
    window_ms: int
    delays_ms: npt.NDArray[np.int64]
    reports: dict[int, int]  # by their version
    table: dict[str, int] | None = None  # how many groups, by filter mode

    @property
    def groups(self) -> int:
        return int(np.count_nonzero(self.delays_ms >= 0))

    def is_whole_in(self, version: int) -> bool:
        """Whether every group was answered for, in this version alone."""
        return self.groups == GROUPS and self.reports.keys() == {version}

    @property
    def within_ms(self) -> tuple[int, int] | None:
        """When the first group and the last one was answered for."""
        delays_ms = self.delays_ms[self.delays_ms >= 0]
        return (int(delays_ms.min()), int(delays_ms.max())) if len(delays_ms) else None


class _Play:
    """One performance, scene by scene."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._far = stage, stage.far
        self._answers: list[_Answer] = []
        self._modes: list[tuple[int, str]] = []  # of the listener, and when it first said so
        self._flood = _Flood()
        self._failures: list[str] = []
        self._live: Live | None = None
        self._table, self._next_draw_ms = LiveTable(), 0
        self._begin_ms = monotonic_ms()
        self._end_ms = self._begin_ms + _ALL_OF_IT_MS

    def play(self) -> str | None:
        """All of it, with the summary; what failed, or None."""
        from rich.live import Live

        screen = Live(console=console(), auto_refresh=False, transient=True) if sys.stdout.isatty() else nullcontext()
        with screen as self._live:
            self._join()
            self._stage.start_asking()
            self._question("the MLDv2 Query", 2)
            self._stage.speak(1)
            self._question("the MLDv1 Query", 1)
            self._stage.speak(2)
            self._come_back()
            self._be_flooded()
            self._question("the Query after the flood", 2)
            before = self._stage.seen()
            self._stage.stop()
            time.sleep(_LAST_WORDS_S)
            self._far.listen(monotonic_ms())
        after = self._stage.seen()
        if before is None or after is None:
            return "the listener said nothing"
        self._judge("taken back", int(np.count_nonzero(self._far.left)))
        self._print_summary(before, after)
        return "; ".join(self._failures) or None

    # Scenes

    def _join(self) -> None:
        """The listener joins, and says so."""
        self._watch("joining", _JOINS_WITHIN_MS, lambda: self._far.answered == GROUPS)
        self._judge("joined", self._far.answered)

    def _question(self, name: str, version: int) -> None:
        """The querier asks, each group has its Maximum Response Delay to answer, and the querier learns of all."""
        answer = self._asked(name, version)
        if answer is None:
            return
        if not answer.is_whole_in(version):
            spoken = ", ".join(f"{n:,} of MLDv{spoken}" for spoken, n in answer.reports.items()) or "none"
            self._failures.append(f"{answer.groups:,} of {GROUPS:,} groups answered {name}, in these Reports: {spoken}")
        self._look_it_up(answer)

    def _come_back(self) -> None:
        """The querier asks in MLDv2 again; the listener does not believe it at once (RFC 9777 section 8.2.1)."""
        end_ms = monotonic_ms() + _BACK_WITHIN_MS
        while monotonic_ms() < end_ms:
            answer = self._asked("an MLDv2 Query", 2)
            if answer is None:
                return
            if answer.is_whole_in(2):
                self._look_it_up(answer)
                self._watch("back in MLDv2", _SAID_WITHIN_MS, lambda: len(self._modes) == 3)
                spoken = [mode for _, mode in self._modes]
                if spoken != ["mldv2", "mldv1", "mldv2"]:
                    self._failures.append(f"the listener said that it spoke {', '.join(spoken)}")
                return
        self._failures.append("no MLDv2 Query was answered in MLDv2 again")

    def _asked(self, name: str, version: int) -> _Answer | None:
        """A Query of this version, and its answer until it is whole or late; None: there was no such Query."""
        if not self._watch(f"waiting for {name}", _ASKED_WITHIN_MS, lambda: self._stage.asked() == version):
            self._failures.append(f"{name} did not come")
            return None
        far, asked_ms = self._far, monotonic_ms()
        self._watch(name, far.window_ms + _GRACE_MS, lambda: far.answered == GROUPS)
        answer = _Answer(asked_ms - self._begin_ms, version, far.window_ms, far.delays_ms, dict(far.reports_since))
        self._answers.append(answer)
        return answer

    def _look_it_up(self, answer: _Answer) -> None:
        """How many of the groups the querier's own table has, and in which filter mode."""
        table = self._stage.table()
        if table is None:
            return
        first = int(IPv6Address(FIRST))
        modes = Counter(mode for group, mode in table.items() if first <= int(group) < first + GROUPS)
        answer.table = dict(modes)
        wanted = "" if answer.version == 1 else "exclude"
        if modes[wanted] < GROUPS:
            self._failures.append(
                f"the bridge's table has {modes[wanted]:,} of {GROUPS:,} groups as MLDv{answer.version}"
            )

    def _be_flooded(self) -> None:
        """Queries of many routers, each with a delay of its own, as fast as they go."""
        queries = flood_of_queries()
        heard, start_ms = self._heard(), monotonic_ms()
        self._far.asked(start_ms, _FLOOD_MS)

        def is_over() -> bool:
            now_ms = monotonic_ms()
            if now_ms >= start_ms + _FLOOD_MS:
                return True
            self._far.flood(now_ms, queries)
            return False

        self._watch("a flood of Queries", 2 * _FLOOD_MS, is_over, pause_ms=0)
        self._flood = _Flood(self._far.flooded, heard, (monotonic_ms() - start_ms) / 1000, self._far.answered)
        self._judge("answered in the flood", self._far.answered)

    def _watch(self, scene: str, at_most_ms: int, is_over: Callable[[], bool], pause_ms: int = 50) -> bool:
        """Let the stage work until something is over; whether it was, in time."""
        end_ms = min(monotonic_ms() + at_most_ms, self._end_ms)
        while (now_ms := monotonic_ms()) < end_ms:
            self._far.listen(now_ms)
            self._note_mode(now_ms)
            if is_over():
                return True
            if self._live is not None and now_ms >= self._next_draw_ms:
                self._next_draw_ms = now_ms + _DRAW_EVERY_MS
                self._draw(self._live, scene)
            self._stage.wait(pause_ms)
        return False

    def _draw(self, live: Live, scene: str) -> None:
        from rich.console import Group

        seen = self._stage.seen()
        table = [] if seen is None else [self._table.draw(seen)]
        live.update(Group(*table, f"{scene}: {self._far.answered:,} of {GROUPS:,} groups seen since"), refresh=True)

    def _note_mode(self, now_ms: int) -> None:
        seen = self._stage.seen()
        if seen is None:
            return
        mode = seen["interfaces"][0]["mode"]
        if not self._modes or mode != self._modes[-1][1]:
            self._modes.append((now_ms - self._begin_ms, mode))

    def _judge(self, what: str, groups: int) -> None:
        if groups < GROUPS:
            self._failures.append(f"{groups:,} of {GROUPS:,} groups {what}")

    def _heard(self) -> int:
        seen = self._stage.seen()
        return 0 if seen is None else int(seen["interfaces"][0]["received"]["general_query"])

    # The summary

    def _print_summary(self, before: Snapshot, after: Snapshot) -> None:
        """before, after: the groups were left. The bridge asks for each of those: that is no part of the picture."""
        interface, sent, flood = before["interfaces"][0], after["interfaces"][0]["transmitted"], self._flood
        heard = interface["received"]["general_query"]
        held = min(heard - flood.heard, flood.sent)  # the querier went on asking meanwhile
        invalid = interface["dropped"]
        seconds = max(flood.seconds, 0.001)
        seen = self._far.reports
        lines = [
            self._stage.description,
            f"groups      {GROUPS:,}, from {FIRST} on",
            f"Queries     {heard:,} heard",
            *_answers(self._answers),
            "the mode    "
            + ", ".join(f"{mode} from {at_ms / 1000:.1f} s on" for at_ms, mode in self._modes)
            + ", as the listener says each second",
            *_histogram(self._answers),
            f"Reports     of MLDv2 {sent['report2']:,} sent, {seen[2]:,} seen at the far end; "
            f"of MLDv1 {sent['report']:,} sent, {seen[1]:,} seen",
            f"flood       {flood.sent:,} Queries in {seconds:.1f} s, {held / seconds:,.0f} a second held",
            f"            {flood.answered:,} groups answered meanwhile",
            f"the end     {np.count_nonzero(self._far.left):,} groups taken back",
            f"drops       {interface['ring_dropped']:,} by the ring, {sum(invalid.values()):,} as invalid"
            + "".join(f"; {reason} {count:,}" for reason, count in invalid.items()),
            f"lateness    {after['worst_lateness_ms']:,} ms at worst",
        ]  # fmt: skip
        if missed := self._far.link.counters().get("ring_dropped", 0):
            lines.append(f"far end     could not look at {missed:,} frames")
        print("\n".join(lines))


def _answers(answers: list[_Answer]) -> list[str]:
    """A line for each of the querier's Queries."""
    lines = ["             asked in  answered for    after           in Reports        the bridge's table"]
    for answer in answers:
        within = "" if answer.within_ms is None else "{:,}..{:,} ms".format(*answer.within_ms)
        reports = " and ".join(f"{n:,} of MLDv{version}" for version, n in sorted(answer.reports.items()))
        table = [f"{n:,} groups" + f", {mode}" * bool(mode) for mode, n in sorted((answer.table or {}).items())]
        asked = f"  {answer.at_ms / 1000:7.1f} s  MLDv{answer.version}     {answer.groups:,} groups"
        lines.append(f"{asked:<39}  {within:<14}  {reports:<16}  {'; '.join(table)}".rstrip())
    return lines


def _histogram(answers: list[_Answer]) -> list[str]:
    """The spread of the MLDv1 answer over the response window: a bar for each tenth. What came later is in the last."""
    answer = next((answer for answer in answers if answer.version == 1 and answer.groups), None)
    if answer is None:
        return []
    delays_ms = answer.delays_ms[answer.delays_ms >= 0]
    counts, edges = np.histogram(np.minimum(delays_ms, answer.window_ms), bins=_BARS, range=(0, answer.window_ms))
    longest = max(1, int(counts.max()))
    return [
        "MLDv1       a Report a group, each after a delay of its own",
        *(
            f"  {edge:6,.0f} ms  {'#' * round(_WIDEST * count / longest)} {count:,}"
            for edge, count in zip(edges[:-1], counts, strict=True)
        ),
    ]
