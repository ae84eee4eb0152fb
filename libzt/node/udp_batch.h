/* Datagrams of one turn, waiting to be sent: their bytes in one arena, and the order in which they
 * become system calls. Knows no sockets; udp.c does the sending. */
#ifndef ZT_NODE_UDP_BATCH_H
#define ZT_NODE_UDP_BATCH_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/addr.h"

#define ZT_BATCH_DATAGRAMS 2048
#define ZT_BATCH_BYTES (4u << 20)
#define ZT_GSO_SEGMENTS 64
#define ZT_GSO_BYTES 65000

struct zt_batch_item {
    struct zt_ep ep;
    uint16_t sock, size;
    uint8_t ttl;
    uint32_t offset;
    int next; /* of the same socket, endpoint and TTL; -1: last */
};

/* One message: a single datagram, or equal-sized ones (the last may be shorter) to one endpoint. */
struct zt_batch_msg {
    const struct zt_batch_item *to;
    unsigned count;   /* datagrams */
    uint16_t segment; /* size of each but the last */
    size_t bytes;
    int first; /* item */
};

struct zt_batch {
    unsigned n;
    uint32_t used;
    struct zt_batch_item item[ZT_BATCH_DATAGRAMS];
    int head[256];                 /* item that began the newest run of this hash, -1: none */
    int tail[ZT_BATCH_DATAGRAMS];  /* valid for items that began a run */
    int chain[ZT_BATCH_DATAGRAMS]; /* next item that began a run, same hash */
    int runs[ZT_BATCH_DATAGRAMS];  /* items that began a run, in order */
    unsigned nruns;
    uint8_t *bytes; /* ZT_BATCH_BYTES */
};

struct zt_batch *zt_batch_new(void);
void zt_batch_free(struct zt_batch *b);
void zt_batch_clear(struct zt_batch *b);

/* Room for one more datagram, linked to those before it; NULL: full (flush, then try again). */
uint8_t *zt_batch_add(struct zt_batch *b, unsigned sock, const struct zt_ep *ep, unsigned ttl,
                      size_t n);

/* Make the next message that starts at `item`: as long a run as the limits and `max_segment`
 * (largest size that may be sent as segments; 0: none) allow. Returns the item after it, -1 at the
 * end. */
int zt_batch_msg(const struct zt_batch *b, int item, unsigned max_segment,
                 struct zt_batch_msg *out);
/* Its bytes, neighbours in the arena joined. iov holds ZT_GSO_SEGMENTS; returns the number used. */
unsigned zt_batch_iov(const struct zt_batch *b, const struct zt_batch_msg *m, struct iovec *iov);

#endif
