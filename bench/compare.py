"""Two reports, row by row: what became worse."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from fastmld_bench.goals import BY_ID
from fastmld_bench.judgement import figure
from fastmld_bench.turns import Row

COLUMNS: Final = ("", "what", "old", "new", "better by", "")
SAME, BETTER, WORSE, GONE, NEW, NOT_VALID = "", "better", "worse", "gone", "new", "not valid"


class Compared(NamedTuple):
    """A row of two reports. change: by how much of the old figure the new one is better; below zero: worse."""

    id: str
    what: str
    old: Row | None
    new: Row | None
    change: float
    verdict: str

    def cells(self) -> tuple[str, ...]:
        """As COLUMNS."""
        old, new = ("" if row is None else figure(row["value"], row["unit"]) for row in (self.old, self.new))
        change = f"{self.change:+.1%}" if self.old and self.new else ""
        return self.id, self.what, old, new, change, self.verdict


def compare_rows(old: Iterable[Row], new: Iterable[Row], threshold: float = 0.1) -> list[Compared]:
    """Every row of either report. It is worse, or better, if its median moved by more than the threshold and its
    quartiles do not overlap those before. A figure that is not valid any more is worse too; one that is gone is not:
    a part can be compared with the whole."""
    olds, news = ({(row["id"], row["what"]): row for row in rows} for rows in (old, new))
    return [_compare(key, olds.get(key), news.get(key), threshold) for key in {**olds, **news}]


def is_worse(compared: Compared) -> bool:
    return compared.verdict in (WORSE, NOT_VALID)


def _compare(key: tuple[str, str], old: Row | None, new: Row | None, threshold: float) -> Compared:
    if old is None or not old["valid"]:
        return Compared(*key, old, new, 0.0, NEW)
    if new is None:
        return Compared(*key, old, new, 0.0, GONE)
    if not new["valid"]:
        return Compared(*key, old, new, 0.0, NOT_VALID)
    sign = 1 if _more_is_better(new) else -1
    change = sign * (new["value"] - old["value"]) / abs(old["value"]) if old["value"] else 0.0
    change += 0.0  # no -0.0
    apart = _bounds(old)[1] < _bounds(new)[0] or _bounds(new)[1] < _bounds(old)[0]
    moved = abs(change) > threshold and apart
    return Compared(*key, old, new, change, SAME if not moved else BETTER if change > 0 else WORSE)


def _bounds(row: Row) -> list[float]:
    """The quartiles; of a single figure, itself."""
    bounds: list[float] = row["spread"] or [row["value"], row["value"]]
    return bounds


def _more_is_better(row: Row) -> bool:
    goal = BY_ID.get(row["id"])
    return row["unit"].endswith("/s") if goal is None else goal.direction == "at least"
