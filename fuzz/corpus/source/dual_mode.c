/* SPDX-License-Identifier: MIT */
/* Dual mode: a library that other programs link. It works with a connection string of its own, or inside a host that
 * hands over its manager or pool, and it brings its own tables either way. */
#include <pgdbm/pgdbm.h>
#include <stdlib.h>

typedef struct mylib mylib;

pgdbm_status mylib_open(const pgdbm_source *source, mylib **out, pgdbm_error *err);
pgdbm_status mylib_note(mylib *lib, const char *text, int64_t *id, pgdbm_error *err);
void mylib_close(mylib *lib);

/* [dual-mode] */
static const char notes_sql[] = "CREATE TABLE {{tables.notes}} (id bigserial PRIMARY KEY, text text NOT NULL);";
static const pgdbm_migration_text texts[] = {{"001_notes.sql", notes_sql, sizeof notes_sql - 1}};
static const pgdbm_migrations migrations = {.texts = texts, .n_texts = 1};
static const pgdbm_module module = {.name = "mylib", .migrations = &migrations};

struct mylib {
    pgdbm_db *db;
};

/* `source` is a connection string, the host's manager, or the host's pool: exactly one, or the call says so. */
pgdbm_status mylib_open(const pgdbm_source *source, mylib **out, pgdbm_error *err)
{
    mylib *lib = calloc(1, sizeof *lib);
    *out = NULL;
    if (lib == NULL) {
        if (err != NULL)
            *err = (pgdbm_error){.status = PGDBM_ERR_NOMEM, .message = "out of memory"};
        return PGDBM_ERR_NOMEM;
    }
    pgdbm_status status = pgdbm_module_open(&module, source, &lib->db, err);
    if (status == PGDBM_OK)
        *out = lib;
    else
        free(lib);
    return status;
}

pgdbm_status mylib_note(mylib *lib, const char *text, int64_t *id, pgdbm_error *err)
{
    return pgdbm_insert_id(lib->db, "INSERT INTO {{tables.notes}} (text) VALUES ($1)", pgdbm_args(text), id, err);
}

void mylib_close(mylib *lib)
{
    if (lib == NULL)
        return;
    pgdbm_close(lib->db); /* ends what the library opened, never the host's pool */
    free(lib);
}
/* [/dual-mode] */
