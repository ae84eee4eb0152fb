/* Addresses, neighbours, routes, UDP and ICMP between two stacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "wire.h"

static void addresses(unsigned i, unsigned n, const char *const *text)
{
    side[i].info.naddrs = n;
    for (unsigned k = 0; k < n; k++)
        side[i].info.addrs[k] = ep(text[k]);
    assert_int_equal(side[i].t->net_set(&side[i].info), 0);
}

static void test_idle_means_never(void **state)
{
    wire_run(30000); /* reports of the joined groups go out */
    assert_true(wire_idle());
    uint64_t frames = side[0].frames;
    wire_run(3600 * 1000);
    assert_int_equal(side[0].frames, frames);
    assert_true(wire_idle());
}

static void test_one_stack_a_process(void **state)
{
    struct zt_stack_host none = {0};
    assert_int_equal(A->open(&none, 0), ZT_E_BUSY);
}

static void test_udp_with_arp(void **state)
{
    struct twin_udp *a = A->udp(4, 5000), *b = B->udp(4, 6000);
    b->echo = true;
    wire_run(2000);
    struct zt_ep to = ep("10.1.0.2/6000");
    uint64_t frames = side[0].frames;
    assert_int_equal(A->udp_send(a, &to, 100), 0);
    assert_int_equal(A->udp_send(a, &to, 200), 0);
    assert_int_equal(side[0].frames, frames + 1); /* one request, two packets wait */
    assert_int_equal(zt_be48(last_frame[0]), ZT_MAC_BROADCAST);
    assert_int_equal(zt_be16(last_frame[0] + 12), 0x0806);
    wire_run(100);
    assert_int_equal(b->count, 2);
    assert_int_equal(b->bytes, 300);
    assert_int_equal(a->count, 2);
    assert_false(a->damaged || b->damaged);
    assert_int_equal(side[0].arp, 1);
    assert_int_equal(side[1].arp, 1); /* the answer; b learned a from the request */
    assert_int_equal(zt_be48(last_frame[0]), side[1].info.mac);
    wire_run(1000);
    assert_true(wire_idle());
}

static void test_arp_gives_up(void **state)
{
    static const int64_t at[] = {0, 100, 400, 1400, 3400};
    struct twin_udp *a = A->udp(4, 5000);
    wire_run(2000);
    struct zt_ep to = ep("10.1.9.9/6000");
    int64_t start = clock_ms;
    A->udp_send(a, &to, 100);
    size_t held = A->memory();
    for (unsigned i = 0; i < 5; i++) {
        wire_run(start + at[i] - clock_ms);
        assert_int_equal(side[0].arp, i + 1);
    }
    wire_run(10000);
    assert_int_equal(side[0].arp, 5);
    assert_true(wire_idle());
    assert_true(A->memory() <= held);
    A->udp_send(a, &to, 100); /* asks anew */
    assert_int_equal(side[0].arp, 6);
    wire_run(10000);
}

static void test_waiting_packets_are_bounded(void **state)
{
    struct twin_udp *a = A->udp(4, 5000), *b = B->udp(4, 6000);
    struct zt_ep to = ep("10.1.0.2/6000");
    wire_run(2000);
    for (unsigned i = 0; i < 1000; i++)
        A->udp_send(a, &to, 1000);
    wire_run(1000);
    assert_in_range(b->count, 100, 130); /* 128 KiB */
    assert_false(b->damaged);
}

/* A neighbour that changes its MAC says so; ordinary packets alone do not move a known one. */
static void test_known_neighbour_is_not_moved_by_packets(void **state)
{
    struct twin_udp *a = A->udp(4, 5000), *b = B->udp(4, 6000);
    struct zt_ep to = ep("10.1.0.2/6000"), back = ep("10.1.0.1/5000");
    wire_run(2000);
    A->udp_send(a, &to, 10);
    wire_run(100);
    assert_int_equal(b->count, 1);
    B->udp_send(b, &back, 20);
    uint8_t forged[2000];
    size_t n = last_size[1];
    memcpy(forged, last_frame[1], n);
    zt_put48(forged + 6, 0x02deadbeef01ULL);
    A->input(NWID, forged, n, clock_ms);
    assert_int_equal(a->count, 1);
    A->udp_send(a, &to, 10);
    assert_int_equal(zt_be48(last_frame[0]), side[1].info.mac);
    wire_run(100);
}

