/* SPDX-License-Identifier: MIT */
/* What there is in a file of C: functions, constants, calls. Guesses where only a compiler could know; a guess that finds nothing
 * costs nothing. */
#include "check/source.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool pgdbm__source_is(const struct pgdbm__source *source, size_t at, const char *word)
{
    return pgdbm__token_is(&source->tokens, at, word);
}

bool pgdbm__source_is_name(const struct pgdbm__source *source, size_t at)
{
    return at < source->tokens.n_tokens && source->tokens.tokens[at].kind == TOKEN_NAME;
}

static bool is_string(const struct pgdbm__source *source, size_t at)
{
    return at < source->tokens.n_tokens && source->tokens.tokens[at].kind == TOKEN_STRING;
}

bool pgdbm__source_same(const struct pgdbm__source *source, size_t a, size_t b)
{
    const struct pgdbm__token *one = &source->tokens.tokens[a], *two = &source->tokens.tokens[b];
    return one->kind == two->kind && one->bytes == two->bytes &&
           memcmp(source->tokens.text + one->offset, source->tokens.text + two->offset, one->bytes) == 0;
}

bool pgdbm__source_same_span(const struct pgdbm__source *source, struct pgdbm__span a, struct pgdbm__span b)
{
    if (a.end - a.begin != b.end - b.begin || a.begin == a.end)
        return false;
    for (size_t i = 0; i < a.end - a.begin; i++)
        if (!pgdbm__source_same(source, a.begin + i, b.begin + i))
            return false;
    return true;
}

/* 1 for an opening bracket, -1 for a closing one. */
static int bracket(const struct pgdbm__source *source, size_t at)
{
    const struct pgdbm__token *token = &source->tokens.tokens[at];
    if (token->kind != TOKEN_SIGN)
        return 0;
    char letter = source->tokens.text[token->offset];
    return letter == '(' || letter == '[' || letter == '{'   ? 1
           : letter == ')' || letter == ']' || letter == '}' ? -1
                                                             : 0;
}

size_t pgdbm__source_behind(const struct pgdbm__source *source, size_t at)
{
    return at < source->tokens.n_tokens ? source->behind[at] : at;
}

size_t pgdbm__source_next(const struct pgdbm__source *source, size_t at, size_t end)
{
    size_t behind = bracket(source, at) > 0 ? source->behind[at] : end;
    return behind > at && behind < end ? behind : at + 1;
}

/* A branch of #if: what was open before it, and what the branch before has left open. */
enum { MOST_BRANCHES = 16, MOST_OPEN = 64 };

struct branches {
    size_t before[MOST_OPEN], left[MOST_OPEN]; /* the innermost ones */
    size_t n_before, n_left;
    bool has_left;
};

struct matching {
    size_t *open, *twin; /* the brackets that are open; of each the one of another branch that closes with it, or 0 */
    size_t depth;
    struct branches branches[MOST_BRANCHES];
    size_t n_branches;
};

/* Which of #if (1), #else and #elif (2), #endif (3) a directive is; 0: another. */
static int conditional(const struct pgdbm__source *source, size_t at)
{
    const struct pgdbm__token *token = &source->tokens.tokens[at];
    const char *text = source->tokens.text + token->offset;
    size_t bytes = token->bytes, from = 1;
    while (from < bytes && (text[from] == ' ' || text[from] == '\t'))
        from++;
    const bool long_enough = bytes - from >= 4;
    if (bytes - from >= 2 && memcmp(text + from, "if", 2) == 0)
        return 1;
    if (long_enough && (memcmp(text + from, "else", 4) == 0 || memcmp(text + from, "elif", 4) == 0))
        return 2;
    return long_enough && memcmp(text + from, "endi", 4) == 0 ? 3 : 0;
}

/* Brackets that another branch has left open close with those of the branch before. */
static void join_branches(struct matching *matching, struct branches *branches)
{
    size_t base = branches->n_before < MOST_OPEN ? branches->n_before : MOST_OPEN;
    size_t n = matching->depth < MOST_OPEN ? matching->depth : MOST_OPEN;
    if (!branches->has_left) {
        memcpy(branches->left, matching->open + matching->depth - n, n * sizeof *branches->left);
        branches->n_left = matching->depth;
        branches->has_left = true;
        return;
    }
    if (branches->n_left != matching->depth || n < base)
        return;
    for (size_t i = 0; i < n; i++) {
        size_t one = matching->open[matching->depth - n + i], other = branches->left[i];
        if (one > other && matching->twin[one] == 0)
            matching->twin[one] = other;
        branches->left[i] = one;
    }
}

