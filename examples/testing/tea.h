/* SPDX-License-Identifier: MIT */
/* A small library with tables, to be tested: a tea house, with a database of its own or inside of a host's. */
#ifndef PGDBM_EXAMPLES_TESTING_TEA_H
#define PGDBM_EXAMPLES_TESTING_TEA_H

#include <pgdbm/pgdbm.h>

extern const pgdbm_migrations tea_migrations; /* embedded from migrations/ */

typedef struct tea_house tea_house;

pgdbm_status tea_open(const pgdbm_source *source, tea_house **house, pgdbm_error *err);
void tea_close(tea_house *house);
pgdbm_db *tea_manager(tea_house *house);

/* On any handle of the house's schema: the house's own manager, or a transaction of the caller's. */
pgdbm_status tea_sell(pgdbm_db *db, const char *article, int cups, pgdbm_error *err);
/* What came in, in cents. */
pgdbm_status tea_takings(pgdbm_db *db, int64_t *cents, pgdbm_error *err);

#endif
