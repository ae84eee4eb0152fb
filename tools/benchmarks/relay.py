"""What a root relays: two leaves of ours that can't reach each other but through the root.

    a --- sw --- root --- sw --- b        a and b are isolated ports of the switch: both reach the root's
                                          port, neither the other's

Datagrams a second of the root's own processor time (user and system): so many it could relay with one
core to itself. The leaves count the datagrams, as the kernel's counters see coalesced ones.
"""
import subprocess

import lab
import systems


def measure(o, kind, binary, amount):
    ground = lab.Lab()
    try:
        home = ground.home("root")
        planet = systems.make_planet(ground, lab.ADDRESS["root"] + "/9993", home)
        with open(planet, "rb") as f, open(home + "/planet", "wb") as out:
            out.write(f.read())
        argv = ([lab.tool("ztd"), "-H", home, "-p", "9993"] if kind == "ours"
                else [binary, "-U", "-p9993", home])
        root = ground.spawn("root", *argv, log="root.log")
        for host in ("a", "b"):
            ground.run("bridge", "link", "set", "dev", "v-" + host, "isolated", "on")
        leaves = systems.Preload(ground, planet)
        leaves.start()
        leaves.client("rtt", 20)
        for _ in range(o.runs):
            before = sum(datagrams(leaves))
            cpu = lab.cpu_of(root.pid)
            figure = leaves.client("throughput", amount)[0]
            peers = lab.parse(leaves.ctl("a", "-j", "peers"))
            if any(p["paths"] for p in peers if p["address"] == leaves.identity("b")):
                raise lab.Failed("a reaches b directly: nothing is relayed")
            yield (sum(datagrams(leaves)) - before) / max(lab.cpu_of(root.pid) - cpu, 1 / lab.HZ), figure["value"]
    finally:
        ground.close()


def datagrams(leaves):
    for host in leaves.nodes:
        udp = lab.parse(leaves.ctl(host, "-j", "info"))["udp"]
        yield udp["txDatagrams"]


def run(o, emit):
    import figures
    lab.enter()
    roots = [("ours", None)]
    if "zerotier-one" in o.against:
        roots.append(("zerotier-one", o.against["zerotier-one"]))
    for kind, binary in roots:
        try:
            got = list(measure(o, kind, binary, int(o.amount or 4)))
        except (lab.Failed, subprocess.TimeoutExpired) as e:
            emit({"figure": "relay", "system": kind, "unit": "1/s/core", "runs": 0, "error": str(e)})
            continue
        emit(figures.spread("relay", kind, "1/s/core", [g[0] for g in got]))
        emit(figures.spread("relay-tcp", kind, "Mbit/s", [g[1] for g in got]))
    return 0
