"""interfaces.py ADDRESS4 ADDRESS6: the virtual interfaces are listed beside the kernel's, by every way that
programs ask; and a group is joined by an interface's number."""
import array
import ctypes
import fcntl
import socket
import struct
import sys

v4, v6 = sys.argv[1:]
SIOCGIFCONF, SIOCGIFADDR, SIOCGIFFLAGS, SIOCGIFMTU, SIOCGIFINDEX = 0x8912, 0x8915, 0x8913, 0x8921, 0x8933

names = {name: index for index, name in socket.if_nameindex()}
virtual = [n for n in names if n.startswith('zt') and len(n) == 15]
assert 'lo' in names and len(virtual) == 2, names
for name, index in names.items():
    assert socket.if_nametoindex(name) == index and socket.if_indextoname(index) == name

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def ask(request, name):
    return fcntl.ioctl(s, request, struct.pack('40s', name.encode()))


with4 = []
for name in virtual:
    assert struct.unpack('i', ask(SIOCGIFINDEX, name)[16:20])[0] == names[name]
    assert struct.unpack('i', ask(SIOCGIFMTU, name)[16:20])[0] >= 1280
    assert struct.unpack('H', ask(SIOCGIFFLAGS, name)[16:18])[0] & 0x1001 == 0x1001  # up, multicast
    try:
        with4.append((name, socket.inet_ntoa(ask(SIOCGIFADDR, name)[20:24])))
    except OSError:
        pass
assert [a for _, a in with4] == [v4], with4

buf = array.array('B', bytes(4000))
size = struct.unpack('iL', fcntl.ioctl(s, SIOCGIFCONF, struct.pack('iL', 4000, buf.buffer_info()[0])))[0]
listed = [socket.inet_ntoa(buf.tobytes()[i + 20:i + 24]) for i in range(0, size, 40)]
assert '127.0.0.1' in listed and v4 in listed, listed


class Sockaddr(ctypes.Structure):
    _fields_ = [('family', ctypes.c_ushort), ('data', ctypes.c_ubyte * 26)]


class Ifaddrs(ctypes.Structure):
    pass


Ifaddrs._fields_ = [('next', ctypes.POINTER(Ifaddrs)), ('name', ctypes.c_char_p), ('flags', ctypes.c_uint),
                    ('addr', ctypes.POINTER(Sockaddr)), ('mask', ctypes.POINTER(Sockaddr)),
                    ('broad', ctypes.POINTER(Sockaddr)), ('data', ctypes.c_void_p)]
libc = ctypes.CDLL(None)
for _ in range(100):
    first = ctypes.POINTER(Ifaddrs)()
    assert libc.getifaddrs(ctypes.byref(first)) == 0
    found, at, counted = [], first, False
    while at:
        a = at.contents
        counted |= a.name == b'lo' and bool(a.data)  # the kernel's numbers of packets
        if a.addr and a.addr.contents.family == socket.AF_INET:
            found.append(socket.inet_ntop(socket.AF_INET, bytes(a.addr.contents.data[2:6])))
        elif a.addr and a.addr.contents.family == socket.AF_INET6:
            found.append(socket.inet_ntop(socket.AF_INET6, bytes(a.addr.contents.data[6:22])))
        at = a.next
    libc.freeifaddrs(first)
    assert counted
    assert '127.0.0.1' in found and v4 in found and v6 in found, found

# a membership by number, and by address: what is sent to the group comes back to it
for request in (socket.inet_aton('239.1.2.3') + struct.pack('4xi', names[with4[0][0]]),
                socket.inet_aton('239.1.2.3') + socket.inet_aton(v4)):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as r, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as t:
        r.bind(('0.0.0.0', 0))
        r.settimeout(60)
        r.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        t.bind((v4, 0))
        t.sendto(b'to all', ('239.1.2.3', r.getsockname()[1]))
        assert r.recvfrom(100) == (b'to all', t.getsockname())

# where a datagram came in, as its receiver is told
for family, level, ask_for, told, own, place in (
        (socket.AF_INET, socket.IPPROTO_IP, 8, 8, v4, 0),  # IP_PKTINFO
        (socket.AF_INET6, socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, socket.IPV6_PKTINFO, v6, 16)):
    with socket.socket(family, socket.SOCK_DGRAM) as r, socket.socket(family, socket.SOCK_DGRAM) as t:
        r.bind((own, 0))
        r.settimeout(5)
        r.setsockopt(level, ask_for, 1)
        t.sendto(b'x', r.getsockname())
        _, control, _, _ = r.recvmsg(10, 100)
        assert [c[:2] for c in control] == [(level, told)], control
        index = struct.unpack('I', control[0][2][place:place + 4])[0]
        assert socket.if_indextoname(index) in virtual, index

# the same by the calls for either family: a group, then one heard from a single source


def group(address, index, source=None):
    def sockaddr(a):
        if ':' in a:
            return struct.pack('HHI16sI', socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, a), 0).ljust(128, b'\0')
        return struct.pack('HH4s', socket.AF_INET, 0, socket.inet_aton(a)).ljust(128, b'\0')
    return struct.pack('I4x', index) + sockaddr(address) + (sockaddr(source) if source else b'')


with6 = [n for n in virtual if n not in [w[0] for w in with4]]
for family, level, own, to, index in (
        (socket.AF_INET, socket.IPPROTO_IP, v4, '239.1.2.4', names[with4[0][0]]),
        (socket.AF_INET6, socket.IPPROTO_IPV6, v6, 'ff15::1:2:4', names[with6[0]])):
    with socket.socket(family, socket.SOCK_DGRAM) as r, socket.socket(family, socket.SOCK_DGRAM) as t:
        r.bind(('', 0))
        r.settimeout(60)
        t.bind((own, 0))
        for join, leave, source in ((42, 45, None), (46, 47, own)):
            r.setsockopt(level, join, group(to, index, source))
            t.sendto(b'to all', (to, r.getsockname()[1]))
            assert r.recvfrom(100)[0] == b'to all'
            r.setsockopt(level, leave, group(to, index, source))
        somebody = '10.9.9.9' if family == socket.AF_INET else 'fd00::9'
        r.setsockopt(level, 46, group(to, index, somebody))
        t.sendto(b'not this', (to, r.getsockname()[1]))
        r.settimeout(0.5)
        try:
            raise AssertionError(r.recvfrom(100))
        except TimeoutError:
            pass
print('ok')
