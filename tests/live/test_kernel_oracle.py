"""The Linux kernel as a second opinion: the same crafted Queries to its listener and to ours, and who answers.

Where the two differ stands in WAIVERS, and in docs/rfc-map.md with the section that decides. A waiver that is no longer
true fails as a difference does that has none.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import frames
from frames import Frame, query2_frame, query_frame
from lab import ITS_OWN_S, Lab, Listener, Namespace, arriving

pytestmark = pytest.mark.live

DELAY_MS = 100
FIRST = int.from_bytes(frames.address("ff05::1:0"))


@dataclass
class Asked:
    """Whom a crafted Query goes to."""

    mac: bytes
    link_local: bytes
    another: bytes  # a group that it listens to beside


Craft = Callable[[bytes, Asked], Frame]


def message_of(length: int) -> Craft:
    """A Query of so many octets of message."""

    def craft(group: bytes, asked: Asked) -> Frame:
        frame = query_frame(group, DELAY_MS)
        return replace(frame, message=frame.message[:length].ljust(length, b"\0"))

    return craft


def with_(**knobs: object) -> Craft:
    return lambda group, asked: query_frame(group, DELAY_MS, **knobs)  # type: ignore[arg-type]


def from_(source: str) -> Craft:
    return with_(source=frames.address(source))


def to_(destination: str) -> Craft:
    return with_(destination=destination)


def options(*parts: bytes) -> Craft:
    return with_(options=b"".join(parts))


def version2(**knobs: object) -> Craft:
    return lambda group, asked: query2_frame(group, DELAY_MS, **knobs)  # type: ignore[arg-type]


def header(kind: int, body: str) -> Craft:
    """An extension header behind the hop-by-hop header, less its first octet."""
    return with_(extensions=[(kind, bytes.fromhex(body))])


ALERT, PAD1 = frames.ROUTER_ALERT, b"\0"
SOURCE = frames.address("2001:db8::1")

# By name: a Query for one group, crafted. Each asks for a group of its own, so that all of them go out at once.
QUERIES: dict[str, Craft] = {
    # These come first: once a kernel of version 2 has heard a version 1 Query, everything is version 1 to it.
    "version_2_reserved_octets": version2(flags=0xFF, reserved=0xFFFF),
    "version_2_for_a_source": version2(sources=(SOURCE,)),
    "version_2_count_ffff": version2(count=0xFFFF),
    "version_2_count_1000": version2(count=0x1000),
    "version_2": version2(),
    "message_of_27": message_of(27),
    "message_of_25": message_of(25),
    "plain": with_(),
    "to_all_nodes": to_("ff02::1"),
    "delay_0": lambda group, asked: query_frame(group, 0),
    "hop_limit_0": with_(hop_limit=0),
    "hop_limit_2": with_(hop_limit=2),
    "hop_limit_255": with_(hop_limit=255),
    "no_options": with_(options=None),
    "no_router_alert": options(bytes([1, 4, 0, 0, 0, 0])),
    "router_alert_1": options(bytes([5, 2, 0, 1, 1, 0])),
    "router_alert_behind_padding": options(bytes([1, 0]), ALERT),
    "router_alert_of_3_octets": options(bytes([5, 3, 0, 0, 0])),
    "router_alert_in_destination_options": with_(
        options=None, extensions=[(frames.DESTINATION, frames.options_header(ALERT))]
    ),
    "two_router_alerts": options(ALERT, ALERT),
    "router_alerts_0_and_1": options(ALERT, bytes([5, 2, 0, 1])),
    "option_to_skip": options(ALERT, bytes([0x1E, 0])),
    "option_to_discard": options(ALERT, bytes([0x5E, 0])),
    "option_to_discard_and_complain": options(ALERT, bytes([0x9E, 0])),
    "option_across_the_end": options(ALERT, bytes([1, 9])),
    "option_length_255": options(ALERT, bytes([1, 255])),
    "eight_octets_of_padding": options(ALERT, PAD1 * 8, bytes([0x1E, 0])),
    "padding_that_is_not_zero": options(ALERT, bytes([1, 6]), b"padded"),
    "from_nowhere": from_("::"),
    "from_a_global_address": from_("2001:db8::1"),
    "from_a_site_local_address": from_("fec0::1"),
    "from_fe80_1": from_("fe80:1::1"),
    "from_febf": from_("febf::1"),
    "from_a_group": from_("ff02::1"),
    "from_its_own_address": lambda group, asked: query_frame(group, DELAY_MS, source=asked.link_local),
    "to_its_own_address": lambda group, asked: query_frame(
        group, DELAY_MS, destination=asked.link_local, mac_destination=asked.mac
    ),
    "to_another_group": lambda group, asked: query_frame(group, DELAY_MS, destination=asked.another),
    "to_all_routers": to_("ff02::2"),
    "to_a_group_that_nobody_joined": to_("ff05::ffff"),
    "mac_of_all_routers": with_(destination="ff02::1", mac_destination=bytes.fromhex("333300000002")),
    "mac_of_its_own": lambda group, asked: query_frame(group, DELAY_MS, mac_destination=asked.mac),
    "checksum_wrong": with_(checksum_off_by=1),
    "code_1": with_(code=1),
    "code_255": with_(code=255),
    "reserved_octets": with_(reserved=0xFFFF),
    "ethernet_padding": with_(padding=bytes(20)),
    "cut_short": with_(payload_length=33),
    "payload_length_0": with_(payload_length=0),
    "message_of_4": message_of(4),
    "message_of_8": message_of(8),
    "message_of_23": message_of(23),
    "fragment_atomic": header(frames.FRAGMENT, "00000000000007"),
    "fragment_first_of_many": header(frames.FRAGMENT, "00000100000007"),
    "fragment_not_first": header(frames.FRAGMENT, "00000800000007"),
    "routing_header": header(frames.ROUTING, "00020000000000"),
    "routing_header_with_segments": header(frames.ROUTING, "00020100000000"),
    "destination_options": header(frames.DESTINATION, "000104 00000000"),
}  # fmt: skip
# Those of them that are sent as General Queries too.
GENERAL = (
    "plain", "hop_limit_2", "two_router_alerts", "from_nowhere", "checksum_wrong", "fragment_atomic", "version_2",
)  # fmt: skip

LINUX, FASTMLD = "Linux", "fastmld"
LAXER = (
    "two_router_alerts",
    "fragment_atomic",
    "from_fe80_1",
    "from_febf",
    "from_its_own_address",
    "mac_of_all_routers",
)
STRICTER = ("eight_octets_of_padding", "padding_that_is_not_zero")
OF_VERSION_2 = ("version_2_count_ffff", "version_2_count_1000", "message_of_25", "message_of_27")
# Who alone answers, beside a kernel that is told to speak version 1, and beside one that speaks version 2 too.
WAIVERS = {1: dict.fromkeys(LAXER, LINUX) | dict.fromkeys(STRICTER, FASTMLD)}
WAIVERS[0] = WAIVERS[1] | dict.fromkeys(OF_VERSION_2, FASTMLD)


class Side:
    """A listener at the end of a cable, and a packet socket at the other end."""

    def __init__(self, namespace: Namespace, interface: str, peer: Namespace, port: str) -> None:
        self.packets = peer.packet_socket(port)
        self._mac = bytes.fromhex(namespace.mac(interface).replace(":", ""))
        self._link_local = frames.address(namespace.link_local(interface))

    def send(self, craft: Craft, group: bytes) -> None:
        self.packets.send(bytes(craft(group, Asked(self._mac, self._link_local, groups(1)[0]))))

    def answers(self, seconds: float) -> list[bytes]:
        """The groups that it reported, in Reports of either version."""
        said: list[bytes] = []
        for frame in arriving(self.packets, seconds):
            if frame[6:12] != self._mac or frame[12:14] != b"\x86\xdd" or frame[20:21] != b"\0":
                continue
            if frame[62] == frames.REPORT:
                said.append(frame[70:86])
            elif frame[62] == frames.REPORT2:
                said += records(frame[62:])
        return [group for group in said if group[:2] == b"\xff\x05"]


def records(message: bytes) -> list[bytes]:
    found, at = [], 8
    for _ in range(int.from_bytes(message[6:8], "big")):
        sources = int.from_bytes(message[at + 2 : at + 4], "big")
        found.append(message[at + 4 : at + 20])
        at += 20 + 16 * sources + 4 * message[at + 1]
    return found


def groups(n: int) -> list[bytes]:
    return [(FIRST + i).to_bytes(16) for i in range(n)]


@contextmanager
def sides(lab: Lab, version: int) -> Iterator[dict[str, Side]]:
    """Both listeners with the same groups, done with joining."""
    kernel, peer, host = lab.namespace(), lab.namespace(), lab.first
    n = 1 + len(QUERIES)
    lab.veth(host, "v0", peer, "p0")
    lab.veth(kernel, "k0", peer, "p1")
    for port in ("p0", "p1"):
        peer.sysctl(f"ipv6.conf.{port}.disable_ipv6", 1)
    kernel.sysctl("ipv6.conf.k0.force_mld_version", version)
    for key in ("mldv1_unsolicited_report_interval", "mldv2_unsolicited_report_interval"):
        kernel.sysctl(f"ipv6.conf.k0.{key}", 10)
    time.sleep(ITS_OWN_S)
    joining = kernel.start(sys.executable, "-m", "fastmld_bench.wire.join", "k0", "ff05::1:0", str(n))
    assert joining.stdout.readline() == "joined\n"
    listener = Listener(host, "v0", f"ff05::1:0+{n}", '{"unsolicited_report_repeats": 0}')
    listener.wait_for(lambda line: line["v0"]["sent"] == n)
    both = {LINUX: Side(kernel, "k0", peer, "p1"), FASTMLD: Side(host, "v0", peer, "p0")}
    for side in both.values():
        side.answers(0.3)
    try:
        yield both
    finally:
        for side in both.values():
            side.packets.close()


@pytest.mark.parametrize("version", [1, 0])
@pytest.mark.slow
def test_who_answers(lab: Lab, version: int) -> None:
    with sides(lab, version) as both:
        answered = ask_both(both)
    alone = {name: next(iter(who)) for name, who in answered.items() if len(who) == 1}
    waived = WAIVERS[version]
    waived = waived | {f"general: {name}": who for name, who in waived.items() if name in GENERAL}
    assert alone == waived
    assert answered["plain"] == answered["general: plain"] == {LINUX, FASTMLD}
    assert not answered["checksum_wrong"] and not answered["hop_limit_2"]


def ask_both(both: dict[str, Side]) -> dict[str, set[str]]:
    """Who answered to each Query."""
    asked = dict(zip(QUERIES, groups(1 + len(QUERIES))[1:], strict=True))
    for name, group in asked.items():
        for side in both.values():
            side.send(QUERIES[name], group)
        time.sleep(0.003)  # the kernel's own queue holds 32 Queries
    said = {who: set(side.answers(0.5)) for who, side in both.items()}
    answered = {name: {who for who in said if group in said[who]} for name, group in asked.items()}

    for name in GENERAL:
        for side in both.values():
            side.send(QUERIES[name], frames.ANY)
        everybody = {who: set(side.answers(0.4)) for who, side in both.items()}
        assert all(len(groups) in (0, 1 + len(QUERIES)) for groups in everybody.values()), name
        answered[f"general: {name}"] = {who for who, groups in everybody.items() if groups}
    return answered


def test_every_waiver_has_its_section() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "rfc-map.md").read_text()
    for name in WAIVERS[1] | WAIVERS[0]:
        line = next(line for line in page.splitlines() if line.startswith("|") and f"`{name}`" in line)
        assert "RFC" in line
