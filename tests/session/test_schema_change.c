/* SPDX-License-Identifier: MIT */
/* Tables altered under a running program: no thread sees an error of it, in or outside of transactions; and what is told of a
 * changed schema makes the statements of that schema be prepared anew, and no others. */
#include "db/crew.h"

#include <pgdbm/listen.h>
#include <stdio.h>

static uint64_t prepared(pgdbm_pool *pool)
{
    pgdbm_pool_stats stats;
    pgdbm_error err;
    assert_ok(pgdbm_pool_stats_read(pool, &stats, &err));
    return stats.statements_prepared;
}

static const char count_rows[] = "SELECT count(*) FROM {{tables.t}}";

/* How many statements were prepared for running this one. */
static uint64_t cost(pgdbm_db *db, const char *sql)
{
    uint64_t before = prepared(pgdbm_pool_of(db));
    stage_expect_number(db, sql, 0);
    return prepared(pgdbm_pool_of(db)) - before;
}

/* --- being told --- */

/* Two schemas with a table t on one session, whose statements are prepared. */
static void open_two_schemas(struct stage *stage, int connections, pgdbm_db *dbs[2])
{
    pgdbm_error err;
    stage_open(stage, (pgdbm_config){.min_connections = connections, .max_connections = connections});
    for (size_t i = 0; i < 2; i++) {
        char sql[100];
        const char *schema = i == 0 ? "one" : "one_more";
        snprintf(sql, sizeof sql, "CREATE SCHEMA %s; CREATE TABLE %s.t (i int)", schema, schema);
        test_psql(stage->url, sql);
        assert_ok(pgdbm_attach(stage->pool, schema, &dbs[i], &err));
    }
}

static void close_both(pgdbm_db *dbs[2])
{
    pgdbm_close(dbs[0]);
    pgdbm_close(dbs[1]);
}

static void a_changed_schema_has_its_own_statements_prepared_anew_and_no_others(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *dbs[2];
    static const char by_hand[] = "SELECT count(*) FROM One.t -- by hand";
    open_two_schemas(stage, 1, dbs);
    assert_ok(pgdbm_schema_changed(dbs[0], &err)); /* prepares its own statement */
    for (size_t i = 0; i < 2; i++)
        assert_true(cost(dbs[i], count_rows) > 0);
    assert_true(cost(stage->db, by_hand) > 0);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(cost(dbs[i], count_rows), 0);
    assert_int_equal(cost(stage->db, by_hand), 0);
    assert_ok(pgdbm_schema_changed(dbs[0], &err));
    assert_int_equal(cost(dbs[0], count_rows), 1);
    assert_int_equal(cost(stage->db, by_hand), 1);
    assert_int_equal(cost(dbs[1], count_rows), 0);
    assert_ok(pgdbm_schema_changed(stage->db, &err)); /* a manager without a schema: all */
    assert_int_equal(cost(dbs[0], count_rows), 1);
    assert_int_equal(cost(dbs[1], count_rows), 1);
    close_both(dbs);
}

static void all_pools_of_the_process_are_told(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *dbs[2], *other;
    open_two_schemas(stage, 1, dbs);
    pgdbm_config config = stage_config(stage, (pgdbm_config){.max_connections = 1, .schema = "one"});
    assert_ok(pgdbm_open(&config, &other, &err));
    assert_true(cost(other, count_rows) > 0);
    assert_int_equal(cost(other, count_rows), 0);
    assert_ok(pgdbm_schema_changed(dbs[1], &err));
    assert_int_equal(cost(other, count_rows), 0);
    assert_ok(pgdbm_schema_changed(dbs[0], &err));
    assert_int_equal(cost(other, count_rows), 1);
    pgdbm_close(other);
    assert_ok(pgdbm_schema_changed(dbs[0], &err)); /* a pool that is gone is not told */
    close_both(dbs);
}

