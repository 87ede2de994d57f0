/* SPDX-License-Identifier: MIT */
/* `pgdbm choose`: three questions, a pattern, the reason, and code to start from. No state. */
#include "command.h"
#include "output.h"
#include "patterns.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WIDTH 96

enum { LIBRARY, SERVICES, SAME_PROCESS, CODE, JSON, N_OPTIONS };

static const char *const yes_or_no[] = {"yes", "no", NULL};

static const struct pgdbm__cli_option options[N_OPTIONS] = {
    [LIBRARY] = {"library", "yes|no", yes_or_no, "Will other programs link this code?"},
    [SERVICES] = {"services", "N", NULL, "How many services, modules or tenants need the database?"},
    [SAME_PROCESS] = {"same-process", "yes|no", yes_or_no, "Do they run in one operating-system process?"},
    [CODE] = {"code", NULL, NULL, "Print the code to start from, and nothing else"},
    [JSON] = {"json", NULL, NULL, "Print the answer as JSON"},
};

/* A number from 1 on; 0 when the text is none. */
static int read_count(const char *text)
{
    char *end = NULL;
    long number = strtol(text, &end, 10);
    return end != text && *end == '\0' && number >= 1 && number <= 1000000 ? (int)number : 0;
}

/* YES, NO, or 0 for neither. */
enum { YES = 1, NO };

static int read_yes_or_no(const char *text)
{
    if (strcasecmp(text, "y") == 0 || strcasecmp(text, "yes") == 0)
        return YES;
    return strcasecmp(text, "n") == 0 || strcasecmp(text, "no") == 0 ? NO : 0;
}

/* Asks until the answer can be read (`read` gives 0 for what cannot); 0 at the end of input. Questions go to standard
 * error, so that standard output holds the answer only. */
static int ask(const struct pgdbm__cli_option *option, int (*read)(const char *text))
{
    char line[128];
    for (;;) {
        fprintf(stderr, "%s [%s] ", option->meaning, option->value);
        fflush(stderr);
        if (fgets(line, sizeof line, stdin) == NULL) {
            fputc('\n', stderr);
            return 0;
        }
        line[strcspn(line, "\r\n")] = '\0';
        int answer = read(line);
        if (answer != 0)
            return answer;
        fprintf(stderr, "  please answer %s\n", option->choices != NULL ? "yes or no" : "with a number from 1 on");
    }
}

/* The option's answer, from the command line or from standard input; 0 after having said what is missing or
 * wrong. */
static int answer_to(const struct pgdbm__cli_given *given, size_t which, int (*read)(const char *text))
{
    const struct pgdbm__cli_option *option = &options[which];
    if (given->values[which] != NULL) {
        int answer = read(given->values[which]);
        if (answer == 0)
            pgdbm__cli_say_error("a number from 1 on", "choose: --%s cannot be %.60s", option->name,
                                 given->values[which]);
        return answer;
    }
    int answer = ask(option, read);
    if (answer == 0)
        pgdbm__cli_say_error("answer on the command line, for example: pgdbm choose --library no --services 3 "
                             "--same-process yes",
                             "choose: --%s is missing", option->name);
    return answer;
}

/* Gets as many answers as the decision needs. */
static bool get_answers(const struct pgdbm__cli_given *given, struct pgdbm__cli_answers *answers)
{
    int answer = answer_to(given, LIBRARY, read_yes_or_no);
    answers->library = answer == YES;
    if (answer == 0 || answers->library)
        return answer != 0;
    answers->services = answer_to(given, SERVICES, read_count);
    if (answers->services <= 1)
        return answers->services != 0;
    answer = answer_to(given, SAME_PROCESS, read_yes_or_no);
    answers->same_process = answer == YES;
    return answer != 0;
}

static void heading(const char *text)
{
    printf("\n%s%s%s\n", pgdbm__cli_style_on(stdout, CLI_BOLD), text, pgdbm__cli_style_off(stdout));
}

static void print_choice(const struct pgdbm__cli_choice *choice)
{
    const struct pgdbm__cli_pattern *pattern = choice->pattern;
    printf("%s%s%s: %s\n", pgdbm__cli_style_on(stdout, CLI_GREEN), pattern->title, pgdbm__cli_style_off(stdout),
           pattern->opened_by);
    heading("Why");
    pgdbm__cli_print_wrapped(choice->why, 2, WIDTH);
    heading("The row of the selection table");
    const char *const headings[] = {"IF YOU HAVE", "USE", "KEY INDICATOR"};
    const struct pgdbm__cli_cell cells[] = {
        {choice->row.if_you_have, CLI_PLAIN}, {pattern->title, CLI_GREEN}, {choice->row.key_indicator, CLI_PLAIN}};
    pgdbm__cli_print_table(headings, 3, cells, 1);
    heading("It is the wrong pattern if");
    for (const struct pgdbm__cli_red_flag *flag = pattern->red_flags; flag->sign != NULL; flag++)
        printf("  - %s  (then: %s)\n", flag->sign, flag->instead);
    heading("Start from");
    printf("\n");
    pgdbm__cli_print_indented(pattern->code, 2);
    printf("\nThe whole guide is docs/choosing-a-pattern.md.\n");
}

static json_t *json_choice(const struct pgdbm__cli_choice *choice)
{
    const struct pgdbm__cli_pattern *pattern = choice->pattern;
    json_t *flags = json_array();
    for (const struct pgdbm__cli_red_flag *flag = pattern->red_flags; flag->sign != NULL; flag++)
        json_array_append_new(flags, json_pack("{s:s, s:s}", "sign", flag->sign, "instead", flag->instead));
    return json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:s}, s:o, s:s}", "pattern", pattern->name, "title", pattern->title,
                     "opened_by", pattern->opened_by, "why", choice->why, "row", "if_you_have", choice->row.if_you_have,
                     "key_indicator", choice->row.key_indicator, "wrong_if", flags, "code", pattern->code);
}

static int choose(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    (void)command;
    struct pgdbm__cli_answers answers = {0};
    if (given->values[CODE] != NULL && given->values[JSON] != NULL) {
        pgdbm__cli_say_error("the JSON answer holds the code as well", "choose: --code and --json exclude each other");
        return CLI_USAGE;
    }
    if (!get_answers(given, &answers))
        return CLI_USAGE;
    const struct pgdbm__cli_choice choice = pgdbm__cli_decide(&answers);
    if (given->values[JSON] != NULL)
        return pgdbm__cli_print_json(json_choice(&choice)) ? CLI_FINE : CLI_FAILED;
    if (given->values[CODE] != NULL)
        fputs(choice.pattern->code, stdout);
    else
        print_choice(&choice);
    return CLI_FINE;
}

const struct pgdbm__cli_command pgdbm__cli_choose = {
    .name = "choose",
    .summary = "Find the pattern that fits: standalone, shared pool or dual mode",
    .description = "Asks up to three questions, or takes the answers as options, and says which pattern "
                   "fits, why, what would make it the wrong one, and code that compiles to start from. Later "
                   "questions are asked only where the earlier ones leave the choice open.",
    .example = "pgdbm choose --library no --services 3 --same-process yes\n"
               "pgdbm choose --library yes --code > mylib.c",
    .options = options,
    .n_options = N_OPTIONS,
    .run = choose,
};
