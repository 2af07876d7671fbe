"""Run in a namespace: sockets of the kernel's own listener, which do what standard input says, as steps.py does.

sockets.py IFACE. What they did is "done", unless the kernel had an objection: its errno's name.
"""

import errno
import json
import socket
import struct
import sys
from ipaddress import IPv6Address
from typing import Any

IPV6 = socket.IPPROTO_IPV6
# <linux/in.h>
OF_A_GROUP = {"join": 42, "leave": 45}
OF_A_SOURCE = {"block": 43, "unblock": 44, "join_source": 46, "leave_source": 47}
FILTER = 48
MODES = {"exclude": 0, "include": 1}
interface = socket.if_nametoindex(sys.argv[1])
sockets: dict[str, socket.socket] = {}


def storage(address: str) -> bytes:
    """A struct sockaddr_storage."""
    return struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, IPv6Address(address).packed, 0).ljust(128, b"\0")


def do(name: str, call: str, group: str, named: Any) -> None:
    """One call."""
    if call == "close":
        sockets.pop(name).close()
        return
    if name not in sockets:
        sockets[name] = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    to, request = sockets[name], struct.pack("=I4x", interface) + storage(group)
    if call in OF_A_GROUP:
        to.setsockopt(IPV6, OF_A_GROUP[call], request)
    elif call in OF_A_SOURCE:
        to.setsockopt(IPV6, OF_A_SOURCE[call], request + storage(named))
    else:
        request += struct.pack("=II", MODES[call], len(named)) + b"".join(map(storage, named))
        to.setsockopt(IPV6, FILTER, request)


print(flush=True)
for line in sys.stdin:
    said = "done"
    for calls in json.loads(line):
        try:
            do(*calls)
        except OSError as error:
            said = errno.errorcode[error.errno]
    print(json.dumps(said), flush=True)
