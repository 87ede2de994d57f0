/* SPDX-License-Identifier: MIT */
/* `pgdbm check [PATH...]`: reads sources and migrations, and prints what breaks the rules. Contacts nothing. No state. */
#include "check_report.h"

#include "command.h"
#include "database.h"
#include "output.h"
#include "progress.h"

#include <errno.h>
#include <string.h>

enum { FORMAT, JSON, LIST_RULES, N_OPTIONS };

static const char *const formats[] = {"text", "json", "sarif", NULL};

static const struct pgdbm__cli_option options[N_OPTIONS] = {
    [FORMAT] = {"format", "text|json|sarif", formats, "How findings are printed (default: text)"},
    [JSON] = {"json", NULL, NULL, "As --format json"},
    [LIST_RULES] = {"list-rules", NULL, NULL, "Print the rules instead, with why and what to do"},
};

static int add_paths(const struct pgdbm__cli_given *given, struct pgdbm__check_run *run)
{
    static char here[] = ".";
    char *everything[] = {here};
    char **paths = given->n_arguments > 0 ? given->arguments : everything;
    size_t n = given->n_arguments > 0 ? given->n_arguments : 1;
    for (size_t i = 0; i < n; i++)
        if (!pgdbm__check_run_add_path(run, paths[i])) {
            bool wrong = errno == ENOENT || errno == ENOTDIR;
            pgdbm__cli_say_error("give files and folders that can be read", "check: cannot read %.200s: %s", paths[i],
                                 strerror(errno));
            return wrong ? CLI_USAGE : CLI_FAILED;
        }
    return CLI_FINE;
}

/* What could not be read was not checked: that is no success. */
static int say_unreadable(const struct pgdbm__check_run *run)
{
    int code = CLI_FINE;
    for (size_t i = 0; i < run->n_files; i++)
        if (run->files[i].unreadable) {
            pgdbm__cli_say_error("the other files were checked", "check: cannot read %.200s: %s", run->files[i].path,
                                 run->files[i].why);
            code = CLI_FAILED;
        }
    return code;
}

static void show_progress(size_t done, size_t total)
{
    pgdbm__cli_progress_say(done, total, "files read");
}

static int check(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    (void)command;
    const char *format = given->values[FORMAT];
    bool json = given->values[JSON] != NULL || (format != NULL && strcmp(format, "json") == 0);
    bool sarif = format != NULL && strcmp(format, "sarif") == 0;
    if (given->values[JSON] != NULL && format != NULL && strcmp(format, "json") != 0) {
        pgdbm__cli_say_error("give one of them", "check: --json and --format %s exclude each other", format);
        return CLI_USAGE;
    }
    if (given->values[LIST_RULES] != NULL)
        return pgdbm__cli_check_list_rules(json) ? CLI_FINE : CLI_FAILED;
    struct pgdbm__check_run *run = pgdbm__check_run_create();
    int code = run != NULL ? add_paths(given, run) : CLI_FAILED;
    bool enough_memory = run != NULL;
    if (code == CLI_FINE) {
        run->on_file = show_progress;
        enough_memory = pgdbm__check_run_read(run);
        pgdbm__cli_progress_end();
        bool printed = enough_memory && (sarif  ? pgdbm__cli_check_print_sarif(run)
                                         : json ? pgdbm__cli_check_print_json(run)
                                                : pgdbm__cli_check_print_text(run));
        code = !printed ? CLI_FAILED : say_unreadable(run);
        if (code == CLI_FINE && pgdbm__cli_check_count(run) > 0)
            code = CLI_PENDING;
    }
    if (!enough_memory)
        pgdbm__cli_say_error(NULL, "out of memory");
    /* Always: who reads "no findings" must know what was not looked for. */
    if (!pgdbm__check_has_parser())
        pgdbm__cli_say_error("build pgdbm with libpg_query (Debian: libpg-query-dev)",
                             "check: this build has no parser of SQL: the rules on SQL are off");
    pgdbm__check_run_free(run);
    return code;
}

const struct pgdbm__cli_command pgdbm__cli_check = {
    .name = "check",
    .summary = "Find what breaks pgdbm's rules in C sources and SQL files",
    .description =
        "Reads .sql files, and the string literals that C and C++ sources pass to pgdbm, with PostgreSQL's own "
        "grammar: "
        "schemas written out, tables without a template, SQL put together from pieces, migrations that would lock or "
        "lose something. Folders are gone through; without a PATH the working directory is. The exit code is 3 when "
        "something was found. What is meant is allowed by a comment: pgdbm-check: allow RULE because REASON. "
        "docs/check.md explains each rule.",
    .example = "pgdbm check src migrations\n"
               "pgdbm check --format sarif > pgdbm.sarif",
    .argument = "[PATH...]",
    .max_arguments = SIZE_MAX,
    .arguments_optional = true,
    .options = options,
    .n_options = N_OPTIONS,
    .run = check,
};
