"""What can be said of rows in MLDv2: which of them can be reported, and their current state (RFC 9777 section 6.3)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastmld.addresses import are_ssm, is_silent
from fastmld.filters import Filters
from fastmld.groups import GroupTable, Rows
from fastmld.hosts import Hosts
from fastmld.interface import Interface
from fastmld.listener_v1 import State
from fastmld.listener_v2 import NOT_LISTENING, Record, current_state

_REPORTABLE = np.zeros(8, np.bool_)
_REPORTABLE[[State.IDLE, State.DELAYING]] = True


class Reportable:
    """Rows of interfaces in MLDv2 mode.

    An SSM row is silent while nobody asks for a source of it (section 5.2.13). Where that comes while an answer is
    delayed its timer runs on, and the row is mute until then: a source may be asked for again.
    """

    def __init__(self, table: GroupTable, filters: Filters, hosts: Hosts) -> None:
        self._table = table
        self._filters = filters
        self._hosts = hosts
        self._mute: set[int] = set()

    def rows_of(self, interface: Interface) -> Rows:
        """The rows of an interface that can be reported, in order."""
        rows = self._table.rows_of(interface.index)
        reportable: Rows = rows[self.which(rows)]
        return reportable

    def which(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """(N,): which rows are listened to, and something can be said of them."""
        reportable = _REPORTABLE[self._table.state[rows]]
        if self._mute:
            reportable &= ~np.isin(rows, list(self._mute))
        return reportable

    def states(self, rows: Rows) -> dict[int, list[Record]]:
        """The current state of rows that are not just EXCLUDE {}, by position; what asks for nothing has no record."""
        special: dict[int, list[Record]] = {}
        if self._mute:  # whose group may be closed by now
            special.update((position, []) for position in np.flatnonzero(np.isin(rows, list(self._mute))).tolist())
        for position in self._filters.positions(rows).tolist():
            now = self._filters.of(int(rows[position]))
            special[position] = [] if now == NOT_LISTENING else [current_state(now)]
        return special

    def hush(self, rows: Rows) -> None:
        """The filters of these rows changed, or their timers ended."""
        table = self._table
        octets = table.address[rows]
        concerned = are_ssm(octets) & ~is_silent(octets) & self._hosts.v2[table.interface[rows]]
        for row in rows[concerned].tolist():
            mute = self._filters.of(row) == NOT_LISTENING
            state = table.state[row]
            if state == State.DELAYING:
                (self._mute.add if mute else self._mute.discard)(row)
            elif state != State.DELAYED_JOIN:
                table.state[row] = State.SILENT if mute else State.IDLE

    def end(self, rows: Rows) -> None:
        """The timers of these rows ended."""
        ended = self._mute.intersection(rows.tolist()) if self._mute else ()
        if ended:
            self._mute.difference_update(ended)
            self.hush(np.array(sorted(ended), np.uint32))

    def forget(self, rows: Rows) -> None:
        """These rows are left."""
        if self._mute:
            self._mute.difference_update(rows.tolist())

    def renumber(self, moved: npt.NDArray[np.uint32]) -> None:
        """The table was compacted."""
        self._mute = {int(moved[row]) for row in self._mute}
