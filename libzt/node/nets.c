/* The joined networks: what their configurations and the settings of this machine make of the
 * stack's interfaces. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "node/netset.h"
#include "node/node_priv.h"
#include "wire/netconf.h"

void zt_nets_gone(struct zt_node *n, uint64_t nwid)
{
    struct zt_netent *e = zt_map_del(&n->nets, nwid);
    if (e == NULL)
        return;
    if (e->in_stack)
        zt_stack_net_remove(n->stack, nwid);
    if (n->proxy != NULL)
        zt_proxy_l2_gone(n->proxy, nwid);
    zt_node_note(n, (struct zt_node_note){.what = ZT_NODE_NETWORK_GONE, .net_was = &e->info});
    free(e);
}

/* What is in use of the configuration, as bytes that can be compared. */
static int network_used(struct zt_node *n, const struct zt_netent *e, uint64_t nwid,
                        struct zt_net_info *out)
{
    memset(out, 0, sizeof *out);
    int rc = zt_core_network(n->core, nwid, out);
    if (rc != 0)
        return rc;
    zt_netset_apply(&e->settings, out);
    zt_netset_limit(ZT_STACK_ADDRS, out);
    out->port_error = e->port_error;
    if (e->port_error != 0)
        out->status = ZT_NET_PORT_ERROR;
    return 0;
}

static void set_in_stack(struct zt_node *n, struct zt_netent *e, struct zt_net_info *now)
{
    e->port_error = now->has_config ? zt_stack_net_set(n->stack, now) : 0;
    if (now->has_config && e->port_error == 0) {
        e->in_stack = true;
    } else if (e->in_stack) {
        zt_stack_net_remove(n->stack, e->info.nwid);
        e->in_stack = false;
    }
    now->port_error = e->port_error;
    if (e->port_error != 0)
        now->status = ZT_NET_PORT_ERROR;
}

void zt_nets_changed(struct zt_node *n, uint64_t nwid)
{
    struct zt_net_info now, was;
    struct zt_netent *e = zt_map_get(&n->nets, nwid);
    if (e == NULL)
        return;
    e->port_error = 0;
    if (network_used(n, e, nwid, &now) != 0)
        return;
    set_in_stack(n, e, &now);
    size_t size = zt_net_info_size(&now);
    if (e->told && memcmp(&e->info, &now, size) == 0)
        return;
    memcpy(&was, &e->info, zt_net_info_size(&e->info));
    bool first = !e->told;
    memcpy(&e->info, &now, size);
    e->told = true;
    zt_ranges_publish(n);
    zt_node_note(n, (struct zt_node_note){
                        .what = ZT_NODE_NETWORK, .net_was = first ? NULL : &was, .net = &e->info});
}

/* An interface has become free: for networks that got none. */
static void retry_interfaces(struct zt_node *n)
{
    uint64_t nwid;
    void *value;
    for (size_t i = 0; zt_map_next(&n->nets, &i, &nwid, &value);)
        if (((const struct zt_netent *)value)->port_error != 0)
            zt_nets_changed(n, nwid);
}

int zt_nets_get(struct zt_node *n, uint64_t nwid, struct zt_net_info *out)
{
    const struct zt_netent *e = zt_map_get(&n->nets, nwid);
    int rc = e == NULL ? ZT_E_NOENT : zt_core_network(n->core, nwid, out);
    if (rc == 0 && e->port_error != 0) {
        out->port_error = e->port_error;
        out->status = ZT_NET_PORT_ERROR;
    }
    return rc;
}

int zt_nets_used(struct zt_node *n, uint64_t nwid, struct zt_net_info *out)
{
    const struct zt_netent *e = zt_map_get(&n->nets, nwid);
    return e == NULL ? ZT_E_NOENT : network_used(n, e, nwid, out);
}

int zt_nets_settings(struct zt_node *n, uint64_t nwid, struct zt_net_settings *out)
{
    const struct zt_netent *e = zt_map_get(&n->nets, nwid);
    if (e == NULL)
        return ZT_E_NOENT;
    *out = e->settings;
    return 0;
}

