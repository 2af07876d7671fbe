"""Frames that lie anywhere in memory, gathered: what a switch has that holds a burst of packet pointers."""

import numpy as np
import pytest

import fastmld
import frames

FRAMES = [frames.query(delay_ms=1000), b"", frames.report("ff05::101"), b"x"]


def test_pointers_are_gathered_in_their_order() -> None:
    packets = [np.frombuffer(frame or b"\0", np.uint8) for frame in FRAMES]
    order = [2, 0, 3, 1, 2]
    pointers = [packets[n].ctypes.data for n in order]
    batch = fastmld.FrameBatch.from_pointers(pointers, [len(FRAMES[n]) for n in order], 7)
    assert list(batch) == [FRAMES[n] for n in order]
    assert batch.interfaces.tolist() == [7] * 5

    engine = fastmld.Engine(seed=1)
    lan = engine.add_interface("lan", mac=frames.MAC, link_local=frames.LINK_LOCAL)
    gathered = fastmld.FrameBatch.from_pointers(pointers, [len(FRAMES[n]) for n in order], lan)
    one_by_one = fastmld.FrameBatch.from_list([FRAMES[n] for n in order], lan)
    assert engine.receive(gathered, 0).tolist() == engine.receive(one_by_one, 0).tolist()


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 pointers but 1 lengths"):
        fastmld.FrameBatch.from_pointers([1, 2], [3])
