/* The 1.8 generation: before the start, identities, the ways to start, events, stopping. */
#include "zts18/ZeroTierSockets.h"

#include "../unit/ztest.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lab.h"

/* ---- before the start
 * ----------------------------------------------------------------------------
 */

/* Service is looked for first, whatever the arguments are: all zero, and odd ones. */
static void all_say_service(int i, uint64_t u, void *p)
{
    const int S = ZTS_ERR_SERVICE;
    unsigned len = (unsigned)i;
    assert_int_equal(zts_addr_is_assigned(u, len), 0);
    assert_int_equal(zts_addr_get(u, len, p), S);
    assert_int_equal(zts_addr_get_str(u, len, p, len), S);
    assert_int_equal(zts_addr_get_all(u, p, NULL), S);
    assert_int_equal(zts_net_join(u), S);
    assert_int_equal(zts_net_leave(u), S);
    assert_int_equal(zts_net_transport_is_ready(u), 0);
    assert_int_equal(zts_net_get_mac(u), (uint64_t)(int64_t)S);
    assert_int_equal(zts_net_get_mac_str(u, NULL, len), S);
    assert_int_equal(zts_net_get_broadcast(u), S);
    assert_int_equal(zts_net_get_mtu(u), S);
    assert_int_equal(zts_net_get_name(u, NULL, len), S);
    assert_int_equal(zts_net_get_status(u), S);
    assert_int_equal(zts_net_get_type(u), S);
    assert_int_equal(zts_route_is_assigned(u, len), S);
    assert_int_equal(zts_node_is_online(), 0);
    assert_int_equal(zts_node_get_id(), (uint64_t)(int64_t)S);
    assert_int_equal(zts_node_get_id_pair(NULL, NULL), S);
    assert_int_equal(zts_node_get_port(), S);
    assert_int_equal(zts_node_stop(), S);
    assert_int_equal(zts_node_free(), S);
    assert_int_equal(zts_moon_orbit(u, u), S);
    assert_int_equal(zts_moon_deorbit(u), S);
    assert_int_equal(zts_stats_get_all(p), S);
    assert_int_equal(zts_core_lock_obtain(), S);
    assert_int_equal(zts_core_lock_release(), S);
    assert_int_equal(zts_core_query_addr_count(u), S);
    assert_int_equal(zts_core_query_addr(u, len, NULL, len), S);
    assert_int_equal(zts_core_query_route_count(u), S);
    assert_int_equal(zts_core_query_route(u, len, NULL, NULL, len, NULL, NULL), S);
    assert_int_equal(zts_core_query_path_count(u), S);
    assert_int_equal(zts_core_query_path(u, len, NULL, len), S);
    assert_int_equal(zts_core_query_mc_count(u), S);
    assert_int_equal(zts_core_query_mc(u, len, NULL, NULL), S);

    assert_int_equal(zts_bsd_socket(i, i, i), S);
    assert_int_equal(zts_bsd_connect(i, p, len), S);
    assert_int_equal(zts_bsd_bind(i, p, len), S);
    assert_int_equal(zts_bsd_listen(i, i), S);
    assert_int_equal(zts_bsd_accept(i, p, NULL), S);
    assert_int_equal(zts_bsd_setsockopt(i, i, i, NULL, len), S);
    assert_int_equal(zts_bsd_getsockopt(i, i, i, NULL, NULL), S);
    assert_int_equal(zts_bsd_getsockname(i, p, NULL), S);
    assert_int_equal(zts_bsd_getpeername(i, p, NULL), S);
    assert_int_equal(zts_bsd_close(i), S);
    assert_int_equal(zts_bsd_select(i, NULL, NULL, NULL, NULL), S);
    assert_int_equal(zts_bsd_fcntl(i, i, i), S);
    assert_int_equal(zts_bsd_poll(NULL, len, i), S);
    assert_int_equal(zts_bsd_ioctl(i, u, NULL), S);
    assert_int_equal(zts_bsd_send(i, NULL, len, i), S);
    assert_int_equal(zts_bsd_sendto(i, NULL, len, i, p, len), S);
    assert_int_equal(zts_bsd_sendmsg(i, NULL, i), S);
    assert_int_equal(zts_bsd_recv(i, NULL, len, i), S);
    assert_int_equal(zts_bsd_recvfrom(i, NULL, len, i, p, NULL), S);
    assert_int_equal(zts_bsd_recvmsg(i, NULL, i), S);
    assert_int_equal(zts_bsd_read(i, NULL, len), S);
    assert_int_equal(zts_bsd_readv(i, NULL, i), S);
    assert_int_equal(zts_bsd_write(i, NULL, len), S);
    assert_int_equal(zts_bsd_writev(i, NULL, i), S);
    assert_int_equal(zts_bsd_shutdown(i, i), S);

    unsigned short port = 0;
    assert_int_equal(zts_socket(i, i, i), S);
    assert_int_equal(zts_connect(i, NULL, port, i), S);
    assert_int_equal(zts_bind(i, NULL, port), S);
    assert_int_equal(zts_listen(i, i), S);
    assert_int_equal(zts_accept(i, NULL, i, NULL), S);
    assert_int_equal(zts_send(i, NULL, len, i), S);
    assert_int_equal(zts_recv(i, NULL, len, i), S);
    assert_int_equal(zts_read(i, NULL, len), S);
    assert_int_equal(zts_write(i, NULL, len), S);
    assert_int_equal(zts_shutdown_rd(i), S);
    assert_int_equal(zts_shutdown_wr(i), S);
    assert_int_equal(zts_shutdown_rdwr(i), S);
    assert_int_equal(zts_close(i), S);
    assert_int_equal(zts_getpeername(i, NULL, i, NULL), S);
    assert_int_equal(zts_getsockname(i, NULL, i, NULL), S);
    assert_int_equal(zts_tcp_client(NULL, port), S);
    assert_int_equal(zts_tcp_server(NULL, port, NULL, i, NULL), S);
    assert_int_equal(zts_udp_server(NULL, port), S);
    assert_int_equal(zts_udp_client(NULL), S);

    int (*const sets[])(int, int) = {zts_set_no_delay, zts_set_reuse_addr,    zts_set_keepalive,
                                     zts_set_blocking, zts_set_send_buf_size, zts_set_recv_buf_size,
                                     zts_set_ttl};
    int (*const gets[])(int) = {zts_get_no_delay,
                                zts_get_reuse_addr,
                                zts_get_keepalive,
                                zts_get_blocking,
                                zts_get_linger_enabled,
                                zts_get_linger_value,
                                zts_get_recv_timeout,
                                zts_get_send_timeout,
                                zts_get_send_buf_size,
                                zts_get_recv_buf_size,
                                zts_get_ttl,
                                zts_get_last_socket_error,
                                zts_get_pending_data_size};
    for (size_t k = 0; k < sizeof sets / sizeof *sets; k++)
        assert_int_equal(sets[k](i, i), S);
    for (size_t k = 0; k < sizeof gets / sizeof *gets; k++)
        assert_int_equal(gets[k](i), S);
    assert_int_equal(zts_set_linger(i, i, i), S);
    assert_int_equal(zts_set_recv_timeout(i, i, i), S);
    assert_int_equal(zts_set_send_timeout(i, i, i), S);
    assert_int_equal(zts_get_data_available(i), (size_t)(ssize_t)S);
    assert_int_equal(zts_dns_set_server((uint8_t)i, NULL), S);
    assert_null(zts_dns_get_server((uint8_t)i));
    assert_null(zts_bsd_gethostbyname(NULL));
    assert_null(zts_bsd_gethostbyname("name"));
}

