/* SPDX-License-Identifier: MIT */
/* Leaving nothing behind: whoever borrows a session next finds it as new. One session only, so that the next borrower
 * is sure to get the same one. */
#include "db/stage.h"

/* What one borrower does, and a number by which the next one would notice: 0 means clean. */
struct trace {
    const char *leave;
    const char *look;
};

#define SETTING(name, clean) "SELECT (current_setting('" name "') IS DISTINCT FROM '" clean "')::int"

static const struct trace traces[] = {
    {"SET ROLE pg_monitor", "SELECT (current_user <> session_user)::int"},
    {"SET SESSION AUTHORIZATION pg_monitor", "SELECT (session_user <> 'postgres')::int"},
    {"SET search_path = pg_temp", SETTING("search_path", "\"$user\", public")},
    {"SET work_mem = '9MB'", SETTING("work_mem", "4MB")},
    {"SELECT set_config('work_mem', '9MB', false)", SETTING("work_mem", "4MB")},
    {"SET TIME ZONE 'Asia/Tokyo'", "SELECT (current_setting('TimeZone') = 'Asia/Tokyo')::int"},
    {"SET client_encoding = 'LATIN1'", SETTING("client_encoding", "UTF8")},
    {"SET statement_timeout = '1ms'", SETTING("statement_timeout", "1min")},
    {"SET default_transaction_read_only = on", SETTING("default_transaction_read_only", "off")},
    {"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
     SETTING("default_transaction_isolation", "read committed")},
    {"DO $$ BEGIN PERFORM set_config('work_mem', '9MB', false); END $$", SETTING("work_mem", "4MB")},
    {"SELECT hidden_in_a_function()", SETTING("work_mem", "4MB")},
    {"CREATE TEMP TABLE t (i int)", "SELECT (to_regclass('pg_temp.t') IS NOT NULL)::int"},
    {"SELECT 1 AS i INTO TEMP t", "SELECT (to_regclass('pg_temp.t') IS NOT NULL)::int"},
    {"CREATE TEMP VIEW t AS SELECT 1", "SELECT (to_regclass('pg_temp.t') IS NOT NULL)::int"},
    {"SELECT pg_advisory_lock(4711)", "SELECT count(*) FROM " TEST_LOCKS " WHERE locktype = 'advisory'"},
    {"SELECT pg_try_advisory_lock_shared(4711)", "SELECT count(*) FROM " TEST_LOCKS " WHERE locktype = 'advisory'"},
    {"LISTEN news", "SELECT count(*) FROM pg_listening_channels()"},
    {"PREPARE mine AS SELECT 1", "SELECT count(*) FROM pg_prepared_statements WHERE name = 'mine'"},
    {"PREPARE \"It's \"\"mine\" AS SELECT 1", "SELECT count(*) FROM pg_prepared_statements WHERE from_sql"},
    {"DECLARE cursor_of_mine CURSOR WITH HOLD FOR SELECT 1", "SELECT count(*) FROM pg_cursors WHERE name LIKE 'cur%'"},
};

static const char preparations[] = "CREATE FUNCTION hidden_in_a_function() RETURNS int LANGUAGE plpgsql AS "
                                   "$$ BEGIN PERFORM set_config('work_mem', '9MB', false); RETURN 1; END $$";

static int prepare(void **state)
{
    pgdbm_error err;
    stage_setup_one(state);
    assert_ok(pgdbm_execute_simple(((struct stage *)*state)->db, preparations, &err));
    return 0;
}

/* Two ways to borrow. */
static void leave_on_pin(pgdbm_db *db, const char *sql)
{
    pgdbm_error err;
    pgdbm_db *session;
    assert_ok(pgdbm_pin(db, &session, &err));
    stage_run(session, sql);
    pgdbm_close(session);
}

static void leave_in_transaction(pgdbm_db *db, const char *sql)
{
    pgdbm_error err;
    pgdbm_db *tx;
    assert_ok(pgdbm_begin(db, NULL, &tx, &err));
    stage_run(tx, sql);
    assert_ok(pgdbm_commit(tx, &err));
}

