"""Defects that others had, as inputs for us, each by its id in docs/reliability.md; and what no input makes us do."""

import random
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastmld
import frames

PACKAGE = Path(fastmld.__file__).parent
QUIET = {"unsolicited_report_repeats": 0}


def addresses(n: int, first: int = 0) -> np.ndarray:
    column = np.zeros((n, 16), np.uint8)
    column[:, :2] = 0xFF, 0x05
    column[:, 12:] = np.arange(first, first + n, dtype=">u4").view(np.uint8).reshape(n, 4)
    return column


def listening(n: int, **settings: object) -> tuple[fastmld.Engine, int]:
    """n groups that were joined long before 0 ms, and are idle."""
    engine = fastmld.Engine(seed=1)
    lan = engine.add_interface(
        "lan0", mac=frames.MAC, link_local=frames.LINK_LOCAL, mld_version=1, **{**QUIET, **settings}
    )
    engine.join(lan, addresses(n), now_ms=-1_000_000)
    for now_ms in range(-1_000_000, 0, 40_000):
        engine.advance(now_ms)
        engine.transmit(1 << 24)
    return engine, lan


def batch(*heard: bytes, lan: int = 0) -> fastmld.FrameBatch:
    return fastmld.FrameBatch.from_list(list(heard), lan)


class Said(NamedTuple):
    time_ms: int
    kind: str
    group: bytes


def said(engine: fastmld.Engine) -> list[Said]:
    """All that may leave now, its octets looked at elsewhere."""
    out = engine.transmit(limit=1 << 24)
    return [
        Said(time_ms, {frames.REPORT: "report", frames.DONE: "done"}[frame[62]], frame[70:86])
        for frame, time_ms in zip(out, out.times_ms.tolist(), strict=True)
    ]


def run(engine: fastmld.Engine, until_ms: int) -> list[Said]:
    """Virtual time from deadline to deadline."""
    heard = said(engine)
    while (deadline_ms := engine.next_deadline_ms()) is not None and deadline_ms <= until_ms:
        engine.advance(now_ms=deadline_ms)
        heard += said(engine)
    engine.advance(now_ms=until_ms)
    return heard + said(engine)


def held_octets() -> int:
    """What the package has allocated and holds, as far as tracemalloc saw."""
    held = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, str(PACKAGE / "*"), all_frames=True)])
    return sum(trace.size for trace in held.traces)


@pytest.mark.parametrize("blocked", [False, True], ids=["to_an_interface_that_goes_down", "while_nothing_may_leave"])
def test_bi01_floods_faster_than_they_drain(blocked: bool) -> None:
    """Memory is flat, whether answers drain seldom, never, or the interface goes down with them."""
    engine, lan = listening(200, report_rate=2000)
    flood = batch(*[frames.query(delay_ms=0), frames.query(addresses(1)[0].tobytes(), 0)] * 5)
    now_ms, sizes = 0, []
    tracemalloc.start()
    try:
        for turn in range(12):
            for _ in range(30):
                now_ms += 100
                engine.receive(flood, now_ms)
                engine.advance(now_ms)
            if not blocked:
                engine.set_carrier(lan, False, now_ms)
                engine.set_carrier(lan, True, now_ms)
                engine.transmit(100)
            if turn % 4 == 3:
                sizes.append(held_octets())
    finally:
        tracemalloc.stop()
    assert max(sizes) - sizes[0] < 40_000, sizes
    counters = engine.counters(lan)
    assert counters["frames"] == counters["accepted"] == 12 * 30 * 10
    assert len(engine.transmit(1 << 24)) <= 2 * 2000 + 200


def test_what_waited_while_nothing_could_leave_is_said_afterwards() -> None:
    engine, _ = listening(500, report_rate=100)
    for now_ms in range(0, 20_000, 10):
        engine.receive(batch(frames.query(delay_ms=0)), now_ms)
        engine.advance(now_ms)
    assert len(engine.transmit(1 << 24)) <= 100 + 10
    heard = run(engine, 60_000)
    assert len({one.group for one in heard}) == 500


def test_bi05_the_mtu_shrinks_while_answers_are_pending() -> None:
    engine, lan = listening(1000)
    engine.receive(batch(frames.query(delay_ms=1000)), 0)
    for now_ms, mtu in ((100, 9000), (200, 1280), (300, 1279), (400, 68), (500, 1280)):
        engine.set_mtu(lan, mtu, now_ms)
        heard = said(engine)
        assert {len(frame) for frame in engine.transmit()} <= {86}
        if mtu < 1280:
            assert len(heard) < 1000
            assert run(engine, now_ms + 99) == []
    assert Counter(one.group for one in heard).most_common(1)[0][1] == 1
    assert len(heard) == 1000  # up again: all of them are reported again
    assert engine.next_deadline_ms() is None


