/* Runs a fuzz target over its seeds: each as it is, at every shorter length, and with every byte
 * changed in a few ways. No coverage guidance, but it needs no special compiler, so it runs with
 * the ordinary tests and under the sanitizers.  usage: seeds FOLDER */
#include "fuzz.h"

#include <dirent.h>
#include <string.h>

#define SEED_MAX 65536
#define STEPS_MAX 2048 /* positions tried per kind of change: long seeds are sampled */

/* Each input in its own allocation of exact size, so that AddressSanitizer sees one byte too far.
 */
static void one(const uint8_t *p, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    PROMISE(copy != NULL);
    if (n > 0)
        memcpy(copy, p, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static unsigned long run(uint8_t *p, size_t n)
{
    static const uint8_t flips[] = {0x01, 0x80, 0xff};
    unsigned long count = 1;
    size_t step = n / STEPS_MAX + 1;
    one(p, n);
    for (size_t i = 0; i < n; i += step, count++)
        one(p, i);
    for (size_t i = 0; i < n; i += step)
        for (size_t k = 0; k < sizeof flips; k++, count++) {
            p[i] ^= flips[k];
            one(p, n);
            p[i] ^= flips[k];
        }
    return count;
}

int main(int argc, char **argv)
{
    static uint8_t buf[SEED_MAX];
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    struct dirent *e;
    unsigned long seeds = 0, inputs = 0;
    if (dir == NULL) {
        fprintf(stderr, "seeds: no folder %s\n", argc == 2 ? argv[1] : "given");
        return 2;
    }
    while ((e = readdir(dir)) != NULL) {
        char path[4096];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        FILE *f = fopen(path, "rb");
        PROMISE(f != NULL);
        size_t n = fread(buf, 1, sizeof buf, f);
        fclose(f);
        printf("%s\n", e->d_name); /* the last one named is the one that crashed */
        fflush(stdout);
        inputs += run(buf, n);
        seeds++;
    }
    closedir(dir);
    printf("%lu seeds, %lu inputs\n", seeds, inputs);
    return seeds > 0 ? 0 : 1;
}
