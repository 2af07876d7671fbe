"""Where a report was made: what has to be known to compare its figures with others."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import fastmld
from fastmld import _fastmld

_ROOT = Path(__file__).parent.parent
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def environment() -> dict[str, str]:
    """Name -> what there is, in words; "unknown" where the system does not say."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name"),
        "processors": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}",
        "caches": ", ".join(_caches()) or "unknown",
        "memory": _field("/proc/meminfo", "MemTotal"),
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": np.__version__,
        "fastmld": fastmld.__version__,
        "commit": _commit(),
        "compiler": _compiler(),
        "flags": _flags(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _field(path: str, name: str) -> str:
    try:
        text = Path(path).read_text()
    except OSError:
        return "unknown"
    found = re.search(rf"^{name}\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else "unknown"


def _caches() -> list[str]:
    return [
        f"L{(cache / 'level').read_text().strip()} {(cache / 'size').read_text().strip()}"
        for cache in sorted(_CACHES.glob("index*"))
        if (cache / "type").read_text().strip() != "Instruction"
    ]


def _commit() -> str:
    """Of the source tree that is run, if it is one."""
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def _compiler() -> str:
    """As the extension itself says."""
    found = re.search(rb"GCC: \([^)\0]*\) [\d.]+|clang version [\d.]+", Path(_fastmld.__file__).read_bytes())
    return found[0].decode() if found else "unknown"


def _flags() -> str:
    try:
        text = (_ROOT / "csrc" / "build_ffi.py").read_text()
    except OSError:
        return "unknown"
    found = re.search(r"extra_compile_args=\[(.*?)\]", text, re.DOTALL)
    return " ".join(re.findall(r'"([^"]+)"', found[1])) if found else "unknown"
