"""`fastmld run` on a veth pair, a Linux bridge at the other end of it."""

import json
import signal
import sys

import pytest

from lab import Cable, groups_from, wait_for
from test_querier import make_querier

pytestmark = pytest.mark.live
GROUPS = 100_000


def test_a_hundred_thousand_groups_by_the_command(cable: Cable) -> None:
    make_querier(cable.peer, "p0", 1)
    cable.peer.ip("link set br0 type bridge mcast_membership_interval 26000")
    command = [sys.executable, "-m", "fastmld", "run", "-i", "v0", "--join", f"ff05::1:0+{GROUPS}", "--json"]
    running = cable.host.start(*command)
    groups = groups_from("ff05::1:0", GROUPS)
    wait_for(lambda: groups <= cable.peer.mdb("br0"), 60)

    running.send_signal(signal.SIGTERM)
    lines = [json.loads(line) for line in running.communicate(timeout=30)[0].splitlines()]
    assert running.returncode == 0
    (last,) = lines[-1]["interfaces"]
    assert last["transmitted"]["done"] == GROUPS
    assert last["transmitted"]["report"] >= GROUPS
    assert last["received"]["general_query"] >= 1
    assert last["frames"] == last["accepted"] + sum(last["dropped"].values())
    # The bridge asks twice after each Done; until then nothing may be lost.
    assert lines[-2]["interfaces"][0]["ring_dropped"] == 0


def test_it_ends_by_itself_and_leaves(cable: Cable) -> None:
    told = cable.host.run(
        sys.executable,
        "-m",
        "fastmld",
        "run",
        "-i",
        "v0",
        "--join",
        "ff05::1:0+3",
        "ff05::5",
        "--duration",
        "1.5",
        "--json",
    )
    (last,) = json.loads(told.splitlines()[-1])["interfaces"]
    assert last["name"] == "v0"
    assert last["transmitted"]["done"] == 4
