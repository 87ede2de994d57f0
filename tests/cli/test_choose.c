/* SPDX-License-Identifier: MIT */
/* `pgdbm choose`: every path through its questions, by flags and from a pipe. */
#include "cli/tool.h"

#include <jansson.h>
#include <string.h>

struct path {
    const char *flags;
    const char *answers; /* the same in conversation; NULL: these answers are given by flags only */
    const char *pattern;
    const char *row;
    const char *worker; /* the pattern of a worker in a process of its own; NULL: there is none */
    const char *note;   /* what the notes must say; NULL: nothing */
};

static const struct path paths[] = {
    /* The six rows. */
    {"--library yes", "yes", "dual-mode", "library", NULL, NULL},
    {"--library no --services 3 --same-process yes", "no\n3\nyes\n\n\n\n", "shared-pool", "modules", NULL, NULL},
    {"--library no --services 5 --same-process yes", "no\n5\nyes\n\n\n\n", "shared-pool", "services", NULL, NULL},
    {"--library no --services 3 --same-process no", "no\n3\nno\n\n\n\n", "standalone", "worker", NULL,
     "Add up the pools"},
    {"--library no --services 1", "no\n1\n\n\n\n", "standalone", "small-service", NULL, NULL},
    {"--library no --services 1 --tenants 500", "no\n1\n500\n\n\n", "shared-pool", "tenants", NULL, "fleet"},
    /* Tenants decide without the number of services; one tenant, or none, is no reason. */
    {"--library no --tenants 2", NULL, "shared-pool", "tenants", NULL, "fleet"},
    {"--library no --services 1 --tenants 1", "no\n1\n1\n\n\n", "standalone", "small-service", NULL, NULL},
    {"--library no --services 1 --tenants 0", "no\n1\n0\nnone\nown\n", "standalone", "small-service", NULL, NULL},
    /* A worker beside the program. */
    {"--library no --services 3 --same-process yes --worker separate-process", "no\n3\nyes\n\nseparate-process\n\n",
     "shared-pool", "modules", "standalone", "a schema of its own"},
    {"--library no --services 1 --worker separate-process", "no\n1\n\nseparate-process\n\n", "standalone", "worker",
     "standalone", "a schema of its own"},
    {"--library no --services 1 --worker same-process", "no\n1\n\nsame-process\n\n", "shared-pool", "services", NULL,
     "a thread of the program"},
    {"--library no --services 2 --same-process yes --worker same-process", "no\n2\nyes\n\nsame-process\n\n",
     "shared-pool", "services", NULL, "a thread of the program"},
    {"--library no --tenants 20 --worker separate-process", NULL, "shared-pool", "tenants", "standalone",
     "a schema of its own"},
    /* Several processes, of which one has several schemas. */
    {"--library no --services 2 --same-process no --worker same-process", "no\n2\nno\n\nsame-process\n\n",
     "shared-pool", "services", NULL, "a pool serves one process only"},
    {"--library no --services 2 --same-process no --tenants 9", "no\n2\nno\n9\n\n\n", "shared-pool", "tenants", NULL,
     "a pool serves one process only"},
    {"--library no --services 1 --same-process no", NULL, "standalone", "small-service", NULL,
     "each process opens its own pool"},
    /* Answers that contradict each other. */
    {"--library yes --manager own", NULL, "dual-mode", "library", NULL, "always opens its own manager"},
    {"--library yes --manager either", NULL, "dual-mode", "library", NULL, NULL},
    {"--library no --manager host", NULL, "dual-mode", "library", NULL, "the same as being a library"},
    {"--library no --services 1 --manager host", "no\n1\n\n\nhost\n", "dual-mode", "library", NULL,
     "the same as being a library"},
    {"--library no --services 1 --manager either", "no\n1\n\n\neither\n", "dual-mode", "library", NULL,
     "a library in effect"},
    {"--manager either", NULL, "dual-mode", "library", NULL, "a library in effect"},
    {"--library no --services 1 --manager own", "no\n1\n\n\nown\n", "standalone", "small-service", NULL, NULL},
    /* Libraries with more than one module, tenant, process. */
    {"--library yes --services 3", NULL, "dual-mode", "library", NULL, "a pgdbm_module for each"},
    {"--library yes --tenants 3", NULL, "dual-mode", "library", NULL, "pgdbm_source.schema"},
    {"--library yes --worker separate-process", NULL, "dual-mode", "library", NULL,
     "opens the library with a connection"},
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static bool has_note(const json_t *answer, const char *wanted)
{
    const json_t *notes = json_object_get(answer, "notes");
    if (wanted == NULL)
        return json_array_size(notes) == 0;
    for (size_t i = 0; i < json_array_size(notes); i++)
        if (strstr(json_string_value(json_array_get(notes, i)), wanted) != NULL)
            return true;
    return false;
}

static json_t *read_json(const struct tool *tool)
{
    json_error_t where;
    assert_code(tool, 0);
    json_t *answer = json_loads(tool->out, 0, &where);
    if (answer == NULL)
        fail_msg("line %d: %s\n%s", where.line, where.text, tool->out);
    return answer;
}

static void check_path(const struct tool *tool, const struct path *path)
{
    json_t *answer = read_json(tool);
    const json_t *row = json_object_get(answer, "row");
    const json_t *worker = json_object_get(answer, "worker");
    if (strcmp(text_of(answer, "pattern"), path->pattern) != 0 || strcmp(text_of(row, "name"), path->row) != 0 ||
        strcmp(text_of(row, "use"), path->pattern) != 0 ||
        strcmp(text_of(worker, "pattern"), path->worker != NULL ? path->worker : "") != 0 ||
        !has_note(answer, path->note) || strlen(text_of(answer, "why")) < 20 ||
        json_array_size(json_object_get(answer, "wrong_if")) == 0 || text_of(answer, "code")[0] == '\0')
        fail_msg("%s: expected %s, row %s, worker %s, a note of '%s', came %s", path->flags, path->pattern, path->row,
                 path->worker != NULL ? path->worker : "none", path->note != NULL ? path->note : "", tool->out);
    json_decref(answer);
}

static void flags_lead_to_every_row(void **state)
{
    struct tool *tool = *state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        tool_run(tool, "choose --json %s", paths[i].flags);
        check_path(tool, &paths[i]);
        assert_string_equal(tool->err, "");
    }
}

