"""Small sets of RFC 9777, whole: MLDv2 Queries with each of their fields at every value, and every length, on
interfaces of every mld_version and profile. What must come is from the RFC's numbers, by adding up; the verdicts
beside the plain ladder too."""

import itertools
from typing import NamedTuple

import numpy as np
import pytest

import fastmld
import frames
from fastmld import _native
from model import ladder
from model.draw import draw_ms
from said_v2 import IS_EX, IS_IN, until
from test_exhaustive import repaired

pytestmark = pytest.mark.slow

GROUP = frames.address("ff05::101")
SOURCES = tuple(frames.address(f"2001:db8::{n:x}") for n in range(1, 6))
IP, MESSAGE = 14, 62  # in an untagged frame with a hop-by-hop header of 8 octets
ROBUSTNESS = 5  # our own, which no Querier gave us
SEED = 9777
NAMES = list(map(fastmld.VERDICTS.__getitem__, range(len(fastmld.VERDICTS))))


class Host(NamedTuple):
    version: int | str
    profile: str

    def engine(self, *groups: bytes) -> tuple[fastmld.Engine, int]:
        """It listens to GROUP and to these, and all is said."""
        engine = fastmld.Engine(seed=SEED)
        lan = engine.add_interface(
            "lan0", mac=frames.MAC, link_local=frames.LINK_LOCAL, mld_version=self.version, profile=self.profile,
            robustness=ROBUSTNESS, report_rate=None,
        )  # fmt: skip
        engine.join(lan, np.frombuffer(b"".join((GROUP, *groups)), np.uint8).reshape(-1, 16), now_ms=-1_000_000)
        engine.advance(now_ms=0)
        engine.transmit(1 << 24)
        return engine, lan

    @property
    def link(self) -> ladder.Link:
        return ladder.Link(frames.MAC, frames.LINK_LOCAL, self.profile == "strict", self.version == 1, {GROUP})


HOSTS = [Host(version, profile) for version in (1, 2, "auto") for profile in ("strict", "rfc2710")]
CAPABLE = [host for host in HOSTS if host.version != 1]

by_host = pytest.mark.parametrize("host", HOSTS, ids=lambda host: f"{host.version}-{host.profile}")
by_capable_host = pytest.mark.parametrize("host", CAPABLE, ids=lambda host: f"{host.version}-{host.profile}")


def hear(engine: fastmld.Engine, octets: np.ndarray, now_ms: int) -> tuple[list[str], list[str | None]]:
    """Verdicts and kinds of frames, a row each, in one batch."""
    n, size = octets.shape
    kinds = np.empty(n, np.uint8)
    batch = fastmld.FrameBatch.from_buffer(octets, np.arange(n) * size, np.full(n, size), 0)
    verdicts = engine.receive(batch, now_ms=now_ms, kinds=kinds)
    return [NAMES[code] for code in verdicts], [fastmld.KINDS[code] for code in kinds]


def one(engine: fastmld.Engine, frame: bytes, now_ms: int) -> str:
    return hear(engine, np.frombuffer(frame, np.uint8).reshape(1, -1), now_ms)[0][0]


# The code tables


