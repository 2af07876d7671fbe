"""The only importer of the compiled module. Pins columns, and holds every dtype against the C header when imported."""

from typing import Any

import numpy as np

from fastmld._fastmld import ffi as ffi
from fastmld._fastmld import lib as lib

NO_ROW = 0xFFFFFFFF
BLOCK_ROWS: int = lib.FASTMLD_BLOCK_ROWS
RUNS: int = lib.FASTMLD_STATE_RUNS
MOVES: int = lib.FASTMLD_STATE_MOVES

ROW = np.dtype(
    [
        ("address", "u1", 16),
        ("fold", "u4"),
        ("references", "u4"),
        ("interface", "u2"),
        ("state", "u1"),
        ("flags", "u1"),
        ("repeats", "u1"),
        ("reserved", "u1", 3),
    ]
)
INTERFACE = np.dtype(
    [
        ("link_local", "u1", 16),
        ("mac", "u1", 6),
        ("rules", "u1"),
        ("present", "u1"),
        ("latest_general", "u4"),
        ("zeros", "u4"),
        ("delay_ms", "i4"),
        ("reserved", "u4"),
        ("verdicts", "u8", 13),
        ("kinds", "u8", 7),
    ]
)
EVENT = np.dtype([("target", "u4"), ("delay_ms", "i4"), ("general", "u4"), ("is_general", "u4")])
FOLD = np.dtype(
    [
        ("row", "u4"),
        ("delay_ms", "i4"),
        ("general", "u4"),
        ("zeros", "u4"),
        ("reset", "u1"),
        ("flag_if_idle", "u1"),
        ("flag_if_delaying", "u1"),
        ("flag_known", "u1"),
    ]
)
MOVE = np.dtype([("state", "u1"), ("set", "u1"), ("clear", "u1"), ("timer", "u1")])
LATE = np.dtype([("interface", "u4"), ("zeros", "u4"), ("delay_ms", "i8"), ("after_ms", "i8")])
TEMPLATE = np.dtype([("frame", "u1", 96), ("length", "u4"), ("interface", "u4")])


def check_layout(name: str, dtype: np.dtype[Any]) -> None:
    """Raise unless a dtype is laid out as the C struct of that name: sizes, offsets, and names in order."""
    fields = [(field, info.offset, ffi.sizeof(info.type)) for field, info in ffi.typeof(name).fields]
    columns = [(field, dtype.fields[field][1], dtype.fields[field][0].itemsize) for field in dtype.names]
    if fields != columns or ffi.sizeof(name) != dtype.itemsize:
        raise ImportError(f"{name}: the header says {fields}, the dtype {columns}; build the extension anew")


for _name, _dtype in {
    "fastmld_row": ROW,
    "fastmld_interface": INTERFACE,
    "fastmld_event": EVENT,
    "fastmld_fold": FOLD,
    "fastmld_move": MOVE,
    "fastmld_late": LATE,
    "fastmld_template": TEMPLATE,
}.items():
    check_layout(_name, _dtype)


# pin(ctype, array): a C pointer to the first element of a C-contiguous array; it keeps the array alive.
pin = ffi.from_buffer
