"""Which sources Queries asked for, of the rows that will answer for no others (RFC 9777 section 6.2)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastmld._native import ASKED, NO_ROW, QUERY2, lib, pin
from fastmld.constants import MOST_RECORDED_SOURCES, MOST_RECORDED_SOURCES_OF_ALL
from fastmld.filters import Filters
from fastmld.groups import GroupTable, Rows
from fastmld.listener_v1 import State
from fastmld.listener_v2 import EXCLUDE, Filter

_LIST = 16 * MOST_RECORDED_SOURCES


class Recorded:
    """Sources by row, at most MOST_RECORDED_SOURCES. A row whose timer runs and that has none here answers for all."""

    def __init__(self, table: GroupTable, filters: Filters) -> None:
        self._table = table
        self._filters = filters
        self._sources: dict[int, bytes] = {}
        self._totals = np.zeros(1 << 16, np.uint32)  # by interface

    def of(self, row: int) -> list[bytes]:
        """What is recorded for a row."""
        octets = self._sources[row]
        return [octets[i : i + 16] for i in range(0, len(octets), 16)]

    def forget(self, rows: Rows) -> None:
        """These rows were answered for, or stopped."""
        if not self._sources:
            return
        if len(rows) > len(self._sources):
            held = np.fromiter(self._sources, np.uint32, len(self._sources))
            rows = held[np.isin(held, rows)]
        for row in rows.tolist():
            self._put(row, b"")

    def positions(self, rows: Rows) -> list[int]:
        """Where in rows those are that have sources here."""
        return [i for i, row in enumerate(rows.tolist()) if row in self._sources] if self._sources else []

    def renumber(self, moved: npt.NDArray[np.uint32]) -> None:
        """The table was compacted."""
        self._sources = {int(moved[row]): sources for row, sources in self._sources.items()}
        assert NO_ROW not in self._sources

    def ask(self, queries: npt.NDArray[np.void], buffer: npt.NDArray[np.uint8]) -> tuple[Rows, npt.NDArray[np.int32]]:
        """Take in Queries for rows that can be reported: the rows that will answer, and within what delay each.

        queries: (N,) of csrc/fastmld.h's fastmld_query2, C-contiguous; their sources lie in the buffer.
        """
        table = self._table
        folds, lists, n = np.zeros(len(queries), ASKED), np.zeros(1, np.uint32), len(queries)
        assert queries.dtype == QUERY2
        pinned = pin("fastmld_query2[]", queries), n, pin("fastmld_asked[]", folds)
        folds = folds[: lib.fastmld_asked_rows(table.c, *pinned, pin("uint32_t[]", lists))]
        rows = folds["row"]
        folds["total"] = table.interface[rows]
        folds["all"] = table.state[rows] == State.DELAYING
        sources = np.zeros((max(1, int(lists[0])), _LIST), np.uint8)
        for position in self.positions(rows):
            recorded = self._sources[int(rows[position])]
            folds["all"][position] = 0
            folds["recorded"][position] = len(recorded) // 16
            if folds["list"][position]:
                sources[folds["list"][position] - 1, : len(recorded)] = np.frombuffer(recorded, np.uint8)
        had = folds["recorded"].copy()
        pool = self._pool_of_filters(folds)
        sets = np.zeros((len(sources), 2 * MOST_RECORDED_SOURCES), np.uint8)
        lib.fastmld_ask(
            table.c, pin("uint8_t[]", buffer), *pinned, len(folds), pin("uint8_t[]", pool), pin("uint8_t[]", sources),
            pin("uint8_t[]", sets), pin("uint32_t[]", self._totals), MOST_RECORDED_SOURCES_OF_ALL,
        )  # fmt: skip
        for position in np.flatnonzero(folds["recorded"] != had).tolist():
            fold = folds[position]
            count = int(fold["recorded"])
            part = sources[int(fold["list"]) - 1, : 16 * count].tobytes() if count else b""
            self._put(int(fold["row"]), part, counted=True)
        answering = folds["delay_ms"] > 0
        return rows[answering], folds["delay_ms"][answering]

    def _put(self, row: int, sources: bytes, counted: bool = False) -> None:
        before = self._sources.pop(row, b"")
        if sources:
            self._sources[row] = sources
        if not counted:
            self._totals[self._table.interface[row]] -= len(before) // 16

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