def codes(bits: int, mantissa_bits: int) -> list[int]:
    """What each code stands for (sections 5.1.3 and 5.1.9): itself up to half of them, then in steps that double
    with each exponent, without a gap."""
    values = list(range(1 << bits - 1))
    step = 1 << 3
    for _ in range(8):
        first = values[-1] + (1 if step == 8 else step // 2)
        values += range(first, first + (step << mantissa_bits), step)
        step *= 2
    return values


DELAYS_MS = codes(16, 12)
INTERVALS_S = [125, *codes(8, 4)[1:]]


def test_the_code_tables() -> None:
    """The points that section 5.1.3's formula was worked out for by hand."""
    assert len(DELAYS_MS) == 65_536 and len(INTERVALS_S) == 256
    assert {code: DELAYS_MS[code] for code in (0, 1, 1000, 10_000, 0x7FFF)} == {
        0: 0, 1: 1, 1000: 1000, 10_000: 10_000, 0x7FFF: 32_767,
    }  # fmt: skip
    assert [DELAYS_MS[code] for code in (0x8000, 0x8001, 0x8FFF, 0x9000, 0x9001, 0xA000, 0xB000, 0xFFFF)] == [
        32_768, 32_776, 65_528, 65_536, 65_552, 131_072, 262_144, 8_387_584,
    ]  # fmt: skip
    assert [INTERVALS_S[code] for code in (0, 1, 60, 125, 127, 0x80, 0x81, 0x8F, 0x90, 0x91, 0xFF)] == [
        125, 1, 60, 125, 127, 128, 136, 248, 256, 272, 31_744,
    ]  # fmt: skip


# The octet with S and QRV, and the QQIC


@by_host
def test_every_octet_of_flags(host: Host) -> None:
    """Four bits that are ignored, S, which is for routers (section 5.1.7), and QRV, which is adopted (5.1.8, 9.1).
    None of them keeps the Query from being answered."""
    engine, lan = host.engine()
    for octet in range(256):
        now_ms = 100_000 * octet
        engine.advance(now_ms)
        engine.transmit()
        assert one(engine, frames.query2(flags=octet), now_ms) == "accepted"
        adopted = {0: ROBUSTNESS, 1: 2}.get(octet & 7, octet & 7)
        assert engine.status(lan).robustness == (ROBUSTNESS if host.version == 1 else adopted)
        engine.advance(now_ms + 10_000)
        assert len(engine.transmit()) == 1


@by_host
def test_bi_21_every_query_interval_code(host: Host) -> None:
    """FreeBSD, macOS, TRex: decoded without the hidden bit. 0 is the default (section 9.2)."""
    engine, lan = host.engine()
    for code, seconds in enumerate(INTERVALS_S):
        assert one(engine, frames.query2(interval_code=code), 100_000 * code) == "accepted"
        assert engine.status(lan).query_interval_ms == 1000 * (125 if host.version == 1 else seconds)


# The response code


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "loose"])
@pytest.mark.parametrize("mode", ["mldv2", "mldv1", "mldv1 alone"])
def test_bi_21_every_response_code_as_it_is_read(mode: str, strict: bool) -> None:
    """Exponential in MLDv2 mode; where MLDv1 is spoken all 16 bits are milliseconds (RFC 2710 section 3.4)."""
    lib = _native.lib
    rules = lib.FASTMLD_RULE_STRICT if strict else 0
    rules |= {"mldv2": lib.FASTMLD_RULE_V2, "mldv1": 0, "mldv1 alone": lib.FASTMLD_RULE_V1_ONLY}[mode]
    interface = _native.ffi.new("fastmld_interface *", {"mac": frames.MAC, "rules": rules, "present": 1})
    message = _native.ffi.new("fastmld_message *")
    octets = bytearray(frames.query2(GROUP, 0, reserved=0xFFFF))
    for code, delay_ms in enumerate(DELAYS_MS):
        octets[66:68] = code.to_bytes(2, "big")
        octets[68:70] = (0xFFFF - code).to_bytes(2, "big")  # Reserved is ignored: it keeps the checksum right
        assert lib.fastmld_check(interface, _native.ffi.from_buffer("uint8_t[]", octets), len(octets), message) == 0
        assert message.delay_ms == (delay_ms if mode == "mldv2" else code)


@pytest.mark.parametrize("mode", ["mldv2", "mldv1"])
def test_every_response_code_as_it_is_waited_for(mode: str) -> None:
    """One group for each: timers are on 1..delay, where the plain model of the draw puts them. 0 is 10 ms in MLDv2
    mode, and in MLDv1 mode an answer at once."""
    count, now_ms = len(DELAYS_MS), 1_000
    groups = np.zeros((count, 16), np.uint8)
    groups[:, :2] = 0xFF, 0x05
    groups[:, 11] = 1
    groups[:, 14:] = np.arange(count).astype(">u2").view(np.uint8).reshape(-1, 2)
    engine, lan = Host("auto", "strict").engine(*map(np.ndarray.tobytes, groups))
    if mode == "mldv1":
        assert one(engine, frames.query(delay_ms=0), 0) == "accepted"
        engine.transmit(1 << 24)
    assert engine.status(lan).mode == mode
    octets = np.tile(np.frombuffer(frames.query2(GROUP, destination=frames.ALL_NODES), np.uint8), (count, 1))
    octets[:, 70:86] = groups
    octets[:, 66:68] = groups[:, 14:]  # the code is the group's number
    octets = repaired(octets, IP, MESSAGE)
    assert set(hear(engine, octets, now_ms)[0]) == {"accepted"}
    deadlines_ms = engine.groups(lan)["deadline_ms"][1:].tolist()
    if mode == "mldv1":
        assert deadlines_ms.pop(0) == fastmld.NO_DEADLINE and len(engine.transmit()) == 1
    first = count - len(deadlines_ms)
    for code, deadline_ms in enumerate(deadlines_ms, first):
        delay_ms = (DELAYS_MS[code] or 10) if mode == "mldv2" else code
        assert deadline_ms == now_ms + draw_ms(SEED, lan, groups[code].tobytes(), now_ms, delay_ms)


@by_capable_host
def test_general_queries_of_each_exponent(host: Host) -> None:
    """When the answer begins is drawn for the interface as a whole, which stands for ::, and at the latest when the
    delay ends."""
    edges = [0, 1, 9, 10, 11, 0x7FFF, *(code + at for code in range(0x8000, 0x10000, 0x1000) for at in (0, 1, 0xFFF))]
    for code in edges:
        engine, lan = host.engine()
        assert one(engine, frames.query2(response_code=code), 0) == "accepted"
        delay_ms = DELAYS_MS[code] or 10
        begin_ms = draw_ms(SEED, lan, bytes(16), 0, delay_ms)
        assert engine.next_deadline_ms() == begin_ms
        (report,) = until(engine, delay_ms)
        assert report.time_ms == begin_ms and report.records == [(IS_EX, "ff05::101", ())]


