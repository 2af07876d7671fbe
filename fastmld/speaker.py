"""MLDv2 Reports on their way to the outbox, as far as the budget goes.

While a Report waits for a token its interface decides nothing, so that no more than that ever waits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastmld.interface import Interface
from fastmld.listener_v2 import Record
from fastmld.outbox import Outbox
from fastmld.reports_v2 import Named, Reports, pack


class Speaker:
    """Reports of every interface. template_of: by interface."""

    def __init__(self, outbox: Outbox, template_of: npt.NDArray[np.uint32]) -> None:
        self._outbox = outbox
        self._template_of = template_of
        self._waiting: dict[int, list[Reports]] = {}

    def __bool__(self) -> bool:
        """Whether any Report waits."""
        return bool(self._waiting)

    def __contains__(self, interface: int) -> bool:
        """Whether a Report of an interface waits."""
        return interface in self._waiting

    def interfaces(self) -> list[int]:
        """Those of which Reports wait."""
        return list(self._waiting)

    def say(
        self,
        interface: Interface,
        rows: npt.NDArray[np.uint32],
        types: npt.NDArray[np.uint8],
        special: list[tuple[int, list[Record]]],
        at_ms: int,
        now_ms: int,
        named: Named | None = None,
    ) -> None:
        """Say what reports_v2.pack makes of these, at at_ms. Tokens are those of now_ms."""
        reports = pack(rows, types, special, interface.mtu, at_ms, int(self._template_of[interface.index]), named)
        if reports is not None:
            self.put(interface, reports, now_ms)

    def say_unlimited(
        self,
        interface: Interface,
        rows: npt.NDArray[np.uint32],
        types: npt.NDArray[np.uint8],
        special: list[tuple[int, list[Record]]],
        now_ms: int,
    ) -> None:
        """The same without a budget: last words, like a Done."""
        reports = pack(rows, types, special, interface.mtu, now_ms, self.template(interface))
        if reports is not None:
            self._outbox.put(reports)

    def template(self, interface: Interface) -> int:
        """What Reports of an interface that leave now are made of."""
        interface.reported_unspecified |= interface.link_local is None
        return int(self._template_of[interface.index])

    def put(self, interface: Interface, reports: Reports, now_ms: int) -> None:
        """Reports that were decided leave, as far as the tokens of now_ms go; the others wait."""
        self.template(interface)
        if interface.index not in self:
            reports = self._pay(interface, reports, now_ms)
        if len(reports):
            self._waiting.setdefault(interface.index, []).append(reports)
            interface.deferred += len(reports)

    def pay(self, interface: Interface, now_ms: int) -> bool:
        """Send what waits, oldest first, as far as the tokens of now_ms go; it leaves then. Whether that was all."""
        waiting = self._waiting.get(interface.index, [])
        while waiting:
            waiting[0].times_ms = now_ms
            waiting[0] = self._pay(interface, waiting[0], now_ms)
            if len(waiting[0]):
                return False
            del waiting[0]
        self.forget(interface.index)
        return True

    def paid_ms(self, interface: Interface, now_ms: int) -> int:
        """When there will have been tokens for all that waits."""
        rate_per_s = interface.budget.rate_per_s
        assert rate_per_s is not None
        return now_ms + 1 + 1000 * sum(map(len, self._waiting[interface.index])) // rate_per_s

    def forget(self, interface: int) -> None:
        """What waits is not said."""
        self._waiting.pop(interface, None)

    def _pay(self, interface: Interface, reports: Reports, now_ms: int) -> Reports:
        """Send Reports as far as tokens go; those that are left."""
        leaving, rest = reports.split(interface.budget.take(len(reports), now_ms))
        self._outbox.put(leaving)
        return rest
