"""A learning Ethernet switch in userspace, whose own host interface listens to IPv6 multicast through fastmld.

    python examples/softswitch.py v1 v2 --join ff05::1:1+100

The ports are interfaces of this machine (ends of veth pairs, say); they need CAP_NET_RAW, and best have no IPv6 of
their own (`sysctl net.ipv6.conf.v1.disable_ipv6=1`). The host is a port like the others, except that no kernel stands
behind it: what is switched to it goes to `engine.receive` in batches, and what `engine.transmit` gives comes from it.

It is untagged (frames of a VLAN are dropped), floods multicast, and knows no spanning tree: build no loops.
Exit statuses: 0 ended by SIGINT or SIGTERM, 2 wrong arguments, 3 the system refuses.
"""

from __future__ import annotations

import argparse
import errno
import secrets
import selectors
import signal
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import AddressValueError, IPv6Address

import numpy as np
import numpy.typing as npt

import fastmld

Groups = npt.NDArray[np.uint8]  # (N, 16)

AGEING_MS = 300_000  # IEEE 802.1Q's default
MOST_ADDRESSES = 4096  # a stranger can make up addresses without end
MOST_GROUPS = 1_000_000  # of one --join
BURST = 256  # frames from one port, or from the engine, before the next one's turn
LAST_WORDS_MS = 2_000
FULL_S = 0.1  # until a full port is tried again, if it does not say itself that there is room

# linux/if_packet.h and linux/if_ether.h
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 1, 8, 15, 23
PACKET_MR_PROMISC, ETH_P_ALL, TP_STATUS_VLAN_VALID = 1, 3, 1 << 4
LONGEST_FRAME = 1 << 17  # octets: veth hands over what segmentation would have cut

# Each frame carries the kernel's virtio_net_hdr in front from port to port: veth leaves checksums and segmentation to
# be done by the hardware that it is not, and this header says what is left to do. All zero: nothing.
OFFLOADS = 10
NOTHING_LEFT = bytes(OFFLOADS)


class Refused(Exception):
    """One line for the user, and the exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Port:
    """One of this machine's interfaces."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dropped = 0
        self.waiting: deque[bytes] = deque()
        try:
            index = socket.if_nametoindex(name)
        except OSError:
            raise Refused(f"there is no interface {name}", 2) from None
        try:
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError:
            raise Refused(
                "packet sockets need CAP_NET_RAW: run as root, or see setpriv(1), --ambient-caps", 3
            ) from None
        for option in (PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING):
            self.socket.setsockopt(SOL_PACKET, option, 1)
        promiscuous = struct.pack("iHH8x", index, PACKET_MR_PROMISC, 0)
        self.socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, promiscuous)
        self.socket.setblocking(False)
        self.socket.bind((name, ETH_P_ALL))

    def __enter__(self) -> Port:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def take(self) -> Iterator[bytes]:
        """Frames that came in, up to BURST."""
        for _ in range(BURST):
            try:
                frame, ((_, _, auxiliary),), _, _ = self.socket.recvmsg(LONGEST_FRAME, 64)
            except OSError:  # there are no more; or the interface went down, which is told once
                return
            status, *_ = struct.unpack("=I", auxiliary[:4])
            if status & TP_STATUS_VLAN_VALID:
                self.dropped += 1
            else:
                yield frame

    def put(self, frame: bytes) -> None:
        """Send, or drop as a switch does when a port is full or down."""
        try:
            self.socket.send(frame)
        except OSError:
            self.dropped += 1

    def put_or_keep(self, frame: bytes) -> None:
        """Send the host's own: what a full port does not take waits for it."""
        self.waiting.append(frame)
        self.send_waiting()

    def send_waiting(self) -> None:
        """Send what waits, as far as it goes."""
        while self.waiting:
            try:
                self.socket.send(self.waiting[0])
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.ENOBUFS):
                    return
                self.dropped += 1
            self.waiting.popleft()


