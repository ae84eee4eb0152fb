"""suite.py HOST4 HOST6 MODULE...: CPython's own tests, with their host set. Prints `outcome id` for each
test, sorted by id. Each class of tests runs in a process of its own, for at most 60 s."""
import importlib
import os
import select
import signal
import sys
import time
import unittest

from test import support
from test.support import socket_helper

v4, v6, *modules = sys.argv[1:]
socket_helper.HOST = socket_helper.HOSTv4 = v4
socket_helper.HOSTv6 = v6
socket_helper.bind_port.__defaults__ = (v4,)  # it took the host when it was defined
support.use_resources = ['network', 'cpu']


class Outcomes(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.of = {}

    def note(self, test, what):
        self.of.setdefault(test.id(), what)

    def addSuccess(self, test):
        self.note(test, 'ok')

    def addFailure(self, test, err):
        self.of[test.id()] = 'failed'
        print(self._exc_info_to_string(err, test), file=sys.stderr)

    def addError(self, test, err):
        self.of[test.id()] = 'failed'
        print(test.id(), self._exc_info_to_string(err, test), file=sys.stderr)

    def addSkip(self, test, reason):
        self.note(test, 'skipped')

    def addExpectedFailure(self, test, err):
        self.note(test, 'ok')

    def addUnexpectedSuccess(self, test):
        self.note(test, 'ok')


def classes(suite):
    for t in suite:
        if isinstance(t, unittest.TestSuite):
            found = list(t)
            if found and isinstance(found[0], unittest.TestCase):
                yield t
            else:
                yield from classes(t)


def in_child(suite, out):
    result = Outcomes()
    result.note = lambda test, what: (result.of.setdefault(test.id(), what),
                                      os.write(out, f'{result.of[test.id()]} {test.id()}\n'.encode()))
    suite.run(result)
    for name, what in result.of.items():
        os.write(out, f'{what} {name}\n'.encode())


outcome = {}
for module in modules:
    for suite in classes(unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(module))):
        ids = [t.id() for t in suite]
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(r)
            try:
                in_child(suite, w)
            finally:
                os._exit(0)
        os.close(w)
        text, until = b'', time.monotonic() + 60
        while select.select([r], [], [], max(0, until - time.monotonic()))[0] and (part := os.read(r, 65536)):
            text += part
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(r)
        outcome.update({i: 'hangs' for i in ids})
        for line in text.decode().splitlines():
            what, name = line.split(' ', 1)
            outcome[name] = what
for name, what in sorted(outcome.items()):
    print(what, name)
