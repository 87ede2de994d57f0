/* SPDX-License-Identifier: MIT */
/* Rows as structs: every kind there and back, what does not go together, and what becomes of NULL. */
#include "db/every.h"
#include "db/stage.h"

#include <pgdbm/structs.h>
#include <stdio.h>

#define MANY 20000

struct user {
    int64_t id;
    const char *email;
    bool has_email;
    int32_t age;
};

static const pgdbm_field user_fields[] = {
    PGDBM_FIELD(struct user, id, PGDBM_INT64),
    PGDBM_FIELD_NULLABLE(struct user, email, PGDBM_TEXT, has_email),
    PGDBM_FIELD(struct user, age, PGDBM_INT32),
};
static const pgdbm_struct USER = PGDBM_STRUCT(struct user, user_fields);

static pgdbm_status fetch_users(struct stage *stage, const char *sql, pgdbm_result **result, pgdbm_error *err)
{
    return pgdbm_fetch_structs(stage->db, sql, pgdbm_no_args, &USER, result, err);
}

static void fails_to_fetch(struct stage *stage, pgdbm_status wanted, const char *sql, const char *piece)
{
    pgdbm_result *result = (pgdbm_result *)1;
    pgdbm_error err;
    assert_fails(wanted, fetch_users(stage, sql, &result, &err));
    assert_null(result);
    assert_contains(err.message, piece);
    assert_true(err.hint[0] != '\0');
}

static void rows_become_structs_whatever_the_columns_order_is(void **state)
{
    struct stage *stage = *state;
    pgdbm_result *result;
    pgdbm_error err;
    assert_ok(fetch_users(
        stage, "SELECT i AS age, 'u' || i AS email, i::int8 * 10000000000 AS id FROM generate_series(1, 3) i", &result,
        &err));
    const struct user *users = pgdbm_result_structs(result);
    assert_int_equal(pgdbm_result_rows(result), 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(users[i].age, i + 1);
        assert_int_equal(users[i].id, (int64_t)(i + 1) * 10000000000);
        assert_true(users[i].has_email);
    }
    assert_string_equal(users[2].email, "u3");
    assert_int_equal(pgdbm_result_affected(result), 3);
    pgdbm_result_free(result);
}

static void many_rows_with_texts_of_all_lengths_are_kept(void **state)
{
    struct stage *stage = *state;
    pgdbm_result *result;
    pgdbm_error err;
    assert_ok(
        fetch_users(stage,
                    "SELECT i::int8 AS id, repeat('x', CASE WHEN i = 777 THEN 1048576 ELSE i % 300 END) AS email, i AS "
                    "age FROM generate_series(1, 20000) i",
                    &result, &err));
    const struct user *users = pgdbm_result_structs(result);
    assert_int_equal(pgdbm_result_rows(result), MANY);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(users[i].id, i + 1);
        assert_int_equal(strlen(users[i].email), i + 1 == 777 ? 1048576 : (i + 1) % 300);
    }
    pgdbm_result_free(result);
}

static void every_kind_comes_back_as_it_went_in(void **state)
{
    struct stage *stage = *state;
    struct every rows[2];
    pgdbm_result *result;
    pgdbm_error err;
    int64_t affected = 0;
    every_fill(&rows[0]);
    every_clear(&rows[1]);
    stage_run(stage->db, EVERY_TABLE);
    assert_ok(pgdbm_insert_structs(stage->db, "every", &EVERY, rows, 2, &affected, &err));
    assert_int_equal(affected, 2);
    stage_expect_number(stage->db, "SELECT count(*) FROM every WHERE " EVERY_MATCHES, 1);
    assert_ok(pgdbm_fetch_structs(stage->db, "SELECT * FROM every ORDER BY has", pgdbm_no_args, &EVERY, &result, &err));
    const struct every *came = pgdbm_result_structs(result);
    assert_int_equal(pgdbm_result_rows(result), 2);
    every_expect_equal(&came[0], &rows[1]);
    every_expect_equal(&came[1], &rows[0]);
    pgdbm_result_free(result);
}

static void null_needs_a_companion_or_a_pointer(void **state)
{
    struct stage *stage = *state;
    pgdbm_result *result;
    pgdbm_error err;
    assert_ok(fetch_users(stage, "SELECT 1::int8 AS id, NULL::text AS email, 3 AS age", &result, &err));
    const struct user *user = pgdbm_result_structs(result);
    assert_false(user->has_email);
    assert_null(user->email);
    pgdbm_result_free(result);
    fails_to_fetch(stage, PGDBM_ERR_TYPE,
                   "SELECT i::int8 AS id, '' AS email, CASE WHEN i < 3 THEN i END AS age FROM generate_series(1, 5) i",
                   "row 3, column \"age\" (int4)");
}

