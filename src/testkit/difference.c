/* SPDX-License-Identifier: MIT */
/* What differs between the rows that should be and those that are. Pure, but for memory. */
#include "base/alloc.h"
#include "testkit/data.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *one, const void *other)
{
    const struct pgdbm__row *left = one, *right = other;
    return pgdbm__compare_rows(left->cells, right->cells, left->n_columns);
}

void pgdbm__difference_free(struct pgdbm__difference *difference)
{
    pgdbm__free(difference->rows);
    pgdbm__free(difference->missing);
    pgdbm__free(difference->more);
    pgdbm__free(difference->lines);
}

bool pgdbm__difference_make(struct pgdbm__difference *difference, const struct pgdbm__grid *expected,
                            const struct pgdbm__grid *got)
{
    size_t n_rows = expected->n_rows + got->n_rows;
    *difference = (struct pgdbm__difference){.expected = expected, .got = got};
    difference->rows = pgdbm__alloc_zero(n_rows + 1, sizeof *difference->rows);
    difference->missing = pgdbm__alloc_zero(expected->n_rows + 1, sizeof *difference->missing);
    difference->more = pgdbm__alloc_zero(got->n_rows + 1, sizeof *difference->more);
    difference->lines = pgdbm__alloc_zero(n_rows + 1, sizeof *difference->lines);
    return difference->rows != NULL && difference->missing != NULL && difference->more != NULL &&
           difference->lines != NULL;
}

static struct pgdbm__row *sort(struct pgdbm__row *rows, const struct pgdbm__grid *grid)
{
    for (size_t i = 0; i < grid->n_rows; i++)
        rows[i] = (struct pgdbm__row){pgdbm__grid_row(grid, i), grid->n_columns, i};
    qsort(rows, grid->n_rows, sizeof *rows, compare);
    return rows;
}

/* Each row has a match as often as the other side has it. */
void pgdbm__difference_of_sets(struct pgdbm__difference *difference)
{
    const struct pgdbm__row *expected = sort(difference->rows, difference->expected);
    const struct pgdbm__row *got = sort(difference->rows + difference->expected->n_rows, difference->got);
    size_t n_expected = difference->expected->n_rows;
    size_t n_got = difference->got->n_rows;
    for (size_t i = 0, j = 0; i < n_expected || j < n_got;) {
        int order = i == n_expected ? 1 : j == n_got ? -1 : compare(&expected[i], &got[j]);
        if (order < 0)
            difference->missing[expected[i].number] = true;
        if (order > 0)
            difference->more[got[j].number] = true;
        difference->n_missing += order < 0;
        difference->n_more += order > 0;
        i += order <= 0;
        j += order >= 0;
    }
}

static bool same_row(const struct pgdbm__difference *difference, size_t expected, size_t got)
{
    return pgdbm__compare_rows(pgdbm__grid_row(difference->expected, expected), pgdbm__grid_row(difference->got, got),
                               difference->got->n_columns) == 0;
}

/* By place: what is between the rows that both begin and end with. */
void pgdbm__difference_of_order(struct pgdbm__difference *difference)
{
    size_t n_expected = difference->expected->n_rows;
    size_t n_got = difference->got->n_rows;
    size_t shorter = n_expected < n_got ? n_expected : n_got;
    size_t head = 0, tail = 0;
    memset(difference->missing, 0, n_expected * sizeof *difference->missing);
    memset(difference->more, 0, n_got * sizeof *difference->more);
    while (head < shorter && same_row(difference, head, head))
        head++;
    while (tail < shorter - head && same_row(difference, n_expected - 1 - tail, n_got - 1 - tail))
        tail++;
    for (size_t i = head; i < n_expected - tail; i++)
        difference->missing[i] = i >= n_got - tail || !same_row(difference, i, i);
    for (size_t i = head; i < n_got - tail; i++)
        difference->more[i] = i >= n_expected - tail || !same_row(difference, i, i);
    difference->n_missing = difference->n_more = 0;
    for (size_t i = 0; i < n_expected; i++)
        difference->n_missing += difference->missing[i];
    for (size_t i = 0; i < n_got; i++)
        difference->n_more += difference->more[i];
}

static void add_line(struct pgdbm__difference *difference, char sign, const char *const *cells,
                     const char *const *other)
{
    difference->lines[difference->n_lines++] = (struct pgdbm__line){sign, cells, other};
}

/* The row that came in the place of a missing one: the first that has the same first value, or the number of rows. */
static size_t find_other(const struct pgdbm__difference *difference, size_t missing)
{
    const struct pgdbm__grid *got = difference->got;
    const char *first = pgdbm__grid_row(difference->expected, missing)[0];
    size_t i = 0;
    while (i < got->n_rows && !(difference->more[i] && pgdbm__same_text(pgdbm__grid_row(got, i)[0], first)))
        i++;
    return i;
}

/* Missing rows in their order, each followed by what seems to have come instead, then what else came. */
void pgdbm__difference_list(struct pgdbm__difference *difference)
{
    const struct pgdbm__grid *got = difference->got;
    for (size_t i = 0; i < difference->expected->n_rows; i++) {
        if (!difference->missing[i])
            continue;
        const char *const *cells = pgdbm__grid_row(difference->expected, i);
        size_t other = difference->n_lines < 100 ? find_other(difference, i) : got->n_rows;
        const char *const *beside = other < got->n_rows ? pgdbm__grid_row(got, other) : NULL;
        add_line(difference, '-', cells, beside);
        if (beside == NULL)
            continue;
        add_line(difference, '+', beside, cells);
        difference->more[other] = false;
    }
    for (size_t i = 0; i < got->n_rows; i++)
        if (difference->more[i])
            add_line(difference, '+', pgdbm__grid_row(got, i), NULL);
}
