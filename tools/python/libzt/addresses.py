"""Between the library's address structures and Python's forms."""
import ctypes as c
import ipaddress
import socket as _host
import struct

from . import _lib

IN4, IN6 = 16, 28


def to_bytes(family, address):
    """(host, port[, flowinfo, scope]) with a numeric host, as Python's sockets take it, to a structure's bytes."""
    if not isinstance(address, tuple) or len(address) < 2:
        raise TypeError("an address is a tuple (host, port)")
    host, port = address[0], address[1]
    if not isinstance(host, str) or not isinstance(port, int):
        raise TypeError("an address is a text and a number")
    if not 0 <= port <= 65535:
        raise OverflowError("port must be 0-65535")
    if family == _host.AF_INET:
        ip = _host.inet_pton(_host.AF_INET, host or "0.0.0.0")
        return struct.pack("<BB", 0, _host.AF_INET) + struct.pack(">H", port) + ip + bytes(8)
    host, _, zone = host.partition("%")
    ip = _host.inet_pton(_host.AF_INET6, host or "::")
    scope = address[3] if len(address) > 3 else int(zone) if zone.isdigit() else 0
    return (struct.pack("<BB", 0, _host.AF_INET6) + struct.pack(">H", port) + struct.pack("=I", 0) + ip +
            struct.pack("=I", scope))


def from_bytes(raw):
    """A structure's bytes to (host, port) or (host, port, flowinfo, scope)."""
    family, port = raw[1], struct.unpack(">H", raw[2:4])[0]
    if family == _host.AF_INET6:
        scope = struct.unpack("=I", raw[24:28])[0]
        return _host.inet_ntop(_host.AF_INET6, raw[8:24]), port, 0, scope
    return _host.inet_ntop(_host.AF_INET, raw[4:8]), port


def from_storage(s, is_prefix):
    """A zts_sockaddr_storage: an ipaddress interface when its port is a prefix length, else (address, port)."""
    host, port = from_bytes(bytes(s))[:2]
    return ipaddress.ip_interface("%s/%d" % (host, port)) if is_prefix else (host, port)


class Buffer:
    """Room for an address and its length, for calls that fill them."""

    def __init__(self):
        self.raw = c.create_string_buffer(IN6)
        self.len = c.c_uint(IN6)

    @property
    def args(self):
        return self.raw, c.byref(self.len)

    @property
    def address(self):
        return from_bytes(self.raw.raw)


def resolve(host, family):
    """Numeric texts for a host name or address: Python's way for numbers, the networks' name servers for names."""
    for f in ((family,) if family else (_host.AF_INET, _host.AF_INET6)):
        try:
            _host.inet_pton(f, host.partition("%")[0])
            return [(f, host)]
        except OSError:
            pass
    found, n = (_lib.Storage * 16)(), c.c_uint(16)
    rc = _lib.lib.zts_resolve(host.encode("idna"), family, found, c.byref(n))
    if rc != 0:
        code = _host.EAI_AGAIN if rc == -1 and _lib.errno() == 11 else _host.EAI_NONAME
        raise _host.gaierror(code, "%s: not found on the joined networks" % host)
    return [(found[i].family, from_bytes(bytes(found[i]))[0]) for i in range(min(n.value, 16))]
