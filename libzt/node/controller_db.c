/* Records, their files, and who waits for them (controller.h).
 *
 *   change --> text is new, version + 1 --> job at the keeper --> stored = that version
 *                 ^  while a job is out, further changes only count versions  |
 *                 '-----------------------------------------------------------'
 *
 * A job names its record by ids and a serial number, never by pointer: the record may be gone, or
 * be another one of the same name, when the answer comes back. Jobs run in the order they were
 * posted, so that a removal follows the writing that was under way, and a new record of the same
 * name follows the removal. */
#include "node/controller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "node/controller_db.h"
#include "node/controller_json.h"
#include "node/json.h"
#include "vl2/controller.h"

#define RETRY_MS 5000
#define NETWORKS "controller.d/network"
#define CLOCK "controller.d/clock" /* decimal: the controller's put_time */

/* One document. */
struct record {
    uint64_t nwid, addr; /* addr 0: a network */
    uint64_t serial;
    char *text;
    void *values; /* between load and start: for the core, see read_values */
    uint64_t revision; /* what the text says, for lists of thousands */
    bool is_authorized;
    unsigned version, stored; /* of text; on disk */
    bool is_fresh;   /* a network made now: with its first job goes a folder left by an earlier one */
    bool is_writing; /* a job is out */
    struct zt_list failed;  /* linked: to be tried again */
    struct zt_list waiters; /* struct waiter, by version */
};

struct network {
    struct record r;
    struct zt_map members; /* address -> struct record */
};

/* Somebody to be answered with this text when the version is on disk. */
struct waiter {
    struct zt_list link;
    struct zt_api_to to;
    unsigned version;
    char text[];
};

struct zt_ctl_db {
    struct zt_node *n;
    struct zt_map networks; /* nwid -> struct network */
    uint64_t serials;
    struct zt_controller *ctl; /* of the core; NULL before start and after end */
    struct zt_list failed;     /* struct record */
    int64_t retry_ms;          /* monotonic; meant when failed isn't empty */
    struct zt_list removals;   /* struct removal: under way */
    uint64_t writes, failures; /* of files */
};

/* ---- records -----------------------------------------------------------------------------------
 */

static struct network *find_network(const struct zt_ctl_db *db, uint64_t nwid)
{
    return zt_map_get(&db->networks, nwid);
}

static struct record *find(const struct zt_ctl_db *db, uint64_t nwid, uint64_t addr)
{
    struct network *net = find_network(db, nwid);
    if (net == NULL)
        return NULL;
    return addr == 0 ? &net->r : zt_map_get(&net->members, addr);
}

static void record_init(struct zt_ctl_db *db, struct record *r, uint64_t nwid, uint64_t addr)
{
    *r = (struct record){.nwid = nwid, .addr = addr, .serial = ++db->serials};
    zt_list_init(&r->failed);
    zt_list_init(&r->waiters);
}

/* A record without a text yet. */
static struct record *add(struct zt_ctl_db *db, uint64_t nwid, uint64_t addr)
{
    struct network *net = find_network(db, nwid);
    if (addr != 0) {
        struct record *m = calloc(1, sizeof *m);
        if (net == NULL || m == NULL || zt_map_put(&net->members, addr, m) != 0) {
            free(m);
            return NULL;
        }
        record_init(db, m, nwid, addr);
        return m;
    }
    net = calloc(1, sizeof *net);
    if (net == NULL || zt_map_put(&db->networks, nwid, net) != 0) {
        free(net);
        return NULL;
    }
    record_init(db, &net->r, nwid, 0);
    zt_map_init(&net->members, db->networks.seed ^ nwid);
    return &net->r;
}

static void answer_all(struct record *r, int status)
{
    ZT_LIST_EACH(it, &r->waiters)
    {
        struct waiter *w = ZT_CONTAINER(it, struct waiter, link);
        zt_list_remove(it);
        zt_api_empty(w->to, status);
        free(w);
    }
}

/* The values of a document: a struct zt_ctl_network or zt_ctl_member, malloc'd. NULL: no memory. */
static void *read_values(const struct record *r, const json_t *doc)
{
    void *v = malloc(r->addr == 0 ? sizeof(struct zt_ctl_network) : sizeof(struct zt_ctl_member));
    if (v != NULL && (r->addr == 0 ? zt_ctl_network_read(doc, r->nwid, v)
                                   : zt_ctl_member_read(doc, r->nwid, r->addr, v)) != 0) {
        free(v);
        v = NULL;
    }
    return v;
}

