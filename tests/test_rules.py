"""Rules N1 to N20 of the MLDv1 listener, one test or more each, through the face and in virtual time."""

import itertools
from ipaddress import IPv6Address

import numpy as np
import pytest

import fastmld
import frames
from model import ladder
from said import briefly, run, said

GROUP, OTHER = "ff05::101", "ff05::102"
MAC = "02:00:00:00:00:01"
ONLY_DELAY = {"unsolicited_report_repeats": 0}


def engine_with(*groups: str, now_ms: int = 0, **settings: object) -> tuple[fastmld.Engine, int]:
    """An interface that has joined the groups and said so."""
    engine = fastmld.Engine(seed=1)
    settings = {"link_local": "fe80::1", **settings}
    lan = engine.add_interface("lan0", mac=MAC, mld_version=1, **settings)
    for group in groups:
        engine.join(lan, group, now_ms=now_ms)
    said(engine)
    return engine, lan


def packed(*groups: str) -> np.ndarray:
    return np.frombuffer(b"".join(map(frames.address, groups)), dtype=np.uint8).reshape(-1, 16)


def numbered(count: int) -> np.ndarray:
    return packed(*(f"ff05::{n:x}" for n in range(1, count + 1)))


def receive(engine: fastmld.Engine, now_ms: int, *heard: bytes, lan: int = 0) -> None:
    verdicts = engine.receive(fastmld.FrameBatch.from_list(list(heard), interfaces=lan), now_ms=now_ms)
    assert not verdicts.any()


def row(engine: fastmld.Engine, lan: int = 0, at: int = 0) -> tuple[str, bool, int | None]:
    """State, last-reporter flag and deadline of a group."""
    group = engine.groups(lan)[at]
    deadline_ms = int(group["deadline_ms"])
    return (
        fastmld.STATES[group["state"]],
        bool(group["last_reporter"]),
        None if deadline_ms == fastmld.NO_DEADLINE else deadline_ms,
    )


@pytest.mark.parametrize("vlan", [None, 7])
@pytest.mark.parametrize("group", ["ff02::2", GROUP, "ff0e::ffff:ffff", "ff3e:40:2001:db8::1", "ff02::1:ffab:cdef"])
def test_n01_form_of_what_is_sent(group: str, vlan: int | None) -> None:
    """scapy decodes every octet (see said.py), the strict ladder of another host accepts it."""
    engine, lan = engine_with(vlan=vlan)
    engine.join(lan, group, now_ms=0)
    engine.leave(lan, group, now_ms=0)
    out = engine.transmit()
    neighbour = ladder.Link(bytes(6), frames.ROUTER, listened={frames.address(group)})
    assert [ladder.judge(frame, neighbour) for frame in out] == [("accepted", "report"), ("accepted", "done")]
    assert {len(frame) for frame in out} == {86 if vlan is None else 90}
    assert {frame[12:-72] for frame in out} == {b"\x86\xdd" if vlan is None else b"\x81\x00\x00\x07\x86\xdd"}
    engine.join(lan, group, now_ms=1)
    assert [one.source for one in said(engine)] == ["fe80::1"]


def test_n02_destinations() -> None:
    engine, lan = engine_with()
    engine.join(lan, "ff0e::1234:5678", now_ms=0)
    engine.leave(lan, "ff0e::1234:5678", now_ms=0)
    report, done = engine.transmit()
    assert report[:12] == bytes.fromhex("333312345678") + frames.MAC
    assert done[:12] == bytes.fromhex("333300000002") + frames.MAC
    assert report[38:54] == frames.address("ff0e::1234:5678")
    assert done[38:54] == frames.address("ff02::2")


def test_n03_what_is_not_valid_has_no_effect() -> None:
    engine, lan = engine_with(GROUP, **ONLY_DELAY)
    before = engine.groups(lan).tobytes()
    bad = [
        frames.query(delay_ms=0, hop_limit=2),
        frames.query(delay_ms=0, options=None),
        frames.query(delay_ms=0, source=frames.ANY),
        frames.query(delay_ms=0, source=frames.LINK_LOCAL),
        frames.query(delay_ms=0, checksum_off_by=1),
        frames.query(delay_ms=0, destination="ff02::2"),
        frames.query(GROUP, 0, destination="ff02::16"),
        frames.query(delay_ms=0)[:-1],
    ]
    verdicts = engine.receive(fastmld.FrameBatch.from_list(bad), now_ms=1)
    assert verdicts.all()
    assert engine.groups(lan).tobytes() == before
    assert said(engine) == []
    assert engine.next_deadline_ms() is None


