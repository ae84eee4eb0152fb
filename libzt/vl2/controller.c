/* The controller at work: requests in, configurations, errors and revocations out.
 *
 * A request is decided on the spot: refused, or the member is given what it lacks. When that
 * changed its record, the answer waits until the store says that the record is safe (is_wanted), so
 * that no address is in use which a crash could give out again. Everything else that makes a
 * configuration necessary (somebody changed the network or the member) puts the member on the due
 * list, which is worked off a few at a time between other events: signing takes a fraction of a
 * millisecond, and a network may have thousands of members.
 *
 * "Online" is who asked within the last two minutes. The list is kept in the order of requests, so
 * those who left are found at its end.
 *
 * Beyond the reference (docs, "Where we differ"): a member that is authorised, deauthorised or
 * whose network is deleted is told at once instead of at its next request, also when this
 * controller has been restarted and has not heard of it since; revocations are also for those who
 * were away (controller_revoke.c). */
#include "vl2/controller.h"

#include <stdlib.h>

#include "base/err.h"
#include "crypto/identity.h"
#include "vl2/config.h"
#include "vl2/controller_priv.h"

#define REQUEST_SPACING_MS 1000
#define KEEP_AHEAD_MS 60000 /* members' certificates may differ by several times this */
#define DUE_PER_TICK 16
#define TOKEN_MAX 505 /* characters of a join token */
#define META_MAX 1023 /* more of a request isn't read */

static const struct zt_identity *self(const struct zt_controller *c)
{
    return zt_vl1_identity(c->vl2->vl1);
}

/* ---- sending ---- */

/* nwid alone, to a member. Errors without a request use packet id 0; members accept them. */
static void send_error(struct zt_controller *c, const struct zt_now *now, uint64_t to,
                       uint64_t packet_id, uint8_t code, uint64_t nwid)
{
    struct zt_wr w = zt_vl2_begin(c->vl2);

    zt_wr_u8(&w, ZT_VERB_NETWORK_CONFIG_REQUEST);
    zt_wr_u64(&w, packet_id);
    zt_wr_u8(&w, code);
    zt_wr_u64(&w, nwid);
    zt_vl2_send(c->vl2, now, to, ZT_VERB_ERROR, &w, 0);
}

static enum zt_net_status status_of(uint8_t code)
{
    switch (code) {
    case ZT_ERROR_NETWORK_ACCESS_DENIED:
        return ZT_NET_ACCESS_DENIED;
    case ZT_ERROR_AUTHENTICATION_REQUIRED:
        return ZT_NET_AUTHENTICATION_REQUIRED;
    default:
        return ZT_NET_NOT_FOUND;
    }
}

static void refuse(struct zt_controller *c, const struct zt_now *now, uint64_t to,
                   uint64_t packet_id, uint8_t code, uint64_t nwid)
{
    c->counts.denied++;
    if (to != self(c)->addr) {
        send_error(c, now, to, packet_id, code, nwid);
        return;
    }
    struct zt_network *net = zt_network_find(c->vl2, nwid);
    if (net != NULL)
        zt_config_fail(net, status_of(code));
}

/* One signed piece of the dictionary in c->dict. */
static void send_chunk(struct zt_controller *c, const struct zt_now *now,
                       const struct zt_cmember *m, size_t offset, size_t total, uint64_t update_id)
{
    const bool is_answer = m->packet_id != 0;
    struct zt_wr w = zt_vl2_begin(c->vl2);
    uint8_t sig[ZT_SIG];

    if (is_answer) {
        zt_wr_u8(&w, ZT_VERB_NETWORK_CONFIG_REQUEST);
        zt_wr_u64(&w, m->packet_id);
    }
    const size_t text = w.n;
    const size_t n = total - offset < ZT_CHUNK_DATA ? total - offset : ZT_CHUNK_DATA;
    zt_wr_chunk_text(&w, m->r.nwid, c->dict + offset, n, 0, update_id, (uint32_t)total,
                     (uint32_t)offset);
    if (!w.bad)
        zt_identity_sign(self(c), w.p + text, w.n - text, sig);
    zt_wr_chunk_sig(&w, sig);
    zt_vl2_send(c->vl2, now, m->r.addr, is_answer ? ZT_VERB_OK : ZT_VERB_NETWORK_CONFIG, &w,
                ZT_TX_COMPRESS | (is_answer ? 0 : ZT_TX_EXPECT));
}

