"""Run in a namespace: switch an interface's generic receive offload on. python -m fastmld_bench.wire.gro INTERFACE

Without it a veth takes no frames from XDP at its other end.
"""

import ctypes
import fcntl
import socket
import struct
import sys

SIOCETHTOOL, ETHTOOL_SGRO = 0x8946, 0x2C

value = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_SGRO, 1))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    request = struct.pack("16sP16x", sys.argv[1].encode(), ctypes.addressof(value))
    fcntl.ioctl(any_socket, SIOCETHTOOL, request)
