"""The script of local events: read and checked whole, then carried out one by one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmld.addresses import consecutive
from fastmld.cli.errors import CommandError
from fastmld.constants import DEFAULT_MAX_GROUPS
from fastmld.engine import Engine
from fastmld.errors import GroupTableFull
from fastmld.links.capture import LATEST_SECONDS

LINK_LOCAL = IPv6Network("fe80::/10")
LAST_ADDRESS = 2**128 - 1


@dataclass(frozen=True)
class Event:
    """One line of the script. Each operation uses the fields that it has keys for."""

    line: int
    time_ms: int
    op: str
    group: int = 0
    count: int = 1
    delay_ms: int = 0
    address: IPv6Address | None = None
    mode: str = "include"
    sources: tuple[IPv6Address, ...] = ()
    listener: str = "0"


def to_ms(seconds: Decimal | int) -> int:
    """Seconds as the nearest whole millisecond. ValueError: not a time."""
    if not -LATEST_SECONDS <= seconds <= LATEST_SECONDS:
        raise ValueError(f"a time of {seconds} seconds")
    return round(seconds * 1000)


def read_script(path: str) -> list[Event]:
    """The events of a script, sorted stably by time; `-` is standard input.

    CommandError: the first line that is wrong, before anything has happened.
    """
    try:
        octets = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    events = []
    for number, line in enumerate(octets.split(b"\n"), 1):
        if line.strip():
            try:
                events.append(_event(number, line))
            except (ValueError, ArithmeticError, RecursionError) as error:
                raise CommandError(f"{path}: line {number}: {error}") from error
    return sorted(events, key=lambda event: event.time_ms)


def _event(number: int, line: bytes) -> Event:
    try:
        entry = json.loads(line.decode(), parse_float=Decimal, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg}") from error
    if not isinstance(entry, dict):
        raise ValueError("not a JSON object")
    time, op = entry.pop("t", None), entry.pop("op", None)
    if isinstance(time, bool) or not isinstance(time, int | Decimal):
        raise ValueError('"t" is not a number' if time is not None else 'no "t"')
    if not isinstance(op, str) or op not in OPERATIONS:
        raise ValueError(f"unknown op {op!r}")
    required, optional = OPERATIONS[op]
    for key in required:
        if key not in entry:
            raise ValueError(f'{op} without "{key}"')
    for key in entry:
        if key not in required and key not in optional:
            raise ValueError(f"unknown key {key!r} of {op}")
    event = Event(number, to_ms(time), op, **{key: FIELDS[key](value) for key, value in entry.items()})
    if event.group + event.count - 1 > LAST_ADDRESS:
        raise ValueError(f"{event.count} groups run past the last address")
    return event


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _address(value: object) -> IPv6Address:
    if not isinstance(value, str) or "%" in value:
        raise ValueError(f"{value!r} is not an IPv6 address")
    return IPv6Address(value)


def _group(value: object) -> int:
    group = _address(value)
    if group.packed[0] != 0xFF:
        raise ValueError(f"{value!r} is not a multicast address")
    return int(group)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"a count of {value!r}")
    return value


def _delay_ms(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LATEST_SECONDS * 1000:
        raise ValueError(f"a delay_ms of {value!r}")
    return value


def _link_local(value: object) -> IPv6Address | None:
    if value is None:
        return None
    address = _address(value)
    if address not in LINK_LOCAL:
        raise ValueError(f"{value!r} is not a link-local address")
    return address


def _mode(value: object) -> str:
    if not isinstance(value, str) or value not in ("include", "exclude"):
        raise ValueError(f"a mode of {value!r}, neither include nor exclude")
    return value


def _sources(value: object) -> tuple[IPv6Address, ...]:
    if not isinstance(value, list):
        raise ValueError("sources are not a list")
    sources = tuple(_address(source) for source in value)
    for source in sources:
        if source.packed[0] == 0xFF or source.is_unspecified:
            raise ValueError(f"source {source} is not a unicast address")
    return sources


def _listener(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a listener of {value!r}")
    return value


FIELDS: dict[str, Callable[[object], Any]] = {
    "group": _group,
    "count": _count,
    "delay_ms": _delay_ms,
    "address": _link_local,
    "mode": _mode,
    "sources": _sources,
    "listener": _listener,
}

# Keys beside t and op: those that must be there, those that may.
OPERATIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "join": (("group",), ("count", "delay_ms")),
    "leave": (("group",), ("count",)),
    "down": ((), ()),
    "up": ((), ()),
    "link_local": (("address",), ()),
    "listen": (("group", "mode"), ("sources", "listener")),
}


class LocalHost:
    """What stands above one interface of an engine: its listeners, and who administers it."""

    def __init__(self, engine: Engine, interface: int) -> None:
        self._engine = engine
        self._interface = interface

    def carry_out(self, event: Event) -> None:
        """Do what `event` says, at its time. FastMLDError: it cannot be done, and nothing was."""
        engine, interface, now_ms = self._engine, self._interface, event.time_ms
        match event.op:
            case "join":
                groups = _consecutive(event.group, event.count)
                engine.join(interface, groups, now_ms=now_ms, delay_ms=event.delay_ms)
            case "leave":
                engine.leave(interface, _consecutive(event.group, event.count), now_ms=now_ms)
            case "down" | "up":
                engine.set_up(interface, event.op == "up", now_ms=now_ms)
            case "link_local":
                engine.set_link_local(interface, event.address, now_ms=now_ms)
            case "listen":
                group = IPv6Address(event.group)
                engine.listen(interface, group, event.mode, event.sources, listener=event.listener, now_ms=now_ms)


def _consecutive(first: int, count: int) -> NDArray[np.uint8]:
    """(count, 16) uint8: addresses from `first` on. GroupTableFull: more than any interface holds."""
    if count > DEFAULT_MAX_GROUPS:
        raise GroupTableFull(f"{count} groups are more than an interface holds")
    return consecutive(first, count)
