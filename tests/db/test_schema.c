/* SPDX-License-Identifier: MIT */
/* Managers and their schemas: attaching, templates, pgdbm_expand, pgdbm_table_exists. */
#include "db/stage.h"

#include <stdio.h>

static void expect_expansion(pgdbm_db *db, const char *sql, const char *expected)
{
    pgdbm_error err;
    char *text = NULL;
    assert_ok(pgdbm_expand(db, sql, &text, &err));
    if (strcmp(text, expected) != 0)
        fail_msg("%s\nexpected %s\ncame     %s", sql, expected, text);
    pgdbm_free(text);
}

static void templates_become_the_managers_names(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *app;
    assert_ok(pgdbm_attach(stage->pool, "app", &app, &err));
    expect_expansion(app, "{{tables.users}}", "\"app\".\"users\"");
    expect_expansion(app, "{{tables.billing.invoices}}", "\"billing\".\"invoices\"");
    expect_expansion(app, "{{schema}}", "\"app\"");
    expect_expansion(app, "{{tables.ORDER}}", "\"app\".\"order\"");
    expect_expansion(app, "SELECT '{{tables.a}}' -- {{schema}}", "SELECT '\"app\".\"a\"' -- \"app\"");
    expect_expansion(stage->db, "{{tables.users}}", "\"users\"");
    expect_expansion(stage->db, "{{tables.billing.invoices}}", "\"billing\".\"invoices\"");
    expect_expansion(stage->db, "{{schema}}", "\"public\"");
    expect_expansion(stage->db, "no template", "no template");
    pgdbm_close(app);
}

static void managers_of_one_pool_see_their_own_tables(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    enum { TENANTS = 20 };
    pgdbm_db *tenants[TENANTS];
    for (int i = 0; i < TENANTS; i++) {
        char schema[24];
        snprintf(schema, sizeof schema, "tenant_%d", i);
        assert_ok(pgdbm_attach(stage->pool, schema, &tenants[i], &err));
        assert_string_equal(pgdbm_schema(tenants[i]), schema);
        assert_ptr_equal(pgdbm_pool_of(tenants[i]), stage->pool);
        stage_run(tenants[i], "CREATE SCHEMA {{schema}}");
        stage_run(tenants[i], "CREATE TABLE {{tables.t}} (owner int)");
        assert_ok(pgdbm_execute(tenants[i], "INSERT INTO {{tables.t}} VALUES ($1)", pgdbm_args(i), NULL, &err));
    }
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < TENANTS; i++)
            stage_expect_number(tenants[i], "SELECT owner FROM {{tables.t}}", i);
    for (int i = 0; i < TENANTS; i++)
        pgdbm_close(tenants[i]);
}

static void a_transaction_and_a_pinned_session_keep_the_schema(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *app, *tx, *inner, *session;
    assert_ok(pgdbm_attach(stage->pool, "app", &app, &err));
    assert_ok(pgdbm_begin(app, NULL, &tx, &err));
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    assert_ok(pgdbm_pin(app, &session, &err));
    pgdbm_db *const handles[] = {tx, inner, session};
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(pgdbm_schema(handles[i]), "app");
        assert_ptr_equal(pgdbm_pool_of(handles[i]), stage->pool);
        expect_expansion(handles[i], "{{tables.t}}", "\"app\".\"t\"");
    }
    pgdbm_close(inner);
    pgdbm_close(tx);
    pgdbm_close(session);
    pgdbm_close(app);
}

static void a_schema_is_folded_or_refused(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *db = NULL;
    assert_ok(pgdbm_attach(stage->pool, "App_1", &db, &err));
    assert_string_equal(pgdbm_schema(db), "app_1");
    pgdbm_close(db);
    const char *const bad[] = {
        "",    "1st",  "a-b",      "a b",
        "a.b", "a\"b", "\xc3\xa4", "a_name_that_is_longer_than_the_sixty_three_bytes_postgresql_keeps__"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        db = (pgdbm_db *)&err;
        assert_fails(PGDBM_ERR_SCHEMA, pgdbm_attach(stage->pool, bad[i], &db, &err));
        assert_null(db);
        assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    }
    assert_null(pgdbm_schema(stage->db));
}

static void a_bad_template_is_refused_with_line_and_column(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t number = 0;
    char *text = (char *)&err;
    uint64_t prepared = stage_stats(stage).statements_prepared;
    assert_fails(PGDBM_ERR_SCHEMA,
                 pgdbm_fetch_value(stage->db, "SELECT 1\nFROM  {{tabels.x}}", pgdbm_no_args, &number, &err));
    assert_contains(err.message, "line 2");
    assert_contains(err.message, "column 7");
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    const char *const bad[] = {"{{tables.a-b}}", "{{", "SELECT {{tables.x", "{{}}", "{{tables.}}", "{{tables.1}}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_fails(PGDBM_ERR_SCHEMA, pgdbm_execute(stage->db, bad[i], pgdbm_no_args, NULL, &err));
        assert_contains(err.message, "line 1");
        text = (char *)&err;
        assert_fails(PGDBM_ERR_SCHEMA, pgdbm_expand(stage->db, bad[i], &text, &err));
        assert_null(text);
        assert_fails(PGDBM_ERR_SCHEMA, pgdbm_insert_id(stage->db, bad[i], pgdbm_no_args, &number, &err));
        pgdbm_params none = pgdbm_no_args;
        assert_fails(PGDBM_ERR_SCHEMA, pgdbm_execute_many(stage->db, bad[i], &none, 1, NULL, &err));
    }
    assert_int_equal(stage_stats(stage).statements_prepared, prepared);
}

