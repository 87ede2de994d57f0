/* SPDX-License-Identifier: MIT */
/* Grids of texts: read from a table as text, taken from a result, written. A grid belongs to one thread. */
#include "base/alloc.h"
#include "base/error.h"
#include "sql/report.h"
#include "testkit/data.h"

#include <stdio.h>
#include <string.h>

#define BYTEA 17 /* pg_type.dat */

void pgdbm__grid_free(struct pgdbm__grid *grid)
{
    pgdbm__free((void *)grid->names);
    pgdbm__free((void *)grid->cells);
    pgdbm__free(grid->space);
    pgdbm_result_free(grid->result);
    *grid = (struct pgdbm__grid){0};
}

size_t pgdbm__grid_column(const struct pgdbm__grid *grid, const char *name)
{
    size_t column = 0;
    while (column < grid->n_columns && strcmp(grid->names[column], name) != 0)
        column++;
    return column;
}

bool pgdbm__same_text(const char *one, const char *other)
{
    return one == other || (one != NULL && other != NULL && strcmp(one, other) == 0);
}

int pgdbm__compare_rows(const char *const *one, const char *const *other, size_t n_columns)
{
    for (size_t i = 0; i < n_columns; i++) {
        if (pgdbm__same_text(one[i], other[i]))
            continue;
        if (one[i] == NULL || other[i] == NULL)
            return one[i] == NULL ? -1 : 1;
        return strcmp(one[i], other[i]);
    }
    return 0;
}

/* --- from text --- */

struct reading {
    const char *text, *at;
    char *out; /* where the next cell is put: never more than has been read */
    bool bordered;
    struct pgdbm__buffer line; /* const char * of the line's cells */
};

static pgdbm_status refuse(const struct reading *reading, const char *at, const char *what, pgdbm_error *err)
{
    size_t line = pgdbm__place_of(reading->text, strlen(reading->text), (size_t)(at - reading->text)).line;
    pgdbm__fail(err, PGDBM_ERR_TESTDB, "the table as text, line %zu: %s", line, what);
    pgdbm__error_hint(err,
                      "the first line has the columns' names, each other one a row, with | between the cells; what "
                      "has | or a line's end in it stands in single quotes");
    return PGDBM_ERR_TESTDB;
}

static void skip_blanks(struct reading *reading)
{
    while (*reading->at == ' ' || *reading->at == '\t' || *reading->at == '\r')
        reading->at++;
}

static bool at_border(const struct reading *reading)
{
    return *reading->at == '|' || *reading->at == '\n' || *reading->at == '\0';
}

/* 'it''s': the quotes go. */
static pgdbm_status read_quoted(struct reading *reading, pgdbm_error *err)
{
    const char *begin = reading->at++;
    for (; *reading->at != '\0'; reading->at++) {
        if (*reading->at == '\'' && reading->at[1] != '\'')
            break;
        reading->at += *reading->at == '\'';
        *reading->out++ = *reading->at;
    }
    if (*reading->at == '\0')
        return refuse(reading, begin, "a quote is not closed", err);
    reading->at++;
    skip_blanks(reading);
    return at_border(reading) ? PGDBM_OK : refuse(reading, begin, "something stands behind a closing quote", err);
}

static const char *read_plain(struct reading *reading, char *cell)
{
    while (!at_border(reading))
        *reading->out++ = *reading->at++;
    while (reading->out > cell && (reading->out[-1] == ' ' || reading->out[-1] == '\t' || reading->out[-1] == '\r'))
        reading->out--;
    bool null = reading->out - cell == 4 && memcmp(cell, "NULL", 4) == 0;
    return null ? NULL : cell;
}

static pgdbm_status read_cell(struct reading *reading, pgdbm_error *err)
{
    char *cell = reading->out;
    const char *read = cell;
    pgdbm_status status = PGDBM_OK;
    skip_blanks(reading);
    if (*reading->at == '\'')
        status = read_quoted(reading, err);
    else
        read = read_plain(reading, cell);
    *reading->out++ = '\0';
    pgdbm__buffer_append(&reading->line, &read, sizeof read);
    return status;
}

static size_t cells_of(const struct reading *reading)
{
    return reading->line.length / sizeof(const char *);
}

