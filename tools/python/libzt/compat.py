"""Names of upstream's binding, for programs written for it: ZeroTierNode and errno()."""
import socket as _host

from . import _lib
from ._lib import lib
from .constants import Event
from .node import Node


def errno():
    """Why the calling thread's last socket call failed; 0 when it didn't."""
    return _lib.errno()


class ZeroTierNode:
    """The node as upstream's class has it: settings one by one, codes instead of exceptions, and a handler that gets the
    event's number and an id."""

    _WITH_NODE = (Event.NODE_ONLINE, Event.NODE_OFFLINE)
    _WITH_NETWORK = (Event.NETWORK_READY_IP4, Event.NETWORK_READY_IP6)
    _WITH_PEER = (Event.PEER_DIRECT, Event.PEER_RELAY)

    def __init__(self):
        self._handler = None
        self._settings = {"on_event": self._event}
        self._node = None

    def _event(self, e):
        if self._handler is not None:
            id = (e.node_id if e.what in self._WITH_NODE else e.net_id if e.what in self._WITH_NETWORK
                  else e.peer_id if e.what in self._WITH_PEER else 0)
            self._handler(int(e.what), id)

    def init_from_storage(self, storage_path):
        self._settings["storage"] = storage_path
        return 0

    def init_set_event_handler(self, event_handler):
        self._handler = event_handler

    def init_set_port(self, port):
        self._settings["port"] = port
        return 0

    def node_start(self):
        self._node = Node(**self._settings)
        try:
            self._node.start()
        except Exception as e:
            return getattr(e, "code", -3)
        return 0

    def node_stop(self):
        return lib.zts_node_stop()

    def node_free(self):
        return lib.zts_node_free()

    def node_is_online(self):
        return lib.zts_node_is_online()

    def node_id(self):
        return lib.zts_node_get_id()

    def net_join(self, net_id):
        return lib.zts_net_join(net_id)

    def net_leave(self, net_id):
        return lib.zts_net_leave(net_id)

    def net_transport_is_ready(self, net_id):
        return lib.zts_net_transport_is_ready(net_id)

    def _first(self, net_id, version):
        found = [str(a.ip) for a in self._node.addresses(net_id) if a.version == version] if self._node else []
        return found[0] if found else None

    def addr_get_ipv4(self, net_id):
        return self._first(net_id, 4)

    def addr_get_ipv6(self, net_id):
        return self._first(net_id, 6)


# What programs take from the package as if from Python's socket module.
HOST_NAMES = [n for n in dir(_host)
              if n.startswith(("AF_INET", "SOCK_", "SOL_", "SO_", "IPPROTO_", "IP_", "IPV6_", "TCP_", "MSG_", "SHUT_", "AI_",
                               "EAI_", "INADDR_"))
              or n in ("AF_UNSPEC", "AddressFamily", "SocketKind", "gaierror", "timeout", "error", "inet_pton", "inet_ntop",
                       "inet_aton", "inet_ntoa", "htons", "htonl", "ntohs", "ntohl", "has_ipv6")]
