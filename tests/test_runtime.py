"""The loop on links that the test holds in its hands; the clock is virtual wherever time matters."""

import asyncio
import sys
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Any

import numpy as np
import pytest

import frames
from fastmld import Engine, FrameBatch, TooManySources
from fastmld.links import MAX_WAITING, LinkRefused, NoSuchInterface
from fastmld.links.memory import Wire
from fastmld.links.packet_ring import PacketRing
from fastmld.runtime import Runtime
from said_v2 import decode


class Held:
    """A link that takes `takes` frames more, and keeps the rest."""

    def __init__(self, takes: int) -> None:
        self.interface = 0
        self.takes = takes
        self.sent: list[bytes] = []
        self.kept: list[bytes] = []
        self.arrived: FrameBatch | None = None
        self.log: list[str] = []
        self.retry_at_ms: int | None = None

    @property
    def waiting(self) -> int:
        return len(self.kept)

    def fileno(self) -> int | None:
        return None

    def next_ms(self) -> int | None:
        return self.retry_at_ms

    def receive(self, now_ms: int) -> FrameBatch | None:
        arrived, self.arrived = self.arrived, None
        return arrived

    def release(self) -> None:
        self.log.append("release")

    def send(self, batch: FrameBatch, now_ms: int) -> None:
        self.kept += list(batch)
        self.flush(now_ms)

    def flush(self, now_ms: int) -> None:
        taken, self.kept = self.kept[: self.takes], self.kept[self.takes :]
        self.takes -= len(taken)
        self.sent += taken

    def discard(self) -> None:
        self.kept.clear()

    def counters(self) -> dict[str, int]:
        return {"waiting": self.waiting}

    def close(self) -> None:
        self.log.append("close")


def addresses(n: int, first: int = 0xFF05 << 112) -> np.ndarray:
    return np.frombuffer(b"".join((first + i).to_bytes(16) for i in range(n)), np.uint8).reshape(-1, 16)


def add(runtime: Runtime, name: str, link: Any) -> int:
    number = len(runtime.interfaces) + 1
    lan = runtime.engine.add_interface(
        name, mac=bytes([2, 0, 0, 0, 0, number]), link_local=f"fe80::{number}",
        unsolicited_report_repeats=0, report_rate=None, mld_version=1,
    )  # fmt: skip
    runtime.attach(lan, link)
    return lan


def passes(runtime: Runtime, now_ms: int, most: int = 100) -> None:
    """Work until nothing is to be done at this time."""
    for _ in range(most):
        runtime.work(now_ms)
        if runtime.next_ms(now_ms) != now_ms:
            return
    raise AssertionError("it spins")


def groups_of(sent: list[bytes]) -> list[bytes]:
    return [frame[70:86] for frame in sent]


def test_what_a_full_link_does_not_take_stays_in_the_engine() -> None:
    """At most 65,536 frames are kept for a link; transmit is not called until it has room; nothing is lost."""
    n = MAX_WAITING + 1000
    with Runtime(Engine(seed=1)) as runtime:
        link = Held(takes=100)
        lan = add(runtime, "a", link)
        runtime.engine.join(lan, addresses(n), 0)
        passes(runtime, 0)
        assert (len(link.sent), link.waiting) == (100, MAX_WAITING)
        assert runtime.counters(lan)["sent_report"] == MAX_WAITING + 100
        link.takes = n
        passes(runtime, 1)
        assert groups_of(link.sent) == [row.tobytes() for row in addresses(n)]


def test_how_much_is_kept_for_a_link_is_a_setting() -> None:
    with Runtime(Engine(seed=1)) as runtime:
        link = Held(takes=0)
        lan = runtime.engine.add_interface(
            "a", mac=frames.MAC, link_local="fe80::1", unsolicited_report_repeats=0, mld_version=1
        )
        runtime.attach(lan, link, max_waiting=7)
        runtime.engine.join(lan, addresses(20), 0)
        passes(runtime, 0)
        assert link.waiting == 7
        assert runtime.counters(lan)["sent_report"] == 7
        link.takes = 3
        passes(runtime, 1)
        assert (len(link.sent), link.waiting) == (3, 7)
        link.takes = 100
        passes(runtime, 2)
        assert groups_of(link.sent) == [row.tobytes() for row in addresses(20)]


