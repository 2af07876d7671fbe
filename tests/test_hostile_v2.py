"""MLDv2 under attack: floods and trains of Queries, forged numbers, ever new sources, modes that flap. Every group
is reported in the window of every Query that asks for it, the budget holds, memory is bounded, and afterwards an
honest Query is answered."""

import random
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastmld
import frames
from test_hostile import addresses, batch, held_octets

IS_IN, IS_EX, TO_IN, TO_EX = 1, 2, 3, 4  # RFC 9777 section 5.2.12
MOST_A_GROUP, MOST_OF_ALL = 64, 65_536  # recorded sources: docs/mldv2.md, D9
A, B, C = (frames.address(f"2001:db8::{letter}") for letter in "abc")


def listening(n: int, **settings: object) -> tuple[fastmld.Engine, int]:
    """n groups that were joined long before 0 ms, and of which all is said."""
    engine = fastmld.Engine(seed=1)
    lan = engine.add_interface("lan0", mac=frames.MAC, link_local=frames.LINK_LOCAL, **settings)
    engine.join(lan, addresses(n), now_ms=-1_000_000)
    for now_ms in range(-1_000_000, 0, 40_000):
        engine.advance(now_ms)
        engine.transmit(1 << 24)
    return engine, lan


class Record(NamedTuple):
    time_ms: int
    kind: str  # of the frame
    group: bytes
    type: int = 0
    sources: tuple[bytes, ...] = ()


def said(engine: fastmld.Engine) -> list[list[Record]]:
    """All that may leave now, a list a frame; the form is looked at elsewhere."""
    out = engine.transmit(limit=1 << 24)
    heard = []
    for frame, time_ms in zip(out, out.times_ms.tolist(), strict=True):
        if frame[62] != frames.REPORT2:
            heard.append([Record(time_ms, {frames.REPORT: "report", frames.DONE: "done"}[frame[62]], frame[70:86])])
            continue
        records, rest = [], frame[70:]
        while rest:
            sources = [rest[20 + 16 * i : 36 + 16 * i] for i in range(int.from_bytes(rest[2:4], "big"))]
            records.append(Record(time_ms, "report2", rest[4:20], rest[0], tuple(sources)))
            rest = rest[20 + 16 * len(sources) :]
        heard.append(records)
    return heard


def run(engine: fastmld.Engine, until_ms: int) -> list[list[Record]]:
    """Virtual time from deadline to deadline."""
    heard = said(engine)
    while (deadline_ms := engine.next_deadline_ms()) is not None and deadline_ms <= until_ms:
        engine.advance(now_ms=deadline_ms)
        heard += said(engine)
    engine.advance(now_ms=until_ms)
    return heard + said(engine)


def records(heard: list[list[Record]]) -> list[Record]:
    return [record for frame in heard for record in frame]


def delay_ms(code: int) -> int:
    """RFC 9777 section 5.1.3, and never at once (6.3)."""
    return (code or 10) if code < 0x8000 else (code & 0xFFF | 0x1000) << (code >> 12 & 7) + 3


# Every group is reported in the window of every Query

GROUPS = 300  # five Reports at an MTU of 1280
REPORTS = 5
FLOOD_MS = 800


def codes(name: str) -> Iterator[int]:
    rng = random.Random(name)
    for n in count():
        yield {
            "code_0": lambda n: 0,
            "same": lambda n: 200,
            "shrinking": lambda n: 850 - n,
            "growing": lambda n: 20 + n,
            "long_and_short": lambda n: (0xFFFF, 0x8000, 25)[n % 3],
            "short_after_long": lambda n: 1000 if n % 50 else 15,
            "random": lambda n: rng.choice((0, 1, 2, 10, 50, 300, 1000, 0x8123)),
        }[name](n)


def answers_apart_ms(window_ms: int) -> float:
    """Another answer begins a millisecond after the last Report of the one before, a fifth of whose window is then
    left."""
    return window_ms * (REPORTS - 1) / REPORTS + 1