def test_n04_whom_a_query_asks() -> None:
    engine, lan = engine_with(GROUP, OTHER, "ff05::103")
    receive(engine, 5, frames.query(delay_ms=0))
    assert briefly(engine) == [(5, "report", GROUP), (5, "report", OTHER), (5, "report", "ff05::103")]
    receive(engine, 6, frames.query(OTHER, 0))
    assert briefly(engine) == [(6, "report", OTHER)]
    receive(engine, 7, frames.query("ff05::999", 0, destination=frames.ALL_NODES))
    assert said(engine) == []
    receive(engine, 8, frames.query(OTHER, 0, destination="fe80::1"), frames.query(delay_ms=0, destination=GROUP))
    assert [group for _, _, group in briefly(engine)] == [OTHER, GROUP, OTHER, "ff05::103"]
    # A v2 Query's first 24 octets, all that a v1 listener looks at (RFC 2710 section 3.7)
    receive(engine, 9, frames.query2(OTHER, 0, (frames.ROUTER,)))
    assert briefly(engine) == [(9, "report", OTHER)]
    assert engine.counters(lan)["general_query"] == 2


@pytest.mark.parametrize("delay_ms", [1, 2, 100, 256, 10_000, 32_767, 32_768, 0x8001, 65_535])
def test_n05_the_delay_is_16_bits_of_milliseconds(delay_ms: int) -> None:
    """Linear, the top bit included, in network byte order; drawn for each address alone."""
    engine, lan = engine_with(**ONLY_DELAY)
    engine.join(lan, numbered(500), now_ms=0)
    engine.transmit()
    receive(engine, 50, frames.query(delay_ms=delay_ms))
    delays_ms = engine.groups(lan)["deadline_ms"] - 50
    assert delays_ms.min() >= 1
    assert delays_ms.max() <= delay_ms
    assert delays_ms.max() > 0.96 * delay_ms  # missed by all of 500 once in a billion
    assert delays_ms.min() <= max(1, 0.04 * delay_ms)
    heard = run(engine, 50 + delay_ms)
    assert len(heard) == 500
    assert sorted(one.time_ms for one in heard) == sorted((delays_ms + 50).tolist())


def test_n05_after_a_join_the_interval_is_a_setting() -> None:
    for interval_ms in (1, 10_000, 1_000_000):
        engine, lan = engine_with(unsolicited_report_interval_ms=interval_ms)
        engine.join(lan, numbered(200), now_ms=0)
        deadlines_ms = engine.groups(lan)["deadline_ms"]
        assert 0.9 * interval_ms < deadlines_ms.max() <= interval_ms
        assert deadlines_ms.min() >= 1


def test_n06_a_running_timer_is_reset_only_to_less() -> None:
    engine, _ = engine_with(GROUP, **ONLY_DELAY)
    receive(engine, 0, frames.query(delay_ms=60_000))
    _, _, deadline_ms = row(engine)
    assert deadline_ms is not None
    now_ms = deadline_ms - 1000
    receive(engine, now_ms, frames.query(delay_ms=60_000), frames.query(GROUP, 1001), frames.query(delay_ms=1000))
    assert row(engine)[2] == deadline_ms  # 1000 is not less than what remains
    receive(engine, now_ms, frames.query(delay_ms=999))
    assert now_ms < row(engine)[2] <= now_ms + 999
    assert len(run(engine, deadline_ms + 60_000)) == 1


def test_n06_two_hundred_queries_a_second_postpone_nothing() -> None:
    """BI-33: every group answers by the least of arrival + delay, under any train of Queries."""
    engine, _ = engine_with(GROUP, OTHER, **ONLY_DELAY)
    last = {GROUP: 0, OTHER: 0}
    for now_ms in range(0, 60_000, 5):
        receive(engine, now_ms, frames.query(delay_ms=10_000))
        engine.advance(now_ms=now_ms)
        for time_ms, _, group in briefly(engine):
            assert time_ms - last[group] <= 10_000 + 5
            last[group] = time_ms
    assert min(last.values()) > 49_000


def test_n07_delay_zero_answers_at_once_each_time() -> None:
    engine, _ = engine_with(GROUP)
    assert row(engine)[0] == "delaying_listener"
    receive(engine, 3, frames.query(delay_ms=0), frames.query(GROUP, 0), frames.query(delay_ms=0))
    assert briefly(engine) == [(3, "report", GROUP)] * 3
    assert row(engine) == ("idle_listener", True, None)
    assert engine.next_deadline_ms() is None
    # As if the timer had expired: a Report behind it finds an idle listener, a Query behind it arms it.
    receive(engine, 4, frames.query(delay_ms=0), frames.report(GROUP))
    assert row(engine) == ("idle_listener", True, None)
    receive(engine, 5, frames.query(delay_ms=0), frames.query(delay_ms=10))
    assert row(engine)[0] == "delaying_listener"
    assert len(said(engine)) == 2


