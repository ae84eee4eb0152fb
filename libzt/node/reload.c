/* Reading local.conf again while the node runs: SIGHUP of ztd, `ztctl reload`, and the local API
 * after it has written the file.
 *
 *   loop: ask --job--> keeper: read and parse --post--> loop: go by it, answer
 *
 * A file that can't be used changes nothing. Whoever asked is told what is wrong with it, and so
 * are those who listen to the node's notes. The primary port and the memory budget are what they
 * were at the start: sockets of programs depend on them; so are those who may use the API from
 * elsewhere: it listens on other addresses for them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "node/node_priv.h"

struct reload {
    struct zt_list link; /* zt_node.reloads until answered; loop thread */
    struct zt_post post;
    struct zt_node *n;
    zt_command_done *done;
    void *arg;
    /* from here on the keeper's, until it posts */
    int rc;
    struct zt_conf conf;
    json_t *doc, *problems;
};

static void free_reload(struct reload *r)
{
    json_decref(r->doc);
    json_decref(r->problems);
    free(r);
}

static void answer(struct reload *r)
{
    json_t *o = json_pack("{s:b,s:O}", "result", r->rc == 0, "problems", r->problems);
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    if (r->done != NULL && text != NULL)
        r->done(r->arg, 0, text, strlen(text));
    else if (r->done != NULL)
        r->done(r->arg, ENOMEM, "out of memory", 13);
    r->done = NULL;
    free(text);
    json_decref(o);
}

static void go_by(struct zt_node *n, struct reload *r)
{
    struct zt_conf was = n->conf;
    n->conf = r->conf;
    json_decref(n->conf_doc);
    n->conf_doc = r->doc;
    r->doc = NULL;
    if (n->cfg.port < 0 && n->conf.primary_port != was.primary_port)
        zt_node_warn(n, "local.conf: another primaryPort is used from the next start on");
    if (n->conf.memory_budget != was.memory_budget)
        zt_node_warn(n, "local.conf: another memoryBudget is used from the next start on");
    if (n->conf.nmanagers != was.nmanagers ||
        memcmp(n->conf.managers, was.managers, was.nmanagers * sizeof *was.managers) != 0)
        zt_node_warn(n, "local.conf: another allowManagementFrom is used from the next start on");
    if (n->door != NULL)
        zt_door_allow(n->door, n->conf.users, n->conf.nusers);
    zt_core_configure(n->core, zt_loop_now(n->loop), &n->conf.core);
    zt_underlay_configure(n);
}

static void on_loop(void *arg)
{
    struct reload *r = arg;
    struct zt_node *n = r->n;
    if (n->core != NULL) {
        zt_loop_update(n->loop);
        if (r->rc == 0)
            go_by(n, r);
        zt_list_remove(&r->link);
        answer(r);
        zt_host_drain(n);
    }
    free_reload(r);
}

static void on_problem(void *user, const char *text)
{
    struct reload *r = user;
    json_array_append_new(r->problems, json_string(text));
    zt_node_warn(r->n, text);
}

static void read_job(struct zt_node *n, struct zt_job *j)
{
    struct reload *r;
    struct zt_loop *l = zt_keeper_loop(n);
    memcpy(&r, j->data, sizeof r);
    if (l != NULL)
        r->rc = zt_conf_read(n->store, &r->conf, on_problem, r, &r->doc);
    /* Without a loop zt_reload_end_all has answered. */
    if (l == NULL || zt_loop_post_at(l, &r->post, on_loop, r) != 0)
        free_reload(r);
}

void zt_reload_start(struct zt_node *n, zt_command_done *done, void *arg)
{
    struct reload *r = calloc(1, sizeof *r);
    json_t *problems = json_array();
    if (r == NULL || problems == NULL || !n->cfg.read_local_conf) {
        free(r);
        json_decref(problems);
        if (done != NULL)
            done(arg, EINVAL, "this node does not read local.conf", 34);
        return;
    }
    *r = (struct reload){.n = n, .done = done, .arg = arg, .problems = problems};
    zt_list_init(&r->link);
    zt_list_push_back(&n->reloads, &r->link);
    if (!zt_node_post_job(n, read_job, "", 0, NULL, &r, sizeof r)) {
        zt_list_remove(&r->link);
        if (done != NULL)
            done(arg, ENOMEM, "out of memory", 13);
        free_reload(r);
    }
}

void zt_reload_end_all(struct zt_node *n)
{
    ZT_LIST_EACH(it, &n->reloads)
    {
        struct reload *r = ZT_CONTAINER(it, struct reload, link);
        zt_list_remove(it);
        if (r->done != NULL)
            r->done(r->arg, ESHUTDOWN, "the node is ending", 18);
        r->done = NULL;
    }
}
