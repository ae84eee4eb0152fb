/* VL2 as core sees it: networks, and Ethernet frames over VL1. Spec: vl2.md. */
#ifndef ZT_VL2_VL2_H
#define ZT_VL2_VL2_H

#include "base/drop.h"
#include "base/host.h"
#include "base/info.h"

struct zt_vl1;
struct zt_vl2;
struct zt_controller;
struct zt_controller_store;
struct zt_settings;

/* Hooks itself into vl1 (zt_vl1_set_upper). vl1, host and drops are borrowed. */
int zt_vl2_new(struct zt_vl1 *vl1, const struct zt_host *host, struct zt_drops *drops,
               const struct zt_now *now, struct zt_vl2 **out);
void zt_vl2_free(struct zt_vl2 *v);

/* Those settings that concern networks, copied; takes effect from now on. */
void zt_vl2_configure(struct zt_vl2 *v, const struct zt_now *now, const struct zt_settings *s);

/* Become the controller of the networks whose ids begin with our address (vl2/controller.h). store
 * is copied, *out belongs to v. Once. Returns 0, ZT_E_NOMEM. */
int zt_vl2_control(struct zt_vl2 *v, const struct zt_controller_store *store,
                   struct zt_controller **out);

void zt_vl2_tick(struct zt_vl2 *v, const struct zt_now *now);
int64_t zt_vl2_deadline(const struct zt_vl2 *v);

/* Join: 0 (also when joined already), ZT_E_INVAL (id 0), ZT_E_LIMIT. cached: a networks.d file or
 * NULL. Leave: 0, ZT_E_NOENT. */
int zt_vl2_join(struct zt_vl2 *v, const struct zt_now *now, uint64_t nwid, const uint8_t *cached,
                size_t ncached);
int zt_vl2_leave(struct zt_vl2 *v, const struct zt_now *now, uint64_t nwid);

/* A frame from the interface: eth = destination, source, ethertype, payload; n >= 14. The
 * ZT_FRAME_HEADROOM bytes before eth are used and the frame is encrypted in place: both are
 * clobbered. Returns 0 when it was sent or queued, or ZT_E_*; every refusal is counted. */
int zt_vl2_frame(struct zt_vl2 *v, const struct zt_now *now, uint64_t nwid, uint8_t *eth, size_t n);

/* The interface listens, or stops listening, to a multicast group. */
int zt_vl2_subscribe(struct zt_vl2 *v, const struct zt_now *now, uint64_t nwid, uint64_t mac,
                     uint32_t adi);
int zt_vl2_unsubscribe(struct zt_vl2 *v, uint64_t nwid, uint64_t mac, uint32_t adi);

size_t zt_vl2_networks(const struct zt_vl2 *v, uint64_t *out, size_t cap); /* returns the total */
int zt_vl2_network(const struct zt_vl2 *v, uint64_t nwid, struct zt_net_info *out);
/* The groups of the interface, sorted; returns the total. */
size_t zt_vl2_groups(const struct zt_vl2 *v, uint64_t nwid, struct zt_group_info *out, size_t cap);
/* As zt_vl1_tables. Of what every network has, the fullest. */
size_t zt_vl2_tables(const struct zt_vl2 *v, struct zt_table_info *out);
/* ZT_E_NOENT: not joined, or it asks for no login. */
int zt_vl2_auth(const struct zt_vl2 *v, uint64_t nwid, struct zt_net_auth *out);

#endif
