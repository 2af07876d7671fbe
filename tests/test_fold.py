"""The fold by enumeration: every start state and every string of up to six events, General and specific, in one batch.

All strings whose General Queries stand at the same places share an interface; each start state and each filling of
the other places is a group of its own on it. One receive() then judges them all, and a plain replay of the events,
one after the other over columns of groups, says what must come out. A sample of the strings goes through the plain
model too, one frame at a time.
"""

import itertools
import random
from dataclasses import dataclass

import numpy as np
import pytest

import fastmld
import frames
from model.draw import draw_ms
from model.listener import Interface, Listener
from model.pair import Pair

SEED = 2710
SMALL_MS, LARGE_MS = 20, 300
SHORT_MS, LONG_MS = 30, 5000  # what draws the time that remains at the start: often under SMALL, mostly over LARGE
NONE = fastmld.NO_DEADLINE
STARTS = list(itertools.product((None, SHORT_MS, LONG_MS), (True, False)))  # (timer, last-reporter flag)
GENERAL = {"G": 0, "g": SMALL_MS, "L": LARGE_MS}
SPECIFIC = {"S": 0, "s": SMALL_MS, "l": LARGE_MS}
REPORT = "R"
OWN = [*SPECIFIC, REPORT]  # what fills a place that is not General
ALL = 1 << 24
PREFIX = bytes.fromhex("ff05") + bytes(10)


@dataclass
class Rows:
    """Columns of groups: the place of its interface, its address' low 32 bits, its letter at each position."""

    interface: np.ndarray
    low: np.ndarray
    letters: np.ndarray
    start: np.ndarray

    @classmethod
    def of(cls, patterns: list[str]) -> "Rows":
        """A pattern has a letter of GENERAL, or a dot for a place that each group fills in its own way."""
        interfaces, letters, starts = [], [], []
        for number, pattern in enumerate(patterns):
            places = [OWN if letter == "." else [letter] for letter in pattern]
            strings = ["".join(string) for string in itertools.product(*places)]
            letters += [string for string in strings for _ in STARTS]
            starts += list(range(len(STARTS))) * len(strings)
            interfaces += [number] * (len(strings) * len(STARTS))
        columns = np.frombuffer("".join(letters).encode(), dtype=np.uint8).reshape(len(letters), -1)
        low = np.arange(1, len(letters) + 1, dtype=np.uint32)
        return cls(np.array(interfaces, dtype=np.uint32), low, columns, np.array(starts))

    def addresses(self) -> np.ndarray:
        out = np.zeros((len(self.low), 16), dtype=np.uint8)
        out[:, :12] = np.frombuffer(PREFIX, dtype=np.uint8)
        out[:, 12:] = self.low.astype(">u4").view(np.uint8).reshape(-1, 4)
        return out


def frames_of(template: bytes, low: np.ndarray, places: list[int], sums: int) -> np.ndarray:
    """Copies of a frame for the group PREFIX::, with the low 32 bits written in and the checksum carried on."""
    out = np.tile(np.frombuffer(template, dtype=np.uint8), (len(low), 1))
    octets = low.astype(">u4").view(np.uint8).reshape(-1, 4)
    for place in places:
        out[:, place : place + 4] = octets
    total = 0xFFFF - int.from_bytes(template[64:66], "big") + sums * ((low >> 16) + (low & 0xFFFF)).astype(np.int64)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    out[:, 64:66] = (0xFFFF - total).astype(">u2").view(np.uint8).reshape(-1, 2)
    return out


def specific(low: np.ndarray, delay_ms: int) -> np.ndarray:
    return frames_of(frames.query(PREFIX + bytes(4), delay_ms, destination=frames.ALL_NODES), low, [82], 1)


def reports(low: np.ndarray) -> np.ndarray:
    return frames_of(frames.report(PREFIX + bytes(4)), low, [2, 50, 82], 2)


