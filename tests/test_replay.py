"""`fastmld replay`, sentence by sentence; what is expected comes from RFC 2710 and from the frames' own builders.

All of it in MLDv1; what MLDv2 adds is in test_replay_v2.py.
"""

import json
import random
import subprocess
import sys
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgWriter

import fastmld
import frames
from fastmld.__main__ import main
from fastmld.replay import replay
from replay_bench import GROUP, OTHER, OWN, T0, Bench, S, join, leave, own_done, own_report, pcap


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, monkeypatch, capsys, "--mld-version", "1")


# The options


def test_link_local_none(run: Bench) -> None:
    assert run("--link-local", "none", script=[join(0)]).at(0) == [(0.0, own_report(GROUP, source=bytes(16)))]


def test_link_local_and_mac(run: Bench) -> None:
    source = IPv6Address("fe80::abcd").packed
    assert run("--link-local", "fe80::abcd", script=[join(0)]).at(0)[0][1] == own_report(GROUP, source=source)
    mac = bytes.fromhex("00123456789a")
    source = IPv6Address("fe80::212:34ff:fe56:789a").packed
    assert run("--mac", "00:12:34:56:78:9a", script=[join(0)]).at(0)[0][1] == own_report(GROUP, source, mac)


def test_own_frames_are_looped_back(run: Bench) -> None:
    packets = [(0.0, frames.report(GROUP, source=OWN)), (0.0, frames.report(GROUP, source=frames.LINK_LOCAL))]
    assert run(packets=packets).summary["dropped"] == {"looped_back": 1}


def test_an_mtu_too_small_for_ipv6(run: Bench) -> None:
    assert run("--mtu", "1280", script=[join(0)]).sent
    assert not run("--mtu", "1279", script=[join(0)]).sent


def test_profiles(run: Bench) -> None:
    packets = [(0.0, frames.query(hop_limit=64))]
    assert run(packets=packets).summary["dropped"] == {"bad_hop_limit": 1}
    assert run("--profile", "strict", packets=packets).summary["accepted"] == 0
    assert run("--profile", "rfc2710", packets=packets).summary["accepted"] == 1


def test_the_seed_decides(run: Bench) -> None:
    packets, script = [(1.0, frames.query(delay_ms=60_000))], [join(-60, count=20)]
    options = ("--epoch", str(T0))
    runs = [run(*options, *seed, packets=packets, script=script) for seed in ((), ("--seed", "0"), ("--seed", "1"))]
    assert runs[0].octets == runs[1].octets
    assert runs[0].sent != runs[2].sent
    again = run(*options, "--seed", str(2**64), packets=packets, script=script)
    assert again.sent == runs[0].sent


def test_a_limited_report_rate(run: Bench) -> None:
    outcome = run("--report-rate", "10", "--until", "60", script=[join(0, count=100)])
    times = [time for time, _ in outcome.at(0)]
    assert len(set(outcome.sent)) == len(outcome.sent) == 200, "answers wait, none is lost"
    for start in times:
        assert sum(start <= time < start + 1 for time in times) <= 10 + 1, "10 a second, and a burst of a tenth"
    unlimited = run("--until", "60", script=[join(0, count=100)])
    assert [time for time, _ in unlimited.at(0)].count(0.0) == 100


# Time


def test_queries_are_answered_within_their_delay(run: Bench) -> None:
    outcome = run(packets=[(0, b""), (30.0004, frames.query(delay_ms=2000))], script=[join(0, count=50)])
    answers = [time for time, _ in outcome.at() if time >= 30]
    assert len(answers) == 50 and min(answers) > 30 and max(answers) <= 32
    assert answers == sorted(answers)
    immediate = run(packets=[(0, b""), (30.0009, frames.query(GROUP, 0))], script=[join(0)])
    assert immediate.at()[-1] == (30.0, own_report(GROUP)), "floored to the millisecond of the Query"


