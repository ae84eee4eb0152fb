#!/usr/bin/env python3
"""Wrong calls to the local HTTP API: the right status, a clear JSON error, and nothing changed.

usage: api.py ZTD

Starts one ztd in a home of its own, without a planet, so that it talks to nobody.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/lib"))
from ports import free_ports  # noqa: E402

ZTD = os.path.abspath(sys.argv[1])
NWID = "ff00160016000000"
passed = failed = 0


def say_failed(name, text):
    global failed
    failed += 1
    print("FAILED %s: %s" % (name, text))


def good(name, condition, text=""):
    global passed
    if condition:
        passed += 1
    else:
        say_failed(name, text)


class Node:
    """One ztd; stop() ends it and says how it ended."""

    def __init__(self, home, port=0):
        self.home = home
        self.log = open(home + ".log", "a")
        self.process = subprocess.Popen([ZTD, "-H", home, "-p", str(port)], stderr=self.log)
        self.port = None
        end = time.monotonic() + 60
        while not os.path.exists(home + "/api.sock"):
            if time.monotonic() > end or self.process.poll() is not None:
                raise SystemExit("ztd did not start:\n" + open(home + ".log").read())
            time.sleep(0.02)
        if os.path.exists(home + "/zerotier-one.port"):
            self.port = int(open(home + "/zerotier-one.port").read())
        self.token = open(home + "/authtoken.secret").read()
        self.metrics_token = open(home + "/metricstoken.secret").read()

    def connect(self, family=socket.AF_INET):
        s = socket.socket(family)
        s.settimeout(60)
        if family == socket.AF_UNIX:
            s.connect(self.home + "/api.sock")
        else:
            s.connect(("127.0.0.1" if family == socket.AF_INET else "::1", self.port))
        return s

    def raw(self, data, family=socket.AF_INET):
        """Sends bytes as they are; returns all that comes back until the other side closes or
        Content-Length is satisfied."""
        with self.connect(family) as s:
            try:
                s.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before all was sent: the answer may be there all the same
            return receive(s)

    def call(self, method, path, body=b"", headers=None, token=True, family=socket.AF_INET):
        h = {"Host": "127.0.0.1:%s" % self.port, "Connection": "close"}
        if token:
            h["X-ZT1-Auth"] = self.token if token is True else token
        if body or method in ("POST", "PUT"):
            h["Content-Length"] = str(len(body))
        h.update(headers or {})
        text = "%s %s HTTP/1.1\r\n" % (method, path)
        text += "".join("%s: %s\r\n" % kv for kv in h.items() if kv[1] is not None) + "\r\n"
        return self.raw(text.encode("latin-1") + body, family)

    def get(self, path):
        return json.loads(self.call("GET", path).body)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.log.close()
        return code


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __repr__(self):
        return "%s %s %r" % (self.status, self.headers.get("content-type"), self.body[:120])


def receive(s, head_only=False):
    """One answer. Status 0: the connection was closed without one."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            part = s.recv(65536)
        except ConnectionResetError:
            part = b""
        if not part:
            return Answer(0, {}, data)
        data += part
    head, body = data.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
    want = int(headers.get("content-length", 0))
    while not head_only and len(body) < want:
        part = s.recv(65536)
        if not part:
            break
        body += part
    return Answer(int(lines[0].split()[1]), headers, body)


def state(node):
    """Everything that a wrong call could have changed."""
    status = node.get("/status")
    for k in ("clock",):
        del status[k]
    files = {}
    for top, dirs, names in os.walk(node.home):
        dirs.sort()
        for name in sorted(names):
            path = os.path.join(top, name)
            if name not in ("state", "api.sock", "control.sock", "identity.lock") and not name.endswith(".tmp"):
                files[path] = open(path, "rb").read()
    return [status, files] + [node.get(p) for p in ("/network", "/peer", "/moon", "/config")]


def is_json_error(a):
    try:
        doc = json.loads(a.body)
    except ValueError:
        return False
    return doc.get("error") == a.status and len(doc.get("description", "")) > 5


def chunked(*parts):
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"


