/* Runs a fuzz target without libFuzzer, as an ordinary test:
 *
 *   fuzz_NAME_seeds [-n MUTATIONS] [-s SEED] [FILE | FOLDER]...
 *
 * A file is one input. A folder is the target's own seed corpus: each file as it is, at every
 * shorter length, and mutated. Without either, or after folders, come the golden vectors: every hex
 * and text value in their JSON files, as it is and mutated. `-w DIR` writes the latter unmutated to
 * DIR instead, for libFuzzer. The same arguments give the same run. */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/addr.h"
#include "crypto/identity.h"
#include "fuzz.h"
#include "../unit/rng.h"

#define INPUT_MAX 16384

static struct {
    struct rng rng;
    unsigned mutations;
    const char *write_to;
    size_t seeds, runs;
} opt = {.rng = {1}, .mutations = 8};

static void die(const char *what)
{
    perror(what);
    exit(2);
}

/* In a block of its exact size: a sanitizer then sees reads past the end. */
static void feed(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    if (copy == NULL)
        die("malloc");
    memcpy(copy, data, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
    opt.runs++;
}

static void save(const uint8_t *data, size_t n)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/seed-%06zu", opt.write_to, opt.seeds);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(data, 1, n, f) != n || fclose(f) != 0)
        die(path);
}

/* One change in p of n bytes (room for INPUT_MAX): returns the new length. */
static size_t mutate(uint8_t *p, size_t n)
{
    struct rng *r = &opt.rng;
    static const uint8_t telling[] = {0, 1, 0x7f, 0x80, 0xff, 0xf0, 0x0f, 32, 33, 64};
    size_t at = n > 0 ? rng_below(r, n) : 0;

    switch (rng_below(r, 6)) {
    case 0:
        return at; /* cut */
    case 1:
        if (n > 0)
            p[at] ^= (uint8_t)(1 << rng_below(r, 8));
        return n;
    case 2:
        if (n > 0)
            p[at] = telling[rng_below(r, sizeof telling)];
        return n;
    case 3: { /* append */
        size_t more = rng_below(r, 40);
        if (n + more > INPUT_MAX)
            return n;
        rng_bytes(r, p + n, more);
        return n + more;
    }
    case 4: { /* take bytes out */
        size_t gone = n > at ? 1 + rng_below(r, n - at) % 20 : 0;
        if (at + gone > n)
            gone = n - at;
        memmove(p + at, p + at + gone, n - at - gone);
        return n - gone;
    }
    default: /* repeat a stretch elsewhere */
        if (n > 1) {
            size_t from = rng_below(r, n), room = n - (at > from ? at : from);
            memmove(p + at, p + from, room < 16 ? room : 16);
        }
        return n;
    }
}

static void seed(const uint8_t *data, size_t n, unsigned mutations)
{
    uint8_t p[INPUT_MAX];
    if (n > sizeof p)
        return;
    opt.seeds++;
    if (opt.write_to != NULL) {
        save(data, n);
        return;
    }
    feed(data, n);
    for (unsigned i = 0; i < mutations; i++) {
        size_t len = n;
        memcpy(p, data, n);
        for (size_t k = 1 + rng_below(&opt.rng, 3); k > 0; k--)
            len = mutate(p, len);
        feed(p, len);
    }
}

/* Every string below j: as bytes when it is hex, and as text when it is short. */
static void walk(json_t *j)
{
    const char *key;
    json_t *child;
    size_t i;

    if (json_is_string(j)) {
        uint8_t p[INPUT_MAX];
        const char *text = json_string_value(j);
        size_t n = strlen(text);
        if (n % 2 == 0 && n / 2 <= sizeof p && zt_hex_decode(text, p, n / 2) == 0)
            seed(p, n / 2, opt.mutations);
        if (n <= 300)
            seed((const uint8_t *)text, n, opt.mutations);
    } else if (json_is_array(j)) {
        json_array_foreach(j, i, child) walk(child);
    } else {
        json_object_foreach(j, key, child) walk(child);
    }
}

static int is_json(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return n > 5 && strcmp(e->d_name + n - 5, ".json") == 0;
}

static void vectors(const char *folder)
{
    struct dirent **names;
    int n = scandir(folder, &names, is_json, alphasort);
    if (n <= 0)
        die(folder);
    for (int i = 0; i < n; i++) {
        char path[4096];
        json_error_t error;
        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        json_t *root = json_load_file(path, 0, &error);
        if (root == NULL) {
            fprintf(stderr, "%s: %s\n", path, error.text);
            exit(2);
        }
        walk(root);
        json_decref(root);
        free(names[i]);
    }
    free(names);
}

static size_t read_file(const char *path, uint8_t out[INPUT_MAX])
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        die(path);
    size_t n = fread(out, 1, INPUT_MAX, f);
    fclose(f);
    return n;
}

static int is_visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static void corpus(const char *folder)
{
    struct dirent **names;
    int n = scandir(folder, &names, is_visible, alphasort);
    if (n < 0)
        die(folder);
    for (int i = 0; i < n; i++) {
        char path[4096];
        uint8_t p[INPUT_MAX];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        size_t len = read_file(path, p);
        for (size_t k = 0; k < len; k++)
            feed(p, k);
        seed(p, len, 100 * opt.mutations); /* made for this target: worth more */
        free(names[i]);
    }
    free(names);
}

/* Whether it was a folder. */
static int run_argument(const char *path)
{
    uint8_t p[INPUT_MAX];
    struct stat st;
    if (stat(path, &st) != 0)
        die(path);
    if (S_ISDIR(st.st_mode))
        corpus(path);
    else
        feed(p, read_file(path, p));
    return S_ISDIR(st.st_mode);
}

int main(int argc, char **argv)
{
    for (int c; (c = getopt(argc, argv, "n:s:w:")) != -1;) {
        if (c == 'n')
            opt.mutations = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 's')
            opt.rng.s = strtoul(optarg, NULL, 10);
        else if (c == 'w')
            opt.write_to = optarg;
        else
            return 2;
    }
    if (opt.write_to != NULL && mkdir(opt.write_to, 0777) != 0 && errno != EEXIST)
        die(opt.write_to);
    if (zt_crypto_init() != 0)
        return 2;
    int folders = 0, files = 0;
    for (int i = optind; i < argc; i++) {
        if (run_argument(argv[i]))
            folders++;
        else
            files++;
    }
    if (folders > 0 || files == 0) {
        const char *folder = getenv("ZT_VECTORS");
        vectors(folder != NULL && folder[0] != 0 ? folder : ZT_VECTORS_FOLDER);
    }
    printf("%zu seeds, %zu inputs\n", opt.seeds, opt.runs);
    return opt.seeds + opt.runs > 0 ? 0 : 1;
}
