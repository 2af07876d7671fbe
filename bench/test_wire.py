"""The wire is fit to measure on: the generator sends what it says, and what does not add up is thrown out."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterator

import numpy as np
import pytest
from fastmld_bench.wire import Refused, far_end, floods, search
from fastmld_bench.wire.cable import Cable, Trial
from fastmld_bench.wire.far_end import HEARD, Flooded
from fastmld_bench.wire.kernel import KernelListener
from fastmld_bench.wire.worker import Worker, WorkerEnded
from scapy.layers.inet6 import IPv6, in6_chksum
from scapy.layers.l2 import Ether

GROUPS = 500
RATE, SECONDS = 20_000, 0.3


@pytest.fixture(scope="module", params=["bpf", "sendmmsg"])
def cable(request: pytest.FixtureRequest) -> Iterator[Cable]:
    try:
        made = Cable(seed=1, groups=GROUPS, sender=request.param)
    except Refused as error:
        pytest.skip(str(error))
    with made:
        if request.param == "bpf" and made.sender == "sendmmsg":
            pytest.skip("BPF is refused")
        yield made


def test_a_walker_sees_all_that_the_generator_says_it_sent(cable: Cable) -> None:
    trial = cable.trial("walker", "queries", RATE, SECONDS)
    assert trial.sent == trial.seen == trial.counters["frames"] > 0
    assert trial.dropped == 0
    assert trial.sent <= RATE * SECONDS + 1
    assert trial.reader_ns > 0
    flood = trial.flood
    assert flood.start_ns < flood.last_ns <= flood.end_ns
    assert 1e9 / RATE <= flood.pause_ns < flood.end_ns - flood.start_ns


def test_flat_out_is_faster(cable: Cable) -> None:
    paced, flat_out = (cable.trial("walker", "queries", rate, SECONDS) for rate in (1000, math.inf))
    assert flat_out.sent == flat_out.seen > 10 * paced.sent


def test_frames_come_as_they_were_made(cable: Cable) -> None:
    queries = cable.trial("listener", "queries", RATE, SECONDS)
    assert queries.counters["general_query"] == queries.sent
    mix = cable.trial("listener", "mix", RATE, SECONDS).counters
    assert mix["accepted"] + mix["bad_destination"] == mix["frames"]
    assert mix["report"] / mix["frames"] == pytest.approx(0.7, abs=0.05)


def test_what_is_no_flood_is_refused(cable: Cable) -> None:
    with pytest.raises(ValueError, match="junk is no flood; these are: queries, "):
        cable.trial("walker", "junk", RATE, SECONDS)


def test_each_group_is_answered_for(cable: Cable) -> None:
    trial, heard, meant = cable.answered("queries_of_1s", RATE, 2.5, 1000)
    assert set(heard["group"].tolist()) == set(range(GROUPS))
    if trial.why_not is None:
        assert np.isfinite(far_end.latest_answers_ms(heard, GROUPS, trial.flood)).all()
    assert (far_end.lateness_ms(heard, meant) >= 0).all()


@pytest.mark.parametrize("cable", ["sendmmsg"], indirect=True)
def test_the_kernel_answers_too(cable: Cable) -> None:
    kernel = KernelListener(cable)
    assert kernel.spend("queries_of_65s", 50, 0.5).threads_ns > 0
    for version, flood in ((1, "queries_of_1s"), (2, "queries2_of_1s")):
        kernel.speak(version)
        _, heard = kernel.answered(flood, 20, 0.1, 1000)
        assert set(range(GROUPS)) <= set(heard["group"].tolist())
        # A Report of version 2 has many groups in it.
        assert (len(np.unique(heard["ns"])) < GROUPS / 4) == (version == 2)


def test_a_worker_that_ended_says_why_each_time(cable: Cable) -> None:
    worker = Worker(cable.host, cable.reader_core, "walker", "nosuch0")
    for _ in range(2):
        with pytest.raises(WorkerEnded, match=r"walker: .* there is no interface nosuch0"):
            worker.ask("open", ring={})


def test_nothing_is_left_behind() -> None:
    try:
        made = Cable(seed=1, groups=1)
    except Refused as error:
        pytest.skip(str(error))
    holder = made.host.pid
    with pytest.raises(ZeroDivisionError), made:
        made.trial("walker", "queries", 1 / 0, SECONDS)
    assert subprocess.run(["ps", "-p", str(holder)], capture_output=True, check=False).returncode == 1


def test_scapy_finds_version_2_right() -> None:
    for octets in floods.make("queries2_of_1s", 1, 1)[:50]:
        packet = Ether(octets.tobytes())
        ip = packet[IPv6]
        message = bytes(ip.payload.payload)
        assert (ip.hlim, ip.plen, ip.dst, len(message), message[0]) == (1, 36, "ff02::1", 28, 130)
        assert message[4:6] == (1000).to_bytes(2, "big")
        blank = message[:2] + b"\0\0" + message[4:]
        assert int.from_bytes(message[2:4], "big") == in6_chksum(58, IPv6(src=ip.src, dst=ip.dst), blank)


def trial(offered: float, held: float, sent: int, seen: int, dropped: int) -> Trial:
    return Trial(offered, held, sent, seen, dropped, 1, 1, 0, Flooded(0, 10**9, sent, 0, 10**9, 0), {})


class Bench:
    """A reader and a generator of one second a trial, of which the rates are known."""

    def __init__(self, reader: float, generator: float, lies: int = 0) -> None:
        self.reader, self.generator, self.lies, self.trials = reader, generator, lies, 0

    def attempt(self, rate: float) -> Trial:
        self.trials += 1
        held = min(rate, self.generator)
        lie = self.trials <= self.lies
        return trial(rate, held, int(held) + lie, int(held), max(0, int(held - self.reader)))


def test_the_search_finds_the_readers_rate() -> None:
    found = search.highest(Bench(3e5, 1e6).attempt, rounds=8)
    assert 3e5 * 0.98 <= found.rate <= 3e5
    assert (found.limit, found.thrown_out) == ("reader", 0)


def test_where_the_generator_is_the_limit_it_is_said() -> None:
    found = search.highest(Bench(3e6, 1e6).attempt, rounds=8)
    assert (found.rate, found.limit) == (1e6, "generator")


def test_a_trial_with_a_lying_count_is_thrown_out() -> None:
    bench = Bench(3e5, 1e6, lies=2)
    found = search.highest(bench.attempt, rounds=8)
    assert found.thrown_out == 2
    assert all(each.why_not is None for each in found.trials)
    assert len(found.trials) == bench.trials - 2
    liar = search.highest(Bench(3e5, 1e6, lies=10**6).attempt, rounds=8)
    assert (liar.rate, liar.limit, liar.trials) == (0.0, "generator", [])
    assert search.pairs((Bench(3e5, 1e6, lies=10**6).attempt, Bench(3e5, 1e6).attempt), 1e5, 3) == []


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        (trial(1e6, 1e6, 10, 9, 0), "10 frames and the ring 9"),
        (trial(1e6, 9e5, 10, 10, 0), "held 900,000 of 1,000,000"),
        (trial(math.inf, 9e5, 10, 10, 5), None),
        (trial(1e6, 0.995e6, 10, 10, 0), None),
    ],
)
def test_what_counts_for_nothing(counts: Trial, reason: str | None) -> None:
    assert (counts.why_not is None) if reason is None else reason in str(counts.why_not)


def test_who_was_answered_in_time() -> None:
    """A Query each 10 ms for 5 s, of a delay of 1 s; seven groups."""
    ms = 1_000_000
    reports = {
        0: [900, 1800, 2700, 3600, 4500, 5400],
        1: [1015, 2000, 3000, 4000, 5000],  # as late as may be
        2: [1030, 2000, 3000, 4000, 5000],  # the first one late
        3: [900, 1800, 3000, 4000, 5000],  # a pause in the middle
        4: [900, 1800, 2700, 3600],  # the last Queries unanswered
        5: [900, 1800, 2700, 3600, 4500, 7000],  # late, after the flood
        # 6 kept silent
        7: [100],  # no group of ours
    }
    heard = np.array([(at * ms, group) for group, times in reports.items() for at in times], HEARD)
    np.random.default_rng(1).shuffle(heard)
    flood = Flooded(0, 5000 * ms, 500, 1000, last_ns=4990 * ms, pause_ns=10 * ms)
    allowed = far_end.latest_answers_ms(heard, 7, flood) <= 1010
    assert allowed.tolist() == [True, True, False, False, False, False, False]
    assert far_end.in_time(heard, 7, flood) == pytest.approx(2 / 7)


def test_reports_that_do_not_match_have_no_lateness() -> None:
    meant = np.array([(1, 1), (2, 2)], HEARD)
    assert far_end.lateness_ms(np.array([(1_000_001, 1), (2_000_002, 2)], HEARD), meant).tolist() == [1, 2]
    for heard in (meant[:1], meant[::-1]):
        with pytest.raises(far_end.Mismatch):
            far_end.lateness_ms(heard, meant)
