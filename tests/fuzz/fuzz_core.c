/* A live core among datagrams: a root and a leaf that know each other and share an ad-hoc network.
 * The first byte of the input says who is attacked: even, the root, by its leaf; odd, the leaf, by
 * its root, which is believed more. The rest is played as a little protocol, so that the fuzzer
 * reaches the code behind authentication: records of one kind byte, two length bytes, and so many
 * bytes:
 *   0  a datagram as it is
 *   1  verb and payload, sealed by the other node (bits 2, 3 of the kind: suite)
 *   2  an Ethernet frame to send
 *   3  time goes on (length modulo 8192 ms, no bytes)
 *   and with bit 7 of the kind set: an OK to whatever the victim sent last;
 *   with bits 6 and 0: what a controller signs, with its key, for the leaf is also a member of a
 *   network of the root's: the first byte chooses a configuration (the rest is its dictionary, in
 *   one chunk or two) or a credential (the rest is its wire form, signed anew)
 * Bytes that form no record are a datagram. */
#include "fuzz.h"

#include "base/addr.h"
#include "base/err.h"
#include "core/core.h"
#include "crypto/cipher.h"
#include "crypto/identity.h"
#include "vl2/controller.h"
#include "wire/netconf.h"
#include "wire/packet.h"
#include "wire/world.h"

#define NETWORK 0xff0000ffff000000u
#define PRIVATE (0xf5e5e22811u << 24 | 7) /* the root is its controller */
#define MOON_HELD 0x0102030405u   /* by both, with a key that nobody has */
#define MOON_WANTED 0x0102030406u /* of the other one */
#define RECORDS 16
#define STEP_MS 8192 /* in all less than a silent peer is remembered */

static const char *const secrets[2] = {
    "f5e5e22811:0:"
    "b164a127c862d4bca517ce8aa0783928078d5d5e75f0755ccb006a8c03dd5332627a45ef3ce61eb7f1"
    "cd5e7dbcd2dcd6dc5f13b75e8911b7411074dfbd0b2eac:"
    "d1888f5296fbcc7488612f4415f57b0dfa2a32d8149b9331"
    "3b19b9fc37f570c2b60b858bee25553897f968fa0715c83c52d5f0ca75cc8c8c4ab52ff856cdf421",
    "69a494819d:0:"
    "bdabc47bcb5cf0bdd5e3448856f1e77d99c34f14df6fc4e521a609a96efe2c34acc475ec76f77dbc39"
    "93ea7006d96780305f4deab8151338b62dcffac40c1d61:"
    "e74ac24c647d7c805de466ba94c0508b1dd6d643600a354d"
    "74774fadf0cb9171117117a16ddf0765555a2eb133f0f40d700e22501c44a42cc8b31fd97f9299d0",
};

#define QUEUE 8
struct datagram {
    size_t n;
    uint8_t p[ZT_PKT_MAX];
};

/* The world outside of one core. */
struct outside {
    struct datagram *queue; /* QUEUE places: what was sent, for introduce() */
    unsigned nqueue;
    uint64_t random;
    uint64_t updates;
    size_t sent, nlast;
    uint8_t last[ZT_PKT_MAX]; /* the datagram sent last */
    struct zt_identity checked[4];
    unsigned nchecked;
};

static struct zt_identity ids[2];
static struct zt_keys keys;
static int victim; /* index into ids; the other one attacks */
static uint8_t planet[ZT_WORLD_WIRE_MAX];
static size_t nplanet;
static uint8_t moon[ZT_WORLD_WIRE_MAX];
static size_t nmoon;

static void on_send(void *user, const struct zt_link *to, const uint8_t *head, size_t nhead,
                    const uint8_t *body, size_t nbody, unsigned ttl)
{
    struct outside *o = user;
    PROMISE(nhead + nbody <= ZT_MTU_MAX && nhead > 0);
    PROMISE(to->ep.family == 4 || to->ep.family == 6);
    o->sent++;
    o->nlast = 0;
    if (nhead + nbody > sizeof o->last)
        return;
    memcpy(o->last, head, nhead);
    if (nbody > 0)
        memcpy(o->last + nhead, body, nbody);
    o->nlast = nhead + nbody;
    if (o->nqueue < QUEUE) {
        o->queue[o->nqueue].n = o->nlast;
        memcpy(o->queue[o->nqueue++].p, o->last, o->nlast);
    }
}

