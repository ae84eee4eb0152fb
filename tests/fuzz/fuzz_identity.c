/* Identities, as bytes and as text. Not their proof of work: that is no parser, and slow. */
#include <string.h>

#include "base/addr.h"
#include "base/err.h"
#include "fuzz.h"
#include "wire/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct zt_identity id, back;
    uint8_t out[ZT_IDENTITY_WIRE + ZT_PRIV];
    char text[ZT_IDENTITY_STR];

    struct zt_rd r = zt_rd(data, n);
    zt_rd_identity(&r, &id);
    PROMISE(r.pos <= n);
    if (!r.bad) { /* one encoding only */
        struct zt_wr w = zt_wr(out, sizeof out);
        zt_wr_identity(&w, &id, true);
        PROMISE(!w.bad && w.n == r.pos && memcmp(out, data, w.n) == 0);
    }

    if (zt_identity_parse((const char *)data, n, &id) == 0) {
        PROMISE(!zt_addr_reserved(id.addr));
        zt_identity_format(&id, true, text);
        PROMISE(strlen(text) == (id.has_priv ? 270u : 141u) && strlen(text) <= n);
        PROMISE(zt_identity_parse(text, strlen(text), &back) == 0);
        PROMISE(memcmp(&id, &back, sizeof id) == 0);
    }
    return 0;
}
