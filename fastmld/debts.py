"""Reports that wait for the budget: rows whose timers ended without a token owe one each, and pay when there is one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fastmld.groups import LISTED_OVERDUE, LISTED_URGENT, NO_ROWS, GroupTable, Rows
from fastmld.interface import Interface
from fastmld.listener_v1 import State
from fastmld.piles import Pile, by_interface


class Debts:
    """Two queues an interface of rows that are Owing: one for answers to Queries for one address, which leave first,
    and one for all else. A row that is not Owing any more is stale.
    """

    def __init__(self, table: GroupTable, interfaces: dict[int, Interface]) -> None:
        self._table = table
        self._interfaces = interfaces
        self._urgent = Pile(table, LISTED_URGENT)
        self._overdue = Pile(table, LISTED_OVERDUE)

    def __contains__(self, interface: int) -> bool:
        return interface in self._urgent or interface in self._overdue

    def __bool__(self) -> bool:
        return bool(self._urgent) or bool(self._overdue)

    def grant(self, rows: Rows, now_ms: int) -> npt.NDArray[np.bool_] | None:
        """(N,): which rows get a token, the first of each interface first. What is owed already goes before them. None:
        all of them do.
        """
        granted = None
        for index, members in by_interface(self._table, rows):
            budget = self._interfaces[index].budget
            if budget.unlimited:
                continue
            n = 0 if index in self else budget.take(len(members), now_ms)
            if n < len(members):
                if granted is None:
                    granted = np.ones(len(rows), np.bool_)
                granted[np.flatnonzero(self._table.interface[rows] == index)[n:]] = False
        return granted

    def owe(self, rows: Rows, since_ms: int | npt.NDArray[np.int64], urgent: bool = False) -> None:
        """No token: the rows are Owing, their deadlines past, until there is one."""
        if not len(rows):
            return
        self._table.state[rows] = State.OWING
        self._table.deadline_ms[rows] = since_ms
        (self._urgent if urgent else self._overdue).add(rows)
        for index, members in by_interface(self._table, rows):
            self._interfaces[index].deferred += len(members)

    def pay(self, now_ms: int) -> Iterator[Rows]:
        """Take rows of one interface after the other, oldest first, as far as the tokens of now_ms go."""
        for queue in (self._urgent, self._overdue):
            for index in queue.interfaces():
                budget = self._interfaces[index].budget
                while len(rows := queue.peek(index)):
                    live = np.flatnonzero(self._are_live(rows))
                    granted = budget.take(len(live), now_ms)
                    short = granted < len(live)
                    queue.drop(index, int(live[granted]) if short else len(rows))
                    yield rows[live[:granted]]
                    if short:
                        break

    def next_ms(self, now_ms: int) -> int | None:
        """When there is a token for something that is owed; None: nothing is."""
        times = []
        for queue in (self._urgent, self._overdue):
            for index in queue.interfaces():
                while len(rows := queue.peek(index)):
                    live = np.flatnonzero(self._are_live(rows))
                    stale = int(live[0]) if len(live) else len(rows)
                    if stale:
                        queue.drop(index, stale)
                    if len(live):
                        times.append(self._interfaces[index].budget.next_ms(now_ms))
                        break
        return min(times, default=None)

    def forget(self, interface: int) -> None:
        """Nothing is owed on an interface any more."""
        self._urgent.take(interface)
        self._overdue.take(interface)

    def take_all(self) -> tuple[Rows, Rows]:
        """Take all rows of all interfaces: the urgent ones, and the others."""
        return self._take(self._urgent), self._take(self._overdue)

    def restore(self, urgent: Rows, overdue: Rows) -> None:
        """Put back what take_all took, renumbered."""
        self._urgent.add(urgent)
        self._overdue.add(overdue)

    def _take(self, queue: Pile) -> Rows:
        taken = [queue.take(index) for index in queue.interfaces()]
        rows = np.concatenate(taken) if taken else NO_ROWS
        owing: Rows = rows[self._are_live(rows)]
        return owing

    def _are_live(self, rows: Rows) -> npt.NDArray[np.bool_]:
        return np.asarray(self._table.state[rows] == State.OWING)
