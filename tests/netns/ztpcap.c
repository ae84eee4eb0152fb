/* Opens what tcpdump recorded of a virtual network.
 *
 *   ztpcap [-s] [-i IDENTITY]... FILE.pcap
 *
 * -i names an identity.public or identity.secret. A packet between two known nodes is opened when
 * the secret of either is known. One line for each packet, in the order in which they were
 * complete:
 *
 *   SECONDS FROM-ENDPOINT TO-ENDPOINT SOURCE DESTINATION SUITE VERB BYTES DATAGRAMS HOPS
 *
 * VERB is OK(HELLO) and the like for answers, "-" when the keys are not known (BYTES is then the
 * size as sealed, else that of the payload after decompression), BAD when the MAC is wrong. With -s
 * lines that differ in times, endpoints and sizes only are counted instead:
 *
 *   SOURCE DESTINATION SUITE VERB PACKETS BYTES
 *
 * A packet that was relayed is seen, and counted, once per leg. Datagrams that are no packets are
 * left out. Exit status: 0; 1 when a packet was BAD; 2 when the file can't be read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../verbs.h"
#include "base/addr.h"
#include "base/err.h"
#include "crypto/cipher.h"
#include "vl1/defrag.h"

#define NODES_MAX 32
#define FLOWS_MAX 256
#define SUMS_MAX 1024
#define SNAP_MAX (1 << 18)

struct packet {
    double time_s;
    struct zt_ep from, to;
    unsigned datagrams;
    uint64_t src, dst;
    unsigned suite, hops;
    char verb[48];
    size_t bytes;
};

static struct zt_identity nodes[NODES_MAX];
static unsigned nnodes;
static struct zt_keys *keys[NODES_MAX][NODES_MAX];

/* Fragments are put together per pair of endpoints: a relayed packet has the same id on each leg.
 */
static struct flow {
    struct zt_ep from, to;
    struct zt_defrag *defrag;
} flows[FLOWS_MAX];
static unsigned nflows;

static struct sum {
    uint64_t src, dst;
    unsigned suite;
    char verb[48];
    unsigned long long packets, bytes;
} sums[SUMS_MAX];
static unsigned nsums;
static bool summarise;
static unsigned long bad;

static void die(const char *what, const char *name)
{
    fprintf(stderr, "ztpcap: %s: %s\n", name, what);
    exit(2);
}

static void add_identity(const char *name)
{
    char text[ZT_IDENTITY_STR + 1];
    FILE *f = fopen(name, "r");
    if (f == NULL)
        die("cannot be opened", name);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    while (n > 0 && text[n - 1] == '\n')
        n--;
    if (nnodes == NODES_MAX || zt_identity_parse(text, n, &nodes[nnodes]) != 0)
        die("no identity, or one too many", name);
    nnodes++;
}

static int node(uint64_t addr)
{
    for (unsigned i = 0; i < nnodes; i++)
        if (nodes[i].addr == addr)
            return (int)i;
    return -1;
}

/* NULL: not known. */
static struct zt_keys *keys_of(uint64_t src, uint64_t dst)
{
    int a = node(src), b = node(dst);
    if (a < 0 || b < 0)
        return NULL;
    if (!nodes[a].has_priv) {
        int t = a;
        a = b;
        b = t;
    }
    if (!nodes[a].has_priv)
        return NULL;
    if (keys[a][b] == NULL) {
        uint8_t shared[ZT_SHARED_KEY];
        keys[a][b] = calloc(1, sizeof *keys[a][b]);
        if (keys[a][b] == NULL || zt_identity_agree(&nodes[a], &nodes[b], shared) != 0 ||
            zt_keys_init(keys[a][b], shared) != 0)
            die("no key", "agreement");
    }
    return keys[a][b];
}

static void name_verb(struct packet *k, const uint8_t *p, size_t n)
{
    uint8_t verb = p[ZT_PKT_VERB] & ZT_VERB_MASK;
    if ((verb == ZT_VERB_OK || verb == ZT_VERB_ERROR) && n > ZT_PKT_PAYLOAD)
        snprintf(k->verb, sizeof k->verb, "%s(%s)", verb_name(verb), verb_name(p[ZT_PKT_PAYLOAD]));
    else
        snprintf(k->verb, sizeof k->verb, "%s", verb_name(verb));
}

