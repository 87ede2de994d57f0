/* SPDX-License-Identifier: MIT */
/* The asynchronous verbs for statements, and the calls for everything else that takes time. */
#include "async/play.h"

#include <pgdbm/listen.h>
#include <stdio.h>
#include <stdlib.h>

static void submitting_gives_all_rows_and_their_count(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2});
    pgdbm_error err;
    struct answer *answer = play_answer();
    assert_ok(pgdbm_submit(stage->db, "SELECT i + $2 FROM generate_series(1, $1::int) i", pgdbm_args(300, 10),
                           play_take, answer, &err));
    play_ok(answer);
    assert_int_equal(answer->rows, 300);
    assert_int_equal(answer->number, 11);
    assert_int_equal(answer->affected, 300);
}

static void fetching_one_gives_the_first_row_or_none(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2});
    pgdbm_error err;
    struct answer *answers = play_answers(2);
    assert_ok(pgdbm_fetch_one_async(stage->db, "SELECT generate_series(5, $1::int)", pgdbm_args(1000), play_take,
                                    &answers[0], &err));
    assert_ok(pgdbm_fetch_one_async(stage->db, "SELECT 1 WHERE $1", pgdbm_args(false), play_take, &answers[1], &err));
    play_ok(&answers[0]);
    assert_int_equal(answers[0].rows, 1);
    assert_int_equal(answers[0].number, 5);
    play_ok(&answers[1]);
    assert_int_equal(answers[1].rows, 0);
}

static void executing_gives_the_count_and_no_rows(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2, .schema = "app"});
    pgdbm_error err;
    struct answer *answers = play_answers(4);
    static const char *const statements[] = {"CREATE SCHEMA app", "CREATE TABLE {{tables.t}} (i int)",
                                             "INSERT INTO {{tables.t}} SELECT generate_series(1, 12)",
                                             "UPDATE {{tables.t}} SET i = i + 1 WHERE i > 4 RETURNING i"};
    for (size_t i = 0; i < 4; i++) {
        assert_ok(pgdbm_execute_async(stage->db, statements[i], pgdbm_no_args, play_take, &answers[i], &err));
        play_ok(&answers[i]);
        assert_int_equal(answers[i].rows, 0);
    }
    assert_int_equal(answers[2].affected, 12);
    assert_int_equal(answers[3].affected, 8);
    play_number(stage->db, "SELECT sum(i) FROM {{tables.t}}", 78 + 8);
}

static void executing_many_is_one_transaction_and_its_error_names_the_set(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2});
    pgdbm_error err;
    static pgdbm_param values[300];
    static pgdbm_params sets[300];
    struct answer *answers = play_answers(3);
    stage_run(stage->db, "CREATE TABLE t (i int CHECK (i >= 0))");
    for (int i = 0; i < 300; i++) {
        values[i] = pgdbm_param_int64(i);
        sets[i] = (pgdbm_params){1, &values[i]};
    }
    assert_ok(
        pgdbm_execute_many_async(stage->db, "INSERT INTO t VALUES ($1)", sets, 300, play_take, &answers[0], &err));
    play_ok(&answers[0]);
    assert_int_equal(answers[0].affected, 300);
    values[41] = pgdbm_param_int64(-1);
    assert_ok(
        pgdbm_execute_many_async(stage->db, "INSERT INTO t VALUES ($1)", sets, 300, play_take, &answers[1], &err));
    memset(values, 0, sizeof values); /* they are copied */
    memset(sets, 0, sizeof sets);
    play_fails(&answers[1], PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
    assert_string_equal(answers[1].error.sqlstate, "23514");
    assert_contains(answers[1].error.detail, "in set 42 of 300");
    assert_ok(pgdbm_execute_many_async(stage->db, "INSERT INTO t VALUES ($1)", NULL, 0, play_take, &answers[2], &err));
    play_ok(&answers[2]);
    assert_int_equal(answers[2].affected, 0);
    play_number(stage->db, "SELECT count(*) FROM t", 300);
}

