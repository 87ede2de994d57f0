/* SPDX-License-Identifier: MIT */
/* COPY: rows, structs and raw bytes, in and out, with bounded memory on this side.
 *
 * | call                      | data                                                | format                             |
 * |---------------------------|-----------------------------------------------------|------------------------------------|
 * | pgdbm_copy_structs        | an array of structs                                 | binary, text where it must be      |
 * | pgdbm_copy_rows_in        | rows that a callback gives, as parameters           | binary, text when asked for        |
 * | pgdbm_copy_rows_out       | rows that a callback takes, as results of one row   | binary                             |
 * | pgdbm_copy_in, _out       | raw bytes from and to a callback                    | the statement's                    |
 * | pgdbm_copy_in_fd, _out_fd | raw bytes from and to a file descriptor             | the statement's                    |
 * | _in_async, _out_async     | raw bytes, for who must not wait                    | the statement's                    |
 *
 * Raw: the bytes that PostgreSQL's COPY takes and gives, in text, CSV or binary format (PostgreSQL documentation,
 * COPY), in any size of pieces, with bounded memory on this side.
 *
 *     pgdbm_copy_in(db, "COPY {{tables.prices}} (day, price) FROM STDIN (FORMAT csv)", next_piece, file, &rows, &err);
 *
 * It runs on a session of its own, or on the transaction or pinned session that `db` is; there nothing else can run until
 * it is done (ERR_TRANSACTION). It has no deadline but the server's statement_timeout. A COPY that does not end well
 * leaves no row. Errors of all: those of the verbs (<pgdbm/db.h>), and QUERY when the statement is no COPY FROM STDIN or TO
 * STDOUT, or the other one. What the server refuses has the place in the data in `detail` ("COPY users, line 3, column
 * email"). */
#ifndef PGDBM_COPY_H
#define PGDBM_COPY_H

#include <pgdbm/async.h>
#include <pgdbm/structs.h>

/* Fills `buffer` with up to `bytes` and says how many in `*filled`; 0 is the end. Anything but PGDBM_OK aborts the COPY,
 * and is what the call returns; fill `err` (never NULL) then. */
typedef pgdbm_status (*pgdbm_copy_source)(void *buffer, size_t bytes, size_t *filled, void *context, pgdbm_error *err);

/* Takes a piece: of what the server sends, row by row. Return false to stop: that cancels the COPY and is PGDBM_OK. */
typedef bool (*pgdbm_copy_sink)(const void *data, size_t bytes, void *context);

/* Gives the next row: an array of as many parameters as there are columns, which it must keep until it is called again, in
 * `*values`; NULL is the end. Anything but PGDBM_OK aborts the COPY, and is what the call returns; fill `err` (never NULL)
 * then. */
typedef pgdbm_status (*pgdbm_copy_next_row)(const pgdbm_param **values, void *context, pgdbm_error *err);

/* How far a COPY is. Called after each 64 KiB or more. Return false to stop: that cancels the COPY, and the call returns
 * PGDBM_ERR_CANCELED with no row kept. */
typedef bool (*pgdbm_copy_progress)(int64_t rows, int64_t bytes, void *context);

/* Zero means the default; so does NULL for all of it. */
typedef struct pgdbm_copy_options {
    const char *const *columns; /* as the server calls them. None: for structs those of the fields, into tables all that
                                   are not computed (GENERATED ... STORED), out of tables and queries all */
    size_t n_columns;
    pgdbm_copy_progress on_progress; /* of raw COPYs `rows` is 0 */
    void *progress_context;
    bool as_text; /* in: send in text format, so that the server parses what this side cannot */
} pgdbm_copy_options;

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

PGDBM_EXPORT pgdbm_status pgdbm_copy_structs_sized(pgdbm_db *db, const char *table, const pgdbm_struct *shape,
                                                   const void *structs, size_t count, const pgdbm_copy_options *options,
                                                   size_t options_bytes, int64_t *rows, pgdbm_error *err);

