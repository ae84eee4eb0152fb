/* What is virtual, and how each virtual socket is. Both stand in the node's state page, a file in
 * the home that is mapped read-only: a look at it costs no system call, works in any sandbox and in
 * forked children. When a node ends, the page is marked stale and the next node makes another; a
 * few old mappings are kept for the descriptors that belong to them. No mapping is ever taken away, for
 * a reader may be in it: the oldest one's place in the address space is the next one's.
 *
 * Without a running node the file `ranges` tells what was virtual last (ranges.c). An address in it
 * starts the node; any other goes to the kernel and starts nothing. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "real.h"
#include "shim.h"
#include "sys.h"

#define PAGE_BYTES (sizeof(struct zt_state_head) + ZT_STATE_SLOTS * sizeof(struct zt_state_slot))
#define PAGES_KEPT 4

/* [0] is the current one; filled from the front, moved by whoever opens the next (under page_lock).
 */
static const struct zt_state_head *_Atomic pages[PAGES_KEPT];
static atomic_int page_lock;
static ino_t page_ino;
static const struct zt_state_head *spare; /* a mapping that is none of `pages`: the place of the next */
static _Atomic int64_t next_look_ms; /* no page: when to look for one again */

int64_t zt_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void zt_sleep_ms(int ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    zt_sys5(SYS_ppoll, NULL, 0, &t, NULL, 8);
}

/* ---- addresses ---- */

bool zt_addr_from(const struct sockaddr *sa, socklen_t len, struct zt_ctl_addr *out)
{
    memset(out, 0, sizeof *out);
    if (zt_wild(sa) || len < sizeof(sa_family_t))
        return false;
    if (sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        out->family = 4;
        out->port = ntohs(in.sin_port);
        memcpy(out->ip, &in.sin_addr, 4);
        return true;
    }
    if (sa->sa_family == AF_INET6 && len >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
        struct sockaddr_in6 in6 = {0};
        memcpy(&in6, sa, len < sizeof in6 ? len : sizeof in6);
        out->port = ntohs(in6.sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
            out->family = 4;
            memcpy(out->ip, in6.sin6_addr.s6_addr + 12, 4);
        } else {
            out->family = 6;
            out->scope = in6.sin6_scope_id;
            memcpy(out->ip, &in6.sin6_addr, 16);
        }
        return true;
    }
    return false;
}

bool zt_addr_any(const struct zt_ctl_addr *a)
{
    static const uint8_t zero[16];
    return !memcmp(a->ip, zero, a->family == 4 ? 4 : 16);
}

void zt_addr_to(const struct zt_ctl_addr *a, bool v6, struct sockaddr *sa, socklen_t *len)
{
    union {
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } u;
    socklen_t n;
    memset(&u, 0, sizeof u);
    if (v6) {
        n = sizeof u.in6;
        u.in6.sin6_family = AF_INET6;
        u.in6.sin6_port = htons(a->port);
        u.in6.sin6_scope_id = a->family == 6 ? a->scope : 0;
        if (a->family == 4) {
            u.in6.sin6_addr.s6_addr[10] = u.in6.sin6_addr.s6_addr[11] = 0xff;
            memcpy(u.in6.sin6_addr.s6_addr + 12, a->ip, 4);
        } else {
            memcpy(&u.in6.sin6_addr, a->ip, 16);
        }
    } else {
        n = sizeof u.in;
        u.in.sin_family = AF_INET;
        u.in.sin_port = htons(a->port);
        memcpy(&u.in.sin_addr, a->ip, 4);
    }
    memcpy(sa, &u, *len < n ? *len : n);
    *len = n;
}

/* ---- the page ---- */

static const struct zt_state_head *current(void)
{
    const struct zt_state_head *h = atomic_load_explicit(&pages[0], memory_order_acquire);
    return h && !__atomic_load_n(&h->stale, __ATOMIC_ACQUIRE) ? h : NULL;
}

bool zt_page_live(void)
{
    return current() != NULL;
}

