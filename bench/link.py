"""An engine at the end of a link at line rate: the clock goes with the frames, not with the computer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fastmld_bench import workloads

from fastmld import STATES, Engine, FrameBatch

FRAMES_PER_MS: Final = 11_364  # 10 GbE full of 86-octet frames, of 110 on the wire
BATCH: Final = 6_240  # frames in a quarter of the ring of links/packet_ring.py: what it hands over under load
IN_MEMORY: Final = 65_536  # frames a batch, where all of them wait already; as many as transmit hands over at once
SETTLED_MS: Final = 60_000


def listening(n: int, interfaces: int = 1, **settings: Any) -> Engine:
    """An engine that joined n groups on each interface a minute ago, and has said so: no timer runs."""
    engine = joined(n, interfaces, **settings)
    for now_ms in range(0, SETTLED_MS, 50):
        engine.advance(now_ms)
        engine.transmit()
    assert engine.next_deadline_ms() is None
    return engine


def all_timers_running(n: int) -> Engine:
    """An engine at time 0: n groups were joined just now, and each is to be reported once more within 10 s."""
    engine = joined(n, report_rate=None)
    while len(engine.transmit()):
        pass
    assert (engine.groups(0)["state"] == STATES.index("delaying_listener")).all()
    return engine


def joined(n: int, interfaces: int = 1, mld_version: int | str = 1, **settings: Any) -> Engine:
    """An engine that has joined n groups on each interface, at time 0."""
    engine = Engine(seed=1)
    for index in range(interfaces):
        engine.add_interface(
            f"lan{index}", mac="02:00:00:00:00:01", link_local="fe80::1", mld_version=mld_version, **settings
        )
        engine.join(index, workloads.groups(n), now_ms=0)
    return engine


class Link:
    """Carries frames to an engine of `listening`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._carried = 0

    def carry(self, batches: Iterable[FrameBatch]) -> None:
        """Bring in batches: one receive, advance and transmit each."""
        engine = self._engine
        for frames in batches:
            self._carried += len(frames)
            now_ms = SETTLED_MS + self._carried // FRAMES_PER_MS
            engine.receive(frames, now_ms)
            engine.advance(now_ms)
            engine.transmit()
