/* SPDX-License-Identifier: MIT */
/* The migrations of a module as they were found in a directory or compiled in: read, checked and in order. */
#ifndef PGDBM_MIGRATE_SOURCE_H
#define PGDBM_MIGRATE_SOURCE_H

#include "migrate/header.h"
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
    char *version; /* "" of a repeatable file */
    bool repeatable;
    const char *text; /* valid UTF-8 without NUL, not terminated; a byte order mark is still there */
    size_t bytes;
    char *owned_text; /* what `text` points to when it was read from a directory */
    char checksum[PGDBM__CHECKSUM_BYTES];
    char semantic_checksum[PGDBM__CHECKSUM_BYTES];

    /* What its header says. */
    bool no_transaction;
    int lock_timeout_ms; /* 0: nothing; -1: off */
    struct pgdbm__migration_requirement *requires;
    size_t n_requires;

    struct pgdbm__script_source up;   /* what runs: all of the text, or what stands before its down line */
    struct pgdbm__script_source down; /* behind that line, or the file NNN_name.down.sql; text NULL: no way back */
    char *down_filename, *owned_down; /* of a file of its own */

    /* Beside the history (pgdbm__plan_match) and during a run. */
    pgdbm_migration_state state;
    const struct pgdbm__history_row *applied; /* borrowed from the rows; NULL when there is none */
    bool applied_now;
    struct pgdbm__script script;          /* made when the file is pending */
    size_t statements_done, n_statements; /* of a PARTIAL file */
    char *sql;                            /* of a dry run; the run's */
};

/* Zero-initialise. */
struct pgdbm__migration_set {
    struct pgdbm__migration_file *files; /* by version, repeatable ones last; then by name, byte by byte */
    size_t n_files;
    size_t n_versioned; /* of them, those that have a number */
    size_t capacity;
    char digest[PGDBM__CHECKSUM_BYTES];  /* pgdbm__migration_digest_step over all files in order */
    struct pgdbm__migration_down *downs; /* down files that have not found their files yet */
    size_t n_downs, downs_capacity;
};

/* Fills the set. Errors: CONFIG (no source or two; a directory or file that cannot be read, is no regular file, or is a
 * link that leaves the directory), MIGRATION (an .sql name of none of the forms, two files of one number unless
 * policies->duplicate allows it, a directive that is not understood, a down part that belongs to no file or is there twice, a
 * file that is too large or not text, no files at all unless `allow_empty`, a digest that is not the texts'), NOMEM. Texts that
 * are compiled in are borrowed. `policies` NULL: the default. */
pgdbm_status pgdbm__migration_set_load(struct pgdbm__migration_set *set, const pgdbm_migrations *migrations,
                                       const pgdbm_migration_policies *policies, bool allow_empty, pgdbm_error *err);
void pgdbm__migration_set_free(struct pgdbm__migration_set *set);

/* Adds one file whose text is there; takes over `owned_text`, whatever it returns. `label` says in messages where the
 * file is. */
pgdbm_status pgdbm__migration_set_add(struct pgdbm__migration_set *set, const char *filename, const char *label,
                                      const char *text, size_t bytes, char *owned_text, pgdbm_error *err);

/* Adds every migration of a directory. */
pgdbm_status pgdbm__migration_directory_load(struct pgdbm__migration_set *set, const char *directory, pgdbm_error *err);

/* Makes file->script ready for `schema`, and finds out whether the down part would be. Errors of pgdbm__script_prepare. */
pgdbm_status pgdbm__migration_file_prepare(struct pgdbm__migration_file *file, const char *schema, pgdbm_error *err);

#endif
