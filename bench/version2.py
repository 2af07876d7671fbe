"""V1, V2, V3 and V5: MLDv2 in memory, contenders taking turns. Each function gives rows of a report.

What a figure must be is what it must be of MLDv1: V1 is P4, V2 and V5 are P5, V3 is P9a, V4 is P10 and V6 is P8.
"""

from __future__ import annotations

import tracemalloc
from functools import partial
from typing import Final

import numpy as np
from fastmld_bench import workloads, workloads_v2
from fastmld_bench.link import IN_MEMORY, SETTLED_MS, Link, listening
from fastmld_bench.ratios import GROUPS
from fastmld_bench.turns import Effort, Row, Work, middle, row, take_turns, take_turns_anew

from fastmld import Engine

_FRAMES: Final = 4 * IN_MEMORY
_ASKED_GROUPS: Final = 10_000  # of source Queries
_RECORDED: Final = 65_536  # sources that an interface keeps at most: docs/mldv2.md, D9
_ANSWERED_GROUPS: Final = 1_000_000


def settled2(n: int, **settings: object) -> Engine:
    """An engine of mld_version "auto", in MLDv2 mode, that joined n groups a minute ago and has said so twice."""
    return listening(n, mld_version="auto", **settings)


def query_that_finds_an_answer_pending(effort: Effort) -> list[Row]:
    """V1: time fixed, the longest response code there is, so that nothing changes."""
    engines = [waiting(n) for n in (1_000_000, 1)]
    before = [engine.next_deadline_ms() for engine in engines]
    rows = []
    for queries, batches in ((1, 1_000), (4_096, 40)):
        n = max(1, batches // effort.shorter)
        turns = take_turns([partial(ask_again, engine, queries, n) for engine in engines], effort)
        million_ns, one_ns = (np.median(turns, axis=0) / (n * queries) * 1e9).tolist()
        context = {"ns_with_1M": million_ns, "ns_with_1": one_ns}
        changed = [engine.next_deadline_ms() for engine in engines] != before
        why_not = "a Query changed something" if changed else None
        rows.append(row("V1", f"{queries:,} a batch", turns[:, 0] / turns[:, 1], "x", context, why_not))
    return rows


def waiting(n: int) -> Engine:
    """An engine of n groups, with an answer to a General Query pending for a while."""
    engine = settled2(n)
    engine.receive(workloads_v2.general2(1), SETTLED_MS)
    return engine


def ask_again(engine: Engine, queries: int, batches: int) -> None:
    """Batches of so many General Queries, at one time."""
    frames = workloads_v2.general2(queries)
    for _ in range(batches):
        engine.receive(frames, SETTLED_MS)
        engine.advance(SETTLED_MS)
        engine.transmit()


def mix_and_source_queries(effort: Effort) -> list[Row]:
    """V5: the mix in MLDv2 beside that of P1, on an MLDv1 interface; V2a: source Queries beside the former, as the
    worst orders of P5 are beside the latter. Time goes with the frames, at 10 GbE."""
    n = _FRAMES // effort.shorter
    mix, mix2 = workloads.mix(n, GROUPS, effort.seed), workloads_v2.mix2(n, GROUPS, effort.seed)
    sources2 = workloads_v2.sources2(n // 4, _ASKED_GROUPS, effort.seed)

    def contenders() -> list[Work]:
        engines = ((listening(GROUPS), mix), (settled2(GROUPS), mix2), (settled2(_ASKED_GROUPS), sources2))
        return [partial(Link(engine).carry, workloads.split(frames, IN_MEMORY)) for engine, frames in engines]

    rates = np.array([n, n, len(sources2)]) / take_turns_anew(contenders, effort)
    v1, v2, asked = (middle(column)[0] for column in rates.T)
    return [
        row(
            "V2a", f"{_ASKED_GROUPS // 1000} k groups, 4 sources each, code 0", rates[:, 2] / rates[:, 1], "x",
            {"frames_per_s": asked, "v2_mix_frames_per_s": v2, "mix_frames_per_s": v1},
        ),
        row("V5", "100 k groups", rates[:, 1] / rates[:, 0], "x", {"frames_per_s": v2, "mix_frames_per_s": v1}),
    ]  # fmt: skip


def memory_of_source_queries(effort: Effort) -> list[Row]:
    """V2b: as many sources as are kept, in the worst way: one of each group. More of them after that take no more.

    What any batch of so many frames takes is not theirs.
    """
    groups = _RECORDED
    engine = settled2(groups, report_rate=None)
    named = workloads.groups(groups)
    strangers = workloads.groups(groups, first=groups)
    engine.receive(workloads_v2.in_slots(workloads_v2.queries2(strangers, workloads_v2.LONGEST_CODE)), SETTLED_MS)
    sources = np.zeros((groups, 1, 16), np.uint8)
    sources[:, 0, :2] = 0x20, 0x01
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        sizes = []
        for turn in range(2):
            sources[:, 0, 12:] = (
                np.arange(turn * groups, (turn + 1) * groups).astype(">u4").view(np.uint8).reshape(-1, 4)
            )
            engine.receive(
                workloads_v2.in_slots(workloads_v2.queries2(named, workloads_v2.LONGEST_CODE, sources)), SETTLED_MS
            )
            sizes.append(tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()
    context = {"sources": _RECORDED, "after_twice_as_many": sizes[1] / _RECORDED}
    return [row("V2b", "a source each of 65,536 groups", np.array([sizes[0] / _RECORDED]), "octets", context)]


def records_built(effort: Effort) -> list[Row]:
    """V3: a General Query asks for all; only transmit is timed, when all of the answer is due."""
    engine = settled2(_ANSWERED_GROUPS, report_rate=None)
    query = workloads_v2.general2(1, code=1)
    now_ms = SETTLED_MS
    octets: list[int] = []

    def ask() -> None:
        nonlocal now_ms
        engine.receive(query, now_ms)
        now_ms += 1
        engine.advance(now_ms)
        octets.clear()

    def transmit() -> None:
        while len(out := engine.transmit()):
            octets.append(int(out.lengths.sum(dtype=np.int64)) - 70 * len(out))

    turns = take_turns([transmit], effort, before=ask)
    built = sum(octets) // 20
    why_not = None if built == _ANSWERED_GROUPS else f"{built:,} records for {_ANSWERED_GROUPS:,} groups"
    frames = -(-_ANSWERED_GROUPS // 72)
    return [
        row(
            "V3", "1 M groups", _ANSWERED_GROUPS / turns[:, 0], "records/s",
            {"reports": frames, "records_a_report": 72, "reports_per_s": frames / float(np.median(turns))}, why_not,
        )
    ]  # fmt: skip