/* p: a whole packet, sealed. */
static void open_packet(struct packet *k, const uint8_t *p, size_t n)
{
    static uint8_t plain[ZT_PKT_MAX], out[ZT_PKT_MAX];
    struct zt_keys *pair = keys_of(k->src, k->dst);
    snprintf(k->verb, sizeof k->verb, "-");
    k->bytes = n;
    if (n > sizeof plain || (pair == NULL && k->suite != ZT_SUITE_TRUSTED))
        return;
    memcpy(plain, p, n);
    if (k->suite != ZT_SUITE_TRUSTED && zt_open(pair, plain, n) != 0) {
        snprintf(k->verb, sizeof k->verb, "BAD");
        bad++;
        return;
    }
    const uint8_t *opened = plain;
    if (plain[ZT_PKT_VERB] & ZT_VERB_COMPRESSED) {
        int len = zt_pkt_decompress(plain, n, out);
        if (len < 0) {
            snprintf(k->verb, sizeof k->verb, "BAD");
            bad++;
            return;
        }
        opened = out;
        n = (size_t)len;
    }
    k->bytes = n - ZT_PKT_PAYLOAD;
    name_verb(k, opened, n);
}

static void show(const struct packet *k)
{
    char from[ZT_EP_STR], to[ZT_EP_STR];
    if (!summarise) {
        printf("%.6f %s %s %010llx %010llx %u %s %zu %u %u\n", k->time_s,
               zt_ep_format(&k->from, from), zt_ep_format(&k->to, to), (unsigned long long)k->src,
               (unsigned long long)k->dst, k->suite, k->verb, k->bytes, k->datagrams, k->hops);
        return;
    }
    struct sum *s = sums;
    while (s < sums + nsums && (s->src != k->src || s->dst != k->dst || s->suite != k->suite ||
                                strcmp(s->verb, k->verb) != 0))
        s++;
    if (s == sums + nsums) {
        if (nsums == SUMS_MAX)
            die("too many kinds of packets", "-s");
        nsums++;
        s->src = k->src;
        s->dst = k->dst;
        s->suite = k->suite;
        memcpy(s->verb, k->verb, sizeof s->verb);
    }
    s->packets++;
    s->bytes += k->bytes;
}

static struct zt_defrag *defrag_of(const struct packet *k)
{
    static struct zt_drops drops;
    struct flow *f = flows;
    while (f < flows + nflows && (!zt_ep_equal(&f->from, &k->from) || !zt_ep_equal(&f->to, &k->to)))
        f++;
    if (f == flows + nflows) {
        if (nflows == FLOWS_MAX)
            die("too many pairs of endpoints", "fragments");
        nflows++;
        f->from = k->from;
        f->to = k->to;
        f->defrag = calloc(1, sizeof *f->defrag);
        if (f->defrag == NULL)
            die("no memory", "fragments");
        zt_defrag_init(f->defrag, &drops);
    }
    return f->defrag;
}

static void datagram(struct packet *k, const uint8_t *p, size_t n)
{
    uint8_t *whole = NULL;
    bool piece = n > ZT_FRAG_DATA && p[ZT_FRAG_INDICATOR_AT] == ZT_FRAG_INDICATOR;
    if (!piece && n < ZT_PKT_MIN)
        return;
    k->datagrams = 1;
    if (piece || p[ZT_PKT_FLAGS] & ZT_FLAG_FRAGMENTED) {
        struct zt_link link = {.sock = 0, .ep = k->from};
        struct zt_defrag *d = defrag_of(k);
        int64_t now_ms = (int64_t)(k->time_s * 1000);
        zt_defrag_expire(d, now_ms);
        if (!zt_defrag_add(d, now_ms, &link, p, n, &whole, &n, &link))
            return;
        k->datagrams = piece ? p[ZT_FRAG_TOTAL_NO] >> 4 : 0; /* the head doesn't know */
        p = whole;
    }
    k->src = zt_pkt_src(p);
    k->dst = zt_pkt_dest(p);
    k->suite = zt_pkt_suite(p);
    k->hops = zt_pkt_hops(p);
    open_packet(k, p, n);
    show(k);
}

