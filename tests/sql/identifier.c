/* SPDX-License-Identifier: MIT */
/* What is a name, what is not, and what the error says; and how outside text looks in messages. */
#include "sql/identifier.h"

#include "sql/report.h"
#include "sql/suite.h"

static void expect_folded(const char *name, const char *expected)
{
    char folded[PGDBM__IDENTIFIER_BYTES];
    pgdbm_error err = {0};
    if (pgdbm__identifier_fold(name, strlen(name), "table", folded, &err) != PGDBM_OK)
        fail_msg("\"%s\" was refused: %s", name, err.message);
    assert_string_equal(folded, expected);
}

static void expect_refused(const char *name, size_t bytes, const char *message)
{
    char folded[PGDBM__IDENTIFIER_BYTES];
    pgdbm_error err = {0};
    assert_int_equal(pgdbm__identifier_fold(name, bytes, "schema", folded, &err), PGDBM_ERR_SCHEMA);
    assert_int_equal(err.status, PGDBM_ERR_SCHEMA);
    assert_string_equal(err.message, message);
    assert_non_null(strstr(err.hint, "63 bytes"));
}

static void a_plain_name_is_folded_to_lower_case(void **state)
{
    (void)state;
    expect_folded("users", "users");
    expect_folded("Users", "users");
    expect_folded("_", "_");
    expect_folded("_9Z", "_9z");
    expect_folded("order", "order");
    expect_folded("AZaz09_", "azaz09_");
}

static void sixty_three_bytes_fit_and_sixty_four_do_not(void **state)
{
    (void)state;
    char name[65];
    memset(name, 'A', sizeof name);
    name[63] = '\0';
    char folded[PGDBM__IDENTIFIER_BYTES];
    assert_int_equal(pgdbm__identifier_fold(name, 63, "table", folded, NULL), PGDBM_OK);
    assert_int_equal(strlen(folded), 63);
    assert_int_equal(folded[62], 'a');
    expect_refused("aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234", 64,
                   "schema name \"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234\" is longer than 63 "
                   "bytes");
}

static void every_kind_of_bad_name_says_what_is_wrong_with_it(void **state)
{
    (void)state;
    expect_refused("", 0, "schema name \"\" is empty");
    expect_refused(NULL, 0, "schema name \"\" is empty");
    expect_refused("1st", 3, "schema name \"1st\" begins with a digit");
    expect_refused("a b", 3, "schema name \"a b\" has white space in it");
    expect_refused("a\nb", 3, "schema name \"a\\x0Ab\" has white space in it");
    expect_refused("a.b", 3, "schema name \"a.b\" has a dot in it; schema and table are given separately");
    expect_refused("a-b", 3, "schema name \"a-b\" has a hyphen in it; write an underscore");
    expect_refused("\"a\"", 3, "schema name \"\"a\"\" has a quote in it; give the bare name, pgdbm quotes it itself");
    expect_refused(
        "a'; DROP TABLE t; --", 20,
        "schema name \"a'; DROP TABLE t; --\" has a quote in it; give the bare name, pgdbm quotes it itself");
    expect_refused("a\0b", 3, "schema name \"a\\x00b\" has a NUL byte in it");
    expect_refused("gr\xC3\xB6\xC3\x9F", 6,
                   "schema name \"gr\xC3\xB6\xC3\x9F\" has a character in it that is not ASCII");
    expect_refused("a\xFF", 2, "schema name \"a\\xFF\" has a character in it that is not ASCII");
    expect_refused("a$b", 3, "schema name \"a$b\" has a character in it that is no letter, digit or underscore");
}

static void every_single_byte_is_judged_by_the_rule(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char name[2] = {'a', (char)c};
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        if ((pgdbm__identifier_fault(name, 2) == NULL) != good)
            fail_msg("behind a letter, byte %d should be %s", c, good ? "good" : "bad");
        if ((pgdbm__identifier_fault(name + 1, 1) == NULL) != (good && !(c >= '0' && c <= '9')))
            fail_msg("alone, byte %d is misjudged", c);
    }
}

static void a_huge_name_makes_a_short_message(void **state)
{
    (void)state;
    char *name = test_malloc(1 << 20);
    memset(name, '\x01', 1 << 20);
    char folded[PGDBM__IDENTIFIER_BYTES];
    pgdbm_error err = {0};
    assert_int_equal(pgdbm__identifier_fold(name, 1 << 20, "table", folded, &err), PGDBM_ERR_SCHEMA);
    assert_true(strlen(err.message) < 200);
    assert_non_null(strstr(err.message, "\\x01\xE2\x80\xA6\" is longer than 63 bytes"));
    test_free(name);
}

static void shown_text_is_safe_for_a_terminal(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *shown;
    } cases[] = {
        {"plain", "plain"},
        {"\x1B[31m", "\\x1B[31m"},
        {"\x7F", "\\x7F"},
        {"\xC2\x9B", "\\xC2\\x9B"},                   /* a C1 control */
        {"\xC0\xAF", "\\xC0\\xAF"},                   /* overlong */
        {"\xE0\x80\x80", "\\xE0\\x80\\x80"},          /* overlong */
        {"\xED\xA0\x80", "\\xED\\xA0\\x80"},          /* a surrogate */
        {"\xF4\x90\x80\x80", "\\xF4\\x90\\x80\\x80"}, /* beyond the last character */
        {"\xE2\x82", "\\xE2\\x82"},                   /* cut short */
        {"\xE2\x82\xAC \xF0\x9F\x90\x98", "\xE2\x82\xAC \xF0\x9F\x90\x98"},
    };
    char shown[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(pgdbm__printable(cases[i].text, strlen(cases[i].text), shown, sizeof shown),
                            cases[i].shown);
    char small[16];
    assert_string_equal(pgdbm__printable("0123456789abcdef", 16, small, sizeof small), "0123456789ab\xE2\x80\xA6");
}

static void a_place_counts_characters_not_bytes(void **state)
{
    (void)state;
    static const char text[] = "ab\n\xC3\xA4\xC3\xB6x";
    struct pgdbm__text_place place = pgdbm__place_of(text, sizeof text - 1, 7);
    assert_int_equal(place.line, 2);
    assert_int_equal(place.column, 3);
    assert_int_equal(place.character, 6);
    place = pgdbm__place_of(text, 0, 100);
    assert_int_equal(place.line, 1);
    assert_int_equal(place.column, 1);
    assert_int_equal(place.character, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_name_is_folded_to_lower_case),
        cmocka_unit_test(sixty_three_bytes_fit_and_sixty_four_do_not),
        cmocka_unit_test(every_kind_of_bad_name_says_what_is_wrong_with_it),
        cmocka_unit_test(every_single_byte_is_judged_by_the_rule),
        cmocka_unit_test(a_huge_name_makes_a_short_message),
        cmocka_unit_test(shown_text_is_safe_for_a_terminal),
        cmocka_unit_test(a_place_counts_characters_not_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
