"""What leaves, as frames: the templates of interfaces, and C's builders over what was decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from fastmld import _native
from fastmld._native import ffi, lib, pin
from fastmld.batch import FrameBatch
from fastmld.groups import GroupTable
from fastmld.interface import Interface
from fastmld.outbox import Outgoing
from fastmld.reports_v2 import Reports

_LONGEST_FRAME: Final = 90  # of MLDv1


class Builder:
    """Templates by number. Frames that wait keep the one that they were decided with."""

    def __init__(self, table: GroupTable) -> None:
        self._table = table
        self._v1 = np.zeros(0, _native.TEMPLATE)
        self._v2 = np.zeros(0, _native.TEMPLATE)
        self._owners: list[Interface] = []  # of each number

    def template(self, interface: Interface, latest: int, keep: bool) -> int:
        """A number for an interface as it is now: its latest, unless that is another's, or to be kept as it was."""
        at = latest
        if keep or at >= len(self._owners) or self._owners[at] is not interface:
            at = len(self._owners)
            self._owners.append(interface)
        if at >= len(self._v1):
            room = np.zeros(max(8, 2 * at) - len(self._v1), _native.TEMPLATE)
            self._v1, self._v2 = np.append(self._v1, room), np.append(self._v2, room)
            self._pinned_v1 = pin("fastmld_template[]", self._v1)
            self._pinned_v2 = pin("fastmld_template[]", self._v2)
        self._v1[at], self._v2[at] = interface.template(), interface.template_v2()
        return at

    def build(self, taken: Sequence[Outgoing | Reports], emptied: bool) -> FrameBatch:
        """Frames, in order, and count them as sent. emptied: nothing else waits."""
        n = sum([len(outgoing) for outgoing in taken])
        room = sum(
            [
                outgoing.octets + len(outgoing) * int(self._v2["length"][outgoing.templates])
                if isinstance(outgoing, Reports)
                else len(outgoing) * _LONGEST_FRAME
                for outgoing in taken
            ]
        )
        buffer, times_ms = np.empty(room, np.uint8), np.empty(n, np.int64)
        offsets, lengths, interfaces = np.empty(n, np.int64), np.empty(n, np.uint32), np.empty(n, np.uint32)
        pinned = (
            pin("uint8_t[]", buffer), pin("int64_t[]", offsets),
            pin("uint32_t[]", lengths), pin("uint32_t[]", interfaces),
        )  # fmt: skip
        out, *columns = pinned
        first, octets, of = 0, 0, taken[0].templates if taken else None
        sole = isinstance(of, int)
        for outgoing in taken:
            build = self._build_v2 if isinstance(outgoing, Reports) else self._build_v1
            octets = build(outgoing, out, octets, first, columns)  # type: ignore[arg-type]
            times_ms[first : first + len(outgoing)] = outgoing.times_ms
            first += len(outgoing)
            sole = sole and isinstance(outgoing.templates, int) and outgoing.templates == of
            self._count(outgoing, emptied)
        return FrameBatch(buffer[:octets], offsets, lengths, interfaces[:1] if sole else interfaces, times_ms, pinned)

    def _build_v1(self, messages: Outgoing, out: Any, at: int, first: int, columns: list[Any]) -> int:
        alike = isinstance(messages.templates, int)
        template = ffi.new("uint32_t *", messages.templates) if alike else pin("uint32_t[]", messages.templates)
        octets: int = lib.fastmld_emit(
            self._table.c, self._pinned_v1, pin("uint32_t[]", messages.rows), len(messages), messages.kind, template,
            not alike, out, at, first, *columns,
        )  # fmt: skip
        return octets

    def _build_v2(self, reports: Reports, out: Any, at: int, first: int, columns: list[Any]) -> int:
        records, borrowed = reports.records()
        octets: int = lib.fastmld_emit2(
            self._table.c, self._pinned_v2, reports.templates, records, pin("uint32_t[]", reports.edges), len(reports),
            out, at, first, *columns,
        )  # fmt: skip
        del borrowed
        return octets

    def _count(self, outgoing: Outgoing | Reports, emptied: bool) -> None:
        templates = outgoing.templates
        if isinstance(templates, int):
            counts = {templates: len(outgoing)}
        else:
            counts = {index: count for index, count in enumerate(np.bincount(templates).tolist()) if count}
        for index, count in counts.items():
            owner = self._owners[index]
            if isinstance(outgoing, Reports):
                owner.sent_report2 += count
            elif outgoing.kind == lib.FASTMLD_DONE:
                owner.sent_done += count
                continue
            else:
                owner.sent_report += count
            owner.budget.sent(None if emptied else count)
