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
BUCKET = np.dtype([("tags", "u4", 8), ("rows", "u4", 8)])
INTERFACE = np.dtype(
    [
        ("link_local", "u1", 16),
        ("mac", "u1", 6),
        ("rules", "u1"),
        ("present", "u1"),
        ("latest_general", "u4"),
        ("latest_zero", "u4"),
        ("zeros", "u4"),
        ("delay_ms", "i4"),
        ("verdicts", "u8", 13),
        ("kinds", "u8", 7),
    ]
)
ANSWER = np.dtype([("target", "u4"), ("is_general", "u4")])
GENERAL = np.dtype([("interface", "u4"), ("delay_ms", "i4")])
FOLD = np.dtype([("general", "u4"), ("since", "u4"), ("delay_ms", "i4"), ("phase", "u4"), ("interface", "u4")])
MOVE = np.dtype([("state", "u1"), ("set", "u1"), ("clear", "u1"), ("timer", "u1")])
QUERY2 = np.dtype(
    [("sources_at", "i8"), ("row", "u4"), ("delay_ms", "i4"), ("sources", "u4"), ("fold", "u4")],
)
HOST = np.dtype(
    [
        ("v1_query_ignored", "u8"),
        ("v1_query_ssm", "u8"),
        ("querier", "u1", 16),
        ("general_ms", "i4"),
        ("v1_general_ms", "i4"),
        ("heard", "u1"),
        ("told", "u1"),
        ("flags", "u1"),
        ("interval_code", "u1"),
        ("told_v1", "u1"),
        ("flags_v1", "u1"),
        ("interval_code_v1", "u1"),
        ("reserved", "u1"),
    ]
)
ASKED = np.dtype(
    [
        ("row", "u4"),
        ("delay_ms", "i4"),
        ("filter_first", "u4"),
        ("filter_count", "u4"),
        ("total", "u4"),
        ("first", "u4"),
        ("last", "u4"),
        ("excludes", "u1"),
        ("all", "u1"),
        ("recorded", "u1"),
        ("deaf", "u1"),
    ]
)
CHUNK = np.dtype([("sources", "u1", (3, 16)), ("row", "u4"), ("n", "u4"), ("next", "u4"), ("chained", "u4")])
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
    "fastmld_bucket": BUCKET,
    "fastmld_interface": INTERFACE,
    "fastmld_answer": ANSWER,
    "fastmld_general": GENERAL,
    "fastmld_fold": FOLD,
    "fastmld_move": MOVE,
    "fastmld_late": LATE,
    "fastmld_template": TEMPLATE,
    "fastmld_query2": QUERY2,
    "fastmld_host": HOST,
    "fastmld_asked": ASKED,
    "fastmld_chunk": CHUNK,
}.items():
    check_layout(_name, _dtype)


# pin(ctype, array): a C pointer to the first element of a C-contiguous array; it keeps the array alive.
pin = ffi.from_buffer
