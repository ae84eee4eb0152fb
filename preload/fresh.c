/* TCP sockets that nobody has told anything since socket() made them. What they have been told is read
 * from them when they become virtual, some thirty questions to the kernel; of these the answers are
 * known, after the first of them: what this system gives to every socket.
 *
 * The flag goes with the first call that could change one of the answers, with a duplicate, and when others
 * get the socket and may call something where we don't see it: by fork, spawn, exec (of a vfork child, which
 * has our memory) and in a message. And whether the socket is still a TCP
 * socket without a connection is asked each time: a close inside of libc is not seen either. */
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>

#include "real.h"
#include "shim.h"
#include "sys.h"

static struct {
    atomic_int state; /* 0: nothing yet, 1: being written, 2: there */
    struct zt_facts facts;
    unsigned n;
    struct zt_ctl_opt opts[ZT_CTL_OPTS];
} usual[2]; /* AF_INET, AF_INET6 */

void zt_fresh_made(int fd, int domain, int type, int protocol)
{
    bool tcp = (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) == SOCK_STREAM &&
               (protocol == 0 || protocol == IPPROTO_TCP);
    if (tcp && (domain == AF_INET || domain == AF_INET6) && !zt_settings.off &&
        zt_settings.home[0] && !zt_inside)
        zt_word_set(fd, ZT_W_FRESH | (domain == AF_INET6 ? ZT_W_V6 : 0));
}

static bool is_unused(int fd)
{
    uint8_t state = 0;
    socklen_t len = sizeof state;
    return zt_sys5(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, &state, &len) == 0 &&
           state == ZT_TCP_CLOSE;
}

bool zt_fresh_facts(int fd, struct zt_facts *f, struct zt_ctl_opt opts[ZT_CTL_OPTS], unsigned *n)
{
    zt_word w = zt_word_any(fd);
    int none = 0;
    if (!(w & ZT_W_FRESH) || !is_unused(fd))
        return false;
    __auto_type u = &usual[w & ZT_W_V6 ? 1 : 0];
    if (atomic_load_explicit(&u->state, memory_order_acquire) == 2) {
        *f = u->facts;
        *n = u->n;
        memcpy(opts, u->opts, u->n * sizeof *opts);
        f->fl = (int)zt_sys3(SYS_fcntl, fd, F_GETFL, 0);
        return true;
    }
    if (!zt_facts_read(fd, f))
        return false;
    *n = zt_facts_opts(fd, f, opts);
    if (!f->local.family && atomic_compare_exchange_strong(&u->state, &none, 1)) {
        u->facts = *f;
        u->n = *n;
        memcpy(u->opts, opts, *n * sizeof *opts);
        atomic_store_explicit(&u->state, 2, memory_order_release);
    }
    return true;
}

void zt_fresh_end_all(void)
{
    for (unsigned p = 0; p < ZT_FD_PAGES; p++) {
        struct zt_fd_page *page = atomic_load_explicit(&zt_fd_pages[p], memory_order_acquire);
        for (unsigned i = 0; page && i < ZT_FD_PAGE; i++)
            if (atomic_load_explicit(&page->word[i], memory_order_relaxed) & ZT_W_FRESH)
                zt_word_unflag((int)(p * ZT_FD_PAGE + i), ZT_W_FRESH);
    }
}

void zt_fresh_sent(const struct msghdr *m)
{
    struct msghdr copy = *m;
    if (ZT_LIKELY(!m->msg_controllen || zt_wild(m->msg_control)))
        return;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c && c->cmsg_len >= CMSG_LEN(0); c = CMSG_NXTHDR(&copy, c)) {
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        int fd;
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < n && i < 253; i++) { /* as many as a message may have */
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            zt_fresh_end(fd);
        }
    }
}

__attribute__((constructor)) static void init(void)
{
    pthread_atfork(zt_fresh_end_all, NULL, NULL);
}
