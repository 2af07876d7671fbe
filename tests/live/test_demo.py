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
    assert "10,000 groups answered meanwhile" in done.stdout
    assert "10,000 groups taken back" in done.stdout
    # asked in, groups, Reports and their version, and what the bridge's table had, which it is asked for only then
    rows = re.findall(
        r"(MLDv\d) +([\d,]+) groups +\S+ ms +([\d,]+) of (MLDv\d)(?: +([\d,]+) groups(, exclude)?)?", done.stdout
    )
    first, second, *_, last = rows
    assert first[:2] == last[:2] == ("MLDv2", "10,000") and first[3:] == last[3:] == ("MLDv2", "10,000", ", exclude")
    assert second == ("MLDv1", "10,000", "10,000", "MLDv1", "10,000", "")
    assert re.search(r"mode +mldv2 from .*, mldv1 from .*, mldv2 from ", done.stdout)


@pytest.mark.slow
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
