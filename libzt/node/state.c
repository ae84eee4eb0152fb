#include "node/state.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "node/fork.h"

#define PAGE_BYTES \
    (sizeof(struct zt_state_head) + (size_t)ZT_STATE_SLOTS * sizeof(struct zt_state_slot))

/* Tell programs that still map the page of a node that died without a word. */
static void mark_stale(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        st.st_size >= (off_t)sizeof(struct zt_state_head)) {
        struct zt_state_head *h = mmap(NULL, sizeof *h, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (h != MAP_FAILED) {
            if (h->magic == ZT_STATE_MAGIC)
                __atomic_store_n(&h->stale, 1, __ATOMIC_RELEASE);
            munmap(h, sizeof *h);
        }
    }
    close(fd);
}

static int make_file(const char *tmp)
{
    int fd;

    if (!tmp)
        return memfd_create("zt-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    unlink(tmp); /* of a start that was interrupted; the home is locked, so it is ours */
    fd = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd;
}

static int reopen_readonly(int fd)
{
    char path[40];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static int map_page(struct zt_state *s, int fd, const uint8_t host_id[16])
{
    void *m;

    if (ftruncate(fd, (off_t)PAGE_BYTES) != 0)
        return ZT_E_IO;
    m = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (m == MAP_FAILED)
        return ZT_E_NOMEM;
    s->head = m;
    s->slots = (struct zt_state_slot *)(void *)((char *)m + sizeof(struct zt_state_head));
    memcpy(s->head->host_id, host_id, 16);
    s->head->pid = (uint64_t)getpid();
    s->head->version = ZT_CTL_VERSION;
    s->head->configuring = 1; /* until the node has said which networks there are */
    __atomic_store_n(&s->head->magic, ZT_STATE_MAGIC, __ATOMIC_RELEASE);
    return 0;
}

int zt_state_open(struct zt_state *s, const char *path, const uint8_t host_id[16])
{
    char tmp[PATH_MAX];
    int fd, err;

    memset(s, 0, sizeof *s);
    s->ro_fd = -1;
    s->fresh = 1; /* slot 0 stays free, so that no id has zero in its low bits */
    s->free = malloc(ZT_STATE_SLOTS * sizeof *s->free);
    s->old = malloc(ZT_STATE_SLOTS * sizeof *s->old);
    if (!s->free || !s->old) {
        zt_state_close(s);
        return ZT_E_NOMEM;
    }
    if (path && snprintf(tmp, sizeof tmp, "%s.new", path) >= (int)sizeof tmp) {
        zt_state_close(s);
        return ZT_E_IO;
    }
    fd = make_file(path ? tmp : NULL);
    if (fd < 0) {
        zt_state_close(s);
        return ZT_E_IO;
    }
    err = map_page(s, fd, host_id);
    if (!path) /* the mapping above stays writable; nobody can make another */
        (void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE);
    if (!err && (s->ro_fd = zt_fd_own(reopen_readonly(fd))) < 0)
        err = ZT_E_IO;
    if (!err && path) {
        mark_stale(path);
        if (rename(tmp, path) != 0)
            err = ZT_E_IO;
    }
    if (err && path)
        unlink(tmp);
    close(fd);
    if (err)
        zt_state_close(s);
    return err;
}

void zt_state_close(struct zt_state *s)
{
    if (s->head) {
        __atomic_store_n(&s->head->stale, 1, __ATOMIC_RELEASE);
        munmap(s->head, PAGE_BYTES);
    }
    zt_fd_close(s->ro_fd);
    free(s->free);
    free(s->old);
    memset(s, 0, sizeof *s);
    s->ro_fd = -1;
}

struct zt_state_slot *zt_state_take(struct zt_state *s, uint64_t random)
{
    struct zt_state_slot *slot;
    unsigned i;

    if (s->nfree) {
        i = s->free[--s->nfree];
    } else if (s->fresh < ZT_STATE_SLOTS) {
        i = s->fresh++;
    } else if (s->nold) {
        i = s->old[s->old_at];
        s->old_at = (s->old_at + 1) % ZT_STATE_SLOTS;
        s->nold--;
    } else {
        return NULL;
    }
    slot = &s->slots[i];
    /* A reader compares the id first: make it differ before anything else changes. */
    __atomic_store_n(&slot->id, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&slot->phase, ZT_PHASE_FREE, __ATOMIC_RELEASE);
    memset((char *)slot + offsetof(struct zt_state_slot, err), 0,
           sizeof *slot - offsetof(struct zt_state_slot, err));
    __atomic_store_n(&slot->id, (random << ZT_ID_SLOT_BITS) | i, __ATOMIC_RELEASE);
    return slot;
}

void zt_state_give(struct zt_state *s, struct zt_state_slot *slot, bool gone)
{
    unsigned i = (unsigned)(slot - s->slots);

    if (gone) {
        zt_state_phase(slot, ZT_PHASE_FREE, 0);
        s->free[s->nfree++] = (uint16_t)i;
    } else {
        s->old[(s->old_at + s->nold) % ZT_STATE_SLOTS] = (uint16_t)i;
        s->nold++;
    }
}

void zt_state_phase(struct zt_state_slot *slot, enum zt_phase phase, int err)
{
    __atomic_store_n(&slot->err, err, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->phase, (uint32_t)phase, __ATOMIC_RELEASE);
}

void zt_state_addrs(struct zt_state_slot *slot, const struct zt_ctl_addr *local,
                    const struct zt_ctl_addr *remote)
{
    if (local) {
        slot->lfamily = local->family;
        slot->lport = local->port;
        memcpy(slot->lip, local->ip, 16);
    }
    if (remote) {
        slot->rfamily = remote->family;
        slot->rport = remote->port;
        memcpy(slot->rip, remote->ip, 16);
    }
}

static void begin_change(struct zt_state_head *h)
{
    __atomic_add_fetch(&h->seq, 1, __ATOMIC_SEQ_CST);
#ifndef __SANITIZE_THREAD__ /* knows no fences, nor the readers, which are other processes */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

static void end_change(struct zt_state_head *h)
{
    __atomic_add_fetch(&h->seq, 1, __ATOMIC_ACQ_REL);
}

void zt_state_domains(struct zt_state *s, const char *domains, size_t n)
{
    if (memcmp(s->head->domains, domains, n) == 0)
        return;
    begin_change(s->head);
    memcpy(s->head->domains, domains, n);
    end_change(s->head);
}

void zt_state_ifs(struct zt_state *s, const struct zt_state_if *ifs, unsigned n)
{
    begin_change(s->head);
    memcpy(s->head->ifs, ifs, n * sizeof *ifs);
    s->head->nifs = n;
    end_change(s->head);
}

void zt_state_ranges(struct zt_state *s, const struct zt_state_range *r, unsigned n,
                     unsigned networks, unsigned configuring, bool online)
{
    struct zt_state_head *h = s->head;

    if (n > ZT_STATE_RANGES)
        n = ZT_STATE_RANGES;
    begin_change(h);
    if (n)
        memcpy(h->ranges, r, n * sizeof *r);
    h->nranges = n;
    h->has_network = networks;
    h->configuring = configuring;
    h->online = online;
    end_change(h);
}