/* Copies `count` structs into a table of the manager's schema (or `schema.table`). It needs the privilege to insert, and
 * asks the server for the columns' types each time. An error names the row, from 1, and the column. It is binary COPY; when
 * a field's C type has no binary form for its column (a text for a numeric) it is text. */
static inline pgdbm_status pgdbm_copy_structs(pgdbm_db *db, const char *table, const pgdbm_struct *shape,
                                              const void *structs, size_t count, const pgdbm_copy_options *options,
                                              int64_t *rows, pgdbm_error *err)
{
    return pgdbm_copy_structs_sized(db, table, shape, structs, count, options, sizeof *options, rows, err);
}

PGDBM_EXPORT pgdbm_status pgdbm_copy_rows_in_sized(pgdbm_db *db, const char *table, pgdbm_copy_next_row next_row,
                                                   void *context, const pgdbm_copy_options *options,
                                                   size_t options_bytes, int64_t *rows, pgdbm_error *err);

/* Copies the rows that `next_row` gives into a table. Each parameter is converted to its column's type, as those of a
 * statement; a text for a type that this side cannot parse is PGDBM_ERR_TYPE unless `as_text`. */
static inline pgdbm_status pgdbm_copy_rows_in(pgdbm_db *db, const char *table, pgdbm_copy_next_row next_row,
                                              void *context, const pgdbm_copy_options *options, int64_t *rows,
                                              pgdbm_error *err)
{
    return pgdbm_copy_rows_in_sized(db, table, next_row, context, options, sizeof *options, rows, err);
}

PGDBM_EXPORT pgdbm_status pgdbm_copy_rows_out_sized(pgdbm_db *db, const char *table_or_query, pgdbm_row_callback on_row,
                                                    void *context, const pgdbm_copy_options *options,
                                                    size_t options_bytes, int64_t *rows, pgdbm_error *err);

/* Copies a table, or what a query gives (SELECT, VALUES, WITH; a template, too), to `on_row`, one row at a time in constant
 * memory. Returning false stops it, which is PGDBM_OK. `rows` (may be NULL) is how many were handed over. Columns of types
 * that this library does not know come as text. */
static inline pgdbm_status pgdbm_copy_rows_out(pgdbm_db *db, const char *table_or_query, pgdbm_row_callback on_row,
                                               void *context, const pgdbm_copy_options *options, int64_t *rows,
                                               pgdbm_error *err)
{
    return pgdbm_copy_rows_out_sized(db, table_or_query, on_row, context, options, sizeof *options, rows, err);
}

PGDBM_EXPORT pgdbm_status pgdbm_copy_in_fd_sized(pgdbm_db *db, const char *sql, int fd,
                                                 const pgdbm_copy_options *options, size_t options_bytes, int64_t *rows,
                                                 pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_copy_out_fd_sized(pgdbm_db *db, const char *sql, int fd,
                                                  const pgdbm_copy_options *options, size_t options_bytes,
                                                  int64_t *rows, pgdbm_error *err);

/* The raw COPY of `sql`, from a file descriptor's present place to its end, or to it. Pipes and sockets will do, also
 * non-blocking ones; a pipe that nobody reads any more raises SIGPIPE, as with write(2). A failing read or write is
 * PGDBM_ERR_QUERY, outcome ROLLED_BACK; of a COPY TO outcome DONE, and what was written stays. */
static inline pgdbm_status pgdbm_copy_in_fd(pgdbm_db *db, const char *sql, int fd, const pgdbm_copy_options *options,
                                            int64_t *rows, pgdbm_error *err)
{
    return pgdbm_copy_in_fd_sized(db, sql, fd, options, sizeof *options, rows, err);
}

static inline pgdbm_status pgdbm_copy_out_fd(pgdbm_db *db, const char *sql, int fd, const pgdbm_copy_options *options,
                                             int64_t *rows, pgdbm_error *err)
{
    return pgdbm_copy_out_fd_sized(db, sql, fd, options, sizeof *options, rows, err);
}

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
