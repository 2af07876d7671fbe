"""Rows that were left, while there is something left to say of them (RFC 9777 section 6.1): an index of their own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastmld import _native
from fastmld._native import NO_ROW, lib, pin
from fastmld.groups import GroupTable, Rows, buckets_for, rows_for


class Departed:
    """(interface, address) -> row, over rows that the table's own index has no more. Their repeats column is not 0."""

    def __init__(self, table: GroupTable) -> None:
        self._table = table
        self._c = _native.ffi.new("fastmld_table *")
        self._c.key = table.c.key
        self._room(1)

    def __bool__(self) -> bool:
        return self._table.departed > 0

    def _room(self, rows: int) -> None:
        self._buckets = buckets_for(rows)
        self._pinned = pin("fastmld_bucket[]", self._buckets)
        self._c.buckets = self._pinned
        self._c.n_buckets = len(self._buckets)

    def add(self, rows: Rows) -> None:
        """Rows that were released, and are not here."""
        if not len(rows):
            return
        count = self._table.departed + len(rows)
        if count > rows_for(self._buckets):
            self.restore(np.concatenate((self.rows(), rows)))
            return
        self._table.departed = count
        self._c.rows = self._table.c.rows
        lib.fastmld_index(self._c, pin("uint32_t[]", rows), len(rows))

    def rows(self) -> Rows:
        """All of them, in no order."""
        taken = self._buckets["rows"]
        rows: Rows = taken[taken != 0] - np.uint32(1)
        return rows

    def find(self, interface: int, addresses: npt.NDArray[np.uint8]) -> Rows:
        """(N,) rows of (N, 16) addresses; NO_ROW where there is none."""
        rows = np.full(len(addresses), NO_ROW, np.uint32)
        if self:
            self._c.rows = self._table.c.rows
            lib.fastmld_find(self._c, interface, pin("uint8_t[]", addresses), len(addresses), pin("uint32_t[]", rows))
        return rows

    def remove(self, rows: Rows) -> None:
        """Nothing is left to say of rows that are here."""
        if not len(rows):
            return
        self._table.departed -= len(rows)
        self._table.repeats[rows] = 0
        self._c.rows = self._table.c.rows
        lib.fastmld_remove(self._c, pin("uint32_t[]", np.ascontiguousarray(rows)), len(rows))

    def restore(self, rows: Rows) -> None:
        """These and no others: the table was renumbered, or more room is needed."""
        self._room(max(1, 2 * len(rows)))
        self._table.departed = 0
        self.add(rows)