static void test_service_first(void **state)
{
    char some[32768] = {0};
    all_say_service(0, 0, NULL);
    all_say_service(-1, UINT64_MAX, some);
    all_say_service(7, 0xff00160016000000, some);
}

/* ---- without a node
 * ------------------------------------------------------------------------------
 */

static void test_identities(void **state)
{
    char key[ZTS_ID_STR_BUF_LEN] = {0}, other[ZTS_ID_STR_BUF_LEN] = {0};
    unsigned len = ZTS_ID_STR_BUF_LEN;
    assert_int_equal(zts_id_new(NULL, &len), ZTS_ERR_ARG);
    assert_int_equal(zts_id_new(key, NULL), ZTS_ERR_ARG);
    len = ZTS_ID_STR_BUF_LEN - 1;
    assert_int_equal(zts_id_new(key, &len), ZTS_ERR_ARG);
    len = ZTS_ID_STR_BUF_LEN;
    assert_int_equal(zts_id_new(key, &len), ZTS_ERR_OK);
    assert_int_equal(len, 270);
    assert_int_equal(strlen(key), 270);
    assert_int_equal(zts_id_pair_is_valid(key, ZTS_ID_STR_BUF_LEN), 1);
    static const unsigned wrong[] = {0, 1, 270, 383, 385, 1024, (unsigned)-1, (unsigned)-1024};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(zts_id_pair_is_valid(key, wrong[i]), 0);
    assert_int_equal(zts_id_pair_is_valid(NULL, ZTS_ID_STR_BUF_LEN), 0);
    for (size_t cut = 0; cut < 270; cut += 9) { /* every part of it is looked at */
        memcpy(other, key, sizeof other);
        other[cut] = other[cut] == '1' ? '2' : '1';
        assert_int_equal(zts_id_pair_is_valid(other, ZTS_ID_STR_BUF_LEN), 0);
        memcpy(other, key, sizeof other);
        memset(other + cut, 0, sizeof other - cut);
        assert_int_equal(zts_id_pair_is_valid(other, ZTS_ID_STR_BUF_LEN), 0);
    }
    memset(other, 'a', sizeof other); /* no end in it */
    assert_int_equal(zts_id_pair_is_valid(other, ZTS_ID_STR_BUF_LEN), 0);
    assert_int_equal(zts_init_from_memory(other, ZTS_ID_STR_BUF_LEN), ZTS_ERR_ARG);
    assert_int_equal(zts_init_from_memory(NULL, ZTS_ID_STR_BUF_LEN), ZTS_ERR_ARG);
    assert_int_equal(zts_init_from_memory(key, 1), ZTS_ERR_ARG);
}

