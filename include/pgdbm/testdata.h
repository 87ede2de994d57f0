/* SPDX-License-Identifier: MIT */
/* Data for tests (part of <pgdbm/testkit.h>; programs link libpgdbm-testkit and libpgdbm): putting rows in, and saying what
 * must be there.
 *
 *     pgdbm_rows_check(db, "users",
 *                      " id | email             | age  \n"
 *                      "----+-------------------+------\n"
 *                      "  1 | alice@example.com | 30   \n"
 *                      "  2 | bob@example.com   | NULL \n", &err)
 *
 * `db` may be a manager, a transaction or a pinned session, and tables are those of its schema, as in {{tables.users}}:
 * "users", or "billing.invoices" with a schema of its own. Each function blocks; any thread may call it, for one handle
 * (capture, snapshot) one at a time. A check that fails is PGDBM_ERR_TESTDB: the message says what differs and how much,
 * the detail shows rows, as many as fit into it. Every function can also return the errors of the verbs (<pgdbm/db.h>). */
#ifndef PGDBM_TESTDATA_H
#define PGDBM_TESTDATA_H

#include <pgdbm/db.h>

PGDBM_BEGIN_DECLS

/* ---- fixtures ---- */

/* Loads a file, or all files of a folder in the order of their names (.sql and .json; others and folders in it are left
 * alone), in one transaction: after an error nothing is loaded. On a transaction's handle it is part of that transaction.
 *
 * `.sql`: statements as in a migration, templates expanded; no transaction control, no COPY from the client.
 *
 * `.json`: tables with their rows, in the order in which they are to be inserted:
 *
 *     {
 *       "users": [{"id": 1, "email": "alice@example.com", "tags": ["a", "b"]}, {"id": 2, "email": null}],
 *       "billing.invoices": [{"user_id": 1, "amount": 12.50, "details": {"paid": true}}]
 *     }
 *
 * Tables and columns are looked up before anything of the file is inserted. A column that a row does not name has its
 * default; null is SQL NULL. The server makes values of the columns' types: arrays of arrays, composites of objects, json and
 * jsonb of anything, other types of numbers (which keep all their digits), strings and booleans. Identity columns take what
 * is given, also if they are GENERATED ALWAYS. Sequences that belong to columns go on behind the highest value that is then
 * in the table, so that the next INSERT does not collide. A table may be named twice.
 *
 * Errors: those of the verbs, the message beginning with file and line (of the statement, or where the server or the
 * template says; of the row), for a row also its table, its number from 1, and the column, if it is the value's fault;
 * TESTDB (a file that cannot be read, is not JSON, or names a table or column that is not there: with the nearest name). */
PGDBM_EXPORT pgdbm_status pgdbm_fixture_load(pgdbm_db *db, const char *path, pgdbm_error *err);

/* ---- rows ----
 *
 * A table as text: the columns' names, then a row on each line, cells with | between them, as psql shows them. White space
 * around a cell does not count, nor do empty lines, a ruler of - + | below the names, a | at both ends of all lines, and
 * "(2 rows)" as the last line. A value is written as PostgreSQL prints it (a bool is t or f, a timestamptz is in UTC, bytea
 * \x and hexadecimal digits). SQL NULL is written NULL, the empty text as nothing or ''. What would be misread stands in
 * single quotes, with one of its own doubled: 'NULL', ' a ', 'a|b', 'it''s' at the beginning; a line may end inside. */

/* Compares the rows of a table, or of a statement (anything that is not the name of a table), with a table as text. Only
 * the columns that it names are compared. The order of rows counts when the statement has an ORDER BY of its own outside of
 * all parentheses. Each row counts as often as it occurs. In the detail - rows are missing, + rows came unexpected. Errors:
 * ARGUMENT; TESTDB (the rows differ; a table as text that cannot be read, with its line; a column that is not there). */
PGDBM_EXPORT pgdbm_status pgdbm_rows_check(pgdbm_db *db, const char *sql_or_table, const char *expected,
                                           pgdbm_error *err);

/* The rows as such a text, aligned: print it, look at it, and make it the expectation. `*text` is the caller's, released
 * with pgdbm_free. */
PGDBM_EXPORT pgdbm_status pgdbm_rows_text(pgdbm_db *db, const char *sql_or_table, char **text, pgdbm_error *err);

