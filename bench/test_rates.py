"""How fast each part is, and the whole, by the number of groups. Figures of one machine: compare, do not quote.

In extra_info, of the best round: packets_per_s; timers_per_s for the wheel; addresses_per_s for look-ups.
"""

from __future__ import annotations

import numpy as np
import pytest
from fastmld_bench import workloads
from fastmld_bench.link import BATCH, Link, joined, listening
from pytest_benchmark.fixture import BenchmarkFixture

from fastmld import FrameBatch, _native
from fastmld.batch import Folds
from fastmld.groups import GroupTable
from fastmld.interface import Interface
from fastmld.listener_v1 import State, move
from fastmld.timers import Timers

SIZES = {"1k": 1_000, "100k": 100_000, "1M": 1_000_000}
FRAMES = 10 * BATCH
ROUNDS = 8
WINDOW_MS = 10_000  # in which timers end
STEP_MS = 10  # of one advance to the next

by_size = pytest.mark.parametrize("n_groups", SIZES.values(), ids=SIZES.keys())


def say_rate(benchmark: BenchmarkFixture, n: int, unit: str = "packets_per_s") -> None:
    """n of something in a round."""
    if benchmark.stats is not None:  # --benchmark-disable
        benchmark.extra_info[unit] = round(n / benchmark.stats.stats.min)


class Classifier:
    """The one call into C that checks, looks up and folds a batch, and what it needs."""

    def __init__(self, n_groups: int) -> None:
        self._table = GroupTable()
        self._table.join(0, workloads.groups(n_groups))
        interface = Interface.create(0, "lan0", mac="02:00:00:00:00:01", link_local="fe80::1")
        self._records = np.zeros(1, _native.INTERFACE)
        self._records["mac"] = np.frombuffer(interface.mac, np.uint8)
        self._records["link_local"] = np.frombuffer(interface.link_local or b"", np.uint8)
        self._records["rules"] = interface.rules
        self._records["delay_ms"] = -1
        self._records["present"] = 1
        self._verdicts = np.empty(BATCH, np.uint8)
        self._events = np.empty(BATCH, _native.EVENT)
        self._columns = Folds.of_size(BATCH)
        self._folds = _native.ffi.new("fastmld_folds *")
        self._pinned = [
            _native.pin(f"{kind}[]", column)
            for kind, column in zip(
                ("uint32_t", "int32_t", "int64_t", "uint8_t", "uint8_t", "fastmld_fold"),
                (*self._columns, np.empty(BATCH, _native.FOLD)),
                strict=True,
            )
        ]
        for name, pinned in zip((*Folds._fields, "scratch"), self._pinned, strict=True):
            setattr(self._folds, name, pinned)
        self._numbers = np.empty((2, BATCH), np.uint32)
        self._found = _native.ffi.new("fastmld_found *")

    def take(self, batches: list[FrameBatch]) -> None:
        """Classify batches of up to BATCH frames, and clear up after each."""
        pin, lib, table, found = _native.pin, _native.lib, self._table.c, self._found
        record = pin("fastmld_interface[]", self._records)
        folds, generals = self._folds, pin("uint32_t[]", self._numbers[1])
        for frames in batches:
            lib.fastmld_classify(
                table, record, 1, pin("uint8_t[]", frames.buffer), pin("int64_t[]", frames.offsets),
                pin("uint32_t[]", frames.lengths), pin("uint32_t[]", np.zeros(1, np.uint32)), 0, len(frames),
                pin("uint8_t[]", self._verdicts), _native.ffi.NULL, pin("fastmld_event[]", self._events), folds,
                pin("uint32_t[]", self._numbers[0]), generals, found,
            )  # fmt: skip
            lib.fastmld_settle(table, record, folds.row, found.folds, generals, found.generals)


