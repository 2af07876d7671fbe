"""A Linux bridge that speaks MLDv2 as the querier, and its table (MDB) as the judge of our filters, sources and all."""

import json
import time
from typing import Any

import pytest

from lab import Cable, Lab, Namespace, arriving, wait_for
from test_querier import make_querier
from told import Told, read

pytestmark = pytest.mark.live

SETTINGS = {"state_change_interval_ms": 100}
REMEMBERED_S = 3  # by the bridge, see make_querier
SOURCES = [f"2001:db8::{n}" for n in range(1, 7)]
ONE, TWO, THREE, FOUR, *_ = SOURCES
Call = tuple[Any, ...]
Filters = dict[str, tuple[str, set[str]]]

# By what it is about: what is done with a group, step by step. Each has a group of its own, and all go on at once.
LIVES: dict[str, list[list[Call]]] = {
    "exclude nothing": [[("a", "join")], [("a", "leave")], [("a", "join")]],
    "include": [
        [("a", "join_source", ONE)],
        [("a", "join_source", TWO), ("a", "join_source", THREE)],
        [("a", "leave_source", ONE)],
        [("a", "leave_source", TWO), ("a", "leave_source", THREE)],
        [("a", "join_source", TWO)],
    ],
    "include is left": [[("a", "include", [ONE, TWO])], [("a", "include", [TWO, THREE])], [("a", "leave")]],
    "exclude": [
        [("a", "exclude", [ONE])],
        [("a", "block", TWO)],
        [("a", "unblock", ONE)],
        [("a", "exclude", [THREE, FOUR])],
        [("a", "exclude", [])],
        [("a", "exclude", [ONE, FOUR])],
    ],
    "exclude is left": [[("a", "exclude", [ONE, TWO])], [("a", "block", THREE)], [("a", "leave")]],
    "back and forth": [
        [("a", "include", [ONE, TWO])],
        [("a", "exclude", [TWO, THREE])],
        [("a", "include", [THREE])],
        [("a", "exclude", [THREE])],
        [("a", "exclude", [])],
        [("a", "include", [FOUR, ONE])],
    ],
    "several listeners": [
        [("a", "join_source", ONE)],
        [("b", "exclude", [ONE, TWO, THREE])],
        [("c", "exclude", [TWO, THREE, FOUR])],
        [("b", "leave")],
        [("a", "join_source", TWO)],
        [("c", "leave")],
    ],
    "left and taken up at once": [
        [("a", "join")],
        [("a", "leave"), ("b", "join_source", ONE)],
        [("b", "leave"), ("a", "join")],
        [("a", "leave"), ("b", "include", [TWO, THREE])],
    ],
    "many sources": [
        [("a", "include", [f"2001:db8:1::{n:x}" for n in range(1, 32)])],
        [("a", "exclude", [f"2001:db8:1::{n:x}" for n in range(16, 32)])],
        [("a", "include", [f"2001:db8:1::{n:x}" for n in range(20, 50)])],
    ],
}
# Addresses of SSM (RFC 4607): who excludes does not count there.
SSM_LIVES: dict[str, list[list[Call]]] = {
    "a source": [[("a", "join_source", ONE)], [("a", "join_source", TWO)], [("a", "leave_source", ONE)]],
    "and somebody who joins it": [[("a", "join_source", ONE)], [("b", "join")], [("b", "leave")], [("a", "leave")]],
    "nobody but such": [[("b", "join")], [("b", "exclude", [ONE])], [("b", "leave")]],
}
# What it all comes to, by RFC 9777 section 4.2.
LAST: dict[str, tuple[str, set[str]] | None] = {
    "exclude nothing": ("exclude", set()),
    "include": ("include", {TWO}),
    "include is left": None,
    "exclude": ("exclude", {ONE, FOUR}),
    "exclude is left": None,
    "back and forth": ("include", {ONE, FOUR}),
    "several listeners": ("include", {ONE, TWO}),
    "left and taken up at once": ("include", {TWO, THREE}),
    "many sources": ("include", {f"2001:db8:1::{n:x}" for n in range(20, 50)}),
    "a source": ("include", {TWO}),
    "and somebody who joins it": None,
    "nobody but such": None,
}
ROUNDS = max(map(len, [*LIVES.values(), *SSM_LIVES.values()]))


