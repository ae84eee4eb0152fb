"""The C library: finding it, its structures, its functions.

ctypes, not cffi: it is part of Python, needs no compiler and no package, and there is nothing on the data path that
a compiled module would do faster than one foreign call. All functions come from libzt18.so, whose symbols have the
plain names of the 1.8 generation; those of libzt.so that it lacks (zts_get_host_fd, ...) are found through it, because
it depends on libzt.so.
"""
import ctypes as c
import os
import pathlib

NAME = "libzt18.so.0"


def _candidates():
    if os.environ.get("ZT_LIBRARY"):  # a file, or the folder it is in
        given = pathlib.Path(os.environ["ZT_LIBRARY"])
        yield str(given / NAME if given.is_dir() else given)
        return
    here = pathlib.Path(__file__).resolve().parent
    yield str(here / NAME)  # beside the package
    yield str(here.parents[2] / "build" / "libzt" / NAME)  # in the source tree
    yield NAME  # where the system looks


def _load():
    tried = []
    for path in _candidates():
        try:
            return c.CDLL(path)
        except OSError as e:
            tried.append(str(e))
    raise ImportError("libzt: the library was not found (ZT_LIBRARY may name it): " + "; ".join(tried))


lib = _load()

# ---- structures, as in include/zts18/ZeroTierSockets.h


class Storage(c.Structure):
    _fields_ = [("len", c.c_uint8), ("family", c.c_uint8), ("data1", c.c_char * 2), ("data2", c.c_uint32 * 3),
                ("data3", c.c_uint32 * 3)]


class NodeInfo(c.Structure):
    _fields_ = [("node_id", c.c_uint64), ("port_primary", c.c_uint16), ("port_secondary", c.c_uint16),
                ("port_tertiary", c.c_uint16), ("ver_major", c.c_uint8), ("ver_minor", c.c_uint8),
                ("ver_rev", c.c_uint8)]


class AddrInfo(c.Structure):
    _fields_ = [("net_id", c.c_uint64), ("addr", Storage)]


class RouteInfo(c.Structure):
    _fields_ = [("target", Storage), ("via", Storage), ("flags", c.c_uint16), ("metric", c.c_uint16)]


class Group(c.Structure):
    _fields_ = [("mac", c.c_uint64), ("adi", c.c_uint32)]


class NetInfo(c.Structure):
    _fields_ = [("net_id", c.c_uint64), ("mac", c.c_uint64), ("name", c.c_char * 128), ("status", c.c_int),
                ("type", c.c_int), ("mtu", c.c_uint), ("dhcp", c.c_int), ("bridge", c.c_int),
                ("broadcast_enabled", c.c_int), ("port_error", c.c_int), ("netconf_rev", c.c_ulong),
                ("assigned_addr_count", c.c_uint), ("assigned_addrs", Storage * 16), ("route_count", c.c_uint),
                ("routes", RouteInfo * 32), ("multicast_sub_count", c.c_uint), ("multicast_subs", Group * 1024)]


class NetifInfo(c.Structure):
    _fields_ = [("net_id", c.c_uint64), ("mac", c.c_uint64), ("mtu", c.c_int)]


class Path(c.Structure):
    _fields_ = [("address", Storage), ("last_tx", c.c_uint64), ("last_rx", c.c_uint64),
                ("trusted_path_id", c.c_uint64), ("latency", c.c_float), ("unused", c.c_float * 5),
                ("unused2", c.c_uint64 * 2), ("unused3", c.c_float), ("ifname", c.c_void_p), ("expired", c.c_int),
                ("preferred", c.c_int)]


class PeerInfo(c.Structure):
    _fields_ = [("peer_id", c.c_uint64), ("ver_major", c.c_int), ("ver_minor", c.c_int), ("ver_rev", c.c_int),
                ("latency", c.c_int), ("role", c.c_int), ("path_count", c.c_uint), ("unused_0", c.c_int),
                ("paths", Path * 64)]


class EventMsg(c.Structure):
    _fields_ = [("event_code", c.c_int16), ("node", c.POINTER(NodeInfo)), ("network", c.POINTER(NetInfo)),
                ("netif", c.POINTER(NetifInfo)), ("route", c.POINTER(RouteInfo)), ("peer", c.POINTER(PeerInfo)),
                ("addr", c.POINTER(AddrInfo)), ("cache", c.c_void_p), ("len", c.c_int)]


