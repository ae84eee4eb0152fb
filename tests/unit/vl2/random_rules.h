/* Tables of rules, frames and holdings by chance, such that each part of the engine is met often:
 * few addresses, ports and ids, so that they are equal now and then. The same number gives the same
 * scene. The recorded answers (random_rules.txt) were made with these very functions: changing them
 * means recording anew. */
#ifndef ZT_TESTS_RANDOM_RULES_H
#define ZT_TESTS_RANDOM_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../rng.h"

#define SCENES 20000
#define SCENE_NWID 0x8056c2e21c000001ULL

struct scene_tag {
    uint32_t id, value;
};

struct scene {
    bool inbound, has_remote;
    uint64_t self, source, dest, mac_source, mac_dest;
    uint16_t ethertype;
    uint64_t flags; /* of the network */
    uint8_t frame[512];
    size_t n;
    uint8_t rules[1024]; /* as on the wire */
    size_t nrules;       /* bytes */
    struct scene_tag own[4], remote[4];
    unsigned nown, nremote;
};

static const uint64_t scene_addrs[] = {0x1111111111, 0x2222222222, 0x3333333333, 0x4444444444, 0};
static const uint64_t scene_macs[] = {0x020000000001, 0x020000000002, 0xffffffffffff,
                                      0x01005e000001, 0x333300000001};
static const uint16_t scene_ports[] = {0, 22, 80, 443, 1024, 65535};

static inline unsigned below(struct rng *r, unsigned n)
{
    return (unsigned)rng_below(r, n);
}

static inline uint8_t *put(uint8_t *p, uint64_t v, int bytes)
{
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
        *p++ = (uint8_t)(v >> shift);
    return p;
}

/* Two numbers, mostly in their order. */
/* Two draws below n, or of a table of n. (Each draw is a statement of its own everywhere here:
 * within one expression their order would be the compiler's choice.) */
static inline uint8_t *put_range(struct rng *r, uint8_t *p, unsigned n, const uint16_t *table,
                                 int bytes)
{
    unsigned b = below(r, n), a = below(r, n);
    if (table != NULL) {
        a = table[a];
        b = table[b];
    }
    bool swap = (a > b) == (below(r, 8) != 0);
    p = put(p, swap ? b : a, bytes);
    return put(p, swap ? a : b, bytes);
}

/* An IPv6 prefix, mostly without bits after its end. */
static inline uint8_t *put_prefix6(struct rng *r, uint8_t *p)
{
    unsigned bits = below(r, 129);
    bool clean = below(r, 8) != 0;
    for (unsigned i = 0; i < 16; i++) {
        unsigned left = bits > 8 * i ? bits - 8 * i : 0;
        unsigned mask = left >= 8 ? 0xff : 0xff00u >> left & 0xff;
        *p++ = (uint8_t)((i == 0 ? 0xfd : below(r, 2)) & (clean ? mask : 0xff));
    }
    return put(p, bits, 1);
}

static inline uint8_t *put_field(struct rng *r, uint8_t type, uint8_t *p)
{
    static const uint8_t protocols[] = {1, 6, 17, 58, 132, 136, 0, 44, 50};
    static const uint8_t icmp[] = {0, 8, 3, 128, 135, 136};
    static const uint16_t ethertypes[] = {0x0800, 0x86dd, 0x0806, 0x8100};
    uint64_t v = 0, span;
    unsigned shift;
    bool small;

    switch (type) {
    case 2: /* tee, watch, redirect */
    case 3:
    case 4:
        p = put(p, scene_addrs[below(r, 4)], 8);
        p = put(p, 0, 4);
        return put(p, below(r, 2) ? 0 : below(r, 200), 2);
    case 24: /* node addresses */
    case 25:
        return put(p, scene_addrs[below(r, 5)], 5);
    case 26: /* VLAN */
        return put(p, below(r, 3), 2);
    case 27:
    case 28:
        return put(p, below(r, 2), 1);
    case 29: /* MACs */
    case 30:
        return put(p, scene_macs[below(r, 5)], 6);
    case 31: /* IPv4 */
    case 32:
        for (int i = 0; i < 4; i++)
            p = put(p, i == 0 ? 10 : below(r, 3), 1);
        return put(p, below(r, 33), 1);
    case 33:
    case 34:
        return put_prefix6(r, p);
    case 35: /* TOS */
        p = put(p, below(r, 2) ? 0xff : below(r, 256), 1);
        return put_range(r, p, 256, NULL, 1);
    case 36:
        return put(p, protocols[below(r, sizeof protocols)], 1);
    case 37:
        return put(p, ethertypes[below(r, 4)], 2);
    case 38:
        p = put(p, icmp[below(r, sizeof icmp)], 1);
        p = put(p, below(r, 3), 1);
        return put(p, below(r, 4), 1);
    case 39: /* ports */
    case 40:
        return put_range(r, p, 6, scene_ports, 2);
    case 41: /* characteristics, without those that certificates prove */
        for (unsigned i = 1 + below(r, 3); i > 0; i--)
            v |= 1ULL << (below(r, 2) ? below(r, 12) : 61 + below(r, 3));
        return put(p, v, 8);
    case 42: /* frame size */
        return put_range(r, p, 120, NULL, 2);
    case 44: /* tags */
    case 45:
    case 46:
    case 47:
    case 48:
    case 49:
    case 50:
        p = put(p, 1 + below(r, 4), 4);
        return put(p, below(r, 5) ? below(r, 8) : rng_u64(r), 4);
    case 51: /* integer range */
        small = below(r, 2);
        v = small ? below(r, 256) : rng_u64(r);
        shift = small ? 0 : below(r, 64);
        v >>= shift;
        p = put(p, v, 8);
        span = rng_u64(r) >> 32;
        shift = below(r, 32);
        p = put(p, v + (span >> shift), 8);
        p = put(p, below(r, 70), 2);
        return put(p, below(r, 256), 1);
    default: /* unknown: something to skip */
        for (unsigned k = type > 6 ? below(r, 4) : 0; k > 0; k--)
            p = put(p, below(r, 256), 1);
        return p;
    }
}

