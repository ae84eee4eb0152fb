#include "node/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/err.h"
#include "node/fork.h"

#define NAME_MAX_LEN 128 /* longest name below the home, with ".damaged" */

struct zt_store {
    char *home; /* absolute, or "" */
    int dir;    /* the folder; files are opened relative to it, so that a long path is no problem;
                   -1: none */
    int lock;
    void (*report)(void *user, const char *text);
    void (*wrote)(void *user, const char *name, const void *p, size_t n);
    void *user;
};

__attribute__((format(printf, 2, 3))) static void say(struct zt_store *s, const char *fmt, ...)
{
    char text[ZT_STORE_WHY];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (s->report != NULL)
        s->report(s->user, text);
}

static int code_of(int err)
{
    switch (err) {
    case EACCES:
    case EPERM:
    case EROFS:
        return ZT_E_PERM;
    case ENOENT:
        return ZT_E_NOENT;
    case ENOMEM:
        return ZT_E_NOMEM;
    default:
        return ZT_E_IO;
    }
}

/* mkdir -p; parents that have to be made get 0700 too, as they exist for us alone. */
int zt_store_make_home(const char *path)
{
    char part[PATH_MAX];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part)
        return n == 0 ? EINVAL : ENAMETOOLONG;
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != 0)
            continue;
        char c = part[i];
        part[i] = 0;
        if (mkdir(part, 0700) != 0 && errno != EEXIST) {
            int err = errno;
            struct stat st;
            /* mkdir("/") on a read-only root says EROFS although it is there. */
            if (stat(part, &st) != 0 || !S_ISDIR(st.st_mode))
                return err;
        }
        part[i] = c;
    }
    struct stat st;
    return stat(path, &st) != 0 ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
}

static int lock_file(int fd)
{
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_SETLK, &fl) == 0 ? 0 : errno;
}

/* The descriptor that came from the process that started us must be the lock of this very home. */
static bool is_lock_of(int dir, int fd)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && fstatat(dir, "identity.lock", &b, 0) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int take_lock(struct zt_store *s, int given, char *why)
{
    int fd = given;
    if (fd < 0)
        fd = openat(s->dir, "identity.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0) {
        int err = errno;
        snprintf(why, ZT_STORE_WHY, "%s: cannot write here: %s", s->home, strerror(err));
        return code_of(err) == ZT_E_NOENT ? ZT_E_IO : code_of(err);
    }
    if (given >= 0 && !is_lock_of(s->dir, fd)) {
        snprintf(why, ZT_STORE_WHY, "descriptor %d is not %s/identity.lock", given, s->home);
        close(fd);
        return ZT_E_LOCKED;
    }
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    int err = lock_file(fd);
    if (err != 0) {
        char pid[16] = "";
        ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
        pid[n > 0 ? n : 0] = 0;
        pid[strspn(pid, "0123456789")] = 0;
        if (err == EAGAIN || err == EACCES)
            snprintf(why, ZT_STORE_WHY, "%s: in use by another node%s%s", s->home,
                     pid[0] ? ", process " : "", pid);
        else
            snprintf(why, ZT_STORE_WHY, "%s/identity.lock: %s", s->home, strerror(err));
        close(fd);
        return err == EAGAIN || err == EACCES ? ZT_E_LOCKED : ZT_E_IO;
    }
    /* The process number is a help for people who meet the lock; the lock itself is the truth. */
    char pid[16];
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) != n)
        say(s, "%s/identity.lock: %s", s->home, strerror(errno));
    s->lock = zt_fd_own(fd);
    return 0;
}

static int open_nothing(const struct zt_store_config *cfg, struct zt_store **out)
{
    struct zt_store *s = calloc(1, sizeof *s);
    char *home = calloc(1, 1);
    if (s == NULL || home == NULL) {
        free(s);
        free(home);
        return ZT_E_NOMEM;
    }
    *s = (struct zt_store){.home = home,
                           .dir = -1,
                           .lock = -1,
                           .report = cfg->report,
                           .wrote = cfg->wrote,
                           .user = cfg->user};
    *out = s;
    return 0;
}

/* Whoever may change names in the home decides which identity we are and who is root: nobody but
 * its owner, and that is us (or root, or we are root, who can't be more careful than that). */
static bool is_private(int dir, const char *home, char *why)
{
    struct stat st;
    if (fstat(dir, &st) != 0) {
        snprintf(why, ZT_STORE_WHY, "%s: %s", home, strerror(errno));
        return false;
    }
    if (st.st_uid != geteuid() && st.st_uid != 0 && geteuid() != 0) {
        snprintf(why, ZT_STORE_WHY, "%s belongs to another user (%u)", home, (unsigned)st.st_uid);
        return false;
    }
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        snprintf(why, ZT_STORE_WHY, "others may write to %s (mode %04o): chmod go-w %s", home,
                 (unsigned)(st.st_mode & 07777), home);
        return false;
    }
    return true;
}

