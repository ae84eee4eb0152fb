"""Compares zerotier-cli's answers from two services; see cli.sh.

usage: cli.py DIR ZTCTL: DIR/zerotier-cli, homes DIR/o (ours) and DIR/e (reference), namespaces o and e;
the root in DIR/r, namespace r, is made the controller of a private network by ZTCTL.
"""
import json
import os
import re
import subprocess
import sys
import time

DIR = sys.argv[1]
CLI = DIR + "/zerotier-cli"
ZTCTL = sys.argv[2]
NWID, OTHER = "ff00160016000000", "8056c2e21c000001"
WAIT_S = 60

# What each service is asked, in this order. A word "@x" is filled in. "!" is done by the controller.
COMMANDS = """
-v
-h
-?
-j

nosuchcommand
-j nosuchcommand
-x info
-D info
-pzz info
info
status
-j info
-j status
listpeers
peers
-j listpeers
-j peers
listnetworks
-j listnetworks
listmoons
-j listmoons
join
join 123
join zz00160016000000
join ff00160016000000
-j join ff00160016000000
join ff00160016000000
listnetworks
-j listnetworks
get
get ff00160016000000
get ff00160016000000 status
-j get ff00160016000000 status
get ff00160016000000 name
get ff00160016000000 type
get ff00160016000000 mac
get ff00160016000000 mtu
get ff00160016000000 allowManaged
get ff00160016000000 allowDNS
get ff00160016000000 bridge
get ff00160016000000 broadcastEnabled
get ff00160016000000 netconfRevision
get ff00160016000000 portError
get ff00160016000000 id
get ff00160016000000 nwid
get ff00160016000000 dhcp
get ff00160016000000 ip
get ff00160016000000 ip4
get ff00160016000000 ip6
get ff00160016000000 ip6plane
get ff00160016000000 ip6prefix
get ff00160016000000 routes
get ff00160016000000 dns
get ff00160016000000 nosuch
get 8056c2e21c000001 status
get 123 status
set
set ff00160016000000
set ff00160016000000 allowGlobal
set ff00160016000000 allowGlobal=1
get ff00160016000000 allowGlobal
-j set ff00160016000000 allowGlobal=true
set ff00160016000000 allowGlobal=0
get ff00160016000000 allowGlobal
set ff00160016000000 allowGlobal=yes
set ff00160016000000 nosuch=1
set ff00160016000000 allowDNS=1
set ff00160016000000 allowDefault=0
set ff00160016000000 allowManaged=0
get ff00160016000000 ip
set ff00160016000000 allowManaged=1
set 8056c2e21c000001 allowGlobal=0
listnetworks
leave 8056c2e21c000001
leave ff00160016000000
-j leave ff00160016000000
leave ff00160016000000
leave
leave 123
leave zz00160016000000
join @net
-j join @net
listnetworks
-j listnetworks
get @net status
get @net type
get @net name
get @net ip
!authorize
listnetworks
-j listnetworks
get @net status
get @net name
get @net type
get @net ip
get @net ip4
get @net ip6
get @net routes
get @net dns
get @net mtu
-j get @net assignedAddresses
get @net allowManaged
get @net broadcastEnabled
get @net netconfRevision
/network/@net
set @net allowManaged=0
get @net ip4
set @net allowManaged=1
set @net allowDefault=1
get @net allowDefault
set @net allowDNS=1
get @net dns
!deauthorize
get @net status
listnetworks
listpeers
-j listpeers
peers
leave @net
get @net status
orbit 1234567890 1234567890
-j orbit 1234567890 1234567890
orbit 1234567890
orbit
orbit zz zz
listmoons
deorbit 1234567890
-j deorbit 1234567890
deorbit
/status
-j /status
/health
/network
/network/8056c2e21c000001
/peer
/peer/1234567890
/moon
/config
/nosuch
/
dump
-p1 info
-Twrong info
-Twrong listnetworks
-Twrong -j info
-Twrong join ff00160016000000
-p9993 -T@token info
""".split("\n")[1:-1]


def controller(*args):
    return subprocess.check_output(["ip", "netns", "exec", "r", ZTCTL, "-H", DIR + "/r", "controller",
                                    *args], text=True).strip()


NET = controller("new", "name=office", "ipv4=10.77.0.0/24", "ipv6=6plane", "dns=lan.example,10.77.0.1",
                 "route=10.78.0.0/16,10.77.0.9")
MEMBERS = [open("%s/%s/identity.public" % (DIR, n)).read()[:10] for n in "oe"]


