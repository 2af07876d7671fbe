"""Small sets, whole: every octet to every value, every cut at the edge of memory, every delay, every length of an
option or a header, every pair of faults on an interface that speaks MLDv2. Judged beside the model in plain Python."""

import itertools
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

import fastmld
import frames
from direct import Edge, Parser, parser
from frames import Frame
from model import ladder
from model.draw import draw_ms
from test_ladder import BASES, CHAINS, DELAYED, FAULTS, GROUP, SILENT, SOURCES, Fault, behind

LISTENED = {GROUP, SILENT, DELAYED}
PARSERS = {
    "strict": parser(listened=LISTENED),
    "loose": parser(strict=False, listened=LISTENED),
    "strict2": parser(v1_only=False, listened=LISTENED),
    "loose2": parser(strict=False, v1_only=False, own=False, listened=LISTENED),
}
RA = frames.ROUTER_ALERT
EDGE = Edge(4096)

by_parser = pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS.keys())


def agree(parser: Parser, batch: Iterable[bytes]) -> None:
    for frame in batch:
        assert parser.judge(EDGE(frame)) == ladder.judge(frame, parser.link), frame.hex()


# Every octet


def message_of(frame: bytes) -> tuple[int, int]:
    """Where IPv6 and the message begin in a lawful frame, or one of another protocol."""
    ip = 22 if frame[12:14] == b"\x88\xa8" else 14
    at, kind = ip + 40, frame[ip + 6]
    while kind in (frames.HOP_BY_HOP, frames.ROUTING, frames.FRAGMENT, frames.DESTINATION):
        kind, at = frame[at], at + (8 if kind == frames.FRAGMENT else 8 * (frame[at + 1] + 1))
    return ip, at


def repaired(octets: np.ndarray, ip: int, message: int) -> np.ndarray:
    """Frames, a row each, with the checksum that they ask for."""
    octets = octets.copy()
    octets[:, message + 2 : message + 4] = 0
    summed = np.hstack((octets[:, ip + 8 : ip + 40], octets[:, message:]))
    if summed.shape[1] % 2:
        summed = np.hstack((summed, np.zeros((len(summed), 1), np.uint8)))
    words = np.ascontiguousarray(summed).view(">u2").astype(np.int64)
    total = words.sum(axis=1) + octets.shape[1] - message + frames.ICMPV6
    octets[:, message + 2 : message + 4] = (0xFFFF - total % 0xFFFF).astype(">u2").view(np.uint8).reshape(-1, 2)
    return octets


@pytest.fixture(scope="module")
def engine() -> fastmld.Engine:
    engine = fastmld.Engine(seed=0)
    lan = engine.add_interface("lan0", mac=frames.MAC, link_local=frames.LINK_LOCAL, mld_version=1)
    engine.join(lan, np.frombuffer(b"".join(sorted(LISTENED)), np.uint8).reshape(-1, 16), now_ms=0)
    return engine


@pytest.mark.parametrize("repair", [False, True], ids=["spoilt", "repaired"])
@pytest.mark.parametrize("whole", CHAINS[:12], ids=range(12))
def test_every_octet(engine: fastmld.Engine, whole: bytes, repair: bool) -> None:
    """To every value. The whole engine on an MLDv1-only interface, and the parser on one of all other rules."""
    ip, message = message_of(whole)
    places = np.arange(len(whole))
    if repair:  # what the checksum does not cover changes nothing about it
        places = places[((places >= ip + 8) & (places < ip + 40)) | (places >= message)]
    size, count = len(whole), 256 * len(places)
    octets = np.tile(np.frombuffer(whole, np.uint8), (count, 1))
    octets[np.arange(count), places.repeat(256)] = np.tile(np.arange(256, dtype=np.uint8), len(places))
    if repair:
        octets = repaired(octets, ip, message)
    batch = fastmld.FrameBatch.from_buffer(octets, np.arange(count) * size, np.full(count, size), 0)
    verdicts = engine.receive(batch, now_ms=0)
    engine.transmit()
    strict, loose = PARSERS["strict"], PARSERS["loose2"]
    for row, verdict in zip(octets, verdicts.tolist(), strict=True):
        frame = row.tobytes()
        assert fastmld.VERDICTS[verdict] == ladder.judge(frame, strict.link)[0], frame.hex()
        assert loose.judge(frame) == ladder.judge(frame, loose.link), frame.hex()