static void many_in_a_transaction_are_part_of_it(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    const pgdbm_params sets[] = {pgdbm_args(1), pgdbm_args(2), pgdbm_args(3)};
    struct answer *answers = play_answers(2);
    stage_run(stage->db, "CREATE TABLE t (i int)");
    pgdbm_db *tx = play_begin(stage->db);
    assert_ok(pgdbm_execute_many_async(tx, "INSERT INTO t VALUES ($1)", sets, 3, play_take, &answers[0], &err));
    play_number(tx, "SELECT count(*) FROM t", 3);
    play_ok(&answers[0]);
    assert_ok(pgdbm_rollback_async(tx, play_take, &answers[1], &err));
    play_ok(&answers[1]);
    play_number(stage->db, "SELECT count(*) FROM t", 0);
}

/* Text, bytes and numbers of every length come back as they were, although their place is used again at once. */
static void parameters_and_text_are_copied(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2});
    pgdbm_error err;
    static const size_t sizes[] = {0, 1, 100, 5000, 70000, 1 << 20};
    struct answer *answers = play_answers(6);
    for (size_t i = 0; i < 6; i++) {
        char *text = malloc(sizes[i] + 1);
        char sql[120] = "SELECT (length($1::text) + octet_length($2::bytea) * 2 + $3::int8)::int8 - $4::int8";
        assert_non_null(text);
        memset(text, 'a', sizes[i]);
        text[sizes[i]] = '\0';
        assert_ok(pgdbm_submit(stage->db, sql,
                               pgdbm_args((const char *)text, pgdbm_bytes(text, sizes[i]), (int64_t)i, (int64_t)0),
                               play_take, &answers[i], &err));
        memset(text, 'b', sizes[i] + 1);
        memset(sql, 'x', sizeof sql);
        free(text);
    }
    for (size_t i = 0; i < 6; i++) {
        play_ok(&answers[i]);
        assert_int_equal(answers[i].number, sizes[i] * 3 + i);
    }
}

static pgdbm_result *kept;

static void keep_result(const pgdbm_outcome *outcome, void *context)
{
    kept = pgdbm_result_keep(outcome->result);
    play_take(outcome, context);
}

static void a_result_that_is_kept_outlives_the_callback(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    const char *text = NULL;
    struct answer *answer = play_answer();
    assert_ok(pgdbm_submit(stage->db, "SELECT 'kept'", pgdbm_no_args, keep_result, answer, &err));
    play_ok(answer);
    play_number(stage->db, "SELECT 2::int8", 2);
    assert_ok(pgdbm_get_text(kept, 0, 0, &text, &err));
    assert_string_equal(text, "kept");
    pgdbm_result_free(kept);
}

static void a_thousand_requests_are_answered_each_with_its_own_rows(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 3});
    struct answer *answers = play_answers(1000);
    for (size_t i = 0; i < 1000; i++) {
        pgdbm_error err;
        assert_ok(pgdbm_submit(stage->db, "SELECT $1::int8", pgdbm_args(i), play_take, &answers[i], &err));
    }
    PLAY_UNTIL(play.n_answers == 1000);
    for (size_t i = 0; i < 1000; i++) {
        play_ok(&answers[i]);
        assert_int_equal(answers[i].number, i);
    }
    assert_int_equal(stage_stats(stage).statements_failed, 0);
}

