"""The engine on a virtual clock: recorded frames and local events in, what the engine sends out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from fastmld.batch import FrameBatch
from fastmld.engine import Engine

LAST_WAIT_MS = 3_600_000


def replay(
    engine: Engine,
    frames: FrameBatch,
    times_ms: NDArray[np.int64],
    events: Iterable[tuple[int, Callable[[int], object]]] = (),
    *,
    until_ms: int | None = None,
    batch: int = 4096,
    verdicts: NDArray[np.uint8] | None = None,
    kinds: NDArray[np.uint8] | None = None,
) -> Iterator[FrameBatch]:
    """Run `engine` through N frames and local events; yield what it sends, in order, as it sends it.

    times_ms: (N,) int64, when each frame arrives; one that runs backwards arrives at the latest time seen.
    events: (time, action) pairs in any order; `action(time)` is called at that time, say
    `(0, lambda now_ms: engine.join(lan, group, now_ms=now_ms))`. In one millisecond come events in the order
    given, then frames, then timers.
    until_ms: the last millisecond that runs; the engine is left at that time. Without it the run ends when nothing is
    pending, and at most an hour after the last event or frame.
    batch: frames handed to the engine at once, at the most; its answers do not depend on it.
    verdicts, kinds: (N,) uint8 arrays to fill; what belongs to frames after `until_ms` is left as it was.
    Exceptions are the engine's and the actions' own.
    """
    waiting = sorted(events, key=lambda event: event[0])
    arrivals = np.maximum.accumulate(times_ms)
    # First frame of each millisecond, and one past the last frame.
    edges = np.flatnonzero(np.diff(arrivals, prepend=arrivals[:1] - 1, append=arrivals[-1:] + 1)).tolist()
    arrivals_ms = arrivals[edges[:-1]].tolist()
    last_ms = max(arrivals_ms[-1:] + [time_ms for time_ms, _ in waiting[-1:]], default=None)
    stays = until_ms is not None
    if until_ms is None:
        if last_ms is None:
            return
        until_ms = last_ms + LAST_WAIT_MS
    interfaces = np.ascontiguousarray(frames.interfaces)

    event = moment = 0
    ran = False
    while True:
        times = [] if (deadline_ms := engine.next_deadline_ms()) is None else [deadline_ms]
        if event < len(waiting):
            times.append(waiting[event][0])
        if moment < len(arrivals_ms):
            times.append(arrivals_ms[moment])
        if not times or (now_ms := min(times)) > until_ms:
            if stays and ran:  # an MLDv1 Querier may be forgotten meanwhile, which is no deadline: nothing is sent then
                engine.advance(until_ms)
            return
        ran = True
        while event < len(waiting) and waiting[event][0] == now_ms:
            waiting[event][1](now_ms)
            event += 1
        if moment < len(arrivals_ms) and arrivals_ms[moment] == now_ms:
            for first in range(edges[moment], edges[moment + 1], batch):
                some = slice(first, min(first + batch, edges[moment + 1]))
                found = engine.receive(
                    FrameBatch(frames.buffer, frames.offsets[some], frames.lengths[some], interfaces[some]),
                    now_ms,
                    kinds=None if kinds is None else kinds[some],
                )
                if verdicts is not None:
                    verdicts[some] = found
            moment += 1
        engine.advance(now_ms)
        while len(sent := engine.transmit()):
            yield sent
