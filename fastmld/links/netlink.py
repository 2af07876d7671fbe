"""What rtnetlink says of interfaces: addresses, MTU, link state. Needs pyroute2 (extra `live`).

pyroute2 reads the messages; the socket is our own, so that the loop can wait for it like for any other.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address
from typing import Any, Final

from fastmld.links import LinkRefused

try:
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "pyroute2":
        raise
    raise LinkRefused("live interfaces need pyroute2: pip install 'fastmld[live]'") from None

# linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h
_DONE, _ERROR, _REQUEST, _DUMP = 3, 2, 0x1, 0x300
_NEW_LINK, _DEL_LINK, _GET_LINK, _NEW_ADDRESS, _DEL_ADDRESS, _GET_ADDRESS = 16, 17, 18, 20, 21, 22
_LINK_GROUP, _IPV6_ADDRESS_GROUP = 0x1, 0x100
_UP, _RUNNING = 0x1, 0x40
_DADFAILED, _TENTATIVE = 0x08, 0x40
_HEADER: Final = struct.Struct("=IHHII")
_READ_SIZE, _BUFFER_SIZE = 1 << 16, 1 << 20

ETHERNET, LOOPBACK = 1, 772  # linux/if_arp.h
_LINK_LOCAL_PREFIX = IPv6Address("fe80::").packed[:8]


@dataclass
class InterfaceState:
    """One interface, as the kernel last described it."""

    index: int
    name: str = ""
    hardware: int = 0  # ARPHRD_*
    mac: str = ""
    mtu: int = 0
    up: bool = False
    running: bool = False  # set up, and its carrier is there
    gone: bool = False
    usable: dict[bytes, bool] = field(default_factory=dict)  # link-local addresses: whether they may be used

    @property
    def link_local(self) -> bytes | None:
        """The oldest address that is neither tentative nor a duplicate."""
        return next((address for address, usable in self.usable.items() if usable), None)


class Netlink:
    """A subscription to what happens to interfaces. `interfaces`: by index, as of the latest read."""

    def __init__(self) -> None:
        self.interfaces: dict[int, InterfaceState] = {}
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_SIZE)
        self._socket.bind((0, _LINK_GROUP | _IPV6_ADDRESS_GROUP))
        self._sequence = 0
        self._dump()

    def fileno(self) -> int:
        """Readable when something happened."""
        return self._socket.fileno()

    def find(self, name: str) -> InterfaceState | None:
        """The interface of that name, as it is now."""
        return next((_copy(state) for state in self.interfaces.values() if state.name == name), None)

    def read(self) -> Iterator[InterfaceState]:
        """What happened since, in order: a copy of an interface's state after each message. Never blocks."""
        while True:
            try:
                data = self._socket.recv(_READ_SIZE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                yield from self._start_over()
                continue
            for kind, _, message in _messages(data):
                if (state := self._apply(kind, message)) is not None:
                    yield _copy(state)

    def close(self) -> None:
        """End the subscription."""
        self._socket.close()

    def _start_over(self) -> Iterator[InterfaceState]:
        """Messages were lost: ask for everything, and say of every interface how it is now."""
        before = self.interfaces
        self._dump()
        for index in before.keys() - self.interfaces.keys():
            yield replace(before[index], gone=True)
        yield from [_copy(state) for state in self.interfaces.values()]

    def _dump(self) -> None:
        """Ask for all links, then all addresses. What happens meanwhile arrives among the answers, in order."""
        while True:
            self.interfaces = {}
            try:
                self._ask(_GET_LINK, socket.AF_UNSPEC, 16)
                self._ask(_GET_ADDRESS, socket.AF_INET6, 8)
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise

    def _ask(self, request: int, family: int, octets: int) -> None:
        self._sequence += 1
        header = _HEADER.pack(_HEADER.size + octets, request, _REQUEST | _DUMP, self._sequence, 0)
        self._socket.send(header + bytes([family]) + bytes(octets - 1))
        done = False
        while not done:
            for kind, sequence, message in _messages(self._socket.recv(_READ_SIZE)):
                done = done or (kind in (_DONE, _ERROR) and sequence == self._sequence)
                self._apply(kind, message)

    def _apply(self, kind: int, message: Any) -> InterfaceState | None:
        """The interface that a message is about, with what it says; None: nothing that matters here."""
        # A bridge tells of its ports under a family of its own: a port that leaves is not gone.
        if kind in (_NEW_LINK, _DEL_LINK) and message["family"] == socket.AF_UNSPEC:
            state = self._link(message)
            state.gone = kind == _DEL_LINK
            if state.gone:
                del self.interfaces[state.index]
        elif kind in (_NEW_ADDRESS, _DEL_ADDRESS) and message["index"] in self.interfaces:
            state = self.interfaces[message["index"]]
            address = _link_local(message)
            if address is None:
                return None
            if kind == _NEW_ADDRESS:
                flags = message.get_attr("IFA_FLAGS") or message["flags"]
                state.usable[address] = not flags & (_TENTATIVE | _DADFAILED)
            else:
                state.usable.pop(address, None)
        else:
            return None
        return state

    def _link(self, message: Any) -> InterfaceState:
        state = self.interfaces.setdefault(message["index"], InterfaceState(message["index"]))
        state.name = message.get_attr("IFLA_IFNAME") or state.name
        state.mac = message.get_attr("IFLA_ADDRESS") or state.mac
        state.mtu = message.get_attr("IFLA_MTU") or state.mtu
        state.hardware = message["ifi_type"]
        state.up = bool(message["flags"] & _UP)
        state.running = message["flags"] & (_UP | _RUNNING) == _UP | _RUNNING
        return state


def _copy(state: InterfaceState) -> InterfaceState:
    return replace(state, usable=state.usable.copy())


def _messages(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """(type, sequence number, what it says if it is about a link or an address) of each message."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return
        message = None
        if kind in (_NEW_LINK, _DEL_LINK):
            message = ifinfmsg(data, offset=at)
        elif kind in (_NEW_ADDRESS, _DEL_ADDRESS):
            message = ifaddrmsg(data, offset=at)
        if message is not None:
            message.decode()
        yield kind, sequence, message
        at += length + -length % 4


def _link_local(message: Any) -> bytes | None:
    if message["family"] != socket.AF_INET6:
        return None
    address = IPv6Address(message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")).packed
    return address if address[:8] == _LINK_LOCAL_PREFIX else None
