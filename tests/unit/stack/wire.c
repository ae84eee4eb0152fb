#include "wire.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

struct side side[2];
int64_t clock_ms;
int delay_ms;
unsigned loss_percent;
bool cut;
bool (*lose)(unsigned from, const uint8_t *eth, size_t n);
uint8_t last_frame[2][10000];
size_t last_size[2];
struct narrow narrow;
struct twin_conn *client;
static struct frame *queue[2], **queue_end[2]; /* by receiver */
static uint64_t seed;
static size_t memory_before[2];

static uint32_t chance(void)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33);
}

static void on_random(void *user, void *out, size_t n)
{
    uint8_t *p = out;
    while (n-- > 0)
        *p++ = (uint8_t)chance();
}

/* When the frame comes out of the narrow place, in ms; < 0: it found the queue full. */
static int64_t through_narrow(size_t n)
{
    int64_t now_us = clock_ms * 1000, rate = narrow.bytes_ms;
    if (rate == 0)
        return clock_ms;
    if (narrow.free_us < now_us)
        narrow.free_us = now_us;
    uint64_t waiting = (uint64_t)((narrow.free_us - now_us) * rate / 1000);
    narrow.passed++;
    if (waiting + n > narrow.queue) {
        narrow.dropped++;
        return -1;
    }
    narrow.longest = waiting + n > narrow.longest ? waiting + n : narrow.longest;
    narrow.free_us += (int64_t)n * 1000 / rate;
    return (narrow.free_us + 999) / 1000;
}

static int on_frame(void *user, uint64_t nwid, uint8_t *eth, size_t n)
{
    struct side *s = user;
    uint16_t type = zt_be16(eth + 12);
    s->frames++;
    s->bytes += n;
    s->arp += type == 0x0806;
    s->nd += type == 0x86dd && eth[14 + 6] == 58 && eth[14 + 40] >= 133 && eth[14 + 40] <= 137;
    memcpy(last_frame[s->index], eth, n < 10000 ? n : 10000);
    last_size[s->index] = n;
    memset(eth - 64, 0xee, 64); /* as vl1 would */
    if (cut || (loss_percent > 0 && chance() % 100 < loss_percent) ||
        (lose != NULL && lose(s->index, eth, n)))
        return 0;
    int64_t out_ms = s->index == 0 ? through_narrow(n) : clock_ms;
    if (out_ms < 0)
        return 0;
    struct frame *f = malloc(sizeof *f + n);
    unsigned to = 1 - s->index;
    *f = (struct frame){.at_ms = out_ms + delay_ms, .to = to, .nwid = nwid, .n = n};
    memcpy(f->bytes, eth, n);
    *queue_end[to] = f;
    queue_end[to] = &f->next;
    memset(eth, 0xee, n);
    return 0;
}

static void on_subscribe(void *user, uint64_t nwid, uint64_t mac, uint32_t adi, bool add)
{
    struct side *s = user;
    for (unsigned i = 0; i < s->ngroups; i++) {
        if (s->group[i].mac == mac && s->group[i].adi == adi) {
            s->group[i].joined = add;
            return;
        }
    }
    if (s->ngroups < 64)
        s->group[s->ngroups++] = (struct group){mac, adi, add};
}

bool in_group(unsigned i, uint64_t mac, uint32_t adi)
{
    for (unsigned k = 0; k < side[i].ngroups; k++)
        if (side[i].group[k].mac == mac && side[i].group[k].adi == adi)
            return side[i].group[k].joined;
    return false;
}

struct zt_ep ep(const char *text)
{
    struct zt_ep e;
    if (zt_ep_parse(text, &e) != 0)
        abort();
    return e;
}

static int load(unsigned i, const char *path)
{
    struct side *s = &side[i];
    s->dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (s->dl == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return -1;
    }
    s->t = dlsym(s->dl, "twin_api");
    s->index = i;
    return s->t != NULL ? 0 : -1;
}