static void free_values(struct record *r)
{
    if (r->values != NULL && r->addr == 0)
        zt_ctl_network_fini(r->values);
    else if (r->values != NULL)
        zt_ctl_member_fini(r->values);
    free(r->values);
    r->values = NULL;
}

static void record_fini(struct record *r, int status)
{
    answer_all(r, status);
    free_values(r);
    zt_list_remove(&r->failed);
    free(r->text);
}

static void network_free(struct network *net, int status)
{
    void *m;
    for (size_t i = 0; zt_map_next(&net->members, &i, NULL, &m);) {
        record_fini(m, status);
        free(m);
    }
    zt_map_fini(&net->members);
    record_fini(&net->r, status);
    free(net);
}

/* Forget a record; who waits for it gets this status. */
static void drop(struct zt_ctl_db *db, struct record *r, int status)
{
    struct network *net = find_network(db, r->nwid);
    if (r->addr == 0) {
        (void)zt_map_del(&db->networks, r->nwid);
        network_free(net, status);
        return;
    }
    (void)zt_map_del(&net->members, r->addr);
    record_fini(r, status);
    free(r);
}

/* ---- files -------------------------------------------------------------------------------------
 */

static void file_of(uint64_t nwid, uint64_t addr, char out[64])
{
    if (addr == 0)
        snprintf(out, 64, NETWORKS "/%016llx.json", (unsigned long long)nwid);
    else
        snprintf(out, 64, NETWORKS "/%016llx/member/%010llx.json", (unsigned long long)nwid,
                 (unsigned long long)addr);
}

static void folder_of(uint64_t nwid, const char *below, char out[64])
{
    snprintf(out, 64, NETWORKS "/%016llx%s", (unsigned long long)nwid, below);
}

/* What a job is about. It goes to the keeper and comes back. */
struct ticket {
    struct zt_post post;
    struct zt_ctl_db *db;
    uint64_t nwid, addr, serial;
    unsigned version;
    bool is_fresh;
    int rc;
    size_t n;
    char text[];
};

static void remove_members(struct zt_node *n, uint64_t nwid)
{
    char folder[64];
    folder_of(nwid, "/member", folder);
    zt_store_remove_folder(n->store, folder);
    folder_of(nwid, "", folder);
    zt_store_remove_folder(n->store, folder);
}

/* A removal may have been cut short after the network's own file. Members whose network is only
 * damaged are kept: somebody may repair it. */
static void remove_leftovers(struct zt_node *n, uint64_t nwid, const char *file)
{
    char aside[80];
    snprintf(aside, sizeof aside, "%s.damaged", file);
    if (!zt_store_has(n->store, aside))
        remove_members(n, nwid);
}

static void written(void *arg);

static void write_job(struct zt_node *n, struct zt_job *j)
{
    struct zt_loop *l = zt_keeper_loop(n);
    struct ticket *t;
    memcpy(&t, j->data, sizeof t);
    if (t->is_fresh)
        remove_leftovers(n, t->nwid, j->name);
    t->rc = zt_store_write(n->store, j->name, ZT_STORE_PRIVATE | ZT_STORE_DURABLE, t->text, t->n);
    /* Without a loop nobody waits any more: zt_ctl_db_end answered them. */
    if (l == NULL || zt_loop_post_at(l, &t->post, written, t) != 0)
        free(t);
}

static void set_failed(struct zt_ctl_db *db, struct record *r)
{
    if (zt_list_empty(&db->failed))
        db->retry_ms = zt_loop_now(db->n->loop)->mono_ms + RETRY_MS;
    if (zt_list_empty(&r->failed))
        zt_list_push_back(&db->failed, &r->failed);
}

static void write_record(struct zt_ctl_db *db, struct record *r)
{
    if (r->is_writing)
        return; /* when that job is back */
    const size_t len = strlen(r->text);
    struct ticket *t = malloc(sizeof *t + len);
    char name[64];

    if (t != NULL) {
        *t = (struct ticket){.db = db,
                             .nwid = r->nwid,
                             .addr = r->addr,
                             .serial = r->serial,
                             .version = r->version,
                             .is_fresh = r->is_fresh,
                             .n = len};
        memcpy(t->text, r->text, len);
        file_of(r->nwid, r->addr, name);
        r->is_writing = zt_node_post_job(db->n, write_job, name, 0, NULL, &t, sizeof t);
        r->is_fresh &= !r->is_writing; /* a second one would find its own members there */
    }
    if (!r->is_writing) {
        free(t);
        set_failed(db, r);
    }
}

