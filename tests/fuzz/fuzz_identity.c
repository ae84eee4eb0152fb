/* Identities in both forms. The first byte chooses: even text, odd binary. */
#include "fuzz.h"

#include <string.h>

#include "wire/identity.h"

static void text(const uint8_t *p, size_t n)
{
    struct zt_identity id, again;
    char out[ZT_IDENTITY_STR];
    if (zt_identity_parse((const char *)p, n, &id) != 0)
        return;
    zt_identity_format(&id, id.has_priv, out);
    PROMISE(strlen(out) < sizeof out);
    PROMISE(zt_identity_parse(out, strlen(out), &again) == 0);
    PROMISE(zt_identity_equal(&id, &again) && id.has_priv == again.has_priv &&
            memcmp(id.priv, again.priv, ZT_PRIV) == 0);
}

static void binary(const uint8_t *p, size_t n)
{
    struct zt_identity id;
    uint8_t out[ZT_IDENTITY_WIRE + ZT_PRIV];
    struct zt_rd r = zt_rd(p, n);
    zt_rd_identity(&r, &id);
    if (r.bad)
        return;
    struct zt_wr w = zt_wr(out, sizeof out);
    zt_wr_identity(&w, &id, id.has_priv);
    PROMISE(!w.bad && w.n == r.pos && memcmp(out, p, w.n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    if (n > 0 && p[0] % 2 == 0)
        text(p + 1, n - 1);
    else if (n > 0)
        binary(p + 1, n - 1);
    return 0;
}
