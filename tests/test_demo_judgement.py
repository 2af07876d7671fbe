"""The demo's own judgement: it goes by what left the listener, and a group that is missing is a failure."""

import numpy as np
import pytest
from scapy.layers.inet6 import ICMPv6MLQuery, IPv6, IPv6ExtHdrHopByHop, RouterAlert
from scapy.layers.l2 import Ether

import frames
from fastmld import VERDICTS, Engine, FrameBatch
from fastmld.cli import demo, stage
from fastmld.cli.far_end import FarEnd, flood_of_queries, window_of
from fastmld.cli.stage import MemoryStage
from fastmld.links.memory import Wire

GROUPS = 50


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"_JOINS_WITHIN_MS": 500, "_GRACE_MS": 100, "_FLOOD_MS": 1200, "GROUPS": GROUPS}.items():
        monkeypatch.setattr(demo, name, value)
    for name, value in {"_MEMORY_PAUSE_MS": 10, "_MEMORY_WINDOW_MS": 200}.items():
        monkeypatch.setattr(stage, name, value)


def test_every_group_answered(in_a_hurry: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo._Play(MemoryStage(f"{demo.FIRST}+{GROUPS}", "none are wanted")).play() is None
    shown = capsys.readouterr().out
    assert "none are wanted" in shown
    assert "answered for 50, 50, 50 groups" in shown


def test_one_group_is_not_answered_for(in_a_hurry: None, capsys: pytest.CaptureFixture[str]) -> None:
    playing = MemoryStage(f"{demo.FIRST}+{GROUPS}", "none are wanted")
    # Its first Report has been decided on already, so it is seen once.
    playing._runtime.leave(0, "ff05::1:7")
    failure = demo._Play(playing).play()
    assert failure is not None
    assert failure.count("49 of 50 groups answered") == 4
    assert "answered for 49, 49, 49 groups" in capsys.readouterr().out


def test_a_table_that_lacks_a_group_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups that the bridge has for itself do not make up for it."""
    play = demo._Play(MemoryStage(f"{demo.FIRST}+{GROUPS}", "none are wanted"))
    table = {demo.IPv6Address(demo.FIRST) + i for i in range(1, demo.GROUPS)} | {demo.IPv6Address("ff02::2")}
    monkeypatch.setattr(MemoryStage, "learnt", lambda _: table)
    assert play._learnt() == demo.GROUPS - 1
    assert play._failures == [f"the bridge's table has {demo.GROUPS - 1:,} of {demo.GROUPS:,} groups"]


def test_the_flood_is_valid_and_varied() -> None:
    queries = flood_of_queries()
    assert len(set(queries)) == len(queries)
    engine = Engine(seed=0)
    lan = engine.add_interface("lan", mac="02:00:00:00:00:01", link_local="fe80::fa57:31d", mld_version=1)
    assert {VERDICTS[code] for code in engine.receive(queries, 0)} == {"accepted"}
    assert engine.counters(lan)["general_query"] == len(queries)
    for frame in list(queries)[::500]:
        packet = Ether(frame)
        assert packet[IPv6].hlim == 1
        assert isinstance(packet[IPv6ExtHdrHopByHop].options[0], RouterAlert)
        right = packet.copy()
        del right[ICMPv6MLQuery].cksum
        assert bytes(right) == frame
        assert window_of(frame) == packet[ICMPv6MLQuery].mrd


def test_what_the_far_end_counts() -> None:
    wire = Wire()
    far = FarEnd(wire.tap(), frames.address("ff05::1:0"), 3)
    listener = wire.tap()
    far.asked(100, 1000)
    others = [frames.report("ff05::1:3"), frames.report("ff05::0:ffff"), frames.report("ff06::1:0")]
    noise = [frames.query("ff05::1:1"), frames.done("ff05::1:1"), b"", frames.report("ff05::1:1")[:80]]
    listener.send(FrameBatch.from_list([*noise, *others, frames.report("ff05::1:0")]), 150)
    far.listen(150)
    assert far.delays_ms.tolist() == [50, -1, -1]
    listener.send(FrameBatch.from_list([frames.report("ff05::1:2"), frames.report("ff05::1:0")]), 180)
    far.listen(180)
    assert far.delays_ms.tolist() == [50, -1, 80]
    assert (far.answered, far.reports) == (2, 6)
    far.asked(200, 1000)
    assert far.answered == 0


def test_what_is_no_general_query() -> None:
    assert window_of(frames.query(delay_ms=2000)) == 2000
    for frame in (frames.query("ff05::1"), frames.report("ff05::1"), frames.query()[:85], b""):
        assert window_of(frame) is None


def test_the_bars_are_all_answers() -> None:
    delays_ms = [np.array([-1, 0, 199, 200, 1999]), np.array([2000, 2003, -1])]
    counts = [line.split()[-1] for line in demo._histogram(delays_ms, 2000)]
    assert counts == ["2", "1", "0", "0", "0", "0", "0", "0", "0", "3"]
    assert demo._histogram([], 2000) == []