# Every cut


@by_parser
def test_bi_25_every_cut_ends_at_an_unmapped_page(parser: Parser) -> None:
    """tcpdump CVE-2017-13021, -13041. Cut by the capture, and by the Payload Length with the capture as short."""
    for whole in CHAINS:
        ip = message_of(whole)[0]
        agree(parser, (whole[:size] for size in range(len(whole) + 1)))
        for size in range(ip + 40, len(whole) + 1):
            payload_length = (size - ip - 40).to_bytes(2, "big")
            agree(parser, [whole[: ip + 4] + payload_length + whole[ip + 6 : size]])


def test_bi_2_octets_that_were_not_captured_do_not_count(engine: fastmld.Engine) -> None:
    """FreeBSD CVE-2019-5608. The buffer holds the rest of the frame, as the wire had it; the capture ends before."""
    for whole in CHAINS:
        sizes = np.arange(len(whole) + 1)
        batch = fastmld.FrameBatch.from_buffer(np.frombuffer(whole, np.uint8), np.zeros_like(sizes), sizes, 0)
        found = [fastmld.VERDICTS[code] for code in engine.receive(batch, now_ms=0)]
        engine.transmit()
        assert found == [ladder.judge(whole[:size], PARSERS["strict"].link)[0] for size in sizes]


def test_bi_25_a_batch_reads_no_further_than_its_frames(engine: fastmld.Engine) -> None:
    """Every cut of a frame as the last of a batch, the buffer ending at an unmapped page: looking up reads no more."""
    for size in range(len(CHAINS[1]) + 1):
        buffer = EDGE(CHAINS[1] + CHAINS[1][:size])
        batch = fastmld.FrameBatch.from_buffer(buffer, [0, len(CHAINS[1])], [len(CHAINS[1]), size], 0)
        found = [fastmld.VERDICTS[code] for code in engine.receive(batch, now_ms=0)]
        assert found[1] == ladder.judge(CHAINS[1][:size], PARSERS["strict"].link)[0]


# Every pair of faults

MORE_FAULTS: list[tuple[int, str, str, Fault]] = [
    (3, "length", "malformed", lambda f: replace(f, payload_length=0)),
    (4, "fragment", "fragmented", lambda f: replace(f, extensions=[*f.extensions, (44, b"\0\0\x08" + bytes(4))])),
    (5, "unknown", "malformed", lambda f: replace(f, extensions=[*f.extensions, (60, b"\0\x01\x09" + bytes(4))])),
]  # fmt: skip
QUERY2_FAULTS: list[tuple[int, str, str, Fault]] = [  # of a v2 Query with two sources
    (11, "size", "bad_length", lambda f: replace(f, message=f.message[:27])),
    (11, "size", "bad_length", lambda f: replace(f, message=f.message[:-1])),
    (11, "size", "bad_length", lambda f: replace(f, message=f.message[:26] + b"\x10\x01" + f.message[28:])),
    (11, "size", "bad_length", lambda f: replace(f, message=f.message[:26] + b"\xff\xff" + f.message[28:])),
]  # fmt: skip


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("code", [0, 1, 255])
@pytest.mark.parametrize("strict", [True, False], ids=["strict", "loose"])
def test_bi_9_every_pair_of_faults_with_code_0_and_not(name: str, code: int, strict: bool) -> None:
    """Zephyr CVE-2026-7656: all checks were off for Code 0. Of two faults the earlier rung names the verdict."""
    base = BASES[name]
    base = replace(base, message=base.message[:1] + bytes([code]) + base.message[2:])
    faults = FAULTS + MORE_FAULTS + (QUERY2_FAULTS if name == "source2" else [])
    checker = PARSERS["strict2"] if strict else parser(strict=False, v1_only=False, listened=LISTENED)
    for first, second in itertools.combinations_with_replacement(sorted(faults, key=lambda fault: fault[0]), 2):
        both = [first] if first is second else [first, second]
        frame = base
        for _, _, _, spoil in sorted(both, key=lambda fault: (fault[1] == "type", -fault[0])):
            frame = spoil(frame)
        found = checker.judge(EDGE(bytes(frame)))
        assert found == ladder.judge(bytes(frame), checker.link), bytes(frame).hex()
        places = {where for _, where, _, _ in both}
        if (
            len(places) < len(both)  # the one undoes the other
            or (len(both) == 2 and places <= {"length", "type", "fragment", "last", "size"})  # or hides it
            or (name == "report" and places == {"mac", "group"})  # its destination is unicast then
            or (name == "report2" and "group" in places)  # it has none
        ):
            continue
        counted = [verdict for rung, _, verdict, _ in both if strict or rung not in (6, 7, 8)]
        assert found[0] == (counted[0] if counted else "accepted"), bytes(frame).hex()


