/* SPDX-License-Identifier: MIT */
/* A pool that is enclosed in a transaction: its managers behave as managers do, and nothing of it stays. */
#include "db/stage.h"

#include <pgdbm/batch.h>
#include <pgdbm/copy.h>
#include <pgdbm/cursor.h>
#include <pgdbm/structs.h>
#include <stdlib.h>

struct enclosure {
    pgdbm_db *tx, *db;
};

/* The stage has one session, which the transaction takes. */
static struct enclosure enclose(struct stage *stage)
{
    pgdbm_error err;
    struct enclosure enclosure = {0};
    stage_run(stage->db, "CREATE TABLE IF NOT EXISTS things (id int PRIMARY KEY, name text)");
    assert_ok(pgdbm_begin(stage->db, NULL, &enclosure.tx, &err));
    assert_ok(pgdbm_enclose(enclosure.tx, &err));
    assert_ok(pgdbm_attach(stage->pool, NULL, &enclosure.db, &err));
    return enclosure;
}

static void end(struct stage *stage, struct enclosure *enclosure)
{
    pgdbm_error err;
    assert_ok(pgdbm_rollback(enclosure->tx, &err));
    pgdbm_close(enclosure->db);
    stage_expect_number(stage->db, "SELECT count(*) FROM things", 0);
}

static void what_managers_do_vanishes(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    pgdbm_db *tx = NULL, *inner = NULL;
    stage_run(enclosure.db, "INSERT INTO things VALUES (1)");
    assert_ok(pgdbm_begin(enclosure.db, NULL, &tx, &err));
    stage_run(tx, "INSERT INTO things VALUES (2)");
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    stage_run(inner, "INSERT INTO things VALUES (3)");
    assert_ok(pgdbm_rollback(inner, &err));
    assert_ok(pgdbm_commit(tx, &err));
    stage_expect_number(enclosure.db, "SELECT sum(id) FROM things", 3);
    assert_ok(pgdbm_begin(enclosure.db, NULL, &tx, &err));
    stage_run(tx, "INSERT INTO things VALUES (4)");
    pgdbm_close(tx);
    stage_expect_number(enclosure.db, "SELECT sum(id) FROM things", 3);
    end(stage, &enclosure);
}

static void a_verb_that_fails_undoes_itself_only(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    const pgdbm_params sets[] = {pgdbm_args(5), pgdbm_args(1)};
    stage_run(enclosure.db, "INSERT INTO things VALUES (1)");
    assert_fails(PGDBM_ERR_QUERY,
                 pgdbm_execute(enclosure.db, "INSERT INTO things VALUES (1)", pgdbm_no_args, NULL, &err));
    assert_string_equal(err.sqlstate, "23505");
    assert_fails(PGDBM_ERR_QUERY,
                 pgdbm_execute_many(enclosure.db, "INSERT INTO things VALUES ($1)", sets, 2, NULL, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute_simple(enclosure.db, "INSERT INTO things VALUES (6); nonsense", &err));
    assert_fails(PGDBM_ERR_TYPE, pgdbm_execute(enclosure.db, "INSERT INTO things VALUES ($1)",
                                               pgdbm_args(INT64_C(1) << 40), NULL, &err));
    stage_run(enclosure.db, "INSERT INTO things VALUES (2)");
    stage_expect_number(enclosure.db, "SELECT sum(id) FROM things", 3);
    end(stage, &enclosure);
}

static void nothing_that_is_said_commits(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    pgdbm_db *pin = NULL;
    stage_run(enclosure.db, "INSERT INTO things VALUES (1)");
    assert_ok(pgdbm_pin(enclosure.db, &pin, &err));
    pgdbm_db *const handles[] = {enclosure.db, pin};
    for (int i = 0; i < 2; i++) {
        assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_commit(handles[i], &err));
        assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_rollback(handles[i], &err));
        assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(handles[i], "COMMIT", pgdbm_no_args, NULL, &err));
        assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(handles[i], "ROLLBACK", pgdbm_no_args, NULL, &err));
        assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute_simple(handles[i], "COMMIT", &err));
        assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(handles[i], "DO 'BEGIN COMMIT; END'", pgdbm_no_args, NULL, &err));
        stage_expect_number(handles[i], "SELECT sum(id) FROM things", 1);
    }
    pgdbm_close(pin);
    end(stage, &enclosure);
}