static void answers_from_a_pipe_lead_where_flags_do(void **state)
{
    struct tool *tool = *state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (paths[i].answers != NULL) {
            tool->answers = paths[i].answers;
            tool_run(tool, "choose --json");
            check_path(tool, &paths[i]);
        }
}

/* The guide's table, as the program prints it. */
static void every_row_is_in_the_guide(void **state)
{
    struct tool *tool = *state;
    static char guide[65536];
    FILE *file = fopen(PGDBM_GUIDE, "r");
    assert_non_null(file);
    size_t bytes = fread(guide, 1, sizeof guide - 1, file);
    guide[bytes] = '\0';
    fclose(file);
    assert_true(bytes > 0 && bytes < sizeof guide - 1);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char line[512];
        char use[32];
        tool_run(tool, "choose --json %s", paths[i].flags);
        json_t *answer = read_json(tool);
        const json_t *row = json_object_get(answer, "row");
        snprintf(use, sizeof use, "%s", text_of(row, "use"));
        if (strchr(use, '-') != NULL)
            *strchr(use, '-') = ' ';
        snprintf(line, sizeof line, "| %s | %s | %s", text_of(row, "if_you_have"), use, text_of(row, "key_indicator"));
        if (strstr(guide, line) == NULL)
            fail_msg("expected a line '%s' in %s", line, PGDBM_GUIDE);
        json_decref(answer);
    }
}

/* What the earlier answers settle is not asked. */
static void only_what_is_open_is_asked(void **state)
{
    struct tool *tool = *state;
    tool->answers = "yes\n";
    tool_run(tool, "choose --json");
    assert_code(tool, 0);
    assert_null(strstr(tool->err, "How many"));
    tool->answers = "no\n1\n\n\n\n";
    tool_run(tool, "choose --json");
    assert_code(tool, 0);
    assert_null(strstr(tool->err, "one operating-system process?"));
    assert_contains(tool->err, "background worker");
    tool->answers = "1\n";
    tool_run(tool, "choose --json --library no");
    assert_code(tool, 0);
    assert_null(strstr(tool->err, "background worker"));
}

static void what_was_taken_for_granted_is_told(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "choose --json --library no --services 1 --tenants 0");
    json_t *answer = read_json(tool);
    const json_t *assumed = json_object_get(answer, "assumed");
    assert_string_equal(text_of(assumed, "worker"), "none");
    assert_string_equal(text_of(assumed, "manager"), "own");
    assert_int_equal(json_object_size(assumed), 2);
    json_decref(answer);
    tool_run(tool, "choose --library no --services 1");
    assert_contains(tool->out, "--tenants 0, --worker none, --manager own");
    tool_run(tool, "choose --library no --services 1 --tenants 0 --worker none --manager own");
    assert_code(tool, 0);
    assert_null(strstr(tool->out, "Taken for granted"));
}

