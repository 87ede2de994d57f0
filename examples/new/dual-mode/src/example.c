/* SPDX-License-Identifier: MIT */
#include <example/example.h>

#include <stdlib.h>

#include "example_migrations.h" /* embedded from migrations/example */

static const pgdbm_module module = {.name = "example", .migrations = &example_migrations};

struct example_library {
    pgdbm_db *db;
};

pgdbm_status example_open(const pgdbm_source *source, example_library **library, pgdbm_error *err)
{
    *library = NULL;
    example_library *made = calloc(1, sizeof *made);
    if (made == NULL) {
        if (err != NULL)
            *err = (pgdbm_error){.status = PGDBM_ERR_NOMEM, .message = "out of memory"};
        return PGDBM_ERR_NOMEM;
    }
    pgdbm_status status = pgdbm_module_open(&module, source, &made->db, err);
    if (status == PGDBM_OK)
        *library = made;
    else
        free(made);
    return status;
}

void example_close(example_library *library)
{
    if (library == NULL)
        return;
    pgdbm_close(library->db);
    free(library);
}

pgdbm_status example_add_note(example_library *library, const char *text, int64_t *id, pgdbm_error *err)
{
    return pgdbm_insert_id(library->db, "INSERT INTO {{tables.notes}} (text) VALUES ($1)", pgdbm_args(text), id, err);
}

pgdbm_status example_count_notes(example_library *library, int64_t *notes, pgdbm_error *err)
{
    return pgdbm_fetch_value_int64(library->db, "SELECT count(*) FROM {{tables.notes}}", pgdbm_no_args, notes, err);
}