static void send_dictionary(struct zt_controller *c, const struct zt_now *now,
                            const struct zt_cmember *m, size_t total)
{
    uint64_t update_id;

    if (m->r.addr == self(c)->addr) {
        struct zt_network *net = zt_network_find(c->vl2, m->r.nwid);
        if (net != NULL)
            zt_config_local(net, now, c->dict, total);
        return;
    }
    do
        c->vl2->host->random(c->vl2->host->user, &update_id, sizeof update_id);
    while (update_id == 0);
    for (size_t offset = 0; offset < total; offset += ZT_CHUNK_DATA)
        send_chunk(c, now, m, offset, total, update_id);
}

/* The store is told a little ahead, so that it is not told for each credential. */
static void keep_time(struct zt_controller *c)
{
    if (c->issued_at_ms <= c->kept_ms)
        return;
    c->kept_ms = c->issued_at_ms + KEEP_AHEAD_MS;
    if (c->store.put_time != NULL)
        c->store.put_time(c->store.user, c->kept_ms);
}

/* Credentials never get older: members compare them with each other, and a clock set back would
 * make new ones void. */
static int64_t credential_time(struct zt_controller *c, const struct zt_now *now)
{
    if (now->wall_ms > c->issued_at_ms)
        c->issued_at_ms = now->wall_ms;
    keep_time(c);
    return c->issued_at_ms;
}

/* Its record is authorised and stored: make the configuration and send it. */
static void issue(struct zt_controller *c, const struct zt_now *now, struct zt_cmember *m)
{
    size_t n;
    int rc = zt_controller_build(c, credential_time(c, now), m, &n);

    if (rc != 0) {
        zt_drop_count(c->vl2->drops, rc == ZT_E_SPACE ? ZT_DROP_CONFIG_SIZE : ZT_DROP_NO_MEMORY);
        if (m->packet_id != 0)
            refuse(c, now, m->r.addr, m->packet_id, ZT_ERROR_OBJECT_NOT_FOUND, m->r.nwid);
    } else {
        m->issued_ms = now->mono_ms;
        *(m->packet_id != 0 ? &c->counts.configs : &c->counts.pushes) += 1;
        send_dictionary(c, now, m, n);
        zt_controller_tell(m, now);
    }
    m->packet_id = 0;
}

/* ---- what is due ---- */

static void set_due(struct zt_cmember *m, const struct zt_now *now)
{
    struct zt_controller *c = m->net->ctl;
    if (zt_list_empty(&m->due))
        zt_list_push_back(&c->due, &m->due);
    if (c->work.pos == 0 && zt_heap_set(&c->vl2->timers, &c->work, now->mono_ms) != 0)
        zt_drop_count(c->vl2->drops, ZT_DROP_NO_MEMORY); /* its next request finds it */
}

static void put(struct zt_cmember *m, unsigned fields, enum zt_ctl_credential credential,
                const char *token)
{
    const struct zt_controller_store *s = &m->net->ctl->store;
    if (fields != 0)
        s->put_member(s->user, &m->r, fields, credential, token);
}

static bool is_stored(const struct zt_cmember *m)
{
    const struct zt_controller_store *s = &m->net->ctl->store;
    return s->is_stored(s->user, m->r.nwid, m->r.addr);
}

static bool is_expelled_by_sso(const struct zt_cmember *m, const struct zt_now *now)
{
    return m->net->r.sso && !m->r.sso_exempt && m->r.sso_expiry_ms <= now->wall_ms;
}

/* A configuration is to be made; m->packet_id says for what. */
static void work_off(struct zt_controller *c, const struct zt_now *now, struct zt_cmember *m)
{
    unsigned changed = 0;

    m->is_wanted = false;
    if (!m->r.has_identity || !m->r.authorized || is_expelled_by_sso(m, now))
        return;
    if (zt_controller_equip(m, false, &changed) != 0)
        zt_drop_count(c->vl2->drops, ZT_DROP_NO_MEMORY);
    put(m, changed, ZT_CTL_CREDENTIAL_NONE, NULL);
    if (is_stored(m))
        issue(c, now, m);
    else
        m->is_wanted = true;
}

