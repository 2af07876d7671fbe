"""Timers: which rows' deadlines are due, and when the next one is. Knows no protocol.

The deadline column is the truth. The index over it is two bounds for each block of rows: no timer that runs in it ends
before the one, and no row that a Query may move has a deadline after the other; one that waits for a Query has one too,
and it is as late as can be. A row that is written widens them, and none makes them narrower; a block is looked through
when a bound says that something may be there, and then both are made anew. So a timer costs two comparisons when it
starts, at most a block's rows when a bound is found to be wrong or right, and no memory of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmld import _native
from fastmld._native import BLOCK_ROWS, lib, pin
from fastmld.groups import NO_DEADLINE, NO_ROWS, GroupTable, Rows

_NEVER = -NO_DEADLINE - 1
_ANY = -1
_ROOM = 1 << 16  # rows: in a table of half as many they are taken without asking for memory


class Timers:
    """The timers of one GroupTable, whose rows every method gives.

    taken: of csrc/fastmld.h, what the rows that `due` gave last have in common.
    """

    def __init__(self, table: GroupTable) -> None:
        self._table = table
        self.taken = _native.ffi.new("fastmld_taken *")
        self._rows = np.empty(_ROOM, np.uint32)
        self._room = pin("uint32_t[]", self._rows)

    def due(self, until_ms: int) -> Rows:
        """Take the rows with a deadline of at most until_ms, in the order (deadline, row)."""
        table = self._table
        if until_ms < table.c.soonest_ms:
            return NO_ROWS
        n = len(table.earliest_ms)
        return self._take(_native.ffi.NULL, n, 2 * n * BLOCK_ROWS, _ANY, until_ms, NO_DEADLINE)

    def later(self, interface: int, after_ms: int) -> Rows:
        """Take the rows of an interface that a Query may move, with a deadline after after_ms, in their order."""
        own = self._table.blocks_of(interface)
        return self._take(own, len(own), len(own) * BLOCK_ROWS, interface, _NEVER, after_ms)

    def next_ms(self) -> int | None:
        """The least deadline that a row has; None when no timer runs."""
        soonest_ms: int = lib.fastmld_soonest(self._table.c, len(self._table.earliest_ms))
        return None if soonest_ms == NO_DEADLINE else soonest_ms

    def rebuild(self) -> None:
        """The rows were renumbered."""
        table = self._table
        lib.fastmld_bound(table.c, _native.ffi.NULL, len(table.earliest_ms))
        table.c.soonest_ms = int(table.earliest_ms.min())
        table.c.soonest_row = 0

    def _take(self, blocks: Any, n: int, most_rows: int, interface: int, due_ms: int, later_ms: int) -> Rows:
        rows, room = self._rows, self._room
        if most_rows > _ROOM:
            rows = np.empty(most_rows, np.uint32)
            room = pin("uint32_t[]", rows)
        lib.fastmld_take(self._table.c, blocks, n, interface, due_ms, later_ms, room, self.taken)
        return rows[: self.taken.rows].copy()
