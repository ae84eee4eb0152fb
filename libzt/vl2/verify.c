/* Who signed a credential. Each kind has its own signed text (wire/creds.h); all but capabilities
 * are signed by the network's controller and nobody else. */

#include <assert.h>

#include "base/addr.h"
#include "crypto/identity.h"
#include "vl2/creds.h"

static bool verify(const struct zt_wr *text, const uint8_t sig[ZT_SIG],
                   const struct zt_identity *signer)
{
    assert(!text->bad);
    return zt_identity_verify(signer->pub, text->p, text->n, sig);
}

bool zt_com_verify(const struct zt_com *com, const struct zt_identity *controller)
{
    uint8_t text[ZT_CRED_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);

    if (com->signed_by == 0 || com->signed_by != controller->addr ||
        com->signed_by != zt_nwid_controller(zt_com_value(com, ZT_COM_NWID)))
        return false;
    zt_wr_com_signed(&w, com);
    return verify(&w, com->sig, controller);
}

static bool signer_fits(bool has_sig, uint64_t signed_by, uint64_t nwid,
                        const struct zt_identity *controller)
{
    return has_sig && signed_by == controller->addr && signed_by == zt_nwid_controller(nwid);
}

bool zt_tag_verify(const struct zt_tag *tag, const struct zt_identity *controller)
{
    uint8_t text[ZT_CRED_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);
    zt_wr_tag_signed(&w, tag);
    return signer_fits(tag->has_sig, tag->signed_by, tag->nwid, controller) &&
           verify(&w, tag->sig, controller);
}

bool zt_coo_verify(const struct zt_coo *coo, const struct zt_identity *controller)
{
    uint8_t text[ZT_CRED_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);
    zt_wr_coo_signed(&w, coo);
    return signer_fits(coo->has_sig, coo->signed_by, coo->nwid, controller) &&
           verify(&w, coo->sig, controller);
}

bool zt_revocation_verify(const struct zt_revocation *rev, const struct zt_identity *controller)
{
    uint8_t text[ZT_CRED_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);
    zt_wr_revocation_signed(&w, rev);
    return signer_fits(rev->has_sig, rev->signed_by, rev->nwid, controller) &&
           verify(&w, rev->sig, controller);
}

enum zt_accept zt_cap_verify(const struct zt_cap *cap,
                             const struct zt_identity *(*identity_of)(void *user, uint64_t addr),
                             void *user)
{
    uint8_t text[ZT_CAP_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);
    uint64_t from = zt_nwid_controller(cap->nwid);

    if (cap->nlinks == 0 || cap->nlinks > cap->max_chain)
        return ZT_ACCEPT_REJECTED;
    zt_wr_cap_signed(&w, cap);
    for (unsigned i = 0; i < cap->nlinks; i++) {
        if (cap->chain[i].from != from || !cap->chain[i].has_sig)
            return ZT_ACCEPT_REJECTED;
        const struct zt_identity *signer = identity_of(user, from);
        if (signer == NULL)
            return ZT_ACCEPT_DEFER;
        if (!verify(&w, cap->chain[i].sig, signer))
            return ZT_ACCEPT_REJECTED;
        from = cap->chain[i].to;
    }
    return ZT_ACCEPT_NEW;
}
