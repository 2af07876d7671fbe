"""The kernel runs our filter, on a socket that needs no privilege."""

import ctypes
import socket
import struct
from collections.abc import Iterator

import pytest

import frames
from fastmld.links.mld_filter import mld_filter

TAG = b"\x81\x00\x00\x07"
LONG = bytes([1, 12]) + bytes(12) + frames.ROUTER_ALERT  # a hop-by-hop header of 24 octets
OPTIONS = frames.options_header(b"")
ECHO = bytes([128, 0, 0, 0]) + bytes(20)


def fragment(offset: int = 0) -> bytes:
    return b"\0" + (offset << 3 | 1).to_bytes(2) + bytes(4)


def behind(kind: int, body: bytes, **knobs: object) -> bytes:
    return frames.query(extensions=[(kind, body)], **knobs)


TAKEN = {
    "query": frames.query(),
    "query2": frames.query2(),
    "report": frames.report("ff05::1"),
    "done": frames.done("ff05::1"),
    "report2": frames.report2(),
    "inner tag": frames.query(tags=(TAG,)),
    "inner service tag": frames.query(tags=(b"\x88\xa8\x00\x07",)),
    "no hop-by-hop header": frames.query(options=None),
    "long hop-by-hop header": frames.query(options=LONG),
    "destination options": behind(frames.DESTINATION, OPTIONS),
    "destination options first": behind(frames.DESTINATION, OPTIONS, options=None),
    "routing header": behind(frames.ROUTING, OPTIONS),
    "fragment": behind(frames.FRAGMENT, fragment()),
    "later fragment": behind(frames.FRAGMENT, fragment(8), options=None),
    "long destination options": behind(frames.DESTINATION, frames.options_header(LONG), options=None),
}
DROPPED = {
    "IPv4": frames.query(ethertype=0x0800),
    "IPv4 behind a tag": frames.query(ethertype=0x0800, tags=(TAG,)),
    "three tags": frames.query(tags=(TAG, TAG)),
    "UDP": frames.query(options=None, last_next_header=17),
    "UDP behind options": frames.query(last_next_header=17),
    "UDP behind a fragment header": behind(frames.FRAGMENT, fragment(), options=None, last_next_header=17),
    "echo": bytes(frames.Frame(ECHO, frames.ALL_NODES, options=None)),
    "echo behind options": bytes(frames.Frame(ECHO, frames.ALL_NODES)),
    "neighbour solicitation": bytes(frames.Frame(bytes([135, 0, 0, 0]) + bytes(20), frames.ALL_NODES, options=None)),
    "type 129": bytes(frames.Frame(bytes([129, 0, 0, 0]) + bytes(20), frames.ALL_NODES)),
    "type 133": bytes(frames.Frame(bytes([133, 0, 0, 0]) + bytes(20), frames.ALL_NODES)),
    "type 144": bytes(frames.Frame(bytes([144, 0, 0, 0]) + bytes(20), frames.ALL_NODES)),
    "cut off before the type": frames.query()[:62],
    "14 octets": frames.query()[:14],
}


@pytest.fixture(scope="module")
def filtered() -> Iterator[tuple[socket.socket, socket.socket]]:
    out, into = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with out, into:
        program = mld_filter()
        pinned = ctypes.create_string_buffer(program, len(program))
        into.setsockopt(
            socket.SOL_SOCKET, 26, struct.pack("HP", len(program) // 8, ctypes.addressof(pinned))
        )  # SO_ATTACH_FILTER
        into.setblocking(False)
        yield out, into


def passes(filtered: tuple[socket.socket, socket.socket], frame: bytes) -> bytes | None:
    out, into = filtered
    try:
        out.send(frame)
        return into.recv(65536)
    except (BlockingIOError, PermissionError):  # who is filtered out may be told
        return None


@pytest.mark.parametrize("name", TAKEN)
def test_what_may_be_mld_passes_whole(filtered: tuple[socket.socket, socket.socket], name: str) -> None:
    assert passes(filtered, TAKEN[name]) == TAKEN[name]


@pytest.mark.parametrize("name", DROPPED)
def test_what_cannot_be_does_not(filtered: tuple[socket.socket, socket.socket], name: str) -> None:
    assert passes(filtered, DROPPED[name]) is None


def test_a_long_message_passes_whole(filtered: tuple[socket.socket, socket.socket]) -> None:
    long = frames.query2(sources=tuple(bytes([254, 128]) + bytes(12) + n.to_bytes(2) for n in range(500)))
    assert passes(filtered, long) == long
