"""`make soak` in short: every part of it moves, and nothing but its timing is beyond doubt on a busy machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab import Lab

pytestmark = pytest.mark.soak
SOAK = Path(__file__).parent.parent / "soak" / "soak.py"


def test_twenty_seconds_of_soak(lab: Lab, tmp_path: Path) -> None:
    told = tmp_path / "soak.json"
    command = [sys.executable, str(SOAK), "--time", "20", "--events", "10000", "--seed", "4", "--json", str(told)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    summary = json.loads(told.read_text())
    broken = [promise for promise in summary["broken"] if not promise.startswith("first Report")]
    assert broken == []
    assert done.returncode == bool(summary["broken"])
    assert summary["faults_in_all"] > 0 and summary["frames_sent"] > 0 and summary["model_events"] == 10_000
    for interface in ("v0", "v1"):
        assert summary["counters"][interface]["frames"] > 0
