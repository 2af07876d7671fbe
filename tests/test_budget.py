"""The budget: Reports an interface may send in a second, and what waits meanwhile."""

import random
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import fastmld
import frames
from said import Said, run, said

PACKAGE = Path(fastmld.__file__).parent
RATE, BURST = 100, 10  # Reports a second; the burst is a tenth of the rate


def group(number: int) -> str:
    return f"ff05::{number:x}"


def packed(numbers: range) -> np.ndarray:
    return np.frombuffer(b"".join(frames.address(group(n)) for n in numbers), dtype=np.uint8).reshape(-1, 16)


def rested(count: int, rate: int | str | None = RATE, **settings: object) -> tuple[fastmld.Engine, int, int]:
    """Engine, interface and a time at which all groups are idle, were reported, and the bucket is full again."""
    engine = fastmld.Engine(seed=1)
    settings = {"unsolicited_report_repeats": 0, "report_rate": rate, **settings}
    lan = engine.add_interface("lan0", mac="02:00:00:00:00:01", link_local="fe80::1", mld_version=1, **settings)
    engine.join(lan, packed(range(1, count + 1)), now_ms=0)
    now_ms = 1_000_000
    heard = run(engine, now_ms)
    each = 1 + int(str(settings["unsolicited_report_repeats"]))
    assert Counter(one.group for one in heard) == {group(n): each for n in range(1, count + 1)}
    return engine, lan, now_ms


def receive(engine: fastmld.Engine, now_ms: int, *heard: bytes, lan: int = 0) -> None:
    assert not engine.receive(fastmld.FrameBatch.from_list(list(heard), interfaces=lan), now_ms=now_ms).any()


def within_rate(heard: list[Said], rate: int = RATE, burst: int = BURST) -> None:
    """No window of time holds more Reports than a full bucket and what flows in meanwhile."""
    times_ms = sorted(one.time_ms for one in heard if one.kind == "report")
    level, before = float(burst), None
    for time_ms in times_ms:
        if before is not None:
            level = min(burst, level + (time_ms - before) * rate / 1000)
        before = time_ms
        level -= 1
        assert level > -1e-6, f"too many by {time_ms} ms"


def test_rate_and_burst() -> None:
    engine, _, now_ms = rested(300)
    receive(engine, now_ms, frames.query(delay_ms=0))
    at_once = said(engine)
    assert [one.group for one in at_once] == [group(n) for n in range(1, BURST + 1)]  # in row order
    heard = at_once + run(engine, now_ms + 10_000)
    within_rate(heard)
    assert max(one.time_ms for one in heard) <= now_ms + (300 - BURST) * 1000 // RATE + 1


def test_nothing_is_lost_and_nothing_said_twice() -> None:
    engine, _, now_ms = rested(200)
    receive(engine, now_ms, frames.query(delay_ms=500))
    heard = run(engine, now_ms + 60_000)
    assert Counter(one.group for one in heard) == {group(n): 1 for n in range(1, 201)}
    within_rate(heard)
    assert engine.next_deadline_ms() is None


def test_joins_take_tokens() -> None:
    engine = fastmld.Engine(seed=1)
    lan = engine.add_interface(
        "lan0",
        mac="02:00:00:00:00:01",
        link_local="fe80::1",
        report_rate=RATE,
        unsolicited_report_repeats=0,
        mld_version=1,
    )
    engine.join(lan, packed(range(1, 101)), now_ms=0)
    assert len(said(engine)) == BURST
    heard = run(engine, 10_000)
    assert Counter(one.group for one in heard) == {group(n): 1 for n in range(BURST + 1, 101)}


def test_repeats_of_joins_are_not_lost() -> None:
    engine = fastmld.Engine(seed=1)
    lan = engine.add_interface("lan0", mac="02:00:00:00:00:01", link_local="fe80::1", report_rate=RATE, mld_version=1)
    engine.join(lan, packed(range(1, 201)), now_ms=0)
    heard = run(engine, 100_000)
    assert Counter(one.group for one in heard) == {group(n): 2 for n in range(1, 201)}
    within_rate(heard)


def test_deferred_counts() -> None:
    engine, lan, now_ms = rested(BURST + 25)
    before = engine.counters(lan)["deferred"]
    receive(engine, now_ms, frames.query(delay_ms=0))
    assert engine.counters(lan)["deferred"] - before == 25
    run(engine, now_ms + 10_000)
    assert engine.counters(lan)["deferred"] - before == 25

    unlimited, lan, now_ms = rested(100, None)
    receive(unlimited, now_ms, frames.query(delay_ms=0))
    assert len(said(unlimited)) == 100
    assert unlimited.counters(lan)["deferred"] == 0


