/* SPDX-License-Identifier: MIT */
/* Bodies of functions and DO blocks in strings. One in SQL is read like any text; one in PL/pgSQL is cut into statements, of which
 * those that are SQL are read, too. What is no SQL after all (INTO, variables) costs nothing: then its words are looked at, and
 * only what can be nothing else counts. No state beside the text. */
#include "check/text.h"

#include <pg_query.h>
#include <stdlib.h>
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

/* The first byte is looked at first, which all signs have this bit in: a file of functions is read 5 % faster. */
static bool is(const struct token *token, const char *word)
{
    return (*token->text | 0x20) == *word && strlen(word) == token->bytes &&
           strncasecmp(token->text, word, token->bytes) == 0;
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

/* A body in tokens, without its comments; nothing at both ends. */
struct body {
    struct pgdbm__check_text *text;
    struct scan scan;
    struct token *tokens;
    size_t n, capacity;
    size_t end;     /* of the body */
    unsigned level; /* of its statements */
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

static void push(struct scan *scan, const struct token *token)
{
    memmove(&scan->last[1], &scan->last[0], sizeof scan->last - sizeof scan->last[0]);
    scan->last[0] = *token;
}

static void take(struct scan *scan, const struct token *token)
{
    push(scan, token);
    check_reference(scan);
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

static void add_token(struct body *body, const char *text, size_t offset, size_t bytes)
{
    if (bytes >= 2 && ((text[0] == '-' && text[1] == '-') || (text[0] == '/' && text[1] == '*')))
        return;
    if (body->n == body->capacity) {
        size_t capacity = body->capacity > 0 ? 2 * body->capacity : 256;
        struct token *tokens = realloc(body->tokens, capacity * sizeof *tokens);
        if (tokens == NULL) {
            body->text->no_memory = true;
            return;
        }
        body->tokens = tokens;
        body->capacity = capacity;
    }
    body->tokens[body->n++] = (struct token){text, offset, bytes};
}

/* ScanResult: version = 1, tokens = 2; ScanToken: start = 1, end = 2, and its kind. */
static void read_tokens(struct body *body, const PgQueryProtobuf *tokens, size_t begin)
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
        if (field == 2 && bounds[0] < bounds[1] && bounds[1] <= body->end - begin)
            add_token(body, body->text->text + begin + bounds[0], begin + bounds[0], bounds[1] - bounds[0]);
    }
}

static bool is_one_of(const struct token *token, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is(token, words[i]))
            return true;
    return false;
}

/* Whether a statement of SQL begins with the token. SELECT has INTO, which is another thing in SQL. */
static bool is_verb(const struct body *body, size_t at)
{
    static const char *const words[] = {"alter",    "create", "drop",     "truncate", "comment", "insert",  "update",
                                        "delete",   "merge",  "grant",    "revoke",   "refresh", "reindex", "cluster",
                                        "analyze",  "vacuum", "lock",     "set",      "reset",   "perform", "execute",
                                        "security", "call",   "reassign", "import"};
    static const char *const queries[] = {"select", "with", "values", "table"};
    const struct token *token = &body->tokens[at];
    if (at >= 2 && is(token - 1, "query") && is(token - 2, "return"))
        return is(token, "execute") || is_one_of(token, queries, sizeof queries / sizeof *queries);
    return is_one_of(token, words, sizeof words / sizeof *words);
}

/* Whether a statement may begin behind the token, though it is no semicolon. */
static bool is_opening(const struct body *body, size_t at, size_t begin)
{
    static const char *const words[] = {"begin", "then", "else", "loop"};
    const struct token *token = &body->tokens[at];
    if (is(token, "query"))
        return at == begin + 1 && is(token - 1, "return");
    return (is(token, ">>") && at == begin + 2 && is(&body->tokens[begin], "<<")) ||
           is_one_of(token, words, sizeof words / sizeof *words);
}

/* Where the SQL of a statement ends: INTO of PL/pgSQL is the last of it behind RETURNING. */
static size_t sql_end(const struct body *body, size_t from, size_t to)
{
    bool returning = false;
    size_t depth = 0;
    for (size_t i = from; i < to; i++) {
        const struct token *token = &body->tokens[i];
        if (is(token, "("))
            depth++;
        else if (is(token, ")"))
            depth -= depth > 0;
        else if (depth == 0 && is(token, "returning"))
            returning = true;
        else if (depth == 0 && returning && is(token, "into"))
            return token->offset;
    }
    return to < body->n ? body->tokens[to].offset : body->end;
}

/* PERFORM is SELECT whose rows nobody wants, and as long as it with a blank. */
static bool read_perform(struct body *body, size_t begin, size_t end)
{
    char *word = body->text->text + begin;
    char kept[sizeof "perform" - 1];
    memcpy(kept, word, sizeof kept);
    memcpy(word, "SELECT ", sizeof kept);
    bool read = pgdbm__check_read_statement(body->text, begin, end, body->level);
    memcpy(word, kept, sizeof kept);
    return read;
}

/* Whether a text of format() means what it says: each % is doubled. */
static bool is_plain(const struct pgdbm__check_text *text, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        if (text->text[i] == '%' && (i + 1 == end || text->text[++i] != '%'))
            return false;
    return true;
}

