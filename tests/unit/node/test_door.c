/* The control socket, as a client sees it. */
#include "env.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "node/door.h"

#define LONG_TEXT 100000
#define MANY_FDS 4096
#define FEW_FDS 1200

struct fixture {
    struct env env;
    struct zt_door *door;
    char root[64], home[256];
    struct zt_door_reply *kept; /* command "later" */
    int new_err;
    unsigned told;
};

static void command(void *user, const char *text, bool is_owner, struct zt_door_reply *to)
{
    struct fixture *f = user;
    static char big[LONG_TEXT];

    assert_true(is_owner);
    if (strcmp(text, "long") == 0) {
        for (int i = 0; i < LONG_TEXT; i++)
            big[i] = (char)('a' + i % 26);
        zt_door_reply(to, 0, big, sizeof big);
    } else if (strcmp(text, "later") == 0) {
        f->kept = to;
    } else if (strcmp(text, "watch") == 0) {
        zt_door_watch(to, "0", 1);
    } else if (strcmp(text, "tell") == 0) { /* the next of 1 KB each: "1....", "2....", */
        char event[1024];
        memset(event, '.', sizeof event);
        memcpy(event, big, (size_t)sprintf(big, "%u", ++f->told));
        zt_door_tell(f->door, event, sizeof event);
        zt_door_reply(to, 0, zt_door_is_watched(f->door) ? "1" : "0", 1);
    } else if (strcmp(text, "empty") == 0) {
        zt_door_reply(to, 0, NULL, 0);
    } else if (strncmp(text, "count ", 6) == 0) { /* how long is it, and is it all there? */
        char n[32];
        size_t len = strlen(text), i = 6;
        while (i < len && text[i] == (char)('a' + i % 26))
            i++;
        snprintf(n, sizeof n, "%zu", i == len ? len : 0);
        zt_door_reply(to, 0, n, strlen(n));
    } else {
        zt_door_reply(to, ENOENT, text, strlen(text));
    }
}

static void open_door(struct env *e)
{
    struct fixture *f = e->more;
    struct zt_door_config cfg = {
        .loop = e->loop, .proxy = e->proxy, .home = f->home, .command = command, .user = f};

    f->new_err = zt_door_new(&cfg, &f->door);
}

static void close_door(struct env *e)
{
    struct fixture *f = e->more;

    zt_door_free(f->door);
    if (f->kept)
        zt_door_reply(f->kept, 0, "late", 4); /* owed, although nobody listens any more */
}

static int start(void **state, bool long_path)
{
    struct fixture *f = calloc(1, sizeof *f);

    snprintf(f->root, sizeof f->root, "/tmp/zt-door-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    snprintf(f->home, sizeof f->home, "%s", f->root);
    for (int i = 0; long_path && i < 12; i++) {
        strcat(f->home, "/a-long-name");
        assert_int_equal(mkdir(f->home, 0700), 0);
    }
    f->env.more = f;
    f->env.leave_fds = true;
    f->env.on_init = open_door;
    f->env.on_fini = close_door;
    env_start(&f->env);
    assert_int_equal(f->new_err, 0);
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return start(state, false);
}

static int setup_long(void **state)
{
    return start(state, true);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char path[300];
    struct stat st;

    env_stop(&f->env);
    snprintf(path, sizeof path, "%s/%s", f->home, ZT_CTL_SOCKET);
    assert_int_equal(stat(path, &st), -1); /* it cleans up after itself */
    while (strcmp(f->home, f->root) != 0) {
        rmdir(f->home);
        *strrchr(f->home, '/') = 0;
    }
    assert_int_equal(rmdir(f->root), 0);
    free(f);
    return 0;
}

static void limit_fds(rlim_t n)
{
    struct rlimit nofile;

    getrlimit(RLIMIT_NOFILE, &nofile);
    nofile.rlim_cur = nofile.rlim_max < n ? nofile.rlim_max : n;
    setrlimit(RLIMIT_NOFILE, &nofile);
}

static int dial_file(const struct fixture *f)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    char cwd[512];

    /* A relative path is short, however long the home's is. */
    assert_non_null(getcwd(cwd, sizeof cwd));
    assert_int_equal(chdir(f->home), 0);
    strcpy(sun.sun_path, ZT_CTL_SOCKET);
    if (connect(fd, (struct sockaddr *)&sun, sizeof sun) != 0) {
        close(fd);
        fd = -1;
    }
    assert_int_equal(chdir(cwd), 0);
    return fd;
}

