/* SPDX-License-Identifier: MIT */
/* `pgdbm new`: what it writes, what it refuses, and that nothing is left of what failed. tests/new builds the projects. */
#include "cli/tool.h"

#include <jansson.h>
#include <string.h>

static const char *const patterns[] = {"standalone", "shared-pool", "dual-mode"};
enum { N_PATTERNS = sizeof patterns / sizeof patterns[0] };

/* Everything below the working directory but the test's own files, a line for each. */
static const char *listing(struct tool *tool)
{
    static char text[4096];
    tool_shell(tool, "find . -mindepth 1 ! -name in ! -name out ! -name err ! -name list | sort >list");
    char path[TEST_PATH_BYTES + 8];
    snprintf(path, sizeof path, "%s/list", tool->directory);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void each_pattern_is_written_and_told(void **state)
{
    struct tool *tool = *state;
    static const char *const files[] = {
        "CMakeLists.txt",       "README.md",   "pgdbm.conf", ".gitignore", ".github/workflows/ci.yml",
        "tests/CMakeLists.txt", "migrations/", "src/"};
    for (size_t i = 0; i < N_PATTERNS; i++) {
        tool_run(tool, "new %s p%zu", patterns[i], i);
        assert_code(tool, 0);
        for (size_t j = 0; j < sizeof files / sizeof files[0]; j++)
            assert_contains(tool->out, files[j]);
        assert_contains(tool->out, "&& cmake --build");
        assert_contains(tool->out, "ctest --test-dir");
        assert_string_equal(tool->err, "");
        tool_shell(tool, "grep / out | grep -v '^  ' | while read -r file; do test -s \"$file\" || exit 1; done");
    }
    tool_shell(tool, "test \"$(find . -type f -name '*.sql' | wc -l)\" = 4");
}

static void quiet_writes_and_says_nothing(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "--quiet new standalone silent");
    assert_code(tool, 0);
    assert_string_equal(tool->out, "");
    assert_string_equal(tool->err, "");
    tool_shell(tool, "test -s silent/pgdbm.conf");
}

static void json_lists_the_files_and_the_next_commands(void **state)
{
    struct tool *tool = *state;
    json_error_t where;
    tool_run(tool, "new dual-mode Audit-Log --dir here --json");
    assert_code(tool, 0);
    json_t *answer = json_loads(tool->out, 0, &where);
    if (answer == NULL)
        fail_msg("line %d: %s\n%s", where.line, where.text, tool->out);
    assert_string_equal(json_string_value(json_object_get(answer, "pattern")), "dual-mode");
    assert_string_equal(json_string_value(json_object_get(answer, "name")), "Audit-Log");
    assert_string_equal(json_string_value(json_object_get(answer, "identifier")), "audit_log");
    assert_string_equal(json_string_value(json_object_get(answer, "directory")), "here");
    assert_int_equal(json_array_size(json_object_get(answer, "next")), 2);
    assert_true(json_array_size(json_object_get(answer, "files")) >= 8);
    json_decref(answer);
    assert_contains(listing(tool), "./here/include/audit_log/audit_log.h\n");
    tool_shell(tool,
               "grep -q 'name = Audit-Log' here/pgdbm.conf && grep -q AUDIT_LOG_H here/include/audit_log/audit_log.h");
}

