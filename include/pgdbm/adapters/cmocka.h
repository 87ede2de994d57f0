/* SPDX-License-Identifier: MIT */
/* The test kit in cmocka: fixtures of one line each, and assertions that show the whole error. Header only: include it
 * instead of <cmocka.h> or after it; link libpgdbm-testkit, libpgdbm and cmocka 1.1 or later.
 *
 *     PGDBM_CMOCKA_GROUP(shop, .migrations = &shop_migrations, .schema = "shop")
 *
 *     static void an_order_gets_a_number(void **state)
 *     {
 *         pgdbm_error err;
 *         pgdbm_db *db = pgdbm_cmocka_db(state);
 *         pgdbm_assert_ok(shop_order(db, "tea", &err), &err);
 *         pgdbm_assert_rows(db, "orders", "number | article\n"
 *                                         "1      | tea    \n");
 *     }
 *
 *     int main(void)
 *     {
 *         const struct CMUnitTest tests[] = {
 *             pgdbm_cmocka_test(shop, an_order_gets_a_number),
 *             pgdbm_cmocka_test_alone(shop, two_clerks_do_not_sell_the_same_cup),
 *             pgdbm_cmocka_test_modes(shop, the_audit_library_notes_sales),
 *         };
 *         return cmocka_run_group_tests(tests, shop_group_setup, shop_group_teardown);
 *     }
 *
 * | entry                     | the test's database                                       | in the test                     |
 * |---------------------------|-----------------------------------------------------------|---------------------------------|
 * | pgdbm_cmocka_test         | the group's, inside a transaction that is rolled back     | pgdbm_cmocka_db                 |
 * | pgdbm_cmocka_test_alone   | its own, copied from the template: several sessions, LISTEN, statements that cannot run in a transaction | pgdbm_cmocka_db, pgdbm_cmocka_url |
 * | pgdbm_cmocka_test_modes   | three tests, each with its own: standalone, attached, pool | pgdbm_cmocka_source, pgdbm_cmocka_place |
 *
 * A test that fails is left by longjmp: what it has open, the teardown closes with the database. Setups and teardowns say
 * what went wrong through cmocka. */
#ifndef PGDBM_ADAPTERS_CMOCKA_H
#define PGDBM_ADAPTERS_CMOCKA_H

#include <pgdbm/testkit.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* What *state points to. Not to be used directly. */
struct pgdbm_cmocka {
    pgdbm_testdb *testdb; /* the test's own, or the group's */
    pgdbm_testmode *place;
    pgdbm_db *db;
    bool isolated; /* `db` is to be ended, and the testdb is the group's */
};

/* The manager to test with; of the group's database: rolled back at the end of the test. */
static inline pgdbm_db *pgdbm_cmocka_db(void **state)
{
    return ((const struct pgdbm_cmocka *)*state)->db;
}

/* The connection string of the test's database, for programs and pools of your own. */
static inline const char *pgdbm_cmocka_url(void **state)
{
    return pgdbm_testdb_url(((const struct pgdbm_cmocka *)*state)->testdb);
}

/* With pgdbm_cmocka_test_modes: what the library is to be opened with, and the place (<pgdbm/testmode.h>). */
static inline const pgdbm_source *pgdbm_cmocka_source(void **state)
{
    return pgdbm_testmode_source(((const struct pgdbm_cmocka *)*state)->place);
}

static inline pgdbm_testmode *pgdbm_cmocka_place(void **state)
{
    return ((const struct pgdbm_cmocka *)*state)->place;
}

/* Fails the test with the whole error. */
static inline void pgdbm_cmocka_fail(const pgdbm_error *err, const char *what, const char *file, int line)
{
    char text[4096];
    pgdbm_error_format(err, text, sizeof text);
    print_error("%s\n%s\n", what, text);
    _fail(file, line);
}

