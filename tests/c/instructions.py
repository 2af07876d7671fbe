"""Instructions a packet of the C core, counted by callgrind, against the figures in instructions.json.

`make instructions` prints them and exits 1 where one is more than TOLERANCE over its figure; `make instructions-update`
writes them into the file, for a change that is worth it: the commit says why. The count depends on the compiler, so
figures are kept by its version; a compiler without figures is status 1 too. The figures are of a processor with AVX2,
which csrc/classify.c asks for.
"""

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

FIGURES = Path(__file__).with_name("instructions.json")
CASES = {"1000": ("1000",), "100000": ("100000",), "100000 MLDv2": ("100000", "2")}
TOLERANCE = 0.02
# What the C library would choose by the machine's features, it chooses alike on all.
SAME_EVERYWHERE = "glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM"


def instructions_a_packet(program: str, *arguments: str) -> float:
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no",
         "--toggle-collect=path_classify", "--toggle-collect=path_settle", program, *arguments],
        env=os.environ | {"GLIBC_TUNABLES": SAME_EVERYWHERE}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    collected = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not collected:
        sys.exit(done.stderr)
    return int(collected[1]) / int(done.stdout)


def main(program: str, compiler: str, *options: str) -> int:
    version = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True, check=True).stdout.strip()
    name = Path(compiler).name.split("-")[0]  # gcc-12 is gcc
    toolchain = f"{name} {version} {platform.machine()}"
    figures = json.loads(FIGURES.read_text())
    found = {case: round(instructions_a_packet(program, *arguments), 1) for case, arguments in CASES.items()}
    if options == ("--update",):
        figures[toolchain] = found
        FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    status = 0
    for case, count in found.items():
        figure = figures.get(toolchain, {}).get(case)
        if figure is None:
            said, over = f"no figure for {toolchain}: make instructions-update", True
        else:
            over = count > figure * (1 + TOLERANCE)
            said = f"figure {figure}, {count / figure - 1:+.1%}" + (", too many" if over else "")
        status |= over
        print(f"classify, {case} groups: {count} instructions a packet; {said}")
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