static void test_settings(void **state)
{
    char data[ZTS_STORE_DATA_LEN + 1] = {0};
    assert_int_equal(zts_init_from_storage(NULL), ZTS_ERR_ARG);
    assert_int_equal(zts_init_set_event_handler(NULL), ZTS_ERR_ARG);
    assert_int_equal(zts_init_set_roots(NULL, 1), ZTS_ERR_ARG);
    assert_int_equal(zts_init_set_roots(data, 0), ZTS_ERR_ARG);
    assert_int_equal(zts_init_set_roots(data, ZTS_STORE_DATA_LEN + 1), ZTS_ERR_ARG);
    assert_int_equal(zts_init_set_roots(data, ZTS_STORE_DATA_LEN), ZTS_ERR_OK);
    assert_int_equal(zts_init_blacklist_if(NULL, 1), ZTS_ERR_ARG);
    assert_int_equal(zts_init_blacklist_if("eth", 0), ZTS_ERR_ARG);
    assert_int_equal(zts_init_blacklist_if("abcdefghijklmnop", 16), ZTS_ERR_ARG);
    assert_int_equal(zts_init_blacklist_if("zzz", 3), ZTS_ERR_OK);
    assert_int_equal(zts_init_set_random_port_range(30000, 20000), ZTS_ERR_ARG);
    assert_int_equal(zts_init_set_low_bandwidth_mode(0), ZTS_ERR_OK);
    assert_int_equal(zts_init_allow_port_mapping(0), ZTS_ERR_OK);
    assert_int_equal(zts_init_allow_tcp_relay(0), ZTS_ERR_OK);
    assert_int_equal(zts_init_allow_tcp_relay(1), ZTS_ERR_NO_RESULT);
    assert_int_equal(zts_init_force_tcp_relay(1), ZTS_ERR_NO_RESULT);
    assert_int_equal(zts_init_set_tcp_relay("192.0.2.1", 443), ZTS_ERR_NO_RESULT);
}

static void test_computed(void **state)
{
    char text[ZTS_IP_MAX_STR_LEN];
    uint64_t nwid = zts_net_compute_adhoc_id(2000, 3000), node = 0x75f3543094;
    assert_int_equal(nwid, 0xff07d00bb8000000);
    assert_int_equal(zts_addr_compute_rfc4193_str(nwid, node, text, sizeof text), ZTS_ERR_OK);
    assert_string_equal(text, "FDFF:7D0:BB8:0:99:9375:F354:3094");
    assert_int_equal(zts_addr_compute_6plane_str(nwid, node, text, sizeof text), ZTS_ERR_OK);
    assert_string_equal(text, "FC47:7D0:B75:F354:3094::1");
    assert_int_equal(zts_addr_compute_6plane_str(nwid, node, text, 45), ZTS_ERR_ARG);
    assert_int_equal(zts_addr_compute_6plane_str(0, node, text, sizeof text), ZTS_ERR_ARG);
    struct zts_sockaddr_storage s;
    assert_int_equal(zts_addr_compute_6plane(nwid, 0, &s), ZTS_ERR_ARG);
    assert_int_equal(zts_addr_compute_rfc4193(nwid, node, NULL), ZTS_ERR_ARG);
    assert_int_equal(zts_addr_compute_6plane(nwid, node, &s), ZTS_ERR_OK);
    assert_int_equal(s.ss_family, ZTS_AF_INET6);
    unsigned short port = 9;
    assert_int_equal(zts_util_ntop((struct zts_sockaddr *)&s, sizeof s, text, sizeof text, &port),
                     ZTS_ERR_OK);
    assert_string_equal(text, "FC47:7D0:B75:F354:3094::1");
    assert_int_equal(port, 0);
}

