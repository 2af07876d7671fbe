"""The documents name things that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("page", ["rfc-map.md", "reliability.md"])
def test_every_test_that_a_page_names_exists(page: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / page).read_text()))
    defined = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        defined |= set(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))
    assert named
    assert named <= defined, f"{page} names {sorted(named - defined)}"


def test_every_rule_and_every_rung_is_in_the_map() -> None:
    page = (ROOT / "docs" / "rfc-map.md").read_text()
    for rule in range(1, 21):
        assert f"| N{rule} |" in page
    for requirement in [*(f"W{n}" for n in range(1, 22)), *(f"L{n}" for n in range(1, 16))]:
        assert f"| {requirement} |" in page
    for rung in range(1, 15):
        assert f"| {rung} |" in page


def test_every_file_that_the_documents_name_exists() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "csrc" / "README.md"]:
        for name in re.findall(r"`((?:fastmld|csrc|tests|docs|examples|bench)/[\w/.]+\.\w+)`", page.read_text()):
            assert (ROOT / name).exists(), f"{page.name} names {name}"
