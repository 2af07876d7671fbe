"""The smallest embedding of fastmld: frames in, frames out. No socket, and no clock but a number that we count up.

python examples/embed.py
"""

from ipaddress import IPv6Address

import fastmld

# What a router sends to learn who listens to what: an MLDv1 General Query (RFC 2710 section 3), octet by octet.
GENERAL_QUERY = bytes.fromhex(
    "333300000001 0200000000fe 86dd"  # Ethernet: to the MAC address of ff02::1
    "60000000 0020 00 01"  # IPv6: 32 octets, a hop-by-hop header first, hop limit 1
    "fe80 0000 0000 0000 0000 0000 0000 00fe"  # from the router
    "ff02 0000 0000 0000 0000 0000 0000 0001"  # to all nodes
    "3a00 0502 0000 0100"  # hop-by-hop header: Router Alert
    "8200 581a 2710 0000"  # Query, checksum, Maximum Response Delay 10,000 ms
    "0000 0000 0000 0000 0000 0000 0000 0000"  # about every group
)


def send(engine: fastmld.Engine) -> None:
    """Take what the engine has to say. A switch would put it on the wire; we print it."""
    out = engine.transmit()
    for frame, time_ms in zip(out, out.times_ms, strict=True):
        message = {131: "Report", 132: "Done"}[frame[62]]
        print(f"{time_ms:6} ms  we say: {message} {IPv6Address(frame[70:86])}")


def let_time_pass(engine: fastmld.Engine) -> None:
    """Time is ours: go from deadline to deadline, however far apart they are."""
    while (deadline_ms := engine.next_deadline_ms()) is not None:
        engine.advance(deadline_ms)
        send(engine)


engine = fastmld.Engine(seed=2710)  # the seed fixes the random delays, so each run prints the same
lan = engine.add_interface("lan0", mac="02:00:00:00:00:01", link_local="fe80::1")

# The first to join says so at once, and once more within 10 s.
for group in ("ff05::101", "ff05::102", "ff05::103"):
    engine.join(lan, group, now_ms=0)
send(engine)
let_time_pass(engine)

# A minute later the router asks. Each group is answered for after a delay of its own.
frames = fastmld.FrameBatch.from_list([GENERAL_QUERY, b"nothing that we know"], interfaces=lan)
verdicts = [fastmld.VERDICTS[code] for code in engine.receive(frames, now_ms=60_000)]
print(f" 60000 ms  we hear: {', '.join(verdicts)}")
let_time_pass(engine)

# We were the last to report these groups, so when we leave them we say that, too.
engine.leave(lan, "ff05::102", now_ms=90_000)
send(engine)
print({name: count for name, count in engine.counters(lan).items() if count})
