"""Random events against the model: octets, order, milliseconds, interfaces and state, whatever the batches."""

import os
import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import frames
from model.listener import Interface
from model.pair import Pair

T = TypeVar("T")

GROUPS = [
    frames.address(text)
    for text in (
        "ff02::1", "ff01::5", "ff10::5", "ff02::2", "ff02::1:ff00:1", "ff12::1",
        "ff05::101", "ff05::102", "ff05::103", "ff0e::1", "ff3e::8000:1",
    )
]  # fmt: skip
LINK_LOCALS = [frames.LINK_LOCAL, frames.address("fe80::2"), None]
DELAYS_MS = [0, 0, 1, 2, 3, 10, 100, 1000, 10_000, 65_535]
BATCHES = [1, 10, 10, 10, 100]  # at most so many frames
STEPS_MS = [0, 0, 0, 0, 1, 1, 2, 7, 100, 3000, 20_000, 86_400_000]


class Script:
    """A random life of up to three interfaces. `choose(n)` is a number below n."""

    def __init__(self, choose: Callable[[int], int]) -> None:
        self.choose = choose
        self.now_ms = self.pick([0, -5000, 1 << 40])
        self.interfaces = [self.interface(index) for index in range(1 + choose(3))]
        self.pair = Pair(self.interfaces, seed=self.pick([0, 1, (1 << 64) - 1]))

    def pick(self, items: Sequence[T]) -> T:
        return items[self.choose(len(items))]

    def interface(self, index: int) -> Interface:
        return Interface(
            index,
            mac=frames.MAC[:5] + bytes([index + 1]),
            link_local=self.pick([frames.LINK_LOCAL, frames.LINK_LOCAL, None]),
            mtu=self.pick([1500, 1280, 9000, 1279]),
            loopback=self.pick([False] * 7 + [True]),
            strict=self.pick([True, True, False]),
            vlan=self.pick([None, None, 0, 4094]),
            interval_ms=self.pick([10_000, 10_000, 1, 100_000]),
            repeats=self.pick([1, 1, 0, 2]),
            done_always=self.pick([False, False, True]),
        )

    def step(self) -> int:
        """One call, or a batch of frames; how many events it was."""
        self.now_ms = self.later()
        index = self.choose(len(self.interfaces))
        action = self.choose(20)
        if action < 4:
            delay_ms = 0 if self.interfaces[index].loopback else self.pick([0, 0, 0, 1, 50, 5000])
            self.pair.join(index, self.groups(), self.now_ms, delay_ms)
        elif action < 6:
            self.pair.leave(index, self.groups(), self.now_ms)
        elif action < 13:
            batch = [self.frame() for _ in range(1 + self.choose(self.pick(BATCHES)))]
            cuts = [self.choose(len(batch) + 1) for _ in range(self.choose(4))]
            self.pair.receive(batch, self.now_ms, cuts)
            return len(batch)
        elif action < 16:
            self.pair.advance(self.now_ms)
        elif action < 18:
            self.change(index)
        else:
            self.pair.same_output()
        return 1

    def later(self) -> int:
        """Mostly a little; sometimes to the very millisecond of a timer, just past it, or far past many."""
        deadline_ms = self.pair.model.next_deadline_ms()
        if deadline_ms is not None and deadline_ms >= self.now_ms and self.choose(4) == 0:
            return deadline_ms + self.pick([0, 0, 1])
        return self.now_ms + self.pick(STEPS_MS)

    def groups(self) -> list[bytes]:
        return [self.pick(GROUPS) for _ in range(self.pick([1, 1, 1, 2, 5]))]

    def change(self, index: int) -> None:
        interface = self.interfaces[index]
        what = self.choose(9)
        if what == 0:
            self.interfaces[index] = self.interface(index)
            self.pair.replace(self.interfaces[index], self.now_ms)
        elif what < 3:
            self.pair.change("set_up", index, not interface.up, self.now_ms)
        elif what < 5:
            self.pair.change("set_carrier", index, not interface.carrier, self.now_ms)
        elif what < 7:
            self.pair.change("set_mtu", index, self.pick([1500, 1280, 1279, 68]), self.now_ms)
        else:
            self.pair.change("set_link_local", index, self.pick(LINK_LOCALS), self.now_ms)

    def frame(self) -> tuple[int, bytes]:
        index = self.choose(len(self.interfaces))
        return index, frame(self.choose(13), self.pick(GROUPS), self.pick(DELAYS_MS))


