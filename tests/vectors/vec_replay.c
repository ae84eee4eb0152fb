/* handshake.json once more, with a node of ours in the place of each recorded one: it hears what
 * that node heard, is asked to do what that node was asked to do, and must have sent, when all is
 * over, every packet that the recorded node sent, byte for byte in its payload. Left out of the
 * comparison is what the protocol leaves open (below: `normalise`, `is_free`), and when something
 * is sent.
 *
 * What the node hears are the recorded datagrams, except for answers: these name the packet that
 * they answer, so they are sealed anew with the id of ours that corresponds to the recorded one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/err.h"
#include "core/core.h"
#include "crypto/cipher.h"
#include "vec.h"
#include "vec_identity.h"
#include "vec_replay.h"

#define NODES 3
#define SENT_MAX 2000
#define LIKE_TUPLE 18
#define LASTS_MS 66000
#define NAME_MAX_HELD 16

struct sent {
    uint64_t src, dest, id;
    uint8_t verb;
    size_t n;
    uint8_t *payload; /* opened and normalised; of a relayed packet the whole datagram as it is */
};

struct replay {
    struct vec *v;
    const char *me;
    unsigned self, nnodes;
    const char *names[NODES];
    struct zt_identity nodes[NODES];
    struct zt_ep eps[NODES];
    struct zt_keys keys[NODES]; /* between us and the others */
    struct zt_core *core;
    struct zt_now now;
    int64_t zero_ms;
    uint64_t chance;
    struct sent sent[SENT_MAX];
    unsigned nsent;

    uint8_t whole[ZT_PKT_MAX]; /* a fragmented packet that we send */
    size_t len;
    unsigned held;

    struct zt_identity to_check[NAME_MAX_HELD];
    unsigned nto_check;
    json_t *delivered; /* as `frames_delivered` of the file */
    json_t *messages;  /* as `events` */
    json_t *saved;     /* network id -> hex */
};

