/* completion: the scripts of tools/ztctl/completion, built in, so that they come along with ztctl. */
#include "ztctl.h"

#include <stdio.h>
#include <string.h>

#include "completion.h" /* made by the build: completion_bash, completion_zsh, completion_fish */

int zc_cmd_completion(struct zc *zc, int argc, char **argv)
{
    static const struct {
        const char *shell, *text;
    } scripts[] = {
        {"bash", completion_bash}, {"zsh", completion_zsh}, {"fish", completion_fish}};
    if (argc != 1)
        return zc_usage(zc, "name a shell: bash, zsh or fish");
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        if (strcmp(argv[0], scripts[i].shell) == 0) {
            fputs(scripts[i].text, stdout);
            return ZC_OK;
        }
    }
    return zc_usage(zc, "there is nothing for '%s', but for bash, zsh and fish", argv[0]);
}
