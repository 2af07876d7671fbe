"""Random lives against the MLDv2 model: octets, milliseconds, state and counters, whatever the batches."""

import os
import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import TypeVar

import pytest

import fastmld.groups
import frames
from model.pair_v2 import Pair2, Script, Step, run, smallest

T = TypeVar("T")

GROUPS = [
    frames.address(text)
    for text in (
        "ff02::1", "ff01::5", "ff02::1:ff00:1", "ff05::101", "ff05::102", "ff05::103", "ff0e::1", "ff3e::8000:1",
        "ff35::8000:2", "ff3e:40:2001:db8::1",
    )
]  # fmt: skip
SOURCES = tuple(frames.address(f"2001:db8::{n:x}") for n in (1, 2, 3, 0x10, 0xABC))
MANY = [frames.address(f"2001:db8:1::{n:x}") for n in range(120)]
LINK_LOCALS = [frames.LINK_LOCAL, frames.address("fe80::2"), None]
CODES = [0, 0, 1, 2, 3, 10, 100, 1000, 1000, 10_000, 10_000, 0x7FFF, 0x8000, 0x9001, 0xFFFF]
DELAYS_MS = [0, 1, 2, 10, 1000, 10_000, 65_535]
STEPS_MS = [0, 0, 0, 0, 1, 1, 2, 7, 100, 600, 3000, 20_000, 260_000, 86_400_000]
LISTENERS = ["0", "a", "b"]
ASKED = [
    (), SOURCES[:1], SOURCES[1:2], SOURCES[2:3], SOURCES[:2], SOURCES[1:4], SOURCES[3:], SOURCES[::-1],
    (SOURCES[0], SOURCES[0]), (frames.ANY,), (GROUPS[0], SOURCES[1]),
]  # fmt: skip
MOODS = [
    ["join", "leave", "listen", "receive", "advance"] * 3 + ["receive", "transmit", "look", "change"],
    ["storm"] * 4 + ["advance"] * 4 + ["join", "leave", "listen", "receive", "transmit", "change"],
    ["join", "leave", "listen"] * 4 + ["advance"] * 4 + ["receive", "v1", "look", "change", "change"],
]
CROWD = [*GROUPS, *(frames.address(f"ff05::{n:x}:{n % 7}") for n in range(150))]


