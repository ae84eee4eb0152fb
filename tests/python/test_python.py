"""test_python.py WORK NWID PEER: the Python binding against a peer that echoes (peer.py); WORK has the planet."""
import asyncio
import errno
import io
import os
import select
import selectors
import socket as host
import subprocess
import sys
import threading
import time
import unittest

import libzt
from libzt import Event

work, network, peer = sys.argv[1:4]
events = []
node = libzt.Node(work + "/python", on_event=events.append)


def own():
    return str(node.addresses(network)[0].ip)


class Before(unittest.TestCase):
    """No node runs."""

    def test_refusals(self):
        with self.assertRaises(libzt.ServiceError):
            libzt.socket()
        with self.assertRaises(libzt.ServiceError):
            node.join(network)
        with self.assertRaises(libzt.ServiceError):
            node.id
        self.assertFalse(node.is_online)
        node.stop()
        with self.assertRaises(ValueError):
            libzt.Node(work + "/x", identity="nonsense").start()
        with self.assertRaises(ValueError):
            libzt.node.net_id("123")

    def test_identities(self):
        text = libzt.new_identity()
        self.assertTrue(libzt.identity_is_valid(text))
        self.assertFalse(libzt.identity_is_valid(text[:-1] + ("0" if text[-1] != "0" else "1")))
        self.assertFalse(libzt.identity_is_valid(""))

    def test_numbers(self):
        self.assertEqual(libzt.adhoc_network(2000, 3000), 0xff07d00bb8000000)
        self.assertEqual(libzt.ZTS_EVENT_NODE_ONLINE, Event.NODE_ONLINE)
        self.assertEqual(libzt.ZTS_ECONNREFUSED, errno.ECONNREFUSED)
        self.assertIs(libzt.AF_INET6, host.AF_INET6)


