/* SPDX-License-Identifier: MIT */
/* `pgdbm dev start|stop|url`: a private PostgreSQL server for the project (the working directory, where there is no
 * pgdbm.conf), kept in .pgdbm/. No state but the files there. */
#include "command.h"
#include "output.h"
#include "private_server.h"
#include "project.h"

#include <pgdbm/memory.h>
#include <stdlib.h>

enum { JSON, N_OPTIONS };

static const struct pgdbm__cli_option options[N_OPTIONS] = {
    [JSON] = {"json", NULL, NULL, "Print the answer as JSON"},
};

static int answer(const struct pgdbm__cli_given *given, const char *directory, const char *url, bool started)
{
    if (given->values[JSON] != NULL)
        return pgdbm__cli_print_json(json_pack("{s:b, s:b, s:o, s:o}", "running", url != NULL, "started", (int)started,
                                               "url", pgdbm__cli_json_text(url), "directory",
                                               pgdbm__cli_json_text(directory)))
                   ? CLI_FINE
                   : CLI_FAILED;
    if (url != NULL)
        printf("%s\n", url);
    return CLI_FINE;
}

/* Remarks for a person go to standard error: standard output is for `export DATABASE_URL=$(pgdbm dev start)`. */
static void remark(const struct pgdbm__cli_given *given, const char *text)
{
    if (given->values[JSON] == NULL && !pgdbm__cli_settings.quiet)
        fprintf(stderr, "%s%s%s\n", pgdbm__cli_style_on(stderr, CLI_DIM), text, pgdbm__cli_style_off(stderr));
}

static int fail(const struct pgdbm__cli_given *given, const pgdbm_error *err)
{
    if (given->values[JSON] != NULL)
        (void)pgdbm__cli_print_json(json_pack("{s:o}", "error", pgdbm__cli_json_error(err)));
    pgdbm__cli_say_library_error(err);
    return pgdbm__cli_exit_code(err, false);
}

/* Where the server of the project (or the working directory) lies; free() it. NULL after having said why. */
static char *server_directory(int *code)
{
    struct pgdbm__cli_project project = {0};
    *code = pgdbm__cli_project_read(&project);
    char *directory = *code == CLI_FINE ? pgdbm__cli_private_directory(&project) : NULL;
    if (*code == CLI_FINE && directory == NULL)
        *code = CLI_FAILED;
    pgdbm__cli_project_free(&project);
    return directory;
}

static int start(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    (void)command;
    pgdbm_error err = {0};
    char *url = NULL;
    bool started = false;
    int code = CLI_FAILED;
    char *directory = server_directory(&code);
    if (directory == NULL)
        return code;
    if (pgdbm__cli_private_start(directory, &url, &started, &err) != PGDBM_OK)
        code = fail(given, &err);
    else {
        remark(given, started ? "a private PostgreSQL server runs in " CLI_PRIVATE_HOME
                                "/ until `pgdbm dev stop`; its data stays"
                              : "the private server is running already");
        code = answer(given, directory, url, started);
    }
    pgdbm_free(url);
    free(directory);
    return code;
}

static int stop(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    (void)command;
    pgdbm_error err = {0};
    int code = CLI_FAILED;
    char *directory = server_directory(&code);
    if (directory == NULL)
        return code;
    if (pgdbm__cli_private_stop(directory, &err) != PGDBM_OK)
        code = fail(given, &err);
    else {
        remark(given, "no private server runs here now");
        code = answer(given, directory, NULL, false);
    }
    free(directory);
    return code;
}

static int url(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    (void)command;
    pgdbm_error err = {0};
    char *found = NULL;
    int code = CLI_FAILED;
    char *directory = server_directory(&code);
    if (directory == NULL)
        return code;
    if (pgdbm__cli_private_find(directory, &found, &err) != PGDBM_OK)
        code = fail(given, &err);
    else {
        code = answer(given, directory, found, false);
        if (found == NULL) {
            pgdbm__cli_say_error("pgdbm dev start", "no private server runs for this directory");
            code = CLI_FAILED;
        }
    }
    pgdbm_free(found);
    free(directory);
    return code;
}

const struct pgdbm__cli_command pgdbm__cli_dev_start = {
    .group = "dev",
    .name = "start",
    .summary = "Start a private PostgreSQL server for this directory and print its URL",
    .description =
        "The server keeps its data in " CLI_PRIVATE_HOME "/ of the working directory, listens on a unix socket and on "
        "no TCP port, and runs until `pgdbm dev stop`. When it runs already, its URL is printed again. "
        "The URL is all that goes to standard output.",
    .example = "export DATABASE_URL=$(pgdbm dev start)",
    .options = options,
    .n_options = N_OPTIONS,
    .run = start,
};

const struct pgdbm__cli_command pgdbm__cli_dev_stop = {
    .group = "dev",
    .name = "stop",
    .summary = "Stop this directory's private server; its data stays",
    .description = "Fine when none runs. To throw the data away, remove " CLI_PRIVATE_HOME "/ afterwards.",
    .example = "pgdbm dev stop",
    .options = options,
    .n_options = N_OPTIONS,
    .run = stop,
};

const struct pgdbm__cli_command pgdbm__cli_dev_url = {
    .group = "dev",
    .name = "url",
    .summary = "Print the URL of this directory's private server",
    .description = "The exit code is 1 when none runs.",
    .example = "psql \"$(pgdbm dev url)\"",
    .options = options,
    .n_options = N_OPTIONS,
    .run = url,
};
