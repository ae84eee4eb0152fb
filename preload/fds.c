/* The table of descriptors, a cache. What a descriptor is, it says itself: the node binds the far
 * end of each pair to a name, and getpeername shows it, also after fork, exec and dup (zt_derive).
 * The table spares that system call on the data path.
 *
 * Virtual descriptors come into a process by our own swaps and accepts, by inheritance (looked at
 * once, in the constructor) and by SCM_RIGHTS (looked at in recvmsg). They leave by close and its
 * relatives. A close that libc does inside itself is not seen; the word then stays until the number
 * is handed out by a call we do see. Whatever needs certainty derives.
 *
 * A vfork child shares our memory but not our descriptors: what it closes stays open for us. So it
 * must not write here. It is told apart from a fork child by its parent, and by a page that the
 * kernel wipes on fork. */
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "real.h"
#include "shim.h"
#include "sys.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

static struct zt_fd_page first_page;
struct zt_fd_page *_Atomic zt_fd_pages[ZT_FD_PAGES] = {&first_page};
atomic_bool zt_any_virtual;

static atomic_int owner_pid;
static atomic_int *wiped_on_fork; /* 1, and 0 in a forked child */

void zt_fds_init(void)
{
    atomic_store(&owner_pid, (int)zt_sys0(SYS_getpid));
    long p = zt_sys6(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p > 0 || p < -4095) {
        if (zt_sys3(SYS_madvise, p, 4096, MADV_WIPEONFORK) == 0) {
            wiped_on_fork = (atomic_int *)p;
            atomic_store(wiped_on_fork, 1);
        } else {
            zt_sys2(SYS_munmap, p, 4096);
        }
    }
}

bool zt_fds_ours(void)
{
    int pid = (int)zt_sys0(SYS_getpid), owner = atomic_load(&owner_pid);
    if (ZT_LIKELY(pid == owner))
        return true;
    bool same_memory = !wiped_on_fork || atomic_load(wiped_on_fork) == 1;
    if (same_memory && (int)zt_sys0(SYS_getppid) == owner)
        return false;
    atomic_store(&owner_pid, pid);
    if (wiped_on_fork)
        atomic_store(wiped_on_fork, 1);
    return true;
}

static struct zt_fd_page *page_of(int fd, bool make)
{
    if ((unsigned)fd >= ZT_FD_PAGE * ZT_FD_PAGES)
        return NULL;
    struct zt_fd_page *_Atomic *slot = &zt_fd_pages[fd / ZT_FD_PAGE];
    struct zt_fd_page *p = atomic_load_explicit(slot, memory_order_acquire);
    if (p || !make)
        return p;
    long m =
        zt_sys6(SYS_mmap, 0, sizeof *p, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m < 0 && m > -4096)
        return NULL;
    if (atomic_compare_exchange_strong(slot, &p, (struct zt_fd_page *)m))
        return (struct zt_fd_page *)m;
    zt_sys2(SYS_munmap, m, sizeof *p);
    return p;
}

struct zt_note *zt_note_of(int fd, bool make)
{
    struct zt_fd_page *p = page_of(fd, make);
    return p ? &p->note[fd % ZT_FD_PAGE] : NULL;
}

/* The caller has asked zt_fds_ours. */
static void word_store(int fd, zt_word w)
{
    struct zt_fd_page *p = page_of(fd, w != 0);
    if (!p)
        return;
    atomic_store_explicit(&p->word[fd % ZT_FD_PAGE], w, memory_order_relaxed);
    if (w & ZT_W_KIND)
        atomic_store_explicit(&zt_any_virtual, true, memory_order_relaxed);
}

void zt_word_set(int fd, zt_word w)
{
    if (zt_fds_ours())
        word_store(fd, w);
}

