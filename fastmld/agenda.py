"""When each interface has something next: a heap of milliseconds, of which those that no longer hold are ignored."""

from __future__ import annotations

import heapq


class Agenda:
    """At most one millisecond an interface counts."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int]] = []
        self._next_ms: dict[int, int] = {}

    def expect(self, interface: int, at_ms: int) -> None:
        """An interface has something at at_ms, if not sooner."""
        if at_ms < self._next_ms.get(interface, at_ms + 1):
            self._next_ms[interface] = at_ms
            heapq.heappush(self._heap, (at_ms, interface))

    def forget(self, interface: int) -> None:
        """An interface has nothing any more."""
        self._next_ms.pop(interface, None)

    def next_ms(self) -> int | None:
        """When the first of them has something; None: nothing is expected."""
        while self._heap:
            at_ms, interface = self._heap[0]
            if self._next_ms.get(interface) == at_ms:
                return at_ms
            heapq.heappop(self._heap)
        return None

    def take(self, until_ms: int) -> list[int]:
        """Take the interfaces that have something by until_ms."""
        taken = []
        while (at_ms := self.next_ms()) is not None and at_ms <= until_ms:
            interface = heapq.heappop(self._heap)[1]
            self.forget(interface)
            taken.append(interface)
        return taken
