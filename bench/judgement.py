"""Goals beside figures: which hold. And how a figure is written."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from fastmld_bench.goals import BY_ID, Goal
from fastmld_bench.turns import Row

REACHED, HOLDS, SHORT, FAILS = "aim reached", "holds", "short of its aim", "fails"
NOT_VALID, NOT_MEASURED = "not valid", "not measured"
COLUMNS: Final = ("", "goal", "figure", "quartiles", "must", "aim", "")
BEHIND: Final = ("", "what", "figure", "quartiles", "context", "")


class Judged(NamedTuple):
    """A goal and the worst of its rows: it holds only if all of them do."""

    goal: Goal
    row: Row | None
    verdict: str

    @property
    def is_good(self) -> bool:
        return self.verdict in (REACHED, HOLDS, SHORT)

    def cells(self) -> tuple[str, ...]:
        """As COLUMNS."""
        row = self.row
        what = self.goal.what if row is None else f"{self.goal.what}: {row['what']}"
        return self.goal.id, what, *self._figures()

    def short_cells(self) -> tuple[str, ...]:
        """As COLUMNS, for a terminal."""
        return self.goal.id, self.goal.name, *self._figures()

    def _figures(self) -> tuple[str, ...]:
        goal, row = self.goal, self.row
        bound = "≥" if goal.direction == "at least" else "≤"
        bars = (goal.must, goal.aim)
        must, aim = ("" if bar is None else f"{bound} {_number(bar, goal.unit)}" for bar in bars)
        if row is None:
            return "", "", must, aim, self.verdict
        verdict = self.verdict if row["valid"] else f"{self.verdict}: {row['why_not']}"
        return figure(row["value"], row["unit"]), quartiles(row), must, aim, verdict


def judge(report: dict[str, Any]) -> list[Judged]:
    """Each goal that a report was to be about, in order. A row that is not valid is worse than any that is."""
    judged = []
    for goal in (BY_ID[name] for name in report["goals"]):
        own = [row for row in report["rows"] if row["id"] == goal.id]
        sign = 1 if goal.direction == "at least" else -1
        worst = min(own, key=lambda row: (row["valid"], sign * (row["value"] or 0)), default=None)
        judged.append(Judged(goal, worst, _verdict(goal, worst)))
    return judged


def _verdict(goal: Goal, row: Row | None) -> str:
    if row is None:
        return NOT_MEASURED
    if not row["valid"]:
        return NOT_VALID
    if not goal.holds(row["value"]):
        return FAILS
    if goal.is_reached(row["value"]):
        return REACHED
    return SHORT if goal.must is None else HOLDS


def behind(row: Row) -> tuple[str, ...]:
    """Any row, as BEHIND."""
    shown = figure(row["value"], row["unit"]), quartiles(row), in_words(row["context"])
    return row["id"], row["what"], *shown, row["why_not"] or ""


def figure(value: float | None, unit: str) -> str:
    """With its unit, three digits of it that count: 11.4 M frames/s. None: there is none."""
    if value is None:
        return ""
    return f"{_number(value, unit)} {unit}"


def quartiles(row: Row) -> str:
    """Both, without their unit: 11.1 M to 11.6 M."""
    if row["spread"] is None:
        return ""
    return " to ".join(_number(bound, row["unit"]) for bound in row["spread"])


def in_words(said: Any) -> str:
    """What a row or an environment says besides: names and values, one after the other."""
    if isinstance(said, dict):
        return ", ".join(f"{name.replace('_', ' ')} {in_words(value)}" for name, value in said.items())
    if isinstance(said, list | tuple):
        return ", ".join(map(in_words, said)) or "none"
    if isinstance(said, float):
        return _digits(said)
    return f"{said:,}" if isinstance(said, int) and not isinstance(said, bool) else str(said)


def _number(value: float, unit: str) -> str:
    return f"{_digits(value / 1e6)} M" if unit.endswith("/s") and abs(value) >= 1e5 else _digits(value)


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def markdown(report: dict[str, Any]) -> str:
    """The goals, what stands behind them, and where they were measured: for docs/performance.md."""
    parts = [_markdown(COLUMNS, [each.cells() for each in judge(report)])]
    if report["rows"]:
        where = {name: value for name, value in report["environment"].items() if isinstance(value, str)}
        parts += [
            f"Seed {report['seed']}; {in_words(where)}.",
            _markdown(BEHIND, [behind(row) for row in report["rows"]]),
        ]
    return "\n\n".join(parts) + "\n"


def _markdown(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