static void test_refresh_after_five_minutes(void **state)
{
    struct twin_udp *a = A->udp(4, 5000), *b = B->udp(4, 6000);
    struct zt_ep to = ep("10.1.0.2/6000");
    wire_run(2000);
    A->udp_send(a, &to, 10);
    wire_run(400000);
    assert_int_equal(side[0].arp, 1);
    A->udp_send(a, &to, 10); /* goes out at once, and the address is asked for again */
    assert_int_equal(side[0].arp, 2);
    wire_run(100);
    assert_int_equal(b->count, 2);
    cut = true;
    wire_run(400000);
    A->udp_send(a, &to, 10);
    wire_run(10000);
    cut = false;
    uint64_t arp = side[0].arp;
    A->udp_send(a, &to, 10); /* forgotten meanwhile: asked first */
    assert_int_equal(side[0].arp, arp + 1);
    wire_run(100);
    assert_int_equal(b->count, 3);
}

static void test_derived_addresses_need_no_discovery(void **state)
{
    struct zt_ep pa = zt_ep_6plane(NWID, ADDR_A), pb = zt_ep_6plane(NWID, ADDR_B);
    struct zt_ep ra = zt_ep_rfc4193(NWID, ADDR_A), rb = zt_ep_rfc4193(NWID, ADDR_B);
    side[0].info.naddrs = side[1].info.naddrs = 2;
    side[0].info.addrs[0] = pa;
    side[0].info.addrs[1] = ra;
    side[1].info.addrs[0] = pb;
    side[1].info.addrs[1] = rb;
    assert_int_equal(A->net_set(&side[0].info), 0);
    assert_int_equal(B->net_set(&side[1].info), 0);
    struct twin_udp *a = A->udp(6, 5000), *b = B->udp(6, 6000);
    b->echo = true;
    wire_run(2000);
    pb.port = rb.port = 6000;
    assert_int_equal(A->udp_send(a, &pb, 100), 0);
    assert_int_equal(A->udp_send(a, &rb, 100), 0);
    wire_run(50);
    assert_int_equal(a->count, 2);
    assert_int_equal(side[0].nd + side[1].nd, 0);
    assert_true(A->is_local(&pa));
    assert_false(A->is_local(&pb));
}

static void test_neighbour_discovery(void **state)
{
    addresses(0, 1, (const char *[]){"fd12::1/64"});
    addresses(1, 1, (const char *[]){"fd12::2/64"});
    struct twin_udp *a = A->udp(6, 5000), *b = B->udp(6, 6000);
    b->echo = true;
    wire_run(2000);
    struct zt_ep to = ep("fd12::2/6000");
    assert_int_equal(A->udp_send(a, &to, 100), 0);
    assert_int_equal(zt_be48(last_frame[0]), 0x3333ff000002ULL);
    wire_run(50);
    assert_int_equal(a->count, 1);
    assert_int_equal(side[0].nd, 1);
    assert_int_equal(side[1].nd, 1);
}

static void test_large_datagrams(void **state)
{
    addresses(0, 2, (const char *[]){"10.1.0.1/16", "fd12::1/64"});
    addresses(1, 2, (const char *[]){"10.1.0.2/16", "fd12::2/64"});
    struct twin_udp *a4 = A->udp(4, 5000), *b4 = B->udp(4, 6000);
    struct twin_udp *a6 = A->udp(6, 5000), *b6 = B->udp(6, 6000);
    struct zt_ep to4 = ep("10.1.0.2/6000"), to6 = ep("fd12::2/6000");
    wire_run(2000);
    A->udp_send(a4, &to4, 60000); /* its fragments wait for ARP, all of them */
    A->udp_send(a6, &to6, 60000);
    wire_run(100);
    assert_int_equal(b4->last_size, 60000);
    assert_int_equal(b6->last_size, 60000);
    A->udp_send(a4, &to4, 65507);
    A->udp_send(a6, &to6, 65487);
    wire_run(100);
    assert_int_equal(b4->last_size, 65507);
    assert_int_equal(b6->last_size, 65487);
    assert_false(b4->damaged || b6->damaged);
    wire_run(30000);
    assert_true(wire_idle());
}

