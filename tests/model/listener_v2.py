"""The MLDv2 listener one event at a time, in plain Python: a filter per membership, sets of sources, a scan for timers.

Written from RFC 9777 and the decisions in docs/mldv2.md (D1 to D15), for the tests to compare the engine with. In
host compatibility mode it is the MLDv1 model. It has no budget and no speed.
"""

from dataclasses import dataclass, field
from functools import lru_cache

from model import ladder
from model.draw import draw_ms
from model.listener import (
    ANSWER,
    DELAYING,
    EXPIRY,
    IDLE,
    LOCAL,
    NOT_YET,
    Interface,
    Listener,
    Membership,
    NotListeningError,
    Sent,
)

INCLUDE, EXCLUDE = "include", "exclude"
QUERIES = ("general_query", "group_query", "source_query")
IS_IN, IS_EX, TO_IN, TO_EX, ALLOW, BLOCK = range(1, 7)  # section 5.2.12
ALL_MLDV2_ROUTERS = bytes.fromhex("ff020000000000000000000000000016")
UNSPECIFIED = ladder.UNSPECIFIED

QUERY_INTERVAL_MS = 125_000  # section 9.2
LEAST_DELAY_MS = 10  # what a response code of 0 is taken for
MOST_RECORDED = 64  # sources of Queries, a group
MOST_RECORDED_IN_ALL = 65_536  # and an interface

Sources = frozenset[bytes]
Filter = tuple[str, Sources]
Record = tuple[int, bytes, list[bytes]]  # type, multicast address, sources
NOTHING: Filter = (INCLUDE, frozenset())  # section 6.1: what does not exist is INCLUDE {}
EVERYTHING: Filter = (EXCLUDE, frozenset())


class TooManySourcesError(Exception):
    pass


def response_delay_ms(code: int) -> int:
    """Maximum Response Code to Maximum Response Delay (section 5.1.3)."""
    return code if code < 32768 else (code & 0x0FFF | 0x1000) << (code >> 12 & 7) + 3


def query_interval_ms(code: int) -> int:
    """Querier's Query Interval Code to Querier's Query Interval (section 5.1.9); 0 means the default."""
    seconds = code if code < 128 else (code & 0x0F | 0x10) << (code >> 4 & 7) + 3
    return seconds * 1000 or QUERY_INTERVAL_MS


def is_ssm(address: bytes) -> bool:
    """ff3x::/32 (RFC 4607 section 1)."""
    return address[0] == 0xFF and address[1] >> 4 == 3 and address[2:4] == b"\0\0"


def is_unicast(source: bytes) -> bool:
    return source != UNSPECIFIED and source[0] != 0xFF


def merged(filters: list[Filter]) -> Filter:
    """The filter of an interface from those of its listeners (section 4.2)."""
    included = frozenset[bytes]().union(*(sources for mode, sources in filters if mode == INCLUDE))
    excluded = [sources for mode, sources in filters if mode == EXCLUDE]
    if not excluded:
        return INCLUDE, included
    return EXCLUDE, frozenset.intersection(*excluded) - included


def forwards(listening: Filter, source: bytes) -> bool:
    mode, sources = listening
    return (source in sources) == (mode == INCLUDE)


def difference(old: Filter, new: Filter) -> list[tuple[int, Sources]]:
    """The records that a change of state gives rise to (section 6.1, the first table)."""
    (old_mode, a), (new_mode, b) = old, new
    if old_mode != new_mode:
        return [(TO_IN if new_mode == INCLUDE else TO_EX, b)]
    allow, block = (b - a, a - b) if new_mode == INCLUDE else (a - b, b - a)
    return [(kind, sources) for kind, sources in ((ALLOW, allow), (BLOCK, block)) if sources]


@dataclass
class Member(Membership):
    listeners: dict[str, Filter] = field(default_factory=dict)  # the named ones
    listening: Filter = NOTHING  # merged
    recorded: set[bytes] | None = None  # sources that Queries asked for; None while a timer runs: they asked for all

    @property
    def joins(self) -> int:
        return self.references - len(self.listeners)


