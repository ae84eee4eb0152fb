/* A controller with a real key, for nodes on a fake VL1: configurations, credentials, and how they
 * are shown. */
#ifndef ZT_TEST_FAKE_CTL_H
#define ZT_TEST_FAKE_CTL_H

#include "crypto/identity.h"
#include "fake_vl1.h"
#include "vl2/network.h"

#define CTL 0x89e92ceee5u
#define CTL_NWID 0x89e92ceee5abcd52u
#define CTL_DELTA 1800000

extern struct zt_identity ctl_identity;

void ctl_begin(void); /* also fake_begin */

struct ctl_plan {
    int64_t timestamp;
    const char *rules; /* hex */
    const struct zt_tag *tag;
    uint64_t specialist;
    bool is_public;
    uint64_t issued_to, nwid; /* 0: the node, CTL_NWID */
};

/* Signed by the controller. */
struct zt_com ctl_com(const struct zt_vl1 *n, int64_t timestamp);
struct zt_tag ctl_tag(uint64_t addr, uint32_t id, uint32_t value, int64_t timestamp);
struct zt_revocation ctl_revocation(uint64_t target, uint8_t type, uint32_t id, int64_t threshold,
                                    uint64_t flags);
size_t ctl_dictionary(const struct zt_vl1 *n, const struct ctl_plan *plan, uint8_t *out,
                      size_t cap);
/* A chunk of a dictionary, in a buffer of ZT_PAYLOAD_MAX; flags: ZT_CHUNK_FAST. */
size_t ctl_chunk(const uint8_t *dict, size_t total, size_t offset, size_t n, uint64_t update,
                 uint8_t flags, uint8_t *out);

/* The controller's answer to a request. */
void ctl_configure(struct zt_vl1 *n, const struct ctl_plan *plan);
/* The same with a join before; plan NULL: only that. */
void ctl_join(struct zt_vl1 *n, const struct ctl_plan *plan);
struct zt_network *ctl_net(struct zt_vl1 *n);
enum zt_net_status ctl_status(struct zt_vl1 *n);

/* NETWORK_CREDENTIALS from `from`. */
enum zt_verdict ctl_show_com(struct zt_vl1 *to, uint64_t from, const struct zt_com *com);
enum zt_verdict ctl_show_tag(struct zt_vl1 *to, uint64_t from, const struct zt_tag *tag);
enum zt_verdict ctl_show_revocation(struct zt_vl1 *to, uint64_t from,
                                    const struct zt_revocation *rev);

/* 30 bytes of IPv4 from the interface of one node to another. */
int ctl_frame(struct zt_vl1 *from, uint64_t to);

#endif
