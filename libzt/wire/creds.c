#include "wire/creds.h"

#include "wire/rules.h"

#define FRAME 0x7f7f7f7f7f7f7f7fULL /* around every signed text but a COM's */

/* Returns whether it was a signature of the known kind. */
static bool read_sig(struct zt_rd *r, uint8_t sig[ZT_SIG])
{
    uint8_t type = zt_rd_u8(r);
    size_t n = zt_rd_u16(r);

    memset(sig, 0, ZT_SIG);
    if (type == 1 && n == ZT_SIG)
        return zt_rd_bytes(r, sig, ZT_SIG);
    if (type == 1)
        r->bad = true;
    zt_rd_skip(r, n);
    return false;
}

static void write_sig(struct zt_wr *w, const uint8_t sig[ZT_SIG])
{
    zt_wr_u8(w, 1);
    zt_wr_u16(w, ZT_SIG);
    zt_wr_bytes(w, sig, ZT_SIG);
}

static void skip_ext(struct zt_rd *r)
{
    zt_rd_skip(r, zt_rd_u16(r));
}

/* ---- COM ---- */

void zt_rd_com(struct zt_rd *r, struct zt_com *out)
{
    memset(out, 0, sizeof *out); /* padding too: records are compared as bytes */
    if (zt_rd_u8(r) != 1)
        r->bad = true;
    unsigned n = zt_rd_u16(r);
    if (n > ZT_COM_TUPLES)
        r->bad = true;
    if (r->bad)
        return;
    for (unsigned i = 0; i < n; i++) {
        out->t[i].id = zt_rd_u64(r);
        out->t[i].value = zt_rd_u64(r);
        out->t[i].max_delta = zt_rd_u64(r);
        if (i > 0 && out->t[i].id < out->t[i - 1].id)
            r->bad = true;
    }
    out->n = n;
    out->signed_by = zt_rd_u40(r);
    if (out->signed_by != 0)
        zt_rd_bytes(r, out->sig, ZT_SIG);
}

void zt_wr_com_signed(struct zt_wr *w, const struct zt_com *com)
{
    for (unsigned i = 0; i < com->n; i++) {
        zt_wr_u64(w, com->t[i].id);
        zt_wr_u64(w, com->t[i].value);
        zt_wr_u64(w, com->t[i].max_delta);
    }
}

void zt_wr_com(struct zt_wr *w, const struct zt_com *com)
{
    zt_wr_u8(w, 1);
    zt_wr_u16(w, (uint16_t)com->n);
    zt_wr_com_signed(w, com);
    zt_wr_u40(w, com->signed_by);
    if (com->signed_by != 0)
        zt_wr_bytes(w, com->sig, ZT_SIG);
}

static int find_tuple(const struct zt_com *com, uint64_t id)
{
    for (unsigned i = 0; i < com->n; i++) {
        if (com->t[i].id == id)
            return (int)i;
    }
    return -1;
}

uint64_t zt_com_value(const struct zt_com *com, uint64_t id)
{
    int i = find_tuple(com, id);
    return i < 0 ? 0 : com->t[i].value;
}

/* The identity hash of theirs fits the identity that showed it. */
static bool hash_fits(const struct zt_com *theirs, const uint8_t fingerprint[48])
{
    for (unsigned k = 0; k < 4; k++) {
        int i = find_tuple(theirs, ZT_COM_HASH + k);
        if (i < 0 || theirs->t[i].value != zt_be64(fingerprint + 8 * k))
            return false;
    }
    return true;
}

bool zt_com_agrees(const struct zt_com *mine, const struct zt_com *theirs,
                   const uint8_t fingerprint[48])
{
    bool has_hash = false;

    if (mine->n == 0 || theirs->n == 0)
        return false;
    for (unsigned i = 0; i < mine->n; i++) {
        int k = find_tuple(theirs, mine->t[i].id);
        if (k < 0)
            return false;
        uint64_t a = mine->t[i].value, b = theirs->t[k].value;
        if ((a > b ? a - b : b - a) > mine->t[i].max_delta)
            return false;
        has_hash |= mine->t[i].id >= ZT_COM_HASH && mine->t[i].id < ZT_COM_HASH + 4;
    }
    return !has_hash || hash_fits(theirs, fingerprint);
}

