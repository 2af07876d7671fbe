"""Joining and leaving for ever: rows stay in join order, and memory stays bounded by what is listened to."""

import contextlib
import operator
import tracemalloc

import numpy as np
import pytest

import fastmld
import frames


def addresses(first: int, n: int) -> np.ndarray:
    column = np.zeros((n, 16), np.uint8)
    column[:, :2] = 0xFF, 0x05
    column[:, 12:] = np.arange(first, first + n, dtype=">u4").view(np.uint8).reshape(n, 4)
    return column


def test_rows_of_addresses_that_were_left_are_used_again() -> None:
    engine = fastmld.Engine(seed=1)
    lan = engine.add_interface("lan", mac=frames.MAC, link_local=frames.LINK_LOCAL, report_rate=None, mld_version=1)
    other = engine.add_interface("other", mac=frames.MAC, link_local=frames.LINK_LOCAL, report_rate=None, mld_version=1)
    engine.join(other, addresses(1, 10), now_ms=0)
    engine.join(lan, addresses(0, 100), now_ms=0, delay_ms=50_000)
    query = fastmld.FrameBatch.from_list([frames.query(delay_ms=10_000)], other)
    for now_ms in range(1, 60):
        engine.join(lan, addresses(1000 * now_ms, 1000), now_ms=now_ms)
        engine.receive(query, now_ms=now_ms)
        engine.leave(lan, addresses(1000 * now_ms, 1000), now_ms=now_ms)
        engine.transmit()
    assert engine._members.table.used < 5000

    # What stayed has its order, its timers and its answers.
    assert (engine.groups(lan)["address"] == addresses(0, 100)).all()
    assert (engine.groups(lan)["deadline_ms"] == 50_000).all()
    assert (engine.groups(other)["address"] == addresses(1, 10)).all()
    engine.advance(20_000)
    assert sorted(frame[-16:] for frame in engine.transmit()) == [row.tobytes() for row in addresses(1, 10)]
    engine.advance(50_000)
    assert [frame[-16:] for frame in engine.transmit()] == [row.tobytes() for row in addresses(0, 100)]


