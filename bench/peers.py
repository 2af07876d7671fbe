"""Listeners as one would write them in Python, which check and keep what the engine does: rivals of P11.

They share what they keep, and differ in how they read a frame: by scapy, dpkt, or slices of bytes. A rival more is a
function from a frame to a Packet, and a row in READERS.
"""

from __future__ import annotations

import heapq
import random
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import dpkt
from fastmld_bench import workloads
from fastmld_bench.workloads import QUERY, REPORT
from scapy.layers.inet6 import ICMPv6MLQuery, ICMPv6MLReport, IPv6, IPv6ExtHdrHopByHop, in6_chksum
from scapy.layers.l2 import Ether

ALL_NODES: Final = bytes.fromhex("ff020000000000000000000000000001")
OWN: Final = bytes.fromhex("fe800000000000000000000000000001")
_LINK_LOCAL: Final = bytes.fromhex("fe80000000000000")
_ANY: Final = bytes(16)


class Packet(NamedTuple):
    """What a reader found in a frame that may be MLD."""

    mac: bytes  # it went to
    hop_limit: int
    alerts: list[bytes]  # the values of its Router Alert options
    source: bytes
    destination: bytes
    message: bytes
    is_right: bool  # its checksum


class Unreadable(Exception):
    """No MLD message can be read from a frame; its argument is the verdict."""


Reader = Callable[[bytes], Packet]


@dataclass(slots=True)
class Membership:
    """A group, its timer and its flag (RFC 2710 section 5)."""

    deadline_ms: int | None = None
    last_reporter: bool = True


class Peer:
    """Listens to groups of one interface that were all reported long ago, one frame after the other."""

    def __init__(self, read: Reader, listened: int) -> None:
        self._read = read
        self._members = {octets.tobytes(): Membership() for octets in workloads.groups(listened)}
        self._timers: list[tuple[int, bytes]] = []  # a heap, of which a group's deadline says what still counts
        self.verdicts: Counter[str] = Counter()
        self.reports = 0

    def carry(self, batches: Iterable[list[bytes]], now_ms: int) -> None:
        """Take in frames that arrived at now_ms."""
        for frames in batches:
            for frame in frames:
                self.verdicts[self._take(frame, now_ms)] += 1
            self.advance(now_ms)

    def advance(self, now_ms: int) -> None:
        """Answer for the timers that end."""
        while self._timers and self._timers[0][0] <= now_ms:
            deadline_ms, group = heapq.heappop(self._timers)
            member = self._members[group]
            if member.deadline_ms == deadline_ms:
                self._report(member)

    def states(self) -> dict[bytes, tuple[bool, bool]]:
        """Group -> (whether its timer runs, whether we were the last to report it)."""
        return {group: (m.deadline_ms is not None, m.last_reporter) for group, m in self._members.items()}

    def _take(self, frame: bytes, now_ms: int) -> str:
        """The verdict."""
        try:
            packet = self._read(frame)
        except Unreadable as unreadable:
            return str(unreadable.args[0])
        message, destination = packet.message, packet.destination
        if packet.hop_limit != 1:
            return "bad_hop_limit"
        if b"\0\0" not in packet.alerts:
            return "no_router_alert"
        if len(packet.alerts) > 1:
            return "malformed"
        if packet.source[:8] != _LINK_LOCAL:
            return "bad_source"
        if packet.source == OWN:
            return "looped_back"
        if len(message) < 24:
            return "bad_length"
        if not packet.is_right:
            return "bad_checksum"
        if packet.mac != b"\x33\x33" + destination[12:]:
            return "bad_destination"
        kind, group = message[0], message[8:24]
        if kind == REPORT and destination != group:
            return "bad_destination"
        if kind == QUERY and destination != ALL_NODES and destination not in self._members:
            return "bad_destination"
        if group == _ANY and kind == QUERY:
            for each, member in self._members.items():
                self._queried(each, member, int.from_bytes(message[4:6], "big"), now_ms)
            return "accepted"
        if group[0] != 0xFF:
            return "bad_group"
        if (named := self._members.get(group)) is None:
            return "accepted"
        if kind == QUERY:
            self._queried(group, named, int.from_bytes(message[4:6], "big"), now_ms)
        elif named.deadline_ms is not None:
            named.deadline_ms, named.last_reporter = None, False
        return "accepted"

    def _queried(self, group: bytes, member: Membership, delay_ms: int, now_ms: int) -> None:
        if delay_ms == 0:
            self._report(member)
        elif member.deadline_ms is None or delay_ms < member.deadline_ms - now_ms:
            member.deadline_ms = now_ms + random.randint(1, delay_ms)
            heapq.heappush(self._timers, (member.deadline_ms, group))

    def _report(self, member: Membership) -> None:
        member.deadline_ms, member.last_reporter = None, True
        self.reports += 1


