/* SPDX-License-Identifier: MIT */
/* The parts that project.c makes a project of. One thread. */
#ifndef PGDBM_CLI_SECTIONS_H
#define PGDBM_CLI_SECTIONS_H

#include "project.h"

/* Reads the sections of project->file, opened as `file`, into the project. The values of environments are left as they stand. False after having
 * said what is wrong. */
bool pgdbm__cli_sections_read(struct pgdbm__cli_project *project, FILE *file);

/* Replaces each ${NAME} in the texts of an environment. False after having said what is wrong. */
bool pgdbm__cli_environment_expand(struct pgdbm__cli_environment *environment);

void pgdbm__cli_sections_free(struct pgdbm__cli_project *project);

/* Completes the modules and puts them into order; false after having said that one names another that there is not, or that they
 * go in a circle. */
bool pgdbm__cli_modules_check(struct pgdbm__cli_project *project);

#endif
