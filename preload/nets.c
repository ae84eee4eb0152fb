/* The networks that ZT_NETWORKS names: joined once per process, before the first address that could
 * be theirs is judged. Otherwise the first connection of a program would go to the kernel, which
 * may route private addresses to somebody else.
 *
 * Some addresses follow from a network's id alone (vl2.md): the 6PLANE prefix, the RFC 4193 prefix
 * and, for an ad-hoc network ffAA..01, AA.0.0.0/8. They are the network's whether a node runs or
 * not and whether it has been configured or not; so they never leak. An ad-hoc network of that kind
 * has no other addresses: where only such are named, every other address goes to the kernel at once
 * and starts nothing. */
#include <string.h>

#include "shim.h"

#define NETS_MAX 30

struct derived {
    struct zt_state_range r[3];
    unsigned n;
    bool complete; /* the network has no other addresses */
};

/* The next word of the list, at most 16 characters and one more to see that it is longer. */
static const char *next_word(const char *s, char out[18])
{
    size_t n = 0;
    s += strspn(s, ",; ");
    for (; *s && !strchr(",; ", *s); s++)
        if (n < 17)
            out[n++] = *s;
    out[n] = 0;
    return s;
}

static bool parse_nwid(const char *text, uint64_t *nwid)
{
    uint64_t v = 0;
    for (size_t i = 0; i < 16; i++) {
        char c = text[i];
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t)(c - '0');
        else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
            v = v << 4 | (uint64_t)((c | 32) - 'a' + 10);
        else
            return false;
    }
    *nwid = v;
    return text[16] == 0;
}

static void put_be(uint8_t *out, uint64_t v, unsigned n)
{
    while (n--) {
        out[n] = (uint8_t)v;
        v >>= 8;
    }
}

static void derive(uint64_t nwid, struct derived *d)
{
    memset(d, 0, sizeof *d);
    struct zt_state_range *r = &d->r[d->n++];
    *r = (struct zt_state_range){.family = 6, .bits = 40, .ip = {0xfc}};
    put_be(r->ip + 1, (nwid ^ nwid >> 32) & 0xffffffff, 4);
    if (nwid >> 56 != 0xff) {
        r = &d->r[d->n++];
        *r = (struct zt_state_range){.family = 6, .bits = 88, .ip = {0xfd}};
        put_be(r->ip + 1, nwid, 8);
        r->ip[9] = 0x99;
        r->ip[10] = 0x93;
        return;
    }
    d->complete = true;
    uint8_t first = (uint8_t)(nwid >> 48);
    if ((nwid & 0xff) == 1 && first != 0 && first != 127 && first < 224) {
        r = &d->r[d->n++];
        *r = (struct zt_state_range){.family = 4, .bits = 8, .ip = {first}};
    }
}

/* Looks at the text, not at a table made earlier: it is short, and this is asked once per connect.
 */
static bool in_derived(const struct zt_ctl_addr *a, bool *complete)
{
    char word[18];
    uint64_t nwid;
    struct derived d;
    *complete = true;
    for (const char *s = next_word(zt_settings.networks, word); word[0]; s = next_word(s, word)) {
        if (!parse_nwid(word, &nwid))
            continue;
        derive(nwid, &d);
        *complete &= d.complete;
        for (unsigned i = 0; i < d.n; i++)
            if (zt_in_range(&d.r[i], a))
                return true;
    }
    return false;
}

static void join_all(void)
{
    char word[18];
    unsigned n = 0;
    if (!zt_ctl_up())
        zt_start_node();
    for (const char *s = next_word(zt_settings.networks, word); word[0] && n < NETS_MAX;
         s = next_word(s, word), n++) {
        int e = zt_ctl_command("join ", word);
        if (e)
            zt_debug(1, "cannot join %s: error %d", word, -e);
    }
    zt_page_open();
}

static void join_once(bool wait)
{
    static atomic_bool done;
    static atomic_int lock;
    if (ZT_LIKELY(atomic_load(&done)))
        return;
    for (int64_t until = zt_now_ms() + zt_settings.wait_ms; !zt_lock_try(&lock);) {
        if (atomic_load(&done) || zt_now_ms() >= until)
            return;
        zt_sleep_ms(5);
    }
    if (!atomic_load(&done)) {
        join_all();
        if (wait)
            zt_wait_configured();
        atomic_store(&done, true);
    }
    zt_lock_drop(&lock);
}

void zt_networks_names(void)
{
    char word[18];
    uint64_t nwid;
    struct derived d;
    for (const char *s = next_word(zt_settings.networks, word); word[0]; s = next_word(s, word)) {
        if (!parse_nwid(word, &nwid))
            continue;
        derive(nwid, &d);
        if (!d.complete) { /* it has a controller, and so perhaps names */
            join_once(true);
            return;
        }
    }
}

void zt_networks_join(void)
{
    if (zt_settings.networks[0])
        join_once(false);
}

bool zt_networks_judge(const struct zt_ctl_addr *a)
{
    bool complete;
    bool theirs = in_derived(a, &complete);
    if (theirs || !complete)
        join_once(true);
    return theirs;
}