static void a_transaction_tells_when_it_commits(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *dbs[2], *tx, *inner;
    open_two_schemas(stage, 2, dbs);
    pgdbm_db *session; /* what others use meanwhile */
    assert_ok(pgdbm_pin(dbs[0], &session, &err));
    assert_ok(pgdbm_begin(dbs[0], NULL, &tx, &err));
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    stage_run(inner, "CREATE TABLE {{tables.u}} (i int)");
    assert_ok(pgdbm_schema_changed(inner, &err));
    assert_ok(pgdbm_commit(inner, &err));
    assert_true(cost(session, count_rows) > 0);
    assert_int_equal(cost(session, count_rows), 0);
    assert_ok(pgdbm_commit(tx, &err));
    assert_int_equal(cost(session, count_rows), 1);
    pgdbm_close(session);
    close_both(dbs);
}

static void hear(const pgdbm_event *event, void *context)
{
    _Atomic int *heard = context;
    if (event->kind == PGDBM_EVENT_READY || event->kind == PGDBM_EVENT_NOTIFICATION)
        atomic_fetch_add(heard, 1);
}

/* Until the listener has heard so much. */
static void await(struct stage *stage, _Atomic int *heard, int wanted)
{
    int64_t give_up = stage_clock_ms() + 20000;
    while (atomic_load(heard) < wanted) {
        (void)pgdbm_dispatch(stage->pool, 100);
        assert_true(stage_clock_ms() < give_up);
    }
}

static void another_process_is_told_by_a_notification(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *dbs[2];
    pgdbm_listener *listener;
    _Atomic int heard = 0;
    open_two_schemas(stage, 2, dbs);
    assert_ok(pgdbm_listen(stage->db, "after", hear, &heard, &listener, &err));
    await(stage, &heard, 1);
    for (size_t i = 0; i < 2; i++)
        assert_true(cost(dbs[i], count_rows) > 0);
    /* What a process sends that changes "one" and calls pgdbm_schema_changed; the other comes behind it. */
    test_psql(stage->url, "SELECT pg_notify('pgdbm_schema', 'one'); SELECT pg_notify('after', '')");
    await(stage, &heard, 2);
    assert_int_equal(cost(dbs[0], count_rows), 1);
    assert_int_equal(cost(dbs[1], count_rows), 0);
    test_psql(stage->url, "SELECT pg_notify('pgdbm_schema', ''); SELECT pg_notify('after', '')");
    await(stage, &heard, 3);
    assert_int_equal(cost(dbs[0], count_rows), 1);
    assert_int_equal(cost(dbs[1], count_rows), 1);
    pgdbm_unlisten(listener);
    close_both(dbs);
}

static void the_notification_says_which_schema(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *dbs[2];
    pgdbm_listener *listener;
    _Atomic int heard = 0;
    open_two_schemas(stage, 2, dbs);
    assert_ok(pgdbm_listen(stage->db, "pgdbm_schema", hear, &heard, &listener, &err));
    await(stage, &heard, 1);
    assert_ok(pgdbm_schema_changed(dbs[1], &err));
    await(stage, &heard, 2);
    pgdbm_unlisten(listener);
    close_both(dbs);
}

/* --- not being told --- */

struct hammer {
    pgdbm_db *db[2]; /* of two pools */
    _Atomic bool over;
    _Atomic int rounds;
    _Atomic bool failed; /* somebody has: nobody waits for rounds any more */
};

static bool wants_rows(struct crew_hand *hand, pgdbm_db *db, const char *sql, pgdbm_params params)
{
    pgdbm_error err;
    pgdbm_result *result = NULL;
    bool good = crew_wants(hand, PGDBM_OK, pgdbm_fetch_all(db, sql, params, &result, &err), &err);
    if (good)
        good = crew_holds(hand, pgdbm_result_rows(result) > 0, "%s: no rows", sql);
    pgdbm_result_free(result);
    return good;
}

