"""Frames out of nowhere: BPF_PROG_RUN with live frames, by raw system calls. Linux 5.18 or later, root's privileges.

The kernel runs an XDP program over packets of its own, again and again, for as long as no signal comes. The program
looks at the clock; when a frame is due, it copies the next one of a table over the packet, counts it, and answers
XDP_TX, which sends it out of the interface on which it is said to have come in. Otherwise it drops the packet. One
system call is a whole flood: to begin and to end one takes the kernel some 25 ms each, in which nothing is sent.
"""

from __future__ import annotations

import math
import mmap
import os
import platform
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from cffi import FFI

# linux/bpf.h
_MAP_CREATE, _PROG_LOAD, _PROG_RUN = 0, 5, 10
_ARRAY, _MMAPABLE, _XDP, _MAP_VALUE, _LIVE = 2, 1 << 10, 6, 2, 2
_DROP, _TX, _KTIME_GET_NS = 1, 3, 5
_SYSTEM_CALL: Final = {"x86_64": 321, "aarch64": 280, "riscv64": 280}
# Operations of 64 bits with an operand, and the bit that makes it a register; loads and stores by octets.
_ADD, _SUBTRACT, _MULTIPLY, _AND, _SHIFT_RIGHT, _SET, _REGISTER = 0x07, 0x17, 0x27, 0x57, 0x77, 0xB7, 0x08
_IF_EQUAL, _IF_GREATER, _IF_AT_LEAST, _IF_SIGNED_GREATER, _CALL, _EXIT, _WIDE = 0x15, 0x25, 0x35, 0x65, 0x85, 0x95, 0x18
_LOAD, _STORE = {8: 0x79, 4: 0x61, 2: 0x69, 1: 0x71}, {8: 0x7B, 4: 0x63, 2: 0x6B, 1: 0x73}

_BATCH: Final = 64  # packets that the kernel takes at once
_ROOM: Final = 96  # octets that a frame has in the table, from _FIRST on
_FIRST: Final = 64
# What stands before the frames, 8 octets each.
_COUNT, _SKIPPED, _START_NS, _DURATION_NS, _RATE, _MOST_LATE, _LATEST_NS, _PAUSE_NS = range(0, 64, 8)
_RATE_SHIFT: Final = 32  # of frames a nanosecond
_FOR_EVER: Final = 0xFFFFFFFF
_PEEP_S: Final = 0.001

_c = FFI()
_c.cdef("long syscall(long number, int command, void *attributes, unsigned int size);")
_libc = _c.dlopen(None)


class BpfRefused(Exception):
    """The kernel lets us run no program, or not in this way."""


class Sent(NamedTuple):
    """What a sender says of a flood: frames; when it began and ended, and when the last frame left (CLOCK_MONOTONIC);
    the longest time without one."""

    frames: int
    start_ns: int
    end_ns: int
    last_ns: int
    pause_ns: int


