"""The ladder of validity.md: each rung by name, their order, masses of frames against the plain model."""

import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastmld
import frames
from frames import Frame
from model import ladder

GROUP = frames.address("ff05::101")
SILENT = frames.address("ff01::5")  # listened to, never spoken of
DELAYED = frames.address("ff05::102")  # listened to, not ready yet
STRANGE = frames.address("ff05::999")
UNICAST = frames.address("2001:db8::5")
SOURCES = (frames.address("2001:db8::1"), frames.address("2001:db8::2"))

BASES = {
    "general": frames.query_frame(),
    "specific": frames.query_frame(GROUP, 1000),
    "report": frames.report_frame(GROUP),
    "done": frames.done_frame(GROUP),
    "general2": frames.query2_frame(),
    "source2": frames.query2_frame(GROUP, 1000, SOURCES),
    "report2": frames.report2_frame((frames.record(4, GROUP), frames.record(1, STRANGE, SOURCES))),
}


class Bench:
    """One engine with an interface of each kind that the ladder knows, and what the model is told of them."""

    def __init__(self) -> None:
        self.engine = fastmld.Engine(seed=0)
        self.links: dict[str, tuple[int, ladder.Link]] = {}
        self.frames: dict[int, int] = {}
        for name, profile, own, version in (
            ("strict", "strict", frames.LINK_LOCAL, 1),
            ("loose", "rfc2710", frames.LINK_LOCAL, 1),
            ("homeless", "strict", None, 1),
            ("both", "strict", frames.LINK_LOCAL, 2),
        ):
            try:
                lan = self.engine.add_interface(
                    name, mac="02:00:00:00:00:01", link_local=own, profile=profile, mld_version=version
                )
            except (ValueError, NotImplementedError, fastmld.FastMLDError):
                assert version == 2
                continue
            self.engine.join(lan, GROUP, now_ms=0)
            self.engine.join(lan, SILENT, now_ms=0)
            self.engine.join(lan, DELAYED, now_ms=0, delay_ms=1 << 40)
            listened = {GROUP, SILENT, DELAYED}
            link = ladder.Link(frames.MAC, own, profile == "strict", version == 1, listened)
            self.links[name] = lan, link
            self.frames[lan] = 0

    def judge(self, batch: list[bytes], link: str = "strict") -> list[tuple[str, str | None]]:
        if link not in self.links:
            pytest.skip("the engine has no MLDv2 yet")
        lan, _ = self.links[link]
        kinds = np.full(len(batch), 99, dtype=np.uint8)
        verdicts = self.engine.receive(fastmld.FrameBatch.from_list(batch, interfaces=lan), now_ms=0, kinds=kinds)
        self.frames[lan] += len(batch)
        self.engine.transmit()
        return [(fastmld.VERDICTS[v], fastmld.KINDS[k]) for v, k in zip(verdicts, kinds, strict=True)]

    def agree(self, batch: Iterable[bytes], links: Iterable[str] | None = None) -> None:
        batch = list(batch)
        for name in self.links if links is None else links:
            _, link = self.links[name]
            for frame, found in zip(batch, self.judge(batch, name), strict=True):
                assert found == ladder.judge(frame, link), (name, frame.hex())


@pytest.fixture(scope="module")
def bench() -> Iterable[Bench]:
    bench = Bench()
    yield bench
    for lan, count in bench.frames.items():
        counters = bench.engine.counters(lan)
        assert counters["frames"] == count == sum(counters[name] for name in fastmld.VERDICTS)
        assert counters["accepted"] == sum(counters[kind] for kind in fastmld.KINDS[1:])


def tag(protocol: int, vlan: int = 5) -> bytes:
    return protocol.to_bytes(2, "big") + vlan.to_bytes(2, "big")


def behind(kind: int, body: bytes, base: Frame = BASES["general"], last: int = frames.ICMPV6) -> bytes:
    """The base frame with one more header behind the hop-by-hop header."""
    return bytes(replace(base, extensions=[(kind, body)], last_next_header=last))


def options(data: bytes, base: Frame = BASES["general"]) -> bytes:
    return bytes(replace(base, options=data))


