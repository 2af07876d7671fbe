"""The budget: how many Reports an interface may send. A token bucket in whole numbers, on the caller's clock."""

from __future__ import annotations

MILLI = 1000


class Budget:
    """rate_per_s Reports a second, a burst of a tenth of that (at least one); None: no limit.

    Not more than a second's worth is granted ahead of what was sent: while a link takes nothing, answers wait as rows
    that owe one Report each, and not as Reports that pile up.
    """

    def __init__(self, rate_per_s: int | None) -> None:
        self._rate_per_s = rate_per_s
        self._burst = self._burst_of(rate_per_s)  # in millitokens
        self._filled_ms: int | None = None
        self._millitokens = 0
        self._unsent = 0  # granted, and not handed over yet

    @property
    def unlimited(self) -> bool:
        """Whether there is no limit at all."""
        return self._rate_per_s is None

    @property
    def rate_per_s(self) -> int | None:
        """Reports a second. A change leaves the tokens there are, as far as the new burst allows."""
        return self._rate_per_s

    @rate_per_s.setter
    def rate_per_s(self, rate_per_s: int | None) -> None:
        burst = self._burst_of(rate_per_s)
        self._millitokens = max(0, self._millitokens + burst - self._burst) if self._filled_ms is not None else 0
        self._rate_per_s, self._burst = rate_per_s, burst

    @staticmethod
    def _burst_of(rate_per_s: int | None) -> int:
        return 0 if rate_per_s is None else MILLI * max(1, rate_per_s // 10)

    def available(self, now_ms: int) -> int:
        """Tokens at now_ms."""
        rate_per_s, filled_ms, burst = self._rate_per_s, self._filled_ms, self._burst
        assert rate_per_s is not None
        tokens = burst if filled_ms is None else min(burst, self._millitokens + (now_ms - filled_ms) * rate_per_s)
        self._millitokens, self._filled_ms = tokens, now_ms
        return max(0, min(tokens // MILLI, rate_per_s - self._unsent))

    def take(self, wanted: int, now_ms: int) -> int:
        """Take up to so many tokens; how many there were."""
        if self._rate_per_s is None:
            return wanted
        granted = min(wanted, self.available(now_ms))
        self._millitokens -= granted * MILLI
        self._unsent += granted
        return granted

    def sent(self, reports: int | None) -> None:
        """So many of the granted Reports were handed over; None: all of them."""
        self._unsent = 0 if reports is None else max(0, self._unsent - reports)

    def next_ms(self, now_ms: int) -> int:
        """When there is a token, at the earliest."""
        if self._rate_per_s is None or self.available(now_ms) > 0:
            return now_ms
        missing = max(1, MILLI - self._millitokens)
        return now_ms + -(-missing // self._rate_per_s)
