"""An echo server on asyncio (epoll), and a client of many non-blocking connections on one selector.

echo.py serve ADDRESS PORT
echo.py talk ADDRESS PORT CONNECTIONS BYTES     ends with status 0 when every byte came back
"""
import asyncio
import errno
import os
import selectors
import socket
import sys
import time


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve(address, port):
    server = await asyncio.start_server(echo, address, port)
    async with server:
        await server.serve_forever()


class Talk:
    def __init__(self, selector, family, to, size):
        self.out, self.back, self.ended = os.urandom(size), bytearray(), False
        self.sent = 0
        self.s = socket.socket(family)
        self.s.setblocking(False)
        # registered before the connection exists, as event loops do
        selector.register(self.s, selectors.EVENT_READ | selectors.EVENT_WRITE, self)
        code = self.s.connect_ex(to)
        assert code == errno.EINPROGRESS, errno.errorcode.get(code, code)

    def turn(self, selector, events):
        if events & selectors.EVENT_WRITE:
            if self.sent == 0:
                code = self.s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                assert code == 0, errno.errorcode.get(code, code)
            try:
                self.sent += self.s.send(self.out[self.sent:self.sent + 50000])
            except BlockingIOError:
                pass
            if self.sent == len(self.out):
                self.s.shutdown(socket.SHUT_WR)
                selector.modify(self.s, selectors.EVENT_READ, self)
        if events & selectors.EVENT_READ:
            try:
                data = self.s.recv(65536)
            except BlockingIOError:
                return
            self.back += data
            if not data:
                assert self.back == self.out, f'{len(self.back)} of {len(self.out)} bytes came back'
                selector.unregister(self.s)
                self.s.close()
                self.ended = True


def talk(address, port, connections, size):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    selector = selectors.EpollSelector()
    all_of_them = [Talk(selector, family, (address, port), size) for _ in range(connections)]
    until = time.monotonic() + 120
    while not all(t.ended for t in all_of_them):
        assert time.monotonic() < until, f'{sum(t.ended for t in all_of_them)} ended in 120 s'
        for key, events in selector.select(1):
            key.data.turn(selector, events)
    print(f'{connections} connections, {size} bytes each way')


if sys.argv[1] == 'serve':
    asyncio.run(serve(sys.argv[2], int(sys.argv[3])))
else:
    talk(sys.argv[2], *map(int, sys.argv[3:6]))
