"""tools/bench flood: what an attacker costs a node that is at work. Strangers flood host b from invented
sources, while one connection runs from a to b; for each kind of flood a line with the throughput beside
that without, the processor time of b's node, and its memory before and after. The last kind is no
stranger's: a third member, on the root's host, sends to all members at once."""
import os
import subprocess
import sys

import lab
import systems

KINDS = {"hello": 20000, "badmac": 20000, "fragments": 20000, "whois": 20000, "noise": 20000, "multicast": 20000}
SECONDS = 8

GROUPS = "ff0a000000000001"  # an ad-hoc network with multicast, which the others are without

STORM = """
import socket, sys, time
own, rate, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((own, 0))
sent, begin = 0, time.monotonic()
while (passed := time.monotonic() - begin) < seconds:
    if sent < rate * passed:
        s.sendto(b"x" * 200, ("239.1.2.3", 9))
        sent += 1
    else:
        time.sleep(0.0005)
print('{"sent": %d}' % sent)
"""
LISTEN = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 9))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.1.2.3") + socket.inet_aton(sys.argv[1]))
print("ready", flush=True)
while True:
    s.recv(2000)
"""


def in_groups(system, host):
    """The host's address on the network with multicast."""
    system.join(host, GROUPS)

    def assigned():
        return [a.split("/")[0] for n in system.networks(host) if n["id"] == GROUPS
                for a in n["assignedAddresses"] if ":" not in a]
    lab.wait_for(20, f"an address of {GROUPS} on {host}", assigned)
    return assigned()[0]


def listen(ground, system):
    """A program on b that wants what the storm sends."""
    ground.spawn("b", *system.program("b", sys.executable, "-c", LISTEN, in_groups(system, "b")), log="listen.log")
    lab.wait_for(20, "a listener to the group", lambda: "ready" in open(os.path.join(ground.dir, "listen.log")).read())


def storm(ground, system, rate, seconds):
    return subprocess.Popen(["ip", "netns", "exec", "root", *system.program(
        "root", sys.executable, "-c", STORM, in_groups(system, "root"), str(rate), str(seconds))],
        stdout=subprocess.PIPE, text=True)


def flood(ground, system, kind, rate, seconds):
    if kind == "multicast":
        return storm(ground, system, rate, seconds)
    with open(os.path.join(system.home("b"), "identity.public")) as f:
        identity = f.read().strip()
    return subprocess.Popen(["ip", "netns", "exec", "root", lab.tool("flood"), kind, identity, lab.ADDRESS["b"],
                             "19993", str(rate), str(seconds)], stdout=subprocess.PIPE, text=True)


def one(ground, system, kind, rate):
    node = system.nodes["b"].pid
    before = lab.memory_of(node, "Rss")
    attack = flood(ground, system, kind, rate, SECONDS + 2) if kind else None
    cpu = lab.cpu_of(node)
    figure = system.client("throughput", SECONDS)[0]
    cpu = lab.cpu_of(node) - cpu
    sent = lab.parse(attack.communicate(timeout=60)[0])["sent"] if attack else 0
    return {"mbit": figure["value"], "node_cpu_per_s": round(cpu / SECONDS, 3), "sent": sent,
            "rss_before": before, "rss_after": lab.memory_of(node, "Rss")}


def idle_cost(ground, system, kind, rate):
    """Processor time of a node that does nothing else."""
    node = system.nodes["b"].pid
    cpu = lab.cpu_of(node)
    flood(ground, system, kind, rate, 5).communicate(timeout=60)
    return round((lab.cpu_of(node) - cpu) / 5, 3)


def run(o, emit):
    lab.enter()
    ground = lab.Lab()
    try:
        for host in lab.ADDRESS:  # a way back to everywhere, else the kernel drops invented sources
            ground.run("ip", "-n", host, "route", "add", "default", "dev", "eth0")
        system = systems.open_all(ground, {}, ["preload"])[0]
        system.meet()
        quiet = one(ground, system, None, 0)
        emit({"figure": "flood", "kind": "none", **quiet})
        system.start(("root",))
        listen(ground, system)
        for kind, rate in KINDS.items():
            got = one(ground, system, kind, rate)
            emit({"figure": "flood", "kind": kind, "per_second": rate, **got,
                  "ratio": round(got["mbit"] / quiet["mbit"], 3),
                  "idle_cpu_per_s": idle_cost(ground, system, kind, rate)})
    except lab.Failed as e:
        ground.keep = True
        print(f"bench: {e}")
        return 1
    finally:
        ground.close()
    return 0
