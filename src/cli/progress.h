/* SPDX-License-Identifier: MIT */
/* The line that shows a person how far a command is: on standard error, on a terminal only, after a second. One at a time in a
 * program. */
#ifndef PGDBM_CLI_PROGRESS_H
#define PGDBM_CLI_PROGRESS_H

#include <pgdbm/export.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether there will be a line: standard error is a terminal, and neither --quiet nor TERM=dumb say otherwise. */
bool pgdbm__cli_progress_is_shown(void);

/* What it is at: `done` of `total` (0: unknown), and a few words. The first call starts the clock. The line is drawn by a thread
 * of its own, so that it moves while a statement runs for long. Any thread. */
void pgdbm__cli_progress_say(size_t done, size_t total, const char *format, ...) PGDBM_PRINTF(3, 4);

/* Wipes the line away, before anything else is printed. The next pgdbm__cli_progress_say starts anew. */
void pgdbm__cli_progress_end(void);

#endif
