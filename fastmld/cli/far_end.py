"""The far end of the demo's wire: asks, and notes who answers when. It goes by what it sees, not by the listener."""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
import numpy.typing as npt

from fastmld.batch import FrameBatch
from fastmld.links import Link

# Of an untagged frame whose hop-by-hop header has 8 octets.
_LENGTH_AT, _PAYLOAD_AT, _TYPE_AT, _DELAY_AT, _GROUP_AT, _RECORDS_AT, _LENGTH = 18, 54, 62, 66, 70, 70, 86
_QUERY, _REPORT, _DONE, _REPORT2 = 130, 131, 132, 143
_QUERY_OCTETS = 24
_IS_EXCLUDE, _TO_INCLUDE, _TO_EXCLUDE = 2, 3, 4
_RECORD = np.dtype([("type", "u1"), ("auxiliary", "u1"), ("sources", ">u2"), ("group", ">u8", 2)])
_ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
_ROBUSTNESS, _INTERVAL_S = 2, 1
_FLOOD = 4096  # different Queries
_FLOOD_DELAYS_MS = 1_000, 10_000


class FarEnd:
    """Watches for n consecutive groups from first on.

    delays_ms: (n,) int64, from the Query until the first Report of each group, -1: none yet. reports: how many came, by
    version, reports_since those since the Query. left: (n,) bool, the groups that were taken back.
    """

    def __init__(self, link: Link, first: bytes, n: int) -> None:
        self.link = link
        self.flooded = 0
        self.reports, self.reports_since = Counter[int](), Counter[int]()
        self.window_ms = self._asked_ms = 0
        self._record_type = _TO_EXCLUDE
        self.delays_ms = np.full(n, -1, np.int64)
        self.left = np.zeros(n, np.bool_)
        self._high, self._low = np.frombuffer(first, ">u8").astype(np.uint64)

    @property
    def answered(self) -> int:
        """Groups that were reported since the Query."""
        return int(np.count_nonzero(self.delays_ms >= 0))

    def asked(self, now_ms: int, window_ms: int) -> None:
        """A Query with this Maximum Response Delay went out: what is reported from now on answers it.

        Before the first one it is State-Change Reports that count: of groups that were joined.
        """
        self._asked_ms, self.window_ms = now_ms, window_ms
        self._record_type = _IS_EXCLUDE
        self.reports_since = Counter[int]()
        self.delays_ms = np.full(len(self.delays_ms), -1, np.int64)

    def listen(self, now_ms: int) -> None:
        """Take in what has come."""
        while (frames := self.link.receive(now_ms)) is not None:
            reports = {1: _messages(frames, _REPORT), 2: _messages(frames, _REPORT2)}
            records = _records(frames, reports[2])
            said = records["group"][records["type"] == self._record_type]
            reported = np.concatenate([_groups(frames, reports[1]), said])
            taken_back = records["group"][records["type"] == _TO_INCLUDE]
            left = np.concatenate([_groups(frames, _messages(frames, _DONE)), taken_back])
            self.link.release()
            heard = {version: len(messages) for version, messages in reports.items() if len(messages)}
            self.reports.update(heard)
            self.reports_since.update(heard)
            known = self._known(reported)
            self.left[known] = False
            self.left[self._known(left)] = True
            new = known[self.delays_ms[known] < 0]
            self.delays_ms[new] = now_ms - self._asked_ms

    def _known(self, groups: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """Which of the watched groups they are."""
        high, low = groups[:, 0], groups[:, 1] - self._low
        return np.asarray(low[(high == self._high) & (low < len(self.delays_ms))])

    def ask(self, now_ms: int, window_ms: int, version: int) -> None:
        """Send one General Query."""
        self.link.send(FrameBatch.from_list([_general_query(1, window_ms, version)]), now_ms)
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
    return FrameBatch.from_list(_general_query(2 + i, random.randint(*_FLOOD_DELAYS_MS), 2) for i in range(_FLOOD))


def general_query(frame: bytes) -> tuple[int, int] | None:
    """The version and the Maximum Response Delay in ms of a General Query; None: the frame is something else."""
    if len(frame) < _LENGTH or frame[_TYPE_AT] != _QUERY or any(frame[_GROUP_AT:_LENGTH]):
        return None
    code = int.from_bytes(frame[_DELAY_AT : _DELAY_AT + 2], "big")
    if int.from_bytes(frame[_LENGTH_AT : _LENGTH_AT + 2], "big") == 8 + _QUERY_OCTETS:
        return 1, code
    return 2, code if code < 0x8000 else (code & 0xFFF | 0x1000) << ((code >> 12 & 7) + 3)


def _messages(frames: FrameBatch, kind: int) -> npt.NDArray[np.int64]:
    """(N,): where the frames begin that are such messages."""
    at = frames.offsets[frames.lengths >= (_RECORDS_AT if kind == _REPORT2 else _LENGTH)]
    return np.asarray(at[frames.buffer[at + _TYPE_AT] == kind])


def _groups(frames: FrameBatch, at: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """(N, 2) uint64: the groups of MLDv1 messages, high and low half."""
    octets = frames.buffer[at[:, np.newaxis] + np.arange(_GROUP_AT, _LENGTH)]
    return np.asarray(octets.view(">u8"), np.uint64)


def _records(frames: FrameBatch, at: npt.NDArray[np.int64]) -> npt.NDArray[np.void]:
    """The records of MLDv2 Reports (RFC 9777 section 5.2), less their sources."""
    found = bytearray()
    for first in at.tolist():
        length = int.from_bytes(frames.buffer[first + _LENGTH_AT : first + _LENGTH_AT + 2], "big")
        octets = frames.buffer[first + _RECORDS_AT : first + _PAYLOAD_AT + length].tobytes()
        while len(octets) >= _RECORD.itemsize:
            found += octets[: _RECORD.itemsize]
            octets = octets[_RECORD.itemsize + 4 * octets[1] + 16 * int.from_bytes(octets[2:4], "big") :]
    return np.frombuffer(bytes(found), _RECORD)


def _general_query(router: int, delay_ms: int, version: int) -> bytes:
    """RFC 2710 section 3, RFC 9777 section 5.1, RFC 2464 section 7, RFC 4443 section 2.3. router: a number, which its
    addresses have.
    """
    number = router.to_bytes(4, "big")
    source = bytes.fromhex("fe80") + bytes(10) + number
    message = bytes((_QUERY, 0, 0, 0)) + delay_ms.to_bytes(2, "big") + bytes(18)
    if version == 2:
        message += bytes((_ROBUSTNESS, _INTERVAL_S, 0, 0))
    pseudo_header = source + _ALL_NODES + bytes((0, 0, 0, len(message), 0, 0, 0, 58))
    checksum = 0xFFFF - int.from_bytes(pseudo_header + message, "big") % 0xFFFF
    hop_by_hop = bytes((58, 0, 5, 2, 0, 0, 1, 0))
    return (
        b"\x33\x33\0\0\0\1" + b"\x02\0" + number + b"\x86\xdd"
        + b"\x60\0\0\0" + bytes((0, len(hop_by_hop) + len(message), 0, 1)) + source + _ALL_NODES
        + hop_by_hop + message[:2] + checksum.to_bytes(2, "big") + message[4:]
    )  # fmt: skip