@dataclass
class Change:
    """What is still to be said of a change: the counters of section 6.1."""

    row: int
    mode_left: int = 0
    left: dict[bytes, int] = field(default_factory=dict)

    def is_over(self) -> bool:
        return self.mode_left == 0 and not self.left


@dataclass
class Answer:
    """An answer to General Queries that is under way."""

    start_ms: int
    end_ms: int
    begin: int  # the row that it began with
    chunks: list[list[tuple[int, bytes]]]  # (row, address)
    gone: int = 0  # chunks

    @property
    def next_ms(self) -> int:
        return self.start_ms + self.gone * (self.end_ms - self.start_ms) // len(self.chunks)


@dataclass
class Interface2(Interface):
    version: int | str = "auto"
    default_robustness: int = 2
    change_interval_ms: int = 1000
    most_sources: int = 1024

    memberships: dict[bytes, Member] = field(default_factory=dict)  # type: ignore[assignment]
    robustness: int = 0
    query_interval_ms: int = QUERY_INTERVAL_MS
    v1_until_ms: int | None = None
    changes: dict[bytes, Change] = field(default_factory=dict)  # of memberships, and of what was left
    unsaid: set[bytes] = field(default_factory=set)  # changed in this millisecond
    retransmit_ms: int | None = None
    pending: tuple[int, int] | None = None  # an answer to General Queries: when it begins, when it must be over
    running: Answer | None = None
    next_window_ms: int | None = None  # of an answer that is to follow the running one
    begin: int = 0  # the row that the pending answer begins with
    v1_query_ignored: int = 0
    v1_query_ssm: int = 0
    ssm_in_v1: int = 0
    ssm_exclude: int = 0

    def __post_init__(self) -> None:
        self.robustness = self.default_robustness

    @property
    def is_v1(self) -> bool:
        """Whether the host compatibility mode is MLDv1 (section 8.2.1)."""
        return self.version == 1 or self.v1_until_ms is not None

    def source_specific(self, address: bytes) -> bool:
        return self.version != 1 and is_ssm(address)

    def can_be_reported(self, address: bytes) -> bool:
        return Interface.speaks_of(self, address)

    def speaks_of(self, address: bytes) -> bool:
        """In MLDv1 nothing can be said of a source-specific address."""
        return self.can_be_reported(address) and not (self.is_v1 and self.source_specific(address))

    def is_reportable(self, member: Member) -> bool:
        return self.can_be_reported(member.address) and member.state != NOT_YET and member.listening != NOTHING

    def filter_of(self, member: Member) -> Filter:
        filters = [EVERYTHING] * member.joins + list(member.listeners.values())
        if self.source_specific(member.address):
            filters = [one for one in filters if one[0] == INCLUDE]
        return merged(filters)

    def due_ms(self, with_mode: bool) -> int | None:
        times = [member.deadline_ms for member in self.memberships.values() if member.deadline_ms is not None]
        if self.retransmit_ms is not None:
            times.append(self.retransmit_ms)
        if self.pending is not None:
            times.append(self.pending[0])
        if self.running is not None:
            times.append(self.running.next_ms)
        if with_mode and self.v1_until_ms is not None:
            times.append(self.v1_until_ms)
        return min(times, default=None)

    def forget_v2(self) -> None:
        """All that was to be said in MLDv2."""
        self.changes.clear()
        self.unsaid.clear()
        self.retransmit_ms = self.pending = self.running = self.next_window_ms = None
        self.begin = 0