static void a_text_without_a_companion_is_a_null_pointer(void **state)
{
    struct stage *stage = *state;
    struct name {
        const char *name;
        pgdbm_blob data;
    };
    static const pgdbm_field fields[] = {PGDBM_FIELD(struct name, name, PGDBM_TEXT),
                                         PGDBM_FIELD(struct name, data, PGDBM_BYTES)};
    static const pgdbm_struct NAME = PGDBM_STRUCT(struct name, fields);
    pgdbm_result *result;
    pgdbm_error err;
    const struct name rows[] = {{"", {"", 0}}, {NULL, {NULL, 0}}};
    stage_run(stage->db, "CREATE TABLE names (name text, data bytea)");
    assert_ok(pgdbm_insert_structs(stage->db, "names", &NAME, rows, 2, NULL, &err));
    stage_expect_number(stage->db, "SELECT count(*) FROM names WHERE name IS NULL AND data IS NULL", 1);
    assert_ok(pgdbm_fetch_structs(stage->db, "SELECT * FROM names ORDER BY name NULLS LAST", pgdbm_no_args, &NAME,
                                  &result, &err));
    const struct name *names = pgdbm_result_structs(result);
    assert_string_equal(names[0].name, "");
    assert_non_null(names[0].data.data);
    assert_null(names[1].name);
    assert_null(names[1].data.data);
    pgdbm_result_free(result);
}

static void columns_and_fields_must_be_the_same_also_without_rows(void **state)
{
    struct stage *stage = *state;
    stage_run(stage->db, "CREATE TABLE u (id int8, email text, age int, extra int)");
    fails_to_fetch(stage, PGDBM_ERR_TYPE, "SELECT id, email, age, extra FROM u", "column \"extra\"");
    fails_to_fetch(stage, PGDBM_ERR_TYPE, "SELECT id, email FROM u", "field \"age\"");
    fails_to_fetch(stage, PGDBM_ERR_TYPE, "SELECT id, email, age, age FROM u", "\"age\"");
    fails_to_fetch(stage, PGDBM_ERR_TYPE, "SELECT id, email, email AS age FROM u", "column \"age\" (text)");
    fails_to_fetch(stage, PGDBM_ERR_TYPE, "DELETE FROM u", "field \"id\"");
}

