"""crowd.py hold ADDRESS PORT N PATH     N connections open at once, then a request on each
crowd.py churn ADDRESS PORT N           N connections one after the other, each closed at once"""
import os
import resource
import select
import socket
import sys
import time

what, address, port, n = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
family = socket.AF_INET6 if ':' in address else socket.AF_INET
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def hold(path):
    began = time.monotonic()
    epoll, conns, waiting = select.epoll(), {}, set()
    for start in range(0, n, 200):  # as many at a time as a backlog of 511 bears
        for _ in range(min(200, n - start)):
            s = socket.socket(family)
            s.setblocking(False)
            s.connect_ex((address, port))
            conns[s.fileno()] = s
            waiting.add(s.fileno())
            epoll.register(s.fileno(), select.EPOLLOUT)
        while waiting:
            assert time.monotonic() - began < 200, len(waiting)
            for fd, _ in epoll.poll(1):
                if fd in waiting:
                    err = conns[fd].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    assert err == 0, os.strerror(err)
                    waiting.discard(fd)
                    epoll.modify(fd, 0)
    print(f'{len(conns)} connections open after {time.monotonic() - began:.1f} s', flush=True)
    assert len(conns) == n
    with open(path, 'rb') as f:
        body = f.read()
    request = f'GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'.encode()
    got = {}
    for fd, s in conns.items():
        assert s.send(request) == len(request)
        got[fd] = b''
        epoll.modify(fd, select.EPOLLIN)
    left = set(conns)
    while left:
        assert time.monotonic() - began < 280, len(left)
        for fd, _ in epoll.poll(1):
            data = conns[fd].recv(65536)
            got[fd] += data
            if not data:
                assert got[fd].endswith(body) and len(got[fd]) > len(body), got[fd][:100]
                epoll.unregister(fd)
                left.discard(fd)
    print(f'all answered after {time.monotonic() - began:.1f} s')


def churn():
    began = time.monotonic()
    for i in range(n):
        with socket.create_connection((address, port), 30):
            pass
    print(f'{n} connections in {time.monotonic() - began:.1f} s')


hold(sys.argv[5]) if what == 'hold' else churn()