/* A call that must succeed, and the pgdbm_error that was given to it. */
#define pgdbm_assert_ok(call, err)                                                                                     \
    do {                                                                                                               \
        if ((call) != PGDBM_OK)                                                                                        \
            pgdbm_cmocka_fail((err), #call, __FILE__, __LINE__);                                                       \
    } while (0)

/* A call that must fail with this status. */
#define pgdbm_assert_status(wanted, call, err)                                                                         \
    do {                                                                                                               \
        pgdbm_status pgdbm_came_ = (call);                                                                             \
        if (pgdbm_came_ != (wanted)) {                                                                                 \
            print_error("expected %s, came %s\n", pgdbm_status_name(wanted), pgdbm_status_name(pgdbm_came_));          \
            if (pgdbm_came_ != PGDBM_OK)                                                                               \
                pgdbm_cmocka_fail((err), #call, __FILE__, __LINE__);                                                   \
            print_error("%s\n", #call);                                                                                \
            _fail(__FILE__, __LINE__);                                                                                 \
        }                                                                                                              \
    } while (0)

#define PGDBM_CMOCKA_CHECK(call, what)                                                                                 \
    do {                                                                                                               \
        pgdbm_error pgdbm_err_;                                                                                        \
        if ((call) != PGDBM_OK)                                                                                        \
            pgdbm_cmocka_fail(&pgdbm_err_, (what), __FILE__, __LINE__);                                                \
    } while (0)

/* The checks of <pgdbm/testdata.h>. */
#define pgdbm_assert_rows(db, sql_or_table, expected)                                                                  \
    PGDBM_CMOCKA_CHECK(pgdbm_rows_check((db), (sql_or_table), (expected), &pgdbm_err_), sql_or_table)
#define pgdbm_assert_count(db, sql_or_table, expected)                                                                 \
    PGDBM_CMOCKA_CHECK(pgdbm_rows_check_count((db), (sql_or_table), (expected), &pgdbm_err_), sql_or_table)
#define pgdbm_assert_unchanged(snapshot) PGDBM_CMOCKA_CHECK(pgdbm_snapshot_check((snapshot), &pgdbm_err_), #snapshot)
#define pgdbm_assert_statements_at_most(capture, limit)                                                                \
    PGDBM_CMOCKA_CHECK(pgdbm_capture_check_at_most((capture), (limit), &pgdbm_err_), #capture)

/* Setups and teardowns. */

static inline int pgdbm_cmocka_failed(const pgdbm_error *err, const char *what)
{
    char text[4096];
    pgdbm_error_format(err, text, sizeof text);
    print_error("%s\n%s\n", what, text);
    return -1;
}

static inline int pgdbm_cmocka_leave(void **state)
{
    struct pgdbm_cmocka *own = (struct pgdbm_cmocka *)*state;
    pgdbm_error err;
    int failed = 0;
    *state = NULL;
    if (own == NULL)
        return 0;
    if (pgdbm_testmode_leave(own->place, &err) != PGDBM_OK)
        failed = pgdbm_cmocka_failed(&err, "after the library was closed");
    if (own->isolated)
        pgdbm_testdb_isolated_end(own->testdb, own->db);
    else
        pgdbm_testdb_drop(own->testdb);
    free(own);
    return failed;
}

/* A setup that failed has no teardown. */
static inline int pgdbm_cmocka_entered(pgdbm_status status, const pgdbm_error *err, const char *what, void **state)
{
    if (status == PGDBM_OK)
        return 0;
    (void)pgdbm_cmocka_leave(state);
    return pgdbm_cmocka_failed(err, what);
}

static inline int pgdbm_cmocka_enter_alone(const pgdbm_testdb_options *options, void **state)
{
    pgdbm_error err;
    struct pgdbm_cmocka *own = (struct pgdbm_cmocka *)calloc(1, sizeof *own);
    *state = own;
    if (own == NULL)
        return -1;
    pgdbm_status status = pgdbm_testdb_create(options, &own->testdb, &err);
    own->db = pgdbm_testdb_manager(own->testdb);
    return pgdbm_cmocka_entered(status, &err, "making the test's database", state);
}

static inline int pgdbm_cmocka_enter_isolated(void **state)
{
    pgdbm_error err;
    const struct pgdbm_cmocka *group = (const struct pgdbm_cmocka *)*state;
    struct pgdbm_cmocka *own = (struct pgdbm_cmocka *)calloc(1, sizeof *own);
    *state = own;
    if (own == NULL || group == NULL) {
        free(own);
        *state = NULL;
        print_error("no database: give NAME_group_setup and NAME_group_teardown to cmocka_run_group_tests\n");
        return -1;
    }
    own->testdb = group->testdb;
    own->isolated = true;
    pgdbm_status status = pgdbm_testdb_isolated(own->testdb, &own->db, &err);
    return pgdbm_cmocka_entered(status, &err, "beginning the test's transaction", state);
}

static inline int pgdbm_cmocka_enter_mode(pgdbm_testmode_kind kind, const pgdbm_testdb_options *options, void **state)
{
    pgdbm_error err;
    struct pgdbm_cmocka *own = (struct pgdbm_cmocka *)calloc(1, sizeof *own);
    *state = own;
    if (own == NULL)
        return -1;
    pgdbm_status status = pgdbm_testmode_enter(kind, options, &own->place, &err);
    return pgdbm_cmocka_entered(status, &err, "making a place for the library", state);
}

#ifdef __GNUC__
#define PGDBM_CMOCKA_FUNCTION __attribute__((unused)) static int
#else
#define PGDBM_CMOCKA_FUNCTION static int
#endif

/* At file scope: a group named `name`, with the options of pgdbm_testdb_create as initializers (none: PGDBM_CMOCKA_GROUP(name,
 * 0)). Defines name_group_setup and name_group_teardown, for cmocka_run_group_tests. */
#define PGDBM_CMOCKA_GROUP(name, ...)                                                                                  \
    static const pgdbm_testdb_options name##_options = {__VA_ARGS__};                                                  \
    PGDBM_CMOCKA_FUNCTION name##_group_setup(void **state)                                                             \
    {                                                                                                                  \
        return pgdbm_cmocka_enter_alone(&name##_options, state);                                                       \
    }                                                                                                                  \
    PGDBM_CMOCKA_FUNCTION name##_group_teardown(void **state)                                                          \
    {                                                                                                                  \
        return pgdbm_cmocka_leave(state);                                                                              \
    }                                                                                                                  \
    PGDBM_CMOCKA_FUNCTION name##_isolated_setup(void **state)                                                          \
    {                                                                                                                  \
        return pgdbm_cmocka_enter_isolated(state);                                                                     \
    }                                                                                                                  \
    PGDBM_CMOCKA_FUNCTION name##_alone_setup(void **state)                                                             \
    {                                                                                                                  \
        return pgdbm_cmocka_enter_alone(&name##_options, state);                                                       \
    }                                                                                                                  \
    PGDBM_CMOCKA_FUNCTION name##_standalone_setup(void **state)                                                        \
    {                                                                                                                  \
        return pgdbm_cmocka_enter_mode(PGDBM_TESTMODE_STANDALONE, &name##_options, state);                             \
    }                                                                                                                  \
    PGDBM_CMOCKA_FUNCTION name##_attached_setup(void **state)                                                          \
    {                                                                                                                  \
        return pgdbm_cmocka_enter_mode(PGDBM_TESTMODE_ATTACHED, &name##_options, state);                               \
    }                                                                                                                  \
    PGDBM_CMOCKA_FUNCTION name##_pool_setup(void **state)                                                              \
    {                                                                                                                  \
        return pgdbm_cmocka_enter_mode(PGDBM_TESTMODE_POOL, &name##_options, state);                                   \
    }

/* Entries of the table of tests. */
#define pgdbm_cmocka_test(group, test)                                                                                 \
    {                                                                                                                  \
        .name = #test, .test_func = (test), .setup_func = group##_isolated_setup, .teardown_func = pgdbm_cmocka_leave  \
    }
#define pgdbm_cmocka_test_alone(group, test)                                                                           \
    {                                                                                                                  \
        .name = #test, .test_func = (test), .setup_func = group##_alone_setup, .teardown_func = pgdbm_cmocka_leave     \
    }
#define PGDBM_CMOCKA_MODE(group, test, mode)                                                                           \
    {                                                                                                                  \
        .name = #test ", " #mode, .test_func = (test), .setup_func = group##_##mode##_setup,                           \
        .teardown_func = pgdbm_cmocka_leave                                                                            \
    }
#define pgdbm_cmocka_test_modes(group, test)                                                                           \
    PGDBM_CMOCKA_MODE(group, test, standalone), PGDBM_CMOCKA_MODE(group, test, attached),                              \
        PGDBM_CMOCKA_MODE(group, test, pool)

#endif
