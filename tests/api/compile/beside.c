/* R11: a program with libuv and OpenSSL of its own, linked with libzt.a, in which there are others. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "ZeroTierSockets.h"

static int fired, online;

static void on_timer(uv_timer_t *t)
{
    fired++;
    if (online || fired > 400)
        uv_timer_stop(t);
}

static void on_event(struct zts_callback_msg *m)
{
    if (m->eventCode == ZTS_EVENT_NODE_ONLINE)
        __atomic_store_n(&online, 1, __ATOMIC_RELEASE);
}

int main(int argc, char **argv)
{
    uv_timer_t t;
    unsigned char out[32];
    unsigned int n = 0;
    if (argc < 2 || zts_start(argv[1], on_event, 0) != 0)
        return 1;
    uv_timer_init(uv_default_loop(), &t);
    uv_timer_start(&t, on_timer, 10, 50);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    if (EVP_Digest("x", 1, out, &n, EVP_sha256(), NULL) != 1 || n != 32)
        return 2;
    printf("libuv %s, online %d\n", uv_version_string(), __atomic_load_n(&online, __ATOMIC_ACQUIRE));
    return !online || zts_free() != 0;
}
