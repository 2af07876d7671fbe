"""A cable with a test at its other end: what comes in, what goes out."""

import select
import shutil
import socket
import struct
import subprocess
from pathlib import Path

import pytest

import frames
from lab import Cable, Listener, heard, wait_for, without

pytestmark = pytest.mark.live

QUIET = '{"unsolicited_report_repeats": 0}'


def test_every_group_answers_a_query_once(cable: Cable) -> None:
    with cable.peer.packet_socket("p0") as packets:
        listener = Listener(cable.host, "v0", "ff05::1:0+500", QUIET)
        listener.wait_for(lambda line: line["v0"]["sent"] == 500)
        assert len(heard(packets, 0.2)) == 500
        packets.send(frames.query(delay_ms=300))
        answers = heard(packets, 1.5)
        assert len(answers) == len({answer.group for answer in answers}) == 500
        packets.send(frames.query("ff05::1:7", 0))
        assert [answer.group for answer in heard(packets, 0.3)] == [frames.address("ff05::1:7")]
        assert listener.stop()["v0"]["sent"] == 1501


def test_tcpdump_reads_all_that_we_say(cable: Cable, tmp_path: Path) -> None:
    if shutil.which("tcpdump") is None:
        without("tcpdump is not installed")
    with cable.peer.packet_socket("p0") as packets:
        listener = Listener(cable.host, "v0", "ff05::1:0+50", QUIET)
        listener.wait_for(lambda line: line["v0"]["sent"] == 50)
        packets.send(frames.query(delay_ms=0))
        listener.wait_for(lambda line: line["v0"]["sent"] == 100)
        listener.stop()
        said = heard(packets, 0.5)
    capture = tmp_path / "said.pcap"
    with capture.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for _, _, _, _, frame in said:
            file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
    command = ["tcpdump", "-n", "-vv", "-r", str(capture)]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    lines = text.replace("\n    ", " ").splitlines()
    assert len(lines) == 150
    for line in lines:
        assert "(rtalert: 0x0000)" in line
        assert "hlim 1," in line
        assert "[icmp6 sum ok]" in line
        assert "bad" not in line and "[|" not in line
    assert sum("multicast listener report" in line and "addr: ff05::1:" in line for line in lines) == 100
    assert sum("> ff02::2: HBH" in line and "multicast listener done" in line for line in lines) == 50


def test_frames_of_a_vlan_are_not_ours(cable: Cable) -> None:
    with cable.peer.packet_socket("p0") as packets:
        listener = Listener(cable.host, "v0", "ff05::1:0+5", QUIET)
        tags = [(b"\x81\x00\x00\x07",), (b"\x88\xa8\x00\x07", b"\x81\x00\x00\x08"), (b"\x81\x00\x00\x07",) * 2]
        for tag in tags:
            packets.send(frames.query(delay_ms=0, tags=tag))
        said = listener.wait_for(lambda line: line["v0"]["other_vlan"] == 3)
        packets.send(frames.query(delay_ms=0))
        said = listener.wait_for(lambda line: line["v0"]["general_query"] == 1)
        assert said["v0"]["sent_report"] in (5, 10)
        assert listener.stop()["v0"]["sent_report"] == 10


def test_ordinary_traffic_stays_outside(cable: Cable) -> None:
    """What cannot be MLD never reaches the ring."""
    with cable.peer.packet_socket("p0") as packets:
        listener = Listener(cable.host, "v0")
        before = listener.latest()["v0"]["ring_frames"]
        for _ in range(1000):
            packets.send(frames.query(ethertype=0x0800))
            packets.send(frames.query(last_next_header=17))
            packets.send(bytes(frames.Frame(frames.message(128, frames.ANY), frames.ALL_NODES)))
        packets.send(frames.query(delay_ms=0))
        said = listener.wait_for(lambda line: line["v0"]["general_query"] == 1)
        # The kernel behind p0 may say something about its own groups meanwhile.
        assert said["v0"]["ring_frames"] - before < 20


def burst(packets: socket.socket, frame: bytes, n: int) -> None:
    """Send n frames as fast as one core goes."""
    for _ in range(n):
        while True:
            try:
                packets.send(frame)
                break
            except OSError:  # the queue is full for a moment
                select.select([], [packets], [], 0.01)


def test_a_burst_is_not_lost(cable: Cable) -> None:
    with cable.peer.packet_socket("p0") as packets:
        listener = Listener(cable.host, "v0", "ff05::1:0+1", QUIET)
        before = listener.wait_for(lambda line: line["v0"]["sent"] == 1)["v0"]["report"]
        burst(packets, frames.report("ff05::1:2"), 20_000)
        said = listener.wait_for(lambda line: line["v0"]["report"] - before >= 20_000)
        assert said["v0"]["report"] - before == 20_000
        assert said["v0"]["ring_dropped"] == 0


def test_an_overrun_is_counted_and_survived(cable: Cable) -> None:
    """A ring of two pages, and a reader that is stopped meanwhile."""
    with cable.peer.packet_socket("p0") as packets:
        listener = Listener(cable.host, "v0", "ff05::1:0+1", QUIET, '{"blocks": 2, "block_size": 4096}')
        with listener.frozen():
            burst(packets, frames.report("ff05::1:2"), 1000)
        said = listener.wait_for(lambda line: line["v0"]["ring_dropped"] > 900)
        assert said["v0"]["report"] + said["v0"]["ring_dropped"] >= 1000
        packets.send(frames.query(delay_ms=0))
        listener.wait_for(lambda line: line["v0"]["general_query"] == 1 and line["v0"]["sent_report"] == 2)


def test_a_host_that_was_frozen_answers_late_but_once(cable: Cable) -> None:
    with cable.peer.packet_socket("p0") as packets:
        listener = Listener(cable.host, "v0", "ff05::1:0+50", QUIET)
        listener.wait_for(lambda line: line["v0"]["sent"] == 50)
        packets.send(frames.query(delay_ms=500))
        listener.wait_for(lambda line: line["v0"]["general_query"] == 1)
        with listener.frozen():
            assert len(heard(packets, 1)) < 150
        said = listener.wait_for(lambda line: line["v0"]["timers"] == 0)
        assert said["v0"]["sent_report"] == 100
        assert said["v0"]["worst_lateness_ms"] > 100


def test_idle_is_asleep(cable: Cable) -> None:
    listener = Listener(cable.host, "v0", "ff05::1:0+10", QUIET)
    first = listener.wait_for(lambda line: line["v0"]["timers"] == 0)
    n = len(listener.lines)
    wait_for(lambda: listener.latest() and len(listener.lines) >= n + 20)
    # Twenty lines are two seconds.
    assert listener.lines[-1]["cpu_s"] - first["cpu_s"] < 1
