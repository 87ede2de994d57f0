/* SPDX-License-Identifier: MIT */
/* `pgdbm completion`, and the names that its scripts ask for. No state. */
#include "completion.h"

#include "project.h"

#include <stdio.h>
#include <string.h>

static enum pgdbm__cli_completes by_placeholder(const char *placeholder)
{
    if (strncmp(placeholder, "FILE", 4) == 0)
        return CLI_COMPLETES_FILES;
    return strncmp(placeholder, "DIR", 3) == 0 ? CLI_COMPLETES_DIRECTORIES : CLI_COMPLETES_NOTHING;
}

enum pgdbm__cli_completes pgdbm__cli_completes_option(const struct pgdbm__cli_option *option)
{
    if (option->value == NULL)
        return CLI_COMPLETES_SWITCH;
    if (option->choices != NULL)
        return CLI_COMPLETES_CHOICES;
    if (strcmp(option->name, "module") == 0)
        return CLI_COMPLETES_MODULES;
    return strcmp(option->name, "env") == 0 ? CLI_COMPLETES_ENVIRONMENTS : by_placeholder(option->value);
}

enum pgdbm__cli_completes pgdbm__cli_completes_argument(const struct pgdbm__cli_command *command)
{
    return command->argument != NULL ? by_placeholder(command->argument) : CLI_COMPLETES_NOTHING;
}

bool pgdbm__cli_begins_group(size_t command)
{
    const char *group = pgdbm__cli_commands[command]->group;
    for (size_t i = 0; i < command; i++)
        if (group != NULL && pgdbm__cli_commands[i]->group != NULL && strcmp(pgdbm__cli_commands[i]->group, group) == 0)
            return false;
    return group != NULL;
}

void pgdbm__cli_print_escaped(const char *text, const char *special, const char *quote)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            fputs(quote, stdout);
            continue;
        }
        if (strchr(special, *text) != NULL)
            putchar('\\');
        putchar(*text);
    }
}

/* A shell writes it into the line as it is, and a file of somebody else's must not put a command there. */
static void print_name(const char *name)
{
    if (name != NULL && name[0] != '-' &&
        name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")] == '\0')
        puts(name);
}

int pgdbm__cli_complete_names(int argc, char **argv)
{
    struct pgdbm__cli_project project = {0};
    const char *kind = argc == 1 ? argv[0] : "";
    /* Who types has no use for what is wrong with the file, in the middle of the line. */
    if (freopen("/dev/null", "w", stderr) == NULL)
        return CLI_FAILED;
    pgdbm__cli_project_read(&project);
    for (size_t i = 0; strcmp(kind, "modules") == 0 && i < project.n_modules; i++)
        print_name(project.modules[i].name);
    for (size_t i = 0; strcmp(kind, "environments") == 0 && i < project.n_environments; i++)
        print_name(project.environments[i].name);
    pgdbm__cli_project_free(&project);
    return CLI_FINE;
}

static int print_bash(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    (void)command;
    (void)given;
    pgdbm__cli_complete_bash();
    return CLI_FINE;
}

static int print_zsh(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    (void)command;
    (void)given;
    pgdbm__cli_complete_zsh();
    return CLI_FINE;
}

static int print_fish(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    (void)command;
    (void)given;
    pgdbm__cli_complete_fish();
    return CLI_FINE;
}

#define DESCRIPTION                                                                                                    \
    "The script completes commands, options, their values, files, and the modules and environments of the project's "  \
    "file. `cmake --install` puts it where the shell looks for it."

const struct pgdbm__cli_command pgdbm__cli_completion_bash = {
    .group = "completion",
    .name = "bash",
    .summary = "Print the script that completes commands in bash",
    .description = DESCRIPTION " By hand: into ~/.bashrc",
    .example = "eval \"$(pgdbm completion bash)\"",
    .run = print_bash,
};
const struct pgdbm__cli_command pgdbm__cli_completion_zsh = {
    .group = "completion",
    .name = "zsh",
    .summary = "Print the script that completes commands in zsh",
    .description = DESCRIPTION " By hand: as _pgdbm into a folder of $fpath",
    .example = "pgdbm completion zsh >~/.zfunc/_pgdbm",
    .run = print_zsh,
};
const struct pgdbm__cli_command pgdbm__cli_completion_fish = {
    .group = "completion",
    .name = "fish",
    .summary = "Print the script that completes commands in fish",
    .description = DESCRIPTION " By hand: into fish's folder of completions",
    .example = "pgdbm completion fish >~/.config/fish/completions/pgdbm.fish",
    .run = print_fish,
};
