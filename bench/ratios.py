"""P1 to P5, P9a and P11: what is measured in memory, contenders taking turns. Each function gives rows of a report."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
from fastmld_bench import workloads
from fastmld_bench.classifier import Classifier
from fastmld_bench.link import BATCH, IN_MEMORY, Link, all_timers_running, joined, listening
from fastmld_bench.peers import READERS, Peer
from fastmld_bench.turns import Effort, Row, Work, middle, row, take_turns, take_turns_anew
from fastmld_bench.workloads import FRAME, SLOT

from fastmld import Engine, FrameBatch, _native

GROUPS: Final = 100_000
BATCHES: Final = (1_024, BATCH, 16_384, IN_MEMORY)
CLAIMED_BATCH: Final = IN_MEMORY  # P1, P2 and P5 are about batches of so many; docs/performance.md says why
WORST: Final = ("alternating", "general_shrinking", "general_immediate")
_FRAMES: Final = 8 * IN_MEMORY
_FEW_GROUPS: Final = 1_000  # what is looked up lies in L2 too
_FRAMES_IN_L2: Final = 1_024  # with a copy of them that is 336 KiB
_PEERS_GROUPS: Final = 1_000  # few: a peer walks over all of them at each General Query
_PEERS_FRAMES: Final = {"scapy": 400, "dpkt": 2_000, "plain Python": 4_000}


def memcpy(batches: list[FrameBatch]) -> Work:
    """What copies the slots of batches, one call a batch, each over the one before."""
    ffi = _native.ffi
    longest = max(len(frames) for frames in batches)
    copy = ffi.from_buffer("uint8_t[]", np.zeros(longest * SLOT, np.uint8))
    slots = ffi.from_buffer("uint8_t[]", batches[0].buffer)
    parts = [(slots + int(frames.offsets[0]) // SLOT * SLOT, len(frames) * SLOT) for frames in batches]

    def move() -> None:
        for part, size in parts:
            ffi.memmove(copy, part, size)

    return move


def engine_and_memcpy(effort: Effort) -> list[Row]:
    """P1 and P2. Time goes with the frames, at 10 GbE."""
    n = _FRAMES // effort.shorter

    def contenders() -> list[Work]:
        frames = workloads.mix(n, GROUPS, effort.seed)
        carried = [partial(Link(listening(GROUPS)).carry, workloads.split(frames, size)) for size in BATCHES]
        return [*carried, memcpy(workloads.split(frames, CLAIMED_BATCH))]

    turns = take_turns_anew(contenders, effort)
    rates = n / turns
    claimed = BATCHES.index(CLAIMED_BATCH)
    medians = dict(zip(BATCHES, np.median(rates, axis=0).tolist(), strict=False))
    what = f"batches of {CLAIMED_BATCH:,}"
    memcpy_rates = rates[:, -1]
    moved = {"memcpy_frames_per_s": middle(memcpy_rates)[0], "octets_a_slot": SLOT, "MiB_of_slots": n * SLOT >> 20}
    return [
        row("P1", what, rates[:, claimed], "frames/s", {f"at_{size}_a_batch": rate for size, rate in medians.items()}),
        row("P2", what, memcpy_rates / rates[:, claimed], "x", moved),
    ]


def classify_and_memcpy(effort: Effort) -> list[Row]:
    """P3: Reports, of which half are for one of a thousand groups. Beside it the mix of P1, and its groups."""
    again = 500 // effort.shorter

    def contenders() -> list[Work]:
        reports = [workloads.reports(_FRAMES_IN_L2, _FEW_GROUPS, effort.seed)] * again
        mix = [workloads.mix(_FRAMES_IN_L2, GROUPS, effort.seed)] * again
        return [
            Classifier(_FEW_GROUPS, _FRAMES_IN_L2).bind(reports),
            memcpy(reports),
            Classifier(GROUPS, _FRAMES_IN_L2).bind(mix),
        ]

    turns = take_turns_anew(contenders, effort)
    classify_ns, memcpy_ns, mix_ns = (np.median(turns, axis=0) / (again * _FRAMES_IN_L2) * 1e9).tolist()
    context = {
        "classify_ns": classify_ns,
        "memcpy_ns": memcpy_ns,
        "mix_100k_groups_ns": mix_ns,
        "frames": _FRAMES_IN_L2,
    }
    return [row("P3", "Reports, 1 k groups", turns[:, 0] / turns[:, 1], "x", context)]


def query_that_finds_all_timers_running(effort: Effort) -> list[Row]:
    """P4: time fixed, delay 65,535 ms, so that nothing changes."""
    engines = [all_timers_running(n) for n in (1_000_000, 1)]
    before = [engine.groups(0) for engine in engines]
    rows = []
    for queries, batches in ((1, 1_000), (4_096, 40)):
        n = max(1, batches // effort.shorter)
        turns = take_turns([partial(ask_again, engine, queries, n) for engine in engines], effort)
        changed = any((engine.groups(0) != groups).any() for engine, groups in zip(engines, before, strict=True))
        million_ns, one_ns = (np.median(turns, axis=0) / (n * queries) * 1e9).tolist()
        rows.append(
            row(
                "P4",
                f"{queries:,} a batch",
                turns[:, 0] / turns[:, 1],
                "x",
                {"ns_with_1M": million_ns, "ns_with_1": one_ns},
                "a Query changed something" if changed else None,
            )
        )
    return rows


def ask_again(engine: Engine, queries: int, batches: int) -> None:
    """Batches of so many General Queries of 65,535 ms each, at time 0."""
    frames = workloads.general_unhurried(queries)
    for _ in range(batches):
        engine.receive(frames, 0)
        engine.advance(0)
        engine.transmit()


def worst_order(effort: Effort) -> list[Row]:
    """P5: each of the orders that cost most, beside the mix of P1."""
    n = _FRAMES // effort.shorter
    carried = []
    for name in ("mix", *WORST):
        batches = workloads.split(workloads.WORKLOADS[name](n, GROUPS, effort.seed), CLAIMED_BATCH)
        carried.append(partial(Link(listening(GROUPS)).carry, batches))
    turns = take_turns(carried, effort)
    rates = (n / np.median(turns, axis=0)).tolist()
    return [
        row("P5", name, turns[:, 0] / turns[:, i], "x", {"frames_per_s": rates[i], "mix_frames_per_s": rates[0]})
        for i, name in enumerate(WORST, 1)
    ]


def reports_built(effort: Effort) -> list[Row]:
    """P9a: a General Query with delay 0 asks for all; only transmit is timed."""
    engine = joined(GROUPS, report_rate=None)
    query = workloads.general_immediate(1, GROUPS, effort.seed)

    def transmit() -> int:
        built = 0
        while n := len(engine.transmit()):
            built += n
        return built

    transmit()
    engine.receive(query, 0)
    built = transmit()
    turns = take_turns([transmit], effort, before=lambda: engine.receive(query, 0))
    why_not = None if built == GROUPS else f"{built} Reports for {GROUPS} groups"
    return [row("P9a", "100 k groups", GROUPS / turns[:, 0], "frames/s", {"octets_a_frame": FRAME}, why_not)]


def peers(effort: Effort) -> list[Row]:
    """P11: the mix of P1, to a thousand groups."""
    rows = []
    n = IN_MEMORY * 4 // effort.shorter
    engine = Link(listening(_PEERS_GROUPS))
    carry = partial(engine.carry, workloads.split(workloads.mix(n, _PEERS_GROUPS, effort.seed), CLAIMED_BATCH))
    for goal, (name, read) in zip(("P11a", "P11b", "P11c"), READERS.items(), strict=True):
        frames = list(workloads.mix(_PEERS_FRAMES[name], _PEERS_GROUPS, effort.seed))
        turns = take_turns([carry, partial(Peer(read, _PEERS_GROUPS).carry, [frames], 0)], effort)
        ours, theirs = n / turns[:, 0], len(frames) / turns[:, 1]
        context = {"engine_packets_per_s": middle(ours)[0], "peer_packets_per_s": middle(theirs)[0]}
        rows.append(row(goal, name, ours / theirs, "x", {**context, "groups": _PEERS_GROUPS}))
    return rows
