"""What an interface is: addresses, MTU, mode, settings, counters. Beyond that it is opaque: any port will do."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fastmld import constants
from fastmld._native import TEMPLATE, lib
from fastmld.addresses import Address, link_local_octets, mac_octets
from fastmld.budget import Budget
from fastmld.errors import InvalidAddress

KINDS: Final = ("ethernet", "loopback")
MLD_VERSIONS: Final = (1, 2, "auto")
PROFILES: Final = ("strict", "rfc2710")
LONGEST_INTERVAL_MS: Final = 1 << 24


@dataclass(slots=True)
class Settings:
    """What can be set by name in add_interface, with its default."""

    unsolicited_report_interval_ms: int = constants.UNSOLICITED_REPORT_INTERVAL_MS
    unsolicited_report_repeats: int = constants.UNSOLICITED_REPORT_REPEATS
    done_always: bool = False
    report_rate: int | str | None = "auto"
    max_groups: int = constants.DEFAULT_MAX_GROUPS
    robustness: int = constants.ROBUSTNESS_VARIABLE
    state_change_interval_ms: int = constants.UNSOLICITED_REPORT_INTERVAL_V2_MS
    max_sources: int = constants.DEFAULT_MAX_SOURCES

    def __post_init__(self) -> None:
        _whole("unsolicited_report_interval_ms", self.unsolicited_report_interval_ms, 1, LONGEST_INTERVAL_MS)
        _whole("unsolicited_report_repeats", self.unsolicited_report_repeats, 0, 255)
        _whole("max_groups", self.max_groups, 0, 0xFFFFFFFE)
        _whole("robustness", self.robustness, constants.LEAST_ROBUSTNESS, constants.MOST_ROBUSTNESS)
        _whole("state_change_interval_ms", self.state_change_interval_ms, 1, LONGEST_INTERVAL_MS)
        _whole("max_sources", self.max_sources, 0, 0xFFFFFF)
        if self.report_rate is not None and self.report_rate != "auto":
            _whole("report_rate", self.report_rate, 1, 1_000_000_000)


@dataclass(slots=True)
class Interface:
    """One interface of an engine."""

    index: int
    name: str
    mac: bytes
    link_local: bytes | None
    mtu: int
    kind: str
    mld_version: int | str
    profile: str
    vlan: int | None
    settings: Settings
    up: bool = True
    carrier: bool = True
    latest_link_local: bytes | None = None  # the latest address that was usable
    reported_unspecified: bool = False  # something was reported from :: since
    sent_report: int = 0
    sent_done: int = 0
    sent_report2: int = 0
    ssm_in_v1: int = 0  # source-specific addresses that MLDv1 could not speak of
    ssm_exclude: int = 0  # of those, joins that named no source
    deferred: int = 0
    budget: Budget = field(init=False)

    def __post_init__(self) -> None:
        self.budget = Budget(self._report_rate(0))
        self.latest_link_local = self.link_local

    @classmethod
    def create(
        cls,
        index: int,
        name: str,
        *,
        mac: str | bytes,
        link_local: Address | None = None,
        mtu: int = 1500,
        kind: str = "ethernet",
        mld_version: int | str = "auto",
        profile: str = "strict",
        vlan: int | None = None,
        **settings: Any,
    ) -> Interface:
        """Check what the caller says. Raises ValueError (InvalidAddress) or TypeError, which name it."""
        if not isinstance(name, str) or not name:
            raise ValueError("an interface has a name")
        if kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
        if profile not in PROFILES:
            raise ValueError(f"profile is one of {', '.join(PROFILES)}, not {profile!r}")
        if mld_version not in MLD_VERSIONS or isinstance(mld_version, bool):
            raise ValueError(f'mld_version is 1, 2 or "auto", not {mld_version!r}')
        unknown = settings.keys() - {setting.name for setting in fields(Settings)}
        if unknown:
            raise TypeError(f"add_interface has no setting {', '.join(sorted(unknown))}")
        if vlan is not None:
            _whole("vlan", vlan, 0, 4094)
        return cls(
            index,
            name,
            own_mac(mac),
            link_local_octets(link_local),
            _whole("mtu", mtu, 0, 0xFFFFFFFF),
            kind,
            mld_version,
            profile,
            vlan,
            Settings(**settings),
        )

    @property
    def talks(self) -> bool:
        """Whether messages can be sent: it is up, its link carries IPv6, and it is no loopback (rules N16, N17)."""
        return self.up and self.carrier and self.mtu >= constants.MINIMUM_MTU and self.kind != "loopback"

    @property
    def rules(self) -> int:
        """What the ladder goes by: bits of csrc/fastmld.h."""
        rules = 0
        if self.mld_version == 1:
            rules |= lib.FASTMLD_RULE_V1_ONLY
        if self.mld_version == 2:
            rules |= lib.FASTMLD_RULE_IGNORE_V1
        if self.profile == "strict":
            rules |= lib.FASTMLD_RULE_STRICT
        if self.link_local is not None:
            rules |= lib.FASTMLD_RULE_LINK_LOCAL
        if not self.talks:
            rules |= lib.FASTMLD_RULE_DEAF
        return int(rules)

    def set_groups(self, groups: int) -> None:
        """Say how many groups there are: the default budget follows them."""
        rate = self._report_rate(groups)
        if rate != self.budget.rate_per_s:
            self.budget.rate_per_s = rate

    def _report_rate(self, groups: int) -> int | None:
        rate = self.settings.report_rate
        return max(constants.DEFAULT_REPORT_RATE_PER_S, groups // 5) if isinstance(rate, str) else rate

    def template(self) -> npt.NDArray[np.void]:
        """What its Reports have in common: all but the group, the destination, and their share of the checksum."""
        return self._template(bytes(16), bytes((constants.TYPE_REPORT, 0)) + bytes(22))

    def template_v2(self) -> npt.NDArray[np.void]:
        """What its MLDv2 Reports have in common: all but the records, and what tells of their number."""
        return self._template(constants.ALL_MLDV2_ROUTERS, bytes((constants.TYPE_REPORT2, 0)) + bytes(6))

    def _template(self, destination: bytes, message: bytes) -> npt.NDArray[np.void]:
        """A frame with the sum of what is in it where its checksum will be."""
        tag = b"" if self.vlan is None else _be16(constants.ETHERTYPE_VLAN) + _be16(self.vlan)
        source = constants.UNSPECIFIED if self.link_local is None else self.link_local
        options = bytes((constants.NEXT_HEADER_ICMPV6, 0)) + constants.ROUTER_ALERT_MLD + constants.PADN_2
        pseudo_header = (
            source + destination + len(message).to_bytes(4, "big") + bytes((0, 0, 0, constants.NEXT_HEADER_ICMPV6))
        )
        message = message[:2] + _be16(_ones_complement_sum(pseudo_header + message)) + message[4:]
        frame = (
            b"\x33\x33" + destination[12:] + self.mac + tag + _be16(constants.ETHERTYPE_IPV6)
            + b"\x60\0\0\0" + _be16(len(options) + len(message)) + bytes((constants.NEXT_HEADER_HOP_BY_HOP, 1))
            + source + destination + options + message
        )  # fmt: skip
        record = np.zeros((), TEMPLATE)
        record["frame"][: len(frame)] = np.frombuffer(frame, np.uint8)
        record["length"] = len(frame)
        record["interface"] = self.index
        return record


def own_mac(mac: str | bytes) -> bytes:
    """The six octets of an interface's own address. Raises InvalidAddress, which names it."""
    octets = mac_octets(mac)
    if octets[0] & 1:
        raise InvalidAddress(f"{mac!r} is no interface's own MAC address, but a group's")
    return octets


def _be16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _ones_complement_sum(octets: bytes) -> int:
    total = sum(int.from_bytes(octets[i : i + 2], "big") for i in range(0, len(octets), 2))
    return (total - 1) % 0xFFFF + 1 if total else 0


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} is a whole number from {least} to {most}, not {value!r}")
    return value