static uint8_t caught[4][3000];
static size_t ncaught, caught_size[4];
static bool catch_fragments(unsigned from, const uint8_t *eth, size_t n)
{
    if (from != 0 || n < 1000)
        return false;
    assert_true(ncaught < 4 && n <= sizeof caught[0]);
    memcpy(caught[ncaught], eth, n);
    caught_size[ncaught++] = n;
    return true;
}

/* Four fragments, in each of their 24 orders. */
static void test_fragments_in_any_order(void **state)
{
    addresses(0, 2, (const char *[]){"10.1.0.1/16", "fd12::1/64"});
    addresses(1, 2, (const char *[]){"10.1.0.2/16", "fd12::2/64"});
    for (unsigned family = 4; family <= 6; family += 2) {
        struct twin_udp *a = A->udp(family, 5000), *b = B->udp(family, 6000);
        struct zt_ep to = family == 4 ? ep("10.1.0.2/6000") : ep("fd12::2/6000");
        A->udp_send(a, &to, 100);
        wire_run(100);
        lose = catch_fragments;
        for (unsigned order = 0; order < 24; order++) {
            unsigned left[4] = {0, 1, 2, 3}, x = order;
            ncaught = 0;
            A->udp_send(a, &to, 10000);
            assert_int_equal(ncaught, 4);
            for (unsigned k = 4; k > 0; k--) {
                unsigned i = x % k, f = left[i];
                x /= k;
                left[i] = left[k - 1];
                B->input(NWID, caught[f], caught_size[f], clock_ms);
            }
            assert_int_equal(b->count, 2 + order);
            assert_int_equal(b->last_size, 10000);
            assert_false(b->damaged);
        }
        lose = NULL;
    }
    wire_run(30000);
    assert_true(wire_idle());
}

static bool lose_every_third(unsigned from, const uint8_t *eth, size_t n)
{
    static unsigned count;
    return n > 1000 && ++count % 3 == 0;
}

static void test_lost_fragments_do_not_stay(void **state)
{
    struct twin_udp *a = A->udp(4, 5000), *b = B->udp(4, 6000);
    struct zt_ep to = ep("10.1.0.2/6000");
    wire_run(2000);
    A->udp_send(a, &to, 10);
    wire_run(100);
    size_t before = B->memory();
    lose = lose_every_third;
    for (unsigned i = 0; i < 100; i++)
        A->udp_send(a, &to, 60000);
    wire_run(10);
    assert_int_equal(b->count, 1);
    assert_in_range(B->memory(), before, before + 4 * 1024 * 1024); /* 1024 fragments at most */
    wire_run(30000);
    assert_int_equal(B->memory(), before);
    assert_true(wire_idle());
}

static size_t echo_request(uint8_t *f)
{
    size_t n = 14 + 20 + 8 + 56;
    memset(f, 0, n);
    zt_put48(f, side[1].info.mac);
    zt_put48(f + 6, side[0].info.mac);
    zt_put16(f + 12, 0x0800);
    uint8_t *ip = f + 14, *icmp = ip + 20;
    ip[0] = 0x45;
    zt_put16(ip + 2, (uint16_t)(n - 14));
    ip[8] = 64;
    ip[9] = 1;
    memcpy(ip + 12, ep("10.1.0.1").ip, 4);
    memcpy(ip + 16, ep("10.1.0.2").ip, 4);
    uint16_t sum = (uint16_t)~A->chksum(ip, 20);
    memcpy(ip + 10, &sum, 2);
    icmp[0] = 8;
    zt_put16(icmp + 6, 7);
    memset(icmp + 8, 0xa5, 56);
    sum = (uint16_t)~A->chksum(icmp, 64);
    memcpy(icmp + 2, &sum, 2);
    return n;
}

