#!/usr/bin/env python3
"""The same frames through the same rules on nodes of each kind; see rules.sh, which starts it.

    rules_lab.py NODES.json SCENES-FOLDER WORK-FOLDER

NODES.json: what there is, {"tools": {"l2node", "tap", "judge", "ztctl", "reference"}, "api": command
prefix, "controller": address, "nodes": [{"host", "kind", "id", "home", "role"}]}.
"""
import collections
import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time

FRAMES = 500
BATCH = 50
PATIENCE = 90  # seconds that anything may take
CUTS = (40, 64)  # lengths that rules of the scenes cut copies to

# What members hold, by role: sender, receiver, or one who only looks on.
SCENES = {
    "no ipv6": ("no_ipv6", {}),
    "three ports": ("three_ports", {}),
    "one department": (
        "departments",
        {"sender": {"tags": [[1, 20], [2, 3]]}, "receiver": {"tags": [[1, 20], [2, 7]]}},
    ),
    "two departments": (
        "departments",
        {"sender": {"tags": [[1, 40], [2, 1]]}, "receiver": {"tags": [[1, 20], [2, 1]]}},
    ),
    "receiver without tags": (
        "departments",
        {"sender": {"tags": [[1, 20], [2, 3]]}, "receiver": {"tags": []}},
    ),
    "administrator": ("administrators", {"sender": {"capabilities": [1000]}}),
    "operator": ("administrators", {"sender": {"capabilities": [2000]}}),
    "nobody special": ("administrators", {"receiver": {"capabilities": [1000, 2000]}}),
    "observers": ("observers", {}),
    "detours": ("detours", {}),
}


def fail(text):
    sys.exit("FAIL: " + text)


def mac_of(addr, nwid):
    """A member's MAC: its address and the network's id, mixed."""
    first = nwid & 0xFE | 2
    mac = (0x32 if first == 0x52 else first) << 40 | addr
    for k, shift in enumerate((32, 24, 16, 8, 0), 1):
        mac ^= (nwid >> 8 * k & 0xFF) << shift
    return mac.to_bytes(6, "big")


# ---- frames ----


def ipv4(rng, proto, body, ihl=5, fragment=0):
    head = bytearray(
        bytes([0x40 | ihl, rng.choice((0, 0x10, 0x20, 0x38, 0x40, 0xFF))])
        + (4 * ihl + len(body)).to_bytes(2, "big")
        + rng.randbytes(2)
        + fragment.to_bytes(2, "big")
        + bytes([rng.choice((1, 64, 255)), proto])
        + rng.randbytes(2)
        + bytes([10, 1, rng.randrange(4), rng.randrange(1, 255)])
        + bytes([10, 2, rng.randrange(4), rng.randrange(1, 255)])
    )
    return bytes(head) + rng.randbytes(4 * max(0, ihl - 5)) + body


def ipv6(rng, headers, proto, body):
    """headers: numbers of extension headers before the upper one."""
    chain = list(headers) + [proto]
    rest = b""
    for here, following in zip(chain, chain[1:]):
        size = 0 if here == 44 else rng.randrange(3)
        rest += bytes([following, size]) + rng.randbytes(6 + 8 * size)
    tos = rng.choice((0, 0x20, 0x30, 0xB8))
    head = bytes([0x60 | tos >> 4, (tos & 15) << 4]) + rng.randbytes(2)
    head += (len(rest) + len(body)).to_bytes(2, "big") + bytes([chain[0], 64])
    head += b"\xfd\x00" + rng.randbytes(14) + b"\xfd\x00" + rng.randbytes(14)
    return head + rest + body


def port(rng):
    return rng.choice((0, 20, 22, 23, 53, 80, 80, 443, 443, 631, 1023, 1024, 8080, 65535))


def upper(rng, proto):
    ports = port(rng).to_bytes(2, "big") + port(rng).to_bytes(2, "big")
    if proto == 6:
        flags = rng.choice((0x02, 0x02, 0x12, 0x10, 0x18, 0x04, 0x11, 0x00, 0xC2, 0x3F))
        body = ports + rng.randbytes(8) + bytes([0x50 | rng.randrange(16), flags]) + rng.randbytes(6)
    elif proto in (1, 58):
        body = bytes([rng.choice((0, 3, 8, 8, 128, 129, 135, 136)), rng.choice((0, 0, 1, 4))])
        body += rng.randbytes(6)
    else:
        body = ports + rng.randbytes(4)
    return body + rng.randbytes(rng.choice((0, 4, 20, 26, 100, 300, 1200)))


