/* A peers.d file, given to a core that starts with it; and a networks.d file, to one that joins.
 * The first byte chooses. */
#include "fuzz.h"

#include <string.h>

#include "base/err.h"
#include "core/core.h"
#include "crypto/identity.h"

#define NETWORK 0x0123456789000001u

static const char secret[] =
    "f5e5e22811:0:"
    "b164a127c862d4bca517ce8aa0783928078d5d5e75f0755ccb006a8c03dd5332627a45ef3ce61eb7f1"
    "cd5e7dbcd2dcd6dc5f13b75e8911b7411074dfbd0b2eac:"
    "d1888f5296fbcc7488612f4415f57b0dfa2a32d8149b9331"
    "3b19b9fc37f570c2b60b858bee25553897f968fa0715c83c52d5f0ca75cc8c8c4ab52ff856cdf421";

static void on_send(void *user, const struct zt_link *to, const uint8_t *head, size_t nhead,
                    const uint8_t *body, size_t nbody, unsigned ttl)
{
    PROMISE(nhead + nbody > 0 && (to->ep.family == 4 || to->ep.family == 6));
}

static void on_random(void *user, void *out, size_t n)
{
    memset(out, 0x35, n);
}

static void on_save(void *user, enum zt_object what, uint64_t id, const uint8_t *p, size_t n)
{
    PROMISE(what == ZT_OBJECT_PEER || what == ZT_OBJECT_NETWORK);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct zt_identity id;
    static const struct zt_host host = {.send = on_send, .random = on_random, .save = on_save};
    struct zt_now now = {.mono_ms = 1000, .wall_ms = 1700000000000};
    struct zt_core *c;
    if (id.addr == 0) {
        PROMISE(zt_crypto_init() == 0);
        PROMISE(zt_identity_parse(secret, strlen(secret), &id) == 0);
    }
    if (n == 0)
        return 0;
    PROMISE(zt_core_new(&(struct zt_core_config){.identity = &id, .host = &host}, &now, &c) == 0);
    zt_core_tick(c, &now);
    if (p[0] & 1) {
        int rc = zt_core_restore_peer(c, &now, p + 1, n - 1);
        PROMISE(zt_core_peers(c, NULL, 0) <= 1);
        PROMISE(rc != 0 || zt_core_peers(c, NULL, 0) == 1);
    } else {
        struct zt_net_info info;
        PROMISE(zt_core_join(c, &now, NETWORK, p + 1, n - 1) == 0);
        PROMISE(zt_core_network(c, NETWORK, &info) == 0);
        PROMISE(info.status == ZT_NET_REQUESTING_CONFIGURATION || info.has_config);
    }
    now.mono_ms += 60000;
    zt_core_tick(c, &now);
    zt_core_save_peers(c);
    zt_core_free(c);
    return 0;
}
