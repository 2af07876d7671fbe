"""The wheel: which rows' deadlines are due, and when the next one is. Knows no protocol.

The deadline column is the truth, the wheel an index of candidates: a row fires only if its deadline says so.
Disarming a row is writing its deadline. Slots of SLOT_MS hold arrays of rows, one slot an interface; when a slot's
turn comes it is split into milliseconds. Stale candidates are swept before they outnumber the rows twice.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fastmld.groups import NO_ROWS, GroupTable, Rows

SLOT_SHIFT = 10
SLOT_MS = 1 << SLOT_SHIFT
_INTERFACE_BITS = 16


class Timers:
    """Candidates by time. Every method takes and gives rows of one GroupTable."""

    def __init__(self, table: GroupTable) -> None:
        self._table = table
        self.clear()

    def clear(self) -> None:
        """Forget all candidates: the rows were renumbered."""
        self._coarse = _Slots()
        self._fine = _Slots()
        self._split: dict[int, set[int]] = {}  # coarse keys whose rows are in _fine, and their milliseconds there
        self._witness: tuple[int, int] | None = None  # the next deadline, and a row that has it
        self._origin_ms = 0  # keys count from here: what is far from zero fits all the same

    def arm(self, rows: Rows) -> None:
        """Index rows by the deadlines that stand in their column."""
        if not len(rows):
            return
        if self._coarse.candidates + self._fine.candidates + len(rows) > 2 * self._table.live + 1024:
            self._sweep()
        self._witness = None
        deadlines = self._table.deadline_ms[rows]
        if not self._coarse and not self._fine:
            self._origin_ms = int(deadlines.min()) & -SLOT_MS
        for key, members in _partition((deadlines - self._origin_ms) >> SLOT_SHIFT, self._table.interface[rows], rows):
            if key in self._split:
                self._arm_fine(key, members)
            else:
                self._coarse.put(key, members)

    def due(self, until_ms: int) -> Rows:
        """Take the rows with a deadline of at most until_ms, in the order (deadline, row)."""
        found = []
        self._witness = None
        until = until_ms - self._origin_ms
        while (key := self._coarse.first()) is not None:
            slot = key >> _INTERFACE_BITS
            if slot << SLOT_SHIFT > until:
                break
            if (slot + 1) << SLOT_SHIFT > until + 1:
                self._open(key)
            else:
                found.append(self._take_coarse(key))
        while (key := self._fine.first()) is not None and key >> _INTERFACE_BITS <= until:
            found.append(self._take_fine(key))
        rows = np.concatenate(found) if found else NO_ROWS
        if not len(rows):
            return NO_ROWS
        for key in [key for key in self._split if key >> _INTERFACE_BITS < until >> SLOT_SHIFT]:
            del self._split[key]
        rows = rows[np.lexsort((rows, self._table.deadline_ms[rows]))]
        return _distinct(rows)

    def next_ms(self) -> int | None:
        """The least deadline that a row has; None when no timer runs."""
        deadlines = self._table.deadline_ms
        if self._witness is not None and deadlines[self._witness[1]] == self._witness[0]:
            return self._witness[0]
        while True:
            coarse, fine = self._coarse.first(), self._fine.first()
            if coarse is not None and (
                fine is None or coarse >> _INTERFACE_BITS <= fine >> (_INTERFACE_BITS + SLOT_SHIFT)
            ):
                self._open(coarse)
                continue
            if fine is None:
                return None
            ms = self._origin_ms + (fine >> _INTERFACE_BITS)
            for rows in self._fine.peek(fine):
                live = np.flatnonzero(deadlines[rows] == ms)
                if len(live):
                    self._witness = ms, int(rows[live[0]])
                    return ms
            self._fine.take(fine)

    def take_later(self, interface: int, after_ms: int, bound_ms: int) -> Rows:
        """Take the rows of an interface with a deadline after after_ms, each once, in no order.

        No deadline of the interface is after bound_ms, and the closer that is, the better: it costs the slots between.
        """
        found = []
        self._witness = None
        after, bound = after_ms - self._origin_ms, bound_ms - self._origin_ms
        for slot in range((after + 1) >> SLOT_SHIFT, (bound >> SLOT_SHIFT) + 1):
            key = slot << _INTERFACE_BITS | interface
            whole = after < slot << SLOT_SHIFT
            if key in self._coarse:
                if whole:
                    found.append(self._take_coarse(key))
                else:
                    self._open(key)
            if key in self._split:
                milliseconds = self._split.pop(key) if whole else self._split[key]
                taken = [ms for ms in milliseconds if ms > after]
                milliseconds.difference_update(taken)
                found += [self._take_fine(ms << _INTERFACE_BITS | interface) for ms in taken]
        return _distinct(np.sort(np.concatenate(found))) if found else NO_ROWS

    def _take_coarse(self, key: int) -> Rows:
        rows = self._coarse.take(key)
        slots = (self._table.deadline_ms[rows] - self._origin_ms) >> SLOT_SHIFT
        live: Rows = rows[slots == key >> _INTERFACE_BITS]
        return live

    def _take_fine(self, key: int) -> Rows:
        rows = self._fine.take(key)
        if not len(rows):
            return rows
        live: Rows = rows[self._table.deadline_ms[rows] == self._origin_ms + (key >> _INTERFACE_BITS)]
        return live

    def _open(self, key: int) -> None:
        """Split one coarse slot into its milliseconds."""
        rows = self._take_coarse(key)
        self._split[key] = set()
        self._arm_fine(key, rows)

    def _arm_fine(self, coarse: int, rows: Rows) -> None:
        milliseconds = self._split[coarse]
        times = self._table.deadline_ms[rows] - self._origin_ms
        for key, members in _partition(times, self._table.interface[rows], rows):
            self._fine.put(key, members)
            milliseconds.add(key >> _INTERFACE_BITS)

    def _sweep(self) -> None:
        """Drop what is stale. A row that was disarmed and armed again in the same slot has two candidates: keep one."""
        kept = [self._take_coarse(key) for key in list(self._coarse)]
        kept += [self._take_fine(key) for key in list(self._fine)]
        self.clear()
        if kept:
            self.arm(_distinct(np.sort(np.concatenate(kept))))


class _Slots:
    """Arrays of rows by key, and the least key. A key is time << 16 | interface."""

    def __init__(self) -> None:
        self.candidates = 0
        self._lists: dict[int, list[Rows]] = {}
        self._heap: list[int] = []
        self._in_heap: set[int] = set()

    def __contains__(self, key: int) -> bool:
        return key in self._lists

    def __len__(self) -> int:
        return len(self._lists)

    def __iter__(self) -> Iterator[int]:
        return iter(self._lists)

    def put(self, key: int, rows: Rows) -> None:
        self.candidates += len(rows)
        members = self._lists.get(key)
        if members is not None:
            members.append(rows)
            return
        self._lists[key] = [rows]
        if key not in self._in_heap:
            self._in_heap.add(key)
            heapq.heappush(self._heap, key)

    def peek(self, key: int) -> list[Rows]:
        return self._lists[key]

    def take(self, key: int) -> Rows:
        members = self._lists.pop(key, None)
        if members is None:
            return NO_ROWS
        rows = members[0] if len(members) == 1 else np.concatenate(members)
        self.candidates -= len(rows)
        return rows

    def first(self) -> int | None:
        while self._heap and self._heap[0] not in self._lists:
            self._in_heap.discard(heapq.heappop(self._heap))
        return self._heap[0] if self._heap else None


def _partition(times: npt.NDArray[np.int64], interfaces: npt.NDArray[np.uint16], rows: Rows) -> list[tuple[int, Rows]]:
    """Rows by (time, interface), as (key, rows) pairs in no order. One sort, and for narrow keys that one is linear."""
    if len(rows) == 0:
        return []
    keys = times << _INTERFACE_BITS | interfaces
    if len(rows) == 1:
        return [(int(keys[0]), rows)]
    low = int(times.min())
    narrow = times - low
    if int(interfaces.min()) != int(interfaces.max()):
        order = np.argsort(keys)
    elif int(narrow.max()) <= 0xFFFF:
        order = np.argsort(narrow.astype(np.uint16), kind="stable")
    else:
        order = np.argsort(narrow)
    keys, rows = keys[order], rows[order]
    starts = np.flatnonzero(keys[1:] != keys[:-1]) + 1
    edges = [0, *starts.tolist(), len(rows)]
    return [(key, rows[a:b]) for key, a, b in zip(keys[edges[:-1]].tolist(), edges, edges[1:], strict=False)]


def _distinct(rows: Rows) -> Rows:
    """Rows in an order in which equal ones are neighbours, each once."""
    if len(rows) < 2:
        return rows
    first = np.empty(len(rows), np.bool_)
    first[0] = True
    np.not_equal(rows[1:], rows[:-1], out=first[1:])
    return rows[first]
