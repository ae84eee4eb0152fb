/* ztctl: joins and leaves networks, shows what is going on, starts and ends the node of a home,
 * runs programs inside the virtual network, makes identities and planets. */
#include "ztctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"

struct command {
    const char *name, *args, *what;
    zc_run *run;
    bool stops; /* options of ztctl end at the first plain argument */
    const char *help;
};

static const struct command commands[] = {
    {"up", "[-p PORT]", "start the node of this home and keep it running", zc_cmd_up, false,
     "Starts ztd in the background when it isn't running, waits until it answers, and tells it to\n"
     "stay when idle. -p chooses the UDP port (otherwise local.conf's, else 9993, else any).\n"
     "What ztd says goes to ztd.log in the home.\n\n"
     "  ztctl up\n"
     "  ztctl -H ~/homes/test up -p 9994\n"},
    {"down", "", "end the node of this home", zc_cmd_down, false,
     "Asks the node to end and waits until it has. Open virtual connections are closed.\n\n"
     "  ztctl down\n"},
    {"reload", "", "read local.conf again", zc_cmd_reload, false,
     "The node goes by the file at once, as after SIGHUP; another primaryPort or memoryBudget waits\n"
     "for the next start. A file that is no JSON changes nothing. What is wrong with it is said\n"
     "here with line, column and key; the exit code is 1 then.\n\n"
     "  ztctl reload\n"},
    {"info", "", "what this node is and how it does", zc_cmd_info, false,
     "Address, state, port, traffic, and what was refused and why.\n\n"
     "  ztctl info\n"
     "  ztctl -j info | jq .drops\n"},
    {"join", "NWID", "join a network", zc_cmd_join, false,
     "NWID is 16 hex digits. The node stays a member until 'leave', also after a restart.\n"
     "Addresses follow when the network's controller answers (ad-hoc networks: at once).\n\n"
     "  ztctl join ff0000ffff000000\n"},
    {"leave", "NWID", "leave a network", zc_cmd_leave, false,
     "Its addresses go away and its connections end.\n\n"
     "  ztctl leave ff0000ffff000000\n"},
    {"set", "NWID KEY=VALUE...", "what a network may do here", zc_cmd_set, false,
     "allowManaged  1, 0: use the addresses and routes of the controller, or none; or a list of\n"
     "              prefixes that they must lie in\n"
     "allowGlobal   1, 0: also public addresses\n"
     "allowDefault  1, 0: also default routes\n"
     "allowDNS      1, 0: also names of the network's domain\n"
     "They are kept in networks.d/NWID.local.conf and hold at once.\n\n"
     "  ztctl set ff0000ffff000000 allowGlobal=1 allowManaged=10.0.0.0/8,fd00::/8\n"},
    {"get", "NWID [KEY]", "one property of a network, or all", zc_cmd_get, false,
     "KEY is a name that 'ztctl -j networks' shows.\n\n"
     "  ztctl get ff0000ffff000000 allowDefault\n"
     "  ztctl get ff0000ffff000000 assignedAddresses\n"},
    {"networks", "", "networks joined, with their addresses", zc_cmd_networks, false,
     "With -j: the array that GET /network of the local API has.\n\n"
     "  ztctl networks\n"
     "  ztctl -j networks | jq -r '.[].assignedAddresses[]'\n"},
    {"peers", "", "other nodes, and whether the path to them is direct", zc_cmd_peers, false,
     "DIRECT: packets go straight to the endpoint shown. RELAY: they go through a root.\n\n"
     "  ztctl peers\n"},
    {"sockets", "", "open virtual sockets", zc_cmd_sockets, false, "  ztctl sockets\n"},
    {"ping", "[-c N] [-i SECONDS] ADDRESS", "probe a virtual address from the node itself",
     zc_cmd_ping, false,
     "Sends N (default 4) echo requests, one per SECONDS (default 1). The exit code is 0 when at\n"
     "least one was answered. (The system's ping is privileged and ignores a preload.)\n\n"
     "  ztctl ping -c 3 10.147.17.5\n"},
    {"resolve", "[-4|-6] NAME", "look up a name in the DNS domain of a joined network",
     zc_cmd_resolve, false,
     "The servers that the network's controller names are asked, over the network. Preloaded\n"
     "programs do the same by themselves. A domain of one label ('lan') counts only after\n"
     "'ztctl set NWID allowDNS=1'.\n\n"
     "  ztctl resolve printer.office.example\n"},
    {"api", "[GET|POST|DELETE] PATH [BODY]", "one request to the local API", zc_cmd_api, false,
     "Paths and documents are those of the local HTTP API (see ztd(8)); no token is needed here.\n"
     "BODY is JSON, or - for what comes on standard input. The answer is printed as it is (-j:\n"
     "indented); the exit code is 0 for status 200.\n\n"
     "  ztctl api /status\n"
     "  ztctl api POST /network/ff0000ffff000000 '{\"allowDNS\": true}'\n"},
    {"exec", "[-n NWID[,NWID]] [-d LEVEL] PROGRAM [ARGS...]", "run a program inside the network",
     zc_cmd_exec, true,
     "The program runs unmodified; its connections to virtual addresses go through the node of\n"
     "this home (started on first use), all others through the kernel as always. Its exit code\n"
     "is the program's; 126 when it can't take a preload (static, setuid), 127 when not found.\n"
     "  -n  networks to join on first use      -d  1 to 3: say on stderr what is routed where\n"
     "An option of ztctl must stand before PROGRAM.\n\n"
     "  ztctl exec curl http://10.147.17.5/\n"
     "  ztctl exec -H ~/homes/test python3 -m http.server --bind 10.147.17.4\n"},
    {"identity", "new [-o DIR] | show [FILE|DIR] | validate [FILE|DIR|TEXT]",
     "make, show and check identities", zc_cmd_identity, false,
     "new       makes identity.secret (0600) and identity.public in DIR (default: the home);\n"
     "          an identity that is there already is never replaced\n"
     "show      address, public key and fingerprint\n"
     "validate  the full check, with the proof of work; exit code 0 valid, 1 not\n\n"
     "  ztctl identity new -o /srv/root\n"
     "  ztctl identity show /srv/root/identity.public\n"},
    {"moons", "", "moons that this node orbits", zc_cmd_moons, false,
     "HELD: its roots are relied on like those of the planet. WAITING: asked for, not there yet.\n"
     "With -j: moon objects of the local API.\n\n"
     "  ztctl moons\n"},
    {"orbit", "MOON SEED", "rely on the roots of a moon, too", zc_cmd_orbit, false,
     "MOON is its id (up to 16 hex digits), SEED the address of a node that knows it, as its\n"
     "roots do. The node keeps the moon until 'deorbit', also after a restart.\n\n"
     "  ztctl orbit 09f9236294 09f9236294\n"},
    {"deorbit", "MOON", "rely on a moon no more", zc_cmd_deorbit, false,
     "  ztctl deorbit 09f9236294\n"},
#define WORLD_VERBS                                                                    \
    "new --root ID ENDPOINT... [--root ...] -o FILE | add-root FILE ID ENDPOINT... | " \
    "remove-root FILE ADDRESS | update ... | sign FILE | show FILE | install FILE"
    {"planet", WORLD_VERBS, "make, revise, show and install sets of root servers", zc_cmd_planet,
     false,
     "new          writes a planet with up to 4 roots: each an identity.public (file or text) and\n"
     "             its endpoints. The key that signs the next revision goes to FILE.secret\n"
     "             (0600): keep it\n"
     "add-root     a new revision with one root more\n"
     "remove-root  a new revision without this root\n"
     "update       options of new: a new revision of FILE with just these roots\n"
     "sign         a new revision with the same roots\n"
     "show         what is in FILE, and whether its own key signed it\n"
     "install      copies FILE into the home (-H) when nothing is there, or an older revision;\n"
     "             --force: anyhow\n\n"
     "A new revision is signed with FILE.secret (--key KEYFILE: another place). Nodes that have\n"
     "FILE accept it: install it on one root, and all others hear of it. --next KEYFILE hands\n"
     "over to another key, made when there is no such file.\n\n"
     "  ztctl planet new --root /srv/root/identity.public 10.0.0.1/9993 fd00::1/9993 -o planet\n"
     "  ztctl planet add-root planet /srv/root2/identity.public 10.0.0.2/9993\n"
     "  ztctl -H /srv/root planet install planet\n"},
    {"moon", WORLD_VERBS, "the same for a moon: roots beside the planet's", zc_cmd_moon, false,
     "As 'planet' has them. The id of a moon is the address of its first root; without -o the\n"
     "file is ID.moon. Install it on its roots (moons.d in their homes); others 'orbit' it.\n\n"
     "  ztctl moon new --root /srv/moon/identity.public 10.0.0.3/9993\n"
     "  ztctl -H /srv/moon moon install 00000009f9236294.moon\n"},
    {"rules", "compile FILE | decompile FILE", "network rules as people write them, and as JSON",
     zc_cmd_rules, false,
     "compile    turns a source of the rule language into JSON for a controller; errors and\n"
     "           warnings name line and column. FILE - is standard input\n"
     "decompile  turns such JSON, or a controller's network, back into a source\n\n"
     "  ztctl rules compile office.rules > office.json\n"
     "  ztctl rules decompile office.json\n"},
};
#define NCOMMANDS (sizeof commands / sizeof commands[0])

