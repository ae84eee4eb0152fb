"""Sockets on the virtual network, shaped like Python's own: same methods, same constants (those of Python's socket
module, not ZTS_*), same exceptions.

fileno() is the host's descriptor behind a socket: it can be waited on with select, selectors and asyncio together with
any other. Data goes through the methods.
"""
import ctypes as c
import io
import select
import socket as _host
import struct
import time

from . import _lib
from ._lib import lib
from .addresses import Buffer, resolve, to_bytes
from .errors import socket_error

# Options whose numbers differ, by (level, name) of Python's.
_SOL = 0x0fff
_OPTIONS = {
    (_host.SOL_SOCKET, getattr(_host, name)): (_SOL, value) for name, value in {
        "SO_ACCEPTCONN": 0x0002, "SO_REUSEADDR": 0x0004, "SO_KEEPALIVE": 0x0008, "SO_BROADCAST": 0x0020,
        "SO_LINGER": 0x0080, "SO_REUSEPORT": 0x0200, "SO_SNDBUF": 0x1001, "SO_RCVBUF": 0x1002, "SO_RCVLOWAT": 0x1004,
        "SO_SNDTIMEO": 0x1005, "SO_RCVTIMEO": 0x1006, "SO_ERROR": 0x1007, "SO_TYPE": 0x1008}.items()}
_OPTIONS.update({
    (_host.IPPROTO_IP, getattr(_host, name)): (0, value) for name, value in {
        "IP_TOS": 1, "IP_TTL": 2, "IP_ADD_MEMBERSHIP": 3, "IP_DROP_MEMBERSHIP": 4, "IP_MULTICAST_TTL": 5,
        "IP_MULTICAST_IF": 6, "IP_MULTICAST_LOOP": 7}.items()})
_OPTIONS.update({
    (_host.IPPROTO_TCP, getattr(_host, name)): (6, value) for name, value in {
        "TCP_NODELAY": 1, "TCP_KEEPIDLE": 3, "TCP_KEEPINTVL": 4, "TCP_KEEPCNT": 5}.items()})
_OPTIONS.update({
    (_host.IPPROTO_IPV6, getattr(_host, name)): (41, value) for name, value in {
        "IPV6_JOIN_GROUP": 12, "IPV6_LEAVE_GROUP": 13, "IPV6_V6ONLY": 27}.items()})
_FLAGS = {_host.MSG_PEEK: 1, _host.MSG_WAITALL: 2, _host.MSG_OOB: 4, _host.MSG_DONTWAIT: 8, _host.MSG_MORE: 16}

EAGAIN, EINPROGRESS, EINTR, EISCONN, EALREADY = 11, 115, 4, 106, 114
_default_timeout = None


def setdefaulttimeout(timeout):
    global _default_timeout
    _default_timeout = timeout


def getdefaulttimeout():
    return _default_timeout


def _flags(flags):
    result = 0
    for host, ours in _FLAGS.items():
        if flags & host:
            result |= ours
            flags &= ~host
    flags &= ~getattr(_host, "MSG_NOSIGNAL", 0)  # there never is a signal
    if flags:
        raise OSError(22, "unsupported flags 0x%x" % flags)
    return result


def _option(level, name):
    if level == _SOL:  # already ZTS_*
        return level, name
    try:
        return _OPTIONS[level, name]
    except KeyError:
        raise OSError(92, "option %d of level %d is not supported" % (name, level)) from None


def _view(data):
    """Any bytes-like object as (keep alive, address, length). No ctypes.cast: what it makes lives until the next garbage
    collection, and a bytearray cannot change its size meanwhile."""
    if not isinstance(data, bytes):
        m = memoryview(data).cast("B")
        if len(m) == 0:
            return m, None, 0
        if not m.readonly:
            a = c.c_char.from_buffer(m)
            return a, c.addressof(a), len(m)
        data = bytes(m)
    p = c.c_char_p(data)
    return (data, p), c.c_void_p.from_buffer(p).value, len(data)


