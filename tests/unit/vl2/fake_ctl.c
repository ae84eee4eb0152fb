#include "fake_ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "crypto/identity.h"

struct zt_identity ctl_identity;

static void numbers(void *user, void *out, size_t n)
{
    memset(out, 0x5a, n);
    (*(uint8_t *)user)++;
    ((uint8_t *)out)[0] = *(uint8_t *)user;
}

struct zt_com ctl_com(const struct zt_vl1 *n, int64_t timestamp)
{
    uint8_t fingerprint[48], text[ZT_CRED_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);
    struct zt_com com;

    zt_identity_fingerprint(&n->id, fingerprint);
    zt_com_make((uint64_t)timestamp, CTL_DELTA, CTL_NWID, n->addr, fingerprint, &com);
    zt_wr_com_signed(&w, &com);
    zt_identity_sign(&ctl_identity, text, w.n, com.sig);
    com.signed_by = CTL;
    return com;
}

struct zt_tag ctl_tag(uint64_t addr, uint32_t id, uint32_t value, int64_t timestamp)
{
    uint8_t text[ZT_CRED_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);
    struct zt_tag tag = {.nwid = CTL_NWID,
                         .timestamp = timestamp,
                         .id = id,
                         .value = value,
                         .issued_to = addr,
                         .signed_by = CTL,
                         .has_sig = true};
    zt_wr_tag_signed(&w, &tag);
    zt_identity_sign(&ctl_identity, text, w.n, tag.sig);
    return tag;
}

size_t ctl_dictionary(const struct zt_vl1 *n, const struct ctl_plan *plan, uint8_t *out, size_t cap)
{
    struct zt_netconf cfg = {.nwid = plan->nwid != 0 ? plan->nwid : CTL_NWID,
                             .issued_to = plan->issued_to != 0 ? plan->issued_to : n->addr,
                             .timestamp = plan->timestamp,
                             .max_delta = CTL_DELTA,
                             .revision = 7,
                             .flags = ZT_NET_BROADCAST,
                             .is_public = plan->is_public,
                             .multicast_limit = 32,
                             .mtu = 2800,
                             .name = "test",
                             .has_com = true,
                             .naddrs = 1,
                             .dns_domain = "lab.test"};
    const char *hex = plan->rules != NULL ? plan->rules : "0100";
    uint8_t rules[128], tag[ZT_TAG_WIRE];
    struct zt_wr w;

    cfg.com = ctl_com(n, plan->timestamp);
    zt_ep_parse("10.147.20.5/24", &cfg.addrs[0]);
    zt_ep_parse("10.147.20.1", &cfg.dns[0]);
    zt_hex_decode(hex, rules, strlen(hex) / 2);
    cfg.rules = (struct zt_span){rules, strlen(hex) / 2};
    cfg.nrules = hex[0] != 0;
    if (plan->specialist != 0) {
        cfg.nspecialists = 1;
        cfg.specialists[0] = plan->specialist;
    }
    if (plan->tag != NULL) {
        w = zt_wr(tag, sizeof tag);
        zt_wr_tag(&w, plan->tag);
        cfg.tags[cfg.ntags++] = (struct zt_span){tag, w.n};
    }
    w = zt_wr(out, cap);
    assert_int_equal(zt_netconf_encode(&cfg, &w), 0);
    return w.n;
}

/* A signed chunk of a dictionary. */
size_t ctl_chunk(const uint8_t *dict, size_t total, size_t offset, size_t n, uint64_t update,
                 uint8_t flags, uint8_t *out)
{
    struct zt_wr w = zt_wr(out, ZT_PAYLOAD_MAX);
    uint8_t sig[ZT_SIG];
    zt_wr_chunk_text(&w, CTL_NWID, dict + offset, n, flags, update, (uint32_t)total,
                     (uint32_t)offset);
    zt_identity_sign(&ctl_identity, out, w.n, sig);
    zt_wr_chunk_sig(&w, sig);
    assert_false(w.bad);
    return w.n;
}

static uint64_t updates;