/* Whether nothing but white space stands before the line's end. */
static bool at_end_of_line(struct reading *reading)
{
    skip_blanks(reading);
    return *reading->at == '\n' || *reading->at == '\0';
}

/* The cells of the line that begins here. An outer border must be on both sides. */
static pgdbm_status read_line(struct reading *reading, pgdbm_error *err)
{
    const char *begin = reading->at;
    bool more = true;
    reading->line.length = 0;
    if (reading->bordered && *reading->at++ != '|')
        return refuse(reading, begin, "it does not begin with | as the line of names does", err);
    while (more) {
        pgdbm_status status = read_cell(reading, err);
        if (status != PGDBM_OK)
            return status;
        more = *reading->at == '|';
        reading->at += more;
        if (reading->bordered && !more)
            return refuse(reading, begin, "it does not end with |", err);
        more = more && !(reading->bordered && at_end_of_line(reading));
    }
    return PGDBM_OK;
}

/* At the first byte of a line that has something, or at the end of the text. */
static void skip_empty_lines(struct reading *reading)
{
    skip_blanks(reading);
    while (*reading->at == '\n') {
        reading->at++;
        skip_blanks(reading);
    }
}

static void skip_ruler(struct reading *reading)
{
    size_t bytes = strspn(reading->at, "-+| \t\r");
    bool drawn = memchr(reading->at, '-', bytes) != NULL;
    if (drawn && (reading->at[bytes] == '\n' || reading->at[bytes] == '\0'))
        reading->at += bytes;
}

/* "(2 rows)", as psql ends a table. */
static void skip_footer(struct reading *reading)
{
    unsigned long long rows;
    int bytes = 0;
    if (*reading->at != '(' || sscanf(reading->at, "(%llu row%n", &rows, &bytes) != 1 || bytes == 0)
        return;
    const char *end = reading->at + bytes;
    end += *end == 's';
    if (*end == ')' && end[1 + strspn(end + 1, " \t\r\n")] == '\0')
        reading->at = end + strlen(end);
}

static pgdbm_status read_names(struct pgdbm__grid *grid, struct reading *reading, pgdbm_error *err)
{
    skip_empty_lines(reading);
    const char *begin = reading->at;
    if (*begin == '\0')
        return refuse(reading, begin, "it is empty, and should begin with the columns' names", err);
    reading->bordered = *begin == '|';
    pgdbm_status status = read_line(reading, err);
    if (status != PGDBM_OK)
        return status;
    grid->n_columns = cells_of(reading);
    grid->names = (const char **)(void *)pgdbm__buffer_take(&reading->line);
    if (grid->names == NULL)
        return pgdbm__fail_nomem(err, "reading a table as text");
    for (size_t i = 0; i < grid->n_columns; i++)
        if (grid->names[i] == NULL || grid->names[i][0] == '\0')
            return refuse(reading, begin, "a column has no name", err);
    skip_empty_lines(reading);
    skip_ruler(reading);
    return PGDBM_OK;
}

static pgdbm_status read_rows(struct pgdbm__grid *grid, struct reading *reading, struct pgdbm__buffer *cells,
                              pgdbm_error *err)
{
    for (skip_empty_lines(reading), skip_footer(reading); *reading->at != '\0';
         skip_empty_lines(reading), skip_footer(reading)) {
        const char *begin = reading->at;
        pgdbm_status status = read_line(reading, err);
        if (status != PGDBM_OK)
            return status;
        if (!reading->line.failed && cells_of(reading) != grid->n_columns) {
            char what[80];
            snprintf(what, sizeof what, "%zu cells, where the line of names has %zu", cells_of(reading),
                     grid->n_columns);
            return refuse(reading, begin, what, err);
        }
        pgdbm__buffer_append(cells, reading->line.data, reading->line.length);
        cells->failed = cells->failed || reading->line.failed;
        grid->n_rows++;
    }
    return PGDBM_OK;
}

