/* The table of subcommands, and what is shown of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ztctl.h"

#define NODE "the node"
#define NETWORKS "networks"
#define LOOK "other nodes, and what goes on"
#define PROGRAMS "programs"
#define WORLDS "identities and roots"
#define CONTROLLER "being a controller"
#define OTHER "help"

#define WORLD_VERBS(output)                                                                \
    "new --root IDENTITY ENDPOINT... [--root ...] " output                                 \
    " | add-root [--key KEYFILE] [--next KEYFILE] FILE IDENTITY ENDPOINT..."               \
    " | remove-root [--key KEYFILE] [--next KEYFILE] FILE ROOT"                            \
    " | update [--key KEYFILE] [--next KEYFILE] --root IDENTITY ENDPOINT... -o FILE"       \
    " | sign [--key KEYFILE] [--next KEYFILE] FILE | show FILE | install [--force] FILE"

const struct zc_command zc_commands[] = {
    {"up", NULL, NODE, "[-p PORT]",
     "start the node of this home and keep it running", zc_cmd_up, false,
     "Starts ztd in the background when it isn't running, waits until it answers, and tells it to\n"
     "stay when idle. -p chooses the UDP port (otherwise local.conf's, else 9993, else any).\n"
     "What ztd says goes to ztd.log in the home.\n\n"
     "  ztctl up\n"
     "  ztctl -H ~/homes/test up -p 9994\n"},
    {"down", NULL, NODE, "",
     "end the node of this home", zc_cmd_down, false,
     "Asks the node to end and waits until it has. Open virtual connections are closed.\n\n"
     "  ztctl down\n"},
    {"info", "status", NODE, "",
     "what this node is and how it does", zc_cmd_info, false,
     "Address, state, port, traffic, and what was refused and why.\n\n"
     "  ztctl info\n"
     "  ztctl -j info | jq .drops\n"},
    {"watch", NULL, NODE, "[-n COUNT]",
     "events as they come", zc_cmd_watch, false,
     "Online and offline, networks and their addresses, paths to other nodes, warnings: a line each,\n"
     "until you stop it, or COUNT of them have come. Who reads slowly delays nothing, and is told how\n"
     "many it missed. With -j: an object per line.\n\n"
     "  ztctl watch\n"
     "  ztctl -j watch | jq -r 'select(.event == \"peer\") | .address'\n"},
    {"reload", NULL, NODE, "",
     "read local.conf again", zc_cmd_reload, false,
     "The node goes by the file at once, as after SIGHUP; another primaryPort or memoryBudget waits\n"
     "for the next start. A file that is no JSON changes nothing. What is wrong with it is said\n"
     "here with line, column and key; the exit code is 1 then.\n\n"
     "  ztctl reload\n"},
    {"dump", NULL, NODE, "",
     "all that helps with a bug report, in one text", zc_cmd_dump, false,
     "Versions, system, settings, files of the home (names and sizes), networks, peers, sockets, what was\n"
     "refused, and the end of the log. Works without a node, too. No key, token or password is in it,\n"
     "but addresses of your networks and of other nodes are: look before you publish it.\n\n"
     "  ztctl dump > report.txt\n"},
    {"join", NULL, NETWORKS, "NWID",
     "join a network", zc_cmd_join, false,
     "NWID is 16 hex digits. The node stays a member until 'leave', also after a restart. Waits for\n"
     "two seconds at most for the answer of the network's controller (with -j: not at all); what is\n"
     "missing then is said, and 'ztctl watch' shows when it comes.\n\n"
     "  ztctl join ff0000ffff000000\n"},
    {"leave", NULL, NETWORKS, "NWID",
     "leave a network", zc_cmd_leave, false,
     "Its addresses go away and its connections end.\n\n"
     "  ztctl leave ff0000ffff000000\n"},
    {"networks", "listnetworks", NETWORKS, "",
     "networks joined, with their addresses", zc_cmd_networks, false,
     "With -j: the array that GET /network of the local API has.\n\n"
     "  ztctl networks\n"
     "  ztctl -j networks | jq -r '.[].assignedAddresses[]'\n"},
    {"set", NULL, NETWORKS, "NWID KEY=VALUE...",
     "what a network may do here", zc_cmd_set, false,
     "allowManaged  1, 0: use the addresses and routes of the controller, or none; or a list of\n"
     "              prefixes that they must lie in\n"
     "allowGlobal   1, 0: also public addresses\n"
     "allowDefault  1, 0: also default routes\n"
     "allowDNS      1, 0: also names of the network's domain\n"
     "They are kept in networks.d/NWID.local.conf and hold at once.\n\n"
     "  ztctl set ff0000ffff000000 allowGlobal=1 allowManaged=10.0.0.0/8,fd00::/8\n"},
    {"get", NULL, NETWORKS, "NWID [KEY]",
     "one property of a network, or all", zc_cmd_get, false,
     "KEY is a name that 'ztctl -j networks' shows.\n\n"
     "  ztctl get ff0000ffff000000 allowDefault\n"
     "  ztctl get ff0000ffff000000 assignedAddresses\n"},
    {"peers", "listpeers", LOOK, "",
     "other nodes, and whether the path to them is direct", zc_cmd_peers, false,
     "DIRECT: packets go straight to the endpoint shown. RELAY: they go through a root.\n\n"
     "  ztctl peers\n"},
    {"peer", NULL, LOOK, "PEER",
     "one other node, with all its paths", zc_cmd_peer, false,
     "PEER is its address: 10 hex digits. With -j: what GET /peer/PEER of the local API has, and more.\n\n"
     "  ztctl peer 89e92ceee5\n"},
    {"paths", NULL, LOOK, "[PEER]",
     "endpoints of other nodes, and when they were heard", zc_cmd_paths, false,
     "All paths that this node knows to other nodes (or to one), direct ones only. USED: what is sent to\n"
     "the node goes here. SPARE: works, too. OLD: silent for too long, or replaced.\n\n"
     "  ztctl paths\n"
     "  ztctl paths 89e92ceee5\n"},
    {"ping", NULL, LOOK, "[-c COUNT] [-i SECONDS] ADDRESS",
     "probe a virtual address from the node itself", zc_cmd_ping, false,
     "Sends N (default 4) echo requests, one per SECONDS (default 1). The exit code is 0 when at\n"
     "least one was answered. (The system's ping is privileged and ignores a preload.)\n\n"
     "  ztctl ping -c 3 10.147.17.5\n"},
    {"resolve", NULL, LOOK, "[-4|-6] NAME",
     "look up a name in the DNS domain of a joined network", zc_cmd_resolve, false,
     "The servers that the network's controller names are asked, over the network. Preloaded\n"
     "programs do the same by themselves. A domain of one label ('lan') counts only after\n"
     "'ztctl set NWID allowDNS=1'.\n\n"
     "  ztctl resolve printer.office.example\n"},
    {"sockets", NULL, LOOK, "",
     "open virtual sockets", zc_cmd_sockets, false,
     "Sockets of preloaded programs, and of a program that has the node inside.\n\n"
     "  ztctl sockets\n"},
    {"api", NULL, LOOK, "[GET|POST|DELETE] PATH [BODY]",
     "one request to the local API", zc_cmd_api, false,
     "Paths and documents are those of the local HTTP API (see ztd(8)); no token is needed here.\n"
     "BODY is JSON, or - for what comes on standard input. The answer is printed as it is (-j:\n"
     "indented); the exit code is 0 for status 200.\n\n"
     "  ztctl api /status\n"
     "  ztctl api POST /network/ff0000ffff000000 '{\"allowDNS\": true}'\n"},
    {"exec", NULL, PROGRAMS, "[-n NWID[,NWID]] [-d LEVEL] PROGRAM [ARGS...]",
     "run a program inside the network", zc_cmd_exec, true,
     "The program runs unmodified; its connections to virtual addresses go through the node of\n"
     "this home (started on first use), all others through the kernel as always. Its exit code\n"
     "is the program's; 126 when it can't take a preload (static, setuid), 127 when not found.\n"
     "  -n  networks to join on first use\n"
     "  -d  1: say on stderr what goes wrong; 2: also which sockets go to the virtual network\n"
     "An option of ztctl must stand before PROGRAM.\n\n"
     "  ztctl exec curl http://10.147.17.5/\n"
     "  ztctl exec -H ~/homes/test python3 -m http.server --bind 10.147.17.4\n"},
    {"shell", NULL, PROGRAMS, "[-n NWID[,NWID]] [-d LEVEL]",
     "a shell in which every program is inside the network", zc_cmd_shell, false,
     "Your shell ($SHELL), with '(zt)' before its prompt: what you start in it runs as under 'exec'.\n"
     "'exit' leaves it. Programs that can't take a preload (static, setuid, such as ping and sudo) use\n"
     "the kernel's network there, without a word.\n"
     "  -n  networks to join on first use\n"
     "  -d  1: say on stderr what goes wrong; 2: also which sockets go to the virtual network\n\n"
     "  ztctl shell\n"},
    {"moons", "listmoons", WORLDS, "",
     "moons that this node orbits", zc_cmd_moons, false,
     "HELD: its roots are relied on like those of the planet. WAITING: asked for, not there yet.\n"
     "With -j: moon objects of the local API.\n\n"
     "  ztctl moons\n"},
    {"orbit", NULL, WORLDS, "MOON SEED",
     "rely on the roots of a moon, too", zc_cmd_orbit, false,
     "MOON is its id (up to 16 hex digits), SEED the address of a node that knows it, as its\n"
     "roots do. The node keeps the moon until 'deorbit', also after a restart.\n\n"
     "  ztctl orbit 09f9236294 09f9236294\n"},
    {"deorbit", NULL, WORLDS, "MOON",
     "rely on a moon no more", zc_cmd_deorbit, false,
     "  ztctl deorbit 09f9236294\n"},
    {"identity", NULL, WORLDS, "new [-o DIR] | show [IDENTITY] | validate [IDENTITY]",
     "make, show and check identities", zc_cmd_identity, false,
     "new       makes identity.secret (0600) and identity.public in DIR (default: the home);\n"
     "          an identity that is there already is never replaced\n"
     "show      address, public key and fingerprint\n"
     "validate  the full check, with the proof of work; exit code 0 valid, 1 not\n"
     "IDENTITY is a file, a home, or the text itself.\n\n"
     "  ztctl identity new -o /srv/root\n"
     "  ztctl identity show /srv/root/identity.public\n"},
    {"planet", NULL, WORLDS, WORLD_VERBS("-o FILE"),
     "make, revise, show and install sets of root servers", zc_cmd_planet, false,
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
    {"moon", NULL, WORLDS, WORLD_VERBS("[-o FILE]"),
     "the same for a moon: roots beside the planet's", zc_cmd_moon, false,
     "As 'planet' has them. The id of a moon is the address of its first root; without -o the\n"
     "file is ID.moon. Install it on its roots (moons.d in their homes); others 'orbit' it.\n\n"
     "  ztctl moon new --root /srv/moon/identity.public 10.0.0.3/9993\n"
     "  ztctl -H /srv/moon moon install 00000009f9236294.moon\n"},
    {"controller", NULL, CONTROLLER, "networks | new [KEY=VALUE...] | show NWID [NODE] | members NWID"
     " | authorize NWID NODE... | deauthorize NWID NODE... | set NWID KEY=VALUE..."
     " | set NWID NODE KEY=VALUE... | delete NWID [NODE...]",
     "networks of which this node is the controller", zc_cmd_controller, false,
     "networks                    those that there are\n"
     "new [KEY=VALUE...]          makes one and prints its id\n"
     "show NWID [NODE]            a network or member as JSON\n"
     "set NWID KEY=VALUE...       changes a network\n"
     "set NWID NODE KEY=VALUE...  changes a member\n"
     "members NWID                who is in, and who asked\n"
     "authorize NWID NODE...      lets nodes in, deauthorize NWID NODE... puts them out\n"
     "delete NWID [NODE...]       a network with its members, or members\n\n"
     "KEY of a network: name, private (true), ipv4=PREFIX (route, pool and assignment),\n"
     "ipv6=rfc4193,6plane,zt (or some), route=TARGET[,GATEWAY], mtu, broadcast, multicastLimit,\n"
     "dns=DOMAIN,SERVER..., token=TEXT, rules=FILE (of 'ztctl rules compile'); of a member: name,\n"
     "ip=ADDRESS,..., bridge, authorized; fields of the local API's objects as JSON.\n\n"
     "  ztctl controller new name=office ipv4=10.147.20.0/24 ipv6=6plane\n"
     "  ztctl controller authorize 1122334455a1b2c3 89e92ceee5\n"
     "  ztctl controller set 1122334455a1b2c3 89e92ceee5 ip=10.147.20.7 name=printer\n"},
    {"rules", NULL, CONTROLLER, "compile FILE | decompile FILE",
     "network rules as people write them, and as JSON", zc_cmd_rules, false,
     "compile    turns a source of the rule language into JSON for a controller; errors and\n"
     "           warnings name line and column. FILE - is standard input\n"
     "decompile  turns such JSON, or a controller's network, back into a source\n\n"
     "  ztctl rules compile office.rules > office.json\n"
     "  ztctl rules decompile office.json\n"},
    {"help", NULL, OTHER, "[COMMAND]",
     "this overview, or what a command does", zc_cmd_help, false,
     "The same as --help after the command.\n\n"
     "  ztctl help exec\n"},
    {"completion", NULL, OTHER, "SHELL",
     "what makes a shell complete ztctl's arguments", zc_cmd_completion, false,
     "SHELL is bash, zsh or fish. Prints what the installed packages put into the usual folders, for those\n"
     "who run ztctl from elsewhere. Ids of networks and nodes come from the running node.\n\n"
     "  source <(ztctl completion bash)\n"
     "  ztctl completion fish > ~/.config/fish/completions/ztctl.fish\n"},
    /* for the shells: what could the last of these words be? */
    {"__complete", NULL, NULL, "", "", zc_cmd_complete, true, ""},
    {0},
};

