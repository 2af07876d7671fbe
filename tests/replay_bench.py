"""Runs `fastmld replay` for the tests, and reads what it wrote."""

import io
import json
import sys
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import dpkt
import numpy as np
import pytest

import frames
from fastmld.__main__ import main
from fastmld.links.capture import append_pcap, begin_pcap

GROUP = "ff05::101"
OTHER = "ff05::102"
OWN = IPv6Address("fe80::ff:fe00:1").packed  # EUI-64 of 02:00:00:00:00:01, RFC 4291 appendix A
T0 = 1_700_000_000
S = 1_000_000_000


def own_report(group: str, source: bytes = OWN, mac: bytes = frames.MAC) -> bytes:
    return frames.report(group, source=source, mac_source=mac)


def own_done(group: str, source: bytes = OWN) -> bytes:
    return frames.done(group, source=source, mac_source=frames.MAC)


def pcap(packets: list[tuple[float, bytes]], zero_ns: int = T0 * S) -> bytes:
    """A capture of (seconds after zero, frame)."""
    file = io.BytesIO()
    begin_pcap(file)
    if packets:
        times_ns = np.array([zero_ns + round(time * S) for time, _ in packets])
        lengths = np.array([len(frame) for _, frame in packets], np.uint32)
        buffer = np.frombuffer(b"".join(frame for _, frame in packets), np.uint8)
        append_pcap(file, buffer, np.cumsum(lengths) - lengths, lengths, times_ns // S, times_ns % S)
    return file.getvalue()


@dataclass
class Outcome:
    status: int
    error: str
    summary: dict[str, Any]
    sent: list[tuple[int, bytes]]  # (nanoseconds since 1970, frame)
    verdicts: list[dict[str, Any]]
    octets: tuple[bytes, bytes, str] = field(repr=False)  # OUT, the verdict lines, the summary

    def at(self, zero_ns: int = T0 * S) -> list[tuple[float, bytes]]:
        """What was sent, in seconds after zero."""
        assert all((time - zero_ns) % 1_000_000 == 0 for time, _ in self.sent), "whole milliseconds"
        return [((time - zero_ns) / S, frame) for time, frame in self.sent]

    def groups(self) -> dict[str, tuple[str, bool, int | None]]:
        rows = self.summary["groups"]
        return {row["group"]: (row["state"], row["last_reporter"], row["deadline_ms"]) for row in rows}


class Bench:
    """Runs the command in this process, in a directory of its own. always: options of each run."""

    def __init__(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *always: str
    ) -> None:
        self.path, self.monkeypatch, self.capsys, self.always = path, monkeypatch, capsys, always

    def __call__(
        self,
        *options: str,
        packets: list[tuple[float, bytes]] | bytes | None = None,
        script: list[dict[str, Any]] | str | None = None,
        zero_ns: int = T0 * S,
    ) -> Outcome:
        out, lines = self.path / "out.pcap", self.path / "verdicts"
        for path in (out, lines):
            path.unlink(missing_ok=True)
        arguments = ["fastmld", "replay", "-w", str(out), "--verdicts", str(lines), "--json", *self.always]
        arguments += options
        if packets is not None:
            data = packets if isinstance(packets, bytes) else pcap(packets, zero_ns)
            (self.path / "in.pcap").write_bytes(data)
            arguments.append(str(self.path / "in.pcap"))
        if script is not None:
            text = script if isinstance(script, str) else "".join(json.dumps(line) + "\n" for line in script)
            (self.path / "script").write_text(text)
            arguments += ["--script", str(self.path / "script")]
        self.monkeypatch.setattr(sys, "argv", arguments)
        status = main()
        printed = self.capsys.readouterr()
        return Outcome(
            status,
            printed.err,
            json.loads(printed.out) if printed.out else {},
            read_pcap(out.read_bytes()) if out.exists() else [],
            [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else [],
            (out.read_bytes() if out.exists() else b"", lines.read_bytes() if lines.exists() else b"", printed.out),
        )


def read_pcap(data: bytes) -> list[tuple[int, bytes]]:
    """dpkt says what is a capture; its times are floats, so they are taken from the headers themselves."""
    packets = [frame for _, frame in dpkt.pcap.Reader(io.BytesIO(data))]
    times, at = [], 24
    for frame in packets:
        seconds, nanoseconds = (int.from_bytes(data[at + i : at + i + 4], "little") for i in (0, 4))
        times.append(seconds * S + nanoseconds)
        at += 16 + len(frame)
    assert at == len(data)
    return list(zip(times, packets, strict=True))


def join(t: float, group: str = GROUP, **keys: Any) -> dict[str, Any]:
    return {"t": t, "op": "join", "group": group, **keys}


def leave(t: float, group: str = GROUP, **keys: Any) -> dict[str, Any]:
    return {"t": t, "op": "leave", "group": group, **keys}


def listen(t: float, mode: str, *sources: str, group: str = GROUP, **keys: Any) -> dict[str, Any]:
    return {"t": t, "op": "listen", "group": group, "mode": mode, "sources": list(sources), **keys}
