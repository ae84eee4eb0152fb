#include "wire/rules.h"

#include "base/err.h"

static const struct {
    const char *name;
    uint8_t len;
} types[ZT_RULE_TYPE + 1] = {
#define X(name, code, len) [code] = {#name, len},
    ZT_RULE_TABLE(X)
#undef X
};

const char *zt_rule_name(uint8_t type)
{
    return type <= ZT_RULE_TYPE ? types[type].name : NULL;
}

static void read_net(struct zt_rd *f, size_t bytes, struct zt_rule *out)
{
    zt_rd_bytes(f, out->u.net.ip, bytes);
    uint8_t bits = zt_rd_u8(f);
    /* More bits than the address has can only mean all of them (vl2.md, P12). */
    out->u.net.bits = bits > bytes * 8 ? (uint8_t)(bytes * 8) : bits;
}

static void read_field(struct zt_rd *f, struct zt_rule *out)
{
    switch (zt_rule_type(out)) {
    case ZT_RULE_ACTION_TEE:
    case ZT_RULE_ACTION_WATCH:
    case ZT_RULE_ACTION_REDIRECT:
        out->u.fwd.addr = zt_rd_u64(f) & 0xffffffffffULL;
        out->u.fwd.flags = zt_rd_u32(f);
        out->u.fwd.length = zt_rd_u16(f);
        break;
    case ZT_RULE_MATCH_SOURCE_ZEROTIER_ADDRESS:
    case ZT_RULE_MATCH_DEST_ZEROTIER_ADDRESS:
        out->u.addr = zt_rd_u40(f);
        break;
    case ZT_RULE_MATCH_VLAN_ID:
    case ZT_RULE_MATCH_ETHERTYPE:
        out->u.number = zt_rd_u16(f);
        break;
    case ZT_RULE_MATCH_VLAN_PCP:
    case ZT_RULE_MATCH_VLAN_DEI:
    case ZT_RULE_MATCH_IP_PROTOCOL:
        out->u.number = zt_rd_u8(f);
        break;
    case ZT_RULE_MATCH_MAC_SOURCE:
    case ZT_RULE_MATCH_MAC_DEST:
        out->u.mac = zt_rd_u48(f);
        break;
    case ZT_RULE_MATCH_IPV4_SOURCE:
    case ZT_RULE_MATCH_IPV4_DEST:
        read_net(f, 4, out);
        break;
    case ZT_RULE_MATCH_IPV6_SOURCE:
    case ZT_RULE_MATCH_IPV6_DEST:
        read_net(f, 16, out);
        break;
    case ZT_RULE_MATCH_IP_TOS:
        out->u.tos.mask = zt_rd_u8(f);
        out->u.tos.low = zt_rd_u8(f);
        out->u.tos.high = zt_rd_u8(f);
        break;
    case ZT_RULE_MATCH_ICMP:
        out->u.icmp.type = zt_rd_u8(f);
        out->u.icmp.code = zt_rd_u8(f);
        out->u.icmp.flags = zt_rd_u8(f);
        break;
    case ZT_RULE_MATCH_IP_SOURCE_PORT_RANGE:
    case ZT_RULE_MATCH_IP_DEST_PORT_RANGE:
    case ZT_RULE_MATCH_FRAME_SIZE_RANGE:
        out->u.range.low = zt_rd_u16(f);
        out->u.range.high = zt_rd_u16(f);
        break;
    case ZT_RULE_MATCH_CHARACTERISTICS:
        out->u.mask = zt_rd_u64(f);
        break;
    case ZT_RULE_MATCH_RANDOM:
        out->u.chance = zt_rd_u32(f);
        break;
    case ZT_RULE_MATCH_TAGS_DIFFERENCE:
    case ZT_RULE_MATCH_TAGS_BITWISE_AND:
    case ZT_RULE_MATCH_TAGS_BITWISE_OR:
    case ZT_RULE_MATCH_TAGS_BITWISE_XOR:
    case ZT_RULE_MATCH_TAGS_EQUAL:
    case ZT_RULE_MATCH_TAG_SENDER:
    case ZT_RULE_MATCH_TAG_RECEIVER:
        out->u.tag.id = zt_rd_u32(f);
        out->u.tag.value = zt_rd_u32(f);
        break;
    case ZT_RULE_MATCH_INTEGER_RANGE:
        out->u.integer.start = zt_rd_u64(f);
        out->u.integer.span = (uint32_t)(zt_rd_u64(f) - out->u.integer.start);
        out->u.integer.index = zt_rd_u16(f);
        out->u.integer.format = zt_rd_u8(f);
        break;
    default:
        break; /* no field, or one we don't know */
    }
}

void zt_rd_rule(struct zt_rd *r, struct zt_rule *out)
{
    *out = (struct zt_rule){.t = zt_rd_u8(r)};
    size_t len = zt_rd_u8(r);
    const uint8_t *p = zt_rd_view(r, len);
    if (p == NULL)
        return;
    struct zt_rd field = zt_rd(p, len);
    read_field(&field, out);
    if (field.bad)
        r->bad = true;
}

