/* SPDX-License-Identifier: MIT */
/* A build without libpg_query: there are no rules on SQL, and whoever asks is told. */
#include "check/check.h"

#include <stdlib.h>

struct pgdbm__check_names {
    char unused;
};

bool pgdbm__check_has_parser(void)
{
    return false;
}

bool pgdbm__check_read_sql(struct pgdbm__check_run *run, const struct pgdbm__check_sql *sql)
{
    (void)run, (void)sql;
    return true;
}

struct pgdbm__check_names *pgdbm__check_names_create(void)
{
    return calloc(1, sizeof(struct pgdbm__check_names));
}

bool pgdbm__check_names_report(struct pgdbm__check_names *names, struct pgdbm__check_run *run)
{
    (void)names, (void)run;
    return true;
}

void pgdbm__check_names_free(struct pgdbm__check_names *names)
{
    free(names);
}
