/* SPDX-License-Identifier: MIT */
/* What pg_dump has written, made the same each time. No state. */
#ifndef PGDBM_CLI_DUMP_TEXT_H
#define PGDBM_CLI_DUMP_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* The word behind \restrict and \unrestrict, between which psql obeys none of its own commands, is a random one: it is replaced by a
 * digest of the text. That is the same for the same structure, and nothing in the structure can name it. False: no digest to be
 * had. */
bool pgdbm__cli_dump_settle(char *text, size_t bytes);

#endif
