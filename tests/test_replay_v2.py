"""`fastmld replay` where MLDv2 is spoken: what is expected comes from RFC 9777, and Reports are read by scapy."""

import random
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest

import frames
from replay_bench import GROUP, OTHER, OWN, T0, Bench, Outcome, join, leave, listen, own_done, own_report
from said_v2 import ALLOW, BLOCK, IS_EX, IS_IN, TO_EX, TO_IN, Record, decode, is_report2

A, B, C = "2001:db8::a", "2001:db8::b", "2001:db8::c"
CHANGE_TO_INCLUDE, CHANGE_TO_EXCLUDE = 3, 4  # section 5.2.12
WINDOW_S = 260  # Older Version Querier Present Timeout of a host, section 9.12: 2 * 125 s + 10 s


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, monkeypatch, capsys, "--epoch", str(T0))


def said(outcome: Outcome) -> list[tuple[float, list[Record]]]:
    """(seconds, records) of what was sent, all of it MLDv2 Reports."""
    assert outcome.status == 0
    return [(time, decode(frame)[0]) for time, frame in outcome.at()]


def said_at_events(run: Bench, *script: dict[str, Any]) -> list[tuple[float, list[Record]]]:
    """Without the retransmissions, which come within a second."""
    outcome = run(script=list(script))
    assert outcome.summary["script_errors"] == 0
    times = {line["t"] for line in script}
    return [(time, records) for time, records in said(outcome) if time in times]


# The options


@pytest.mark.parametrize("options", [(), ("--mld-version", "auto"), ("--mld-version", "2")])
def test_a_join_and_a_leave_are_changes_of_filter_mode(run: Bench, options: tuple[str, ...]) -> None:
    outcome = run(*options, script=[join(0), leave(20)])
    (joined, again, left, left_again) = outcome.at()
    for (time, frame), kind, at in ((joined, CHANGE_TO_EXCLUDE, 0.0), (left, CHANGE_TO_INCLUDE, 20.0)):
        record = frames.record(kind, GROUP)
        assert (time, frame) == (at, frames.report2((record,), source=OWN, mac_source=frames.MAC))
    assert again[1] == joined[1] and 0 < again[0] <= 1, "Unsolicited Report Interval: 1 s, section 9.11"
    assert left_again[1] == left[1] and 20 < left_again[0] <= 21
    assert outcome.summary == {
        "frames": 0,
        "accepted": 0,
        "dropped": {},
        "transmitted": {"report": 0, "done": 0, "report2": 4},
        "script_errors": 0,
        "interfaces": [
            {
                "name": "replay",
                "mode": "mldv2",
                "groups": 0,
                "robustness": 2,
                "query_interval_ms": 125_000,
                "querier": None,
            }
        ],
        "groups": [],
    }


def test_an_mldv1_querier_brings_mldv1_for_a_while(run: Bench) -> None:
    packets = [(10.0, frames.query(delay_ms=10_000))]
    for until_s, mode in ((10 + WINDOW_S - 0.001, "mldv1"), (10 + WINDOW_S, "mldv2")):
        outcome = run("--until", str(until_s), packets=packets, script=[join(0), leave(30)])
        assert outcome.summary["interfaces"][0]["mode"] == mode
        assert outcome.summary["interfaces"][0]["querier"] == "fe80::fe"
        assert outcome.summary["transmitted"] == {"report": 1, "done": 1, "report2": 2}
        answered, left = outcome.at()[2:]
        assert answered[1] == own_report(GROUP) and 10 < answered[0] <= 20
        assert left == (30.0, own_done(GROUP))
    after = run(packets=packets, script=[join(10 + WINDOW_S + 1)])
    assert all(is_report2(frame) for _, frame in after.at())


def test_mldv2_only_ignores_mldv1_queries(run: Bench) -> None:
    outcome = run("--mld-version", "2", packets=[(10.0, frames.query(delay_ms=10_000))], script=[join(0)])
    assert (outcome.summary["accepted"], outcome.summary["interfaces"][0]["mode"]) == (1, "mldv2")
    assert all(time <= 1 for time, _ in outcome.at())


def test_mldv1_only_reads_mldv2_queries_as_its_own(run: Bench) -> None:
    outcome = run("--mld-version", "1", packets=[(20.0, frames.query2(response_code=1000))], script=[join(0)])
    assert outcome.summary["interfaces"][0]["mode"] == "mldv1"
    time, frame = outcome.at()[-1]
    assert frame == own_report(GROUP) and 20 < time <= 21


