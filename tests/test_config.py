"""What `fastmld run` makes of its command line and its TOML file. Nothing here opens an interface."""

import textwrap
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastmld.addresses import consecutive
from fastmld.cli import config
from fastmld.cli.config import Port, groups_of, plan
from fastmld.cli.errors import CommandError


def addresses(port: Port) -> list[str]:
    return [str(IPv6Address(group.tobytes())) for group in port.groups]


def planned(tmp_path: Path, text: str, *names: str, join: tuple[str, ...] = (), **given: Any) -> dict[str, Port]:
    path = tmp_path / "fastmld.toml"
    path.write_text(text)
    return {port.name: port for port in plan(list(names), list(join), path, given)}


def asked(port: Port) -> list[tuple[str, str, list[str], str]]:
    """(group, mode, sources, listener) of each of a port's filters."""
    return [
        (str(IPv6Address(group)), mode, sorted(str(IPv6Address(source)) for source in sources), listener)
        for group, mode, sources, listener in port.filters
    ]


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


def test_sources_of_a_group_add_up() -> None:
    """Each group one listener, whatever the ranges."""
    one, two = "2001:db8::1", "2001:db8::2"
    specs = [f"{one},ff3e::1+3", "ff05::9", f"{two},ff3e::3+2", f"{one},ff3e::3"]
    (port,) = plan(["v0"], specs, None, {})
    assert addresses(port) == ["ff05::9"]
    assert asked(port) == [
        ("ff3e::1", "include", [one], "join"),
        ("ff3e::2", "include", [one], "join"),
        ("ff3e::3", "include", [one, two], "join"),
        ("ff3e::4", "include", [two], "join"),
    ]


def test_each_listen_table_is_a_listener(tmp_path: Path) -> None:
    ports = planned(
        tmp_path,
        """
        [[listen]]
        group = "ff05::1+2"
        exclude = ["2001:db8::2", "2001:db8::1", "2001:db8::1"]
        [[listen]]
        group = "ff05::1"
        exclude = []
        [interface.v0]
        join = ["2001:db8::3,ff05::1"]
        [[interface.v0.listen]]
        group = "ff05::1"
        include = ["2001:db8::4"]
        """,
        "v1",
    )
    everywhere = [
        ("ff05::1", "exclude", ["2001:db8::1", "2001:db8::2"], "listen 0"),
        ("ff05::2", "exclude", ["2001:db8::1", "2001:db8::2"], "listen 0"),
        ("ff05::1", "exclude", [], "listen 1"),
    ]
    assert asked(ports["v1"]) == everywhere
    assert asked(ports["v0"]) == [
        ("ff05::1", "include", ["2001:db8::3"], "join"),
        *everywhere,
        ("ff05::1", "include", ["2001:db8::4"], "listen 2"),
    ]
    assert len(ports["v0"].groups) == len(ports["v1"].groups) == 0


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("2001:db8::1,", "2001:db8::1,"),
        (",ff05::1", ",ff05::1"),
        (",", "','"),
        ("2001:db8::2,2001:db8::1", "2001:db8::1 is not a multicast address"),
        ("ff05::1,ff05::2", "ff05::1 is not a unicast address"),
        ("::,ff05::2", ":: is not a unicast address"),
        ("10.0.0.1,ff05::2", "10.0.0.1"),
        ("fe80::1%v0,ff05::2", "fe80::1%v0"),
        ("2001:db8::1,2001:db8::2,ff05::2", "2001:db8::1,2001:db8::2"),
        ("2001:db8::1,ff05::2+0", "ff05::2+0"),
        ("2001:db8::1,ff05::+4000001", "ff05::+4000001"),
        ("2001:db8::1+2,ff05::2", "2001:db8::1+2"),
    ],
)
def test_sources_and_groups_that_are_none(spec: str, named: str) -> None:
    with pytest.raises(CommandError, match=r"^v0: ") as raised:
        plan(["v0"], [spec], None, {})
    assert named in str(raised.value) and raised.value.exit_code == 2


