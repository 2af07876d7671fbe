"""What `fastmld run` says of what it drops: one line a reason a minute, as a setting, while the counters go on."""

import pytest

import frames
from fastmld import Engine
from fastmld.cli.log import Log
from fastmld.links.memory import Wire
from fastmld.runtime import Runtime


class Bench:
    """A runtime on a wire, a log of it, and a clock that the test moves."""

    def __init__(self, interval_s: int = 60) -> None:
        self.at_ms = 0
        self.runtime = Runtime(Engine(seed=1), clock=lambda: self.at_ms)
        wire = Wire()
        self.lan = self.runtime.engine.add_interface(
            "lan0",
            mac=frames.MAC,
            link_local=frames.LINK_LOCAL,
            report_rate=10,
            unsolicited_report_repeats=0,
            mld_version=1,
        )
        self.runtime.attach(self.lan, wire.tap())
        self.other = wire.tap()
        self.wire = wire
        self.log = Log(self.runtime, {self.lan: "lan0"}, {self.lan: interval_s})

    def hear(self, *heard: bytes) -> None:
        for frame in heard:
            self.wire.carry(self.other, frame, self.at_ms)
        self.runtime.work(self.at_ms)
        self.log.look()


def test_a_reason_is_told_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    bad = frames.query(hop_limit=2)
    for at_ms in range(0, 120_001, 1000):
        bench.at_ms = at_ms
        bench.hear(bad, bad)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "fastmld: lan0: 2 dropped: bad_hop_limit; 2 in all",
        "fastmld: lan0: 120 dropped: bad_hop_limit; 122 in all",
        "fastmld: lan0: 120 dropped: bad_hop_limit; 242 in all",
    ]
    assert bench.runtime.counters(bench.lan)["bad_hop_limit"] == 242


def test_the_minute_is_a_whole_one(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    lines = []
    for bench.at_ms in (0, 59_999, 60_000, 60_001):
        bench.hear(frames.query(hop_limit=2))
        lines.append(capsys.readouterr().err.count("\n"))
    assert lines == [1, 0, 1, 0]


def test_each_reason_has_a_minute_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    bench.hear(frames.query(hop_limit=2))
    bench.hear(frames.query(hop_limit=2), frames.query(checksum_off_by=1), frames.query(source=frames.ANY))
    assert capsys.readouterr().err.splitlines() == [
        "fastmld: lan0: 1 dropped: bad_hop_limit; 1 in all",
        "fastmld: lan0: 1 dropped: bad_source; 1 in all",
        "fastmld: lan0: 1 dropped: bad_checksum; 1 in all",
    ]


def test_a_budget_that_is_spent_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    for n in range(1, 6):
        bench.runtime.engine.join(bench.lan, f"ff05::{n}", 0)
    bench.log.look()
    assert capsys.readouterr().err == "fastmld: lan0: 4 Reports deferred: the budget (report_rate) is spent; 4 in all\n"


def test_without_a_log_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(interval_s=0)
    bench.hear(frames.query(hop_limit=2))
    assert capsys.readouterr().err == ""
    assert bench.runtime.counters(bench.lan)["bad_hop_limit"] == 1
