"""A whole bench: what is wanted of both halves, and the report that comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fastmld_bench import memory, series
from fastmld_bench.environment import environment
from fastmld_bench.goals import GOALS
from fastmld_bench.report import FORMAT, Report
from fastmld_bench.turns import QUICK, Effort, Row
from fastmld_bench.wanted import Wanted

Progress = Callable[[str, float], None]
Measured = dict[str, Any]


class WireRefused(Exception):
    """The environment has no wire for what was wanted of it; the message says why."""


def run(wanted: Wanted, progress: Progress) -> Report:
    """Measure, and say where that was. progress: what is under way, and what part of all is done.

    Where the environment refuses a wire, the report's "refused" says why, and it is one of memory only; a rate that
    was to be offered there raises WireRefused.
    """
    effort = replace(QUICK if wanted.quick else Effort(), seed=wanted.seed)
    report: Report = {
        "format": FORMAT,
        "environment": environment(),
        "seed": wanted.seed,
        "quick": wanted.quick,
        "memory_only": wanted.memory_only,
        "goals": [] if wanted.workloads or wanted.rate else [goal.id for goal in wanted.goals],
    }
    halves: list[Measured] = []
    refused = None
    if wanted.rate is not None:
        halves.append(_offered(wanted, wanted.rate, progress))
    elif wanted.workloads:
        sizes = list(series.SIZES) if wanted.groups is None else [wanted.groups]
        halves.append(memory.measure_workloads(progress, wanted.workloads, sizes, effort))
    else:
        on_the_wire = [goal.id for goal in wanted.goals if goal.on_the_wire]
        in_memory = [goal.id for goal in wanted.goals if not goal.on_the_wire]
        both = bool(on_the_wire and in_memory and not wanted.memory_only)
        if in_memory:
            curves = not wanted.quick and len(wanted.goals) == len(GOALS)
            halves.append(memory.measure(_part(progress, 0, 0.5 if both else 1), in_memory, effort, curves))
        if on_the_wire and not wanted.memory_only:
            measured, refused = _wire(wanted, on_the_wire, _part(progress, 0.5 if both else 0, 1))
            halves.append(measured)
    report["refused"] = refused
    report["rows"] = [row for half in halves for row in half["rows"]]
    report["series"] = {name: curves for half in halves for name, curves in half["series"].items()}
    for half in halves:
        if "environment" in half:
            report["environment"]["wire"] = half["environment"]
    return report


def _wire(wanted: Wanted, goals: list[str], progress: Progress) -> tuple[Measured, str | None]:
    """What is measured on the wire, and why nothing is."""
    from fastmld_bench import wire

    try:
        measured: Measured = wire.measure(progress, quick=wanted.quick)
    except wire.Refused as refused:
        return {"rows": [], "series": {}}, str(refused)
    rows = [*measured["rows"], *_lateness(measured["rows"])]
    return {**measured, "rows": [row for row in rows if row["id"] in goals]}, None


def _lateness(rows: list[Row]) -> list[Row]:
    """P8b: what stands beside P8, as a row."""
    return [
        {
            **row,
            "id": "P8b",
            "value": row["context"]["lateness_ms"]["p99.9"],
            "spread": None,
            "unit": "ms",
            "context": row["context"]["lateness_ms"],
        }
        for row in rows
        if row["id"] == "P8" and row["valid"]
    ]


def _offered(wanted: Wanted, rate: int, progress: Progress) -> Measured:
    from fastmld_bench.offered import offer
    from fastmld_bench.wire import Refused

    try:
        return offer(progress, wanted.workloads or ["mix"], rate, wanted.groups, wanted.seed)
    except Refused as refused:
        raise WireRefused(str(refused)) from refused


def _part(progress: Progress, begin: float, end: float) -> Progress:
    return lambda text, fraction: progress(text, begin + (end - begin) * fraction)
