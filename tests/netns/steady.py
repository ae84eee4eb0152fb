#!/usr/bin/env python3
"""A connection that is always in use: what becomes of it while the network changes?

steady.py serve ADDRESS PORT         echoes
steady.py talk ADDRESS PORT FILE     sends 8000 bytes, waits for them to come back, and again; FILE
                                     has how often, and at the end "ended" and why
"""
import os
import socket
import sys
import threading
import time

SIZE = 8000


def echo(s):
    try:
        while data := s.recv(65536):
            s.sendall(data)
    except OSError:
        pass
    s.close()


def serve(address, port):
    l = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    print("serving", flush=True)
    while True:
        try:
            s = l.accept()[0]
        except OSError as e:
            sys.exit(f"accept: {e}")
        threading.Thread(target=echo, args=(s,), daemon=True).start()


def note(path, text):
    with open(path + ".new", "w") as f:
        f.write(text)
    os.replace(path + ".new", path)


def talk(address, port, path):
    data = os.urandom(SIZE)
    n = 0
    try:
        s = socket.create_connection((address, port), timeout=20)
        s.settimeout(150)
        while True:
            s.sendall(data)
            got = b""
            while len(got) < SIZE:
                part = s.recv(SIZE - len(got))
                if not part:
                    raise OSError("end of file")
                got += part
            if got != data:
                raise OSError("bytes differ")
            n += 1
            note(path, str(n))
            time.sleep(0.02)
    except OSError as e:
        note(path, f"{n} ended: {e}")


if sys.argv[1] == "serve":
    serve(sys.argv[2], int(sys.argv[3]))
else:
    talk(sys.argv[2], int(sys.argv[3]), sys.argv[4])
