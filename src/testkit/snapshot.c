/* SPDX-License-Identifier: MIT */
/* Snapshots: the rows of a table, kept as texts, and what has become of them. A snapshot is one thread's at a time. */
#include "base/alloc.h"
#include "base/error.h"
#include "testkit/data.h"

#include <pgdbm/memory.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pgdbm_snapshot {
    pgdbm_db *db;
    char *what; /* the table, or the statement */
    struct pgdbm__grid grid;
    size_t *key; /* the columns of the primary key */
    size_t n_key;
};

void pgdbm_snapshot_free(pgdbm_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    pgdbm__grid_free(&snapshot->grid);
    pgdbm__free(snapshot->what);
    pgdbm__free(snapshot->key);
    pgdbm__free(snapshot);
}

/* The columns of the table's ($1) primary key, in its order. */
static const char key_sql[] =
    "SELECT a.attname::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND"
    " a.attnum = ANY (i.indkey) WHERE i.indrelid = pg_catalog.to_regclass($1::text) AND i.indisprimary"
    " ORDER BY pg_catalog.array_position(i.indkey::int2[], a.attnum)";

static pgdbm_status take_key(pgdbm_snapshot *snapshot, pgdbm_error *err)
{
    struct pgdbm__buffer template = {0};
    char *text = NULL, *quoted = NULL;
    pgdbm_result *key = NULL;
    pgdbm_status status = PGDBM_OK;
    pgdbm__buffer_format(&template, "{{tables.%s}}", snapshot->what);
    if ((text = pgdbm__buffer_take(&template)) == NULL)
        status = pgdbm__fail_nomem(err, "taking a snapshot");
    if (status == PGDBM_OK)
        status = pgdbm_expand(snapshot->db, text, &quoted, err);
    if (status == PGDBM_OK)
        status = pgdbm_fetch_all(snapshot->db, key_sql, pgdbm_args((const char *)quoted), &key, err);
    if (status == PGDBM_OK) {
        snapshot->n_key = pgdbm_result_rows(key);
        snapshot->key = pgdbm__alloc_zero(snapshot->n_key + 1, sizeof *snapshot->key);
        if (snapshot->key == NULL)
            status = pgdbm__fail_nomem(err, "taking a snapshot");
    }
    for (size_t i = 0; status == PGDBM_OK && i < snapshot->n_key; i++) {
        const char *name = NULL;
        status = pgdbm_get_text_at(key, i, 0, &name, err);
        if (status == PGDBM_OK)
            snapshot->key[i] = pgdbm__grid_column(&snapshot->grid, name);
        if (status == PGDBM_OK && snapshot->key[i] == snapshot->grid.n_columns)
            snapshot->n_key = 0; /* altered between the two statements: compare without it */
    }
    pgdbm_result_free(key);
    pgdbm_free(quoted);
    pgdbm__free(text);
    pgdbm__buffer_free(&template);
    return status;
}

pgdbm_status pgdbm_snapshot_take(pgdbm_db *db, const char *sql_or_table, pgdbm_snapshot **snapshot, pgdbm_error *err)
{
    if (db == NULL || sql_or_table == NULL || snapshot == NULL)
        return pgdbm__fail_null(err, "pgdbm_snapshot_take",
                                db == NULL             ? "db"
                                : sql_or_table == NULL ? "sql_or_table"
                                                       : "snapshot");
    *snapshot = NULL;
    pgdbm_snapshot *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "taking a snapshot");
    made->db = db;
    made->what = pgdbm__strdup(sql_or_table);
    pgdbm_status status = made->what != NULL ? pgdbm__grid_fetch(&made->grid, db, sql_or_table, err)
                                             : pgdbm__fail_nomem(err, "taking a snapshot");
    if (status == PGDBM_OK && pgdbm__is_table(sql_or_table))
        status = take_key(made, err);
    if (status == PGDBM_OK)
        *snapshot = made;
    else
        pgdbm_snapshot_free(made);
    return status;
}

/* --- rows by their key --- */

/* A row of the snapshot or of now. */
struct keyed {
    const pgdbm_snapshot *snapshot;
    const char *const *cells;
};

