"""asyncio over the virtual network.

A libzt.socket has a host descriptor that becomes readable and writable as the virtual socket does, so Python's own
selector event loop drives it: loop.sock_recv(s, ...), asyncio.open_connection(sock=s), TLS and all. These functions only
make the socket. (Loops that do their own system calls, such as uvloop, cannot.)
"""
import asyncio
import socket as _host

from . import sockets


async def _resolve(host, port, flags=0):
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(
        None, lambda: sockets.getaddrinfo(host, port, 0, _host.SOCK_STREAM, 0, flags))


async def connect(host, port):
    """A connected, non-blocking libzt.socket."""
    loop, last = asyncio.get_running_loop(), None
    for family, kind, proto, _, to in await _resolve(host, port):
        s = sockets.socket(family, kind, proto)
        s.setblocking(False)
        try:
            await loop.sock_connect(s, to)
            return s
        except OSError as e:
            last = e
            s.close()
        except BaseException:
            s.close()
            raise
    raise last or OSError(99, "no address")


async def open_connection(host, port, **kwargs):
    """(reader, writer), as asyncio.open_connection; kwargs (limit, ssl, server_hostname, ...) are its."""
    s = await connect(host, port)
    try:
        return await asyncio.open_connection(sock=s, **kwargs)
    except BaseException:
        s.close()
        raise


async def start_server(client_connected, host, port, *, backlog=128, **kwargs):
    """An asyncio server on (host, port); host '' is every address, of both families."""
    family = _host.AF_INET6 if not host else (await _resolve(host, port, _host.AI_PASSIVE))[0][0]
    s = sockets.create_server((host or "::", port), family=family, backlog=backlog, dualstack_ipv6=not host)
    s.setblocking(False)
    try:
        return await asyncio.start_server(client_connected, sock=s, backlog=backlog, **kwargs)
    except BaseException:
        s.close()
        raise
