/* SPDX-License-Identifier: MIT */
/* Opens the library on the host's pool, and on a database of its own. DATABASE_URL says where. */
#include <my_thing/my_thing.h>
#include <stdio.h>
#include <stdlib.h>

static pgdbm_status note(const pgdbm_source *source, int64_t *notes, pgdbm_error *err)
{
    my_thing_library *library = NULL;
    int64_t id = 0;
    pgdbm_status status = my_thing_open(source, &library, err);
    if (status == PGDBM_OK)
        status = my_thing_add_note(library, "milk", &id, err);
    if (status == PGDBM_OK)
        status = my_thing_count_notes(library, notes, err);
    my_thing_close(library);
    return status;
}

int main(void)
{
    const pgdbm_config config = {.connection_string = getenv("DATABASE_URL")};
    pgdbm_error err = {0};
    pgdbm_pool *pool = NULL;
    int64_t notes = 0;
    pgdbm_status status = pgdbm_pool_open(&config, &pool, &err);
    if (status == PGDBM_OK)
        status = note(&(pgdbm_source){.pool = pool}, &notes, &err);
    pgdbm_pool_close(pool);
    if (status == PGDBM_OK)
        status = note(&(pgdbm_source){.connection_string = getenv("DATABASE_URL")}, &notes, &err);
    if (status != PGDBM_OK)
        fprintf(stderr, "%s\n%s\n", err.message, err.hint);
    printf("%lld notes\n", (long long)notes);
    return status == PGDBM_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
