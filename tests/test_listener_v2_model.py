"""The MLDv2 model itself: the RFC's tables, scapy's reading of what it builds, and that no Query stays unanswered."""

import itertools
import random
from collections.abc import Iterable

import pytest
from scapy.layers.inet6 import ICMPv6MLDMultAddrRec, ICMPv6MLReport2, IPv6, IPv6ExtHdrHopByHop, RouterAlert
from scapy.layers.l2 import Ether

import frames
from model import ladder
from model import listener_v2 as v2
from model.draw import draw_ms
from model.ladder import Link, judge
from model.listener import NotListeningError
from model.listener_v2 import ALLOW, BLOCK, IS_EX, IS_IN, TO_EX, TO_IN, Interface2, Listener2

GROUP, OTHER, SSM = map(frames.address, ("ff05::101", "ff05::102", "ff3e::8000:1"))
A, B, C, D = (frames.address(f"2001:db8::{n}") for n in "abcd")
DEFAULT_V1_MS = 260_000  # section 9.12: 2 x 125 s + 10 s

Said = list[tuple[int, list[tuple[int, bytes, tuple[bytes, ...]]]]]


def numbered(count: int) -> list[bytes]:
    return [frames.address(f"ff05::{n:x}") for n in range(1, count + 1)]


def listener(**settings: object) -> tuple[Listener2, Interface2]:
    model = Listener2(seed=7)
    interface = Interface2(0, frames.MAC, **{"link_local": frames.LINK_LOCAL, **settings})  # type: ignore[arg-type]
    model.add_interface(interface)
    return model, interface


def said(model: Listener2) -> Said:
    """Time and records of each Report, as scapy reads them. Everything that scapy or the ladder minds fails here."""
    out = []
    for sent in model.transmit():
        neighbour = Link(bytes(6), frames.ROUTER, v1_only=False, listened={sent.address})
        verdict = judge(sent.frame, neighbour)
        assert verdict == (("accepted", sent.kind) if sent.source != bytes(16) else ("bad_source", None))
        if sent.kind != "report2":
            out.append((sent.time_ms, [(0, sent.address, (sent.kind.encode(),))]))
            assert ladder.check(sent.frame, neighbour).group == sent.address
            continue
        packet = Ether(sent.frame)
        assert (packet.dst, packet[IPv6].dst, packet[IPv6].hlim) == ("33:33:00:00:00:16", "ff02::16", 1)
        assert [option.value for option in packet[IPv6ExtHdrHopByHop].options if isinstance(option, RouterAlert)] == [0]
        report = packet[ICMPv6MLReport2]
        assert (report.res, report.reserved) == (0, 0)
        records = []
        rest = sent.frame[-packet[IPv6].plen + 16 :]
        while rest:
            size = 20 + 16 * int.from_bytes(rest[2:4], "big")
            # One at a time: scapy takes the next record for the payload of the last one, and gives up after 186.
            record, rest = ICMPv6MLDMultAddrRec(rest[:size]), rest[size:]
            assert (record.auxdata_len, record.sources_number) == (0, len(record.sources))
            sources = tuple(map(frames.address, record.sources))
            assert sources == tuple(sorted(set(sources)))
            records.append((record.rtype, frames.address(record.dst), sources))
        assert len(records) == report.records_number
        out.append((sent.time_ms, records))
    return out


def at_once(model: Listener2) -> list[tuple[int, bytes, tuple[bytes, ...]]]:
    return [record for _, records in said(model) for record in records]


def quiet(model: Listener2) -> int:
    """Past everything that is pending; the time then."""
    now_ms = 0
    while (due_ms := model.next_deadline_ms()) is not None:
        now_ms = due_ms
        model.advance(due_ms)
    model.transmit()
    return now_ms


def query(group: bytes = frames.ANY, code: int = 10_000, sources: Iterable[bytes] = (), **knobs: object) -> bytes:
    return frames.query2(group, code, tuple(sources), destination=frames.ALL_NODES, **knobs)


# Codes and sizes: the tables of the specification.


