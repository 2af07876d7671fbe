"""A Linux host with sockets that filter sources, and ours: the same calls on both, and what each says on the wire.

Where the two differ, what either says stands here, and in docs/mldv2.md why, by the name that it has here. A difference
that is no longer there fails as one does that is new.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import frames
from lab import ITS_OWN_S, Lab, Refused, arriving, wait_for, without
from said_v2 import ALLOW, BLOCK, IS_EX, IS_IN, TO_EX, TO_IN
from told import Heard, Host, Said, Told, hear

pytestmark = [pytest.mark.live, pytest.mark.slow]

INTERVAL_MS = 20  # between a State-Change Report and the next, at most
DELAY_MS = 30
QUIET_S = 0.25  # when nothing was said for so long, nothing will be
LIMIT_S = 3  # and this only bounds a failure
Call = tuple[Any, ...]
SOURCES = [f"2001:db8::{n}" for n in range(1, 7)]
ONE, TWO, THREE, FOUR, *_ = SOURCES
LINUX, FASTMLD = "Linux", "fastmld"


Hosts = dict[str, Host]


def same(heard: Heard) -> bool:
    return heard[LINUX] == heard[FASTMLD]


@contextmanager
def two_hosts(lab: Lab) -> Iterator[Hosts]:
    """On cables of their own, with the same settings, and a Querier that says so."""
    kernel, peer, host = lab.namespace(), lab.namespace(), lab.first
    lab.veth(host, "v0", peer, "p0")
    lab.veth(kernel, "k0", peer, "p1")
    for namespace, interface in ((peer, "p0"), (peer, "p1"), (host, "v0")):
        namespace.sysctl(f"ipv6.conf.{interface}.disable_ipv6", 1)
    for version in (1, 2):
        kernel.sysctl(f"ipv6.conf.k0.mldv{version}_unsolicited_report_interval", INTERVAL_MS)
    ours = Told(
        host, "steps.py", "v0", link_local="fe80::5",
        state_change_interval_ms=INTERVAL_MS, unsolicited_report_interval_ms=INTERVAL_MS,
    )  # fmt: skip
    with peer.packet_socket("p0") as to_ours, peer.packet_socket("p1") as to_linux:
        linux = Told(kernel, "sockets.py", "k0")
        while any(frame[6:12] == linux.mac for frame in arriving(to_linux, ITS_OWN_S)):
            pass
        yield {LINUX: Host(linux, to_linux), FASTMLD: Host(ours, to_ours)}


@pytest.fixture(scope="module")
def one_lab() -> Iterator[Hosts]:
    with Lab() as lab:
        try:
            lab.namespace()
        except Refused as error:
            without(f"no network namespaces here: {error}")
        with two_hosts(lab) as hosts:
            yield hosts


@pytest.fixture
def hosts(one_lab: Hosts) -> Hosts:
    """Both, with nothing joined."""
    leave_all(one_lab)
    return one_lab


def leave_all(hosts: Hosts) -> None:
    calls = [((name, "join", "ff05::ffff"), (name, "close", "")) for name in "abc"]
    do(hosts, *(call for pair in calls for call in pair), wanted=lambda heard: True)


def do(hosts: Hosts, *calls: Call, wanted: Callable[[Heard], bool] = same) -> Heard:
    """The same calls on both, at once, and what is said then."""
    answers = {who: host.told.do(*calls) for who, host in hosts.items()}
    assert answers[LINUX] == "done", (answers[LINUX], calls)
    return hear(hosts, wanted, QUIET_S, LIMIT_S)


def ask(hosts: Hosts, *queries: bytes, wanted: Callable[[Heard], bool] = same) -> Heard:
    for host in hosts.values():
        for query in queries:
            host.packets.send(query)
    return hear(hosts, wanted, QUIET_S, LIMIT_S)


def check(hosts: Hosts, wanted: Heard, *done: Call | bytes) -> None:
    """Calls, or Queries, and what is said of them."""
    told = ask if isinstance(done[0], bytes) else do
    assert told(hosts, *done, wanted=wanted.__eq__) == wanted, done  # type: ignore[arg-type]


def both(n: int, *records: Said) -> Heard:
    """Each says each record so often."""
    return {who: times(n, *records) for who in (LINUX, FASTMLD)}


def times(n: int, *records: Said) -> Counter[Said]:
    return Counter(dict.fromkeys(records, n))


G = "ff05::1"
SSM = "ff35::1"
# One call after the other, and what is said of each. Every State-Change Report is sent twice.
CALLS: dict[str, list[tuple[Call, list[Said]]]] = {
    "exclude": [
        (("a", "join", G), [(TO_EX, G, ())]),
        (("a", "block", G, ONE), [(BLOCK, G, (ONE,))]),
        (("a", "block", G, TWO), [(BLOCK, G, (TWO,))]),
        (("a", "unblock", G, ONE), [(ALLOW, G, (ONE,))]),
        (("a", "leave", G), [(TO_IN, G, ())]),
    ],
    "include": [
        (("a", "join_source", G, ONE), [(ALLOW, G, (ONE,))]),
        (("a", "join_source", G, TWO), [(ALLOW, G, (TWO,))]),
        (("a", "leave_source", G, ONE), [(BLOCK, G, (ONE,))]),
        (("a", "leave_source", G, TWO), [(BLOCK, G, (TWO,))]),
    ],
    "closed": [
        (("a", "join_source", G, ONE), [(ALLOW, G, (ONE,))]),
        (("a", "join_source", G, TWO), [(ALLOW, G, (TWO,))]),
        (("a", "join", "ff05::2"), [(TO_EX, "ff05::2", ())]),
        (("a", "close", ""), [(BLOCK, G, (ONE, TWO)), (TO_IN, "ff05::2", ())]),
    ],
    "whole filters": [
        (("a", "join", G), [(TO_EX, G, ())]),
        (("a", "include", G, [ONE, TWO, THREE]), [(TO_IN, G, (ONE, TWO, THREE))]),
        (("a", "include", G, [THREE, FOUR]), [(ALLOW, G, (FOUR,)), (BLOCK, G, (ONE, TWO))]),
        (("a", "exclude", G, [TWO, THREE]), [(TO_EX, G, (TWO, THREE))]),
        (("a", "exclude", G, [THREE, FOUR]), [(ALLOW, G, (TWO,)), (BLOCK, G, (FOUR,))]),
        (("a", "exclude", G, []), [(ALLOW, G, (THREE, FOUR))]),
        (("a", "exclude", G, [ONE]), [(BLOCK, G, (ONE,))]),
        (("a", "include", G, [ONE]), [(TO_IN, G, (ONE,))]),
        (("a", "leave", G), [(BLOCK, G, (ONE,))]),
    ],
    "several sockets": [
        (("a", "join_source", G, ONE), [(ALLOW, G, (ONE,))]),
        (("b", "join", G), [(TO_EX, G, ())]),
        (("b", "block", G, ONE), []),
        (("b", "block", G, TWO), [(BLOCK, G, (TWO,))]),
        (("a", "join_source", G, TWO), [(ALLOW, G, (TWO,))]),
        (("c", "join", G), []),
        (("a", "leave_source", G, ONE), []),
        (("c", "exclude", G, [TWO, THREE]), []),
        (("a", "close", ""), [(BLOCK, G, (TWO,))]),
        (("b", "leave", G), [(BLOCK, G, (THREE,))]),
        (("c", "close", ""), [(TO_IN, G, ())]),
    ],
    "source-specific": [
        (("a", "join_source", SSM, ONE), [(ALLOW, SSM, (ONE,))]),
        (("a", "join_source", SSM, TWO), [(ALLOW, SSM, (TWO,))]),
        (("b", "join_source", SSM, TWO), []),
        (("a", "leave", SSM), [(BLOCK, SSM, (ONE,))]),
        (("b", "leave_source", SSM, TWO), [(BLOCK, SSM, (TWO,))]),
    ],
}


@pytest.mark.parametrize("calls", CALLS.values(), ids=CALLS)
def test_call_by_call(hosts: Hosts, calls: list[tuple[Call, list[Said]]]) -> None:
    for call, records in calls:
        check(hosts, both(2, *records), call)


class Socket:
    """What a socket may do next, so that the kernel does not refuse it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.filters: dict[str, tuple[str, set[str]]] = {}

    def anything(self, chance: random.Random) -> Call:
        group, source = chance.choice([G, "ff05::2"]), chance.choice(SOURCES[:4])
        if self.filters and chance.random() < 0.1:
            self.filters.clear()
            return self.name, "close", ""
        mode, sources = self.filters.get(group, (None, set()))
        if mode is None:
            calls: list[Call] = [("join",), ("join_source", source)]
        else:
            add, remove = ("join_source", "leave_source") if mode == "include" else ("block", "unblock")
            some = sorted(chance.sample(SOURCES[:4], chance.randint(1, 4)))
            calls = [
                (remove if source in sources else add, source),
                ("include", some),
                ("exclude", some[1:]),
                ("leave",),
            ]
        call, *named = chance.choice(calls)
        match call:
            case "leave":
                del self.filters[group]
            case "join" | "include" | "exclude":
                self.filters[group] = "exclude" if call == "join" else call, set(*named)
            case _:
                kept = sources ^ {source}
                self.filters[group] = mode or "include", kept
                if not kept and call == "leave_source":
                    del self.filters[group]
        return self.name, call, group, *named