def test_an_attack_on_the_indices_does_not_fill_memory() -> None:
    """Queries and Reports in turn disarm and arm the same rows: nothing of that stays behind."""
    engine = fastmld.Engine(seed=1)
    lan = engine.add_interface("lan", mac=frames.MAC, link_local=frames.LINK_LOCAL, mld_version=1)
    engine.join(lan, addresses(0, 8), now_ms=0)
    engine.transmit()
    turns = [frames.query(delay_ms=65_535), *(frames.report(row.tobytes()) for row in addresses(0, 8))]
    batches = [fastmld.FrameBatch.from_list([frame], lan) for frame in turns]

    def attack(times: range) -> int:
        for n in times:
            engine.receive(batches[n % len(batches)], now_ms=n // 100)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = attack(range(10_000))
        assert attack(range(10_000, 20_000)) < before + 10_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("part", ["hear", "_pool", "_hear_folds", "_hear_general"])
def test_an_exception_in_the_middle_of_a_batch_makes_nobody_deaf(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = fastmld.Engine(seed=1)
    lan = engine.add_interface("lan", mac=frames.MAC, link_local=frames.LINK_LOCAL, mld_version=1)
    engine.join(lan, addresses(0, 8), now_ms=0)
    engine.advance(20_000)
    named = [frames.query(row.tobytes()) for row in addresses(0, 4)]
    batch = fastmld.FrameBatch.from_list([frames.query(delay_ms=1000), *named], lan)
    with monkeypatch.context() as patched:

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(engine._members.v1, part, interrupt)
        with pytest.raises(KeyboardInterrupt):
            engine.receive(batch, now_ms=20_001)
    engine.receive(batch, now_ms=20_002)
    assert (engine.groups(lan)["deadline_ms"] <= 21_002).all()


def test_an_exception_in_the_middle_of_advance_makes_nobody_deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = fastmld.Engine(seed=1)
    lan = engine.add_interface("lan", mac=frames.MAC, link_local=frames.LINK_LOCAL, mld_version=1)
    engine.join(lan, addresses(0, 8), now_ms=0)
    with monkeypatch.context() as patched:

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(engine._members.v1, "_fire", interrupt)
        with pytest.raises(KeyboardInterrupt):
            engine.advance(20_000)
    engine.advance(20_000)
    assert len(engine.transmit()) == 16


def test_an_interface_without_groups_does_all_that_others_do() -> None:
    engine = fastmld.Engine(seed=1)
    for left in (False, True):
        lan = engine.add_interface("lan", mac=frames.MAC, link_local=frames.LINK_LOCAL, mld_version=1)
        if left:
            engine.join(lan, "ff05::1", now_ms=0)
            engine.leave(lan, "ff05::1", now_ms=0)
        engine.join(lan, addresses(0, 0), now_ms=0)
        engine.leave(lan, addresses(0, 0), now_ms=0)
        engine.set_up(lan, False, now_ms=0)
        engine.set_up(lan, True, now_ms=0)
        engine.set_link_local(lan, "fe80::2", now_ms=0)
        engine.receive(
            fastmld.FrameBatch.from_list([frames.query(delay_ms=0), frames.query(delay_ms=1)], lan), now_ms=0
        )
        engine.advance(0)
        assert len(engine.groups(lan)) == 0
        assert engine.next_deadline_ms() is None
        engine.remove_interface(lan, now_ms=0)
    assert len(engine.transmit()) == 2  # the one that was left: a Report and a Done


def records(engine: fastmld.Engine) -> set[bytes]:
    """The addresses that MLDv2 Reports name now. Their records have no sources."""
    out = list(engine.transmit())
    return {frame[at + 4 : at + 20] for frame in out for at in range(70, len(frame), 20)}


@pytest.mark.parametrize(
    ("room", "part"),
    [
        ("_members.v2", "hear"),
        ("_members.hosts", "ask"),
        ("_members.v2._specific", "set"),
        ("_members.v2._changes", "say"),
        ("_members.v2._speaker", "put"),
        ("_members.v2._general", "begin"),
        ("_members.v2._general", "go_on"),
        ("_members.v2._general", "_say"),
        ("_members.v2._reportable", "rows_of"),
        ("_members.v2._reportable", "which"),
        ("_members.v2", "_expire_interface"),
    ],
)
def test_an_exception_in_mldv2_makes_nobody_mute(room: str, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it comes, changes are still said, and the next Queries are answered."""
    engine = fastmld.Engine(seed=1)
    lan = engine.add_interface("lan", mac=frames.MAC, link_local=frames.LINK_LOCAL)
    groups = {row.tobytes() for row in addresses(0, 100)}
    general = frames.query2(frames.ANY, 1000)
    named = [frames.query2(row.tobytes(), 500) for row in addresses(0, 4)]
    every = fastmld.FrameBatch.from_list([general, *named], lan)
    queries = fastmld.FrameBatch.from_list([general], lan)
    interrupted = 0

    def interrupt(*_: object, **__: object) -> None:
        nonlocal interrupted
        interrupted += 1
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(operator.attrgetter(room)(engine), part, interrupt)
        engine.join(lan, addresses(0, 100), now_ms=0)
        for now_ms in (0, 1, 10_000):
            for step in (engine.advance, lambda now_ms: engine.receive(every, now_ms), lambda _: engine.transmit()):
                with contextlib.suppress(KeyboardInterrupt):
                    step(now_ms)
    assert interrupted
    engine.advance(20_000)
    engine.transmit()
    engine.receive(queries, now_ms=20_000)
    engine.advance(21_000)
    assert records(engine) == groups
    engine.advance(30_000)
    engine.receive(queries, now_ms=30_000)
    engine.leave(lan, addresses(0, 1), now_ms=30_000)
    engine.advance(31_000)
    assert records(engine) == groups