def test_as_many_sources_as_a_listener_may_have() -> None:
    sources = [str(IPv6Address("2001:db8::") + n) for n in range(1, 1026)]
    (port,) = plan(["v0"], [f"{source},ff3e::1" for source in sources[:1024]], None, {})
    assert len(port.filters[0].sources) == 1024
    with pytest.raises(CommandError, match="ff3e::1 has 1025 sources, and max_sources is 1024"):
        plan(["v0"], [f"{source},ff3e::1" for source in sources], None, {})


def test_the_file_that_the_documentation_shows(tmp_path: Path) -> None:
    shown = (config.__doc__ or "").partition("all optional:\n\n")[2].partition("\nAt the top")[0]
    ports = planned(tmp_path, textwrap.dedent(shown))
    assert list(ports) == ["lan0", "lan1"]
    assert len(ports["lan1"].groups) == 100_001 and len(ports["lan0"].groups) == 100_002
    assert asked(ports["lan1"]) == [
        ("ff3e::8000:1", "include", ["2001:db8::1"], "join"),
        ("ff3e::8000:1", "include", ["2001:db8::1", "2001:db8::2"], "listen 0"),
        ("ff05::1:3", "exclude", ["2001:db8::bad"], "listen 1"),
    ]
    assert ports["lan1"].settings["mld_version"] == "auto"
    assert ports["lan0"].filters[:3] == ports["lan1"].filters
    assert np.array_equal(ports["lan0"].groups[-1:], consecutive(int(IPv6Address("ff05::102")), 1))


@pytest.mark.parametrize("version", ["1", "2", '"auto"'])
def test_versions(tmp_path: Path, version: str) -> None:
    ports = planned(tmp_path, f"mld_version = {version}", "v0", join=("ff05::1",))
    assert ports["v0"].settings == {"mld_version": int(version) if version.isdigit() else "auto"}


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
        ("mld_version = 3", "mld_version"),
        ('mld_version = "1"', "mld_version"),
        ("mld_version = true", "mld_version"),
        ("robustness = 1", "robustness"),
        ("max_sources = -1", "max_sources"),
        ("listen = 5", "listen"),
        ('listen = ["ff05::2"]', "listen"),
        ("[[listen]]\ninclude = []", "group"),
        ("[[listen]]\ngroup = 5\nexclude = []", "group, not 5"),
        ('[[listen]]\ngroup = "ff05::2"', "listen of ff05::2"),
        ('[[listen]]\ngroup = "ff05::2"\ninclude = ["2001:db8::1"]\nexclude = []', "listen of ff05::2"),
        ('[[listen]]\ngroup = "ff05::2"\ninclude = []', "include of ff05::2 names no source"),
        ('[[listen]]\ngroup = "ff05::2"\nexclude = "2001:db8::1"', "'2001:db8::1'"),
        ('[[listen]]\ngroup = "ff05::2"\nexclude = [5]', "exclude of ff05::2"),
        ('[[listen]]\ngroup = "ff05::2"\nsources = []', "unknown key 'sources' of listen"),
        ('[[listen]]\ngroup = "2001:db8::1"\nexclude = []', "v0: 2001:db8::1 is not a multicast address"),
        ('[[listen]]\ngroup = "ff05::2+x"\nexclude = []', "ff05::2+x"),
        ('[[listen]]\ngroup = "ff05::2"\nexclude = ["ff05::3"]', "v0: ff05::3 is not a unicast address"),
        ('[[listen]]\ngroup = "ff05::2"\ninclude = ["::"]', "v0: :: is not a unicast address"),
        ('[[interface.v0.listen]]\ngroup = "ff05::2"\ninclude = ["10.0.0.1"]', "10.0.0.1"),
        (
            'max_sources = 1\n[[listen]]\ngroup = "ff05::2"\nexclude = ["2001:db8::1", "2001:db8::2"]',
            "v0: ff05::2 has 2 sources, and max_sources is 1",
        ),
        (
            'max_sources = 1\njoin = ["2001:db8::1,ff05::2+2", "2001:db8::2,ff05::3"]',
            "v0: ff05::3 has 2 sources, and max_sources is 1",
        ),
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
    (port,) = plan(["v0"], ["2001:db8::1,ff05::1"], None, {})
    assert len(port.groups) == 0 and len(port.filters) == 1
    with pytest.raises(CommandError, match="v0 is given twice"):
        plan(["v0", "v1", "v0"], ["ff05::1"], None, {})
