"""The batch that docs/flow.md works through."""

import fastmld
import frames

A, B, C = "ff05::a", "ff05::b", "ff05::c"
IDLE, DELAYING = (fastmld.STATES.index(name) for name in ("idle_listener", "delaying_listener"))


def test_the_worked_batch_of_the_flow_page() -> None:
    engine = fastmld.Engine(seed=1)
    lan = engine.add_interface(
        "lan", mac=frames.MAC, link_local=frames.LINK_LOCAL, unsolicited_report_repeats=0, mld_version=1
    )
    for group in (A, B, C):
        engine.join(lan, group, now_ms=0)
    assert len(engine.transmit()) == 3

    batch = [
        bytes(frames.query(A, delay_ms=400)),
        bytes(frames.query(delay_ms=10_000))[:12] + b"\x08\x00" + bytes(40),
        bytes(frames.query(delay_ms=10_000)),
        bytes(frames.report(B)),
        bytes(frames.query(A, delay_ms=0)),
    ]
    verdicts = engine.receive(fastmld.FrameBatch.from_list(batch, lan), now_ms=1000)
    assert [fastmld.VERDICTS[code] for code in verdicts] == ["accepted", "not_mld", "accepted", "accepted", "accepted"]

    groups = engine.groups(lan)
    assert groups["state"].tolist() == [IDLE, IDLE, DELAYING]
    assert groups["last_reporter"].tolist() == [True, False, True]
    deadline_ms = int(groups["deadline_ms"][2])
    assert 1001 <= deadline_ms <= 11_000
    assert engine.next_deadline_ms() == deadline_ms

    answer = engine.transmit()
    assert answer.times_ms.tolist() == [1000]
    assert answer[0][-16:] == frames.address(A)
    engine.advance(deadline_ms)
    late = engine.transmit()
    assert late.times_ms.tolist() == [deadline_ms]
    assert late[0][-16:] == frames.address(C)
