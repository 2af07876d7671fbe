"""The far end of the demo's wire: asks, and notes who answers when. It goes by what it sees, not by the listener."""

from __future__ import annotations

from random import Random

import numpy as np
import numpy.typing as npt

from fastmld.batch import FrameBatch
from fastmld.links import Link

# Of an untagged frame whose hop-by-hop header has 8 octets.
_TYPE_AT, _DELAY_AT, _GROUP_AT, _LENGTH = 62, 66, 70, 86
_QUERY, _REPORT = 130, 131
_ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
_FLOOD = 4096  # different Queries
_FLOOD_DELAYS_MS = 1_000, 10_000


class FarEnd:
    """Watches for n consecutive groups from first on.

    delays_ms: (n,) int64, from the Query until the first Report of each group, -1: none yet. reports: all that came.
    """

    def __init__(self, link: Link, first: bytes, n: int) -> None:
        self.link = link
        self.reports = self.flooded = 0
        self.window_ms = self._asked_ms = 0
        self.delays_ms = np.full(n, -1, np.int64)
        self._high, self._low = np.frombuffer(first, ">u8").astype(np.uint64)

    @property
    def answered(self) -> int:
        """Groups that were reported since the Query."""
        return int(np.count_nonzero(self.delays_ms >= 0))

    def asked(self, now_ms: int, window_ms: int) -> None:
        """A Query with this Maximum Response Delay went out: what is reported from now on answers it."""
        self._asked_ms, self.window_ms = now_ms, window_ms
        self.delays_ms = np.full(len(self.delays_ms), -1, np.int64)

    def listen(self, now_ms: int) -> None:
        """Take in what has come."""
        while (frames := self.link.receive(now_ms)) is not None:
            groups = _reported(frames)
            self.link.release()
            self.reports += len(groups)
            high, low = groups[:, 0], groups[:, 1] - self._low
            known = low[(high == self._high) & (low < len(self.delays_ms))]
            new = known[self.delays_ms[known] < 0]
            self.delays_ms[new] = now_ms - self._asked_ms

    def ask(self, now_ms: int, window_ms: int) -> None:
        """Send one General Query."""
        self.link.send(FrameBatch.from_list([_general_query(1, window_ms)]), now_ms)
        self.asked(now_ms, window_ms)

    def flood(self, now_ms: int, queries: FrameBatch) -> None:
        """Send all of them, unless the link is still full."""
        self.link.flush(now_ms)
        if not self.link.waiting:
            self.link.send(queries, now_ms)
            self.flooded += len(queries)


def flood_of_queries() -> FrameBatch:
    """General Queries of as many routers, each with a delay of its own."""
    random = Random(0)
    return FrameBatch.from_list(_general_query(2 + i, random.randint(*_FLOOD_DELAYS_MS)) for i in range(_FLOOD))


def window_of(frame: bytes) -> int | None:
    """The Maximum Response Delay of a General Query, in ms; None: the frame is something else."""
    if len(frame) < _LENGTH or frame[_TYPE_AT] != _QUERY or any(frame[_GROUP_AT:_LENGTH]):
        return None
    return int.from_bytes(frame[_DELAY_AT : _DELAY_AT + 2], "big")


def _reported(frames: FrameBatch) -> npt.NDArray[np.uint64]:
    """(N, 2) uint64: the groups of the Reports among frames, high and low half."""
    at = frames.offsets[frames.lengths >= _LENGTH]
    at = at[frames.buffer[at + _TYPE_AT] == _REPORT]
    octets = frames.buffer[at[:, np.newaxis] + np.arange(_GROUP_AT, _LENGTH)]
    return np.asarray(octets.view(">u8"), np.uint64)


def _general_query(router: int, delay_ms: int) -> bytes:
    """RFC 2710 section 3, RFC 2464 section 7, RFC 4443 section 2.3. router: a number, which its addresses have."""
    number = router.to_bytes(4, "big")
    source = bytes.fromhex("fe80") + bytes(10) + number
    message = bytes((_QUERY, 0, 0, 0)) + delay_ms.to_bytes(2, "big") + bytes(18)
    pseudo_header = source + _ALL_NODES + bytes((0, 0, 0, len(message), 0, 0, 0, 58))
    checksum = 0xFFFF - int.from_bytes(pseudo_header + message, "big") % 0xFFFF
    hop_by_hop = bytes((58, 0, 5, 2, 0, 0, 1, 0))
    return (
        b"\x33\x33\0\0\0\1" + b"\x02\0" + number + b"\x86\xdd"
        + b"\x60\0\0\0" + bytes((0, len(hop_by_hop) + len(message), 0, 1)) + source + _ALL_NODES
        + hop_by_hop + message[:2] + checksum.to_bytes(2, "big") + message[4:]
    )  # fmt: skip