def test_a_long_way_at_random(hosts: Hosts) -> None:
    """Three sockets, two groups, four sources; a call at a time."""
    chance = random.Random(1)
    sockets = [Socket(name) for name in "abc"]
    kinds: Counter[str] = Counter()
    for n in range(50):
        call = chance.choice(sockets).anything(chance)
        heard = do(hosts, call)
        assert heard[LINUX] == heard[FASTMLD], (n, call)
        assert set(heard[LINUX].values()) <= {2}
        kinds.update(kind for kind, _, _ in heard[LINUX])
    assert kinds.keys() == {TO_IN, TO_EX, ALLOW, BLOCK}


class Differs(NamedTuple):
    """What either says, and the name that docs/mldv2.md has for it."""

    linux: list[Said]
    ours: list[Said]
    why: str


FORGETS = "a mode that was not said"
ALL_OF_IT = "sources of an EXCLUDE filter"
ANOTHER_TIME = "a second answer"
EXCLUDES_SSM = "EXCLUDE of an SSM address"
SSM_IN_V1 = "an SSM address in MLDv1"
V1_GROUP_QUERY = "an MLDv1 Query for a group"
NO_QRV = "a QRV of 0"
SAID_LATER = "changes while MLDv1 is spoken"
BACK_WHEN = "when MLDv1 ends"
EXCEPTIONS = (
    FORGETS, ALL_OF_IT, ANOTHER_TIME, EXCLUDES_SSM, SSM_IN_V1, V1_GROUP_QUERY, NO_QRV, SAID_LATER, BACK_WHEN,
)  # fmt: skip

