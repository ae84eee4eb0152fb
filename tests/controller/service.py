"""A root, a controller and a swarm of members on loopback, for the tests of this folder."""
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/lib"))
from ports import free_ports  # noqa: E402

OK, ACCESS_DENIED = 1, 2  # enum zt_net_status
ANSWER_S = 60


def wait_for(what, seconds, condition):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            sys.exit("FAIL: %s within %d s" % (what, seconds))
        time.sleep(0.05)


class Node:
    """A ztd that may be killed and started again, always on the same port."""

    def __init__(self, ztd, home, port):
        self.ztd, self.home, self.port = ztd, home, port
        self.process = None
        self.log = open(home + ".log", "ab")

    def id(self):
        return open(self.home + "/identity.public").read()[:10]

    def start(self):
        self.process = subprocess.Popen([self.ztd, "-H", self.home, "-p", str(self.port)],
                                        stdin=subprocess.DEVNULL, stderr=self.log)

    def kill(self):
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as f:
            children = [int(p) for p in f.read().split()]
        for pid in children + [self.process.pid]:  # under strace the node is its child
            os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(ANSWER_S) != 0:
            sys.exit("FAIL: ztd in %s ended with %d" % (self.home, self.process.returncode))

    def call(self, method, path, body=None):
        """(status, document). OSError or HTTPException: there was no answer."""
        token = open(self.home + "/authtoken.secret").read()
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            c.request(method, path, None if body is None else json.dumps(body),
                      {"X-ZT1-Auth": token})
            r = c.getresponse()
            text = r.read()
            return r.status, json.loads(text) if text else None
        finally:
            c.close()

    def get(self, path):
        status, doc = self.call("GET", path)
        return doc if status == 200 else None

    def post(self, path, body):
        status, doc = self.call("POST", path, body)
        if status != 200:
            sys.exit("FAIL: POST %s: %d %s" % (path, status, doc))
        return doc

    def is_up(self):
        try:
            return self.get("/controller") is not None
        except (OSError, http.client.HTTPException):
            if self.process.poll() is not None:
                sys.exit("FAIL: ztd in %s does not start:\n%s"
                         % (self.home, open(self.home + ".log").read()[-2000:]))
            return False

    def await_up(self):
        wait_for("no answer from " + self.home, ANSWER_S, self.is_up)

    def cpu_ns(self):
        """Processor time of all its threads."""
        tasks = "/proc/%d/task" % self.process.pid
        return sum(int(open("%s/%s/schedstat" % (tasks, t)).read().split()[0])
                   for t in os.listdir(tasks))

    def pss_kb(self):
        for line in open("/proc/%d/smaps_rollup" % self.process.pid):
            if line.startswith("Pss:"):
                return int(line.split()[1])


class Swarm:
    """Members 0 .. count - 1; see swarm.c."""

    def __init__(self, program, planet, first, count):
        self.process = subprocess.Popen([program, planet, str(first), str(count)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lock = threading.Lock()
        self.ids = [m["address"] for m in self.show()]

    def say(self, *words):
        with self.lock:
            self._say(words)

    def _say(self, words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def question(self, *words):
        with self.lock:
            self._say(words)
            line = self.process.stdout.readline()
        if not line:
            sys.exit("FAIL: the swarm has ended")
        return line

    def show(self):
        return json.loads(self.question("show"))

    def networks(self):
        """member id -> network id -> what it knows"""
        return {m["address"]: m["networks"] for m in self.show()}

    def end(self):
        self.process.stdin.close()
        if self.process.wait(ANSWER_S) != 0:
            sys.exit("FAIL: the swarm ended with %d" % self.process.returncode)


class Lab:
    """In a temporary folder, which stays when something fails. with Lab(...) as lab: ..."""

    def __init__(self, ztd, ztctl, swarm):
        self.ztd, self.ztctl, self.swarm_program = ztd, ztctl, swarm
        self.folder = tempfile.mkdtemp(prefix="zt-controller.")
        self.planet = self.folder + "/planet"
        self.nodes, self.swarms = [], []

    def __enter__(self):
        self.root = self.node("root")
        self.make_planet()
        self.controller = self.node("controller")
        return self

    def node(self, name):
        home = "%s/%s" % (self.folder, name)
        os.mkdir(home, 0o700)
        self.run("identity", "new", "-o", home)
        if os.path.exists(self.planet):
            shutil.copy(self.planet, home + "/planet")
        n = Node(self.ztd, home, free_ports()[0])
        self.nodes.append(n)
        return n

    def make_planet(self):
        self.run("planet", "new", "--root", self.root.home + "/identity.public",
                 "127.0.0.1/%d" % self.root.port, "-o", self.planet)
        shutil.copy(self.planet, self.root.home + "/planet")

    def run(self, *words):
        r = subprocess.run([self.ztctl, *words], capture_output=True, text=True)
        if r.returncode != 0:
            sys.exit("FAIL: ztctl %s: %s" % (" ".join(words), r.stderr))

    def swarm(self, count, first=0):
        s = Swarm(self.swarm_program, self.planet, first, count)
        self.swarms.append(s)
        return s

    def __exit__(self, kind, value, trace):
        for n in self.nodes:
            if n.process is not None and n.process.poll() is None:
                n.kill()
            n.log.close()
        for s in self.swarms:
            s.process.kill()
            s.process.wait()
        if kind is None:
            shutil.rmtree(self.folder)
        else:
            print("logs: " + self.folder, file=sys.stderr)


def network(name, second=144):
    """A private network with 10.SECOND.0.0/16."""
    return {"name": name, "private": True, "v4AssignMode": {"zt": True},
            "routes": [{"target": "10.%d.0.0/16" % second}],
            "ipAssignmentPools": [{"ipRangeStart": "10.%d.0.1" % second,
                                   "ipRangeEnd": "10.%d.255.254" % second}]}