static void scan_body(struct body *body, struct pgdbm__check_text *text, size_t begin, size_t end)
{
    body->text = body->scan.text = text;
    body->end = end;
    for (size_t i = 0; i < sizeof body->scan.last / sizeof *body->scan.last; i++)
        body->scan.last[i].text = "";
    char kept = text->text[end];
    text->text[end] = '\0';
    PgQueryScanResult result = pg_query_scan(text->text + begin);
    text->text[end] = kept;
    if (result.error == NULL)
        read_tokens(body, &result.pbuf, begin);
    pg_query_free_scan_result(result);
}

/* A text that is put together may make a temporary table whose name stands in it as it is. */
static void find_temporary(struct pgdbm__check_text *text, const struct token *literal)
{
    struct body body = {0};
    if (literal->bytes < 2 || *literal->text != '\'')
        return;
    scan_body(&body, text, literal->offset + 1, literal->offset + literal->bytes - 1);
    for (size_t i = 0; i < body.n; i++) {
        push(&body.scan, &body.tokens[i]);
        check_temporary(&body.scan);
    }
    free(body.tokens);
}

/* EXECUTE 'literal', or EXECUTE format('literal', ...) that puts nothing into it. */
static void read_execute(struct body *body, size_t from, size_t to)
{
    const struct token *tokens = body->tokens;
    bool format = to - from > 3 && is(&tokens[from + 1], "format") && is(&tokens[from + 2], "(");
    size_t literal = format ? from + 3 : from + 1;
    size_t begin, end, behind = literal + 1;
    for (size_t i = from; i < to; i++)
        find_temporary(body->text, &tokens[i]);
    if (literal >= to || !find_string(body->text, tokens[literal].offset, body->end, &begin, &end))
        return;
    if (format && (behind >= to || !is(&tokens[behind], ")") || !is_plain(body->text, begin, end)))
        return;
    behind += format;
    if (behind >= to || is(&tokens[behind], "into") || is(&tokens[behind], "using"))
        pgdbm__check_read_part(body->text, begin, end, body->level, true);
}

/* The statement of these tokens; what cannot be read as SQL is looked through. */
static void read_statement(struct body *body, size_t from, size_t to)
{
    const struct token *first = &body->tokens[from];
    bool read = false;
    if (from < to && is_verb(body, from)) {
        if (is(first, "execute"))
            read_execute(body, from, to);
        else if (is(first, "perform"))
            read = read_perform(body, first->offset, sql_end(body, from, to));
        else
            read = pgdbm__check_read_statement(body->text, first->offset, sql_end(body, from, to), body->level);
    }
    for (size_t i = read ? to : from; i < to; i++)
        take(&body->scan, &body->tokens[i]);
}

static void read_statements(struct body *body)
{
    size_t begin = 0, depth = 0;
    bool is_sql = false; /* THEN and ELSE are those of CASE */
    for (size_t i = 0; i < body->n; i++) {
        const struct token *token = &body->tokens[i];
        if (i == begin)
            is_sql = is_verb(body, i);
        if (is(token, "("))
            depth++;
        else if (is(token, ")"))
            depth -= depth > 0;
        else if (depth == 0 && (is(token, ";") || (!is_sql && is_opening(body, i, begin)))) {
            read_statement(body, begin, i);
            take(&body->scan, token);
            begin = i + 1;
        }
    }
    read_statement(body, begin, body->n);
}

static void read_plpgsql(struct pgdbm__check_text *text, size_t begin, size_t end, unsigned level)
{
    struct body body = {.level = level};
    scan_body(&body, text, begin, end);
    if (body.n > 0)
        read_statements(&body);
    free(body.tokens);
}

/* Behind AS and blanks. */
static size_t behind_as(const struct pgdbm__check_text *text, size_t at, size_t end)
{
    if (end - at >= 2 && strncasecmp(text->text + at, "as", 2) == 0)
        at += 2;
    return pgdbm__check_skip_blank(text->text, at, end);
}

/* What is known of the body by what stands around it. */
static void enter(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement, bool block)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    uint32_t type = pgdbm__check_tree_child(tree, statement->node, "returnType");
    uint32_t returned = pgdbm__check_tree_last_name(tree, pgdbm__check_tree_child(tree, type, "names"));
    text->runs = text->runs && block;
    text->is_trigger = pgdbm__check_tree_text_is(tree, returned, "trigger");
    text->has_path = false;
    uint32_t options = pgdbm__check_tree_child(tree, statement->node, "options");
    for (uint32_t item = pgdbm__check_tree_first(tree, options); item != 0; item = pgdbm__check_tree_next(tree, item)) {
        uint32_t value = pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, item, "DefElem"), "arg");
        uint32_t set = pgdbm__check_tree_child(tree, value, "VariableSetStmt");
        if (pgdbm__check_tree_text_is(tree, pgdbm__check_tree_child(tree, set, "name"), "search_path"))
            text->has_path = true;
    }
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
    const bool runs = text->runs, is_trigger = text->is_trigger, has_path = text->has_path;
    enter(text, statement, block);
    if (strcasecmp(language, "sql") == 0)
        pgdbm__check_read_part(text, begin, end, statement->body + 1, true);
    else if (strcasecmp(language, "plpgsql") == 0 || (block && language[0] == '\0'))
        read_plpgsql(text, begin, end, statement->body + 1);
    text->runs = runs;
    text->is_trigger = is_trigger;
    text->has_path = has_path;
}
