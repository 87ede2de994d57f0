/* SPDX-License-Identifier: MIT */
/* What docs/data.md shows, as a program: weather stations, and what they have read. Each function shows one way of data in
 * or out, and prints what came of it. */
#ifndef PGDBM_EXAMPLES_DATA_WEATHER_H
#define PGDBM_EXAMPLES_DATA_WEATHER_H

#include <pgdbm/pgdbm.h>

/* [struct] */
struct reading {
    int32_t station;
    pgdbm_timestamp at;
    pgdbm_decimal celsius;
    const char *sky; /* an enum of the schema; NULL: nobody looked */
};

extern const pgdbm_struct READING;
/* [/struct] */

/* A reading so many hours after the new year. */
struct reading reading_after(int32_t station, int64_t hours);

/* values.c */
pgdbm_status add_station(pgdbm_db *db, pgdbm_error *err);
pgdbm_status show_station(pgdbm_db *db, pgdbm_error *err);
pgdbm_status show_time(pgdbm_db *db, pgdbm_error *err);
/* structs.c */
pgdbm_status insert_readings(pgdbm_db *db, pgdbm_error *err);
pgdbm_status show_readings(pgdbm_db *db, pgdbm_error *err);
pgdbm_status correct_readings(pgdbm_db *db, pgdbm_error *err);
/* copy.c */
pgdbm_status copy_year(pgdbm_db *db, pgdbm_error *err);
pgdbm_status copy_generated(pgdbm_db *db, pgdbm_error *err);
pgdbm_status find_coldest(pgdbm_db *db, pgdbm_error *err);
pgdbm_status keep_file(pgdbm_db *db, pgdbm_error *err);
pgdbm_status refuse_reading(pgdbm_db *db, pgdbm_error *err);
/* pieces.c */
pgdbm_status count_by_cursor(pgdbm_db *db, pgdbm_error *err);
pgdbm_status sum_by_stream(pgdbm_db *db, pgdbm_error *err);
pgdbm_status rename_many(pgdbm_db *db, pgdbm_error *err);
pgdbm_status go_through_json(pgdbm_db *db, pgdbm_error *err);

#endif
