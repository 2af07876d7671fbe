"""One rate of a workload, offered on the wire: what got through, and what it cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from fastmld_bench.turns import Row, row
from fastmld_bench.wire.cable import LISTENED, Cable, Trial

_TRIALS: Final = 5
_SECONDS: Final = 1.0


def offer(
    progress: Callable[[str, float], None], workloads: list[str], rate: int, groups: int | None, seed: int
) -> dict[str, Any]:
    """{"rows", "series"} of workloads, each at this rate for a second, five times. Raises Refused."""
    rows: list[Row] = []
    with Cable(seed, LISTENED if groups is None else groups) as cable:
        for n, name in enumerate(workloads):
            progress(f"on the wire: {name} at {rate:,} frames/s", n / len(workloads))
            rows += _rows(
                name, rate, cable.groups, [cable.trial("listener", name, rate, _SECONDS) for _ in range(_TRIALS)]
            )
    return {"rows": rows, "series": {}}


def _rows(name: str, rate: int, groups: int, trials: list[Trial]) -> list[Row]:
    what = f"{rate:,} frames/s offered, {groups:,} groups"
    why_not = next((trial.why_not for trial in trials if trial.why_not), None)
    held = float(np.median([trial.held for trial in trials]))
    lost = np.array([100 * trial.dropped / max(1, trial.seen) for trial in trials])
    cpu_ns = np.array([trial.ns_a_packet for trial in trials])
    context = {"generator_held_frames_per_s": held}
    return [
        row(f"{name}: lost", what, lost, "%", context, why_not),
        row(f"{name}: CPU time a packet", what, cpu_ns, "ns", context, why_not),
    ]
