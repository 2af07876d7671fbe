"""The MLDv1 listener one event at a time, in plain Python: an object per membership and a scan for the timers.

Written from RFC 2710 and rules N1 to N20, for the tests to compare the engine with. It has no budget and no speed.
"""

import heapq
from dataclasses import dataclass, field, replace
from functools import lru_cache

from model import ladder
from model.draw import draw_ms

ALL_NODES = ladder.ALL_NODES
ALL_ROUTERS = bytes.fromhex("ff020000000000000000000000000002")
IDLE, DELAYING, NOT_YET = "idle_listener", "delaying_listener", "delayed_join"
LOCAL, ANSWER, EXPIRY = range(3)  # within one millisecond frames leave in this order
MTU_OF_IPV6 = 1280


class NotListeningError(Exception):
    pass


@dataclass(frozen=True)
class Sent:
    time_ms: int
    interface: int
    kind: str  # "report" or "done"
    address: bytes
    source: bytes
    frame: bytes


@dataclass
class Membership:
    address: bytes
    row: int
    references: int = 1
    state: str = IDLE
    last_reporter: bool = False
    deadline_ms: int | None = None
    repeats_left: int = 0
    spoke: bool = False


@dataclass
class Interface:
    index: int
    mac: bytes
    link_local: bytes | None
    mtu: int = 1500
    loopback: bool = False
    strict: bool = True
    vlan: int | None = None
    interval_ms: int = 10_000
    repeats: int = 1
    done_always: bool = False
    up: bool = True
    carrier: bool = True
    last_link_local: bytes | None = None
    reported_from_nowhere: bool = False
    memberships: dict[bytes, Membership] = field(default_factory=dict)  # in join order

    @property
    def works(self) -> bool:
        return self.up and self.carrier and self.mtu >= MTU_OF_IPV6

    def speaks_of(self, address: bytes) -> bool:
        return not self.loopback and address != ALL_NODES and address[1] & 0x0F > 1


