"""The draw of a response delay, in plain Python: uniform on 1..d, and the same for every d that the value fits in."""

WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(z: int) -> int:
    """A bijection of 64-bit words in which every bit of the input moves every bit of the output."""
    z &= WORD
    z ^= z >> 30
    z = z * 0xBF58476D1CE4E5B9 & WORD
    z ^= z >> 27
    z = z * 0x94D049BB133111EB & WORD
    return z ^ z >> 31


def draw_ms(seed: int, interface: int, address: bytes, now_ms: int, most_ms: int) -> int:
    """A delay in whole milliseconds on 1..most_ms."""
    h = mix(seed + GOLDEN * (interface + 1))
    h = mix(h ^ int.from_bytes(address[:8], "big"))
    h = mix(h ^ int.from_bytes(address[8:], "big"))
    h = mix(h ^ (now_ms & WORD))
    top = (most_ms - 1).bit_length()

    def value(level: int, attempt: int) -> int:
        word = mix(h + GOLDEN * ((level << 32) + attempt))
        return (1 << level - 1) + 1 + word % (1 << level - 1)

    def at_most(levels: int) -> int:
        """The value in the highest level whose bit is set among so many."""
        level = (h % (1 << levels)).bit_length()
        return value(level, 1) if level else 1

    drawn, attempt = at_most(top), 1
    while drawn > most_ms:
        attempt += 1
        if mix(h + GOLDEN * ((top << 32) + attempt)) >> 63 == 0:
            return at_most(top - 1)
        drawn = value(top, attempt)
    return drawn