def test_n08_timer_expiry() -> None:
    engine, _ = engine_with(GROUP, **ONLY_DELAY)
    receive(engine, 0, frames.query(delay_ms=100), frames.report(GROUP), frames.query(delay_ms=100))
    state, flag, deadline_ms = row(engine)
    assert (state, flag) == ("delaying_listener", False)
    engine.advance(now_ms=deadline_ms - 1)
    assert said(engine) == []
    engine.advance(now_ms=deadline_ms)
    assert briefly(engine) == [(deadline_ms, "report", GROUP)]
    assert row(engine) == ("idle_listener", True, None)


def test_n09_report_heard() -> None:
    engine, lan = engine_with(GROUP, OTHER)
    receive(engine, 1, frames.report(GROUP))
    assert row(engine) == ("idle_listener", False, None)
    assert row(engine, at=1)[0] == "delaying_listener"
    assert [one.group for one in run(engine, 20_000)] == [OTHER]
    # While idle there is no effect, the flag included.
    receive(engine, 20_000, frames.report(OTHER))
    assert row(engine, at=1) == ("idle_listener", True, None)
    engine.leave(lan, GROUP, now_ms=20_001)
    engine.leave(lan, OTHER, now_ms=20_001)
    assert briefly(engine) == [(20_001, "done", OTHER)]


@pytest.mark.parametrize("kind", [frames.done(GROUP), frames.report2((frames.record(4, GROUP),))])
def test_n09_done_and_v2_reports_suppress_nothing(kind: bytes) -> None:
    engine, lan = engine_with(GROUP)
    before = engine.groups(lan).tobytes()
    receive(engine, 0, kind)
    assert engine.groups(lan).tobytes() == before


@pytest.mark.parametrize("repeats", [0, 1, 2, 5])
def test_n10_start_listening(repeats: int) -> None:
    engine, lan = engine_with(unsolicited_report_repeats=repeats)
    engine.join(lan, GROUP, now_ms=7)
    assert briefly(engine) == [(7, "report", GROUP)]
    assert row(engine)[:2] == ("delaying_listener" if repeats else "idle_listener", True)
    heard = run(engine, 100_000)
    assert len(heard) == repeats
    times_ms = [7] + [one.time_ms for one in heard]
    assert all(0 < two - one <= 10_000 for one, two in itertools.pairwise(times_ms))
    assert row(engine) == ("idle_listener", True, None)


def test_n10_one_repeat_by_default() -> None:
    engine, _ = engine_with(GROUP)
    assert len(run(engine, 1_000_000)) == 1


def test_n11_stop_listening() -> None:
    """Done if the flag is set, in either state."""
    engine, lan = engine_with(GROUP)
    assert row(engine)[0] == "delaying_listener"
    engine.leave(lan, GROUP, now_ms=5)
    assert briefly(engine) == [(5, "done", GROUP)]
    assert engine.next_deadline_ms() is None
    assert len(engine.groups(lan)) == 0
    receive(engine, 6, frames.query(delay_ms=0), frames.query(GROUP, 0, destination=frames.ALL_NODES))
    assert said(engine) == []

    engine, lan = engine_with(GROUP, **ONLY_DELAY)
    assert row(engine)[0] == "idle_listener"
    engine.leave(lan, GROUP, now_ms=5)
    assert briefly(engine) == [(5, "done", GROUP)]


def test_n11_no_done_without_the_flag() -> None:
    engine, lan = engine_with(GROUP, OTHER)
    receive(engine, 0, frames.report(GROUP), frames.report(OTHER))
    engine.leave(lan, GROUP, now_ms=1)
    receive(engine, 1, frames.query(delay_ms=1000))
    assert row(engine)[:2] == ("delaying_listener", False)
    engine.leave(lan, OTHER, now_ms=2)
    assert said(engine) == []


def test_n11_done_always_is_a_setting() -> None:
    engine, lan = engine_with(GROUP, "ff02::1", "ff01::5", done_always=True)
    engine.join(lan, OTHER, now_ms=0, delay_ms=100)
    receive(engine, 0, frames.report(GROUP))
    for group in (GROUP, OTHER, "ff02::1", "ff01::5"):
        engine.leave(lan, group, now_ms=1)
    assert briefly(engine) == [(1, "done", GROUP)]  # of the others nothing was ever said


def test_n11_a_group_left_in_the_millisecond_of_its_query() -> None:
    """BI-7: no Report of a membership that is gone."""
    engine, lan = engine_with(GROUP, **ONLY_DELAY)
    receive(engine, 0, frames.query(delay_ms=10))
    engine.leave(lan, GROUP, now_ms=0)
    engine.join(lan, OTHER, now_ms=0)
    assert [one.group for one in run(engine, 1000) if one.kind == "report"] == [OTHER]


