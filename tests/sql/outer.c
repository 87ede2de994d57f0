/* SPDX-License-Identifier: MIT */
/* Where the outer statement of a text begins and ends. */
#include "sql/outer.h"
#include "sql/suite.h"

static void expect(const char *sql, const char *outer, bool with, bool gives_rows)
{
    struct pgdbm__outer found = pgdbm__sql_outer(sql, strlen(sql));
    size_t bytes = strlen(outer);
    if (found.end < found.begin || found.end - found.begin != bytes || memcmp(sql + found.begin, outer, bytes) != 0)
        fail_msg("%s: found %zu to %zu", sql, found.begin, found.end);
    assert_int_equal(found.with, with);
    assert_int_equal(found.gives_rows, gives_rows);
}

static void it_ends_before_semicolons_and_comments(void **state)
{
    (void)state;
    expect("SELECT 1", "SELECT 1", false, true);
    expect(" /* a */ SELECT 1 ; -- b", "SELECT 1", false, true);
    expect("SELECT ';' -- c", "SELECT ';'", false, true);
    expect("SELECT $$;$$;;", "SELECT $$;$$", false, true);
}

static void it_begins_behind_the_list_of_with(void **state)
{
    (void)state;
    expect("WITH a AS (SELECT 1) SELECT 2", "SELECT 2", true, true);
    expect("with recursive a (x) as materialized (values (1)), b as (table c) table d;", "table d", true, true);
    expect("WITH a AS (SELECT 1) (SELECT 2) UNION SELECT 3", "(SELECT 2) UNION SELECT 3", true, true);
    expect("WITH values AS (SELECT 1), update AS (SELECT 2) VALUES (3)", "VALUES (3)", true, true);
    expect("WITH RECURSIVE insert AS (SELECT 1) SELECT 2", "SELECT 2", true, true);
    expect("WITH \"select\" AS (SELECT (1)) DELETE FROM a", "DELETE FROM a", true, false);
}

static void what_writes_gives_rows_with_returning_of_its_own(void **state)
{
    (void)state;
    expect("INSERT INTO a VALUES (1)", "INSERT INTO a VALUES (1)", false, false);
    expect("INSERT INTO a VALUES (1) RETURNING b", "INSERT INTO a VALUES (1) RETURNING b", false, true);
    expect("WITH x AS (DELETE FROM a RETURNING b) UPDATE a SET b = 1", "UPDATE a SET b = 1", true, false);
    expect("CREATE TABLE a (b int)", "CREATE TABLE a (b int)", false, false);
}

static void a_text_without_one_has_none(void **state)
{
    (void)state;
    const char *const none[] = {"", ";", "-- SELECT 1", "WITH", "WITH a AS (SELECT 1", "WITH a AS (SELECT 1)", ")"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(pgdbm__sql_outer(none[i], strlen(none[i])).gives_rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_ends_before_semicolons_and_comments),
        cmocka_unit_test(it_begins_behind_the_list_of_with),
        cmocka_unit_test(what_writes_gives_rows_with_returning_of_its_own),
        cmocka_unit_test(a_text_without_one_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
