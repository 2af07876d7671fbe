"""Rows whose local listeners name sources: a structure beside the table, so that other rows pay nothing for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fastmld._native import NO_ROW
from fastmld.addresses import is_ssm
from fastmld.groups import FILTERED, GroupTable, Rows
from fastmld.interface import Interface
from fastmld.listener_v2 import ANY_SOURCE, EXCLUDE, NOT_LISTENING, Filter, Unsaid, merged

_NO_POSITIONS: npt.NDArray[np.int64] = np.empty(0, np.int64)
_NOT_FILTERED = np.uint8(0xFF & ~FILTERED)


@dataclass(slots=True)
class Group:
    """Of one row: its named listeners, the filter that all its listeners come to, and what is unsaid of it."""

    now: Filter
    listeners: dict[str, Filter] = field(default_factory=dict)
    unsaid: Unsaid = field(default_factory=Unsaid)


class Filters:
    """Groups by row.

    A row without one is EXCLUDE {}, of anonymous listeners, and its repeats column counts what is unsaid. For an SSM
    address these ask for nothing, where the interface is not MLDv1-only (RFC 9777 section 5.2.13).
    """

    def __init__(self, table: GroupTable, interfaces: dict[int, Interface]) -> None:
        self._table = table
        self._interfaces = interfaces
        self._groups: dict[int, Group] = {}

    def __bool__(self) -> bool:
        return bool(self._groups)

    def has(self, row: int, listener: str) -> bool:
        """Whether a row has a listener of that name."""
        group = self._groups.get(row)
        return group is not None and listener in group.listeners

    def of(self, row: int) -> Filter:
        """What the interface asks for."""
        group = self._groups.get(row)
        return group.now if group is not None else self._plain(row)

    def open(self, row: int) -> Group:
        """The group of a row; one that has none yet becomes one, with what is unsaid of it."""
        group = self._groups.get(row)
        if group is None:
            group = self._groups[row] = Group(self._plain(row))
            group.unsaid.mode_left = int(self._table.repeats[row])
            self._table.flags[row] |= FILTERED
        return group

    def close(self, row: int) -> None:
        """The row has a group no longer."""
        if self._groups.pop(row, None) is not None:
            self._table.flags[row] &= _NOT_FILTERED

    def move(self, old: int, new: int) -> None:
        """A row takes over what another was: its filter, and what is unsaid of it."""
        table = self._table
        table.repeats[new] = table.repeats[old]
        group = self._groups.pop(old, None)
        if group is None:
            group = Group(NOT_LISTENING)
            group.unsaid.mode_left = int(table.repeats[old])
        else:
            table.flags[old] &= _NOT_FILTERED
        self._groups[new] = group
        table.flags[new] |= FILTERED

    def positions(self, rows: Rows) -> npt.NDArray[np.int64]:
        """Where in rows those are that have a group."""
        return np.flatnonzero(self._table.flags[rows] & FILTERED) if self._groups else _NO_POSITIONS

    def named(self, rows: Rows) -> npt.NDArray[np.int64]:
        """(N,): how many named listeners each row has; NO_ROW has none."""
        named = np.zeros(len(rows), np.int64)
        if self._groups:
            for position in self.positions(np.where(rows == NO_ROW, 0, rows)).tolist():
                group = self._groups.get(int(rows[position]))
                named[position] = 0 if group is None else len(group.listeners)
        return named

    def count(self, row: int) -> tuple[Filter, Filter]:
        """Merge anew what the listeners of a row with a group ask for: the filter before, and now."""
        group = self._groups[row]
        old = group.now
        anonymous = int(self._table.references[row]) - len(group.listeners)
        asked: Iterable[Filter] = group.listeners.values()
        if self._is_ssm(row):
            asked = [filter_ for filter_ in asked if filter_.mode != EXCLUDE]
        elif anonymous:
            asked = [*asked, ANY_SOURCE]
        group.now = merged(asked)
        return old, group.now

    def settle(self, row: int) -> None:
        """Close a group that says no more than the repeats column does."""
        group = self._groups[row]
        if not group.listeners and not group.unsaid.left:
            self.close(row)

    def say_nothing(self, row: int) -> None:
        """Nothing is unsaid of a row with a group."""
        self._groups[row].unsaid = Unsaid()

    def renumber(self, moved: npt.NDArray[np.uint32]) -> None:
        """The table was compacted."""
        groups = {int(moved[row]): group for row, group in self._groups.items()}
        groups.pop(NO_ROW, None)
        self._groups = groups

    def _is_ssm(self, row: int) -> bool:
        table = self._table
        interface = self._interfaces[int(table.interface[row])]
        return interface.mld_version != 1 and is_ssm(table.address[row].tobytes())

    def _plain(self, row: int) -> Filter:
        return NOT_LISTENING if not self._table.references[row] or self._is_ssm(row) else ANY_SOURCE
