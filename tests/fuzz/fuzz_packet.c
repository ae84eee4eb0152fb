/* Decompression of payloads, endpoints, and cutting into fragments. */
#include "fuzz.h"

#include <string.h>

#include "base/addr.h"
#include "wire/packet.h"

static void endpoints(const uint8_t *p, size_t n)
{
    struct zt_rd r = zt_rd(p, n);
    while (!r.bad && zt_rd_left(&r) > 0) {
        struct zt_ep ep, again;
        uint8_t out[32];
        zt_rd_ep(&r, &ep);
        if (r.bad)
            break;
        struct zt_wr w = zt_wr(out, sizeof out);
        zt_wr_ep(&w, &ep);
        PROMISE(!w.bad);
        struct zt_rd r2 = zt_rd(out, w.n);
        zt_rd_ep(&r2, &again);
        PROMISE(!r2.bad && zt_rd_left(&r2) == 0 && zt_ep_equal(&ep, &again));
    }
}

static void cut(size_t n, size_t mtu)
{
    size_t piece, sum;
    unsigned total = zt_frag_plan(n, mtu, &piece);
    if (total == 0)
        return;
    PROMISE(total <= ZT_FRAGS_MAX && piece <= mtu);
    sum = piece + (size_t)(total - 1) * (piece - ZT_FRAG_DATA);
    PROMISE(total == 1 || sum >= n);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static uint8_t packet[ZT_PKT_MAX], plain[ZT_PKT_MAX], scratch[ZT_PKT_MAX];
    if (n > 1)
        cut((size_t)p[0] << 8 | p[1], ZT_MTU_MIN + n % (ZT_MTU_MAX - ZT_MTU_MIN + 1));
    endpoints(p, n);
    if (n < ZT_PKT_MIN || n > ZT_PKT_MAX)
        return 0;
    memcpy(packet, p, n);
    packet[ZT_PKT_VERB] |= ZT_VERB_COMPRESSED;
    int len = zt_pkt_decompress(packet, n, plain);
    if (len < 0)
        return 0;
    PROMISE(len >= ZT_PKT_MIN && len <= ZT_PKT_MAX);
    PROMISE((plain[ZT_PKT_VERB] & ZT_VERB_COMPRESSED) == 0);
    memcpy(packet, plain, (size_t)len);
    size_t small = zt_pkt_compress(packet, (size_t)len, scratch);
    PROMISE(small <= (size_t)len);
    if (packet[ZT_PKT_VERB] & ZT_VERB_COMPRESSED) {
        PROMISE(zt_pkt_decompress(packet, small, scratch) == len);
        PROMISE(memcmp(scratch, plain, (size_t)len) == 0);
    }
    return 0;
}
