#include "node/rules_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/err.h"
#include "node/json.h"

/* The one name that does not follow the pattern of the others. */
#define INTEGER_RANGE "INTEGER_RANGE"

/* ---- from JSON ---- */

static int type_by_name(const char *name)
{
    if (strcmp(name, INTEGER_RANGE) == 0)
        return ZT_RULE_MATCH_INTEGER_RANGE;
    for (uint8_t t = 0; t <= ZT_RULE_TYPE; t++) {
        const char *known = zt_rule_name(t);
        if (known != NULL && t != ZT_RULE_ACTION_PRIORITY && t != ZT_RULE_MATCH_INTEGER_RANGE &&
            strcmp(known, name) == 0)
            return t;
    }
    return ZT_E_FORMAT;
}

static uint64_t field(const json_t *j, const char *key, uint64_t missing)
{
    return zt_json_u64(json_object_get(j, key), missing);
}

static uint64_t address(const json_t *j, const char *key)
{
    char tmp[ZT_JSON_TEXT];
    return strtoull(zt_json_text(json_object_get(j, key), tmp, "0"), NULL, 16) & ZT_ADDR_MASK;
}

static unsigned hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 0;
}

/* Pairs of digits, with or without : and -; what is missing at the end is zero, and so is a digit
 * without its second. */
static uint64_t read_mac(const json_t *j)
{
    char tmp[ZT_JSON_TEXT];
    uint64_t mac = 0;
    unsigned digits = 0;

    for (const char *s = zt_json_text(json_object_get(j, "mac"), tmp, ""); *s != 0; s++) {
        if (*s == ':' || *s == '-')
            continue;
        mac = mac << 4 | hex_digit(*s);
        if (++digits == 12)
            break;
    }
    if (digits % 2 != 0) {
        mac >>= 4;
        digits--;
    }
    return mac << 4 * (12 - digits);
}

/* "a/bits". No bits are 0 bits, and an address of the other family is zero: as everywhere else, or
 * a rule would mean one thing on one controller and another on the next. */
static void read_net(const json_t *j, uint8_t family, struct zt_rule *out)
{
    char tmp[ZT_JSON_TEXT], ip[64];
    const char *text = zt_json_text(json_object_get(j, "ip"), tmp, "");
    size_t n = strcspn(text, "/");
    unsigned long bits = text[n] == '/' ? strtoul(text + n + 1, NULL, 10) & 0xff : 0;
    unsigned most = family == 4 ? 32 : 128;
    struct zt_ep ep;

    if (strlen(text) >= sizeof ip)
        return;
    memcpy(ip, text, n);
    ip[n] = 0;
    if (strpbrk(ip, ".:") == NULL)
        return;
    if (zt_ep_parse(ip, &ep) == 0 && ep.family == family)
        memcpy(out->u.net.ip, ep.ip, sizeof ep.ip);
    out->u.net.bits = (uint8_t)(bits > most ? most : bits);
}

static void read_range(const json_t *j, struct zt_rule *out)
{
    out->u.range.low = (uint16_t)field(j, "start", 0);
    out->u.range.high = (uint16_t)field(j, "end", out->u.range.low);
}

static void read_icmp(const json_t *j, struct zt_rule *out)
{
    const json_t *code = json_object_get(j, "icmpCode");
    out->u.icmp.type = (uint8_t)field(j, "icmpType", 0);
    if (code == NULL || json_is_null(code))
        return;
    out->u.icmp.code = (uint8_t)zt_json_u64(code, 0);
    out->u.icmp.flags = 1;
}

static void read_integer(const json_t *j, struct zt_rule *out)
{
    uint64_t start = zt_json_hex(json_object_get(j, "start"), 0);
    bool little = zt_json_bool(json_object_get(j, "little"), false);
    out->u.integer.start = start;
    out->u.integer.span = (uint32_t)(zt_json_hex(json_object_get(j, "end"), 0) - start);
    out->u.integer.index = (uint16_t)field(j, "idx", 0);
    out->u.integer.format = (uint8_t)(((field(j, "bits", 1) - 1) & 63) | (little ? 0x80 : 0));
}

