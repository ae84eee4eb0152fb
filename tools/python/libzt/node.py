"""The node of this process: starting it, joining networks, hearing of what happens."""
import atexit
import ctypes as c
import threading
import time
from dataclasses import dataclass, field

from . import _lib
from ._lib import lib
from .addresses import from_storage
from .constants import Event, NetworkStatus, PeerRole
from .errors import Error, ServiceError, check

_state = threading.Condition()  # notified with each event
_handler = None  # the ctypes object must live as long as the library may call it
_on_event = None
_was_started = False
_is_down = True  # NODE_DOWN was delivered since the last start
_event_thread = None


@dataclass
class EventInfo:
    """One event. `what` is an Event (or a number that this version does not know); of the others, those that belong to
    it are not None."""
    what: int
    node_id: int = None
    net_id: int = None
    mac: int = None
    name: str = None
    status: int = None  # NetworkStatus
    addresses: list = field(default=None)  # of the network, as ipaddress interfaces
    address: object = None  # ADDR_*: an ipaddress interface
    peer_id: int = None
    peer_role: int = None  # PeerRole
    paths: list = field(default=None)  # PEER_*: (address, port) that are in use
    latency_ms: int = None  # None: unknown
    data: bytes = None  # STORE_*: what to keep


def _decode(m):
    try:
        e = EventInfo(Event(m.event_code))
    except ValueError:
        e = EventInfo(m.event_code)
    if m.node:
        e.node_id = m.node[0].node_id
    if m.network:
        n = m.network[0]
        e.net_id, e.mac, e.name = n.net_id, n.mac, n.name.decode(errors="replace")
        e.status = NetworkStatus(n.status)
        e.addresses = [from_storage(n.assigned_addrs[i], True) for i in range(n.assigned_addr_count)]
    if m.netif:
        e.net_id, e.mac = m.netif[0].net_id, m.netif[0].mac
    if m.addr:
        e.net_id, e.address = m.addr[0].net_id, from_storage(m.addr[0].addr, True)
    if m.peer:
        p = m.peer[0]
        e.peer_id, e.peer_role = p.peer_id, PeerRole(p.role)
        e.latency_ms = p.latency if p.latency >= 0 else None
        e.paths = [from_storage(p.paths[i].address, False) for i in range(p.path_count) if not p.paths[i].expired]
    if m.cache:
        e.data = c.string_at(m.cache, m.len)
    return e


def _deliver(pointer):
    """On the library's event thread."""
    global _is_down, _event_thread
    event = _decode(c.cast(pointer, c.POINTER(_lib.EventMsg))[0])
    _event_thread = threading.get_ident()
    try:
        if _on_event is not None:
            _on_event(event)  # an exception is printed by ctypes
    finally:
        with _state:
            _is_down = _is_down or event.what == Event.NODE_DOWN
            _state.notify_all()


def _wait(ready, timeout, what):
    """Until ready() is true; looks at every event, and now and then for what has none. TimeoutError."""
    end = None if timeout is None else time.monotonic() + timeout
    while not ready():
        left = 0.25 if end is None else min(0.25, end - time.monotonic())
        if left <= 0:
            raise TimeoutError(what)
        with _state:
            _state.wait(left)


def net_id(value):
    """A network id from an int or 16 hex digits."""
    if isinstance(value, str):
        if len(value) != 16:
            raise ValueError("a network id has 16 hex digits: %r" % value)
        return int(value, 16)
    return value


