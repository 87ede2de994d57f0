/* SPDX-License-Identifier: MIT */
/* What threads and processes do to a library: a thread may be cancelled while it waits in one of our calls, and a
 * process may fork while others are at work. */
#ifndef PGDBM_BASE_THREAD_H
#define PGDBM_BASE_THREAD_H

#include <pthread.h>
#include <stdint.h>

/* pthread_create, of a thread that takes no signals: those are for the program's threads. Faults of its own code (SIGSEGV and
 * the like) it takes, or a program's crash reporter would not be called. */
int pgdbm__thread_start(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);

/* Requests in flight lie on the stacks of the threads that wait for them, so a wait must not be left by pthread_cancel:
 * it is put off until the call has come back. Returns what pgdbm__cancel_restore wants. */
int pgdbm__cancel_defer(void);
void pgdbm__cancel_restore(int before);

/* A number that is another one in each forked child (and the same for ever in its parent). Starts to count with the
 * first call, so call it before anything that a child must not use. */
uint64_t pgdbm__process_number(void);

#endif
