"""A whole bench: what is wanted of both halves, and the report that comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from fastmld_bench import memory, series
from fastmld_bench.environment import environment
from fastmld_bench.goals import GOALS
from fastmld_bench.passes import Pass, together
from fastmld_bench.report import FORMAT, Report
from fastmld_bench.turns import QUICK, Effort, Row, row
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
        halves, refused = _goals(wanted, effort, progress)
    report["refused"] = refused
    report["rows"] = [row for half in halves for row in half["rows"]]
    report["series"] = {name: curves for half in halves for name, curves in half["series"].items()}
    for half in halves:
        if "environment" in half:
            report["environment"]["wire"] = half["environment"]
    return report


def _goals(wanted: Wanted, effort: Effort, progress: Progress) -> tuple[list[Measured], str | None]:
    """What is measured of both halves, the wire between two passes over the other; and why there is no wire."""
    on_the_wire = [] if wanted.memory_only else [goal.id for goal in wanted.goals if goal.on_the_wire]
    in_memory = [goal.id for goal in wanted.goals if not goal.on_the_wire]
    curves = not wanted.quick and len(wanted.goals) == len(GOALS)
    n_passes = 0 if not in_memory else 1 if wanted.quick else 2
    share = 1 / (n_passes + 2 * bool(on_the_wire))  # of a pass; the wire takes as long as two
    if n_passes == 2:
        effort = replace(effort, rounds=effort.rounds // 2, longest_s=effort.longest_s / 2)

    def measure(begin: float) -> Pass:
        return memory.measure(_part(progress, begin, begin + share), in_memory, effort, curves)

    halves: list[Measured] = []
    refused = None
    passes = [measure(0)] if n_passes else []
    if on_the_wire:
        begin = share * len(passes)
        measured, refused = _wire(wanted, on_the_wire, _part(progress, begin, begin + 2 * share))
        halves.append(measured)
    if n_passes == 2:
        passes.append(measure(1 - share))
    if passes:
        halves.insert(0, together(passes))
    return halves, refused


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
    """P8b: what stands beside P8, as a row of one value a flood."""
    return [
        row("P8b", each["what"], np.array(each["context"]["lateness_p99.9_ms"]), "ms", each["context"]["lateness_ms"])
        for each in rows
        if each["id"] == "P8" and each["valid"]
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
