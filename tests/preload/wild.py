"""Servers on wildcard addresses, and their clients.

wild.py serve MODE ADDRESS PORT     MODE: block, epoll, edge, prefork, udp
wild.py ask ADDRESS PORT [COUNT]    one line per answer: the server's pid, its address and ours as it saw it
wild.py askudp ADDRESS PORT
wild.py rebind PORT                 closes a listener and binds again at once, 50 times
wild.py errors PORT                 a datagram nobody takes, from a UDP socket that asked for errors (IP_RECVERR)
wild.py cork PORT ADDRESS           UDP_CORK of a socket on both sides, to either of them
wild.py inherit PORT                a child closes the listener, another one is executed with it
"""
import errno
import os
import select
import socket
import sys


def family(address):
    return socket.AF_INET6 if ':' in address else socket.AF_INET


def listener(address, port):
    s = socket.socket(family(address))
    if s.family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    return s


def answer(c, peer):
    with c:
        assert c.getblocking()
        assert c.getpeername()[:2] == peer[:2], (c.getpeername(), peer)
        c.settimeout(60)
        data = b''
        while not data.endswith(b'\n'):
            data += c.recv(65536)
        text = f'{os.getpid()} {c.getsockname()[0]} {peer[0]} '
        c.sendall(text.encode() + data)


def serve_block(s):
    s.listen(20)
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    print(s.getsockname()[:2], flush=True)
    while True:
        answer(*s.accept())


def serve_epoll(s, flags=0):
    """Registered before it listens; woken for each connection."""
    e = select.epoll()
    e.register(s, select.EPOLLIN | flags)
    s.setblocking(False)
    s.listen(20)
    print(s.getsockname()[:2], flush=True)
    while True:
        for fd, events in e.poll():
            assert fd == s.fileno() and events & select.EPOLLIN, events
            while True:
                try:
                    c, peer = s.accept()
                except BlockingIOError:
                    break
                c.setblocking(True)
                answer(c, peer)


def serve_prefork(s):
    s.listen(100)
    print(s.getsockname()[:2], flush=True)
    for _ in range(3):
        if os.fork() == 0:
            break
    while True:
        answer(*s.accept())


def serve_udp(address, port):
    s = socket.socket(family(address), socket.SOCK_DGRAM)
    if s.family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_PKTINFO if hasattr(socket, 'IP_PKTINFO') else 8, 1)
    s.bind((address, port))
    print(s.getsockname()[:2], flush=True)
    while True:
        data, control, _, peer = s.recvmsg(70000, 256)
        local = 'nowhere'
        for level, kind, value in control:
            if level == socket.IPPROTO_IP and kind == 8:
                local = socket.inet_ntoa(value[8:12])
            elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                local = socket.inet_ntop(socket.AF_INET6, value[:16])
        # from the address it was sent to, as servers with many addresses do
        s.sendmsg([f'{os.getpid()} {local} {peer[0]} '.encode(), data], control, 0, peer)


def ask(address, port, count=1):
    for i in range(count):
        with socket.create_connection((address, port), 60) as c:
            c.sendall(b'x' * 100000 + b'\n')
            data = b''
            while d := c.recv(65536):
                data += d
            head, tail = data.rsplit(b' ', 1)
            assert tail == b'x' * 100000 + b'\n', len(data)
            print(head.decode())


def askudp(address, port):
    s = socket.socket(family(address), socket.SOCK_DGRAM)
    s.settimeout(30)
    for size in (1, 1400, 30000):
        s.sendto(b'y' * size, (address, port))
        data, peer = s.recvfrom(70000)
        assert peer[:2] == (address, port), peer
        head, tail = data.rsplit(b' ', 1)
        assert tail == b'y' * size, len(tail)
    print(head.decode())


def rebind(port):
    for _ in range(50):
        s = socket.socket()
        s.bind(('0.0.0.0', port))
        s.listen(1)
        s.close()
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.bind(('0.0.0.0', port))
        u.close()
    fds = [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')
           if os.path.exists(f'/proc/self/fd/{n}')]
    left = [f for f in fds if f.startswith('socket')]
    print('sockets left:', len(left))


def errors(port):
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.setsockopt(socket.IPPROTO_IP, 11, 1)
    u.bind(('0.0.0.0', port))
    u.settimeout(60)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(('127.0.0.1', 0))
        nobody = s.getsockname()
    for _ in range(2):
        u.sendto(b'x', nobody)
        try:
            print(u.recv(10))
        except OSError as e:
            print(errno.errorcode.get(e.errno, e))
    sys.stdin.readline()


def cork(port, address):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('0.0.0.0', port))
    for own in ('127.0.0.1', address) * 2:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as r:
            r.bind((own, 0))
            r.settimeout(10)
            s.sendto(b'before', r.getsockname())
            s.setsockopt(socket.IPPROTO_UDP, 1, 1)
            s.sendto(b'one ', r.getsockname())
            assert r.recv(20) == b'before'
            s.sendto(b'two', r.getsockname())
            s.setsockopt(socket.IPPROTO_UDP, 1, 0)
            s.sendto(b'after', r.getsockname())
            assert [r.recv(20), r.recv(20)] == [b'one two', b'after']


def inherit(port):
    s = listener('0.0.0.0', port)
    s.listen(5)
    pid = os.fork()
    if pid == 0:
        s.close()
        os._exit(0)
    os.waitpid(pid, 0)
    s.set_inheritable(True)
    os.execv(sys.executable, [sys.executable, __file__, 'inherited', str(s.fileno())])


def inherited(fd):
    s = socket.socket(fileno=fd)
    kept = [int(n) for n in os.listdir('/proc/self/fd')
            if int(n) >= 200 and os.readlink(f'/proc/self/fd/{n}').startswith('socket:')]
    assert len(kept) == 1, kept  # the kernel's socket came along
    s.set_inheritable(False)
    assert not os.get_inheritable(kept[0])
    print(s.getsockname()[:2], flush=True)
    while True:
        answer(*s.accept())


what, *rest = sys.argv[1:]
if what == 'serve':
    mode, address, port = rest[0], rest[1], int(rest[2])
    if mode == 'udp':
        serve_udp(address, port)
    else:
        s = listener(address, port)
        {'block': serve_block, 'epoll': serve_epoll, 'prefork': serve_prefork,
         'edge': lambda s: serve_epoll(s, select.EPOLLET)}[mode](s)
else:
    globals()[what](*(int(a) if a.isdigit() else a for a in rest))
