/* SPDX-License-Identifier: MIT */
/* Reading a text of SQL: templates become marker names of the same length, libpg_query parses, and the rules look at one
 * statement after the other. What cannot be parsed is cut into statements first, so that an error costs that statement only.
 *
 * libpg_query writes a tree by recursion, and a tree is as deep as its text likes: 1+1+1+... So nothing is parsed that is
 * longer than the stack can bear, and a long text is read on a thread that has a stack for it. */
#include "check/text.h"

#include <pg_query.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BATCH ((size_t)256 * 1024)           /* what is parsed at once, more or less */
#define SHORT_TEXT ((size_t)16 * 1024)       /* what is read on the caller's stack */
#define STACK_PER_BYTE 128                   /* measured: 105 */
#define STACK_BASE ((size_t)4 * 1024 * 1024) /* for everything else, among it what the grammar limits to 10000 */
#define STACK_LIMIT ((size_t)1 << 30)
#define PADDING 16      /* NUL bytes behind the text: the scanner looks ahead */
#define COMMENTS 5000   /* that may be open at once */
#define PLACEHOLDER 200 /* bytes that one has at most */
#define TOO_LONG "is too long to be checked"
#define BODIES 3 /* how deep functions in functions are followed */

/* What a read needs beside the text. */
struct reader {
    struct pgdbm__check_text text; /* the first, as the rules know no more than it */
    struct pgdbm__check_tree trees[BODIES];
    size_t limit; /* of a text to parse */
};

bool pgdbm__check_has_parser(void)
{
    return true;
}

/* Before the first byte. */
static struct pgdbm__check_cursor cursor_begin(const struct pgdbm__check_sql *sql)
{
    struct pgdbm__check_cursor cursor = {.place = {1, 1}};
    if (sql->n_pieces > 0)
        cursor.place = sql->pieces[0].place;
    return cursor;
}

/* The way from one place of a piece to a later one. */
static void advance_inside(const struct pgdbm__check_sql *sql, struct pgdbm__check_cursor *cursor, size_t to)
{
    const char *at = sql->text + cursor->offset;
    const char *end = sql->text + to;
    const char *line_end;
    while (at < end && (line_end = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        cursor->place.line++;
        cursor->place.column = 1;
        at = line_end + 1;
    }
    cursor->place.column += (size_t)(end - at);
    cursor->offset = to;
}

static void advance(const struct pgdbm__check_sql *sql, struct pgdbm__check_cursor *cursor, size_t to)
{
    while (cursor->piece + 1 < sql->n_pieces && sql->pieces[cursor->piece + 1].offset <= to) {
        cursor->piece++;
        cursor->offset = sql->pieces[cursor->piece].offset;
        cursor->place = sql->pieces[cursor->piece].place;
    }
    advance_inside(sql, cursor, to);
}

struct pgdbm__check_place pgdbm__check_place_of(struct pgdbm__check_text *text, size_t offset)
{
    const struct pgdbm__check_sql *sql = text->sql;
    if (offset > sql->bytes)
        offset = sql->bytes;
    /* Within a statement the tree goes to and fro; the way begins anew at the statement, not at the text. */
    if (offset < text->cursor.offset) {
        bool before = offset < text->statement;
        if (!before && text->statement > text->anchor.offset)
            advance(sql, &text->anchor, text->statement);
        text->cursor = before || offset < text->anchor.offset ? cursor_begin(sql) : text->anchor;
    }
    advance(sql, &text->cursor, offset);
    return text->cursor.place;
}

void pgdbm__check_report(struct pgdbm__check_text *text, const struct pgdbm__check_rule *rule, size_t offset,
                         const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    pgdbm__check_add(text->run, rule, text->sql->file, pgdbm__check_place_of(text, offset), "%s", message);
}

void pgdbm__check_know(struct pgdbm__check_text *text, enum pgdbm__check_kind kind, const char *name)
{
    if (!pgdbm__check_set_add(&text->known, kind, name, NULL, (struct pgdbm__check_place){0}))
        text->no_memory = true;
}

bool pgdbm__check_knows(const struct pgdbm__check_text *text, enum pgdbm__check_kind kind, const char *name)
{
    return pgdbm__check_set_find(&text->known, kind, name) != NULL;
}

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80) != 0;
}

