"""What has been decided and not yet been asked for: rows, and what to say of them. No frame is stored."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastmld.groups import Rows
from fastmld.reports_v2 import Reports


@dataclass(slots=True)
class Outgoing:
    """Messages in the order in which they leave: columns, of which those that are one number hold for every row."""

    rows: Rows
    kind: int
    times_ms: int | npt.NDArray[np.int64]
    templates: int | npt.NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.rows)

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
    """A queue of both."""

    def __init__(self) -> None:
        self._queue: deque[Outgoing | Reports] = deque()

    def __bool__(self) -> bool:
        return bool(self._queue)

    def put(self, outgoing: Outgoing | Reports) -> None:
        """Append messages."""
        if len(outgoing):
            self._queue.append(outgoing)

    def take(self, limit: int) -> list[Outgoing | Reports]:
        """The oldest, up to limit messages."""
        taken: list[Outgoing | Reports] = []
        while self._queue and limit > 0:
            outgoing = self._queue.popleft()
            if len(outgoing) > limit:
                outgoing, rest = outgoing.split(limit)
                self._queue.appendleft(rest)
            limit -= len(outgoing)
            taken.append(outgoing)
        return taken
