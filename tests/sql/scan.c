/* SPDX-License-Identifier: MIT */
/* The tokenizer against PostgreSQL's lexical rules. Each case is a text and its tokens, written "kind text" in a row.
 */
#include "sql/scan.h"

#include "base/alloc.h"
#include "base/buffer.h"
#include "sql/suite.h"

static const char *const kinds[] = {
    [PGDBM__TOKEN_END] = "end",
    [PGDBM__TOKEN_WORD] = "w",
    [PGDBM__TOKEN_IDENTIFIER] = "i",
    [PGDBM__TOKEN_STRING] = "s",
    [PGDBM__TOKEN_NUMBER] = "n",
    [PGDBM__TOKEN_PARAMETER] = "p",
    [PGDBM__TOKEN_OPERATOR] = "o",
    [PGDBM__TOKEN_SYMBOL] = "y",
    [PGDBM__TOKEN_OPEN_STRING] = "open string",
    [PGDBM__TOKEN_OPEN_IDENTIFIER] = "open identifier",
    [PGDBM__TOKEN_OPEN_DOLLAR] = "open dollar",
    [PGDBM__TOKEN_OPEN_COMMENT] = "open comment",
};

/* Scans, checks that tokens are ordered, inside the text and not empty, and compares "kind<text> kind<text>". */
static void expect_tokens_of(const char *text, size_t bytes, const char *expected)
{
    struct pgdbm__scanner scanner = {.text = text, .bytes = bytes};
    struct pgdbm__token token;
    struct pgdbm__buffer seen = {0};
    size_t end = 0;
    for (;;) {
        pgdbm__scan_next(&scanner, &token);
        assert_in_range(token.offset, end, bytes);
        end = token.offset + token.bytes;
        assert_in_range(end, token.offset, bytes);
        if (token.kind == PGDBM__TOKEN_END)
            break;
        assert_int_not_equal(token.bytes, 0);
        pgdbm__buffer_format(&seen, "%s%s<%.*s>", seen.length > 0 ? " " : "", kinds[token.kind], (int)token.bytes,
                             text + token.offset);
    }
    char *all = pgdbm__buffer_take(&seen);
    assert_string_equal(all, expected);
    pgdbm__free(all);
}

static void expect_tokens(const char *text, const char *expected)
{
    expect_tokens_of(text, strlen(text), expected);
}

static void an_empty_text_has_no_tokens(void **state)
{
    (void)state;
    expect_tokens("", "");
    expect_tokens_of(NULL, 0, "");
    expect_tokens(" \t\r\n\f\v", "");
    expect_tokens("-- only a comment", "");
    expect_tokens("/**/", "");
}

static void a_doubled_quote_stays_inside_and_a_backslash_is_plain(void **state)
{
    (void)state;
    expect_tokens("'it''s' ''", "s<'it''s'> s<''>");
    expect_tokens("''''", "s<''''>");
    expect_tokens("'\\' x", "s<'\\'> w<x>");
    expect_tokens("'a;--/*$$' x", "s<'a;--/*$$'> w<x>");
}

static void an_escape_string_has_backslashes(void **state)
{
    (void)state;
    expect_tokens("E'\\'' x", "s<E'\\''> w<x>");
    expect_tokens("e'\\\\' x", "s<e'\\\\'> w<x>");
    expect_tokens("E'a''b\\'c' x", "s<E'a''b\\'c'> w<x>");
    expect_tokens("the'\\' x", "w<the> s<'\\'> w<x>");
    expect_tokens("E '\\' x", "w<E> s<'\\'> w<x>");
}

static void the_other_prefixes_take_no_backslash(void **state)
{
    (void)state;
    expect_tokens("B'01' x'1f' N'\\' U&'\\0061\\' u&\"a\"\"b\" x",
                  "s<B'01'> s<x'1f'> s<N'\\'> s<U&'\\0061\\'> i<u&\"a\"\"b\"> w<x>");
    expect_tokens("B'0''1'X'2'\n'3''' y", "s<B'0'> s<'1'> s<X'2'\n'3'> s<''> w<y>");
    expect_tokens("u & 'a'", "w<u> o<&> s<'a'>");
    expect_tokens("bu&'a'", "w<bu> o<&> s<'a'>");
}

