/* SPDX-License-Identifier: MIT */
/* The manager: a schema and the verbs. A transaction and a pinned session are managers too (<pgdbm/transaction.h>), so
 * code that takes a `pgdbm_db *` works inside and outside of one.
 *
 * A manager's schema is fixed at birth, and a manager may be used from any thread. Templates in SQL are expanded for
 * its schema before anything is sent:
 *
 * | in the text                    | with schema "app"       | without a schema        |
 * |--------------------------------|-------------------------|-------------------------|
 * | `{{tables.users}}`             | `"app"."users"`         | `"users"`               |
 * | `{{tables.billing.invoices}}`  | `"billing"."invoices"`  | `"billing"."invoices"`  |
 * | `{{schema}}`                   | `"app"`                 | `"public"`              |
 *
 * Names are folded to lower case: a letter or underscore, then letters, digits, underscores, 63 bytes at most. Whatever
 * else begins with `{{` is refused, also inside of a literal: write '{ {1,2}}', or pass the array as a parameter.
 *
 * Errors every verb can return: ARGUMENT (a NULL that is not allowed), SCHEMA (a bad template, with line and column;
 * not sent), TYPE (a parameter that does not fit, naming it; not sent), POOL (closed, or no session within
 * acquire_timeout_ms), CONNECTION (lost; look at `outcome`), TIMEOUT (command_timeout_ms), QUERY (the server's error),
 * TRANSACTION (the handle's transaction has ended, or a nested one is open), NOMEM. */
#ifndef PGDBM_DB_H
#define PGDBM_DB_H

#include <pgdbm/params.h>
#include <pgdbm/pool.h>
#include <pgdbm/result.h>

typedef struct pgdbm_db pgdbm_db;

/* What one call may ask for, in the `_with` form of each verb. Zero means: as the pool is configured. */
typedef struct pgdbm_call {
    int timeout_ms;   /* deadline of this call, waiting for a session included; 0: command_timeout_ms; -1: none */
    bool idempotent;  /* may be repeated by the library when a lost connection leaves its outcome unknown */
    const char *name; /* for messages and the log; borrowed during the call */
} pgdbm_call;

/* A manager's share of its pool. Managers that wait for sessions are served in turn, each in proportion to its weight and
 * charged with the time that its statements take; so one that floods the pool does not keep the others waiting. */
typedef struct pgdbm_share {
    unsigned weight;        /* 1 to 1000; 0: 1 */
    unsigned max_in_flight; /* leases and independent requests at once, at most; 0: no limit */
} pgdbm_share;

/* What a manager has had of its pool. */
typedef struct pgdbm_db_stats {
    size_t in_flight; /* leases it holds, independent requests under way */
    size_t waiting;   /* callers and requests that wait for a session */
    uint64_t granted; /* sessions given */
    uint64_t waited;  /* of those: after a wait */
    uint64_t wait_us; /* the sum of those waits */
    uint64_t longest_wait_us;
} pgdbm_db_stats;

/* Called for each row of a stream with a one-row result (row number 0) that is valid until it returns. Return false to
 * stop early. No pgdbm lock is held; using the streaming session inside is PGDBM_ERR_TRANSACTION. */
typedef bool (*pgdbm_row_callback)(const pgdbm_result *row, void *context);

PGDBM_BEGIN_DECLS

/* Standalone: opens a pool of its own and a manager on it, bound to config->schema. `*db` is the caller's; pgdbm_close
 * ends both. Errors: as pgdbm_pool_open, and SCHEMA for a bad schema name. The schema itself is made by migrations. */
PGDBM_EXPORT pgdbm_status pgdbm_open_at(const char *file, int line, const pgdbm_config *config, size_t config_bytes,
                                        pgdbm_db **db, pgdbm_error *err);

static inline pgdbm_status pgdbm_open_here(const char *file, int line, const pgdbm_config *config, pgdbm_db **db,
                                           pgdbm_error *err)
{
    return pgdbm_open_at(file, line, config, sizeof *config, db, err);
}

/* pgdbm_open(const pgdbm_config *config, pgdbm_db **db, pgdbm_error *err) */
#define pgdbm_open(...) pgdbm_open_here(PGDBM_HERE, __VA_ARGS__)

PGDBM_EXPORT pgdbm_status pgdbm_attach_sized(pgdbm_pool *pool, const char *schema, const pgdbm_share *share,
                                             size_t share_bytes, pgdbm_db **db, pgdbm_error *err);

/* Shared pool: a manager bound to `schema` (NULL: none) on somebody's pool. Costs a small allocation, opens nothing,
 * sends nothing. Errors: ARGUMENT, SCHEMA (bad name), POOL (closed), NOMEM. */