# Every delay


def test_bi_16_every_delay_is_in_network_byte_order() -> None:
    """FRR 2026, lwIP. RFC 2710 section 3.4: the field is milliseconds, all 65,536 of them, without an exponent."""
    checker, octets = PARSERS["strict"], bytearray(frames.query(GROUP, 0, reserved=0xFFFF))
    for delay_ms in range(65_536):
        octets[66:68] = delay_ms.to_bytes(2, "big")
        octets[68:70] = (0xFFFF - delay_ms).to_bytes(2, "big")  # Reserved is ignored: it keeps the checksum right
        assert checker.judge(octets) == ("accepted", "group_query")
        assert checker.message.delay_ms == delay_ms


def test_every_delay_is_drawn_from() -> None:
    """One group for each: all timers are on 1..delay, where the plain model of the draw puts them."""
    count, now_ms = 65_535, 10
    groups = np.zeros((count, 16), np.uint8)
    groups[:, :2] = 0xFF, 0x05
    groups[:, 12:] = np.arange(1, count + 1).astype(">u4").view(np.uint8).reshape(-1, 4)
    engine = fastmld.Engine(seed=2710)
    lan = engine.add_interface(
        "lan0",
        mac=frames.MAC,
        link_local=frames.LINK_LOCAL,
        report_rate=None,
        unsolicited_report_repeats=0,
        mld_version=1,
    )
    engine.join(lan, groups, now_ms=0)
    engine.transmit(count)
    octets = np.tile(np.frombuffer(frames.query(GROUP), np.uint8), (count, 1))
    octets[:, 2:6] = octets[:, 50:54] = octets[:, 82:86] = groups[:, 12:]
    octets[:, 66:68] = groups[:, 14:]  # the delay is the group's number
    octets = repaired(octets, 14, 62)
    batch = fastmld.FrameBatch.from_buffer(octets, np.arange(count) * 86, np.full(count, 86), lan)
    assert set(engine.receive(batch, now_ms=now_ms).tolist()) == {fastmld.VERDICTS.index("accepted")}
    deadlines_ms = engine.groups(lan)["deadline_ms"].tolist()
    for group, deadline_ms in zip(groups, deadlines_ms, strict=True):
        number = int.from_bytes(group[12:].tobytes(), "big")
        assert deadline_ms == now_ms + draw_ms(2710, lan, group.tobytes(), now_ms, number)


# Every length of options and headers


@by_parser
@pytest.mark.parametrize("kind", [frames.HOP_BY_HOP, frames.DESTINATION])
def test_bi_29_every_type_and_length_of_an_option(parser: Parser, kind: int) -> None:
    """Windows CVE-2006-0021. Every type with the lengths at the edges, and every length of each sort of type; in a
    header with no room for it, and in one with room for some."""
    base = BASES["general"]
    pairs = {*itertools.product(range(256), (0, 1, 2, 255)), *itertools.product((0, 1, 5, 0x1E, 0xC2), range(256))}
    for (option, length), room in itertools.product(sorted(pairs), (0, 24)):
        data = bytes([option, length]) + bytes(room)
        if kind == frames.HOP_BY_HOP:
            frame = replace(base, options=RA + data)
        else:
            frame = replace(base, extensions=[(kind, frames.options_header(data))])
        agree(parser, [bytes(frame)])


@by_parser
def test_bi_29_every_length_of_a_header(parser: Parser) -> None:
    """Of each extension header: what it says, with as many octets behind it as it asks for, one less, and few."""
    message = BASES["general"].message
    for kind in (frames.HOP_BY_HOP, frames.DESTINATION, frames.ROUTING, frames.FRAGMENT):
        for length in range(256):
            body = (bytes([length]) + RA).ljust(8 * (length + 1) - 1, b"\0")
            whole = Frame(message, frames.ALL_NODES, options=None, extensions=[(kind, body)])
            agree(parser, [bytes(whole), bytes(whole)[:-1]])
            agree(parser, [bytes(replace(whole, extensions=[(kind, body[:7])]))])


