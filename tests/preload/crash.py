"""Programs for crash.sh.

crash.py wait ADDRESS PORT OWN a TCP connection and a UDP socket, then blocked in recv on each: prints how that ended
crash.py hold ADDRESS PORT N   N connections, a UDP socket; prints 'held PID' and sleeps
crash.py serve ADDRESS PORT    accepts for ever, whatever happens; answers with the number of the connection
crash.py ask ADDRESS PORT      one question: prints the answer
"""
import errno
import os
import socket
import sys
import threading
import time

from asleep import until_asleep


def family(address):
    return socket.AF_INET6 if ':' in address else socket.AF_INET


def name(e):
    return errno.errorcode.get(e.errno, str(e)) if isinstance(e, OSError) and e.errno else str(e)


def wait(to, own):
    tcp = socket.create_connection(to, 60)
    tcp.makefile().readline()
    udp = socket.socket(family(own), socket.SOCK_DGRAM)
    udp.bind((own, 0))
    ends = {}

    def block(what, s):
        s.settimeout(None)
        try:
            got = s.recv(100)
            ends[what] = f'{len(got)} bytes'
        except OSError as e:
            ends[what] = name(e)
    threads = [threading.Thread(target=block, args=a, daemon=True) for a in (('tcp', tcp), ('udp', udp))]
    for t in threads:
        t.start()
    until_asleep(threads)
    print('blocked', flush=True)
    for t in threads:
        t.join(60)
    print(*(f'{what}:{ends.get(what, "hangs")}' for what in ('tcp', 'udp')), flush=True)
    try:
        socket.create_connection(to, 30)
        print('connected')
    except OSError as e:
        print(name(e))


def hold(to, n):
    held = [socket.create_connection(to, 60) for _ in range(n)]
    u = socket.socket(family(to[0]), socket.SOCK_DGRAM)
    u.connect(to)
    u.send(b'x')
    print('held', os.getpid(), flush=True)
    time.sleep(100)
    del held


def serve(to):
    with socket.create_server(to, family=family(to[0]), backlog=64) as server:
        print('ready', flush=True)
        n = 0
        while True:
            try:
                s = server.accept()[0]
            except OSError as e:
                print(f'accept: {name(e)}', flush=True)
                time.sleep(0.2)
                continue
            n += 1
            s.sendall(b'%d\n' % n)
            threading.Thread(target=lambda s=s: s.recv(1), daemon=True).start()


def ask(to):
    with socket.create_connection(to, 30) as s:
        print(s.makefile().readline().strip())


address = (sys.argv[2], int(sys.argv[3]))
{'wait': lambda to: wait(to, sys.argv[4]), 'serve': serve, 'ask': ask}.get(sys.argv[1], lambda to: hold(to, int(sys.argv[4])))(address)