@pytest.mark.benchmark(group="classify")
@by_size
@pytest.mark.parametrize("workload", ["mix", "reports", "junk"])
def test_classify(benchmark: BenchmarkFixture, workload: str, n_groups: int) -> None:
    classifier = Classifier(n_groups)
    batches = workloads.split(workloads.WORKLOADS[workload](FRAMES, n_groups, 1), BATCH)
    benchmark.pedantic(classifier.take, (batches,), rounds=4 * ROUNDS, warmup_rounds=1)
    say_rate(benchmark, FRAMES)


@pytest.mark.benchmark(group="look-up")
@by_size
def test_find(benchmark: BenchmarkFixture, n_groups: int) -> None:
    table = GroupTable()
    table.join(0, workloads.groups(n_groups))
    asked = workloads.groups(2 * n_groups)[np.random.default_rng(1).integers(0, 2 * n_groups, FRAMES)]
    benchmark.pedantic(table.find, (0, asked), rounds=4 * ROUNDS, warmup_rounds=1)
    say_rate(benchmark, FRAMES, "addresses_per_s")


class Wheel:
    """Timers of n rows that all end within WINDOW_MS."""

    def __init__(self, n: int) -> None:
        self._table = GroupTable()
        self._rows = self._table.join(0, workloads.groups(n))
        self._deadlines = np.random.default_rng(1).integers(1, WINDOW_MS + 1, n)

    def stopped(self) -> None:
        self._table.state[self._rows] = 0
        self._timers = Timers(self._table)
        self._timers.rebuild()

    def armed(self) -> None:
        self.stopped()
        self.arm()

    def arm(self) -> None:
        self._table.write(self._rows, move(State.DELAYING, _native.lib.FASTMLD_TIMER_SET), 0, self._deadlines)

    def turn(self) -> int:
        ended = 0
        for now_ms in range(0, WINDOW_MS + 1, STEP_MS):
            rows = self._timers.due(now_ms)
            self._table.write(rows, move(State.IDLE, _native.lib.FASTMLD_TIMER_STOP))
            ended += len(rows)
        return ended


@pytest.mark.benchmark(group="timers")
@by_size
def test_arm(benchmark: BenchmarkFixture, n_groups: int) -> None:
    wheel = Wheel(n_groups)
    benchmark.pedantic(wheel.arm, setup=wheel.stopped, rounds=ROUNDS, warmup_rounds=1)
    say_rate(benchmark, n_groups, "timers_per_s")


@pytest.mark.benchmark(group="timers")
@by_size
def test_due(benchmark: BenchmarkFixture, n_groups: int) -> None:
    wheel = Wheel(n_groups)
    assert benchmark.pedantic(wheel.turn, setup=wheel.armed, rounds=ROUNDS, warmup_rounds=1) == n_groups
    say_rate(benchmark, n_groups, "timers_per_s")


@pytest.mark.benchmark(group="emit")
@by_size
def test_transmit(benchmark: BenchmarkFixture, n_groups: int) -> None:
    engine = joined(n_groups, report_rate=None)
    query = workloads.general_immediate(1, n_groups, 1)

    def transmit() -> int:
        sent = 0
        while n := len(engine.transmit()):
            sent += n
        return sent

    def ask_for_all() -> None:
        engine.receive(query, 0)

    transmit()
    assert benchmark.pedantic(transmit, setup=ask_for_all, rounds=ROUNDS, warmup_rounds=1) == n_groups
    say_rate(benchmark, n_groups)


@pytest.mark.benchmark(group="engine")
@by_size
@pytest.mark.parametrize("workload", workloads.WORKLOADS)
def test_engine(benchmark: BenchmarkFixture, workload: str, n_groups: int) -> None:
    link = Link(listening(n_groups))
    batches = workloads.split(workloads.WORKLOADS[workload](FRAMES, n_groups, 1), BATCH)
    benchmark.pedantic(link.carry, (batches,), rounds=ROUNDS, warmup_rounds=1)
    say_rate(benchmark, FRAMES)
