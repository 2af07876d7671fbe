"""The highest rate without loss: trials of a fixed time, halving the interval; and pairs at one rate, in turn."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from fastmld_bench.wire.cable import Trial

AGAIN: Final = 3  # attempts at a trial that counts

Try = Callable[[float], Trial]


@dataclass
class Highest:
    """rate: frames a second, 0 where no trial counted. limit: what a higher rate fails at, "reader" or "generator".

    flat_out: what the generator did without a pace. generator_ns_a_frame: its CPU time then, most of it the kernel's at
    the reader's end of the cable, its copy into the ring included. trials: those that counted, in the order of their
    rates. thrown_out: how many did not.
    """

    rate: float = 0.0
    limit: str = "reader"
    trials: list[Trial] = field(default_factory=list)
    thrown_out: int = 0
    flat_out: float = 0.0
    generator_ns_a_frame: float | None = None


def highest(attempt: Try, rounds: int) -> Highest:
    """Search between nothing and as fast as the generator goes, which the first trial shows."""
    found = Highest()
    flat_out = _valid(attempt, math.inf, found)
    if flat_out is None:
        return Highest(limit="generator", thrown_out=found.thrown_out)
    found.flat_out = flat_out.held
    found.generator_ns_a_frame = flat_out.generator_ns / max(1, flat_out.sent)
    if flat_out.lossless:
        found.rate, found.limit = flat_out.held, "generator"
        return found
    low, high = 0.0, flat_out.held
    for _ in range(rounds):
        rate = (low + high) / 2
        trial = _valid(attempt, rate, found)
        if trial is not None and trial.lossless:
            low = found.rate = trial.held
        else:
            high = rate
            found.limit = "generator" if trial is None else "reader"
    found.trials.sort(key=lambda trial: trial.held)
    return found


def pairs(attempts: tuple[Try, Try], rate: float, n: int) -> list[tuple[Trial, Trial]]:
    """n pairs of trials that count and lost nothing, the two in turn; fewer, if it takes more than twice as many."""
    found: list[tuple[Trial, Trial]] = []
    for _ in range(2 * n):
        first, second = (attempt(rate) for attempt in attempts)
        if all(trial.why_not is None and trial.lossless for trial in (first, second)):
            found.append((first, second))
        if len(found) == n:
            break
    return found


def _valid(attempt: Try, rate: float, found: Highest) -> Trial | None:
    """A trial that counts, now in found.trials; None: there was none."""
    for _ in range(AGAIN):
        trial = attempt(rate)
        if trial.why_not is None:
            found.trials.append(trial)
            return trial
        found.thrown_out += 1
    return None
