#include "node/netset.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "wire/dict.h"

void zt_netset_default(struct zt_net_settings *out)
{
    *out = (struct zt_net_settings){.managed = true};
}

/* "10.0.0.0/8,fd00::/8" */
static int parse_list(const char *text, struct zt_net_settings *s)
{
    unsigned n = 0;

    while (*text != 0) {
        char word[ZT_EP_STR];
        size_t len = strcspn(text, ",");
        if (len == 0 || len >= sizeof word)
            return ZT_E_FORMAT;
        if (n == ZT_INFO_ALLOWED)
            return ZT_E_LIMIT;
        memcpy(word, text, len);
        word[len] = 0;
        struct zt_ep *ep = &s->allowed[n++];
        if (zt_ep_parse(word, ep) != 0 || strchr(word, '/') == NULL ||
            ep->port > (ep->family == 4 ? 32 : 128))
            return ZT_E_FORMAT;
        *ep = zt_ep_network(ep);
        text += len;
        if (*text == ',' && *++text == 0)
            return ZT_E_FORMAT;
    }
    s->nallowed = n;
    s->managed = true;
    return n > 0 ? 0 : ZT_E_FORMAT;
}

static int parse_bool(const char *text, bool *out)
{
    if (strcmp(text, "1") != 0 && strcmp(text, "true") != 0 && strcmp(text, "0") != 0 &&
        strcmp(text, "false") != 0)
        return ZT_E_FORMAT;
    *out = text[0] == '1' || text[0] == 't';
    return 0;
}

int zt_netset_set(struct zt_net_settings *s, const char *key, const char *value)
{
    struct zt_net_settings next = *s;
    int r;

    if (strcmp(key, "allowManaged") == 0) {
        memset(next.allowed, 0, sizeof next.allowed);
        next.nallowed = 0;
        r = parse_bool(value, &next.managed);
        if (r != 0)
            r = parse_list(value, &next);
    } else if (strcmp(key, "allowGlobal") == 0) {
        r = parse_bool(value, &next.global);
    } else if (strcmp(key, "allowDefault") == 0) {
        r = parse_bool(value, &next.defaults);
    } else if (strcmp(key, "allowDNS") == 0) {
        r = parse_bool(value, &next.dns);
    } else {
        r = ZT_E_NOENT;
    }
    if (r == 0)
        *s = next;
    return r;
}

void zt_netset_read(const uint8_t *text, size_t n, struct zt_net_settings *out)
{
    char list[ZT_NETSET_TEXT];

    zt_netset_default(out);
    int len = zt_dict_get(text, n, "allowManaged", (uint8_t *)list, sizeof list);
    /* As the reference tells the two forms apart: no list is that short. A list that can't be read
     * allows nothing, since its owner wanted less than everything. */
    if (len > 5 && parse_list(list, out) != 0)
        *out = (struct zt_net_settings){.managed = false};
    else if (len > 0 && len <= 5)
        out->managed = zt_dict_bool(text, n, "allowManaged", true);
    out->global = zt_dict_bool(text, n, "allowGlobal", false);
    out->defaults = zt_dict_bool(text, n, "allowDefault", false);
    out->dns = zt_dict_bool(text, n, "allowDNS", false);
}

size_t zt_netset_write(const struct zt_net_settings *s, char out[ZT_NETSET_TEXT])
{
    size_t at = (size_t)snprintf(out, ZT_NETSET_TEXT, "allowManaged=");

    if (!s->managed || s->nallowed == 0)
        at += (size_t)snprintf(out + at, ZT_NETSET_TEXT - at, "%d", s->managed);
    for (unsigned i = 0; s->managed && i < s->nallowed; i++) {
        char ip[ZT_EP_STR];
        at += (size_t)snprintf(out + at, ZT_NETSET_TEXT - at, "%s%s", i > 0 ? "," : "",
                               zt_ep_format(&s->allowed[i], ip));
    }
    at += (size_t)snprintf(out + at, ZT_NETSET_TEXT - at,
                           "\nallowGlobal=%d\nallowDefault=%d\nallowDNS=%d\n", s->global,
                           s->defaults, s->dns);
    return at;
}

static bool in_list(const struct zt_net_settings *s, const struct zt_ep *target)
{
    for (unsigned i = 0; i < s->nallowed; i++) {
        if (s->allowed[i].port <= target->port && zt_ep_in_prefix(&s->allowed[i], target))
            return true;
    }
    return s->nallowed == 0;
}

static bool is_default_route(const struct zt_ep *target)
{
    static const uint8_t zero[16];
    return target->port == 0 && memcmp(target->ip, zero, sizeof zero) == 0;
}

bool zt_netset_allows(const struct zt_net_settings *s, const struct zt_ep *target)
{
    if (!s->managed || !in_list(s, target))
        return false;
    if (is_default_route(target))
        return s->defaults;
    switch (zt_ep_scope(target)) {
    case ZT_SCOPE_NONE:
    case ZT_SCOPE_MULTICAST:
    case ZT_SCOPE_LOOPBACK:
    case ZT_SCOPE_LINK_LOCAL:
        return false;
    case ZT_SCOPE_GLOBAL:
        return s->global;
    case ZT_SCOPE_PSEUDO_PRIVATE:
    case ZT_SCOPE_SHARED:
    case ZT_SCOPE_PRIVATE:
        return true;
    }
    return false;
}

static void keep_addresses(struct zt_net_info *info, unsigned n)
{
    memset(&info->addrs[n], 0, (ZT_INFO_ADDRS - n) * sizeof info->addrs[0]);
    info->naddrs = n;
}

void zt_netset_limit(unsigned max, struct zt_net_info *info)
{
    unsigned k = 0, n4 = 0, n6 = 0;

    for (unsigned i = 0; i < info->naddrs; i++) {
        unsigned *n = info->addrs[i].family == 4 ? &n4 : &n6;
        if ((*n)++ < max)
            info->addrs[k++] = info->addrs[i];
    }
    keep_addresses(info, k);
}

void zt_netset_apply(const struct zt_net_settings *s, struct zt_net_info *info)
{
    unsigned k = 0;

    for (unsigned i = 0; i < info->naddrs; i++) {
        if (zt_netset_allows(s, &info->addrs[i]))
            info->addrs[k++] = info->addrs[i];
    }
    keep_addresses(info, k);
    k = 0;
    for (unsigned i = 0; i < info->nroutes; i++) {
        if (zt_netset_allows(s, &info->routes[i].target))
            info->routes[k++] = info->routes[i];
    }
    info->nroutes = k;
}