static char *hex(const uint8_t *p, size_t n)
{
    char *out = malloc(2 * n + 1);
    for (size_t i = 0; out != NULL && i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", p[i]);
    if (out != NULL)
        out[2 * n] = 0;
    return out;
}

static json_t *json_hex(const uint8_t *p, size_t n)
{
    char *text = hex(p, n);
    json_t *j = json_string(n > 0 && text != NULL ? text : "");
    free(text);
    return j;
}

static int node_no(const struct replay *r, uint64_t addr)
{
    for (unsigned i = 0; i < r->nnodes; i++)
        if (r->nodes[i].addr == addr)
            return (int)i;
    return -1;
}

static int node_named(const struct replay *r, const char *name)
{
    for (unsigned i = 0; i < r->nnodes; i++)
        if (strcmp(r->names[i], name) == 0)
            return (int)i;
    return -1;
}

/* Zero what differs from run to run; returns the new length. */
static size_t normalise(uint8_t verb, uint8_t *p, size_t n)
{
    if (verb == ZT_VERB_HELLO && n >= 13)
        memset(p + 5, 0, 8); /* the time */
    if (verb == ZT_VERB_NETWORK_CONFIG_REQUEST && n >= 26) {
        /* the machine: the last entry of the dictionary */
        size_t end = 10 + zt_be16(p + 8), at = end;
        while (at > 10 && memcmp(p + at - 3, "\no=", 3) != 0)
            at--;
        memmove(p + at, p + end, n - end);
        n -= end - at;
        zt_put16(p + 8, 0);
    }
    if (verb == ZT_VERB_PUSH_DIRECT_PATHS && n == 2 + 2 * 11 && memcmp(p + 2, p + 13, 11) == 0) {
        n = 2 + 11; /* the same endpoint twice */
        zt_put16(p, 1);
    }
    return n;
}

/* Decrypted, decompressed and unmasked into out (ZT_PKT_MAX); returns the length, or 0. */
static size_t open_packet(struct replay *r, const uint8_t *wire, size_t n, uint8_t *out)
{
    int other = node_no(r, zt_pkt_src(wire) == r->nodes[r->self].addr ? zt_pkt_dest(wire)
                                                                      : zt_pkt_src(wire));
    uint8_t p[ZT_PKT_MAX];
    if (other < 0 || n > sizeof p)
        return 0;
    memcpy(p, wire, n);
    if (zt_open(&r->keys[other], p, n) != 0)
        return 0;
    memcpy(out, p, n);
    if (p[ZT_PKT_VERB] & ZT_VERB_COMPRESSED) {
        int len = zt_pkt_decompress(p, n, out);
        return len > 0 ? (size_t)len : 0;
    }
    if ((p[ZT_PKT_VERB] & ZT_VERB_MASK) == ZT_VERB_HELLO) {
        struct zt_rd rd = zt_rd(p + ZT_PKT_PAYLOAD, n - ZT_PKT_PAYLOAD);
        struct zt_ep ep;
        zt_rd_skip(&rd, 13 + 71);
        zt_rd_ep(&rd, &ep);
        zt_rd_skip(&rd, 16);
        if (!rd.bad)
            zt_hello_mask(&r->keys[other], out, n, ZT_PKT_PAYLOAD + rd.pos);
    }
    return n;
}

static void keep(struct replay *r, const uint8_t *wire, size_t n)
{
    uint8_t p[ZT_PKT_MAX];
    if (!VEC_CHECK(r->v, r->nsent < SENT_MAX))
        return;
    struct sent *s = &r->sent[r->nsent];
    *s = (struct sent){zt_pkt_src(wire), zt_pkt_dest(wire), zt_pkt_id(wire), 0, 0, NULL};
    if (s->src == r->nodes[r->self].addr) {
        n = open_packet(r, wire, n, p);
        if (n == 0)
            return; /* to somebody who is not in the file */
        s->verb = p[ZT_PKT_VERB] & ZT_VERB_MASK;
        s->n = normalise(s->verb, p + ZT_PKT_PAYLOAD, n - ZT_PKT_PAYLOAD);
        memmove(p, p + ZT_PKT_PAYLOAD, s->n);
    } else {
        s->n = n;
        memcpy(p, wire, n);
    }
    s->payload = malloc(s->n + 1);
    if (s->payload == NULL)
        return;
    memcpy(s->payload, p, s->n);
    r->nsent++;
}

/* ---- the host of our node ---- */

static void on_send(void *user, const struct zt_link *to, const uint8_t *head, size_t nhead,
                    const uint8_t *body, size_t nbody, unsigned ttl)
{
    struct replay *r = user;
    uint8_t p[ZT_PKT_MAX];
    size_t n = nhead + nbody;
    (void)to;
    (void)ttl;
    if (!VEC_CHECK(r->v, n <= sizeof p))
        return;
    memcpy(p, head, nhead);
    if (nbody > 0)
        memcpy(p + nhead, body, nbody);
    if (n < ZT_FRAG_DATA)
        return; /* opens a NAT */
    if (p[ZT_FRAG_INDICATOR_AT] == ZT_FRAG_INDICATOR) {
        if (!VEC_CHECK(r->v, r->len + n - ZT_FRAG_DATA <= sizeof r->whole))
            return;
        memcpy(r->whole + r->len, p + ZT_FRAG_DATA, n - ZT_FRAG_DATA);
        r->len += n - ZT_FRAG_DATA;
        if (++r->held == (unsigned)(p[ZT_FRAG_TOTAL_NO] >> 4))
            keep(r, r->whole, r->len);
    } else if (p[ZT_PKT_FLAGS] & ZT_FLAG_FRAGMENTED) {
        memcpy(r->whole, p, n);
        r->len = n;
        r->held = 1;
    } else {
        keep(r, p, n);
    }
}

static void on_deliver(void *user, uint64_t nwid, const uint8_t *eth, size_t n)
{
    struct replay *r = user;
    char text[17];
    json_t *f = json_object();
    snprintf(text, sizeof text, "%016llx", (unsigned long long)nwid);
    json_object_set_new(f, "node", json_string(r->me));
    json_object_set_new(f, "nwid", json_string(text));
    json_object_set_new(f, "mac_source", json_hex(eth + 6, 6));
    json_object_set_new(f, "mac_dest", json_hex(eth, 6));
    json_object_set_new(f, "ethertype", json_integer(zt_be16(eth + 12)));
    json_object_set_new(f, "frame", json_hex(eth + 14, n - 14));
    json_array_append_new(r->delivered, f);
}

static void on_random(void *user, void *out, size_t n)
{
    struct replay *r = user;
    for (uint8_t *p = out; n > 0; n--) {
        r->chance = r->chance * 6364136223846793005u + 1442695040888963407u;
        *p++ = (uint8_t)(r->chance >> 56);
    }
}

static void on_save(void *user, enum zt_object what, uint64_t id, const uint8_t *p, size_t n)
{
    struct replay *r = user;
    char text[17];
    if (what != ZT_OBJECT_NETWORK)
        return;
    snprintf(text, sizeof text, "%016llx", (unsigned long long)id);
    if (n > 0)
        json_object_set_new(r->saved, text, json_hex(p, n));
    else
        json_object_del(r->saved, text);
}

static void on_event(void *user, const struct zt_event *ev)
{
    (void)user;
    (void)ev;
}

static void on_message(void *user, enum zt_message_kind kind, uint64_t from, uint64_t type,
                       const uint8_t *p, size_t n)
{
    struct replay *r = user;
    char text[17];
    json_t *m = json_object();
    (void)kind;
    json_object_set_new(m, "node", json_string(r->me));
    json_object_set_new(m, "event", json_string("user_message"));
    snprintf(text, sizeof text, "%010llx", (unsigned long long)from);
    json_object_set_new(m, "origin", json_string(text));
    snprintf(text, sizeof text, "%016llx", (unsigned long long)type);
    json_object_set_new(m, "type_id", json_string(text));
    json_object_set_new(m, "data", json_hex(p, n));
    json_array_append_new(r->messages, m);
}

static bool on_check(void *user, const struct zt_identity *id)
{
    struct replay *r = user;
    if (r->nto_check == NAME_MAX_HELD)
        return false;
    r->to_check[r->nto_check++] = *id;
    return true;
}

/* ---- what it hears ---- */

static const struct sent *find_sent(const struct replay *r, uint64_t dest, uint8_t verb,
                                    const uint8_t *p, size_t n)
{
    for (unsigned i = r->nsent; i > 0; i--) {
        const struct sent *s = &r->sent[i - 1];
        if (s->src == r->nodes[r->self].addr && s->dest == dest && s->verb == verb && s->n == n &&
            memcmp(s->payload, p, n) == 0)
            return s;
    }
    return NULL;
}

/* The recorded packet, opened: {"verb": 1, "payload": ...}; NULL for pieces that are not the last.
 */
static json_t *opened(json_t *d)
{
    if (vec_has(d, "reassembled"))
        return json_object_get(d, "reassembled");
    return vec_has(d, "verb") ? d : NULL;
}

/* The head of a fragmented packet: is it an answer? */
static bool is_head_of_answer(struct replay *r, json_t *head)
{
    const char *id = vec_str(r->v, head, "packet_id");
    size_t i;
    json_t *d;
    json_array_foreach(json_object_get(r->v->root, "datagrams"), i, d)
    {
        json_t *whole = json_object_get(d, "reassembled");
        if (whole != NULL && strcmp(vec_str(r->v, d, "packet_id"), id) == 0) {
            int64_t verb = vec_int(r->v, whole, "verb");
            return verb == ZT_VERB_OK || verb == ZT_VERB_ERROR;
        }
    }
    return false;
}

/* The id of our packet that corresponds to the recorded one with this id; 0: none. */
static uint64_t our_id(struct replay *r, const char *recorded)
{
    size_t i;
    json_t *d;
    json_array_foreach(json_object_get(r->v->root, "datagrams"), i, d)
    {
        if (!vec_has(d, "packet_id") || strcmp(vec_str(r->v, d, "packet_id"), recorded) != 0 ||
            strcmp(vec_str(r->v, d, "from"), r->me) != 0 || opened(d) == NULL)
            continue;
        size_t n;
        uint8_t p[ZT_PKT_MAX];
        const char *field = vec_has(opened(d), "payload_unmasked") ? "payload_unmasked" : "payload";
        const uint8_t *payload = vec_hex(r->v, opened(d), field, &n);
        uint8_t verb = (uint8_t)vec_int(r->v, opened(d), "verb");
        memcpy(p, payload, n);
        n = normalise(verb, p, n);
        const struct sent *s = find_sent(r, vec_hex_u64(r->v, d, "destination"), verb, p, n);
        if (s != NULL)
            return s->id;
    }
    return 0;
}

static void feed(struct replay *r, int from, uint8_t *p, size_t n)
{
    struct zt_link link = {.sock = 0, .ep = r->eps[from]};
    zt_core_datagram(r->core, &r->now, &link, p, n);
}

static void hear_answer(struct replay *r, json_t *d, json_t *o)
{
    uint8_t p[ZT_PKT_MAX] = {0};
    size_t n;
    const uint8_t *payload = vec_hex(r->v, o, "payload", &n);
    uint64_t id = our_id(r, vec_str(r->v, o, "in_re_packet_id"));
    /* A piece tells only where it goes; who sent an answer is who sent it to us, for none of
     * the fragmented ones is relayed. */
    int from = node_named(r, vec_str(r->v, d, "from"));
    uint64_t src = vec_has(d, "source") ? vec_hex_u64(r->v, d, "source") : r->nodes[from].addr;
    if (id == 0)
        return; /* of something that ours does not ask */
    on_random(r, p, 8);
    zt_put40(p + 8, r->nodes[r->self].addr);
    zt_put40(p + 13, src);
    p[ZT_PKT_VERB] = (uint8_t)vec_int(r->v, o, "verb");
    memcpy(p + ZT_PKT_PAYLOAD, payload, n);
    zt_put64(p + ZT_PKT_PAYLOAD + 1, id);
    n += ZT_PKT_PAYLOAD;
    VEC_CHECK(r->v, zt_seal(&r->keys[node_no(r, src)], (enum zt_suite)vec_int(r->v, o, "cipher"), p,
                            n) == 0);
    p[ZT_PKT_FLAGS] |= (uint8_t)vec_int(r->v, d, "hops");
    feed(r, from, p, n);
}

static void hear(struct replay *r, json_t *d)
{
    uint8_t p[ZT_PKT_MAX];
    size_t n;
    const uint8_t *raw = vec_hex(r->v, d, "datagram", &n);
    json_t *o = opened(d);
    int64_t verb = o != NULL ? vec_int(r->v, o, "verb") : -1;
    bool to_us = n > ZT_FRAG_DATA && zt_be40(raw + 8) == r->nodes[r->self].addr;
    if (to_us && (verb == ZT_VERB_OK || verb == ZT_VERB_ERROR)) {
        hear_answer(r, d, o);
        return;
    }
    if (to_us && o == NULL && is_head_of_answer(r, d))
        return;
    memcpy(p, raw, n);
    feed(r, node_named(r, vec_str(r->v, d, "from")), p, n);
}

/* ---- what it is asked to do ---- */

static void frame_from_tap(struct replay *r, json_t *a)
{
    uint8_t buf[ZT_FRAME_HEADROOM + ZT_PKT_MAX], *eth = buf + ZT_FRAME_HEADROOM;
    size_t n;
    const uint8_t *frame = vec_hex(r->v, a, "frame", &n);
    memcpy(eth, vec_hex_n(r->v, a, "mac_dest", 6), 6);
    memcpy(eth + 6, vec_hex_n(r->v, a, "mac_source", 6), 6);
    zt_put16(eth + 12, (uint16_t)vec_int(r->v, a, "ethertype"));
    memcpy(eth + 14, frame, n);
    (void)zt_core_frame(r->core, &r->now, vec_hex_u64(r->v, r->v->root, "nwid"), eth, 14 + n);
}

static void act(struct replay *r, json_t *a)
{
    const char *what = vec_str(r->v, a, "action");
    uint64_t nwid = vec_hex_u64(r->v, vec_has(a, "nwid") ? a : r->v->root, "nwid");
    if (strcmp(what, "join") == 0) {
        zt_core_join(r->core, &r->now, nwid, NULL, 0);
    } else if (strcmp(what, "leave") == 0) {
        zt_core_leave(r->core, &r->now, nwid);
    } else if (strcmp(what, "multicast_subscribe") == 0) {
        uint64_t mac = zt_be48(vec_hex_n(r->v, a, "mac", 6));
        zt_core_subscribe(r->core, &r->now, nwid, mac, (uint32_t)vec_int(r->v, a, "adi"));
    } else if (strcmp(what, "frame_from_tap") == 0) {
        frame_from_tap(r, a);
    } else if (strcmp(what, "send_user_message") == 0) {
        size_t n;
        const uint8_t *data = vec_hex(r->v, a, "data", &n);
        int to = node_named(r, vec_str(r->v, a, "to"));
        zt_core_send_message(r->core, &r->now, r->nodes[to].addr, vec_hex_u64(r->v, a, "type_id"),
                             data, n);
    }
    /* start: done; those of the controller are not ours */
}

static void start(struct replay *r, const struct zt_host *host)
{
    size_t n;
    const uint8_t *planet = vec_hex(r->v, r->v->root, "planet", &n);
    struct zt_core_config cfg = {
        .identity = &r->nodes[r->self], .host = host, .planet = planet, .nplanet = n};
    if (VEC_CHECK(r->v, zt_core_new(&cfg, &r->now, &r->core) == 0))
        zt_core_set_local(r->core, &r->now, &r->eps[r->self], 1);
}

static void live(struct replay *r)
{
    const struct zt_host host = {r,       on_send,  on_deliver, on_random,
                                 on_save, on_event, on_message, on_check};
    json_t *actions = vec_field(r->v, r->v->root, "actions");
    json_t *datagrams = vec_field(r->v, r->v->root, "datagrams");
    for (int64_t t = 0; t < LASTS_MS; t++) {
        size_t i;
        json_t *x;
        r->now = (struct zt_now){.mono_ms = 1000000 + t, .wall_ms = r->zero_ms + t};
        json_array_foreach(actions, i, x)
        {
            if (vec_int(r->v, x, "t") != t || strcmp(vec_str(r->v, x, "node"), r->me) != 0)
                continue;
            if (r->core == NULL)
                start(r, &host);
            if (r->core != NULL)
                act(r, x);
        }
        if (r->core == NULL)
            continue;
        json_array_foreach(datagrams, i, x)
        {
            if (vec_int(r->v, x, "arrives") == t && strcmp(vec_str(r->v, x, "to"), r->me) == 0)
                hear(r, x);
        }
        while (r->nto_check > 0) {
            struct zt_identity id = r->to_check[--r->nto_check];
            zt_core_identity_checked(r->core, &r->now, &id, true); /* vec_identity proves them */
        }
        if (zt_core_deadline(r->core) <= r->now.mono_ms)
            zt_core_tick(r->core, &r->now);
    }
}

/* ---- was it the same? ---- */

/* What ours is free not to send. */
static bool is_free(const struct replay *r, uint8_t verb, const uint8_t *p, size_t n)
{
    /* The reference asks for its own root, whose identity it has (vl1.md 6.5). */
    if (verb == ZT_VERB_WHOIS)
        return n == 5 && zt_be40(p) == r->nodes[0].addr;
    if (r->self != 0)
        return verb == ZT_VERB_OK && p[0] == ZT_VERB_WHOIS; /* who R is: see above */
    /* R is a controller, too: vec_controller. */
    return verb == ZT_VERB_NETWORK_CONFIG || verb == ZT_VERB_NETWORK_CREDENTIALS ||
           ((verb == ZT_VERB_OK || verb == ZT_VERB_ERROR) &&
            p[0] == ZT_VERB_NETWORK_CONFIG_REQUEST);
}

/* Each group on its own: how many go into one packet is open. */
static bool sent_groups(const struct replay *r, uint64_t dest, const uint8_t *p, size_t n)
{
    bool all = n % LIKE_TUPLE == 0;
    for (size_t at = 0; all && at < n; at += LIKE_TUPLE) {
        bool found = false;
        for (unsigned i = 0; i < r->nsent && !found; i++) {
            const struct sent *s = &r->sent[i];
            for (size_t k = 0; s->verb == ZT_VERB_MULTICAST_LIKE && s->dest == dest && k < s->n;
                 k += LIKE_TUPLE)
                found = found || memcmp(s->payload + k, p + at, LIKE_TUPLE) == 0;
        }
        all = found;
    }
    return all;
}

static bool relayed_it(const struct replay *r, const uint8_t *p, size_t n)
{
    for (unsigned i = 0; i < r->nsent; i++)
        if (r->sent[i].src != r->nodes[r->self].addr && r->sent[i].n == n &&
            memcmp(r->sent[i].payload, p, n) == 0)
            return true;
    return false;
}

static void compare_packet(struct replay *r, json_t *d)
{
    struct vec *v = r->v;
    uint8_t p[ZT_PKT_MAX];
    size_t n;
    json_t *o = opened(d);
    if (o == NULL)
        return;
    if (vec_has(d, "source") && vec_hex_u64(v, d, "source") != r->nodes[r->self].addr) {
        const uint8_t *raw = vec_hex(v, d, "datagram", &n);
        vec_check(v, relayed_it(r, raw, n), "the same datagram was passed on");
        return;
    }
    uint8_t verb = (uint8_t)vec_int(v, o, "verb");
    const uint8_t *payload =
        vec_hex(v, o, vec_has(o, "payload_unmasked") ? "payload_unmasked" : "payload", &n);
    uint64_t dest = vec_hex_u64(v, d, "destination");
    memcpy(p, payload, n);
    n = normalise(verb, p, n);
    if (is_free(r, verb, p, n))
        vec_check(v, true, "free");
    else if (verb == ZT_VERB_MULTICAST_LIKE)
        vec_check(v, sent_groups(r, dest, p, n), "the same groups were announced");
    else
        vec_check(v, find_sent(r, dest, verb, p, n) != NULL, "the same packet was sent");
}

/* Every element of the file's list that is about us is in ours, apart from its time. */
static void compare_list(struct replay *r, const char *section, const char *event, json_t *ours)
{
    size_t i, k;
    json_t *x, *y;
    size_t expected = 0;
    vec_case(r->v, "replay", r->self, section);
    VEC_CHECK(r->v, true);
    json_array_foreach(vec_field(r->v, r->v->root, section), i, x)
    {
        if (strcmp(vec_str(r->v, x, "node"), r->me) != 0 ||
            (event != NULL && strcmp(vec_str(r->v, x, "event"), event) != 0))
            continue;
        json_t *wanted = json_copy(x);
        json_object_del(wanted, "t");
        bool found = false;
        json_array_foreach(ours, k, y) found = found || json_equal(wanted, y);
        vec_check(r->v, found, "the same came out of it");
        json_decref(wanted);
        expected++;
    }
    VEC_CHECK(r->v, json_array_size(ours) == expected);
}

static void compare_saved(struct replay *r)
{
    size_t i;
    json_t *x;
    vec_case(r->v, "replay", r->self, "saved");
    VEC_CHECK(r->v, true);
    json_array_foreach(vec_field(r->v, r->v->root, "final_state"), i, x)
    {
        const char *nwid;
        json_t *dict;
        if (strcmp(vec_str(r->v, x, "node"), r->me) != 0)
            continue;
        json_object_foreach(json_object_get(x, "saved_network_configs"), nwid, dict)
            VEC_CHECK(r->v, json_equal(json_object_get(r->saved, nwid), dict));
    }
}

static void replay_as(struct vec *v, struct replay *r, unsigned self)
{
    r->self = self;
    r->me = r->names[self];
    r->chance = 1 + self;
    r->delivered = json_array();
    r->messages = json_array();
    r->saved = json_object();
    vec_case(v, "replay", self, r->me);
    for (unsigned i = 0; i < r->nnodes; i++) {
        uint8_t shared[ZT_SHARED_KEY];
        VEC_CHECK(v, i == self || (zt_identity_agree(&r->nodes[self], &r->nodes[i], shared) == 0 &&
                                   zt_keys_init(&r->keys[i], shared) == 0));
    }
    live(r);
    vec_end(v);
    VEC_EACH(v, "datagrams", "verb_name", d)
    {
        VEC_CHECK(v, true);
        if (strcmp(vec_str(v, d, "from"), r->me) == 0)
            compare_packet(r, d);
    }
    compare_list(r, "frames_delivered", NULL, r->delivered);
    compare_list(r, "events", "user_message", r->messages);
    compare_saved(r);
    vec_end(v);
    for (unsigned i = 0; i < r->nnodes; i++)
        if (i != self)
            zt_keys_fini(&r->keys[i]);
    for (unsigned i = 0; i < r->nsent; i++)
        free(r->sent[i].payload);
    zt_core_free(r->core);
    json_decref(r->delivered);
    json_decref(r->messages);
    json_decref(r->saved);
}

void vec_replay(struct vec *v)
{
    for (unsigned self = 0; self < NODES; self++) {
        struct replay *r = calloc(1, sizeof *r);
        if (r == NULL)
            abort();
        r->v = v;
        r->zero_ms = vec_int(v, v->root, "time_zero_ms");
        size_t i;
        json_t *x;
        vec_case(v, "replay", self, "nodes");
        json_array_foreach(vec_field(v, v->root, "nodes"), i, x)
        {
            if (!VEC_CHECK(v, r->nnodes < NODES))
                break;
            r->names[r->nnodes] = json_string_value(json_object_get(x, "name"));
            VEC_CHECK(v, zt_ep_parse(vec_str(v, x, "endpoint"), &r->eps[r->nnodes]) == 0);
            vec_identity_field(v, x, "secret_string", &r->nodes[r->nnodes++]);
        }
        replay_as(v, r, self);
        free(r);
    }
}