static inline pgdbm_status pgdbm_attach(pgdbm_pool *pool, const char *schema, pgdbm_db **db, pgdbm_error *err)
{
    return pgdbm_attach_sized(pool, schema, NULL, 0, db, err);
}

/* The same, with a share of the pool other than an equal one. Errors also: CONFIG (a weight out of range). */
static inline pgdbm_status pgdbm_attach_with(pgdbm_pool *pool, const char *schema, const pgdbm_share *share,
                                             pgdbm_db **db, pgdbm_error *err)
{
    return pgdbm_attach_sized(pool, schema, share, sizeof *share, db, err);
}

PGDBM_EXPORT pgdbm_status pgdbm_db_stats_read_sized(pgdbm_db *db, pgdbm_db_stats *stats, size_t stats_bytes,
                                                    pgdbm_error *err);

/* Copies what the manager has had of its pool, its transactions included. Errors: ARGUMENT. Any thread. */
static inline pgdbm_status pgdbm_db_stats_read(pgdbm_db *db, pgdbm_db_stats *stats, pgdbm_error *err)
{
    return pgdbm_db_stats_read_sized(db, stats, sizeof *stats, err);
}

/* Ends what this handle owns, never a host's pool: a standalone manager closes its pool, an attached one only itself, a
 * transaction is rolled back, a pinned session is cleaned and given back. NULL is legal. */
PGDBM_EXPORT void pgdbm_close(pgdbm_db *db);

/* The manager's schema as it is written in the catalog, or NULL. Borrowed. */
PGDBM_EXPORT const char *pgdbm_schema(const pgdbm_db *db);

/* The pool behind a manager, to attach further managers. Borrowed: it lives as long as its owner keeps it. */
PGDBM_EXPORT pgdbm_pool *pgdbm_pool_of(const pgdbm_db *db);

/* What a template becomes here. `*text` is the caller's, released with pgdbm_free. Sends nothing. Errors: ARGUMENT,
 * SCHEMA, NOMEM. */
PGDBM_EXPORT pgdbm_status pgdbm_expand(pgdbm_db *db, const char *sql, char **text, pgdbm_error *err);

/* Says that tables of the manager's schema (of a manager without one: of any schema) have been changed. Statements that name
 * it are prepared anew at their next use: by all pools of this process at once, and by pools elsewhere that have a
 * listener (pgdbm_listen) when the NOTIFY "pgdbm_schema" reaches them. On a transaction: when it commits. Migrations call it.
 *
 * It is a courtesy, for DDL of one's own too. A statement that turns out to be outdated is prepared anew in any case,
 * without an error: outside of transactions, and in those of pgdbm_begin (where the first use of each statement with rows
 * is guarded by a savepoint). Only requests that are submitted to a transaction asynchronously may fail over it (0A000,
 * retryable: pgdbm_transact_async runs them again). Errors: those of pgdbm_execute, for the NOTIFY. */
PGDBM_EXPORT pgdbm_status pgdbm_schema_changed(pgdbm_db *db, pgdbm_error *err);

/* The verbs, in the form that carries the options of one call; below are the plain forms and `_with`. `call` may be
 * NULL. */
PGDBM_EXPORT pgdbm_status pgdbm_execute_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes, const char *sql,
                                              pgdbm_params params, int64_t *rows_affected, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_execute_many_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes,
                                                   const char *sql, const pgdbm_params *sets, size_t n_sets,
                                                   int64_t *rows_affected, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_insert_id_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes,
                                                const char *sql, pgdbm_params params, int64_t *id, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_fetch_one_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes,
                                                const char *sql, pgdbm_params params, pgdbm_result **result,
                                                pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_fetch_all_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes,
                                                const char *sql, pgdbm_params params, pgdbm_result **result,
                                                pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_fetch_int64_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes,
                                                  const char *sql, pgdbm_params params, int64_t *value,
                                                  pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_fetch_double_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes,
                                                   const char *sql, pgdbm_params params, double *value,
                                                   pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_fetch_bool_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes,
                                                 const char *sql, pgdbm_params params, bool *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_fetch_text_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes,
                                                 const char *sql, pgdbm_params params, char **value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_stream_sized(const char *file, int line, pgdbm_db *db, const pgdbm_call *call,
                                             size_t call_bytes, const char *sql, pgdbm_params params,
                                             pgdbm_row_callback on_row, void *context, pgdbm_error *err);

/* Runs a statement; `rows_affected` (may be NULL) is the count of its command tag. */
static inline pgdbm_status pgdbm_execute(pgdbm_db *db, const char *sql, pgdbm_params params, int64_t *rows_affected,
                                         pgdbm_error *err)
{
    return pgdbm_execute_sized(db, NULL, 0, sql, params, rows_affected, err);
}

