"""The script of `fastmld replay`: local events, and what they make an MLDv1 listener say."""

from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest

import frames
from replay_bench import GROUP, OTHER, T0, Bench, S, join, leave, listen, own_done, own_report


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, monkeypatch, capsys, "--mld-version", "1")


# Joining and leaving


def test_a_join_reports_at_once_and_once_more(run: Bench) -> None:
    outcome = run("--epoch", str(T0), script=[join(-60)])
    assert (outcome.status, outcome.error) == (0, "")
    (first, second) = outcome.at()
    assert first == (-60.0, own_report(GROUP))
    assert second[1] == own_report(GROUP)
    assert -60 < second[0] <= -50, "RFC 2710 section 4: the repeat within the Unsolicited Report Interval, 10 s"
    assert outcome.summary == {
        "frames": 0,
        "accepted": 0,
        "dropped": {},
        "transmitted": {"report": 2, "done": 0, "report2": 0},
        "script_errors": 0,
        "interfaces": [
            {
                "name": "replay",
                "mode": "mldv1",
                "groups": 1,
                "robustness": 2,
                "query_interval_ms": 125_000,
                "querier": None,
            }
        ],
        "groups": [{"group": GROUP, "state": "idle_listener", "last_reporter": True, "deadline_ms": None}],
    }


def test_a_leave_is_a_done_to_all_routers(run: Bench) -> None:
    outcome = run("--epoch", str(T0), script=[join(0), leave(20.5)])
    assert outcome.at()[-1] == (20.5, own_done(GROUP))
    assert outcome.summary["transmitted"] == {"report": 2, "done": 1, "report2": 0}
    assert outcome.summary["groups"] == []


def test_joins_are_counted(run: Bench) -> None:
    outcome = run(script=[join(0), join(1), leave(20), leave(30), leave(40)])
    assert outcome.status == 0
    assert outcome.at(0)[-1] == (30.0, own_done(GROUP))
    assert outcome.summary["transmitted"] == {"report": 2, "done": 1, "report2": 0}
    assert outcome.summary["script_errors"] == 1
    assert f"{run.path / 'script'}: line 5: " in outcome.error and outcome.error.count("\n") == 1


def test_the_end_of_a_run_is_no_leaving(run: Bench) -> None:
    assert run(script=[join(0)]).summary["transmitted"]["done"] == 0


def test_count_is_of_consecutive_addresses(run: Bench) -> None:
    outcome = run("--until", "0", script=[join(0, "ff05::fffe", count=4)])
    groups = ["ff05::fffe", "ff05::ffff", "ff05::1:0", "ff05::1:1"]
    assert outcome.at(0) == [(0.0, own_report(group)) for group in groups]
    assert list(outcome.groups()) == groups
    carry = run("--until", "0", script=[join(0, "ff05::ffff:ffff:ffff:ffff", count=2)])
    assert list(carry.groups()) == ["ff05::ffff:ffff:ffff:ffff", "ff05:0:0:1::"]
    left = run(script=[join(0, "ff05::1", count=5), leave(0, "ff05::2", count=3)])
    assert list(left.groups()) == ["ff05::1", "ff05::5"]


def test_leaving_a_range_is_all_or_nothing(run: Bench) -> None:
    outcome = run(script=[join(0, "ff05::1", count=2), leave(1, "ff05::1", count=3)])
    assert outcome.summary["script_errors"] == 1
    assert list(outcome.groups()) == ["ff05::1", "ff05::2"]


def test_delay_ms_holds_the_first_report_back(run: Bench) -> None:
    outcome = run(script=[join(0, delay_ms=1500)])
    times = [time for time, _ in outcome.at(0)]
    assert times[0] == 1.5 and 1.5 < times[1] <= 11.5
    waiting = run("--until", "1.499", script=[join(0, delay_ms=1500)])
    assert waiting.groups() == {GROUP: ("delayed_join", False, 1500)}
    assert waiting.sent == []


def test_more_groups_than_an_interface_holds_is_a_script_error(run: Bench) -> None:
    outcome = run(script=[join(0, "ff05::", count=10**30), leave(0, "ff05::", count=10**30), join(1)])
    assert outcome.status == 0
    assert outcome.summary["script_errors"] == 2
    assert list(outcome.groups()) == [GROUP]


def test_down_and_up(run: Bench) -> None:
    script = [join(0), {"t": 20, "op": "down"}, join(21, OTHER), {"t": 30, "op": "up"}]
    outcome = run("--until", "30", packets=[(0, b""), (25, frames.query(delay_ms=0))], script=script)
    assert [sent for sent in outcome.at() if sent[0] >= 15] == [
        (20.0, own_done(GROUP)),
        (30.0, own_report(GROUP)),
        (30.0, own_report(OTHER)),
    ]
    assert outcome.verdicts[1]["verdict"] == "accepted", "a frame that arrives while down gets its verdict"