/* Under page_lock. */
static void take_page(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size < PAGE_BYTES)
        return;
    long m = zt_sys6(SYS_mmap, (long)spare, PAGE_BYTES, PROT_READ, MAP_SHARED | (spare ? MAP_FIXED : 0),
                     fd, 0);
    if (m < 0 && m > -4096)
        return;
    const struct zt_state_head *h = spare = (const struct zt_state_head *)m, *old = atomic_load(&pages[0]);
    if (h->magic != ZT_STATE_MAGIC || h->version != ZT_CTL_VERSION) {
        zt_debug(1, "%s/" ZT_STATE_FILE " is of another version", zt_settings.home);
        return;
    }
    if (__atomic_load_n(&h->stale, __ATOMIC_ACQUIRE) ||
        (old && page_ino == st.st_ino && !memcmp(old->host_id, h->host_id, 16)))
        return; /* ended, or no other than before */
    spare = atomic_load(&pages[PAGES_KEPT - 1]);
    for (int i = PAGES_KEPT - 1; i > 0; i--)
        atomic_store(&pages[i], atomic_load(&pages[i - 1]));
    page_ino = st.st_ino;
    atomic_store_explicit(&pages[0], h, memory_order_release);
}

static long open_page(void)
{
    int dir = zt_home_open();
    if (dir < 0) /* behind a chroot, perhaps */
        return zt_home_was_seen() ? zt_ctl_page() : dir;
    long fd = zt_sys4(SYS_openat, dir, ZT_STATE_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    zt_sys1(SYS_close, dir);
    return fd;
}

static void page_aside(void)
{
    zt_page_open();
}

bool zt_page_open(void)
{
    if (current())
        return true;
    long fd = open_page();
    if (fd == -EMFILE)
        zt_aside(page_aside);
    if (fd < 0)
        return current() != NULL;
    if (zt_lock_try(&page_lock)) {
        take_page((int)fd);
        zt_lock_drop(&page_lock);
    }
    zt_sys1(SYS_close, fd);
    return current() != NULL;
}

static const struct zt_state_slot *find_slot(zt_word w, const struct zt_state_head **head)
{
    size_t i = w & (ZT_STATE_SLOTS - 1);
    for (int p = 0; p < PAGES_KEPT; p++) {
        const struct zt_state_head *h = atomic_load_explicit(&pages[p], memory_order_acquire);
        if (!h)
            break;
        const struct zt_state_slot *s = (const struct zt_state_slot *)(h + 1) + i;
        if (((__atomic_load_n(&s->id, __ATOMIC_ACQUIRE) ^ w) & ZT_W_ID_MASK) == 0 && s->id) {
            *head = h;
            return s;
        }
    }
    return NULL;
}

bool zt_slot_read(zt_word w, struct zt_state_slot *out)
{
    const struct zt_state_head *h;
    const struct zt_state_slot *s = find_slot(w, &h);
    if (!s)
        return false;
    out->phase = __atomic_load_n(&s->phase, __ATOMIC_ACQUIRE);
    uint32_t phase = out->phase;
    *out = *s;
    out->phase = phase;
    return ((__atomic_load_n(&s->id, __ATOMIC_ACQUIRE) ^ w) & ZT_W_ID_MASK) == 0;
}

enum zt_phase zt_phase_of(zt_word w, int *err)
{
    const struct zt_state_head *h;
    const struct zt_state_slot *s = find_slot(w, &h);
    if (!s)
        return ZT_PHASE_FREE;
    enum zt_phase phase = (enum zt_phase)__atomic_load_n(&s->phase, __ATOMIC_ACQUIRE);
    if (err)
        *err = s->err;
    return phase;
}

int zt_slot_family(uint64_t id)
{
    const struct zt_state_head *h;
    const struct zt_state_slot *s = find_slot(id & ZT_W_ID_MASK, &h);
    if (!s)
        return AF_INET;
    if (s->family == AF_INET ||
        s->family == AF_INET6) /* the program's socket, where the node says it */
        return s->family;
    return s->lfamily == 6 || s->rfamily == 6 ? AF_INET6 : AF_INET;
}

bool zt_slot_merged(uint64_t id)
{
    const struct zt_state_head *h;
    const struct zt_state_slot *s = find_slot(id & ZT_W_ID_MASK, &h);
    return s && s->twin;
}

/* ---- classification ---- */

/* Addresses that the machine's own networks use: a default route is not meant for them. */
static bool is_private(const struct zt_ctl_addr *a)
{
    const uint8_t *p = a->ip;
    if (a->family == 6)
        return (p[0] & 0xfe) == 0xfc || (p[0] == 0xfe && (p[1] & 0x80) == 0x80);
    return p[0] == 10 || (p[0] == 172 && (p[1] & 0xf0) == 16) || (p[0] == 192 && p[1] == 168) ||
           (p[0] == 169 && p[1] == 254) || (p[0] == 100 && (p[1] & 0xc0) == 64);
}

bool zt_in_range(const struct zt_state_range *r, const struct zt_ctl_addr *a)
{
    if (r->family != a->family || r->bits > (a->family == 4 ? 32 : 128))
        return false;
    if (r->bits == 0)
        return !is_private(a);
    unsigned whole = r->bits / 8, rest = r->bits % 8;
    if (memcmp(r->ip, a->ip, whole))
        return false;
    return !rest || !((r->ip[whole] ^ a->ip[whole]) >> (8 - rest));
}

/* 1, 0, or -1: the page was being changed all the time (its node died while it did that). */
static int in_page(const struct zt_state_head *h, const struct zt_ctl_addr *a)
{
    for (int tries = 0; tries < 1000; tries++) {
        uint32_t seq = __atomic_load_n(&h->seq, __ATOMIC_ACQUIRE);
        if (seq & 1) {
            zt_sys0(SYS_sched_yield);
            continue;
        }
        bool found = false;
        uint32_t n = __atomic_load_n(&h->nranges, __ATOMIC_RELAXED);
        for (uint32_t i = 0; i < n && i < ZT_STATE_RANGES && !found; i++)
            found = zt_in_range(&h->ranges[i], a);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&h->seq, __ATOMIC_RELAXED) == seq)
            return found;
    }
    return -1;
}

