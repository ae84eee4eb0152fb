"""A small router that maps ports: router.py pmp|upnp|stuck INSIDE OUTSIDE LOG

Speaks either NAT-PMP (RFC 6886: the outside address and UDP mappings) or as much of UPnP as an
Internet gateway needs (SSDP answer, device description, three SOAP actions). What it grants it
does, by nft in this namespace, and writes to LOG. The stuck one answers SSDP, takes connections, and
says no more.
"""
import http.server
import re
import socket
import struct
import subprocess
import sys
import threading

KIND, INSIDE, OUTSIDE, LOG = sys.argv[1:5]


def log(text):
    with open(LOG, "a") as f:
        f.write(text + "\n")


def grant(outside, client, port):
    subprocess.run(["nft", "add", "rule", "ip", "nat", "prerouting", "ip", "daddr", OUTSIDE, "udp",
                    "dport", str(outside), "dnat", "to", f"{client}:{port}"], check=True)


def pmp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((INSIDE, 5351))
    granted = set()
    log("ready")
    while True:
        p, who = s.recvfrom(64)
        if len(p) < 2 or p[0] != 0:
            continue
        if p[1] == 0:
            s.sendto(struct.pack("!BBHI", 0, 128, 0, 1) + socket.inet_aton(OUTSIDE), who)
        elif p[1] == 1 and len(p) >= 12:
            private, wish, life = struct.unpack("!HHI", p[4:12])
            outside = wish % 30000 + 30001 if wish else 0  # another than the one wished for
            if life and (outside, who[0], private) not in granted:
                grant(outside, who[0], private)
                granted.add((outside, who[0], private))
            log(f"pmp {who[0]}:{private} {outside} {life}")
            s.sendto(struct.pack("!BBHIHHI", 0, 129, 0, 1, private, outside, life), who)


DEVICE = """<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major>
<minor>0</minor></specVersion><device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>
<friendlyName>test</friendlyName><deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType>
<serviceList><service><serviceType>urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1</serviceType>
<serviceId>urn:upnp-org:serviceId:WANCommonIFC1</serviceId><controlURL>/cif</controlURL><eventSubURL>/evt</eventSubURL>
<SCPDURL>/scpd.xml</SCPDURL></service></serviceList>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType><serviceList><service>
<serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>
<serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId><controlURL>/ctl</controlURL><eventSubURL>/evt</eventSubURL>
<SCPDURL>/scpd.xml</SCPDURL></service></serviceList></device></deviceList></device></deviceList></device></root>"""


class Control(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, text, status=200):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(DEVICE)

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        action = self.headers["SOAPAction"].strip('"').split("#")[1]
        field = lambda name: re.search(f"<{name}>([^<]*)<", text).group(1)
        out, status = "", 200
        if action == "GetStatusInfo":
            out = "<NewConnectionStatus>Connected</NewConnectionStatus><NewUptime>9</NewUptime>" \
                  "<NewLastConnectionError>ERROR_NONE</NewLastConnectionError>"
        elif action == "GetExternalIPAddress":
            out = f"<NewExternalIPAddress>{OUTSIDE}</NewExternalIPAddress>"
        elif action == "AddPortMapping":
            if field("NewLeaseDuration") != "0":  # a router that knows permanent mappings only
                status = 500
                out = "<errorCode>725</errorCode>"
            else:
                outside = int(field("NewExternalPort"))
                grant(outside, field("NewInternalClient"), int(field("NewInternalPort")))
                log(f"upnp {field('NewInternalClient')}:{field('NewInternalPort')} {outside} "
                    f"{field('NewPortMappingDescription')}")
        elif action == "DeletePortMapping":
            log(f"upnp delete {field('NewExternalPort')}")
        kind = "urn:schemas-upnp-org:service:WANIPConnection:1"
        self.answer(f'<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
                    f'<s:Body><u:{action}Response xmlns:u="{kind}">{out}</u:{action}Response></s:Body>'
                    f'</s:Envelope>', status)

    def log_message(self, *args):
        pass


def stuck():
    held = []
    with socket.create_server((INSIDE, 5000)) as s:
        while True:
            held.append(s.accept()[0])
            log("stuck")


def upnp():
    if KIND == "stuck":
        threading.Thread(target=stuck, daemon=True).start()
    else:
        web = http.server.ThreadingHTTPServer((INSIDE, 5000), Control)
        threading.Thread(target=web.serve_forever, daemon=True).start()
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("", 1900))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                 socket.inet_aton("239.255.255.250") + socket.inet_aton(INSIDE))
    log("ready")
    while True:
        p, who = s.recvfrom(2000)
        kind = re.search(rb"\r\nST: *([^\r\n]*)", p)
        if p.startswith(b"M-SEARCH") and kind and b"InternetGatewayDevice:1" in kind.group(1):
            s.sendto(b"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=60\r\nEXT:\r\nST: " + kind.group(1) +
                     b"\r\nUSN: uuid:1::" + kind.group(1) + b"\r\nLOCATION: http://" +
                     INSIDE.encode() + b":5000/d.xml\r\n\r\n", who)


{"pmp": pmp, "upnp": upnp, "stuck": upnp}[KIND]()
