#include "api/zts_service.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "api/zts_priv.h"

struct service {
    const struct zts_service_config *cfg;
    int wake; /* eventfd: the node has ended */
    _Atomic bool failed;
};

__attribute__((format(printf, 2, 3))) static void say(const struct service *s, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "%s: %s\n", s->cfg->name, text); /* one write: lines of two threads don't mix */
}

/* On the event thread. */
static void on_note(void *user, const struct zt_node_note *note)
{
    struct service *s = user;
    switch (note->what) {
    case ZT_NODE_UP:
        say(s, "node %010llx on UDP port %u", (unsigned long long)note->addr, note->port);
        break;
    case ZT_NODE_ONLINE:
        say(s, "online");
        break;
    case ZT_NODE_OFFLINE:
        say(s, "offline: no root answers");
        break;
    case ZT_NODE_COLLISION:
        say(s, "another node has our address: taking a new identity");
        break;
    case ZT_NODE_WARNING:
        say(s, "%s", note->text);
        break;
    case ZT_NODE_FATAL:
        say(s, "%s", note->text);
        atomic_store(&s->failed, true);
        break;
    case ZT_NODE_DOWN: {
        uint64_t one = 1;
        if (write(s->wake, &one, sizeof one) < 0)
            say(s, "cannot wake: %s", strerror(errno));
        break;
    }
    default:
        break;
    }
}

/* A preloaded program costs one descriptor here, so take what the system allows. */
static void raise_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r);
    }
}

static void wait_for_end(struct service *s, struct zt_node *node, int signals)
{
    bool ending = false;
    for (;;) {
        struct pollfd p[2] = {{.fd = s->wake, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return;
        if (p[0].revents & POLLIN)
            return;
        struct signalfd_siginfo info;
        if ((p[1].revents & POLLIN) == 0 || read(signals, &info, sizeof info) != sizeof info ||
            ending)
            continue;
        if (info.ssi_signo == SIGHUP) {
            (void)zt_node_reload(node);
        } else {
            ending = true;
            (void)zt_node_stop(node);
        }
    }
}

int zts_service_run(const struct zts_service_config *cfg)
{
    struct service s = {.cfg = cfg, .wake = eventfd(0, EFD_CLOEXEC)};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP); /* read local.conf again */
    /* Blocked before any thread is made, so that they arrive at the signalfd alone. */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (s.wake < 0 || signals < 0) {
        say(&s, "%s", strerror(errno));
        return 1;
    }
    raise_limit();
    struct zt_events *events = NULL;
    struct zt_node *node = NULL;
    int rc = zt_events_new(on_note, &s, &events);
    if (rc == 0) {
        struct zt_node_config nc = {.home = cfg->home,
                                    .port = cfg->port,
                                    .door = true,
                                    .lock_fd = cfg->lock_fd,
                                    .cache_peers = true,
                                    .cache_networks = true,
                                    .read_local_conf = true,
                                    .idle_exit_s = cfg->idle_exit_s,
                                    .events = events};
        rc = zt_node_start(&nc, &node);
    }
    if (rc == 0)
        wait_for_end(&s, node, signals);
    else
        say(&s, "%s", zt_err_text(rc));
    zt_node_free(node);
    zt_events_free(events);
    close(s.wake);
    close(signals);
    return rc != 0 || atomic_load(&s.failed) ? 1 : 0;
}
