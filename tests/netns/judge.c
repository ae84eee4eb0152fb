/* What the members of a network make of frames, by the rules engine alone: no node, no network.
 *
 *   judge SCENE.json
 *
 * SCENE.json: {"nwid": 16 hex digits, "rules": [...], "capabilities": [{"id", "rules"}], "members":
 * {address: {"tags": [[id, value]], "capabilities": [id]}}}. All members are bridges; broadcast is
 * on. Each line of the input is "FROM HEX": this member's interface gives an Ethernet frame. Each
 * line of the output is what comes out where: " ADDRESS:BYTES..." of payload, in no order. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/rules_json.h"
#include "vl2/rules.h"

#define MEMBERS_MAX 16
#define HELD_MAX 16
#define FRAME_MAX 10240

struct member {
    uint64_t addr;
    struct zt_held_tag tags[HELD_MAX];
    struct zt_held_cap caps[HELD_MAX];
    struct zt_holdings held;
};

static struct {
    uint64_t nwid;
    struct zt_rule rules[ZT_RULES_MAX], cap_rules[HELD_MAX][ZT_CAP_RULES_MAX];
    unsigned nrules, ncaps, nmembers;
    struct zt_held_cap caps[HELD_MAX];
    struct member members[MEMBERS_MAX];
} scene;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "judge: %s\n", what);
    exit(2);
}

static struct member *find(uint64_t addr)
{
    for (unsigned i = 0; i < scene.nmembers; i++) {
        if (scene.members[i].addr == addr)
            return &scene.members[i];
    }
    return NULL;
}

static struct zt_policy policy_of(const struct member *m)
{
    return (struct zt_policy){.self = m->addr,
                              .flags = ZT_NET_BROADCAST,
                              .rules = scene.rules,
                              .nrules = scene.nrules,
                              .own = m->held};
}

/* ---- frames ---- */

static void give(struct member *from, uint64_t to, const struct zt_filter_frame *frame, size_t n,
                 unsigned depth);

static void send_copies(struct member *from, const struct zt_filter_frame *f,
                        const struct zt_filter_outcome *o, unsigned depth)
{
    for (unsigned i = 0; i < o->ncopies; i++)
        give(from, o->copies[i].to, f, o->copies[i].n, depth + 1);
}

/* `from` sends a frame, or n bytes of it, to `to`. */
static void give(struct member *from, uint64_t to, const struct zt_filter_frame *frame, size_t n,
                 unsigned depth)
{
    struct member *m = find(to);
    struct zt_filter_frame f = *frame;
    struct zt_filter_outcome o;

    if (m == NULL || m == from || n == 0 || f.mac_source == zt_mac_of(m->addr, scene.nwid))
        return;
    if (depth > 8)
        die("copies of copies without end");
    struct zt_policy net = policy_of(m);
    f.source = from->addr;
    f.dest = m->addr;
    f.n = n;
    zt_filter_in(&net, &f, &from->held, &o);
    send_copies(m, &f, &o, depth);
    if (o.result != ZT_FILTER_DROP)
        printf(" %010" PRIx64 ":%zu", m->addr, n);
}

static bool allowed(struct member *from, const struct zt_policy *net, struct zt_filter_frame *f,
                    uint64_t dest, bool no_tee)
{
    const struct member *to = find(dest);
    struct zt_filter_outcome o;

    f->dest = dest;
    zt_filter_out(net, f, to != NULL ? &to->held : NULL, no_tee, &o);
    send_copies(from, f, &o, 0);
    return o.result != ZT_FILTER_DROP;
}