@pytest.mark.parametrize("group", ["ff02::1", "ff00::5", "ff01::5", "ff10::5", "ff31::8000:1", "fff1::1", "ff01::1"])
def test_n12_silent_groups(group: str) -> None:
    engine, lan = engine_with()
    engine.join(lan, group, now_ms=0)
    assert row(engine) == ("idle_listener", False, None)
    receive(engine, 1, frames.query(delay_ms=0), frames.query(delay_ms=10), frames.query(group, 0))
    receive(engine, 1, frames.query(group, 10), frames.report(group))
    assert row(engine) == ("idle_listener", False, None)
    engine.set_link_local(lan, "fe80::2", now_ms=2)
    engine.set_up(lan, False, now_ms=2)
    engine.set_up(lan, True, now_ms=2)
    engine.leave(lan, group, now_ms=3)
    assert run(engine, 100_000) == []


@pytest.mark.parametrize(
    "group", ["ff02::2", "ff02::101", "ff12::1", "ff02::1:ff00:1", "ff05::1", "ff0f::1", "fff2::1"]
)
def test_n12_groups_that_are_reported(group: str) -> None:
    engine, lan = engine_with(group, **ONLY_DELAY)
    receive(engine, 1, frames.query(group, 0))
    engine.leave(lan, group, now_ms=2)
    assert briefly(engine) == [(1, "report", group), (2, "done", group)]


def test_n13_references() -> None:
    engine, lan = engine_with(**ONLY_DELAY)
    group = IPv6Address(GROUP)
    for spelling in (GROUP, group, group.packed, packed(GROUP, GROUP, GROUP)):
        engine.join(lan, spelling, now_ms=0)
    assert briefly(engine) == [(0, "report", GROUP)]
    assert engine.groups(lan)["references"].tolist() == [6]
    engine.leave(lan, packed(*[GROUP] * 5), now_ms=1)
    assert said(engine) == []
    engine.leave(lan, GROUP, now_ms=1)
    assert briefly(engine) == [(1, "done", GROUP)]
    with pytest.raises(fastmld.NotListening, match=GROUP):
        engine.leave(lan, GROUP, now_ms=1)


def test_n13_leaving_is_all_or_nothing() -> None:
    engine, lan = engine_with(GROUP, OTHER)
    before = engine.groups(lan).tobytes()
    for asked in ([GROUP, "ff05::9", OTHER], [GROUP, GROUP, "ff05::9"]):
        with pytest.raises(fastmld.NotListening):
            engine.leave(lan, packed(*asked), now_ms=1)
    with pytest.raises(fastmld.NotListening, match="ff05::8"):
        engine.leave(lan, packed(GROUP, "ff05::8", "ff05::7"), now_ms=1)
    assert engine.groups(lan).tobytes() == before
    assert said(engine) == []


@pytest.mark.parametrize("wrong", ["2001:db8::1", "::", "nonsense", b"\xff\x05", "fe80::1", 5, None])
def test_n13_what_is_no_group(wrong: object) -> None:
    engine, lan = engine_with(GROUP)
    before = engine.groups(lan).tobytes()
    for call in (engine.join, engine.leave):
        with pytest.raises((fastmld.InvalidAddress, TypeError)):
            call(lan, wrong, now_ms=0)
    with pytest.raises(fastmld.InvalidAddress, match="2001:db8::1"):
        engine.join(lan, packed(OTHER, "2001:db8::1"), now_ms=0)
    assert engine.groups(lan).tobytes() == before


def test_n14_delayed_join() -> None:
    engine, lan = engine_with()
    engine.join(lan, GROUP, now_ms=0, delay_ms=500)
    assert row(engine) == ("delayed_join", False, 500)
    assert engine.next_deadline_ms() == 500
    receive(engine, 10, frames.query(delay_ms=0), frames.query(GROUP, 5), frames.report(GROUP), frames.query(GROUP, 0))
    engine.join(lan, GROUP, now_ms=20)
    engine.join(lan, GROUP, now_ms=20, delay_ms=5)
    assert row(engine) == ("delayed_join", False, 500)
    assert engine.groups(lan)["references"].tolist() == [3]
    engine.advance(now_ms=499)
    assert said(engine) == []
    heard = run(engine, 20_000)
    assert [one[:3] for one in heard[:1]] == [(500, "report", GROUP)]
    assert len(heard) == 2
    assert 500 < heard[1].time_ms <= 10_500


