"""ztd as a service: readiness, log, signals, what SIGHUP changes, and the units.

usage: service.py ZTD ZTCTL UNIT USER_UNIT. Everything on loopback: the planet names a root at 127.0.0.1.
"""
import json
import os
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time

ZTD, ZTCTL, UNIT, USER_UNIT = map(os.path.realpath, sys.argv[1:5])
NWID = "ff0000ffff000000"
PROMPT_S = 8  # of an end; one that waits for a silent HTTP client takes 10
passed = failed = 0


def good(name, ok, more=""):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    if not ok:
        print("FAILED %s: %s" % (name, more))


def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = what()
        if value:
            return value
        time.sleep(0.02)
    return what()


def ctl(home, *args):
    p = subprocess.run([ZTCTL, "-H", home, "-j", *args], capture_output=True, text=True)
    return json.loads(p.stdout) if p.stdout.startswith(("{", "[")) else None


def make_home(top, name):
    home = "%s/%s" % (top, name)
    os.makedirs(home)
    if not os.path.exists(top + "/planet"):
        subprocess.run([ZTCTL, "identity", "new", "-o", top + "/root"], check=True,
                       stdout=subprocess.DEVNULL)
        subprocess.run([ZTCTL, "planet", "new", "--root", top + "/root/identity.public",
                        "127.0.0.1/9", "-o", top + "/planet"], check=True,
                       stdout=subprocess.DEVNULL)
    shutil.copy(top + "/planet", home)
    return home


children = []


def child(argv, **more):
    """A process that does not outlive this one, whatever happens."""
    p = subprocess.Popen(argv, **more)
    children.append(p)
    return p


def start(home, *args, stderr=subprocess.DEVNULL, **env):
    return child([ZTD, "-H", home, "-p", "0", *args], stderr=stderr, env=dict(os.environ, **env))


def since(log, at=0):
    """What a log says from there on. (Not by the file that its writer has, too: they share the place in it.)"""
    with open(log) as f:
        f.seek(at)
        return f.read()


def up(home):
    return wait_for(lambda: ctl(home, "info"))


def end(p, sig=signal.SIGTERM):
    """(exit status, seconds) after the signal."""
    begin = time.monotonic()
    p.send_signal(sig)
    try:
        return p.wait(60), time.monotonic() - begin
    except subprocess.TimeoutExpired:
        p.kill()
        p.wait()
        return None, 60


def readiness(top):
    for kind in ("file", "abstract"):
        home = make_home(top, "ready-" + kind)
        path = top + "/notify" if kind == "file" else "\0zt-test-%d" % os.getpid()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(path)
            s.settimeout(60)
            p = start(home, NOTIFY_SOCKET=path.replace("\0", "@"))
            said = s.recv(4096).decode()
            info = ctl(home, "info")  # at once: that is what ready means
            good("ready: " + kind, "READY=1" in said.split("\n"), said)
            good("ready: it answers by then", info and info["address"] in said, said)
            good("ready: so does HTTP", os.path.exists(home + "/api.sock") and
                 os.path.exists(home + "/zerotier-one.port"))
            status, seconds = end(p)
            good("SIGTERM: clean", status == 0, status)
            good("SIGTERM: prompt", seconds < PROMPT_S, seconds)
            good("stopping", "STOPPING=1" in s.recv(4096).decode())
        good("SIGTERM: sockets are gone", not os.path.exists(home + "/control.sock") and
             not os.path.exists(home + "/api.sock"))
    home = make_home(top, "wrong-notify")
    p = start(home, NOTIFY_SOCKET="@" + "x" * 300)
    good("a notify socket that can't be", up(home))
    good("SIGINT: clean", end(p, signal.SIGINT)[0] == 0)
    p = start(home)
    up(home)
    p.send_signal(signal.SIGTERM)
    good("SIGTERM twice", end(p)[0] == 0)


