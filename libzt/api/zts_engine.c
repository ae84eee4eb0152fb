/* The engine as the 1.8 generation sees it (zts_engine.h).
 *
 * Groups (zts_core_lock_obtain): the loop is never held up for a caller. The answer about a network, and
 * the one about a peer, is kept inside a group until another one is asked about; the lock only keeps
 * other threads' groups apart. */
#include "api/zts_engine.h"

#include <stdlib.h>

#include "api/zts_priv.h"

#define START_WAIT_MS 10000 /* making an identity takes some seconds at worst */

/* ---- acts
 * ----------------------------------------------------------------------------------------
 */

struct visit {
    enum zts_engine_act act;
    uint64_t id, seed;
    void *out;
    uint16_t *ports;
    size_t cap, total;
};

static int act_on(struct zt_node *n, void *arg)
{
    const struct visit *v = arg;
    if (v->id == 0 || (v->act == ZTS_ACT_ORBIT && v->seed == 0))
        return ZT_E_INVAL;
    int rc = zt_node_wait_up(n, START_WAIT_MS);
    if (rc != 0)
        return rc;
    switch (v->act) {
    case ZTS_ACT_JOIN:
        return zt_node_join(n, v->id);
    case ZTS_ACT_LEAVE:
        return zt_node_leave(n, v->id);
    case ZTS_ACT_ORBIT:
        return zt_node_orbit(n, v->id, v->seed);
    case ZTS_ACT_DEORBIT:
        rc = zt_node_deorbit(n, v->id);
        return rc == ZT_E_NOENT ? 0 : rc; /* it is not orbited now, as asked */
    }
    return ZT_E_INVAL;
}

int zts_engine_act(enum zts_engine_act act, uint64_t id, uint64_t seed)
{
    struct visit v = {.act = act, .id = id, .seed = seed};
    return zts_control_error(zts_with_node(act_on, &v));
}

bool zts_engine_runs(void)
{
    return zts_ready();
}

void zts_engine_errno(int err)
{
    *zts_errno_location() = err;
}

/* ---- questions
 * -----------------------------------------------------------------------------------
 */

static int status(struct zt_node *n, void *arg)
{
    return zt_node_status(n, arg);
}

bool zts_engine_online(void)
{
    struct zt_status_info st;
    return zts_with_node(status, &st) == 0 && st.online;
}

static int self(struct zt_node *n, void *arg)
{
    const struct visit *v = arg;
    int rc = v->out != NULL ? zt_node_identity(n, v->out) : 0;
    return rc == 0 && v->ports != NULL ? zt_node_ports(n, v->ports) : rc;
}

int zts_engine_self(struct zt_identity *id, uint16_t ports[3])
{
    struct visit v = {.out = id, .ports = ports};
    return zts_control_error(zts_with_node(self, &v));
}

/* ---- groups
 * --------------------------------------------------------------------------------------
 */

static struct {
    pthread_mutex_t lock; /* of the whole struct, never held over a question */
    pthread_cond_t free;
    pthread_t owner;
    unsigned depth;
    int net_rc, peer_rc;
    bool has_net, has_peer;
    struct zt_net_info net;
    struct zt_peer_info peer;
} group = {.lock = PTHREAD_MUTEX_INITIALIZER, .free = PTHREAD_COND_INITIALIZER};

void zts_engine_in_child(void)
{
    pthread_mutex_init(&group.lock, NULL);
    pthread_cond_init(&group.free, NULL);
    group.depth = 0;
}

static bool in_group(void)
{
    pthread_mutex_lock(&group.lock);
    bool mine = group.depth > 0 && pthread_equal(group.owner, pthread_self());
    pthread_mutex_unlock(&group.lock);
    return mine;
}

int zts_engine_group_begin(void)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    pthread_mutex_lock(&group.lock);
    while (group.depth > 0 && !pthread_equal(group.owner, pthread_self()))
        pthread_cond_wait(&group.free, &group.lock);
    if (group.depth++ == 0) {
        group.owner = pthread_self();
        group.has_net = group.has_peer = false;
    }
    pthread_mutex_unlock(&group.lock);
    return ZTS_ERR_OK;
}

int zts_engine_group_end(void)
{
    bool ready = zts_ready();
    int rc = ready ? ZTS_ERR_GENERAL : ZTS_ERR_SERVICE;
    pthread_mutex_lock(&group.lock);
    /* Also when the node has gone meanwhile: the next node's groups must not wait for ever. */
    if (group.depth > 0 && pthread_equal(group.owner, pthread_self())) {
        if (--group.depth == 0)
            pthread_cond_signal(&group.free);
        rc = ready ? ZTS_ERR_OK : ZTS_ERR_SERVICE;
    }
    pthread_mutex_unlock(&group.lock);
    return rc;
}

static int net(struct zt_node *n, void *arg)
{
    const struct visit *v = arg;
    return zt_node_network(n, v->id, v->out);
}

static int ask_net(uint64_t nwid, struct zt_net_info *out)
{
    struct visit v = {.id = nwid, .out = out};
    return zts_control_error(zts_with_node(net, &v));
}

static int peer(struct zt_node *n, void *arg)
{
    const struct visit *v = arg;
    return zt_node_peer(n, v->id, v->out);
}

static int ask_peer(uint64_t addr, struct zt_peer_info *out)
{
    struct visit v = {.id = addr, .out = out};
    return zts_control_error(zts_with_node(peer, &v));
}

/* The fields of a group are its owner's, so no lock is needed between in_group and the end. */
int zts_engine_net(uint64_t nwid, struct zt_net_info *out)
{
    if (!in_group())
        return ask_net(nwid, out);
    if (!group.has_net || group.net.nwid != nwid) {
        group.net_rc = ask_net(nwid, &group.net);
        group.net.nwid = nwid;
        group.has_net = true;
    }
    *out = group.net;
    return group.net_rc;
}

int zts_engine_peer(uint64_t addr, struct zt_peer_info *out)
{
    if (!in_group())
        return ask_peer(addr, out);
    if (!group.has_peer || group.peer.addr != addr) {
        group.peer_rc = ask_peer(addr, &group.peer);
        group.peer.addr = addr;
        group.has_peer = true;
    }
    *out = group.peer;
    return group.peer_rc;
}

static int groups(struct zt_node *n, void *arg)
{
    struct visit *v = arg;
    return zt_node_groups(n, v->id, v->out, v->cap, &v->total);
}

int zts_engine_groups(uint64_t nwid, struct zt_group_info *out, size_t cap)
{
    struct visit v = {.id = nwid, .out = out, .cap = cap};
    int rc = zts_with_node(groups, &v);
    return rc == 0 ? (int)v.total : zts_control_error(rc);
}