def of_length(kind: int, length: int) -> bytes:
    body = frames.message(kind, GROUP if kind == frames.REPORT else frames.ANY) + bytes(64)
    destination = {frames.REPORT: GROUP, frames.DONE: frames.ALL_ROUTERS}.get(kind, frames.ALL_NODES)
    return bytes(Frame(body[:length], destination))


EMPTY = frames.options_header(b"")
ATOMIC = bytes(7)
FIRST = b"\0\0\x01" + bytes(4)
LATER = b"\0\0\x08" + bytes(4)
PLAIN = bytes(BASES["general"])
TAGGED = bytes(replace(BASES["general"], tags=(tag(0x8100), tag(0x88A8))))
RA, PADN_0 = frames.ROUTER_ALERT, frames.PADN_0

RUNGS: list[tuple[str, str, bytes]] = [
    ("accepted", "general_query", PLAIN),
    ("accepted", "general_query", frames.query(destination="fe80::1")),
    ("accepted", "general_query", frames.query(destination=GROUP)),
    ("accepted", "general_query", frames.query(destination=SILENT)),
    ("accepted", "general_query", frames.query(destination=DELAYED)),
    ("accepted", "general_query", frames.query(mac_destination=frames.MAC)),
    ("accepted", "general_query", frames.query(code=255, reserved=65_535)),
    ("accepted", "general_query", frames.query(padding=b"\xff" * 20)),
    ("accepted", "general_query", TAGGED),
    ("accepted", "group_query", frames.query(GROUP)),
    ("accepted", "group_query", frames.query(STRANGE, destination=frames.ALL_NODES)),
    ("accepted", "group_query", frames.query(frames.ALL_NODES)),
    ("accepted", "report", frames.report("ff05::1")),
    ("accepted", "group_query", frames.query("ff02::1")),
    ("accepted", "report", frames.report(GROUP)),
    ("accepted", "report", frames.report(STRANGE, delay_ms=5, extra=b"abc")),
    ("accepted", "done", frames.done(GROUP)),
    ("accepted", "done", frames.done(GROUP, destination="2001:db8::5")),
    ("accepted", "report2", bytes(BASES["report2"])),
    ("accepted", "report2", frames.report2()),
    ("accepted", "report2", frames.report2((frames.record(4, GROUP),), count=0xFFFF)),
    ("accepted", "report2", frames.report2((frames.record(4, GROUP),) * 3)),
    ("truncated", "", b""),
    ("truncated", "", PLAIN[:13]),
    ("truncated", "", PLAIN[:12] + b"\x81\x00"),
    ("truncated", "", TAGGED[:21]),
    ("truncated", "", PLAIN[:53]),
    ("not_mld", "", bytes(replace(BASES["general"], ethertype=0x0800))),
    ("not_mld", "", PLAIN[:12] + b"\x08\x00"),
    ("not_mld", "", bytes(replace(BASES["general"], version=4))),
    ("not_mld", "", bytes(replace(BASES["general"], tags=(tag(0x8100),) * 3))),
    ("not_mld", "", bytes(replace(BASES["general"], tags=(tag(0x9100),)))),
    ("not_mld", "", bytes(replace(BASES["general"], last_next_header=17))),
    ("not_mld", "", bytes(replace(BASES["general"], last_next_header=17, options=None))),
    ("not_mld", "", behind(51, EMPTY)),
    ("not_mld", "", behind(frames.DESTINATION, EMPTY, last=59)),
    ("not_mld", "", behind(frames.HOP_BY_HOP, EMPTY)),
    ("not_mld", "", behind(frames.FRAGMENT, LATER, last=17)),
    ("not_mld", "", behind(frames.FRAGMENT, LATER, last=frames.DESTINATION)),
    ("not_mld", "", behind(frames.DESTINATION, b"\xff" + EMPTY[1:], last=6)),  # overruns, but its end is known
    ("not_mld", "", of_length(129, 24)),
    ("not_mld", "", of_length(135, 1)),
    ("not_mld", "", bytes(replace(BASES["general"], options=None, last_next_header=6, payload_length=0))),
    ("malformed", "", bytes(replace(BASES["general"], payload_length=0))),
    ("malformed", "", bytes(replace(BASES["general"], payload_length=0, options=None))),
    ("truncated", "", bytes(replace(BASES["general"], payload_length=33))),
    ("truncated", "", bytes(replace(BASES["general"], payload_length=0xFFFF))),
    ("truncated", "", PLAIN[:-1]),
    ("truncated", "", PLAIN[:63]),
    ("truncated", "", PLAIN[:62]),
    ("truncated", "", PLAIN[:55]),
    ("truncated", "", PLAIN[:54]),
    ("truncated", "", bytes(replace(BASES["general"], payload_length=7))),  # the capture holds the rest
    ("truncated", "", bytes(replace(BASES["general"], payload_length=8))),
    ("truncated", "", bytes(replace(BASES["general"], payload_length=9))),
    ("truncated", "", bytes(replace(BASES["general"], payload_length=11))),
    ("truncated", "", behind(frames.DESTINATION, b"\xff" + EMPTY[1:])),
    ("fragmented", "", behind(frames.FRAGMENT, ATOMIC)),
    ("fragmented", "", behind(frames.FRAGMENT, FIRST)),
    ("fragmented", "", behind(frames.FRAGMENT, LATER)),
    ("fragmented", "", bytes(Frame(b"\x01", frames.ALL_NODES, extensions=[(frames.FRAGMENT, LATER)]))),
    ("fragmented", "", bytes(Frame(b"", frames.ALL_NODES, extensions=[(frames.FRAGMENT, LATER)]))),
    ("malformed", "", behind(frames.ROUTING, bytes(7))),
    ("malformed", "", options(RA + b"\x01\x09")),
    ("malformed", "", options(RA + b"\x7e\x00")),
    ("malformed", "", options(RA + b"\xc2\x04\0\0\0\0")),
    ("malformed", "", behind(frames.DESTINATION, frames.options_header(b"\x80\x00"))),
    ("bad_hop_limit", "", frames.query(hop_limit=0)),
    ("bad_hop_limit", "", frames.query(hop_limit=2)),
    ("bad_hop_limit", "", frames.query(hop_limit=255)),
    ("no_router_alert", "", frames.query(options=None)),
    ("no_router_alert", "", frames.query(options=b"")),
    ("no_router_alert", "", options(b"\x05\x02\x00\x01")),
    ("no_router_alert", "", options(b"\x05\x03\x00\x00\x00")),
    ("no_router_alert", "", options(b"\x05\x00")),
    ("no_router_alert", "", bytes(replace(BASES["general"], options=None,
                                          extensions=[(frames.DESTINATION, frames.options_header(RA))]))),
    ("no_router_alert", "", options(b"\x05\x02\x00\x01" * 2)),  # rung 7 comes before 8
    ("malformed", "", options(RA + RA)),
    ("malformed", "", options(RA + b"\x05\x02\x00\x01")),
    ("malformed", "", options(b"\x05\x00" + RA)),
    ("bad_source", "", frames.query(source=frames.ANY)),
    ("bad_source", "", frames.query(source=UNICAST)),
    ("bad_source", "", frames.query(source=frames.address("fe80:0:0:1::1"))),
    ("bad_source", "", frames.query(source=frames.address("fec0::1"))),
    ("looped_back", "", frames.query(source=frames.LINK_LOCAL)),
    ("looped_back", "", frames.report(GROUP, source=frames.LINK_LOCAL)),
    ("bad_length", "", of_length(frames.QUERY, 4)),
    ("bad_length", "", of_length(frames.QUERY, 23)),
    ("bad_length", "", of_length(frames.REPORT, 23)),
    ("bad_length", "", of_length(frames.DONE, 23)),
    ("bad_length", "", of_length(frames.REPORT2, 7)),
    ("bad_checksum", "", frames.query(checksum_off_by=1)),
    ("bad_checksum", "", frames.report2(checksum_off_by=-1)),
    ("bad_checksum", "", frames.query(padding=b"\xff", payload_length=33)),  # the odd octet counts
    ("bad_destination", "", frames.query(destination="ff02::2")),
    ("bad_destination", "", frames.query(destination="ff02::16")),
    ("bad_destination", "", frames.query(STRANGE)),
    ("bad_destination", "", frames.query(destination="ff02::1:ff00:1")),
    ("bad_destination", "", frames.query(destination="fe80::2")),
    ("bad_destination", "", frames.report(GROUP, destination="ff02::1")),
    ("bad_destination", "", frames.report(GROUP, destination="fe80::1")),
    ("bad_destination", "", frames.report(GROUP, destination=DELAYED)),
    ("bad_destination", "", frames.query(mac_destination=bytes.fromhex("333300000002"))),
    ("bad_destination", "", frames.query(mac_destination=b"\xff" * 6)),
    ("bad_destination", "", frames.done(GROUP, mac_destination=bytes.fromhex("020000000002"))),
    ("bad_destination", "", frames.report2(mac_destination=bytes.fromhex("333300000001"))),
    ("bad_group", "", frames.query(UNICAST, destination=frames.ALL_NODES)),
    ("bad_group", "", frames.query("::1", destination=frames.ALL_NODES)),
    ("bad_group", "", frames.report(UNICAST)),
    ("bad_group", "", frames.done(UNICAST)),
    ("bad_group", "", frames.done("::")),
]  # fmt: skip


