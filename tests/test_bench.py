"""`fastmld bench`: what it says, writes and refuses. Its figures are the machine's business, and not tested here."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from fastmld_bench import memory, turns
from fastmld_bench.compare import compare_rows, is_worse
from fastmld_bench.goals import GOALS, chosen
from fastmld_bench.judgement import FAILS, HOLDS, NOT_MEASURED, NOT_VALID, REACHED, SHORT, figure, judge
from fastmld_bench.page import page
from fastmld_bench.passes import Pass, Point, together

from fastmld.__main__ import main

ROOT = Path(__file__).parent.parent


class Ended(NamedTuple):
    status: int
    out: str
    error: str


Command = Callable[..., Ended]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in this process, in a directory of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["fastmld", "bench", *arguments])
        status = main()
        return Ended(status, *capfd.readouterr())

    return run


def row(goal: str, value: float | None, what: str = "", unit: str = "x", why_not: str | None = None) -> dict[str, Any]:
    spread = None if value is None else [0.99 * value, 1.01 * value]
    return {
        "id": goal, "what": what, "value": value, "spread": spread, "unit": unit, "context": {"rounds": 30},
        "valid": why_not is None, "why_not": why_not,
    }  # fmt: skip


def report(*rows: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": 1,
        "environment": {"commit": "0123", "date": "today"},
        "seed": 1,
        "quick": False,
        "memory_only": False,
        "refused": None,
        "goals": [goal.id for goal in GOALS],
        "rows": list(rows),
        "series": {},
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("--workload", "no-such"),
        ("--rate", "many"),
        ("--rate", "0"),
        ("--rate", "1000", "--memory-only"),
        ("--groups", "10"),
        ("--groups", "0", "--workload", "mix"),
        ("--groups", "4000001", "--workload", "mix"),
        ("--only", "P12"),
        ("--only", ""),
        ("--only", "P1", "--workload", "mix"),
        ("--only", "P6,P7", "--memory-only"),
        ("--seed", "-1"),
        ("--no-such-option",),
        ("--quick", "--memory-only", "--only", "P4", "--out", "a-file"),
        ("--quick", "--memory-only", "--only", "P4", "--out", "a-file/below"),
        ("no-such-verb",),
        ("compare",),
        ("compare", "report.json"),
        ("compare", "report.json", "no-such-file"),
        ("compare", "report.json", "a-file"),
        ("compare", "report.json", "report.json", "--threshold", "some"),
        ("compare", "report.json", "other.json"),
    ],
)
def test_usage_errors_are_one_line_and_status_2(bench: Command, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "a-file").write_text('{"rows": 1}')
    (tmp_path / "report.json").write_text(json.dumps(report(row("P3", 3.0))))
    (tmp_path / "other.json").write_text(json.dumps(report(row("P4", 1.0))))
    status, out, error = bench(*arguments)
    assert (status, out) == (2, "")
    assert error.startswith("fastmld: ") and error.count("\n") == 1


@pytest.mark.parametrize("missing", ["matplotlib", "scapy", "dpkt"])
def test_a_missing_extra_is_named_before_anything_is_measured(tmp_path: Path, missing: str) -> None:
    (tmp_path / f"{missing}.py").write_text(f"raise ModuleNotFoundError('gone', name='{missing}')")
    ended = subprocess.run(
        [sys.executable, "-m", "fastmld", "bench"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        timeout=60,
    )
    assert ended.returncode == 3
    assert ended.stderr == f"fastmld: {missing} is not installed: pip install 'fastmld[bench]'\n"


def test_a_quick_run_of_memory_only(bench: Command, tmp_path: Path) -> None:
    status, out, error = bench("--quick", "--memory-only", "--only", "P4", "--out", "here")
    told = json.loads((tmp_path / "here" / "report.json").read_text())
    assert [(each["id"], each["what"], each["valid"]) for each in told["rows"]] == [
        ("P4", "1 a batch", True),
        ("P4", "4,096 a batch", True),
    ]
    assert told["quick"] and told["seed"] == 1 and told["goals"] == ["P4"]
    assert {"cpu", "kernel", "python", "numpy", "compiler", "flags", "commit", "date", "load"} <= told[
        "environment"
    ].keys()
    (judged,) = judge(told)
    assert status == (0 if judged.is_good else 1)  # which of them is this machine's business
    assert "P4" in out and judged.verdict in out
    assert "in memory: General Queries" in error and "\r" not in error
    html = (tmp_path / "here" / "report.html").read_text()
    assert judged.cells()[1] in html and told["environment"]["cpu"] in html
    assert not re.search(r"""(src|href)=["'](?!data:)""", html)


