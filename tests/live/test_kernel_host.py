"""A Linux host in MLDv1 mode on the same segment: it suppresses us, and we suppress it."""

import sys

import pytest

import frames
from lab import Lab, Listener, heard

pytestmark = pytest.mark.live
N = 200


@pytest.mark.slow
def test_each_suppresses_the_other(lab: Lab) -> None:
    host, hub, kernel = lab.first, lab.namespace(), lab.namespace()
    lab.veth(host, "v0", hub, "p0")
    lab.veth(kernel, "k0", hub, "p1")
    lab.veth(hub, "t0", hub, "p2")
    # A hub, not a snooping bridge: that would keep Reports from other hosts.
    hub.ip("link add br0 type bridge mcast_snooping 0")
    for port in ("p0", "p1", "p2"):
        hub.ip(f"link set {port} master br0")
    hub.ip("link set br0 up")
    for namespace, interface in ((host, "v0"), (kernel, "k0")):
        namespace.sysctl(f"ipv6.conf.{interface}.force_mld_version", 1)
        namespace.sysctl(f"ipv6.conf.{interface}.mldv1_unsolicited_report_interval", 10)

    ours, theirs = (bytes.fromhex(n.mac(i).replace(":", "")) for n, i in ((host, "v0"), (kernel, "k0")))
    groups = {(int.from_bytes(frames.address("ff05::1:0")) + i).to_bytes(16) for i in range(N)}
    with hub.packet_socket("t0") as packets:
        joining = kernel.start(sys.executable, "-m", "fastmld_bench.wire.join", "k0", "ff05::1:0", str(N))
        assert joining.stdout.readline() == "joined\n"
        listener = Listener(host, "v0", f"ff05::1:0+{N}", '{"unsolicited_report_interval_ms": 10}')
        listener.wait_for(lambda line: line["v0"]["sent_report"] >= N and line["v0"]["timers"] == 0)
        heard(packets, 0.5)

        packets.send(frames.query(delay_ms=2000))
        reporters: dict[bytes, list[bytes]] = {}
        for message in heard(packets, 3):
            if message.kind == frames.REPORT:
                reporters.setdefault(message.group, []).append(message.mac)

        said = listener.latest()
        assert said["v0"]["report"] >= sum(who.count(theirs) for who in reporters.values())
        assert reporters.keys() == groups
        assert all(set(who) <= {ours, theirs} for who in reporters.values())
        # Both answer only where their draws are as close as the way between them is long.
        assert sum(len(who) for who in reporters.values()) < 1.25 * N
        assert 0 < sum(who == [ours] for who in reporters.values()) < N
        assert 0 < sum(who == [theirs] for who in reporters.values()) < N

        # Who reported last says Done (RFC 2710 section 4).
        last = {group for group, who in reporters.items() if who[-1] == ours}
        done = listener.stop()["v0"]["sent_done"]
        left = [m.group for m in heard(packets, 0.5) if m.mac == ours and m.kind == frames.DONE]
        assert len(left) == done
        assert abs(len(last) - done) <= sum(len(who) > 1 for who in reporters.values())
        assert set(left) >= {group for group, who in reporters.items() if who == [ours]}
