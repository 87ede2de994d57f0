/* SPDX-License-Identifier: MIT */
/* SQL in calls of pgdbm: literals are read as SQL; what is put together from pieces is a finding where that can be seen, and counted
 * as not checked where it cannot. */
#include "check/calls.h"
#include "check/rules_c.h"
#include "check/source.h"

#include <stdlib.h>
#include <string.h>

static const struct pgdbm__token *token_at(const struct pgdbm__source *source, size_t at)
{
    return &source->tokens.tokens[at];
}

static void not_checked(struct pgdbm__source *source)
{
    source->file->not_checked++;
}

/* A literal's text as SQL. One of a table's name, where that may stand, is none. */
static void read_literal(struct pgdbm__source *source, struct pgdbm__literal *literal, bool or_table)
{
    bool table = or_table && (literal->bytes == 0 || memchr(literal->text, ' ', literal->bytes) == NULL);
    const struct pgdbm__check_sql sql = {
        .file = source->file->path,
        .text = literal->text,
        .bytes = literal->bytes,
        .pieces = literal->pieces,
        .n_pieces = literal->n_pieces,
        .names = source->names,
    };
    if (!literal->plain)
        not_checked(source);
    else if (literal->bytes > 0 && !table && !pgdbm__check_read_sql(source->run, &sql))
        source->no_memory = true;
}

/* Strings, and names of constants between them. False: there is something else in the span. */
static bool collect(struct pgdbm__source *source, struct pgdbm__span span, struct pgdbm__literal *literal,
                    size_t *constants)
{
    for (size_t i = span.begin; i < span.end && !source->no_memory; i++) {
        struct pgdbm__constant *constant = NULL;
        if (token_at(source, i)->kind == TOKEN_STRING) {
            source->no_memory = !pgdbm__literal_add(literal, &source->tokens, i);
            continue;
        }
        if (pgdbm__source_is_name(source, i))
            constant = pgdbm__source_constant(source, i);
        if (constant == NULL)
            return false;
        ++*constants;
        for (size_t j = constant->strings.begin; j < constant->strings.end && !source->no_memory; j++)
            source->no_memory = !pgdbm__literal_add(literal, constant->tokens, j);
    }
    return true;
}

/* Whether a word is the name of a function that makes text from a format or from pieces. */
static bool makes_text(const struct pgdbm__source *source, size_t at)
{
    static const char *const parts[] = {"printf",  "strcat",  "strcpy",    "strncat",
                                        "strlcat", "strlcpy", "strconcat", "concat"};
    const struct pgdbm__token *token = token_at(source, at);
    if (token->kind != TOKEN_NAME || !pgdbm__source_is(source, at + 1, "("))
        return false;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (memmem(source->tokens.text + token->offset, token->bytes, parts[i], strlen(parts[i])) != NULL)
            return true;
    return false;
}

/* Whether a value that is assigned from `at` on is made by a call that makes text, or by a sum with a string. */
static bool is_made(const struct pgdbm__source *source, size_t at, size_t end)
{
    enum { LONGEST = 200 }; /* tokens of a statement that are looked at */
    end = end - at > LONGEST ? at + LONGEST : end;
    for (size_t i = at; i + 1 < end && !pgdbm__source_is(source, i, ";"); i++) {
        bool beside_string =
            i > 0 && (token_at(source, i - 1)->kind == TOKEN_STRING || token_at(source, i + 1)->kind == TOKEN_STRING);
        if (makes_text(source, i) || (pgdbm__source_is(source, i, "+") && beside_string))
            return true;
    }
    return false;
}

/* The variable whose text is put together at `at`: the target of a call that makes text, what is assigned the value of one, what
 * grows by +=. 0: none. */
static size_t built_at(const struct pgdbm__source *source, struct pgdbm__span body, size_t at)
{
    if (makes_text(source, at)) {
        size_t target = at + 2;
        while (pgdbm__source_is(source, target, "&") || pgdbm__source_is(source, target, "*"))
            target++;
        return target < body.end && pgdbm__source_is_name(source, target) ? target : 0;
    }
    if (!pgdbm__source_is_name(source, at))
        return 0;
    bool grows = pgdbm__source_is(source, at + 1, "+") && pgdbm__source_is(source, at + 2, "=");
    bool assigned = pgdbm__source_is(source, at + 1, "=") && !pgdbm__source_is(source, at + 2, "=");
    return grows || (assigned && is_made(source, at + 2, body.end)) ? at : 0;
}

