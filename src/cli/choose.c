/* SPDX-License-Identifier: MIT */
/* `pgdbm choose`: questions, a pattern, the reason, and code to start from. No state. */
#include "command.h"
#include "output.h"
#include "patterns.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WIDTH 96

enum { LIBRARY, SERVICES, SAME_PROCESS, TENANTS, WORKER, MANAGER, N_QUESTIONS };
enum { CODE = N_QUESTIONS, JSON, N_OPTIONS };

static const char *const yes_or_no[] = {"yes", "no", NULL};
static const char *const workers[] = {"none", "same-process", "separate-process", NULL};
static const char *const managers[] = {"own", "host", "either", NULL};

static const struct pgdbm__cli_option options[N_OPTIONS] = {
    [LIBRARY] = {"library", "yes|no", yes_or_no, "Will other programs link this code?"},
    [SERVICES] = {"services", "N", NULL, "How many services or modules need the database?"},
    [SAME_PROCESS] = {"same-process", "yes|no", yes_or_no, "Do they run in one operating-system process?"},
    [TENANTS] = {"tenants", "N", NULL, "How many tenants have tables of their own? 0: there are none"},
    [WORKER] = {"worker", "none|same-process|separate-process", workers, "Is there a background worker, and where?"},
    [MANAGER] = {"manager", "own|host|either", managers,
                 "Who creates the manager: this code, the host that uses it, or either?"},
    [CODE] = {"code", NULL, NULL, "Print the code to start from, and nothing else"},
    [JSON] = {"json", NULL, NULL, "Print the answer as JSON"},
};

/* What is no answer. */
enum { NOT_READ = -1 };

/* The place among the choices; of yes and no, their first letters do. */
static int read_choice(const struct pgdbm__cli_option *option, const char *text)
{
    for (int i = 0; option->choices[i] != NULL; i++) {
        const char initial[] = {option->choices[i][0], '\0'};
        if (strcasecmp(text, option->choices[i]) == 0 ||
            (option->choices == yes_or_no && strcasecmp(text, initial) == 0))
            return i;
    }
    return NOT_READ;
}

static int read_answer(size_t question, const char *text)
{
    char *end = NULL;
    long least = question == TENANTS ? 0 : 1;
    if (options[question].choices != NULL)
        return read_choice(&options[question], text);
    long number = strtol(text, &end, 10);
    return end != text && *end == '\0' && number >= least && number <= 1000000 ? (int)number : NOT_READ;
}

static const char *wanted(size_t question)
{
    static const char *const texts[N_QUESTIONS] = {
        [LIBRARY] = "yes or no",
        [SERVICES] = "with a number from 1 on",
        [SAME_PROCESS] = "yes or no",
        [TENANTS] = "with a number from 0 on",
        [WORKER] = "none, same-process or separate-process",
        [MANAGER] = "own, host or either",
    };
    return texts[question];
}

/* The first questions have no usual answer, the later ones do: 0, none, own. */
static bool has_usual_answer(size_t question)
{
    return question >= TENANTS;
}

/* Reads a line without its end; what does not fit is skipped, so that it is not taken for the next answer. False at the
 * end of input. */
static bool read_line(char *line, size_t bytes)
{
    if (fgets(line, (int)bytes, stdin) == NULL)
        return false;
    bool whole = strchr(line, '\n') != NULL;
    for (int c = 0; !whole && (c = fgetc(stdin)) != EOF && c != '\n';)
        ;
    line[strcspn(line, "\r\n")] = '\0';
    return true;
}

/* Asks until the answer can be read; NOT_READ at the end of input. Questions go to standard error, so that standard
 * output holds the answer only. */
static int ask(size_t question)
{
    const struct pgdbm__cli_option *option = &options[question];
    char line[128];
    for (;;) {
        fprintf(stderr, "%s [%s]%s ", option->meaning, option->value,
                !has_usual_answer(question) ? ""
                : question == TENANTS       ? " (enter: 0)"
                : question == WORKER        ? " (enter: none)"
                                            : " (enter: own)");
        fflush(stderr);
        if (!read_line(line, sizeof line)) {
            fputc('\n', stderr);
            return NOT_READ;
        }
        if (line[0] == '\0' && has_usual_answer(question))
            return NOT_READ;
        int answer = read_answer(question, line);
        if (answer != NOT_READ)
            return answer;
        fprintf(stderr, "  please answer %s\n", wanted(question));
    }
}

/* The answers so far: of each question, NOT_READ when there is none. */
struct conversation {
    const struct pgdbm__cli_given *given;
    bool talks; /* nothing was given on the command line, so that everything that is open is asked */
    int answers[N_QUESTIONS];
};