static void ip_packet(double time_s, struct zt_rd *r)
{
    struct packet k = {.time_s = time_s};
    struct zt_rd start = *r;
    uint8_t first = zt_rd_u8(r);
    size_t header = first >> 4 == 4 ? (size_t)(first & 15) * 4 : 40;
    const uint8_t *ip = zt_rd_view(&start, header), *udp = zt_rd_view(&start, 8);
    if (start.bad)
        return;
    bool v4 = first >> 4 == 4;
    if (v4 ? header < 20 || ip[9] != 17 || (zt_be16(ip + 6) & 0x3fff) != 0 : ip[6] != 17)
        return;
    k.from = v4 ? zt_ep_make(4, ip + 12, zt_be16(udp)) : zt_ep_make(6, ip + 8, zt_be16(udp));
    k.to = v4 ? zt_ep_make(4, ip + 16, zt_be16(udp + 2)) : zt_ep_make(6, ip + 24, zt_be16(udp + 2));
    size_t n = zt_be16(udp + 4);
    const uint8_t *data = n >= 8 ? zt_rd_view(&start, n - 8) : NULL;
    if (data != NULL)
        datagram(&k, data, n - 8);
}

/* The classic format, written by this machine: see pcap-savefile(5). */
static void read_pcap(const char *name)
{
    static uint8_t frame[SNAP_MAX];
    struct {
        uint32_t magic;
        uint16_t major, minor;
        uint32_t zone, accuracy, snap, link;
    } file;
    struct {
        uint32_t s, us, held, length;
    } rec;
    FILE *f = strcmp(name, "-") == 0 ? stdin : fopen(name, "rb");
    if (f == NULL)
        die("cannot be opened", name);
    if (fread(&file, sizeof file, 1, f) != 1 || file.magic != 0xa1b2c3d4 || file.link != 1)
        die("not a recording of Ethernet in pcap format, of this byte order", name);
    while (fread(&rec, sizeof rec, 1, f) == 1) {
        if (rec.held > sizeof frame || fread(frame, 1, rec.held, f) != rec.held)
            break; /* still being written */
        if (rec.held != rec.length)
            die("frames are cut (tcpdump -s 0)", name);
        struct zt_rd r = zt_rd(frame, rec.held);
        zt_rd_skip(&r, 12);
        uint16_t type = zt_rd_u16(&r);
        if (!r.bad && (type == 0x0800 || type == 0x86dd))
            ip_packet((double)rec.s + (double)rec.us / 1e6, &r);
    }
    fclose(f);
}

int main(int argc, char **argv)
{
    const char *name = NULL;
    if (zt_crypto_init() != 0)
        die("not usable", "crypto");
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-i") == 0 && i + 1 < argc)
            add_identity(argv[++i]);
        else if (strcmp(argv[i], "-s") == 0)
            summarise = true;
        else
            name = argv[i];
    }
    if (name == NULL)
        die("usage: ztpcap [-s] [-i IDENTITY]... FILE.pcap", "no file");
    read_pcap(name);
    for (const struct sum *s = sums; s < sums + nsums; s++)
        printf("%010llx %010llx %u %s %llu %llu\n", (unsigned long long)s->src,
               (unsigned long long)s->dst, s->suite, s->verb, s->packets, s->bytes);
    for (unsigned i = 0; i < nflows; i++) {
        zt_defrag_fini(flows[i].defrag);
        free(flows[i].defrag);
    }
    for (unsigned i = 0; i < NODES_MAX * NODES_MAX; i++)
        if (keys[i / NODES_MAX][i % NODES_MAX] != NULL) {
            zt_keys_fini(keys[i / NODES_MAX][i % NODES_MAX]);
            free(keys[i / NODES_MAX][i % NODES_MAX]);
        }
    return bad > 0 ? 1 : 0;
}
