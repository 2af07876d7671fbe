"""What `fastmld run` does on each interface: from the command line, and from a TOML file.

The keys of the file, all optional:

    join = [
        "ff05::101",                            # GROUP
        "ff05::1:0+100000",                     # GROUP+N: N consecutive addresses from GROUP on
        "2001:db8::1,ff3e::8000:1",             # SOURCE,GROUP, or SOURCE,GROUP+N: from that source only; these add up
    ]
    link_local = "fe80::1"                      # instead of the address that the kernel has there
    mld_version = "auto"                        # MLDv2, and MLDv1 where a Querier speaks that; or 1, or 2, alone
    robustness = 2                              # until an MLDv2 Querier says another
    state_change_interval_ms = 1000             # MLDv2's Unsolicited Report Interval
    max_sources = 1024                          # in the list of one listener of one group
    profile = "strict"                          # or "rfc2710": which frames are valid
    report_rate = "auto"                        # Reports a second; "auto": max(100,000, groups / 5)
    unsolicited_report_interval_ms = 10_000
    unsolicited_report_repeats = 1
    done_always = false                         # Done even where another host reported last
    max_groups = 4_000_000
    ring = { blocks = 256, block_size = 16_384, retire_ms = 2 }    # what is received into; block_size in octets
    max_waiting = 65_536                        # frames that are kept while the socket takes none
    log_interval_s = 60                         # of each reason to log, a line in so many seconds at most; 0: no log

    [[listen]]                                  # source filters: each of these tables is a listener of its own
    group = "ff3e::8000:1"                      # GROUP or GROUP+N
    include = ["2001:db8::1", "2001:db8::2"]    # from these sources only

    [[listen]]
    group = "ff05::1:3"
    exclude = ["2001:db8::bad"]                 # from all but these; with none, as join

    [interface.lan0]                            # as `-i lan0`. May hold each of the keys above, for this interface
    join = ["ff05::102"]                        # beside those for all

    [[interface.lan0.listen]]
    group = "ff05::1:4"
    exclude = ["2001:db8::bad"]

    [interface.lan1]                            # and may be empty

At the top a key is meant for every interface, those of `-i` too. What a table of an interface says goes before that,
and what the command line says before both; groups and listeners add up. What several listeners of one group come to is
what RFC 9777 section 4.2 says: a source passes if one of them lets it.
"""

from __future__ import annotations

import mmap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastmld.addresses import consecutive, source_octets
from fastmld.cli.errors import CommandError
from fastmld.constants import DEFAULT_MAX_GROUPS, DEFAULT_MAX_SOURCES
from fastmld.interface import Interface, Settings
from fastmld.links import MAX_WAITING

_SETTINGS = {"link_local", "mld_version", "profile"} | {field.name for field in fields(Settings)}
_RING = {"blocks": 1, "block_size": 1, "retire_ms": 0}  # and the least that each may be
_OF_THE_PORT = {"max_waiting": 1, "log_interval_s": 0}
_LARGEST_NUMBER = (1 << 31) - 1
LOG_INTERVAL_S = 60
_LAST_ADDRESS = (1 << 128) - 1
_ANY_MAC = bytes((2, 0, 0, 0, 0, 1))


class Listening(NamedTuple):
    """What a listener asks for of one group: the arguments of Engine.listen."""

    group: bytes
    mode: str
    sources: frozenset[bytes]
    listener: str


@dataclass
class Port:
    """An interface of this machine, and what is done there."""

    name: str
    groups: npt.NDArray[np.uint8]  # (N, 16), from any source
    filters: list[Listening]
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
        tables_of_sources = [*everywhere.get("listen", ()), *here.get("listen", ())]
        ring = settings.pop("ring", {})
        own = {key: settings.pop(key) for key in _OF_THE_PORT if key in settings}
        settings.pop("join", None)
        settings.pop("listen", None)
        try:
            if "%" in settings.get("link_local", ""):
                raise ValueError(f"{settings['link_local']!r} is not an IPv6 address")
            Interface.create(0, name, mac=_ANY_MAC, **settings)
            most = settings.get("max_groups", DEFAULT_MAX_GROUPS)
            groups = [groups_of(spec, most) for spec in specs if "," not in spec]
            filters = [*_added_up([spec for spec in specs if "," in spec], most), *_tabled(tables_of_sources, most)]
            _check_sources(filters, settings.get("max_sources", DEFAULT_MAX_SOURCES))
        except ValueError as error:
            raise CommandError(f"{name}: {error}") from error
        together = np.concatenate([np.empty((0, 16), np.uint8), *groups])
        ports.append(Port(name, together, filters, ring, settings, **own))
    if not ports:
        raise CommandError("run needs an interface: -i IFACE, or a table [interface.IFACE] in the --config file")
    if not any(len(port.groups) or port.filters for port in ports):
        raise CommandError("run needs groups: --join [SOURCE,]GROUP[+N], or join or listen in the --config file")
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


