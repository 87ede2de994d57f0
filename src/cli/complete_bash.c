/* SPDX-License-Identifier: MIT */
/* The script for bash, which works from version 3.2 on: two tables printed from those of the commands, and what reads them.
 * No state. */
#include "completion.h"

#include <stdio.h>
#include <string.h>

/* The words of the script for what may follow. */
static const char *const kinds[] = {
    [CLI_COMPLETES_NOTHING] = "nothing", [CLI_COMPLETES_CHOICES] = "words",
    [CLI_COMPLETES_FILES] = "files",     [CLI_COMPLETES_DIRECTORIES] = "directories",
    [CLI_COMPLETES_MODULES] = "modules", [CLI_COMPLETES_ENVIRONMENTS] = "environments",
};

static void print_options(const struct pgdbm__cli_command *command)
{
    printf("options='--help");
    for (const struct pgdbm__cli_option *option = pgdbm__cli_common_options; option->name != NULL; option++)
        printf(" --%s", option->name);
    for (size_t i = 0; i < command->n_options; i++)
        printf(" --%s", command->options[i].name);
    printf("'\n");
}

/* The groups and the commands of one word, or the commands of a group. */
static void print_words(const char *group)
{
    printf(" words='");
    for (size_t i = 0; i < pgdbm__cli_n_commands; i++) {
        const struct pgdbm__cli_command *command = pgdbm__cli_commands[i];
        if (group != NULL && command->group != NULL && strcmp(command->group, group) == 0)
            printf("%s ", command->name);
        else if (group == NULL && (command->group == NULL || pgdbm__cli_begins_group(i)))
            printf("%s ", command->group != NULL ? command->group : command->name);
    }
    printf(group == NULL ? "help' takes=words\n" : "' takes=words options=--help\n");
}

static void print_commands(void)
{
    static const struct pgdbm__cli_command none = {.name = ""};
    printf("# What may follow the words of a command. False: they are none.\n"
           "_pgdbm_command()\n{\n    case $1 in\n    '')\n        ");
    print_words(NULL);
    printf("        ");
    print_options(&none);
    printf("        options+=' --version'\n        ;;\n");
    for (size_t i = 0; i < pgdbm__cli_n_commands; i++) {
        const struct pgdbm__cli_command *command = pgdbm__cli_commands[i];
        char name[64];
        if (pgdbm__cli_begins_group(i)) {
            printf("    %s)", command->group);
            print_words(command->group);
            printf("        ;;\n");
        }
        printf("    '%s')\n        takes=%s ", pgdbm__cli_full_name(command, name, sizeof name),
               kinds[pgdbm__cli_completes_argument(command)]);
        print_options(command);
        printf("        ;;\n");
    }
    printf("    *) return 1 ;;\n    esac\n}\n\n");
}

static void print_option(const char *command, const struct pgdbm__cli_option *option)
{
    enum pgdbm__cli_completes completes = pgdbm__cli_completes_option(option);
    if (completes == CLI_COMPLETES_SWITCH)
        return;
    if (command == NULL)
        printf("    *:--%s) takes=%s", option->name, kinds[completes]);
    else
        printf("    '%s:--%s') takes=%s", command, option->name, kinds[completes]);
    for (size_t i = 0; option->choices != NULL && option->choices[i] != NULL; i++)
        printf("%s%s", i == 0 ? " words='" : " ", option->choices[i]);
    printf("%s ;;\n", option->choices != NULL ? "'" : "");
}

static void print_values(void)
{
    printf("# What an option takes. False: it is a switch, or none of the command's.\n"
           "_pgdbm_option()\n{\n    case $1:$2 in\n");
    for (const struct pgdbm__cli_option *option = pgdbm__cli_common_options; option->name != NULL; option++)
        print_option(NULL, option);
    for (size_t i = 0; i < pgdbm__cli_n_commands; i++) {
        const struct pgdbm__cli_command *command = pgdbm__cli_commands[i];
        char name[64];
        pgdbm__cli_full_name(command, name, sizeof name);
        for (size_t j = 0; j < command->n_options; j++)
            print_option(name, &command->options[j]);
    }
    printf("    *) return 1 ;;\n    esac\n}\n\n");
}

/* Names of the project come from a file of somebody else's and are not expanded, as `compgen -W` would. */
static const char reader[] =
    "_pgdbm()\n"
    "{\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} command='' option='' takes='' words='' options='' word i\n"
    "    local -a config=()\n"
    "    COMPREPLY=()\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        if [[ -n $option ]]; then\n"
    "            [[ $word == '=' ]] && continue\n"
    "            [[ $option == --config ]] && config=(--config \"$word\")\n"
    "            option=''\n"
    "            continue\n"
    "        fi\n"
    "        case $word in\n"
    "        [:=]) i=$((i + 1)) ;; # bash makes words of what is before and behind them\n"
    "        -*) _pgdbm_option \"$command\" \"$word\" && option=$word ;;\n"
    "        help) [[ -z $command ]] || word='' ;;\n"
    "        *) _pgdbm_command \"${command:+$command }$word\" && command=\"${command:+$command }$word\" ;;\n"
    "        esac\n"
    "    done\n"
    "    _pgdbm_command \"$command\"\n"
    "    [[ $current == '=' ]] && current=''\n"
    "    if [[ -n $option ]]; then\n"
    "        _pgdbm_option \"$command\" \"$option\"\n"
    "    elif [[ $current == -* ]]; then\n"
    "        takes=words words=$options\n"
    "    fi\n"
    "    case $takes in\n"
    "    words) for word in $words; do [[ $word == \"$current\"* ]] && COMPREPLY+=(\"$word\"); done ;;\n"
    "    modules | environments)\n"
    "        while IFS= read -r word; do\n"
    "            [[ $word == \"$current\"* ]] && COMPREPLY+=(\"$word\")\n"
    "        done < <(\"${COMP_WORDS[0]}\" ${config[@]+\"${config[@]}\"} __complete \"$takes\" 2>/dev/null)\n"
    "        ;;\n"
    "    files | directories)\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        [[ $takes == files ]] && i=-f || i=-d\n"
    "        while IFS= read -r word; do COMPREPLY+=(\"$word\"); done < <(compgen \"$i\" -- \"$current\")\n"
    "        ;;\n"
    "    esac\n"
    "    return 0\n"
    "}\n"
    "complete -F _pgdbm pgdbm\n";

void pgdbm__cli_complete_bash(void)
{
    printf("# Completion of pgdbm in bash, written by `pgdbm completion bash`.\n\n");
    print_commands();
    print_values();
    fputs(reader, stdout);
}
