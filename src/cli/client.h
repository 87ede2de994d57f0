/* SPDX-License-Identifier: MIT */
/* PostgreSQL's own programs, psql and pg_dump, on the database of a command. One thread. */
#ifndef PGDBM_CLI_CLIENT_H
#define PGDBM_CLI_CLIENT_H

#include "database.h"

/* Where the program of this name is: in PGDBM_POSTGRES_BIN; without it in PATH, or where Debian keeps the newest version; free() it. NULL after
 * having said which package has it. */
char *pgdbm__cli_client_find(const char *name);

/* Looks whether the database can be reached, starting the private server where nothing names one, and whether the names of the
 * schemas are acceptable; watches no signals afterwards. The exit code after having said what is wrong. */
int pgdbm__cli_client_reach(struct pgdbm__cli_target *target, const char *const *schemas, size_t n_schemas);

/* "--dbname=..." for such a program, without anything that is secret: the password goes into PGPASSWORD of this process, which
 * programs it starts inherit. Unqualified names are looked up in `schema` (NULL: as the server has it). free() it; NULL after
 * having said why. */
char *pgdbm__cli_client_argument(const struct pgdbm__cli_target *target, const char *schema);

#endif
