/* SPDX-License-Identifier: MIT */
/* What the program says of itself, of mistakes on the command line, and of patterns. */
#include "cli/tool.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static void help_names_every_command_and_exit_code(void **state)
{
    struct tool *tool = *state;
    static const char *const pieces[] = {
        "migrate apply",      "migrate status",   "migrate rollback", "migrate baseline", "migrate repair",
        "migrate verify",     "migrate history",  "migrate check",    "migrate create",   "dev start",
        "dev stop",           "dev url",          "dev psql",         "dev watch",        "dev reset",
        "dev export-schema",  "choose",           "new dual-mode",    "DATABASE_URL",     "Exit codes",
        "4    the server",    "130  interrupted", "db create",        "db drop",          "db reset",
        "db test-connection", "db info",          "schema list",      "schema create",    "schema deps",
        "schema clean"};
    tool_run(tool, "help");
    assert_code(tool, 0);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        assert_contains(tool->out, pieces[i]);
    assert_string_equal(tool->err, "");
}

/* The command that begins at `text`, of `n` of them; NULL: none does. */
static const char *named_at(const char *text, char commands[][TOOL_NAME_BYTES], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t bytes = strlen(commands[i]);
        if (strncmp(text, commands[i], bytes) == 0 && strchr(" \n)\"", text[bytes]) != NULL)
            return commands[i];
    }
    return NULL;
}

/* Examples are for copying: they call the command they are of, each call one that is there, with options it has. */
static void check_example(const char *example, const char *command, char commands[][TOOL_NAME_BYTES], size_t n_commands,
                          char options[][TOOL_NAME_BYTES], size_t n_options, bool takes_other_words)
{
    size_t n_calls = 0;
    for (const char *call = strstr(example, "pgdbm "); call != NULL; call = strstr(call + 1, "pgdbm ")) {
        const char *called = named_at(call + strlen("pgdbm "), commands, n_commands);
        if (called == NULL)
            fail_msg("%s: its example calls nothing that is there: %s", command, call);
        n_calls += strcmp(called, command) == 0;
        const char *end = call + strcspn(call, "|;&)>\n");
        for (const char *word = strstr(call, " --"); word != NULL && word < end; word = strstr(word + 1, " --")) {
            bool known = strcmp(called, command) != 0;
            if (strncmp(word, " -- ", 4) == 0 && takes_other_words)
                break; /* what follows is not for the command */
            for (size_t i = 0; i < n_options; i++)
                known = known || (strlen(options[i]) == strcspn(word + 1, " =\n)\"") &&
                                  strncmp(word + 1, options[i], strlen(options[i])) == 0);
            if (!known)
                fail_msg("%s: its example has an option that it has not:%.40s", command, word);
        }
    }
    if (n_calls == 0)
        fail_msg("%s: its example does not call it", command);
}

static void json_has_the_error_of_a_malformed_address(void **state)
{
    struct tool *tool = *state;
    static const char *const commands[] = {"db create", "db drop --yes", "db reset --yes", "db info", "schema list"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        tool_run(tool, "%s --json --url 'postgresql://me:s3cret@[::1/x'", commands[i]);
        assert_code(tool, 2);
        if (strncmp(tool->out, "{", 1) != 0 || strstr(tool->out, "the connection string") == NULL)
            fail_msg("expected the error in the JSON of %s, came '%s'", commands[i], tool->out);
        assert_null(strstr(tool->out, "s3cret"));
        assert_null(strstr(tool->err, "s3cret"));
    }
}

static void help_about_help_is_help(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "help --help");
    assert_code(tool, 0);
    assert_contains(tool->out, "migrate apply");
    tool_run(tool, "--url postgresql://h/x db info");
    assert_code(tool, 2);
    assert_contains(tool->err, "stand behind it");
}

static void every_command_has_a_help_of_its_own_with_an_example(void **state)
{
    struct tool *tool = *state;
    static char commands[TOOL_MAX_NAMES][TOOL_NAME_BYTES], options[TOOL_MAX_NAMES][TOOL_NAME_BYTES];
    size_t n_commands = tool_commands(tool, commands, TOOL_MAX_NAMES);
    for (size_t i = 0; i < n_commands; i++) {
        char usage[TOOL_NAME_BYTES + 16];
        size_t n_options = tool_options(tool, commands[i], options, TOOL_MAX_NAMES);
        snprintf(usage, sizeof usage, "\nUsage\n  pgdbm %s", commands[i]);
        assert_contains(tool->out, usage);
        const char *example = strstr(tool->out, "\nExample\n  ");
        if (example == NULL || strlen(example) < strlen("\nExample\n  pgdbm"))
            fail_msg("pgdbm %s --help has no example", commands[i]);
        check_example(example, commands[i], commands, n_commands, options, n_options,
                      strstr(tool->out, " [OPTIONS] [-- ") != NULL);
    }
}

