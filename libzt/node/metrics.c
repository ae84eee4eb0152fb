/* /metrics: counters and gauges as Prometheus text (exposition format 0.0.4). Names of the reference
 * where the meaning is the same (zt_data, zt_num_networks); the others are ours. One line per thing
 * we have one of, not per peer: the document must stay small on a root with thousands. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/api_priv.h"
#include "node/controller.h"

/* Text that grows; after an allocation failed it stays empty. */
struct page {
    char *p;
    size_t n, cap;
    bool failed;
};

__attribute__((format(printf, 2, 3))) static void put(struct page *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || t->failed)
        return;
    if (t->cap - t->n < (size_t)n + 1) {
        size_t cap = (t->cap + (size_t)n + 1) * 2;
        char *p = realloc(t->p, cap);
        if (p == NULL) {
            t->failed = true;
            return;
        }
        t->p = p;
        t->cap = cap;
    }
    va_start(ap, fmt);
    t->n += (size_t)vsnprintf(t->p + t->n, t->cap - t->n, fmt, ap);
    va_end(ap);
}

static void head(struct page *t, const char *name, const char *type, const char *help)
{
    put(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct page *t, const char *name, const char *type, const char *help, uint64_t v)
{
    head(t, name, type, help);
    put(t, "%s %" PRIu64 "\n", name, v);
}

/* Label values of ours are words, but drop names are capitals and stay as `ztctl info` shows them.
 */
static void two(struct page *t, const char *name, const char *help, const char *label,
                const char *in, uint64_t vin, const char *out, uint64_t vout)
{
    head(t, name, "counter", help);
    put(t, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, in, vin);
    put(t, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, out, vout);
}

static void traffic(struct page *t, struct zt_node *n)
{
    struct zt_status_info s;
    struct zt_udp_stats u;
    zt_core_status(n->core, &s);
    zt_udp_stats(n->udp, &u);
    head(t, "zt_data", "counter", "number of bytes received and transmitted");
    put(t, "zt_data{protocol=\"udp\",direction=\"rx\"} %" PRIu64 "\n", s.bytes_in);
    put(t, "zt_data{protocol=\"udp\",direction=\"tx\"} %" PRIu64 "\n", s.bytes_out);
    two(t, "zt_datagrams_total", "UDP datagrams received and sent", "direction", "rx", s.packets_in,
        "tx", s.packets_out);
    two(t, "zt_udp_calls_total", "system calls that received and sent them", "direction", "rx",
        u.rx_calls, "tx", u.tx_calls);
    one(t, "zt_relayed_packets_total", "counter", "packets passed on for others",
        s.packets_relayed);
    head(t, "zt_drops_total", "counter", "what was refused, by reason");
    const struct zt_drops *d = zt_core_drops(n->core);
    for (int i = 0; i < ZT_DROP_COUNT; i++)
        put(t, "zt_drops_total{reason=\"%s\"} %" PRIu64 "\n", zt_drop_name(i), d->n[i]);
    one(t, "zt_identities_told_total", "counter", "identities in answers to WHOIS",
        s.identities_told);
    one(t, "zt_introductions_total", "counter",
        "pairs of nodes told of each other, of a root that relays for them", s.introductions);
    one(t, "zt_root", "gauge", "1: this node is a root of its planet or of a moon", s.is_root);
    one(t, "zt_frames_dropped_total", "counter", "frames that found the queue to the stack full",
        n->in_dropped);
    one(t, "zt_online", "gauge", "1: a root answers, or this node is one", s.online);
}

static void peers(struct page *t, struct zt_node *n)
{
    size_t total = zt_core_peers(n->core, NULL, 0), direct = 0, relayed = 0, silent = 0;
    uint64_t *ids = calloc(total + 1, sizeof *ids);
    size_t k = ids == NULL ? 0 : zt_core_peers(n->core, ids, total);
    for (size_t i = 0; i < k && i < total; i++) {
        struct zt_peer_info p;
        if (zt_core_peer(n->core, zt_loop_now(n->loop), ids[i], &p) != 0)
            continue;
        bool has_path = p.npaths > 0 && !p.paths[0].expired;
        direct += p.is_alive && has_path;
        relayed += p.is_alive && !has_path;
        silent += !p.is_alive;
    }
    free(ids);
    head(t, "zt_peers", "gauge", "known peers: reached directly, through a root, not heard lately");
    put(t, "zt_peers{path=\"direct\"} %zu\n", direct);
    put(t, "zt_peers{path=\"relay\"} %zu\n", relayed);
    put(t, "zt_peers{path=\"none\"} %zu\n", silent);
}

static void networks(struct page *t, struct zt_node *n)
{
    uint64_t count[ZT_NET_AUTHENTICATION_REQUIRED + 1] = {0};
    void *v;
    size_t joined = 0;
    for (size_t i = 0; zt_map_next(&n->nets, &i, NULL, &v); joined++)
        count[((const struct zt_netent *)v)->info.status]++;
    one(t, "zt_num_networks", "gauge", "number of networks this node has joined", joined);
    head(t, "zt_networks", "gauge", "networks joined, by status");
    for (int s = 0; s <= ZT_NET_AUTHENTICATION_REQUIRED; s++)
        put(t, "zt_networks{status=\"%s\"} %" PRIu64 "\n", zt_net_status_name(s), count[s]);
}

static void sockets(struct page *t, struct zt_node *n)
{
    struct zt_proxy_counts c;
    zt_proxy_counts(n->proxy, &c);
    head(t, "zt_sockets", "gauge", "open virtual sockets");
    put(t, "zt_sockets{kind=\"tcp\"} %u\n", c.tcp);
    put(t, "zt_sockets{kind=\"listener\"} %u\n", c.listeners);
    put(t, "zt_sockets{kind=\"udp\"} %u\n", c.udp);
    two(t, "zt_socket_bytes_total", "payload of virtual sockets", "direction", "rx", c.bytes_in,
        "tx", c.bytes_out);
    two(t, "zt_socket_connections_total", "virtual connections made", "side", "connect", c.connects,
        "accept", c.accepts);
    one(t, "zt_socket_refused_total", "counter", "connections refused: nobody listens, no room",
        c.refused);
    one(t, "zt_socket_memory_bytes", "gauge", "memory of all queues of virtual sockets", c.memory);
}

static void controller(struct page *t, const struct zt_ctl_db *db)
{
    struct zt_ctl_db_counts n = {0};
    if (db != NULL)
        zt_ctl_db_count(db, &n);
    one(t, "zt_controller_networks", "gauge", "networks that this node controls", n.networks);
    one(t, "zt_controller_members", "gauge", "members of these, authorised or not", n.members);
    one(t, "zt_controller_requests_total", "counter", "requests for a configuration",
        n.core.requests);
    head(t, "zt_controller_configurations_total", "counter",
         "configurations sent: asked for, or because something changed");
    put(t, "zt_controller_configurations_total{reason=\"request\"} %" PRIu64 "\n", n.core.configs);
    put(t, "zt_controller_configurations_total{reason=\"change\"} %" PRIu64 "\n", n.core.pushes);
    one(t, "zt_controller_refused_total", "counter", "requests refused, and members put out",
        n.core.denied);
    one(t, "zt_controller_revocations_total", "counter", "revocations sent to members",
        n.core.revocations);
    one(t, "zt_controller_unwritten", "gauge", "records whose last change isn't on disk yet",
        n.unwritten);
    two(t, "zt_controller_writes_total", "files of records written, and that could not be", "result",
        "ok", n.writes, "error", n.failures);
}

static void latency(struct page *t, struct zt_node *n)
{
    const struct zt_loop_stats *s = zt_loop_stats(n->loop);
    uint64_t sum = 0;
    head(t, "zt_loop_turn_seconds", "histogram",
         "time the loop was busy at a stretch: what comes meanwhile waits so long");
    for (unsigned i = 0; i < ZT_LOOP_BUCKETS; i++) {
        sum += s->count[i];
        if (i + 1 < ZT_LOOP_BUCKETS)
            put(t, "zt_loop_turn_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
                (double)zt_loop_bucket_us[i] / 1e6, sum);
        else
            put(t, "zt_loop_turn_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n", sum);
    }
    put(t, "zt_loop_turn_seconds_sum %.6f\n", (double)s->busy_ns / 1e9);
    put(t, "zt_loop_turn_seconds_count %" PRIu64 "\n", sum);
}

void zt_api_metrics(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                    struct zt_api_to to)
{
    struct page t = {0};
    traffic(&t, n);
    peers(&t, n);
    networks(&t, n);
    sockets(&t, n);
    controller(&t, n->controller);
    latency(&t, n);
    if (t.failed || t.p == NULL)
        zt_api_error(to, 500, "out of memory");
    else
        to.done(to.arg, 200, "text/plain", t.p, t.n);
    free(t.p);
}
