/* SPDX-License-Identifier: MIT */
/* What a database has beside its contents, and what `pgdbm db reset` gives to the new one: its comment, its grants, its settings
 * and those of roles in it. One thread. */
#ifndef PGDBM_CLI_DB_KEEP_H
#define PGDBM_CLI_DB_KEEP_H

#include "session.h"

/* Zero-initialise; pgdbm__cli_keep_free in any case. */
struct pgdbm__cli_keep {
    pgdbm_result *pieces; /* what: for people; statement: that makes it */
    char **reasons;       /* of each piece, why this role cannot make it again; NULL: it can */
};

/* Reads the pieces of a database, and tries on it whether this role can make them; what it was is not changed. The exit code, after
 * having said what went wrong. */
int pgdbm__cli_keep_read(const struct pgdbm__cli_session *session, const char *database, struct pgdbm__cli_keep *keep);

/* A line on standard error for each piece that will be lost. */
void pgdbm__cli_keep_warn(const struct pgdbm__cli_keep *keep);

/* The pieces that are lost, as JSON. */
json_t *pgdbm__cli_keep_lost(const struct pgdbm__cli_keep *keep);

/* Makes the other pieces on the new database. The exit code, after having said which could not be made. */
int pgdbm__cli_keep_restore(const struct pgdbm__cli_session *session, const char *database,
                            const struct pgdbm__cli_keep *keep);

/* The statements that would make them, on standard error: nobody else knows any more what there was. */
void pgdbm__cli_keep_print(const struct pgdbm__cli_keep *keep);

void pgdbm__cli_keep_free(struct pgdbm__cli_keep *keep);

#endif