static int dial_twin(const struct fixture *f)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct stat st;
    unsigned n;

    assert_int_equal(stat(f->home, &st), 0);
    n = zt_ctl_twin(geteuid(), st.st_dev, st.st_ino, sun.sun_path);
    if (connect(fd, (struct sockaddr *)&sun,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* One message; returns its length, 0 at the end, and a descriptor in *fd. */
static ssize_t receive(int s, struct zt_ctl_rep *r, void *data, int *fd)
{
    struct iovec iov[2] = {{r, sizeof *r}, {data, data ? ZT_CTL_REPLY_DATA : 0}};
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } c;
    struct msghdr m = {
        .msg_iov = iov, .msg_iovlen = 2, .msg_control = &c, .msg_controllen = sizeof c};
    ssize_t n;

    assert_true(env_poll(s, POLLIN, ENV_MS));
    n = recvmsg(s, &m, MSG_CMSG_CLOEXEC);
    if (fd) {
        *fd = -1;
        if (n > 0 && CMSG_FIRSTHDR(&m))
            memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof *fd);
    }
    return n;
}

static struct zt_ctl_req request(uint8_t type)
{
    struct zt_ctl_req q = {.version = ZT_CTL_VERSION, .type = type};

    return q;
}

static struct zt_ctl_req ask(const char *text)
{
    struct zt_ctl_req q = request(ZT_CTL_COMMAND);

    q.ndata = (uint32_t)strlen(text);
    memcpy(q.data, text, q.ndata);
    return q;
}

