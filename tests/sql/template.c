/* SPDX-License-Identifier: MIT */
/* What templates become, and what a bad one is told. */
#include "sql/template.h"

#include "base/alloc.h"
#include "sql/suite.h"

static void expect_expanded(const char *text, const char *schema, const char *expected)
{
    struct pgdbm__buffer out = {0};
    pgdbm_error err = {0};
    if (pgdbm__template_expand(text, strlen(text), schema, &out, &err) != PGDBM_OK)
        fail_msg("%s was refused: %s", text, err.message);
    char *expanded = pgdbm__buffer_take(&out);
    assert_string_equal(expanded, expected);
    pgdbm__free(expanded);
}

static void expect_refused(const char *text, const char *message, int position, const char *hint)
{
    struct pgdbm__buffer out = {0};
    pgdbm_error err = {0};
    pgdbm__buffer_text(&out, "kept");
    if (pgdbm__template_expand(text, strlen(text), "app", &out, &err) == PGDBM_OK)
        fail_msg("%s was accepted", text);
    assert_int_equal(err.status, PGDBM_ERR_SCHEMA);
    assert_string_equal(err.message, message);
    assert_int_equal(err.position, position);
    if (strstr(err.hint, hint) == NULL)
        fail_msg("%s: the hint \"%s\" should hold \"%s\"", text, err.hint, hint);
    assert_int_equal(out.length, 4);
    assert_memory_equal(out.data, "kept", 4);
    pgdbm__buffer_free(&out);
}

static void tables_and_schema_become_quoted_names(void **state)
{
    (void)state;
    expect_expanded("SELECT * FROM {{tables.users}}", "app", "SELECT * FROM \"app\".\"users\"");
    expect_expanded("SELECT * FROM {{tables.users}}", NULL, "SELECT * FROM \"users\"");
    expect_expanded("{{tables.billing.invoices}}", "app", "\"billing\".\"invoices\"");
    expect_expanded("{{tables.billing.invoices}}", NULL, "\"billing\".\"invoices\"");
    expect_expanded("CREATE SCHEMA {{schema}};", "app", "CREATE SCHEMA \"app\";");
    expect_expanded("{{schema}}", NULL, "\"public\"");
    expect_expanded("{{tables.Order}} {{tables.BILLING.Invoices}}", "app",
                    "\"app\".\"order\" \"billing\".\"invoices\"");
    expect_expanded("{{tables.schema}}{{tables.tables}}", "s", "\"s\".\"schema\"\"s\".\"tables\"");
}

static void white_space_inside_the_braces_does_not_matter(void **state)
{
    (void)state;
    expect_expanded("{{ tables.users }}|{{\tschema\n}}|{{\r\n  tables.a.b}}", "s", "\"s\".\"users\"|\"s\"|\"a\".\"b\"");
}

static void templates_are_expanded_in_strings_comments_and_bodies(void **state)
{
    (void)state;
    expect_expanded("-- {{tables.a}}\n/* {{schema}} */ SELECT '{{tables.a}}', $$ {{tables.a}} $$, \"{{tables.a}}\"",
                    "s", "-- \"s\".\"a\"\n/* \"s\" */ SELECT '\"s\".\"a\"', $$ \"s\".\"a\" $$, \"\"s\".\"a\"\"");
}

static void braces_that_open_nothing_are_plain_text(void **state)
{
    (void)state;
    expect_expanded("", "s", "");
    expect_expanded("{", "s", "{");
    expect_expanded("}} {a} '{\"a\":{\"b\":1}}' { {", "s", "}} {a} '{\"a\":{\"b\":1}}' { {");
    expect_expanded("{{schema}}}}{", "s", "\"s\"}}{");
    expect_expanded("{ {{schema}} {", "s", "{ \"s\" {");
    assert_false(pgdbm__template_needed("{ {", 3));
    assert_false(pgdbm__template_needed("{", 1));
    assert_false(pgdbm__template_needed("", 0));
    assert_false(pgdbm__template_needed("}}", 2));
    assert_true(pgdbm__template_needed("{{", 2));
    assert_true(pgdbm__template_needed("ab{{c", 5));
    assert_false(pgdbm__template_needed("ab{{c", 3));
}

