"""The wheel: which rows' deadlines are due, and when the next one is. Knows no protocol.

The deadline column is the truth, the wheel an index of candidates: a row fires only if its deadline says so. Disarming a
row is writing its deadline. Slots of SLOT_MS hold arrays of rows, one slot an interface; when a slot's turn comes it is
split into milliseconds. A row has at most one live candidate; stale ones are swept before they outnumber the rows twice.
"""

from __future__ import annotations

import heapq

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
        self._split: set[int] = set()  # coarse keys whose rows are in _fine
        self._witness: tuple[int, int] | None = None  # the next deadline, and a row that has it

    def arm(self, rows: Rows) -> None:
        """Index rows by the deadlines that stand in their column."""
        if not len(rows):
            return
        if self._coarse.candidates + self._fine.candidates + len(rows) > 2 * self._table.live + 1024:
            self._sweep()
        self._witness = None
        slots = self._table.deadline_ms[rows] >> SLOT_SHIFT
        for key, members in _partition(slots, self._table.interface[rows], rows):
            if key in self._split:
                self._arm_fine(members)
            else:
                self._coarse.put(key, members)

    def due(self, until_ms: int) -> Rows:
        """Take the rows with a deadline of at most until_ms, in the order (deadline, row)."""
        found = []
        self._witness = None
        while (key := self._coarse.first()) is not None:
            slot = key >> _INTERFACE_BITS
            if slot << SLOT_SHIFT > until_ms:
                break
            if (slot + 1) << SLOT_SHIFT > until_ms + 1:
                self._open(key)
            else:
                found.append(self._take_coarse(key))
        while (key := self._fine.first()) is not None and key >> _INTERFACE_BITS <= until_ms:
            found.append(self._take_fine(key))
        rows = np.concatenate(found) if found else NO_ROWS
        if not len(rows):
            return NO_ROWS
        self._split = {key for key in self._split if (key >> _INTERFACE_BITS) >= until_ms >> SLOT_SHIFT}
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
            ms = fine >> _INTERFACE_BITS
            for rows in self._fine.peek(fine):
                live = np.flatnonzero(deadlines[rows] == ms)
                if len(live):
                    self._witness = ms, int(rows[live[0]])
                    return ms
            self._fine.take(fine)

    def take_later(self, interface: int, after_ms: int, until_ms: int) -> Rows:
        """Take the rows of an interface with after_ms < deadline <= until_ms, each once, in no order.

        Costs the slots from after_ms to until_ms, so until_ms wants to be a close bound of the deadlines there are.
        """
        found = []
        self._witness = None
        for slot in range((after_ms + 1) >> SLOT_SHIFT, (until_ms >> SLOT_SHIFT) + 1):
            key = slot << _INTERFACE_BITS | interface
            begin, end = slot << SLOT_SHIFT, (slot + 1) << SLOT_SHIFT
            whole = after_ms < begin and end <= until_ms + 1
            if key in self._coarse:
                if whole:
                    found.append(self._take_coarse(key))
                else:
                    self._open(key)
            if key in self._split:
                for ms in range(max(begin, after_ms + 1), min(end, until_ms + 1)):
                    found.append(self._take_fine(ms << _INTERFACE_BITS | interface))
                if whole:
                    self._split.discard(key)
        return _distinct(np.sort(np.concatenate(found))) if found else NO_ROWS

    def _take_coarse(self, key: int) -> Rows:
        rows = self._coarse.take(key)
        return rows[self._table.deadline_ms[rows] >> SLOT_SHIFT == key >> _INTERFACE_BITS]

    def _take_fine(self, key: int) -> Rows:
        rows = self._fine.take(key)
        return rows[self._table.deadline_ms[rows] == key >> _INTERFACE_BITS] if len(rows) else rows

    def _open(self, key: int) -> None:
        """Split one coarse slot into its milliseconds."""
        rows = self._take_coarse(key)
        self._split.add(key)
        self._arm_fine(rows)

    def _arm_fine(self, rows: Rows) -> None:
        for key, members in _partition(self._table.deadline_ms[rows], self._table.interface[rows], rows):
            self._fine.put(key, members)

    def _sweep(self) -> None:
        """Drop what is stale. A row that was disarmed and armed again in the same slot has two candidates: keep one."""
        kept = [self._take_coarse(key) for key in self._coarse.keys()]
        kept += [self._take_fine(key) for key in self._fine.keys()]
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

    def keys(self) -> list[int]:
        return list(self._lists)

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


def _partition(
    times: npt.NDArray[np.int64], interfaces: npt.NDArray[np.uint16], rows: Rows
) -> list[tuple[int, Rows]]:
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