# (before, at once, what is said of it). One Report says all of it, and its retransmission.
AT_ONCE: dict[str, tuple[list[Call], list[Call], list[Said] | Differs]] = {
    "joined and left": ([], [("a", "join", G), ("a", "leave", G)], [(TO_IN, G, ())]),
    "left and joined": ([("a", "join", G)], [("a", "leave", G), ("a", "join", G)], [(TO_EX, G, ())]),
    "a source joined and left": (
        [],
        [("a", "join_source", G, ONE), ("a", "leave_source", G, ONE)],
        [(BLOCK, G, (ONE,))],
    ),
    "two groups": (
        [("a", "join", G)],
        [("b", "join_source", "ff05::2", ONE), ("a", "block", G, ONE)],
        [(ALLOW, "ff05::2", (ONE,)), (BLOCK, G, (ONE,))],
    ),
    "one source for another": (
        [("a", "join_source", G, ONE)],
        [("a", "join_source", G, TWO), ("a", "leave_source", G, ONE)],
        [(ALLOW, G, (TWO,)), (BLOCK, G, (ONE,))],
    ),
    "there and back": (
        [("a", "join_source", G, ONE), ("a", "join_source", G, TWO)],
        [("a", "exclude", G, [ONE]), ("a", "include", G, [ONE])],
        [(TO_IN, G, (ONE,))],
    ),
    "sources, and then all": (
        [("a", "join_source", G, ONE)],
        [("a", "leave_source", G, ONE), ("a", "join", G)],
        [(TO_EX, G, ())],
    ),
    "all, and then a source": (
        [("a", "join", G)],
        [("a", "leave", G), ("a", "join_source", G, ONE)],
        Differs([(ALLOW, G, (ONE,))], [(TO_IN, G, (ONE,))], FORGETS),
    ),
    "all, then a source, and that is left": (
        [("a", "join", G), ("b", "join_source", G, ONE)],
        [("a", "leave", G), ("b", "leave", G)],
        Differs([(BLOCK, G, (ONE,))], [(TO_IN, G, ())], FORGETS),
    ),
    "everybody joins an SSM address": (
        [("a", "join_source", SSM, ONE)],
        [("b", "join", SSM)],
        Differs([(TO_EX, SSM, ())], [], EXCLUDES_SSM),
    ),
}