def batch_of(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    octets, interfaces = zip(*parts, strict=True)
    return np.concatenate(octets), np.concatenate(interfaces).astype(np.uint32)


def receive(engine: fastmld.Engine, octets: np.ndarray, interfaces: np.ndarray, now_ms: int) -> None:
    offsets = np.arange(len(octets), dtype=np.int64) * 86
    lengths = np.full(len(octets), 86, dtype=np.uint32)
    batch = fastmld.FrameBatch.from_buffer(octets.reshape(-1), offsets, lengths, interfaces)
    assert not engine.receive(batch, now_ms=now_ms).any()


def prepared(rows: Rows, patterns: list[str]) -> fastmld.Engine:
    """An engine at time 0 in which every group is in its start state."""
    engine = fastmld.Engine(seed=SEED)
    addresses = rows.addresses()
    edges = np.searchsorted(rows.interface, np.arange(len(patterns) + 1))
    for number in range(len(patterns)):
        lan = engine.add_interface(
            f"lan{number}", mac="02:00:00:00:00:01", link_local="fe80::1",
            unsolicited_report_repeats=0, report_rate=None, mld_version=1,
        )  # fmt: skip
        engine.join(lan, addresses[edges[number] : edges[number + 1]], now_ms=0)
    # A Report heard while a timer runs clears the flag; the timer of the start state is armed afterwards.
    clear = np.isin(rows.start, [n for n, (_, flag) in enumerate(STARTS) if not flag])
    parts = [
        (specific(rows.low[clear], SMALL_MS), rows.interface[clear]),
        (reports(rows.low[clear]), rows.interface[clear]),
    ]
    for timer_ms in (SHORT_MS, LONG_MS):
        chosen = np.isin(rows.start, [n for n, (timer, _) in enumerate(STARTS) if timer == timer_ms])
        parts.append((specific(rows.low[chosen], timer_ms), rows.interface[chosen]))
    # One part a batch: the fold is not asked for anything before it is its turn.
    for octets, interfaces in parts:
        receive(engine, octets, interfaces, 0)
    engine.transmit(limit=ALL)
    return engine


def stimulus(rows: Rows, position: int, patterns: list[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    parts = []
    for letter, delay_ms in GENERAL.items():
        asked = np.array([n for n, pattern in enumerate(patterns) if pattern[position] == letter], dtype=np.uint32)
        frame = np.frombuffer(frames.query(delay_ms=delay_ms), dtype=np.uint8)
        parts.append((np.tile(frame, (len(asked), 1)), asked))
    for letter, delay_ms in SPECIFIC.items():
        chosen = rows.letters[:, position] == ord(letter)
        parts.append((specific(rows.low[chosen], delay_ms), rows.interface[chosen]))
    chosen = rows.letters[:, position] == ord(REPORT)
    parts.append((reports(rows.low[chosen]), rows.interface[chosen]))
    return parts


class OneByOne:
    """RFC 2710's transitions, one event after the other, for many groups side by side."""

    def __init__(self, rows: Rows, flag: np.ndarray, deadline_ms: np.ndarray, now_ms: int) -> None:
        self.rows, self.now_ms = rows, now_ms
        self.flag, self.deadline_ms = flag.copy(), deadline_ms.copy()
        self.answered: list[np.ndarray] = []
        self._drawn: dict[int, np.ndarray] = {}

    def drawn(self, delay_ms: int) -> np.ndarray:
        if delay_ms not in self._drawn:
            pairs = zip(self.rows.interface.tolist(), self.rows.low.tolist(), strict=True)
            self._drawn[delay_ms] = self.now_ms + np.array(
                [
                    draw_ms(SEED, interface, PREFIX + low.to_bytes(4, "big"), self.now_ms, delay_ms)
                    for interface, low in pairs
                ]
            )
        return self._drawn[delay_ms]

    def event(self, position: int) -> None:
        letters = self.rows.letters[:, position]
        for queries in (GENERAL, SPECIFIC):
            for letter, delay_ms in queries.items():
                asked = letters == ord(letter)
                if delay_ms == 0:
                    self.answered.append(np.flatnonzero(asked))
                    self.deadline_ms[asked], self.flag[asked] = NONE, True
                    continue
                # An idle group has NONE, which is later than everything.
                reset = asked & (self.deadline_ms - self.now_ms > delay_ms)
                self.deadline_ms[reset] = self.drawn(delay_ms)[reset]
        stopped = (letters == ord(REPORT)) & (self.deadline_ms != NONE)
        self.deadline_ms[stopped], self.flag[stopped] = NONE, False


def state_of(engine: fastmld.Engine, count: int) -> tuple[np.ndarray, np.ndarray]:
    columns = np.concatenate([engine.groups(lan) for lan in range(count)])
    running = columns["deadline_ms"] != NONE
    delaying, idle = map(fastmld.STATES.index, ("delaying_listener", "idle_listener"))
    assert (columns["state"] == np.where(running, delaying, idle)).all()
    return columns["last_reporter"].astype(bool), columns["deadline_ms"].copy()


def answers_in(out: fastmld.FrameBatch) -> list[tuple[int, int]]:
    at = np.asarray(out.offsets)[:, None] + np.arange(82, 86)
    low = np.asarray(out.buffer)[at].astype(np.uint8).view(">u4").reshape(-1)
    return list(zip(np.asarray(out.interfaces).tolist(), low.tolist(), strict=True))


def enumerate_patterns(patterns: list[str], cuts: list[int], now_ms: int = 3) -> None:
    rows = Rows.of(patterns)
    engine = prepared(rows, patterns)
    flag, deadline_ms = state_of(engine, len(patterns))
    wanted = [STARTS[start] for start in rows.start.tolist()]
    assert [bool(f) for f in flag] == [f for _, f in wanted]
    assert ((deadline_ms == NONE) == [timer is None for timer, _ in wanted]).all()
    # Who was due before the batch comes has sent, and is idle with the flag set.
    fired = deadline_ms < now_ms
    flag[fired], deadline_ms[fired] = True, NONE

    truth = OneByOne(rows, flag, deadline_ms, now_ms)
    parts = []
    for position in range(len(patterns[0])):
        parts += stimulus(rows, position, patterns)
        truth.event(position)
    octets, interfaces = batch_of(parts)
    engine.advance(now_ms=now_ms - 1)
    engine.transmit(limit=ALL)
    edges = [0, *(cut % len(octets) for cut in sorted(cuts, key=lambda cut: cut % len(octets))), len(octets)]
    for start, end in itertools.pairwise(edges):
        receive(engine, octets[start:end], interfaces[start:end], now_ms)

    found_flag, found_deadline_ms = state_of(engine, len(patterns))
    wrong = np.flatnonzero((found_flag != truth.flag) | (found_deadline_ms != truth.deadline_ms))
    assert not len(wrong), explain(rows, wrong[0], truth, found_flag, found_deadline_ms)
    expected = np.concatenate(truth.answered)
    out = engine.transmit(limit=ALL)
    assert (np.asarray(out.times_ms) == now_ms).all()
    pairs = list(zip(rows.interface[expected].tolist(), rows.low[expected].tolist(), strict=True))
    assert answers_in(out) == pairs
    lives_on(engine, rows, truth, len(patterns))


def lives_on(engine: fastmld.Engine, rows: Rows, truth: OneByOne, count: int) -> None:
    """What the batch left behind still works: timers fire in order, and nobody is deaf to the next Query."""
    running = truth.deadline_ms != NONE
    if running.any():
        assert engine.next_deadline_ms() == truth.deadline_ms[running].min()
    half_ms = truth.now_ms + SMALL_MS
    due = np.flatnonzero(truth.deadline_ms <= half_ms)
    due = due[np.argsort(truth.deadline_ms[due], kind="stable")]
    engine.advance(now_ms=half_ms)
    out = engine.transmit(limit=ALL)
    assert np.asarray(out.times_ms).tolist() == truth.deadline_ms[due].tolist()
    assert answers_in(out) == list(zip(rows.interface[due].tolist(), rows.low[due].tolist(), strict=True))

    everyone = np.arange(count, dtype=np.uint32)
    query = np.tile(np.frombuffer(frames.query(delay_ms=1), dtype=np.uint8), (count, 1))
    receive(engine, query, everyone, half_ms)
    engine.advance(now_ms=half_ms + 1)
    out = engine.transmit(limit=ALL)
    assert answers_in(out) == list(zip(rows.interface.tolist(), rows.low.tolist(), strict=True))
    assert engine.next_deadline_ms() is None


def explain(rows: Rows, at: int, truth: OneByOne, flag: np.ndarray, deadline_ms: np.ndarray) -> str:
    return (
        f"start {STARTS[rows.start[at]]}, events {bytes(rows.letters[at]).decode()}: flag {flag[at]}, deadline"
        f" {deadline_ms[at]}; one by one: {truth.flag[at]}, {truth.deadline_ms[at]}"
    )


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_every_string_in_one_batch(length: int) -> None:
    enumerate_patterns(["".join(p) for p in itertools.product([*GENERAL, "."], repeat=length)], [])


@pytest.mark.parametrize("first", [*GENERAL, "."])
@pytest.mark.slow
def test_every_string_of_six_in_one_batch(first: str) -> None:
    enumerate_patterns([first + "".join(p) for p in itertools.product([*GENERAL, "."], repeat=5)], [])


def test_every_string_cut_into_batches() -> None:
    rng = random.Random(3)
    patterns = ["".join(p) for p in itertools.product([*GENERAL, "."], repeat=4)]
    for number in (1, 2, 7, 50):
        enumerate_patterns(patterns, [rng.randrange(1 << 30) for _ in range(number)])


def test_a_sample_against_the_model() -> None:
    """Longer strings, one frame at a time in the model, in one batch in the engine, to the last Report."""
    rng = random.Random(4)
    letters = [*GENERAL, *SPECIFIC, REPORT]
    for _ in range(40):
        pair = Pair([Interface(n, frames.MAC, frames.LINK_LOCAL, repeats=0) for n in range(20)], seed=SEED)
        group = frames.address("ff05::101")
        for lan in range(20):
            pair.join(lan, [group], 0)
            timer_ms, flag = rng.choice(STARTS)
            if not flag:
                pair.receive([(lan, frames.query(group, SMALL_MS)), (lan, frames.report(group))], 0, [1])
            if timer_ms is not None:
                pair.receive([(lan, frames.query(group, timer_ms))], 0)
        batch = []
        for lan in range(20):
            for letter in rng.choices(letters, k=rng.randrange(1, 12)):
                batch.append((lan, one_frame(letter, group)))
        pair.receive(batch, 3)
        pair.same_output()
        pair.same_state()
        pair.advance(10_000)
        pair.same_output()
        pair.same_state()


def one_frame(letter: str, group: bytes) -> bytes:
    if letter in GENERAL:
        return frames.query(delay_ms=GENERAL[letter])
    if letter in SPECIFIC:
        return frames.query(group, SPECIFIC[letter])
    return frames.report(group)


def test_one_by_one_is_the_model() -> None:
    """The columns above against the plain model, for every string of up to three events."""
    for length in (1, 2, 3):
        patterns = ["".join(p) for p in itertools.product([*GENERAL, "."], repeat=length)]
        rows = Rows.of(patterns)
        model = Listener(SEED)
        for number in range(len(patterns)):
            model.add_interface(Interface(number, frames.MAC, frames.LINK_LOCAL, repeats=0))
        members = []
        for lan, address, start in zip(rows.interface.tolist(), rows.addresses(), rows.start, strict=True):
            model.join(lan, [address.tobytes()], 0)
            member = model.interfaces[lan].memberships[address.tobytes()]
            timer_ms, member.last_reporter = STARTS[start]
            if timer_ms is not None:
                member.state, member.deadline_ms = "delaying_listener", 3 + timer_ms // 2
            members.append(member)
        model.transmit()
        flag = np.array([member.last_reporter for member in members])
        deadline_ms = np.array([NONE if m.deadline_ms is None else m.deadline_ms for m in members])
        truth = OneByOne(rows, flag, deadline_ms, 3)
        octets, interfaces = batch_of(
            [part for position in range(length) for part in stimulus(rows, position, patterns)]
        )
        for position in range(length):
            truth.event(position)
        for lan, frame in zip(interfaces.tolist(), octets, strict=True):
            model.receive(lan, frame.tobytes(), 3)
        assert truth.flag.tolist() == [member.last_reporter for member in members]
        assert truth.deadline_ms.tolist() == [NONE if m.deadline_ms is None else m.deadline_ms for m in members]
        answered = np.concatenate(truth.answered)
        expected = [(sent.interface, sent.address) for sent in model.transmit()]
        addresses = [address.tobytes() for address in rows.addresses()]
        assert [(int(rows.interface[n]), addresses[n]) for n in answered] == expected
