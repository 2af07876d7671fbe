"""What `fastmld run` says of what goes wrong: on standard error, a line a reason, and seldom. The counters go on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from fastmld import VERDICTS
from fastmld.runtime import Runtime

_DROPPED: Final = {
    **{reason: f"dropped: {reason}" for reason in VERDICTS[1:]},
    "other_vlan": "left out: they carry a VLAN tag",
    "ring_dropped": "lost: the ring was full. A General Query may have been among them",
    "bad_blocks": "blocks of the ring given up: the kernel's offsets in them are wrong",
    "send_dropped": "not sent: the link went down, or refuses them",
    "deferred": "Reports deferred: the budget (report_rate) is spent",
    "v1_query_ignored": "MLDv1 Queries ignored: mld_version is 2",
    "v1_query_ssm": "MLDv1 Queries for source-specific addresses, which MLDv1 cannot ask for",
    "ssm_exclude": "joins of source-specific addresses that include no source, of which nothing is said",
    "send_blocked": "times the socket took no more frames; they are kept, and tried again",
}
_ANSWERED = ("general_query", "group_query", "source_query")
_STATES: Final = {
    "running": "its link is there again",
    "down": "it is set down, and nothing is said there until it is up",
    "no carrier": "there is no carrier, and nothing is said there until there is",
    "MTU too small": "its MTU is less than 1280, which is too small for IPv6, and nothing is said there",
    "gone": "it is gone; its groups wait for an interface of that name",
}


class Log:
    """Looks at a runtime's counters from time to time. intervals_s: by interface; of each of its reasons a line in
    so many seconds at most, and none where it is 0.
    """

    def __init__(self, runtime: Runtime, names: dict[int, str], intervals_s: dict[int, int]) -> None:
        self._runtime = runtime
        self._names = {index: name for index, name in names.items() if intervals_s[index]}
        self._intervals_ms = {index: 1000 * seconds for index, seconds in intervals_s.items()}
        self._counted: dict[tuple[int, str], int] = {}  # as of the latest line
        self._said_ms: dict[tuple[int, str], int] = {}
        self._states = dict.fromkeys(self._names, "running")
        self._modes = {index: runtime.engine.status(index).mode for index in self._names}

    def look(self) -> None:
        """Say what is new, as far as it is time to."""
        now_ms = self._runtime.now_ms()
        if not self._runtime.interfaces:
            return  # how the command ends says that
        for index in self._names:
            self._look_at(index, now_ms)

    def _look_at(self, index: int, now_ms: int) -> None:
        state = self._runtime.link_state(index)
        if state != self._states[index] and self._may_say(index, f"link {state}", now_ms):
            self._say(index, _STATES[state])
            self._states[index] = state
        counters = self._runtime.counters(index)
        for reason, what in _DROPPED.items():
            count, before = counters.get(reason, 0), self._counted.get((index, reason), 0)
            if count > before and self._may_say(index, reason, now_ms):
                self._say(index, f"{count - before} {what}; {count} in all")
                self._counted[index, reason] = count
        self._look_at_mode(index, now_ms)
        if counters["ssm_in_v1"] and (index, "ssm_in_v1") not in self._said_ms:
            self._said_ms[index, "ssm_in_v1"] = now_ms
            self._say(index, "MLDv1 is spoken, which cannot tell of source-specific addresses: nothing is said of them")
        if any(counters[kind] for kind in _ANSWERED) and (index, "kernel") not in self._said_ms:
            self._said_ms[index, "kernel"] = now_ms
            if _kernel_listens(self._names[index]):
                self._say(index, "the kernel's IPv6 is on there too, and answers for groups of its own")

    def _look_at_mode(self, index: int, now_ms: int) -> None:
        status = self._runtime.engine.status(index)
        if status.mode == self._modes[index] or not self._may_say(index, f"mode {status.mode}", now_ms):
            return
        if status.mode == "mldv1":
            self._say(index, f"mode mldv1: a Querier speaks it; the latest Query is from {status.querier}")
        else:
            self._say(index, "mode mldv2 again: no MLDv1 Querier is heard any more")
        self._modes[index] = status.mode

    def _may_say(self, index: int, reason: str, now_ms: int) -> bool:
        said_ms = self._said_ms.get((index, reason))
        if said_ms is not None and now_ms - said_ms < self._intervals_ms[index]:
            return False
        self._said_ms[index, reason] = now_ms
        return True

    def _say(self, index: int, what: str) -> None:
        print(f"fastmld: {self._names[index]}: {what}", file=sys.stderr, flush=True)


def _kernel_listens(name: str) -> bool:
    try:
        return (Path("/proc/sys/net/ipv6/conf") / name / "disable_ipv6").read_text().strip() == "0"
    except OSError:  # the kernel has no IPv6, or the interface is gone
        return False
