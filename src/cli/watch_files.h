/* SPDX-License-Identifier: MIT */
/* Waiting until something changes in directories of migrations, which may come and go. One thread. */
#ifndef PGDBM_CLI_WATCH_FILES_H
#define PGDBM_CLI_WATCH_FILES_H

#include <stdbool.h>
#include <stddef.h>

struct pgdbm__cli_watched_place;

/* `fd` -1 and the rest zero at first; pgdbm__cli_watch_end in any case. */
struct pgdbm__cli_watch {
    int fd;
    struct pgdbm__cli_watched_place *places;
    size_t n_places, capacity;
};

/* From now on changes in the directories are noted; those noted before are forgotten. Directories that are not there are waited
 * for. False after having said why not. */
bool pgdbm__cli_watch_begin(struct pgdbm__cli_watch *watch, const char *const *directories, size_t n_directories);

/* Waits until something was changed and nothing more is for a moment: true. False when a signal came, or after having said what is
 * wrong. */
bool pgdbm__cli_watch_wait(struct pgdbm__cli_watch *watch);

void pgdbm__cli_watch_end(struct pgdbm__cli_watch *watch);

#endif
