"""What each interface knows as an MLDv2 host: its mode, the Querier's numbers, its answer to General Queries. Columns.

The merge rules of RFC 9777 section 6.2 as far as they are about General Queries: an answer that is pending is never
postponed, and while one is under way no Query with as long a window begins another; that one follows it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from fastmld._native import HOST, lib, pin
from fastmld.compat import query_intervals_s, robustness_variables
from fastmld.groups import NO_DEADLINE
from fastmld.interface import Interface

NONE: Final = NO_DEADLINE
_COLUMNS: Final = np.dtype(
    [
        ("pending_ms", "i8"),  # when the answer begins; NONE
        ("end_ms", "i8"),  # and by when it has left
        ("next_window_ms", "i8"),  # how long the one after the running one may take; NONE
        ("window_ms", "i8"),  # of the answer that runs; -1: none does
        ("v1_until_ms", "i8"),  # when the MLDv1 Querier is forgotten; NONE: there is none
        ("v1_check_ms", "i8"),  # when somebody will look at that; NONE
        ("interval_s", "i8"),
        ("default_robustness", "u1"),
        ("robustness", "u1"),
        ("v2", "?"),  # the interface speaks MLDv2 now
    ]
)


class Hosts:
    """Columns by interface. host: csrc/fastmld.h's fastmld_host, which C writes."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.host = np.zeros(0, HOST)
        self.several = False  # whether any interface may speak MLDv2
        self._adopt(np.zeros(0, _COLUMNS))
        self._grow(8)

    def _grow(self, n: int) -> None:
        columns, host = np.zeros(n, _COLUMNS), np.zeros(n, HOST)
        columns[: len(self.host)], host[: len(self.host)] = self._columns, self.host
        self.host = host
        self.pinned = pin("fastmld_host[]", host)
        self._adopt(columns)

    def _adopt(self, columns: npt.NDArray[np.void]) -> None:
        self._columns = columns
        self.pending_ms: npt.NDArray[np.int64] = columns["pending_ms"]
        self.end_ms: npt.NDArray[np.int64] = columns["end_ms"]
        self.next_window_ms: npt.NDArray[np.int64] = columns["next_window_ms"]
        self.window_ms: npt.NDArray[np.int64] = columns["window_ms"]
        self.v1_until_ms: npt.NDArray[np.int64] = columns["v1_until_ms"]
        self.v1_check_ms: npt.NDArray[np.int64] = columns["v1_check_ms"]
        self.interval_s: npt.NDArray[np.int64] = columns["interval_s"]
        self.robustness: npt.NDArray[np.uint8] = columns["robustness"]
        self.v2: npt.NDArray[np.bool_] = columns["v2"]

    def add(self, interface: Interface) -> None:
        """An interface that is new."""
        if interface.index >= len(self.host):
            self._grow(max(interface.index + 1, 2 * len(self.host)))
        self.host[interface.index] = np.zeros((), HOST)
        self.host["v1_general_ms"][interface.index] = -1
        self.v1_check_ms[interface.index] = NONE
        self._columns["default_robustness"][interface.index] = interface.settings.robustness
        self.several |= interface.mld_version != 1
        self.reset(interface)

    def reset(self, interface: Interface) -> None:
        """Nothing is known but the settings: no Querier was heard."""
        at = interface.index
        self.stop(at)
        self.v1_until_ms[at] = NONE
        self.host["querier"][at] = 0
        self.robustness[at] = interface.settings.robustness
        self.interval_s[at] = query_intervals_s(np.zeros(1, np.uint8))[0]
        self.v2[at] = interface.mld_version != 1

    def stop(self, interface: int) -> None:
        """No answer is pending, and none runs."""
        self.pending_ms[interface] = self.end_ms[interface] = self.next_window_ms[interface] = NONE
        self.window_ms[interface] = -1

    def learn(self, heard: npt.NDArray[np.uint32], now_ms: int) -> npt.NDArray[np.uint32]:
        """Take in what the Queries of a batch say of the Querier: heard are the interfaces that heard one, each once.

        Returns those whose end of MLDv1 is to be looked at when it comes.
        """
        host = self.host[heard]
        v1 = host["v1_general_ms"] >= 0
        sooner = self._learn_v1(heard[v1], host[v1], now_ms) if v1.any() else heard[:0]
        self._adopt_querier(heard[host["told"] != 0], "")
        return sooner

    def _learn_v1(
        self, asked: npt.NDArray[np.uint32], host: npt.NDArray[np.void], now_ms: int
    ) -> npt.NDArray[np.uint32]:
        """The same, as far as MLDv1 General Queries say it."""
        self._adopt_querier(asked[host["told_v1"] != 0], "_v1")
        window_ms = 1000 * self.interval_s[asked] * self.robustness[asked] + host["v1_general_ms"]
        self.v1_until_ms[asked] = now_ms + window_ms
        sooner = asked[self.v1_until_ms[asked] < self.v1_check_ms[asked]]
        self.v1_check_ms[sooner] = self.v1_until_ms[sooner]
        return sooner

    def check_v1_end(self, interface: int, at_ms: int) -> int | None:
        """Somebody looks at at_ms: when MLDv1 ends. If that is later he is to look again then; None: he need not."""
        if self.v1_check_ms[interface] != at_ms:
            return None
        until_ms = int(self.v1_until_ms[interface])
        self.v1_check_ms[interface] = until_ms if until_ms > at_ms else NONE
        return None if until_ms == NONE else until_ms

    def _adopt_querier(self, interfaces: npt.NDArray[np.uint32], suffix: str) -> None:
        host = self.host[interfaces]
        default = self._columns["default_robustness"][interfaces]
        self.robustness[interfaces] = robustness_variables(host["flags" + suffix], default)
        self.interval_s[interfaces] = query_intervals_s(host["interval_code" + suffix])

    def settle(self, heard: npt.NDArray[np.uint32]) -> None:
        """Clear what belongs to a batch."""
        for name in ("heard", "told", "told_v1", "general_ms"):
            self.host[name][heard] = 0
        self.host["v1_general_ms"][heard] = -1

    def robustness_of(self, interface: int) -> int:
        """How often a change is said."""
        return int(self.robustness[interface])

    def draw_ms(self, interface: int, most_ms: int, now_ms: int) -> int:
        """now_ms and a delay of 1 to most_ms that is drawn for an interface as a whole."""
        asked, most = np.array([interface], np.uint32), np.array([most_ms], np.int64)
        return int(self._draw(asked, most, now_ms)[0])

    def _draw(
        self, interfaces: npt.NDArray[np.uint32], most_ms: npt.NDArray[np.int64], now_ms: int
    ) -> npt.NDArray[np.int64]:
        drawn_ms = np.empty(len(interfaces), np.int64)
        lib.fastmld_draw_general(
            self._seed, pin("uint32_t[]", np.ascontiguousarray(interfaces)), len(interfaces), now_ms,
            pin("int32_t[]", most_ms.astype(np.int32)), pin("int64_t[]", drawn_ms),
        )  # fmt: skip
        return drawn_ms

    def ask(self, asked: npt.NDArray[np.uint32], delay_ms: npt.NDArray[np.int64], now_ms: int) -> None:
        """General Queries, one an interface: an answer is to begin and to end within delay_ms."""
        begin_ms = self._draw(asked, delay_ms, now_ms)
        window_ms = self.window_ms[asked]
        longer = (window_ms >= 0) & (delay_ms >= window_ms)
        following = longer & (self.pending_ms[asked] == NONE)
        after = asked[following]
        self.next_window_ms[after] = np.minimum(self.next_window_ms[after], delay_ms[following])
        sooner = asked[~longer]
        self.pending_ms[sooner] = np.minimum(self.pending_ms[sooner], begin_ms[~longer])
        self.end_ms[sooner] = np.minimum(self.end_ms[sooner], now_ms + delay_ms[~longer])
        self.next_window_ms[sooner] = NONE

    def begin(self, interface: int) -> int:
        """The pending answer begins: by when it has left."""
        begin_ms, end_ms = int(self.pending_ms[interface]), int(self.end_ms[interface])
        self.stop(interface)
        self.window_ms[interface] = end_ms - begin_ms
        return end_ms

    def end(self, interface: int, now_ms: int) -> bool:
        """The answer that ran is over. Whether another follows, that was asked for meanwhile: it is pending now."""
        self.window_ms[interface] = -1
        window_ms = int(self.next_window_ms[interface])
        if window_ms == NONE:
            return False
        self.pending_ms[interface] = now_ms + 1
        self.end_ms[interface] = now_ms + 1 + window_ms
        self.next_window_ms[interface] = NONE
        return True