static void an_unknown_word_in_a_long_list_of_commands_is_answered(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "zzzzzzzzzzzz");
    assert_code(tool, 2);
    assert_contains(tool->err, "unknown command: zzzzzzzzzzzz");
}

static void the_version_is_printed(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "--version");
    assert_code(tool, 0);
    assert_contains(tool->out, PGDBM_VERSION_STRING);
}

static void mistyped_words_are_answered_with_what_was_meant(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "migrat apply");
    assert_code(tool, 2);
    assert_contains(tool->err, "did you mean pgdbm migrate");
    tool_run(tool, "migrate appyl");
    assert_code(tool, 2);
    assert_contains(tool->err, "apply");
    tool_run(tool, "migrate apply --modul users");
    assert_code(tool, 2);
    assert_contains(tool->err, "did you mean --module");
    assert_string_equal(tool->out, "");
}

static void an_option_before_the_command_that_lacks_its_value_is_told_once(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "--env");
    assert_code(tool, 2);
    assert_contains(tool->err, "pgdbm: a value must follow: --env");
    assert_null(strstr(tool->err, "pgdbm: pgdbm:"));
}

static void words_of_other_tools_are_answered_with_ours(void **state)
{
    struct tool *tool = *state;
    static const char *const words[][2] = {
        {"generate library x", "did you mean pgdbm new?"},
        {"migrate up", "did you mean pgdbm migrate apply?"},
        {"migrate downgrade", "did you mean pgdbm migrate rollback?"},
        {"migrate status --all-modules", "did you mean --all?"},
        {"migrate rollback --version 1", "did you mean --target?"},
        {"db drop --confirm", "did you mean --yes?"},
        {"version", "pgdbm --version"},
        {"-V", "pgdbm --version"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        tool_run(tool, "%s", words[i][0]);
        assert_code(tool, 2);
        assert_contains(tool->err, words[i][1]);
    }
}

static void wrong_usage_is_two_and_nothing_is_contacted(void **state)
{
    struct tool *tool = *state;
    static const char *const wrong[] = {"migrate",
                                        "migrate apply surplus",
                                        "migrate create",
                                        "migrate create one two",
                                        "migrate create ../outside",
                                        "migrate create --",
                                        "migrate apply --module users --wait soon",
                                        "migrate apply --module users --wait 1h",
                                        "migrate apply --module users --wait 99999999999999999999s",
                                        "migrate apply --module users --lock-attempts 0",
                                        "migrate apply --module users --try --dry-run",
                                        "migrate rollback --module users --count 0",
                                        "migrate rollback --module users --count -1",
                                        "migrate rollback --module users --count 1 --target 2",
                                        "migrate history --module users --dir .",
                                        "migrate apply --module",
                                        "migrate apply --module users",
                                        "migrate apply --dir . --url postgresql:///x",
                                        "--env",
                                        "--quiet=yes dev url",
                                        "--quiet --quiet dev url",
                                        "--config /no/such/file dev url",
                                        "--env staging dev url",
                                        "dev",
                                        "choose --library perhaps",
                                        "choose --library no --services none",
                                        "choose --code --json",
                                        "--no-such-option",
                                        "help nothing"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tool_run(tool, "%s", wrong[i]);
        if (tool->code != 2 || tool->err[0] == '\0')
            fail_msg("pgdbm %s: expected exit code 2 and an error, came %d and '%s'", wrong[i], tool->code, tool->err);
    }
}

struct choice {
    const char *flags;
    const char *answers; /* the same, for a pipe */
    const char *pattern;
    const char *call; /* what its code must call */
};

static const struct choice choices[] = {
    {"--library yes", "yes", "dual-mode", "pgdbm_module_open"},
    {"--library no --services 1", "no\n1", "standalone", "pgdbm_open"},
    {"--library no --services 3 --same-process yes", "n\n3\ny", "shared-pool", "pgdbm_attach"},
    {"--library no --services 3 --same-process no", "n\n3\nn", "standalone", "pgdbm_open"},
};

static void check_choice(const struct tool *tool, const struct choice *choice)
{
    json_error_t where;
    assert_code(tool, 0);
    json_t *answer = json_loads(tool->out, 0, &where);
    if (answer == NULL)
        fail_msg("line %d: %s\n%s", where.line, where.text, tool->out);
    assert_string_equal(json_string_value(json_object_get(answer, "pattern")), choice->pattern);
    assert_contains(json_string_value(json_object_get(answer, "code")), choice->call);
    assert_true(strlen(json_string_value(json_object_get(answer, "why"))) > 20);
    assert_true(json_array_size(json_object_get(answer, "wrong_if")) > 0);
    json_decref(answer);
}

static void choose_finds_the_pattern_by_flags(void **state)
{
    struct tool *tool = *state;
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        tool_run(tool, "choose --json %s", choices[i].flags);
        check_choice(tool, &choices[i]);
    }
}