def test_the_own_address_changes(run: Bench) -> None:
    script = [join(0), {"t": 20, "op": "link_local", "address": None}, join(21, OTHER)]
    script += [{"t": 30, "op": "link_local", "address": "fe80::2"}]
    outcome = run("--until", "30", script=script)
    new = IPv6Address("fe80::2").packed
    assert [sent for sent in outcome.at(0) if sent[0] >= 15] == [
        (21.0, own_report(OTHER, source=bytes(16))),
        (30.0, own_report(GROUP, source=new)),
        (30.0, own_report(OTHER, source=new)),
    ]


def test_the_script_is_sorted_stably(run: Bench) -> None:
    script = [leave(2), join(1, OTHER), join(1), leave(1), join(1)]
    outcome = run(script=script)
    assert outcome.summary["script_errors"] == 0
    assert [frame for time, frame in outcome.at(0) if time in (1.0, 2.0)] == [
        own_report(OTHER), own_report(GROUP), own_done(GROUP), own_report(GROUP), own_done(GROUP)
    ]  # fmt: skip
    wrong = run(script=[leave(1), join(1)])
    assert wrong.summary["script_errors"] == 1 and list(wrong.groups()) == [GROUP]


@pytest.mark.parametrize(
    ("t", "ms"),
    [("0", 0), ("1.5", 1500), ("1.001", 1001), ("-0.001", -1), ("2e-3", 2), ("4.035", 4035), ("1e1", 10_000)],
)
def test_script_times_are_decimals_of_milliseconds(run: Bench, t: str, ms: int) -> None:
    line = '{"t": %s, "op": "join", "group": "ff05::101"}\n' % t  # noqa: UP031
    assert run("--epoch", "100", script=line).sent[0][0] == 100 * S + ms * 1_000_000


# `listen` on an MLDv1-only interface


def sent_by(run: Bench, *script: dict[str, Any]) -> list[tuple[float, bytes]]:
    """Without the repeats: every event is at a whole second, and the repeats are left out."""
    outcome = run(script=list(script))
    assert outcome.status == 0
    times = {line["t"] for line in script}
    return [(time, frame) for time, frame in outcome.at(0) if time in times]


def test_listen_is_a_join_and_include_nothing_a_leave(run: Bench) -> None:
    source = "2001:db8::1"
    for first in (listen(0, "include", source), listen(0, "exclude"), listen(0, "exclude", source)):
        assert sent_by(run, first, listen(20, "include")) == [(0, own_report(GROUP)), (20, own_done(GROUP))]


def test_a_listener_joins_once(run: Bench) -> None:
    sent = sent_by(
        run, listen(0, "exclude"), listen(20, "include", "2001:db8::1"), listen(30, "include"), listen(40, "exclude")
    )
    assert sent == [(0, own_report(GROUP)), (30, own_done(GROUP)), (40, own_report(GROUP))]


def test_listeners_have_names(run: Bench) -> None:
    script = [listen(0, "exclude", listener="a"), listen(20, "exclude"), listen(30, "include", listener="a")]
    assert sent_by(run, *script, listen(40, "include", listener="0")) == [(0, own_report(GROUP)), (40, own_done(GROUP))]
    held = run(script=[*script, join(35), listen(40, "include", listener="0")])
    assert list(held.groups()) == [GROUP], "a join is a listener of its own"


def test_include_nothing_for_what_was_never_listened_to_is_no_event(run: Bench) -> None:
    outcome = run(script=[listen(0, "include"), listen(1, "exclude"), listen(2, "include"), listen(3, "include")])
    assert (outcome.summary["script_errors"], outcome.error, outcome.groups()) == (0, "", {})


def test_include_nothing_of_a_listener_that_is_not_there_is_a_script_error(run: Bench) -> None:
    outcome = run(script=[join(1), listen(2, "include", listener="nobody")])
    assert (outcome.status, outcome.summary["script_errors"]) == (0, 1)
    assert f"{run.path / 'script'}: line 2: " in outcome.error and "nobody" in outcome.error
    assert list(outcome.groups()) == [GROUP]


def test_leave_ends_a_join_and_no_named_listener(run: Bench) -> None:
    outcome = run(script=[listen(0, "exclude"), leave(20), join(30), leave(40), leave(50, count=1)])
    assert outcome.summary["script_errors"] == 2
    assert list(outcome.groups()) == [GROUP]
    many = run(script=[join(0, count=3), listen(1, "exclude", group=OTHER), leave(20, count=3), leave(30, OTHER)])
    assert many.summary["script_errors"] == 1
    assert list(many.groups()) == [OTHER]


# Bad input