def judge_windows(
    heard: list[list[Record]], asked: list[tuple[int, int]], groups: list[bytes], kinds: set[str]
) -> None:
    """Of every Query (its time, its delay): each group has a record from then on and within the delay."""
    times = {group: [] for group in groups}
    for record in records(heard):
        assert record.kind in kinds
        times[record.group].append(record.time_ms)
    for group, said_ms in times.items():
        column = np.sort(np.array(said_ms))
        asked_ms, delays_ms = np.array(asked).T
        following = np.searchsorted(column, asked_ms, side="left")
        assert (following < len(column)).all(), group.hex()
        assert (column[following] <= asked_ms + delays_ms).all(), group.hex()


@pytest.mark.parametrize(("version", "every_ms"), [("auto", 1), ("auto", 5), (2, 5)])
@pytest.mark.parametrize(
    "train", ["code_0", "same", "shrinking", "growing", "long_and_short", "short_after_long", "random"]
)
def test_bi33_every_group_in_the_window_of_every_query(version: int | str, train: str, every_ms: int) -> None:
    """Linux 6.18: 200 Queries a second postpone the answer for ever. Here none is postponed, early, or dropped, and
    none waits for the budget; answers do not come closer than their windows."""
    engine, lan = listening(GROUPS, mtu=1280, mld_version=version)
    before = engine.counters(lan)["sent_report2"]
    heard, asked = [], []
    for now_ms, code in zip(range(0, FLOOD_MS, every_ms), codes(train), strict=False):
        engine.receive(batch(frames.query2(response_code=code)), now_ms)
        asked.append((now_ms, delay_ms(code)))
        engine.advance(now_ms)
        heard += said(engine)
    heard += run(engine, 9_000_000)
    judge_windows(heard, asked, [row.tobytes() for row in addresses(GROUPS)], {"report2"})
    assert engine.counters(lan)["deferred"] == 0
    shortest_ms = min(delay for _, delay in asked)
    reports = engine.counters(lan)["sent_report2"] - before
    assert reports <= REPORTS * (FLOOD_MS / answers_apart_ms(shortest_ms) + 3)
    assert engine.next_deadline_ms() is None


