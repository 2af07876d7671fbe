"""The engine and the MLDv2 model side by side, and a script that says what led to the first difference.

A script is a list of steps, plain data that can be printed, cut down and run again: see `run`. Frames are octets in it.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from ipaddress import IPv6Address

import numpy as np

import fastmld
from model.listener import ANSWER, EXPIRY, LOCAL, NotListeningError
from model.listener_v2 import Interface2, Listener2, TooManySourcesError
from model.pair import as_argument, equal, mac_text

Step = tuple[object, ...]

REFUSALS = {NotListeningError: "NotListening", TooManySourcesError: "TooManySources"}
COUNTERS = ("v1_query_ignored", "v1_query_ssm", "ssm_in_v1", "ssm_exclude")


@dataclass
class Script:
    """A life: interfaces, a seed, and what happens to them."""

    interfaces: list[dict[str, object]]
    seed: int
    steps: list[Step] = field(default_factory=list)

    def __str__(self) -> str:
        defaults = {one.name: one.default for one in fields(Interface2)}
        lines = []
        for index, settings in enumerate(self.interfaces):
            unusual = {name: value for name, value in settings.items() if value != defaults[name]}
            lines.append(f"interface {index}: " + ", ".join(f"{k}={_legible(v)}" for k, v in unusual.items()))
        return "\n".join([f"seed {self.seed}", *lines, *(_line(step) for step in self.steps)])


class Pair2:
    """Every event goes to both, and everything that can be seen is compared."""

    def __init__(self, script: Script) -> None:
        self.engine = fastmld.Engine(seed=script.seed)
        self.model = Listener2(script.seed)
        self.sent: Counter[tuple[int, str]] = Counter()
        self._latest = (0, LOCAL)
        for index, settings in enumerate(script.interfaces):
            interface = Interface2(index, **settings)  # type: ignore[arg-type]
            self.model.add_interface(interface)
            added = self.engine.add_interface(
                f"lan{index}",
                mac=mac_text(interface.mac),
                link_local=interface.link_local,
                mtu=interface.mtu,
                kind="loopback" if interface.loopback else "ethernet",
                mld_version=interface.version,
                profile="strict" if interface.strict else "rfc2710",
                vlan=interface.vlan,
                unsolicited_report_interval_ms=interface.interval_ms,
                unsolicited_report_repeats=interface.repeats,
                done_always=interface.done_always,
                robustness=interface.default_robustness,
                state_change_interval_ms=interface.change_interval_ms,
                max_sources=interface.most_sources,
                report_rate=None,
            )
            assert added == index

    # Steps: the first is the name, the second the time.

    def join(self, now_ms: int, index: int, addresses: list[bytes], delay_ms: int = 0) -> None:
        self._enter(now_ms, LOCAL)
        self.model.join(index, addresses, now_ms, delay_ms)
        self.engine.join(index, as_argument(addresses), now_ms=now_ms, delay_ms=delay_ms)

    def leave(self, now_ms: int, index: int, addresses: list[bytes]) -> None:
        self._enter(now_ms, LOCAL)
        self._both(
            lambda: self.model.leave(index, addresses, now_ms),
            lambda: self.engine.leave(index, as_argument(addresses), now_ms=now_ms),
        )

    def listen(
        self, now_ms: int, index: int, address: bytes, mode: str, sources: list[bytes], listener: str = "0"
    ) -> None:
        self._enter(now_ms, LOCAL)
        self._both(
            lambda: self.model.listen(index, address, mode, sources, now_ms, listener),
            lambda: self.engine.listen(index, address, mode, sources, listener=listener, now_ms=now_ms),
        )

    def change(self, now_ms: int, what: str, index: int, value: object) -> None:
        """set_up, set_carrier, set_mtu or set_link_local."""
        self._enter(now_ms, LOCAL)
        getattr(self.model, what)(index, value, now_ms)
        getattr(self.engine, what)(index, value, now_ms=now_ms)

    def receive(self, now_ms: int, frames: list[tuple[int, bytes]], cuts: Sequence[int] = ()) -> None:
        """All in one millisecond; the engine gets them cut into batches at the given places."""
        self._enter(now_ms, ANSWER)
        expected = [self.model.receive(index, frame, now_ms) for index, frame in frames]
        edges = [0, *sorted(cut for cut in cuts if cut <= len(frames)), len(frames)]
        verdicts: list[str] = []
        for start, end in itertools.pairwise(edges):
            part = frames[start:end]
            batch = fastmld.FrameBatch.from_list(
                [frame for _, frame in part],
                interfaces=np.array([index for index, _ in part], dtype=np.uint32),
            )
            verdicts += [fastmld.VERDICTS[code] for code in self.engine.receive(batch, now_ms=now_ms)]
        equal(expected, verdicts)

    def advance(self, now_ms: int) -> None:
        self._enter(now_ms, EXPIRY)
        self.model.advance(now_ms)
        self.engine.advance(now_ms=now_ms)

    def transmit(self, now_ms: int) -> None:
        del now_ms  # transmit has no time of its own
        expected = self.model.transmit()
        out = self.engine.transmit()
        found = list(zip(out.times_ms.tolist(), out.interfaces.tolist(), list(out), strict=True))
        for index in self.model.interfaces:  # between interfaces no order is promised
            equal(
                [Shown(sent.time_ms, sent.frame) for sent in expected if sent.interface == index],
                [Shown(time_ms, frame) for time_ms, interface, frame in found if interface == index],
            )
        self.sent.update((sent.interface, sent.kind) for sent in expected)

    def look(self, now_ms: int) -> None:
        """The state, which may be looked at whenever one likes."""
        del now_ms
        equal(self.model.next_deadline_ms(), self.engine.next_deadline_ms())
        for index, interface in self.model.interfaces.items():
            equal(_modelled(interface), _seen(self.engine, index))
            for member in interface.memberships.values():
                if member.listeners:
                    mode, sources = self.engine.filter(index, member.address)
                    listed = [source.tobytes() for source in np.asarray(sources)]
                    equal((member.listening[0], sorted(member.listening[1])), (mode, listed))

    def count(self, now_ms: int) -> None:
        self.transmit(now_ms)
        for index, interface in self.model.interfaces.items():
            counters = self.engine.counters(index)
            for kind in ("report", "done", "report2"):
                equal((kind, self.sent[index, kind]), (kind, counters[f"sent_{kind}"]))
            for name in COUNTERS:
                equal((name, getattr(interface, name)), (name, counters[name]))
            equal(sum(counters[name] for name in fastmld.VERDICTS), counters["frames"])

    def _enter(self, now_ms: int, phase: int) -> None:
        # Within one millisecond local calls come first, then frames, then expiries; who calls in another order
        # takes what there is before.
        if self._latest[0] == now_ms and phase < self._latest[1]:
            self.transmit(now_ms)
        self._latest = (now_ms, phase)

    @staticmethod
    def _both(model: Callable[[], None], engine: Callable[[], None]) -> None:
        refused: list[str] = []
        try:
            model()
        except tuple(REFUSALS) as refusal:
            refused.append(REFUSALS[type(refusal)])
        try:
            engine()
        except fastmld.FastMLDError as refusal:
            refused.append(type(refusal).__name__)
        assert len(set(refused)) == (1 if refused else 0) and len(refused) in (0, 2), refused


def run(script: Script) -> None:
    """Raises AssertionError at the first difference."""
    pair = Pair2(script)
    for name, now_ms, *rest in script.steps:
        getattr(pair, str(name))(now_ms, *rest)


def smallest(script: Script) -> Script:
    """What is left of a script that fails when every part that it can do without is taken away."""
    steps = list(script.steps)
    size = max(len(steps) // 2, 1)
    while True:
        at = 0
        while at < len(steps):
            without = steps[:at] + steps[at + size :]
            if _fails(Script(script.interfaces, script.seed, without)):
                steps = without
            else:
                at += size
        if size == 1:
            break
        size //= 2
    for at, step in enumerate(steps):
        if step[0] != "receive":
            continue
        frames, cuts = list(step[2]), list(step[3]) if len(step) > 3 else []  # type: ignore[call-overload]
        for number in range(len(frames) - 1, -1, -1):
            fewer = frames[:number] + frames[number + 1 :]
            moved = [cut - (cut > number) for cut in cuts]
            if _fails(
                Script(script.interfaces, script.seed, [*steps[:at], (*step[:2], fewer, moved), *steps[at + 1 :]])
            ):
                frames, cuts = fewer, moved
                steps[at] = (*step[:2], frames, cuts)
    return Script(script.interfaces, script.seed, steps)


def _fails(script: Script) -> bool:
    try:
        run(script)
    except fastmld.ClockWentBackwards:
        return False
    except Exception:
        return True
    return False


class Shown(tuple[int, bytes]):
    """A time and a frame, legible where two differ."""

    def __new__(cls, time_ms: int, frame: bytes) -> "Shown":
        return super().__new__(cls, (time_ms, frame))

    def __repr__(self) -> str:
        return f"({self[0]} ms, {legible_frame(self[1])})"


RECORDS = ("?", "IS_IN", "IS_EX", "TO_IN", "TO_EX", "ALLOW", "BLOCK")


def legible_frame(frame: bytes) -> str:
    """What a valid frame says, from its octets."""
    at = 14 + 4 * (frame[12:14] == b"\x81\x00")
    source, message = IPv6Address(frame[at + 8 : at + 24]), frame[at + 48 :]
    if message[:1] == b"\x8f":
        said, at = [], 8
        for _ in range(int.from_bytes(message[6:8], "big")):
            count = int.from_bytes(message[at + 2 : at + 4], "big")
            sources = [str(IPv6Address(message[at + 20 + 16 * n : at + 36 + 16 * n])) for n in range(count)]
            name = RECORDS[message[at]] if message[at] < len(RECORDS) else "?"
            said.append(f"{name} {IPv6Address(message[at + 4 : at + 20])} {{{', '.join(sources)}}}")
            at += 20 + 16 * count
        return f"report2 from {source}: {'; '.join(said)}"
    kind = {130: "query", 131: "report", 132: "done"}.get(message[0], "?")
    if kind != "query" or len(message) < 28:
        delay_ms = int.from_bytes(message[4:6], "big")
        return f"{kind} from {source}: {IPv6Address(message[8:24])} delay {delay_ms} ({len(message)} octets)"
    sources = [str(IPv6Address(message[at : at + 16])) for at in range(28, len(message) - 15, 16)]
    return (
        f"query2 from {source}: {IPv6Address(message[8:24])} code {int.from_bytes(message[4:6], 'big'):#x} "
        f"QRV {message[24] & 7} QQIC {message[25]:#x} {{{', '.join(sources)}}}"
    )


def _legible(value: object) -> str:
    if isinstance(value, bytes):
        return str(IPv6Address(value)) if len(value) == 16 else value.hex(":")
    if isinstance(value, list):
        return "[" + ", ".join(map(_legible, value)) + "]"
    return str(value)


def _line(step: Step) -> str:
    name, now_ms, *rest = step
    if name != "receive":
        return f"{now_ms:>10} {name} " + " ".join(map(_legible, rest))
    said = [f"{'':>13}lan{index} {legible_frame(frame)}" for index, frame in rest[0]]  # type: ignore[attr-defined]
    cuts = f" cut at {rest[1]}" if len(rest) > 1 and rest[1] else ""
    return "\n".join([f"{now_ms:>10} receive{cuts}", *said])


def _seen(engine: fastmld.Engine, index: int) -> list[tuple[object, ...]]:
    groups = engine.groups(index)
    status = engine.status(index)
    head: list[tuple[object, ...]] = [
        (status.mode, status.robustness, status.query_interval_ms, status.v1_until_ms),
    ]
    for address, state, flag, deadline, references in zip(
        groups["address"],
        groups["state"].tolist(),
        groups["last_reporter"].tolist(),
        groups["deadline_ms"].tolist(),
        groups["references"].tolist(),
        strict=True,
    ):
        head.append((address.tobytes(), fastmld.STATES[state], flag, deadline, references))
    return head


def _modelled(interface: Interface2) -> list[tuple[object, ...]]:
    mode = "mldv1" if interface.is_v1 else "mldv2"
    head: list[tuple[object, ...]] = [
        (mode, interface.robustness, interface.query_interval_ms, interface.v1_until_ms),
    ]
    for member in interface.memberships.values():
        deadline_ms = fastmld.NO_DEADLINE if member.deadline_ms is None else member.deadline_ms
        head.append((member.address, member.state, member.last_reporter, deadline_ms, member.references))
    return head
