"""address.py near OWN FAR PORT       the node whose address is taken away, and given back
address.py far PORT                   the other one: accepts connections and holds them

Prints what the calls gave; reads a line wherever the controller has something to do."""
import errno
import select
import socket
import sys
import time


def code(fn, *args):
    try:
        r = fn(*args)
        return r if isinstance(r, (bytes, str)) else 'ok'
    except OSError as e:
        return errno.errorcode.get(e.errno, e.errno) if e.errno else type(e).__name__


def step(*words):
    print(*words, flush=True)
    return sys.stdin.readline().strip()


def far(port):
    s = socket.create_server(('0.0.0.0', int(port)))
    print('ready', flush=True)
    held = []
    while True:
        held.append(s.accept()[0])


def connects(address, port):
    with socket.socket() as s:
        s.settimeout(60)
        return code(s.connect, (address, port))


def near(own, other, port):
    listener = socket.create_server((own, 7400))
    anywhere = socket.create_server(('0.0.0.0', 7402))
    out = socket.create_connection((other, int(port)), 60)
    own_client = socket.create_connection((own, 7400), 60)
    own_server = listener.accept()[0]
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind((own, 7401))
    for s in (listener, anywhere, out, own_client, own_server, u):
        s.settimeout(60)
    new = step('ready')
    print('connections:', *(code(s.recv, 1) for s in (out, own_client, own_server)))
    print('and again:', *(code(s.recv, 1) for s in (out, own_client, own_server)))
    print('send:', code(out.send, b'x'))
    listener.settimeout(0.5)
    print('listener:', code(listener.accept), select.select([listener], [], [], 0)[0])
    print('its name:', listener.getsockname() == (own, 7400), u.getsockname() == (own, 7401))
    print('datagrams:', code(u.sendto, b'x', (other, 9)), code(u.recvfrom, 1))
    print('bind:', code(socket.socket().bind, (own, 0)),
          code(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind, (own, 0)))
    print('connect:', connects(own, 7400))
    print('the new address:', code(socket.socket().bind, (new, 0)), connects(new, 7402), connects(new, 7400),
          connects(other, int(port)))
    anywhere.accept()
    step('done')
    began = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b'back', (own, 7401))
    listener.settimeout(60)
    print('back:', connects(own, 7400), code(listener.accept), code(u.recv, 10))
    print('quick' if time.monotonic() - began < 30 else 'slow')


globals()[sys.argv[1]](*sys.argv[2:])
