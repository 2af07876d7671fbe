"""The demo's own judgement: it goes by what left the listener, and a group that is missing is a failure."""

from collections import Counter
from ipaddress import IPv6Address
from typing import Any

import numpy as np
import pytest
from scapy.layers.inet6 import ICMPv6MLQuery2, IPv6, IPv6ExtHdrHopByHop, RouterAlert
from scapy.layers.l2 import Ether

import frames
from fastmld import VERDICTS, Engine, FrameBatch
from fastmld.cli import demo, stage
from fastmld.cli.far_end import FarEnd, flood_of_queries, general_query
from fastmld.cli.stage import MemoryStage
from fastmld.links.memory import Wire

GROUPS = 50
HURRY = {
    "_JOINS_WITHIN_MS": 3000, "_GRACE_MS": 300, "_FLOOD_MS": 1200, "_BACK_WITHIN_MS": 8000,
    "GROUPS": GROUPS,
}  # fmt: skip


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in HURRY.items():
        monkeypatch.setattr(demo, name, value)
    # What a join has to say again it has said, within a second, when the MLDv1 Query comes.
    for name, value in {"_MEMORY_PAUSE_MS": 550, "_MEMORY_WINDOW_MS": 200}.items():
        monkeypatch.setattr(stage, name, value)


def play() -> tuple[MemoryStage, "demo._Play"]:
    playing = MemoryStage(f"{demo.FIRST}+{GROUPS}", "none are wanted")
    return playing, demo._Play(playing)


def test_every_group_answered(in_a_hurry: None, capsys: pytest.CaptureFixture[str]) -> None:
    _, performance = play()
    assert performance.play() is None
    shown = capsys.readouterr().out
    assert "none are wanted" in shown
    first, second, *_, last = [line.split() for line in shown.splitlines() if " s  MLDv" in line]
    assert (first[2], first[3], first[-1]) == ("MLDv2", "50", "MLDv2")
    assert (second[2], second[3], second[-1]) == ("MLDv1", "50", "MLDv1")
    assert (last[2], last[3], last[-1]) == ("MLDv2", "50", "MLDv2")
    assert [mode for _, mode in performance._modes] == ["mldv2", "mldv1", "mldv2"]
    assert "50 groups taken back" in shown


@pytest.mark.slow
def test_one_group_is_not_answered_for(in_a_hurry: None) -> None:
    playing, performance = play()
    # Once it has been said that it was joined.
    playing._runtime.engine.advance(playing._runtime.now_ms())
    playing._runtime.leave(0, "ff05::1:7")
    failures = (performance.play() or "").split("; ")
    assert [failure.partition(" answered")[0] for failure in failures] == [
        "49 of 50 groups", "49 of 50 groups", "no MLDv2 Query was", "49 of 50 groups", "49 of 50 groups",
    ]  # fmt: skip


