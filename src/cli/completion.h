/* SPDX-License-Identifier: MIT */
/* What the scripts that complete commands in shells have in common. Immutable data; one thread. */
#ifndef PGDBM_CLI_COMPLETION_H
#define PGDBM_CLI_COMPLETION_H

#include "command.h"

/* What may stand behind an option, or where a command takes words that are no options. */
enum pgdbm__cli_completes {
    CLI_COMPLETES_SWITCH = 0, /* no value */
    CLI_COMPLETES_NOTHING,    /* one that nobody can guess */
    CLI_COMPLETES_CHOICES,
    CLI_COMPLETES_FILES,
    CLI_COMPLETES_DIRECTORIES,
    CLI_COMPLETES_MODULES,
    CLI_COMPLETES_ENVIRONMENTS
};

enum pgdbm__cli_completes pgdbm__cli_completes_option(const struct pgdbm__cli_option *option);
enum pgdbm__cli_completes pgdbm__cli_completes_argument(const struct pgdbm__cli_command *command);

/* Whether it is the first command of its group. */
bool pgdbm__cli_begins_group(size_t command);

/* `text` on standard output as it stands between single quotes: each of `special` behind a backslash, a quote as `quote`. */
void pgdbm__cli_print_escaped(const char *text, const char *special, const char *quote);

/* The script on standard output. */
void pgdbm__cli_complete_bash(void);
void pgdbm__cli_complete_zsh(void);
void pgdbm__cli_complete_fish(void);

/* `pgdbm __complete modules|environments`, which the scripts ask: names of the project, a line each, and never an error. */
int pgdbm__cli_complete_names(int argc, char **argv);

extern const struct pgdbm__cli_command pgdbm__cli_completion_bash;
extern const struct pgdbm__cli_command pgdbm__cli_completion_zsh;
extern const struct pgdbm__cli_command pgdbm__cli_completion_fish;

#endif