def test_events_then_packets_then_timers(run: Bench) -> None:
    query = frames.query(GROUP, 0)
    joined = run(packets=[(0, b""), (5, query)], script=[join(5)])
    assert joined.at()[:2] == [(5.0, own_report(GROUP))] * 2
    assert run(packets=[(0, b""), (5, query)], script=[join(1), leave(5)]).at()[-1] == (5.0, own_done(GROUP))

    pending = run("--until", "0", script=[join(0)]).groups()[GROUP]
    assert pending[:2] == ("delaying_listener", True) and pending[2] is not None
    due = pending[2] / 1000
    heard = frames.report(GROUP)
    packets = [(0, b""), (due, heard), (due, frames.query(GROUP, 0))]
    assert run(packets=packets, script=[join(0)]).at()[1:] == [(due, own_report(GROUP))], "the Query's answer alone"
    assert len(run(packets=packets[:2], script=[join(0)]).sent) == 1, "heard in the timer's millisecond: suppressed"
    late = run(packets=[(0, b""), (due + 0.001, heard)], script=[join(0)])
    assert [time for time, _ in late.at()] == [0.0, due]


def test_packets_are_floored_also_before_time_zero(run: Bench) -> None:
    packets = [(time, frames.query(GROUP, 0)) for time in (0.0, 0.0009, 0.0011, 1.9999)]
    outcome = run("--epoch", f"{T0 + 1}", packets=packets, script=[join(-60)])
    assert [line["t"] for line in outcome.verdicts] == [-1.0, -1.0, -0.999, 0.999]
    assert [time for time, _ in outcome.at((T0 + 1) * S)[2:]] == [-1.0, -1.0, -0.999, 0.999]


def test_time_zero_is_the_first_packet(run: Bench) -> None:
    zero_ns = T0 * S + 123_456_789
    outcome = run(
        packets=[(0.0, frames.query(GROUP, 0)), (1.0005, frames.query(GROUP, 0))], zero_ns=zero_ns, script=[join(0)]
    )
    assert [line["t"] for line in outcome.verdicts] == [0.0, 1.0]
    assert [time - zero_ns for time, _ in outcome.sent][:3] == [0, 0, S]


def test_epoch_is_a_decimal(run: Bench) -> None:
    packets = [(0.0, frames.query(GROUP, 0))]
    outcome = run("--epoch", f"{T0 - 1}.999600001", packets=packets, script=[join(0)])
    assert [line["t"] for line in outcome.verdicts] == [0.0]
    assert outcome.sent[0][0] == (T0 - 1) * S + 999_600_001
    outcome = run("--epoch", f"{T0}.0000001", packets=packets, script=[join(-1)])
    assert [line["t"] for line in outcome.verdicts] == [-0.001]


def test_time_that_runs_backwards(run: Bench) -> None:
    query = frames.query(GROUP, 0)
    packets = [(0.0, query), (10.0, query), (3.0, query), (9.9999, query), (10.001, query)]
    outcome = run(packets=packets, script=[join(-60), leave(5), join(6)])
    assert [line["t"] for line in outcome.verdicts] == [0.0, 10.0, 3.0, 9.999, 10.001], "its own time"
    answers = [time for time, frame in outcome.at() if time in (0.0, 3.0, 9.999, 10.0, 10.001)]
    assert answers == [0.0, 10.0, 10.0, 10.0, 10.001], "handled at the latest time seen"


def test_until_is_inclusive(run: Bench) -> None:
    packets = [(time, frames.query(GROUP, 0)) for time in (0.0, 1.0, 1.0009, 1.001)]
    outcome = run("--until", "1", packets=packets, script=[join(0), join(1, OTHER), join(1.001, "ff05::103")])
    assert outcome.summary["frames"] == len(outcome.verdicts) == 3
    assert list(outcome.groups()) == [GROUP, OTHER]
    assert max(time for time, _ in outcome.at()) == 1.0
    backwards = run("--until", "1", packets=[*packets, (0.5, frames.query())], script=[join(0)])
    assert backwards.summary["frames"] == 3, "after a later one it comes after the end, too"
    nothing = run("--until", "-1", packets=packets, script=[join(0)])
    assert nothing.summary["frames"] == 0 and nothing.sent == [] and nothing.summary["groups"] == []


