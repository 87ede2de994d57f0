/* SPDX-License-Identifier: MIT */
/* What an installed pgdbm must be good for: compile, link, answer. */
#include <pgdbm/pgdbm.h>
#include <pgdbm/testkit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char things_sql[] = "CREATE TABLE {{tables.things}} AS SELECT 1 AS id";
static const pgdbm_migration_text texts[] = {{"001_things.sql", things_sql, sizeof things_sql - 1}};
static const pgdbm_migrations migrations = {.texts = texts, .n_texts = 1};

/* With the test kit: on a real server, and away again. */
static pgdbm_status count_things(pgdbm_error *err)
{
    const pgdbm_testdb_options options = {.migrations = &migrations, .schema = "demo"};
    pgdbm_testdb *testdb = NULL;
    pgdbm_db *db = NULL;
    pgdbm_status status = pgdbm_testdb_create(&options, &testdb, err);
    if (status == PGDBM_OK)
        status = pgdbm_testdb_isolated(testdb, &db, err);
    if (status == PGDBM_OK)
        status = pgdbm_rows_check_count(db, "things", 1, err);
    pgdbm_testdb_drop(testdb);
    return status;
}

/* Memory from here lies 16 bytes behind malloc's, so that nothing else can release it. */
static long allocations;

static void *reallocate(void *memory, size_t bytes, void *context)
{
    (void)context;
    allocations++;
    char *moved = realloc(memory != NULL ? (char *)memory - 16 : NULL, bytes + 16);
    return moved != NULL ? moved + 16 : NULL;
}

static void release(void *memory, void *context)
{
    (void)context;
    if (memory != NULL)
        free((char *)memory - 16);
}

/* The library and the test kit have one allocator between them. */
static bool takes_the_allocator(pgdbm_error *err)
{
    const pgdbm_allocator allocator = {reallocate, release, NULL};
    const pgdbm_config nowhere = {.connection_string = "host=/nonexistent", .fail_fast = true};
    pgdbm_db *db = NULL;
    return pgdbm_allocator_set(&allocator, err) == PGDBM_OK && pgdbm_open(&nowhere, &db, err) == PGDBM_ERR_CONNECTION &&
           allocations > 0;
}

int main(void)
{
    pgdbm_error err;
    pgdbm_db *db = NULL;
    if (!takes_the_allocator(&err)) {
        fprintf(stderr, "the library does not use the allocator that it was given\n");
        return 1;
    }
    if (pgdbm_open(NULL, &db, &err) != PGDBM_ERR_ARGUMENT || strcmp(pgdbm_version(), PGDBM_VERSION_STRING) != 0)
        return 1;
    pgdbm_testserver_stop(NULL);
    if (pgdbm_testdb_create(NULL, NULL, &err) != PGDBM_ERR_ARGUMENT)
        return 1;
    pgdbm_testdb_drop(NULL);
    if (count_things(&err) != PGDBM_OK) {
        fprintf(stderr, "%s\n%s\n", err.message, err.hint);
        return 1;
    }
    puts(pgdbm_version());
    return 0;
}
