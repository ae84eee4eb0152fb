/* rules.json: rule entries as bytes, and the answers of the engine. */
#include <stdio.h>
#include <string.h>

#include "vec.h"
#include "vl2/frame.h"
#include "vl2/rules.h"

static uint64_t addr_field(struct vec *v, json_t *c, const char *field)
{
    size_t n;
    const uint8_t *p = vec_hex(v, c, field, &n);
    return VEC_CHECK(v, n == 5) ? zt_be40(p) : 0;
}

static uint64_t mac_text(struct vec *v, json_t *c, const char *field)
{
    uint64_t mac = 0;
    for (const char *s = vec_str(v, c, field); *s != 0; s++) {
        if (*s != ':')
            mac = mac << 4 | (unsigned)(*s <= '9' ? *s - '0' : (*s | 0x20) - 'a' + 10);
    }
    return mac;
}

/* A number, or a string of 16 hex digits where JSON has no room. */
static uint64_t number(struct vec *v, json_t *c, const char *field)
{
    return json_is_string(vec_field(v, c, field)) ? vec_hex_u64(v, c, field)
                                                  : (uint64_t)vec_int(v, c, field);
}

static void net_field(struct vec *v, json_t *f, struct zt_rule *e)
{
    struct zt_ep ep;
    VEC_CHECK(v, zt_ep_parse(vec_str(v, f, "ip"), &ep) == 0);
    memcpy(e->u.net.ip, ep.ip, sizeof e->u.net.ip);
    e->u.net.bits = (uint8_t)vec_int(v, f, "mask");
}

static void range_field(struct vec *v, json_t *f, struct zt_rule *e)
{
    e->u.range.low = (uint16_t)vec_int(v, f, "start");
    e->u.range.high = (uint16_t)vec_int(v, f, "end");
}

static void fill(struct vec *v, json_t *f, struct zt_rule *e)
{
    switch (zt_rule_type(e)) {
    case ZT_RULE_ACTION_TEE:
    case ZT_RULE_ACTION_WATCH:
    case ZT_RULE_ACTION_REDIRECT:
        e->u.fwd.addr = addr_field(v, f, "address");
        e->u.fwd.flags = (uint32_t)vec_int(v, f, "flags");
        e->u.fwd.length = (uint16_t)vec_int(v, f, "length");
        break;
    case ZT_RULE_MATCH_SOURCE_ZEROTIER_ADDRESS:
    case ZT_RULE_MATCH_DEST_ZEROTIER_ADDRESS:
        e->u.addr = addr_field(v, f, "address");
        break;
    case ZT_RULE_MATCH_VLAN_ID:
        e->u.number = (uint16_t)vec_int(v, f, "vlan_id");
        break;
    case ZT_RULE_MATCH_VLAN_PCP:
        e->u.number = (uint16_t)vec_int(v, f, "vlan_pcp");
        break;
    case ZT_RULE_MATCH_VLAN_DEI:
        e->u.number = (uint16_t)vec_int(v, f, "vlan_dei");
        break;
    case ZT_RULE_MATCH_MAC_SOURCE:
    case ZT_RULE_MATCH_MAC_DEST:
        e->u.mac = mac_text(v, f, "mac");
        break;
    case ZT_RULE_MATCH_IPV4_SOURCE:
    case ZT_RULE_MATCH_IPV4_DEST:
    case ZT_RULE_MATCH_IPV6_SOURCE:
    case ZT_RULE_MATCH_IPV6_DEST:
        net_field(v, f, e);
        break;
    case ZT_RULE_MATCH_IP_TOS:
        e->u.tos.mask = (uint8_t)vec_int(v, f, "mask");
        e->u.tos.low = (uint8_t)vec_int(v, f, "start");
        e->u.tos.high = (uint8_t)vec_int(v, f, "end");
        break;
    case ZT_RULE_MATCH_IP_PROTOCOL:
        e->u.number = (uint16_t)vec_int(v, f, "protocol");
        break;
    case ZT_RULE_MATCH_ETHERTYPE:
        e->u.number = (uint16_t)vec_int(v, f, "ethertype");
        break;
    case ZT_RULE_MATCH_ICMP:
        e->u.icmp.type = (uint8_t)vec_int(v, f, "icmp_type");
        e->u.icmp.code = (uint8_t)vec_int(v, f, "icmp_code");
        e->u.icmp.flags = (uint8_t)vec_int(v, f, "flags");
        break;
    case ZT_RULE_MATCH_IP_SOURCE_PORT_RANGE:
    case ZT_RULE_MATCH_IP_DEST_PORT_RANGE:
    case ZT_RULE_MATCH_FRAME_SIZE_RANGE:
        range_field(v, f, e);
        break;
    case ZT_RULE_MATCH_CHARACTERISTICS:
        e->u.mask = vec_hex_u64(v, f, "mask");
        break;
    case ZT_RULE_MATCH_RANDOM:
        e->u.chance = (uint32_t)vec_int(v, f, "probability");
        break;
    case ZT_RULE_MATCH_INTEGER_RANGE:
        e->u.integer.start = number(v, f, "start");
        e->u.integer.span = (uint32_t)vec_int(v, f, "end_relative");
        e->u.integer.index = (uint16_t)vec_int(v, f, "index");
        e->u.integer.format = (uint8_t)vec_int(v, f, "format");
        break;
    default:
        if (vec_has(f, "tag_id")) {
            e->u.tag.id = (uint32_t)vec_int(v, f, "tag_id");
            e->u.tag.value = (uint32_t)vec_int(v, f, "tag_value");
        }
        break;
    }
}

