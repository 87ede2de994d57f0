/* SPDX-License-Identifier: MIT */
/* Our scanner and splitter beside PostgreSQL's own, as the library libpg_query has them: over all SQL in this tree and what
 * PostgreSQL's packages install, and over what becomes of it when pieces are cut out and put elsewhere. Skipped where the library
 * is missing.
 *
 * It is the scanner of PostgreSQL 15, changed to report comments. Texts that it refuses are passed over: among them are
 * numbers as later versions write them (0xFF, 1_000), which ours knows. The server takes comments between the parts of
 * a string, it does not; and it does not say where U&'' and U&"" end. */
#include "sql/scan.h"
#include "sql/split.h"
#include "sql/template.h"

#include "base/alloc.h"
#include "sql/suite.h"

#ifdef PGDBM_TESTS_PG_QUERY

#include <ftw.h>
#include <pg_query.h>
#include <stdlib.h>

/* In libpg_query's Token. */
enum {
    IDENT = 258,
    UIDENT,
    FCONST,
    SCONST,
    USCONST,
    BCONST,
    XCONST,
    ICONST = 266,
    PARAM,
    COMMENT = 275,
    C_COMMENT,
    KEYWORD
};

struct text {
    char *data;
    size_t bytes;
    char path[256];
};

static struct text corpus[4096];
static size_t n_corpus;

struct reference {
    size_t begin, end;
    unsigned token;
};

/* One varint of protocol buffers. */
static uint64_t read_varint(const unsigned char **at)
{
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        unsigned char byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return value;
    }
}

/* The next token of a ScanResult {version = 1; tokens = 2 {start = 1; end = 2; token = 4; keyword_kind = 5}} that is no
 * comment. */
static bool next_reference(const unsigned char **at, const unsigned char *end, struct reference *reference)
{
    while (*at < end) {
        uint64_t field = read_varint(at);
        uint64_t value = read_varint(at);
        if (field != (2 << 3 | 2))
            continue;
        const unsigned char *behind = *at + value;
        *reference = (struct reference){0};
        while (*at < behind) {
            field = read_varint(at) >> 3;
            value = read_varint(at);
            if (field == 1)
                reference->begin = (size_t)value;
            else if (field == 2)
                reference->end = (size_t)value;
            else if (field == 4)
                reference->token = (unsigned)value;
        }
        if (reference->token != COMMENT && reference->token != C_COMMENT)
            return true;
    }
    return false;
}

static bool same_kind(const struct pgdbm__token *token, unsigned reference)
{
    switch (token->kind) {
    case PGDBM__TOKEN_WORD:
        return reference == IDENT || reference >= KEYWORD;
    case PGDBM__TOKEN_IDENTIFIER:
        return reference == IDENT || reference == UIDENT;
    case PGDBM__TOKEN_STRING:
        return reference >= SCONST && reference <= XCONST;
    case PGDBM__TOKEN_NUMBER:
        return reference == FCONST || reference == ICONST;
    case PGDBM__TOKEN_PARAMETER:
        return reference == PARAM;
    default:
        return reference < IDENT || (reference > XCONST && reference < COMMENT);
    }
}

static bool has_comment(const char *text, const struct pgdbm__token *token)
{
    for (size_t i = 1; i < token->bytes; i++)
        if (memcmp(text + token->offset + i - 1, "--", 2) == 0)
            return true;
    return false;
}

/* Compares the tokens; false when the reference refuses the text. */
static bool compare_tokens(const char *text, const char *origin)
{
    PgQueryScanResult result = pg_query_scan(text);
    bool accepted = result.error == NULL;
    struct pgdbm__scanner scanner = {.text = text, .bytes = strlen(text)};
    const unsigned char *at = (const unsigned char *)result.pbuf.data;
    const unsigned char *end = accepted ? at + result.pbuf.len : at;
    struct reference reference;
    struct pgdbm__token token = {0};
    while (accepted && next_reference(&at, end, &reference)) {
        pgdbm__scan_next(&scanner, &token);
        /* N'a' is the keyword NCHAR and a string there. */
        if (token.kind == PGDBM__TOKEN_STRING && (text[token.offset] == 'N' || text[token.offset] == 'n')) {
            size_t begin = reference.begin;
            assert_true(next_reference(&at, end, &reference));
            reference.begin = begin;
        }
        size_t behind = token.offset + token.bytes;
        if (token.kind == PGDBM__TOKEN_STRING && behind > reference.end && has_comment(text, &token)) {
            accepted = false;
            break;
        }
        if (reference.token == UIDENT || reference.token == USCONST)
            reference.end = behind;
        if (token.offset != reference.begin || behind != reference.end || !same_kind(&token, reference.token))
            fail_msg("%s\n%.60s\nthere: token %u, %zu-%zu; here: kind %d, %zu-%zu\n%s", origin, text + reference.begin,
                     reference.token, reference.begin, reference.end, (int)token.kind, token.offset,
                     token.offset + token.bytes, strlen(text) < 4096 ? text : "");
    }
    if (accepted) {
        pgdbm__scan_next(&scanner, &token);
        if (token.kind != PGDBM__TOKEN_END)
            fail_msg("%s: beyond what the reference has: %.60s", origin, text + token.offset);
    }
    pg_query_free_scan_result(result);
    return accepted;
}

