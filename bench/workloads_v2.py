"""What a link of MLDv2 carries, made with numpy: as `workloads`, whose groups these are about.

A workload is a function of (n, listened, seed): a FrameBatch of n frames on one interface.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from fastmld_bench import workloads
from fastmld_bench.workloads import FRAME_IN_SLOT, HIT_RATE, OTHER_HOSTS, QUERY, Octets

from fastmld import FrameBatch

FRAME2: Final = 90  # octets, of a Query without sources and of a Report with one record that has none
REPORT2: Final = 143  # RFC 9777 section 5.2
MODE_IS_EXCLUDE: Final = 2
LONGEST_CODE: Final = 0xFFFF  # 8387.584 s
FLAGS, INTERVAL_CODE = 2, 125  # S 0 and QRV 2; QQIC
_MESSAGE: Final = 62
_ROUTERS: Final = np.frombuffer(b"\xff\x02" + bytes(13) + b"\x16", np.uint8)


def queries2(group: Octets, code: int | npt.NDArray[np.int64], sources: Octets | None = None) -> Octets:
    """(N, 90 + 16 * k) uint8: MLDv2 Queries to ff02::1, as routers may send them. group (N, 16), sources (N, k, 16)."""
    n = len(group)
    k = 0 if sources is None else sources.shape[1]
    frames = np.zeros((n, FRAME2 + 16 * k), np.uint8)
    frames[:, : workloads.FRAME] = workloads.build(QUERY, np.zeros((n, 16), np.uint8), code)
    frames[:, 70:86] = group
    frames[:, 86:90] = FLAGS, INTERVAL_CODE, 0, k
    if sources is not None:
        frames[:, FRAME2:] = sources.reshape(n, 16 * k)
    return _finished(frames)


def reports2(group: Octets, host: npt.NDArray[np.int64]) -> Octets:
    """(N, 90) uint8: MLDv2 Reports of hosts, each with one record, IS_EX of a group."""
    frames = np.zeros((len(group), FRAME2), np.uint8)
    frames[:, : workloads.FRAME] = workloads.build(QUERY, np.broadcast_to(_ROUTERS, group.shape), 0, host)
    frames[:, _MESSAGE:] = 0
    frames[:, _MESSAGE] = REPORT2
    frames[:, 69] = 1  # record
    frames[:, 70] = MODE_IS_EXCLUDE
    frames[:, 74:] = group
    return _finished(frames)


def in_slots(frames: Octets) -> FrameBatch:
    """Frames as a ring holds them."""
    n, size = frames.shape
    slot = -(-(FRAME_IN_SLOT + size) // 8) * 8
    slots = np.zeros((n, slot), np.uint8)
    slots[:, FRAME_IN_SLOT : FRAME_IN_SLOT + size] = frames
    return FrameBatch.from_buffer(slots, np.arange(n) * slot + FRAME_IN_SLOT, np.full(n, size), 0)


def general2(n: int, code: int = LONGEST_CODE) -> FrameBatch:
    """General Queries of one response code."""
    return in_slots(queries2(np.zeros((n, 16), np.uint8), code))


def sources2(n: int, listened: int, seed: int, code: int = 0, k: int = 4) -> FrameBatch:
    """Queries for k sources each, of groups that are listened to, at random; no source is ever named twice."""
    random = np.random.default_rng(seed)
    sources = np.zeros((n, k, 16), np.uint8)
    sources[:, :, :4] = 0x20, 0x01, 0x0D, 0xB8
    sources[:, :, 12:] = np.arange(1, n * k + 1).astype(">u4").view(np.uint8).reshape(n, k, 4)
    return in_slots(queries2(workloads.groups(listened)[random.integers(0, listened, n)], code, sources))


def mix2(n: int, listened: int, seed: int, hit_rate: float = HIT_RATE) -> FrameBatch:
    """`workloads.mix` in MLDv2: 1 % General Queries of 1000 to 10,000 ms, 29 % Queries for an address of 100 to
    1000 ms, 70 % Reports of other hosts, hit_rate of the last two for groups that are listened to."""
    random = np.random.default_rng(seed)
    sort = random.choice(3, n, p=(0.01, 0.29, 0.70))
    group = workloads.groups(2 * listened)[random.integers(0, listened, n) + listened * (random.random(n) >= hit_rate)]
    frames = np.empty((n, FRAME2), np.uint8)
    general, asked, said = (np.flatnonzero(sort == i) for i in range(3))
    frames[general] = queries2(np.zeros((len(general), 16), np.uint8), random.integers(1000, 10_001, len(general)))
    frames[asked] = queries2(group[asked], random.integers(100, 1001, len(asked)))
    frames[said] = reports2(group[said], random.integers(2, 2 + OTHER_HOSTS, len(said)))
    return in_slots(frames)


def _finished(frames: Octets) -> Octets:
    """With the payload length and the checksum that they ask for (RFC 4443 section 2.3)."""
    size = frames.shape[1] - _MESSAGE
    frames[:, 18:20] = divmod(8 + size, 256)
    frames[:, 64:66] = 0
    words = np.ascontiguousarray(np.hstack((frames[:, 22:54], frames[:, _MESSAGE:]))).view(">u2")
    total = words.sum(axis=1, dtype=np.uint32) + size + 58
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    frames[:, 64:66] = (0xFFFF - total).astype(">u2").view(np.uint8).reshape(-1, 2)
    return frames