static void judge(struct member *from, const uint8_t *eth, size_t n)
{
    struct zt_policy net = policy_of(from);
    struct zt_filter_frame f = {.source = from->addr,
                                .mac_dest = zt_be48(eth),
                                .mac_source = zt_be48(eth + 6),
                                .ethertype = zt_be16(eth + 12),
                                .p = eth + 14,
                                .n = n - 14};

    if (!zt_mac_is_multicast(f.mac_dest) &&
        (uint8_t)(f.mac_dest >> 40) == zt_mac_first(scene.nwid)) {
        uint64_t dest = zt_mac_to_addr(f.mac_dest, scene.nwid);
        if (allowed(from, &net, &f, dest, false))
            give(from, dest, &f, f.n, 0);
    } else if (allowed(from, &net, &f, 0, false)) {
        /* for everybody, or behind somebody: all members are bridges */
        for (unsigned i = 0; i < scene.nmembers; i++) {
            uint64_t dest = scene.members[i].addr;
            if (dest != from->addr && allowed(from, &net, &f, dest, true))
                give(from, dest, &f, f.n, 0);
        }
    }
    putchar('\n');
}

/* ---- the scene ---- */

static int by_id(const void *a, const void *b)
{
    /* tags and caps both begin with their id */
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void read_member(const char *addr, const json_t *j)
{
    struct member *m = &scene.members[scene.nmembers++];
    const json_t *one;
    size_t i;

    if (scene.nmembers > MEMBERS_MAX || zt_hex_parse_u64(addr, 10, &m->addr) != 0)
        die("members");
    json_array_foreach(json_object_get(j, "tags"), i, one)
    {
        if (m->held.ntags == HELD_MAX)
            die("tags");
        m->tags[m->held.ntags++] =
            (struct zt_held_tag){.id = (uint32_t)json_integer_value(json_array_get(one, 0)),
                                 .value = (uint32_t)json_integer_value(json_array_get(one, 1))};
    }
    json_array_foreach(json_object_get(j, "capabilities"), i, one)
    {
        for (unsigned k = 0; k < scene.ncaps; k++) {
            if (scene.caps[k].id == (uint32_t)json_integer_value(one) && m->held.ncaps < HELD_MAX)
                m->caps[m->held.ncaps++] = scene.caps[k];
        }
    }
    m->held.tags = m->tags;
    m->held.caps = m->caps;
    qsort(m->tags, m->held.ntags, sizeof *m->tags, by_id);
    qsort(m->caps, m->held.ncaps, sizeof *m->caps, by_id);
}

static void read_scene(const char *path)
{
    json_t *doc = json_load_file(path, 0, NULL), *j;
    const char *nwid = json_string_value(json_object_get(doc, "nwid")), *addr;
    size_t i;

    if (nwid == NULL || zt_hex_parse_u64(nwid, 16, &scene.nwid) != 0)
        die("no scene");
    scene.nrules =
        (unsigned)zt_rules_from_json(json_object_get(doc, "rules"), scene.rules, ZT_RULES_MAX);
    json_array_foreach(json_object_get(doc, "capabilities"), i, j)
    {
        if (scene.ncaps == HELD_MAX)
            die("capabilities");
        struct zt_held_cap *c = &scene.caps[scene.ncaps];
        c->id = (uint32_t)json_integer_value(json_object_get(j, "id"));
        c->rules = scene.cap_rules[scene.ncaps];
        c->n = (unsigned)zt_rules_from_json(json_object_get(j, "rules"),
                                            scene.cap_rules[scene.ncaps], ZT_CAP_RULES_MAX);
        scene.ncaps++;
    }
    json_object_foreach(json_object_get(doc, "members"), addr, j) read_member(addr, j);
    json_decref(doc);
}

int main(int argc, char **argv)
{
    static char line[2 * FRAME_MAX + 64];
    static uint8_t eth[FRAME_MAX];

    if (argc != 2)
        die("usage: judge SCENE.json");
    read_scene(argv[1]);
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *hex = strchr(line, ' ');
        uint64_t from;
        if (hex == NULL)
            die("a line that is none");
        *hex++ = 0;
        size_t n = strcspn(hex, "\n") / 2;
        hex[2 * n] = 0;
        if (zt_hex_parse_u64(line, 10, &from) != 0 || find(from) == NULL || n < 14 ||
            zt_hex_decode(hex, eth, n) != 0)
            die("not a member and a frame");
        judge(find(from), eth, n);
    }
    return 0;
}
