/* SPDX-License-Identifier: MIT */
/* Cursors: the rows of a statement, pulled in pieces, in constant memory and at the caller's pace.
 *
 *     pgdbm_cursor *cursor;
 *     pgdbm_cursor_open(db, "SELECT id FROM {{tables.big}}", pgdbm_no_args, NULL, &cursor, &err);
 *     while (pgdbm_cursor_next(cursor, &row, &err) == PGDBM_OK && row != NULL)
 *         pgdbm_get_int64(row, 0, "id", &id, &err);
 *     pgdbm_cursor_close(cursor);
 *
 * A cursor is a portal (PostgreSQL documentation 55.2.3) in a transaction: that of `db` when it is one, else one of its own,
 * which is committed when the end has been reached (no further row, no further piece) and rolled back when the cursor is
 * closed before, or fails. Between the pieces the session is the caller's: on a transaction's handle other statements can
 * run. What is not read is not sent: closing early costs one round trip, whatever is left. pgdbm_stream pushes rows
 * instead and needs no transaction. */
#ifndef PGDBM_CURSOR_H
#define PGDBM_CURSOR_H

#include <pgdbm/db.h>

typedef struct pgdbm_cursor pgdbm_cursor;

typedef struct pgdbm_cursor_options {
    int chunk_rows; /* fetched at once; 0: 1000 */
    int timeout_ms; /* of each fetch; 0: command_timeout_ms; -1: none */
} pgdbm_cursor_options;

PGDBM_BEGIN_DECLS

PGDBM_EXPORT pgdbm_status pgdbm_cursor_open_at(const char *file, int line, pgdbm_db *db, const char *sql,
                                               pgdbm_params params, const pgdbm_cursor_options *options,
                                               size_t options_bytes, pgdbm_cursor **cursor, pgdbm_error *err);

static inline pgdbm_status pgdbm_cursor_open_here(const char *file, int line, pgdbm_db *db, const char *sql,
                                                  pgdbm_params params, const pgdbm_cursor_options *options,
                                                  pgdbm_cursor **cursor, pgdbm_error *err)
{
    return pgdbm_cursor_open_at(file, line, db, sql, params, options, sizeof *options, cursor, err);
}

/* pgdbm_cursor_open(db, sql, params, const pgdbm_cursor_options *options, pgdbm_cursor **cursor, pgdbm_error *err): runs the
 * statement and fetches the first piece. `options` may be NULL. `*cursor` is the caller's. Errors: those of the verbs, and
 * QUERY for a statement that returns no rows, which is not run. */
#define pgdbm_cursor_open(...) pgdbm_cursor_open_here(PGDBM_HERE, __VA_ARGS__)

/* The next row, as a result of one row that is valid until the next call; NULL after the last. One thread at a time.
 * Errors: those of the verbs. One whose outcome is not NOT_SENT ends the cursor, and so does the end of its transaction:
 * rows that have come already can still be read, then it is PGDBM_ERR_TRANSACTION. max_result_bytes is for each piece. */
PGDBM_EXPORT pgdbm_status pgdbm_cursor_next(pgdbm_cursor *cursor, const pgdbm_result **row, pgdbm_error *err);

/* The next piece as a whole, or what pgdbm_cursor_next has left of it: at most chunk_rows rows, none after the last.
 * `*result` is the caller's. Errors: the same. */
PGDBM_EXPORT pgdbm_status pgdbm_cursor_fetch(pgdbm_cursor *cursor, pgdbm_result **result, pgdbm_error *err);

/* Ends the cursor, read to its end or not. NULL is legal. */
PGDBM_EXPORT void pgdbm_cursor_close(pgdbm_cursor *cursor);

PGDBM_END_DECLS
#endif