static void names_that_cannot_be_are_refused_with_the_way_out(void **state)
{
    struct tool *tool = *state;
    static const struct {
        const char *name;
        const char *hint;
    } cases[] = {
        {"a/b", "--dir"},
        {"../x", "--dir"},
        {"/x", "--dir"},
        {"1shop", "a letter first"},
        {"_shop", "a letter first"},
        {"''", "a letter first"},
        {".", "a letter first"},
        {"..", "a letter first"},
        {"my.shop", "letters, digits"},
        {"'my shop'", "letters, digits"},
        {"sh\xc3\xb6p", "letters, digits"},
        {"'a\nb'", "letters, digits"},
        {"a2345678901234567890123456789012345678901", "40 letters"},
        {"int", "int-service"},
        {"Select", "Select-service"},
        {"user", "user-service"},
        {"public", "public-service"},
        {"test", "test-service"},
        {"pq", "pq-service"},
        {"pg_shop", "my-service"},
        {"pgdbm-shop", "my-service"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tool_run(tool, "new standalone %s", cases[i].name);
        assert_code(tool, 2);
        assert_contains(tool->err, cases[i].hint);
        assert_string_equal(tool->out, "");
        assert_string_equal(listing(tool), "");
    }
    tool_run(tool, "new standalone -x");
    assert_code(tool, 2);
    tool_run(tool, "new standalone");
    assert_code(tool, 2);
    tool_run(tool, "new");
    assert_code(tool, 2);
    tool_run(tool, "new standalon x");
    assert_contains(tool->err, "did you mean pgdbm new standalone?");
    assert_string_equal(listing(tool), "");
}

static void what_is_there_already_stays_as_it_is(void **state)
{
    struct tool *tool = *state;
    tool_write(tool, "taken/mine", "precious");
    tool_write(tool, "file", "precious");
    tool_shell(tool, "mkdir empty && ln -s empty link && ln -s nowhere dangling");
    static const char *const places[] = {"taken", "file", "link", "dangling", "taken/"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        tool_run(tool, "new standalone shop --dir %s", places[i]);
        assert_code(tool, 1);
        assert_contains(tool->err, "exists and is");
        assert_contains(tool->err, "another place");
    }
    assert_string_equal(listing(tool), "./dangling\n./empty\n./file\n./link\n./taken\n./taken/mine\n");
    tool_shell(tool, "test \"$(cat taken/mine file)\" = preciousprecious");
    tool_run(tool, "new standalone taken");
    assert_code(tool, 1);
}

static void an_empty_directory_is_filled(void **state)
{
    struct tool *tool = *state;
    tool_shell(tool, "mkdir empty");
    tool_run(tool, "new standalone shop --dir empty/");
    assert_code(tool, 0);
    assert_contains(tool->out, "empty/CMakeLists.txt\n");
    tool_shell(tool, "test -s empty/CMakeLists.txt");
}

static void places_that_cannot_be_are_errors_and_nothing_is_left(void **state)
{
    struct tool *tool = *state;
    static const struct {
        const char *place;
        const char *message;
    } cases[] = {
        {"missing/shop", "the directory above it must exist"},
        {"/dev/null/shop", "cannot"},
        {".", "names no directory"},
        {"..", "exists and is not empty"},
        {"/", "exists and is not empty"},
        {"missing/..", "names no directory"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tool_run(tool, "new standalone shop --dir %s", cases[i].place);
        if (tool->code != 1 || tool->out[0] != '\0')
            fail_msg("%s: expected exit code 1 and no answer, came %d, '%s', '%s'", cases[i].place, tool->code,
                     tool->out, tool->err);
        assert_string_equal(listing(tool), "");
    }
    char name[256];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    tool_run(tool, "new standalone shop --dir %s", name);
    assert_code(tool, 1);
    assert_contains(tool->err, "too long");
    assert_string_equal(listing(tool), "");
}

/* A limit on the size of files, as a full disk: some of the files are written before one does not fit. */
static void nothing_is_left_of_a_project_that_could_not_be_written(void **state)
{
    struct tool *tool = *state;
    for (size_t i = 0; i < N_PATTERNS; i++) {
        char command[256];
        snprintf(command, sizeof command,
                 "code=0; (ulimit -f 1; \"$PGDBM\" new %s shop >out 2>err) || code=$?; test $code = 1 && "
                 "grep -q 'cannot write' err && test ! -s out",
                 patterns[i]);
        tool_shell(tool, command);
        assert_string_equal(listing(tool), "");
    }
    tool_shell(tool, "mkdir empty");
    tool_shell(tool, "(ulimit -f 1; \"$PGDBM\" new standalone shop --dir empty 2>/dev/null) || true");
    assert_string_equal(listing(tool), "./empty\n");
}

static void the_rights_are_those_that_the_umask_leaves(void **state)
{
    struct tool *tool = *state;
    tool_shell(tool, "umask 027 && \"$PGDBM\" new standalone shop >out && test \"$(stat -c %a shop shop/src "
                     "shop/src/main.c | tr '\\n' ' ')\" = '750 750 640 '");
}

static void the_next_commands_name_the_directory_as_a_shell_reads_it(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "new standalone shop --dir \"it's here\"");
    assert_code(tool, 0);
    assert_contains(tool->out, "cmake -S 'it'\\''s here' -B 'it'\\''s here'/build");
    tool_shell(tool, "test -s \"it's here/README.md\"");
}

/* One makes it, the others find it there. */
static void of_several_at_the_same_time_one_writes(void **state)
{
    struct tool *tool = *state;
    tool_shell(tool,
               "for i in 1 2 3 4 5 6 7 8; do { \"$PGDBM\" new dual-mode shop >/dev/null 2>&1 && echo made >>list; } & "
               "done; wait; test \"$(grep -c made list)\" = 1 && test -s shop/README.md");
    tool_shell(tool, "test \"$(ls -A | grep -v -e '^list$' -e '^shop$' | wc -l)\" = 0");
}

int main(void)
{
#define WITH_TOOL(test) cmocka_unit_test_setup_teardown(test, tool_setup, tool_teardown)
    const struct CMUnitTest tests[] = {
        WITH_TOOL(each_pattern_is_written_and_told),
        WITH_TOOL(quiet_writes_and_says_nothing),
        WITH_TOOL(json_lists_the_files_and_the_next_commands),
        WITH_TOOL(names_that_cannot_be_are_refused_with_the_way_out),
        WITH_TOOL(what_is_there_already_stays_as_it_is),
        WITH_TOOL(an_empty_directory_is_filled),
        WITH_TOOL(places_that_cannot_be_are_errors_and_nothing_is_left),
        WITH_TOOL(nothing_is_left_of_a_project_that_could_not_be_written),
        WITH_TOOL(the_rights_are_those_that_the_umask_leaves),
        WITH_TOOL(the_next_commands_name_the_directory_as_a_shell_reads_it),
        WITH_TOOL(of_several_at_the_same_time_one_writes),
    };
    return cmocka_run_group_tests_name("new", tests, NULL, NULL);
}
