"""Listeners that do what they are told, ours and the kernel's, and what they say on the wire, in either version."""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Any, NamedTuple

import frames
from lab import HERE, Namespace, waiting
from said_v2 import decode, is_report2

Said = tuple[str, str, tuple[str, ...]]  # a record: type, group, sources; or "Report" or "Done" of MLDv1, and a group
Heard = dict[str, Counter[Said]]


class Told:
    """steps.py, which is ours, or sockets.py, which is the kernel's, on an interface of a namespace."""

    def __init__(self, namespace: Namespace, script: str, interface: str, **settings: object) -> None:
        self.mac = bytes.fromhex(namespace.mac(interface).replace(":", ""))
        command = [sys.executable, "-W", "error", str(HERE / script), interface]
        self._process = namespace.start(*command, *([json.dumps(settings)] if settings else []))
        self._process.stdout.readline()

    def do(self, *calls: tuple[Any, ...]) -> Any:
        """Calls of RFC 3678, at once: (SOCKET, CALL, GROUP, SOURCE or sources), see steps.py; what it says then."""
        self._process.stdin.write(json.dumps([(*call, "")[:4] for call in calls]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, self._process.stderr.read()
        return json.loads(answer)

    def look(self) -> dict[str, Any]:
        """Ours alone: filters, status, counters."""
        return self.do()

    def kill(self) -> None:
        """It ends, and says nothing."""
        self._process.kill()
        self._process.wait()


class Host(NamedTuple):
    """A listener at one end of a cable, and a packet socket at the other."""

    told: Told
    packets: socket.socket


def hear(hosts: dict[str, Host], wanted: Callable[[Heard], bool], quiet_s: float, limit_s: float) -> Heard:
    """How often each host says each record, until that is as wanted and nothing more came for a while.

    The limit bounds a failure.
    """
    heard: Heard = {who: Counter() for who in hosts}
    latest = time.monotonic()
    end = latest + limit_s
    while True:
        now = time.monotonic()
        if now > latest + quiet_s and (now > end or wanted(heard)):
            return heard
        for who, host in hosts.items():
            for frame in waiting(host.packets):
                if frame[6:12] == host.told.mac and (records := read(frame)):
                    heard[who].update(records)
                    latest = time.monotonic()
        select.select([host.packets for host in hosts.values()], [], [], quiet_s / 10)


def read(frame: bytes) -> list[Said]:
    """What an MLD message says of groups under ff05:: and ff35::."""
    if frame[12:14] != b"\x86\xdd" or frame[20] != 0:
        return []
    if is_report2(frame):
        records = [(kind, group, tuple(sorted(sources))) for kind, group, sources in decode(frame)[0]]
    elif frame[62] in (frames.REPORT, frames.DONE):
        records = [("Report" if frame[62] == frames.REPORT else "Done", str(IPv6Address(frame[70:86])), ())]
    else:
        return []
    return [record for record in records if record[1].startswith(("ff05:", "ff35:"))]
