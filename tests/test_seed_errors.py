"""One test for each thing that the seed, FreeBSD's mld6.c of 2008, does wrong."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import fastmld
import frames
from said import briefly, run, said

GROUP = "ff05::101"
GROUPS = [f"ff05::{n:x}" for n in range(1, 401)]
PACKED = np.frombuffer(b"".join(map(frames.address, GROUPS)), dtype=np.uint8).reshape(-1, 16)


def listener(groups: object = GROUP, **settings: object) -> tuple[fastmld.Engine, int]:
    """An engine that has joined at time zero, said so, and has no timer running."""
    engine = fastmld.Engine(seed=1)
    settings = {"unsolicited_report_repeats": 0, **settings}
    lan = engine.add_interface("lan0", mac="02:00:00:00:00:01", link_local="fe80::1", mld_version=1, **settings)
    engine.join(lan, groups, now_ms=0)
    said(engine)
    return engine, lan


def receive(engine: fastmld.Engine, now_ms: int, *heard: bytes) -> list[str]:
    verdicts = engine.receive(fastmld.FrameBatch.from_list(list(heard)), now_ms=now_ms)
    return [fastmld.VERDICTS[code] for code in verdicts]


def test_divide_by_zero() -> None:
    """CVE-2008-2464: every delay is answered within it, those of 1 to 1999 ms too."""
    engine, _ = listener()
    now_ms = 0
    for delay_ms in (*range(1, 2001), 65_535):
        assert receive(engine, now_ms, frames.query(delay_ms=delay_ms)) == ["accepted"]
        deadline_ms = engine.next_deadline_ms()
        assert deadline_ms is not None and now_ms < deadline_ms <= now_ms + delay_ms
        engine.advance(now_ms=deadline_ms)
        now_ms += delay_ms + 1
        assert len(engine.transmit()) == 1


def test_ticks_taken_for_milliseconds() -> None:
    """Answers fill the window that the Query opens, and a second Query leaves running timers alone."""
    engine, lan = listener(PACKED)
    receive(engine, 0, frames.query(delay_ms=10_000))
    deadlines_ms = engine.groups(lan)["deadline_ms"].tolist()
    assert all(0 < deadline_ms <= 10_000 for deadline_ms in deadlines_ms)
    for quarter in range(4):
        share = sum(2500 * quarter < deadline_ms <= 2500 * (quarter + 1) for deadline_ms in deadlines_ms)
        assert 60 <= share <= 140  # of 400; five standard deviations about 100 are 57 to 143
    receive(engine, 0, frames.query(delay_ms=10_000))
    receive(engine, 100, frames.query(delay_ms=10_000))
    after_ms = engine.groups(lan)["deadline_ms"].tolist()
    for before, after in zip(deadlines_ms, after_ms, strict=True):
        assert after == before or before < 100  # those had answered, and answer again


def test_deaf_after_immediate_query() -> None:
    engine, _ = listener()
    receive(engine, 5, frames.query(delay_ms=0))
    assert briefly(engine) == [(5, "report", GROUP)]
    receive(engine, 10, frames.query(delay_ms=1000))
    assert [kind for _, kind, *_ in run(engine, 2000)] == ["report"]


def test_deaf_after_report_in_idle() -> None:
    engine, _ = listener()
    receive(engine, 5, frames.report(GROUP))
    receive(engine, 10, frames.query(delay_ms=1000))
    assert [kind for _, kind, *_ in run(engine, 2000)] == ["report"]


def test_report_does_not_stop_the_timer() -> None:
    engine, _ = listener()
    receive(engine, 5, frames.query(delay_ms=1000), frames.report(GROUP))
    assert engine.next_deadline_ms() is None
    assert run(engine, 5000) == []


def test_flag_lost_after_suppression() -> None:
    engine, lan = listener()
    receive(engine, 0, frames.query(delay_ms=1000), frames.report(GROUP))
    assert not engine.groups(lan)["last_reporter"].any()
    receive(engine, 10, frames.query(delay_ms=1000))
    assert [kind for _, kind, *_ in run(engine, 2000)] == ["report"]
    assert engine.groups(lan)["last_reporter"].all()
    engine.leave(lan, GROUP, now_ms=2000)
    assert briefly(engine) == [(2000, "done", GROUP)]


def test_delayed_join_is_not_delayed() -> None:
    engine = fastmld.Engine(seed=1)
    lan = engine.add_interface("lan0", mac="02:00:00:00:00:01", link_local="fe80::1", mld_version=1)
    engine.join(lan, GROUP, now_ms=100, delay_ms=250)
    assert said(engine) == []
    assert engine.next_deadline_ms() == 350
    engine.advance(now_ms=349)
    assert said(engine) == []
    engine.advance(now_ms=350)
    assert briefly(engine) == [(350, "report", GROUP)]
    repeat_ms = engine.next_deadline_ms()
    assert repeat_ms is not None and 350 < repeat_ms <= 10_350


def test_repeats_on_whole_seconds() -> None:
    """Repeats fall on any millisecond of (0, 10 s], and differ from one listener to the next."""
    engine, lan = listener(PACKED, unsolicited_report_repeats=1)
    deadlines_ms = engine.groups(lan)["deadline_ms"]
    assert ((deadlines_ms > 0) & (deadlines_ms <= 10_000)).all()
    assert len(set(deadlines_ms.tolist())) > 350  # 400 draws out of 10,000 meet each other some 8 times
    assert len(set((deadlines_ms % 1000).tolist())) > 250
    other = fastmld.Engine(seed=2)
    other.add_interface("lan0", mac="02:00:00:00:00:01", link_local="fe80::1", mld_version=1)
    other.join(0, PACKED, now_ms=0)
    assert (other.groups(0)["deadline_ms"] != deadlines_ms).mean() > 0.9


def test_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """No clock is read: the caller's milliseconds are all the time there is."""

    def forbidden(*_: object) -> float:
        raise AssertionError("a clock was read")

    for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "clock_gettime"):
        monkeypatch.setattr(time, name, forbidden)
    engine = fastmld.Engine()
    lan = engine.add_interface("lan0", mac="02:00:00:00:00:01", link_local="fe80::1", mld_version=1)
    engine.join(lan, GROUP, now_ms=0)
    receive(engine, 0, frames.query(delay_ms=1000))
    deadline_ms = engine.next_deadline_ms()
    engine.advance(now_ms=deadline_ms)
    engine.leave(lan, GROUP, now_ms=deadline_ms)
    out = engine.transmit()
    with pytest.raises(fastmld.ClockWentBackwards):
        engine.advance(now_ms=deadline_ms - 1)
    monkeypatch.undo()
    assert out.times_ms.tolist() == [0, deadline_ms, deadline_ms]


