"""Goals P6, P7, P8, the second half of P9 and V6, and what the plots of the wire are drawn from."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
from fastmld_bench.wire import far_end, search
from fastmld_bench.wire.cable import Cable, Trial
from fastmld_bench.wire.far_end import Flooded, Heard
from fastmld_bench.wire.floods import ANSWER_MS
from fastmld_bench.wire.kernel import KernelListener
from fastmld_bench.wire.namespace import Refused
from fastmld_bench.wire.worker import Worker, WorkerEnded

Progress = Callable[[str, float], object]
Row = dict[str, Any]

SEED: Final = 1
_FEWEST: Final = 3  # pairs or floods that a claim stands on
_BOTH_HOLD: Final = 0.7  # of the lower of the two highest rates
_LOWER: Final = 0.9  # of the rate before, where a flood lost a frame or the generator did not hold it
_FLOODS: Final = 5  # P8
_FLOODS_AT_MOST: Final = 10
_LONGEST_PAUSE_NS: Final = 10_000_000  # without a Query
_TO_THE_KERNEL: Final = 50  # Queries a second that it keeps up with
_TOO_MANY: Final = 5000  # Queries a second that it does not
_REPORTS: Final = 65_536  # of one turn of P9
_TOLD: Final = ("groups_heard_in_flood", "groups_heard", "answered_in_time", "longest_wait_ms", "longest_pause_ms")
_BINS_MS: Final = (*(step / 4 for step in range(20)), *range(5, 20), *range(20, 101, 10))


@dataclass(frozen=True)
class _Plan:
    search_s: float = 1.0  # of a trial: the ring hides from short ones what is lost in the long run
    rounds: int = 6
    trial_s: float = 0.6
    pairs: int = 15
    flood_s: float = 3.0
    kernel_pairs: int = 9
    kernel_s: float = 1.0
    sending_pairs: int = 30
    sweep: tuple[float, ...] = (0.25, 0.5, 0.75)  # of what the generator does flat out
    beside: tuple[int, ...] = (2, 20, 200)  # Queries a second
    beside_s: float = 2.0


_QUICK: Final = _Plan(0.5, 3, 0.4, 3, 1.5, 3, 0.5, 8, (0.5,), (200,), 1.0)


def measure(progress: Progress, quick: bool = False) -> dict[str, Any]:
    """All of it, in some three minutes, or in half a one and the worse for it. progress(text, share done).

    A dict that json takes: "rows", "series", "environment". Raises Refused where namespaces or packet sockets are.
    """
    progress("the wire: namespaces and a cable", 0.0)
    with Cable(SEED) as cable:
        measuring = _Measuring(cable, _QUICK if quick else _Plan(), progress)
        return measuring.all()


@dataclass
class _Measuring:
    cable: Cable
    plan: _Plan
    progress: Progress
    rows: list[Row] = field(default_factory=list)
    series: dict[str, list[Any]] = field(
        default_factory=lambda: {"loss_by_offered_rate": [], "lateness_ms_histogram": [], "linux_beside_us": []}
    )
    held: dict[str, float] = field(default_factory=dict)
    kernel: KernelListener | None = None  # that has joined already

    def all(self) -> dict[str, Any]:
        load = os.getloadavg()
        self._attempt("P6", "our CPU time a packet over that of a walk over the ring's blocks", "x", self._cpu)
        self._attempt(
            "P8", "groups answered within delay + 10 ms under floods of Queries, the worst one", "%", self._answers
        )
        self._attempt("P7", "Linux's CPU time a General Query over ours", "x", self._linux)
        self._attempt("V6", "groups answered within delay + 10 ms under MLDv2 General Queries", "%", self._answers2)
        self._attempt("P9b", "Reports built and sent over a bare sendmmsg loop, frames a second", "x", self._sending)
        self.progress("the wire: done", 1.0)
        return {"rows": self.rows, "series": self.series, "environment": self._environment(load)}

    def _environment(self, load: tuple[float, float, float]) -> dict[str, Any]:
        return {
            "kernel": platform.release(),
            "cores": len(os.sched_getaffinity(0)),
            "load_before": load[0],
            "generator": self.cable.sender,
            "groups": self.cable.groups,
            "ring": self.cable.ring,
            "seed": self.cable.seed,
            "thrown_out": len(self.cable.thrown_out),
            "thrown_out_last": self.cable.thrown_out[-3:],
        }

    def _attempt(self, goal: str, what: str, unit: str, work: Callable[[Row], None]) -> None:
        """A row, whatever happens: work fills in what it finds."""
        row: Row = {"id": goal, "what": what, "value": None, "spread": None, "unit": unit, "context": {}}
        try:
            work(row)
        except (_NoFigure, Refused, WorkerEnded, far_end.Mismatch) as error:
            row["why_not"] = str(error)
        row["valid"] = row.setdefault("why_not", None) is None
        self.rows.append(row)

    # P6

    def _cpu(self, row: Row) -> None:
        if self.cable.reader_core == self.cable.generator_core:
            raise _NoFigure("one core: the generator takes the reader's time")
        context = row["context"]
        for place, reader in enumerate(("walker", "listener")):
            self.progress(f"the wire: the highest rate without loss, {reader}", 0.02 + 0.08 * place)
            found = search.highest(self._trials(reader, "queries", self.plan.search_s), self.plan.rounds)
            self.held[reader] = found.rate if found.limit == "reader" else _LOWER * found.rate
            context[f"{reader}_highest_pps"] = found.rate
            context[f"{reader}_limit"] = found.limit
            context[f"{reader}_thrown_out"] = found.thrown_out
            context[f"{reader}_generator_ns_a_frame"] = found.generator_ns_a_frame
            swept = [
                self._trial(reader, "queries", self.plan.trial_s, part * found.flat_out)
                for part in self.plan.sweep
                if found.flat_out
            ]
            trials = sorted(
                (*found.trials, *(trial for trial in swept if not trial.why_not)), key=lambda each: each.held
            )
            self.series["loss_by_offered_rate"] += [_loss(reader, trial) for trial in trials]
        rate = _BOTH_HOLD * min(self.held.values())
        if not rate:
            raise _NoFigure("no rate at which nothing was lost: " + self._last_thrown_out())
        self.progress("the wire: CPU time a packet", 0.2)
        pairs = search.pairs((self._trials("listener"), self._trials("walker")), rate, self.plan.pairs)
        row |= _ratio(_cpu_a_packet(pairs))
        running = search.pairs(
            (self._trials("listener", "queries_of_65s"), self._trials("walker", "queries_of_65s")), rate, _FEWEST
        )
        ours, theirs = ([pair[i] for pair in pairs] for i in (0, 1))
        context |= {
            "offered_pps": rate,
            "listener_ns_a_packet": _median(trial.ns_a_packet for trial in ours),
            "walker_ns_a_packet": _median(trial.ns_a_packet for trial in theirs),
            "ring_frames": sum(trial.seen for trial in ours),
            "ring_dropped": sum(trial.dropped for trial in ours),
            "generator_frames": sum(trial.sent for trial in ours),
            "reports_sent": sum(trial.counters["sent"] for trial in ours),
            "pairs": len(pairs),
            "ratio_while_no_timer_ends": _median(a / b for a, b in _cpu_a_packet(running)) if running else None,
        }

    def _trials(self, reader: str, flood: str = "queries", seconds: float | None = None) -> search.Try:
        return partial(self._trial, reader, flood, seconds or self.plan.trial_s)

    def _trial(self, reader: str, flood: str, seconds: float, rate: float) -> Trial:
        return self.cable.trial(reader, flood, rate, seconds)

    def _last_thrown_out(self) -> str:
        return (self.cable.thrown_out or ["every trial lost some"])[-1]

    # P8

    def _answers(self, row: Row) -> None:
        rate = self.held.get("listener", 0.0)
        if not rate:
            raise _NoFigure("there is no rate at which the listener lost nothing")
        shares, late, waited, held, pauses_ns, lost, attempts = [], [], [], [], [], 0, 0
        while len(shares) < _FLOODS and attempts < _FLOODS_AT_MOST:
            self.progress("the wire: each group is answered for", 0.38 + 0.12 * attempts / _FLOODS_AT_MOST)
            attempts += 1
            trial, heard, meant = self.cable.answered("queries_of_1s", rate, self.plan.flood_s, ANSWER_MS)
            paused = trial.flood.pause_ns > _LONGEST_PAUSE_NS
            if trial.why_not or paused or not trial.lossless:
                lost += not trial.lossless
                self.cable.thrown_out += ["the generator paused in a flood"] if paused else []
                rate *= _LOWER
                continue
            held.append(trial.held)
            pauses_ns.append(trial.flood.pause_ns)
            beside_linux = self._told("fastmld, MLDv1", trial.held, trial.flood, heard)
            shares.append(100 * far_end.in_time(heard, self.cable.groups, trial.flood))
            late.append(far_end.lateness_ms(heard, meant))
            waited.append(far_end.latest_answers_ms(heard, self.cable.groups, trial.flood))
        if not shares:
            raise _NoFigure("no flood counted and lost nothing: " + self._last_thrown_out())
        if len(shares) < _FLOODS:
            row["why_not"] = f"{len(shares)} floods counted and lost nothing: fewer than {_FLOODS}"
        self.series["linux_beside_us"].append(beside_linux)
        lateness, waits = np.concatenate(late), np.concatenate(waited)
        counts, _ = np.histogram(lateness, (*_BINS_MS, math.inf))
        self.series["lateness_ms_histogram"] = [
            {"from_ms": low, "reports": int(n)} for low, n in zip(_BINS_MS, counts, strict=True)
        ]
        row |= {
            "value": min(shares),
            "spread": _quartiles(shares),
            "context": {
                "floods": len(shares),
                "floods_that_lost_a_frame": lost,
                "delay_ms": ANSWER_MS,
                "held_pps": _median(held),
                "longest_pause_ms": max(pauses_ns) / 1e6,
                "reports": len(lateness),
                "lateness_ms": _percentiles(lateness),
                "lateness_p99.9_ms": [_percentiles(each)["p99.9"] for each in late],  # of each flood
                "longest_wait_ms": _percentiles(waits),
            },
        }

    # P7

    def _linux(self, row: Row) -> None:
        rate = _BOTH_HOLD * self.held.get("listener", 0.0)
        if not rate:
            raise _NoFigure("there is no rate at which the listener lost nothing")
        plan, flood = self.plan, "queries_of_65s"
        self.progress("the wire: the kernel joins the same groups", 0.5)
        kernel = self.kernel = KernelListener(self.cable)
        kernel.spend(flood, _TO_THE_KERNEL, 0.1)  # which starts all timers
        pairs, ours_of = [], self._trials("listener", flood)
        for turn in range(2 * plan.kernel_pairs):
            self.progress("the wire: CPU time a Query, Linux and we", 0.54 + 0.16 * min(1, turn / plan.kernel_pairs))
            theirs, ours = kernel.spend(flood, _TO_THE_KERNEL, plan.kernel_s), ours_of(rate)
            if ours.why_not is None and ours.lossless and theirs.flood.frames and theirs.threads_ns > 0:
                pairs.append((theirs.ns_a_query, ours.ns_a_packet))
            if len(pairs) == plan.kernel_pairs:
                break
        row |= _ratio(pairs)
        ns_a_query = _median(pair[0] for pair in pairs)
        too_many = kernel.spend(flood, _TOO_MANY, plan.kernel_s)
        row["context"] = {
            "linux_us_a_query": ns_a_query / 1e3,
            "ours_ns_a_query": _median(pair[1] for pair in pairs),
            "linux_offered_per_s": _TO_THE_KERNEL,
            "ours_offered_per_s": rate,
            "linux_held_per_s": too_many.threads_ns / ns_a_query / plan.kernel_s,
            "linux_held_of_per_s": too_many.flood.frames / plan.kernel_s,
            "linux_cpu": "kernel threads by schedstat, less a pause before",
            "pairs": len(pairs),
        }

    # V6, and Linux beside us

    def _answers2(self, row: Row) -> None:
        """Who is answered for in time, at the same rates; at the highest of them, and in MLDv2, is the row."""
        plan, found = self.plan, self.series["linux_beside_us"]
        kernel = self.kernel or KernelListener(self.cable)
        linux = f"Linux {platform.release()}"
        for place, rate in enumerate(plan.beside):
            self.progress(f"the wire: {rate} Queries a second, Linux and we", 0.7 + 0.2 * place / len(plan.beside))
            for version, flood in ((1, "queries_of_1s"), (2, "queries2_of_1s")):
                kernel.speak(version)
                told = kernel.answered(flood, rate, plan.beside_s, ANSWER_MS)
                found.append(self._told(f"{linux}, MLDv{version}", rate, *told))
                trial, heard, _ = self.cable.answered(
                    flood, rate, plan.beside_s, ANSWER_MS, 1 if version == 1 else "auto"
                )
                found.append(self._told(f"fastmld, MLDv{version}", rate, trial.flood, heard))

        theirs, ours = found[-2:]
        row["value"] = 100 * ours["answered_in_time"]
        row["spread"] = None
        row["context"] = {
            "queries_per_s": ours["queries_per_s"],
            "queries": ours["queries"],
            "groups": ours["groups"],
            "ours": {key: ours[key] for key in _TOLD},
            "linux": {key: theirs[key] for key in _TOLD},
        }

    def _told(self, who: str, rate: float, flood: Flooded, heard: Heard) -> dict[str, Any]:
        groups = self.cable.groups
        known = heard[heard["group"] < groups]
        in_flood = known[(known["ns"] >= flood.start_ns) & (known["ns"] <= flood.end_ns)]
        return {
            "who": who,
            "queries_per_s": rate,
            "queries": flood.frames,
            "longest_pause_ms": flood.pause_ns / 1e6,
            "groups": groups,
            "groups_heard_in_flood": len(np.unique(in_flood["group"])),
            "groups_heard": len(np.unique(known["group"])),
            "reports": len(known),
            "answered_in_time": far_end.in_time(heard, groups, flood),
            "longest_wait_ms": _percentiles(far_end.latest_answers_ms(heard, groups, flood)),
        }

    # P9, the second half

    def _sending(self, row: Row) -> None:
        self.progress("the wire: sending", 0.92)
        worker = Worker(self.cable.host, self.cable.reader_core, "sending", "v0")
        pairs = self.plan.sending_pairs
        said = worker.ask("measure", 120, groups=_REPORTS, seed=self.cable.seed, pairs=pairs)
        row |= _ratio(list(zip(said["bare_s"], said["ours_s"], strict=True)))
        if said["sent"] != _REPORTS * pairs:
            row["why_not"] = f"{said['sent']:,} frames were sent of {_REPORTS * pairs:,}"
        row["context"] = {
            "ours_pps": _REPORTS / _median(said["ours_s"]),
            "bare_pps": _REPORTS / _median(said["bare_s"]),
            "frames_a_turn": _REPORTS,
            "pairs": pairs,
        }


class _NoFigure(Exception):
    """Why there is none."""


def _cpu_a_packet(pairs: Sequence[tuple[Trial, Trial]]) -> list[tuple[float, float]]:
    return [(first.ns_a_packet, second.ns_a_packet) for first, second in pairs]


def _ratio(pairs: Sequence[tuple[float, float]]) -> Row:
    if len(pairs) < _FEWEST:
        raise _NoFigure(f"{len(pairs)} pairs of trials counted and lost nothing: fewer than {_FEWEST}")
    ratios = [first / second for first, second in pairs]
    return {"value": _median(ratios), "spread": _quartiles(ratios)}


def _loss(reader: str, trial: Trial) -> dict[str, Any]:
    return {
        "reader": reader,
        "offered_pps": None if math.isinf(trial.offered) else trial.offered,
        "held_pps": trial.held,
        "sent": trial.sent,
        "dropped": trial.dropped,
        "loss": trial.dropped / max(1, trial.seen),
    }


def _median(values: Any) -> float:
    return float(np.median(list(values)))


def _quartiles(values: Sequence[float]) -> list[float]:
    return [float(value) for value in np.percentile(values, (25, 75))]


def _percentiles(values: Any) -> dict[str, float | None]:
    """None: never."""
    at = {"p50": 50, "p99": 99, "p99.9": 99.9, "max": 100}
    found = np.percentile(values, list(at.values()), method="higher")
    return {name: float(value) if math.isfinite(value) else None for name, value in zip(at, found, strict=True)}
