"""Imports run one way, and the dtypes are the header's."""

import ast
from pathlib import Path

import pytest

from fastmld import _native

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fastmld"

# From the ground up: a module imports only what stands before it. Those of one line may not import each other.
FLOORS = [
    {"errors", "constants", "_native", "__version__"},
    {"addresses", "agenda", "batch", "budget", "groups", "compat", "listener_v2"},
    {"listener_v1", "interface", "timers", "piles", "reports_v2", "departed"},
    {"debts", "filters", "hosts", "outbox"},
    {"memberships", "recorded", "reportable", "speaker", "building", "classifier"},
    {"state_changes", "specific_answers"},
    {"general_answers"},
    {"memberships_v2"},
    {"listeners"},
    {"engine"},
    {"links"},
    {"replay", "runtime"},
    {"cli"},
    {"__main__"},
]
FLOOR = {module: floor for floor, modules in enumerate(FLOORS) for module in modules}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it, TYPE_CHECKING too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms_imported(path: Path) -> set[str]:
    inside = {name.split(".")[1] for name in imports(path) if name.startswith("fastmld.")}
    return inside & FLOOR.keys() if room(path) != "__init__" else set()


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    if room(path) in ("__init__", "_fastmld"):
        return
    own = room(path)
    assert own in FLOOR, f"{own} has no floor yet: say where it stands"
    for other in rooms_imported(path):
        assert other == own or FLOOR[other] < FLOOR[own], f"{own} imports {other}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_a_room_may_not_know(path: Path) -> None:
    own, names = room(path), imports(path)
    roots = {name.split(".")[0] for name in names}
    if own not in ("cli", "links", "runtime", "replay", "__main__"):
        assert roots <= {"__future__", "numpy", "fastmld"} | STANDARD_AND_INERT, f"{own} imports {sorted(roots)}"
    if own in ("links", "engine", "memberships"):
        assert not roots & {"time"}
    if own == "links":
        assert not {name for name in names if name.startswith(("fastmld.engine", "fastmld.runtime"))}
    if own != "_native":
        assert not {name for name in names if "_fastmld" in name}, "only _native imports the compiled module"
    assert not roots & {"scapy", "dpkt", "hypothesis", "pytest"}


# What the core may use of the standard library: nothing that sends, schedules, or reads a clock.
STANDARD_AND_INERT = {
    "collections", "dataclasses", "enum", "heapq", "ipaddress", "itertools", "operator", "secrets", "typing",
}  # fmt: skip


def test_the_dtypes_are_the_headers() -> None:
    # _native raises at import when they are not; here: that it would.
    _native.check_layout("fastmld_row", _native.ROW)
    with pytest.raises(ImportError, match="fastmld_row"):
        _native.check_layout("fastmld_row", _native.ANSWER)


def test_the_names_of_the_face_are_the_headers_codes() -> None:
    import fastmld

    for code, name in enumerate(fastmld.VERDICTS):
        assert getattr(_native.lib, f"FASTMLD_{name.upper()}") == code
    assert len(fastmld.VERDICTS) == _native.lib.FASTMLD_VERDICTS
    for code, name in enumerate(fastmld.KINDS):
        assert getattr(_native.lib, f"FASTMLD_{name.upper()}" if name else "FASTMLD_NO_KIND") == code
    assert len(fastmld.KINDS) == _native.lib.FASTMLD_KINDS


def test_the_only_clock_is_monotonic() -> None:
    """So nothing happens when somebody sets the date back."""
    read = set()
    for path in modules():
        assert not imports(path) & {"datetime", "sched"}, path
        assert not {name for name in imports(path) if name.startswith("time.")} - {"time.monotonic"}, path
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "time":
                read.add(node.attr)
    assert read == {"monotonic_ns", "sleep"}  # which is no clock