def run(node, line):
    """(exit code, stdout, stderr) of one command line."""
    home = "%s/%s" % (DIR, node)
    words = line.replace("@net", NET).replace("@token", open(home + "/authtoken.secret").read()).split()
    cwd = "%s/cwd-%s" % (DIR, node)
    os.makedirs(cwd, exist_ok=True)
    first = [] if words[:1] == ["-D"] else ["-D" + home]
    env = dict(os.environ, HOME=DIR + "/nobody")
    p = subprocess.run(["ip", "netns", "exec", node, CLI] + first + words, cwd=cwd, env=env,
                       capture_output=True, text=True, timeout=60)
    return p.returncode, p.stdout, p.stderr


def shape(v):
    """Names and types; elements of lists that look alike are one."""
    if isinstance(v, dict):
        return {k: shape(v[k]) for k in sorted(v)}
    if isinstance(v, list):
        out = []
        for e in map(shape, v):
            out += [e] if not any(alike(e, o) for o in out) else []
        return out
    if isinstance(v, bool):
        return v
    return "number" if isinstance(v, (int, float)) else type(v).__name__


# What is another for each node, as a word that stands for it. Order matters.
WORDS = [
    (r"/tmp/\S+", "<path>"),
    (r"\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b", "<mac>"),
    (r"\b[0-9a-f]{1,4}(:[0-9a-f]{0,4}){2,7}(/\d+)?", "<ip6>"),
    (r"\b\d+\.\d+\.\d+\.\d+/\d+\b", "<endpoint>"),
    (r"\b10\.77\.0\.\d+\b", "<ip4>"),
    (r"\bff00160016000000\b", "<nwid>"),
    (r"\b8056c2e21c000001\b", "<other>"),
    (r"\b%s\b" % NET, "<net>"),
    (r"\b[0-9a-f]{10}\b", "<address>"),
    (r" (zt[a-z0-9]{8}|-)(?= (<ip6>|-)|$)", " <device>"),  # we have no device
    (r";-?\d+", ";<ms>"),
    (r"(DIRECT|RELAY) +-?\d+ +-?\d+ ", r"\1 <ms> <ms> "),
    (r"(<endpoint>;<ms>;<ms>|LEAF|PLANET) +-?\d+ ", r"\1 <ms> "),
]


def plain(text):
    lines = []
    for line in text.split("\n"):
        for pattern, word in WORDS:
            line = re.sub(pattern, word, line, flags=re.M)
        if line not in lines or line == "":
            lines.append(line)
    return lines


def document(text):
    if text[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


# The rest of local.conf, and which paths there happen to be, are no fields of the interface.
def without_own(v):
    if isinstance(v, list):
        return [without_own(e) for e in v]
    if not isinstance(v, dict):
        return v
    v = {k: without_own(e) for k, e in v.items()}
    for k in ("allowTcpFallbackRelay", "portMappingEnabled", "active", "expired", "preferred"):
        if k in v:
            v[k] = "bool" if isinstance(v[k], bool) else v[k]
    return v


def alike(a, b):
    """Equal, but a list may still be empty on one side: addresses and groups come with time, the
    reference looks for the latter once a minute."""
    if isinstance(a, list) and isinstance(b, list):
        return not a or not b or (len(a) == len(b) and all(map(alike, a, b)))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)
    return a == b


def equal(a, b):
    return len(a) == len(b) and all(
        sorted(x) == sorted(y) if line_lists(x, y) else alike(x, y) for x, y in zip(a, b))


def line_lists(x, y):  # of networks and peers, as text: in any order
    return all(isinstance(v, list) and v and isinstance(v[0], str) for v in (x, y)) and re.match(
        "200 (list|peers)", x[0])


def comparable(answer):
    code, out, err = answer
    doc = document(out)
    if doc is not None:
        indented = "\n" in out.strip()
        return code, indented, out.endswith("\n"), shape(without_own(doc)), plain(err)
    return code, plain(out), plain(err)


def main():
    passed = failed = 0
    for line in COMMANDS:
        if line.startswith("!"):
            controller(line[1:], NET, *MEMBERS)
            continue
        end = time.monotonic() + WAIT_S
        # Whatever comes with time (a latency, an address) may take longer on one of them.
        repeat = re.match(r"(-j )?(info|status|peers|list|get|/)", line)
        while True:
            ours, theirs = (comparable(run(n, line)) for n in "oe")
            if equal(ours, theirs) or not repeat or time.monotonic() > end:
                break
            time.sleep(0.3)
        if equal(ours, theirs):
            passed += 1
            continue
        failed += 1
        print("FAILED %r:\n  ours      %s\n  reference %s" % (line, ours, theirs))
    for n in "oe":
        if not os.path.exists("%s/cwd-%s/zerotier_dump.txt" % (DIR, n)):
            failed += 1
            print("FAILED dump of", n)
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(failed > 0)


main()
