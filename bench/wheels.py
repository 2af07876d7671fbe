"""Ways to find the timers that are due: rivals of fastmld.timers.Timers, which is among them.

A rival is a row in WHEELS: what it keeps for a table of rows, how rows are armed, whose deadlines stand in the table's
column, and which are due, each once, in the order (deadline, row).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from fastmld_bench import workloads

from fastmld.groups import GroupTable, Rows
from fastmld.timers import Timers

WINDOW_MS: Final = 10_000  # in which timers end
STEP_MS: Final = 10  # of one advance to the next


class Wheel(NamedTuple):
    """One way."""

    make: Callable[[GroupTable], Any]
    arm: Callable[[Any, Rows], None]
    due: Callable[[Any, int], Rows]


class _Kept:
    def __init__(self, table: GroupTable) -> None:
        self.deadline_ms: npt.NDArray[np.int64] = table.deadline_ms
        self.armed = np.zeros(len(table.deadline_ms), np.bool_)
        self.heap: list[tuple[int, int]] = []


def _arm_in_column(kept: _Kept, rows: Rows) -> None:
    kept.armed[rows] = True


def _scan(kept: _Kept, until_ms: int) -> Rows:
    rows = np.flatnonzero(kept.armed & (kept.deadline_ms <= until_ms))
    kept.armed[rows] = False
    return rows[np.argsort(kept.deadline_ms[rows], kind="stable")].astype(np.uint32)


def _push(kept: _Kept, rows: Rows) -> None:
    for timer in zip(kept.deadline_ms[rows].tolist(), rows.tolist(), strict=True):
        heapq.heappush(kept.heap, timer)


def _pop(kept: _Kept, until_ms: int) -> Rows:
    rows = []
    while kept.heap and kept.heap[0][0] <= until_ms:
        deadline_ms, row = heapq.heappop(kept.heap)
        if kept.deadline_ms[row] == deadline_ms:
            rows.append(row)
    return np.array(rows, np.uint32)


WHEELS: Final = {
    "wheel": Wheel(Timers, lambda timers, rows: timers.arm(rows), lambda timers, until_ms: timers.due(until_ms)),
    "flat_scan": Wheel(_Kept, _arm_in_column, _scan),
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
        self._table.deadline_ms[self._rows] = self._deadlines_ms
        self._kept = self._wheel.make(self._table)

    def arm(self) -> None:
        self._wheel.arm(self._kept, self._rows)

    def turn(self) -> Rows:
        """All rows, as they fell due, STEP_MS after STEP_MS."""
        return np.concatenate(
            [self._wheel.due(self._kept, now_ms) for now_ms in range(0, WINDOW_MS + STEP_MS, STEP_MS)]
        )
