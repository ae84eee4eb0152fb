#!/usr/bin/env python3
"""The API calls of takeover.sh, to the node that runs in HOME.

    takeover.py fill HOME PREFIX     networks and members with everything that a record can hold; their
                                     numbers start with PREFIX, four hex digits
    takeover.py change HOME          a change of every network and of every second member
    takeover.py dump HOME            all documents as JSON, sorted
"""
import http.client
import json
import sys

RULES = [
    {"type": "MATCH_ETHERTYPE", "not": True, "or": False, "etherType": 2048},
    {"type": "MATCH_IPV4_DEST", "not": False, "or": True, "ip": "10.9.0.0/16"},
    {"type": "MATCH_IP_DEST_PORT_RANGE", "not": False, "or": False, "start": 22, "end": 80},
    {"type": "MATCH_TAGS_EQUAL", "not": False, "or": False, "id": 1, "value": 2},
    {"type": "MATCH_CHARACTERISTICS", "not": False, "or": False, "mask": "0000000000000002"},
    {"type": "MATCH_ICMP", "not": False, "or": False, "icmpType": 8, "icmpCode": None},
    {"type": "ACTION_TEE", "address": "1234567890", "flags": 0, "length": 64},
    {"type": "ACTION_DROP"},
    {"type": "ACTION_ACCEPT"},
]
NETWORKS = [
    {},
    {"name": "everything é \"quoted\"", "private": True, "enableBroadcast": False,
     "multicastLimit": 7, "mtu": 1400, "v4AssignMode": {"zt": True},
     "v6AssignMode": {"zt": True, "6plane": True, "rfc4193": True},
     "routes": [{"target": "10.150.0.0/16"}, {"target": "192.168.7.0/24", "via": "10.150.0.9"},
                {"target": "fd77::/64"}],
     "ipAssignmentPools": [{"ipRangeStart": "10.150.1.1", "ipRangeEnd": "10.150.1.250"},
                           {"ipRangeStart": "fd77::1", "ipRangeEnd": "fd77::ffff:ffff:ffff"}],
     "rules": RULES,
     "capabilities": [{"id": 5, "default": True, "rules": RULES[:1] + RULES[-1:]},
                      {"id": 2, "default": False, "rules": RULES[-1:]}],
     "tags": [{"id": 1, "default": 2}, {"id": 9, "default": None}],
     "authTokens": {"letmein0000000001": 0, "late0000000000001": 4102444800000},
     "dns": {"domain": "lab.test", "servers": ["10.150.0.1", "fd77::53"]},
     "remoteTraceTarget": "1234567890", "remoteTraceLevel": 3},
    {"name": "open", "private": False, "v4AssignMode": "zt",
     "routes": [{"target": "10.151.0.0/24"}],
     "ipAssignmentPools": [{"ipRangeStart": "10.151.0.1", "ipRangeEnd": "10.151.0.9"}]},
]
MEMBERS = [
    ("1111111111", {}),
    ("2222222222", {"authorized": True, "name": "printer", "ipAssignments": ["10.150.1.7"],
                    "activeBridge": True}),
    ("3333333333", {"authorized": True, "noAutoAssignIps": True, "capabilities": [5, 2, 2],
                    "tags": [[9, 4294967295], [1, 3]], "remoteTraceTarget": "0987654321"}),
    ("4444444444", {"authorized": False, "ipAssignments": ["10.150.1.8", "fd77::8"],
                    "authenticationExpiryTime": 1234567890123}),
]


class Api:
    def __init__(self, home):
        self.token = open(home + "/authtoken.secret").read().strip()
        self.port = int(open(home + "/zerotier-one.port").read())
        self.id = open(home + "/identity.public").read()[:10]

    def call(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        c.request(method, path, None if body is None else json.dumps(body),
                  {"X-ZT1-Auth": self.token})
        r = c.getresponse()
        text = r.read()
        if r.status != 200:
            sys.exit("%s %s: %d %r" % (method, path, r.status, text))
        return json.loads(text)

    def networks(self):
        return self.call("GET", "/controller/network")

    def members(self, nwid):
        return sorted(self.call("GET", "/controller/network/%s/member" % nwid))


def fill(api, prefix):
    for i, net in enumerate(NETWORKS):
        path = "/controller/network/%s%s%02x" % (api.id, prefix, i)
        api.call("POST", path, net)
        for address, member in MEMBERS:
            api.call("POST", "%s/member/%s" % (path, address), member)


def change(api):
    for nwid in api.networks():
        path = "/controller/network/" + nwid
        name = api.call("GET", path)["name"]
        api.call("POST", path, {"name": name + " changed", "multicastLimit": 33})
        for address in api.members(nwid)[::2]:
            api.call("POST", "%s/member/%s" % (path, address), {"authorized": True, "name": "again"})
            api.call("POST", "%s/member/%s" % (path, address), {"authorized": False})


def dump(api):
    docs = {}
    for nwid in api.networks():
        path = "/controller/network/" + nwid
        docs[path] = api.call("GET", path)
        for address in api.members(nwid):
            docs["%s/member/%s" % (path, address)] = api.call("GET", "%s/member/%s" % (path, address))
    if len(docs) < len(NETWORKS) * (1 + len(MEMBERS)):
        sys.exit("only %d documents" % len(docs))
    print(json.dumps(docs, indent=1, sort_keys=True))


if __name__ == "__main__":
    api = Api(sys.argv[2])
    if sys.argv[1] == "fill":
        fill(api, sys.argv[3])
    elif sys.argv[1] == "change":
        change(api)
    else:
        dump(api)
