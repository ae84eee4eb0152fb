/* exec: run an unmodified program inside the virtual network.
 *
 * The dynamic loader is what takes a preload in. Programs where it doesn't (no interpreter in the
 * ELF file, or privileges that make it ignore LD_PRELOAD) would silently use the kernel's network
 * instead, so they are refused with the reason. */
#include "ztctl.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#if __SIZEOF_POINTER__ == 8
typedef Elf64_Ehdr elf_ehdr;
typedef Elf64_Phdr elf_phdr;
#define OUR_CLASS ELFCLASS64
#else
typedef Elf32_Ehdr elf_ehdr;
typedef Elf32_Phdr elf_phdr;
#define OUR_CLASS ELFCLASS32
#endif

#define SCRIPT_DEPTH 4 /* the kernel follows as many "#!" */

/* The file that execvp would run, in out. 0 or an errno. */
static int resolve(const char *name, char out[PATH_MAX])
{
    int err = ENOENT;
    if (strchr(name, '/') != NULL) {
        snprintf(out, PATH_MAX, "%s", name);
        return access(out, X_OK) == 0 ? 0 : errno;
    }
    const char *p = getenv("PATH");
    if (p == NULL)
        p = "/usr/local/bin:/usr/bin:/bin";
    for (;;) {
        size_t n = strcspn(p, ":");
        struct stat st;
        snprintf(out, PATH_MAX, "%.*s/%s", n > 0 ? (int)n : 1, n > 0 ? p : ".", name);
        if (stat(out, &st) == 0 && S_ISREG(st.st_mode)) {
            if (access(out, X_OK) == 0)
                return 0;
            err = EACCES;
        }
        if (p[n] == '\0')
            return err;
        p += n + 1;
    }
}

/* Why the loader would ignore LD_PRELOAD for its privileges, or NULL. */
static const char *privileged(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return NULL;
    if ((st.st_mode & S_ISUID) != 0 && st.st_uid != geteuid())
        return "it is setuid";
    if ((st.st_mode & S_ISGID) != 0 && (st.st_mode & S_IXGRP) != 0 && st.st_gid != getegid())
        return "it is setgid";
    if (geteuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0)
        return "it has file capabilities";
    return NULL;
}

/* Why this ELF file can't take our library, or NULL. */
static const char *elf_problem(int fd)
{
    elf_ehdr eh, self;
    int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    bool read_self = own >= 0 && pread(own, &self, sizeof self, 0) == (ssize_t)sizeof self;
    if (own >= 0)
        close(own);
    if (pread(fd, &eh, sizeof eh, 0) != (ssize_t)sizeof eh)
        return "its ELF header is cut short";
    if (eh.e_ident[EI_CLASS] != OUR_CLASS || (read_self && eh.e_machine != self.e_machine))
        return "it is built for another kind of processor (32 and 64 bit can't be mixed)";
    for (unsigned i = 0; i < eh.e_phnum; i++) {
        elf_phdr ph;
        if (pread(fd, &ph, sizeof ph, (off_t)(eh.e_phoff + (size_t)i * eh.e_phentsize)) !=
            (ssize_t)sizeof ph)
            return "its ELF header is damaged";
        if (ph.p_type == PT_INTERP)
            return NULL;
    }
    return "it is linked statically (as Go programs often are)";
}

/* Follows "#!" to the interpreter and looks at that. Returns the reason or NULL; path is the file
 * that the reason is about. */
static const char *problem(char path[PATH_MAX])
{
    for (int depth = 0; depth < SCRIPT_DEPTH; depth++) {
        char head[256] = "";
        const char *why = privileged(path);
        if (why != NULL)
            return why;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return NULL; /* executable but not readable: the kernel decides */
        ssize_t n = read(fd, head, sizeof head - 1);
        if (n >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0) {
            why = elf_problem(fd);
            close(fd);
            return why;
        }
        close(fd);
        if (n < 2 || head[0] != '#' || head[1] != '!')
            return NULL;
        char *p = head + 2 + strspn(head + 2, " \t");
        p[strcspn(p, " \t\r\n")] = '\0';
        snprintf(path, PATH_MAX, "%s", p);
    }
    return NULL;
}