PROTOCOLS = (6, 6, 6, 6, 17, 17, 1, 58, 132, 136, 2, 47, 50)


def packet(rng, i):
    """An Ethernet type and what follows it, of many kinds."""
    kind, proto = i % 10, rng.choice(PROTOCOLS)
    if kind in (0, 1, 2, 3):
        ihl = rng.choice((5, 5, 5, 6, 15, 0, 4)) if kind == 3 else 5
        fragment = rng.choice((0x2000, 0x0001, 0x20B9, 0x4000)) if kind == 2 and i % 20 == 2 else 0
        return 0x0800, ipv4(rng, proto, upper(rng, proto), ihl, fragment)
    if kind in (4, 5):
        headers = rng.choice(((), (0,), (43,), (60,), (0, 60), (135,), (44,), (0, 43, 60, 135)))
        return 0x86DD, ipv6(rng, headers if kind == 5 else (), proto, upper(rng, proto))
    if kind == 6:
        inner, body = packet(rng, rng.randrange(6))
        return 0x8100, rng.randbytes(2) + inner.to_bytes(2, "big") + body
    if kind == 7:
        op = rng.choice((1, 2, 3))
        return 0x0806, bytes.fromhex("00010800060400") + bytes([op]) + rng.randbytes(20)
    if kind == 8:
        types = (0x0842, 0x88CC, 0x8035, 0x1234, 0x0700, 0xFFFF, 0x88A8)
        return rng.choice(types), rng.randbytes(rng.choice((46, 60, 199, 200, 201, 1000)))
    # cut short: in the IP header, in the extension headers, in front of the ports and behind them
    ethertype, body = packet(rng, rng.choice((0, 1, 3, 4, 5, 7)))
    return ethertype, body[: rng.choice((8, 19, 20, 21, 23, 24, 25, 27, 33, 34, 39, 40, 41, 44, 45, 54, 55))]


def without_flags(ethertype, body):
    """TCP over IPv4, cut before its flags: the reference reads them all the same, from behind the frame."""
    return ethertype == 0x0800 and len(body) >= 20 and body[9] == 6 and len(body) < 4 * (body[0] & 15) + 14


def frames(nwid, sender, receiver):
    """FRAMES of them: what differs between two pairs of nodes is their MACs alone."""
    rng = random.Random(20)
    own, theirs = mac_of(sender, nwid), mac_of(receiver, nwid)
    member = nwid & 0xFE | 2  # the first byte of members' MACs
    foreign = [bytes([b]) + bytes(4) + bytes([n]) for b in (0x06, 0x0A) if b != member for n in (7, 8)]
    behind = [bytes([b]) + b"\1\1\1\1" + bytes([n]) for b in (0x0E, 0x16) if b != member for n in (1, 2)]
    seen = set()
    while len(seen) < FRAMES:
        i = len(seen)
        ethertype, body = packet(rng, i)
        while without_flags(ethertype, body):
            ethertype, body = packet(rng, i)
        # The number makes each one different; it ends the frame or, in the short ones, is the frame's start.
        body = body[: len(body) - 2] + i.to_bytes(2, "big")
        source = rng.choice(foreign) if i % 23 == 0 else own
        dest = theirs
        if i % 29 == 1:
            dest = b"\xff" * 6 if i % 2 else bytes.fromhex("01005e000109")
        elif i % 31 == 2:
            dest = rng.choice(behind)
        frame = dest + source + ethertype.to_bytes(2, "big") + body
        assert frame not in seen
        seen.add(frame)
        yield frame


def marker(nwid, sender, receiver, number):
    """An ARP answer, which every scene lets through."""
    body = bytes.fromhex("0001080006040002") + b"\0" * 12 + number.to_bytes(8, "big")
    return mac_of(receiver, nwid) + mac_of(sender, nwid) + b"\x08\x06" + body


# ---- nodes ----