/* One transaction takes one kind of lock of t: two would be a deadlock with what alters it. */
static bool one_transaction(struct crew_hand *hand, pgdbm_db *db, int round)
{
    pgdbm_error err;
    pgdbm_db *tx;
    bool good = crew_wants(hand, PGDBM_OK, pgdbm_begin(db, NULL, &tx, &err), &err);
    if (!good)
        return false;
    if (round % 4 > 0)
        good = wants_rows(hand, tx, "INSERT INTO done VALUES ($1) RETURNING *", pgdbm_args((int)hand->number));
    if (round % 2 == 0)
        good = good && wants_rows(hand, tx, "SELECT * FROM t ORDER BY id", pgdbm_no_args) &&
               wants_rows(hand, tx, "SELECT v, id FROM t ORDER BY id", pgdbm_no_args);
    else
        good = good &&
               wants_rows(hand, tx, "UPDATE t SET n = n + 1 WHERE id = $1 RETURNING *", pgdbm_args((int)hand->number));
    pgdbm_status end = good ? pgdbm_commit(tx, &err) : pgdbm_rollback(tx, &err);
    return good && crew_wants(hand, PGDBM_OK, end, &err);
}

static void hammer(struct crew_hand *hand)
{
    struct hammer *hammer = hand->shared;
    pgdbm_db *db = hammer->db[hand->number % 2];
    bool good = true;
    for (int round = 0; good && !atomic_load(&hammer->over); round++) {
        good = wants_rows(hand, db, "SELECT * FROM t ORDER BY id", pgdbm_no_args) && one_transaction(hand, db, round) &&
               wants_rows(hand, db, "SELECT * FROM still WHERE i = $1", pgdbm_args(1));
        atomic_fetch_add(&hammer->rounds, 1);
    }
    if (!good)
        atomic_store(&hammer->failed, true);
}

static void alter(struct stage *stage, struct hammer *hammer)
{
    static const char *const changes[] = {"ALTER TABLE t ADD COLUMN more int",
                                          "ALTER TABLE t ALTER v TYPE text",
                                          "ALTER TABLE t ADD COLUMN yet text",
                                          "ALTER TABLE t DROP COLUMN more",
                                          "ALTER TABLE t ALTER v TYPE int8 USING v::int8",
                                          "ALTER TABLE t DROP COLUMN yet",
                                          "ALTER TABLE done ADD COLUMN more int",
                                          "ALTER TABLE done DROP COLUMN more",
                                          "ALTER TABLE t ALTER v TYPE int USING v::int"};
    size_t n_changes = sizeof changes / sizeof *changes;
    for (size_t i = 0; i < 10 * n_changes && !atomic_load(&hammer->failed); i++) {
        int seen = atomic_load(&hammer->rounds);
        test_psql(stage->url, changes[i % n_changes]);
        int64_t give_up = stage_clock_ms() + 20000;
        while (atomic_load(&hammer->rounds) < seen + 3 && !atomic_load(&hammer->failed) && stage_clock_ms() < give_up)
            usleep(100);
    }
}

static void nobody_sees_an_error_while_tables_are_altered(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    struct crew crew = {0};
    struct hammer shared = {0};
    stage_open(stage, (pgdbm_config){.max_connections = 2});
    test_psql(stage->url,
              "CREATE TABLE t (id int, n int, v int); INSERT INTO t SELECT i, i, i FROM generate_series(0, 3) i;"
              "CREATE TABLE done (i int); CREATE TABLE still (i int); INSERT INTO still VALUES (1)");
    pgdbm_config config = stage_config(stage, (pgdbm_config){.max_connections = 2});
    assert_ok(pgdbm_open(&config, &shared.db[1], &err));
    shared.db[0] = stage->db;
    for (size_t i = 0; i < 4; i++)
        crew_start(&crew, hammer, &shared);
    alter(stage, &shared);
    atomic_store(&shared.over, true);
    crew_join(&crew);
    assert_int_equal(stage_stats(stage).statements_failed, 0);
    assert_true(stage_stats(stage).statements_repeated > 0); /* there was something to hide */
    pgdbm_close(shared.db[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_NONE(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)
        ON_NONE(a_changed_schema_has_its_own_statements_prepared_anew_and_no_others),
        ON_NONE(all_pools_of_the_process_are_told),
        ON_NONE(a_transaction_tells_when_it_commits),
        ON_NONE(another_process_is_told_by_a_notification),
        ON_NONE(the_notification_says_which_schema),
        ON_NONE(nobody_sees_an_error_while_tables_are_altered),
    };
    return cmocka_run_group_tests_name("schema_change", tests, NULL, NULL);
}