class Node:
    """The node of this process; there can be one at a time.

    storage    folder of the identity and caches; None: nothing is kept, the identity is a new one
    identity   text of a whole identity, instead of the folder's
    roots      bytes of a signed root set (planet); None: `planet` in the folder, or the file that ZT_PLANET names
    port       UDP port; 0: a random one
    on_event   called with an EventInfo for each event, on a thread of the library
    cache_networks, cache_peers, secondary_port, port_mapping, low_bandwidth: as in zts_init_*

        with libzt.Node("/var/lib/me") as node:
            node.join("ff0000ffff000000", timeout=10)
            print(node.addresses("ff0000ffff000000"))
    """

    def __init__(self, storage=None, *, identity=None, roots=None, port=0, on_event=None, cache_networks=True,
                 cache_peers=True, secondary_port=True, port_mapping=False, low_bandwidth=False):
        self.storage, self.identity_given, self.roots, self.port_wanted = storage, identity, roots, port
        self.on_event = on_event
        self._switches = {"zts_init_allow_net_cache": cache_networks, "zts_init_allow_peer_cache": cache_peers,
                          "zts_init_allow_secondary_port": secondary_port,
                          "zts_init_allow_port_mapping": port_mapping,
                          "zts_init_set_low_bandwidth_mode": low_bandwidth}

    # -- life

    def _init(self):
        global _handler, _on_event, _is_down
        if _handler is None:
            _handler = _lib.EVENT_HANDLER(_deliver)
        check(lib.zts_init_set_event_handler(c.cast(_handler, c.c_void_p)), "start")
        with _state:
            _on_event, _is_down = self.on_event, False
        if self.storage is not None:
            check(lib.zts_init_from_storage(str(self.storage).encode()), "storage")
        if self.identity_given is not None:
            key = c.create_string_buffer(self.identity_given.encode(), 384)
            check(lib.zts_init_from_memory(key, 384), "identity")
        if self.roots is not None:
            check(lib.zts_init_set_roots(self.roots, len(self.roots)), "roots")
        check(lib.zts_init_set_port(self.port_wanted), "port")
        for name, value in self._switches.items():
            check(getattr(lib, name)(int(value)), name)

    def start(self, timeout=None):
        """Start, and with a timeout wait until it is online (TimeoutError). ServiceError when a node runs."""
        global _was_started
        self._init()
        check(lib.zts_node_start(), "start")
        if not _was_started:
            _was_started = True
            atexit.register(lib.zts_node_free)  # no event may come when Python has gone
        if timeout is not None:
            self.wait_online(timeout)
        return self

    def stop(self, timeout=10):
        """Stop, and wait for the end and for the last event (in on_event itself: only begin to stop). Fine when it does
        not run."""
        if lib.zts_node_stop() == 0 and threading.get_ident() != _event_thread:
            # Settings are accepted again when it has ended.
            _wait(lambda: _is_down and lib.zts_init_set_port(0) == 0, timeout, "the node did not end")

    def __enter__(self):
        return self.start(timeout=30)

    def __exit__(self, *_):
        self.stop()

    # -- itself

    @property
    def is_online(self):
        return lib.zts_node_is_online() == 1

    def wait_online(self, timeout=None):
        _wait(lambda: self.is_online, timeout, "no root answers")

    @property
    def id(self):
        """Node address, an int."""
        value = lib.zts_node_get_id()
        if value >> 40:
            raise ServiceError(-2, "no node runs")
        return value

    @property
    def identity(self):
        """Text of the identity, with its secret half."""
        key, n = c.create_string_buffer(384), c.c_uint(384)
        check(lib.zts_node_get_id_pair(key, c.byref(n)), "identity")
        return key.value.decode()

    @property
    def port(self):
        """Primary UDP port."""
        return check(lib.zts_node_get_port(), "port")

    def statistics(self):
        """Packets since the stack started, as {"tcp_tx": 1, ...}."""
        s = _lib.Stats()
        check(lib.zts_stats_get_all(c.byref(s)), "statistics")
        return {name: getattr(s, name) for name, _ in s._fields_}

    # -- networks

    def join(self, network, timeout=None):
        """Join; with a timeout wait until there is an address on it (TimeoutError; Error when it refuses us)."""
        nwid = net_id(network)
        check(lib.zts_net_join(nwid), "join")
        if timeout is not None:
            self.wait_ready(nwid, timeout)

    def wait_ready(self, network, timeout=None):
        nwid = net_id(network)

        def ready():
            if lib.zts_net_transport_is_ready(nwid) == 1:
                return True
            status = lib.zts_net_get_status(nwid)
            if status in (NetworkStatus.NOT_FOUND, NetworkStatus.CLIENT_TOO_OLD):
                raise Error(-4, "network %016x: %s" % (nwid, NetworkStatus(status).name))
            return False

        _wait(ready, timeout, "network %016x gave no address" % nwid)

    def leave(self, network):
        check(lib.zts_net_leave(net_id(network)), "leave")

    def addresses(self, network):
        """Our addresses on it, as ipaddress interfaces (address and prefix length)."""
        all_, n = (_lib.Storage * 16)(), c.c_uint(16)
        rc = lib.zts_addr_get_all(net_id(network), all_, c.byref(n))
        if rc == -4 and lib.zts_net_get_status(net_id(network)) >= 0:
            return []
        check(rc, "addresses")
        return [from_storage(all_[i], True) for i in range(n.value)]

    def status(self, network):
        return NetworkStatus(check(lib.zts_net_get_status(net_id(network)), "status"))

    def name(self, network):
        text = c.create_string_buffer(127)
        check(lib.zts_net_get_name(net_id(network), text, 127), "name")
        return text.value.decode(errors="replace")

    def mac(self, network):
        value = lib.zts_net_get_mac(net_id(network))
        if value >> 48:
            check(c.c_int64(value).value, "mac")
        return value

    def orbit(self, moon, seed):
        check(lib.zts_moon_orbit(moon, seed), "orbit")

    def deorbit(self, moon):
        check(lib.zts_moon_deorbit(moon), "deorbit")


def new_identity():
    """A new identity as text; takes about half a second."""
    key, n = c.create_string_buffer(384), c.c_uint(384)
    check(lib.zts_id_new(key, c.byref(n)), "identity")
    return key.value.decode()


def identity_is_valid(text):
    return lib.zts_id_pair_is_valid(c.create_string_buffer(text.encode(), 384), 384) == 1


def adhoc_network(first_port, last_port):
    """Id of the network without a controller on which these ports may be used."""
    return lib.zts_net_compute_adhoc_id(first_port, last_port)