/* Takes what the command line has; false after having said what is wrong with it. */
static bool take_given(struct conversation *talk)
{
    talk->talks = true;
    for (size_t i = 0; i < N_QUESTIONS; i++) {
        const char *text = talk->given->values[i];
        talk->answers[i] = text != NULL ? read_answer(i, text) : NOT_READ;
        if (text != NULL && talk->answers[i] == NOT_READ) {
            pgdbm__cli_say_error(i == TENANTS ? "a number from 0 on" : "a number from 1 on",
                                 "choose: --%s cannot be %.60s", options[i].name, text);
            return false;
        }
        talk->talks = talk->talks && text == NULL;
    }
    return true;
}

/* Makes sure that there is an answer; false after having said that it is missing. */
static bool need(struct conversation *talk, size_t question)
{
    if (talk->answers[question] != NOT_READ || (has_usual_answer(question) && !talk->talks))
        return true;
    talk->answers[question] = ask(question);
    if (talk->answers[question] != NOT_READ || has_usual_answer(question))
        return true;
    pgdbm__cli_say_error("answer on the command line, for example: pgdbm choose --library no --services 3 "
                         "--same-process yes",
                         "choose: --%s is missing", options[question].name);
    return false;
}

/* Yes and no are read as their place in the table. */
static bool is_yes(int answer)
{
    return answer == 0;
}

/* Gets as many answers as the decision needs. */
static bool get_answers(struct conversation *talk)
{
    const int *answers = talk->answers;
    if (!take_given(talk))
        return false;
    /* Who gets its manager from a host is a library in effect. */
    if (answers[MANAGER] != NOT_READ && answers[MANAGER] != CLI_MANAGER_OWN)
        return true;
    if (!need(talk, LIBRARY))
        return false;
    if (is_yes(answers[LIBRARY]))
        return true;
    if (answers[TENANTS] <= 1) {
        if (!need(talk, SERVICES) || (answers[SERVICES] > 1 && !need(talk, SAME_PROCESS)))
            return false;
    }
    return need(talk, TENANTS) && need(talk, WORKER) && need(talk, MANAGER);
}

static struct pgdbm__cli_answers answers_of(const struct conversation *talk)
{
    const int *answers = talk->answers;
    return (struct pgdbm__cli_answers){
        .library = is_yes(answers[LIBRARY]),
        .services = answers[SERVICES] != NOT_READ ? answers[SERVICES] : 0,
        .same_process = is_yes(answers[SAME_PROCESS]),
        .same_process_told = answers[SAME_PROCESS] != NOT_READ,
        .tenants = answers[TENANTS] != NOT_READ ? answers[TENANTS] : 0,
        .worker = answers[WORKER] != NOT_READ ? (enum pgdbm__cli_worker)answers[WORKER] : CLI_WORKER_NONE,
        .manager = answers[MANAGER] != NOT_READ ? (enum pgdbm__cli_manager)answers[MANAGER] : CLI_MANAGER_OWN,
        .manager_told = answers[MANAGER] != NOT_READ,
    };
}

static void heading(const char *text)
{
    printf("\n%s%s%s\n", pgdbm__cli_style_on(stdout, CLI_BOLD), text, pgdbm__cli_style_off(stdout));
}

static void print_row(const struct pgdbm__cli_row *row)
{
    const char *const headings[] = {"IF YOU HAVE", "USE", "KEY INDICATOR"};
    const struct pgdbm__cli_cell cells[] = {{row->if_you_have, CLI_PLAIN},
                                            {pgdbm__cli_patterns[row->use].title, CLI_GREEN},
                                            {row->key_indicator, CLI_PLAIN}};
    pgdbm__cli_print_table(headings, 3, cells, 1);
}

static void print_opening(const char *what, const struct pgdbm__cli_pattern *pattern)
{
    printf("%s%s%s%s: %s\n", what, pgdbm__cli_style_on(stdout, CLI_GREEN), pattern->title, pgdbm__cli_style_off(stdout),
           pattern->opened_by);
}

/* What was not asked and decides, with what was taken for it. */
static bool was_assumed(const struct conversation *talk, size_t question)
{
    const struct pgdbm__cli_answers answers = answers_of(talk);
    return has_usual_answer(question) && talk->answers[question] == NOT_READ && !pgdbm__cli_is_library(&answers);
}

static const char *usual_answer(size_t question)
{
    return question == TENANTS ? "0" : question == WORKER ? workers[0] : managers[0];
}

static void print_assumed(const struct conversation *talk)
{
    const char *before = "\nTaken for granted, because nothing else was said:";
    for (size_t i = 0; i < N_QUESTIONS; i++)
        if (was_assumed(talk, i)) {
            printf("%s --%s %s", before, options[i].name, usual_answer(i));
            before = ",";
        }
    if (before[0] == ',')
        printf("\n");
}

static void print_note(const char *note)
{
    char text[512];
    snprintf(text, sizeof text, "- %s", note);
    pgdbm__cli_print_wrapped(text, 2, WIDTH);
}

