"""How fast each part is, and the whole, by the number of groups. Figures of one machine: compare, do not quote.

In extra_info, of the best round: packets_per_s; timers_per_s for the wheel; addresses_per_s for look-ups.
"""

from __future__ import annotations

import numpy as np
import pytest
from fastmld_bench import workloads
from fastmld_bench.classifier import Classifier
from fastmld_bench.link import BATCH, Link, joined, listening
from pytest_benchmark.fixture import BenchmarkFixture

from fastmld.groups import GroupTable
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
        self._table.deadline_ms[self._rows] = self._deadlines
        self._timers = Timers(self._table)

    def armed(self) -> None:
        self.stopped()
        self.arm()

    def arm(self) -> None:
        self._timers.arm(self._rows)

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