def test_answers_that_wait_in_the_engine_do_not_make_the_loop_spin() -> None:
    with Runtime(Engine(seed=1)) as runtime:
        link = Held(takes=0)
        lan = add(runtime, "a", link)
        runtime.engine.join(lan, addresses(MAX_WAITING + 10), 0)
        passes(runtime, 0)
        runtime.engine.receive(FrameBatch.from_list([frames.query(delay_ms=100)], lan), 1)
        for now_ms in (1, 50, 101, 102, 500):
            passes(runtime, now_ms)
            following = runtime.next_ms(now_ms)
            assert following is None or following > now_ms


def test_each_interface_gets_its_own_in_order() -> None:
    with Runtime(Engine(seed=1)) as runtime:
        links = [Held(takes=10_000) for _ in range(3)]
        lans = [add(runtime, name, link) for name, link in zip("abc", links, strict=True)]
        for n, row in enumerate(addresses(300)):
            runtime.engine.join(lans[n % 3], row.reshape(1, 16), 0)
        passes(runtime, 0)
        for n, link in enumerate(links):
            assert groups_of(link.sent) == [row.tobytes() for row in addresses(300)[n::3]]
            assert {frame[6:12] for frame in link.sent} == {bytes([2, 0, 0, 0, 0, n + 1])}


def test_a_block_is_released_as_soon_as_the_engine_has_seen_it() -> None:
    engine = Engine(seed=1)
    with Runtime(engine) as runtime:
        link = Held(takes=10)
        lan = add(runtime, "a", link)
        engine.join(lan, "ff05::1", 0)
        passes(runtime, 0)
        link.sent.clear()
        buffer = np.frombuffer(bytearray(frames.query(delay_ms=10)), np.uint8)
        link.arrived = FrameBatch.from_buffer(buffer, [0], [len(buffer)], lan)
        runtime.work(5)
        assert link.log == ["release"]
        buffer.fill(0xFF)
        passes(runtime, 15)
        assert groups_of(link.sent) == [frames.address("ff05::1")]
    assert link.log == ["release", "close"]


def test_lateness_is_that_of_the_worst_timer() -> None:
    with Runtime(Engine(seed=1)) as runtime:
        link = Held(takes=10)
        lan = add(runtime, "a", link)
        runtime.engine.join(lan, "ff05::1", 0, delay_ms=100)
        passes(runtime, 0)
        assert runtime.next_ms(0) == 100
        passes(runtime, 130)
        assert runtime.counters(lan)["worst_lateness_ms"] == 30


class Clock:
    """A clock that goes on by a millisecond each time it is read."""

    now_ms = 0

    def __call__(self) -> int:
        self.now_ms += 1
        return self.now_ms


def run(runtime: Runtime, **how: Any) -> None:
    runtime.run(**how)


def serve(runtime: Runtime, **how: Any) -> None:
    asyncio.run(runtime.serve(**how))


@pytest.mark.parametrize("start", [run, serve])
def test_stopping_leaves_every_group(start: Callable[..., None]) -> None:
    with Runtime(Engine(seed=1), clock=Clock()) as runtime:
        link = Held(takes=1000)
        lan = add(runtime, "a", link)
        runtime.join(lan, addresses(50))
        runtime.join(lan, addresses(10))
        seen: list[int] = []

        def report() -> None:
            seen.append(len(link.sent))
            runtime.stop()

        start(runtime, every_ms=5, report=report)
        assert seen == [50]
        assert groups_of(link.sent[50:]) == [row.tobytes() for row in addresses(50)]
        assert {frame[62] for frame in link.sent[50:]} == {frames.DONE}
        assert len(runtime.engine.groups(lan)) == 0