/* How many rows a table, or a statement, has; and whether it has so many. */
PGDBM_EXPORT pgdbm_status pgdbm_rows_count(pgdbm_db *db, const char *sql_or_table, int64_t *count, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_rows_check_count(pgdbm_db *db, const char *sql_or_table, int64_t expected,
                                                 pgdbm_error *err);

/* Empties tables, named with commas between them ("users, orders"), and those that refer to them (CASCADE), and lets their
 * sequences begin anew (RESTART IDENTITY). One statement. Errors also: SCHEMA (a bad name). */
PGDBM_EXPORT pgdbm_status pgdbm_rows_truncate(pgdbm_db *db, const char *tables, pgdbm_error *err);

/* ---- snapshots ---- */

typedef struct pgdbm_snapshot pgdbm_snapshot;

/* Keeps the rows of a table, or of a statement, in memory. `*snapshot` is the caller's, released with pgdbm_snapshot_free;
 * `db` must stay as long as it is checked. */
PGDBM_EXPORT pgdbm_status pgdbm_snapshot_take(pgdbm_db *db, const char *sql_or_table, pgdbm_snapshot **snapshot,
                                              pgdbm_error *err);

/* Whether the rows are still the same; where they stand in the table does not count. Else TESTDB, whose detail has a line for
 * each row by its primary key: ~ changed (column: old -> new), + added, - removed. Of a statement, and of a table without a
 * primary key, rows are compared as a whole: - and +. May be called again. */
PGDBM_EXPORT pgdbm_status pgdbm_snapshot_check(pgdbm_snapshot *snapshot, pgdbm_error *err);

/* NULL is legal. */
PGDBM_EXPORT void pgdbm_snapshot_free(pgdbm_snapshot *snapshot);

/* ---- captures: which statements were sent ---- */

typedef struct pgdbm_capture pgdbm_capture;

/* All zero: statements, by whatever verb, and COPYs. A batch counts by its statements, pgdbm_execute_many once, a cursor when
 * it is opened. */
typedef struct pgdbm_capture_options {
    bool control; /* BEGIN, COMMIT, ROLLBACK, savepoints, too */
    bool fetches; /* and each further piece of a cursor */
} pgdbm_capture_options;

PGDBM_EXPORT pgdbm_status pgdbm_capture_begin_sized(pgdbm_db *db, const pgdbm_capture_options *options,
                                                    size_t options_bytes, pgdbm_capture **capture, pgdbm_error *err);

/* From now on keeps the texts of what is sent through the pool of `db` (<pgdbm/observe.h>), by all of its managers and
 * threads. `*capture` is the caller's, released with pgdbm_capture_end. */
static inline pgdbm_status pgdbm_capture_begin(pgdbm_db *db, pgdbm_capture **capture, pgdbm_error *err)
{
    return pgdbm_capture_begin_sized(db, NULL, 0, capture, err);
}

static inline pgdbm_status pgdbm_capture_begin_with(pgdbm_db *db, const pgdbm_capture_options *options,
                                                    pgdbm_capture **capture, pgdbm_error *err)
{
    return pgdbm_capture_begin_sized(db, options, sizeof *options, capture, err);
}

/* How many were sent so far. Any thread. */
PGDBM_EXPORT size_t pgdbm_capture_count(pgdbm_capture *capture);

/* The number of different texts, and one of them, in the order in which they came first; how often it was sent goes to
 * `*times` (may be NULL). Templates are expanded. Borrowed from the capture; NULL when there is no such number. Any thread. */
PGDBM_EXPORT size_t pgdbm_capture_texts(pgdbm_capture *capture);
PGDBM_EXPORT const char *pgdbm_capture_statement(pgdbm_capture *capture, size_t number, size_t *times);

/* Whether at most `limit` were sent so far. Else TESTDB, whose detail has the texts with their counts, the most frequent
 * first: a query for each row of another one (N+1) stands at the top. Errors also: NOMEM (a text could not be kept). */
PGDBM_EXPORT pgdbm_status pgdbm_capture_check_at_most(pgdbm_capture *capture, size_t limit, pgdbm_error *err);

/* Ends and frees it. NULL is legal. */
PGDBM_EXPORT void pgdbm_capture_end(pgdbm_capture *capture);

PGDBM_END_DECLS
#endif
