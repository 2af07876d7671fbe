"""The wheel: which rows' deadlines are due, and when the next one is. Knows no protocol.

The deadline column is the truth, the wheel an index of candidates: a row fires only if its deadline says so.
Disarming a row is writing its deadline. Slots of SLOT_MS hold arrays of rows, one slot an interface, and are sorted
when their turn comes (turn.py). Stale candidates are swept before they outnumber the rows twice.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fastmld.groups import NO_ROWS, GroupTable, Rows
from fastmld.turn import Turn

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
        self._slots = _Slots()
        # Slots whose turn has come, by the same key; and a heap of when each has something next: it may be too early.
        self._turns: dict[int, Turn] = {}
        self._next: list[int] = []
        self._candidates = 0
        self._slot = 0  # the slot of the time that was last asked for
        self._origin_ms = 0  # keys count from here: what is far from zero fits all the same

    def arm(self, rows: Rows, deadlines_ms: npt.NDArray[np.int64] | None = None) -> None:
        """Index rows by their deadlines: those that stand in their column, which the caller may have at hand."""
        if not len(rows):
            return
        if self._candidates + len(rows) > 3 * self._table.live + 256:
            self._sweep()
        if deadlines_ms is None:
            deadlines_ms = self._table.deadline_ms[rows]
        if not self._candidates:
            self.clear()
            self._origin_ms = int(deadlines_ms.min()) & -SLOT_MS
        self._candidates += len(rows)
        times = deadlines_ms - self._origin_ms
        sole = self._table.sole_interface
        interfaces = self._table.interface[rows] if sole is None else sole
        for key, members, when in _by_slot(times, interfaces, rows):
            turn = self._turns.get(key)
            if turn is None:
                self._slots.put(key, members)
            else:
                self._expect(key, turn, turn.add(members, (when & SLOT_MS - 1).astype(np.uint16)))

    def due(self, until_ms: int) -> Rows:
        """Take the rows with a deadline of at most until_ms, in the order (deadline, row)."""
        until = until_ms - self._origin_ms
        found = []
        while (key := self._slots.first()) is not None:
            slot = key >> _INTERFACE_BITS
            if slot << SLOT_SHIFT > until:
                break
            if (slot + 1) << SLOT_SHIFT > until + 1:
                self._begin_turn(key)
            else:
                found.append(self._live(self._take_slot(key), key))
        while self._next and self._next[0] >> _INTERFACE_BITS <= until:
            key = _slot_key(heapq.heappop(self._next))
            turn = self._turns.get(key)
            if turn is None:
                continue
            rows, n = turn.take_until(until_ms)
            self._candidates -= n
            found.append(rows)
            turn.expected_ms = None
            self._expect(key, turn, self._first_ms(turn))
        self._end_turns(until >> SLOT_SHIFT)
        rows = np.concatenate(found) if found else NO_ROWS
        if not len(rows):
            return NO_ROWS
        return _distinct(rows[np.lexsort((rows, self._table.deadline_ms[rows]))])

    def next_ms(self) -> int | None:
        """The least deadline that a row has; None when no timer runs."""
        while True:
            slot = self._slots.first()
            if not self._next:
                if slot is None:
                    return None
                self._begin_turn(slot)
                continue
            expected = self._next[0]
            if slot is not None and slot >> _INTERFACE_BITS <= expected >> (_INTERFACE_BITS + SLOT_SHIFT):
                self._begin_turn(slot)
                continue
            key = _slot_key(expected)
            turn = self._turns.get(key)
            if turn is not None:
                first_ms = self._first_ms(turn)
                if first_ms is not None and first_ms - self._origin_ms == expected >> _INTERFACE_BITS:
                    return first_ms
                turn.expected_ms = None
                self._expect(key, turn, first_ms)
            heapq.heappop(self._next)

    def take_later(self, interface: int, after_ms: int, bound_ms: int) -> Rows:
        """Take the rows of an interface with a deadline after after_ms, each once, in no order.

        No deadline of the interface is after bound_ms, and the closer that is, the better: it costs the slots between.
        """
        found = []
        after, bound = after_ms - self._origin_ms, bound_ms - self._origin_ms
        for slot in range((after + 1) >> SLOT_SHIFT, (bound >> SLOT_SHIFT) + 1):
            key = slot << _INTERFACE_BITS | interface
            whole = after < slot << SLOT_SHIFT
            if key in self._slots:
                if whole:
                    found.append(self._live(self._take_slot(key), key))
                else:
                    self._begin_turn(key)
            turn = self._turns.get(key)
            if turn is not None:
                rows, n = turn.take_after(after_ms)
                self._candidates -= n
                found.append(rows)
        if not found:
            return NO_ROWS
        rows = np.concatenate(found)
        return _distinct(np.sort(rows[self._table.deadline_ms[rows] > after_ms]))

    def _take_slot(self, key: int) -> Rows:
        rows = self._slots.take(key)
        self._candidates -= len(rows)
        return rows

    def _live(self, rows: Rows, key: int) -> Rows:
        """The candidates of a slot whose deadlines are in it."""
        slots = (self._table.deadline_ms[rows] - self._origin_ms) >> SLOT_SHIFT
        live: Rows = rows[slots == key >> _INTERFACE_BITS]
        return live

    def _begin_turn(self, key: int) -> None:
        rows = self._live(self._take_slot(key), key)
        self._candidates += len(rows)
        begin_ms = self._origin_ms + (key >> _INTERFACE_BITS << SLOT_SHIFT)
        turn = self._turns[key] = Turn(self._table, begin_ms)
        if len(rows):
            self._expect(key, turn, turn.add(rows, (self._table.deadline_ms[rows] - begin_ms).astype(np.uint16)))

    def _first_ms(self, turn: Turn) -> int | None:
        first_ms = turn.first_ms()
        self._candidates -= turn.dropped
        turn.dropped = 0
        return first_ms

    def _end_turns(self, slot: int) -> None:
        """Forget the turns that are over."""
        if slot > self._slot:
            self._slot = slot
            self._turns = {key: turn for key, turn in self._turns.items() if key >> _INTERFACE_BITS >= slot}

    def _expect(self, key: int, turn: Turn, first_ms: int | None) -> None:
        if first_ms is not None and (turn.expected_ms is None or first_ms < turn.expected_ms):
            turn.expected_ms = first_ms
            heapq.heappush(self._next, (first_ms - self._origin_ms) << _INTERFACE_BITS | key & 0xFFFF)

    def _sweep(self) -> None:
        """Drop what is stale. A row that was disarmed and armed again in the same slot has two candidates: keep one."""
        kept = [self._live(self._slots.take(key), key) for key in list(self._slots)]
        kept += [turn.take_after(turn.begin_ms - 1)[0] for turn in self._turns.values()]
        self.clear()
        if kept:
            self.arm(_distinct(np.sort(np.concatenate(kept))))


class _Slots:
    """Arrays of rows by key, and the least key. A key is time << 16 | interface."""

    def __init__(self) -> None:
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
        members = self._lists.get(key)
        if members is not None:
            members.append(rows)
            return
        self._lists[key] = [rows]
        if key not in self._in_heap:
            self._in_heap.add(key)
            heapq.heappush(self._heap, key)

    def take(self, key: int) -> Rows:
        members = self._lists.pop(key, None)
        if members is None:
            return NO_ROWS
        return members[0] if len(members) == 1 else np.concatenate(members)

    def first(self) -> int | None:
        while self._heap and self._heap[0] not in self._lists:
            self._in_heap.discard(heapq.heappop(self._heap))
        return self._heap[0] if self._heap else None


def _slot_key(expected: int) -> int:
    """The key of the slot that an entry of the heap of turns is about."""
    return expected >> (_INTERFACE_BITS + SLOT_SHIFT) << _INTERFACE_BITS | expected & 0xFFFF


def _by_slot(
    times: npt.NDArray[np.int64], interfaces: npt.NDArray[np.uint16] | int, rows: Rows
) -> list[tuple[int, Rows, npt.NDArray[np.int64]]]:
    """Rows by slot and interface: (key, rows, their times), in no order. One sort, linear where there are few slots."""
    slots = times >> SLOT_SHIFT
    keys = slots << _INTERFACE_BITS | interfaces
    if len(rows) == 1:
        return [(int(keys[0]), rows, times)]
    low = int(slots.min())
    many = not isinstance(interfaces, int) and int(interfaces.min()) != int(interfaces.max())
    if many or int(slots.max()) - low > 0xFFFF:
        order = np.argsort(keys)
    else:
        order = np.argsort((slots - low).astype(np.uint16), kind="stable")
    keys, rows, times = keys[order], rows[order], times[order]
    starts = np.flatnonzero(keys[1:] != keys[:-1]) + 1
    edges = [0, *starts.tolist(), len(rows)]
    return [(int(keys[a]), rows[a:b], times[a:b]) for a, b in pairwise(edges)]


def _distinct(rows: Rows) -> Rows:
    """Rows in an order in which equal ones are neighbours, each once."""
    if len(rows) < 2:
        return rows
    first = np.empty(len(rows), np.bool_)
    first[0] = True
    np.not_equal(rows[1:], rows[:-1], out=first[1:])
    return rows[first]