BAD_LINES = [
    "join",
    "[]",
    "7",
    '{"t": 0, "op": "join", "group": "ff05::1"',
    '{"t": 0, "op": "join", "group": "ff05::1"} {}',
    "[" * 100_000,
    '{"op": "join", "group": "ff05::1"}',
    '{"t": null, "op": "up"}',
    '{"t": true, "op": "up"}',
    '{"t": "0", "op": "up"}',
    '{"t": NaN, "op": "up"}',
    '{"t": Infinity, "op": "up"}',
    '{"t": 1e400, "op": "up"}',
    '{"t": 1e99999999999999999999, "op": "up"}',
    '{"t": 1%s, "op": "up"}' % ("0" * 5000),
    '{"t": 0}',
    '{"t": 0, "op": "query"}',
    '{"t": 0, "op": ["up"]}',
    '{"t": 0, "op": "up", "group": "ff05::1"}',
    '{"t": 0, "op": "join"}',
    '{"t": 0, "op": "join", "group": "ff05::1", "sources": []}',
    '{"t": 0, "op": "leave", "group": "ff05::1", "delay_ms": 5}',
    '{"t": 0, "op": "join", "group": "fe80::1"}',
    '{"t": 0, "op": "join", "group": "224.0.0.1"}',
    '{"t": 0, "op": "join", "group": "ff05::1%eth0"}',
    '{"t": 0, "op": "join", "group": "ff05::g"}',
    '{"t": 0, "op": "join", "group": 7}',
    '{"t": 0, "op": "join", "group": "ff05::1", "count": 0}',
    '{"t": 0, "op": "join", "group": "ff05::1", "count": -1}',
    '{"t": 0, "op": "join", "group": "ff05::1", "count": true}',
    '{"t": 0, "op": "join", "group": "ff05::1", "count": 1.0}',
    '{"t": 0, "op": "leave", "group": "ff05::1", "count": "2"}',
    '{"t": 0, "op": "join", "group": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "count": 2}',
    '{"t": 0, "op": "join", "group": "ff05::1", "delay_ms": -1}',
    '{"t": 0, "op": "join", "group": "ff05::1", "delay_ms": false}',
    '{"t": 0, "op": "join", "group": "ff05::1", "delay_ms": 1.5}',
    '{"t": 0, "op": "join", "group": "ff05::1", "delay_ms": 1%s}' % ("0" * 30),
    '{"t": 0, "op": "link_local"}',
    '{"t": 0, "op": "link_local", "address": "2001:db8::1"}',
    '{"t": 0, "op": "link_local", "address": "none"}',
    '{"t": 0, "op": "link_local", "address": 0}',
    '{"t": 0, "op": "listen", "group": "ff05::1"}',
    '{"t": 0, "op": "listen", "group": "ff05::1", "mode": "INCLUDE"}',
    '{"t": 0, "op": "listen", "group": "ff05::1", "mode": true}',
    '{"t": 0, "op": "listen", "group": "ff05::1", "mode": "include", "sources": "2001:db8::1"}',
    '{"t": 0, "op": "listen", "group": "ff05::1", "mode": "include", "sources": [1]}',
    '{"t": 0, "op": "listen", "group": "ff05::1", "mode": "include", "sources": ["ff05::2"]}',
    '{"t": 0, "op": "listen", "group": "ff05::1", "mode": "include", "sources": ["::"]}',
    '{"t": 0, "op": "listen", "group": "ff05::1", "mode": "include", "sources": ["10.0.0.1"]}',
    '{"t": 0, "op": "listen", "group": "ff05::1", "mode": "include", "listener": 0}',
    '{"t": 0, "op": "listen", "group": "ff05::1", "mode": "include", "count": 1}',
]


@pytest.mark.parametrize("line", BAD_LINES, ids=range(len(BAD_LINES)))
def test_a_bad_script_is_refused_before_anything_runs(run: Bench, line: str) -> None:
    good = '{"t": 0, "op": "join", "group": "ff05::1"}\n'
    outcome = run(script=f"{good}\n{line}\n{good}")
    assert outcome.status == 2
    assert outcome.error.startswith(f"fastmld: {run.path / 'script'}: line 3: ")
    assert outcome.error.count("\n") == 1 and len(outcome.error) < 6000
    assert outcome.octets == (b"", b"", ""), "nothing was run, nothing was written"


def test_a_script_that_is_no_text(run: Bench) -> None:
    run(script="")
    (run.path / "script").write_bytes(b'\xff\xfe{"t": 0}')
    outcome = run("--script", str(run.path / "script"))
    assert outcome.status == 2 and "line 1" in outcome.error


def test_an_empty_script_is_a_script(run: Bench) -> None:
    outcome = run(script="")
    assert outcome.status == 0 and outcome.summary["frames"] == 0 and outcome.sent == []