static void test_ping(void **state)
{
    uint8_t f[200];
    size_t n = echo_request(f);
    wire_run(2000);
    uint64_t frames = side[1].frames;
    B->input(NWID, f, n, clock_ms);
    assert_int_equal(side[1].frames, frames + 1); /* no ARP: the request itself told who asks */
    const uint8_t *r = last_frame[1];
    assert_int_equal(last_size[1], n);
    assert_int_equal(zt_be48(r), side[0].info.mac);
    assert_int_equal(r[14 + 20], 0);
    assert_memory_equal(r + 14 + 20 + 6, f + 14 + 20 + 6, 58);
    assert_int_equal(A->chksum(r + 14 + 20, 64), 0xffff);
}

static void test_broken_frames(void **state)
{
    uint8_t f[2000];
    struct twin_udp *a = A->udp(6, 5000);
    addresses(0, 2, (const char *[]){"10.1.0.1/16", "fd12::1/64"});
    addresses(1, 2, (const char *[]){"10.1.0.2/16", "fd12::2/64"});
    wire_run(2000);
    size_t before = B->memory();
    struct zt_ep to = ep("fd12::2/6000");
    size_t n = echo_request(f);
    for (size_t i = 0; i < n; i++)
        B->input(NWID, f, i, clock_ms);
    A->udp_send(a, &to, 10); /* a solicitation */
    n = last_size[0];
    memcpy(f, last_frame[0], n);
    uint64_t answers = side[1].nd;
    for (size_t i = 0; i < n; i++)
        B->input(NWID, f, i, clock_ms);
    for (size_t i = 14; i < n; i++) { /* a bit wrong anywhere: the checksum or the form says no */
        f[i] ^= 0x10;
        B->input(NWID, f, n, clock_ms);
        f[i] ^= 0x10;
    }
    assert_in_range(side[1].nd - answers, 0, 4); /* traffic class, flow label: not protected */
    B->input(NWID, f, n, clock_ms);
    assert_true(side[1].nd > answers);
    for (unsigned type = 0; type < 256; type++) { /* nonsense of every kind after a good header */
        memset(f + 14 + 40, (int)type, 40);
        f[14 + 6] = (uint8_t)type;
        B->input(NWID, f, n, clock_ms);
    }
    wire_run(30000);
    assert_int_equal(B->memory(), before);
    B->input(NWID + 1, f, n, clock_ms); /* not our network */
}

static void test_many_neighbours(void **state)
{
    addresses(1, 1, (const char *[]){"10.0.0.1/8"});
    wire_run(2000);
    uint8_t f[14 + 28] = {0};
    for (uint32_t i = 0; i < 40000; i++) {
        zt_put48(f, ZT_MAC_BROADCAST);
        zt_put48(f + 6, 0x020000000000ULL + i);
        zt_put16(f + 12, 0x0806);
        memcpy(f + 14, "\x00\x01\x08\x00\x06\x04\x00\x01", 8);
        zt_put48(f + 22, 0x020000000000ULL + i);
        zt_put32(f + 28, 0x0a010000 + i);
        zt_put32(f + 38, 0x0a000001);
        cut = true;
        B->input(NWID, f, sizeof f, clock_ms);
        cut = false;
        assert_int_equal(zt_be48(last_frame[1]), 0x020000000000ULL + i);
    }
    assert_int_equal(side[1].arp, 40000);
    struct twin_udp *b = B->udp(4, 1);
    struct zt_ep recent = ep("10.1.156.63/9"), old = ep("10.1.0.7/9"); /* 39999 and 7 */
    B->udp_send(b, &recent, 10);
    assert_int_equal(side[1].arp, 40000);
    B->udp_send(b, &old, 10); /* pushed out: has to be asked again */
    assert_int_equal(side[1].arp, 40001);
    wire_run(10000);
}

