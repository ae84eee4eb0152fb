/* Credentials and rules. The first byte chooses which. What decodes is written back and decodes
 * again. */
#include "fuzz.h"

#include <string.h>

#include "wire/creds.h"
#include "wire/rules.h"

#define AGAIN(type, kind)                                                 \
    static void kind(const uint8_t *p, size_t n)                          \
    {                                                                     \
        static struct type v;                                             \
        static uint8_t first[ZT_PKT_ROOM], second[ZT_PKT_ROOM];           \
        struct zt_rd r = zt_rd(p, n);                                     \
        zt_rd_##kind(&r, &v);                                             \
        if (r.bad)                                                        \
            return;                                                       \
        struct zt_wr w = zt_wr(first, sizeof first);                      \
        zt_wr_##kind(&w, &v);                                             \
        PROMISE(!w.bad);                                                  \
        size_t len = w.n;                                                 \
        r = zt_rd(first, len);                                            \
        zt_rd_##kind(&r, &v);                                             \
        PROMISE(!r.bad && zt_rd_left(&r) == 0);                           \
        w = zt_wr(second, sizeof second);                                 \
        zt_wr_##kind(&w, &v);                                             \
        PROMISE(!w.bad && w.n == len && memcmp(first, second, len) == 0); \
    }

#define ZT_PKT_ROOM 32768

AGAIN(zt_com, com)
AGAIN(zt_tag, tag)
AGAIN(zt_cap, cap)
AGAIN(zt_coo, coo)
AGAIN(zt_revocation, revocation)

static void rules(const uint8_t *p, size_t n)
{
    static struct zt_rule list[ZT_RULES_MAX];
    int count = zt_rules_decode(p, n, list, ZT_RULES_MAX);
    PROMISE(count <= ZT_RULES_MAX);
    for (int i = 0; i < count; i++)
        (void)zt_rule_name(zt_rule_type(&list[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    if (n == 0)
        return 0;
    switch (p[0] % 6) {
    case 0:
        com(p + 1, n - 1);
        break;
    case 1:
        tag(p + 1, n - 1);
        break;
    case 2:
        cap(p + 1, n - 1);
        break;
    case 3:
        coo(p + 1, n - 1);
        break;
    case 4:
        revocation(p + 1, n - 1);
        break;
    case 5:
        rules(p + 1, n - 1);
        break;
    }
    return 0;
}