static inline pgdbm_status pgdbm_execute_with(pgdbm_db *db, const pgdbm_call *call, const char *sql,
                                              pgdbm_params params, int64_t *rows_affected, pgdbm_error *err)
{
    return pgdbm_execute_sized(db, call, sizeof *call, sql, params, rows_affected, err);
}

/* Runs one statement for each set of parameters, pipelined: one round trip, one transaction, all or nothing.
 * `rows_affected` (may be NULL) is the sum. An error names the set. Zero sets is legal and sends nothing. */
static inline pgdbm_status pgdbm_execute_many(pgdbm_db *db, const char *sql, const pgdbm_params *sets, size_t n_sets,
                                              int64_t *rows_affected, pgdbm_error *err)
{
    return pgdbm_execute_many_sized(db, NULL, 0, sql, sets, n_sets, rows_affected, err);
}

static inline pgdbm_status pgdbm_execute_many_with(pgdbm_db *db, const pgdbm_call *call, const char *sql,
                                                   const pgdbm_params *sets, size_t n_sets, int64_t *rows_affected,
                                                   pgdbm_error *err)
{
    return pgdbm_execute_many_sized(db, call, sizeof *call, sql, sets, n_sets, rows_affected, err);
}

/* Runs an INSERT and gives the id of the row it made; appends RETURNING id unless the statement has a RETURNING of its
 * own (then its first column is the id). Inserting no row (ON CONFLICT DO NOTHING) is PGDBM_ERR_QUERY, outcome DONE. */
static inline pgdbm_status pgdbm_insert_id(pgdbm_db *db, const char *sql, pgdbm_params params, int64_t *id,
                                           pgdbm_error *err)
{
    return pgdbm_insert_id_sized(db, NULL, 0, sql, params, id, err);
}

static inline pgdbm_status pgdbm_insert_id_with(pgdbm_db *db, const pgdbm_call *call, const char *sql,
                                                pgdbm_params params, int64_t *id, pgdbm_error *err)
{
    return pgdbm_insert_id_sized(db, call, sizeof *call, sql, params, id, err);
}

/* All rows of a statement. `*result` is the caller's, released with pgdbm_result_free; NULL after an error. */
static inline pgdbm_status pgdbm_fetch_all(pgdbm_db *db, const char *sql, pgdbm_params params, pgdbm_result **result,
                                           pgdbm_error *err)
{
    return pgdbm_fetch_all_sized(db, NULL, 0, sql, params, result, err);
}

static inline pgdbm_status pgdbm_fetch_all_with(pgdbm_db *db, const pgdbm_call *call, const char *sql,
                                                pgdbm_params params, pgdbm_result **result, pgdbm_error *err)
{
    return pgdbm_fetch_all_sized(db, call, sizeof *call, sql, params, result, err);
}

/* At most one row: the result has 0 or 1; what the statement finds beyond the first is not kept. */
static inline pgdbm_status pgdbm_fetch_one(pgdbm_db *db, const char *sql, pgdbm_params params, pgdbm_result **result,
                                           pgdbm_error *err)
{
    return pgdbm_fetch_one_sized(db, NULL, 0, sql, params, result, err);
}

static inline pgdbm_status pgdbm_fetch_one_with(pgdbm_db *db, const pgdbm_call *call, const char *sql,
                                                pgdbm_params params, pgdbm_result **result, pgdbm_error *err)
{
    return pgdbm_fetch_one_sized(db, call, sizeof *call, sql, params, result, err);
}

/* The first column of the first row. No row, or NULL where a number or bool is asked, is PGDBM_ERR_TYPE with outcome
 * DONE; as text, no row and NULL both give NULL. The text is the caller's, released with pgdbm_free. */
static inline pgdbm_status pgdbm_fetch_value_int64(pgdbm_db *db, const char *sql, pgdbm_params params, int64_t *value,
                                                   pgdbm_error *err)
{
    return pgdbm_fetch_int64_sized(db, NULL, 0, sql, params, value, err);
}

static inline pgdbm_status pgdbm_fetch_value_double(pgdbm_db *db, const char *sql, pgdbm_params params, double *value,
                                                    pgdbm_error *err)
{
    return pgdbm_fetch_double_sized(db, NULL, 0, sql, params, value, err);
}

static inline pgdbm_status pgdbm_fetch_value_bool(pgdbm_db *db, const char *sql, pgdbm_params params, bool *value,
                                                  pgdbm_error *err)
{
    return pgdbm_fetch_bool_sized(db, NULL, 0, sql, params, value, err);
}

static inline pgdbm_status pgdbm_fetch_value_text(pgdbm_db *db, const char *sql, pgdbm_params params, char **value,
                                                  pgdbm_error *err)
{
    return pgdbm_fetch_text_sized(db, NULL, 0, sql, params, value, err);
}

