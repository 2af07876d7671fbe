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
from fastmld._native import lib, pin
from fastmld.addresses import is_silent
from fastmld.debts import Debts
from fastmld.groups import (
    LAST_REPORTER,
    LISTED_IDLE,
    LISTED_OVERDUE,
    LISTED_URGENT,
    NO_DEADLINE,
    NO_ROWS,
    REPORTED,
    SILENT,
    GroupTable,
    Rows,
)
from fastmld.interface import Interface
from fastmld.listener_v1 import CLEAR, SET, State, hear
from fastmld.outbox import Outbox, Outgoing
from fastmld.piles import Pile, by_interface
from fastmld.timers import Timers

Times = int | npt.NDArray[np.int64]
_NO_BOUND = int(np.iinfo(np.int64).min)
_SAID = np.uint8(LAST_REPORTER | REPORTED)
_UNSAID = np.uint8(0xFF & ~(LAST_REPORTER | REPORTED))
_NOT_LAST = np.uint8(0xFF & ~LAST_REPORTER)
_LISTED_OWING = LISTED_OVERDUE | LISTED_URGENT
_UNLISTED = np.uint8(0xFF & ~(LISTED_IDLE | _LISTED_OWING))


class Memberships:
    """All rows of all interfaces of an engine, and what is about to be said of them."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.table = GroupTable()
        self.outbox = Outbox()
        self.interfaces: dict[int, Interface] = {}
        self._timers = Timers(self.table)
        self._delayed_joins = Timers(self.table)
        self._idle = Pile(self.table, LISTED_IDLE)
        self._debts = Debts(self.table, self.interfaces)
        # By interface: no timer ends later, overdue ones apart; the template of its frames.
        self._bound_ms = np.full(1 << 16, _NO_BOUND, np.int64)
        self.template_of = np.zeros(1 << 16, np.uint32)

    # Local calls, of one interface each

    def join(self, interface: Interface, addresses: npt.NDArray[np.uint8], delay_ms: int, now_ms: int) -> None:
        """Rules N10, N12, N13, N14."""
        table = self.table
        new = table.join(interface.index, addresses)
        interface.set_groups(table.count(interface.index))
        silent = is_silent(table.address[new])
        table.flags[new[silent]] = SILENT
        speaking = new[~silent] if silent.any() else new
        if delay_ms > 0 and interface.kind != "loopback":
            table.state[speaking] = State.DELAYED_JOIN
            table.deadline_ms[speaking] = now_ms + delay_ms
            self._delayed_joins.arm(speaking)
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

    def hear(
        self,
        events: Any,
        folds: Any,
        answers: npt.NDArray[np.uint32],
        generals: Any,
        queried: Any,
        now_ms: int,
    ) -> None:
        """Apply what classify found in a batch.

        events, folds: of csrc/fastmld.h. answers: the events with delay 0, in order. generals: interfaces that heard a
        General Query; queried: their records, with the folded Queries in zeros and delay_ms.
        """
        pools = self._pools(generals, queried, now_ms) if len(generals) else {}
        if len(answers):
            self._answer(events[answers], {i: pool for i, (pool, zeros, _) in pools.items() if zeros}, now_ms)
        if len(folds):
            self._hear_folds(folds, now_ms, relist=bool(pools))
        for interface, (pool, zeros, delay_ms) in pools.items():
            self._hear_general(interface, pool, zeros, delay_ms, now_ms)

    def _pools(self, generals: Any, queried: Any, now_ms: int) -> dict[int, tuple[Rows, int, int]]:
        """For each interface on which a General Query changes something: the rows it moves, its zeros, its delay.

        It changes nothing where no row is idle and no timer ends after the delay: two numbers tell.
        """
        zeros, delays = queried["zeros"], queried["delay_ms"].astype(np.int64)
        bounds = self._bound_ms[generals]
        quiet = ~self._idle.waiting[generals] & np.where(zeros > 0, bounds < now_ms, now_ms + delays >= bounds)
        pools = {}
        for n in np.flatnonzero(~quiet).tolist():
            interface, zero, delay_ms = int(generals[n]), int(zeros[n]), int(delays[n])
            idle = self._idle.take(interface)
            idle = idle[self.table.state[idle] == State.IDLE]
            after = now_ms - 1 if zero else now_ms + delay_ms
            later = self._timers.take_later(interface, after, int(bounds[n]))
            pools[interface] = (np.sort(np.concatenate((idle, later))), zero, delay_ms)
            self._bound_ms[interface] = now_ms + delay_ms if delay_ms > 0 else now_ms - 1
        return pools

    def _hear_general(self, interface: int, pool: Rows, zeros: int, delay_ms: int, now_ms: int) -> None:
        """The rows of a pool that no frame of the batch named: all of them are idle, or their timers end too late."""
        table = self.table
        rows = pool[table.fold[pool] == 0]
        rows = rows[~self._debts.are_owed(rows, now_ms)]
        if zeros:
            table.flags[rows] |= _SAID
            table.repeats[rows] = 0
        if delay_ms > 0:
            table.state[rows] = State.DELAYING
            deadlines_ms = self._draw(rows, now_ms, delay_ms)
            table.deadline_ms[rows] = deadlines_ms
            self._timers.arm(rows, deadlines_ms)
        else:
            self._become_idle(rows)

    def _hear_folds(self, folds: Any, now_ms: int, relist: bool) -> None:
        """The rows that frames of the batch named, with all that the batch says about each.

        relist: a General Query may have taken rows off the pile of idle ones that are idle still.
        """
        table = self.table
        rows = folds["row"]
        ready = (folds["state"] != State.DELAYED_JOIN) & (folds["flags"] & SILENT == 0)
        if not ready.all():
            folds, rows = folds[ready], rows[ready]
        overdue = self._debts.are_owed(rows, now_ms)
        if overdue.any():  # it owes one Report whatever is asked; only a Report heard takes that away
            moved = ~overdue | (folds["flag_if_delaying"] == CLEAR)
            folds, rows = folds[moved], rows[moved]
        heard = hear(folds, now_ms)
        table.flags[rows[(heard.flag == SET) & (folds["flags"] & _SAID != _SAID)]] |= _SAID
        table.flags[rows[(heard.flag == CLEAR) & (folds["flags"] & LAST_REPORTER != 0)]] &= _NOT_LAST
        table.repeats[rows[folds["reset"] != 0]] = 0
        self._become_idle(rows[heard.stops])
        if relist:
            self._idle.add(rows[heard.rests])
        started = rows[heard.starts]
        deadlines_ms = self._draw(started, now_ms, folds["delay_ms"][heard.starts])
        table.state[rows[heard.starts & (folds["state"] != State.DELAYING)]] = State.DELAYING
        self._start_timers(started, deadlines_ms)

    def _answer(self, asked: Any, pools: dict[int, Rows], now_ms: int) -> None:
        """Queries with delay 0: each is answered at once, in the order of the Queries, while tokens last.

        Where they do not last, each row owes one Report, and rows that a specific Query named come first.
        """
        table = self.table
        general = asked["is_general"] != 0
        target = asked["target"]
        specific = ~general
        rows = target[specific]
        mute = (table.state[rows] == State.DELAYED_JOIN) | (table.flags[rows] & SILENT != 0)
        kept = np.ones(len(asked), np.bool_)
        kept[np.flatnonzero(specific)[mute | self._debts.are_owed(rows, now_ms)]] = False
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
        table = self.table
        said: list[tuple[Rows, npt.NDArray[np.int64]]] = []
        while True:
            joins, rows = self._delayed_joins.due(until_ms), self._timers.due(until_ms)
            if not len(joins) and not len(rows):
                break
            if len(joins):
                rows = np.concatenate((self._end_delay(joins), rows))
                rows = rows[np.lexsort((rows, table.deadline_ms[rows]))]
            fired, times = self._fire(rows, table.deadline_ms[rows], now_ms)
            said.append((fired, np.asarray(times)))
        if not said:
            return
        rows, times_ms = said[0]
        if len(said) > 1:
            rows, times_ms = (np.concatenate(columns) for columns in zip(*said, strict=True))
            order = np.lexsort((rows, times_ms))
            rows, times_ms = rows[order], times_ms[order]
        self._put_reports(rows, times_ms)

    def pay_debts(self, now_ms: int) -> None:
        """Send what is owed, oldest first, as far as the tokens of now_ms go."""
        for rows in self._debts.pay(now_ms):
            self._put_reports(*self._say(rows, now_ms))

    def next_ms(self, now_ms: int) -> int | None:
        """When expire or pay_debts will have something to do; None: never, unless something is heard."""
        ends = (self._timers.next_ms(), self._delayed_joins.next_ms(), self._debts.next_ms(now_ms))
        return min((ms for ms in ends if ms is not None), default=None)

    # What these are made of

    def _speaking(self, interface: Interface) -> Rows:
        """The rows of an interface that messages are sent for, now or when it talks again: no delayed joins."""
        rows = self.table.rows_of(interface.index)
        speaking: Rows = rows[(self.table.state[rows] != State.DELAYED_JOIN) & (self.table.flags[rows] & SILENT == 0)]
        return speaking

    def _start(self, interface: Interface, rows: Rows, now_ms: int) -> None:
        """Start listening: a Report, and its repeats (rule N10). That is a timer which ends at once."""
        self.table.repeats[rows] = self._repeats(interface)
        self._put_reports(*self._fire(rows, now_ms, now_ms))

    @staticmethod
    def _repeats(interface: Interface) -> int:
        return 0 if interface.link_local is None else interface.settings.unsolicited_report_repeats

    def _end_delay(self, rows: Rows) -> Rows:
        """Delayed joins whose delay is over: those that start listening. Where nothing can be said they are Idle."""
        table = self.table
        starting = []
        for index, members in by_interface(table, rows):
            if self.interfaces[index].talks:
                table.repeats[members] = self._repeats(self.interfaces[index])
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
        table.flags[rows] |= _SAID
        repeats = table.repeats[rows]
        again = repeats > 0
        if not again.any():
            self._become_idle(rows)
            return rows, times_ms
        self._become_idle(rows[~again])
        repeating = rows[again]
        table.repeats[repeating] = repeats[again] - 1
        from_ms = times_ms if isinstance(times_ms, int) else times_ms[again]
        intervals = np.zeros(len(repeating), np.int32)
        for index, _ in by_interface(table, repeating):
            interval = self.interfaces[index].settings.unsolicited_report_interval_ms
            intervals[table.interface[repeating] == index] = interval
        table.state[repeating] = State.DELAYING
        self._start_timers(repeating, self._draw(repeating, from_ms, intervals))
        return rows, times_ms

    def _start_timers(self, rows: Rows, deadlines_ms: npt.NDArray[np.int64]) -> None:
        """Of rows that are Delaying."""
        if not len(rows):
            return
        self.table.deadline_ms[rows] = deadlines_ms
        self._timers.arm(rows, deadlines_ms)
        latest = deadlines_ms.max()
        for index, _ in by_interface(self.table, rows):  # of all of them: a bound need not be close
            self._bound_ms[index] = max(self._bound_ms[index], latest)

    def _become_idle(self, rows: Rows) -> None:
        self.table.state[rows] = State.IDLE
        self.table.deadline_ms[rows] = NO_DEADLINE
        self._idle.add(rows)

    def _stop(self, rows: Rows, state: State) -> None:
        """End timers where nothing follows from it."""
        table = self.table
        table.state[rows] = state
        table.deadline_ms[rows] = NO_DEADLINE
        table.repeats[rows] = 0
        table.flags[rows] &= _UNSAID

    def _draw(self, rows: Rows, now_ms: Times, delays_ms: int | npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """(N,) deadlines: now_ms and a delay of 1 to delays_ms, drawn."""
        deadlines = np.empty(len(rows), np.int64)
        now = np.atleast_1d(np.asarray(now_ms, np.int64))
        delays = np.ascontiguousarray(np.atleast_1d(delays_ms), np.int32)
        if len(rows):
            lib.fastmld_draw(
                self.table.c, self._seed, pin("uint32_t[]", np.ascontiguousarray(rows)), len(rows),
                pin("int64_t[]", now), int(not isinstance(now_ms, int)),
                pin("int32_t[]", delays), int(not isinstance(delays_ms, int)),
                pin("int64_t[]", deadlines),
            )  # fmt: skip
        return deadlines

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
        self._timers.clear()
        self._delayed_joins.clear()
        self._idle.clear()
        self._debts.restore(moved[urgent], moved[overdue])
        delaying = (table.state == State.DELAYING) & (table.flags & _LISTED_OWING == 0)
        self._timers.arm(rows[delaying])
        self._delayed_joins.arm(rows[table.state == State.DELAYED_JOIN])
        idle = rows[(table.state == State.IDLE) & (table.flags & SILENT == 0)]
        for index, members in by_interface(table, idle):
            if self.interfaces[index].talks:
                self._idle.add(members)
