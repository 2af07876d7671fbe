"""Frames for the tests, built octet by octet, right by default and wrong wherever a test wants one wrong."""

from dataclasses import dataclass, field
from ipaddress import IPv6Address

MAC = bytes.fromhex("020000000001")
LINK_LOCAL = IPv6Address("fe80::1").packed
ROUTER_MAC = bytes.fromhex("0200000000fe")
ROUTER = IPv6Address("fe80::fe").packed
ALL_NODES = IPv6Address("ff02::1").packed
ALL_ROUTERS = IPv6Address("ff02::2").packed
ALL_MLDV2_ROUTERS = IPv6Address("ff02::16").packed
ANY = bytes(16)

ROUTER_ALERT = bytes([5, 2, 0, 0])
PADN_0 = bytes([1, 0])
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION, ICMPV6 = 0, 43, 44, 60, 58
QUERY, REPORT, DONE, REPORT2 = 130, 131, 132, 143


def address(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else IPv6Address(text).packed


def multicast_mac(destination: bytes) -> bytes:
    """RFC 2464 section 7."""
    return b"\x33\x33" + destination[12:]


def checksum(source: bytes, destination: bytes, message: bytes) -> int:
    """What belongs into octets 2 and 3 of a message in which they are zero (RFC 4443 section 2.3)."""
    octets = source + destination + len(message).to_bytes(4, "big") + b"\0\0\0\x3a" + message
    words = [int.from_bytes(octets[i : i + 2].ljust(2, b"\0"), "big") for i in range(0, len(octets), 2)]
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def options_header(options: bytes, length: int | None = None) -> bytes:
    """A hop-by-hop or destination header less its first octet, the next header."""
    padding = -(2 + len(options)) % 8
    if padding == 1:
        options += b"\0"
    elif padding:
        options += bytes([1, padding - 2]) + bytes(padding - 2)
    return bytes([(2 + len(options)) // 8 - 1 if length is None else length]) + options


@dataclass
class Frame:
    """One frame and every knob. `bytes(frame)` builds it."""

    message: bytes  # with a checksum of zero
    destination: bytes
    source: bytes = ROUTER
    mac_destination: bytes | None = None
    mac_source: bytes = ROUTER_MAC
    tags: tuple[bytes, ...] = ()  # four octets each
    ethertype: int = 0x86DD
    version: int = 6
    hop_limit: int = 1
    options: bytes | None = ROUTER_ALERT + PADN_0  # of the hop-by-hop header, padded to fit; None: no header
    extensions: list[tuple[int, bytes]] = field(default_factory=list)  # (type, header less its first octet)
    last_next_header: int = ICMPV6
    payload_length: int | None = None
    checksum_off_by: int = 0
    padding: bytes = b""  # behind the Payload Length

    def headers(self) -> list[tuple[int, bytes]]:
        first = [] if self.options is None else [(HOP_BY_HOP, options_header(self.options))]
        return first + self.extensions

    def payload(self) -> bytes:
        headers = self.headers()
        following = [kind for kind, _ in headers[1:]] + [self.last_next_header]
        chain = b"".join(bytes([after]) + body for (_, body), after in zip(headers, following, strict=False))
        right = checksum(self.source, self.destination, self.message)
        wrong = (right + self.checksum_off_by) & 0xFFFF
        message = self.message
        if len(message) >= 4:
            message = message[:2] + wrong.to_bytes(2, "big") + message[4:]
        return chain + message

    def __bytes__(self) -> bytes:
        payload = self.payload()
        headers = self.headers()
        first = headers[0][0] if headers else self.last_next_header
        length = len(payload) if self.payload_length is None else self.payload_length
        mac = self.mac_destination
        if mac is None:
            mac = multicast_mac(self.destination) if self.destination[0] == 0xFF else MAC
        return (
            mac
            + self.mac_source
            + b"".join(self.tags)
            + self.ethertype.to_bytes(2, "big")
            + bytes([self.version << 4, 0, 0, 0])
            + length.to_bytes(2, "big")
            + bytes([first, self.hop_limit])
            + self.source
            + self.destination
            + payload
            + self.padding
        )


def message(kind: int, group: bytes, delay_ms: int = 0, code: int = 0, reserved: int = 0) -> bytes:
    return bytes([kind, code, 0, 0]) + delay_ms.to_bytes(2, "big") + reserved.to_bytes(2, "big") + group


def query_frame(
    group: str | bytes = ANY,
    delay_ms: int = 10_000,
    *,
    destination: str | bytes | None = None,
    code: int = 0,
    reserved: int = 0,
    extra: bytes = b"",
    **knobs: object,
) -> Frame:
    """An MLDv1 Query, General unless a group is named; sent to the group that it asks about (RFC 2710 section 5)."""
    group = address(group)
    if destination is None:
        destination = ALL_NODES if group == ANY else group
    body = message(QUERY, group, delay_ms, code, reserved) + extra
    return Frame(body, address(destination), **knobs)  # type: ignore[arg-type]


def report_frame(
    group: str | bytes,
    *,
    destination: str | bytes | None = None,
    delay_ms: int = 0,
    code: int = 0,
    reserved: int = 0,
    extra: bytes = b"",
    source: bytes = ROUTER,
    **knobs: object,
) -> Frame:
    group = address(group)
    to = group if destination is None else address(destination)
    body = message(REPORT, group, delay_ms, code, reserved) + extra
    return Frame(body, to, source, **knobs)  # type: ignore[arg-type]


def done_frame(
    group: str | bytes,
    *,
    destination: str | bytes = ALL_ROUTERS,
    delay_ms: int = 0,
    code: int = 0,
    reserved: int = 0,
    extra: bytes = b"",
    **knobs: object,
) -> Frame:
    body = message(DONE, address(group), delay_ms, code, reserved) + extra
    return Frame(body, address(destination), **knobs)  # type: ignore[arg-type]


def query2_frame(
    group: str | bytes = ANY,
    response_code: int = 10_000,
    sources: tuple[bytes, ...] = (),
    *,
    count: int | None = None,
    flags: int = 2,
    interval_code: int = 125,
    destination: str | bytes | None = None,
    code: int = 0,
    reserved: int = 0,
    extra: bytes = b"",
    **knobs: object,
) -> Frame:
    """An MLDv2 Query (RFC 9777 section 5.1)."""
    count = len(sources) if count is None else count
    tail = bytes([flags, interval_code]) + count.to_bytes(2, "big") + b"".join(sources) + extra
    return query_frame(group, response_code, destination=destination, code=code, reserved=reserved, extra=tail, **knobs)


def record(kind: int, group: str | bytes, sources: tuple[bytes, ...] = (), count: int | None = None) -> bytes:
    """A Multicast Address Record (RFC 9777 section 5.2.4) without auxiliary data."""
    count = len(sources) if count is None else count
    return bytes([kind, 0]) + count.to_bytes(2, "big") + address(group) + b"".join(sources)


def report2_frame(
    records: tuple[bytes, ...] = (),
    *,
    count: int | None = None,
    destination: str | bytes = ALL_MLDV2_ROUTERS,
    extra: bytes = b"",
    **knobs: object,
) -> Frame:
    """An MLDv2 Report (RFC 9777 section 5.2)."""
    count = len(records) if count is None else count
    body = bytes([REPORT2, 0, 0, 0, 0, 0]) + count.to_bytes(2, "big") + b"".join(records) + extra
    return Frame(body, address(destination), **knobs)  # type: ignore[arg-type]


def query(*args: object, **knobs: object) -> bytes:
    return bytes(query_frame(*args, **knobs))  # type: ignore[arg-type]


def report(*args: object, **knobs: object) -> bytes:
    return bytes(report_frame(*args, **knobs))  # type: ignore[arg-type]


def done(*args: object, **knobs: object) -> bytes:
    return bytes(done_frame(*args, **knobs))  # type: ignore[arg-type]


def query2(*args: object, **knobs: object) -> bytes:
    return bytes(query2_frame(*args, **knobs))  # type: ignore[arg-type]


def report2(*args: object, **knobs: object) -> bytes:
    return bytes(report2_frame(*args, **knobs))  # type: ignore[arg-type]


def repair_checksum(frame: bytes, ip: int, message_at: int) -> bytes:
    """The frame with the checksum that its octets ask for: IPv6 begins at ip, the message runs to the frame's end."""
    body = frame[message_at : message_at + 2] + b"\0\0" + frame[message_at + 4 :]
    right = checksum(frame[ip + 8 : ip + 24], frame[ip + 24 : ip + 40], body)
    return frame[: message_at + 2] + right.to_bytes(2, "big") + frame[message_at + 4 :]