/* Compares the statements; false when the reference cannot parse the text. */
static bool compare_statements(const char *text, const char *origin)
{
    PgQuerySplitResult result = pg_query_split_with_parser(text);
    bool accepted = result.error == NULL;
    struct pgdbm__splitter splitter;
    pgdbm__splitter_init(&splitter, text, strlen(text));
    for (int i = 0; accepted && i < result.n_stmts; i++) {
        /* There, white space and comments may stand before it and comments behind. */
        struct pgdbm__scanner scanner = {.text = text, .offset = (size_t)result.stmts[i]->stmt_location};
        scanner.bytes = scanner.offset + (size_t)result.stmts[i]->stmt_len;
        struct pgdbm__token token;
        pgdbm__scan_next(&scanner, &token);
        size_t begin = token.offset;
        size_t end = begin;
        for (; token.kind != PGDBM__TOKEN_END; pgdbm__scan_next(&scanner, &token))
            end = token.offset + token.bytes;
        struct pgdbm__statement_span span;
        pgdbm_error err = {0};
        bool found = false;
        if (pgdbm__split_next(&splitter, &span, &found, &err) != PGDBM_OK || !found)
            fail_msg("%s: statement %d is not found (%s): %.*s", origin, i, err.message, (int)(end - begin),
                     text + begin);
        if (span.offset != begin || span.offset + span.bytes != end)
            fail_msg("%s: statement %d\nthere: %.*s\nhere: %.*s", origin, i, (int)(end - begin), text + begin,
                     (int)span.bytes, text + span.offset);
    }
    if (accepted) {
        struct pgdbm__statement_span span;
        bool found = false;
        assert_int_equal(pgdbm__split_next(&splitter, &span, &found, NULL), PGDBM_OK);
        if (found)
            fail_msg("%s: beyond what the reference has: %.*s", origin, (int)span.bytes, text + span.offset);
    }
    pg_query_free_split_result(result);
    return accepted;
}

/* Lines for psql, as the scripts of extensions begin with. */
static void blank_commands(char *text)
{
    for (char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n'), line += line != NULL)
        if (*line == '\\')
            memset(line, ' ', strcspn(line, "\n"));
}

/* A file as a program would send it. */
static int add_file(const char *path, const struct stat *facts, int type, struct FTW *ftw)
{
    (void)ftw;
    size_t length = strlen(path);
    if (type != FTW_F || length < 4 || strcmp(path + length - 4, ".sql") != 0 || strstr(path, "/build/") != NULL ||
        n_corpus == sizeof corpus / sizeof *corpus)
        return 0;
    struct text *text = &corpus[n_corpus];
    struct pgdbm__buffer expanded = {0};
    char *data = malloc((size_t)facts->st_size + 1);
    FILE *file = fopen(path, "rb");
    if (data == NULL || file == NULL)
        fail_msg("%s cannot be read", path);
    size_t bytes = fread(data, 1, (size_t)facts->st_size, file);
    size_t bom = bytes >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    fclose(file);
    bool usable = memchr(data, '\0', bytes) == NULL &&
                  pgdbm__template_expand(data + bom, bytes - bom, "app", &expanded, NULL) == PGDBM_OK;
    free(data);
    text->bytes = expanded.length;
    text->data = usable ? pgdbm__buffer_take(&expanded) : NULL;
    pgdbm__buffer_free(&expanded);
    if (text->data != NULL)
        blank_commands(text->data);
    snprintf(text->path, sizeof text->path, "%s", path);
    n_corpus += usable && text->data != NULL ? 1 : 0;
    return 0;
}

static int read_corpus(void **state)
{
    (void)state;
    static const char *const places[] = {PGDBM_TESTS_SOURCE, "/usr/share/postgresql"};
    const char *more =
        getenv("PGDBM_TEST_SQL"); /* a directory with more of it, such as PostgreSQL's regression tests */
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        nftw(places[i], add_file, 16, FTW_PHYS);
    if (more != NULL)
        nftw(more, add_file, 16, FTW_PHYS);
    return 0;
}

static int free_corpus(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_corpus; i++)
        pgdbm__free(corpus[i].data);
    return 0;
}

