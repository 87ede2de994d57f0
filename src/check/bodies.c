/* SPDX-License-Identifier: MIT */
/* Bodies of functions and DO blocks in strings. One in SQL is read like any text; of one in PL/pgSQL the words are looked at,
 * and only what can be nothing else counts. No state beside the text. */
#include "check/text.h"

#include <pg_query.h>
#include <string.h>
#include <strings.h>

/* PL/pgSQL nests parentheses no deeper than this, or is not looked at. */
#define DEPTH 64

/* A string in the text: what stands between its quotes. False: there is none at `at`, or its bytes are not what they mean. */
static bool find_string(const struct pgdbm__check_text *text, size_t at, size_t limit, size_t *begin, size_t *end)
{
    const char *bytes = text->text;
    if (at < limit && bytes[at] == '\'') {
        const char *closing = memchr(bytes + at + 1, '\'', limit - at - 1);
        *begin = at + 1;
        *end = closing != NULL ? (size_t)(closing - bytes) : 0;
        return closing != NULL && closing[1] != '\'';
    }
    if (at >= limit || bytes[at] != '$')
        return false;
    const char *tag_end = memchr(bytes + at + 1, '$', limit - at - 1);
    if (tag_end == NULL)
        return false;
    size_t tag = (size_t)(tag_end + 1 - (bytes + at));
    *begin = at + tag;
    for (*end = *begin; *end + tag <= limit; (*end)++)
        if (memcmp(bytes + *end, bytes + at, tag) == 0)
            return true;
    return false;
}

/* A token that libpg_query's scanner found. */
struct token {
    const char *text;
    size_t offset, bytes;
};

static bool is(const struct token *token, const char *word)
{
    return strlen(word) == token->bytes && strncasecmp(token->text, word, token->bytes) == 0;
}

static bool is_name(const struct token *token)
{
    char c = token->bytes > 0 ? *token->text : '\0';
    return c == '"' || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) != 0;
}

/* What a name means: quotes are taken off, letters folded. */
static void fold(const struct token *token, char name[PGDBM__CHECK_NAME_BYTES])
{
    bool quoted = *token->text == '"';
    size_t bytes = token->bytes - (quoted ? 2 : 0);
    if (bytes >= PGDBM__CHECK_NAME_BYTES)
        bytes = PGDBM__CHECK_NAME_BYTES - 1;
    for (size_t i = 0; i < bytes; i++) {
        char c = token->text[i + quoted];
        name[i] = (char)(!quoted && c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    name[bytes] = '\0';
}

/* The tokens before and at the one at hand. */
struct scan {
    struct pgdbm__check_text *text;
    struct token last[6]; /* the newest first */
    bool selects[DEPTH];  /* whether SELECT stood in this pair of parentheses */
    size_t depth;
};

/* Whether what stands before schema.table, at last[4] and further back, makes a table of it. */
static bool wants_table(const struct scan *scan)
{
    const struct token *before = &scan->last[4];
    if (is(before, "from"))
        return (scan->depth < DEPTH && scan->selects[scan->depth] && !is(before + 1, "distinct")) ||
               is(before + 1, "delete");
    if (is(before, "into"))
        return is(before + 1, "insert");
    return is(before, "join") || is(before, "update") || (is(before, "table") && !is(before + 1, "returns"));
}

/* last: what follows, table, dot, schema, what stands before. */
static void check_reference(struct scan *scan)
{
    char schema[PGDBM__CHECK_NAME_BYTES], table[PGDBM__CHECK_NAME_BYTES];
    const struct token *last = scan->last;
    bool call = is(&last[0], "(") && !is(&last[4], "into") && !is(&last[4], "table");
    if (!is(&last[2], ".") || !is_name(&last[1]) || !is_name(&last[3]) || call || is(&last[0], ".") ||
        is(&last[0], "%") || is(&last[3], "new") || is(&last[3], "old") || !wants_table(scan))
        return;
    fold(&last[3], schema);
    fold(&last[1], table);
    pgdbm__check_refer(scan->text, schema, table, last[3].offset);
}

/* last: table, TABLE, TEMP or TEMPORARY; IF NOT EXISTS may stand before the table. */
static void check_temporary(struct scan *scan)
{
    char table[PGDBM__CHECK_NAME_BYTES];
    const struct token *before = &scan->last[1];
    if (is(before, "exists") && is(before + 1, "not") && is(before + 2, "if"))
        before += 3;
    if (!is(before, "table") || !(is(before + 1, "temp") || is(before + 1, "temporary")) || !is_name(&scan->last[0]) ||
        is(&scan->last[0], "if"))
        return;
    fold(&scan->last[0], table);
    pgdbm__check_names_know(scan->text, KNOWN_TEMPORARY, table);
}

/* last: search_path, SET or LOCAL, ... */
static void check_path(struct scan *scan)
{
    const struct token *last = scan->last;
    if (!is(&last[0], "search_path"))
        return;
    const struct token *set = is(&last[1], "local") || is(&last[1], "session") ? &last[2] : &last[1];
    const struct token *before = set + 1;
    if (is(set, "set") &&
        (is(before, ";") || is(before, "begin") || is(before, "then") || is(before, "else") || is(before, "loop")))
        pgdbm__check_report(scan->text, &pgdbm__check_rule_search_path, set->offset,
                            "search_path is set by hand, for the rest of the transaction");
}

static void take(struct scan *scan, const char *text, size_t offset, size_t bytes)
{
    if (bytes >= 2 && ((text[0] == '-' && text[1] == '-') || (text[0] == '/' && text[1] == '*')))
        return;
    memmove(&scan->last[1], &scan->last[0], sizeof scan->last - sizeof scan->last[0]);
    scan->last[0] = (struct token){text, offset, bytes};
    check_reference(scan);
    check_path(scan);
    check_temporary(scan);
    if (is(&scan->last[0], "(") && ++scan->depth < DEPTH)
        scan->selects[scan->depth] = false;
    else if (is(&scan->last[0], ")") && scan->depth > 0)
        scan->depth--;
    else if (scan->depth < DEPTH && (is(&scan->last[0], "select") || is(&scan->last[0], "perform")))
        scan->selects[scan->depth] = true;
    else if (is(&scan->last[0], ";") && scan->depth == 0)
        scan->selects[0] = false;
}

/* A number of protobuf. */
static bool read_number(const uint8_t **at, const uint8_t *end, uint64_t *number)
{
    *number = 0;
    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        *number |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0)
            return true;
    }
    return false;
}

