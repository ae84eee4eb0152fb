/* inetaddress.json and mac.json: base/addr and endpoints on the wire. */
#include <string.h>

#include "base/addr.h"
#include "vec.h"
#include "wire/packet.h"

/* A field with an endpoint or prefix; "nil" is none. */
static struct zt_ep ep_field(struct vec *v, json_t *obj, const char *field)
{
    const char *text = vec_str(v, obj, field);
    struct zt_ep ep = {0};
    if (strcmp(text, "nil") != 0)
        vec_check(v, zt_ep_parse(text, &ep) == 0, field);
    return ep;
}

static void address(struct vec *v, json_t *c)
{
    static const char *const names[] = {"none",   "multicast",  "loopback", "pseudoprivate",
                                        "global", "link_local", "shared",   "private"};
    struct zt_ep ep = ep_field(v, c, "text"), back;
    char text[ZT_EP_STR];
    uint8_t bytes[19];
    size_t n;

    vec_eq_int(v, c, "family", ep.family);
    vec_eq_int(v, c, "port", ep.port);
    if (vec_has(c, "ip"))
        vec_eq_hex(v, c, "ip", ep.ip, ep.family == 4 ? 4 : 16);
    vec_eq_str(v, c, "to_string", zt_ep_format(&ep, text));
    vec_eq_int(v, c, "ip_scope", zt_ep_scope(&ep));
    vec_eq_str(v, c, "ip_scope_name", names[zt_ep_scope(&ep)]);

    struct zt_wr w = zt_wr(bytes, sizeof bytes);
    zt_wr_ep(&w, &ep);
    vec_eq_hex(v, c, "serialized", bytes, w.n);
    const uint8_t *wire = vec_hex(v, c, "serialized", &n);
    struct zt_rd r = zt_rd(wire, n);
    zt_rd_ep(&r, &back);
    VEC_CHECK(v, !r.bad && r.pos == n && zt_ep_equal(&ep, &back));
}

static void prefix(struct vec *v, json_t *c)
{
    struct zt_ep p = ep_field(v, c, "text"), net = zt_ep_network(&p), mask = zt_ep_netmask(&p);
    struct zt_ep top = zt_ep_broadcast(&p), zero = {.family = p.family};
    char text[ZT_EP_STR];
    bool host4 = p.family == 4 && p.port == 32;

    vec_eq_str(v, c, "network", zt_ep_format(&net, text));
    vec_eq_bool(v, c, "is_network", p.port > 0 && !host4 && zt_ep_equal(&p, &net));
    vec_eq_bool(v, c, "is_default_route", zt_ep_equal(&p, &zero));
    zt_ep_format_ip(&mask, text);
    if (p.family == 4 && p.port == 0)
        VEC_CHECK(v, strcmp(text, "0.0.0.0") == 0); /* the reference shifts by 32 and gets ones */
    else
        vec_eq_str(v, c, "netmask", text);
    zt_ep_format_ip(&top, text);
    if (host4)
        VEC_CHECK(v, zt_ep_equal(&top, &p)); /* ones in the reference, for the same reason */
    else if (vec_has(c, "broadcast"))
        vec_eq_str(v, c, "broadcast", text);
}

int vec_inetaddress(struct vec *v)
{
    VEC_EACH(v, "addresses", "text", c)
    address(v, c);
    VEC_EACH(v, "deserialize", "case", c)
    {
        struct zt_ep ep;
        char text[ZT_EP_STR];
        size_t n;
        const uint8_t *p = vec_hex(v, c, "bytes", &n);
        struct zt_rd r = zt_rd(p, n);
        zt_rd_ep(&r, &ep);
        vec_eq_bool(v, c, "ok", !r.bad);
        if (!r.bad) {
            vec_eq_int(v, c, "bytes_used", (int64_t)r.pos);
            vec_eq_int(v, c, "family", ep.family);
            vec_eq_str(v, c, "to_string", zt_ep_format(&ep, text));
        }
    }
    VEC_EACH(v, "prefix", "text", c)
    prefix(v, c);
    VEC_EACH(v, "contains", "prefix", c)
    {
        struct zt_ep net = ep_field(v, c, "prefix"), ep = ep_field(v, c, "address");
        vec_eq_bool(v, c, "contains", zt_ep_in_prefix(&net, &ep));
    }
    return 0;
}

static void derived(struct vec *v, json_t *c)
{
    uint64_t nwid = vec_hex_u64(v, c, "nwid"), addr = vec_hex_u64(v, c, "address");
    uint64_t mac = zt_mac_of(addr, nwid);
    char text[ZT_EP_STR];

    vec_eq_u64(v, c, "mac", mac);
    vec_eq_int(v, c, "first_octet", zt_mac_first(nwid));
    vec_eq_u64(v, c, "address_from_mac", zt_mac_to_addr(mac, nwid));

    struct zt_ep ep = zt_ep_6plane(nwid, addr);
    vec_eq_str(v, c, "sixplane", zt_ep_format(&ep, text));
    vec_eq_hex(v, c, "sixplane_ip", ep.ip, 16);
    vec_eq_int(v, c, "sixplane_prefix_bits", ep.port);
    ep = zt_ep_rfc4193(nwid, addr);
    vec_eq_str(v, c, "rfc4193", zt_ep_format(&ep, text));
    vec_eq_hex(v, c, "rfc4193_ip", ep.ip, 16);
    vec_eq_int(v, c, "rfc4193_prefix_bits", ep.port);
    ep = zt_ep_link_local(mac);
    vec_eq_hex(v, c, "link_local_ip", ep.ip, 16);
    vec_eq_int(v, c, "link_local_prefix_bits", ep.port);
}

int vec_mac(struct vec *v)
{
    VEC_EACH(v, "derived", "address", c)
    derived(v, c);
    VEC_EACH(v, "controller_of_nwid", "nwid", c)
    vec_eq_u64(v, c, "controller_address", zt_nwid_controller(vec_hex_u64(v, c, "nwid")));
    VEC_EACH(v, "address_resolution_group", "address", c)
    {
        struct zt_ep ep = ep_field(v, c, "address");
        uint64_t mac;
        uint32_t adi;
        zt_resolution_group(&ep, &mac, &adi);
        vec_eq_u64(v, c, "mac", mac);
        vec_eq_int(v, c, "adi", adi);
        vec_eq_u64(v, c, "adi_hex", adi);
    }
    return 0;
}
