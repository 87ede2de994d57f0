/* SPDX-License-Identifier: MIT */
/* Where statements begin and end, and what is said when they do not end. */
#include "sql/split.h"

#include "base/alloc.h"
#include "base/buffer.h"
#include "sql/effects.h"
#include "sql/suite.h"

/* Splits and compares "line:statement|line:statement". */
static void expect_statements(const char *text, const char *expected)
{
    struct pgdbm__splitter splitter;
    struct pgdbm__statement_span span;
    struct pgdbm__buffer seen = {0};
    pgdbm_error err = {0};
    bool found = true;
    pgdbm__splitter_init(&splitter, text, strlen(text));
    for (;;) {
        if (pgdbm__split_next(&splitter, &span, &found, &err) != PGDBM_OK)
            fail_msg("%s\nwas refused: %s", text, err.message);
        if (!found)
            break;
        pgdbm__buffer_format(&seen, "%s%zu:%.*s", seen.length > 0 ? "|" : "", span.line, (int)span.bytes,
                             text + span.offset);
    }
    char *all = pgdbm__buffer_take(&seen);
    assert_string_equal(all, expected);
    pgdbm__free(all);
}

/* Splits `good` statements, then expects the error, and the same error when asked again. */
static void expect_open(const char *text, size_t good, const char *message, int position)
{
    struct pgdbm__splitter splitter;
    struct pgdbm__statement_span span;
    pgdbm_error err = {0};
    bool found;
    pgdbm__splitter_init(&splitter, text, strlen(text));
    for (size_t i = 0; i < good; i++) {
        assert_int_equal(pgdbm__split_next(&splitter, &span, &found, &err), PGDBM_OK);
        assert_true(found);
    }
    for (int again = 0; again < 2; again++) {
        assert_int_equal(pgdbm__split_next(&splitter, &span, &found, &err), PGDBM_ERR_MIGRATION);
        assert_false(found);
        assert_int_equal(err.status, PGDBM_ERR_MIGRATION);
        assert_string_equal(err.message, message);
        assert_int_equal(err.position, position);
        assert_string_not_equal(err.hint, "");
    }
}

static void semicolons_separate_statements(void **state)
{
    (void)state;
    expect_statements("SELECT 1; SELECT 2", "1:SELECT 1|1:SELECT 2");
    expect_statements("SELECT 1;\nSELECT 2;\n", "1:SELECT 1|2:SELECT 2");
    expect_statements("a\n  b\n;c", "1:a\n  b|3:c");
}

static void empty_statements_and_comments_are_passed_over(void **state)
{
    (void)state;
    expect_statements("", "");
    expect_statements(" ;;\n; -- x\n /* ; */ ;", "");
    expect_statements("-- head;\nSELECT 1 -- tail;\n;\n-- end", "2:SELECT 1");
    expect_statements("SELECT /* a;\n */ 1; /* b */\n\n-- c;\nSELECT 2", "1:SELECT /* a;\n */ 1|5:SELECT 2");
}

static void a_byte_order_mark_is_no_statement(void **state)
{
    (void)state;
    expect_statements("\xEF\xBB\xBF", "");
    expect_statements("\xEF\xBB\xBF"
                      "SELECT 1;",
                      "1:SELECT 1");
}

static void semicolons_in_quotes_do_not_separate(void **state)
{
    (void)state;
    expect_statements("SELECT ';', E'\\';', \"a;\"\"b\", $$;$$, $x$ $$; $x$; b",
                      "1:SELECT ';', E'\\';', \"a;\"\"b\", $$;$$, $x$ $$; $x$|1:b");
    expect_statements("SELECT 'it''s;'\n  '; more'; b", "1:SELECT 'it''s;'\n  '; more'|2:b");
    expect_statements("SELECT $1;b$$;c$$;d", "1:SELECT $1|1:b$$|1:c$$|1:d");
    expect_statements("DO $f1$ BEGIN\n x; END $f1$;\nb", "1:DO $f1$ BEGIN\n x; END $f1$|3:b");
}

static void semicolons_in_parentheses_do_not_separate(void **state)
{
    (void)state;
    expect_statements("CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO a VALUES (1); SELECT (2););b",
                      "1:CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO a VALUES (1); SELECT (2);)|1:b");
    expect_statements("SELECT ')(', 1); b", "1:SELECT ')(', 1)|1:b");
}

static void a_routine_body_is_one_statement(void **state)
{
    (void)state;
    expect_statements("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; b",
                      "1:CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END|1:b");
    expect_statements("create or replace procedure p(a int) begin\natomic insert into t values (1); end;b",
                      "1:create or replace procedure p(a int) begin\natomic insert into t values (1); end|2:b");
    expect_statements(
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN CASE b WHEN 1 THEN 2 END END; "
        "SELECT (CASE WHEN c THEN 1 END); END; b",
        "1:CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN CASE b WHEN 1 THEN 2 END "
        "END; SELECT (CASE WHEN c THEN 1 END); END|1:b");
    expect_statements("CREATE FUNCTION f() BEGIN ATOMIC CREATE FUNCTION g() BEGIN ATOMIC SELECT 1; END; END; b",
                      "1:CREATE FUNCTION f() BEGIN ATOMIC CREATE FUNCTION g() BEGIN ATOMIC SELECT 1; END; END|1:b");
}

static void words_of_a_body_may_be_labels_and_columns(void **state)
{
    (void)state;
    expect_statements(
        "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1 AS end, t.end, t.case, 2 AS case, \"end\"; SELECT 2 end; END; b",
        "1:CREATE FUNCTION f() BEGIN ATOMIC SELECT 1 AS end, t.end, t.case, 2 AS case, \"end\"; SELECT 2 end; "
        "END|1:b");
    expect_statements("CREATE FUNCTION f() BEGIN ATOMIC END; b", "1:CREATE FUNCTION f() BEGIN ATOMIC END|1:b");
    expect_statements("CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS 'SELECT 1'; b",
                      "1:CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS 'SELECT 1'|1:b");
    expect_statements("CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN CASE WHEN true THEN 1 END; b",
                      "1:CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN CASE WHEN true THEN 1 END|1:b");
}

