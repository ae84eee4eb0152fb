/* ztctl: what its files share. main.c has the table of subcommands, cmd_*.c one family each,
 * ctl_client.c the one door to a running node, out.c what people and programs read. */
#ifndef ZTCTL_H
#define ZTCTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes, the same for every subcommand (exec: see its help). */
enum zc_exit {
    ZC_OK = 0,
    ZC_FAILED = 1,
    ZC_USAGE = 2,
    ZC_NO_NODE = 3,
    ZC_CANNOT_EXEC = 126, /* exec alone, as env(1) has it */
    ZC_NOT_FOUND = 127,
};

struct zc {
    char *home; /* absolute */
    bool is_default; /* the home that every ztctl takes */
    bool json;
    const char *cmd; /* name of the subcommand that runs, for messages */
};

/* argv[0] is the first argument after the subcommand's name; -H, -j and --help are taken out.
 * argv[-1] is the name that was used. Returns an exit code. */
typedef int zc_run(struct zc *zc, int argc, char **argv);

zc_run zc_cmd_api, zc_cmd_complete, zc_cmd_completion, zc_cmd_controller, zc_cmd_deorbit, zc_cmd_down,
    zc_cmd_dump, zc_cmd_exec, zc_cmd_get, zc_cmd_help, zc_cmd_identity, zc_cmd_info, zc_cmd_join,
    zc_cmd_leave, zc_cmd_moon, zc_cmd_moons, zc_cmd_networks, zc_cmd_orbit, zc_cmd_paths,
    zc_cmd_peer, zc_cmd_peers, zc_cmd_ping, zc_cmd_planet, zc_cmd_reload, zc_cmd_resolve,
    zc_cmd_rules, zc_cmd_set, zc_cmd_shell, zc_cmd_sockets, zc_cmd_up, zc_cmd_watch;

/* commands.c: the table of subcommands. Help, completion and the parser read nothing else. */
struct zc_command {
    const char *name;
    const char *alias; /* the reference's name for it; or NULL */
    const char *group; /* heading in the overview; NULL: not shown */
    const char *args;  /* after the name, for help and completion: alternatives between " | " */
    const char *what;  /* in a line */
    zc_run *run;
    bool stops; /* options of ztctl end at the first plain argument */
    const char *help; /* with an example */
};
extern const struct zc_command zc_commands[]; /* ends with a name of NULL */
/* By name or alias; NULL: none. */
const struct zc_command *zc_find_command(const char *name);
/* One that the misspelt name may have meant; or NULL. */
const struct zc_command *zc_similar_command(const char *name);
void zc_help_all(void);
void zc_help_one(const struct zc_command *c);

/* main.c: "ztctl CMD: message", and where to read on; returns ZC_USAGE. */
__attribute__((format(printf, 2, 3))) int zc_usage(const struct zc *zc, const char *fmt, ...);
/* "ztctl CMD: message"; returns ZC_FAILED. */
__attribute__((format(printf, 2, 3))) int zc_fail(const struct zc *zc, const char *fmt, ...);
/* The keys that 'set' takes; ends with NULL. cmd_net.c */
extern const char *const zc_setting_keys[];
/* How to call ztctl for this home, for hints: "ztctl", or with -H. Lives as long as the program. */
const char *zc_self(const struct zc *zc);
/* Checks a network id (16 hex digits): ZC_OK, or ZC_USAGE with a message. */
int zc_check_nwid(const struct zc *zc, const char *text);

/* ctl_client.c: one short connection to control.sock per call. */

/* Connect. Returns a descriptor, or -1 with errno; ENOENT and ECONNREFUSED mean that no node runs.
 */
int zc_connect(const char *home);
/* Is a node answering? Says nothing. */
bool zc_is_running(const char *home);
/* "no node is running" and how to start one; returns ZC_NO_NODE. */
int zc_no_node(const struct zc *zc);
/* Send one ZT_CTL_COMMAND text and parse the answer into *out (a new reference). Returns an exit
 * code; when it isn't ZC_OK the message was printed and *out is NULL. */
int zc_command(const struct zc *zc, const char *text, json_t **out);
/* The same without a word on stderr: 0, or an errno (with the node's message in msg, or ""). */
int zc_command_quiet(const char *home, const char *text, json_t **out, char *msg, size_t cap);
/* The same over a connection from zc_connect(), which is closed. */
int zc_command_on(int fd, const char *text, json_t **out, char *msg, size_t cap);

/* One ZT_CTL_COMMAND whose answer has no end: each message to fn, until it returns false, the node
 * closes (ZC_OK both) or something fails. */
int zc_stream(const struct zc *zc, const char *text, bool (*fn)(void *user, const char *text, size_t n),
              void *user);

