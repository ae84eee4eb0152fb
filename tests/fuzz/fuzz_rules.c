/* The rules engine: a table and a frame of the fuzzer's choice, in both directions. The first byte
 * is the length of the table in units of four bytes, the second picks ethertype and flags. */
#include "fuzz.h"

#include "vl2/rules.h"

static void judge(const struct zt_policy *net, const struct zt_filter_frame *f, bool inbound)
{
    static const struct zt_held_tag tags[] = {{1, 1, 0}, {5, 6, 0}};
    const struct zt_holdings remote = {.tags = tags, .ntags = 2};
    struct zt_filter_outcome o, again;

    if (inbound)
        zt_filter_in(net, f, &remote, &o);
    else
        zt_filter_out(net, f, &remote, false, &o);
    PROMISE(o.ncopies <= ZT_FILTER_COPIES);
    for (unsigned i = 0; i < o.ncopies; i++)
        PROMISE(o.copies[i].n <= f->n);
    PROMISE(inbound || o.result != ZT_FILTER_SUPER);
    if (inbound)
        return;
    /* Without copies the answer is the same. */
    zt_filter_out(net, f, &remote, true, &again);
    PROMISE(again.result == o.result && again.ncopies <= o.ncopies);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const uint16_t types[] = {0x0800, 0x86dd, 0x0806, 0x8100};
    static const struct zt_held_tag own[] = {{5, 6, 0}};
    static struct zt_rule rules[ZT_RULES_MAX];

    if (n < 2 || n - 2 < 4u * p[0])
        return 0;
    size_t size = 4u * p[0];
    int count = zt_rules_decode(p + 2, size, rules, ZT_RULES_MAX);
    if (count < 0)
        return 0;
    struct zt_policy net = {.self = 0x1122334455,
                            .flags = p[1] & 0x1eu,
                            .rules = rules,
                            .nrules = (unsigned)count,
                            .own = {.tags = own, .ntags = 1}};
    struct zt_filter_frame f = {.source = net.self,
                                .dest = 0x89e92ceee5,
                                .mac_source = 0x020000000001,
                                .mac_dest = 0x020000000002,
                                .ethertype = types[p[1] >> 6],
                                .p = p + 2 + size,
                                .n = n - 2 - size};
    judge(&net, &f, false);
    f.source = f.dest;
    f.dest = net.self;
    judge(&net, &f, true);
    return 0;
}
