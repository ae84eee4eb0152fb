/* `ztctl watch`: the node's notes as JSON, to the clients of the door that asked for them. Written
 * for people: of what changed, no more than they would look at. What a slow client costs is the
 * door's (zt_door_tell): nothing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node/api_priv.h"

static json_t *event(struct zt_node *n, const char *what)
{
    json_t *o = json_object();
    json_object_set_new(o, "event", json_string(what));
    json_object_set_new(o, "clock", json_integer(zt_loop_now(n->loop)->wall_ms));
    return o;
}

static void set_eps(json_t *o, const char *key, const struct zt_ep *eps, unsigned n)
{
    json_t *a = json_array();
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(a, zt_api_ep(&eps[i]));
    json_object_set_new(o, key, a);
}

static json_t *network_event(struct zt_node *n, const struct zt_net_info *was,
                             const struct zt_net_info *now)
{
    json_t *o = event(n, now != NULL ? "network" : "left");
    json_object_set_new(o, "id", zt_api_hex(now != NULL ? now->nwid : was->nwid, 16));
    if (now == NULL)
        return o;
    json_object_set_new(o, "name", zt_api_string(now->name));
    json_object_set_new(o, "status", json_string(zt_net_status_name(now->status)));
    json_object_set_new(o, "statusBefore", was != NULL
                                               ? json_string(zt_net_status_name(was->status))
                                               : json_null());
    set_eps(o, "addresses", now->addrs, now->naddrs);
    set_eps(o, "addressesBefore", was != NULL ? was->addrs : NULL, was != NULL ? was->naddrs : 0);
    return o;
}

/* The path in use, or NULL: through a root. */
static const struct zt_path_info *path_of(const struct zt_peer_info *p)
{
    for (unsigned i = 0; p != NULL && i < p->npaths; i++)
        if (p->paths[i].preferred && !p->paths[i].expired)
            return &p->paths[i];
    return NULL;
}

/* Heartbeats change latencies all the time: told is who is there, and by which way. */
static json_t *peer_event(struct zt_node *n, const struct zt_peer_info *was,
                          const struct zt_peer_info *now)
{
    static const char *const roles[] = {"LEAF", "MOON", "PLANET"};
    const struct zt_path_info *a = path_of(was), *b = path_of(now);
    if (was != NULL && (a == NULL) == (b == NULL) && (a == NULL || zt_ep_equal(&a->ep, &b->ep)) &&
        was->is_alive == now->is_alive && was->role == now->role)
        return NULL;
    json_t *o = event(n, "peer");
    json_object_set_new(o, "address", zt_api_hex(now->addr, 10));
    json_object_set_new(o, "role", json_string(roles[now->role]));
    json_object_set_new(o, "alive", json_boolean(now->is_alive));
    json_object_set_new(o, "path", b != NULL ? zt_api_ep(&b->ep) : json_null());
    json_object_set_new(o, "pathBefore", a != NULL ? zt_api_ep(&a->ep) : json_null());
    json_object_set_new(o, "latency", json_integer(now->latency_ms));
    return o;
}

static json_t *text_event(struct zt_node *n, const char *what, const char *text)
{
    json_t *o = event(n, what);
    json_object_set_new(o, "text", zt_api_string(text));
    return o;
}

static json_t *note_event(struct zt_node *n, const struct zt_node_note *note)
{
    switch (note->what) {
    case ZT_NODE_ONLINE:
        return event(n, "online");
    case ZT_NODE_OFFLINE:
        return event(n, "offline");
    case ZT_NODE_COLLISION:
        return event(n, "collision");
    case ZT_NODE_NETWORK:
    case ZT_NODE_NETWORK_GONE:
        return network_event(n, note->net_was, note->net);
    case ZT_NODE_PEER:
        return peer_event(n, note->peer_was, note->peer);
    case ZT_NODE_WARNING:
        return text_event(n, "warning", note->text);
    default:
        return NULL; /* before the door opens, or after it is closed */
    }
}

static void tell(struct zt_node *n, json_t *o)
{
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    if (text != NULL && strlen(text) <= ZT_CTL_REPLY_DATA)
        zt_door_tell(n->door, text, strlen(text));
    free(text);
    json_decref(o);
}

struct warning {
    struct zt_node *n;
    char text[];
};

static void warn_on_loop(void *arg)
{
    struct warning *w = arg;
    if (w->n->door != NULL && zt_door_is_watched(w->n->door))
        tell(w->n, text_event(w->n, "warning", w->text));
    free(w);
}

void zt_watch_note(struct zt_node *n, const struct zt_node_note *note)
{
    if (n->loop == NULL)
        return;
    if (zt_loop_is_current(n->loop)) {
        if (n->door != NULL && zt_door_is_watched(n->door))
            tell(n, note_event(n, note));
        return;
    }
    /* The keeper's: of a file. Who watches is the loop's to know. */
    struct warning *w = note->what != ZT_NODE_WARNING
                            ? NULL
                            : malloc(sizeof *w + strlen(note->text) + 1);
    if (w == NULL)
        return;
    w->n = n;
    strcpy(w->text, note->text);
    if (zt_loop_post(n->loop, warn_on_loop, w) != 0)
        free(w);
}

void zt_watch_start(struct zt_node *n, struct zt_door_reply *to)
{
    zt_loop_update(n->loop);
    json_t *o = event(n, "watching");
    json_object_set_new(o, "address", zt_api_hex(n->identity.addr, 10));
    json_object_set_new(o, "online", json_boolean(n->online));
    char *text = json_dumps(o, JSON_COMPACT);
    if (text != NULL)
        zt_door_watch(to, text, strlen(text));
    else
        zt_door_reply(to, ENOMEM, "out of memory", 13);
    free(text);
    json_decref(o);
}

void zt_watch_end(struct zt_node *n)
{
    if (n->door != NULL && zt_door_is_watched(n->door))
        tell(n, event(n, "down"));
}