static void on_deliver(void *user, uint64_t nwid, const uint8_t *eth, size_t n)
{
    PROMISE((nwid == NETWORK || nwid == PRIVATE) && eth != NULL && n >= 14);
}

static void on_random(void *user, void *out, size_t n)
{
    struct outside *o = user;
    for (size_t i = 0; i < n; i++) {
        o->random = o->random * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)out)[i] = (uint8_t)(o->random >> 56);
    }
}

static void on_save(void *user, enum zt_object what, uint64_t id, const uint8_t *p, size_t n)
{
    /* Nobody has the key of the next one. */
    PROMISE(what != ZT_OBJECT_PLANET && (what != ZT_OBJECT_MOON || id == MOON_WANTED));
}

static void on_event(void *user, const struct zt_event *ev)
{
    PROMISE(ev->kind != ZT_EVENT_PLANET);
}

static void on_message(void *user, enum zt_message_kind kind, uint64_t from, uint64_t type,
                       const uint8_t *p, size_t n)
{
    PROMISE(from == ids[!victim].addr && n <= ZT_PAYLOAD_MAX);
    PROMISE(kind == ZT_MESSAGE_USER || (type == 0 && n > 0 && memchr(p, 0, n) == NULL));
}

static bool on_check_identity(void *user, const struct zt_identity *id)
{
    struct outside *o = user;
    if (o->nchecked == sizeof o->checked / sizeof o->checked[0])
        return false;
    o->checked[o->nchecked++] = *id;
    return true;
}

static struct zt_host host_of(struct outside *o)
{
    return (struct zt_host){.user = o,
                            .send = on_send,
                            .deliver = on_deliver,
                            .random = on_random,
                            .save = on_save,
                            .event = on_event,
                            .message = on_message,
                            .check_identity = on_check_identity};
}

static const struct zt_link link_to = {.sock = 0,
                                       .ep = {.family = 4, .port = 9993, .ip = {127, 0, 0, 1}}};

static void prepare(void)
{
    static struct zt_world w = {.type = ZT_WORLD_PLANET, .id = 1, .timestamp_ms = 1, .nroots = 1};
    PROMISE(zt_crypto_init() == 0);
    for (int i = 0; i < 2; i++)
        PROMISE(zt_identity_parse(secrets[i], strlen(secrets[i]), &ids[i]) == 0);
    w.roots[0].id = ids[0];
    w.roots[0].id.has_priv = false;
    w.roots[0].neps = 1;
    w.roots[0].eps[0] = link_to.ep;
    struct zt_wr wr = zt_wr(planet, sizeof planet);
    zt_wr_world(&wr, &w);
    PROMISE(!wr.bad);
    nplanet = wr.n;
    w.type = ZT_WORLD_MOON;
    w.id = MOON_HELD;
    wr = zt_wr(moon, sizeof moon);
    zt_wr_world(&wr, &w);
    PROMISE(!wr.bad);
    nmoon = wr.n;
    uint8_t shared[ZT_SHARED_KEY];
    PROMISE(zt_identity_agree(&ids[1], &ids[0], shared) == 0);
    PROMISE(zt_keys_init(&keys, shared) == 0);
}

/* Only our two are genuine. */
static void answer_checks(struct zt_core *c, const struct zt_now *now, struct outside *o)
{
    while (o->nchecked > 0) {
        struct zt_identity id = o->checked[--o->nchecked];
        zt_core_identity_checked(
            c, now, &id, zt_identity_equal(&id, &ids[0]) || zt_identity_equal(&id, &ids[1]));
    }
}

static void datagram(struct zt_core *c, const struct zt_now *now, const uint8_t *p, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1); /* opened in place; exact size for the sanitizer */
    PROMISE(copy != NULL);
    memcpy(copy, p, n);
    zt_core_datagram(c, now, &link_to, copy, n);
    free(copy);
}

