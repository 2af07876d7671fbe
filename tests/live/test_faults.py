"""Faults that the kernel tells of: the link goes down, its cable, its MTU, its address, the link itself."""

import pytest

import frames
from lab import Cable, Lab, Listener, heard, wait_for

pytestmark = pytest.mark.live

QUIET = '{"unsolicited_report_repeats": 0}'
N = 20


@pytest.fixture
def listener(cable: Cable) -> Listener:
    made = Listener(cable.host, "v0", f"ff05::1:0+{N}", QUIET)
    made.wait_for(lambda line: line["v0"]["sent"] == N)
    return made


def reported_again(listener: Listener, before: int) -> bool:
    """Every group was reported at least once more."""
    return bool(listener.wait_for(lambda line: line["v0"]["sent"] >= before + N))


def test_set_down_and_up(cable: Cable, listener: Listener) -> None:
    cable.host.ip("link set v0 down")
    said = listener.wait_for(lambda line: line["v0"]["last_reporter"] == 0)
    assert said["v0"]["groups"] == N
    assert said["v0"]["sent_done"] == 0
    cable.host.ip("link set v0 up")
    assert reported_again(listener, said["v0"]["sent"])
    with cable.peer.packet_socket("p0") as packets:
        packets.send(frames.query(delay_ms=0))
        before = listener.latest()["v0"]["general_query"]
        listener.wait_for(lambda line: line["v0"]["general_query"] > before)


def test_carrier_lost_and_back(cable: Cable, listener: Listener) -> None:
    cable.peer.ip("link set p0 down")
    said = listener.wait_for(lambda line: line["v0"]["last_reporter"] == 0)
    assert said["v0"]["groups"] == N
    assert said["v0"]["sent_done"] == 0
    cable.peer.ip("link set p0 up")
    assert reported_again(listener, said["v0"]["sent"])


def test_mtu_too_small_for_ipv6(cable: Cable, listener: Listener) -> None:
    cable.host.ip("link set v0 mtu 1280")
    said = listener.latest()
    assert said["v0"]["last_reporter"] == N
    cable.host.ip("link set v0 mtu 1279")
    said = listener.wait_for(lambda line: line["v0"]["last_reporter"] == 0)
    assert said["v0"]["groups"] == N
    cable.host.ip("link set v0 mtu 1500")
    assert reported_again(listener, said["v0"]["sent"])


def test_another_address(cable: Cable, listener: Listener) -> None:
    """It is used from the moment in which the kernel calls it usable, and everything is reported from it."""
    old = cable.host.link_local("v0")
    with cable.peer.packet_socket("p0") as packets:
        cable.host.ip("addr add fe80::77/64 dev v0 nodad")
        packets.send(frames.query(delay_ms=0))
        assert {report.source for report in heard(packets, 0.5)} == {frames.address(old)}
        cable.host.ip(f"addr del {old}/64 dev v0")
        new = frames.address("fe80::77")
        assert len({report.group for report in heard(packets, 0.5) if report.source == new}) == N
        cable.host.ip("-6 addr flush dev v0")
        wait_for(lambda: cable.host.link_local("v0") is None)
        packets.send(frames.query(delay_ms=0))
        assert {report.source for report in heard(packets, 0.5)} == {frames.ANY}


def test_an_address_that_somebody_has_is_not_used(cable: Cable, listener: Listener) -> None:
    """Tentative while the kernel asks around, then a duplicate: unusable both (RFC 4862 section 5.4)."""
    cable.peer.ip("addr add fe80::66/64 dev p0 nodad")
    cable.host.sysctl("ipv6.conf.v0.accept_dad", 1)
    with cable.peer.packet_socket("p0") as packets:
        cable.host.ip("-6 addr flush dev v0")
        cable.host.ip("addr add fe80::66/64 dev v0")
        wait_for(lambda: "dadfailed" in cable.host.ip("-6 addr show dev v0"))
        packets.send(frames.query(delay_ms=0))
        reports = heard(packets, 0.5)
        assert len(reports) == N
        assert {report.source for report in reports} == {frames.ANY}


def test_one_link_deleted_the_other_goes_on(lab: Lab) -> None:
    host, peer = lab.first, lab.namespace()
    lab.veth(host, "v0", peer, "p0")
    lab.veth(host, "v1", peer, "p1")
    listener = Listener(host, "v0,v1", f"ff05::1:0+{N}", QUIET)
    listener.wait_for(lambda line: line["v0"]["sent"] == line["v1"]["sent"] == N)
    with peer.packet_socket("p1") as packets:
        host.ip("link del v0")
        listener.wait_for(lambda line: line["ended"] == ["v0"])
        packets.send(frames.query(delay_ms=0))
        listener.wait_for(lambda line: line["v1"]["sent"] == 2 * N)
        host.ip("link del v1")
        assert listener.process.wait(20) == 0