static void wishes_of_a_transaction_are_met_as_far_as_possible(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    pgdbm_db *tx = NULL;
    const pgdbm_tx_options options = {.isolation = PGDBM_SERIALIZABLE, .read_only = true, .deferrable = true};
    assert_ok(pgdbm_begin(enclosure.db, &options, &tx, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(tx, "INSERT INTO things VALUES (1)", pgdbm_no_args, NULL, &err));
    assert_string_equal(err.sqlstate, "25006");
    assert_ok(pgdbm_rollback(tx, &err));
    assert_ok(pgdbm_begin(enclosure.db, &options, &tx, &err));
    assert_ok(pgdbm_commit(tx, &err));
    stage_run(enclosure.db, "INSERT INTO things VALUES (1)");
    end(stage, &enclosure);
}

static pgdbm_status insert_two(pgdbm_db *tx, void *context, pgdbm_error *err)
{
    (void)context;
    return pgdbm_execute(tx, "INSERT INTO things VALUES (1), (2)", pgdbm_no_args, NULL, err);
}

static bool count_row(const pgdbm_result *row, void *context)
{
    (void)row;
    ++*(int *)context;
    return true;
}

static void every_way_to_work_is_inside(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    pgdbm_cursor *cursor = NULL;
    pgdbm_result *rows = NULL;
    int count = 0;
    assert_ok(pgdbm_transact(enclosure.db, NULL, insert_two, NULL, &err));
    assert_ok(pgdbm_stream(enclosure.db, "INSERT INTO things VALUES (3), (4) RETURNING id", pgdbm_no_args, count_row,
                           &count, &err));
    assert_int_equal(count, 2);
    assert_ok(pgdbm_cursor_open(enclosure.db, "SELECT id FROM things ORDER BY id", pgdbm_no_args, NULL, &cursor, &err));
    assert_ok(pgdbm_cursor_fetch(cursor, &rows, &err));
    assert_int_equal(pgdbm_result_rows(rows), 4);
    pgdbm_result_free(rows);
    pgdbm_cursor_close(cursor);
    pgdbm_batch *batch = NULL;
    assert_ok(pgdbm_batch_new(enclosure.db, NULL, &batch, &err));
    assert_ok(pgdbm_batch_add(batch, "INSERT INTO things VALUES (5)", pgdbm_no_args, &err));
    assert_ok(pgdbm_batch_run(batch, &err));
    pgdbm_batch_free(batch);
    stage_expect_number(enclosure.db, "SELECT sum(id) FROM things", 15);
    const pgdbm_cursor_options options = {.chunk_rows = 1};
    assert_ok(pgdbm_cursor_open(enclosure.db, "SELECT id FROM things", pgdbm_no_args, &options, &cursor, &err));
    stage_run(enclosure.db, "INSERT INTO things VALUES (6)"); /* as beside a cursor of any manager */
    assert_ok(pgdbm_cursor_fetch(cursor, &rows, &err));
    pgdbm_result_free(rows);
    end(stage, &enclosure);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_cursor_fetch(cursor, &rows, &err));
    pgdbm_cursor_close(cursor);
}

static void managers_take_turns(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    pgdbm_db *other = NULL, *tx = NULL;
    assert_ok(pgdbm_attach(pgdbm_pool_of(enclosure.db), "elsewhere", &other, &err));
    assert_ok(pgdbm_begin(other, NULL, &tx, &err));
    assert_string_equal(pgdbm_schema(tx), "elsewhere");
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(enclosure.db, "SELECT 1", pgdbm_no_args, NULL, &err));
    assert_contains(err.message, "test_enclose.c");
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(other, "SELECT 1", pgdbm_no_args, NULL, &err));
    assert_ok(pgdbm_commit(tx, &err));
    stage_run(enclosure.db, "INSERT INTO things VALUES (1)");
    stage_expect_number(other, "SELECT count(*) FROM things", 1);
    pgdbm_close(other);
    end(stage, &enclosure);
}