@pytest.mark.parametrize(("before", "calls", "records"), AT_ONCE.values(), ids=AT_ONCE)
def test_what_is_done_at_once(
    hosts: Hosts, before: list[Call], calls: list[Call], records: list[Said] | Differs
) -> None:
    do(hosts, *before)
    wanted = answers(records, 2)
    check(hosts, wanted, *calls)


def answers(records: list[Said] | Differs, n: int = 1) -> Heard:
    if isinstance(records, Differs):
        return {LINUX: times(n, *records.linux), FASTMLD: times(n, *records.ours)}
    return both(n, *records)


def test_a_change_while_another_is_being_said(hosts: Hosts) -> None:
    """Each source is named twice, in whatever Reports; a retransmission that waits is no reason to wait."""
    do(hosts, ("a", "join", G))
    for calls in (("block", "block"), ("unblock", "unblock")):
        for host in hosts.values():
            for call, source in zip(calls, (ONE, TWO), strict=True):
                host.told.do(("a", call, G, source))
        kind = BLOCK if calls[0] == "block" else ALLOW
        for heard in hear(hosts, same_named, QUIET_S, LIMIT_S).values():
            assert named_in(heard) == Counter({(kind, G, ONE): 2, (kind, G, TWO): 2})


def named_in(heard: Counter[Said]) -> Counter[tuple[str, str, str]]:
    """How often each source was named in each way."""
    named: Counter[tuple[str, str, str]] = Counter()
    for (kind, group, sources), n in heard.items():
        named.update({(kind, group, source): n for source in sources})
    return named


def same_named(heard: Heard) -> bool:
    return named_in(heard[LINUX]) == named_in(heard[FASTMLD])


def test_more_sources_than_a_report_holds(hosts: Hosts) -> None:
    """At 1500 octets that is 89; a socket of Linux takes 64 (mld_max_msf), so two of them."""
    many = [f"2001:db8:1::{n:x}" for n in range(1, 121)]
    do(hosts, ("a", "join", G), ("b", "join", G))
    first, rest = tuple(sorted(many, key=frames.address)[:89]), tuple(sorted(many, key=frames.address)[89:])
    parts = [tuple(sorted(first)), tuple(sorted(rest))]
    wanted = both(2, *((TO_IN, G, part) for part in parts))
    check(hosts, wanted, ("a", "include", G, many[:60]), ("b", "include", G, many[60:]))
    check(hosts, both(1, *((IS_IN, G, part) for part in parts)), query(G))
    # In which part of a split record a source is makes no difference, and Linux has no order.
    heard = do(hosts, ("a", "close", ""), ("b", "close", ""), wanted=same_named)
    assert same_named(heard)
    assert named_in(heard[LINUX]) == Counter({(BLOCK, G, source): 2 for source in many})
    assert sorted(len(sources) for _, _, sources in heard[LINUX].elements()) == [31, 31, 89, 89]


@pytest.mark.parametrize(("told", "times_said"), [(3, 3), (7, 7), (1, 2), (2, 2), (0, 2)])
def test_the_queriers_robustness(hosts: Hosts, told: int, times_said: int) -> None:
    """How often a State-Change Report is sent; 1 is too little (sections 5.1.8 and 9.1)."""
    ask(hosts, query(flags=2))
    ask(hosts, query(flags=told))
    check(hosts, both(times_said, (TO_EX, G, ())), ("a", "join", G))
    check(hosts, both(times_said, (BLOCK, G, (ONE,))), ("a", "block", G, ONE))
    check(hosts, both(times_said, (TO_IN, G, ())), ("a", "leave", G))


def test_a_robustness_of_0_is_the_default(hosts: Hosts) -> None:
    """For Linux it is the last one (NO_QRV)."""
    ask(hosts, query(flags=5))
    ask(hosts, query(flags=0))
    wanted = {LINUX: times(5, (TO_EX, G, ())), FASTMLD: times(2, (TO_EX, G, ()))}
    check(hosts, wanted, ("a", "join", G))
    ask(hosts, query(flags=2))


def query(group: str | bytes = frames.ANY, *sources: str, code: int = DELAY_MS, flags: int = 2) -> bytes:
    return frames.query2(group, code, tuple(map(frames.address, sources)), flags=flags)


