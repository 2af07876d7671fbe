"""Where the demo plays: a listener at one end of a wire, the far end of it, and somebody who asks."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from ipaddress import IPv6Address
from typing import Final, Protocol

from fastmld import Engine
from fastmld.cli import namespace
from fastmld.cli.config import groups_of
from fastmld.cli.errors import CommandError
from fastmld.cli.far_end import FarEnd
from fastmld.cli.namespace import Refused
from fastmld.cli.watch import Snapshot, Watch
from fastmld.links import Link, LinkRefused
from fastmld.links.memory import Wire
from fastmld.links.packet_ring import PacketRing
from fastmld.runtime import Runtime, monotonic_ms

_LINK_LOCAL: Final = "fe80::fa57:31d"
_MEMORY_PAUSE_MS = 500
_MEMORY_WINDOW_MS = 500  # and half of that once MLDv1 was spoken, see namespace.speak
_STOP_WITHIN_S: Final = 4


class Stage(Protocol):
    """The listener's groups are the far end's. Whoever made a stage closes it."""

    description: str
    far: FarEnd

    def wait(self, at_most_ms: int) -> None:
        """Let the listener work, until there may be something to see."""

    def start_asking(self) -> None:
        """Have General Queries sent from now on."""

    def speak(self, version: int) -> None:
        """Have them sent in MLD of this version from now on; it was 2."""

    def asked(self) -> int | None:
        """The version of a General Query that went out; the far end is told. Only whoever awaits one calls this."""

    def seen(self) -> Snapshot | None:
        """What the listener says of itself; None: nothing yet."""

    def table(self) -> dict[IPv6Address, str] | None:
        """The groups in the querier's own table, and the filter mode of each, "" in MLDv1; None: it has no table."""

    def stop(self) -> None:
        """Have the listener leave its groups and end; `seen` is then its last word."""

    def close(self) -> None:
        """Take everything down."""


class BridgeStage:
    """`fastmld run` on a veth pair, and a Linux bridge that asks. Raises Refused where these cannot be had."""

    description = "a Linux bridge asks over a veth pair, in a network namespace of its own"

    def __init__(self, groups: str) -> None:
        namespace.make_links()
        try:
            # Many blocks: each tick of retire_ms takes one, and so long may this process be busy otherwise.
            link = PacketRing(namespace.FAR_PORT, blocks=64, block_size=64 << 10, retire_ms=4)
        except LinkRefused as error:
            raise Refused(str(error)) from None
        self.far, self._link, self._ring = _far_end(link, groups), link, link.fileno() or -1
        self._queries: namespace.QueryWatch | None = None
        self._seen: Snapshot | None = None
        self._partial = b""
        command = [sys.executable, *sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]]
        options = ["-i", namespace.PORT, "--join", groups, "--link-local", _LINK_LOCAL, "--json"]
        self._listener = subprocess.Popen(
            [*command, "run", *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self._listener.stdout is not None
        self._output = self._listener.stdout.fileno()

    def wait(self, at_most_ms: int) -> None:
        watched = [self._ring, self._output, *([] if self._queries is None else [self._queries.fileno()])]
        if self._output in select.select(watched, [], [], at_most_ms / 1000)[0]:
            octets = os.read(self._output, 1 << 16)
            if not octets:
                self._end()
            self._read(octets)

    def start_asking(self) -> None:
        namespace.start_querier()

    def speak(self, version: int) -> None:
        namespace.speak(version)

    def asked(self) -> int | None:
        if self._queries is None:
            self._queries = namespace.QueryWatch()
        query = self._queries.query()
        if query is None:
            return None
        version, window_ms = query
        self.far.asked(monotonic_ms(), window_ms)
        self._queries.close()
        self._queries = None
        return version

    def seen(self) -> Snapshot | None:
        return self._seen

    def table(self) -> dict[IPv6Address, str] | None:
        return namespace.bridge_table()

    def stop(self) -> None:
        self._listener.terminate()
        try:
            octets, errors = self._listener.communicate(timeout=_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise CommandError(f"the listener did not end within {_STOP_WITHIN_S} s", 1) from None
        self._read(octets)
        if self._listener.returncode:
            raise CommandError(errors.decode().removeprefix("fastmld: "), self._listener.returncode)

    def close(self) -> None:
        if self._listener.poll() is None:
            self._listener.kill()
        self._listener.communicate()
        if self._queries is not None:
            self._queries.close()
        self._link.close()

    def _end(self) -> None:
        """The listener ended by itself: it says why."""
        _, errors = self._listener.communicate(timeout=_STOP_WITHIN_S)
        raise CommandError(errors.decode().removeprefix("fastmld: "), self._listener.returncode or 1)

    def _read(self, octets: bytes) -> None:
        *lines, self._partial = (self._partial + octets).split(b"\n")
        if lines:
            self._seen = json.loads(lines[-1])


class MemoryStage:
    """An engine on a wire in this process; the far end asks. For where there are no namespaces."""

    def __init__(self, groups: str, reason: str) -> None:
        self.description = f"there are no network namespaces here ({reason}), so the wire is one in memory"
        engine, wire = Engine(), Wire()
        lan = engine.add_interface("memory", mac="02:00:00:00:00:01", link_local=_LINK_LOCAL)
        self._runtime = Runtime(engine)
        self._runtime.attach(lan, wire.tap())
        self.far = _far_end(wire.tap(), groups)
        self._runtime.join(lan, groups_of(groups))
        self._watch = Watch(self._runtime, {lan: "memory"})
        self._ask_ms: int | None = None
        self._version, self._window_ms = 2, _MEMORY_WINDOW_MS
        self._last: Snapshot | None = None

    def wait(self, at_most_ms: int) -> None:
        now_ms = monotonic_ms()
        self._runtime.work(now_ms)
        times_ms = (self._runtime.next_ms(now_ms), self.far.link.next_ms(), now_ms + at_most_ms)
        wait_ms = max(0, min(time_ms for time_ms in times_ms if time_ms is not None) - now_ms)
        select.select([self._runtime.fileno()], [], [], wait_ms / 1000)

    def start_asking(self) -> None:
        """The far end asks whenever that is awaited."""

    def speak(self, version: int) -> None:
        self._version = version
        self._window_ms = _MEMORY_WINDOW_MS if version == 1 else _MEMORY_WINDOW_MS // 2

    def asked(self) -> int | None:
        now_ms = monotonic_ms()
        if self._ask_ms is None:
            self._ask_ms = now_ms + _MEMORY_PAUSE_MS
        if now_ms < self._ask_ms:
            return None
        self.far.ask(now_ms, self._window_ms, self._version)
        self._ask_ms = None
        return self._version

    def seen(self) -> Snapshot | None:
        return self._last or self._watch.look()

    def table(self) -> dict[IPv6Address, str] | None:
        return None

    def stop(self) -> None:
        self._runtime.run(0)
        self._last = self._watch.look(at_the_end=True)

    def close(self) -> None:
        self._runtime.close()


def _far_end(link: Link, groups: str) -> FarEnd:
    addresses = groups_of(groups)
    return FarEnd(link, addresses[0].tobytes(), len(addresses))
