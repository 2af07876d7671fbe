"""The examples run and do what they say: embed in this process, the switch between kernel hosts in namespaces."""

import importlib.util
import os
import re
import runpy
import select
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path
from types import ModuleType

import pytest

import frames

sys.path.append(str(Path(__file__).parent / "live"))
from lab import Lab, Namespace, Refused, wait_for

EXAMPLES = Path(__file__).parent.parent / "examples"
SOFTSWITCH = [sys.executable, "-W", "error", str(EXAMPLES / "softswitch.py")]
GROUPS = {str(IPv6Address("ff05::1:1") + i) for i in range(20)}


def test_embed(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "embed.py"))
    lines = capsys.readouterr().out.splitlines()
    said = [re.fullmatch(r" *(\d+) ms  we say: (.+)", line) for line in lines]
    reports = [(int(match[1]), match[2]) for match in said if match]
    # RFC 9777 section 6.1: a change is said at once, and again within a second, as the robustness variable is 2.
    joined = "TO_EX ff05::101 {}, TO_EX ff05::102 {}, ALLOW ff3e::8000:1 {2001:db8::1}"
    assert [text for _, text in reports[:2]] == [joined, joined]
    assert reports[0][0] == 0 < reports[1][0] <= 1000
    # Section 6.3: all of it within the Query's delay of 10 s.
    assert reports[2][1] == "IS_EX ff05::101 {}, IS_EX ff05::102 {}, IS_IN ff3e::8000:1 {2001:db8::1}"
    assert 60_000 < reports[2][0] <= 70_000
    assert [text for _, text in reports[3:]] == ["TO_IN ff05::102 {}"] * 2
    assert reports[3][0] == 90_000 < reports[4][0] <= 91_000
    assert " 60000 ms  we hear: accepted, not_mld" in lines


