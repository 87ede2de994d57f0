/* SPDX-License-Identifier: MIT */
/* Any file as pgdbm.conf: it is read, or what is wrong is said, once. What is read has its modules in order. */
#include "cli/output.h"
#include "cli/sections.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t said;

/* In the place of the program's, which prints. */
void pgdbm__cli_say_error(const char *hint, const char *format, ...)
{
    (void)hint;
    (void)format;
    said++;
}

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Where the module is; n_modules when it is not there. */
static size_t place_of(const struct pgdbm__cli_project *project, const char *name)
{
    size_t i = 0;
    while (i < project->n_modules && strcmp(project->modules[i].name, name) != 0)
        i++;
    return i;
}

static void require_order(const struct pgdbm__cli_project *project)
{
    for (size_t i = 0; i < project->n_modules; i++)
        for (size_t j = 0; j < project->modules[i].depends_on.n_names; j++)
            require(place_of(project, project->modules[i].depends_on.names[j]) < i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[] = "pgdbm.conf", directory[] = "/project";
    struct pgdbm__cli_project project = {.file = name, .directory = directory};
    FILE *file = size > 0 ? fmemopen((void *)(uintptr_t)data, size, "r") : NULL;
    if (file == NULL)
        return 0;
    said = 0;
    bool read = pgdbm__cli_sections_read(&project, file) && pgdbm__cli_modules_check(&project);
    for (size_t i = 0; read && i < project.n_environments; i++)
        read = pgdbm__cli_environment_expand(&project.environments[i]);
    require(said == !read);
    if (read)
        require_order(&project);
    pgdbm__cli_sections_free(&project);
    fclose(file);
    return 0;
}