static void an_unknown_placeholder_is_told_what_was_meant(void **state)
{
    (void)state;
    expect_refused("SELECT {{tabels.x}}", "line 1, column 8: {{tabels.x}} is an unknown placeholder", 8,
                   "did you mean {{tables.x}}?");
    expect_refused("{{table.x}}", "line 1, column 1: {{table.x}} is an unknown placeholder", 1, "{{tables.x}}?");
    expect_refused("{{tabless.x}}", "line 1, column 1: {{tabless.x}} is an unknown placeholder", 1, "{{tables.x}}?");
    expect_refused("{{tablas.a.b}}", "line 1, column 1: {{tablas.a.b}} is an unknown placeholder", 1,
                   "{{tables.a.b}}?");
    expect_refused("{{TABLES.x}}", "line 1, column 1: {{TABLES.x}} is an unknown placeholder", 1, "{{tables.x}}?");
    expect_refused("{{schema.x}}", "line 1, column 1: {{schema.x}} is an unknown placeholder", 1, "{{tables.x}}?");
    expect_refused("{{Schema}}", "line 1, column 1: {{Schema}} is an unknown placeholder", 1,
                   "did you mean {{schema}}?");
    expect_refused("{{shcema}}", "line 1, column 1: {{shcema}} is an unknown placeholder", 1,
                   "did you mean {{schema}}?");
    expect_refused("{{schem}}", "line 1, column 1: {{schem}} is an unknown placeholder", 1, "did you mean {{schema}}?");
    expect_refused("{{tables}}", "line 1, column 1: {{tables}} is an unknown placeholder", 1, "name the table");
    expect_refused("{{users}}", "line 1, column 1: {{users}} is an unknown placeholder", 1,
                   "did you mean {{tables.users}}?");
    expect_refused("{{x.y}}", "line 1, column 1: {{x.y}} is an unknown placeholder", 1, "there are {{tables.NAME}}");
    expect_refused("'{{1,2},{3,4}}'", "line 1, column 2: {{1,2},{3,4}} is an unknown placeholder", 2,
                   "'{ {1,2},{3,4}}'");
    expect_refused("{{}}", "line 1, column 1: {{}} is an empty placeholder", 1, "there are {{tables.NAME}}");
    expect_refused("{{ \n }}", "line 1, column 1: {{ \\x0A }} is an empty placeholder", 1, "there are");
}

static void a_malformed_name_is_told_what_is_wrong(void **state)
{
    (void)state;
    expect_refused("{{tables.a-b}}",
                   "line 1, column 1: {{tables.a-b}} is malformed: table name \"a-b\" has a hyphen in it; write an "
                   "underscore",
                   1, "63 bytes");
    expect_refused("{{tables.}}", "line 1, column 1: {{tables.}} is malformed: table name \"\" is empty", 1, "letter");
    expect_refused("{{tables..x}}", "line 1, column 1: {{tables..x}} is malformed: schema name \"\" is empty", 1,
                   "letter");
    expect_refused("{{tables.x.}}", "line 1, column 1: {{tables.x.}} is malformed: table name \"\" is empty", 1,
                   "letter");
    expect_refused("{{tables.a.b.c}}", "line 1, column 1: {{tables.a.b.c}} is malformed: too many dots", 1,
                   "{{tables.SCHEMA.NAME}}");
    expect_refused("{{tables. users}}",
                   "line 1, column 1: {{tables. users}} is malformed: table name \" users\" has white space in it", 1,
                   "letter");
    expect_refused(
        "{{tables.x\"; DROP TABLE y}}",
        "line 1, column 1: {{tables.x\"; DROP TABLE y}} is malformed: table name \"x\"; DROP TABLE y\" has a "
        "quote in it; give the bare name, pgdbm quotes it itself",
        1, "letter");
}