int zt_store_open(const struct zt_store_config *cfg, struct zt_store **out, char why[ZT_STORE_WHY])
{
    if (cfg->home == NULL)
        return open_nothing(cfg, out);
    int err = zt_store_make_home(cfg->home);
    int dir = -1;
    if (err == 0) {
        dir = open(cfg->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        err = dir < 0 ? errno : 0;
    }
    if (err != 0) {
        snprintf(why, ZT_STORE_WHY, "%s: %s", cfg->home, strerror(err));
        if (cfg->lock_fd >= 0)
            close(cfg->lock_fd);
        return code_of(err) == ZT_E_NOENT ? ZT_E_IO : code_of(err);
    }
    if (!is_private(dir, cfg->home, why)) {
        close(dir);
        if (cfg->lock_fd >= 0)
            close(cfg->lock_fd);
        return ZT_E_PERM;
    }
    struct zt_store *s = calloc(1, sizeof *s);
    char *home = realpath(cfg->home, NULL);
    if (s == NULL || home == NULL) {
        snprintf(why, ZT_STORE_WHY, "%s: %s", cfg->home, zt_err_text(ZT_E_NOMEM));
        free(s);
        free(home);
        close(dir);
        if (cfg->lock_fd >= 0)
            close(cfg->lock_fd);
        return ZT_E_NOMEM;
    }
    *s = (struct zt_store){.home = home,
                           .dir = zt_fd_own(dir),
                           .lock = -1,
                           .report = cfg->report,
                           .wrote = cfg->wrote,
                           .user = cfg->user};
    int rc = take_lock(s, cfg->lock_fd, why);
    if (rc != 0) {
        zt_store_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void zt_store_close(struct zt_store *s)
{
    if (s == NULL)
        return;
    zt_fd_close(s->lock);
    zt_fd_close(s->dir);
    free(s->home);
    free(s);
}

const char *zt_store_home(const struct zt_store *s)
{
    return s->home;
}

/* ---- files -------------------------------------------------------------------------------------
 */

static int read_all(int fd, size_t size, uint8_t **out, size_t *n)
{
    uint8_t *p = malloc(size + 1);
    if (p == NULL)
        return ZT_E_NOMEM;
    size_t got = 0;
    while (got < size) {
        ssize_t r = read(fd, p + got, size - got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0) {
            free(p);
            return ZT_E_IO;
        }
        if (r == 0)
            break;
        got += (size_t)r;
    }
    p[got] = 0;
    *out = p;
    *n = got;
    return 0;
}

static int read_at(int dir, const char *name, uint8_t **out, size_t *n)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return code_of(errno);
    struct stat st;
    int rc;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        rc = ZT_E_IO;
    else if (st.st_size > (off_t)ZT_STORE_FILE_MAX)
        rc = ZT_E_SPACE;
    else
        rc = read_all(fd, (size_t)st.st_size, out, n);
    close(fd);
    return rc;
}

int zt_store_read(struct zt_store *s, const char *name, uint8_t **out, size_t *n)
{
    return s->dir < 0 ? ZT_E_NOENT : read_at(s->dir, name, out, n);
}

int zt_file_read(const char *path, uint8_t **out, size_t *n)
{
    return read_at(AT_FDCWD, path, out, n);
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t r = write(fd, p, n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return errno;
        p += r;
        n -= (size_t)r;
    }
    return 0;
}

/* The entries of a folder are on disk once the folder itself is flushed. */
static int flush_folder(struct zt_store *s, const char *dir)
{
    int fd = openat(s->dir, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int err = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return err;
}

/* The folder that a name is in, "." for the home. */
static void folder_of(const char *name, char dir[NAME_MAX_LEN])
{
    const char *slash = strrchr(name, '/');
    snprintf(dir, NAME_MAX_LEN, "%.*s", slash != NULL ? (int)(slash - name) : 1,
             slash != NULL ? name : ".");
}

/* mkdir -p below the home. A folder that had to be made is itself an entry to be flushed. */
static int make_parent(struct zt_store *s, const char *name, unsigned flags)
{
    char dir[NAME_MAX_LEN], above[NAME_MAX_LEN];
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        snprintf(dir, sizeof dir, "%.*s", (int)(slash - name), name);
        if (mkdirat(s->dir, dir, 0700) == 0) {
            folder_of(dir, above);
            int err = flags & ZT_STORE_DURABLE ? flush_folder(s, above) : 0;
            if (err != 0)
                return err;
        } else if (errno != EEXIST) {
            return errno;
        }
    }
    return 0;
}

static int write_tmp(struct zt_store *s, const char *tmp, unsigned flags, const void *p, size_t n)
{
    mode_t mode = flags & ZT_STORE_PRIVATE ? 0600 : 0644;
    int fd = openat(s->dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return errno;
    /* A file left over from a crash keeps its old mode, and the umask may have taken bits. */
    int err = fchmod(fd, mode) == 0 ? write_all(fd, p, n) : errno;
    if (err == 0 && (flags & ZT_STORE_DURABLE) && fsync(fd) != 0)
        err = errno;
    if (close(fd) != 0 && err == 0)
        err = errno;
    return err;
}

int zt_store_write(struct zt_store *s, const char *name, unsigned flags, const void *p, size_t n)
{
    char tmp[NAME_MAX_LEN];
    if (s->wrote != NULL)
        s->wrote(s->user, name, p, n);
    if (s->dir < 0)
        return 0;
    snprintf(tmp, sizeof tmp, "%s.tmp", name);
    int err = make_parent(s, name, flags);
    if (err == 0)
        err = write_tmp(s, tmp, flags, p, n);
    if (err == 0 && renameat(s->dir, tmp, s->dir, name) != 0)
        err = errno;
    if (err != 0) {
        (void)unlinkat(s->dir, tmp, 0);
        say(s, "%s/%s: cannot be written: %s", s->home, name, strerror(err));
        return code_of(err) == ZT_E_PERM ? ZT_E_PERM : ZT_E_IO;
    }
    /* The rename itself is durable only once the folder is. */
    if (flags & ZT_STORE_DURABLE) {
        char dir[NAME_MAX_LEN];
        folder_of(name, dir);
        err = flush_folder(s, dir);
        if (err != 0) {
            say(s, "%s/%s: cannot be flushed: %s", s->home, dir, strerror(err));
            return ZT_E_IO;
        }
    }
    return 0;
}

void zt_store_remove(struct zt_store *s, const char *name)
{
    if (s->dir >= 0 && unlinkat(s->dir, name, 0) != 0 && errno != ENOENT)
        say(s, "%s/%s: cannot be removed: %s", s->home, name, strerror(errno));
}

int zt_store_erase(struct zt_store *s, const char *name)
{
    char dir[NAME_MAX_LEN];
    if (s->dir < 0)
        return 0;
    folder_of(name, dir);
    int err = unlinkat(s->dir, name, 0) == 0 || errno == ENOENT ? 0 : errno;
    if (err == 0)
        err = flush_folder(s, dir);
    if (err == 0 || err == ENOENT)
        return 0;
    say(s, "%s/%s: cannot be removed: %s", s->home, name, strerror(err));
    return ZT_E_IO;
}

void zt_store_remove_folder(struct zt_store *s, const char *name)
{
    int fd = s->dir < 0 ? -1
                        : openat(s->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            (void)unlinkat(fd, e->d_name, 0);
    closedir(d);
    if (unlinkat(s->dir, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        say(s, "%s/%s: cannot be removed: %s", s->home, name, strerror(errno));
}

void zt_store_sweep(struct zt_store *s, const char *dir)
{
    int fd = openat(s->dir, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        size_t n = strlen(e->d_name);
        if (n > 4 && strcmp(e->d_name + n - 4, ".tmp") == 0)
            (void)unlinkat(fd, e->d_name, 0);
    }
    closedir(d);
}

bool zt_store_has(struct zt_store *s, const char *name)
{
    struct stat st;
    return fstatat(s->dir, name, &st, 0) == 0;
}

void zt_store_aside(struct zt_store *s, const char *name, const char *what)
{
    char aside[NAME_MAX_LEN];
    if (s->dir < 0)
        return;
    snprintf(aside, sizeof aside, "%s.damaged", name);
    if (renameat(s->dir, name, s->dir, aside) == 0)
        say(s, "%s/%s: %s; kept as %s", s->home, name, what, aside);
    else
        say(s, "%s/%s: %s; cannot be moved aside: %s", s->home, name, what, strerror(errno));
}

void zt_store_each(struct zt_store *s, const char *dir, unsigned digits, const char *suffix,
                   void (*fn)(void *user, const char *name, uint64_t id, int64_t age_s), void *user)
{
    int fd = openat(s->dir, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    time_t now = time(NULL);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char hex[17], name[NAME_MAX_LEN];
        uint64_t id;
        struct stat st;
        if (strlen(e->d_name) != digits + strlen(suffix) || strcmp(e->d_name + digits, suffix) != 0)
            continue;
        memcpy(hex, e->d_name, digits);
        hex[digits] = 0;
        if (zt_hex_parse_u64(hex, digits, &id) != 0 || fstatat(fd, e->d_name, &st, 0) != 0)
            continue;
        snprintf(name, sizeof name, "%s/%.32s", dir, e->d_name);
        /* The kernel may give a file a finer time than time() has, so one written just now can be
         * ahead of it by a second. */
        fn(user, name, id, now > st.st_mtime ? (int64_t)(now - st.st_mtime) : 0);
    }
    closedir(d);
}

/* ---- identity ----------------------------------------------------------------------------------
 */

static int make_identity(struct zt_store *s, zt_random_fn *random, void *user,
                         struct zt_identity *out, char *why)
{
    int rc = zt_identity_generate(random, user, out);
    if (rc != 0) {
        snprintf(why, ZT_STORE_WHY, "making an identity: %s", zt_err_text(rc));
        return rc;
    }
    char text[ZT_IDENTITY_STR];
    zt_identity_format(out, true, text);
    rc = zt_store_write(s, "identity.secret", ZT_STORE_PRIVATE | ZT_STORE_DURABLE, text,
                        strlen(text));
    zt_wipe(text, sizeof text);
    if (rc != 0)
        snprintf(why, ZT_STORE_WHY, "%s/identity.secret: cannot be written", s->home);
    return rc;
}

/* Does identity.public hold just this? It is written only after the full check. */
static bool public_file_is(struct zt_store *s, const struct zt_identity *id)
{
    char text[ZT_IDENTITY_STR];
    uint8_t *p = NULL;
    size_t n = 0;
    zt_identity_format(id, false, text);
    bool same = zt_store_read(s, "identity.public", &p, &n) == 0 && n >= strlen(text) &&
                memcmp(p, text, strlen(text)) == 0;
    free(p);
    return same;
}

/* The proof of work takes longer than all the rest of a start: it is checked once, and after that
 * two files that agree, with keys that match, are not damaged. */
static int load_identity(struct zt_store *s, const uint8_t *p, size_t n, struct zt_identity *out,
                         char *why)
{
    while (n > 0 && (p[n - 1] == '\n' || p[n - 1] == '\r' || p[n - 1] == ' '))
        n--;
    if (zt_identity_parse((const char *)p, n, out) == 0 && out->has_priv &&
        ((public_file_is(s, out) && !zt_addr_reserved(out->addr) && zt_identity_keys_match(out)) ||
         zt_identity_validate(out)))
        return 0;
    zt_wipe(out, sizeof *out);
    snprintf(why, ZT_STORE_WHY,
             "%s/identity.secret: damaged or not an identity; it is left as it is: restore it, or "
             "move it away to get a new identity",
             s->home);
    return ZT_E_FORMAT;
}

int zt_store_identity(struct zt_store *s, zt_random_fn *random, void *user, struct zt_identity *out,
                      char why[ZT_STORE_WHY])
{
    uint8_t *p = NULL;
    size_t n = 0;
    int rc = zt_store_read(s, "identity.secret", &p, &n);
    if (rc == 0) {
        rc = load_identity(s, p, n, out, why);
        zt_wipe(p, n);
        free(p);
    } else if (rc == ZT_E_NOENT) {
        rc = make_identity(s, random, user, out, why);
    } else {
        snprintf(why, ZT_STORE_WHY, "%s/identity.secret: cannot be read: %s", s->home,
                 zt_err_text(rc));
    }
    if (rc != 0)
        return rc;

    if (public_file_is(s, out))
        return 0;
    char text[ZT_IDENTITY_STR];
    zt_identity_format(out, false, text);
    if (zt_store_write(s, "identity.public", ZT_STORE_DURABLE, text, strlen(text)) != 0) {
        snprintf(why, ZT_STORE_WHY, "%s/identity.public: cannot be written", s->home);
        return ZT_E_IO;
    }
    return 0;
}

int zt_store_identity_aside(struct zt_store *s)
{
    if (s->dir < 0)
        return 0;
    if (renameat(s->dir, "identity.secret", s->dir, "identity.secret.saved_after_collision") != 0)
        return ZT_E_IO;
    (void)renameat(s->dir, "identity.public", s->dir, "identity.public.saved_after_collision");
    say(s,
        "%s: another node has this address: identity kept as "
        "identity.secret.saved_after_collision, a new one is made",
        s->home);
    return 0;
}

/* ---- the rest ----------------------------------------------------------------------------------
 */

int zt_store_token(struct zt_store *s, const char *name, zt_random_fn *random, void *user)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    struct stat st;
    if (fstatat(s->dir, name, &st, 0) == 0)
        return 0;
    uint8_t raw[24];
    char text[24];
    random(user, raw, sizeof raw);
    for (size_t i = 0; i < sizeof raw; i++)
        text[i] = letters[raw[i] % (sizeof letters - 1)];
    int rc = zt_store_write(s, name, ZT_STORE_PRIVATE | ZT_STORE_DURABLE, text, sizeof text);
    zt_wipe(raw, sizeof raw);
    zt_wipe(text, sizeof text);
    return rc;
}