def test_n14_left_before_it_spoke() -> None:
    engine, lan = engine_with()
    engine.join(lan, GROUP, now_ms=0, delay_ms=500)
    engine.leave(lan, GROUP, now_ms=499)
    assert run(engine, 20_000) == []
    assert engine.next_deadline_ms() is None


def test_n15_without_a_link_local_address() -> None:
    engine, lan = engine_with(link_local=None)
    engine.join(lan, GROUP, now_ms=0)
    assert [one[:4] for one in said(engine)] == [(0, "report", GROUP, "::")]
    assert row(engine) == ("idle_listener", True, None)  # no repeat
    receive(engine, 1, frames.query(GROUP, 50))
    heard = run(engine, 100)
    assert [(one.kind, one.source) for one in heard] == [("report", "::")]
    engine.join(lan, OTHER, now_ms=100)
    engine.leave(lan, OTHER, now_ms=101)
    assert [(one.kind, one.source) for one in said(engine)] == [("report", "::"), ("done", "::")]
    engine.join(lan, OTHER, now_ms=102, delay_ms=1000)
    said(engine)
    engine.set_link_local(lan, "fe80::5", now_ms=200)
    assert [one[:4] for one in said(engine)] == [(200, "report", GROUP, "fe80::5")]
    assert row(engine)[0] == "delaying_listener"  # its repeat
    assert [one.group for one in run(engine, 20_000)].count(OTHER) == 2


def test_n15_when_a_new_address_reports_again() -> None:
    engine, lan = engine_with(GROUP, **ONLY_DELAY)

    def after(address: str | None, now_ms: int) -> list[str]:
        engine.set_link_local(lan, address, now_ms=now_ms)
        return [one.source for one in said(engine)]

    assert after("fe80::1", 1) == []
    assert after("fe80::2", 2) == ["fe80::2"]
    assert after(None, 3) == []
    assert after("fe80::2", 4) == []  # nothing was said meanwhile
    assert after(None, 5) == []
    assert after("fe80::3", 6) == ["fe80::3"]
    assert after(None, 7) == []
    receive(engine, 8, frames.query(delay_ms=0))
    assert [one.source for one in said(engine)] == ["::"]
    assert after("fe80::3", 9) == ["fe80::3"]  # the router has not heard of us from there
    assert after(None, 10) == []
    assert after("fe80::3", 11) == []


def test_n15_the_new_address_is_what_counts() -> None:
    """Looped back, asked by unicast, and as source: the address of now."""
    engine, lan = engine_with(GROUP, **ONLY_DELAY)
    engine.set_link_local(lan, "fe80::2", now_ms=0)
    said(engine)
    asked = [
        frames.query(delay_ms=0, destination="fe80::2"),
        frames.query(delay_ms=0, destination="fe80::1"),
        frames.query(delay_ms=0, source=frames.address("fe80::2")),
        frames.query(delay_ms=0, source=frames.LINK_LOCAL),
    ]
    verdicts = engine.receive(fastmld.FrameBatch.from_list(asked), now_ms=1)
    names = [fastmld.VERDICTS[code] for code in verdicts]
    assert names == ["accepted", "bad_destination", "looped_back", "accepted"]
    assert [one.source for one in said(engine)] == ["fe80::2"] * 2


@pytest.mark.parametrize("wrong", ["2001:db8::1", "::1", "ff02::1", "fec0::1", "nonsense"])
def test_n15_an_own_address_is_link_local(wrong: str) -> None:
    engine, lan = engine_with(GROUP)
    with pytest.raises(fastmld.InvalidAddress):
        engine.set_link_local(lan, wrong, now_ms=0)
    with pytest.raises(fastmld.InvalidAddress):
        engine.add_interface("lan1", mac=MAC, link_local=wrong, mld_version=1)
    assert said(engine) == []


def test_n16_interface_down_and_up() -> None:
    engine, lan = engine_with(GROUP, OTHER, "ff05::103", "ff05::104", **ONLY_DELAY)
    receive(engine, 0, frames.query(delay_ms=1000), frames.report(OTHER), frames.report("ff05::103"))
    receive(engine, 0, frames.query("ff05::103", 1000))
    # Delaying with the flag, idle without, delaying without, delaying with
    engine.join(lan, "ff05::105", now_ms=0, delay_ms=5000)
    engine.join(lan, "ff05::106", now_ms=0, delay_ms=50)
    said(engine)
    engine.set_up(lan, False, now_ms=0)
    assert briefly(engine) == [(0, "done", GROUP), (0, "done", "ff05::104")]
    assert [row(engine, at=n)[:2] for n in range(4)] == [("idle_listener", False)] * 4

    receive(engine, 10, frames.query(delay_ms=0), frames.query(GROUP, 10), frames.report(GROUP))
    engine.join(lan, "ff05::107", now_ms=10)
    engine.leave(lan, GROUP, now_ms=10)
    engine.leave(lan, "ff05::104", now_ms=10)
    engine.set_up(lan, False, now_ms=10)
    engine.set_link_local(lan, "fe80::2", now_ms=10)
    assert run(engine, 1000) == []

    engine.set_up(lan, True, now_ms=2000)
    expected = [(2000, "report", group) for group in (OTHER, "ff05::103", "ff05::106", "ff05::107")]
    assert briefly(engine) == expected
    engine.set_up(lan, True, now_ms=2000)
    assert said(engine) == []
    assert [one[:3] for one in run(engine, 6000)] == [(5000, "report", "ff05::105")]


