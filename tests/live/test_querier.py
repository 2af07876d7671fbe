"""A Linux bridge as the querier, and its table (MDB) as the judge of what we answer."""

import pytest

from lab import Cable, Listener, Namespace, groups_from, wait_for

pytestmark = pytest.mark.live


def make_querier(router: Namespace, port: str, mld_version: int) -> None:
    """Bridge br0 with one port, asking each second. Memberships end 3 s after the last Report."""
    router.ip("link add br0 type bridge mcast_snooping 1 mcast_hash_max 262144")
    router.sysctl("ipv6.conf.br0.accept_dad", 0)
    router.ip(f"link set {port} master br0")
    router.ip("link set br0 up")
    # The intervals first: a querier that was switched on with the default ones waits for 10 to 30 s.
    router.ip(
        f"link set br0 type bridge mcast_mld_version {mld_version} mcast_query_interval 100"
        " mcast_startup_query_interval 100 mcast_query_response_interval 50 mcast_membership_interval 300"
        " mcast_last_member_interval 20"
    )
    router.ip("link set br0 type bridge mcast_querier 1")


@pytest.mark.parametrize("mld_version", [1, 2])
def test_the_bridge_keeps_what_we_answer_for(cable: Cable, mld_version: int) -> None:
    make_querier(cable.peer, "p0", mld_version)
    groups = groups_from("ff05::1:0", 100)
    listener = Listener(cable.host, "v0", "ff05::1:0+100", '{"unsolicited_report_repeats": 0}')
    # Five Queries are 4 s or more: longer than the bridge remembers a Report.
    said = listener.wait_for(lambda line: line["v0"]["general_query"] >= 5)
    assert groups <= cable.peer.mdb("br0")
    said = listener.wait_for(lambda line: line["v0"]["sent_report"] >= 500)
    assert said["v0"]["accepted"] == said["v0"]["frames"]
    assert said["v0"]["ring_dropped"] == said["v0"]["send_dropped"] == 0

    # Each Done makes the bridge ask for that group, and forget it.
    assert listener.stop()["v0"]["sent_done"] == 100
    wait_for(lambda: not groups & cable.peer.mdb("br0"))


@pytest.mark.slow
def test_a_hundred_thousand_groups(cable: Cable) -> None:
    make_querier(cable.peer, "p0", 1)
    cable.peer.ip("link set br0 type bridge mcast_membership_interval 26000")
    groups = groups_from("ff05::1:0", 100_000)
    listener = Listener(cable.host, "v0", "ff05::1:0+100000")
    listener.wait_for(lambda line: line["v0"]["sent_report"] >= 100_000 and line["v0"]["general_query"], 60)
    wait_for(lambda: groups <= cable.peer.mdb("br0"), 60)
    assert listener.stop()["v0"]["sent_done"] == 100_000