@pytest.mark.parametrize(
    ("mld_version", "last"),
    [
        (1, [(frames.DONE, "ff05::1"), (frames.DONE, "ff05::2"), (frames.DONE, "ff05::3")]),
        (2, [("TO_IN", "ff05::1", ()), ("BLOCK", "ff05::2", ("2001:db8::1",)), ("TO_IN", "ff05::3", ())]),
    ],
)
@pytest.mark.parametrize("report_rate", [None, 1])
def test_stopping_ends_every_listener(mld_version: int, last: list[Any], report_rate: int | None) -> None:
    """Those that have a name too, and whether or not the budget is spent."""
    with Runtime(Engine(seed=1), clock=Clock()) as runtime:
        link = Held(takes=1000)
        lan = runtime.engine.add_interface(
            "a", mac=frames.MAC, link_local="fe80::1", mld_version=mld_version, report_rate=report_rate
        )
        runtime.attach(lan, link)
        for _ in range(2):
            runtime.join(lan, "ff05::1")
        runtime.listen(lan, "ff05::1", "include", ["2001:db8::1"], listener="a")
        runtime.listen(lan, "ff05::2", "include", ["2001:db8::1"], listener="a")
        runtime.listen(lan, "ff05::3", "exclude", ["2001:db8::1"])
        sent: list[int] = []

        def report() -> None:
            sent.append(len(link.sent))
            runtime.stop()

        runtime.run(every_ms=5, report=report)
        said = link.sent[sent[0] :]
        if mld_version == 1:
            assert [(frame[62], str(IPv6Address(frame[70:86]))) for frame in said] == last[: len(said)]
            assert len(said) == (3 if report_rate is None else 1), "what was never reported needs no Done"
        else:
            assert [record for frame in said for record in decode(frame)[0]] == last
            assert len(said) == 1
        assert len(runtime.engine.groups(lan)) == 0
        assert runtime.engine.next_deadline_ms() is None


def test_listening_now() -> None:
    with Runtime(Engine(seed=1), clock=lambda: 7) as runtime:
        link = Held(takes=10)
        lan = runtime.engine.add_interface("a", mac=frames.MAC, link_local="fe80::1")
        runtime.attach(lan, link)
        runtime.listen(lan, "ff3e::1", "include", ["2001:db8::1"])
        runtime.work(7)
        assert [decode(frame)[0] for frame in link.sent] == [[("ALLOW", "ff3e::1", ("2001:db8::1",))]]
        with pytest.raises(TooManySources):
            runtime.listen(lan, "ff3e::1", "include", [f"2001:db8::{n:x}" for n in range(1, 1026)])


@pytest.mark.parametrize("start", [run, serve])
def test_a_run_has_an_end(start: Callable[..., None]) -> None:
    with Runtime(clock=Clock()) as runtime:
        start(runtime, duration_ms=20)
        assert 20 <= runtime.now_ms() < 60


def test_a_link_that_never_takes_the_last_words_does_not_hold_the_end_back() -> None:
    with Runtime(Engine(seed=1), clock=Clock()) as runtime:
        link = Held(takes=50)
        link.retry_at_ms = 0  # always
        lan = add(runtime, "a", link)
        runtime.join(lan, addresses(50))
        runtime.run(100)
        assert link.waiting == 50


def test_serve_lets_others_run() -> None:
    async def both() -> int:
        turns = 0
        with Runtime(Engine(seed=1)) as runtime:
            wire = Wire()
            lan, tap = add(runtime, "a", wire.tap()), wire.tap()
            serving = asyncio.create_task(runtime.serve())
            runtime.join(lan, addresses(20_000))
            while tap.counters()["received"] < 20_000:
                await asyncio.sleep(0)
                tap.receive(runtime.now_ms())
                turns += 1
                assert turns < 1_000_000
            runtime.stop()
            await serving
            assert len(list(tap.receive(runtime.now_ms()) or ())) == 20_000
        return turns

    assert asyncio.run(both()) > 1


def test_an_interface_that_does_not_exist_is_named() -> None:
    with pytest.raises(NoSuchInterface, match="nosuch0"):
        PacketRing("nosuch0")
    pytest.importorskip("pyroute2")
    with Runtime() as runtime:
        with pytest.raises(NoSuchInterface, match="nosuch0"):
            runtime.open("nosuch0")
        assert runtime.interfaces == []


def test_live_interfaces_need_pyroute2(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "pyroute2"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyroute2", None)
    monkeypatch.delitem(sys.modules, "fastmld.links.netlink", raising=False)
    with Runtime() as runtime, pytest.raises(LinkRefused, match=r"fastmld\[live\]"):
        runtime.open("lo")


def test_closing_twice_is_fine() -> None:
    runtime = Runtime()
    runtime.close()
    runtime.close()
