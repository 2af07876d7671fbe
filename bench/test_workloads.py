"""The workloads are what they say: scapy reads their frames, and the engine's verdicts add up."""

from __future__ import annotations

from ipaddress import IPv6Address

import numpy as np
import pytest
from fastmld_bench import workloads, workloads_v2
from fastmld_bench.link import Link, listening
from scapy.layers.inet6 import IPv6, in6_chksum
from scapy.layers.l2 import Ether

from fastmld import FrameBatch

N, LISTENED = 3000, 100
CLEAN = [name for name in workloads.WORKLOADS if name not in ("junk", "everything")]


@pytest.mark.parametrize("name", CLEAN)
def test_scapy_finds_them_right(name: str) -> None:
    frames = workloads.WORKLOADS[name](200, LISTENED, 1)
    for octets in frames:
        packet = Ether(octets)
        ip = packet[IPv6]
        message = bytes(ip.payload.payload)
        group = IPv6Address(message[8:])
        assert bytes(ip.payload)[:8] == bytes.fromhex("3a00 0502 0000 0100")
        assert (ip.hlim, ip.plen, len(octets), len(message)) == (1, 32, 86, 24)
        assert IPv6Address(ip.src).is_link_local
        assert IPv6Address(ip.dst) == (group if int(group) else IPv6Address("ff02::1"))
        assert packet.dst == "33:33" + "".join(f":{octet:02x}" for octet in IPv6Address(ip.dst).packed[12:])
        blank = message[:2] + b"\0\0" + message[4:]
        assert int.from_bytes(message[2:4], "big") == in6_chksum(58, IPv6(src=ip.src, dst=ip.dst), blank)


@pytest.mark.parametrize("name", workloads.WORKLOADS)
def test_the_same_seed_gives_the_same_frames(name: str) -> None:
    make = workloads.WORKLOADS[name]
    assert list(make(N, LISTENED, 7)) == list(make(N, LISTENED, 7))


def counted(frames: FrameBatch) -> dict[str, int]:
    engine = listening(LISTENED)
    Link(engine).carry(workloads.split(frames, 256))
    return engine.counters(0)


def test_the_mix_is_as_stated() -> None:
    counters = counted(workloads.mix(N, LISTENED, 1))
    assert (
        counters["accepted"] + counters["bad_destination"] == N
    )  # a specific Query to a stranger's group is not for us
    assert counters["general_query"] / N == pytest.approx(0.01, abs=0.01)
    assert counters["group_query"] / N == pytest.approx(0.145, abs=0.03)
    assert counters["bad_destination"] / N == pytest.approx(0.145, abs=0.03)
    assert counters["report"] / N == pytest.approx(0.7, abs=0.03)
    assert len(np.unique(workloads.mix(N, 100_000, 1).buffer.reshape(N, -1), axis=0)) > 0.98 * N


@pytest.mark.parametrize("hit_rate", [0.0, 0.25, 1.0])
def test_any_hit_rate(hit_rate: float) -> None:
    counters = counted(workloads.specific(N, LISTENED, 1, hit_rate))
    assert counters["group_query"] / N == pytest.approx(hit_rate, abs=0.03)


def test_only_those_who_listen_hear() -> None:
    assert counted(workloads.specific_listened(N, LISTENED, 1))["group_query"] == N
    assert counted(workloads.specific_foreign(N, LISTENED, 1))["bad_destination"] == N


@pytest.mark.parametrize("name", workloads.WORKLOADS)
@pytest.mark.parametrize("interfaces", [2, 4096])
def test_any_number_of_interfaces(name: str, interfaces: int) -> None:
    """They take turns, an interface at a time or two frames, and none hears less than another."""
    frames = workloads.WORKLOADS[name](4 * interfaces, 1, 1, interfaces=interfaces)
    assert np.bincount(frames.interfaces, minlength=interfaces).tolist() == [4] * interfaces
    parts = workloads.split(frames, 1000)
    assert np.concatenate([part.interfaces for part in parts]).tolist() == frames.interfaces.tolist()
    if interfaces == 2 or name == "mix":
        engine = listening(1, interfaces)
        Link(engine).carry(parts)
        assert [engine.counters(index)["frames"] for index in range(interfaces)] == [4] * interfaces


def test_queries_shrink_on_every_interface() -> None:
    frames = workloads.general_shrinking(6, 1, 1, interfaces=2)
    delays = [int.from_bytes(octets[66:68], "big") for octets in frames]
    assert delays == [65_535, 65_535, 65_534, 65_534, 65_533, 65_533]


def test_everything_is_some_of_each() -> None:
    counters = counted(workloads.everything(N, LISTENED, 1))
    assert counters["frames"] == N
    assert all(counters[kind] > N / 20 for kind in ("general_query", "group_query", "report", "bad_destination"))
    assert counters["malformed"] + counters["bad_checksum"] + counters["truncated"] > 0


def test_junk_is_hardly_ever_taken() -> None:
    counters = counted(workloads.junk(N, LISTENED, 1))
    assert counters["accepted"] / N < 0.05
    assert {"truncated", "not_mld", "malformed", "bad_checksum"} <= {name for name, n in counters.items() if n}


# MLDv2


def read2(octets: bytes) -> tuple[IPv6, bytes]:
    """By scapy: the IPv6 header, and the message with a right checksum."""
    packet = Ether(octets)
    ip = packet[IPv6]
    message = bytes(ip.payload.payload)
    assert bytes(ip.payload)[:8] == bytes.fromhex("3a00 0502 0000 0100")
    assert (ip.hlim, ip.plen) == (1, 8 + len(message))
    assert packet.dst == "33:33" + "".join(f":{octet:02x}" for octet in IPv6Address(ip.dst).packed[12:])
    blank = message[:2] + b"\0\0" + message[4:]
    assert int.from_bytes(message[2:4], "big") == in6_chksum(58, IPv6(src=ip.src, dst=ip.dst), blank)
    return ip, message


def test_scapy_finds_version_2_right() -> None:
    for octets in workloads_v2.general2(3, code=0x8123):
        ip, message = read2(octets)
        assert (ip.dst, len(octets)) == ("ff02::1", workloads_v2.FRAME2)
        assert message[4:6] == b"\x81\x23" and message[8:] == bytes(16) + bytes((2, 125, 0, 0))
    named = []
    for octets in workloads_v2.sources2(20, LISTENED, 1, code=10, k=3):
        _, message = read2(octets)
        assert message[24:28] == bytes((2, 125, 0, 3)) and len(message) == 28 + 3 * 16
        named += [message[at : at + 16] for at in range(28, 76, 16)]
    assert len(set(named)) == 60
    kinds = [read2(octets)[1][0] for octets in workloads_v2.mix2(300, LISTENED, 1)]
    assert 0.6 < kinds.count(143) / 300 < 0.8 and kinds.count(130) + kinds.count(143) == 300


def test_the_mix_of_version_2_is_as_stated() -> None:
    engine = listening(LISTENED, mld_version="auto")
    Link(engine).carry(workloads.split(workloads_v2.mix2(N, LISTENED, 1), 256))
    counters = engine.counters(0)
    assert counters["accepted"] == N and engine.status(0).mode == "mldv2"
    assert counters["general_query"] / N == pytest.approx(0.01, abs=0.01)
    assert counters["group_query"] / N == pytest.approx(0.29, abs=0.03)
    assert counters["report2"] / N == pytest.approx(0.7, abs=0.03)
