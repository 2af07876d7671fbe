"""The life of rows where MLDv2 is spoken: they are joined, asked, answered for, left. Sends nothing itself.

Three things may be under way on an interface: state changes to say again, answers to Queries for one address, and one
answer to General Queries. An agenda knows when the first of each comes; the second are timers of rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastmld._native import lib
from fastmld.addresses import are_ssm, is_silent
from fastmld.agenda import Agenda
from fastmld.constants import CHANGE_TO_INCLUDE_MODE
from fastmld.filters import Filters
from fastmld.general_answers import GeneralAnswers
from fastmld.groups import FILTERED, NO_DEADLINE, NO_ROWS, GroupTable, Rows
from fastmld.hosts import Hosts
from fastmld.interface import Interface
from fastmld.listener_v1 import State, move
from fastmld.listener_v2 import NOT_LISTENING, last_words
from fastmld.outbox import Outbox
from fastmld.piles import by_interface
from fastmld.reportable import Reportable
from fastmld.speaker import Speaker
from fastmld.specific_answers import SpecificAnswers
from fastmld.state_changes import StateChanges
from fastmld.timers import Timers

_DELAYED = move(State.DELAYED_JOIN, lib.FASTMLD_TIMER_SET)
_LEFT = move(State.NON_LISTENER, lib.FASTMLD_TIMER_STOP)
_TO_INCLUDE = np.array([CHANGE_TO_INCLUDE_MODE], np.uint8)


class MembershipsV2:
    """All rows of all interfaces in MLDv2 mode, and what is about to be said of them."""

    def __init__(
        self,
        seed: int,
        table: GroupTable,
        outbox: Outbox,
        interfaces: dict[int, Interface],
        template_of: npt.NDArray[np.uint32],
        hosts: Hosts,
        filters: Filters,
        timers: Timers,
    ) -> None:
        self._table = table
        self._interfaces = interfaces
        self._hosts = hosts
        self._filters = filters
        self._timers = timers
        self._agenda = Agenda()
        self._speaker = Speaker(outbox, template_of)
        self._reportable = Reportable(table, filters, hosts)
        self._changes = StateChanges(table, interfaces, hosts, filters, self._speaker, self._agenda)
        self._specific = SpecificAnswers(seed, table, filters, self._reportable, self._speaker)
        self._general = GeneralAnswers(table, hosts, self._reportable, self._speaker, self._specific)

    # Local calls, of one interface each

    def join(self, interface: Interface, addresses: npt.NDArray[np.uint8], delay_ms: int, now_ms: int) -> None:
        """One anonymous listener more for each address."""
        table = self._table
        new = table.join(interface.index, addresses)
        interface.set_groups(table.count(interface.index))
        octets = table.addresses_of_last(len(new))
        silent = is_silent(octets)
        table.state[new] = np.where(silent | are_ssm(octets), np.uint8(State.SILENT), np.uint8(State.IDLE))
        speaking = new[~silent] if silent.any() else new
        if delay_ms > 0 and interface.kind != "loopback":
            self._changes.take_over(interface, speaking, forget=True)
            self._delay(speaking, now_ms + delay_ms)
        elif interface.talks:
            self._changes.take_over(interface, speaking)
            asking = new[(table.state[new] != State.SILENT) & (table.flags[new] & FILTERED == 0)]
            self._changes.appear(interface, asking)
            self._changes.mark(interface, asking, now_ms)

    def leave(self, interface: Interface, rows: Rows, now_ms: int) -> None:
        """Rows whose last listener goes, in the order in which they go."""
        table = self._table
        index = interface.index
        saying = self._reportable.which(rows) & interface.talks
        table.repeats[rows] = np.where(saying, self._hosts.robustness_of(index), 0)
        grouped = rows[self._filters.positions(rows)]
        for row, said in zip(grouped.tolist(), self._changes.are_said(interface, grouped).tolist(), strict=True):
            group = self._filters.open(row)
            old, group.now = group.now, NOT_LISTENING
            group.listeners.clear()
            table.repeats[row] = 0
            if said:
                self._changes.change(interface, row, old, NOT_LISTENING)
                table.repeats[row] = group.unsaid.most
            self._filters.settle(row)
        self._specific.forget(rows)
        self._reportable.forget(rows)
        table.write(rows, _LEFT)
        table.release(index, rows)
        interface.set_groups(table.count(index))
        self._changes.depart(interface, rows, now_ms)

    def recount(self, interface: Interface, rows: Rows, now_ms: int) -> None:
        """The listeners of those of these rows that have groups are not what they were."""
        rows = rows[self._filters.positions(rows)]
        counted = [self._filters.count(row) for row in rows.tolist()]
        self._reportable.hush(rows)
        changed = []
        said = self._changes.are_said(interface, rows).tolist()
        for row, says, (old, new) in zip(rows.tolist(), said, counted, strict=True):
            if says and self._changes.change(interface, row, old, new):
                changed.append(row)
            self._filters.settle(row)
        self._changes.mark(interface, np.array(changed, np.uint32), now_ms)

    def open(self, interface: Interface, addresses: npt.NDArray[np.uint8]) -> Rows:
        """New rows, whose first listeners are named ones. What is unsaid of those that were left before goes on."""
        table = self._table
        rows = table.join(interface.index, addresses)
        interface.set_groups(table.count(interface.index))
        silent = is_silent(addresses)
        table.state[rows] = np.where(silent | are_ssm(addresses), State.SILENT, State.IDLE)
        if interface.talks:
            self._changes.take_over(interface, rows[~silent], all_of_them=True)
        for row in rows.tolist():
            self._filters.open(row).now = NOT_LISTENING
        return rows

    def report_again(self, interface: Interface, now_ms: int) -> None:
        """Everything that can be reported, as if it had just been joined."""
        rows = self._reportable.rows_of(interface)
        self._changes.appear(interface, rows)
        self._changes.mark(interface, rows, now_ms)

    def fall_silent(self, interface: Interface, now_ms: int, done: bool) -> None:
        """The interface stops talking, and takes back what it said if `done`."""
        if done:
            rows = self._reportable.rows_of(interface)
            special = [
                (position, [last_words(self._filters.of(int(rows[position])))])
                for position in self._filters.positions(rows).tolist()
            ]
            self._speaker.say_unlimited(interface, rows, _TO_INCLUDE, special, now_ms)
        self.stop(interface)

    def stop(self, interface: Interface) -> Rows:
        """Nothing is under way on an interface any more, delayed joins apart. The rows that were left, in order."""
        table = self._table
        index = interface.index
        self._agenda.forget(index)
        self._speaker.forget(index)
        self._general.stop(index)
        rows = table.rows_of(index)
        self._specific.stop(rows[table.state[rows] == State.DELAYING])
        self._forget_changes(rows)
        return self._changes.stop(index)

    def _forget_changes(self, rows: Rows) -> None:
        self._table.repeats[rows] = 0
        for position in self._filters.positions(rows).tolist():
            self._filters.say_nothing(int(rows[position]))

    def _delay(self, rows: Rows, until_ms: int) -> None:
        self._table.write(rows, _DELAYED, until_ms)
        self._specific.latest_ms = max(self._specific.latest_ms, until_ms)

    # The host compatibility mode

    def hush_all(self, interface: Interface) -> int:
        """MLDv1 cannot speak of SSM addresses. How many there are that MLDv2 could speak of."""
        rows = self._table.rows_of(interface.index)
        octets = self._table.address[rows]
        ssm = are_ssm(octets) & ~is_silent(octets)
        hushed = rows[ssm]
        self._table.state[hushed[self._table.state[hushed] != State.DELAYED_JOIN]] = State.SILENT
        return len(hushed)

    def unhush_all(self, interface: Interface) -> None:
        """MLDv2 is spoken again."""
        rows = self._table.rows_of(interface.index)
        self._forget_changes(rows)
        self._reportable.hush(rows[self._filters.positions(rows)])
        delayed = rows[self._table.state[rows] == State.DELAYED_JOIN]
        latest_ms = int(self._table.deadline_ms[delayed].max(initial=-NO_DEADLINE))
        self._specific.latest_ms = max(self._specific.latest_ms, latest_ms)

    # Frames

    def hear(
        self, queries: npt.NDArray[np.void], heard: npt.NDArray[np.uint32], buffer: npt.NDArray[np.uint8], now_ms: int
    ) -> None:
        """Apply what classify found in a batch: Queries for one address, and the interfaces that heard any Query."""
        delay_ms = self._hosts.host["general_ms"][heard].astype(np.int64)
        general = np.flatnonzero(delay_ms)
        if len(general):
            asked = heard[general]
            before = self._hosts.pending_ms[asked]
            self._hosts.ask(asked, delay_ms[general], now_ms)
            for index in asked[self._hosts.pending_ms[asked] < before].tolist():
                self._agenda.expect(index, int(self._hosts.pending_ms[index]))
        if len(queries):
            self._specific.hear(queries, buffer, now_ms)

    # Time

    def close(self, now_ms: int) -> None:
        """Local calls are over for now: what they changed is said."""
        self._changes.close(now_ms)

    def pay(self, now_ms: int) -> None:
        """Send what waits for the budget, as far as the tokens of now_ms go."""
        for index in self._speaker.interfaces():
            self._speaker.pay(self._interfaces[index], now_ms)
        self.close(now_ms)

    @property
    def latest_timer_ms(self) -> int:
        """No timer of a row ends later."""
        return self._specific.latest_ms

    def next_ms(self) -> int | None:
        """When there is something to do besides the timers of rows; None: never, unless something is heard."""
        return self._agenda.next_ms()

    def next_token_ms(self, now_ms: int) -> int | None:
        """When the budget lets something out that waits for it; None: nothing waits."""
        waiting = self._speaker.interfaces()
        return min((self._interfaces[index].budget.next_ms(now_ms) for index in waiting), default=None)

    def expire_at(self, at_ms: int, rows: Rows, until_ms: int, now_ms: int) -> None:
        """Do what is due in one millisecond; rows: those whose timers end. Tokens are those of now_ms.

        What follows by until_ms is done as well where nothing else could come between.
        """
        due = dict(by_interface(self._table, np.sort(rows)))
        for index in self._agenda.take(at_ms):
            due.setdefault(index, NO_ROWS)
        if len(due) > 1:
            until_ms = at_ms
        for index in sorted(due):
            self._expire_interface(self._interfaces[index], due[index], at_ms, until_ms, now_ms)

    def _expire_interface(self, interface: Interface, rows: Rows, at_ms: int, until_ms: int, now_ms: int) -> None:
        """In one millisecond: delayed joins, retransmissions, answers to Queries for one address, to General ones."""
        index = interface.index
        if index in self._speaker:
            if not self._speaker.pay(interface, now_ms):
                self._postpone(interface, rows, now_ms)
                return
            at_ms = now_ms
        states = self._table.state[rows]
        self._end_delay(interface, rows[states == State.DELAYED_JOIN], at_ms, now_ms)
        self._changes.retransmit(interface, at_ms, now_ms)
        answering = rows[states == State.DELAYING]
        if len(answering):
            self._specific.say(interface, answering, at_ms, now_ms)
        self._general.begin(interface, at_ms)
        others = (self._agenda.next_ms(), self._timers.next_ms(), self._changes.next_ms(index))
        until_ms = min([until_ms] + [ms - 1 for ms in others if ms is not None])
        self._general.go_on(interface, at_ms, until_ms, now_ms)
        self._expect(index)

    def _expect(self, index: int) -> None:
        next_ms = min(self._changes.next_ms(index), self._general.next_ms(index))
        if next_ms != NO_DEADLINE:
            self._agenda.expect(index, next_ms)

    def _end_delay(self, interface: Interface, rows: Rows, at_ms: int, now_ms: int) -> None:
        """Delayed joins whose delay is over are joined now; what cannot be said is not."""
        if not len(rows):
            return
        table = self._table
        self._specific.stop(rows)
        table.state[rows[are_ssm(table.address[rows])]] = State.SILENT
        self._reportable.hush(rows[self._filters.positions(rows)])
        if interface.talks:
            saying = rows[table.state[rows] != State.SILENT]
            self._changes.appear(interface, saying)
            self._changes.say_at_once(interface, saying, at_ms, now_ms)

    def _postpone(self, interface: Interface, rows: Rows, now_ms: int) -> None:
        """Nothing is decided before what waits for the budget has left."""
        resume_ms = self._speaker.paid_ms(interface, now_ms)
        answering = rows[self._table.state[rows] == State.DELAYING]
        self._specific.set(answering, np.full(len(answering), resume_ms, np.int64))
        self._delay(rows[self._table.state[rows] == State.DELAYED_JOIN], resume_ms)
        self._agenda.expect(interface.index, resume_ms)

    def reindex(self, now_ms: int) -> None:
        """Something went wrong on the way: make every index anew, so that no interface is mute."""
        self._changes.reindex(now_ms)
        self._general.reindex(now_ms)
        for index in self._interfaces:
            self._expect(index)

    # Renumbering

    @property
    def can_move(self) -> bool:
        """Whether rows may be renumbered: no Report waits that names them."""
        return not self._changes.wait and not self._speaker

    def take_all(self) -> tuple[Rows, Rows]:
        """Before the table is compacted: rows that were left, and rows of which something is unsaid."""
        return self._changes.take_all()

    def restore(self, moved: npt.NDArray[np.uint32], departed: Rows, unsaid: Rows) -> None:
        """The table was compacted: make every index of its rows anew. departed, unsaid: what take_all gave."""
        self._changes.restore(moved, departed, unsaid)
        self._filters.renumber(moved)
        self._reportable.renumber(moved)
        self._specific.renumber(moved)
        self._general.renumber(moved)
