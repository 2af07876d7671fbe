"""A generator's port g0 and a listener's v0 with a cable between them, and one trial on it.

Both are in namespaces of their own, which go when this is closed, and IPv6 is off at both: nobody else says anything.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
from fastmld_bench.wire.far_end import Flooded, Heard
from fastmld_bench.wire.floods import FLOODS
from fastmld_bench.wire.namespace import AS_ROOT, IN_OWN_USER_NAMESPACE, Lab, Namespace, Refused
from fastmld_bench.wire.worker import Worker, WorkerEnded

LISTENED: Final = 10_000
RING: Final = {"blocks": 256, "block_size": 16 << 10, "retire_ms": 2}  # PacketRing's own
_HOLDS: Final = 0.99  # of its rate, or the generator did not hold it
_SETTLED_S: Final = 0.02  # until a block is retired, and read


class Trial(NamedTuple):
    """One flood. Rates in frames a second, offered may be inf; seen: by the ring, what it dropped included.

    reader_ns, generator_ns: CPU time while it lasted. waited_ns: how long others had the generator's core.
    """

    offered: float
    held: float
    sent: int
    seen: int
    dropped: int
    reader_ns: int
    generator_ns: int
    waited_ns: int
    flood: Flooded
    counters: dict[str, int]

    @property
    def why_not(self) -> str | None:
        """Why this trial counts for nothing; None: it does."""
        if self.sent != self.seen:
            return f"the generator says {self.sent:,} frames and the ring {self.seen:,}"
        if not math.isinf(self.offered) and self.held < _HOLDS * self.offered:
            waited = self.waited_ns / max(1, self.flood.end_ns - self.flood.start_ns)
            return (
                f"the generator held {self.held:,.0f} of {self.offered:,.0f} a second, "
                f"and stood in line for its core {waited:.0%} of the time"
            )
        return None

    @property
    def lossless(self) -> bool:
        """Whether the ring took all."""
        return self.dropped == 0

    @property
    def ns_a_packet(self) -> float:
        """CPU time of the reader's process, user and system."""
        return self.reader_ns / max(1, self.seen - self.dropped)


