"""The engine and the model side by side: every event goes to both, and everything that can be seen is compared."""

import itertools
from collections.abc import Sequence

import numpy as np

import fastmld
from model.listener import ANSWER, EXPIRY, LOCAL, Interface, Listener, NotListeningError

VERDICTS = fastmld.VERDICTS


def mac_text(mac: bytes) -> str:
    return ":".join(f"{octet:02x}" for octet in mac)


class Pair:
    def __init__(self, interfaces: Sequence[Interface], seed: int = 0) -> None:
        self.engine = fastmld.Engine(seed=seed)
        self.model = Listener(seed)
        for interface in interfaces:
            self._add(interface)
        self.sent: dict[tuple[int, str], int] = {}
        self._latest = (0, LOCAL)

    def _add(self, interface: Interface) -> None:
        self.model.add_interface(interface)
        index = self.engine.add_interface(
            f"lan{interface.index}",
            mac=mac_text(interface.mac),
            link_local=interface.link_local,
            mtu=interface.mtu,
            kind="loopback" if interface.loopback else "ethernet",
            profile="strict" if interface.strict else "rfc2710",
            vlan=interface.vlan,
            unsolicited_report_interval_ms=interface.interval_ms,
            unsolicited_report_repeats=interface.repeats,
            done_always=interface.done_always,
            report_rate=None,
            mld_version=1,
        )
        assert index == interface.index

    def replace(self, interface: Interface, now_ms: int) -> None:
        """The interface of this index is removed, with its memberships, and another takes its place."""
        self._enter(now_ms, LOCAL)
        self.model.remove_interface(interface.index, now_ms)
        self.engine.remove_interface(interface.index, now_ms)
        self.same_output()
        self.same_state()
        self.sent = {key: count for key, count in self.sent.items() if key[0] != interface.index}
        self._add(interface)

    def join(self, index: int, addresses: list[bytes], now_ms: int, delay_ms: int = 0) -> None:
        self._enter(now_ms, LOCAL)
        self.model.join(index, addresses, now_ms, delay_ms)
        self.engine.join(index, as_argument(addresses), now_ms=now_ms, delay_ms=delay_ms)

    def leave(self, index: int, addresses: list[bytes], now_ms: int) -> None:
        self._enter(now_ms, LOCAL)
        refused = []
        for leave, error in (
            (lambda: self.model.leave(index, addresses, now_ms), NotListeningError),
            (lambda: self.engine.leave(index, as_argument(addresses), now_ms=now_ms), fastmld.NotListening),
        ):
            try:
                leave()
            except error:
                refused.append(error)
        assert len(refused) in (0, 2), refused

    def change(self, what: str, index: int, value: object, now_ms: int) -> None:
        """set_up, set_carrier, set_mtu or set_link_local."""
        self._enter(now_ms, LOCAL)
        getattr(self.model, what)(index, value, now_ms)
        getattr(self.engine, what)(index, value, now_ms=now_ms)

    def receive(self, frames: list[tuple[int, bytes]], now_ms: int, cuts: Sequence[int] = ()) -> None:
        """All in one millisecond; the engine gets them cut into batches at the given places."""
        self._enter(now_ms, ANSWER)
        expected = [self.model.receive(index, frame, now_ms) for index, frame in frames]
        edges = [0, *sorted(cuts), len(frames)]
        verdicts: list[str] = []
        for start, end in itertools.pairwise(edges):
            part = frames[start:end]
            batch = fastmld.FrameBatch.from_list(
                [frame for _, frame in part],
                interfaces=np.array([index for index, _ in part], dtype=np.uint32),
            )
            verdicts += [VERDICTS[code] for code in self.engine.receive(batch, now_ms=now_ms)]
        equal(expected, verdicts)

    def advance(self, now_ms: int) -> None:
        self._enter(now_ms, EXPIRY)
        self.model.advance(now_ms)
        self.engine.advance(now_ms=now_ms)

    def _enter(self, now_ms: int, phase: int) -> None:
        # Within one millisecond local calls come first, then frames, then expiries; who calls in another order
        # takes what there is before.
        if self._latest[0] == now_ms and phase < self._latest[1]:
            self.same_output()
        self._latest = (now_ms, phase)

    def same_output(self) -> None:
        expected = self.model.transmit()
        out = self.engine.transmit()
        found = list(zip(out.times_ms.tolist(), out.interfaces.tolist(), list(out), strict=True))
        equal([(sent.time_ms, sent.interface, sent.frame) for sent in expected], found)
        for sent in expected:
            key = sent.interface, sent.kind
            self.sent[key] = self.sent.get(key, 0) + 1

    def same_state(self) -> None:
        equal(self.model.next_deadline_ms(), self.engine.next_deadline_ms())
        for index in self.model.interfaces:
            equal(modelled(self.model, index), seen(self.engine, index))

    def same_counters(self) -> None:
        for index in self.model.interfaces:
            counters = self.engine.counters(index)
            equal(self.sent.get((index, "report"), 0), counters["sent_report"])
            equal(self.sent.get((index, "done"), 0), counters["sent_done"])
            equal(sum(counters[name] for name in VERDICTS), counters["frames"])


def equal(expected: object, found: object) -> None:
    if isinstance(expected, list) and isinstance(found, list):
        for number, (one, other) in enumerate(zip(expected, found, strict=False)):
            assert one == other, f"at {number}: the model has {one}, the engine {other}"
        assert len(expected) == len(found), f"the model has {expected[-3:]} last, the engine {found[-3:]}"
    assert expected == found, f"the model has {expected}, the engine {found}"


def as_argument(addresses: list[bytes]) -> object:
    if len(addresses) == 1:
        return addresses[0]
    return np.frombuffer(b"".join(addresses), dtype=np.uint8).reshape(-1, 16)


def seen(engine: fastmld.Engine, index: int) -> list[tuple[object, ...]]:
    groups = engine.groups(index)
    return [
        (address.tobytes(), fastmld.STATES[state], flag, deadline, references)
        for address, state, flag, deadline, references in zip(
            groups["address"],
            groups["state"].tolist(),
            groups["last_reporter"].tolist(),
            groups["deadline_ms"].tolist(),
            groups["references"].tolist(),
            strict=True,
        )
    ]


def modelled(model: Listener, index: int) -> list[tuple[object, ...]]:
    return [
        (
            member.address,
            member.state,
            member.last_reporter,
            fastmld.NO_DEADLINE if member.deadline_ms is None else member.deadline_ms,
            member.references,
        )
        for member in model.interfaces[index].memberships.values()
    ]
