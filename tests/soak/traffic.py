"""Run in a namespace: send what strangers send, seeded, until standard input ends. traffic.py IFACE SEED RATE VERSION

Queries of all kinds and delays, Reports and Dones for some groups, and a fifth of what is wrong. Reports name the
first half of the groups only, so that nobody answers for the others in the listener's place. Says in the end how many
it sent. Of version 2 a third of it is MLDv2's, with Queriers that differ in all that they say; and General Queries of
MLDv1 come in some phases only, since a listener that has heard one speaks MLDv1 for a while.
"""

import random
import select
import socket
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))

import frames

N = 500
GROUPS = [(int.from_bytes(frames.address("ff05::1:0")) + i).to_bytes(16) for i in range(N)]
DELAYS_MS = (0, 1, 50, 300, 1000, 5000, 65_535)
TICK_S = 0.02
PHASE_S = 6


def frame(rng: random.Random) -> bytes:
    group, delay_ms = rng.choice(GROUPS), rng.choice(DELAYS_MS)
    match rng.randrange(40):
        case 0:
            return frames.query(delay_ms=delay_ms)
        case n if n < 12:
            return frames.query(group, delay_ms)
        case n if n < 22:
            return frames.report(rng.choice(GROUPS[: N // 2]))
        case n if n < 26:
            return frames.done(group)
        case n if n < 30:
            return frames.query2(group, delay_ms, (frames.ROUTER,) * rng.randrange(90))
        case n if n < 32:
            return frames.query(group, delay_ms, tags=(b"\x81\x00\x00\x07",))
        case n if n < 34:
            return frames.query(group, delay_ms, hop_limit=rng.randrange(2, 256))
        case n if n < 36:
            return frames.query(group, delay_ms, checksum_off_by=rng.randrange(1, 1 << 16))
        case n if n < 38:
            whole = bytearray(frames.query(group, delay_ms))
            whole[rng.randrange(54, len(whole))] ^= 1 << rng.randrange(8)
            return bytes(whole)
        case _:
            return frames.query(group, delay_ms)[: rng.randrange(60, 86)]


def frame2(rng: random.Random, v1_too: bool) -> bytes:
    """Of a link that speaks MLDv2. A Query Interval of a second lets MLDv1 end after two, or seven."""
    group, delay_ms = rng.choice(GROUPS), rng.choice(DELAYS_MS)
    flags = rng.choice((0, 1, 2, 2, 7, 10, 0xF2))
    match rng.randrange(60):
        case 0:
            return frames.query2(response_code=rng.choice((*DELAYS_MS, 0x8000)), flags=flags, interval_code=1)
        case 1:
            return frames.query(delay_ms=min(delay_ms, 1000)) if v1_too else frames.query2(interval_code=1)
        case n if n < 8:
            asked = tuple(rng.randbytes(16) for _ in range(rng.randrange(90)))
            return frames.query2(group, rng.choice((*DELAYS_MS, 0x8FFF)), asked, flags=flags, interval_code=1)
        case n if n < 12:
            return frames.query2(group, delay_ms, flags=flags, interval_code=1, destination=frames.ALL_NODES)
        case n if n < 16:
            records = tuple(
                frames.record(rng.randrange(8), rng.choice(GROUPS[: N // 2])) for _ in range(rng.randrange(70))
            )
            return frames.report2(records, count=len(records) + rng.choice((0, 0, 1)))
        case n if n < 18:
            return frames.query2(group, delay_ms, count=rng.randrange(1, 1 << 16))
        case n if n < 20:
            whole = bytearray(frames.query2(group, delay_ms, (frames.ROUTER,) * 3))
            whole[rng.randrange(54, len(whole))] ^= 1 << rng.randrange(8)
            return bytes(whole)
        case _:
            while (octets := frame(rng))[62:63] == b"\x82" and octets[70:86] == frames.ANY:
                pass  # General Queries of MLDv1 have their phases
            return octets


def opened(interface: str) -> socket.socket | None:
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        packets.bind((interface, 0))
    except OSError:  # it is gone for the moment
        packets.close()
        return None
    return packets


def main(interface: str, seed: int, rate: int, version: int) -> int:
    rng = random.Random(seed)
    begin = time.monotonic()
    sent, packets = 0, opened(interface)
    while not select.select([sys.stdin], [], [], TICK_S)[0]:
        packets = packets or opened(interface)
        try:
            for _ in range(int(rate * TICK_S) if packets else 0):
                v1_too = (time.monotonic() - begin) // PHASE_S % 2 == 1
                packets.send(frame(rng) if version == 1 else frame2(rng, v1_too))
                sent += 1
        except OSError:
            packets.close()
            packets = None
            time.sleep(TICK_S)
    return sent


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
