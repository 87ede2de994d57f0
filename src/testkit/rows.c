/* SPDX-License-Identifier: MIT */
/* What rows are there, beside what should be. No state; any thread. */
#include "base/alloc.h"
#include "base/error.h"
#include "sql/scan.h"
#include "testkit/data.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static pgdbm_status check_arguments(const char *function, const pgdbm_db *db, const char *text, const char *argument,
                                    pgdbm_error *err)
{
    if (db == NULL || text == NULL)
        return pgdbm__fail_null(err, function, db == NULL ? "db" : argument);
    return PGDBM_OK;
}

/* Whether a statement has an ORDER BY outside of all parentheses. */
static bool is_ordered(const char *sql)
{
    struct pgdbm__scanner scanner = {.text = sql, .bytes = strlen(sql)};
    struct pgdbm__token token;
    size_t depth = 0;
    bool order = false;
    for (pgdbm__scan_next(&scanner, &token); token.kind != PGDBM__TOKEN_END; pgdbm__scan_next(&scanner, &token)) {
        if (order && pgdbm__token_is_word(sql, &token, "by"))
            return true;
        order = depth == 0 && pgdbm__token_is_word(sql, &token, "order");
        depth += pgdbm__token_is_symbol(sql, &token, '(');
        depth -= depth > 0 && pgdbm__token_is_symbol(sql, &token, ')');
    }
    return false;
}

struct row {
    const char *const *cells;
    size_t n_columns;
    size_t number;
};

static int compare(const void *one, const void *other)
{
    const struct row *left = one, *right = other;
    return pgdbm__compare_rows(left->cells, right->cells, left->n_columns);
}

/* Two sets of rows with the same columns, and what differs between them. */
struct difference {
    const struct pgdbm__grid *expected, *got;
    struct row *rows;     /* of both, sorted */
    bool *missing, *more; /* by row: it has no match */
    size_t n_missing, n_more;
    struct pgdbm__line *lines;
    size_t n_lines;
};

static void free_difference(struct difference *difference)
{
    pgdbm__free(difference->rows);
    pgdbm__free(difference->missing);
    pgdbm__free(difference->more);
    pgdbm__free(difference->lines);
}

static bool make_difference(struct difference *difference, const struct pgdbm__grid *expected,
                            const struct pgdbm__grid *got)
{
    size_t n_rows = expected->n_rows + got->n_rows;
    *difference = (struct difference){.expected = expected, .got = got};
    difference->rows = pgdbm__alloc_zero(n_rows + 1, sizeof *difference->rows);
    difference->missing = pgdbm__alloc_zero(expected->n_rows + 1, sizeof *difference->missing);
    difference->more = pgdbm__alloc_zero(got->n_rows + 1, sizeof *difference->more);
    difference->lines = pgdbm__alloc_zero(n_rows + 1, sizeof *difference->lines);
    return difference->rows != NULL && difference->missing != NULL && difference->more != NULL &&
           difference->lines != NULL;
}

static struct row *sort(struct row *rows, const struct pgdbm__grid *grid)
{
    for (size_t i = 0; i < grid->n_rows; i++)
        rows[i] = (struct row){pgdbm__grid_row(grid, i), grid->n_columns, i};
    qsort(rows, grid->n_rows, sizeof *rows, compare);
    return rows;
}

