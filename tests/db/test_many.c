/* SPDX-License-Identifier: MIT */
/* pgdbm_execute_many and pgdbm_insert_id. */
#include "db/stage.h"

#include <stdio.h>

#define MANY 10000

/* Sets of one integer each, 0 to count - 1. */
struct sets {
    pgdbm_param values[MANY];
    pgdbm_params sets[MANY];
};

static struct sets *numbers(size_t count)
{
    struct sets *made = test_malloc(sizeof *made);
    for (size_t i = 0; i < count; i++) {
        made->values[i] = pgdbm_param_int64((int64_t)i);
        made->sets[i] = pgdbm_params_array(&made->values[i], 1);
    }
    return made;
}

static void many_sums_the_rows_affected(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t affected = -1;
    stage_run(stage->db, "CREATE TABLE t AS SELECT i FROM generate_series(1, 10) i");
    const pgdbm_params sets[] = {pgdbm_args(3), pgdbm_args(5), pgdbm_args(99)};
    assert_ok(pgdbm_execute_many(stage->db, "UPDATE t SET i = i WHERE i <= $1", sets, 3, &affected, &err));
    assert_int_equal(affected, 3 + 5 + 10);
    assert_ok(pgdbm_execute_many(stage->db, "DELETE FROM t WHERE i = $1", sets, 2, NULL, &err));
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 8);
}

static void many_is_all_or_nothing_and_names_the_set_that_failed(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t affected = 77;
    stage_run(stage->db, "CREATE TABLE t (i int PRIMARY KEY)");
    const pgdbm_params sets[] = {pgdbm_args(1), pgdbm_args(2), pgdbm_args(1), pgdbm_args(4)};
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute_many(stage->db, "INSERT INTO t VALUES ($1)", sets, 4, &affected, &err));
    assert_string_equal(err.sqlstate, "23505");
    assert_contains(err.detail, "set 3 of 4");
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    assert_int_equal(affected, 77);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
}

static void many_of_zero_sets_sends_nothing(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t affected = -1;
    uint64_t before = stage_stats(stage).statements;
    assert_ok(pgdbm_execute_many(stage->db, "this would not even parse", NULL, 0, &affected, &err));
    assert_int_equal(affected, 0);
    assert_int_equal(stage_stats(stage).statements, before);
}

static void many_takes_ten_thousand_sets_as_one_transaction(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t affected = 0;
    stage_run(stage->db, "CREATE TABLE t (i int, made_by xid8 DEFAULT pg_current_xact_id())");
    struct sets *made = numbers(MANY);
    pgdbm_status status =
        pgdbm_execute_many(stage->db, "INSERT INTO t (i) VALUES ($1)", made->sets, MANY, &affected, &err);
    test_free(made);
    assert_ok(status);
    assert_int_equal(affected, MANY);
    stage_expect_number(stage->db, "SELECT sum(i) FROM t", (int64_t)MANY * (MANY - 1) / 2);
    stage_expect_number(stage->db, "SELECT count(DISTINCT made_by) FROM t", 1);
}

/* Neither side may wait for the other to read first. */
static void many_survives_full_sockets_both_ways(void **state)
{
    struct stage *stage = *state;
    static char large[2000];
    pgdbm_error err;
    int64_t affected = 0;
    memset(large, 'x', sizeof large);
    stage_run(stage->db, "CREATE TABLE t (text text)");
    pgdbm_param value = pgdbm_text(large, sizeof large);
    struct sets *made = numbers(5000);
    for (size_t i = 0; i < 5000; i++)
        made->sets[i] = pgdbm_params_array(&value, 1);
    pgdbm_status status = pgdbm_execute_many(stage->db, "INSERT INTO t VALUES ($1) RETURNING text || text", made->sets,
                                             5000, &affected, &err);
    test_free(made);
    assert_ok(status);
    assert_int_equal(affected, 5000);
    stage_expect_number(stage->db, "SELECT sum(length(text)) FROM t", 5000 * (int64_t)sizeof large);
}

static void many_on_a_transaction_belongs_to_it(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    stage_run(stage->db, "CREATE TABLE t (i int PRIMARY KEY)");
    const pgdbm_params sets[] = {pgdbm_args(1), pgdbm_args(2)};
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_ok(pgdbm_execute_many(tx, "INSERT INTO t VALUES ($1)", sets, 2, NULL, &err));
    stage_expect_number(tx, "SELECT count(*) FROM t", 2);
    assert_ok(pgdbm_rollback(tx, &err));
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
}

static void many_leaves_the_session_usable_after_an_error(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    struct sets *made = numbers(1000);
    pgdbm_status status =
        pgdbm_execute_many(stage->db, "INSERT INTO t VALUES (1 / (500 - $1::int))", made->sets, 1000, NULL, &err);
    test_free(made);
    assert_int_equal(status, PGDBM_ERR_QUERY);
    assert_contains(err.detail, "set 501 of 1000");
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
}