def read_by_scapy(frame: bytes) -> Packet:
    if len(frame) < 54:
        raise Unreadable("truncated")
    ether = Ether(frame)
    ip = ether.payload
    if type(ip) is not IPv6 or ip.version != 6:
        raise Unreadable("not_mld")
    if ip.plen > len(frame) - 54:
        raise Unreadable("truncated")
    options = ip.payload
    message = options.payload
    if type(options) is not IPv6ExtHdrHopByHop or type(message) not in (ICMPv6MLQuery, ICMPv6MLReport):
        raise Unreadable("not_mld")
    octets = bytes(message)
    return Packet(
        frame[:6],
        ip.hlim,
        _router_alerts(frame[56 : 62 + 8 * options.len]),
        frame[22:38],
        frame[38:54],
        octets,
        in6_chksum(58, ip, octets) == 0,
    )


def read_by_dpkt(frame: bytes) -> Packet:
    try:
        ether = dpkt.ethernet.Ethernet(frame)
    except (dpkt.UnpackError, IndexError) as error:
        raise Unreadable("truncated") from error
    ip = ether.data
    if not isinstance(ip, dpkt.ip6.IP6) or ip.v != 6:
        raise Unreadable("truncated" if len(frame) < 54 else "not_mld")
    if ip.plen > len(frame) - 54:
        raise Unreadable("truncated")
    options, message = ip.extension_hdrs.get(0), ip.data
    if options is None or not isinstance(message, dpkt.icmp6.ICMP6) or message.type not in (QUERY, REPORT):
        raise Unreadable("not_mld")
    octets = frame[54 + options.length : 54 + ip.plen]
    pseudo_header = struct.pack(">16s16sI3xB", ip.src, ip.dst, len(octets), 58)
    return Packet(
        ether.dst,
        ip.hlim,
        _router_alerts(frame[56 : 54 + options.length]),
        ip.src,
        ip.dst,
        octets,
        dpkt.in_cksum(pseudo_header + octets) == 0,
    )


def read_by_slices(frame: bytes) -> Packet:
    length = len(frame)
    if length < 54:
        raise Unreadable("truncated" if length < 14 or frame[12:14] == b"\x86\xdd" else "not_mld")
    if frame[12:14] != b"\x86\xdd" or frame[14] >> 4 != 6 or frame[20] != 0:
        raise Unreadable("not_mld")
    payload = int.from_bytes(frame[18:20], "big")
    end = 54 + min(payload, length - 54)
    if end < 56:
        raise Unreadable("malformed" if payload == 0 else "truncated")
    at = 54 + 8 * (frame[55] + 1)
    if frame[54] != 58 or (at < end and frame[at] not in (QUERY, REPORT)):
        raise Unreadable("not_mld")
    if payload > length - 54 or at > end - 4:
        raise Unreadable("truncated")
    message = frame[at:end]
    words = struct.unpack(f">16H{len(message) // 2}H", frame[22:54] + message[: len(message) & -2])
    total = sum(words) + (message[-1] << 8 if len(message) & 1 else 0) + len(message) + 58
    alerts = _router_alerts(frame[56:at])
    return Packet(frame[:6], frame[21], alerts, frame[22:38], frame[38:54], message, total % 0xFFFF == 0)


def _router_alerts(options: bytes) -> list[bytes]:
    """Their values. The libraries are too kind to options that are not sound, so nobody leaves it to them."""
    if options == b"\5\2\0\0\1\0":
        return [b"\0\0"]
    found, at = [], 0
    while at < len(options):
        kind = options[at]
        if kind == 0:
            at += 1
            continue
        size = options[at + 1] if at + 1 < len(options) else 255
        if len(options) - at < 2 + size or (kind not in (1, 5) and kind >> 6):
            raise Unreadable("malformed")
        if kind == 5:
            found.append(options[at + 2 : at + 2 + size])
        at += 2 + size
    return found


READERS: Final[dict[str, Reader]] = {"scapy": read_by_scapy, "dpkt": read_by_dpkt, "plain Python": read_by_slices}
