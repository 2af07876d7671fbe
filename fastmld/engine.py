"""The engine: frames in, frames out, on the caller's clock. No clock, no socket, no thread, no file."""

from __future__ import annotations

import operator
import secrets
from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from fastmld._native import NO_ROW
from fastmld.addresses import Address, Addresses, group_octets, link_local_octets, source_octets
from fastmld.batch import FrameBatch
from fastmld.building import Builder
from fastmld.classifier import Classifier
from fastmld.errors import ClockWentBackwards, GroupTableFull, NotListening, TooManySources, UnknownInterface
from fastmld.groups import LAST_REPORTER, Rows
from fastmld.hosts import NONE
from fastmld.interface import Interface, own_mac
from fastmld.listener_v1 import SHOWN
from fastmld.listener_v2 import EXCLUDE, INCLUDE, NOT_LISTENING, Filter
from fastmld.listeners import Listeners

VERDICTS: Final = (
    "accepted", "truncated", "not_mld", "malformed", "fragmented", "bad_hop_limit", "no_router_alert", "bad_source",
    "looped_back", "bad_length", "bad_checksum", "bad_destination", "bad_group",
)  # fmt: skip
KINDS: Final = (None, "general_query", "group_query", "source_query", "report", "done", "report2")
GROUPS: Final = np.dtype(
    [
        ("address", "u1", 16),
        ("state", "u1"),
        ("last_reporter", "?"),
        ("deadline_ms", "i8"),
        ("references", "u4"),
    ]
)
_MOST_INTERFACES: Final = 1 << 16
_LONGEST_DELAY_MS: Final = 1 << 40
_FARTHEST_TIME_MS: Final = 1 << 62


class Status(NamedTuple):
    """How an interface stands to the Querier. v1_until_ms: when MLDv1 ends, unless its Querier is heard again."""

    mode: str  # "mldv1" or "mldv2"
    robustness: int
    query_interval_ms: int
    querier: str | None  # the source of the latest Query; None: none was heard, or mld_version is 1
    v1_until_ms: int | None


