#include "ztd.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static enum zts_service_level most = ZTS_SERVICE_NOTICE;
static enum { TO_PEOPLE, TO_FILE, TO_JOURNAL } where;

static const struct {
    const char *name;
    enum zts_service_level level;
} levels[] = {
    {"error", ZTS_SERVICE_ERROR}, {"warning", ZTS_SERVICE_WARNING}, {"notice", ZTS_SERVICE_NOTICE},
    {"info", ZTS_SERVICE_INFO},   {"debug", ZTS_SERVICE_DEBUG},
};

enum zts_service_level ztd_log_level(const char *name)
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (strcmp(levels[i].name, name) == 0)
            return levels[i].level;
    return 0;
}

/* The variable names the device and inode of the journal's socket; it is inherited by programs
 * whose stderr went elsewhere. */
static bool is_journal(void)
{
    const char *v = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;
    return v != NULL && sscanf(v, "%llu:%llu", &dev, &ino) == 2 && fstat(2, &st) == 0 &&
           st.st_dev == dev && st.st_ino == ino;
}

void ztd_log_open(enum zts_service_level level)
{
    most = level;
    struct stat st;
    where = is_journal()                               ? TO_JOURNAL
            : fstat(2, &st) == 0 && S_ISREG(st.st_mode) ? TO_FILE
                                                        : TO_PEOPLE;
}

void ztd_log(enum zts_service_level level, const char *text)
{
    if (level > most)
        return;
    char when[32] = "";
    time_t now = time(NULL);
    struct tm tm;
    if (where == TO_FILE && localtime_r(&now, &tm) != NULL)
        strftime(when, sizeof when, "%F %T ", &tm);
    const char *what = level == ZTS_SERVICE_ERROR     ? "error: "
                       : level == ZTS_SERVICE_WARNING ? "warning: "
                                                      : "";
    /* One write each: lines of two threads don't mix. */
    if (where == TO_JOURNAL)
        fprintf(stderr, "<%d>%s\n", (int)level, text);
    else
        fprintf(stderr, "%sztd: %s%s\n", when, what, text);
}

void ztd_say(enum zts_service_level level, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ztd_log(level, text);
}