pgdbm_status pgdbm__grid_parse(struct pgdbm__grid *grid, const char *text, pgdbm_error *err)
{
    struct reading reading = {.text = text, .at = text};
    struct pgdbm__buffer cells = {0};
    grid->space = reading.out = pgdbm__alloc(strlen(text) + 1);
    if (grid->space == NULL)
        return pgdbm__fail_nomem(err, "reading a table as text");
    pgdbm_status status = read_names(grid, &reading, err);
    if (status == PGDBM_OK)
        status = read_rows(grid, &reading, &cells, err);
    if (status == PGDBM_OK && (grid->cells = (const char **)(void *)pgdbm__buffer_take(&cells)) == NULL)
        status = pgdbm__fail_nomem(err, "reading a table as text");
    pgdbm__buffer_free(&reading.line);
    pgdbm__buffer_free(&cells);
    return status;
}

/* --- from a result --- */

/* Values of bytea have no text of the library's: they are written here, as the server would. */
static pgdbm_status write_bytea(struct pgdbm__grid *grid, size_t column, char **space, pgdbm_error *err)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t row = 0; row < grid->n_rows; row++) {
        pgdbm_blob value = {0};
        pgdbm_status status = pgdbm_get_bytes_at(grid->result, row, column, &value, err);
        if (status != PGDBM_OK)
            return status;
        if (value.data == NULL)
            continue;
        grid->cells[row * grid->n_columns + column] = *space;
        *(*space)++ = '\\';
        *(*space)++ = 'x';
        for (size_t i = 0; i < value.bytes; i++) {
            unsigned char byte = ((const unsigned char *)value.data)[i];
            *(*space)++ = digits[byte >> 4];
            *(*space)++ = digits[byte & 15];
        }
        *(*space)++ = '\0';
    }
    return PGDBM_OK;
}

/* The room that the values of bytea need, written. */
static pgdbm_status measure_bytea(const struct pgdbm__grid *grid, size_t column, size_t *bytes, pgdbm_error *err)
{
    for (size_t row = 0; row < grid->n_rows; row++) {
        pgdbm_blob value = {0};
        pgdbm_status status = pgdbm_get_bytes_at(grid->result, row, column, &value, err);
        if (status != PGDBM_OK)
            return status;
        *bytes += 2 * value.bytes + sizeof "\\x";
    }
    return PGDBM_OK;
}

static pgdbm_status take_cells(struct pgdbm__grid *grid, pgdbm_error *err)
{
    size_t bytes = 1;
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < grid->n_columns; i++)
        if (pgdbm_result_column_type(grid->result, i) == BYTEA)
            status = measure_bytea(grid, i, &bytes, err);
    if (status == PGDBM_OK && (grid->space = pgdbm__alloc(bytes)) == NULL)
        status = pgdbm__fail_nomem(err, "reading rows");
    char *space = grid->space;
    for (size_t i = 0; status == PGDBM_OK && i < grid->n_columns; i++)
        if (pgdbm_result_column_type(grid->result, i) == BYTEA)
            status = write_bytea(grid, i, &space, err);
        else
            for (size_t row = 0; status == PGDBM_OK && row < grid->n_rows; row++)
                status = pgdbm_get_text_at(grid->result, row, i, &grid->cells[row * grid->n_columns + i], err);
    return status;
}

pgdbm_status pgdbm__grid_take(struct pgdbm__grid *grid, pgdbm_result *result, pgdbm_error *err)
{
    grid->result = result;
    grid->n_columns = pgdbm_result_columns(result);
    grid->n_rows = pgdbm_result_rows(result);
    grid->names = pgdbm__alloc_zero(grid->n_columns + 1, sizeof *grid->names);
    if (grid->n_columns == 0 || grid->n_rows <= SIZE_MAX / sizeof *grid->cells / grid->n_columns)
        grid->cells = pgdbm__alloc_zero(grid->n_rows * grid->n_columns + 1, sizeof *grid->cells);
    if (grid->names == NULL || grid->cells == NULL)
        return pgdbm__fail_nomem(err, "reading rows");
    for (size_t i = 0; i < grid->n_columns; i++)
        grid->names[i] = pgdbm_result_column_name(result, i);
    return take_cells(grid, err);
}

pgdbm_status pgdbm__grid_fetch(struct pgdbm__grid *grid, pgdbm_db *db, const char *sql_or_table, pgdbm_error *err)
{
    pgdbm_result *result = NULL;
    char *sql = pgdbm__select_from(sql_or_table);
    if (sql == NULL)
        return pgdbm__fail_nomem(err, "reading rows");
    pgdbm_status status = pgdbm_fetch_all(db, sql, pgdbm_no_args, &result, err);
    pgdbm__free(sql);
    return status == PGDBM_OK ? pgdbm__grid_take(grid, result, err) : status;
}