# name, method, path, body, headers, token, status, kind of body
#   empty: no body and no type; {}: an empty object; error: {"error": status, "description": ...}
WRONG = [
    ("no token", "GET", "/status", b"", {}, None, 401, "{}"),
    ("wrong token", "GET", "/status", b"", {}, "x" * 24, 401, "{}"),
    ("empty token", "GET", "/status", b"", {"X-ZT1-Auth": ""}, None, 401, "{}"),
    ("shorter token", "GET", "/status", b"", {}, lambda n: n.token[:-1], 401, "{}"),
    ("longer token", "GET", "/status", b"", {}, lambda n: n.token + "a", 401, "{}"),
    ("metrics token elsewhere", "GET", "/status", b"", {}, lambda n: n.metrics_token, 401, "{}"),
    ("join without token", "POST", "/network/" + NWID, b"{}", {}, None, 401, "{}"),
    ("metrics without token", "GET", "/metrics", b"", {}, None, 401, "{}"),
    ("wrong Bearer", "GET", "/status", b"", {"Authorization": "Bearer nonsense"}, None, 401, "{}"),
    ("Basic", "GET", "/status", b"", {"Authorization": "Basic Zm9vOmJhcg=="}, None, 401, "{}"),
    ("wrong token in the query", "GET", "/status?auth=abc", b"", {}, None, 401, "{}"),
    ("Host: evil", "GET", "/status", b"", {"Host": "evil.example"}, True, 403, "error"),
    ("Host: evil with our port", "GET", "/status", b"", {"Host": "evil.example:9993"}, True, 403,
     "error"),
    ("Host: localhost.evil", "GET", "/status", b"", {"Host": "localhost.evil.example"}, True, 403,
     "error"),
    ("Host: 127.0.0.1.evil", "GET", "/status", b"", {"Host": "127.0.0.1.evil.example"}, True, 403,
     "error"),
    ("Host: with a user", "GET", "/status", b"", {"Host": "127.0.0.1@evil.example"}, True, 403,
     "error"),
    ("Host: bracket without end", "GET", "/status", b"", {"Host": "[::1"}, True, 403, "error"),
    ("Host: bad port", "GET", "/status", b"", {"Host": "127.0.0.1:80a"}, True, 403, "error"),
    ("Origin", "GET", "/status", b"", {"Origin": "http://evil.example"}, True, 403, "error"),
    ("Origin: null", "POST", "/network/" + NWID, b"{}", {"Origin": "null"}, True, 403, "error"),
    ("Origin: other port", "POST", "/network/" + NWID, b"{}", {"Origin": "http://127.0.0.1:1"},
     True, 403, "error"),
    ("Sec-Fetch-Site", "DELETE", "/network/" + NWID, b"", {"Sec-Fetch-Site": "cross-site"}, True,
     403, "error"),
    ("Sec-Fetch-Site: a sister site", "GET", "/status", b"", {"Sec-Fetch-Site": "same-site"}, True,
     403, "error"),
    ("a script tag with a stolen token", "GET", "/status?jsonp=f", b"",
     {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, True, 403, "error"),
    ("a preflight", "OPTIONS", "/network/" + NWID, b"",
     {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}, None, 403, "error"),
    ("Host: empty", "GET", "/status", b"", {"Host": ""}, True, 403, "error"),
    ("Host: localhost with a dot", "GET", "/status", b"", {"Host": "localhost.:9993"}, True, 403,
     "error"),
    ("metrics from another site", "GET", "/metrics", b"", {"Host": "evil.example"},
     lambda n: n.metrics_token, 403, "error"),
    ("health from another site", "GET", "/health", b"", {"Origin": "http://evil.example"}, None, 403,
     "error"),
    ("POST /status", "POST", "/status", b"{}", {}, True, 404, "empty"),
    ("DELETE /status", "DELETE", "/status", b"", {}, True, 404, "empty"),
    ("PATCH /network", "PATCH", "/network/" + NWID, b"{}", {}, True, 404, "empty"),
    ("OPTIONS", "OPTIONS", "/status", b"", {}, True, 404, "empty"),
    ("TRACE", "TRACE", "/status", b"", {}, True, 404, "empty"),
    ("invented method", "FROBNICATE", "/status", b"", {}, True, 404, "empty"),
    ("POST /network", "POST", "/network", b"{}", {}, True, 404, "empty"),
    ("DELETE /peer", "DELETE", "/peer/0123456789", b"", {}, True, 404, "empty"),
    ("unknown path", "GET", "/nosuch", b"", {}, True, 404, "empty"),
    ("top", "GET", "/", b"", {}, True, 404, "empty"),
    ("trailing slash", "GET", "/network/", b"", {}, True, 404, "empty"),
    ("slash behind an id", "GET", "/network/%s/" % NWID, b"", {}, True, 404, "empty"),
    ("two slashes", "GET", "//status", b"", {}, True, 404, "empty"),
    ("dots", "GET", "/network/../status", b"", {}, True, 404, "empty"),
    ("a file of the home", "GET", "/../../authtoken.secret", b"", {}, True, 404, "empty"),
    ("escaped slash", "GET", "/network%2f" + NWID, b"", {}, True, 404, "empty"),
    ("escaped zero", "GET", "/status%00", b"", {}, True, 404, "empty"),
    ("escaped letter", "GET", "/%73tatus", b"", {}, True, 404, "empty"),
    ("absolute form", "GET", "http://evil.example/status", b"", {}, True, 404, "empty"),
    ("short network id", "POST", "/network/" + NWID[1:], b"{}", {}, True, 404, "empty"),
    ("long network id", "POST", "/network/0" + NWID, b"{}", {}, True, 404, "empty"),
    ("network id with a sign", "POST", "/network/+" + NWID[1:], b"{}", {}, True, 404, "empty"),
    ("network id with 0x", "POST", "/network/0x" + NWID[2:], b"{}", {}, True, 404, "empty"),
    ("network id with letters", "POST", "/network/zz00160016000000", b"{}", {}, True, 404, "empty"),
    ("network id 0", "POST", "/network/" + "0" * 16, b"{}", {}, True, 400, "error"),
    ("not joined", "GET", "/network/8056c2e21c000001", b"", {}, True, 404, "{}"),
    ("leave what is not joined", "DELETE", "/network/8056c2e21c000001", b"", {}, True, 200, "{}"),
    ("unknown peer", "GET", "/peer/1111111111", b"", {}, True, 200, "{}"),
    ("short peer address", "GET", "/peer/111111111", b"", {}, True, 404, "empty"),
    ("moon without seed", "POST", "/moon/1234567890", b"{}", {}, True, 200, "{}"),
    ("moon, seed a number", "POST", "/moon/1234567890", b'{"seed": 1234567890}', {}, True, 200,
     "{}"),
    ("moon, short seed", "POST", "/moon/1234567890", b'{"seed": "123456789"}', {}, True, 200, "{}"),
    ("moon, body no JSON", "POST", "/moon/1234567890", b"seed", {}, True, 200, "{}"),
    ("moon, id of 16 digits", "POST", "/moon/0000001234567890", b"{}", {}, True, 404, "empty"),
    ("settings: no JSON", "POST", "/config/settings", b"bad", {}, True, 500, "error"),
    ("settings: nothing", "POST", "/config/settings", b"", {}, True, 500, "error"),
    ("settings: cut", "POST", "/config/settings", b'{"primaryPort":', {}, True, 500, "error"),
    ("settings: more behind", "POST", "/config/settings", b'{"a": 1} x', {}, True, 500, "error"),
    ("settings: bad UTF-8", "POST", "/config/settings", b'{"a": "\xff\xfe"}', {}, True, 500,
     "error"),
    ("settings: a zero byte", "POST", "/config/settings", b'{"a": "\\u0000"}', {}, True, 500,
     "error"),
    ("settings: deep", "POST", "/config/settings", b"[" * 100000, {}, True, 500, "error"),
    ("settings: no object", "POST", "/config/settings", b"[]", {}, True, 200, "{}"),
    ("settings: number", "POST", "/config/settings", b"7", {}, True, 200, "{}"),
    ("GET /config/settings", "GET", "/config/settings", b"", {}, True, 404, "empty"),
    ("POST /config", "POST", "/config", b"{}", {}, True, 404, "empty"),
    ("body too large", "POST", "/config/settings", b" " * (2 << 20) + b"{}", {}, True, 413,
     "error"),
    ("jsonp: a program", "GET", "/status?jsonp=alert(1)//", b"", {}, True, 400, "error"),
    ("jsonp: empty", "GET", "/status?jsonp=", b"", {}, True, 400, "error"),
    ("jsonp: long", "GET", "/status?jsonp=" + "a" * 65, b"", {}, True, 400, "error"),
    ("long path", "GET", "/" + "a" * 8000, b"", {}, True, 404, "empty"),
]


def check_kind(name, a, kind):
    if kind == "empty":
        good(name, a.body == b"" and "content-type" not in a.headers, repr(a))
    elif kind == "{}":
        good(name, a.body == b"{}" and a.headers.get("content-type") == "application/json", repr(a))
    elif kind == "error":
        good(name, is_json_error(a), repr(a))


def wrong_calls(node):
    before = state(node)
    for name, method, path, body, headers, token, status, kind in WRONG:
        if callable(token):
            token = token(node)
        a = node.call(method, path, body, headers, token)
        good(name, a.status == status, "%r, wanted %d" % (a, status))
        check_kind(name + ": body", a, kind)
        good(name + ": for no other site", not any(h.startswith("access-control") for h in a.headers))
    good("nothing changed", state(node) == before, "state differs")


def controller_state(node):
    paths = [p for n in node.get("/controller/network")
             for p in ["/controller/network/" + n]
             + ["/controller/network/%s/member/%s" % (n, m)
                for m in node.get("/controller/network/%s/member" % n)]]
    return {p: node.get(p) for p in paths}


# The same form; {ID} is the node's address, {NET} a network of it and {MEM} a member of that.
WRONG_CONTROLLER = [
    ("no token", "POST", "/{NET}", b'{"name":"x"}', {}, None, 401, "{}"),
    ("wrong token", "DELETE", "/{NET}", b"", {}, "x" * 24, 401, "{}"),
    ("another site", "POST", "/{NET}", b"{}", {"Origin": "http://evil.example"}, True, 403, "error"),
    ("POST /controller", "POST", "", b"{}", {}, True, 404, "empty"),
    ("DELETE /controller/network", "DELETE", "/network", b"", {}, True, 404, "empty"),
    ("PATCH", "PATCH", "/{NET}", b'{"name":"x"}', {}, True, 404, "empty"),
    ("POST /member", "POST", "/{NET}/member", b"{}", {}, True, 404, "empty"),
    ("DELETE /member", "DELETE", "/{NET}/member", b"", {}, True, 404, "empty"),
    ("unknown network", "GET", "/network/{ID}00ffff", b"", {}, True, 404, "empty"),
    ("delete an unknown network", "DELETE", "/network/{ID}00ffff", b"", {}, True, 404, "empty"),
    ("members of an unknown network", "GET", "/network/{ID}00ffff/member", b"", {}, True, 404, "empty"),
    ("authorise in an unknown network", "POST", "/network/{ID}00ffff/member/1111111111",
     b'{"authorized":true}', {}, True, 404, "empty"),
    ("short network id", "GET", "/network/{ID}0000f", b"", {}, True, 404, "empty"),
    ("long network id", "POST", "/network/{ID}0000010", b"{}", {}, True, 404, "empty"),
    ("network id with letters", "POST", "/network/{ID}00000g", b"{}", {}, True, 404, "empty"),
    ("network id with a sign", "POST", "/network/+{ID}00001", b"{}", {}, True, 404, "empty"),
    ("five underscores", "POST", "/network/{ID}_____", b"{}", {}, True, 404, "empty"),
    ("seven underscores", "POST", "/network/{ID}_______", b"{}", {}, True, 404, "empty"),
    ("another controller's new network", "POST", "/network/1234567890______", b"{}", {}, True, 400,
     "empty"),
    ("unknown member", "GET", "/{NET}/member/1111111111", b"", {}, True, 404, "empty"),
    ("delete an unknown member", "DELETE", "/{NET}/member/1111111111", b"", {}, True, 404, "empty"),
    ("short member address", "POST", "/{NET}/member/111111111", b"{}", {}, True, 404, "empty"),
    ("long member address", "POST", "/{NET}/member/11111111111", b"{}", {}, True, 404, "empty"),
    ("member address with letters", "POST", "/{NET}/member/111111111x", b"{}", {}, True, 404, "empty"),
    ("member 0", "POST", "/{NET}/member/0000000000", b"{}", {}, True, 404, "empty"),
    ("slash behind a member", "POST", "/{MEM}/", b"{}", {}, True, 404, "empty"),
    ("something behind a member", "GET", "/{MEM}/identity", b"", {}, True, 404, "empty"),
    ("dots", "GET", "/network/../../authtoken.secret", b"", {}, True, 404, "empty"),
    ("dots behind a network", "DELETE", "/{NET}/member/../../{NET}", b"", {}, True, 404, "empty"),
    ("escaped dots", "GET", "/network/%2e%2e/%2e%2e/identity.secret", b"", {}, True, 404, "empty"),
    ("the file's name", "GET", "/{NET}.json", b"", {}, True, 404, "empty"),
    ("escaped zero", "DELETE", "/{NET}%00", b"", {}, True, 404, "empty"),
    ("two slashes", "DELETE", "//{NET}", b"", {}, True, 404, "empty"),
    ("network: no body", "POST", "/{NET}", b"", {}, True, 500, "error"),
    ("network: no JSON", "POST", "/{NET}", b"name=x", {}, True, 500, "error"),
    ("network: cut", "POST", "/{NET}", b'{"name":"x"', {}, True, 500, "error"),
    ("network: more behind", "POST", "/{NET}", b'{"name":"x"}}', {}, True, 500, "error"),
    ("network: bad UTF-8", "POST", "/{NET}", b'{"name":"\xff"}', {}, True, 500, "error"),
    ("network: deep", "POST", "/{NET}", b'{"rules":' + b"[" * 100000, {}, True, 500, "error"),
    ("network: number too large", "POST", "/{NET}", b'{"mtu":1e999}', {}, True, 500, "error"),
    ("network: too large", "POST", "/{NET}", b'{"name":"' + b"x" * (2 << 20) + b'"}', {}, True, 413,
     "error"),
    ("new network: no JSON", "POST", "/network", b"{", {}, True, 500, "error"),
    ("new network by number: no JSON", "POST", "/network/{ID}______", b"{", {}, True, 500, "error"),
    ("member: no JSON", "POST", "/{MEM}", b"true, false", {}, True, 500, "error"),
    ("new member: no JSON", "POST", "/{NET}/member/1111111111", b"[", {}, True, 500, "error"),
    ("member: addresses that are numbers", "POST", "/{MEM}",
     b'{"name":"x","authorized":true,"ipAssignments":["10.9.9.9",7]}', {}, True, 500, "error"),
    ("new member: addresses that are lists", "POST", "/{NET}/member/1111111111",
     b'{"ipAssignments":[[]]}', {}, True, 500, "error"),
    ("network: a list", "POST", "/{NET}", b"[]", {}, True, 200, ""),
    ("network: a number", "POST", "/{NET}", b"7", {}, True, 200, ""),
    ("network: null", "POST", "/{NET}", b"null", {}, True, 200, ""),
    ("network: what may not be written", "POST", "/{NET}",
     b'{"id":"1234567890123456","nwid":"x","revision":99,"creationTime":1,"objtype":"member","a":{"b":1}}',
     {}, True, 200, ""),
    ("network: lists that are none", "POST", "/{NET}",
     b'{"routes":7,"rules":"x","tags":{},"capabilities":1,"ipAssignmentPools":true,"dns":"x"}', {},
     True, 200, ""),
    ("member: a text", "POST", "/{MEM}", b'"authorized"', {}, True, 200, ""),
    ("member: what may not be written", "POST", "/{MEM}",
     b'{"address":"1111111111","id":"x","identity":"1111111111:0:00","vMajor":9,"lastAuthorizedTime":1}',
     {}, True, 200, ""),
    ("member: lists that are none", "POST", "/{MEM}", b'{"ipAssignments":"x","tags":7,"capabilities":{}}',
     {}, True, 200, ""),
    ("unstable: unknown network", "GET", "/../unstable/controller/network/{ID}00ffff/member", b"", {},
     True, 404, "empty"),
    ("member as text of a number", "GET", "/network/%s" % ("9" * 300), b"", {}, True, 404, "empty"),
]


def wrong_controller_calls(node):
    own = node.get("/status")["address"]
    net = "network/%s00a11c" % own
    mem = net + "/member/2222222222"
    for path, body in ((net, b'{"name":"kept","mtu":1400}'),
                       (mem, b'{"authorized":true,"ipAssignments":["10.1.1.1"]}')):
        a = node.call("POST", "/controller/" + path, body)
        good("controller: make " + path, a.status == 200, repr(a))
    before, files = controller_state(node), state(node)
    for name, method, path, body, headers, token, status, kind in WRONG_CONTROLLER:
        name = "controller: " + name
        path = "/controller" + path.replace("{ID}", own).replace("{NET}", net).replace("{MEM}", mem)
        path = path.replace("/controller/../unstable", "/unstable")
        a = node.call(method, path, body, headers, token)
        good(name, a.status == status, "%r, wanted %d" % (a, status))
        check_kind(name + ": body", a, kind)
        now = controller_state(node)
        good(name + ": nothing changed", now == before, repr(now))
        before = now
    good("controller: no file changed", state(node) == files, "state differs")


def wrong_bytes(node):
    """What no client library would send."""
    before = state(node)
    auth = b"Host: localhost\r\nX-ZT1-Auth: %s\r\n" % node.token.encode()
    a = node.raw(b"POST /config/settings HTTP/1.1\r\n" + auth
                 + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                 + chunked(b'{"a":', b" nonsense}"))
    good("chunked, bad JSON", a.status == 500 and is_json_error(a), repr(a))
    a = node.raw(b"POST /config/settings HTTP/1.1\r\n" + auth
                 + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                 + chunked(*[b" " * 65536] * 40))
    good("chunked, too large", a.status == 413 and is_json_error(a), repr(a))
    a = node.raw(b"POST /config/settings HTTP/1.1\r\n" + auth
                 + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n{}\r\n0\r\n\r\n")
    good("chunked, bad length", a.status in (0, 400), repr(a))
    a = node.raw(b"GET /status HTTP/1.1\r\n" + auth + b"X: " + b"y" * 40000 + b"\r\n\r\n")
    good("headers too large", a.status in (413, 414, 431), repr(a))
    a = node.raw(b"GET /status HTTP/1.1\r\n" + auth + b"X: y\r\n" * 20000 + b"\r\n")
    good("too many headers", a.status in (0, 413, 431), repr(a))
    a = node.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n")
    good("TLS", a.status in (0, 400), repr(a))
    a = node.raw(b"GET\r\n\r\n")
    good("no path", a.status in (0, 400), repr(a))
    a = node.raw(b"POST /config/settings HTTP/1.1\r\n" + auth + b"Content-Length: -5\r\n\r\n{}")
    good("negative length", a.status in (0, 400, 413), repr(a))
    a = node.raw(b"POST /config/settings HTTP/1.1\r\n" + auth
                 + b"Content-Length: 99999999999999999999\r\n\r\n{}")
    good("length beyond numbers", a.status in (0, 400, 413), repr(a))
    with node.connect() as s:  # announces a body and goes away
        s.sendall(b"POST /config/settings HTTP/1.1\r\n" + auth + b"Content-Length: 40\r\n\r\n{")
    with node.connect() as s:  # asks and does not wait
        s.sendall(b"POST /config/settings HTTP/1.1\r\n" + auth + b"Content-Length: 3\r\n\r\nbad")
    with node.connect() as s:  # three in one go: answered in order
        s.sendall((b"GET /nosuch HTTP/1.1\r\n" + auth + b"\r\n")
                  + (b"POST /config/settings HTTP/1.1\r\n" + auth
                     + b"Content-Length: 3\r\n\r\nbad")
                  + (b"GET /health HTTP/1.1\r\n" + auth + b"Connection: close\r\n\r\n"))
        data = b""
        while True:
            part = s.recv(65536)
            if not part:
                break
            data += part
        statuses = re.findall(rb"HTTP/1.1 (\d+)", data)
        good("pipelined", statuses == [b"404", b"500", b"200"], repr(statuses))
    good("nothing changed by bytes", state(node) == before, "state differs")


def many_connections(node):
    """More than are let in, all silent: those already in are served, and later everybody."""
    socks = [node.connect() for _ in range(60)]
    a = node.call("GET", "/health")
    good("with sixty silent connections", a.status == 200, repr(a))
    for s in socks:
        s.close()
    socks = []
    for _ in range(200):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", node.port))
        socks.append(s)
    for s in socks:
        s.close()
    end = time.monotonic() + 60
    while True:
        try:
            a = node.call("GET", "/health")
        except OSError:
            a = Answer(0, {}, b"")
        if a.status == 200 or time.monotonic() > end:
            break
    good("after two hundred connections", a.status == 200, repr(a))


def right_calls(node):
    """The ways in that must work, so that the wrong ones above are wrong for their own reason."""
    t = node.token
    for name, path, headers, token in [
            ("header", "/status", {}, True),
            ("query", "/status?auth=" + t, {}, None),
            ("Bearer", "/status", {"Authorization": "bearer  " + t}, None),
            ("header before query", "/status?auth=x", {}, True),
            ("Host: localhost", "/status", {"Host": "localhost:9993"}, True),
            ("no Host", "/status", {"Host": None}, True),  # as zerotier-cli does
            ("Host: LOCALHOST", "/status", {"Host": "LOCALHOST"}, True),
            ("Host: [::1]", "/status", {"Host": "[::1]:9993"}, True),
            ("own Origin", "/status", {"Origin": "http://127.0.0.1:%d" % node.port}, True),
            ("typed into a browser", "/status", {"Sec-Fetch-Site": "none"}, True),
            ("health", "/health", {}, None),
            ("metrics", "/metrics", {}, node.metrics_token)]:
        a = node.call("GET", path, headers=headers, token=token)
        good("right: " + name, a.status == 200, repr(a))
    a = node.call("GET", "/status", family=socket.AF_UNIX)
    good("right: api.sock", a.status == 200, repr(a))
    good("api.sock is private", os.stat(node.home + "/api.sock").st_mode & 0o777 == 0o600)
    good("tokens are private",
         all(os.stat("%s/%stoken.secret" % (node.home, f)).st_mode & 0o777 == 0o600
             for f in ("auth", "metrics")))
    good("token", re.fullmatch("[a-z0-9]{24}", t), t)
    if socket.has_ipv6:
        try:
            a = node.call("GET", "/status", family=socket.AF_INET6)
            good("right: ::1", a.status == 200, repr(a))
        except OSError as e:
            print("SKIP ::1:", e)
    with node.connect() as s:
        s.sendall(b"HEAD /status HTTP/1.1\r\nHost: localhost\r\nX-ZT1-Auth: %s\r\n"
                  b"Connection: close\r\n\r\n" % t.encode())
        a = receive(s, head_only=True)
        good("right: HEAD", a.status == 200 and a.body == b"", repr(a))
    a = node.call("GET", "/status?jsonp=a.b$c_1")
    good("right: jsonp", a.body.startswith(b"a.b$c_1({") and a.body.endswith(b"});"), repr(a))
    a = node.call("GET", "/network/8056c2e21c000001?jsonp=x")
    good("jsonp of nothing", a.status == 404 and a.body == b"x(null);", repr(a))

    a = node.call("PUT", "/network/" + NWID, b'{"allowGlobal": true, "allowManaged": "false"}')
    doc = json.loads(a.body)
    good("settings: booleans only", doc["allowGlobal"] is True and doc["allowManaged"] is True, a)
    good("joined", [n["id"] for n in node.get("/network")] == [NWID])
    a = node.call("GET", "/network/" + NWID.upper())
    good("capital digits", a.status == 200, repr(a))
    a = node.call("POST", "/network/" + NWID, b"not JSON")
    good("body ignored", a.status == 200 and json.loads(a.body)["allowGlobal"] is True, repr(a))
    for want in (b'{"result":true}', b"{}"):
        a = node.call("DELETE", "/network/" + NWID)
        good("leave", a.status == 200 and a.body == want, repr(a))
    a = node.call("POST", "/config/settings", b'{"allowTcpFallbackRelay": false, "x": [1]}')
    good("settings are written", a.body == b"{}" and node.get("/config") ==
         {"settings": {"allowTcpFallbackRelay": False, "x": [1]}}, repr(a))
    a = node.call("POST", "/config/settings", b'{"x": "%s"}' % (b"y" * 1500000))
    good("a large body", a.status == 200 and len(node.get("/config")["settings"]["x"]) == 1500000)
    a = node.call("POST", "/config/settings", b'{"x": null}')


METRICS = [
    "zt_data", "zt_datagrams_total", "zt_drops_total", "zt_peers", "zt_networks", "zt_sockets",
    "zt_socket_bytes_total", "zt_loop_turn_seconds_sum", "zt_relayed_packets_total",
    "zt_identities_told_total", "zt_introductions_total", "zt_root", "zt_controller_networks",
    "zt_controller_members", "zt_controller_requests_total", "zt_controller_configurations_total",
    "zt_controller_refused_total", "zt_controller_revocations_total", "zt_controller_unwritten",
]


def metrics(node):
    a = node.call("GET", "/metrics")
    lines = a.body.decode().split("\n")
    good("metrics: type", a.headers.get("content-type") == "text/plain", repr(a))
    good("metrics: ends with a newline", lines[-1] == "")
    seen, types = {}, {}
    for line in lines[:-1]:
        if line.startswith("# "):
            _, what, name, rest = line.split(" ", 3)
            if what == "TYPE":
                types[name] = rest
            continue
        m = re.fullmatch(r'([a-z_]+)(\{([a-z]+="[^"]*",?)+\})? ([0-9.e+-]+)', line)
        good("metrics: " + line[:40], m and line.rsplit(" ", 1)[0] not in seen, line)
        if m:
            seen[line.rsplit(" ", 1)[0]] = float(m.group(4))
            base = re.sub("_(bucket|sum|count)$", "", m.group(1))
            good("metrics: type of " + m.group(1), m.group(1) in types or base in types)
    buckets = [v for k, v in seen.items() if k.startswith("zt_loop_turn_seconds_bucket")]
    good("metrics: histogram grows", buckets == sorted(buckets) and buckets[-1] ==
         seen["zt_loop_turn_seconds_count"] > 0)
    good("metrics: networks", seen["zt_num_networks"] == len(node.get("/network")))
    for name in METRICS:
        good("metrics: has " + name, any(k.split("{")[0] == name for k in seen))
    good("metrics: controller's networks",
         seen["zt_controller_networks"] == len(node.get("/controller/network")) > 0)
    good("metrics: all written", seen["zt_controller_unwritten"] == 0)
    good("metrics: writes", seen['zt_controller_writes_total{result="ok"}'] > 0
         == seen['zt_controller_writes_total{result="error"}'])


def damaged_conf(node):
    """A local.conf that can't be understood is never overwritten."""
    path = node.home + "/local.conf"
    open(path, "w").write("{ damaged")
    a = node.call("POST", "/config/settings", b'{"a": 1}')
    good("damaged local.conf", a.status == 500 and is_json_error(a), repr(a))
    good("damaged local.conf is kept", open(path).read() == "{ damaged")
    os.unlink(path)


def taken_port(top):
    """Somebody else has the TCP port: said, and served on another one, which the port file names."""
    taken = free_ports()[0]
    with socket.create_server(("127.0.0.1", taken)):
        node = Node(top + "/taken", taken)
        good("taken port: another one", node.port not in (None, 0, taken), node.port)
        a = node.call("GET", "/status")
        good("taken port: it answers", a.status == 200, repr(a))
        a = node.call("GET", "/status", family=socket.AF_UNIX)
        good("taken port: api.sock", a.status == 200, repr(a))
        good("taken port: clean end", node.stop() == 0)
    good("taken port: said", "the local API is on" in open(node.home + ".log").read())


def main():
    top = tempfile.mkdtemp(prefix="zt-api-")
    node = None
    try:
        node = Node(top + "/home")
        right_calls(node)
        wrong_calls(node)
        wrong_controller_calls(node)
        wrong_bytes(node)
        many_connections(node)
        metrics(node)
        damaged_conf(node)
        again = node.token
        good("clean end", node.stop() == 0)
        good("api.sock is gone", not os.path.exists(node.home + "/api.sock"))
        good("no complaint", "rror" not in open(node.home + ".log").read(),
             open(node.home + ".log").read())
        node = Node(top + "/home")
        good("the token stays", node.token == again)
        node.stop()
        taken_port(top)
    finally:
        if node is not None and node.process.poll() is None:
            node.process.kill()
            node.process.wait()
        shutil.rmtree(top, ignore_errors=True)
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(failed > 0)


main()
