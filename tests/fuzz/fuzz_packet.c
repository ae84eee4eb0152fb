/* The input as a stranger's datagram (open, decompress), and as something of our own to send (seal,
 * compress, cut). */
#include <string.h>

#include "base/err.h"
#include "crypto/cipher.h"
#include "fuzz.h"
#include "wire/packet.h"

static const uint8_t shared[ZT_SHARED_KEY] = {1, 2, 3};

static void decompressed(const uint8_t *data, size_t n)
{
    uint8_t out[ZT_PKT_MAX], again[ZT_PKT_MAX], p[ZT_PKT_MAX];
    int len = zt_pkt_decompress(data, n, out);
    if (len < 0)
        return;
    PROMISE(n >= ZT_PKT_MIN && len >= ZT_PKT_MIN && len <= ZT_PKT_MAX);
    memcpy(p, out, (size_t)len);
    size_t m = zt_pkt_compress(p, (size_t)len, again);
    PROMISE(m <= (size_t)len);
    if (m < (size_t)len) {
        PROMISE(zt_pkt_decompress(p, m, again) == len);
        PROMISE(memcmp(again, out, (size_t)len) == 0);
    }
}

static void cut(const uint8_t *p, size_t n, size_t mtu)
{
    uint8_t joined[ZT_PKT_MAX], header[ZT_FRAG_DATA];
    size_t piece, at;
    unsigned total = zt_frag_plan(n, mtu, &piece);
    PROMISE(total <= ZT_FRAGS_MAX);
    if (total == 0)
        return;
    PROMISE(piece <= mtu && piece <= n);
    memcpy(joined, p, piece);
    at = piece;
    for (unsigned no = 1; no < total; no++) {
        size_t len = no + 1 < total ? piece - ZT_FRAG_DATA : n - at;
        PROMISE(len > 0 && len <= piece - ZT_FRAG_DATA && at + len <= n);
        zt_frag_header(p, total, no, header);
        PROMISE(header[ZT_FRAG_INDICATOR_AT] == ZT_FRAG_INDICATOR);
        memcpy(joined + at, p + at, len);
        at += len;
    }
    PROMISE(at == n && memcmp(joined, p, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const enum zt_suite suites[] = {ZT_SUITE_POLY, ZT_SUITE_SALSA, ZT_SUITE_AES};
    struct zt_keys keys;
    uint8_t *copy = malloc(n + 1), p[ZT_PKT_MAX];

    PROMISE(copy != NULL && zt_keys_init(&keys, shared) == 0);
    memcpy(copy, data, n);
    int e = zt_open(&keys, copy, n);
    PROMISE(e == 0 || e == ZT_E_CRYPTO || e == ZT_E_UNSUPPORTED || e == ZT_E_TRUNCATED ||
            e == ZT_E_FORMAT);
    free(copy);
    decompressed(data, n);

    if (n >= ZT_PKT_MIN && n <= ZT_PKT_MAX) {
        size_t mtu = ZT_MTU_MIN + zt_be16(data) % (ZT_MTU_MAX - ZT_MTU_MIN + 1u);
        memcpy(p, data, n);
        PROMISE(zt_seal(&keys, suites[data[2] % 3], p, n) == 0);
        cut(p, n, mtu);
        p[ZT_PKT_FLAGS] |= data[3] & ZT_FLAG_HOPS;
        PROMISE(zt_open(&keys, p, n) == 0);
        PROMISE(memcmp(p + ZT_PKT_VERB, data + ZT_PKT_VERB, n - ZT_PKT_VERB) == 0);
        p[ZT_PKT_VERB] &= ZT_VERB_MASK;
        zt_hello_mask(&keys, p, n, ZT_PKT_PAYLOAD);
    }
    zt_keys_fini(&keys);
    return 0;
}