static void test_texts(void **state)
{
    static const char *const v4[] = {"0", "0.0", "0.0.0", "1", "255", "1.2.3.4", "255.255.255.255"};
    static const char *const v6[] = {"::", "::1", "fe80::1", "FC47:7D0:B75:F354:3094::1"};
    static const char *const none[] = {
        "",         "-1",       ".",         "....",     "a.b.c.d",  "256.256.256.256",
        "0.-1.0.0", "0..0.0.0", "0.0.0.0..", ".0.0.0.0", " 1.2.3.4", "1.2.3.4 ",
        "1.2.3.4x", ":",        "1::2::3",   "host"};
    for (size_t i = 0; i < sizeof v4 / sizeof *v4; i++)
        assert_int_equal(zts_util_get_ip_family(v4[i]), ZTS_AF_INET);
    for (size_t i = 0; i < sizeof v6 / sizeof *v6; i++)
        assert_int_equal(zts_util_get_ip_family(v6[i]), ZTS_AF_INET6);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(zts_util_get_ip_family(none[i]), -1);
    assert_int_equal(zts_util_get_ip_family(NULL), ZTS_ERR_ARG);

    struct zts_sockaddr_storage s;
    zts_socklen_t len = sizeof s;
    char text[ZTS_IP_MAX_STR_LEN];
    unsigned short port = 0;
    struct zts_sockaddr *a = (struct zts_sockaddr *)&s;
    assert_int_equal(zts_util_ipstr_to_saddr("10.1.2.3", 80, a, &len), ZTS_ERR_OK);
    assert_int_equal(len, sizeof(struct zts_sockaddr_in));
    assert_int_equal(zts_util_ntop(a, len, text, sizeof text, &port), ZTS_ERR_OK);
    assert_string_equal(text, "10.1.2.3");
    assert_int_equal(port, 80);
    len = sizeof s;
    assert_int_equal(zts_util_ipstr_to_saddr("fe80::abcd", 65535, a, &len), ZTS_ERR_OK);
    assert_int_equal(len, sizeof(struct zts_sockaddr_in6));
    assert_int_equal(zts_util_ntop(a, len, text, sizeof text, &port), ZTS_ERR_OK);
    assert_string_equal(text, "FE80::ABCD");
    assert_int_equal(port, 65535);
    assert_int_equal(zts_util_ntop(a, len, text, 45, &port), ZTS_ERR_ARG);
    assert_int_equal(zts_util_ntop(NULL, len, text, sizeof text, &port), ZTS_ERR_ARG);
    len = 3;
    assert_int_equal(zts_util_ipstr_to_saddr("::", 1, a, &len), ZTS_ERR_ARG);

    zts_ip_addr ip;
    assert_int_equal(zts_ipaddr_aton("FCC5:205E:4FF5:5311:DFF0::1", &ip), 1);
    assert_string_equal(zts_ipaddr_ntoa(&ip), "FCC5:205E:4FF5:5311:DFF0::1");
    assert_int_equal(zts_ipaddr_aton("192.168.22.1", &ip), 1);
    assert_int_equal(ip.type, 0);
    assert_string_equal(zts_ipaddr_ntoa(&ip), "192.168.22.1");
    assert_int_equal(zts_ipaddr_aton("name", &ip), 0);
    assert_int_equal(zts_ipaddr_aton(NULL, &ip), 0);
    assert_null(zts_ipaddr_ntoa(NULL));
    assert_null(zts_inet_ntop(99, &ip, text, sizeof text));
    assert_int_equal(zts_errno, ZTS_EAFNOSUPPORT);
    assert_null(zts_inet_ntop(ZTS_AF_INET, &ip, text, 2));
    assert_int_equal(zts_errno, 28 /* ENOSPC */);
}

/* A set of roots made here is what a node relies on: see test_own_roots. */
static void read_root_identity(char out[ZTS_ID_STR_BUF_LEN])
{
    char path[160], home[128];
    lab_home("root", 0, home);
    snprintf(path, sizeof path, "%s/identity.public", home);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(out, ZTS_ID_STR_BUF_LEN, f));
    fclose(f);
    out[strcspn(out, "\r\n")] = 0;
}

