/* SPDX-License-Identifier: MIT */
/* Parameters in, values out. */
#include "weather.h"

#include <inttypes.h>
#include <stdio.h>

/* [parameters] */
pgdbm_status add_station(pgdbm_db *db, pgdbm_error *err)
{
    const char *const tags[] = {"alpine", "old"};
    const pgdbm_range serves = {pgdbm_param_text("1900-07-19"), pgdbm_null, "[)"}; /* and has no end */
    return pgdbm_execute(
        db, "INSERT INTO {{tables.stations}} (id, name, stands, tags, serves) VALUES ($1, $2, $3, $4, $5)",
        pgdbm_args(1, "Zugspitze", pgdbm_row_of(47.42, 10.98), pgdbm_texts(tags, 2), &serves), NULL, err);
}
/* [/parameters] */

/* [values] */
pgdbm_status show_station(pgdbm_db *db, pgdbm_error *err)
{
    pgdbm_result *station = NULL, *place = NULL, *tags = NULL, *serves = NULL;
    const char *name = NULL, *tag = NULL;
    double latitude = 0;
    pgdbm_date since = {0};
    pgdbm_status status = pgdbm_fetch_one(db, "SELECT * FROM {{tables.stations}} WHERE id = ANY($1)",
                                          pgdbm_args(pgdbm_array_of(1, 2)), &station, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(station, 0, "name", &name, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_record(station, 0, "stands", &place, err); /* one row, a column for each field */
    if (status == PGDBM_OK)
        status = pgdbm_get_double(place, 0, "latitude", &latitude, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_array(station, 0, "tags", &tags, err); /* a row for each element */
    if (status == PGDBM_OK)
        status = pgdbm_get_text(tags, 0, "element", &tag, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_ranges(station, 0, "serves", &serves, err); /* a row, unless it is empty */
    if (status == PGDBM_OK)
        status = pgdbm_get_date(serves, 0, "lower", &since, err);
    if (status == PGDBM_OK) {
        char day[16];
        pgdbm_date_format(since, day, sizeof day);
        printf("%s is at %.2f, serves since %s, and is %s\n", name, latitude, day, tag);
    }
    pgdbm_result_free(serves);
    pgdbm_result_free(tags);
    pgdbm_result_free(place);
    pgdbm_result_free(station);
    return status;
}
/* [/values] */

/* [time] */
pgdbm_status show_time(pgdbm_db *db, pgdbm_error *err)
{
    static const char sql[] = "SELECT $1::timestamptz + interval '90 min' AS later";
    pgdbm_timestamp at = {0}, later = {0};
    pgdbm_result *result = NULL;
    char text[40];
    pgdbm_status status = pgdbm_timestamp_parse("2026-01-31T12:00:00+01", &at, err);
    if (status == PGDBM_OK)
        status = pgdbm_fetch_one(db, sql, pgdbm_args(&at), &result, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_timestamp(result, 0, "later", &later, err);
    if (status == PGDBM_OK) {
        pgdbm_timestamp_format_iso(later, text, sizeof text);
        printf("%" PRId64 " minutes later it is %s\n", (later.us - at.us) / 60000000, text);
    }
    pgdbm_result_free(result);
    return status;
}
/* [/time] */