static void a_string_goes_on_behind_a_line_break(void **state)
{
    (void)state;
    expect_tokens("'a'\n'b'", "s<'a'\n'b'>");
    expect_tokens("'a' \t\r\n  'b' 'c'", "s<'a' \t\r\n  'b'> s<'c'>");
    expect_tokens("'a' 'b'", "s<'a'> s<'b'>");
    expect_tokens("'a' -- c\n -- d\n 'b'", "s<'a' -- c\n -- d\n 'b'>");
    expect_tokens("'a' /* c */\n'b'", "s<'a'> s<'b'>");
    expect_tokens("E'a'\n'\\'b' x", "s<E'a'\n'\\'b'> w<x>");
    expect_tokens("'a'\nE'b'", "s<'a'> s<E'b'>");
    expect_tokens("'a'\n-- '\n", "s<'a'>");
    expect_tokens("\"a\"\n\"b\"", "i<\"a\"> i<\"b\">");
}

static void a_quoted_identifier_keeps_doubled_quotes(void **state)
{
    (void)state;
    expect_tokens("\"a\"\"b;'\" \"\"", "i<\"a\"\"b;'\"> i<\"\">");
    expect_tokens("\"\\\" x", "i<\"\\\"> w<x>");
}

static void a_dollar_quote_ends_at_its_own_tag(void **state)
{
    (void)state;
    expect_tokens("$$it's$$ x", "s<$$it's$$> w<x>");
    expect_tokens("$a$ $b$ $$ ; $a$ x", "s<$a$ $b$ $$ ; $a$> w<x>");
    expect_tokens("$a$ $A$ $a$", "s<$a$ $A$ $a$>");
    expect_tokens("$_1$x$_1$", "s<$_1$x$_1$>");
    expect_tokens("$a$$$a$", "s<$a$$$a$>");
    expect_tokens("$a$ $aa$a$ x", "s<$a$ $aa$a$> w<x>");
    expect_tokens("$\xC3\xA4$x$\xC3\xA4$", "s<$\xC3\xA4$x$\xC3\xA4$>");
    expect_tokens("'$$' x '$$'", "s<'$$'> w<x> s<'$$'>");
}

static void a_dollar_may_also_be_a_parameter_or_part_of_a_name(void **state)
{
    (void)state;
    expect_tokens("$1$2", "p<$1> p<$2>");
    expect_tokens("$1+$23", "p<$1> o<+> p<$23>");
    expect_tokens("$1$$x$$", "p<$1> s<$$x$$>");
    expect_tokens("a$b$ c$b$", "w<a$b$> w<c$b$>");
    expect_tokens("$1a$x", "p<$1> w<a$x>");
    expect_tokens("$ $a", "y<$> y<$> w<a>");
    expect_tokens("1$$a$$", "n<1> s<$$a$$>");
}

static void comments_nest_and_separate(void **state)
{
    (void)state;
    expect_tokens("a/* x /* y */ z */b", "w<a> w<b>");
    expect_tokens("a--b\nc--d\re", "w<a> w<c> w<e>");
    expect_tokens("/***/a/*/**/*/b", "w<a> w<b>");
    expect_tokens("/*/*/ */*/a", "w<a>");
    expect_tokens("/* ' \" $$ -- */a", "w<a>");
    expect_tokens("-- /*\na", "w<a>");
    expect_tokens("a*/b", "w<a> o<*/> w<b>");
}

static void numbers_take_fractions_exponents_and_bases(void **state)
{
    (void)state;
    expect_tokens("1 1.5 .5 1. 1e5 1.5E-3 2e+7", "n<1> n<1.5> n<.5> n<1.> n<1e5> n<1.5E-3> n<2e+7>");
    expect_tokens("1..10", "n<1> y<..> n<10>");
    expect_tokens("0xFf 0o17 0b1_0 1_000 0x", "n<0xFf> n<0o17> n<0b1_0> n<1_000> n<0> w<x>");
    expect_tokens("1e", "n<1> w<e>");
    expect_tokens("1FROM t", "n<1> w<FROM> w<t>");
    expect_tokens("a.5 a[1:2]", "w<a> n<.5> w<a> y<[> n<1> y<:> n<2> y<]>");
}

static void operators_end_before_comments_and_signs(void **state)
{
    (void)state;
    expect_tokens("a<>b", "w<a> o<<>> w<b>");
    expect_tokens("a=-1", "w<a> o<=> o<-> n<1>");
    expect_tokens("a@-1", "w<a> o<@-> n<1>");
    expect_tokens("a+--x\n1", "w<a> o<+> n<1>");
    expect_tokens("a*/*x*/b", "w<a> o<*> w<b>");
    expect_tokens("a->>'x'", "w<a> o<->>> s<'x'>");
    expect_tokens("a @> b ? c", "w<a> o<@>> w<b> o<?> w<c>");
    expect_tokens("x::int:=y", "w<x> y<::> w<int> y<:=> w<y>");
}

