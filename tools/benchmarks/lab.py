"""Where figures are taken: hosts in network namespaces of our own, on one switch.

    root 10.9.0.1      a 10.9.0.2      b 10.9.0.3
      |                  |               |
    --+------------------+---------------+--  switch "sw", MTU 1500, veth pairs

The script re-executes itself in a fresh mount, process and network namespace (as root, else in a user
namespace), so that nothing of the machine is touched and the kernel takes everything away in the end.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("ZT_BUILD", os.path.join(TOP, "build"))
ADDRESS = {"root": "10.9.0.1", "a": "10.9.0.2", "b": "10.9.0.3"}
HZ = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A figure could not be taken; the text says why."""


def tool(name):
    path = os.path.join(BUILD, "tools", name)
    return path if os.path.isfile(path) else os.path.join(path, name)


def enter():
    """Re-execute in namespaces of our own; returns inside. Exits 77 where that is not allowed."""
    if os.environ.get("ZT_BENCH_INSIDE"):
        return
    flags = "-nm" if os.geteuid() == 0 else "-Urnm"
    if subprocess.run(["unshare", flags, "true"], stderr=subprocess.DEVNULL).returncode != 0:
        print("bench: SKIP: no permission to make network namespaces", file=sys.stderr)
        sys.exit(77)
    os.environ["ZT_BENCH_INSIDE"] = "1"
    os.execvp("unshare", ["unshare", flags, "--kill-child", "-pf", "--mount-proc",
                          sys.executable, *sys.argv])


def wait_for(seconds, what, condition):
    """Until condition() is true (it may also raise while it is not)."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = condition()
            if value:
                return value
            error = ""
        except (Failed, OSError, ValueError, LookupError, subprocess.SubprocessError) as e:
            error = f" ({e})"
        if time.monotonic() > end:
            raise Failed(f"not within {seconds} s: {what}{error}")
        time.sleep(0.02)


def cpu_of(pid):
    """User and system time of a process that lives, in seconds."""
    with open(f"/proc/{pid}/stat") as f:
        field = f.read().rsplit(")", 1)[1].split()
    return (int(field[11]) + int(field[12])) / HZ


def memory_of(pid, what="Pss"):
    """Pss or Rss of a process, in bytes."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            if line.startswith(what + ":"):
                return int(line.split()[1]) * 1024
    raise Failed(f"no {what} of process {pid}")


def wakeups_of(pid):
    """Times that any thread of a process was switched to after a voluntary wait."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as f:
            total += sum(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt"))
    return total


class Lab:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="zt-bench.")
        self.children = []
        self.keep = False
        for place in ("/run", "/var/run"):
            if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place],
                              stderr=subprocess.DEVNULL).returncode == 0:
                break
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "add", "sw", "type", "bridge")
        self.run("ip", "link", "set", "sw", "up")
        for host, address in ADDRESS.items():
            self.run("ip", "netns", "add", host)
            self.run("ip", "link", "add", "dev", "v-" + host, "type", "veth", "peer", "name",
                     "eth0", "netns", host)
            self.run("ip", "link", "set", "dev", "v-" + host, "master", "sw", "up")
            self.run("ip", "-n", host, "link", "set", "lo", "up")
            self.run("ip", "-n", host, "link", "set", "eth0", "up")
            self.run("ip", "-n", host, "addr", "add", address + "/24", "dev", "eth0")

    def run(self, *argv, timeout=60):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout)
        if done.returncode != 0:
            raise Failed(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()[-400:]}")
        return done.stdout

    def impair(self, host, delay_ms, loss_percent):
        """Delay and lose, each way, between a host and the switch: linkem in place of the cable."""
        port, inner, outer = "v-" + host, "e-" + host, "f-" + host
        self.run("ip", "link", "add", inner, "type", "veth", "peer", "name", outer)
        self.run("ip", "link", "set", "dev", port, "nomaster")
        self.run("ip", "link", "set", "dev", outer, "master", "sw", "up")
        self.run("ip", "link", "set", "dev", inner, "up")
        for dev, where in ((port, []), (inner, []), (outer, []), ("eth0", ["ip", "netns", "exec", host])):
            for side in ("tx", "gso", "tso", "gro"): # also checksums: no device computes them here
                subprocess.run([*where, "ethtool", "-K", dev, side, "off"], capture_output=True)
        return self.spawn_here(tool("linkem"), port, inner, str(int(delay_ms * 1000)),
                               str(int(loss_percent * 10000)))

    def mend(self, host, link):
        self.end(link)
        self.run("ip", "link", "del", "e-" + host)
        self.run("ip", "link", "set", "dev", "v-" + host, "master", "sw")

    def spawn_here(self, *argv):
        with open(os.path.join(self.dir, "children.log"), "ab") as out:
            child = subprocess.Popen(argv, stdout=out, stderr=out)
        self.children.append(child)
        return child

    def spawn(self, host, *argv, log=None, env=None, stdin=None, stdout=None):
        out = open(os.path.join(self.dir, log or "children.log"), "ab")
        child = subprocess.Popen(["ip", "netns", "exec", host, *argv], stdin=stdin,
                                 stdout=stdout or out, stderr=out, env={**os.environ, **(env or {})})
        out.close()
        self.children.append(child)
        return child

    def end(self, child):
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if child in self.children:
            self.children.remove(child)

    def close(self):
        for child in list(self.children):
            self.end(child)
        for host in ADDRESS:
            subprocess.run(["ip", "netns", "del", host], stderr=subprocess.DEVNULL)
            subprocess.run(["ip", "link", "del", "v-" + host], stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "link", "del", "sw"], stderr=subprocess.DEVNULL)
        if self.keep:
            print(f"bench: logs are in {self.dir}", file=sys.stderr)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def home(self, name):
        path = os.path.join(self.dir, name)
        os.makedirs(path, mode=0o700, exist_ok=True)
        return path


def parse(text):
    return json.loads(text)