static void find_built(struct pgdbm__source *source, struct pgdbm__function *function)
{
    size_t n = 0;
    function->searched = true;
    for (size_t i = function->body.begin; i < function->body.end; i++)
        n += built_at(source, function->body, i) != 0;
    function->built = calloc(n + 1, sizeof *function->built);
    source->no_memory = source->no_memory || function->built == NULL;
    for (size_t i = function->body.begin; !source->no_memory && i < function->body.end; i++) {
        size_t built = built_at(source, function->body, i);
        if (built != 0)
            function->built[function->n_built++] = built;
    }
    pgdbm__source_sort(source, function->built, function->n_built);
}

/* Whether `char *NAME`, `std::string NAME` or the like stands at the name. */
static bool is_declared(const struct pgdbm__source *source, size_t name)
{
    size_t at = name;
    while (at > 0 && (pgdbm__source_is(source, at - 1, "*") || pgdbm__source_is(source, at - 1, "&") ||
                      pgdbm__source_is(source, at - 1, "const")))
        at--;
    return at > 0 && (pgdbm__source_is(source, at - 1, "char") || pgdbm__source_is(source, at - 1, "auto") ||
                      pgdbm__source_is(source, at - 1, "string") || pgdbm__source_is(source, at - 1, "string_view"));
}

/* Where the name at `name` means what it means there: the rest of the block that declares it, or the function. Another block's may
 * be something else. */
static struct pgdbm__span scope_of(struct pgdbm__source *source, const struct pgdbm__function *function, size_t name)
{
    size_t declared = 0;
    size_t depth = 0;
    if (!pgdbm__source_spend(source, name - function->body.begin))
        return function->body;
    for (size_t i = name; i-- > function->body.begin;) {
        if (pgdbm__source_is(source, i, "}"))
            depth++;
        else if (pgdbm__source_is(source, i, "{") && depth > 0)
            depth--;
        else if (pgdbm__source_is(source, i, "{") && declared > 0)
            return (struct pgdbm__span){declared, pgdbm__source_behind(source, i)};
        else if (depth == 0 && declared == 0 && pgdbm__source_is_name(source, i) &&
                 pgdbm__source_same(source, i, name) && is_declared(source, i))
            declared = i;
    }
    return function->body;
}

/* Whether the function that the call stands in puts the text of the variable at `name` together. */
static bool is_built(struct pgdbm__source *source, size_t call, size_t name)
{
    const struct pgdbm__function *found = pgdbm__source_function(source, call);
    if (found == NULL)
        return false;
    struct pgdbm__function *function = &source->functions[found - source->functions];
    if (!function->searched)
        find_built(source, function);
    size_t at = pgdbm__source_find(source, function->built, function->n_built, name);
    if (at == function->n_built || pgdbm__source_compare(source, function->built[at], name) != 0)
        return false;
    const struct pgdbm__span scope = scope_of(source, function, name);
    while (at < function->n_built && function->built[at] < scope.begin && pgdbm__source_spend(source, 1))
        at++;
    return at < function->n_built && function->built[at] < scope.end && source->effort > 0 &&
           pgdbm__source_compare(source, function->built[at], name) == 0;
}

static void report_built(struct pgdbm__source *source, size_t call, size_t at)
{
    const struct pgdbm__token *name = token_at(source, call), *what = token_at(source, at);
    if (!pgdbm__check_add(source->run, &pgdbm__check_rule_string_built_sql, source->file->path, what->place,
                          "the SQL of %.*s is put together by the program: %.*s", (int)name->bytes,
                          source->tokens.text + name->offset, (int)(what->bytes < 60 ? what->bytes : 60),
                          source->tokens.text + what->offset))
        source->no_memory = true;
}

/* What is neither a literal nor a constant. */
static void judge(struct pgdbm__source *source, size_t call, struct pgdbm__span span)
{
    bool variable = span.end - span.begin == 1 && pgdbm__source_is_name(source, span.begin);
    /* text.c_str(), of C++ */
    variable = variable || (span.end - span.begin == 5 && pgdbm__source_is(source, span.begin + 2, "c_str"));
    if (variable && is_built(source, call, span.begin)) {
        report_built(source, call, span.begin);
        return;
    }
    bool left = pgdbm__source_spend(source, span.end - span.begin);
    for (size_t i = span.begin; left && i < span.end; i++) {
        bool sum = pgdbm__source_is(source, i, "+") && i > span.begin && i + 1 < span.end &&
                   (token_at(source, i - 1)->kind == TOKEN_STRING || token_at(source, i + 1)->kind == TOKEN_STRING);
        if (makes_text(source, i) || sum) {
            report_built(source, call, sum ? i - 1 : i);
            return;
        }
    }
    not_checked(source);
}