class Life:
    """What happens to up to three interfaces. `choose(n)` is a number below n."""

    def __init__(self, choose: Callable[[int], int], groups: Sequence[bytes] = GROUPS) -> None:
        self.choose = choose
        self.groups = groups
        self.mood = self.pick(MOODS)
        self.codes = [self.pick(CODES), self.pick(CODES)]
        self.now_ms = self.pick([0, -5000, 1 << 40])
        self.script = Script([self.interface(n) for n in range(1 + choose(3))], self.pick([0, 1, (1 << 64) - 1]))
        self.pair = Pair2(self.script)
        self.interfaces = self.pair.model.interfaces
        if len(groups) > len(GROUPS):  # answers of several packets
            for index in range(len(self.interfaces)):
                self.do(("join", self.now_ms, index, [self.pick(groups) for _ in groups], 0))

    def pick(self, items: Sequence[T]) -> T:
        return items[self.choose(len(items))]

    def interface(self, index: int) -> dict[str, object]:
        return {
            "mac": frames.MAC[:5] + bytes([index + 1]),
            "version": self.pick(["auto", "auto", "auto", 2, 1 if len(self.groups) == len(GROUPS) else 2]),
            "link_local": self.pick([frames.LINK_LOCAL, frames.LINK_LOCAL, None]),
            "mtu": self.pick([1500, 1500, 1280, 9000, 1279]),
            "loopback": self.pick([False] * 9 + [True]),
            "strict": self.pick([True, True, False]),
            "vlan": self.pick([None, None, 0, 4094]),
            "interval_ms": self.pick([10_000, 10_000, 1, 100_000]),
            "repeats": self.pick([1, 1, 0, 2]),
            "done_always": self.pick([False, False, True]),
            "default_robustness": self.pick([2, 2, 3, 7]),
            "change_interval_ms": self.pick([1000, 1000, 1, 3, 50_000]),
        }

    def step(self) -> None:
        self.now_ms = self.later()
        self.do(self.next_step())

    def do(self, step: Step) -> None:
        self.script.steps.append(step)
        name, now_ms, *rest = step
        getattr(self.pair, str(name))(now_ms, *rest)

    def next_step(self) -> Step:
        index, now_ms = self.choose(len(self.interfaces)), self.now_ms
        match self.pick(self.mood):
            case "join":
                delay_ms = 0 if self.interfaces[index].loopback else self.pick([0, 0, 0, 1, 50, 5000])
                return "join", now_ms, index, self.some_groups(), delay_ms
            case "leave":
                listened = list(self.interfaces[index].memberships)
                return (
                    "leave",
                    now_ms,
                    index,
                    [self.pick(listened)] if listened and self.choose(3) else self.some_groups(),
                )
            case "listen":
                listened = list(self.interfaces[index].memberships)
                group = self.pick(listened) if listened and self.choose(2) else self.pick(self.groups)
                mode = self.pick(["include", "include", "exclude"])
                return "listen", now_ms, index, group, mode, self.some_sources(), self.pick(LISTENERS)
            case "receive":
                batch = [self.frame() for _ in range(1 + self.choose(self.pick([3, 10, 40, 120])))]
                return "receive", now_ms, batch, [self.choose(len(batch) + 1) for _ in range(self.choose(4))]
            case "storm":
                codes = [self.pick(self.codes) for _ in range(1 + self.choose(self.pick([1, 4, 40])))]
                return "receive", now_ms, [(index, query2(frames.ANY, code, (), 2, 125)) for code in codes]
            case "v1":
                return "receive", now_ms, [(index, query(frames.ANY, self.pick(DELAYS_MS)))]
            case "advance":
                return "advance", now_ms
            case "change":
                return self.change(index)
            case what:
                return what, now_ms

    def later(self) -> int:
        """Mostly a little; sometimes to the very millisecond of a timer, just past it, or far past many."""
        deadline_ms = self.pair.model.next_deadline_ms()
        until_ms = [one.v1_until_ms for one in self.interfaces.values() if one.v1_until_ms is not None]
        if until_ms and self.choose(16) == 0:
            deadline_ms = min(until_ms)
        if deadline_ms is not None and deadline_ms >= self.now_ms and self.choose(3) == 0:
            return deadline_ms + self.pick([-1, 0, 0, 1]) if deadline_ms > self.now_ms else deadline_ms
        return self.now_ms + self.pick(STEPS_MS[: self.pick([6, 10, 10, 11, 11, len(STEPS_MS)])])

    def some_groups(self) -> list[bytes]:
        return [self.pick(self.groups) for _ in range(self.pick([1, 1, 1, 2, 5]))]

    def some_sources(self) -> list[bytes]:
        if self.choose(12) == 0:
            first = self.choose(100)
            return MANY[first : first + self.pick([70, 76, 90, 100])]
        return [self.pick(SOURCES) for _ in range(self.pick([0, 0, 1, 1, 2, 3]))]

    def change(self, index: int) -> Step:
        interface, now_ms = self.interfaces[index], self.now_ms
        if not interface.works and self.choose(4):  # mostly it does not stay so
            if not interface.up:
                return "change", now_ms, "set_up", index, True
            if not interface.carrier:
                return "change", now_ms, "set_carrier", index, True
            return "change", now_ms, "set_mtu", index, 1500
        match self.choose(4):
            case 0:
                return "change", now_ms, "set_up", index, not interface.up
            case 1:
                return "change", now_ms, "set_carrier", index, not interface.carrier
            case 2:
                return "change", now_ms, "set_mtu", index, self.pick([1500, 1500, 1280, 1280, 9000, 9000, 1279])
            case _:
                return "change", now_ms, "set_link_local", index, self.pick(LINK_LOCALS)

    def frame(self) -> tuple[int, bytes]:
        index = self.choose(len(self.interfaces))
        group = self.pick(self.groups[:20])
        match self.choose(16):
            case 0 | 1 | 2:
                return index, query2(frames.ANY, self.pick(CODES), (), self.pick([2, 2, 2, 0, 1, 7]), self.interval())
            case 3 | 4 | 5:
                return index, query2(group, self.pick(CODES), (), 2, 125)
            case 6 | 7 | 8:
                return index, query2(group, self.pick(CODES), self.asked_sources(), self.pick([2, 5]), 125)
            case 9 if self.choose(4) == 0:
                return index, query(frames.ANY, self.pick(DELAYS_MS))
            case 9 | 10 | 11:
                return index, query(group, self.pick(DELAYS_MS))
            case 12 | 13:
                return index, report(group, self.pick([frames.ROUTER, frames.ROUTER, frames.LINK_LOCAL]))
            case 14:
                return index, self.pick([frames.done(group), frames.report2()])
            case _:
                return index, query2(frames.ANY, self.pick(CODES), self.asked_sources(), 2, 125)  # mostly bad_length

    def interval(self) -> int:
        return self.pick([125, 125, 0, 1, 0x80])

    def asked_sources(self) -> tuple[bytes, ...]:
        if self.choose(6) == 0:
            first = self.pick([0, 20, 60])
            return tuple(MANY[first : first + self.pick([2, 60, 64, 65, 89])])
        return self.pick(ASKED)


