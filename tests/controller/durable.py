#!/usr/bin/env python3
"""What "durable before it is acknowledged" means, seen from the kernel: of each change the whole file is
flushed aside, renamed, and its folder flushed, in this order and before the answer leaves; and the thread
that carries packets never flushes anything.

usage: durable.py ZTD ZTCTL SWARM

Needs strace and the permission to use it; skips without.
"""
import os
import re
import shutil
import signal
import subprocess
import sys

from service import Lab, network, wait_for

CALLS = "openat,open,write,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,unlinkat,sendto,sendmsg,writev," \
        "recvmsg,recvmmsg,recvfrom,close"
LINE = re.compile(r"^(\d+) +\d+\.\d+ (\w+)\((.*)\) += (-?\d+)")


def skip(why):
    print("SKIP: " + why)
    sys.exit(77)


def traced(program, log):
    """A script in place of ztd: it becomes ztd, watched."""
    with open(program, "w") as f:
        f.write("#!/bin/sh\nexec strace -f -y -ttt -s 300 -e trace=%s -o %s %s \"$@\"\n"
                % (CALLS, log, sys.argv[1]))
    os.chmod(program, 0o755)


def lines(log):
    """(thread, call, arguments, result), in order. A call that was interrupted by another thread's is in two
    lines: it counts where it returned, but for answers, which count where they began."""
    begun = {}
    for line in open(log, errors="replace"):
        pid, _, rest = line.partition(" ")
        if "<unfinished ...>" in line:
            text = rest.lstrip().split(" ", 1)[1].replace("<unfinished ...>", "").strip()
            begun[pid] = text
            if "HTTP/1.1 200" in text:
                yield pid, text.split("(")[0], text.split("(", 1)[1], 0
            continue
        m = re.search(r"<\.\.\. (\w+) resumed>(.*)\) += (-?\d+)", line)
        if m and pid in begun:
            text = begun.pop(pid)
            if "HTTP/1.1 200" not in text:
                yield pid, m.group(1), text.split("(", 1)[1] + m.group(2), int(m.group(3))
            continue
        m = LINE.match(line)
        if m:
            yield m.group(1), m.group(2), m.group(3), int(m.group(4))


def fail(text):
    sys.exit("FAIL: " + text)


def arrivals(calls, path):
    """Where the requests that change this path of the API came in."""
    return [i for i, c in enumerate(calls) if c[1] == "recvfrom" and '"POST %s HTTP/' % path in c[2]]


def check_change(calls, home, path):
    """The calls from where one request came in on, which changes this file."""
    folder = os.path.dirname(path)
    tmp = path + ".tmp"
    want = [("flushed aside", lambda c: c[1] == "fsync" and "<%s/%s>" % (home, tmp) in c[2]),
            ("renamed", lambda c: c[1].startswith("rename") and '"%s"' % tmp in c[2]
             and '"%s"' % path in c[2]),
            ("folder flushed", lambda c: c[1] == "fsync" and "<%s/%s>" % (home, folder) in c[2]),
            ("answered", lambda c: "HTTP/1.1 200" in c[2])]
    at = 0
    for name, is_it in want:
        while at < len(calls) and not is_it(calls[at]):
            if name != "answered" and "HTTP/1.1 200" in calls[at][2]:
                fail("%s: answered before it was %s" % (path, name))
            at += 1
        if at == len(calls):
            fail("%s: never %s" % (path, name))
        if calls[at][3] < 0:
            fail("%s: %s failed" % (path, name))


def main():
    if shutil.which("strace") is None:
        skip("no strace")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode != 0:
        skip("no permission to use strace")
    ztd, ztctl, swarm = map(os.path.abspath, sys.argv[1:4])
    sys.argv[1] = ztd
    with Lab(ztd, ztctl, swarm) as lab:
        lab.root.start()
        lab.root.await_up()
        ctl, log = lab.controller, lab.folder + "/strace"
        program = lab.folder + "/traced"
        traced(program, log)
        ctl.ztd = program
        ctl.start()
        ctl.await_up()
        home = os.path.realpath(ctl.home)
        nwid = ctl.id() + "000001"
        s = lab.swarm(1)
        member = s.ids[0]
        net, files = "/controller/network/" + nwid, "controller.d/network/" + nwid
        changes = [(net, network("durable"), files + ".json"),
                   (net, {"mtu": 1500}, files + ".json"),
                   (net + "/member/" + member, {"authorized": True}, "%s/member/%s.json" % (files, member)),
                   (net + "/member/" + member, {"name": "m"}, "%s/member/%s.json" % (files, member))]

        for path, body, _ in changes[:3]:
            ctl.post(path, body)
        s.say("join", 0, nwid)
        wait_for("the member is not in", 60, lambda: s.networks()[member].get(nwid, {}).get("status") == 1)
        ctl.post(*changes[3][:2])
        os.kill(int(open(home + "/identity.lock").read()), signal.SIGTERM)  # not strace
        ctl.process.wait(60)
        s.end()
        calls = list(lines(log))
        starts = {path: arrivals(calls, path) for path, _, _ in changes}
        for path, _, file in changes:
            if not starts[path]:
                fail("%s: a request is not in the log" % path)
            check_change(calls[starts[path].pop(0):], home, file)
        print("%d changes: flushed aside, renamed, folder flushed, answered" % len(changes))

        # The address that the member got: its record was safe before the configuration left, so before we gave it
        # a name, and after it was authorised.
        authorised, named = arrivals(calls, net + "/member/" + member)
        flushed = [c for c in calls[authorised:named] if c[1] == "fsync" and "<%s/%s/member>" % (home, files) in c[2]]
        if len(flushed) < 2:
            fail("the record that the member's request changed was not flushed before it was answered")

        loop = {c[0] for c in calls if c[1] in ("recvmmsg", "recvmsg") and "UDP" in c[2]}
        if len(loop) != 1:
            fail("cannot tell which thread carries packets: %s" % loop)
        slow = [c for c in calls if c[0] in loop and
                c[1] in ("fsync", "fdatasync", "sync_file_range") or
                c[0] in loop and c[1].startswith("rename") and "controller.d" in c[2]]
        if slow:
            fail("on the loop's thread: %s" % slow[:3])
        print("%d flushes, none on the loop's thread" % len([c for c in calls if c[1] == "fsync"]))
    print("PASS")


main()
