/* SPDX-License-Identifier: MIT */
/* What commands that work on a database share: options, opening, times for people. One thread. */
#ifndef PGDBM_CLI_DATABASE_H
#define PGDBM_CLI_DATABASE_H

#include "command.h"

#include <pgdbm/pgdbm.h>

/* Rows of their tables of options. */
#define CLI_OPTION_URL                                                                                                 \
    {                                                                                                                  \
        "url", "URL", NULL, "The database, as URI or key=value (default: DATABASE_URL)"                                \
    }
#define CLI_OPTION_JSON                                                                                                \
    {                                                                                                                  \
        "json", NULL, NULL, "Print the answer as JSON"                                                                 \
    }
#define CLI_OPTION_DIRECTORY                                                                                           \
    {                                                                                                                  \
        "dir", "DIRECTORY", NULL, "Where the files are (default: migrations)"                                          \
    }
#define CLI_OPTION_MODULE                                                                                              \
    {                                                                                                                  \
        "module", "NAME", NULL, "Whose migrations they are; recorded in the history (mandatory)"                       \
    }
#define CLI_OPTION_TABLE                                                                                               \
    {                                                                                                                  \
        "table", "NAME", NULL, "The history's table (default: schema_migrations)"                                      \
    }
#define CLI_OPTION_BUILD                                                                                               \
    {                                                                                                                  \
        "build", "TEXT", NULL, "What migrates, for the history: a version, a commit"                                   \
    }
#define CLI_OPTION_LOCK_TIMEOUT                                                                                        \
    {                                                                                                                  \
        "lock-timeout", "TIME", NULL, "How long a statement may wait for a lock, or off (default: 2s)"                 \
    }

/* The manager that --url and --schema (where the command has it) ask for, with so many connections at most. The exit
 * code; the error is not said yet. */
int pgdbm__cli_open(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given, int max_connections,
                    pgdbm_db **db, pgdbm_error *err);

/* --module, or CLI_USAGE after having said that it is missing. */
int pgdbm__cli_module(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                      const char **module);

/* --dir, or "migrations". */
const char *pgdbm__cli_directory(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given);

#endif
