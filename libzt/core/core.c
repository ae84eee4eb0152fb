/* VL1 and VL2 joined: one set of counters, one deadline, one way in for everything. There is no
 * logic of its own here; what the two tell each other goes through zt_vl1_upper and vl1.h.
 *
 * A call into one half may make the other half due (a packet arrived, so a network wants to ask for
 * its configuration). The owner need not know: the deadline is the earlier of the two, and a tick
 * gives both their turn, VL1 first, because what it releases may be for VL2. */
#include "core/core.h"

#include <stdlib.h>

#include "base/err.h"
#include "vl2/vl2.h"

struct zt_core {
    struct zt_drops drops;
    struct zt_vl1 *vl1;
    struct zt_vl2 *vl2;
};

int zt_core_new(const struct zt_core_config *cfg, const struct zt_now *now, struct zt_core **out)
{
    struct zt_core *c = calloc(1, sizeof *c);
    if (c == NULL)
        return ZT_E_NOMEM;
    int rc = zt_vl1_new(&(struct zt_vl1_config){.identity = cfg->identity,
                                                .host = cfg->host,
                                                .drops = &c->drops,
                                                .planet = cfg->planet,
                                                .nplanet = cfg->nplanet},
                        now, &c->vl1);
    if (rc == 0)
        rc = zt_vl2_new(c->vl1, cfg->host, &c->drops, now, &c->vl2);
    if (rc != 0) {
        zt_core_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void zt_core_free(struct zt_core *c)
{
    if (c == NULL)
        return;
    zt_vl2_free(c->vl2); /* before vl1, which it borrows */
    zt_vl1_free(c->vl1);
    free(c);
}

void zt_core_configure(struct zt_core *c, const struct zt_now *now, const struct zt_settings *s)
{
    zt_vl1_configure(c->vl1, now, s);
    zt_vl2_configure(c->vl2, now, s);
}

int zt_core_control(struct zt_core *c, const struct zt_controller_store *store,
                    struct zt_controller **out)
{
    return zt_vl2_control(c->vl2, store, out);
}

void zt_core_datagram(struct zt_core *c, const struct zt_now *now, const struct zt_link *in,
                      uint8_t *p, size_t n)
{
    zt_vl1_datagram(c->vl1, now, in, p, n);
}

int zt_core_frame(struct zt_core *c, const struct zt_now *now, uint64_t nwid, uint8_t *eth,
                  size_t n)
{
    return zt_vl2_frame(c->vl2, now, nwid, eth, n);
}

void zt_core_tick(struct zt_core *c, const struct zt_now *now)
{
    zt_vl1_tick(c->vl1, now);
    zt_vl2_tick(c->vl2, now);
}

int64_t zt_core_deadline(const struct zt_core *c)
{
    int64_t one = zt_vl1_deadline(c->vl1), two = zt_vl2_deadline(c->vl2);
    return one < two ? one : two;
}

int zt_core_join(struct zt_core *c, const struct zt_now *now, uint64_t nwid, const uint8_t *cached,
                 size_t ncached)
{
    return zt_vl2_join(c->vl2, now, nwid, cached, ncached);
}

int zt_core_leave(struct zt_core *c, const struct zt_now *now, uint64_t nwid)
{
    return zt_vl2_leave(c->vl2, now, nwid);
}

int zt_core_subscribe(struct zt_core *c, const struct zt_now *now, uint64_t nwid, uint64_t mac,
                      uint32_t adi)
{
    return zt_vl2_subscribe(c->vl2, now, nwid, mac, adi);
}

int zt_core_unsubscribe(struct zt_core *c, uint64_t nwid, uint64_t mac, uint32_t adi)
{
    return zt_vl2_unsubscribe(c->vl2, nwid, mac, adi);
}

void zt_core_identity_checked(struct zt_core *c, const struct zt_now *now,
                              const struct zt_identity *id, bool valid)
{
    zt_vl1_identity_checked(c->vl1, now, id, valid);
}

void zt_core_set_local(struct zt_core *c, const struct zt_now *now, const struct zt_ep *eps,
                       size_t n)
{
    zt_vl1_set_local(c->vl1, now, eps, n);
}

void zt_core_socket_gone(struct zt_core *c, const struct zt_now *now, int sock)
{
    zt_vl1_socket_gone(c->vl1, now, sock);
}

size_t zt_core_surface(const struct zt_core *c, const struct zt_now *now, struct zt_ep *out,
                       size_t cap)
{
    return zt_vl1_surface(c->vl1, now, out, cap);
}

int zt_core_restore_peer(struct zt_core *c, const struct zt_now *now, const uint8_t *p, size_t n)
{
    return zt_vl1_restore_peer(c->vl1, now, p, n);
}

void zt_core_save_peers(struct zt_core *c)
{
    zt_vl1_save_peers(c->vl1);
}

int zt_core_send_message(struct zt_core *c, const struct zt_now *now, uint64_t dest, uint64_t type,
                         const uint8_t *data, size_t n)
{
    return zt_vl1_send_message(c->vl1, now, dest, type, data, n);
}

int zt_core_load_moon(struct zt_core *c, const struct zt_now *now, uint64_t id, const uint8_t *p,
                      size_t n)
{
    return zt_vl1_load_moon(c->vl1, now, id, p, n);
}

int zt_core_orbit(struct zt_core *c, const struct zt_now *now, uint64_t id, uint64_t seed)
{
    return zt_vl1_orbit(c->vl1, now, id, seed);
}

int zt_core_deorbit(struct zt_core *c, const struct zt_now *now, uint64_t id)
{
    return zt_vl1_deorbit(c->vl1, now, id);
}

size_t zt_core_moons(const struct zt_core *c, uint64_t *out, size_t cap)
{
    return zt_vl1_moons(c->vl1, out, cap);
}

int zt_core_moon(const struct zt_core *c, uint64_t id, struct zt_moon_info *out)
{
    return zt_vl1_moon(c->vl1, id, out);
}

const struct zt_identity *zt_core_identity(const struct zt_core *c)
{
    return zt_vl1_identity(c->vl1);
}

enum zt_underlay zt_core_underlay(const struct zt_core *c)
{
    return zt_vl1_underlay(c->vl1);
}

bool zt_core_online(const struct zt_core *c)
{
    return zt_vl1_online(c->vl1);
}

void zt_core_status(const struct zt_core *c, struct zt_status_info *out)
{
    *out = (struct zt_status_info){0};
    zt_vl1_status(c->vl1, out);
    out->nnetworks = (unsigned)zt_vl2_networks(c->vl2, NULL, 0);
}

const struct zt_drops *zt_core_drops(const struct zt_core *c)
{
    return &c->drops;
}

size_t zt_core_peers(const struct zt_core *c, uint64_t *out, size_t cap)
{
    return zt_vl1_peers(c->vl1, out, cap);
}

int zt_core_peer(const struct zt_core *c, const struct zt_now *now, uint64_t addr,
                 struct zt_peer_info *out)
{
    return zt_vl1_peer(c->vl1, now, addr, out);
}

size_t zt_core_networks(const struct zt_core *c, uint64_t *out, size_t cap)
{
    return zt_vl2_networks(c->vl2, out, cap);
}

int zt_core_network(const struct zt_core *c, uint64_t nwid, struct zt_net_info *out)
{
    return zt_vl2_network(c->vl2, nwid, out);
}

size_t zt_core_groups(const struct zt_core *c, uint64_t nwid, struct zt_group_info *out, size_t cap)
{
    return zt_vl2_groups(c->vl2, nwid, out, cap);
}

size_t zt_core_tables(const struct zt_core *c, struct zt_table_info out[ZT_INFO_TABLES])
{
    size_t n = zt_vl1_tables(c->vl1, out);
    return n + zt_vl2_tables(c->vl2, out + n);
}

int zt_core_auth(const struct zt_core *c, uint64_t nwid, struct zt_net_auth *out)
{
    return zt_vl2_auth(c->vl2, nwid, out);
}
