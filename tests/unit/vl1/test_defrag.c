#include "ztest.h"

#include "vl1/defrag.h"

#define ID 0x1122334455667788u

static struct zt_drops drops;
static struct zt_defrag d;
static const struct zt_link link_a = {.sock = 1, .ep = {.family = 4, .port = 1}};
static const struct zt_link link_b = {.sock = 2, .ep = {.family = 4, .port = 2}};

static int begin(void **state)
{
    memset(&drops, 0, sizeof drops);
    zt_defrag_init(&d, &drops);
    return 0;
}

static int end(void **state)
{
    zt_defrag_fini(&d);
    return 0;
}

static uint8_t whole[ZT_PKT_MAX];

static void make_packet(uint64_t id)
{
    for (size_t i = 0; i < sizeof whole; i++)
        whole[i] = (uint8_t)(i * 31 + (i >> 8));
    zt_put64(whole, id);
    whole[ZT_FRAG_INDICATOR_AT] = 0x11; /* source: a head */
}

struct piece {
    uint8_t p[ZT_FRAG_DATA + ZT_PKT_MAX];
    size_t n;
};
static struct piece pieces[ZT_FRAGS_MAX];

/* Cut `whole` at these lengths of data. */
static void cut(const size_t *len, unsigned total)
{
    size_t at = 0;
    for (unsigned k = 0; k < total; k++) {
        size_t head = k == 0 ? 0 : ZT_FRAG_DATA;
        if (k > 0)
            zt_frag_header(whole, total, k, pieces[k].p);
        memcpy(pieces[k].p + head, whole + at, len[k]);
        pieces[k].n = head + len[k];
        at += len[k];
    }
}

static bool add(unsigned k, const struct zt_link *in, int64_t now_ms, uint8_t **p, size_t *n,
                struct zt_link *link)
{
    uint8_t *copy = exact_copy(pieces[k].p, pieces[k].n);
    bool done = zt_defrag_add(&d, now_ms, in, copy, pieces[k].n, p, n, link);
    free(copy);
    return done;
}

static void swap(unsigned *a, unsigned *b)
{
    unsigned t = *a;
    *a = *b;
    *b = t;
}

/* All orders of the pieces (Heap's algorithm), each as one packet. */
static unsigned try_orders(unsigned *order, unsigned k, unsigned total, size_t len)
{
    if (k == 1) {
        uint8_t *p;
        size_t n;
        struct zt_link link;
        for (unsigned i = 0; i < total; i++) {
            bool done = add(order[i], order[i] == 0 ? &link_a : &link_b, 0, &p, &n, &link);
            assert_int_equal(done, i == total - 1);
        }
        assert_int_equal(n, len);
        assert_memory_equal(p, whole, len);
        assert_int_equal(link.sock, link_a.sock); /* where the head came in */
        return 1;
    }
    unsigned runs = 0;
    for (unsigned i = 0; i < k; i++) {
        runs += try_orders(order, k - 1, total, len);
        swap(k % 2 == 0 ? &order[i] : &order[0], &order[k - 1]);
    }
    return runs;
}

static void all_orders(const size_t *len, unsigned total, unsigned runs)
{
    unsigned order[ZT_FRAGS_MAX];
    size_t sum = 0;
    for (unsigned i = 0; i < total; i++) {
        order[i] = i;
        sum += len[i];
    }
    make_packet(ID);
    cut(len, total);
    assert_int_equal(try_orders(order, total, total, sum), runs);
}

static void two_pieces(void **state)
{
    all_orders((size_t[]){1400, 1384}, 2, 2);
    all_orders((size_t[]){1432, 1}, 2, 2);
}

static void even_pieces_in_every_order(void **state)
{
    all_orders((size_t[]){1000, 984, 984, 984, 900}, 5, 120);
}

static void the_largest_packet_in_every_order(void **state)
{
    all_orders((size_t[]){1432, 1416, 1416, 1416, 1416, 1416, 1416}, 7, 5040);
}

static void uneven_pieces_of_other_senders(void **state)
{
    all_orders((size_t[]){100, 1300, 7, 900, 1432}, 5, 120);
    all_orders((size_t[]){28, 1, 1, 9000}, 4, 24);
    all_orders((size_t[]){9000, 1, 2, 3}, 4, 24);
}

static void interleaved_packets_do_not_mix(void **state)
{
    uint8_t *p;
    size_t n;
    struct zt_link link;
    static struct piece first[3];
    make_packet(1);
    cut((size_t[]){500, 484, 484}, 3);
    memcpy(first, pieces, sizeof first);
    make_packet(2);
    cut((size_t[]){500, 484, 484}, 3);
    for (unsigned k = 0; k < 3; k++) {
        bool done = zt_defrag_add(&d, 0, &link_a, first[k].p, first[k].n, &p, &n, &link);
        assert_int_equal(done, k == 2);
        if (done)
            assert_int_equal(zt_pkt_id(p), 1);
        assert_int_equal(add(k, &link_a, 0, &p, &n, &link), k == 2);
    }
    assert_int_equal(zt_pkt_id(p), 2);
    assert_int_equal(n, 1468);
}

static void duplicates_are_ignored_and_counted(void **state)
{
    uint8_t *p;
    size_t n;
    struct zt_link link;
    make_packet(ID);
    cut((size_t[]){500, 484, 484}, 3);
    assert_false(add(1, &link_a, 0, &p, &n, &link));
    assert_false(add(1, &link_a, 0, &p, &n, &link));
    assert_false(add(0, &link_a, 0, &p, &n, &link));
    assert_false(add(0, &link_a, 0, &p, &n, &link));
    assert_true(add(2, &link_a, 0, &p, &n, &link));
    assert_int_equal(drops.n[ZT_DROP_DUPLICATE], 2);
    assert_int_equal(n, 1468);
}

