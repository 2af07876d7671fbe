"""The only loop, and the only reader of the clock: it carries frames between links and an engine.

A pass is: what the kernel says of the interfaces, timers, what came in, what goes out. Between passes the
loop sleeps until a descriptor is ready or a deadline is there.
"""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from fastmld.addresses import Address, Addresses
from fastmld.batch import FrameBatch
from fastmld.constants import MINIMUM_MTU
from fastmld.engine import Engine
from fastmld.links import MAX_WAITING, Link, LinkRefused, NoSuchInterface

if TYPE_CHECKING:
    from fastmld.links.netlink import InterfaceState, Netlink

# Frames sent in one pass: what arrives meanwhile must fit into a ring.
_CHUNK: Final = 8192
# After a pass that received frames the next waits for so long: a pass costs a part of a millisecond however few it
# finds, and no time is finer than a millisecond anyway. So a flood is carried hundreds of frames at a time.
PACE_S: Final = 0.001
_LAST_WORDS_MS: Final = 5000


def monotonic_ms() -> int:
    """The clock."""
    return time.monotonic_ns() // 1_000_000


@dataclass
class _Port:
    """An interface of this machine that was taken over, and how the kernel last described it."""

    name: str
    interface: int
    address_too: bool  # whether it has the kernel's link-local address, or one of its own
    ring: dict[str, int]
    state: InterfaceState


