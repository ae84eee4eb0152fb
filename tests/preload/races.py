#!/usr/bin/env python3
"""What happens while the library waits: numbers that other threads close and use again, signals, nodes that end or
stop, a home that changes. With a stand-in for the node.

  races.py PRELOAD FAKEHOST [CASE...]

Each case runs in a program of its own under the preload; it says `ok`, or what was wrong.
"""
import errno
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

OWN, QUIET = '10.147.17.1', '10.147.17.50'  # nobody answers on the second, for a second
HOME = os.environ.get('ZT_HOME', '')


def until(what, seconds=15):
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.02)
    return what()


def code(fn, *args):
    try:
        return fn(*args)
    except OSError as e:
        return errno.errorcode[e.errno]


def nodes():
    """pids of the stand-ins for this home"""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as f:
                words = f.read().split(b'\0')
        except OSError:
            continue
        if words[0].endswith((b'/ztd', b'/fakehost')) and HOME.encode() in words:
            found.append(int(pid))
    return found


def started():
    """A node that runs; the number of its process."""
    code(socket.socket().connect, (OWN, 9))
    assert until(nodes), 'no node'
    return nodes()[0]


def ended(pid):
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: pid not in nodes()), 'it does not end'


def meanwhile(call):
    """What call(socket) gave in a thread, when the number of the socket was closed and given to a file meanwhile;
    and is it still that file?"""
    s, given = socket.socket(), []
    fd = s.fileno()
    t = threading.Thread(target=lambda: given.append(code(call, s)))
    t.start()
    time.sleep(0.4)
    assert t.is_alive(), f'{given} already'
    os.close(fd)
    assert os.open('/dev/null', os.O_RDONLY) == fd
    t.join(20)
    assert given, 'it hangs'
    assert os.readlink(f'/proc/self/fd/{fd}') == '/dev/null', os.readlink(f'/proc/self/fd/{fd}')
    s.detach()
    return given[0]


def case_closed_while_connecting():
    started()
    given = meanwhile(lambda s: s.connect((QUIET, 9)))
    assert given == 'ETIMEDOUT', given


def case_closed_while_starting():
    """The node takes a second to start."""
    os.environ['ZT_TEST_SLOW'] = '1'
    given = meanwhile(lambda s: s.connect((OWN, 9)))
    assert given == 'EBADF', given
    assert nodes(), 'no node'


