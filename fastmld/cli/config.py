"""What `fastmld run` does on each interface: from the command line, and from a TOML file.

The keys of the file, all optional:

    join = ["ff05::101", "ff05::1:0+100000"]    # GROUP, or GROUP+N: N consecutive addresses from GROUP on
    link_local = "fe80::1"                      # instead of the address that the kernel has there
    mld_version = 1
    profile = "strict"                          # or "rfc2710": which frames are valid
    report_rate = "auto"                        # Reports a second; "auto": max(100,000, groups / 5)
    unsolicited_report_interval_ms = 10_000
    unsolicited_report_repeats = 1
    done_always = false                         # Done even where another host reported last
    max_groups = 4_000_000
    ring = { blocks = 256, block_size = 16_384, retire_ms = 2 }    # what is received into; block_size in octets
    max_waiting = 65_536                        # frames that are kept while the socket takes none
    log_interval_s = 60                         # of each reason to log, a line in so many seconds at most; 0: no log

    [interface.lan0]                            # as `-i lan0`. May hold each of the keys above, for this interface
    join = ["ff05::102"]                        # beside those for all

    [interface.lan1]                            # and may be empty

At the top a key is meant for every interface, those of `-i` too. What a table of an interface says goes before that,
and what the command line says before both; groups add up.
"""

from __future__ import annotations

import mmap
import tomllib
from dataclasses import dataclass, fields
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmld.addresses import consecutive
from fastmld.cli.errors import CommandError
from fastmld.constants import DEFAULT_MAX_GROUPS
from fastmld.interface import Interface, Settings
from fastmld.links import MAX_WAITING

_SETTINGS = {"link_local", "mld_version", "profile"} | {field.name for field in fields(Settings)}
_RING = {"blocks": 1, "block_size": 1, "retire_ms": 0}  # and the least that each may be
_OF_THE_PORT = {"max_waiting": 1, "log_interval_s": 0}
_LARGEST_NUMBER = (1 << 31) - 1
LOG_INTERVAL_S = 60
_LAST_ADDRESS = (1 << 128) - 1
_ANY_MAC = bytes((2, 0, 0, 0, 0, 1))


@dataclass
class Port:
    """An interface of this machine, and what is done there."""

    name: str
    groups: npt.NDArray[np.uint8]  # (N, 16)
    ring: dict[str, int]
    settings: dict[str, Any]  # of Engine.add_interface
    max_waiting: int = MAX_WAITING
    log_interval_s: int = LOG_INTERVAL_S


def plan(names: list[str], join: list[str], path: Path | None, given: dict[str, Any]) -> list[Port]:
    """What to do, checked whole; CommandError names what is wrong. given: settings of the command line."""
    for name in names:
        if names.count(name) > 1:
            raise CommandError(f"-i {name} is given twice")
    document = {} if path is None else _read(path)
    tables = document.pop("interface", {})
    if not isinstance(tables, dict):
        raise CommandError(f"{path}: interface is a table of tables: [interface.lan0]")
    everywhere = _checked(document, str(path))
    ports = []
    for name in [*names, *(name for name in tables if name not in names)]:
        here = _checked(tables.get(name, {}), f"{path}: [interface.{name}]")
        settings = everywhere | here | given
        specs = [*everywhere.get("join", ()), *here.get("join", ()), *join]
        ring = settings.pop("ring", {})
        own = {key: settings.pop(key) for key in _OF_THE_PORT if key in settings}
        settings.pop("join", None)
        try:
            if "%" in settings.get("link_local", ""):
                raise ValueError(f"{settings['link_local']!r} is not an IPv6 address")
            Interface.create(0, name, mac=_ANY_MAC, **settings)
            most = settings.get("max_groups", DEFAULT_MAX_GROUPS)
            groups = [groups_of(spec, most) for spec in specs]
        except ValueError as error:
            raise CommandError(f"{name}: {error}") from error
        ports.append(Port(name, np.concatenate([np.empty((0, 16), np.uint8), *groups]), ring, settings, **own))
    if not ports:
        raise CommandError("run needs an interface: -i IFACE, or a table [interface.IFACE] in the --config file")
    if not any(len(port.groups) for port in ports):
        raise CommandError("run needs groups: --join GROUP[+N], or join in the --config file")
    return ports


def groups_of(spec: str, most: int = DEFAULT_MAX_GROUPS) -> npt.NDArray[np.uint8]:
    """(N, 16) uint8: the addresses that GROUP or GROUP+N means. Raises ValueError, which names it."""
    text, plus, count = spec.partition("+")
    try:
        if "%" in text:
            raise ValueError
        first = int(IPv6Address(text))
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv6 address") from None
    if first >> 120 != 0xFF:
        raise ValueError(f"{text} is not a multicast address")
    if plus and not (count.isascii() and count.isdecimal() and len(count) < 40 and int(count)):
        raise ValueError(f"{spec!r} is not GROUP+N with N addresses, 1 or more")
    n = int(count or 1)
    if first + n - 1 > _LAST_ADDRESS:
        raise ValueError(f"{spec} runs past the last address")
    if n > most:
        raise ValueError(f"{spec} is more than the {most} groups that an interface may have")
    return consecutive(first, n)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path}: {error}") from error


def _checked(table: object, where: str) -> dict[str, Any]:
    """A table whose keys are all known, and whose join, link_local and ring are of the right kind."""
    if not isinstance(table, dict):
        raise CommandError(f"{where} is not a table")
    for key in table:
        if key not in _SETTINGS and key not in _OF_THE_PORT and key not in ("join", "ring"):
            raise CommandError(f"{where}: unknown key {key!r}")
    join, link_local = table.get("join", []), table.get("link_local", "")
    if not isinstance(join, list) or not all(isinstance(spec, str) for spec in join):
        raise CommandError(f"{where}: join is a list of strings, not {join!r}")
    if not isinstance(link_local, str):
        raise CommandError(f"{where}: link_local is an IPv6 address, not {link_local!r}")
    _check_ring(table.get("ring", {}), where)
    for key, least in _OF_THE_PORT.items():
        if key in table and not _is_whole(table[key], least):
            raise CommandError(f"{where}: {key} is a whole number of {least} or more, not {table[key]!r}")
    return table


def _check_ring(ring: object, where: str) -> None:
    if not isinstance(ring, dict):
        raise CommandError(f"{where}: ring is a table, not {ring!r}")
    for key, value in ring.items():
        if key not in _RING:
            raise CommandError(f"{where}: unknown key {key!r} of ring")
        if not _is_whole(value, _RING[key]):
            raise CommandError(f"{where}: {key} of ring is a whole number of {_RING[key]} or more, not {value!r}")
        if key == "block_size" and value % mmap.PAGESIZE:
            raise CommandError(f"{where}: block_size of ring is a multiple of {mmap.PAGESIZE}, not {value}")


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _LARGEST_NUMBER