/* Each branch of #if begins with what was open before it: only one of them is compiled. */
static void match_conditional(struct matching *matching, int kind)
{
    if (kind == 0)
        return;
    if (kind == 1) {
        if (matching->n_branches < MOST_BRANCHES) {
            struct branches *branches = &matching->branches[matching->n_branches];
            size_t n = matching->depth < MOST_OPEN ? matching->depth : MOST_OPEN;
            branches->has_left = false;
            branches->n_before = matching->depth;
            memcpy(branches->before, matching->open + matching->depth - n, n * sizeof *branches->before);
        }
        matching->n_branches++;
        return;
    }
    if (matching->n_branches == 0)
        return;
    if (kind == 3 && --matching->n_branches >= MOST_BRANCHES)
        return;
    if (kind == 2 && matching->n_branches > MOST_BRANCHES)
        return;
    struct branches *branches = &matching->branches[matching->n_branches - (kind == 2)];
    if (kind == 2 || branches->has_left)
        join_branches(matching, branches);
    if (kind == 2) {
        size_t n = branches->n_before < MOST_OPEN ? branches->n_before : MOST_OPEN;
        memcpy(matching->open + branches->n_before - n, branches->before, n * sizeof *branches->before);
        matching->depth = branches->n_before;
    }
}

/* Every bracket closes the last one that is open, whatever its shape: half-written code ends somewhere, too. */
static void match_brackets(struct pgdbm__source *source)
{
    size_t n = source->tokens.n_tokens;
    struct matching matching = {.depth = 0};
    matching.open = calloc(n + 1, sizeof *matching.open);
    matching.twin = calloc(n + 1, sizeof *matching.twin);
    source->behind = calloc(n + 1, sizeof *source->behind);
    source->no_memory = matching.open == NULL || matching.twin == NULL || source->behind == NULL;
    for (size_t i = 0; !source->no_memory && i < n; i++) {
        int step = bracket(source, i);
        source->behind[i] = n;
        if (source->tokens.tokens[i].kind == TOKEN_DIRECTIVE)
            match_conditional(&matching, conditional(source, i));
        else if (step > 0)
            matching.open[matching.depth++] = i;
        else if (step < 0 && matching.depth > 0) {
            size_t closed = matching.open[--matching.depth];
            source->behind[closed] = i + 1;
            while ((closed = matching.twin[closed]) > 0 && source->behind[closed] == n)
                source->behind[closed] = i + 1;
        }
    }
    free(matching.open);
    free(matching.twin);
}

size_t pgdbm__source_arguments(const struct pgdbm__source *source, size_t at, struct pgdbm__span *arguments,
                               size_t most)
{
    size_t end = pgdbm__source_behind(source, at + 1);
    size_t n = 0;
    size_t begin = at + 2;
    if (end <= begin || !pgdbm__source_is(source, end - 1, ")") || begin == end - 1)
        return 0;
    for (size_t i = begin; i < end && n < most;) {
        if (i + 1 == end || pgdbm__source_is(source, i, ",")) {
            arguments[n++] = (struct pgdbm__span){begin, i};
            begin = i + 1;
        }
        i = pgdbm__source_next(source, i, end);
    }
    return n;
}

bool pgdbm__source_spend(struct pgdbm__source *source, size_t tokens)
{
    bool left = source->effort > tokens;
    source->effort = left ? source->effort - tokens : 0;
    return left;
}

