"""Capture files: pcap and pcapng in, as columns over one buffer; nanosecond pcap out."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmld.errors import FastMLDError

ETHERNET = 1
NANOSECONDS = 1_000_000_000

# 140 million years either side of 1970: the difference of two such times fits 64 bits of milliseconds.
LATEST_SECONDS = 2**52

PCAP_HEADER = "HHiIII"  # after the magic: version, zone, accuracy, snapshot length, link type
PCAP_MAGICS = {
    bytes.fromhex("d4c3b2a1"): ("<", 1000),
    bytes.fromhex("a1b2c3d4"): (">", 1000),
    bytes.fromhex("4d3cb2a1"): ("<", 1),
    bytes.fromhex("a1b23c4d"): (">", 1),
}
# The upper bits of the link type say whether a frame check sequence follows each frame: padding to us.
PCAP_LINK_TYPE = 0x03FF_FFFF

SECTION_HEADER, INTERFACE, OLD_PACKET, SIMPLE_PACKET, ENHANCED_PACKET = 0x0A0D0D0A, 1, 2, 3, 6
SECTION_MAGICS = {bytes.fromhex("4d3c2b1a"): "<", bytes.fromhex("1a2b3c4d"): ">"}
SHORTEST_BLOCK = {SECTION_HEADER: 28, INTERFACE: 20, OLD_PACKET: 32, SIMPLE_PACKET: 16, ENHANCED_PACKET: 32}
OPTION_END, OPTION_TIME_RESOLUTION, OPTION_TIME_OFFSET = 0, 9, 14


class CaptureError(FastMLDError, ValueError):
    """A capture that cannot be read from `offset` (octets from its start) on."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"byte {offset}: {reason}")
        self.offset = offset


@dataclass(frozen=True)
class Capture:
    """N frames of a capture, in file order, and what was wrong with the rest.

    buffer: uint8, the whole file. offsets (N,) int64, lengths (N,) uint32: frame i, as captured, is
    `buffer[offsets[i]:offsets[i] + lengths[i]]`. seconds (N,) int64 since 1970, nanoseconds (N,) int64 in
    0..999_999_999, floored: pcapng can say times that no 64 bits of nanoseconds hold. error: None, or where
    and why reading ended early.
    """

    buffer: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.uint32]
    seconds: NDArray[np.int64]
    nanoseconds: NDArray[np.int64]
    error: CaptureError | None = None

    def __len__(self) -> int:
        return len(self.offsets)

    def time_ns(self, frame: int) -> int:
        """Nanoseconds from 1970 to one frame."""
        return int(self.seconds[frame]) * NANOSECONDS + int(self.nanoseconds[frame])

    def times_ms(self, epoch_ns: int) -> NDArray[np.int64]:
        """(N,) milliseconds from `epoch_ns` (nanoseconds since 1970) to each frame, floored."""
        epoch, fraction = divmod(epoch_ns, NANOSECONDS)
        return (self.seconds - epoch) * 1000 + (self.nanoseconds - fraction) // 1_000_000


def read_capture(path: str) -> Capture:
    """The capture at `path`; `-` is standard input. What is wrong with it (or no such file) is its error."""
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        return _capture(b"", CaptureError(0, error.strerror or str(error)))
    return parse_capture(data)


def parse_capture(data: bytes) -> Capture:
    """The capture that `data` holds. Raises nothing: what is wrong with it is its error."""
    if data[:4] in PCAP_MAGICS:
        return _parse_pcap(data)
    if data[:4] == SECTION_HEADER.to_bytes(4, "big"):
        return _parse_pcapng(data)
    return _capture(data, CaptureError(0, "neither pcap nor pcapng"))


def _capture(
    data: bytes,
    error: CaptureError | None,
    offsets: ArrayLike = (),
    lengths: ArrayLike = (),
    seconds: ArrayLike = (),
    nanoseconds: ArrayLike = (),
) -> Capture:
    return Capture(
        np.frombuffer(data, np.uint8),
        np.asarray(offsets, np.int64),
        np.asarray(lengths, np.uint32),
        np.asarray(seconds, np.int64),
        np.asarray(nanoseconds, np.int64),
        error,
    )