static void complain(const struct zc *zc, const char *fmt, va_list ap)
{
    fprintf(stderr, "ztctl%s%s: ", zc->cmd != NULL ? " " : "", zc->cmd != NULL ? zc->cmd : "");
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

int zc_usage(const struct zc *zc, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    complain(zc, fmt, ap);
    va_end(ap);
    fprintf(stderr, "try: ztctl%s%s --help\n", zc->cmd != NULL ? " " : "",
            zc->cmd != NULL ? zc->cmd : "");
    return ZC_USAGE;
}

int zc_fail(const struct zc *zc, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    complain(zc, fmt, ap);
    va_end(ap);
    return ZC_FAILED;
}

int zc_check_nwid(const struct zc *zc, const char *text)
{
    uint64_t nwid;
    if (zt_hex_parse_u64(text, 16, &nwid) == 0)
        return ZC_OK;
    return zc_usage(zc, "'%s' is not a network id: 16 hex digits, such as ff0000ffff000000", text);
}

static void help_all(void)
{
    puts("usage: ztctl [-H HOME] [-j] COMMAND ...\n");
    for (size_t i = 0; i < NCOMMANDS; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].what);
    puts("\n  -H HOME    folder of the node's identity and state\n"
         "             (default: $ZT_HOME, $XDG_STATE_HOME/zt, ~/.local/state/zt)\n"
         "  -j         JSON instead of text\n"
         "  --help     after a command: what it does, with an example\n"
         "  --version\n\n"
         "exit codes: 0 done, 1 failed, 2 wrong usage, 3 no node is running");
}