/* --- to text --- */

/* Whether it would be read as something else without quotes. */
static bool needs_quotes(const char *cell, bool first)
{
    size_t bytes = strlen(cell);
    return bytes == 0 || cell[0] == '\'' || strcmp(cell, "NULL") == 0 || strpbrk(cell, "|\n") != NULL ||
           strchr(" \t\r", cell[0]) != NULL || strchr(" \t\r", cell[bytes - 1]) != NULL ||
           (first && (cell[0] == '(' || cell[0] == '-' || cell[0] == '+'));
}

static void write_cell(struct pgdbm__buffer *out, const char *cell, bool first)
{
    if (cell == NULL)
        pgdbm__buffer_text(out, "NULL");
    else if (!needs_quotes(cell, first))
        pgdbm__buffer_text(out, cell);
    else {
        pgdbm__buffer_text(out, "'");
        for (; *cell != '\0'; cell++) {
            pgdbm__buffer_append(out, "''", *cell == '\'' ? 2 : 0);
            pgdbm__buffer_append(out, cell, *cell != '\'');
        }
        pgdbm__buffer_text(out, "'");
    }
}

struct writing {
    const struct pgdbm__grid *grid;
    size_t *widths; /* of the columns, in characters */
    struct pgdbm__buffer cell, out;
};

static const char *cell_at(const struct pgdbm__grid *grid, size_t line, size_t column)
{
    return line == 0 ? grid->names[column] : grid->cells[(line - 1) * grid->n_columns + column];
}

/* Writes the cell by itself; how many characters that are. Line 0 has the names. */
static size_t measure(struct writing *writing, size_t line, size_t column)
{
    size_t characters = 0;
    writing->cell.length = 0;
    write_cell(&writing->cell, cell_at(writing->grid, line, column), column == 0 && line > 0);
    for (size_t i = 0; i < writing->cell.length; i++)
        characters += ((unsigned char)writing->cell.data[i] & 0xC0) != 0x80;
    return characters;
}

static void pad(struct writing *writing, const char *with, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pgdbm__buffer_text(&writing->out, with);
}

static void write_line(struct writing *writing, size_t line)
{
    size_t n_columns = writing->grid->n_columns;
    for (size_t i = 0; i < n_columns; i++) {
        size_t characters = measure(writing, line, i);
        pgdbm__buffer_text(&writing->out, i == 0 ? " " : "| ");
        pgdbm__buffer_append(&writing->out, writing->cell.data, writing->cell.length);
        if (i + 1 < n_columns)
            pad(writing, " ", writing->widths[i] - characters + 1);
    }
    pgdbm__buffer_text(&writing->out, "\n");
}

static void write_ruler(struct writing *writing)
{
    for (size_t i = 0; i < writing->grid->n_columns; i++) {
        pad(writing, "+", i > 0);
        pad(writing, "-", writing->widths[i] + 2);
    }
    pgdbm__buffer_text(&writing->out, "\n");
}

char *pgdbm__grid_text(const struct pgdbm__grid *grid)
{
    struct writing writing = {.grid = grid};
    writing.widths = pgdbm__alloc_zero(grid->n_columns + 1, sizeof *writing.widths);
    if (writing.widths == NULL)
        return NULL;
    for (size_t line = 0; line <= grid->n_rows; line++)
        for (size_t i = 0; i < grid->n_columns; i++) {
            size_t characters = measure(&writing, line, i);
            writing.widths[i] = characters > writing.widths[i] ? characters : writing.widths[i];
        }
    writing.out.failed = writing.cell.failed;
    write_line(&writing, 0);
    write_ruler(&writing);
    for (size_t line = 1; line <= grid->n_rows; line++)
        write_line(&writing, line);
    writing.out.failed = writing.out.failed || writing.cell.failed;
    char *text = pgdbm__buffer_take(&writing.out);
    pgdbm__buffer_free(&writing.out);
    pgdbm__buffer_free(&writing.cell);
    pgdbm__free(writing.widths);
    return text;
}
