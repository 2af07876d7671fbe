"""What leaves, as frames: the templates of interfaces, and C's builders over what was decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from fastmld import _native
from fastmld._native import lib, pin
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
        n = sum(map(len, taken))
        octets = sum(
            outgoing.octets + len(outgoing) * int(self._v2["length"][outgoing.template])
            if isinstance(outgoing, Reports)
            else len(outgoing) * _LONGEST_FRAME
            for outgoing in taken
        )
        buffer, times_ms = np.empty(octets, np.uint8), np.empty(n, np.int64)
        frames = FrameBatch(buffer, np.empty(n, np.int64), np.empty(n, np.uint32), np.empty(n, np.uint32), times_ms)
        first = at = 0
        for outgoing in _runs(taken):
            count = len(outgoing) if isinstance(outgoing, Reports) else sum(map(len, outgoing))
            part = slice(first, first := first + count)
            run = FrameBatch(
                buffer[at:], frames.offsets[part], frames.lengths[part], frames._interfaces[part], times_ms[part]
            )
            build = self._build_v2 if isinstance(outgoing, Reports) else self._build_v1
            octets = build(outgoing, run, emptied)  # type: ignore[arg-type]
            run.offsets += at
            at += octets
        frames.buffer = buffer[:at]
        return frames

    def _build_v1(self, taken: list[Outgoing], frames: FrameBatch, emptied: bool) -> int:
        n = len(frames)
        rows, templates, kinds = np.empty(n, np.uint32), np.empty(n, np.uint32), np.empty(n, np.uint8)
        assert frames.times_ms is not None
        end = 0
        for outgoing in taken:
            part = slice(end, end := end + len(outgoing.rows))
            rows[part], templates[part] = outgoing.rows, outgoing.templates
            kinds[part], frames.times_ms[part] = outgoing.kind, outgoing.times_ms
        octets: int = lib.fastmld_emit(
            self._table.c, self._pinned_v1, pin("uint32_t[]", rows), pin("uint32_t[]", templates),
            pin("uint8_t[]", kinds), n, pin("uint8_t[]", frames.buffer), pin("int64_t[]", frames.offsets),
            pin("uint32_t[]", frames.lengths), pin("uint32_t[]", frames._interfaces),
        )  # fmt: skip
        done = kinds == lib.FASTMLD_DONE
        dones = np.bincount(templates[done], minlength=len(self._owners))
        reports = np.bincount(templates[~done], minlength=len(self._owners))
        for index in np.flatnonzero(dones + reports).tolist():
            self._owners[index].sent_done += int(dones[index])
            self._owners[index].sent_report += int(reports[index])
            self._owners[index].budget.sent(None if emptied else int(reports[index]))
        return octets

    def _build_v2(self, reports: Reports, frames: FrameBatch, emptied: bool) -> int:
        assert frames.times_ms is not None
        frames.times_ms[:] = reports.times_ms
        owner = self._owners[reports.template]
        owner.sent_report2 += len(reports)
        owner.budget.sent(None if emptied else len(reports))
        records, borrowed = reports.records()
        octets: int = lib.fastmld_emit2(
            self._table.c, self._pinned_v2, reports.template, records, pin("uint32_t[]", reports.edges), len(reports),
            pin("uint8_t[]", frames.buffer), pin("int64_t[]", frames.offsets), pin("uint32_t[]", frames.lengths),
            pin("uint32_t[]", frames._interfaces),
        )  # fmt: skip
        del borrowed
        return octets


def _runs(taken: Sequence[Outgoing | Reports]) -> list[list[Outgoing] | Reports]:
    """Messages of MLDv1 that follow each other are built together."""
    runs: list[list[Outgoing] | Reports] = []
    for outgoing in taken:
        if isinstance(outgoing, Reports):
            runs.append(outgoing)
        elif runs and isinstance(runs[-1], list):
            runs[-1].append(outgoing)
        else:
            runs.append([outgoing])
    return runs
