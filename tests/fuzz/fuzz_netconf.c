/* Network configurations: the dictionary, the configuration in it, the chunks it comes in. */
#include "fuzz.h"

#include <string.h>

#include "wire/dict.h"
#include "wire/netconf.h"

#define LONGEST 65536

static void chunk(const uint8_t *p, size_t n)
{
    struct zt_chunk c;
    if (zt_chunk_decode(p, n, &c) != 0)
        return;
    PROMISE(c.data.n <= n);
    if (!c.is_legacy)
        PROMISE(c.offset <= c.total && c.data.n <= c.total - c.offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct zt_netconf conf;
    static uint8_t arena[LONGEST + 1], out[4 * LONGEST], value[LONGEST];
    if (n > LONGEST)
        return 0;
    static const char *const keys[] = {"nwid", "R", "C", "I", "n", ""};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        int got = zt_dict_get(p, n, keys[i], value, sizeof value);
        PROMISE(got <= (int)n);
    }
    chunk(p, n);
    if (zt_netconf_decode(p, n, arena, &conf) != 0)
        return 0;
    struct zt_wr w = zt_wr(out, sizeof out);
    (void)zt_netconf_encode(&conf, &w); /* no room is a fair answer */
    return 0;
}