class socket:
    """See Python's socket.socket. Needs a running node (libzt.Node)."""

    def __init__(self, family=-1, type=-1, proto=-1, fileno=None):
        family = _host.AF_INET if family == -1 else int(family)
        type = _host.SOCK_STREAM if type == -1 else int(type)
        nonblock = type & _host.SOCK_NONBLOCK
        type &= ~(_host.SOCK_NONBLOCK | _host.SOCK_CLOEXEC)
        self._fd = -1  # the library's number
        if fileno is None:
            self._fd = lib.zts_bsd_socket(family, type, max(proto, 0))
            if self._fd < 0:
                raise socket_error(self._fd)
        else:
            self._fd = fileno  # a number of the library, from detach()
        self.family = _host.AddressFamily(family)
        self.type = _host.SocketKind(type)
        self.proto = max(proto, 0)
        self._timeout = 0.0 if nonblock else _default_timeout
        self._io_refs, self._closed = 0, False
        # All waiting is Python's, on the host descriptor: signals are served meanwhile, as everywhere in Python.
        self._call(lib.zts_bsd_fcntl, 4, 1)

    # -- calling

    def _call(self, fn, *args):
        while True:
            rc = fn(self._fd, *args)
            if rc >= 0:
                return rc
            if rc != -1 or _lib.errno() != EINTR:
                raise socket_error(rc)

    def _wait(self, events, deadline):
        if self._timeout == 0:
            return False
        p = select.poll()
        p.register(self.fileno(), events)
        left = None if deadline is None else max(0, deadline - time.monotonic())
        if not p.poll(None if left is None else left * 1000):
            raise TimeoutError("timed out")
        return True

    def _deadline(self):
        return None if self._timeout is None else time.monotonic() + self._timeout

    def _wait_call(self, events, fn, *args, deadline=None):
        """fn, again each time the descriptor is ready, until it has something to say."""
        if deadline is None:
            deadline = self._deadline()
        while True:
            rc = fn(self._fd, *args)
            if rc >= 0:
                return rc
            if rc != -1 or _lib.errno() not in (EAGAIN, EINTR):
                raise socket_error(rc)
            if _lib.errno() == EAGAIN and not self._wait(events, deadline):
                raise BlockingIOError(EAGAIN, "Resource temporarily unavailable")

    # -- life

    def fileno(self):
        """The host's descriptor, -1 once closed: for waiting."""
        return -1 if self._fd < 0 else lib.zts_get_host_fd(self._fd)

    def close(self):
        self._closed = True
        if self._io_refs <= 0:
            self._real_close()

    def _real_close(self):
        fd, self._fd = self._fd, -1
        if fd >= 0:
            lib.zts_bsd_close(fd)

    def detach(self):
        """The library's number, which is not closed any more."""
        fd, self._fd, self._closed = self._fd, -1, True
        return fd

    def shutdown(self, how):
        self._call(lib.zts_bsd_shutdown, how)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        try:
            self._real_close()
        except Exception:  # the interpreter may be going away
            pass

    def __repr__(self):
        return "<libzt.socket fd=%d, family=%s, type=%s>" % (self._fd, self.family, self.type)

    def __getstate__(self):
        raise TypeError("cannot pickle a socket")

    # -- names

    def bind(self, address):
        raw = to_bytes(self.family, self._numeric(address))
        self._call(lib.zts_bsd_bind, raw, len(raw))

    def listen(self, backlog=128):
        self._call(lib.zts_bsd_listen, max(backlog, 0))

    def _numeric(self, address):
        """The address with its host in numbers."""
        if isinstance(address, tuple) and len(address) >= 2 and isinstance(address[0], str) and address[0]:
            return (resolve(address[0], self.family)[0][1],) + tuple(address[1:])
        return address

    def _connect(self, address):
        raw = to_bytes(self.family, self._numeric(address))
        rc = lib.zts_bsd_connect(self._fd, raw, len(raw))
        return 0 if rc == 0 else _lib.errno() if rc == -1 else rc

    def connect(self, address):
        deadline = self._deadline()
        err = self._connect(address)
        if err == EINPROGRESS and self._timeout != 0:
            self._wait(select.POLLOUT, deadline)
            err = self.getsockopt(_host.SOL_SOCKET, _host.SO_ERROR)
        if err < 0:
            raise socket_error(err)
        if err:
            raise OSError(err, lib.zts_strerror(err).decode())

    def connect_ex(self, address):
        try:
            self.connect(address)
        except TimeoutError:
            return EAGAIN
        except OSError as e:
            if e.errno is None:
                raise
            return e.errno
        return 0

    def accept(self):
        peer = Buffer()
        fd = self._wait_call(select.POLLIN, lib.zts_bsd_accept, *peer.args)
        s = socket(self.family, self.type, self.proto, fileno=fd)
        return s, peer.address

    def getsockname(self):
        b = Buffer()
        self._call(lib.zts_bsd_getsockname, *b.args)
        return b.address

    def getpeername(self):
        b = Buffer()
        self._call(lib.zts_bsd_getpeername, *b.args)
        return b.address

    # -- data

    def recv(self, bufsize, flags=0):
        buf = bytearray(bufsize)
        n = self.recv_into(buf, 0, flags)
        return bytes(memoryview(buf)[:n])

    def recv_into(self, buffer, nbytes=0, flags=0):
        keep, p, n = _view(buffer)
        if nbytes < 0 or nbytes > n:
            raise ValueError("nbytes is out of range")
        if n == 0:
            return 0
        return self._wait_call(select.POLLIN, lib.zts_bsd_recv, p, nbytes or n, _flags(flags))

    def recvfrom(self, bufsize, flags=0):
        buf = bytearray(bufsize)
        n, address = self.recvfrom_into(buf, 0, flags)
        return bytes(memoryview(buf)[:n]), address

    def recvfrom_into(self, buffer, nbytes=0, flags=0):
        keep, p, n = _view(buffer)
        peer = Buffer()
        n = self._wait_call(select.POLLIN, lib.zts_bsd_recvfrom, p, nbytes or n, _flags(flags), *peer.args)
        return n, peer.address if self.type != _host.SOCK_STREAM else None

    def send(self, data, flags=0):
        keep, p, n = _view(data)
        return self._wait_call(select.POLLOUT, lib.zts_bsd_send, p, n, _flags(flags))

    def sendall(self, data, flags=0):
        keep, p, n = _view(data)
        done, deadline = 0, self._deadline()
        while done < n:  # one deadline for all of it
            done += self._wait_call(select.POLLOUT, lib.zts_bsd_send, p + done, n - done, _flags(flags),
                                    deadline=deadline)

    def sendto(self, data, *rest):
        flags, address = rest if len(rest) == 2 else (0, rest[0])
        keep, p, n = _view(data)
        raw = to_bytes(self.family, self._numeric(address))
        return self._wait_call(select.POLLOUT, lib.zts_bsd_sendto, p, n, _flags(flags), raw, len(raw))

    def sendmsg(self, buffers, ancdata=(), flags=0, address=None):
        if ancdata:
            raise OSError(95, "ancillary data is not supported")
        data = b"".join(bytes(b) for b in buffers)
        return self.send(data, flags) if address is None else self.sendto(data, flags, address)

    def sendfile(self, file, offset=0, count=None):
        """As Python's: the bytes of a file, by sending them."""
        if offset:
            file.seek(offset)
        total = 0
        while count is None or total < count:
            data = file.read(min(65536, count - total) if count is not None else 65536)
            if not data:
                break
            self.sendall(data)
            total += len(data)
        return total

    # -- files over it

    def makefile(self, mode="r", buffering=None, *, encoding=None, errors=None, newline=None):
        reading, writing = "r" in mode or not mode.strip("b"), "w" in mode
        if set(mode) - set("rwb"):
            raise ValueError("invalid mode %r (only r, w, b allowed)" % mode)
        raw = SocketIO(self, ("r" if reading else "") + ("w" if writing else ""))
        self._io_refs += 1
        if buffering is None or buffering < 0:
            buffering = io.DEFAULT_BUFFER_SIZE
        if buffering == 0:
            if "b" not in mode:
                raise ValueError("unbuffered streams must be binary")
            return raw
        if reading and writing:
            buffer = io.BufferedRWPair(raw, raw, buffering)
        elif reading:
            buffer = io.BufferedReader(raw, buffering)
        else:
            buffer = io.BufferedWriter(raw, buffering)
        if "b" in mode:
            return buffer
        text = io.TextIOWrapper(buffer, encoding, errors, newline)
        text.mode = mode
        return text

    def _decref_socketios(self):
        self._io_refs -= 1
        if self._closed:
            self.close()

    # -- options

    def setsockopt(self, level, optname, value, optlen=None):
        level, optname = _option(level, optname)
        if value is None:
            raise TypeError("a value is needed")
        if isinstance(value, int):
            value = struct.pack("i", value)
        elif (level, optname) in ((_SOL, 0x1005), (_SOL, 0x1006)) and len(value) == 8:
            value = struct.pack("ll", *struct.unpack("ii", value))
        keep, p, n = _view(value)
        self._call(lib.zts_bsd_setsockopt, level, optname, p, n)

    def getsockopt(self, level, optname, buflen=0):
        level, optname = _option(level, optname)
        buf, n = c.create_string_buffer(buflen or 4), c.c_uint(buflen or 4)
        self._call(lib.zts_bsd_getsockopt, level, optname, buf, c.byref(n))
        return buf.raw[:n.value] if buflen else struct.unpack("i", buf.raw)[0]

    def settimeout(self, value):
        if value is not None and value < 0:
            raise ValueError("Timeout value out of range")
        self._timeout = None if value is None else float(value)

    def gettimeout(self):
        return self._timeout

    timeout = property(gettimeout)

    def setblocking(self, flag):
        self.settimeout(None if flag else 0.0)

    def getblocking(self):
        return self._timeout != 0

    def get_inheritable(self):
        return False

    def set_inheritable(self, inheritable):
        if inheritable:
            raise OSError(95, "a program that is started has no node")


