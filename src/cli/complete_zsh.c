/* SPDX-License-Identifier: MIT */
/* The script for zsh: a function for each group, _arguments for each command. No state. */
#include "completion.h"

#include <stdio.h>
#include <string.h>

static const char quote[] = "'\\''";

/* 'name:what it is', as _describe reads it. */
static void print_described(const char *name, const char *summary)
{
    char text[256];
    snprintf(text, sizeof text, "%s:%s", name, summary);
    printf("            '");
    pgdbm__cli_print_escaped(text, "", quote);
    puts("'");
}

static void print_action(enum pgdbm__cli_completes completes, const char *const *choices)
{
    static const char *const actions[] = {
        [CLI_COMPLETES_SWITCH] = "",
        [CLI_COMPLETES_NOTHING] = " ", /* a message, and nothing to choose from */
        [CLI_COMPLETES_CHOICES] = "",
        [CLI_COMPLETES_FILES] = "_files",
        [CLI_COMPLETES_DIRECTORIES] = "_files -/",
        [CLI_COMPLETES_MODULES] = "_pgdbm_names modules",
        [CLI_COMPLETES_ENVIRONMENTS] = "_pgdbm_names environments",
    };
    printf(":%s", actions[completes]);
    for (size_t i = 0; choices != NULL && choices[i] != NULL; i++)
        printf("%s%s", i == 0 ? "(" : " ", choices[i]);
    if (choices != NULL)
        putchar(')');
}

/* '--name=[what it is]:VALUE:action' */
static void print_option(const struct pgdbm__cli_option *option)
{
    printf("                '--%s%s[", option->name, option->value != NULL ? "=" : "");
    pgdbm__cli_print_escaped(option->meaning, "[]\\", quote);
    putchar(']');
    if (option->value != NULL) {
        printf(":%s", option->value);
        print_action(pgdbm__cli_completes_option(option), option->choices);
    }
    printf("' \\\n");
}

static void print_common_options(void)
{
    for (const struct pgdbm__cli_option *option = pgdbm__cli_common_options; option->name != NULL; option++)
        print_option(option);
    printf("                '--help[Help]' \\\n");
}

static void print_command(const struct pgdbm__cli_command *command)
{
    printf("        %s)\n            _arguments -S \\\n", command->name);
    print_common_options();
    for (size_t i = 0; i < command->n_options; i++)
        print_option(&command->options[i]);
    if (command->argument != NULL) {
        printf("                '*:%s", command->argument);
        print_action(pgdbm__cli_completes_argument(command), NULL);
        printf("' \\\n");
    }
    printf("                && return 0\n            ;;\n");
}

/* `group` NULL: the groups and the commands of one word. */
static bool is_of(const struct pgdbm__cli_command *command, const char *group)
{
    return group == NULL ? command->group == NULL : command->group != NULL && strcmp(command->group, group) == 0;
}

static void print_list(const char *group)
{
    char summary[64];
    printf("    case $state in\n    first)\n        names=(\n");
    for (size_t i = 0; i < pgdbm__cli_n_commands; i++) {
        const struct pgdbm__cli_command *command = pgdbm__cli_commands[i];
        snprintf(summary, sizeof summary, "Commands of %s", command->group != NULL ? command->group : "");
        if (is_of(command, group))
            print_described(command->name, command->summary);
        else if (group == NULL && pgdbm__cli_begins_group(i))
            print_described(command->group, summary);
    }
    if (group == NULL)
        print_described("help", "What a command does and takes");
    printf(
        "        )\n        _describe command names && return 0\n        ;;\n    rest)\n        case $words[1] in\n");
}

static void print_function(const char *group)
{
    printf("_pgdbm%s%s()\n{\n    local curcontext=$curcontext state line\n    local -a names\n    _arguments -C \\\n",
           group != NULL ? "_" : "", group != NULL ? group : "_first");
    print_common_options();
    if (group == NULL)
        printf("                '--version[The version]' \\\n");
    printf("                '1: :->first' '*:: :->rest' && return 0\n");
    print_list(group);
    for (size_t i = 0; i < pgdbm__cli_n_commands; i++) {
        const struct pgdbm__cli_command *command = pgdbm__cli_commands[i];
        if (is_of(command, group))
            print_command(command);
        else if (group == NULL && pgdbm__cli_begins_group(i))
            printf("        %s) _pgdbm_%s && return 0 ;;\n", command->group, command->group);
    }
    if (group == NULL)
        printf("        help) _pgdbm_first && return 0 ;;\n");
    printf("        esac\n        ;;\n    esac\n    return 1\n}\n\n");
}

static const char head[] =
    "#compdef pgdbm\n"
    "# Completion of pgdbm in zsh, written by `pgdbm completion zsh`.\n\n"
    "# The modules or environments of the project; _arguments has its own words in front of which.\n"
    "_pgdbm_names()\n{\n"
    "    local at=${pgdbm_words[(i)--config]}\n"
    "    local -a config names\n"
    "    (( at < $#pgdbm_words )) && config=(--config \"${pgdbm_words[at + 1]}\")\n"
    "    names=(${(f)\"$(${(Q)pgdbm_words[1]} $config __complete $@[-1] 2>/dev/null)\"})\n"
    "    compadd \"${@[1,-2]}\" -a names\n"
    "}\n\n";

static const char tail[] = "_pgdbm()\n{\n"
                           "    local -a pgdbm_words=(\"${words[@]}\")\n"
                           "    _pgdbm_first \"$@\"\n"
                           "}\n\n"
                           "# Loaded by itself, or read by a command.\n"
                           "if [[ $funcstack[1] == _pgdbm ]]; then _pgdbm \"$@\"; else compdef _pgdbm pgdbm; fi\n";

void pgdbm__cli_complete_zsh(void)
{
    fputs(head, stdout);
    for (size_t i = 0; i < pgdbm__cli_n_commands; i++)
        if (pgdbm__cli_begins_group(i))
            print_function(pgdbm__cli_commands[i]->group);
    print_function(NULL);
    fputs(tail, stdout);
}