static void sealed(struct zt_core *c, const struct zt_now *now, struct outside *o, unsigned suite,
                   const uint8_t *p, size_t n)
{
    static uint8_t pkt[ZT_PKT_MAX];
    uint64_t id;
    if (n == 0 || n - 1 > ZT_PAYLOAD_MAX)
        return;
    on_random(o, &id, sizeof id);
    zt_pkt_init(pkt, id, ids[victim].addr, ids[!victim].addr, p[0]);
    memcpy(pkt + ZT_PKT_PAYLOAD, p + 1, n - 1);
    static const enum zt_suite suites[] = {ZT_SUITE_SALSA, ZT_SUITE_AES, ZT_SUITE_POLY,
                                           ZT_SUITE_SALSA};
    PROMISE(zt_seal(&keys, suites[suite % 4], pkt, ZT_PKT_PAYLOAD + n - 1) == 0);
    datagram(c, now, pkt, ZT_PKT_PAYLOAD + n - 1);
}

/* What the victim sent last, which has to be named in an OK, or it is not taken. */
static uint8_t last_verb(const struct outside *o)
{
    static uint8_t p[ZT_PKT_MAX];
    memcpy(p, o->last, o->nlast);
    if (zt_pkt_suite(p) != ZT_SUITE_POLY && zt_open(&keys, p, o->nlast) != 0)
        return 0;
    return p[ZT_PKT_VERB] & ZT_VERB_MASK;
}

/* OK: its prefix names the packet that the victim sent last, so that it is expected. With bit 7 of
 * the first byte set the rest of it is the verb that it claims to answer. */
static void answered(struct zt_core *c, const struct zt_now *now, struct outside *o, unsigned suite,
                     const uint8_t *p, size_t n)
{
    static uint8_t ok[1 + 9 + ZT_PKT_MAX];
    if (n == 0 || n > ZT_PAYLOAD_MAX - 9 || o->nlast < ZT_PKT_MIN)
        return;
    ok[0] = ZT_VERB_OK;
    ok[1] = p[0] & 0x80 ? p[0] & 0x7f : last_verb(o);
    memcpy(ok + 2, o->last, 8);
    memcpy(ok + 10, p + 1, n - 1);
    sealed(c, now, o, suite, ok, n + 9);
}

/* A dictionary as the controller sends it: cut at a place that the input chooses. */
static void configured(struct zt_core *c, const struct zt_now *now, struct outside *o,
                       const uint8_t *p, size_t n)
{
    static uint8_t body[1 + ZT_PKT_MAX];
    if (n < 2 || n > 8000)
        return;
    const size_t cut = zt_be16(p) % (n - 1), total = n - 2;
    const uint64_t update = ++o->updates;
    for (size_t at = 0; at < total;) {
        const size_t end = at < cut && cut < total ? cut : total;
        struct zt_wr w = zt_wr(body, sizeof body);
        uint8_t sig[ZT_SIG];
        zt_wr_u8(&w, ZT_VERB_NETWORK_CONFIG);
        zt_wr_chunk_text(&w, PRIVATE, p + 2 + at, end - at, update & 1 ? ZT_CHUNK_FAST : 0, update,
                         (uint32_t)total, (uint32_t)at);
        zt_identity_sign(&ids[0], body + 1, w.n - 1, sig);
        zt_wr_chunk_sig(&w, sig);
        PROMISE(!w.bad);
        sealed(c, now, o, 0, body, w.n);
        at = end;
    }
}

/* NETWORK_CREDENTIALS with one credential that the controller signed, whatever it says. */
#define SIGNED(type, kind, before, after)                              \
    do {                                                               \
        static struct type v;                                          \
        zt_rd_##kind(&r, &v);                                          \
        v.nwid = PRIVATE;                                              \
        SIGNER(v) = ids[0].addr;                                       \
        HOLDS(v).has_sig = true;                                       \
        zt_wr_##kind##_signed(&text, &v);                              \
        if (r.bad || text.bad)                                         \
            return;                                                    \
        zt_identity_sign(&ids[0], signed_text, text.n, HOLDS(v).sig);  \
        zt_wr_bytes(&w, zeros, 1 + 2 * (before));                      \
        zt_wr_u16(&w, 1);                                              \
        zt_wr_##kind(&w, &v);                                          \
        zt_wr_bytes(&w, zeros, 2 * (after));                           \
    } while (0)

