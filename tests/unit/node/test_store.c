/* The home folder: lock, identity, atomic files, what happens to damaged ones. */
#include "../ztest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "node/store.h"
#include "../rng.h"

/* An identity from the golden vectors (tests/vectors), so that no test waits for a proof of work.
 */
static const char secret[] =
    "8e4df28b72:0:"
    "ac3d46abe0c21f3cfe7a6c8d6a85cfcffcb82fbd55af6a4d6350657c68200843fa2e16f9418bbd9702cae"
    "365f2af5fb4c420908b803a681d4daef6114d78a2d7:"
    "bd8dd6e4ce7022d2f812797a80c6ee8ad180dc4ebf301dec8b06d1"
    "be08832bddd63a2f1cfa7b2c504474c75bdc8898ba476ef92e8e2d0509f8441985171ff16e";

static char home[] = "/tmp/zt-store-XXXXXX";
static char last_report[ZT_STORE_WHY];
static int reports;

static void report(void *user, const char *text)
{
    snprintf(last_report, sizeof last_report, "%s", text);
    reports++;
}

static void path_of(char out[256], const char *name)
{
    snprintf(out, 256, "%s/%s", home, name);
}

static void put_file(const char *name, const char *text)
{
    char path[256];
    path_of(path, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void assert_file(const char *name, const char *text, unsigned mode)
{
    char path[256], buf[1024] = "";
    struct stat st;
    path_of(path, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(buf, 1, sizeof buf - 1, f);
    fclose(f);
    buf[n] = 0;
    if (text != NULL)
        assert_string_equal(buf, text);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, mode);
}

static bool exists(const char *name)
{
    char path[256];
    path_of(path, name);
    return access(path, F_OK) == 0;
}

static struct zt_store *open_home(void)
{
    struct zt_store *s = NULL;
    char why[ZT_STORE_WHY] = "";
    struct zt_store_config c = {.home = home, .lock_fd = -1, .report = report};
    int rc = zt_store_open(&c, &s, why);
    if (rc != 0)
        print_error("%s\n", why);
    assert_int_equal(rc, 0);
    return s;
}

static int setup(void **state)
{
    strcpy(home, "/tmp/zt-store-XXXXXX");
    reports = 0;
    last_report[0] = 0;
    return mkdtemp(home) == NULL || zt_crypto_init() != 0;
}

static void remove_tree(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char sub[512];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
        if (e->d_type == DT_DIR)
            remove_tree(sub);
        else
            unlink(sub);
    }
    if (d != NULL)
        closedir(d);
    rmdir(path);
}

static int teardown(void **state)
{
    remove_tree(home);
    return 0;
}

static void test_makes_folders_for_us_alone(void **state)
{
    char deep[256];
    struct stat st;
    struct zt_store *s = NULL;
    char why[ZT_STORE_WHY];
    path_of(deep, "a/b/c");
    struct zt_store_config c = {.home = deep, .lock_fd = -1};
    assert_int_equal(zt_store_open(&c, &s, why), 0);
    assert_int_equal(stat(deep, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_string_equal(zt_store_home(s), deep);
    zt_store_close(s);
}

static void test_lock_is_exclusive(void **state)
{
    struct zt_store *s = open_home(), *second = NULL;
    char why[ZT_STORE_WHY] = "";
    struct zt_store_config c = {.home = home, .lock_fd = -1};
    assert_int_equal(zt_store_open(&c, &second, why), ZT_E_LOCKED);
    assert_null(second);
    assert_non_null(strstr(why, home));
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    assert_non_null(strstr(why, pid));
    zt_store_close(s);
    s = open_home();
    zt_store_close(s);
}

/* ztctl and the preload take the lock and hand it to the ztd that they start. */
static void test_lock_can_be_handed_over(void **state)
{
    char path[256], why[ZT_STORE_WHY] = "";
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    path_of(path, "identity.lock");
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), 0);
    struct zt_store *s = NULL;
    struct zt_store_config c = {.home = home, .lock_fd = fd};
    assert_int_equal(zt_store_open(&c, &s, why), 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    struct zt_store_config other = {.home = home, .lock_fd = -1};
    struct zt_store *second = NULL;
    assert_int_equal(zt_store_open(&other, &second, why), ZT_E_LOCKED);
    zt_store_close(s);

    /* Any other file is no lock of this home. */
    path_of(path, "something");
    fd = open(path, O_RDWR | O_CREAT, 0600);
    c.lock_fd = fd;
    assert_int_equal(zt_store_open(&c, &second, why), ZT_E_LOCKED);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_home_that_cannot_be_written(void **state)
{
    char file[256], below[300], why[ZT_STORE_WHY] = "";
    struct zt_store *s = NULL;
    put_file("plain", "");
    path_of(file, "plain");
    snprintf(below, sizeof below, "%s/home", file);
    struct zt_store_config c = {.home = below, .lock_fd = -1};
    assert_int_not_equal(zt_store_open(&c, &s, why), 0);
    assert_non_null(strstr(why, "plain"));
    if (geteuid() == 0)
        return; /* root may write everywhere */
    assert_int_equal(chmod(home, 0500), 0);
    c.home = home;
    assert_int_equal(zt_store_open(&c, &s, why), ZT_E_PERM);
    assert_non_null(strstr(why, home));
    assert_int_equal(chmod(home, 0700), 0);
}

/* What zt_store_open says, as a process of this user. */
static int open_as(uid_t uid, char why[ZT_STORE_WHY])
{
    int p[2];
    assert_int_equal(pipe(p), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct zt_store *s = NULL;
        struct zt_store_config cfg = {.home = home, .lock_fd = -1};
        char text[ZT_STORE_WHY] = "";
        if (uid != getuid() && setuid(uid) != 0)
            _exit(9);
        int rc = zt_store_open(&cfg, &s, text);
        zt_store_close(s);
        if (write(p[1], text, sizeof text) != sizeof text)
            _exit(9);
        _exit(rc == 0 ? 0 : rc == ZT_E_PERM ? 1 : 2);
    }
    int status;
    assert_int_equal(read(p[0], why, ZT_STORE_WHY), ZT_STORE_WHY);
    assert_int_equal(waitpid(child, &status, 0), child);
    close(p[0]);
    close(p[1]);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_a_home_that_others_can_change_is_refused(void **state)
{
    char why[ZT_STORE_WHY];
    assert_int_equal(chmod(home, 0777), 0);
    assert_int_equal(open_as(getuid(), why), 1);
    assert_non_null(strstr(why, "others may write"));
    assert_int_equal(chmod(home, 0770), 0);
    assert_int_equal(open_as(getuid(), why), 1);
    assert_int_equal(chmod(home, 0755), 0); /* to read is another matter: secrets are 0600 */
    assert_int_equal(open_as(getuid(), why), 0);
    if (getuid() != 0) {
        print_message("not root: can't be another user\n");
        return;
    }
    if (chown(home, 65533, 65533) != 0) {
        print_message("root of a few users alone: can't be another one\n");
        return;
    }
    assert_int_equal(open_as(65532, why), 1);
    assert_non_null(strstr(why, "another user"));
    assert_int_equal(open_as(0, why), 0);
    assert_int_equal(chown(home, 0, 0), 0);
}

static void test_identity_is_made_once(void **state)
{
    struct rng rng = {.s = 7};
    struct zt_identity a, b;
    char why[ZT_STORE_WHY] = "", text[ZT_IDENTITY_STR];
    struct zt_store *s = open_home();
    assert_int_equal(zt_store_identity(s, rng_random, &rng, &a, why), 0);
    assert_true(zt_identity_validate(&a));
    assert_file("identity.secret", zt_identity_format(&a, true, text), 0600);
    assert_file("identity.public", zt_identity_format(&a, false, text), 0644);
    assert_int_equal(zt_store_identity(s, rng_random, &rng, &b, why), 0);
    assert_memory_equal(&a, &b, sizeof a);
    zt_store_close(s);
}

static void test_public_file_follows_the_secret_one(void **state)
{
    struct rng rng = {.s = 1};
    struct zt_identity id;
    char why[ZT_STORE_WHY] = "", text[ZT_IDENTITY_STR];
    put_file("identity.secret", secret);
    put_file("identity.public", "nonsense");
    struct zt_store *s = open_home();
    assert_int_equal(zt_store_identity(s, rng_random, &rng, &id, why), 0);
    assert_int_equal(id.addr, 0x8e4df28b72);
    assert_file("identity.public", zt_identity_format(&id, false, text), 0644);
    zt_store_close(s);
}

/* Cut anywhere, or changed anywhere: refused by name, and left as it is. */
static void test_damaged_identity_is_refused(void **state)
{
    struct rng rng = {.s = 1};
    struct zt_identity id;
    char bad[sizeof secret];
    struct zt_store *s = open_home();
    for (size_t cut = 0; cut < strlen(secret); cut++) {
        char why[ZT_STORE_WHY] = "";
        memcpy(bad, secret, cut);
        bad[cut] = 0;
        put_file("identity.secret", bad);
        assert_int_equal(zt_store_identity(s, rng_random, &rng, &id, why), ZT_E_FORMAT);
        assert_non_null(strstr(why, "identity.secret"));
        assert_false(id.has_priv);
    }
    static const size_t at[] = {0, 9, 11, 20, 140, 142, 269};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        char why[ZT_STORE_WHY] = "";
        strcpy(bad, secret);
        bad[at[i]] = bad[at[i]] == '1' ? '2' : '1';
        put_file("identity.secret", bad);
        assert_int_equal(zt_store_identity(s, rng_random, &rng, &id, why), ZT_E_FORMAT);
        assert_file("identity.secret", bad, 0644);
    }
    assert_false(exists("identity.public"));

    /* The same beside an intact public file, which saves the proof of work only for its own pair. */
    char why[ZT_STORE_WHY] = "";
    put_file("identity.secret", secret);
    assert_int_equal(zt_store_identity(s, rng_random, &rng, &id, why), 0);
    assert_true(exists("identity.public"));
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        strcpy(bad, secret);
        bad[at[i]] = bad[at[i]] == '1' ? '2' : '1';
        put_file("identity.secret", bad);
        assert_int_equal(zt_store_identity(s, rng_random, &rng, &id, why), ZT_E_FORMAT);
    }
    zt_store_close(s);
}

static void test_collision_keeps_the_old_identity(void **state)
{
    struct rng rng = {.s = 1};
    struct zt_identity id;
    char why[ZT_STORE_WHY] = "";
    put_file("identity.secret", secret);
    struct zt_store *s = open_home();
    assert_int_equal(zt_store_identity(s, rng_random, &rng, &id, why), 0);
    assert_int_equal(zt_store_identity_aside(s), 0);
    assert_false(exists("identity.secret"));
    assert_file("identity.secret.saved_after_collision", secret, 0644);
    zt_store_close(s);
}

static void test_files_are_replaced_whole(void **state)
{
    uint8_t *p;
    size_t n;
    struct zt_store *s = open_home();
    assert_int_equal(zt_store_read(s, "planet", &p, &n), ZT_E_NOENT);
    assert_int_equal(zt_store_write(s, "planet", ZT_STORE_DURABLE, "one", 3), 0);
    /* A temporary file left by a crash, with another mode, is no obstacle. */
    put_file("planet.tmp", "half of something longer");
    assert_int_equal(zt_store_write(s, "planet", ZT_STORE_PRIVATE, "two!", 4), 0);
    assert_file("planet", "two!", 0600);
    assert_false(exists("planet.tmp"));
    assert_int_equal(zt_store_read(s, "planet", &p, &n), 0);
    assert_int_equal(n, 4);
    assert_memory_equal(p, "two!", 5);
    free(p);
    assert_int_equal(zt_store_write(s, "peers.d/0123456789.peer", 0, "", 0), 0);
    assert_file("peers.d/0123456789.peer", "", 0644);
    zt_store_remove(s, "peers.d/0123456789.peer");
    zt_store_remove(s, "peers.d/0123456789.peer");
    assert_false(exists("peers.d/0123456789.peer"));
    assert_int_equal(reports, 0);
    zt_store_close(s);
}

static void test_damaged_file_is_kept_aside(void **state)
{
    struct zt_store *s = open_home();
    put_file("planet", "garbage");
    zt_store_aside(s, "planet", "damaged planet");
    assert_false(exists("planet"));
    assert_file("planet.damaged", "garbage", 0644);
    assert_int_equal(reports, 1);
    assert_non_null(strstr(last_report, "planet"));
    assert_non_null(strstr(last_report, "planet.damaged"));
    zt_store_close(s);
}

static unsigned seen;
static uint64_t seen_sum;

static void count(void *user, const char *name, uint64_t id, int64_t age_s)
{
    assert_memory_equal(name, "networks.d/", 11);
    assert_in_range(age_s, 0, 60);
    seen++;
    seen_sum += id;
}

static void write_time_in_the_future(const char *name)
{
    char path[256];
    struct timespec t[2];
    path_of(path, name);
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &t[0]), 0);
    t[0].tv_sec += 2;
    t[1] = t[0];
    assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

static void test_each_takes_only_names_of_the_shape(void **state)
{
    struct zt_store *s = open_home();
    zt_store_each(s, "networks.d", 16, ".conf", count, NULL); /* no folder yet */
    assert_int_equal(seen, 0);
    (void)zt_store_write(s, "networks.d/0000000000000001.conf", 0, "\n", 1);
    (void)zt_store_write(s, "networks.d/ff00160016000000.conf", 0, "x", 1);
    write_time_in_the_future("networks.d/ff00160016000000.conf");
    (void)zt_store_write(s, "networks.d/ff00160016000000.local.conf", 0, "x", 1);
    (void)zt_store_write(s, "networks.d/ff0016001600000.conf", 0, "x", 1);
    (void)zt_store_write(s, "networks.d/ff0016001600000g.conf", 0, "x", 1);
    (void)zt_store_write(s, "networks.d/ff00160016000000.conf.damaged", 0, "x", 1);
    zt_store_each(s, "networks.d", 16, ".conf", count, NULL);
    assert_int_equal(seen, 2);
    assert_int_equal(seen_sum, 1 + 0xff00160016000000);
    zt_store_close(s);
}

static void test_what_was_being_written_is_swept_away(void **state)
{
    struct zt_store *s = open_home();
    zt_store_sweep(s, "controller.d"); /* no folder yet */
    (void)zt_store_write(s, "controller.d/a.json", 0, "{}", 2);
    (void)zt_store_write(s, "controller.d/b.json.tmp", 0, "{", 1);
    (void)zt_store_write(s, "controller.d/.tmp", 0, "{", 1);
    zt_store_sweep(s, "controller.d");
    assert_true(zt_store_has(s, "controller.d/a.json"));
    assert_false(zt_store_has(s, "controller.d/b.json.tmp"));
    assert_true(zt_store_has(s, "controller.d/.tmp"));
    zt_store_close(s);
}

static void test_authtoken(void **state)
{
    struct rng rng = {.s = 3};
    struct zt_store *s = open_home();
    uint8_t *a, *b;
    size_t n;
    assert_int_equal(zt_store_token(s, "authtoken.secret", rng_random, &rng), 0);
    assert_file("authtoken.secret", NULL, 0600);
    assert_int_equal(zt_store_read(s, "authtoken.secret", &a, &n), 0);
    assert_int_equal(n, 24);
    assert_int_equal(strspn((char *)a, "abcdefghijklmnopqrstuvwxyz0123456789"), 24);
    assert_int_equal(zt_store_token(s, "authtoken.secret", rng_random, &rng), 0);
    assert_int_equal(zt_store_read(s, "authtoken.secret", &b, &n), 0);
    assert_memory_equal(a, b, 24);
    free(a);
    free(b);
    zt_store_close(s);
}

static char told[128];
static size_t told_bytes;

static void wrote(void *user, const char *name, const void *p, size_t n)
{
    snprintf(told, sizeof told, "%s", name);
    told_bytes = n;
}

static void test_no_folder(void **state)
{
    char why[ZT_STORE_WHY];
    struct zt_store *s = NULL;
    struct zt_store_config c = {.lock_fd = -1, .wrote = wrote, .report = report};
    uint8_t *p;
    size_t n;
    reports = 0;
    assert_int_equal(zt_store_open(&c, &s, why), 0);
    assert_string_equal(zt_store_home(s), "");
    assert_int_equal(zt_store_read(s, "planet", &p, &n), ZT_E_NOENT);
    assert_int_equal(zt_store_write(s, "peers.d/0123456789.peer", 0, "abc", 3), 0);
    assert_string_equal(told, "peers.d/0123456789.peer");
    assert_int_equal(told_bytes, 3);
    assert_int_equal(zt_store_read(s, "peers.d/0123456789.peer", &p, &n), ZT_E_NOENT);
    zt_store_remove(s, "planet");
    assert_int_equal(zt_store_erase(s, "planet"), 0);
    zt_store_aside(s, "planet", "damaged");
    assert_false(zt_store_has(s, "planet"));
    zt_store_each(s, "peers.d", 10, ".peer", NULL, NULL);
    assert_int_equal(zt_store_identity_aside(s), 0);
    assert_int_equal(reports, 0);
    zt_store_close(s);
}

int main(void)
{
    umask(022); /* modes are compared */
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_no_folder),
        T(test_makes_folders_for_us_alone),
        T(test_lock_is_exclusive),
        T(test_lock_can_be_handed_over),
        T(test_home_that_cannot_be_written),
        T(test_a_home_that_others_can_change_is_refused),
        T(test_identity_is_made_once),
        T(test_public_file_follows_the_secret_one),
        T(test_damaged_identity_is_refused),
        T(test_collision_keeps_the_old_identity),
        T(test_files_are_replaced_whole),
        T(test_damaged_file_is_kept_aside),
        T(test_each_takes_only_names_of_the_shape),
        T(test_what_was_being_written_is_swept_away),
        T(test_authtoken),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
