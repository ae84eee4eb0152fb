#include "node/portmap.h"

#include <errno.h>
#include <natpmp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>

#include "base/err.h"
#include "node/fork.h"

#define REFRESH_MS 300000
#define RETRY_MS 60000 /* nobody answered */
#define LEASE_S 600
#define LEASE_TEXT "600"
#define NATPMP_MS 3000 /* for each of its two questions */
#define DISCOVER_MS 2000
#define TRIES 8 /* outside ports, from ours upwards */
#define UPNP_ONLY_PERMANENT 725

struct zt_portmap {
    struct zt_loop *loop;
    zt_portmap_fn *fn;
    void *user;
    uint16_t port;
    char name[64];
    pthread_t thread;
    int stop; /* eventfd */
    pthread_mutex_t lock;
    /* under lock */
    bool stopped;   /* the loop may be gone: it is told nothing more */
    bool ended;     /* the thread is done */
    bool abandoned; /* nobody waits for the thread: it frees all this */

    /* the thread's */
    struct zt_ep outside;
    bool by_upnp;
    char control[512], service[128]; /* of the UPnP router that gave it */
};

struct result {
    const struct zt_portmap *p;
    zt_portmap_fn *fn;
    void *user;
    struct zt_ep outside;
};

/* Sleep; true when it is time to end. fd (may be -1) ends the sleep too. */
static bool wait_ms(const struct zt_portmap *p, int fd, int ms)
{
    struct pollfd f[2] = {{.fd = p->stop, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    return poll(f, fd >= 0 ? 2 : 1, ms) > 0 && (f[0].revents & POLLIN) != 0;
}

static void tell_on_loop(void *arg)
{
    struct result *r = arg;
    r->fn(r->user, r->p, &r->outside);
    free(r);
}

static void tell(struct zt_portmap *p, const struct zt_ep *outside)
{
    if (zt_ep_equal(&p->outside, outside))
        return;
    struct result *r = malloc(sizeof *r);
    if (r == NULL)
        return; /* the next round tries again */
    *r = (struct result){.p = p, .fn = p->fn, .user = p->user, .outside = *outside};
    p->outside = *outside;
    pthread_mutex_lock(&p->lock);
    bool posted = !p->stopped && zt_loop_post(p->loop, tell_on_loop, r) == 0;
    pthread_mutex_unlock(&p->lock);
    if (!posted)
        free(r);
}

static uint16_t outside_port(const struct zt_portmap *p, unsigned try)
{
    unsigned port = p->port + try;
    return (uint16_t)(port <= 65535 ? port : port - 65535 + 1024);
}

/* ---- NAT-PMP -----------------------------------------------------------------------------------
 */

static int64_t mono_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Wait for the answer to the question just sent. */
static bool natpmp_answer(const struct zt_portmap *p, natpmp_t *n, natpmpresp_t *out)
{
    int64_t end = mono_ms() + NATPMP_MS;
    for (int64_t left; (left = end - mono_ms()) > 0;) {
        struct timeval tv = {0};
        (void)getnatpmprequesttimeout(n, &tv);
        int64_t ms = tv.tv_sec * 1000 + tv.tv_usec / 1000 + 1;
        if (wait_ms(p, n->s, (int)(ms > 0 && ms < left ? ms : left)))
            return false;
        int r = readnatpmpresponseorretry(n, out);
        if (r != NATPMP_TRYAGAIN)
            return r == 0;
    }
    return false;
}

static bool natpmp_map(const struct zt_portmap *p, struct zt_ep *outside)
{
    natpmp_t n;
    natpmpresp_t r;
    bool good = false;
    if (initnatpmp(&n, 0, 0) != 0)
        return false; /* no gateway */
    if (sendpublicaddressrequest(&n) >= 0 && natpmp_answer(p, &n, &r) &&
        r.type == NATPMP_RESPTYPE_PUBLICADDRESS) {
        *outside = zt_ep_make(4, &r.pnu.publicaddress.addr, 0);
        /* The router may give another outside port than the one wished for. */
        if (sendnewportmappingrequest(&n, NATPMP_PROTOCOL_UDP, p->port, p->port, LEASE_S) >= 0 &&
            natpmp_answer(p, &n, &r) && r.type == NATPMP_RESPTYPE_UDPPORTMAPPING) {
            outside->port = r.pnu.newportmapping.mappedpublicport;
            good = outside->port != 0;
        }
    }
    closenatpmp(&n);
    return good;
}

static void natpmp_unmap(const struct zt_portmap *p)
{
    natpmp_t n;
    if (initnatpmp(&n, 0, 0) != 0)
        return;
    (void)sendnewportmappingrequest(&n, NATPMP_PROTOCOL_UDP, p->port, 0, 0);
    closenatpmp(&n);
}

/* ---- UPnP --------------------------------------------------------------------------------------
 */

struct igd {
    struct UPNPUrls urls;
    struct IGDdatas data;
    char lan[64];
};

/* True: free its urls later. */
static bool find_igd(struct igd *g)
{
    int error = 0;
    struct UPNPDev *list = upnpDiscover(DISCOVER_MS, NULL, NULL, 0, 0, 2, &error);
    if (list == NULL)
        return false;
    memset(g, 0, sizeof *g);
    int kind = UPNP_GetValidIGD(list, &g->urls, &g->data, g->lan, sizeof g->lan);
    freeUPNPDevlist(list);
    /* 1: a gateway; 2: one that isn't connected or has a private outside, as behind another router,
     * where its mapping still helps those in between. */
    if ((kind == 1 || kind == 2) && g->lan[0] != 0)
        return true;
    if (kind != 0)
        FreeUPNPUrls(&g->urls);
    return false;
}

static int add_mapping(const struct zt_portmap *p, const struct igd *g, uint16_t outside)
{
    char in[8], out[8];
    snprintf(in, sizeof in, "%u", p->port);
    snprintf(out, sizeof out, "%u", outside);
    int rc = UPNP_AddPortMapping(g->urls.controlURL, g->data.first.servicetype, out, in, g->lan,
                                 p->name, "UDP", NULL, LEASE_TEXT);
    if (rc == UPNP_ONLY_PERMANENT)
        rc = UPNP_AddPortMapping(g->urls.controlURL, g->data.first.servicetype, out, in, g->lan,
                                 p->name, "UDP", NULL, "0");
    return rc;
}

static bool upnp_map(struct zt_portmap *p, struct zt_ep *outside)
{
    struct igd g;
    char ip[64] = "";
    bool good = false;
    if (!find_igd(&g))
        return false;
    if (UPNP_GetExternalIPAddress(g.urls.controlURL, g.data.first.servicetype, ip) ==
            UPNPCOMMAND_SUCCESS &&
        zt_ep_parse(ip, outside) == 0 && outside->family == 4)
        for (unsigned i = 0; i < TRIES && !good && !wait_ms(p, -1, 0); i++) {
            /* Ask for the one that we have first: others may be used by somebody else. */
            uint16_t port = i == 0 && p->outside.port != 0 ? p->outside.port : outside_port(p, i);
            good = add_mapping(p, &g, port) == UPNPCOMMAND_SUCCESS;
            outside->port = port;
        }
    snprintf(p->control, sizeof p->control, "%s", g.urls.controlURL);
    snprintf(p->service, sizeof p->service, "%s", g.data.first.servicetype);
    FreeUPNPUrls(&g.urls);
    return good;
}

/* Without looking for the router again, which takes two seconds. */
static void upnp_unmap(const struct zt_portmap *p)
{
    char out[8];
    snprintf(out, sizeof out, "%u", p->outside.port);
    (void)UPNP_DeletePortMapping(p->control, p->service, out, "UDP", NULL);
}

/* ---- the thread --------------------------------------------------------------------------------
 */

static void forget(struct zt_portmap *p)
{
    zt_fd_close(p->stop);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static void *work(void *arg)
{
    struct zt_portmap *p = arg;
    zt_thread_begins();
    pthread_setname_np(pthread_self(), "zt-portmap");
    bool ending = false;
    while (!ending) {
        struct zt_ep outside = {0};
        bool natpmp = natpmp_map(p, &outside);
        bool good = natpmp || (!wait_ms(p, -1, 0) && upnp_map(p, &outside));
        if (!good)
            outside = (struct zt_ep){0};
        p->by_upnp = good && !natpmp;
        tell(p, &outside);
        ending = wait_ms(p, -1, good ? REFRESH_MS : RETRY_MS);
    }
    if (p->outside.family != 0 && p->by_upnp)
        upnp_unmap(p);
    else if (p->outside.family != 0)
        natpmp_unmap(p);
    pthread_mutex_lock(&p->lock);
    p->ended = true;
    bool is_mine = p->abandoned;
    pthread_mutex_unlock(&p->lock);
    if (is_mine)
        forget(p);
    return NULL;
}

int zt_portmap_start(struct zt_loop *l, uint16_t port, const char *name, zt_portmap_fn *fn,
                     void *user, struct zt_portmap **out)
{
    struct zt_portmap *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ZT_E_NOMEM;
    *p = (struct zt_portmap){.loop = l, .fn = fn, .user = user, .port = port};
    snprintf(p->name, sizeof p->name, "%s", name);
    pthread_mutex_init(&p->lock, NULL);
    p->stop = zt_fd_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    int rc = p->stop < 0 ? errno : 0;
    if (rc == 0) {
        sigset_t all, was;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &was); /* signals are for the application's threads */
        rc = pthread_create(&p->thread, NULL, work, p);
        pthread_sigmask(SIG_SETMASK, &was, NULL);
    }
    if (rc != 0) {
        forget(p);
        return ZT_E_NOMEM;
    }
    *out = p;
    return 0;
}

void zt_portmap_stop(struct zt_portmap *p, int wait_ms)
{
    uint64_t one = 1;
    struct timespec end;
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopped = true;
    pthread_mutex_unlock(&p->lock);
    (void)!write(p->stop, &one, sizeof one);
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += wait_ms / 1000;
    end.tv_nsec += wait_ms % 1000 * 1000000L;
    if (end.tv_nsec >= 1000000000L) {
        end.tv_nsec -= 1000000000L;
        end.tv_sec++;
    }
    if (wait_ms > 0 && pthread_clockjoin_np(p->thread, NULL, CLOCK_MONOTONIC, &end) == 0) {
        forget(p);
        return;
    }
    pthread_mutex_lock(&p->lock);
    bool ended = p->ended;
    p->abandoned = !ended;
    pthread_t thread = p->thread;
    pthread_mutex_unlock(&p->lock); /* p is the thread's from here on, unless that has ended */
    if (ended) {
        pthread_join(thread, NULL);
        forget(p);
    } else {
        pthread_detach(thread);
    }
}
