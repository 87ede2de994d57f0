/* SPDX-License-Identifier: MIT */
/* Reading a command line by a command's table of options, and by the one of options that all commands have. No state but the
 * settings, which the reading fills. */
#include "command.h"
#include "output.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct pgdbm__cli_settings pgdbm__cli_settings;

enum { CONFIG, ENVIRONMENT, QUIET, N_COMMON };

const struct pgdbm__cli_option pgdbm__cli_common_options[N_COMMON + 1] = {
    [CONFIG] = {"config", "FILE", NULL, "The project's file (default: PGDBM_CONFIG, else pgdbm.conf here or above)"},
    [ENVIRONMENT] = {"env", "NAME", NULL,
                     "Its environment (default: PGDBM_ENV, else the file's default_env, else dev)"},
    [QUIET] = {"quiet", NULL, NULL, "No remarks and no progress; of commands that change something, no report"},
};

/* What was given for them. */
static const char *common_values[N_COMMON];

const char *pgdbm__cli_full_name(const struct pgdbm__cli_command *command, char *text, size_t text_bytes)
{
    bool grouped = command != NULL && command->group != NULL;
    snprintf(text, text_bytes, "%s%s%s", grouped ? command->group : "", grouped ? " " : "",
             command != NULL ? command->name : "pgdbm");
    return text;
}

int pgdbm__cli_showable(const char *word)
{
    enum { MOST = 200 };
    const char *address = strstr(word, "://");
    const char *password = strcasestr(word, "password");
    size_t bytes = strnlen(word, MOST);
    if (address != NULL && (size_t)(address - word) + 3 < bytes)
        bytes = (size_t)(address - word) + 3;
    if (password != NULL && strchr(password, '=') != NULL && (size_t)(password - word) < bytes)
        bytes = (size_t)(password - word);
    return (int)bytes;
}

static int say_usage(const struct pgdbm__cli_command *command, const char *message, const char *word,
                     const char *suggestion, const char *dashes)
{
    char name[64];
    char hint[256];
    pgdbm__cli_full_name(command, name, sizeof name);
    const char *program = command != NULL ? "pgdbm " : "";
    if (suggestion != NULL)
        snprintf(hint, sizeof hint, "did you mean %s%s?  (%s%s --help)", dashes, suggestion, program, name);
    else
        snprintf(hint, sizeof hint, "%s%s --help lists what it takes", program, name);
    if (command != NULL)
        pgdbm__cli_say_error(hint, "%s: %s: %.*s", name, message, pgdbm__cli_showable(word), word);
    else
        pgdbm__cli_say_error(hint, "%s: %.*s", message, pgdbm__cli_showable(word), word);
    return CLI_USAGE;
}

static int unknown_option(const struct pgdbm__cli_command *command, const char *word, const char *name)
{
    const char *candidates[CLI_MAX_OPTIONS + N_COMMON + 2] = {"help"};
    size_t n = 1;
    for (size_t i = 0; i < N_COMMON; i++)
        candidates[n++] = pgdbm__cli_common_options[i].name;
    for (size_t i = 0; i < command->n_options; i++)
        candidates[n++] = command->options[i].name;
    return say_usage(command, "unknown option", word, pgdbm__cli_suggest(name, candidates), "--");
}

static int check_choice(const struct pgdbm__cli_command *command, const struct pgdbm__cli_option *option,
                        const char *value)
{
    if (option->choices == NULL)
        return CLI_FINE;
    for (const char *const *choice = option->choices; *choice != NULL; choice++)
        if (strcmp(*choice, value) == 0)
            return CLI_FINE;
    char message[128];
    snprintf(message, sizeof message, "--%s must be %s, not", option->name, option->value);
    return say_usage(command, message, value, pgdbm__cli_suggest(value, option->choices), "");
}

/* The option called `name` (`bytes` long), or NULL. */
static const struct pgdbm__cli_option *find_option(const struct pgdbm__cli_option *options, size_t n_options,
                                                   const char *name, size_t bytes)
{
    for (size_t i = 0; i < n_options; i++)
        if (strlen(options[i].name) == bytes && strncmp(options[i].name, name, bytes) == 0)
            return &options[i];
    return NULL;
}

/* What stands at argv[*at], if it is an option: its name, and its value if that stands behind `=`. */
struct word {
    char *word;
    const char *name, *equals;
    size_t name_bytes;
};

static struct word read_word(char *word)
{
    const char *name = word + 2;
    const char *equals = strchr(name, '=');
    size_t bytes = equals != NULL ? (size_t)(equals - name) : strlen(name);
    return (struct word){.word = word, .name = name, .equals = equals, .name_bytes = bytes};
}

/* The value of an option at argv[*at], behind `=` or in the next word, into `*value`. */
static int take_value(const struct pgdbm__cli_command *command, const struct pgdbm__cli_option *option, int argc,
                      char **argv, int *at, const char **value)
{
    struct word word = read_word(argv[*at]);
    /* What follows `=` may be a password in a connection string: only the name is ever repeated. */
    word.word[2 + word.name_bytes] = '\0';
    if (*value != NULL)
        return say_usage(command, "given twice", word.word, NULL, "");
    if (option->value == NULL) {
        if (word.equals != NULL)
            return say_usage(command, "this option takes no value", word.word, NULL, "");
        *value = "";
        return CLI_FINE;
    }
    const char *given = word.equals != NULL ? word.equals + 1 : *at + 1 < argc ? argv[++*at] : NULL;
    if (given == NULL || given[0] == '\0' || (word.equals == NULL && strncmp(given, "--", 2) == 0))
        return say_usage(command, "a value must follow", word.word, NULL, "");
    *value = given;
    return check_choice(command, option, given);
}