/* Where a word stands between two offsets; `end` when it does not. */
static size_t search_word(const struct pgdbm__check_text *text, size_t begin, size_t end, const char *word)
{
    size_t length = strlen(word);
    for (size_t at = begin; length > 0 && at + length <= end; at++)
        if ((at == 0 || !is_word_byte(text->text[at - 1])) && !is_word_byte(text->text[at + length]) &&
            strncasecmp(text->text + at, word, length) == 0)
            return at;
    return end;
}

size_t pgdbm__check_find_word(const struct pgdbm__check_text *text, size_t begin, size_t end, const char *word)
{
    size_t found = search_word(text, begin, end, word);
    return found < end ? found : begin;
}

static bool has_word(const struct pgdbm__check_text *text, size_t begin, size_t end, const char *word)
{
    return search_word(text, begin, end, word) < end;
}

static void visit(struct reader *reader, const struct pgdbm__check_tree *tree, uint32_t item, size_t base, size_t end,
                  unsigned body)
{
    struct pgdbm__check_text *text = &reader->text;
    size_t begin = base + pgdbm__check_tree_number(tree, item, "stmt_location");
    size_t bytes = pgdbm__check_tree_number(tree, item, "stmt_len");
    struct pgdbm__check_statement statement = {.tree = tree, .base = base, .body = body};
    statement.node = pgdbm__check_tree_first(tree, pgdbm__check_tree_child(tree, item, "stmt"));
    if (statement.node == 0 || begin > end)
        return;
    statement.end = bytes > 0 && bytes < end - begin ? begin + bytes : end;
    statement.begin = pgdbm__check_skip_blank(text->text, begin, statement.end);
    statement.down = text->sql->migration && statement.begin >= text->down;
    text->statement = statement.begin;
    if (statement.down && !text->is_down)
        pgdbm__check_enter_down(text);
    pgdbm__check_references(text, &statement);
    pgdbm__check_objects(text, &statement);
    pgdbm__check_settings(text, &statement);
    if (text->sql->migration && text->runs) {
        pgdbm__check_transactions(text, &statement);
        pgdbm__check_ddl(text, &statement);
    }
    pgdbm__check_bodies(text, &statement); /* the last: places are asked for from the front to the back */
}

/* The offset of a character, which the parser counts from 1. */
static size_t offset_of(const struct pgdbm__check_text *text, size_t begin, size_t end, int character)
{
    while (begin < end && character > 1) {
        begin++;
        while (begin < end && (text->text[begin] & 0xC0) == 0x80)
            begin++;
        character--;
    }
    return begin;
}

/* Whether a statement has something that the parser is too old for, which is no fault of the statement. */
static bool is_later(const struct pgdbm__check_text *text, size_t begin, size_t end, const char *message)
{
    static const char *const words[] = {
        "json_table",   "json_value",      "json_query",       "json_exists",    "json_array",     "json_arrayagg",
        "json_object",  "json_objectagg",  "json_scalar",      "json_serialize", "is json",        "is not json",
        "merge",        "virtual",         "period",           "overlaps",       "enforced",       "graph_table",
        "storage",      "split partition", "merge partitions", "generated",      "repack",         "property",
        "expression",   "indent",          "at local",         "no inherit",     "with inherit",   "with set",
        "with admin",   "returning with",  "vacuum only",      "force_null",     "force_not_null", "ignore nulls",
        "respect nulls"};
    if (strstr(message, TOO_LONG) != NULL)
        return false;
    if (strstr(message, "must have an alias") != NULL || strstr(message, "trailing junk") != NULL)
        return true;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (has_word(text, begin, end, words[i]))
            return true;
    return false;
}

/* The placeholder that `offset` is in, or 0 bytes. */
static size_t placeholder_at(const struct pgdbm__check_sql *sql, size_t *offset)
{
    for (size_t back = 0; back < PLACEHOLDER && back <= *offset; back++) {
        size_t at = *offset - back;
        if (sql->bytes - at < 4)
            continue;
        if (back > 1 && memcmp(sql->text + at, "}}", 2) == 0)
            return 0;
        const char *end;
        size_t rest = sql->bytes - at < PLACEHOLDER ? sql->bytes - at : PLACEHOLDER;
        if (memcmp(sql->text + at, "{{", 2) == 0 && (end = memmem(sql->text + at, rest, "}}", 2)) != NULL) {
            *offset = at;
            return (size_t)(end + 2 - (sql->text + at));
        }
    }
    return 0;
}

