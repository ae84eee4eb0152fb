"""failure.py WHAT ARGS...: what a program sees when the node is away, leaves, or refuses. Prints what the
calls gave; a line `ready` when it waits for something to happen to the node."""
import errno
import os
import socket
import sys
import threading
import time

from asleep import until_asleep


def code(fn, *args):
    try:
        return fn(*args)
    except OSError as e:
        return errno.errorcode.get(e.errno, e.errno) if e.errno else type(e).__name__


def connect(address, port=9):
    s = socket.socket(socket.AF_INET)
    s.settimeout(60)
    return code(s.connect, (address, port))


def away(far, own):
    """No node and none can be had: at once (the lab's ZT_PRELOAD_WAIT is a minute), and never the kernel."""
    began = time.monotonic()
    print(connect(far))
    print(code(socket.socket().bind, (own, 0)))
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    print(code(u.sendto, b'x', (far, 9)))
    print(code(u.connect, (far, 9)))
    print('quick' if time.monotonic() - began < float(sys.argv[4] if len(sys.argv) > 4 else 30) else 'slow')


def blocked(far, own):
    """Threads wait in every call that can wait; then the node is killed."""
    results = {}
    listener = socket.socket()
    listener.bind((own, 7100))
    listener.listen(5)
    talker = socket.create_connection((own, 7100))
    accepted, _ = listener.accept()
    quiet = socket.create_connection((own, 7100))
    silent, _ = listener.accept()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((own, 7101))
    nobody = socket.socket()
    waits = {
        'recv': lambda: quiet.recv(1),
        'send': lambda: [talker.send(bytes(1 << 20)) for _ in range(1000)],
        'accept': listener.accept,
        'recvfrom': lambda: udp.recvfrom(10),
        'connect': lambda: nobody.connect((far, 9)),
    }

    def run(name):
        results[name] = code(waits[name])

    threads = [threading.Thread(target=run, args=(name,), daemon=True) for name in waits]
    for t in threads:
        t.start()
    until_asleep(threads)
    print('ready', flush=True)
    until = time.monotonic() + 60
    for t in threads:
        t.join(max(0, until - time.monotonic()))
    print(*(f'{name}:{results.get(name, "hangs")}' for name in waits), flush=True)
    # and with the next node everything works again
    sys.stdin.readline()
    while True:
        try:
            talker = socket.create_connection((own, 7100), 1)
            break
        except OSError:
            threading.Thread(target=lambda: results.update(again=code(listener.accept)), daemon=True).start()
            time.sleep(0.2)
    for _ in range(50):
        threading.Thread(target=lambda: results.update(udp=code(udp.recvfrom, 10)), daemon=True).start()
        time.sleep(0.1)
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.sendto(b'back', (own, 7101))
        time.sleep(0.1)
        if isinstance(results.get('udp'), tuple):
            break
    print('back', results.get('udp'), flush=True)


def shared(own):
    """Threads wait in accept and recvfrom of one socket each when the node is killed. The next one serves each once."""
    listener = socket.create_server((own, 7300))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((own, 7301))
    came = []

    def run(call, *args):
        while True:
            r = code(call, *args)
            if isinstance(r, tuple):
                came.append(call.__name__)
            elif r != 'ENETDOWN':
                print(r, flush=True)

    threads = [threading.Thread(target=run, args=call, daemon=True)
               for call in 6 * ((listener.accept,), (udp.recvfrom, 10))]
    for t in threads:
        t.start()
    until_asleep(threads)
    print('ready', flush=True)
    sys.stdin.readline()
    socket.create_connection((own, 7300), 60)
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', (own, 7301))
    until = time.monotonic() + 60
    while len(came) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    print(*sorted(came), flush=True)
    os._exit(0)


def left(own):
    """The network of an open connection is left."""
    listener = socket.create_server((own, 7200))
    a = socket.create_connection((own, 7200))
    b, _ = listener.accept()
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind((own, 7201))
    print('ready', flush=True)
    sys.stdin.readline()
    a.settimeout(60)
    print(code(a.recv, 1))
    print(code(socket.socket().bind, (own, 7300)) is not None)
    print(code(u.sendto, b'x', (own, 7201)) in ('ENETUNREACH', 'EADDRNOTAVAIL', 'ENETDOWN', 1))


def user(uid, far, port):
    """The program gives up its rights: before, afterwards."""
    kept = socket.create_connection((far, int(port)))
    os.setgid(int(uid))
    os.setuid(int(uid))
    kept.sendall(b'HEAD / HTTP/1.0\r\n\r\n')
    print(kept.recv(4).decode())
    print(connect(far, int(port)))
    print(code(socket.create_connection, (far, int(port)), 60).__class__.__name__)


globals()[sys.argv[1]](*sys.argv[2:5 if sys.argv[1] == 'user' else 4])
