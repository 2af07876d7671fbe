"""What a batch says: the one call into C that checks, looks up and folds it, with the memory that this works in.

C goes by a record of each interface, and counts in it. What it leaves behind is looked at, and then settled.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from fastmld import _native
from fastmld._native import lib, pin
from fastmld.batch import Folds, FrameBatch
from fastmld.errors import UnknownInterface
from fastmld.groups import GroupTable
from fastmld.hosts import Hosts
from fastmld.interface import Interface

_FOLD_TYPES: Final = ("uint32_t", "int32_t", "int64_t", "uint8_t", "fastmld_fold")
_FEWEST_FRAMES: Final = 4096

Late = list[tuple[int, int, int, int]]


class Classifier:
    """Of one group table. What is classified has to be settled, whatever happens between."""

    def __init__(self, table: GroupTable, hosts: Hosts) -> None:
        self._table = table
        self._hosts = hosts
        self._records = np.zeros(0, _native.INTERFACE)
        self._pinned_records = pin("fastmld_interface[]", self._records)
        self._found = _native.ffi.new("fastmld_found *")
        self._heard = _native.ffi.new("fastmld_heard2 *")
        self._size = -1
        self.reserve(0)

    # Interfaces

    def add(self, interface: Interface) -> None:
        """Frames of it are known from now on."""
        if interface.index >= len(self._records):
            grown = np.zeros(max(8, 2 * len(self._records)), _native.INTERFACE)
            grown[: len(self._records)] = self._records
            self._records = grown
            self._pinned_records = pin("fastmld_interface[]", grown)
        record = self._records[interface.index : interface.index + 1]
        record[:] = np.zeros(1, _native.INTERFACE)
        record["delay_ms"] = -1
        record["present"] = 1
        self.show(interface)

    def remove(self, interface: int) -> None:
        """Frames of it are strangers' from now on."""
        self._records["present"][interface] = 0

    def show(self, interface: Interface) -> None:
        """Its addresses or its rules are not what they were."""
        record = self._records[interface.index : interface.index + 1]
        v2 = bool(self._hosts.v2[interface.index])
        record["rules"] = interface.rules | (lib.FASTMLD_RULE_V2 if v2 else 0)
        record["mac"] = np.frombuffer(interface.mac, np.uint8)
        record["link_local"] = np.frombuffer(interface.link_local or bytes(16), np.uint8)

    def counts(self, interface: int) -> tuple[list[int], list[int]]:
        """How many frames had each verdict, and were of each kind."""
        record = self._records[interface]
        return record["verdicts"].tolist(), record["kinds"].tolist()

    # A batch

    def reserve(self, n: int) -> None:
        """Memory for a batch of n frames."""
        if n <= self._size:
            return
        size = max(n, _FEWEST_FRAMES)
        folds, scratch = Folds.of_size(size), np.empty(size + 1, _native.FOLD)
        answers, generals = np.empty(size, _native.ANSWER), np.empty(size, _native.GENERAL)
        asked, late = np.empty(size, np.uint32), np.empty(size, _native.LATE)
        queries, hearing = np.empty(size, _native.QUERY2), np.empty(size, np.uint32)
        c_folds = _native.ffi.new("fastmld_folds *")
        pinned = [pin(f"{ctype}[]", column) for ctype, column in zip(_FOLD_TYPES, (*folds, scratch), strict=True)]
        c_folds.row, c_folds.delay_ms, c_folds.deadline_ms, c_folds.key, c_folds.scratch = pinned
        self._pinned_asked, self._pinned_late = pin("uint32_t[]", asked), pin("fastmld_late[]", late)
        self._pinned_scratch = (
            c_folds, pin("fastmld_answer[]", answers), pin("fastmld_general[]", generals), self._pinned_asked,
            self._found, self._heard,
        )  # fmt: skip
        self._folds, self._answers, self._late, self._queries, self._hearing = folds, answers, late, queries, hearing
        self._c_folds, self._pinned_folds = c_folds, pinned
        self._pinned_heard = pin("fastmld_query2[]", queries), pin("uint32_t[]", hearing)
        self._heard.queries, self._heard.heard = self._pinned_heard
        self._size = size  # last: had there been no memory, C would write where there is none

    def classify(
        self, frames: FrameBatch, verdicts: npt.NDArray[np.uint8], kinds: npt.NDArray[np.uint8] | None
    ) -> None:
        """Take in frames, as many as there are verdicts, for which there is memory, or up to one that changes a mode.

        verdicts, kinds: (N,) out. Raises UnknownInterface: then nothing was taken in.
        """
        found = self._found
        self._heard.hosts = self._hosts.pinned
        lib.fastmld_classify(
            self._table.c, self._pinned_records, len(self._records), *frames.pinned, len(frames._interfaces) > 1,
            len(verdicts), pin("uint8_t[]", verdicts), _native.ffi.NULL if kinds is None else pin("uint8_t[]", kinds),
            *self._pinned_scratch,
        )  # fmt: skip
        if found.bad_interface:
            raise UnknownInterface(f"frame {found.bad_interface - 1} is of an interface that is not there")

    @property
    def switched(self) -> int:
        """1 + the frame that `classify` ended before: it changes the mode of its interface; 0: none did."""
        return int(self._heard.switched)

    def said(self, now_ms: int) -> tuple[Folds, npt.NDArray[np.void], Late] | None:
        """What MLDv1 says of rows: folds, answers, and the interfaces on which a General Query changes something, as
        csrc/fastmld.h's fastmld_late. None: nothing.
        """
        found = self._found
        if not found.folds and not found.asked:
            return None
        late = lib.fastmld_find_late(
            self._table.c, self._pinned_records, self._pinned_asked, found.asked, now_ms, self._pinned_late
        )
        return self._folds.first(found.folds), self._answers[: found.answers], self._late[:late].tolist()

    def said_v2(self) -> tuple[npt.NDArray[np.void], npt.NDArray[np.uint32]] | None:
        """Queries for one address in MLDv2, and the interfaces that heard any Query, each once. None: nothing."""
        heard = self._heard
        if not heard.n_heard and not heard.n_queries:
            return None
        return self._queries[: heard.n_queries], self._hearing[: heard.n_heard]

    def settle(self) -> None:
        """Clear what the batch left in rows and interfaces: those that are not settled are deaf from then on."""
        found = self._found
        lib.fastmld_settle(
            self._table.c, self._pinned_records, self._c_folds.row, found.folds, self._pinned_asked, found.asked
        )
        if self._heard.n_heard:
            self._hosts.settle(self._hearing[: self._heard.n_heard])
