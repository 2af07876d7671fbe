"""A worker that only walks the ring's blocks: python -m fastmld_bench.wire.walker CORE INTERFACE."""

from __future__ import annotations

import select
import sys
import time

from fastmld_bench.wire.worker import answer, begin, request

from fastmld.links.packet_ring import PacketRing
from fastmld.runtime import PACE_S


def walk(interface: str, ring: dict[str, int]) -> None:
    """From one `open` to its `close`; `mark` in between is answered with the counters."""
    link, stdin, frames = PacketRing(interface, **ring), sys.stdin.fileno(), 0
    epoll = select.epoll()
    for descriptor in (link.fileno(), stdin):
        epoll.register(descriptor, select.EPOLLIN)
    answer("open")
    while True:
        batch = link.receive(0)
        if batch is not None:
            frames += len(batch)
            link.release()
            time.sleep(PACE_S)  # as the runtime does: neither is to pay for blocks that come one by one
        elif any(descriptor == stdin for descriptor, _ in epoll.poll()):
            if request()["do"] == "close":
                break
            answer({"frames": frames, **link.counters()})
    epoll.close()
    link.close()
    answer("closed")


if __name__ == "__main__":
    (interface,) = begin()
    while True:
        walk(interface, request()["ring"])
