"""An interface of this machine: a TPACKET_V3 ring in, sendmmsg out. Linux 4.20 or later, CAP_NET_RAW.

The ring gets a copy of every frame that comes in and passes the filter, before the kernel's own stack sees
it. The kernel fills blocks; a block is ours when it is full or has waited for retire_ms, and goes back in
`release`.
"""

from __future__ import annotations

import errno
import mmap
import socket
import struct
from collections import deque
from contextlib import suppress
from typing import Final

import numpy as np

from fastmld._native import ffi, lib, pin
from fastmld.batch import FrameBatch
from fastmld.links import MAX_WAITING, LinkRefused, NoSuchInterface
from fastmld.links.mld_filter import mld_filter

# linux/if_packet.h, linux/socket.h
_SOL_PACKET, _SO_ATTACH_FILTER = 263, 26
_ADD_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION, _IGNORE_OUTGOING = 1, 5, 6, 10, 23
_TPACKET_V3, _ALLMULTI, _ETH_P_ALL = 2, 2, 3
_SMALLEST_SLOT = 48  # octets that the kernel's header of a frame takes
_SLOT = 2048  # no limit for a frame in version 3: only the kernel's arithmetic wants it

_FULL: Final = frozenset((errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM))
_SHUT: Final = frozenset((errno.ENETDOWN, errno.ENXIO, errno.ENODEV))
_LONGEST_RETRY_MS = 64

_GRANT = (
    "packet sockets need CAP_NET_RAW: run as root, or grant it with "
    "`setpriv --inh-caps +net_raw --ambient-caps +net_raw` or systemd's AmbientCapabilities=CAP_NET_RAW"
)