/* Answer those whose version is on disk, or was lost. */
static void answer_waiters(struct record *r, unsigned version, bool ok)
{
    ZT_LIST_EACH(it, &r->waiters)
    {
        struct waiter *w = ZT_CONTAINER(it, struct waiter, link);
        if (w->version > version)
            return;
        zt_list_remove(it);
        if (ok)
            zt_api_text(w->to, 200, "application/json", w->text);
        else
            zt_api_error(w->to, 500, "in effect, but it can't be written to disk yet");
        free(w);
    }
}

/* Loop: the keeper has written a version, or couldn't. */
static void written(void *arg)
{
    struct ticket *t = arg;
    struct zt_ctl_db *db = t->db;
    struct record *r = db->ctl != NULL ? find(db, t->nwid, t->addr) : NULL;

    *(t->rc == 0 ? &db->writes : &db->failures) += 1;
    if (r != NULL && r->serial == t->serial) {
        zt_loop_update(db->n->loop);
        r->is_writing = false;
        if (t->rc == 0)
            r->stored = t->version;
        answer_waiters(r, t->version, t->rc == 0);
        if (t->rc != 0)
            set_failed(db, r);
        else if (r->stored != r->version)
            write_record(db, r);
        else if (r->addr != 0)
            zt_controller_stored(db->ctl, zt_loop_now(db->n->loop), r->nwid, r->addr);
        zt_host_drain(db->n);
        zt_loop_touch(db->n->loop);
    }
    free(t);
}

void zt_ctl_db_due(struct zt_ctl_db *db, int64_t mono_ms)
{
    struct zt_list now;

    if (zt_list_empty(&db->failed) || mono_ms < db->retry_ms)
        return;
    zt_list_init(&now);
    while (!zt_list_empty(&db->failed)) {
        struct zt_list *it = db->failed.next;
        zt_list_remove(it);
        zt_list_push_back(&now, it);
    }
    while (!zt_list_empty(&now)) {
        struct record *r = ZT_CONTAINER(now.next, struct record, failed);
        zt_list_remove(&r->failed);
        write_record(db, r);
    }
}

int64_t zt_ctl_db_deadline(const struct zt_ctl_db *db)
{
    return zt_list_empty(&db->failed) ? ZT_NEVER : db->retry_ms;
}

/* ---- changes -----------------------------------------------------------------------------------
 */

static void take_text(struct record *r, const json_t *doc, char *text)
{
    free(r->text);
    r->text = text;
    r->revision = zt_json_u64(json_object_get(doc, "revision"), 0);
    r->is_authorized = zt_json_bool(json_object_get(doc, "authorized"), false);
}

/* Take over text (malloc'd), which is doc, as the record's next version, and have it written. */
static void set_text(struct zt_ctl_db *db, struct record *r, const json_t *doc, char *text)
{
    take_text(r, doc, text);
    r->version++;
    write_record(db, r);
}

/* Networks of other controllers are kept and shown, and nothing else comes of them. */
static bool is_ours(const struct zt_ctl_db *db, const struct record *r)
{
    return zt_nwid_controller(r->nwid) == db->n->identity.addr;
}

/* The values go to the core. */
static int give_core(struct zt_ctl_db *db, const struct record *r, void *values)
{
    const struct zt_now *now = zt_loop_now(db->n->loop);
    int rc = values == NULL ? ZT_E_NOMEM
             : r->addr == 0 ? zt_controller_set_network(db->ctl, now, values)
                            : zt_controller_set_member(db->ctl, now, values);
    free(values);
    return rc;
}

static int tell_core(struct zt_ctl_db *db, const struct record *r, const json_t *doc)
{
    return is_ours(db, r) ? give_core(db, r, read_values(r, doc)) : 0;
}

/* Answer with text now, or when this version of the record is safe. */
static void answer_when_stored(struct record *r, const char *text, struct zt_api_to to)
{
    if (r->stored == r->version) {
        zt_api_text(to, 200, "application/json", text);
        return;
    }
    struct waiter *w = malloc(sizeof *w + strlen(text) + 1);
    if (w == NULL) {
        zt_api_error(to, 500, "out of memory");
        return;
    }
    w->to = to;
    w->version = r->version;
    strcpy(w->text, text);
    zt_list_init(&w->link);
    zt_list_push_back(&r->waiters, &w->link);
}