/* One request to the local API (vl2.md 10): method, path, JSON text (or ""). The status and the
 * body (malloc'd) of whatever the node answered. */
int zc_api_text(const struct zc *zc, const char *method, const char *path, const char *body,
                int *status, char **out);
/* The same with documents (body may be NULL); a status other than 200 is a failure, and said. */
int zc_api(const struct zc *zc, const char *method, const char *path, const json_t *body,
           json_t **out);
/* The same, but status 404 is for the caller to explain: ZC_OK then, and *out NULL. */
int zc_api_status(const struct zc *zc, const char *method, const char *path, const json_t *body,
                  int *status, json_t **out);

/* out.c */

/* Prints a document as JSON and frees it; returns ZC_OK. */
int zc_print_json(json_t *doc);
/* Member of an object as text ("-" when missing or null), as number, as truth. */
const char *zc_str(const json_t *obj, const char *key);
int64_t zc_int(const json_t *obj, const char *key, int64_t missing);
bool zc_true(const json_t *obj, const char *key);

/* "12.3 MB": for people; exact numbers are in the JSON. */
const char *zc_human(int64_t n, char out[32]);
/* Text of others in at most `most` columns of a terminal: what would steer it is '?', and what is
 * too long ends in an ellipsis. malloc'd. */
char *zc_clean(const char *text, unsigned most);

enum zc_tint { ZC_PLAIN, ZC_BOLD, ZC_GREEN, ZC_YELLOW, ZC_RED, ZC_DEFAULT };
/* What begins this colour on standard output (ZC_DEFAULT: ends it); "" unless that is a terminal
 * and NO_COLOR is not set. */
const char *zc_tint(enum zc_tint tint);

/* Columns that line up; the first row is the heading. */
struct zc_table {
    unsigned ncols;
    size_t nrows, cap;
    char **cells; /* nrows * ncols */
    unsigned char *tints;
};
#define ZC_CELL_MAX 4096
#define ZC_NAME_MAX 32
/* Begins it with its heading: "PEER|ROLE|PATH". */
void zc_head(struct zc_table *t, const char *names);
/* Adds a cell; ncols cells make a row. The text is cleaned and copied. */
void zc_cell(struct zc_table *t, enum zc_tint tint, const char *text);
__attribute__((format(printf, 3, 4))) void zc_cellf(struct zc_table *t, enum zc_tint tint,
                                                    const char *fmt, ...);
/* A name that somebody chose: at most ZC_NAME_MAX columns of it. */
void zc_cell_name(struct zc_table *t, const char *text);
/* Prints and frees it. */
void zc_table_print(struct zc_table *t);

/* next.c: what to do next, on stderr, when something isn't as people want it. Each asks the node for
 * what it isn't given (NULL) and is silent when all is well. */

/* No planet, or no root that answers. True: said something. */
bool zc_hint_offline(const struct zc *zc, const json_t *info);
/* Networks that are not in order: who must do what. True: said something. */
bool zc_hint_networks(const struct zc *zc, const json_t *info, const json_t *networks);

/* cmd_exec.c */

/* Finds `name` as execvp would, in out (PATH_MAX), and sees that it takes a preload: 0, or an exit code,
 * and said. */
int zc_check_program(const struct zc *zc, const char *name, char *out);
/* The environment of a preloaded program. ZC_OK, or said. */
int zc_set_preload(const struct zc *zc);
/* -n NWIDS, -d LEVEL at the front of argv, into the environment; *used: how many words. */
int zc_preload_options(const struct zc *zc, int argc, char **argv, int *used);

/* files.c: small files, and where the other programs are. */

/* Reads a file of at most max bytes. Returns a malloc'd text (0 behind it) or NULL with errno. */
char *zc_read_file(const char *path, size_t max, size_t *n);
/* Writes a new file and never replaces one: the bytes are complete and on disk before the name is
 * there. 0 or -1 with errno (EEXIST). */
int zc_write_new(const char *path, const void *p, size_t n, unsigned mode);
/* The same, but replaces. */
int zc_write_over(const char *path, const void *p, size_t n, unsigned mode);
/* mkdir -p with mode 0700. 0 or -1 with errno. */
int zc_make_dirs(const char *path);
/* Absolute form, malloc'd; does not need to exist. */
char *zc_absolute(const char *path);
/* Finds ztd / libztpreload.so: beside ztctl, in the build tree, where they are installed, (ztd) in
 * PATH. malloc'd, or NULL. */
char *zc_find_ztd(void);
char *zc_find_preload(void);
void *zc_alloc(void *p); /* returns p, or ends the program when it is NULL */

#endif