LISTENED: list[Call] = [
    ("a", "join", "ff05::1"),
    ("a", "join_source", "ff05::2", ONE),
    ("a", "join_source", "ff05::2", TWO),
    ("a", "join_source", "ff05::2", THREE),
    ("a", "join", "ff05::3"),
    ("a", "exclude", "ff05::3", [ONE, TWO]),
    ("b", "join_source", SSM, ONE),
]
EVERYTHING: dict[str, Said] = {
    "ff05::1": (IS_EX, "ff05::1", ()),
    "ff05::2": (IS_IN, "ff05::2", (ONE, TWO, THREE)),
    "ff05::3": (IS_EX, "ff05::3", (ONE, TWO)),
    SSM: (IS_IN, SSM, (ONE,)),
}
# With LISTENED, and once each.
QUERIES: dict[str, tuple[list[bytes], list[Said] | Differs]] = {
    "general": ([query()], [*EVERYTHING.values()]),
    "general, S flag": ([query(flags=0x0A)], [*EVERYTHING.values()]),
    "general, without delay": ([query(code=0)], [*EVERYTHING.values()]),
    "two general ones": ([query(), query()], [*EVERYTHING.values()]),
    "general, for a source": ([query(frames.ANY, ONE)], []),
    "exclude nothing": ([query("ff05::1")], [EVERYTHING["ff05::1"]]),
    "include": ([query("ff05::2")], [EVERYTHING["ff05::2"]]),
    "exclude": ([query("ff05::3")], [EVERYTHING["ff05::3"]]),
    "SSM": ([query(SSM)], [EVERYTHING[SSM]]),
    "not listened to": ([query("ff05::4")], []),
    "include: some": ([query("ff05::2", ONE, TWO)], [(IS_IN, "ff05::2", (ONE, TWO))]),
    "include: one, and another": ([query("ff05::2", THREE, FOUR)], [(IS_IN, "ff05::2", (THREE,))]),
    "include: others": ([query("ff05::2", FOUR)], []),
    "include: twice the same": ([query("ff05::2", ONE, ONE)], [(IS_IN, "ff05::2", (ONE,))]),
    "include: a source, then another": (
        [query("ff05::2", ONE), query("ff05::2", TWO)],
        [(IS_IN, "ff05::2", (ONE, TWO))],
    ),
    "include: a source, then all": ([query("ff05::2", ONE), query("ff05::2")], [EVERYTHING["ff05::2"]]),
    "include: all, then a source": ([query("ff05::2"), query("ff05::2", ONE)], [EVERYTHING["ff05::2"]]),
    "exclude: those": ([query("ff05::3", ONE, TWO)], []),
    "exclude: one of those": ([query("ff05::3", ONE)], []),
    "exclude nothing: a source": (
        [query("ff05::1", ONE)],
        Differs([EVERYTHING["ff05::1"]], [(IS_IN, "ff05::1", (ONE,))], ALL_OF_IT),
    ),
    "exclude: others": (
        [query("ff05::3", THREE, FOUR)],
        Differs([EVERYTHING["ff05::3"]], [(IS_IN, "ff05::3", (THREE, FOUR))], ALL_OF_IT),
    ),
    "exclude: one of those, and another": (
        [query("ff05::3", TWO, THREE)],
        Differs([EVERYTHING["ff05::3"]], [(IS_IN, "ff05::3", (THREE,))], ALL_OF_IT),
    ),
    "exclude: one of those, twice": (
        [query("ff05::3", ONE, ONE)],
        Differs([EVERYTHING["ff05::3"]], [], ALL_OF_IT),
    ),
    "exclude: no unicast address": (
        [query("ff05::3", "::", "ff05::7")],
        Differs([EVERYTHING["ff05::3"]], [], ALL_OF_IT),
    ),
}


@pytest.fixture(scope="module")
def listening(one_lab: Hosts) -> Hosts:
    """Both, with LISTENED."""
    leave_all(one_lab)
    do(one_lab, *LISTENED)
    return one_lab


@pytest.mark.parametrize(("queries", "records"), QUERIES.values(), ids=QUERIES)
def test_what_is_answered(listening: Hosts, queries: list[bytes], records: list[Said] | Differs) -> None:
    wanted = answers(records)
    check(listening, wanted, *queries)


