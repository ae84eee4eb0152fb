#include "node/udp_watch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/err.h"
#include "node/fork.h"

#define READS_PER_TURN 64

struct zt_udp_watch {
    uv_poll_t poll;
    int fd;
    void (*changed)(void *user);
    void *user;
};

static bool is_news(const struct nlmsghdr *m)
{
    return m->nlmsg_type == RTM_NEWADDR || m->nlmsg_type == RTM_DELADDR ||
           m->nlmsg_type == RTM_NEWLINK || m->nlmsg_type == RTM_DELLINK;
}

/* What changed doesn't matter: whoever is told looks at everything. */
static bool read_news(int fd)
{
    union {
        struct nlmsghdr head;
        char bytes[8192];
    } buf;
    bool news = false;
    for (unsigned i = 0; i < READS_PER_TURN; i++) {
        ssize_t r = recv(fd, &buf, sizeof buf, MSG_DONTWAIT);
        if (r < 0 && errno == ENOBUFS)
            news = true; /* messages were lost */
        else if (r <= 0)
            break;
        unsigned left = r > 0 ? (unsigned)r : 0;
        for (struct nlmsghdr *m = &buf.head; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left))
            news = news || is_news(m);
    }
    return news;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct zt_udp_watch *w = poll->data;
    if (status < 0) { /* lost messages show as an error, and libuv has stopped looking */
        int error;
        socklen_t n = sizeof error;
        getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &n);
        uv_poll_start(poll, UV_READABLE, on_readable);
    }
    if (read_news(w->fd) || status < 0)
        w->changed(w->user);
}

int zt_udp_watch_new(struct zt_loop *l, void (*changed)(void *user), void *user,
                     struct zt_udp_watch **out)
{
    struct sockaddr_nl sa = {.nl_family = AF_NETLINK,
                             .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    int fd = zt_fd_own(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
    if (fd < 0)
        return ZT_E_IO;
    struct zt_udp_watch *w = NULL;
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0)
        w = calloc(1, sizeof *w);
    if (w == NULL || uv_poll_init(zt_loop_uv(l), &w->poll, fd) != 0) {
        free(w);
        zt_fd_close(fd);
        return ZT_E_IO;
    }
    w->fd = fd;
    w->changed = changed;
    w->user = user;
    w->poll.data = w;
    uv_poll_start(&w->poll, UV_READABLE, on_readable);
    *out = w;
    return 0;
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

void zt_udp_watch_free(struct zt_udp_watch *w)
{
    if (w == NULL)
        return;
    uv_poll_stop(&w->poll);
    zt_fd_close(w->fd);
    uv_close((uv_handle_t *)&w->poll, on_closed);
}
