/* SPDX-License-Identifier: MIT */
/* What statements may do to their session. Flags are written as letters: S session, T transaction, C copy, R returning,
 * F function, W write, M many. */
#include "sql/effects.h"

#include "sql/harmless.h"
#include "sql/suite.h"

static const struct {
    unsigned flag;
    char letter;
} letters[] = {
    {PGDBM__EFFECT_SESSION, 'S'},   {PGDBM__EFFECT_TRANSACTION, 'T'}, {PGDBM__EFFECT_COPY, 'C'},
    {PGDBM__EFFECT_RETURNING, 'R'}, {PGDBM__EFFECT_FUNCTION, 'F'},    {PGDBM__EFFECT_WRITE, 'W'},
    {PGDBM__EFFECT_MANY, 'M'},
};

static void expect_effects(const char *sql, const char *expected)
{
    char seen[16];
    size_t length = 0;
    unsigned effects = pgdbm__sql_effects(sql, strlen(sql));
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if ((effects & letters[i].flag) != 0)
            seen[length++] = letters[i].letter;
    seen[length] = '\0';
    if (strcmp(seen, expected) != 0)
        fail_msg("%s\nhas \"%s\", expected \"%s\"", sql, seen, expected);
}

static void reading_has_no_effects(void **state)
{
    (void)state;
    expect_effects("", "");
    expect_effects(" ; -- x", "");
    expect_effects("SELECT 1", "");
    expect_effects("(SELECT 1) UNION (SELECT 2);", "");
    expect_effects("VALUES (1), (2)", "");
    expect_effects("TABLE t", "");
    expect_effects("SHOW search_path", "");
    expect_effects("select a from t where b in (1, 2) and exists (select 1) and c = any ($1)", "");
    expect_effects("SELECT count(*), coalesce(sum(x), 0), lower(a), pg_catalog.now() FROM t GROUP BY (b)", "");
    expect_effects("WITH a(x, y) AS (SELECT 1, 2), b AS MATERIALIZED (SELECT 3) SELECT * FROM a", "");
    expect_effects("SELECT * FROM t AS u(a, b) JOIN v USING (id)", "");
    expect_effects("SELECT a::varchar(20), CAST(b AS numeric(10, 2)), sum(x) OVER (PARTITION BY y) FROM t", "");
    expect_effects("SELECT 'SET x = 1; LISTEN y', $$DISCARD ALL$$, \"set_config\" FROM t /* RESET ALL */", "");
    expect_effects("SELECT returning.x, t.returning, 1 AS into, t.insert FROM t", "");
    expect_effects("SELECT * FROM t FOR UPDATE", "");
}

static void anything_else_writes(void **state)
{
    (void)state;
    expect_effects("INSERT INTO t (a, b) VALUES ($1, $2)", "W");
    expect_effects("INSERT INTO s.t (a) VALUES (1)", "W");
    expect_effects("UPDATE t SET a = 1 WHERE b = 2", "W");
    expect_effects("DELETE FROM t", "W");
    expect_effects("CREATE TABLE IF NOT EXISTS t (a varchar(20) PRIMARY KEY, b int REFERENCES u (id), UNIQUE (b))",
                   "W");
    expect_effects("ALTER TABLE t ADD COLUMN c int", "W");
    expect_effects("VACUUM t", "W");
    expect_effects("NOTIFY channel", "W");
    expect_effects("SELECT a INTO t FROM u", "W");
    expect_effects("nonsense", "W");
}

static void a_with_that_modifies_writes(void **state)
{
    (void)state;
    expect_effects("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", "W");
    expect_effects("WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a", "W");
    expect_effects("WITH a AS (WITH b AS (SELECT 1) UPDATE t SET x = 1 RETURNING x) TABLE a", "W");
    expect_effects("(WITH a AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM a)", "W");
    expect_effects("WITH a AS (SELECT 1) SELECT * FROM t FOR UPDATE", "");
    expect_effects("WITH a AS (SELECT 1) SELECT * FROM t FOR NO KEY UPDATE", "");
}

static void returning_counts_outside_of_parentheses_only(void **state)
{
    (void)state;
    expect_effects("INSERT INTO t VALUES (1) RETURNING id", "RW");
    expect_effects("insert into t select 1 on conflict (a) do update set a = 2 returning *", "RW");
    expect_effects("INSERT INTO t SELECT * FROM (SELECT 'RETURNING') a -- RETURNING", "W");
    expect_effects("INSERT INTO t (\"returning\") VALUES (1)", "W");
}

static void settings_stay_in_the_session(void **state)
{
    (void)state;
    expect_effects("SET search_path = x", "SW");
    expect_effects("SET search_path TO x", "SW");
    expect_effects("set session statement_timeout = 1", "SW");
    expect_effects("SET ROLE x", "SW");
    expect_effects("SET TIME ZONE 'UTC'", "SW");
    expect_effects("SET SESSION AUTHORIZATION x", "SW");
    expect_effects("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SW");
    expect_effects("SET local.x = '1'", "SW");
    expect_effects("SET app.x = '1'", "SW");
    expect_effects("RESET ALL", "SW");
}