void zt_com_make(uint64_t timestamp_ms, uint64_t max_delta_ms, uint64_t nwid, uint64_t issued_to,
                 const uint8_t fingerprint[48], struct zt_com *out)
{
    memset(out, 0, sizeof *out);
    out->n = 7;
    const uint64_t value[3] = {timestamp_ms, nwid, issued_to};
    const uint64_t delta[3] = {max_delta_ms, 0, UINT64_MAX};
    for (unsigned i = 0; i < 7; i++) {
        out->t[i].id = i;
        out->t[i].value = i < 3 ? value[i] : zt_be64(fingerprint + 8 * (i - 3));
        out->t[i].max_delta = i < 3 ? delta[i] : UINT64_MAX;
    }
}

/* ---- tag ---- */

void zt_rd_tag(struct zt_rd *r, struct zt_tag *out)
{
    out->nwid = zt_rd_u64(r);
    out->timestamp = (int64_t)zt_rd_u64(r);
    out->id = zt_rd_u32(r);
    out->value = zt_rd_u32(r);
    out->issued_to = zt_rd_u40(r);
    out->signed_by = zt_rd_u40(r);
    out->has_sig = read_sig(r, out->sig);
    skip_ext(r);
}

static void write_tag(struct zt_wr *w, const struct zt_tag *tag, bool with_sig)
{
    zt_wr_u64(w, tag->nwid);
    zt_wr_u64(w, (uint64_t)tag->timestamp);
    zt_wr_u32(w, tag->id);
    zt_wr_u32(w, tag->value);
    zt_wr_u40(w, tag->issued_to);
    zt_wr_u40(w, tag->signed_by);
    if (with_sig)
        write_sig(w, tag->sig);
    zt_wr_u16(w, 0);
}

void zt_wr_tag(struct zt_wr *w, const struct zt_tag *tag)
{
    write_tag(w, tag, true);
}

void zt_wr_tag_signed(struct zt_wr *w, const struct zt_tag *tag)
{
    zt_wr_u64(w, FRAME);
    write_tag(w, tag, false);
    zt_wr_u64(w, FRAME);
}

/* ---- capability ---- */

static void read_chain(struct zt_rd *r, struct zt_cap *out)
{
    for (;;) {
        uint64_t to = zt_rd_u40(r);
        if (r->bad || to == 0)
            return;
        if (out->nlinks == ZT_CAP_CHAIN) {
            r->bad = true;
            return;
        }
        unsigned i = out->nlinks++;
        out->chain[i].to = to;
        out->chain[i].from = zt_rd_u40(r);
        out->chain[i].has_sig = read_sig(r, out->chain[i].sig);
    }
}

void zt_rd_cap(struct zt_rd *r, struct zt_cap *out)
{
    memset(out, 0, sizeof *out);
    out->nwid = zt_rd_u64(r);
    out->timestamp = (int64_t)zt_rd_u64(r);
    out->id = zt_rd_u32(r);
    out->nrules = zt_rd_u16(r);
    if (out->nrules > ZT_CAP_RULES_MAX)
        r->bad = true;
    size_t start = r->pos;
    for (unsigned i = 0; i < out->nrules && !r->bad; i++) {
        struct zt_rule e;
        zt_rd_rule(r, &e);
    }
    if (r->bad)
        return;
    out->rules = r->p + start;
    out->rules_size = r->pos - start;
    out->max_chain = zt_rd_u8(r);
    if (out->max_chain < 1 || out->max_chain > ZT_CAP_CHAIN)
        r->bad = true;
    read_chain(r, out);
    skip_ext(r);
}

static void write_cap_head(struct zt_wr *w, const struct zt_cap *cap)
{
    zt_wr_u64(w, cap->nwid);
    zt_wr_u64(w, (uint64_t)cap->timestamp);
    zt_wr_u32(w, cap->id);
    zt_wr_u16(w, (uint16_t)cap->nrules);
    zt_wr_bytes(w, cap->rules, cap->rules_size);
    zt_wr_u8(w, cap->max_chain);
}

void zt_wr_cap(struct zt_wr *w, const struct zt_cap *cap)
{
    write_cap_head(w, cap);
    for (unsigned i = 0; i < cap->nlinks; i++) {
        zt_wr_u40(w, cap->chain[i].to);
        zt_wr_u40(w, cap->chain[i].from);
        write_sig(w, cap->chain[i].sig);
    }
    zt_wr_u40(w, 0);
    zt_wr_u16(w, 0);
}

void zt_wr_cap_signed(struct zt_wr *w, const struct zt_cap *cap)
{
    zt_wr_u64(w, FRAME);
    write_cap_head(w, cap);
    zt_wr_u16(w, 0);
    zt_wr_u64(w, FRAME);
}

