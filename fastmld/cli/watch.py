"""What there is to see of a runtime at work: what `fastmld run` prints, and the tables draw."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmld import KINDS, NO_DEADLINE, VERDICTS
from fastmld.runtime import Runtime

Snapshot = dict[str, Any]

_OF_THE_LINK = (
    "ring_frames", "ring_dropped", "ring_unread", "other_vlan", "bad_blocks",
    "sent", "send_blocked", "send_dropped", "waiting",
)  # fmt: skip
_OF_THE_VERSIONS = ("v1_query_ignored", "v1_query_ssm", "ssm_in_v1", "ssm_exclude")
_FEW_GROUPS = 200_000  # looking through all deadlines takes some milliseconds; with more, answers would wait for it


class Watch:
    """Takes snapshots. names: of the runtime's interfaces, by index. joined: their groups at the beginning."""

    def __init__(self, runtime: Runtime, names: dict[int, str]) -> None:
        self._runtime, self._names = runtime, names
        self._began_ms = runtime.now_ms()
        self.joined = {index: len(runtime.engine.groups(index)) for index in names}
        self._seen: dict[int, dict[str, Any]] = {}
        self.look()

    def look(self, *, at_the_end: bool = False) -> Snapshot:
        """Counts since the beginning, and how things stand: JSON. An interface that is gone stays as last seen.

        t and v1_until, when MLDv1 ends unless its Querier is heard again, are seconds since the beginning.
        timers_pending is None where there are too many groups to look; at_the_end there is time.
        """
        for index, name in self._names.items():
            if index in self._runtime.interfaces:
                self._seen[index] = self._interface(index, name, at_the_end)
            else:
                self._seen[index]["gone"] = True
        return {
            "t": (self._runtime.now_ms() - self._began_ms) / 1000,
            "worst_lateness_ms": self._runtime.worst_lateness_ms,
            "interfaces": [self._seen[index] for index in self._names],
        }

    def _interface(self, index: int, name: str, at_the_end: bool) -> dict[str, Any]:
        counters, status = self._runtime.counters(index), self._runtime.engine.status(index)
        groups, pending = self.joined[index], None
        if groups <= _FEW_GROUPS or at_the_end:
            rows = self._runtime.engine.groups(index)
            groups, pending = len(rows), int(np.count_nonzero(rows["deadline_ms"] != NO_DEADLINE))
        return {
            "name": name,
            "mode": status.mode,
            "robustness": status.robustness,
            "query_interval_ms": status.query_interval_ms,
            "querier": status.querier,
            "v1_until": None if status.v1_until_ms is None else (status.v1_until_ms - self._began_ms) / 1000,
            "gone": False,
            "groups": groups,
            "timers_pending": pending,
            "frames": counters["frames"],
            "accepted": counters["accepted"],
            "dropped": {reason: counters[reason] for reason in VERDICTS[1:] if counters[reason]},
            "received": {kind: counters[kind] for kind in KINDS if kind},
            "transmitted": {kind: counters[f"sent_{kind}"] for kind in ("report", "done", "report2")},
            "deferred": counters["deferred"],
            **{key: counters[key] for key in _OF_THE_VERSIONS},
            **{key: counters.get(key, 0) for key in _OF_THE_LINK},
        }