def test_maximum_response_code() -> None:
    table = {
        0: 0, 1: 1, 1000: 1000, 10000: 10000, 0x7FFF: 32767, 0x8000: 32768, 0x8001: 32776, 0x8FFF: 65528,
        0x9000: 65536, 0x9001: 65552, 0xA000: 131072, 0xB000: 262144, 0xFFFF: 8387584,
    }  # fmt: skip
    assert {code: v2.response_delay_ms(code) for code in table} == table
    delays = [v2.response_delay_ms(code) for code in range(1 << 16)]
    assert delays == sorted(set(delays))


def test_query_interval_code() -> None:
    table = {0: 125, 1: 1, 60: 60, 125: 125, 127: 127, 0x80: 128, 0x81: 136, 0x8F: 248, 0x90: 256, 0x91: 272}
    table[0xFF] = 31744
    assert {code: v2.query_interval_ms(code) // 1000 for code in table} == table


@pytest.mark.parametrize(("mtu", "records", "sources"), [(1280, 61, 75), (1500, 72, 89), (9000, 447, 557)])
def test_capacity(mtu: int, records: int, sources: int) -> None:
    model, _ = listener(mtu=mtu)
    model.join(0, numbered(records + 1), 0)
    assert [len(one) for _, one in said(model)] == [records, 1]
    model.listen(0, OTHER[:-1] + b"\xff", "include", [A[:-2] + n.to_bytes(2, "big") for n in range(sources + 1)], 1)
    assert [[len(listed) for _, _, listed in one] for _, one in said(model)] == [[sources], [1]]


# Section 4.2 and 6.1


def test_merged_filters() -> None:
    """The examples of section 4.2, and the empty ones."""
    ex, in_ = v2.EXCLUDE, v2.INCLUDE

    def of(mode: str, *sources: bytes) -> v2.Filter:
        return mode, frozenset(sources)

    assert v2.merged([of(ex, A, B, C, D), of(ex, B, C, D, GROUP), of(in_, D, OTHER)]) == of(ex, B, C)
    assert v2.merged([of(in_, A, B, C), of(in_, B, C, D), of(in_, OTHER, SSM)]) == of(in_, A, B, C, D, OTHER, SSM)
    assert v2.merged([]) == v2.NOTHING
    assert v2.merged([v2.EVERYTHING, of(ex, A)]) == v2.EVERYTHING
    assert v2.merged([of(ex, A), of(in_, A)]) == v2.EVERYTHING


@pytest.mark.parametrize(
    ("old", "new", "records"),
    [
        (("include", [A, B]), ("include", [B, C]), [(ALLOW, (C,)), (BLOCK, (A,))]),
        (("exclude", [A, B]), ("exclude", [B, C]), [(ALLOW, (A,)), (BLOCK, (C,))]),
        (("include", [A]), ("exclude", [B]), [(TO_EX, (B,))]),
        (("exclude", [A]), ("include", [B]), [(TO_IN, (B,))]),
        (("include", [A]), ("include", [A, B]), [(ALLOW, (B,))]),
        (("include", [A, B]), ("include", [A]), [(BLOCK, (B,))]),
        (("exclude", [A]), ("exclude", []), [(ALLOW, (A,))]),
        (("include", []), ("exclude", []), [(TO_EX, ())]),
        (("exclude", [A]), ("include", []), [(TO_IN, ())]),
        (("include", []), ("include", [A]), [(ALLOW, (A,))]),
        (("include", [A]), ("include", []), [(BLOCK, (A,))]),
        (("include", [A]), ("include", [A]), []),
    ],
)
def test_difference_table(old: tuple[str, list[bytes]], new: tuple[str, list[bytes]], records: list[object]) -> None:
    """Section 6.1, from a state that the routers know: said at once, and RV - 1 times more within an interval each."""
    model, _ = listener(default_robustness=3)
    model.listen(0, GROUP, *old, 0)
    start_ms = quiet(model) + 5
    model.listen(0, GROUP, *new, start_ms)
    model.advance(start_ms + 10_000)
    heard = said(model)
    times = [time_ms for time_ms, _ in heard]
    assert [[(kind, sources) for kind, _, sources in one] for _, one in heard] == ([records] * 3 if records else [])
    assert times[:1] == ([start_ms] if records else [])
    assert all(0 < later - earlier <= 1000 for earlier, later in itertools.pairwise(times))


def kinds(model: Listener2) -> list[tuple[int, tuple[bytes, ...]]]:
    return [(kind, sources) for kind, _, sources in at_once(model)]


def test_counters_of_sources_are_their_own() -> None:
    model, interface = listener(default_robustness=2)
    model.listen(0, GROUP, "include", [A], 0)
    assert kinds(model) == [(ALLOW, (A,))]
    model.listen(0, GROUP, "include", [A, B], 1)
    assert kinds(model) == [(ALLOW, (A, B))]  # A for the last time
    model.advance(5000)
    assert kinds(model) == [(ALLOW, (B,))]
    assert interface.changes == {}


def test_a_source_taken_back_is_blocked() -> None:
    model, _ = listener(default_robustness=3)
    model.listen(0, GROUP, "include", [A, B], 0)
    model.transmit()
    model.listen(0, GROUP, "include", [B], 1)
    assert kinds(model) == [(ALLOW, (B,)), (BLOCK, (A,))]
    model.advance(10_000)
    assert kinds(model) == [(ALLOW, (B,)), (BLOCK, (A,)), (BLOCK, (A,))]


def test_filter_mode_changes_go_on_when_sources_change() -> None:
    """The next RV Reports have a Filter Mode Change Record; only then ALLOW and BLOCK."""
    model, _ = listener(default_robustness=2)
    model.listen(0, GROUP, "exclude", [A], 0)
    assert kinds(model) == [(TO_EX, (A,))]
    model.listen(0, GROUP, "exclude", [B], 1)
    assert kinds(model) == [(TO_EX, (B,))]  # the counter of the mode ends; those of A and B have one left
    model.advance(5000)
    assert kinds(model) == [(ALLOW, (A,)), (BLOCK, (B,))]


def test_left_and_joined_again() -> None:
    model, interface = listener(default_robustness=2)
    model.join(0, [GROUP], 0)
    model.leave(0, [GROUP], 0)
    assert kinds(model) == [(TO_IN, ())]
    model.join(0, [GROUP], 1)
    assert kinds(model) == [(TO_EX, ())]
    model.advance(5000)
    assert kinds(model) == [(TO_EX, ())]
    assert interface.retransmit_ms is None


def test_one_report_a_millisecond() -> None:
    model, _ = listener()
    model.join(0, [OTHER, GROUP], 3)
    model.listen(0, SSM, "include", [A], 3)
    model.leave(0, [OTHER], 3)
    assert said(model) == [(3, [(TO_IN, OTHER, ()), (TO_EX, GROUP, ()), (ALLOW, SSM, (A,))])]


def test_splitting_and_truncating() -> None:
    """Section 5.2.16."""
    model, _ = listener(mtu=1280)
    many = [A[:-2] + n.to_bytes(2, "big") for n in range(100)]
    model.join(0, [OTHER], 0)
    model.listen(0, GROUP, "exclude", many, 0)
    model.join(0, [SSM[:-1] + b"\x07", frames.address("ff05::9")], 0)
    assert [one for _, one in said(model)] == [
        [(TO_EX, OTHER, ())],
        [(TO_EX, GROUP, tuple(many[:75]))],
        [(TO_EX, frames.address("ff05::9"), ())],
    ]
    model.listen(0, GROUP, "include", many, 1)
    split = [one for _, one in said(model)]
    assert split == [[(TO_IN, GROUP, tuple(many[:75]))], [(TO_IN, GROUP, tuple(many[75:]))]]


# Section 6.2 and 6.3


def answers(model: Listener2, until_ms: int) -> Said:
    model.advance(until_ms)
    return said(model)


def listening(*filters: tuple[bytes, str, list[bytes]]) -> tuple[Listener2, Interface2, int]:
    model, interface = listener()
    for address, mode, sources in filters:
        model.listen(0, address, mode, sources, 0)
    return model, interface, quiet(model) + 1000


@pytest.mark.parametrize(
    ("state", "asked", "record"),
    [
        (("include", [A, B]), [], (IS_IN, (A, B))),
        (("exclude", [A]), [], (IS_EX, (A,))),
        (("include", [A, B]), [B, C], (IS_IN, (B,))),
        (("exclude", [A]), [A, B], (IS_IN, (B,))),
        (("exclude", []), [A], (IS_IN, (A,))),
        (("include", [A]), [B], None),
        (("exclude", [A]), [A], None),
        (("exclude", []), [frames.ANY, GROUP], None),  # no unicast address: no source
    ],
)
def test_answers(state: tuple[str, list[bytes]], asked: list[bytes], record: object) -> None:
    model, _, now_ms = listening((GROUP, *state))
    model.receive(0, query(GROUP, 1000, asked), now_ms)
    heard = [(kind, sources) for _, one in answers(model, now_ms + 1000) for kind, _, sources in one]
    assert heard == ([record] if record else [])


def test_rules_one_and_two() -> None:
    model, interface, now_ms = listening((GROUP, "exclude", []))
    model.receive(0, query(code=10_000), now_ms)
    first = interface.pending
    assert first == (now_ms + draw_ms(7, 0, frames.ANY, now_ms, 10_000), now_ms + 10_000)
    model.receive(0, query(code=0xFFFF), now_ms + 1)
    assert interface.pending == first
    model.receive(0, query(code=2), now_ms + 1)
    assert interface.pending is not None and interface.pending[0] <= now_ms + 3 < first[0]
    model.receive(0, query(GROUP, code=0xFFFF), now_ms + 1)
    heard = answers(model, now_ms + 1_000_000_000)
    assert len(heard) == 1  # the General answer came first, so that the other was not needed
    assert interface.next_window_ms is None


def test_rules_three_to_five() -> None:
    model, interface, now_ms = listening((GROUP, "exclude", []))
    member = interface.memberships[GROUP]
    model.receive(0, query(GROUP, 1000, [A]), now_ms)
    assert (member.recorded, member.deadline_ms) == ({A}, now_ms + draw_ms(7, 0, GROUP, now_ms, 1000))
    model.receive(0, query(GROUP, 8000, [B]), now_ms)
    assert member.recorded == {A, B}
    model.receive(0, query(GROUP, 8000), now_ms)
    assert member.recorded is None
    model.receive(0, query(GROUP, 1, [C]), now_ms)
    assert (member.recorded, member.deadline_ms) == (None, now_ms + 1)
    assert [one for _, one in answers(model, now_ms + 1)] == [[(IS_EX, GROUP, ())]]


def test_recorded_sources_are_bounded() -> None:
    model, interface, now_ms = listening((GROUP, "exclude", []))
    many = [A[:-2] + n.to_bytes(2, "big") for n in range(65)]
    model.receive(0, query(GROUP, 1000, many[:60]), now_ms)
    model.receive(0, query(GROUP, 1000, many[1:64]), now_ms)
    assert interface.memberships[GROUP].recorded == set(many[:64])
    model.receive(0, query(GROUP, 1000, many[64:]), now_ms)
    assert interface.memberships[GROUP].recorded is None


def test_nothing_if_the_state_is_gone() -> None:
    model, _, now_ms = listening((GROUP, "include", [A]))
    model.receive(0, query(GROUP, 1000), now_ms)
    model.listen(0, GROUP, "include", [], now_ms)
    heard = [kind for _, one in answers(model, now_ms + 5000) for kind, _, _ in one]
    assert heard == [BLOCK, BLOCK]


@pytest.mark.parametrize("code", [0, 1, 9, 1000, 0xFFFF])
def test_the_answer_of_many_groups_is_spread(code: int) -> None:
    model, interface = listener()
    model.join(0, numbered(300), 0)
    now_ms = quiet(model) + 1
    model.receive(0, query(code=code), now_ms)
    assert interface.pending is not None
    start_ms, end_ms = interface.pending
    heard = answers(model, now_ms + (1 << 24))
    window_ms = end_ms - start_ms
    assert [time_ms for time_ms, _ in heard] == [start_ms + n * window_ms // 5 for n in range(5)]
    assert [len(one) for _, one in heard] == [72, 72, 72, 72, 12]
    assert [address for _, one in heard for _, address, _ in one] == numbered(300)
    assert end_ms - now_ms == (v2.response_delay_ms(code) or 10)


@pytest.mark.slow
def test_no_general_query_stays_unanswered() -> None:
    """Of whatever delays and however many: each group is reported within the window of each Query, by some Report."""
    rng = random.Random(11)
    for _ in range(60):
        model, _ = listener(mtu=1280)
        groups = numbered(rng.choice((1, 61, 62, 400, 700)))
        model.join(0, groups, 0)
        now_ms = quiet(model) + 1
        queries: list[tuple[int, int]] = []
        delays = rng.choice(([10_000], [1000, 10_000], [10, 100, 1000, 5000], list(range(1, 3000))))
        shrinking = rng.randrange(5) == 0
        for number in range(rng.choice((2, 5, 40, 200))):
            delay_ms = max(3000 - 10 * number, 1) if shrinking else rng.choice(delays)
            model.receive(0, query(code=delay_ms), now_ms)
            queries.append((now_ms, delay_ms))
            now_ms += rng.choice((0, 1, 5, 100, 1000))
        reported: dict[bytes, list[int]] = {group: [] for group in groups}
        model.advance(now_ms + 1_000_000)
        for sent in model.transmit():
            message = sent.frame[62:]
            for at in range(8, len(message), 20):
                reported[message[at + 4 : at + 20]].append(sent.time_ms)
        for asked_ms, delay_ms in queries:
            for times in reported.values():
                assert any(asked_ms <= time_ms <= asked_ms + delay_ms for time_ms in times), (asked_ms, delay_ms)


def test_a_flood_of_queries_is_no_flood_of_answers() -> None:
    """Two hundred General Queries a second for a minute: each group is reported once a window, give or take."""
    for count in (1, 700):
        model, _ = listener()
        model.join(0, numbered(count), 0)
        start_ms = quiet(model) + 1
        for number in range(12_000):
            model.receive(0, query(code=10_000), start_ms + 5 * number)
        model.advance(start_ms + 60_000)
        times = [time_ms for time_ms, one in said(model) for _, address, _ in one if address == numbered(1)[0]]
        if count == 1:
            assert max(later - earlier for earlier, later in itertools.pairwise([start_ms, *times])) <= 10_000
        else:
            assert 5 <= len(times) <= 8


# Section 8.2.1


def test_compatibility() -> None:
    model, interface, now_ms = listening((GROUP, "exclude", []), (SSM, "include", [A]))
    model.join(0, [OTHER], now_ms)
    model.leave(0, [OTHER], now_ms)
    model.transmit()
    model.receive(0, frames.query(GROUP), now_ms + 1)
    assert not interface.is_v1  # only a General Query does it
    model.receive(0, frames.query(), now_ms + 2)
    assert interface.is_v1 and interface.v1_until_ms == now_ms + 2 + DEFAULT_V1_MS
    assert said(model) == [(now_ms + 2, [(0, OTHER, (b"done",))])]
    model.receive(0, query(), now_ms + 3)
    assert interface.v1_until_ms == now_ms + 2 + DEFAULT_V1_MS
    model.advance(now_ms + 20_000)
    assert at_once(model) == [(0, GROUP, (b"report",))]
    assert interface.ssm_in_v1 == 1
    model.advance(now_ms + 1 + DEFAULT_V1_MS)
    assert interface.is_v1
    model.advance(now_ms + 2 + DEFAULT_V1_MS)
    assert not interface.is_v1
    assert said(model) == []


def test_refusals_change_nothing() -> None:
    model, interface = listener(most_sources=2)
    model.listen(0, GROUP, "include", [A], 0)
    with pytest.raises(NotListeningError):
        model.leave(0, [GROUP], 0)
    with pytest.raises(v2.TooManySourcesError):
        model.listen(0, GROUP, "include", [A, B, C], 0)
    assert interface.memberships[GROUP].listening == ("include", frozenset([A]))
