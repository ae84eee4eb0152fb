/* A network's configuration: how it is got, checked and made ready (vl2.md 1.8, 8). */
#ifndef ZT_VL2_CONFIG_H
#define ZT_VL2_CONFIG_H

#include "vl2/network.h"

#define ZT_CONFIG_RETRY_FIRST_MS 1200
#define ZT_CONFIG_RETRY_SECOND_MS 2400
#define ZT_CONFIG_RETRY_MS 5000
#define ZT_CONFIG_RETRY_LOW 5 /* times as long in low bandwidth mode; the others likewise */
#define ZT_CONFIG_REFRESH_MS 60000
#define ZT_CONFIG_REFRESH_LOW 64

/* First configuration: ad-hoc networks make theirs; cached: a networks.d file or NULL. */
void zt_config_start(struct zt_network *net, const struct zt_now *now, const uint8_t *cached,
                     size_t ncached);
/* Free it and all that was derived from it; the network has none then. */
void zt_config_drop(struct zt_network *net);
/* An ad-hoc network makes its own. */
void zt_config_adhoc(struct zt_network *net, const struct zt_now *now);

/* Is it time to ask? If not, *next is set to when it will be, or left alone: never. */
bool zt_config_due(const struct zt_network *net, const struct zt_now *now, int64_t *next);
void zt_config_request(struct zt_network *net, const struct zt_now *now);
/* After the last request: how long to wait for an answer, ms. */
int64_t zt_config_retry(const struct zt_network *net);

bool zt_config_has_role(const struct zt_network *net, uint64_t addr, uint64_t role);

/* A chunk, from OK(NETWORK_CONFIG_REQUEST) or (is_push) NETWORK_CONFIG. *update_id: of a
 * configuration that it completed, else 0. */
enum zt_verdict zt_config_chunk(struct zt_network *net, const struct zt_now *now,
                                const struct zt_rx *rx, const uint8_t *p, size_t n, bool is_push,
                                uint64_t *update_id);
void zt_config_fail(struct zt_network *net, enum zt_net_status status);
/* A configuration that this very node issued to itself; dict is copied. */
void zt_config_local(struct zt_network *net, const struct zt_now *now, const uint8_t *dict,
                     size_t n);

/* auth.c: take what ERROR(AUTHENTICATION_REQUIRED) has after the network id; false: malformed. */
bool zt_network_auth_error(struct zt_network *net, const uint8_t *body, size_t n);
/* Take it from the configuration just installed. */
void zt_network_auth_config(struct zt_network *net);

/* adhoc.c: the configuration of a controller-less network. rules (64 bytes) must outlive *out.
 * Returns 0; ZT_E_NOENT for a bad port range; ZT_E_INVAL when it is not of a known form. */
#define ZT_ADHOC_RULES 64
int zt_adhoc_config(uint64_t nwid, uint64_t self, int64_t wall_ms, uint8_t rules[ZT_ADHOC_RULES],
                    struct zt_netconf *out);

#endif
