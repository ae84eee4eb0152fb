#!/usr/bin/env python3
"""Makes the connection tracking of this network namespace forget everything, as a NAT does that was
restarted: what conntrack -F does, without that program."""
import socket
import struct

NETLINK_NETFILTER = 12
CTNETLINK_DELETE = 1 << 8 | 2  # subsystem, message; without attributes: all
REQUEST_ACK = 1 | 4

with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as s:
    s.bind((0, 0))
    s.send(struct.pack("=IHHIIBBH", 20, CTNETLINK_DELETE, REQUEST_ACK, 1, 0, socket.AF_UNSPEC, 0, 0))
    answer = s.recv(4096)
    error = struct.unpack_from("=i", answer, 16)[0]
    if error != 0:
        raise OSError(-error, "conntrack")