def case_two_connect():
    started()
    s, given = socket.socket(), []
    threads = [threading.Thread(target=lambda: given.append(code(s.connect, (QUIET, 9)))) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(20)
    assert len(given) == 4 and set(given) <= {'ETIMEDOUT', 'EALREADY', 'ECONNABORTED'}, given


def case_signals():
    """Options are set and read while a timer interrupts all the time."""
    started()
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind((OWN, 0))
    signal.signal(signal.SIGALRM, lambda *a: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    wrong = 0
    for i in range(500):
        ttl = 20 + i % 200
        u.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        wrong += u.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) != ttl
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert not wrong, f'{wrong} of 500'


def case_stopped():
    """A node that does not even take connections: an error in time."""
    pid = started()
    os.kill(pid, signal.SIGSTOP)
    try:
        waiting = []
        while True:
            d = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            d.setblocking(False)
            waiting.append(d)
            if d.connect_ex(HOME + '/control.sock') == errno.EAGAIN:
                break
        began = time.monotonic()
        given = code(socket.socket().connect, (OWN, 9))
        took = time.monotonic() - began
        assert given == 'ENETUNREACH' and took < 12, (given, took)
    finally:
        os.kill(pid, signal.SIGCONT)


def case_ranges_change():
    """What is virtual without a node is read again when it has changed."""
    def udp():
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        return code(u.connect, (OWN, 9)), u.getsockname()[0]
    udp()
    assert not nodes(), 'a node'
    with open(HOME + '/ranges.new', 'w') as f:
        f.write('10.147.17.0/24\n')
    os.rename(HOME + '/ranges.new', HOME + '/ranges')
    time.sleep(1.2)
    given = udp()
    assert given == (None, OWN), given


def case_many_nodes():
    """A program that outlives its nodes keeps the pages of a few of them."""
    for _ in range(8):
        ended(started())
    with open('/proc/self/maps') as f:
        kept = sum(HOME + '/state' in line for line in f)
    assert 1 <= kept <= 5, kept


def case_many_descriptors():
    """A long path of the home, and more than a thousand numbers in use."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (1300, max(1300, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    null = os.open('/dev/null', os.O_RDONLY)
    while os.dup(null) < 1150:
        pass
    given = code(socket.socket().connect, (OWN, 9))
    assert given == 'ECONNREFUSED', given


def case_other_user():
    """Rights are given up before anything was asked: what was virtual still is, and refused."""
    if os.getuid() != 0:
        raise AssertionError('skipped: needs root')
    os.setuid(65534)
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    given = code(u.connect, (OWN, 9))
    assert given == 'ENETUNREACH', given


def case_relative_home():
    """The program goes elsewhere before it asks."""
    os.chdir('/')
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    given = code(u.connect, (OWN, 9)), u.getsockname()[0]
    assert given == (None, OWN), given


def case_no_number_free():
    """What is virtual is known all the same."""
    virtual, kernel = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    limit = max(int(n) for n in os.listdir('/proc/self/fd') if int(n) < 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    while code(os.dup, 0) != 'EMFILE':
        pass
    given = code(virtual.connect, (OWN, 9)), code(kernel.connect, ('127.0.0.1', 9))
    assert given == ('EMFILE', None), given


CASES = [name[5:] for name in globals() if name.startswith('case_')]


def run(case, preload, fakehost):
    top = tempfile.mkdtemp(prefix='zt-races.')
    home = os.path.join(top, 'home')
    try:
        os.mkdir(home, 0o700)
        lib = shutil.copy(preload, top)
        host = shutil.copy(fakehost, os.path.join(top, 'fakehost'))
        with open(os.path.join(top, 'ztd'), 'w') as f:
            f.write(f'#!/bin/sh\n[ -z "$ZT_TEST_SLOW" ] || sleep 1\nexec "{host}" "$@"\n')
        os.chmod(os.path.join(top, 'ztd'), 0o755)
        if case == 'many_descriptors':
            os.rename(home, os.path.join(top, 'h' * 100))
            os.symlink('h' * 100, home)
            global HOME
            HOME = home
            node = subprocess.Popen([host, '-H', home])
            until(lambda: os.path.exists(home + '/control.sock'))
            home = os.path.join(top, 'h' * 100)
        if case != 'ranges_change':
            with open(os.path.join(home, 'ranges'), 'w') as f:
                f.write('10.147.17.0/24\n')
        env = {**os.environ, 'LD_PRELOAD': lib, 'ZT_HOME': 'home' if case == 'relative_home' else home,
               'ZT_PRELOAD_WAIT': '1' if case == 'stopped' else '10'}
        p = subprocess.Popen([sys.executable, os.path.abspath(__file__), '--in', case], env=env, text=True, cwd=top,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            return p.communicate(timeout=60)[0].strip() or f'nothing said, status {p.returncode}'
        except subprocess.TimeoutExpired:
            p.kill()
            return 'it hangs'
    finally:
        HOME = home if case != 'many_descriptors' else HOME
        for pid in nodes():
            os.kill(pid, signal.SIGKILL)
        if case == 'many_descriptors':
            node.wait()
        shutil.rmtree(top)


def main():
    if sys.argv[1] == '--in':
        try:
            globals()['case_' + sys.argv[2]]()
            print('ok', flush=True)
        except AssertionError as e:
            print(e, flush=True)
        os._exit(0)
    failed = 0
    cases = sys.argv[3:] or CASES
    for case in cases:
        said = run(case, sys.argv[1], sys.argv[2])
        good = said == 'ok' or said.startswith('skipped')
        failed += not good
        print(f'{"ok" if good else "FAILED":8}{case}{"" if said == "ok" else ": " + said}')
    print(f'{len(cases) - failed} passed, {failed} failed')
    sys.exit(failed != 0)


main()