class Stats(c.Structure):
    _fields_ = [(p + "_" + k, c.c_uint32)
                for p in ("link", "etharp", "ip4", "ip6", "icmp4", "icmp6", "udp", "tcp", "nd6")
                for k in ("tx", "rx", "drop", "err")]


class Linger(c.Structure):
    _fields_ = [("onoff", c.c_int), ("linger", c.c_int)]


class Timeval(c.Structure):
    _fields_ = [("sec", c.c_long), ("usec", c.c_long)]


class Iovec(c.Structure):
    _fields_ = [("base", c.c_void_p), ("len", c.c_size_t)]


for _type, _size in ((Storage, 28), (NodeInfo, 24), (AddrInfo, 40), (RouteInfo, 60), (NetInfo, 18952), (NetifInfo, 24),
                     (Path, 120), (PeerInfo, 7720), (EventMsg, 72), (Stats, 144)):
    assert c.sizeof(_type) == _size, _type

EVENT_HANDLER = c.CFUNCTYPE(None, c.c_void_p)

# ---- functions: name, result, arguments. b buffer or text, i int, u unsigned, Q uint64, p pointer, z size_t

_PROTOTYPES = """
zts_id_new i bp
zts_id_pair_is_valid i bu
zts_init_from_storage i b
zts_init_from_memory i bu
zts_init_set_event_handler i p
zts_init_blacklist_if i bu
zts_init_set_roots i bu
zts_init_set_port i H
zts_init_set_random_port_range i HH
zts_init_allow_secondary_port i u
zts_init_allow_port_mapping i u
zts_init_allow_net_cache i u
zts_init_allow_peer_cache i u
zts_init_allow_roots_cache i u
zts_init_allow_id_cache i u
zts_init_set_low_bandwidth_mode i i
zts_node_start i
zts_node_is_online i
zts_node_get_id Q
zts_node_get_id_pair i bp
zts_node_get_port i
zts_node_stop i
zts_node_free i
zts_moon_orbit i QQ
zts_moon_deorbit i Q
zts_stats_get_all i p
zts_net_join i Q
zts_net_leave i Q
zts_net_transport_is_ready i Q
zts_net_get_mac Q Q
zts_net_get_mtu i Q
zts_net_get_name i Qbu
zts_net_get_status i Q
zts_net_get_type i Q
zts_net_compute_adhoc_id Q HH
zts_addr_get_str i Qubu
zts_addr_get_all i Qpp
zts_addr_compute_6plane_str i QQbu
zts_addr_compute_rfc4193_str i QQbu
zts_core_lock_obtain i
zts_core_lock_release i
zts_core_query_route_count i Q
zts_core_query_route i Qubbupp
zts_core_query_path_count i Q
zts_core_query_path i Qubu
zts_bsd_socket i iii
zts_bsd_connect i ipu
zts_bsd_bind i ipu
zts_bsd_listen i ii
zts_bsd_accept i ipp
zts_bsd_setsockopt i iiipu
zts_bsd_getsockopt i iiipp
zts_bsd_getsockname i ipp
zts_bsd_getpeername i ipp
zts_bsd_close i i
zts_bsd_fcntl i iii
zts_bsd_send n ipzi
zts_bsd_sendto n ipzipu
zts_bsd_recv n ipzi
zts_bsd_recvfrom n ipzipp
zts_bsd_writev n ipi
zts_bsd_shutdown i ii
zts_get_host_fd i i
zts_resolve i bipp
zts_errno_location P
zts_strerror b i
"""
_TYPES = {"b": c.c_char_p, "i": c.c_int, "u": c.c_uint, "Q": c.c_uint64, "H": c.c_ushort, "p": c.c_void_p,
          "z": c.c_size_t, "n": c.c_ssize_t, "P": c.POINTER(c.c_int)}

for _line in _PROTOTYPES.split("\n"):
    if _line:
        _name, _result, *_args = _line.split()
        _fn = getattr(lib, _name)
        _fn.restype = _TYPES[_result]
        _fn.argtypes = [_TYPES[a] for a in (_args[0] if _args else "")]


def errno():
    """The zts_errno of the calling thread: why its last socket function failed, 0 when it didn't."""
    return lib.zts_errno_location()[0]