static inline pgdbm_status pgdbm_fetch_value_int64_with(pgdbm_db *db, const pgdbm_call *call, const char *sql,
                                                        pgdbm_params params, int64_t *value, pgdbm_error *err)
{
    return pgdbm_fetch_int64_sized(db, call, sizeof *call, sql, params, value, err);
}

static inline pgdbm_status pgdbm_fetch_value_double_with(pgdbm_db *db, const pgdbm_call *call, const char *sql,
                                                         pgdbm_params params, double *value, pgdbm_error *err)
{
    return pgdbm_fetch_double_sized(db, call, sizeof *call, sql, params, value, err);
}

static inline pgdbm_status pgdbm_fetch_value_bool_with(pgdbm_db *db, const pgdbm_call *call, const char *sql,
                                                       pgdbm_params params, bool *value, pgdbm_error *err)
{
    return pgdbm_fetch_bool_sized(db, call, sizeof *call, sql, params, value, err);
}

static inline pgdbm_status pgdbm_fetch_value_text_with(pgdbm_db *db, const pgdbm_call *call, const char *sql,
                                                       pgdbm_params params, char **value, pgdbm_error *err)
{
    return pgdbm_fetch_text_sized(db, call, sizeof *call, sql, params, value, err);
}

#ifndef __cplusplus
/* pgdbm_fetch_value(db, sql, params, value, err): the typed form is chosen by what `value` points to. */
#define pgdbm_fetch_value(db, sql, params, value, err)                                                                 \
    _Generic((value),                                                                                                  \
        int64_t *: pgdbm_fetch_value_int64,                                                                            \
        double *: pgdbm_fetch_value_double,                                                                            \
        bool *: pgdbm_fetch_value_bool,                                                                                \
        char **: pgdbm_fetch_value_text)((db), (sql), (params), (value), (err))
#endif

static inline pgdbm_status pgdbm_stream_here(const char *file, int line, pgdbm_db *db, const char *sql,
                                             pgdbm_params params, pgdbm_row_callback on_row, void *context,
                                             pgdbm_error *err)
{
    return pgdbm_stream_sized(file, line, db, NULL, 0, sql, params, on_row, context, err);
}

static inline pgdbm_status pgdbm_stream_with_here(const char *file, int line, pgdbm_db *db, const pgdbm_call *call,
                                                  const char *sql, pgdbm_params params, pgdbm_row_callback on_row,
                                                  void *context, pgdbm_error *err)
{
    return pgdbm_stream_sized(file, line, db, call, sizeof *call, sql, params, on_row, context, err);
}

/* pgdbm_stream(pgdbm_db *db, const char *sql, pgdbm_params params, pgdbm_row_callback on_row, void *context,
 * pgdbm_error *err)
 *
 * Calls `on_row` for each row in constant memory, from the calling thread. A slow callback holds the server back.
 * Stopping early cancels the rest of the statement on the server and is PGDBM_OK; outside a transaction a statement
 * that writes is then rolled back, inside one the transaction has to be rolled back by its owner. */
#define pgdbm_stream(...) pgdbm_stream_here(PGDBM_HERE, __VA_ARGS__)

/* pgdbm_stream_with(pgdbm_db *db, const pgdbm_call *call, const char *sql, ...) */
#define pgdbm_stream_with(...) pgdbm_stream_with_here(PGDBM_HERE, __VA_ARGS__)

/* Whether a table (or view, or anything in pg_class that can be selected from) exists: `table` is "name", looked for in
 * the manager's schema ("public" without one), or "schema.name". Errors also: SCHEMA for a bad name. */
PGDBM_EXPORT pgdbm_status pgdbm_table_exists(pgdbm_db *db, const char *table, bool *exists, pgdbm_error *err);

PGDBM_EXPORT pgdbm_status pgdbm_execute_simple_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes,
                                                     const char *sql, pgdbm_error *err);

/* Runs SQL by the simple query protocol (PostgreSQL documentation 55.2.2): several statements separated by semicolons,
 * no parameters, no templates, no rows. Statements that cannot be prepared or must not hold a portal open go this way.
 */
static inline pgdbm_status pgdbm_execute_simple(pgdbm_db *db, const char *sql, pgdbm_error *err)
{
    return pgdbm_execute_simple_sized(db, NULL, 0, sql, err);
}

static inline pgdbm_status pgdbm_execute_simple_with(pgdbm_db *db, const pgdbm_call *call, const char *sql,
                                                     pgdbm_error *err)
{
    return pgdbm_execute_simple_sized(db, call, sizeof *call, sql, err);
}

PGDBM_END_DECLS
#endif