static void hello_gives_the_page(void **state)
{
    struct fixture *f = *state;
    struct zt_ctl_req q = request(ZT_CTL_HELLO);
    struct zt_state_head *h;
    struct zt_ctl_rep r;
    struct stat st;
    char path[300];
    int s = dial_file(f), fd;

    snprintf(path, sizeof path, "%s/%s", f->home, ZT_CTL_SOCKET);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(s >= 0);
    assert_true(send(s, &q, offsetof(struct zt_ctl_req, data), 0) > 0);
    assert_int_equal(receive(s, &r, NULL, &fd), sizeof r);
    assert_int_equal(r.err, 0);
    assert_true(fd >= 0);
    h = mmap(NULL, sizeof *h, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(h, MAP_FAILED);
    assert_int_equal(h->magic, ZT_STATE_MAGIC);
    munmap(h, sizeof *h);
    assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    close(fd);
    close(s);
}

static void sockets_through_the_door(void **state)
{
    struct fixture *f = *state;
    struct zt_ctl_req q = request(ZT_CTL_CONNECT);
    struct zt_ctl_rep l, r;
    struct zt_ctl_accept a;
    char b[8];
    int lfd = env_listen(&f->env, env_addr4("10.1.0.2", 80), 4, &l), s = dial_twin(f), fd, afd;

    assert_true(s >= 0);
    q.stype = SOCK_STREAM;
    q.family = AF_INET;
    q.remote = l.local;
    assert_true(send(s, &q, offsetof(struct zt_ctl_req, data), 0) > 0);
    assert_int_equal(receive(s, &r, NULL, &fd), sizeof r);
    assert_int_equal(r.err, 0);
    assert_true(fd >= 0);
    close(s);
    afd = env_accept(lfd, &a);
    assert_true(afd >= 0);
    assert_int_equal(write(afd, "hi", 2), 2);
    assert_int_equal(read(fd, b, sizeof b), 2);
    close(fd);
    close(afd);
    close(lfd);
}

static void bad_requests_are_refused(void **state)
{
    struct fixture *f = *state;
    struct zt_ctl_req q = request(ZT_CTL_INFO);
    struct zt_ctl_rep r;
    int s = dial_file(f);

    for (size_t n = 1; n < offsetof(struct zt_ctl_req, data); n++) {
        assert_true(send(s, &q, n, 0) > 0);
        assert_int_equal(receive(s, &r, NULL, NULL), sizeof r);
        assert_int_equal(r.err, EPROTO);
    }
    q.ndata = 5; /* more than there is */
    assert_true(send(s, &q, offsetof(struct zt_ctl_req, data) + 4, 0) > 0);
    receive(s, &r, NULL, NULL);
    assert_int_equal(r.err, EINVAL);
    q.ndata = 0;
    q.nopts = ZT_CTL_OPTS + 1;
    assert_true(send(s, &q, sizeof q, 0) > 0);
    receive(s, &r, NULL, NULL);
    assert_int_equal(r.err, EINVAL);
    q.nopts = 0;
    q.id = 0x12345; /* nobody's */
    assert_true(send(s, &q, sizeof q, 0) > 0);
    receive(s, &r, NULL, NULL);
    assert_int_equal(r.err, EBADF);
    q.type = 200;
    assert_true(send(s, &q, sizeof q, 0) > 0);
    receive(s, &r, NULL, NULL);
    assert_int_equal(r.err, ENOSYS);
    q.version++;
    assert_true(send(s, &q, sizeof q, 0) > 0);
    receive(s, &r, NULL, NULL);
    assert_int_equal(r.err, EPROTO);
    assert_int_equal(r.version, ZT_CTL_VERSION);
    close(s);
}

static void random_requests_do_no_harm(void **state)
{
    struct fixture *f = *state;
    struct zt_ctl_rep r;
    unsigned seed = 4711;
    int s = dial_file(f), fd;

    for (int i = 0; i < 4000; i++) {
        struct zt_ctl_req q;
        for (size_t k = 0; k < sizeof q; k++)
            ((uint8_t *)&q)[k] = (uint8_t)(rand_r(&seed) >> 7);
        q.version = ZT_CTL_VERSION;
        q.type = (uint8_t)(ZT_CTL_CONNECT + rand_r(&seed) % 6);
        q.ndata %= ZT_CTL_DATA + 1;
        q.nopts %= ZT_CTL_OPTS + 1;
        q.id = rand_r(&seed) % 2 ? 0 : q.id;
        q.remote.family = (uint8_t)((rand_r(&seed) % 4) * 2);
        q.local.family = (uint8_t)((rand_r(&seed) % 4) * 2);
        assert_true(send(s, &q, sizeof q, 0) > 0);
        assert_true(receive(s, &r, NULL, &fd) >= (ssize_t)sizeof r);
        if (fd >= 0)
            close(fd);
    }
    close(s);
}

static void send_text(int s, const char *text)
{
    struct zt_ctl_req q = ask(text);

    assert_true(send(s, &q, offsetof(struct zt_ctl_req, data) + q.ndata, 0) > 0);
}

/* Has something been told to somebody? */
static bool tell(int s)
{
    char data[ZT_CTL_REPLY_DATA];
    struct zt_ctl_rep r;

    send_text(s, "tell");
    receive(s, &r, data, NULL);
    return data[0] == '1';
}

/* The next event of one who watches: its number; the number of missed ones in *missed. */
static unsigned next_event(int s, unsigned *missed)
{
    char data[ZT_CTL_REPLY_DATA];
    struct zt_ctl_rep r;

    assert_true(receive(s, &r, data, NULL) > (ssize_t)sizeof r);
    assert_int_equal(r.more, 1);
    data[r.ndata] = 0;
    if (sscanf(data, "{\"event\":\"missed\",\"count\":%u}", missed) == 1)
        return next_event(s, missed);
    return (unsigned)strtoul(data, NULL, 10);
}

static void who_watches_slowly_misses_and_is_told(void **state)
{
    enum { EVENTS = 2000 };
    struct fixture *f = *state;
    int quick = dial_file(f), slow = dial_file(f), teller = dial_file(f);
    unsigned missed = 0, before = 0, n;

    assert_false(tell(teller));
    send_text(quick, "watch");
    send_text(slow, "watch");
    assert_int_equal(next_event(quick, &missed), 0);
    assert_int_equal(next_event(slow, &missed), 0);
    for (unsigned i = 2; i < EVENTS; i++) { /* the slow one's socket fills; nobody waits for it */
        assert_true(tell(teller));
        assert_int_equal(next_event(quick, &missed), i);
    }
    assert_int_equal(missed, 0);
    for (n = 1; n > before && env_poll(slow, POLLIN, 0);) {
        char data[ZT_CTL_REPLY_DATA];
        struct zt_ctl_rep r;
        receive(slow, &r, data, NULL);
        data[r.ndata] = 0;
        if (sscanf(data, "{\"event\":\"missed\",\"count\":%u}", &missed) == 1)
            break;
        before = n;
        n = (unsigned)strtoul(data, NULL, 10);
        assert_int_equal(n, before + 1); /* none out of order, none in between */
    }
    if (missed == 0) /* told as soon as there is room, without another event */
        (void)!env_poll(slow, POLLIN, ENV_MS);
    assert_true(tell(teller));
    before = n;
    n = next_event(slow, &missed);
    assert_int_equal(n, EVENTS);
    assert_true(missed > 0);
    assert_int_equal(before + missed + 1, EVENTS);
    close(quick);
    send_text(slow, "info"); /* who watches says nothing more */
    for (int i = 0; i < ENV_MS / 10 && tell(teller); i++)
        usleep(10000);
    assert_false(tell(teller));
    close(slow);
    close(teller);
}

static void commands_and_long_answers(void **state)
{
    struct fixture *f = *state;
    static char data[ZT_CTL_REPLY_DATA];
    struct zt_ctl_req q = ask("long");
    struct zt_ctl_rep r;
    size_t got = 0;
    int s = dial_file(f);

    assert_true(send(s, &q, sizeof q, 0) > 0);
    do {
        ssize_t n = receive(s, &r, data, NULL);
        assert_int_equal(n, sizeof r + r.ndata);
        for (uint32_t i = 0; i < r.ndata; i++, got++)
            if (data[i] != (char)('a' + got % 26))
                fail();
    } while (r.more);
    assert_int_equal(got, LONG_TEXT);
    q = ask("nonsense");
    assert_true(send(s, &q, sizeof q, 0) > 0);
    receive(s, &r, data, NULL);
    assert_int_equal(r.err, ENOENT);
    assert_int_equal(r.ndata, 8);
    q = ask("empty");
    assert_true(send(s, &q, sizeof q, 0) > 0);
    receive(s, &r, data, NULL);
    assert_int_equal(r.err | (int)r.ndata | r.more, 0);
    close(s);
}

static unsigned clients(struct fixture *f)
{
    struct zt_proxy_counts c;

    env_counts(&f->env, &c); /* the loop has taken a turn since */
    return zt_door_clients(f->door);
}

/* Sends `len` bytes of a "count" command in parts, and as many bytes as ztctl would in each. */
static void send_long(int s, size_t len)
{
    static char text[ZT_CTL_TEXT + 2];
    struct zt_ctl_req q = request(ZT_CTL_MORE);

    for (size_t i = 0; i < len; i++)
        text[i] = i < 6 ? "count "[i] : (char)('a' + i % 26);
    for (size_t at = 0; at < len; at += q.ndata) {
        q.ndata = (uint32_t)(len - at < ZT_CTL_DATA ? len - at : ZT_CTL_DATA);
        q.type = at + q.ndata < len ? ZT_CTL_MORE : ZT_CTL_COMMAND;
        memcpy(q.data, text + at, q.ndata);
        if (send(s, &q, sizeof q, MSG_NOSIGNAL) < 0)
            assert_int_equal(errno, EPIPE); /* refused meanwhile */
    }
}

static void long_commands_come_in_parts(void **state)
{
    static const size_t lens[] = {ZT_CTL_DATA, ZT_CTL_DATA + 1, 3 * ZT_CTL_DATA, 100000,
                                  ZT_CTL_TEXT};
    static char data[ZT_CTL_REPLY_DATA];
    struct fixture *f = *state;
    struct zt_ctl_rep r;
    int s = dial_file(f);

    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        memset(data, 0, sizeof data);
        send_long(s, lens[i]);
        receive(s, &r, data, NULL);
        assert_int_equal(r.err, 0);
        assert_int_equal(atol(data), lens[i]);
    }
    close(s);
    s = dial_file(f);
    send_long(s, ZT_CTL_TEXT + 1);
    receive(s, &r, data, NULL);
    assert_int_equal(r.err, E2BIG);
    close(s);
    s = dial_file(f); /* parts without an end: nothing is left behind */
    struct zt_ctl_req q = request(ZT_CTL_MORE);
    q.ndata = ZT_CTL_DATA;
    for (int i = 0; i < 200; i++)
        assert_true(send(s, &q, sizeof q, 0) > 0);
    close(s);
}

