"""Run in a namespace: send what strangers send, seeded, until standard input ends. traffic.py IFACE SEED RATE

Queries of all kinds and delays, Reports and Dones for some groups, and a fifth of what is wrong. Reports name the
first half of the groups only, so that nobody answers for the others in the listener's place. Says in the end how many
it sent.
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


def opened(interface: str) -> socket.socket | None:
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        packets.bind((interface, 0))
    except OSError:  # it is gone for the moment
        packets.close()
        return None
    return packets


def main(interface: str, seed: int, rate: int) -> int:
    rng = random.Random(seed)
    sent, packets = 0, opened(interface)
    while not select.select([sys.stdin], [], [], TICK_S)[0]:
        packets = packets or opened(interface)
        try:
            for _ in range(int(rate * TICK_S) if packets else 0):
                packets.send(frame(rng))
                sent += 1
        except OSError:
            packets.close()
            packets = None
            time.sleep(TICK_S)
    return sent


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
