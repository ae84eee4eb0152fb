"""ZTS_*: the numbers of include/zts18/ZeroTierSockets.h, for code that uses those names."""
import enum
import errno as _errno


class Event(enum.IntEnum):
    """What happened (Node's on_event)."""
    NODE_UP = 200
    NODE_ONLINE = 201
    NODE_OFFLINE = 202
    NODE_DOWN = 203
    NODE_FATAL_ERROR = 204
    NETWORK_NOT_FOUND = 210
    NETWORK_CLIENT_TOO_OLD = 211
    NETWORK_REQ_CONFIG = 212
    NETWORK_OK = 213
    NETWORK_ACCESS_DENIED = 214
    NETWORK_READY_IP4 = 215
    NETWORK_READY_IP6 = 216
    NETWORK_READY_IP4_IP6 = 217
    NETWORK_DOWN = 218
    NETWORK_UPDATE = 219
    STACK_UP = 220
    STACK_DOWN = 221
    NETIF_UP = 230
    NETIF_DOWN = 231
    NETIF_REMOVED = 232
    NETIF_LINK_UP = 233
    NETIF_LINK_DOWN = 234
    PEER_DIRECT = 240
    PEER_RELAY = 241
    PEER_UNREACHABLE = 242
    PEER_PATH_DISCOVERED = 243
    PEER_PATH_DEAD = 244
    ROUTE_ADDED = 250
    ROUTE_REMOVED = 251
    ADDR_ADDED_IP4 = 260
    ADDR_REMOVED_IP4 = 261
    ADDR_ADDED_IP6 = 262
    ADDR_REMOVED_IP6 = 263
    STORE_IDENTITY_SECRET = 270
    STORE_IDENTITY_PUBLIC = 271
    STORE_PLANET = 272
    STORE_PEER = 273
    STORE_NETWORK = 274


class NetworkStatus(enum.IntEnum):
    REQUESTING_CONFIGURATION = 0
    OK = 1
    ACCESS_DENIED = 2
    NOT_FOUND = 3
    PORT_ERROR = 4
    CLIENT_TOO_OLD = 5


class PeerRole(enum.IntEnum):
    LEAF = 0
    MOON = 1
    PLANET = 2


_VALUES = {
    "ERR_OK": 0, "ERR_SOCKET": -1, "ERR_SERVICE": -2, "ERR_ARG": -3, "ERR_NO_RESULT": -4, "ERR_GENERAL": -5,
    "AF_UNSPEC": 0, "AF_INET": 2, "AF_INET6": 10, "SOCK_STREAM": 1, "SOCK_DGRAM": 2, "SOCK_RAW": 3,
    "IPPROTO_IP": 0, "IPPROTO_ICMP": 1, "IPPROTO_TCP": 6, "IPPROTO_UDP": 17, "IPPROTO_IPV6": 41,
    "IPPROTO_ICMPV6": 58, "IPPROTO_RAW": 255,
    "MSG_PEEK": 1, "MSG_WAITALL": 2, "MSG_OOB": 4, "MSG_DONTWAIT": 8, "MSG_MORE": 16,
    "SOL_SOCKET": 0x0fff, "SO_ACCEPTCONN": 0x0002, "SO_REUSEADDR": 0x0004, "SO_KEEPALIVE": 0x0008,
    "SO_BROADCAST": 0x0020, "SO_LINGER": 0x0080, "SO_REUSEPORT": 0x0200, "SO_SNDBUF": 0x1001, "SO_RCVBUF": 0x1002,
    "SO_RCVLOWAT": 0x1004, "SO_SNDTIMEO": 0x1005, "SO_RCVTIMEO": 0x1006, "SO_ERROR": 0x1007, "SO_TYPE": 0x1008,
    "IP_TOS": 1, "IP_TTL": 2, "IP_ADD_MEMBERSHIP": 3, "IP_DROP_MEMBERSHIP": 4, "IP_MULTICAST_TTL": 5,
    "IP_MULTICAST_IF": 6, "IP_MULTICAST_LOOP": 7, "TCP_NODELAY": 1, "TCP_KEEPALIVE": 2, "TCP_KEEPIDLE": 3,
    "TCP_KEEPINTVL": 4, "TCP_KEEPCNT": 5, "IPV6_JOIN_GROUP": 12, "IPV6_LEAVE_GROUP": 13, "IPV6_V6ONLY": 27,
    "F_GETFL": 3, "F_SETFL": 4, "O_NONBLOCK": 1, "SHUT_RD": 0, "SHUT_WR": 1, "SHUT_RDWR": 2,
    "ID_STR_BUF_LEN": 384, "IP_MAX_STR_LEN": 46, "STORE_DATA_LEN": 4096, "MAX_ASSIGNED_ADDRESSES": 16,
}
_VALUES.update({"EVENT_" + e.name: int(e) for e in Event})
_VALUES.update({"NETWORK_STATUS_" + e.name: int(e) for e in NetworkStatus})
_VALUES.update({"PEER_ROLE_" + e.name: int(e) for e in PeerRole})
# Linux's numbers, which are this library's whatever the host.
_VALUES.update({name: value for value, name in _errno.errorcode.items()})

globals().update({"ZTS_" + name: value for name, value in _VALUES.items()})
__all__ = ["Event", "NetworkStatus", "PeerRole"] + ["ZTS_" + name for name in _VALUES]