const struct zc_command *zc_find_command(const char *name)
{
    for (const struct zc_command *c = zc_commands; c->name != NULL; c++)
        if (strcmp(c->name, name) == 0 || (c->alias != NULL && strcmp(c->alias, name) == 0))
            return c;
    return NULL;
}

/* How many letters are to be put in, left out or changed to make b of a; 9 and more are all 9. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[17], n = (unsigned)strlen(b);
    if (n > 16 || strlen(a) > 16)
        return 9;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1] != '\0'; i++) {
        unsigned corner = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= n; j++) {
            unsigned change = corner + (a[i - 1] != b[j - 1]), one = row[j] + 1;
            corner = row[j];
            if (row[j - 1] + 1 < one)
                one = row[j - 1] + 1;
            row[j] = change < one ? change : one;
        }
    }
    return row[n];
}

const struct zc_command *zc_similar_command(const char *name)
{
    const struct zc_command *best = NULL;
    unsigned least = 3;
    for (const struct zc_command *c = zc_commands; c->name != NULL; c++) {
        unsigned d = distance(name, c->name);
        if (c->group != NULL && d < least && d < strlen(c->name)) {
            least = d;
            best = c;
        }
    }
    return best;
}

void zc_help_all(void)
{
    const char *group = "";
    puts("usage: ztctl [-H HOME] [-j] COMMAND ...");
    for (const struct zc_command *c = zc_commands; c->name != NULL; c++) {
        if (c->group == NULL)
            continue;
        if (strcmp(group, c->group) != 0)
            printf("\n%s%s%s\n", zc_tint(ZC_BOLD), c->group, zc_tint(ZC_DEFAULT));
        group = c->group;
        printf("  %-11s %s\n", c->name, c->what);
    }
    puts("\n  -H HOME     folder of the node's identity and state\n"
         "              (default: $ZT_HOME, $XDG_STATE_HOME/zt, ~/.local/state/zt)\n"
         "  -j          JSON instead of text\n"
         "  --help      after a command: what it does, with an example\n"
         "  --version\n\n"
         "exit codes: 0 done, 1 failed, 2 wrong usage, 3 no node is running");
}

void zc_help_one(const struct zc_command *c)
{
    const char *lead = "usage:", *p = c->args;
    do { /* a line per alternative */
        const char *end = strstr(p, " | ");
        int n = end != NULL ? (int)(end - p) : (int)strlen(p);
        printf("%s ztctl [-H HOME] [-j] %s%s%.*s\n", lead, c->name, n > 0 ? " " : "", n, p);
        p = end != NULL ? end + 3 : NULL;
        lead = "      ";
    } while (p != NULL);
    printf("\n%c%s.%s%s%s\n\n%s", c->what[0] >= 'a' && c->what[0] <= 'z' ? c->what[0] - 32 : c->what[0],
           c->what + 1, c->alias != NULL ? " Also called '" : "", c->alias != NULL ? c->alias : "",
           c->alias != NULL ? "'." : "", c->help);
}

int zc_cmd_help(struct zc *zc, int argc, char **argv)
{
    const struct zc_command *c = argc > 0 ? zc_find_command(argv[0]) : NULL;
    if (argc > 1)
        return zc_usage(zc, "unexpected argument '%s'", argv[1]);
    if (argc > 0 && c == NULL)
        return zc_usage(zc, "there is no command '%s'", argv[0]);
    if (c != NULL)
        zc_help_one(c);
    else
        zc_help_all();
    return ZC_OK;
}
