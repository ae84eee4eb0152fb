/* dump: one text for bug reports. What is a secret is not read at all: keys and tokens are files of
 * which only names and sizes are shown, and what logging in needs is left out of the networks. */
#include "ztctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINES 100
#define TEXT_MAX (1u << 20)

static json_t *system_json(void)
{
    struct utsname u;
    size_t n;
    char when[32] = "";
    time_t now = time(NULL);
    struct tm tm;
    json_t *o = json_object();
    if (gmtime_r(&now, &tm) != NULL)
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    json_object_set_new(o, "time", json_string(when));
    json_object_set_new(o, "ztctl", json_string(ZT_VERSION));
    if (uname(&u) == 0)
        json_object_set_new(o, "kernel",
                            json_sprintf("%s %s %s", u.sysname, u.release, u.machine));
    json_object_set_new(o, "libc", json_string(gnu_get_libc_version()));
    char *text = zc_read_file("/etc/os-release", 65536, &n);
    char *name = text != NULL ? strstr(text, "PRETTY_NAME=") : NULL;
    if (name != NULL) {
        name += strlen("PRETTY_NAME=");
        name[strcspn(name, "\n")] = '\0';
        name[strcspn(name + 1, "\"") + 1] = '\0';
        json_object_set_new(o, "system", json_string(name + (name[0] == '"')));
    }
    free(text);
    return o;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "mode size name" of all files below the folder, sorted. */
static void list_files(const char *home, const char *sub, json_t *out)
{
    char *dir, **names = NULL;
    size_t n = 0;
    struct dirent *e;
    if (asprintf(&dir, "%s/%s", home, sub) < 0)
        dir = NULL;
    DIR *d = opendir(zc_alloc(dir));
    while (d != NULL && (e = readdir(d)) != NULL && n < 10000) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        names = zc_alloc(realloc(names, (n + 1) * sizeof *names));
        names[n++] = zc_alloc(strdup(e->d_name));
    }
    if (n > 0)
        qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        char *path;
        if (asprintf(&path, "%s%s%s", sub, sub[0] != '\0' ? "/" : "", names[i]) < 0)
            path = NULL;
        zc_alloc(path);
        if (fstatat(dirfd(d), names[i], &st, AT_SYMLINK_NOFOLLOW) == 0) {
            json_array_append_new(out, json_sprintf("%06o %8lld %s", (unsigned)st.st_mode,
                                                    (long long)st.st_size, path));
            if (S_ISDIR(st.st_mode) && sub[0] == '\0')
                list_files(home, path, out);
        }
        free(path);
        free(names[i]);
    }
    free(names);
    free(dir);
    if (d != NULL)
        closedir(d);
}

/* The lines at the end of a text file, or null. */
static json_t *tail(const char *path, unsigned lines)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    off_t from = size > TEXT_MAX ? size - TEXT_MAX : 0;
    char *text = zc_alloc(malloc(TEXT_MAX + 1));
    ssize_t n = fd < 0 ? -1 : pread(fd, text, TEXT_MAX, from);
    json_t *out = NULL;
    if (n >= 0) {
        const char *p = text + n;
        text[n] = '\0';
        for (unsigned i = 0; p > text && i <= lines; i += *--p == '\n' && p[1] != '\0')
            ;
        out = json_string(p + (*p == '\n'));
    }
    if (fd >= 0)
        close(fd);
    free(text);
    return out != NULL ? out : json_null();
}

static json_t *in_home(const struct zc *zc, const char *name, unsigned lines)
{
    char *path;
    if (asprintf(&path, "%s/%s", zc->home, name) < 0)
        path = NULL;
    json_t *out = tail(zc_alloc(path), lines);
    free(path);
    return out;
}

/* What the node answers, or why it doesn't. */
static json_t *ask(const struct zc *zc, const char *command)
{
    char msg[1024];
    json_t *d;
    int err = zc_command_quiet(zc->home, command, &d, msg, sizeof msg);
    return err == 0 ? d : json_sprintf("none: %s", msg[0] != '\0' ? msg : strerror(err));
}

/* A login that somebody has begun could be finished with these. */
static void drop_secrets(json_t *networks)
{
    static const char *const keys[] = {"authenticationURL", "ssoNonce", "ssoState"};
    json_t *n;
    size_t i;
    json_array_foreach(networks, i, n)
    {
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            if (json_object_get(n, keys[k]) != NULL)
                json_object_set_new(n, keys[k], json_string("(left out)"));
    }
}

static void print_part(const char *name, const json_t *v)
{
    size_t i;
    json_t *line;
    printf("\n==== %s\n", name);
    if (json_is_string(v)) {
        const char *text = json_string_value(v);
        fputs(text, stdout);
        if (text[0] == '\0' || text[strlen(text) - 1] != '\n')
            putchar('\n');
    } else if (json_is_array(v) && json_is_string(json_array_get(v, 0))) {
        json_array_foreach((json_t *)(uintptr_t)v, i, line) puts(json_string_value(line));
    } else if (json_is_null(v)) {
        puts("none");
    } else {
        json_dumpf(v, stdout, JSON_INDENT(1));
        putchar('\n');
    }
}

int zc_cmd_dump(struct zc *zc, int argc, char **argv)
{
    static const char *const commands[] = {"info", "networks", "peers", "sockets", "moons"};
    json_t *all = json_object(), *files = json_array(), *part;
    const char *name;
    if (argc != 0)
        return zc_usage(zc, "unexpected argument '%s'", argv[0]);
    json_object_set_new(all, "machine", system_json());
    json_object_set_new(all, "home", json_string(zc->home));
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        json_object_set_new(all, commands[i], ask(zc, commands[i]));
    drop_secrets(json_object_get(all, "networks"));
    list_files(zc->home, "", files);
    json_object_set_new(all, "files", files);
    json_object_set_new(all, "local.conf", in_home(zc, "local.conf", 10000));
    json_object_set_new(all, "ztd.log", in_home(zc, "ztd.log", LOG_LINES));
    if (zc->json)
        return zc_print_json(all);
    puts("No key or token is in this text, but addresses of networks and nodes are.");
    json_object_foreach(all, name, part) print_part(name, part);
    json_decref(all);
    return ZC_OK;
}
