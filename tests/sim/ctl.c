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

/* Without tokens: no network here has any. */
static struct zt_ctl_network copy_network(const struct zt_ctl_network *n)
{
    struct zt_ctl_network out = *n;
    struct lists {
        struct zt_route routes[4];
        struct zt_ctl_pool pools[4];
        struct zt_ctl_cap caps[4];
        struct zt_ctl_tag tags[4];
        uint8_t rules[256], cap_rules[4][64];
    } *l = calloc(1, sizeof *l);
    assert(l != NULL && n->nroutes <= 4 && n->npools <= 4 && n->ncaps <= 4 && n->ntags <= 4);
    assert(n->rules.n <= sizeof l->rules && n->ntokens == 0);
    for (unsigned i = 0; i < n->nroutes; i++)
        l->routes[i] = n->routes[i];
    for (unsigned i = 0; i < n->npools; i++)
        l->pools[i] = n->pools[i];
    for (unsigned i = 0; i < n->ntags; i++)
        l->tags[i] = n->tags[i];
    for (unsigned i = 0; i < n->ncaps; i++) {
        assert(n->caps[i].rules.n <= sizeof l->cap_rules[i]);
        l->caps[i] = n->caps[i];
        memcpy(l->cap_rules[i], n->caps[i].rules.p, n->caps[i].rules.n);
        l->caps[i].rules.p = l->cap_rules[i];
    }
    memcpy(l->rules, n->rules.p, n->rules.n);
    out.routes = l->routes;
    out.pools = l->pools;
    out.caps = l->caps;
    out.tags = l->tags;
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
    struct zt_ctl_network net = {.nwid = n->id.addr << 24 | number, .is_private = is_private};
    return sim_ctl_set_network(n, &net);
}

uint64_t sim_ctl_set_network(struct sim_node *n, const struct zt_ctl_network *wanted)
{
    static const uint8_t accept_all[2] = {ZT_RULE_ACTION_ACCEPT, 0};
    struct zt_ctl_network net = *wanted;
    net.revision = 1;
    net.broadcast = net.v4_pools = net.v6_6plane = true;
    net.mtu = 2800;
    net.multicast_limit = 32;
    if (net.window_ms == 0)
        net.window_ms = 1800000;
    strcpy(net.name, "simulated");
    net.nroutes = net.npools = 1;
    net.routes = &(struct zt_route){.target = {.family = 4, .port = 16, .ip = {10, 20}}};
    net.pools = &(struct zt_ctl_pool){.start = {.family = 4, .ip = {10, 20, 0, 1}},
                                      .end = {.family = 4, .ip = {10, 20, 255, 254}}};
    if (net.nrules == 0) {
        net.rules = (struct zt_span){accept_all, 2};
        net.nrules = 1;
    }
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
    return wanted->nwid;
}

/* A copy of what the controller knows of it by now. */
static struct zt_ctl_member known(struct sim_node *n, uint64_t nwid, uint64_t addr)
{
    const struct zt_ctl_member *old = zt_controller_member(sim_controller(n), nwid, addr);
    struct zt_ctl_member m;
    if (old != NULL)
        return copy_member(old);
    zt_ctl_member_init(&m, nwid, addr);
    return m;
}

static void set_member(struct sim_node *n, struct zt_ctl_member *m)
{
    struct zt_now now = sim_node_now(n);
    keep(n->disk, m);
    int rc = zt_controller_set_member(sim_controller(n), &now, m);
    assert(rc == 0);
    (void)rc;
}

void sim_ctl_member(struct sim_node *n, uint64_t nwid, const struct sim_node *member,
                    bool authorized)
{
    struct zt_ctl_member m = known(n, nwid, member->id.addr);
    if (m.authorized && !authorized)
        m.deauthorized_ms = sim_node_now(n).wall_ms;
    m.authorized = authorized;
    set_member(n, &m);
}

void sim_ctl_equip(struct sim_node *n, uint64_t nwid, const struct sim_node *member, uint32_t tag,
                   uint32_t value, uint32_t cap)
{
    struct zt_ctl_member m = known(n, nwid, member->id.addr);
    assert(m.ntags == 0 && m.ncaps == 0);
    struct zt_ctl_tag t = {.id = tag, .value = value};
    m.tags = copy(&t, sizeof t);
    m.ntags = 1;
    if (cap != 0) {
        m.caps = copy(&cap, sizeof cap);
        m.ncaps = 1;
    }
    set_member(n, &m);
}
