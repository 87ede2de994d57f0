/* SPDX-License-Identifier: MIT */
/* Runs the program `pgdbm` as a shell would, in a directory of the test's own. */
#ifndef PGDBM_TESTS_CLI_TOOL_H
#define PGDBM_TESTS_CLI_TOOL_H

#include "support/server.h"

#include <sys/types.h>

struct tool {
    char directory[TEST_PATH_BYTES]; /* its working directory */
    char url[512];                   /* DATABASE_URL for it; "" for none */
    const char *answers;             /* its standard input; NULL for none */
    char out[65536], err[16384];
    int code; /* the exit code of the last run */
};

/* For cmocka: an empty directory and no database; everything is removed. */
int tool_setup(void **state);
int tool_teardown(void **state);

/* Runs `pgdbm <arguments>`; the arguments are words for the shell, and may redirect. */
void tool_run(struct tool *tool, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Each of the commands must end with 2, an error and a hint, and repeat no "secret" that stands in it. */
void tool_refuses_all(struct tool *tool, const char *const *commands, size_t n);
/* Starts `pgdbm <words>` and does not wait; tool_wait takes its exit code and outputs. */
pid_t tool_start(struct tool *tool, const char *words);
void tool_wait(struct tool *tool, pid_t child);
/* Runs `pgdbm <words>` on a terminal; what it shows there is in `out`. */
void tool_run_on_terminal(struct tool *tool, const char *words);
/* Runs a shell command in the working directory, $PGDBM being the program, or fails the test unless it ends well. */
void tool_shell(const struct tool *tool, const char *command);
/* A file below the working directory; folders are made. */
void tool_write(struct tool *tool, const char *file, const char *text);

/* The text of a file below the working directory; the caller's. */
char *tool_read(const struct tool *tool, const char *file);

/* The commands that `pgdbm help` lists, and the options ("--dir") that the help of one of them lists: how many. */
enum { TOOL_NAME_BYTES = 64, TOOL_MAX_NAMES = 128 };
size_t tool_commands(struct tool *tool, char names[][TOOL_NAME_BYTES], size_t max);
size_t tool_options(struct tool *tool, const char *command, char names[][TOOL_NAME_BYTES], size_t max);

/* Fails the test with both outputs unless the program ended with this code. */
#define assert_code(tool, wanted) tool_expect((tool), (wanted), __FILE__, __LINE__)
void tool_expect(const struct tool *tool, int wanted, const char *file, int line);

#endif