/* The corpus's own files must not be passed over. */
static void assert_accepted(bool accepted, const char *path)
{
    if (!accepted && strstr(path, "/tests/sql/corpus/") != NULL)
        fail_msg("%s is refused by PostgreSQL", path);
}

static void tokens_are_those_of_postgresql(void **state)
{
    (void)state;
    assert_true(n_corpus > 2);
    for (size_t i = 0; i < n_corpus; i++)
        assert_accepted(compare_tokens(corpus[i].data, corpus[i].path), corpus[i].path);
}

static bool compare_piece(const struct text *text, size_t begin, size_t end)
{
    char *piece = pgdbm__memdup(text->data + begin, end - begin);
    assert_non_null(piece);
    bool accepted = compare_statements(piece, text->path);
    pgdbm__free(piece);
    return accepted;
}

/* What has something for psql in it is no SQL as a whole, but most of its statements are. One that is none must not become
 * one together with the next. */
static void compare_one_by_one(const struct text *text)
{
    struct pgdbm__splitter splitter;
    struct pgdbm__statement_span span;
    size_t refused = SIZE_MAX;
    bool found = true;
    pgdbm__splitter_init(&splitter, text->data, text->bytes);
    while (pgdbm__split_next(&splitter, &span, &found, NULL) == PGDBM_OK && found) {
        size_t end = span.offset + span.bytes;
        if (refused != SIZE_MAX)
            compare_piece(text, refused, end);
        refused = compare_piece(text, span.offset, end) ? SIZE_MAX : span.offset;
    }
}

static void statements_are_those_of_postgresql(void **state)
{
    (void)state;
    size_t whole = 0;
    for (size_t i = 0; i < n_corpus; i++) {
        bool accepted = compare_statements(corpus[i].data, corpus[i].path);
        assert_accepted(accepted, corpus[i].path);
        whole += accepted ? 1 : 0;
        if (!accepted)
            compare_one_by_one(&corpus[i]);
    }
    assert_true(whole > n_corpus / 2);
}

/* Of a fixed seed: a failure can be had again. */
static size_t random_below(uint64_t *seed, size_t limit)
{
    *seed = *seed * 6364136223846793005U + 1442695040888963407U;
    return limit > 0 ? (size_t)(*seed >> 33) % limit : 0;
}

/* A piece of the corpus, cut anywhere. */
static size_t take_piece(uint64_t *seed, char *out, size_t limit)
{
    const struct text *text = &corpus[random_below(seed, n_corpus)];
    size_t bytes = random_below(seed, limit < text->bytes ? limit : text->bytes);
    memcpy(out, text->data + random_below(seed, text->bytes - bytes), bytes);
    return bytes;
}

static void tokens_of_mutilated_texts_are_those_of_postgresql(void **state)
{
    (void)state;
    static const char edges[] = "'\"$$/**/--\n\r;:=.+-*<>~!@#^&|`?%EeUuNnBbXx&\\_19 ()[]\t\f{}\xC3\xA4";
    uint64_t seed = 20251225;
    size_t accepted = 0;
    enum { ROUNDS = 20000 };
    for (size_t round = 0; round < ROUNDS; round++) {
        char text[512];
        size_t bytes = 0;
        while (bytes < 64 || random_below(&seed, 4) > 0) {
            size_t room = sizeof text - 1 - bytes;
            if (room < 64)
                break;
            if (random_below(&seed, 2) == 0)
                bytes += take_piece(&seed, text + bytes, 48);
            for (size_t n = random_below(&seed, 8); n > 0; n--)
                text[bytes++] = edges[random_below(&seed, sizeof edges - 1)];
        }
        text[bytes] = '\0';
        /* White space since version 16 only. */
        for (char *tab = text; (tab = strchr(tab, '\v')) != NULL;)
            *tab = ' ';
        accepted += compare_tokens(text, "mutilated") ? 1 : 0;
    }
    assert_true(accepted > ROUNDS / 10);
}

#endif

int main(void)
{
#ifdef PGDBM_TESTS_PG_QUERY
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_those_of_postgresql),
        cmocka_unit_test(statements_are_those_of_postgresql),
        cmocka_unit_test(tokens_of_mutilated_texts_are_those_of_postgresql),
    };
    return cmocka_run_group_tests(tests, read_corpus, free_corpus);
#else
    fputs("skipped: libpg_query is not installed\n", stderr);
    return 77;
#endif
}
