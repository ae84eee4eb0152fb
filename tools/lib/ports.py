#!/usr/bin/env python3
"""ports.py [N]: N different ports that nobody uses now, neither for UDP nor for TCP, one a line.

They are from 10000 to 19999: below those that kernels give to who asks for none, and below those that nodes
draw, so that nobody comes to have one by chance before it is used, nor while a node that had it is away. The
numbers are given out in turn, by a file that all tests of a user share: two that run at the same time never get
the same.
"""
import fcntl
import os
import random
import socket
import sys
import tempfile

FIRST, COUNT = 10000, 10000


def is_free(port):
    """By binding to it for a moment."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            try:
                s = socket.socket(family, kind)
            except OSError:
                continue  # no IPv6 here
            with s:
                try:
                    if family == socket.AF_INET6:
                        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    s.bind((anywhere, port))
                except OSError:
                    if family == socket.AF_INET or has_ipv6():
                        return False
    return True


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
            s.bind(("::", 0))
        return True
    except OSError:
        return False


def free_ports(n=1):
    found, fd = [], -1
    turn = random.randrange(COUNT)
    path = os.path.join(tempfile.gettempdir(), "zt-test-ports.%d" % os.getuid())
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        turn = int(os.pread(fd, 20, 0) or turn)
    except (OSError, ValueError):
        pass  # by chance, then
    for _ in range(COUNT):
        if len(found) == n:
            break
        turn = (turn + 1) % COUNT
        if is_free(FIRST + turn):
            found.append(FIRST + turn)
    if fd >= 0:
        os.pwrite(fd, b"%-19d\n" % turn, 0)
        os.close(fd)
    if len(found) < n:
        raise OSError("no free ports")
    return found


if __name__ == "__main__":
    print(*free_ports(int(sys.argv[1]) if len(sys.argv) > 1 else 1), sep="\n")
