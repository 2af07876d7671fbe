"""The table of rows: a row is one listened (interface, address). Rows are in join order, always."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmld import _native
from fastmld._native import BLOCK_ROWS, NO_ROW, lib, pin

Rows = npt.NDArray[np.uint32]
NO_DEADLINE = int(np.iinfo(np.int64).max)  # in the deadline_ms column: no timer runs
NO_ROWS: Rows = np.empty(0, np.uint32)
_NO_BLOCKS = pin("uint32_t[]", NO_ROWS)

FEWEST_GAPS = 1024  # fewer are not worth closing
_CACHE_LINE = 64  # octets
_SLOTS_A_BUCKET: int = _native.BUCKET["rows"].shape[0]
_SLOTS_A_ROW = 3  # of the index: one bucket in 160 is full, and sends a look-up to the next
_OCTETS_TO_JOIN = 256  # what joining a row takes at most besides the row, for a moment

# Bits of the flags column.
LAST_REPORTER = 1  # RFC 2710 section 5's flag
REPORTED = 2  # some Report said that we listen, and no Done took it back
RECORDED = 4  # a timer runs, and the answer will be for some sources only: they are beside the table
LISTED_OVERDUE = 8  # in the queue of rows that owe a Report
LISTED_URGENT = 16  # in the queue of those that owe it to a Query for their own address
REPEATS = 32  # Reports are to be repeated: how often, says the repeats column
FILTERED = 64  # its listeners name sources: what they ask for is beside the table
LISTED_UNSAID = 128  # in the pile of rows of which some State-Change Report is left to send


def each_once(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(N,) numbers in order, each once. np.unique, which hashes, takes a hundred times as long for many of them."""
    numbers = np.sort(numbers)
    return numbers[np.append(True, numbers[1:] != numbers[:-1])] if len(numbers) else numbers


