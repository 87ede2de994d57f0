/* SPDX-License-Identifier: MIT */
/* Whose a database is, and whether that process still lives. A process is its number and its start time on a host; a
 * host is a boot of a kernel and a process namespace, so that the same number in another container, or after a restart of
 * the machine, is somebody else. No state, any thread. */
#include "base/clock.h"
#include "testkit/testdb.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MARK "pgdbm_test_"

/* The beginning of a file, or of where a link leads; "" when it cannot be read. */
static void read_start(const char *path, bool link, char *text, size_t bytes)
{
    ssize_t got = -1;
    if (link)
        got = readlink(path, text, bytes - 1);
    else {
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file >= 0) {
            got = read(file, text, bytes - 1);
            close(file);
        }
    }
    text[got > 0 ? got : 0] = '\0';
}

static void boot_of_host(char boot[64], char space[64])
{
    read_start("/proc/sys/kernel/random/boot_id", false, boot, 64);
    boot[strcspn(boot, "\n")] = '\0';
    read_start("/proc/self/ns/pid", true, space, 64);
}

static uint32_t hash_host(void)
{
    char boot[64], space[64];
    uint64_t hash = UINT64_C(1469598103934665603);
    boot_of_host(boot, space);
    if (boot[0] == '\0' || space[0] == '\0')
        return 0;
    for (const char *at = boot; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
    for (const char *at = space; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
    uint32_t folded = (uint32_t)(hash ^ hash >> 32);
    return folded != 0 ? folded : 1;
}

/* State and start time of a process (man 5 proc, fields 3 and 22); false when it cannot be read. */
static bool read_process(pid_t pid, char *state, uint64_t *start)
{
    char path[32];
    char text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    read_start(path, false, text, sizeof text);
    const char *at = strrchr(text, ')'); /* behind the name, which may hold anything */
    if (at == NULL || at[1] != ' ')
        return false;
    *state = at[2];
    at += 2;
    for (int field = 3; field < 22 && at != NULL; field++)
        at = (at = strchr(at, ' ')) != NULL ? at + 1 : NULL;
    char *end = NULL;
    *start = at != NULL ? strtoull(at, &end, 10) : 0;
    return end != NULL && *end == ' ';
}

struct pgdbm__owner pgdbm__owner_self(void)
{
    struct pgdbm__owner owner = {.pid = getpid(), .host = hash_host(), .created = (int64_t)time(NULL)};
    char state;
    if (!read_process(owner.pid, &state, &owner.start))
        owner.start = 0;
    return owner;
}

void pgdbm__owner_prefix(const struct pgdbm__owner *owner, char prefix[PGDBM__NAME_BYTES])
{
    snprintf(prefix, PGDBM__NAME_BYTES, MARK "%x_%" PRIx64 "_%08" PRIx32 "_", (unsigned)owner->pid, owner->start,
             owner->host);
}

void pgdbm__owner_name(const struct pgdbm__owner *owner, char name[PGDBM__NAME_BYTES])
{
    pgdbm__owner_prefix(owner, name);
    size_t length = strlen(name);
    snprintf(name + length, PGDBM__NAME_BYTES - length, "%08" PRIx32 "_%08" PRIx32, (uint32_t)owner->created,
             (uint32_t)pgdbm__random(UINT64_C(1) << 32));
}

/* A number as pgdbm__owner_name writes it, and what ends it. */
static bool read_number(const char **at, size_t least, size_t most, char end, uint64_t *number)
{
    size_t digits = strspn(*at, "0123456789abcdef");
    if (digits < least || digits > most || (*at)[digits] != end)
        return false;
    *number = strtoull(*at, NULL, 16);
    *at += digits + (end != '\0');
    return true;
}

bool pgdbm__owner_parse(const char *name, struct pgdbm__owner *owner)
{
    uint64_t pid, start, host, created, chance;
    const char *at = name;
    if (strncmp(at, MARK, sizeof MARK - 1) != 0)
        return false;
    at += sizeof MARK - 1;
    if (!read_number(&at, 1, 7, '_', &pid) || !read_number(&at, 1, 16, '_', &start) ||
        !read_number(&at, 8, 8, '_', &host) || !read_number(&at, 8, 8, '_', &created) ||
        !read_number(&at, 8, 8, '\0', &chance) || pid == 0)
        return false;
    *owner = (struct pgdbm__owner){(pid_t)pid, start, (uint32_t)host, (int64_t)created};
    return true;
}

enum pgdbm__owner_state pgdbm__owner_look(const struct pgdbm__owner *owner)
{
    char state = 0;
    uint64_t start = 0;
    if (owner->host == 0 || owner->start == 0 || owner->host != hash_host())
        return PGDBM__OWNER_ELSEWHERE;
    /* Not by /proc alone, where processes of other users may be hidden. */
    if (kill(owner->pid, 0) != 0 && errno == ESRCH)
        return PGDBM__OWNER_GONE;
    if (!read_process(owner->pid, &state, &start))
        return PGDBM__OWNER_LIVES;
    bool ended = state == 'Z' || state == 'X'; /* and only its parent has not looked yet */
    return ended || start != owner->start ? PGDBM__OWNER_GONE : PGDBM__OWNER_LIVES;
}

/* Keeps what needs no quoting anywhere. */
static void tame(char *text)
{
    for (; *text != '\0'; text++)
        if (!isalnum((unsigned char)*text) && strchr("-_.", *text) == NULL)
            *text = '-';
}

void pgdbm__owner_comment(const struct pgdbm__owner *owner, const char *kind, char text[PGDBM__COMMENT_BYTES])
{
    char boot[64], space[64], host[128] = "", program[64], created[32] = "";
    struct tm when;
    time_t seconds = (time_t)owner->created;
    boot_of_host(boot, space);
    tame(boot);
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    tame(host);
    read_start("/proc/self/comm", false, program, sizeof program);
    program[strcspn(program, "\n")] = '\0';
    tame(program);
    if (gmtime_r(&seconds, &when) != NULL)
        strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &when);
    snprintf(text, PGDBM__COMMENT_BYTES,
             PGDBM__COMMENT_MARK "%s pid=%d start=%" PRIu64 " host=%s boot=%s created=%s program=%s", kind,
             (int)owner->pid, owner->start, host, boot, created, program);
}
