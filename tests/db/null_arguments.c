/* SPDX-License-Identifier: MIT */
/* NULL for every argument of every public function: an error that names the argument, or legal where the header says
 * so; never a crash, with and without a place for the error. */
#include "db/stage.h"

#include <pgdbm/batch.h>
#include <pgdbm/copy.h>
#include <pgdbm/future.h>
#include <pgdbm/json.h>
#include <pgdbm/listen.h>
#include <pgdbm/types.h>
#include <stdlib.h>

static pgdbm_error err;
static pgdbm_error *out; /* what each call below gets for its error: &err, then NULL */

#define REFUSES(argument, call)                                                                                        \
    do {                                                                                                               \
        memset(&err, 0, sizeof err);                                                                                   \
        out = &err;                                                                                                    \
        check((argument), (call), true, #call, __LINE__);                                                              \
        out = NULL;                                                                                                    \
        check((argument), (call), false, #call, __LINE__);                                                             \
    } while (0)

static void check(const char *argument, pgdbm_status status, bool told, const char *call, int line)
{
    if (status != PGDBM_ERR_ARGUMENT)
        fail_msg("line %d: %s\nexpected PGDBM_ERR_ARGUMENT, came %s", line, call, pgdbm_status_name(status));
    if (!told)
        return;
    if (err.status != PGDBM_ERR_ARGUMENT || err.outcome != PGDBM_OUTCOME_NOT_SENT || err.hint[0] == '\0' ||
        strstr(err.message, argument) == NULL)
        fail_msg("line %d: %s\nexpected an error that names \"%s\", came: %s (%s)", line, call, argument, err.message,
                 err.hint);
}

static const char sql[] = "SELECT 1";
static const pgdbm_params none;

static bool on_row(const pgdbm_result *row, void *context)
{
    (void)row;
    (void)context;
    return true;
}

static void on_observation(const pgdbm_observation *observation, void *context)
{
    (void)observation;
    (void)context;
}

static pgdbm_status body(pgdbm_db *tx, void *context, pgdbm_error *error)
{
    (void)tx;
    (void)context;
    (void)error;
    return PGDBM_OK;
}

static void verbs_refuse_null(void **state)
{
    pgdbm_db *db = ((struct stage *)*state)->db;
    const pgdbm_params lacking = {.count = 1, .values = NULL};
    pgdbm_observer *observer;
    const pgdbm_param one = pgdbm_param_int64(1);
    const pgdbm_params lacking_sets[] = {{1, &one}, lacking};
    int64_t number;
    bool yes;
    char *text;
    REFUSES("db", pgdbm_execute(NULL, sql, none, &number, out));
    REFUSES("sql", pgdbm_execute(db, NULL, none, &number, out));
    REFUSES("params", pgdbm_execute(db, sql, lacking, &number, out));
    REFUSES("db", pgdbm_execute_with(NULL, NULL, sql, none, NULL, out));
    REFUSES("db", pgdbm_execute_many(NULL, sql, &none, 1, &number, out));
    REFUSES("sql", pgdbm_execute_many(db, NULL, &none, 1, &number, out));
    REFUSES("sets", pgdbm_execute_many(db, sql, NULL, 1, &number, out));
    REFUSES("params", pgdbm_execute_many(db, "SELECT $1::int", lacking_sets, 2, &number, out));
    REFUSES("db", pgdbm_execute_many_with(NULL, NULL, sql, &none, 1, NULL, out));
    REFUSES("db", pgdbm_insert_id(NULL, sql, none, &number, out));
    REFUSES("sql", pgdbm_insert_id(db, NULL, none, &number, out));
    REFUSES("id", pgdbm_insert_id(db, sql, none, NULL, out));
    REFUSES("params", pgdbm_insert_id(db, sql, lacking, &number, out));
    REFUSES("db", pgdbm_insert_id_with(NULL, NULL, sql, none, &number, out));
    REFUSES("db", pgdbm_stream(NULL, sql, none, on_row, NULL, out));
    REFUSES("sql", pgdbm_stream(db, NULL, none, on_row, NULL, out));
    REFUSES("on_row", pgdbm_stream(db, sql, none, NULL, NULL, out));
    REFUSES("params", pgdbm_stream(db, sql, lacking, on_row, NULL, out));
    REFUSES("db", pgdbm_stream_with(NULL, NULL, sql, none, on_row, NULL, out));
    REFUSES("db", pgdbm_table_exists(NULL, "t", &yes, out));
    REFUSES("table", pgdbm_table_exists(db, NULL, &yes, out));
    REFUSES("exists", pgdbm_table_exists(db, "t", NULL, out));
    REFUSES("db", pgdbm_fetch_json(NULL, sql, none, &text, out));
    REFUSES("sql", pgdbm_fetch_json(db, NULL, none, &text, out));
    REFUSES("text", pgdbm_fetch_json(db, sql, none, NULL, out));
    REFUSES("params", pgdbm_fetch_json(db, sql, lacking, &text, out));
    REFUSES("db", pgdbm_insert_json(NULL, "t", "[]", &number, out));
    REFUSES("table", pgdbm_insert_json(db, NULL, "[]", &number, out));
    REFUSES("json", pgdbm_insert_json(db, "t", NULL, &number, out));
    REFUSES("db", pgdbm_execute_simple(NULL, sql, out));
    REFUSES("sql", pgdbm_execute_simple(db, NULL, out));
    REFUSES("db", pgdbm_execute_simple_with(NULL, NULL, sql, out));
    REFUSES("db", pgdbm_expand(NULL, sql, &text, out));
    REFUSES("sql", pgdbm_expand(db, NULL, &text, out));
    REFUSES("text", pgdbm_expand(db, sql, NULL, out));
    REFUSES("db", pgdbm_observe(NULL, on_observation, NULL, &observer, out));
    REFUSES("callback", pgdbm_observe(db, NULL, NULL, &observer, out));
    REFUSES("observer", pgdbm_observe(db, on_observation, NULL, NULL, out));
}

static void fetching_refuses_null(void **state)
{
    pgdbm_db *db = ((struct stage *)*state)->db;
    const pgdbm_params lacking = {.count = 1, .values = NULL};
    pgdbm_result *result;
    int64_t number;
    double real;
    bool yes;
    char *text;
    REFUSES("db", pgdbm_fetch_one(NULL, sql, none, &result, out));
    REFUSES("sql", pgdbm_fetch_one(db, NULL, none, &result, out));
    REFUSES("result", pgdbm_fetch_one(db, sql, none, NULL, out));
    REFUSES("params", pgdbm_fetch_one(db, sql, lacking, &result, out));
    REFUSES("db", pgdbm_fetch_one_with(NULL, NULL, sql, none, &result, out));
    REFUSES("db", pgdbm_fetch_all(NULL, sql, none, &result, out));
    REFUSES("sql", pgdbm_fetch_all(db, NULL, none, &result, out));
    REFUSES("result", pgdbm_fetch_all(db, sql, none, NULL, out));
    REFUSES("params", pgdbm_fetch_all(db, sql, lacking, &result, out));
    REFUSES("db", pgdbm_fetch_all_with(NULL, NULL, sql, none, &result, out));
    REFUSES("db", pgdbm_fetch_value_int64(NULL, sql, none, &number, out));
    REFUSES("sql", pgdbm_fetch_value_int64(db, NULL, none, &number, out));
    REFUSES("value", pgdbm_fetch_value_int64(db, sql, none, NULL, out));
    REFUSES("params", pgdbm_fetch_value_int64(db, sql, lacking, &number, out));
    REFUSES("db", pgdbm_fetch_value_double(NULL, sql, none, &real, out));
    REFUSES("sql", pgdbm_fetch_value_double(db, NULL, none, &real, out));
    REFUSES("value", pgdbm_fetch_value_double(db, sql, none, NULL, out));
    REFUSES("db", pgdbm_fetch_value_bool(NULL, sql, none, &yes, out));
    REFUSES("sql", pgdbm_fetch_value_bool(db, NULL, none, &yes, out));
    REFUSES("value", pgdbm_fetch_value_bool(db, sql, none, NULL, out));
    REFUSES("db", pgdbm_fetch_value_text(NULL, sql, none, &text, out));
    REFUSES("sql", pgdbm_fetch_value_text(db, NULL, none, &text, out));
    REFUSES("value", pgdbm_fetch_value_text(db, sql, none, NULL, out));
    REFUSES("db", pgdbm_fetch_value_int64_with(NULL, NULL, sql, none, &number, out));
    REFUSES("db", pgdbm_fetch_value_double_with(NULL, NULL, sql, none, &real, out));
    REFUSES("db", pgdbm_fetch_value_bool_with(NULL, NULL, sql, none, &yes, out));
    REFUSES("db", pgdbm_fetch_value_text_with(NULL, NULL, sql, none, &text, out));
    /* A NULL call means the defaults, a NULL count that nobody wants it. */
    assert_ok(pgdbm_fetch_value_int64_with(db, NULL, sql, none, &number, &err));
    assert_ok(pgdbm_execute_with(db, NULL, sql, none, NULL, &err));
    assert_ok(pgdbm_execute_simple_with(db, NULL, sql, &err));
    assert_ok(pgdbm_stream_with(db, NULL, sql, none, on_row, NULL, &err));
}

static void cursors_refuse_null(void **state)
{
    pgdbm_db *db = ((struct stage *)*state)->db;
    const pgdbm_params lacking = {.count = 1, .values = NULL};
    pgdbm_cursor *cursor;
    const pgdbm_result *row;
    pgdbm_result *piece;
    REFUSES("db", pgdbm_cursor_open(NULL, sql, none, NULL, &cursor, out));
    REFUSES("sql", pgdbm_cursor_open(db, NULL, none, NULL, &cursor, out));
    REFUSES("params", pgdbm_cursor_open(db, sql, lacking, NULL, &cursor, out));
    REFUSES("cursor", pgdbm_cursor_open(db, sql, none, NULL, NULL, out));
    REFUSES("cursor", pgdbm_cursor_next(NULL, &row, out));
    REFUSES("cursor", pgdbm_cursor_fetch(NULL, &piece, out));
    assert_ok(pgdbm_cursor_open(db, sql, none, NULL, &cursor, &err));
    REFUSES("row", pgdbm_cursor_next(cursor, NULL, out));
    REFUSES("result", pgdbm_cursor_fetch(cursor, NULL, out));
    pgdbm_cursor_close(cursor);
    pgdbm_cursor_close(NULL);
}

static void transactions_refuse_null(void **state)
{
    pgdbm_db *db = ((struct stage *)*state)->db;
    pgdbm_db *tx;
    int pid;
    REFUSES("db", pgdbm_schema_changed(NULL, out));
    REFUSES("db", pgdbm_begin(NULL, NULL, &tx, out));
    REFUSES("tx", pgdbm_begin(db, NULL, NULL, out));
    REFUSES("tx", pgdbm_commit(NULL, out));
    REFUSES("tx", pgdbm_rollback(NULL, out));
    REFUSES("db", pgdbm_transact(NULL, NULL, body, NULL, out));
    REFUSES("body", pgdbm_transact(db, NULL, NULL, NULL, out));
    REFUSES("db", pgdbm_pin(NULL, &tx, out));
    REFUSES("session", pgdbm_pin(db, NULL, out));
    REFUSES("session", pgdbm_retire(NULL, out));
    REFUSES("tx", pgdbm_enclose(NULL, out));
    REFUSES("session", pgdbm_session_pid(NULL, &pid, out));
    REFUSES("pid", pgdbm_session_pid(db, NULL, out));
    assert_ok(pgdbm_transact(db, NULL, body, NULL, &err));
}

static void pools_and_managers_refuse_null(void **state)
{
    struct stage *stage = *state;
    pgdbm_config config = stage_config(stage, (pgdbm_config){.max_connections = 1});
    pgdbm_pool *pool = stage->pool;
    pgdbm_pool_stats stats;
    pgdbm_db *db;
    REFUSES("config", pgdbm_pool_open(NULL, &pool, out));
    REFUSES("pool", pgdbm_pool_open(&config, NULL, out));
    REFUSES("pool", pgdbm_pool_stats_read(NULL, &stats, out));
    REFUSES("stats", pgdbm_pool_stats_read(stage->pool, NULL, out));
    REFUSES("config", pgdbm_open(NULL, &db, out));
    REFUSES("db", pgdbm_open(&config, NULL, out));
    REFUSES("pool", pgdbm_attach(NULL, "app", &db, out));
    REFUSES("db", pgdbm_attach(stage->pool, "app", NULL, out));
    REFUSES("config", pgdbm_config_check(NULL, out));
    REFUSES("config", pgdbm_config_from_environment(NULL, out));
    pgdbm_close(NULL);
    pgdbm_pool_close(NULL);
    assert_null(pgdbm_schema(NULL));
    assert_null(pgdbm_pool_of(NULL));
    assert_non_null(pgdbm_config_fields(NULL));
}

static void results_refuse_null(void **state)
{
    pgdbm_db *db = ((struct stage *)*state)->db;
    pgdbm_result *result;
    assert_ok(pgdbm_fetch_one(db, "SELECT 1 AS one", none, &result, &err));
#define ACCESSOR(name, type)                                                                                           \
    do {                                                                                                               \
        type value;                                                                                                    \
        REFUSES("result", name##_at(NULL, 0, 0, &value, out));                                                         \
        REFUSES("value", name##_at(result, 0, 0, NULL, out));                                                          \
        REFUSES("result", name##_named(NULL, 0, "one", &value, out));                                                  \
        REFUSES("column", name##_named(result, 0, NULL, &value, out));                                                 \
        REFUSES("value", name##_named(result, 0, "one", NULL, out));                                                   \
    } while (0)
    ACCESSOR(pgdbm_is_null, bool);
    ACCESSOR(pgdbm_get_bool, bool);
    ACCESSOR(pgdbm_get_int16, int16_t);
    ACCESSOR(pgdbm_get_int32, int32_t);
    ACCESSOR(pgdbm_get_int64, int64_t);
    ACCESSOR(pgdbm_get_float, float);
    ACCESSOR(pgdbm_get_double, double);
    ACCESSOR(pgdbm_get_text, const char *);
    ACCESSOR(pgdbm_get_bytes, pgdbm_blob);
    assert_int_equal(pgdbm_result_column(result, NULL), -1);
    assert_int_equal(pgdbm_result_column(NULL, "one"), -1);
    assert_int_equal(pgdbm_result_rows(NULL), 0);
    assert_int_equal(pgdbm_result_columns(NULL), 0);
    assert_int_equal(pgdbm_result_affected(NULL), 0);
    assert_null(pgdbm_result_column_name(NULL, 0));
    assert_null(pgdbm_result_column_name(result, 1));
    assert_int_equal(pgdbm_result_column_type(NULL, 0), 0);
    assert_int_equal(pgdbm_result_column_type(result, 1), 0);
    pgdbm_result_free(result);
    pgdbm_result_free(NULL);
}

static void migrations_and_modules_refuse_null(void **state)
{
    struct stage *stage = *state;
    const pgdbm_migration_text text = {"001_one.sql", "SELECT 1", 8};
    const pgdbm_migrations migrations = {.texts = &text, .n_texts = 1};
    const pgdbm_migrate_options options = {.module = "m", .migrations = &migrations};
    const pgdbm_module module = {.name = "m", .migrations = &migrations};
    const pgdbm_source source = {.pool = stage->pool};
    pgdbm_migration_report *report;
    pgdbm_db *db;
    REFUSES("db", pgdbm_migrate(NULL, &options, &report, out));
    REFUSES("options", pgdbm_migrate(stage->db, NULL, &report, out));
    REFUSES("db", pgdbm_migrate_status(NULL, &options, &report, out));
    REFUSES("options", pgdbm_migrate_status(stage->db, NULL, &report, out));
    REFUSES("report", pgdbm_migrate_status(stage->db, &options, NULL, out));
    REFUSES("db", pgdbm_migrate_rollback(NULL, &options, 1, &report, out));
    REFUSES("options", pgdbm_migrate_rollback(stage->db, NULL, 1, &report, out));
    REFUSES("db", pgdbm_migrate_baseline(NULL, &options, &report, out));
    REFUSES("options", pgdbm_migrate_baseline(stage->db, NULL, &report, out));
    REFUSES("db", pgdbm_migrate_repair(NULL, &options, &report, out));
    REFUSES("options", pgdbm_migrate_repair(stage->db, NULL, &report, out));
    REFUSES("targets", pgdbm_migrate_modules(NULL, 1, &report, NULL, out));
    REFUSES("module", pgdbm_module_open(NULL, &source, &db, out));
    REFUSES("source", pgdbm_module_open(&module, NULL, &db, out));
    REFUSES("db", pgdbm_module_open(&module, &source, NULL, out));
    pgdbm_migration_report_free(NULL);
    assert_ok(pgdbm_migrate(stage->db, &options, NULL, &err));
}

static void on_done(const pgdbm_outcome *outcome, void *context)
{
    (void)outcome;
    (void)context;
}

static void async_body(pgdbm_db *tx, pgdbm_transaction *transaction, void *context)
{
    (void)tx;
    (void)context;
    pgdbm_transaction_finish(transaction, PGDBM_OK, NULL);
}

static pgdbm_status work(void *context, pgdbm_error *error)
{
    (void)context;
    (void)error;
    return PGDBM_OK;
}

static void asynchronous_verbs_refuse_null(void **state)
{
    pgdbm_db *db = ((struct stage *)*state)->db;
    const pgdbm_params lacking = {.count = 1, .values = NULL};
    pgdbm_request *request;
    REFUSES("db", pgdbm_submit(NULL, sql, none, on_done, NULL, out));
    REFUSES("sql", pgdbm_submit(db, NULL, none, on_done, NULL, out));
    REFUSES("on_done", pgdbm_submit(db, sql, none, NULL, NULL, out));
    REFUSES("params", pgdbm_submit(db, sql, lacking, on_done, NULL, out));
    REFUSES("db", pgdbm_submit_with(NULL, NULL, sql, none, on_done, NULL, &request, out));
    assert_null(request);
    REFUSES("db", pgdbm_fetch_one_async(NULL, sql, none, on_done, NULL, out));
    REFUSES("db", pgdbm_execute_async(NULL, sql, none, on_done, NULL, out));
    REFUSES("sets", pgdbm_execute_many_async(db, sql, NULL, 1, on_done, NULL, out));
    REFUSES("db", pgdbm_execute_many_async(NULL, sql, &none, 1, on_done, NULL, out));
    REFUSES("db", pgdbm_begin_async(NULL, NULL, on_done, NULL, out));
    REFUSES("on_done", pgdbm_begin_async(db, NULL, NULL, NULL, out));
    REFUSES("tx", pgdbm_commit_async(NULL, on_done, NULL, out));
    REFUSES("tx", pgdbm_rollback_async(NULL, on_done, NULL, out));
    REFUSES("db", pgdbm_pin_async(NULL, on_done, NULL, out));
    REFUSES("on_done", pgdbm_pin_async(db, NULL, NULL, out));
    REFUSES("db", pgdbm_transact_async(NULL, NULL, async_body, on_done, NULL, out));
    REFUSES("body", pgdbm_transact_async(db, NULL, NULL, on_done, NULL, out));
    REFUSES("on_done", pgdbm_transact_async(db, NULL, async_body, NULL, NULL, out));
    pgdbm_transaction_finish(NULL, PGDBM_OK, NULL);
    pgdbm_cancel(NULL);
    pgdbm_request_release(NULL);
}

static void driving_and_offloading_take_or_refuse_null(void **state)
{
    struct stage *stage = *state;
    const pgdbm_migrate_options options = {0};
    pgdbm_db_stats stats;
    pgdbm_db *db;
    assert_int_equal(pgdbm_fd(NULL), -1);
    assert_int_equal(pgdbm_dispatch(NULL, 0), 0);
    assert_int_equal(pgdbm_dispatch(NULL, -1), 0);
    pgdbm_dispatch_stop(NULL);
    REFUSES("pool", pgdbm_offload(NULL, work, NULL, on_done, NULL, out));
    REFUSES("work", pgdbm_offload(stage->pool, NULL, NULL, on_done, NULL, out));
    REFUSES("on_done", pgdbm_offload(stage->pool, work, NULL, NULL, NULL, out));
    REFUSES("db", pgdbm_migrate_async(NULL, &options, on_done, NULL, out));
    REFUSES("options", pgdbm_migrate_async(stage->db, NULL, on_done, NULL, out));
    REFUSES("on_done", pgdbm_migrate_async(stage->db, &options, NULL, NULL, out));
    REFUSES("pool", pgdbm_attach_with(NULL, NULL, NULL, &db, out));
    REFUSES("db", pgdbm_attach_with(stage->pool, NULL, NULL, NULL, out));
    REFUSES("db", pgdbm_db_stats_read(NULL, &stats, out));
    REFUSES("stats", pgdbm_db_stats_read(stage->db, NULL, out));
}

static void batches_refuse_null(void **state)
{
    pgdbm_db *db = ((struct stage *)*state)->db;
    const pgdbm_params lacking = {.count = 1, .values = NULL};
    pgdbm_batch *batch;
    REFUSES("db", pgdbm_batch_new(NULL, NULL, &batch, out));
    REFUSES("batch", pgdbm_batch_new(db, NULL, NULL, out));
    REFUSES("batch", pgdbm_batch_add(NULL, sql, none, out));
    REFUSES("batch", pgdbm_batch_run(NULL, out));
    REFUSES("batch", pgdbm_batch_submit(NULL, on_done, NULL, NULL, out));
    assert_ok(pgdbm_batch_new(db, NULL, &batch, &err));
    REFUSES("sql", pgdbm_batch_add(batch, NULL, none, out));
    REFUSES("params", pgdbm_batch_add(batch, sql, lacking, out));
    REFUSES("on_done", pgdbm_batch_submit(batch, NULL, NULL, NULL, out));
    assert_int_equal(pgdbm_batch_count(batch), 0);
    assert_ok(pgdbm_batch_run(batch, NULL));
    pgdbm_batch_free(batch);
    assert_int_equal(pgdbm_batch_count(NULL), 0);
    assert_int_equal(pgdbm_batch_failed(NULL), 0);
    assert_int_equal(pgdbm_batch_affected(NULL, 0), 0);
    assert_null(pgdbm_batch_result(NULL, 0));
    assert_null(pgdbm_batch_error(NULL, 0));
    pgdbm_batch_free(NULL);
}

static void on_event(const pgdbm_event *event, void *context)
{
    (void)event;
    (void)context;
}

static void futures_and_listeners_refuse_null(void **state)
{
    struct stage *stage = *state;
    pgdbm_future *future;
    pgdbm_listener *listener;
    REFUSES("pool", pgdbm_future_new(NULL, &future, out));
    REFUSES("future", pgdbm_future_new(stage->pool, NULL, out));
    REFUSES("future", pgdbm_future_then(NULL, on_done, NULL, out));
    assert_ok(pgdbm_future_new(stage->pool, &future, &err));
    REFUSES("on_done", pgdbm_future_then(future, NULL, NULL, out));
    pgdbm_future_done(NULL, future);
    pgdbm_future_done(NULL, NULL);
    assert_null(pgdbm_future_wait(NULL, -1));
    assert_null(pgdbm_future_poll(NULL));
    pgdbm_future_free(future);
    pgdbm_future_free(NULL);
    REFUSES("db", pgdbm_listen(NULL, "channel", on_event, NULL, &listener, out));
    REFUSES("channel", pgdbm_listen(stage->db, NULL, on_event, NULL, &listener, out));
    REFUSES("on_event", pgdbm_listen(stage->db, "channel", NULL, NULL, &listener, out));
    REFUSES("listener", pgdbm_listen(stage->db, "channel", on_event, NULL, NULL, out));
    pgdbm_unlisten(NULL);
    REFUSES("db", pgdbm_notify(NULL, "channel", "", out));
    REFUSES("channel", pgdbm_notify(stage->db, NULL, "", out));
    REFUSES("db", pgdbm_notify_async(NULL, "channel", "", on_done, NULL, out));
    REFUSES("channel", pgdbm_notify_async(stage->db, NULL, "", on_done, NULL, out));
    REFUSES("on_done", pgdbm_notify_async(stage->db, "channel", "", NULL, NULL, out));
    assert_ok(pgdbm_notify(stage->db, "channel", NULL, &err));
}

static void the_test_kit_refuses_null(void **state)
{
    char *url;
    (void)state;
    REFUSES("server", pgdbm_testserver_start(NULL, NULL, out));
    REFUSES("server", pgdbm_testserver_shared(NULL, NULL, out));
    REFUSES("server", pgdbm_testserver_crash(NULL, out));
    REFUSES("server", pgdbm_testserver_restart(NULL, out));
    REFUSES("directory", pgdbm_testserver_stop_directory(NULL, out));
    REFUSES("directory", pgdbm_testserver_find(NULL, &url, out));
    REFUSES("url", pgdbm_testserver_find("/nowhere", NULL, out));
    pgdbm_testserver_stop(NULL);
    assert_null(pgdbm_testserver_url(NULL));
    assert_null(pgdbm_testserver_socket_directory(NULL));
    assert_null(pgdbm_testserver_tcp_url(NULL));
    assert_null(pgdbm_testserver_ca_file(NULL));
    assert_true(pgdbm_testserver_pid(NULL) <= 0);
}

static void conversions_refuse_null(void **state)
{
    const struct timespec now = {0};
    pgdbm_timestamp timestamp = {0};
    pgdbm_date date = {0};
    pgdbm_time clock;
    pgdbm_decimal decimal;
    pgdbm_uuid uuid;
    pgdbm_inet inet;
    int part;
    (void)state;
    REFUSES("time", pgdbm_timestamp_from_timespec(NULL, &timestamp, out));
    REFUSES("timestamp", pgdbm_timestamp_from_timespec(&now, NULL, out));
    REFUSES("time", pgdbm_timestamp_to_timespec(timestamp, NULL, out));
    REFUSES("text", pgdbm_timestamp_parse(NULL, &timestamp, out));
    REFUSES("timestamp", pgdbm_timestamp_parse("infinity", NULL, out));
    REFUSES("date", pgdbm_date_from_ymd(2026, 1, 31, NULL, out));
    REFUSES("year", pgdbm_date_to_ymd(date, NULL, &part, &part, out));
    REFUSES("month", pgdbm_date_to_ymd(date, &part, NULL, &part, out));
    REFUSES("day", pgdbm_date_to_ymd(date, &part, &part, NULL, out));
    REFUSES("text", pgdbm_date_parse(NULL, &date, out));
    REFUSES("date", pgdbm_date_parse("infinity", NULL, out));
    REFUSES("text", pgdbm_time_parse(NULL, &clock, out));
    REFUSES("time", pgdbm_time_parse("12:00", NULL, out));
    REFUSES("text", pgdbm_decimal_parse(NULL, &decimal, out));
    REFUSES("decimal", pgdbm_decimal_parse("1", NULL, out));
    REFUSES("text", pgdbm_uuid_parse(NULL, &uuid, out));
    REFUSES("uuid", pgdbm_uuid_parse("00000000000000000000000000000000", NULL, out));
    REFUSES("text", pgdbm_inet_parse(NULL, &inet, out));
    REFUSES("inet", pgdbm_inet_parse("::1", NULL, out));
    assert_int_equal(pgdbm_uuid_format(NULL, NULL, 0), 0);
    assert_int_equal(pgdbm_inet_format(NULL, NULL, 0), 0);
}

static void *reallocate(void *memory, size_t bytes, void *context)
{
    (void)context;
    return realloc(memory, bytes);
}

static void memory_and_errors_take_null(void **state)
{
    char text[8] = "before";
    (void)state;
    pgdbm_free(NULL);
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_allocator_set(&(pgdbm_allocator){.reallocate = reallocate}, &err));
    assert_contains(err.message, "release");
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_allocator_set(&(pgdbm_allocator){0}, &err));
    assert_int_equal(pgdbm_allocator_set(&(pgdbm_allocator){0}, NULL), PGDBM_ERR_ARGUMENT);
    assert_ok(pgdbm_allocator_set(NULL, &err));
    assert_int_equal(pgdbm_error_format(NULL, text, sizeof text), 0);
    assert_string_equal(text, "");
    assert_true(pgdbm_error_format(&err, NULL, 0) > 0);
    assert_string_equal(pgdbm_status_name((pgdbm_status)999), "PGDBM_ERR_UNKNOWN");
    assert_string_equal(pgdbm_status_name((pgdbm_status)-1), "PGDBM_ERR_UNKNOWN");
    assert_non_null(pgdbm_outcome_name((pgdbm_outcome_kind)-1));
    assert_string_equal(pgdbm_version(), PGDBM_VERSION_STRING);
}

struct pair {
    int32_t a, b;
};

static const pgdbm_field pair_fields[] = {PGDBM_FIELD(struct pair, a, PGDBM_INT32),
                                          PGDBM_FIELD(struct pair, b, PGDBM_INT32)};
static const pgdbm_struct PAIR = PGDBM_STRUCT(struct pair, pair_fields);

static void structs_refuse_null(void **state)
{
    pgdbm_db *db = ((struct stage *)*state)->db;
    const struct pair pair = {1, 2};
    const pgdbm_struct bare = {.bytes = 8, .n_fields = 1};
    const pgdbm_field nameless = {.kind = PGDBM_INT32, .bytes = 4, .companion = PGDBM_NO_COMPANION};
    const pgdbm_struct without_name = {.bytes = 4, .fields = &nameless, .n_fields = 1};
    static const char *const key[] = {"a"};
    static const char *const lacking[] = {NULL};
    const pgdbm_upsert upsert = {.key = key, .n_key = 1};
    const pgdbm_upsert keyless = {.key = NULL, .n_key = 0};
    const pgdbm_upsert half = {.key = lacking, .n_key = 1};
    pgdbm_result *result;
    REFUSES("db", pgdbm_fetch_structs(NULL, sql, none, &PAIR, &result, out));
    REFUSES("sql", pgdbm_fetch_structs(db, NULL, none, &PAIR, &result, out));
    REFUSES("shape", pgdbm_fetch_structs(db, sql, none, NULL, &result, out));
    REFUSES("fields", pgdbm_fetch_structs(db, sql, none, &bare, &result, out));
    REFUSES("name", pgdbm_fetch_structs(db, sql, none, &without_name, &result, out));
    REFUSES("result", pgdbm_fetch_structs(db, sql, none, &PAIR, NULL, out));
    REFUSES("db", pgdbm_fetch_structs_with(NULL, NULL, sql, none, &PAIR, &result, out));
    assert_null(pgdbm_result_structs(NULL));
    REFUSES("db", pgdbm_insert_structs(NULL, "t", &PAIR, &pair, 1, NULL, out));
    REFUSES("table", pgdbm_insert_structs(db, NULL, &PAIR, &pair, 1, NULL, out));
    REFUSES("shape", pgdbm_insert_structs(db, "t", NULL, &pair, 1, NULL, out));
    REFUSES("structs", pgdbm_insert_structs(db, "t", &PAIR, NULL, 1, NULL, out));
    REFUSES("db", pgdbm_upsert_structs(NULL, "t", &PAIR, &pair, 1, &upsert, NULL, out));
    REFUSES("table", pgdbm_upsert_structs(db, NULL, &PAIR, &pair, 1, &upsert, NULL, out));
    REFUSES("shape", pgdbm_upsert_structs(db, "t", NULL, &pair, 1, &upsert, NULL, out));
    REFUSES("structs", pgdbm_upsert_structs(db, "t", &PAIR, NULL, 1, &upsert, NULL, out));
    REFUSES("upsert", pgdbm_upsert_structs(db, "t", &PAIR, &pair, 1, NULL, NULL, out));
    REFUSES("key", pgdbm_upsert_structs(db, "t", &PAIR, &pair, 1, &keyless, NULL, out));
    REFUSES("key", pgdbm_upsert_structs(db, "t", &PAIR, &pair, 1, &half, NULL, out));
}

static pgdbm_status no_row(const pgdbm_param **values, void *context, pgdbm_error *error)
{
    (void)context;
    (void)error;
    *values = NULL;
    return PGDBM_OK;
}

static void copies_refuse_null(void **state)
{
    pgdbm_db *db = ((struct stage *)*state)->db;
    const struct pair pair = {1, 2};
    static const char *const lacking[] = {NULL};
    const pgdbm_copy_options options = {.columns = lacking, .n_columns = 1};
    REFUSES("source", pgdbm_copy_in(db, sql, NULL, NULL, NULL, out));
    REFUSES("sink", pgdbm_copy_out(db, sql, NULL, NULL, NULL, out));
    REFUSES("db", pgdbm_copy_structs(NULL, "t", &PAIR, &pair, 1, NULL, NULL, out));
    REFUSES("table", pgdbm_copy_structs(db, NULL, &PAIR, &pair, 1, NULL, NULL, out));
    REFUSES("shape", pgdbm_copy_structs(db, "t", NULL, &pair, 1, NULL, NULL, out));
    REFUSES("structs", pgdbm_copy_structs(db, "t", &PAIR, NULL, 1, NULL, NULL, out));
    REFUSES("columns", pgdbm_copy_structs(db, "t", &PAIR, &pair, 1, &options, NULL, out));
    REFUSES("db", pgdbm_copy_rows_in(NULL, "t", no_row, NULL, NULL, NULL, out));
    REFUSES("table", pgdbm_copy_rows_in(db, NULL, no_row, NULL, NULL, NULL, out));
    REFUSES("next_row", pgdbm_copy_rows_in(db, "t", NULL, NULL, NULL, NULL, out));
    REFUSES("db", pgdbm_copy_rows_out(NULL, "t", on_row, NULL, NULL, NULL, out));
    REFUSES("table_or_query", pgdbm_copy_rows_out(db, NULL, on_row, NULL, NULL, NULL, out));
    REFUSES("on_row", pgdbm_copy_rows_out(db, "t", NULL, NULL, NULL, NULL, out));
    REFUSES("columns", pgdbm_copy_rows_out(db, "t", on_row, NULL, &options, NULL, out));
    REFUSES("db", pgdbm_copy_in_fd(NULL, sql, 0, NULL, NULL, out));
    REFUSES("sql", pgdbm_copy_in_fd(db, NULL, 0, NULL, NULL, out));
    REFUSES("fd", pgdbm_copy_in_fd(db, sql, -1, NULL, NULL, out));
    REFUSES("db", pgdbm_copy_out_fd(NULL, sql, 1, NULL, NULL, out));
    REFUSES("sql", pgdbm_copy_out_fd(db, NULL, 1, NULL, NULL, out));
    REFUSES("fd", pgdbm_copy_out_fd(db, sql, -1, NULL, NULL, out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_ONE(test) cmocka_unit_test_setup_teardown(test, stage_setup_one, stage_teardown)
        ON_ONE(verbs_refuse_null),
        ON_ONE(fetching_refuses_null),
        ON_ONE(cursors_refuse_null),
        ON_ONE(transactions_refuse_null),
        ON_ONE(pools_and_managers_refuse_null),
        ON_ONE(results_refuse_null),
        ON_ONE(migrations_and_modules_refuse_null),
        ON_ONE(the_test_kit_refuses_null),
        ON_ONE(conversions_refuse_null),
        ON_ONE(memory_and_errors_take_null),
        ON_ONE(asynchronous_verbs_refuse_null),
        ON_ONE(driving_and_offloading_take_or_refuse_null),
        ON_ONE(batches_refuse_null),
        ON_ONE(futures_and_listeners_refuse_null),
        ON_ONE(structs_refuse_null),
        ON_ONE(copies_refuse_null),
    };
    return cmocka_run_group_tests_name("null arguments", tests, NULL, NULL);
}