class Engine:
    """A listener for any number of interfaces, which are strangers to each other.

    One thread at a time. seed: any int (taken modulo 2**64) for the random delays; None takes one from the system.

    Time is the caller's: now_ms, whole milliseconds from any origin, never less than before (ClockWentBackwards). A
    call first fires the timers that were due strictly before its now_ms.
    """

    def __init__(self, seed: int | None = None) -> None:
        seed = secrets.randbits(64) if seed is None else operator.index(seed) % 2**64
        self._members = Listeners(seed)
        self._now_ms: int | None = None
        self._classifier = Classifier(self._members.table, self._members.hosts)
        self._builder = Builder(self._members.table)

    # Interfaces

    def add_interface(self, name: str, *, mac: str | bytes, link_local: Address | None = None, **settings: Any) -> int:
        """Add an interface; its index.

        mac: six octets, of the frames it sends. link_local: its own address; None: none is usable yet. Further by
        name: mtu (1500), kind ("ethernet" or "loopback"), mld_version (1, 2, or "auto", the default: 2, and 1 while a
        Querier speaks that), profile ("strict" or "rfc2710"), vlan (or a VLAN identifier that its frames carry),
        unsolicited_report_interval_ms (10,000) and unsolicited_report_repeats (1) of MLDv1, done_always (False),
        report_rate (Reports a second; "auto" is max(100,000, groups / 5); None is no limit), max_groups (4,000,000),
        robustness (2) and state_change_interval_ms (1000) of MLDv2, max_sources (1024) of one listener.
        Raises ValueError or TypeError, which name what is wrong.
        """
        indices = self._members.interfaces
        index = next(i for i in range(len(indices) + 1) if i not in indices)
        if index >= _MOST_INTERFACES:
            raise ValueError(f"an engine has at most {_MOST_INTERFACES} interfaces")
        if any(interface.name == name for interface in indices.values()):
            raise ValueError(f"there is an interface {name} already")
        interface = Interface.create(index, name, mac=mac, link_local=link_local, **settings)
        self._members.add(interface)
        self._classifier.add(interface)
        self._new_template(interface)
        return index

    def remove_interface(self, interface: int, now_ms: int) -> None:
        """Remove an interface and its memberships. Nothing is sent: set it down first to have Dones sent."""
        gone = self._interface(interface)
        self._enter(now_ms)
        self._members.forget(gone)
        del self._members.interfaces[interface]
        self._classifier.remove(interface)

    def set_up(self, interface: int, up: bool, now_ms: int) -> None:
        """The administrative state. Down: Dones, and silence; up: everything is reported again (rule N16)."""
        self._change(interface, now_ms, done=True, up=bool(up))

    def set_carrier(self, interface: int, carrier: bool, now_ms: int) -> None:
        """Whether the link carries frames. Lost: as down, but without Dones (rule N16)."""
        self._change(interface, now_ms, done=False, carrier=bool(carrier))

    def set_mtu(self, interface: int, mtu: int, now_ms: int) -> None:
        """The link's MTU, in octets. Under 1280 IPv6 cannot run on it (RFC 8200 section 5): as carrier lost."""
        if operator.index(mtu) < 0:
            raise ValueError(f"{mtu} is not an MTU")
        self._change(interface, now_ms, done=False, mtu=operator.index(mtu))

    def set_link_local(self, interface: int, address: Address | None, now_ms: int) -> None:
        """The interface's own link-local address; None: none is usable.

        When one becomes usable that is another than the latest, or after something was reported from ::, everything is
        reported again (rule N15). Raises InvalidAddress.
        """
        changed = self._interface(interface)
        octets = link_local_octets(address)
        self._enter(now_ms)
        if octets == changed.link_local:
            return
        changed.link_local = octets
        self._classifier.show(changed)
        self._new_template(changed)
        if octets is None:
            return
        again = octets != changed.latest_link_local or changed.reported_unspecified
        changed.latest_link_local = octets
        changed.reported_unspecified = False
        if again and changed.talks:
            self._members.report_again(changed, now_ms)

    def set_mac(self, interface: int, mac: str | bytes, now_ms: int) -> None:
        """The interface's own MAC address: what is decided from now on leaves from it. Raises InvalidAddress."""
        changed = self._interface(interface)
        octets = own_mac(mac)
        self._enter(now_ms)
        changed.mac = octets
        self._classifier.show(changed)
        self._new_template(changed)

    # Memberships

    def join(self, interface: int, groups: Addresses, now_ms: int, delay_ms: int = 0) -> None:
        """Listen to one multicast address, or to (N, 16) uint8 of them; an address twice in it counts twice.

        Only the first reference speaks: a Report, and its repeat within the Unsolicited Report Interval (RFC 2710
        section 4). delay_ms holds them back. Raises InvalidAddress, GroupTableFull, MemoryError: then nothing changed.
        """
        joined = self._interface(interface)
        octets = group_octets(groups)
        if not 0 <= operator.index(delay_ms) <= _LONGEST_DELAY_MS:
            raise ValueError(f"delay_ms is a whole number from 0 to {_LONGEST_DELAY_MS}, not {delay_ms}")
        table = self._members.table
        if table.count(interface) + len(octets) > joined.settings.max_groups:
            missing = octets[table.find(interface, octets) == NO_ROW]
            if table.count(interface) + len(np.unique(missing, axis=0)) > joined.settings.max_groups:
                raise GroupTableFull(f"{joined.name} listens to at most {joined.settings.max_groups} addresses")
        table.reserve(len(octets))
        self._enter(now_ms, local=True)
        self._members.join(joined, octets, operator.index(delay_ms), now_ms)

    def leave(self, interface: int, groups: Addresses, now_ms: int) -> None:
        """Take back one reference for one address, or for each of (N, 16) uint8. The last one sends Done (rule N11).

        Raises InvalidAddress, or NotListening, which names the first address that was not joined so often: then
        nothing changed.
        """
        left = self._interface(interface)
        octets = group_octets(groups)
        table = self._members.table
        rows = table.find(interface, octets)
        last = self._check_references(rows, octets)
        self._enter(now_ms, local=True)
        self._members.leave(left, rows, last, now_ms)

    def listen(
        self,
        interface: int,
        group: Addresses,
        mode: str,
        sources: Iterable[Address] | npt.NDArray[np.uint8] = (),
        *,
        listener: str = "0",
        now_ms: int,
    ) -> None:
        """Set the source filter of one local listener of one multicast address, or of each of (N, 16) uint8 (RFC 9777
        section 4).

        mode: "include", from these sources only, or "exclude", from all but these. sources: unicast addresses, or
        (N, 16) uint8. INCLUDE without sources ends the listener; of an address that nobody listens to that is no event.
        Listeners are told apart by name; join and leave are about others, which have none. Where MLDv1 is spoken only
        the first and the last listener of an address speak. Raises ValueError, InvalidAddress, TooManySources,
        GroupTableFull, MemoryError, or NotListening, which names a listener that was never there: then nothing changed.
        """
        heard = self._interface(interface)
        octets = group_octets(group)
        octets = octets[np.sort(np.unique(octets, axis=0, return_index=True)[1])] if len(octets) > 1 else octets
        asked = Filter(str(mode).lower(), source_octets(sources))
        if asked.mode not in (INCLUDE, EXCLUDE):
            raise ValueError(f"mode is include or exclude, not {mode!r}")
        if len(asked.sources) > heard.settings.max_sources:
            raise TooManySources(f"{heard.name} takes at most {heard.settings.max_sources} sources of one listener")
        table = self._members.table
        rows = table.find(interface, octets)
        there = rows != NO_ROW
        if asked == NOT_LISTENING:
            for n in np.flatnonzero(there).tolist():
                if not self._members.filters.has(int(rows[n]), str(listener)):
                    raise NotListening(f"{IPv6Address(octets[n].tobytes())} has no listener {listener}")
        elif not there.all():
            new = len(rows) - int(there.sum())
            if table.count(interface) + new > heard.settings.max_groups:
                raise GroupTableFull(f"{heard.name} listens to at most {heard.settings.max_groups} addresses")
            table.reserve(new)
        self._enter(now_ms, local=True)
        self._members.listen(heard, octets, str(listener), asked, now_ms)

    def leave_all(self, interface: int, now_ms: int) -> None:
        """End every listener of every address of an interface, those with a name too.

        What was said is taken back once, whatever the budget, as where the interface is set down: Dones, or a
        State-Change Report that is not said again.
        """
        left = self._interface(interface)
        self._enter(now_ms)
        self._members.leave_all(left, now_ms)

    def _check_references(self, rows: Rows, octets: npt.NDArray[np.uint8]) -> Rows:
        """The rows whose last anonymous listener goes, in the order in which it does. Raises NotListening."""
        references = self._members.table.references
        taken = np.zeros(len(rows), np.int64)  # how many references the addresses up to here take from this row
        order = np.argsort(rows, kind="stable")
        same = rows[order]
        starts = np.flatnonzero(np.append(True, same[1:] != same[:-1])) if len(rows) else np.empty(0, np.int64)
        counts = np.diff(np.append(starts, len(rows)))
        taken[order] = np.arange(1, len(rows) + 1) - np.repeat(starts, counts)
        held = np.where(rows == NO_ROW, 0, references[np.where(rows == NO_ROW, 0, rows)])
        held = held - self._members.filters.named(rows)
        wrong = np.flatnonzero(taken > held)
        if len(wrong):
            raise NotListening(f"{IPv6Address(octets[wrong[0]].tobytes())} was not joined, or not so often")
        leaving: Rows = rows[taken == held]
        return leaving

    # The way of a batch

    def receive(
        self, frames: FrameBatch, now_ms: int, kinds: npt.NDArray[np.uint8] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Take in a batch of frames that arrived at now_ms; (N,) uint8 verdicts, names in VERDICTS.

        kinds: (N,) uint8 to be filled with what each accepted frame is, names in KINDS. Never blocks, never sends.
        Raises UnknownInterface: then nothing was taken in.
        """
        n = len(frames)
        verdicts = np.empty(n, np.uint8)
        if kinds is not None and (kinds.shape != (n,) or kinds.dtype != np.uint8 or not kinds.flags.c_contiguous):
            raise ValueError(f"kinds is ({n},) uint8")
        interfaces = frames._interfaces
        if len(interfaces) not in (1, n):
            raise ValueError(f"{n} frames but {len(interfaces)} interfaces")
        self._enter(now_ms)
        if not n:
            return verdicts
        self._classifier.reserve(n)
        first, step, rest = 0, int(len(interfaces) > 1), frames
        while True:
            first += self._receive(rest, verdicts[first:], None if kinds is None else kinds[first:], now_ms)
            if first == n:
                return verdicts
            rest = FrameBatch(frames.buffer, frames.offsets[first:], frames.lengths[first:], interfaces[first * step :])

    def _receive(
        self, frames: FrameBatch, verdicts: npt.NDArray[np.uint8], kinds: npt.NDArray[np.uint8] | None, now_ms: int
    ) -> int:
        """Take in frames, up to one that changes a host compatibility mode; how many."""
        classifier = self._classifier
        classifier.classify(frames, verdicts, kinds)
        try:
            if (said := classifier.said(now_ms)) is not None:
                self._members.v1.hear(*said, now_ms)
            if (said_v2 := classifier.said_v2()) is not None:
                self._members.hear_v2(*said_v2, frames.buffer, now_ms)
        finally:
            classifier.settle()
        if not (end := classifier.switched):
            return len(verdicts)
        switched = self._members.interfaces[int(frames._interfaces[end - 1 if len(frames._interfaces) > 1 else 0])]
        self._members.switch_to_v1(switched, now_ms)
        self._classifier.show(switched)
        return end - 1

    def advance(self, now_ms: int) -> None:
        """Fire the timers that are due at now_ms or before, and send what the budget held back, as far as it goes."""
        self._enter(now_ms, advances=True)
        self._members.pay_debts(now_ms)

    def transmit(self, limit: int = 65536) -> FrameBatch:
        """What to send, in order: up to limit frames, which have left as far as the engine is concerned.

        The batch's times_ms says when each was due to leave. Empty: nothing may leave now.
        """
        if self._now_ms is not None:
            self._members.close(self._now_ms)
        taken = self._members.outbox.take(limit)
        frames = self._builder.build(taken, emptied=not self._members.outbox)
        self._members.tidy()
        return frames

    def next_deadline_ms(self) -> int | None:
        """When `advance` has something to do: a timer ends, or a token lets something out. None: nothing is pending."""
        return None if self._now_ms is None else self._members.next_ms(self._now_ms)

    # What there is to see

    def groups(self, interface: int) -> npt.NDArray[Any]:
        """The memberships of an interface in join order: a structured array of GROUPS.

        address (16,)u1, state u1 (names in STATES), last_reporter ?, deadline_ms i8 (NO_DEADLINE: no timer runs),
        references u4.
        """
        self._interface(interface)
        table = self._members.table
        rows = table.rows_of(interface)
        groups = np.empty(len(rows), GROUPS)
        for column in ("address", "deadline_ms", "references"):
            groups[column] = getattr(table, column)[rows]
        groups["state"] = SHOWN[table.state[rows]]
        groups["last_reporter"] = table.flags[rows] & LAST_REPORTER != 0
        return groups

    def filter(self, interface: int, group: Address) -> tuple[str, npt.NDArray[np.uint8]]:
        """What an interface asks for of one address: "include" or "exclude", and (N, 16) uint8, sorted.

        That is what its local listeners come to (RFC 9777 section 4.2). Raises NotListening.
        """
        self._interface(interface)
        octets = group_octets(group)
        row = int(self._members.table.find(interface, octets)[0])
        if row == NO_ROW:
            raise NotListening(f"{IPv6Address(octets[0].tobytes())} is not listened to")
        mode, sources = self._members.filters.of(row)
        return mode, np.frombuffer(b"".join(sorted(sources)), np.uint8).reshape(-1, 16)

    def status(self, interface: int) -> Status:
        """What an interface knows as a host: its mode, and what the Querier says of itself."""
        seen, hosts = self._interface(interface), self._members.hosts
        v2 = bool(hosts.v2[interface])
        until_ms = int(hosts.v1_until_ms[interface])
        querier = hosts.host["querier"][interface]
        return Status(
            "mldv2" if v2 else "mldv1",
            int(hosts.robustness[interface]),
            1000 * int(hosts.interval_s[interface]),
            str(IPv6Address(querier.tobytes())) if querier.any() and seen.mld_version != 1 else None,
            None if until_ms == NONE else until_ms,
        )

    def counters(self, interface: int) -> dict[str, int]:
        """Flat name -> count since the interface was added: "frames", each verdict, each kind, "sent_report",
        "sent_done", "sent_report2", and "deferred": Reports that had to wait for the budget. Further "v1_query_ignored"
        (mld_version=2), "v1_query_ssm": MLDv1 Queries for a source-specific address, "ssm_in_v1": such addresses that
        MLDv1 could not speak of, "ssm_exclude": joins of such an address that named no source.
        """
        seen = self._interface(interface)
        (verdicts, kinds), host = self._classifier.counts(interface), self._members.hosts.host[interface]
        return {
            "frames": sum(verdicts),
            **dict(zip(VERDICTS, verdicts, strict=True)),
            **{kind: count for kind, count in zip(KINDS, kinds, strict=True) if kind},
            "sent_report": seen.sent_report,
            "sent_done": seen.sent_done,
            "sent_report2": seen.sent_report2,
            "deferred": seen.deferred,
            "v1_query_ignored": int(host["v1_query_ignored"]),
            "v1_query_ssm": int(host["v1_query_ssm"]),
            "ssm_in_v1": seen.ssm_in_v1,
            "ssm_exclude": seen.ssm_exclude,
        }

    # What these are made of

    def _interface(self, index: int) -> Interface:
        try:
            return self._members.interfaces[operator.index(index)]
        except KeyError:
            raise UnknownInterface(f"there is no interface {index}") from None

    def _enter(self, now_ms: int, local: bool = False, advances: bool = False) -> None:
        """Take in what time it is, and fire the timers that were due before; if it advances, those that are due now.

        local: a join or the like: what those of one millisecond change is said together.
        """
        now_ms, before_ms = operator.index(now_ms), self._now_ms
        if now_ms == before_ms and local:
            return
        if abs(now_ms) > _FARTHEST_TIME_MS:
            raise ValueError(f"now_ms is a whole number of 62 bits, not {now_ms}")
        if before_ms is not None:
            if now_ms < before_ms:
                raise ClockWentBackwards(f"now_ms is {now_ms}, but {before_ms} has been")
            self._members.close(now_ms)
            if advances or now_ms > before_ms:
                self._members.expire(now_ms if advances else now_ms - 1, now_ms)
                self._show_switched()
        self._now_ms = now_ms

    def _change(self, interface: int, now_ms: int, *, done: bool, **changes: Any) -> None:
        changed = self._interface(interface)
        self._enter(now_ms)
        talked = changed.talks
        if talked and done and not changes["up"]:
            self._members.fall_silent(changed, now_ms, done=True)
        for name, value in changes.items():
            setattr(changed, name, value)
        if talked and not changed.talks and not done:
            self._members.fall_silent(changed, now_ms, done=False)
        elif changed.talks and not talked:
            self._members.report_again(changed, now_ms)
        self._classifier.show(changed)

    def _show_switched(self) -> None:
        """Tell C of interfaces that speak MLDv2 again."""
        for interface in self._members.take_switched():
            self._classifier.show(interface)

    def _new_template(self, interface: Interface) -> None:
        """Frames from now on are made of this; those that wait keep what they were decided with."""
        members = self._members
        latest = int(members.template_of[interface.index])
        members.template_of[interface.index] = self._builder.template(interface, latest, keep=members.anything_waits)
