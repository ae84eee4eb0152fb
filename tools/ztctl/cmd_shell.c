/* shell: the user's shell under the preload, with a hint in its prompt.
 *
 * A shell's prompt is set by its start-up files, so these run first, as always, and then a line of
 * ours: bash reads a file in their place that reads them (a memfd), zsh a folder of ours that
 * removes itself, fish takes a command. Of another shell only PS1 is set. */
#include "ztctl.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HINT "(zt) "
#define RC_FD 63 /* where shells don't expect anything; closed by the file itself */

static const char bash_rc[] = "[ -r /etc/bash.bashrc ] && . /etc/bash.bashrc\n"
                              "[ -r ~/.bashrc ] && . ~/.bashrc\n"
                              "PS1='" HINT "'\"$PS1\"\n"
                              "exec 63<&-\n";
static const char zsh_env[] = "ZDOTDIR=${ZT_ZDOTDIR:-$HOME}\n"
                              "[ -r \"$ZDOTDIR/.zshenv\" ] && . \"$ZDOTDIR/.zshenv\"\n"
                              "ZT_ZDOTDIR=$ZDOTDIR ZDOTDIR=$ZT_SHELL_FILES\n";
static const char zsh_rc[] = "ZDOTDIR=$ZT_ZDOTDIR\n"
                             "rm -rf -- \"$ZT_SHELL_FILES\"\n"
                             "unset ZT_ZDOTDIR ZT_SHELL_FILES\n"
                             "[ -r \"$ZDOTDIR/.zshrc\" ] && . \"$ZDOTDIR/.zshrc\"\n"
                             "PROMPT='" HINT "'\"$PROMPT\"\n";
static const char fish_cmd[] = "functions -q fish_prompt; and functions -c fish_prompt __zt_prompt\n"
                               "function fish_prompt\n"
                               "    echo -n '" HINT "'\n"
                               "    functions -q __zt_prompt; and __zt_prompt; or echo -n '> '\n"
                               "end\n";

static int write_in(const char *dir, const char *name, const char *text)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return zc_write_new(path, text, strlen(text), 0600);
}

static void run_bash(const char *shell)
{
    char file[32];
    int fd = memfd_create("zt-shell", 0);
    if (fd >= 0 && write(fd, bash_rc, sizeof bash_rc - 1) == (ssize_t)sizeof bash_rc - 1 &&
        dup2(fd, RC_FD) == RC_FD) {
        if (fd != RC_FD)
            close(fd);
        snprintf(file, sizeof file, "/proc/self/fd/%d", RC_FD);
        execl(shell, shell, "--rcfile", file, "-i", (char *)NULL);
    }
    execl(shell, shell, "-i", (char *)NULL);
}

static void run_zsh(const char *shell)
{
    const char *tmp = getenv("TMPDIR"), *old = getenv("ZDOTDIR");
    char *dir;
    if (asprintf(&dir, "%s/zt-shell.XXXXXX", tmp != NULL && tmp[0] == '/' ? tmp : "/tmp") < 0)
        dir = NULL;
    if (mkdtemp(zc_alloc(dir)) != NULL && write_in(dir, ".zshenv", zsh_env) == 0 &&
        write_in(dir, ".zshrc", zsh_rc) == 0) {
        if (old != NULL)
            setenv("ZT_ZDOTDIR", old, 1);
        setenv("ZT_SHELL_FILES", dir, 1);
        setenv("ZDOTDIR", dir, 1);
    }
    execl(shell, shell, "-i", (char *)NULL);
    free(dir);
}

int zc_cmd_shell(struct zc *zc, int argc, char **argv)
{
    char path[PATH_MAX];
    const char *shell = getenv("SHELL");
    int used, code = zc_preload_options(zc, argc, argv, &used);
    if (code == ZC_OK && used < argc)
        return zc_usage(zc, "unexpected argument '%s'; 'ztctl exec' runs a program", argv[used]);
    if (shell == NULL || shell[0] == '\0')
        shell = "/bin/sh";
    if (code == ZC_OK)
        code = zc_check_program(zc, shell, path);
    if (code == ZC_OK)
        code = zc_set_preload(zc);
    if (code != ZC_OK)
        return code;
    setenv("ZT_SHELL", "1", 1);
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO))
        fprintf(stderr, "programs started here are inside the network of %s; 'exit' leaves\n",
                zc->home);
    if (strcmp(name, "bash") == 0)
        run_bash(path);
    else if (strcmp(name, "zsh") == 0)
        run_zsh(path);
    else if (strcmp(name, "fish") == 0)
        execl(path, path, "-i", "-C", fish_cmd, (char *)NULL);
    else {
        setenv("PS1", HINT "$ ", 1);
        execl(path, path, "-i", (char *)NULL);
    }
    return zc_fail(zc, "%s: %s", path, strerror(errno));
}
