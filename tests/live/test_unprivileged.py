"""What contrib/fastmld@.service relies on: nobody with one capability is enough, and memory need not be executable."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import frames
from lab import Cable, hear_all, without

RUN = ["-m", "fastmld", "run", "-i", "v0", "--mld-version", "1", "--join", "ff05::1:0+5"]
UNIT = Path(__file__).parent.parent.parent / "contrib" / "fastmld@.service"
GROUPS = {(int.from_bytes(frames.address("ff05::1:0")) + i).to_bytes(16) for i in range(5)}
# prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN), and then what follows.
WRITE_XOR_EXECUTE = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    sys.exit("this kernel has no PR_SET_MDWE")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def capabilities(pid: int) -> dict[str, int]:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line[3:6].lower(): int(line.split()[1], 16) for line in status if line.startswith("Cap")}


@pytest.mark.live
def test_it_runs_with_one_capability_and_no_other(cable: Cable) -> None:
    """In the bounding set too: nothing else could be had."""
    only = [f"--{of}=-all,+net_raw" for of in ("inh-caps", "ambient-caps", "bounding-set")]
    with cable.peer.packet_socket("p0") as packets:
        running = cable.host.start("setpriv", *only, "--no-new-privs", sys.executable, *RUN)
        assert hear_all(packets, GROUPS) is not None
        held = capabilities(running.pid)
        assert held == dict.fromkeys(("inh", "prm", "eff", "bnd", "amb"), 1 << 13)
        running.terminate()
        assert hear_all(packets, GROUPS, frames.DONE) is not None
        assert running.communicate(timeout=20)[1].count("Traceback") == 0


@pytest.mark.live
def test_it_runs_as_nobody(cable: Cable) -> None:
    """Another user of this machine, on a namespace that root made for it: what setpriv in SECURITY.md does."""
    if os.geteuid():
        pytest.skip("only root can become somebody else")
    nobody = pwd.getpwnam("nobody")
    become = ["setpriv", "--inh-caps=+net_raw", "--ambient-caps=+net_raw", "--clear-groups"]
    become += [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", sys.executable]
    if subprocess.run([*become, "-c", "import fastmld"], capture_output=True).returncode:
        pytest.skip(f"nobody may not read {sys.executable}")
    with cable.peer.packet_socket("p0") as packets:
        running = subprocess.Popen(
            ["nsenter", "-n", "-t", str(cable.host.pid), *become, *RUN], stdout=subprocess.DEVNULL
        )
        try:
            assert hear_all(packets, GROUPS) is not None
            assert Path(f"/proc/{running.pid}").stat().st_uid == nobody.pw_uid
            assert capabilities(running.pid)["eff"] == 1 << 13
        finally:
            running.kill()
            running.wait()


@pytest.mark.live
def test_it_needs_no_memory_that_is_writable_and_executable(cable: Cable) -> None:
    with cable.peer.packet_socket("p0") as packets:
        running = cable.host.start(sys.executable, "-c", WRITE_XOR_EXECUTE, *RUN)
        if hear_all(packets, GROUPS) is None:
            running.terminate()
            without(running.communicate(timeout=20)[1])


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/fastmld", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_grants_one_capability_to_nobody() -> None:
    settings = [line.partition("=") for line in UNIT.read_text().splitlines() if "=" in line and line[0] != "#"]
    of = {name: value for name, _, value in settings}
    assert of["AmbientCapabilities"] == of["CapabilityBoundingSet"] == "CAP_NET_RAW"
    assert of["DynamicUser"] == of["NoNewPrivileges"] == of["MemoryDenyWriteExecute"] == "yes"
    assert set(of["RestrictAddressFamilies"].split()) == {"AF_PACKET", "AF_NETLINK", "AF_UNIX"}
