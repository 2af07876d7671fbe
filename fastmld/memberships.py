"""The life of rows: they are joined, asked, answered for, left. Takes time and randomness from outside, sends nothing.

Around RFC 2710's transitions (listener_v1.py) stands what makes their cost follow change: per interface an upper bound
of the deadlines and a pile of rows that became idle (what a General Query can move), and a queue of rows that owe a
Report for which the budget had no token.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastmld import _native
from fastmld._native import lib
from fastmld.addresses import is_silent
from fastmld.batch import Folds
from fastmld.debts import Debts
from fastmld.groups import (
    LAST_REPORTER,
    LISTED_IDLE,
    LISTED_OVERDUE,
    LISTED_URGENT,
    NO_ROWS,
    REPEATS,
    REPORTED,
    GroupTable,
    Rows,
)
from fastmld.interface import Interface
from fastmld.listener_v1 import ANSWERS, OUTCOMES, RESTS, SET, STATE_OF_KEY, State, hear, move
from fastmld.outbox import Outbox, Outgoing
from fastmld.piles import Pile, by_interface
from fastmld.timers import Timers

Times = int | npt.NDArray[np.int64]
_NO_BOUND = int(np.iinfo(np.int64).min)
_UNLISTED = np.uint8(0xFF & ~(LISTED_IDLE | LISTED_OVERDUE | LISTED_URGENT))

_DELAYED = move(State.DELAYED_JOIN, lib.FASTMLD_TIMER_SET)
_ASKED = move(State.DELAYING, lib.FASTMLD_TIMER_DRAW)
_SAID_AND_ASKED = move(State.DELAYING, lib.FASTMLD_TIMER_DRAW, SET, REPEATS)
_SAID_AND_REPEATED = move(State.DELAYING, lib.FASTMLD_TIMER_DRAW, SET)
_SAID = move(State.IDLE, lib.FASTMLD_TIMER_STOP, SET, REPEATS)
_UNSAID = LAST_REPORTER | REPORTED | REPEATS
# Whoever becomes idle is listed, so that the next General Query finds it.
_LISTING = OUTCOMES.copy()
_LISTING["set"][RESTS] |= LISTED_IDLE
_SAID["set"] |= LISTED_IDLE


class Memberships:
    """All rows of all interfaces of an engine, and what is about to be said of them."""

    def __init__(self, seed: int) -> None:
        self.table = GroupTable(seed)
        self.outbox = Outbox()
        self.interfaces: dict[int, Interface] = {}
        self._timers = Timers(self.table)
        self._idle = Pile(self.table, LISTED_IDLE)
        self._debts = Debts(self.table, self.interfaces)
        # By interface: no timer ends later; the Unsolicited Report Interval; the template of its frames.
        self._bound_ms = np.full(1 << 16, _NO_BOUND, np.int64)
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
        silent = is_silent(table.address[new])
        table.state[new[silent]] = State.SILENT
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
        self._idle.take(interface.index)
        self._debts.forget(interface.index)
        self._bound_ms[interface.index] = _NO_BOUND

    def forget(self, interface: Interface) -> None:
        """The interface is gone, and its rows with it. Nothing is said."""
        self._idle.take(interface.index)
        self._debts.forget(interface.index)
        self._bound_ms[interface.index] = _NO_BOUND
        rows = self.table.rows_of(interface.index).copy()
        self._stop(rows, State.NON_LISTENER)
        self.table.release(interface.index, rows)

    def tidy(self) -> None:
        """Close the gaps that leaving made, when they are many and no message waits that names a row by its number."""
        if self.table.is_sparse and not self.outbox:
            self._compact()

    # Frames

    def hear(self, folds: Folds, answers: Any, asked: Any, records: Any, now_ms: int) -> None:
        """Apply what classify found in a batch.

        folds, answers: of csrc/fastmld.h. asked: interfaces that heard a General Query; records: theirs, with the
        folded Queries in zeros and delay_ms.
        """
        try:
            pools = self._pools(asked, records, now_ms) if len(asked) else {}
            if len(answers):
                self._answer(answers, {i: pool for i, (pool, zeros, _) in pools.items() if zeros}, now_ms)
                # Since classify looked, some rows may have come to owe a Report.
                folds = folds._replace(key=folds.key & ~STATE_OF_KEY | self.table.state[folds.row])
            if len(folds.row):
                self._hear_folds(folds, now_ms)
            for interface, (pool, zeros, delay_ms) in pools.items():
                self._hear_general(interface, pool, zeros, delay_ms, now_ms)
        except BaseException:  # rows that were taken and not moved on would be in no index, and deaf from then on
            self._reindex()
            raise

    def _pools(self, asked: Any, records: Any, now_ms: int) -> dict[int, tuple[Rows, int, int]]:
        """For each interface on which a General Query changes something: the rows it moves, its zeros, its delay.

        It changes nothing where no row is idle and no timer ends after the delay: two numbers tell.
        """
        table = self.table
        zeros, delays = records["zeros"], records["delay_ms"].astype(np.int64)
        bounds = self._bound_ms[asked]
        quiet = ~self._idle.waiting[asked] & np.where(zeros > 0, bounds < now_ms, now_ms + delays >= bounds)
        pools = {}
        for n in np.flatnonzero(~quiet).tolist():
            interface, zero, delay_ms = int(asked[n]), int(zeros[n]), int(delays[n])
            listed = self._idle.take(interface)
            self._idle.add(listed[table.fold[listed] != 0])  # what the batch says of those is known with that bit
            idle = listed[table.state[listed] == State.IDLE]
            after_ms = now_ms - 1 if zero else now_ms + delay_ms
            later = self._timers.later(interface, after_ms) if after_ms < bounds[n] else NO_ROWS
            pool = np.concatenate((idle, later))
            if zero:
                pool = np.sort(pool)  # they are answered for in this order
            pools[interface] = pool, zero, delay_ms
            self._bound_ms[interface] = now_ms + delay_ms if delay_ms > 0 else now_ms - 1
        return pools

    def _hear_general(self, interface: int, pool: Rows, zeros: int, delay_ms: int, now_ms: int) -> None:
        """The rows of a pool that no frame of the batch named: all of them are idle, or their timers end too late."""
        table = self.table
        rows = pool[table.fold[pool] == 0]
        if zeros:
            rows = rows[table.state[rows] != State.OWING]  # by now, for want of tokens
        if delay_ms > 0:
            self.table.write(rows, _SAID_AND_ASKED if zeros else _ASKED, now_ms, delay_ms)
        else:
            self._rest(rows)

    def _hear_folds(self, folds: Folds, now_ms: int) -> None:
        """The rows that frames of the batch named, with all that the batch says about each."""
        heard = hear(folds, now_ms)
        rested = self.table.write(folds.row, _LISTING, now_ms, folds.delay_ms, heard.outcome, LISTED_IDLE)
        self._idle.append(rested)
        self._raise_bounds(folds.row, now_ms, folds.delay_ms * heard.starts)

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
        for index in np.unique(owner[kept]).tolist():
            of_interface = kept & (owner == index)
            pool = pools.get(index, NO_ROWS)
            named = target[of_interface & specific]
            wanted = len(named) + len(pool) * int((of_interface & general).sum())
            budget = self.interfaces[index].budget
            if budget.unlimited or (index not in self._debts and wanted <= budget.available(now_ms)):
                budget.take(wanted, now_ms)
                continue
            kept &= ~of_interface
            named = np.unique(named)
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
        """Fire the timers that end by until_ms, each at its own millisecond. Tokens are those of now_ms."""
        said: list[tuple[Rows, npt.NDArray[np.int64]]] = []
        try:
            while len(rows := self._timers.due(until_ms)):
                said.append(self._expired(rows, now_ms))
        except BaseException:
            self._reindex()
            raise
        if not said:
            return
        rows, times_ms = said[0]
        if len(said) > 1:
            rows, times_ms = (np.concatenate(columns) for columns in zip(*said, strict=True))
            order = np.lexsort((rows, times_ms))
            rows, times_ms = rows[order], times_ms[order]
        self._put_reports(rows, times_ms)

    def _expired(self, rows: Rows, now_ms: int) -> tuple[Rows, npt.NDArray[np.int64]]:
        """Timers that ended, in order: what is said of which rows, and when."""
        table = self.table
        joins = table.state[rows] == State.DELAYED_JOIN
        if joins.any():
            rows = np.sort(np.concatenate((self._end_delay(rows[joins]), rows[~joins])))
            rows = rows[np.argsort(table.deadline_ms[rows], kind="stable")]
        fired, times_ms = self._fire(rows, table.deadline_ms[rows], now_ms)
        return fired, np.asarray(times_ms)

    def pay_debts(self, now_ms: int) -> None:
        """Send what is owed, oldest first, as far as the tokens of now_ms go."""
        for rows in self._debts.pay(now_ms):
            self._put_reports(*self._say(rows, now_ms))

    def next_ms(self, now_ms: int) -> int | None:
        """When expire or pay_debts will have something to do; None: never, unless something is heard."""
        ends = (self._timers.next_ms(), self._debts.next_ms(now_ms))
        return min((ms for ms in ends if ms is not None), default=None)

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
            if self.interfaces[index].talks:
                self._will_repeat(self.interfaces[index], members)
                starting.append(members)
            else:
                self._stop(members, State.IDLE)
        return np.concatenate(starting) if starting else NO_ROWS

    def _fire(self, rows: Rows, times_ms: Times, now_ms: int) -> tuple[Rows, Times]:
        """Timers that ended, in order: those that are granted a Report are taken as said, the others owe it."""
        granted = self._debts.grant(rows, now_ms)
        if not granted.all():
            owing = ~granted
            self._debts.owe(rows[owing], times_ms if isinstance(times_ms, int) else times_ms[owing])
            rows, times_ms = rows[granted], times_ms if isinstance(times_ms, int) else times_ms[granted]
        return self._say(rows, times_ms)

    def _say(self, rows: Rows, times_ms: Times) -> tuple[Rows, Times]:
        """The state after a Report on expiry: Idle, or Delaying while repeats are left (rules N8, N10)."""
        table = self.table
        again = table.flags[rows] & REPEATS != 0
        if not again.any():
            self._rest(rows)
            return rows, times_ms
        self._rest(rows[~again])
        repeating = rows[again]
        table.repeats[repeating] -= 1
        table.flags[repeating[table.repeats[repeating] == 0]] &= 0xFF & ~REPEATS
        from_ms = times_ms if isinstance(times_ms, int) else times_ms[again]
        intervals_ms = self._interval_ms[table.interface[repeating]]
        self.table.write(repeating, _SAID_AND_REPEATED, from_ms, intervals_ms)
        self._raise_bounds(repeating, from_ms, intervals_ms)
        return rows, times_ms

    def _rest(self, rows: Rows) -> None:
        """Something was said of these rows, and no timer runs on."""
        self._idle.append(self.table.write(rows, _SAID, watched=LISTED_IDLE))

    def _raise_bounds(self, rows: Rows, now_ms: Times, delays_ms: npt.NDArray[np.int32]) -> None:
        """Timers were started at now_ms that end within delays_ms, where that is not 0."""
        sole = self.table.sole_interface
        if sole is None:
            until_ms = np.asarray(now_ms, np.int64) + delays_ms
            np.maximum.at(self._bound_ms, self.table.interface[rows], until_ms)
        elif len(rows):
            latest_ms = now_ms if isinstance(now_ms, int) else int(now_ms.max())
            self._bound_ms[sole] = max(int(self._bound_ms[sole]), latest_ms + int(delays_ms.max()))

    def _stop(self, rows: Rows, state: State) -> None:
        """End timers where nothing follows from it, and take back what was said."""
        self.table.write(rows, move(state, lib.FASTMLD_TIMER_STOP, clear=_UNSAID))

    def _put_reports(self, rows: Rows, times_ms: Times) -> None:
        if len(rows):
            templates = self._templates(rows)
            self.outbox.put(Outgoing(rows, _native.lib.FASTMLD_REPORT, times_ms, templates))

    def _templates(self, rows: Rows) -> int | npt.NDArray[np.uint32]:
        owners = by_interface(self.table, rows)
        for index, _ in owners:
            interface = self.interfaces[index]
            interface.reported_unspecified |= interface.link_local is None
        if len(owners) == 1:
            return int(self.template_of[owners[0][0]])
        return np.asarray(self.template_of[self.table.interface[rows]])

    def _say_done(self, interface: Interface, rows: Rows, now_ms: int) -> None:
        told = REPORTED if interface.settings.done_always else LAST_REPORTER
        rows = rows[self.table.flags[rows] & told != 0]
        self.outbox.put(Outgoing(rows, lib.FASTMLD_DONE, now_ms, int(self.template_of[interface.index])))

    def _compact(self) -> None:
        """Renumber the rows, and make every index of them anew."""
        table = self.table
        urgent, overdue = self._debts.take_all()
        moved = table.compact()
        rows = np.arange(table.used, dtype=np.uint32)
        table.flags[rows] &= _UNLISTED
        self._debts.restore(moved[urgent], moved[overdue])
        self._reindex()

    def _reindex(self) -> None:
        """Make the indices over the columns anew: rows were renumbered, or something went wrong on the way."""
        table = self.table
        self._timers.rebuild()
        self._idle.clear()
        table.flags[: table.used] &= 0xFF & ~LISTED_IDLE
        idle = np.flatnonzero((table.state[: table.used] == State.IDLE) & (table.references[: table.used] != 0))
        for index, members in by_interface(table, idle.astype(np.uint32)):
            if self.interfaces[index].talks:
                self._idle.add(members)
