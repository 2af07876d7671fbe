"""A worker that sends as the engine does, and as a bare sendmmsg loop would, in turn: P9's second half.

python -m fastmld_bench.wire.sending CORE INTERFACE
"""

from __future__ import annotations

import socket
import time
from typing import Final

from cffi import FFI
from fastmld_bench import workloads
from fastmld_bench.wire.worker import begin, serve

from fastmld import Engine, FrameBatch
from fastmld.links.packet_ring import PacketRing

_CHUNK: Final = 8192  # frames that the runtime takes from the engine at once
_AT_ONCE: Final = 128  # frames a system call

_c = FFI()
_c.cdef(
    """
    struct iovec { void *base; size_t length; };
    struct msghdr {
        void *name; unsigned name_length; struct iovec *parts; size_t n_parts; void *control; size_t control_length;
        int flags;
    };
    struct mmsghdr { struct msghdr header; unsigned length; };
    int sendmmsg(int socket, struct mmsghdr *messages, unsigned n, int flags);
    """
)
_libc = _c.dlopen(None)


class Bare:
    """sendmmsg over frames that lie ready, its arguments too: nothing is left to do but the system calls."""

    def __init__(self, interface: str, frames: FrameBatch) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.bind((interface, 0))
        self._octets = _c.from_buffer(frames.buffer)
        self._n = len(frames)
        self._parts = _c.new("struct iovec[]", self._n)
        self._messages = _c.new("struct mmsghdr[]", self._n)
        for i, (offset, length) in enumerate(zip(frames.offsets.tolist(), frames.lengths.tolist(), strict=True)):
            self._parts[i].base, self._parts[i].length = self._octets + offset, length
            self._messages[i].header.parts, self._messages[i].header.n_parts = self._parts + i, 1

    def send(self) -> float:
        """Send all; seconds."""
        descriptor, at = self._socket.fileno(), 0
        start = time.perf_counter()
        while at < self._n:
            at += max(0, _libc.sendmmsg(descriptor, self._messages + at, min(_AT_ONCE, self._n - at), 0))
        return time.perf_counter() - start


class Ours:
    """An engine that owes a Report for each group: transmit and PacketRing.send."""

    def __init__(self, interface: str, groups: int, seed: int) -> None:
        self._link = PacketRing(interface)
        self._engine = Engine(seed)
        self._engine.add_interface(
            interface,
            mac="02:00:00:00:00:01",
            link_local="fe80::1",
            report_rate=None,
            unsolicited_report_repeats=0,
            mld_version=1,
        )
        self._engine.join(0, workloads.groups(groups), now_ms=0)
        self._ask_for_all = workloads.general_immediate(1, groups, seed)
        self.frames = self._engine.transmit(groups)

    def send(self) -> float:
        """Send all; seconds, of which none for hearing the Query."""
        self._engine.receive(self._ask_for_all, 0)
        start = time.perf_counter()
        while len(frames := self._engine.transmit(_CHUNK)):
            self._link.send(frames, 0)
            while self._link.waiting:
                self._link.flush(1 << 40)
        return time.perf_counter() - start

    @property
    def sent(self) -> int:
        """Frames that the socket took."""
        return self._link.counters()["sent"]


def measure(interface: str, groups: int, seed: int, pairs: int) -> dict[str, object]:
    """Seconds of each, pair by pair."""
    ours = Ours(interface, groups, seed)
    bare = Bare(interface, ours.frames)
    ours.send(), bare.send()
    before = ours.sent
    seconds = [(ours.send(), bare.send()) for _ in range(pairs)]
    return {
        "ours_s": [a for a, _ in seconds],
        "bare_s": [b for _, b in seconds],
        "frames": groups,
        "sent": ours.sent - before,
    }


if __name__ == "__main__":
    (interface,) = begin()
    serve({"measure": lambda **what: measure(interface, **what)})
