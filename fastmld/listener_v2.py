"""RFC 9777's listener: source filters, what a change of one gives to say, what is asked of one. Pure: values in, out.

Section 4: what several local listeners ask for, merged. Section 6.1: the difference that a change makes, and how often
each part of it is still to be said. Section 6.3: what a Query gets to hear. A record is (type, its sources, sorted).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from fastmld.constants import (
    ALLOW_NEW_SOURCES,
    BLOCK_OLD_SOURCES,
    CHANGE_TO_EXCLUDE_MODE,
    CHANGE_TO_INCLUDE_MODE,
    MODE_IS_EXCLUDE,
    MODE_IS_INCLUDE,
)

INCLUDE: Final = "include"
EXCLUDE: Final = "exclude"
Record = tuple[int, list[bytes]]


class Filter(NamedTuple):
    """From these sources only, or from all but these."""

    mode: str
    sources: frozenset[bytes]

    def forwards(self, source: bytes) -> bool:
        """Whether what this source sends is asked for."""
        return (source in self.sources) == (self.mode == INCLUDE)


NOT_LISTENING: Final = Filter(INCLUDE, frozenset())
ANY_SOURCE: Final = Filter(EXCLUDE, frozenset())


def merged(filters: Iterable[Filter]) -> Filter:
    """What an interface asks for when its local listeners ask for these (section 4.2)."""
    included: set[bytes] = set()
    excluded: frozenset[bytes] | None = None
    for mode, sources in filters:
        if mode == INCLUDE:
            included |= sources
        else:
            excluded = sources if excluded is None else excluded & sources
    if excluded is None:
        return Filter(INCLUDE, frozenset(included))
    return Filter(EXCLUDE, excluded - included)


@dataclass(slots=True)
class Unsaid:
    """How many State-Change Reports are still to name an address (section 6.1): its mode, and each source."""

    mode_left: int = 0
    left: dict[bytes, int] = field(default_factory=dict)

    @property
    def most(self) -> int:
        """How many Reports are left."""
        return max(self.mode_left, max(self.left.values(), default=0))

    def change(self, old: Filter, new: Filter, robustness: int) -> bool:
        """A filter became another: the difference is to be said so often. False: there is none."""
        if old.mode != new.mode:
            self.mode_left = robustness
            self.left.clear()
            return True
        difference = old.sources ^ new.sources
        self.left.update(dict.fromkeys(difference, robustness))
        return bool(difference)

    def records(self, now: Filter) -> list[Record]:
        """What the next Report says of a filter that is like this now."""
        if self.mode_left:
            change = CHANGE_TO_INCLUDE_MODE if now.mode == INCLUDE else CHANGE_TO_EXCLUDE_MODE
            return [(change, sorted(now.sources))]
        allowed = sorted(source for source in self.left if now.forwards(source))
        blocked = sorted(source for source in self.left if not now.forwards(source))
        both = ((ALLOW_NEW_SOURCES, allowed), (BLOCK_OLD_SOURCES, blocked))
        return [record for record in both if record[1]]

    def said(self) -> None:
        """A Report left."""
        self.mode_left = max(0, self.mode_left - 1)
        self.left = {source: times - 1 for source, times in self.left.items() if times > 1}


def current_state(now: Filter) -> Record:
    """The answer to a Query for everything."""
    return MODE_IS_INCLUDE if now.mode == INCLUDE else MODE_IS_EXCLUDE, sorted(now.sources)


def asked_for(now: Filter, sources: Iterable[bytes]) -> list[Record]:
    """The answer to a Query for these sources (section 6.3): those of them that are asked for."""
    wanted = sorted(source for source in sources if now.forwards(source))
    return [(MODE_IS_INCLUDE, wanted)] if wanted else []


def last_words(now: Filter) -> Record:
    """What takes a filter back."""
    if now.mode == EXCLUDE:
        return CHANGE_TO_INCLUDE_MODE, []
    return BLOCK_OLD_SOURCES, sorted(now.sources)
