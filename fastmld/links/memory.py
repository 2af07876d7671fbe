"""A wire that joins engines in one process, on virtual time: a frame reaches every other tap, or is lost."""

from __future__ import annotations

import heapq
from random import Random

from fastmld.batch import FrameBatch


class Wire:
    """A segment of any number of taps.

    seed: of what is lost and late. loss: 0 to 1, of each frame at each receiver. delay_ms: (least, most),
    drawn anew for each frame at each receiver, so that frames may overtake each other.
    """

    def __init__(self, *, seed: int = 0, loss: float = 0.0, delay_ms: tuple[int, int] = (0, 0)) -> None:
        least, most = delay_ms
        if not 0 <= loss <= 1:
            raise ValueError(f"loss is from 0 to 1, not {loss}")
        if not 0 <= least <= most:
            raise ValueError(f"delay_ms is (least, most), not {delay_ms}")
        self.loss, self.delay_ms = loss, delay_ms
        self._random = Random(seed)
        self._taps: list[Tap] = []

    def tap(self, interface: int = 0) -> Tap:
        """A new end of the wire: a Link whose frames carry this interface."""
        tap = Tap(self, interface)
        self._taps.append(tap)
        return tap

    def carry(self, sender: Tap, frame: bytes, now_ms: int) -> None:
        """Take one frame to every tap but the sender's."""
        for tap in self._taps:
            if tap is sender:
                continue
            if self._random.random() < self.loss:
                tap.lost += 1
            else:
                tap.arrive(frame, now_ms + self._random.randint(*self.delay_ms))

    def remove(self, tap: Tap) -> None:
        """Take a tap off."""
        if tap in self._taps:
            self._taps.remove(tap)


class Tap:
    """A Link: one end of a Wire."""

    def __init__(self, wire: Wire, interface: int) -> None:
        self.interface = interface
        self.lost = self.sent = self.received = 0
        self._wire = wire
        self._arriving: list[tuple[int, int, bytes]] = []
        self._order = 0

    @property
    def waiting(self) -> int:
        """Always 0: a wire takes everything."""
        return 0

    def fileno(self) -> int | None:
        """None: next_ms tells."""
        return None

    def next_ms(self) -> int | None:
        """When the next frame arrives."""
        return self._arriving[0][0] if self._arriving else None

    def arrive(self, frame: bytes, at_ms: int) -> None:
        """Put a frame on its way to this end."""
        heapq.heappush(self._arriving, (at_ms, self._order, frame))
        self._order += 1

    def receive(self, now_ms: int) -> FrameBatch | None:
        """What has arrived, by time of arrival, then in the order in which it was sent."""
        frames = []
        while self._arriving and self._arriving[0][0] <= now_ms:
            frames.append(heapq.heappop(self._arriving)[2])
        self.received += len(frames)
        return FrameBatch.from_list(frames, self.interface) if frames else None

    def release(self) -> None:
        """Nothing to give back."""

    def send(self, frames: FrameBatch, now_ms: int) -> None:
        """Send frames to all other ends."""
        self.sent += len(frames)
        for frame in frames:
            self._wire.carry(self, frame, now_ms)

    def flush(self, now_ms: int) -> None:
        """Nothing is ever kept."""

    def discard(self) -> None:
        """Nothing is ever kept."""

    def counters(self) -> dict[str, int]:
        """sent, received, and lost: frames that should have arrived here."""
        return {"sent": self.sent, "received": self.received, "lost": self.lost}

    def close(self) -> None:
        """Take this end off the wire."""
        self._wire.remove(self)
        self._arriving.clear()