class Host:
    """The switch's own interface. Frames that go out of this port go up into the engine."""

    def __init__(self, mac: bytes) -> None:
        # The modified EUI-64 of RFC 4291 appendix A makes a link-local address of a MAC address.
        self.mac = mac
        self.link_local = IPv6Address(b"\xfe\x80" + bytes(6) + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:])
        self.engine = fastmld.Engine()
        self.lan = self.engine.add_interface("host", mac=mac, link_local=self.link_local)
        self._incoming: list[bytes] = []

    def put(self, frame: bytes) -> None:
        """Keep what is for the host until `hear`; flooded frames may be for somebody else."""
        destination = frame[OFFLOADS : OFFLOADS + 6]
        if destination == self.mac or destination.startswith(b"\x33\x33"):
            self._incoming.append(frame[OFFLOADS:])

    def hear(self, now_ms: int) -> None:
        """Give the engine what came, as one batch, and the time."""
        if self._incoming:
            self.engine.receive(fastmld.FrameBatch.from_list(self._incoming, self.lan), now_ms)
            self._incoming.clear()
        self.engine.advance(now_ms)

    def take(self) -> list[bytes]:
        """What the engine sends, up to BURST frames."""
        return [NOTHING_LEFT + frame for frame in self.engine.transmit(limit=BURST)]


class Addresses:
    """Which address was last seen behind which port."""

    def __init__(self) -> None:
        self._seen: dict[bytes, tuple[Port, int]] = {}

    def learn(self, mac: bytes, port: Port, now_ms: int) -> None:
        """A frame from an address came in from a port."""
        if mac not in self._seen and len(self._seen) >= MOST_ADDRESSES:
            self._seen = {mac: (at, ms) for mac, (at, ms) in self._seen.items() if now_ms - ms < AGEING_MS}
            if len(self._seen) >= MOST_ADDRESSES:
                return
        self._seen[mac] = port, now_ms

    def port_of(self, mac: bytes, now_ms: int) -> Port | None:
        """Where an address is; None: nobody knows."""
        port, seen_ms = self._seen.get(mac, (None, 0))
        return port if now_ms - seen_ms < AGEING_MS else None


class Switch:
    """Ports, the host, and who is where."""

    def __init__(self, ports: list[Port], host: Host, selector: selectors.BaseSelector) -> None:
        self.ports = ports
        self.host = host
        self._selector = selector
        self._addresses = Addresses()
        self._more = True  # the engine may have frames that it was not asked for yet
        for port in ports:
            selector.register(port.socket, selectors.EVENT_READ, port)

    def work(self) -> None:
        """One pass: sleep until there is something to do; then frames from the ports, then the host's."""
        for key, events in self._selector.select(self._patience_s()):
            if not isinstance(key.data, Port):
                key.data()
                continue
            if events & selectors.EVENT_WRITE:
                key.data.send_waiting()
            for frame in key.data.take():
                self._switch(frame, key.data)
        self.host.hear(now_ms())
        # What transmit gives has left, as far as the engine is concerned: ask only while there is room.
        if not self._full():
            frames = self.host.take()
            self._more = bool(frames)
            for frame in frames:
                for port in self.ports:
                    port.put_or_keep(frame)  # all that the engine sends is multicast
        for port in self.ports:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if port.waiting else 0)
            self._selector.modify(port.socket, events, port)

    def leave(self, joined: Groups) -> None:
        """Have the host leave its groups, and go on until it has said so, within reason."""
        self.host.engine.leave(self.host.lan, joined, now_ms())
        self._more = True
        end_ms = now_ms() + LAST_WORDS_MS
        while (self._more or self._full()) and now_ms() < end_ms:
            self.work()

    def _switch(self, frame: bytes, source_port: Port) -> None:
        destination, source = frame[OFFLOADS : OFFLOADS + 6], frame[OFFLOADS + 6 : OFFLOADS + 12]
        is_reserved = destination[:5] == b"\x01\x80\xc2\0\0" and destination[5] < 16  # IEEE 802.1Q: not to be forwarded
        if is_reserved or source[0] & 1 or source == self.host.mac:
            source_port.dropped += 1
            return
        now = now_ms()
        self._addresses.learn(source, source_port, now)
        known = self._addresses.port_of(destination, now)
        outlets: list[Port | Host] = [*self.ports, self.host] if known is None else [known]
        if destination == self.host.mac:
            outlets = [self.host]
        for outlet in outlets:
            if outlet is not source_port:
                outlet.put(frame)

    def _full(self) -> bool:
        return any(port.waiting for port in self.ports)

    def _patience_s(self) -> float | None:
        if self._full():
            return FULL_S
        if self._more:
            return 0
        deadline_ms = self.host.engine.next_deadline_ms()
        return None if deadline_ms is None else max(0, deadline_ms - now_ms()) / 1000