def softswitch() -> ModuleType:
    spec = importlib.util.spec_from_file_location("softswitch", EXAMPLES / "softswitch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_switch_forgets_addresses() -> None:
    module = softswitch()
    addresses, left, right = module.Addresses(), object(), object()
    mac = frames.MAC
    assert addresses.port_of(mac, 0) is None
    addresses.learn(mac, left, 0)
    assert addresses.port_of(mac, module.AGEING_MS - 1) is left
    addresses.learn(mac, right, 10)  # it moved
    assert addresses.port_of(mac, module.AGEING_MS + 9) is right
    assert addresses.port_of(mac, module.AGEING_MS + 10) is None


def test_the_switch_learns_so_many_addresses_and_no_more() -> None:
    module = softswitch()
    addresses, port = module.Addresses(), object()
    for n in range(module.MOST_ADDRESSES + 1):
        addresses.learn(n.to_bytes(6, "big"), port, 0)
    assert addresses.port_of((module.MOST_ADDRESSES - 1).to_bytes(6, "big"), 0) is port
    latest = module.MOST_ADDRESSES.to_bytes(6, "big")
    assert addresses.port_of(latest, 0) is None
    addresses.learn(latest, port, module.AGEING_MS)  # the others have aged
    assert addresses.port_of(latest, module.AGEING_MS) is port


def complaint(*arguments: str, before: tuple[str, ...] = ()) -> tuple[int, str]:
    done = subprocess.run([*before, *SOFTSWITCH, *arguments], capture_output=True, text=True, timeout=60)
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "names"),
    [
        (("no-such-port",), 2, "no-such-port"),
        (("lo", "lo"), 2, "twice"),
        (("lo", "--join", "ff05::zz"), 2, "ff05::zz"),
        (("lo", "--join", "ff05::1+x"), 2, "ff05::1+x"),
        (("lo", "--join", "ff05::1+0"), 2, "ff05::1+0"),
        (("lo", "--join", "ff05::1+99999999"), 2, "ff05::1+99999999"),
        (("lo", "--join", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff+2"), 2, "+2"),
    ],
)
def test_the_switch_says_in_one_line_what_is_wrong(arguments: tuple[str, ...], status: int, names: str) -> None:
    code, said = complaint(*arguments)
    assert code == status
    assert said.startswith("softswitch: ") and said.count("\n") == 1 and names in said


def test_the_switch_says_that_it_may_not() -> None:
    as_nobody = ("setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw") if os.geteuid() == 0 else ()
    code, said = complaint("lo", before=as_nobody)
    assert code == 3
    assert said.startswith("softswitch: ") and said.count("\n") == 1 and "CAP_NET_RAW" in said


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        try:
            made.namespace()
        except Refused as error:
            skip = pytest.fail if os.environ.get("FASTMLD_REQUIRE_LIVE") == "1" else pytest.skip
            skip(f"no network namespaces here: {error}")
        yield made


class Tap:
    """What a packet socket sees, read without blocking."""

    def __init__(self, packets: socket.socket) -> None:
        self._packets = packets
        self.frames: list[bytes] = []

    def read(self) -> list[bytes]:
        while select.select([self._packets], [], [], 0)[0]:
            self.frames.append(self._packets.recv(65536))
        return self.frames

    def groups(self, kind: int) -> Counter[str]:
        """How often each group was named in MLDv1 messages of a kind."""
        mld = [frame for frame in self.read() if frame[12:14] == b"\x86\xdd" and frame[20] == 0 and frame[62] == kind]
        return Counter(str(IPv6Address(frame[70:86])) for frame in mld)


SERVE = """
import socket
with socket.create_server(("::", 7), family=socket.AF_INET6) as server:
    print("ready", flush=True)
    with server.accept()[0] as connection:
        octets = connection.makefile("rb").read()
print(len(octets))
"""
SEND = """
import socket, sys
with socket.create_connection((sys.argv[1], 7), timeout=20) as connection:
    connection.sendall(bytes(1_000_000))
"""


def make_querier(namespace: Namespace, port: str) -> None:
    """Bridge br0 with one port, that asks each second for Reports within half of one."""
    namespace.ip("link add br0 type bridge mcast_snooping 1")
    namespace.sysctl("ipv6.conf.br0.accept_dad", 0)
    namespace.ip(f"link set {port} master br0")
    namespace.ip("link set br0 up")
    namespace.ip(
        "link set br0 type bridge mcast_query_interval 100 mcast_startup_query_interval 100"
        " mcast_query_response_interval 50 mcast_last_member_interval 20"
    )
    namespace.ip("link set br0 type bridge mcast_querier 1")


@pytest.mark.live
def test_softswitch(lab: Lab) -> None:
    """A bridge that asks on v1, kernel hosts on v2 and v3."""
    switch, router, left, right = lab.first, lab.namespace(), lab.namespace(), lab.namespace()
    for n, neighbour in enumerate((router, left, right), 1):
        lab.veth(switch, f"v{n}", neighbour, "eth0")
        switch.sysctl(f"ipv6.conf.v{n}.disable_ipv6", 1)
    running = switch.start(*SOFTSWITCH, "v1", "v2", "v3", "--join", "ff05::1:1+20")
    assert running.stdout.readline().startswith("switching v1, v2, v3; host fe80::")
    with right.packet_socket("eth0") as at_right, router.packet_socket("eth0") as at_router:
        heard, seen_by_router = Tap(at_right), Tap(at_router)
        make_querier(router, "eth0")

        # The switch's host: a group's third Report can only be an answer (one on joining, one repeat). Everybody hears
        # it, and the bridge notes it down.
        wait_for(lambda: all(heard.groups(frames.REPORT)[group] >= 3 for group in GROUPS))
        wait_for(lambda: router.mdb("br0") >= GROUPS)

        # The switch: a connection between two hosts, with the checksums and segments that veth leaves undone.
        server = right.start(sys.executable, "-c", SERVE)
        assert server.stdout.readline() == "ready\n"
        left.run(sys.executable, "-c", SEND, right.link_local("eth0") + "%eth0")
        assert server.communicate(timeout=20)[0] == "1000000\n"
        # What is for one of them only, nobody else sees: neighbour discovery has told where both are.
        between = {bytes.fromhex(host.mac("eth0").replace(":", "")) for host in (left, right)}
        assert not [frame for frame in seen_by_router.read() if frame[:6] in between]

        running.terminate()
        said, errors = running.communicate(timeout=20)
        assert (running.returncode, errors) == (0, "")
        assert "sent_done 20" in said
        wait_for(lambda: heard.groups(frames.DONE).keys() >= GROUPS)
        wait_for(lambda: not router.mdb("br0") & GROUPS)


@pytest.mark.live
def test_softswitch_outlives_its_ports(lab: Lab) -> None:
    switch = lab.first
    switch.ip("link add v1 type veth peer name p1")
    switch.ip("link add v2 type veth peer name p2")
    for port in ("v1", "v2"):
        switch.ip(f"link set {port} up")
    running = switch.start(*SOFTSWITCH, "v1", "v2", "--join", "ff05::1:1")
    assert running.stdout.readline()
    switch.ip("link set v1 down")
    switch.ip("link del v2")
    running.send_signal(2)
    said, errors = running.communicate(timeout=20)
    assert (running.returncode, errors) == (0, "")
    reports = re.search(r"sent_report2 (\d+)", said)
    assert reports and int(reports[1]) >= 2  # that it joined, and that it left
