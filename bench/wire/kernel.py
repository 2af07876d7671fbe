"""The Linux kernel's own listener at the end of a second cable, k0: what a Query costs it, and who is answered when.

Its work is done by kernel threads (kworker, for its workqueue "mld", and ksoftirqd), whoever sent the packet. Their CPU
time is what /proc/PID/schedstat says, to the nanosecond, less that of as long a pause before. The CPU time of the whole
machine, by /proc/stat, would have the generator and everybody else in it. What an interrupt does in another process, as
taking the Query in and ending a timer, is in neither: it is in the kernel's favour.
"""

from __future__ import annotations

import sys
import tempfile
import time
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from fastmld_bench import workloads
from fastmld_bench.wire.cable import Cable, flooded_by, lay
from fastmld_bench.wire.far_end import Flooded, Heard
from fastmld_bench.wire.namespace import Refused

_SETTINGS: Final = {  # unsolicited Reports within 10 ms, twice
    "force_mld_version": 1,
    "mldv1_unsolicited_report_interval": 10,
    "mldv2_unsolicited_report_interval": 10,
}
_QUIET_S: Final = 1.0
_BACKLOG_S: Final = 0.2  # for what is still in a queue when a flood ends


class Spent(NamedTuple):
    """CPU time of kernel threads over a flood, that of a pause taken off."""

    flood: Flooded
    threads_ns: int

    @property
    def ns_a_query(self) -> float:
        """Of those sent: more of them than it keeps up with, and they are dropped."""
        return self.threads_ns / max(1, self.flood.frames)


class KernelListener:
    """The kernel has joined the groups of a cable, in a namespace of its own in the cable's lab. Raises Refused."""

    def __init__(self, cable: Cable) -> None:
        if not _threads_ns():
            raise Refused("the kernel's threads do not show in /proc")
        self._cable = cable
        self._namespace = cable.lab.namespace()
        lay(cable.lab, cable.peer, "g1", self._namespace, "k0", ipv6=True)
        for key, value in _SETTINGS.items():
            self._namespace.sysctl(f"ipv6.conf.k0.{key}", value)
        first = str(IPv6Address(workloads.groups(1)[0].tobytes()))
        join = (sys.executable, "-m", "fastmld_bench.wire.join", "k0", first, str(cable.groups))
        joining = self._namespace.start(*join)
        assert joining.stdout is not None and joining.stderr is not None
        if joining.stdout.readline() != "joined\n":
            raise Refused(f"the kernel joins no {cable.groups:,} groups: {joining.stderr.read().strip()}")
        time.sleep(_QUIET_S)

    def speak(self, version: int) -> None:
        """Be a host of MLDv1 only (1), or of both (2): one that has heard no MLDv1 Query, which it would remember."""
        self._namespace.sysctl("ipv6.conf.k0.force_mld_version", 1 if version == 1 else 0)
        self._namespace.ip("link set k0 down")
        self._namespace.ip("link set k0 up")
        time.sleep(_QUIET_S)

    def spend(self, flood: str, rate: float, seconds: float) -> Spent:
        """What a flood costs."""
        before = _threads_ns()
        time.sleep(seconds + _BACKLOG_S)
        pause_ns, before = _since(before), _threads_ns()
        sent = self._flood(flood, rate, seconds, 0)
        time.sleep(_BACKLOG_S)
        return Spent(sent, _since(before) - pause_ns)

    def answered(self, flood: str, rate: float, seconds: float, delay_ms: int) -> tuple[Flooded, Heard]:
        """Flood, and wait until all delays are over: what was heard at the far end."""
        with tempfile.TemporaryDirectory() as files:
            heard = str(Path(files) / "heard.npy")
            self._cable.generator.ask("watch", interface="g1")
            sent = self._flood(flood, rate, seconds, delay_ms)
            time.sleep((delay_ms + 100) / 1000)
            self._cable.generator.ask("seen", path=heard)
            return sent, np.load(heard)

    def _flood(self, flood: str, rate: float, seconds: float, delay_ms: int) -> Flooded:
        # sendmmsg: it sleeps between Queries, and leaves its core to the kernel's threads.
        sent = self._cable.send(flood, rate, seconds, interface="g1", sender="sendmmsg")
        return flooded_by(sent, delay_ms)


def _threads_ns() -> dict[int, int]:
    """By process id, of those threads of the kernel that do the work."""
    found = {}
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                if (process / "comm").read_text().startswith(("kworker/", "ksoftirqd/")):
                    found[int(process.name)] = int((process / "schedstat").read_text().split()[0])
            except OSError:
                continue  # it ended meanwhile
    return found


def _since(before: dict[int, int]) -> int:
    return sum(ns - before.get(pid, 0) for pid, ns in _threads_ns().items())
