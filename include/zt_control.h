/* The one door to a running node: messages on `control.sock` (SEQPACKET) in the home folder, the
 * state page, and what travels inside virtual descriptors. Shared by node/door, node/proxy,
 * libztpreload and ztctl; not installed. spec: preload.md 3.4, 3.5, 4.
 *
 * Everything here is between processes of one machine and one build: host byte order, fixed
 * little structs, ports in host byte order. A version byte refuses a mixed installation clearly.
 *
 * Connect, send one request, receive one reply, and close or go on with the next request. The node
 * ends a connection whose last request was about a socket when nothing more comes for a second or
 * two: such a client then connects again. (ZT_CTL_COMMAND may answer with several messages; `more`
 * says that another one follows.) One descriptor may come along with ZT_CTL_MERGE; any other is
 * closed unread. A request of another version gets EPROTO. */
#ifndef ZT_CONTROL_H
#define ZT_CONTROL_H

#include <assert.h>
#include <stdint.h>

#define ZT_CTL_VERSION 2
#define ZT_CTL_SOCKET "control.sock"
#define ZT_STATE_FILE "state"   /* the state page, a file in the home */
#define ZT_RANGES_FILE "ranges" /* text: what is virtual, remembered: "prefix/bits" or "dns DOMAIN" a line */

/* The abstract twin of the control socket, reachable after chroot or a change of uid (in the same
 * network namespace): "\0zt1.<uid>.<16 hex>", the last part from device and inode of the home. Writes
 * to out (at least ZT_CTL_TWIN_MAX bytes, the leading zero included) and returns the length. Whoever
 * connects checks SO_PEERCRED: anybody may hold an abstract name. Async-signal-safe. */
#define ZT_CTL_TWIN_MAX 40
static inline unsigned zt_ctl_twin(uint32_t uid, uint64_t dev, uint64_t ino, char *out)
{
    uint64_t h = (dev * 0x9e3779b97f4a7c15ULL) ^ ino;
    char digits[10];
    unsigned n = 0, k = 0;

    h = (h ^ h >> 32) * 0xd6e8feb86659fd93ULL;
    h ^= h >> 32;
    for (const char *c = "\0zt1."; n < 5; n++)
        out[n] = c[n];
    do {
        digits[k++] = (char)('0' + uid % 10);
        uid /= 10;
    } while (uid);
    while (k)
        out[n++] = digits[--k];
    out[n++] = '.';
    for (int i = 60; i >= 0; i -= 4)
        out[n++] = "0123456789abcdef"[h >> i & 15];
    return n;
}

/* An address inside the virtual network. family 0 = none; an AF_INET6 socket that means IPv4 sends
 * family 4 (the shim translates v4-mapped forms both ways). */
struct zt_ctl_addr {
    uint8_t family; /* 0, 4, 6 */
    uint8_t pad;
    uint16_t port; /* host byte order */
    uint32_t scope;
    uint8_t ip[16];
};
static_assert(sizeof(struct zt_ctl_addr) == 24, "zt_ctl_addr");

enum zt_ctl_type {
    ZT_CTL_HELLO = 1, /* reply: fd of the state page (read-only) */
    ZT_CTL_CONNECT,   /* stream: id (bound socket, or 0), remote, opts. reply: id, local if known, fd;
                         at once, the result shows in the descriptor and the state page. value 1: the
                         reply waits for the result (`done`, or err and no fd) or ZT_NOTE_GIVE */
    ZT_CTL_BIND,      /* stream or datagram: local, opts. reply: id, local with its port, fd. id: what it
                         was at a node that has ended; sockets that come from one id share the address */
    ZT_CTL_LISTEN,    /* id, value = backlog, level 1: on all ports that nobody else listens on. reply: error
                         only; the 'b' descriptor now accepts */
    ZT_CTL_UDP,       /* id 0: new datagram socket (local optional, remote optional), reply fd;
                         id: set (or with family 0 dissolve) its remote. reply: id, local.
                         stype SOCK_RAW: value = IP protocol; family AF_PACKET: frames, data = network id */
    ZT_CTL_OPT_SET,   /* id, level, name (Linux numbers), data = value */
    ZT_CTL_OPT_GET,   /* the same; reply data = value. Level ZT_CTL_OPT_ALL: all that were set, as
                         struct zt_ctl_opt[]. Also for a stream that ended not long ago */
    ZT_CTL_NOTE,      /* id, value = enum zt_ctl_note; no reply */
    ZT_CTL_INFO,      /* id. reply: local, remote, data = struct zt_ctl_info */
    ZT_CTL_COMMAND,   /* data = text of a ztctl command (below); replies: text of one JSON document */
    ZT_CTL_MERGE,     /* a kernel socket that is bound to a wildcard address, sent along: local with its
                         port, opts, value = backlog for a stream, which listens already. reply: id, fd
                         of a virtual socket that is reached from both sides */
    ZT_CTL_RELEASE,   /* local.port, stype: let go of kernel sockets on it whose programs have closed
                         theirs */
    ZT_CTL_MORE,      /* data = the first, or next, part of a longer text, whose end is the data of a
                         ZT_CTL_COMMAND on the same connection; at most ZT_CTL_TEXT in all. No reply */
};

