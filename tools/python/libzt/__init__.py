"""Sockets on a ZeroTier network, for a program that carries its own node: no root, no driver.

    import libzt
    with libzt.Node("/path/of/its/home") as node:
        node.join("ff0000ffff000000", timeout=10)
        with libzt.create_connection((address, 7)) as s:
            s.sendall(b"hello")
            print(s.recv(100))

socket, create_connection, create_server, getaddrinfo and the constants are those of Python's socket module;
libzt.aio has asyncio's open_connection and start_server; ZeroTierNode, errno and ZTS_* are upstream's names.
"""
import socket as _host

from . import aio, compat, constants
from .addresses import resolve
from .compat import ZeroTierNode, errno
from .constants import *  # noqa: F403
from .errors import Error, ServiceError
from .node import EventInfo, Node, adhoc_network, identity_is_valid, new_identity
from .sockets import (create_connection, create_server, getaddrinfo, getdefaulttimeout, gethostbyname,
                      has_dualstack_ipv6, setdefaulttimeout, socket)

globals().update({name: getattr(_host, name) for name in compat.HOST_NAMES})
SocketType = socket
__all__ = (["socket", "SocketType", "create_connection", "create_server", "getaddrinfo", "gethostbyname",
            "getdefaulttimeout", "setdefaulttimeout", "has_dualstack_ipv6", "resolve", "Node", "EventInfo", "Error",
            "ServiceError", "new_identity", "identity_is_valid", "adhoc_network", "ZeroTierNode", "errno", "aio"]
           + constants.__all__ + compat.HOST_NAMES)
