/* Rule entries as bytes and as values (vl2.md 5.1). What they mean is vl2/rules.h. */
#ifndef ZT_WIRE_RULES_H
#define ZT_WIRE_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define ZT_RULES_MAX 1024   /* entries of a network */
#define ZT_CAP_RULES_MAX 64 /* entries of a capability */
#define ZT_RULE_NOT 0x80
#define ZT_RULE_OR 0x40
#define ZT_RULE_TYPE 0x3f
#define ZT_RULE_MATCHES 16 /* types from here are matches, below are actions */

/* X(name, code, field length) */
#define ZT_RULE_TABLE(X)                    \
    X(ACTION_DROP, 0, 0)                    \
    X(ACTION_ACCEPT, 1, 0)                  \
    X(ACTION_TEE, 2, 14)                    \
    X(ACTION_WATCH, 3, 14)                  \
    X(ACTION_REDIRECT, 4, 14)               \
    X(ACTION_BREAK, 5, 0)                   \
    X(ACTION_PRIORITY, 6, 0)                \
    X(MATCH_SOURCE_ZEROTIER_ADDRESS, 24, 5) \
    X(MATCH_DEST_ZEROTIER_ADDRESS, 25, 5)   \
    X(MATCH_VLAN_ID, 26, 2)                 \
    X(MATCH_VLAN_PCP, 27, 1)                \
    X(MATCH_VLAN_DEI, 28, 1)                \
    X(MATCH_MAC_SOURCE, 29, 6)              \
    X(MATCH_MAC_DEST, 30, 6)                \
    X(MATCH_IPV4_SOURCE, 31, 5)             \
    X(MATCH_IPV4_DEST, 32, 5)               \
    X(MATCH_IPV6_SOURCE, 33, 17)            \
    X(MATCH_IPV6_DEST, 34, 17)              \
    X(MATCH_IP_TOS, 35, 3)                  \
    X(MATCH_IP_PROTOCOL, 36, 1)             \
    X(MATCH_ETHERTYPE, 37, 2)               \
    X(MATCH_ICMP, 38, 3)                    \
    X(MATCH_IP_SOURCE_PORT_RANGE, 39, 4)    \
    X(MATCH_IP_DEST_PORT_RANGE, 40, 4)      \
    X(MATCH_CHARACTERISTICS, 41, 8)         \
    X(MATCH_FRAME_SIZE_RANGE, 42, 4)        \
    X(MATCH_RANDOM, 43, 4)                  \
    X(MATCH_TAGS_DIFFERENCE, 44, 8)         \
    X(MATCH_TAGS_BITWISE_AND, 45, 8)        \
    X(MATCH_TAGS_BITWISE_OR, 46, 8)         \
    X(MATCH_TAGS_BITWISE_XOR, 47, 8)        \
    X(MATCH_TAGS_EQUAL, 48, 8)              \
    X(MATCH_TAG_SENDER, 49, 8)              \
    X(MATCH_TAG_RECEIVER, 50, 8)            \
    X(MATCH_INTEGER_RANGE, 51, 19)

enum zt_rule_type {
#define X(name, code, len) ZT_RULE_##name = (code),
    ZT_RULE_TABLE(X)
#undef X
};

struct zt_rule {
    uint8_t t; /* type, ZT_RULE_NOT, ZT_RULE_OR */
    union {
        struct {
            uint64_t addr;
            uint32_t flags;
            uint16_t length; /* 0: the whole frame */
        } fwd;               /* TEE, WATCH, REDIRECT */
        uint64_t addr;
        uint64_t mac;
        uint16_t number; /* VLAN_ID, VLAN_PCP, VLAN_DEI, IP_PROTOCOL, ETHERTYPE */
        uint64_t mask;   /* CHARACTERISTICS */
        uint32_t chance; /* RANDOM */
        struct {
            uint8_t ip[16];
            uint8_t bits; /* 0 .. 32 or 128 */
        } net;
        struct {
            uint8_t mask, low, high;
        } tos;
        struct {
            uint8_t type, code, flags; /* flags 1: code is compared */
        } icmp;
        struct {
            uint16_t low, high;
        } range; /* ports, frame size */
        struct {
            uint32_t id, value;
        } tag;
        struct {
            uint64_t start;
            uint32_t span; /* end - start, as the reference keeps it */
            uint16_t index;
            uint8_t format;
        } integer;
    } u;
};

static inline uint8_t zt_rule_type(const struct zt_rule *r)
{
    return r->t & ZT_RULE_TYPE;
}

static inline bool zt_rule_is_action(const struct zt_rule *r)
{
    return zt_rule_type(r) < ZT_RULE_MATCHES;
}

/* "MATCH_IPV4_DEST", or NULL for a type without a name. */
const char *zt_rule_name(uint8_t type);

/* One entry. An unknown type, or one whose field is longer than usual, is read from the front and
 * skipped by length; a field shorter than its type needs makes r bad. */
void zt_rd_rule(struct zt_rd *r, struct zt_rule *out);
/* Unknown types are written with an empty field. */
void zt_wr_rule(struct zt_wr *w, const struct zt_rule *rule);

/* All of p (n bytes) as entries, at most cap of them: surplus ones are checked and left out.
 * out may be NULL to count. Returns how many, or ZT_E_FORMAT. */
int zt_rules_decode(const uint8_t *p, size_t n, struct zt_rule *out, size_t cap);

#endif