/* The parser's message in one line of moderate length. It has not seen the templates, and neither has who reads it seen
 * what they became. */
static void write_message(const struct pgdbm__check_sql *sql, const PgQueryError *error, char *message, size_t bytes,
                          size_t *offset)
{
    size_t placeholder = error->cursorpos > 0 ? placeholder_at(sql, offset) : 0;
    if (placeholder > 0)
        snprintf(message, bytes, "syntax error at or near \"%.*s\"", (int)placeholder, sql->text + *offset);
    else
        snprintf(message, bytes, "%s", error->message);
    size_t length = strcspn(message, "\r\n");
    bool cut = message[length] != '\0' || length > 120;
    if (length > 120)
        length = 120;
    while (cut && length > 0 && (message[length] & 0xC0) == 0x80)
        length--;
    if (cut)
        snprintf(message + length, bytes - length, "...");
}

/* Only what pgdbm is sure to send: other files may be scripts of psql, with variables where SQL has none. */
static void report_syntax(struct pgdbm__check_text *text, size_t begin, size_t end, const char *message, size_t offset)
{
    bool script = !text->sql->migration && text->sql->pieces == NULL;
    if (script)
        return;
    if (is_later(text, begin, end, message))
        pgdbm__check_add_remark(text->run, text->sql->file, pgdbm__check_place_of(text, offset),
                                "newer than PostgreSQL 15's grammar");
    else
        pgdbm__check_report(text, &pgdbm__check_rule_sql_syntax, offset, "%s", message);
}

static bool parse(struct reader *reader, size_t begin, size_t end, unsigned body, char *message, size_t message_bytes,
                  size_t *offset);

/* One statement by itself, or what the cutter took for none. Quiet: its faults are kept to itself. */
static void read_piece(struct reader *reader, size_t begin, size_t end, unsigned body, bool quiet)
{
    struct pgdbm__check_text *text = &reader->text;
    char message[512];
    size_t offset;
    begin = pgdbm__check_skip_blank(text->text, begin, end);
    if (begin < end && !parse(reader, begin, end, body, message, sizeof message, &offset) && !quiet)
        report_syntax(text, begin, end, message, offset);
}

/* Whether a function has a body between BEGIN ATOMIC and END. */
static bool has_atomic_body(const struct pgdbm__check_text *text, size_t begin, size_t end)
{
    for (size_t at = begin; (at = search_word(text, at, end, "atomic")) < end; at++) {
        size_t before = at;
        while (before > begin && (text->text[before - 1] == ' ' || text->text[before - 1] == '\n'))
            before--;
        if (before < at && before - begin >= 5 && strncasecmp(text->text + before - 5, "begin", 5) == 0)
            return true;
    }
    return false;
}

/* Cuts what cannot be parsed as a whole into statements, and reads each. `message` and `offset` say why. */
static void read_apart(struct reader *reader, size_t begin, size_t end, unsigned body, bool quiet, const char *message,
                       size_t offset)
{
    struct pgdbm__check_text *text = &reader->text;
    char kept = text->text[end];
    text->text[end] = '\0';
    PgQuerySplitResult cut = pg_query_split_with_scanner(text->text + begin);
    text->text[end] = kept;
    /* The cutter takes the semicolons in such a body for ends. */
    bool atomic = has_atomic_body(text, begin, end);
    if ((cut.error != NULL || atomic) && !quiet)
        report_syntax(text, begin, end, message, offset);
    if (cut.error == NULL) {
        size_t done = begin;
        for (int i = 0; i < cut.n_stmts; i++) {
            size_t from = begin + (size_t)cut.stmts[i]->stmt_location;
            size_t to = from + (size_t)cut.stmts[i]->stmt_len;
            if (from < done || to > end || from >= to)
                continue;
            read_piece(reader, done, from, body, quiet || atomic); /* it leaves out what has no keyword */
            read_piece(reader, from, to, body, quiet || atomic);
            done = to + (to < end && text->text[to] == ';');
        }
        read_piece(reader, done, end, body, quiet || atomic);
    } else if (offset > begin && offset < end &&
               !quiet) /* a quote that nothing closes: what stands before it is read */
        pgdbm__check_read_part(text, begin, offset, body, true);
    pg_query_free_split_result(cut);
}