static void work_due(void *user, struct zt_timer *t)
{
    const struct zt_tick *tick = user;
    struct zt_controller *c = ZT_CONTAINER(t, struct zt_controller, work);

    for (unsigned n = 0; n < DUE_PER_TICK && !zt_list_empty(&c->due); n++) {
        struct zt_cmember *m = ZT_CONTAINER(c->due.next, struct zt_cmember, due);
        zt_list_remove(&m->due);
        work_off(c, tick->now, m);
    }
    if (!zt_list_empty(&c->due))
        (void)zt_heap_set(&c->vl2->timers, &c->work, tick->now->mono_ms + 1);
}

void zt_controller_stored(struct zt_controller *c, const struct zt_now *now, uint64_t nwid,
                          uint64_t addr)
{
    struct zt_cnet *net = zt_cnet_find(c, nwid);
    struct zt_cmember *m = net != NULL ? zt_cmember_find(net, addr) : NULL;
    if (m != NULL && m->is_wanted)
        set_due(m, now);
}

/* ---- online members ---- */

static void drop_offline(struct zt_cnet *net, const struct zt_now *now)
{
    while (!zt_list_empty(&net->online)) {
        struct zt_cmember *m = ZT_CONTAINER(net->online.prev, struct zt_cmember, online);
        if (now->mono_ms - m->requested_ms < ZT_CONTROLLER_ONLINE_MS)
            return;
        zt_list_remove(&m->online);
    }
}

static void note_request(struct zt_cmember *m, const struct zt_now *now, bool has_rules)
{
    m->requested_ms = now->mono_ms;
    m->has_request = true;
    m->has_rules = has_rules;
    zt_list_remove(&m->online);
    zt_list_push_front(&m->net->online, &m->online);
    drop_offline(m->net, now);
}

static void push_all(struct zt_cnet *net, const struct zt_now *now)
{
    drop_offline(net, now);
    ZT_LIST_EACH(it, &net->online)
    set_due(ZT_CONTAINER(it, struct zt_cmember, online), now);
}

/* ---- in no more ---- */

/* The certificates of this node are void from now on. */
static void revoke(struct zt_cnet *net, const struct zt_now *now, uint64_t addr)
{
    zt_controller_revoke(net, now, addr, credential_time(net->ctl, now));
    /* A certificate that is issued again in this very millisecond must be newer. */
    net->ctl->issued_at_ms++;
    keep_time(net->ctl);
}

/* Is it known that the node isn't there? Of one that was in the network before this controller
 * started nothing is known yet: it asks once a minute. */
static bool is_away(const struct zt_cmember *m, const struct zt_now *now)
{
    return m->has_request ? now->mono_ms - m->requested_ms >= ZT_CONTROLLER_ONLINE_MS
                          : m->r.version_proto < 0;
}

static void deauthorised(struct zt_cmember *m, const struct zt_now *now)
{
    struct zt_controller *c = m->net->ctl;

    revoke(m->net, now, m->r.addr);
    if (m->issued_ms != ZT_LONG_AGO || (!m->has_request && !is_away(m, now)))
        refuse(c, now, m->r.addr, 0, ZT_ERROR_NETWORK_ACCESS_DENIED, m->r.nwid);
    m->issued_ms = ZT_LONG_AGO;
    m->packet_id = 0;
}

/* ---- requests ---- */

struct request {
    uint64_t nwid, addr, packet_id;
    const struct zt_identity *id;
    const uint8_t *meta;
    size_t n;
};

/* Does the request show a token that is good now? It is copied to token. */
static bool shows_token(const struct zt_ctl_network *n, const struct request *q,
                        const struct zt_now *now, char token[TOKEN_MAX + 1])
{
    char text[6 + TOKEN_MAX + 1];
    int len = zt_dict_get(q->meta, q->n, "a", (uint8_t *)text, sizeof text);

    if (len <= 6 || memcmp(text, "token:", 6) != 0)
        return false;
    memcpy(token, text + 6, (size_t)len - 5);
    for (unsigned i = 0; i < n->ntokens; i++) {
        if (zt_same_secret(n->tokens[i].text, token))
            return n->tokens[i].expires_ms == 0 || n->tokens[i].expires_ms > now->wall_ms;
    }
    return false;
}

