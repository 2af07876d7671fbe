"""The ladder of validity, rung by rung, in plain Python: slow, literal, and written from the table alone."""

from collections.abc import Container
from dataclasses import dataclass, field

ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
UNSPECIFIED = bytes(16)

TAGS = (0x8100, 0x88A8)
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION, ICMPV6 = 0, 43, 44, 60, 58
QUERY, REPORT, DONE, REPORT2 = 130, 131, 132, 143
PAD1, PADN, ROUTER_ALERT = 0, 1, 5


@dataclass
class Link:
    """What the ladder knows of an interface."""

    mac: bytes
    link_local: bytes | None
    strict: bool = True
    v1_only: bool = True
    listened: Container[bytes] = frozenset()


@dataclass
class Message:
    """What an accepted frame says."""

    kind: str
    group: bytes
    delay_ms: int
    octets: bytes = b""  # from the type on, whatever follows the message proper included


class Failed(Exception):
    """A rung was not passed; its verdict is the argument."""


@dataclass
class Walk:
    """What walking the chain of headers found."""

    start: int = 0  # of ICMPv6, in the payload
    fragment: bool = False
    routing: bool = False
    hop_by_hop: bytes | None = None
    option_headers: list[bytes] = field(default_factory=list)


def judge(frame: bytes, link: Link) -> tuple[str, str | None]:
    """Verdict and kind of a frame."""
    try:
        message = check(frame, link)
    except Failed as failed:
        return failed.args[0], None
    return "accepted", message.kind


def check(frame: bytes, link: Link) -> Message:
    packet = ethernet(frame)
    payload = packet[40:]
    payload_length = int.from_bytes(packet[4:6], "big")
    walk = chain(packet[6], payload, payload_length)  # rungs 2 and 3
    message = payload[walk.start : payload_length]
    source, destination = packet[8:24], packet[24:40]

    fail_if(walk.fragment, "fragmented")  # rung 4
    fail_if(walk.routing, "malformed")  # rung 5
    for header in walk.option_headers:
        fail_if(not options_are_sound(header), "malformed")
    if link.strict:
        alerts = [] if walk.hop_by_hop is None else router_alerts(walk.hop_by_hop)
        fail_if(packet[7] != 1, "bad_hop_limit")  # rung 6
        fail_if(b"\0\0" not in alerts, "no_router_alert")  # rung 7
        fail_if(len(alerts) > 1, "malformed")  # rung 8
        fail_if(source[:8] != bytes.fromhex("fe80000000000000"), "bad_source")  # rung 9
    else:
        fail_if(source[0] != 0xFE or source[1] & 0xC0 != 0x80, "bad_source")
    fail_if(source == link.link_local, "looped_back")  # rung 10
    fail_if(not length_is_right(message, link), "bad_length")  # rung 11
    fail_if(checksum(source, destination, message) != 0, "bad_checksum")  # rung 12
    fail_if(not destination_is_right(frame[:6], destination, message, link), "bad_destination")  # rung 13
    fail_if(not group_is_right(message), "bad_group")  # rung 14

    group = message[8:24]
    return Message(kind_of(message, link), group, int.from_bytes(message[4:6], "big"), message)


def fail_if(wrong: bool, verdict: str) -> None:
    if wrong:
        raise Failed(verdict)


def ethernet(frame: bytes) -> bytes:
    """Rung 1, and the ethertype and version of rung 2: the IPv6 packet, with whatever follows it."""
    fail_if(len(frame) < 14, "truncated")
    ip = 14
    for _ in range(2):
        if int.from_bytes(frame[ip - 2 : ip], "big") in TAGS:
            ip += 4
            fail_if(len(frame) < ip, "truncated")
    fail_if(int.from_bytes(frame[ip - 2 : ip], "big") != 0x86DD, "not_mld")
    fail_if(len(frame) < ip + 40, "truncated")
    fail_if(frame[ip] >> 4 != 6, "not_mld")
    return frame[ip:]


