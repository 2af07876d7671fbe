"""Run in a namespace: a Runtime on its interfaces, of MLDv1 unless told otherwise. Prints one JSON object each 100 ms.

listen.py IFACE[,IFACE...] [GROUP+N|-] [SETTINGS as JSON] [RING as JSON]
"""

import json
import signal
import sys
import time
from ipaddress import IPv6Address

import numpy as np

from fastmld import NO_DEADLINE
from fastmld.runtime import Runtime

names, joined, settings, ring, *_ = [*sys.argv[1:], *["-", "{}", "{}"][len(sys.argv) - 2 :]]


def addresses(text: str) -> np.ndarray:
    """GROUP+N: N consecutive addresses, (N, 16) uint8."""
    first, _, n = text.partition("+")
    start = int(IPv6Address(first))
    octets = b"".join((start + i).to_bytes(16, "big") for i in range(int(n or 1)))
    return np.frombuffer(octets, np.uint8).reshape(-1, 16)


with Runtime() as runtime:
    chosen = {"mld_version": 1, **json.loads(settings)}
    of = {name: runtime.open(name, ring=json.loads(ring), **chosen) for name in names.split(",")}
    signal.signal(signal.SIGTERM, lambda *_: runtime.stop())
    if joined != "-":
        for lan in of.values():
            runtime.join(lan, addresses(joined))
    latest: dict[str, dict[str, int]] = {}

    def report() -> None:
        for name, lan in of.items():
            if lan in runtime.interfaces:
                groups = runtime.engine.groups(lan)
                latest[name] = {
                    **runtime.counters(lan),
                    "groups": len(groups),
                    "timers": int((groups["deadline_ms"] != NO_DEADLINE).sum()),
                    "last_reporter": int(groups["last_reporter"].sum()),
                }
        print(json.dumps({**latest, "ended": runtime.ended, "cpu_s": time.process_time()}), flush=True)

    runtime.run(every_ms=100, report=report)
    report()