@pytest.mark.parametrize("ends", ["leave", "set_up", "set_carrier", "remove_interface", "advance"])
def test_bi06_no_timer_outlives_its_interface(ends: str) -> None:
    """Random orders of join, leave, Query, down, up, remove and tick; then an end, after which nobody speaks."""
    rng = random.Random(ends)
    for _ in range(60):
        engine = fastmld.Engine(seed=rng.randrange(99))
        lan = engine.add_interface(
            "a", mac=frames.MAC, link_local=frames.LINK_LOCAL, report_rate=rng.choice((3, None)), mld_version=1
        )
        now_ms, up, joined = 0, True, 0
        for _ in range(rng.randrange(1, 40)):
            now_ms += rng.choice((0, 1, 50, 3000))
            match rng.randrange(7):
                case 0 | 1:
                    engine.join(lan, addresses(5), now_ms, delay_ms=rng.choice((0, 0, 40)))
                    joined += 1
                case 2 if joined:
                    engine.leave(lan, addresses(5), now_ms)
                    joined -= 1
                case 3 | 4:
                    engine.receive(batch(frames.query(delay_ms=rng.choice((0, 1, 100, 65_535)))), now_ms)
                case 5:
                    up = not up
                    engine.set_up(lan, up, now_ms)
                case _:
                    engine.advance(now_ms)
                    engine.transmit()
        match ends:
            case "leave":
                for _ in range(joined):
                    engine.leave(lan, addresses(5), now_ms)
            case "remove_interface":
                engine.remove_interface(lan, now_ms)
            case "advance":
                run(engine, now_ms := now_ms + 1_000_000)
                assert (engine.groups(lan)["deadline_ms"] == fastmld.NO_DEADLINE).all()
            case _:
                getattr(engine, ends)(lan, False, now_ms)
                engine.advance(now_ms + 100)  # joins that are delayed still end
        engine.transmit(1 << 24)
        assert run(engine, now_ms + 1_000_000) == []
        assert engine.next_deadline_ms() is None


def test_bi07_a_query_for_a_group_in_the_millisecond_in_which_it_is_left() -> None:
    for order in range(4):
        engine, lan = listening(3)
        gone = addresses(1)
        asked = batch(frames.query(gone[0].tobytes(), 0), frames.query(gone[0].tobytes(), 100))
        if order % 2:
            engine.receive(asked, 0)
        engine.leave(lan, gone, 0)
        if order // 2:
            engine.receive(asked, 0)
        said_at_once = [(one.kind, one.group) for one in run(engine, 0)]
        assert said_at_once == [("report", gone[0].tobytes())] * (order % 2) + [("done", gone[0].tobytes())]
        assert run(engine, 10_000) == []


def test_bi08_what_was_handed_over_is_nobodys_but_the_callers() -> None:
    """The engine touches it no more, and what the caller does to it changes nothing."""
    engine, _ = listening(50)
    engine.receive(batch(frames.query(delay_ms=0)), 0)
    first = engine.transmit(20)
    kept = list(first)
    first.buffer[:] = 0xFF
    first.offsets[:] = 1 << 40
    first.lengths[:] = 0xFFFFFFFF
    engine.receive(batch(frames.query(delay_ms=0)), 1)
    rest = list(engine.transmit())
    assert [frame[70:86] for frame in kept + rest] == [row.tobytes() for row in addresses(50)] * 2
    assert (first.buffer == 0xFF).all()


def test_bi32_a_block_is_given_back_before_its_frames_take_effect() -> None:
    engine, _ = listening(50)
    for delay_ms in (0, 100):
        block = np.frombuffer(bytearray(frames.query(delay_ms=delay_ms)), np.uint8)
        heard = fastmld.FrameBatch.from_buffer(block, [0], [len(block)], 0)
        verdicts = engine.receive(heard, delay_ms)
        block[:] = 0xA5
        assert not verdicts.any()
        assert len(run(engine, delay_ms + 100)) == 50
    assert engine.next_deadline_ms() is None