/* ---- interfaces ---- */

/* Runs fn on the page until it was not changed meanwhile. */
static unsigned read_page(unsigned (*fn)(const struct zt_state_head *h, void *out, unsigned a,
                                         unsigned b),
                          void *out, unsigned a, unsigned b)
{
    const struct zt_state_head *h = zt_page_open() ? current() : NULL;
    for (int tries = 0; h && tries < 1000; tries++) {
        uint32_t seq = __atomic_load_n(&h->seq, __ATOMIC_ACQUIRE);
        unsigned n = seq & 1 ? 0 : fn(h, out, a, b);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!(seq & 1) && __atomic_load_n(&h->seq, __ATOMIC_RELAXED) == seq)
            return n;
        zt_sys0(SYS_sched_yield);
    }
    return 0;
}

static unsigned copy_ifs(const struct zt_state_head *h, void *out, unsigned a, unsigned b)
{
    (void)a;
    (void)b;
    unsigned n = h->nifs < ZT_STATE_IFS ? h->nifs : ZT_STATE_IFS;
    memcpy(out, h->ifs, n * sizeof h->ifs[0]);
    return n;
}

unsigned zt_ifs(struct zt_state_if out[ZT_STATE_IFS])
{
    if (zt_settings.off || !zt_settings.home[0] || zt_inside)
        return 0;
    int saved = errno;
    unsigned n = read_page(copy_ifs, out, 0, 0);
    errno = saved;
    return n;
}

static unsigned copy_addrs(const struct zt_state_head *h, void *out, unsigned dev, unsigned cap)
{
    struct zt_state_range *r = out;
    unsigned n = 0;
    for (uint32_t i = 0; i < h->nranges && i < ZT_STATE_RANGES && n < cap; i++)
        if (h->ranges[i].ours && h->ranges[i].dev == dev)
            r[n++] = h->ranges[i];
    return n;
}

unsigned zt_if_addrs(unsigned dev, struct zt_state_range *out, unsigned cap)
{
    return read_page(copy_addrs, out, dev, cap);
}

/* While a network is still being configured, an address may be about to become virtual. */
void zt_wait_configured(void)
{
    int64_t until = zt_now_ms() + zt_settings.wait_ms;
    for (int pause = 2; zt_now_ms() < until; pause = pause < 50 ? pause * 2 : 50) {
        const struct zt_state_head *h = current();
        if (!h || !__atomic_load_n(&h->configuring, __ATOMIC_ACQUIRE))
            return;
        zt_sleep_ms(pause);
    }
    zt_debug(1, "a network is still without configuration");
}

