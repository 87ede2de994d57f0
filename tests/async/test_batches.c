/* SPDX-License-Identifier: MIT */
/* Batches, submitted and run: as one transaction, each on its own, inside of a transaction. */
#include "async/play.h"

#include <pgdbm/batch.h>
#include <stdio.h>

static struct stage *open_with_table(void **state, int max_connections)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = max_connections});
    stage_run(stage->db, "CREATE TABLE t (i int CHECK (i >= 0))");
    return stage;
}

static pgdbm_batch *make(pgdbm_db *db, const pgdbm_batch_options *options, const char *const *statements, size_t count)
{
    pgdbm_error err;
    pgdbm_batch *batch = NULL;
    assert_ok(pgdbm_batch_new(db, options, &batch, &err));
    for (size_t i = 0; i < count; i++)
        assert_ok(pgdbm_batch_add(batch, statements[i], pgdbm_no_args, &err));
    assert_int_equal(pgdbm_batch_count(batch), count);
    return batch;
}

static struct answer *submit(pgdbm_batch *batch)
{
    pgdbm_error err;
    struct answer *answer = play_answer();
    assert_ok(pgdbm_batch_submit(batch, play_take, answer, NULL, &err));
    return answer;
}

static int64_t number_of(const pgdbm_result *result)
{
    pgdbm_error err;
    int64_t number = 0;
    assert_non_null(result);
    assert_ok(pgdbm_get_int64(result, 0, 0, &number, &err));
    return number;
}

static const char *const good[] = {"INSERT INTO t VALUES (1)", "SELECT count(*) FROM t",
                                   "INSERT INTO t SELECT generate_series(2, 10)", "SELECT count(*) FROM t"};
static const char *const bad[] = {"INSERT INTO t VALUES (1)", "SELECT 7::int8", "INSERT INTO t VALUES (-1)",
                                  "INSERT INTO t VALUES (2)"};

static void a_batch_is_one_transaction_and_gives_each_statements_result(void **state)
{
    struct stage *stage = open_with_table(state, 2);
    pgdbm_error err;
    pgdbm_batch *batch = make(stage->db, NULL, good, 4);
    assert_ok(pgdbm_batch_run(batch, &err));
    static const int64_t affected[] = {1, 1, 9, 1};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pgdbm_batch_affected(batch, i), affected[i]);
        assert_null(pgdbm_batch_error(batch, i));
    }
    assert_int_equal(number_of(pgdbm_batch_result(batch, 1)), 1);
    assert_int_equal(number_of(pgdbm_batch_result(batch, 3)), 10);
    assert_int_equal(pgdbm_batch_failed(batch), 4);
    assert_null(pgdbm_batch_result(batch, 4));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_batch_run(batch, &err));
    pgdbm_batch_free(batch);
    play_number(stage->db, "SELECT count(DISTINCT xmin::text) FROM t", 1);
}