def chain(next_header: int, payload: bytes, payload_length: int) -> Walk:
    """Rungs 2 and 3: a next header or a type that can be seen is believed; one that is hidden is `truncated`."""
    extensions = (ROUTING, FRAGMENT, DESTINATION)
    if payload_length == 0:
        fail_if(next_header not in (HOP_BY_HOP, ICMPV6, *extensions), "not_mld")
        raise Failed("malformed")
    cut = payload_length > len(payload)
    seen = payload[:payload_length]
    walk, at, later = Walk(), 0, False
    while next_header in extensions or (next_header == HOP_BY_HOP and at == 0):
        fail_if(at >= len(seen), "truncated")
        here, next_header = next_header, seen[at]
        length = 8
        if here != FRAGMENT:
            length = (seen[at + 1] + 1) * 8 if at + 1 < len(seen) else 1 << 16
        if at + length > len(seen):
            fail_if(next_header not in (ICMPV6, *extensions), "not_mld")
            raise Failed("truncated")
        header = seen[at : at + length]
        if here == HOP_BY_HOP:
            walk.hop_by_hop = header
        if here in (HOP_BY_HOP, DESTINATION):
            walk.option_headers.append(header)
        walk.routing |= here == ROUTING
        walk.fragment |= here == FRAGMENT
        at += length
        if here == FRAGMENT and int.from_bytes(header[2:4], "big") >> 3:
            later = True
            break
    fail_if(next_header != ICMPV6, "not_mld")
    walk.start = at
    if not later:
        fail_if(at >= len(seen), "truncated")
        fail_if(seen[at] not in (QUERY, REPORT, DONE, REPORT2), "not_mld")
        fail_if(at + 4 > payload_length, "truncated")
    fail_if(cut, "truncated")
    return walk


def each_option(header: bytes) -> list[tuple[int, bytes]] | None:
    """The options of a header, padding included; None where one runs past the end."""
    found, at = [], 2
    while at < len(header):
        if header[at] == PAD1:
            found.append((PAD1, b""))
            at += 1
            continue
        if at + 2 > len(header) or at + 2 + header[at + 1] > len(header):
            return None
        found.append((header[at], header[at + 2 : at + 2 + header[at + 1]]))
        at += 2 + header[at + 1]
    return found


def options_are_sound(header: bytes) -> bool:
    options = each_option(header)
    return options is not None and all(kind in (PAD1, PADN, ROUTER_ALERT) or kind >> 6 == 0 for kind, _ in options)


def router_alerts(header: bytes) -> list[bytes]:
    return [data for kind, data in each_option(header) or [] if kind == ROUTER_ALERT]


def length_is_right(message: bytes, link: Link) -> bool:
    if message[0] == REPORT2:
        return len(message) >= 8
    if len(message) < 24:
        return False
    if message[0] != QUERY or link.v1_only or len(message) == 24:
        return True
    if len(message) < 28:
        return False
    sources = int.from_bytes(message[26:28], "big")
    if len(message) < 28 + 16 * sources:
        return False
    return sources == 0 or message[8:24] != UNSPECIFIED


def checksum(source: bytes, destination: bytes, message: bytes) -> int:
    """Zero when the checksum inside the message is right (RFC 4443 section 2.3)."""
    octets = source + destination + len(message).to_bytes(4, "big") + bytes([0, 0, 0, ICMPV6]) + message
    octets += bytes(len(octets) % 2)
    # 65536 is 1 modulo 65535, so the remainder is the ones' complement sum of the 16-bit words.
    return -int.from_bytes(octets, "big") % 0xFFFF


def destination_is_right(mac: bytes, destination: bytes, message: bytes, link: Link) -> bool:
    if destination[0] == 0xFF and mac not in (b"\x33\x33" + destination[12:], link.mac):
        return False
    if message[0] == QUERY:
        return destination in (ALL_NODES, link.link_local) or destination in link.listened
    if message[0] == REPORT:
        return destination == message[8:24]
    return True


def group_is_right(message: bytes) -> bool:
    if message[0] == REPORT2:
        return True
    group = message[8:24]
    return group[0] == 0xFF or (message[0] == QUERY and group == UNSPECIFIED)


def kind_of(message: bytes, link: Link) -> str:
    if message[0] != QUERY:
        return {REPORT: "report", DONE: "done", REPORT2: "report2"}[message[0]]
    if message[8:24] == UNSPECIFIED:
        return "general_query"
    if not link.v1_only and len(message) >= 28 and message[26:28] != b"\0\0":
        return "source_query"
    return "group_query"
