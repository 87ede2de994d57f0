/* SPDX-License-Identifier: MIT */
/* `pgdbm dev psql`: becomes psql on the database that a command would work on. No state. */
#include "client.h"
#include "output.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct pgdbm__cli_option options[] = {
    CLI_OPTION_URL,
    {"module", "NAME", NULL, "Look names up in this module's schema"},
    {"schema", "NAME", NULL, "Look names up in this schema"},
};

/* Returns only when it fails. */
static int become(const char *program, char *argument, const struct pgdbm__cli_given *given)
{
    char name[] = "psql";
    char **words = calloc(given->n_arguments + 3, sizeof *words);
    if (words == NULL) {
        pgdbm__cli_say_error(NULL, "out of memory");
        return CLI_FAILED;
    }
    words[0] = name;
    words[1] = argument;
    for (size_t i = 0; i < given->n_arguments; i++)
        words[i + 2] = given->arguments[i];
    fflush(stdout);
    signal(SIGPIPE, SIG_DFL); /* it writes into pipes like any other program */
    execv(program, words);
    pgdbm__cli_say_error(NULL, "cannot run %s: %s", program, strerror(errno));
    free(words);
    return CLI_FAILED;
}

static int psql(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    struct pgdbm__cli_target target = {0};
    struct pgdbm__cli_chosen chosen = {.schema = pgdbm__cli_value(command, given, "schema")};
    char *program = NULL;
    char *argument = NULL;
    int code = pgdbm__cli_target_read(command, given, &target);
    if (code == CLI_FINE && pgdbm__cli_value(command, given, "module") != NULL)
        code = pgdbm__cli_choose_module(command, given, &target, &chosen);
    if (code != CLI_FINE)
        goto done;
    code = CLI_FAILED;
    program = pgdbm__cli_client_find("psql");
    if (program == NULL)
        goto done;
    code = pgdbm__cli_client_reach(&target, &chosen.schema, chosen.schema != NULL ? 1 : 0);
    if (code != CLI_FINE)
        goto done;
    if (pgdbm__cli_project_is_production(&target.project))
        pgdbm__cli_remark("this is the environment %s", target.project.environment->name);
    argument = pgdbm__cli_client_argument(&target, chosen.schema);
    code = argument != NULL ? become(program, argument, given) : CLI_FAILED;
done:
    free(argument);
    free(program);
    pgdbm__cli_target_free(&target);
    return code;
}

const struct pgdbm__cli_command pgdbm__cli_dev_psql = {
    .group = "dev",
    .name = "psql",
    .summary = "Open psql on the project's database",
    .description =
        "On the database that every command works on; the private server is started when nothing names one. "
        "What stands behind -- is psql's. With --module or --schema, names without a schema are looked up there, "
        "then in public. The exit code is psql's once it runs.",
    .example = "pgdbm dev psql --module users\n"
               "pgdbm dev psql -- -c 'SELECT version()'",
    .argument = "ARGUMENT...",
    .passes_on = true,
    .arguments_optional = true,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = psql,
};
