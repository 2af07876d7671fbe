"""`make soak`: faults at random times, under traffic, for as long as it is told; and what must hold after each.

soak.py --time SECONDS --seed N [--rate FRAMES] [--events N] [--json FILE]

Two listeners work on cables of their own. The steady one, on two of them, lives through every fault and is watched:
its counters, its memory, its open files. The mortal one is killed and started again. Beside them lives the model. Exits
with status 1 when a promise broke, and says which; the summary is a few lines, and JSON in FILE.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "live")]

import frames  # noqa: E402
from faults import CONFIG, FAULTS, Site  # noqa: E402
from lab import Lab, Listener, arriving, wait_for  # noqa: E402
from traffic import GROUPS, N  # noqa: E402

UNCONTESTED = set(GROUPS[N // 2 :])
LOSS = 0.1  # of the honest querier's Queries, and of the Reports that come back to it
MOST_DRIFT_KIB = 4096
RESTART_MS = 200


class Steady(Listener):
    """`fastmld run` with its counters each second."""

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "fastmld", "run", "--json", "--log-interval", "0", *arguments]


@dataclass
class Record:
    """What happened."""

    faults: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    queries: int = 0
    memory_kib: list[tuple[float, int]] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    restarts_ms: list[float] = field(default_factory=list)
    frames_sent: int = 0
    counters: dict[str, Any] = field(default_factory=dict)
    model_events: int = 0

    def expect(self, holds: object, promise: str) -> None:
        if not holds:
            self.broken.append(promise)
            print(f"broken: {promise}", flush=True)


class Soak:
    def __init__(self, lab: Lab, config: Path, seed: int, rate: int) -> None:
        self.rng = random.Random(seed)
        self.record = Record()
        self.site = Site(lab, self.rng)
        self._rate = rate
        config.write_text(CONFIG)
        self.steady = self.site.listener = Steady(self.site.host, "--config", str(config))
        self._began = time.monotonic()
        self._traffic: dict[str, subprocess.Popen[str]] = {}
        for port, version in (("p0", 1), ("p1", 2), ("p2", 1)):
            self._start_traffic(port, version)
        self._mortal: subprocess.Popen[str] | None = None

    def _start_traffic(self, port: str, version: int) -> None:
        arguments = (port, str(self.rng.randrange(1 << 30)), str(self._rate), str(version))
        self._traffic[port] = self.site.peer.start(sys.executable, str(HERE / "traffic.py"), *arguments)

    def signal_traffic(self, number: int) -> None:
        for process in self._traffic.values():
            process.send_signal(number)

    def run(self, seconds: float) -> None:
        try:
            self._run(seconds)
            self.finish()
        except AssertionError as error:  # of the lab: what was waited for did not come
            self.record.expect(False, str(error))

    def _run(self, seconds: float) -> None:
        end = self._began + seconds
        names = list(FAULTS)
        while time.monotonic() < end:
            self.rng.shuffle(names)
            for number, name in enumerate(names):
                if time.monotonic() > end:
                    break
                time.sleep(self.rng.uniform(0, 0.5))
                self.record.faults[name] += 1
                FAULTS[name](self.site)
                self.check(name)
                if number % 3 == 0:
                    self.record.faults["killed"] += 1
                    self.kill_and_restart()
            self.settle()

    def check(self, fault: str) -> None:
        """The process lives, and an honest Query is answered for every group, through loss, on both its interfaces."""
        self.record.expect(self.steady.process.poll() is None, f"after {fault}: the listener ended")
        for port in ("p0", "p1"):
            missing = self.unanswered(port)
            told = f"after {fault}: {len(missing)} groups were not answered for on {port}: {self.steady.latest()}"
            self.record.expect(not missing, told)

    def unanswered(self, port: str) -> set[bytes]:
        """By an honest Querier of MLDv1 on p0, of MLDv2 on p1; in whatever version the answers are."""
        missing = set(UNCONTESTED)
        query = frames.query(delay_ms=300) if port == "p0" else frames.query2(response_code=300, interval_code=1)
        with self.site.peer.packet_socket(port) as packets:
            end = time.monotonic() + 20
            while missing and time.monotonic() < end:
                self.record.queries += 1
                if self.rng.random() >= LOSS:
                    packets.send(query)
                for frame in arriving(packets, 0.4):
                    named = reported(frame)
                    if named and self.rng.random() >= LOSS:
                        missing.difference_update(named)
                    if not missing:
                        break
        return missing

    def kill_and_restart(self) -> None:
        """First Report within 200 ms after the imports, and every group reported."""
        if self._mortal is not None:
            self._mortal.kill()
            self._mortal.communicate()
        with self.site.peer.packet_socket("p2") as packets:
            command = [sys.executable, str(HERE.parent / "live" / "warm_run.py"), "-i", "v2", "--log-interval", "0"]
            version = self.rng.choice(("1", "auto"))
            self._mortal = self.site.host.start(*command, "--mld-version", version, "--join", f"ff05::1:0+{N}")
            imported = float(self._mortal.stdout.readline())
            first = all_reported(packets)
        self.record.expect(first is not None, "after kill -9: not every group was reported")
        if first is not None:
            self.record.restarts_ms.append(1000 * (first - imported))

    def settle(self) -> None:
        """Without traffic for a moment: the books are right, and memory and files are what they were."""
        self.signal_traffic(signal.SIGSTOP)
        try:
            self.balance()
        finally:
            self.signal_traffic(signal.SIGCONT)

    def balance(self) -> None:
        def balanced() -> bool:
            line = self.steady.latest()
            return all(not unaccounted(interface) for interface in line["interfaces"])

        try:
            wait_for(balanced, 10)
        except AssertionError:
            for interface in self.steady.latest()["interfaces"]:
                self.record.expect(not unaccounted(interface), f"frames not accounted for: {interface}")
        pid = self.steady.process.pid
        status = Path(f"/proc/{pid}/status").read_text()
        resident = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
        self.record.memory_kib.append((time.monotonic() - self._began, resident))
        self.record.files.append(len(list(Path(f"/proc/{pid}/fd").iterdir())))

    def finish(self) -> None:
        record = self.record
        for process in self._traffic.values():
            record.frames_sent += int(process.communicate(timeout=30)[0])
        said = self.steady.stop()
        record.counters = {
            interface["name"]: {
                **{key: value for key, value in interface.items() if isinstance(value, int)},
                "dropped": interface["dropped"], "transmitted": interface["transmitted"], "mode": interface["mode"],
            }
            for interface in said["interfaces"]
        }  # fmt: skip
        record.counters["worst_lateness_ms"] = said["worst_lateness_ms"]
        if self._mortal is not None:
            self._mortal.kill()
            self._mortal.communicate()
        record.expect(len(set(record.files)) == 1, f"open files: {record.files}")
        record.expect(drift_kib(record) <= MOST_DRIFT_KIB, f"memory is not flat: {record.memory_kib}")
        median = statistics.median(record.restarts_ms) if record.restarts_ms else 0
        record.expect(median <= RESTART_MS, f"first Report {median:.0f} ms after the imports")


def reported(frame: bytes) -> list[bytes]:
    """The groups that a frame says somebody listens to, whatever their sources, in either version."""
    if frame[12:14] != b"\x86\xdd" or frame[20:21] != b"\0":
        return []
    if frame[62] == frames.REPORT:
        return [frame[70:86]]
    groups, at = [], 70
    while frame[62] == frames.REPORT2 and at + 20 <= len(frame):
        if frame[at] in (2, 4):  # MODE_IS_EXCLUDE, CHANGE_TO_EXCLUDE_MODE
            groups.append(frame[at + 4 : at + 20])
        at += 20 + 16 * int.from_bytes(frame[at + 2 : at + 4], "big")
    return groups


def all_reported(packets: socket.socket, limit_s: float = 20) -> float | None:
    """Wait until every group was reported; the time of the first. None: they were not."""
    missing, first = set(GROUPS), None
    for frame in arriving(packets, limit_s):
        named = missing.intersection(reported(frame))
        if named:
            first = time.monotonic() if first is None else first
            missing -= named
            if not missing:
                return first
    return None


def unaccounted(interface: dict[str, Any]) -> int:
    """Frames of the books of an interface that do not add up: of the engine's, or of the ring's."""
    engine = interface["frames"] - interface["accepted"] - sum(interface["dropped"].values())
    lost = interface["ring_dropped"] + interface["ring_unread"]
    ring = interface["ring_frames"] - interface["frames"] - interface["other_vlan"] - lost
    return abs(engine) + abs(ring) + interface["bad_blocks"]


def drift_kib(record: Record) -> int:
    """How much more memory in the last third of the samples than in the one after the first: what came to stay."""
    sizes = [size for _, size in record.memory_kib]
    third = len(sizes) // 3
    if not third:
        return 0
    return int(statistics.median(sizes[-third:]) - statistics.median(sizes[third : 2 * third]))


class Model:
    """The model's random lives, as many events as it is told, beside all that: in a process of its own."""

    def __init__(self, events: int, seed: int) -> None:
        environment = os.environ | {"FASTMLD_MODEL_EVENTS": str(events), "FASTMLD_SEED": str(seed)}
        command = [sys.executable, "-c", "import test_model; test_model.test_a_long_life()"]
        self._events = events
        self._process = subprocess.Popen(
            ["nice", *command], cwd=HERE.parent, env=environment, stderr=subprocess.PIPE, text=True
        )

    def finish(self, record: Record) -> None:
        _, errors = self._process.communicate()
        record.expect(self._process.returncode == 0, f"the engine differs from the model: {errors[-1000:]}")
        record.model_events = self._events

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def summary(record: Record, seed: int, seconds: float) -> dict[str, Any]:
    sizes = [size for _, size in record.memory_kib] or [0]
    files = record.files or [0]
    return {
        "seed": seed,
        "seconds": round(seconds),
        "faults": dict(sorted(record.faults.items())),
        "faults_in_all": record.faults.total(),
        "frames_sent": record.frames_sent,
        "honest_queries": record.queries,
        "counters": record.counters,
        "memory_kib": {
            "first": sizes[0], "most": max(sizes), "last": sizes[-1], "drift": drift_kib(record), "samples": len(sizes),
        },
        "files": {"least": min(files), "most": max(files)},
        "restart_ms": {
            "n": len(record.restarts_ms),
            "median": round(statistics.median(record.restarts_ms)) if record.restarts_ms else None,
            "most": round(max(record.restarts_ms)) if record.restarts_ms else None,
        },
        "model_events": record.model_events,
        "broken": record.broken,
    }  # fmt: skip


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--time", type=float, default=600, metavar="SECONDS")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--rate", type=int, default=500, metavar="FRAMES", help="a second, on each of three links")
    options.add_argument("--events", type=int, default=None, help="of the model; ten million in ten minutes otherwise")
    options.add_argument("--json", type=Path, default=Path("soak.json"), metavar="FILE")
    given = options.parse_args()
    began = time.monotonic()
    events = round(given.time / 600 * 10_000_000) if given.events is None else given.events
    model = Model(events, given.seed) if events else None
    try:
        with Lab() as lab, TemporaryDirectory() as directory:
            lab.namespace()
            soak = Soak(lab, Path(directory) / "soak.toml", given.seed, given.rate)
            soak.run(given.time)
        if model is not None:
            model.finish(soak.record)
    finally:
        if model is not None:
            model.end()
    told = summary(soak.record, given.seed, time.monotonic() - began)
    given.json.write_text(json.dumps(told, indent=1) + "\n")
    memory, restart = told["memory_kib"], told["restart_ms"]
    print(f"faults      {told['faults_in_all']:,} in {told['seconds']:,} s, seed {told['seed']}: {told['faults']}")
    print(f"frames      {told['frames_sent']:,} sent by strangers, {told['honest_queries']:,} honest Queries")
    print(f"memory      {memory['first']:,} KiB first, {memory['last']:,} last, drift {memory['drift']:,}")
    print(f"files       {told['files']['least']} to {told['files']['most']} open")
    print(f"restart     {restart['n']} times, first Report after {restart['median']} ms, at most {restart['most']}")
    print(f"model       {told['model_events']:,} events, the same")
    print(f"promises    {len(told['broken'])} broken; {given.json}")
    return 1 if told["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
