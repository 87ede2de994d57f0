/* SPDX-License-Identifier: MIT */
/* Isolation by rollback: nothing of a test stays, whatever it commits. */
#include "testkit/people.h"

#include <string.h>
#include <unistd.h>

#define TEXT(text) (text), sizeof(text) - 1

static const pgdbm_migration_text texts[] = {
    {"001_things.sql", TEXT("CREATE TABLE {{tables.things}} (id int PRIMARY KEY)")},
};
static const pgdbm_migrations migrations = {.texts = texts, .n_texts = 1};
static const pgdbm_module module = {.name = "shop", .migrations = &migrations};

static pgdbm_testdb *testdb;

static int make(void **state)
{
    pgdbm_error err;
    (void)state;
    const pgdbm_testdb_options options = {.server_url = test_server_url(), .module = &module};
    assert_ok(pgdbm_testdb_create(&options, &testdb, &err));
    return 0;
}

static int drop(void **state)
{
    (void)state;
    pgdbm_testdb_drop(testdb);
    return databases_like(names_of(getpid())) == 0 ? 0 : 1;
}

static int64_t things(pgdbm_db *db)
{
    pgdbm_error err;
    int64_t number = -1;
    assert_ok(pgdbm_fetch_value_int64(db, "SELECT count(*) FROM {{tables.things}}", pgdbm_no_args, &number, &err));
    return number;
}

static void add(pgdbm_db *db, int id)
{
    pgdbm_error err;
    assert_ok(pgdbm_execute(db, "INSERT INTO {{tables.things}} VALUES ($1)", pgdbm_args(id), NULL, &err));
}

static pgdbm_db *isolate(void)
{
    pgdbm_error err;
    pgdbm_db *db = NULL;
    assert_ok(pgdbm_testdb_isolated(testdb, &db, &err));
    assert_string_equal(pgdbm_schema(db), "shop");
    assert_int_equal(things(db), 0);
    return db;
}

static void end(pgdbm_db *db)
{
    pgdbm_testdb_isolated_end(testdb, db);
    assert_int_equal(things(pgdbm_testdb_manager(testdb)), 0);
}

static void what_is_committed_is_undone(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_db *tx = NULL;
    for (int round = 0; round < 3; round++) {
        pgdbm_db *db = isolate();
        add(db, 1);
        assert_ok(pgdbm_begin(db, NULL, &tx, &err));
        add(tx, 2);
        assert_ok(pgdbm_commit(tx, &err));
        assert_int_equal(things(db), 2);
        assert_int_equal(things(pgdbm_testdb_manager(testdb)), 0); /* nor does anybody else see it before */
        end(db);
    }
}

static void the_manager_itself_cannot_be_committed(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_db *db = isolate();
    add(db, 1);
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_commit(db, &err));
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(db, "COMMIT", pgdbm_no_args, NULL, &err));
    assert_int_equal(things(db), 1);
    end(db);
}

static void what_lives_on_its_pool_is_inside(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_db *attached = NULL, *opened = NULL;
    static const pgdbm_module other = {.name = "audit", .migrations = &migrations};
    pgdbm_db *db = isolate();
    assert_ok(pgdbm_attach(pgdbm_pool_of(db), "shop", &attached, &err));
    add(attached, 1);
    assert_int_equal(things(db), 1);
    const pgdbm_source source = {.db = db, .schema = "audit"};
    assert_ok(pgdbm_module_open(&other, &source, &opened, &err)); /* migrates in here */
    add(opened, 7);
    pgdbm_close(opened);
    end(db);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(attached, "SELECT 1", pgdbm_no_args, NULL, &err));
    pgdbm_close(attached);
    bool exists = true;
    assert_ok(pgdbm_table_exists(pgdbm_testdb_manager(testdb), "audit.things", &exists, &err));
    assert_false(exists);
}

static void several_are_blind_to_each_other(void **state)
{
    (void)state;
    pgdbm_db *one = isolate();
    add(one, 1);
    pgdbm_db *two = isolate();
    add(two, 2);
    assert_int_equal(things(one), 1);
    end(one);
    assert_int_equal(things(two), 1);
    end(two);
}

static void what_a_failed_test_left_open_does_no_harm(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_db *tx = NULL;
    pgdbm_db *db = isolate();
    assert_ok(pgdbm_begin(db, NULL, &tx, &err));
    add(tx, 1);
    end(db);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(tx, "SELECT 1", pgdbm_no_args, NULL, &err));
    pgdbm_close(tx);
    db = isolate();
    add(db, 99); /* left to drop(), with a row that no other test wants to add */
    pgdbm_testdb_isolated_end(testdb, NULL);
    pgdbm_testdb_isolated_end(NULL, db);
}

static void a_lost_session_is_replaced(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_db *db = isolate();
    assert_int_not_equal(pgdbm_execute(db, "SELECT pg_terminate_backend(pg_backend_pid())", pgdbm_no_args, NULL, &err),
                         PGDBM_OK);
    end(db);
    db = isolate();
    add(db, 1);
    end(db);
}

static void null_arguments_are_refused(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_db *db = NULL;
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testdb_isolated(NULL, &db, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testdb_isolated(testdb, NULL, &err));
    assert_fails(PGDBM_ERR_SCHEMA, pgdbm_testdb_isolated_as(testdb, "not a name", &db, &err));
    assert_null(db);
}

#define ISOLATED(test) cmocka_unit_test_setup_teardown(test, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ISOLATED(what_is_committed_is_undone),
        ISOLATED(the_manager_itself_cannot_be_committed),
        ISOLATED(what_lives_on_its_pool_is_inside),
        ISOLATED(several_are_blind_to_each_other),
        ISOLATED(null_arguments_are_refused),
        ISOLATED(a_lost_session_is_replaced),
        ISOLATED(what_a_failed_test_left_open_does_no_harm),
    };
    return cmocka_run_group_tests_name("isolated", tests, NULL, NULL);
}