def table(bridge: Namespace) -> dict[str, tuple[str, set[str], set[str]]]:
    """Of each group in the bridge's table: its filter mode, and the sources whose timer runs, and is over."""
    found = {}
    for part in json.loads(bridge.run("bridge", "-j", "-d", "-s", "mdb", "show", "dev", "br0")):
        for entry in part["mdb"]:
            if entry["grp"].startswith(("ff05:", "ff35:")) and "src" not in entry:
                over: dict[bool, set[str]] = {False: set(), True: set()}
                for source in entry.get("source_list", ()):
                    over[float(source["timer"]) == 0].add(source["address"])
                found[entry["grp"]] = entry.get("filter_mode", "of MLDv1"), over[False], over[True]
    return found


def as_the_bridge_has_it(filters: Filters) -> dict[str, tuple[str, set[str], set[str]]]:
    """INCLUDE: the timers of the sources run. EXCLUDE: those of the sources that are not forwarded are over."""
    return {
        group: (mode, sources, set()) if mode == "include" else (mode, set(), sources)
        for group, (mode, sources) in filters.items()
        if mode == "exclude" or sources
    }


def filters_of(said: dict[str, Any]) -> Filters:
    return {group: (mode, set(sources)) for group, (mode, sources) in said["filters"].items()}


def agrees(bridge: Namespace, filters: Filters, limit_s: float = 6) -> None:
    """The bridge's table comes to be what we ask for, and nothing else."""
    wanted = as_the_bridge_has_it(filters)
    try:
        wait_for(lambda: table(bridge) == wanted, limit_s)
    except AssertionError:
        assert table(bridge) == wanted


def test_the_table_shows_each_filter_after_each_step(cable: Cable) -> None:
    make_querier(cable.peer, "p0", 2)
    # What ends does because we said so, and not because the bridge forgot it.
    cable.peer.ip("link set br0 type bridge mcast_membership_interval 26000")
    ours = Told(cable.host, "steps.py", "v0", **SETTINGS)
    names = {f"ff05::{n}": name for n, name in enumerate(LIVES, 1)}
    names |= {f"ff35::{n}": name for n, name in enumerate(SSM_LIVES, 1)}
    lives = {group: (LIVES | SSM_LIVES)[name] for group, name in names.items()}
    for step in range(ROUNDS):
        for group, life in lives.items():
            if step < len(life):
                ours.do(*((f"{socket}{group}", call, group, *named) for socket, call, *named in life[step]))
        agrees(cable.peer, filters_of(ours.look()))

    filters = {group: LAST[name] for group, name in names.items() if LAST[name] is not None}
    assert filters_of(ours.look()) == filters

    # What remains does, now that the bridge forgets what it did not hear of for three seconds.
    cable.peer.ip(f"link set br0 type bridge mcast_membership_interval {100 * REMEMBERED_S}")
    before, queries = table(cable.peer), ours.look()["general_query"]
    assert {mode for mode, *_ in before.values()} == {"include", "exclude"}
    remains(cable.peer, before, REMEMBERED_S + 0.5)
    seen = ours.look()
    assert seen["general_query"] >= queries + 3
    assert seen["group_query"] > 0 and seen["source_query"] > 0
    # The bridge asks for what was left, too.
    assert seen["accepted"] + seen["bad_destination"] == seen["frames"]
    assert (seen["mode"], seen["robustness"], seen["query_interval_ms"]) == ("mldv2", 2, 1000)
    assert seen["querier"] == cable.peer.link_local("br0")

    # And nobody being there any more, nothing does.
    ours.kill()
    wait_for(lambda: not table(cable.peer))