static void a_client_may_leave_before_the_answer(void **state)
{
    struct fixture *f = *state;
    struct zt_ctl_req q = ask("later");
    int s = dial_file(f);

    assert_true(send(s, &q, sizeof q, 0) > 0);
    for (int i = 0; i < ENV_MS / 2 && !__atomic_load_n(&f->kept, __ATOMIC_ACQUIRE); i++)
        usleep(2000);
    assert_non_null(f->kept);
    assert_int_equal(clients(f), 1);
    close(s);
    for (int i = 0; i < ENV_MS / 2 && clients(f); i++)
        usleep(2000);
    assert_int_equal(clients(f), 0);
} /* the answer is given when the door is closed already */

static unsigned open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* A message of n bytes with nfds descriptors in it. */
static void send_fds(int s, const void *p, size_t n, unsigned nfds)
{
    struct iovec iov = {(void *)(uintptr_t)p, n};
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(3 * sizeof(int))];
    } c = {0};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &c,
                       .msg_controllen = CMSG_SPACE(nfds * sizeof(int))};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    const int fds[3] = {1, 1, 1};

    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(nfds * sizeof(int));
    memcpy(CMSG_DATA(h), fds, nfds * sizeof(int));
    assert_int_equal(sendmsg(s, &m, 0), n);
}

