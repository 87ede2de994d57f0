/* SPDX-License-Identifier: MIT */
/* COPY, for many rows. */
#include "weather.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { HOURS_OF_A_YEAR = 8760 };

/* [copy] */
static bool on_progress(int64_t rows, int64_t bytes, void *context)
{
    int64_t *told = context;
    (void)bytes;
    *told = rows;
    return true; /* false would cancel it */
}

pgdbm_status copy_year(pgdbm_db *db, pgdbm_error *err)
{
    struct reading *readings = calloc(HOURS_OF_A_YEAR, sizeof *readings);
    int64_t rows = 0, told = 0;
    const pgdbm_copy_options options = {.on_progress = on_progress, .progress_context = &told};
    if (readings == NULL)
        return PGDBM_ERR_NOMEM;
    for (int i = 0; i < HOURS_OF_A_YEAR; i++)
        readings[i] = reading_after(1, 24 + i);
    pgdbm_status status = pgdbm_copy_structs(db, "readings", &READING, readings, HOURS_OF_A_YEAR, &options, &rows, err);
    if (status == PGDBM_OK)
        printf("%d copied, %s on the way\n", (int)rows, told > 0 ? "told" : "not told");
    free(readings);
    return status;
}
/* [/copy] */

/* [rows-in] */
struct generator {
    int next, last;
    pgdbm_timestamp at;
    pgdbm_param values[3]; /* must stay until the next call */
};

static pgdbm_status next_row(const pgdbm_param **values, void *context, pgdbm_error *err)
{
    struct generator *generator = context;
    (void)err;
    generator->at.us += INT64_C(3600) * 1000000;
    generator->values[0] = pgdbm_param_int64(1);
    generator->values[1] = pgdbm_param_timestamp(&generator->at);
    generator->values[2] = pgdbm_param_double(generator->next * 0.5 - 10);
    *values = generator->next++ < generator->last ? generator->values : NULL; /* NULL: the end */
    return PGDBM_OK;
}

pgdbm_status copy_generated(pgdbm_db *db, pgdbm_error *err)
{
    static const char *const columns[] = {"station", "at", "celsius"}; /* the others have their defaults */
    const pgdbm_copy_options options = {.columns = columns, .n_columns = 3};
    struct generator generator = {.last = 48, .at = reading_after(1, HOURS_OF_A_YEAR + 1000).at};
    return pgdbm_copy_rows_in(db, "readings", next_row, &generator, &options, NULL, err);
}
/* [/rows-in] */

/* [rows-out] */
static bool keep_coldest(const pgdbm_result *row, void *context)
{
    double *coldest = context, celsius = 0;
    if (pgdbm_get_double(row, 0, "celsius", &celsius, NULL) == PGDBM_OK && celsius < *coldest)
        *coldest = celsius;
    return true;
}

pgdbm_status find_coldest(pgdbm_db *db, pgdbm_error *err)
{
    double coldest = 100;
    int64_t rows = 0;
    pgdbm_status status = pgdbm_copy_rows_out(db, "SELECT celsius::float8 FROM {{tables.readings}}", keep_coldest,
                                              &coldest, NULL, &rows, err);
    if (status == PGDBM_OK)
        printf("the coldest of %d is %.1f\n", (int)rows, coldest);
    return status;
}
/* [/rows-out] */

/* [file] */
pgdbm_status keep_file(pgdbm_db *db, pgdbm_error *err)
{
    FILE *file = tmpfile();
    int64_t out = 0, in = 0;
    if (file == NULL)
        return PGDBM_ERR_CONFIG;
    int fd = fileno(file);
    pgdbm_status status = pgdbm_copy_out_fd(db, "COPY {{tables.readings}} TO STDOUT (FORMAT csv)", fd, NULL, &out, err);
    if (status == PGDBM_OK)
        status = pgdbm_execute(db, "DELETE FROM {{tables.readings}}", pgdbm_no_args, NULL, err);
    if (status == PGDBM_OK && lseek(fd, 0, SEEK_SET) == 0)
        status = pgdbm_copy_in_fd(db, "COPY {{tables.readings}} FROM STDIN (FORMAT csv)", fd, NULL, &in, err);
    if (status == PGDBM_OK)
        printf("%s rows went into a file and came back\n", in == out ? "all" : "not all");
    fclose(file);
    return status;
}
/* [/file] */

/* [refused] */
pgdbm_status refuse_reading(pgdbm_db *db, pgdbm_error *err)
{
    struct reading readings[] = {reading_after(1, 20000), reading_after(1, 20001)};
    pgdbm_error refused;
    (void)err;
    readings[1].sky = "purple"; /* the enum has no such label */
    if (pgdbm_copy_structs(db, "readings", &READING, readings, 2, NULL, NULL, &refused) != PGDBM_OK)
        printf("%s: %s; %s\n", pgdbm_outcome_name(refused.outcome), refused.message, refused.detail);
    return PGDBM_OK;
}
/* [/refused] */
