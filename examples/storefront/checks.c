/* SPDX-License-Identifier: MIT */
/* The list of checks. */
#include "checks.h"

void check_number(struct checks *checks, const char *what, int64_t expected, int64_t found)
{
    if (checks->n < MAX_CHECKS)
        checks->list[checks->n++] = (struct check){what, expected, found};
}

void check_query(struct checks *checks, const char *what, int64_t expected, pgdbm_db *db, const char *sql)
{
    int64_t found = -1;
    pgdbm_error err;
    if (pgdbm_fetch_value(db, sql, pgdbm_no_args, &found, &err) != PGDBM_OK && checks->err.status == PGDBM_OK)
        checks->err = err;
    check_number(checks, what, expected, found);
}

bool checks_add_up(const struct checks *checks)
{
    bool equal = checks->err.status == PGDBM_OK && checks->n > 0;
    for (size_t i = 0; i < checks->n; i++)
        equal = equal && checks->list[i].expected == checks->list[i].found;
    return equal;
}