static void choose_asks_and_reads_answers_from_a_pipe(void **state)
{
    struct tool *tool = *state;
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        tool->answers = choices[i].answers;
        tool_run(tool, "choose --json");
        check_choice(tool, &choices[i]);
        assert_contains(tool->err, "Will other programs link this code?");
    }
}

static void choose_asks_again_after_an_answer_it_cannot_read(void **state)
{
    struct tool *tool = *state;
    tool->answers = "perhaps\nyes\n";
    tool_run(tool, "choose --json");
    check_choice(tool, &choices[0]);
    assert_contains(tool->err, "please answer yes or no");
}

static void choose_without_an_answer_says_how_to_give_it(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "choose --library no --services 3");
    assert_code(tool, 2);
    assert_contains(tool->err, "--same-process is missing");
    assert_string_equal(tool->out, "");
}

static void choose_prints_pattern_reason_and_code_for_people(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "choose --library no --services 12 --same-process yes");
    assert_code(tool, 0);
    assert_contains(tool->out, "Why");
    assert_contains(tool->out, "pgdbm_pool_open");
    assert_contains(tool->out, "docs/choosing-a-pattern.md");
    tool_run(tool, "choose --library yes --code");
    assert_code(tool, 0);
    assert_contains(tool->out, "#include <pgdbm/pgdbm.h>");
    assert_null(strstr(tool->out, "Why"));
}

static void a_password_at_the_wrong_place_is_not_repeated(void **state)
{
    struct tool *tool = *state;
    static const char *const wrong[] = {
        "postgresql://me:secret@host/x",
        "migrate postgresql://me:secret@host/x",
        "migrate apply postgresql://me:secret@host/x",
        "migrate apply 'host=h password=secret'",
        "'host=h password=secret'",
        "migrate apply --postgresql://me:secret@host/x",
        "migrate apply --ulr=postgresql://me:secret@host/x",
        "db drop postgresql://me:secret@host/x --yes",
    };
    tool_refuses_all(tool, wrong, sizeof wrong / sizeof *wrong);
}

int main(void)
{
#define WITH_TOOL(test) cmocka_unit_test_setup_teardown(test, tool_setup, tool_teardown)
    const struct CMUnitTest tests[] = {
        WITH_TOOL(help_names_every_command_and_exit_code),
        WITH_TOOL(help_about_help_is_help),
        WITH_TOOL(json_has_the_error_of_a_malformed_address),
        WITH_TOOL(every_command_has_a_help_of_its_own_with_an_example),
        WITH_TOOL(an_unknown_word_in_a_long_list_of_commands_is_answered),
        WITH_TOOL(the_version_is_printed),
        WITH_TOOL(a_password_at_the_wrong_place_is_not_repeated),
        WITH_TOOL(mistyped_words_are_answered_with_what_was_meant),
        WITH_TOOL(an_option_before_the_command_that_lacks_its_value_is_told_once),
        WITH_TOOL(words_of_other_tools_are_answered_with_ours),
        WITH_TOOL(wrong_usage_is_two_and_nothing_is_contacted),
        WITH_TOOL(choose_finds_the_pattern_by_flags),
        WITH_TOOL(choose_asks_and_reads_answers_from_a_pipe),
        WITH_TOOL(choose_asks_again_after_an_answer_it_cannot_read),
        WITH_TOOL(choose_without_an_answer_says_how_to_give_it),
        WITH_TOOL(choose_prints_pattern_reason_and_code_for_people),
    };
    return cmocka_run_group_tests_name("usage", tests, NULL, NULL);
}
