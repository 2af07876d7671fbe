"""Curves: rows of a report by the number of groups, interfaces or timers. The plots are made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

from fastmld_bench import version2, workloads
from fastmld_bench.link import IN_MEMORY, Link, all_timers_running, listening
from fastmld_bench.ratios import CLAIMED_BATCH, ask_again
from fastmld_bench.turns import Effort, Row, row, take_turns
from fastmld_bench.wheels import STEP_MS, WHEELS, WINDOW_MS, Turning

SIZES: Final = (1, 1_000, 10_000, 100_000, 1_000_000)
LARGEST: Final = 4_000_000
SHOWN: Final = ("mix", "general_repeated", "general_shrinking", "alternating", "reports")
_INTERFACES: Final = (1, 16, 256, 4_096)
_TIMERS: Final = (1_000, 10_000, 100_000)

Found = Iterator[tuple[str, int, Row]]  # curve, where on it, and the row there


def curves(found: Iterable[tuple[str, int, Row]]) -> tuple[list[Row], dict[str, list[dict[str, Any]]]]:
    """The rows, and name -> points of a curve: at, value, spread."""
    rows: list[Row] = []
    points: dict[str, list[dict[str, Any]]] = {}
    for name, at, each in found:
        rows.append(each)
        points.setdefault(name, []).append({"at": at, "value": each["value"], "spread": each["spread"]})
    return rows, points


def rate(workload: str, n_groups: int, effort: Effort, interfaces: int = 1) -> Row:
    """Frames a second of a workload in memory, Python included."""
    n = 4 * IN_MEMORY // effort.shorter
    frames = workloads.WORKLOADS[workload](n, n_groups, effort.seed, interfaces=interfaces)
    carry = partial(Link(listening(n_groups, interfaces)).carry, workloads.split(frames, CLAIMED_BATCH))
    turns = take_turns([carry], _few(effort))
    among = "" if interfaces == 1 else f" on each of {interfaces:,} interfaces"
    context = {"frames_a_batch": min(n, CLAIMED_BATCH)}
    return row(workload, f"{n_groups:,} groups{among}", n / turns[:, 0], "frames/s", context)


def rates_by_groups(effort: Effort, names: Iterable[str] = SHOWN, sizes: Iterable[int] = SIZES) -> Found:
    for name in names:
        for n in sizes:
            yield name, n, rate(name, n, effort)


def rates_by_interfaces(effort: Effort) -> Found:
    """The mix, spread over interfaces with 100 groups each."""
    for n in _INTERFACES:
        yield "mix", n, rate("mix", 100, effort, n)


def cost_of_a_query(effort: Effort) -> Found:
    """Of a General Query that finds all timers running, alone in its batch and among 4096."""
    for n in (*SIZES, LARGEST):
        engine = all_timers_running(n)
        for queries, batches in ((1, 400), (4_096, 8)):
            turns = take_turns([partial(ask_again, engine, queries, batches)], _few(effort))
            what = f"{queries:,} a batch"
            ns = turns[:, 0] / (batches * queries) * 1e9
            yield what, n, row("query", f"{what}, {n:,} groups", ns, "ns", {"batches_a_round": batches})


def cost_of_a_query2(effort: Effort) -> Found:
    """Of an MLDv2 General Query that finds an answer pending, alone in its batch and among 4096."""
    for n in SIZES:
        engine = version2.waiting(n)
        for queries, batches in ((1, 400), (4_096, 8)):
            turns = take_turns([partial(version2.ask_again, engine, queries, batches)], _few(effort))
            what = f"{queries:,} a batch"
            ns = turns[:, 0] / (batches * queries) * 1e9
            yield what, n, row("query2", f"{what}, {n:,} groups", ns, "ns", {"batches_a_round": batches})


def wheels(effort: Effort) -> Found:
    """Of a timer, armed and taken when it is due: ours and their rivals in turn."""
    for n in _TIMERS:
        turns = take_turns([partial(_turn, Turning(name, n)) for name in WHEELS], _few(effort))
        for i, name in enumerate(WHEELS):
            ns = turns[:, i] / n * 1e9
            yield (
                name,
                n,
                row(
                    "timer",
                    f"{name}, {n:,} timers",
                    ns,
                    "ns",
                    {"ends_within_ms": WINDOW_MS, "looked_for_every_ms": STEP_MS},
                ),
            )


def _turn(turning: Turning) -> None:
    turning.stop()
    turning.arm()
    turning.turn()


def _few(effort: Effort) -> Effort:
    return replace(effort, rounds=min(7, max(4, effort.rounds // 4)), longest_s=5.0)
