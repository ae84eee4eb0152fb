"""What is measured: our node under the preload and inside a program, and the peers of --against.

Every system has one node on host a and one on host b, all in the same planet (a root of ours) and in the
same ad-hoc network, whose IPv6 addresses follow from the identities. A system runs netbench, or any
program of the kernel's sockets when `runs_programs` says so.
"""
import glob
import os
import subprocess

import lab
from lab import Failed, wait_for

NETWORK = "ff0000ffff000000"
PORT = {"preload": 17000, "direct": 17100, "zerotier-one": 17200, "libzt": 17300, "kernel": 17400}


def adhoc_address(node_id, nwid=NETWORK):
    """The IPv6 address of a node in an ad-hoc network (6plane with the network's two halves)."""
    n = int(nwid, 16)
    prefix = (n ^ n >> 32) & 0xffffffff
    digits = f"fc{prefix:08x}{node_id}000000000001"
    return ":".join(digits[i:i + 4] for i in range(0, 32, 4))


def make_planet(lab_, endpoint, home):
    """An identity for the root in its home, and a planet with it in every later home."""
    lab_.run(lab.tool("ztctl"), "identity", "new", "-o", home)
    planet = os.path.join(lab_.dir, "planet")
    lab_.run(lab.tool("ztctl"), "planet", "new", "--root", os.path.join(home, "identity.public"),
             endpoint, "-o", planet)
    return planet


class System:
    runs_programs = True
    needs_id = True

    def __init__(self, lab_, planet):
        self.lab, self.planet = lab_, planet
        self.nodes = {}  # host -> process
        self.servers = {}
        self.port = PORT[self.name]

    def home(self, host):
        path = self.lab.home(f"{self.name}-{host}")
        link = os.path.join(path, "planet")
        if not os.path.exists(link):
            with open(self.planet, "rb") as f, open(link, "wb") as out:
                out.write(f.read())
        return path

    def identity(self, host):
        home = self.home(host)
        if not os.path.exists(os.path.join(home, "identity.secret")):
            self.lab.run(lab.tool("ztctl"), "identity", "new", "-o", home)
        with open(os.path.join(home, "identity.public")) as f:
            return f.read()[:10]

    def address(self, host):
        return adhoc_address(self.identity(host))

    def start(self, hosts=("a", "b")):
        for host in hosts:
            self.identity(host)
            self.nodes[host] = self.start_node(host)
        for host in hosts:
            wait_for(30, f"{self.name} on {host} has its address", lambda: self.ready(host))

    def stop(self):
        for child in [*self.servers.values(), *self.nodes.values()]:
            self.lab.end(child)
        self.servers, self.nodes = {}, {}

    def daemon_pids(self):
        return [child.pid for child in self.nodes.values()]

    # --- netbench ---

    def bench_argv(self, host):
        return self.program(host, lab.tool("netbench"))

    def server(self, host="b", address=None):
        """A netbench server there, once; its process."""
        if (host, address) in self.servers:
            return self.servers[host, address]
        log = f"{self.name}-{host}-{address or 'own'}.server"
        child = self.lab.spawn(host, *self.bench_argv(host), "server", str(self.port), log=log,
                               env={"BIND": address or self.address(host)}, stdin=subprocess.PIPE)
        self.servers[host, address] = child
        path = os.path.join(self.lab.dir, log)
        wait_for(40, f"the {self.name} server is ready", lambda: "ready" in open(path).read())
        return child

    def client(self, test, amount, host="a", to="b", timeout=60, address=None):
        """Run one netbench test; a list of its figures (dicts). CPU time of all parts is noted."""
        server = self.server(to, address)
        pids = [*self.daemon_pids(), server.pid]
        before = sum(lab.cpu_of(p) for p in pids)
        usage = os.times()
        done = subprocess.run(
            ["ip", "netns", "exec", host, *self.bench_argv(host), "client", address or self.address(to),
             str(self.port), test, str(amount)], capture_output=True, text=True, timeout=timeout)
        after = os.times()
        if done.returncode != 0:
            raise Failed(f"{self.name} {test}: {(done.stderr or done.stdout).strip()[-300:]}")
        cpu = sum(lab.cpu_of(p) for p in pids) - before
        cpu += after.children_user + after.children_system
        cpu -= usage.children_user + usage.children_system
        figures = [lab.parse("{" + line + "}") for line in done.stdout.splitlines() if '"value"' in line]
        for figure in figures:
            figure["cpu_s"] = cpu
        return figures

    def assigned(self, host, nwid):
        """The IPv6 address that a network's controller gave the node; None: none yet."""
        for net in self.networks(host):
            for address in net["assignedAddresses"] if nwid in (net.get("id"), net.get("nwid")) else []:
                if ":" in address:
                    return address.split("/")[0]
        return None

    def meet(self):
        """First contact, and then the direct path: nothing is measured before."""
        self.client("rtt", 20)

        def quick():
            return self.client("rtt", 200)[0]["value"] < 5000
        wait_for(30, f"{self.name}: a direct path", quick)