static void test_groups(void **state)
{
    addresses(0, 3, (const char *[]){"10.1.0.1/16", "10.2.0.1/24", "fd12::1:2:3/64"});
    assert_true(in_group(0, ZT_MAC_BROADCAST, 0x0a010001));
    assert_true(in_group(0, ZT_MAC_BROADCAST, 0x0a020001));
    assert_true(in_group(0, 0x01005e000001ULL, 0));
    assert_true(in_group(0, 0x333300000001ULL, 0));
    assert_true(in_group(0, 0x3333ff020003ULL, 0));
    struct zt_ep ll = zt_ep_link_local(side[0].info.mac);
    assert_true(in_group(0, 0x3333ff000000ULL | (zt_be32(ll.ip + 12) & 0xffffff), 0));
    addresses(0, 1, (const char *[]){"10.1.0.1/16"});
    assert_true(in_group(0, ZT_MAC_BROADCAST, 0x0a010001));
    assert_false(in_group(0, ZT_MAC_BROADCAST, 0x0a020001));
    assert_false(in_group(0, 0x3333ff020003ULL, 0));
}

static void test_several_addresses(void **state)
{
    addresses(1, 3, (const char *[]){"10.1.0.2/16", "10.2.0.2/24", "10.3.0.2/24"});
    addresses(0, 3, (const char *[]){"10.1.0.1/16", "10.2.0.1/24", "10.3.0.1/24"});
    struct twin_udp *a = A->udp(4, 5000), *b = B->udp(4, 6000);
    b->echo = true;
    wire_run(2000);
    struct zt_ep to[] = {ep("10.1.0.2/6000"), ep("10.2.0.2/6000"), ep("10.3.0.2/6000")};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(A->udp_send(a, &to[i], 50), 0);
        wire_run(50);
        assert_int_equal(a->count, i + 1);
        /* The answer came from the address asked, to the one on the same subnet. */
        assert_memory_equal(last_frame[1] + 14 + 12, to[i].ip, 4);
        assert_int_equal(last_frame[1][14 + 17], to[i].ip[1]);
    }
    addresses(1, 2, (const char *[]){"10.3.0.2/24", "10.2.0.2/24"});
    assert_int_equal(A->udp_send(a, &to[2], 50), 0);
    wire_run(50);
    assert_int_equal(a->count, 4);
    A->udp_send(a, &to[0], 50);
    wire_run(50);
    assert_int_equal(a->count, 4);
    wire_run(10000);
    static char text[17][32];
    const char *many[17];
    for (unsigned i = 0; i < 17; i++) {
        snprintf(text[i], sizeof text[i], "10.%u.0.9/24", 50 + i);
        many[i] = text[i];
    }
    addresses(0, 16, many);
    side[0].info.naddrs = 17;
    side[0].info.addrs[16] = ep(text[16]);
    assert_int_equal(A->net_set(&side[0].info), ZT_E_LIMIT);
}

static void test_managed_routes(void **state)
{
    side[0].info.nroutes = 3;
    side[0].info.routes[0] =
        (struct zt_route){.target = ep("192.168.0.0/16"), .via = ep("10.1.0.2")};
    side[0].info.routes[1] =
        (struct zt_route){.target = ep("192.168.7.0/24"), .via = ep("10.1.0.9")};
    side[0].info.routes[2] = (struct zt_route){.target = ep("0.0.0.0/0"), .via = ep("10.1.0.2")};
    assert_int_equal(A->net_set(&side[0].info), 0);
    uint64_t nwid = 0;
    struct zt_ep e = ep("192.168.1.1");
    assert_true(A->routes(&e, &nwid));
    assert_int_equal(nwid, NWID);
    e = ep("10.1.77.1");
    assert_true(A->routes(&e, NULL));
    e = ep("8.8.8.8"); /* the default route: whoever gives us one allows it */
    assert_true(A->routes(&e, NULL));
    e = ep("fd00::1");
    assert_false(A->routes(&e, NULL));
    struct twin_udp *a = A->udp(4, 5000);
    wire_run(2000);
    struct zt_ep to = ep("192.168.1.1/53");
    assert_int_equal(A->udp_send(a, &to, 10), 0);
    assert_memory_equal(last_frame[0] + 14 + 24, ep("10.1.0.2").ip, 4); /* the gateway is asked */
    wire_run(50);
    assert_int_equal(zt_be48(last_frame[0]), side[1].info.mac);
    assert_memory_equal(last_frame[0] + 14 + 16, to.ip, 4);
    to = ep("192.168.7.1/53"); /* the longer prefix has another gateway */
    assert_int_equal(A->udp_send(a, &to, 10), 0);
    assert_memory_equal(last_frame[0] + 14 + 24, ep("10.1.0.9").ip, 4);
    wire_run(10000);
    side[0].info.nroutes = 0;
    assert_int_equal(A->net_set(&side[0].info), 0);
    assert_false(A->routes(&to, NULL));
    assert_false(A->routes(&e, NULL));
    assert_int_not_equal(A->udp_send(a, &to, 10), 0);
}

