#!/usr/bin/env python3
"""Controller and root are killed at random points while members join, leave and change: no change that
was acknowledged is lost, no file is half written, no address is given out twice, and the members
recover by themselves.

usage: kill.py ZTD ZTCTL SWARM

10 kills under 12 members; 200 under 50 when $ZT_TEST_ALL is set. $ZT_KILLS, $ZT_MEMBERS and $ZT_SEED
override. The members are real cores with sockets in one process (swarm.c): fifty services would do no
more to the controller, and would leave it little of a small machine.

Who changes things knows what became of each: answered with 200 (then it holds for ever), or not
answered (then, after the restart, all of it is there or nothing is). A name that is never used twice says
which version of a record is there.
"""
import glob
import http.client
import json
import os
import random
import sys
import threading
import time

from service import ANSWER_S, OK, Lab, network, wait_for

everything = bool(os.environ.get("ZT_TEST_ALL"))
KILLS = int(os.environ.get("ZT_KILLS") or (200 if everything else 10))
MEMBERS = int(os.environ.get("ZT_MEMBERS") or (50 if everything else 12))
SEED = int(os.environ.get("ZT_SEED") or random.randrange(1 << 30))
NETWORKS, WRITERS, RECOVERY_S, RECOVERY_EVERY = 3, 4, 120, 20

GONE = {"name": None, "authorized": False}  # of a member: no record, or one that its own request made


def fail(text):
    raise SystemExit("FAIL (ZT_SEED=%d): %s" % (SEED, text))


class Record:
    """What one document must say. `maybe`: the change that has no answer yet, or never got one."""

    def __init__(self, path, state):
        self.path, self.state, self.maybe = path, state, None
        self.deleted = False  # and its member may not know yet: it asks once a minute

    def seen(self, doc):
        if doc is None:
            return GONE if "/member/" in self.path else None
        if "/member/" in self.path:
            return {"name": doc.get("name"), "authorized": doc["authorized"]}
        return {"name": doc["name"]}

    def check(self, doc):
        allowed = [self.state] if self.maybe is None else [self.state, self.maybe[0]]
        got = self.seen(doc)
        if got not in allowed:
            fail("%s is %s, wanted %s" % (self.path, got, " or ".join(map(str, allowed))))
        self.state, self.maybe = got, None