@pytest.mark.parametrize(("verdict", "kind", "frame"), RUNGS)
def test_rung(bench: Bench, verdict: str, kind: str, frame: bytes) -> None:
    assert ladder.judge(frame, bench.links["strict"][1]) == (verdict, kind or None)
    assert bench.judge([frame]) == [(verdict, kind or None)]
    bench.agree([frame])


def test_every_verdict_and_kind_has_a_frame() -> None:
    assert {verdict for verdict, _, _ in RUNGS} == set(fastmld.VERDICTS)
    assert {kind for _, kind, _ in RUNGS if kind} == {kind for kind in fastmld.KINDS[1:] if kind != "source_query"}


# Order: of two faults the earlier rung names the verdict

Fault = Callable[[Frame], Frame]


def of_type(kind: int) -> Fault:
    return lambda frame: replace(frame, message=bytes([kind]) + frame.message[1:])


def of_group(frame: Frame) -> Frame:
    destination = UNICAST if frame.message[0] == frames.REPORT else frame.destination
    return replace(frame, message=frame.message[:8] + UNICAST + frame.message[24:], destination=destination)


FAULTS: list[tuple[int, str, str, Fault]] = [  # rung, what two faults may not share, verdict, how
    (2, "ethertype", "not_mld", lambda f: replace(f, ethertype=0x0800)),
    (2, "version", "not_mld", lambda f: replace(f, version=5)),
    (2, "type", "not_mld", of_type(129)),
    (2, "last", "not_mld", lambda f: replace(f, last_next_header=17)),
    (3, "length", "truncated", lambda f: replace(f, payload_length=1000)),
    (4, "fragment", "fragmented", lambda f: replace(f, extensions=[*f.extensions, (frames.FRAGMENT, ATOMIC)])),
    (5, "routing", "malformed", lambda f: replace(f, extensions=[*f.extensions, (frames.ROUTING, bytes(7))])),
    (5, "unknown", "malformed", lambda f: replace(f, extensions=[*f.extensions, (60, b"\0\x80\4\0\0\0\0")])),
    (6, "hops", "bad_hop_limit", lambda f: replace(f, hop_limit=64)),
    (7, "options", "no_router_alert", lambda f: replace(f, options=b"")),
    (7, "options", "no_router_alert", lambda f: replace(f, options=None)),
    (8, "options", "malformed", lambda f: replace(f, options=RA + RA)),
    (9, "source", "bad_source", lambda f: replace(f, source=UNICAST)),
    (10, "source", "looped_back", lambda f: replace(f, source=frames.LINK_LOCAL)),
    (11, "size", "bad_length", lambda f: replace(f, message=f.message[: 7 if f.message[0] == 143 else 23])),
    (12, "sum", "bad_checksum", lambda f: replace(f, checksum_off_by=0x100)),
    (13, "mac", "bad_destination", lambda f: replace(f, mac_destination=bytes.fromhex("333300000099"))),
    (14, "group", "bad_group", of_group),
]  # fmt: skip


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("code", [0, 1])
def test_order_of_faults(bench: Bench, name: str, code: int) -> None:
    base = BASES[name]
    base = replace(base, message=base.message[:1] + bytes([code]) + base.message[2:])
    lists: dict[str, list[tuple[bytes, str]]] = {"strict": [], "loose": []}
    for first, second in itertools.combinations_with_replacement(FAULTS, 2):
        faults = [first] if first is second else [first, second]
        shared = {where for _, where, _, _ in faults}
        if len(shared) < len(faults):
            continue
        if name == "report2" and "group" in shared:
            continue
        if name == "report" and {"mac", "group"} == shared:
            continue  # a Report of a unicast address goes to a unicast address
        frame = base
        # The group is changed before the message is cut short, the type after all else.
        for _, _, _, spoil in sorted(faults, key=lambda fault: (fault[1] == "type", -fault[0])):
            frame = spoil(frame)
        lists["strict"].append((bytes(frame), min(faults, key=lambda fault: fault[0])[2]))
        loose = [fault for fault in faults if fault[0] not in (6, 7, 8)]
        verdict = min(loose, key=lambda fault: fault[0])[2] if loose else "accepted"
        lists["loose"].append((bytes(frame), verdict))
    for profile, expected in lists.items():
        found = [verdict for verdict, _ in bench.judge([frame for frame, _ in expected], profile)]
        assert found == [verdict for _, verdict in expected]
    bench.agree([frame for frame, _ in lists["strict"]])