static void credited(struct zt_core *c, const struct zt_now *now, struct outside *o, unsigned kind,
                     const uint8_t *p, size_t n)
{
    static uint8_t body[1 + ZT_PKT_MAX], signed_text[ZT_PKT_MAX];
    static const uint8_t zeros[16];
    struct zt_rd r = zt_rd(p, n);
    struct zt_wr w = zt_wr(body, sizeof body), text = zt_wr(signed_text, sizeof signed_text);
    zt_wr_u8(&w, ZT_VERB_NETWORK_CREDENTIALS);
    switch (kind % 4) { /* order on the wire: capabilities, tags, revocations, ownerships */
    case 0:
#define SIGNER(v) v.nlinks = 1, v.chain[0].from
#define HOLDS(v) v.chain[0]
        SIGNED(zt_cap, cap, 0, 3);
        break;
#undef SIGNER
#undef HOLDS
#define SIGNER(v) v.signed_by
#define HOLDS(v) v
    case 1:
        SIGNED(zt_tag, tag, 1, 2);
        break;
    case 2:
        SIGNED(zt_revocation, revocation, 2, 1);
        break;
    default:
        SIGNED(zt_coo, coo, 3, 0);
        break;
    }
    if (!w.bad)
        sealed(c, now, o, 0, body, w.n);
}

static void signed_by_controller(struct zt_core *c, const struct zt_now *now, struct outside *o,
                                 const uint8_t *p, size_t n)
{
    if (n == 0)
        return;
    if (p[0] < 128)
        configured(c, now, o, p + 1, n - 1);
    else
        credited(c, now, o, p[0], p + 1, n - 1);
}

static void frame(struct zt_core *c, const struct zt_now *now, uint64_t nwid, const uint8_t *p,
                  size_t n)
{
    static uint8_t room[ZT_FRAME_HEADROOM + 65536];
    if (n < 14)
        return;
    memcpy(room + ZT_FRAME_HEADROOM, p, n);
    (void)zt_core_frame(c, now, nwid, room + ZT_FRAME_HEADROOM, n);
}

static void play(struct zt_core *c, struct zt_now *now, struct outside *o, const uint8_t *p,
                 size_t n)
{
    size_t at = 0;
    for (int i = 0; i < RECORDS && n - at >= 3; i++) {
        unsigned kind = p[at];
        size_t len = zt_be16(p + at + 1);
        at += 3;
        if (kind % 4 == 3) {
            now->mono_ms += (int64_t)len % STEP_MS;
            now->wall_ms += (int64_t)len % STEP_MS;
            zt_core_tick(c, now);
            continue;
        }
        if (len > n - at)
            len = n - at;
        if (kind % 4 == 0)
            datagram(c, now, p + at, len);
        else if (kind & 0x80)
            answered(c, now, o, kind >> 2, p + at, len);
        else if (kind % 4 == 1 && kind & 0x40)
            signed_by_controller(c, now, o, p + at, len);
        else if (kind % 4 == 1)
            sealed(c, now, o, kind >> 2, p + at, len);
        else
            frame(c, now, kind & 0x40 ? PRIVATE : NETWORK, p + at, len);
        at += len;
        answer_checks(c, now, o);
    }
    datagram(c, now, p, n);
    answer_checks(c, now, o);
}

static struct zt_core *make(struct outside *o, const struct zt_host *host, int who,
                            const struct zt_now *now)
{
    struct zt_core *c;
    o->random = (uint64_t)who + 1;
    struct zt_core_config cfg = {
        .identity = &ids[who], .host = host, .planet = planet, .nplanet = nplanet};
    PROMISE(zt_core_new(&cfg, now, &c) == 0);
    PROMISE(zt_core_load_moon(c, now, MOON_HELD, moon, nmoon) == 0);
    PROMISE(zt_core_orbit(c, now, MOON_WANTED, ids[!who].addr) == 0);
    return c;
}

