/* SPDX-License-Identifier: MIT */
/* Many threads on few sessions: a neighbour's error, deadline or change of a setting is nobody else's business. */
#include "db/crew.h"

#include <stdio.h>

#define ROUNDS 40

static bool fetch_own(struct crew_hand *hand, pgdbm_db *db, int64_t number)
{
    pgdbm_error err;
    int64_t value = -1;
    pgdbm_status status = pgdbm_fetch_value(db, "SELECT $1::int8", pgdbm_args(number), &value, &err);
    return crew_wants(hand, PGDBM_OK, status, &err) &&
           crew_holds(hand, value == number, "expected %lld, came %lld", (long long)number, (long long)value);
}

static void fail_or_succeed(struct crew_hand *hand)
{
    struct stage *stage = hand->shared;
    static const struct {
        const char *sql, *sqlstate;
    } failing[] = {
        {"SELECT nothing + $1::int", "42703"},
        {"SELECT $1::int FROM nowhere", "42P01"},
        {"SELECT 1 / (0 * $1::int)", "22012"},
        {"INSERT INTO t VALUES ($1 * 0)", "23514"},
        {"SELECT 1 / (90 - i) FROM generate_series(1, 100 + 0 * $1::int) i", "22012"},
    };
    for (int i = 0; i < ROUNDS; i++) {
        if (hand->number % 2 == 0) {
            if (!fetch_own(hand, stage->db, (int64_t)hand->number * ROUNDS + i))
                return;
            continue;
        }
        pgdbm_error err;
        size_t which = ((size_t)i + hand->number) % (sizeof failing / sizeof *failing);
        pgdbm_status status = pgdbm_execute(stage->db, failing[which].sql, pgdbm_args(i), NULL, &err);
        if (!crew_wants(hand, PGDBM_ERR_QUERY, status, &err) ||
            !crew_holds(hand, strcmp(err.sqlstate, failing[which].sqlstate) == 0, "%s came as %s", failing[which].sql,
                        err.sqlstate))
            return;
    }
}

static void errors_of_half_of_64_threads_touch_nobody_else(void **state)
{
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.max_connections = 2});
    stage_run(stage->db, "CREATE TABLE t (i int CHECK (i > 0))");
    crew_run(64, fail_or_succeed, stage);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
    pgdbm_pool_stats stats = stage_stats(stage);
    assert_int_equal(stats.connections_closed, 0);
    assert_int_equal(stats.statements_failed, 32 * ROUNDS);
    assert_int_equal(stats.waiting, 0);
}

static void each_statement_is_a_transaction_of_its_own(struct crew_hand *hand)
{
    struct stage *stage = hand->shared;
    for (int i = 0; i < ROUNDS; i++) {
        pgdbm_error err;
        int64_t affected = 0;
        int64_t value = (int64_t)hand->number * ROUNDS + i;
        pgdbm_status wanted = i % 4 == 3 ? PGDBM_ERR_QUERY : PGDBM_OK;
        pgdbm_status status = pgdbm_execute(stage->db, "INSERT INTO t VALUES ($1, 1 / $2::int)",
                                            pgdbm_args(value, i % 4 == 3 ? 0 : 1), &affected, &err);
        if (!crew_wants(hand, wanted, status, &err))
            return;
    }
}

static void no_row_of_a_successful_neighbour_is_lost(void **state)
{
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.max_connections = 2});
    stage_run(stage->db, "CREATE TABLE t (i int8, one int)");
    crew_run(32, each_statement_is_a_transaction_of_its_own, stage);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 32 * ROUNDS * 3 / 4);
    stage_expect_number(stage->db, "SELECT count(DISTINCT i) FROM t", 32 * ROUNDS * 3 / 4);
}

/* A deadline cancels the statement of one; the cancel request goes to the backend that others use too. */
static void time_out_or_succeed(struct crew_hand *hand)
{
    struct stage *stage = hand->shared;
    for (int i = 0; i < 12; i++) {
        pgdbm_error err;
        if (hand->number % 4 == 0) {
            pgdbm_status status = pgdbm_execute_with(stage->db, &(pgdbm_call){.timeout_ms = 5}, "SELECT pg_sleep(30)",
                                                     pgdbm_no_args, NULL, &err);
            /* A deadline that passes in the queue is the pool's error. */
            if (status != PGDBM_ERR_POOL && !crew_wants(hand, PGDBM_ERR_TIMEOUT, status, &err))
                return;
        } else if (!fetch_own(hand, stage->db, (int64_t)hand->number * ROUNDS + i))
            return;
    }
}

static void deadlines_of_neighbours_touch_nobody_else(void **state)
{
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.max_connections = 2});
    crew_run(16, time_out_or_succeed, stage);
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

static void refuse_or_succeed(struct crew_hand *hand)
{
    struct stage *stage = hand->shared;
    for (int i = 0; i < ROUNDS; i++) {
        pgdbm_error err;
        if (hand->number % 2 == 0) {
            if (!fetch_own(hand, stage->db, i))
                return;
            continue;
        }
        pgdbm_status status = pgdbm_execute(stage->db, "SELECT $1::int2", pgdbm_args(100000), NULL, &err);
        if (!crew_wants(hand, PGDBM_ERR_TYPE, status, &err))
            return;
    }
}

/* What was composed halfway is taken back out of the buffer, between the messages of others. */
static void parameters_that_do_not_fit_touch_nobody_else(void **state)
{
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.max_connections = 1});
    crew_run(16, refuse_or_succeed, stage);
}

