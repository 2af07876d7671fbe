"""The command as a process: exit statuses, one line an error, and what it does to a terminal."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastmld

FASTMLD = [sys.executable, "-m", "fastmld"]
SCRIPT = '{"t": 0, "op": "join", "group": "ff05::101"}\n'


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FASTMLD, *arguments], capture_output=True, text=True, env=os.environ | environment, input=SCRIPT
    )


def on_a_terminal(*arguments: str, **environment: str) -> str:
    """What a run writes to a terminal of its own."""
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | environment
    with subprocess.Popen(
        [*FASTMLD, *arguments], stdin=subprocess.PIPE, stdout=theirs, env=environment, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write(SCRIPT)
        process.stdin.close()
        os.close(theirs)
        written = b""
        try:
            while octets := os.read(ours, 4096):
                written += octets
        except OSError:  # EIO: the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 0
    return written.decode()


def test_version() -> None:
    shown = run("--version")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, f"fastmld {fastmld.__version__}\n", "")


@pytest.mark.parametrize("arguments", [("--help",), ("replay", "--help")])
def test_help(arguments: tuple[str, ...]) -> None:
    shown = run(*arguments)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "replay" in shown.stdout and "\x1b" not in shown.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("no-such-verb",),
        ("--no-such-option",),
        ("replay",),
        ("replay", "--no-such-option"),
        ("replay", "-w"),
        ("replay", "one.pcap", "two.pcap"),
        ("replay", "--script", "-", "--seed", "many"),
        ("replay", "--script", "-", "--batch", "0"),
        ("replay", "--script", "-", "--report-rate", "0"),
        ("replay", "--script", "-", "--mtu", "-1"),
        ("replay", "--script", "-", "--until", "soon"),
        ("replay", "--script", "-", "--until", "nan"),
        ("replay", "--script", "-", "--epoch", "1e999999999999999999999"),
        ("replay", "--script", "-", "--epoch", "-inf"),
        ("replay", "--script", "-", "--profile", "lax"),
        ("replay", "--script", "-", "--mld-version", "3"),
        ("replay", "--script", "-", "--mld-version", "Auto"),
        ("replay", "--script", "-", "--mld-version", ""),
        ("replay", "--script", "-", "--mac", "02:00:00:00:00"),
        ("replay", "--script", "-", "--mac", "33:33:00:00:00:01"),
        ("replay", "--script", "-", "--link-local", "2001:db8::1"),
        ("replay", "--script", "-", "--link-local", "nobody"),
        ("replay", "--script", "no-such-file"),
        ("replay", "--script", "two\nlines"),
    ],
)
def test_usage_errors_are_one_line_and_status_2(arguments: tuple[str, ...]) -> None:
    ended = run(*arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("fastmld: ") and ended.stderr.count("\n") == 1
    assert ended.stderr.endswith("\n") and "Traceback" not in ended.stderr


@pytest.mark.parametrize("arguments", [("--debug", "replay"), ("replay", "--debug")])
def test_debug_shows_the_traceback(arguments: tuple[str, ...]) -> None:
    ended = run(*arguments)
    assert ended.returncode == 2
    assert ended.stderr.startswith("Traceback")
    assert ended.stderr.splitlines()[-1].startswith("fastmld: ")


def test_a_table_for_people() -> None:
    for version, mode, sent in (("auto", "mldv2", "report2"), ("1", "mldv1", "report")):
        shown = run("replay", "--script", "-", "--mld-version", version)
        assert shown.returncode == 0
        for text in ("ff05::101", "idle_listener", f"{mode}, robustness: 2"):
            assert text in shown.stdout
        assert re.search(rf"sent: {sent} +│ +2 +│", shown.stdout)
        assert "\x1b" not in shown.stdout


def test_no_color_is_honoured() -> None:
    assert "\x1b[" in on_a_terminal("replay", "--script", "-", TERM="xterm-256color")
    plain = on_a_terminal("replay", "--script", "-", TERM="xterm-256color", NO_COLOR="1")
    assert "ff05::101" in plain and "\x1b" not in plain


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_a_missing_extra_is_named(tmp_path: Path, missing: str) -> None:
    """A module of that name which fails to import, as one that is not there does."""
    (tmp_path / f"{missing}.py").write_text(f"raise ModuleNotFoundError('gone', name='{missing}')")
    ended = run("replay", "--script", "-", PYTHONPATH=str(tmp_path))
    assert ended.returncode == 3
    assert ended.stderr == f"fastmld: {missing} is not installed: pip install 'fastmld[cli]'\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    "arguments", [("replay", "--script", "-", "--json"), ("replay", "--script", "-"), ("--version",)]
)
def test_standard_output_that_cannot_be_written(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*FASTMLD, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            input=SCRIPT,
            env=os.environ | {"PYTHONUNBUFFERED": ""},
        )
    assert ended.returncode == 2
    assert ended.stderr == "fastmld: standard output: No space left on device\n"


def test_a_reader_that_went_away() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [*FASTMLD, "replay", "--script", "-", "--json"], stdout=writer, stderr=subprocess.PIPE, text=True, input=SCRIPT
    )
    os.close(writer)
    assert ended.returncode == 2
    assert ended.stderr == "fastmld: standard output: Broken pipe\n"


def test_the_heavy_packages_wait_for_the_verbs_that_need_them() -> None:
    code = "import fastmld.cli, sys; print([name for name in ('rich.table', 'pyroute2') if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert shown.stdout == "[]\n"


def test_replay_does_not_write_over_what_it_reads(tmp_path: Path) -> None:
    capture = tmp_path / "in.pcap"
    capture.write_bytes(b"whatever is in it")
    done = subprocess.run(
        [sys.executable, "-m", "fastmld", "replay", str(capture), "-w", str(capture)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "is the capture that is read" in done.stderr
    assert capture.read_bytes() == b"whatever is in it"
