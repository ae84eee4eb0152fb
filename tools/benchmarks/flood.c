/* An attacker for tools/bench flood: datagrams for one node, at a rate, for some seconds, from invented
 * sources (a raw socket: only inside a network namespace of its own).
 *
 *   flood KIND TARGET-IDENTITY IP PORT PER-SECOND SECONDS [SEED]
 *
 * KIND: hello (forged identities, the MAC is right, no proof of work), badmac (the same, and the MAC is
 * wrong), fragments (first pieces of packets that never end), whois (sealed packets of senders nobody
 * knows, so that the node has to ask), noise. Prints how many left. */
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "crypto/cipher.h"
#include "crypto/identity.h"
#include "wire/packet.h"

#define IDENTITIES 256 /* agreeing is dear for the attacker as well: keys are used again under other addresses */

static uint64_t state = 1;

static void numbers(void *user, void *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)out)[i] = (uint8_t)(state >> 56);
    }
}

static uint64_t number(void)
{
    uint64_t v;
    numbers(NULL, &v, sizeof v);
    return v;
}

static struct zt_identity target, own[IDENTITIES];
static struct zt_keys keys[IDENTITIES];

static void make_identities(void)
{
    for (int i = 0; i < IDENTITIES; i++) {
        uint8_t shared[ZT_SHARED_KEY];
        zt_keypair_generate(numbers, NULL, &own[i]);
        if (zt_identity_agree(&own[i], &target, shared) != 0 || zt_keys_init(&keys[i], shared) != 0)
            exit(1);
    }
}

static size_t hello(uint8_t *p, bool good)
{
    unsigned i = (unsigned)(number() % IDENTITIES);
    struct zt_identity id = own[i];
    id.addr = 0x1000000000 | number() % 0xe000000000;
    zt_pkt_init(p, number(), target.addr, id.addr, ZT_VERB_HELLO);
    struct zt_wr w = zt_wr(p, 1000);
    w.n = ZT_PKT_PAYLOAD;
    zt_wr_u8(&w, ZT_PROTO_VERSION);
    zt_wr_u8(&w, 1);
    zt_wr_u8(&w, 14);
    zt_wr_u16(&w, 1);
    zt_wr_u64(&w, (uint64_t)time(NULL) * 1000);
    zt_wr_identity(&w, &id, false);
    if (zt_seal(&keys[i], ZT_SUITE_POLY, p, w.n) != 0)
        exit(1);
    if (!good)
        p[ZT_PKT_MAC] ^= 1;
    return w.n;
}

static size_t make(const char *kind, uint8_t *p)
{
    if (strcmp(kind, "hello") == 0 || strcmp(kind, "badmac") == 0)
        return hello(p, kind[0] == 'h');
    numbers(NULL, p, 1400);
    if (strcmp(kind, "noise") == 0)
        return 1 + number() % 1400;
    zt_pkt_init(p, number(), target.addr, 0x1000000000 | number() % 0xe000000000, ZT_VERB_ECHO);
    numbers(NULL, p + ZT_PKT_PAYLOAD, 1000);
    p[ZT_PKT_FLAGS] = ZT_SUITE_SALSA << 3;
    if (strcmp(kind, "fragments") == 0)
        p[ZT_PKT_FLAGS] |= ZT_FLAG_FRAGMENTED;
    else if (strcmp(kind, "whois") != 0)
        exit(2);
    return kind[0] == 'f' ? 1400 : 100;
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc < 7 || zt_crypto_init() != 0 ||
        zt_identity_parse(argv[2], strlen(argv[2]), &target) != 0)
        return 2;
    struct sockaddr_in to = {.sin_family = AF_INET};
    if (inet_pton(AF_INET, argv[3], &to.sin_addr) != 1)
        return 2;
    const uint16_t port = (uint16_t)atoi(argv[4]);
    const double rate = atof(argv[5]);
    const int64_t length = (int64_t)(atof(argv[6]) * 1e9);
    if (argc > 7)
        state = strtoull(argv[7], NULL, 10);
    if (rate < 1 || rate > 1e6 || length > 120000000000)
        return 2; /* bounded */
    int s = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    if (s < 0) {
        perror("raw socket");
        return 1;
    }
    make_identities();
    uint64_t sent = 0, failed = 0;
    for (int64_t began = now_ns(), at; (at = now_ns() - began) < length;) {
        if ((double)sent > (double)at * 1e-9 * rate) {
            nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
            continue;
        }
        static uint8_t d[2048];
        struct iphdr *ip = (struct iphdr *)(void *)d;
        struct udphdr *udp = (struct udphdr *)(void *)(d + sizeof *ip);
        size_t n = make(argv[1], d + sizeof *ip + sizeof *udp) + sizeof *udp;
        *ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP};
        ip->saddr = htonl(0x0b000000u | (uint32_t)(number() & 0xffffff)); /* 11.0.0.0/8 */
        ip->daddr = to.sin_addr.s_addr;
        ip->tot_len = htons((uint16_t)(sizeof *ip + n));
        *udp = (struct udphdr){.source = htons(9993), .dest = htons(port), .len = htons((uint16_t)n)};
        if (sendto(s, d, sizeof *ip + n, 0, (struct sockaddr *)&to, sizeof to) < 0)
            failed++;
        sent++;
    }
    printf("{\"sent\": %llu, \"failed\": %llu}\n", (unsigned long long)sent,
           (unsigned long long)failed);
    return 0;
}
