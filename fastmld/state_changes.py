"""State changes of filters: said at the closing, and again (RFC 9777 section 6.1).

What is left to say of a row is counted in its repeats column, and where sources are named in its group. A row that was
left stays until nothing is. An interface has one retransmission timer, which no further change postpones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastmld._native import NO_ROW
from fastmld.addresses import is_silent
from fastmld.agenda import Agenda
from fastmld.constants import CHANGE_TO_EXCLUDE_MODE, CHANGE_TO_INCLUDE_MODE
from fastmld.departed import Departed
from fastmld.filters import Filters
from fastmld.groups import LISTED_UNSAID, NO_ROWS, GroupTable, Rows, each_once
from fastmld.hosts import NONE, Hosts
from fastmld.interface import Interface
from fastmld.listener_v1 import State
from fastmld.listener_v2 import NOT_LISTENING, Filter
from fastmld.piles import Pile
from fastmld.speaker import Speaker


class StateChanges:
    """What is unsaid of every interface in MLDv2 mode."""

    def __init__(
        self,
        table: GroupTable,
        interfaces: dict[int, Interface],
        hosts: Hosts,
        filters: Filters,
        speaker: Speaker,
        agenda: Agenda,
    ) -> None:
        self._table = table
        self._interfaces = interfaces
        self._hosts = hosts
        self._filters = filters
        self._speaker = speaker
        self._agenda = agenda
        self._departed = Departed(table)
        self._unsaid = Pile(table, LISTED_UNSAID)
        self._changed: dict[int, list[Rows]] = {}  # by interface, to be said at the closing
        self._changed_ms = 0
        self._retransmit_ms: dict[int, int] = {}

    @property
    def wait(self) -> bool:
        """Whether something has changed since the last closing."""
        return bool(self._changed)

    def are_said(self, interface: Interface, rows: Rows) -> npt.NDArray[np.bool_]:
        """(N,): of which rows changes are said now."""
        if not self._hosts.v2[interface.index] or not interface.talks:
            return np.zeros(len(rows), np.bool_)
        joined: npt.NDArray[np.bool_] = self._table.state[rows] != State.DELAYED_JOIN
        return joined & ~is_silent(self._table.address[rows])

    def change(self, interface: Interface, row: int, old: Filter, new: Filter) -> bool:
        """The filter of a row with a group changed. Whether that leaves something to say."""
        group = self._filters.open(row)
        changed = group.unsaid.change(old, new, self._hosts.robustness_of(interface.index))
        if changed:
            self._table.repeats[row] = group.unsaid.most
        return changed

    def mark(self, interface: Interface, rows: Rows, now_ms: int) -> None:
        """These rows changed: they are said at the closing, and again."""
        if not len(rows):
            return
        self._changed.setdefault(interface.index, []).append(rows)
        self._changed_ms = now_ms
        self._start_timer(interface, now_ms)

    def appear(self, interface: Interface, rows: Rows) -> None:
        """These rows have something to say from now on: all that they are, as if they had been nothing before."""
        self._table.repeats[rows] = self._hosts.robustness_of(interface.index)
        for position in self._filters.positions(rows).tolist():
            row = int(rows[position])
            self.change(interface, row, NOT_LISTENING, self._filters.of(row))
            self._table.repeats[row] = self._filters.open(row).unsaid.most

    def depart(self, interface: Interface, rows: Rows, now_ms: int) -> None:
        """These rows were released. Those of which something is left to say stay until it is said."""
        left = rows[self._table.repeats[rows] != 0]
        self._departed.add(left)
        self.mark(interface, left, now_ms)

    def take_over(self, interface: Interface, new: Rows, forget: bool = False, all_of_them: bool = False) -> None:
        """Rows that are new go on with what is unsaid of those that were left before, or `forget` it.

        What is unsaid of a mode alone needs no going on where the mode is about to change, unless `all_of_them`.
        """
        if not self._departed:
            return
        old = self._departed.find(interface.index, np.ascontiguousarray(self._table.address[new]))
        found = old != NO_ROW
        old, new = old[found], new[found]
        if not len(old):
            return
        going_on = np.arange(len(old)) if all_of_them else self._filters.positions(old)
        changed = self._changed.get(interface.index, [])
        closing = np.isin(old, np.concatenate(changed)) if changed else np.zeros(len(old), np.bool_)
        for position in going_on.tolist():
            if forget:
                self._filters.close(int(old[position]))
                continue
            self._filters.move(int(old[position]), int(new[position]))
            row = new[position : position + 1]
            if closing[position]:
                changed.append(row)
            else:
                self._unsaid.add(row)
        self._departed.remove(old)

    def close(self, now_ms: int) -> None:
        """Say what was changed since the last call that was no local one, all of it at once."""
        for index in sorted(self._changed):
            if index not in self._speaker:
                rows = each_once(np.concatenate(self._changed.pop(index)))
                self.say(self._interfaces[index], rows, self._changed_ms, now_ms)

    def say_at_once(self, interface: Interface, rows: Rows, at_ms: int, now_ms: int) -> None:
        """What changed by itself, and not by a local call."""
        if len(rows):
            self._start_timer(interface, at_ms)
            self.say(interface, rows, at_ms, now_ms)

    def retransmit(self, interface: Interface, at_ms: int, now_ms: int) -> None:
        """If it is time, say again what is unsaid."""
        index = interface.index
        if self.next_ms(index) > at_ms:
            return
        del self._retransmit_ms[index]
        self.say(interface, np.sort(self._unsaid.take(index)), at_ms, now_ms)
        if index in self._unsaid:
            self._retransmit_ms[index] = self._draw_ms(interface, at_ms)

    def next_ms(self, interface: int) -> int:
        """When something is said again; NONE."""
        return self._retransmit_ms.get(interface, NONE)

    def say(self, interface: Interface, rows: Rows, at_ms: int, now_ms: int) -> None:
        """A State-Change Report of those of these rows, in order, of which something is unsaid."""
        table, filters = self._table, self._filters
        rows = rows[table.repeats[rows] != 0]
        grouped = filters.positions(rows).tolist()
        groups = {position: filters.open(int(rows[position])) for position in grouped}
        special = [(position, group.unsaid.records(group.now)) for position, group in groups.items()]
        listened = table.references[rows] != 0
        types = np.where(listened, np.uint8(CHANGE_TO_EXCLUDE_MODE), np.uint8(CHANGE_TO_INCLUDE_MODE))
        self._speaker.say(interface, rows, types, special, at_ms, now_ms)
        table.repeats[rows] -= 1
        for position, group in groups.items():
            row = int(rows[position])
            group.unsaid.said()
            table.repeats[row] = group.unsaid.most
            filters.settle(row)
        over = table.repeats[rows] == 0
        self._unsaid.add(rows[~over])
        self._departed.remove(rows[over & ~listened])

    def stop(self, interface: int) -> Rows:
        """Nothing is unsaid of an interface any more. The rows that were left, in order."""
        self._changed.pop(interface, None)
        self._retransmit_ms.pop(interface, None)
        self._unsaid.take(interface)
        left: Rows = np.sort(self._departed.rows()) if self._departed else NO_ROWS
        left = left[self._table.interface[left] == interface]
        for position in self._filters.positions(left).tolist():
            self._filters.close(int(left[position]))
        self._departed.remove(left)
        return left

    def take_all(self) -> tuple[Rows, Rows]:
        """Before the table is compacted: rows that were left, and rows of which something is unsaid."""
        unsaid = [self._unsaid.take(index) for index in self._unsaid.interfaces()]
        return self._departed.rows(), np.concatenate(unsaid) if unsaid else NO_ROWS

    def restore(self, moved: npt.NDArray[np.uint32], departed: Rows, unsaid: Rows) -> None:
        """The table was compacted. departed, unsaid: what take_all gave."""
        self._departed.restore(moved[departed])
        unsaid = moved[unsaid]
        self._unsaid.add(unsaid[unsaid != NO_ROW])

    def reindex(self, now_ms: int) -> None:
        """Something went wrong on the way: whatever is unsaid will be said."""
        table = self._table
        unsaid = np.flatnonzero(table.repeats[: table.used]).astype(np.uint32)
        self._unsaid.add(unsaid[self._hosts.v2[table.interface[unsaid]]])
        for index in self._unsaid.interfaces():
            self._start_timer(self._interfaces[index], now_ms)

    def _start_timer(self, interface: Interface, now_ms: int) -> None:
        if interface.index not in self._retransmit_ms:
            self._retransmit_ms[interface.index] = self._draw_ms(interface, now_ms)
            self._agenda.expect(interface.index, self._retransmit_ms[interface.index])

    def _draw_ms(self, interface: Interface, now_ms: int) -> int:
        return self._hosts.draw_ms(interface.index, interface.settings.state_change_interval_ms, now_ms)