const struct pgdbm__function *pgdbm__source_function(const struct pgdbm__source *source, size_t at)
{
    size_t low = 0;
    for (size_t high = source->n_functions; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (source->functions[middle].body.end <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low < source->n_functions && at >= source->functions[low].body.begin ? &source->functions[low] : NULL;
}

/* Orders a name and a constant's. */
static int compare_names(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);
    return order != 0 ? order : a_bytes == b_bytes ? 0 : a_bytes < b_bytes ? -1 : 1;
}

int pgdbm__source_compare(const struct pgdbm__source *source, size_t a, size_t b)
{
    const struct pgdbm__token *one = &source->tokens.tokens[a], *two = &source->tokens.tokens[b];
    return compare_names(source->tokens.text + one->offset, one->bytes, source->tokens.text + two->offset, two->bytes);
}

static int compare_tokens(const void *a, const void *b, void *source)
{
    const size_t *one = a, *two = b;
    int order = pgdbm__source_compare(source, *one, *two);
    return order != 0 ? order : *one < *two ? -1 : *one > *two;
}

void pgdbm__source_sort(const struct pgdbm__source *source, size_t *names, size_t n)
{
    if (n > 1)
        qsort_r(names, n, sizeof *names, compare_tokens, (void *)(uintptr_t)source);
}

size_t pgdbm__source_find(const struct pgdbm__source *source, const size_t *names, size_t n, size_t name)
{
    size_t low = 0;
    while (low < n) {
        size_t middle = low + (n - low) / 2;
        if (pgdbm__source_compare(source, names[middle], name) < 0)
            low = middle + 1;
        else
            n = middle;
    }
    return low;
}

static int compare_constants(const void *a, const void *b)
{
    const struct pgdbm__constant *one = a, *two = b;
    int order = compare_names(one->name, one->name_bytes, two->name, two->name_bytes);
    return order != 0                                ? order
           : one->scope.begin < two->scope.begin     ? -1
           : (one->scope.begin > two->scope.begin)   ? 1
           : one->strings.begin < two->strings.begin ? -1
                                                     : one->strings.begin > two->strings.begin;
}

struct pgdbm__constant *pgdbm__source_constant(struct pgdbm__source *source, size_t at)
{
    const struct pgdbm__token *token = &source->tokens.tokens[at];
    struct pgdbm__constant *found = NULL;
    size_t low = 0;
    for (size_t high = source->n_constants; low < high;) {
        size_t middle = low + (high - low) / 2;
        const struct pgdbm__constant *constant = &source->constants[middle];
        if (compare_names(constant->name, constant->name_bytes, source->tokens.text + token->offset, token->bytes) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    /* Of those of the name the last that is in force here: inner ones hide outer ones. */
    for (; low < source->n_constants && pgdbm__source_spend(source, 1); low++) {
        struct pgdbm__constant *constant = &source->constants[low];
        if (compare_names(constant->name, constant->name_bytes, source->tokens.text + token->offset, token->bytes) != 0)
            break;
        if (at >= constant->scope.begin && at < constant->scope.end)
            found = constant;
    }
    return found;
}

/* `array` of `n` elements, one longer when `n` is a power of two or none; NULL and no_memory. */
static void *grow(struct pgdbm__source *source, void *array, size_t n, size_t bytes)
{
    if (n > 0 && (n & (n - 1)) != 0)
        return array;
    void *longer = realloc(array, (n == 0 ? 1 : 2 * n) * bytes);
    source->no_memory = source->no_memory || longer == NULL;
    return longer;
}

static void add_constant(struct pgdbm__source *source, const struct pgdbm__token *name,
                         const struct pgdbm__tokens *tokens, struct pgdbm__span strings, struct pgdbm__span scope)
{
    struct pgdbm__constant *longer = grow(source, source->constants, source->n_constants, sizeof *longer);
    if (longer == NULL)
        return;
    source->constants = longer;
    source->constants[source->n_constants++] = (struct pgdbm__constant){.name = source->tokens.text + name->offset,
                                                                        .name_bytes = name->bytes,
                                                                        .strings = strings,
                                                                        .tokens = tokens,
                                                                        .scope = scope};
}

/* #define NAME "..." "...": what is behind the name has tokens of its own. */
static void read_define(struct pgdbm__source *source, const struct pgdbm__token *directive)
{
    struct pgdbm__tokens *tokens = &source->defines[source->n_defines];
    struct pgdbm__check_place place = directive->place;
    place.column++; /* behind the # */
    if (!pgdbm__lex(tokens, source->tokens.text, directive->offset + 1, directive->offset + directive->bytes, place)) {
        source->no_memory = true;
        return;
    }
    size_t n = tokens->n_tokens;
    bool text = n >= 3 && pgdbm__token_is(tokens, 0, "define") && tokens->tokens[1].kind == TOKEN_NAME;
    for (size_t i = 2; i < n; i++)
        text = text && tokens->tokens[i].kind == TOKEN_STRING;
    if (text) {
        pgdbm__tokens_trim(tokens);
        source->n_defines++;
        add_constant(source, &tokens->tokens[1], tokens, (struct pgdbm__span){2, n},
                     (struct pgdbm__span){0, source->tokens.n_tokens});
    } else
        pgdbm__tokens_free(tokens);
}

static void find_defines(struct pgdbm__source *source)
{
    size_t n = 0;
    for (size_t i = 0; i < source->tokens.n_tokens; i++)
        n += source->tokens.tokens[i].kind == TOKEN_DIRECTIVE;
    source->defines = calloc(n + 1, sizeof *source->defines);
    source->no_memory = source->no_memory || source->defines == NULL;
    for (size_t i = 0; !source->no_memory && i < source->tokens.n_tokens; i++)
        if (source->tokens.tokens[i].kind == TOKEN_DIRECTIVE)
            read_define(source, &source->tokens.tokens[i]);
}

/* `==` is no assignment. */
static bool is_assignment(const struct pgdbm__source *source, size_t at)
{
    return pgdbm__source_is_name(source, at) && pgdbm__source_is(source, at + 1, "=") &&
           !pgdbm__source_is(source, at + 2, "=");
}

static void find_assignments(struct pgdbm__source *source)
{
    size_t n = 0;
    for (size_t i = 0; i < source->tokens.n_tokens; i++)
        n += is_assignment(source, i);
    source->assigned = calloc(n + 1, sizeof *source->assigned);
    source->no_memory = source->no_memory || source->assigned == NULL;
    for (size_t i = 0; !source->no_memory && i < source->tokens.n_tokens; i++)
        if (is_assignment(source, i))
            source->assigned[source->n_assigned++] = i;
    pgdbm__source_sort(source, source->assigned, source->n_assigned);
}

/* Whether `NAME =` stands in the scope, which begins with the declaration itself; then it is no constant. */
static bool is_assigned(const struct pgdbm__source *source, size_t name, struct pgdbm__span scope)
{
    size_t low = pgdbm__source_find(source, source->assigned, source->n_assigned, name);
    for (size_t high = source->n_assigned; low < high;) {
        size_t middle = low + (high - low) / 2;
        size_t at = source->assigned[middle];
        if (pgdbm__source_compare(source, at, name) == 0 && at <= scope.begin)
            low = middle + 1;
        else
            high = middle;
    }
    return low < source->n_assigned && source->assigned[low] < scope.end &&
           pgdbm__source_compare(source, source->assigned[low], name) == 0;
}

/* At `char`: char NAME[...] = "..."; or char *NAME = "...". Constants of a function are looked for in it alone; one of the file
 * must be const, because others may be assigned by other files. */
static void read_variable(struct pgdbm__source *source, size_t at)
{
    const struct pgdbm__function *function = pgdbm__source_function(source, at);
    struct pgdbm__span scope = {0, source->tokens.n_tokens};
    bool constant = at > 0 && pgdbm__source_is(source, at - 1, "const");
    for (at++; pgdbm__source_is(source, at, "*") || pgdbm__source_is(source, at, "const"); at++)
        continue;
    size_t name = at++;
    if (!pgdbm__source_is_name(source, name))
        return;
    if (pgdbm__source_is(source, at, "["))
        at = pgdbm__source_behind(source, at);
    if (!pgdbm__source_is(source, at, "=") || !is_string(source, at + 1))
        return;
    size_t begin = ++at;
    while (is_string(source, at))
        at++;
    if (function != NULL)
        scope = (struct pgdbm__span){name, function->body.end};
    bool whole = pgdbm__source_is(source, at, ";") || pgdbm__source_is(source, at, ",");
    if (whole && (function != NULL ? !is_assigned(source, name, scope) : constant))
        add_constant(source, &source->tokens.tokens[name], &source->tokens, (struct pgdbm__span){begin, at}, scope);
}

static void find_variables(struct pgdbm__source *source)
{
    for (size_t i = 0; !source->no_memory && i < source->tokens.n_tokens; i++)
        if (pgdbm__source_is(source, i, "char"))
            read_variable(source, i);
    if (source->n_constants > 0)
        qsort(source->constants, source->n_constants, sizeof *source->constants, compare_constants);
}

/* NAME ( parameters ) { body }, outside of functions. A brace behind anything else opens no function: a namespace, extern "C", a
 * struct; what is in it is looked at like the file. */
static void find_functions(struct pgdbm__source *source)
{
    for (size_t i = 0; !source->no_memory && i < source->tokens.n_tokens; i++) {
        if (!pgdbm__source_is_name(source, i) || !pgdbm__source_is(source, i + 1, "("))
            continue;
        size_t behind = pgdbm__source_behind(source, i + 1);
        size_t open = behind;
        while (pgdbm__source_is_name(source, open)) /* const, noexcept, override */
            open++;
        if (!pgdbm__source_is(source, open, "{") || open - behind > 3)
            continue;
        struct pgdbm__function *longer = grow(source, source->functions, source->n_functions, sizeof *longer);
        if (longer == NULL)
            return;
        source->functions = longer;
        size_t end = pgdbm__source_behind(source, open);
        source->functions[source->n_functions++] =
            (struct pgdbm__function){.name = i, .parameters = {i + 2, behind - 1}, .body = {open, end}};
        i = end - 1;
    }
}

void pgdbm__source_structure(struct pgdbm__source *source)
{
    match_brackets(source);
    if (!source->no_memory)
        find_functions(source);
    if (!source->no_memory)
        find_defines(source);
    if (!source->no_memory)
        find_assignments(source);
    if (!source->no_memory)
        find_variables(source);
}

void pgdbm__source_free(struct pgdbm__source *source)
{
    for (size_t i = 0; i < source->n_defines; i++)
        pgdbm__tokens_free(&source->defines[i]);
    free(source->defines);
    for (size_t i = 0; i < source->n_functions; i++)
        free(source->functions[i].built);
    free(source->behind);
    free(source->assigned);
    free(source->functions);
    free(source->constants);
    pgdbm__tokens_free(&source->tokens);
}