/* The next field; `number` is its value, or its length when it has bytes. Returns its number, 0 at the end. */
static uint64_t read_field(const uint8_t **at, const uint8_t *end, uint64_t *number, bool *has_bytes)
{
    uint64_t key;
    if (!read_number(at, end, &key) || !read_number(at, end, number) || ((key & 7) != 0 && (key & 7) != 2))
        return 0;
    *has_bytes = (key & 7) == 2;
    return *has_bytes && *number > (uint64_t)(end - *at) ? 0 : key >> 3;
}

/* ScanResult: version = 1, tokens = 2; ScanToken: start = 1, end = 2, and its kind. */
static void read_tokens(struct scan *scan, const PgQueryProtobuf *tokens, size_t begin, size_t end)
{
    const uint8_t *at = (const uint8_t *)tokens->data;
    const uint8_t *stop = at + tokens->len;
    uint64_t field, number;
    bool has_bytes;
    while ((field = read_field(&at, stop, &number, &has_bytes)) != 0) {
        if (!has_bytes)
            continue;
        const uint8_t *token_end = at + number;
        uint64_t bounds[2] = {0, 0}, inner;
        while (field == 2 && (inner = read_field(&at, token_end, &number, &has_bytes)) != 0)
            if (!has_bytes && inner <= 2)
                bounds[inner - 1] = number;
        at = token_end;
        if (field == 2 && bounds[0] < bounds[1] && bounds[1] <= end - begin)
            take(scan, scan->text->text + begin + bounds[0], begin + bounds[0], bounds[1] - bounds[0]);
    }
}

static void scan_plpgsql(struct pgdbm__check_text *text, size_t begin, size_t end)
{
    struct scan scan = {.text = text};
    for (size_t i = 0; i < sizeof scan.last / sizeof *scan.last; i++)
        scan.last[i].text = "";
    char kept = text->text[end];
    text->text[end] = '\0';
    PgQueryScanResult result = pg_query_scan(text->text + begin);
    text->text[end] = kept;
    if (result.error == NULL)
        read_tokens(&scan, &result.pbuf, begin, end);
    pg_query_free_scan_result(result);
}

/* Behind AS and blanks. */
static size_t behind_as(const struct pgdbm__check_text *text, size_t at, size_t end)
{
    if (end - at >= 2 && strncasecmp(text->text + at, "as", 2) == 0)
        at += 2;
    return pgdbm__check_skip_blank(text->text, at, end);
}

void pgdbm__check_bodies(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    bool block = pgdbm__check_tree_key_is(tree, statement->node, "DoStmt");
    char language[PGDBM__CHECK_NAME_BYTES] = "";
    size_t at = 0, begin, end;
    if (!block && !pgdbm__check_tree_key_is(tree, statement->node, "CreateFunctionStmt"))
        return;
    uint32_t options = pgdbm__check_tree_child(tree, statement->node, block ? "args" : "options");
    for (uint32_t item = pgdbm__check_tree_first(tree, options); item != 0; item = pgdbm__check_tree_next(tree, item)) {
        uint32_t option = pgdbm__check_tree_child(tree, item, "DefElem");
        uint32_t name = pgdbm__check_tree_child(tree, option, "defname");
        uint32_t value = pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, option, "arg"), "String");
        if (pgdbm__check_tree_text_is(tree, name, "language"))
            pgdbm__check_tree_string(tree, pgdbm__check_tree_child(tree, value, "sval"), language, sizeof language);
        else if (pgdbm__check_tree_text_is(tree, name, "as"))
            at = statement->base + pgdbm__check_tree_number(tree, option, "location");
    }
    if (at < statement->begin || at >= statement->end)
        return;
    at = behind_as(text, at, statement->end);
    if (!find_string(text, at, statement->end, &begin, &end))
        return;
    if (strcasecmp(language, "sql") == 0)
        pgdbm__check_read_part(text, begin, end, statement->body + 1, true);
    else if (strcasecmp(language, "plpgsql") == 0 || (block && language[0] == '\0'))
        scan_plpgsql(text, begin, end);
}