/* The bytes that can become part of a tree; at least those are meant that can make it deep. */
static size_t count_substance(const struct pgdbm__check_text *text, size_t begin, size_t end)
{
    size_t substance = 0;
    for (; begin < end; begin++)
        substance += text->text[begin] != ' ';
    return substance;
}

/* Parses a part and lets the rules see its statements. False: why and where. */
static bool parse(struct reader *reader, size_t begin, size_t end, unsigned body, char *message, size_t message_bytes,
                  size_t *offset)
{
    struct pgdbm__check_text *text = &reader->text;
    struct pgdbm__check_tree *tree = &reader->trees[body];
    *offset = pgdbm__check_skip_blank(text->text, begin, end);
    if (end - begin > reader->limit && count_substance(text, begin, end) > reader->limit) {
        snprintf(message, message_bytes, "a statement of %zu bytes " TOO_LONG, end - begin);
        return false;
    }
    char kept = text->text[end];
    text->text[end] = '\0';
    PgQueryParseResult result = pg_query_parse(text->text + begin);
    text->text[end] = kept;
    bool good = result.error == NULL;
    if (!good) {
        if (result.error->cursorpos > 0)
            *offset = offset_of(text, begin, end, result.error->cursorpos);
        write_message(text->sql, result.error, message, message_bytes, offset);
    } else if (result.parse_tree == NULL || !pgdbm__check_tree_read(tree, result.parse_tree, strlen(result.parse_tree)))
        text->no_memory = true;
    else
        for (uint32_t item = pgdbm__check_tree_statements(tree); item != 0; item = pgdbm__check_tree_next(tree, item))
            visit(reader, tree, item, begin, end, body);
    pg_query_free_parse_result(result);
    return good;
}

void pgdbm__check_read_part(struct pgdbm__check_text *text, size_t begin, size_t end, unsigned body, bool quiet)
{
    struct reader *reader = (struct reader *)text;
    char message[512];
    size_t offset;
    if (body < BODIES && begin < end && !parse(reader, begin, end, body, message, sizeof message, &offset))
        read_apart(reader, begin, end, body, quiet, message, offset);
}

bool pgdbm__check_read_statement(struct pgdbm__check_text *text, size_t begin, size_t end, unsigned body)
{
    struct reader *reader = (struct reader *)text;
    char message[512];
    size_t offset;
    return body < BODIES && begin < end && parse(reader, begin, end, body, message, sizeof message, &offset);
}

/* A text that is too long to be parsed at once: as many statements as fit, again and again. */
static void read_batches(struct reader *reader)
{
    struct pgdbm__check_text *text = &reader->text;
    PgQuerySplitResult cut = pg_query_split_with_scanner(text->text);
    size_t begin = 0;
    /* A quote that nothing closes, or a body whose semicolons are no ends. */
    bool whole = cut.error != NULL || has_atomic_body(text, 0, text->bytes);
    for (int i = 0; !whole && i < cut.n_stmts; i++) {
        size_t end = (size_t)cut.stmts[i]->stmt_location + (size_t)cut.stmts[i]->stmt_len;
        size_t next = i + 1 < cut.n_stmts ? (size_t)cut.stmts[i + 1]->stmt_len : 0;
        if (end > text->bytes || i + 1 == cut.n_stmts || end - begin + next < BATCH)
            continue; /* the last one is what is left, with what the cutter took for no statement */
        pgdbm__check_read_part(text, begin, end, 0, false);
        begin = end + (end < text->bytes && text->text[end] == ';');
    }
    pgdbm__check_read_part(text, begin, text->bytes, 0, false);
    pg_query_free_split_result(cut);
}