/* Each row has a match as often as the other side has it. */
static void match_sets(struct difference *difference)
{
    const struct row *expected = sort(difference->rows, difference->expected);
    const struct row *got = sort(difference->rows + difference->expected->n_rows, difference->got);
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

static bool same_row(const struct difference *difference, size_t expected, size_t got)
{
    return pgdbm__compare_rows(pgdbm__grid_row(difference->expected, expected), pgdbm__grid_row(difference->got, got),
                               difference->got->n_columns) == 0;
}

/* By place: what is between the rows that both begin and end with. */
static void match_order(struct difference *difference)
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

static void add_line(struct difference *difference, char sign, const char *const *cells, const char *const *other)
{
    difference->lines[difference->n_lines++] = (struct pgdbm__line){sign, cells, other};
}

/* The row that came in the place of a missing one: the first that has the same first value, or the number of rows. */
static size_t find_other(const struct difference *difference, size_t missing)
{
    const struct pgdbm__grid *got = difference->got;
    const char *first = pgdbm__grid_row(difference->expected, missing)[0];
    size_t i = 0;
    while (i < got->n_rows && !(difference->more[i] && pgdbm__same_text(pgdbm__grid_row(got, i)[0], first)))
        i++;
    return i;
}

/* Missing rows in their order, each followed by what seems to have come instead, then what else came. */
static void list_lines(struct difference *difference)
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

static pgdbm_status report(struct difference *difference, const char *sql_or_table, bool other_order, pgdbm_error *err)
{
    char name[140];
    char text[sizeof err->detail];
    pgdbm__call_it(sql_or_table, name, sizeof name);
    if (other_order)
        pgdbm__fail(err, PGDBM_ERR_TESTDB, "%s gave the expected rows in another order", name);
    else
        pgdbm__fail(err, PGDBM_ERR_TESTDB,
                    "%s has other rows than expected: %zu missing, %zu unexpected, %zu as expected", name,
                    difference->n_missing, difference->n_more, difference->expected->n_rows - difference->n_missing);
    list_lines(difference);
    pgdbm__show_lines(difference->expected->names, difference->expected->n_columns, difference->lines,
                      difference->n_lines, text, sizeof text);
    pgdbm__error_detail(err, "%s", text);
    pgdbm__error_hint(err, "rows with - were expected, rows with + came");
    if (!pgdbm__is_table(sql_or_table))
        pgdbm__error_statement(err, sql_or_table);
    return PGDBM_ERR_TESTDB;
}

static pgdbm_status compare_grids(const char *sql_or_table, const struct pgdbm__grid *expected,
                                  const struct pgdbm__grid *got, pgdbm_error *err)
{
    struct difference difference;
    pgdbm_status status = PGDBM_OK;
    bool ordered = !pgdbm__is_table(sql_or_table) && is_ordered(sql_or_table);
    if (make_difference(&difference, expected, got)) {
        match_sets(&difference);
        bool same_set = difference.n_missing + difference.n_more == 0;
        if (ordered)
            match_order(&difference);
        if (difference.n_missing + difference.n_more > 0)
            status = report(&difference, sql_or_table, same_set, err);
    } else
        status = pgdbm__fail_nomem(err, "comparing rows");
    free_difference(&difference);
    return status;
}

/* Keeps of what came the columns that are expected, in their order. */
static pgdbm_status select_columns(struct pgdbm__grid *got, const struct pgdbm__grid *expected,
                                   const char *sql_or_table, pgdbm_error *err)
{
    char name[140];
    const char **cells = pgdbm__alloc_zero(got->n_rows * expected->n_columns + 1, sizeof *cells);
    if (cells == NULL)
        return pgdbm__fail_nomem(err, "comparing rows");
    for (size_t i = 0; i < expected->n_columns; i++) {
        size_t column = pgdbm__grid_column(got, expected->names[i]);
        if (column == got->n_columns) {
            pgdbm__fail(err, PGDBM_ERR_TESTDB, "%s has no column \"%.100s\"",
                        pgdbm__call_it(sql_or_table, name, sizeof name), expected->names[i]);
            pgdbm__suggest(err, expected->names[i], got->names, got->n_columns);
            pgdbm__free((void *)cells);
            return PGDBM_ERR_TESTDB;
        }
        for (size_t row = 0; row < got->n_rows; row++)
            cells[row * expected->n_columns + i] = got->cells[row * got->n_columns + column];
    }
    pgdbm__free((void *)got->cells);
    got->cells = cells;
    got->n_columns = expected->n_columns;
    return PGDBM_OK;
}

pgdbm_status pgdbm_rows_check(pgdbm_db *db, const char *sql_or_table, const char *expected, pgdbm_error *err)
{
    struct pgdbm__grid wanted = {0}, got = {0};
    pgdbm_status status = check_arguments("pgdbm_rows_check", db, sql_or_table, "sql_or_table", err);
    if (status == PGDBM_OK)
        status = check_arguments("pgdbm_rows_check", db, expected, "expected", err);
    if (status == PGDBM_OK)
        status = pgdbm__grid_parse(&wanted, expected, err);
    if (status == PGDBM_OK)
        status = pgdbm__grid_fetch(&got, db, sql_or_table, err);
    if (status == PGDBM_OK)
        status = select_columns(&got, &wanted, sql_or_table, err);
    if (status == PGDBM_OK)
        status = compare_grids(sql_or_table, &wanted, &got, err);
    pgdbm__grid_free(&wanted);
    pgdbm__grid_free(&got);
    return status;
}

pgdbm_status pgdbm_rows_text(pgdbm_db *db, const char *sql_or_table, char **text, pgdbm_error *err)
{
    struct pgdbm__grid grid = {0};
    pgdbm_status status = check_arguments("pgdbm_rows_text", db, sql_or_table, "sql_or_table", err);
    if (status == PGDBM_OK && text == NULL)
        status = pgdbm__fail_null(err, "pgdbm_rows_text", "text");
    if (status != PGDBM_OK)
        return status;
    *text = NULL;
    status = pgdbm__grid_fetch(&grid, db, sql_or_table, err);
    if (status == PGDBM_OK && (*text = pgdbm__grid_text(&grid)) == NULL)
        status = pgdbm__fail_nomem(err, "writing rows");
    pgdbm__grid_free(&grid);
    return status;
}

pgdbm_status pgdbm_rows_count(pgdbm_db *db, const char *sql_or_table, int64_t *count, pgdbm_error *err)
{
    pgdbm_status status = check_arguments("pgdbm_rows_count", db, sql_or_table, "sql_or_table", err);
    if (status == PGDBM_OK && count == NULL)
        status = pgdbm__fail_null(err, "pgdbm_rows_count", "count");
    if (status != PGDBM_OK)
        return status;
    struct pgdbm__buffer sql = {0};
    if (pgdbm__is_table(sql_or_table))
        pgdbm__buffer_format(&sql, "SELECT count(*) FROM {{tables.%s}}", sql_or_table);
    else { /* without a semicolon at its end */
        pgdbm__buffer_text(&sql, "SELECT count(*) FROM (");
        pgdbm__buffer_append(&sql, sql_or_table, pgdbm__scan_end(sql_or_table, strlen(sql_or_table)));
        pgdbm__buffer_text(&sql, ") AS counted");
    }
    char *text = pgdbm__buffer_take(&sql);
    if (text != NULL)
        status = pgdbm_fetch_value_int64(db, text, pgdbm_no_args, count, err);
    else
        status = pgdbm__fail_nomem(err, "counting rows");
    pgdbm__free(text);
    pgdbm__buffer_free(&sql);
    return status;
}

pgdbm_status pgdbm_rows_check_count(pgdbm_db *db, const char *sql_or_table, int64_t expected, pgdbm_error *err)
{
    int64_t count = 0;
    char name[140];
    pgdbm_status status = check_arguments("pgdbm_rows_check_count", db, sql_or_table, "sql_or_table", err);
    if (status == PGDBM_OK)
        status = pgdbm_rows_count(db, sql_or_table, &count, err);
    if (status != PGDBM_OK || count == expected)
        return status;
    pgdbm__fail(err, PGDBM_ERR_TESTDB, "%s has %" PRId64 " row%s, %" PRId64 " expected",
                pgdbm__call_it(sql_or_table, name, sizeof name), count, count == 1 ? "" : "s", expected);
    pgdbm__error_hint(err, "pgdbm_rows_check shows which rows differ");
    if (!pgdbm__is_table(sql_or_table))
        pgdbm__error_statement(err, sql_or_table);
    return PGDBM_ERR_TESTDB;
}

/* Appends the tables of the list, each as a template. */
static pgdbm_status append_tables(struct pgdbm__buffer *sql, const char *tables, pgdbm_error *err)
{
    static const char blanks[] = " \t\n";
    const char *separator = "";
    for (const char *at = tables; at != NULL; separator = ", ") {
        char name[140];
        at += strspn(at, blanks);
        size_t bytes = strcspn(at, ",");
        size_t kept = bytes;
        while (kept > 0 && strchr(blanks, at[kept - 1]) != NULL)
            kept--;
        PGDBM__COPY_TEXT(name, at, kept);
        if (!pgdbm__is_table(name)) {
            pgdbm__fail(err, PGDBM_ERR_SCHEMA, "\"%.100s\" is not the name of a table", name);
            pgdbm__error_hint(err, "name tables with commas between them: \"users, billing.invoices\"");
            return PGDBM_ERR_SCHEMA;
        }
        pgdbm__buffer_format(sql, "%s{{tables.%s}}", separator, name);
        at = at[bytes] == ',' ? at + bytes + 1 : NULL;
    }
    return PGDBM_OK;
}

pgdbm_status pgdbm_rows_truncate(pgdbm_db *db, const char *tables, pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    char *text = NULL;
    pgdbm_status status = check_arguments("pgdbm_rows_truncate", db, tables, "tables", err);
    if (status != PGDBM_OK)
        return status;
    pgdbm__buffer_text(&sql, "TRUNCATE ");
    status = append_tables(&sql, tables, err);
    pgdbm__buffer_text(&sql, " RESTART IDENTITY CASCADE");
    if (status == PGDBM_OK && (text = pgdbm__buffer_take(&sql)) == NULL)
        status = pgdbm__fail_nomem(err, "emptying tables");
    if (status == PGDBM_OK)
        status = pgdbm_execute(db, text, pgdbm_no_args, NULL, err);
    pgdbm__free(text);
    pgdbm__buffer_free(&sql);
    return status;
}