static enum zt_ctl_credential credential_of(const struct zt_ctl_network *n, const struct request *q,
                                            const struct zt_now *now, char token[TOKEN_MAX + 1])
{
    if (!n->is_private)
        return ZT_CTL_CREDENTIAL_PUBLIC;
    return shows_token(n, q, now, token) ? ZT_CTL_CREDENTIAL_TOKEN : ZT_CTL_CREDENTIAL_NONE;
}

/* A version number as it is stored. */
static int version(const struct request *q, const char *key)
{
    uint64_t v = zt_dict_u64(q->meta, q->n, key, 0);
    return v > INT32_MAX ? INT32_MAX : (int)v;
}

static unsigned note_version(struct zt_ctl_member *r, const struct request *q)
{
    const int v[4] = {version(q, "majv"), version(q, "minv"), version(q, "revv"), version(q, "pv")};

    if (r->version_major == v[0] && r->version_minor == v[1] && r->version_rev == v[2] &&
        r->version_proto == v[3])
        return 0;
    r->version_major = v[0];
    r->version_minor = v[1];
    r->version_rev = v[2];
    r->version_proto = v[3];
    return ZT_CHANGED_VERSION;
}

/* A record for a node that was never heard of. NULL: there are too many of them, or no memory. */
static struct zt_cmember *meet(struct zt_controller *c, struct zt_cnet *net, uint64_t addr,
                               bool is_stranger)
{
    struct zt_ctl_member r;
    struct zt_cmember *m;

    if (is_stranger && net->nstrangers >= ZT_CONTROLLER_STRANGERS) {
        zt_drop_count(c->vl2->drops, ZT_DROP_TABLE_FULL);
        return NULL;
    }
    zt_ctl_member_init(&r, net->r.nwid, addr);
    int rc = zt_cmember_add(net, &r, &m);
    if (rc != 0) {
        zt_drop_count(c->vl2->drops, rc == ZT_E_LIMIT ? ZT_DROP_TABLE_FULL : ZT_DROP_NO_MEMORY);
        return NULL;
    }
    zt_cnet_set_stranger(m, is_stranger);
    return m;
}

/* What a request of a member with a record comes to. */
static void decide(struct zt_controller *c, const struct zt_now *now, struct zt_cmember *m,
                   const struct request *q, bool is_new, enum zt_ctl_credential credential,
                   const char *token)
{
    unsigned changed = is_new ? ZT_CHANGED_NEW : 0;

    if (m->r.has_identity && memcmp(m->r.pub, q->id->pub, ZT_PUB) != 0) {
        zt_drop_count(c->vl2->drops, ZT_DROP_COLLISION);
        refuse(c, now, q->addr, q->packet_id, ZT_ERROR_NETWORK_ACCESS_DENIED, q->nwid);
        return;
    }
    if (!m->r.has_identity) {
        m->r.has_identity = true;
        memcpy(m->r.pub, q->id->pub, ZT_PUB);
        changed |= ZT_CHANGED_IDENTITY;
    }
    note_request(m, now, zt_dict_u64(q->meta, q->n, "revr", 0) >= 1);
    if (!m->r.authorized && credential != ZT_CTL_CREDENTIAL_NONE) {
        m->r.authorized = true;
        m->r.authorized_ms = now->wall_ms;
        changed |= ZT_CHANGED_AUTHORIZED;
        zt_cnet_set_stranger(m, false);
    }
    if (!m->r.authorized || is_expelled_by_sso(m, now)) {
        put(m, changed, credential, token);
        refuse(c, now, q->addr, q->packet_id,
               m->r.authorized ? ZT_ERROR_AUTHENTICATION_REQUIRED : ZT_ERROR_NETWORK_ACCESS_DENIED,
               q->nwid);
        return;
    }
    changed |= note_version(&m->r, q);
    if (zt_controller_equip(m, is_new, &changed) != 0)
        zt_drop_count(c->vl2->drops, ZT_DROP_NO_MEMORY);
    put(m, changed, credential, token);
    m->packet_id = q->packet_id;
    if (is_stored(m))
        issue(c, now, m);
    else
        m->is_wanted = true;
}