# Masses of frames against the model

CHAINS = [
    *(bytes(base) for base in BASES.values()),
    *(behind(frames.FRAGMENT, body) for body in (ATOMIC, FIRST, LATER)),
    behind(frames.DESTINATION, frames.options_header(b"\x1e\x03abc")),
    behind(frames.ROUTING, b"\x02" + bytes(22)),
    frames.query(options=None),
    frames.query(options=None, extensions=[(60, EMPTY), (44, ATOMIC), (60, EMPTY)]),
    frames.query(last_next_header=17),
    frames.query(tags=(tag(0x88A8), tag(0x8100))),
    frames.query(options=PADN_0 + RA),
    frames.query(options=RA + bytes(2046 - 4)),
]


@pytest.mark.parametrize("whole", CHAINS, ids=range(len(CHAINS)))
def test_every_truncation(bench: Bench, whole: bytes) -> None:
    """Cut by the capture, and cut by the Payload Length with the rest behind it."""
    bench.agree(whole[:length] for length in range(len(whole) + 1))
    ip = 22 if whole[12:14] == b"\x88\xa8" else 14
    payload_length = int.from_bytes(whole[ip + 4 : ip + 6], "big")
    bench.agree(
        whole[: ip + 4] + length.to_bytes(2, "big") + whole[ip + 6 :] for length in (*range(payload_length + 3), 0xFFFF)
    )


