/* SPDX-License-Identifier: MIT */
/* Whether everything adds up: what was promised beside what is in the database. One thread. */
#ifndef STOREFRONT_CHECKS_H
#define STOREFRONT_CHECKS_H

#include <pgdbm/pgdbm.h>

enum { MAX_CHECKS = 24 };

struct check {
    const char *what;
    int64_t expected;
    int64_t found;
};

struct checks {
    struct check list[MAX_CHECKS];
    size_t n;
    pgdbm_error err; /* of the first query that failed; status PGDBM_OK when none did */
};

/* Notes a number that is known. */
void check_number(struct checks *checks, const char *what, int64_t expected, int64_t found);

/* Asks for the number with `sql` and notes it. */
void check_query(struct checks *checks, const char *what, int64_t expected, pgdbm_db *db, const char *sql);

/* Whether every number found is the one expected, and every query could be asked. */
bool checks_add_up(const struct checks *checks);

#endif