static void insert_id_gives_the_id(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t id = 0;
    stage_run(stage->db, "CREATE TABLE t (id bigserial PRIMARY KEY, name text UNIQUE, code int)");
    const char *const statements[] = {
        "INSERT INTO t (name) VALUES ($1)",
        "INSERT INTO t (name) VALUES ($1);",
        "INSERT INTO t (name) VALUES ($1) ; \n ",
        "INSERT INTO t (name) VALUES ($1) -- and no more",
        "INSERT INTO t (name) VALUES ($1) /* RETURNING name */",
        "INSERT INTO t (name) VALUES ($1 || ' RETURNING name')",
        "INSERT INTO t (name) VALUES ($1) RETURNING id",
        "INSERT INTO t (name) VALUES ($1) returning id, name",
        "WITH made AS (INSERT INTO t (name) VALUES ($1 || '+') RETURNING id) INSERT INTO t (name) VALUES ($1)",
    };
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        char name[16];
        snprintf(name, sizeof name, "name %zu", i);
        if (pgdbm_insert_id(stage->db, statements[i], pgdbm_args((const char *)name), &id, &err) != PGDBM_OK)
            fail_msg("%s\n%s\n%s", statements[i], err.message, err.detail);
        int64_t found = 0;
        assert_ok(pgdbm_fetch_value(stage->db, "SELECT id FROM t WHERE name LIKE $1 || '%' AND name NOT LIKE '%+'",
                                    pgdbm_args((const char *)name), &found, &err));
        if (found != id)
            fail_msg("%s\nexpected %lld, came %lld", statements[i], (long long)found, (long long)id);
    }
}

static void insert_id_gives_the_first_column_of_a_returning(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t id = 0;
    stage_run(stage->db, "CREATE TABLE t (id serial, code int)");
    assert_ok(
        pgdbm_insert_id(stage->db, "INSERT INTO t (code) VALUES (77) RETURNING code, id", pgdbm_no_args, &id, &err));
    assert_int_equal(id, 77);
}

static void insert_id_without_a_row_says_so(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t id = 55;
    stage_run(stage->db, "CREATE TABLE t (id int PRIMARY KEY)");
    stage_run(stage->db, "INSERT INTO t VALUES (1)");
    assert_fails(PGDBM_ERR_QUERY, pgdbm_insert_id(stage->db, "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
                                                  pgdbm_no_args, &id, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_DONE);
    assert_string_equal(err.sqlstate, "");
    assert_contains(err.message, "no row");
    assert_int_equal(id, 55);
}

static void insert_id_of_a_table_without_id_is_the_servers_error(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t id = 55;
    stage_run(stage->db, "CREATE TABLE t (code int)");
    assert_fails(PGDBM_ERR_QUERY, pgdbm_insert_id(stage->db, "INSERT INTO t VALUES (1)", pgdbm_no_args, &id, &err));
    assert_string_equal(err.sqlstate, "42703");
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
}

/* The semicolon stands before the comment: cutting at the end of the text does not find it. */
static void insert_id_finds_a_semicolon_before_a_comment(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t id = 0;
    stage_run(stage->db, "CREATE TABLE t (id serial, code int)");
    assert_ok(pgdbm_insert_id(stage->db, "INSERT INTO t (code) VALUES (1); -- done", pgdbm_no_args, &id, &err));
    assert_int_equal(id, 1);
}

static void many_names_the_set_whose_parameters_do_not_fit(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    char text[2048];
    stage_run(stage->db, "CREATE TABLE t (i smallint)");
    const pgdbm_params large[] = {pgdbm_args(1), pgdbm_args(2), pgdbm_args(40000)};
    assert_fails(PGDBM_ERR_TYPE, pgdbm_execute_many(stage->db, "INSERT INTO t VALUES ($1)", large, 3, NULL, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    pgdbm_error_format(&err, text, sizeof text);
    assert_contains(text, "set 3 of 3");
    const pgdbm_params crowded[] = {pgdbm_args(1), pgdbm_args(2, 3)};
    assert_fails(PGDBM_ERR_TYPE, pgdbm_execute_many(stage->db, "INSERT INTO t VALUES ($1)", crowded, 2, NULL, &err));
    pgdbm_error_format(&err, text, sizeof text);
    assert_contains(text, "set 2 of 2");
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_FOUR(test) cmocka_unit_test_setup_teardown(test, stage_setup_four, stage_teardown)
        ON_FOUR(many_sums_the_rows_affected),
        ON_FOUR(many_is_all_or_nothing_and_names_the_set_that_failed),
        ON_FOUR(many_of_zero_sets_sends_nothing),
        ON_FOUR(many_takes_ten_thousand_sets_as_one_transaction),
        ON_FOUR(many_survives_full_sockets_both_ways),
        ON_FOUR(many_on_a_transaction_belongs_to_it),
        ON_FOUR(many_leaves_the_session_usable_after_an_error),
        ON_FOUR(insert_id_gives_the_id),
        ON_FOUR(insert_id_gives_the_first_column_of_a_returning),
        ON_FOUR(insert_id_without_a_row_says_so),
        ON_FOUR(insert_id_of_a_table_without_id_is_the_servers_error),
        ON_FOUR(insert_id_finds_a_semicolon_before_a_comment),
        ON_FOUR(many_names_the_set_whose_parameters_do_not_fit),
    };
    return cmocka_run_group_tests_name("many", tests, NULL, NULL);
}