VALUES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 17, 23, 24, 43, 44, 51, 58, 59, 60, 0x3F, 0x40, 0x7F, 0x80, 0x81,
          129, 130, 131, 132, 133, 143, 0x88, 0xA8, 0xBF, 0xC2, 0xFE, 0xFF)  # fmt: skip


@pytest.mark.parametrize("kind", [frames.QUERY, frames.REPORT, frames.DONE, frames.REPORT2])
def test_every_length_of_message(bench: Bench, kind: int) -> None:
    bench.agree(of_length(kind, length) for length in range(80))


@pytest.mark.parametrize("name", BASES)
def test_every_code_type_and_hop_limit(bench: Bench, name: str) -> None:
    base = BASES[name]
    codes = [bytes(replace(base, message=base.message[:1] + bytes([n]) + base.message[2:])) for n in range(256)]
    assert {verdict for verdict, _ in bench.judge(codes)} == {"accepted"}
    bench.agree(codes)
    bench.agree(bytes(of_type(n)(base)) for n in range(256))
    bench.agree(bytes(replace(base, hop_limit=n)) for n in range(256))
    bench.agree(bytes(replace(base, last_next_header=n)) for n in range(256))
    bench.agree(bytes(replace(base, options=None, last_next_header=n, payload_length=0)) for n in range(256))


