#include "api/zts_service.h"

#include <errno.h>
#include <poll.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "api/zts_priv.h"
#include "node/api.h"
#include "node/conf.h"
#include "node/fork.h"

#define EMBED_START_MS 10000
#define DRAIN_MS 2

struct zts_service {
    const struct zts_service_config *cfg;
    struct zts_service_config own; /* an embedded one's */
    struct zt_node *node;
    struct zt_events *events;
    int wake; /* eventfd: the node has ended; -1: nobody waits */
    bool was_up;
    struct zt_ep managers[ZT_CONF_MANAGERS]; /* port: prefix length; from `up` on */
    unsigned nmanagers;
    _Atomic bool failed;
};

__attribute__((format(printf, 3, 4))) static void
say(const struct zts_service *s, enum zts_service_level level, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    s->cfg->log(s->cfg->user, level, text);
}

static void came_up(struct zts_service *s, const struct zt_node_note *note)
{
    s->nmanagers = zt_node_managers(s->node, s->managers, ZT_CONF_MANAGERS);
    struct zts_service_up info = {.home = zt_node_home(s->node),
                                  .address = note->addr,
                                  .port = note->port,
                                  .has_managers = s->nmanagers > 0};
    say(s, ZTS_SERVICE_NOTICE, "node %010llx on UDP port %u", (unsigned long long)note->addr,
        note->port);
    s->was_up = true;
    if (s->cfg->up != NULL)
        s->cfg->up(s->cfg->user, s, &info);
}

/* On the event thread. */
static void on_note(void *user, const struct zt_node_note *note)
{
    struct zts_service *s = user;
    switch (note->what) {
    case ZT_NODE_UP:
        came_up(s, note);
        break;
    case ZT_NODE_ONLINE:
        say(s, ZTS_SERVICE_NOTICE, "online");
        break;
    case ZT_NODE_OFFLINE:
        say(s, ZTS_SERVICE_WARNING, "offline: no root answers");
        break;
    case ZT_NODE_COLLISION:
        say(s, ZTS_SERVICE_WARNING, "another node has our address: taking a new identity");
        break;
    case ZT_NODE_WARNING:
        say(s, ZTS_SERVICE_WARNING, "%s", note->text);
        break;
    case ZT_NODE_NETWORK:
        say(s, ZTS_SERVICE_INFO, "network %016llx: %s", (unsigned long long)note->net->nwid,
            zt_net_status_name(note->net->status));
        break;
    case ZT_NODE_NETWORK_GONE:
        say(s, ZTS_SERVICE_INFO, "network %016llx: left", (unsigned long long)note->net_was->nwid);
        break;
    case ZT_NODE_PEER:
        say(s, ZTS_SERVICE_DEBUG, "peer %010llx: %u paths", (unsigned long long)note->peer->addr,
            note->peer->npaths);
        break;
    case ZT_NODE_FATAL:
        say(s, ZTS_SERVICE_ERROR, "%s", note->text);
        atomic_store(&s->failed, true);
        break;
    case ZT_NODE_DOWN: {
        uint64_t one = 1;
        if (s->wake >= 0 && write(s->wake, &one, sizeof one) < 0)
            say(s, ZTS_SERVICE_ERROR, "cannot wake: %s", strerror(errno));
        break;
    }
    default:
        break;
    }
}

int zts_service_call(struct zts_service *s, const char *method, const char *path, const char *body,
                     size_t nbody, zts_service_done *done, void *arg)
{
    struct zt_api_request r = {method, path, body, nbody};
    return zt_node_api(s->node, &r, done, arg) == 0 ? 0 : -1;
}

bool zts_service_allows(const struct zts_service *s, const struct sockaddr *from)
{
    struct zt_ep ep;
    if (from->sa_family == AF_INET)
        ep = zt_ep_make(4, &((const struct sockaddr_in *)from)->sin_addr, 0);
    else if (from->sa_family == AF_INET6)
        ep = zt_ep_make(6, &((const struct sockaddr_in6 *)from)->sin6_addr, 0);
    else
        return from->sa_family == AF_UNIX;
    if (zt_ep_scope(&ep) == ZT_SCOPE_LOOPBACK)
        return true;
    for (unsigned i = 0; i < s->nmanagers; i++)
        if (zt_ep_in_prefix(&s->managers[i], &ep))
            return true;
    return false;
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

static void wait_for_end(struct zts_service *s, int signals)
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
            (void)zt_node_reload(s->node);
        } else {
            ending = true;
            (void)zt_node_stop(s->node);
        }
    }
}

static int start(struct zts_service *s)
{
    const struct zts_service_config *cfg = s->cfg;
    int rc = zt_events_new(on_note, s, &s->events);
    if (rc != 0)
        return rc;
    struct zt_node_config nc = {.home = cfg->home,
                                .port = cfg->port,
                                .door = true,
                                .lock_fd = cfg->lock_fd,
                                .cache_peers = true,
                                .cache_networks = true,
                                .read_local_conf = true,
                                .controller = true,
                                .idle_exit_s = cfg->idle_exit_s,
                                .events = s->events};
    return zt_node_start(&nc, &s->node);
}

int zts_service_begin(const struct zts_service_config *cfg, void (*thread)(void),
                      struct zts_service **out)
{
    struct zts_service *s = calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL)
        return -1;
    s->own = *cfg;
    s->cfg = &s->own;
    s->wake = -1;
    zt_thread_hook = thread;
    int rc = start(s);
    if (rc == 0)
        rc = zt_node_wait_up(s->node, EMBED_START_MS);
    if (rc != 0) {
        say(s, ZTS_SERVICE_ERROR, "%s", zt_err_text(rc));
        zt_node_free(s->node);
        zt_events_free(s->events);
        free(s);
        return -1;
    }
    *out = s;
    return 0;
}

void zts_service_finish(struct zts_service *s, int timeout_ms)
{
    for (int waited = 0; waited < timeout_ms && !zt_node_is_drained(s->node); waited += DRAIN_MS)
        poll(NULL, 0, DRAIN_MS);
    zt_node_free(s->node);
    zt_events_free(s->events);
    free(s);
}

int zts_service_make_home(const char *home)
{
    errno = zt_store_make_home(home);
    return errno == 0 ? 0 : -1;
}

int zts_service_run(const struct zts_service_config *cfg)
{
    struct zts_service s = {.cfg = cfg, .wake = eventfd(0, EFD_CLOEXEC)};
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
        say(&s, ZTS_SERVICE_ERROR, "%s", strerror(errno));
        return 1;
    }
    raise_limit();
    int rc = start(&s);
    if (rc == 0)
        wait_for_end(&s, signals);
    else
        say(&s, ZTS_SERVICE_ERROR, "%s", zt_err_text(rc));
    if (s.was_up && cfg->down != NULL)
        cfg->down(cfg->user);
    zt_node_free(s.node);
    zt_events_free(s.events);
    close(s.wake);
    close(signals);
    return rc != 0 || atomic_load(&s.failed) ? 1 : 0;
}
