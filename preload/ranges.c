/* What was virtual last, for the time when no node runs: the file `ranges` of the home, a line for each
 * prefix and each DNS domain. It is read at the first address that it could be about, and again when it
 * has changed, for a program may outlive nodes and networks.
 *
 * There are two places, of which one is read while the other is written, so that a reader never waits
 * for a writer that a fork or a signal has taken away. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "real.h"
#include "shim.h"
#include "sys.h"

/* turn & 1 says which of the two is the last; the other is written (under `lock`) before `turn` goes on. */
static struct remembered {
    unsigned n;
    struct zt_state_range range[ZT_STATE_RANGES];
    char domains[ZT_STATE_DOMAINS]; /* as in the page */
} remembered[2];
static _Atomic unsigned turn; /* 0: not read yet */
static atomic_int lock;
static _Atomic int64_t next_read_ms;
static ino_t last_ino;
static struct timespec last_mtime;

static void parse_ranges(char *text, struct remembered *out)
{
    unsigned n = 0;
    size_t at = 0;
    memset(out->domains, 0, sizeof out->domains);
    for (char *line = text; line && *line && n < ZT_STATE_RANGES;) {
        char *end = strchr(line, '\n');
        if (end)
            *end++ = 0;
        char *slash = strchr(line, '/');
        if (!strncmp(line, "dns ", 4)) {
            size_t len = strlen(line + 4) + 1;
            if (at + len < sizeof out->domains)
                memcpy(out->domains + at, line + 4, len);
            at += len;
        } else if (slash) {
            *slash++ = 0;
            struct zt_state_range r = {0};
            unsigned bits = 0;
            while (*slash >= '0' && *slash <= '9' && bits < 1000)
                bits = bits * 10 + (unsigned)(*slash++ - '0');
            if (inet_pton(AF_INET, line, r.ip) == 1 && bits <= 32)
                r.family = 4;
            else if (inet_pton(AF_INET6, line, r.ip) == 1 && bits <= 128)
                r.family = 6;
            r.bits = (uint8_t)bits;
            if (r.family)
                out->range[n++] = r;
        }
        line = end;
    }
    out->n = n;
}

static bool read_ranges(long fd, struct remembered *out)
{
    size_t cap = ZT_STATE_RANGES * 52 + 5 * ZT_STATE_DOMAINS + 1; /* "dns " before each domain */
    size_t n = 0;
    long r,
        m = zt_sys6(SYS_mmap, 0, cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m < 0 && m > -4096)
        return false;
    char *text = (char *)m;
    while (n < cap - 1 && (r = zt_sys3(SYS_read, fd, text + n, cap - 1 - n)) > 0)
        n += (size_t)r;
    parse_ranges(text, out);
    zt_sys2(SYS_munmap, m, cap);
    return true;
}

/* Under lock. What can't be read leaves what was read before: behind a chroot, for instance. */
static void look_at_ranges(void)
{
    unsigned t = atomic_load(&turn);
    struct remembered *out = &remembered[(t + 1) & 1];
    struct stat st;
    int dir = zt_home_open();
    long fd = dir < 0 ? dir : zt_sys4(SYS_openat, dir, ZT_RANGES_FILE, O_RDONLY | O_CLOEXEC, 0);
    if (dir >= 0)
        zt_sys1(SYS_close, dir);
    if (fd == -EMFILE)
        zt_aside(look_at_ranges);
    if (fd < 0) {
        if (t == 0 && fd != -EMFILE && fd != -ENFILE)
            atomic_store(&turn, 2); /* there is none: the first of the two, which is empty */
        return;
    }
    if (fstat((int)fd, &st) == 0 &&
        (t == 0 || st.st_ino != last_ino || st.st_mtim.tv_sec != last_mtime.tv_sec ||
         st.st_mtim.tv_nsec != last_mtime.tv_nsec) &&
        read_ranges(fd, out)) {
        last_ino = st.st_ino;
        last_mtime = st.st_mtim;
        atomic_store_explicit(&turn, t + 1, memory_order_release);
    }
    zt_sys1(SYS_close, fd);
}

/* For an address that could be virtual while no node runs: at most once a second. The first time
 * others must wait for the answer. */
void zt_ranges_read(void)
{
    uint64_t all = ~UINT64_C(0), mask;
    int64_t now = zt_now_ms();
    if (atomic_load(&turn) && now < atomic_load(&next_read_ms))
        return;
    zt_sys4(SYS_rt_sigprocmask, SIG_BLOCK, &all, &mask, 8);
    bool mine;
    while (!(mine = zt_lock_try(&lock)) && !atomic_load(&turn))
        zt_sleep_ms(1);
    if (mine) {
        look_at_ranges();
        atomic_store(&next_read_ms, now + 1000);
        zt_lock_drop(&lock);
    }
    zt_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
}

bool zt_ranges_have(const struct zt_ctl_addr *a)
{
    unsigned t;
    bool found;
    zt_ranges_read();
    do {
        t = atomic_load_explicit(&turn, memory_order_acquire);
        const struct remembered *r = &remembered[t & 1];
        found = false;
        for (unsigned i = 0; i < r->n && i < ZT_STATE_RANGES && !found; i++)
            found = zt_in_range(&r->range[i], a);
        atomic_thread_fence(memory_order_acquire);
    } while (atomic_load(&turn) != t);
    return found;
}

bool zt_in_domains(const char *list, const char *name, size_t n)
{
    const char *end = list + ZT_STATE_DOMAINS;
    while (list < end && *list) {
        size_t d = strnlen(list, (size_t)(end - list));
        if (n >= d && !strncasecmp(name + n - d, list, d) && (n == d || name[n - d - 1] == '.'))
            return true;
        list += d + 1;
    }
    return false;
}

bool zt_ranges_name(const char *name, size_t n)
{
    unsigned t;
    bool found;
    zt_ranges_read();
    do {
        t = atomic_load_explicit(&turn, memory_order_acquire);
        found = zt_in_domains(remembered[t & 1].domains, name, n);
        atomic_thread_fence(memory_order_acquire);
    } while (atomic_load(&turn) != t);
    return found;
}