static void an_unclosed_placeholder_is_found_where_it_opens(void **state)
{
    (void)state;
    expect_refused("SELECT 1;\nSELECT {{tables.users",
                   "line 2, column 8: {{tables.users is an opened placeholder that is "
                   "not closed",
                   18, "close it with }}");
    expect_refused("{{", "line 1, column 1: {{ is an opened placeholder that is not closed", 1, "close it");
    expect_refused("{{tables.a} FROM {{tables.b}}",
                   "line 1, column 1: {{tables.a} FROM {{table is an opened placeholder that is not closed", 1,
                   "close");
    expect_refused("{{tables.a\nWHERE x = '}}'",
                   "line 1, column 1: {{tables.a is an opened placeholder that is not closed", 1, "same line");
}

static void line_column_and_position_count_characters(void **state)
{
    (void)state;
    expect_refused("SELECT '\xC3\xA4\xE2\x82\xAC',\r\n  {{tables.ok}}, '\xC3\xB6' {{oops!}}",
                   "line 2, column 22: {{oops!}} is an unknown placeholder", 36, "there are");
}

static void hostile_bytes_in_a_placeholder_make_a_short_readable_message(void **state)
{
    (void)state;
    static const char nul[] = "{{tables.a\0b}}";
    struct pgdbm__buffer out = {0};
    pgdbm_error err = {0};
    assert_int_equal(pgdbm__template_expand(nul, sizeof nul - 1, NULL, &out, &err), PGDBM_ERR_SCHEMA);
    assert_non_null(strstr(err.message, "\"a\\x00b\" has a NUL byte in it"));
    size_t bytes = 1 << 20;
    char *text = test_malloc(bytes);
    memset(text, 0xFF, bytes);
    memcpy(text, "{{tables.", 9);
    memcpy(text + bytes - 2, "}}", 2);
    assert_int_equal(pgdbm__template_expand(text, bytes, NULL, &out, &err), PGDBM_ERR_SCHEMA);
    assert_non_null(strstr(err.message, "is longer than 63 bytes"));
    assert_int_equal(out.length, 0);
    test_free(text);
    pgdbm__buffer_free(&out);
}

static void a_megabyte_of_placeholders_is_expanded(void **state)
{
    (void)state;
    static const char one[] = "{{schema}}";
    size_t count = (1 << 20) / (sizeof one - 1);
    struct pgdbm__buffer text = {0};
    struct pgdbm__buffer out = {0};
    for (size_t i = 0; i < count; i++)
        pgdbm__buffer_text(&text, one);
    assert_int_equal(pgdbm__template_expand(text.data, text.length, "s", &out, NULL), PGDBM_OK);
    assert_int_equal(out.length, count * 3);
    pgdbm__buffer_free(&text);
    pgdbm__buffer_free(&out);
}

static void a_failed_buffer_is_reported_as_out_of_memory(void **state)
{
    (void)state;
    struct pgdbm__buffer out = {.failed = true};
    pgdbm_error err = {0};
    assert_int_equal(pgdbm__template_expand("{{schema}}", 10, "s", &out, &err), PGDBM_ERR_NOMEM);
    assert_int_equal(err.status, PGDBM_ERR_NOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_and_schema_become_quoted_names),
        cmocka_unit_test(white_space_inside_the_braces_does_not_matter),
        cmocka_unit_test(templates_are_expanded_in_strings_comments_and_bodies),
        cmocka_unit_test(braces_that_open_nothing_are_plain_text),
        cmocka_unit_test(an_unknown_placeholder_is_told_what_was_meant),
        cmocka_unit_test(a_malformed_name_is_told_what_is_wrong),
        cmocka_unit_test(an_unclosed_placeholder_is_found_where_it_opens),
        cmocka_unit_test(line_column_and_position_count_characters),
        cmocka_unit_test(hostile_bytes_in_a_placeholder_make_a_short_readable_message),
        cmocka_unit_test(a_megabyte_of_placeholders_is_expanded),
        cmocka_unit_test(a_failed_buffer_is_reported_as_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