static void help_one(const struct command *c)
{
    printf("usage: ztctl [-H HOME] [-j] %s %s\n\n%c%s.\n%s", c->name, c->args,
           c->what[0] >= 'a' && c->what[0] <= 'z' ? c->what[0] - 'a' + 'A' : c->what[0],
           c->what + 1, c->help);
}

static char *default_home(void)
{
    const char *env = getenv("ZT_HOME");
    if (env != NULL && env[0] != '\0')
        return zc_absolute(env);
    const char *base = getenv("XDG_STATE_HOME"), *tail = "zt";
    if (base == NULL || base[0] != '/') {
        base = getenv("HOME");
        tail = ".local/state/zt";
    }
    if (base == NULL || base[0] != '/')
        return NULL;
    char *out;
    if (asprintf(&out, "%s/%s", base, tail) < 0)
        out = NULL;
    return zc_alloc(out);
}

enum taken { TAKEN_NONE, TAKEN_ONE, TAKEN_TWO, TAKEN_HELP, TAKEN_BAD };

/* Is argv[i] one of the options that may stand anywhere? */
static enum taken common_option(struct zc *zc, int argc, char **argv, int i)
{
    const char *a = argv[i];
    if (strcmp(a, "-j") == 0 || strcmp(a, "--json") == 0) {
        zc->json = true;
        return TAKEN_ONE;
    }
    if (strcmp(a, "-h") == 0 || strcmp(a, "--help") == 0)
        return TAKEN_HELP;
    if (strncmp(a, "-H", 2) != 0)
        return TAKEN_NONE;
    const char *dir = a[2] != '\0' ? a + 2 : i + 1 < argc ? argv[i + 1] : NULL;
    if (dir == NULL || dir[0] == '\0')
        return TAKEN_BAD;
    free(zc->home);
    zc->home = zc_absolute(dir);
    return a[2] != '\0' ? TAKEN_ONE : TAKEN_TWO;
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < NCOMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int run(struct zc *zc, const struct command *c, int argc, char **argv)
{
    int n = 0, i = 0;
    zc->cmd = c->name;
    while (i < argc) {
        if (strcmp(argv[i], "--") == 0 || (c->stops && argv[i][0] != '-'))
            break;
        switch (common_option(zc, argc, argv, i)) {
        case TAKEN_ONE:
            i++;
            continue;
        case TAKEN_TWO:
            i += 2;
            continue;
        case TAKEN_HELP:
            help_one(c);
            return ZC_OK;
        case TAKEN_BAD:
            return zc_usage(zc, "-H needs a folder");
        case TAKEN_NONE:
            break;
        }
        /* The value of an option of exec's own (-n, -d) isn't its first plain argument. */
        bool takes_value = c->stops && (strcmp(argv[i], "-n") == 0 || strcmp(argv[i], "-d") == 0);
        argv[n++] = argv[i++];
        if (takes_value && i < argc)
            argv[n++] = argv[i++];
    }
    while (i < argc)
        argv[n++] = argv[i++];
    argv[n] = NULL;
    if (zc->home == NULL && (zc->home = default_home()) == NULL)
        return zc_fail(zc, "no home folder: neither ZT_HOME nor HOME is set; give one with -H DIR");
    return c->run(zc, n, argv);
}

int main(int argc, char **argv)
{
    struct zc zc = {0};
    int i = 1;
    while (i < argc && argv[i][0] == '-') {
        if (strcmp(argv[i], "--version") == 0) {
            puts("ztctl " ZT_VERSION);
            return ZC_OK;
        }
        switch (common_option(&zc, argc, argv, i)) {
        case TAKEN_ONE:
            i++;
            continue;
        case TAKEN_TWO:
            i += 2;
            continue;
        case TAKEN_HELP:
            help_all();
            return ZC_OK;
        case TAKEN_BAD:
            return zc_usage(&zc, "-H needs a folder");
        case TAKEN_NONE:
            return zc_usage(&zc, "unknown option '%s'", argv[i]);
        }
    }
    if (i == argc) {
        help_all();
        return ZC_USAGE;
    }
    if (strcmp(argv[i], "help") == 0) {
        const struct command *c = i + 1 < argc ? find(argv[i + 1]) : NULL;
        if (c != NULL)
            help_one(c);
        else
            help_all();
        return ZC_OK;
    }
    const struct command *c = find(argv[i]);
    if (c == NULL)
        return zc_usage(&zc, "unknown command '%s'", argv[i]);
    int code = run(&zc, c, argc - i - 1, argv + i + 1);
    free(zc.home);
    if (fflush(stdout) != 0 && errno != EPIPE && code == ZC_OK)
        return zc_fail(&zc, "cannot write the output: %s", strerror(errno));
    return code;
}
