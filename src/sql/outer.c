/* SPDX-License-Identifier: MIT */
/* Finding the outer statement. Behind WITH it is the first word that begins a statement outside of parentheses, unless
 * that word stands where the list has a name: `WITH values AS (...)` is legal. Any thread. */
#include "sql/outer.h"

#include "sql/effects.h"
#include "sql/scan.h"

static bool is_any(const char *sql, const struct pgdbm__token *token, const char *const *words)
{
    for (; *words != NULL; words++)
        if (pgdbm__token_is_word(sql, token, *words))
            return true;
    return false;
}

static const char *const reading[] = {"select", "values", "table", NULL};
static const char *const writing[] = {"insert", "update", "delete", "merge", NULL};
static const char *const before_name[] = {"with", "recursive", NULL};

/* Whether the outer statement begins with this token, which follows `previous` in or behind the list of WITH. */
static bool begins(const char *sql, const struct pgdbm__token *previous, const struct pgdbm__token *token)
{
    if (pgdbm__token_is_symbol(sql, token, '('))
        return pgdbm__token_is_symbol(sql, previous, ')');
    return (is_any(sql, token, reading) || is_any(sql, token, writing)) &&
           !pgdbm__token_is_symbol(sql, previous, ',') && !is_any(sql, previous, before_name);
}

struct pgdbm__outer pgdbm__sql_outer(const char *sql, size_t bytes)
{
    struct pgdbm__outer outer = {.begin = bytes, .end = pgdbm__scan_end(sql, bytes)};
    struct pgdbm__scanner scanner = {.text = sql, .bytes = bytes};
    struct pgdbm__token token, previous = {0}, first = {0};
    size_t depth = 0;
    for (pgdbm__scan_next(&scanner, &token); token.kind != PGDBM__TOKEN_END; pgdbm__scan_next(&scanner, &token)) {
        if (previous.bytes == 0 && pgdbm__token_is_word(sql, &token, "with"))
            outer.with = true;
        else if (outer.begin == bytes && depth == 0 && (!outer.with || begins(sql, &previous, &token))) {
            outer.begin = token.offset;
            first = token;
        }
        if (pgdbm__token_is_symbol(sql, &token, '('))
            depth++;
        else if (pgdbm__token_is_symbol(sql, &token, ')') && depth > 0)
            depth--;
        previous = token;
    }
    outer.gives_rows =
        is_any(sql, &first, reading) || pgdbm__token_is_symbol(sql, &first, '(') ||
        (is_any(sql, &first, writing) && (pgdbm__sql_effects(sql, bytes) & PGDBM__EFFECT_RETURNING) != 0);
    return outer;
}
