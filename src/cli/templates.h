/* SPDX-License-Identifier: MIT */
/* What `pgdbm new` writes: the files of examples/new, put in by CMake. Immutable data. */
#ifndef PGDBM_CLI_TEMPLATES_H
#define PGDBM_CLI_TEMPLATES_H

#include <stddef.h>

/* In path and text stand for the project: "new-example" its name, "example" the name as an identifier, "EXAMPLE" that in
 * capitals. */
struct pgdbm__cli_template {
    const char *path; /* below the project's directory; "" ends the list */
    const char *text;
};

extern const struct pgdbm__cli_template pgdbm__cli_new_files_standalone[];
extern const struct pgdbm__cli_template pgdbm__cli_new_files_shared_pool[];
extern const struct pgdbm__cli_template pgdbm__cli_new_files_dual_mode[];

#endif
