#include "wire/identity.h"

#include "base/addr.h"
#include "base/err.h"

/* Take n digits, or fail. */
static const char *take_hex(const char *at, const char *end, void *out, size_t n)
{
    if (at == NULL || (size_t)(end - at) < 2 * n || zt_hex_decode(at, out, n) != 0)
        return NULL;
    return at + 2 * n;
}

static const char *take_char(const char *at, const char *end, char c)
{
    return at != NULL && at < end && *at == c ? at + 1 : NULL;
}

int zt_identity_parse(const char *text, size_t n, struct zt_identity *out)
{
    const char *end = text + n;
    uint8_t addr[5];

    *out = (struct zt_identity){0}; /* in place: no copy of the private key stays on the stack */
    const char *at = take_hex(text, end, addr, sizeof addr);
    at = take_char(at, end, ':');
    at = take_char(at, end, '0');
    at = take_char(at, end, ':');
    at = take_hex(at, end, out->pub, sizeof out->pub);
    if (at != NULL && at < end && *at == ':') {
        at = take_hex(at + 1, end, out->priv, sizeof out->priv);
        out->has_priv = true;
    }
    /* After the last key anything may follow, such as the end of a line, but no further field. */
    if (at != NULL && memchr(at, ':', (size_t)(end - at)) == NULL) {
        out->addr = zt_be40(addr);
        if (!zt_addr_reserved(out->addr))
            return 0;
    }
    *out = (struct zt_identity){0};
    return ZT_E_FORMAT;
}

char *zt_identity_format(const struct zt_identity *id, bool secret, char out[ZT_IDENTITY_STR])
{
    uint8_t addr[5];
    zt_put40(addr, id->addr);
    zt_hex_encode(addr, sizeof addr, out);
    memcpy(out + 10, ":0:", 3);
    zt_hex_encode(id->pub, ZT_PUB, out + 13);
    if (secret && id->has_priv) {
        out[141] = ':';
        zt_hex_encode(id->priv, ZT_PRIV, out + 142);
    }
    return out;
}

void zt_rd_identity(struct zt_rd *r, struct zt_identity *out)
{
    memset(out, 0, sizeof *out);
    out->addr = zt_rd_u40(r);
    uint8_t type = zt_rd_u8(r);
    zt_rd_bytes(r, out->pub, ZT_PUB);
    uint8_t priv = zt_rd_u8(r);
    if (priv == ZT_PRIV)
        out->has_priv = zt_rd_bytes(r, out->priv, ZT_PRIV);
    if (type != 0 || (priv != 0 && priv != ZT_PRIV))
        r->bad = true;
    if (r->bad)
        memset(out, 0, sizeof *out);
}

void zt_wr_identity(struct zt_wr *w, const struct zt_identity *id, bool secret)
{
    bool priv = secret && id->has_priv;
    zt_wr_u40(w, id->addr);
    zt_wr_u8(w, 0);
    zt_wr_bytes(w, id->pub, ZT_PUB);
    zt_wr_u8(w, priv ? ZT_PRIV : 0);
    if (priv)
        zt_wr_bytes(w, id->priv, ZT_PRIV);
}

bool zt_identity_equal(const struct zt_identity *a, const struct zt_identity *b)
{
    return a->addr == b->addr && memcmp(a->pub, b->pub, ZT_PUB) == 0;
}
