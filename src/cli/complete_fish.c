/* SPDX-License-Identifier: MIT */
/* The script for fish: a line for each word and each option. No state. */
#include "completion.h"

#include <stdio.h>

static void print_described(const char *text)
{
    printf(" -d '");
    pgdbm__cli_print_escaped(text, "\\", "\\'");
    puts("'");
}

static void print_value(enum pgdbm__cli_completes completes, const char *const *choices)
{
    static const char *const values[] = {
        [CLI_COMPLETES_SWITCH] = "",
        [CLI_COMPLETES_NOTHING] = " -x",
        [CLI_COMPLETES_CHOICES] = " -x -a '",
        [CLI_COMPLETES_FILES] = " -r -F",
        [CLI_COMPLETES_DIRECTORIES] = " -x -a '(__fish_complete_directories)'",
        [CLI_COMPLETES_MODULES] = " -x -a '(__pgdbm_names modules)'",
        [CLI_COMPLETES_ENVIRONMENTS] = " -x -a '(__pgdbm_names environments)'",
    };
    fputs(values[completes], stdout);
    for (size_t i = 0; choices != NULL && choices[i] != NULL; i++)
        printf("%s%s", i > 0 ? " " : "", choices[i]);
    if (choices != NULL)
        putchar('\'');
}

static void print_option(const char *command, const struct pgdbm__cli_option *option)
{
    printf("complete -c pgdbm");
    if (command != NULL)
        printf(" -n '__pgdbm_in %s'", command);
    printf(" -l %s", option->name);
    print_value(pgdbm__cli_completes_option(option), option->choices);
    print_described(option->meaning);
}

static void print_command(size_t at)
{
    const struct pgdbm__cli_command *command = pgdbm__cli_commands[at];
    char name[64];
    pgdbm__cli_full_name(command, name, sizeof name);
    if (pgdbm__cli_begins_group(at)) {
        printf("complete -c pgdbm -n __pgdbm_is -a %s", command->group);
        snprintf(name, sizeof name, "Commands of %s", command->group);
        print_described(name);
        pgdbm__cli_full_name(command, name, sizeof name);
    }
    printf("complete -c pgdbm -n '__pgdbm_is%s%s' -a %s", command->group != NULL ? " " : "",
           command->group != NULL ? command->group : "", command->name);
    print_described(command->summary);
    for (size_t i = 0; i < command->n_options; i++)
        print_option(name, &command->options[i]);
    if (pgdbm__cli_completes_argument(command) == CLI_COMPLETES_FILES)
        printf("complete -c pgdbm -n '__pgdbm_in %s' -F\n", name);
    else if (pgdbm__cli_completes_argument(command) == CLI_COMPLETES_DIRECTORIES)
        printf("complete -c pgdbm -n '__pgdbm_in %s' -a '(__fish_complete_directories)'\n", name);
}

static void print_head(void)
{
    printf("# Completion of pgdbm in fish, written by `pgdbm completion fish`.\n\n"
           "# The words in front of the cursor that are no options and none of their values.\n"
           "function __pgdbm_words\n"
           "    set -l words\n    set -l value no\n"
           "    for word in (commandline -opc)[2..-1]\n"
           "        if test $value = yes\n            set value no\n            continue\n        end\n"
           "        switch $word\n            case");
    for (const struct pgdbm__cli_option *option = pgdbm__cli_common_options; option->name != NULL; option++)
        if (option->value != NULL)
            printf(" --%s", option->name);
    printf("\n                set value yes\n"
           "            case '-*'\n"
           "            case help\n                set -q words[1]; and set words $words $word\n"
           "            case '*'\n                set words $words $word\n"
           "        end\n    end\n    printf '%%s\\n' $words\nend\n\n"
           "function __pgdbm_is\n    set -l words (__pgdbm_words)\n    test \"$words\" = \"$argv\"\nend\n\n"
           "function __pgdbm_in\n    set -l words (__pgdbm_words)\n"
           "    test \"$words[1..\"(count $argv)\"]\" = \"$argv\"\nend\n\n"
           "# The modules or environments of the project.\n"
           "function __pgdbm_names\n    set -l words (commandline -opc)\n    set -l config\n"
           "    if set -l at (contains -i -- --config $words); and set -q words[(math $at + 1)]\n"
           "        set config --config $words[(math $at + 1)]\n    end\n"
           "    command $words[1] $config __complete $argv 2>/dev/null\nend\n\n");
}

void pgdbm__cli_complete_fish(void)
{
    print_head();
    printf("complete -c pgdbm -f\ncomplete -c pgdbm -l help -d Help\n"
           "complete -c pgdbm -n __pgdbm_is -l version -d 'The version'\n"
           "complete -c pgdbm -n __pgdbm_is -a help -d 'What a command does and takes'\n");
    for (const struct pgdbm__cli_option *option = pgdbm__cli_common_options; option->name != NULL; option++)
        print_option(NULL, option);
    for (size_t i = 0; i < pgdbm__cli_n_commands; i++)
        print_command(i);
}
