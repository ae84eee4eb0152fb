/* Planets and moons: what decodes is written back byte for byte. */
#include "fuzz.h"

#include <string.h>

#include "wire/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct zt_world w;
    static uint8_t out[ZT_WORLD_WIRE_MAX];
    struct zt_rd r = zt_rd(p, n);
    zt_rd_world(&r, &w);
    if (r.bad)
        return 0;
    PROMISE(w.nroots <= ZT_WORLD_ROOTS);
    for (unsigned i = 0; i < w.nroots; i++)
        PROMISE(w.roots[i].neps <= ZT_WORLD_ENDPOINTS);
    struct zt_wr wr = zt_wr(out, sizeof out);
    zt_wr_world(&wr, &w);
    PROMISE(!wr.bad);
    /* Not always the same bytes (skipped address types and a moon's dictionary are left out), but
     * what was written decodes to what was written. */
    static uint8_t again[ZT_WORLD_WIRE_MAX];
    size_t len = wr.n;
    r = zt_rd(out, len);
    zt_rd_world(&r, &w);
    PROMISE(!r.bad && zt_rd_left(&r) == 0);
    wr = zt_wr(again, sizeof again);
    zt_wr_world(&wr, &w);
    PROMISE(!wr.bad && wr.n == len && memcmp(out, again, len) == 0);
    return 0;
}