@by_parser
def test_bi_29_every_run_of_padding(parser: Parser) -> None:
    """Pad1 after Pad1 up to 2046, before and behind the Router Alert; PadN of every length that fits twice."""
    for run in range(0, 2043, 8):
        for data in (bytes(run + 2) + RA, RA + bytes(run + 2)):
            frame = frames.query(options=data)
            assert parser.judge(EDGE(frame)) == ("accepted", "general_query")
    assert PARSERS["strict"].judge(EDGE(frames.query(options=bytes(2046))))[0] == "no_router_alert"
    assert PARSERS["loose"].judge(EDGE(frames.query(options=bytes(2046))))[0] == "accepted"
    for length in range(254):
        frame = frames.query(options=RA + bytes([1, length]) + bytes(length) + bytes([1, length]) + b"\xff" * length)
        assert parser.judge(EDGE(frame)) == ("accepted", "general_query")


@by_parser
def test_bi_29_an_option_across_the_end(parser: Parser) -> None:
    """By one octet and by 255, of every known type and of one to be skipped; a type without a length."""
    for option in (1, 5, 0x1E):
        for beyond in (1, 2, 255):
            frame = frames.query(options=RA + bytes([option, beyond]))
            assert parser.judge(EDGE(frame)) == ("malformed", None)
        assert parser.judge(EDGE(frames.query(options=RA + bytes([0, option])))) == ("malformed", None)


# Counts that are not believed (what of RFC 9777 only an MLDv2-capable interface looks at)


@pytest.mark.parametrize("checker", [PARSERS["strict2"], PARSERS["loose2"]], ids=["strict2", "loose2"])
def test_bi_4_a_source_count_that_wraps(checker: Parser) -> None:
    """Wireshark CVE-2012-6058: 0x1000 times 16 is 0 in 16 bits. And every count beside every number that is there."""
    for count, present in itertools.product((0x0FFF, 0x1000, 0x1001, 0xFFFF), (0, 1)):
        frame = frames.query2(GROUP, sources=SOURCES[:present], count=count)
        assert checker.judge(EDGE(frame)) == ("bad_length", None)
    for count, present in itertools.product(range(40), range(20)):
        frame = frames.query2(GROUP, sources=(SOURCES[0],) * present, count=count)
        fits = ("accepted", "source_query" if count else "group_query")
        assert checker.judge(EDGE(frame)) == (fits if count <= present else ("bad_length", None))


@by_parser
def test_bi_10_a_message_shorter_than_its_group(parser: Parser) -> None:
    """OVS 2025. Types 130 to 132 of 0 to 23 octets, 143 of 0 to 27."""
    for kind, most in ((frames.QUERY, 23), (frames.REPORT, 23), (frames.DONE, 23), (frames.REPORT2, 27)):
        for size in range(most + 1):
            frame = bytes(Frame((bytes([kind]) + bytes(27))[:size], frames.ALL_NODES))
            known = "accepted" if kind == frames.REPORT2 and size >= 8 else "bad_length"
            assert parser.judge(EDGE(frame))[0] == ("truncated" if size < 4 else known), (kind, size)


def test_every_octet_behind_a_query_of_24() -> None:
    """RFC 9777 section 8.1: 24 octets are version 1, 25 to 27 nothing, 28 and more version 2."""
    for size in range(64):
        frame = frames.query(GROUP, extra=bytes(size))
        assert PARSERS["strict"].judge(EDGE(frame)) == ("accepted", "group_query")
        right = ("bad_length", None) if size in (1, 2, 3) else ("accepted", "group_query")
        assert PARSERS["strict2"].judge(EDGE(frame)) == right


def test_bases_are_what_they_are_called() -> None:
    assert behind(frames.DESTINATION, frames.options_header(b"\x1e\x03abc")) in CHAINS
    found = [PARSERS["strict2"].judge(bytes(base)) for base in BASES.values()]
    kinds = ["general_query", "group_query", "report", "done", "general_query", "source_query", "report2"]
    assert found == [("accepted", kind) for kind in kinds]
