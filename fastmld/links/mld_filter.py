"""The filter in the kernel: a constant classic-BPF program that lets through what may be an MLD message.

It looks for ICMPv6 of an MLD type behind the IPv6 header or a hop-by-hop header of 8 octets. Whatever hides
that better (a longer header, a chain of them, fragments of ICMPv6) goes through to the ladder in C, which
decides. One tag that is still in the frame, the inner of two, is looked behind: the kernel has taken the
outer one out before.
"""

from __future__ import annotations

import struct
from typing import Final

# linux/bpf_common.h
_LOAD_BE16, _LOAD_BE16_X, _LOAD_OCTET_X, _SET_X = 0x28, 0x48, 0x50, 0x01
_IF_EQUAL, _IF_GREATER, _IF_AT_LEAST, _GO, _RETURN = 0x15, 0x25, 0x35, 0x05, 0x06

_IPV6, _VLAN, _SERVICE_VLAN = 0x86DD, 0x8100, 0x88A8
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _ICMPV6, _DESTINATION_OPTIONS = 0, 43, 44, 58, 60
_QUERY, _DONE, _REPORT2 = 130, 132, 143
_WHOLE_FRAME = 0x40000

# Offsets in an untagged frame; X holds the length of a tag.
_TYPE_AT, _TYPE_BEHIND_TAG, _NEXT_HEADER, _EXTENSION, _EXTENSION_LENGTH, _BEHIND_EXTENSION = (
    12,
    16,
    20,
    54,
    55,
    62,
)

# label, operation, operand, where to go if true, and if false; no label: the next line
_PROGRAM: Final = (
    ("", _SET_X, 0, "", ""),
    ("", _LOAD_BE16, _TYPE_AT, "", ""),
    ("", _IF_EQUAL, _IPV6, "ipv6", ""),
    ("", _IF_EQUAL, _VLAN, "tag", ""),
    ("", _IF_EQUAL, _SERVICE_VLAN, "tag", "drop"),
    ("tag", _SET_X, 4, "", ""),
    ("", _LOAD_BE16, _TYPE_BEHIND_TAG, "", ""),
    ("", _IF_EQUAL, _IPV6, "ipv6", "drop"),
    ("ipv6", _LOAD_OCTET_X, _NEXT_HEADER, "", ""),
    ("", _IF_EQUAL, _ICMPV6, "bare", ""),
    ("", _IF_EQUAL, _FRAGMENT, "fragment", ""),
    ("", _IF_EQUAL, _HOP_BY_HOP, "options", ""),
    ("", _IF_EQUAL, _DESTINATION_OPTIONS, "options", ""),
    ("", _IF_EQUAL, _ROUTING, "options", "drop"),
    ("options", _LOAD_OCTET_X, _EXTENSION, "", ""),
    ("", _IF_EQUAL, _ICMPV6, "", "chain"),
    ("", _LOAD_OCTET_X, _EXTENSION_LENGTH, "", ""),
    ("", _IF_EQUAL, 0, "", "take"),
    ("", _LOAD_OCTET_X, _BEHIND_EXTENSION, "", ""),
    ("", _GO, 0, "type", ""),
    ("fragment", _LOAD_OCTET_X, _EXTENSION, "", ""),
    ("", _IF_EQUAL, _ICMPV6, "take", "chain"),
    ("chain", _IF_EQUAL, _DESTINATION_OPTIONS, "take", ""),
    ("", _IF_EQUAL, _ROUTING, "take", ""),
    ("", _IF_EQUAL, _FRAGMENT, "take", "drop"),
    ("bare", _LOAD_OCTET_X, _EXTENSION, "", ""),
    ("type", _IF_AT_LEAST, _QUERY, "", "drop"),
    ("", _IF_GREATER, _DONE, "", "take"),
    ("", _IF_EQUAL, _REPORT2, "take", "drop"),
    ("take", _RETURN, _WHOLE_FRAME, "", ""),
    ("drop", _RETURN, 0, "", ""),
)


def mld_filter() -> bytes:
    """The program as SO_ATTACH_FILTER wants it: 8 octets an instruction (struct sock_filter)."""
    lines = {label: line for line, (label, *_) in enumerate(_PROGRAM) if label}
    program = b""
    for line, (_, operation, operand, *targets) in enumerate(_PROGRAM):
        true, false = (lines[target] - line - 1 if target else 0 for target in targets)
        if operation == _GO:
            operand, true = true, 0
        program += struct.pack("=HBBI", operation, true, false, operand)
    return program