static void read_fields(const json_t *j, struct zt_rule *out)
{
    switch (zt_rule_type(out)) {
    case ZT_RULE_ACTION_TEE:
    case ZT_RULE_ACTION_WATCH:
        out->u.fwd.length = (uint16_t)field(j, "length", 0);
        /* fall through */
    case ZT_RULE_ACTION_REDIRECT:
        out->u.fwd.addr = address(j, "address");
        out->u.fwd.flags = (uint32_t)field(j, "flags", 0);
        break;
    case ZT_RULE_MATCH_SOURCE_ZEROTIER_ADDRESS:
    case ZT_RULE_MATCH_DEST_ZEROTIER_ADDRESS:
        out->u.addr = address(j, "zt");
        break;
    case ZT_RULE_MATCH_VLAN_ID:
        out->u.number = (uint16_t)field(j, "vlanId", 0);
        break;
    case ZT_RULE_MATCH_VLAN_PCP:
        out->u.number = (uint8_t)field(j, "vlanPcp", 0);
        break;
    case ZT_RULE_MATCH_VLAN_DEI:
        out->u.number = (uint8_t)field(j, "vlanDei", 0);
        break;
    case ZT_RULE_MATCH_IP_PROTOCOL:
        out->u.number = (uint8_t)field(j, "ipProtocol", 0);
        break;
    case ZT_RULE_MATCH_ETHERTYPE:
        out->u.number = (uint16_t)field(j, "etherType", 0);
        break;
    case ZT_RULE_MATCH_MAC_SOURCE:
    case ZT_RULE_MATCH_MAC_DEST:
        out->u.mac = read_mac(j);
        break;
    case ZT_RULE_MATCH_IPV4_SOURCE:
    case ZT_RULE_MATCH_IPV4_DEST:
        read_net(j, 4, out);
        break;
    case ZT_RULE_MATCH_IPV6_SOURCE:
    case ZT_RULE_MATCH_IPV6_DEST:
        read_net(j, 6, out);
        break;
    case ZT_RULE_MATCH_IP_TOS:
        out->u.tos.mask = (uint8_t)field(j, "mask", 0);
        out->u.tos.low = (uint8_t)field(j, "start", 0);
        out->u.tos.high = (uint8_t)field(j, "end", 0);
        break;
    case ZT_RULE_MATCH_ICMP:
        read_icmp(j, out);
        break;
    case ZT_RULE_MATCH_IP_SOURCE_PORT_RANGE:
    case ZT_RULE_MATCH_IP_DEST_PORT_RANGE:
    case ZT_RULE_MATCH_FRAME_SIZE_RANGE:
        read_range(j, out);
        break;
    case ZT_RULE_MATCH_CHARACTERISTICS:
        out->u.mask = zt_json_hex(json_object_get(j, "mask"), 0);
        break;
    case ZT_RULE_MATCH_RANDOM:
        out->u.chance = (uint32_t)field(j, "probability", 0);
        break;
    case ZT_RULE_MATCH_INTEGER_RANGE:
        read_integer(j, out);
        break;
    default:
        if (!zt_rule_is_action(out)) { /* the tag matches */
            out->u.tag.id = (uint32_t)field(j, "id", 0);
            out->u.tag.value = (uint32_t)field(j, "value", 0);
        }
        break;
    }
}

int zt_rule_from_json(const json_t *j, struct zt_rule *out)
{
    const char *name = json_string_value(json_object_get(j, "type"));
    int type = name != NULL ? type_by_name(name) : ZT_E_FORMAT;

    if (type < 0)
        return ZT_E_FORMAT;
    *out = (struct zt_rule){.t = (uint8_t)type};
    if (!zt_rule_is_action(out)) {
        out->t |= zt_json_bool(json_object_get(j, "not"), false) ? ZT_RULE_NOT : 0;
        out->t |= zt_json_bool(json_object_get(j, "or"), false) ? ZT_RULE_OR : 0;
    }
    read_fields(j, out);
    return 0;
}

size_t zt_rules_from_json(const json_t *array, struct zt_rule *out, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < json_array_size(array) && n < cap; i++)
        n += zt_rule_from_json(json_array_get(array, i), &out[n]) == 0;
    return n;
}

/* ---- to JSON ---- */

static json_t *hex(uint64_t v, int digits)
{
    char text[17];
    snprintf(text, sizeof text, "%0*" PRIx64, digits, v);
    return json_string(text);
}

static json_t *mac_text(uint64_t mac)
{
    uint8_t b[6];
    char text[18];
    zt_put48(b, mac);
    snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4],
             b[5]);
    return json_string(text);
}

static json_t *net_text(const struct zt_rule *e, uint8_t family)
{
    char text[ZT_EP_STR];
    struct zt_ep ep = zt_ep_make(family, e->u.net.ip, e->u.net.bits);
    return json_string(zt_ep_format(&ep, text));
}

static json_t *range_json(const char *type, unsigned low, unsigned high)
{
    return json_pack("{s:s, s:i, s:i}", "type", type, "start", low, "end", high);
}

static json_t *number_json(const char *type, const char *key, json_int_t v)
{
    return json_pack("{s:s, s:I}", "type", type, key, v);
}

static json_t *integer_json(const struct zt_rule *e)
{
    uint64_t start = e->u.integer.start;
    return json_pack("{s:s, s:o, s:o, s:i, s:b, s:i}", "type", INTEGER_RANGE, "start",
                     hex(start, 16), "end", hex(start + e->u.integer.span, 16), "idx",
                     e->u.integer.index, "little", (e->u.integer.format & 0x80) != 0, "bits",
                     (e->u.integer.format & 63) + 1);
}

