"""Where frames come from and go to. Links know frames, never the engine: the runtime stands between them."""

from __future__ import annotations

from typing import Final, Protocol

from fastmld.batch import FrameBatch
from fastmld.errors import FastMLDError

MAX_WAITING: Final = 65_536  # frames that a link keeps for a socket that does not take them, unless told otherwise


class LinkRefused(FastMLDError):
    """The operating system refuses what a link needs. The message says what to do."""


class NoSuchInterface(FastMLDError):
    """There is no interface of that name."""


class Link(Protocol):
    """A way in and out for the frames of one interface. Nothing here blocks, and no frame is an exception."""

    interface: int
    """The index that its frames carry."""

    @property
    def waiting(self) -> int:
        """Frames that it was given and that could not leave yet."""

    def fileno(self) -> int | None:
        """A descriptor that is readable when frames came in; None where next_ms alone tells."""

    def next_ms(self) -> int | None:
        """When there is something to do that the descriptor does not tell; None: nothing."""

    def receive(self, now_ms: int) -> FrameBatch | None:
        """Frames that came in, good until release; None: none."""

    def release(self) -> None:
        """What receive handed over is used no longer."""

    def send(self, frames: FrameBatch, now_ms: int) -> None:
        """Send frames in order. What cannot leave now is kept, and sent by flush before anything newer."""

    def flush(self, now_ms: int) -> None:
        """Try again with what is kept, if it is time to."""

    def discard(self) -> None:
        """Drop what is kept: the link is down, and what it says later will be new."""

    def counters(self) -> dict[str, int]:
        """Flat name -> count since the link was made."""

    def close(self) -> None:
        """Let go of everything. More than once is fine."""
