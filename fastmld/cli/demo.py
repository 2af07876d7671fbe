"""`fastmld demo`: 10,000 groups, a querier that is not ours, and a flood of Queries; all in half a minute."""

from __future__ import annotations

import signal
import sys
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
_FLOOD_MS: Final = 5_000
_DRAW_EVERY_MS: Final = 250


def demo() -> None:
    """See it work, without arguments and without root: takes some 20 seconds.

    In a network namespace of its own a Linux bridge asks, and `fastmld run` answers for 10,000 groups at the other end
    of a veth pair; then a flood of Queries goes through it. Where namespaces are refused, the wire is one in memory.
    Exit status 0 only when every group was answered for, as seen at the far end of the wire.
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


class _Play:
    """One performance, scene by scene."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._far = stage, stage.far
        self._delays_ms: list[npt.NDArray[np.int64]] = []  # of each of the querier's Queries
        self._window_ms = 0
        self._flood = _Flood()
        self._failures: list[str] = []
        self._live: Live | None = None
        self._table, self._next_draw_ms = LiveTable(), 0
        self._end_ms = monotonic_ms() + _ALL_OF_IT_MS

    def play(self) -> str | None:
        """All of it, with the summary; what failed, or None."""
        from rich.live import Live

        screen = Live(console=console(), auto_refresh=False, transient=True) if sys.stdout.isatty() else nullcontext()
        with screen as self._live:
            self._join()
            self._stage.start_asking()
            self._question("the first Query")
            self._question("the second Query")
            self._be_flooded()
            self._question("the Query after the flood")
            learnt = self._learnt()
            before = self._stage.seen()
            self._stage.stop()
        after = self._stage.seen()
        if before is None or after is None:
            return "the listener said nothing"
        self._print_summary(before, after, learnt)
        return "; ".join(self._failures) or None

    # Scenes

    def _join(self) -> None:
        """The listener joins, and says so."""
        self._far.asked(monotonic_ms(), _JOINS_WITHIN_MS)
        self._watch("joining", _JOINS_WITHIN_MS, lambda: self._far.answered == GROUPS)
        self._judge("joined")

    def _question(self, name: str) -> None:
        """The querier asks, and each group has its Maximum Response Delay to answer."""
        if not self._watch(f"waiting for {name}", _ASKED_WITHIN_MS, self._stage.asked):
            self._failures.append(f"{name} did not come")
            return
        self._watch(name, self._far.window_ms + _GRACE_MS, lambda: self._far.answered == GROUPS)
        self._delays_ms.append(self._far.delays_ms)
        self._window_ms = self._far.window_ms
        self._judge(f"answered {name}")

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
        self._judge("answered in the flood")

    def _learnt(self) -> int | None:
        """How many of the groups the querier's own table has; None: it has none."""
        table = self._stage.learnt()
        if table is None:
            return None
        first = int(IPv6Address(FIRST))
        learnt = sum(first <= int(group) < first + GROUPS for group in table)
        if learnt < GROUPS:
            self._failures.append(f"the bridge's table has {learnt:,} of {GROUPS:,} groups")
        return learnt

    def _watch(self, scene: str, at_most_ms: int, is_over: Callable[[], bool], pause_ms: int = 50) -> bool:
        """Let the stage work until something is over; whether it was, in time."""
        end_ms = min(monotonic_ms() + at_most_ms, self._end_ms)
        while (now_ms := monotonic_ms()) < end_ms:
            self._far.listen(now_ms)
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

    def _judge(self, what: str) -> None:
        if self._far.answered < GROUPS:
            self._failures.append(f"{self._far.answered:,} of {GROUPS:,} groups {what}")

    def _heard(self) -> int:
        seen = self._stage.seen()
        return 0 if seen is None else int(seen["interfaces"][0]["received"]["general_query"])

    # The summary

    def _print_summary(self, before: Snapshot, after: Snapshot, learnt: int | None) -> None:
        """before, after: the groups were left. The bridge asks for each of those: that is no part of the picture."""
        interface, sent, flood = before["interfaces"][0], after["interfaces"][0]["transmitted"], self._flood
        heard = interface["received"]["general_query"]
        held = min(heard - flood.heard, flood.sent)  # the querier went on asking meanwhile
        invalid = interface["dropped"]
        seconds = max(flood.seconds, 0.001)
        answered = ", ".join(f"{np.count_nonzero(delays_ms >= 0):,}" for delays_ms in self._delays_ms)
        lines = [
            self._stage.description,
            f"groups      {GROUPS:,}, from {FIRST} on",
            f"Queries     {heard:,} heard",
            f"answers     the querier's Queries were answered for {answered} groups",
            *_histogram(self._delays_ms, self._window_ms),
            f"Reports     {sent['report']:,} sent, {self._far.reports:,} seen at the far end; "
            f"{sent['done']:,} Dones at the end",
            f"flood       {flood.sent:,} Queries in {seconds:.1f} s, {held / seconds:,.0f} a second held",
            f"            {flood.answered:,} groups answered meanwhile",
            f"drops       {interface['ring_dropped']:,} by the ring, {sum(invalid.values()):,} as invalid"
            + "".join(f"; {reason} {count:,}" for reason, count in invalid.items()),
            f"lateness    {after['worst_lateness_ms']:,} ms at worst",
        ]
        if learnt is not None:
            lines.append(f"the bridge  learnt {learnt:,} groups (bridge mdb show)")
        if missed := self._far.link.counters().get("ring_dropped", 0):
            lines.append(f"far end     could not look at {missed:,} frames")
        print("\n".join(lines))


def _histogram(delays_ms: list[npt.NDArray[np.int64]], window_ms: int) -> list[str]:
    """The spread of the answers over the response window: a bar for each tenth. What came later is in the last."""
    answered = [delays[delays >= 0] for delays in delays_ms]
    if not answered:
        return []
    counts, edges = np.histogram(np.minimum(np.concatenate(answered), window_ms), bins=_BARS, range=(0, window_ms))
    longest = max(1, int(counts.max()))
    return [
        f"  {edge:6,.0f} ms  {'#' * round(_WIDEST * count / longest)} {count:,}"
        for edge, count in zip(edges[:-1], counts, strict=True)
    ]
