/* SPDX-License-Identifier: MIT */
/* Rows as structs. */
#include "weather.h"

#include <stdio.h>

/* [shape] */
static const pgdbm_field reading_fields[] = {
    PGDBM_FIELD(struct reading, station, PGDBM_INT32),
    PGDBM_FIELD(struct reading, at, PGDBM_TIMESTAMP),
    PGDBM_FIELD(struct reading, celsius, PGDBM_DECIMAL),
    PGDBM_FIELD(struct reading, sky, PGDBM_TEXT),
};
const pgdbm_struct READING = PGDBM_STRUCT(struct reading, reading_fields);
/* [/shape] */

struct reading reading_after(int32_t station, int64_t hours)
{
    static const char *const skies[] = {"clear", "cloudy", "rain", NULL};
    const int64_t new_year_us = INT64_C(820540800) * 1000000; /* 2026-01-01, from 2000-01-01 on */
    int64_t tenths = hours % 24 * 5 - 60;
    return (struct reading){.station = station,
                            .at = {new_year_us + hours * 3600 * 1000000},
                            .celsius = {.high = tenths < 0 ? -1 : 0, .low = (uint64_t)tenths, .scale = 1},
                            .sky = skies[hours % 4]};
}

/* [insert] */
pgdbm_status insert_readings(pgdbm_db *db, pgdbm_error *err)
{
    const struct reading readings[] = {reading_after(1, 0), reading_after(1, 1), reading_after(1, 3)};
    return pgdbm_insert_structs(db, "readings", &READING, readings, 3, NULL, err);
}
/* [/insert] */

/* [fetch] */
pgdbm_status show_readings(pgdbm_db *db, pgdbm_error *err)
{
    pgdbm_result *result = NULL;
    pgdbm_status status =
        pgdbm_fetch_structs(db, "SELECT station, at, celsius, sky FROM {{tables.readings}} ORDER BY at", pgdbm_no_args,
                            &READING, &result, err);
    const struct reading *readings = pgdbm_result_structs(result);
    for (size_t i = 0; i < pgdbm_result_rows(result); i++) {
        char celsius[48];
        pgdbm_decimal_format(readings[i].celsius, celsius, sizeof celsius);
        printf("%s degrees, %s\n", celsius, readings[i].sky != NULL ? readings[i].sky : "nobody looked");
    }
    pgdbm_result_free(result); /* and with it the structs and their texts */
    return status;
}
/* [/fetch] */

/* [upsert] */
pgdbm_status correct_readings(pgdbm_db *db, pgdbm_error *err)
{
    static const char *const key[] = {"station", "at"};
    const pgdbm_upsert upsert = {.key = key, .n_key = 2};
    struct reading readings[] = {reading_after(1, 3), reading_after(1, 4)}; /* one is there, one is new */
    int64_t rows = 0;
    readings[0].sky = "rain";
    pgdbm_status status = pgdbm_upsert_structs(db, "readings", &READING, readings, 2, &upsert, &rows, err);
    if (status == PGDBM_OK)
        printf("%d written over or inserted\n", (int)rows);
    return status;
}
/* [/upsert] */