/* Numbers in their order, as far as they are whole and not negative. */
static int compare_values(const char *one, const char *other)
{
    bool numbers = one[strspn(one, "0123456789")] == '\0' && other[strspn(other, "0123456789")] == '\0';
    size_t n_one = strlen(one);
    size_t n_other = strlen(other);
    if (numbers && n_one != n_other)
        return n_one < n_other ? -1 : 1;
    return strcmp(one, other);
}

static int compare_keys(const void *one, const void *other)
{
    const struct keyed *left = one, *right = other;
    int order = 0;
    for (size_t i = 0; order == 0 && i < left->snapshot->n_key; i++) {
        size_t column = left->snapshot->key[i]; /* no column of a primary key is NULL */
        order = compare_values(left->cells[column], right->cells[column]);
    }
    return order;
}

static struct keyed *sort(const pgdbm_snapshot *snapshot, const struct pgdbm__grid *grid)
{
    struct keyed *rows = pgdbm__alloc_zero(grid->n_rows + 1, sizeof *rows);
    for (size_t i = 0; rows != NULL && i < grid->n_rows; i++)
        rows[i] = (struct keyed){snapshot, pgdbm__grid_row(grid, i)};
    if (rows != NULL)
        qsort(rows, grid->n_rows, sizeof *rows, compare_keys);
    return rows;
}

struct report {
    const pgdbm_snapshot *snapshot;
    size_t changed, added, removed;
    char detail[sizeof((pgdbm_error *)NULL)->detail];
    size_t used, unsaid; /* of the detail; rows that it has no room for */
};

static bool is_key(const pgdbm_snapshot *snapshot, size_t column)
{
    for (size_t i = 0; i < snapshot->n_key; i++)
        if (snapshot->key[i] == column)
            return true;
    return false;
}

/* "~ id 2: age: 30 -> 31", or of a row that has only one version "+ id 4: age: 20". */
static void write_row(const struct report *report, char sign, const char *const *cells, const char *const *later,
                      struct pgdbm__buffer *line)
{
    const pgdbm_snapshot *snapshot = report->snapshot;
    char cell[100];
    const char *separator = ":";
    pgdbm__buffer_format(line, "%c", sign);
    for (size_t i = 0; i < snapshot->n_key; i++)
        pgdbm__buffer_format(line, "%s %s %s", i > 0 ? "," : "", snapshot->grid.names[snapshot->key[i]],
                             pgdbm__show_cell(cells[snapshot->key[i]], NULL, cell, sizeof cell));
    for (size_t i = 0; i < snapshot->grid.n_columns; i++) {
        if (is_key(snapshot, i) || (later != NULL && pgdbm__same_text(cells[i], later[i])))
            continue;
        const char *other = later != NULL ? later[i] : NULL;
        pgdbm__buffer_format(line, "%s %s %s", separator, snapshot->grid.names[i],
                             pgdbm__show_cell(cells[i], other, cell, sizeof cell));
        if (later != NULL)
            pgdbm__buffer_format(line, " -> %s", pgdbm__show_cell(other, cells[i], cell, sizeof cell));
        separator = ",";
    }
    pgdbm__buffer_text(line, "\n");
}

/* Adds a row's line, if there is room for it and for saying how many more there are. */
static void tell(struct report *report, char sign, const char *const *cells, const char *const *later)
{
    struct pgdbm__buffer line = {0};
    size_t room = sizeof report->detail - report->used - sizeof "... and 18446744073709551615 more";
    write_row(report, sign, cells, later, &line);
    bool first = report->used == 0;
    bool fits = !line.failed && report->unsaid == 0 && (line.length < room || first);
    if (fits) {
        pgdbm__copy_text(report->detail + report->used, room, line.data, line.length);
        report->used = strlen(report->detail);
    } else
        report->unsaid++;
    pgdbm__buffer_free(&line);
}

static void compare(struct report *report, const struct keyed *before, size_t n_before, const struct keyed *now,
                    size_t n_now)
{
    for (size_t i = 0, j = 0; i < n_before || j < n_now;) {
        int order = i == n_before ? 1 : j == n_now ? -1 : compare_keys(&before[i], &now[j]);
        bool changed =
            order == 0 && pgdbm__compare_rows(before[i].cells, now[j].cells, report->snapshot->grid.n_columns) != 0;
        report->removed += order < 0;
        report->added += order > 0;
        report->changed += changed;
        if (order < 0)
            tell(report, '-', before[i].cells, NULL);
        else if (order > 0)
            tell(report, '+', now[j].cells, NULL);
        else if (changed)
            tell(report, '~', before[i].cells, now[j].cells);
        i += order <= 0;
        j += order >= 0;
    }
}

