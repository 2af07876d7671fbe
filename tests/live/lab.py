"""Network namespaces for the tests, packet sockets lent from them, and `fastmld` at work in them."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastmld_bench.wire import namespace
from fastmld_bench.wire.namespace import Refused as Refused

HERE = Path(__file__).parent

ITS_OWN_S = 1.5  # within a second of an address of its own Linux says again all that it has joined


def without(reason: str) -> None:
    """Skip, or fail where live tests are required."""
    if os.environ.get("FASTMLD_REQUIRE_LIVE") == "1":
        pytest.fail(f"live tests are required, but {reason}")
    pytest.skip(reason)


class Namespace(namespace.Namespace):
    """One network namespace, and what the tests want of it."""

    def tc(self, arguments: str) -> None:
        """Run tc(8)."""
        self.run("tc", *arguments.split())

    def packet_socket(self, interface: str) -> socket.socket:
        """A packet socket of this namespace, made there and lent to this process."""
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with here, there:
            subprocess.run(
                [*self.enter, sys.executable, str(HERE / "lend_socket.py"), interface, str(there.fileno())],
                pass_fds=[there.fileno()],
                check=True,
                timeout=30,
            )
            _, (descriptor,), *_ = socket.recv_fds(here, 1, 1)
        return socket.socket(fileno=descriptor)

    def link_local(self, interface: str) -> str | None:
        """The usable link-local address of an interface."""
        for link in json.loads(self.ip(f"-j -6 addr show dev {interface} scope link")):
            for address in link.get("addr_info", ()):
                if not address.get("tentative") and not address.get("dadfailed"):
                    return address["local"]
        return None

    def mdb(self, bridge: str) -> set[str]:
        """The groups that a bridge's table lists for its ports."""
        table = json.loads(self.run("bridge", "-j", "-d", "-s", "mdb", "show", "dev", bridge))
        return {entry["grp"] for part in table for entry in part["mdb"]}


class Lab(namespace.Lab):
    """Namespaces that can be joined with veth pairs."""

    kind = Namespace


class Cable(NamedTuple):
    """An engine's port v0 in `host`, and the other end of the cable, p0, in `peer`."""

    host: Namespace
    peer: Namespace


class Listener:
    """`fastmld` at work in a namespace: its counters each 100 ms."""

    def __init__(self, namespace: Namespace, *arguments: str) -> None:
        self.process = namespace.start(*self.command(*arguments))
        self.lines: list[dict[str, Any]] = []
        self._partial = ""
        self.wait_for(lambda line: line is not None)

    @staticmethod
    def command(*arguments: str) -> list[str]:
        """What runs it: see listen.py."""
        return [sys.executable, "-W", "error", str(HERE / "listen.py"), *arguments]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stopped as by a debugger for as long as this lasts."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def latest(self) -> dict[str, Any] | None:
        """What it said last."""
        while select.select([self.process.stdout], [], [], 0)[0]:
            data = self.process.stdout.buffer.raw.read(65536).decode()
            if not data:
                raise AssertionError(f"the listener ended: {self.process.stderr.read()}")
            *whole, self._partial = (self._partial + data).split("\n")
            self.lines += [json.loads(line) for line in whole]
        return self.lines[-1] if self.lines else None

    def wait_for(self, condition: Callable[[Any], object], limit_s: float = 20) -> dict[str, Any]:
        """Wait until what it says meets a condition."""
        return wait_for(lambda: (line := self.latest()) is not None and condition(line) and line, limit_s)

    def stop(self) -> dict[str, Any]:
        """Have it leave its groups and end; what it said last."""
        self.process.terminate()
        said, errors = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, errors
        assert errors == ""
        return json.loads((self._partial + said).strip().split("\n")[-1])


def wait_for(condition: Callable[[], Any], limit_s: float = 20) -> Any:
    """Wait until a condition holds, and return what it gave. The limit only bounds a failure."""
    end = time.monotonic() + limit_s
    while not (met := condition()):
        assert time.monotonic() < end, f"not met within {limit_s} s"
        time.sleep(0.02)
    return met


def arriving(packets: socket.socket, seconds: float) -> Iterator[bytes]:
    """Frames that come in on a packet socket, until so many seconds have passed."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if not select.select([packets], [], [], left)[0]:
            return
        with suppress(OSError):
            frame, (_, _, kind, *_) = packets.recvfrom(65536)
            if kind != socket.PACKET_OUTGOING:
                yield frame


def waiting(packets: socket.socket) -> Iterator[bytes]:
    """Frames that have come in on a packet socket."""
    with suppress(BlockingIOError):
        while True:
            frame, (_, _, kind, *_) = packets.recvfrom(65536, socket.MSG_DONTWAIT)
            if kind != socket.PACKET_OUTGOING:
                yield frame


def hear_all(packets: socket.socket, groups: set[bytes], kind: int = 131, limit_s: float = 20) -> float | None:
    """Wait until a message of this kind was heard for every group; the time of the first. None: they were not."""
    missing, first = set(groups), None
    for frame in arriving(packets, limit_s):
        if frame[12:14] == b"\x86\xdd" and frame[20:21] == b"\0" and frame[62] == kind and frame[70:86] in groups:
            first = time.monotonic() if first is None else first
            missing.discard(frame[70:86])
            if not missing:
                return first
    return None


class Heard(NamedTuple):
    """An MLDv1 message on the wire."""

    mac: bytes
    source: bytes
    kind: int
    group: bytes
    frame: bytes


def heard(packets: socket.socket, seconds: float) -> list[Heard]:
    """The MLDv1 messages of the next seconds about groups under ff05::, which no kernel joins of itself."""
    return [
        Heard(frame[6:12], frame[22:38], frame[62], frame[70:86], frame)
        for frame in arriving(packets, seconds)
        if frame[12:14] == b"\x86\xdd" and frame[20:21] == b"\0" and frame[70:72] == b"\xff\x05"
    ]


def groups_from(first: str, n: int) -> set[str]:
    """n consecutive addresses."""
    return {str(IPv6Address(first) + i) for i in range(n)}