/* ZT_CTL_COMMAND texts: "info", "networks", "peers", "join NWID", "leave NWID", "sockets",
 * "up" (stay when idle), "down" (end), "ping ADDRESS", "resolve FAMILY NAME" (FAMILY 0, 4 or 6: an array
 * of addresses), "api METHOD PATH [BODY]" (the local API: the answer is a line "STATUS TYPE", TYPE "-"
 * without a body, and then the body). On failure err is set and data is a message for people. Who is let in
 * by settings.allowUsers alone may only say "resolve"; all else gets EACCES.
 *
 * "watch" has no end: one message per event, each with `more` set and a JSON object in it, whose
 * member "event" says what it is ("missed": that many others found no room in the client's socket). */
#define ZT_CTL_TEXT (2u << 20)

enum zt_ctl_note {
    ZT_NOTE_SHUT_RD = 1,
    ZT_NOTE_RESET_ON_CLOSE, /* SO_LINGER {1, 0} */
    ZT_NOTE_GIVE,           /* to the connect of this connection: answer now, whatever there is */
};

#define ZT_CTL_OPTS 16
struct zt_ctl_opt { /* an option remembered from before the swap; Linux level and name */
    int32_t level, name, value;
};

#define ZT_CTL_OPT_ALL (-1)

#define ZT_CTL_DATA 1024
struct zt_ctl_req {
    uint8_t version, type, stype /* SOCK_STREAM or SOCK_DGRAM */, nopts;
    uint32_t ndata;
    uint64_t id;
    struct zt_ctl_addr local, remote;
    int32_t family; /* of the program's socket: AF_INET or AF_INET6 */
    int32_t value;
    int32_t level, name;
    struct zt_ctl_opt opts[ZT_CTL_OPTS];
    uint8_t data[ZT_CTL_DATA]; /* may be cut to ndata when sent */
};

struct zt_ctl_rep {
    uint8_t version, type, more /* another message follows */;
    uint8_t done; /* CONNECT with value 1: it is connected */
    int32_t err; /* 0 or a Linux errno */
    uint64_t id;
    struct zt_ctl_addr local, remote;
    uint32_t ndata, pad2;
    /* then ndata bytes: at most ZT_CTL_REPLY_DATA in one message */
};
#define ZT_CTL_REPLY_DATA 32768

struct zt_ctl_info { /* numbers for TCP_INFO and friends */
    uint32_t rtt_us, rttvar_us, mss, cwnd_bytes, snd_wnd, rcv_wnd;
    uint32_t unacked, notsent, retransmits, state; /* state: Linux TCP_* number */
    uint64_t bytes_in, bytes_out;
};

/* Names of virtual descriptors. The node binds its own end to the abstract address
 *   "\0zt1.<32 hex host id>.<kind>.<16 hex id>"
 * so getpeername() on the program's end tells what it is. Kinds: t connected or connecting stream;
 * b bound stream (also once it listens: see the slot's phase); u datagram; r raw. The low
 * ZT_ID_SLOT_BITS of an id are the slot in the state page, the others are random. */
#define ZT_NAME_PREFIX "zt1."
#define ZT_NAME_LEN (1 + 4 + 32 + 1 + 1 + 1 + 16) /* with the leading zero byte */
#define ZT_ID_SLOT_BITS 16
#define ZT_STATE_SLOTS 65536

/* State page: written by the node alone, mapped read-only by programs. Head, then slots. Readers use
 * acquire loads of `stale`, `seq` and `phase`. */
#define ZT_STATE_MAGIC 0x5a545354u
#define ZT_STATE_RANGES 1000 /* a network alone may have 128 routes and 32 addresses */
#define ZT_STATE_DOMAINS 1000

struct zt_state_range {
    uint8_t family, bits;
    uint8_t ours; /* not 0: exactly one of our own addresses; 1 + the length of its network's prefix */
    uint8_t dev;  /* and then: which of `ifs` has it */
    uint32_t metric;
    uint8_t ip[16];
};
static_assert(sizeof(struct zt_state_range) == 24, "zt_state_range");

/* A network as an interface. Programs see index + ZT_IF_BASE, so that no index of the kernel's is meant,
 * and the name that zt_ctl_ifname makes. */
