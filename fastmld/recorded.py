"""Which sources Queries asked for, of the rows that will answer for no others (RFC 9777 section 6.2).

They lie in chunks beside the table, in C's hands (csrc/recorded.h); a flag says which rows have any. Memory comes when
they do, and goes when the last of them does.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmld import _native
from fastmld._native import ASKED, CHUNK, NO_ROW, QUERY2, lib, pin
from fastmld.constants import MOST_RECORDED_SOURCES, MOST_RECORDED_SOURCES_OF_ALL
from fastmld.filters import Filters
from fastmld.groups import RECORDED, GroupTable, Rows, records
from fastmld.listener_v1 import State
from fastmld.listener_v2 import EXCLUDE, Filter

_SOURCES_A_CHUNK: int = CHUNK["sources"].shape[0]
_TAGS = np.dtype(("V", MOST_RECORDED_SOURCES))
_FEWEST_CHUNKS = 64
_MOST_CHUNKS = MOST_RECORDED_SOURCES_OF_ALL + MOST_RECORDED_SOURCES  # of an interface: the limit shows after a Query
_NONE_RECORDED = np.uint8(0xFF & ~RECORDED)


class Recorded:
    """Sources by row, at most MOST_RECORDED_SOURCES. A row whose timer runs and that has none here answers for all."""

    def __init__(self, table: GroupTable, filters: Filters) -> None:
        self._table = table
        self._filters = filters
        self._totals = np.zeros(1 << 16, np.uint32)  # by interface
        self._c: Any = _native.ffi.new("fastmld_recorded *")
        self._c.key = secrets.randbits(64) | 1
        self._chunks = records(0, CHUNK)
        self._make_room(_FEWEST_CHUNKS)

    def positions(self, rows: Rows) -> npt.NDArray[np.int64]:
        """Where in rows those are that have sources here."""
        return np.flatnonzero(self._table.flags[rows] & RECORDED) if self._c.held else np.empty(0, np.int64)

    def of(self, rows: Rows) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
        """(N,) how many sources are recorded for each of some rows, and (M, 16): they, row by row, sorted."""
        counts = np.empty(len(rows), np.uint32)
        most = min(len(rows) * MOST_RECORDED_SOURCES, self._c.held * _SOURCES_A_CHUNK)
        sources = np.empty((most, 16), np.uint8)
        n = lib.fastmld_recall(
            self._c, pin("uint32_t[]", rows), len(rows), pin("uint32_t[]", counts), pin("uint8_t[][16]", sources)
        )
        return counts, sources[:n]

    def forget(self, rows: Rows) -> None:
        """These rows were answered for, or stopped."""
        rows = rows[self.positions(rows)]
        if not len(rows):
            return
        self._table.flags[rows] &= _NONE_RECORDED
        lib.fastmld_forget(self._table.c, self._c, pin("uint32_t[]", rows), len(rows), pin("uint32_t[]", self._totals))
        if not self._c.held:
            self._c.used = self._c.free = 0
            if self._c.n_chunks > _FEWEST_CHUNKS:
                self._make_room(_FEWEST_CHUNKS)

    def renumber(self, moved: npt.NDArray[np.uint32]) -> None:
        """The table was compacted."""
        row = self._chunks["row"][: self._c.used]
        first = row != NO_ROW
        row[first] = moved[row[first]]
        assert np.array_equal(row != NO_ROW, first)
        self._heads[:] = 0
        lib.fastmld_chain(self._c)

    def ask(
        self,
        queries: npt.NDArray[np.void],
        buffer: npt.NDArray[np.uint8],
        can_be_reported: Callable[[Rows], npt.NDArray[np.bool_]],
    ) -> tuple[Rows, npt.NDArray[np.int32]]:
        """Take in Queries: the rows that will answer, and within what delay each.

        queries: (N,) of csrc/fastmld.h's fastmld_query2, C-contiguous; their sources lie in the buffer.
        """
        table = self._table
        folds, named, n = np.empty(len(queries), ASKED), np.zeros(1, np.uint64), len(queries)
        assert queries.dtype == QUERY2
        pinned = pin("fastmld_query2[]", queries), n, pin("fastmld_asked[]", folds)
        folds = folds[: lib.fastmld_asked_rows(table.c, *pinned, pin("uint64_t[]", named))]
        rows = folds["row"]
        folds["all"] = table.state[rows] == State.DELAYING
        folds["deaf"] = ~can_be_reported(rows)
        pool = self._pool_of_filters(folds)
        self._reserve(min(int(named[0]), len(folds) + int(named[0]) // _SOURCES_A_CHUNK))
        tags = records(2 * len(folds), _TAGS)
        lib.fastmld_ask(
            pin("uint8_t[]", buffer), *pinned, len(folds), pin("uint8_t[]", pool), self._c,
            pin("uint8_t[][2][64]", tags), pin("uint32_t[]", self._totals), MOST_RECORDED_SOURCES_OF_ALL,
        )  # fmt: skip
        recorded = folds["recorded"] != 0
        flags = table.flags[rows] & _NONE_RECORDED
        table.flags[rows] = flags | recorded * np.uint8(RECORDED)
        answering = folds["delay_ms"] > 0
        return rows[answering], folds["delay_ms"][answering]

    def _reserve(self, n: int) -> None:
        """Room for n more chunks, or for as many as there can be."""
        most = _MOST_CHUNKS * self._table.n_interfaces
        needed = min(self._c.held + n, most)
        if needed > self._c.n_chunks:
            self._make_room(min(max(needed, self._c.n_chunks * 3 // 2), most))

    def _make_room(self, n: int) -> None:
        """For so many chunks; those that were used stay where they are."""
        chunks = records(n, CHUNK)
        chunks[: self._c.used] = self._chunks[: self._c.used]
        self._chunks = chunks
        self._c.head_bits = (n - 1).bit_length()
        self._heads = np.zeros(1 << self._c.head_bits, np.uint32)
        self._pinned = pin("fastmld_chunk[]", chunks), pin("uint32_t[]", self._heads)
        self._c.chunks, self._c.heads = self._pinned
        self._c.n_chunks = n
        lib.fastmld_chain(self._c)

    def _pool_of_filters(self, folds: npt.NDArray[np.void]) -> npt.NDArray[np.uint8]:
        """The sources that the filters of the rows name; where each row's are goes into its fold."""
        folds["excludes"] = 1
        parts, count = [b""], 0
        for position in self._filters.positions(folds["row"]).tolist():
            now: Filter = self._filters.of(int(folds["row"][position]))
            folds["excludes"][position] = now.mode == EXCLUDE
            folds["filter_first"][position] = count
            folds["filter_count"][position] = len(now.sources)
            parts += sorted(now.sources)
            count += len(now.sources)
        return np.frombuffer(b"".join(parts) or bytes(16), np.uint8)
