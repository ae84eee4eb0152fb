"""A transfer both ways at once that proves that every byte arrived.

stream.py serve ADDRESS PORT
    answers any number of clients
stream.py run ADDRESS PORT [--bytes N | --while FILE] [--rate BYTES/S] [--seen FILE]
    sends and asks for N bytes, or for as long as FILE exists; prints one line with both sums and the
    longest pause, and fails when one is wrong. --seen: a file with the bytes received so far.

Each side sends frames (length, data); one of length 0 ends them and the SHA-256 of the data follows.
"""
import argparse
import hashlib
import os
import random
import socket
import struct
import sys
import threading
import time

FRAME = 16384


def receive(sock, n):
    data = b""
    while len(data) < n:
        piece = sock.recv(n - len(data))
        if not piece:
            raise EOFError("the other side ended early")
        data += piece
    return data


def send_all(sock, go_on, rate):
    """Frames for as long as go_on(bytes so far) says; the sum of the data."""
    digest, sent, began = hashlib.sha256(), 0, time.monotonic()
    chance = random.Random(os.urandom(8))
    while go_on(sent):
        data = chance.randbytes(FRAME)
        sock.sendall(struct.pack(">I", FRAME) + data)
        digest.update(data)
        sent += FRAME
        if rate:
            time.sleep(max(0, began + sent / rate - time.monotonic()))
    sock.sendall(struct.pack(">I", 0) + digest.digest())
    return sent, digest.hexdigest()


def receive_all(sock, seen=lambda n: None):
    """Frames until the end: bytes, sum, longest pause in s, and when that began."""
    digest, got, began = hashlib.sha256(), 0, time.monotonic()
    last, pause, at = began, 0.0, 0.0
    while True:
        (n,) = struct.unpack(">I", receive(sock, 4))
        now = time.monotonic()
        if now - last > pause:
            pause, at = now - last, last - began
        last = now
        if n == 0:
            break
        digest.update(receive(sock, n))
        got += n
        seen(got)
    if receive(sock, 32) != digest.digest():
        raise ValueError("the sum of what arrived is wrong")
    return got, digest.hexdigest(), pause, at


def answer(sock):
    """Send as much as is asked for, or (0) until the client ends."""
    want, rate = struct.unpack(">QQ", receive(sock, 16))
    ended = threading.Event()
    go_on = (lambda n: n < want) if want else (lambda n: not ended.is_set())
    sender = threading.Thread(target=send_all, args=(sock, go_on, rate))
    sender.start()
    try:
        receive_all(sock)
        ended.set()
        sender.join()
        sock.sendall(b"+")
    finally:
        ended.set()
        sock.close()


def serve(args):
    listener = socket.create_server((args.address, args.port), family=family(args.address), backlog=64)
    print("serving", flush=True)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=answer, args=(sock,)).start()


def run(args):
    sock = socket.create_connection((args.address, args.port), timeout=60)
    sock.settimeout(60)
    sock.sendall(struct.pack(">QQ", args.bytes, args.rate))
    result = {}

    def seen(n):
        if args.seen:
            with open(args.seen, "w") as f:
                f.write(f"{n}\n")

    def receiver():
        try:
            result["in"] = receive_all(sock, seen)
        except (OSError, EOFError, ValueError) as e:
            result["error"] = e
            sock.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=receiver)
    thread.start()
    if args.while_file:
        go_on = lambda n: os.path.exists(args.while_file)
    else:
        go_on = lambda n: n < args.bytes
    try:
        sent, out_sum = send_all(sock, go_on, args.rate)
        thread.join()
        if "error" in result:
            raise result["error"]
        if receive(sock, 1) != b"+":  # sent only after the sum of what we sent was found right
            raise ValueError("not confirmed")
    except (OSError, EOFError, ValueError) as e:
        sys.exit(f"stream: {result.get('error', e)}")
    got, in_sum, pause, at = result["in"]
    print(f"sent {sent} {out_sum[:16]}, received {got} {in_sum[:16]}, "
          f"longest pause {pause:.1f} s at {at:.1f} s")


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("command", choices=["serve", "run"])
parser.add_argument("address")
parser.add_argument("port", type=int)
parser.add_argument("--bytes", type=int, default=0)
parser.add_argument("--while", dest="while_file")
parser.add_argument("--rate", type=int, default=0)
parser.add_argument("--seen")
arguments = parser.parse_args()
{"serve": serve, "run": run}[arguments.command](arguments)