EMPTY = _capture(b"", None)


def _parse_pcap(data: bytes) -> Capture:
    order, unit_ns = PCAP_MAGICS[data[:4]]
    if len(data) < 24:
        return _capture(data, CaptureError(0, "the header is cut off"))
    version, *_, link_type = struct.unpack_from(order + PCAP_HEADER, data, 4)
    if version != 2:
        return _capture(data, CaptureError(4, f"pcap version {version}"))
    if link_type & PCAP_LINK_TYPE != ETHERNET:
        return _capture(data, CaptureError(20, f"link type {link_type}, not Ethernet"))

    records = array("q")
    captured_length = struct.Struct(order + "I").unpack_from
    record, size = 24, len(data)
    while record + 16 <= size:
        following = record + 16 + captured_length(data, record + 8)[0]
        if following > size:
            break
        records.append(record)
        record = following
    error = None if record == size else CaptureError(record, "the packet is cut off")

    starts = np.array(records, np.int64)
    if not len(starts):
        return _capture(data, error)
    headers = _windows(np.frombuffer(data, np.uint8), 16)[starts].view(order + "u4").astype(np.int64)
    carry, nanoseconds = np.divmod(headers[:, 1] * unit_ns, NANOSECONDS)
    return _capture(data, error, starts + 16, headers[:, 2], headers[:, 0] + carry, nanoseconds)


_WORD = {order: struct.Struct(order + "I").unpack_from for order in "<>"}
_TWO_WORDS = {order: struct.Struct(order + "II").unpack_from for order in "<>"}
_ENHANCED = {order: struct.Struct(order + "IIII").unpack_from for order in "<>"}
_OLD = {order: struct.Struct(order + "HxxIII").unpack_from for order in "<>"}