class Signals(ExitStack):
    """Whether SIGINT or SIGTERM came. A signal makes a socket readable, so that it ends a select that is under way."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        super().__init__()
        self.came = False
        self._bell, rope = (self.enter_context(end) for end in socket.socketpair())
        self._bell.setblocking(False)
        rope.setblocking(False)
        signal.set_wakeup_fd(rope.fileno())
        self.callback(signal.set_wakeup_fd, -1)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)
        selector.register(self._bell, selectors.EVENT_READ, self._ring)

    def _note(self, *_: object) -> None:
        self.came = True

    def _ring(self) -> None:
        self._bell.recv(1)


def now_ms() -> int:
    """The clock: one that nobody sets."""
    return time.monotonic_ns() // 1_000_000


def groups(text: str) -> Groups:
    """GROUP, or GROUP+N for N consecutive ones: (N, 16) uint8."""
    first, plus, count = text.partition("+")
    try:
        start = int(IPv6Address(first))
        n = int(count) if plus else 1
    except (AddressValueError, ValueError):
        raise Refused(f"{text}: neither GROUP nor GROUP+N, with an IPv6 address and a number", 2) from None
    if not 1 <= n <= MOST_GROUPS or start + n > 1 << 128:
        raise Refused(f"{text}: from 1 to {MOST_GROUPS} groups, please", 2)
    octets = b"".join((start + i).to_bytes(16, "big") for i in range(n))
    return np.frombuffer(octets, np.uint8).reshape(n, 16)


def run(ports: list[str], join: list[str]) -> None:
    """Switch until SIGINT or SIGTERM."""
    if len(set(ports)) < len(ports):
        raise Refused("a port is named twice", 2)
    joined = np.concatenate([np.empty((0, 16), np.uint8), *(groups(text) for text in join)])
    host = Host(bytes([2]) + secrets.token_bytes(5))
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        switch = Switch([stack.enter_context(Port(name)) for name in ports], host, selector)
        signals = stack.enter_context(Signals(selector))
        host.engine.join(host.lan, joined, now_ms())
        print(f"switching {', '.join(ports)}; host {host.link_local} in {len(joined)} groups", flush=True)
        while not signals.came:
            switch.work()
        switch.leave(joined)
    counters = host.engine.counters(host.lan)
    print(", ".join(f"{name} {count}" for name, count in counters.items() if count))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="A learning switch whose own host speaks MLD.")
    parser.add_argument("ports", nargs="+", metavar="PORT", help="an interface to switch to and from")
    parser.add_argument("--join", action="append", default=[], metavar="GROUP[+N]", help="what the host listens to")
    arguments = parser.parse_args()
    try:
        run(arguments.ports, arguments.join)
    except Refused as refused:
        return complain(refused, refused.status)
    except fastmld.FastMLDError as error:  # a group that is none, or more than fit in
        return complain(error, 2)
    except OSError as error:
        return complain(error, 3)
    return 0


def complain(error: Exception, status: int) -> int:
    """One line on stderr; the exit status."""
    print(f"softswitch: {error}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