class Running(unittest.TestCase):
    def connect(self):
        s = libzt.create_connection((peer, 7001), timeout=60)
        self.addCleanup(s.close)
        return s

    def test_node(self):
        self.assertTrue(node.is_online)
        self.assertEqual(node.identity.split(":")[0], "%010x" % node.id)
        self.assertTrue(20000 <= node.port <= 65499)
        self.assertEqual(node.status(network), libzt.NetworkStatus.OK)
        self.assertEqual([a.version for a in node.addresses(network)], [6])
        self.assertTrue(node.mac(network) & 0x020000000000)
        self.assertGreater(node.statistics()["link_rx"], 0)
        with self.assertRaises(libzt.Error):
            node.leave("1234567890abcdef")
        with self.assertRaises(libzt.ServiceError):
            libzt.Node().start()
        kinds = [e.what for e in events]
        for what in (Event.STACK_UP, Event.NODE_UP, Event.NODE_ONLINE, Event.NETWORK_REQ_CONFIG, Event.ADDR_ADDED_IP6,
                     Event.NETWORK_READY_IP6, Event.NETWORK_OK, Event.PEER_DIRECT):
            self.assertIn(what, kinds)
        online = next(e for e in events if e.what == Event.NODE_ONLINE)
        self.assertEqual(online.node_id, node.id)
        added = next(e for e in events if e.what == Event.ADDR_ADDED_IP6)
        self.assertEqual((added.net_id, added.address), (int(network, 16), node.addresses(network)[0]))
        direct = next(e for e in events if e.what == Event.PEER_DIRECT)
        self.assertEqual(direct.peer_role, libzt.PeerRole.PLANET)
        self.assertTrue(direct.paths)
        secret = next(e for e in events if e.what == Event.STORE_IDENTITY_SECRET)
        self.assertEqual(secret.data.decode(), node.identity)

    def test_echo(self):
        with self.connect() as s:
            self.assertEqual(s.getpeername(), (peer, 7001, 0, 0))
            self.assertEqual(s.getsockname()[0], own())
            self.assertEqual(s.send(b"hello"), 5)
            self.assertEqual(s.recv(100), b"hello")
            s.sendall(bytearray(b"again"))
            buf = bytearray(10)
            self.assertEqual(s.recv_into(memoryview(buf)[2:]), 5)
            self.assertEqual(buf, b"\0\0again\0\0\0")
            s.sendall(b"peek")
            self.assertEqual(s.recv(2, libzt.MSG_PEEK), b"pe")
            self.assertEqual(s.recv(4, libzt.MSG_WAITALL), b"peek")
            s.shutdown(libzt.SHUT_WR)
            self.assertEqual(s.recv(10), b"")
            with self.assertRaises(BrokenPipeError):
                s.send(b"x")
        self.assertEqual(s.fileno(), -1)
        with self.assertRaises(OSError) as e:
            s.recv(1)
        self.assertEqual(e.exception.errno, errno.EBADF)

    def test_bulk(self):
        data = os.urandom(4 << 20)
        with self.connect() as s:
            sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(libzt.SHUT_WR)))
            sender.start()
            got = bytearray()
            while part := s.recv(65536):
                got += part
            sender.join()
        self.assertEqual(got, data)

    def test_makefile(self):
        s = self.connect()
        with s.makefile("rwb") as f:
            f.write(b"one\ntwo\n")
            f.flush()
            self.assertEqual(f.readline(), b"one\n")
            self.assertEqual(f.readline(), b"two\n")
        with s.makefile("r", encoding="utf-8") as text, s.makefile("w", encoding="utf-8", newline="\n") as out:
            s.close()  # stays open under the files
            print("grüße", file=out, flush=True)
            self.assertEqual(text.readline(), "grüße\n")
        self.assertEqual(s.fileno(), -1)
        with self.assertRaises(ValueError):
            self.connect().makefile("x")

    def test_sendfile(self):
        with self.connect() as s:
            self.assertEqual(s.sendfile(io.BytesIO(b"0123456789"), offset=2, count=5), 5)
            self.assertEqual(s.recv(100), b"23456")

    def test_refused(self):
        with self.assertRaises(ConnectionRefusedError) as e:
            libzt.create_connection((peer, 7009), timeout=60)
        self.assertEqual(e.exception.errno, errno.ECONNREFUSED)
        with libzt.socket(libzt.AF_INET6) as s:
            self.assertEqual(s.connect_ex((peer, 7009)), errno.ECONNREFUSED)
            self.assertEqual(s.connect_ex((peer, 7001)), 0)  # the same one can try again

    def test_timeouts(self):
        with self.connect() as s:
            s.settimeout(0.2)
            self.assertEqual(s.timeout, 0.2)
            began = time.monotonic()
            with self.assertRaises(TimeoutError):
                s.recv(1)
            self.assertTrue(0.19 < time.monotonic() - began < 30)
            s.setblocking(False)
            with self.assertRaises(BlockingIOError) as e:
                s.recv(1)
            self.assertEqual(e.exception.errno, errno.EAGAIN)
            s.settimeout(None)
            self.assertTrue(s.getblocking())
            with self.assertRaises(ValueError):
                s.settimeout(-1)
        with libzt.socket(libzt.AF_INET6) as s:  # nobody has this address
            s.settimeout(0.3)
            with self.assertRaises(TimeoutError):
                s.connect(("fc00:1:ff11:2233:4455::1", 1))
        libzt.setdefaulttimeout(5)
        with libzt.socket() as s:
            self.assertEqual(s.gettimeout(), 5)
        libzt.setdefaulttimeout(None)

    def test_nonblocking_connect(self):
        with libzt.socket(libzt.AF_INET6, libzt.SOCK_STREAM | libzt.SOCK_NONBLOCK) as s:
            with self.assertRaises(BlockingIOError) as e:
                s.connect((peer, 7001))
            self.assertEqual(e.exception.errno, errno.EINPROGRESS)
            self.assertTrue(select.select([], [s], [], 60)[1])
            self.assertEqual(s.getsockopt(libzt.SOL_SOCKET, libzt.SO_ERROR), 0)
            s.send(b"x")
            self.assertTrue(select.select([s], [], [], 60)[0])
            self.assertEqual(s.recv(1), b"x")

    def test_selectors_mix(self):
        a, b = host.socketpair()
        with a, b, self.connect() as s, selectors.DefaultSelector() as sel:
            sel.register(a, selectors.EVENT_READ)
            sel.register(s, selectors.EVENT_READ)
            self.assertEqual(sel.select(0), [])
            b.send(b"1")
            self.assertIs(sel.select(60)[0][0].fileobj, a)
            a.recv(1)
            s.send(b"2")
            self.assertIs(sel.select(60)[0][0].fileobj, s)

    def test_server(self):
        with libzt.create_server((own(), 7100), family=libzt.AF_INET6) as server:
            self.assertEqual(server.getsockopt(libzt.SOL_SOCKET, libzt.SO_ACCEPTCONN), 1)
            with libzt.create_connection((own(), 7100), timeout=60) as client:
                conn, where = server.accept()
                with conn:
                    self.assertEqual(where[:2], client.getsockname()[:2])
                    self.assertEqual(conn.gettimeout(), None)
                    client.sendall(b"abc")
                    self.assertEqual(conn.recv(10), b"abc")
            server.settimeout(0.05)
            with self.assertRaises(TimeoutError):
                server.accept()
            with self.assertRaises(OSError) as e:
                libzt.create_server((own(), 7100), family=libzt.AF_INET6)
            self.assertEqual(e.exception.errno, errno.EADDRINUSE)

    def test_udp(self):
        with libzt.socket(libzt.AF_INET6, libzt.SOCK_DGRAM) as s:
            s.settimeout(60)
            self.assertEqual(s.sendto(b"ping", (peer, 7002)), 4)
            data, where = s.recvfrom(100)
            self.assertEqual((data, where[:2]), (b"ping", (peer, 7002)))
            s.connect((peer, 7002))
            s.send(b"")
            self.assertEqual(s.recv(10), b"")
            buf = bytearray(4)
            s.sendto(b"1234", 0, (peer, 7002))
            self.assertEqual(s.recvfrom_into(buf)[0], 4)
            self.assertEqual(buf, b"1234")

    def test_options(self):
        with libzt.socket(libzt.AF_INET6) as s:
            s.setsockopt(libzt.IPPROTO_TCP, libzt.TCP_NODELAY, 1)
            self.assertEqual(s.getsockopt(libzt.IPPROTO_TCP, libzt.TCP_NODELAY), 1)
            s.setsockopt(libzt.SOL_SOCKET, libzt.SO_KEEPALIVE, 1)
            self.assertEqual(s.getsockopt(libzt.ZTS_SOL_SOCKET, libzt.ZTS_SO_KEEPALIVE), 1)
            s.setsockopt(libzt.IPPROTO_TCP, libzt.TCP_KEEPIDLE, 33)
            self.assertEqual(s.getsockopt(libzt.IPPROTO_TCP, libzt.TCP_KEEPIDLE), 33)
            with self.assertRaises(OSError) as e:
                s.setsockopt(libzt.SOL_SOCKET, 12345, 1)
            self.assertEqual(e.exception.errno, errno.ENOPROTOOPT)
            self.assertEqual((s.family, s.type), (libzt.AF_INET6, libzt.SOCK_STREAM))
            with self.assertRaises(TypeError):
                s.bind("::")
            with self.assertRaises(OverflowError):
                s.bind(("::", 70000))
            with self.assertRaises(TypeError):
                s.send("text")

    def test_getaddrinfo(self):
        self.assertEqual(libzt.getaddrinfo(peer, 80, 0, libzt.SOCK_STREAM),
                         [(libzt.AF_INET6, libzt.SOCK_STREAM, libzt.IPPROTO_TCP, "", (peer, 80, 0, 0))])
        self.assertEqual([a[4] for a in libzt.getaddrinfo("10.1.2.3", "http")], [("10.1.2.3", 80)] * 2)
        self.assertEqual(libzt.getaddrinfo(None, 1, libzt.AF_INET, libzt.SOCK_DGRAM, 0, libzt.AI_PASSIVE)[0][4], ("0.0.0.0", 1))
        with self.assertRaises(libzt.gaierror):
            libzt.getaddrinfo("no.such.name.test", 1)

    def test_detach(self):
        s = self.connect()
        number = s.detach()
        again = libzt.socket(libzt.AF_INET6, libzt.SOCK_STREAM, 0, fileno=number)
        with again:
            again.sendall(b"z")
            self.assertEqual(again.recv(1), b"z")

    def test_threads(self):
        wrong = []

        def work():
            for i in range(5):
                with libzt.create_connection((peer, 7001), timeout=60) as s:
                    s.sendall(b"%d" % i * 1000)
                    if s.recv(1000, libzt.MSG_WAITALL) != b"%d" % i * 1000:
                        wrong.append(i)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(wrong, [])


