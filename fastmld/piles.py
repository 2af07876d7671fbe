"""Piles of rows by interface: an index of rows in some condition. The columns are the truth, a pile may be stale."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Final

import numpy as np

from fastmld.groups import NO_ROWS, GroupTable, Rows

_PEEK: Final = 1024


class Pile:
    """First in, first out, a queue an interface. A bit of the flags column keeps a row from standing in it twice."""

    def __init__(self, table: GroupTable, bit: int) -> None:
        self._table = table
        self._bit = np.uint8(bit)
        self._clear_bit = np.uint8(~bit & 0xFF)
        self._queues: dict[int, deque[Rows]] = {}

    def __contains__(self, interface: int) -> bool:
        return interface in self._queues

    def __len__(self) -> int:
        return len(self._queues)

    def interfaces(self) -> list[int]:
        """The interfaces that have rows here."""
        return list(self._queues)

    def add(self, rows: Rows) -> None:
        """Add the rows that are not here yet, in their order."""
        flags = self._table.flags
        fresh = rows[flags[rows] & self._bit == 0]
        if not len(fresh):
            return
        flags[fresh] |= self._bit
        for interface, members in by_interface(self._table, fresh):
            self._queues.setdefault(interface, deque()).append(members)

    def take(self, interface: int) -> Rows:
        """Take all rows of an interface, oldest first."""
        queue = self._queues.pop(interface, None)
        if queue is None:
            return NO_ROWS
        rows = np.concatenate(queue)
        self._table.flags[rows] &= self._clear_bit
        return rows

    def peek(self, interface: int) -> Rows:
        """The oldest rows of an interface: at least one if there are any, and not many."""
        queue = self._queues.get(interface)
        return queue[0][:_PEEK] if queue else NO_ROWS

    def drop(self, interface: int, n: int) -> None:
        """Take n of the rows that `peek` showed."""
        queue = self._queues[interface]
        rows = queue[0]
        self._table.flags[rows[:n]] &= self._clear_bit
        if n < len(rows):
            queue[0] = rows[n:]
            return
        queue.popleft()
        if not queue:
            del self._queues[interface]


def by_interface(table: GroupTable, rows: Rows) -> list[tuple[int, Rows]]:
    """(interface, its rows) pairs, the rows of each in their order."""
    if not len(rows):
        return []
    sole = table.sole_interface
    if sole is not None:
        return [(sole, rows)]
    interfaces = table.interface[rows]
    first = int(interfaces[0])
    if len(rows) == 1 or (interfaces == first).all():
        return [(first, rows)]
    order = np.argsort(interfaces, kind="stable")
    interfaces, rows = interfaces[order], rows[order]
    edges = [0, *(np.flatnonzero(interfaces[1:] != interfaces[:-1]) + 1).tolist(), len(rows)]
    return [(int(interfaces[a]), rows[a:b]) for a, b in pairwise(edges)]