# The number of sources, beside the length


def expected(host: Host, group: bytes, count: int, size: int) -> tuple[str, str | None]:
    """Sections 5.1.10 and 8.1, and RFC 2710 section 3.7: a Query of size octets that says so many sources."""
    general = group == frames.ANY
    if host.version == 1 or size == 24:
        return "accepted", "general_query" if general else "group_query"
    if size < 28 or size < 28 + 16 * count or (general and count):
        return "bad_length", None
    return "accepted", "general_query" if general else "source_query" if count else "group_query"


@by_host
@pytest.mark.parametrize(("group", "present"), [(frames.ANY, 0), (frames.ANY, 1), (GROUP, 0), (GROUP, 1), (GROUP, 4)])
def test_bi_4_every_number_of_sources(host: Host, group: bytes, present: int) -> None:
    """Wireshark CVE-2012-6058: all 65,536, with so many there. None is believed before the length."""
    engine, _ = host.engine()
    octets = np.tile(np.frombuffer(frames.query2(group, sources=SOURCES[:present]), np.uint8), (65_536, 1))
    octets[:, 88:90] = np.arange(65_536).astype(">u2").view(np.uint8).reshape(-1, 2)
    verdicts, kinds = hear(engine, repaired(octets, IP, MESSAGE), 0)
    engine.transmit(1 << 24)
    size = 28 + 16 * present
    assert list(zip(verdicts, kinds, strict=True)) == [expected(host, group, count, size) for count in range(65_536)]


@by_host
@pytest.mark.parametrize("group", [frames.ANY, GROUP], ids=["general", "specific"])
def test_every_length_beside_every_number_of_sources(host: Host, group: bytes) -> None:
    """Of 24 to 110 octets, with 0 to 6 sources promised: what is there decides, and what is behind it is ignored."""
    engine, _ = host.engine()
    for size, count in itertools.product(range(24, 111), range(7)):
        tail = (b"\x02\x7d" + count.to_bytes(2, "big") + b"".join(SOURCES) + bytes(6))[: size - 24]
        frame = frames.query(group, extra=tail)
        (verdict,), (kind,) = hear(engine, np.frombuffer(frame, np.uint8).reshape(1, -1), 0)
        promised = count if size >= 28 else 0
        assert (verdict, kind) == expected(host, group, promised, size), (size, count)
        assert ladder.judge(frame, host.link) == (verdict, kind)
    engine.transmit(1 << 24)


@by_host
def test_every_number_of_octets_behind_the_sources(host: Host) -> None:
    """Section 5.1.12: they count for the checksum, and for nothing else. Another source that is not promised is no
    source."""
    engine, _ = host.engine()
    now_ms = 0
    for count, behind in itertools.product(range(5), range(41)):
        trailing = (SOURCES[4] * 3)[:behind]
        frame = frames.query2(GROUP, 1000, SOURCES[:count], extra=trailing)
        if behind:
            assert one(engine, frame[:-1] + bytes([frame[-1] ^ 1]), now_ms) == "bad_checksum"
        assert one(engine, frame, now_ms) == "accepted"
        now_ms += 10_000
        engine.advance(now_ms)
        (answer,) = out = engine.transmit()
        if host.version == 1:
            assert answer[MESSAGE] == frames.REPORT and answer[70:86] == GROUP
            continue
        sources = b"".join(SOURCES[:count])
        kind = 1 if count else 2  # MODE_IS_INCLUDE of what was asked for, or the whole state: EXCLUDE {}
        assert answer[70:] == bytes([kind, 0, 0, count]) + GROUP + sources and len(out) == 1


# Every octet


@by_capable_host
@pytest.mark.parametrize("sources", [(), SOURCES[:2]], ids=["general", "of two sources"])
def test_every_octet_of_a_message(host: Host, sources: tuple[bytes, ...]) -> None:
    """To every value, its checksum repaired; the whole engine, and afterwards it answers an honest Query as ever."""
    whole = frames.query2(GROUP if sources else frames.ANY, 1000, sources)
    places = np.delete(np.arange(MESSAGE, len(whole)), (2, 3))
    octets = np.tile(np.frombuffer(whole, np.uint8), (256 * len(places), 1))
    octets[np.arange(len(octets)), places.repeat(256)] = np.tile(np.arange(256, dtype=np.uint8), len(places))
    octets = repaired(octets, IP, MESSAGE)
    engine, lan = host.engine()
    verdicts, kinds = hear(engine, octets, 0)
    for row, verdict, kind in zip(octets, verdicts, kinds, strict=True):
        assert ladder.judge(row.tobytes(), host.link) == (verdict, kind), row.tobytes().hex()
    assert engine.status(lan).mode == "mldv2"
    until(engine, 9_000_000)
    assert one(engine, frames.query2(GROUP, 1000, SOURCES), 9_000_000) == "accepted"
    (report,) = until(engine, 9_001_000)
    assert [kind for kind, _, _ in report.records] == [IS_IN]