def test_n16_up_repeats() -> None:
    engine, lan = engine_with(GROUP)
    engine.set_up(lan, False, now_ms=0)
    assert engine.next_deadline_ms() is None
    engine.set_up(lan, True, now_ms=0)
    assert briefly(engine) == [(0, "done", GROUP), (0, "report", GROUP)]
    assert len(run(engine, 20_000)) == 1


@pytest.mark.parametrize("lose", ["carrier", "mtu"])
def test_n16_carrier_lost(lose: str) -> None:
    """As down, without Dones: the port is shut. An MTU that IPv6 cannot run over is the same."""
    engine, lan = engine_with(GROUP)

    def link(works: bool, now_ms: int) -> None:
        if lose == "carrier":
            engine.set_carrier(lan, works, now_ms=now_ms)
        else:
            engine.set_mtu(lan, 1280 if works else 1279, now_ms=now_ms)

    link(False, 5)
    assert row(engine) == ("idle_listener", False, None)
    receive(engine, 6, frames.query(delay_ms=0))
    engine.join(lan, OTHER, now_ms=7)
    engine.set_up(lan, False, now_ms=8)
    link(True, 9)
    assert said(engine) == []  # still down
    engine.set_up(lan, True, now_ms=10)
    assert briefly(engine) == [(10, "report", GROUP), (10, "report", OTHER)]
    link(False, 11)
    engine.leave(lan, GROUP, now_ms=12)
    assert said(engine) == []
    link(True, 13)
    assert briefly(engine) == [(13, "report", OTHER)]


def test_n16_mtu_while_answers_are_pending() -> None:
    """BI-5: 9000, 1280, 1279 and 68 while a thousand answers wait; each group ends up reported."""
    engine, lan = engine_with(mtu=9000)
    engine.join(lan, numbered(1000), now_ms=0)
    receive(engine, 0, frames.query(delay_ms=100))
    said(engine)
    for now_ms, mtu in ((10, 1500), (20, 1280), (30, 1279), (40, 68)):
        engine.set_mtu(lan, mtu, now_ms=now_ms)
    said(engine)
    assert run(engine, 1000) == []
    engine.set_mtu(lan, 9000, now_ms=1001)
    assert len(said(engine)) == 1000


def test_n17_loopback() -> None:
    engine, lan = engine_with(kind="loopback")
    engine.join(lan, GROUP, now_ms=0)
    engine.join(lan, GROUP, now_ms=0)
    assert engine.groups(lan)["references"].tolist() == [2]
    receive(engine, 1, frames.query(delay_ms=0), frames.query(delay_ms=10), frames.report(GROUP))
    engine.set_up(lan, False, now_ms=2)
    engine.set_up(lan, True, now_ms=3)
    engine.leave(lan, GROUP, now_ms=4)
    engine.leave(lan, GROUP, now_ms=4)
    assert run(engine, 100_000) == []
    assert len(engine.groups(lan)) == 0
    assert engine.counters(lan)["accepted"] == 3


def test_n18_time_goes_forwards() -> None:
    engine, lan = engine_with(GROUP, now_ms=100)
    batch = fastmld.FrameBatch.from_list([frames.query()])
    for call in (
        lambda now_ms: engine.advance(now_ms=now_ms),
        lambda now_ms: engine.receive(batch, now_ms=now_ms),
        lambda now_ms: engine.join(lan, OTHER, now_ms=now_ms),
        lambda now_ms: engine.leave(lan, GROUP, now_ms=now_ms),
        lambda now_ms: engine.set_up(lan, False, now_ms=now_ms),
        lambda now_ms: engine.set_carrier(lan, False, now_ms=now_ms),
        lambda now_ms: engine.set_mtu(lan, 1300, now_ms=now_ms),
        lambda now_ms: engine.set_link_local(lan, "fe80::9", now_ms=now_ms),
        lambda now_ms: engine.remove_interface(lan, now_ms=now_ms),
    ):
        before = engine.groups(lan).tobytes(), engine.counters(lan)
        with pytest.raises(fastmld.ClockWentBackwards):
            call(99)
        assert (engine.groups(lan).tobytes(), engine.counters(lan)) == before
    assert issubclass(fastmld.ClockWentBackwards, ValueError)


