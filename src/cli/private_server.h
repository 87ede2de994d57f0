/* SPDX-License-Identifier: MIT */
/* The private PostgreSQL server of a project, in .pgdbm/ beside its file. No state but the files there. */
#ifndef PGDBM_CLI_PRIVATE_SERVER_H
#define PGDBM_CLI_PRIVATE_SERVER_H

#include "project.h"

#include <pgdbm/error.h>

#define CLI_PRIVATE_HOME ".pgdbm"

/* Its data directory as an absolute path; free() it. NULL: out of memory, and said so. */
char *pgdbm__cli_private_directory(const struct pgdbm__cli_project *project);

/* Starts it unless it runs. `*url` is the caller's (pgdbm_free). Errors: CONFIG (the folder cannot be made), those of
 * pgdbm_testserver_start. */
pgdbm_status pgdbm__cli_private_start(const char *directory, char **url, bool *started, pgdbm_error *err);

/* pgdbm_testserver_find and pgdbm_testserver_stop_directory; CONFIG when something else lies where it belongs, or cannot be looked
 * into. */
pgdbm_status pgdbm__cli_private_find(const char *directory, char **url, pgdbm_error *err);
pgdbm_status pgdbm__cli_private_stop(const char *directory, pgdbm_error *err);

#endif
