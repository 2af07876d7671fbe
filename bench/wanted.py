"""What somebody wants measured."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastmld_bench.goals import GOALS, Goal


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to measure. With workloads or a rate: those, and no goals."""

    goals: list[Goal] = field(default_factory=lambda: list(GOALS))
    workloads: list[str] = field(default_factory=list)
    rate: int | None = None
    groups: int | None = None
    seed: int = 1
    quick: bool = False
    memory_only: bool = False