static void an_answer_that_cannot_be_read_is_asked_for_again(void **state)
{
    struct tool *tool = *state;
    tool->answers = "no\nmany\n-1\n0\n99999999999999999999\n2\ny\nfew\n3\nsometimes\nnone\nme\nown\n";
    tool_run(tool, "choose --json");
    json_t *answer = read_json(tool);
    assert_string_equal(text_of(answer, "pattern"), "shared-pool");
    json_decref(answer);
    assert_contains(tool->err, "with a number from 1 on");
    assert_contains(tool->err, "with a number from 0 on");
    assert_contains(tool->err, "none, same-process or separate-process");
    assert_contains(tool->err, "own, host or either");
}

/* Its end is not taken for the answer to the next question. */
static void a_line_without_end_is_one_wrong_answer(void **state)
{
    struct tool *tool = *state;
    char line[600];
    memset(line, 'x', sizeof line);
    memcpy(line + sizeof line - 10, "yes\nyes\n", 9);
    tool->answers = line;
    tool_run(tool, "choose --json");
    assert_code(tool, 0);
    const char *again = strstr(tool->err, "please answer");
    assert_non_null(again);
    assert_null(strstr(again + 1, "please answer"));
}

static void the_end_of_input_says_which_option_to_give(void **state)
{
    struct tool *tool = *state;
    static const struct {
        const char *flags;
        const char *missing;
    } cases[] = {
        {"", "--library is missing"},
        {"--json", "--library is missing"},
        {"--tenants 3", "--library is missing"},
        {"--library no", "--services is missing"},
        {"--library no --services 2 --worker none", "--same-process is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tool_run(tool, "choose %s", cases[i].flags);
        assert_code(tool, 2);
        assert_contains(tool->err, cases[i].missing);
        assert_string_equal(tool->out, "");
    }
}

static void a_closed_standard_input_is_an_end_of_input(void **state)
{
    struct tool *tool = *state;
    tool_shell(tool, "\"$PGDBM\" choose --json <&- >out 2>err; test $? = 2 && grep -q 'library is missing' err");
    tool_shell(tool, "\"$PGDBM\" choose --library no --services 1 --json <&- >out && grep -q standalone out");
}

static void wrong_values_are_two(void **state)
{
    struct tool *tool = *state;
    static const char *const wrong[] = {"--tenants -1",     "--tenants many",   "--worker somewhere",
                                        "--manager me",     "--services 0",     "--services 1000001",
                                        "--same-process x", "--tenants 1000001"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tool_run(tool, "choose --library no %s", wrong[i]);
        assert_code(tool, 2);
        assert_contains(tool->err, "hint:");
        assert_string_equal(tool->out, "");
    }
}

static void people_see_pattern_worker_notes_row_and_red_flags(void **state)
{
    struct tool *tool = *state;
    static const char *const pieces[] = {
        "Shared pool: pgdbm_pool_open", "The worker: Standalone",     "Mind",          "KEY INDICATOR",
        "several modules, one process", "It is the wrong pattern if", "pgdbm_attach(", "pgdbm new shared-pool NAME",
        "docs/choosing-a-pattern.md"};
    tool_run(tool, "choose --library no --services 3 --same-process yes --worker separate-process");
    assert_code(tool, 0);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        assert_contains(tool->out, pieces[i]);
}

int main(void)
{
#define WITH_TOOL(test) cmocka_unit_test_setup_teardown(test, tool_setup, tool_teardown)
    const struct CMUnitTest tests[] = {
        WITH_TOOL(flags_lead_to_every_row),
        WITH_TOOL(answers_from_a_pipe_lead_where_flags_do),
        WITH_TOOL(every_row_is_in_the_guide),
        WITH_TOOL(only_what_is_open_is_asked),
        WITH_TOOL(what_was_taken_for_granted_is_told),
        WITH_TOOL(an_answer_that_cannot_be_read_is_asked_for_again),
        WITH_TOOL(a_line_without_end_is_one_wrong_answer),
        WITH_TOOL(the_end_of_input_says_which_option_to_give),
        WITH_TOOL(a_closed_standard_input_is_an_end_of_input),
        WITH_TOOL(wrong_values_are_two),
        WITH_TOOL(people_see_pattern_worker_notes_row_and_red_flags),
    };
    return cmocka_run_group_tests_name("choose", tests, NULL, NULL);
}