def _parse_pcapng(data: bytes) -> Capture:
    offsets, lengths, seconds, nanoseconds = array("q"), array("I"), array("q"), array("q")
    untimed: list[int] = []
    interfaces: list[_Interface] = []
    error = None
    try:
        for order, kind, block, length in _blocks(data):
            if kind == ENHANCED_PACKET:
                number, high, low, captured = _ENHANCED[order](data, block + 8)
            elif kind == OLD_PACKET:
                number, high, low, captured = _OLD[order](data, block + 8)
            elif kind == SIMPLE_PACKET:
                number, high, low, captured = 0, 0, 0, _WORD[order](data, block + 8)[0]
            else:
                if kind == SECTION_HEADER:
                    interfaces = []
                elif kind == INTERFACE:
                    interfaces.append(_interface(data, order, block, length))
                continue
            if number >= len(interfaces):
                raise CaptureError(block, f"a packet of interface {number}, which was never described")
            snapshot_length, units, offset_seconds = interfaces[number]
            second, fraction = divmod(high << 32 | low, units)
            second += offset_seconds
            if not -LATEST_SECONDS <= second <= LATEST_SECONDS:
                raise CaptureError(block, f"a packet {second} seconds after 1970")
            frame = block + 28
            if kind == SIMPLE_PACKET:
                frame = block + 12
                captured = min(captured, snapshot_length or captured)
            if frame + captured > block + length - 4:
                raise CaptureError(block, f"a packet of {captured} octets in a block of {length}")
            if kind == SIMPLE_PACKET:
                untimed.append(len(offsets))
            offsets.append(frame)
            lengths.append(captured)
            seconds.append(second)
            nanoseconds.append(fraction * NANOSECONDS // units)
    except CaptureError as stopped:
        error = stopped
    if not untimed:
        return _capture(data, error, offsets, lengths, seconds, nanoseconds)
    # A packet without a time has that of the one before it or, at the start, of the first that has one.
    timed = np.ones(len(offsets), bool)
    timed[untimed] = False
    source = np.maximum.accumulate(np.where(timed, np.arange(len(timed)), np.argmax(timed)))
    return _capture(data, error, offsets, lengths, np.array(seconds)[source], np.array(nanoseconds)[source])


def _blocks(data: bytes) -> Iterator[tuple[str, int, int, int]]:
    """(byte order, type, offset, length) of each block."""
    order, block, size = "<", 0, len(data)
    while block < size:
        if size - block < 12:
            raise CaptureError(block, "the block is cut off")
        kind, length = _TWO_WORDS[order](data, block)
        if kind == SECTION_HEADER:
            magic = data[block + 8 : block + 12]
            if magic not in SECTION_MAGICS:
                raise CaptureError(block, f"a section of byte order {magic.hex()}")
            order = SECTION_MAGICS[magic]
            length = _TWO_WORDS[order](data, block)[1]
        if length < SHORTEST_BLOCK.get(kind, 12) or length % 4:
            raise CaptureError(block, f"a block of {length} octets")
        if length > size - block:
            raise CaptureError(block, "the block is cut off")
        if _WORD[order](data, block + length - 4)[0] != length:
            raise CaptureError(block, "the block's two lengths differ")
        if kind == SECTION_HEADER and (version := struct.unpack_from(order + "H", data, block + 12)[0]) != 1:
            raise CaptureError(block, f"pcapng version {version}")
        yield order, kind, block, length
        block += length


class _Interface(NamedTuple):
    snapshot_length: int
    units: int  # of time, in a second
    offset_seconds: int


def _interface(data: bytes, order: str, block: int, length: int) -> _Interface:
    link_type, _, snapshot_length = struct.unpack_from(order + "HHI", data, block + 8)
    if link_type != ETHERNET:
        raise CaptureError(block, f"an interface of link type {link_type}, not Ethernet")
    units, offset_seconds = 1_000_000, 0
    option, end = block + 16, block + length - 4
    while option + 4 <= end:
        code, octets = struct.unpack_from(order + "HH", data, option)
        value = data[option + 4 : option + 4 + octets]
        if code == OPTION_END:
            break
        if option + 4 + octets > end:
            raise CaptureError(block, "an option runs past its block")
        if code == OPTION_TIME_RESOLUTION:
            if octets != 1:
                raise CaptureError(block, f"a time resolution of {octets} octets")
            units = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
        elif code == OPTION_TIME_OFFSET:
            if octets != 8:
                raise CaptureError(block, f"a time offset of {octets} octets")
            offset_seconds = struct.unpack(order + "q", value)[0]
        option += 4 + octets + -octets % 4
    return _Interface(snapshot_length, units, offset_seconds)


def begin_pcap(file: BinaryIO) -> None:
    """Write the header of a nanosecond pcap of Ethernet frames: little-endian, on every machine."""
    file.write(struct.pack("<I" + PCAP_HEADER, 0xA1B23C4D, 2, 4, 0, 0, 0x40000, ETHERNET))


def append_pcap(
    file: BinaryIO,
    buffer: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    lengths: NDArray[np.uint32],
    seconds: NDArray[np.int64],
    nanoseconds: NDArray[np.int64],
) -> None:
    """Write N frames, columns as in `Capture`. ValueError: a time before 1970 or after 2106."""
    if not len(offsets):
        return
    if seconds.min() < 0 or seconds.max() >= 2**32:
        raise ValueError("pcap holds no time before 1970 or after 2106")
    headers = np.empty((len(offsets), 4), "<u4")
    headers[:, 0], headers[:, 1], headers[:, 2], headers[:, 3] = seconds, nanoseconds, lengths, lengths
    ends = np.cumsum(lengths + np.int64(16))
    starts = ends - lengths - 16
    records = np.empty(ends[-1], np.uint8)
    _windows(records, 16)[starts] = headers.view(np.uint8)
    # Frames of one length move together; what the engine sends has few lengths.
    for length in set(lengths.tolist()):
        rows = np.flatnonzero(lengths == length)
        _windows(records, length)[starts[rows] + 16] = _windows(buffer, length)[offsets[rows]]
    file.write(records.data)


def _windows(buffer: NDArray[np.uint8], length: int) -> NDArray[np.uint8]:
    """(len(buffer) - length + 1, length): every run of `length` octets, not copied."""
    return np.ndarray((len(buffer) - length + 1, length), np.uint8, buffer, strides=(1, 1))
