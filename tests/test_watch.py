"""What `fastmld run` shows of an interface: its JSON, and its table."""

import io

from rich.console import Console

import frames
from fastmld import Engine
from fastmld.cli.table import LiveTable
from fastmld.cli.watch import Watch
from fastmld.links.memory import Wire
from fastmld.runtime import Runtime

SOURCE = "2001:db8::1"


class Bench:
    """A runtime on a wire, somebody else there, and a clock that the test moves."""

    def __init__(self, mld_version: int | str = "auto") -> None:
        self.at_ms = 5000
        self.runtime = Runtime(Engine(seed=1), clock=lambda: self.at_ms)
        self.wire = Wire()
        self.lan = self.runtime.engine.add_interface(
            "lan0", mac=frames.MAC, link_local=frames.LINK_LOCAL, mld_version=mld_version
        )
        self.runtime.attach(self.lan, self.wire.tap())
        self.other = self.wire.tap()
        self.watch = Watch(self.runtime, {self.lan: "lan0"})

    def hear(self, frame: bytes) -> None:
        self.wire.carry(self.other, frame, self.at_ms)
        self.runtime.work(self.at_ms)

    def drawn(self) -> str:
        screen = Console(file=io.StringIO(), width=120)
        screen.print(LiveTable().draw(self.watch.look()))
        return screen.file.getvalue()


def test_how_an_interface_stands_to_the_querier() -> None:
    bench = Bench()
    seen = bench.watch.look()["interfaces"][0]
    assert (seen["mode"], seen["robustness"], seen["query_interval_ms"]) == ("mldv2", 2, 125_000)
    assert (seen["querier"], seen["v1_until"]) == (None, None)
    bench.hear(frames.query2(response_code=1000, flags=5, interval_code=20))
    seen = bench.watch.look()["interfaces"][0]
    assert (seen["mode"], seen["robustness"], seen["query_interval_ms"]) == ("mldv2", 5, 20_000)
    assert seen["querier"] == "fe80::fe"
    bench.at_ms = 6000
    bench.hear(frames.query(delay_ms=7000))
    seen = bench.watch.look()["interfaces"][0]
    # RFC 9777 section 9.12: 5 * 20 s + 7 s, from a second after the beginning on.
    assert (seen["mode"], seen["v1_until"]) == ("mldv1", 108.0)
    bench.at_ms = 113_000
    bench.runtime.work(bench.at_ms)
    seen = bench.watch.look()["interfaces"][0]
    assert (seen["mode"], seen["v1_until"]) == ("mldv2", None)


def test_what_was_sent_is_counted_by_kind() -> None:
    bench = Bench()
    bench.runtime.join(bench.lan, "ff05::1")
    bench.runtime.listen(bench.lan, "ff3e::1", "include", [SOURCE])
    bench.runtime.work(bench.at_ms)
    seen = bench.watch.look()["interfaces"][0]
    assert seen["transmitted"] == {"report": 0, "done": 0, "report2": 1}
    bench.hear(frames.query(delay_ms=0))
    seen = bench.watch.look()["interfaces"][0]
    assert seen["transmitted"] == {"report": 1, "done": 0, "report2": 1}
    assert (seen["ssm_in_v1"], seen["ssm_exclude"], seen["v1_query_ignored"], seen["v1_query_ssm"]) == (1, 0, 0, 0)


def test_the_table() -> None:
    bench = Bench()
    bench.runtime.join(bench.lan, "ff05::1")
    bench.runtime.work(bench.at_ms)
    drawn = [line.strip() for line in bench.drawn().splitlines()]
    assert drawn[:2] == ["lan0", "mldv2, robustness 2"]
    assert not any("Querier" in line or "MLDv1 " in line for line in drawn)
    bench.hear(frames.query2(response_code=1000, flags=3))
    drawn = [line.strip() for line in bench.drawn().splitlines()]
    assert drawn[:3] == ["lan0", "mldv2, robustness 3", "Querier fe80::fe"]
    bench.hear(frames.query(delay_ms=0))
    drawn = bench.drawn()
    assert "mldv1, robustness 3" in drawn
    for version in ("MLDv1", "MLDv2"):
        assert [cell.strip() for cell in _row(drawn, f"{version} Reports out")] == ["1", "0"]


def test_the_table_of_an_mldv1_interface() -> None:
    drawn = Bench(mld_version=1).drawn()
    assert "mldv1, robustness 2" in drawn and "MLDv1 Reports out" in drawn and "MLDv2" not in drawn


def _row(drawn: str, label: str) -> list[str]:
    (line,) = [line for line in drawn.splitlines() if f"│ {label} " in line]
    return line.split("│")[2:4]