class GroupTable:
    """Columns over rows, and the keyed index from (interface, address) to row.

    address (16,)u1, references u4, interface u2, state u1, flags u1, repeats u1: views of the records that C shares.
    deadline_ms i8. Bounds of it, i8 (timers.py): earliest_ms, latest_ms by blocks of BLOCK_ROWS rows, and
    interface_latest_ms by interface.
    Rows of addresses that were left stay as gaps until `compact`.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed  # of the delays that `write` draws
        self.used = 0
        self.live = 0
        self.departed = 0  # rows that were left, but that are kept: something is left to say of them
        self._rows_of: dict[int, _Column] = {}
        self.c = _native.ffi.new("fastmld_table *")
        for i in range(4):
            self.c.key[i] = secrets.randbits(64) | 1
        self.c.soonest_ms = NO_DEADLINE
        self.interface_latest_ms = np.full(1 << 16, -NO_DEADLINE - 1, np.int64)
        self._pinned_latest = self.c.interface_latest_ms = pin("int64_t[]", self.interface_latest_ms)
        self._one_now, self._one_delay = _native.ffi.new("int64_t[1]"), _native.ffi.new("int32_t[1]")  # of `write`
        self._adopt(_Columns(BLOCK_ROWS))
        self._reindex(BLOCK_ROWS)

    def _grow(self, capacity: int) -> None:
        grown = _Columns(capacity)
        grown.records[: self.used] = self._records[: self.used]
        grown.deadline_ms[: self.used] = self.deadline_ms[: self.used]
        grown.earliest_ms[: len(self.earliest_ms)] = self.earliest_ms
        grown.latest_ms[: len(self.latest_ms)] = self.latest_ms
        self._adopt(grown)

    def _adopt(self, columns: _Columns) -> None:
        records = self._records = columns.records
        self.deadline_ms, self.earliest_ms, self.latest_ms = columns.deadline_ms, columns.earliest_ms, columns.latest_ms
        self._pinned = (
            pin("fastmld_row[]", records), pin("int64_t[]", self.deadline_ms),
            pin("int64_t[]", self.earliest_ms), pin("int64_t[]", self.latest_ms),
        )  # fmt: skip
        self.c.rows, self.c.deadline_ms, self.c.earliest_ms, self.c.latest_ms = self._pinned
        self.address: npt.NDArray[np.uint8] = records["address"]
        self.references: npt.NDArray[np.uint32] = records["references"]
        self.repeats: npt.NDArray[np.uint8] = records["repeats"]
        self.fold: npt.NDArray[np.uint32] = records["fold"]
        self.interface: npt.NDArray[np.uint16] = records["interface"]
        self.state: npt.NDArray[np.uint8] = records["state"]
        self.flags: npt.NDArray[np.uint8] = records["flags"]

    def _reindex(self, rows: int) -> None:
        """An index for so many rows, with what is listened to in it."""
        self._index(np.flatnonzero(self.references[: self.used]).astype(np.uint32), buckets_for(rows))

    def _index(self, rows: Rows, buckets: npt.NDArray[np.void]) -> None:
        """Index rows in these empty buckets. Allocates nothing that could fail half way."""
        self._buckets = buckets
        self._pinned_buckets = pin("fastmld_bucket[]", buckets)
        self.c.buckets = self._pinned_buckets
        self.c.n_buckets = len(buckets)
        lib.fastmld_index(self.c, pin("uint32_t[]", rows), len(rows))

    def reserve(self, n: int) -> None:
        """Room for n more rows, so that nothing after this can fail. Raises MemoryError: then nothing changed."""
        np.empty(n * _OCTETS_TO_JOIN, np.uint8)  # a join is not undone half way, so what it will need must be there
        if self.used + n > len(self._records):
            self._grow(max(self.used + n, len(self._records) + len(self._records) // 2))
        if self.live + n > rows_for(self._buckets):
            self._reindex(max(self.live + n, self.live + self.live // 2))

    def find(self, interface: int, addresses: npt.NDArray[np.uint8]) -> Rows:
        """(N,) rows of (N, 16) addresses; NO_ROW where an address is not listened to."""
        rows = np.empty(len(addresses), np.uint32)
        lib.fastmld_find(self.c, interface, pin("uint8_t[]", addresses), len(addresses), pin("uint32_t[]", rows))
        return rows

    def join(self, interface: int, addresses: npt.NDArray[np.uint8]) -> Rows:
        """Count one reference for each of (N, 16) addresses; the rows that are new, in order."""
        self.reserve(len(addresses))
        rows = np.empty(len(addresses), np.uint32)
        added = lib.fastmld_insert(
            self.c, interface, pin("uint8_t[]", addresses), len(addresses), self.used, pin("uint32_t[]", rows)
        )
        all_new = added == len(rows)
        new = rows if all_new else np.arange(self.used, self.used + added, dtype=np.uint32)
        self.used += added
        self.live += added
        self._rows_of.setdefault(interface, _Column()).extend(new)
        if all_new:
            self.references[rows] = 1
        else:
            np.add.at(self.references, rows, 1)
        return new

    def addresses_of_last(self, n: int) -> npt.NDArray[np.uint8]:
        """(N, 16) addresses of the rows that were made last: a view, until the next call."""
        return self.address[self.used - n : self.used]

    def write(
        self,
        rows: Rows,
        moves: Any,
        now_ms: int | npt.NDArray[np.int64] = 0,
        delays_ms: int | npt.NDArray[np.int32] = 0,
        which: npt.NDArray[np.uint16] | None = None,
    ) -> None:
        """Move rows on: moves are of _native.MOVE, pinned or an array; which, (N,), is the one each row makes. None:
        all make the first.

        Timers that are drawn end 1 to delays_ms after now_ms, those that are set at now_ms: numbers, or (N,) of them.
        """
        if each_now := isinstance(now_ms, np.ndarray):
            now = pin("int64_t[]", now_ms)
        else:
            now = self._one_now
            now[0] = now_ms
        if each_delay := isinstance(delays_ms, np.ndarray):
            delay = pin("int32_t[]", delays_ms)
        else:
            delay = self._one_delay
            delay[0] = delays_ms
        lib.fastmld_write(
            self.c, self._seed, pin("uint32_t[]", rows), len(rows),
            pin("fastmld_move[]", moves) if isinstance(moves, np.ndarray) else moves,
            _native.ffi.NULL if which is None else pin("uint16_t[]", which), now, each_now, delay, each_delay,
        )  # fmt: skip

    def release(self, interface: int, rows: Rows) -> None:
        """Rows of one interface that are listened to no longer. Their addresses stay readable until `compact`."""
        if not len(rows):
            return
        lib.fastmld_remove(self.c, pin("uint32_t[]", rows), len(rows))
        self.references[rows] = 0
        self.live -= len(rows)
        self._rows_of[interface].gaps += len(rows)

    def rows_of(self, interface: int) -> Rows:
        """The rows of one interface, in join order."""
        column = self._rows_of.get(interface)
        if column is None:
            return NO_ROWS
        if column.gaps:
            rows = column.view()
            column.replace(rows[self.references[rows] != 0])
        return column.view()

    def blocks_of(self, interface: int) -> Any:
        """uint32_t[], for C: the blocks that rows of one interface stand in, in order, also rows that were released."""
        column = self._rows_of.get(interface)
        return _NO_BLOCKS if column is None else column.blocks()

    @property
    def sole_interface(self) -> int | None:
        """The interface of every row there is; None: there are several, or none."""
        return next(iter(self._rows_of)) if len(self._rows_of) == 1 else None

    @property
    def n_interfaces(self) -> int:
        """How many interfaces have rows, or had."""
        return len(self._rows_of)

    def count(self, interface: int) -> int:
        """How many addresses one interface listens to."""
        column = self._rows_of.get(interface)
        return 0 if column is None else len(column.view()) - column.gaps

    @property
    def is_sparse(self) -> bool:
        """Whether gaps are worth closing: they outnumber the rows."""
        return self.used > 2 * (self.live + self.departed) + FEWEST_GAPS

    def compact(self, departed: Rows = NO_ROWS) -> npt.NDArray[np.uint32]:
        """Close the gaps, keeping the order. (used,) uint32: the new row of each old one, NO_ROW for a gap.

        departed: rows that were left and are kept all the same.

        Raises MemoryError: then nothing changed.
        """
        keeps = self.references[: self.used] != 0
        keeps[departed] = True
        kept = np.flatnonzero(keeps)
        rows = np.arange(len(kept), dtype=np.uint32)
        moved = np.full(self.used, NO_ROW, np.uint32)
        moved[kept] = rows
        columns = {interface: column.view() for interface, column in self._rows_of.items()}
        columns = {interface: moved[column[self.references[column] != 0]] for interface, column in columns.items()}
        closed = _Columns(len(kept))
        closed.records[: len(kept)] = self._records[kept]
        closed.deadline_ms[: len(kept)] = self.deadline_ms[kept]
        buckets = buckets_for(len(kept))

        for interface, column in columns.items():
            if len(column) or len(departed):  # which may be its own
                self._rows_of[interface].replace(column)
            else:
                del self._rows_of[interface]
        self.used = len(kept)
        self._adopt(closed)
        self._index(rows[self.references[: self.used] != 0], buckets)
        return moved


def buckets_for(rows: int) -> npt.NDArray[np.void]:
    """Empty buckets of an index of so many rows."""
    return records(max(8, -(-_SLOTS_A_ROW * rows // _SLOTS_A_BUCKET)), _native.BUCKET)


def rows_for(buckets: npt.NDArray[np.void]) -> int:
    """How many rows they are for."""
    return len(buckets) * _SLOTS_A_BUCKET // _SLOTS_A_ROW


def records(n: int, dtype: np.dtype[Any]) -> npt.NDArray[np.void]:
    """(n,) records of zeros that begin where a cache line does: so none lies in one more of them than it has to."""
    octets = np.zeros(n * dtype.itemsize + _CACHE_LINE, np.uint8)
    start = -octets.ctypes.data % _CACHE_LINE
    return octets[start : start + n * dtype.itemsize].view(dtype)


class _Columns:
    """Memory for so many rows, and for whole blocks of them."""

    def __init__(self, rows: int) -> None:
        blocks = max(1, -(-rows // BLOCK_ROWS))
        self.records = records(blocks * BLOCK_ROWS, _native.ROW)
        self.deadline_ms = np.full(blocks * BLOCK_ROWS, NO_DEADLINE, np.int64)
        self.earliest_ms = np.full(blocks, NO_DEADLINE, np.int64)
        self.latest_ms = np.full(blocks, -NO_DEADLINE - 1, np.int64)


class _Column:
    """Rows that are appended to: capacity ahead of length."""

    def __init__(self) -> None:
        self._rows = NO_ROWS
        self._length = 0
        self._blocks: Any = None
        self.gaps = 0  # rows among them that were released

    def view(self) -> Rows:
        return self._rows[: self._length]

    def blocks(self) -> Any:
        if self._blocks is None:
            blocks = self.view() // BLOCK_ROWS  # in order, since the rows are
            if len(blocks):
                blocks = blocks[np.append(True, blocks[1:] != blocks[:-1])]
            self._blocks = pin("uint32_t[]", blocks)
        return self._blocks

    def replace(self, rows: Rows) -> None:
        self._rows, self._length, self._blocks, self.gaps = rows, len(rows), None, 0

    def extend(self, rows: Rows) -> None:
        end = self._length + len(rows)
        if end > len(self._rows):
            grown = np.empty(max(end, self._length + self._length // 2), np.uint32)
            grown[: self._length] = self.view()
            self._rows = grown
        self._rows[self._length : end] = rows
        self._length, self._blocks = end, None