/* Whether so many comments are opened and not closed that libpg_query, which is quadratic in them, would take too long. */
static bool is_full_of_comments(const struct pgdbm__check_text *text)
{
    size_t open = 0;
    const char *end = text->text + text->bytes;
    const char *taken = text->text; /* a sign belongs to one pair */
    for (const char *at = taken; (at = memchr(at, '*', (size_t)(end - at))) != NULL; at = taken > at ? taken : at + 1) {
        if (at > taken && at[-1] == '/') {
            open++;
            taken = at + 1;
        } else if (at[1] == '/') {
            open -= open > 0;
            taken = at + 2;
        }
    }
    return open > COMMENTS;
}

static void *read_text(void *context)
{
    struct reader *reader = context;
    if (is_full_of_comments(&reader->text))
        report_syntax(&reader->text, 0, 0, "comments that nothing closes", 0);
    else if (reader->text.bytes > BATCH)
        read_batches(reader);
    else
        pgdbm__check_read_part(&reader->text, 0, reader->text.bytes, 0, false);
    return NULL;
}

/* Reads on a thread with a stack that is large enough, or as large as there is. */
static void read_aside(struct reader *reader)
{
    size_t stack = STACK_LIMIT - STACK_BASE;
    if (stack / STACK_PER_BYTE > reader->text.bytes)
        stack = reader->text.bytes * STACK_PER_BYTE;
    for (bool started = false; !started; stack /= 2) {
        pthread_t thread;
        pthread_attr_t attributes;
        reader->limit = stack / STACK_PER_BYTE;
        if (reader->limit < SHORT_TEXT) {
            reader->limit = SHORT_TEXT;
            read_text(reader);
            return;
        }
        if (pthread_attr_init(&attributes) != 0)
            continue;
        started = pthread_attr_setstacksize(&attributes, (stack + STACK_BASE) & ~(size_t)0xFFFF) == 0 &&
                  pthread_create(&thread, &attributes, read_text, reader) == 0;
        pthread_attr_destroy(&attributes);
        if (started)
            pthread_join(thread, NULL);
    }
}

/* Whether a text is none of pgdbm's: a file that is no migration and has no template. A dump, say, or a script of psql. */
static bool is_foreign(const struct pgdbm__check_sql *sql)
{
    if (sql->migration || sql->pieces != NULL || sql->bytes == 0)
        return false;
    return memmem(sql->text, sql->bytes, "{{", 2) == NULL;
}

/* The text as the parser is to see it. */
static bool prepare(struct pgdbm__check_text *text)
{
    text->bytes = text->sql->bytes;
    if (text->bytes > SIZE_MAX - PADDING || (text->text = malloc(text->bytes + PADDING)) == NULL)
        return false;
    if (text->bytes > 0)
        memcpy(text->text, text->sql->text, text->bytes);
    memset(text->text + text->bytes, 0, PADDING);
    for (char *at = text->text; (at = memchr(at, '\0', (size_t)(text->text + text->bytes - at))) != NULL;)
        *at = ' ';
    pgdbm__check_read_script(text);
    pgdbm__check_expand(text);
    pgdbm__check_blank_rows(text);
    return true;
}

bool pgdbm__check_read_sql(struct pgdbm__check_run *run, const struct pgdbm__check_sql *sql)
{
    struct reader reader = {.text = {.run = run, .sql = sql, .names = sql->names, .runs = true}, .limit = SHORT_TEXT};
    struct pgdbm__check_names *own = sql->names == NULL ? pgdbm__check_names_create() : NULL;
    bool good = is_foreign(sql);
    if (good)
        goto done;
    if (sql->names == NULL)
        reader.text.names = own;
    reader.text.cursor = reader.text.anchor = cursor_begin(sql);
    if (reader.text.names == NULL || !prepare(&reader.text))
        goto done;
    if (reader.text.bytes > SHORT_TEXT)
        read_aside(&reader);
    else
        read_text(&reader);
    good = !reader.text.no_memory && (own == NULL || pgdbm__check_names_report(own, run));
done:
    pgdbm__check_names_free(own);
    for (size_t i = 0; i < BODIES; i++)
        pgdbm__check_tree_free(&reader.trees[i]);
    pgdbm__check_set_free(&reader.text.known);
    free(reader.text.text);
    return good;
}
