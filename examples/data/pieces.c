/* SPDX-License-Identifier: MIT */
/* Large answers in pieces, one statement many times, and JSON. */
#include "weather.h"

#include <stdio.h>
#include <string.h>

/* [cursor] */
pgdbm_status count_by_cursor(pgdbm_db *db, pgdbm_error *err)
{
    const pgdbm_cursor_options options = {.chunk_rows = 500};
    pgdbm_cursor *cursor = NULL;
    const pgdbm_result *row = NULL;
    int count = 0;
    pgdbm_status status = pgdbm_cursor_open(db, "SELECT at, celsius FROM {{tables.readings}} ORDER BY at",
                                            pgdbm_no_args, &options, &cursor, err);
    if (status == PGDBM_OK)
        status = pgdbm_cursor_next(cursor, &row, err);
    while (status == PGDBM_OK && row != NULL && count < 1200) { /* what is not read is not sent */
        count++;
        status = pgdbm_cursor_next(cursor, &row, err);
    }
    pgdbm_cursor_close(cursor);
    if (status == PGDBM_OK)
        printf("%d pulled\n", count);
    return status;
}
/* [/cursor] */

/* [stream] */
static bool add(const pgdbm_result *row, void *context)
{
    double *sum = context, celsius = 0;
    (void)pgdbm_get_double(row, 0, "celsius", &celsius, NULL);
    *sum += celsius;
    return true; /* false would end it */
}

pgdbm_status sum_by_stream(pgdbm_db *db, pgdbm_error *err)
{
    double sum = 0;
    pgdbm_status status =
        pgdbm_stream(db, "SELECT celsius::float8 FROM {{tables.readings}} WHERE sky = $1::{{schema}}.sky",
                     pgdbm_args("rain"), add, &sum, err);
    if (status == PGDBM_OK)
        printf("rain adds up to %.1f degrees\n", sum);
    return status;
}
/* [/stream] */

/* [many] */
pgdbm_status rename_many(pgdbm_db *db, pgdbm_error *err)
{
    const pgdbm_params sets[] = {pgdbm_args("Zugspitze", 1), pgdbm_args("Brocken", 2), pgdbm_args("Feldberg", 3)};
    int64_t rows = 0;
    pgdbm_status status =
        pgdbm_execute_many(db, "UPDATE {{tables.stations}} SET name = $1 WHERE id = $2", sets, 3, &rows, err);
    if (status == PGDBM_OK)
        printf("%d of 3 renamed\n", (int)rows);
    return status;
}
/* [/many] */

/* [json] */
pgdbm_status go_through_json(pgdbm_db *db, pgdbm_error *err)
{
    static const char stations[] =
        "[{\"id\": 2, \"name\": \"Brocken\", \"stands\": {\"latitude\": 51.8, \"longitude\": 10.6}, "
        "\"tags\": [\"windy\"], \"serves\": \"[1836-01-01,)\"}]";
    int64_t rows = 0;
    char *text = NULL;
    pgdbm_status status = pgdbm_insert_json(db, "stations", stations, &rows, err);
    if (status == PGDBM_OK)
        status =
            pgdbm_fetch_json(db, "SELECT name, tags FROM {{tables.stations}} WHERE id = $1", pgdbm_args(2), &text, err);
    if (status == PGDBM_OK)
        printf("%s\n", text);
    pgdbm_free(text);
    return status;
}
/* [/json] */
