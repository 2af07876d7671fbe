"""The builders of the tests against scapy, which built the same frames from its own reading of the RFCs."""

import pytest
from scapy.layers.inet6 import (
    ICMPv6MLDMultAddrRec,
    ICMPv6MLDone,
    ICMPv6MLQuery,
    ICMPv6MLQuery2,
    ICMPv6MLReport,
    ICMPv6MLReport2,
    IPv6,
    IPv6ExtHdrHopByHop,
    PadN,
    RouterAlert,
)
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet

import frames
from model.listener import Interface, build

GROUP = "ff05::101"
MAC = "02:00:00:00:00:01"
ROUTER_MAC = "02:00:00:00:00:fe"


def scapy_frame(destination: str, message: Packet, *, mac: str, own: bool = False, vlan: int | None = None) -> bytes:
    ether = Ether(src=MAC if own else ROUTER_MAC, dst=mac)
    if vlan is not None:
        ether = ether / Dot1Q(vlan=vlan)
    ip = IPv6(src="fe80::1" if own else "fe80::fe", dst=destination, hlim=1)
    options = IPv6ExtHdrHopByHop(options=[RouterAlert(value=0), PadN()])
    return bytes(ether / ip / options / message)


@pytest.mark.parametrize(
    ("ours", "destination", "mac", "message"),
    [
        (frames.query(), "ff02::1", "33:33:00:00:00:01", ICMPv6MLQuery(mrd=10_000)),
        (
            frames.query(GROUP, 1000),
            GROUP,
            "33:33:00:00:01:01",
            ICMPv6MLQuery(mrd=1000, mladdr=GROUP),
        ),
        (frames.query(destination="fe80::1"), "fe80::1", MAC, ICMPv6MLQuery(mrd=10_000)),
        (frames.report(GROUP), GROUP, "33:33:00:00:01:01", ICMPv6MLReport(mladdr=GROUP)),
        (frames.done(GROUP), "ff02::2", "33:33:00:00:00:02", ICMPv6MLDone(mladdr=GROUP)),
        (
            frames.query2(GROUP, 0x8001, (frames.ROUTER, frames.LINK_LOCAL)),
            GROUP,
            "33:33:00:00:01:01",
            ICMPv6MLQuery2(
                mrd=0x8001, mladdr=GROUP, S=0, QRV=2, QQIC=125, sources=["fe80::fe", "fe80::1"], sources_number=2
            ),
        ),
        (
            frames.report2((frames.record(4, GROUP), frames.record(1, GROUP, (frames.ROUTER,)))),
            "ff02::16",
            "33:33:00:00:00:16",
            ICMPv6MLReport2(
                records_number=2,
                records=[
                    ICMPv6MLDMultAddrRec(rtype=4, dst=GROUP),
                    ICMPv6MLDMultAddrRec(rtype=1, dst=GROUP, sources_number=1, sources=["fe80::fe"]),
                ],
            ),
        ),
    ],
)
def test_scapy_builds_the_same_octets(ours: bytes, destination: str, mac: str, message: Packet) -> None:
    assert ours.hex() == scapy_frame(destination, message, mac=mac).hex()


@pytest.mark.parametrize("vlan", [None, 0, 4094])
def test_scapy_builds_what_the_model_sends(vlan: int | None) -> None:
    interface = Interface(0, frames.MAC, frames.LINK_LOCAL, vlan=vlan)
    group = frames.address(GROUP)
    report = scapy_frame(GROUP, ICMPv6MLReport(mladdr=GROUP), mac="33:33:00:00:01:01", own=True, vlan=vlan)
    done = scapy_frame("ff02::2", ICMPv6MLDone(mladdr=GROUP), mac="33:33:00:00:00:02", own=True, vlan=vlan)
    assert build(interface, "report", group, frames.LINK_LOCAL).hex() == report.hex()
    assert build(interface, "done", group, frames.LINK_LOCAL).hex() == done.hex()


def test_a_base_frame_is_86_octets() -> None:
    assert {len(frame) for frame in (frames.query(), frames.report(GROUP), frames.done(GROUP))} == {86}


def test_the_repaired_checksum_is_the_one_built() -> None:
    frame = frames.query2(GROUP, 5, (frames.ROUTER,))
    spoilt = frame[:64] + b"\x12\x34" + frame[66:]
    assert frames.repair_checksum(spoilt, 14, 62) == frame
