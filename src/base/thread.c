/* SPDX-License-Identifier: MIT */
/* Owns the number of the process, which only a fork changes. */
#include "base/thread.h"

#include <signal.h>
#include <stdatomic.h>

static _Atomic uint64_t process_number;

static void forked(void)
{
    atomic_fetch_add_explicit(&process_number, 1, memory_order_relaxed);
}

static void listen_to_forks(void)
{
    (void)pthread_atfork(NULL, NULL, forked);
}

uint64_t pgdbm__process_number(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, listen_to_forks);
    return atomic_load_explicit(&process_number, memory_order_relaxed);
}

int pgdbm__thread_start(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    static const int sent[] = {SIGABRT, SIGPROF}; /* also by others: not to hit a maker that blocks them */
    sigset_t blocked;
    sigset_t before;
    sigfillset(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before); /* a thread begins with its maker's mask */
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&blocked, faults[i]);
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++)
        if (sigismember(&before, sent[i]) == 0)
            sigdelset(&blocked, sent[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, NULL);
    int failure = pthread_create(thread, attributes, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

int pgdbm__cancel_defer(void)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

void pgdbm__cancel_restore(int before)
{
    if (before != PTHREAD_CANCEL_DISABLE)
        pthread_setcancelstate(before, NULL);
}
