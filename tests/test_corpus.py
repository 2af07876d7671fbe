"""Every input that the fuzz targets start from, and every one that ever failed, with the verdict that it must get."""

from pathlib import Path

import pytest

import frames
from direct import Edge, Parser
from model.ladder import Link, judge

HERE = Path(__file__).parent / "c"
STRICT, V1_ONLY, LINK_LOCAL = 1, 2, 4  # of the first octet, as in csrc/fastmld.h
TABLE = [
    line.split(maxsplit=3) for line in (HERE / "verdicts.txt").read_text().splitlines() if not line.startswith("#")
]
EDGE = Edge(4096)


def read(name: str) -> tuple[Link, bytes]:
    rules, *octets = (HERE / "corpus" / f"{name}.bin").read_bytes()
    own = frames.LINK_LOCAL if rules & LINK_LOCAL else None
    return Link(frames.MAC, own, bool(rules & STRICT), bool(rules & V1_ONLY), AnyGroup()), bytes(octets)


class AnyGroup:
    """The parser alone does not know what is listened to: to it a multicast destination may be."""

    def __contains__(self, address: object) -> bool:
        return isinstance(address, bytes) and address[0] == 0xFF


@pytest.mark.parametrize(("name", "verdict", "kind", "why"), TABLE, ids=[row[0] for row in TABLE])
def test_corpus(name: str, verdict: str, kind: str, why: str) -> None:
    link, frame = read(name)
    expected = verdict, None if kind == "-" else kind
    assert Parser(link).judge(EDGE(frame)) == expected, why
    assert judge(frame, link) == expected, why


def test_the_table_has_every_file() -> None:
    files = sorted(path.stem for path in (HERE / "corpus").iterdir())
    assert files == sorted(row[0] for row in TABLE)
