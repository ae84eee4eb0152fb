/* local.conf. */
#include "fuzz.h"

#include <string.h>

#include "base/err.h"
#include "node/conf.h"

static void say(void *user, const char *text)
{
    PROMISE(text != NULL && strlen(text) < 4096);
    ++*(unsigned *)user;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct zt_conf conf, standard;
    unsigned said = 0;
    json_t *doc = NULL;
    char *text = malloc(n + 1);
    PROMISE(text != NULL);
    memcpy(text, p, n);
    text[n] = 0;
    int rc = zt_conf_parse(text, n, &conf, say, &said, &doc);
    PROMISE(rc == 0 || (rc == ZT_E_FORMAT && said > 0));
    PROMISE((rc == 0) == (doc != NULL));
    zt_conf_default(&standard);
    PROMISE(rc == 0 || memcmp(&conf, &standard, sizeof conf) == 0);
    PROMISE(conf.nbind <= ZT_CONF_BIND && conf.nskip <= ZT_CONF_INTERFACES &&
            conf.nmanagers <= ZT_CONF_MANAGERS && conf.nusers <= ZT_CONF_USERS);
    PROMISE(conf.primary_port >= -1 && conf.primary_port <= 65535);
    json_decref(doc);
    free(text);
    return 0;
}