void ctl_configure(struct zt_vl1 *n, const struct ctl_plan *plan)
{
    uint8_t dict[4096], out[ZT_PAYLOAD_MAX];
    size_t len = ctl_dictionary(n, plan, dict, sizeof dict);
    len = ctl_chunk(dict, len, 0, len, ++updates, 0, out);
    fake_inject_ok(n, CTL, ZT_VERB_NETWORK_CONFIG_REQUEST, out, len);
}

/* Send a COM list. */
enum zt_verdict ctl_show_com(struct zt_vl1 *to, uint64_t from, const struct zt_com *com)
{
    uint8_t p[600];
    struct zt_wr w = zt_wr(p, sizeof p);
    zt_wr_com(&w, com);
    zt_wr_u8(&w, 0);
    zt_wr_u64(&w, 0); /* four empty lists */
    return fake_inject(to, from, ZT_VERB_NETWORK_CREDENTIALS, p, w.n);
}

enum zt_verdict ctl_show_tag(struct zt_vl1 *to, uint64_t from, const struct zt_tag *tag)
{
    uint8_t p[600];
    struct zt_wr w = zt_wr(p, sizeof p);
    zt_wr_u8(&w, 0);
    zt_wr_u16(&w, 0);
    zt_wr_u16(&w, 1);
    zt_wr_tag(&w, tag);
    zt_wr_u32(&w, 0);
    return fake_inject(to, from, ZT_VERB_NETWORK_CREDENTIALS, p, w.n);
}

struct zt_revocation ctl_revocation(uint64_t target, uint8_t type, uint32_t id, int64_t threshold,
                                    uint64_t flags)
{
    uint8_t text[ZT_CRED_TEXT_MAX];
    struct zt_revocation rev = {.id = 1,
                                .nwid = CTL_NWID,
                                .credential_id = id,
                                .threshold = threshold,
                                .flags = flags,
                                .target = target,
                                .signed_by = CTL,
                                .type = type,
                                .has_sig = true};
    struct zt_wr w = zt_wr(text, sizeof text);
    zt_wr_revocation_signed(&w, &rev);
    zt_identity_sign(&ctl_identity, text, w.n, rev.sig);
    return rev;
}

enum zt_verdict ctl_show_revocation(struct zt_vl1 *to, uint64_t from,
                                    const struct zt_revocation *rev)
{
    uint8_t p[600];
    struct zt_wr w = zt_wr(p, sizeof p);
    zt_wr_u8(&w, 0);
    zt_wr_u32(&w, 0);
    zt_wr_u16(&w, 1);
    zt_wr_revocation(&w, rev);
    zt_wr_u16(&w, 0);
    return fake_inject(to, from, ZT_VERB_NETWORK_CREDENTIALS, p, w.n);
}

void ctl_begin(void)
{
    uint8_t seed = 0;
    fake_begin();
    zt_crypto_init();
    zt_keypair_generate(numbers, &seed, &ctl_identity);
    ctl_identity.addr = CTL;
    fake_node_with(&ctl_identity);
}

void ctl_join(struct zt_vl1 *n, const struct ctl_plan *plan)
{
    assert_int_equal(zt_vl2_join(n->vl2, &fake_now, CTL_NWID, NULL, 0), 0);
    if (plan == NULL)
        return;
    ctl_configure(n, plan);
    assert_int_equal(ctl_status(n), ZT_NET_OK);
}

struct zt_network *ctl_net(struct zt_vl1 *n)
{
    return zt_network_find(n->vl2, CTL_NWID);
}

enum zt_net_status ctl_status(struct zt_vl1 *n)
{
    struct zt_net_info info;
    assert_int_equal(zt_vl2_network(n->vl2, CTL_NWID, &info), 0);
    return info.status;
}

int ctl_frame(struct zt_vl1 *from, uint64_t to)
{
    uint8_t p[30] = {0x45, 0, 0, 30, [9] = 17};
    return fake_frame_out(from, CTL_NWID, zt_mac_of(to, CTL_NWID), zt_mac_of(from->addr, CTL_NWID),
                          0x0800, p, sizeof p);
}