static void test_root_sets(void **state)
{
    static char out[4096], prev[4096], curr[4096];
    char id[ZTS_ID_STR_BUF_LEN], dir[128], was[256];
    unsigned n = 0, np = 0, nc = 0;
    zts_root_set_t set = {.public_id_str = {id},
                          .endpoint_ip_str = {{"192.0.2.1/9993", "2001:db8::1/443"}}};
    read_root_identity(id);
    lab_home("keys", 0, dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_non_null(getcwd(was, sizeof was));
    assert_int_equal(chdir(dir), 0);
    assert_int_equal(zts_util_sign_root_set(out, &n, prev, &np, curr, &nc, 7, 1000, &set),
                     ZTS_ERR_OK);
    assert_int_equal(np, 128);
    assert_int_equal(nc, 128);
    assert_memory_equal(prev, curr, 128);
    assert_true(n > 100 && (unsigned char)out[0] == 1); /* a planet */
    /* Kept keys sign the next one, and name themselves again. */
    FILE *f = fopen("previous.c25519", "w"), *g = fopen("current.c25519", "w");
    fwrite(prev, 1, 128, f);
    fwrite(curr, 1, 128, g);
    fclose(f);
    fclose(g);
    static char again[4096];
    unsigned m = 0;
    assert_int_equal(zts_util_sign_root_set(again, &m, prev, &np, curr, &nc, 7, 1000, &set),
                     ZTS_ERR_OK);
    assert_int_equal(m, n);
    assert_memory_equal(again, out, n);
    assert_int_equal(truncate("current.c25519", 127), 0);
    assert_int_equal(zts_util_sign_root_set(again, &m, prev, &np, curr, &nc, 7, 1000, &set),
                     ZTS_ERR_ARG);
    assert_int_equal(unlink("current.c25519"), 0);
    set.endpoint_ip_str[0][1] = "nowhere";
    assert_int_equal(zts_util_sign_root_set(again, &m, prev, &np, curr, &nc, 7, 1000, &set),
                     ZTS_ERR_ARG);
    set.endpoint_ip_str[0][1] = NULL;
    id[3] = 'x';
    assert_int_equal(zts_util_sign_root_set(again, &m, prev, &np, curr, &nc, 7, 1000, &set),
                     ZTS_ERR_ARG);
    assert_int_equal(zts_util_sign_root_set(NULL, &m, prev, &np, curr, &nc, 7, 1000, &set),
                     ZTS_ERR_ARG);
    assert_int_equal(chdir(was), 0);
}

/* ---- events
 * --------------------------------------------------------------------------------------
 */

#define MAX_EVENTS 512
static struct seen {
    int code, len;
    bool is_node, is_network, is_netif, is_route, is_peer, is_addr, is_cache;
    char text[300];
} seen[MAX_EVENTS];
static atomic_int nseen;
static zts_peer_info_t last_peer;

static void on_event(void *p)
{
    const zts_event_msg_t *m = p;
    int i = atomic_load(&nseen);
    if (i == MAX_EVENTS)
        return;
    struct seen *s = &seen[i];
    *s = (struct seen){.code = m->event_code,
                       .len = m->len,
                       .is_node = m->node != NULL,
                       .is_network = m->network != NULL,
                       .is_netif = m->netif != NULL,
                       .is_route = m->route != NULL,
                       .is_peer = m->peer != NULL,
                       .is_addr = m->addr != NULL,
                       .is_cache = m->cache != NULL};
    if (m->cache != NULL && m->len < (int)sizeof s->text)
        memcpy(s->text, m->cache, (size_t)m->len);
    if (m->peer != NULL)
        last_peer = *m->peer;
    atomic_store(&nseen, i + 1);
}

static int find_event(int code)
{
    int n = atomic_load(&nseen);
    for (int i = 0; i < n; i++)
        if (seen[i].code == code)
            return i;
    return -1;
}

/* A minute, or four: under a sanitizer an identity takes long to make. */
#ifdef __SANITIZE_THREAD__
#define LOOKS 24000
#else
#define LOOKS 6000
#endif

static int wait_event(int code)
{
    for (int i = 0; i < LOOKS; i++) {
        int at = find_event(code);
        if (at >= 0)
            return at;
        zts_util_delay(10);
    }
    return -1;
}

static bool wait_online(void)
{
    for (int i = 0; i < LOOKS && !zts_node_is_online(); i++)
        zts_util_delay(10);
    return zts_node_is_online();
}

/* Until another node can be set up. */
static void stop_node(void)
{
    assert_int_equal(zts_node_stop(), ZTS_ERR_OK);
    assert_int_equal(zts_node_stop(), ZTS_ERR_SERVICE);
    assert_int_equal(zts_bsd_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0), ZTS_ERR_SERVICE);
    for (int i = 0; i < LOOKS && zts_init_set_port(0) != ZTS_ERR_OK; i++)
        zts_util_delay(10);
    assert_int_equal(zts_init_set_port(0), ZTS_ERR_OK);
}

