"""A worker that listens, with fastmld's own loop: python -m fastmld_bench.wire.listener CORE INTERFACE."""

from __future__ import annotations

import select
import sys
from typing import Any, Final

import numpy as np
from fastmld_bench import workloads
from fastmld_bench.wire.far_end import HEARD, named
from fastmld_bench.wire.worker import answer, begin, request

from fastmld import Engine, FrameBatch
from fastmld.runtime import Runtime

_LOOK_EVERY_MS: Final = 5


class NotingEngine(Engine):
    """Takes down for when each Report that it hands over was meant."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.meant: list[np.ndarray[Any, Any]] = []

    def transmit(self, limit: int = 65_536) -> FrameBatch:
        frames = super().transmit(limit)
        if len(frames):
            assert frames.times_ms is not None
            which, groups = named(frames.buffer, frames.offsets, frames.lengths)
            meant = np.empty(len(which), HEARD)
            meant["ns"] = frames.times_ms[which] * np.int64(1_000_000)
            meant["group"] = groups
            self.meant.append(meant)
        return frames


class _Closed(Exception):
    pass


class Listener:
    """From one `open` to its `close`; `mark` in between is answered with the counters."""

    def __init__(
        self, interface: str, groups: int, seed: int, ring: dict[str, int], noting: bool, mld_version: int | str
    ) -> None:
        self._engine = NotingEngine(seed) if noting else Engine(seed)
        self._ready = False
        with Runtime(self._engine) as self._runtime:
            settings = {"link_local": "fe80::fa57:31d", "unsolicited_report_repeats": 0, "mld_version": mld_version}
            self._lan = self._runtime.open(interface, ring=ring, **settings)
            self._runtime.join(self._lan, workloads.groups(groups))
            try:
                self._runtime.run(every_ms=_LOOK_EVERY_MS, report=self._look)
            except _Closed:
                answer("closed")

    def _look(self) -> None:
        """At what the other side wants: between two passes."""
        if not self._ready:
            self._ready = self._engine.next_deadline_ms() is None
            if self._ready:
                answer("open")
        elif select.select([sys.stdin], [], [], 0)[0]:
            what = request()
            if what["do"] == "close":
                raise _Closed
            if what["do"] == "meant":
                noted = self._engine.meant if isinstance(self._engine, NotingEngine) else []
                np.save(what["path"], np.concatenate([np.empty(0, HEARD), *noted]))
                answer("written")
            else:
                answer(self._runtime.counters(self._lan))


if __name__ == "__main__":
    (interface,) = begin()
    while True:
        asked = request()
        del asked["do"]
        Listener(interface, **asked)
