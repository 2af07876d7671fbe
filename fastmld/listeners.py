"""Both listeners under one roof: each interface is one's or the other's, by its host compatibility mode.

RFC 9777 section 8.2.1: an MLDv1 General Query makes it MLDv1's; when none came for a while it is MLDv2's again.
"""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

from fastmld._native import NO_ROW
from fastmld.addresses import are_ssm
from fastmld.filters import Filters
from fastmld.groups import Rows, each_once
from fastmld.hosts import NONE, Hosts
from fastmld.interface import Interface
from fastmld.listener_v2 import EXCLUDE, NOT_LISTENING, Filter
from fastmld.memberships import Memberships
from fastmld.memberships_v2 import MembershipsV2


class Listeners:
    """All rows of all interfaces of an engine, and what is about to be said of them."""

    def __init__(self, seed: int) -> None:
        self.hosts = Hosts(seed)
        self.v1 = Memberships(seed, self.hosts)
        self.table = self.v1.table
        self.outbox = self.v1.outbox
        self.interfaces = self.v1.interfaces
        self.template_of = self.v1.template_of
        self.filters = Filters(self.table, self.interfaces)
        self.timers = self.v1.timers
        self.v2 = MembershipsV2(
            seed, self.table, self.outbox, self.interfaces, self.template_of, self.hosts, self.filters, self.timers
        )
        self._v1_ends: list[tuple[int, int]] = []  # (millisecond, interface): when MLDv1 ends, or earlier
        self._switched: list[Interface] = []

    def _of(self, interface: Interface) -> Memberships | MembershipsV2:
        return self.v2 if self.hosts.v2[interface.index] else self.v1

    def add(self, interface: Interface) -> None:
        """Take in a new interface."""
        self.v1.add(interface)
        self.hosts.add(interface)

    @property
    def anything_waits(self) -> bool:
        """Whether some message that was decided has not left."""
        return bool(self.outbox) or not self.v2.can_move

    def take_switched(self) -> list[Interface]:
        """The interfaces that time made speak MLDv2 again since the last call."""
        switched, self._switched = self._switched, []
        return switched

    # Local calls, of one interface each

    def join(self, interface: Interface, addresses: npt.NDArray[np.uint8], delay_ms: int, now_ms: int) -> None:
        """One anonymous listener more for each address."""
        if interface.mld_version != 1:
            interface.ssm_exclude += int(are_ssm(addresses).sum())
        self._of(interface).join(interface, addresses, delay_ms, now_ms)
        if self.filters:
            self.v2.recount(interface, each_once(self.table.find(interface.index, addresses)), now_ms)

    def leave(self, interface: Interface, rows: Rows, last: Rows, now_ms: int) -> None:
        """Rows that have one anonymous listener less; a row twice has two less. last: those that have none any more."""
        np.subtract.at(self.table.references, rows, 1)
        if self.filters:
            staying = self.table.references[last] != 0
            self.v2.recount(interface, last[staying], now_ms)
            last = last[~staying]
        if len(last):
            self._of(interface).leave(interface, last, now_ms)

    def leave_all(self, interface: Interface, now_ms: int) -> None:
        """No listener is left; what was said is taken back once, as of an interface that is set down."""
        if interface.talks:
            self._of(interface).fall_silent(interface, now_ms, done=True)
        self._release_all(interface)
        interface.set_groups(0)

    def listen(
        self, interface: Interface, addresses: npt.NDArray[np.uint8], listener: str, asked: Filter, now_ms: int
    ) -> None:
        """The filter of one named listener of (N, 16) addresses, no two alike, for which there is room.

        It is there if it is to end, where an address is listened to at all.
        """
        if asked.mode == EXCLUDE and interface.mld_version != 1:
            interface.ssm_exclude += int(are_ssm(addresses).sum())
        references = self.table.references
        rows = self.table.find(interface.index, addresses)
        there = rows != NO_ROW
        if asked != NOT_LISTENING:
            if not there.all():
                rows[~there] = self._begin(interface, addresses[~there], now_ms)
            for row, counts in zip(rows.tolist(), there.tolist(), strict=True):
                listeners = self.filters.open(row).listeners
                references[row] += counts and listener not in listeners
                listeners[listener] = asked
            self.v2.recount(interface, rows, now_ms)
            return
        rows = rows[there]
        for row in rows.tolist():
            del self.filters.open(row).listeners[listener]
        references[rows] -= 1
        last = rows[references[rows] == 0]
        self.v2.recount(interface, rows[references[rows] != 0], now_ms)
        if len(last):
            if not self.hosts.v2[interface.index]:
                for row in last.tolist():
                    self.filters.close(row)
            self._of(interface).leave(interface, last, now_ms)

    def _begin(self, interface: Interface, addresses: npt.NDArray[np.uint8], now_ms: int) -> Rows:
        """Rows whose first listener is a named one."""
        if self.hosts.v2[interface.index]:
            return self.v2.open(interface, addresses)
        self.v1.join(interface, addresses, 0, now_ms)
        return self.table.find(interface.index, addresses)

    def report_again(self, interface: Interface, now_ms: int) -> None:
        """Everything that is not a delayed join is reported as if it had just been joined."""
        self._of(interface).report_again(interface, now_ms)

    def fall_silent(self, interface: Interface, now_ms: int, done: bool) -> None:
        """The interface stops talking, takes back what it said if `done`, and forgets what it knew of a Querier."""
        self._of(interface).fall_silent(interface, now_ms, done)
        was_v1 = not self.hosts.v2[interface.index]
        self.hosts.reset(interface)
        if was_v1 and interface.mld_version != 1:
            self.v2.unhush_all(interface)

    def forget(self, interface: Interface) -> None:
        """The interface is gone, and its rows with it. Nothing is said."""
        self._release_all(interface)
        self.hosts.v1_until_ms[interface.index] = NONE

    def _release_all(self, interface: Interface) -> None:
        if self.hosts.v2[interface.index]:
            self.v2.stop(interface)
        rows = self.table.rows_of(interface.index)
        for position in self.filters.positions(rows).tolist():
            self.filters.close(int(rows[position]))
        self.v1.forget(interface)

    # The host compatibility mode

    def switch_to_v1(self, interface: Interface, now_ms: int) -> None:
        """An MLDv1 General Query is about to be heard: all that was to be said in MLDv2 is not."""
        left = self.v2.stop(interface)
        interface.ssm_in_v1 += self.v2.hush_all(interface)
        self.hosts.v2[interface.index] = False
        self.v1.take_over(interface, left[~are_ssm(self.table.address[left])], now_ms)

    def _switch_to_v2(self, interface: Interface, now_ms: int) -> None:
        self.v1.fall_silent(interface, now_ms, done=False)
        self.hosts.v1_until_ms[interface.index] = NONE
        self.hosts.v2[interface.index] = True
        self.v2.unhush_all(interface)
        self._switched.append(interface)

    # Frames

    def hear_v2(
        self, queries: npt.NDArray[np.void], heard: npt.NDArray[np.uint32], buffer: npt.NDArray[np.uint8], now_ms: int
    ) -> None:
        """What a batch says to interfaces that know MLDv2: Queries for one address, and which heard any Query."""
        for index in self.hosts.learn(heard, now_ms).tolist():
            heapq.heappush(self._v1_ends, (int(self.hosts.v1_until_ms[index]), index))
        try:
            self.v2.hear(queries, heard, buffer, now_ms)
        except BaseException:  # an interface that is in no index would be mute from then on
            self.v2.reindex(now_ms)
            raise

    # Time

    def close(self, now_ms: int) -> None:
        """Local calls are over for now: what they changed is said."""
        try:
            self.v2.close(now_ms)
        except BaseException:
            self.v2.reindex(now_ms)
            raise

    def expire(self, until_ms: int, now_ms: int) -> None:
        """Fire the timers that end by until_ms, each at its own millisecond. Tokens are those of now_ms."""
        if not self.hosts.several:
            self.v1.expire(until_ms, now_ms)
            return
        while self._v1_ends and self._v1_ends[0][0] <= until_ms:
            end_ms, index = heapq.heappop(self._v1_ends)
            until_v1_ms = self.hosts.check_v1_end(index, end_ms)
            if until_v1_ms is None:
                continue
            if until_v1_ms > end_ms:
                heapq.heappush(self._v1_ends, (until_v1_ms, index))
                continue
            self._expire_both(end_ms, now_ms)
            self._switch_to_v2(self.interfaces[index], end_ms)
        self._expire_both(until_ms, now_ms)

    def _expire_both(self, until_ms: int, now_ms: int) -> None:
        """Millisecond by millisecond; but where nothing of MLDv2 is due, MLDv1's all at once."""
        while True:
            own_ms, timer_ms = self.v2.next_ms(), self.timers.next_ms()
            at_ms = min((ms for ms in (own_ms, timer_ms) if ms is not None), default=None)
            if at_ms is None or at_ms > until_ms:
                return
            if self.v2.latest_timer_ms < at_ms and (own_ms is None or own_ms > until_ms):
                self.v1.expire(until_ms, now_ms)
                return
            try:
                rows = self.timers.due(at_ms)
                v2 = self.hosts.v2[self.table.interface[rows]]
                self.v1.fire(rows[~v2], now_ms)
                self.v2.expire_at(at_ms, rows[v2], until_ms, now_ms)
            except BaseException:
                self.v1.reindex()
                self.v2.reindex(now_ms)
                raise

    def pay_debts(self, now_ms: int) -> None:
        """Send what the budget held back, as far as the tokens of now_ms go."""
        self.v1.pay_debts(now_ms)
        if self.hosts.several:
            self.v2.pay(now_ms)

    def next_ms(self, now_ms: int) -> int | None:
        """When expire or pay_debts will have something to do; None: never, unless something is heard."""
        if not self.hosts.several:
            return self.v1.next_ms(now_ms)
        ends = (self.v1.next_ms(now_ms), self.v2.next_ms(), self.v2.next_token_ms(now_ms))
        return min((ms for ms in ends if ms is not None), default=None)

    def tidy(self) -> None:
        """Close the gaps that leaving made, when they are many and no message waits that names a row by its number."""
        if self.table.is_sparse and not self.outbox and self.v2.can_move:
            departed, unsaid = self.v2.take_all()
            self.v2.restore(self.v1.compact(departed), departed, unsaid)
