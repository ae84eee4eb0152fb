"""tools/bench controller: what a controller costs that has many networks, or a network with many members.

Three folders: one network with the 100 members that ask; 1,000 networks with 10 members each, ten of them
with those that ask; one network with 20,000 members, 100 of which ask. Members are real ones, on loopback
(tests/controller/swarm.c). One line of JSON per figure.
"""
import json
import os
import random
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "tests", "controller"))
from service import OK, Lab, network, wait_for  # noqa: E402

ASKING, ROUNDS = 100, 5


def write(path, doc):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        json.dump(doc, f, separators=(",", ":"), sort_keys=True)


def member(nwid, address, ip, chance):
    return {"activeBridge": False, "address": address, "authenticationExpiryTime": 0, "authorized": True,
            "capabilities": [], "creationTime": 1700000000000, "id": address,
            "identity": "%s:0:%0128x" % (address, chance.getrandbits(512)), "ipAssignments": [ip],
            "lastAuthorizedCredential": None, "lastAuthorizedCredentialType": "api",
            "lastAuthorizedTime": 1700000000000, "lastDeauthorizedTime": 0, "noAutoAssignIps": False,
            "nwid": nwid, "objtype": "member", "remoteTraceLevel": 0, "remoteTraceTarget": None,
            "revision": 3, "ssoExempt": False, "tags": [], "vMajor": 1, "vMinor": 14, "vProto": 13, "vRev": 0}


def fill(ctl, networks, members):
    """Networks 1, 2, ... with so many members that never ask."""
    chance = random.Random(1)
    for n in range(1, networks + 1):
        nwid = "%s%06x" % (ctl.id(), n)
        base = ctl.home + "/controller.d/network/" + nwid
        write(base + ".json", dict(network("network %d" % n), id=nwid, nwid=nwid, objtype="network", revision=1))
        for i in range(members):
            address = "%010x" % (chance.getrandbits(39) | 1 << 39)
            write("%s/member/%s.json" % (base, address),
                  member(nwid, address, "10.144.%d.%d" % (100 + i // 250, 1 + i % 250), chance))


def measure(emit, programs, case, networks, members, asking_per_network):
    def figure(name, value, unit, what):
        emit({"name": "controller", "case": case, "figure": name, "value": value, "unit": unit,
              "what": what})

    with Lab(*programs) as lab:
        ctl = lab.controller
        lab.root.start()
        lab.root.await_up()
        fill(ctl, networks, members)
        began = time.monotonic()
        ctl.start()
        while not ctl.is_up():
            time.sleep(0.002)
        figure("start", round((time.monotonic() - began) * 1000), "ms", "until the API answers")
        figure("memory", ctl.pss_kb(), "kB", "PSS after the start")
        s = lab.swarm(ASKING)
        of = ["%s%06x" % (ctl.id(), 1 + i // asking_per_network) for i in range(ASKING)]
        for i, nwid in enumerate(of):
            ctl.post("/controller/network/%s/member/%s" % (nwid, s.ids[i]), {"authorized": True})
            s.say("join", i, nwid)
        wait_for("not all members are in", 120, lambda: all(
            m["networks"].get(of[i], {}).get("status") == OK for i, m in enumerate(s.show())))
        s.question("ask", ASKING)
        cpu = ctl.cpu_ns()
        times = list(map(int, s.question("ask", ASKING * ROUNDS).split()))
        figure("request, processor", round((ctl.cpu_ns() - cpu) / len(times) / 1000), "us",
               "processor time of the controller a request, mean of %d" % len(times))
        figure("request, round trip", round(statistics.median(times)), "us",
               "from asking to the configuration in place, median")
        s.end()
        ctl.stop()


def run(options, emit):
    build = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build")
    programs = [os.path.join(build, p) for p in ("tools/ztd", "tools/ztctl", "tests/controller/swarm")]
    measure(emit, programs, "1 x 100", 1, 0, ASKING)
    measure(emit, programs, "1,000 x 10", 1000, 10, 10)
    measure(emit, programs, "1 x 20,000", 1, 20000, ASKING)
    return 0
