/* SPDX-License-Identifier: MIT */
/* What the commands of `pgdbm fleet` share: options, opening, lists. One thread but for the progress of a roll-out. */
#ifndef PGDBM_CLI_FLEET_H
#define PGDBM_CLI_FLEET_H

#include "command.h"
#include "database.h"

/* Rows of their tables of options. */
#define CLI_FLEET_OPTIONS                                                                                              \
    CLI_OPTION_URL, CLI_OPTION_MODULE, CLI_OPTION_DIRECTORY, CLI_OPTION_TABLE,                                         \
        {"schemas", "A,B,...", NULL, "The tenants' schemas by name"},                                                  \
        {"pattern", "PATTERN", NULL, "or by LIKE: 'tenant\\_%'"},                                                      \
        {"query", "SQL", NULL, "or by a query that gives their names"}, CLI_OPTION_JSON

/* A list of words; zero-initialise. */
struct pgdbm__cli_list {
    char *text; /* what the words lie in */
    const char **words;
    size_t n_words;
};
/* "a,b,c", of the option with this name. The exit code, after having said what is wrong: that there is no word in it. */
int pgdbm__cli_list_read(const char *option, const char *text, struct pgdbm__cli_list *list);
void pgdbm__cli_list_free(struct pgdbm__cli_list *list);

/* Zero-initialise. */
struct pgdbm__cli_fleet {
    struct pgdbm__cli_target target;
    struct pgdbm__cli_chosen chosen;
    pgdbm_db *db;
    pgdbm_migrations migrations;
    struct pgdbm__cli_list schemas;
    pgdbm_fleet *fleet;
    bool json;
};

/* Reads what is meant, and contacts nothing; the exit code, after having said what is wrong. pgdbm__cli_fleet_close is due
 * in any case. */
int pgdbm__cli_fleet_read(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                          struct pgdbm__cli_fleet *fleet);

/* Opens the fleet with so many connections, after reading what is meant if that was not done. As above. */
int pgdbm__cli_fleet_open(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                          int max_connections, struct pgdbm__cli_fleet *fleet);
void pgdbm__cli_fleet_close(struct pgdbm__cli_fleet *fleet);

/* Says the error, as JSON too where that was asked for; the exit code. */
int pgdbm__cli_fleet_fail(const struct pgdbm__cli_fleet *fleet, const pgdbm_error *err);

extern const struct pgdbm__cli_command pgdbm__cli_fleet_sync;
extern const struct pgdbm__cli_command pgdbm__cli_fleet_status;
extern const struct pgdbm__cli_command pgdbm__cli_fleet_apply;
extern const struct pgdbm__cli_command pgdbm__cli_fleet_pause;
extern const struct pgdbm__cli_command pgdbm__cli_fleet_resume;
extern const struct pgdbm__cli_command pgdbm__cli_fleet_cancel;
extern const struct pgdbm__cli_command pgdbm__cli_fleet_create;
extern const struct pgdbm__cli_command pgdbm__cli_fleet_drop;
extern const struct pgdbm__cli_command pgdbm__cli_fleet_drift;
extern const struct pgdbm__cli_command pgdbm__cli_fleet_quarantine;
extern const struct pgdbm__cli_command pgdbm__cli_fleet_release;

#endif
