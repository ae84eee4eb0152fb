#include "base/settings.h"

const struct zt_set_physical *zt_settings_physical(const struct zt_settings *s,
                                                   const struct zt_ep *ep)
{
    const struct zt_set_physical *best = NULL;
    for (unsigned i = 0; i < s->nphysical; i++) {
        const struct zt_set_physical *row = &s->physical[i];
        if (zt_ep_in_prefix(&row->net, ep) && (best == NULL || row->net.port > best->net.port))
            best = row;
    }
    return best;
}

const struct zt_set_node *zt_settings_node(const struct zt_settings *s, uint64_t addr)
{
    for (unsigned i = 0; i < s->nnodes; i++)
        if (s->nodes[i].addr == addr)
            return &s->nodes[i];
    return NULL;
}

bool zt_settings_forbid(const struct zt_settings *s, uint64_t addr, const struct zt_ep *ep)
{
    for (unsigned i = 0; i < s->nphysical; i++)
        if (s->physical[i].blacklist && zt_ep_in_prefix(&s->physical[i].net, ep))
            return true;
    const struct zt_set_node *node = addr != 0 ? zt_settings_node(s, addr) : NULL;
    for (unsigned i = 0; node != NULL && i < node->nblacklist; i++)
        if (zt_ep_in_prefix(&node->blacklist[i], ep))
            return true;
    return false;
}
