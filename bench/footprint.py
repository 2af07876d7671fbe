"""P10 and V4: what a million groups take, in time and memory, each time in a process of its own.

Run as a program it is that process: it prints one JSON object.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any, Final

import numpy as np
from fastmld_bench import workloads, workloads_v2
from fastmld_bench.turns import Effort, Row, row, seconds

from fastmld import STATES, Engine

GROUPS: Final = 1_000_000
_PROCESSES: Final = 4


def joining_a_million(effort: Effort) -> list[Row]:
    """P10a and P10b. Memory is what the process has more than before it joined: resident, freed octets that the
    allocator keeps included."""
    return _joining(effort, "P10", "1")


def joining_a_million_in_mldv2(effort: Effort) -> list[Row]:
    """V4a and V4b: the same of MLDv2, where one answer tells of all groups: while it is under way."""
    return _joining(effort, "V4", "auto")


def _joining(effort: Effort, goal: str, mld_version: str) -> list[Row]:
    measured = [_in_a_process("resident", mld_version) for _ in range(1 if effort.shorter > 1 else _PROCESSES)]
    traced = _in_a_process("traced", mld_version)
    why_not = None if all(each["armed"] == GROUPS for each in measured) else "not all are to be answered for"
    joins_s, octets = (np.array([each[key] for each in measured]) for key in ("join_s", "octets"))
    peak = np.median([each["peak_octets"] for each in measured]) / GROUPS
    context = {"by_tracemalloc": traced["octets"] / GROUPS, "at_the_highest": float(peak)}
    return [
        row(f"{goal}a", "1 M groups", joins_s, "s", {}),
        row(f"{goal}b", "1 M groups", octets / GROUPS, "octets", context, why_not),
    ]


def _in_a_process(how: str, mld_version: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, how, mld_version], stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _join(n: int, mld_version: str) -> tuple[Engine, float]:
    engine = Engine(seed=1)
    version = 1 if mld_version == "1" else mld_version
    engine.add_interface("lan0", mac="02:00:00:00:00:01", link_local="fe80::1", report_rate=None, mld_version=version)
    groups = workloads.groups(n)
    return engine, seconds(lambda: engine.join(0, groups, now_ms=0))


def _arm_all(engine: Engine) -> None:
    """Say the Reports of joining, and let a General Query of 10 s arm all timers; in MLDv2 mode, begin its answer."""
    now_ms = 0
    _say(engine)
    while (next_ms := engine.next_deadline_ms()) is not None:
        now_ms = max(next_ms, now_ms + 50)
        engine.advance(now_ms)
        _say(engine)
    if engine.status(0).mode == "mldv1":
        engine.receive(workloads.general_repeated(1, 1, 1), now_ms)
        engine.advance(now_ms)
    else:
        engine.receive(workloads_v2.general2(1, code=10_000), now_ms)
        begin_ms = engine.next_deadline_ms()
        assert begin_ms is not None
        engine.advance(begin_ms)
        _say(engine)


def _say(engine: Engine) -> None:
    while len(engine.transmit()):
        pass


def _memory(key: str) -> int:
    """Octets, of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024


def _measure(how: str, mld_version: str) -> dict[str, Any]:
    _arm_all(_join(1_000, mld_version)[0])  # what is loaded at its first use is not the groups'
    gc.collect()
    if how == "traced":
        tracemalloc.start()
    before = _memory("VmRSS:")
    engine, join_s = _join(GROUPS, mld_version)
    _arm_all(engine)
    gc.collect()
    octets = tracemalloc.get_traced_memory()[0] if how == "traced" else _memory("VmRSS:") - before
    return {
        "join_s": join_s,
        "octets": octets,
        "peak_octets": _memory("VmHWM:") - before,
        "armed": _armed(engine),
    }


def _armed(engine: Engine) -> int:
    """How many groups are to be answered for: whose timers run, or all, of which an MLDv2 answer has begun to tell."""
    groups = engine.groups(0)
    if engine.status(0).mode == "mldv1":
        return int((groups["state"] == STATES.index("delaying_listener")).sum())
    return 0 if engine.next_deadline_ms() is None else len(groups)


if __name__ == "__main__":
    print(json.dumps(_measure(*sys.argv[1:])))
