#include "stack/port.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lwip/opt.h"
#include "lwip/sys.h"
#include "stack/hooks.h"
#include "stack/impl.h"

static uint64_t rotl(uint64_t x, unsigned b)
{
    return x << b | x >> (64 - b);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

static uint64_t load_le64(const uint8_t *p, size_t n)
{
    uint64_t x = 0;
    for (size_t i = 0; i < n; i++)
        x |= (uint64_t)p[i] << (8 * i);
    return x;
}

uint64_t zt_siphash(const uint64_t key[2], const void *data, size_t n)
{
    const uint8_t *p = data;
    uint64_t v[4] = {
        key[0] ^ 0x736f6d6570736575ULL,
        key[1] ^ 0x646f72616e646f6dULL,
        key[0] ^ 0x6c7967656e657261ULL,
        key[1] ^ 0x7465646279746573ULL,
    };
    uint64_t last = (uint64_t)n << 56;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t m = load_le64(p, 8);
        v[3] ^= m;
        sip_round(v);
        sip_round(v);
        v[0] ^= m;
    }
    last |= load_le64(p, n);
    v[3] ^= last;
    sip_round(v);
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

typedef uint64_t two_words __attribute__((vector_size(16)));

/* Sum of the 16-bit words in memory order, folded; the last odd byte counts as if a zero followed.
 * One's complement sums may be taken in wider words: pairs of 64-bit sums of 32-bit words, which
 * cannot overflow, then eight bytes a step with the carry added back in. */
uint16_t zt_lwip_chksum(const void *data, int len)
{
    const two_words low = {0xffffffffu, 0xffffffffu};
    const uint8_t *p = data;
    size_t n = (size_t)len;
    two_words sum[2] = {{0}}, v[4];
    uint64_t a, w;
    for (; n >= 64; n -= 64, p += 64) {
        memcpy(v, p, 64);
        for (unsigned i = 0; i < 4; i++)
            sum[i % 2] += (v[i] & low) + (v[i] >> 32);
    }
    sum[0] += sum[1];
    a = sum[0][0] + sum[0][1];
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&w, p, 8);
        a += w;
        a += a < w;
    }
    if (n > 0) {
        w = 0;
        memcpy(&w, p, n);
        a += w;
        a += a < w;
    }
    a = (a & 0xffffffffu) + (a >> 32);
    a = (a & 0xffffffffu) + (a >> 32);
    a = (a & 0xffffu) + (a >> 16);
    a = (a & 0xffffu) + (a >> 16);
    return (uint16_t)a;
}

void zt_lwip_trace(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
}

uint32_t zt_lwip_rand(void)
{
    uint32_t r;
    struct zt_stack *s = zt_stack_current();
    s->host.random(s->host.user, &r, sizeof r);
    return r;
}

u32_t sys_now(void)
{
    return (u32_t)zt_stack_current()->now_ms;
}

/* RFC 6528: a clock of 4 us plus a keyed hash of the connection, so that a stranger cannot guess
 * the number of another connection and a reused pair of ports still moves forward. */
uint32_t zt_lwip_isn(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote,
                     uint16_t remote_port)
{
    struct zt_stack *s = zt_stack_current();
    struct {
        ip_addr_t local, remote;
        uint16_t local_port, remote_port;
    } id;
    memset(&id, 0, sizeof id);
    ip_addr_copy(id.local, *local);
    ip_addr_copy(id.remote, *remote);
    id.local_port = local_port;
    id.remote_port = remote_port;
    return (uint32_t)zt_siphash(s->key, &id, sizeof id) + (uint32_t)((uint64_t)s->now_ms * 250);
}