class Node:
    """A member: frames in, frames out, on all networks."""

    def __init__(self, tools, spec):
        self.tools, self.spec = tools, spec
        self.host, self.kind, self.role = spec["host"], spec["kind"], spec["role"]
        self.id = int(spec["id"], 16)
        self.frames = collections.defaultdict(collections.Counter)
        self.status, self.lines = {}, 0
        self.changed = threading.Condition()
        if self.kind == "ours":
            self.start([tools["l2node"], spec["home"], "9993"])

    def start(self, command):
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.host] + command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(os.path.join(os.path.dirname(self.spec["home"]), self.host + ".log"), "a"),
            text=True,
        )
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            what, *rest = line.split()
            with self.changed:
                if what == "frame":
                    self.frames[rest[0]][rest[1]] += 1
                elif what == "network":
                    self.status[rest[0]] = int(rest[1])
                else:
                    self.status[what] = 1
                self.changed.notify_all()

    def say(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def wait(self, what, condition, patience=PATIENCE):
        with self.changed:
            if not self.changed.wait_for(condition, patience) and what:
                fail(f"{self.host} ({self.kind}): {what}")
            return condition()

    def cli(self, *args):
        command = ["ip", "netns", "exec", self.host, self.tools["reference"], "-q", "-D" + self.spec["home"]]
        return subprocess.run(command + list(args), capture_output=True, text=True).stdout

    def join(self, networks):
        if self.kind == "ours":
            self.wait("not online", lambda: "online" in self.status)
            self.say("".join(f"join {n}\n" for n in networks))
        else:
            for nwid in networks:
                self.cli("join", nwid)

    def joined(self, networks):
        if self.kind == "ours":
            self.wait(
                f"not joined: {self.status}",
                lambda: all(self.status.get(n) == 1 for n in networks),
            )
            return
        end = time.monotonic() + PATIENCE
        while True:
            known = json.loads(self.cli("-j", "listnetworks") or "[]")
            devices = {n["nwid"]: n["portDeviceName"] for n in known if n["status"] == "OK"}
            if set(networks) <= set(devices):
                break
            if time.monotonic() > end:
                fail(f"{self.host}: not joined: {known}")
            time.sleep(0.2)
        self.start([self.tools["tap"]] + [f"{n}={devices[n]}" for n in networks])
        self.wait("no interfaces", lambda: "ready" in self.status)


class Network:
    """A scene on a network of its own."""

    def __init__(self, lab, number, name):
        self.lab, self.name = lab, name
        self.source, self.held = SCENES[name]
        self.nwid = int(lab.controller, 16) << 24 | 0xA0B000 + number
        self.text = f"{self.nwid:016x}"
        self.markers = 0

    def set_up(self):
        with open(os.path.join(self.lab.folder, self.source + ".rules")) as f:
            text = f.read()
        ones = [n for n in self.lab.nodes if n.role == "observer"]
        text = text.replace("@ONE@", f"{ones[0].id:010x}").replace("@TWO@", f"{ones[1].id:010x}")
        compiled = subprocess.run(
            [self.lab.tools["ztctl"], "rules", "compile", "-"], input=text, capture_output=True, text=True
        )
        if compiled.returncode != 0:
            fail(f"{self.source}: {compiled.stderr}")
        self.config = json.loads(compiled.stdout)["config"]
        self.lab.api(
            f"/controller/network/{self.text}",
            {"name": self.name, "private": True, "enableBroadcast": True, "multicastLimit": 32, **self.config},
        )
        self.members = {}
        for node in self.lab.nodes:
            held = {"tags": [], "capabilities": [], **self.held.get(node.role, {})}
            # The controller gives defaults to those who hold no other value.
            given = {t["id"]: t["default"] for t in self.config["tags"] if t["default"] is not None}
            tags = {**given, **dict(held["tags"])}
            self.members[f"{node.id:010x}"] = {**held, "tags": list(tags.items())}
            self.lab.api(
                f"/controller/network/{self.text}/member/{node.id:010x}",
                {"authorized": True, "activeBridge": True, **held},
            )

    def send(self, node, frame):
        return f"send {self.text} {frame.hex()}\n"

    def mark(self, pairs, patience=PATIENCE):
        """A frame from one to the other of each pair, and again, until it has come."""
        self.markers += 1
        number = self.markers
        end = time.monotonic() + patience
        while pairs:
            for a, b in pairs:
                a.say(self.send(a, marker(self.nwid, a.id, b.id, number)))
            for a, b in pairs:
                text = marker(self.nwid, a.id, b.id, number).hex()
                b.wait(None, lambda: text in b.frames[self.text], 0.3)
            pairs = [
                (a, b)
                for a, b in pairs
                if marker(self.nwid, a.id, b.id, number).hex() not in b.frames[self.text]
            ]
            if time.monotonic() > end:
                fail(f"{self.name}: nothing from {pairs[0][0].host} reaches {pairs[0][1].host}")

    def expected(self, sender, sent):
        """What comes out where by the rules engine alone: node -> frames."""
        scene = os.path.join(self.lab.work, "scene.json")
        with open(scene, "w") as f:
            json.dump({"nwid": self.text, **self.config, "members": self.members}, f)
        lines = "".join(f"{sender.id:010x} {frame.hex()}\n" for frame in sent)
        judged = subprocess.run(
            [self.lab.tools["judge"], scene], input=lines, capture_output=True, text=True, check=True
        )
        out = {node.id: collections.Counter() for node in self.lab.nodes}
        for frame, line in zip(sent, judged.stdout.splitlines()):
            for one in line.split():
                addr, size = one.split(":")
                out[int(addr, 16)][frame[: 14 + int(size)].hex()] += 1
        return out

    def attempt(self, sender, receiver, sent):
        for node in self.lab.nodes:
            with node.changed:
                node.frames[self.text].clear()
        others = [n for n in self.lab.nodes if n is not sender]
        for i in range(0, len(sent), BATCH):
            sender.say("".join(self.send(sender, frame) for frame in sent[i : i + BATCH]))
            self.mark([(sender, n) for n in others])
            # the copies that the receiver makes
            self.mark([(receiver, n) for n in others if n is not receiver])
        got = {}
        for node in self.lab.nodes:
            with node.changed:
                got[node.id] = node.frames[self.text].copy()
        return got

    def run(self, sender, receiver):
        """Returns which frames the receiver got; anything but what the engine says is a failure."""
        sent = list(frames(self.nwid, sender.id, receiver.id))
        want = self.expected(sender, sent)
        ours = {frame[: 14 + cut].hex() for frame in sent for cut in CUTS + (65535,)}
        where = f"{self.name}, {sender.kind} to {receiver.kind}"
        for _ in range(3):  # datagrams get lost, even here
            got = self.attempt(sender, receiver, sent)
            missing, example = 0, ""
            for node in self.lab.nodes:
                seen = collections.Counter({h: n for h, n in got[node.id].items() if h in ours})
                extra = seen - want[node.id]
                for frame, n in extra.items():
                    fail(f"{where}: {node.host} ({node.kind}, {node.role}) got {n} too many of {frame}")
                less = want[node.id] - seen
                missing += sum(less.values())
                if less:
                    example = f"{next(iter(less))} at {node.host} ({node.kind}, {node.role})"
            if missing == 0:
                return [frame.hex() in want[receiver.id] for frame in sent], want
            print(f"   {where}: {missing} did not come ({example}), once more", flush=True)
        fail(f"{where}: {missing} frames that the rules let through do not come, such as {example}")


class Lab:
    def __init__(self, spec, folder, work):
        self.tools, self.controller, self.prefix = spec["tools"], spec["controller"], spec["api"]
        self.folder, self.work = folder, work
        self.nodes = [Node(self.tools, n) for n in spec["nodes"]]

    def api(self, path, body):
        done = subprocess.run(self.prefix + [path, json.dumps(body)], capture_output=True, text=True)
        if done.returncode != 0:
            fail(f"POST {path}: {done.stdout} {done.stderr}")

    def run(self):
        networks = [Network(self, i, name) for i, name in enumerate(SCENES)]
        for network in networks:
            network.set_up()
        for node in self.nodes:
            node.join([n.text for n in networks])
        for node in self.nodes:
            node.joined([n.text for n in networks])
        senders = [n for n in self.nodes if n.role == "sender"]
        receivers = [n for n in self.nodes if n.role == "receiver"]
        for network in networks:
            network.mark(list(itertools.permutations(self.nodes, 2)))
            verdicts = []
            for sender, receiver in itertools.product(senders, receivers):
                verdict, want = network.run(sender, receiver)
                verdicts.append(verdict)
            if any(v != verdicts[0] for v in verdicts):
                fail(f"{network.name}: the pairs differ")
            passed = sum(verdicts[0])
            seen = sum(sum(want[n.id].values()) for n in self.nodes if n.role == "observer")
            if passed in (0, FRAMES):
                fail(f"{network.name}: rules that say the same of all frames prove nothing")
            print(
                f"   {network.name}: {len(verdicts)} pairs, {passed} frames pass, {FRAMES - passed} do not, "
                f"observers get {seen}",
                flush=True,
            )


if __name__ == "__main__":
    with open(sys.argv[1]) as f:
        Lab(json.load(f), sys.argv[2], sys.argv[3]).run()