def test_a_workload_alone(bench: Command, tmp_path: Path) -> None:
    ended = bench("--quick", "--workload", "everything", "--groups", "100", "--json")
    assert ended.status == 0
    told = json.loads(ended.out)
    assert [(each["id"], each["what"], each["unit"]) for each in told["rows"]] == [
        ("everything", "100 groups", "frames/s")
    ]
    html = (tmp_path / "bench-report" / "report.html").read_text()
    assert 'src="data:image/svg+xml;base64,' in html


def without_namespaces(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command where no namespace can be made any more: in one, whose own limits are none."""
    none_more = "echo 0 >/proc/sys/user/max_user_namespaces; echo 0 >/proc/sys/user/max_net_namespaces"
    command = ["sh", "-ec", f'{none_more}; exec "$@"', "sh", sys.executable, "-m", "fastmld", "bench", *arguments]
    return subprocess.run(["unshare", "-Ur", *command], capture_output=True, text=True, cwd=cwd, timeout=120)


@pytest.mark.live
@pytest.mark.slow
def test_without_privileges_it_is_a_bench_of_memory_only_and_says_so(tmp_path: Path) -> None:
    if subprocess.run(["unshare", "-Ur", "true"], capture_output=True).returncode:
        pytest.skip("no user namespaces")
    ended = without_namespaces("--quick", "--only", "P3,P6", cwd=tmp_path)
    assert "fastmld: a bench of memory only" in ended.stderr
    told = json.loads((tmp_path / "bench-report" / "report.json").read_text())
    assert [each["id"] for each in told["rows"]] == ["P3"] and told["refused"]
    assert ended.returncode == (0 if judge(told)[0].is_good else 1)
    ended = without_namespaces("--quick", "--only", "P6", "--out", "nothing", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.splitlines()[-1] == f"fastmld: {told['refused']}"


# Goals beside figures


def test_the_goals_are_p1_to_p11_and_v1_to_v6() -> None:
    named = [*(f"P{n}" for n in range(1, 12)), *(f"V{n}" for n in range(1, 7))]
    assert list(dict.fromkeys(goal.id.rstrip("abc") for goal in GOALS)) == named
    assert [goal.id for goal in chosen("P9, P4, V2")] == ["P4", "P9a", "P9b", "V2a", "V2b"]
    for goal in GOALS:  # an aim is farther than a must
        assert goal.aim is None or (goal.holds(goal.aim) and goal.is_reached(goal.aim))


def test_every_goal_in_memory_is_measured() -> None:
    measured = [goal for task in memory._TASKS for goal in task.goals]
    assert sorted(measured) == sorted(goal.id for goal in GOALS if not goal.on_the_wire)


def test_passes_are_told_together() -> None:
    """As if their rounds had been one measurement's; a row that one of them calls invalid is."""

    def measured(values: list[float], mean: float, why_not: str | None = None) -> dict[str, Any]:
        return turns.row("P5", "alternating", np.array(values), "x", {"frames_per_s": mean, "frames": 4}, why_not)

    def curve(values: list[float]) -> list[Point]:
        return [Point("rate_by_groups", "mix", 10, measured(values, 1.0))]

    first = Pass([measured([1.0, 2.0, 3.0], 10.0), measured([1.0], 1.0)], curve([1.0, 1.0]))
    other = Pass([measured([7.0, 8.0], 20.0), measured([1.0], 1.0, "a Query changed something")], curve([4.0]))
    told = together([first, other])
    one, invalid, of_the_curve = told["rows"]
    assert (one["value"], one["spread"], one["valid"]) == (3.0, [2.0, 7.0], True)
    assert one["context"] == {"frames_per_s": 15.0, "frames": 4, "rounds": 5}
    assert (invalid["valid"], invalid["why_not"]) == (False, "a Query changed something")
    (point,) = told["series"]["rate_by_groups"]["mix"]
    assert (point["at"], point["value"]) == (10, 1.0) == (10, of_the_curve["value"])


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([], NOT_MEASURED),
        ([row("P5", 0.3)], HOLDS),
        ([row("P5", 0.29)], FAILS),
        ([row("P5", 0.8)], REACHED),
        ([row("P5", 0.9), row("P5", 0.2, "another")], FAILS),
        ([row("P5", 0.9), row("P5", 0.9, "another", why_not="no reason")], NOT_VALID),
        ([row("P5", None, why_not="no reason"), row("P5", 0.1, "another")], NOT_VALID),
    ],
)
def test_the_worst_row_stands_for_a_goal(rows: list[dict[str, Any]], verdict: str) -> None:
    judged = {each.goal.id: each for each in judge(report(*rows))}
    assert judged["P5"].verdict == verdict
    assert judged["P5"].is_good == (verdict in (HOLDS, REACHED))


def test_at_most_is_the_other_way_round() -> None:
    verdicts = {value: judge(report(row("P2", value)))[1].verdict for value in (1.5, 4.0, 4.1)}
    assert verdicts == {1.5: REACHED, 4.0: HOLDS, 4.1: FAILS}