static void prepend_preload(const char *library)
{
    const char *old = getenv("LD_PRELOAD");
    char *all;
    if (old == NULL || old[0] == '\0') {
        setenv("LD_PRELOAD", library, 1);
        return;
    }
    if (strstr(old, library) != NULL) /* exec inside exec */
        return;
    if (asprintf(&all, "%s:%s", library, old) < 0)
        all = NULL;
    zc_alloc(all);
    setenv("LD_PRELOAD", all, 1);
    free(all);
}

static int check_list(const struct zc *zc, const char *list)
{
    char one[32];
    for (const char *p = list;;) {
        size_t n = strcspn(p, ", ");
        snprintf(one, sizeof one, "%.*s", (int)(n < 31 ? n : 31), p);
        int code = zc_check_nwid(zc, one);
        if (code != ZC_OK || p[n] == '\0')
            return code;
        p += n + 1;
    }
}

int zc_preload_options(const struct zc *zc, int argc, char **argv, int *used)
{
    int i = 0;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        bool nets = strcmp(argv[i], "-n") == 0;
        if (!nets && strcmp(argv[i], "-d") != 0)
            return zc_usage(zc, "unknown option '%s' (options of the program come after its name)",
                            argv[i]);
        if (i + 1 == argc)
            return zc_usage(zc, "%s needs a value", argv[i]);
        const char *value = argv[++i];
        int code = nets ? check_list(zc, value) : ZC_OK;
        if (code != ZC_OK)
            return code;
        if (!nets && (value[0] < '1' || value[0] > '3' || value[1] != '\0'))
            return zc_usage(zc, "-d takes 1, 2 or 3");
        setenv(nets ? "ZT_NETWORKS" : "ZT_PRELOAD_DEBUG", value, 1);
    }
    *used = i;
    return ZC_OK;
}

int zc_check_program(const struct zc *zc, const char *name, char *out)
{
    int err = resolve(name, out);
    if (err != 0) {
        zc_fail(zc, "%s: %s", name, strerror(err));
        return err == ENOENT ? ZC_NOT_FOUND : ZC_CANNOT_EXEC;
    }
    char file[PATH_MAX];
    snprintf(file, sizeof file, "%s", out);
    const char *why = problem(file);
    if (why == NULL)
        return ZC_OK;
    zc_fail(zc,
            "%s can't run inside the network: %s, so the loader would ignore "
            "libztpreload.so and it would use the kernel's network",
            file, why);
    return ZC_CANNOT_EXEC;
}

int zc_set_preload(const struct zc *zc)
{
    char *library = zc_find_preload();
    if (library == NULL)
        return zc_fail(zc, "libztpreload.so is not found, neither beside ztctl nor in %s",
                       ZT_LIBDIR);
    prepend_preload(library);
    free(library);
    setenv("ZT_HOME", zc->home, 1);
    unsetenv("ZT_PRELOAD_OFF");
    return ZC_OK;
}

int zc_cmd_exec(struct zc *zc, int argc, char **argv)
{
    char path[PATH_MAX];
    int i, code = zc_preload_options(zc, argc, argv, &i);
    if (code == ZC_OK && i == argc)
        return zc_usage(zc, "give a program to run");
    if (code == ZC_OK)
        code = zc_check_program(zc, argv[i], path);
    if (code == ZC_OK)
        code = zc_set_preload(zc);
    if (code != ZC_OK)
        return code;
    execvp(argv[i], argv + i);
    int err = errno;
    zc_fail(zc, "%s: %s", argv[i], strerror(err));
    return err == ENOENT ? ZC_NOT_FOUND : ZC_CANNOT_EXEC;
}
