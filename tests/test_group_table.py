"""The group table: where addresses stand in it."""

import numpy as np

from fastmld.groups import GroupTable

N = 4096


def test_groups_in_a_row_do_not_stand_in_a_row() -> None:
    """Whatever the secret key: no look-up walks over many slots. A key in a hundred had them walk over hundreds."""
    addresses = np.zeros((N, 16), np.uint8)
    addresses[:, :2] = 0xFF, 0x05
    addresses[:, 12:] = np.arange(N, dtype=">u4").view(np.uint8).reshape(N, 4)
    for _ in range(300):
        table = GroupTable()
        table.join(0, addresses)
        taken = np.append(table._slots != 0, False)
        ends = np.flatnonzero(~taken)
        longest = int(np.diff(np.append(-1, ends)).max()) - 1
        assert len(taken) == 2 * N + 1
        assert longest < 150
