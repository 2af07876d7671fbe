"""A report as a page that needs no other file: tables, and curves as pictures in it. And the JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Final

from fastmld_bench.judgement import BEHIND, COLUMNS, behind, in_words, judge
from fastmld_bench.plots import PLOTS, picture
from fastmld_bench.report import Report

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: .25em .7em; text-align: left; vertical-align: top }
tr + tr td { border-top: 1px solid #ddd } td:nth-child(n + 3) { white-space: nowrap } .long td { white-space: normal }
img { width: 32em; max-width: 100% } .not-measured td { color: #888 }
.fails td, .not-valid td { background: #fdd } .aim-reached td { background: #e7f6e7 }
"""


def write(report: Report, directory: Path) -> tuple[Path, Path]:
    """report.html and report.json; where they are."""
    html, data = directory / "report.html", directory / "report.json"
    data.write_text(json.dumps(report, indent=1) + "\n")
    html.write_text(page(report))
    return html, data


def page(report: Report) -> str:
    """The HTML."""
    goals = [(each.verdict.replace(" ", "-"), each.cells()) for each in judge(report)]
    others = [("" if row["valid"] else "not-valid", behind(row)) for row in report["rows"]]
    pictures = [
        f'<img alt="{escape(PLOTS[key].title)}" src="{picture(key, found)}">'
        for key, found in report["series"].items()
        if key in PLOTS and found
    ]
    environment = [("", (name, in_words(value))) for name, value in report["environment"].items()]
    parts = [
        f"<p>{escape(summary(report))}</p>",
        "<h2>Goals</h2>" + _table(COLUMNS, goals) if goals else "",
        "<h2>Curves</h2>" + "\n".join(pictures) if pictures else "",
        "<h2>All figures</h2>" + _table(BEHIND, others, "long"),
        "<h2>Environment</h2>" + _table((), environment),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>fastmld bench</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>fastmld bench</h1>\n{body}\n</body></html>\n"
    )


def summary(report: Report) -> str:
    """What kind of run it was."""
    kind = "A quick run, whose figures are no claims" if report["quick"] else "A full run"
    wire = " In memory only." if report["memory_only"] else ""
    if report["refused"]:
        wire = f" In memory only, for the wire was refused: {report['refused']}."
    environment = report["environment"]
    return (
        f"{kind}, seed {report['seed']}, of {environment['commit']} on {environment['date']}.{wire} "
        "Figures are medians; of what has several rows the worst stands for the goal. Colours: an aim that is reached, "
        "a must that fails."
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, tuple[str, ...]]], name: str = "") -> str:
    lines = [f'<table class="{name}">']
    if head:
        lines.append("<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>")
    for style, cells in rows:
        lines.append(f'<tr class="{style}">' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return "\n".join([*lines, "</table>"])