def test_what_is_deferred_is_delaying_and_overdue() -> None:
    engine, lan, now_ms = rested(BURST + 5)
    receive(engine, now_ms, frames.query(delay_ms=0))
    said(engine)
    groups = engine.groups(lan)
    states = [fastmld.STATES[state] for state in groups["state"]]
    assert states == ["idle_listener"] * BURST + ["delaying_listener"] * 5
    assert (groups["deadline_ms"][BURST:] <= now_ms).all()


def test_further_queries_change_nothing() -> None:
    """A row owes one Report, however often it is asked; so the queue is no longer than the table."""
    engine, lan, now_ms = rested(100)
    for n in range(50):
        receive(engine, now_ms, *[frames.query(delay_ms=0)] * 20, frames.query(delay_ms=1))
        receive(engine, now_ms, frames.query(group(60 + n % 20), 0))
    assert len(said(engine)) == BURST
    deferred = engine.counters(lan)["deferred"]
    heard = run(engine, now_ms + 60_000)
    # Who answered out of the burst owes one more, for the Queries behind.
    assert set(Counter(one.group for one in heard).values()) == {1}
    assert len(heard) == 100
    assert deferred >= 90


@pytest.mark.parametrize("behind", ["general", "specific", "report", "small"])
@pytest.mark.parametrize("ahead", ["general", "specific", "small"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_batch_that_finds_everything_deferred(count: int, ahead: str, behind: str) -> None:
    """A frame is never an exception, and the one Report that is owed still comes."""
    words = {
        "general": frames.query(delay_ms=0),
        "specific": frames.query(group(1), 0),
        "report": frames.report(group(1)),
        "small": frames.query(delay_ms=1),
    }
    engine, _, now_ms = rested(count, 10)  # a bucket of one
    receive(engine, now_ms, frames.query(group(count), 0))  # empties it
    assert len(said(engine)) == 1
    for other in words.values():
        receive(engine, now_ms + 1, words[ahead])
        receive(engine, now_ms + 2, words[behind], other)
        heard = run(engine, now_ms + 10_000)
        within_rate(heard, 10, 1)
        assert max(Counter(one.group for one in heard).values(), default=0) <= 1
        now_ms += 10_000
        receive(engine, now_ms, frames.query(group(count), 0))
        said(engine)


@pytest.mark.slow
def test_a_flood_is_answered_at_the_rate_and_ends() -> None:
    """Delay 0 for ten seconds, a thousand Queries a second: the rate holds, the state stays bounded, it ends."""
    engine, _, now_ms = rested(50)
    heard: list[Said] = []
    for millisecond in range(10_000):
        receive(engine, now_ms + millisecond, frames.query(delay_ms=0))
        engine.advance(now_ms=now_ms + millisecond)
        heard += said(engine) if millisecond % 10 == 0 else []
    heard += said(engine)
    within_rate(heard)
    assert RATE * 10 - 2 <= len(heard) <= RATE * 10 + BURST
    counts = Counter(one.group for one in heard)
    assert max(counts.values()) - min(counts.values()) <= 2  # nobody is starved
    assert len(run(engine, now_ms + 60_000)) <= 50
    assert engine.next_deadline_ms() is None


def test_specific_answers_leave_first() -> None:
    engine, _, now_ms = rested(100)
    receive(engine, now_ms, frames.query(delay_ms=0))
    said(engine)
    # A Report heard lets 70 off; the specific Query then asks it alone.
    receive(engine, now_ms, frames.report(group(70)))
    receive(engine, now_ms + 1, frames.query(group(70), 0, destination=frames.ALL_NODES))
    heard = run(engine, now_ms + 60_000)
    assert heard[0].group == group(70)
    assert Counter(one.group for one in heard) == {group(n): 1 for n in range(BURST + 1, 101)}


def test_a_report_heard_suppresses_what_is_deferred() -> None:
    engine, lan, now_ms = rested(100)
    receive(engine, now_ms, frames.query(delay_ms=0))
    said(engine)
    receive(engine, now_ms + 5, *[frames.report(group(n)) for n in range(41, 91)])
    flags = engine.groups(lan)["last_reporter"]
    assert not flags[40:90].any()
    heard = run(engine, now_ms + 60_000)
    expected = [*range(BURST + 1, 41), *range(91, 101)]
    assert Counter(one.group for one in heard) == {group(n): 1 for n in expected}


def test_done_is_not_limited() -> None:
    engine, lan, now_ms = rested(100)
    receive(engine, now_ms, frames.query(delay_ms=0))
    said(engine)
    engine.leave(lan, packed(range(1, 101)), now_ms=now_ms)
    heard = said(engine)
    assert [(one.kind, one.group) for one in heard] == [("done", group(n)) for n in range(1, 101)]
    assert run(engine, now_ms + 60_000) == []  # nor is a Report owed of what is gone
    assert engine.next_deadline_ms() is None


def test_down_ends_what_is_owed() -> None:
    engine, lan, now_ms = rested(100)
    receive(engine, now_ms, frames.query(delay_ms=0))
    said(engine)
    engine.set_up(lan, False, now_ms=now_ms + 1)
    assert {one.kind for one in said(engine)} == {"done"}
    assert engine.next_deadline_ms() is None
    assert run(engine, now_ms + 5000) == []
    engine.set_up(lan, True, now_ms=now_ms + 6000)
    heard = said(engine) + run(engine, now_ms + 60_000)
    assert Counter(one.group for one in heard) == {group(n): 1 for n in range(1, 101)}
    within_rate(heard)


def test_removing_the_interface_ends_what_is_owed() -> None:
    engine, lan, now_ms = rested(100)
    receive(engine, now_ms, frames.query(delay_ms=0))
    engine.remove_interface(lan, now_ms=now_ms + 1)
    said(engine)
    assert engine.next_deadline_ms() is None
    assert run(engine, now_ms + 60_000) == []


def test_next_deadline_is_when_something_may_leave() -> None:
    engine, _, now_ms = rested(BURST + 20)
    receive(engine, now_ms, frames.query(delay_ms=0))
    said(engine)
    released = 0
    while (deadline_ms := engine.next_deadline_ms()) is not None:
        assert deadline_ms > now_ms
        engine.advance(now_ms=deadline_ms - 1)
        assert said(engine) == []  # not earlier
        engine.advance(now_ms=deadline_ms)
        heard = said(engine)
        assert heard  # and no later
        assert {one.time_ms for one in heard} == {deadline_ms}
        released += len(heard)
        now_ms = deadline_ms
    assert released == 20


def test_a_timer_that_fires_without_a_token_waits() -> None:
    engine, lan, now_ms = rested(200)
    receive(engine, now_ms, frames.query(delay_ms=1000))
    drawn_ms = dict(zip((group(n) for n in range(1, 201)), engine.groups(lan)["deadline_ms"].tolist(), strict=True))
    heard = run(engine, now_ms + 60_000)
    within_rate(heard)
    assert all(one.time_ms >= drawn_ms[one.group] for one in heard)
    assert len(heard) == 200


def test_a_late_caller_gets_no_more_than_the_budget() -> None:
    """Frozen for half a minute and woken again; late timers fire once, within the budget."""
    engine, _, now_ms = rested(100)
    receive(engine, now_ms, frames.query(delay_ms=100))
    engine.advance(now_ms=now_ms + 30_000)
    heard = said(engine)
    heard += run(engine, now_ms + 60_000)
    within_rate(heard)
    assert Counter(one.group for one in heard) == {group(n): 1 for n in range(1, 101)}


def test_interfaces_have_a_budget_each() -> None:
    engine, lan, now_ms = rested(30)
    other = engine.add_interface(
        "lan1",
        mac="02:00:00:00:00:02",
        link_local="fe80::1",
        report_rate=2 * RATE,
        unsolicited_report_repeats=0,
        mld_version=1,
    )
    engine.join(other, packed(range(1, 61)), now_ms=now_ms)
    now_ms += 100_000
    run(engine, now_ms)
    receive(engine, now_ms, frames.query(delay_ms=0), lan=lan)
    receive(engine, now_ms, frames.query(delay_ms=0), lan=other)
    assert Counter(one.interface for one in said(engine)) == {lan: BURST, other: 2 * BURST}
    assert Counter(one.interface for one in run(engine, now_ms + 60_000)) == {lan: 20, other: 40}


@pytest.mark.parametrize("rate", [1, 9, 1000, 33_333])
def test_any_rate(rate: int) -> None:
    """A bucket holds at least one."""
    count = 12 if rate == 1 else 150
    engine, _, now_ms = rested(count, rate)
    receive(engine, now_ms, frames.query(delay_ms=0))
    heard = run(engine, now_ms + 1_000_000)
    assert Counter(one.group for one in heard) == {group(n): 1 for n in range(1, count + 1)}
    within_rate(heard, rate, max(1, rate // 10))


@pytest.mark.parametrize("rate", [0, -1, 1.5, "fast", True])
def test_what_is_no_rate(rate: object) -> None:
    engine = fastmld.Engine(seed=1)
    with pytest.raises((ValueError, TypeError)):
        engine.add_interface("lan0", mac="02:00:00:00:00:01", report_rate=rate, mld_version=1)


def test_the_default_is_a_hundred_thousand_a_second() -> None:
    engine = fastmld.Engine(seed=1)
    lan = engine.add_interface(
        "lan0", mac="02:00:00:00:00:01", link_local="fe80::1", unsolicited_report_repeats=0, mld_version=1
    )
    engine.join(lan, packed(range(1, 30_001)), now_ms=0)
    sent = len(engine.transmit())
    assert sent == 10_000
    now_ms = 0
    while (deadline_ms := engine.next_deadline_ms()) is not None:
        now_ms = deadline_ms
        engine.advance(now_ms=now_ms)
        sent += len(engine.transmit())
        assert sent <= 10_000 + 100 * now_ms
    assert sent == 30_000
    assert now_ms in (200, 201)


@pytest.mark.parametrize(("rate", "delay_ms"), [(RATE, 0), (None, 0), (None, 1), (None, 65_535)])
@pytest.mark.slow
def test_queries_and_reports_in_turn_fill_no_memory(rate: int | None, delay_ms: int) -> None:
    """Each Query arms or defers, each Report takes it back: what is left behind is bounded by the rows."""
    engine, _, now_ms = rested(20, rate)
    reports = [frames.report(group(n)) for n in range(1, 21)]
    specific = [frames.query(group(n), delay_ms) for n in range(1, 21)]

    def flood(turns: int) -> None:
        nonlocal now_ms
        for turn in range(turns):
            receive(engine, now_ms, *(specific if turn % 2 else [frames.query(delay_ms=delay_ms)]))
            receive(engine, now_ms, *reports)
            now_ms += turn % 50 == 0
            engine.advance(now_ms=now_ms)
            engine.transmit()

    flood(100)
    tracemalloc.start()
    try:
        flood(1500)
        held = tracemalloc.take_snapshot().filter_traces(
            [tracemalloc.Filter(True, str(PACKAGE / "*"), all_frames=True)]
        )
    finally:
        tracemalloc.stop()
    assert sum(trace.size for trace in held.traces) < 150_000  # 1500 arrays of 20 rows, or 30,000 of one, are more


def test_random_life_within_the_budget() -> None:
    """Whatever happens, the rate holds, honest Queries are answered in the end, nothing is owed for ever."""
    rng = random.Random(35)
    for _ in range(15):
        engine, lan, now_ms = rested(60, RATE, unsolicited_report_repeats=rng.choice((0, 1)))
        heard: list[Said] = []
        for _ in range(120):
            now_ms += rng.choice((0, 0, 1, 10, 100))
            match rng.randrange(6):
                case 0 | 1:
                    receive(engine, now_ms, frames.query(delay_ms=rng.choice((0, 1, 50, 1000))))
                case 2:
                    receive(
                        engine,
                        now_ms,
                        *[
                            frames.query(group(rng.randrange(1, 61)), rng.choice((0, 5, 500)), destination="ff02::1")
                            for _ in range(9)
                        ],
                    )
                case 3:
                    receive(engine, now_ms, *[frames.report(group(rng.randrange(1, 61))) for _ in range(9)])
                case _:
                    engine.advance(now_ms=now_ms)
            # A late caller's Reports carry the times of their timers; the tokens are those of the call.
            heard += [one._replace(time_ms=now_ms) for one in said(engine)]
        heard += run(engine, now_ms + 60_000)
        within_rate(heard)
        now_ms += 60_000
        assert engine.next_deadline_ms() is None
        states = {fastmld.STATES[state] for state in engine.groups(lan)["state"]}
        assert states == {"idle_listener"}
        receive(engine, now_ms, frames.query(delay_ms=100))
        assert {one.group for one in run(engine, now_ms + 60_000)} == {group(n) for n in range(1, 61)}


def test_a_pool_that_a_leave_emptied_while_a_report_was_owed() -> None:
    engine = fastmld.Engine(seed=0)
    lan = engine.add_interface("lan", mac=frames.MAC, link_local=frames.LINK_LOCAL, report_rate=1, mld_version=1)
    for now_ms, step in enumerate((engine.join, engine.join, engine.leave)):
        step(lan, ("ff05::a", "ff05::b", "ff05::a")[now_ms], now_ms=now_ms)
    query = fastmld.FrameBatch.from_list([frames.query(delay_ms=0)], lan)
    assert fastmld.VERDICTS[engine.receive(query, now_ms=3)[0]] == "accepted"
