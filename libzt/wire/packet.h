/* Packet and fragment headers, verbs, error codes: the constants of vl1.md 2 and 7 on one page, and
 * pure access to header fields. */
#ifndef ZT_WIRE_PACKET_H
#define ZT_WIRE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define ZT_PROTO_VERSION 12
#define ZT_PROTO_BEFORE_AES 11
#define ZT_PROTO_VERSION_MIN 4
#define ZT_VERSION_MAJOR 1 /* what we announce: the wire of 1.14.1 */
#define ZT_VERSION_MINOR 14
#define ZT_VERSION_REV 1

/* Packet, vl1.md 2.1 */
#define ZT_PKT_ID 0
#define ZT_PKT_DEST 8
#define ZT_PKT_SRC 13
#define ZT_PKT_FLAGS 18
#define ZT_PKT_MAC 19
#define ZT_PKT_VERB 27 /* first encrypted byte */
#define ZT_PKT_PAYLOAD 28
#define ZT_PKT_MIN 28
#define ZT_PKT_MAX 10024     /* largest assembled packet */
#define ZT_PKT_MAX_SENT 9928 /* largest that fits seven pieces at the default MTU */
#define ZT_PAYLOAD_MAX (ZT_PKT_MAX - ZT_PKT_PAYLOAD)

#define ZT_FLAG_ENCRYPTED 0x80 /* set exactly for cipher 1 */
#define ZT_FLAG_FRAGMENTED 0x40
#define ZT_FLAG_CIPHER 0x38
#define ZT_FLAG_HOPS 0x07
#define ZT_VERB_COMPRESSED 0x80
#define ZT_VERB_MASK 0x1f

/* Fragment, vl1.md 2.3 */
#define ZT_FRAG_INDICATOR_AT 13
#define ZT_FRAG_INDICATOR 0xff
#define ZT_FRAG_TOTAL_NO 14
#define ZT_FRAG_HOPS 15
#define ZT_FRAG_DATA 16
#define ZT_FRAGS_MAX 7

#define ZT_BEACON_SIZE 13 /* legacy LAN beacon: 8 bytes, node address */

#define ZT_MTU_DEFAULT 1432 /* UDP payload of one datagram */
#define ZT_MTU_MIN 1400
#define ZT_MTU_MAX 10324
#define ZT_RELAY_HOPS_MAX 3

/* Room that a caller leaves before an Ethernet frame it hands to the core, which builds the packet
 * in place: header, verb body and the Ethernet header overlap. */
#define ZT_FRAME_HEADROOM 64

enum zt_verb {
    ZT_VERB_NOP = 0x00,
    ZT_VERB_HELLO = 0x01,
    ZT_VERB_ERROR = 0x02,
    ZT_VERB_OK = 0x03,
    ZT_VERB_WHOIS = 0x04,
    ZT_VERB_RENDEZVOUS = 0x05,
    ZT_VERB_FRAME = 0x06,
    ZT_VERB_EXT_FRAME = 0x07,
    ZT_VERB_ECHO = 0x08,
    ZT_VERB_MULTICAST_LIKE = 0x09,
    ZT_VERB_NETWORK_CREDENTIALS = 0x0a,
    ZT_VERB_NETWORK_CONFIG_REQUEST = 0x0b,
    ZT_VERB_NETWORK_CONFIG = 0x0c,
    ZT_VERB_MULTICAST_GATHER = 0x0d,
    ZT_VERB_MULTICAST_FRAME = 0x0e,
    ZT_VERB_PUSH_DIRECT_PATHS = 0x10,
    ZT_VERB_ACK = 0x12,
    ZT_VERB_QOS_MEASUREMENT = 0x13,
    ZT_VERB_USER_MESSAGE = 0x14,
    ZT_VERB_REMOTE_TRACE = 0x15,
    ZT_VERB_PATH_NEGOTIATION_REQUEST = 0x16,
};

