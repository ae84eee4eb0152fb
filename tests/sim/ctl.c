/* A controller whose store is this process: changes are kept, and safe, at once. After a restart of
 * the node it has them all again. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "vl2/controller.h"

struct sim_disk {
    struct sim_node *node;
    struct zt_controller *ctl;
    unsigned nnets, nmembers;
    int64_t time_ms;
    struct zt_ctl_network *nets;
    struct zt_ctl_member *members;
};

static void *copy(const void *p, size_t n)
{
    void *out = n > 0 ? malloc(n) : NULL;
    assert(n == 0 || out != NULL);
    return n > 0 ? memcpy(out, p, n) : NULL;
}

/* Lists are copied one by one: of networks only those that sim_ctl_network makes. */
static struct zt_ctl_network copy_network(const struct zt_ctl_network *n)
{
    struct zt_ctl_network out = *n;
    struct lists {
        struct zt_route route;
        struct zt_ctl_pool pool;
        uint8_t rules[2];
    } *l = calloc(1, sizeof *l);
    assert(l != NULL && n->nroutes <= 1 && n->npools <= 1 && n->rules.n == 2);
    if (n->nroutes > 0)
        l->route = n->routes[0];
    if (n->npools > 0)
        l->pool = n->pools[0];
    memcpy(l->rules, n->rules.p, 2);
    out.routes = &l->route;
    out.pools = &l->pool;
    out.rules.p = l->rules;
    out.block = l;
    return out;
}

static struct zt_ctl_member copy_member(const struct zt_ctl_member *m)
{
    struct zt_ctl_member out = *m;
    out.ips = copy(m->ips, m->nips * sizeof *m->ips);
    out.caps = copy(m->caps, m->ncaps * sizeof *m->caps);
    out.tags = copy(m->tags, m->ntags * sizeof *m->tags);
    return out;
}

static void keep(struct sim_disk *d, const struct zt_ctl_member *m)
{
    unsigned i = 0;
    while (i < d->nmembers && (d->members[i].nwid != m->nwid || d->members[i].addr != m->addr))
        i++;
    if (i == d->nmembers) {
        d->members = realloc(d->members, (i + 1) * sizeof *d->members);
        assert(d->members != NULL);
        d->nmembers++;
    } else {
        zt_ctl_member_fini(&d->members[i]);
    }
    d->members[i] = copy_member(m);
}

static void put_member(void *user, const struct zt_ctl_member *m, unsigned fields,
                       enum zt_ctl_credential credential, const char *token)
{
    const int was = sim_inside;
    sim_inside = 0;
    keep(user, m);
    sim_inside = was;
}

static void put_time(void *user, int64_t wall_ms)
{
    ((struct sim_disk *)user)->time_ms = wall_ms;
}

static bool is_stored(void *user, uint64_t nwid, uint64_t addr)
{
    return true;
}

/* The node has (again) a core: give it the role, and all that is kept. */
void sim_ctl_start(struct sim_node *n)
{
    struct sim_disk *d = n->disk;
    struct zt_now now = sim_node_now(n);
    const struct zt_controller_store store = {
        .user = d, .put_member = put_member, .is_stored = is_stored, .put_time = put_time,
        .time_ms = d->time_ms};
    int rc = zt_core_control(n->core, &store, &d->ctl);
    for (unsigned i = 0; rc == 0 && i < d->nnets; i++) {
        struct zt_ctl_network net = copy_network(&d->nets[i]);
        rc = zt_controller_set_network(d->ctl, &now, &net);
    }
    for (unsigned i = 0; rc == 0 && i < d->nmembers; i++) {
        struct zt_ctl_member m = copy_member(&d->members[i]);
        rc = zt_controller_set_member(d->ctl, &now, &m);
    }
    assert(rc == 0);
    (void)rc;
}

struct zt_controller *sim_controller(struct sim_node *n)
{
    if (n->disk == NULL) {
        n->disk = calloc(1, sizeof *n->disk);
        assert(n->disk != NULL);
        n->disk->node = n;
        sim_ctl_start(n);
    }
    return n->disk->ctl;
}

void sim_ctl_free(struct sim_node *n)
{
    struct sim_disk *d = n->disk;
    if (d == NULL)
        return;
    for (unsigned i = 0; i < d->nnets; i++)
        zt_ctl_network_fini(&d->nets[i]);
    for (unsigned i = 0; i < d->nmembers; i++)
        zt_ctl_member_fini(&d->members[i]);
    free(d->nets);
    free(d->members);
    free(d);
    n->disk = NULL;
}

uint64_t sim_ctl_network(struct sim_node *n, uint32_t number, bool is_private)
{
    static const uint8_t accept_all[2] = {ZT_RULE_ACTION_ACCEPT, 0};
    struct zt_ctl_network net = {
        .nwid = n->id.addr << 24 | number,
        .revision = 1,
        .is_private = is_private,
        .broadcast = true,
        .v4_pools = true,
        .v6_6plane = true,
        .mtu = 2800,
        .multicast_limit = 32,
        .window_ms = 1800000,
        .name = "simulated",
        .nroutes = 1,
        .npools = 1,
        .routes = &(struct zt_route){.target = {.family = 4, .port = 16, .ip = {10, 20}}},
        .pools = &(struct zt_ctl_pool){.start = {.family = 4, .ip = {10, 20, 0, 1}},
                                       .end = {.family = 4, .ip = {10, 20, 255, 254}}},
        .rules = {accept_all, 2},
        .nrules = 1,
    };
    struct zt_now now = sim_node_now(n);
    struct zt_controller *ctl = sim_controller(n);
    struct sim_disk *d = n->disk;
    d->nets = realloc(d->nets, (d->nnets + 1) * sizeof *d->nets);
    assert(d->nets != NULL);
    d->nets[d->nnets++] = copy_network(&net);
    net = copy_network(&net);
    int rc = zt_controller_set_network(ctl, &now, &net);
    assert(rc == 0);
    (void)rc;
    return net.nwid;
}

void sim_ctl_member(struct sim_node *n, uint64_t nwid, const struct sim_node *member,
                    bool authorized)
{
    struct zt_now now = sim_node_now(n);
    struct zt_controller *ctl = sim_controller(n);
    const struct zt_ctl_member *old = zt_controller_member(ctl, nwid, member->id.addr);
    struct zt_ctl_member m;
    if (old != NULL)
        m = copy_member(old);
    else
        zt_ctl_member_init(&m, nwid, member->id.addr);
    m.authorized = authorized;
    keep(n->disk, &m);
    int rc = zt_controller_set_member(ctl, &now, &m);
    assert(rc == 0);
    (void)rc;
}