class LiveFrames:
    """Sends frames in turn out of an interface. frames: (a power of two, length) uint8, length 14 to 96.

    For the main thread: SIGALRM ends a flood. Raises BpfRefused.
    """

    name = "BPF_PROG_RUN live frames"

    def __init__(self, interface: str, frames: npt.NDArray[np.uint8]) -> None:
        n, length = frames.shape
        if n & (n - 1) or not 14 <= length <= _ROOM:
            raise ValueError(f"{n} frames of {length} octets: not a power of two, or not 14 to {_ROOM}")
        self._packet = _c.new("uint8_t[]", length)
        self._context = _c.new("uint32_t[6]", [0, length, 0, socket.if_nametoindex(interface), 0, 0])  # struct xdp_md
        self._table = self._run = -1
        try:
            size = _FIRST + n * _ROOM
            self._table = _bpf(_MAP_CREATE, struct.pack("5I", _ARRAY, 4, size, 1, _MMAPABLE))
            memory = np.frombuffer(mmap.mmap(self._table, size), np.uint8)
            memory[_FIRST:].reshape(n, _ROOM)[:, :length] = frames
            self._numbers = memory[:_FIRST].view(np.uint64)
            program, licence = _c.from_buffer(_program(self._table, n, length)), _c.new("char[]", b"")
            code = struct.pack("IIQQ", _XDP, len(program) // 8, _address(program), _address(licence))
            self._run = _bpf(_PROG_LOAD, code)
            self._send(1)  # nothing is due
        except (OSError, KeyError) as error:
            self.close()
            raise BpfRefused(str(error)) from None

    def flood(self, rate: float, seconds: float, most_late_s: float, look: Callable[[], object]) -> Sent:
        """Send at a rate (frames a second; inf: as fast as they go) for so long. look: called when that time begins
        and when it ends.

        What is later than most_late_s is not made up for: it would be a burst of our own.
        """
        pace = 0 if math.isinf(rate) else round(rate / 1e9 * (1 << _RATE_SHIFT))
        most_late = max(1, round(rate * most_late_s)) if pace else 0
        self._numbers[:] = 0, 0, 0, round(seconds * 1e9), pace, most_late, 0, 0
        before = signal.signal(signal.SIGALRM, lambda *_: None)
        ended = threading.Event()
        clock = threading.Thread(target=self._ring_the_bell, args=(threading.get_ident(), seconds, look, ended))
        clock.start()
        try:
            self._send(_FOR_EVER)
        except InterruptedError:
            pass
        finally:
            ended.set()
            clock.join()
            signal.signal(signal.SIGALRM, before)
        sent, _, start_ns, duration_ns, _, _, latest_ns, pause_ns = self._numbers.tolist()
        return Sent(sent, start_ns, start_ns + duration_ns, start_ns + latest_ns, pause_ns)

    def _ring_the_bell(self, thread: int, seconds: float, look: Callable[[], object], ended: threading.Event) -> None:
        """The program alone knows when it began."""
        while not self._numbers[2]:
            if ended.wait(_PEEP_S):
                return
        look()
        ended.wait(max(0.0, seconds - (time.monotonic_ns() - int(self._numbers[2])) / 1e9))
        look()
        if not ended.is_set():
            signal.pthread_kill(thread, signal.SIGALRM)

    def _send(self, packets: int) -> None:
        attributes = (
            self._run, 0, len(self._packet), 0, _address(self._packet), 0, packets, 0,
            _c.sizeof(self._context), 0, _address(self._context), 0, _LIVE, 0, _BATCH,
        )  # fmt: skip
        _bpf(_PROG_RUN, struct.pack("IIIIQQIIIIQQIII4x", *attributes))

    def close(self) -> None:
        """Unload program and table."""
        for descriptor in (self._run, self._table):
            if descriptor >= 0:
                os.close(descriptor)
        self._run = self._table = -1


def _address(what: Any) -> int:
    return int(_c.cast("uintptr_t", what))


def _bpf(command: int, attributes: bytes) -> int:
    done = _libc.syscall(_SYSTEM_CALL[platform.machine()], command, _c.from_buffer(attributes), len(attributes))
    if done < 0:
        raise OSError(_c.errno, f"bpf({command}): {os.strerror(_c.errno)}")
    return int(done)


def _i(code: int, target: int = 0, source: int = 0, offset: int = 0, operand: int = 0) -> bytes:
    """One instruction."""
    return struct.pack("=BBhi", code, source << 4 | target, offset, operand)


def _program(table: int, n: int, length: int) -> bytes:
    """table: a descriptor; n frames of length octets are in it.

    Registers: 6 the context, 7 the table; 0 and 8 nanoseconds since the start; 1 frames due, later where the next one
    is; 2 and 3 the packet and its end.
    """
    copy, at = b"", 0
    for size in _LOAD:
        while length - at >= size:
            copy += _i(_LOAD[size], 0, 1, _FIRST + at) + _i(_STORE[size], 2, 0, at)
            at += size
    drop = _i(_SET, 0, operand=_DROP) + _i(_EXIT)
    begin = (
        _i(_SET | _REGISTER, 6, 1)
        + _i(_WIDE, 7, _MAP_VALUE, 0, table) + _i(0)
        + _i(_CALL, operand=_KTIME_GET_NS)
        + _i(_LOAD[8], 1, 7, _START_NS) + _i(_IF_GREATER, 1, 0, 2)
        + _i(_SET | _REGISTER, 1, 0) + _i(_STORE[8], 7, 0, _START_NS)
        + _i(_SUBTRACT | _REGISTER, 0, 1) + _i(_SET | _REGISTER, 8, 0) + _i(_LOAD[8], 1, 7, _DURATION_NS)
        + _i(_IF_GREATER | _REGISTER, 1, 0, len(drop) // 8) + drop
    )  # fmt: skip
    skip = (
        _i(_LOAD[8], 3, 7, _SKIPPED) + _i(_ADD | _REGISTER, 3, 1) + _i(_SUBTRACT | _REGISTER, 3, 2)
        + _i(_STORE[8], 7, 3, _SKIPPED)
    )  # fmt: skip
    pace = (
        _i(_MULTIPLY | _REGISTER, 0, 2) + _i(_SHIFT_RIGHT, 0, operand=_RATE_SHIFT) + _i(_SET | _REGISTER, 1, 0)
        + _i(_LOAD[8], 2, 7, _SKIPPED) + _i(_SUBTRACT | _REGISTER, 1, 2)
        + _i(_LOAD[8], 2, 7, _COUNT) + _i(_SUBTRACT | _REGISTER, 1, 2)
        + _i(_IF_SIGNED_GREATER, 1, 0, len(drop) // 8) + drop
        + _i(_LOAD[8], 2, 7, _MOST_LATE)
        + _i(_IF_AT_LEAST | _REGISTER, 2, 1, len(skip) // 8) + skip
    )  # fmt: skip
    note = (
        _i(_SET | _REGISTER, 3, 8) + _i(_LOAD[8], 0, 7, _LATEST_NS) + _i(_SUBTRACT | _REGISTER, 3, 0)
        + _i(_STORE[8], 7, 8, _LATEST_NS)
        + _i(_LOAD[8], 0, 7, _PAUSE_NS) + _i(_IF_AT_LEAST | _REGISTER, 0, 3, 1) + _i(_STORE[8], 7, 3, _PAUSE_NS)
    )  # fmt: skip
    send = (
        _i(_LOAD[4], 2, 6, 0) + _i(_LOAD[4], 3, 6, 4)
        + _i(_SET | _REGISTER, 4, 2) + _i(_ADD, 4, operand=length)
        + _i(_IF_AT_LEAST | _REGISTER, 3, 4, len(drop) // 8) + drop
        + _i(_LOAD[8], 1, 7, _COUNT)
        + _i(_SET | _REGISTER, 0, 1) + _i(_ADD, 0, operand=1) + _i(_STORE[8], 7, 0, _COUNT)
        + _i(_AND, 1, operand=n - 1) + _i(_MULTIPLY, 1, operand=_ROOM) + _i(_ADD | _REGISTER, 1, 7)
        + copy + _i(_SET, 0, operand=_TX) + _i(_EXIT)
    )  # fmt: skip
    return begin + _i(_LOAD[8], 2, 7, _RATE) + _i(_IF_EQUAL, 2, 0, len(pace) // 8) + pace + note + send