static void type(struct vec *v, json_t *c)
{
    struct zt_rule e = {0}, back;
    uint8_t bytes[64];
    size_t n;

    e.t = (uint8_t)((uint8_t)vec_int(v, c, "type") | (vec_bool(v, c, "not") ? ZT_RULE_NOT : 0) |
                    (vec_bool(v, c, "or") ? ZT_RULE_OR : 0));
    fill(v, vec_field(v, c, "fields"), &e);
    struct zt_wr w = zt_wr(bytes, sizeof bytes);
    zt_wr_rule(&w, &e);
    vec_eq_hex(v, c, "serialized", bytes, w.n);

    const uint8_t *p = vec_hex(v, c, "serialized", &n);
    struct zt_rd r = zt_rd(p, n);
    zt_rd_rule(&r, &back);
    VEC_CHECK(v, !r.bad && r.pos == n && memcmp(&e, &back, sizeof e) == 0);
    w = zt_wr(bytes, sizeof bytes);
    zt_wr_rule(&w, &back);
    vec_eq_bool(v, c, "reserialized_equal", w.n == n && memcmp(bytes, p, n) == 0);
    for (size_t i = 0; i < n; i++) {
        r = zt_rd(p, i);
        zt_rd_rule(&r, &back);
        VEC_CHECK(v, r.bad);
    }
    const char *name = zt_rule_name(zt_rule_type(&e));
    if (name != NULL)
        VEC_CHECK(v, strncmp(vec_str(v, c, "name"), name, strlen(name)) == 0);
}

static void parse(struct vec *v, json_t *c)
{
    size_t n;
    const uint8_t *p = vec_hex(v, c, "bytes", &n);
    json_t *types = vec_field(v, c, "types");
    struct zt_rule rules[16];
    int count = zt_rules_decode(p, n, rules, 16);

    vec_eq_int(v, c, "rule_count", count);
    vec_eq_int(v, c, "bytes_used", (int64_t)n);
    for (int i = 0; i < count; i++)
        VEC_CHECK(v,
                  json_integer_value(json_array_get(types, (size_t)i)) == zt_rule_type(&rules[i]));
}

/* Serialized credentials of a list field as holdings, valid ones only, sorted as the lists are. */
static void hold(struct vec *v, json_t *c, const char *who, const struct zt_policy *net,
                 struct zt_holdings *out)
{
    char field[64];
    json_t *list, *one;
    size_t i, n;

    struct zt_held_tag *tags = (struct zt_held_tag *)vec_alloc(v, 16 * sizeof *tags);
    struct zt_held_cap *caps = (struct zt_held_cap *)vec_alloc(v, 16 * sizeof *caps);
    struct zt_coo *coos = (struct zt_coo *)vec_alloc(v, 16 * sizeof *coos);
    *out = (struct zt_holdings){.tags = tags, .caps = caps, .coos = coos};

    snprintf(field, sizeof field, "%s_tags", who);
    list = json_object_get(c, field);
    json_array_foreach(list, i, one)
    {
        struct zt_tag tag;
        const uint8_t *p = vec_unhex(v, json_string_value(one), &n);
        struct zt_rd r = zt_rd(p, n);
        zt_rd_tag(&r, &tag);
        VEC_CHECK(v, !r.bad && r.pos == n && out->ntags < 16);
        if (zt_cred_in_window(net, tag.timestamp))
            tags[out->ntags++] = (struct zt_held_tag){tag.id, tag.value, tag.timestamp};
    }
    snprintf(field, sizeof field, "%s_capabilities", who);
    list = json_object_get(c, field);
    json_array_foreach(list, i, one)
    {
        struct zt_cap cap;
        const uint8_t *p = vec_unhex(v, json_string_value(one), &n);
        struct zt_rd r = zt_rd(p, n);
        zt_rd_cap(&r, &cap);
        VEC_CHECK(v, !r.bad && r.pos == n && out->ncaps < 16);
        struct zt_rule *rules = (struct zt_rule *)vec_alloc(v, (cap.nrules + 1) * sizeof *rules);
        VEC_CHECK(v,
                  zt_rules_decode(cap.rules, cap.rules_size, rules, cap.nrules) == (int)cap.nrules);
        if (zt_cred_in_window(net, cap.timestamp))
            caps[out->ncaps++] = (struct zt_held_cap){cap.id, cap.nrules, rules, cap.timestamp};
    }
    snprintf(field, sizeof field, "%s_ownership", who);
    list = json_object_get(c, field);
    json_array_foreach(list, i, one)
    {
        const uint8_t *p = vec_unhex(v, json_string_value(one), &n);
        struct zt_rd r = zt_rd(p, n);
        zt_rd_coo(&r, &coos[out->ncoos]);
        VEC_CHECK(v, !r.bad && r.pos == n && out->ncoos < 15);
        if (zt_cred_in_window(net, coos[out->ncoos].timestamp))
            out->ncoos++;
    }
}