def test_an_interface_that_is_made_again_is_followed(lab: Lab) -> None:
    """Another index, another MAC, another address; the groups are the same, and the counters go on."""
    host, peer = lab.first, lab.namespace()
    lab.veth(host, "v0", peer, "p0")
    lab.veth(host, "v1", peer, "p1")
    listener = Listener(host, "v0,v1", f"ff05::1:0+{N}", QUIET)
    before = listener.wait_for(lambda line: line["v0"]["sent"] == line["v1"]["sent"] == N)
    for _ in range(3):
        old = host.mac("v0")
        host.ip("link del v0")
        listener.wait_for(lambda line: line["ended"] == ["v0"])
        lab.veth(host, "v0", peer, "p0")
        said = listener.wait_for(lambda line: line["ended"] == [] and line["v0"]["timers"] == 0)
        with peer.packet_socket("p0") as packets:
            said = listener.wait_for(lambda line, n=before["v0"]["sent"]: line["v0"]["sent"] >= n + N)
            heard(packets, 0.3)
            packets.send(frames.query(delay_ms=0))
            answers = heard(packets, 0.5)
        assert {answer.mac.hex(":") for answer in answers} == {host.mac("v0")} != {old}
        assert {answer.source for answer in answers} == {frames.address(host.link_local("v0"))}
        assert len(answers) == said["v0"]["groups"] == N
        before = listener.wait_for(lambda line, n=said["v0"]["sent"]: line["v0"]["sent"] >= n + N)
    assert before["v1"]["sent"] == N
    listener.stop()


def test_another_mac_address_is_used_at_once(cable: Cable, listener: Listener) -> None:
    with cable.peer.packet_socket("p0") as packets:
        cable.host.ip("link set v0 address 02:00:00:00:00:77")
        wait_for(lambda: cable.host.mac("v0") == "02:00:00:00:00:77")
        heard(packets, 0.3)
        packets.send(frames.query(delay_ms=0))
        assert {answer.mac.hex(":") for answer in heard(packets, 0.5)} == {"02:00:00:00:00:77"}


def test_more_news_than_the_kernel_keeps_for_us(lab: Lab) -> None:
    """What rtnetlink could not deliver is asked for."""
    host, peer = lab.first, lab.namespace()
    lab.veth(host, "v0", peer, "p0")
    lab.veth(host, "v1", peer, "p1")
    listener = Listener(host, "v0,v1", f"ff05::1:0+{N}", QUIET)
    listener.wait_for(lambda line: line["v0"]["sent"] == line["v1"]["sent"] == N)
    with listener.frozen():
        news = [f"link set v0 mtu {1400 + n % 100}" for n in range(2000)]
        host.run("ip", "-batch", "-", says="\n".join([*news, "link del v1", "link set v0 mtu 1279"]))
    said = listener.wait_for(lambda line: line["ended"] == ["v1"])
    assert said["v0"]["last_reporter"] == 0
    host.ip("link set v0 mtu 1500")
    assert reported_again(listener, said["v0"]["sent"])


def test_leaving_a_bridge_is_not_being_deleted(cable: Cable, listener: Listener) -> None:
    cable.host.ip("link add br0 type bridge")
    cable.host.ip("link set v0 master br0")
    cable.host.ip("link set v0 nomaster")
    before = listener.latest()["v0"]["general_query"]
    with cable.peer.packet_socket("p0") as packets:
        packets.send(frames.query(delay_ms=0))
        listener.wait_for(lambda line: line["v0"]["general_query"] > before and not line["ended"])


def test_a_full_queue_keeps_what_it_was_given(cable: Cable) -> None:
    """A queue of 18 frames, emptied at some 300 frames a second."""
    cable.host.tc("qdisc add dev v0 root tbf rate 200kbit burst 1600 limit 1600")
    with cable.peer.packet_socket("p0") as packets:
        listener = Listener(cable.host, "v0", "ff05::1:0+300", QUIET)
        said = listener.wait_for(lambda line: line["v0"]["sent"] == 300)
        assert said["v0"]["send_blocked"] > 0
        assert said["v0"]["send_dropped"] == said["v0"]["waiting"] == 0
        groups = [report.group for report in heard(packets, 0.5)]
        assert len(groups) == 300
        assert groups == sorted(groups)


def test_what_waits_is_dropped_when_the_link_goes(cable: Cable) -> None:
    cable.host.tc("qdisc add dev v0 root tbf rate 8kbit burst 1600 limit 1600")
    listener = Listener(cable.host, "v0", "ff05::1:0+300", QUIET)
    listener.wait_for(lambda line: line["v0"]["waiting"] > 200)
    cable.host.ip("link set v0 down")
    said = listener.wait_for(lambda line: line["v0"]["waiting"] == 0)
    assert said["v0"]["send_dropped"] > 200
    assert said["v0"]["sent"] + said["v0"]["send_dropped"] == 300


def test_no_capability(cable: Cable) -> None:
    process = cable.host.start("setpriv", "--bounding-set=-net_raw", *Listener.command("v0"))
    _, errors = process.communicate(timeout=30)
    assert "LinkRefused: v0: packet sockets need CAP_NET_RAW" in errors.splitlines()[-1]


def test_no_such_interface(cable: Cable) -> None:
    process = cable.host.start(*Listener.command("v7"))
    _, errors = process.communicate(timeout=30)
    assert errors.splitlines()[-1].endswith("NoSuchInterface: there is no interface v7")