class Runtime:
    """Runs one engine. One thread at a time; `stop` and `wake` may be called from others, and on signals.

    clock: whole milliseconds that never go back. Whoever uses the engine directly does so at `now_ms()`, and
    calls `wake` afterwards.
    """

    def __init__(self, engine: Engine | None = None, *, clock: Callable[[], int] = monotonic_ms) -> None:
        self.engine = Engine() if engine is None else engine
        self.now_ms = clock
        self.worst_lateness_ms = 0  # how long after it was due a frame was handed to its link
        self.ended: list[str] = []  # names of interfaces that were deleted, and have not come back
        self._links: dict[int, Link] = {}
        self._max_waiting: dict[int, int] = {}
        self._past: dict[int, Counter[str]] = {}  # by our index: what links that an interface had before counted
        self._ports: dict[int, _Port] = {}  # by the kernel's index
        self._gone: dict[str, _Port] = {}
        self._netlink: Netlink | None = None
        self._more = False
        self._stopping = False
        self._received = False  # frames, in the last pass
        # What is rare has an epoll of its own, inside the other: to ask that whether anything happened asks no ring.
        self._epoll, self._rare = select.epoll(), select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._rare.register(self._bell, select.EPOLLIN)
        self._epoll.register(self._rare.fileno(), select.EPOLLIN)

    # Interfaces

    @property
    def interfaces(self) -> list[int]:
        """The indices of the interfaces that have a link, in the order in which they came."""
        return list(self._links)

    def open(
        self,
        name: str,
        *,
        link_local: Address | None = None,
        ring: dict[str, int] | None = None,
        max_waiting: int = MAX_WAITING,
        **settings: Any,
    ) -> int:
        """Take over an interface of this machine; its index in the engine.

        MTU, link state, MAC and link-local address are followed by rtnetlink. An interface that is deleted falls
        silent, and one that is made again under its name takes its place, groups and all.

        link_local: this one instead of the kernel's. ring: geometry, see PacketRing. max_waiting: frames that are kept
        while the socket takes none; what is more waits in the engine. settings: of Engine.add_interface. Raises
        NoSuchInterface, and LinkRefused where the environment refuses (CAP_NET_RAW, pyroute2), and what add_interface
        raises: then nothing changed.
        """
        from fastmld.links.netlink import ETHERNET, LOOPBACK, Netlink
        from fastmld.links.packet_ring import PacketRing

        if self._netlink is None:
            self._netlink = Netlink()
            self._rare.register(self._netlink.fileno(), select.EPOLLIN)
        self._follow(self.now_ms())
        state = self._netlink.find(name)
        if state is None:
            raise NoSuchInterface(f"there is no interface {name}")
        if state.hardware not in (ETHERNET, LOOPBACK):
            raise LinkRefused(f"{name} is no Ethernet interface")
        link = PacketRing(name, **(ring or {}), max_waiting=max_waiting)
        try:
            interface = self.engine.add_interface(
                name,
                mac=state.mac,
                link_local=state.link_local if link_local is None else link_local,
                mtu=state.mtu,
                kind="loopback" if state.hardware == LOOPBACK else "ethernet",
                **settings,
            )
        except BaseException:
            link.close()
            raise
        self.attach(interface, link, max_waiting)
        self._ports[state.index] = _Port(name, interface, link_local is None, ring or {}, state)
        self.engine.set_carrier(interface, state.running, self.now_ms())
        return interface

    def attach(self, interface: int, link: Link, max_waiting: int = MAX_WAITING) -> None:
        """Give an interface of the engine its link. max_waiting: frames that it may be given before it has room."""
        link.interface = interface
        descriptor = link.fileno()
        if descriptor is not None:
            self._epoll.register(descriptor, select.EPOLLIN)
        self._links[interface] = link
        self._max_waiting[interface] = max_waiting

    def link_state(self, interface: int) -> str:
        """ "running", or why nothing is said there: "gone", "down", "no carrier", "MTU too small" for IPv6.

        What was not opened by `open` is "running".
        """
        if any(port.interface == interface for port in self._gone.values()):
            return "gone"
        for port in self._ports.values():
            if port.interface == interface and not port.state.running:
                return "no carrier" if port.state.up else "down"
            if port.interface == interface and port.state.mtu < MINIMUM_MTU:
                return "MTU too small"
        return "running"

    def _detach(self, interface: int) -> None:
        link = self._links.pop(interface)
        link.discard()
        descriptor = link.fileno()
        if descriptor is not None:
            # Closing may not be enough: a ring that is still mapped keeps its socket.
            self._epoll.unregister(descriptor)
        link.close()
        self._past.setdefault(interface, Counter()).update(link.counters())

    def counters(self, interface: int) -> dict[str, int]:
        """The engine's and the link's counters of an interface in one; worst_lateness_ms is of all interfaces."""
        counted = Counter(self._past.get(interface, {}))
        if interface in self._links:
            counted.update(self._links[interface].counters())
        return {**self.engine.counters(interface), **counted, "worst_lateness_ms": self.worst_lateness_ms}

    # Memberships

    def join(self, interface: int, groups: Addresses, delay_ms: int = 0) -> None:
        """Engine.join, now."""
        self.engine.join(interface, groups, self.now_ms(), delay_ms)
        self.wake()

    def leave(self, interface: int, groups: Addresses) -> None:
        """Engine.leave, now."""
        self.engine.leave(interface, groups, self.now_ms())
        self.wake()

    def listen(
        self,
        interface: int,
        group: Addresses,
        mode: str,
        sources: Iterable[Address] | npt.NDArray[np.uint8] = (),
        *,
        listener: str = "0",
    ) -> None:
        """Engine.listen, now."""
        self.engine.listen(interface, group, mode, sources, listener=listener, now_ms=self.now_ms())
        self.wake()

    # The loop

    def run(
        self,
        duration_ms: int | None = None,
        *,
        every_ms: int = 1000,
        report: Callable[[], object] | None = None,
    ) -> None:
        """Work until `stop`, for duration_ms, or until the last interface was deleted; then end all listeners:
        what was said is taken back (Done, State-Change Report).

        report: called every every_ms.
        """
        for timeout_ms in self._passes(duration_ms, every_ms, report):
            if self._received:
                time.sleep(PACE_S)
            else:
                self._epoll.poll(None if timeout_ms is None else timeout_ms / 1000)

    async def serve(
        self,
        duration_ms: int | None = None,
        *,
        every_ms: int = 1000,
        report: Callable[[], object] | None = None,
    ) -> None:
        """As run, in an asyncio loop."""
        loop, ready, descriptor = asyncio.get_running_loop(), asyncio.Event(), self._epoll.fileno()
        loop.add_reader(descriptor, ready.set)
        try:
            for timeout_ms in self._passes(duration_ms, every_ms, report):
                if self._received:
                    await asyncio.sleep(PACE_S)
                    continue
                ready.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(ready.wait(), None if timeout_ms is None else timeout_ms / 1000)
        finally:
            loop.remove_reader(descriptor)

    def fileno(self) -> int:
        """A descriptor that is readable when `work` has something to do: for a loop of the caller's own."""
        return self._epoll.fileno()

    def stop(self) -> None:
        """Have run or serve leave all groups and end."""
        self._stopping = True
        self.wake()

    def wake(self) -> None:
        """Have the loop look at the engine again."""
        os.eventfd_write(self._bell, 1)

    def work(self, now_ms: int) -> None:
        """One pass, without waiting. now_ms: of the clock."""
        for descriptor, _ in self._rare.poll(0):
            if descriptor == self._bell:
                os.eventfd_read(self._bell)
            else:
                self._follow(now_ms)
        self.engine.advance(now_ms)
        self._received = False
        for link in self._links.values():
            frames = link.receive(now_ms)
            if frames is not None:
                self._received = True
                try:
                    self.engine.receive(frames, now_ms)
                finally:
                    link.release()
        self._send(now_ms)

    def next_ms(self, now_ms: int) -> int | None:
        """When `work` has something to do that no descriptor tells, after a pass at now_ms; None: never."""
        if self._more:
            return now_ms
        times = [time_ms for link in self._links.values() if (time_ms := link.next_ms()) is not None]
        deadline_ms = self.engine.next_deadline_ms()
        if deadline_ms is not None:
            # What is due and waits for a full link is no reason to spin.
            times.append(deadline_ms if self._room() else max(deadline_ms, now_ms + 1))
        return min(times, default=None)

    def close(self) -> None:
        """Let go of links and descriptors. Nothing is sent."""
        for interface in self.interfaces:
            self._detach(interface)
        self._ports.clear()
        self._gone.clear()
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None
        if not self._epoll.closed:
            self._epoll.close()
            self._rare.close()
            os.close(self._bell)

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _passes(
        self, duration_ms: int | None, every_ms: int, report: Callable[[], object] | None
    ) -> Iterator[int | None]:
        """Pass after pass; between them, the milliseconds to wait at most, None for ever; 0 after one that received."""
        now_ms = self.now_ms()
        end_ms = None if duration_ms is None else now_ms + duration_ms
        report_ms = None if report is None else now_ms + every_ms
        while not self._stopping and (end_ms is None or now_ms < end_ms):
            self.work(now_ms)
            if report is not None and report_ms is not None and now_ms >= report_ms:
                report()
                report_ms += every_ms * ((now_ms - report_ms) // every_ms + 1)
            yield self._timeout_ms(now_ms, end_ms, report_ms)
            now_ms = self.now_ms()

        self._leave_all(now_ms)
        end_ms = now_ms + _LAST_WORDS_MS
        while now_ms < end_ms:
            self.work(now_ms)
            if not self._more and not any(link.waiting for link in self._links.values()):
                return
            yield self._timeout_ms(now_ms, end_ms)
            now_ms = self.now_ms()

    def _timeout_ms(self, now_ms: int, *others_ms: int | None) -> int | None:
        if self._received:
            return 0
        times = [time_ms for time_ms in (self.next_ms(now_ms), *others_ms) if time_ms is not None]
        return max(0, min(times) - self.now_ms()) if times else None

    def _room(self) -> int:
        """Frames that every link has room for, of a chunk: whose they are is known only after transmit."""
        room = _CHUNK
        for interface, link in self._links.items():
            room = min(room, self._max_waiting[interface] - link.waiting)
        return room

    def _send(self, now_ms: int) -> None:
        for link in self._links.values():
            link.flush(now_ms)
        self._more = False
        limit = self._room()
        if not limit:
            return
        frames = self.engine.transmit(limit)
        if not len(frames):
            return
        self._more = len(frames) == limit
        if frames.times_ms is not None:  # in order
            self.worst_lateness_ms = max(self.worst_lateness_ms, now_ms - int(frames.times_ms[0]))
        for interface, some in _by_interface(frames):
            if interface in self._links:
                self._links[interface].send(some, now_ms)

    def _leave_all(self, now_ms: int) -> None:
        for interface in self._links:
            self.engine.leave_all(interface, now_ms)

    def _follow(self, now_ms: int) -> None:
        if self._netlink is None:
            return
        for state in self._netlink.read():
            port = self._ports.get(state.index) or self._come_back(state)
            if port is not None:
                self._apply(port, state, now_ms)
        if self._gone and not self._links:
            self.stop()

    def _come_back(self, state: InterfaceState) -> _Port | None:
        """An interface that bears the name of one that was deleted takes its place."""
        from fastmld.links.packet_ring import PacketRing

        port = self._gone.get(state.name)
        if port is None or state.gone or state.hardware != port.state.hardware:
            return None
        try:
            link = PacketRing(port.name, **port.ring, max_waiting=self._max_waiting[port.interface])
        except (NoSuchInterface, LinkRefused):  # it is gone again: what rtnetlink says next will tell
            return None
        del self._gone[port.name]
        self.ended.remove(port.name)
        self._ports[state.index] = port
        self.attach(port.interface, link, self._max_waiting[port.interface])
        return port

    def _apply(self, port: _Port, state: InterfaceState, now_ms: int) -> None:
        interface, mac = port.interface, port.state.mac
        port.state = state
        if state.gone:
            self.ended.append(port.name)
            self._gone[port.name] = self._ports.pop(state.index)
            self._detach(interface)
            self.engine.set_carrier(interface, False, now_ms)
            return
        if not state.running:
            self._links[interface].discard()
        if state.mac != mac:
            self.engine.set_mac(interface, state.mac, now_ms)
        self.engine.set_mtu(interface, state.mtu, now_ms)
        if port.address_too:
            self.engine.set_link_local(interface, state.link_local, now_ms)
        self.engine.set_carrier(interface, state.running, now_ms)


def simulate(runtimes: Iterable[Runtime], start_ms: int, end_ms: int) -> None:
    """Run several on one virtual time, from start_ms to end_ms, both included: engines on memory links."""
    runtimes = list(runtimes)
    now_ms: int | None = start_ms
    while now_ms is not None and now_ms <= end_ms:
        for runtime in runtimes:
            runtime.work(now_ms)
        times = [time_ms for each in runtimes if (time_ms := each.next_ms(now_ms)) is not None]
        now_ms = max(now_ms, min(times)) if times else None


def _by_interface(frames: FrameBatch) -> Iterator[tuple[int, FrameBatch]]:
    """The frames of each interface, in order."""
    if (sole := frames.sole_interface) is not None:
        yield sole, frames
        return
    interfaces = frames.interfaces
    if (interfaces == interfaces[0]).all():
        yield int(interfaces[0]), frames
        return
    for interface in np.unique(interfaces).tolist():
        some = np.flatnonzero(interfaces == interface)
        times_ms = None if frames.times_ms is None else frames.times_ms[some]
        yield (
            interface,
            FrameBatch(frames.buffer, frames.offsets[some], frames.lengths[some], interfaces[some], times_ms),
        )