static void get_key(char key[ZTS_ID_STR_BUF_LEN])
{
    unsigned len = ZTS_ID_STR_BUF_LEN;
    memset(key, 0, ZTS_ID_STR_BUF_LEN);
    assert_int_equal(zts_node_get_id_pair(key, &len), ZTS_ERR_OK);
    assert_int_equal(len, strlen(key));
    assert_int_equal(zts_id_pair_is_valid(key, ZTS_ID_STR_BUF_LEN), 1);
}

static int entries(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    while (d != NULL && readdir(d) != NULL)
        n++;
    if (d != NULL)
        closedir(d);
    return d != NULL ? n - 2 : -1;
}

/* ---- the ways to start
 * ---------------------------------------------------------------------------
 */

static char first_key[ZTS_ID_STR_BUF_LEN];

/* The roots of zeros that test_settings gave are not used: the spare planet is. No handler: no
 * event. */
static void test_nothing_kept(void **state)
{
    char was[256], dir[128];
    lab_home("empty", 0, dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_non_null(getcwd(was, sizeof was));
    assert_int_equal(chdir(dir), 0);
    assert_int_equal(zts_node_start(), ZTS_ERR_OK);
    assert_int_equal(zts_node_start(), ZTS_ERR_SERVICE);
    assert_int_equal(zts_init_set_port(1), ZTS_ERR_SERVICE);
    assert_int_equal(zts_init_from_storage("x"), ZTS_ERR_SERVICE);
    assert_true(wait_online());
    get_key(first_key);
    assert_int_equal(zts_node_get_id(), strtoull(first_key, NULL, 16));
    assert_in_range(zts_node_get_port(), 20000, 65499);
    unsigned len = ZTS_ID_STR_BUF_LEN - 1;
    char small[ZTS_ID_STR_BUF_LEN];
    assert_int_equal(zts_node_get_id_pair(small, &len), ZTS_ERR_ARG);
    assert_int_equal(atomic_load(&nseen), 0);
    stop_node();
    int threads = lab_threads(0), fds = lab_fds(0); /* libuv keeps a pipe for the process */
    assert_int_equal(zts_init_from_memory(first_key, ZTS_ID_STR_BUF_LEN), ZTS_ERR_OK);
    assert_int_equal(zts_node_start(), ZTS_ERR_OK);
    assert_true(wait_online());
    stop_node();
    assert_in_range(lab_threads(threads), 1, threads);
    assert_in_range(lab_fds(fds), 1, fds);
    assert_int_equal(entries("."), 0);
    assert_int_equal(chdir(was), 0);
}

static void test_given_identity(void **state)
{
    char key[ZTS_ID_STR_BUF_LEN], dir[128], path[160];
    struct stat st;
    assert_int_equal(zts_init_from_memory(first_key, ZTS_ID_STR_BUF_LEN), ZTS_ERR_OK);
    assert_int_equal(zts_init_set_random_port_range(41000, 41999), ZTS_ERR_OK);
    assert_int_equal(zts_init_allow_secondary_port(0), ZTS_ERR_OK);
    assert_int_equal(zts_node_start(), ZTS_ERR_OK);
    assert_true(wait_online());
    get_key(key);
    assert_string_equal(key, first_key);
    assert_in_range(zts_node_get_port(), 41000, 41999);
    stop_node();

    /* It goes before the one of a folder, and is not put there. */
    lab_home("given", 1, dir);
    assert_int_equal(zts_init_from_storage(dir), ZTS_ERR_OK);
    assert_int_equal(zts_init_from_memory(first_key, ZTS_ID_STR_BUF_LEN), ZTS_ERR_OK);
    assert_int_equal(zts_node_start(), ZTS_ERR_OK);
    assert_true(wait_online());
    get_key(key);
    assert_string_equal(key, first_key);
    snprintf(path, sizeof path, "%s/identity.secret", dir);
    assert_int_equal(stat(path, &st), -1);
    stop_node();

    /* What was said before has been forgotten: the folder's own identity, and it stays. */
    char own[ZTS_ID_STR_BUF_LEN];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(zts_init_from_storage(dir), ZTS_ERR_OK);
        assert_int_equal(zts_node_start(), ZTS_ERR_OK);
        assert_true(wait_online());
        get_key(i == 0 ? own : key);
        stop_node();
    }
    assert_string_equal(own, key);
    assert_string_not_equal(own, first_key);
    assert_int_equal(stat(path, &st), 0);

    /* ...unless it may not be used. */
    assert_int_equal(zts_init_from_storage(dir), ZTS_ERR_OK);
    assert_int_equal(zts_init_allow_id_cache(0), ZTS_ERR_OK);
    assert_int_equal(zts_node_start(), ZTS_ERR_OK);
    assert_true(wait_online());
    get_key(key);
    assert_string_not_equal(own, key);
    stop_node();
}

