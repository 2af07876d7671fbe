"""The group table: where addresses stand in it."""

import numpy as np
import pytest

from fastmld.groups import GroupTable

N = 4096


def groups(n: int, step: int, at: int) -> np.ndarray:
    """(n, 16): groups that are numbered in steps, in the four octets from one place on."""
    addresses = np.zeros((n, 16), np.uint8)
    addresses[:, :2] = 0xFF, 0x05
    addresses[:, at : at + 4] = (np.arange(n) * step).astype(">u4").view(np.uint8).reshape(n, 4)
    return addresses


@pytest.mark.parametrize(
    ("addresses", "interfaces"),
    [
        (groups(N, 1, 12), 1), (groups(N, 1 << 20, 12), 1), (groups(N, 1, 4), 1),
        (groups(4, 1, 12), N // 4),
    ],
)  # fmt: skip
def test_groups_in_a_row_do_not_stand_in_a_row(addresses: np.ndarray, interfaces: int) -> None:
    """Whatever the secret key: no look-up goes over many slots, and few go over more than a bucket."""
    for _ in range(100):
        table = GroupTable()
        for interface in range(interfaces):
            table.join(interface, addresses)
        taken = table._buckets["rows"] != 0
        ends = np.flatnonzero(~np.append(taken, False))
        longest = int(np.diff(np.append(-1, ends)).max()) - 1
        assert np.count_nonzero(taken) == N <= taken.size / 3
        assert longest < 75
        assert taken.all(axis=1).mean() < 0.03
