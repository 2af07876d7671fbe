"""Run in a namespace: make a packet socket on an interface, and hand it over on a Unix socket."""

import socket
import sys

interface, descriptor = sys.argv[1:]
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
# All-multicast: who watches the link sees every group's frames.
membership = socket.if_nametoindex(interface).to_bytes(4, sys.byteorder) + (2).to_bytes(2, sys.byteorder) + bytes(10)
packets.setsockopt(263, 1, membership)
packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
packets.bind((interface, 3))
with socket.socket(fileno=int(descriptor)) as there:
    socket.send_fds(there, [b"."], [packets.fileno()])
