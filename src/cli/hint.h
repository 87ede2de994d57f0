/* SPDX-License-Identifier: MIT */
/* The library's hints are for programs; a person at a shell has options, variables and commands. No state. */
#ifndef PGDBM_CLI_HINT_H
#define PGDBM_CLI_HINT_H

#include <pgdbm/error.h>
#include <stddef.h>

/* More than a hint of the library's, in the words of the command. */
enum { CLI_HINT_BYTES = 1024 };

/* The error's hint, in which what only a program can do has become what the command can, into `text`. */
void pgdbm__cli_hint(const pgdbm_error *err, char *text, size_t bytes);

#endif
