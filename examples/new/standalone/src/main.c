/* SPDX-License-Identifier: MIT */
/* Notes its first argument and says how many notes there are. DATABASE_URL says where. */
#include "service.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static pgdbm_status work(pgdbm_db *db, const char *text, pgdbm_error *err)
{
    int64_t id = 0;
    int64_t notes = 0;
    pgdbm_status status = text != NULL ? example_add_note(db, text, &id, err) : PGDBM_OK;
    if (status == PGDBM_OK)
        status = example_count_notes(db, &notes, err);
    if (status == PGDBM_OK)
        printf("%" PRId64 " notes\n", notes);
    return status;
}

int main(int argc, char **argv)
{
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    pgdbm_status status = example_open(getenv("DATABASE_URL"), &db, &err);
    if (status == PGDBM_OK)
        status = work(db, argc > 1 ? argv[1] : NULL, &err);
    if (status != PGDBM_OK) {
        char text[2048];
        pgdbm_error_format(&err, text, sizeof text);
        fprintf(stderr, "%s\n", text);
    }
    pgdbm_close(db); /* ends manager and pool */
    return status == PGDBM_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
