/* SPDX-License-Identifier: MIT */
/* What an installed pgdbm must be good for: compile, link, answer. */
#include <pgdbm/pgdbm.h>
#include <pgdbm/testkit.h>
#include <stdio.h>
#include <string.h>

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
    if (pgdbm_fixture_load(NULL, "users.json", &err) != PGDBM_ERR_ARGUMENT)
        return 1;
    puts(pgdbm_version());
    return 0;
}
