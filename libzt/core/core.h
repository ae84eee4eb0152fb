/* VL1 and VL2 as one object: the whole protocol without a system call, a clock or a thread.
 *
 * The owner calls in with datagrams, frames and the time; the core answers through struct zt_host.
 * After every call the owner asks zt_core_deadline() and calls zt_core_tick() no later than that.
 * Not reentrant: no call from inside a host callback. One thread. */
#ifndef ZT_CORE_CORE_H
#define ZT_CORE_CORE_H

#include "base/drop.h"
#include "base/host.h"
#include "base/info.h"
#include "base/settings.h"
#include "vl1/vl1.h"

struct zt_core;
struct zt_controller;
struct zt_controller_store;

struct zt_core_config {
    const struct zt_identity *identity; /* with private key; copied */
    const struct zt_host *host;         /* borrowed */
    const uint8_t *planet;              /* serialized world, or NULL: no roots, never online */
    size_t nplanet;
};

/* Returns 0, ZT_E_NOMEM, ZT_E_FORMAT (planet), ZT_E_INVAL (identity). The first call to
 * zt_core_tick starts talking to the roots. */
int zt_core_new(const struct zt_core_config *cfg, const struct zt_now *now, struct zt_core **out);
void zt_core_free(struct zt_core *c);
/* Take on the role of a controller: see zt_vl2_control and vl2/controller.h. */
int zt_core_control(struct zt_core *c, const struct zt_controller_store *store,
                    struct zt_controller **out);

/* Settings of the protocol, copied. Before the first tick, and whenever they change. */
void zt_core_configure(struct zt_core *c, const struct zt_now *now, const struct zt_settings *s);

/* One received UDP payload; decrypted in place. */
void zt_core_datagram(struct zt_core *c, const struct zt_now *now, const struct zt_link *in,
                      uint8_t *p, size_t n);
/* See zt_vl2_frame: needs ZT_FRAME_HEADROOM bytes before eth, clobbers both. */
int zt_core_frame(struct zt_core *c, const struct zt_now *now, uint64_t nwid, uint8_t *eth,
                  size_t n);
void zt_core_tick(struct zt_core *c, const struct zt_now *now);
int64_t zt_core_deadline(const struct zt_core *c); /* monotonic ms; ZT_NEVER */

int zt_core_join(struct zt_core *c, const struct zt_now *now, uint64_t nwid, const uint8_t *cached,
                 size_t ncached);
int zt_core_leave(struct zt_core *c, const struct zt_now *now, uint64_t nwid);
int zt_core_subscribe(struct zt_core *c, const struct zt_now *now, uint64_t nwid, uint64_t mac,
                      uint32_t adi);
int zt_core_unsubscribe(struct zt_core *c, uint64_t nwid, uint64_t mac, uint32_t adi);

void zt_core_identity_checked(struct zt_core *c, const struct zt_now *now,
                              const struct zt_identity *id, bool valid);
void zt_core_set_local(struct zt_core *c, const struct zt_now *now, const struct zt_ep *eps,
                       size_t n);
void zt_core_socket_gone(struct zt_core *c, const struct zt_now *now, int sock);
size_t zt_core_surface(const struct zt_core *c, const struct zt_now *now, struct zt_ep *out,
                       size_t cap);
int zt_core_restore_peer(struct zt_core *c, const struct zt_now *now, const uint8_t *p, size_t n);
void zt_core_save_peers(struct zt_core *c);

/* See zt_vl1_send_message; what others send arrives through host.message. */
int zt_core_send_message(struct zt_core *c, const struct zt_now *now, uint64_t dest, uint64_t type,
                         const uint8_t *data, size_t n);

/* Moons: see zt_vl1_load_moon and those after it. */
int zt_core_load_moon(struct zt_core *c, const struct zt_now *now, uint64_t id, const uint8_t *p,
                      size_t n);
int zt_core_orbit(struct zt_core *c, const struct zt_now *now, uint64_t id, uint64_t seed);
int zt_core_deorbit(struct zt_core *c, const struct zt_now *now, uint64_t id);
size_t zt_core_moons(const struct zt_core *c, uint64_t *out, size_t cap); /* returns the total */
int zt_core_moon(const struct zt_core *c, uint64_t id, struct zt_moon_info *out);

/* Our own, with the private key, where the core keeps it. */
const struct zt_identity *zt_core_identity(const struct zt_core *c);
enum zt_underlay zt_core_underlay(const struct zt_core *c);
bool zt_core_online(const struct zt_core *c);
void zt_core_status(const struct zt_core *c, struct zt_status_info *out);
const struct zt_drops *zt_core_drops(const struct zt_core *c);
size_t zt_core_peers(const struct zt_core *c, uint64_t *out, size_t cap); /* returns the total */
int zt_core_peer(const struct zt_core *c, const struct zt_now *now, uint64_t addr,
                 struct zt_peer_info *out);
size_t zt_core_networks(const struct zt_core *c, uint64_t *out, size_t cap);
int zt_core_network(const struct zt_core *c, uint64_t nwid, struct zt_net_info *out);
size_t zt_core_groups(const struct zt_core *c, uint64_t nwid, struct zt_group_info *out,
                      size_t cap); /* returns the total */
/* Every table that others can fill, at most ZT_INFO_TABLES; returns how many. */
size_t zt_core_tables(const struct zt_core *c, struct zt_table_info out[ZT_INFO_TABLES]);
int zt_core_auth(const struct zt_core *c, uint64_t nwid, struct zt_net_auth *out);

#endif
