"""Killed under traffic and started again: what a listener says first, and that it says all of it."""

import signal
import sys
from pathlib import Path

import pytest

import frames
from lab import HERE, Cable, arriving, hear_all

pytestmark = pytest.mark.live
SOAK = Path(__file__).parent.parent / "soak"
N = 500
GROUPS = {(int.from_bytes(frames.address("ff05::1:0")) + i).to_bytes(16) for i in range(N)}


@pytest.mark.slow
def test_after_kill_9_every_group_is_reported(cable: Cable) -> None:
    """Nothing was left, nothing is remembered: each start reports every group, whatever goes on meanwhile."""
    traffic = cable.peer.start(sys.executable, str(SOAK / "traffic.py"), "p0", "9", "500", "1")
    for _ in range(3):
        with cable.peer.packet_socket("p0") as packets:
            command = [sys.executable, str(HERE / "warm_run.py"), "-i", "v0", "--mld-version", "1"]
            running = cable.host.start(*command, "--join", f"ff05::1:0+{N}")
            imported = float(running.stdout.readline())
            first = hear_all(packets, GROUPS)
            assert first is not None and first > imported
            running.send_signal(signal.SIGKILL)
            running.wait()
            list(arriving(packets, 0.05))
            assert frames.DONE not in {frame[62] for frame in arriving(packets, 0.2) if frame[70:72] == b"\xff\x05"}
    assert int(traffic.communicate(timeout=20)[0]) > 0
