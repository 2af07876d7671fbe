"""The faults of a soak, each caused for real and taken back. By name in FAULTS."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress

import frames
from lab import Lab, Listener
from traffic import GROUPS, N

CONFIG = f"""
join = ["ff05::1:0+{N}"]
report_rate = 5000
[interface.v0]
mld_version = 1
[interface.v1]
mld_version = "auto"
ring = {{ blocks = 4, block_size = 4096, retire_ms = 2 }}
"""


class Site:
    """A host with three cables to a peer: v0 and v1 of the listener that lives through all, v2 of the one that dies."""

    def __init__(self, lab: Lab, rng: random.Random) -> None:
        self.lab, self.rng = lab, rng
        self.host, self.peer = lab.first, lab.namespace()
        for n in range(3):
            lab.veth(self.host, f"v{n}", self.peer, f"p{n}")
        self.listener: Listener | None = None  # the steady one

    def cable(self) -> tuple[str, str]:
        """One of the steady listener's, at random: its end here, and its far end."""
        n = self.rng.randrange(2)
        return f"v{n}", f"p{n}"

    def pause(self) -> None:
        time.sleep(self.rng.uniform(0.05, 1))


def set_down(site: Site) -> None:
    here, _ = site.cable()
    site.host.ip(f"link set {here} down")
    site.pause()
    site.host.ip(f"link set {here} up")


def carrier_lost(site: Site) -> None:
    _, there = site.cable()
    site.peer.ip(f"link set {there} down")
    site.pause()
    site.peer.ip(f"link set {there} up")


def deleted(site: Site) -> None:
    here, there = site.cable()
    site.host.ip(f"link del {here}")
    site.pause()
    site.lab.veth(site.host, here, site.peer, there)


def queue_full(site: Site) -> None:
    """A queue of 18 frames, emptied at some 300 frames a second."""
    here, _ = site.cable()
    site.host.tc(f"qdisc add dev {here} root tbf rate 200kbit burst 1600 limit 1600")
    site.pause()
    site.host.tc(f"qdisc del dev {here} root")


def mtu_shrinks(site: Site) -> None:
    here, _ = site.cable()
    for mtu in (1280, 1279, 1500):
        site.host.ip(f"link set {here} mtu {mtu}")
        site.pause()


def ring_overrun(site: Site) -> None:
    """The ring of v1 holds a hundred frames."""
    with site.peer.packet_socket("p1") as packets, site.listener.frozen():
        for _ in range(1000):
            with suppress(OSError):
                packets.send(frames.query(delay_ms=5000))


def modes_flap(site: Site) -> None:
    """Both versions in turn, with a Query Interval of a second: MLDv1 ends after two, and comes back."""
    with site.peer.packet_socket("p1") as packets:
        for _ in range(3):
            for query in (frames.query2(response_code=10, interval_code=1), frames.query(delay_ms=10)):
                with suppress(OSError):
                    packets.send(query)
                site.pause()


def sources_flood(site: Site) -> None:
    """Ten thousand Queries for sources that nobody asked for before."""
    with site.peer.packet_socket("p1") as packets:
        for n in range(10_000):
            sources = tuple(((0x2001 << 112) + 8 * n + i).to_bytes(16) for i in range(8))
            with suppress(OSError):
                packets.send(frames.query2(GROUPS[n % N], 0x8FFF, sources, interval_code=1))


def queriers_differ(site: Site) -> None:
    """Two MLDv2 Queriers, hundreds of times each, of robustness 7 and 0, a second and 31,744 of them."""
    with site.peer.packet_socket("p1") as packets:
        for n in range(400):
            with suppress(OSError):
                packets.send(frames.query2(response_code=n % 3, flags=7 * (n % 2), interval_code=(1, 255)[n % 2]))
        with suppress(OSError):
            packets.send(frames.query2(response_code=10, interval_code=1))


def frozen(site: Site) -> None:
    with site.listener.frozen():
        time.sleep(site.rng.uniform(0.5, 3))


def address_removed(site: Site) -> None:
    here, _ = site.cable()
    site.host.ip(f"-6 addr flush dev {here}")
    site.pause()
    site.host.ip(f"addr add fe80::{site.rng.randrange(1, 1 << 16):x}/64 dev {here} nodad")


def address_duplicate(site: Site) -> None:
    here, there = site.cable()
    site.peer.ip(f"addr add fe80::66/64 dev {there} nodad")
    site.host.sysctl(f"ipv6.conf.{here}.accept_dad", 1)
    site.host.ip(f"addr add fe80::66/64 dev {here}")
    site.pause()
    site.host.ip(f"addr del fe80::66/64 dev {here}")
    site.peer.ip(f"addr del fe80::66/64 dev {there}")
    site.host.sysctl(f"ipv6.conf.{here}.accept_dad", 0)


def ipv6_off(site: Site) -> None:
    """The kernel's own stack goes, its address with it, and comes back."""
    here, _ = site.cable()
    site.host.sysctl(f"ipv6.conf.{here}.disable_ipv6", 1)
    site.pause()
    site.host.sysctl(f"ipv6.conf.{here}.disable_ipv6", 0)


def mac_changes(site: Site) -> None:
    here, _ = site.cable()
    site.host.ip(f"link set {here} address 02:00:00:00:01:{site.rng.randrange(256):02x}")


def news_lost(site: Site) -> None:
    """More of it than rtnetlink keeps for a process that sleeps."""
    here, _ = site.cable()
    with site.listener.frozen():
        news = [f"link set {here} mtu {1400 + n % 100}" for n in range(1000)]
        site.host.run("ip", "-batch", "-", says="\n".join([*news, f"link set {here} mtu 1500"]))


FAULTS: dict[str, Callable[[Site], None]] = {
    fault.__name__: fault
    for fault in (
        set_down, carrier_lost, deleted, queue_full, mtu_shrinks, ring_overrun, modes_flap, sources_flood,
        queriers_differ, frozen, address_removed,
        address_duplicate, ipv6_off, mac_changes, news_lost,
    )
}  # fmt: skip
