/* SPDX-License-Identifier: MIT */
/* What an installed pgdbm must be good for: compile, link, answer. */
#include <pgdbm/pgdbm.h>
#include <pgdbm/testkit.h>
#include <stdio.h>
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

int main(void)
{
    pgdbm_error err;
    pgdbm_db *db = NULL;
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
