#!/usr/bin/env python3
"""A name server with a handful of names, by UDP and TCP.

usage: dns.py ADDRESS PORT NAME=ADDRESS[,ADDRESS...]...

A name that begins with "long." is answered by TCP only: by UDP it comes truncated. Each question is
printed, a line each: "udp NAME TYPE" or "tcp NAME TYPE".
"""
import ipaddress
import socket
import struct
import sys
import threading

A, AAAA = 1, 28
NXDOMAIN = 3


def read_question(query):
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    (kind,) = struct.unpack_from('!H', query, at + 1)
    return '.'.join(labels).lower(), kind, query[12:at + 5]


def answer(names, query, by_tcp):
    name, kind, question = read_question(query)
    print('tcp' if by_tcp else 'udp', name, {A: 'A', AAAA: 'AAAA'}.get(kind, kind), flush=True)
    flags = 0x8580
    if name not in names:
        return query[:2] + struct.pack('!5H', flags | NXDOMAIN, 1, 0, 0, 0) + question
    if name.startswith('long.') and not by_tcp:
        return query[:2] + struct.pack('!5H', flags | 0x200, 1, 0, 0, 0) + question
    found = [a.packed for a in names[name] if {A: 4, AAAA: 6}.get(kind) == a.version]
    records = b''.join(b'\xc0\x0c' + struct.pack('!HHIH', kind, 1, 60, len(a)) + a for a in found)
    return query[:2] + struct.pack('!5H', flags, 1, len(found), 0, 0) + question + records


def serve_tcp(names, listener):
    while True:
        with listener.accept()[0] as s:
            head = s.recv(2, socket.MSG_WAITALL)
            if len(head) == 2:
                reply = answer(names, s.recv(struct.unpack('!H', head)[0], socket.MSG_WAITALL), True)
                s.sendall(struct.pack('!H', len(reply)) + reply)


def main():
    address, port = sys.argv[1], int(sys.argv[2])
    names = {}
    for arg in sys.argv[3:]:
        name, _, addresses = arg.partition('=')
        names[name] = [ipaddress.ip_address(a) for a in addresses.split(',')]
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen()
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.bind((address, port))
    threading.Thread(target=serve_tcp, args=(names, listener), daemon=True).start()
    print('ready', flush=True)
    while True:
        query, sender = udp.recvfrom(4096)
        udp.sendto(answer(names, query, False), sender)


main()
