/* SPDX-License-Identifier: MIT */
/* Names in test data: whether a text is one, what selects a table's rows, which one was meant. Pure, but for memory. */
#include "base/alloc.h"
#include "base/error.h"
#include "sql/identifier.h"
#include "testkit/data.h"

#include <stdio.h>
#include <string.h>

#define LONGEST 63

bool pgdbm__is_table(const char *text)
{
    const char *dot = strchr(text, '.');
    size_t first = dot != NULL ? (size_t)(dot - text) : strlen(text);
    return pgdbm__identifier_fault(text, first) == NULL &&
           (dot == NULL || pgdbm__identifier_fault(dot + 1, strlen(dot + 1)) == NULL);
}

char *pgdbm__select_from(const char *sql_or_table)
{
    struct pgdbm__buffer sql = {0};
    if (pgdbm__is_table(sql_or_table))
        pgdbm__buffer_format(&sql, "SELECT * FROM {{tables.%s}}", sql_or_table);
    else
        pgdbm__buffer_text(&sql, sql_or_table);
    char *text = pgdbm__buffer_take(&sql);
    pgdbm__buffer_free(&sql);
    return text;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static char lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte + 'a' - 'A') : byte;
}

/* Insertions, deletions and replacements between one word and the other; case does not count. */
static size_t distance(const char *one, const char *other)
{
    size_t n_one = strlen(one);
    size_t n_other = strlen(other);
    size_t costs[2][LONGEST + 1];
    if (n_one > LONGEST || n_other > LONGEST)
        return SIZE_MAX;
    for (size_t i = 0; i <= n_one; i++)
        for (size_t j = 0; j <= n_other; j++) {
            size_t *here = costs[i % 2];
            const size_t *above = costs[(i + 1) % 2];
            if (i == 0 || j == 0)
                here[j] = i + j;
            else
                here[j] = smaller(above[j - 1] + (lower(one[i - 1]) != lower(other[j - 1])),
                                  smaller(above[j], here[j - 1]) + 1);
        }
    return costs[n_one % 2][n_other];
}

const char *pgdbm__nearest(const char *word, const char *const *names, size_t n_names)
{
    size_t bytes = strlen(word);
    size_t best = bytes <= 3 ? 1 : bytes <= 6 ? 2 : 3; /* what is farther away was not meant */
    const char *nearest = NULL;
    for (size_t i = 0; i < n_names; i++) {
        size_t far = distance(word, names[i]);
        if (far < best || (far == best && nearest == NULL)) {
            best = far;
            nearest = names[i];
        }
    }
    return nearest;
}

void pgdbm__suggest(pgdbm_error *err, const char *word, const char *const *names, size_t n_names)
{
    const char *nearest = pgdbm__nearest(word, names, n_names);
    if (nearest != NULL)
        pgdbm__error_hint(err, "did you mean \"%s\"?", nearest);
}

const char *pgdbm__call_it(const char *sql_or_table, char *out, size_t out_bytes)
{
    if (pgdbm__is_table(sql_or_table))
        snprintf(out, out_bytes, "\"%s\"", sql_or_table);
    else
        snprintf(out, out_bytes, "the query");
    return out;
}