static void a_module_lives_inside(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    pgdbm_db *db = NULL;
    static const char text[] = "CREATE TABLE {{tables.entries}} (i int)";
    const pgdbm_migration_text texts[] = {{"001_entries.sql", text, sizeof text - 1}};
    const pgdbm_migrations migrations = {.texts = texts, .n_texts = 1};
    const pgdbm_module module = {.name = "audit", .migrations = &migrations};
    const pgdbm_source source = {.db = enclosure.db, .schema = "audit"};
    for (int i = 0; i < 2; i++) {
        assert_ok(pgdbm_module_open(&module, &source, &db, &err));
        stage_run(db, "INSERT INTO {{tables.entries}} VALUES (1)");
        stage_expect_number(db, "SELECT count(*) FROM {{tables.entries}}", i + 1);
        pgdbm_close(db);
    }
    end(stage, &enclosure);
    stage_expect_number(stage->db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'audit'", 0);
}

static void when_it_ends_its_managers_say_so(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    pgdbm_db *other = NULL, *tx = NULL, *pin = NULL;
    assert_ok(pgdbm_attach(stage->pool, NULL, &other, &err));
    assert_ok(pgdbm_pin(other, &pin, &err));
    assert_ok(pgdbm_begin(other, NULL, &tx, &err));
    assert_ok(pgdbm_rollback(enclosure.tx, &err));
    pgdbm_db *const handles[] = {enclosure.db, other, tx, pin};
    for (int i = 0; i < 4; i++)
        assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(handles[i], "SELECT 1", pgdbm_no_args, NULL, &err));
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_begin(other, NULL, &tx, &err));
    for (int i = 0; i < 4; i++)
        pgdbm_close(handles[i]);
    /* The next manager is an ordinary one again. */
    assert_ok(pgdbm_attach(stage->pool, NULL, &other, &err));
    stage_run(other, "INSERT INTO things VALUES (1)");
    pgdbm_close(other);
    stage_expect_number(stage->db, "SELECT count(*) FROM things", 1);
}

static void only_one_outermost_transaction_encloses(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx = NULL, *inner = NULL;
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_enclose(stage->db, &err));
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_enclose(inner, &err));
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_enclose(tx, &err));
    assert_ok(pgdbm_rollback(inner, &err));
    assert_ok(pgdbm_enclose(tx, &err));
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_enclose(tx, &err));
    assert_ok(pgdbm_rollback(tx, &err));
}

static void it_ends_with_the_pool(void **state)
{
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.max_connections = 1, .drain_timeout_ms = 1});
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    stage_close(stage);
    assert_int_not_equal(pgdbm_execute(enclosure.db, "SELECT 1", pgdbm_no_args, NULL, &err), PGDBM_OK);
    pgdbm_close(enclosure.db);
    pgdbm_close(enclosure.tx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_managers_do_vanishes, stage_setup_one, stage_teardown),
        cmocka_unit_test_setup_teardown(a_verb_that_fails_undoes_itself_only, stage_setup_one, stage_teardown),
        cmocka_unit_test_setup_teardown(nothing_that_is_said_commits, stage_setup_one, stage_teardown),
        cmocka_unit_test_setup_teardown(wishes_of_a_transaction_are_met_as_far_as_possible, stage_setup_one,
                                        stage_teardown),
        cmocka_unit_test_setup_teardown(every_way_to_work_is_inside, stage_setup_one, stage_teardown),
        cmocka_unit_test_setup_teardown(managers_take_turns, stage_setup_one, stage_teardown),
        cmocka_unit_test_setup_teardown(a_module_lives_inside, stage_setup_one, stage_teardown),
        cmocka_unit_test_setup_teardown(when_it_ends_its_managers_say_so, stage_setup_one, stage_teardown),
        cmocka_unit_test_setup_teardown(only_one_outermost_transaction_encloses, stage_setup_one, stage_teardown),
        cmocka_unit_test_setup_teardown(it_ends_with_the_pool, stage_setup, stage_teardown),
    };
    return cmocka_run_group_tests_name("enclose", tests, NULL, NULL);
}
