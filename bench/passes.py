"""A figure of one minute is that minute's: what is measured in memory is so in passes, apart, and told together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from fastmld_bench import series
from fastmld_bench.turns import Row, row


class Point(NamedTuple):
    """A curve of those that have a key, where on it, and the row there."""

    key: str
    curve: str
    at: int
    row: Row


class Pass(NamedTuple):
    rows: list[Row]
    points: list[Point]


def together(passes: Sequence[Pass]) -> dict[str, Any]:
    """{"rows", "series"} of passes over the same."""
    rows = [_one_row(rows) for rows in zip(*(each.rows for each in passes), strict=True)]
    found: dict[str, list[tuple[str, int, Row]]] = {}
    for points in zip(*(each.points for each in passes), strict=True):
        key, curve, at, _ = points[0]
        found.setdefault(key, []).append((curve, at, _one_row([each.row for each in points])))
    curves = {}
    for key, points_found in found.items():
        more, curves[key] = series.curves(points_found)
        rows += more
    return {"rows": rows, "series": curves}


def _one_row(passes: Sequence[Row]) -> Row:
    """Median and quartiles are those of the rounds of all passes, what stands beside them is the mean."""
    first = passes[0]
    values = np.concatenate([each["values"] for each in passes])
    context = {name: _mean([each["context"][name] for each in passes]) for name in first["context"]}
    why_not = next((each["why_not"] for each in passes if not each["valid"]), None)
    return row(first["id"], first["what"], values, first["unit"], context, why_not)


def _mean(said: list[Any]) -> Any:
    if any(isinstance(each, float) for each in said):
        return float(np.mean(said))
    return said[0] if said.count(said[0]) == len(said) else round(np.mean(said))
