"""`fastmld replay`: a capture and a script of local events in, a capture out, on a virtual clock."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import numpy as np
import typer
from numpy.typing import NDArray

from fastmld import KINDS, NO_DEADLINE, STATES, VERDICTS, Engine, FrameBatch
from fastmld.addresses import mac_octets
from fastmld.cli.config import mld_version_of
from fastmld.cli.console import console
from fastmld.cli.errors import CommandError
from fastmld.cli.script import Event, LocalHost, read_script, to_ms
from fastmld.errors import FastMLDError
from fastmld.links.capture import EMPTY, LATEST_SECONDS, NANOSECONDS, append_pcap, begin_pcap, read_capture
from fastmld.replay import replay as run_engine

INTERFACE = "replay"
GROUPS_LISTED = 10_000
EPOCH_HELP = "The capture time that is time zero, in seconds since 1970.  [default: the first packet's]"


def replay(
    capture: Annotated[str | None, typer.Argument(metavar="IN", help="pcap or pcapng; - is standard input.")] = None,
    out: Annotated[str | None, typer.Option("-w", metavar="OUT", help="pcap of what the engine sends.")] = None,
    script: Annotated[str | None, typer.Option(metavar="FILE", help="Local events, a JSON object a line.")] = None,
    link_local: Annotated[
        str | None,
        typer.Option(metavar="ADDR", help="Link-local address, or none.  [default: made from --mac]"),
    ] = None,
    mac: Annotated[str, typer.Option(metavar="MAC", help="MAC address of the interface.")] = "02:00:00:00:00:01",
    mtu: Annotated[int, typer.Option(metavar="N", min=1, help="MTU of the interface.")] = 1500,
    mld_version: Annotated[
        str,
        typer.Option(
            metavar="1|2|auto",
            help="RFC 2710 only, RFC 9777 only, or both by what the Querier speaks.",
        ),
    ] = "auto",
    profile: Annotated[str, typer.Option(metavar="strict|rfc2710", help="Which frames are valid.")] = "strict",
    seed: Annotated[int, typer.Option(metavar="N", help="Seeds the random delays.")] = 0,
    epoch: Annotated[str | None, typer.Option(metavar="SECONDS", help=EPOCH_HELP)] = None,
    until: Annotated[str | None, typer.Option(metavar="SECONDS", help="Virtual time of the end.")] = None,
    verdicts: Annotated[str | None, typer.Option(metavar="FILE", help="A JSON line for each frame.")] = None,
    report_rate: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Reports a second.  [default: unlimited]")
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="Frames taken at once, at the most.")] = 4096,
    groups: Annotated[bool, typer.Option("--groups", help="List the groups, however many.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Run the engine on a virtual clock: a capture in, a script of local events in, a capture out."""
    if capture is None and script is None:
        raise CommandError("replay needs a capture, a --script, or both")
    if capture == script == "-":
        raise CommandError("the capture and the --script cannot both be standard input")
    for path in (out, verdicts):
        if path is not None and capture is not None and _is_same(path, capture):
            raise CommandError(f"{path} is the capture that is read")
    until_ms = None if until is None else to_ms(_seconds("--until", until))
    epoch_ns = None if epoch is None else math.floor(_seconds("--epoch", epoch) * NANOSECONDS)
    engine = Engine(seed=seed)
    interface = _add_interface(engine, mac, link_local, mtu, mld_version_of(mld_version), profile, report_rate)
    events = [] if script is None else read_script(script)
    recorded = EMPTY if capture is None else read_capture(capture)

    if epoch_ns is None:
        epoch_ns = recorded.time_ns(0) if len(recorded) else 0
    times_ms = recorded.times_ms(epoch_ns)
    begin_ms = min([event.time_ms for event in events[:1]] + times_ms[:1].tolist(), default=0)
    if out is not None and epoch_ns + begin_ms * 1_000_000 < 0:
        raise CommandError(f"{out}: no pcap can begin before 1970, as this run would: choose another --epoch")

    host = LocalHost(engine, interface)
    script_errors = 0

    def carry_out(event: Event, _: int) -> None:
        nonlocal script_errors
        try:
            host.carry_out(event)
        except FastMLDError as error:
            script_errors += 1
            print(f"fastmld: {script}: line {event.line}: {error}", file=sys.stderr)

    codes = np.empty(len(recorded), np.uint8)
    kinds = np.empty(len(recorded), np.uint8)
    with _output(verdicts) as verdict_file:
        with _output(out) as sent_file:
            sent = run_engine(
                engine,
                FrameBatch.from_buffer(recorded.buffer, recorded.offsets, recorded.lengths, interface),
                times_ms,
                [(event.time_ms, partial(carry_out, event)) for event in events],
                until_ms=until_ms,
                # A limited budget is taken once a call: with one frame a call, --batch changes nothing.
                batch=batch if report_rate is None else 1,
                verdicts=codes,
                kinds=kinds,
            )
            _write_sent(sent, sent_file, epoch_ns)
        summary = _summary(engine, interface, script_errors, everything=groups)
        if verdict_file is not None:
            n = summary["frames"]
            verdict_file.writelines(_verdict_lines(times_ms[:n], codes[:n], kinds[:n]))
    _print(summary, as_json)
    if recorded.error is not None:
        raise CommandError(f"{capture}: {recorded.error}")


def _seconds(option: str, text: str) -> Decimal:
    try:
        seconds = Decimal(text)
        if -LATEST_SECONDS <= seconds <= LATEST_SECONDS:
            return seconds
    except ArithmeticError:
        pass
    raise CommandError(f"{option} is a number of seconds, not {text!r}")