class Preload(System):
    name = "preload"

    def start_node(self, host):
        return self.lab.spawn(host, lab.tool("ztd"), "-H", self.home(host), "-p",
                              "19993", log=f"{self.name}-{host}.log")

    def ctl(self, host, *argv):
        return self.lab.run("ip", "netns", "exec", host, lab.tool("ztctl"), "-H", self.home(host),
                            *argv)

    def join(self, host, nwid):
        self.ctl(host, "join", nwid)

    def leave(self, host, nwid):
        self.ctl(host, "leave", nwid)

    def networks(self, host):
        return lab.parse(self.ctl(host, "-j", "networks"))

    def peers(self, host):
        return lab.parse(self.ctl(host, "-j", "peers"))

    def ready(self, host):
        if not lab.parse(self.ctl(host, "-j", "info"))["online"]:
            return False
        self.ctl(host, "join", NETWORK)
        return any(n["assignedAddresses"] for n in self.networks(host))

    def program(self, host, *argv):
        return [lab.tool("ztctl"), "exec", "-H", self.home(host), *argv]


class Direct(System):
    name = "direct"
    runs_programs = False

    def start_node(self, host):
        return None

    def start(self, hosts=("a", "b")):
        for host in hosts:
            self.identity(host)

    def bench_argv(self, host):
        return [lab.tool("netbench-zts"), "-z", self.home(host), NETWORK]


class ZeroTierOne(System):
    name = "zerotier-one"

    def __init__(self, lab_, planet, path):
        super().__init__(lab_, planet)
        self.path = path

    def start_node(self, host):
        return self.lab.spawn(host, self.path, "-U", self.home(host), log=f"{self.name}-{host}.log")

    def join(self, host, nwid):
        self.cli(host, "join", nwid)

    def leave(self, host, nwid):
        self.cli(host, "leave", nwid)

    def networks(self, host):
        return lab.parse(self.cli(host, "-j", "listnetworks"))

    def peers(self, host):
        return lab.parse(self.cli(host, "-j", "listpeers"))

    def cli(self, host, *argv):
        return self.lab.run("ip", "netns", "exec", host, self.path, "-q", "-D" + self.home(host),
                            *argv)

    def ready(self, host):
        if "ONLINE" not in self.cli(host, "info"):
            return False
        self.cli(host, "join", NETWORK)
        if not any(n["assignedAddresses"] for n in self.networks(host)):
            return False
        # the kernel lets nobody bind an address that it still checks for duplicates
        shown = self.lab.run("ip", "-n", host, "-6", "addr")
        return " fc" in shown and "tentative" not in shown

    def program(self, host, *argv):
        return list(argv)


class UpstreamLibzt(System):
    """netbench compiled with upstream's own header and library (the 1.8 API)."""
    name = "libzt"
    runs_programs = False

    def __init__(self, lab_, planet, folder):
        super().__init__(lab_, planet)
        found = sorted(glob.glob(os.path.join(folder, "**", "libzt.so"), recursive=True))
        if not found:
            raise Failed(f"no libzt.so below {folder}")
        self.binary = os.path.join(lab_.dir, "netbench-upstream")
        source = os.path.join(lab.TOP, "tools", "benchmarks", "netbench.c")
        lab_.run("cc", "-O2", "-w", "-DNETBENCH_ZTS18", "-I" + os.path.join(folder, "include"),
                 source, "-o", self.binary, found[0], "-Wl,-rpath," + os.path.dirname(found[0]),
                 "-lpthread")

    def start(self, hosts=("a", "b")):
        for host in hosts:
            self.identity(host)
            home = self.home(host)
            # upstream reads its planet as "roots"
            with open(self.planet, "rb") as f, open(os.path.join(home, "roots"), "wb") as out:
                out.write(f.read())

    def bench_argv(self, host):
        return [self.binary, "-z", self.home(host), NETWORK]


class Kernel(System):
    """The veth itself, for comparison."""
    name = "kernel"

    def start(self, hosts=("a", "b")):
        for host in hosts:
            self.lab.run("ip", "-n", host, "addr", "add", self.address(host) + "/64", "dev", "eth0",
                         "nodad")

    def address(self, host):
        return {"a": "fd09::2", "b": "fd09::3"}[host]

    def program(self, host, *argv):
        return list(argv)


def open_all(lab_, against, wanted=None):
    """A root and every system that is asked for, started and acquainted."""
    root_home = lab_.home("root")
    planet = make_planet(lab_, lab.ADDRESS["root"] + "/9993", root_home)
    with open(planet, "rb") as f, open(os.path.join(root_home, "planet"), "wb") as out:
        out.write(f.read())
    lab_.spawn("root", lab.tool("ztd"), "-H", root_home, "-p", "9993", log="root.log")
    systems = [Kernel(lab_, planet), Preload(lab_, planet), Direct(lab_, planet)]
    if "zerotier-one" in against:
        systems.append(ZeroTierOne(lab_, planet, against["zerotier-one"]))
    if "libzt" in against:
        systems.append(UpstreamLibzt(lab_, planet, against["libzt"]))
    systems = [s for s in systems if wanted is None or s.name in wanted]
    for system in systems:
        system.start()
    return systems
