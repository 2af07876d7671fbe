"""The rivals do what the engine does: the same verdicts, the same states, the same timers in the same order."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest
from fastmld_bench import workloads
from fastmld_bench.link import SETTLED_MS, listening
from fastmld_bench.peers import READERS, Peer
from fastmld_bench.wheels import WHEELS, Turning

from fastmld import STATES, VERDICTS

N, LISTENED = 240, 20
JUNK = ("junk", "everything")


@cache
def heard_by_the_engine(workload: str) -> tuple[Counter[str], dict[bytes, tuple[bool, bool]], int]:
    """Its verdicts; its states at once; the Reports that it has sent when all timers have ended."""
    frames = workloads.WORKLOADS[workload](N, LISTENED, 1)
    engine = listening(LISTENED, report_rate=None)
    before = engine.counters(0)["sent_report"]
    engine.receive(frames, SETTLED_MS)
    counters = engine.counters(0)
    states = {
        row["address"].tobytes(): (STATES[row["state"]] == "delaying_listener", bool(row["last_reporter"]))
        for row in engine.groups(0)
    }
    engine.advance(SETTLED_MS + 70_000)
    while len(engine.transmit()):
        pass
    verdicts = Counter({verdict: counters[verdict] for verdict in VERDICTS if counters[verdict]})
    return verdicts, states, engine.counters(0)["sent_report"] - before


@pytest.mark.parametrize("workload", workloads.WORKLOADS)
@pytest.mark.parametrize("name", READERS)
def test_a_peer_hears_what_the_engine_hears(name: str, workload: str) -> None:
    frames = workloads.WORKLOADS[workload](N, LISTENED, 1)
    verdicts, states, reports = heard_by_the_engine(workload)
    peer = Peer(READERS[name], LISTENED)
    peer.carry([list(frames)], SETTLED_MS)
    assert peer.states() == states
    peer.advance(SETTLED_MS + 70_000)
    assert peer.reports == reports
    assert peer.verdicts["accepted"] == verdicts["accepted"]
    if workload not in JUNK or name == "plain Python":  # why a frame is no good, the libraries say less exactly
        assert peer.verdicts == verdicts


@pytest.mark.parametrize("name", WHEELS)
def test_a_wheel_turns_as_every_other(name: str) -> None:
    turning, n = Turning(name, 5000), 5000
    turning.stop()
    turning.arm()
    due = turning.turn()
    deadlines_ms = np.random.default_rng(1).integers(1, 10_001, n)
    assert due.tolist() == sorted(range(n), key=lambda row: (deadlines_ms[row], row))