class Listener2(Listener):
    interfaces: dict[int, Interface2]  # type: ignore[assignment]

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self._now_ms: int | None = None  # of the latest call

    # Local events. They only mark what changed; the Report is made when the next call of another kind or time comes.

    def join(self, index: int, addresses: list[bytes], now_ms: int, delay_ms: int = 0) -> None:
        self._enter(now_ms, closes=False)
        interface = self.interfaces[index]
        for address in addresses:
            interface.ssm_exclude += interface.source_specific(address)
            member = interface.memberships.get(address)
            if member is None:
                member = self._appear(interface, address, delay_ms, now_ms)
            member.references += 1
            self._refilter(interface, member, now_ms)
            self._forget_what_was_left(interface, member)

    def leave(self, index: int, addresses: list[bytes], now_ms: int) -> None:
        interface = self.interfaces[index]
        for address in addresses:
            member = interface.memberships.get(address)
            if member is None or addresses.count(address) > member.joins:
                raise NotListeningError(address)
        self._enter(now_ms, closes=False)
        for address in addresses:
            member = interface.memberships[address]
            member.references -= 1
            self._refilter(interface, member, now_ms)

    def listen(
        self, index: int, address: bytes, mode: str, sources: list[bytes], now_ms: int, listener: str = "0"
    ) -> None:
        interface = self.interfaces[index]
        wanted = (mode, frozenset(sources))
        if len(wanted[1]) > interface.most_sources:
            raise TooManySourcesError(len(wanted[1]))
        member = interface.memberships.get(address)
        if wanted == NOTHING and member is not None and listener not in member.listeners:
            raise NotListeningError(listener)
        self._enter(now_ms, closes=False)
        interface.ssm_exclude += mode == EXCLUDE and interface.source_specific(address)
        if wanted == NOTHING and member is None:
            return
        if member is None:
            member = self._appear(interface, address, 0, now_ms)
        if wanted == NOTHING:
            del member.listeners[listener]
            member.references -= 1
        else:
            member.references += listener not in member.listeners
            member.listeners[listener] = wanted
        self._refilter(interface, member, now_ms)
        self._forget_what_was_left(interface, member)

    def _appear(self, interface: Interface2, address: bytes, delay_ms: int, now_ms: int) -> Member:
        self._rows += 1
        member = interface.memberships[address] = Member(address, self._rows, references=0)
        if not interface.can_be_reported(address):
            return member
        if not interface.speaks_of(address):
            interface.ssm_in_v1 += 1
        elif delay_ms > 0:
            member.state, member.deadline_ms = NOT_YET, now_ms + delay_ms
        elif interface.works and interface.is_v1:
            self._start_listening(interface, member, now_ms, LOCAL)
        return member

    def _refilter(self, interface: Interface2, member: Member, now_ms: int) -> None:
        """The listeners of a membership have changed; the last one may be gone."""
        old, member.listening = member.listening, interface.filter_of(member)
        says = interface.works and interface.can_be_reported(member.address) and member.state != NOT_YET
        if not member.references:
            del interface.memberships[member.address]
            if interface.is_v1:
                speaks = interface.works and interface.speaks_of(member.address)
                if speaks and self._owes_done(interface, member):
                    self._send(interface, member, now_ms, LOCAL, "done")
                return
        if says and not interface.is_v1:
            self._change(interface, member, old, member.listening, now_ms)

    @staticmethod
    def _forget_what_was_left(interface: Interface2, member: Member) -> None:
        """An address that was left and comes back with nothing to say of it for now: the leaving is said no more."""
        change = interface.changes.get(member.address)
        if change is not None and change.row != member.row and member.references:
            del interface.changes[member.address]
            interface.unsaid.discard(member.address)

    def set_up(self, index: int, up: bool, now_ms: int) -> None:
        self._enter(now_ms)
        interface = self.interfaces[index]
        if interface.works and not up and not interface.is_v1:
            records = [
                (kind, member.address, sorted(sources))
                for member in self._said(interface)
                for kind, sources in difference(member.listening, NOTHING)
            ]
            self._report2(interface, records, now_ms, LOCAL)
        super().set_up(index, up, now_ms)

    def set_carrier(self, index: int, carrier: bool, now_ms: int) -> None:
        self._enter(now_ms)
        super().set_carrier(index, carrier, now_ms)

    def set_mtu(self, index: int, mtu: int, now_ms: int) -> None:
        self._enter(now_ms)
        super().set_mtu(index, mtu, now_ms)

    def set_link_local(self, index: int, address: bytes | None, now_ms: int) -> None:
        self._enter(now_ms)
        super().set_link_local(index, address, now_ms)

    def _after_link_change(self, interface: Interface2, worked: bool, now_ms: int) -> None:  # type: ignore[override]
        if worked and not interface.works:
            interface.forget_v2()
            interface.v1_until_ms = None
            interface.robustness = interface.default_robustness
            interface.query_interval_ms = QUERY_INTERVAL_MS
            for member in interface.memberships.values():
                member.recorded = None
        super()._after_link_change(interface, worked, now_ms)

    @staticmethod
    def _owes_done(interface: Interface2, member: Membership) -> bool:  # type: ignore[override]
        return interface.is_v1 and Listener._owes_done(interface, member)

    def _start_listening_again(self, interface: Interface2, now_ms: int) -> None:  # type: ignore[override]
        if interface.is_v1:
            super()._start_listening_again(interface, now_ms)
            return
        for member in self._said(interface):
            self._change(interface, member, NOTHING, member.listening, now_ms)

    @staticmethod
    def _said(interface: Interface2) -> list[Member]:
        return [member for member in interface.memberships.values() if interface.is_reportable(member)]

    # State changes (section 6.1)

    def _change(self, interface: Interface2, member: Member, old: Filter, new: Filter, now_ms: int) -> None:
        records = difference(old, new)
        if not records:
            return
        change = interface.changes.setdefault(member.address, Change(member.row))
        change.row = member.row
        if old[0] != new[0]:
            change.mode_left, change.left = interface.robustness, {}
        else:
            change.left.update((source, interface.robustness) for _, sources in records for source in sources)
        interface.unsaid.add(member.address)
        if interface.retransmit_ms is None:
            interface.retransmit_ms = now_ms + self._draw(interface, UNSPECIFIED, interface.change_interval_ms, now_ms)

    def _say(self, interface: Interface2, addresses: set[bytes], now_ms: int, phase: int) -> None:
        """One State Change Report for these addresses, in the order of their rows."""
        records: list[Record] = []
        for address in sorted(addresses, key=lambda address: interface.changes[address].row):
            change = interface.changes[address]
            member = interface.memberships.get(address)
            listening = NOTHING if member is None else member.listening
            if change.mode_left:
                records.append((TO_IN if listening[0] == INCLUDE else TO_EX, address, sorted(listening[1])))
            else:
                for kind, wanted in ((ALLOW, True), (BLOCK, False)):
                    sources = sorted(source for source in change.left if forwards(listening, source) == wanted)
                    if sources:
                        records.append((kind, address, sources))
            change.mode_left = max(change.mode_left - 1, 0)
            change.left = {source: left - 1 for source, left in change.left.items() if left > 1}
            if change.is_over():
                del interface.changes[address]
        self._report2(interface, records, now_ms, phase)

    def _close(self) -> None:
        for interface in self.interfaces.values():
            if interface.unsaid:
                assert self._now_ms is not None
                self._say(interface, interface.unsaid, self._now_ms, LOCAL)
                interface.unsaid = set()

    def _enter(self, now_ms: int, closes: bool = True) -> None:
        if closes or now_ms != self._now_ms:
            self._close()
        self._now_ms = now_ms
        self._expire_before(now_ms)

    # Frames

    def receive(self, index: int, frame: bytes, now_ms: int) -> str:
        self._enter(now_ms)
        interface = self.interfaces[index]
        v1_only = interface.version == 1
        message = _judged(frame, interface.mac, interface.link_local, interface.strict, v1_only)
        if message == "bad_destination":
            link = ladder.Link(
                interface.mac, interface.link_local, interface.strict, v1_only, listened=interface.memberships
            )
            try:
                message = ladder.check(frame, link)
            except ladder.Failed as failed:
                message = str(failed.args[0])
        if isinstance(message, str):
            return message
        if message.kind in QUERIES and len(message.octets) == 24 and interface.version != 1:
            interface.v1_query_ssm += is_ssm(message.group)
            interface.v1_query_ignored += interface.version == 2
        if interface.works and not interface.loopback:
            self._understood(interface, message, now_ms)
        return "accepted"

    def _understood(self, interface: Interface2, message: ladder.Message, now_ms: int) -> None:
        if interface.version == 1 or message.kind not in QUERIES:
            if interface.is_v1:
                self._heard(interface, message, now_ms)
            return
        if len(message.octets) == 24:
            if interface.version == 2:
                return
            if message.kind == "general_query":
                self._enter_v1(interface, message.delay_ms, now_ms)
        else:
            robustness = message.octets[24] & 7
            interface.robustness = max(robustness, 2) if robustness else interface.default_robustness
            interface.query_interval_ms = query_interval_ms(message.octets[25])
        if interface.is_v1:
            kind = "group_query" if message.kind == "source_query" else message.kind
            self._heard(interface, ladder.Message(kind, message.group, message.delay_ms), now_ms)
            return
        most_ms = message.delay_ms if len(message.octets) == 24 else response_delay_ms(message.delay_ms)
        most_ms = most_ms or LEAST_DELAY_MS
        if message.kind == "general_query":
            self._general_query(interface, most_ms, now_ms)
            return
        member = interface.memberships.get(message.group)
        if member is not None and interface.is_reportable(member):
            self._specific_query(interface, member, message, most_ms, now_ms)

    def _general_query(self, interface: Interface2, most_ms: int, now_ms: int) -> None:
        running = interface.running
        if running is not None and most_ms >= running.end_ms - running.start_ms:
            if interface.pending is None:
                interface.next_window_ms = min(most_ms, interface.next_window_ms or most_ms)
            return
        start_ms = now_ms + self._draw(interface, UNSPECIFIED, most_ms, now_ms)
        end_ms = now_ms + most_ms
        if interface.pending is not None:
            start_ms, end_ms = min(start_ms, interface.pending[0]), min(end_ms, interface.pending[1])
        interface.pending, interface.next_window_ms = (start_ms, end_ms), None

    def _specific_query(
        self, interface: Interface2, member: Member, message: ladder.Message, most_ms: int, now_ms: int
    ) -> None:
        asked: set[bytes] | None = None
        if message.kind == "source_query":
            count = int.from_bytes(message.octets[26:28], "big")
            named = [message.octets[28 + 16 * n : 44 + 16 * n] for n in range(count)]
            asked = {source for source in named if is_unicast(source) and forwards(member.listening, source)}
            if not asked:
                return
        deadline_ms = now_ms + self._draw(interface, member.address, most_ms, now_ms)
        if member.state == DELAYING:
            assert member.deadline_ms is not None
            deadline_ms = min(deadline_ms, member.deadline_ms)
            asked = None if asked is None or member.recorded is None else asked | member.recorded
        member.state, member.deadline_ms, member.recorded = DELAYING, deadline_ms, asked
        in_all = sum(len(one.recorded) for one in interface.memberships.values() if one.recorded)
        if asked is not None and (len(asked) > MOST_RECORDED or in_all > MOST_RECORDED_IN_ALL):
            member.recorded = None

    # Host compatibility mode (section 8.2.1)

    def _enter_v1(self, interface: Interface2, response_interval_ms: int, now_ms: int) -> None:
        until_ms = now_ms + interface.robustness * interface.query_interval_ms + response_interval_ms
        was_v1, interface.v1_until_ms = interface.is_v1, until_ms
        if was_v1:
            return
        for address, change in sorted(interface.changes.items(), key=lambda item: item[1].row):
            if address not in interface.memberships and not is_ssm(address):
                self._send(interface, Member(address, change.row), now_ms, ANSWER, "done")
        interface.forget_v2()
        for member in interface.memberships.values():
            if not interface.can_be_reported(member.address):
                continue
            speaks = interface.speaks_of(member.address)
            interface.ssm_in_v1 += not speaks
            if member.state != NOT_YET:
                self._rest(member)
                member.last_reporter = member.spoke = speaks

    def _leave_v1(self, interface: Interface2) -> None:
        interface.v1_until_ms = None
        for member in interface.memberships.values():
            member.last_reporter, member.repeats_left = False, 0
            if member.state == DELAYING:
                self._rest(member)

    @staticmethod
    def _rest(member: Member) -> None:
        member.state, member.deadline_ms, member.recorded = IDLE, None, None

    # Timers

    def advance(self, now_ms: int) -> None:
        self._enter(now_ms)
        self._expire_before(now_ms + 1)

    def next_deadline_ms(self) -> int | None:
        times = [interface.due_ms(with_mode=False) for interface in self.interfaces.values()]
        return min((time for time in times if time is not None), default=None)

    def _expire_before(self, now_ms: int) -> None:
        if self._nothing_before is not None and now_ms <= self._nothing_before:
            return
        self._nothing_before = now_ms
        for interface in self.interfaces.values():
            while True:
                due_ms = interface.due_ms(with_mode=True)
                if due_ms is None or due_ms >= now_ms:
                    break
                if interface.is_v1:
                    self._expire_v1(interface, due_ms)
                else:
                    self._expire_v2(interface, due_ms)

    def _expire_v1(self, interface: Interface2, now_ms: int) -> None:
        for member in list(interface.memberships.values()):
            if member.deadline_ms == now_ms:
                if interface.speaks_of(member.address):
                    self._expire(interface, member)
                else:
                    self._rest(member)
        if interface.v1_until_ms == now_ms:
            self._leave_v1(interface)

    def _expire_v2(self, interface: Interface2, now_ms: int) -> None:
        ended = [member for member in interface.memberships.values() if member.deadline_ms == now_ms]
        asked = [member for member in ended if member.state == DELAYING]
        for member in [member for member in ended if member.state == NOT_YET]:
            self._rest(member)
            if interface.works:
                self._change(interface, member, NOTHING, member.listening, now_ms)
        if interface.unsaid:
            self._say(interface, interface.unsaid, now_ms, EXPIRY)
            interface.unsaid = set()
        if interface.retransmit_ms == now_ms:
            self._say(interface, set(interface.changes), now_ms, EXPIRY)
            again = bool(interface.changes)
            delay_ms = self._draw(interface, UNSPECIFIED, interface.change_interval_ms, now_ms)
            interface.retransmit_ms = now_ms + delay_ms if again else None
        answers = [self._answer(member) for member in asked if interface.is_reportable(member)]
        for member in asked:
            self._rest(member)
        self._report2(interface, [record for record in answers if record is not None], now_ms, EXPIRY)
        self._answer_generally(interface, now_ms)

    def _answer(self, member: Member) -> Record | None:
        """What the timer of a membership says when it ends (section 6.3)."""
        if member.recorded is None:
            return self._current_state(member)
        sources = sorted(source for source in member.recorded if forwards(member.listening, source))
        return (IS_IN, member.address, sources) if sources else None

    @staticmethod
    def _current_state(member: Member) -> Record:
        mode, sources = member.listening
        return IS_IN if mode == INCLUDE else IS_EX, member.address, sorted(sources)

    def _answer_generally(self, interface: Interface2, now_ms: int) -> None:
        if interface.pending is not None and interface.pending[0] == now_ms:
            start_ms, end_ms = interface.pending
            begin = interface.begin
            if interface.running is not None:
                begin = interface.running.chunks[interface.running.gone][0][0]
            rows = [(member.row, member.address) for member in self._said(interface)]
            rows = [row for row in rows if row[0] >= begin] + [row for row in rows if row[0] < begin]
            size = room(interface.mtu) // 20
            chunks = [rows[at : at + size] for at in range(0, len(rows), size)]
            interface.running = Answer(start_ms, end_ms, begin, chunks) if chunks else None
            interface.pending, interface.next_window_ms, interface.begin = None, None, 0
        running = interface.running
        while running is not None and running.next_ms == now_ms:
            records = []
            for row, address in running.chunks[running.gone]:
                member = interface.memberships.get(address)
                if member is not None and member.row == row and interface.is_reportable(member):
                    records.append(self._current_state(member))
                    self._rest(member)  # all that was asked about it is answered
            self._report2(interface, records, now_ms, EXPIRY)
            running.gone += 1
            if running.gone == len(running.chunks):
                if interface.next_window_ms is not None:
                    interface.pending = now_ms + 1, now_ms + 1 + interface.next_window_ms
                    interface.begin = running.begin
                running = interface.running = interface.next_window_ms = None

    def _draw(self, interface: Interface2, address: bytes, most_ms: int, now_ms: int) -> int:
        return draw_ms(self.seed, interface.index, address, now_ms, most_ms)

    # What is said

    def _report2(self, interface: Interface2, records: list[Record], now_ms: int, phase: int) -> None:
        source = interface.link_local or UNSPECIFIED
        for part in packed(records, interface.mtu):
            interface.reported_from_nowhere |= interface.link_local is None
            frame = build(interface, source, part)
            sent = Sent(now_ms, interface.index, "report2", ALL_MLDV2_ROUTERS, source, frame)
            self._pending.append((now_ms, phase, len(self._pending), sent))

    def transmit(self) -> list[Sent]:
        self._close()
        return super().transmit()