@pytest.mark.parametrize("code", [0, 1, 200, 1000])
def test_a_flood_costs_an_answer_a_window(code: int) -> None:
    """Of one delay: a Report leaves each fifth of it, whatever the Queries, and never all at once (section 6.3)."""
    engine, _ = listening(GROUPS, mtu=1280)
    for now_ms in range(FLOOD_MS):
        engine.receive(batch(*[frames.query2(response_code=code)] * 20), now_ms)
        engine.advance(now_ms)
    frames_sent = said(engine)
    window_ms = delay_ms(code)
    times = np.array([frame[0].time_ms for frame in frames_sent])
    assert len(times) <= REPORTS * (FLOOD_MS / answers_apart_ms(window_ms) + 2)
    settled = times[times > 2 * window_ms]  # the first answer has what is left of its window, which is drawn
    assert np.bincount(settled).max(initial=0) <= -(-REPORTS // window_ms)


def test_v1_queries_between_do_not_disturb_where_they_are_ignored() -> None:
    engine, lan = listening(GROUPS, mtu=1280, mld_version=2)
    heard, asked = [], []
    for now_ms in range(0, 1000, 5):
        engine.receive(
            batch(frames.query(delay_ms=0), frames.query2(response_code=300), frames.query(delay_ms=1)), now_ms
        )
        asked.append((now_ms, 300))
        engine.advance(now_ms)
        heard += said(engine)
    heard += run(engine, 100_000)
    judge_windows(heard, asked, [row.tobytes() for row in addresses(GROUPS)], {"report2"})
    assert engine.counters(lan)["v1_query_ignored"] == 400
    assert engine.status(lan).mode == "mldv2"


def test_v1_queries_between_are_answered_as_v1_where_they_count() -> None:
    """From the first of them on everything is MLDv1, and MLDv2 Queries too are read and answered as such (section
    8.2.1)."""
    engine, lan = listening(GROUPS)
    heard, asked = [], []
    for now_ms in range(0, 1000, 5):
        v2 = now_ms % 10
        engine.receive(batch(frames.query2(response_code=300) if v2 else frames.query(delay_ms=400)), now_ms)
        asked.append((now_ms, 300 if v2 else 400))
        engine.advance(now_ms)
        heard += said(engine)
    heard += run(engine, 100_000)
    judge_windows(heard, asked, [row.tobytes() for row in addresses(GROUPS)], {"report"})
    assert engine.status(lan).mode == "mldv1"


@pytest.mark.parametrize("seed", range(6))
def test_every_source_in_the_window_of_every_query(seed: int) -> None:
    """Queries of all kinds at random: what each asks for, and the group asks for too, is said within its delay."""
    rng = random.Random(seed)
    engine, lan = listening(30)
    groups = [row.tobytes() for row in addresses(30)]
    pool = [frames.address(f"2001:db8:1::{n:x}") for n in range(100)]
    for group in groups[:10]:
        engine.listen(
            lan, group, "include", [A, *pool[:40]], listener="a", now_ms=-1
        )  # beside join: EXCLUDE {} all the same
    engine.leave(lan, addresses(5), now_ms=-1)  # these are INCLUDE now
    engine.listen(lan, groups[20], "exclude", pool[:3], listener="a", now_ms=-1)
    run(engine, -1)
    heard, asked = [], []
    for now_ms in range(10_000, 13_000, 7):
        queries = []
        for _ in range(rng.randrange(4)):
            group, delay = rng.choice(groups), rng.choice((10, 30, 200, 1000))
            sources = tuple(rng.sample(pool, rng.choice((0, 1, 3, 30, 89))))
            queries.append(frames.query2(group, delay, sources, destination=frames.ALL_NODES))
            asked.append((now_ms, delay, group, sources))
        if rng.random() < 0.1:
            queries.append(frames.query2(response_code=500))
            asked += [(now_ms, 500, group, ()) for group in groups]
        engine.receive(batch(*queries), now_ms)
        engine.advance(now_ms)
        heard += said(engine)
    heard += run(engine, 60_000)
    mine = {group: [record for record in records(heard) if record.group == group] for group in groups}
    for now_ms, delay, group, sources in asked:
        mode, named = engine.filter(lan, group)
        listed = {row.tobytes() for row in named}
        wanted = {source for source in sources if (source in listed) == (mode == "include")}
        answers = [record for record in mine[group] if now_ms <= record.time_ms <= now_ms + delay]
        state = [record for record in answers if record.type == (IS_IN if mode == "include" else IS_EX)]
        state = [record for record in state if set(record.sources) == listed]
        if sources:
            got = {source for record in answers if record.type == IS_IN for source in record.sources}
            assert state or wanted <= got, (now_ms, delay, group.hex())
        else:
            assert state, (now_ms, delay, group.hex())


# Memory


def sources(first: int, n: int) -> tuple[bytes, ...]:
    return tuple((int.from_bytes(A) + first + i).to_bytes(16) for i in range(n))


def test_bi03_sources_that_pile_up() -> None:
    """Windows CVE-2007-0069: a response code of 0xffff, then 800 Queries of 89 sources each for the same group. It
    answers once, with the whole state, for more than 64 sources were asked for."""
    engine, lan = listening(1)
    group = addresses(1)[0].tobytes()
    engine.receive(batch(frames.query2(group, 0xFFFF)), 0)
    first_ms = int(engine.groups(lan)["deadline_ms"][0])
    engine.receive(batch(*(frames.query2(group, 0xFFFF, sources(89 * n, 89)) for n in range(800))), 0)
    for now_ms in range(1, 801):  # the same, a batch each
        engine.receive(batch(frames.query2(group, 0xFFFF, sources(89 * now_ms, 89))), now_ms)
    assert 0 < engine.groups(lan)["deadline_ms"][0] <= first_ms
    assert records(run(engine, 8_400_000))[0][2:] == (group, IS_EX, ())
    assert engine.counters(lan)["sent_report2"] - 2 == 1  # the join was said twice
    assert engine.next_deadline_ms() is None


@pytest.mark.parametrize("asked", [MOST_A_GROUP, MOST_A_GROUP + 1])
def test_the_sources_of_a_group_are_bounded(asked: int) -> None:
    """One at a time and all at once; an answer of the whole state is what one too many gets."""
    for size in (1, asked):
        engine, _ = listening(1)
        group = addresses(1)[0].tobytes()
        for first in range(0, asked, size):
            engine.receive(batch(frames.query2(group, 1000, sources(first, size))), 0)
        (answer,) = records(run(engine, 1000))
        assert answer.type == (IS_IN if asked == MOST_A_GROUP else IS_EX)
        assert set(answer.sources) == (set(sources(0, asked)) if asked == MOST_A_GROUP else set())


def test_ever_new_sources_do_not_cost_ever_more() -> None:
    """1100 groups, each asked for sources that nobody asked for before: 65,536 are kept, not more, and every group
    is answered for, in part or whole. However long it goes on, memory stays where it was."""
    n = 1100
    engine, _ = listening(n)
    groups = [row.tobytes() for row in addresses(n)]
    first = count(step=16)
    turns = [
        batch(
            *(frames.query2(group, 0xF000, sources(next(first), 16), destination=frames.ALL_NODES) for group in groups)
        )
        for _ in range(12)
    ]
    tracemalloc.start()
    try:
        before = held_octets()
        for now_ms, queries in enumerate(turns[:4]):  # 64 a group
            engine.receive(queries, now_ms)
        full = held_octets() - before
    finally:
        tracemalloc.stop()
    assert full <= 36 * MOST_OF_ALL
    heard = records(run(engine, 9_000_000))
    tracemalloc.start()
    try:
        for now_ms, queries in enumerate(turns[4:], 9_000_000):
            engine.receive(queries, now_ms)
        assert held_octets() <= full + 4096
    finally:
        tracemalloc.stop()
    assert {record.group for record in heard} == set(groups)
    assert {record.type for record in heard} == {IS_IN, IS_EX}
    named = sum(len(record.sources) for record in heard)
    assert MOST_OF_ALL / 2 < named <= MOST_OF_ALL < MOST_A_GROUP * n
    assert {record.type for record in records(run(engine, 18_000_000))} == {IS_EX}  # 128 of each were asked for
    # All of it is free again: as many may be asked for as before.
    engine.receive(batch(frames.query2(groups[0], 1000, sources(0, MOST_A_GROUP))), 18_000_000)
    (answer,) = records(run(engine, 18_001_000))
    assert len(answer.sources) == MOST_A_GROUP


@pytest.mark.parametrize("blocked", [False, True], ids=["to_an_interface_that_goes_down", "while_nothing_may_leave"])
def test_bi01_floods_faster_than_they_drain(blocked: bool) -> None:
    """Memory is flat, whether answers drain seldom, never, or the interface goes down with them."""
    engine, lan = listening(200, report_rate=20, mtu=1280)
    group = addresses(1)[0].tobytes()
    flood = batch(*[frames.query2(response_code=0), frames.query2(group, 0), frames.query2(group, 1, (A, B))] * 5)
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
    assert counters["frames"] == counters["accepted"] == 12 * 30 * 15


# The budget, under anything


@pytest.mark.parametrize("rate", [1, 3, 20])
def test_what_the_budget_puts_off_comes(rate: int) -> None:
    """Joins a moment apart, of which each is to be said twice: whoever goes by next_deadline_ms hears all of it, in
    order."""
    engine, lan = listening(0, report_rate=rate)
    for at in range(30):
        engine.join(lan, addresses(1, at), now_ms=10 * at)
        engine.advance(10 * at)
    heard = run(engine, 1_000_000)
    assert engine.counters(lan)["deferred"] > 0
    named = [record.group for record in records(heard)]
    assert {named.count(row.tobytes()) for row in addresses(30)} == {2}
    times = [frame[0].time_ms for frame in heard]
    assert times == sorted(times)
    assert all(n <= max(1, rate // 10) + rate * (time_ms + 1) / 1000 for n, time_ms in enumerate(times, 1))


RATE, N = 200, 40
FRESH = count()


def ever_new(group: bytes, code: int) -> bytes:
    return frames.query2(group, code, sources(1000 * next(FRESH), 70), destination=frames.ALL_NODES)


ATTACKS: dict[str, Callable[[bytes, int], bytes]] = {
    "general": lambda g, d: frames.query2(response_code=d),
    "specific": lambda g, d: frames.query2(g, d, destination=frames.ALL_NODES),
    "sources": lambda g, d: frames.query2(g, d, (A, B, C), destination=frames.ALL_NODES),
    "ever_new_sources": ever_new,
    "no_sources": lambda g, d: frames.query2(g, d, (frames.ANY, frames.ALL_NODES), destination=frames.ALL_NODES),
    "robust": lambda g, d: frames.query2(response_code=d, flags=7, interval_code=1),
    "v1_general": lambda g, d: frames.query(delay_ms=d),
    "v1_specific": lambda g, d: frames.query(g, d, destination=frames.ALL_NODES),
    "v1_report": lambda g, d: frames.report(g),
    "report2": lambda g, d: frames.report2((frames.record(TO_IN, g),)),
    "forged_report2": lambda g, d: frames.report2((frames.record(TO_IN, g),), source=frames.LINK_LOCAL),
    "unknown_group": lambda g, d: frames.query2(b"\xff\x05" + bytes(12) + bytes([0xEE, d % 256]), d, (A,)),
    "garbage": lambda g, d: frames.query2(g, d, (A,), checksum_off_by=1),
}
CODES = (0, 0, 0, 1, 2, 100, 10_000, 0x8000, 0xFFFF)


def attacked(version: int | str, train: list[tuple[int, list[tuple[str, int, int]]]]) -> None:
    """(milliseconds before it, [(attack, group, code)]) a batch: what leaves is within the budget, and ends. Nobody
    left, so there is nothing to take back. Everybody answers an honest Query afterwards, in the mode that it is in."""
    engine, lan = listening(N, report_rate=RATE, mtu=1280, mld_version=version)
    groups = [row.tobytes() for row in addresses(N)]
    engine.listen(lan, groups[0], "exclude", [A], listener="a", now_ms=0)
    heard = 0
    now_ms = 0
    for wait_ms, chosen in train:
        now_ms += wait_ms
        engine.receive(batch(*(ATTACKS[name](groups[group], code) for name, group, code in chosen)), now_ms)
        engine.advance(now_ms)
        for frame in said(engine):
            heard += 1
            assert frame[0].kind != "done" and not any(record.type == TO_IN for record in frame)
            assert heard <= RATE // 10 + RATE * now_ms / 1000 + 2  # and the Report of groups[0]
    now_ms += 9_000_000  # longer than the longest response
    engine.advance(now_ms)
    engine.transmit(1 << 24)
    mode = engine.status(lan).mode
    engine.receive(batch(frames.query2(response_code=1000)), now_ms)
    answers = run(engine, now_ms + 1000)
    assert sorted(record.group for record in records(answers)) == sorted(groups)
    assert {record.kind for record in records(answers)} == {"report2" if mode == "mldv2" else "report"}
    assert engine.next_deadline_ms() is None
    counters = engine.counters(lan)
    assert counters["frames"] == sum(counters[verdict] for verdict in fastmld.VERDICTS)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([2, "auto"]),
    st.lists(
        st.tuples(
            st.sampled_from((0, 0, 1, 5, 30, 2500)),
            st.lists(
                st.tuples(st.sampled_from(sorted(ATTACKS)), st.integers(0, N - 1), st.sampled_from(CODES)),
                max_size=30,
            ),
        ),
        max_size=20,
    ),
)
def test_no_input_makes_us_send_more_than_the_budget(
    version: int | str, train: list[tuple[int, list[tuple[str, int, int]]]]
) -> None:
    attacked(version, train)


@pytest.mark.parametrize(
    "attack",
    [
        [("general", 0, 0)] * 20,
        [("general", 0, 1000 - n) for n in range(20)],
        [("specific", n % N, 0) for n in range(20)],
        [("sources", n % N, 0) for n in range(20)],
        [("ever_new_sources", n % N, 0x8FFF) for n in range(5)],
        [("no_sources", n % N, 0) for n in range(20)],
        [("general", 0, 0), ("v1_general", 0, 0)] * 10,
        [("v1_general", 0, 0), ("v1_report", 1, 0), ("general", 0, 1), ("v1_report", 2, 0)] * 5,
        [("robust", 0, 0)] * 20,
        [("robust", 0, 1), ("v1_general", 0, 1)] * 10,
        [("report2", n % N, 0) for n in range(10)] + [("forged_report2", n % N, 0) for n in range(10)],
        [("unknown_group", 0, n) for n in range(20)],
        [("garbage", n % N, 0) for n in range(20)],
    ],
    ids=[
        "code_0_flood", "shrinking_codes", "specific_flood", "source_flood", "ever_new_sources", "sources_of_nobody",
        "both_versions", "alternation", "robustness_7", "robustness_7_and_v1", "reports", "random_groups", "garbage",
    ],
)  # fmt: skip
@pytest.mark.parametrize("version", [2, "auto"])
def test_attack_trains(version: int | str, attack: list[tuple[str, int, int]]) -> None:
    """A second of it, a batch each five milliseconds."""
    attacked(version, [(5, attack)] * 200)


def test_what_names_nothing_of_ours_is_never_answered() -> None:
    """Amplification of a frame that is dropped, or that asks for nothing that we ask for, is 0."""
    engine, _ = listening(N)
    names = ("garbage", "unknown_group", "no_sources", "v1_report", "report2", "forged_report2")
    for now_ms, name in enumerate(names):
        engine.receive(batch(*(ATTACKS[name](row.tobytes(), 0) for row in addresses(N))), now_ms)
        assert run(engine, now_ms) == []
    assert engine.next_deadline_ms() is None


# Forged numbers


def test_bi35_a_forged_robustness_is_the_next_queriers_to_correct() -> None:
    """RFC 9777 section 5.1.8: 7 at most. While it stands a change is said seven times, a Report each, and no answer
    is said more often for it; the next honest Query puts it right."""
    engine, lan = listening(100)
    forged, honest = frames.query2(flags=7), frames.query2(flags=2)
    for robustness, query in ((7, forged), (2, honest)):
        now_ms = 1_000_000 * robustness if robustness == 7 else 9_000_000
        engine.receive(batch(*[query] * 50), now_ms)
        assert engine.status(lan).robustness == robustness
        assert len(run(engine, now_ms + 10_000)) == 2  # 100 records, 72 a Report
        group = addresses(1, 1000 + robustness)[0].tobytes()
        engine.join(lan, group, now_ms=now_ms + 20_000)
        changes = run(engine, now_ms + 40_000)
        assert [record.type for record in records(changes)] == [TO_EX] * robustness
        times = [frame[0].time_ms for frame in changes]
        assert np.diff(times).min() >= 1 and np.diff(times).max() <= 1000


def test_modes_that_flap_lose_nobody() -> None:
    """A forged QQIC of a second lets MLDv1 end after two; an attacker may then bring it back as often. Each change
    costs no message, and in each mode an honest Query is answered by everybody in its window."""
    engine, lan = listening(100)
    groups = sorted(row.tobytes() for row in addresses(100))
    v1, v2 = frames.query(delay_ms=500), frames.query2(response_code=500, interval_code=1)
    modes = []
    now_ms = 0
    for turn in range(60):
        query = (v1, v2)[turn % 2]
        engine.receive(batch(query), now_ms)
        mode = engine.status(lan).mode
        answers = run(engine, now_ms + 500)
        assert sorted(record.group for record in records(answers)) == groups
        assert {record.kind for record in records(answers)} == {"report2" if mode == "mldv2" else "report"}
        assert run(engine, now_ms + 2999) == []
        modes.append(mode)
        now_ms += 3000
    # The first MLDv1 Query knows of no QQIC; the next, two turns later, does.
    assert modes == ["mldv1"] * 3 + ["mldv2", "mldv1"] * 28 + ["mldv2"]


def test_an_interface_that_is_down_hears_no_querier_and_forgets_the_one_it_had() -> None:
    engine, lan = listening(1)
    engine.receive(batch(frames.query2(flags=5, interval_code=7)), 0)
    assert engine.status(lan)[:4] == ("mldv2", 5, 7000, "fe80::fe")
    engine.set_up(lan, False, 1)
    assert engine.status(lan)[:4] == ("mldv2", 2, 125_000, None)
    engine.receive(batch(frames.query2(flags=5, interval_code=7), frames.query()), 2)
    engine.set_up(lan, True, 3)
    assert engine.status(lan) == ("mldv2", 2, 125_000, None, None)


# What ends


def test_bi05_the_mtu_shrinks_while_an_answer_runs() -> None:
    """What was cut for 9000 octets is cut anew; no frame is longer than the link takes, and no group is left out."""
    engine, lan = listening(1000, mtu=9000)
    engine.receive(batch(frames.query2(response_code=1000)), 0)
    heard: list[bytes] = []
    for now_ms, mtu in ((500, 9000), (600, 1500), (700, 1280)):
        engine.set_mtu(lan, mtu, now_ms)
        out = engine.transmit(1 << 24)  # what left before is as long as the link was
        heard += list(out)
        while (due_ms := engine.next_deadline_ms()) is not None and due_ms < now_ms + 100:
            engine.advance(due_ms)
            out = list(engine.transmit(1 << 24))
            assert all(len(frame) <= 14 + mtu for frame in out)
            heard += out
    engine.advance(1000)
    heard += list(engine.transmit(1 << 24))
    named = [frame[74 + at : 90 + at] for frame in heard for at in range(0, len(frame) - 70, 20)]
    assert sorted(named) == sorted(row.tobytes() for row in addresses(1000))
    engine.receive(batch(frames.query2(response_code=1000)), 2000)
    engine.set_mtu(lan, 1279, 2001)
    assert run(engine, 10_000) == []
    engine.set_mtu(lan, 1280, 10_000)
    again = records(run(engine, 20_000))
    assert len(again) == 2000 and {record.type for record in again} == {TO_EX}  # all of it anew, twice


@pytest.mark.parametrize("ends", ["leave", "set_up", "set_carrier", "remove_interface", "advance"])
def test_bi06_no_timer_outlives_its_interface(ends: str) -> None:
    """Random orders of join, listen, leave, Query of both versions, down, up, remove and tick; then an end, after which
    nobody speaks."""
    rng = random.Random(ends)
    for _ in range(60):
        engine = fastmld.Engine(seed=rng.randrange(99))
        version = rng.choice((2, "auto"))
        lan = engine.add_interface(
            "a", mac=frames.MAC, link_local=frames.LINK_LOCAL, report_rate=rng.choice((3, None)), mld_version=version
        )
        now_ms, up, joined = 0, True, 0
        group = addresses(1, 2)[0].tobytes()
        for _ in range(rng.randrange(1, 40)):
            now_ms += rng.choice((0, 1, 50, 3000))
            code = rng.choice((0, 1, 100, 0x8000, 0xFFFF))
            match rng.randrange(9):
                case 0 | 1:
                    engine.join(lan, addresses(5), now_ms, delay_ms=rng.choice((0, 0, 40)))
                    joined += 1
                case 2 if joined:
                    engine.leave(lan, addresses(5), now_ms)
                    joined -= 1
                case 3:
                    engine.receive(batch(frames.query2(response_code=code)), now_ms)
                case 4:
                    engine.receive(batch(frames.query2(group, code, (A, B), destination=frames.ALL_NODES)), now_ms)
                case 5:
                    engine.receive(batch(frames.query(delay_ms=code)), now_ms)
                case 6:
                    engine.listen(lan, group, rng.choice(("include", "exclude")), [A], listener="x", now_ms=now_ms)
                case 7:
                    up = not up
                    engine.set_up(lan, up, now_ms)
                case _:
                    engine.advance(now_ms)
                    engine.transmit()
        match ends:
            case "leave":
                with suppress(fastmld.NotListening):
                    engine.listen(lan, group, "include", [], listener="x", now_ms=now_ms)
                for _ in range(joined):
                    engine.leave(lan, addresses(5), now_ms)
                run(engine, now_ms := now_ms + 100_000)  # what was left is said RV times
            case "remove_interface":
                engine.remove_interface(lan, now_ms)
            case "advance":
                run(engine, now_ms := now_ms + 10_000_000)
                assert (engine.groups(lan)["deadline_ms"] == fastmld.NO_DEADLINE).all()
            case _:
                getattr(engine, ends)(lan, False, now_ms)
                engine.advance(now_ms + 100)  # joins that are delayed still end
        engine.transmit(1 << 24)
        assert run(engine, now_ms + 10_000_000) == []
        assert engine.next_deadline_ms() is None


def test_bi07_a_query_in_the_millisecond_in_which_a_group_is_left() -> None:
    """Linux CVE-2023-6932. Before and after it; asked for sources, or for all: it is taken back, and nothing else
    is said."""
    group = addresses(1)[0].tobytes()
    for asked in (frames.query2(group, 50, (A,)), frames.query2(group, 50), frames.query2(response_code=50)):
        for before in (True, False):
            engine, lan = listening(1)
            if before:
                engine.receive(batch(asked), 0)
            engine.leave(lan, group, now_ms=0)
            if not before:
                engine.receive(batch(asked), 0)
            assert [(record.group, record.type) for record in records(run(engine, 10_000))] == [(group, TO_IN)] * 2
            assert engine.next_deadline_ms() is None
