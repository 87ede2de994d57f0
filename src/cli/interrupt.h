/* SPDX-License-Identifier: MIT */
/* Ctrl-C: what runs on the server is cancelled there, instead of being left to run on without anybody. Watched from the moment a
 * command has a pool; before that, and at the third signal, the program simply ends. */
#ifndef PGDBM_CLI_INTERRUPT_H
#define PGDBM_CLI_INTERRUPT_H

#include <pgdbm/db.h>

/* From now on SIGINT, SIGTERM and SIGHUP cancel what runs on the pool, and close it; every call on it fails then. Once, by the thread
 * that runs the command. What cannot be set up is left out: the signals end the program as usual. */
void pgdbm__cli_interrupt_watch(pgdbm_pool *pool);

/* For a command that ends by itself when it sees pgdbm__cli_interrupted: the first signal is only noted, the second one
 * cancels, the fourth one ends the program. */
void pgdbm__cli_interrupt_gently(void);

/* Readable from the moment when a signal cancels, for poll; -1 while nothing is watched. The thread that runs the command. */
int pgdbm__cli_interrupt_descriptor(void);

/* Whether a signal came. Any thread. */
bool pgdbm__cli_interrupted(void);

/* Ends the watch, after the command has closed what it opened. `code` as the program's, or CLI_INTERRUPTED for a command that
 * failed because of a signal, after having said what is known. */
int pgdbm__cli_interrupt_end(int code);

#endif
