/* HELLO and its answer: how strangers become peers. */
#ifndef ZT_VL1_HELLO_H
#define ZT_VL1_HELLO_H

#include "base/list.h"
#include "crypto/cipher.h"
#include "vl1/limit.h"
#include "vl1/vl1.h"

#define ZT_HELLO_WAITING 64
#define ZT_HELLO_WAIT_MS 30000
#define ZT_HELLO_MAX 1432
#define ZT_PREFIX_BUCKETS 1024

struct zt_expected;

struct zt_waiting_hello {
    struct zt_list list; /* zt_hellos.waiting, oldest first */
    struct zt_identity id;
    struct zt_keys keys;
    struct zt_link link;
    unsigned hops;
    int64_t since_ms;
    size_t n;
    uint8_t p[ZT_HELLO_MAX];
};

struct zt_hellos {
    struct zt_list waiting;
    unsigned nwaiting; /* at most ZT_HELLO_WAITING */
    uint64_t seed;
    struct zt_bucket by_prefix[ZT_PREFIX_BUCKETS];
    struct zt_bucket agreements, proofs; /* of all prefixes together */
    struct zt_bucket worlds;             /* to where nobody proved to be */
};

void zt_hellos_init(struct zt_vl1 *v, uint64_t seed);
void zt_hellos_fini(struct zt_vl1 *v);

/* A HELLO in suite 0, not yet authenticated. */
void zt_hello_received(struct zt_vl1 *v, const struct zt_now *now, const struct zt_link *link,
                       uint8_t *p, size_t n);
/* A HELLO that came encrypted: p is the opened packet of n bytes. */
enum zt_verdict zt_hello_opened(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *rx,
                                uint8_t *p, size_t n);
/* OK(HELLO) that was expected; body after the 9-byte prefix. */
enum zt_verdict zt_hello_ok(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *rx,
                            const struct zt_expected *asked, const uint8_t *body, size_t n);

#endif
