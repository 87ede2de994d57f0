/* SPDX-License-Identifier: MIT */
/* The verbs. Each makes a request, has it run, and hands out what came back. Any thread. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "db/manager.h"
#include "sql/effects.h"
#include "sql/scan.h"

#include <string.h>

/* One statement with its rows. `request` has the answer. */
static pgdbm_status run_one(pgdbm_db *db, const char *function, const pgdbm_call *call, size_t call_bytes,
                            const char *sql, pgdbm_params params, enum pgdbm__rows rows, struct pgdbm__request *request,
                            pgdbm_error *err)
{
    struct pgdbm__run run;
    pgdbm_status status = pgdbm__db_prepare_run(db, function, call, call_bytes, sql, params, &run, err);
    if (status != PGDBM_OK)
        return status;
    request->kind = PGDBM__REQUEST_EXECUTE;
    request->sets = &params;
    request->n_sets = 1;
    request->rows = rows;
    status = pgdbm__db_run(db, &run, request, err);
    request->sets = NULL;
    return status;
}

pgdbm_status pgdbm_execute_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes, const char *sql,
                                 pgdbm_params params, int64_t *rows_affected, pgdbm_error *err)
{
    struct pgdbm__request request = {0};
    pgdbm_status status =
        run_one(db, "pgdbm_execute", call, call_bytes, sql, params, PGDBM__ROWS_DISCARD, &request, err);
    if (status == PGDBM_OK && rows_affected != NULL)
        *rows_affected = request.affected;
    return status;
}

static pgdbm_status fetch(pgdbm_db *db, const char *function, const pgdbm_call *call, size_t call_bytes,
                          const char *sql, pgdbm_params params, enum pgdbm__rows rows, pgdbm_result **result,
                          pgdbm_error *err)
{
    struct pgdbm__request request = {0};
    if (result == NULL)
        return pgdbm__fail_null(err, function, "result");
    *result = NULL;
    pgdbm_status status = run_one(db, function, call, call_bytes, sql, params, rows, &request, err);
    if (status == PGDBM_OK)
        *result = request.result;
    return status;
}

pgdbm_status pgdbm_fetch_all_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes, const char *sql,
                                   pgdbm_params params, pgdbm_result **result, pgdbm_error *err)
{
    return fetch(db, "pgdbm_fetch_all", call, call_bytes, sql, params, PGDBM__ROWS_ALL, result, err);
}

pgdbm_status pgdbm_fetch_one_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes, const char *sql,
                                   pgdbm_params params, pgdbm_result **result, pgdbm_error *err)
{
    return fetch(db, "pgdbm_fetch_one", call, call_bytes, sql, params, PGDBM__ROWS_FIRST, result, err);
}

static pgdbm_status no_row(const char *sql, pgdbm_error *err)
{
    pgdbm__fail(err, PGDBM_ERR_TYPE, "the statement gave no row where one value was asked for");
    pgdbm__error_hint(err,
                      "use pgdbm_fetch_one and look at the number of rows, or an aggregate, which always gives one");
    pgdbm__error_outcome(err, PGDBM_OUTCOME_DONE);
    pgdbm__error_statement(err, sql);
    return PGDBM_ERR_TYPE;
}

#define FETCH_VALUE(name, type)                                                                                        \
    pgdbm_status pgdbm_fetch_##name##_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes, const char *sql,  \
                                            pgdbm_params params, type *value, pgdbm_error *err)                        \
    {                                                                                                                  \
        pgdbm_result *result = NULL;                                                                                   \
        if (value == NULL)                                                                                             \
            return pgdbm__fail_null(err, "pgdbm_fetch_value", "value");                                                \
        pgdbm_status status =                                                                                          \
            fetch(db, "pgdbm_fetch_value", call, call_bytes, sql, params, PGDBM__ROWS_FIRST, &result, err);            \
        if (status == PGDBM_OK)                                                                                        \
            status =                                                                                                   \
                pgdbm_result_rows(result) > 0 ? pgdbm_get_##name##_at(result, 0, 0, value, err) : no_row(sql, err);    \
        pgdbm_result_free(result);                                                                                     \
        return status;                                                                                                 \
    }