static int take_common(const struct pgdbm__cli_command *command, const struct pgdbm__cli_option *option, int argc,
                       char **argv, int *at)
{
    int code = take_value(command, option, argc, argv, at, &common_values[option - pgdbm__cli_common_options]);
    pgdbm__cli_settings = (struct pgdbm__cli_settings){.config = common_values[CONFIG],
                                                       .environment = common_values[ENVIRONMENT],
                                                       .quiet = common_values[QUIET] != NULL};
    return code;
}

bool pgdbm__cli_take_setting(int argc, char **argv, int *at, int *code)
{
    if (strncmp(argv[*at], "--", 2) != 0)
        return false;
    struct word word = read_word(argv[*at]);
    const struct pgdbm__cli_option *option =
        find_option(pgdbm__cli_common_options, N_COMMON, word.name, word.name_bytes);
    if (option == NULL)
        return false;
    *code = take_common(NULL, option, argc, argv, at);
    ++*at;
    return true;
}

static int parse_option(const struct pgdbm__cli_command *command, int argc, char **argv, int *at,
                        struct pgdbm__cli_given *given)
{
    struct word word = read_word(argv[*at]);
    const struct pgdbm__cli_option *option =
        find_option(command->options, command->n_options, word.name, word.name_bytes);
    if (option != NULL)
        return take_value(command, option, argc, argv, at, &given->values[option - command->options]);
    option = find_option(pgdbm__cli_common_options, N_COMMON, word.name, word.name_bytes);
    if (option != NULL)
        return take_common(command, option, argc, argv, at);
    word.word[2 + word.name_bytes] = '\0';
    return unknown_option(command, word.word, word.name);
}

/* A word that is no option: kept in front of argv, in the order in which it came. */
static int take_argument(const struct pgdbm__cli_command *command, char **argv, char *word,
                         struct pgdbm__cli_given *given)
{
    if (given->n_arguments == command->max_arguments)
        return say_usage(command, "unexpected argument", word, NULL, "");
    argv[given->n_arguments++] = word;
    return CLI_FINE;
}

int pgdbm__cli_parse(const struct pgdbm__cli_command *command, int argc, char **argv, struct pgdbm__cli_given *given,
                     bool *help)
{
    *given = (struct pgdbm__cli_given){.arguments = argv};
    *help = false;
    /* Who asks for help gets it, whatever else stands on the line. */
    int end = 0;
    while (end < argc && !(command->passes_on && strcmp(argv[end], "--") == 0))
        end++;
    for (int i = 0; i < end; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *help = true;
            return CLI_FINE;
        }
    for (int i = 0; i < end; i++) {
        int code = CLI_FINE;
        if (strncmp(argv[i], "--", 2) == 0 && argv[i][2] != '\0')
            code = parse_option(command, end, argv, &i, given);
        else if (argv[i][0] == '-')
            code = unknown_option(command, argv[i], argv[i] + 1);
        else
            code = take_argument(command, argv, argv[i], given);
        if (code != CLI_FINE)
            return code;
    }
    for (int i = end + 1; i < argc; i++)
        argv[given->n_arguments++] = argv[i];
    if (command->argument != NULL && !command->arguments_optional && given->n_arguments == 0)
        return say_usage(command, "one word is missing", command->argument, NULL, "");
    return CLI_FINE;
}

const char *pgdbm__cli_value(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                             const char *name)
{
    const struct pgdbm__cli_option *option = find_option(command->options, command->n_options, name, strlen(name));
    return option != NULL ? given->values[option - command->options] : NULL;
}

static int say_value(const struct pgdbm__cli_command *command, const char *name, const char *wanted, const char *value)
{
    char message[128];
    snprintf(message, sizeof message, "--%s must be %s, not", name, wanted);
    return say_usage(command, message, value, NULL, "");
}

/* The digits at the beginning, and what follows them; below 0 when there are none or too many. */
static long read_digits(const char *text, const char **rest)
{
    char *end = NULL;
    long number = isdigit((unsigned char)*text) ? strtol(text, &end, 10) : -1;
    *rest = end != NULL ? end : text;
    return number <= INT_MAX ? number : -1;
}

int pgdbm__cli_number(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given, const char *name,
                      int least, int *number)
{
    const char *value = pgdbm__cli_value(command, given, name);
    if (value == NULL)
        return CLI_FINE;
    const char *rest;
    long read = read_digits(value, &rest);
    if (read < least || *rest != '\0') {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "a whole number from %d on", least);
        return say_value(command, name, wanted, value);
    }
    *number = (int)read;
    return CLI_FINE;
}

int pgdbm__cli_duration(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                        const char *name, int *ms)
{
    static const struct {
        const char *unit;
        int ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"", 1000}, {"min", 60000}};
    const char *value = pgdbm__cli_value(command, given, name);
    if (value == NULL)
        return CLI_FINE;
    if (strcmp(value, "off") == 0) {
        *ms = -1;
        return CLI_FINE;
    }
    const char *rest;
    long read = read_digits(value, &rest);
    for (size_t i = 0; read > 0 && i < sizeof units / sizeof units[0]; i++)
        if (strcmp(rest, units[i].unit) == 0 && read <= INT_MAX / units[i].ms) {
            *ms = (int)read * units[i].ms;
            return CLI_FINE;
        }
    return say_value(command, name, "a time as 500ms, 30s, 5min or off", value);
}
