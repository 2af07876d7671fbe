"""Run in a namespace: the kernel's own listener joins N consecutive groups, until standard input ends.

python -m fastmld_bench.wire.join INTERFACE FIRST N
"""

import socket
import sys
from ipaddress import IPv6Address

interface, first, n = sys.argv[1:]
index = socket.if_nametoindex(interface).to_bytes(4, sys.byteorder)
sockets = []
for i in range(int(n)):
    if i % 1000 == 0:  # a socket holds some two thousand
        sockets.append(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    group = (IPv6Address(first) + i).packed
    sockets[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + index)
print("joined", flush=True)
sys.stdin.read()