@pytest.mark.parametrize("delays_ms", [(1000,), (10_000, 500), (65_535, 20_000, 3000), (1, 65_535)])
def test_bi33_no_train_of_queries_postpones_an_answer(delays_ms: tuple[int, ...]) -> None:
    """200 Queries a second: every group answers by the least of arrival and delay, over the Queries since it did."""
    engine, _ = listening(100)
    due_ms = dict.fromkeys((row.tobytes() for row in addresses(100)), None)
    answers = 0
    for n in range(400):
        now_ms, delay_ms = 5 * n, delays_ms[n % len(delays_ms)]
        engine.advance(now_ms)
        out = engine.transmit()
        for frame, time_ms in zip(out, out.times_ms.tolist(), strict=True):
            group = frame[70:86]
            assert due_ms[group] is not None and time_ms <= due_ms[group]
            due_ms[group] = None
            answers += 1
        engine.receive(batch(frames.query(delay_ms=delay_ms)), now_ms)
        for group, due in due_ms.items():
            due_ms[group] = now_ms + delay_ms if due is None else min(due, now_ms + delay_ms)
            assert due_ms[group] > now_ms
    assert answers >= 100 * min(2000 // min(delays_ms), 5) - 100


def test_bi33_what_the_budget_puts_off_is_counted_and_comes() -> None:
    engine, lan = listening(500, report_rate=100)
    deferred = engine.counters(lan)["deferred"]
    heard: list[Said] = []
    for now_ms in range(0, 5000, 5):
        engine.receive(batch(frames.query(delay_ms=20)), now_ms)
        engine.advance(now_ms)
        heard += said(engine)
    heard += run(engine, 60_000)
    late = engine.counters(lan)["deferred"] - deferred
    assert late >= 500 - 10
    assert len({one.group for one in heard}) == 500
    assert len(heard) <= 6 * 100 + 10 + 500


# An attack: what the attacker may choose, in any order.
ATTACKS = {
    "general": lambda g, d: frames.query(delay_ms=d),
    "specific": lambda g, d: frames.query(g, d, destination=frames.ALL_NODES),
    "report": lambda g, d: frames.report(g),
    "forged_report": lambda g, d: frames.report(g, source=frames.LINK_LOCAL),
    "forged_done": lambda g, d: frames.done(g, source=frames.LINK_LOCAL),
    "done": lambda g, d: frames.done(g),
    "version2": lambda g, d: frames.query2(g, d, (frames.ROUTER,)),
    "unknown_group": lambda g, d: frames.query(b"\xff\x05" + bytes(12) + bytes([0xEE, d % 256]), d),
    "garbage": lambda g, d: frames.query(g, d, checksum_off_by=1),
}
DELAYS_MS = (0, 0, 0, 1, 2, 100, 10_000, 65_535)
N, RATE = 40, 200


def within_budget(heard: list[Said], first_ms: int) -> None:
    """Reports by any time: a burst, and what the rate lets out since first_ms. No Done at all: nobody left."""
    for reports, (time_ms, kind, _) in enumerate(heard, 1):
        assert kind == "report"
        assert reports <= RATE // 10 + RATE * (time_ms - first_ms) / 1000 + 1


def attacked(train: list[tuple[int, list[tuple[str, int, int]]]]) -> None:
    """(milliseconds before it, [(attack, group, delay)]) a batch: what leaves is within the budget, and ends."""
    engine, lan = listening(N, report_rate=RATE)
    groups = [row.tobytes() for row in addresses(N)]
    heard: list[Said] = []
    now_ms = 0
    for wait_ms, chosen in train:
        now_ms += wait_ms
        engine.receive(batch(*(ATTACKS[name](groups[group], delay_ms) for name, group, delay_ms in chosen)), now_ms)
        engine.advance(now_ms)
        heard += [one._replace(time_ms=now_ms) for one in said(engine)]
    within_budget(heard, 0)
    # An honest Query afterwards is answered by everybody.
    now_ms += 70_000
    engine.advance(now_ms)
    engine.transmit()
    engine.receive(batch(frames.query(delay_ms=100)), now_ms)
    assert sorted(one.group for one in run(engine, now_ms + 1000)) == sorted(groups)
    assert engine.next_deadline_ms() is None
    counters = engine.counters(lan)
    assert counters["frames"] == sum(counters[verdict] for verdict in fastmld.VERDICTS)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 30),
            st.lists(
                st.tuples(st.sampled_from(sorted(ATTACKS)), st.integers(0, N - 1), st.sampled_from(DELAYS_MS)),
                max_size=30,
            ),
        ),
        max_size=20,
    )
)
def test_no_input_makes_us_send_more_than_the_budget(train: list[tuple[int, list[tuple[str, int, int]]]]) -> None:
    attacked(train)


@pytest.mark.parametrize(
    "attack",
    [
        [("general", 0, 0)] * 20,
        [("specific", n % N, 0) for n in range(20)],
        [("general", 0, 0), ("report", 1, 0), ("general", 0, 1), ("report", 2, 0)] * 5,
        [("general", 0, 65_535 - n) for n in range(20)],
        [("forged_done", n % N, 0) for n in range(20)],
        [("done", n % N, 0) for n in range(10)] + [("specific", n % N, 0) for n in range(10)],
        [("unknown_group", 0, n) for n in range(20)],
        [("garbage", n % N, 0) for n in range(20)],
    ],
    ids=[
        "delay_0_flood", "specific_flood", "alternation", "shrinking_delays", "forged_dones", "dones", "random_groups",
        "garbage",
    ],
)  # fmt: skip
def test_attack_trains(attack: list[tuple[str, int, int]]) -> None:
    """Two seconds of it, a batch each five milliseconds."""
    attacked([(5, attack)] * 400)


def test_what_is_not_accepted_is_never_answered() -> None:
    """Amplification of a frame that is dropped, or that names nothing of ours, is 0."""
    engine, _ = listening(N)
    for name in ("garbage", "unknown_group", "forged_report", "forged_done", "done", "report"):
        engine.receive(batch(*(ATTACKS[name](row.tobytes(), 0) for row in addresses(N))), 0)
        assert run(engine, 0) == []
    assert engine.next_deadline_ms() is None