static void expect_existence(pgdbm_db *db, const char *table, bool expected)
{
    pgdbm_error err;
    bool exists = !expected;
    assert_ok(pgdbm_table_exists(db, table, &exists, &err));
    if (exists != expected)
        fail_msg("%s: expected %d, came %d", table, expected, exists);
}

static void table_exists_looks_where_the_manager_lives(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *app;
    assert_ok(pgdbm_attach(stage->pool, "app", &app, &err));
    assert_ok(
        pgdbm_execute_simple(stage->db,
                             "CREATE SCHEMA app; CREATE TABLE app.users (id serial PRIMARY KEY); "
                             "CREATE TABLE public.things (id int); CREATE VIEW app.seen AS SELECT 1; "
                             "CREATE MATERIALIZED VIEW app.kept AS SELECT 1 AS one; "
                             "CREATE TABLE app.parts (id int) PARTITION BY LIST (id); CREATE TYPE app.pair AS (a int)",
                             &err));
    expect_existence(app, "users", true);
    expect_existence(app, "USERS", true);
    expect_existence(app, "seen", true);
    expect_existence(app, "kept", true);
    expect_existence(app, "parts", true);
    expect_existence(app, "things", false);
    expect_existence(app, "public.things", true);
    expect_existence(stage->db, "things", true);
    expect_existence(stage->db, "users", false);
    expect_existence(stage->db, "app.users", true);
    expect_existence(stage->db, "pg_catalog.pg_class", true);
    expect_existence(app, "users_pkey", false);
    expect_existence(app, "pair", false);
    pgdbm_db *tx;
    assert_ok(pgdbm_begin(app, NULL, &tx, &err));
    stage_run(tx, "CREATE TABLE {{tables.later}} (id int)");
    expect_existence(tx, "later", true);
    expect_existence(app, "later", false);
    pgdbm_close(tx);
    pgdbm_close(app);
}

static void table_exists_refuses_bad_names(void **state)
{
    struct stage *stage = *state;
    const char *const bad[] = {"", ".", "a.", ".b", "a.b.c", "a b", "x'; DROP TABLE y; --", "{{tables.x}}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pgdbm_error err;
        bool exists = true;
        assert_fails(PGDBM_ERR_SCHEMA, pgdbm_table_exists(stage->db, bad[i], &exists, &err));
        assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    }
}

static void open_makes_a_manager_that_owns_its_pool(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *db = NULL, *guest = NULL;
    pgdbm_config config = stage_config(stage, (pgdbm_config){.max_connections = 2, .schema = "Own"});
    assert_ok(pgdbm_open(&config, &db, &err));
    assert_string_equal(pgdbm_schema(db), "own");
    stage_run(db, "CREATE SCHEMA {{schema}}");
    assert_ok(pgdbm_attach(pgdbm_pool_of(db), "guest", &guest, &err));
    pgdbm_close(guest);
    stage_expect_number(db, "SELECT 1", 1);
    assert_ok(pgdbm_attach(pgdbm_pool_of(db), "guest", &guest, &err));
    pgdbm_close(db);
    assert_fails(PGDBM_ERR_POOL, pgdbm_execute(guest, "SELECT 1", pgdbm_no_args, NULL, &err));
    pgdbm_close(guest);
    config.schema = "no good";
    db = (pgdbm_db *)&err;
    assert_fails(PGDBM_ERR_SCHEMA, pgdbm_open(&config, &db, &err));
    assert_null(db);
}

static void strict_isolation_hides_unqualified_tables(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *app;
    stage_open(stage, (pgdbm_config){.max_connections = 1, .strict_isolation = true});
    assert_ok(pgdbm_attach(stage->pool, "app", &app, &err));
    stage_run(app, "CREATE SCHEMA {{schema}}");
    stage_run(app, "CREATE TABLE {{tables.t}} (i int)");
    stage_run(stage->db, "CREATE TABLE public.t (i int)");
    stage_expect_number(app, "SELECT count(*) FROM {{tables.t}}", 0);
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(app, "SELECT * FROM t", pgdbm_no_args, NULL, &err));
    assert_string_equal(err.sqlstate, "42P01");
    pgdbm_close(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_FOUR(test) cmocka_unit_test_setup_teardown(test, stage_setup_four, stage_teardown)
        ON_FOUR(templates_become_the_managers_names),
        ON_FOUR(managers_of_one_pool_see_their_own_tables),
        ON_FOUR(a_transaction_and_a_pinned_session_keep_the_schema),
        ON_FOUR(a_schema_is_folded_or_refused),
        ON_FOUR(a_bad_template_is_refused_with_line_and_column),
        ON_FOUR(table_exists_looks_where_the_manager_lives),
        ON_FOUR(table_exists_refuses_bad_names),
        ON_FOUR(open_makes_a_manager_that_owns_its_pool),
        cmocka_unit_test_setup_teardown(strict_isolation_hides_unqualified_tables, stage_setup, stage_teardown),
    };
    return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
