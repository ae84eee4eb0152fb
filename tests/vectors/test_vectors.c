/* Runs every case of the golden vectors: the JSON files of tests/vectors, or of $ZT_VECTORS, a
 * folder of the same form. Arguments limit it to the files named ("armor world"). Prints one line
 * per file and a total; exits 1 when anything failed. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/identity.h"
#include "vec.h"

struct row {
    const char *name; /* of NAME.json; one that ends in ".d" is a folder */
    int (*run)(struct vec *v);
};

/* One row a line: branches that add files meet here. */
static const struct row rows[] = {
    {"identity", vec_identity},
    {"agree", vec_agree},
    {"sign", vec_sign},
    {"salsa", vec_salsa},
    {"poly1305", vec_poly1305},
    {"hash", vec_hash},
    {"aes", vec_aes},
    {"armor", vec_armor},
    {"compress", vec_compress},
    {"inetaddress", vec_inetaddress},
    {"mac", vec_mac},
    {"world", vec_world},
    {"handshake", vec_handshake},
    {"com", vec_com},
    {"rules", vec_rules},
    {"netconf", vec_netconf},
    {"dictionary", vec_dictionary},
    {"controller.d", vec_controller},
};
#define ROWS (sizeof rows / sizeof rows[0])

/* In the folder, but read by another test, or (with the reason) by none yet. */
static const struct {
    const char *name, *why;
} skipped[] = {
    {"local-api.json", NULL}, /* replayed by tests/netns/local_api.sh */
};
#define SKIPPED (sizeof skipped / sizeof skipped[0])

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc < 2;
}

static bool is_folder(const struct row *row)
{
    size_t n = strlen(row->name);
    return n > 2 && strcmp(row->name + n - 2, ".d") == 0;
}

static void run(const struct row *row, const char *folder, unsigned *passed, unsigned *failed)
{
    char path[4096];
    json_error_t error;
    struct vec v = {.name = row->name, .folder = folder};

    snprintf(path, sizeof path, "%s/%s.json", folder, row->name);
    if (!is_folder(row))
        v.root = json_load_file(path, 0, &error);
    if (v.root == NULL && !is_folder(row)) {
        printf("FAIL %s: %s\n", path, error.text);
        v.failed++;
    } else {
        if (row->run(&v) != 0) {
            printf("FAIL %s: could not be tested\n", row->name);
            v.failed++;
        }
        vec_end(&v);
        if (v.passed + v.failed == 0)
            v.failed++;
        json_decref(v.root);
    }
    printf("%s%s: %u passed, %u failed\n", row->name, is_folder(row) ? "" : ".json", v.passed,
           v.failed);
    *passed += v.passed;
    *failed += v.failed;
}

/* A file of the folder that nothing above reads is named, so that none is forgotten silently. */
static void name_others(const char *folder)
{
    DIR *d = opendir(folder);
    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        size_t n = strlen(e->d_name);
        bool known = false;
        for (size_t i = 0; i < SKIPPED; i++)
            if (strcmp(skipped[i].name, e->d_name) == 0) {
                if (skipped[i].why != NULL)
                    printf("SKIP %s: %s\n", e->d_name, skipped[i].why);
                known = true;
            }
        for (size_t i = 0; i < ROWS; i++)
            known = known ||
                    (n == strlen(rows[i].name) + 5 && strncmp(rows[i].name, e->d_name, n - 5) == 0);
        if (!known && n > 5 && strcmp(e->d_name + n - 5, ".json") == 0)
            printf("SKIP %s: no test reads it yet\n", e->d_name);
    }
    closedir(d);
}

int main(int argc, char **argv)
{
    const char *folder = getenv("ZT_VECTORS");
    unsigned passed = 0, failed = 0;

    if (folder == NULL || folder[0] == 0)
        folder = ZT_VECTORS_FOLDER;
    if (zt_crypto_init() != 0)
        return 2;
    for (size_t i = 0; i < ROWS; i++)
        if (wanted(rows[i].name, argc, argv))
            run(&rows[i], folder, &passed, &failed);
    if (argc < 2)
        name_others(folder);
    printf("total: %u passed, %u failed\n", passed, failed);
    return failed == 0 && passed > 0 ? 0 : 1;
}
