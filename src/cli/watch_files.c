/* SPDX-License-Identifier: MIT */
/* inotify on directories, and on what is above them, where they appear when they were not there or are made anew. No state but the
 * caller's. */
#include "watch_files.h"

#include "interrupt.h"
#include "output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

enum {
    /* Not IN_CREATE: the file is empty then, and what is half written would be applied. */
    OF_FILES = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB,
    OF_DIRECTORIES = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB,
    OF_ITSELF = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT,

    QUIET_MS = 100, /* editors write in several steps */
    AT_MOST_MS = 2000,
};

struct pgdbm__cli_watched_place {
    int number;              /* inotify's */
    char name[NAME_MAX + 1]; /* what is awaited there; "": files of migrations */
};

static bool out_of_memory(void)
{
    pgdbm__cli_say_error(NULL, "out of memory");
    return false;
}

static bool add_place(struct pgdbm__cli_watch *watch, int number, const char *name)
{
    if (watch->n_places == watch->capacity) {
        size_t capacity = watch->capacity * 2 + 8;
        struct pgdbm__cli_watched_place *grown = realloc(watch->places, capacity * sizeof *grown);
        if (grown == NULL)
            return out_of_memory();
        watch->places = grown;
        watch->capacity = capacity;
    }
    struct pgdbm__cli_watched_place *place = &watch->places[watch->n_places++];
    place->number = number;
    snprintf(place->name, sizeof place->name, "%s", name);
    return true;
}

enum added { ADDED, ABSENT, REFUSED };

static enum added add(struct pgdbm__cli_watch *watch, const char *path, unsigned mask, const char *name)
{
    int number = inotify_add_watch(watch->fd, path, mask | OF_ITSELF | IN_ONLYDIR | IN_MASK_ADD);
    if (number >= 0)
        return add_place(watch, number, name) ? ADDED : REFUSED;
    if (errno != ENOSPC && errno != ENOMEM)
        return ABSENT;
    pgdbm__cli_say_error("raise it: sysctl fs.inotify.max_user_watches=524288",
                         "cannot watch %s: the system's limit of watched files is reached", path);
    return REFUSED;
}

/* The nearest directory above that is there, for what comes next on the way to `path`; `path` is cut. */
static bool add_above(struct pgdbm__cli_watch *watch, char *path)
{
    size_t bytes = strlen(path);
    while (bytes > 1) {
        while (path[bytes - 1] != '/')
            bytes--;
        path[--bytes] = '\0';
        enum added added = add(watch, bytes == 0 ? "/" : path, OF_DIRECTORIES, path + bytes + 1);
        if (added != ABSENT)
            return added == ADDED;
    }
    return true; /* the root is always there */
}

/* As an absolute path without a slash at its end; the caller's. */
static char *absolute(const char *directory)
{
    char *path = realpath(directory, NULL);
    char *here = path == NULL && directory[0] != '/' ? getcwd(NULL, 0) : NULL;
    if (path == NULL && asprintf(&path, "%s%s%s", here != NULL ? here : "", here != NULL ? "/" : "", directory) < 0)
        path = NULL;
    for (size_t bytes = path != NULL ? strlen(path) : 0; bytes > 1 && path[bytes - 1] == '/'; bytes--)
        path[bytes - 1] = '\0';
    free(here);
    return path;
}

bool pgdbm__cli_watch_begin(struct pgdbm__cli_watch *watch, const char *const *directories, size_t n_directories)
{
    pgdbm__cli_watch_end(watch);
    watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch->fd < 0) {
        pgdbm__cli_say_error(errno == EMFILE ? "end other programs that watch files, or raise it: sysctl "
                                               "fs.inotify.max_user_instances=1024"
                                             : NULL,
                             "cannot watch files: %s",
                             errno == EMFILE ? "the limit of watchers is reached" : strerror(errno));
        return false;
    }
    bool fine = true;
    for (size_t i = 0; fine && i < n_directories; i++) {
        char *path = absolute(directories[i]);
        if (path == NULL)
            return out_of_memory();
        fine = add(watch, path, OF_FILES, "") != REFUSED && add_above(watch, path);
        free(path);
    }
    return fine;
}

static bool is_migration(const char *name)
{
    size_t bytes = strlen(name);
    return name[0] != '.' && bytes > 4 && strcmp(name + bytes - 4, ".sql") == 0;
}

static bool matters(const struct pgdbm__cli_watch *watch, const struct inotify_event *event, const char *name)
{
    if ((event->mask & IN_Q_OVERFLOW) != 0)
        return true; /* something was missed */
    for (size_t i = 0; i < watch->n_places; i++) {
        const struct pgdbm__cli_watched_place *place = &watch->places[i];
        if (place->number != event->wd)
            continue;
        if ((event->mask & OF_ITSELF) != 0)
            return true;
        if (place->name[0] == '\0' ? (event->mask & OF_FILES) != 0 && is_migration(name)
                                   : (event->mask & OF_DIRECTORIES) != 0 && strcmp(place->name, name) == 0)
            return true;
    }
    return false;
}

/* Takes what was noted. Whether any of it matters. */
static bool take(const struct pgdbm__cli_watch *watch)
{
    _Alignas(struct inotify_event) char bytes[16384];
    ssize_t got;
    bool any = false;
    while ((got = read(watch->fd, bytes, sizeof bytes)) > 0)
        for (ssize_t at = 0; at < got;) {
            const struct inotify_event *event = (const struct inotify_event *)(bytes + at);
            any = matters(watch, event, event->len > 0 ? event->name : "") || any;
            at += (ssize_t)(sizeof *event + event->len);
        }
    return any;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool pgdbm__cli_watch_wait(struct pgdbm__cli_watch *watch)
{
    struct pollfd ends[] = {{.fd = watch->fd, .events = POLLIN},
                            {.fd = pgdbm__cli_interrupt_descriptor(), .events = POLLIN}};
    int64_t since = 0; /* when the first change came */
    for (;;) {
        int ready = poll(ends, 2, since != 0 ? QUIET_MS : -1);
        if (pgdbm__cli_interrupted())
            return false;
        if (ready < 0 && errno != EINTR) {
            pgdbm__cli_say_error(NULL, "cannot wait for changes: %s", strerror(errno));
            return false;
        }
        if (ready > 0 && take(watch) && since == 0)
            since = now_ms();
        else if (since != 0 && (ready == 0 || now_ms() - since > AT_MOST_MS))
            return true;
    }
}

void pgdbm__cli_watch_end(struct pgdbm__cli_watch *watch)
{
    if (watch->fd >= 0)
        close(watch->fd);
    free(watch->places);
    *watch = (struct pgdbm__cli_watch){.fd = -1};
}
