/* Bodies of the controller's HTTP requests, which have the form of its files: what is accepted can be
 * written, read back, and given to the core. The first byte chooses network or member. */
#include "fuzz.h"

#include <string.h>

#include "base/err.h"
#include "node/controller_json.h"

#define NWID 0x89e92ceee5000001u
#define ADDR 0x0123456789u
#define WALL 1700000000000

static json_t *again(const json_t *doc)
{
    json_error_t e;
    char *text = zt_ctl_dump(doc);
    PROMISE(text != NULL);
    json_t *out = zt_ctl_parse(text, strlen(text), &e);
    PROMISE(out != NULL && !zt_ctl_differ(doc, out));
    free(text);
    return out;
}

static void network(const json_t *body)
{
    struct zt_ctl_network net;
    const char *why = NULL;
    json_t *doc = json_object();
    if (zt_ctl_network_read(body, NWID, &net) == 0) /* a file */
        zt_ctl_network_fini(&net);
    PROMISE(zt_ctl_network_defaults(doc, NWID, WALL) == 0);
    int rc = zt_ctl_network_post(doc, body, &why);
    PROMISE(rc == 0 || (rc == ZT_E_INVAL && why != NULL));
    if (rc == 0) {
        json_t *copy = again(doc);
        PROMISE(zt_ctl_network_read(copy, NWID, &net) == 0);
        PROMISE(net.nwid == NWID && net.nroutes <= ZT_NETCONF_ROUTES &&
                net.nrules <= ZT_RULES_MAX && net.mtu >= ZT_NET_MTU_MIN &&
                net.mtu <= ZT_NET_MTU_MAX);
        zt_ctl_network_fini(&net);
        json_decref(copy);
    }
    json_decref(doc);
}

static void member(const json_t *body)
{
    struct zt_ctl_member m;
    const char *why = NULL;
    json_t *doc = json_object();
    if (zt_ctl_member_read(body, NWID, ADDR, &m) == 0)
        zt_ctl_member_fini(&m);
    PROMISE(zt_ctl_member_defaults(doc, NWID, ADDR, WALL) == 0);
    int rc = zt_ctl_member_post(doc, body, WALL, &why);
    PROMISE(rc == 0 || (rc == ZT_E_INVAL && why != NULL));
    if (rc == 0) {
        json_t *copy = again(doc);
        PROMISE(zt_ctl_member_read(copy, NWID, ADDR, &m) == 0);
        PROMISE(m.nwid == NWID && m.addr == ADDR);
        zt_ctl_member_fini(&m);
        json_decref(copy);
    }
    json_decref(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    json_error_t e;
    if (n == 0)
        return 0;
    json_t *body = zt_ctl_parse((const char *)p + 1, n - 1, &e);
    if (json_is_object(body))
        (p[0] & 1 ? network : member)(body);
    json_decref(body);
    return 0;
}