/* `condition ? one : other` at the span's own depth; the spans of the two. */
static bool is_choice(const struct pgdbm__source *source, struct pgdbm__span span, struct pgdbm__span both[2])
{
    size_t question = 0;
    for (size_t i = span.begin; i < span.end; i = pgdbm__source_next(source, i, span.end)) {
        if (pgdbm__source_is(source, i, "?") && question == 0)
            question = i;
        else if (pgdbm__source_is(source, i, ":") && question > 0) {
            both[0] = (struct pgdbm__span){question + 1, i};
            both[1] = (struct pgdbm__span){i + 1, span.end};
            return true;
        }
    }
    return false;
}

/* An expression that is SQL. Choices within choices are gone through one by one: what is behind the colon next. */
static void read_expression(struct pgdbm__source *source, size_t call, struct pgdbm__span span, bool or_table)
{
    enum { MOST_PARENTHESES = 8 };
    struct pgdbm__span both[2];
    for (int i = 0; i < MOST_PARENTHESES && span.end - span.begin >= 2 && pgdbm__source_is(source, span.begin, "(") &&
                    pgdbm__source_behind(source, span.begin) == span.end;
         i++)
        span = (struct pgdbm__span){span.begin + 1, span.end - 1};
    if (is_choice(source, span, both)) {
        for (; is_choice(source, span, both); span = both[1]) {
            struct pgdbm__span inner[2];
            if (is_choice(source, both[0], inner))
                not_checked(source);
            else
                read_expression(source, call, both[0], or_table);
        }
        read_expression(source, call, span, or_table);
        return;
    }
    if (span.begin == span.end || pgdbm__source_is(source, span.begin, "NULL") ||
        pgdbm__source_is(source, span.begin, "nullptr"))
        return;
    struct pgdbm__constant *single = span.end - span.begin == 1 && pgdbm__source_is_name(source, span.begin)
                                         ? pgdbm__source_constant(source, span.begin)
                                         : NULL;
    if (single != NULL && is_built(source, call, span.begin))
        single = NULL; /* char sql[200] = ""; strcat(sql, ...) */
    if (single == NULL && source->effort == 0) {
        not_checked(source);
        return;
    }
    if (single != NULL && single->read)
        return;
    struct pgdbm__literal literal = {0};
    size_t constants = 0;
    bool built = single == NULL && span.end - span.begin == 1 && pgdbm__source_is_name(source, span.begin);
    if (!built && collect(source, span, &literal, &constants)) {
        if (single != NULL)
            single->read = true;
        if (!source->no_memory)
            read_literal(source, &literal, or_table);
    } else if (literal.bytes > 0)
        not_checked(source); /* "SELECT " MACRO " FROM ...": only the preprocessor knows */
    else
        judge(source, call, span);
    pgdbm__literal_free(&literal);
}

/* A prototype or a definition, not a call. */
static bool is_declaration(const struct pgdbm__source *source, struct pgdbm__span argument)
{
    return argument.end - argument.begin >= 2 && pgdbm__source_is(source, argument.begin, "const") &&
           pgdbm__source_is(source, argument.begin + 1, "char");
}

void pgdbm__source_read_sql(struct pgdbm__source *source)
{
    enum { MOST_ARGUMENTS = 4 };
    for (size_t i = 0; i + 1 < source->tokens.n_tokens && !source->no_memory; i++) {
        const struct pgdbm__token *token = token_at(source, i);
        struct pgdbm__span arguments[MOST_ARGUMENTS];
        if (token->kind != TOKEN_NAME || !pgdbm__source_is(source, i + 1, "("))
            continue;
        const struct pgdbm__check_call *call =
            pgdbm__check_call_find(source->tokens.text + token->offset, token->bytes);
        if (call == NULL)
            continue;
        size_t n = pgdbm__source_arguments(source, i, arguments, MOST_ARGUMENTS);
        if (call->sql < n && !is_declaration(source, arguments[call->sql]))
            read_expression(source, i, arguments[call->sql], call->or_table);
    }
}