static void change_or_read_setting(struct crew_hand *hand)
{
    struct stage *stage = hand->shared;
    for (int i = 0; i < ROUNDS; i++) {
        pgdbm_error err;
        char *text = NULL;
        if (hand->number % 4 == 0) {
            pgdbm_status status = pgdbm_execute(stage->db, "SET search_path = pg_temp", pgdbm_no_args, NULL, &err);
            if (!crew_wants(hand, PGDBM_OK, status, &err))
                return;
            continue;
        }
        pgdbm_status status = pgdbm_fetch_value_text(stage->db, "SHOW search_path", pgdbm_no_args, &text, &err);
        bool good = crew_wants(hand, PGDBM_OK, status, &err) &&
                    crew_holds(hand, strcmp(text, "\"$user\", public") == 0, "search_path came as %s", text);
        pgdbm_free(text);
        if (!good)
            return;
    }
}

static void settings_of_neighbours_touch_nobody_else(void **state)
{
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.max_connections = 2});
    crew_run(16, change_or_read_setting, stage);
}

#define READERS 7

struct changes {
    struct stage *stage;
    atomic_int reads[READERS + 1];
    atomic_bool over;
};

/* Each change waits until everybody has read twice, so that no read meets more than two of them. */
static void change_columns(struct crew_hand *hand, struct changes *changes)
{
    static const char *const statements[] = {"ALTER TABLE t ALTER v TYPE text",
                                             "ALTER TABLE t ADD COLUMN more int",
                                             "ALTER TABLE t ALTER v TYPE int8 USING v::int8",
                                             "ALTER TABLE t DROP COLUMN more",
                                             "ALTER TABLE t ALTER v TYPE float4 USING v::float4",
                                             "ALTER TABLE t ALTER v TYPE int USING v::int"};
    for (size_t i = 0; i < 30; i++) {
        pgdbm_error err;
        int before[READERS + 1];
        for (size_t reader = 1; reader <= READERS; reader++)
            before[reader] = atomic_load(&changes->reads[reader]);
        pgdbm_status status = pgdbm_execute(changes->stage->db, statements[i % 6], pgdbm_no_args, NULL, &err);
        if (!crew_wants(hand, PGDBM_OK, status, &err))
            break;
        for (size_t reader = 1; reader <= READERS; reader++)
            while (atomic_load(&changes->reads[reader]) < before[reader] + 2)
                usleep(100);
    }
    atomic_store(&changes->over, true);
}

static void read_changing_table(struct crew_hand *hand)
{
    struct changes *changes = hand->shared;
    if (hand->number == 0) {
        change_columns(hand, changes);
        return;
    }
    while (!atomic_load(&changes->over)) {
        pgdbm_error err;
        pgdbm_result *result = NULL;
        const char *text = "";
        atomic_fetch_add(&changes->reads[hand->number], 1);
        if (hand->complaint[0] != '\0')
            continue;
        pgdbm_status status =
            pgdbm_fetch_all(changes->stage->db, hand->number % 2 == 0 ? "SELECT * FROM t" : "SELECT id, v FROM t",
                            pgdbm_no_args, &result, &err);
        if (status == PGDBM_OK)
            status = pgdbm_get_text(result, 0, "v", &text, &err);
        if (crew_wants(hand, PGDBM_OK, status, &err))
            crew_holds(hand, strcmp(text, "41") == 0, "expected 41, came %s", text);
        pgdbm_result_free(result);
    }
}

static void a_table_whose_columns_change_is_read_right_all_the_time(void **state)
{
    struct changes changes = {.stage = *state};
    stage_open(changes.stage, (pgdbm_config){.max_connections = 3, .lock_timeout_ms = -1});
    stage_run(changes.stage->db, "CREATE TABLE t (id int, v int)");
    stage_run(changes.stage->db, "INSERT INTO t VALUES (1, 41)");
    crew_run(1 + READERS, read_changing_table, &changes);
    assert_int_equal(stage_stats(changes.stage).statements_failed, 0);
}

/* All at about the same statement, which is new to the pool and to its session each time. */
static void ask_what_is_new(struct crew_hand *hand)
{
    struct stage *stage = hand->shared;
    for (int i = 0; i < 10 * ROUNDS; i++) {
        pgdbm_error err;
        char sql[64];
        int64_t value = -1;
        snprintf(sql, sizeof sql, "SELECT %d::int8", i);
        if (!crew_wants(hand, PGDBM_OK, pgdbm_fetch_value(stage->db, sql, pgdbm_no_args, &value, &err), &err) ||
            !crew_holds(hand, value == i, "expected %d, came %lld", i, (long long)value))
            return;
    }
}

static void statements_that_are_new_to_many_at_once_are_learned_without_harm(void **state)
{
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.max_connections = 1});
    crew_run(8, ask_what_is_new, stage);
    assert_int_equal(stage_stats(stage).connections_closed, 0);
    assert_int_equal(stage_stats(stage).statements_repeated, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_NONE(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)
        ON_NONE(errors_of_half_of_64_threads_touch_nobody_else),
        ON_NONE(no_row_of_a_successful_neighbour_is_lost),
        ON_NONE(deadlines_of_neighbours_touch_nobody_else),
        ON_NONE(statements_that_are_new_to_many_at_once_are_learned_without_harm),
        ON_NONE(parameters_that_do_not_fit_touch_nobody_else),
        ON_NONE(settings_of_neighbours_touch_nobody_else),
        ON_NONE(a_table_whose_columns_change_is_read_right_all_the_time),
    };
    return cmocka_run_group_tests_name("neighbours", tests, NULL, NULL);
}