enum zt_error_code { /* vl1.md 4.3 */
                     ZT_ERROR_INVALID_REQUEST = 0x01,
                     ZT_ERROR_BAD_PROTOCOL_VERSION = 0x02,
                     ZT_ERROR_OBJECT_NOT_FOUND = 0x03,
                     ZT_ERROR_IDENTITY_COLLISION = 0x04,
                     ZT_ERROR_UNSUPPORTED_OPERATION = 0x05,
                     ZT_ERROR_NEED_MEMBERSHIP_CERTIFICATE = 0x06,
                     ZT_ERROR_NETWORK_ACCESS_DENIED = 0x07,
                     ZT_ERROR_UNWANTED_MULTICAST = 0x08,
                     ZT_ERROR_AUTHENTICATION_REQUIRED = 0x09,
};

enum zt_suite {
    ZT_SUITE_POLY = 0,
    ZT_SUITE_SALSA = 1,
    ZT_SUITE_TRUSTED = 2,
    ZT_SUITE_AES = 3,
};

static inline uint64_t zt_pkt_id(const uint8_t *p)
{
    return zt_be64(p + ZT_PKT_ID);
}

static inline uint64_t zt_pkt_dest(const uint8_t *p)
{
    return zt_be40(p + ZT_PKT_DEST);
}

static inline uint64_t zt_pkt_src(const uint8_t *p)
{
    return zt_be40(p + ZT_PKT_SRC);
}

static inline unsigned zt_pkt_suite(const uint8_t *p)
{
    return p[ZT_PKT_FLAGS] >> 3 & 7;
}

static inline unsigned zt_pkt_hops(const uint8_t *p)
{
    return p[ZT_PKT_FLAGS] & ZT_FLAG_HOPS;
}

/* Make it plaintext for a trusted path (suite 2): the id takes the place of the MAC. */
static inline void zt_pkt_trust(uint8_t *p, uint64_t path_id)
{
    p[ZT_PKT_FLAGS] =
        (uint8_t)((p[ZT_PKT_FLAGS] & ZT_FLAG_FRAGMENTED) | (unsigned)ZT_SUITE_TRUSTED << 3);
    zt_put64(p + ZT_PKT_MAC, path_id);
}

/* Header of a new packet: flags, hops and MAC zero. */
static inline void zt_pkt_init(uint8_t *p, uint64_t id, uint64_t dest, uint64_t src, uint8_t verb)
{
    zt_put64(p + ZT_PKT_ID, id);
    zt_put40(p + ZT_PKT_DEST, dest);
    zt_put40(p + ZT_PKT_SRC, src);
    p[ZT_PKT_FLAGS] = 0;
    memset(p + ZT_PKT_MAC, 0, 8);
    p[ZT_PKT_VERB] = verb;
}

/* Compress the payload in place when it is longer than 64 bytes and shrinks (vl1.md 2.5). p has n
 * bytes; scratch must hold ZT_PKT_MAX. Returns the new length. */
size_t zt_pkt_compress(uint8_t *p, size_t n, uint8_t *scratch);
/* Decompress into out (>= ZT_PKT_MAX bytes; header copied, flag cleared). Returns the length or
 * ZT_E_FORMAT. Call only when the verb byte has ZT_VERB_COMPRESSED. */
int zt_pkt_decompress(const uint8_t *p, size_t n, uint8_t *out);

/* How a packet of n bytes is cut for this MTU: number of datagrams (1 .. 7, 0 = too large) and the
 * size of each but the last. Pieces are made equal, so that UDP GSO can carry them. The head takes
 * *piece bytes of the packet, every other one *piece - 16. */
unsigned zt_frag_plan(size_t n, size_t mtu, size_t *piece);
/* Header (16 bytes) of piece no >= 1 of total for the armored packet p. */
void zt_frag_header(const uint8_t *p, unsigned total, unsigned no, uint8_t out[ZT_FRAG_DATA]);

/* Endpoints as vl1.md 5.1 writes them. Reading yields family 0 for null and skipped types, and
 * marks the reader bad for invalid ones. */
struct zt_ep;
void zt_rd_ep(struct zt_rd *r, struct zt_ep *out);
void zt_wr_ep(struct zt_wr *w, const struct zt_ep *ep);

#endif
