"""One slot of the wheel whose turn has come: its candidates sorted by millisecond, and cheap to add to."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from fastmld.groups import NO_ROWS, GroupTable, Rows

_LOOK: Final = 64


class Turn:
    """Sorted runs of (millisecond of the slot, row). A run is merged into the one before it unless that is twice as
    long, so there are few, and a candidate is merged O(log) times.
    """

    def __init__(self, table: GroupTable, begin_ms: int) -> None:
        self._table = table
        self.begin_ms = begin_ms
        self.expected_ms: int | None = None  # what the wheel believes of first_ms: it is not later than that
        self.dropped = 0  # stale candidates that first_ms came upon, since the wheel last asked
        self._runs: list[tuple[npt.NDArray[np.uint16], Rows]] = []

    def add(self, rows: Rows, milliseconds: npt.NDArray[np.uint16]) -> int:
        """Add rows whose deadlines are at these milliseconds of the slot; the least of those deadlines."""
        run = _sorted(milliseconds, rows)
        first_ms = self.begin_ms + int(run[0][0])
        while self._runs and len(self._runs[-1][1]) < 2 * len(run[1]):
            milliseconds, others = self._runs.pop()
            run = _sorted(np.concatenate((milliseconds, run[0])), np.concatenate((others, run[1])))
        self._runs.append(run)
        return first_ms

    def take_until(self, until_ms: int) -> tuple[Rows, int]:
        """Take the candidates up to a millisecond: those that are live, and how many there were."""
        return self._cut(until_ms - self.begin_ms + 1, first=True)

    def take_after(self, after_ms: int) -> tuple[Rows, int]:
        """Take the candidates after a millisecond: those that are live, and how many there were."""
        return self._cut(after_ms - self.begin_ms + 1, first=False)

    def first_ms(self) -> int | None:
        """The least deadline of a live candidate."""
        firsts = []
        for number, (milliseconds, rows) in enumerate(self._runs):
            start = 0
            while start < len(rows):
                live = np.flatnonzero(self._is_live(milliseconds[start : start + _LOOK], rows[start : start + _LOOK]))
                if len(live):
                    start += int(live[0])
                    firsts.append(self.begin_ms + int(milliseconds[start]))
                    break
                start += _LOOK
            start = min(start, len(rows))
            self.dropped += start
            self._runs[number] = milliseconds[start:], rows[start:]
        return min(firsts, default=None)

    def _cut(self, millisecond: int, first: bool) -> tuple[Rows, int]:
        """Take what is before a millisecond of the slot, or else the rest."""
        taken, n, kept = [], 0, []
        for milliseconds, rows in self._runs:
            cut = int(np.searchsorted(milliseconds, max(0, millisecond)))
            out, rest = (slice(None, cut), slice(cut, None)) if first else (slice(cut, None), slice(None, cut))
            n += len(rows[out])
            taken.append(rows[out][self._is_live(milliseconds[out], rows[out])])
            if len(rows[rest]):
                kept.append((milliseconds[rest], rows[rest]))
        self._runs = kept
        return (np.concatenate(taken) if taken else NO_ROWS), n

    def _is_live(self, milliseconds: npt.NDArray[np.uint16], rows: Rows) -> npt.NDArray[np.bool_]:
        return np.asarray(self._table.deadline_ms[rows] - self.begin_ms == milliseconds)


def _sorted(milliseconds: npt.NDArray[np.uint16], rows: Rows) -> tuple[npt.NDArray[np.uint16], Rows]:
    if len(rows) == 1:
        return milliseconds, rows
    order = np.argsort(milliseconds, kind="stable")  # of 16 bits: linear
    return milliseconds[order], rows[order]
