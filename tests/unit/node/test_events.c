/* The queue to the application: order, what may be merged, nothing lost that happens once. */
#include "../ztest.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "node/events.h"
#include "node/node.h"

#define MAX_SEEN 20000

/* The callback waits at the gate, so that a test can fill the queue. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool open;
    int n;
    struct {
        enum zt_node_event what;
        uint64_t id;
        unsigned was_paths, now_paths;
        enum zt_net_status status;
        char text[16];
    } seen[MAX_SEEN];
} g = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

static struct zt_events *events;
static bool current_inside;

static void on_note(void *user, const struct zt_node_note *note)
{
    pthread_mutex_lock(&g.lock);
    while (!g.open)
        pthread_cond_wait(&g.moved, &g.lock);
    assert_true(g.n < MAX_SEEN);
    g.seen[g.n].what = note->what;
    g.seen[g.n].id = note->peer != NULL  ? note->peer->addr
                     : note->net != NULL ? note->net->nwid
                                         : 0;
    g.seen[g.n].was_paths = note->peer_was != NULL ? note->peer_was->npaths : 99;
    g.seen[g.n].now_paths = note->peer != NULL ? note->peer->npaths : 99;
    g.seen[g.n].status = note->net != NULL ? note->net->status : ZT_NET_REQUESTING_CONFIGURATION;
    snprintf(g.seen[g.n].text, sizeof g.seen[g.n].text, "%s", note->text != NULL ? note->text : "");
    g.n++;
    current_inside = zt_events_is_current(events);
    pthread_mutex_unlock(&g.lock);
}

static void gate(bool open)
{
    pthread_mutex_lock(&g.lock);
    g.open = open;
    pthread_cond_broadcast(&g.moved);
    pthread_mutex_unlock(&g.lock);
}

static int setup(void **state)
{
    g.n = 0;
    g.open = false;
    return zt_events_new(on_note, NULL, &events);
}

/* Opens the gate and waits until everything is delivered. */
static void finish(void)
{
    gate(true);
    zt_events_free(events);
    events = NULL;
}

static void post(enum zt_node_event what)
{
    zt_events_post(events, &(struct zt_node_note){.what = what});
}

static void post_peer(uint64_t addr, unsigned was, unsigned now)
{
    struct zt_peer_info a = {.addr = addr, .npaths = was}, b = {.addr = addr, .npaths = now};
    zt_events_post(events,
                   &(struct zt_node_note){.what = ZT_NODE_PEER, .peer_was = &a, .peer = &b});
}

static void post_net(uint64_t nwid, enum zt_net_status was, enum zt_net_status now)
{
    struct zt_net_info a = {.nwid = nwid, .status = was}, b = {.nwid = nwid, .status = now};
    zt_events_post(events,
                   &(struct zt_node_note){.what = ZT_NODE_NETWORK, .net_was = &a, .net = &b});
}

static void test_in_order_with_copies(void **state)
{
    char text[] = "first";
    zt_events_post(events, &(struct zt_node_note){.what = ZT_NODE_FATAL, .text = text});
    text[0] = 'X'; /* the queue has its own */
    post(ZT_NODE_ONLINE);
    post_peer(1, 0, 1);
    post_peer(1, 1, 2);
    post(ZT_NODE_DOWN);
    finish();
    assert_int_equal(g.n, 5);
    assert_string_equal(g.seen[0].text, "first");
    assert_int_equal(g.seen[1].what, ZT_NODE_ONLINE);
    assert_int_equal(g.seen[2].now_paths, 1);
    assert_int_equal(g.seen[3].was_paths, 1);
    assert_int_equal(g.seen[4].what, ZT_NODE_DOWN);
    assert_true(current_inside);
}

static void fill(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        post_peer(1000 + i, 0, 1);
}

/* A slow callback: updates of one object become one, from the first `was` to the last `now`. */
static void test_merges_when_the_callback_is_slow(void **state)
{
    fill(ZT_EVENTS_SOFT + 1); /* one may be in the callback already */
    post_peer(7, 0, 1);
    for (unsigned i = 1; i < 50; i++)
        post_peer(7, i, i + 1);
    post(ZT_NODE_OFFLINE);
    finish();
    assert_int_equal(g.n, ZT_EVENTS_SOFT + 3);
    assert_int_equal(g.seen[g.n - 2].id, 7);
    assert_int_equal(g.seen[g.n - 2].was_paths, 0);
    assert_int_equal(g.seen[g.n - 2].now_paths, 50);
    assert_int_equal(g.seen[g.n - 1].what, ZT_NODE_OFFLINE);
}

static void test_changes_of_status_are_never_merged(void **state)
{
    fill(ZT_EVENTS_SOFT + 1);
    int before = ZT_EVENTS_SOFT + 1;
    post_net(5, ZT_NET_REQUESTING_CONFIGURATION, ZT_NET_OK);
    post_net(5, ZT_NET_OK, ZT_NET_OK); /* merged */
    post_net(5, ZT_NET_OK, ZT_NET_ACCESS_DENIED);
    post_net(5, ZT_NET_ACCESS_DENIED, ZT_NET_OK);
    post_net(5, ZT_NET_OK, ZT_NET_OK); /* merged into the second OK, not the first */
    finish();
    assert_int_equal(g.n, before + 3);
    assert_int_equal(g.seen[before].status, ZT_NET_OK);
    assert_int_equal(g.seen[before + 1].status, ZT_NET_ACCESS_DENIED);
    assert_int_equal(g.seen[before + 2].status, ZT_NET_OK);
}

static void test_bounded_but_what_happens_once_is_kept(void **state)
{
    fill(ZT_EVENTS_HARD + 500);
    for (int i = 0; i < 100; i++) /* a full disk has a word for each file */
        zt_events_post(events, &(struct zt_node_note){.what = ZT_NODE_WARNING, .text = "w"});
    for (int i = 0; i < 10; i++)
        post(i % 2 ? ZT_NODE_OFFLINE : ZT_NODE_ONLINE);
    finish();
    int once = 0, peers = 0;
    for (int i = 0; i < g.n; i++) {
        once += g.seen[i].what == ZT_NODE_ONLINE || g.seen[i].what == ZT_NODE_OFFLINE;
        peers += g.seen[i].what == ZT_NODE_PEER;
    }
    assert_int_equal(once, 10);
    assert_in_range(peers, ZT_EVENTS_HARD, ZT_EVENTS_HARD + 1);
    assert_in_range(g.n - once - peers, 0, 1); /* the callback may have taken one out at first */
}

static void test_nobody_listens(void **state)
{
    zt_events_post(NULL, &(struct zt_node_note){.what = ZT_NODE_UP});
    assert_false(zt_events_is_current(NULL));
    assert_false(zt_events_is_current(events));
    finish();
    assert_int_equal(g.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_in_order_with_copies, setup),
        cmocka_unit_test_setup(test_merges_when_the_callback_is_slow, setup),
        cmocka_unit_test_setup(test_changes_of_status_are_never_merged, setup),
        cmocka_unit_test_setup(test_bounded_but_what_happens_once_is_kept, setup),
        cmocka_unit_test_setup(test_nobody_listens, setup),
    };
    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