void zt_word_flag(int fd, zt_word w, zt_word flags)
{
    struct zt_fd_page *p = page_of(fd, false);
    zt_word now = zt_word_any(fd);
    while (p && !((now ^ w) & (ZT_W_ID_MASK | ZT_W_KIND)) &&
           !atomic_compare_exchange_weak_explicit(&p->word[fd % ZT_FD_PAGE], &now, now | flags,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

void zt_word_unflag(int fd, zt_word flags)
{
    struct zt_fd_page *p = page_of(fd, false);
    if (p)
        atomic_fetch_and_explicit(&p->word[fd % ZT_FD_PAGE], ~flags, memory_order_relaxed);
}

static void forget_in(struct zt_fd_page *p, int fd)
{
    int i = fd % ZT_FD_PAGE;
    zt_word w = atomic_exchange_explicit(&p->word[i], 0, memory_order_relaxed);
    atomic_store_explicit(&p->note[i].epfd, ZT_NOTE_NONE, memory_order_relaxed);
    if (ZT_UNLIKELY(w & ZT_W_MERGED))
        zt_twin_drop(fd, w);
}

static bool known_in(struct zt_fd_page *p, int i)
{
    return atomic_load_explicit(&p->word[i], memory_order_relaxed) ||
           atomic_load_explicit(&p->note[i].epfd, memory_order_relaxed) != ZT_NOTE_NONE;
}

void zt_fd_forget(int fd)
{
    struct zt_fd_page *p = page_of(fd, false);
    if (p && ZT_UNLIKELY(known_in(p, fd % ZT_FD_PAGE)) && zt_fds_ours())
        forget_in(p, fd);
}

void zt_fd_forget_range(unsigned first, unsigned last)
{
    bool asked = false;
    if (last >= ZT_FD_PAGE * ZT_FD_PAGES)
        last = ZT_FD_PAGE * ZT_FD_PAGES - 1;
    for (unsigned fd = first; fd <= last; fd++) {
        struct zt_fd_page *p = page_of((int)fd, false);
        if (!p) {
            fd |= ZT_FD_PAGE - 1; /* skip the whole page */
            continue;
        }
        if (!known_in(p, (int)(fd % ZT_FD_PAGE)))
            continue;
        if (!asked && !zt_fds_ours())
            return;
        asked = true;
        forget_in(p, (int)fd);
    }
}

void zt_fd_copy(int from, int to)
{
    if (from == to)
        return;
    zt_fd_forget(to);
    if (!zt_fds_ours())
        return;
    if (!(zt_word_any(from) & ZT_W_KIND) && page_of(from, true)) {
        zt_word_flag(from, 0, ZT_W_DUPED);
        zt_word_unflag(from, ZT_W_FRESH);
    }
    word_store(to, zt_word_any(from) & ~ZT_W_HELD);
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "\0zt1.<32 hex>.<kind>.<16 hex>" */
static bool parse_name(const struct sockaddr_un *un, socklen_t len, char *kind, uint64_t *id)
{
    const char *s = un->sun_path;
    if (len != offsetof(struct sockaddr_un, sun_path) + ZT_NAME_LEN || s[0] != 0 ||
        memcmp(s + 1, ZT_NAME_PREFIX, 4) || s[37] != '.' || s[39] != '.')
        return false;
    for (int i = 5; i < 37; i++)
        if (hex(s[i]) < 0)
            return false;
    *kind = s[38];
    *id = 0;
    for (int i = 40; i < 56; i++) {
        if (hex(s[i]) < 0)
            return false;
        *id = *id << 4 | (uint64_t)hex(s[i]);
    }
    return true;
}

zt_word zt_derive(int fd, uint64_t *id)
{
    struct sockaddr_un un;
    socklen_t len = sizeof un;
    char kind;
    if (zt_sys3(SYS_getpeername, fd, &un, &len) < 0 || len < 2 || un.sun_family != AF_UNIX ||
        !parse_name(&un, len, &kind, id))
        return 0;
    /* Anybody may bind such a name; the pair must come from our own user, root, or the owner of the
     * home (the node's user is one of them). */
    struct ucred cred;
    len = sizeof cred;
    if (zt_sys5(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return 0;
    if (cred.uid != 0 && cred.uid != (uid_t)zt_sys0(SYS_geteuid) &&
        cred.uid != (uid_t)zt_sys0(SYS_getuid)) {
        struct stat st;
        if (!zt_settings.home[0] || stat(zt_settings.home, &st) < 0 || st.st_uid != cred.uid)
            return 0;
    }
    zt_word w = *id & ZT_W_ID_MASK;
    switch (kind) {
    case 't':
        /* Whoever opened it has been told how its connect ended, except while that is open. */
        w |= ZT_W_STREAM | ZT_W_TOLD;
        break;
    case 'b':
    case 'l':
        w |= ZT_W_BOUND;
        break;
    case 'u':
        w |= ZT_W_DGRAM;
        break;
    default:
        return 0;
    }
    zt_page_open();
    if (zt_slot_family(*id) == AF_INET6)
        w |= ZT_W_V6;
    if (!(w & ZT_W_STREAM) && zt_slot_merged(*id))
        w |= ZT_W_MERGED;
    if ((w & ZT_W_STREAM) && zt_phase_of(w, NULL) == ZT_PHASE_CONNECTING)
        w &= ~ZT_W_TOLD;
    return w;
}

uint64_t zt_id_of(int fd, zt_word w)
{
    struct zt_state_slot s;
    if (zt_slot_read(w, &s))
        return s.id;
    uint64_t id;
    return zt_derive(fd, &id) ? id : 0;
}

void zt_fd_learn(int fd)
{
    int saved = errno;
    uint64_t id;
    zt_word w = zt_derive(fd, &id);
    zt_fd_forget(fd);
    if (w)
        zt_word_set(fd, w);
    errno = saved;
}

/* ---- locks: the word is 0 or the pid of the holder's process, so that a forked child, in which
 * the holder doesn't exist, can tell and take over ---- */

static atomic_int locks[64];
static atomic_int waiting[64]; /* who sleeps for it; in a forked child too many, which costs a call */

bool zt_lock_try(atomic_int *l)
{
    int pid = (int)zt_sys0(SYS_getpid), seen = 0;
    return atomic_compare_exchange_strong(l, &seen, pid) ||
           (seen != pid && atomic_compare_exchange_strong(l, &seen, pid));
}

void zt_enter(struct zt_guard *g, int fd)
{
    uint64_t all = ~UINT64_C(0);
    zt_sys4(SYS_rt_sigprocmask, SIG_BLOCK, &all, &g->mask, 8);
    g->fd = fd;
    unsigned slot = (unsigned)fd % 64;
    while (!zt_lock_try(&locks[slot])) {
        struct timespec t = {0, 50 * 1000 * 1000};
        atomic_fetch_add(&waiting[slot], 1);
        zt_sys4(SYS_futex, &locks[slot], FUTEX_WAIT_PRIVATE, zt_sys0(SYS_getpid), &t);
        atomic_fetch_sub(&waiting[slot], 1);
    }
    struct zt_fd_page *p = page_of(fd, true);
    if (p)
        atomic_fetch_or_explicit(&p->word[fd % ZT_FD_PAGE], ZT_W_HELD, memory_order_relaxed);
}

void zt_leave(struct zt_guard *g)
{
    unsigned slot = (unsigned)g->fd % 64;
    zt_word_unflag(g->fd, ZT_W_HELD);
    zt_lock_drop(&locks[slot]);
    if (atomic_load(&waiting[slot]))
        zt_sys3(SYS_futex, &locks[slot], FUTEX_WAKE_PRIVATE, 1);
    zt_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &g->mask, NULL, 8);
}
