"""Engines joined by a wire in memory, on virtual time."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import frames
from fastmld import Engine, FrameBatch
from fastmld.links.memory import Tap, Wire
from fastmld.runtime import Runtime, simulate

GROUP = frames.address("ff05::101")


def one(frame: bytes) -> FrameBatch:
    return FrameBatch.from_list([frame])


def take(tap: Tap, now_ms: int) -> list[bytes]:
    return list(tap.receive(now_ms) or ())


class Hosts:
    """Hosts on one wire, and a tap for the test."""

    def __init__(self, stack: ExitStack, wire: Wire, n: int = 2) -> None:
        self.tap = wire.tap()
        self.runtimes: list[Runtime] = []
        for host in range(1, n + 1):
            engine = Engine(seed=host)
            lan = engine.add_interface(
                "lan0",
                mac=bytes([2, 0, 0, 0, 0, host]),
                link_local=f"fe80::{host}",
                unsolicited_report_repeats=0,
                mld_version=1,
            )
            runtime = stack.enter_context(Runtime(engine))
            runtime.attach(lan, wire.tap())
            engine.join(lan, "ff05::101", 0)
            self.runtimes.append(runtime)

    def run(self, start_ms: int, end_ms: int) -> list[bytes]:
        """The MLD messages that the test hears meanwhile."""
        simulate(self.runtimes, start_ms, end_ms)
        return take(self.tap, end_ms)

    def ask(self, now_ms: int, delay_ms: int) -> None:
        self.tap.send(one(frames.query(delay_ms=delay_ms)), now_ms)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def test_every_other_tap_hears_a_frame_once() -> None:
    wire = Wire()
    a, b, c = wire.tap(), wire.tap(4), wire.tap()
    a.send(FrameBatch.from_list([b"one", b"two"]), 5)
    assert a.receive(5) is None
    assert (b.next_ms(), c.next_ms()) == (5, 5)
    arrived = b.receive(5)
    assert arrived is not None
    assert list(arrived) == [b"one", b"two"]
    assert arrived.interfaces.tolist() == [4, 4]
    assert b.receive(6) is None and b.next_ms() is None
    c.close()
    a.send(one(b"three"), 6)
    assert take(b, 6) == [b"three"]
    assert c.receive(6) is None
    assert b.counters() == {"sent": 0, "received": 3, "lost": 0}


def test_a_frame_arrives_when_its_delay_is_over() -> None:
    wire = Wire(delay_ms=(3, 3))
    a, b = wire.tap(), wire.tap()
    a.send(one(b"late"), -10)
    assert b.next_ms() == -7
    assert b.receive(-8) is None
    assert take(b, -7) == [b"late"]


def test_loss_and_delay_are_of_the_seed() -> None:
    def arrivals(seed: int) -> list[tuple[int, bytes]]:
        wire = Wire(seed=seed, loss=0.3, delay_ms=(0, 9))
        a, b = wire.tap(), wire.tap()
        a.send(FrameBatch.from_list([bytes([n]) for n in range(200)]), 0)
        heard = [(now_ms, frame) for now_ms in range(10) for frame in take(b, now_ms)]
        assert len(heard) + b.counters()["lost"] == 200
        return heard

    assert arrivals(1) == arrivals(1) != arrivals(2)
    assert 100 < len(arrivals(1)) < 180
    assert {now_ms for now_ms, _ in arrivals(1)} == set(range(10))


@pytest.mark.parametrize("loss", [-0.1, 1.1])
def test_loss_is_a_probability(loss: float) -> None:
    with pytest.raises(ValueError, match="loss"):
        Wire(loss=loss)


@pytest.mark.parametrize("delay_ms", [(-1, 0), (5, 4)])
def test_delay_is_a_range(delay_ms: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="delay_ms"):
        Wire(delay_ms=delay_ms)


def test_one_of_several_hosts_answers(stack: ExitStack) -> None:
    """RFC 2710 section 4: a Report heard while a timer runs stops it."""
    hosts = Hosts(stack, Wire(), 5)
    assert len(hosts.run(0, 10)) == 5
    hosts.ask(20, 10_000)
    assert len(hosts.run(20, 20_000)) == 1


def test_hosts_that_cannot_hear_each_other_all_answer(stack: ExitStack) -> None:
    wire = Wire()
    hosts = Hosts(stack, wire, 5)
    hosts.run(0, 10)
    hosts.ask(20, 10_000)
    hosts.run(20, 20)  # the Query has arrived; from now on everything is lost
    wire.loss = 1.0
    assert hosts.run(21, 20_000) == []
    assert [each.counters(0)["sent_report"] for each in hosts.runtimes] == [2] * 5


def test_who_reported_last_says_done(stack: ExitStack) -> None:
    hosts = Hosts(stack, Wire())
    hosts.run(0, 10)
    hosts.ask(20, 10_000)
    (answer,) = hosts.run(20, 20_000)
    for each in hosts.runtimes:
        each.engine.leave(0, "ff05::101", 20_001)
    (done,) = hosts.run(20_001, 20_001)
    assert done[62] == frames.DONE and done[70:86] == GROUP
    assert done[22:38] == answer[22:38]


def test_the_same_run_again_says_the_same(stack: ExitStack) -> None:
    def said() -> list[bytes]:
        hosts = Hosts(stack, Wire(seed=7, loss=0.2, delay_ms=(0, 50)), 4)
        heard = hosts.run(0, 1000)
        for now_ms in range(1000, 60_000, 5000):
            hosts.ask(now_ms, 2000)
            heard += hosts.run(now_ms, now_ms + 4999)
        return heard

    assert said() == said() != []