@lru_cache(1 << 16)
def _judged(frame: bytes, mac: bytes, own: bytes | None, strict: bool, v1_only: bool) -> ladder.Message | str:
    """Where nothing is listened to."""
    try:
        return ladder.check(frame, ladder.Link(mac, own, strict, v1_only))
    except ladder.Failed as failed:
        return str(failed.args[0])


def room(mtu: int) -> int:
    """The octets that a Report has for its records: no header but IPv6's, hop-by-hop's and its own."""
    return min(mtu - 40, 65535) - 8 - 8


def packed(records: list[Record], mtu: int) -> list[list[Record]]:
    """Records in as many Reports as they need (section 5.2.16)."""
    frames: list[list[Record]] = []
    free = 0
    most = (room(mtu) - 20) // 16  # sources
    for kind, address, sources in records:
        if kind in (IS_EX, TO_EX):
            parts = [sources[:most]]
        else:
            parts = [sources[at : at + most] for at in range(0, len(sources), most)] or [[]]
        for part in parts:
            size = 20 + 16 * len(part)
            if size > free:
                frames.append([])
                free = room(mtu)
            frames[-1].append((kind, address, part))
            free -= size
    return frames


def build(interface: Interface, source: bytes, records: list[Record]) -> bytes:
    """The octets of a Report: section 5.2, RFC 2711 section 2.1, RFC 2464 section 7."""
    body = b"".join(
        bytes([kind, 0]) + len(sources).to_bytes(2, "big") + address + b"".join(sources)
        for kind, address, sources in records
    )
    message = bytes([ladder.REPORT2, 0, 0, 0, 0, 0]) + len(records).to_bytes(2, "big") + body
    checksum = ladder.checksum(source, ALL_MLDV2_ROUTERS, message)
    message = message[:2] + checksum.to_bytes(2, "big") + message[4:]
    tag = b"" if interface.vlan is None else b"\x81\x00" + interface.vlan.to_bytes(2, "big")
    return (
        bytes.fromhex("333300000016")
        + interface.mac
        + tag
        + b"\x86\xdd\x60\0\0\0"
        + (8 + len(message)).to_bytes(2, "big")
        + bytes([ladder.HOP_BY_HOP, 1])
        + source
        + ALL_MLDV2_ROUTERS
        + bytes([ladder.ICMPV6, 0, ladder.ROUTER_ALERT, 2, 0, 0, ladder.PADN, 0])
        + message
    )