def test_timers_up_to_until_fire(run: Bench) -> None:
    due_ms = run("--until", "0", script=[join(0)]).groups()[GROUP][2]
    assert due_ms is not None
    assert len(run("--until", str((due_ms - 1) / 1000), script=[join(0)]).sent) == 1
    assert len(run("--until", str(due_ms / 1000), script=[join(0)]).sent) == 2
    assert len(run("--until", "1e9", script=[join(0)]).sent) == 2


@pytest.mark.parametrize(("delay_ms", "reports"), [(3_600_000, 1), (3_600_001, 0), (3_590_000, 2)])
def test_a_run_ends_an_hour_after_the_last_event(run: Bench, delay_ms: int, reports: int) -> None:
    assert len(run(script=[{"t": 5, "op": "up"}, join(7, delay_ms=delay_ms)]).sent) == reports
    assert len(run(packets=[(0, b""), (7, b"")], script=[join(5, delay_ms=delay_ms + 2000)]).sent) == reports


def test_a_capture_that_would_begin_before_1970(run: Bench) -> None:
    outcome = run(script=[join(-60)])
    assert outcome.status == 2 and "--epoch" in outcome.error and outcome.error.count("\n") == 1
    assert not (run.path / "out.pcap").exists()
    assert run("--epoch", "59.999", script=[join(-60)]).status == 2
    assert run("--epoch", "60", script=[join(-60)]).sent[0][0] == 0
    early = [(0.5, frames.query())]
    assert run("--epoch", "-10", packets=early, zero_ns=0).status == 0
    assert run(packets=early, zero_ns=0, script=[join(-0.5)]).status == 0
    assert run(packets=early, zero_ns=0, script=[join(-0.501)]).status == 2


