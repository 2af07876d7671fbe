"""`fastmld bench`: measures this machine, and says which goals hold; compares two such reports."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from fastmld.cli.console import console
from fastmld.cli.errors import CommandError

_WIDTH = 120  # columns of a table, where there is no terminal to say

app = typer.Typer(invoke_without_command=True)


@app.callback()
def bench(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where report.html and report.json go.")] = Path(
        "bench-report"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="A minute, and figures that are no claims.")] = False,
    only: Annotated[
        str | None, typer.Option(metavar="P1,P4,...", help="These goals.  [default: all of them, and the curves]")
    ] = None,
    workload: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="No goals, but this workload's frames a second. May be given again."),
    ] = None,
    rate: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="No goals, but N frames a second offered on the wire.")
    ] = None,
    groups: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=4_000_000, help="So many groups, with --workload or --rate."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seeds the frames and the draws.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print report.json instead of a table.")] = False,
    memory_only: Annotated[bool, typer.Option("--memory-only", help="Leave out what needs a network.")] = False,
) -> None:
    """Measure this machine: the goals of docs/performance.md, each figure beside its must and its aim.

    Contenders take turns in one run, and what is claimed are ratios. The wire is a veth pair in namespaces of the
    bench's own; where those are refused, it is a bench of memory only. Exits 1 if a must fails.
    """
    if context.invoked_subcommand is not None:
        return
    wanted = _wanted(only, workload, rate, groups, seed, quick, memory_only)
    from fastmld_bench.judgement import judge
    from fastmld_bench.page import write
    from fastmld_bench.run import WireRefused, run

    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
    with _progress() as progress:
        try:
            report = run(wanted, progress)
        except WireRefused as refused:
            raise CommandError(str(refused), 3) from refused
    if refusal := report["refused"]:
        if not report["rows"]:
            raise CommandError(refusal, 3)
        print(f"fastmld: a bench of memory only, for the wire is refused: {refusal}", file=sys.stderr)
    with _writing(out):
        html, data = write(report, out)
    judged = judge(report)
    if as_json:
        print(json.dumps(report))
    else:
        _draw(report, judged)
        print(f"{html}, {data}")
    bad = [each.goal.id for each in judged if each.row is not None and not each.is_good]
    if bad:
        raise CommandError(f"{', '.join(bad)}: not what must be", 1)
    for row in report["rows"]:
        if not judged and not row["valid"]:
            raise CommandError(f"{row['id']}: {row['why_not']}", 1)


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A report.json.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Another, of the same machine.")],
    threshold: Annotated[float, typer.Option(metavar="PERCENT", min=0, help="How much worse a figure may be.")] = 10.0,
) -> None:
    """Compare two reports row by row. Exits 1 if a figure is worse by more than the threshold and the spread."""
    from fastmld_bench.compare import COLUMNS, compare_rows, is_worse
    from fastmld_bench.report import read

    rows = []
    for path in (old, new):
        try:
            rows.append(read(path)["rows"])
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from error
        except ValueError as error:
            raise CommandError(str(error)) from error
    compared = compare_rows(*rows, threshold / 100)
    if not any(each.old and each.new for each in compared):
        raise CommandError(f"{old} and {new} have no row in common")
    _print_table(COLUMNS, [each.cells() for each in compared])
    worse = [each for each in compared if is_worse(each)]
    if worse:
        raise CommandError("worse: " + "; ".join(f"{each.id}, {each.what}" for each in worse), 1)


def _wanted(
    only: str | None,
    workload: list[str] | None,
    rate: int | None,
    groups: int | None,
    seed: int,
    quick: bool,
    memory_only: bool,
) -> Any:
    from fastmld_bench.goals import GOALS, chosen
    from fastmld_bench.wanted import Wanted
    from fastmld_bench.workloads import WORKLOADS

    for name in workload or ():
        if name not in WORKLOADS:
            raise CommandError(f"{name!r} is no workload: they are {', '.join(WORKLOADS)}")
    if rate is not None and "junk" in (workload or ()):
        raise CommandError("junk is nothing to offer on the wire: the ring's filter keeps most of it out")
    if only is not None and (workload or rate):
        raise CommandError("--only is about goals: it goes with neither --workload nor --rate")
    if groups is not None and not (workload or rate):
        raise CommandError("--groups goes with --workload or --rate: each goal has its number of groups")
    if memory_only and rate:
        raise CommandError("--rate is offered on the wire: it does not go with --memory-only")
    try:
        goals = list(GOALS) if only is None else chosen(only)
    except ValueError as error:
        raise CommandError(str(error)) from error
    if memory_only and all(goal.on_the_wire for goal in goals):
        raise CommandError(f"{only} is measured on the wire: it does not go with --memory-only")
    return Wanted(goals, workload or [], rate, groups, seed, quick, memory_only)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommandError(f"{error.filename or path}: {error.strerror}") from error


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """Says what is under way: a bar on a terminal, else a line each."""
    if not sys.stderr.isatty():
        told: list[str] = []

        def tell(text: str, fraction: float) -> None:
            if text not in told[-1:]:
                told.append(text)
                print(f"{fraction:4.0%}  {text}", file=sys.stderr, flush=True)

        yield tell
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda text, fraction: bar.update(task, completed=fraction, description=text)


def _draw(report: dict[str, Any], judged: list[Any]) -> None:
    from fastmld_bench.judgement import COLUMNS, figure, quartiles

    if judged:
        _print_table(COLUMNS, [each.short_cells() for each in judged])
        return
    _print_table(
        ("", "what", "figure", "quartiles", ""),
        [
            (row["id"], row["what"], figure(row["value"], row["unit"]), quartiles(row), row["why_not"] or "")
            for row in report["rows"]
        ],
    )


def _print_table(columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(*columns, box=SIMPLE_HEAD, padding=(0, 1))
    for cells in rows:
        table.add_row(*cells)
    console(width=_WIDTH).print(table)
