"""The series of a report as pictures: SVG, to be put into a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure


class Plot(NamedTuple):
    """How a series is drawn."""

    title: str
    x: str
    y: str
    draw: Callable[[Axes, Any], None]


def picture(key: str, series: Any) -> str:
    """A data: URI."""
    plot = PLOTS[key]
    with matplotlib.rc_context({"svg.hashsalt": "fastmld", "font.size": 9}):
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axes = figure.add_subplot()
        plot.draw(axes, series)
        axes.set(title=plot.title, xlabel=plot.x, ylabel=plot.y)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=8)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(drawn.getvalue()).decode()


def _curves(axes: Axes, curves: dict[str, list[dict[str, Any]]], factor: float = 1.0) -> None:
    """Name -> points of at, value and spread; factor: from what is measured to what is shown."""
    for name, points in curves.items():
        at = [point["at"] for point in points]
        (line,) = axes.plot(at, [point["value"] * factor for point in points], marker="o", markersize=3, label=name)
        low, high = zip(*([bound * factor for bound in point["spread"]] for point in points), strict=True)
        axes.fill_between(at, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set_xscale("log")


def _rates(axes: Axes, curves: Any) -> None:
    _curves(axes, curves, 1e-6)
    axes.set_ylim(bottom=0)


def _costs(axes: Axes, curves: Any) -> None:
    _curves(axes, curves)
    axes.set_yscale("log")


def _losses(axes: Axes, trials: list[dict[str, Any]]) -> None:
    for reader in dict.fromkeys(trial["reader"] for trial in trials):
        own = sorted((trial["held_pps"] / 1e6, 100 * trial["loss"]) for trial in trials if trial["reader"] == reader)
        axes.plot(*zip(*own, strict=True), marker="o", markersize=3, label=reader)
    axes.set_ylim(bottom=0)


def _lateness(axes: Axes, bins: list[dict[str, Any]]) -> None:
    begins = [each["from_ms"] for each in bins]
    axes.stairs([each["reports"] for each in bins], [*begins, 1.1 * begins[-1] + 1], fill=True)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(bottom=0)


def _beside(axes: Axes, told: list[dict[str, Any]]) -> None:
    rates = list(dict.fromkeys(each["queries_per_s"] for each in told))
    names = list(dict.fromkeys(each["who"] for each in told))
    width = 0.8 / len(names)
    for n, name in enumerate(names):
        own = [each for each in told if each["who"] == name]
        at = [rates.index(each["queries_per_s"]) + (n - (len(names) - 1) / 2) * width for each in own]
        axes.bar(at, [100 * each["answered_in_time"] for each in own], width, label=name)
    axes.set_xticks(range(len(rates)), [f"{rate:,}" for rate in rates])


PLOTS: Final = {
    "rate_by_groups": Plot("Rate by groups, in memory", "groups", "M frames/s", _rates),
    "rate_by_interfaces": Plot("Rate by interfaces, in memory, 100 groups each", "interfaces", "M frames/s", _rates),
    "cost_of_a_query": Plot("A General Query that finds all timers running, in memory", "groups", "ns", _costs),
    "cost_of_a_query2": Plot("An MLDv2 General Query that finds an answer pending, in memory", "groups", "ns", _costs),
    "cost_of_a_timer": Plot("A timer, armed and taken", "timers", "ns", _costs),
    "loss_by_offered_rate": Plot("Loss by offered rate, on the wire", "M frames/s", "% lost", _losses),
    "lateness_ms_histogram": Plot("Lateness of answers, on the wire", "ms late", "Reports", _lateness),
    "linux_beside_us": Plot("Groups answered in time, on the wire", "Queries/s", "% of groups", _beside),
}