static void compare_copies(struct vec *v, json_t *c, uint64_t nwid, const struct zt_filter_frame *f,
                           const struct zt_filter_outcome *o)
{
    json_t *want = vec_field(v, c, "also_sent");

    if (!VEC_CHECK(v, json_array_size(want) == o->ncopies))
        return;
    for (unsigned i = 0; i < o->ncopies; i++) {
        json_t *one = json_array_get(want, i);
        uint8_t bytes[512];
        struct zt_wr w = zt_wr(bytes, sizeof bytes);
        zt_wr_ext_frame(&w, nwid, o->copies[i].flags, f->mac_dest, f->mac_source, f->ethertype,
                        f->p, o->copies[i].n);
        VEC_CHECK(v, !w.bad && addr_field(v, one, "to") == o->copies[i].to);
        vec_eq_hex(v, one, "payload", bytes, w.n);
    }
}

static void evaluation(struct vec *v, json_t *setup, json_t *c)
{
    struct zt_ep addrs[8];
    struct zt_policy net = {.flags = (uint64_t)vec_int(v, c, "config_flags"),
                            .timestamp = vec_int(v, setup, "config_timestamp"),
                            .window_ms = vec_int(v, setup, "credential_time_max_delta"),
                            .addrs = addrs};
    struct zt_holdings remote;
    struct zt_filter_frame f = {.random = 0x80000000};
    struct zt_filter_outcome o;
    bool inbound = vec_bool(v, c, "inbound");
    size_t n, i;
    json_t *one, *ips = json_object_get(c, "static_ips");

    char self[11] = {0};
    memcpy(self, vec_str(v, setup, "self_secret_string"), 10);
    VEC_CHECK(v, zt_hex_parse_u64(self, 10, &net.self) == 0);

    const uint8_t *p = vec_hex(v, c, "rules", &n);
    struct zt_rule *rules = (struct zt_rule *)vec_alloc(v, (n + 1) * sizeof *rules);
    int count = zt_rules_decode(p, n, rules, n);
    VEC_CHECK(v, count >= 0);
    net.rules = rules;
    net.nrules = (unsigned)count;
    json_array_foreach(ips, i, one)
    {
        const uint8_t *ip = vec_unhex(v, json_string_value(one), &n);
        struct zt_rd r = zt_rd(ip, n);
        zt_rd_ep(&r, &addrs[net.naddrs++]);
        VEC_CHECK(v, !r.bad && net.naddrs < 8);
    }
    hold(v, c, "local", &net, &net.own);
    hold(v, c, "peer", &net, &remote);

    f.source = addr_field(v, c, "zt_source");
    f.dest = addr_field(v, c, "zt_dest");
    f.mac_source = zt_be48(vec_hex_n(v, c, "mac_source", 6));
    f.mac_dest = zt_be48(vec_hex_n(v, c, "mac_dest", 6));
    f.ethertype = (uint16_t)vec_int(v, c, "ethertype");
    f.vlan = (uint16_t)vec_int(v, c, "vlan_id");
    f.p = vec_hex(v, c, "frame", &f.n);
    if (inbound)
        zt_filter_in(&net, &f, &remote, &o);
    else
        zt_filter_out(&net, &f, &remote, false, &o);
    vec_eq_int(v, c, "result", o.result);
    if (vec_has(c, "qos_bucket"))
        vec_eq_int(v, c, "qos_bucket", o.bucket);
    compare_copies(v, c, vec_hex_u64(v, setup, "nwid"), &f, &o);
}

int vec_rules(struct vec *v)
{
    json_t *setup = json_object_get(v->root, "evaluation_setup");

    VEC_EACH(v, "types", "name", c)
    type(v, c);
    VEC_EACH(v, "parse", "note", c)
    parse(v, c);
    VEC_EACH(v, "evaluation", "case", c)
    evaluation(v, setup, c);
    return setup != NULL ? 0 : -1;
}