static json_t *fields_json(const struct zt_rule *e)
{
    const char *type = zt_rule_name(zt_rule_type(e));

    switch (zt_rule_type(e)) {
    case ZT_RULE_ACTION_DROP:
    case ZT_RULE_ACTION_ACCEPT:
    case ZT_RULE_ACTION_BREAK:
        return json_pack("{s:s}", "type", type);
    case ZT_RULE_ACTION_TEE:
    case ZT_RULE_ACTION_WATCH:
        return json_pack("{s:s, s:o, s:I, s:i}", "type", type, "address", hex(e->u.fwd.addr, 10),
                         "flags", (json_int_t)e->u.fwd.flags, "length", e->u.fwd.length);
    case ZT_RULE_ACTION_REDIRECT:
        return json_pack("{s:s, s:o, s:I}", "type", type, "address", hex(e->u.fwd.addr, 10),
                         "flags", (json_int_t)e->u.fwd.flags);
    case ZT_RULE_MATCH_SOURCE_ZEROTIER_ADDRESS:
    case ZT_RULE_MATCH_DEST_ZEROTIER_ADDRESS:
        return json_pack("{s:s, s:o}", "type", type, "zt", hex(e->u.addr, 10));
    case ZT_RULE_MATCH_VLAN_ID:
        return number_json(type, "vlanId", e->u.number);
    case ZT_RULE_MATCH_VLAN_PCP:
        return number_json(type, "vlanPcp", e->u.number);
    case ZT_RULE_MATCH_VLAN_DEI:
        return number_json(type, "vlanDei", e->u.number);
    case ZT_RULE_MATCH_IP_PROTOCOL:
        return number_json(type, "ipProtocol", e->u.number);
    case ZT_RULE_MATCH_ETHERTYPE:
        return number_json(type, "etherType", e->u.number);
    case ZT_RULE_MATCH_MAC_SOURCE:
    case ZT_RULE_MATCH_MAC_DEST:
        return json_pack("{s:s, s:o}", "type", type, "mac", mac_text(e->u.mac));
    case ZT_RULE_MATCH_IPV4_SOURCE:
    case ZT_RULE_MATCH_IPV4_DEST:
        return json_pack("{s:s, s:o}", "type", type, "ip", net_text(e, 4));
    case ZT_RULE_MATCH_IPV6_SOURCE:
    case ZT_RULE_MATCH_IPV6_DEST:
        return json_pack("{s:s, s:o}", "type", type, "ip", net_text(e, 6));
    case ZT_RULE_MATCH_IP_TOS:
        return json_pack("{s:s, s:i, s:i, s:i}", "type", type, "mask", e->u.tos.mask, "start",
                         e->u.tos.low, "end", e->u.tos.high);
    case ZT_RULE_MATCH_ICMP:
        return json_pack("{s:s, s:i, s:o}", "type", type, "icmpType", e->u.icmp.type, "icmpCode",
                         (e->u.icmp.flags & 1) ? json_integer(e->u.icmp.code) : json_null());
    case ZT_RULE_MATCH_IP_SOURCE_PORT_RANGE:
    case ZT_RULE_MATCH_IP_DEST_PORT_RANGE:
    case ZT_RULE_MATCH_FRAME_SIZE_RANGE:
        return range_json(type, e->u.range.low, e->u.range.high);
    case ZT_RULE_MATCH_CHARACTERISTICS:
        return json_pack("{s:s, s:o}", "type", type, "mask", hex(e->u.mask, 16));
    case ZT_RULE_MATCH_RANDOM:
        return number_json(type, "probability", e->u.chance);
    case ZT_RULE_MATCH_TAGS_DIFFERENCE:
    case ZT_RULE_MATCH_TAGS_BITWISE_AND:
    case ZT_RULE_MATCH_TAGS_BITWISE_OR:
    case ZT_RULE_MATCH_TAGS_BITWISE_XOR:
    case ZT_RULE_MATCH_TAGS_EQUAL:
    case ZT_RULE_MATCH_TAG_SENDER:
    case ZT_RULE_MATCH_TAG_RECEIVER:
        return json_pack("{s:s, s:I, s:I}", "type", type, "id", (json_int_t)e->u.tag.id, "value",
                         (json_int_t)e->u.tag.value);
    case ZT_RULE_MATCH_INTEGER_RANGE:
        return integer_json(e);
    default:
        return NULL;
    }
}

json_t *zt_rule_to_json(const struct zt_rule *rule)
{
    json_t *j = fields_json(rule);

    if (j == NULL || zt_rule_is_action(rule))
        return j;
    if (json_object_set_new(j, "not", json_boolean(rule->t & ZT_RULE_NOT)) != 0 ||
        json_object_set_new(j, "or", json_boolean(rule->t & ZT_RULE_OR)) != 0) {
        json_decref(j);
        return NULL;
    }
    return j;
}

json_t *zt_rules_to_json(const struct zt_rule *rules, size_t n)
{
    json_t *array = json_array();

    for (size_t i = 0; i < n && array != NULL; i++) {
        json_t *one = zt_rule_to_json(&rules[i]);
        if (one != NULL && json_array_append_new(array, one) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}
