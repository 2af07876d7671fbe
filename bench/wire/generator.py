"""A worker that floods: python -m fastmld_bench.wire.generator CORE SENDER, SENDER being "bpf" or "sendmmsg".

It also watches what comes back, because its end of the cable is the far end for whoever answers.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from fastmld_bench.wire import floods
from fastmld_bench.wire.bpf import BpfRefused, LiveFrames, Sent
from fastmld_bench.wire.far_end import FarEnd
from fastmld_bench.wire.worker import begin, serve

from fastmld._native import ffi, lib, pin

_MOST_LATE_S: Final = 0.005  # a turn of the scheduler
_MOST_AT_ONCE: Final = 256
_SLEEP_S: Final = 0.001  # longer pauses are slept through
_SCHEDULER_CLOCK: Final = 2  # CPUCLOCK_SCHED of linux/posix-timers.h: a process's CPU time, by its id


class Sendmmsg:
    """Sends frames in turn on a packet socket. frames: (N, length) uint8."""

    name = "sendmmsg"

    def __init__(self, interface: str, frames: npt.NDArray[np.uint8]) -> None:
        n, length = frames.shape
        self._n, self._at = n, 0
        self._octets = np.ascontiguousarray(frames)
        self._offsets, self._lengths = np.arange(n) * length, np.full(n, length, np.uint32)
        self._error = ffi.new("int *")
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.bind((interface, 0))

    def flood(self, rate: float, seconds: float, most_late_s: float, look: Callable[[], object]) -> Sent:
        """As LiveFrames.flood."""
        look()
        sent, skipped, start_ns, pause_ns = 0, 0.0, time.monotonic_ns(), 0
        last_ns = start_ns
        end_ns = start_ns + round(seconds * 1e9)
        most_late = max(1.0, rate * most_late_s)
        while (now_ns := time.monotonic_ns()) < end_ns:
            due = math.inf if math.isinf(rate) else (now_ns - start_ns) * rate / 1e9 - skipped - sent
            if due < 1:
                pause_s = (1 - due) / rate
                if pause_s > _SLEEP_S:
                    time.sleep(min(pause_s - _SLEEP_S / 2, (end_ns - now_ns) / 1e9))
                continue
            if due > most_late and not math.isinf(rate):
                skipped += due - most_late
                due = most_late
            sent += self._send(int(min(due, _MOST_AT_ONCE)))
            last_ns, pause_ns = now_ns, max(pause_ns, now_ns - last_ns)
        look()
        return Sent(sent, start_ns, end_ns, last_ns, pause_ns)

    def _send(self, n: int) -> int:
        """At most n frames, up to the end of the table; how many the socket took."""
        part = slice(self._at, min(self._at + n, self._n))
        sent = lib.fastmld_send(
            self._socket.fileno(), pin("uint8_t[]", self._octets), pin("int64_t[]", self._offsets[part]),
            pin("uint32_t[]", self._lengths[part]), part.stop - part.start, self._error,
        )  # fmt: skip
        self._at = (self._at + sent) % self._n
        return int(sent)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


_SENDERS: Final = {"bpf": LiveFrames, "sendmmsg": Sendmmsg}


def _look(reader: int) -> tuple[int, int, int]:
    """CPU time of this process and of another, and how long our main thread has waited; ns."""
    reader_clock = ~reader << 3 | _SCHEDULER_CLOCK
    waited = Path(f"/proc/{os.getpid()}/schedstat").read_text().split()[1]
    return time.process_time_ns(), time.clock_gettime_ns(reader_clock) if reader else 0, int(waited)


class Generator:
    """Does what the other side asks for."""

    def __init__(self, sender: str) -> None:
        self._sender = sender
        self._ready: dict[tuple[object, ...], LiveFrames | Sendmmsg] = {}
        self._far: FarEnd | None = None

    def ready(self, interface: str, flood: str, listened: int, seed: int, sender: str | None = None) -> str:
        """Make a sender ready, the same one for the same words; its name."""
        return self._sender_of(interface, flood, listened, seed, sender).name

    def flood(
        self, rate: float, seconds: float, interface: str, flood: str, listened: int, seed: int,
        sender: str | None = None, reader: int = 0,
    ) -> dict[str, Any]:  # fmt: skip
        """Send; what was sent and when. Over just that time: CPU time of this process and of the one whose id is
        reader, and how long this one stood in line for its core."""
        ready = self._sender_of(interface, flood, listened, seed, sender)
        looks: list[tuple[int, int, int]] = []
        sent = ready.flood(rate, seconds, _MOST_LATE_S, lambda: looks.append(_look(reader)))
        names = "generator_ns", "reader_ns", "waited_ns"
        return {**sent._asdict(), **{name: after - before for name, before, after in zip(names, *looks, strict=True)}}

    def watch(self, interface: str) -> None:
        """From now on keep what comes in."""
        self._far = FarEnd(interface)

    def seen(self, path: str) -> int:
        """Write the Reports that came since `watch` to a file (.npy, far_end.REPORT); frames lost to the ring."""
        assert self._far is not None
        np.save(path, self._far.reports())
        lost = self._far.lost
        self._far.close()
        return lost

    def _sender_of(
        self, interface: str, flood: str, listened: int, seed: int, sender: str | None
    ) -> LiveFrames | Sendmmsg:
        key = interface, flood, listened, seed, sender
        if key not in self._ready:
            frames = floods.make(flood, listened, seed)
            try:
                self._ready[key] = _SENDERS[sender or self._sender](interface, frames)
            except BpfRefused:
                self._ready[key] = Sendmmsg(interface, frames)
        return self._ready[key]


if __name__ == "__main__":
    generator = Generator(*begin())
    serve({name: getattr(generator, name) for name in ("ready", "flood", "watch", "seen")})
