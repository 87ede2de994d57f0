/* SPDX-License-Identifier: MIT */
/* The scripts that complete commands: in bash always, in zsh and fish where they are installed. */
#include "cli/tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char project[] = "[environments.dev]\nurl = \"postgresql:///here\"\n"
                              "[environments.staging]\nurl = \"postgresql://${NO_SUCH_VARIABLE_HERE}/there\"\n"
                              "[modules.users]\n[modules.orders]\n[modules.$(touch${IFS}broken)]\n";

static int set_up(void **state)
{
    tool_setup(state);
    struct tool *tool = *state;
    tool_write(tool, "pgdbm.conf", project);
    tool_write(tool, "elsewhere.conf", "[modules.invoices]\n");
    tool_write(tool, "folder/file.sql", "select 1;\n");
    /* The words are as bash cuts them; the last is the one at the cursor. */
    tool_write(tool, "ask.bash",
               "source ./script.bash\nCOMP_WORDS=(\"$PROGRAM\" \"$@\")\nCOMP_CWORD=$#\n_pgdbm\n"
               "for word in \"${COMPREPLY[@]}\"; do printf '<%s>' \"$word\"; done\n");
    tool_shell(tool, "\"$PGDBM\" completion bash >script.bash");
    return 0;
}

/* What bash offers behind these words of a shell, as <a><b>. */
static const char *ask(struct tool *tool, const char *words)
{
    tool_run(tool, "--version >/dev/null && PROGRAM='" PGDBM_PROGRAM "' bash -u ask.bash %s", words);
    assert_code(tool, 0);
    if (tool->err[0] != '\0')
        fail_msg("%s: bash said: %s", words, tool->err);
    return tool->out;
}

static void expect(struct tool *tool, const char *words, const char *wanted)
{
    const char *offered = ask(tool, words);
    if (strcmp(offered, wanted) != 0)
        fail_msg("pgdbm %s: expected '%s', came '%s'", words, wanted, offered);
}

static void bash_completes_the_words_of_commands(void **state)
{
    struct tool *tool = *state;
    expect(tool, "migr", "<migrate>");
    expect(tool, "migrate ro", "<rollback>");
    expect(tool, "--quiet migrate ro", "<rollback>");
    expect(tool, "--config pgdbm.conf --env = dev migrate ro", "<rollback>");
    expect(tool, "help migrate ro", "<rollback>");
    expect(tool, "completion ''", "<bash><zsh><fish>");
    expect(tool, "migrate apply ''", "");
    expect(tool, "nothing ro", "");
}

static void bash_completes_every_command_and_every_option(void **state)
{
    struct tool *tool = *state;
    static char commands[TOOL_MAX_NAMES][TOOL_NAME_BYTES], options[TOOL_MAX_NAMES][TOOL_NAME_BYTES];
    size_t n_commands = tool_commands(tool, commands, TOOL_MAX_NAMES);
    for (size_t i = 0; i < n_commands; i++) {
        char wanted[TOOL_NAME_BYTES + 2];
        char words[128];
        const char *space = strchr(commands[i], ' ');
        snprintf(words, sizeof words, "%.*s ''", space != NULL ? (int)(space - commands[i]) : 0, commands[i]);
        snprintf(wanted, sizeof wanted, "<%s>", space != NULL ? space + 1 : commands[i]);
        assert_contains(ask(tool, words), wanted);
        size_t n_options = tool_options(tool, commands[i], options, TOOL_MAX_NAMES);
        snprintf(words, sizeof words, "%s --", commands[i]);
        ask(tool, words);
        for (size_t j = 0; j < n_options; j++) {
            snprintf(wanted, sizeof wanted, "<%s>", options[j]);
            if (strstr(tool->out, wanted) == NULL)
                fail_msg("pgdbm %s: %s is missing in %s", words, wanted, tool->out);
        }
    }
}

static void bash_completes_the_values_of_options(void **state)
{
    struct tool *tool = *state;
    expect(tool, "choose --library ''", "<yes><no>");
    expect(tool, "choose --library =", "<yes><no>");
    expect(tool, "choose --library = n", "<no>");
    expect(tool, "migrate apply --schema ''", "");
    expect(tool, "migrate apply --dir fo", "<folder>");
    expect(tool, "--config else", "<elsewhere.conf>");
    expect(tool, "migrate apply --config else", "<elsewhere.conf>");
    /* A connection string is several words for bash. */
    expect(tool, "migrate apply --url postgresql : //here/x?a = b --modu", "<--module>");
}

static void bash_completes_names_of_the_project(void **state)
{
    struct tool *tool = *state;
    expect(tool, "migrate apply --module us", "<users>");
    expect(tool, "migrate create --module ''", "<users><orders>");
    expect(tool, "--env st", "<staging>");
    expect(tool, "migrate status --env = ''", "<dev><staging>");
    expect(tool, "migrate apply --config elsewhere.conf --module ''", "<invoices>");
    expect(tool, "migrate apply --config nowhere.conf --module ''", "");
}

