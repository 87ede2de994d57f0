/* SPDX-License-Identifier: MIT */
/* Opening the database that a command works on. No state. */
#include "database.h"
#include "output.h"

#include <stdlib.h>

/* Whether anything at all says where the server is; libpq's own default would be a guess. */
static bool names_a_database(const pgdbm_config *config)
{
    static const char *const of_libpq[] = {"PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE"};
    bool named = config->connection_string != NULL || config->host != NULL || config->database != NULL;
    for (size_t i = 0; i < sizeof of_libpq / sizeof of_libpq[0]; i++)
        named = named || getenv(of_libpq[i]) != NULL;
    return named;
}

int pgdbm__cli_open(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given, int max_connections,
                    pgdbm_db **db, pgdbm_error *err)
{
    pgdbm_config config = {
        .connection_string = pgdbm__cli_value(command, given, "url"),
        .schema = pgdbm__cli_value(command, given, "schema"),
        .min_connections = 1,
        .max_connections = max_connections,
        .fail_fast = true, /* a person waits: the second look is theirs */
    };
    pgdbm_status status = pgdbm_config_from_environment(&config, err);
    if (status == PGDBM_OK && !names_a_database(&config)) {
        *err = (pgdbm_error){.status = PGDBM_ERR_CONFIG, .message = "no database to work on"};
        snprintf(err->hint, sizeof err->hint,
                 "set DATABASE_URL or give --url; `pgdbm dev start` runs a private server and prints its URL");
        status = err->status;
    }
    if (status == PGDBM_OK)
        status = pgdbm_open(&config, db, err);
    return status == PGDBM_OK ? CLI_FINE : pgdbm__cli_exit_code(err, true);
}

int pgdbm__cli_module(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                      const char **module)
{
    char name[64];
    *module = pgdbm__cli_value(command, given, "module");
    if (*module != NULL)
        return CLI_FINE;
    pgdbm__cli_say_error("a history without names mixes the modules of a schema up: give --module NAME",
                         "%s: no module named", pgdbm__cli_full_name(command, name, sizeof name));
    return CLI_USAGE;
}

const char *pgdbm__cli_directory(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    const char *directory = pgdbm__cli_value(command, given, "dir");
    return directory != NULL ? directory : "migrations";
}
