"""Every number of the RFCs that the listener uses, once, with its section."""

from typing import Final

UNSOLICITED_REPORT_INTERVAL_MS: Final = 10_000  # RFC 2710 section 7.10
UNSOLICITED_REPORT_REPEATS: Final = 1  # RFC 2710 section 4: "once or twice"
MAXIMUM_RESPONSE_DELAY_LIMIT_MS: Final = 65_535  # RFC 2710 section 3.4: 16 bits of milliseconds
MINIMUM_MTU: Final = 1280  # RFC 8200 section 5

SCOPE_INTERFACE_LOCAL: Final = 1  # RFC 4291 section 2.7; no message for this scope or less (RFC 2710 section 5)
ALL_NODES: Final = bytes.fromhex("ff020000000000000000000000000001")  # RFC 4291 section 2.7.1
UNSPECIFIED: Final = bytes(16)  # RFC 4291 section 2.5.2

ETHERTYPE_IPV6: Final = 0x86DD
ETHERTYPE_VLAN: Final = 0x8100  # IEEE 802.1Q
NEXT_HEADER_HOP_BY_HOP: Final = 0  # RFC 8200 section 4.3
NEXT_HEADER_ICMPV6: Final = 58  # RFC 4443 section 1
ROUTER_ALERT_MLD: Final = bytes((5, 2, 0, 0))  # RFC 2711 section 2.1
PADN_2: Final = bytes((1, 0))  # RFC 8200 section 4.2
TYPE_REPORT: Final = 131  # RFC 2710 section 3.2

DEFAULT_REPORT_RATE_PER_S: Final = 100_000  # a budget, not an RFC's number: an interface's Reports a second
DEFAULT_MAX_GROUPS: Final = 4_000_000