static void what_does_not_go_together_is_found_before_anything_is_done(void **state)
{
    struct stage *stage = *state;
    pgdbm_result *result;
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE u (id int8, email text)");
    assert_fails(PGDBM_ERR_TYPE, fetch_users(stage, "INSERT INTO u VALUES (1, '') RETURNING *", &result, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    stage_expect_number(stage->db, "SELECT count(*) FROM u", 0);
}

static void a_value_out_of_range_names_row_and_column(void **state)
{
    fails_to_fetch(*state, PGDBM_ERR_TYPE,
                   "SELECT i AS id, '' AS email, i * 1000000000::int8 AS age FROM generate_series(1, 5) i",
                   "row 3, column \"age\" (int8) cannot be read as int32");
}

static void an_empty_result_has_no_structs(void **state)
{
    struct stage *stage = *state;
    pgdbm_result *result;
    pgdbm_error err;
    assert_ok(fetch_users(stage, "SELECT 1 AS id, '' AS email, 1 AS age WHERE false", &result, &err));
    assert_int_equal(pgdbm_result_rows(result), 0);
    assert_int_equal(pgdbm_result_columns(result), 3);
    assert_null(pgdbm_result_structs(result));
    pgdbm_result_free(result);
}

static void accessors_refuse_a_result_of_structs(void **state)
{
    struct stage *stage = *state;
    pgdbm_result *result;
    pgdbm_error err;
    int64_t id;
    assert_ok(fetch_users(stage, "SELECT 1 AS id, '' AS email, 1 AS age", &result, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_get_int64(result, 0, "id", &id, &err));
    assert_contains(err.message, "structs");
    pgdbm_result_free(result);
    assert_ok(pgdbm_fetch_all(stage->db, "SELECT 1", pgdbm_no_args, &result, &err));
    assert_null(pgdbm_result_structs(result));
    pgdbm_result_free(result);
}

static void texts_are_what_postgresql_prints(void **state)
{
    struct stage *stage = *state;
    struct texts {
        const char *a, *b, *c, *d, *e, *f;
    };
    static const pgdbm_field fields[] = {
        PGDBM_FIELD(struct texts, a, PGDBM_TEXT), PGDBM_FIELD(struct texts, b, PGDBM_TEXT),
        PGDBM_FIELD(struct texts, c, PGDBM_TEXT), PGDBM_FIELD(struct texts, d, PGDBM_TEXT),
        PGDBM_FIELD(struct texts, e, PGDBM_TEXT), PGDBM_FIELD(struct texts, f, PGDBM_TEXT)};
    static const pgdbm_struct TEXTS = PGDBM_STRUCT(struct texts, fields);
    pgdbm_result *result;
    pgdbm_error err;
    assert_ok(pgdbm_fetch_structs(
        stage->db,
        "SELECT 1.50::numeric AS a, '{1,2}'::int4[] AS b, 'on'::bool AS c, '{\"k\": 1}'::jsonb AS d, "
        "'(1,2)'::point AS e, 'mood'::name AS f",
        pgdbm_no_args, &TEXTS, &result, &err));
    const struct texts *texts = pgdbm_result_structs(result);
    assert_string_equal(texts->a, "1.50");
    assert_string_equal(texts->b, "{1,2}");
    assert_string_equal(texts->c, "t");
    assert_string_equal(texts->d, "{\"k\": 1}");
    assert_string_equal(texts->e, "(1,2)");
    assert_string_equal(texts->f, "mood");
    pgdbm_result_free(result);
}

static void refuses_table(struct stage *stage, pgdbm_field field, size_t bytes, const char *piece)
{
    const pgdbm_struct table = {"wrong", bytes, &field, 1};
    pgdbm_result *result;
    pgdbm_error err;
    assert_fails(PGDBM_ERR_ARGUMENT,
                 pgdbm_fetch_structs(stage->db, "SELECT 1 AS id", pgdbm_no_args, &table, &result, &err));
    assert_contains(err.message, piece);
    assert_contains(err.message, "\"id\"");
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_insert_structs(stage->db, "t", &table, "12345678", 1, NULL, &err));
}

static void a_wrong_table_is_an_argument_error(void **state)
{
    struct stage *stage = *state;
    refuses_table(stage, (pgdbm_field){"id", PGDBM_INT64, 0, 4, PGDBM_NO_COMPANION}, 8, "C type");
    refuses_table(stage, (pgdbm_field){"id", PGDBM_INT64, 8, 8, PGDBM_NO_COMPANION}, 8, "behind the struct");
    refuses_table(stage, (pgdbm_field){"id", PGDBM_INT32, 2, 4, PGDBM_NO_COMPANION}, 8, "aligned");
    refuses_table(stage, (pgdbm_field){"id", PGDBM_INT32, 0, 4, 8}, 8, "companion");
    refuses_table(stage, (pgdbm_field){"id", (pgdbm_field_kind)99, 0, 4, PGDBM_NO_COMPANION}, 8, "kind");
}

static void a_statement_whose_columns_change_is_read_in_the_new_shape(void **state)
{
    struct stage *stage = *state;
    pgdbm_result *result;
    pgdbm_error err;
    const char *sql = "SELECT * FROM changing";
    stage_run(stage->db, "CREATE TABLE changing AS SELECT 1::int8 AS id, 'x'::text AS email, 2 AS age");
    assert_ok(fetch_users(stage, sql, &result, &err));
    pgdbm_result_free(result);
    stage_run(stage->db, "ALTER TABLE changing ALTER age TYPE int8");
    assert_ok(fetch_users(stage, sql, &result, &err));
    assert_int_equal(((const struct user *)pgdbm_result_structs(result))->age, 2);
    pgdbm_result_free(result);
    stage_run(stage->db, "ALTER TABLE changing ALTER age TYPE text");
    fails_to_fetch(stage, PGDBM_ERR_TYPE, sql, "column \"age\" (text)");
}

/* The second session prepares what the first one described, and finds other columns while it executes. */
static void a_statement_that_wrote_is_not_repeated_because_its_rows_cannot_be_read(void **state)
{
    struct stage *stage = *state;
    const char *sql = "INSERT INTO changing VALUES (1, 'x', 2) RETURNING id, email, age";
    pgdbm_db *first;
    pgdbm_db *second;
    pgdbm_result *result;
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE changing (id int8, email text, age int)");
    assert_ok(pgdbm_pin(stage->db, &first, &err));
    assert_ok(pgdbm_pin(stage->db, &second, &err));
    assert_ok(pgdbm_fetch_structs(first, sql, pgdbm_no_args, &USER, &result, &err));
    pgdbm_result_free(result);
    stage_run(stage->db, "ALTER TABLE changing ALTER age TYPE text");
    assert_fails(PGDBM_ERR_TYPE, pgdbm_fetch_structs(second, sql, pgdbm_no_args, &USER, &result, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_DONE);
    stage_expect_number(stage->db, "SELECT count(*) FROM changing", 2);
    pgdbm_close(first);
    pgdbm_close(second);
}

static void too_much_is_refused(void **state)
{
    struct stage *stage = *state;
    pgdbm_result *result;
    pgdbm_error err;
    stage_close(stage);
    stage_open(stage, (pgdbm_config){.max_connections = 2, .max_result_bytes = 100000});
    assert_fails(
        PGDBM_ERR_NOMEM,
        fetch_users(stage, "SELECT i AS id, '' AS email, i AS age FROM generate_series(1, 100000) i", &result, &err));
    assert_contains(err.message, "max_result_bytes");
    stage_expect_number(stage->db, "SELECT 1", 1);
}

static void fill_users(struct user *users, size_t count)
{
    for (size_t i = 0; i < count; i++)
        users[i] =
            (struct user){.id = (int64_t)i, .email = i % 2 == 0 ? "even" : NULL, .has_email = i % 2 == 0, .age = 7};
}

static void structs_are_inserted_as_one_transaction(void **state)
{
    struct stage *stage = *state;
    struct user *users = test_malloc(2500 * sizeof *users);
    pgdbm_error err;
    int64_t affected;
    fill_users(users, 2500);
    stage_run(stage->db,
              "CREATE TABLE users (id int8 PRIMARY KEY, email text, age int, made xid8 DEFAULT pg_current_xact_id())");
    assert_ok(pgdbm_insert_structs(stage->db, "users", &USER, users, 2500, &affected, &err));
    assert_int_equal(affected, 2500);
    stage_expect_number(stage->db, "SELECT count(DISTINCT made) FROM users", 1);
    stage_expect_number(stage->db, "SELECT count(email) FROM users", 1250);
    users[1799].id = 3;
    stage_run(stage->db, "DELETE FROM users");
    assert_fails(PGDBM_ERR_QUERY, pgdbm_insert_structs(stage->db, "users", &USER, users, 2500, &affected, &err));
    assert_contains(err.detail, "struct 1800 of 2500");
    stage_expect_number(stage->db, "SELECT count(*) FROM users", 0);
    users[1].id = 0;
    assert_fails(PGDBM_ERR_QUERY, pgdbm_insert_structs(stage->db, "users", &USER, users, 3, &affected, &err));
    assert_contains(err.detail, "struct 2 of 3");
    test_free(users);
}

static void tables_are_of_the_managers_schema_or_of_the_one_they_name(void **state)
{
    struct stage *stage = *state;
    const struct user user = {.id = 1, .age = 2};
    pgdbm_error err;
    stage_run(stage->db, "CREATE SCHEMA a");
    stage_run(stage->db, "CREATE SCHEMA b");
    stage_run(stage->db, "CREATE TABLE a.users (id int8, email text, age int)");
    stage_run(stage->db, "CREATE TABLE b.users (LIKE a.users)");
    stage_close(stage);
    stage_open(stage, (pgdbm_config){.schema = "a"});
    assert_ok(pgdbm_insert_structs(stage->db, "Users", &USER, &user, 1, NULL, &err));
    assert_ok(pgdbm_insert_structs(stage->db, "b.users", &USER, &user, 1, NULL, &err));
    stage_expect_number(stage->db, "SELECT count(*) FROM a.users", 1);
    stage_expect_number(stage->db, "SELECT count(*) FROM b.users", 1);
    assert_fails(PGDBM_ERR_SCHEMA, pgdbm_insert_structs(stage->db, "b.c.users", &USER, &user, 1, NULL, &err));
    assert_fails(PGDBM_ERR_SCHEMA, pgdbm_insert_structs(stage->db, "users; DROP", &USER, &user, 1, NULL, &err));
}

static const char *const id_key[] = {"id"};

static void upserting_inserts_and_updates(void **state)
{
    struct stage *stage = *state;
    struct user users[] = {{1, "one", true, 11}, {2, NULL, false, 22}};
    const pgdbm_upsert upsert = {.key = id_key, .n_key = 1};
    const pgdbm_upsert keep = {.key = id_key, .n_key = 1, .do_nothing = true};
    pgdbm_error err;
    int64_t affected;
    stage_run(stage->db, "CREATE TABLE users (id int8 PRIMARY KEY, email text, age int, other int DEFAULT 5 NOT NULL)");
    stage_run(stage->db, "INSERT INTO users VALUES (1, 'before', 0, 6)");
    assert_ok(pgdbm_upsert_structs(stage->db, "users", &USER, users, 2, &upsert, &affected, &err));
    assert_int_equal(affected, 2);
    stage_expect_text(stage->db,
                      "SELECT string_agg(id || coalesce(email, '-') || age || other, ' ' ORDER BY id) FROM users",
                      "1one116 2-225");
    users[0].age = 99;
    assert_ok(pgdbm_upsert_structs(stage->db, "users", &USER, users, 2, &keep, &affected, &err));
    assert_int_equal(affected, 0);
    stage_expect_number(stage->db, "SELECT count(*) FROM users WHERE age = 99", 0);
    stage_expect_number(stage->db, "SELECT count(*) FROM pg_class WHERE relname = 'pgdbm_upsert_rows'", 0);
}

static void an_upsert_that_fails_leaves_the_transaction_around_it_usable(void **state)
{
    struct stage *stage = *state;
    const struct user users[] = {{1, "one", true, 11}, {1, "again", true, 22}};
    const pgdbm_upsert upsert = {.key = id_key, .n_key = 1};
    pgdbm_db *tx;
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE users (id int8 PRIMARY KEY, email text, age int)");
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_upsert_structs(tx, "users", &USER, users, 2, &upsert, NULL, &err));
    assert_string_equal(err.sqlstate, "21000");
    assert_ok(pgdbm_upsert_structs(tx, "users", &USER, users, 1, &upsert, NULL, &err));
    assert_ok(pgdbm_upsert_structs(tx, "users", &USER, users + 1, 1, &upsert, NULL, &err));
    assert_ok(pgdbm_commit(tx, &err));
    stage_expect_text(stage->db, "SELECT email FROM users", "again");
}

static void two_tables_with_the_same_columns_are_not_mixed_up_by_upserts(void **state)
{
    struct stage *stage = *state;
    const struct user user = {1, "5", true, 11};
    const pgdbm_upsert upsert = {.key = id_key, .n_key = 1};
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE first (id int8 PRIMARY KEY, email text, age int)");
    stage_run(stage->db, "CREATE TABLE second (id int2 PRIMARY KEY, email numeric, age float8)");
    for (int i = 0; i < 2; i++) {
        assert_ok(pgdbm_upsert_structs(stage->db, "first", &USER, &user, 1, &upsert, NULL, &err));
        assert_ok(pgdbm_upsert_structs(stage->db, "second", &USER, &user, 1, &upsert, NULL, &err));
    }
    stage_expect_number(stage->db, "SELECT count(*) FROM second WHERE id = 1 AND email = 5 AND age = 11", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define STRUCTS_TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup_four, stage_teardown)
        STRUCTS_TEST(rows_become_structs_whatever_the_columns_order_is),
        STRUCTS_TEST(many_rows_with_texts_of_all_lengths_are_kept),
        STRUCTS_TEST(every_kind_comes_back_as_it_went_in),
        STRUCTS_TEST(null_needs_a_companion_or_a_pointer),
        STRUCTS_TEST(a_text_without_a_companion_is_a_null_pointer),
        STRUCTS_TEST(columns_and_fields_must_be_the_same_also_without_rows),
        STRUCTS_TEST(what_does_not_go_together_is_found_before_anything_is_done),
        STRUCTS_TEST(a_value_out_of_range_names_row_and_column),
        STRUCTS_TEST(an_empty_result_has_no_structs),
        STRUCTS_TEST(accessors_refuse_a_result_of_structs),
        STRUCTS_TEST(texts_are_what_postgresql_prints),
        STRUCTS_TEST(a_wrong_table_is_an_argument_error),
        STRUCTS_TEST(a_statement_whose_columns_change_is_read_in_the_new_shape),
        STRUCTS_TEST(a_statement_that_wrote_is_not_repeated_because_its_rows_cannot_be_read),
        STRUCTS_TEST(too_much_is_refused),
        STRUCTS_TEST(structs_are_inserted_as_one_transaction),
        STRUCTS_TEST(tables_are_of_the_managers_schema_or_of_the_one_they_name),
        STRUCTS_TEST(upserting_inserts_and_updates),
        STRUCTS_TEST(an_upsert_that_fails_leaves_the_transaction_around_it_usable),
        STRUCTS_TEST(two_tables_with_the_same_columns_are_not_mixed_up_by_upserts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
