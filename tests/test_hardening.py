"""The compiled module is built as code that reads the bytes of strangers should be."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from fastmld import _fastmld

CSRC = Path(__file__).parent.parent / "csrc"


def readelf(*options: str) -> str:
    if shutil.which("readelf") is None:
        pytest.skip("readelf is not installed")
    command = ["readelf", "--wide", *options, _fastmld.__file__]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_ffi", CSRC / "build_ffi.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_linked_is_read_only_before_anything_runs() -> None:
    assert "GNU_RELRO" in readelf("--program-headers")
    assert re.search(r"BIND_NOW|FLAGS_1.*\bNOW\b", readelf("--dynamic"))


def test_nothing_is_writable_and_executable() -> None:
    segments = re.findall(r"^ +(LOAD|GNU_STACK) .* ([R ][W ][E ]) 0x", readelf("--program-headers"), re.MULTILINE)
    assert {kind for kind, _ in segments} == {"LOAD", "GNU_STACK"}
    assert not [flags for _, flags in segments if "W" in flags and "E" in flags]


def test_the_stack_is_watched() -> None:
    assert "__stack_chk_fail" in readelf("--dyn-syms")


def test_only_what_python_needs_is_visible() -> None:
    exported = re.findall(r"GLOBAL +DEFAULT +(?!UND)\S+ +(\S+)$", readelf("--dyn-syms"), re.MULTILINE)
    assert [name for name in exported if not name.startswith("_init") and not name.startswith("_fini")] == [
        "PyInit__fastmld"
    ]


@pytest.mark.parametrize("before", ["", "-D_FORTIFY_SOURCE=2", "-D_FORTIFY_SOURCE=3", "-U_FORTIFY_SOURCE"])
def test_the_flags_go_with_those_of_any_interpreter(before: str) -> None:
    """Debian's python sets a level of _FORTIFY_SOURCE itself: two levels are one warning a file."""
    source = b'#include "fastmld.h"\n#if _FORTIFY_SOURCE != 2\n#error "not fortified"\n#endif\n'
    compiler = shutil.which("cc") or pytest.skip("there is no C compiler")
    command = [compiler, *before.split(), "-O2", "-std=c11", f"-I{CSRC}", *build().HARDENED, "-Wall", "-Werror"]
    done = subprocess.run([*command, "-fsyntax-only", "-x", "c", "-"], input=source, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