class Listener:
    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.interfaces: dict[int, Interface] = {}
        self.verdicts: list[str] = []
        self._rows = 0
        self._nothing_before: int | None = None  # no timer is due before this
        self._pending: list[tuple[int, int, int, Sent]] = []

    def add_interface(self, interface: Interface) -> None:
        interface.last_link_local = interface.link_local
        self.interfaces[interface.index] = interface

    def remove_interface(self, index: int, now_ms: int) -> None:
        self._expire_before(now_ms)
        del self.interfaces[index]

    # Local events

    def join(self, index: int, addresses: list[bytes], now_ms: int, delay_ms: int = 0) -> None:
        self._expire_before(now_ms)
        interface = self.interfaces[index]
        for address in addresses:
            known = interface.memberships.get(address)
            if known is not None:
                known.references += 1
                continue
            self._rows += 1
            member = interface.memberships[address] = Membership(address, self._rows)
            if not interface.speaks_of(address):
                continue
            if delay_ms > 0:
                member.state, member.deadline_ms = NOT_YET, now_ms + delay_ms
            elif interface.works:
                self._start_listening(interface, member, now_ms, LOCAL)

    def leave(self, index: int, addresses: list[bytes], now_ms: int) -> None:
        interface = self.interfaces[index]
        for address in addresses:
            member = interface.memberships.get(address)
            if member is None or addresses.count(address) > member.references:
                raise NotListeningError(address)
        self._expire_before(now_ms)
        for address in addresses:
            member = interface.memberships[address]
            member.references -= 1
            if member.references:
                continue
            del interface.memberships[address]
            if interface.works and self._owes_done(interface, member):
                self._send(interface, member, now_ms, LOCAL, "done")

    @staticmethod
    def _owes_done(interface: Interface, member: Membership) -> bool:
        return member.last_reporter or (interface.done_always and member.spoke)

    def set_up(self, index: int, up: bool, now_ms: int) -> None:
        self._expire_before(now_ms)
        interface = self.interfaces[index]
        worked = interface.works
        if worked and not up:
            for member in interface.memberships.values():
                if self._owes_done(interface, member):
                    self._send(interface, member, now_ms, LOCAL, "done")
        interface.up = up
        self._after_link_change(interface, worked, now_ms)

    def set_carrier(self, index: int, carrier: bool, now_ms: int) -> None:
        self._expire_before(now_ms)
        interface = self.interfaces[index]
        worked, interface.carrier = interface.works, carrier
        self._after_link_change(interface, worked, now_ms)

    def set_mtu(self, index: int, mtu: int, now_ms: int) -> None:
        self._expire_before(now_ms)
        interface = self.interfaces[index]
        worked, interface.mtu = interface.works, mtu
        self._after_link_change(interface, worked, now_ms)

    def set_link_local(self, index: int, address: bytes | None, now_ms: int) -> None:
        self._expire_before(now_ms)
        interface = self.interfaces[index]
        interface.link_local = address
        if address is None:
            return
        unheard = address != interface.last_link_local or interface.reported_from_nowhere
        interface.last_link_local, interface.reported_from_nowhere = address, False
        if unheard and interface.works:
            self._start_listening_again(interface, now_ms)

    # Frames

    def receive(self, index: int, frame: bytes, now_ms: int) -> str:
        self._expire_before(now_ms)
        interface = self.interfaces[index]
        destination, *outcomes = checked(frame, interface.mac, interface.link_local, interface.strict)
        message = outcomes[destination in interface.memberships]
        if isinstance(message, str):
            return message
        if interface.works:
            self._heard(interface, message, now_ms)
        return "accepted"

    def _heard(self, interface: Interface, message: ladder.Message, now_ms: int) -> None:
        if message.kind == "general_query":
            asked = list(interface.memberships.values())
        else:
            asked = [interface.memberships[message.group]] if message.group in interface.memberships else []
        for member in asked:
            if member.state == NOT_YET or not interface.speaks_of(member.address):
                continue
            if message.kind == "report":
                self._report_heard(member)
            elif message.kind in ("general_query", "group_query"):
                self._queried(interface, member, message.delay_ms, now_ms)

    def _report_heard(self, member: Membership) -> None:
        if member.state == DELAYING:
            member.state, member.deadline_ms, member.repeats_left = IDLE, None, 0
            member.last_reporter = False

    def _queried(self, interface: Interface, member: Membership, delay_ms: int, now_ms: int) -> None:
        if delay_ms == 0:
            member.state, member.deadline_ms, member.repeats_left = IDLE, None, 0
            self._report(interface, member, now_ms, ANSWER)
        elif member.deadline_ms is None or delay_ms < member.deadline_ms - now_ms:
            self._start_timer(interface, member, delay_ms, now_ms)

    # Timers

    def advance(self, now_ms: int) -> None:
        self._expire_before(now_ms + 1)

    def next_deadline_ms(self) -> int | None:
        return min((m.deadline_ms for _, m in self._delaying()), default=None)

    def _delaying(self) -> list[tuple[Interface, Membership]]:
        return [
            (interface, member)
            for interface in self.interfaces.values()
            for member in interface.memberships.values()
            if member.deadline_ms is not None
        ]

    def _expire_before(self, now_ms: int) -> None:
        if self._nothing_before is not None and now_ms <= self._nothing_before:
            return
        self._nothing_before = now_ms
        due = [
            (member.deadline_ms, member.row, interface, member)
            for interface, member in self._delaying()
            if member.deadline_ms < now_ms
        ]
        heapq.heapify(due)
        while due:
            _, row, interface, member = heapq.heappop(due)
            self._expire(interface, member)
            if member.deadline_ms is not None and member.deadline_ms < now_ms:
                heapq.heappush(due, (member.deadline_ms, row, interface, member))

    def _expire(self, interface: Interface, member: Membership) -> None:
        now_ms = member.deadline_ms
        was_not_yet = member.state == NOT_YET
        member.state, member.deadline_ms = IDLE, None
        if was_not_yet:
            if interface.works:
                self._start_listening(interface, member, now_ms, EXPIRY)
            return
        self._report(interface, member, now_ms, EXPIRY)
        self._repeat(interface, member, now_ms)

    def _start_timer(self, interface: Interface, member: Membership, most_ms: int, now_ms: int) -> None:
        delay_ms = draw_ms(self.seed, interface.index, member.address, now_ms, most_ms)
        member.state, member.deadline_ms = DELAYING, now_ms + delay_ms

    # What a membership says

    def _start_listening(self, interface: Interface, member: Membership, now_ms: int, phase: int) -> None:
        member.state, member.deadline_ms = IDLE, None
        self._report(interface, member, now_ms, phase)
        member.repeats_left = 0 if interface.link_local is None else interface.repeats
        self._repeat(interface, member, now_ms)

    def _start_listening_again(self, interface: Interface, now_ms: int) -> None:
        for member in interface.memberships.values():
            if member.state != NOT_YET and interface.speaks_of(member.address):
                self._start_listening(interface, member, now_ms, LOCAL)

    def _repeat(self, interface: Interface, member: Membership, now_ms: int) -> None:
        if member.repeats_left:
            member.repeats_left -= 1
            self._start_timer(interface, member, interface.interval_ms, now_ms)

    def _after_link_change(self, interface: Interface, worked: bool, now_ms: int) -> None:
        if worked and not interface.works:
            for member in interface.memberships.values():
                member.last_reporter, member.repeats_left = False, 0
                if member.state == DELAYING:
                    member.state, member.deadline_ms = IDLE, None
        if interface.works and not worked:
            self._start_listening_again(interface, now_ms)

    def _report(self, interface: Interface, member: Membership, now_ms: int, phase: int) -> None:
        member.last_reporter = member.spoke = True
        interface.reported_from_nowhere |= interface.link_local is None
        self._send(interface, member, now_ms, phase, "report")

    def _send(self, interface: Interface, member: Membership, now_ms: int, phase: int, kind: str) -> None:
        source = interface.link_local or bytes(16)
        frame = build(interface, kind, member.address, source)
        sent = Sent(now_ms, interface.index, kind, member.address, source, frame)
        self._pending.append((now_ms, phase, len(self._pending), sent))

    def transmit(self) -> list[Sent]:
        """All that was said since the last call, in the order in which it leaves."""
        sent = [entry[-1] for entry in sorted(self._pending, key=lambda entry: entry[:3])]
        self._pending.clear()
        return sent


