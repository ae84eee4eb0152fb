/* A live core among datagrams: a root and a leaf that know each other and share an ad-hoc network.
 * The first byte of the input says who is attacked: even, the root, by its leaf; odd, the leaf, by
 * its root, which is believed more. The rest is played as a little protocol, so that the fuzzer
 * reaches the code behind authentication: records of one kind byte, two length bytes, and so many
 * bytes:
 *   0  a datagram as it is
 *   1  verb and payload, sealed by the other node (bits 2, 3 of the kind: suite)
 *   2  an Ethernet frame to send
 *   3  time goes on (length modulo 8192 ms, no bytes)
 *   and with bit 7 of the kind set: an OK to whatever the victim sent last
 * Bytes that form no record are a datagram. */
#include "fuzz.h"

#include "base/addr.h"
#include "base/err.h"
#include "core/core.h"
#include "crypto/cipher.h"
#include "crypto/identity.h"
#include "wire/packet.h"
#include "wire/world.h"

#define NETWORK 0xff0000ffff000000u
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

/* The world outside of one core. */
struct outside {
    uint64_t random;
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
}

static void on_deliver(void *user, uint64_t nwid, const uint8_t *eth, size_t n)
{
    PROMISE(nwid == NETWORK && eth != NULL && n >= 14);
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

/* OK: its prefix names the packet that the victim sent last, so that it is expected. */
static void answered(struct zt_core *c, const struct zt_now *now, struct outside *o, unsigned suite,
                     const uint8_t *p, size_t n)
{
    static uint8_t ok[1 + 9 + ZT_PKT_MAX];
    if (n == 0 || n > ZT_PAYLOAD_MAX - 9 || o->nlast < ZT_PKT_MIN)
        return;
    ok[0] = ZT_VERB_OK;
    ok[1] = p[0];
    memcpy(ok + 2, o->last, 8);
    memcpy(ok + 10, p + 1, n - 1);
    sealed(c, now, o, suite, ok, n + 9);
}

static void frame(struct zt_core *c, const struct zt_now *now, const uint8_t *p, size_t n)
{
    static uint8_t room[ZT_FRAME_HEADROOM + 65536];
    if (n < 14)
        return;
    memcpy(room + ZT_FRAME_HEADROOM, p, n);
    (void)zt_core_frame(c, now, NETWORK, room + ZT_FRAME_HEADROOM, n);
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
        else if (kind % 4 == 1)
            sealed(c, now, o, kind >> 2, p + at, len);
        else
            frame(c, now, p + at, len);
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

/* Hand over what each sent last until both know each other. */
static void introduce(struct zt_core *c[2], const struct zt_now *now, struct outside world[2])
{
    for (int i = 0; i < 4; i++)
        for (int to = 0; to < 2; to++) {
            uint8_t p[ZT_PKT_MAX];
            size_t n = world[!to].nlast;
            memcpy(p, world[!to].last, n);
            world[!to].nlast = 0;
            if (n > 0)
                datagram(c[to], now, p, n);
            answer_checks(c[to], now, &world[to]);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static bool ready;
    static struct outside world[2];
    struct zt_now now = {.mono_ms = 1000000, .wall_ms = 1700000000000};
    if (!ready) {
        prepare();
        ready = true;
    }
    if (n == 0 || n > 60000)
        return 0;
    memset(world, 0, sizeof world);
    struct zt_host host[2] = {host_of(&world[0]), host_of(&world[1])};
    struct zt_core *core[2] = {make(&world[0], &host[0], 0, &now),
                               make(&world[1], &host[1], 1, &now)};
    zt_core_tick(core[0], &now);
    zt_core_tick(core[1], &now); /* says HELLO */
    PROMISE(world[1].nlast > 0);
    introduce(core, &now, world);
    victim = p[0] & 1;
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
