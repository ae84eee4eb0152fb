"""Replays tests/vectors/local-api.json; see local_api.sh.

usage: local_api.py DIR ZTD VECTORS: homes DIR/R, DIR/A, DIR/B, network namespaces of the same names.

Addresses, and network ids where chance made them, are translated from the recording to this run.
What depends on when it is asked is asked again until it fits, for a while.
"""
import json
import os
import signal
import subprocess
import sys
import time

DIR, ZTD, VECTORS = sys.argv[1:]
ADDRESS = {"R": "10.81.0.1", "A": "10.81.0.2", "B": "10.81.0.3"}
WAIT_S = 60

# Compared by value, not only by type. Anything else is chance: times, keys, drawn addresses.
SAME = {"type", "mtu", "dhcp", "bridge", "broadcastEnabled", "portError", "allowDNS",
        "allowDefault", "allowGlobal", "allowManaged", "error", "waiting", "result", "role",
        "isBonded", "tunneled", "online", "version", "versionMajor", "versionMinor", "versionRev",
        "versionBuild", "private", "enableBroadcast", "multicastLimit",
        "authorized", "activeBridge", "noAutoAssignIps", "ssoExempt", "ssoEnabled", "objtype",
        "rules", "capabilities", "tags", "routes", "ipAssignmentPools", "v4AssignMode",
        "v6AssignMode", "dns", "lastAuthorizedCredentialType", "apiVersion", "controller",
        "databaseReady", "totalMemberCount", "authorizedMemberCount", "networkCount", "totalCount",
        "authorizedCount", "domain", "servers", "allowTcpFallbackRelay"}
# We do otherwise on purpose: never over TCP, no device, another home.
OURS = {"allowTcpFallbackRelay", "portDeviceName"}
# Maps from chance to something: the keys are no fields.
MAPS = {"authTokens", "member"}

passed = failed = deviations = 0
nodes, names = {}, {}


def start(name):
    log = open("%s/%s.log" % (DIR, name), "a")
    home = "%s/%s" % (DIR, name)
    if os.path.exists(home + "/zerotier-one.port"):
        os.unlink(home + "/zerotier-one.port")
    nodes[name] = subprocess.Popen(["ip", "netns", "exec", name, ZTD, "-H", home, "-p", "9993"],
                                   stderr=log)
    wait(lambda: os.path.exists(home + "/zerotier-one.port"), "start of " + name)


def stop(name):
    nodes[name].send_signal(signal.SIGTERM)
    nodes[name].wait(20)


def wait(condition, what):
    end = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > end:
            sys.exit("FAIL: " + what)
        time.sleep(0.05)


def token(node, name="authtoken.secret"):
    return open("%s/%s/%s" % (DIR, node, name)).read()


def ask(node, x):
    """(status, content type or None, text); status 0: nobody listens there."""
    at, where = "127.0.0.1", node
    if "from" in x:
        at, where = ADDRESS[node], "A" if node != "A" else "R"
    path, auth = translate(x["path"]), x["auth"]
    cmd = ["ip", "netns", "exec", where, "curl", "-s", "-m", "10", "-X", x["method"],
           "-w", "\n%{http_code} %{content_type}"]
    right = token(node, "metricstoken.secret" if "metrics token" in auth else "authtoken.secret")
    if auth.startswith("X-ZT1-Auth"):
        head = "wrong" if auth.startswith("X-ZT1-Auth, wrong") or "X-ZT1-Auth wrong" in auth \
            else right
        cmd += ["-H", "X-ZT1-Auth: " + head]
    if auth.startswith("Authorization"):
        cmd += ["-H", "Authorization: Bearer " + right]
    if "query auth=" in auth:
        path += "?auth=" + ("wrong" if auth.endswith("query auth= wrong") else right)
    if "request_body" in x:
        body = x["request_body"]
        text = body if isinstance(body, str) else translate(json.dumps(body))
        cmd += ["-H", "Content-Type: application/json", "--data-binary", text]
    out = subprocess.run(cmd + ["http://%s:9993%s" % (at, path)], capture_output=True, text=True)
    text, last = out.stdout.rsplit("\n", 1)
    status, kind = last.split(" ", 1)
    return int(status), kind or None, text


def translate(text):
    for a, b in sorted(names.items(), key=lambda ab: -len(ab[0])):  # whole ids before addresses
        text = text.replace(a, b).replace(a.upper(), b.upper())
    return text


def kind(v):
    return "number" if isinstance(v, (int, float)) and not isinstance(v, bool) else \
        type(v).__name__


def shape(v):
    """What two elements of a list may differ in, as text."""
    if isinstance(v, dict):
        return "{%s}" % ",".join(k + ":" + shape(v[k]) for k in sorted(v))
    return kind(v)


