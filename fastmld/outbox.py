"""What has been decided and not yet been asked for: rows, and what to say of them. No frame is stored."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastmld.groups import Rows


@dataclass(slots=True)
class Outgoing:
    """Messages in the order in which they leave: columns, of which those that are one number hold for every row."""

    rows: Rows
    kind: int
    times_ms: int | npt.NDArray[np.int64]
    templates: int | npt.NDArray[np.uint32]

    def split(self, n: int) -> tuple[Outgoing, Outgoing]:
        """The first n, and the rest."""
        times, templates = self.times_ms, self.templates
        first, rest = slice(None, n), slice(n, None)
        return tuple(  # type: ignore[return-value]
            Outgoing(
                self.rows[part],
                self.kind,
                times if isinstance(times, int) else times[part],
                templates if isinstance(templates, int) else templates[part],
            )
            for part in (first, rest)
        )


class Outbox:
    """A queue of Outgoing."""

    def __init__(self) -> None:
        self._queue: deque[Outgoing] = deque()

    def __bool__(self) -> bool:
        return bool(self._queue)

    def put(self, outgoing: Outgoing) -> None:
        """Append messages."""
        if len(outgoing.rows):
            self._queue.append(outgoing)

    def take(self, limit: int) -> list[Outgoing]:
        """The oldest, up to limit messages."""
        taken: list[Outgoing] = []
        while self._queue and limit > 0:
            outgoing = self._queue.popleft()
            if len(outgoing.rows) > limit:
                outgoing, rest = outgoing.split(limit)
                self._queue.appendleft(rest)
            limit -= len(outgoing.rows)
            taken.append(outgoing)
        return taken
