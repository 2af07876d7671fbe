"""What `fastmld run` says, in one line, when it cannot: and its exit status."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT_NET_RAW = ["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", "--"] if os.geteuid() == 0 else []


def fastmld(*arguments: str, before: list[str] | None = None) -> tuple[int, str]:
    """Exit status, and the one line on standard error."""
    command = [*(before or []), sys.executable, "-m", "fastmld", "run", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["-i", "nowhere0", "--join", "ff05::1"], "nowhere0"),
        (["-i", "lo", "--join", "2001:db8::1"], "2001:db8::1"),
        (["-i", "lo", "--join", "ff05::zz"], "ff05::zz"),
        (["-i", "lo", "--join", "ff05::1+0"], "ff05::1+0"),
        (["-i", "lo", "--join", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff+2"], "past the last address"),
        (["-i", "lo", "--join", "ff05::1", "--profile", "lax"], "lax"),
        (["-i", "lo", "--join", "ff05::1", "--mld-version", "3"], "--mld-version is 1, 2 or auto, not '3'"),
        (["-i", "lo", "--join", "ff05::1", "--mld-version", ""], "--mld-version"),
        (["-i", "lo", "--join", "ff05::9,ff05::1"], "ff05::9 is not a unicast address"),
        (["-i", "lo", "2001:db8::1,2001:db8::2"], "2001:db8::2 is not a multicast address"),
        (["-i", "lo", "--join", "ff05::2", "2001:db8::zz,ff05::1"], "2001:db8::zz"),
        (["-i", "lo", "--join", ",ff05::1"], ",ff05::1"),
        (["-i", "lo", "--join", "ff05::1", "--duration", "-1"], "--duration"),
        (["-i", "lo", "--join", "ff05::1", "--report-rate", "0"], "--report-rate"),
    ],
)
def test_bad_input_is_named(arguments: list[str], named: str) -> None:
    status, line = fastmld(*arguments)
    assert status == 2
    assert named in line


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("colour = 1\n", "colour"),
        ("[interface.v0]\njion = ['ff05::1']\n", "jion"),
        ("[interface\n", "line 1"),
        ("[[interface.v0.listen]]\ngroup = 'ff05::1'\nignore = []\n", "ignore"),
    ],
)
def test_a_config_file_with_an_unknown_key(tmp_path: Path, text: str, named: str) -> None:
    config = tmp_path / "fastmld.toml"
    config.write_text(text)
    status, line = fastmld("--config", str(config))
    assert status == 2
    assert str(config) in line
    assert named in line


def test_without_the_capability_it_says_how_to_grant_it() -> None:
    status, line = fastmld("-i", "lo", "--join", "ff05::1", before=WITHOUT_NET_RAW)
    assert status == 3
    assert "setpriv --inh-caps +net_raw --ambient-caps +net_raw" in line
