/* SPDX-License-Identifier: MIT */
/* COPY, raw: the bytes that PostgreSQL's COPY takes and gives, in text, CSV or binary format (PostgreSQL documentation,
 * COPY), in any size of pieces, with bounded memory on this side.
 *
 *     pgdbm_copy_in(db, "COPY {{tables.prices}} (day, price) FROM STDIN (FORMAT csv)", next_piece, file, &rows, &err);
 *
 * It runs on a session of its own, or on the transaction or pinned session that `db` is; there nothing else can run until
 * it is done (ERR_TRANSACTION). It has no deadline but the server's statement_timeout. A COPY that does not end well
 * leaves no row. Errors of all four: those of the verbs (<pgdbm/db.h>), and QUERY when the statement is no COPY FROM
 * STDIN or TO STDOUT, or the other one. */
#ifndef PGDBM_COPY_H
#define PGDBM_COPY_H

#include <pgdbm/async.h>

/* Fills `buffer` with up to `bytes` and says how many in `*filled`; 0 is the end. Anything but PGDBM_OK aborts the COPY,
 * and is what the call returns; fill `err` (never NULL) then. */
typedef pgdbm_status (*pgdbm_copy_source)(void *buffer, size_t bytes, size_t *filled, void *context, pgdbm_error *err);

/* Takes a piece: of what the server sends, row by row. Return false to stop: that cancels the COPY and is PGDBM_OK. */
typedef bool (*pgdbm_copy_sink)(const void *data, size_t bytes, void *context);

/* A COPY FROM under way. */
typedef struct pgdbm_copy pgdbm_copy;

/* There is room for data. */
typedef void (*pgdbm_copy_writable)(pgdbm_copy *copy, void *context);

PGDBM_BEGIN_DECLS

/* Sends what `source` gives. `rows` (may be NULL) is the count that the server took. Blocks. Any thread; `source` is
 * called in it. */
PGDBM_EXPORT pgdbm_status pgdbm_copy_in(pgdbm_db *db, const char *sql, pgdbm_copy_source source, void *context,
                                        int64_t *rows, pgdbm_error *err);

/* Hands what comes to `sink`. A slow sink holds the server back. Blocks. Any thread; `sink` is called in it. */
PGDBM_EXPORT pgdbm_status pgdbm_copy_out(pgdbm_db *db, const char *sql, pgdbm_copy_sink sink, void *context,
                                         int64_t *rows, pgdbm_error *err);

/* Begins to send. `on_writable` is called when the server is ready, and again whenever there is room after a
 * pgdbm_copy_write that did not take everything. `*copy` lives until `on_done` (outcome->affected: rows) returns, which
 * comes after pgdbm_copy_end, or earlier when something fails. */
PGDBM_EXPORT pgdbm_status pgdbm_copy_in_async(pgdbm_db *db, const char *sql, pgdbm_copy_writable on_writable,
                                              pgdbm_done_callback on_done, void *context, pgdbm_copy **copy,
                                              pgdbm_error *err);

/* Takes as many bytes as there is room for, copied, and returns how many: less than `bytes` (perhaps 0) means: go on when
 * on_writable is called. Where callbacks run, or while nobody dispatches. */
PGDBM_EXPORT size_t pgdbm_copy_write(pgdbm_copy *copy, const void *data, size_t bytes);

/* There is no more data. With `failure` (a text for the server's message; NULL: all is well) no row is kept and the
 * outcome is PGDBM_ERR_CANCELED, ROLLED_BACK. */
PGDBM_EXPORT void pgdbm_copy_end(pgdbm_copy *copy, const char *failure);

/* Hands what comes to `on_data`, where callbacks run, and then calls `on_done`. A slow consumer holds the server back.
 * `request` (may be NULL) is to be released, and can be cancelled. */
PGDBM_EXPORT pgdbm_status pgdbm_copy_out_async(pgdbm_db *db, const char *sql, pgdbm_copy_sink on_data,
                                               pgdbm_done_callback on_done, void *context, pgdbm_request **request,
                                               pgdbm_error *err);

PGDBM_END_DECLS
#endif