static void request(struct zt_controller *c, const struct zt_now *now, const struct request *q)
{
    struct zt_cnet *net = zt_cnet_find(c, q->nwid);
    struct zt_cmember *m = net != NULL ? zt_cmember_find(net, q->addr) : NULL;
    char token[TOKEN_MAX + 1] = "";

    /* With a record its own time counts; without one the bounded table of buckets. */
    if (m != NULL ? now->mono_ms - m->requested_ms <= REQUEST_SPACING_MS
                  : !zt_vl2_rate(c->vl2, now, ZT_RATE_CONFIG_REQUEST, q->addr, q->nwid, 1)) {
        zt_drop_count(c->vl2->drops, ZT_DROP_RATE);
        return;
    }
    c->counts.requests++;
    if (net == NULL) {
        refuse(c, now, q->addr, q->packet_id, ZT_ERROR_OBJECT_NOT_FOUND, q->nwid);
        return;
    }
    enum zt_ctl_credential credential = credential_of(&net->r, q, now, token);
    bool is_new = m == NULL;
    if (is_new)
        m = meet(c, net, q->addr, credential == ZT_CTL_CREDENTIAL_NONE);
    if (m == NULL)
        refuse(c, now, q->addr, q->packet_id, ZT_ERROR_NETWORK_ACCESS_DENIED, q->nwid);
    else
        decide(c, now, m, q, is_new, credential, token);
}

void zt_controller_request(struct zt_controller *c, const struct zt_now *now,
                           const struct zt_rx *rx, uint64_t nwid, const uint8_t *meta, size_t n)
{
    const struct zt_identity *id = zt_vl1_identity_of(c->vl2->vl1, rx->from);

    if (zt_nwid_controller(nwid) != self(c)->addr || id == NULL) {
        zt_drop_count(c->vl2->drops, ZT_DROP_NOT_OURS);
        return;
    }
    request(c, now,
            &(struct request){.nwid = nwid,
                              .addr = rx->from,
                              .packet_id = rx->id,
                              .id = id,
                              .meta = meta,
                              .n = n < META_MAX ? n : META_MAX});
}

void zt_controller_request_local(struct zt_controller *c, const struct zt_now *now, uint64_t nwid)
{
    uint8_t meta[META_MAX];
    struct zt_wr w = zt_wr(meta, sizeof meta);

    if (zt_netconf_request(&w, "") != 0)
        return;
    /* Any id but 0, which would be a push. */
    request(c, now,
            &(struct request){.nwid = nwid,
                              .addr = self(c)->addr,
                              .packet_id = 1,
                              .id = self(c),
                              .meta = meta,
                              .n = w.n});
}

bool zt_controller_has_rights(const struct zt_controller *c, const struct zt_now *now,
                              uint64_t nwid, uint64_t addr)
{
    const struct zt_cnet *net = zt_cnet_find(c, nwid);
    const struct zt_cmember *m = net != NULL ? zt_cmember_find(net, addr) : NULL;
    return m != NULL && now->mono_ms - m->issued_ms < ZT_CONTROLLER_RIGHTS_MS;
}

/* ---- records from outside ---- */

int zt_controller_set_network(struct zt_controller *c, const struct zt_now *now,
                              struct zt_ctl_network *n)
{
    struct zt_cnet *net = zt_cnet_find(c, n->nwid);

    if (zt_nwid_controller(n->nwid) != self(c)->addr) {
        zt_ctl_network_fini(n);
        return ZT_E_INVAL;
    }
    if (net == NULL)
        return zt_cnet_add(c, n, &net);
    zt_ctl_network_fini(&net->r);
    net->r = *n;
    push_all(net, now);
    return 0;
}

/* A record that there wasn't. At a start it may be of a node that was put out just before the end
 * of the controller, which had no time to tell: the others still take its certificate. */
static int add_member(struct zt_cnet *net, const struct zt_now *now, struct zt_ctl_member *r)
{
    struct zt_cmember *m;
    int rc = zt_cmember_add(net, r, &m);
    if (rc == 0 && !m->r.authorized &&
        now->wall_ms - m->r.deauthorized_ms < zt_controller_window(&net->r))
        revoke(net, now, m->r.addr);
    return rc;
}

