/* SPDX-License-Identifier: MIT */
/* What the parts of `pgdbm new` share. One thread. */
#ifndef PGDBM_CLI_NEW_H
#define PGDBM_CLI_NEW_H

#include "templates.h"

#include <stdbool.h>

#define CLI_NEW_NAME_BYTES 41

/* What is written in place of the templates' words. */
struct pgdbm__cli_new_names {
    const char *name;                    /* as given: my-service */
    char identifier[CLI_NEW_NAME_BYTES]; /* my_service */
    char capitals[CLI_NEW_NAME_BYTES];   /* MY_SERVICE */
};

/* The name as an identifier of C, SQL and CMake. False after having said why it cannot be one, and what can. */
bool pgdbm__cli_new_identifier(const char *given, char identifier[CLI_NEW_NAME_BYTES]);

/* A template's text or path with the names put in; free() it. NULL: out of memory. */
char *pgdbm__cli_new_fill(const char *text, const struct pgdbm__cli_new_names *names);

/* Makes the directory with all files, or nothing: they are written beside it and moved there at the end. False after having
 * said what went wrong. */
bool pgdbm__cli_new_write(const char *directory, const struct pgdbm__cli_template *files,
                          const struct pgdbm__cli_new_names *names);

#endif