@pytest.mark.parametrize("version", ["3", "0", "", "AUTO", "v2", "1.0"])
def test_versions_that_there_are_not(run: Bench, version: str) -> None:
    outcome = run("--mld-version", version, script=[])
    assert outcome.status == 2
    assert outcome.error == f"fastmld: --mld-version is 1, 2 or auto, not {version!r}\n"


def test_the_mtu_decides_how_many_records_a_report_has(run: Bench) -> None:
    """56 octets of headers and 20 a record: 72 at 1500, 61 at 1280."""
    for mtu, most in ((1500, 72), (1280, 61)):
        outcome = run("--mtu", str(mtu), "--until", "0", script=[join(0, count=100)])
        assert [len(records) for _, records in said(outcome)] == [most, 100 - most]


# What a Querier is told, and tells


def test_a_general_query_is_answered_with_the_state(run: Bench) -> None:
    packets = [(20.0, frames.query2(response_code=2000, flags=3, interval_code=60))]
    script = [join(0), listen(0, "include", B, A, group=OTHER)]
    outcome = run("--until", "30", packets=packets, script=script)
    assert outcome.verdicts[0]["kind"] == "general_query"
    answers = [(time, records) for time, records in said(outcome) if time >= 20]
    assert [records for _, records in answers] == [[(IS_EX, GROUP, ()), (IS_IN, OTHER, (A, B))]]
    assert 20 < answers[0][0] <= 22
    interface = outcome.summary["interfaces"][0]
    assert (interface["robustness"], interface["query_interval_ms"]) == (3, 60_000)
    assert interface["querier"] == "fe80::fe"


def test_a_source_query_is_answered_for_its_sources(run: Bench) -> None:
    sources = tuple(frames.address(source) for source in (A, C))
    packets = [(20.0, frames.query2(GROUP, 1000, sources))]
    outcome = run(packets=packets, script=[listen(0, "include", A, B)])
    assert outcome.verdicts[0]["kind"] == "source_query"
    assert said(outcome)[-1][1] == [(IS_IN, GROUP, (A,))]


# `listen`


def test_listen_changes_the_filter(run: Bench) -> None:
    """The table of section 6.1; from and to INCLUDE {} are a begin and an end."""
    assert said_at_events(
        run,
        listen(0, "include", A),
        listen(20, "include", A, B),
        listen(40, "include", B, C),
        listen(60, "exclude", A),
        listen(80, "exclude", B),
        listen(100, "include", C),
        listen(120, "include"),
        listen(140, "exclude", C),
        listen(160, "include"),
    ) == [
        (0, [(ALLOW, GROUP, (A,))]),
        (20, [(ALLOW, GROUP, (B,))]),
        (40, [(ALLOW, GROUP, (C,)), (BLOCK, GROUP, (A,))]),
        (60, [(TO_EX, GROUP, (A,))]),
        (80, [(ALLOW, GROUP, (A,)), (BLOCK, GROUP, (B,))]),
        (100, [(TO_IN, GROUP, (C,))]),
        (120, [(BLOCK, GROUP, (C,))]),
        (140, [(TO_EX, GROUP, (C,))]),
        (160, [(TO_IN, GROUP, ())]),
    ]


def test_listeners_are_merged(run: Bench) -> None:
    """Section 4.2's own example: EXCLUDE {a, b, c, d}, EXCLUDE {b, c, d, e}, INCLUDE {d, e, f} is EXCLUDE {b, c}."""
    a, b, c, d, e, f = (f"2001:db8::{name}" for name in "abcdef")
    assert said_at_events(
        run,
        listen(0, "exclude", a, b, c, d, listener="1"),
        listen(20, "exclude", b, c, d, e, listener="2"),
        listen(40, "include", d, e, f, listener="3"),
        listen(60, "include", listener="2"),
        listen(80, "include", listener="1"),
    ) == [
        (0, [(TO_EX, GROUP, (a, b, c, d))]),
        (20, [(ALLOW, GROUP, (a,))]),
        (40, [(ALLOW, GROUP, (d,))]),
        (60, [(BLOCK, GROUP, (a,))]),
        (80, [(TO_IN, GROUP, (d, e, f))]),
    ]


def test_join_is_a_listener_of_any_source_of_its_own(run: Bench) -> None:
    assert said_at_events(run, listen(0, "include", A), join(20), leave(40), listen(60, "include")) == [
        (0, [(ALLOW, GROUP, (A,))]),
        (20, [(TO_EX, GROUP, ())]),
        (40, [(TO_IN, GROUP, (A,))]),
        (60, [(BLOCK, GROUP, (A,))]),
    ]


