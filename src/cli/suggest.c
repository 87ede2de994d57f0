/* SPDX-License-Identifier: MIT */
/* "Did you mean": the nearest word by edit distance, or what other tools call otherwise. Pure. */
#include "command.h"

#include <stdint.h>
#include <string.h>

#define LONGEST 32

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other. */
static size_t distance(const char *a, const char *b)
{
    size_t a_bytes = strlen(a);
    size_t b_bytes = strlen(b);
    size_t cost[LONGEST + 1][LONGEST + 1];
    if (a_bytes > LONGEST || b_bytes > LONGEST)
        return SIZE_MAX;
    for (size_t i = 0; i <= a_bytes; i++)
        for (size_t j = 0; j <= b_bytes; j++) {
            if (i == 0 || j == 0) {
                cost[i][j] = i + j;
                continue;
            }
            size_t replaced = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            cost[i][j] = smaller(replaced, smaller(cost[i - 1][j], cost[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                cost[i][j] = smaller(cost[i][j], cost[i - 2][j - 2] + 1);
        }
    return cost[a_bytes][b_bytes];
}

/* Words of other migration tools, and of pgdbm for Python, for what is called otherwise here. */
static const char *const other_words[][2] = {
    {"all-modules", "all"},    {"confirm", "yes"},        {"connect", "psql"}, {"down", "rollback"},
    {"downgrade", "rollback"}, {"dump", "export-schema"}, {"force", "yes"},    {"generate", "new"},
    {"init", "new"},           {"info", "status"},        {"lint", "check"},   {"path", "dir"},
    {"shell", "psql"},         {"undo", "rollback"},      {"up", "apply"},     {"upgrade", "apply"},
    {"validate", "verify"},    {"version", "target"},
};

static const char *suggest_other(const char *word, const char *const *candidates)
{
    for (size_t i = 0; i < sizeof other_words / sizeof *other_words; i++)
        for (const char *const *at = candidates; strcmp(word, other_words[i][0]) == 0 && *at != NULL; at++)
            if (strcmp(*at, other_words[i][1]) == 0)
                return *at;
    return NULL;
}

const char *pgdbm__cli_suggest(const char *word, const char *const *candidates)
{
    const char *other = suggest_other(word, candidates);
    if (other != NULL)
        return other;
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    size_t bytes = strlen(word);
    for (; *candidates != NULL; candidates++) {
        /* An abbreviation is as near as a slip of the finger. */
        bool abbreviation = bytes >= 2 && strncmp(word, *candidates, bytes) == 0;
        size_t far = abbreviation ? 1 : distance(word, *candidates);
        if (far < best_distance) {
            best = *candidates;
            best_distance = far;
        }
    }
    size_t tolerated = bytes <= 3 ? 1 : bytes <= 6 ? 2 : 3;
    return best_distance <= tolerated ? best : NULL;
}
