/* SPDX-License-Identifier: MIT */
/* What a command is: one table drives parsing, help and the messages about wrong usage. Immutable data; one thread. */
#ifndef PGDBM_CLI_COMMAND_H
#define PGDBM_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

/* The exit codes, as `pgdbm --help` lists them. */
enum pgdbm__cli_exit {
    CLI_FINE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,         /* the command line or the configuration is wrong; nothing was contacted */
    CLI_PENDING = 3,       /* something is still to be done, or was found */
    CLI_NO_CONNECTION = 4, /* the server could not be reached */
    CLI_INTERRUPTED = 130  /* by a signal; what a shell would make of it */
};

/* More than any command has; given options are kept in an array of this length. */
#define CLI_MAX_OPTIONS 40

/* What every command takes, before its name or behind it. Set by main before the command runs, read only afterwards. */
struct pgdbm__cli_settings {
    const char *config;      /* --config FILE */
    const char *environment; /* --env NAME */
    bool quiet;              /* --quiet: no remarks, no progress, no answer but what was asked for */
};
extern struct pgdbm__cli_settings pgdbm__cli_settings;

struct pgdbm__cli_option {
    const char *name;           /* without the dashes */
    const char *value;          /* what help calls its value; NULL: a switch */
    const char *const *choices; /* the values allowed, NULL at the end; NULL: any */
    const char *meaning;
};

/* What was given: of each option, by its place in its table, the value, "" for a switch, NULL when it was not given; and
 * the words that are no options. */
struct pgdbm__cli_given {
    const char *values[CLI_MAX_OPTIONS];
    char **arguments;
    size_t n_arguments;
};

struct pgdbm__cli_command {
    const char *group; /* first word of two, NULL when the command is one word */
    const char *name;
    const char *summary;     /* one line, for lists */
    const char *description; /* a paragraph, for the command's help */
    const char *example;
    const char
        *argument; /* what help calls the words that are no options, "NAME" or "SCHEMA..."; NULL: there are none */
    size_t max_arguments;
    bool passes_on;          /* words behind `--` are arguments too, as many and whatever they look like */
    bool arguments_optional; /* else at least one must be given where any may */
    const struct pgdbm__cli_option *options;
    size_t n_options;
    int (*run)(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given);
};

extern const struct pgdbm__cli_command pgdbm__cli_migrate_apply;
extern const struct pgdbm__cli_command pgdbm__cli_migrate_status;
extern const struct pgdbm__cli_command pgdbm__cli_migrate_rollback;
extern const struct pgdbm__cli_command pgdbm__cli_migrate_baseline;
extern const struct pgdbm__cli_command pgdbm__cli_migrate_repair;
extern const struct pgdbm__cli_command pgdbm__cli_migrate_verify;
extern const struct pgdbm__cli_command pgdbm__cli_migrate_history;
extern const struct pgdbm__cli_command pgdbm__cli_migrate_check;
extern const struct pgdbm__cli_command pgdbm__cli_migrate_create;
extern const struct pgdbm__cli_command pgdbm__cli_db_create;
extern const struct pgdbm__cli_command pgdbm__cli_db_drop;
extern const struct pgdbm__cli_command pgdbm__cli_db_reset;
extern const struct pgdbm__cli_command pgdbm__cli_db_test_connection;
extern const struct pgdbm__cli_command pgdbm__cli_db_info;
extern const struct pgdbm__cli_command pgdbm__cli_schema_list;
extern const struct pgdbm__cli_command pgdbm__cli_schema_create;
extern const struct pgdbm__cli_command pgdbm__cli_schema_deps;
extern const struct pgdbm__cli_command pgdbm__cli_schema_clean;
extern const struct pgdbm__cli_command pgdbm__cli_dev_start;
extern const struct pgdbm__cli_command pgdbm__cli_dev_stop;
extern const struct pgdbm__cli_command pgdbm__cli_dev_url;
extern const struct pgdbm__cli_command pgdbm__cli_dev_psql;
extern const struct pgdbm__cli_command pgdbm__cli_dev_watch;
extern const struct pgdbm__cli_command pgdbm__cli_dev_reset;
extern const struct pgdbm__cli_command pgdbm__cli_dev_export_schema;
extern const struct pgdbm__cli_command pgdbm__cli_test_sweep;
extern const struct pgdbm__cli_command pgdbm__cli_check;
extern const struct pgdbm__cli_command pgdbm__cli_choose;
extern const struct pgdbm__cli_command pgdbm__cli_new_standalone;
extern const struct pgdbm__cli_command pgdbm__cli_new_shared_pool;
extern const struct pgdbm__cli_command pgdbm__cli_new_dual_mode;

/* Every command, in the order in which help lists them. */
extern const struct pgdbm__cli_command *const pgdbm__cli_commands[];
extern const size_t pgdbm__cli_n_commands;

/* "migrate apply", as the user types it. */
const char *pgdbm__cli_full_name(const struct pgdbm__cli_command *command, char *text, size_t text_bytes);

/* Reads the words behind the command's name. CLI_FINE, or CLI_USAGE after having said what is wrong. `*help` is set
 * when
 * --help was among them. */
int pgdbm__cli_parse(const struct pgdbm__cli_command *command, int argc, char **argv, struct pgdbm__cli_given *given,
                     bool *help);

/* How many bytes of a word that is out of place may be repeated: an address may have a password in it. */
int pgdbm__cli_showable(const char *word);

/* Takes an option that every command has at argv[*at], *at behind it. False: it is none. `*code` is CLI_USAGE after having said
 * what is wrong. */
bool pgdbm__cli_take_setting(int argc, char **argv, int *at, int *code);

/* The options that every command has, name NULL at the end. */
extern const struct pgdbm__cli_option pgdbm__cli_common_options[];

/* What was given for the option of this name; NULL when it was not given, or the command has none of this name. */
const char *pgdbm__cli_value(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                             const char *name);

/* The option as a whole number from `least` on into `*number`, which stays when the option was not given. CLI_USAGE after
 * having said what is wrong. */
int pgdbm__cli_number(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given, const char *name,
                      int least, int *number);

/* The option as milliseconds: "500ms", "30s", "5min", seconds without a unit, -1 for "off". As above. */
int pgdbm__cli_duration(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                        const char *name, int *ms);

/* What help and the manual page say of the whole program; name NULL at the end. */
struct pgdbm__cli_note {
    const char *name, *meaning;
};
extern const char pgdbm__cli_summary[], pgdbm__cli_example[];
extern const struct pgdbm__cli_note pgdbm__cli_variables[], pgdbm__cli_exit_codes[];

/* The manual page on standard output. */
void pgdbm__cli_print_manual(void);

/* Help on standard output: of the program, of the commands of a group, of a command. */
void pgdbm__cli_help_program(void);
void pgdbm__cli_help_group(const char *group);
void pgdbm__cli_help_command(const struct pgdbm__cli_command *command);

/* The candidate that `word` was probably meant to be, or NULL. Candidates end with NULL. */
const char *pgdbm__cli_suggest(const char *word, const char *const *candidates);

#endif
