/* SPDX-License-Identifier: MIT */
/* A throw-away directory of migrations. For one test, one thread; only the test programs of this folder use it. */
#ifndef PGDBM_TESTS_MIGRATE_FOLDER_H
#define PGDBM_TESTS_MIGRATE_FOLDER_H

#include <limits.h>
#include <stddef.h>

struct folder {
    char path[PATH_MAX];
};

void folder_make(struct folder *folder);
/* Removes it with everything in it. */
void folder_remove(struct folder *folder);
/* Writes (or overwrites) a file. */
void folder_write(const struct folder *folder, const char *filename, const char *text);
void folder_write_bytes(const struct folder *folder, const char *filename, const void *data, size_t bytes);
void folder_delete(const struct folder *folder, const char *filename);
/* The path of a file in it; overwritten by the next call of the same thread. */
const char *folder_path(const struct folder *folder, const char *filename);

#endif
