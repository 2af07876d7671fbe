"""Frames as columns. No logic: offsets and lengths into a buffer that somebody else owns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastmld import _native


class FrameBatch:
    """Frames in one buffer, and where each lies.

    buffer      uint8, any C-contiguous memory; borrowed, not copied
    offsets     (N,) int64, octets from the start of buffer
    lengths     (N,) uint32, octets captured
    interfaces  (N,) uint32, or (1,) when all frames are of one interface
    times_ms    (N,) int64, when each left; None for frames that came in

    The constructor takes ready columns and checks nothing: see from_buffer for columns that are not known to be right.
    """

    __slots__ = ("_interfaces", "_pinned", "buffer", "lengths", "offsets", "times_ms")

    def __init__(
        self,
        buffer: npt.NDArray[np.uint8],
        offsets: npt.NDArray[np.int64],
        lengths: npt.NDArray[np.uint32],
        interfaces: npt.NDArray[np.uint32],
        times_ms: npt.NDArray[np.int64] | None = None,
        pinned: tuple[Any, Any, Any, Any] | None = None,
    ) -> None:
        self.buffer = buffer
        self.offsets = offsets
        self.lengths = lengths
        self._interfaces = interfaces
        self.times_ms = times_ms
        self._pinned = pinned

    @property
    def interfaces(self) -> npt.NDArray[np.uint32]:
        """(N,) uint32: the interface of each frame."""
        if self._interfaces.shape == self.offsets.shape:
            return self._interfaces
        return np.broadcast_to(self._interfaces, self.offsets.shape)

    @property
    def pinned(self) -> tuple[Any, Any, Any, Any]:
        """C pointers to buffer, offsets, lengths and interfaces: those that the constructor was given, or made anew."""
        if self._pinned is not None:
            return self._pinned
        pin = _native.pin
        return (
            pin("uint8_t[]", self.buffer), pin("int64_t[]", self.offsets),
            pin("uint32_t[]", self.lengths), pin("uint32_t[]", self._interfaces),
        )  # fmt: skip

    @property
    def sole_interface(self) -> int | None:
        """The interface of all frames; None where that is not known."""
        return int(self._interfaces[0]) if len(self._interfaces) == 1 else None

    @classmethod
    def from_list(cls, frames: Iterable[bytes], interfaces: int | npt.ArrayLike = 0) -> FrameBatch:
        """Copy frames that are bytes-like into one buffer. interfaces: one index, or one a frame."""
        frames = list(frames)
        lengths = np.fromiter((len(frame) for frame in frames), np.uint32, len(frames))
        offsets = np.zeros(len(frames), np.int64)
        np.cumsum(lengths[:-1], out=offsets[1:])
        buffer = np.frombuffer(b"".join(frames), np.uint8)
        return cls(buffer, offsets, lengths, _interface_column(interfaces, len(frames)))

    @classmethod
    def from_buffer(
        cls, buffer: Any, offsets: npt.ArrayLike, lengths: npt.ArrayLike, interfaces: int | npt.ArrayLike = 0
    ) -> FrameBatch:
        """Frames that lie in a C-contiguous buffer (bytes, memoryview, mmap, numpy), which is not copied.

        offsets, lengths: (N,) integers, in octets. interfaces: one index, or (N,) of them.
        Raises ValueError when a frame lies outside the buffer, or the columns' lengths differ.
        """
        octets = np.frombuffer(buffer, np.uint8)
        starts = _column("offsets", offsets, np.int64)
        sizes = _column("lengths", lengths, np.int64)
        if starts.shape != sizes.shape:
            raise ValueError(f"{len(starts)} offsets but {len(sizes)} lengths")
        outside = np.flatnonzero((starts < 0) | (sizes < 0) | (starts > len(octets) - sizes))
        if len(outside):
            n = int(outside[0])
            raise ValueError(f"frame {n}, {sizes[n]} octets at {starts[n]}, lies outside the buffer of {len(octets)}")
        return cls(octets, starts, sizes.astype(np.uint32), _interface_column(interfaces, len(starts)))

    @classmethod
    def from_pointers(
        cls, pointers: npt.ArrayLike, lengths: npt.ArrayLike, interfaces: int | npt.ArrayLike = 0
    ) -> FrameBatch:
        """Gather frames that lie anywhere in memory, in C: a burst of packet pointers.

        pointers: (N,) addresses, which the caller vouches for. lengths: (N,) octets. The frames are copied.
        """
        addresses = _column("pointers", pointers, np.uint64)
        sizes = _column("lengths", lengths, np.uint32)
        if addresses.shape != sizes.shape:
            raise ValueError(f"{len(addresses)} pointers but {len(sizes)} lengths")
        offsets = np.zeros(len(sizes), np.int64)
        np.cumsum(sizes[:-1], out=offsets[1:])
        buffer = np.empty(int(sizes.sum(dtype=np.int64)), np.uint8)
        _native.lib.fastmld_gather(
            _native.pin("uint64_t[]", addresses),
            _native.pin("uint32_t[]", sizes),
            len(sizes),
            _native.pin("uint8_t[]", buffer),
        )
        return cls(buffer, offsets, sizes, _interface_column(interfaces, len(sizes)))

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, index: int) -> bytes:
        start = int(self.offsets[index])
        return self.buffer[start : start + int(self.lengths[index])].tobytes()

    def __iter__(self) -> Iterator[bytes]:
        return (self[index] for index in range(len(self)))


class Folds(NamedTuple):
    """What a batch says about rows, as csrc/fastmld.h folds it: columns of (N,), u4, i4, i8 and u1."""

    row: npt.NDArray[Any]
    delay_ms: npt.NDArray[Any]
    deadline_ms: npt.NDArray[Any]
    key: npt.NDArray[Any]

    @classmethod
    def of_size(cls, n: int) -> Folds:
        """Memory for n rows."""
        return cls(*(np.empty(n, dtype) for dtype in (np.uint32, np.int32, np.int64, np.uint8)))

    def first(self, n: int) -> Folds:
        """The first n of them."""
        row, delay_ms, deadline_ms, key = self
        return Folds(row[:n], delay_ms[:n], deadline_ms[:n], key[:n])


def _column(name: str, values: npt.ArrayLike, dtype: type[np.generic]) -> npt.NDArray[Any]:
    column = np.asarray(values)
    if column.ndim != 1 or (len(column) and column.dtype.kind not in "iu"):
        raise ValueError(f"{name} is a column of integers, not {column.dtype} {column.shape}")
    return np.ascontiguousarray(column, dtype)


def _interface_column(interfaces: int | npt.ArrayLike, n: int) -> npt.NDArray[np.uint32]:
    if np.ndim(interfaces) == 0:
        index = int(interfaces)  # type: ignore[arg-type]
        if not 0 <= index <= 0xFFFFFFFF:
            raise ValueError(f"{index} is not an interface")
        return np.array([index], np.uint32)
    column = _column("interfaces", interfaces, np.int64)
    if len(column) != n:
        raise ValueError(f"{n} frames but {len(column)} interfaces")
    if n and not 0 <= column.min() <= column.max() <= 0xFFFFFFFF:
        raise ValueError("an interface is an index that add_interface gave")
    return column.astype(np.uint32)
