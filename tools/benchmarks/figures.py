"""The figures between two nodes: streams, round trips, connections. Systems take turns within each run."""
import os
import subprocess
import time

import lab
from lab import Failed, wait_for


def spread(name, system, unit, values, **more):
    """One figure over its runs, as a dict that becomes a JSON line."""
    v = sorted(values)
    middle = (v[(len(v) - 1) // 2] + v[len(v) // 2]) / 2
    return {"figure": name, "system": system, "unit": unit, "runs": len(v), "min": round(v[0], 4),
            "median": round(middle, 4), "max": round(v[-1], 4), **more}


def interleaved(name, unit, systems, runs, take, **more):
    """take(system) -> value, or None where a system can't; every system once per run."""
    got, trouble = {s.name: [] for s in systems}, {}
    for _ in range(runs):
        for system in systems:
            try:
                value = take(system)
            except (Failed, subprocess.TimeoutExpired) as e:
                trouble[system.name] = str(e)
                continue
            if value is not None:
                got[system.name].append(value)
    for system, values in got.items():
        if values:
            note = {"failed_runs": trouble[system]} if system in trouble else {}
            yield spread(name, system, unit, values, **more, **note)
        elif system in trouble:
            yield {"figure": name, "system": system, "unit": unit, "runs": 0,
                   "error": trouble[system]}


def netbench(test):
    def take(ctx, systems, name):
        amount = ctx.amount[name]
        cpu = {}

        def once(system):
            figure = system.client(test, amount)[0]
            if "bytes" in figure:
                cpu.setdefault(system.name, []).append(figure["cpu_s"] / (figure["bytes"] * 1e-9))
            return figure["value"]
        unit = "1/s" if test in ("connects", "series") else "Mbit/s"
        yield from interleaved(name, unit, systems, ctx.runs, once, seconds=amount)
        if name == "tcp":
            for system, values in cpu.items():
                yield spread("cpu", system, "s/GB", values)
    return take


def round_trips(test):
    """Median and 99th percentile of each run; of those the spread over the runs."""
    def take(ctx, systems, name):
        tail = {}

        def once(system):
            median, p99 = system.client(test, ctx.amount[name])
            tail.setdefault(system.name, []).append(p99["value"])
            return median["value"]
        yield from interleaved(name, "us", systems, ctx.runs, once)
        for system, values in tail.items():
            yield spread(name + "-p99", system, "us", values)
    return take


def iperf3(ctx, systems, name):
    """The same through iperf3, for the systems that run ordinary programs."""
    systems = [s for s in systems if s.runs_programs]

    def once(system):
        address = system.address("b")
        server = ctx.lab.spawn("b", *system.program("b", "iperf3", "-s", "-1", "-B", address, "-p",
                                                    str(system.port + 50)), log="iperf3.log")
        try:
            def run():
                done = subprocess.run(
                    ["ip", "netns", "exec", "a", *system.program("a", "iperf3", "-c", address, "-p", str(
                        system.port + 50), "-t", str(ctx.amount[name]), "-J")], capture_output=True,
                    text=True, timeout=60)
                result = lab.parse(done.stdout)
                return result["end"]["sum_received"]["bits_per_second"] * 1e-6
            return wait_for(15, f"iperf3 over {system.name}", run)
        finally:
            ctx.lab.end(server)
    yield from interleaved(name, "Mbit/s", systems, ctx.runs, once, seconds=ctx.amount[name])


def series(ctx, systems, name):
    """So many connections in a row, once. A system that gives up says after how many."""
    for system in systems:
        try:
            figure = system.client("series", ctx.amount[name], timeout=600)[0]
            yield spread(name, system.name, "1/s", [figure["value"]], count=figure["count"])
        except (Failed, subprocess.TimeoutExpired) as e:
            yield {"figure": name, "system": system.name, "unit": "1/s", "runs": 0, "error": str(e)}


def kernel_memory():
    """Slab of the whole machine, in bytes: where sockets and descriptors are."""
    with open("/proc/meminfo") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith("Slab:")) * 1024


def held(ctx, systems, name):
    """So many open connections: what each adds to the memory of all processes, and what is left of one
    busy stream's speed while they are open. Once open and once closed in each run, as the machine drifts."""
    count = ctx.amount[name]
    for system in [s for s in systems if s.name in ("preload", "zerotier-one")]:
        system.server()
        pids = {f"node on {host}": node.pid for host, node in system.nodes.items()}
        ratios, costs, memory = [], [], None
        for run in range(ctx.runs):
            before = {of: lab.memory_of(pid) for of, pid in pids.items()}
            slab = kernel_memory()
            log = f"hold-{system.name}-{run}"
            holder = ctx.lab.spawn("a", *system.bench_argv("a"), "client", system.address("b"),
                                   str(system.port), "hold", str(count), log=log, stdin=subprocess.PIPE)
            try:
                path = os.path.join(ctx.lab.dir, log)
                wait_for(120, f"{count} connections", lambda: "held" in open(path).read())
                if memory is None:
                    memory = {of: lab.memory_of(pid) - before[of] for of, pid in pids.items()}
                    memory["client program, all of it"] = lab.memory_of(holder.pid)
                    memory["kernel, both ends"] = kernel_memory() - slab
                among = system.client("throughput", 3)[0]
            finally:
                holder.stdin.close()
                ctx.lab.end(holder)
            alone = system.client("throughput", 3)[0]
            ratios.append(among["value"] / alone["value"])
            costs.append(among["cpu_s"] / among["bytes"] / (alone["cpu_s"] / alone["bytes"]))
        for of, size in memory.items():
            yield spread("held-memory", system.name, "KiB", [size / count / 1024], connections=count, of=of)
        yield spread("held-speed", system.name, "ratio", ratios, connections=count)
        yield spread("held-cpu", system.name, "ratio", costs, connections=count)


def lossy(ctx, systems, name):
    """Goodput of one stream where the path delays and loses."""
    systems = [s for s in systems if s.name != "libzt"]
    for label, delay, loss in (("40ms-0.1%", 20, 0.1), ("40ms-1%", 20, 1), ("200ms", 100, 0)):
        link = ctx.lab.impair("a", delay, loss)
        try:
            yield from interleaved(f"{name}-{label}", "Mbit/s", systems, ctx.runs,
                                   lambda s: s.client("throughput", ctx.amount[name])[0]["value"],
                                   seconds=ctx.amount[name])
        finally:
            ctx.lab.mend("a", link)


def start(ctx, systems, name):
    """A program with its node inside: from its start to the first byte of an echo through the network;
    the identity is kept. It contains start to online, joining, first contact and one connect."""
    systems = [s for s in systems if s.name in ("direct", "libzt")]
    yield from interleaved("first-byte", "ms", systems, ctx.runs,
                           lambda s: s.client("first", 1)[0]["value"])
    for node in [s for s in ctx.systems if s.name == "preload"]:
        online = []
        for _ in range(ctx.runs):
            ctx.lab.end(node.nodes["a"])
            began = time.monotonic()
            node.nodes["a"] = node.start_node("a")
            wait_for(30, "online", lambda: lab.parse(node.ctl("a", "-j", "info"))["online"])
            online.append((time.monotonic() - began) * 1e3)
        yield spread("online", node.name, "ms", online)
    yield from joined(ctx)


def joined(ctx):
    """From the order to join to the first byte of an echo through a network that our controller, on host
    root, makes up: configuration, address, first contact with the other member, one connect. Programs'
    starts are in it."""
    systems = [s for s in ctx.systems if s.nodes and s.name in ("preload", "zerotier-one")]
    nwid = ctx.lab.run("ip", "netns", "exec", "root", lab.tool("ztctl"), "-H", ctx.lab.home("root"),
                       "controller", "new", "name=bench", "ipv6=rfc4193", "private=false").split()[0]
    servers = {}
    for s in systems:
        s.join("b", nwid)
        wait_for(30, f"an address for {s.name}", lambda: s.assigned("b", nwid))
        servers[s.name] = s.assigned("b", nwid)

    time.sleep(3) # a kernel looks for duplicates of an address before it may be bound
    for s in systems:
        s.server("b", servers[s.name])

    def once(system):
        began = time.monotonic()
        system.join("a", nwid)
        wait_for(30, "address", lambda: system.assigned("a", nwid))
        system.client("first", 1, address=servers[system.name])
        value = (time.monotonic() - began) * 1e3
        system.leave("a", nwid)
        return value
    yield from interleaved("join", "ms", systems, ctx.runs, once, of="a network of our controller")


IDLE_NETWORKS = [f"ff{port:04x}{port:04x}000000" for port in range(1, 10)]
IDLE_PEERS = 100


def idle(ctx, systems, name):
    """What an idle node with 10 networks and 100 peers keeps in memory, and uses of the processor. The
    peers are whole cores in one process on host a, ten in each network (tests/controller/swarm.c); each
    has sent the node an echo request."""
    systems = [s for s in systems if s.nodes and s.name in ("preload", "zerotier-one")]
    seconds = ctx.amount[name]
    networks = [ctx.network, *IDLE_NETWORKS]
    for s in systems:
        for nwid in IDLE_NETWORKS:
            s.join("b", nwid)
    swarm = ctx.lab.spawn("a", os.path.join(lab.BUILD, "tests", "controller", "swarm"),
                          os.path.join(ctx.lab.dir, "planet"), "0", str(IDLE_PEERS), lab.ADDRESS["a"],
                          stdin=subprocess.PIPE)
    try:
        for i in range(IDLE_PEERS):
            say(swarm, f"join {i} {networks[i % 10]}")
        for s in systems:
            wait_for(60, f"{s.name} has {IDLE_PEERS} peers", lambda: all_met(s, swarm, networks))
        time.sleep(15) # the last of the introductions
        before = {s.name: (lab.cpu_of(s.nodes["b"].pid), lab.wakeups_of(s.nodes["b"].pid)) for s in systems}
        time.sleep(seconds)
        for s in systems:
            pid = s.nodes["b"].pid
            cpu, woken = before[s.name]
            more = {"networks": 10, "peers": direct_peers(s)}
            yield spread("idle-cpu", s.name, "%", [(lab.cpu_of(pid) - cpu) / seconds * 100], seconds=seconds,
                         **more)
            yield spread("idle-wakeups", s.name, "1/min", [(lab.wakeups_of(pid) - woken) * 60 / seconds], **more)
            yield spread("idle-rss", s.name, "MiB", [lab.memory_of(pid, "Rss") / 2**20], **more)
            yield spread("idle-pss", s.name, "MiB", [lab.memory_of(pid) / 2**20], **more)
    finally:
        swarm.stdin.close()
        ctx.lab.end(swarm)


def say(swarm, line):
    swarm.stdin.write(line.encode() + b"\n")
    swarm.stdin.flush()


def direct_peers(system):
    return sum(bool(p["paths"]) for p in system.peers("b"))


def all_met(system, swarm, networks):
    """Every member greets the node; true once it has a direct path to all."""
    if direct_peers(system) >= IDLE_PEERS:
        return True
    for i in range(IDLE_PEERS):
        say(swarm, f"greet {i} {networks[i % 10]} {system.identity('b')}")
    time.sleep(1)
    return False


# name -> (function, amount: seconds or count)
FIGURES = {
    "idle": (idle, 60), # first: what a busy node has once allocated it keeps for a while
    "held": (held, 10000),
    "start": (start, 1),
    "tcp": (netbench("throughput"), 4),
    "iperf3": (iperf3, 4),
    "parallel": (netbench("parallel"), 4),
    "bidir": (netbench("bidir"), 4),
    "reverse": (netbench("reverse"), 4),
    "rtt": (round_trips("rtt"), 3000),
    "udp-rtt": (round_trips("udprtt"), 3000),
    "connects": (netbench("connects"), 3),
    "series": (series, 100000),
    "lossy": (lossy, 8),
}