#define ZT_STATE_IFS 64
#define ZT_IF_BASE 0x100000u
struct zt_state_if {
    uint64_t nwid;
    uint8_t mac[6];
    uint16_t mtu;
    uint32_t index; /* of the stack's interface; 0: none yet */
    uint32_t pad;
};
static_assert(sizeof(struct zt_state_if) == 24, "zt_state_if");

/* "zt" and the network's id in 13 digits of 5 bits: it can be told from the name. */
static inline void zt_ctl_ifname(uint64_t nwid, char out[16])
{
    out[0] = 'z';
    out[1] = 't';
    for (int i = 0; i < 13; i++)
        out[2 + i] = "abcdefghijklmnopqrstuvwxyz234567"[nwid >> (60 - 5 * i) & 31];
    out[15] = 0;
}

struct zt_state_head {
    uint32_t magic, version;
    uint32_t stale;      /* 1: this node has ended; a new one has another file under the name */
    uint32_t seq;        /* odd while ranges are being changed; changes with every change */
    uint32_t nranges;
    uint32_t has_network; /* a network is joined */
    uint32_t online;
    uint32_t configuring; /* networks joined that have no addresses yet; one more while the node
                             starts and has not looked which networks there are */
    uint8_t host_id[16];
    uint64_t pid;
    struct zt_state_if ifs[ZT_STATE_IFS]; /* guarded by seq like the ranges */
    uint32_t nifs;
    uint8_t pad[2076];
    struct zt_state_range ranges[ZT_STATE_RANGES];
    char domains[ZT_STATE_DOMAINS]; /* of the networks' own DNS, lower case, each ended by a zero byte,
                                       the list by another; guarded by seq like the ranges */
};
static_assert(sizeof(struct zt_state_head) == 28672, "zt_state_head: whole pages");

enum zt_phase {
    ZT_PHASE_FREE,
    ZT_PHASE_BOUND,
    ZT_PHASE_LISTENING,
    ZT_PHASE_CONNECTING,
    ZT_PHASE_CONNECTED,
    ZT_PHASE_FIN,    /* the peer sent FIN: end of file is true */
    ZT_PHASE_FAILED, /* connect failed: err says why */
    ZT_PHASE_RESET,  /* the peer reset: end of file means err (ECONNRESET, ETIMEDOUT) */
    ZT_PHASE_DATAGRAM,
};

struct zt_state_slot {
    uint64_t id;     /* generation check: compare with the id you have */
    uint32_t phase;  /* written last, with release */
    int32_t err;
    uint8_t lfamily, rfamily; /* 0 none, 4, 6 */
    uint16_t lport, rport;
    uint16_t family; /* of the program's socket, AF_INET or AF_INET6: v4-mapped forms or not */
    uint8_t lip[16], rip[16];
    uint32_t unacked; /* bytes the peer has not acknowledged */
    uint32_t twin;    /* zt_ctl_twin_mark of the kernel socket it was merged with; 0: none */
};
static_assert(sizeof(struct zt_state_slot) == 64, "zt_state_slot");

/* How the kernel socket of a merged one is recognised: from its SO_COOKIE. Never 0. */
static inline uint32_t zt_ctl_twin_mark(uint64_t cookie)
{
    uint32_t h = (uint32_t)((cookie * 0x9e3779b97f4a7c15ULL) >> 32);

    return h ? h : 1;
}

/* What comes out of a listening descriptor: this, and one descriptor (SCM_RIGHTS). id 0: that is a
 * connection of the kernel's. */
struct zt_ctl_accept {
    uint64_t id;
    struct zt_ctl_addr local, remote;
    uint64_t pad;
};
static_assert(sizeof(struct zt_ctl_accept) == 64, "zt_ctl_accept");

/* Before every datagram in a 'u' descriptor, both ways; SEQPACKET keeps the boundaries. */
enum zt_dgram_type {
    ZT_DGRAM_DATA = 0,
    ZT_DGRAM_ERROR = 1, /* to the program: err of an earlier send (ECONNREFUSED...), no payload. The program
                           may send it back, and it is queued again */
    ZT_DGRAM_MORE = 2,  /* from the program: what follows belongs to the same datagram, whose header is the
                           first one's (MSG_MORE; UDP_CORK is an option, as of what is sent after it) */
};
struct zt_ctl_dgram {
    uint8_t type;
    uint8_t tos, ttl /* 0: default */, ifindex /* to the program: where it came in */;
    int32_t err;
    struct zt_ctl_addr remote; /* to the program: source; from it: destination, family 0 = connected */
    uint32_t lfamily;          /* local address used, where known */
    uint8_t lip[16];
    uint32_t host_ifindex; /* to the program: of the kernel that received it; 0: the virtual network */
};
static_assert(sizeof(struct zt_ctl_dgram) == 56, "zt_ctl_dgram");

#endif