class Campaign:
    def __init__(self, lab, chance):
        self.lab, self.chance = lab, chance
        self.ctl = lab.controller
        self.may_write = threading.Event()
        self.idle = [threading.Event() for _ in range(WRITERS)]
        self.ends = False
        self.acknowledged = self.unanswered = self.kills = 0
        self.serial = 0
        self.lock = threading.Lock()

    def name(self):
        with self.lock:
            self.serial += 1
            return "v%d" % self.serial

    # ---- writers ----

    def change(self, record, method, body, becomes):
        record.maybe = (becomes,)
        if method == "DELETE":
            record.deleted = True
        try:
            status, doc = self.ctl.call(method, record.path, body)
        except (OSError, http.client.HTTPException, ValueError):
            with self.lock:
                self.unanswered += 1
            return False
        if status != 200 and not (method == "DELETE" and status == 404):
            fail("%s %s: %d %s" % (method, record.path, status, doc))
        record.state, record.maybe = becomes, None
        with self.lock:
            self.acknowledged += 1
        return True

    def change_member(self, record, chance):
        what = chance.randrange(10)
        if what == 0:
            return self.change(record, "DELETE", None, GONE)
        name, authorized = self.name(), what > 3
        return self.change(record, "POST", {"name": name, "authorized": authorized},
                           {"name": name, "authorized": authorized})

    def change_network(self, record, chance):
        if "00fe" in record.path and record.state is not None and chance.randrange(3) == 0:
            return self.change(record, "DELETE", None, None)
        name = self.name()
        return self.change(record, "POST", {"name": name, "mtu": chance.randrange(1280, 2801)},
                           {"name": name})

    def write(self, no, records):
        chance = random.Random(SEED * 100 + no)
        while not self.ends:
            if not self.may_write.is_set():
                self.idle[no].set()
                self.may_write.wait(0.2)
                continue
            self.idle[no].clear()
            record = chance.choice(records)
            if record.maybe is not None:
                time.sleep(0.01)  # of the time before a restart: the check decides what it is
                continue
            f = self.change_member if "/member/" in record.path else self.change_network
            if not f(record, chance):
                time.sleep(0.02)

    # ---- killing ----

    def quiet(self):
        self.may_write.clear()
        for e in self.idle:
            e.clear()
        for e in self.idle:
            if not e.wait(ANSWER_S + 30):
                fail("a writer does not stop")

    def files(self):
        """While nobody writes: what has a file's name is a whole document."""
        for path in glob.glob(self.ctl.home + "/controller.d/**/*.json", recursive=True):
            try:
                json.load(open(path))
            except ValueError as e:
                fail("%s: %s" % (path, e))

    def check(self, known):
        """After a restart. known: what members knew just before the kill."""
        for r in self.records:
            r.check(self.ctl.get(r.path))
        taken = {}
        for r in self.records:
            doc = self.ctl.get(r.path) if "/member/" in r.path else None
            if doc is None:
                continue
            for ip in doc["ipAssignments"]:
                if taken.setdefault((doc["nwid"], ip), doc["id"]) != doc["id"]:
                    fail("%s has %s of %s" % (doc["id"], ip, taken[doc["nwid"], ip]))
            net = known.get(doc["id"], {}).get(doc["nwid"])
            mine = net["addresses"] if net is not None and net["status"] == OK else []
            unknown = set(mine) - set(doc["ipAssignments"])
            if unknown and not r.deleted:
                fail("%s uses %s, of which its record knows nothing" % (doc["id"], unknown))
            r.deleted = bool(unknown)

    def kill(self):
        which = self.chance.choice(["controller"] * 3 + ["root", "both"])
        known = self.swarm.networks()
        for name in ("root", "controller"):
            if which in (name, "both"):
                node = self.lab.root if name == "root" else self.ctl
                node.kill()
                self.kills += 1
        self.quiet()
        if which != "root":
            self.files()
        for name in ("root", "controller"):
            if which in (name, "both"):
                node = self.lab.root if name == "root" else self.ctl
                node.start()
                if self.chance.randrange(4) == 0:  # in the middle of a start
                    time.sleep(self.chance.uniform(0, 0.1))
                    node.kill()
                    self.kills += 1
                    node.start()
                node.await_up()
        self.check(known)
        self.may_write.set()

    # ---- members ----

    def members_change(self):
        i = self.chance.randrange(MEMBERS)
        nwid = self.nwids[i % NETWORKS]
        what = self.chance.randrange(4)
        if what == 0:
            self.swarm.say("restart", i)
        elif what == 1:
            self.swarm.say("leave", i, nwid)
        else:
            self.swarm.say("join", i, nwid)

    def outside(self):
        nets = self.swarm.networks()
        all_ = [(i, nets[self.swarm.ids[i]].get(self.nwids[i % NETWORKS], {})) for i in range(MEMBERS)]
        return [(self.swarm.ids[i], net) for i, net in all_ if net.get("status") != OK]

    def recover(self):
        """Let everybody in: nobody is asked to join again who had joined."""
        self.quiet()
        for r in self.records:
            if "/member/" in r.path:
                name = self.name()
                if not self.change(r, "POST", {"name": name, "authorized": True},
                                   {"name": name, "authorized": True}):
                    fail("no answer")
        for i in range(MEMBERS):
            self.swarm.say("join", i, self.nwids[i % NETWORKS])
        began = time.monotonic()
        while left := self.outside():
            if time.monotonic() - began > RECOVERY_S:
                fail("not in again within %d s: %s" % (RECOVERY_S, left))
            time.sleep(0.1)
        print("after %d kills (%d changes acknowledged, %d not answered) all members are in within "
              "%.1f s" % (self.kills, self.acknowledged, self.unanswered, time.monotonic() - began),
              flush=True)

    def same_addresses(self):
        """Everybody has the addresses that its record says, and nobody another's."""
        nets, taken = self.swarm.networks(), set()
        for i in range(MEMBERS):
            nwid, member = self.nwids[i % NETWORKS], self.swarm.ids[i]
            doc = self.ctl.get("/controller/network/%s/member/%s" % (nwid, member))
            mine = nets[member][nwid]["addresses"]
            if not mine or mine != doc["ipAssignments"]:
                return False
            if any((nwid, ip) in taken for ip in mine):
                fail("%s: somebody else has %s" % (member, mine))
            taken.update((nwid, ip) for ip in mine)
        return True

    def run(self):
        lab = self.lab
        lab.root.start()
        lab.root.await_up()
        self.ctl.start()
        self.ctl.await_up()
        self.swarm = lab.swarm(MEMBERS)
        ctl = self.ctl.id()
        self.nwids = ["%s0000%02x" % (ctl, i + 1) for i in range(NETWORKS)]
        self.records = []
        for i, nwid in enumerate(self.nwids):
            self.ctl.post("/controller/network/" + nwid, network("v0", 140 + i))
            self.records.append(Record("/controller/network/" + nwid, {"name": "v0"}))
        for i in range(4):  # come and go
            self.records.append(Record("/controller/network/%s00fe%02x" % (ctl, i), None))
        for i in range(MEMBERS):
            nwid = self.nwids[i % NETWORKS]
            self.records.append(Record("/controller/network/%s/member/%s"
                                       % (nwid, self.swarm.ids[i]), GONE))
            self.swarm.say("join", i, nwid)

        writers = [threading.Thread(target=self.write, daemon=True,
                                    args=(i, self.records[i::WRITERS])) for i in range(WRITERS)]
        for w in writers:
            w.start()
        self.may_write.set()
        due = RECOVERY_EVERY
        while self.kills < KILLS:
            end = time.monotonic() + self.chance.uniform(0, 0.8)
            while time.monotonic() < end:
                self.members_change()
                time.sleep(0.02)
            if any(not w.is_alive() for w in writers):
                fail("a writer has failed")
            self.kill()
            if self.kills >= due:
                due += RECOVERY_EVERY
                self.recover()
                self.may_write.set()
        self.recover()
        wait_for("members and records do not agree", RECOVERY_S, self.same_addresses)
        self.ends = True
        self.may_write.set()
        for w in writers:
            w.join()
        self.ctl.stop()
        lab.root.stop()
        self.swarm.end()
        self.files()
        left = glob.glob(self.ctl.home + "/controller.d/**/*.tmp", recursive=True)
        if left:
            fail("left behind: %s" % left)
        if self.acknowledged < KILLS:
            fail("only %d changes in the whole campaign" % self.acknowledged)


def main():
    ztd, ztctl, swarm = map(os.path.abspath, sys.argv[1:4])
    began = time.monotonic()
    with Lab(ztd, ztctl, swarm) as lab:
        c = Campaign(lab, random.Random(SEED))
        c.run()
    print("%d kills, %d members, %d changes acknowledged, %d not answered, %.0f s (ZT_SEED=%d)"
          % (c.kills, MEMBERS, c.acknowledged, c.unanswered, time.monotonic() - began, SEED))
    print("PASS")


main()
