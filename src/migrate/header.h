/* SPDX-License-Identifier: MIT */
/* What a migration says of itself in comments: the directives of its header, and where its down part begins.
 *
 *     -- pgdbm:no-transaction            each statement is its own transaction
 *     -- pgdbm:lock-timeout 2s           how long a statement may wait for a lock: ms, s, min, or off
 *     -- pgdbm:requires users >= 12      another module's number that must be applied before; may stand several times
 *     -- pgdbm:down                      on a line of its own: what follows is the way back
 *
 * The first three count in the header only: comments and blank lines before the first statement. Pure functions. */
#ifndef PGDBM_MIGRATE_HEADER_H
#define PGDBM_MIGRATE_HEADER_H

#include <pgdbm/error.h>

#include <stdbool.h>
#include <stddef.h>

/* A text with SQL to run: a file, or the part of it before or behind its `-- pgdbm:down`. Everything is borrowed. */
struct pgdbm__script_source {
    const char *filename; /* of the file it stands in */
    const char *text;     /* NULL: there is none */
    size_t bytes;
    size_t first_line; /* of the text in its file; 0 is taken for 1 */
    bool down;
};

struct pgdbm__migration_requirement {
    char *module;
    char *version; /* as written: compare with pgdbm__migration_version_compare */
    size_t line;
};

/* Zero-initialise. */
struct pgdbm__migration_header {
    bool no_transaction;
    int lock_timeout_ms; /* 0: the file says nothing; -1: off */
    struct pgdbm__migration_requirement *requires;
    size_t n_requires;
};

/* Reads the directives. MIGRATION with file and line for one that is unknown, malformed, given twice, or has no place in a
 * down part (only lock-timeout has); NOMEM. */
pgdbm_status pgdbm__migration_header_read(const struct pgdbm__script_source *source,
                                          struct pgdbm__migration_header *header, pgdbm_error *err);
void pgdbm__migration_header_free(struct pgdbm__migration_header *header);

/* Divides a file at its `-- pgdbm:down` line: `down->text` is NULL when there is none. MIGRATION when there are two, or one
 * that does not stand alone on its line. */
pgdbm_status pgdbm__migration_divide(const char *filename, const char *text, size_t bytes,
                                     struct pgdbm__script_source *up, struct pgdbm__script_source *down,
                                     pgdbm_error *err);

#endif
