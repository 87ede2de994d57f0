/* SPDX-License-Identifier: MIT */
/* Help, printed from the tables that also parse. No state. */
#include "command.h"
#include "output.h"

#include <stdint.h>
#include <string.h>

#define WIDTH 100

static void heading(const char *text)
{
    printf("\n%s%s%s\n", pgdbm__cli_style_on(stdout, CLI_BOLD), text, pgdbm__cli_style_off(stdout));
}

static void list_commands(const char *group)
{
    for (size_t i = 0; i < pgdbm__cli_n_commands; i++) {
        const struct pgdbm__cli_command *command = pgdbm__cli_commands[i];
        char name[64];
        if (group == NULL || (command->group != NULL && strcmp(command->group, group) == 0))
            printf("  %-18s  %s\n", pgdbm__cli_full_name(command, name, sizeof name), command->summary);
    }
}

/* `n` of them, or up to one without a name. */
static void list_options(const struct pgdbm__cli_option *options, size_t n)
{
    for (size_t i = 0; i < n && options[i].name != NULL; i++) {
        char left[64];
        snprintf(left, sizeof left, options[i].value != NULL ? "--%s %s" : "--%s", options[i].name, options[i].value);
        printf("  %-26s  %s\n", left, options[i].meaning);
    }
}

const char pgdbm__cli_summary[] = "one pool, many schemas, and every module brings its own migrations";
const char pgdbm__cli_example[] = "export DATABASE_URL=$(pgdbm dev start)\n"
                                  "pgdbm migrate apply --module users --schema users";

const struct pgdbm__cli_note pgdbm__cli_variables[] = {
    {"DATABASE_URL", "The database to work on, as URI or key=value, unless --url or a file says another"},
    {"PGDBM_CONFIG, PGDBM_ENV", "The project's file and its environment, as --config and --env"},
    {"TEST_DATABASE_URL", "The server of the tests, for `pgdbm test`"},
    {"NO_COLOR", "No colour, on a terminal either"},
    {"PGDBM_DEBUG", "Log what the library does: error, warning, info or debug"},
    {0}};

const struct pgdbm__cli_note pgdbm__cli_exit_codes[] = {
    {"0", "fine"},
    {"1", "failed"},
    {"2", "wrong usage or configuration, nothing was contacted"},
    {"3", "something is to be done: migrations are pending or changed, tenants are behind or differ,\n"
          "databases are to be dropped, something was found"},
    {"4", "the server could not be reached"},
    {"130", "interrupted: what was under way was cancelled"},
    {0}};

/* A meaning may be of several lines. */
static void list_notes(const struct pgdbm__cli_note *notes, int width)
{
    for (; notes->name != NULL; notes++) {
        const char *name = notes->name;
        for (const char *line = notes->meaning; *line != '\0'; name = "") {
            int bytes = (int)strcspn(line, "\n");
            printf("  %-*s  %.*s\n", width, name, bytes, line);
            line += bytes + (line[bytes] == '\n');
        }
    }
}

void pgdbm__cli_help_program(void)
{
    printf("pgdbm: %s.\n", pgdbm__cli_summary);
    heading("Usage");
    printf("  pgdbm COMMAND [OPTIONS]\n");
    heading("Commands");
    list_commands(NULL);
    printf("  %-18s  %s\n", "help [COMMAND]", "This text, or a command's");
    heading("Options");
    list_options(pgdbm__cli_common_options, SIZE_MAX);
    printf("  %-26s  The version\n  %-26s  This text\n", "--version", "--help");
    heading("Environment");
    list_notes(pgdbm__cli_variables, 26);
    heading("Exit codes");
    list_notes(pgdbm__cli_exit_codes, 3);
    heading("Example");
    pgdbm__cli_print_indented(pgdbm__cli_example, 2);
}

void pgdbm__cli_help_group(const char *group)
{
    heading("Usage");
    printf("  pgdbm %s COMMAND [OPTIONS]\n", group);
    heading("Commands");
    list_commands(group);
    printf("\npgdbm %s COMMAND --help shows a command's options and an example.\n", group);
}

void pgdbm__cli_help_command(const struct pgdbm__cli_command *command)
{
    char name[64];
    printf("%s\n", command->summary);
    heading("Usage");
    pgdbm__cli_full_name(command, name, sizeof name);
    if (command->passes_on)
        printf("  pgdbm %s [OPTIONS] [-- %s]\n\n", name, command->argument);
    else
        printf("  pgdbm %s%s%s [OPTIONS]\n\n", name, command->argument != NULL ? " " : "",
               command->argument != NULL ? command->argument : "");
    pgdbm__cli_print_wrapped(command->description, 2, WIDTH);
    heading("Options");
    list_options(command->options, command->n_options);
    list_options(pgdbm__cli_common_options, SIZE_MAX);
    printf("  %-26s  This text\n", "--help");
    heading("Example");
    pgdbm__cli_print_indented(command->example, 2);
}
