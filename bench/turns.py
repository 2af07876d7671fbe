"""Contenders take turns in one process, pinned to one processor: A B A B. What comes of it are rows of a report."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Work = Callable[[], object]
Row = dict[str, Any]
Seconds = npt.NDArray[np.float64]

_FEWEST: Final = 5  # rounds that a median and quartiles can be told from
_TIMES_MADE: Final = 3


@dataclass(frozen=True, slots=True)
class Effort:
    """How much work goes into a figure. shorter: divides the frames of a turn."""

    seed: int = 1
    rounds: int = 30
    shorter: int = 1
    longest_s: float = 40.0  # no round is begun after it, once there are the fewest


QUICK: Final = Effort(rounds=_FEWEST, shorter=8, longest_s=5.0)


def take_turns(contenders: Sequence[Work], effort: Effort, before: Work = lambda: None) -> Seconds:
    """(rounds, contenders) seconds of each turn; the first round is not counted. before: ahead of each, not counted."""
    rounds: list[list[float]] = []
    for work in contenders:
        before()
        work()
    gc.collect()
    end_s = perf_counter() + effort.longest_s
    while len(rounds) < effort.rounds and (len(rounds) < _FEWEST or perf_counter() < end_s):
        turns = []
        for work in contenders:
            before()
            turns.append(seconds(work))
        rounds.append(turns)
    return np.array(rounds)


def take_turns_anew(make: Callable[[], Sequence[Work]], effort: Effort) -> Seconds:
    """The same of contenders that are made several times: what they cost depends on where in memory they lie."""
    made: list[Sequence[Work]] = []
    rounds = []
    share = replace(effort, rounds=-(-effort.rounds // _TIMES_MADE), longest_s=effort.longest_s / _TIMES_MADE)
    for _ in range(_TIMES_MADE):
        made.append(make())  # those before stay where they are
        rounds.append(take_turns(made[-1], share))
    return np.concatenate(rounds)


def seconds(work: Work) -> float:
    start_s = perf_counter()
    work()
    return perf_counter() - start_s


def middle(values: Seconds) -> tuple[float, list[float]]:
    """The median, and the quartiles."""
    low, median, high = np.percentile(values, (25, 50, 75)).tolist()
    return median, [low, high]


def row(goal: str, what: str, values: Seconds, unit: str, context: dict[str, Any], why_not: str | None = None) -> Row:
    """Of one value a round. context: what else there is to say, by name. why_not: the measurement is not valid."""
    value, spread = middle(values)
    return {
        "id": goal,
        "what": what,
        "value": value,
        "spread": spread,
        "values": values.tolist(),
        "unit": unit,
        "context": {**context, "rounds": len(values)},
        "valid": why_not is None,
        "why_not": why_not,
    }


@contextmanager
def pinned() -> Iterator[None]:
    """On the last processor that this process may use."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