def test_leave_ends_no_named_listener(run: Bench) -> None:
    outcome = run(script=[listen(0, "include", A), leave(20), join(30), leave(40, count=1), leave(50)])
    assert outcome.summary["script_errors"] == 2
    assert list(outcome.groups()) == [GROUP]


def test_include_nothing_for_what_was_never_listened_to_is_no_event(run: Bench) -> None:
    outcome = run(script=[listen(0, "include"), listen(1, "exclude"), listen(2, "include"), listen(3, "include")])
    assert (outcome.summary["script_errors"], outcome.error, outcome.groups()) == (0, "", {})


def test_include_nothing_of_a_listener_that_is_not_there_is_a_script_error(run: Bench) -> None:
    outcome = run(script=[join(1), listen(2, "include", listener="nobody")])
    assert (outcome.status, outcome.summary["script_errors"]) == (0, 1)
    assert f"{run.path / 'script'}: line 2: " in outcome.error and "nobody" in outcome.error
    assert list(outcome.groups()) == [GROUP]


def test_events_of_one_millisecond_are_one_report(run: Bench) -> None:
    outcome = run("--until", "0", script=[join(0), listen(0, "include", A, group=OTHER), join(0, "ff05::103")])
    assert said(outcome) == [(0, [(TO_EX, GROUP, ()), (ALLOW, OTHER, (A,)), (TO_EX, "ff05::103", ())])]


def test_more_sources_than_a_listener_may_have_is_a_script_error(run: Bench) -> None:
    many = [str(IPv6Address("2001:db8::") + n) for n in range(1, 1026)]
    outcome = run(script=[listen(0, "include", *many), listen(1, "include", *many[:1024]), listen(2, "exclude", A)])
    assert (outcome.status, outcome.summary["script_errors"]) == (0, 1)
    assert f"{run.path / 'script'}: line 1: " in outcome.error and "1024 sources" in outcome.error
    assert outcome.error.count("\n") == 1
    records = [record for time, records in said(outcome) if time == 1 for record in records]
    assert sorted(source for _, _, sources in records for source in sources) == sorted(many[:1024])


def test_down_takes_back_what_was_said(run: Bench) -> None:
    script = [join(0), listen(0, "include", A, group=OTHER), {"t": 20, "op": "down"}, {"t": 30, "op": "up"}]
    assert [each for each in said(run(script=script)) if each[0] in (20, 30)] == [
        (20, [(TO_IN, GROUP, ()), (BLOCK, OTHER, (A,))]),
        (30, [(TO_EX, GROUP, ()), (ALLOW, OTHER, (A,))]),
    ]


# Determinism


@pytest.mark.parametrize("version", ["auto", "2"])
def test_the_output_does_not_depend_on_batch(run: Bench, version: str) -> None:
    rng = random.Random(9777)
    groups = [f"ff05::{n:x}" for n in range(0x100, 0x108)] + ["ff3e::1"]
    sources = [frames.address(source) for source in (A, B, C)]
    for report_rate in ((), ("--report-rate", "3"), ("--report-rate", "1000")):
        time, packets = 0.0, []
        for n in range(400):
            time += rng.choice([0, 0, 0, 0.0003, 0.4, -0.2])
            if n == 200:
                time += WINDOW_S
            group, delay_ms = rng.choice(groups), rng.choice([0, 0, 1, 50, 700, 5000])
            asked = tuple(rng.sample(sources, rng.randint(1, 3)))
            choices = [
                frames.query2(response_code=delay_ms),
                frames.query2(group, delay_ms),
                frames.query2(group, delay_ms, asked),
                frames.report(group),
                b"",
            ]
            if 50 < n < 200:
                choices.append(frames.query(delay_ms=delay_ms))
            packets.append((max(time, 0.0), rng.choice(choices)))
        script: list[dict[str, Any]] = []
        for _ in range(80):
            t, group = round(rng.uniform(-2, 30), 1), rng.choice(groups)
            listened = listen(
                t, rng.choice(["include", "exclude"]), *rng.sample([A, B, C], rng.randint(0, 3)), group=group,
                listener=rng.choice("ab"),
            )  # fmt: skip
            script.append(rng.choice([listened, listened, join(t, group), leave(t, group)]))
        outcomes = [run("--mld-version", version, "--batch", batch, *report_rate, packets=packets, script=script)
                    for batch in ("1", "7", "4096")]  # fmt: skip
        assert outcomes[0].sent and outcomes[0].status == 0
        assert outcomes[0].octets == outcomes[1].octets == outcomes[2].octets
        sent = outcomes[0].summary["transmitted"]
        assert sent["report2"] and bool(sent["report"]) == (version == "auto")
