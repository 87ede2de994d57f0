/* SPDX-License-Identifier: MIT */
/* Reading tzdata's tables and loading them with pgdbm_execute_many: one round trip and one transaction for each. */
#include "reference.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNTRIES "/usr/share/zoneinfo/iso3166.tab"
#define TIME_ZONES "/usr/share/zoneinfo/zone1970.tab"

enum { CODES, COORDINATES, NAME, COMMENTS, N_ZONE_COLUMNS };
enum { MAX_BYTES = 1 << 20 };

static pgdbm_status fail_reading(const char *path, const char *why, pgdbm_error *err)
{
    *err = (pgdbm_error){.status = PGDBM_ERR_CONFIG};
    snprintf(err->message, sizeof err->message, "cannot read %s: %s", path, why);
    snprintf(err->hint, sizeof err->hint, "install the package tzdata");
    return err->status;
}

static pgdbm_status fail_memory(pgdbm_error *err)
{
    *err = (pgdbm_error){.status = PGDBM_ERR_NOMEM, .message = "out of memory"};
    return err->status;
}

/* Cuts one line into cells, in place. */
static void cut_line(struct sheet *sheet, char *line)
{
    const char **row = &sheet->cells[sheet->n_rows++ * sheet->n_columns];
    for (size_t column = 0; column < sheet->n_columns && line != NULL; column++)
        row[column] = strsep(&line, "\t");
}

static pgdbm_status sheet_read(const char *path, size_t n_columns, struct sheet *sheet, pgdbm_error *err)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return fail_reading(path, strerror(errno), err);
    sheet->n_columns = n_columns;
    sheet->text = calloc(1, MAX_BYTES + 1);
    size_t bytes = sheet->text != NULL ? fread(sheet->text, 1, MAX_BYTES, file) : 0;
    fclose(file);
    size_t n_lines = 1;
    for (size_t i = 0; i < bytes; i++)
        n_lines += sheet->text[i] == '\n';
    sheet->cells = calloc(n_lines * n_columns, sizeof *sheet->cells);
    if (sheet->text == NULL || sheet->cells == NULL)
        return fail_memory(err);
    char *rest = sheet->text;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n"))
        if (line[0] != '#' && line[0] != '\0')
            cut_line(sheet, line);
    return sheet->n_rows > 0 ? PGDBM_OK : fail_reading(path, "it is empty", err);
}

/* Runs `sql` for each of `n_rows` rows of `n_columns` values. */
static pgdbm_status insert_rows(pgdbm_db *db, const char *sql, const pgdbm_param *values, size_t n_rows,
                                size_t n_columns, pgdbm_error *err)
{
    pgdbm_params *sets = calloc(n_rows, sizeof *sets);
    if (sets == NULL)
        return fail_memory(err);
    for (size_t row = 0; row < n_rows; row++)
        sets[row] = pgdbm_params_array(&values[row * n_columns], n_columns);
    pgdbm_status status = pgdbm_execute_many(db, sql, sets, n_rows, NULL, err);
    free(sets);
    return status;
}

/* Inserts the sheet's cells from column `first` on. */
static pgdbm_status insert_sheet(pgdbm_db *db, const char *sql, const struct sheet *sheet, size_t first,
                                 pgdbm_error *err)
{
    size_t n_columns = sheet->n_columns - first;
    pgdbm_param *values = calloc(sheet->n_rows * n_columns, sizeof *values);
    if (values == NULL)
        return fail_memory(err);
    for (size_t row = 0; row < sheet->n_rows; row++)
        for (size_t column = 0; column < n_columns; column++)
            values[row * n_columns + column] = pgdbm_param_text(sheet->cells[row * sheet->n_columns + first + column]);
    pgdbm_status status = insert_rows(db, sql, values, sheet->n_rows, n_columns, err);
    free(values);
    return status;
}

/* Which countries use which time zone: the file has them as "CH,DE,LI". */
static pgdbm_status insert_pairs(pgdbm_db *db, struct reference *reference, pgdbm_error *err)
{
    const struct sheet *zones = &reference->time_zones;
    size_t n_pairs = 0;
    for (size_t row = 0; row < zones->n_rows; row++)
        n_pairs += strlen(zones->cells[row * N_ZONE_COLUMNS + CODES]) / 3 + 1;
    pgdbm_param *values = calloc(n_pairs * 2, sizeof *values);
    if (values == NULL)
        return fail_memory(err);
    for (size_t row = 0; row < zones->n_rows; row++) {
        const char *const *cells = &zones->cells[row * N_ZONE_COLUMNS];
        for (const char *code = cells[CODES]; reference->n_pairs < n_pairs; code += 3) {
            values[2 * reference->n_pairs] = pgdbm_param_text(cells[NAME]);
            values[2 * reference->n_pairs + 1] = pgdbm_text(code, 2);
            reference->n_pairs++;
            if (strlen(code) < 3)
                break;
        }
    }
    pgdbm_status status = insert_rows(
        db, "INSERT INTO {{tables.time_zone_countries}} (time_zone, country) VALUES ($1, $2)", values, n_pairs, 2, err);
    free(values);
    return status;
}

static pgdbm_status check_zones(const struct sheet *zones, pgdbm_error *err)
{
    for (size_t row = 0; row < zones->n_rows; row++) {
        const char *const *cells = &zones->cells[row * N_ZONE_COLUMNS];
        if (cells[NAME] == NULL || strlen(cells[CODES]) % 3 != 2)
            return fail_reading(TIME_ZONES, "it is not the table it should be", err);
    }
    return PGDBM_OK;
}

pgdbm_status reference_load(pgdbm_db *users, struct reference *reference, pgdbm_error *err)
{
    *reference = (struct reference){0};
    pgdbm_status status = sheet_read(COUNTRIES, 2, &reference->countries, err);
    if (status == PGDBM_OK)
        status = sheet_read(TIME_ZONES, N_ZONE_COLUMNS, &reference->time_zones, err);
    if (status == PGDBM_OK)
        status = check_zones(&reference->time_zones, err);
    if (status == PGDBM_OK)
        status = insert_sheet(users, "INSERT INTO {{tables.countries}} (code, name) VALUES ($1, $2)",
                              &reference->countries, 0, err);
    if (status == PGDBM_OK)
        status =
            insert_sheet(users, "INSERT INTO {{tables.time_zones}} (coordinates, name, comments) VALUES ($1, $2, $3)",
                         &reference->time_zones, COORDINATES, err);
    return status == PGDBM_OK ? insert_pairs(users, reference, err) : status;
}

const char *reference_time_zone(const struct reference *reference, size_t n)
{
    return reference->time_zones.cells[n % reference->time_zones.n_rows * N_ZONE_COLUMNS + NAME];
}

void reference_free(struct reference *reference)
{
    free(reference->countries.text);
    free(reference->countries.cells);
    free(reference->time_zones.text);
    free(reference->time_zones.cells);
}