static void begin_is_a_statement_of_its_own_outside_of_routines(void **state)
{
    (void)state;
    expect_statements("BEGIN; SELECT 1; END; b", "1:BEGIN|1:SELECT 1|1:END|1:b");
    expect_statements("CREATE TABLE begin (atomic int); SELECT begin atomic FROM x; b",
                      "1:CREATE TABLE begin (atomic int)|1:SELECT begin atomic FROM x|1:b");
    expect_statements("SELECT CASE WHEN a THEN 1 END; b", "1:SELECT CASE WHEN a THEN 1 END|1:b");
}

static void what_is_never_closed_is_named_with_its_line(void **state)
{
    (void)state;
    expect_open("a;\nSELECT 'b", 1, "line 2: the string that begins here is never closed: 'b", 11);
    expect_open("SELECT \"b", 0, "line 1: the quoted name that begins here is never closed: \"b", 8);
    expect_open("\n\n$x$;\n$X$", 0, "line 3: the dollar-quoted string that begins here is never closed: $x$;\\x0A$X$",
                3);
    expect_open("a; /* /* */", 1, "line 1: the comment that begins here is never closed: /* /* */", 4);
    expect_open("a;/*", 1, "line 1: the comment that begins here is never closed: /*", 3);
    expect_open("a (b\n(c); d", 0, "line 1: the parenthesis that begins here is never closed: (b\\x0A(c); d", 3);
    expect_open("CREATE FUNCTION f()\nBEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; b", 0,
                "line 2: the body that begins here is never closed: BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; b", 21);
}

static void hostile_bytes_are_part_of_their_statement(void **state)
{
    (void)state;
    static const char text[] = "a\0;\xFF\xC3;b";
    struct pgdbm__splitter splitter;
    struct pgdbm__statement_span span;
    bool found;
    static const struct pgdbm__statement_span expected[] = {{0, 2, 1}, {3, 2, 1}, {6, 1, 1}};
    pgdbm__splitter_init(&splitter, text, sizeof text - 1);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pgdbm__split_next(&splitter, &span, &found, NULL), PGDBM_OK);
        assert_true(found);
        assert_int_equal(span.offset, expected[i].offset);
        assert_int_equal(span.bytes, expected[i].bytes);
        assert_int_equal(span.line, 1);
    }
    assert_int_equal(pgdbm__split_next(&splitter, &span, &found, NULL), PGDBM_OK);
    assert_false(found);
}

static void a_megabyte_of_statements_is_split(void **state)
{
    (void)state;
    static const char one[] = "SELECT (';', $$;$$);\n";
    size_t count = (1 << 20) / (sizeof one - 1);
    struct pgdbm__buffer text = {0};
    for (size_t i = 0; i < count; i++)
        pgdbm__buffer_text(&text, one);
    struct pgdbm__splitter splitter;
    struct pgdbm__statement_span span;
    bool found = true;
    size_t seen = 0;
    pgdbm__splitter_init(&splitter, text.data, text.length);
    while (pgdbm__split_next(&splitter, &span, &found, NULL) == PGDBM_OK && found) {
        seen++;
        if (span.line != seen || span.bytes != sizeof one - 3)
            fail_msg("statement %zu: line %zu, %zu bytes", seen, (size_t)span.line, (size_t)span.bytes);
    }
    assert_int_equal(seen, count);
    pgdbm__buffer_free(&text);
}

/* What migrations ask: on which line does a transactional file try to end its own transaction? */
static size_t line_with_transaction_control(const char *text)
{
    struct pgdbm__splitter splitter;
    struct pgdbm__statement_span span;
    bool found = true;
    pgdbm__splitter_init(&splitter, text, strlen(text));
    while (pgdbm__split_next(&splitter, &span, &found, NULL) == PGDBM_OK && found)
        if ((pgdbm__sql_effects(text + span.offset, span.bytes) & PGDBM__EFFECT_TRANSACTION) != 0)
            return span.line;
    return 0;
}

static void transaction_control_is_found_by_splitting_and_effects(void **state)
{
    (void)state;
    assert_int_equal(line_with_transaction_control("CREATE TABLE a ();\n-- BEGIN;\n  Commit ;\n"), 3);
    assert_int_equal(line_with_transaction_control("/* x */\nBEGIN"), 2);
    assert_int_equal(line_with_transaction_control("SELECT 'COMMIT;';\nDO $$ BEGIN COMMIT; END $$;\n"
                                                   "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; END;"),
                     0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(semicolons_separate_statements),
        cmocka_unit_test(empty_statements_and_comments_are_passed_over),
        cmocka_unit_test(a_byte_order_mark_is_no_statement),
        cmocka_unit_test(semicolons_in_quotes_do_not_separate),
        cmocka_unit_test(semicolons_in_parentheses_do_not_separate),
        cmocka_unit_test(a_routine_body_is_one_statement),
        cmocka_unit_test(words_of_a_body_may_be_labels_and_columns),
        cmocka_unit_test(begin_is_a_statement_of_its_own_outside_of_routines),
        cmocka_unit_test(what_is_never_closed_is_named_with_its_line),
        cmocka_unit_test(hostile_bytes_are_part_of_their_statement),
        cmocka_unit_test(a_megabyte_of_statements_is_split),
        cmocka_unit_test(transaction_control_is_found_by_splitting_and_effects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