FETCH_VALUE(int64, int64_t)
FETCH_VALUE(double, double)
FETCH_VALUE(bool, bool)

pgdbm_status pgdbm_fetch_text_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes, const char *sql,
                                    pgdbm_params params, char **value, pgdbm_error *err)
{
    pgdbm_result *result = NULL;
    const char *text = NULL;
    if (value == NULL)
        return pgdbm__fail_null(err, "pgdbm_fetch_value", "value");
    *value = NULL;
    pgdbm_status status =
        fetch(db, "pgdbm_fetch_value", call, call_bytes, sql, params, PGDBM__ROWS_FIRST, &result, err);
    if (status == PGDBM_OK && pgdbm_result_rows(result) > 0)
        status = pgdbm_get_text_at(result, 0, 0, &text, err);
    if (status == PGDBM_OK && text != NULL && (*value = pgdbm__strdup(text)) == NULL) {
        status = pgdbm__fail_nomem(err, "copying a value");
        pgdbm__error_outcome(err, PGDBM_OUTCOME_DONE);
    }
    pgdbm_result_free(result);
    return status;
}

/* The statement with RETURNING id, unless it returns something already. Semicolons and comments at its end are left
 * out. NULL when memory is short. */
static char *with_returning(const char *sql)
{
    size_t bytes = strlen(sql);
    if ((pgdbm__sql_effects(sql, bytes) & PGDBM__EFFECT_RETURNING) != 0)
        return pgdbm__memdup(sql, bytes);
    struct pgdbm__buffer text = {0};
    pgdbm__buffer_append(&text, sql, pgdbm__scan_end(sql, bytes));
    pgdbm__buffer_text(&text, " RETURNING id");
    char *made = pgdbm__buffer_take(&text);
    pgdbm__buffer_free(&text);
    return made;
}

pgdbm_status pgdbm_insert_id_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes, const char *sql,
                                   pgdbm_params params, int64_t *id, pgdbm_error *err)
{
    pgdbm_result *result = NULL;
    if (db == NULL || sql == NULL || id == NULL)
        return pgdbm__fail_null(err, "pgdbm_insert_id", db == NULL ? "db" : sql == NULL ? "sql" : "id");
    char *text = with_returning(sql);
    if (text == NULL)
        return pgdbm__fail_nomem(err, "composing an INSERT");
    pgdbm_status status = fetch(db, "pgdbm_insert_id", call, call_bytes, text, params, PGDBM__ROWS_FIRST, &result, err);
    if (status == PGDBM_OK && pgdbm_result_rows(result) > 0)
        status = pgdbm_get_int64_at(result, 0, 0, id, err);
    else if (status == PGDBM_OK) {
        status = pgdbm__fail(err, PGDBM_ERR_QUERY, "no row was inserted, so there is no id");
        pgdbm__error_hint(err, "ON CONFLICT DO NOTHING inserts none; use DO UPDATE ... RETURNING id, or pgdbm_execute");
        pgdbm__error_outcome(err, PGDBM_OUTCOME_DONE);
        pgdbm__error_statement(err, sql);
    }
    pgdbm_result_free(result);
    pgdbm__free(text);
    return status;
}

