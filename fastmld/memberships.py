"""The life of rows: they are joined, asked, answered for, left. Takes time and randomness from outside, sends nothing.

Around RFC 2710's transitions (listener_v1.py) stands what makes their cost follow change: bounds of the deadlines, that
tell what a General Query can move (an idle row's deadline is never), and a queue of rows that owe a Report for which
the budget had no token.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastmld._native import lib, pin
from fastmld.addresses import are_ssm, is_silent
from fastmld.batch import Folds
from fastmld.debts import Debts
from fastmld.groups import (
    LAST_REPORTER,
    LISTED_OVERDUE,
    LISTED_URGENT,
    NO_DEADLINE,
    NO_ROWS,
    REPEATS,
    REPORTED,
    GroupTable,
    Rows,
    each_once,
)
from fastmld.hosts import Hosts
from fastmld.interface import Interface
from fastmld.listener_v1 import ANSWERS, OUTCOMES, SET, STATE_OF_KEY, State, hear, move
from fastmld.outbox import Outbox, Outgoing
from fastmld.piles import by_interface
from fastmld.timers import Timers

Times = int | npt.NDArray[np.int64]
_UNLISTED = np.uint8(0xFF & ~(LISTED_OVERDUE | LISTED_URGENT))

_DELAYED = move(State.DELAYED_JOIN, lib.FASTMLD_TIMER_SET)
_ASKED = pin("fastmld_move[]", move(State.DELAYING, lib.FASTMLD_TIMER_DRAW))
_SAID_AND_ASKED = pin("fastmld_move[]", move(State.DELAYING, lib.FASTMLD_TIMER_DRAW, SET, REPEATS))
_SAID_AND_REPEATED = move(State.DELAYING, lib.FASTMLD_TIMER_DRAW, SET)
_SAID = pin("fastmld_move[]", move(State.IDLE, lib.FASTMLD_TIMER_STOP, SET, REPEATS))
_ANY_FLAG = 0xFF
_UNSAID = LAST_REPORTER | REPORTED | REPEATS
_OUTCOMES = pin("fastmld_move[]", OUTCOMES)


class Memberships:
    """All rows of all interfaces of an engine, and what is about to be said of them."""

    def __init__(self, seed: int, hosts: Hosts) -> None:
        self._hosts = hosts
        self.table = GroupTable(seed)
        self.outbox = Outbox()
        self.interfaces: dict[int, Interface] = {}
        self.timers = Timers(self.table)
        self._debts = Debts(self.table, self.interfaces)
        # By interface: the Unsolicited Report Interval; the template of its frames.
        self._interval_ms = np.zeros(1 << 16, np.int32)
        self.template_of = np.zeros(1 << 16, np.uint32)

    def add(self, interface: Interface) -> None:
        """Take in a new interface."""
        self.interfaces[interface.index] = interface
        self._interval_ms[interface.index] = interface.settings.unsolicited_report_interval_ms

    # Local calls, of one interface each

    def join(self, interface: Interface, addresses: npt.NDArray[np.uint8], delay_ms: int, now_ms: int) -> None:
        """Rules N10, N12, N13, N14."""
        table = self.table
        new = table.join(interface.index, addresses)
        interface.set_groups(table.count(interface.index))
        octets = table.addresses_of_last(len(new))
        silent = is_silent(octets)
        if interface.mld_version != 1:  # there are SSM addresses then, and MLDv1 cannot speak of them
            ssm = are_ssm(octets) & ~silent
            interface.ssm_in_v1 += int(ssm.sum())
            silent |= ssm
        table.state[new] = np.where(silent, np.uint8(State.SILENT), np.uint8(State.IDLE))
        speaking = new[~silent] if silent.any() else new
        if delay_ms > 0 and interface.kind != "loopback":
            self.table.write(speaking, _DELAYED, now_ms + delay_ms)
        elif interface.talks:
            self._start(interface, speaking, now_ms)

    def leave(self, interface: Interface, rows: Rows, now_ms: int) -> None:
        """Rule N11, for rows whose last reference goes, in the order in which they go."""
        table = self.table
        if interface.talks:
            self._say_done(interface, rows, now_ms)
        self._stop(rows, State.NON_LISTENER)
        table.release(interface.index, rows)
        interface.set_groups(table.count(interface.index))

    def report_again(self, interface: Interface, now_ms: int) -> None:
        """Report, with its repeat, everything that is not a delayed join (rules N15, N16)."""
        self._start(interface, self._speaking(interface), now_ms)

    def fall_silent(self, interface: Interface, now_ms: int, done: bool) -> None:
        """The interface stops talking: timers end, and what was said is taken back if `done` (rule N16)."""
        rows = self._speaking(interface)
        if done:
            self._say_done(interface, rows, now_ms)
        self._stop(rows, State.IDLE)
        self._debts.forget(interface.index)

    def forget(self, interface: Interface) -> None:
        """The interface is gone, and its rows with it. Nothing is said."""
        self._debts.forget(interface.index)
        rows = self.table.rows_of(interface.index).copy()
        self._stop(rows, State.NON_LISTENER)
        self.table.release(interface.index, rows)

    def take_over(self, interface: Interface, left: Rows, now_ms: int) -> None:
        """MLDv1 is spoken from now on: as if we had reported all of it last; of what was just left Dones are sent."""
        self.outbox.put(Outgoing(left, lib.FASTMLD_DONE, now_ms, self._templates(left)))
        self._rest(self._speaking(interface))

    # Frames

    def hear(self, folds: Folds, answers: Any, late: list[tuple[int, int, int, int]], now_ms: int) -> None:
        """Apply what classify found in a batch.

        folds, answers: of csrc/fastmld.h. late: what fastmld_find_late found, interfaces on which a General Query
        changes something.
        """
        try:
            pools = {interface: self._pool(interface, after_ms) for interface, _, _, after_ms in late}
            if len(answers):
                self._answer(answers, {i: pools[i] for i, zeros, _, _ in late if zeros}, now_ms)
                # Since classify looked, some rows may have come to owe a Report.
                folds = folds._replace(key=folds.key & ~STATE_OF_KEY | self.table.state[folds.row])
            if len(folds.row):
                self._hear_folds(folds, now_ms)
            for interface, zeros, delay_ms, _ in late:
                rows = pools[interface]
                if len(folds.row):  # what the batch says of rows that its frames named is known with that already
                    rows = rows[self.table.fold[rows] == 0]
                self._hear_general(rows, zeros, delay_ms, now_ms)
        except BaseException:  # rows that were taken and not moved on would be in no index, and deaf from then on
            self.reindex()
            raise

    def _pool(self, interface: int, after_ms: int) -> Rows:
        """The rows that a General Query moves: idle ones, whose deadlines are never, and timers that end too late.

        None but these has a deadline after after_ms. So a repeated Query finds none, and one number tells.
        """
        self.table.interface_latest_ms[interface] = after_ms
        return self.timers.later(interface, after_ms)

    def _hear_general(self, rows: Rows, zeros: int, delay_ms: int, now_ms: int) -> None:
        """Rows that a General Query moves, and no other frame of the batch."""
        if zeros:
            rows = rows[self.table.state[rows] != State.OWING]  # by now, for want of tokens
        if delay_ms > 0:
            self.table.write(rows, _SAID_AND_ASKED if zeros else _ASKED, now_ms, delay_ms)
        else:
            self._rest(rows)

    def _hear_folds(self, folds: Folds, now_ms: int) -> None:
        """The rows that frames of the batch named, with all that the batch says about each."""
        heard = hear(folds, now_ms)
        self.table.write(folds.row, _OUTCOMES, now_ms, folds.delay_ms, heard.outcome)

    def _answer(self, answers: Any, pools: dict[int, Rows], now_ms: int) -> None:
        """Queries with delay 0: each is answered at once, in the order of the Queries, while tokens last.

        Where they do not last, each row owes one Report, and rows that a specific Query named come first.
        """
        table = self.table
        general = answers["is_general"] != 0
        target = answers["target"]
        specific = ~general
        rows = target[specific]
        kept = np.ones(len(answers), np.bool_)
        kept[np.flatnonzero(specific)[~ANSWERS[table.state[rows]]]] = False
        kept[np.flatnonzero(general)[~np.isin(target[general], list(pools))]] = False

        owner = target.astype(np.int64)
        owner[specific] = table.interface[rows]
        short: list[tuple[Rows, Rows, int]] = []
        for index in each_once(owner[kept]).tolist():
            of_interface = kept & (owner == index)
            pool = pools.get(index, NO_ROWS)
            named = target[of_interface & specific]
            wanted = len(named) + len(pool) * int((of_interface & general).sum())
            budget = self.interfaces[index].budget
            if budget.unlimited or (index not in self._debts and wanted <= budget.available(now_ms)):
                budget.take(wanted, now_ms)
                continue
            kept &= ~of_interface
            named = each_once(named)
            others = pool[~np.isin(pool, named)]
            # What is owed already goes before the answers to General Queries.
            wanted = len(named) + (0 if index in self._debts else len(others))
            short.append((named, others, budget.take(wanted, now_ms)))

        position = 0
        target, general = target[kept], general[kept]
        for query in np.flatnonzero(general).tolist():
            self._put_reports(target[position:query], now_ms)
            self._put_reports(pools[int(target[query])], now_ms)
            position = query + 1
        self._put_reports(target[position:], now_ms)
        for named, others, granted in short:
            left = max(0, granted - len(named))
            self._put_reports(named[:granted], now_ms)
            self._put_reports(others[:left], now_ms)
            self._debts.owe(named[granted:], now_ms, urgent=True)
            self._debts.owe(others[left:], now_ms)

    # Time

    def expire(self, until_ms: int, now_ms: int) -> None:
        """Fire the timers that end by until_ms, each at its own millisecond. Tokens are those of now_ms.

        They are all MLDv1's: see `fire` where they are not.
        """
        said: list[tuple[Rows, Times]] = []
        try:
            while len(rows := self.timers.due(until_ms)):
                said.append(self._expired(rows, now_ms))
        except BaseException:
            self.reindex()
            raise
        if len(said) == 1:
            self._put_reports(*said[0])
        elif said:
            rows = np.concatenate([rows for rows, _ in said])
            times_ms = np.concatenate([np.broadcast_to(times_ms, rows.shape) for rows, times_ms in said])
            order = np.lexsort((rows, times_ms))
            self._put_reports(rows[order], times_ms[order])

    def fire(self, rows: Rows, now_ms: int) -> None:
        """Some of the timers that were taken last, all of which ended in one millisecond, in order."""
        if len(rows):
            self._put_reports(*self._expired(rows, now_ms))

    def _expired(self, rows: Rows, now_ms: int) -> tuple[Rows, Times]:
        """Timers that ended, in order, as they were taken last: what is said of which rows, and when."""
        table, taken = self.table, self.timers.taken
        flags = taken.flags
        if taken.states >> State.DELAYED_JOIN & 1:
            joins = table.state[rows] == State.DELAYED_JOIN
            rows = np.sort(np.concatenate((self._end_delay(rows[joins]), rows[~joins])))
            rows = rows[np.argsort(table.deadline_ms[rows], kind="stable")]
            flags |= REPEATS
        times_ms = taken.first_ms if taken.first_ms == taken.last_ms else table.deadline_ms[rows]
        return self._fire(rows, times_ms, now_ms, flags)

    def pay_debts(self, now_ms: int) -> None:
        """Send what is owed, oldest first, as far as the tokens of now_ms go."""
        for rows in self._debts.pay(now_ms) if self._debts else ():
            self._put_reports(*self._say(rows, now_ms))

    def next_ms(self, now_ms: int) -> int | None:
        """When expire or pay_debts will have something to do; None: never, unless something is heard."""
        timer_ms = self.timers.next_ms()
        token_ms = self._debts.next_ms(now_ms) if self._debts else None
        return timer_ms if token_ms is None else token_ms if timer_ms is None else min(timer_ms, token_ms)

    # What these are made of

    def _speaking(self, interface: Interface) -> Rows:
        """The rows of an interface that messages are sent for, now or when it talks again: no delayed joins."""
        rows = self.table.rows_of(interface.index)
        states = self.table.state[rows]
        speaking: Rows = rows[(states != State.DELAYED_JOIN) & (states != State.SILENT)]
        return speaking

    def _start(self, interface: Interface, rows: Rows, now_ms: int) -> None:
        """Start listening: a Report, and its repeats (rule N10). That is a timer which ends at once."""
        self._will_repeat(interface, rows)
        self._put_reports(*self._fire(rows, now_ms, now_ms))

    def _will_repeat(self, interface: Interface, rows: Rows) -> None:
        repeats = 0 if interface.link_local is None else interface.settings.unsolicited_report_repeats
        self.table.repeats[rows] = repeats
        if repeats:
            self.table.flags[rows] |= REPEATS
        else:
            self.table.flags[rows] &= 0xFF & ~REPEATS

    def _end_delay(self, rows: Rows) -> Rows:
        """Delayed joins whose delay is over: those that start listening. Where nothing can be said they are Idle."""
        table = self.table
        starting = []
        for index, members in by_interface(table, rows):
            interface = self.interfaces[index]
            if interface.mld_version != 1:  # it was MLDv2's when they were joined
                ssm = are_ssm(table.address[members])
                self._stop(members[ssm], State.SILENT)
                members = members[~ssm]
            if interface.talks:
                self._will_repeat(interface, members)
                starting.append(members)
            else:
                self._stop(members, State.IDLE)
        return np.concatenate(starting) if starting else NO_ROWS

    def _fire(self, rows: Rows, times_ms: Times, now_ms: int, flags: int = _ANY_FLAG) -> tuple[Rows, Times]:
        """Timers that ended, in order: those that are granted a Report are taken as said, the others owe it."""
        granted = self._debts.grant(rows, now_ms)
        if granted is not None:
            owing = ~granted
            self._debts.owe(rows[owing], times_ms if isinstance(times_ms, int) else times_ms[owing])
            rows, times_ms = rows[granted], times_ms if isinstance(times_ms, int) else times_ms[granted]
        return self._say(rows, times_ms, flags)

    def _say(self, rows: Rows, times_ms: Times, flags: int = _ANY_FLAG) -> tuple[Rows, Times]:
        """The state after a Report on expiry: Idle, or Delaying while repeats are left (rules N8, N10).

        flags: those that any of the rows may have.
        """
        if not flags & REPEATS:
            self._rest(rows)
            return rows, times_ms
        table = self.table
        again = table.flags[rows] & REPEATS != 0
        repeating, from_ms = rows, times_ms
        if not again.all():
            self._rest(rows[~again])
            repeating, from_ms = rows[again], times_ms if isinstance(times_ms, int) else times_ms[again]
        table.repeats[repeating] -= 1
        table.flags[repeating[table.repeats[repeating] == 0]] &= 0xFF & ~REPEATS
        sole = table.sole_interface
        intervals = self._interval_ms
        within_ms = intervals[table.interface[repeating]] if sole is None else int(intervals[sole])
        table.write(repeating, _SAID_AND_REPEATED, from_ms, within_ms)
        return rows, times_ms

    def _rest(self, rows: Rows) -> None:
        """Something was said of these rows, and no timer runs on."""
        self.table.write(rows, _SAID)

    def _stop(self, rows: Rows, state: State) -> None:
        """End timers where nothing follows from it, and take back what was said."""
        self.table.write(rows, move(state, lib.FASTMLD_TIMER_STOP, clear=_UNSAID))

    def _put_reports(self, rows: Rows, times_ms: Times) -> None:
        if len(rows):
            self.outbox.put(Outgoing(rows, lib.FASTMLD_REPORT, times_ms, self._templates(rows)))

    def _templates(self, rows: Rows) -> int | npt.NDArray[np.uint32]:
        owners = by_interface(self.table, rows)
        for index, _ in owners:
            interface = self.interfaces[index]
            if interface.link_local is None:
                interface.reported_unspecified = True
        if len(owners) == 1:
            return int(self.template_of[index])
        return np.asarray(self.template_of[self.table.interface[rows]])

    def _say_done(self, interface: Interface, rows: Rows, now_ms: int) -> None:
        told = REPORTED if interface.settings.done_always else LAST_REPORTER
        rows = rows[self.table.flags[rows] & told != 0]
        self.outbox.put(Outgoing(rows, lib.FASTMLD_DONE, now_ms, int(self.template_of[interface.index])))

    def compact(self, departed: Rows) -> npt.NDArray[np.uint32]:
        """Renumber the rows, and make every index of them anew. departed: MLDv2's. The new row of each old one."""
        table = self.table
        urgent, overdue = self._debts.take_all()
        moved = table.compact(departed)
        rows = np.arange(table.used, dtype=np.uint32)
        table.flags[rows] &= _UNLISTED
        self._debts.restore(moved[urgent], moved[overdue])
        self.reindex()
        return moved

    def reindex(self) -> None:
        """Make the indices over the columns anew: rows were renumbered, or something went wrong on the way."""
        self.timers.rebuild()
        self.table.interface_latest_ms[:] = NO_DEADLINE  # the next General Query tells