def test_profiles(bench: Bench) -> None:
    """Profile rfc2710: rungs 6 to 8 are off, rung 9 takes all of fe80::/10; the rest stays."""
    loose = [
        frames.query(hop_limit=64),
        frames.query(options=None),
        frames.query(options=RA + RA),
        frames.query(options=b"\x05\x02\x00\x01"),
        frames.query(source=frames.address("fe80:0:0:1::1")),
        frames.query(source=frames.address("febf:ffff::1")),
    ]
    assert [verdict for verdict, _ in bench.judge(loose, "loose")] == ["accepted"] * len(loose)
    assert "accepted" not in [verdict for verdict, _ in bench.judge(loose, "strict")]
    kept = [
        (frames.query(source=frames.ANY), "bad_source"),
        (frames.query(source=frames.address("fec0::1")), "bad_source"),
        (frames.query(source=frames.LINK_LOCAL), "looped_back"),
        (options(RA + b"\x80\x00"), "malformed"),
        (behind(frames.ROUTING, bytes(7)), "malformed"),
        (frames.query(destination="ff02::2"), "bad_destination"),
    ]
    assert [verdict for verdict, _ in bench.judge([frame for frame, _ in kept], "loose")] == [v for _, v in kept]


def test_without_an_address_nothing_is_looped_back(bench: Bench) -> None:
    frame = frames.query(source=frames.LINK_LOCAL)
    assert bench.judge([frame], "homeless") == [("accepted", "general_query")]
    assert bench.judge([frames.query(destination="fe80::1")], "homeless") == [("bad_destination", None)]


TAILS = [bytes(n) for n in range(8)] + [
    bytes([2, 125]) + count.to_bytes(2, "big") + bytes(16 * present)
    for count in (0, 1, 2, 0x0FFF, 0x1000, 0x1001, 0xFFFF)
    for present in (0, 1, 2)
]


@pytest.mark.parametrize("group", [frames.ANY, GROUP])
def test_octets_after_a_query(bench: Bench, group: bytes) -> None:
    """RFC 2710 section 3.7 on an MLDv1-only interface; RFC 9777 section 8.1 elsewhere; the sum covers all."""
    queries = [frames.query(group, destination=frames.ALL_NODES, extra=tail) for tail in TAILS]
    kind = "general_query" if group == frames.ANY else "group_query"
    assert bench.judge(queries) == [("accepted", kind)] * len(queries)
    bench.agree(queries)
    spoilt = [query[:-1] + bytes([query[-1] ^ 1]) for query in queries[1:]]
    assert {verdict for verdict, _ in bench.judge(spoilt)} == {"bad_checksum"}


def test_length_of_v2_queries(bench: Bench) -> None:
    right = [
        (frames.query2(), "general_query"),
        (frames.query2(GROUP), "group_query"),
        (frames.query2(GROUP, sources=SOURCES), "source_query"),
        (frames.query2(GROUP, sources=SOURCES, extra=b"more"), "source_query"),
    ]
    assert bench.judge([frame for frame, _ in right], "both") == [("accepted", kind) for _, kind in right]
    wrong = [frames.query(extra=bytes(n)) for n in (1, 2, 3)]
    wrong += [frames.query2(GROUP, sources=SOURCES, count=n) for n in (3, 0x0FFF, 0x1000, 0x1001, 0xFFFF)]
    wrong += [frames.query2(sources=SOURCES), frames.query2(sources=SOURCES, count=1)]
    assert bench.judge(wrong, "both") == [("bad_length", None)] * len(wrong)


GOOD_OPTIONS = [
    RA + PADN_0,
    PADN_0 + RA,
    RA + b"\0\0",
    b"\0\0" + RA,
    RA + b"\x01\x08" + bytes(8),
    b"\x01\x08" + b"\xff" * 8 + RA,
    RA + b"\x01\xff" + bytes(255),
    RA + b"\x1e\x04\0\0\0\0",  # unknown, to be skipped
    RA + b"\x3e\x00" + b"\x20\x06abcdef",
    bytes(2046 - 4) + RA,
    RA + bytes(2046 - 4),
]


