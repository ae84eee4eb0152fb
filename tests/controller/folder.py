#!/usr/bin/env python3
"""A controller.d that the reference wrote (tests/vectors), taken over by ours: shown as it is, written by
nobody, changed where it is changed, and served.

usage: folder.py ZTD ZTCTL SWARM FOLDER

With a reference at hand tests/netns/takeover.sh does more: both services in turn on one folder.
"""
import glob
import json
import os
import sys

from service import OK, Lab, wait_for

OLD = "490c45ffd7"  # whose folder it was


def fail(text):
    sys.exit("FAIL: " + text)


def contents(folder):
    return {os.path.relpath(p, folder): open(p, "rb").read()
            for p in glob.glob(folder + "/**", recursive=True) if os.path.isfile(p)}


def take(source, home, new):
    """Copy the folder for a controller of this address."""
    for name, text in contents(source).items():
        path = os.path.join(home, "controller.d", name.replace(OLD, new))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "wb").write(text.replace(OLD.encode(), new.encode()))


def path_of(name):
    """API path of a file."""
    return "/controller/" + name[:-len(".json")]


def written_late(ctl):
    """A new network whose file can't be written at first; that of its member can."""
    net = "network/%s00f00d.json" % ctl.id()
    member = "%s/member/0123456789.json" % net[:-len(".json")]
    folder = ctl.home + "/controller.d/"
    os.mkdir(folder + net + ".tmp")  # in the way
    status, doc = ctl.call("POST", path_of(net), {"name": "late"})
    if status != 500:
        fail("a file that can't be written: %d %s" % (status, doc))
    ctl.post(path_of(member), {"authorized": True})
    os.rmdir(folder + net + ".tmp")
    wait_for("the network is never written", 60, lambda: os.path.exists(folder + net))
    if not os.path.exists(folder + member):
        fail("writing the network at last took its member away")
    print("a network written late leaves its members alone")


def large_lists(ctl):
    """Lists as long as a request can be, in the worst order: the loop must not stand still over them."""
    net = "/controller/network/%s00beef" % ctl.id()
    member = net + "/member/0123456789"
    began = ctl.cpu_ns()
    doc = ctl.post(net, {"capabilities": [{"id": i} for i in range(16000, 0, -1)]})
    if [c["id"] for c in doc["capabilities"]] != list(range(1, 16001)):
        fail("capabilities are not in order")
    doc = ctl.post(member, {"tags": [[i, 1] for i in range(150000, 0, -1)] + [[150000, 2]]})
    if [t[0] for t in doc["tags"]] != list(range(150001 - len(doc["tags"]), 150001)):
        fail("tags are not in order")
    doc = ctl.post(member, {"tags": [[2, 1], [1, 1], [2, 7]]})
    if doc["tags"] != [[1, 1], [2, 7]]:
        fail("tags of one id: %s" % doc["tags"])
    spent = (ctl.cpu_ns() - began) / 1e9
    if spent > 4:
        fail("long lists took %.1f s of processor time" % spent)
    print("long lists in the worst order are sorted quickly")


def main():
    ztd, ztctl, swarm, source = map(os.path.abspath, sys.argv[1:5])
    with Lab(ztd, ztctl, swarm) as lab:
        lab.root.start()
        lab.root.await_up()
        ctl = lab.controller
        take(source, ctl.home, ctl.id())
        before = contents(ctl.home + "/controller.d")
        if len(before) != 4:
            fail("%d files" % len(before))
        ctl.start()
        ctl.await_up()
        for name, text in before.items():
            if ctl.get(path_of(name)) != json.loads(text):
                fail("%s: shows %s" % (name, ctl.get(path_of(name))))
        ctl.stop()
        if contents(ctl.home + "/controller.d") != before:
            fail("files were written that nobody changed")
        print("%d documents are shown as they are written, and stay so" % len(before))

        ctl.start()
        ctl.await_up()
        nwid = ctl.id() + "c0ffee"
        net = "network/%s.json" % nwid
        s = lab.swarm(1)
        member = "network/%s/member/%s.json" % (nwid, s.ids[0])
        s.say("join", 0, nwid)
        status = lambda: s.networks()[s.ids[0]][nwid]["status"]
        wait_for("no refusal", 60, lambda: status() == 2)
        ctl.post(path_of(member), {"authorized": True})
        wait_for("the member is not in", 60, lambda: status() == OK)
        got = s.networks()[s.ids[0]][nwid]
        doc = ctl.get(path_of(member))
        if not doc["ipAssignments"] or not set(doc["ipAssignments"]) <= set(got["addresses"]):
            fail("the member has %s, its record says %s" % (got["addresses"], doc["ipAssignments"]))
        old = [ip for n, t in before.items() if "/member/" in n for ip in json.loads(t)["ipAssignments"]]
        if set(doc["ipAssignments"]) & set(old):
            fail("%s belong to others" % doc["ipAssignments"])
        print("a new member is served: %s" % ", ".join(got["addresses"]))

        was = json.loads(before[net])
        ctl.post(path_of(net), {"mtu": 1444})
        ctl.stop()
        now = {n: json.loads(t) for n, t in contents(ctl.home + "/controller.d").items()}
        if {k for k in was if was[k] != now[net].get(k)} != {"mtu", "revision"}:
            fail("one change wrote %s" % now[net])
        if now[net]["revision"] != was["revision"] + 1 or now[net].keys() != was.keys():
            fail("after one change: %s" % now[net])
        for name, text in before.items():
            if name != net and now[name] != json.loads(text):
                fail("%s has changed" % name)
        theirs = next(json.loads(t) for n, t in before.items() if "/member/" in n)
        if now[member].keys() - theirs.keys() - {"name"}:
            fail("a member of ours has fields of its own: %s" % sorted(now[member]))
        print("a change is in the one file, in the same form")
        ctl.start()
        ctl.await_up()
        written_late(ctl)
        large_lists(ctl)
        s.end()
    print("PASS")


main()
