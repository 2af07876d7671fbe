"""MLDv2 Reports that have been decided: columns of records, and where each Report begins. No frame is stored."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastmld._native import ffi, lib, pin
from fastmld.constants import LONGEST_PAYLOAD, RECORD_OCTETS, REPORT2_HEADERS_OCTETS
from fastmld.groups import Rows
from fastmld.listener_v2 import Record


@dataclass(slots=True)
class Reports:
    """Reports of one interface in the order in which they leave; the i-th has the records edges[i] to edges[i + 1].

    types: (N,) of the records, or (1,) for all. sources: how many each has; firsts: which is its first in the pool.
    None where no record has any.
    """

    rows: Rows
    types: npt.NDArray[np.uint8]
    edges: npt.NDArray[np.uint32]
    times_ms: int | npt.NDArray[np.int64]
    templates: int  # one for all
    sources: npt.NDArray[np.uint16] | None = None
    firsts: npt.NDArray[np.uint32] | None = None
    pool: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.edges) - 1

    @property
    def octets(self) -> int:
        """Of all records."""
        first, end = int(self.edges[0]), int(self.edges[-1])
        named = 0 if self.sources is None else int(self.sources[first:end].sum(dtype=np.int64))
        return RECORD_OCTETS * (end - first) + 16 * named

    def split(self, n: int) -> tuple[Reports, Reports]:
        """The first n, and the rest."""
        times = self.times_ms
        whole = isinstance(times, int)
        return tuple(  # type: ignore[return-value]
            Reports(
                self.rows, self.types, edges, times if whole else times[part],  # type: ignore[index]
                self.templates, self.sources, self.firsts, self.pool,
            )
            for edges, part in ((self.edges[: n + 1], slice(None, n)), (self.edges[n:], slice(n, None)))
        )  # fmt: skip

    def records(self) -> tuple[Any, list[Any]]:
        """What C builds them from, and the columns that it borrows."""
        records = ffi.new("fastmld_records *")
        pinned = [pin("uint32_t[]", self.rows), pin("uint8_t[]", self.types)]
        records.rows, records.types = pinned
        records.type_step = int(len(self.types) > 1)
        if self.sources is not None:
            pinned += [pin("uint16_t[]", self.sources), pin("uint32_t[]", self.firsts), pin("uint8_t[]", self.pool)]
            records.sources, records.firsts, records.pool = pinned[2:]
        return records, pinned


def room_for_records(mtu: int) -> int:
    """Octets that a Report has for records on a link."""
    return min(mtu - 40, LONGEST_PAYLOAD) - REPORT2_HEADERS_OCTETS


def most_records(mtu: int) -> int:
    """How many records without sources a Report holds."""
    return room_for_records(mtu) // RECORD_OCTETS


class Named(NamedTuple):
    """Rows of which one record with sources is said: their positions, the record's type, how many sources each has,
    and (M, 16) uint8, all of them one after the other.
    """

    positions: npt.NDArray[np.int64]
    type: int
    counts: npt.NDArray[np.uint32]
    sources: npt.NDArray[np.uint8]

    def without(self, some: Container[int]) -> tuple[Named, list[tuple[int, list[bytes]]]]:
        """The rest, and what some positions have, if they are among these."""
        leave = np.array([position in some for position in self.positions.tolist()], np.bool_)
        ends = np.cumsum(self.counts, dtype=np.int64)
        taken = [
            (int(self.positions[i]), [source.tobytes() for source in self.sources[ends[i] - self.counts[i] : ends[i]]])
            for i in np.flatnonzero(leave).tolist()
        ]
        kept = self.sources[np.repeat(~leave, self.counts)]
        return Named(self.positions[~leave], self.type, self.counts[~leave], kept), taken


def pack(
    rows: Rows,
    types: npt.NDArray[np.uint8],
    special: Sequence[tuple[int, list[Record]]],
    mtu: int,
    time_ms: int,
    template: int,
    named: Named | None = None,
) -> Reports | None:
    """Reports that say one record without sources of each row, in order; of the special ones, by position, theirs, and
    of the named ones theirs.

    types: (N,) or (1,) of the plain records. None: there is nothing to say.
    """
    if not special and named is None:
        return _pack_plain(rows, types, mtu, time_ms, template)
    starts = np.arange(len(rows))
    if special:
        records_of = np.ones(len(rows), np.int64)
        records_of[[position for position, _ in special]] = [len(records) for _, records in special]
        rows, types = np.repeat(rows, records_of), np.repeat(types, records_of) if len(types) > 1 else types
        starts = np.cumsum(records_of) - records_of
    kinds = types.copy() if len(types) > 1 else np.full(len(rows), types[0])
    sources, firsts = np.zeros(len(rows), np.uint32), np.zeros(len(rows), np.uint32)
    pool = np.empty(0, np.uint8)
    if named is not None:
        at = starts[named.positions]
        kinds[at], sources[at] = named.type, named.counts
        firsts[at] = np.cumsum(named.counts, dtype=np.uint32) - named.counts
        pool = named.sources.reshape(-1)
    if special:
        some: list[bytes] = []
        first = len(pool) // 16
        for position, records in special:
            for i, (kind, theirs) in enumerate(records, int(starts[position])):
                kinds[i], sources[i], firsts[i] = kind, len(theirs), first + len(some)
                some += theirs
        pool = np.concatenate([pool, np.frombuffer(b"".join(some), np.uint8)])
    if not len(rows):
        return None
    return _pack_with_sources(rows, kinds, sources, firsts, pool, mtu, time_ms, template)


def _pack_plain(rows: Rows, types: npt.NDArray[np.uint8], mtu: int, time_ms: int, template: int) -> Reports | None:
    if not len(rows):
        return None
    edges = np.append(np.arange(0, len(rows), most_records(mtu)), len(rows)).astype(np.uint32)
    return Reports(rows, types, edges, time_ms, template)


def _pack_with_sources(
    rows: Rows,
    types: npt.NDArray[np.uint8],
    sources: npt.NDArray[np.uint32],
    firsts: npt.NDArray[np.uint32],
    pool: npt.NDArray[np.uint8],
    mtu: int,
    time_ms: int,
    template: int,
) -> Reports:
    room = room_for_records(mtu)
    most = len(rows) + int(sources.sum(dtype=np.int64)) // ((room - RECORD_OCTETS) // 16)
    of, firsts_out = np.empty(most, np.uint32), np.empty(most, np.uint32)
    sources_out, edges, count = np.empty(most, np.uint16), np.empty(most + 1, np.uint32), np.empty(1, np.uint32)
    reports = lib.fastmld_pack(
        pin("uint8_t[]", types), pin("uint32_t[]", sources), pin("uint32_t[]", firsts), len(rows), room,
        pin("uint32_t[]", of), pin("uint16_t[]", sources_out), pin("uint32_t[]", firsts_out), pin("uint32_t[]", edges),
        pin("uint32_t[]", count),
    )  # fmt: skip
    n = int(count[0])
    return Reports(
        rows[of[:n]], types[of[:n]], edges[: reports + 1], time_ms, template,
        sources_out[:n], firsts_out[:n], pool if len(pool) else np.zeros(16, np.uint8),
    )  # fmt: skip