def test_without_a_capture_out_no_time_is_too_early(
    run: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(script=[join(-60)])
    arguments = ["fastmld", "replay", "--script", str(run.path / "script"), "--json", "--mld-version", "1"]
    monkeypatch.setattr(sys, "argv", arguments)
    assert main() == 0
    assert json.loads(capsys.readouterr().out)["transmitted"]["report"] == 2


def test_a_run_past_2106_has_no_pcap(run: Bench) -> None:
    outcome = run("--epoch", str(2**32), script=[join(0)])
    assert outcome.status == 2 and "2106" in outcome.error and outcome.error.count("\n") == 1


# Verdicts and the summary


def test_verdict_lines(run: Bench) -> None:
    packets = [
        (0.0, frames.query()),
        (0.0015, frames.query(GROUP)),
        (1.0, frames.report(GROUP)),
        (1.25, frames.done(GROUP)),
        (2.0, frames.report2()),
        (3.0, frames.query2(GROUP, 1000, (frames.LINK_LOCAL,))),
        (4.0, bytes(9)),
        (5.0, bytes(60)),
        (6.0, frames.query(checksum_off_by=1)),
    ]
    outcome = run(packets=packets, script=[join(0)])
    assert outcome.octets[1].splitlines()[0] == b'{"n": 0, "t": 0.0, "verdict": "accepted", "kind": "general_query"}'
    assert [tuple(line.values()) for line in outcome.verdicts] == [
        (0, 0.0, "accepted", "general_query"),
        (1, 0.001, "accepted", "group_query"),
        (2, 1.0, "accepted", "report"),
        (3, 1.25, "accepted", "done"),
        (4, 2.0, "accepted", "report2"),
        (5, 3.0, "accepted", "group_query"),
        (6, 4.0, "truncated", None),
        (7, 5.0, "not_mld", None),
        (8, 6.0, "bad_checksum", None),
    ]
    summary = outcome.summary
    assert summary["frames"] == 9 and summary["accepted"] == 6
    assert summary["dropped"] == {"truncated": 1, "not_mld": 1, "bad_checksum": 1}


def test_last_reporter_and_state(run: Bench) -> None:
    packets = [(0.0, b""), (20.0, frames.query(delay_ms=60_000)), (20.0, frames.report(OTHER))]
    outcome = run("--until", "20", packets=packets, script=[join(0), join(0, OTHER)])
    state, last_reporter, deadline_ms = outcome.groups()[GROUP]
    assert (state, last_reporter) == ("delaying_listener", True)
    assert deadline_ms is not None and 20_000 < deadline_ms <= 80_000
    assert outcome.groups()[OTHER] == ("idle_listener", False, None)


@pytest.mark.parametrize(
    ("count", "options", "listed"), [(10_000, (), True), (10_001, (), False), (10_001, ("--groups",), True)]
)
def test_groups_are_listed_up_to_10000(run: Bench, count: int, options: tuple[str, ...], listed: bool) -> None:
    outcome = run(*options, "--until", "0", script=[join(0, count=count)])
    assert outcome.summary["interfaces"][0]["groups"] == count
    assert ("groups" in outcome.summary) is listed
    if listed:
        assert [row["group"] for row in outcome.summary["groups"][:2]] == [GROUP, OTHER]
        assert len(outcome.summary["groups"]) == count


def test_the_output_does_not_depend_on_batch(run: Bench) -> None:
    rng = random.Random(2710)
    groups = [f"ff05::{n:x}" for n in range(0x100, 0x108)]
    for report_rate in ((), ("--report-rate", "3"), ("--report-rate", "1000")):
        time, packets = 0.0, []
        for _ in range(400):
            time += rng.choice([0, 0, 0, 0.0003, 0.4, -0.2])
            group, delay_ms = rng.choice(groups), rng.choice([0, 0, 1, 50, 700, 5000])
            frame = rng.choice(
                [frames.query(delay_ms=delay_ms), frames.query(group, delay_ms), frames.report(group), b""]
            )
            packets.append((max(time, 0.0), frame))
        script: list[dict[str, Any]] = []
        for _ in range(60):
            event = rng.choice([join, join, leave])(round(rng.uniform(-2, time), 1), rng.choice(groups))
            script.append(rng.choice([event, event, event, {"t": event["t"], "op": rng.choice(["down", "up", "up"])}]))
        outcomes = [run("--batch", batch, *report_rate, packets=packets, script=script) for batch in ("1", "7", "4096")]
        assert outcomes[0].sent and outcomes[0].status == 0
        assert outcomes[0].octets == outcomes[1].octets == outcomes[2].octets
        assert outcomes[0].summary["frames"] == 400
        assert run(*report_rate, packets=packets, script=script).octets == outcomes[0].octets


# Bad captures and outputs


@pytest.mark.slow
def test_a_truncated_capture_counts_as_far_as_it_goes(run: Bench) -> None:
    packets = [(0.0, frames.query(GROUP, 0)), (1.0, frames.query(delay_ms=1000)), (30.0, frames.query(GROUP, 0))]
    script = [join(0)]
    data = pcap(packets)
    starts = [24, 24 + 102, 24 + 204]
    for end in range(24, len(data), 3):
        whole = (end - 24) // 102
        outcome = run(packets=data[:end], script=script)
        before = run(packets=data[: 24 + 102 * whole], script=script)
        assert before.status == 0
        assert outcome.octets == before.octets
        if end in starts:
            assert outcome.status == 0
        else:
            assert outcome.status == 2 and outcome.summary["frames"] == whole
            line = f"fastmld: {run.path / 'in.pcap'}: byte {starts[whole]}: the packet is cut off\n"
            assert outcome.error == line


@pytest.mark.parametrize("data", [b"", b"nonsense, but long enough for a header", pcap([])[:20] + bytes(4)])
def test_no_capture_at_all(run: Bench, data: bytes) -> None:
    outcome = run(packets=data)
    assert outcome.status == 2
    assert outcome.error.startswith(f"fastmld: {run.path / 'in.pcap'}: byte ")
    assert outcome.error.count("\n") == 1
    assert outcome.summary["frames"] == 0 and outcome.sent == [] and outcome.octets[0] == pcap([])


def test_an_empty_capture_is_a_capture(run: Bench) -> None:
    assert run(packets=[]).status == 0


def test_pcapng_and_standard_input(run: Bench) -> None:
    with PcapNgWriter(str(run.path / "a.pcapng")) as writer:
        for i in range(3):
            packet = Ether(frames.query(GROUP, 0))
            packet.time = T0 + i
            writer.write(packet)
    outcome = run(str(run.path / "a.pcapng"), script=[join(0)])
    assert outcome.status == 0 and outcome.summary["accepted"] == 3
    assert [time for time, _ in outcome.at() if time % 1 == 0][:4] == [0.0, 0.0, 1.0, 2.0]

    command = [sys.executable, "-m", "fastmld", "replay", "--json"]
    capture = (run.path / "a.pcapng").read_bytes()
    from_input = subprocess.run([*command, "-"], input=capture, capture_output=True)
    assert json.loads(from_input.stdout)["frames"] == 3
    script = subprocess.run([*command, "--script", "-"], input=b'{"t": 0, "op": "up"}', capture_output=True)
    assert script.returncode == 0
    both = subprocess.run([*command, "-", "--script", "-"], input=b"", capture_output=True)
    assert both.returncode == 2 and both.stderr.count(b"\n") == 1


@pytest.mark.parametrize("option", ["-w", "--verdicts", "--script"])
def test_files_that_cannot_be_opened(run: Bench, option: str) -> None:
    outcome = run(option, str(run.path / "no" / "such"), packets=[(0, b"")])
    assert outcome.status == 2
    assert f"{run.path / 'no' / 'such'}: No such file" in outcome.error and outcome.error.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("option", ["-w", "--verdicts"])
def test_outputs_that_cannot_be_written(run: Bench, option: str) -> None:
    outcome = run(option, "/dev/full", packets=[(0, b"")], script=[join(0)])
    assert outcome.status == 2
    assert outcome.error == "fastmld: /dev/full: No space left on device\n"


# As a function


def test_replay_for_embedders() -> None:
    engine = fastmld.Engine(seed=0)
    ports = [
        engine.add_interface(name, mac=frames.MAC, link_local="fe80::1", report_rate=None, mld_version=1)
        for name in "ab"
    ]
    heard = fastmld.FrameBatch.from_list([frames.query(delay_ms=0), frames.report(GROUP), b""], [ports[1], *ports])
    verdicts, kinds = np.empty(3, np.uint8), np.empty(3, np.uint8)
    sent = replay(
        engine,
        heard,
        np.array([50, 40, 60]),
        [(50, lambda now_ms: engine.leave(ports[0], GROUP, now_ms))]
        + [(-10, lambda now_ms, port=port: engine.join(port, GROUP, now_ms)) for port in ports],
        until_ms=60,
        verdicts=verdicts,
        kinds=kinds,
    )
    seen = [
        (time, port, frame)
        for batch in sent
        for time, port, frame in zip(batch.times_ms.tolist(), batch.interfaces.tolist(), batch, strict=True)
    ]
    own = frames.LINK_LOCAL
    assert seen == [
        (-10, ports[0], own_report(GROUP, own)),
        (-10, ports[1], own_report(GROUP, own)),
        (50, ports[0], own_done(GROUP, own)),
        (50, ports[1], own_report(GROUP, own)),
    ]
    assert [fastmld.VERDICTS[code] for code in verdicts] == ["accepted", "accepted", "truncated"]
    assert [fastmld.KINDS[kind] for kind in kinds] == ["general_query", "report", None]


def test_replay_of_nothing() -> None:
    engine = fastmld.Engine(seed=0)
    engine.add_interface("a", mac=frames.MAC, mld_version=1)
    assert list(replay(engine, fastmld.FrameBatch.from_list([]), np.empty(0, np.int64))) == []


def test_what_an_action_raises_is_its_own() -> None:
    engine = fastmld.Engine(seed=0)
    lan = engine.add_interface("a", mac=frames.MAC, mld_version=1)
    events = [(0, lambda now_ms: engine.leave(lan, GROUP, now_ms))]
    with pytest.raises(fastmld.NotListening):
        list(replay(engine, fastmld.FrameBatch.from_list([]), np.empty(0, np.int64), events))