class SocketIO(io.RawIOBase):
    """The raw file under makefile()."""

    def __init__(self, sock, mode):
        self._sock, self._mode = sock, mode

    def readable(self):
        return "r" in self._mode and not self.closed

    def writable(self):
        return "w" in self._mode and not self.closed

    def readinto(self, b):
        try:
            return self._sock.recv_into(b)
        except BlockingIOError:
            return None

    def write(self, b):
        try:
            return self._sock.send(b)
        except BlockingIOError:
            return None

    def fileno(self):
        return self._sock.fileno()

    @property
    def name(self):
        return self.fileno()

    @property
    def mode(self):
        return self._mode + "b"

    def close(self):
        if not self.closed:
            super().close()
            self._sock._decref_socketios()
            self._sock = None


# ---- functions


def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    """As Python's, on the virtual networks: numeric addresses, and names in the domains of joined networks."""
    if isinstance(port, str) and not port.isdigit():
        port = _host.getservbyname(port)
    port = int(port or 0)
    if not host:
        passive = flags & _host.AI_PASSIVE
        found = [(f, h) for f, h in ((_host.AF_INET6, "::" if passive else "::1"),
                                     (_host.AF_INET, "0.0.0.0" if passive else "127.0.0.1")) if family in (0, f)]
    else:
        found = resolve(host, family)
    kinds = [(t, p) for t, p in ((_host.SOCK_STREAM, _host.IPPROTO_TCP), (_host.SOCK_DGRAM, _host.IPPROTO_UDP))
             if type in (0, t) and proto in (0, p)]
    return [(_host.AddressFamily(f), _host.SocketKind(t), p, "", (h, port, 0, 0) if f == _host.AF_INET6 else (h, port))
            for f, h in found for t, p in kinds]


