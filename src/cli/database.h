/* SPDX-License-Identifier: MIT */
/* What commands that work on a database share: options, opening, times for people. One thread. */
#ifndef PGDBM_CLI_DATABASE_H
#define PGDBM_CLI_DATABASE_H

#include "command.h"
#include "project.h"

#include <pgdbm/pgdbm.h>

/* Rows of their tables of options. */
#define CLI_OPTION_URL                                                                                                 \
    {                                                                                                                  \
        "url", "URL", NULL, "The database, as URI or key=value (default: the project's, else DATABASE_URL)"            \
    }
#define CLI_OPTION_JSON                                                                                                \
    {                                                                                                                  \
        "json", NULL, NULL, "Print the answer as JSON"                                                                 \
    }
#define CLI_OPTION_DIRECTORY                                                                                           \
    {                                                                                                                  \
        "dir", "DIRECTORY", NULL, "Where the files are (default: the module's, else migrations)"                       \
    }
#define CLI_OPTION_MODULE                                                                                              \
    {                                                                                                                  \
        "module", "NAME", NULL, "Whose migrations they are; recorded in the history"                                   \
    }
#define CLI_OPTION_SCHEMA                                                                                              \
    {                                                                                                                  \
        "schema", "NAME", NULL, "The schema to work on (default: PGDBM_SCHEMA, else public)"                           \
    }
#define CLI_OPTION_PER_SCHEMA                                                                                          \
    {                                                                                                                  \
        "per-schema", NULL, NULL, "The module lives in several schemas: recorded as NAME_SCHEMA"                       \
    }
#define CLI_OPTION_TABLE                                                                                               \
    {                                                                                                                  \
        "table", "NAME", NULL, "The history's table (default: the project's, else schema_migrations)"                  \
    }
#define CLI_OPTION_BUILD                                                                                               \
    {                                                                                                                  \
        "build", "TEXT", NULL, "What migrates, for the history: a version, a commit"                                   \
    }
#define CLI_OPTION_LOCK_TIMEOUT                                                                                        \
    {                                                                                                                  \
        "lock-timeout", "TIME", NULL, "How long a statement may wait for a lock, or off (default: 2s)"                 \
    }

/* What a command works on: the project and the database. Zero-initialise; pgdbm__cli_target_free in any case. */
struct pgdbm__cli_target {
    struct pgdbm__cli_project project;
    pgdbm_config config; /* its texts are the target's, or the process's */
    bool named;          /* something says which database */
    char *private_url;
    char *paths[3]; /* of TLS files */
};

/* Reads the project's file and the options --url and --schema (where the command has them). Which database, the strongest first:
 * --url, the project's environment, DATABASE_URL and the PG* variables, the project's private server. CLI_FINE, or the exit
 * code after having said what is wrong; nothing is contacted. */
int pgdbm__cli_target_read(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                           struct pgdbm__cli_target *target);
void pgdbm__cli_target_free(struct pgdbm__cli_target *target);

/* Whether it is the project's private server, started or not. */
bool pgdbm__cli_target_is_private(const struct pgdbm__cli_target *target);

/* Makes target->config one that can be opened: starts the private server where nothing names a database. The exit code; the
 * error is not said yet. pgdbm__cli_open and pgdbm__cli_open_pool do it themselves. */
int pgdbm__cli_target_locate(struct pgdbm__cli_target *target, pgdbm_error *err);

/* The manager of the target's schema (target->config.schema), with so many connections at most; or only the pool. The exit
 * code; the error is not said yet. */
int pgdbm__cli_open(struct pgdbm__cli_target *target, int max_connections, pgdbm_db **db, pgdbm_error *err);
int pgdbm__cli_open_pool(struct pgdbm__cli_target *target, int max_connections, pgdbm_pool **pool, pgdbm_error *err);

/* One module: what --module, --dir, --schema and --table say, else the project's file. */
struct pgdbm__cli_chosen {
    const char *module, *directory;
    const char *schema, *table; /* NULL: the library's default */
};

/* CLI_FINE, or CLI_USAGE after having said that none is named, or that the project has no such module. */
int pgdbm__cli_choose_module(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                             const struct pgdbm__cli_target *target, struct pgdbm__cli_chosen *choice);

/* The schema of a module of the project: --schema, its own, the environment's; NULL: the library's default. */
const char *pgdbm__cli_module_schema(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                                     const struct pgdbm__cli_target *target, const struct pgdbm__cli_module *module);

/* A remark for a person on standard error, unless --quiet. */
void pgdbm__cli_remark(const char *format, ...) PGDBM_PRINTF(1, 2);

#endif