void zt_ctl_db_put(struct zt_ctl_db *db, uint64_t nwid, uint64_t addr, json_t *doc,
                   struct zt_api_to to)
{
    struct record *r = find(db, nwid, addr);
    json_t *old = r != NULL ? zt_ctl_parse(r->text, strlen(r->text), &(json_error_t){0}) : NULL;
    char *text = NULL;

    if (old != NULL && !zt_ctl_differ(old, doc)) {
        answer_when_stored(r, r->text, to);
        json_decref(old);
        return;
    }
    json_decref(old);
    if (zt_ctl_count_revision(doc) == 0)
        text = zt_ctl_dump(doc);
    bool is_new = r == NULL;
    if (is_new && text != NULL)
        r = add(db, nwid, addr);
    if (r == NULL || text == NULL || tell_core(db, r, doc) != 0) {
        free(text);
        if (is_new && r != NULL)
            drop(db, r, 500);
        zt_api_error(to, 500, "out of memory, or too many records");
        return;
    }
    r->is_fresh |= is_new && addr == 0;
    set_text(db, r, doc, text);
    answer_when_stored(r, r->text, to);
}

/* ---- removal -----------------------------------------------------------------------------------
 */

struct removal {
    struct zt_list link; /* loop's */
    struct zt_post post;
    struct zt_ctl_db *db;
    struct zt_api_to to;
    uint64_t nwid, addr;
    int rc;
    bool is_answered; /* the loop has ended: whoever sees this last frees it */
    char *text;
};

static void free_removal(struct removal *r)
{
    free(r->text);
    free(r);
}

static void removed(void *arg)
{
    struct removal *r = arg;
    zt_list_remove(&r->link);
    if (!r->is_answered && r->rc == 0)
        zt_api_text(r->to, 200, "application/json", r->text);
    else if (!r->is_answered)
        zt_api_error(r->to, 500, "the file can't be removed; it will be back after a restart");
    free_removal(r);
}

static void remove_job(struct zt_node *n, struct zt_job *j)
{
    struct zt_loop *l = zt_keeper_loop(n);
    struct removal *r;
    char name[64];
    memcpy(&r, j->data, sizeof r);
    file_of(r->nwid, r->addr, name);
    /* The network is gone with its own file; a crash before its members' leaves a folder that is
     * never read. */
    r->rc = zt_store_erase(n->store, name);
    if (r->addr == 0 && r->rc == 0)
        remove_members(n, r->nwid);
    if (l == NULL || zt_loop_post_at(l, &r->post, removed, r) != 0)
        free_removal(r); /* unlinked and answered by zt_ctl_db_end, which came before */
}

void zt_ctl_db_delete(struct zt_ctl_db *db, uint64_t nwid, uint64_t addr, struct zt_api_to to)
{
    const struct zt_now *now = zt_loop_now(db->n->loop);
    struct record *r = find(db, nwid, addr);
    struct removal *job = calloc(1, sizeof *job);

    if (r == NULL || job == NULL) {
        free(job);
        zt_api_empty(to, r == NULL ? 404 : 500);
        return;
    }
    *job = (struct removal){.db = db, .to = to, .nwid = nwid, .addr = addr, .text = r->text};
    zt_list_init(&job->link);
    if (!zt_node_post_job(db->n, remove_job, "", 0, NULL, &job, sizeof job)) {
        free(job);
        zt_api_error(to, 500, "out of memory");
        return;
    }
    zt_list_push_back(&db->removals, &job->link);
    r->text = NULL;
    if (addr == 0)
        (void)zt_controller_delete_network(db->ctl, now, nwid);
    else
        (void)zt_controller_delete_member(db->ctl, now, nwid, addr);
    drop(db, r, 404);
}

/* ---- what the core changes ---------------------------------------------------------------------
 */

static void put_member(void *user, const struct zt_ctl_member *m, unsigned fields,
                       enum zt_ctl_credential credential, const char *token)
{
    struct zt_ctl_db *db = user;
    struct record *r = find(db, m->nwid, m->addr);
    json_error_t e;
    json_t *doc = r != NULL ? zt_ctl_parse(r->text, strlen(r->text), &e) : json_object();
    char *text = NULL;

    if (doc != NULL &&
        zt_ctl_member_defaults(doc, m->nwid, m->addr, zt_loop_now(db->n->loop)->wall_ms) == 0 &&
        zt_ctl_member_write(doc, m, fields, credential, token) == 0 &&
        zt_ctl_count_revision(doc) == 0)
        text = zt_ctl_dump(doc);
    if (text != NULL && r == NULL)
        r = add(db, m->nwid, m->addr);
    if (r != NULL && text != NULL)
        set_text(db, r, doc, text);
    else
        free(text); /* not stored: the member waits until a later change is */
    json_decref(doc);
}

