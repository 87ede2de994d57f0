/* SPDX-License-Identifier: MIT */
/* The manual page says what help says, in roff that formatters have nothing to say about. */
#include "cli/tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_installed(const char *program)
{
    char command[64];
    snprintf(command, sizeof command, "command -v %s >/dev/null", program);
    return system(command) == 0;
}

/* `text` as the page writes it; dashes only. */
static void write_dashes(const char *text, char *roff, size_t bytes)
{
    size_t n = 0;
    for (; *text != '\0' && n + 2 < bytes; text++) {
        if (*text == '-')
            roff[n++] = '\\';
        roff[n++] = *text;
    }
    roff[n] = '\0';
}

/* Whether it stands in the section that begins here. */
static bool stands_in(const char *section, const char *text)
{
    const char *end = strstr(section + 1, "\n.S");
    const char *found = strstr(section, text);
    return found != NULL && (end == NULL || found < end);
}

static void the_manual_has_every_command_with_its_options(void **state)
{
    struct tool *tool = *state;
    static char commands[TOOL_MAX_NAMES][TOOL_NAME_BYTES], options[TOOL_MAX_NAMES][TOOL_NAME_BYTES];
    tool_shell(tool, "\"$PGDBM\" __manual >page");
    char *page = tool_read(tool, "page");
    const char *common = strstr(page, ".SH OPTIONS"); /* of all commands */
    assert_non_null(common);
    size_t n_commands = tool_commands(tool, commands, TOOL_MAX_NAMES);
    for (size_t i = 0; i < n_commands; i++) {
        char roff[2 * TOOL_NAME_BYTES];
        char heading[2 * TOOL_NAME_BYTES + 8];
        write_dashes(commands[i], roff, sizeof roff);
        snprintf(heading, sizeof heading, ".SS %s", roff);
        const char *section = strstr(page, heading);
        if (section == NULL)
            fail_msg("the manual has no %s", heading);
        size_t n_options = tool_options(tool, commands[i], options, TOOL_MAX_NAMES);
        for (size_t j = 0; j < n_options; j++) {
            write_dashes(options[j], roff, sizeof roff);
            snprintf(heading, sizeof heading, "\\fB%s\\fR", roff);
            if (!stands_in(section, heading) && !stands_in(common, heading))
                fail_msg("the manual has no %s of %s", options[j], commands[i]);
        }
    }
    free(page);
}

static void the_manual_has_exit_codes_environment_and_files(void **state)
{
    struct tool *tool = *state;
    static const char *const pieces[] = {
        ".SH NAME",          ".SH SYNOPSIS", ".SH \"EXIT STATUS\"", ".SH ENVIRONMENT",
        ".SH FILES",         "DATABASE_URL", "pgdbm.conf",          "\\fB4\\fR\nthe server could not be reached",
        PGDBM_VERSION_STRING};
    tool_shell(tool, "\"$PGDBM\" __manual >page");
    char *page = tool_read(tool, "page");
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        assert_contains(page, pieces[i]);
    free(page);
}

static void formatters_have_nothing_to_say_about_the_manual(void **state)
{
    struct tool *tool = *state;
    if (!is_installed("groff") && !is_installed("mandoc"))
        skip();
    tool_run(tool,
             "__manual >page && if command -v groff >/dev/null; then groff -ww -man -Tutf8 -z page; fi >said 2>&1"
             " && if command -v mandoc >/dev/null; then mandoc -T lint -W warning page; fi >>said 2>&1; cat said");
    assert_code(tool, 0);
    assert_string_equal(tool->out, "");
}

int main(void)
{
#define WITH_TOOL(test) cmocka_unit_test_setup_teardown(test, tool_setup, tool_teardown)
    const struct CMUnitTest tests[] = {
        WITH_TOOL(the_manual_has_every_command_with_its_options),
        WITH_TOOL(the_manual_has_exit_codes_environment_and_files),
        WITH_TOOL(formatters_have_nothing_to_say_about_the_manual),
    };
    return cmocka_run_group_tests_name("manual", tests, NULL, NULL);
}