/* Hand over what each sends, for some rounds. */
static void introduce(struct zt_core *c[2], const struct zt_now *now, struct outside world[2])
{
    for (int i = 0; i < 6; i++)
        for (int to = 0; to < 2; to++) {
            static struct datagram d[QUEUE];
            const unsigned n = world[!to].nqueue;
            for (unsigned k = 0; k < n; k++) {
                d[k].n = world[!to].queue[k].n;
                memcpy(d[k].p, world[!to].queue[k].p, d[k].n);
            }
            world[!to].nqueue = 0;
            for (unsigned k = 0; k < n; k++)
                datagram(c[to], now, d[k].p, d[k].n);
            answer_checks(c[to], now, &world[to]);
            zt_core_tick(c[to], now);
        }
}

static void no_put(void *user, const struct zt_ctl_member *m, unsigned fields,
                   enum zt_ctl_credential credential, const char *token)
{
}

static bool all_stored(void *user, uint64_t nwid, uint64_t addr)
{
    return true;
}

static void control(struct zt_core *c, const struct zt_now *now)
{
    static const uint8_t accept_all[2] = {ZT_RULE_ACTION_ACCEPT, 0};
    static const struct zt_controller_store store = {.put_member = no_put, .is_stored = all_stored};
    struct {
        struct zt_ctl_pool pool;
        struct zt_route route;
        uint8_t rules[2];
    } *l = calloc(1, sizeof *l);
    PROMISE(l != NULL);
    l->pool = (struct zt_ctl_pool){{.family = 4, .ip = {10, 1, 0, 1}},
                                   {.family = 4, .ip = {10, 1, 0, 9}}};
    l->route.target = (struct zt_ep){.family = 4, .port = 16, .ip = {10, 1}};
    memcpy(l->rules, accept_all, 2);
    struct zt_ctl_network net = {.nwid = PRIVATE,
                                 .revision = 1,
                                 .broadcast = true,
                                 .v4_pools = true,
                                 .v6_6plane = true,
                                 .mtu = 2800,
                                 .multicast_limit = 32,
                                 .window_ms = 1800000,
                                 .nroutes = 1,
                                 .npools = 1,
                                 .routes = &l->route,
                                 .pools = &l->pool,
                                 .rules = {l->rules, 2},
                                 .nrules = 1,
                                 .block = l};
    struct zt_controller *ctl;
    PROMISE(zt_core_control(c, &store, &ctl) == 0);
    PROMISE(zt_controller_set_network(ctl, now, &net) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static bool ready;
    static struct outside world[2];
    static struct datagram queues[2][QUEUE];
    struct zt_now now = {.mono_ms = 1000000, .wall_ms = 1700000000000};
    if (!ready) {
        prepare();
        ready = true;
    }
    if (n == 0 || n > 60000)
        return 0;
    memset(world, 0, sizeof world);
    for (int i = 0; i < 2; i++)
        world[i].queue = queues[i];
    struct zt_host host[2] = {host_of(&world[0]), host_of(&world[1])};
    struct zt_core *core[2] = {make(&world[0], &host[0], 0, &now),
                               make(&world[1], &host[1], 1, &now)};
    zt_core_tick(core[0], &now);
    zt_core_tick(core[1], &now); /* says HELLO */
    PROMISE(world[1].nlast > 0);
    introduce(core, &now, world);
    control(core[0], &now);
    victim = p[0] & 1;
    if (victim == 1) {
        PROMISE(zt_core_join(core[1], &now, PRIVATE, NULL, 0) == 0);
        zt_core_tick(core[1], &now);
        introduce(core, &now, world);
        struct zt_net_info info;
        PROMISE(zt_core_network(core[1], PRIVATE, &info) == 0 && info.status == ZT_NET_OK);
    }
    PROMISE(zt_core_join(core[victim], &now, NETWORK, NULL, 0) == 0);
    struct zt_peer_info info;
    PROMISE(zt_core_peer(core[victim], &now, ids[!victim].addr, &info) == 0);

    play(core[victim], &now, &world[victim], p + 1, n - 1);

    /* Whatever came: the other node is still known, moons are as many as they were, and there is a
     * next deadline. */
    PROMISE(zt_core_moons(core[victim], NULL, 0) == 2);
    PROMISE(zt_core_peer(core[victim], &now, ids[!victim].addr, &info) == 0);
    PROMISE(zt_core_deadline(core[victim]) < ZT_NEVER);
    zt_core_free(core[0]);
    zt_core_free(core[1]);
    return 0;
}