/* No node runs: what will it join when it starts? One file for each network. */
static bool joined_on_disk(void)
{
    int dir = zt_home_open();
    if (dir < 0)
        return false;
    long d = zt_sys4(SYS_openat, dir, "networks.d", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    zt_sys1(SYS_close, dir);
    if (d < 0)
        return false;
    char buf[2048];
    bool found = false;
    long n;
    while (!found && (n = zt_sys3(SYS_getdents64, d, buf, sizeof buf)) > 0)
        for (long at = 0; at < n;) {
            unsigned short reclen;
            memcpy(&reclen, buf + at + 16, 2);
            const char *name = buf + at + 19; /* NWID.conf */
            found |= strspn(name, "0123456789abcdef") == 16 && !strcmp(name + 16, ".conf");
            at += reclen;
        }
    zt_sys1(SYS_close, d);
    return found;
}

bool zt_home_has_network(void)
{
    if (zt_settings.off || !zt_settings.home[0] || zt_inside)
        return false;
    if (zt_settings.networks[0])
        return true;
    int saved = errno;
    zt_page_open();
    const struct zt_state_head *h = current();
    bool yes = h && __atomic_load_n(&h->has_network, __ATOMIC_ACQUIRE) != 0;
    if (!yes && (!h || __atomic_load_n(&h->configuring, __ATOMIC_ACQUIRE)))
        yes = joined_on_disk(); /* no node, or one that has not looked yet */
    errno = saved;
    return yes;
}

static bool never_managed(const struct zt_ctl_addr *a)
{
    if (a->family == 4) /* unspecified, loopback, multicast and above */
        return a->ip[0] == 0 || a->ip[0] == 127 || a->ip[0] >= 224;
    return !memcmp(a->ip, &in6addr_loopback, 16) || zt_addr_any(a) || a->ip[0] == 0xff;
}

bool zt_managed_slow(const struct zt_ctl_addr *a)
{
    if (never_managed(a) || zt_settings.off || !zt_settings.home[0] || zt_inside)
        return false;
    if (a->family == 6 && a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80)
        return zt_if_is_virtual(a->scope); /* link-local: whose it is the interface tells */
    int saved = errno;
    bool yes = false;
    if (zt_settings.networks[0] && zt_networks_judge(a)) {
        errno = saved;
        return true;
    }
    const struct zt_state_head *h = current();
    if (!h) {
        int64_t now = zt_now_ms();
        if (now >= atomic_load_explicit(&next_look_ms, memory_order_relaxed)) {
            atomic_store(&next_look_ms, now + 1000);
            zt_page_open();
            h = current();
        }
    }
    int there = h ? in_page(h, a) : -1;
    if (there >= 0) {
        yes = there;
        if (!yes && ZT_UNLIKELY(__atomic_load_n(&h->configuring, __ATOMIC_ACQUIRE))) {
            /* What it was last time it will most likely be again: wait for those only. */
            if (zt_ranges_have(a)) {
                zt_wait_configured();
                yes = true;
            }
        }
    } else {
        yes = zt_ranges_have(a);
    }
    errno = saved;
    return yes;
}

/* ---- names ---- */

/* As in_page. */
static int name_in_page(const struct zt_state_head *h, const char *name, size_t n)
{
    for (int tries = 0; tries < 1000; tries++) {
        uint32_t seq = __atomic_load_n(&h->seq, __ATOMIC_ACQUIRE);
        if (seq & 1) {
            zt_sys0(SYS_sched_yield);
            continue;
        }
        bool found = zt_in_domains(h->domains, name, n);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&h->seq, __ATOMIC_RELAXED) == seq)
            return found;
    }
    return -1;
}

bool zt_name_managed(const char *name)
{
    size_t n = strlen(name);
    if (n && name[n - 1] == '.')
        n--;
    if (!n || zt_settings.off || !zt_settings.home[0] || zt_inside)
        return false;
    int saved = errno;
    if (zt_settings.networks[0])
        zt_networks_names();
    const struct zt_state_head *h = zt_page_open() ? current() : NULL;
    int there = h ? name_in_page(h, name, n) : -1;
    bool yes = false;
    if (there >= 0) {
        yes = there;
        if (!yes && __atomic_load_n(&h->configuring, __ATOMIC_ACQUIRE)) {
            yes = zt_ranges_name(name, n);
            if (yes)
                zt_wait_configured();
        }
    } else {
        yes = zt_ranges_name(name, n);
    }
    errno = saved;
    return yes;
}

bool zt_sa_managed(const struct sockaddr *sa, socklen_t len, struct zt_ctl_addr *out)
{
    if (zt_wild(sa) || len < sizeof(sa_family_t) || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
        return false;
    return zt_addr_from(sa, len, out) && zt_managed_slow(out);
}