@lru_cache(1 << 15)
def checked(
    frame: bytes, mac: bytes, link_local: bytes | None, strict: bool
) -> tuple[bytes, ladder.Message | str, ladder.Message | str]:
    """Where a frame goes, and what the ladder makes of it where nobody listens to that, and where somebody does."""

    def outcome(link: ladder.Link) -> ladder.Message | str:
        try:
            return ladder.check(frame, link)
        except ladder.Failed as failed:
            return str(failed.args[0])

    try:
        destination = ladder.ethernet(frame)[24:40]
    except ladder.Failed:
        destination = b""
    link = ladder.Link(mac, link_local, strict, v1_only=True)
    return destination, outcome(link), outcome(replace(link, listened={destination}))


def build(interface: Interface, kind: str, address: bytes, source: bytes) -> bytes:
    """The octets of a Report or a Done: RFC 2710 section 3 and 4, RFC 2464 section 7."""
    return built(interface.mac, interface.vlan, kind, address, source)


@lru_cache(1 << 15)
def built(mac: bytes, vlan: int | None, kind: str, address: bytes, source: bytes) -> bytes:
    destination = address if kind == "report" else ALL_ROUTERS
    message_type = ladder.REPORT if kind == "report" else ladder.DONE
    message = bytes([message_type]) + bytes(7) + address
    checksum = ladder.checksum(source, destination, message)
    message = message[:2] + checksum.to_bytes(2, "big") + message[4:]
    tag = b"" if vlan is None else b"\x81\x00" + vlan.to_bytes(2, "big")
    return (
        b"\x33\x33"
        + destination[12:]
        + mac
        + tag
        + b"\x86\xdd"
        + b"\x60\0\0\0"
        + (32).to_bytes(2, "big")
        + bytes([ladder.HOP_BY_HOP, 1])
        + source
        + destination
        + bytes([ladder.ICMPV6, 0, ladder.ROUTER_ALERT, 2, 0, 0, ladder.PADN, 0])
        + message
    )
