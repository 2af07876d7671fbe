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

TYPE_REPORT2: Final = 143  # RFC 9777 section 5.2
ALL_MLDV2_ROUTERS: Final = bytes.fromhex("ff020000000000000000000000000016")  # RFC 9777 section 5.2.15

ROBUSTNESS_VARIABLE: Final = 2  # RFC 9777 section 9.1
LEAST_ROBUSTNESS: Final = 2  # RFC 9777 section 9.1: it must not be 0, and should not be 1
MOST_ROBUSTNESS: Final = 7  # RFC 9777 section 5.1.8: 3 bits
QUERY_INTERVAL_S: Final = 125  # RFC 9777 section 9.2
QUERY_RESPONSE_INTERVAL_MS: Final = 10_000  # RFC 9777 section 9.3
UNSOLICITED_REPORT_INTERVAL_V2_MS: Final = 1_000  # RFC 9777 section 9.11
LEAST_RESPONSE_DELAY_MS: Final = 10  # no RFC's number: nothing is answered at once (RFC 9777 section 6.3)
MOST_RECORDED_SOURCES: Final = 64  # of source Queries, a group: no RFC's number (RFC 9777 section 10 asks for a limit)
MOST_RECORDED_SOURCES_OF_ALL: Final = 65_536  # the same, an interface
DEFAULT_MAX_SOURCES: Final = 1024  # of one local listener

LONGEST_PAYLOAD: Final = 65_535  # RFC 8200 section 3
RECORD_OCTETS: Final = 20  # RFC 9777 section 5.2, its sources apart
REPORT2_HEADERS_OCTETS: Final = 16  # the hop-by-hop header, and what stands before the records

# Types of a Multicast Address Record, RFC 9777 section 5.2.13.
MODE_IS_INCLUDE: Final = 1
MODE_IS_EXCLUDE: Final = 2
CHANGE_TO_INCLUDE_MODE: Final = 3
CHANGE_TO_EXCLUDE_MODE: Final = 4
ALLOW_NEW_SOURCES: Final = 5
BLOCK_OLD_SOURCES: Final = 6

DEFAULT_REPORT_RATE_PER_S: Final = 100_000  # a budget, not an RFC's number: an interface's Reports a second
DEFAULT_MAX_GROUPS: Final = 4_000_000