static inline uint8_t *put_rule(struct rng *r, uint8_t *p)
{
    static const uint8_t actions[] = {0, 0, 1, 2, 3, 4, 5, 6, 9};
    static const uint8_t matches[] = {16, 20, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                      32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42,
                                      44, 45, 46, 47, 48, 49, 50, 51, 52, 60, 63};
    uint8_t type =
        below(r, 5) < 2 ? actions[below(r, sizeof actions)] : matches[below(r, sizeof matches)];
    bool high = below(r, 3) == 0, low = below(r, 3) == 0;
    *p++ = (uint8_t)(type | high << 7 | low << 6);
    uint8_t *len = p++;
    p = put_field(r, type, p);
    *len = (uint8_t)(p - len - 1);
    return p;
}

static inline void make_upper(struct rng *r, uint8_t *p, bool is_icmp)
{
    static const uint8_t icmp[] = {8, 3, 128, 135, 136};
    put(p, scene_ports[below(r, 6)], 2);
    put(p + 2, scene_ports[below(r, 6)], 2);
    if (is_icmp) {
        p[0] = icmp[below(r, sizeof icmp)];
        p[1] = (uint8_t)below(r, 3);
    }
}

static inline void make_frame(struct rng *r, struct scene *s)
{
    static const uint16_t types[] = {0x0800, 0x0800, 0x0800, 0x86dd,
                                     0x86dd, 0x86dd, 0x0806, 0x8100};
    static const uint8_t protocols[] = {1, 6, 6, 6, 17, 58, 58, 132, 136, 0, 43, 44, 50, 60, 135};
    uint8_t *p = s->frame;
    size_t upper = 40;

    s->ethertype = types[below(r, 8)];
    s->n = below(r, 4) ? 40 + below(r, 80) : below(r, 130);
    for (size_t i = 0; i < sizeof s->frame; i++)
        p[i] = (uint8_t)(below(r, 3) ? below(r, 3) : rng_u64(r));
    if (s->ethertype == 0x0800) {
        p[0] = (uint8_t)(0x40 | (below(r, 4) ? 5 : below(r, 16)));
        p[9] = protocols[below(r, 9)];
        p[12] = p[16] = 10;
        upper = 4 * (size_t)(p[0] & 15);
        if (below(r, 3) == 0)
            s->n = upper + below(r, 20);
        /* TCP that is cut before its flags: the reference reads them from behind the frame. */
        if (p[9] == 6 && s->n >= 20 && s->n < upper + 14)
            s->n = upper + 14;
        if (upper >= 20)
            make_upper(r, p + upper, p[9] == 1);
    } else if (s->ethertype == 0x86dd) {
        uint8_t next = p[6] = protocols[below(r, sizeof protocols)];
        p[0] = (uint8_t)(0x60 | below(r, 16));
        p[8] = p[24] = 0xfd;
        while ((next == 0 || next == 43 || next == 60 || next == 135) && upper < 300) {
            next = p[upper] = protocols[below(r, sizeof protocols)];
            p[upper + 1] = (uint8_t)(below(r, 8) ? below(r, 2) : below(r, 10));
            upper += 8 * (size_t)p[upper + 1] + 8;
        }
        make_upper(r, p + upper, next == 58);
        if (below(r, 3) == 0)
            s->n = upper + below(r, 24);
    }
}

static inline unsigned make_tags(struct rng *r, struct scene_tag tags[4])
{
    unsigned n = 0;
    for (uint32_t id = 1; id <= 4; id++) {
        if (below(r, 2))
            tags[n++] = (struct scene_tag){id, (uint32_t)(below(r, 6) ? below(r, 8) : rng_u64(r))};
    }
    return n;
}

static inline void make_scene(uint64_t number, struct scene *s)
{
    struct rng rng = {number * 0x100000001b3ULL + 1}, *r = &rng;
    uint8_t *p = s->rules;

    memset(s, 0, sizeof *s);
    s->self = scene_addrs[0];
    s->inbound = below(r, 2);
    s->has_remote = s->inbound || below(r, 5) != 0;
    s->source = s->inbound ? scene_addrs[below(r, 10) ? 1 : 2] : s->self;
    s->dest = s->inbound ? s->self : scene_addrs[below(r, 2) ? 1 : 4];
    s->mac_source = scene_macs[below(r, 2)];
    s->mac_dest = scene_macs[below(r, 5)];
    s->flags = 2u | (below(r, 2) ? 8u : 0);
    make_frame(r, s);
    s->nown = make_tags(r, s->own);
    s->nremote = s->has_remote ? make_tags(r, s->remote) : 0;
    if (number % 2 != 0) { /* one match and "accept": nothing else can hide its answer */
        do
            p = put_rule(r, s->rules);
        while ((s->rules[0] & 0x3f) < 16);
        p = put(p, 0x0100, 2);
    } else {
        for (unsigned k = 1 + below(r, 14); k > 0; k--)
            p = put_rule(r, p);
    }
    s->nrules = (size_t)(p - s->rules);
}

#endif
