"""`fastmld run` on a veth pair, a Linux bridge at the other end of it."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import frames
from lab import Cable, Listener, Namespace, groups_from, heard, wait_for
from test_querier import make_querier

pytestmark = pytest.mark.live
GROUPS = 100_000
RUN = [sys.executable, "-W", "error", "-m", "fastmld", "run"]


class Run(Listener):
    """`fastmld run --json` in a namespace: a line each second."""

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [*RUN, "--json", *arguments]

    def stop(self) -> dict[str, Any]:
        """Have it leave its groups and end; what it said last. What it logs may be anything that it may log."""
        self.process.terminate()
        said, errors = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, errors
        assert all(re.match(r"fastmld: v\d: ", line) for line in errors.splitlines()), errors
        return json.loads((self._partial + said).strip().split("\n")[-1])


def refused(cable: Cable, *arguments: str, before: tuple[str, ...] = (), **environment: str) -> tuple[int, str]:
    """The exit status, and the one line about it."""
    done = subprocess.run(
        [*cable.host.enter, *before, *RUN, *arguments], capture_output=True, text=True, env=os.environ | environment
    )
    assert done.stdout == "" and done.stderr.count("\n") == 1, done
    return done.returncode, done.stderr


@pytest.mark.slow
def test_a_hundred_thousand_groups_by_the_command(cable: Cable) -> None:
    make_querier(cable.peer, "p0", 1)
    cable.peer.ip("link set br0 type bridge mcast_membership_interval 26000")
    command = [sys.executable, "-m", "fastmld", "run", "-i", "v0", "--join", f"ff05::1:0+{GROUPS}", "--json"]
    command += ["--mld-version", "1"]
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


@pytest.mark.parametrize(("mld_version", "kind", "counted"), [("1", "done", 4), ("auto", "report2", 3)])
def test_it_ends_by_itself_and_leaves(cable: Cable, mld_version: str, kind: str, counted: int) -> None:
    """In MLDv2: what is joined in one Report, what was joined again, and what is left."""
    arguments = ["-i", "v0", "--join", "ff05::1:0+3", "ff05::5", "--duration", "1.5", "--json"]
    told = cable.host.run(*RUN, *arguments, "--mld-version", mld_version)
    (last,) = json.loads(told.splitlines()[-1])["interfaces"]
    assert last["name"] == "v0"
    assert last["transmitted"][kind] == counted


@pytest.mark.slow
def test_what_it_prints_for_people(cable: Cable) -> None:
    for mld_version, rows_of_it in (("1", {"Dones out": "3"}), ("auto", {})):
        arguments = ["-i", "v0", "-i", "lo", "--join", "ff05::1:0+3", "--duration", "1", "--mld-version", mld_version]
        told = cable.host.run(*RUN, *arguments)
        rows = dict(re.findall(r"│ (\S.*?) +│ +([\d,]+) │", told.partition("lo ")[0]))
        assert {"groups": "3", "ring drops": "0"}.items() | rows_of_it.items() <= rows.items()
        assert "MLDv2 Reports in" in rows  # how many is the other end's own affair
        assert told.count(f"mldv{mld_version[0].replace('a', '2')}, robustness 2") == 2
        assert told.count("timers pending") == 2
        assert "worst lateness" in told
        assert "\x1b" not in told


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}])
def test_the_live_table(cable: Cable, environment: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    with subprocess.Popen(
        [*cable.host.enter, *RUN, "-i", "v0", "--join", "ff05::1:0+2000"],
        stdout=theirs, stdin=theirs, env=inherited | {"TERM": "xterm-256color"} | environment, start_new_session=True,
    ) as running:  # fmt: skip
        os.close(theirs)
        shown = b""
        while shown.count(b"timers pending") < 3:
            shown += os.read(ours, 65536)
        running.send_signal(signal.SIGINT)
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # EIO: the other end is closed
                break
        assert running.wait(timeout=20) == 0
    os.close(ours)
    drawn = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown.decode())
    assert re.search(r"groups +│ +2,000 │", drawn)
    assert "mldv2, robustness 2" in drawn
    # 72 records a Report of 1500 octets: joined, and left; said again by the time of the third table.
    assert re.search(rf"MLDv2 Reports out +│ +{3 * -(-2000 // 72)} │", drawn)
    assert bool(re.search(rb"\x1b\[[\d;]*m", shown)) == (not environment)


def test_a_config_file_for_two_interfaces(cable: Cable, tmp_path: Path) -> None:
    cable.host.ip("link add v1 type veth peer name v2")
    for name in ("v1", "v2"):
        cable.host.sysctl(f"ipv6.conf.{name}.disable_ipv6", 1)
        cable.host.ip(f"link set {name} up")
    config = tmp_path / "fastmld.toml"
    config.write_text(
        """
        join = ["ff05::1:0"]
        mld_version = 1
        unsolicited_report_repeats = 0
        [interface.v1]
        link_local = "fe80::5"
        join = ["ff05::2:0+9"]
        ring = { blocks = 8, block_size = 65_536 }
        [interface.v0]
        """
    )
    with cable.host.packet_socket("v2") as packets:
        running = Run(cable.host, "--config", str(config))
        said = heard(packets, 1)
        assert {message.group for message in said} == {
            frames.address(group) for group in groups_from("ff05::2:0", 9) | {"ff05::1:0"}
        }
        assert {message.source for message in said} == {frames.address("fe80::5")}
        first, second = running.stop()["interfaces"]
    assert (first["name"], first["transmitted"]["report"]) == ("v1", 10)
    assert (second["name"], second["transmitted"]["report"]) == ("v0", 1)


@pytest.mark.slow
def test_a_bridge_learns_the_sources(cable: Cable, tmp_path: Path) -> None:
    """Its own table says for which sources we listen; and nothing any more when we end."""
    make_querier(cable.peer, "p0", 2)
    config = tmp_path / "fastmld.toml"
    config.write_text(
        """
        [interface.v0]
        [[interface.v0.listen]]
        group = "ff05::1:0+2"
        exclude = ["2001:db8::a", "2001:db8::b"]
        [[interface.v0.listen]]
        group = "ff05::1:1"
        include = ["2001:db8::b"]
        """
    )
    sources = [f"2001:db8::{n},ff3e::8000:1+2" for n in (1, 2)]
    running = Run(cable.host, "--config", str(config), "--join", *sources, "ff05::2:0")
    learnt = {
        "ff3e::8000:1": ("include", {"2001:db8::1", "2001:db8::2"}),
        "ff3e::8000:2": ("include", {"2001:db8::1", "2001:db8::2"}),
        "ff05::1:0": ("exclude", {"2001:db8::a", "2001:db8::b"}),
        "ff05::1:1": ("exclude", {"2001:db8::a"}),
        "ff05::2:0": ("exclude", set()),
    }
    wait_for(lambda: learnt.items() <= sources_of(cable.peer).items())
    # Five Queries are 4 s or more: longer than the bridge remembers a Report.
    running.wait_for(lambda line: line["interfaces"][0]["received"]["general_query"] >= 5)
    assert learnt.items() <= sources_of(cable.peer).items()
    said = running.latest()["interfaces"][0]
    assert (said["mode"], said["querier"]) == ("mldv2", cable.peer.link_local("br0"))
    assert running.stop()["interfaces"][0]["transmitted"]["report2"] >= 7
    wait_for(lambda: not learnt.keys() & sources_of(cable.peer).keys())


def sources_of(router: Namespace) -> dict[str, tuple[str, set[str]]]:
    """Filter mode and sources of each group in the table of bridge br0."""
    table = json.loads(router.run("bridge", "-j", "-d", "-s", "mdb", "show", "dev", "br0"))
    return {
        entry["grp"]: (entry["filter_mode"], {source["address"] for source in entry.get("source_list", ())})
        for part in table
        for entry in part["mdb"]
        if "src" not in entry and "filter_mode" in entry
    }


def test_nothing_is_said_when_one_of_two_interfaces_is_missing(cable: Cable) -> None:
    with cable.peer.packet_socket("p0") as packets:
        status, line = refused(cable, "-i", "v0", "-i", "nowhere0", "--join", "ff05::1:0+10", "--mld-version", "1")
        assert (status, line) == (2, "fastmld: there is no interface nowhere0\n")
        assert heard(packets, 0.3) == []


def test_an_interface_without_an_address_is_told_of(cable: Cable) -> None:
    cable.host.sysctl("ipv6.conf.v0.disable_ipv6", 1)
    done = subprocess.run(
        [*cable.host.enter, *RUN, "-i", "v0", "--join", "ff05::1:0", "--duration", "0.2", "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr.startswith("fastmld: v0 has no link-local address") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("ends", "line"),
    [
        (("p0", "down"), "fastmld: v0: there is no carrier, and nothing is said there until there is\n"),
        (("v0", "down"), "fastmld: v0: it is set down, and nothing is said there until it is up\n"),
    ],
)
def test_a_link_that_carries_nothing_is_told_of(cable: Cable, ends: tuple[str, str], line: str) -> None:
    namespace = cable.peer if ends[0] == "p0" else cable.host
    namespace.ip(f"link set {ends[0]} {ends[1]}")
    wait_for(lambda: " state UP " not in cable.host.ip("link show dev v0"))
    done = subprocess.run(
        [*cable.host.enter, *RUN, "-i", "v0", "--join", "ff05::1:0", "--link-local", "fe80::5", "--duration", "0.2"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == line


@pytest.mark.slow
def test_what_is_dropped_is_told_of_once(cable: Cable) -> None:
    """A second a line of JSON, but of each reason one line: the counters go on."""
    with cable.peer.packet_socket("p0") as packets:
        running = Run(cable.host, "-i", "v0", "--join", "ff05::1:0")
        for n in range(1, 4):
            packets.send(frames.query(hop_limit=2))
            running.wait_for(lambda line, n=n: line["interfaces"][0]["dropped"].get("bad_hop_limit") == n)
        packets.send(frames.query(delay_ms=0))
        running.wait_for(lambda line: line["interfaces"][0]["received"]["general_query"])
        running.process.terminate()
        _, errors = running.process.communicate(timeout=30)
    lines = [line for line in errors.splitlines() if "bad_source" not in line]  # a kernel that has no address yet
    assert lines == [
        "fastmld: v0: 1 dropped: bad_hop_limit; 1 in all",
        "fastmld: v0: mode mldv1: a Querier speaks it; the latest Query is from fe80::fe",
        "fastmld: v0: the kernel's IPv6 is on there too, and answers for groups of its own",
    ]


def test_without_the_capability(cable: Cable) -> None:
    without = ("setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", "--")
    status, line = refused(cable, "-i", "v0", "--join", "ff05::1:0", before=without)
    assert status == 3
    assert "CAP_NET_RAW" in line and "setpriv --inh-caps +net_raw --ambient-caps +net_raw" in line


def test_without_pyroute2(cable: Cable, tmp_path: Path) -> None:
    """A module of that name which fails to import, as one that is not there does."""
    (tmp_path / "pyroute2.py").write_text("raise ModuleNotFoundError('gone', name='pyroute2')")
    status, line = refused(cable, "-i", "v0", "--join", "ff05::1:0", PYTHONPATH=str(tmp_path))
    assert status == 3
    assert "pip install 'fastmld[live]'" in line


def test_a_reader_that_went_away(cable: Cable) -> None:
    """The groups are left all the same."""
    with cable.peer.packet_socket("p0") as packets:
        running = cable.host.start(*RUN, "-i", "v0", "--join", "ff05::1:0+5", "--json", "--mld-version", "1")
        running.stdout.readline()
        running.stdout.close()
        dones: list[bytes] = []
        wait_for(lambda: dones.extend(m.group for m in heard(packets, 0.5) if m.kind == frames.DONE) or len(dones) == 5)
    assert running.stderr.read() == "fastmld: standard output: Broken pipe\n"
    assert running.wait(timeout=20) == 2


def test_the_last_interface_is_deleted(cable: Cable) -> None:
    running = Run(cable.host, "-i", "v0", "--join", "ff05::1:0+5")
    cable.host.ip("link del v0")
    said, errors = running.process.communicate(timeout=20)
    assert running.process.returncode == 3
    assert errors == "fastmld: v0: gone, and no interface is left\n"
    assert json.loads(said.splitlines()[-1])["interfaces"][0]["gone"] is True
