/* SPDX-License-Identifier: MIT */
/* The program under test, through a shell. One thread. */
#include "cli/tool.h"

#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int shell(const char *command)
{
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int tool_setup(void **state)
{
    struct tool *tool = calloc(1, sizeof *tool);
    assert_non_null(tool);
    test_directory_make("cli", tool->directory);
    assert_int_equal(chmod(tool->directory, 0755), 0); /* a server may run as another user */
    *state = tool;
    return 0;
}

int tool_teardown(void **state)
{
    struct tool *tool = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", tool->directory);
    int code = shell(command);
    free(tool);
    return code;
}

static void read_file(const struct tool *tool, const char *name, char *text, size_t bytes)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", tool->directory, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t length = fread(text, 1, bytes - 1, file);
    text[length] = '\0';
    fclose(file);
}

/* `exec` before the program, where the shell shall become it. */
static void write_command(struct tool *tool, const char *before, const char *words, char *command, size_t bytes)
{
    if (tool->answers != NULL)
        tool_write(tool, "in", tool->answers);
    snprintf(command, bytes,
             "cd '%s' && unset PGDBM_SCHEMA DATABASE_URL && { test -z '%s' || export DATABASE_URL='%s'; } && "
             "%s '%s' %s >out 2>err <%s",
             tool->directory, tool->url, tool->url, before, PGDBM_PROGRAM, words,
             tool->answers != NULL ? "in" : "/dev/null");
}

static void read_outputs(struct tool *tool)
{
    read_file(tool, "out", tool->out, sizeof tool->out);
    read_file(tool, "err", tool->err, sizeof tool->err);
}

void tool_run(struct tool *tool, const char *format, ...)
{
    char words[2048];
    char command[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    write_command(tool, "", words, command, sizeof command);
    tool->code = shell(command);
    read_outputs(tool);
}

void tool_refuses_all(struct tool *tool, const char *const *commands, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        tool_run(tool, "%s", commands[i]);
        bool told = strstr(tool->err, "secret") != NULL || strstr(tool->out, "secret") != NULL;
        if (tool->code != 2 || strstr(tool->err, "hint: ") == NULL || told)
            fail_msg("pgdbm %s: expected exit code 2, an error with a hint, and no password, came %d and %s%s",
                     commands[i], tool->code, tool->out, tool->err);
    }
}

pid_t tool_start(struct tool *tool, const char *words)
{
    char command[4096];
    write_command(tool, "exec", words, command, sizeof command);
    char name[] = "sh", option[] = "-c";
    char *const arguments[] = {name, option, command, NULL};
    pid_t child = 0;
    assert_int_equal(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ), 0);
    return child;
}

void tool_wait(struct tool *tool, pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    tool->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    read_outputs(tool);
}

void tool_run_on_terminal(struct tool *tool, const char *words)
{
    char script[4096];
    char command[4096];
    tool->answers = NULL;
    write_command(tool, "exec", words, command, sizeof command);
    char *redirection = strstr(command, " >out 2>err");
    assert_non_null(redirection);
    *redirection = '\0';
    tool_write(tool, "run.sh", command);
    snprintf(script, sizeof script, "cd '%s' && TERM=xterm script -qec 'sh run.sh' /dev/null </dev/null >out 2>err",
             tool->directory);
    tool->code = shell(script);
    read_outputs(tool);
}

void tool_shell(const struct tool *tool, const char *command)
{
    char words[4096];
    snprintf(words, sizeof words, "cd '%s' && export PGDBM='%s' && { %s; }", tool->directory, PGDBM_PROGRAM, command);
    if (shell(words) != 0)
        fail_msg("failed: %s", command);
}

void tool_write(struct tool *tool, const char *name, const char *text)
{
    char path[128];
    char command[256];
    snprintf(path, sizeof path, "%s/%s", tool->directory, name);
    snprintf(command, sizeof command, "mkdir -p \"$(dirname '%s')\"", path);
    assert_int_equal(shell(command), 0);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

char *tool_read(const struct tool *tool, const char *name)
{
    char path[128];
    char *text = NULL;
    size_t length = 0;
    snprintf(path, sizeof path, "%s/%s", tool->directory, name);
    FILE *file = fopen(path, "r");
    FILE *memory = open_memstream(&text, &length);
    assert_non_null(file);
    assert_non_null(memory);
    for (int c = getc(file); c != EOF; c = getc(file))
        putc(c, memory);
    fclose(file);
    assert_int_equal(fclose(memory), 0);
    return text;
}

size_t tool_commands(struct tool *tool, char names[][TOOL_NAME_BYTES], size_t max)
{
    size_t n = 0;
    tool_run(tool, "help");
    assert_code(tool, 0);
    const char *line = strstr(tool->out, "\nCommands\n");
    assert_non_null(line);
    line += strlen("\nCommands\n");
    while (strncmp(line, "  ", 2) == 0) {
        const char *end = strstr(line + 2, "  ");
        assert_non_null(end);
        assert_true(n < max);
        snprintf(names[n], TOOL_NAME_BYTES, "%.*s", (int)(end - line - 2), line + 2);
        n += strncmp(names[n], "help ", 5) != 0;
        line = strchr(end, '\n');
        assert_non_null(line);
        line++;
    }
    assert_true(n > 0);
    return n;
}

size_t tool_options(struct tool *tool, const char *command, char names[][TOOL_NAME_BYTES], size_t max)
{
    size_t n = 0;
    tool_run(tool, "%s --help", command);
    assert_code(tool, 0);
    for (const char *line = strstr(tool->out, "\nOptions\n"); line != NULL; line = strchr(line + 1, '\n')) {
        if (strncmp(line, "\n  --", 5) != 0)
            continue;
        assert_true(n < max);
        snprintf(names[n++], TOOL_NAME_BYTES, "%.*s", (int)strcspn(line + 3, " \n"), line + 3);
    }
    assert_true(n > 0);
    return n;
}

void tool_expect(const struct tool *tool, int wanted, const char *file, int line)
{
    if (tool->code == wanted)
        return;
    print_error("%s:%d: expected exit code %d, came %d\n--- standard output\n%s\n--- standard error\n%s\n", file, line,
                wanted, tool->code, tool->out, tool->err);
    _fail(file, line);
}