def _added_up(specs: list[str], most: int) -> Iterator[Listening]:
    """SOURCE,GROUP[+N] of each group: one listener. Raises ValueError, which names what is wrong."""
    sources: dict[bytes, frozenset[bytes]] = {}
    for spec in specs:
        source, _, groups = spec.rpartition(",")
        if not source or not groups:
            raise ValueError(f"{spec!r} is not SOURCE,GROUP[+N]")
        asked = _sources([source])
        for group in map(bytes, groups_of(groups, most)):
            sources[group] = sources[group] | asked if group in sources else asked
    for group, asked in sources.items():
        yield Listening(group, "include", asked, "join")


def _tabled(tables: list[dict[str, Any]], most: int) -> Iterator[Listening]:
    """Each table is one listener, of each of its groups. Raises ValueError, which names what is wrong."""
    for number, table in enumerate(tables):
        mode = "include" if "include" in table else "exclude"
        asked = _sources(table[mode])
        for group in map(bytes, groups_of(table["group"], most)):
            yield Listening(group, mode, asked, f"listen {number}")


def _sources(texts: list[str]) -> frozenset[bytes]:
    for text in texts:
        if "%" in text:
            raise ValueError(f"{text!r} is not an IPv6 address")
    return source_octets(texts)


def _check_sources(filters: list[Listening], most: int) -> None:
    for group, _, sources, _ in filters:
        if len(sources) > most:
            raise ValueError(f"{IPv6Address(group)} has {len(sources)} sources, and max_sources is {most}")


def mld_version_of(text: str) -> int | str:
    """What --mld-version says. CommandError: it is none of the three."""
    if text not in ("1", "2", "auto"):
        raise CommandError(f"--mld-version is 1, 2 or auto, not {text!r}")
    return text if text == "auto" else int(text)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path}: {error}") from error


def _checked(table: object, where: str) -> dict[str, Any]:
    """A table whose keys are all known, and whose join, listen, link_local and ring are of the right kind."""
    if not isinstance(table, dict):
        raise CommandError(f"{where} is not a table")
    for key in table:
        if key not in _SETTINGS and key not in _OF_THE_PORT and key not in ("join", "listen", "ring"):
            raise CommandError(f"{where}: unknown key {key!r}")
    join, link_local = table.get("join", []), table.get("link_local", "")
    if not _is_texts(join):
        raise CommandError(f"{where}: join is a list of strings, not {join!r}")
    _check_listen(table.get("listen", []), where)
    if not isinstance(link_local, str):
        raise CommandError(f"{where}: link_local is an IPv6 address, not {link_local!r}")
    _check_ring(table.get("ring", {}), where)
    for key, least in _OF_THE_PORT.items():
        if key in table and not _is_whole(table[key], least):
            raise CommandError(f"{where}: {key} is a whole number of {least} or more, not {table[key]!r}")
    return table


def _check_listen(tables: object, where: str) -> None:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise CommandError(f"{where}: listen is a list of tables: [[listen]]")
    for table in tables:
        for key in table:
            if key not in ("group", "include", "exclude"):
                raise CommandError(f"{where}: unknown key {key!r} of listen")
        group = table.get("group")
        if not isinstance(group, str):
            raise CommandError(f"{where}: a listen table has a group" + ("" if group is None else f", not {group!r}"))
        if ("include" in table) == ("exclude" in table):
            raise CommandError(f"{where}: listen of {group} has a list of sources: include or exclude")
        for mode in ("include", "exclude"):
            if mode in table and not _is_texts(table[mode]):
                raise CommandError(f"{where}: {mode} of {group} is a list of addresses, not {table[mode]!r}")
        if table.get("include") == []:
            raise CommandError(f"{where}: include of {group} names no source")


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


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
