"""What the live tests stand on: namespaces, or the reason why there are none."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from lab import Lab, Namespace, Refused

sys.path.append(str(Path(__file__).parent.parent))


def without(reason: str) -> None:
    """Skip, or fail where live tests are required."""
    if os.environ.get("FASTMLD_REQUIRE_LIVE") == "1":
        pytest.fail(f"live tests are required, but {reason}")
    pytest.skip(reason)


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        try:
            made.namespace()
        except Refused as error:
            without(f"no network namespaces here: {error}")
        yield made


class Cable(NamedTuple):
    """An engine's port v0 in `host`, and the other end of the cable, p0, in `peer`."""

    host: Namespace
    peer: Namespace


@pytest.fixture
def cable(lab: Lab) -> Cable:
    host, peer = lab.first, lab.namespace()
    lab.veth(host, "v0", peer, "p0")
    return Cable(host, peer)