class Asyncio(unittest.IsolatedAsyncioTestCase):
    async def test_client(self):
        async def one(i):
            reader, writer = await libzt.aio.open_connection(peer, 7001)
            data = bytes([i]) * 50000
            writer.write(data)
            writer.write_eof()
            got = await reader.read()
            writer.close()
            await writer.wait_closed()
            return got == data

        self.assertTrue(all(await asyncio.gather(*(one(i) for i in range(20)))))

    async def test_server(self):
        async def handler(reader, writer):
            line = await reader.readline()
            writer.write(line.upper())
            await writer.drain()
            writer.close()

        async with await libzt.aio.start_server(handler, "", 7200) as server:
            self.assertTrue(server.is_serving())
            reader, writer = await libzt.aio.open_connection(own(), 7200)
            self.assertEqual(writer.get_extra_info("peername")[:2], (own(), 7200))
            writer.write(b"shout\n")
            self.assertEqual(await reader.readline(), b"SHOUT\n")
            writer.close()

    async def test_refused(self):
        with self.assertRaises(ConnectionRefusedError):
            await libzt.aio.open_connection(peer, 7009)

    async def test_loop_calls(self):
        loop = asyncio.get_running_loop()
        with await libzt.aio.connect(peer, 7001) as s:
            await loop.sock_sendall(s, b"abc")
            self.assertEqual(await loop.sock_recv(s, 10), b"abc")

    async def test_beside_host_sockets(self):
        async def relay(reader, writer):
            r, w = await libzt.aio.open_connection(peer, 7001)
            w.write(await reader.readexactly(5))
            writer.write(await r.readexactly(5))
            await writer.drain()
            w.close()
            writer.close()

        async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello")
            self.assertEqual(await reader.read(), b"hello")
            writer.close()

    async def test_cancel(self):
        task = asyncio.create_task(libzt.aio.open_connection("fc00:1:ff11:2233:4455::1", 1))
        await asyncio.sleep(0.1)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task


