/* SPDX-License-Identifier: MIT */
/* What rows are there, beside what should be. No state; any thread. */
#include "base/alloc.h"
#include "base/error.h"
#include "sql/scan.h"
#include "testkit/data.h"

#include <inttypes.h>
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

static pgdbm_status report(struct pgdbm__difference *difference, const char *sql_or_table, bool other_order,
                           pgdbm_error *err)
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
    pgdbm__difference_list(difference);
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
    struct pgdbm__difference difference;
    pgdbm_status status = PGDBM_OK;
    bool ordered = !pgdbm__is_table(sql_or_table) && is_ordered(sql_or_table);
    if (pgdbm__difference_make(&difference, expected, got)) {
        pgdbm__difference_of_sets(&difference);
        bool same_set = difference.n_missing + difference.n_more == 0;
        if (ordered)
            pgdbm__difference_of_order(&difference);
        if (difference.n_missing + difference.n_more > 0)
            status = report(&difference, sql_or_table, same_set, err);
    } else
        status = pgdbm__fail_nomem(err, "comparing rows");
    pgdbm__difference_free(&difference);
    return status;
}

/* Where a column of the expected ones is in what came: a name that occurs more than once means each in turn. */
static size_t find_column(const struct pgdbm__grid *got, const struct pgdbm__grid *expected, size_t which)
{
    size_t earlier = 0, column = 0;
    for (size_t i = 0; i < which; i++)
        earlier += strcmp(expected->names[i], expected->names[which]) == 0;
    while (column < got->n_columns && (strcmp(got->names[column], expected->names[which]) != 0 || earlier-- > 0))
        column++;
    return column;
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
        size_t column = find_column(got, expected, i);
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
