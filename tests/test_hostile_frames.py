"""What others' parsers and hosts fell over, as input for the engine: the table of defects by its numbers. The ones that
are about a length or a cut alone are in test_exhaustive.py."""

import numpy as np
import pytest

import fastmld
import frames
from direct import parser

NONE = fastmld.NO_DEADLINE
GROUP = frames.address("ff05::101")
OTHER = frames.address("ff05::102")
NOW_MS = 1_000


def numbered(count: int) -> np.ndarray:
    """(count, 16) addresses from ff05::1:0."""
    groups = np.zeros((count, 16), np.uint8)
    groups[:, :2] = 0xFF, 0x05
    groups[:, 12:] = np.arange(0x10000, 0x10000 + count).astype(">u4").view(np.uint8).reshape(-1, 4)
    return groups


def rested(groups: object, **settings: object) -> tuple[fastmld.Engine, int]:
    """An engine whose groups are all reported and Idle."""
    engine = fastmld.Engine(seed=4)
    settings = {"report_rate": None, "unsolicited_report_repeats": 0, **settings}
    lan = engine.add_interface("lan0", mac=frames.MAC, link_local=frames.LINK_LOCAL, mld_version=1, **settings)
    engine.join(lan, groups, now_ms=0)
    while len(engine.transmit()):
        pass
    return engine, lan


def hear(engine: fastmld.Engine, lan: int, *batch: bytes, now_ms: int = NOW_MS) -> list[str]:
    codes = engine.receive(fastmld.FrameBatch.from_list(list(batch), interfaces=lan), now_ms=now_ms)
    return [fastmld.VERDICTS[code] for code in codes]


def test_bi_3_sources_that_pile_up() -> None:
    """Windows CVE-2007-0069: a response code of 0xffff, then 800 Queries of 89 sources each for the same group."""
    engine, lan = rested(GROUP)
    sources = tuple(frames.address(f"2001:db8::{n:x}") for n in range(1, 90))
    train = [frames.query2(GROUP, 0xFFFF)] + [frames.query2(GROUP, 0xFFFF, sources)] * 800
    assert hear(engine, lan, *train) == ["accepted"] * 801
    (row,) = engine.groups(lan)
    assert NOW_MS < row["deadline_ms"] <= NOW_MS + 0xFFFF
    for now_ms in range(NOW_MS, NOW_MS + 800):  # the same, a batch each
        hear(engine, lan, train[1], now_ms=now_ms)
    engine.advance(NOW_MS + 0xFFFF + 800)
    assert len(engine.transmit()) == 1
    assert engine.next_deadline_ms() is None
    checker = parser(v1_only=False, listened={GROUP})
    assert checker.judge(train[1]) == ("accepted", "source_query")


@pytest.mark.parametrize("times", [2, 3])
def test_bi_12_the_same_record_again(times: int) -> None:
    """FRR 2025. Nothing looks at a record until a role needs them."""
    engine, lan = rested(np.frombuffer(GROUP + OTHER, np.uint8).reshape(2, 16))
    hear(engine, lan, frames.query())
    before = engine.groups(lan).copy()
    for kind in range(1, 7):
        assert hear(engine, lan, frames.report2((frames.record(kind, GROUP),) * times)) == ["accepted"]
    assert (engine.groups(lan) == before).all()
    assert engine.counters(lan)["report2"] == 6


def test_bi_14_records_that_are_promised() -> None:
    """FRR. 0xffff records with one there, and one record of 0xffff sources; of a Query, 0xffff sources with one."""
    engine, lan = rested(np.frombuffer(GROUP + OTHER, np.uint8).reshape(2, 16))
    hear(engine, lan, frames.query())
    before = engine.groups(lan).copy()
    record = frames.record(4, GROUP)
    assert hear(engine, lan, frames.report2((record,), count=0xFFFF)) == ["accepted"]
    assert hear(engine, lan, frames.report2((frames.record(4, GROUP, count=0xFFFF),))) == ["accepted"]
    assert (engine.groups(lan) == before).all()
    checker = parser(v1_only=False, listened={GROUP})
    query = frames.query2(GROUP, sources=(frames.address("2001:db8::1"),), count=0xFFFF)
    assert checker.judge(query) == ("bad_length", None)


@pytest.mark.parametrize("delay_ms", [100, 256, 10_000])
def test_bi_16_delays_as_they_are_waited_for(delay_ms: int) -> None:
    """FRR 2026, lwIP: taken in the wrong order of octets these are 25,600, 1 and 4,135 ms."""
    count = 2_000
    engine, lan = rested(numbered(count))
    hear(engine, lan, frames.query(delay_ms=delay_ms))
    waited_ms = engine.groups(lan)["deadline_ms"] - NOW_MS
    assert waited_ms.min() >= 1
    # All of 2,000 draws on 1..delay miss its upper twentieth once in 10^44.
    assert 0.95 * delay_ms < waited_ms.max() <= delay_ms
    engine.advance(NOW_MS + delay_ms)
    assert len(engine.transmit()) == count


