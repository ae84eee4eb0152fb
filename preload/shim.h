/* What the files of libztpreload share. The shim makes an ordinary program use the virtual network
 * by putting a descriptor of the node in the place of the program's own socket, once, when it
 * connects or binds to a virtual address; from then on the kernel does nearly all of the work.
 *
 * Rules everywhere: no malloc, no stdio, no lock on a data path, errno untouched on success, no
 * descriptor kept for ourselves. spec: preload.md. */
#ifndef ZT_PRELOAD_SHIM_H
#define ZT_PRELOAD_SHIM_H

#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "zt_control.h"

#define ZT_EXPORT __attribute__((visibility("default")))
#define ZT_LIKELY(x) __builtin_expect(!!(x), 1)
#define ZT_UNLIKELY(x) __builtin_expect(!!(x), 0)

static inline int zt_fail(int err)
{
    __extension__ extern int *__errno_location(void) __attribute__((const));
    *__errno_location() = err;
    return -1;
}

/* Nobody's memory: the zero page, and what is the kernel's half. (What else leads nowhere is found by reading
 * it, as in other functions of libraries.) */
static inline bool zt_wild(const void *p)
{
    return (uintptr_t)p < 4096 || (intptr_t)p < 0;
}

/* ---- init.c: settings read from the environment once ---------------------------------------- */

enum zt_any { ZT_ANY_BOTH, ZT_ANY_KERNEL, ZT_ANY_VIRTUAL };

struct zt_settings {
    bool off;           /* ZT_PRELOAD_OFF=1 */
    bool may_start;     /* ZT_PRELOAD_START is not "no" */
    bool io_uring;      /* ZT_PRELOAD_IO_URING=1 */
    enum zt_any any;    /* ZT_PRELOAD_ANY: where a wildcard bind is reached from */
    bool embed;         /* ZT_PRELOAD_EMBED=1: the node runs in this process */
    bool sticky;        /* ZT_PRELOAD_STICKY=1: programs started without our variables get them */
    int linger_ms;      /* ZT_PRELOAD_LINGER: how long an embedded node may still send at the end */
    int debug;          /* ZT_PRELOAD_DEBUG */
    int wait_ms;        /* ZT_PRELOAD_WAIT */
    char idle[8];       /* ZT_PRELOAD_IDLE: seconds until a node that we start ends when unused */
    char home[3072];    /* "" when none can be told */
    char networks[512]; /* ZT_NETWORKS */
};
extern struct zt_settings zt_settings;

