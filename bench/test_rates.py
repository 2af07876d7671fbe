"""How fast each part is, and the whole, by the number of groups. Figures of one machine: compare, do not quote.

In extra_info, of the best round: packets_per_s; timers_per_s for the wheel; addresses_per_s for look-ups.
"""

from __future__ import annotations

import numpy as np
import pytest
from fastmld_bench import workloads
from fastmld_bench.classifier import Classifier
from fastmld_bench.link import BATCH, Link, joined, listening
from fastmld_bench.peers import READERS, Peer
from fastmld_bench.wheels import WHEELS, Turning
from pytest_benchmark.fixture import BenchmarkFixture

from fastmld.groups import GroupTable

SIZES = {"1k": 1_000, "100k": 100_000, "1M": 1_000_000}
FRAMES = 10 * BATCH
PEERS_FRAMES = 500
ROUNDS = 8

by_size = pytest.mark.parametrize("n_groups", SIZES.values(), ids=SIZES.keys())


def say_rate(benchmark: BenchmarkFixture, n: int, unit: str = "packets_per_s") -> None:
    """n of something in a round."""
    if benchmark.stats is not None:  # --benchmark-disable
        benchmark.extra_info[unit] = round(n / benchmark.stats.stats.min)


@pytest.mark.benchmark(group="classify")
@by_size
@pytest.mark.parametrize("workload", ["mix", "reports", "junk"])
def test_classify(benchmark: BenchmarkFixture, workload: str, n_groups: int) -> None:
    batches = workloads.split(workloads.WORKLOADS[workload](FRAMES, n_groups, 1), BATCH)
    benchmark.pedantic(Classifier(n_groups, BATCH).bind(batches), rounds=4 * ROUNDS, warmup_rounds=1)
    say_rate(benchmark, FRAMES)


@pytest.mark.benchmark(group="look-up")
@by_size
def test_find(benchmark: BenchmarkFixture, n_groups: int) -> None:
    table = GroupTable()
    table.join(0, workloads.groups(n_groups))
    asked = workloads.groups(2 * n_groups)[np.random.default_rng(1).integers(0, 2 * n_groups, FRAMES)]
    benchmark.pedantic(table.find, (0, asked), rounds=4 * ROUNDS, warmup_rounds=1)
    say_rate(benchmark, FRAMES, "addresses_per_s")


@pytest.mark.benchmark(group="arm")
@by_size
@pytest.mark.parametrize("wheel", WHEELS)
def test_arm(benchmark: BenchmarkFixture, wheel: str, n_groups: int) -> None:
    turning = Turning(wheel, n_groups)
    benchmark.pedantic(turning.arm, setup=turning.stop, rounds=ROUNDS, warmup_rounds=1)
    say_rate(benchmark, n_groups, "timers_per_s")


@pytest.mark.benchmark(group="due")
@by_size
@pytest.mark.parametrize("wheel", WHEELS)
def test_due(benchmark: BenchmarkFixture, wheel: str, n_groups: int) -> None:
    turning = Turning(wheel, n_groups)

    def armed() -> None:
        turning.stop()
        turning.arm()

    assert len(benchmark.pedantic(turning.turn, setup=armed, rounds=ROUNDS, warmup_rounds=1)) == n_groups
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


@pytest.mark.benchmark(group="peers")
@pytest.mark.parametrize("name", READERS)
def test_peer(benchmark: BenchmarkFixture, name: str) -> None:
    frames = list(workloads.mix(PEERS_FRAMES, SIZES["1k"], 1))
    peer = Peer(READERS[name], SIZES["1k"])
    benchmark.pedantic(peer.carry, ([frames], 0), rounds=ROUNDS, warmup_rounds=1)
    say_rate(benchmark, PEERS_FRAMES)


@pytest.mark.benchmark(group="engine")
@by_size
@pytest.mark.parametrize("workload", workloads.WORKLOADS)
def test_engine(benchmark: BenchmarkFixture, workload: str, n_groups: int) -> None:
    link = Link(listening(n_groups))
    batches = workloads.split(workloads.WORKLOADS[workload](FRAMES, n_groups, 1), BATCH)
    benchmark.pedantic(link.carry, (batches,), rounds=ROUNDS, warmup_rounds=1)
    say_rate(benchmark, FRAMES)