class TestBi35AttackKits:
    """What is on sale: forged Queries, Reports and Dones at any rate."""

    def test_bi_35_a_querier_named_fe80(self) -> None:
        """fe80:: is in fe80::/64: its Queries count, and it does not become our own address."""
        engine, lan = rested(GROUP)
        assert hear(engine, lan, frames.query(source=frames.address("fe80::"))) == ["accepted"]
        assert engine.groups(lan)["deadline_ms"][0] > NOW_MS

    def test_bi_35_the_mac_of_all_routers_under_all_nodes(self) -> None:
        """A Query that the router alone hears on the link is not one that asks us."""
        engine, lan = rested(GROUP)
        frame = frames.query(mac_destination=frames.multicast_mac(frames.ALL_ROUTERS))
        assert hear(engine, lan, frame) == ["bad_destination"]
        assert engine.groups(lan)["deadline_ms"][0] == NONE

    def test_bi_35_robustness_7(self) -> None:
        """RFC 9777 section 5.1.8: at most 7. An MLDv1 host looks at nothing behind octet 24 (RFC 2710 section 3.7)."""
        engine, lan = rested(GROUP)
        assert hear(engine, lan, frames.query2(flags=7, interval_code=0)) == ["accepted"]
        engine.advance(NOW_MS + 10_000)
        assert len(engine.transmit()) == 1
        assert engine.next_deadline_ms() is None
        assert parser(v1_only=False).judge(frames.query2(flags=0xFF, interval_code=0)) == ("accepted", "general_query")

    def test_bi_35_a_flood_of_delay_0(self) -> None:
        """100,000 Queries in a second, each of which asks for every group at once: no more goes out than the budget."""
        rate, count = 1_000, 500
        engine = fastmld.Engine(seed=4)
        lan = engine.add_interface(
            "lan0",
            mac=frames.MAC,
            link_local=frames.LINK_LOCAL,
            report_rate=rate,
            unsolicited_report_repeats=0,
            mld_version=1,
        )
        engine.join(lan, numbered(count), now_ms=0)
        while (due_ms := engine.next_deadline_ms()) is not None:
            engine.advance(due_ms)
            engine.transmit()
        sent = 0
        for now_ms in range(10_000, 11_000, 10):
            hear(engine, lan, *[frames.query(delay_ms=0)] * 1_000, now_ms=now_ms)
            engine.advance(now_ms)
            answers = list(engine.transmit())
            sent += len(answers)
        assert 0 < sent <= rate + rate // 10
        counters = engine.counters(lan)
        assert counters["deferred"] > 0
        assert counters["frames"] == counters["general_query"] == 100_000
        for now_ms in range(11_000, 12_000, 10):  # and nothing is lost: each owed one Report after the last Query
            engine.advance(now_ms)
            answers += engine.transmit()
        assert len(answers) == count
        assert {answer[70:86] for answer in answers} == {row.tobytes() for row in numbered(count)}

    def test_bi_35_random_groups(self) -> None:
        """Queries, Reports and Dones for groups that nobody listens to leave nothing behind."""
        engine, lan = rested(GROUP)
        strangers = [row.tobytes() for row in numbered(1_000)]
        for make in (frames.report, frames.done):
            assert set(hear(engine, lan, *(make(group) for group in strangers))) == {"accepted"}
        queries = [frames.query(group, 0, destination=frames.ALL_NODES) for group in strangers]
        assert set(hear(engine, lan, *queries)) == {"accepted"}
        assert set(hear(engine, lan, *(frames.query(group) for group in strangers))) == {"bad_destination"}
        assert len(engine.groups(lan)) == 1
        assert engine.next_deadline_ms() is None
        assert len(engine.transmit()) == 0

    def test_bi_35_a_forged_done(self) -> None:
        """It is for routers: our timer and our flag stay, and the router's Query is answered."""
        engine, lan = rested(GROUP)
        before = engine.groups(lan).copy()
        assert hear(engine, lan, *[frames.done(GROUP)] * 100) == ["accepted"] * 100
        assert (engine.groups(lan) == before).all()
        hear(engine, lan, frames.query(GROUP, 1_000))
        engine.advance(NOW_MS + 1_000)
        (answer,) = engine.transmit()
        assert answer[62] == frames.REPORT
