"""The live table: what the interfaces of a running engine do, in all and in the second before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastmld.cli.watch import Snapshot

if TYPE_CHECKING:
    from rich.console import RenderableType


class LiveTable:
    """Draws snapshots, one after the other."""

    def __init__(self) -> None:
        self._before: dict[str, int] = {}
        self._at_s = 0.0
        self._rates: dict[str, float] = {}

    def draw(self, snapshot: Snapshot) -> RenderableType:
        """A table an interface, side by side where there is room, and the worst lateness below."""
        from rich.columns import Columns
        from rich.console import Group

        if snapshot["t"] > self._at_s:
            self._measure(snapshot)
        tables = [self._table(interface) for interface in snapshot["interfaces"]]
        lateness = f"{snapshot['t']:.0f} s; worst lateness {snapshot['worst_lateness_ms']:,} ms"
        return Group(Columns(tables), lateness)

    def _measure(self, snapshot: Snapshot) -> None:
        now = {
            f"{interface['name']} {label}": count
            for interface in snapshot["interfaces"]
            for label, count, _ in _rows(interface)
            if count is not None
        }
        elapsed_s = snapshot["t"] - self._at_s
        self._rates = {key: (count - self._before.get(key, 0)) / elapsed_s for key, count in now.items()}
        self._before, self._at_s = now, snapshot["t"]

    def _table(self, interface: dict[str, Any]) -> RenderableType:
        from rich.table import Table

        table = Table(title=_title(interface), title_justify="left")
        table.add_column("")
        table.add_column("in all", justify="right", min_width=11)
        table.add_column("a second", justify="right", min_width=9)
        for label, count, is_flow in _rows(interface):
            rate = self._rates.get(f"{interface['name']} {label}", 0) if is_flow else 0
            table.add_row(label, "?" if count is None else f"{count:,}", f"{rate:,.0f}" if is_flow else "")
        return table


def _title(interface: dict[str, Any]) -> str:
    """Its name, and how it stands to the Querier."""
    lines = [
        interface["name"] + (" (gone)" if interface["gone"] else ""),
        f"{interface['mode']}, robustness {interface['robustness']}",
    ]
    if interface["querier"] is not None:
        lines.append(f"Querier {interface['querier']}")
    return "\n".join(lines)


def _rows(interface: dict[str, Any]) -> Iterator[tuple[str, int | None, bool]]:
    """(what, how much, whether it flows) of an interface; what seldom happens only where it did."""
    received, sent = interface["received"], interface["transmitted"]
    yield "groups", interface["groups"], False
    yield "timers pending", interface["timers_pending"], False
    yield "Queries in", sum(count for kind, count in received.items() if kind.endswith("_query")), True
    for version, kind in (("MLDv1", "report"), ("MLDv2", "report2")):
        if version.lower() == interface["mode"] or received[kind] or sent[kind]:
            yield f"{version} Reports in", received[kind], True
            yield f"{version} Reports out", sent[kind], True
    for label, count in (
        ("Dones in", received["done"]),
        ("Dones out", sent["done"]),
        ("deferred by the budget", interface["deferred"]),
        ("MLDv1 Queries ignored", interface["v1_query_ignored"]),
        *((f"dropped: {reason}", count) for reason, count in interface["dropped"].items()),
        ("of another VLAN", interface["other_vlan"]),
        ("waiting to be sent", interface["waiting"]),
        ("not sent", interface["send_dropped"]),
    ):
        if count:
            yield label, count, label != "waiting to be sent"
    yield "ring drops", interface["ring_dropped"], True
