/* SPDX-License-Identifier: MIT */
/* The same without a test framework: a program that ends with 0 when all is well. */
#include "tea.h"

#include <inttypes.h>
#include <pgdbm/testkit.h>
#include <stdio.h>

/* [plain] */
static pgdbm_status sell_two_cups(pgdbm_error *err)
{
    const pgdbm_testdb_options options = {.migrations = &tea_migrations, .schema = "tea"};
    int64_t cents = 0;
    PGDBM_TESTDB_AUTO(testdb); /* dropped at the end of the scope, by return as well */
    pgdbm_status status = pgdbm_testdb_create(&options, &testdb, err);
    if (status != PGDBM_OK)
        return status;
    pgdbm_db *db = pgdbm_testdb_manager(testdb);
    status = pgdbm_fixture_load(db, TEA_FIXTURES "/articles.json", err);
    if (status == PGDBM_OK)
        status = tea_sell(db, "assam", 2, err);
    if (status == PGDBM_OK)
        status = tea_takings(db, &cents, err);
    if (status == PGDBM_OK)
        printf("%" PRId64 " cents came in\n", cents);
    return status;
}
/* [/plain] */

int main(void)
{
    pgdbm_error err;
    char text[2048];
    if (sell_two_cups(&err) == PGDBM_OK)
        return 0;
    pgdbm_error_format(&err, text, sizeof text);
    fprintf(stderr, "%s\n", text);
    return 1;
}
