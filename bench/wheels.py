"""Ways to find the timers that are due: rivals of fastmld.timers.Timers, which is among them.

A rival is a row in WHEELS: what it keeps for a table of rows, how rows are armed with deadlines, and which are due,
each once, in the order (deadline, row).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from fastmld_bench import workloads

from fastmld import _native
from fastmld.groups import NO_DEADLINE, GroupTable, Rows
from fastmld.listener_v1 import State, move
from fastmld.timers import Timers

Deadlines = npt.NDArray[np.int64]

WINDOW_MS: Final = 10_000  # in which timers end
STEP_MS: Final = 10  # of one advance to the next
_STARTS: Final = move(State.DELAYING, _native.lib.FASTMLD_TIMER_SET)
_ENDS: Final = move(State.IDLE, _native.lib.FASTMLD_TIMER_STOP)


class Wheel(NamedTuple):
    """One way."""

    make: Callable[[GroupTable], Any]
    arm: Callable[[Any, Rows, Deadlines], None]
    due: Callable[[Any, int], Rows]


class _Ours:
    def __init__(self, table: GroupTable) -> None:
        table.state[:] = State.IDLE
        self.table, self.timers = table, Timers(table)
        self.timers.rebuild()


def _write(ours: _Ours, rows: Rows, deadlines_ms: Deadlines) -> None:
    ours.table.write(rows, _STARTS, deadlines_ms)


def _due(ours: _Ours, until_ms: int) -> Rows:
    rows = ours.timers.due(until_ms)
    ours.table.write(rows, _ENDS)  # as the engine does: whoever takes a timer moves its row on
    return rows


class _Kept:
    def __init__(self, table: GroupTable) -> None:
        self.deadline_ms = np.full(len(table.deadline_ms), NO_DEADLINE)
        self.heap: list[tuple[int, int]] = []


def _note(kept: _Kept, rows: Rows, deadlines_ms: Deadlines) -> None:
    kept.deadline_ms[rows] = deadlines_ms


def _scan(kept: _Kept, until_ms: int) -> Rows:
    rows: Rows = np.flatnonzero(kept.deadline_ms <= until_ms).astype(np.uint32)
    rows = rows[np.argsort(kept.deadline_ms[rows], kind="stable")]
    kept.deadline_ms[rows] = NO_DEADLINE
    return rows


def _push(kept: _Kept, rows: Rows, deadlines_ms: Deadlines) -> None:
    kept.deadline_ms[rows] = deadlines_ms
    for timer in zip(deadlines_ms.tolist(), rows.tolist(), strict=True):
        heapq.heappush(kept.heap, timer)


def _pop(kept: _Kept, until_ms: int) -> Rows:
    rows = []
    while kept.heap and kept.heap[0][0] <= until_ms:
        deadline_ms, row = heapq.heappop(kept.heap)
        if kept.deadline_ms[row] == deadline_ms:
            kept.deadline_ms[row] = NO_DEADLINE
            rows.append(row)
    return np.array(rows, np.uint32)


WHEELS: Final = {
    "fastmld": Wheel(_Ours, _write, _due),
    "flat_scan": Wheel(_Kept, _note, _scan),
    "heapq": Wheel(_Kept, _push, _pop),
}


class Turning:
    """n timers that all end within WINDOW_MS, in one of the ways."""

    def __init__(self, wheel: str, n: int) -> None:
        self._wheel = WHEELS[wheel]
        self._table = GroupTable()
        self._rows = self._table.join(0, workloads.groups(n))
        self._deadlines_ms = np.random.default_rng(1).integers(1, WINDOW_MS + 1, n)

    def stop(self) -> None:
        """Begin anew: no timer is armed."""
        self._kept = self._wheel.make(self._table)

    def arm(self) -> None:
        self._wheel.arm(self._kept, self._rows, self._deadlines_ms)

    def turn(self) -> Rows:
        """All rows, as they fell due, STEP_MS after STEP_MS."""
        return np.concatenate(
            [self._wheel.due(self._kept, now_ms) for now_ms in range(0, WINDOW_MS + STEP_MS, STEP_MS)]
        )
