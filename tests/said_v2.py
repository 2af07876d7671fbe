"""What MLDv2 Reports say, decoded by scapy and held to the form of RFC 9777 section 5 on the way."""

from typing import NamedTuple

from scapy.layers.inet6 import (
    ICMPv6MLDMultAddrRec,
    ICMPv6MLReport2,
    IPv6,
    IPv6ExtHdrHopByHop,
    PadN,
    RouterAlert,
    in6_chksum,
)
from scapy.layers.l2 import Dot1Q, Ether

import fastmld
import said

IS_IN, IS_EX, TO_IN, TO_EX, ALLOW, BLOCK = "IS_IN", "IS_EX", "TO_IN", "TO_EX", "ALLOW", "BLOCK"
TYPES = ("", IS_IN, IS_EX, TO_IN, TO_EX, ALLOW, BLOCK)  # section 5.2.12
REPORT2 = 143

Record = tuple[str, str, tuple[str, ...]]  # type, multicast address, sources


class Report2(NamedTuple):
    time_ms: int
    records: list[Record]
    source: str


def is_report2(frame: bytes) -> bool:
    at = 14 + 4 * (frame[12:14] == b"\x81\x00")
    return frame[at + 48 : at + 49] == bytes([REPORT2])


def decode(frame: bytes) -> tuple[list[Record], str]:
    """Records and source of a Report that has every octet where RFC 9777, RFC 2711 and RFC 2464 want it."""
    ether = Ether(frame)
    ip = ether[IPv6]
    options = ip.payload
    assert ether.dst == "33:33:00:00:00:16"
    assert type(ether.payload) in (IPv6, Dot1Q)
    assert ip.version == 6 and ip.tc == 0 and ip.fl == 0 and ip.hlim == 1 and ip.dst == "ff02::16"
    assert type(options) is IPv6ExtHdrHopByHop
    alert, padding = options.options
    assert type(alert) is RouterAlert and alert.value == 0 and alert.optlen == 2
    assert type(padding) is PadN and padding.optlen == 0
    report = options.payload
    assert type(report) is ICMPv6MLReport2
    octets = frame[-(ip.plen - 8) :]
    assert in6_chksum(58, ip, octets) == 0
    assert octets[1] == 0 and report.reserved == 0
    records, rest = [], octets[8:]
    while rest:
        size = 20 + 16 * int.from_bytes(rest[2:4], "big")
        # One at a time: scapy takes the next record for the payload of the last one, and gives up after 186.
        record, rest = ICMPv6MLDMultAddrRec(rest[:size]), rest[size:]
        assert record.auxdata_len == 0 and record.sources_number == len(record.sources)
        assert len(set(record.sources)) == len(record.sources)
        records.append((TYPES[record.rtype], record.dst, tuple(record.sources)))
    assert len(records) == report.records_number > 0
    assert not any(kind in (IS_IN, ALLOW, BLOCK) and not sources for kind, _, sources in records)
    return records, ip.src


def reports(engine: fastmld.Engine) -> list[Report2]:
    """All Reports that may leave now; there is nothing else."""
    out = engine.transmit(limit=1 << 24)
    return [Report2(time_ms, *decode(frame)) for frame, time_ms in zip(out, out.times_ms.tolist(), strict=True)]


def records(engine: fastmld.Engine) -> list[Record]:
    """All that is said now, whatever the frames."""
    return [record for report in reports(engine) for record in report.records]


def until(engine: fastmld.Engine, until_ms: int) -> list[Report2]:
    """Virtual time from deadline to deadline."""
    heard = reports(engine)
    while (deadline_ms := engine.next_deadline_ms()) is not None and deadline_ms <= until_ms:
        engine.advance(now_ms=deadline_ms)
        heard += reports(engine)
    engine.advance(now_ms=until_ms)
    return heard + reports(engine)


def whatever(engine: fastmld.Engine) -> list[tuple[int, str, object]]:
    """(time, kind, what) of all that may leave now, of both versions."""
    out = engine.transmit(limit=1 << 24)
    heard: list[tuple[int, str, object]] = []
    for frame, time_ms in zip(out, out.times_ms.tolist(), strict=True):
        if is_report2(frame):
            heard.append((time_ms, "report2", decode(frame)[0]))
        else:
            heard.append((time_ms, *said.decode(frame)[:2]))
    return heard