int zt_nets_set(struct zt_node *n, uint64_t nwid, const struct zt_net_settings *settings)
{
    struct zt_netent *e = zt_map_get(&n->nets, nwid);
    char name[64], text[ZT_NETSET_TEXT];
    if (e == NULL)
        return ZT_E_NOENT;
    e->settings = *settings;
    if (n->cfg.cache_networks) {
        size_t len = zt_netset_write(settings, text);
        snprintf(name, sizeof name, "networks.d/%016llx.local.conf", (unsigned long long)nwid);
        zt_node_post_job(n, zt_node_job_write, name, ZT_STORE_DURABLE, NULL, text, len);
    }
    zt_stack_now(n->stack, zt_loop_now(n->loop)->mono_ms);
    zt_nets_changed(n, nwid);
    zt_ranges_publish(n); /* allowDNS changes no address, but whose names are answered */
    zt_loop_touch(n->loop);
    return 0;
}

/* What was chosen in an earlier run, else the defaults. */
static void load_settings(struct zt_node *n, uint64_t nwid, struct zt_net_settings *out)
{
    zt_netset_default(out);
    ZT_LIST_EACH(it, &n->files_netset)
    {
        const struct zt_file *f = ZT_CONTAINER(it, struct zt_file, link);
        if (f->id == nwid)
            zt_netset_read(f->p, f->n, out);
    }
}

int zt_nets_restore(struct zt_node *n, uint64_t nwid, const uint8_t *cached, size_t ncached)
{
    struct zt_netent *e = zt_map_get(&n->nets, nwid);
    if (e != NULL)
        return 0;
    e = calloc(1, sizeof *e);
    if (e == NULL)
        return ZT_E_NOMEM;
    e->info.nwid = nwid;
    load_settings(n, nwid, &e->settings);
    int rc = zt_map_put(&n->nets, nwid, e);
    if (rc == 0)
        rc = zt_core_join(n->core, zt_loop_now(n->loop), nwid, cached, ncached);
    if (rc != 0) {
        (void)zt_map_del(&n->nets, nwid);
        free(e);
        return rc;
    }
    /* Told by an event normally; asked for here, so that REQUESTING_CONFIGURATION is always first.
     */
    zt_nets_changed(n, nwid);
    return 0;
}

int zt_nets_join(struct zt_node *n, uint64_t nwid)
{
    if (nwid == 0)
        return ZT_E_INVAL;
    bool is_new = zt_map_get(&n->nets, nwid) == NULL;
    int rc = zt_nets_restore(n, nwid, NULL, 0);
    if (rc == 0 && is_new) {
        char name[64];
        snprintf(name, sizeof name, "networks.d/%016llx.conf", (unsigned long long)nwid);
        if (n->cfg.cache_networks)
            zt_node_post_job(n, zt_node_job_write, name, ZT_STORE_PRIVATE | ZT_STORE_DURABLE, NULL,
                             "\n", 1);
        zt_ranges_publish(n);
    }
    zt_loop_touch(n->loop);
    return rc;
}

int zt_nets_leave(struct zt_node *n, uint64_t nwid)
{
    if (nwid == 0)
        return ZT_E_INVAL;
    if (zt_map_get(&n->nets, nwid) == NULL)
        return ZT_E_NOENT;
    char name[64];
    zt_stack_now(n->stack, zt_loop_now(n->loop)->mono_ms);
    zt_nets_gone(n, nwid);
    int rc = zt_core_leave(n->core, zt_loop_now(n->loop), nwid);
    retry_interfaces(n);
    if (n->cfg.cache_networks) {
        snprintf(name, sizeof name, "networks.d/%016llx.conf", (unsigned long long)nwid);
        zt_node_post_job(n, zt_node_job_remove, name, 0, NULL, NULL, 0);
        snprintf(name, sizeof name, "networks.d/%016llx.local.conf", (unsigned long long)nwid);
        zt_node_post_job(n, zt_node_job_remove, name, 0, NULL, NULL, 0);
    }
    zt_ranges_publish(n);
    zt_loop_touch(n->loop);
    return rc;
}
