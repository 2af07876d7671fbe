"""The walk over TPACKET_V3 blocks and the send loop, without a packet socket: blocks are laid out by hand."""

import errno
import socket
import struct

import numpy as np
import pytest

from fastmld._native import ffi, lib
from fastmld.batch import FrameBatch
from fastmld.links.packet_ring import _part

BLOCK = 4096
HEADER = struct.Struct("=IIIIIIHHIIHH8x")  # linux/if_packet.h, struct tpacket3_hdr
USER, VLAN_VALID = 1, 1 << 4
FIRST, MAC = 48, 82
SLOT = 176  # of a frame of 86 octets, aligned to 16

pytestmark = pytest.mark.skipif(HEADER.size != 48, reason="laid out for this kernel interface")


def frame_header(next_offset: int = SLOT, length: int = 86, status: int = 0, mac: int = MAC) -> bytes:
    return HEADER.pack(next_offset, 0, 0, length, length, status, mac, 0, 0, 0, 0, 0)


def block(*headers: bytes, status: int = USER, frames: int | None = None, first: int = FIRST) -> bytearray:
    """A block whose frames lie SLOT octets apart, each filled with its number."""
    octets = bytearray(BLOCK)
    struct.pack_into("=IIIIIIQ", octets, 0, 1, 0, status, len(headers) if frames is None else frames, first, 0, 0)
    for n, header in enumerate(headers):
        at = FIRST + n * SLOT
        octets[at : at + len(header)] = header
        octets[at + MAC : at + MAC + 86] = bytes([n + 1]) * 86
    return octets


class Walk:
    """One call, on a ring of these blocks."""

    def __init__(self, *blocks: bytearray, first: int = 0, most: int = 99, room: int = 1000) -> None:
        self.ring = np.frombuffer(bytearray(b"".join(blocks)), np.uint8)
        self.n_blocks = len(blocks)
        offsets, lengths = np.full(room + 1, -7, np.int64), np.full(room + 1, 7, np.uint32)
        self.found = ffi.new("fastmld_walked *")
        lib.fastmld_ring_walk(
            ffi.from_buffer("uint8_t[]", self.ring), BLOCK, self.n_blocks, first, most, room,
            ffi.from_buffer("int64_t[]", offsets), ffi.from_buffer("uint32_t[]", lengths), self.found,
        )  # fmt: skip
        n = self.found.frames
        assert n <= room
        assert (offsets[n:] == -7).all() and (lengths[n:] == 7).all()
        self.offsets, self.lengths = offsets[:n].tolist(), lengths[:n].tolist()

    def statuses(self) -> list[int]:
        return [int(self.ring[n * BLOCK + 8 : n * BLOCK + 12].view(np.uint32)[0]) for n in range(self.n_blocks)]


def test_frames_of_a_block() -> None:
    walk = Walk(block(frame_header(), frame_header(), frame_header(0)))
    assert walk.offsets == [FIRST + MAC + n * SLOT for n in range(3)]
    assert walk.lengths == [86] * 3
    assert [int(walk.ring[offset]) for offset in walk.offsets] == [1, 2, 3]
    assert (walk.found.blocks, walk.found.tagged, walk.found.bad_blocks) == (1, 0, 0)


