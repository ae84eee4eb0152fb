/* Planets and moons. */
#include <string.h>

#include "crypto/sign.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct zt_world w, back;
    uint8_t out[ZT_WORLD_WIRE_MAX];

    struct zt_rd r = zt_rd(data, n);
    zt_rd_world(&r, &w);
    PROMISE(r.pos <= n);
    if (r.bad)
        return 0;
    struct zt_wr wr = zt_wr(out, sizeof out);
    zt_wr_world(&wr, &w);
    PROMISE(!wr.bad);
    r = zt_rd(out, wr.n);
    zt_rd_world(&r, &back);
    PROMISE(!r.bad && r.pos == wr.n && memcmp(&w, &back, sizeof w) == 0);

    /* Its own key makes it acceptable or not; a later one with a bad signature never is. */
    bool good = zt_world_verify(&w, w.update_key);
    back.timestamp_ms++;
    PROMISE(!good || !zt_world_replaces(&w, &back) || w.id == 0 || w.type == ZT_WORLD_NULL);
    return 0;
}
