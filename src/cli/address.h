/* SPDX-License-Identifier: MIT */
/* Where a configuration points: its parts, read by libpq, whatever form they were given in. No state. */
#ifndef PGDBM_CLI_ADDRESS_H
#define PGDBM_CLI_ADDRESS_H

#include <pgdbm/config.h>

/* All texts but `password` and `connection_string` may be shown. Zero-initialise; pgdbm__cli_address_free in any case. */
struct pgdbm__cli_address {
    char *host, *port, *database, *user, *password;
    char *options;           /* for the server, as -c name=value */
    char *connection_string; /* key=value, complete */
    char *shown_string;      /* the same without what is secret */
};

/* The parts of `config`; `database` (NULL: its own) takes the place of the one it names. What it leaves open comes from the PG*
 * variables and libpq's defaults. False after having said what is wrong. */
bool pgdbm__cli_address_read(const pgdbm_config *config, const char *database, struct pgdbm__cli_address *address);
/* Whether it says itself on which host, or in which directory, the server is. */
bool pgdbm__cli_address_names_host(const pgdbm_config *config);
void pgdbm__cli_address_free(struct pgdbm__cli_address *address);

/* "keyword='value' ", to be put behind a connection string of that form; free() it. NULL: out of memory. */
char *pgdbm__cli_address_pair(const char *keyword, const char *value);

#endif