static void a_failure_undoes_the_batch_and_names_its_statement(void **state)
{
    struct stage *stage = open_with_table(state, 2);
    pgdbm_error err;
    for (int round = 0; round < 2; round++) { /* the second time all is prepared */
        pgdbm_batch *batch = make(stage->db, NULL, bad, 4);
        assert_fails(PGDBM_ERR_QUERY, pgdbm_batch_run(batch, &err));
        assert_string_equal(err.sqlstate, "23514");
        assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
        assert_contains(err.detail, "in statement 2 of 4");
        assert_int_equal(pgdbm_batch_failed(batch), 2);
        assert_non_null(pgdbm_batch_error(batch, 2));
        for (size_t i = 0; i < 4; i++)
            assert_null(pgdbm_batch_result(batch, i));
        pgdbm_batch_free(batch);
        struct answer *answer = submit(make(stage->db, NULL, bad, 4));
        play_fails(answer, PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
        assert_contains(answer->error.detail, "in statement 2 of 4");
        assert_int_equal(answer->failed, 2);
        assert_int_equal(answer->n_results, 4);
        assert_int_equal(answer->affected, 0);
    }
    play_number(stage->db, "SELECT count(*) FROM t", 0);
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

static void a_statement_that_cannot_be_prepared_undoes_the_batch_too(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    static const char *const statements[] = {"INSERT INTO t VALUES (1)", "SELECT nothing", "INSERT INTO t VALUES (2)"};
    struct answer *answer = submit(make(stage->db, NULL, statements, 3));
    play_fails(answer, PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
    assert_string_equal(answer->error.sqlstate, "42703");
    assert_int_equal(answer->failed, 1);
    play_number(stage->db, "SELECT count(*) FROM t", 0);
}

static void a_value_that_does_not_fit_undoes_the_batch_too(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_error err;
    for (int round = 0; round < 2; round++) {
        pgdbm_batch *batch = make(stage->db, NULL, good, 2);
        assert_ok(pgdbm_batch_add(batch, "SELECT $1::int2", pgdbm_args(100000), &err));
        assert_ok(pgdbm_batch_add(batch, "INSERT INTO t VALUES (5)", pgdbm_no_args, &err));
        assert_fails(PGDBM_ERR_TYPE, pgdbm_batch_run(batch, &err));
        assert_int_equal(pgdbm_batch_failed(batch), 2);
        pgdbm_batch_free(batch);
    }
    play_number(stage->db, "SELECT count(*) FROM t", 0);
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

static void independent_statements_do_not_touch_each_other(void **state)
{
    struct stage *stage = open_with_table(state, 2);
    pgdbm_error err;
    static const char *const statements[] = {"INSERT INTO t VALUES (1)", "SELECT nothing", "INSERT INTO t VALUES (-1)",
                                             "SELECT count(*) FROM t", "INSERT INTO t VALUES (2)"};
    for (int round = 0; round < 2; round++) {
        pgdbm_batch *batch = make(stage->db, &(pgdbm_batch_options){.independent = true}, statements, 5);
        assert_fails(PGDBM_ERR_QUERY, pgdbm_batch_run(batch, &err));
        assert_contains(err.detail, "in statement 1 of 5");
        assert_int_equal(pgdbm_batch_failed(batch), 1);
        assert_string_equal(pgdbm_batch_error(batch, 1)->sqlstate, "42703");
        assert_string_equal(pgdbm_batch_error(batch, 2)->sqlstate, "23514");
        assert_null(pgdbm_batch_error(batch, 0));
        assert_null(pgdbm_batch_error(batch, 3));
        assert_int_equal(number_of(pgdbm_batch_result(batch, 3)), round * 2 + 1);
        assert_int_equal(pgdbm_batch_affected(batch, 4), 1);
        pgdbm_batch_free(batch);
    }
    play_number(stage->db, "SELECT count(*) FROM t", 4);
    play_number(stage->db, "SELECT count(DISTINCT xmin::text) FROM t", 4);
}

static void in_a_transaction_a_batch_is_part_of_it(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_error err;
    pgdbm_db *tx = play_begin(stage->db);
    struct answer *before = play_submit(tx, "INSERT INTO t VALUES (0)");
    struct answer *batch = submit(make(tx, &(pgdbm_batch_options){.independent = true}, good, 4));
    struct answer *behind = play_submit(tx, "SELECT count(*) FROM t");
    play_ok(behind);
    assert_int_equal(behind->number, 11);
    assert_true(before->place < batch->place && batch->place < behind->place);
    play_ok(batch);
    pgdbm_batch *blocking = make(tx, NULL, bad, 4);
    assert_fails(PGDBM_ERR_QUERY, pgdbm_batch_run(blocking, &err));
    pgdbm_batch_free(blocking);
    struct answer *commit = play_answer();
    assert_ok(pgdbm_commit_async(tx, play_take, commit, &err));
    play_fails(commit, PGDBM_ERR_TRANSACTION, PGDBM_OUTCOME_ROLLED_BACK);
    play_number(stage->db, "SELECT count(*) FROM t", 0);
}

static void on_a_pinned_session_a_batch_works_too(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_db *session = play_pin(stage->db);
    play_ok(submit(make(session, NULL, good, 4)));
    play_fails(submit(make(session, NULL, bad, 4)), PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
    play_number(session, "SELECT count(*) FROM t", 10);
    pgdbm_close(session);
}

static void an_empty_batch_succeeds(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_error err;
    pgdbm_batch *batch = make(stage->db, NULL, NULL, 0);
    assert_ok(pgdbm_batch_run(batch, &err));
    assert_int_equal(pgdbm_batch_failed(batch), 0);
    pgdbm_batch_free(batch);
    struct answer *answer = submit(make(stage->db, NULL, NULL, 0));
    play_ok(answer);
    assert_int_equal(answer->n_results, 0);
    assert_int_equal(answer->failed, 0);
    play_number(stage->db, "SELECT 1::int8", 1);
}

static void a_thousand_statements_go_together(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_error err;
    for (int independent = 0; independent < 2; independent++) {
        pgdbm_batch *batch = NULL;
        char sql[64];
        assert_ok(pgdbm_batch_new(stage->db, &(pgdbm_batch_options){.independent = independent == 1}, &batch, &err));
        for (int i = 0; i < 1000; i++) {
            snprintf(sql, sizeof sql, i % 2 == 0 ? "INSERT INTO t VALUES ($1)" : "SELECT %d::int8 + $1::int8", i % 40);
            assert_ok(pgdbm_batch_add(batch, sql, pgdbm_args(i), &err));
        }
        assert_ok(pgdbm_batch_run(batch, &err));
        for (int i = 1; i < 1000; i += 2)
            assert_int_equal(number_of(pgdbm_batch_result(batch, (size_t)i)), i % 40 + i);
        pgdbm_batch_free(batch);
    }
    play_number(stage->db, "SELECT count(*) FROM t", 1000);
}

static void results_are_not_kept_when_nobody_wants_them(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_error err;
    pgdbm_batch *batch = make(stage->db, &(pgdbm_batch_options){.discard_rows = true}, good, 4);
    assert_ok(pgdbm_batch_run(batch, &err));
    assert_null(pgdbm_batch_result(batch, 1));
    assert_int_equal(pgdbm_batch_affected(batch, 2), 9);
    pgdbm_batch_free(batch);
}

/* Both statements are prepared; then one is not good any more. What was undone over it is asked again. */
static void a_cached_statement_that_became_stale_is_mended(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_error err;
    static const char *const statements[] = {"INSERT INTO t VALUES (3)", "SELECT * FROM t", "SELECT count(*) FROM t"};
    for (int round = 0; round < 4; round++) {
        const pgdbm_batch_options options = {.independent = round >= 2};
        stage_run(stage->db, "TRUNCATE t");
        pgdbm_batch *batch = make(stage->db, &options, statements, 3);
        assert_ok(pgdbm_batch_run(batch, &err));
        assert_int_equal(number_of(pgdbm_batch_result(batch, 1)), 3);
        assert_int_equal(number_of(pgdbm_batch_result(batch, 2)), 1);
        pgdbm_batch_free(batch);
        test_psql(stage->url, round % 2 == 0 ? "ALTER TABLE t ALTER i TYPE int8" : "ALTER TABLE t ALTER i TYPE int");
    }
}

static void a_forgotten_statement_is_mended(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_error err;
    for (int round = 0; round < 4; round++) {
        const pgdbm_batch_options options = {.independent = round >= 2};
        stage_run(stage->db, "TRUNCATE t");
        pgdbm_batch *batch = make(stage->db, &options, good, 4);
        assert_ok(pgdbm_batch_run(batch, &err));
        assert_int_equal(number_of(pgdbm_batch_result(batch, 3)), 10);
        pgdbm_batch_free(batch);
        stage_run(stage->db, "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$");
    }
}

static void a_failure_is_not_forgotten_when_another_statement_is_mended(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_error err;
    static const char *const statements[] = {"INSERT INTO t VALUES (3)", "INSERT INTO t VALUES (-1)",
                                             "SELECT * FROM t"};
    for (int round = 0; round < 2; round++) {
        pgdbm_batch *batch = make(stage->db, &(pgdbm_batch_options){.independent = true}, statements, 3);
        assert_fails(PGDBM_ERR_QUERY, pgdbm_batch_run(batch, &err));
        assert_int_equal(pgdbm_batch_failed(batch), 1);
        assert_non_null(pgdbm_batch_error(batch, 1));
        assert_int_equal(number_of(pgdbm_batch_result(batch, 2)), 3);
        pgdbm_batch_free(batch);
        test_psql(stage->url, "ALTER TABLE t ALTER i TYPE int8");
    }
    play_number(stage->db, "SELECT count(*) FROM t", 2);
}

static void what_cannot_be_in_a_batch_is_refused_when_it_is_added(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_error err;
    pgdbm_batch *batch = make(stage->db, NULL, good, 2);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_batch_add(batch, "COMMIT", pgdbm_no_args, &err));
    assert_fails(PGDBM_ERR_SCHEMA, pgdbm_batch_add(batch, "SELECT {{x}}", pgdbm_no_args, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_batch_add(batch, "COPY t TO STDOUT", pgdbm_no_args, &err));
    assert_int_equal(pgdbm_batch_count(batch), 2);
    assert_ok(pgdbm_batch_run(batch, &err));
    pgdbm_batch_free(batch);
    pgdbm_batch_free(make(stage->db, NULL, good, 4)); /* never run */
}

static void a_batch_is_ended_by_its_deadline_and_by_cancelling(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_error err;
    static const char *const statements[] = {"INSERT INTO t VALUES (1)", "SELECT pg_sleep(60)",
                                             "INSERT INTO t VALUES (2)"};
    for (int i = 0; i < 4; i++) {
        pgdbm_request *request = NULL;
        const pgdbm_batch_options options = {.independent = i >= 2, .timeout_ms = i % 2 == 0 ? 100 : 0};
        struct answer *answer = play_answer();
        assert_ok(pgdbm_batch_submit(make(stage->db, &options, statements, 3), play_take, answer, &request, &err));
        if (i % 2 == 1)
            pgdbm_cancel(request);
        pgdbm_request_release(request);
        PLAY_UNTIL(answer->calls == 1);
        assert_int_equal(answer->status, i % 2 == 0 ? PGDBM_ERR_TIMEOUT : PGDBM_ERR_CANCELED);
        play_number(stage->db, "SELECT 1::int8", 1);
    }
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_BOTH(a_batch_is_one_transaction_and_gives_each_statements_result),
        PLAY_BOTH(a_failure_undoes_the_batch_and_names_its_statement),
        PLAY_BOTH(a_statement_that_cannot_be_prepared_undoes_the_batch_too),
        PLAY_BOTH(a_value_that_does_not_fit_undoes_the_batch_too),
        PLAY_BOTH(independent_statements_do_not_touch_each_other),
        PLAY_BOTH(in_a_transaction_a_batch_is_part_of_it),
        PLAY_BOTH(on_a_pinned_session_a_batch_works_too),
        PLAY_BOTH(an_empty_batch_succeeds),
        PLAY_BOTH(a_thousand_statements_go_together),
        PLAY_BOTH(results_are_not_kept_when_nobody_wants_them),
        PLAY_BOTH(a_cached_statement_that_became_stale_is_mended),
        PLAY_BOTH(a_forgotten_statement_is_mended),
        PLAY_BOTH(a_failure_is_not_forgotten_when_another_statement_is_mended),
        PLAY_BOTH(what_cannot_be_in_a_batch_is_refused_when_it_is_added),
        PLAY_BOTH(a_batch_is_ended_by_its_deadline_and_by_cancelling),
    };
    return cmocka_run_group_tests_name("batches", tests, NULL, NULL);
}