static void expect_nothing_left(struct stage *stage, const struct trace *trace, int64_t pid)
{
    pgdbm_error err;
    pgdbm_db *session;
    int64_t found = -1;
    stage_expect_number(stage->db, "SELECT pg_backend_pid()", pid);
    if (pgdbm_fetch_value(stage->db, trace->look, pgdbm_no_args, &found, &err) != PGDBM_OK)
        fail_msg("%s\n%s", trace->look, err.message);
    if (found != 0)
        fail_msg("after %s\n%s\nexpected 0, came %lld on a manager", trace->leave, trace->look, (long long)found);
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    stage_expect_number(session, "SELECT pg_backend_pid()", pid);
    stage_expect_number(session, trace->look, 0);
    pgdbm_close(session);
}

static void run_traces(struct stage *stage, void (*leave)(pgdbm_db *db, const char *sql))
{
    int64_t pid = stage_number(stage->db, "SELECT pg_backend_pid()");
    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++) {
        leave(stage->db, traces[i].leave);
        expect_nothing_left(stage, &traces[i], pid);
    }
}

static void each_look_notices_what_it_looks_for(void **state)
{
    struct stage *stage = *state;
    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++) {
        pgdbm_error err;
        pgdbm_db *session;
        int64_t found = 0;
        assert_ok(pgdbm_pin(stage->db, &session, &err));
        stage_run(session, traces[i].leave);
        if (pgdbm_fetch_value(session, traces[i].look, pgdbm_no_args, &found, &err) != PGDBM_OK || found == 0)
            fail_msg("%s\nis not noticed by %s", traces[i].leave, traces[i].look);
        pgdbm_close(session);
    }
}

static void a_pinned_session_leaves_nothing_behind(void **state)
{
    run_traces(*state, leave_on_pin);
}

static void a_transaction_leaves_nothing_behind(void **state)
{
    run_traces(*state, leave_in_transaction);
}

/* A function of the user's is not looked into on a plain manager. A plain manager promises no session from one
 * statement to the next; what it leaves must not reach anybody either. */
static void a_plain_manager_leaves_nothing_behind(void **state)
{
    struct stage *stage = *state;
    int64_t pid = stage_number(stage->db, "SELECT pg_backend_pid()");
    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++) {
        if (strstr(traces[i].leave, "hidden") != NULL)
            continue;
        stage_run(stage->db, traces[i].leave);
        expect_nothing_left(stage, &traces[i], pid);
    }
}

static void simple_leaves_nothing_behind(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t pid = stage_number(stage->db, "SELECT pg_backend_pid()");
    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++) {
        assert_ok(pgdbm_execute_simple(stage->db, traces[i].leave, &err));
        expect_nothing_left(stage, &traces[i], pid);
    }
}

static void an_open_transaction_on_a_pin_is_rolled_back(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session;
    int64_t pid = stage_number(stage->db, "SELECT pg_backend_pid()");
    stage_run(stage->db, "CREATE TABLE t (i int)");
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    stage_run(session, "BEGIN");
    stage_run(session, "SET LOCAL work_mem = '9MB'");
    stage_run(session, "INSERT INTO t VALUES (1)");
    pgdbm_close(session);
    stage_expect_number(stage->db, "SELECT pg_backend_pid()", pid);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
    stage_expect_text(stage->db, "SHOW work_mem", "4MB");
}

static void a_failed_transaction_on_a_pin_is_rolled_back(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session;
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    stage_run(session, "SET ROLE pg_monitor");
    stage_run(session, "BEGIN");
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(session, "SELECT 1 / 0", pgdbm_no_args, NULL, &err));
    pgdbm_close(session);
    stage_expect_text(stage->db, "SELECT current_user", "postgres");
}

static void a_setting_that_was_rolled_back_is_gone_too(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "SET search_path = pg_catalog");
    assert_ok(pgdbm_rollback(tx, &err));
    stage_expect_text(stage->db, "SHOW search_path", "\"$user\", public");
}