def lines_with_levels(top):
    home = make_home(top, "log")
    ours, theirs = socket.socketpair()
    st = os.fstat(theirs.fileno())
    good_stream = "%d:%d" % (st.st_dev, st.st_ino)
    for stream, expected in ((good_stream, True), ("%d:%d" % (st.st_dev, st.st_ino + 1), False),
                             ("nonsense", False)):
        p = start(home, "-l", "debug", stderr=theirs, JOURNAL_STREAM=stream)
        up(home)
        end(p)
        ours.setblocking(False)
        text = b""
        try:
            while True:
                text += ours.recv(65536)
        except BlockingIOError:
            pass
        lines = text.decode().splitlines()
        good("log: something is said", len(lines) > 0)
        good("log: level of each line %s" % stream,
             all(bool(re.match("<[3-7]>[^<]", x)) == expected for x in lines), lines[:3])
    for level, wants in (("error", False), ("warning", False), ("notice", True)):
        with open(top + "/log.txt", "w+") as f:
            p = start(home, "-l", level, stderr=f)
            up(home)
            end(p)
            f.seek(0)
            text = f.read()
        good("log: %s" % level, ("on UDP port" in text) == wants, text)
        good("log: a file has the time", not text or
             re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ztd: ", text), text)
    p = subprocess.run([ZTD, "-l", "loud"], capture_output=True, text=True)
    good("log: no such level", p.returncode == 2 and "loud" in p.stderr, p)
    p = subprocess.run([ZTD, "--help"], capture_output=True, text=True)
    good("--help", p.returncode == 0 and "SIGHUP" in p.stdout and p.stderr == "", p)


class Reloading:
    """A node whose local.conf changes while it runs."""

    def __init__(self, top, planet=True):
        self.home = make_home(top, "reload")
        self.log = open(top + "/reload.log", "w+")
        self.p = start(self.home, stderr=self.log)
        self.info = up(self.home)

    def hup(self, settings, *wanted, **parts):
        """Reload by SIGHUP; what is said until it is done and all that is wanted has been said (on another thread)."""
        at = os.path.getsize(self.log.name)
        with open(self.home + "/local.conf.new", "w") as f:
            json.dump(dict(parts, settings=settings), f)
        os.rename(self.home + "/local.conf.new", self.home + "/local.conf")
        self.p.send_signal(signal.SIGHUP)
        wait_for(lambda: self.config().get("settings", {}).get("mark") == settings.get("mark"))

        wait_for(lambda: all(w in since(self.log.name, at) for w in wanted))
        return since(self.log.name, at)

    def config(self):
        return ctl(self.home, "api", "/config") or {}

    def listening(self):
        return ctl(self.home, "info")["config"]["settings"]["listeningOn"]


def as_user(uid, home, command=None):
    """Does the node talk to this user (by the abstract twin of its socket: it has no permissions), and does it
    do this for him?"""
    st = os.stat(home)
    mask = 2**64 - 1
    h = ((st.st_dev * 0x9e3779b97f4a7c15) ^ st.st_ino) & mask  # zt_ctl_twin()
    h = ((h ^ h >> 32) * 0xd6e8feb86659fd93) & mask
    name = "\0zt1.%d.%016x" % (os.geteuid(), h ^ h >> 32)
    text = (command or "").encode()
    head = bytes([2, 10 if command else 1, 0, 0]) + struct.pack("<I", len(text))  # ZT_CTL_COMMAND, ZT_CTL_HELLO
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setuid(uid)
        ok = b"0"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                s.settimeout(60)
                s.connect(name)
                s.send(head + bytes(272 - len(head)) + text)  # struct zt_ctl_req
                got = s.recv(8)
                ok = b"1" if got and got[4:8] == bytes(4) else b"0"  # no err
        except OSError:
            pass
        os.write(w, ok)
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(w)
    with os.fdopen(r) as f:
        return f.read() == "1"


def settings_that_change(top):
    n = Reloading(top)
    port = n.info["port"]
    good("loopback alone", {"127.0.0.1/%d" % port} <= set(n.listening()) <=
         {"127.0.0.1/%d" % port, "::1/%d" % port}, n.listening())
    waits = ["another %s is used from the next start on" % key for key in ("memoryBudget", "allowManagementFrom")]
    said = n.hup({"mark": 1, "primaryPort": 29999, "memoryBudget": 77,
                  "allowManagementFrom": ["10.0.0.0/8"]}, *waits)
    for text in waits:
        good("SIGHUP: what waits is said: " + text, text in said, said)
    good("SIGHUP: a port given by -p stays", "primaryPort" not in said and
         ctl(n.home, "info")["port"] == port, said)
    said = n.hup({"mark": 2, "interfacePrefixBlacklist": ["lo"]})
    good("SIGHUP: interfacePrefixBlacklist", wait_for(lambda: n.listening() == []), n.listening())
    said = n.hup({"mark": 3, "bind": ["127.0.0.1"]})
    good("SIGHUP: bind", wait_for(lambda: n.listening() == ["127.0.0.1/%d" % port]), n.listening())
    said = n.hup({"mark": 4, "bind": ["127.0.0.77"]})
    good("SIGHUP: bind to another", wait_for(lambda: n.listening() != ["127.0.0.1/%d" % port]),
         n.listening())
    if os.geteuid() == 0:
        n.hup({"mark": 5})
        good("another user", not as_user(65534, n.home))
        n.hup({"mark": 6, "allowUsers": [65534]})
        good("SIGHUP: allowUsers", as_user(65534, n.home))
        good("SIGHUP: allowUsers, no others", not as_user(65533, n.home))
        good("an allowed user has no say", not as_user(65534, n.home, "info") and
             not as_user(65534, n.home, "watch") and not as_user(65534, n.home, "api DELETE /network/1") and
             as_user(os.geteuid(), n.home, "info"))
        n.hup({"mark": 7})
        good("SIGHUP: allowUsers again", not as_user(65534, n.home))
    else:
        print("SKIP allowUsers: only root can be another user")
    with open(n.home + "/local.conf", "w") as f:
        f.write('{\n "settings": { "primaryPort": 99999, "bind": 5 }')
    at = os.path.getsize(n.log.name)
    n.p.send_signal(signal.SIGHUP)

    good("SIGHUP: a broken file is said with its line", wait_for(lambda: "local.conf:2:" in since(n.log.name, at)))
    good("SIGHUP: and changes nothing", n.config().get("settings", {}).get("mark") in (4, 7))
    good("end", end(n.p)[0] == 0)

    # What is said of a port that nobody gave on the command line.
    home = make_home(top, "port")
    with open(home + "/local.conf", "w") as f:
        json.dump({"settings": {"primaryPort": 0}}, f)
    with open(top + "/port.log", "w+") as log:
        p = child([ZTD, "-H", home], stderr=log)
        up(home)
        with open(home + "/local.conf", "w") as f:
            json.dump({"settings": {"primaryPort": 29998}}, f)
        p.send_signal(signal.SIGHUP)

        waits = "another primaryPort is used from the next start on"
        good("SIGHUP: primaryPort waits, and that is said", wait_for(lambda: waits in since(log.name)))
        good("end", end(p)[0] == 0)


def clients_at_the_end(top):
    """The end waits for nobody: not for idle control clients, nor for HTTP ones, nor who watches."""
    home = make_home(top, "clients")
    p = start(home)
    up(home)
    watchers = [child([ZTCTL, "-H", home, "watch"], stdout=subprocess.PIPE)
                for _ in range(3)]
    for w in watchers:
        w.stdout.readline()
    with open(home + "/zerotier-one.port") as f:
        port = int(f.read())
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    idle[0].sendall(b"GET /status HTTP/1.1\r\nHost: ")
    status, seconds = end(p)
    good("end with clients: clean", status == 0, status)
    good("end with clients: prompt", seconds < PROMPT_S, seconds)
    for w in watchers:
        good("who watches is told", b"down" in w.stdout.read())
        good("and ends", w.wait(60) == 0)
    for s in idle:
        s.close()


def units(top):
    if shutil.which("systemd-analyze") is None:
        print("SKIP units: no systemd-analyze")
        return
    os.makedirs(top + "/runtime", mode=0o700)
    env = dict(os.environ, XDG_RUNTIME_DIR=top + "/runtime")
    for name, unit, more in (("system", UNIT, []), ("user", USER_UNIT, ["--user"])):
        text = open(unit).read()
        os.makedirs("%s/units-%s" % (top, name))
        path = "%s/units-%s/ztd.service" % (top, name)
        with open(path, "w") as f:
            f.write(re.sub(r"(?m)^ExecStart=\S+/ztd", "ExecStart=" + ZTD, text))
        p = subprocess.run(["systemd-analyze", *more, "verify", "--man=no", path], env=env,
                           capture_output=True, text=True)
        if "unrecognized option" in p.stderr:
            print("SKIP systemd-analyze verify: too old")
        else:
            ours = [x for x in p.stderr.splitlines() if "ztd.service" in x]
            good("unit %s: verify" % name, not ours, p.stderr)
        good("unit %s: no key is unknown" % name, "Unknown" not in p.stderr, p.stderr)
    p = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20",
                        top + "/units-system/ztd.service"], capture_output=True, text=True)
    if "unrecognized option" in p.stderr:
        print("SKIP systemd-analyze security: too old")
    else:
        good("unit system: exposure of at most 2.0", p.returncode == 0, p.stdout[-300:] + p.stderr)
    system_calls(top)


