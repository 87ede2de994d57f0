/* SPDX-License-Identifier: MIT */
/* The migrations of a module as they were found in a directory or compiled in: read, checked and in order. */
#ifndef PGDBM_MIGRATE_SOURCE_H
#define PGDBM_MIGRATE_SOURCE_H

#include "migrate/script.h"
#include "migrate/text.h"

#include <pgdbm/migrate.h>

#include <stdbool.h>
#include <stddef.h>

/* A larger file is refused: it is a dump in the wrong place, and it would be held in memory. */
#define PGDBM__MIGRATION_BYTES_LIMIT ((size_t)64 << 20)

struct pgdbm__history_row;

struct pgdbm__migration_file {
    char *filename;
    char *version;
    const char *text; /* valid UTF-8 without NUL, not terminated; a byte order mark is still there */
    size_t bytes;
    char *owned_text; /* what `text` points to when it was read from a directory */
    char checksum[PGDBM__CHECKSUM_BYTES];
    bool no_transaction;

    /* Beside the history (pgdbm__plan_match) and during a run. */
    pgdbm_migration_state state;
    const struct pgdbm__history_row *applied; /* borrowed from the rows; NULL when there is none */
    bool applied_now;
    struct pgdbm__script script; /* made when the file is pending */
};

/* Zero-initialise. */
struct pgdbm__migration_set {
    struct pgdbm__migration_file *files; /* by version */
    size_t n_files;
    size_t capacity;
};

/* Fills the set. Errors: CONFIG (no source or two; a directory or file that cannot be read, is no regular file, or is a
 * link that leaves the directory), MIGRATION (an .sql name of none of the forms, two files of one number, a file that
 * is too large or not text, no files at all unless `allow_empty`), NOMEM. Texts that are compiled in are borrowed. */
pgdbm_status pgdbm__migration_set_load(struct pgdbm__migration_set *set, const pgdbm_migrations *migrations,
                                       bool allow_empty, pgdbm_error *err);
void pgdbm__migration_set_free(struct pgdbm__migration_set *set);

/* Adds one file whose text is there; takes over `owned_text`, whatever it returns. `label` says in messages where the
 * file is. */
pgdbm_status pgdbm__migration_set_add(struct pgdbm__migration_set *set, const char *filename, const char *label,
                                      const char *text, size_t bytes, char *owned_text, pgdbm_error *err);

/* Adds every migration of a directory. */
pgdbm_status pgdbm__migration_directory_load(struct pgdbm__migration_set *set, const char *directory, pgdbm_error *err);

#endif
