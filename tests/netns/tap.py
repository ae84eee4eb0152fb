#!/usr/bin/env python3
"""What l2node is for our node, for any node with interfaces of the kernel: frames as lines.

    tap.py NWID=DEVICE...

Input: "send NWID HEX". Output: "frame NWID HEX" for each frame that comes in on the device. It ends with
its input.
"""
import os
import selectors
import socket
import struct
import sys

ETH_P_ALL = 3
SOL_PACKET, PACKET_AUXDATA = 263, 8
TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 0x10, 0x40
AUXDATA = struct.Struct("=IIIHHHH")


def receive(sock):
    """The frame as it was: the kernel takes a VLAN tag out of it and says so beside it."""
    data, anc, _, address = sock.recvmsg(65536, socket.CMSG_SPACE(AUXDATA.size))
    if address[2] == socket.PACKET_OUTGOING:
        return None
    for level, kind, value in anc:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, tpid = AUXDATA.unpack(value)
            if status & TP_STATUS_VLAN_VALID:
                tpid = tpid if status & TP_STATUS_VLAN_TPID_VALID else 0x8100
                data = data[:12] + struct.pack("!HH", tpid, tci) + data[12:]
    return data


def main(pairs):
    selector, sockets = selectors.DefaultSelector(), {}
    for pair in pairs:
        nwid, device = pair.split("=")
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        sock.bind((device, 0))
        sockets[nwid] = sock
        selector.register(sock, selectors.EVENT_READ, nwid)
    selector.register(0, selectors.EVENT_READ)
    print("ready", flush=True)
    rest = b""
    while True:
        for key, _ in selector.select():
            if key.data is not None:
                frame = receive(key.fileobj)
                if frame is not None:
                    print("frame", key.data, frame.hex(), flush=True)
                continue
            data = os.read(0, 1 << 16)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                _, nwid, frame = line.decode().split()
                sockets[nwid].send(bytes.fromhex(frame))


if __name__ == "__main__":
    main(sys.argv[1:])
