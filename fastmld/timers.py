"""Timers: which rows' deadlines are due, and when the next one is. Knows no protocol.

The deadline column is the truth. The index over it is two bounds for each block of rows: no timer that runs in it ends
before the one, and none that a Query may move after the other. Starting a timer widens them; stopping one leaves them
as they are; a block is looked through when a bound says that something may be there, and then both are exact again. So
a timer costs two comparisons when it starts, at most a block's rows when a bound is found to be wrong or right, and no
memory of its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastmld._native import BLOCK_ROWS, RUNS, lib, pin
from fastmld.groups import NO_DEADLINE, NO_ROWS, GroupTable, Rows

_NEVER = -NO_DEADLINE - 1
_ANY = -1


class Timers:
    """The timers of one GroupTable, whose rows every method gives."""

    def __init__(self, table: GroupTable) -> None:
        self._table = table
        self._next: tuple[int, int] | None = None  # what next_ms found last: a row, and its deadline

    def due(self, until_ms: int) -> Rows:
        """Take the rows with a deadline of at most until_ms, in the order (deadline, row)."""
        table = self._table
        if until_ms < table.c.soonest_ms:
            return NO_ROWS
        rows = self._take(_blocks(table.earliest_ms <= until_ms), _ANY, until_ms, NO_DEADLINE)
        table.c.soonest_ms = int(table.earliest_ms.min())
        return rows[np.argsort(table.deadline_ms[rows], kind="stable")]

    def later(self, interface: int, after_ms: int) -> Rows:
        """Take the rows of an interface that a Query may move, with a deadline after after_ms, in their order."""
        own = self._table.blocks_of(interface)
        return self._take(own[self._table.latest_ms[own] > after_ms], interface, _NEVER, after_ms)

    def next_ms(self) -> int | None:
        """The least deadline that a row has; None when no timer runs."""
        table = self._table
        soonest_ms: int = table.c.soonest_ms
        if soonest_ms == NO_DEADLINE:
            return None
        if self._next is not None:
            row, deadline_ms = self._next
            if soonest_ms == deadline_ms == table.deadline_ms[row] and table.state[row] & RUNS:
                return soonest_ms
        # Once the block that says the least is right, only those that say less than it does then can be wrong.
        block = int(table.earliest_ms.argmin())
        said_ms = table.earliest_ms[block]
        self._refresh(np.array([block], np.uint32))
        if table.earliest_ms[block] != said_ms:
            self._refresh(_blocks(table.earliest_ms < table.earliest_ms[block]))
            block = int(table.earliest_ms.argmin())
        soonest_ms = table.c.soonest_ms = int(table.earliest_ms[block])
        rows = slice(block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS)
        found = np.flatnonzero((table.deadline_ms[rows] == soonest_ms) & (table.state[rows] & RUNS != 0))
        self._next = (block * BLOCK_ROWS + int(found[0]), soonest_ms) if len(found) else None
        return None if soonest_ms == NO_DEADLINE else soonest_ms

    def rebuild(self) -> None:
        """The rows were renumbered."""
        self._refresh(np.arange(len(self._table.earliest_ms), dtype=np.uint32))
        self._table.c.soonest_ms = int(self._table.earliest_ms.min())
        self._next = None

    def _refresh(self, blocks: npt.NDArray[np.uint32]) -> None:
        lib.fastmld_bound(self._table.c, pin("uint32_t[]", blocks), len(blocks))

    def _take(self, blocks: npt.NDArray[np.uint32], interface: int, due_ms: int, later_ms: int) -> Rows:
        if not len(blocks):
            return NO_ROWS
        rows = np.empty(len(blocks) * BLOCK_ROWS, np.uint32)
        n = lib.fastmld_take(
            self._table.c, pin("uint32_t[]", blocks), len(blocks), interface, due_ms, later_ms, pin("uint32_t[]", rows)
        )
        return rows[:n]


def _blocks(which: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint32]:
    return np.flatnonzero(which).astype(np.uint32)
