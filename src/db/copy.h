/* SPDX-License-Identifier: MIT */
/* What the COPY verbs of a caller that waits are made of. */
#ifndef PGDBM_DB_COPY_H
#define PGDBM_DB_COPY_H

#include "db/manager.h"

#include <pgdbm/copy.h>

#define PGDBM__COPY_PIECE_BYTES ((size_t)64 * 1024)

/* Gives the next piece, which stays until it is asked again; no bytes: the end. Anything but PGDBM_OK aborts the COPY. */
typedef pgdbm_status (*pgdbm__copy_feed)(const void **data, size_t *bytes, void *context, pgdbm_error *err);

/* Takes a piece, which may be written to, one byte behind it, too. *more false: it is enough, which is PGDBM_OK. Anything
 * but PGDBM_OK ends the COPY with that. */
typedef pgdbm_status (*pgdbm__copy_drain)(char *data, size_t bytes, bool *more, void *context, pgdbm_error *err);

pgdbm_status pgdbm__db_copy_in(pgdbm_db *db, const char *function, const char *sql, pgdbm__copy_feed feed,
                               void *context, int64_t *rows, pgdbm_error *err);
/* When it `joins` a piece is many rows, otherwise one. */
pgdbm_status pgdbm__db_copy_out(pgdbm_db *db, const char *function, const char *sql, bool joins,
                                pgdbm__copy_drain drain, void *context, int64_t *rows, pgdbm_error *err);

/* The options of a COPY, and what its owner has been told of its progress. */
struct pgdbm__copy_gauge {
    pgdbm_copy_options options;
    int64_t rows, bytes, told;
};

void pgdbm__copy_gauge_init(struct pgdbm__copy_gauge *gauge, const pgdbm_copy_options *options, size_t options_bytes);
/* Reports when enough has gone since the last time. CANCELED when that is what the owner wants. */
pgdbm_status pgdbm__copy_gauge_report(struct pgdbm__copy_gauge *gauge, pgdbm_error *err);

/* The structs of `shape` (checked) into the table of the quoted name `into`, whose columns are those of `described`. */
pgdbm_status pgdbm__db_copy_structs(pgdbm_db *db, const char *function, const char *described, const char *into,
                                    const pgdbm_struct *shape, const void *structs, size_t count,
                                    struct pgdbm__copy_gauge *gauge, int64_t *rows, pgdbm_error *err);

#endif