static void a_contradicting_total_is_refused(void **state)
{
    uint8_t *p;
    size_t n;
    struct zt_link link;
    make_packet(ID);
    cut((size_t[]){500, 484, 484}, 3);
    assert_false(add(1, &link_a, 0, &p, &n, &link));
    pieces[2].p[ZT_FRAG_TOTAL_NO] = 0x42;
    assert_false(add(2, &link_a, 0, &p, &n, &link));
    assert_int_equal(drops.n[ZT_DROP_FRAGMENT_HEADER], 1);
    pieces[2].p[ZT_FRAG_TOTAL_NO] = 0x32;
    assert_false(add(2, &link_a, 0, &p, &n, &link));
    assert_true(add(0, &link_a, 0, &p, &n, &link));
}

static void too_large_a_sum_is_refused(void **state)
{
    uint8_t *p;
    size_t n;
    struct zt_link link;
    make_packet(ID);
    cut((size_t[]){5000, 5000, 24}, 3); /* exactly the limit */
    assert_false(add(0, &link_a, 0, &p, &n, &link));
    assert_false(add(1, &link_a, 0, &p, &n, &link));
    assert_true(add(2, &link_a, 0, &p, &n, &link));
    assert_int_equal(n, ZT_PKT_MAX);

    pieces[2].n++;
    assert_false(add(0, &link_a, 0, &p, &n, &link));
    assert_false(add(1, &link_a, 0, &p, &n, &link));
    assert_false(add(2, &link_a, 0, &p, &n, &link));
    assert_int_equal(drops.n[ZT_DROP_FRAGMENT_SIZE], 1);
    assert_true(zt_list_empty(&d.used)); /* nothing kept of it */
}

static void incomplete_packets_expire(void **state)
{
    uint8_t *p;
    size_t n;
    struct zt_link link;
    make_packet(ID);
    cut((size_t[]){500, 484}, 2);
    assert_false(add(0, &link_a, 1000, &p, &n, &link));
    assert_int_equal(zt_defrag_expire(&d, 1000 + ZT_DEFRAG_MS - 1), 1000 + ZT_DEFRAG_MS);
    (void)zt_defrag_expire(&d, 1000 + ZT_DEFRAG_MS);
    assert_true(zt_list_empty(&d.used));
    assert_int_equal(drops.n[ZT_DROP_FRAGMENT_EXPIRED], 1);
    assert_false(add(1, &link_a, 7000, &p, &n, &link));
}

static void the_oldest_goes_when_the_table_is_full(void **state)
{
    uint8_t *p;
    size_t n;
    struct zt_link link;
    for (uint64_t id = 0; id <= ZT_DEFRAG_ENTRIES; id++) {
        make_packet(id);
        cut((size_t[]){500, 484}, 2);
        assert_false(add(0, &link_a, (int64_t)id, &p, &n, &link));
    }
    assert_int_equal(drops.n[ZT_DROP_FRAGMENT_EVICTED], 1);
    assert_true(add(1, &link_a, 100, &p, &n, &link)); /* the newest is there */
    make_packet(0);
    cut((size_t[]){500, 484}, 2);
    assert_false(add(1, &link_a, 100, &p, &n, &link)); /* the oldest is not */
}

/* A burst, or a flood, costs memory only while it lasts. */
static void buffers_go_when_no_fragments_come(void **state)
{
    uint8_t *p;
    size_t n;
    struct zt_link link;
    unsigned held = 0;
    make_packet(ID);
    cut((size_t[]){500, 484}, 2);
    assert_false(add(0, &link_a, 0, &p, &n, &link));
    assert_true(add(1, &link_a, 1000, &p, &n, &link));
    assert_int_equal(zt_defrag_expire(&d, 1000), 1000 + ZT_DEFRAG_REST_MS);
    assert_int_equal(zt_defrag_expire(&d, 999 + ZT_DEFRAG_REST_MS), 1000 + ZT_DEFRAG_REST_MS);
    for (unsigned i = 0; i < ZT_DEFRAG_ENTRIES; i++)
        held += d.entries[i].buf != NULL;
    assert_int_equal(held, 1); /* used again meanwhile */
    assert_int_equal(zt_defrag_expire(&d, 1000 + ZT_DEFRAG_REST_MS), ZT_NEVER);
    for (unsigned i = 0; i < ZT_DEFRAG_ENTRIES; i++)
        assert_null(d.entries[i].buf);
    make_packet(ID + 1);
    cut((size_t[]){500, 484}, 2);
    assert_false(add(0, &link_a, 90000, &p, &n, &link));
    assert_true(add(1, &link_a, 90000, &p, &n, &link));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_pieces),
        TEST(even_pieces_in_every_order),
        TEST(the_largest_packet_in_every_order),
        TEST(uneven_pieces_of_other_senders),
        TEST(interleaved_packets_do_not_mix),
        TEST(duplicates_are_ignored_and_counted),
        TEST(a_contradicting_total_is_refused),
        TEST(too_large_a_sum_is_refused),
        TEST(incomplete_packets_expire),
        TEST(the_oldest_goes_when_the_table_is_full),
        TEST(buffers_go_when_no_fragments_come),
    };
    return cmocka_run_group_tests_name("vl1/defrag", tests, NULL, NULL);
}
