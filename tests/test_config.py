"""What `fastmld run` makes of its command line and its TOML file. Nothing here opens an interface."""

from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest

from fastmld.cli.config import Port, groups_of, plan
from fastmld.cli.errors import CommandError


def addresses(port: Port) -> list[str]:
    return [str(IPv6Address(group.tobytes())) for group in port.groups]


def planned(tmp_path: Path, text: str, *names: str, join: tuple[str, ...] = (), **given: Any) -> dict[str, Port]:
    path = tmp_path / "fastmld.toml"
    path.write_text(text)
    return {port.name: port for port in plan(list(names), list(join), path, given)}


def test_groups_are_consecutive() -> None:
    groups = groups_of("ff05::ffff:ffff:ffff:fffe+4")
    assert [str(IPv6Address(group.tobytes())) for group in groups] == [
        "ff05::ffff:ffff:ffff:fffe", "ff05::ffff:ffff:ffff:ffff", "ff05:0:0:1::", "ff05:0:0:1::1",
    ]  # fmt: skip
    assert groups_of("ff05::101").shape == (1, 16)
    assert len(groups_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff+1")) == 1
    assert len(groups_of("ff05::1:0+1000000")) == 1_000_000


@pytest.mark.parametrize(
    "spec",
    ["", "+3", "ff05::1+", "ff05::1+0", "ff05::1+-1", "ff05::1+1.5", "ff05::1+ 2", "ff05::1+٣", "ff05::1%eth0", "::1",
     "239.0.0.1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff+2", "ff05::+4000001", "ff05::1+" + "9" * 5000],
)  # fmt: skip
def test_groups_that_are_none(spec: str) -> None:
    with pytest.raises(ValueError) as raised:
        groups_of(spec)
    assert spec.partition("+")[0] in str(raised.value)


def test_the_line_goes_before_the_table_and_the_table_before_the_top(tmp_path: Path) -> None:
    ports = planned(
        tmp_path,
        """
        join = ["ff05::1"]
        profile = "rfc2710"
        report_rate = 5
        ring = { retire_ms = 4 }
        [interface.v0]
        join = ["ff05::2"]
        report_rate = 6
        unsolicited_report_repeats = 2
        [interface.v1]
        """,
        "v2", "v1",
        join=("ff05::3+2",),
        report_rate=7,
    )  # fmt: skip
    assert list(ports) == ["v2", "v1", "v0"]
    assert addresses(ports["v0"]) == ["ff05::1", "ff05::2", "ff05::3", "ff05::4"]
    assert addresses(ports["v1"]) == addresses(ports["v2"]) == ["ff05::1", "ff05::3", "ff05::4"]
    assert ports["v0"].settings == {"profile": "rfc2710", "report_rate": 7, "unsolicited_report_repeats": 2}
    assert ports["v2"].settings == {"profile": "rfc2710", "report_rate": 7}
    assert ports["v0"].ring == {"retire_ms": 4}
    without = planned(tmp_path, 'join = ["ff05::1"]\nreport_rate = 5\n[interface.v0]\nreport_rate = "auto"')
    assert without["v0"].settings == {"report_rate": "auto"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("colour = 1", "colour"),
        ("[interface.v0]\ncolour = 1", "[interface.v0]: unknown key 'colour'"),
        ("[interface]\nv0 = 1", "[interface.v0] is not a table"),
        ("interface = 1", "interface"),
        ("ring = { blokcs = 1 }", "blokcs"),
        ("ring = { blocks = 0 }", "blocks"),
        ("ring = { block_size = 1000 }", "block_size"),
        ("ring = { retire_ms = true }", "retire_ms"),
        ("ring = 5", "ring"),
        ('join = "ff05::1"', "join"),
        ("join = [1]", "join"),
        ('join = ["2001:db8::1"]', "2001:db8::1"),
        ('[interface.v0]\njoin = ["ff05::1+x"]', "ff05::1+x"),
        ("max_groups = -1", "max_groups"),
        ('max_groups = 5\njoin = ["ff05::+6"]', "ff05::+6"),
        ("link_local = 5", "link_local"),
        ('link_local = "fe80::1%v0"', "fe80::1%v0"),
        ('link_local = "2001:db8::1"', "2001:db8::1"),
        ("mld_version = 2", "mld_version"),
        ('profile = "lax"', "lax"),
        ("report_rate = 0", "report_rate"),
        ('report_rate = "fast"', "fast"),
        ("unsolicited_report_interval_ms = 0", "unsolicited_report_interval_ms"),
        ("= 5", "line 1"),
        ("join = []\njoin = []", "fastmld.toml"),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(CommandError) as raised:
        planned(tmp_path, text, "v0", join=("ff05::1",))
    assert raised.value.exit_code == 2
    assert named in str(raised.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.toml"):
        with pytest.raises(CommandError, match=str(path)):
            plan(["v0"], ["ff05::1"], path, {})
    (tmp_path / "latin.toml").write_bytes(b'join = ["\xe9"]')
    with pytest.raises(CommandError, match=r"latin\.toml"):
        plan(["v0"], ["ff05::1"], tmp_path / "latin.toml", {})


def test_nothing_to_do() -> None:
    with pytest.raises(CommandError, match="-i IFACE"):
        plan([], ["ff05::1"], None, {})
    with pytest.raises(CommandError, match="--join"):
        plan(["v0"], [], None, {})
    with pytest.raises(CommandError, match="v0 is given twice"):
        plan(["v0", "v1", "v0"], ["ff05::1"], None, {})
