"""P1 to P11, and V1 to V6 of MLDv2: what to reach. The report, the table on the terminal and docs/performance.md are
made from this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Direction = Literal["at least", "at most"]


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure to reach. unit: of the figure, must and aim; "x" is a ratio of two contenders in one run."""

    id: str
    name: str  # for a table on the terminal
    what: str
    unit: str
    direction: Direction
    must: float | None
    aim: float | None = None
    on_the_wire: bool = False

    def holds(self, value: float) -> bool:
        """Whether a figure is what it must be."""
        return self.must is None or self._reaches(value, self.must)

    def is_reached(self, value: float) -> bool:
        """Whether a figure is what it aims at."""
        return self.aim is not None and self._reaches(value, self.aim)

    def _reaches(self, value: float, bar: float) -> bool:
        return value >= bar if self.direction == "at least" else value <= bar


GOALS: Final = (
    Goal(
        "P1", "engine in memory",
        "the engine in memory, Python included: 100 k groups, a mix that does not repeat",
        "frames/s", "at least", 11.4e6, 28.4e6,
    ),
    Goal(
        "P2", "memcpy / engine",
        "memcpy of the same ring slots / the engine of P1, frames/s",
        "x", "at most", 4.0, 1.5,
    ),
    Goal(
        "P3", "classify / memcpy",
        "classify alone, slots in L2 / memcpy of its 168 octets, time",
        "x", "at most", 4.0, 2.0,
    ),
    Goal(
        "P4", "Query, 1 M groups / 1",
        "a General Query that finds all timers running: 1 M groups / 1 group, time",
        "x", "at most", 1.10, 1.02,
    ),
    Goal(
        "P5", "worst order / mix",
        "the worst order that an attacker can choose, budget on / the engine of P1, frames/s",
        "x", "at least", 0.3, 0.8,
    ),
    Goal(
        "P6", "our CPU / a walk's",
        "on the wire: our CPU time a packet / that of a consumer that only walks the blocks",
        "x", "at most", 4.0, 2.0, on_the_wire=True,
    ),
    Goal(
        "P7", "Linux's CPU / ours",
        "on the wire: CPU time a General Query of Linux's listener / ours, 10 k groups, all timers running",
        "x", "at least", 1_000, 10_000, on_the_wire=True,
    ),
    Goal(
        "P8", "answered in time",
        "on the wire: groups answered within delay + 10 ms under a flood of Queries, 10 k groups",
        "%", "at least", 100, on_the_wire=True,
    ),
    Goal(
        "P8b", "lateness, p99.9",
        "on the wire: how late the answers of P8 left, of 999 in 1000",
        "ms", "at most", None, 2.0, on_the_wire=True,
    ),
    Goal(
        "P9a", "Reports built",
        "Reports built by transmit in memory, budget off",
        "frames/s", "at least", 10e6, 30e6,
    ),
    Goal(
        "P9b", "sent / sendmmsg",
        "on the wire: Reports sent / a bare sendmmsg loop, frames/s",
        "x", "at least", 0.8, 0.95, on_the_wire=True,
    ),
    Goal("P10a", "joining 1 M groups", "joining 1 M groups in one call", "s", "at most", 1.0, 0.2),
    Goal(
        "P10b", "memory a group",
        "memory a group, everything counted, after a General Query armed 1 M of them",
        "octets", "at most", 128, 64,
    ),
    Goal("P11a", "engine / scapy", "the engine / a scapy loop that does the same, packets/s", "x", "at least", 1_000),
    Goal("P11b", "engine / dpkt", "the engine / a dpkt loop that does the same, packets/s", "x", "at least", 100),
    Goal("P11c", "engine / Python", "the engine / a plain-Python listener, packets/s", "x", "at least", 10),
    Goal(
        "V1", "v2: Query, 1 M groups / 1",
        "an MLDv2 General Query that finds an answer pending: 1 M groups / 1 group, time",
        "x", "at most", 1.10, 1.02,
    ),
    Goal(
        "V2a", "v2: source Queries / mix",
        "MLDv2 Queries for sources that nobody asked for before / the mix of V5, frames/s",
        "x", "at least", 0.3, 0.8,
    ),
    Goal(
        "V2b", "v2: memory a source",
        "memory that the sources of Queries take, at the most that are kept, a source",
        "octets", "at most", 128, 64,
    ),
    Goal(
        "V3", "v2: records built",
        "records of MLDv2 Reports built by transmit in memory, budget off",
        "records/s", "at least", 10e6, 30e6,
    ),
    Goal("V4a", "v2: joining 1 M groups", "joining 1 M groups in one call, MLDv2", "s", "at most", 1.0, 0.2),
    Goal(
        "V4b", "v2: memory a group",
        "memory a group in MLDv2, everything counted, while 1 M of them are answered for",
        "octets", "at most", 128, 64,
    ),
    Goal(
        "V5", "v2: mix / mix",
        "the engine in MLDv2, a mix that does not repeat / the engine of P1, frames/s",
        "x", "at least", 0.3, 0.8,
    ),
    Goal(
        "V6", "v2: answered in time",
        "on the wire: groups answered within delay + 10 ms under 200 MLDv2 Queries a second, 10 k groups",
        "%", "at least", 100, on_the_wire=True,
    ),
)  # fmt: skip
BY_ID: Final = {goal.id: goal for goal in GOALS}


def chosen(names: str) -> list[Goal]:
    """The goals of "P1,P4,P9": P9 is P9a and P9b. Raises ValueError, which names what is none."""
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if not any(name in (goal.id, goal.id.rstrip("abc")) for goal in GOALS):
            raise ValueError(f"{name!r} is no goal: they are P1 to P11 and V1 to V6")
    return [goal for goal in GOALS if goal.id in wanted or goal.id.rstrip("abc") in wanted]