def differ(want, got, at, key=None, values=True):
    """A list of differences, for people."""
    if key in OURS and kind(want) == kind(got):
        return []
    if key in SAME and values and not isinstance(want, (dict, list)) and want != got:
        return ["%s is %r, wanted %r" % (at, got, want)]
    if kind(want) != kind(got):
        return ["%s is a %s, wanted a %s" % (at, kind(got), kind(want))]
    if isinstance(want, dict):
        if key in MAPS:
            return []
        out = ["%s has no %s" % (at, k) for k in sorted(want.keys() - got.keys())]
        out += ["%s has an odd %s" % (at, k) for k in sorted(got.keys() - want.keys())]
        for k in want.keys() & got.keys():
            out += differ(want[k], got[k], at + "." + k, k, values)
        return out
    if isinstance(want, list):
        want, got = comparable(want), comparable(got)
        if key in SAME and values and want != got:
            return ["%s is %s, wanted %s" % (at, json.dumps(got)[:200], json.dumps(want)[:200])]
        known = {shape(w) for w in want}
        return ["%s has an odd element %s" % (at, shape(g)) for g in got
                if want and shape(g) not in known]
    return []


def comparable(v):
    """A list of rules, say. The reference forgets INTEGER_RANGE rules it is sent; we keep them."""
    return [e for e in v if not isinstance(e, dict) or e.get("type") != "INTEGER_RANGE"]


def problems(x, answer, values):
    status, content, text = answer
    out = []
    if status != x["status"]:
        out.append("status %d, wanted %d: %s" % (status, x["status"], text[:200]))
    if content != x["content_type"]:
        out.append("type %s, wanted %s" % (content, x["content_type"]))
    if out:
        return out
    if "body" in x:
        try:
            got = json.loads(text)
        except ValueError:
            return ["no JSON: " + text[:200]]
        want = json.loads(translate(json.dumps(x["body"])))
        keyed = x["path"].endswith("/member") and x["path"].startswith("/controller")
        if keyed and set(want) != set(got):
            out.append("members %s, wanted %s" % (sorted(got), sorted(want)))
        elif not keyed:
            out += differ(want, got, "body", None, values)
    elif content == "text/plain":
        if not text.startswith("# HELP zt_"):
            out.append("no metrics: " + text[:200])
    elif content == "application/javascript":
        f = x["body_text"].split("(")[0]
        if not (text.startswith(f + "(") and text.endswith(");")):
            out.append("no call of %s: %s" % (f, text[:200]))
    elif text != x["body_text"]:
        out.append("body %r, wanted %r" % (text[:200], x["body_text"]))
    return out


def learn(x, answer):
    """Ids that chance made."""
    if x["method"] != "POST" or "/controller/network" not in x["path"] or "body" not in x:
        return
    try:
        ours = json.loads(answer[2]).get("id")
    except ValueError:
        return
    theirs = x["body"].get("id")
    if ours and theirs and len(ours) == 16 and translate(theirs) != ours:
        names[theirs] = ours


def is_closed_port(x, answer):
    """The reference listens everywhere and refuses; without allowManagementFrom we don't listen."""
    return "from" in x and answer[0] == 0 and (x["status"] == 401 or x["path"] == "/metrics")


def run(i, x):
    global passed, failed, deviations
    end = time.monotonic() + (WAIT_S if failed < 3 else 1)
    # Values of the moment after a POST that the network answers later are not compared.
    values = not (x["method"] != "GET" and x["path"].startswith("/network/"))
    if "learns of it at its next request" in x.get("note", ""):
        values = False
    while True:
        answer = ask(x["node"], x)
        learn(x, answer)
        if is_closed_port(x, answer):
            deviations += 1
            return
        bad = problems(x, answer, values)
        if not bad and x["path"].startswith("/network/") and x["group"] == "node: configured" \
                and isinstance(x.get("body"), dict) and "status" in x["body"] \
                and json.loads(answer[2])["status"] != x["body"]["status"]:
            bad = ["status is not " + x["body"]["status"]]
        if not bad or x["method"] != "GET" or time.monotonic() > end:
            break
        time.sleep(0.2)
    if not bad:
        passed += 1
        return
    failed += 1
    print("FAILED #%d %s %s %s: %s" % (i, x["node"], x["method"], x["path"],
                                       "; ".join(bad[:4])))


def main():
    data = json.load(open(VECTORS))
    for n in "RAB":
        start(n)
    for n in data["nodes"]:
        names[n["address"]] = open("%s/%s/identity.public" % (DIR, n["name"])).read()[:10]
    wait(lambda: all(json.loads(ask(n, {"method": "GET", "path": "/health", "auth": "none"})[2])
                     ["online"] for n in "RAB"), "online")
    for n in "RAB":  # as they had when the recording began
        ask(n, {"method": "POST", "path": "/network/" + data["nwid"], "request_body": {},
                "auth": "X-ZT1-Auth, right"})
    group = None
    for i, x in enumerate(data["http"]):
        if x["group"] != group and "set in local.conf before the start" in x["group"]:
            stop("B")
            with open(DIR + "/B/local.conf", "w") as f:
                json.dump({"settings": {"allowManagementFrom": ["10.81.0.0/24"]}}, f)
            start("B")
        group = x["group"]
        run(i, x)
    for n in "RAB":
        stop(n)
    print("%d requests to a port that we don't open without allowManagementFrom" % deviations)
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(failed > 0)


main()