/* Digits, without a zero at the end: how many. */
size_t zt_put_number(char *out, uint64_t v, unsigned base);
/* Text to the stderr the program started with; %s %d %x only. */
void zt_debug(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- fds.c: which descriptors are virtual ---------------------------------------------------- */

/* A word says all the data path must know of a descriptor. 0: as far as we know the kernel's own.
 * A cache, never the truth: that is the name of the far end (zt_derive). */
typedef uint64_t zt_word;

#define ZT_W_ID_BITS 40
#define ZT_W_ID_MASK ((UINT64_C(1) << ZT_W_ID_BITS) - 1)
#define ZT_W_FLAG(n) (UINT64_C(1) << (ZT_W_ID_BITS + (n)))
#define ZT_W_STREAM ZT_W_FLAG(0) /* 't' */
#define ZT_W_BOUND ZT_W_FLAG(1)  /* 'b': bound stream, listening or not */
#define ZT_W_DGRAM ZT_W_FLAG(2)  /* 'u' */
#define ZT_W_KIND (ZT_W_STREAM | ZT_W_BOUND | ZT_W_DGRAM)
#define ZT_W_V6 ZT_W_FLAG(3)      /* the program's socket is AF_INET6 */
#define ZT_W_SHUT_RD ZT_W_FLAG(4) /* shut down for reading by the program */
#define ZT_W_SHUT_WR ZT_W_FLAG(5)
#define ZT_W_TOLD ZT_W_FLAG(6)  /* connect has reported its success */
#define ZT_W_ERR ZT_W_FLAG(7)   /* the error in the state page has been reported */
#define ZT_W_OVER ZT_W_FLAG(8)  /* a failed connect is done with: the next one is a new attempt */
#define ZT_W_FIXED ZT_W_FLAG(9) /* datagram socket that the program bound to a virtual address */
#define ZT_W_PKTINFO ZT_W_FLAG(10)
#define ZT_W_RECVTOS ZT_W_FLAG(11)
#define ZT_W_RECVTTL ZT_W_FLAG(12)
#define ZT_W_STAMP ZT_W_FLAG(13)
#define ZT_W_STAMPNS ZT_W_FLAG(14)
#define ZT_W_DUPED ZT_W_FLAG(15) /* other numbers may share this (kernel) description */
#define ZT_W_MERGED \
    ZT_W_FLAG(16) /* reached from both sides: a kernel socket is kept for it (any.c) */
#define ZT_W_LOST ZT_W_FLAG(17)   /* a kernel socket that should be merged: its node is away */
#define ZT_W_BLOCKS ZT_W_FLAG(18) /* of such: the program left it blocking */
#define ZT_W_FRESH ZT_W_FLAG(19)  /* a kernel socket that was told nothing (fresh.c) */
#define ZT_W_HELD ZT_W_FLAG(20)   /* under a guard; gone when the number is closed meanwhile */

/* Where a descriptor was last registered with epoll. */
struct zt_note {
    _Atomic int32_t epfd; /* ZT_NOTE_NONE, ZT_NOTE_MANY or an epoll descriptor */
    _Atomic uint32_t events;
    _Atomic uint64_t data;
};
enum { ZT_NOTE_MANY = -1, ZT_NOTE_NONE = 0 }; /* stored as epfd + 1 */

#define ZT_FD_PAGE 1024
#define ZT_FD_PAGES 1024 /* so numbers below 1,048,576 can be virtual */

struct zt_fd_page {
    _Atomic uint64_t word[ZT_FD_PAGE];
    struct zt_note note[ZT_FD_PAGE];
    _Atomic int32_t twin[ZT_FD_PAGE]; /* of a merged one: where its kernel socket was last */
};
extern struct zt_fd_page *_Atomic zt_fd_pages[ZT_FD_PAGES];
extern atomic_bool zt_any_virtual; /* this process has seen a virtual descriptor */

static inline zt_word zt_word_any(int fd)
{
    if ((unsigned)fd >= ZT_FD_PAGE * ZT_FD_PAGES)
        return 0;
    struct zt_fd_page *p =
        atomic_load_explicit(&zt_fd_pages[fd / ZT_FD_PAGE], memory_order_acquire);
    return p ? atomic_load_explicit(&p->word[fd % ZT_FD_PAGE], memory_order_relaxed) : 0;
}

/* The word of a virtual descriptor, else 0: one load and a branch in programs that have none. */
static inline zt_word zt_word_of(int fd)
{
    if (ZT_LIKELY(!atomic_load_explicit(&zt_any_virtual, memory_order_relaxed)))
        return 0;
    zt_word w = zt_word_any(fd);
    return w & ZT_W_KIND ? w : 0;
}

/* Is fd what it was when it had this word? A number may be closed, and be something else, while one of our calls
 * waits with it. */
static inline bool zt_is_still(int fd, zt_word w)
{
    return !((zt_word_any(fd) ^ w) & (ZT_W_ID_MASK | ZT_W_KIND));
}

void zt_fds_init(void);
/* false in a vfork child, which runs on the memory of its parent and must not change the table. */
bool zt_fds_ours(void);
void zt_word_set(int fd, zt_word w);
/* Where fd is still what had the word w. */
void zt_word_flag(int fd, zt_word w, zt_word flags);
void zt_word_unflag(int fd, zt_word flags);
/* The number is about to be closed, or has just been opened as something else. Async-signal-safe.
 */
void zt_fd_forget(int fd);
void zt_fd_forget_range(unsigned first, unsigned last);
void zt_fd_copy(int from, int to);

/* Ask the kernel: the word of a virtual descriptor with its full id, or 0. Costs one system call
 * where fd is the kernel's. */
zt_word zt_derive(int fd, uint64_t *id);
/* Full id of a virtual descriptor; 0 when it turns out to be something else by now. */
uint64_t zt_id_of(int fd, zt_word w);
/* Learn what fd is, where it came from outside (inherited, received). */
void zt_fd_learn(int fd);

struct zt_note *zt_note_of(int fd, bool make);

/* A lock that nobody waits for: false when another thread has it. One that was taken when this process was
 * forked, by a thread that isn't here, is free. */
bool zt_lock_try(atomic_int *l);
static inline void zt_lock_drop(atomic_int *l)
{
    atomic_store(l, 0);
}

/* Metadata operations on one descriptor exclude each other; all signals wait meanwhile, because a
 * handler may want the same. Never held while waiting for the network. The number stays the program's, who may
 * close it all the same: a swap looks whether it has (ZT_W_HELD). */
struct zt_guard {
    uint64_t mask;
    int fd;
};
void zt_enter(struct zt_guard *g, int fd);
void zt_leave(struct zt_guard *g);

/* ---- fresh.c: TCP sockets that nobody has told anything --------------------------------------- */

/* socket() gave fd to the program. */
void zt_fresh_made(int fd, int domain, int type, int protocol);
/* They have been handed on, or are about to be: somebody else may tell them something. */
void zt_fresh_end_all(void);
void zt_fresh_sent(const struct msghdr *m); /* those in a message */
/* It is about to be told something. */
static inline void zt_fresh_end(int fd)
{
    if (zt_word_any(fd) & ZT_W_FRESH)
        zt_word_unflag(fd, ZT_W_FRESH);
}

/* ---- swap.c ---------------------------------------------------------------------------------- */

/* What the program's kernel socket is and was told, read from itself. */
struct zt_facts {
    int domain, type, protocol;
    int fl;       /* F_GETFL */
    bool used;    /* TCP: not in the fresh state */
    int used_err; /* then what connect says: EALREADY, EISCONN */
    bool v6only;
    struct zt_ctl_addr local; /* family 0: not bound */
    bool local_any;           /* bound, but to the wildcard address */
    zt_word flags;            /* ZT_W_PKTINFO and friends, V6 */
    struct linger linger;
};
/* Returns false when fd is no TCP or UDP socket over IP. */
bool zt_facts_read(int fd, struct zt_facts *f);
unsigned zt_facts_opts(int fd, const struct zt_facts *f, struct zt_ctl_opt out[ZT_CTL_OPTS]);
/* fresh.c: both of a socket that is fresh, without asking it; false where it is not. */
bool zt_fresh_facts(int fd, struct zt_facts *f, struct zt_ctl_opt opts[ZT_CTL_OPTS], unsigned *n);
#define ZT_TCP_CLOSE 7 /* the kernel's number for a socket without a connection */

/* What the kernel calls the socket, whatever its number; 0: it is none. */
uint64_t zt_cookie(int fd);

/* Put newfd in the place of fd and of its known duplicates, with flags, simple options and epoll
 * registrations; closes newfd. Returns 0 or -errno (and nothing has changed). */
int zt_swap(int fd, int newfd, zt_word w);
int zt_swap_as(int fd, int newfd, zt_word w, int fl); /* fl: the program's status flags */

/* ---- any.c: sockets bound to a wildcard address
 * ------------------------------------------------ */

/* What listen does where fd is a kernel socket that nobody listens on yet. */
int zt_any_listen(int fd, int backlog);
/* A kernel datagram socket has just been bound: merge it if that was a wildcard. 0 or -errno. */
int zt_any_bound(int fd);
/* The same of one that is about to send to a virtual address; under its guard. -EINVAL: not to be
 * merged. */
int zt_any_sends(int fd, struct zt_facts *f);
/* Is this a bind for ZT_PRELOAD_ANY=virtual? */
bool zt_any_is_virtual(int fd, const struct sockaddr *sa, socklen_t len, struct zt_ctl_addr *out);
/* The port of a refused bind: was only somebody's ghost in the way? */
bool zt_any_release(int fd, const struct sockaddr *sa, socklen_t len);
/* The kernel socket of a merged descriptor, or -1. */
int zt_twin_of(int fd, zt_word w);
/* A number of a merged socket has gone: its twin goes with the last of them. */
void zt_twin_drop(int fd, zt_word w);
/* The socket turns to the kernel for good: put the twin back under the number. 0 or -errno. */
int zt_twin_back(int fd, zt_word w);
/* The node of a merged one has ended: merge it with the next, or put the twin back. Afterwards the
 * descriptor works again; -errno: it does not. */
int zt_any_away(int fd, zt_word w);
/* accept failed with EAGAIN, or is about to be called, on one that lost its virtual side: is it
 * merged again? Unless forced it asks at most once a second. */
bool zt_any_again(int fd, bool force);
extern atomic_bool zt_any_lost; /* this process has such */

/* ---- state.c: what is virtual, and how a virtual socket is -------------------------------------
 */

bool zt_addr_from(const struct sockaddr *sa, socklen_t len, struct zt_ctl_addr *out);
bool zt_addr_any(const struct zt_ctl_addr *a);
static inline bool zt_addr_group(const struct zt_ctl_addr *a) /* multicast, or broadcast */
{
    return a->family == 4 ? a->ip[0] >= 224 : a->ip[0] == 0xff;
}
/* Fill a sockaddr as getsockname does; v6: an IPv4 address is given in its mapped form. */
void zt_addr_to(const struct zt_ctl_addr *a, bool v6, struct sockaddr *sa, socklen_t *len);

/* Is this destination (or address to bind) ours to serve? May start the node and wait where the
 * address is known to be virtual, or ZT_NETWORKS says that it might be. */
bool zt_managed_slow(const struct zt_ctl_addr *a);
/* Is the name in the DNS domain of a joined network? */
bool zt_name_managed(const char *name);
bool zt_sa_managed(const struct sockaddr *sa, socklen_t len, struct zt_ctl_addr *out);

bool zt_in_range(const struct zt_state_range *r, const struct zt_ctl_addr *a);
/* ranges.c: was it virtual when a node ran last? The same of a name of n bytes. */
bool zt_ranges_have(const struct zt_ctl_addr *a);
bool zt_ranges_name(const char *name, size_t n);
/* Read them now, as later it may not be possible. */
void zt_ranges_read(void);
/* Is the name in one of these domains, in the form of the state page? */
bool zt_in_domains(const char *list, const char *name, size_t n);
/* Wait (bounded) until every joined network has its addresses. */
void zt_wait_configured(void);
/* nets.c: join the networks of ZT_NETWORKS when this address may be theirs. True when it certainly
 * is theirs, whatever the node knows by then. */
/* Join them, before the first name that could be of theirs is judged. */
void zt_networks_names(void);
bool zt_networks_judge(const struct zt_ctl_addr *a);
/* Join them, without waiting for their addresses. */
void zt_networks_join(void);
/* Has the home a network, joined or to be joined? Starts nothing. */
bool zt_home_has_network(void);

/* The virtual interfaces, and the addresses of one; how many were written. 0 without a node. */
unsigned zt_ifs(struct zt_state_if out[ZT_STATE_IFS]);
unsigned zt_if_addrs(unsigned dev, struct zt_state_range *out, unsigned cap);
/* Interface number as programs and as the node know it: 0 stays 0. */
static inline uint32_t zt_if_out(uint32_t index)
{
    return index ? index + ZT_IF_BASE : 0;
}
static inline bool zt_if_is_virtual(uint32_t index)
{
    return index > ZT_IF_BASE && index < ZT_IF_BASE + 256;
}
static inline uint32_t zt_if_in(uint32_t index)
{
    return zt_if_is_virtual(index) ? index - ZT_IF_BASE : index;
}

/* Take the state page of the home (again, when that of before is stale). */
bool zt_page_open(void);
bool zt_page_live(void);
/* A copy of a socket's slot; false when the node's page doesn't know it. */
bool zt_slot_read(zt_word w, struct zt_state_slot *out);
/* Its phase alone, for the data path; ZT_PHASE_FREE when unknown. *err: its error. */
enum zt_phase zt_phase_of(zt_word w, int *err);
/* For zt_derive: family of the program's socket, AF_INET or AF_INET6; has it a twin? */
int zt_slot_family(uint64_t id);
bool zt_slot_merged(uint64_t id);

/* ---- ctl.c, start.c: the door ------------------------------------------------------------------
 */

/* One request, one reply. fd, data: where the reply's go, or NULL. Starts the node when it must and
 * may (start). Returns 0, the reply's error or what went wrong on the way, as -errno. */
int zt_ctl(struct zt_ctl_req *req, struct zt_ctl_rep *rep, void *data, size_t cap, int *fd,
           bool start);
/* with: a descriptor to send along, or -1. */
int zt_ctl_with(struct zt_ctl_req *req, int with, struct zt_ctl_rep *rep, void *data, size_t cap,
                int *fd, bool start);
void zt_req_init(struct zt_ctl_req *req, enum zt_ctl_type type, uint64_t id);
int zt_ctl_command(const char *a, const char *b);
void zt_ctl_note(uint64_t id, enum zt_ctl_note what);
/* Is somebody listening at the door? */
bool zt_ctl_up(void);

/* Start ztd for the home unless somebody does already; returns when its door is open (or it is no
 * use to wait longer): 0 or -errno. */
int zt_start_node(void);
/* embed.c: the same as a thread of this process, under the lock that we hold; the descriptor is
 * taken over. 0 or -errno. */
int zt_embed_start(const char *folder, int lock_fd);
/* This thread belongs to an embedded node: nothing that it does is virtual. */
extern __thread bool zt_inside __attribute__((tls_model("initial-exec")));
/* Run look where numbers are free, when this process has none: in a child that shares our memory, but has a
 * table of its own. Not from within itself. */
void zt_aside(void (*look)(void));
int zt_home_open(void); /* O_PATH descriptor of the home folder, or -errno */
/* Keep what is needed to find the door when the path no longer leads there; and has that been done?
 */
void zt_home_remember(void);
bool zt_home_was_seen(void);
/* Ask the door for a descriptor of the state page: that, or -errno. */
int zt_ctl_page(void);
int zt_fd_high(int fd); /* move one of our own descriptors out of the program's sight */
void zt_sleep_ms(int ms);
int64_t zt_now_ms(void);

/* ---- wrap_*.c: what they share ------------------------------------------------------------------
 */

int zt_dgram_attach(int fd, const struct zt_ctl_addr *remote, bool set_remote);
ssize_t zt_dgram_send(int fd, zt_word w, const struct msghdr *m, int flags);
ssize_t zt_dgram_recv(int fd, zt_word w, struct msghdr *m, int flags);
int zt_dgram_error(int fd);    /* take a pending error message: errno or 0 */
long zt_dgram_pending(int fd); /* bytes of the first datagram */
/* SIOCGIF*: 0 or -1 when it is answered; 1: the kernel answers, by fd itself. */
int zt_if_ioctl(int fd, zt_word w, unsigned long request, void *arg);
bool zt_if_by_name(const char *name, struct zt_state_if *out);
int zt_optname_flag(int level, int name, zt_word *flag);

#endif
