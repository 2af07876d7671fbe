"""What a link carries, made with numpy: frames with right checksums, the same for the same seed.

A workload is a function of (n, listened, seed, *, interfaces=1): a FrameBatch of n frames of 86 octets. On each
interface `groups(listened)` are the addresses listened to and `groups(N, first=listened)` strangers'. Interfaces take
turns, from index 0 on. The frames lie as a TPACKET_V3 ring would hold them, one in SLOT octets, so that a batch costs
the memory that it would cost there. `split` cuts one into batches.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from fastmld import FrameBatch

Octets = npt.NDArray[np.uint8]


class Workload(Protocol):
    __name__: str

    def __call__(self, n: int, listened: int, seed: int, *, interfaces: int = 1) -> FrameBatch: ...


FRAME: Final = 86  # octets: Ethernet 14, IPv6 40, hop-by-hop 8, MLD 24
SLOT, FRAME_IN_SLOT = 168, 82  # of a TPACKET_V3 ring
QUERY, REPORT = 130, 131  # RFC 2710 section 3.1
OTHER_HOSTS = 64  # that report on the link
HIT_RATE = 0.5  # of the groups that others name, how many are listened to, where nothing else is said

_ALL_NODES: Final = np.frombuffer(IPv6Address("ff02::1").packed, np.uint8)
_ANY: Final = np.zeros(16, np.uint8)
_HEADERS: Final = bytes.fromhex(
    "333300000000" "020000000000" "86dd"  # to 33:33 and the group's low 32 bits (RFC 2464 section 7)
    "60000000" "0020" "00" "01"  # version 6; 32 octets; a hop-by-hop header follows; hop limit 1
    "fe800000000000000000000000000000"
    "00000000000000000000000000000000"
    "3a00" "05020000" "0100"  # ICMPv6 follows; Router Alert for MLD (RFC 2711); PadN
)  # fmt: skip


def groups(n: int, first: int = 0) -> Octets:
    """(n, 16) uint8: consecutive addresses from ff05::1:0:0 + first."""
    octets = np.zeros((n, 16), np.uint8)
    octets[:, :2] = 0xFF, 0x05
    octets[:, 11] = 1
    octets[:, 12:] = np.arange(first, first + n).astype(">u4").view(np.uint8).reshape(n, 4)
    return octets


def build(
    kind: int | npt.NDArray[np.uint8],
    group: Octets,
    delay_ms: int | npt.NDArray[np.int64] = 0,
    host: int | npt.NDArray[np.int64] = 0xFE,
) -> Octets:
    """(N, FRAME) uint8 of MLDv1 messages: kind and host (N,) or one number, delay_ms likewise, group (N, 16).

    A Query for :: goes to ff02::1, everything else to its group; host is the low octet of the sender's addresses.
    """
    frames = np.empty((len(group), FRAME), np.uint8)
    frames[:, : len(_HEADERS)] = np.frombuffer(_HEADERS, np.uint8)
    destination = np.where((group == _ANY).all(axis=1, keepdims=True), _ALL_NODES, group)
    frames[:, 2:6] = destination[:, 12:]
    frames[:, 11] = frames[:, 37] = host
    frames[:, 38:54] = destination
    message = frames[:, 62:]
    message[:, 0] = kind
    message[:, 1:4] = 0
    message[:, 4:6] = np.broadcast_to(delay_ms, len(group)).astype(">u2").view(np.uint8).reshape(-1, 2)
    message[:, 6:8] = 0
    message[:, 8:] = group
    # RFC 4443 section 2.3; in the pseudo-header are the addresses, the length 24 and next header 58.
    words = np.ascontiguousarray(np.hstack((frames[:, 22:54], message))).view(">u2")
    total = words.sum(axis=1, dtype=np.uint32) + 24 + 58
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    message[:, 2:4] = (0xFFFF - total).astype(">u2").view(np.uint8).reshape(-1, 2)
    return frames


def in_slots(
    frames: Octets, lengths: npt.NDArray[np.int64] | int = FRAME, interfaces: int = 1, in_a_row: int = 1
) -> FrameBatch:
    """Frames as a ring holds them. lengths: octets captured, (N,) or one number. in_a_row: frames of an interface."""
    n = len(frames)
    slots = np.zeros((n, SLOT), np.uint8)
    slots[:, FRAME_IN_SLOT : FRAME_IN_SLOT + FRAME] = frames
    offsets = np.arange(n) * SLOT + FRAME_IN_SLOT
    turns = 0 if interfaces == 1 else np.arange(n) // in_a_row % interfaces
    return FrameBatch.from_buffer(slots, offsets, np.broadcast_to(lengths, n), turns)


def out_of_slots(frames: FrameBatch) -> Octets:
    """(N, FRAME) uint8: a copy of what `in_slots` was given."""
    return frames.buffer.reshape(len(frames), SLOT)[:, FRAME_IN_SLOT : FRAME_IN_SLOT + FRAME].copy()


def split(frames: FrameBatch, size: int) -> list[FrameBatch]:
    """Batches of size frames, the last one of what is left; no octet is copied."""
    several = np.ptp(frames.interfaces) > 0
    return [
        FrameBatch.from_buffer(
            frames.buffer, frames.offsets[a : a + size], frames.lengths[a : a + size],
            frames.interfaces[a : a + size] if several else int(frames.interfaces[0]),
        )
        for a in range(0, len(frames), size)
    ]  # fmt: skip


def _named(random: np.random.Generator, n: int, listened: int, hit_rate: float) -> Octets:
    """(n, 16): groups as others name them, hit_rate of them listened to."""
    numbers = random.integers(0, listened, n)
    return groups(2 * listened)[numbers + listened * (random.random(n) >= hit_rate)]


def _general(delays_ms: npt.NDArray[np.int64], interfaces: int) -> FrameBatch:
    return in_slots(build(QUERY, np.zeros((len(delays_ms), 16), np.uint8), delays_ms), interfaces=interfaces)


def general_repeated(n: int, listened: int, seed: int, *, interfaces: int = 1) -> FrameBatch:
    """One General Query again and again, of 10 s."""
    return _general(np.full(n, 10_000), interfaces)


def general_shrinking(n: int, listened: int, seed: int, *, interfaces: int = 1) -> FrameBatch:
    """General Queries, each of 1 ms less than the one before: 65,535 ms to 1 ms, and again."""
    return _general(65_535 - np.arange(n) // interfaces % 65_535, interfaces)


def general_growing(n: int, listened: int, seed: int, *, interfaces: int = 1) -> FrameBatch:
    """General Queries, each of 1 ms more than the one before: 1 ms to 65,535 ms, and again."""
    return _general(1 + np.arange(n) // interfaces % 65_535, interfaces)


def general_random(n: int, listened: int, seed: int, *, interfaces: int = 1) -> FrameBatch:
    """General Queries of 1 to 65,535 ms at random."""
    return _general(np.random.default_rng(seed).integers(1, 65_536, n), interfaces)


def general_immediate(n: int, listened: int, seed: int, *, interfaces: int = 1) -> FrameBatch:
    """General Queries with delay 0, each of which asks for every group at once."""
    return _general(np.zeros(n, np.int64), interfaces)


def general_unhurried(n: int) -> FrameBatch:
    """General Queries of 65,535 ms: they change nothing where a timer runs already."""
    return _general(np.full(n, 65_535), 1)


def specific(n: int, listened: int, seed: int, hit_rate: float = HIT_RATE, *, interfaces: int = 1) -> FrameBatch:
    """Specific Queries of 100 to 1000 ms, hit_rate of them to groups that are listened to."""
    random = np.random.default_rng(seed)
    named = _named(random, n, listened, hit_rate)
    return in_slots(build(QUERY, named, random.integers(100, 1001, n)), interfaces=interfaces)


def specific_listened(n: int, listened: int, seed: int, *, interfaces: int = 1) -> FrameBatch:
    """Specific Queries, all of them to groups that are listened to."""
    return specific(n, listened, seed, 1.0, interfaces=interfaces)


def specific_foreign(n: int, listened: int, seed: int, *, interfaces: int = 1) -> FrameBatch:
    """Specific Queries, all of them to groups of strangers."""
    return specific(n, listened, seed, 0.0, interfaces=interfaces)


def reports(n: int, listened: int, seed: int, hit_rate: float = HIT_RATE, *, interfaces: int = 1) -> FrameBatch:
    """Reports of other hosts, hit_rate of them for groups that are listened to."""
    random = np.random.default_rng(seed)
    hosts = random.integers(2, 2 + OTHER_HOSTS, n)
    return in_slots(build(REPORT, _named(random, n, listened, hit_rate), 0, hosts), interfaces=interfaces)


def alternating(n: int, listened: int, seed: int, *, interfaces: int = 1) -> FrameBatch:
    """A General Query of 10 s and a Report for a group that is listened to, in turn: each Report makes the next
    Query start a timer."""
    random = np.random.default_rng(seed)
    kind = np.where(np.arange(n) % 2 == 0, QUERY, REPORT).astype(np.uint8)
    group = _named(random, n, listened, 1.0)
    group[kind == QUERY] = _ANY
    frames = build(kind, group, np.where(kind == QUERY, 10_000, 0))
    return in_slots(frames, interfaces=interfaces, in_a_row=2)


def mix(n: int, listened: int, seed: int, hit_rate: float = HIT_RATE, *, interfaces: int = 1) -> FrameBatch:
    """The traffic of a busy link, which does not repeat: 1 % General Queries of 1000 to 10,000 ms, 29 % specific
    Queries of 100 to 1000 ms, 70 % Reports of other hosts, in random order. Of the last two hit_rate are for
    groups that are listened to, so with a half of them every second frame changes something."""
    random = np.random.default_rng(seed)
    sort = random.choice(3, n, p=(0.01, 0.29, 0.70))
    general, asked = sort == 0, sort == 1
    group = _named(random, n, listened, hit_rate)
    group[general] = _ANY
    delays_ms = np.zeros(n, np.int64)
    delays_ms[general] = random.integers(1000, 10_001, general.sum())
    delays_ms[asked] = random.integers(100, 1001, asked.sum())
    kind = np.where(sort == 2, REPORT, QUERY).astype(np.uint8)
    hosts = np.where(sort == 2, random.integers(2, 2 + OTHER_HOSTS, n), 0xFE)
    return in_slots(build(kind, group, delays_ms, hosts), interfaces=interfaces)


def junk(n: int, listened: int, seed: int, *, interfaces: int = 1) -> FrameBatch:
    """What no listener wants, in equal parts: random octets, an ordinary frame with one bit turned, one cut off
    somewhere. Some of the latter two stay valid: a bit of the sender's MAC address is nobody's concern."""
    random = np.random.default_rng(seed)
    frames = out_of_slots(mix(n, listened, seed))
    sort = random.integers(0, 3, n)
    frames[sort == 0] = random.integers(0, 256, (int((sort == 0).sum()), FRAME), np.uint8)
    turned = np.flatnonzero(sort == 1)
    bits = random.integers(0, 8 * FRAME, len(turned))
    frames[turned, bits // 8] ^= np.uint8(1) << (bits % 8).astype(np.uint8)
    return in_slots(frames, np.where(sort == 2, random.integers(0, FRAME, n), FRAME), interfaces)


def everything(n: int, listened: int, seed: int, *, interfaces: int = 1) -> FrameBatch:
    """All of the others mixed: equal parts in random order, each in its own."""
    random = np.random.default_rng(seed)
    sort = random.integers(0, len(_PARTS), n)
    frames, lengths = np.empty((n, FRAME), np.uint8), np.empty(n, np.int64)
    for part, workload in enumerate(_PARTS):
        here = sort == part
        some = workload(int(here.sum()), listened, seed + part)
        frames[here], lengths[here] = out_of_slots(some), some.lengths
    return in_slots(frames, lengths, interfaces)


_PARTS: Final[tuple[Workload, ...]] = (
    mix, general_repeated, general_shrinking, general_growing, general_random, general_immediate,
    specific, specific_listened, specific_foreign, reports, alternating, junk,
)  # fmt: skip
_ALL: Final[tuple[Workload, ...]] = (*_PARTS, everything)
WORKLOADS: Final = {workload.__name__: workload for workload in _ALL}
