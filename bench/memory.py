"""The half of the bench that needs no network: P1 to P5, P9a, P10, P11, V1 to V5, and the curves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from fastmld_bench import footprint, ratios, series, version2
from fastmld_bench.passes import Pass, Point
from fastmld_bench.turns import Effort, Row, pinned

Progress = Callable[[str, float], None]


class _Task(NamedTuple):
    """What is measured at once."""

    name: str
    goals: tuple[str, ...]
    measure: Callable[[Effort], list[Row]]


class _Curve(NamedTuple):
    name: str
    key: str
    measure: Callable[[Effort], series.Found]


_TASKS: Final = (
    _Task("the engine, and memcpy", ("P1", "P2"), ratios.engine_and_memcpy),
    _Task("classify, and memcpy", ("P3",), ratios.classify_and_memcpy),
    _Task("General Queries that find all timers running", ("P4",), ratios.query_that_finds_all_timers_running),
    _Task("the worst orders", ("P5",), ratios.worst_order),
    _Task("building Reports", ("P9a",), ratios.reports_built),
    _Task("joining a million groups", ("P10a", "P10b"), footprint.joining_a_million),
    _Task("scapy, dpkt, plain Python", ("P11a", "P11b", "P11c"), ratios.peers),
    _Task("MLDv2 General Queries", ("V1",), version2.query_that_finds_an_answer_pending),
    _Task("the MLDv2 mix, and source Queries", ("V2a", "V5"), version2.mix_and_source_queries),
    _Task("sources of Queries", ("V2b",), version2.memory_of_source_queries),
    _Task("building records", ("V3",), version2.records_built),
    _Task("joining a million groups in MLDv2", ("V4a", "V4b"), footprint.joining_a_million_in_mldv2),
)
_CURVES: Final = (
    _Curve("rates by groups", "rate_by_groups", series.rates_by_groups),
    _Curve("rates by interfaces", "rate_by_interfaces", series.rates_by_interfaces),
    _Curve("the cost of a Query", "cost_of_a_query", series.cost_of_a_query),
    _Curve("the cost of an MLDv2 Query", "cost_of_a_query2", series.cost_of_a_query2),
    _Curve("our timers and their rivals", "cost_of_a_timer", series.wheels),
)


def measure(progress: Progress, goals: Iterable[str], effort: Effort, curves: bool) -> Pass:
    """One pass over the goals of these ids that are measured in memory, and over the curves where wanted."""
    wanted = set(goals)
    tasks = [task for task in _TASKS if wanted & set(task.goals)]
    steps = len(tasks) + (len(_CURVES) if curves else 0)
    rows: list[Row] = []
    points: list[Point] = []
    with pinned():
        for done, task in enumerate(tasks):
            progress(f"in memory: {task.name}", done / steps)
            rows += [row for row in task.measure(effort) if row["id"] in wanted]
        for done, curve in enumerate(_CURVES if curves else (), len(tasks)):
            progress(f"in memory: {curve.name}", done / steps)
            points += [Point(curve.key, *found) for found in curve.measure(effort)]
    return Pass(rows, points)


def measure_workloads(progress: Progress, names: list[str], sizes: list[int], effort: Effort) -> dict[str, Any]:
    """{"rows", "series"} of workloads, each by the number of groups."""
    found = []
    with pinned():
        for done, name in enumerate(names):
            progress(f"in memory: {name}", done / len(names))
            found += list(series.rates_by_groups(effort, [name], sizes))
    rows, points = series.curves(found)
    return {"rows": rows, "series": {"rate_by_groups": points}}