@cache
def frame(form: int, group: bytes, delay_ms: int) -> bytes:
    match form:
        case 0 | 1 | 2:
            return frames.query(delay_ms=delay_ms)
        case 3 | 4 | 5:
            return frames.query(group, delay_ms, destination=frames.ALL_NODES)
        case 6 | 7:
            return frames.report(group)
        case 8:
            return frames.report(group, source=frames.LINK_LOCAL)
        case 9:
            return frames.done(group)
        case 10:
            return frames.query(group, delay_ms)
        case 11:
            return frames.query(delay_ms=delay_ms, hop_limit=2)
        case _:
            return frames.query2(response_code=delay_ms)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_random_events(data: st.DataObject) -> None:
    script = Script(lambda n: data.draw(st.integers(0, n - 1)) if n > 1 else 0)
    for _ in range(data.draw(st.integers(1, 30))):
        script.step()
        script.pair.same_state()
    script.pair.same_output()
    script.pair.same_state()
    script.pair.same_counters()


def test_a_long_life() -> None:
    """Many lives of a thousand steps; FASTMLD_MODEL_EVENTS (frames and calls) makes it longer, FASTMLD_SEED another."""
    left = int(os.environ.get("FASTMLD_MODEL_EVENTS", "60000"))
    rng = random.Random(int(os.environ.get("FASTMLD_SEED", "20271025")))
    while left > 0:
        script = Script(lambda n: int(rng.random() * n))
        for number in range(1000):
            left -= script.step()
            if number % 50 == 0:
                script.pair.same_state()
        script.pair.advance(script.now_ms)
        script.pair.same_output()
        script.pair.same_state()
        script.pair.same_counters()


@pytest.mark.slow
def test_many_groups() -> None:
    """Thousands of timers, moved by Queries of every delay, stopped by Reports, and collected late and early."""
    rng = random.Random(5)
    pair = Pair([Interface(n, frames.MAC[:5] + bytes([n]), frames.LINK_LOCAL, repeats=n) for n in range(2)])
    groups = [frames.address(f"ff05::{n:x}:{n % 7}") for n in range(1500)]
    now_ms = 0
    for turn in range(30):
        index = turn % 2
        joined = rng.sample(groups, 300)
        pair.join(index, joined, now_ms, delay_ms=rng.choice((0, 0, 700)))
        pair.leave(index, rng.sample(joined, 100), now_ms)
        batch = [
            (rng.randrange(2), frame(rng.randrange(13), rng.choice(joined), rng.choice(DELAYS_MS)))
            for _ in range(rng.choice((1, 100, 300)))
        ]
        pair.receive(batch, now_ms, [rng.randrange(len(batch))])
        pair.same_state()
        for step_ms in (0, 1, 5, rng.choice((40, 900, 30_000))):
            now_ms += step_ms
            pair.advance(now_ms)
            pair.same_output()
        pair.same_state()
    pair.same_counters()


def test_churn() -> None:
    """Rows come and go by the thousand and timers are stopped as often as they are armed: the order of rows holds."""
    rng = random.Random(6)
    pair = Pair([Interface(n, frames.MAC[:5] + bytes([n]), frames.LINK_LOCAL, repeats=n) for n in range(2)])
    stay = [frames.address(f"ff05::1:{n:x}") for n in range(20)]
    now_ms = 0
    for index in range(2):
        pair.join(index, stay, now_ms)
    for turn in range(60):
        index = rng.randrange(2)
        passing = [frames.address(f"ff05::2:{200 * turn + n:x}") for n in range(150)]
        pair.join(index, passing, now_ms, delay_ms=rng.choice((0, 0, 30)))
        for _ in range(4):
            asked = [(n, frame(0, GROUPS[0], rng.choice((10, 5000, 65_535)))) for n in range(2)]
            heard = [(n, frame(6, group, 0)) for n in range(2) for group in stay]
            pair.receive(asked + heard, now_ms)
        pair.receive([(index, frame(0, GROUPS[0], 300))], now_ms)
        now_ms += rng.choice((1, 40, 900))
        pair.advance(now_ms)
        if rng.randrange(3):
            pair.same_output()  # rows are not renumbered while something waits to be built from them
        rng.shuffle(passing)
        pair.leave(index, passing[: rng.choice((100, 140, 150))], now_ms)
        pair.same_state()
    pair.advance(now_ms + 100_000)
    pair.same_output()
    pair.same_state()
    pair.same_counters()


def test_a_year_late() -> None:
    """However late the clock, every timer fires once, at its own millisecond."""
    pair = Pair([Interface(0, frames.MAC, frames.LINK_LOCAL, repeats=3)])
    pair.join(0, GROUPS, -7, delay_ms=40)
    pair.join(0, [frames.address("ff05::1")], -7)
    pair.advance(365 * 86_400_000)
    pair.same_output()
    pair.same_state()
    pair.same_counters()
    assert pair.model.next_deadline_ms() is None
