"""Branch coverage of the ladder by the tests that judge frames: `make coverage`. Exits 1 below 100 %.

Builds the extension a second time, without optimisation and with gcov's counters, beside a copy of the package in
build/coverage, and runs the tests against that copy.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
OUT = ROOT / "build" / "coverage"
TESTS = ["test_ladder.py", "test_exhaustive.py", "test_hostile_frames.py", "test_corpus.py"]
UNIT = "ladder"  # and what it includes


def build() -> None:
    sys.path.insert(0, str(ROOT / "csrc"))
    from build_ffi import ffibuilder

    shutil.rmtree(OUT, ignore_errors=True)
    shutil.copytree(ROOT / "fastmld", OUT / "fastmld", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    ffibuilder.emit_c_code(str(OUT / "_fastmld.c"))
    compiler = ["gcc", "-std=c11", "-O0", "-g", "--coverage", "-fPIC", "-D_GNU_SOURCE", "-DPy_LIMITED_API=0x030b0000"]
    includes = ["-Icsrc", f"-I{sysconfig.get_paths()['include']}"]
    objects = []
    for source in [OUT / "_fastmld.c", *sorted((ROOT / "csrc").glob("*.c"))]:
        objects.append(str(OUT / f"{source.stem}.o"))
        relative = str(source.relative_to(ROOT))
        subprocess.run([*compiler, *includes, "-c", relative, "-o", objects[-1]], cwd=ROOT, check=True)
    module = OUT / "fastmld" / "_fastmld.abi3.so"
    subprocess.run(["gcc", "--coverage", "-shared", *objects, "-o", str(module)], cwd=ROOT, check=True)


def run() -> None:
    tests = [f"tests/{name}" for name in TESTS]
    environment = os.environ | {"PYTHONPATH": str(OUT)}
    pytest = Path(sys.executable).with_name(
        "pytest"
    )  # with -m the working directory, and its package, would come first
    subprocess.run([pytest, "-q", "-p", "no:cacheprovider", *tests], cwd=ROOT, env=environment, check=True)


def report() -> int:
    said = subprocess.run(
        ["gcov", "--branch-probabilities", "--json-format", "--stdout", str(OUT / f"{UNIT}.gcda")],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    status = 0
    for file in json.loads(said.stdout)["files"]:
        if not file["file"].startswith("csrc/"):
            continue
        source = (ROOT / file["file"]).read_text().splitlines()
        lines = [line["count"] for line in file["lines"]]
        branches = [branch["count"] for line in file["lines"] for branch in line["branches"]]
        for line in file["lines"]:
            if line["count"] == 0 or any(branch["count"] == 0 for branch in line["branches"]):
                number = line["line_number"]
                print(f"{file['file']}:{number}: not all of it was taken: {source[number - 1].strip()}")
        taken, ran = sum(map(bool, branches)), sum(map(bool, lines))
        share = taken / len(branches) if branches else 1
        print(f"{file['file']}: {taken} of {len(branches)} branches, {ran} of {len(lines)} lines: {share:.2%}")
        status |= taken < len(branches) or ran < len(lines)
    return status


if __name__ == "__main__":
    build()
    run()
    sys.exit(report())
