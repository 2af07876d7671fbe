"""The code tables of RFC 9777 sections 5.1.8 and 5.1.9."""

import numpy as np
import pytest

from fastmld.compat import query_intervals_s, robustness_variables


@pytest.mark.parametrize(
    ("code", "seconds"),
    [
        (0, 125), (1, 1), (60, 60), (125, 125), (127, 127), (0x80, 128), (0x81, 136), (0x8F, 248), (0x90, 256),
        (0x91, 272), (0xFF, 31_744),
    ],
)  # fmt: skip
def test_query_interval(code: int, seconds: int) -> None:
    assert query_intervals_s(np.array([code], np.uint8)).tolist() == [seconds]


@pytest.mark.parametrize(
    ("flags", "default", "robustness"), [(0, 2, 2), (0, 5, 5), (1, 5, 2), (2, 5, 2), (7, 2, 7), (8, 3, 3), (0xF3, 2, 3)]
)
def test_robustness(flags: int, default: int, robustness: int) -> None:
    assert robustness_variables(np.array([flags], np.uint8), np.array([default], np.uint8)).tolist() == [robustness]
