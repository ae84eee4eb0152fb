/* Small files, written so that a crash leaves the old or the new one, and the places where the
 * other programs of the project are found. */
#include "ztctl.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void *zc_alloc(void *p)
{
    if (p == NULL) {
        fputs("ztctl: out of memory\n", stderr);
        exit(ZC_FAILED);
    }
    return p;
}

char *zc_read_file(const char *path, size_t max, size_t *n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    char *p = zc_alloc(malloc(max + 2));
    size_t have = 0;
    ssize_t got;
    while (have <= max && (got = read(fd, p + have, max + 1 - have)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        have += (size_t)got;
    }
    int err = got < 0 ? errno : have > max ? EFBIG : 0;
    close(fd);
    if (err != 0) {
        free(p);
        errno = err;
        return NULL;
    }
    p[have] = '\0';
    *n = have;
    return p;
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        p += put;
        n -= (size_t)put;
    }
    return fsync(fd);
}

static int write_named(const char *path, const void *p, size_t n, unsigned mode, bool replace)
{
    char tmp[PATH_MAX];
    if (snprintf(tmp, sizeof tmp, "%s.%d.tmp", path, (int)getpid()) >= (int)sizeof tmp) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return -1;
    int bad = write_all(fd, p, n);
    bad |= close(fd);
    /* link() refuses an existing name, rename() takes its place: both at once or not at all */
    if (bad == 0)
        bad = replace ? rename(tmp, path) : link(tmp, path);
    int err = errno;
    if (bad != 0 || !replace)
        unlink(tmp);
    errno = err;
    return bad != 0 ? -1 : 0;
}

int zc_write_new(const char *path, const void *p, size_t n, unsigned mode)
{
    return write_named(path, p, n, mode, false);
}

int zc_write_over(const char *path, const void *p, size_t n, unsigned mode)
{
    return write_named(path, p, n, mode, true);
}

int zc_make_dirs(const char *path)
{
    char *p = zc_alloc(strdup(path));
    for (char *s = p + 1;; s++) {
        if (*s != '/' && *s != '\0')
            continue;
        char was = *s;
        *s = '\0';
        if (mkdir(p, 0700) != 0 && errno != EEXIST) {
            int err = errno;
            free(p);
            errno = err;
            return -1;
        }
        *s = was;
        if (was == '\0')
            break;
    }
    free(p);
    struct stat st;
    if (stat(path, &st) != 0)
        return -1;
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return -1;
    }
    return 0;
}

char *zc_absolute(const char *path)
{
    char *out = NULL;
    if (path[0] == '/')
        return zc_alloc(strdup(path));
    char *cwd = getcwd(NULL, 0);
    if (cwd == NULL || asprintf(&out, "%s/%s", cwd, path) < 0)
        out = NULL;
    free(cwd);
    return zc_alloc(out);
}

/* The folder of this program, with no slash at the end. */
static bool own_folder(char out[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
    if (n <= 0)
        return false;
    out[n] = '\0';
    char *slash = strrchr(out, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    return true;
}

static char *first_of(const char *const *tails, int how)
{
    char dir[PATH_MAX], path[PATH_MAX * 2];
    if (!own_folder(dir))
        dir[0] = '\0';
    for (; *tails != NULL; tails++) {
        if ((*tails)[0] == '/')
            snprintf(path, sizeof path, "%s", *tails);
        else
            snprintf(path, sizeof path, "%s/%s", dir, *tails);
        struct stat st;
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, how) == 0) {
            char *real = realpath(path, NULL);
            if (real != NULL)
                return real;
        }
    }
    return NULL;
}

static char *in_path(const char *name)
{
    const char *p = getenv("PATH");
    while (p != NULL && *p != '\0') {
        size_t n = strcspn(p, ":");
        char *full;
        if (n > 0 && asprintf(&full, "%.*s/%s", (int)n, p, name) >= 0) {
            if (access(full, X_OK) == 0)
                return full;
            free(full);
        }
        p += n + (p[n] == ':');
    }
    return NULL;
}

char *zc_find_ztd(void)
{
    static const char *const tails[] = {"ztd", "../ztd/ztd", ZT_BINDIR "/ztd", NULL};
    char *found = first_of(tails, X_OK);
    return found != NULL ? found : in_path("ztd");
}

char *zc_find_preload(void)
{
    static const char *const tails[] = {"libztpreload.so", "../preload/libztpreload.so",
                                        ZT_LIBDIR_FROM_BIN "/libztpreload.so",
                                        ZT_LIBDIR "/libztpreload.so", NULL};
    return first_of(tails, R_OK);
}
