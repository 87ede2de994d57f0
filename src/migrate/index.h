/* SPDX-License-Identifier: MIT */
/* What CREATE INDEX CONCURRENTLY and REINDEX CONCURRENTLY leave behind when they fail: indexes that are not valid, which
 * cost every write, answer no query, and are taken for good ones by IF NOT EXISTS. */
#ifndef PGDBM_MIGRATE_INDEX_H
#define PGDBM_MIGRATE_INDEX_H

#include "migrate/script.h"

#include <pgdbm/db.h>

/* An index that a statement makes. Zero-initialise; texts are released with pgdbm__index_free. */
struct pgdbm__index {
    char *name;    /* qualified and quoted; NULL: there is none */
    char *builder; /* who works on its table right now; NULL: nobody */
};
void pgdbm__index_free(struct pgdbm__index *index);

/* Whether it is a statement that can leave such an index. */
bool pgdbm__index_is_built(const struct pgdbm__script_statement *statement);

/* Finds an index that the statement makes and that is `valid` or not. Known by its name, or, where the server chooses the
 * name, by being on the statement's table and younger than the transaction `mark`; of REINDEX by its suffix. An index
 * named `recorded` (may be NULL) counts too. Nothing is changed. */
pgdbm_status pgdbm__index_find(pgdbm_db *session, const struct pgdbm__script_statement *statement, const char *mark,
                               const char *recorded, bool valid, struct pgdbm__index *index, pgdbm_error *err);

/* A transaction before everything that follows, as a number for `mark`. Released with pgdbm_free. */
pgdbm_status pgdbm__index_mark(pgdbm_db *session, char **mark, pgdbm_error *err);

#endif
