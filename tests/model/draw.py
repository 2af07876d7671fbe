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
    level, attempt = (most_ms - 1).bit_length(), 0
    while level > 0:
        word = mix(h + GOLDEN * ((level << 32) + attempt + 1))
        half = 1 << level - 1
        if word >> 63 == 0:
            level, attempt = level - 1, 0
            continue
        value = half + 1 + (word & half - 1)
        if value <= most_ms:
            return value
        attempt += 1
    return 1