uint64_t zt_cap_issued_to(const struct zt_cap *cap)
{
    return cap->nlinks > 0 ? cap->chain[cap->nlinks - 1].to : 0;
}

/* ---- certificate of ownership ---- */

void zt_rd_coo(struct zt_rd *r, struct zt_coo *out)
{
    memset(out, 0, sizeof *out);
    out->nwid = zt_rd_u64(r);
    out->timestamp = (int64_t)zt_rd_u64(r);
    out->flags = zt_rd_u64(r);
    out->id = zt_rd_u32(r);
    out->n = zt_rd_u16(r);
    if (out->n > ZT_COO_THINGS) {
        r->bad = true;
        out->n = 0;
    }
    for (unsigned i = 0; i < out->n; i++) {
        out->thing[i].type = zt_rd_u8(r);
        zt_rd_bytes(r, out->thing[i].value, 16);
    }
    out->issued_to = zt_rd_u40(r);
    out->signed_by = zt_rd_u40(r);
    out->has_sig = read_sig(r, out->sig);
    skip_ext(r);
}

static void write_coo(struct zt_wr *w, const struct zt_coo *coo, bool with_sig)
{
    zt_wr_u64(w, coo->nwid);
    zt_wr_u64(w, (uint64_t)coo->timestamp);
    zt_wr_u64(w, coo->flags);
    zt_wr_u32(w, coo->id);
    zt_wr_u16(w, (uint16_t)coo->n);
    for (unsigned i = 0; i < coo->n; i++) {
        zt_wr_u8(w, coo->thing[i].type);
        zt_wr_bytes(w, coo->thing[i].value, 16);
    }
    zt_wr_u40(w, coo->issued_to);
    zt_wr_u40(w, coo->signed_by);
    if (with_sig)
        write_sig(w, coo->sig);
    zt_wr_u16(w, 0);
}

void zt_wr_coo(struct zt_wr *w, const struct zt_coo *coo)
{
    write_coo(w, coo, true);
}

void zt_wr_coo_signed(struct zt_wr *w, const struct zt_coo *coo)
{
    zt_wr_u64(w, FRAME);
    write_coo(w, coo, false);
    zt_wr_u64(w, FRAME);
}

bool zt_coo_owns(const struct zt_coo *coo, uint8_t type, const uint8_t *value)
{
    static const uint8_t size[] = {0, 6, 4, 16};

    for (unsigned i = 0; i < coo->n; i++) {
        if (coo->thing[i].type == type && type < sizeof size &&
            memcmp(coo->thing[i].value, value, size[type]) == 0)
            return true;
    }
    return false;
}

/* ---- revocation ---- */

void zt_rd_revocation(struct zt_rd *r, struct zt_revocation *out)
{
    zt_rd_skip(r, 4);
    out->id = zt_rd_u32(r);
    out->nwid = zt_rd_u64(r);
    zt_rd_skip(r, 4);
    out->credential_id = zt_rd_u32(r);
    out->threshold = (int64_t)zt_rd_u64(r);
    out->flags = zt_rd_u64(r);
    out->target = zt_rd_u40(r);
    out->signed_by = zt_rd_u40(r);
    out->type = zt_rd_u8(r);
    out->has_sig = read_sig(r, out->sig);
    skip_ext(r);
}

static void write_revocation(struct zt_wr *w, const struct zt_revocation *rev, bool with_sig)
{
    zt_wr_u32(w, 0);
    zt_wr_u32(w, rev->id);
    zt_wr_u64(w, rev->nwid);
    zt_wr_u32(w, 0);
    zt_wr_u32(w, rev->credential_id);
    zt_wr_u64(w, (uint64_t)rev->threshold);
    zt_wr_u64(w, rev->flags);
    zt_wr_u40(w, rev->target);
    zt_wr_u40(w, rev->signed_by);
    zt_wr_u8(w, rev->type);
    if (with_sig)
        write_sig(w, rev->sig);
    zt_wr_u16(w, 0);
}

void zt_wr_revocation(struct zt_wr *w, const struct zt_revocation *rev)
{
    write_revocation(w, rev, true);
}

void zt_wr_revocation_signed(struct zt_wr *w, const struct zt_revocation *rev)
{
    zt_wr_u64(w, FRAME);
    write_revocation(w, rev, false);
    zt_wr_u64(w, FRAME);
}