static void a_name_that_a_shell_would_run_is_not_offered(void **state)
{
    struct tool *tool = *state;
    char path[TEST_PATH_BYTES + 16];
    tool_run(tool, "__complete modules");
    assert_code(tool, 0);
    assert_string_equal(tool->out, "users\norders\n");
    expect(tool, "migrate apply --module '$'", "");
    snprintf(path, sizeof path, "%s/broken", tool->directory);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void the_helper_of_the_scripts_is_silent_about_what_is_wrong(void **state)
{
    struct tool *tool = *state;
    static const char *const words[] = {"--config nowhere.conf __complete modules", "--env nowhere __complete modules",
                                        "__complete", "__complete what", "__complete modules surplus"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        tool_run(tool, "%s", words[i]);
        assert_code(tool, 0);
        assert_string_equal(tool->err, "");
    }
    tool_write(tool, "pgdbm.conf", "[modules.users]\n[mod");
    tool_run(tool, "__complete modules");
    assert_code(tool, 0);
    assert_string_equal(tool->err, "");
}

static bool is_installed(const char *shell)
{
    char command[64];
    snprintf(command, sizeof command, "command -v %s >/dev/null", shell);
    return system(command) == 0;
}

static void zsh_can_read_its_script(void **state)
{
    struct tool *tool = *state;
    if (!is_installed("zsh"))
        skip();
    /* A stand-in for _arguments notes what the script says of a command. */
    tool_write(
        tool, "ask.zsh",
        "compdef() { : }\nsource ./script.zsh\n_describe() { print -rl -- $names }\ncompadd() { print -rl -- $names }\n"
        "_arguments() { if [[ $1 == -C ]]; then state=$at[1]; words=($words[2,-1]); shift at; return 1; "
        "else print -rl -- \"$@\"; fi }\n"
        "at=(rest first); words=(pgdbm migrate); _pgdbm\n"
        "at=(rest rest); words=(pgdbm migrate apply); _pgdbm\n"
        "pgdbm_words=(\"$PROGRAM\" migrate apply); _pgdbm_names modules\n");
    tool_run(tool, "completion zsh >script.zsh && zsh -n script.zsh && PROGRAM='" PGDBM_PROGRAM "' zsh -f ask.zsh");
    assert_code(tool, 0);
    assert_string_equal(tool->err, "");
    assert_contains(tool->out, "rollback:Undo applied migrations");
    assert_contains(tool->out,
                    "--dir=[Where the files are (default: the module's, else migrations)]:DIRECTORY:_files -/");
    assert_contains(tool->out, "users\norders\n");
}

static void fish_completes_words_options_and_names(void **state)
{
    struct tool *tool = *state;
    static const struct {
        const char *line, *offered;
    } lines[] = {{"pgdbm migr", "migrate\t"},
                 {"pgdbm migrate ro", "rollback\t"},
                 {"pgdbm --env dev help migrate ro", "rollback\t"},
                 {"pgdbm migrate apply --modu", "--module\t"},
                 {"pgdbm choose --library n", "no"},
                 {"$PROGRAM migrate apply --module us", "users"},
                 {"$PROGRAM --env st", "staging"},
                 {"pgdbm migrate apply --dir fo", "folder/"}};
    if (!is_installed("fish"))
        skip();
    tool_shell(tool, "\"$PGDBM\" completion fish >script.fish && fish --no-execute script.fish");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        tool_run(tool,
                 "--version >/dev/null && PROGRAM='" PGDBM_PROGRAM
                 "' HOME=. fish -c 'source script.fish; complete -C \"%s\"'",
                 lines[i].line);
        assert_code(tool, 0);
        if (strncmp(tool->out, lines[i].offered, strlen(lines[i].offered)) != 0)
            fail_msg("%s: expected '%s', came '%s'", lines[i].line, lines[i].offered, tool->out);
    }
}

int main(void)
{
#define WITH_TOOL(test) cmocka_unit_test_setup_teardown(test, set_up, tool_teardown)
    const struct CMUnitTest tests[] = {
        WITH_TOOL(bash_completes_the_words_of_commands),
        WITH_TOOL(bash_completes_every_command_and_every_option),
        WITH_TOOL(bash_completes_the_values_of_options),
        WITH_TOOL(bash_completes_names_of_the_project),
        WITH_TOOL(a_name_that_a_shell_would_run_is_not_offered),
        WITH_TOOL(the_helper_of_the_scripts_is_silent_about_what_is_wrong),
        WITH_TOOL(zsh_can_read_its_script),
        WITH_TOOL(fish_completes_words_options_and_names),
    };
    return cmocka_run_group_tests_name("completion", tests, NULL, NULL);
}