static bool is_stored(void *user, uint64_t nwid, uint64_t addr)
{
    const struct record *r = find(user, nwid, addr);
    return r != NULL && r->stored == r->version;
}

/* ---- looking -----------------------------------------------------------------------------------
 */

const char *zt_ctl_db_network(const struct zt_ctl_db *db, uint64_t nwid)
{
    const struct record *r = find(db, nwid, 0);
    return r != NULL ? r->text : NULL;
}

const char *zt_ctl_db_member(const struct zt_ctl_db *db, uint64_t nwid, uint64_t addr)
{
    const struct record *r = addr != 0 ? find(db, nwid, addr) : NULL;
    return r != NULL ? r->text : NULL;
}

json_t *zt_ctl_db_read(const struct zt_ctl_db *db, uint64_t nwid, uint64_t addr, bool *none)
{
    const struct record *r = find(db, nwid, addr);
    json_error_t e;
    *none = r == NULL;
    return r != NULL ? zt_ctl_parse(r->text, strlen(r->text), &e) : NULL;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t *sorted_keys(const struct zt_map *m, size_t *n)
{
    uint64_t *ids = calloc(m->count + 1, sizeof *ids);
    *n = 0;
    for (size_t i = 0; ids != NULL && zt_map_next(m, &i, &ids[*n], NULL);)
        (*n)++;
    if (ids != NULL)
        qsort(ids, *n, sizeof *ids, ascending);
    return ids;
}

uint64_t *zt_ctl_db_networks(const struct zt_ctl_db *db, size_t *n)
{
    return sorted_keys(&db->networks, n);
}

static int by_address(const void *a, const void *b)
{
    uint64_t x = ((const struct zt_ctl_row *)a)->addr, y = ((const struct zt_ctl_row *)b)->addr;
    return x < y ? -1 : x > y;
}

struct zt_ctl_row *zt_ctl_db_members(const struct zt_ctl_db *db, uint64_t nwid, size_t *n)
{
    const struct zt_map *members = &find_network(db, nwid)->members;
    struct zt_ctl_row *rows = calloc(members->count + 1, sizeof *rows);
    void *m;
    *n = 0;
    for (size_t i = 0; rows != NULL && zt_map_next(members, &i, NULL, &m);) {
        const struct record *r = m;
        rows[(*n)++] = (struct zt_ctl_row){r->addr, r->revision, r->is_authorized, r->text};
    }
    if (rows != NULL)
        qsort(rows, *n, sizeof *rows, by_address);
    return rows;
}

static void count_record(const struct record *r, size_t *records, struct zt_ctl_db_counts *out)
{
    *records += 1;
    out->unwritten += r->stored != r->version;
}

void zt_ctl_db_count(const struct zt_ctl_db *db, struct zt_ctl_db_counts *out)
{
    void *net, *m;

    *out = (struct zt_ctl_db_counts){.writes = db->writes, .failures = db->failures};
    if (db->ctl != NULL)
        zt_controller_counts(db->ctl, &out->core);
    for (size_t i = 0; zt_map_next(&db->networks, &i, NULL, &net);) {
        count_record(&((struct network *)net)->r, &out->networks, out);
        const struct zt_map *members = &((struct network *)net)->members;
        for (size_t k = 0; zt_map_next(members, &k, NULL, &m);)
            count_record(m, &out->members, out);
    }
}

/* ---- start and end -----------------------------------------------------------------------------
 */

/* Read one file into a record that counts as stored. */
static void load_file(struct zt_ctl_db *db, const char *name, uint64_t nwid, uint64_t addr)
{
    struct zt_store *store = db->n->store;
    uint8_t *p = NULL;
    size_t len = 0;
    json_error_t e;
    char why[128];

    if (zt_store_read(store, name, &p, &len) != 0) {
        zt_store_aside(store, name, "cannot be read as a file");
        return;
    }
    json_t *doc = zt_ctl_parse((const char *)p, len, &e);
    free(p);
    if (!json_is_object(doc)) {
        snprintf(why, sizeof why, "not a JSON object (%.80s)",
                 doc == NULL ? e.text : "other value");
        zt_store_aside(store, name, why);
        json_decref(doc);
        return;
    }
    char *text = zt_ctl_dump(doc);
    struct record *r = text != NULL ? add(db, nwid, addr) : NULL;
    if (r != NULL) {
        take_text(r, doc, text);
        r->version = r->stored = 1;
        r->values = is_ours(db, r) ? read_values(r, doc) : NULL;
    } else {
        free(text);
    }
    json_decref(doc);
}

struct walk {
    struct zt_ctl_db *db;
    uint64_t nwid;
};

static void load_member(void *user, const char *name, uint64_t addr, int64_t age_s)
{
    const struct walk *w = user;
    if (addr != 0)
        load_file(w->db, name, w->nwid, addr);
}

static void load_network(void *user, const char *name, uint64_t nwid, int64_t age_s)
{
    struct walk w = {user, nwid};
    char folder[64];
    load_file(w.db, name, nwid, 0);
    if (find_network(w.db, nwid) == NULL)
        return;
    folder_of(nwid, "/member", folder);
    zt_store_sweep(w.db->n->store, folder);
    zt_store_each(w.db->n->store, folder, 10, ".json", load_member, &w);
}

int zt_ctl_db_load(struct zt_node *n, struct zt_ctl_db **out)
{
    struct zt_ctl_db *db = calloc(1, sizeof *db);
    if (db == NULL)
        return ZT_E_NOMEM;
    db->n = n;
    /* Ids and addresses of strangers come in through the core's own limits. */
    zt_map_init(&db->networks, (uint64_t)(uintptr_t)db ^ n->identity.addr);
    zt_list_init(&db->failed);
    zt_list_init(&db->removals);
    zt_store_sweep(n->store, NETWORKS);
    zt_store_each(n->store, NETWORKS, 16, ".json", load_network, db);
    *out = db;
    return 0;
}

static int start_record(struct zt_ctl_db *db, struct record *r)
{
    void *values = r->values;
    r->values = NULL;
    return is_ours(db, r) ? give_core(db, r, values) : 0;
}

static void put_time(void *user, int64_t wall_ms)
{
    struct zt_ctl_db *db = user;
    char text[24];
    const int len = snprintf(text, sizeof text, "%lld\n", (long long)wall_ms);
    (void)zt_node_post_job(db->n, zt_node_job_write, CLOCK, ZT_STORE_PRIVATE | ZT_STORE_DURABLE,
                           NULL, text, (size_t)len);
}

/* 0: never kept, or damaged, which costs no more than that. */
static int64_t kept_time(struct zt_ctl_db *db)
{
    char text[24] = "";
    uint8_t *p = NULL;
    size_t n = 0;
    if (!zt_store_has(db->n->store, CLOCK) || zt_store_read(db->n->store, CLOCK, &p, &n) != 0)
        return 0;
    memcpy(text, p, n < sizeof text - 1 ? n : sizeof text - 1);
    free(p);
    const long long ms = strtoll(text, NULL, 10);
    return ms > 0 ? ms : 0;
}

int zt_ctl_db_start(struct zt_ctl_db *db)
{
    struct zt_controller_store store = {.user = db,
                                        .put_member = put_member,
                                        .is_stored = is_stored,
                                        .put_time = put_time,
                                        .time_ms = kept_time(db)};
    void *net, *m;
    int rc = zt_core_control(db->n->core, &store, &db->ctl);

    for (size_t i = 0; rc == 0 && zt_map_next(&db->networks, &i, NULL, &net);) {
        rc = start_record(db, &((struct network *)net)->r);
        const struct zt_map *members = &((struct network *)net)->members;
        for (size_t k = 0; rc == 0 && zt_map_next(members, &k, NULL, &m);)
            rc = start_record(db, m);
    }
    return rc;
}

void zt_ctl_db_end(struct zt_ctl_db *db)
{
    void *net, *m;

    db->ctl = NULL;
    for (size_t i = 0; zt_map_next(&db->networks, &i, NULL, &net);) {
        answer_all(&((struct network *)net)->r, 503);
        const struct zt_map *members = &((struct network *)net)->members;
        for (size_t k = 0; zt_map_next(members, &k, NULL, &m);)
            answer_all(m, 503);
    }
    ZT_LIST_EACH(it, &db->removals)
    {
        struct removal *r = ZT_CONTAINER(it, struct removal, link);
        zt_list_remove(it);
        zt_api_empty(r->to, 503);
        r->is_answered = true;
    }
}

void zt_ctl_db_free(struct zt_ctl_db *db)
{
    void *net;
    if (db == NULL)
        return;
    for (size_t i = 0; zt_map_next(&db->networks, &i, NULL, &net);)
        network_free(net, 503);
    zt_map_fini(&db->networks);
    free(db);
}
