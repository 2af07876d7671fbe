"""`fastmld demo`, as anybody would call it."""

import re
import subprocess
import sys

import pytest


@pytest.mark.live
def test_the_demo_answers_for_every_group() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastmld", "demo"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "a Linux bridge asks over a veth pair" in done.stdout
    assert "answered for 10,000, 10,000, 10,000 groups" in done.stdout
    assert "10,000 groups answered meanwhile" in done.stdout
    learnt = re.search(r"learnt ([\d,]+) groups", done.stdout)
    assert learnt and int(learnt[1].replace(",", "")) >= 10_000


def test_without_namespaces_the_wire_is_one_in_memory(tmp_path) -> None:
    """No unshare to be found: it says so, and plays all the same."""
    done = subprocess.run(
        [sys.executable, "-m", "fastmld", "demo"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "the wire is one in memory" in done.stdout
    assert "10,000 groups answered meanwhile" in done.stdout
