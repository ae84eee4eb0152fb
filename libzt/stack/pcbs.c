/* Connections by their two ends: the table behind lwIP's patched look-up.
 *
 * Chains through the connections themselves; the number of buckets follows the number of
 * connections. The hash is keyed, because one end of each key is a stranger's choice. The last
 * connection found is tried first: segments come in runs. */
#include "stack/impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "stack/hooks.h"
#include "lwip/priv/tcp_priv.h"
#include "stack/port.h"

#define BUCKETS_MIN 256

static size_t ip_bytes(const ip_addr_t *ip, uint8_t *out)
{
    if (IP_IS_V6(ip)) {
        memcpy(out, ip_2_ip6(ip)->addr, 16);
        return 16;
    }
    memcpy(out, &ip_2_ip4(ip)->addr, 4);
    return 4;
}

static size_t place(const struct zt_stack *s, const ip_addr_t *local, uint16_t local_port,
                    const ip_addr_t *remote, uint16_t remote_port)
{
    uint8_t b[36];
    size_t n = ip_bytes(remote, b);
    n += ip_bytes(local, b + n);
    memcpy(b + n, &remote_port, 2);
    memcpy(b + n + 2, &local_port, 2);
    return (size_t)zt_siphash(s->key, b, n + 4) & s->pcbs.mask;
}

static void link_in(struct zt_pcb_table *t, size_t i, struct tcp_pcb *pcb)
{
    pcb->hash_next = t->bucket[i];
    pcb->hash_prev = &t->bucket[i];
    if (pcb->hash_next != NULL)
        pcb->hash_next->hash_prev = &pcb->hash_next;
    t->bucket[i] = pcb;
}

int zt_pcbs_init(struct zt_stack *s)
{
    s->pcbs = (struct zt_pcb_table){.mask = BUCKETS_MIN - 1};
    s->pcbs.bucket = calloc(BUCKETS_MIN, sizeof(struct tcp_pcb *));
    return s->pcbs.bucket != NULL ? 0 : ZT_E_NOMEM;
}

void zt_pcbs_fini(struct zt_stack *s)
{
    assert(s->pcbs.count == 0);
    free(s->pcbs.bucket);
}

/* Without memory the chains just get longer. */
static void grow(struct zt_stack *s)
{
    struct zt_pcb_table *t = &s->pcbs;
    size_t old = t->mask + 1;
    struct tcp_pcb **was = t->bucket, **now = calloc(old * 2, sizeof *now);
    if (now == NULL)
        return;
    t->bucket = now;
    t->mask = old * 2 - 1;
    for (size_t i = 0; i < old; i++) {
        while (was[i] != NULL) {
            struct tcp_pcb *p = was[i];
            was[i] = p->hash_next;
            link_in(t, place(s, &p->local_ip, p->local_port, &p->remote_ip, p->remote_port), p);
        }
    }
    free(was);
}

void zt_lwip_pcb_add(struct tcp_pcb *pcb)
{
    struct zt_stack *s = zt_stack_current();
    assert(pcb->hash_prev == NULL);
    if (s->pcbs.count > s->pcbs.mask)
        grow(s);
    link_in(&s->pcbs, place(s, &pcb->local_ip, pcb->local_port, &pcb->remote_ip, pcb->remote_port),
            pcb);
    s->pcbs.count++;
}

void zt_lwip_pcb_remove(struct tcp_pcb *pcb)
{
    struct zt_stack *s = zt_stack_current();
    struct zt_pcb_table *t = &s->pcbs;
    for (unsigned i = 0; pcb->acks_owed > 0 && i < s->nowed; i++)
        if (s->owed[i] == pcb)
            s->owed[i] = NULL;
    pcb->acks_owed = 0;
    zt_rate_forget(pcb);
    if (pcb->hash_prev == NULL)
        return;
    *pcb->hash_prev = pcb->hash_next;
    if (pcb->hash_next != NULL)
        pcb->hash_next->hash_prev = pcb->hash_prev;
    pcb->hash_next = NULL;
    pcb->hash_prev = NULL;
    t->count--;
    if (t->last == pcb)
        t->last = NULL;
}

static bool is(const struct tcp_pcb *p, const ip_addr_t *local, uint16_t local_port,
               const ip_addr_t *remote, uint16_t remote_port)
{
    return p->remote_port == remote_port && p->local_port == local_port &&
           ip_addr_cmp(&p->remote_ip, remote) && ip_addr_cmp(&p->local_ip, local);
}

struct tcp_pcb *zt_lwip_pcb_find(const ip_addr_t *local, uint16_t local_port,
                                 const ip_addr_t *remote, uint16_t remote_port)
{
    struct zt_stack *s = zt_stack_current();
    struct zt_pcb_table *t = &s->pcbs;
    if (t->last != NULL && is(t->last, local, local_port, remote, remote_port))
        return t->last;
    for (struct tcp_pcb *p = t->bucket[place(s, local, local_port, remote, remote_port)]; p != NULL;
         p = p->hash_next) {
        if (is(p, local, local_port, remote, remote_port)) {
            t->last = p;
            return p;
        }
    }
    return NULL;
}