def test_n18_a_late_caller_fires_late_timers_once_in_order() -> None:
    engine, lan = engine_with()
    for n in range(1, 30):
        engine.join(lan, f"ff05::{n:x}", now_ms=0, delay_ms=1000 - 7 * n)
    engine.set_link_local(lan, "fe80::2", now_ms=10_000_000)
    heard = said(engine)
    late = [one for one in heard if one.time_ms < 10_000_000]
    assert [one.time_ms for one in heard] == sorted(one.time_ms for one in heard)
    assert len(late) == 29 * 2  # the Report and its repeat
    assert {one.source for one in late} == {"fe80::1"}
    assert [one.time_ms for one in late if 1000 - one.time_ms in range(7, 210, 7)][:1] == [1000 - 7 * 29]
    assert len(heard) == 29 * 3


def test_n18_timers_of_this_millisecond_come_after_its_frames() -> None:
    engine, _ = engine_with(GROUP, **ONLY_DELAY)
    receive(engine, 0, frames.query(delay_ms=100))
    deadline_ms = engine.next_deadline_ms()
    receive(engine, deadline_ms, frames.report(GROUP))
    engine.advance(now_ms=deadline_ms)
    assert said(engine) == []


def test_n18_order_within_a_millisecond() -> None:
    """Local calls in call order, answers in the order of the frames that asked, expiries by (deadline, row)."""
    engine, lan = engine_with("ff05::1", "ff05::2", "ff05::3", **ONLY_DELAY)
    engine.join(lan, "ff05::9", now_ms=10, delay_ms=5)
    engine.join(lan, "ff05::8", now_ms=10, delay_ms=5)
    engine.join(lan, "ff05::7", now_ms=10, delay_ms=4)
    engine.join(lan, "ff05::5", now_ms=15)
    engine.leave(lan, "ff05::2", now_ms=15)
    engine.join(lan, "ff05::4", now_ms=15)
    receive(engine, 15, frames.query("ff05::4", 0), frames.query(delay_ms=0), frames.query("ff05::1", 0))
    engine.advance(now_ms=15)
    assert [(time_ms, kind[0], group[-1]) for time_ms, kind, group in briefly(engine)] == [
        (14, "r", "7"),
        (15, "r", "5"), (15, "d", "2"), (15, "r", "4"),
        (15, "r", "4"), (15, "r", "1"), (15, "r", "3"), (15, "r", "7"), (15, "r", "5"), (15, "r", "4"), (15, "r", "1"),
        (15, "r", "9"), (15, "r", "8"),
    ]  # fmt: skip


@pytest.mark.parametrize("start_ms", [-(1 << 46), -1, 0, 1 << 46, 1 << 61, -(1 << 61), 1 << 63, -(1 << 80)])
def test_n18_time_may_start_anywhere(start_ms: int) -> None:
    """Or is refused; a timer that was accepted runs."""
    engine, lan = engine_with()
    try:
        engine.join(lan, GROUP, now_ms=start_ms)
    except ValueError:
        assert abs(start_ms) > 1 << 47  # some 4,000 years
        return
    deadline_ms = engine.next_deadline_ms()
    assert deadline_ms is not None and start_ms < deadline_ms <= start_ms + 10_000
    assert len(run(engine, start_ms + 20_000)) == 2


def test_n18_next_deadline() -> None:
    engine, lan = engine_with()
    assert engine.next_deadline_ms() is None
    engine.join(lan, GROUP, now_ms=0, delay_ms=700)
    engine.join(lan, OTHER, now_ms=0, delay_ms=300)
    assert engine.next_deadline_ms() == 300
    engine.leave(lan, OTHER, now_ms=10)
    assert engine.next_deadline_ms() == 700  # no disarmed candidate
    engine.remove_interface(lan, now_ms=20)
    assert engine.next_deadline_ms() is None


def test_n19_what_was_handed_over_counts_as_sent() -> None:
    engine, lan = engine_with(GROUP, OTHER, "ff05::103")
    sent = engine.counters(lan)["sent_report"]
    receive(engine, 1, frames.query(delay_ms=0))
    engine.leave(lan, OTHER, now_ms=2)
    assert engine.counters(lan)["sent_report"] == sent
    parts = [engine.transmit(limit=limit) for limit in (1, 2, 5, 5)]
    assert [len(part) for part in parts] == [1, 2, 1, 0]
    assert [part.times_ms.tolist() for part in parts] == [[1], [1, 1], [2], []]
    counters = engine.counters(lan)
    assert (counters["sent_report"], counters["sent_done"]) == (sent + 3, 1)