int wire_setup(void **state)
{
    seed = 42;
    clock_ms = 1000000;
    delay_ms = 1;
    loss_percent = 0;
    cut = false;
    lose = NULL;
    narrow = (struct narrow){0};
    for (unsigned i = 0; i < 2; i++)
        queue_end[i] = &queue[i];
    for (unsigned i = 0; i < 2; i++) {
        struct side *s = &side[i];
        if (s->dl == NULL && load(i, i == 0 ? TWIN_A : TWIN_B) != 0)
            return -1;
        s->ngroups = 0;
        s->frames = s->arp = s->nd = s->bytes = 0;
        struct zt_stack_host host = {
            .user = s, .frame = on_frame, .subscribe = on_subscribe, .random = on_random};
        if (s->t->open(&host, clock_ms) != 0)
            return -1;
        memory_before[i] = s->t->memory();
        memset(&s->info, 0, sizeof s->info);
        s->info.nwid = NWID;
        s->info.mac = zt_mac_of(i == 0 ? ADDR_A : ADDR_B, NWID);
        s->info.mtu = 2800;
        s->info.status = ZT_NET_OK;
        s->info.naddrs = 1;
        s->info.addrs[0] = ep(i == 0 ? "10.1.0.1/16" : "10.1.0.2/16");
        if (s->t->net_set(&s->info) != 0)
            return -1;
    }
    return 0;
}

int wire_setup_tcp(void **state)
{
    int e = wire_setup(state);
    if (e == 0)
        e = B->listen(4, 80);
    if (e == 0)
        wire_run(2000);
    return e;
}

static void clear_queue(void)
{
    for (unsigned i = 0; i < 2; i++) {
        while (queue[i] != NULL) {
            struct frame *f = queue[i];
            queue[i] = f->next;
            free(f);
        }
        queue_end[i] = &queue[i];
    }
}

int wire_teardown(void **state)
{
    int bad = 0;
    for (unsigned i = 0; i < 2; i++) {
        side[i].t->close();
        if (side[i].t->memory() != memory_before[i]) {
            fprintf(stderr, "side %u: %zu bytes left\n", i, side[i].t->memory() - memory_before[i]);
            bad = -1;
        }
        for (unsigned k = 0; k < side[i].ngroups; k++)
            if (side[i].group[k].joined) {
                fprintf(stderr, "side %u: still in group %012llx/%08x\n", i,
                        (unsigned long long)side[i].group[k].mac, side[i].group[k].adi);
                bad = -1;
            }
    }
    clear_queue(); /* closing says goodbye to groups */
    return bad;
}

static int64_t earliest(void)
{
    int64_t t = ZT_NEVER;
    for (unsigned i = 0; i < 2; i++) {
        if (queue[i] != NULL && queue[i]->at_ms < t)
            t = queue[i]->at_ms;
        if (side[i].t->deadline() < t)
            t = side[i].t->deadline();
    }
    return t;
}

static void arrive(unsigned to)
{
    while (queue[to] != NULL && queue[to]->at_ms <= clock_ms) {
        struct frame *f = queue[to];
        queue[to] = f->next;
        if (queue[to] == NULL)
            queue_end[to] = &queue[to];
        side[to].t->input(f->nwid, f->bytes, f->n, clock_ms);
        free(f);
    }
}

static void step(void)
{
    for (unsigned i = 0; i < 2; i++)
        arrive(i);
    for (unsigned i = 0; i < 2; i++)
        if (side[i].t->deadline() <= clock_ms)
            side[i].t->tick(clock_ms);
    for (unsigned i = 0; i < 2; i++) {
        side[i].t->flush();
        assert_int_equal(side[i].t->stalled(), 0);
    }
}

static bool never(void)
{
    return false;
}

bool wire_until(bool (*done)(void), int64_t ms)
{
    int64_t end = clock_ms + ms;
    while (!done()) {
        int64_t t = earliest();
        if (t > end) {
            clock_ms = end;
            for (unsigned i = 0; i < 2; i++)
                side[i].t->tick(clock_ms);
            return done();
        }
        if (t > clock_ms)
            clock_ms = t;
        step();
    }
    return true;
}

void wire_run(int64_t ms)
{
    (void)wire_until(never, ms);
}

bool all_acked(void)
{
    return client->acked == client->to_send;
}

bool wire_idle(void)
{
    return earliest() == ZT_NEVER;
}
