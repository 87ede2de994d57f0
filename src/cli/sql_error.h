/* SPDX-License-Identifier: MIT */
/* Errors of migrations, with the line of the file they are about. No state. */
#ifndef PGDBM_CLI_SQL_ERROR_H
#define PGDBM_CLI_SQL_ERROR_H

#include <pgdbm/error.h>

/* As pgdbm__cli_say_library_error; where the message begins with a file of `directory`, a line and a column, that line follows
 * with a mark below the place. A directory of NULL, a file that cannot be read any more, a place it does not have: the error alone. */
void pgdbm__cli_say_sql_error(const pgdbm_error *err, const char *directory);

#endif
