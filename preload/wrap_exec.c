/* ZT_PRELOAD_STICKY=1: a program that is started with an environment of its own (sudo's env_reset
 * apart, which is a setuid matter; cron-like servers, build systems, test runners) keeps our
 * variables: those of this process's own start that the new environment lacks are added to it. (Not by execl,
 * execlp, system and popen, which take `environ` inside of libc: it has what was inherited, unless the program took
 * it out.)
 * Without the setting every call passes as it is.
 *
 * Any of these may run in a vfork child or a signal handler: the new vector is on the stack. */
#include <alloca.h>
#include <spawn.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "real.h"
#include "shim.h"

#define KEPT_MAX 24

static char kept_text[8192];
static char *kept[KEPT_MAX];
static unsigned nkept;

/* LD_PRELOAD and all of ours, as they were when this process began. */
__attribute__((constructor)) static void keep(void)
{
    size_t at = 0;
    for (char **e = environ; e && *e && nkept < KEPT_MAX; e++) {
        size_t n = strlen(*e) + 1;
        if ((strncmp(*e, "LD_PRELOAD=", 11) && strncmp(*e, "ZT_HOME=", 8) &&
             strncmp(*e, "ZT_NETWORKS=", 12) && strncmp(*e, "ZT_PRELOAD_", 11)) ||
            at + n > sizeof kept_text)
            continue;
        memcpy(kept_text + at, *e, n);
        kept[nkept++] = kept_text + at;
        at += n;
    }
}

static size_t count(char *const env[])
{
    size_t n = 0;
    while (env && env[n])
        n++;
    return n;
}

static bool has(char *const env[], const char *variable)
{
    size_t n = strcspn(variable, "=") + 1;
    for (size_t i = 0; env && env[i]; i++)
        if (!strncmp(env[i], variable, n))
            return true;
    return false;
}

/* out has room for count(env) + KEPT_MAX + 1. */
static char *const *complete(char *const env[], char **out)
{
    size_t n = count(env);
    memcpy(out, env, n * sizeof *out);
    for (unsigned i = 0; i < nkept; i++)
        if (!has(env, kept[i]))
            out[n++] = kept[i];
    out[n] = NULL;
    return out;
}

#define ENV(env)                    \
    (zt_fresh_end_all(),            \
     ZT_LIKELY(!zt_settings.sticky) \
         ? (env)                    \
         : complete((env), alloca((count(env) + KEPT_MAX + 1) * sizeof(char *))))

ZT_EXPORT int execve(const char *path, char *const argv[], char *const env[])
{
    return REAL(execve)(path, argv, ENV(env));
}

ZT_EXPORT int execveat(int dir, const char *path, char *const argv[], char *const env[], int flags)
{
    return REAL(execveat)(dir, path, argv, ENV(env), flags);
}

ZT_EXPORT int fexecve(int fd, char *const argv[], char *const env[])
{
    return REAL(fexecve)(fd, argv, ENV(env));
}

ZT_EXPORT int execvpe(const char *file, char *const argv[], char *const env[])
{
    return REAL(execvpe)(file, argv, ENV(env));
}

/* The call of cron. */
ZT_EXPORT int execle(const char *path, const char *arg, ...)
{
    va_list ap;
    size_t n = 0, i = 1;
    va_start(ap, arg);
    for (const char *a = arg; a; a = va_arg(ap, const char *))
        n++;
    va_end(ap);
    const char **argv = alloca((n + 2) * sizeof *argv);
    argv[0] = arg;
    va_start(ap, arg);
    while (i <= n)
        argv[i++] = va_arg(ap, const char *); /* the last is NULL */
    char *const *env = va_arg(ap, char *const *);
    va_end(ap);
    return execve(path, (char *const *)argv, env);
}

/* With `environ`, which the program may have emptied. */
ZT_EXPORT int execv(const char *path, char *const argv[])
{
    return execve(path, argv, environ);
}

ZT_EXPORT int execvp(const char *file, char *const argv[])
{
    return execvpe(file, argv, environ);
}

ZT_EXPORT int posix_spawn(pid_t *restrict pid, const char *restrict path,
                          const posix_spawn_file_actions_t *restrict actions,
                          const posix_spawnattr_t *restrict attr, char *const argv[restrict],
                          char *const env[restrict])
{
    return REAL(posix_spawn)(pid, path, actions, attr, argv, ENV(env));
}

ZT_EXPORT int posix_spawnp(pid_t *restrict pid, const char *restrict file,
                           const posix_spawn_file_actions_t *restrict actions,
                           const posix_spawnattr_t *restrict attr, char *const argv[restrict],
                           char *const env[restrict])
{
    return REAL(posix_spawnp)(pid, file, actions, attr, argv, ENV(env));
}