static void test_to_ourselves(void **state)
{
    struct twin_udp *a = A->udp(4, 5000);
    wire_run(2000);
    uint64_t frames = side[0].frames;
    struct zt_ep self = ep("10.1.0.1/5000");
    assert_int_equal(A->udp_send(a, &self, 500), 0);
    assert_int_equal(a->count, 0); /* not inside the call */
    assert_true(A->deadline() <= clock_ms);
    wire_run(1);
    assert_int_equal(a->count, 1);
    assert_false(a->damaged);
    assert_int_equal(side[0].frames, frames);
    a->echo = true; /* for ever: each tick does a bounded amount */
    A->udp_send(a, &self, 500);
    for (unsigned i = 0; i < 100; i++)
        A->tick(clock_ms);
    assert_in_range(a->count, 50, 102);
    a->echo = false;
    wire_run(10);
    assert_true(wire_idle());
}

static void test_two_networks(void **state)
{
    struct zt_net_info second = side[0].info;
    second.nwid = NWID + 1;
    second.mac = zt_mac_of(ADDR_A, NWID + 1);
    second.addrs[0] = ep("10.9.0.1/16");
    assert_int_equal(A->net_set(&second), 0);
    uint64_t nwid = 0;
    struct zt_ep e = ep("10.9.3.3");
    assert_true(A->routes(&e, &nwid));
    assert_int_equal(nwid, NWID + 1);
    struct twin_udp *a = A->udp(4, 5000);
    e.port = 1;
    assert_int_equal(A->udp_send(a, &e, 10), 0);
    assert_int_equal(zt_be48(last_frame[0] + 6), second.mac);
    A->net_remove(NWID + 1);
    assert_false(A->routes(&e, NULL));
    wire_run(10000);
    assert_true(wire_idle());
}

static void test_checksum(void **state)
{
    uint8_t buf[300];
    for (unsigned i = 0; i < sizeof buf; i++)
        buf[i] = (uint8_t)(i * 7 + 3 + (i > 200 ? 0xf0 : 0));
    for (size_t off = 0; off < 9; off++) {
        for (size_t n = 0; n < 280; n++) {
            uint32_t want = 0;
            for (size_t i = 0; i < n; i += 2) {
                uint16_t w = 0;
                memcpy(&w, buf + off + i, n - i >= 2 ? 2 : 1);
                want += w;
            }
            while (want >> 16)
                want = (want & 0xffff) + (want >> 16);
            assert_int_equal(A->chksum(buf + off, (int)n), want);
        }
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, wire_setup, wire_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_idle_means_never),
        T(test_one_stack_a_process),
        T(test_udp_with_arp),
        T(test_arp_gives_up),
        T(test_waiting_packets_are_bounded),
        T(test_known_neighbour_is_not_moved_by_packets),
        T(test_refresh_after_five_minutes),
        T(test_derived_addresses_need_no_discovery),
        T(test_neighbour_discovery),
        T(test_large_datagrams),
        T(test_fragments_in_any_order),
        T(test_lost_fragments_do_not_stay),
        T(test_ping),
        T(test_broken_frames),
        T(test_many_neighbours),
        T(test_groups),
        T(test_several_addresses),
        T(test_managed_routes),
        T(test_to_ourselves),
        T(test_two_networks),
        T(test_checksum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