pgdbm_status pgdbm_execute_many_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes, const char *sql,
                                      const pgdbm_params *sets, size_t n_sets, int64_t *rows_affected, pgdbm_error *err)
{
    struct pgdbm__run run;
    pgdbm_error local;
    err = err != NULL ? err : &local;
    if (n_sets > 0 && sets == NULL)
        return pgdbm__fail_null(err, "pgdbm_execute_many", "sets");
    pgdbm_status status =
        pgdbm__db_prepare_run(db, "pgdbm_execute_many", call, call_bytes, sql, pgdbm_no_args, &run, err);
    if (status != PGDBM_OK)
        return status;
    struct pgdbm__request request = {.kind = PGDBM__REQUEST_EXECUTE, .sets = sets, .n_sets = n_sets};
    for (size_t i = 0; status == PGDBM_OK && i < n_sets; i++)
        status = pgdbm__db_check_params(&sets[i], "pgdbm_execute_many", err);
    run.take_lease = true; /* a long run of messages must not stand before a neighbour's statement */
    if (status == PGDBM_OK && n_sets > 0)
        status = pgdbm__db_run(db, &run, &request, err);
    if (status != PGDBM_OK)
        pgdbm__run_name_set(&request, err);
    if (status == PGDBM_OK && rows_affected != NULL)
        *rows_affected = request.affected;
    return status;
}

/* Streams on a session of the handle's own, or one taken for this. *stopped: the callback had enough. */
static pgdbm_status stream_on(pgdbm_db *db, struct pgdbm__run *run, pgdbm_params params, pgdbm_row_callback on_row,
                              void *context, bool *stopped, pgdbm_error *err)
{
    struct pgdbm__request request = {
        .kind = PGDBM__REQUEST_EXECUTE,
        .sets = &params,
        .n_sets = 1,
        .rows = PGDBM__ROWS_STREAM,
        .on_row = on_row,
        .context = context,
    };
    run->take_lease = true;
    *stopped = false;
    pgdbm_status status = pgdbm__db_step_begin(db, err);
    if (status != PGDBM_OK)
        return status;
    struct pgdbm_pool *pool = pgdbm__pool_ref(run->pool);
    pgdbm_db step = *db; /* the callback may end the handle */
    if (run->lease != NULL)
        pgdbm__pool_hold(pool, run->lease);
    status = pgdbm__pool_run(run, &request, err);
    if (run->lease != NULL)
        pgdbm__pool_let_go(pool, run->lease);
    status = pgdbm__db_step_end(&step, request.stopped, status, err);
    pgdbm__pool_unref(pool);
    *stopped = request.stopped;
    return status;
}

/* A statement that writes may be done before the cancel reaches it. So that stopping early means rolled back whatever
 * happens first, it gets a transaction. */
static pgdbm_status stream_writing(pgdbm_db *db, struct pgdbm__run *run, pgdbm_params params, pgdbm_row_callback on_row,
                                   void *context, pgdbm_error *err)
{
    pgdbm_db *tx = NULL;
    bool stopped = false;
    pgdbm_status status = pgdbm_begin_sized(run->spot.file, run->spot.line, db, NULL, 0, &tx, err);
    if (status != PGDBM_OK)
        return status;
    run->lease = tx->member;
    status = stream_on(tx, run, params, on_row, context, &stopped, err);
    if (status == PGDBM_OK && !stopped)
        return pgdbm_commit(tx, err);
    (void)pgdbm_rollback(tx, NULL);
    return status;
}

pgdbm_status pgdbm_stream_sized(const char *file, int line, pgdbm_db *db, const pgdbm_call *call, size_t call_bytes,
                                const char *sql, pgdbm_params params, pgdbm_row_callback on_row, void *context,
                                pgdbm_error *err)
{
    struct pgdbm__run run;
    bool stopped;
    if (on_row == NULL)
        return pgdbm__fail_null(err, "pgdbm_stream", "on_row");
    pgdbm_status status = pgdbm__db_prepare_run(db, "pgdbm_stream", call, call_bytes, sql, params, &run, err);
    if (status != PGDBM_OK)
        return status;
    run.spot = (struct pgdbm__spot){file, line};
    if (call == NULL)
        run.deadline = PGDBM__NEVER; /* a stream lasts as long as its consumer takes */
    if (db->member == NULL && (pgdbm__sql_effects(sql, strlen(sql)) & PGDBM__EFFECT_WRITE) != 0)
        return stream_writing(db, &run, params, on_row, context, err);
    return stream_on(db, &run, params, on_row, context, &stopped, err);
}

