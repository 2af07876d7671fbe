"""What the generator sends: a table of FRAMES frames, the same for the same seed, sent in turn.

A flood is a workload of `fastmld_bench.workloads`, or one of General Queries from many routers. Junk is none: the
ring's filter keeps most of it out, and then nobody's count could be held against the generator's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
from fastmld_bench import workloads
from fastmld_bench.workloads import FRAME, QUERY, Octets

FRAMES: Final = 4096
LONGEST_MS: Final = 65_535
ANSWER_MS: Final = 1000


def queries(shortest_ms: int, longest_ms: int, seed: int) -> Octets:
    """General Queries of routers at random, each with a delay of its own."""
    random = np.random.default_rng(seed)
    delays_ms = random.integers(shortest_ms, longest_ms + 1, FRAMES)
    return workloads.build(QUERY, np.zeros((FRAMES, 16), np.uint8), delays_ms, random.integers(1, 255, FRAMES))


def queries2(delay_ms: int, seed: int) -> Octets:
    """MLDv2 General Queries (RFC 9777 section 5.1) of routers at random. delay_ms: less than 32,768."""
    frames = np.zeros((FRAMES, FRAME + 4), np.uint8)
    frames[:, :FRAME] = queries(delay_ms, delay_ms, seed)
    frames[:, 19] += 4  # payload length
    frames[:, 86:88] = 2, 125  # S 0 and QRV 2; QQIC
    words = frames[:, 22:54].view(">u2").sum(axis=1, dtype=np.uint32)
    frames[:, 64:66] = 0
    words += frames[:, 62:].view(">u2").sum(axis=1, dtype=np.uint32) + 28 + 58
    words = (words & 0xFFFF) + (words >> 16)
    words = (words & 0xFFFF) + (words >> 16)
    frames[:, 64:66] = (0xFFFF - words).astype(">u2").view(np.uint8).reshape(-1, 2)
    return frames


def _workload(name: str, listened: int, seed: int) -> Octets:
    frames = workloads.WORKLOADS[name](FRAMES, listened, seed)
    return frames.buffer[frames.offsets[:, np.newaxis] + np.arange(FRAME)]


FLOODS: Final[dict[str, Callable[[int, int], Octets]]] = {
    # Each answer within ANSWER_MS, or a tenth of that and more; all timers running and none ending for a while.
    "queries": lambda listened, seed: queries(ANSWER_MS, 10 * ANSWER_MS, seed),
    "queries_of_1s": lambda listened, seed: queries(ANSWER_MS, ANSWER_MS, seed),
    "queries_of_65s": lambda listened, seed: queries(LONGEST_MS, LONGEST_MS, seed),
    "queries2_of_1s": lambda listened, seed: queries2(ANSWER_MS, seed),
    **{name: partial(_workload, name) for name in workloads.WORKLOADS if name != "junk"},
}


def make(name: str, listened: int, seed: int) -> Octets:
    """(FRAMES, length) uint8: a flood, on a link where `workloads.groups(listened)` are listened to."""
    return FLOODS[name](listened, seed)