static void init_commands_and_settings_are_in_force_again(void **state)
{
    struct stage *stage = *state;
    static const char *const commands[] = {"SET work_mem = '5MB'", "SET pgdbm.custom = 'by init'"};
    static const pgdbm_setting settings[] = {{"search_path", "pg_catalog"}, {"DateStyle", "German"}};
    stage_open(stage, (pgdbm_config){.max_connections = 1,
                                     .init_commands = commands,
                                     .n_init_commands = 2,
                                     .server_settings = settings,
                                     .n_server_settings = 2});
    int64_t pid = stage_number(stage->db, "SELECT pg_backend_pid()");
    for (int i = 0; i < 2; i++) {
        stage_expect_text(stage->db, "SHOW work_mem", "5MB");
        stage_expect_text(stage->db, "SHOW pgdbm.custom", "by init");
        stage_expect_text(stage->db, "SHOW search_path", "pg_catalog");
        stage_expect_text(stage->db, "SHOW DateStyle", "German, DMY");
        stage_expect_number(stage->db, "SELECT pg_backend_pid()", pid);
        leave_on_pin(stage->db, "SET work_mem = '9MB'");
        leave_on_pin(stage->db, "SET pgdbm.custom = 'changed'");
        leave_on_pin(stage->db, "SET search_path = public");
        leave_on_pin(stage->db, "SET DateStyle = ISO");
    }
}

static void a_clean_lease_costs_no_reset(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx, *inner, *session;
    stage_run(stage->db, "CREATE TABLE t (i int, text text)");
    uint64_t before = stage_stats(stage).resets;
    assert_ok(pgdbm_begin(stage->db, &(pgdbm_tx_options){.isolation = PGDBM_SERIALIZABLE}, &tx, &err));
    stage_run(tx, "INSERT INTO t VALUES (1, 'SET ROLE somebody')");
    stage_run(tx, "UPDATE t SET text = upper(text) WHERE i = 1");
    stage_run(tx, "SELECT count(*), max(i), coalesce(min(text), '') FROM t");
    stage_run(tx, "CREATE TABLE more (id bigserial PRIMARY KEY)");
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    stage_run(inner, "DELETE FROM t");
    assert_ok(pgdbm_rollback(inner, &err));
    assert_ok(pgdbm_commit(tx, &err));
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "SELECT 1");
    assert_ok(pgdbm_rollback(tx, &err));
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    stage_run(session, "SELECT i FROM t");
    pgdbm_close(session);
    uint64_t after = stage_stats(stage).resets;
    if (after != before)
        fail_msg("expected %llu resets, came %llu", (unsigned long long)before, (unsigned long long)after);
    leave_on_pin(stage->db, "SET work_mem = '9MB'");
    assert_int_equal(stage_stats(stage).resets, after + 1);
}

static void prepared_statements_of_the_pool_survive_a_reset(void **state)
{
    struct stage *stage = *state;
    stage_expect_number(stage->db, "SELECT 1234", 1234);
    uint64_t before = stage_stats(stage).statements_prepared;
    leave_on_pin(stage->db, "SET work_mem = '9MB'");
    stage_expect_number(stage->db, "SELECT 1234", 1234);
    assert_int_equal(stage_stats(stage).statements_prepared, before + 1); /* the SET */
    assert_int_equal(stage_stats(stage).statements_repeated, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_ONE(test) cmocka_unit_test_setup_teardown(test, prepare, stage_teardown)
        ON_ONE(each_look_notices_what_it_looks_for),
        ON_ONE(a_pinned_session_leaves_nothing_behind),
        ON_ONE(a_transaction_leaves_nothing_behind),
        ON_ONE(a_plain_manager_leaves_nothing_behind),
        ON_ONE(simple_leaves_nothing_behind),
        ON_ONE(an_open_transaction_on_a_pin_is_rolled_back),
        ON_ONE(a_failed_transaction_on_a_pin_is_rolled_back),
        ON_ONE(a_setting_that_was_rolled_back_is_gone_too),
        cmocka_unit_test_setup_teardown(init_commands_and_settings_are_in_force_again, stage_setup, stage_teardown),
        ON_ONE(a_clean_lease_costs_no_reset),
        ON_ONE(prepared_statements_of_the_pool_survive_a_reset),
    };
    return cmocka_run_group_tests_name("clean", tests, NULL, NULL);
}