def test_carry() -> None:
    """Deadlines at and about whole seconds are whole milliseconds like any other."""
    for start_ms in (0, 999, 1000, -1, 1 << 40):
        for delay_ms in (1, 999, 1000, 1001):
            engine = fastmld.Engine(seed=1)
            lan = engine.add_interface("lan0", mac="02:00:00:00:00:01", link_local="fe80::1", mld_version=1)
            engine.join(lan, GROUP, now_ms=start_ms, delay_ms=delay_ms)
            engine.advance(now_ms=start_ms + delay_ms - 1)
            assert said(engine) == []
            engine.advance(now_ms=start_ms + delay_ms)
            assert briefly(engine) == [(start_ms + delay_ms, "report", GROUP)]


def test_log_flood(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """Ten thousand bad frames: counters, no line from the engine."""
    engine, lan = listener()
    bad = [frames.query(source=frames.address("2001:db8::1")), frames.query(hop_limit=2)] * 5000
    with caplog.at_level(0):
        receive(engine, 0, *bad)
    counters = engine.counters(lan)
    assert counters["bad_source"] == counters["bad_hop_limit"] == 5000
    assert capfd.readouterr() == ("", "")
    assert len(caplog.records) <= 2


def test_silent_without_link_local() -> None:
    """RFC 3590: it speaks from ::, and again from its address once that is usable."""
    engine = fastmld.Engine(seed=1)
    lan = engine.add_interface("lan0", mac="02:00:00:00:00:01", link_local=None, mld_version=1)
    engine.join(lan, GROUP, now_ms=0)
    assert [one[:4] for one in said(engine)] == [(0, "report", GROUP, "::")]
    receive(engine, 5, frames.query(delay_ms=0))
    assert [one[:4] for one in said(engine)] == [(5, "report", GROUP, "::")]
    engine.set_link_local(lan, "fe80::7", now_ms=9)
    assert [one[:4] for one in said(engine)] == [(9, "report", GROUP, "fe80::7")]


def test_lost_allocation() -> None:
    """A join that finds no memory, wherever it finds none, raises and leaves the table as it was."""
    many = np.zeros((1_000_000, 16), dtype=np.uint8)
    many[:, :2] = (0xFF, 0x05)
    many[:, 12:] = np.arange(1 << 24, (1 << 24) + len(many), dtype=">u4").view(np.uint8).reshape(-1, 4)
    refused = 0
    for spare_mib in (0, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256):
        engine, lan = listener()
        before = engine.groups(lan).tobytes()
        with little_memory(spare_mib << 20):
            try:
                engine.join(lan, many, now_ms=1)
                continue
            except MemoryError:
                refused += 1
        assert engine.groups(lan).tobytes() == before
        assert said(engine) == []
        engine.join(lan, many[:10], now_ms=1)
        assert len(said(engine)) == 10
        engine.leave(lan, GROUP, now_ms=2)
        assert briefly(engine) == [(2, "done", GROUP)]
    assert refused


@contextmanager
def little_memory(spare: int) -> Iterator[None]:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + spare, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_a_full_table_is_an_error_too() -> None:
    engine, lan = listener(max_groups=3)
    engine.join(lan, PACKED[:2], now_ms=0)
    said(engine)
    before = engine.groups(lan).tobytes()
    with pytest.raises(fastmld.GroupTableFull):
        engine.join(lan, PACKED[:5], now_ms=1)
    assert engine.groups(lan).tobytes() == before
    assert said(engine) == []
    engine.join(lan, PACKED[:2], now_ms=1)  # counted, not added