def test_blocks_follow_each_other_round_the_ring() -> None:
    whole = [block(frame_header(0)) for _ in range(4)]
    whole[1] = block(frame_header(0), status=0)
    walk = Walk(*whole, first=2)
    assert walk.found.blocks == 3
    assert [offset // BLOCK for offset in walk.offsets] == [2, 3, 0]
    lib.fastmld_ring_release(ffi.from_buffer("uint8_t[]", walk.ring), BLOCK, 4, 2, 3)
    assert walk.statuses() == [0, 0, 0, 0]
    assert Walk(*whole, first=2, most=2).found.blocks == 2
    assert Walk(*whole, first=1).found.blocks == 0


def test_a_ring_that_is_all_ours_is_walked_once() -> None:
    assert Walk(*[block(frame_header(0))] * 3, first=1).found.blocks == 3


@pytest.mark.parametrize("ethertype", [0x8100, 0x88A8])
def test_tagged_frames_are_counted_and_left_out(ethertype: int) -> None:
    octets = block(frame_header(status=VLAN_VALID), frame_header(), frame_header(0))
    inner = FIRST + SLOT + MAC + 12
    octets[inner : inner + 2] = ethertype.to_bytes(2)
    walk = Walk(octets)
    assert walk.found.tagged == 2
    assert walk.offsets == [FIRST + 2 * SLOT + MAC]


@pytest.mark.parametrize(
    ("bad", "before"),
    [
        (block(frame_header(0), first=0), 0),
        (block(frame_header(0), first=BLOCK - 47), 0),
        (block(frame_header(0), first=0xFFFFFFFF), 0),
        (block(frame_header(), frame_header(length=BLOCK)), 1),
        (block(frame_header(), frame_header(length=0xFFFFFFFF)), 1),
        (block(frame_header(), frame_header(mac=0xFFFF)), 1),
        (block(frame_header(), frame_header(mac=47)), 1),
        (block(frame_header(), frame_header(0), frames=3), 2),
        (block(frame_header(), frame_header(47), frames=3), 2),
        (block(frame_header(), frame_header(0xFFFFFFFF), frames=3), 2),
        (block(frame_header(), frame_header(BLOCK), frames=0xFFFFFFFF), 2),
    ],
)
def test_a_block_that_points_outside_itself_ends_there(bad: bytearray, before: int) -> None:
    walk = Walk(bad, block(frame_header(0)))
    assert walk.found.bad_blocks == 1
    assert walk.found.blocks == 2
    assert len(walk.offsets) == before + 1


def test_a_frame_may_end_where_its_block_ends() -> None:
    longest = BLOCK - FIRST - MAC
    assert Walk(block(frame_header(0, longest))).lengths == [longest]
    assert Walk(block(frame_header(0, longest + 1))).found.bad_blocks == 1


def test_no_more_than_there_is_room_for() -> None:
    walk = Walk(block(frame_header(), frame_header(), frame_header(0)), room=2)
    assert len(walk.offsets) == 2
    assert walk.found.bad_blocks == 1


def send(out: socket.socket, frames: list[bytes], first: int = 0) -> tuple[int, int]:
    buffer = np.frombuffer(b"".join(frames), np.uint8)
    lengths = np.array([len(frame) for frame in frames], np.uint32)
    offsets = np.cumsum(lengths, dtype=np.int64) - lengths
    error = ffi.new("int *", 99)
    sent = lib.fastmld_send(
        out.fileno(), ffi.from_buffer("uint8_t[]", buffer), ffi.from_buffer("int64_t[]", offsets[first:].copy()),
        ffi.from_buffer("uint32_t[]", lengths[first:].copy()), len(frames) - first, error,
    )  # fmt: skip
    return sent, error[0]


def test_a_full_socket_takes_some_and_the_rest_later() -> None:
    """More than one sendmmsg, each frame once and in order, whatever part of them the socket takes."""
    frames = [f"{n:03}".encode() * (1 + n % 5) for n in range(300)]
    out, into = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with out, into:
        into.setblocking(False)
        received: list[bytes] = []
        sent = refusals = 0
        while sent < len(frames):
            taken, error = send(out, frames, sent)
            sent += taken
            refusals += error == errno.EAGAIN
            assert error in (0, errno.EAGAIN)
            received += [into.recv(100) for _ in range(taken)]
        assert received == frames
        assert refusals


@pytest.mark.parametrize("interfaces", [3, [3, 3, 4]])
def test_the_rest_of_a_batch_has_pointers_too(interfaces: int | list[int]) -> None:
    rest = _part(FrameBatch.from_list([b"a", b"bc", b"def"], interfaces), slice(1, None))
    _, offsets, lengths, ports = rest.pinned
    assert (offsets[0], offsets[1], lengths[1], ports[0]) == (1, 3, 3, 3)
    assert list(rest) == [b"bc", b"def"]


def test_the_frame_that_is_refused_is_known() -> None:
    out, into = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with out, into:
        out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 5000)
        assert send(out, [b"a", b"b", b"c" * 100_000, b"d"]) == (2, errno.EMSGSIZE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as alone:
        assert send(alone, [b"a"]) == (0, errno.ENOTCONN)
        assert send(alone, []) == (0, 0)
