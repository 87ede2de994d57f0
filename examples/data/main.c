/* SPDX-License-Identifier: MIT */
/* Runs all of it, one after the other. DATABASE_URL says where; the schema is `weather`. */
#include "weather.h"

#include "weather_migrations.h"

#include <stdio.h>
#include <stdlib.h>

static pgdbm_status (*const steps[])(pgdbm_db *db, pgdbm_error *err) = {
    add_station,      show_station,    show_time,      insert_readings, show_readings,
    correct_readings, copy_year,       copy_generated, find_coldest,    keep_file,
    refuse_reading,   count_by_cursor, sum_by_stream,  rename_many,     go_through_json};

int main(void)
{
    const pgdbm_config config = {.connection_string = getenv("DATABASE_URL"), .schema = "weather"};
    const pgdbm_migrate_options migrate = {.module = "weather", .migrations = &weather_migrations};
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    pgdbm_status status = pgdbm_open(&config, &db, &err);
    if (status == PGDBM_OK)
        status = pgdbm_migrate(db, &migrate, NULL, &err);
    for (size_t i = 0; status == PGDBM_OK && i < sizeof steps / sizeof *steps; i++)
        status = steps[i](db, &err);
    if (status != PGDBM_OK)
        fprintf(stderr, "%s\n%s\n%s\n", err.message, err.detail, err.hint);
    pgdbm_close(db);
    return status == PGDBM_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
