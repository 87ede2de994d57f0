/* SPDX-License-Identifier: MIT */
/* Asking before something is destroyed. One thread. */
#ifndef PGDBM_CLI_CONFIRM_H
#define PGDBM_CLI_CONFIRM_H

#include "database.h"

/* A row of tables of options. */
#define CLI_OPTION_YES                                                                                                 \
    {                                                                                                                  \
        "yes", NULL, NULL, "Do not ask; in production the database's name has to be typed all the same"                \
    }

/* CLI_FINE when `what` ("everything in the schema a would go") is meant: by --yes, by an answer on the terminal, and in
 * production by the database's name, read from standard input. Else the exit code, after having said why: CLI_USAGE where nobody
 * can be asked, CLI_FAILED for a no. `database` is the name to be typed; NULL: the target's. Contacts nothing. */
int pgdbm__cli_confirm(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                       const struct pgdbm__cli_target *target, const char *database, const char *what);

/* For commands that look at the database before they ask: CLI_USAGE, after having said that --yes is missing, where
 * pgdbm__cli_confirm could ask nobody. */
int pgdbm__cli_confirm_can_ask(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                               const struct pgdbm__cli_target *target, const char *what);

/* CLI_USAGE after having said that the command is none for production, where the environment is one. */
int pgdbm__cli_refuse_production(const struct pgdbm__cli_command *command, const struct pgdbm__cli_target *target);

#endif
