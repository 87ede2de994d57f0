/* SPDX-License-Identifier: MIT */
/* `pgdbm dev start|stop|url`: a private PostgreSQL server for the working directory, kept in .pgdbm/. No state but the
 * files there. */
#include "command.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <pgdbm/memory.h>
#include <pgdbm/testkit.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOME ".pgdbm"

enum { JSON, N_OPTIONS };

static const struct pgdbm__cli_option options[N_OPTIONS] = {
    [JSON] = {"json", NULL, NULL, "Print the answer as JSON"},
};

/* The server's directory as an absolute path, because the server outlives this process; free() it. */
static char *server_directory(void)
{
    char *here = getcwd(NULL, 0);
    char *path = NULL;
    if (here == NULL || asprintf(&path, "%s/" HOME "/server", here) < 0) {
        pgdbm__cli_say_error(NULL, "cannot tell the working directory: %s", strerror(errno));
        path = NULL;
    }
    free(here);
    return path;
}

/* Makes .pgdbm/ with a .gitignore of its own: nobody commits a database by accident. */
static bool make_home(void)
{
    if (mkdir(HOME, 0755) != 0 && errno != EEXIST) {
        pgdbm__cli_say_error("dev keeps its server in " HOME "/ of the working directory", "cannot make %s: %s", HOME,
                             strerror(errno));
        return false;
    }
    int file = open(HOME "/.gitignore", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (file >= 0) {
        bool written = write(file, "*\n", 2) == 2;
        close(file);
        if (!written) {
            pgdbm__cli_say_error(NULL, "cannot write %s/.gitignore: %s", HOME, strerror(errno));
            return false;
        }
    }
    return true;
}

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
    if (given->values[JSON] == NULL)
        fprintf(stderr, "%s%s%s\n", pgdbm__cli_style_on(stderr, CLI_DIM), text, pgdbm__cli_style_off(stderr));
}

static int fail(const pgdbm_error *err)
{
    pgdbm__cli_say_library_error(err);
    return pgdbm__cli_exit_code(err, false);
}

static int start(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    (void)command;
    pgdbm_error err = {0};
    pgdbm_testserver *server = NULL;
    char *url = NULL;
    char *directory = server_directory();
    int code = CLI_FAILED;
    if (directory == NULL || !make_home())
        goto done;
    if (pgdbm_testserver_find(directory, &url, &err) != PGDBM_OK) {
        code = fail(&err);
        goto done;
    }
    if (url != NULL) {
        remark(given, "the private server is running already");
        code = answer(given, directory, url, false);
        goto done;
    }
    const pgdbm_testserver_options how = {.directory = directory, .detached = true, .durable = true};
    if (pgdbm_testserver_start(&how, &server, &err) != PGDBM_OK) {
        code = fail(&err);
        goto done;
    }
    remark(given, "a private PostgreSQL server runs in " HOME "/ until `pgdbm dev stop`; its data stays");
    code = answer(given, directory, pgdbm_testserver_url(server), true);
done:
    pgdbm_testserver_stop(server);
    pgdbm_free(url);
    free(directory);
    return code;
}

static int stop(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    (void)command;
    pgdbm_error err = {0};
    char *directory = server_directory();
    int code = CLI_FAILED;
    if (directory == NULL)
        return code;
    if (pgdbm_testserver_stop_directory(directory, &err) != PGDBM_OK)
        code = fail(&err);
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
    char *directory = server_directory();
    int code = CLI_FAILED;
    if (directory == NULL)
        return code;
    if (pgdbm_testserver_find(directory, &found, &err) != PGDBM_OK)
        code = fail(&err);
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
    .description = "The server keeps its data in " HOME "/ of the working directory, listens on a unix socket and on "
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
    .description = "Fine when none runs. To throw the data away, remove " HOME "/ afterwards.",
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
