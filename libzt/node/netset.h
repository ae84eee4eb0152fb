/* What the owner of a node lets a network do to the node's interface: networks.d/NWID.local.conf,
 * in the reference's form, and how it is applied to a configuration (vl2.md 3.6, 8.4). Pure
 * functions. */
#ifndef ZT_NODE_NETSET_H
#define ZT_NODE_NETSET_H

#include "base/info.h"

#define ZT_NETSET_TEXT 2048 /* room for a file: 32 prefixes and the rest */

/* Managed addresses and routes, of private ranges only; no default route, no DNS. */
void zt_netset_default(struct zt_net_settings *out);

/* A file of n bytes; what is missing or can't be read has its default. */
void zt_netset_read(const uint8_t *text, size_t n, struct zt_net_settings *out);
/* Its text, with a zero byte after it; returns the length. */
size_t zt_netset_write(const struct zt_net_settings *s, char out[ZT_NETSET_TEXT]);

/* One setting by its name in the file: "allowManaged" (1, 0, true, false, or prefixes with commas
 * between them), "allowGlobal", "allowDefault", "allowDNS" (1, 0, true, false). Returns 0,
 * ZT_E_NOENT for another name, ZT_E_FORMAT, ZT_E_LIMIT; then *s is unchanged. */
int zt_netset_set(struct zt_net_settings *s, const char *key, const char *value);

/* May this address of ours, or target of a route (port: prefix length), be used? */
bool zt_netset_allows(const struct zt_net_settings *s, const struct zt_ep *target);

/* Take out of *info the addresses and routes that are not allowed. Its DNS is shown in any case;
 * whether names are resolved by it is the resolver's to ask (s->dns). */
void zt_netset_apply(const struct zt_net_settings *s, struct zt_net_info *info);

/* No more than max addresses of each family: the first ones stay. */
void zt_netset_limit(unsigned max, struct zt_net_info *info);

#endif
