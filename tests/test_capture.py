"""Capture files: scapy and dpkt write, we read; we write, they read; the rest is built octet by octet."""

import io
import struct
from fractions import Fraction
from pathlib import Path

import dpkt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgWriter, RawPcapNgReader, RawPcapReader, wrpcap

from fastmld.errors import FastMLDError
from fastmld.links.capture import (
    EMPTY,
    Capture,
    CaptureError,
    append_pcap,
    begin_pcap,
    parse_capture,
    read_capture,
)

FRAMES = [bytes(range(60)), b"\xff" * 86, b"", bytes(1514), b"abc"]
NS = 1_000_000_000

orders = pytest.mark.parametrize("order", ["<", ">"])


def frames_of(capture: Capture) -> list[bytes]:
    return [
        capture.buffer[offset : offset + length].tobytes()
        for offset, length in zip(capture.offsets.tolist(), capture.lengths.tolist(), strict=True)
    ]


def times_of(capture: Capture) -> list[int]:
    """Nanoseconds since 1970."""
    return [capture.time_ns(frame) for frame in range(len(capture))]


def pcap(order: str, magic: int, records: list[tuple[int, int, bytes]], link_type: int = 1) -> bytes:
    header = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link_type)
    return header + b"".join(
        struct.pack(order + "IIII", seconds, fraction, len(frame), len(frame) + 7) + frame
        for seconds, fraction, frame in records
    )


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def interface(
    order: str,
    *,
    resolution: int | None = None,
    offset: int | None = None,
    snaplen: int = 0,
    link_type: int = 1,
) -> bytes:
    options = option(order, 2, b"eth0")
    if resolution is not None:
        options += option(order, 9, bytes([resolution]))
    if offset is not None:
        options += option(order, 14, struct.pack(order + "q", offset))
    return block(order, 1, struct.pack(order + "HHI", link_type, 0, snaplen) + options + option(order, 0, b""))


def enhanced(order: str, frame: bytes, ticks: int = 0, number: int = 0) -> bytes:
    fields = struct.pack(order + "5I", number, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame) + 7)
    return block(order, 6, fields + frame + bytes(-len(frame) % 4) + option(order, 1, b"a comment"))


def old_packet(order: str, frame: bytes, ticks: int = 0, number: int = 0) -> bytes:
    fields = struct.pack(order + "HH4I", number, 3, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame) + 7)
    return block(order, 2, fields + frame)


def simple(order: str, frame: bytes, original_length: int | None = None) -> bytes:
    length = len(frame) if original_length is None else original_length
    return block(order, 3, struct.pack(order + "I", length) + frame)


# Reading pcap


