/* SPDX-License-Identifier: MIT */
/* A first program: makes its table, writes a row, reads it back. DATABASE_URL says where. */
#include <pgdbm/pgdbm.h>
#include <stdio.h>
#include <stdlib.h>

static const char notes_sql[] = "CREATE TABLE {{tables.notes}} (id bigserial PRIMARY KEY, text text NOT NULL);";
static const pgdbm_migration_text texts[] = {{"001_notes.sql", notes_sql, sizeof notes_sql - 1}};
static const pgdbm_migrations migrations = {.texts = texts, .n_texts = 1};

static pgdbm_status work(pgdbm_db *db, pgdbm_error *err)
{
    const pgdbm_migrate_options migrate = {.module = "first", .migrations = &migrations};
    pgdbm_result *notes = NULL;
    const char *text = NULL;
    int64_t id = 0;
    pgdbm_status status = pgdbm_migrate(db, &migrate, NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_insert_id(db, "INSERT INTO {{tables.notes}} (text) VALUES ($1)", pgdbm_args("hello"), &id, err);
    if (status == PGDBM_OK)
        status = pgdbm_fetch_one(db, "SELECT text FROM {{tables.notes}} WHERE id = $1", pgdbm_args(id), &notes, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(notes, 0, "text", &text, err);
    if (status == PGDBM_OK)
        printf("note %lld says %s\n", (long long)id, text);
    pgdbm_result_free(notes);
    return status;
}

int main(void)
{
    const pgdbm_config config = {.connection_string = getenv("DATABASE_URL"), .schema = "first"};
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    if (pgdbm_open(&config, &db, &err) != PGDBM_OK || work(db, &err) != PGDBM_OK)
        fprintf(stderr, "%s\n%s\n", err.message, err.hint);
    pgdbm_close(db);
    return err.status == PGDBM_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
