/* Messages about members of networks: see messages.c. All are bytes of strangers. */
#ifndef ZT_VL2_MESSAGES_H
#define ZT_VL2_MESSAGES_H

#include "vl2/state.h"

enum zt_verdict zt_like_in(struct zt_vl2 *v, const struct zt_now *now, const struct zt_rx *rx);
enum zt_verdict zt_gather_in(struct zt_vl2 *v, const struct zt_now *now, const struct zt_rx *rx);
/* OK(MULTICAST_GATHER), or (has_flags) OK(MULTICAST_FRAME). */
enum zt_verdict zt_group_ok(struct zt_vl2 *v, const struct zt_now *now, uint64_t from,
                            const uint8_t *body, size_t n, bool has_flags);
enum zt_verdict zt_credentials_in(struct zt_vl2 *v, const struct zt_now *now,
                                  const struct zt_rx *rx);

#endif
