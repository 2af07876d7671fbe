"""The smallest embedding of fastmld: frames in, frames out. No socket, and no clock but a number that we count up.

python examples/embed.py
"""

from collections.abc import Iterator
from ipaddress import IPv6Address

import fastmld

# What a router sends to learn who listens to what: an MLDv2 General Query (RFC 9777 section 5.1), octet by octet.
GENERAL_QUERY = bytes.fromhex(
    "333300000001 0200000000fe 86dd"  # Ethernet: to the MAC address of ff02::1
    "60000000 0024 00 01"  # IPv6: 36 octets, a hop-by-hop header first, hop limit 1
    "fe80 0000 0000 0000 0000 0000 0000 00fe"  # from the router
    "ff02 0000 0000 0000 0000 0000 0000 0001"  # to all nodes
    "3a00 0502 0000 0100"  # hop-by-hop header: Router Alert
    "8200 5599 2710 0000"  # Query, checksum, Maximum Response Code 10,000: as many ms
    "0000 0000 0000 0000 0000 0000 0000 0000"  # about every group
    "02 7d 0000"  # robustness 2, asked every 125 s, no sources
)
RECORDS = {1: "IS_IN", 2: "IS_EX", 3: "TO_IN", 4: "TO_EX", 5: "ALLOW", 6: "BLOCK"}


def send(engine: fastmld.Engine) -> None:
    """Take what the engine has to say. A switch would put it on the wire; we print it."""
    out = engine.transmit()
    for frame, time_ms in zip(out, out.times_ms, strict=True):
        print(f"{time_ms:6} ms  we say: {', '.join(records(frame))}")


def records(frame: bytes) -> Iterator[str]:
    """What an MLDv2 Report says, record by record (RFC 9777 section 5.2)."""
    at = 70
    while at < len(frame):
        sources = int.from_bytes(frame[at + 2 : at + 4])
        named = [str(IPv6Address(frame[at + 20 + 16 * n : at + 36 + 16 * n])) for n in range(sources)]
        yield f"{RECORDS[frame[at]]} {IPv6Address(frame[at + 4 : at + 20])} {{{', '.join(named)}}}"
        at += 20 + 16 * sources


def let_time_pass(engine: fastmld.Engine) -> None:
    """Time is ours: go from deadline to deadline, however far apart they are."""
    while (deadline_ms := engine.next_deadline_ms()) is not None:
        engine.advance(deadline_ms)
        send(engine)


engine = fastmld.Engine(seed=9777)  # the seed fixes the random delays, so each run prints the same
lan = engine.add_interface("lan0", mac="02:00:00:00:00:01", link_local="fe80::1")

# What changes is said at once, and once more within a second.
for group in ("ff05::101", "ff05::102"):
    engine.join(lan, group, now_ms=0)
engine.listen(lan, "ff3e::8000:1", "include", ["2001:db8::1"], now_ms=0)  # from this source only
send(engine)
let_time_pass(engine)

# A minute later the router asks. It is answered after a random delay.
frames = fastmld.FrameBatch.from_list([GENERAL_QUERY, b"nothing that we know"], interfaces=lan)
verdicts = [fastmld.VERDICTS[code] for code in engine.receive(frames, now_ms=60_000)]
print(f" 60000 ms  we hear: {', '.join(verdicts)}")
let_time_pass(engine)

engine.leave(lan, "ff05::102", now_ms=90_000)
send(engine)
let_time_pass(engine)
print({name: count for name, count in engine.counters(lan).items() if count})