static void notifying_is_a_statement_like_any_other(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    static char long_payload[8001];
    struct answer *answers = play_answers(2);
    memset(long_payload, 'x', 8000);
    assert_ok(pgdbm_notify_async(stage->db, "channel", "payload", play_take, &answers[0], &err));
    play_ok(&answers[0]);
    assert_ok(pgdbm_notify_async(stage->db, "channel", long_payload, play_take, &answers[1], &err));
    play_fails(&answers[1], PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
    assert_string_equal(answers[1].error.sqlstate, "22023");
}

struct job {
    pgdbm_db *db;
    pthread_t thread;
    bool fails;
};

static pgdbm_status use_blocking_verbs(void *context, pgdbm_error *err)
{
    struct job *job = context;
    int64_t value = 0;
    job->thread = pthread_self();
    pgdbm_status status = pgdbm_fetch_value(job->db, "SELECT 3::int8", pgdbm_no_args, &value, err);
    if (status != PGDBM_OK || !job->fails)
        return status;
    return pgdbm_execute(job->db, "SELECT nothing", pgdbm_no_args, NULL, err);
}

static void offloaded_work_runs_elsewhere_and_its_end_is_told_here(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    struct job jobs[] = {{.db = stage->db}, {.db = stage->db, .fails = true}};
    struct answer *answers = play_answers(2);
    for (size_t i = 0; i < 2; i++)
        assert_ok(pgdbm_offload(stage->pool, use_blocking_verbs, &jobs[i], play_take, &answers[i], &err));
    play_ok(&answers[0]);
    play_fails(&answers[1], PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
    assert_string_equal(answers[1].error.sqlstate, "42703");
    assert_false(pthread_equal(jobs[0].thread, answers[0].thread));
    assert_int_equal(pthread_equal(answers[0].thread, pthread_self()) != 0, !play.background);
}

static size_t migrations_applied, migrations_pending;

static void look_at_report(const pgdbm_outcome *outcome, void *context)
{
    migrations_applied = outcome->report != NULL ? outcome->report->n_applied : 99;
    migrations_pending = outcome->report != NULL ? outcome->report->n_pending : 99;
    play_take(outcome, context);
}

static void migrating_gives_its_report(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2, .schema = "app"});
    pgdbm_error err;
    static const char make[] = "CREATE TABLE {{tables.t}} (i int);";
    static const char broken[] = "CREATE TABLE {{tables.u}} (i nothing);";
    const pgdbm_migration_text texts[] = {{"001_t.sql", make, sizeof make - 1},
                                          {"002_u.sql", broken, sizeof broken - 1}};
    pgdbm_migrations migrations = {.texts = texts, .n_texts = 1};
    struct answer *answers = play_answers(2);
    char module[] = "played";
    const pgdbm_migrate_options options = {.module = module, .migrations = &migrations};
    assert_ok(pgdbm_migrate_async(stage->db, &options, look_at_report, &answers[0], &err));
    memset(module, 'x', sizeof module - 1); /* it is copied */
    play_ok(&answers[0]);
    assert_int_equal(migrations_applied, 1);
    play_number(stage->db, "SELECT count(*) FROM {{tables.t}}", 0);
    play_number(stage->db, "SELECT count(*) FROM {{tables.schema_migrations}} WHERE module_name = 'played'", 1);
    memcpy(module, "played", sizeof module);
    migrations.n_texts = 2;
    assert_ok(pgdbm_migrate_async(stage->db, &options, look_at_report, &answers[1], &err));
    play_fails(&answers[1], PGDBM_ERR_MIGRATION, PGDBM_OUTCOME_ROLLED_BACK);
    assert_contains(answers[1].error.message, "002_u.sql");
    assert_int_equal(migrations_applied, 0);
    assert_int_equal(migrations_pending, 1);
}

static void dispatching_returns_when_it_is_told_to_stop(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_dispatch_stop(stage->pool);
    assert_int_equal(pgdbm_dispatch(stage->pool, -1), 0);
    struct answer *answer = play_submit(stage->db, "SELECT 1");
    int ran = pgdbm_dispatch(stage->pool, -1);
    assert_int_equal(ran, 1);
    play_ok(answer);
    assert_true(pgdbm_fd(stage->pool) >= 0);
    assert_int_equal(pgdbm_dispatch(stage->pool, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_BOTH(submitting_gives_all_rows_and_their_count),
        PLAY_BOTH(fetching_one_gives_the_first_row_or_none),
        PLAY_BOTH(executing_gives_the_count_and_no_rows),
        PLAY_BOTH(executing_many_is_one_transaction_and_its_error_names_the_set),
        PLAY_BOTH(many_in_a_transaction_are_part_of_it),
        PLAY_BOTH(parameters_and_text_are_copied),
        PLAY_BOTH(a_result_that_is_kept_outlives_the_callback),
        PLAY_BOTH(a_thousand_requests_are_answered_each_with_its_own_rows),
        PLAY_BOTH(notifying_is_a_statement_like_any_other),
        PLAY_BOTH(offloaded_work_runs_elsewhere_and_its_end_is_told_here),
        PLAY_BOTH(migrating_gives_its_report),
        PLAY_DISPATCHED(dispatching_returns_when_it_is_told_to_stop),
    };
    return cmocka_run_group_tests_name("verbs", tests, NULL, NULL);
}
