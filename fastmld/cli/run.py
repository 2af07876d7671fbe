"""`fastmld run`: answers for groups on interfaces of this machine until it is told to stop."""

from __future__ import annotations

import json
import math
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from fastmld.cli.config import Port, mld_version_of, plan
from fastmld.cli.console import console
from fastmld.cli.errors import CommandError
from fastmld.cli.log import Log
from fastmld.cli.table import LiveTable
from fastmld.cli.watch import Snapshot, Watch
from fastmld.links import LinkRefused
from fastmld.runtime import Runtime


def run(
    groups: Annotated[list[str] | None, typer.Argument(metavar="[SOURCE,]GROUP[+N]", help="As --join.")] = None,
    interface: Annotated[
        list[str] | None, typer.Option("-i", metavar="IFACE", help="An interface. May be given again.")
    ] = None,
    join: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[SOURCE,]GROUP[+N]",
            help="Listen to GROUP, or to N addresses from GROUP on: from any source, or from SOURCE only. May be given "
            "again, and then the sources of a group add up.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML; `pydoc fastmld.cli.config` shows its keys.")
    ] = None,
    duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Stop after so long.  [default: never]")
    ] = None,
    link_local: Annotated[
        str | None, typer.Option(metavar="ADDR", help="Own link-local address.  [default: the kernel's]")
    ] = None,
    mld_version: Annotated[
        str | None,
        typer.Option(
            metavar="1|2|auto",
            help="1: RFC 2710 only. 2: RFC 9777 only, MLDv1 Queries are ignored. auto: RFC 9777, and RFC 2710 where a "
            "Querier speaks that.  [default: auto]",
        ),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="strict|rfc2710", help="Which frames are valid.  [default: strict]")
    ] = None,
    report_rate: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Reports a second.  [default: 100000, or a fifth of the groups]"),
    ] = None,
    log_interval: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS", min=0, help="Why frames are dropped: a line a reason so often. 0: none.  [default: 60]"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a second, and one at the end.")] = False,
) -> None:
    """Answer for groups on interfaces of this machine until SIGINT or SIGTERM, then leave them (Done, or State-Change
    Report).

    On a terminal a table shows what happens; elsewhere it is printed once, at the end. Addresses, MTU and link state
    are followed. Lists of sources to exclude are for the --config file.

    Needs CAP_NET_RAW. The kernel's own listener goes on answering for its own groups. Where its IPv6 is switched off
    (disable_ipv6) it is silent, but there is no address either: give one with --link-local.
    """
    if duration is not None and not 0 < duration < math.inf:
        raise CommandError(f"--duration is a number of seconds greater than 0, not {duration:g}")
    options = {
        "link_local": link_local,
        "mld_version": None if mld_version is None else mld_version_of(mld_version),
        "profile": profile,
        "report_rate": report_rate,
        "log_interval_s": log_interval,
    }
    given = {name: value for name, value in options.items() if value is not None}
    ports = plan(interface or [], [*(join or ()), *(groups or ())], config, given)

    with Runtime() as runtime, _stopping_on_signals(runtime):
        names = {_open(runtime, port): port.name for port in ports}
        now_ms = runtime.now_ms()  # one for all: what is said then goes into as few Reports as hold it
        for index, port in zip(names, ports, strict=True):
            runtime.engine.join(index, port.groups, now_ms)
            for (mode, sources, listener), alike in groupby(port.filters, lambda filtered: filtered[1:]):
                groups_alike = np.frombuffer(b"".join(filtered.group for filtered in alike), np.uint8).reshape(-1, 16)
                runtime.engine.listen(index, groups_alike, mode, sources, listener=listener, now_ms=now_ms)
        watch = Watch(runtime, names)
        log = Log(runtime, names, {index: port.log_interval_s for index, port in zip(names, ports, strict=True)})
        log.look()
        show = _print_lines if as_json else _draw if sys.stdout.isatty() else _summarise
        show(watch, log, runtime, None if duration is None else math.ceil(duration * 1000))
        if not runtime.interfaces:
            raise CommandError(f"{', '.join(runtime.ended)}: gone, and no interface is left", 3)


def _open(runtime: Runtime, port: Port) -> int:
    try:
        index = runtime.open(port.name, ring=port.ring, max_waiting=port.max_waiting, **port.settings)
    except LinkRefused as error:
        raise CommandError(str(error), 3) from error
    _warn_without_address(port)
    return index


def _warn_without_address(port: Port) -> None:
    """Routers do not heed a Report from :: (RFC 3590)."""
    if port.name == "lo" or "link_local" in port.settings:
        return
    try:
        addresses = [line.split() for line in Path("/proc/net/if_inet6").read_text().splitlines()]
    except FileNotFoundError:  # the kernel has no IPv6
        addresses = []
    if not any(address.startswith("fe80") and name == port.name for address, *_, name in addresses):
        said = "has no link-local address, and its Reports leave from ::, until it has one, or --link-local gives one"
        print(f"fastmld: {port.name} {said}", file=sys.stderr)


@contextmanager
def _stopping_on_signals(runtime: Runtime) -> Iterator[None]:
    before = {number: signal.signal(number, lambda *_: runtime.stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_lines(watch: Watch, log: Log, runtime: Runtime, duration_ms: int | None) -> None:
    broken: list[OSError] = []

    def say(at_the_end: bool = False) -> None:
        log.look()
        try:
            print(json.dumps(watch.look(at_the_end=at_the_end)), flush=True)
        except OSError as error:
            # Nobody reads any more: the groups are left all the same.
            broken.append(error)
            runtime.stop()

    runtime.run(duration_ms, report=say)
    if not broken:
        say(at_the_end=True)
    if broken:
        raise CommandError(f"standard output: {broken[0].strerror}")


def _draw(watch: Watch, log: Log, runtime: Runtime, duration_ms: int | None) -> None:
    from rich.live import Live

    table = LiveTable()
    with Live(table.draw(watch.look()), console=console(), auto_refresh=False) as live:

        def show() -> None:
            log.look()  # rich puts it above the table
            live.update(table.draw(watch.look()), refresh=True)

        runtime.run(duration_ms, report=show)
        live.update(LiveTable().draw(_summary(watch)), refresh=True)


def _summarise(watch: Watch, log: Log, runtime: Runtime, duration_ms: int | None) -> None:
    runtime.run(duration_ms, report=log.look)
    screen = console()
    with screen.capture() as drawn:
        screen.print(LiveTable().draw(_summary(watch)))
    print(drawn.get(), end="")


def _summary(watch: Watch) -> Snapshot:
    """The whole run: with the groups that there were, though they are left now."""
    snapshot = watch.look(at_the_end=True)
    for interface, groups in zip(snapshot["interfaces"], watch.joined.values(), strict=True):
        interface["groups"] = groups
    return snapshot
