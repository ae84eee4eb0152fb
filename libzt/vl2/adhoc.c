/* Networks without a controller: everybody derives the same configuration from the id (vl2.md 1.8).
 * The rules must be the reference's to the entry, because both ends of a connection filter. */

#include <stdio.h>

#include "base/addr.h"
#include "base/err.h"
#include "vl2/config.h"

/* TCP and UDP to a range of ports, ICMPv6, and what answers to them. */
static size_t port_rules(uint16_t first, uint16_t last, uint8_t out[ZT_ADHOC_RULES])
{
    static const uint8_t before[] = {
        0xa5, 2, 0x86, 0xdd, /* not IPv6 */
        0x00, 0,             /* drop */
        0x24, 1, 0x3a,       /* ICMPv6 */
        0x01, 0,             /* accept */
        0x24, 1, 0x11,       /* UDP */
        0x64, 1, 0x06,       /* or TCP */
        0x28, 4,             /* destination port */
    };
    static const uint8_t after[] = {
        0x01, 0,                            /* accept */
        0xa9, 8, 0, 0, 0, 0, 0, 0, 0, 0x02, /* not TCP SYN */
        0x01, 0,                            /* accept */
        0x29, 8, 0, 0, 0, 0, 0, 0, 0, 0x02, /* TCP SYN */
        0x29, 8, 0, 0, 0, 0, 0, 0, 0, 0x10, /* and ACK */
        0x01, 0,                            /* accept */
        0x00, 0,                            /* drop */
    };
    struct zt_wr w = zt_wr(out, ZT_ADHOC_RULES);
    zt_wr_bytes(&w, before, sizeof before);
    zt_wr_u16(&w, first);
    zt_wr_u16(&w, last);
    zt_wr_bytes(&w, after, sizeof after);
    return w.n;
}

int zt_adhoc_config(uint64_t nwid, uint64_t self, int64_t wall_ms, uint8_t rules[ZT_ADHOC_RULES],
                    struct zt_netconf *out)
{
    uint16_t first = (uint16_t)(nwid >> 40), last = (uint16_t)(nwid >> 24);
    uint64_t hub = nwid >> 8 & ZT_ADDR_MASK;

    *out = (struct zt_netconf){
        .nwid = nwid,
        .issued_to = self,
        .timestamp = wall_ms,
        .max_delta = 7200000,
        .revision = 1,
        .flags = ZT_NET_NDP_EMULATION,
        .is_public = true,
        .mtu = ZT_NET_MTU_DEFAULT,
        .naddrs = 1,
    };
    out->addrs[0] = zt_ep_6plane(nwid, self);
    out->rules.p = rules;
    if (!zt_nwid_is_adhoc(nwid))
        return ZT_E_INVAL;

    if ((nwid & 0xffffff) == 0) {
        if (last < first)
            return ZT_E_NOENT;
        out->rules.n = port_rules(first, last, rules);
        out->nrules = 14;
        snprintf(out->name, sizeof out->name, "adhoc-%04x-%04x", first, last);
        return 0;
    }
    if ((nwid & 0xff) == 0x01) {
        uint8_t ip[4];
        zt_put32(ip, (uint32_t)(nwid >> 48 << 24) | (uint32_t)(self & 0xffffff));
        out->addrs[out->naddrs++] = zt_ep_make(4, ip, 8);
        out->multicast_limit = 1024;
        if (hub != 0)
            out->specialists[out->nspecialists++] = hub;
        rules[0] = ZT_RULE_ACTION_ACCEPT;
        rules[1] = 0;
        out->rules.n = 2;
        out->nrules = 1;
        snprintf(out->name, sizeof out->name, "adhoc-%u.0.0.0", ip[0]);
        return 0;
    }
    return ZT_E_INVAL;
}