def test_a_goal_without_a_must_or_without_an_aim() -> None:
    told = report(row("P8b", 3.0, unit="ms"), row("P11a", 2000.0), row("P11b", 99.0))
    judged = {each.goal.id: each for each in judge(told)}
    assert [judged[name].verdict for name in ("P8b", "P11a", "P11b")] == [SHORT, HOLDS, FAILS]
    assert judged["P8b"].is_good
    assert judge(report(row("P8b", 2.0, unit="ms")))[8].verdict == REACHED


def test_a_figure_has_three_digits_that_count() -> None:
    assert figure(11_364_000.0, "frames/s") == "11.4 M frames/s"
    assert figure(99_999.0, "frames/s") == "99,999 frames/s"
    assert (figure(1.0149, "x"), figure(12_345.6, "x"), figure(None, "x")) == ("1.01 x", "12,346 x", "")


def test_a_page_of_everything_a_wire_says() -> None:
    told = report(row("P6", None, why_not="<one core>"), row("P7", 20_000.0))
    told["refused"] = "no namespaces"
    told["series"] = {
        "loss_by_offered_rate": [
            {"reader": reader, "held_pps": 1e6 * n, "offered_pps": None, "loss": 0.1 * n, "sent": 9, "dropped": 1}
            for reader in ("walker", "listener")
            for n in range(3)
        ],
        "lateness_ms_histogram": [{"from_ms": 0.0, "reports": 7}, {"from_ms": 0.25, "reports": 0}],
        "linux_beside_us": [
            {"who": who, "queries_per_s": 20, "answered_in_time": share} for who, share in (("us", 1.0), ("them", 0.5))
        ],
        "not known here": [1],
    }
    html = page(told)
    assert html.count("<img") == 3
    assert "&lt;one core&gt;" in html and "the wire was refused: no namespaces" in html


# Two reports


@pytest.mark.parametrize(
    ("goal", "unit", "old", "new", "worse"),
    [
        ("P3", "x", 2.0, 2.0, False),
        ("P3", "x", 2.0, 2.1, False),  # 5 %
        ("P3", "x", 2.0, 2.3, True),
        ("P3", "x", 2.3, 2.0, False),
        ("P1", "frames/s", 10e6, 8e6, True),
        ("P1", "frames/s", 8e6, 10e6, False),
        ("mix", "frames/s", 10e6, 8e6, True),
        ("query", "ns", 100.0, 150.0, True),
        ("query", "ns", 150.0, 100.0, False),
    ],
)
def test_what_became_worse(tmp_path: Path, goal: str, unit: str, old: float, new: float, worse: bool) -> None:
    (compared,) = compare_rows([row(goal, old, "same", unit)], [row(goal, new, "same", unit)])
    assert is_worse(compared) is worse


def test_within_the_spread_nothing_is_worse() -> None:
    old, new = row("P3", 2.0), row("P3", 2.5)
    old["spread"] = [1.5, 2.5]
    assert not is_worse(compare_rows([old], [new])[0])


def test_a_row_that_is_not_valid_any_more_is_worse_and_one_that_is_gone_is_not() -> None:
    before = [row("P3", 2.0), row("P4", 1.0), row("P6", None, why_not="one core")]
    after = [row("P3", None, why_not="no reason"), row("P6", 3.0)]
    assert [is_worse(each) for each in compare_rows(before, after)] == [True, False, False]


def test_figures_without_quartiles_are_compared_as_they_are() -> None:
    before, after = ({**row("P8b", value, unit="ms"), "spread": None} for value in (1.0, 1.2))
    assert is_worse(compare_rows([before], [after])[0])
    assert not is_worse(compare_rows([after], [before])[0])


def test_compare_as_a_command(bench: Command, tmp_path: Path) -> None:
    for name, value in (("old", 2.0), ("same", 2.05), ("slow", 3.0)):
        (tmp_path / name).write_text(json.dumps(report(row("P3", value, "100 k groups"))))
    assert bench("compare", "old", "same").status == 0
    status, out, error = bench("compare", "old", "slow")
    assert (status, error) == (1, "fastmld: worse: P3, 100 k groups\n")
    assert "-50.0%" in out
    assert bench("compare", "old", "slow", "--threshold", "60").status == 0


# Where it stands


def test_only_the_verb_knows_the_bench() -> None:
    knows = [path for path in (ROOT / "fastmld").rglob("*.py") if "fastmld_bench" in path.read_text()]
    assert knows == [ROOT / "fastmld" / "cli" / "bench.py"]


def test_the_verb_waits_for_what_it_needs() -> None:
    code = "import fastmld.cli, sys; print([n for n in ('fastmld_bench', 'matplotlib', 'scapy') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_the_figures_in_the_documents_are_those_of_the_report() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    text = (ROOT / "docs" / "performance.md").read_text()
    assert text == generate.performance(text), "run: make docs"
