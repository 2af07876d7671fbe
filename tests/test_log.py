"""What `fastmld run` says of its mode and of what it drops: a line a reason a minute, as a setting; counters go on."""

import pytest

import frames
from fastmld import Engine
from fastmld.cli.log import Log
from fastmld.links.memory import Wire
from fastmld.runtime import Runtime


class Bench:
    """A runtime on a wire, a log of it, and a clock that the test moves."""

    def __init__(self, interval_s: int = 60, mld_version: int | str = 1) -> None:
        self.at_ms = 0
        self.runtime = Runtime(Engine(seed=1), clock=lambda: self.at_ms)
        wire = Wire()
        self.lan = self.runtime.engine.add_interface(
            "lan0",
            mac=frames.MAC,
            link_local=frames.LINK_LOCAL,
            report_rate=10,
            unsolicited_report_repeats=0,
            mld_version=mld_version,
        )
        self.runtime.attach(self.lan, wire.tap())
        self.other = wire.tap()
        self.wire = wire
        self.log = Log(self.runtime, {self.lan: "lan0"}, {self.lan: interval_s})

    def wait(self, until_ms: int) -> None:
        self.at_ms = until_ms
        self.runtime.work(until_ms)
        self.log.look()

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


# Versions. RFC 9777 section 9.12: MLDv1 lasts 2 * 125 s and the Maximum Response Delay from an MLDv1 Query on.


def test_changes_of_mode_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(mld_version="auto")
    bench.hear(frames.query2(response_code=1000))
    assert capsys.readouterr().err == ""
    bench.at_ms = 1000
    bench.hear(frames.query(delay_ms=10_000))
    bench.hear(frames.query(delay_ms=10_000))
    line = "mode mldv1: a Querier speaks it; the latest Query is from fe80::fe"
    assert capsys.readouterr().err == f"fastmld: lan0: {line}\n"
    bench.wait(260_999)
    assert capsys.readouterr().err == ""
    bench.wait(261_000)
    assert capsys.readouterr().err == "fastmld: lan0: mode mldv2 again: no MLDv1 Querier is heard any more\n"


def test_a_mode_that_comes_and_goes_is_told_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(mld_version="auto")
    engine, told = bench.runtime.engine, []
    for bench.at_ms in range(0, 120_000, 1000):
        bench.hear(frames.query(delay_ms=1000))
        engine.set_carrier(bench.lan, False, bench.at_ms)  # which forgets the Querier
        engine.set_carrier(bench.lan, True, bench.at_ms)
        bench.log.look()
        told += capsys.readouterr().err.splitlines()
    assert [line.split()[3].rstrip(":") for line in told] == ["mldv1", "mldv2", "mldv1", "mldv2"]


def test_what_mldv1_cannot_say_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(mld_version="auto")
    engine = bench.runtime.engine
    engine.listen(bench.lan, "ff3e::1", "include", ["2001:db8::1"], now_ms=0)
    bench.hear(frames.query(delay_ms=10_000))
    line = "MLDv1 is spoken, which cannot tell of source-specific addresses: nothing is said of them"
    assert f"fastmld: lan0: {line}\n" in capsys.readouterr().err
    engine.listen(bench.lan, "ff3e::2", "include", ["2001:db8::1"], now_ms=1)
    bench.wait(600_000)
    bench.hear(frames.query(delay_ms=10_000))
    assert bench.runtime.counters(bench.lan)["ssm_in_v1"] == 4
    assert line not in capsys.readouterr().err


def test_mldv1_queries_for_source_specific_addresses_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """RFC 9777 section 8.2.1: a warning, which is rate-limited."""
    bench = Bench(mld_version="auto")
    bench.runtime.engine.listen(bench.lan, "ff3e::1", "include", ["2001:db8::1"], now_ms=0)
    for bench.at_ms in range(0, 61_000, 1000):
        bench.hear(frames.query("ff3e::1", 1000))
    what = "MLDv1 Queries for source-specific addresses, which MLDv1 cannot ask for"
    assert [line for line in capsys.readouterr().err.splitlines() if "source-specific" in line] == [
        f"fastmld: lan0: 1 {what}; 1 in all",
        f"fastmld: lan0: 60 {what}; 61 in all",
    ]


def test_mldv1_queries_that_are_ignored_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(mld_version=2)
    bench.hear(frames.query(), frames.query())
    assert capsys.readouterr().err == "fastmld: lan0: 2 MLDv1 Queries ignored: mld_version is 2; 2 in all\n"


def test_source_specific_addresses_without_a_source_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(mld_version="auto")
    bench.runtime.engine.join(bench.lan, "ff3e::1", 0)
    bench.log.look()
    what = "joins of source-specific addresses that include no source, of which nothing is said"
    assert capsys.readouterr().err == f"fastmld: lan0: 1 {what}; 1 in all\n"


def test_without_a_log_nothing_is_said_of_the_mode(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(interval_s=0, mld_version="auto")
    bench.hear(frames.query("ff3e::1"), frames.query())
    assert capsys.readouterr().err == ""
    assert bench.runtime.engine.status(bench.lan).mode == "mldv1"
