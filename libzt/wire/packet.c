#include "wire/packet.h"

#include <assert.h>

#include <lz4.h>

#include "base/addr.h"
#include "base/err.h"

/* A match offset of zero is malformed, but some versions of the LZ4 decoder take it and leave bytes
 * of the output undefined (vl1.md 2.5). Walk the sequences and look; other damage is the decoder's
 * to find. */
static bool lz4_offset_zero(const uint8_t *p, size_t n)
{
    struct zt_rd r = zt_rd(p, n);
    while (!r.bad && zt_rd_left(&r) > 0) {
        uint8_t token = zt_rd_u8(&r);
        size_t literals = token >> 4;
        if (literals == 15) {
            uint8_t more;
            do {
                more = zt_rd_u8(&r);
                literals += more;
            } while (more == 255);
        }
        zt_rd_skip(&r, literals);
        if (zt_rd_left(&r) == 0)
            return false; /* the last sequence has literals only */
        const uint8_t *offset = zt_rd_view(&r, 2);
        if (offset != NULL && (offset[0] | offset[1]) == 0)
            return true;
        if ((token & 15) == 15)
            while (zt_rd_u8(&r) == 255)
                ;
    }
    return false;
}

size_t zt_pkt_compress(uint8_t *p, size_t n, uint8_t *scratch)
{
    assert(n >= ZT_PKT_MIN && n <= ZT_PKT_MAX);
    size_t payload = n - ZT_PKT_PAYLOAD;
    if (payload <= 64)
        return n;
    /* Capacity one below the original: no result unless it shrinks. */
    int len = LZ4_compress_default((const char *)p + ZT_PKT_PAYLOAD, (char *)scratch, (int)payload,
                                   (int)payload - 1);
    if (len <= 0)
        return n;
    memcpy(p + ZT_PKT_PAYLOAD, scratch, (size_t)len);
    p[ZT_PKT_VERB] |= ZT_VERB_COMPRESSED;
    return ZT_PKT_PAYLOAD + (size_t)len;
}

int zt_pkt_decompress(const uint8_t *p, size_t n, uint8_t *out)
{
    if (n < ZT_PKT_MIN || n > ZT_PKT_MAX)
        return ZT_E_FORMAT;
    int len = 0;
    size_t payload = n - ZT_PKT_PAYLOAD;
    if (payload > 0) {
        if (lz4_offset_zero(p + ZT_PKT_PAYLOAD, payload))
            return ZT_E_FORMAT;
        len = LZ4_decompress_safe((const char *)p + ZT_PKT_PAYLOAD, (char *)out + ZT_PKT_PAYLOAD,
                                  (int)payload, ZT_PAYLOAD_MAX);
        if (len <= 0)
            return ZT_E_FORMAT;
    }
    memcpy(out, p, ZT_PKT_PAYLOAD);
    out[ZT_PKT_VERB] &= (uint8_t)~ZT_VERB_COMPRESSED;
    return ZT_PKT_PAYLOAD + len;
}

unsigned zt_frag_plan(size_t n, size_t mtu, size_t *piece)
{
    *piece = n;
    if (n <= mtu)
        return 1;
    for (unsigned total = 2; total <= ZT_FRAGS_MAX; total++) {
        /* What leaves, with the headers of all pieces but the head, shared out evenly. The last
         * piece lacks at most total - 1 bytes. */
        size_t wire = n + (total - 1) * (size_t)ZT_FRAG_DATA;
        if (wire <= total * mtu) {
            *piece = (wire + total - 1) / total;
            return total;
        }
    }
    return 0;
}

void zt_frag_header(const uint8_t *p, unsigned total, unsigned no, uint8_t out[ZT_FRAG_DATA])
{
    assert(no >= 1 && no < total && total <= ZT_FRAGS_MAX);
    memcpy(out, p, ZT_PKT_SRC); /* id and destination */
    out[ZT_FRAG_INDICATOR_AT] = ZT_FRAG_INDICATOR;
    out[ZT_FRAG_TOTAL_NO] = (uint8_t)(total << 4 | no);
    out[ZT_FRAG_HOPS] = (uint8_t)zt_pkt_hops(p);
}

void zt_rd_ep(struct zt_rd *r, struct zt_ep *out)
{
    *out = (struct zt_ep){0};
    uint8_t type = zt_rd_u8(r);
    switch (type) {
    case 0:
        return;
    case 1: /* Ethernet and Bluetooth were planned, never used */
    case 2:
        zt_rd_skip(r, 6);
        return;
    case 3:
        zt_rd_skip(r, zt_rd_u16(r));
        return;
    case 4:
    case 6: {
        const uint8_t *ip = zt_rd_view(r, type == 4 ? 4 : 16);
        uint16_t port = zt_rd_u16(r);
        if (!r->bad)
            *out = zt_ep_make(type, ip, port);
        return;
    }
    default:
        r->bad = true;
    }
}

void zt_wr_ep(struct zt_wr *w, const struct zt_ep *ep)
{
    zt_wr_u8(w, ep->family);
    if (ep->family == 0)
        return;
    zt_wr_bytes(w, ep->ip, ep->family == 4 ? 4 : 16);
    zt_wr_u16(w, ep->port);
}
