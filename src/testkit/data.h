/* SPDX-License-Identifier: MIT */
/* Test data from inside: names, and grids of texts that are compared and shown. */
#ifndef PGDBM_TESTKIT_DATA_H
#define PGDBM_TESTKIT_DATA_H

#include "base/buffer.h"

#include <pgdbm/testdata.h>

/* --- name.c --- */

/* Whether it is "name" or "schema.name", as {{tables.…}} takes it, and no SQL. */
bool pgdbm__is_table(const char *text);
/* What selects the rows of a table; SQL is copied. Templates are in it. The caller's to free; NULL when memory is short. */
char *pgdbm__select_from(const char *sql_or_table);
/* The nearest of the names that a person may have meant, or NULL. */
const char *pgdbm__nearest(const char *word, const char *const *names, size_t n_names);
/* Appends "did you mean \"…\"?" to the hint of an error, where there is a near name. */
void pgdbm__suggest(pgdbm_error *err, const char *word, const char *const *names, size_t n_names);
/* How a text is named in messages: the table in quotes, or "the query". */
const char *pgdbm__call_it(const char *sql_or_table, char *out, size_t out_bytes);

/* --- grid.c --- */

/* Columns with names, rows of texts. Zero-initialise; pgdbm__grid_free accepts what is half built. */
struct pgdbm__grid {
    size_t n_columns, n_rows;
    const char **names;
    const char **cells;   /* row after row; NULL: SQL NULL */
    char *space;          /* what they point to, or ... */
    pgdbm_result *result; /* ... into */
};

/* Reads a table written as text (<pgdbm/testdata.h> has its rules). Errors: TESTDB (with the line), NOMEM. */
pgdbm_status pgdbm__grid_parse(struct pgdbm__grid *grid, const char *text, pgdbm_error *err);
/* Takes the result over, also when it fails. */
pgdbm_status pgdbm__grid_take(struct pgdbm__grid *grid, pgdbm_result *result, pgdbm_error *err);
/* The rows of a statement or table. */
pgdbm_status pgdbm__grid_fetch(struct pgdbm__grid *grid, pgdbm_db *db, const char *sql_or_table, pgdbm_error *err);
/* Writes it as pgdbm__grid_parse reads it, aligned. NULL when memory is short. */
char *pgdbm__grid_text(const struct pgdbm__grid *grid);
void pgdbm__grid_free(struct pgdbm__grid *grid);

static inline const char *const *pgdbm__grid_row(const struct pgdbm__grid *grid, size_t row)
{
    return grid->cells + row * grid->n_columns;
}

/* The number of the column, or n_columns. */
size_t pgdbm__grid_column(const struct pgdbm__grid *grid, const char *name);
bool pgdbm__same_text(const char *one, const char *other); /* NULL is the same as NULL only */
/* By texts, column after column; NULL comes first. */
int pgdbm__compare_rows(const char *const *one, const char *const *other, size_t n_columns);

/* --- show.c --- */

/* A line of a difference. `other` is the row that it may be the other version of, or NULL. */
struct pgdbm__line {
    char sign;
    const char *const *cells, *const *other;
};

/* A value for a person: quoted where it must be, shortened. Where that would make it look like `other`, which it is not, it
 * begins near where they differ. Returns `out`. */
const char *pgdbm__show_cell(const char *cell, const char *other, char *out, size_t out_bytes);
/* Shows as many lines as fit, below the columns' names, and says how many more there are. Of rows that are too wide only
 * what tells them apart. */
void pgdbm__show_lines(const char *const *names, size_t n_columns, const struct pgdbm__line *lines, size_t n_lines,
                       char *out, size_t out_bytes);

/* --- difference.c --- */

struct pgdbm__row {
    const char *const *cells;
    size_t n_columns;
    size_t number;
};

/* Two sets of rows with the same columns, and what differs between them. */
struct pgdbm__difference {
    const struct pgdbm__grid *expected, *got;
    struct pgdbm__row *rows; /* of both, sorted */
    bool *missing, *more;    /* by row: it has no match */
    size_t n_missing, n_more;
    struct pgdbm__line *lines;
    size_t n_lines;
};

/* False when memory is short; pgdbm__difference_free accepts that. Both grids stay while it is used. */
bool pgdbm__difference_make(struct pgdbm__difference *difference, const struct pgdbm__grid *expected,
                            const struct pgdbm__grid *got);
/* Finds what differs: as sets in which each row counts as often as it occurs; or row for row. */
void pgdbm__difference_of_sets(struct pgdbm__difference *difference);
void pgdbm__difference_of_order(struct pgdbm__difference *difference);
/* Makes the lines to be shown. */
void pgdbm__difference_list(struct pgdbm__difference *difference);
void pgdbm__difference_free(struct pgdbm__difference *difference);

#endif
