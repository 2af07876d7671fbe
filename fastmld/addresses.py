"""IPv6 addresses from the caller, as octets."""

from collections.abc import Iterable
from ipaddress import AddressValueError, IPv6Address

import numpy as np
import numpy.typing as npt

from fastmld.constants import ALL_NODES, SCOPE_INTERFACE_LOCAL, UNSPECIFIED
from fastmld.errors import InvalidAddress

Address = str | bytes | IPv6Address
Addresses = Address | npt.NDArray[np.uint8]


def address_octets(address: Address) -> bytes:
    """The 16 octets of one address. Raises InvalidAddress, which names it."""
    if isinstance(address, bytes):
        if len(address) != 16:
            raise InvalidAddress(f"an IPv6 address has 16 octets, not {len(address)}")
        return address
    try:
        return IPv6Address(address).packed
    except (AddressValueError, TypeError) as error:
        raise InvalidAddress(f"{address!r} is not an IPv6 address") from error


def group_octets(groups: Addresses) -> npt.NDArray[np.uint8]:
    """One multicast address, or (N, 16) uint8 of them, as contiguous (N, 16) uint8. Raises InvalidAddress."""
    if isinstance(groups, np.ndarray):
        if groups.dtype != np.uint8 or groups.ndim != 2 or groups.shape[1] != 16:
            raise InvalidAddress(f"addresses are (N, 16) uint8, not {groups.shape} {groups.dtype}")
        octets = np.ascontiguousarray(groups)
    else:
        octets = np.frombuffer(address_octets(groups), np.uint8).reshape(1, 16)
    unicast = np.flatnonzero(octets[:, 0] != 0xFF)
    if len(unicast):
        raise InvalidAddress(f"{IPv6Address(octets[unicast[0]].tobytes())} is not a multicast address")
    return octets


def consecutive(first: int, n: int) -> npt.NDArray[np.uint8]:
    """(n, 16) uint8: n addresses from first on, an address as a number."""
    high, low = divmod(first, 1 << 64)
    words = np.empty((n, 2), ">u8")
    words[:, 1] = np.uint64(low) + np.arange(n, dtype=np.uint64)
    words[:, 0] = np.uint64(high) + (words[:, 1] < low).astype(np.uint64)
    return words.view(np.uint8)


def is_silent(groups: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which of (N, 16) addresses no message is ever sent for: ff02::1, and scopes 0 and 1 (RFC 2710 section 5)."""
    all_nodes = np.frombuffer(ALL_NODES, np.uint8)
    silent: npt.NDArray[np.bool_] = (groups[:, 1] & 0x0F) <= SCOPE_INTERFACE_LOCAL
    link_scope = np.flatnonzero((groups[:, 1] == all_nodes[1]) & (groups[:, 15] == all_nodes[15]))
    silent[link_scope] |= (groups[link_scope] == all_nodes).all(axis=1)
    return silent


def are_ssm(groups: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which of (N, 16) addresses are for source-specific multicast: ff3x::/32 (RFC 4607 section 1)."""
    ssm: npt.NDArray[np.bool_] = groups[:, 1] >> 4 == 3
    flagged = np.flatnonzero(ssm)
    ssm[flagged] = (groups[flagged, 2] | groups[flagged, 3]) == 0
    return ssm


def is_ssm(group: bytes) -> bool:
    """The same of one."""
    return group[1] >> 4 == 3 and group[2] == group[3] == 0


def source_octets(sources: Iterable[Address] | npt.NDArray[np.uint8]) -> frozenset[bytes]:
    """Unicast addresses, each once: any iterable of them, or (N, 16) uint8. Raises InvalidAddress, which names one."""
    if isinstance(sources, np.ndarray):
        if sources.dtype != np.uint8 or sources.ndim != 2 or sources.shape[1] != 16:
            raise InvalidAddress(f"sources are (N, 16) uint8, not {sources.shape} {sources.dtype}")
        octets = frozenset(source.tobytes() for source in sources)
    elif isinstance(sources, str | bytes):
        raise InvalidAddress(f"sources are a list of addresses, not {sources!r}")
    else:
        octets = frozenset(address_octets(source) for source in sources)
    for source in octets:
        if source[0] == 0xFF or source == UNSPECIFIED:
            raise InvalidAddress(f"{IPv6Address(source)} is not a unicast address")
    return octets


def link_local_octets(address: Address | None) -> bytes | None:
    """The octets of a link-local unicast address, or None. Raises InvalidAddress."""
    if address is None:
        return None
    octets = address_octets(address)
    if not IPv6Address(octets).is_link_local:
        raise InvalidAddress(f"{IPv6Address(octets)} is not a link-local address")
    return octets


def mac_octets(mac: str | bytes) -> bytes:
    """Six octets of a MAC address, from 02:00:00:00:00:01, 02-00-... or bytes. Raises InvalidAddress."""
    try:
        octets = mac if isinstance(mac, bytes) else bytes.fromhex(mac.replace(":", "").replace("-", ""))
    except (ValueError, AttributeError) as error:
        raise InvalidAddress(f"{mac!r} is not a MAC address") from error
    if len(octets) != 6:
        raise InvalidAddress(f"{mac!r} is not a MAC address")
    return octets