static void test_own_roots(void **state)
{
    static char planet[4096];
    char path[128], dir[128], file[160];
    struct stat st;
    lab_planet(path);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(planet, 1, sizeof planet, f);
    fclose(f);
    assert_int_equal(unsetenv("ZT_PLANET"), 0);
    /* Nothing names a root: never online, but up. */
    assert_int_equal(zts_node_start(), ZTS_ERR_OK);
    for (int i = 0; i < LOOKS && zts_node_get_port() < 0; i++)
        zts_util_delay(10);
    assert_true(zts_node_get_port() > 0);
    assert_int_equal(zts_node_is_online(), 0);
    stop_node();
    lab_home("rooted", 0, dir);
    assert_int_equal(zts_init_from_storage(dir), ZTS_ERR_OK);
    assert_int_equal(zts_init_set_roots(planet, (unsigned)n), ZTS_ERR_OK);
    assert_int_equal(zts_node_start(), ZTS_ERR_OK);
    assert_true(wait_online());
    stop_node();
    snprintf(file, sizeof file, "%s/identity.secret", dir);
    assert_int_equal(stat(file, &st), 0);
    lab_planet(path);
    assert_int_equal(setenv("ZT_PLANET", path, 1), 0);
}

/* Identity and network are given to the program when there is no folder, each pointer of a message
 * is that of its kind, and the numbers of the other generation don't come. */
static void test_events(void **state)
{
    atomic_store(&nseen, 0);
    assert_int_equal(zts_init_set_event_handler(on_event), ZTS_ERR_OK);
    assert_int_equal(zts_node_start(), ZTS_ERR_OK);
    assert_int_equal(zts_net_join(0), ZTS_ERR_ARG);
    int rc = ZTS_ERR_SERVICE; /* no need to be online; it waits, but not as long as a sanitizer may
                                 need */
    for (int i = 0; i < 24 && rc == ZTS_ERR_SERVICE; i++)
        rc = zts_net_join(LAB_NWID);
    assert_int_equal(rc, ZTS_ERR_OK);
    assert_true(wait_event(ZTS_EVENT_NODE_ONLINE) >= 0);
    assert_true(wait_event(ZTS_EVENT_NETWORK_READY_IP6) >= 0);
    assert_true(wait_event(ZTS_EVENT_PEER_DIRECT) >= 0);
    int secret = wait_event(ZTS_EVENT_STORE_IDENTITY_SECRET),
        public = find_event(ZTS_EVENT_STORE_IDENTITY_PUBLIC);
    char key[ZTS_ID_STR_BUF_LEN];
    get_key(key);
    assert_true(secret >= 0 && public > secret);
    assert_string_equal(seen[secret].text, key);
    assert_int_equal(seen[public].len, 141);
    assert_memory_equal(seen[public].text, key, 141);
    assert_true(wait_event(ZTS_EVENT_STORE_NETWORK) >= 0);
    assert_int_equal(zts_net_leave(LAB_NWID), ZTS_ERR_OK);
    assert_int_equal(zts_net_leave(LAB_NWID), ZTS_ERR_NO_RESULT);
    assert_true(wait_event(ZTS_EVENT_NETWORK_DOWN) >= 0);
    stop_node();
    assert_true(wait_event(ZTS_EVENT_NODE_DOWN) >= 0);
    zts_util_delay(50);
    int n = atomic_load(&nseen);
    for (int i = 0; i < n; i++) {
        int c = seen[i].code;
        assert_true(c != 205 && c != 206);
        assert_int_equal(seen[i].is_node, c >= 200 && c <= 204);
        assert_int_equal(seen[i].is_network, c >= 210 && c <= 219);
        assert_int_equal(seen[i].is_netif, c >= 230 && c <= 234);
        assert_int_equal(seen[i].is_peer, c >= 240 && c <= 244);
        assert_int_equal(seen[i].is_route, c >= 250 && c <= 251);
        assert_int_equal(seen[i].is_addr, c >= 260 && c <= 263);
        assert_true(seen[i].is_cache == (c >= 270 && c <= 274) || seen[i].len == 0);
    }
    assert_int_equal(seen[n - 1].code, ZTS_EVENT_NODE_DOWN);
    assert_int_equal(last_peer.role, ZTS_PEER_ROLE_PLANET);
    assert_true(last_peer.path_count >= 1);
    assert_int_equal(last_peer.paths[0].address.ss_family, ZTS_AF_INET);
}