pgdbm_status pgdbm_table_exists(pgdbm_db *db, const char *table, bool *exists, pgdbm_error *err)
{
    struct pgdbm__table found;
    if (db == NULL || table == NULL || exists == NULL)
        return pgdbm__fail_null(err, "pgdbm_table_exists", db == NULL ? "db" : table == NULL ? "table" : "exists");
    pgdbm_status status = pgdbm__db_table(db, table, &found, err);
    if (status != PGDBM_OK)
        return status;
    return pgdbm_fetch_value_bool(
        db,
        "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = "
        "c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'v', 'm', 'f', 'p'))",
        pgdbm_args(found.schema[0] != '\0' ? found.schema : "public", (const char *)found.name), exists, err);
}

pgdbm_status pgdbm__db_command(pgdbm_db *db, const char *sql, pgdbm_error *err)
{
    int timeout_ms = db->pool->config->values.command_timeout_ms;
    pgdbm_error local;
    err = err != NULL ? err : &local;
    bool observed = pgdbm__is_observed(&db->pool->observers);
    int64_t since = observed ? pgdbm__now_ns() : 0;
    pgdbm__lease_quiesce(db->pool, db->member);
    atomic_store_explicit(&db->member->owner, pgdbm__thread_token(), memory_order_relaxed);
    pgdbm_status status =
        pgdbm__session_command(&db->member->session, sql, pgdbm__deadline(timeout_ms > 0 ? timeout_ms : -1), err);
    if (observed) {
        bool control = (pgdbm__sql_effects(sql, strlen(sql)) & PGDBM__EFFECT_TRANSACTION) != 0;
        pgdbm__observe_text(db->pool, control ? PGDBM_OBSERVED_CONTROL : PGDBM_OBSERVED_SIMPLE, sql, since, 0, status,
                            err);
    }
    return status;
}

pgdbm_status pgdbm_execute_simple_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes, const char *sql,
                                        pgdbm_error *err)
{
    struct pgdbm__run run;
    pgdbm_error local;
    err = err != NULL ? err : &local;
    pgdbm_status status =
        pgdbm__db_prepare_run(db, "pgdbm_execute_simple", call, call_bytes, sql, pgdbm_no_args, &run, err);
    if (status != PGDBM_OK)
        return status;
    unsigned effects = pgdbm__sql_effects(sql, strlen(sql));
    if ((effects & PGDBM__EFFECT_COPY) != 0 || ((effects & PGDBM__EFFECT_TRANSACTION) != 0 && !run.raw)) {
        pgdbm__fail(err, PGDBM_ERR_TRANSACTION, "COPY and transaction control cannot run here");
        pgdbm__error_hint(err, "use pgdbm_begin, pgdbm_commit and pgdbm_rollback, or a pinned session (pgdbm_pin)");
        return PGDBM_ERR_TRANSACTION;
    }
    struct pgdbm__member *member = run.lease;
    struct pgdbm__need need = {
        .lease = true, .account = db->account, .spot = run.spot, .since = run.now, .deadline = run.acquire_deadline};
    if (member == NULL)
        status = pgdbm__pool_acquire(db->pool, &need, &member, err);
    else
        pgdbm__lease_quiesce(db->pool, member);
    if (status != PGDBM_OK)
        return status;
    atomic_store(&member->session.dirty, true); /* several statements may do anything */
    status = pgdbm__db_step_begin(db, err);
    if (status == PGDBM_OK)
        status = pgdbm__db_step_end(db, false, pgdbm__session_command(&member->session, sql, run.deadline, err), err);
    if (run.lease == NULL)
        pgdbm__pool_release(db->pool, member, &need);
    if (pgdbm__is_observed(&db->pool->observers)) {
        bool control = (effects & (PGDBM__EFFECT_TRANSACTION | PGDBM__EFFECT_MANY)) == PGDBM__EFFECT_TRANSACTION;
        pgdbm__observe_text(db->pool, control ? PGDBM_OBSERVED_CONTROL : PGDBM_OBSERVED_SIMPLE, sql, run.now, 0, status,
                            err);
    }
    return status;
}
