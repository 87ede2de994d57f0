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
/* Sees to it that what `config` says stands: of PGSERVICE libpq would take more than what is left open (a hostaddr is stronger than
 * the host that was said), and the other database would be named in no error. PGHOSTADDR goes where the address was `named`
 * for this command. Changes this process's environment. */
void pgdbm__cli_address_stands(const pgdbm_config *config, bool named);
/* How many milliseconds an attempt to connect may take: what the connection string says, else `config`, else PGCONNECT_TIMEOUT. 0: none
 * of them. */
int pgdbm__cli_address_timeout(const pgdbm_config *config);
void pgdbm__cli_address_free(struct pgdbm__cli_address *address);

/* "keyword='value' ", to be put behind a connection string of that form; free() it. NULL: out of memory. */
char *pgdbm__cli_address_pair(const char *keyword, const char *value);

#endif
