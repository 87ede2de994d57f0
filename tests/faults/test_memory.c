/* SPDX-License-Identifier: MIT */
/* Every allocation fails once: the call says out of memory or succeeds, nothing leaks, and the pool goes on. Then the
 * same with everything failing from some allocation on. */
#include "faults/sweep.h"

#include <pgdbm/batch.h>
#include <pgdbm/copy.h>
#include <pgdbm/cursor.h>
#include <pgdbm/future.h>
#include <pgdbm/json.h>
#include <pgdbm/listen.h>
#include <stdio.h>

static pgdbm_status open_attach_and_close(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    pgdbm_config config = sweep_config(stage);
    pgdbm_db *other = NULL;
    (void)db;
    config.schema = NULL;
    pgdbm_pool *pool = NULL;
    pgdbm_status status = pgdbm_pool_open(&config, &pool, err);
    if (status == PGDBM_OK)
        status = pgdbm_attach(pool, "another", &other, err);
    pgdbm_close(other);
    pgdbm_pool_close(pool);
    return status;
}

static void opening_attaching_and_closing(void **state)
{
    sweep(state, open_attach_and_close, false);
}

static pgdbm_status run_statements(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    char sql[200];
    char *text = NULL;
    const char *shown = NULL;
    char *expanded = NULL;
    pgdbm_result *rows = NULL;
    (void)stage;
    pgdbm_status status =
        pgdbm_execute(db, sweep_fresh(sql, sizeof sql, "CREATE TABLE IF NOT EXISTS {{tables.t}} (n int8, s text)"),
                      pgdbm_no_args, NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_execute(db, sweep_fresh(sql, sizeof sql, "INSERT INTO {{tables.t}} VALUES ($1, $2)"),
                               pgdbm_args(1, "one"), NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_fetch_all(
            db, sweep_fresh(sql, sizeof sql, "SELECT n, now(), repeat('x', 9000) FROM generate_series(1, $1::int) n"),
            pgdbm_args(20), &rows, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(rows, 3, 1, &shown, err);
    if (status == PGDBM_OK)
        status = pgdbm_fetch_value(db, "SELECT 'text'", pgdbm_no_args, &text, err);
    if (status == PGDBM_OK)
        status = pgdbm_expand(db, "SELECT * FROM {{tables.t}} JOIN {{tables.u}} USING (id)", &expanded, err);
    pgdbm_free(text);
    pgdbm_free(expanded);
    pgdbm_result_free(rows);
    return status;
}

static void executing_fetching_and_expanding(void **state)
{
    sweep(state, run_statements, true);
}

static void count_statement(const pgdbm_observation *observation, void *context)
{
    (void)observation;
    ++*(size_t *)context;
}

static pgdbm_status run_observed(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    pgdbm_observer *observer = NULL;
    size_t statements = 0;
    pgdbm_status status = pgdbm_observe(db, count_statement, &statements, &observer, err);
    if (status == PGDBM_OK)
        status = run_statements(stage, db, err);
    pgdbm_unobserve(observer);
    if (status == PGDBM_OK && statements != 4)
        fail_msg("4 statements expected, %zu seen", statements);
    return status;
}

static void observing(void **state)
{
    sweep(state, run_observed, true);
}

static bool take_row(const pgdbm_result *row, void *context)
{
    (void)row;
    ++*(size_t *)context;
    return true;
}

/* What a manager does inside of an enclosing transaction, beside the statements. */
static pgdbm_status run_inside(pgdbm_db *db, pgdbm_error *err)
{
    char sql[200];
    pgdbm_db *pin = NULL, *inner = NULL;
    pgdbm_cursor *cursor = NULL;
    pgdbm_result *rows = NULL;
    size_t count = 0;
    pgdbm_status status = pgdbm_pin(db, &pin, err);
    if (status == PGDBM_OK)
        status = pgdbm_begin(pin, NULL, &inner, err);
    if (status == PGDBM_OK)
        status = pgdbm_commit(inner, err);
    if (status == PGDBM_OK)
        status = pgdbm_cursor_open(db, sweep_fresh(sql, sizeof sql, "SELECT generate_series(1, 3)"), pgdbm_no_args,
                                   &(pgdbm_cursor_options){.chunk_rows = 1}, &cursor, err);
    for (int i = 0; status == PGDBM_OK && i < 2; i++) {
        status = pgdbm_cursor_fetch(cursor, &rows, err);
        pgdbm_result_free(rows);
        rows = NULL;
    }
    pgdbm_cursor_close(cursor);
    if (status == PGDBM_OK)
        status = pgdbm_stream(db, sweep_fresh(sql, sizeof sql, "SELECT generate_series(1, 3)"), pgdbm_no_args, take_row,
                              &count, err);
    pgdbm_close(pin);
    return status;
}

static pgdbm_status run_enclosed(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    pgdbm_db *tx = NULL, *inside = NULL;
    pgdbm_status status = pgdbm_begin(db, NULL, &tx, err);
    if (status == PGDBM_OK)
        status = pgdbm_enclose(tx, err);
    if (status == PGDBM_OK)
        status = pgdbm_attach(pgdbm_pool_of(db), "app", &inside, err);
    if (status == PGDBM_OK)
        status = run_statements(stage, inside, err);
    if (status == PGDBM_OK)
        status = run_inside(inside, err);
    pgdbm_close(tx);
    pgdbm_close(inside);
    return status;
}

static void working_inside_of_an_enclosing_transaction(void **state)
{
    sweep(state, run_enclosed, true);
}

static pgdbm_status run_json(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    char sql[200];
    char *text = NULL;
    (void)stage;
    pgdbm_status status =
        pgdbm_execute(db, sweep_fresh(sql, sizeof sql, "CREATE TABLE IF NOT EXISTS {{tables.j}} (n int8, s text)"),
                      pgdbm_no_args, NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_insert_json(db, "j", "[{\"n\": 1, \"s\": \"one\"}, {}]", NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_fetch_json(db, sweep_fresh(sql, sizeof sql, "SELECT n, s FROM {{tables.j}} LIMIT $1"),
                                  pgdbm_args(3), &text, err);
    pgdbm_free(text);
    return status;
}

static void making_and_reading_json(void **state)
{
    sweep(state, run_json, true);
}

static pgdbm_status run_transaction(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    char sql[200];
    pgdbm_db *tx = NULL;
    pgdbm_db *savepoint = NULL;
    size_t rows = 0;
    (void)stage;
    pgdbm_status status = pgdbm_begin(db, NULL, &tx, err);
    if (status != PGDBM_OK)
        return status;
    status = pgdbm_begin(tx, NULL, &savepoint, err);
    if (status == PGDBM_OK)
        status = pgdbm_execute(savepoint, sweep_fresh(sql, sizeof sql, "SELECT $1::int8"), pgdbm_args(1), NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_commit(savepoint, err);
    else if (savepoint != NULL)
        (void)pgdbm_rollback(savepoint, NULL);
    if (status == PGDBM_OK)
        status = pgdbm_stream(tx, sweep_fresh(sql, sizeof sql, "SELECT generate_series(1, 50)"), pgdbm_no_args,
                              take_row, &rows, err);
    if (status == PGDBM_OK && rows != 50)
        fail_msg("50 rows expected, %zu came", rows);
    if (status == PGDBM_OK)
        return pgdbm_commit(tx, err);
    (void)pgdbm_rollback(tx, NULL);
    return status;
}

static void transactions_savepoints_and_streams(void **state)
{
    sweep(state, run_transaction, true);
}

static pgdbm_status read_cursor(pgdbm_db *db, pgdbm_error *err)
{
    char sql[200];
    pgdbm_cursor *cursor = NULL;
    pgdbm_result *piece = NULL;
    const pgdbm_result *row = NULL;
    const char *text = NULL;
    size_t rows = 0;
    const pgdbm_cursor_options options = {.chunk_rows = 20};
    pgdbm_status status =
        pgdbm_cursor_open(db, sweep_fresh(sql, sizeof sql, "SELECT generate_series(1, $1::int8), repeat('x', 500)"),
                          pgdbm_args(50), &options, &cursor, err);
    while (status == PGDBM_OK && (status = pgdbm_cursor_next(cursor, &row, err)) == PGDBM_OK && row != NULL &&
           rows < 30)
        if ((status = pgdbm_get_text(row, 0, 0, &text, err)) == PGDBM_OK)
            rows++;
    while (status == PGDBM_OK && (status = pgdbm_cursor_fetch(cursor, &piece, err)) == PGDBM_OK &&
           pgdbm_result_rows(piece) > 0) {
        rows += pgdbm_result_rows(piece);
        pgdbm_result_free(piece);
    }
    pgdbm_result_free(piece);
    pgdbm_cursor_close(cursor);
    if (status == PGDBM_OK && rows != 49) /* the one that ended the first loop is not counted */
        fail_msg("49 rows expected, %zu came", rows);
    return status;
}

static pgdbm_status run_cursors(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    pgdbm_db *tx = NULL;
    (void)stage;
    pgdbm_status status = read_cursor(db, err);
    if (status == PGDBM_OK)
        status = pgdbm_begin(db, NULL, &tx, err);
    if (status == PGDBM_OK)
        status = read_cursor(tx, err);
    pgdbm_close(tx);
    return status;
}

static void cursors(void **state)
{
    sweep(state, run_cursors, true);
}

/* A type that nobody knows yet, in each attempt. */
static pgdbm_status run_types(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    static const char making[] = "DO $$ BEGIN DROP TYPE IF EXISTS app.pair; CREATE TYPE app.pair AS (a int4, b text); "
                                 "END $$";
    char sql[200];
    const char *text = NULL;
    pgdbm_result *row = NULL;
    pgdbm_result *pairs = NULL;
    pgdbm_result *pair = NULL;
    pgdbm_batch *batch = NULL;
    (void)stage;
    pgdbm_status status = pgdbm_execute(db, making, pgdbm_no_args, NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_fetch_one(db, sweep_fresh(sql, sizeof sql, "SELECT $1::app.pair AS v, ARRAY[$1::app.pair] AS w"),
                                 pgdbm_args(pgdbm_row_of(1, "b")), &row, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(row, 0, "w", &text, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_array(row, 0, "w", &pairs, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_record(pairs, 0, 0, &pair, err);
    if (status == PGDBM_OK)
        status = pgdbm_execute(db, making, pgdbm_no_args, NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_batch_new(db, NULL, &batch, err);
    if (status == PGDBM_OK)
        status = pgdbm_batch_add(batch, sweep_fresh(sql, sizeof sql, "SELECT $1::app.pair AS v"),
                                 pgdbm_args(pgdbm_row_of(1, "b")), err);
    if (status == PGDBM_OK)
        status = pgdbm_batch_run(batch, err);
    pgdbm_result_free(pair);
    pgdbm_result_free(pairs);
    pgdbm_result_free(row);
    pgdbm_batch_free(batch);
    return status;
}

static void looking_types_up(void **state)
{
    sweep(state, run_types, true);
}

static pgdbm_status insert_pair(pgdbm_db *tx, void *context, pgdbm_error *err)
{
    char sql[200];
    const pgdbm_params sets[] = {pgdbm_args(1), pgdbm_args(2)};
    (void)context;
    pgdbm_status status = pgdbm_execute(tx, "CREATE TEMP TABLE IF NOT EXISTS pair (n int8)", pgdbm_no_args, NULL, err);
    return status == PGDBM_OK
               ? pgdbm_execute_many(tx, sweep_fresh(sql, sizeof sql, "INSERT INTO pg_temp.pair VALUES ($1)"), sets, 2,
                                    NULL, err)
               : status;
}

static pgdbm_status run_transact(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    (void)stage;
    return pgdbm_transact(db, NULL, insert_pair, NULL, err);
}

static void transacting_and_many(void **state)
{
    sweep(state, run_transact, true);
}

static pgdbm_status run_module(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    static const char sql[] = "CREATE TABLE {{tables.notes}} (id int8);";
    static const pgdbm_migration_text texts[] = {{"001_notes.sql", sql, sizeof sql - 1}};
    static const pgdbm_migrations migrations = {.texts = texts, .n_texts = 1};
    static const pgdbm_module module = {.name = "swept", .migrations = &migrations};
    pgdbm_db *opened = NULL;
    (void)stage;
    const pgdbm_source source = {.db = db, .schema = "swept"};
    pgdbm_status status = pgdbm_module_open(&module, &source, &opened, err);
    pgdbm_close(opened);
    if (status == PGDBM_OK) /* the next one has everything to do again */
        status = pgdbm_execute(db, "DROP SCHEMA swept CASCADE", pgdbm_no_args, NULL, err);
    return status;
}

static void opening_a_module_and_migrating(void **state)
{
    sweep(state, run_module, true);
}

static const char notes_sql[] = "CREATE TABLE {{tables.notes}} (id int8);\n-- pgdbm:down\nDROP TABLE {{tables.notes}};";
static const char more_sql[] = "-- pgdbm:requires notes >= 1\nSELECT 1;";
static const pgdbm_migration_text notes_texts[] = {{"001_notes.sql", notes_sql, sizeof notes_sql - 1}};
static const pgdbm_migration_text more_texts[] = {{"001_more.sql", more_sql, sizeof more_sql - 1}};
static const pgdbm_migrations notes_files = {.texts = notes_texts, .n_texts = 1};
static const pgdbm_migrations more_files = {.texts = more_texts, .n_texts = 1};

/* Dry, so that each time has the same to do; what is really sent is swept with the module. */
static pgdbm_status run_migration_verbs(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    static const char *const first[] = {"notes"};
    const pgdbm_migrate_options notes = {.module = "notes", .migrations = &notes_files, .dry_run = true};
    const pgdbm_migrate_options more = {.module = "more", .migrations = &more_files, .dry_run = true};
    const pgdbm_migration_target targets[] = {{.db = db, .options = more, .depends_on = first, .n_depends_on = 1},
                                              {.db = db, .options = notes}};
    pgdbm_migration_report *report = NULL;
    (void)stage;
    pgdbm_status status = pgdbm_migrate_modules(targets, 2, NULL, NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_migrate(db, &more, NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_migrate_rollback(db, &notes, 1, &report, err);
    pgdbm_migration_report_free(report);
    report = NULL;
    if (status == PGDBM_OK)
        status = pgdbm_migrate_repair(db, &notes, &report, err);
    pgdbm_migration_report_free(report);
    if (status == PGDBM_OK)
        status = pgdbm_migrate_baseline(db, &more, NULL, err);
    return status;
}

static void ordering_undoing_and_repairing_migrations(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *db = NULL;
    const pgdbm_migrate_options notes = {.module = "notes", .migrations = &notes_files};
    const pgdbm_config config = sweep_config(stage);
    assert_ok(pgdbm_open(&config, &db, &err));
    assert_ok(pgdbm_migrate(db, &notes, NULL, &err));
    pgdbm_close(db);
    sweep(state, run_migration_verbs, true);
}

/* --- asynchronous requests --- */

/* The outcomes of a scenario: all have to come, and the first failure counts. */
struct outcomes {
    pgdbm_pool *pool;
    int expected, come;
    pgdbm_error failure;
    pgdbm_db *db;
    pgdbm_transaction *transaction;
};

static void take_outcome(const pgdbm_outcome *outcome, void *context)
{
    struct outcomes *outcomes = context;
    outcomes->come++;
    if (outcome->status != PGDBM_OK && outcome->error == NULL)
        fail_msg("an outcome without an error: %s", pgdbm_status_name(outcome->status));
    if (outcome->status != PGDBM_OK && outcomes->failure.status == PGDBM_OK)
        outcomes->failure = *outcome->error;
    if (outcome->status == PGDBM_OK && outcome->db != NULL)
        outcomes->db = outcome->db;
}

/* One more is under way, or was refused. */
static bool note(struct outcomes *outcomes, pgdbm_status status, const pgdbm_error *err)
{
    outcomes->expected += status == PGDBM_OK;
    if (status != PGDBM_OK && outcomes->failure.status == PGDBM_OK)
        outcomes->failure = *err;
    return status == PGDBM_OK;
}

static pgdbm_status await(struct outcomes *outcomes, pgdbm_error *err)
{
    int64_t give_up = stage_clock_ms() + 60000;
    while (outcomes->come < outcomes->expected && stage_clock_ms() < give_up)
        (void)pgdbm_dispatch(outcomes->pool, 1000);
    if (outcomes->come != outcomes->expected)
        fail_msg("%d outcomes were expected, and %d came", outcomes->expected, outcomes->come);
    if (outcomes->failure.status != PGDBM_OK)
        *err = outcomes->failure;
    return outcomes->failure.status;
}

static pgdbm_status submit_statements(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    char sql[200];
    pgdbm_error refused;
    pgdbm_batch *batch = NULL;
    struct outcomes outcomes = {.pool = pgdbm_pool_of(db)};
    const pgdbm_params sets[] = {pgdbm_args(1), pgdbm_args(2)};
    (void)stage;
    note(&outcomes,
         pgdbm_submit(db, sweep_fresh(sql, sizeof sql, "SELECT $1::int8, repeat('x', 9000)"), pgdbm_args(1),
                      take_outcome, &outcomes, &refused),
         &refused);
    note(&outcomes,
         pgdbm_execute_many_async(db, sweep_fresh(sql, sizeof sql, "SELECT $1::int8"), sets, 2, take_outcome, &outcomes,
                                  &refused),
         &refused);
    pgdbm_status status = pgdbm_batch_new(db, NULL, &batch, &refused);
    for (int i = 0; status == PGDBM_OK && i < 3; i++)
        status = pgdbm_batch_add(batch, sweep_fresh(sql, sizeof sql, "SELECT $1::text"), pgdbm_args("one"), &refused);
    if (status == PGDBM_OK)
        status = pgdbm_batch_submit(batch, take_outcome, &outcomes, NULL, &refused);
    if (!note(&outcomes, status, &refused))
        pgdbm_batch_free(batch);
    note(&outcomes, pgdbm_notify_async(db, "channel", "news", take_outcome, &outcomes, &refused), &refused);
    return await(&outcomes, err);
}

static void submitting_statements_and_batches(void **state)
{
    sweep(state, submit_statements, true);
}

static pgdbm_status begin_and_commit(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    char sql[200];
    pgdbm_error refused;
    struct outcomes outcomes = {.pool = pgdbm_pool_of(db)};
    (void)stage;
    note(&outcomes, pgdbm_begin_async(db, NULL, take_outcome, &outcomes, &refused), &refused);
    if (await(&outcomes, err) != PGDBM_OK)
        return err->status;
    pgdbm_db *tx = outcomes.db;
    note(&outcomes,
         pgdbm_execute_async(tx, sweep_fresh(sql, sizeof sql, "SELECT $1::int8"), pgdbm_args(1), take_outcome,
                             &outcomes, &refused),
         &refused);
    if (!note(&outcomes, pgdbm_commit_async(tx, take_outcome, &outcomes, &refused), &refused))
        pgdbm_close(tx);
    return await(&outcomes, err);
}

static void beginning_and_committing(void **state)
{
    sweep(state, begin_and_commit, true);
}

static void on_inserted(const pgdbm_outcome *outcome, void *context)
{
    struct outcomes *outcomes = context;
    pgdbm_transaction_finish(outcomes->transaction, outcome->status, outcome->error);
}

static void insert_body(pgdbm_db *tx, pgdbm_transaction *transaction, void *context)
{
    char sql[200];
    pgdbm_error refused;
    struct outcomes *outcomes = context;
    outcomes->transaction = transaction;
    pgdbm_status status = pgdbm_execute_async(tx, sweep_fresh(sql, sizeof sql, "SELECT 1"), pgdbm_no_args, on_inserted,
                                              outcomes, &refused);
    if (status != PGDBM_OK)
        pgdbm_transaction_finish(transaction, status, &refused);
}

static pgdbm_status run_transact_async(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    pgdbm_error refused;
    struct outcomes outcomes = {.pool = pgdbm_pool_of(db)};
    (void)stage;
    note(&outcomes, pgdbm_transact_async(db, NULL, insert_body, take_outcome, &outcomes, &refused), &refused);
    return await(&outcomes, err);
}

static void transacting_without_waiting(void **state)
{
    sweep(state, run_transact_async, true);
}

static pgdbm_status wait_for_futures(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    char sql[200];
    pgdbm_future *future = NULL;
    (void)stage;
    pgdbm_status status = pgdbm_future_new(pgdbm_pool_of(db), &future, err);
    if (status == PGDBM_OK)
        status = pgdbm_submit(db, sweep_fresh(sql, sizeof sql, "SELECT $1::int8"), pgdbm_args(1), pgdbm_future_done,
                              future, err);
    const pgdbm_outcome *outcome = status == PGDBM_OK ? pgdbm_future_wait(future, 60000) : NULL;
    if (status == PGDBM_OK && outcome == NULL)
        fail_msg("no outcome came");
    if (outcome != NULL && outcome->status != PGDBM_OK) {
        status = outcome->status;
        *err = *outcome->error;
    }
    pgdbm_future_free(future);
    return status;
}

static void futures(void **state)
{
    sweep(state, wait_for_futures, true);
}

static pgdbm_status give_lines(void *buffer, size_t bytes, size_t *filled, void *context, pgdbm_error *err)
{
    int *left = context;
    (void)err;
    *filled = 0;
    while (*left > 0 && *filled + 2 <= bytes) {
        memcpy((char *)buffer + *filled, "7\n", 2);
        *filled += 2;
        --*left;
    }
    return PGDBM_OK;
}

static bool take_piece(const void *data, size_t bytes, void *context)
{
    (void)data;
    *(size_t *)context += bytes;
    return true;
}

static pgdbm_status copy_both_ways(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    char sql[200];
    int left = 1000;
    int64_t rows = 0;
    size_t bytes = 0;
    (void)stage;
    pgdbm_status status =
        pgdbm_execute(db, "CREATE TABLE IF NOT EXISTS {{tables.copied}} (n int8)", pgdbm_no_args, NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_copy_in(db, sweep_fresh(sql, sizeof sql, "COPY {{tables.copied}} FROM STDIN"), give_lines, &left,
                               &rows, err);
    if (status == PGDBM_OK && rows != 1000)
        fail_msg("1000 rows expected, %lld taken", (long long)rows);
    if (status == PGDBM_OK)
        status = pgdbm_copy_out(db, sweep_fresh(sql, sizeof sql, "COPY (SELECT generate_series(1, 1000)) TO STDOUT"),
                                take_piece, &bytes, &rows, err);
    if (status == PGDBM_OK && (rows != 1000 || bytes != 3893))
        fail_msg("1000 rows in 3893 bytes expected, %lld in %zu came", (long long)rows, bytes);
    return status;
}

static void copying(void **state)
{
    sweep(state, copy_both_ways, true);
}

struct kept {
    int32_t id;
    const char *text;
    pgdbm_decimal number;
};

static const pgdbm_field kept_fields[] = {PGDBM_FIELD(struct kept, id, PGDBM_INT32),
                                          PGDBM_FIELD(struct kept, text, PGDBM_TEXT),
                                          PGDBM_FIELD(struct kept, number, PGDBM_DECIMAL)};
static const pgdbm_struct KEPT = PGDBM_STRUCT(struct kept, kept_fields);

static pgdbm_status structs_both_ways(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    static const char *const key[] = {"id"};
    static const struct kept rows[] = {{1, "one", {.low = 1}}, {2, "two", {.low = 2}}};
    const pgdbm_upsert upsert = {.key = key, .n_key = 1};
    const pgdbm_copy_options text = {.as_text = true};
    pgdbm_result *result = NULL;
    char sql[200];
    char table[40];
    size_t n_rows = 0;
    static int number;
    (void)stage;
    snprintf(table, sizeof table, "kept_%d", number++); /* statements of its own */
    snprintf(sql, sizeof sql, "CREATE TABLE {{tables.%s}} (id int PRIMARY KEY, text text, number numeric)", table);
    pgdbm_status status = pgdbm_execute(db, sql, pgdbm_no_args, NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_insert_structs(db, table, &KEPT, rows, 1, NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_copy_structs(db, table, &KEPT, rows + 1, 1, NULL, NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_upsert_structs(db, table, &KEPT, rows, 2, &upsert, NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_copy_rows_out(db, table, take_row, &n_rows, NULL, NULL, err);
    snprintf(sql, sizeof sql, "DELETE FROM {{tables.%s}} RETURNING *", table);
    if (status == PGDBM_OK)
        status = pgdbm_fetch_structs(db, sql, pgdbm_no_args, &KEPT, &result, err);
    if (status == PGDBM_OK && (n_rows != 2 || pgdbm_result_rows(result) != 2))
        fail_msg("2 rows expected, %zu and %zu came", n_rows, pgdbm_result_rows(result));
    if (status == PGDBM_OK)
        status = pgdbm_copy_structs(db, table, &KEPT, rows, 2, &text, NULL, err);
    pgdbm_result_free(result);
    return status;
}

static void structs(void **state)
{
    sweep(state, structs_both_ways, true);
}

int main(void)
{
    if (!allocator_begin())
        return 1;
#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)
    const struct CMUnitTest tests[] = {
        STAGED(opening_attaching_and_closing),
        STAGED(executing_fetching_and_expanding),
        STAGED(observing),
        STAGED(working_inside_of_an_enclosing_transaction),
        STAGED(making_and_reading_json),
        STAGED(transactions_savepoints_and_streams),
        STAGED(cursors),
        STAGED(looking_types_up),
        STAGED(transacting_and_many),
        STAGED(opening_a_module_and_migrating),
        STAGED(ordering_undoing_and_repairing_migrations),
        STAGED(submitting_statements_and_batches),
        STAGED(beginning_and_committing),
        STAGED(transacting_without_waiting),
        STAGED(futures),
        STAGED(copying),
        STAGED(structs),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