@pytest.mark.parametrize("data", GOOD_OPTIONS, ids=range(len(GOOD_OPTIONS)))
@pytest.mark.parametrize("name", BASES)
def test_lawful_options(bench: Bench, name: str, data: bytes) -> None:
    frame = options(data, BASES[name])
    assert bench.judge([frame])[0][0] == "accepted"
    bench.agree([frame])


def test_option_lengths_and_types(bench: Bench) -> None:
    """BI-29: every option type and length, header lengths 0, 1 and 255, an option across the end."""
    cut = [bytes([5, 2, 0, 0, kind, length]) for kind in range(256) for length in (0, 1, 2, 3, 254, 255)]
    bench.agree(bytes(replace(BASES["general"], options=data)) for data in cut)
    alone = [bytes([kind, length, 0, 0, 0, 0]) for kind in (0, 1, 5, 0x1E, 0xC2) for length in range(256)]
    bench.agree(bytes(replace(BASES["general"], options=data)) for data in alone)
    header = frames.options_header(RA)
    bench.agree(
        behind(60, bytes([length]) + header[1:], replace(BASES["general"], options=None)) for length in range(256)
    )


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=0) | st.lists(st.sampled_from(b"\0\1\2\3\4\5\6\x1e\x3f\x40\x85\xff"), max_size=40).map(bytes),
    st.sampled_from(sorted(BASES)),
    st.booleans(),
)
def test_random_options(bench: Bench, data: bytes, name: str, in_destination: bool) -> None:
    base = BASES[name]
    if in_destination:
        base = replace(base, extensions=[(frames.DESTINATION, frames.options_header(data))])
    else:
        base = replace(base, options=data)
    bench.agree([bytes(base)])


@pytest.mark.parametrize("protocols", [
    p for n in range(4) for p in itertools.product((0x8100, 0x88A8, 0x9100), repeat=n)
])  # fmt: skip
def test_vlan_tags(bench: Bench, protocols: tuple[int, ...]) -> None:
    frame = frames.query(tags=tuple(tag(protocol, 0xFFFF) for protocol in protocols))
    lawful = len(protocols) <= 2 and 0x9100 not in protocols
    assert bench.judge([frame])[0][0] == ("accepted" if lawful else "not_mld")
    bench.agree(frame[:length] for length in range(len(frame)))


def test_both_zeros_of_the_checksum(bench: Bench) -> None:
    """In ones' complement 0x0000 and 0xffff are the same number: the sum is right with either (RFC 1071)."""
    short = int.from_bytes(frames.query()[64:66], "big")
    frame = frames.query(reserved=short)
    assert frame[64:66] == b"\0\0"
    other = frame[:64] + b"\xff\xff" + frame[66:]
    assert bench.judge([frame, other]) == [("accepted", "general_query")] * 2


def test_mutations(bench: Bench) -> None:
    """A structure-aware mutator: a lawful chain, some octets changed, the checksum repaired half the time."""
    rng = random.Random(9777)
    batch = []
    for _ in range(20_000):
        whole = bytearray(rng.choice(CHAINS[:14]))
        for _ in range(rng.choice((1, 1, 2, 3, 8))):
            whole[rng.randrange(len(whole))] = rng.choice((rng.randrange(256), *VALUES))
        if rng.random() < 0.2:
            del whole[rng.randrange(len(whole)) :]
        frame = bytes(whole)
        batch.append(frames.repair_checksum(frame, 14, 62) if rng.random() < 0.5 and len(frame) > 70 else frame)
    bench.agree(batch)


def test_a_frame_while_down_gets_its_verdict(bench: Bench) -> None:
    engine = fastmld.Engine(seed=0)
    lan = engine.add_interface("lan0", mac="02:00:00:00:00:01", link_local="fe80::1", mld_version=1)
    engine.set_up(lan, False, now_ms=0)
    batch = fastmld.FrameBatch.from_list([frame for _, _, frame in RUNGS], interfaces=lan)
    found = [fastmld.VERDICTS[code] for code in engine.receive(batch, now_ms=0)]
    link = ladder.Link(frames.MAC, frames.LINK_LOCAL)
    assert found == [ladder.judge(frame, link)[0] for _, _, frame in RUNGS]
    assert len(engine.transmit()) == 0