static void print_choice(const struct pgdbm__cli_choice *choice, const struct conversation *talk)
{
    const struct pgdbm__cli_pattern *pattern = choice->pattern;
    print_opening("", pattern);
    if (choice->worker != NULL)
        print_opening("The worker: ", &pgdbm__cli_patterns[choice->worker->use]);
    heading("Why");
    pgdbm__cli_print_wrapped(choice->why, 2, WIDTH);
    if (choice->notes[0] != NULL)
        heading("Mind");
    for (size_t i = 0; choice->notes[i] != NULL; i++)
        print_note(choice->notes[i]);
    heading("The row of the selection table");
    print_row(choice->row);
    heading("It is the wrong pattern if");
    for (const struct pgdbm__cli_red_flag *flag = pattern->red_flags; flag->sign != NULL; flag++)
        printf("  - %s  (then: %s)\n", flag->sign, flag->instead);
    heading("Start from");
    printf("\n");
    pgdbm__cli_print_indented(pattern->code, 2);
    printf("\npgdbm new %s NAME writes a project that builds, with tests.\n", pattern->name);
    print_assumed(talk);
    printf("\nThe whole guide is docs/choosing-a-pattern.md.\n");
}

static json_t *json_row(const struct pgdbm__cli_row *row)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "name", row->name, "if_you_have", row->if_you_have, "use",
                     pgdbm__cli_patterns[row->use].name, "key_indicator", row->key_indicator);
}

static json_t *json_worker(const struct pgdbm__cli_row *row)
{
    if (row == NULL)
        return json_null();
    const struct pgdbm__cli_pattern *pattern = &pgdbm__cli_patterns[row->use];
    return json_pack("{s:s, s:s, s:o, s:s}", "pattern", pattern->name, "opened_by", pattern->opened_by, "row",
                     json_row(row), "code", pattern->code);
}

static json_t *json_choice(const struct pgdbm__cli_choice *choice, const struct conversation *talk)
{
    const struct pgdbm__cli_pattern *pattern = choice->pattern;
    json_t *flags = json_array();
    json_t *notes = json_array();
    json_t *assumed = json_object();
    for (const struct pgdbm__cli_red_flag *flag = pattern->red_flags; flag->sign != NULL; flag++)
        json_array_append_new(flags, json_pack("{s:s, s:s}", "sign", flag->sign, "instead", flag->instead));
    for (size_t i = 0; choice->notes[i] != NULL; i++)
        json_array_append_new(notes, json_string(choice->notes[i]));
    for (size_t i = 0; i < N_QUESTIONS; i++)
        if (was_assumed(talk, i))
            json_object_set_new(assumed, options[i].name, json_string(usual_answer(i)));
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:s}", "pattern", pattern->name, "title",
                     pattern->title, "opened_by", pattern->opened_by, "why", choice->why, "notes", notes, "row",
                     json_row(choice->row), "wrong_if", flags, "worker", json_worker(choice->worker), "assumed",
                     assumed, "code", pattern->code);
}

static int choose(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    (void)command;
    struct conversation talk = {.given = given};
    if (given->values[CODE] != NULL && given->values[JSON] != NULL) {
        pgdbm__cli_say_error("the JSON answer holds the code as well", "choose: --code and --json exclude each other");
        return CLI_USAGE;
    }
    if (!get_answers(&talk))
        return CLI_USAGE;
    const struct pgdbm__cli_answers answers = answers_of(&talk);
    const struct pgdbm__cli_choice choice = pgdbm__cli_decide(&answers);
    if (given->values[JSON] != NULL)
        return pgdbm__cli_print_json(json_choice(&choice, &talk)) ? CLI_FINE : CLI_FAILED;
    if (given->values[CODE] != NULL)
        fputs(choice.pattern->code, stdout);
    else
        print_choice(&choice, &talk);
    return CLI_FINE;
}

const struct pgdbm__cli_command pgdbm__cli_choose = {
    .name = "choose",
    .summary = "Find the pattern that fits: standalone, shared pool or dual mode",
    .description =
        "Asks what it must know, or takes the answers as options, and says which pattern fits, why, what would make "
        "it the wrong one, and code that compiles to start from. Only what the earlier answers leave open is asked. "
        "Once an answer stands on the command line, --tenants, --worker and --manager are not asked: without them "
        "there are no tenants and no worker, and this code creates its manager. Questions go to standard error, so "
        "that answers may come from a pipe.",
    .example = "pgdbm choose --library no --services 3 --same-process yes\n"
               "pgdbm choose --library no --services 1 --worker separate-process --json\n"
               "pgdbm choose --library yes --code > mylib.c",
    .options = options,
    .n_options = N_OPTIONS,
    .run = choose,
};
