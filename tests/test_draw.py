"""The draw of a delay: uniform, consistent, and the engine's."""

import itertools
import random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastmld
import frames
from model.draw import draw_ms
from model.listener import Interface
from model.pair import Pair, seen

words = st.integers(0, (1 << 64) - 1)
times = st.integers(-(1 << 62), 1 << 62)
delays = st.integers(1, 1 << 24)


def chi_square_limit(cells: int, probability: float) -> float:
    """The quantile of chi-square with cells - 1 degrees of freedom (Wilson and Hilferty's approximation)."""
    freedom = cells - 1
    z = NormalDist().inv_cdf(probability)
    return freedom * (1 - 2 / (9 * freedom) + z * (2 / (9 * freedom)) ** 0.5) ** 3


@pytest.mark.parametrize("most_ms", [2, 3, 5, 8, 9, 100, 129, 1000])
@pytest.mark.parametrize("varied", ["seed", "interface", "address", "now"])
def test_uniform(most_ms: int, varied: str) -> None:
    each = 20_000
    counts = [0] * most_ms
    rng = random.Random(2710)
    start = rng.getrandbits(32)
    for n in range(start, start + each):
        address = bytes.fromhex("ff05") + (n if varied == "address" else 1).to_bytes(14, "big")
        counts[
            draw_ms(
                n if varied == "seed" else 1,
                n if varied == "interface" else 1,
                address,
                n if varied == "now" else 1,
                most_ms,
            )
            - 1
        ] += 1
    expected = each / most_ms
    assert sum((count - expected) ** 2 / expected for count in counts) < chi_square_limit(most_ms, 0.9999)


def test_neighbouring_addresses_are_strangers() -> None:
    """RFC 2710 section 4 wants an independent draw per address."""
    drawn = [draw_ms(0, 0, frames.address(f"ff05::{n:x}"), 0, 1000) for n in range(1, 20_001)]
    counts = [0] * 100
    for one, two in itertools.pairwise(drawn):
        counts[(one - 1) // 100 * 10 + (two - 1) // 100] += 1
    expected = (len(drawn) - 1) / 100
    assert sum((count - expected) ** 2 / expected for count in counts) < chi_square_limit(100, 0.9999)


@given(words, st.integers(0, 1 << 16), st.binary(min_size=16, max_size=16), times, delays, delays)
def test_consistent(seed: int, interface: int, address: bytes, now_ms: int, one: int, two: int) -> None:
    small, large = sorted((one, two))
    of_small = draw_ms(seed, interface, address, now_ms, small)
    of_large = draw_ms(seed, interface, address, now_ms, large)
    assert 1 <= of_small <= small
    assert 1 <= of_large <= large
    if of_large <= small:
        assert of_small == of_large


def test_the_engine_draws_the_same() -> None:
    """Every bit length of the delay, both ends of each, several interfaces, times below zero and far off."""
    edges = {1 << bits for bits in range(16)} | {(1 << bits) + 1 for bits in range(16)} | {65_535, 3, 10_000}
    for seed in (0, 1, (1 << 64) - 1, 1 << 63):
        interfaces = [
            Interface(index, frames.MAC[:5] + bytes([index]), frames.LINK_LOCAL, repeats=0) for index in range(3)
        ]
        pair = Pair(interfaces, seed=seed)
        now_ms = -(1 << 40)
        groups = [frames.address(f"ff{n % 14 + 2:02x}::{n:x}:{n * n:x}") for n in range(2, 40)]
        for index in range(3):
            pair.join(index, groups, now_ms)
        for delay_ms in sorted(edges):
            pair.receive([(index, frames.query(delay_ms=delay_ms)) for index in range(3)], now_ms)
            for index in range(3):
                for address, state, _, deadline_ms, _ in seen(pair.engine, index):
                    assert state == "delaying_listener"
                    assert deadline_ms - now_ms == draw_ms(seed, index, address, now_ms, delay_ms)
            now_ms += 1 << 20
            pair.advance(now_ms)
            pair.same_output()


@given(words, st.integers(-(1 << 46), 1 << 46), st.integers(1, 1 << 24))
def test_the_engine_draws_the_same_for_any_interval(seed: int, now_ms: int, interval_ms: int) -> None:
    pair = Pair([Interface(0, frames.MAC, frames.LINK_LOCAL, interval_ms=interval_ms)], seed=seed)
    pair.join(0, [frames.address("ff05::101")], now_ms)
    pair.same_output()
    pair.same_state()


def test_a_seed_of_its_own() -> None:
    """Without a seed two engines draw differently."""
    deadlines = set()
    for _ in range(3):
        engine = fastmld.Engine()
        lan = engine.add_interface("lan0", mac="02:00:00:00:00:01", link_local="fe80::1", mld_version=1)
        engine.join(lan, "ff05::101", now_ms=0)
        engine.join(lan, "ff05::102", now_ms=0)
        deadlines.add(tuple(engine.groups(lan)["deadline_ms"].tolist()))
    assert len(deadlines) > 1
