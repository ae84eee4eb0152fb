/* Endpoints, as bytes and as text, and hex. */
#include <string.h>

#include "base/addr.h"
#include "base/err.h"
#include "fuzz.h"
#include "wire/packet.h"

static void bytes(const uint8_t *data, size_t n)
{
    struct zt_rd r = zt_rd(data, n);
    struct zt_ep ep, back;
    uint8_t out[19];

    zt_rd_ep(&r, &ep);
    PROMISE(r.pos <= n);
    PROMISE(ep.family == 0 || ep.family == 4 || ep.family == 6);
    PROMISE(!r.bad || ep.family == 0);
    PROMISE(zt_ep_scope(&ep) <= ZT_SCOPE_PRIVATE);
    struct zt_wr w = zt_wr(out, sizeof out);
    zt_wr_ep(&w, &ep);
    PROMISE(!w.bad);
    if (ep.family != 0) /* one encoding only */
        PROMISE(w.n == r.pos && memcmp(out, data, w.n) == 0);
    r = zt_rd(out, w.n);
    zt_rd_ep(&r, &back);
    PROMISE(!r.bad && r.pos == w.n && zt_ep_equal(&ep, &back));

    struct zt_ep net = zt_ep_network(&ep);
    PROMISE(zt_ep_in_prefix(&net, &ep) == (ep.family != 0));
}

static void text(const char *s, size_t n)
{
    struct zt_ep ep, back;
    char out[ZT_EP_STR];
    if (zt_ep_parse(s, &ep) == 0) {
        PROMISE(strlen(zt_ep_format(&ep, out)) < ZT_EP_STR);
        PROMISE(zt_ep_parse(out, &back) == 0 && zt_ep_equal(&ep, &back));
    }
    uint8_t bin[8];
    uint64_t u = 0, v = 0;
    int e = zt_hex_parse_u64(s, 16, &u);
    if (e == 0) {
        PROMISE(zt_hex_decode(s, bin, 8) == 0 && zt_be64(bin) == u);
        PROMISE(zt_hex_parse_u64(zt_hex_encode(bin, 8, out), 16, &v) == 0 && u == v);
    } else {
        PROMISE(u == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    bytes(data, n);
    char *s = malloc(n + 1);
    PROMISE(s != NULL);
    memcpy(s, data, n);
    s[n] = 0;
    text(s, n);
    free(s);
    return 0;
}