static pgdbm_status check_by_key(const pgdbm_snapshot *snapshot, const struct pgdbm__grid *grid, pgdbm_error *err)
{
    struct report report = {.snapshot = snapshot};
    struct keyed *before = sort(snapshot, &snapshot->grid);
    struct keyed *now = sort(snapshot, grid);
    pgdbm_status status = PGDBM_OK;
    if (before != NULL && now != NULL)
        compare(&report, before, snapshot->grid.n_rows, now, grid->n_rows);
    else
        status = pgdbm__fail_nomem(err, "comparing rows");
    if (report.changed + report.added + report.removed > 0) {
        status = pgdbm__fail(err, PGDBM_ERR_TESTDB,
                             "\"%s\" has changed since the snapshot: %zu changed, %zu added, %zu removed",
                             snapshot->what, report.changed, report.added, report.removed);
        if (report.unsaid > 0)
            snprintf(report.detail + report.used, sizeof report.detail - report.used, "\xE2\x80\xA6 and %zu more",
                     report.unsaid);
        else if (report.used > 0)
            report.detail[report.used - (report.detail[report.used - 1] == '\n')] = '\0';
        pgdbm__error_detail(err, "%s", report.detail);
        pgdbm__error_hint(err, "~ changed (old -> new), + added, - removed");
    }
    pgdbm__free(before);
    pgdbm__free(now);
    return status;
}

/* --- rows as a whole --- */

static pgdbm_status check_whole(const pgdbm_snapshot *snapshot, const struct pgdbm__grid *grid, pgdbm_error *err)
{
    struct pgdbm__difference difference;
    pgdbm_status status = PGDBM_OK;
    char name[140], text[sizeof err->detail];
    if (pgdbm__difference_make(&difference, &snapshot->grid, grid))
        pgdbm__difference_of_sets(&difference);
    else
        status = pgdbm__fail_nomem(err, "comparing rows");
    if (status == PGDBM_OK && difference.n_missing + difference.n_more > 0) {
        status =
            pgdbm__fail(err, PGDBM_ERR_TESTDB, "%s has other rows since the snapshot: %zu added, %zu removed",
                        pgdbm__call_it(snapshot->what, name, sizeof name), difference.n_more, difference.n_missing);
        pgdbm__difference_list(&difference);
        pgdbm__show_lines(grid->names, grid->n_columns, difference.lines, difference.n_lines, text, sizeof text);
        pgdbm__error_detail(err, "%s", text);
        pgdbm__error_hint(err, "+ added, - removed; with a primary key changed rows would be shown as such");
        if (!pgdbm__is_table(snapshot->what))
            pgdbm__error_statement(err, snapshot->what);
    }
    pgdbm__difference_free(&difference);
    return status;
}

static pgdbm_status check_columns(const pgdbm_snapshot *snapshot, const struct pgdbm__grid *grid, pgdbm_error *err)
{
    char name[140];
    bool same = grid->n_columns == snapshot->grid.n_columns &&
                pgdbm__compare_rows(grid->names, snapshot->grid.names, grid->n_columns) == 0;
    if (same)
        return PGDBM_OK;
    pgdbm__fail(err, PGDBM_ERR_TESTDB, "%s has other columns than when the snapshot was taken",
                pgdbm__call_it(snapshot->what, name, sizeof name));
    pgdbm__error_hint(err, "take the snapshot after the migration");
    return PGDBM_ERR_TESTDB;
}

pgdbm_status pgdbm_snapshot_check(pgdbm_snapshot *snapshot, pgdbm_error *err)
{
    struct pgdbm__grid grid = {0};
    if (snapshot == NULL)
        return pgdbm__fail_null(err, "pgdbm_snapshot_check", "snapshot");
    pgdbm_status status = pgdbm__grid_fetch(&grid, snapshot->db, snapshot->what, err);
    if (status == PGDBM_OK)
        status = check_columns(snapshot, &grid, err);
    if (status == PGDBM_OK)
        status = snapshot->n_key > 0 ? check_by_key(snapshot, &grid, err) : check_whole(snapshot, &grid, err);
    pgdbm__grid_free(&grid);
    return status;
}
