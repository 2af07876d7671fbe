"""A network namespace of the demo's own: a bridge, whose kernel asks, and a veth pair to the listener's port.

It ends with the processes in it, and everything in it does.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

from fastmld.cli.far_end import general_query

PORT: Final = "fastmld0"
FAR_PORT: Final = "port0"
_BRIDGE: Final = "bridge0"
_OUTSIDE: Final = "FASTMLD_DEMO_OUTSIDE"  # in the environment: the namespace that was left
_OWN: Final = "/proc/self/ns/net"
_ETH_P_IPV6: Final = 0x86DD

# In 1/100 s. They come before mcast_querier: a querier that was switched on with the defaults waits for 10 to 30 s. A
# listener speaks MLDv1 for two query intervals and a response interval after the last MLDv1 Query.
_LINKS: Final = f"""
link add {PORT} type veth peer name {FAR_PORT}
link add {_BRIDGE} type bridge mcast_snooping 1 mcast_mld_version 2 mcast_hash_max 65536 \
 mcast_query_interval 100 mcast_startup_query_interval 100 mcast_query_response_interval 50
link set {FAR_PORT} master {_BRIDGE}
"""
# The kernel's listener has no business on the ports, and answers the bridge's Queries for the bridge itself only.
_SYSCTLS: Final = {
    f"{PORT}/disable_ipv6": 1,
    f"{FAR_PORT}/disable_ipv6": 1,
    f"{_BRIDGE}/accept_dad": 0,
}
_UP: Final = f"link set {PORT} up\nlink set {FAR_PORT} up\nlink set {_BRIDGE} up\n"


class Refused(Exception):
    """What this machine does not let us do, and why."""


def enter() -> None:
    """Start this command again in namespaces of its own; return there. Raises Refused where there are none to be had.

    That is a new process image: a user namespace is for processes of one thread, which numpy's import is the end of.
    """
    try:
        own = str(Path(_OWN).readlink())
    except OSError as error:
        raise Refused(f"{_OWN}: {error.strerror}") from None
    outside = os.environ.get(_OUTSIDE)
    if outside is not None and outside != own:
        return
    unshare = ["unshare", "-Urn", "--", sys.executable]
    _run(*unshare, "-c", "")
    os.environ[_OUTSIDE] = own
    sys.stdout.flush()
    os.execvp(unshare[0], [*unshare, *sys.orig_argv[1:]])


def make_links() -> None:
    """Make bridge, veth pair and the rest. Raises Refused."""
    _run("ip", "-batch", "-", given=_LINKS)
    for key, value in _SYSCTLS.items():
        path = Path("/proc/sys/net/ipv6/conf") / key
        try:
            path.write_text(str(value))
        except OSError as error:
            raise Refused(f"{path}: {error.strerror}") from None
    _run("ip", "-batch", "-", given=_UP)


def start_querier() -> None:
    """Have the bridge ask: at first after one second."""
    _run("ip", "link", "set", _BRIDGE, "type", "bridge", "mcast_querier", "1")


def speak(version: int) -> None:
    """Have the bridge ask in MLD of this version.

    After MLDv1 it is to be answered sooner: so no answer is under way when the listener goes back to MLDv2.
    """
    how = ["mcast_mld_version", str(version), "mcast_query_response_interval", "50" if version == 1 else "25"]
    _run("ip", "link", "set", _BRIDGE, "type", "bridge", *how)


def bridge_table() -> dict[IPv6Address, str]:
    """The groups in the bridge's table (MDB), and the filter mode of each: MLDv1 knows of none."""
    table = json.loads(_run("bridge", "-j", "-d", "-s", "mdb", "show", "dev", _BRIDGE))
    groups = [entry for part in table for entry in part["mdb"] if ":" in entry["grp"]]
    return {IPv6Address(entry["grp"]): entry.get("filter_mode", "") for entry in groups}


class QueryWatch:
    """Sees what the bridge sends to the listener's port."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self._socket.bind((PORT, _ETH_P_IPV6))

    def fileno(self) -> int:
        return self._socket.fileno()

    def query(self) -> tuple[int, int] | None:
        """The version and the Maximum Response Delay in ms of a General Query that was sent since; None: none was."""
        while True:
            try:
                query = general_query(self._socket.recv(2048))
            except BlockingIOError:
                return None
            if query is not None:
                return query

    def close(self) -> None:
        self._socket.close()


def _run(*command: str, given: str = "") -> str:
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Refused(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        raise Refused(" ".join(done.stderr.split()) or f"{command[0]} ended with status {done.returncode}")
    return done.stdout
