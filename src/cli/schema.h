/* SPDX-License-Identifier: MIT */
/* Where the modules of a project live: what the commands of `pgdbm schema` share. One thread. */
#ifndef PGDBM_CLI_SCHEMA_H
#define PGDBM_CLI_SCHEMA_H

#include "session.h"

/* Of each module of the project, in its order, the name and the schema, as the catalog has it. Zero-initialise;
 * pgdbm__cli_places_free in any case. */
struct pgdbm__cli_places {
    const char **modules;
    char **schemas;
    size_t n;
};

/* False after having said that memory ran out. */
bool pgdbm__cli_places_read(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                            const struct pgdbm__cli_target *target, struct pgdbm__cli_places *places);
void pgdbm__cli_places_free(struct pgdbm__cli_places *places);
/* The schema of a module, which belongs to `places`. An exit code: without the module it has said so. */
int pgdbm__cli_places_schema(const struct pgdbm__cli_session *session, const struct pgdbm__cli_places *places,
                             const char *module, const char **schema);

/* Whether it is one of PostgreSQL's own: pg_*, information_schema. */
bool pgdbm__cli_schema_is_system(const char *name);

#endif