static void test_fatal(void **state)
{
    atomic_store(&nseen, 0);
    assert_int_equal(zts_init_set_event_handler(on_event), ZTS_ERR_OK);
    assert_int_equal(zts_init_from_storage("/proc/nowhere"), ZTS_ERR_OK);
    assert_int_equal(zts_node_start(), ZTS_ERR_OK);
    assert_true(wait_event(ZTS_EVENT_NODE_FATAL_ERROR) >= 0);
    assert_true(wait_event(ZTS_EVENT_NODE_DOWN) >= 0);
    assert_int_equal(zts_node_is_online(), 0);
    assert_int_equal(zts_net_join(LAB_NWID), ZTS_ERR_SERVICE);
    assert_int_equal(zts_init_set_port(0), ZTS_ERR_OK);
}

/* Both generations in one program, one after the other; the older one's rule about being online
 * holds for its own start alone. */
static void test_other_generation_in_turn(void **state)
{
    char dir[128];
    lab_home("turn", 1, dir);
    assert_int_equal(lab_other_start(dir), 0);
    assert_int_equal(zts_init_set_port(0), ZTS_ERR_SERVICE);
    assert_int_equal(zts_node_start(), ZTS_ERR_SERVICE);
    assert_true(lab_other_online(LOOKS * 10));
    assert_true(zts_node_is_online());
    assert_int_equal(zts_net_join(LAB_NWID), ZTS_ERR_OK);
    assert_int_equal(lab_other_stop(), 0);
    atomic_store(&nseen, 0);
    assert_int_equal(zts_init_set_event_handler(on_event), ZTS_ERR_OK);
    assert_int_equal(zts_init_from_storage(dir), ZTS_ERR_OK);
    assert_int_equal(zts_node_start(), ZTS_ERR_OK);
    assert_true(wait_event(ZTS_EVENT_NODE_ONLINE) >= 0);
    assert_true(wait_event(ZTS_EVENT_NETWORK_READY_IP6) >= 0); /* from networks.d */
    stop_node();
    assert_int_equal(zts_init_from_storage(dir), ZTS_ERR_OK);
    assert_int_equal(zts_init_allow_net_cache(0), ZTS_ERR_OK);
    assert_int_equal(zts_node_start(), ZTS_ERR_OK);
    assert_true(wait_online());
    assert_int_equal(zts_net_get_status(LAB_NWID), ZTS_ERR_NO_RESULT);
    stop_node();
}

/* A child has no node, and may have one of its own. */
static void test_fork(void **state)
{
#ifdef __SANITIZE_THREAD__
    print_message("skipped: ThreadSanitizer allows no new threads after a fork\n");
    skip();
#endif
    assert_int_equal(zts_node_start(), ZTS_ERR_OK);
    assert_true(wait_online());
    uint64_t id = zts_node_get_id();
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (zts_node_get_port() != ZTS_ERR_SERVICE || zts_bsd_socket(2, 1, 0) != ZTS_ERR_SERVICE)
            _exit(1);
        if (zts_core_lock_obtain() != ZTS_ERR_SERVICE || zts_node_start() != ZTS_ERR_OK)
            _exit(2);
        if (!wait_online() || zts_node_get_id() == id)
            _exit(3);
        _exit(zts_node_free() == ZTS_ERR_OK ? 0 : 4);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(zts_node_get_id(), id);
    stop_node();
}

static void test_freed(void **state)
{
    assert_int_equal(zts_node_start(), ZTS_ERR_OK);
    assert_int_equal(zts_node_free(), ZTS_ERR_OK);
    assert_int_equal(zts_node_free(), ZTS_ERR_SERVICE);
    assert_int_equal(zts_node_start(), ZTS_ERR_SERVICE);
    assert_int_equal(zts_init_set_port(0), ZTS_ERR_SERVICE);
    all_say_service(0, 0, NULL);
}

static int setup(void)
{
    char path[128];
    lab_planet(path);
    return setenv("ZT_PLANET", path, 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_service_first), cmocka_unit_test(test_identities),
        cmocka_unit_test(test_computed),      cmocka_unit_test(test_texts),
        cmocka_unit_test(test_root_sets),     cmocka_unit_test(test_settings),
        cmocka_unit_test(test_nothing_kept),  cmocka_unit_test(test_given_identity),
        cmocka_unit_test(test_own_roots),     cmocka_unit_test(test_events),
        cmocka_unit_test(test_fatal),         cmocka_unit_test(test_other_generation_in_turn),
        cmocka_unit_test(test_fork),          cmocka_unit_test(test_freed),
    };
    lab_program(argc, argv, setup);
    return cmocka_run_group_tests_name("life18", tests, lab_setup, lab_teardown);
}
