"""peer.py HOME NWID: another node, by asyncio alone: echoes TCP on 7001 and UDP on 7002; prints its address."""
import asyncio
import sys

import libzt


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def main():
    node = libzt.Node(sys.argv[1]).start(timeout=90)
    node.join(sys.argv[2], timeout=90)
    server = await libzt.aio.start_server(echo, "", 7001)
    udp = libzt.socket(libzt.AF_INET6, libzt.SOCK_DGRAM)
    udp.bind(("::", 7002))
    udp.setblocking(False)

    def on_datagram():
        data, where = udp.recvfrom(65536)
        udp.sendto(data, where)

    asyncio.get_running_loop().add_reader(udp.fileno(), on_datagram)
    print("serving", node.addresses(sys.argv[2])[0].ip, flush=True)
    await server.serve_forever()

asyncio.run(main())