@pytest.mark.slow
def test_answers_in_the_wrong_version_are_a_failure(in_a_hurry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLDv2 to an MLDv1 Query, which leaves nothing to come back from."""

    class Stubborn(Engine):
        def add_interface(self, name: str, **settings: Any) -> int:
            return super().add_interface(name, mld_version=2, **settings)

    monkeypatch.setattr(stage, "Engine", Stubborn)
    failures = (play()[1].play() or "").split("; ")
    assert [failure.partition(", in these")[0] for failure in failures] == [
        "0 of 50 groups answered the MLDv1 Query", "the listener said that it spoke mldv2",
    ]  # fmt: skip


def test_a_querier_that_does_not_turn_is_a_failure(in_a_hurry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryStage, "speak", lambda *_: None)
    monkeypatch.setattr(demo, "_ASKED_WITHIN_MS", 1000)
    failures = (play()[1].play() or "").split("; ")
    assert failures == ["the MLDv1 Query did not come", "the listener said that it spoke mldv2"]


@pytest.mark.parametrize(("version", "mode"), [(1, ""), (2, "exclude")])
def test_a_table_that_lacks_a_group_is_a_failure(
    in_a_hurry: None, monkeypatch: pytest.MonkeyPatch, version: int, mode: str
) -> None:
    """Groups that the bridge has for itself do not make up for it, nor one that it has otherwise."""
    _, performance = play()
    table = {IPv6Address(demo.FIRST) + i: mode for i in range(1, GROUPS)} | {IPv6Address("ff02::2"): mode}
    table[IPv6Address(demo.FIRST)] = "include"
    monkeypatch.setattr(MemoryStage, "table", lambda _: table)
    answer = demo._Answer(0, version, 100, np.zeros(GROUPS, np.int64), {version: 1})
    performance._look_it_up(answer)
    assert performance._failures == [f"the bridge's table has 49 of 50 groups as MLDv{version}"]
    assert answer.table == {mode: 49, "include": 1}
    table[IPv6Address(demo.FIRST)] = mode
    performance._look_it_up(answer)
    assert len(performance._failures) == 1


def test_the_flood_is_valid_and_varied() -> None:
    queries = flood_of_queries()
    assert len(set(queries)) == len(queries)
    engine = Engine(seed=0)
    lan = engine.add_interface("lan", mac="02:00:00:00:00:01", link_local="fe80::fa57:31d")
    assert {VERDICTS[code] for code in engine.receive(queries, 0)} == {"accepted"}
    assert engine.counters(lan)["general_query"] == len(queries)
    assert engine.status(lan).mode == "mldv2"
    for frame in list(queries)[::500]:
        packet = Ether(frame)
        assert packet[IPv6].hlim == 1
        assert isinstance(packet[IPv6ExtHdrHopByHop].options[0], RouterAlert)
        right = packet.copy()
        del right[ICMPv6MLQuery2].cksum
        assert bytes(right) == frame
        assert general_query(frame) == (2, packet[ICMPv6MLQuery2].mrd)


def test_what_the_far_end_counts() -> None:
    wire = Wire()
    far = FarEnd(wire.tap(), frames.address("ff05::1:0"), 3)
    listener = wire.tap()
    far.asked(100, 1000)
    others = [frames.report("ff05::1:3"), frames.report("ff05::0:ffff"), frames.report("ff06::1:0")]
    noise = [frames.query("ff05::1:1"), b"", frames.report("ff05::1:1")[:80], frames.report2()[:69]]
    listener.send(FrameBatch.from_list([*noise, *others, frames.report("ff05::1:0")]), 150)
    far.listen(150)
    assert far.delays_ms.tolist() == [50, -1, -1]
    listener.send(FrameBatch.from_list([frames.report("ff05::1:2"), frames.report("ff05::1:0")]), 180)
    far.listen(180)
    assert far.delays_ms.tolist() == [50, -1, 80]
    assert (far.answered, far.reports) == (2, Counter({1: 6}))
    far.asked(200, 1000)
    assert far.answered == 0
    assert far.reports_since == Counter()


def test_what_the_far_end_counts_in_mldv2() -> None:
    """IS_EX is an answer, before a Query TO_EX; others are passed over, sources, auxiliary data and all."""
    wire = Wire()
    far = FarEnd(wire.tap(), frames.address("ff05::1:0"), 4)
    listener = wire.tap()
    joined = frames.report2((frames.record(4, "ff05::1:1"), frames.record(2, "ff05::1:2")))
    listener.send(FrameBatch.from_list([joined]), 0)
    far.listen(0)
    assert far.delays_ms.tolist() == [-1, 0, -1, -1]
    far.asked(0, 1000)
    source = frames.address("2001:db8::1")
    include, allow = frames.record(1, "ff05::1:2", (source, source)), frames.record(5, "ff05::1:2", (source,))
    auxiliary = frames.record(2, "ff05::1:3")
    auxiliary = auxiliary[:1] + b"\x01" + auxiliary[2:] + b"aux."
    others = frames.record(4, "ff05::1:0"), frames.record(2, "ff05::1:4")
    answer = frames.report2((include, auxiliary, allow, frames.record(2, "ff05::1:1"), *others))
    listener.send(FrameBatch.from_list([answer]), 10)
    far.listen(10)
    assert far.delays_ms.tolist() == [-1, 10, -1, 10]
    assert (far.reports, far.reports_since) == (Counter({2: 2}), Counter({2: 1}))
    assert not far.left.any()
    gone = [frames.report2((frames.record(3, "ff05::1:1"),)), frames.done("ff05::1:0"), frames.done("ff05::1:3")]
    listener.send(FrameBatch.from_list(gone), 20)
    far.listen(20)
    assert far.left.tolist() == [True, True, False, True]
    listener.send(FrameBatch.from_list([frames.report("ff05::1:0")]), 30)
    far.listen(30)
    assert far.left.tolist() == [False, True, False, True]


def test_what_is_no_general_query() -> None:
    assert general_query(frames.query(delay_ms=2000)) == (1, 2000)
    assert general_query(frames.query2(response_code=2000)) == (2, 2000)
    assert general_query(frames.query2(response_code=0x8001)) == (2, 32776)
    for frame in (
        frames.query("ff05::1"),
        frames.query2("ff05::1"),
        frames.report("ff05::1"),
        frames.query()[:85],
        b"",
    ):
        assert general_query(frame) is None


def test_the_bars_are_all_answers() -> None:
    delays_ms = np.array([-1, 0, 199, 200, 1999, 2000, 2003, -1])
    bars = demo._histogram([demo._Answer(0, 2, 9, delays_ms, {2: 1}), demo._Answer(0, 1, 2000, delays_ms, {1: 6})])
    counts = [line.split()[-1] for line in bars[1:]]
    assert counts == ["2", "1", "0", "0", "0", "0", "0", "0", "0", "3"]
    assert demo._histogram([]) == []
