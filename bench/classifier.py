"""The one call into C that checks, looks up and folds a batch, without what Python does after it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from fastmld_bench import workloads

from fastmld import FrameBatch, _native
from fastmld.batch import Folds
from fastmld.groups import GroupTable
from fastmld.interface import Interface


class Classifier:
    """Listens to groups of one interface, and takes batches of up to so many frames."""

    def __init__(self, n_groups: int, batch: int) -> None:
        self._table = GroupTable()
        self._table.join(0, workloads.groups(n_groups))
        interface = Interface.create(0, "lan0", mac="02:00:00:00:00:01", link_local="fe80::1", mld_version=1)
        self._records = np.zeros(1, _native.INTERFACE)
        self._records["mac"] = np.frombuffer(interface.mac, np.uint8)
        self._records["link_local"] = np.frombuffer(interface.link_local or b"", np.uint8)
        self._records["rules"] = interface.rules
        self._records["delay_ms"] = -1
        self._records["present"] = 1
        self._verdicts = np.empty(batch, np.uint8)
        self._columns = (*Folds.of_size(batch), np.empty(batch + 1, _native.FOLD))
        self._folds = _native.ffi.new("fastmld_folds *")
        kinds = ("uint32_t", "int32_t", "int64_t", "uint8_t", "fastmld_fold")
        for name, kind, column in zip((*Folds._fields, "scratch"), kinds, self._columns, strict=True):
            setattr(self._folds, name, _native.pin(f"{kind}[]", column))
        self._queries = np.empty(batch, _native.ANSWER), np.empty(batch, _native.GENERAL), np.empty(batch, np.uint32)

    def bind(self, batches: list[FrameBatch]) -> Callable[[], None]:
        """What classifies these batches, and clears up after each: nothing but calls into C."""
        pin, lib, table, found = _native.pin, _native.lib, self._table, _native.ffi.new("fastmld_found *")
        record = pin("fastmld_interface[]", self._records)
        columns, folds = self._columns, self._folds
        answers, generals, asked = self._queries
        asked = pin("uint32_t[]", asked)
        interface = pin("uint32_t[]", np.zeros(1, np.uint32))
        out = (
            pin("uint8_t[]", self._verdicts), _native.ffi.NULL, folds, pin("fastmld_answer[]", answers),
            pin("fastmld_general[]", generals), asked, found, _native.ffi.new("fastmld_heard2 *"),
        )  # fmt: skip
        pinned = [
            (pin("uint8_t[]", b.buffer), pin("int64_t[]", b.offsets), pin("uint32_t[]", b.lengths), len(b))
            for b in batches
        ]

        def classify() -> None:
            assert columns  # C borrows them
            for buffer, offsets, lengths, n in pinned:
                lib.fastmld_classify(table.c, record, 1, buffer, offsets, lengths, interface, 0, n, *out)
                lib.fastmld_settle(table.c, record, folds.row, found.folds, asked, found.asked)

        return classify
