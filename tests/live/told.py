"""Listeners that do what they are told, ours and the kernel's, and what they say on the wire, in MLD of either version."""

from __future__ import annotations

import json
import socket
import sys
from collections import Counter
from ipaddress import IPv6Address
from typing import Any

import frames
from lab import HERE, Namespace, arriving
from said_v2 import decode, is_report2

Said = tuple[str, str, tuple[str, ...]]  # a record: type, group, sources; or "Report" or "Done" of MLDv1, and a group


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


def said(packets: socket.socket, mac: bytes, seconds: float) -> list[list[Said]]:
    """What somebody says in these seconds, message by message, of groups that no kernel joins of itself."""
    return [heard for frame in arriving(packets, seconds) if frame[6:12] == mac and (heard := read(frame))]


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


def counted(messages: list[list[Said]]) -> Counter[Said]:
    """How often each record was said, in whatever messages."""
    return Counter(record for message in messages for record in message)