class After(unittest.TestCase):
    def test_again(self):
        identity = node.identity
        node.stop(timeout=60)
        self.assertIn(Event.NODE_DOWN, [e.what for e in events])
        with self.assertRaises(libzt.ServiceError):
            libzt.socket()
        with libzt.Node(identity=identity) as other:  # no folder
            self.assertEqual(other.identity, identity)
        seen = []
        n = libzt.ZeroTierNode()  # upstream's names
        n.init_set_event_handler(lambda code, id: seen.append((code, id)))
        n.init_from_storage(work + "/python")
        n.init_set_port(0)
        self.assertEqual(n.node_start(), 0)
        deadline = time.monotonic() + 120
        nwid = int(network, 16)
        while not n.node_is_online() or not n.net_transport_is_ready(nwid):
            self.assertLess(time.monotonic(), deadline)
            n.net_join(nwid)
            time.sleep(0.05)
        self.assertEqual("%010x" % n.node_id(), identity.split(":")[0])
        self.assertIsNone(n.addr_get_ipv4(nwid))
        s = libzt.socket(libzt.ZTS_AF_INET6, libzt.ZTS_SOCK_STREAM, 0)
        s.connect((n.addr_get_ipv6(nwid).replace(n.addr_get_ipv6(nwid), peer), 7001))
        s.send(b"x")
        self.assertEqual(s.recv(1024), b"x")
        self.assertEqual(libzt.errno(), 0)
        s.close()
        self.assertIn((libzt.ZTS_EVENT_NODE_ONLINE, n.node_id()), seen)
        self.assertEqual(n.node_stop(), 0)

    def test_exit_with_a_running_node(self):
        """A program that ends with its node running ends cleanly, events or not."""
        code = ("import libzt\nlibzt.Node(on_event=lambda e: None).start(timeout=90)\nprint('up')\n")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=150)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "up\n", ""))


def run(cases):
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(c) for c in cases)
    return unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)


results = [run([Before])]
node.start(timeout=90)
node.join(network, timeout=90)
results += [run([Running, Asyncio]), run([After])]
bad = sum(len(r.failures) + len(r.errors) for r in results)
print("%d passed, %d failed" % (sum(r.testsRun for r in results) - bad, bad))
sys.exit(1 if bad else 0)