class PacketRing:
    """A Link over AF_PACKET.

    name: of the interface. blocks, block_size (octets, a multiple of the page size), retire_ms: the ring's
    geometry. A frame of 86 octets takes 168 of a block, and each tick of retire_ms takes a block that holds any: many
    small blocks outlast a long stall. max_waiting: frames that are kept while the socket takes none. Raises
    NoSuchInterface, and LinkRefused where the kernel refuses.
    """

    def __init__(
        self,
        name: str,
        interface: int = 0,
        *,
        blocks: int = 256,
        block_size: int = 16 << 10,
        retire_ms: int = 2,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self.name = name
        self.interface = interface
        self._blocks, self._block_size, self._block = blocks, block_size, 0
        self._kept: deque[FrameBatch] = deque()
        self._waiting = 0
        self._max_waiting = max_waiting
        self._retry_at_ms: int | None = None
        self._retry_ms = 1
        self._taken = 0  # frames out of the ring
        self._counters = dict.fromkeys(
            (
                "ring_frames",
                "ring_dropped",
                "ring_unread",
                "bad_blocks",
                "other_vlan",
                "sent",
                "send_blocked",
                "send_dropped",
            ),
            0,
        )
        try:
            index = socket.if_nametoindex(name)
        except OSError:
            raise NoSuchInterface(f"there is no interface {name}") from None
        self._ring = self._out = None
        try:
            self._ring = _packet_socket()
            self._out = _packet_socket()
            self._map = _open_ring(self._ring, blocks, block_size, retire_ms)
            self._ring.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
            self._ring.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, struct.pack("iHH8x", index, _ALLMULTI, 0))
            self._out.bind((name, 0))
            self._ring.bind((name, _ETH_P_ALL))
        except PermissionError:
            self._close_sockets()
            raise LinkRefused(f"{name}: {_GRANT}") from None
        except OSError as error:
            self._close_sockets()
            if error.errno in _SHUT:
                raise NoSuchInterface(f"there is no interface {name}") from None
            raise LinkRefused(f"{name}: no ring of {blocks} x {block_size} octets: {error.strerror}") from error

        # A quarter of the ring at a time: the kernel goes on with the rest while this is worked on.
        self._most_blocks = max(1, blocks // 4)
        self._room = self._most_blocks * block_size // _SMALLEST_SLOT
        self._buffer = np.frombuffer(self._map, np.uint8)
        self._offsets = np.empty(self._room, np.int64)
        self._lengths = np.empty(self._room, np.uint32)
        self._interface_column = np.empty(1, np.uint32)
        self._pinned_ring = pin("uint8_t[]", self._buffer)
        self._pinned_columns = pin("int64_t[]", self._offsets), pin("uint32_t[]", self._lengths)
        self._pinned_interface = pin("uint32_t[]", self._interface_column)
        self._walked = ffi.new("fastmld_walked *")
        self._error = ffi.new("int *")

    @property
    def waiting(self) -> int:
        """Frames that could not leave yet."""
        return self._waiting

    def fileno(self) -> int | None:
        """The ring's socket."""
        return None if self._ring is None else self._ring.fileno()

    def next_ms(self) -> int | None:
        """When to try again to send what is kept."""
        return self._retry_at_ms

    def receive(self, now_ms: int) -> FrameBatch | None:
        """The frames of up to a quarter of the ring's blocks: the kernel's memory, until release."""
        if self._ring is None:
            return None
        walked = self._walked
        lib.fastmld_ring_walk(
            self._pinned_ring, self._block_size, self._blocks, self._block, self._most_blocks, self._room,
            *self._pinned_columns, walked,
        )  # fmt: skip
        if not walked.blocks:
            # An error, that the interface went down say, keeps the descriptor ready until somebody reads it.
            self._ring.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return None
        self._counters["other_vlan"] += walked.tagged
        self._counters["bad_blocks"] += walked.bad_blocks
        n = walked.frames
        self._taken += n + walked.tagged
        if not n:
            self.release()
            return None
        self._interface_column[0] = self.interface
        pinned = self._pinned_ring, *self._pinned_columns, self._pinned_interface
        return FrameBatch(self._buffer, self._offsets[:n], self._lengths[:n], self._interface_column, pinned=pinned)

    def release(self) -> None:
        """Give the blocks back to the kernel."""
        blocks = self._walked.blocks
        lib.fastmld_ring_release(self._pinned_ring, self._block_size, self._blocks, self._block, blocks)
        self._block = (self._block + blocks) % self._blocks
        self._walked.blocks = 0

    def send(self, frames: FrameBatch, now_ms: int) -> None:
        """Send frames in order; what the socket does not take is kept, up to max_waiting, for flush."""
        fits = min(len(frames), self._max_waiting - self._waiting)
        self._counters["send_dropped"] += len(frames) - fits
        if not fits:
            return
        self._kept.append(frames if fits == len(frames) else _part(frames, slice(fits)))
        self._waiting += fits
        if self._retry_at_ms is None:
            self._drain(now_ms)

    def flush(self, now_ms: int) -> None:
        """Try again, if it is time to."""
        if self._retry_at_ms is not None and now_ms >= self._retry_at_ms:
            self._drain(now_ms)

    def discard(self) -> None:
        """Drop what is kept."""
        self._counters["send_dropped"] += self._waiting
        self._kept.clear()
        self._waiting = 0
        self._retry_at_ms, self._retry_ms = None, 1

    def counters(self) -> dict[str, int]:
        """Of what passed the filter: ring_frames, of which ring_dropped (a General Query may have been among them),
        other_vlan (tagged, left out) and ring_unread (in the ring when the link ended) were not received. Of what was
        to be sent: sent, send_blocked (times the socket took no more), send_dropped (never taken, or waiting when the
        link went down), waiting (now). And bad_blocks.
        """
        self._count_ring()
        return {**self._counters, "waiting": self._waiting}

    def close(self) -> None:
        """Close the sockets and take the ring down."""
        if self._ring is None:
            return
        self._count_ring()
        seen = self._counters
        seen["ring_unread"] = max(0, seen["ring_frames"] - seen["ring_dropped"] - self._taken)
        self._close_sockets()
        self.discard()
        ffi.release(self._pinned_ring)
        del self._buffer, self._pinned_ring
        # A batch that somebody still holds keeps the mapping, and with it the socket, until it goes.
        with suppress(BufferError):
            self._map.close()

    def _drain(self, now_ms: int) -> None:
        self._retry_at_ms = None
        while self._kept:
            frames = self._kept.popleft()
            sent, error = self._send_some(frames)
            refused = 1 if error and error not in _FULL else 0
            self._counters["sent"] += sent
            self._counters["send_dropped"] += refused
            self._waiting -= sent + refused
            if sent + refused < len(frames):
                self._kept.appendleft(_part(frames, slice(sent + refused, None)))
            if sent:
                self._retry_ms = 1
            if error in _SHUT:
                self.discard()
            elif error in _FULL:
                # The socket counts as writable while the queue behind it is full: only time tells.
                self._counters["send_blocked"] += 1
                self._retry_at_ms = now_ms + self._retry_ms
                self._retry_ms = min(2 * self._retry_ms, _LONGEST_RETRY_MS)
                return

    def _send_some(self, frames: FrameBatch) -> tuple[int, int]:
        """How many the socket took, and the errno that ended it, or 0."""
        if self._out is None:
            return 0, errno.ENODEV
        sent = lib.fastmld_send(self._out.fileno(), *frames.pinned[:3], len(frames), self._error)
        return int(sent), int(self._error[0])

    def _count_ring(self) -> None:
        if self._ring is None:
            return
        # Reading resets them.
        passed, dropped, _ = struct.unpack("III", self._ring.getsockopt(_SOL_PACKET, _STATISTICS, 12))
        self._counters["ring_frames"] += passed
        self._counters["ring_dropped"] += dropped

    def _close_sockets(self) -> None:
        for each in (self._ring, self._out):
            if each is not None:
                each.close()
        self._ring = self._out = None


def _packet_socket() -> socket.socket:
    """A packet socket that receives nothing until it is bound to a protocol."""
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)


def _open_ring(ring: socket.socket, blocks: int, block_size: int, retire_ms: int) -> mmap.mmap:
    program = mld_filter()
    pinned = ffi.from_buffer("uint8_t[]", program)
    ring.setsockopt(
        socket.SOL_SOCKET,
        _SO_ATTACH_FILTER,
        struct.pack("HP", len(program) // 8, int(ffi.cast("uintptr_t", pinned))),
    )
    ring.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V3)
    slot = min(_SLOT, block_size)
    geometry = (block_size, blocks, slot, blocks * (block_size // slot), retire_ms, 0, 0)
    ring.setsockopt(_SOL_PACKET, _RX_RING, struct.pack("7I", *geometry))
    return mmap.mmap(ring.fileno(), blocks * block_size)


def _part(frames: FrameBatch, part: slice) -> FrameBatch:
    interfaces = frames._interfaces if frames.sole_interface is not None else frames.interfaces[part]
    return FrameBatch(frames.buffer, frames.offsets[part], frames.lengths[part], interfaces)