def calls_of(groups):
    """The system calls that a SystemCallFilter= allows."""
    def members(group):
        if group[0] != "@":
            return {group}
        out = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True,
                             text=True, check=True).stdout
        found = set()
        for word in re.findall(r"(?m)^\s+(@?\w[\w-]*)\s*$", out):
            found |= members(word)
        return found
    allowed = set()
    for line in groups:
        minus = line.startswith("~")
        for group in line.lstrip("~").split():
            allowed = allowed - members(group) if minus else allowed | members(group)
    return allowed


def system_calls(top):
    """What ztd asks of the kernel, against the filters of the units: a refusal would show only there."""
    if shutil.which("strace") is None:
        print("SKIP system calls of the units: no strace")
        return
    home, trace = make_home(top, "trace"), top + "/trace.log"
    may = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True)
    if may.returncode != 0:
        print("SKIP system calls of the units: strace may not:", may.stderr[:100])
        return
    p = child(["strace", "-f", "-qq", "-o", trace, ZTD, "-H", home, "-p", "0"], stderr=subprocess.DEVNULL)
    if not up(home):
        good("ztd starts under strace", False, p.poll())
        return
    ctl(home, "join", NWID)
    ctl(home, "reload")
    ctl(home, "api", "/metrics")
    subprocess.run([ZTCTL, "-H", home, "down"], stdout=subprocess.DEVNULL)
    p.wait(60)
    used = set(re.findall(r"(?m)^\d+ +(\w+)\(", open(trace).read()))
    good("system calls are seen", {"openat", "recvmmsg", "sendto"} <= used or "socket" in used, used)
    harmless = {"setpriority", "prlimit64", "setrlimit"}  # refused, ztd goes on; and what exec does
    for name, unit in (("system", UNIT), ("user", USER_UNIT)):
        filters = re.findall(r"(?m)^SystemCallFilter=(.*)$", open(unit).read())
        denied = used - calls_of(filters) - harmless
        good("unit %s: system calls" % name, not denied, denied)
    families = set(re.findall(r"\bsocket\((AF_\w+)", open(trace).read()))
    allowed = set(re.search("RestrictAddressFamilies=(.*)", open(UNIT).read()).group(1).split())
    good("unit: address families", families <= allowed, families)
    good("unit: nothing writable becomes code",
         not re.search(r"PROT_\w*WRITE\|PROT_EXEC|PROT_EXEC\|PROT_WRITE", open(trace).read()))


def main():
    top = tempfile.mkdtemp(prefix="zt-service-")
    try:
        readiness(top)
        lines_with_levels(top)
        settings_that_change(top)
        clients_at_the_end(top)
        units(top)
    finally:
        for name in os.listdir(top):  # of one that is traced strace is the child
            subprocess.run([ZTCTL, "-H", top + "/" + name, "down"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for p in children:
            if p.poll() is None:
                p.kill()
                p.wait()
        shutil.rmtree(top, ignore_errors=True)
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(failed > 0)


main()