@orders
@pytest.mark.parametrize(("magic", "unit_ns"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_pcap_in_either_order_and_resolution(order: str, magic: int, unit_ns: int) -> None:
    data = pcap(order, magic, [(1_700_000_000 + i, 999_999 - i, frame) for i, frame in enumerate(FRAMES)])
    capture = parse_capture(data)
    assert capture.error is None
    assert frames_of(capture) == FRAMES
    assert times_of(capture) == [(1_700_000_000 + i) * NS + (999_999 - i) * unit_ns for i in range(len(FRAMES))]
    assert [frame for frame, _ in RawPcapReader(io.BytesIO(data))] == FRAMES


def test_frames_are_not_copied() -> None:
    data = pcap("<", 0xA1B2C3D4, [(0, 0, frame) for frame in FRAMES])
    capture = parse_capture(data)
    assert np.shares_memory(capture.buffer, np.frombuffer(data, np.uint8))
    assert (capture.offsets.dtype, capture.lengths.dtype) == (np.int64, np.uint32)


def test_pcap_times_at_the_edges() -> None:
    capture = parse_capture(pcap("<", 0xA1B2C3D4, [(2**32 - 1, 2**32 - 1, b""), (0, 0, b"")]))
    assert times_of(capture) == [(2**32 - 1) * NS + (2**32 - 1) * 1000, 0]
    assert capture.nanoseconds.max() < NS


def test_frame_check_sequence_bits_of_the_link_type() -> None:
    assert parse_capture(pcap("<", 0xA1B2C3D4, [(0, 0, b"a")], link_type=0x24000001)).error is None


@pytest.mark.parametrize("nano", [False, True])
@orders
def test_scapy_writes_pcap(tmp_path: Path, nano: bool, order: str) -> None:
    packets = [Ether(frame) for frame in FRAMES if len(frame) >= 14]
    for i, packet in enumerate(packets):
        packet.time = 1_700_000_000 + i
    wrpcap(str(tmp_path / "a.pcap"), packets, nano=nano, endianness=order)
    capture = read_capture(str(tmp_path / "a.pcap"))
    assert frames_of(capture) == [bytes(packet) for packet in packets]
    assert times_of(capture) == [(1_700_000_000 + i) * NS for i in range(len(packets))]


@pytest.mark.parametrize("nano", [False, True])
def test_dpkt_writes_pcap(nano: bool) -> None:
    file = io.BytesIO()
    writer = dpkt.pcap.Writer(file, nano=nano)
    for frame in FRAMES:
        writer.writepkt(frame, ts=1_700_000_000.5)
    assert frames_of(parse_capture(file.getvalue())) == FRAMES
    assert times_of(parse_capture(file.getvalue())) == [1_700_000_000 * NS + NS // 2] * len(FRAMES)


# Reading pcapng


def test_scapy_writes_pcapng(tmp_path: Path) -> None:
    packets = [Ether(frame) for frame in FRAMES if len(frame) >= 14]
    for packet in packets:
        packet.time = 1_700_000_000.25
    with PcapNgWriter(str(tmp_path / "a.pcapng")) as writer:
        writer.write(packets)
    capture = read_capture(str(tmp_path / "a.pcapng"))
    assert capture.error is None
    assert frames_of(capture) == [bytes(packet) for packet in packets]
    assert times_of(capture) == [1_700_000_000 * NS + NS // 4] * len(packets)


def test_dpkt_writes_pcapng() -> None:
    file = io.BytesIO()
    writer = dpkt.pcapng.Writer(file)
    for frame in FRAMES:
        writer.writepkt(frame, ts=1_700_000_000.5)
    capture = parse_capture(file.getvalue())
    assert capture.error is None
    assert frames_of(capture) == FRAMES
    assert times_of(capture) == [1_700_000_000 * NS + NS // 2] * len(FRAMES)


@orders
def test_every_packet_block(order: str) -> None:
    data = section(order) + interface(order, snaplen=9000) + block(order, 4, b"names")
    data += enhanced(order, FRAMES[0], 1_500_000) + old_packet(order, FRAMES[1], 2_500_000)
    data += block(order, 5, bytes(12)) + simple(order, FRAMES[0])
    data += block(order, 0x40000BAD, b"custom") + enhanced(order, b"", 1_000_000) + simple(order, b"")
    capture = parse_capture(data)
    assert capture.error is None
    assert frames_of(capture) == [FRAMES[0], FRAMES[1], FRAMES[0], b"", b""]
    assert times_of(capture) == [NS * 3 // 2, NS * 5 // 2, NS * 5 // 2, NS, NS], "a simple packet has no time"
    assert [frame for frame, _ in RawPcapNgReader(io.BytesIO(data))][:3] == [FRAMES[0], FRAMES[1], FRAMES[0]]


def test_simple_packets_before_the_first_time() -> None:
    data = section("<") + interface("<") + simple("<", b"a") + simple("<", b"b")
    assert times_of(parse_capture(data)) == [0, 0]
    assert times_of(parse_capture(data + enhanced("<", b"c", 7_000_000))) == [7 * NS] * 3


def test_simple_packets_are_cut_to_the_snapshot_length() -> None:
    data = section("<") + interface("<", snaplen=5) + simple("<", b"12345", original_length=900)
    assert frames_of(parse_capture(data)) == [b"12345"]


@orders
@pytest.mark.parametrize("resolution", [None, 0, 3, 6, 9, 12, 19, 30, 0x80, 0x81, 0x8A, 0x94, 0xA0, 0xBF, 0xFF])
@pytest.mark.parametrize("offset", [None, 0, 1_700_000_000, -(10**6), -(2**40)])
def test_time_resolutions_and_offsets(order: str, resolution: int | None, offset: int | None) -> None:
    unit = Fraction(1, 10**6)
    if resolution is not None:
        unit = Fraction(1, 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution)
    ticks = [0, 1, 999, 1_000_001, 2**32 - 1, 2**32, 2**51]
    data = section(order) + interface(order, resolution=resolution, offset=offset)
    capture = parse_capture(data + b"".join(enhanced(order, b"", tick) for tick in ticks))
    assert times_of(capture) == [(tick * unit + (offset or 0)) * NS // 1 for tick in ticks]


def test_a_default_time_may_use_all_its_bits() -> None:
    capture = parse_capture(section("<") + interface("<") + enhanced("<", b"", 2**64 - 1))
    assert times_of(capture) == [(2**64 - 1) * 1000]
    assert capture.times_ms(0).tolist() == [(2**64 - 1) // 1000]


def test_sections_and_interfaces() -> None:
    little = section("<") + interface("<") + interface("<", resolution=9)
    little += enhanced("<", b"a", NS, number=1) + enhanced("<", b"b", 1_000_000, number=0)
    little += interface("<", resolution=0, offset=100) + enhanced("<", b"c", 1, number=2)
    big = section(">") + interface(">", resolution=3) + enhanced(">", b"d", 1000)
    capture = parse_capture(little + big + little)
    assert capture.error is None
    assert frames_of(capture) == [b"a", b"b", b"c", b"d", b"a", b"b", b"c"]
    assert times_of(capture) == [NS, NS, 101 * NS, NS, NS, NS, 101 * NS]


# What is wrong


@orders
def test_every_truncation_of_a_pcap(order: str) -> None:
    frames = [b"one", b"", bytes(40)]
    data = pcap(order, 0xA1B23C4D, [(i, 0, frame) for i, frame in enumerate(frames)])
    starts = [24, 24 + 19, 24 + 19 + 16, len(data)]
    for end in range(len(data)):
        capture = parse_capture(data[:end])
        whole = sum(start <= end for start in starts[1:])
        assert frames_of(capture) == frames[:whole]
        if end in starts:
            assert capture.error is None
        else:
            assert capture.error is not None
            assert capture.error.offset == (starts[whole] if end > 24 else 0)


@orders
def test_every_truncation_of_a_pcapng(order: str) -> None:
    blocks = [
        section(order),
        interface(order),
        enhanced(order, b"one"),
        simple(order, b"two"),
        section(order),
    ]
    blocks += [interface(order), block(order, 77, bytes(8)), old_packet(order, b"three")]
    edges = np.cumsum([0, *map(len, blocks)]).tolist()
    carried = {2: b"one", 3: b"two", 7: b"three"}
    for end in range(edges[-1]):
        capture = parse_capture(b"".join(blocks)[:end])
        whole = sum(edge <= end for edge in edges) - 1
        assert frames_of(capture) == [frame for i, frame in carried.items() if i < whole]
        if end and end in edges:
            assert capture.error is None
        else:
            assert capture.error is not None
            assert capture.error.offset == edges[whole]


HEAD = section("<") + interface("<") + enhanced("<", b"good")
WRONG_AFTER_HEAD = {
    "interface that is not there": enhanced("<", b"", number=1),
    "interface of the section before": section("<") + enhanced("<", b""),
    "simple packet without an interface": section("<") + simple("<", b""),
    "not Ethernet": interface("<", link_type=113),
    "packet longer than its block": block("<", 6, struct.pack("<5I", 0, 0, 0, 5, 5) + bytes(4)),
    "old packet longer than its block": block("<", 2, struct.pack("<HH4I", 0, 0, 0, 0, 5, 5) + bytes(4)),
    "simple packet longer than its block": simple("<", b"", original_length=1),
    "packet length of 32 bits": block("<", 6, struct.pack("<5I", 0, 0, 0, 2**32 - 1, 5)),
    "block too short for a packet": block("<", 6, bytes(16)),
    "block length 0": struct.pack("<III", 6, 0, 0),
    "block length no multiple of 4": struct.pack("<II", 77, 14) + bytes(2) + struct.pack("<I", 14),
    "two lengths": block("<", 77, b"")[:-4] + struct.pack("<I", 16),
    "byte order": block("<", 0x0A0D0D0A, bytes(16)),
    "version 2": block("<", 0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 2, 0, -1)),
    "option past the block": block("<", 1, struct.pack("<HHIHH", 1, 0, 0, 9, 1)),
    "time resolution of 2 octets": block("<", 1, struct.pack("<HHI", 1, 0, 0) + option("<", 9, b"\6\6")),
    "time offset of 4 octets": block("<", 1, struct.pack("<HHI", 1, 0, 0) + option("<", 14, bytes(4))),
}


@pytest.mark.parametrize("wrong", WRONG_AFTER_HEAD.values(), ids=WRONG_AFTER_HEAD)
def test_what_came_before_a_bad_block_is_kept(wrong: bytes) -> None:
    capture = parse_capture(HEAD + wrong + enhanced("<", b"never seen"))
    assert frames_of(capture) == [b"good"]
    assert capture.error is not None
    new_section = len(section("<")) if wrong.startswith(section("<")) else 0
    assert capture.error.offset == len(HEAD) + new_section
    assert f"byte {len(HEAD) + new_section}: " in str(capture.error)


def test_a_time_that_nothing_holds() -> None:
    data = HEAD + interface("<", resolution=0)
    capture = parse_capture(data + enhanced("<", b"", 2**63, number=1))
    assert frames_of(capture) == [b"good"]
    assert capture.error is not None and capture.error.offset == len(data)


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"", 0),
        (b"\xd4\xc3", 0),
        (b"not a capture at all", 0),
        (b"\x1f\x8b" + bytes(40), 0),
        (struct.pack("<IHHiIII", 0xA1B2C3D4, 3, 0, 0, 0, 65535, 1), 4),
        (pcap("<", 0xA1B2C3D4, [(0, 0, b"a")], link_type=113), 20),
        (pcap(">", 0xA1B2C3D4, [(0, 0, b"a")], link_type=0), 20),
    ],
)
def test_no_capture_of_ours(data: bytes, offset: int) -> None:
    capture = parse_capture(data)
    assert len(capture) == 0
    assert isinstance(capture.error, CaptureError | FastMLDError)
    assert capture.error.offset == offset


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    capture = read_capture(str(tmp_path / "nothing"))
    assert len(capture) == 0
    assert "No such file" in str(capture.error)
    assert len(EMPTY) == 0 and EMPTY.error is None


@given(st.binary(max_size=200), st.sampled_from([b"", HEAD, HEAD[:28], pcap("<", 0xA1B2C3D4, [])]))
def test_no_octets_raise_anything(tail: bytes, head: bytes) -> None:
    capture = parse_capture(head + tail)
    assert (capture.offsets + capture.lengths <= len(head + tail)).all()


# Times


@given(
    st.integers(0, 2**52 * NS),
    st.integers(-(2**52) * NS, 2**52 * NS),
    st.integers(0, 10**7),
    st.integers(0, 10**7),
)
def test_times_are_floored_to_the_millisecond(time: int, epoch: int, near: int, fraction: int) -> None:
    for at, zero in [(time, epoch), (epoch + near, epoch), (epoch - near, epoch + fraction)]:
        seconds, nanoseconds = (np.array([part]) for part in divmod(at, NS))
        none = np.zeros(1, np.int64)
        capture = Capture(np.zeros(0, np.uint8), none, none.astype(np.uint32), seconds, nanoseconds)
        assert capture.times_ms(zero).tolist() == [(at - zero) // 1_000_000]


# Writing


def written(frames: list[bytes], times_ns: list[int], pieces: int = 1) -> bytes:
    file = io.BytesIO()
    begin_pcap(file)
    buffer = np.frombuffer(b"garbage" + b"".join(frames), np.uint8)
    lengths = np.array([len(frame) for frame in frames], np.uint32)
    offsets = 7 + np.cumsum(lengths, dtype=np.int64) - lengths
    seconds, nanoseconds = np.divmod(np.array(times_ns, np.int64), NS)
    for rows in np.array_split(np.arange(len(frames)), pieces):
        append_pcap(file, buffer, offsets[rows], lengths[rows], seconds[rows], nanoseconds[rows])
    return file.getvalue()


@pytest.mark.parametrize("pieces", [1, 2, 9])
def test_scapy_and_dpkt_read_what_we_write(pieces: int) -> None:
    frames = [frame for frame in FRAMES * 3 if frame]
    times_ns = [1_700_000_000 * NS + i for i in range(len(frames) - 1)] + [(2**32 - 1) * NS + NS - 1]
    data = written(frames, times_ns, pieces)
    with RawPcapReader(io.BytesIO(data)) as reader:
        assert reader.linktype == 1 and reader.nano
        read = [(frame, meta.sec * NS + meta.usec, meta.wirelen) for frame, meta in reader]
    assert read == [(frame, time, len(frame)) for frame, time in zip(frames, times_ns, strict=True)]
    reader = dpkt.pcap.Reader(io.BytesIO(data))
    assert reader.datalink() == dpkt.pcap.DLT_EN10MB
    assert [frame for _, frame in reader] == frames


def test_we_read_what_we_write() -> None:
    times_ns = [i * 7 * NS + 123_456_789 for i in range(len(FRAMES))]
    capture = parse_capture(written(FRAMES, times_ns))
    assert capture.error is None
    assert (frames_of(capture), times_of(capture)) == (FRAMES, times_ns)


def test_nothing_written_is_a_capture_too() -> None:
    capture = parse_capture(written([], []))
    assert len(capture) == 0 and capture.error is None


@pytest.mark.parametrize("time_ns", [-1, 2**32 * NS])
def test_pcap_cannot_say_every_time(time_ns: int) -> None:
    with pytest.raises(ValueError, match="1970"):
        written([b"a"], [time_ns])
