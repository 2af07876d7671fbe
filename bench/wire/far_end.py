"""The far end of the wire: which Reports came, and when by the kernel's clock; and what follows from that.

A flood leaves no core for a reader here. So a ring that is large enough keeps all, and is read afterwards.
"""

from __future__ import annotations

import time
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from fastmld_bench.workloads import FRAME_IN_SLOT, REPORT

from fastmld.links.packet_ring import PacketRing

HEARD: Final = np.dtype([("ns", "i8"), ("group", "u4")])  # CLOCK_MONOTONIC; the address's low 32 bits
_REPORT2: Final = 143
_RETIRE_MS: Final = 200  # each tick takes a block: 128 of them last for 25 s
_ALLOWED_NS: Final = 10_000_000  # past the delay

Heard = npt.NDArray[np.void]


class Mismatch(Exception):
    """What came is not what was sent."""


class FarEnd:
    """Keeps what comes in on an interface from now on."""

    def __init__(self, interface: str) -> None:
        self._ring = PacketRing(interface, blocks=128, block_size=1 << 19, retire_ms=_RETIRE_MS)

    def reports(self) -> Heard:
        """(N,) HEARD: each group in each Report so far, in order."""
        time.sleep(2 * _RETIRE_MS / 1000)
        real_to_monotonic_ns = time.monotonic_ns() - time.time_ns()
        parts = [np.empty(0, HEARD)]
        while (frames := self._ring.receive(0)) is not None:
            parts.append(_reports(frames.buffer, frames.offsets, frames.lengths))
            self._ring.release()
        heard = np.concatenate(parts)
        heard["ns"] += real_to_monotonic_ns
        return heard

    @property
    def lost(self) -> int:
        """Frames that found the ring full."""
        return self._ring.counters()["ring_dropped"]

    def close(self) -> None:
        """Take the ring down."""
        self._ring.close()


def named(
    buffer: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], lengths: npt.NDArray[np.uint32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Of untagged frames with a hop-by-hop header of 8 octets, which is what a listener sends: the groups that they
    name, each as the number of its frame and the address's low 32 bits."""
    kind = buffer[offsets + 62]
    records = np.where(kind == REPORT, 1, 0)
    # RFC 9777 section 5.2: records of 20 octets, their sources not counted: nobody here has any.
    records = np.where(kind == _REPORT2, (lengths.astype(np.int64) - 70) // 20, records)
    frames = np.repeat(np.arange(len(offsets)), records)
    record = np.arange(len(frames)) - np.repeat(np.cumsum(records) - records, records)
    groups = offsets[frames] + np.where(kind[frames] == REPORT, 82, 86 + 20 * record)
    return frames, buffer[groups[:, np.newaxis] + np.arange(4)].view(">u4")[:, 0]


def _reports(buffer: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], lengths: npt.NDArray[np.uint32]) -> Heard:
    """struct tpacket3_hdr stands FRAME_IN_SLOT octets before each frame; the time is behind its first word."""
    frames, groups = named(buffer, offsets, lengths)
    heard = np.empty(len(frames), HEARD)
    stamps = buffer[offsets[frames][:, np.newaxis] - FRAME_IN_SLOT + np.arange(4, 12)].view(np.uint32)
    heard["ns"] = stamps[:, 0] * np.int64(1_000_000_000) + stamps[:, 1]
    heard["group"] = groups
    return heard


class Flooded(NamedTuple):
    """Queries of one delay, from start_ns to end_ns: the last one at last_ns, and never pause_ns without one."""

    start_ns: int
    end_ns: int
    frames: int
    delay_ms: int
    last_ns: int
    pause_ns: int


def latest_answers_ms(heard: Heard, groups: int, flood: Flooded) -> npt.NDArray[np.float64]:
    """(groups,) how long the Query that waited longest was without a Report of each group; inf: for ever.

    Groups are numbered from 0. A Report was followed by a Query, after pause_ns at the latest, which only the group's
    next Report answers.
    """
    order = np.lexsort((heard["ns"], heard["group"]))
    group, ns = heard["group"][order].astype(np.int64), heard["ns"][order].astype(np.float64)
    mine = (group < groups) & (ns >= flood.start_ns)
    group, ns = group[mine], ns[mine]
    first = np.concatenate(([True], group[1:] != group[:-1])) if len(group) else np.empty(0, bool)
    asked = np.where(first, flood.start_ns, np.roll(ns, 1))
    worst = np.zeros(groups)
    np.maximum.at(worst, group, np.where(asked < flood.last_ns, ns - asked - flood.pause_ns, 0))
    last = np.full(groups, -np.inf)
    np.maximum.at(last, group, ns)
    worst[last < flood.last_ns] = np.inf
    return worst / 1e6


def in_time(heard: Heard, groups: int, flood: Flooded) -> float:
    """The share of groups whose every Query was answered within its delay and 10 ms."""
    allowed_ms = flood.delay_ms + _ALLOWED_NS / 1e6
    return float((latest_answers_ms(heard, groups, flood) <= allowed_ms).mean())


def lateness_ms(heard: Heard, meant: Heard) -> npt.NDArray[np.float64]:
    """How long after the millisecond for which it was meant each Report was seen. meant: what the listener took down,
    in the order in which it sent. Raises Mismatch where the two do not tell of the same Reports."""
    if len(heard) != len(meant) or (heard["group"] != meant["group"]).any():
        raise Mismatch(f"{len(meant)} Reports were sent, {len(heard)} came, or in another order")
    return (heard["ns"] - meant["ns"]) / 1e6