static void settings_of_a_transaction_or_an_object_do_not(void **state)
{
    (void)state;
    expect_effects("SET LOCAL search_path = x", "W");
    expect_effects("SET LOCAL app.x = '1'", "W");
    expect_effects("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "W");
    expect_effects("SET CONSTRAINTS ALL DEFERRED", "W");
    expect_effects("ALTER ROLE x SET search_path = y", "W");
    expect_effects("ALTER TABLE t ALTER COLUMN c SET DEFAULT 1", "W");
    expect_effects("CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql SET search_path = x AS 'SELECT 1'", "W");
}

static void what_a_session_keeps_is_flagged(void **state)
{
    (void)state;
    expect_effects("LISTEN x", "SW");
    expect_effects("UNLISTEN *", "SW");
    expect_effects("PREPARE p AS SELECT 1", "SW");
    expect_effects("DEALLOCATE p", "SW");
    expect_effects("DISCARD ALL", "SW");
    expect_effects("LOAD 'x'", "SW");
    expect_effects("DO 'BEGIN END'", "SFW");
    expect_effects("CALL p()", "SFW");
    expect_effects("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "SW");
    expect_effects("DECLARE c CURSOR FOR SELECT 1", "W");
    expect_effects("DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1", "W");
}

static void temporary_objects_stay_in_the_session(void **state)
{
    (void)state;
    expect_effects("CREATE TEMP TABLE t (a int)", "SW");
    expect_effects("CREATE TEMPORARY TABLE t AS SELECT 1", "SW");
    expect_effects("CREATE LOCAL TEMPORARY TABLE t ()", "SW");
    expect_effects("create or replace temp view v as select 1", "SW");
    expect_effects("CREATE TABLE pg_temp.t ()", "SW");
    expect_effects("CREATE FUNCTION \"pg_temp\".f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "SW");
    expect_effects("SELECT 1 AS a INTO TEMP t", "SW");
    expect_effects("WITH a AS (SELECT 1) SELECT * INTO TEMPORARY TABLE t FROM a", "SW");
    expect_effects("INSERT INTO temp VALUES (1)", "W");
    expect_effects("CREATE TABLE temp (temporary int)", "W");
    expect_effects("SELECT * FROM temp", "");
}

static void functions_with_session_effects_are_known(void **state)
{
    (void)state;
    expect_effects("SELECT set_config('a', 'b', false)", "SF");
    expect_effects("SELECT pg_catalog.SET_CONFIG ('a', 'b', false)", "SF");
    expect_effects("SELECT \"set_config\"('a', 'b', false)", "SF");
    expect_effects("SELECT pg_advisory_lock(1)", "SF");
    expect_effects("SELECT pg_advisory_lock_shared(1)", "SF");
    expect_effects("SELECT pg_try_advisory_lock(1), pg_try_advisory_lock_shared(2)", "SF");
    expect_effects("SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock(2)", "");
    expect_effects("SELECT setseed(0.5)", "SF");
    expect_effects("SELECT dblink_connect('x')", "SF");
    expect_effects("SELECT nextval('s'), currval('s')", "");
    expect_effects("INSERT INTO t SELECT set_config('a', 'b', false) RETURNING id", "SRFW");
}

static void an_unknown_function_may_do_anything(void **state)
{
    (void)state;
    expect_effects("SELECT mine(1)", "F");
    expect_effects("SELECT app.count(1)", "F");
    expect_effects("SELECT \"in\"(1)", "F");
    expect_effects("SELECT DISTINCT ON (a) mine(1) FROM t", "F");
    expect_effects("SELECT * FROM t JOIN mine(t.a) ON true", "F");
    expect_effects("SELECT a[1:mine(2)]", "F");
    expect_effects("SELECT count(mine(1))", "F");
    expect_effects("EXECUTE p", "FW");
    expect_effects("SELECT mine /* x */\n (1)", "F");
}

static void transactions_are_known_by_their_first_word(void **state)
{
    (void)state;
    static const char *const statements[] = {
        "BEGIN",
        "begin isolation level serializable",
        "START TRANSACTION",
        "COMMIT",
        "END",
        "ROLLBACK",
        "ABORT",
        "SAVEPOINT a",
        "RELEASE a",
        "ROLLBACK TO a",
        "COMMIT PREPARED 'x'",
        "ROLLBACK PREPARED 'x'",
        "PREPARE TRANSACTION 'x'",
        "-- x\n COMMIT AND CHAIN",
    };
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        expect_effects(statements[i], "TW");
    expect_effects("SELECT commit FROM rollback", "");
}

static void copy_to_and_from_the_client_is_known(void **state)
{
    (void)state;
    expect_effects("COPY t (a, b) FROM STDIN", "CW");
    expect_effects("copy t to stdout (format binary)", "CW");
    expect_effects("COPY (SELECT 1) TO STDOUT", "CW");
    expect_effects("COPY t FROM '/stdin'", "W");
    expect_effects("COPY stdin FROM PROGRAM 'x'", "W");
    expect_effects("SELECT 1 FROM stdin", "");
}

static void explain_acts_only_with_analyze(void **state)
{
    (void)state;
    expect_effects("EXPLAIN SELECT 1", "");
    expect_effects("EXPLAIN INSERT INTO t (a) VALUES (1) RETURNING a", "R");
    expect_effects("EXPLAIN (COSTS off, FORMAT json) DELETE FROM t", "");
    expect_effects("EXPLAIN (SELECT analyze FROM t)", "");
    expect_effects("EXPLAIN ANALYZE SELECT 1", "W");
    expect_effects("EXPLAIN (ANALYZE, BUFFERS) INSERT INTO t VALUES (1) RETURNING a", "RW");
    expect_effects("EXPLAIN ANALYZE VERBOSE CREATE TEMP TABLE t AS SELECT 1", "SW");
    expect_effects("EXPLAIN ANALYZE EXECUTE p", "FW");
}

static void several_statements_are_many(void **state)
{
    (void)state;
    expect_effects("SELECT 1; SELECT 2", "M");
    expect_effects("SELECT 1;;", "");
    expect_effects(";;SELECT 1; -- x", "");
    expect_effects("SELECT 1; SET x = 1; COMMIT; COPY t FROM STDIN", "STCWM");
    expect_effects("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END", "W");
}

static void what_cannot_be_read_may_do_anything(void **state)
{
    (void)state;
    expect_effects("SELECT 'x", "SFW");
    expect_effects("SELECT (1", "SFW");
    expect_effects("/* x", "SFW");
    expect_effects("COMMIT; SELECT $$", "STFW");
}

static void hostile_bytes_are_read_without_harm(void **state)
{
    (void)state;
    assert_int_equal(pgdbm__sql_effects("SELECT \0 set_config(", 20) & PGDBM__EFFECT_SESSION, PGDBM__EFFECT_SESSION);
    assert_int_equal(pgdbm__sql_effects("\xFF\xFE", 2), PGDBM__EFFECT_WRITE);
    assert_int_equal(pgdbm__sql_effects(NULL, 0), 0);
    size_t bytes = 1 << 20;
    char *text = test_malloc(bytes);
    memset(text, 'a', bytes);
    memcpy(text, "SELECT ", 7);
    text[bytes - 2] = '(';
    text[bytes - 1] = ')';
    assert_int_equal(pgdbm__sql_effects(text, bytes), PGDBM__EFFECT_FUNCTION);
    for (size_t i = 7; i < bytes; i++)
        text[i] = "a(),"[i % 4];
    assert_int_not_equal(pgdbm__sql_effects(text, bytes) & PGDBM__EFFECT_FUNCTION, 0);
    test_free(text);
}

/* The look-up is a binary search. */
static void the_table_of_harmless_names_is_sorted_and_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < pgdbm__harmless_count; i++) {
        if (i > 0 && strcmp(pgdbm__harmless_names[i - 1], pgdbm__harmless_names[i]) >= 0)
            fail_msg("\"%s\" must stand before \"%s\"", pgdbm__harmless_names[i], pgdbm__harmless_names[i - 1]);
        assert_true(pgdbm__sql_harmless(pgdbm__harmless_names[i]));
    }
    assert_false(pgdbm__sql_harmless(""));
    assert_false(pgdbm__sql_harmless("set_config"));
    assert_false(pgdbm__sql_harmless("zz"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_has_no_effects),
        cmocka_unit_test(anything_else_writes),
        cmocka_unit_test(a_with_that_modifies_writes),
        cmocka_unit_test(returning_counts_outside_of_parentheses_only),
        cmocka_unit_test(settings_stay_in_the_session),
        cmocka_unit_test(settings_of_a_transaction_or_an_object_do_not),
        cmocka_unit_test(what_a_session_keeps_is_flagged),
        cmocka_unit_test(temporary_objects_stay_in_the_session),
        cmocka_unit_test(functions_with_session_effects_are_known),
        cmocka_unit_test(an_unknown_function_may_do_anything),
        cmocka_unit_test(transactions_are_known_by_their_first_word),
        cmocka_unit_test(copy_to_and_from_the_client_is_known),
        cmocka_unit_test(explain_acts_only_with_analyze),
        cmocka_unit_test(several_statements_are_many),
        cmocka_unit_test(what_cannot_be_read_may_do_anything),
        cmocka_unit_test(hostile_bytes_are_read_without_harm),
        cmocka_unit_test(the_table_of_harmless_names_is_sorted_and_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
