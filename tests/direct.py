"""fastmld_check itself, a frame at a time: of MLDv2-capable interfaces too, and at the edge of mapped memory."""

import ctypes
import mmap
from collections.abc import Container

import fastmld
import frames
from fastmld import _native
from model.ladder import Link

_libc = ctypes.CDLL(None, use_errno=True)


class Parser:
    """The ladder of an interface with this MAC address and link-local address, as the model's Link says."""

    def __init__(self, link: Link) -> None:
        rules = _native.lib.FASTMLD_RULE_STRICT if link.strict else 0
        rules |= _native.lib.FASTMLD_RULE_V1_ONLY if link.v1_only else 0
        rules |= _native.lib.FASTMLD_RULE_LINK_LOCAL if link.link_local is not None else 0
        self.link = link
        self.message = _native.ffi.new("fastmld_message *")
        self._interface = _native.ffi.new(
            "fastmld_interface *",
            {"mac": link.mac, "link_local": link.link_local or bytes(16), "rules": rules, "present": 1},
        )

    def judge(self, frame: object, length: int | None = None) -> tuple[str, str | None]:
        """Verdict and kind of the first length octets of anything that is a buffer."""
        octets = _native.ffi.from_buffer("uint8_t[]", frame)
        length = len(octets) if length is None else length
        verdict = fastmld.VERDICTS[_native.lib.fastmld_check(self._interface, octets, length, self.message)]
        if self.message.asks != _native.lib.FASTMLD_ASKS_NOTHING:
            at = self.message.destination
            if bytes(octets[at : at + 16]) not in self.link.listened:
                verdict = "bad_destination"  # rung 13, before 14
        return verdict, fastmld.KINDS[self.message.kind] if verdict == "accepted" else None


def parser(
    *, strict: bool = True, v1_only: bool = True, own: bool = True, listened: Container[bytes] = frozenset()
) -> Parser:
    """Of the interface that the frames of the tests are for."""
    return Parser(Link(frames.MAC, frames.LINK_LOCAL if own else None, strict, v1_only, listened))


class Edge:
    """Memory that ends at an unmapped page: reading one octet too far ends the process."""

    def __init__(self, room: int) -> None:
        self._room = -(-room // mmap.PAGESIZE) * mmap.PAGESIZE
        self._memory = mmap.mmap(-1, self._room + mmap.PAGESIZE)
        begin = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        if _libc.mprotect(ctypes.c_void_p(begin + self._room), mmap.PAGESIZE, 0) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")

    def __call__(self, octets: bytes) -> memoryview:
        """These octets, the last of them before the unmapped page; good until the next call."""
        view = memoryview(self._memory)[self._room - len(octets) : self._room]
        view[:] = octets
        return view
