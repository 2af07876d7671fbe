"""Engine.leave_all: every listener of an interface ends, and what was said is taken back once."""

import pytest

import fastmld
import frames
from fastmld import FrameBatch
from said_v2 import reports, until, whatever

GROUP, OTHER, SSM = "ff05::101", "ff05::102", "ff3e::1"
A, B = "2001:db8::a", "2001:db8::b"


def engine_with(**settings: object) -> tuple[fastmld.Engine, int]:
    engine = fastmld.Engine(seed=1)
    return engine, engine.add_interface("lan0", mac=frames.MAC, link_local=frames.LINK_LOCAL, **settings)


def hear(engine: fastmld.Engine, lan: int, frame: bytes, now_ms: int) -> None:
    engine.receive(FrameBatch.from_list([frame], lan), now_ms)


def listen_to_all(engine: fastmld.Engine, lan: int) -> None:
    for _ in range(2):
        engine.join(lan, GROUP, 0)
    engine.listen(lan, GROUP, "exclude", [A], listener="a", now_ms=0)
    engine.listen(lan, OTHER, "exclude", [A], listener="a", now_ms=0)
    engine.listen(lan, OTHER, "include", [B], listener="b", now_ms=0)
    engine.listen(lan, SSM, "include", [A, B], now_ms=0)


def test_in_mldv2() -> None:
    engine, lan = engine_with()
    listen_to_all(engine, lan)
    until(engine, 5000)
    hear(engine, lan, frames.query2(response_code=10_000), 5000)
    hear(engine, lan, frames.query2(GROUP, 10_000), 5000)
    engine.leave_all(lan, 5000)
    (said,) = reports(engine)
    assert said.records == [("TO_IN", GROUP, ()), ("TO_IN", OTHER, ()), ("BLOCK", SSM, (A, B))]
    assert engine.next_deadline_ms() is None, "neither said again, nor anything that was asked for"
    assert len(engine.groups(lan)) == 0
    with pytest.raises(fastmld.NotListening):
        engine.leave(lan, GROUP, 5000)


def test_what_is_said_of_a_change_is_said_no_more() -> None:
    engine, lan = engine_with()
    engine.join(lan, GROUP, 0)
    engine.join(lan, OTHER, 0)
    assert len(reports(engine)) == 1
    engine.leave(lan, GROUP, 0)
    engine.leave_all(lan, 0)
    assert [said.records for said in reports(engine)] == [[("TO_IN", GROUP, ())], [("TO_IN", OTHER, ())]]
    assert engine.next_deadline_ms() is None


def test_in_mldv1_mode() -> None:
    engine, lan = engine_with()
    listen_to_all(engine, lan)
    until(engine, 5000)
    hear(engine, lan, frames.query(delay_ms=0), 5000)
    assert [kind for _, kind, _ in whatever(engine)] == ["report", "report"]
    engine.leave_all(lan, 5000)
    assert whatever(engine) == [(5000, "done", GROUP), (5000, "done", OTHER)]
    assert engine.status(lan).mode == "mldv1", "what is known of the Querier stays known"
    assert engine.next_deadline_ms() is None and len(engine.groups(lan)) == 0


@pytest.mark.parametrize("mld_version", [1, 2, "auto"])
def test_where_nothing_was_said_nothing_is_taken_back(mld_version: object) -> None:
    engine, lan = engine_with(mld_version=mld_version)
    engine.join(lan, GROUP, 0, delay_ms=1000)
    engine.join(lan, "ff02::1", 0)
    engine.leave_all(lan, 0)
    engine.set_carrier(lan, False, 0)
    listen_to_all(engine, lan)
    engine.leave_all(lan, 0)
    engine.set_carrier(lan, True, 0)
    assert whatever(engine) == []
    assert engine.next_deadline_ms() is None and len(engine.groups(lan)) == 0


@pytest.mark.slow
def test_life_goes_on_there_and_elsewhere() -> None:
    engine, lan = engine_with(report_rate=None)
    other = engine.add_interface("lan1", mac=frames.MAC, link_local=frames.LINK_LOCAL)
    engine.listen(other, GROUP, "include", [A], now_ms=0)
    for start_ms in (0, 10_000):
        for n in range(3000):
            engine.join(lan, f"ff05::{n + 1:x}", start_ms)
        engine.listen(lan, SSM, "include", [B], now_ms=start_ms)
        joined = [record for said in until(engine, start_ms + 5000) for record in said.records]
        assert joined.count(("ALLOW", SSM, (B,))) == joined.count(("TO_EX", "ff05::1", ())) == 2
        engine.leave_all(lan, start_ms + 5000)
        assert sum(len(said.records) for said in reports(engine)) == 3001
    mode, sources = engine.filter(other, GROUP)
    assert (mode, sources.tobytes()) == ("include", frames.address(A))
    hear(engine, other, frames.query2(response_code=1000), 20_000)
    assert [said.records for said in until(engine, 21_000)] == [[("IS_IN", GROUP, (A,))]]
    with pytest.raises(fastmld.UnknownInterface):
        engine.leave_all(7, 21_000)