def remains(bridge: Namespace, wanted: dict[str, tuple[str, set[str], set[str]]], seconds: float) -> None:
    """For so long the bridge's table is this one."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert table(bridge) == wanted
        time.sleep(0.1)


def behind_a_hub(lab: Lab) -> tuple[Told, Told, Namespace]:
    """Two of our listeners behind one port of the bridge that asks."""
    host, hub, router = lab.first, lab.namespace(), lab.namespace()
    for n in (0, 1):
        lab.veth(host, f"v{n}", hub, f"h{n}")
    lab.veth(router, "p0", hub, "h2")
    hub.ip("link add hub0 type bridge mcast_snooping 0")
    for n in (0, 1, 2):
        hub.ip(f"link set h{n} master hub0")
    hub.ip("link set hub0 up")
    make_querier(router, "p0", 2)
    one, other = (Told(host, "steps.py", f"v{n}", **SETTINGS) for n in (0, 1))
    wait_for(lambda: one.look()["general_query"] and other.look()["general_query"])
    return one, other, router


@pytest.mark.slow
def test_what_another_host_still_wants_remains(lab: Lab) -> None:
    """One leaves, the bridge asks, the other answers: TO_IN and a group Query, BLOCK and a source Query."""
    one, other, router = behind_a_hub(lab)
    ask_no_more(router, other)
    for host in (one, other):
        host.do(
            ("a", "join", "ff05::1"), ("a", "include", "ff05::2", [ONE, TWO]), ("a", "include", "ff35::1", [ONE, TWO]),
            ("a", "exclude", "ff05::3", [ONE, TWO]),
        )  # fmt: skip
    agrees(router, filters_of(one.look()))
    # The bridge asks for a source only if nobody speaks of it for mcast_last_member_interval.
    time.sleep(0.5)
    asked = other.look()
    one.do(
        ("a", "leave", "ff05::1"), ("a", "leave_source", "ff05::2", TWO), ("a", "leave_source", "ff35::1", TWO),
        ("a", "leave", "ff05::3"),
    )  # fmt: skip
    wait_for(lambda: other.look()["source_query"] >= asked["source_query"] + 2)
    wait_for(lambda: other.look()["group_query"] >= asked["group_query"] + 3)
    wanted = as_the_bridge_has_it(filters_of(other.look()))
    agrees(router, filters_of(other.look()))
    remains(router, wanted, 1)
    assert other.look()["general_query"] == asked["general_query"]

    # The other one leaves too, and nothing is in the way.
    other.do(("a", "close", ""))
    agrees(router, filters_of(one.look()))


def ask_no_more(router: Namespace, host: Told) -> None:
    """No General Query for the next 20 seconds: what else the bridge asks is all that keeps anything."""
    wait_for(lambda: host.look()["general_query"] >= 3)  # two are of the beginning, and have an interval of their own
    router.ip("link set br0 type bridge mcast_query_interval 2000 mcast_membership_interval 26000")
    last = host.look()["general_query"]
    wait_for(lambda: host.look()["general_query"] > last)


@pytest.mark.slow
def test_the_bridge_turns_to_version_1_and_back(cable: Cable) -> None:
    """So do we, and a kernel host on the same interface; the groups are in the table all the time."""
    make_querier(cable.peer, "p0", 2)
    ours, kernel = Told(cable.host, "steps.py", "v0", **SETTINGS), Told(cable.host, "sockets.py", "v0")
    ours.do(("a", "join", "ff05::1"), ("a", "include", "ff05::2", [ONE]), ("a", "join_source", "ff35::1", ONE))
    kernel.do(("a", "join", "ff05::a"), ("a", "join_source", "ff05::b", ONE))
    filters = filters_of(ours.look()) | {"ff05::a": ("exclude", set()), "ff05::b": ("include", {ONE})}
    agrees(cable.peer, filters)
    wait_for(lambda: ours.look()["query_interval_ms"] == 1000)
    spoken = {
        "mldv2": {
            ("IS_EX", "ff05::1"),
            ("IS_IN", "ff05::2"),
            ("IS_IN", "ff35::1"),
            ("IS_EX", "ff05::a"),
            ("IS_IN", "ff05::b"),
        },
        "mldv1": {("Report", group) for group in ("ff05::1", "ff05::2", "ff05::a", "ff05::b")},
    }
    with cable.peer.packet_socket("p0") as packets:

        def answered_in(mode: str) -> bool:
            """By both, to one General Query, and in nothing else."""
            heard = {record[:2] for frame in arriving(packets, 1) if frame[6:12] == ours.mac for record in read(frame)}
            return ours.look()["mode"] == mode and heard == spoken[mode]

        wait_for(lambda: answered_in("mldv2"))
        cable.peer.ip("link set br0 type bridge mcast_mld_version 1")
        wait_for(lambda: answered_in("mldv1"))
        seen = ours.look()
        assert seen["v1_until_ms"] is not None and seen["ssm_in_v1"] == 1
        # MLDv1 knows no sources, and an address of SSM not at all: what the bridge had of it ends.
        groups = {group for _, group in spoken["mldv1"]}
        wait_for(lambda: table(cable.peer) == {group: ("of MLDv1", set(), set()) for group in groups})

        cable.peer.ip("link set br0 type bridge mcast_mld_version 2")
        wait_for(lambda: answered_in("mldv2"))
        assert ours.look()["v1_until_ms"] is None
        # A group that was EXCLUDE {} is INCLUDE again once the bridge did not hear otherwise for three seconds.
        agrees(cable.peer, filters)