def gethostbyname(name):
    return resolve(name, _host.AF_INET)[0][1]


_UNSET = object()


def create_connection(address, timeout=_UNSET, source_address=None):
    """A socket connected to (host, port); every address of the host is tried."""
    last = None
    for family, kind, proto, _, to in getaddrinfo(address[0], address[1], 0, _host.SOCK_STREAM):
        s = socket(family, kind, proto)
        try:
            if timeout is not _UNSET:
                s.settimeout(timeout)
            if source_address:
                s.bind(source_address)
            s.connect(to)
            return s
        except OSError as e:
            last = e
            s.close()
    raise last or OSError(99, "no address")


def create_server(address, *, family=_host.AF_INET, backlog=None, reuse_port=False, dualstack_ipv6=False):
    """A listening socket bound to (host, port)."""
    s = socket(family, _host.SOCK_STREAM)
    try:
        s.setsockopt(_host.SOL_SOCKET, _host.SO_REUSEADDR, 1)
        if reuse_port:
            s.setsockopt(_host.SOL_SOCKET, _host.SO_REUSEPORT, 1)
        if family == _host.AF_INET6:
            s.setsockopt(_host.IPPROTO_IPV6, _host.IPV6_V6ONLY, 0 if dualstack_ipv6 else 1)
        s.bind(address)
        s.listen(128 if backlog is None else backlog)
        return s
    except BaseException:
        s.close()
        raise


def has_dualstack_ipv6():
    return True