static void descriptors_are_not_accepted(void **state)
{
    struct fixture *f = *state;
    struct zt_ctl_req q = ask("empty"), merge = request(ZT_CTL_MERGE);
    struct zt_ctl_rep r;
    int s = dial_file(f);
    unsigned before;

    assert_true(send(s, &q, sizeof q, 0) > 0);
    receive(s, &r, NULL, NULL);
    before = open_fds();
    for (unsigned i = 0; i < 12; i++) { /* also as many as find room by chance, and more than that */
        send_fds(s, &q, sizeof q, 1 + i % 3);
        assert_int_equal(receive(s, &r, NULL, NULL), sizeof r);
        send_fds(s, &merge, sizeof merge, 2 + i % 2);
        assert_int_equal(receive(s, &r, NULL, NULL), sizeof r);
        assert_int_equal(r.err, EINVAL);
    }
    assert_int_equal(open_fds(), before);
    close(s);
}

/* Messages that end the connection take nothing along either. */
static void descriptors_of_the_last_message_are_closed(void **state)
{
    struct fixture *f = *state;
    struct zt_ctl_req q = request(ZT_CTL_CONNECT), merge = request(ZT_CTL_MERGE);
    struct zt_ctl_rep r;
    unsigned before = open_fds();

    q.stype = SOCK_STREAM;
    q.family = AF_INET;
    q.remote = env_addr4("10.1.0.99", 80); /* nobody answers: the reply waits */
    q.value = 1;
    for (int i = 0; i < 8; i++) {
        int s = dial_file(f);
        if (i % 2 == 0)
            assert_true(send(s, &q, sizeof q, 0) > 0);
        send_fds(s, &merge, i % 2 == 0 ? sizeof merge : 0, 1);
        assert_int_equal(receive(s, &r, NULL, NULL), 0);
        close(s);
    }
    for (int i = 0; i < ENV_MS / 2 && open_fds() != before; i++)
        usleep(2000);
    assert_int_equal(open_fds(), before);
}

static int setup_few(void **state)
{
    limit_fds(FEW_FDS);
    return setup(state);
}

static int teardown_few(void **state)
{
    limit_fds(MANY_FDS);
    return teardown(state);
}

/* A program that takes all sockets there are shuts nobody out, who would close some, or only ask. */
static void sockets_leave_descriptors_to_others(void **state)
{
    struct fixture *f = *state;
    struct zt_ctl_req q = request(ZT_CTL_UDP), ping = ask("empty");
    struct zt_ctl_rep r;
    static int fd[FEW_FDS];
    int n = 0, s = dial_file(f), again;

    q.stype = SOCK_DGRAM;
    q.family = AF_INET;
    do {
        assert_in_range(n, 0, FEW_FDS - 1);
        assert_true(send(s, &q, offsetof(struct zt_ctl_req, data), 0) > 0);
        receive(s, &r, NULL, &fd[n]);
        n += r.err == 0;
    } while (r.err == 0);
    assert_int_equal(r.err, EMFILE);
    assert_in_range(n, FEW_FDS / 4, FEW_FDS / 8 * 7 / 2); /* both ends are ours here */
    again = dial_file(f);
    assert_true(send(again, &ping, sizeof ping, 0) > 0);
    assert_int_equal(receive(again, &r, NULL, NULL), sizeof r);
    close(again);
    while (n > 0)
        close(fd[--n]);
    for (int i = 0; i < ENV_MS / 2 && r.err != 0; i++) { /* and soon there are sockets again */
        assert_true(send(s, &q, offsetof(struct zt_ctl_req, data), 0) > 0);
        receive(s, &r, NULL, &fd[0]);
        usleep(2000);
    }
    assert_int_equal(r.err, 0);
    close(fd[0]);
    close(s);
}