static void write_field(struct zt_wr *w, const struct zt_rule *e)
{
    switch (zt_rule_type(e)) {
    case ZT_RULE_ACTION_TEE:
    case ZT_RULE_ACTION_WATCH:
    case ZT_RULE_ACTION_REDIRECT:
        zt_wr_u64(w, e->u.fwd.addr);
        zt_wr_u32(w, e->u.fwd.flags);
        zt_wr_u16(w, e->u.fwd.length);
        break;
    case ZT_RULE_MATCH_SOURCE_ZEROTIER_ADDRESS:
    case ZT_RULE_MATCH_DEST_ZEROTIER_ADDRESS:
        zt_wr_u40(w, e->u.addr);
        break;
    case ZT_RULE_MATCH_VLAN_ID:
    case ZT_RULE_MATCH_ETHERTYPE:
        zt_wr_u16(w, e->u.number);
        break;
    case ZT_RULE_MATCH_VLAN_PCP:
    case ZT_RULE_MATCH_VLAN_DEI:
    case ZT_RULE_MATCH_IP_PROTOCOL:
        zt_wr_u8(w, (uint8_t)e->u.number);
        break;
    case ZT_RULE_MATCH_MAC_SOURCE:
    case ZT_RULE_MATCH_MAC_DEST:
        zt_wr_u48(w, e->u.mac);
        break;
    case ZT_RULE_MATCH_IPV4_SOURCE:
    case ZT_RULE_MATCH_IPV4_DEST:
        zt_wr_bytes(w, e->u.net.ip, 4);
        zt_wr_u8(w, e->u.net.bits);
        break;
    case ZT_RULE_MATCH_IPV6_SOURCE:
    case ZT_RULE_MATCH_IPV6_DEST:
        zt_wr_bytes(w, e->u.net.ip, 16);
        zt_wr_u8(w, e->u.net.bits);
        break;
    case ZT_RULE_MATCH_IP_TOS:
        zt_wr_u8(w, e->u.tos.mask);
        zt_wr_u8(w, e->u.tos.low);
        zt_wr_u8(w, e->u.tos.high);
        break;
    case ZT_RULE_MATCH_ICMP:
        zt_wr_u8(w, e->u.icmp.type);
        zt_wr_u8(w, e->u.icmp.code);
        zt_wr_u8(w, e->u.icmp.flags);
        break;
    case ZT_RULE_MATCH_IP_SOURCE_PORT_RANGE:
    case ZT_RULE_MATCH_IP_DEST_PORT_RANGE:
    case ZT_RULE_MATCH_FRAME_SIZE_RANGE:
        zt_wr_u16(w, e->u.range.low);
        zt_wr_u16(w, e->u.range.high);
        break;
    case ZT_RULE_MATCH_CHARACTERISTICS:
        zt_wr_u64(w, e->u.mask);
        break;
    case ZT_RULE_MATCH_RANDOM:
        zt_wr_u32(w, e->u.chance);
        break;
    case ZT_RULE_MATCH_TAGS_DIFFERENCE:
    case ZT_RULE_MATCH_TAGS_BITWISE_AND:
    case ZT_RULE_MATCH_TAGS_BITWISE_OR:
    case ZT_RULE_MATCH_TAGS_BITWISE_XOR:
    case ZT_RULE_MATCH_TAGS_EQUAL:
    case ZT_RULE_MATCH_TAG_SENDER:
    case ZT_RULE_MATCH_TAG_RECEIVER:
        zt_wr_u32(w, e->u.tag.id);
        zt_wr_u32(w, e->u.tag.value);
        break;
    case ZT_RULE_MATCH_INTEGER_RANGE:
        zt_wr_u64(w, e->u.integer.start);
        zt_wr_u64(w, e->u.integer.start + e->u.integer.span);
        zt_wr_u16(w, e->u.integer.index);
        zt_wr_u8(w, e->u.integer.format);
        break;
    default:
        break;
    }
}

void zt_wr_rule(struct zt_wr *w, const struct zt_rule *rule)
{
    zt_wr_u8(w, rule->t);
    zt_wr_u8(w, types[zt_rule_type(rule)].len);
    write_field(w, rule);
}

int zt_rules_decode(const uint8_t *p, size_t n, struct zt_rule *out, size_t cap)
{
    struct zt_rd r = zt_rd(p, n);
    size_t count = 0;

    while (zt_rd_left(&r) > 0) {
        struct zt_rule e;
        zt_rd_rule(&r, &e);
        if (r.bad)
            return ZT_E_FORMAT;
        if (count >= cap)
            continue;
        if (out != NULL)
            out[count] = e;
        count++;
    }
    return (int)count;
}