int zt_controller_set_member(struct zt_controller *c, const struct zt_now *now,
                             struct zt_ctl_member *r)
{
    struct zt_cnet *net = zt_cnet_find(c, r->nwid);
    struct zt_cmember *m = net != NULL ? zt_cmember_find(net, r->addr) : NULL;

    if (net == NULL) {
        zt_ctl_member_fini(r);
        return ZT_E_INVAL;
    }
    if (m == NULL)
        return add_member(net, now, r);
    bool was_authorised = m->r.authorized;
    zt_cmember_replace(m, r);
    zt_cnet_set_stranger(m, false); /* somebody takes an interest in it */
    if (was_authorised && !m->r.authorized)
        deauthorised(m, now);
    else if (m->r.authorized && !is_away(m, now))
        set_due(m, now);
    return 0;
}

int zt_controller_delete_member(struct zt_controller *c, const struct zt_now *now, uint64_t nwid,
                                uint64_t addr)
{
    struct zt_cnet *net = zt_cnet_find(c, nwid);
    struct zt_cmember *m = net != NULL ? zt_cmember_find(net, addr) : NULL;

    if (m == NULL)
        return ZT_E_NOENT;
    if (m->r.authorized)
        deauthorised(m, now);
    zt_cmember_free(m);
    return 0;
}

int zt_controller_delete_network(struct zt_controller *c, const struct zt_now *now, uint64_t nwid)
{
    struct zt_cnet *net = zt_cnet_find(c, nwid);

    if (net == NULL)
        return ZT_E_NOENT;
    unsigned revoked = 0;
    drop_offline(net, now);
    /* As many as fit into one packet: of more, the certificates expire. */
    ZT_LIST_EACH(it, &net->online)
    {
        const struct zt_cmember *m = ZT_CONTAINER(it, struct zt_cmember, online);
        if (m->r.authorized && revoked++ < ZT_CTL_REVOKED_AT_ONCE)
            revoke(net, now, m->r.addr);
    }
    zt_controller_tell_now(net, now);
    ZT_LIST_EACH(it2, &net->online)
    refuse(c, now, ZT_CONTAINER(it2, struct zt_cmember, online)->r.addr, 0,
           ZT_ERROR_OBJECT_NOT_FOUND, nwid);
    (void)zt_map_del(&c->networks, nwid);
    zt_cnet_free(net);
    return 0;
}

const struct zt_ctl_network *zt_controller_network(const struct zt_controller *c, uint64_t nwid)
{
    const struct zt_cnet *net = zt_cnet_find(c, nwid);
    return net != NULL ? &net->r : NULL;
}

const struct zt_ctl_member *zt_controller_member(const struct zt_controller *c, uint64_t nwid,
                                                 uint64_t addr)
{
    const struct zt_cnet *net = zt_cnet_find(c, nwid);
    const struct zt_cmember *m = net != NULL ? zt_cmember_find(net, addr) : NULL;
    return m != NULL ? &m->r : NULL;
}

void zt_controller_counts(const struct zt_controller *c, struct zt_ctl_counts *out)
{
    *out = c->counts;
    out->networks = (unsigned)c->networks.count;
}

/* ---- life ---- */

int zt_controller_new(struct zt_vl2 *v, const struct zt_controller_store *store,
                      struct zt_controller **out)
{
    struct zt_controller *c = calloc(1, sizeof *c);

    if (c == NULL)
        return ZT_E_NOMEM;
    c->vl2 = v;
    c->store = *store;
    c->issued_at_ms = c->kept_ms = store->time_ms;
    c->work.fire = work_due;
    zt_map_init(&c->networks, v->seed);
    zt_list_init(&c->due);
    *out = c;
    return 0;
}

void zt_controller_free(struct zt_controller *c)
{
    void *net;

    if (c == NULL)
        return;
    for (size_t i = 0; zt_map_next(&c->networks, &i, NULL, &net);)
        zt_cnet_free(net);
    zt_heap_remove(&c->vl2->timers, &c->work);
    zt_map_fini(&c->networks);
    free(c);
}
