"""What the live tests stand on: namespaces, or the reason why there are none."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Cable, Lab, Refused, without

sys.path.append(str(Path(__file__).parent.parent))


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        try:
            made.namespace()
        except Refused as error:
            without(f"no network namespaces here: {error}")
        yield made


@pytest.fixture
def cable(lab: Lab) -> Cable:
    host, peer = lab.first, lab.namespace()
    lab.veth(host, "v0", peer, "p0")
    return Cable(host, peer)