static void strangers_stay_outside(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct stat st;
    int status;
    unsigned n;
    pid_t pid;

    if (geteuid() != 0) {
        print_message("needs root to become somebody else\n");
        skip();
    }
    assert_int_equal(stat(f->home, &st), 0);
    n = zt_ctl_twin(0, st.st_dev, st.st_ino, sun.sun_path);
    pid = fork();
    if (pid == 0) { /* only plain system calls from here on */
        struct zt_ctl_req q = request(ZT_CTL_HELLO);
        struct zt_ctl_rep r;
        int s = socket(AF_UNIX, SOCK_SEQPACKET, 0);
        if (setuid(65534) != 0)
            _exit(2);
        if (connect(s, (struct sockaddr *)&sun,
                    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) != 0)
            _exit(3);
        (void)!send(s, &q, sizeof q, MSG_NOSIGNAL);
        _exit(recv(s, &r, sizeof r, 0) > 0 ? 1 : 0);
    }
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_long_home_works(void **state)
{
    struct fixture *f = *state;
    struct zt_ctl_req q = request(ZT_CTL_HELLO);
    struct zt_ctl_rep r;
    int s = dial_file(f);

    assert_true(strlen(f->home) > 107);
    assert_true(s >= 0);
    assert_true(send(s, &q, sizeof q, 0) > 0);
    assert_int_equal(receive(s, &r, NULL, NULL), sizeof r);
    close(s);
}

struct crowd {
    struct zt_door *door;
    unsigned n;
};

static void count_clients(void *arg)
{
    struct crowd *c = arg;
    c->n = zt_door_clients(c->door);
}

static void more_clients_than_are_let_in(void **state)
{
    struct fixture *f = *state;
    struct zt_ctl_req q = ask("empty");
    struct zt_ctl_rep r;
    static int s[560];

    for (int i = 0; i < 560; i++) {
        s[i] = dial_file(f);
        assert_true(s[i] >= 0);
        if (i < 500)
            assert_true(send(s[i], &q, sizeof q, 0) > 0);
    }
    for (int i = 0; i < 500; i++)
        assert_int_equal(receive(s[i], &r, NULL, NULL), sizeof r);
    struct crowd crowd = {.door = f->door};
    for (int i = 0; i < 100 || (crowd.n < 512 && i < ENV_MS); i++) {
        assert_int_equal(zt_loop_call(f->env.loop, count_clients, &crowd), 0);
        assert_true(crowd.n <= 512);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_int_equal(crowd.n, 512);
    for (int i = 0; i < 500; i++)
        close(s[i]);
    for (int i = 500; i < 560; i++) { /* those that waited outside come in now */
        assert_true(send(s[i], &q, sizeof q, 0) > 0);
        assert_int_equal(receive(s[i], &r, NULL, NULL), sizeof r);
        close(s[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hello_gives_the_page, setup, teardown),
        cmocka_unit_test_setup_teardown(sockets_through_the_door, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_requests_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(random_requests_do_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(who_watches_slowly_misses_and_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(commands_and_long_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(long_commands_come_in_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_may_leave_before_the_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(descriptors_are_not_accepted, setup, teardown),
        cmocka_unit_test_setup_teardown(descriptors_of_the_last_message_are_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(sockets_leave_descriptors_to_others, setup_few, teardown_few),
        cmocka_unit_test_setup_teardown(strangers_stay_outside, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_home_works, setup_long, teardown),
        cmocka_unit_test_setup_teardown(more_clients_than_are_let_in, setup, teardown),
    };

    signal(SIGPIPE, SIG_IGN);
    limit_fds(MANY_FDS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