def test_n19_what_waits_is_as_it_was_said() -> None:
    """An address that changes, or a group that is left, does not reach back to what left before."""
    engine, lan = engine_with(**ONLY_DELAY)
    engine.join(lan, GROUP, now_ms=0)
    engine.set_link_local(lan, "fe80::2", now_ms=1)
    engine.leave(lan, GROUP, now_ms=2)
    engine.set_link_local(lan, None, now_ms=3)
    engine.set_up(lan, False, now_ms=4)
    assert [one[:4] for one in said(engine)] == [
        (0, "report", GROUP, "fe80::1"),
        (1, "report", GROUP, "fe80::2"),
        (2, "done", GROUP, "fe80::2"),
    ]


def test_n20_interfaces_are_strangers() -> None:
    engine, lan = engine_with(GROUP, **ONLY_DELAY)
    other = engine.add_interface(
        "lan1", mac="02:00:00:00:00:02", link_local="fe80::1", vlan=9, mld_version=1, **ONLY_DELAY
    )
    assert other != lan
    engine.join(other, GROUP, now_ms=0)
    said(engine)
    receive(engine, 1, frames.query(delay_ms=0), lan=other)
    assert [(one.interface, one.group) for one in said(engine)] == [(other, GROUP)]
    receive(engine, 2, frames.query(delay_ms=1000), lan=lan)
    receive(engine, 2, frames.query(delay_ms=1000), lan=other)
    receive(engine, 2, frames.report(GROUP), lan=other)
    assert row(engine, other) == ("idle_listener", False, None)
    assert row(engine, lan)[:2] == ("delaying_listener", True)
    engine.leave(lan, GROUP, now_ms=3)
    engine.set_up(lan, False, now_ms=3)
    assert len(engine.groups(other)) == 1
    engine.join(other, OTHER, now_ms=4)
    engine.remove_interface(lan, now_ms=5)
    assert [one.interface for one in said(engine)] == [lan, other]
    with pytest.raises(fastmld.UnknownInterface):
        engine.join(lan, GROUP, now_ms=6)
    receive(engine, 7, frames.query(GROUP, 0), lan=other)
    assert len(said(engine)) == 1


def test_n20_removed_interfaces_leave_nothing_behind() -> None:
    """BI-6: no timer outlives its interface, and removing says nothing."""
    engine, lan = engine_with(GROUP, OTHER)
    receive(engine, 0, frames.query(delay_ms=100))
    engine.remove_interface(lan, now_ms=1)
    assert engine.next_deadline_ms() is None
    assert run(engine, 100_000) == []
    again = engine.add_interface("lan0", mac=MAC, link_local="fe80::1", mld_version=1)
    assert len(engine.groups(again)) == 0
    assert engine.counters(again)["frames"] == 0
    engine.join(again, GROUP, now_ms=100_000)
    assert len(run(engine, 200_000)) == 2


def test_n20_frames_of_an_interface_that_is_not_there() -> None:
    engine, lan = engine_with(GROUP)
    before = engine.groups(lan).tobytes(), engine.counters(lan)
    batch = fastmld.FrameBatch.from_list(
        [frames.query(delay_ms=0)] * 2, interfaces=np.array([lan, 99], dtype=np.uint32)
    )
    with pytest.raises(fastmld.UnknownInterface):
        engine.receive(batch, now_ms=1)
    assert (engine.groups(lan).tobytes(), engine.counters(lan)) == before
    assert said(engine) == []


def test_n20_another_mac_address_is_used_from_then_on() -> None:
    """What was decided before leaves as it was decided; frames to the new address are ours."""
    engine, lan = engine_with(GROUP, **ONLY_DELAY)
    receive(engine, 20_000, frames.query(delay_ms=0))
    engine.set_mac(lan, "02:00:00:00:00:77", now_ms=20_000)
    heard = [
        frames.query(delay_ms=0, mac_destination=bytes.fromhex("020000000077")),
        frames.query(delay_ms=0, mac_destination=frames.MAC),
    ]
    verdicts = engine.receive(fastmld.FrameBatch.from_list(heard, lan), now_ms=20_000)
    assert [fastmld.VERDICTS[code] for code in verdicts] == ["accepted", "bad_destination"]
    assert [frame[6:12] for frame in engine.transmit()] == [frames.MAC, bytes.fromhex("020000000077")]
    with pytest.raises(fastmld.InvalidAddress):
        engine.set_mac(lan, "33:33:00:00:00:01", now_ms=20_000)