@pytest.mark.parametrize("specific", [query("ff05::2"), query("ff05::2", ONE)], ids=["group", "source"])
def test_a_general_answer_is_one_for_a_group_too(listening: Hosts, specific: bytes) -> None:
    """Where it comes first, ours says no more; a Linux host answers both, whatever comes first (ANOTHER_TIME)."""
    everything = Counter(EVERYTHING.values())
    beside = Counter({(IS_IN, "ff05::2", (ONE,)) if specific != query("ff05::2") else EVERYTHING["ff05::2"]: 1})
    for queries in ((specific, query()), (query(), specific)):
        heard = ask(listening, *queries, wanted=lambda heard: heard[LINUX] == everything + beside)
        assert heard[LINUX] == everything + beside
        assert heard[FASTMLD] in (everything, everything + beside)


def test_version_1_and_back(lab: Lab) -> None:
    """An MLDv1 General Query changes both, and four seconds and some later both are back."""
    with two_hosts(lab) as hosts:
        turn_to_version_1_and_back(hosts)


def turn_to_version_1_and_back(hosts: Hosts) -> None:
    do(hosts, *LISTENED)
    tell = frames.query2(response_code=DELAY_MS, interval_code=2)
    check(hosts, both(1, *EVERYTHING.values()), tell)
    # MLDv1 says nothing of sources; and nothing of an SSM address, but for Linux.
    ours: list[Said] = [("Report", group, ()) for group in ("ff05::1", "ff05::2", "ff05::3")]
    wanted = answers(Differs([*ours, ("Report", SSM, ())], ours, SSM_IN_V1))
    check(hosts, wanted, frames.query(delay_ms=DELAY_MS))
    assert hosts[FASTMLD].told.look()["mode"] == "mldv1"
    # Source filters are not said, and MLDv2 Queries answered as those of MLDv1.
    check(hosts, both(1), ("a", "exclude", "ff05::3", [THREE]))
    check(hosts, both(1, ("Report", "ff05::2", ())), query("ff05::2", FOUR))
    check(hosts, both(2, ("Report", "ff05::5", ())), ("c", "join_source", "ff05::5", ONE))
    check(hosts, both(1, ("Done", "ff05::5", ())), ("c", "leave", "ff05::5"))

    everything = EVERYTHING | {"ff05::3": (IS_EX, "ff05::3", (THREE,))}
    wait_for(lambda: hosts[FASTMLD].told.look()["mode"] == "mldv2", 5)
    wait_for(lambda: ask(hosts, tell) == both(1, *everything.values()), 15)
    joined: list[Said] = [(TO_EX, "ff05::5", ())]
    wanted = answers(Differs([*joined, (BLOCK, "ff05::3", (THREE,))], joined, SAID_LATER), 2)
    check(hosts, wanted, ("c", "join", "ff05::5"))


def test_when_mldv1_ends(lab: Lab) -> None:
    """Two seconds, and for ours the MLDv1 Query's delay, for Linux that of the MLDv2 Query before it."""
    with two_hosts(lab) as hosts:
        do(hosts, ("a", "join", G))
        ask(hosts, frames.query2(response_code=DELAY_MS, interval_code=1))
        start = time.monotonic()
        reported = both(1, ("Report", G, ()))
        check(hosts, reported, frames.query(delay_ms=2000))
        time.sleep(max(0, start + 2.5 - time.monotonic()))
        wanted = answers(Differs([(IS_EX, G, ())], [("Report", G, ())], BACK_WHEN))
        check(hosts, wanted, query())
        time.sleep(max(0, start + 4.2 - time.monotonic()))
        check(hosts, both(1, (IS_EX, G, ())), query())


def test_an_mldv1_query_for_a_group(lab: Lab) -> None:
    """It turns a Linux host to MLDv1; section 8.2.1 has a General Query do that."""
    with two_hosts(lab) as hosts:
        do(hosts, ("a", "join", G))
        wanted = answers(Differs([("Report", G, ())], [(IS_EX, G, ())], V1_GROUP_QUERY))
        check(hosts, wanted, frames.query(G, DELAY_MS))
        wanted = {LINUX: Counter(), FASTMLD: times(2, (BLOCK, G, (ONE,)))}
        check(hosts, wanted, ("a", "block", G, ONE))


def test_every_difference_has_its_reason() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "mldv2.md").read_text()
    for why in EXCEPTIONS:
        assert any(line.startswith(f"| {why} |") for line in page.splitlines()), why