def _add_interface(
    engine: Engine,
    mac: str,
    link_local: str | None,
    mtu: int,
    mld_version: int | str,
    profile: str,
    report_rate: int | None,
) -> int:
    try:
        octets = mac_octets(mac)
        address = None if link_local == "none" else link_local or _link_local_of(octets)
        return engine.add_interface(
            INTERFACE,
            mac=octets,
            link_local=address,
            mtu=mtu,
            mld_version=mld_version,
            profile=profile,
            report_rate=report_rate,
        )
    except ValueError as error:
        raise CommandError(str(error)) from error


def _link_local_of(mac: bytes) -> bytes:
    """RFC 4291 appendix A: EUI-64 under fe80::/64."""
    return b"\xfe\x80" + bytes(6) + bytes((mac[0] ^ 2,)) + mac[1:3] + b"\xff\xfe" + mac[3:]


def _is_same(path: str, other: str) -> bool:
    try:
        return Path(path).samefile(other)
    except OSError:  # one of them is not there
        return False


@contextmanager
def _output(path: str | None) -> Iterator[BinaryIO | None]:
    if path is None:
        yield None
        return
    try:
        with Path(path).open("wb", buffering=1 << 20) as file:
            yield file
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error


def _write_sent(sent: Iterable[FrameBatch], file: BinaryIO | None, epoch_ns: int) -> None:
    epoch_seconds, epoch_nanoseconds = divmod(epoch_ns, NANOSECONDS)
    if file is not None:
        begin_pcap(file)
    for frames in sent:
        if file is not None and frames.times_ms is not None:
            nanoseconds = frames.times_ms % 1000 * 1_000_000 + epoch_nanoseconds
            seconds = frames.times_ms // 1000 + epoch_seconds + nanoseconds // NANOSECONDS
            try:
                append_pcap(file, frames.buffer, frames.offsets, frames.lengths, seconds, nanoseconds % NANOSECONDS)
            except ValueError as error:
                raise CommandError(f"{file.name}: {error}") from error


def _verdict_lines(times_ms: NDArray[np.int64], codes: NDArray[np.uint8], kinds: NDArray[np.uint8]) -> Iterator[bytes]:
    ends = [[f', "verdict": "{verdict}", "kind": {json.dumps(kind)}}}\n' for kind in KINDS] for verdict in VERDICTS]
    columns = zip(times_ms.tolist(), codes.tolist(), kinds.tolist(), strict=True)
    for n, (time_ms, code, kind) in enumerate(columns):
        yield f'{{"n": {n}, "t": {time_ms / 1000}{ends[code][kind]}'.encode()


def _summary(engine: Engine, interface: int, script_errors: int, *, everything: bool) -> dict[str, Any]:
    counters, status = engine.counters(interface), engine.status(interface)
    rows = engine.groups(interface)
    summary: dict[str, Any] = {
        "frames": counters["frames"],
        "accepted": counters["accepted"],
        "dropped": {name: counters[name] for name in VERDICTS[1:] if counters[name]},
        "transmitted": {kind: counters[f"sent_{kind}"] for kind in ("report", "done", "report2")},
        "script_errors": script_errors,
        "interfaces": [
            {
                "name": INTERFACE,
                "mode": status.mode,
                "groups": len(rows),
                "robustness": status.robustness,
                "query_interval_ms": status.query_interval_ms,
                "querier": status.querier,
            }
        ],
    }
    if everything or len(rows) <= GROUPS_LISTED:
        columns = (rows[name].tolist() for name in ("state", "last_reporter", "deadline_ms"))
        summary["groups"] = [
            {
                "group": str(IPv6Address(address.tobytes())),
                "state": STATES[state],
                "last_reporter": last_reporter,
                "deadline_ms": None if deadline_ms == NO_DEADLINE else deadline_ms,
            }
            for address, state, last_reporter, deadline_ms in zip(rows["address"], *columns, strict=True)
        ]
    return summary


def _print(summary: dict[str, Any], as_json: bool) -> None:
    try:
        if as_json:
            print(json.dumps(summary))
        else:
            _draw(summary)
        sys.stdout.flush()
    except OSError as error:
        raise CommandError(f"standard output: {error.strerror}") from error


def _draw(summary: dict[str, Any]) -> None:
    from rich.table import Table

    totals = Table("", "frames")
    totals.add_row("received", str(summary["frames"]))
    totals.add_row("accepted", str(summary["accepted"]))
    for reason, frames in summary["dropped"].items():
        totals.add_row(f"dropped: {reason}", str(frames))
    for kind, frames in summary["transmitted"].items():
        totals.add_row(f"sent: {kind}", str(frames))
    groups = Table("group", "state", "last reporter", "deadline (ms)")
    for row in summary.get("groups", ()):
        deadline_ms = "" if row["deadline_ms"] is None else str(row["deadline_ms"])
        groups.add_row(row["group"], row["state"], "yes" if row["last_reporter"] else "no", deadline_ms)

    screen = console()
    screen.print(totals)
    if groups.row_count:
        screen.print(groups)
    interface = summary["interfaces"][0]
    screen.print(
        f"{interface['name']}: {interface['mode']}, robustness: {interface['robustness']}, "
        f"Querier: {interface['querier'] or 'none'}, groups: {interface['groups']}, "
        f"script errors: {summary['script_errors']}"
    )