@cache
def query2(group: bytes, code: int, sources: tuple[bytes, ...], robustness: int, interval_code: int) -> bytes:
    return frames.query2(
        group, code, sources, flags=robustness, interval_code=interval_code, destination=frames.ALL_NODES
    )


@cache
def query(group: bytes, delay_ms: int) -> bytes:
    return frames.query(group, delay_ms, destination=frames.ALL_NODES)


@cache
def report(group: bytes, source: bytes) -> bytes:
    return frames.report(group, source=source)


def live(life: Life, steps: int) -> int:
    """So many steps; how many events they were. A difference is shown by the shortest script that brings it about."""
    events = 0
    try:
        for number in range(steps):
            life.step()
            last = life.script.steps[-1]
            events += len(last[2]) if last[0] == "receive" else 1  # type: ignore[arg-type]
            if number % 50 == 49:
                life.pair.look(life.now_ms)
        for name in ("advance", "transmit", "look", "count"):
            life.do((name, life.now_ms))
    except Exception as error:
        least = smallest(life.script)
        try:
            run(least)
        except Exception as smaller:
            pytest.fail(f"{least}\n{type(smaller).__name__}: {smaller}")
        raise AssertionError("a difference that does not come again") from error
    return events


@pytest.fixture(autouse=True, params=[1024, 0], ids=["roomy", "tidy"])
def fewest_gaps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are renumbered when that many were left: with 0, all the time."""
    monkeypatch.setattr(fastmld.groups, "FEWEST_GAPS", request.param)


def test_short_lives() -> None:
    for seed in range(120):
        live(Life(random.Random(seed).randrange, GROUPS if seed % 4 else CROWD), 40)


def test_long_lives() -> None:
    """Half of FASTMLD_MODEL_EVENTS (frames and calls) each; FASTMLD_SEED for others."""
    left = int(os.environ.get("FASTMLD_MODEL_EVENTS", "30000")) // 2
    rng = random.Random(9777 + int(os.environ.get("FASTMLD_SEED", "1")))
    while left > 0:
        left -= live(Life(lambda n: int(rng.random() * n), CROWD if rng.random() < 0.15 else GROUPS), 1000)


def test_many_groups() -> None:
    """Answers of many packets, under way while groups come and go and Queries of every delay arrive."""
    rng = random.Random(5)
    groups = [frames.address(f"ff05::{n:x}:{n % 7}") for n in range(600)]
    for number in range(6):
        life = Life(rng.randrange, groups)
        if number % 2:  # Queries of shorter and shorter windows, while answers are under way
            life.mood, life.codes = MOODS[1], [10, 100, 1000, 1000, 5000]
        live(life, 250)


def test_the_memory_of_source_queries_is_bounded() -> None:
    """65,536 sources an interface: what is past it is asked for as a whole."""
    groups = [frames.address(f"ff05::{n:x}") for n in range(1, 1101)]
    interface: dict[str, object] = {"mac": frames.MAC, "link_local": frames.LINK_LOCAL, "version": 2}
    script = Script([interface], 3)
    script.steps = [
        ("join", 0, 0, groups, 0),
        ("advance", 100_000),
        ("transmit", 100_000),
        ("receive", 100_001, [(0, query2(group, 1000, tuple(MANY[:64]), 2, 125)) for group in groups], [500]),
        ("look", 100_001),
        ("receive", 100_002, [(0, query2(group, 500, tuple(MANY[60:66]), 2, 125)) for group in groups[::-1]]),
        ("look", 100_002),
        ("advance", 100_700),
        ("transmit", 100_700),
        ("receive", 100_700, [(0, query2(group, 500, tuple(MANY[:3]), 2, 125)) for group in groups]),
        ("advance", 200_000),
        ("count", 200_000),
    ]
    run(script)