static void letters_beyond_ascii_are_letters(void **state)
{
    (void)state;
    expect_tokens("gr\xC3\xB6\xC3\x9F_1$ x", "w<gr\xC3\xB6\xC3\x9F_1$> w<x>");
    expect_tokens("\xFF\xFE x", "w<\xFF\xFE> w<x>");
}

static void a_nul_byte_and_other_strays_are_symbols(void **state)
{
    (void)state;
    expect_tokens_of("a\0b", 3, "w<a> y<> w<b>");
    expect_tokens("\\ { } \x01", "y<\\> y<{> y<}> y<\x01>");
}

static void what_is_never_closed_reaches_to_the_end(void **state)
{
    (void)state;
    expect_tokens("a 'b", "w<a> open string<'b>");
    expect_tokens("'", "open string<'>");
    expect_tokens("'a''", "open string<'a''>");
    expect_tokens("E'\\'", "open string<E'\\'>");
    expect_tokens("E'\\", "open string<E'\\>");
    expect_tokens("'a'\n'b", "open string<'a'\n'b>");
    expect_tokens("U&\"x", "open identifier<U&\"x>");
    expect_tokens("\"a\"\"", "open identifier<\"a\"\">");
    expect_tokens("$$ x $a$", "open dollar<$$ x $a$>");
    expect_tokens("$a$", "open dollar<$a$>");
    expect_tokens("x /* /* */", "w<x> open comment</* /* */>");
    expect_tokens("/*/", "open comment</*/>");
}

static void words_are_compared_without_case(void **state)
{
    (void)state;
    static const char text[] = "Select";
    struct pgdbm__token token = {PGDBM__TOKEN_WORD, 0, 6};
    assert_true(pgdbm__token_is_word(text, &token, "select"));
    assert_false(pgdbm__token_is_word(text, &token, "selec"));
    assert_false(pgdbm__token_is_word(text, &token, "selects"));
    token.kind = PGDBM__TOKEN_IDENTIFIER;
    assert_false(pgdbm__token_is_word(text, &token, "select"));
}

/* A text that makes each part of the scanner look far ahead, again and again; a quadratic scanner runs into the test's
 * limit. */
static void a_megabyte_of_any_piece_is_scanned(void **state)
{
    (void)state;
    static const char *const pieces[] = {"'",  "''", "' \n", "E'\\'", "\"", "$",  "$a", "$a$", "$a1", "/*",    "*/",
                                         "--", "-",  "+",    "@-",    "1e", "1.", "a",  "0x",  "u&",  "' --\n"};
    size_t bytes = 1 << 20;
    char *text = test_malloc(bytes);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        size_t length = strlen(pieces[i]);
        for (size_t j = 0; j < bytes; j++)
            text[j] = pieces[i][j % length];
        struct pgdbm__scanner scanner = {.text = text, .bytes = bytes};
        struct pgdbm__token token;
        size_t count = 0;
        do {
            pgdbm__scan_next(&scanner, &token);
            if (count++ > bytes)
                fail_msg("more tokens than bytes in text of %s", pieces[i]);
        } while (token.kind != PGDBM__TOKEN_END);
    }
    test_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_text_has_no_tokens),
        cmocka_unit_test(a_doubled_quote_stays_inside_and_a_backslash_is_plain),
        cmocka_unit_test(an_escape_string_has_backslashes),
        cmocka_unit_test(the_other_prefixes_take_no_backslash),
        cmocka_unit_test(a_string_goes_on_behind_a_line_break),
        cmocka_unit_test(a_quoted_identifier_keeps_doubled_quotes),
        cmocka_unit_test(a_dollar_quote_ends_at_its_own_tag),
        cmocka_unit_test(a_dollar_may_also_be_a_parameter_or_part_of_a_name),
        cmocka_unit_test(comments_nest_and_separate),
        cmocka_unit_test(numbers_take_fractions_exponents_and_bases),
        cmocka_unit_test(operators_end_before_comments_and_signs),
        cmocka_unit_test(letters_beyond_ascii_are_letters),
        cmocka_unit_test(a_nul_byte_and_other_strays_are_symbols),
        cmocka_unit_test(what_is_never_closed_reaches_to_the_end),
        cmocka_unit_test(words_are_compared_without_case),
        cmocka_unit_test(a_megabyte_of_any_piece_is_scanned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
