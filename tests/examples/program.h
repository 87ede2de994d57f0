/* SPDX-License-Identifier: MIT */
/* Programs under test, and conversations with them by lines. Everything fails the test when it does not happen within a
 * limit against hangs. Only the thread that runs the tests calls these. */
#ifndef PGDBM_TESTS_EXAMPLES_PROGRAM_H
#define PGDBM_TESTS_EXAMPLES_PROGRAM_H

#include "db/stage.h"

#include <sys/types.h>

/* What comes by a descriptor, a line at a time. */
struct lines {
    int fd;
    size_t bytes;
    char text[8192];
};

struct program {
    pid_t pid; /* 0: none runs */
    int input; /* -1: closed */
    struct lines output;
};

/* Starts it with DATABASE_URL set; `argument` may be NULL. */
void program_start(struct program *program, const char *path, const char *argument, const char *url);
void program_write(struct program *program, const char *text);
void program_end_input(struct program *program);
/* Sends a signal (0: none), waits for its end, and gives its exit status; 128 and more for a signal. */
int program_finish(struct program *program, int signal);

/* The next line, without its end, valid until the next call; NULL at the end. */
const char *lines_next(struct lines *lines);
/* The next line is this one. */
void lines_expect(struct lines *lines, const char *expected);
/* There is no further line. */
void lines_expect_end(struct lines *lines);

/* A connection to 127.0.0.1, and sending on it. */
void lines_connect(struct lines *lines, int port);
void lines_send(struct lines *lines, const char *text, size_t bytes);
void lines_say(struct lines *lines, const char *line);
void lines_close(struct lines *lines);

#endif
