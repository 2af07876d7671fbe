"""What an engine says, decoded by scapy and held to rules N1 and N2 on the way."""

from typing import NamedTuple

from scapy.layers.inet6 import (
    ICMPv6MLDone,
    ICMPv6MLReport,
    IPv6,
    IPv6ExtHdrHopByHop,
    PadN,
    RouterAlert,
    in6_chksum,
)
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import NoPayload

import fastmld


class Said(NamedTuple):
    time_ms: int
    kind: str
    group: str
    source: str
    interface: int


def decode(frame: bytes) -> tuple[str, str, str]:
    """Kind, group and source of a Report or a Done that has every octet where RFC 2710 and RFC 2711 want it."""
    ether = Ether(frame)
    ip = ether[IPv6]
    options, message = ip.payload, ip.payload.payload
    assert type(ether.payload) in (IPv6, Dot1Q)
    assert type(options) is IPv6ExtHdrHopByHop
    assert type(message) in (ICMPv6MLReport, ICMPv6MLDone)
    assert type(message.payload) is NoPayload

    assert ip.version == 6 and ip.tc == 0 and ip.fl == 0 and ip.plen == 32 and ip.hlim == 1
    alert, padding = options.options
    assert type(alert) is RouterAlert and alert.value == 0 and alert.optlen == 2
    assert type(padding) is PadN and padding.optlen == 0
    assert message.code == 0 and message.reserved == 0 and message.mrd == 0
    assert in6_chksum(58, ip, bytes(message)) == 0

    kind = "report" if type(message) is ICMPv6MLReport else "done"
    assert ip.dst == (message.mladdr if kind == "report" else "ff02::2")
    octets = frame[ether[IPv6].original and frame.index(ether[IPv6].original) + 24 :][:16]
    assert frame[:6] == b"\x33\x33" + octets[12:]
    return kind, message.mladdr, ip.src


def said(engine: fastmld.Engine) -> list[Said]:
    """All that may leave now."""
    out = engine.transmit(limit=1 << 24)
    return [
        Said(time_ms, *decode(frame), interface)
        for frame, time_ms, interface in zip(out, out.times_ms.tolist(), out.interfaces.tolist(), strict=True)
    ]


def briefly(engine: fastmld.Engine) -> list[tuple[int, str, str]]:
    return [one[:3] for one in said(engine)]


def run(engine: fastmld.Engine, until_ms: int) -> list[Said]:
    """Virtual time from deadline to deadline."""
    heard = said(engine)
    while (deadline_ms := engine.next_deadline_ms()) is not None and deadline_ms <= until_ms:
        engine.advance(now_ms=deadline_ms)
        heard += said(engine)
    engine.advance(now_ms=until_ms)
    return heard + said(engine)
