"""Builds fastmld._fastmld. The declarations that Python sees are a marked region of fastmld.h itself."""

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).parent
SOURCES = [
    "ladder.c", "group_table.c", "rows.c", "classify.c", "ask.c", "recorded.c", "emit.c", "emit2.c", "gather.c",
    "ring.c",
]  # fmt: skip
BEGIN, END = "/* cdef: begin */", "/* cdef: end */"

# Bytes of strangers are read here. The interpreter's own flags come first, and Debian's fortify too: hence the -U.
HARDENED = ["-fstack-protector-strong", "-fstack-clash-protection", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]
HARDENED_LINK = ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]

header = (HERE / "fastmld.h").read_text()

ffibuilder = FFI()
ffibuilder.cdef(header[header.index(BEGIN) + len(BEGIN) : header.index(END)])
ffibuilder.set_source(
    "fastmld._fastmld",
    '#include "fastmld.h"',
    sources=[f"csrc/{name}" for name in SOURCES],
    include_dirs=["csrc"],
    depends=[f"csrc/{path.name}" for path in sorted(HERE.glob("*.h"))],
    extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden", "-D_GNU_SOURCE", *HARDENED],
    extra_link_args=HARDENED_LINK,
    py_limited_api=True,
)
