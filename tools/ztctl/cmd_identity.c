/* identity new | show | validate. Needs no node. */
#include "identity_io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/err.h"
#include "crypto/identity.h"

void zc_random(void *user, void *out, size_t n)
{
    uint8_t *p = out;
    while (n > 0) {
        ssize_t got = getrandom(p, n < 256 ? n : 256, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            perror("ztctl: getrandom");
            exit(ZC_FAILED); /* a guessable key is worse than none */
        }
        p += got;
        n -= (size_t)got;
    }
}

static int parse(const char *text, size_t n, struct zt_identity *out)
{
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' '))
        n--;
    return zt_identity_parse(text, n, out);
}

int zc_load_identity(const struct zc *zc, const char *what, struct zt_identity *out)
{
    struct stat st;
    char *path = NULL;
    size_t n;
    if (strchr(what, ':') != NULL && parse(what, strlen(what), out) == 0)
        return ZC_OK;
    if (stat(what, &st) != 0 && strchr(what, ':') != NULL)
        return zc_fail(zc, "'%s' is not an identity", what);
    if (stat(what, &st) != 0)
        return zc_fail(zc, "%s: %s", what, strerror(errno));
    if (S_ISDIR(st.st_mode)) {
        if (asprintf(&path, "%s/identity.secret", what) < 0)
            path = NULL;
        zc_alloc(path);
        if (access(path, R_OK) != 0)
            memcpy(strrchr(path, '.') + 1, "public", sizeof "public");
    } else {
        path = zc_alloc(strdup(what));
    }
    int code = ZC_OK;
    char *text = zc_read_file(path, 4096, &n);
    if (text == NULL)
        code = zc_fail(zc, "%s: %s", path, strerror(errno));
    else if (parse(text, n, out) != 0)
        code = zc_fail(zc, "%s is not an identity (10 hex digits, ':0:', keys in hex)", path);
    if (text != NULL)
        zt_wipe(text, n);
    free(text);
    free(path);
    return code;
}

/* Both files, the secret one first: a home with only the public one would look damaged. */
static int store(const struct zc *zc, const char *dir, const struct zt_identity *id)
{
    char *secret, *public, text[ZT_IDENTITY_STR];
    if (asprintf(&secret, "%s/identity.secret", dir) < 0)
        secret = NULL;
    if (asprintf(&public, "%s/identity.public", dir) < 0)
    public = NULL;
    zc_alloc(secret);
    zc_alloc(public);
    int code = ZC_OK;
    zt_identity_format(id, true, text);
    if (zc_write_new(secret, text, strlen(text), 0600) != 0)
        code = zc_fail(zc, "%s: %s", secret, strerror(errno));
    zt_identity_format(id, false, text);
    if (code == ZC_OK && zc_write_over(public, text, strlen(text), 0644) != 0)
        code = zc_fail(zc, "%s: %s", public, strerror(errno));
    zt_wipe(text, sizeof text);
    free(secret);
    free(public);
    return code;
}

static int cmd_new(const struct zc *zc, int argc, char **argv)
{
    const char *dir = zc->home;
    if (argc == 2 && strcmp(argv[0], "-o") == 0)
        dir = argv[1];
    else if (argc != 0)
        return zc_usage(zc, "unexpected argument '%s'", argv[0]);
    char probe[4096];
    snprintf(probe, sizeof probe, "%s/identity.secret", dir);
    if (access(probe, F_OK) == 0)
        return zc_fail(zc, "%s exists and is kept; choose another folder with -o DIR", probe);
    if (zc_make_dirs(dir) != 0)
        return zc_fail(zc, "%s: %s", dir, strerror(errno));
    struct zt_identity id;
    int err = zt_identity_generate(zc_random, NULL, &id);
    if (err != 0)
        return zc_fail(zc, "%s", zt_err_text(err));
    int code = store(zc, dir, &id);
    if (code == ZC_OK && zc->json)
        code = zc_print_json(json_pack("{s:o,s:s}", "address",
                                       json_sprintf("%010llx", (unsigned long long)id.addr),
                                       "folder", dir));
    else if (code == ZC_OK)
        printf("%010llx\n", (unsigned long long)id.addr);
    zt_wipe(&id, sizeof id);
    return code;
}

static int cmd_show(const struct zc *zc, int argc, char **argv)
{
    struct zt_identity id;
    char text[ZT_IDENTITY_STR], hex[2 * 48 + 1];
    uint8_t print[48];
    if (argc > 1)
        return zc_usage(zc, "unexpected argument '%s'", argv[1]);
    int code = zc_load_identity(zc, argc == 1 ? argv[0] : zc->home, &id);
    if (code != ZC_OK)
        return code;
    zt_identity_fingerprint(&id, print);
    zt_hex_encode(print, sizeof print, hex);
    zt_identity_format(&id, false, text);
    bool secret = id.has_priv;
    zt_wipe(id.priv, sizeof id.priv);
    if (zc->json)
        return zc_print_json(json_pack(
            "{s:o,s:s,s:s,s:b}", "address", json_sprintf("%010llx", (unsigned long long)id.addr),
            "public", text, "fingerprint", hex, "hasSecret", (int)secret));
    printf("address      %010llx\npublic       %s\nfingerprint  %s\nsecret key   %s\n",
           (unsigned long long)id.addr, text, hex, secret ? "yes" : "no");
    return ZC_OK;
}

static int cmd_validate(const struct zc *zc, int argc, char **argv)
{
    struct zt_identity id;
    if (argc > 1)
        return zc_usage(zc, "unexpected argument '%s'", argv[1]);
    int code = zc_load_identity(zc, argc == 1 ? argv[0] : zc->home, &id);
    if (code != ZC_OK)
        return code;
    bool ok = zt_identity_validate(&id);
    zt_wipe(id.priv, sizeof id.priv);
    if (zc->json)
        zc_print_json(json_pack("{s:o,s:b}", "address",
                                json_sprintf("%010llx", (unsigned long long)id.addr), "valid",
                                (int)ok));
    else
        printf("%010llx is %s\n", (unsigned long long)id.addr,
               ok ? "valid" : "NOT valid: address, keys and proof of work don't belong together");
    return ok ? ZC_OK : ZC_FAILED;
}

int zc_cmd_identity(struct zc *zc, int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct zc *, int, char **);
    } verbs[] = {{"new", cmd_new}, {"show", cmd_show}, {"validate", cmd_validate}};
    if (argc == 0)
        return zc_usage(zc, "say what to do: new, show or validate");
    if (zt_crypto_init() != 0)
        return zc_fail(zc, "the cryptographic libraries can't be used");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(argv[0], verbs[i].name) == 0)
            return verbs[i].run(zc, argc - 1, argv + 1);
    return zc_usage(zc, "'%s' is not one of new, show, validate", argv[0]);
}