class Cable:
    """Workers at both ends: `generator`, and the readers "walker" and "listener".

    sender: "bpf", which falls back to the other, or "sendmmsg"; the attribute says which it was. Raises Refused.
    """

    def __init__(self, seed: int, groups: int = LISTENED, ring: dict[str, int] = RING, sender: str = "bpf") -> None:
        self.seed, self.groups, self.ring = seed, groups, ring
        self.thrown_out: list[str] = []
        self._files = tempfile.TemporaryDirectory()
        cores = sorted(os.sched_getaffinity(0))
        self.generator_core, self.reader_core = cores[0], cores[-1]
        self.lab = _lab()
        try:
            self.host, self.peer = self.lab.first, self.lab.namespace()
            lay(self.lab, self.peer, "g0", self.host, "v0", ipv6=False)
            self.generator = Worker(self.peer, self.generator_core, "generator", sender)
            self._readers = {name: Worker(self.host, self.reader_core, name, "v0") for name in ("walker", "listener")}
            self.sender: str = self.generator.ask("ready", **self._flood("queries"))
            self._open("walker")
            self._readers["walker"].ask("close")
        except (Refused, WorkerEnded) as error:
            self.close()
            raise Refused(str(error)) from None
        except BaseException:
            self.close()
            raise

    def trial(self, reader: str, flood: str, rate: float, seconds: float) -> Trial:
        """Flood a reader; thrown out where it counts for nothing, that is, listed in thrown_out as well.

        flood: of FLOODS, ValueError if it is none of them. rate: frames a second, inf for as fast as they go.
        """
        if flood not in FLOODS:
            raise ValueError(f"{flood} is no flood; these are: {', '.join(FLOODS)}")
        self._open(reader)
        trial = self._trial(reader, flood, rate, seconds)
        self._readers[reader].ask("close")
        return trial

    def answered(
        self, flood: str, rate: float, seconds: float, delay_ms: int, mld_version: int | str = 1
    ) -> tuple[Trial, Heard, Heard]:
        """Flood the listener, and wait until all delays are over: with what was heard at the far end, and for when the
        listener meant it."""
        heard, meant = (str(Path(self._files.name) / name) for name in ("heard.npy", "meant.npy"))
        self._open("listener", noting=True, mld_version=mld_version)
        self._readers["listener"].ask("meant", path=meant)
        before = len(np.load(meant))
        self.generator.ask("watch", interface="g0")
        trial = self._trial("listener", flood, rate, seconds, delay_ms)
        windows = (
            1 if mld_version == 1 else 2
        )  # in MLDv2 what is asked for during an answer may follow it by a whole one
        time.sleep((windows * delay_ms + 100) / 1000)
        lost = self.generator.ask("seen", path=heard)
        self._readers["listener"].ask("meant", path=meant)
        self._readers["listener"].ask("close")
        if lost:
            raise WorkerEnded(f"the far end missed {lost} frames")
        return trial, np.load(heard), np.load(meant)[before:]

    def send(self, flood: str, rate: float, seconds: float, **more: Any) -> dict[str, int]:
        """Flood, whoever listens; see Generator.flood."""
        what = {"rate": rate, "seconds": seconds, **self._flood(flood), **more}
        return dict(self.generator.ask("flood", 30 + seconds, **what))

    def close(self) -> None:
        """Take everything down."""
        self.lab.close()
        self._files.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, reader: str, **more: Any) -> None:
        if reader == "listener":
            more = {"groups": self.groups, "seed": self.seed, "noting": False, "mld_version": 1, **more}
        self._readers[reader].ask("open", ring=self.ring, **more)

    def _trial(self, reader: str, flood: str, rate: float, seconds: float, delay_ms: int = 0) -> Trial:
        before = self._readers[reader].ask("mark")
        sent = self.send(flood, rate, seconds, reader=self._readers[reader].pid)
        time.sleep(_SETTLED_S)
        after = self._readers[reader].ask("mark")
        more = {name: after[name] - before[name] for name in after}
        flooded = flooded_by(sent, delay_ms)
        trial = Trial(
            rate, sent["frames"] / seconds, sent["frames"], more["ring_frames"], more["ring_dropped"],
            sent["reader_ns"], sent["generator_ns"], sent["waited_ns"], flooded, more,
        )  # fmt: skip
        if trial.why_not:
            self.thrown_out.append(f"{reader}, {flood}: {trial.why_not}")
        return trial

    def _flood(self, flood: str) -> dict[str, Any]:
        return {"interface": "g0", "flood": flood, "listened": self.groups, "seed": self.seed}


def flooded_by(sent: dict[str, int], delay_ms: int) -> Flooded:
    """What Cable.send says, of Queries of one delay."""
    return Flooded(**{name: sent[name] for name in Flooded._fields if name != "delay_ms"}, delay_ms=delay_ms)


def _lab() -> Lab:
    """As root without a user namespace, if that is allowed."""
    refused: Refused | None = None
    for unshare in ([AS_ROOT] if os.geteuid() == 0 else []) + [IN_OWN_USER_NAMESPACE]:
        lab = Lab(unshare)
        try:
            lab.namespace()
            return lab
        except Refused as error:
            lab.close()
            refused = error
    assert refused is not None
    raise refused


def lay(lab: Lab, left: Namespace, name: str, right: Namespace, peer: str, ipv6: bool) -> None:
    """A cable from a generator's port to another, both up; the latter keeps the kernel's IPv6 if ipv6."""
    lab.lay(left, name, right, peer)
    left.sysctl(f"ipv6.conf.{name}.disable_ipv6", 1)
    if ipv6:
        right.sysctl(f"ipv6.conf.{peer}.accept_dad", 0)
    else:
        right.sysctl(f"ipv6.conf.{peer}.disable_ipv6", 1)
    right.run(sys.executable, "-m", "fastmld_bench.wire.gro", peer)
    left.ip(f"link set {name} up")
    right.ip(f"link set {peer} up")
