#!/usr/bin/env python3
"""Checked traffic between two programs, on kernel sockets or on virtual ones alike.

    traffic.py serve ADDRESS PORT            answers until it is ended; prints "ready" when it listens
    traffic.py tcp ADDRESS PORT BYTES        sends so many bytes; the other end must see the same SHA-256
    traffic.py udp ADDRESS PORT COUNT        sends so many datagrams of 1 to 2,700 bytes and learns
                                             from the other end how many came whole, damaged, twice

A client prints one line of JSON; its exit status is 0 when every byte and every datagram arrived. No
step waits longer than PATIENCE seconds for the other end.

A datagram of 12 bytes or more carries its number and a checksum; a shorter one is the start of a digest of its
number, and each digest is counted. The sender keeps at most WINDOW datagrams on the way: the receiver
tells how many came, so the pace is what the path carries, on a busy machine too, and what gets
lost was lost in between rather than in a full socket.
"""
import collections
import hashlib
import json
import os
import select
import socket
import struct
import sys
import threading
import time
import zlib

PATIENCE = 30
WINDOW = 32  # datagrams: some 90 kB, well below the smallest default of a socket's buffer
ACK_EVERY = 8
LARGEST = 2700
CHUNK = 1 << 16
HEAD = struct.Struct("!IHHI")  # number, size, zero, CRC of the rest


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def size_of(number):
    """Every size from 1 to LARGEST once before any comes again: 1237 and 2700 have no common factor."""
    return 1 + number * 1237 % LARGEST


def short(number, size):
    return hashlib.sha256(b"%d" % number).digest()[:size]


def datagram(number):
    size = size_of(number)
    if size < HEAD.size:
        return short(number, size)
    body = (hashlib.sha256(b"%d" % number).digest() * 85)[: size - HEAD.size]
    return HEAD.pack(number, size, 0, zlib.crc32(body)) + body


class Arrivals:
    """What has come of `count` datagrams."""

    def __init__(self, count):
        self.count = count
        self.seen = bytearray(count)
        self.short = collections.Counter(
            short(n, size_of(n)) for n in range(count) if size_of(n) < HEAD.size
        )
        self.whole = self.damaged = self.twice = 0

    def add(self, data):
        if len(data) < HEAD.size:
            good, fresh = data in self.short, self.short[data] > 0
            self.short[data] -= 1
        else:
            number, size, _, crc = HEAD.unpack_from(data)
            good = (
                number < self.count
                and size == len(data) == size_of(number)
                and zlib.crc32(data[HEAD.size :]) == crc
            )
            fresh = good and not self.seen[number]
            if good:
                self.seen[number] = 1
        if not good:
            self.damaged += 1
        elif not fresh:
            self.twice += 1
        else:
            self.whole += 1

    def report(self):
        return {
            "sent": self.count,
            "whole": self.whole,
            "lost": self.count - self.whole,
            "damaged": self.damaged,
            "twice": self.twice,
        }


def receive_tcp(sock, rest, count):
    digest, got = hashlib.sha256(rest), len(rest)
    while got < count:
        data = sock.recv(CHUNK)
        if not data:
            break
        digest.update(data)
        got += len(data)
    sock.sendall(json.dumps({"bytes": got, "sha256": digest.hexdigest()}).encode() + b"\n")


def receive_udp(control, count):
    """Until the sender says over `control` that it has finished, and nothing more comes."""
    arrivals, received, told = Arrivals(count), 0, 0
    local, peer = control.getsockname(), control.getpeername()
    with socket.socket(control.family, socket.SOCK_DGRAM) as sock:
        sock.bind((local[0], 0))
        control.sendall(b"%d\n" % sock.getsockname()[1])
        finished, patience = False, PATIENCE
        while True:
            ready = select.select([sock] if finished else [sock, control], [], [], patience)[0]
            if sock in ready:
                data, sender = sock.recvfrom(CHUNK)
                if sender[0] != peer[0]:
                    continue
                arrivals.add(data)
                received += 1
                if received - told >= ACK_EVERY or received == count:
                    sock.sendto(struct.pack("!I", received), sender)
                    told = received
            elif control in ready:
                control.recv(1)  # the sender has finished, or has gone
                finished, patience = True, 0.5  # stragglers
            else:
                break
    control.sendall(json.dumps(arrivals.report()).encode() + b"\n")


def answer(sock):
    with sock:
        sock.settimeout(PATIENCE)
        line = b""
        while b"\n" not in line:
            data = sock.recv(CHUNK)
            if not data:
                return
            line += data
        line, rest = line.split(b"\n", 1)
        kind, count = line.split()
        if kind == b"tcp":
            receive_tcp(sock, rest, int(count))
        elif kind == b"udp":
            receive_udp(sock, int(count))


def serve(address, port):
    with socket.socket(family(address), socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(8)
        print("ready", flush=True)
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=answer, args=(sock,), daemon=True).start()


def send_tcp(sock, count):
    """Chunks of one random block, each marked with its offset: none is equal to another."""
    block, digest, sent = os.urandom(CHUNK * 2), hashlib.sha256(), 0
    sock.sendall(b"tcp %d\n" % count)
    began = time.monotonic()
    while sent < count:
        size = min(CHUNK, count - sent)
        at = sent // CHUNK * 61 % CHUNK
        data = (struct.pack("!Q", sent) + block[at : at + CHUNK])[:size]
        sock.sendall(data)
        digest.update(data)
        sent += size
    report = json.loads(sock.makefile().readline())
    report["MB/s"] = round(sent / (time.monotonic() - began) / 1e6, 1)
    report["ok"] = report["bytes"] == count and report["sha256"] == digest.hexdigest()
    return report


def send_udp(control, count):
    control.sendall(b"udp %d\n" % count)
    answers = control.makefile()
    port = int(answers.readline())
    with socket.socket(control.family, socket.SOCK_DGRAM) as sock:
        sock.connect((control.getpeername()[0], port))
        sock.settimeout(1)
        got = lost = 0
        for number in range(count):
            while number - got - lost >= WINDOW:
                try:
                    got = struct.unpack("!I", sock.recv(4))[0]
                except TimeoutError:  # the rest of the window, or word of it, is lost
                    lost = number - got
                    if lost > count // 10:
                        return {"sent": number, "whole": got, "ok": False, "error": "most is lost"}
            sock.send(datagram(number))
        while got + lost < count:
            try:
                got = struct.unpack("!I", sock.recv(4))[0]
            except TimeoutError:
                break
    control.sendall(b".")
    report = json.loads(answers.readline())
    report["ok"] = report["whole"] == count and not report["damaged"] and not report["twice"]
    return report


def main(what, address, port, count="0"):
    if what == "serve":
        serve(address, int(port))
    with socket.socket(family(address), socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect((address, int(port)))
        report = {"tcp": send_tcp, "udp": send_udp}[what](sock, int(count))
    print(json.dumps(report))
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except (OSError, ValueError) as e:
        sys.exit(f"{sys.argv[0]}: {e!r}")
