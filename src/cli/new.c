/* SPDX-License-Identifier: MIT */
/* `pgdbm new standalone|shared-pool|dual-mode NAME`: a project that builds and whose tests pass. No state. */
#include "new.h"

#include "command.h"
#include "output.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { DIRECTORY, JSON, N_OPTIONS };

static const struct pgdbm__cli_option options[N_OPTIONS] = {
    [DIRECTORY] = {"dir", "DIRECTORY", NULL, "The directory to make (default: NAME, here)"},
    [JSON] = {"json", NULL, NULL, "Print what was written as JSON"},
};

static const struct pgdbm__cli_template *files_of(const struct pgdbm__cli_command *command)
{
    if (command == &pgdbm__cli_new_standalone)
        return pgdbm__cli_new_files_standalone;
    return command == &pgdbm__cli_new_shared_pool ? pgdbm__cli_new_files_shared_pool : pgdbm__cli_new_files_dual_mode;
}

/* The two commands that build and test the project. */
struct next {
    char *build;
    char *test;
};

/* A path as a word of the shell. */
static char *quote(const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./+,:=@";
    if (path[strspn(path, plain)] == '\0')
        return strdup(path);
    char *quoted = malloc(4 * strlen(path) + 3);
    char *at = quoted;
    if (quoted == NULL)
        return NULL;
    *at++ = '\'';
    for (; *path != '\0'; path++) {
        if (*path == '\'') {
            memcpy(at, "'\\''", 4);
            at += 4;
        } else
            *at++ = *path;
    }
    *at++ = '\'';
    *at = '\0';
    return quoted;
}

static bool name_next(const char *directory, struct next *next)
{
    char *word = quote(directory);
    bool fine = word != NULL &&
                asprintf(&next->build, "cmake -S %s -B %s/build && cmake --build %s/build", word, word, word) >= 0;
    if (!fine)
        next->build = NULL;
    if (fine && asprintf(&next->test, "ctest --test-dir %s/build --output-on-failure", word) < 0) {
        next->test = NULL;
        fine = false;
    }
    free(word);
    if (!fine)
        pgdbm__cli_say_error(NULL, "new: out of memory");
    return fine;
}

/* The files' paths as a JSON array; NULL: out of memory. */
static json_t *json_files(const struct pgdbm__cli_command *command, const struct pgdbm__cli_new_names *names)
{
    json_t *files = json_array();
    for (const struct pgdbm__cli_template *file = files_of(command); files != NULL && file->path[0] != '\0'; file++) {
        char *path = pgdbm__cli_new_fill(file->path, names);
        if (path == NULL || json_array_append_new(files, json_string(path)) != 0) {
            json_decref(files);
            files = NULL;
        }
        free(path);
    }
    return files;
}

static int tell(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given, const char *directory,
                const struct pgdbm__cli_new_names *names, const struct next *next)
{
    json_t *files = json_files(command, names);
    if (given->values[JSON] != NULL || files == NULL)
        return pgdbm__cli_print_json(json_pack("{s:s, s:s, s:s, s:o, s:o, s:[o, o]}", "pattern", command->name, "name",
                                               names->name, "identifier", names->identifier, "directory",
                                               pgdbm__cli_json_text(directory), "files", files, "next",
                                               pgdbm__cli_json_text(next->build), pgdbm__cli_json_text(next->test)))
                   ? CLI_FINE
                   : CLI_FAILED;
    bool tells = !pgdbm__cli_settings.quiet;
    for (size_t i = 0; tells && i < json_array_size(files); i++)
        printf("%s/%s\n", directory, json_string_value(json_array_get(files, i)));
    if (tells)
        printf("\nNext:\n  %s\n  %s\n", next->build, next->test);
    json_decref(files);
    return CLI_FINE;
}

/* The directory as given, without slashes at its end; free() it. NULL: out of memory. */
static char *name_directory(const struct pgdbm__cli_given *given)
{
    const char *path = given->values[DIRECTORY] != NULL ? given->values[DIRECTORY] : given->arguments[0];
    size_t bytes = strlen(path);
    while (bytes > 1 && path[bytes - 1] == '/')
        bytes--;
    char *directory = strndup(path, bytes);
    if (directory == NULL)
        pgdbm__cli_say_error(NULL, "new: out of memory");
    return directory;
}

static int new_project(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    struct pgdbm__cli_new_names names = {.name = given->arguments[0]};
    struct next next = {0};
    int code = CLI_FAILED;
    if (!pgdbm__cli_new_identifier(names.name, names.identifier))
        return CLI_USAGE;
    for (size_t i = 0; i < sizeof names.identifier; i++)
        names.capitals[i] = (char)toupper((unsigned char)names.identifier[i]);
    char *directory = name_directory(given);
    if (directory != NULL && name_next(directory, &next) && pgdbm__cli_new_write(directory, files_of(command), &names))
        code = tell(command, given, directory, &names, &next);
    free(directory);
    free(next.build);
    free(next.test);
    return code;
}

#define DESCRIPTION                                                                                                    \
    "Makes the directory NAME: sources, migrations, tests on a private PostgreSQL server, CMakeLists.txt, a CI file, " \
    "pgdbm.conf and README.md. All of it or nothing is written, and only where nothing is yet. NAME is made of "       \
    "letters, digits, - and _; functions and the schema are called so, in small letters and with _ for -. "

const struct pgdbm__cli_command pgdbm__cli_new_standalone = {
    .group = "new",
    .name = "standalone",
    .summary = "Write a project: one service with a pool of its own",
    .description = DESCRIPTION "Its tests run the service with a pool of its own and attached to one.",
    .example = "pgdbm new standalone invoices",
    .argument = "NAME",
    .max_arguments = 1,
    .options = options,
    .n_options = N_OPTIONS,
    .run = new_project,
};

const struct pgdbm__cli_command pgdbm__cli_new_shared_pool = {
    .group = "new",
    .name = "shared-pool",
    .summary = "Write a project: several services on one pool",
    .description = DESCRIPTION "Its services are `users` and `orders`; its tests run each alone, all on one pool, and "
                               "one of them with a pool of its own.",
    .example = "pgdbm new shared-pool shop --dir ~/src/shop",
    .argument = "NAME",
    .max_arguments = 1,
    .options = options,
    .n_options = N_OPTIONS,
    .run = new_project,
};

const struct pgdbm__cli_command pgdbm__cli_new_dual_mode = {
    .group = "new",
    .name = "dual-mode",
    .summary = "Write a project: a library with tables, for its own database or a host's pool",
    .description =
        DESCRIPTION "Its tests run the library in each of its modes, and look for what it must not do there.",
    .example = "pgdbm new dual-mode audit-log --json",
    .argument = "NAME",
    .max_arguments = 1,
    .options = options,
    .n_options = N_OPTIONS,
    .run = new_project,
};
