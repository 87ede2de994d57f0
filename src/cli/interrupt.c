/* SPDX-License-Identifier: MIT */
/* Signals are noted by a handler, which wakes a thread; only that may close a pool. */
#include "interrupt.h"

#include "command.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

/* SIGHUP: the terminal or the connection to it has gone, and with it who would cancel later. */
enum { N_SIGNALS = 3 };
static const int numbers[N_SIGNALS] = {SIGINT, SIGTERM, SIGHUP};

/* So many more than what cancels end the program at once, for a server that cannot be reached to cancel. A key that is hit twice
 * must not: the program would be gone before the server knows, and the statement and its locks would stay there. */
enum { INSISTING = 2 };

static atomic_int signals;   /* that came: written by the handler, in whatever thread it runs */
static atomic_int patience;  /* so many are only noted: read by the handler */
static atomic_int wake = -1; /* where the handler writes */

/* The rest belongs to the thread that runs the command, but for `pool`, which the watcher closes. */
static pgdbm_pool *pool;
/* Keeps the pool's handle alive while it is closed from two sides. */
static pgdbm_db *keeper;
static pthread_t watcher;
static int pipe_ends[2];

static void note(int signal_number)
{
    int kept = errno;
    int before = atomic_fetch_add(&signals, 1);
    if (before >= patience + INSISTING) {
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    } else if (before >= patience) {
        ssize_t written = write(wake, "!", 1);
        (void)written;
    }
    errno = kept;
}

/* Ends when the pipe's other end is closed. What the handler writes stays in the pipe, for others that wait for it. */
static void *watch(void *unused)
{
    struct pollfd end = {.fd = pipe_ends[0], .events = POLLIN};
    while (poll(&end, 1, -1) < 0 && errno == EINTR)
        continue;
    if ((end.revents & POLLIN) != 0)
        pgdbm_pool_close(pool);
    return unused;
}

void pgdbm__cli_interrupt_watch(pgdbm_pool *watched)
{
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (wake >= 0 || pipe2(pipe_ends, O_CLOEXEC) != 0)
        return;
    pool = watched;
    if (pgdbm_attach(watched, NULL, &keeper, NULL) != PGDBM_OK || pthread_create(&watcher, NULL, watch, NULL) != 0) {
        pgdbm_close(keeper);
        keeper = NULL;
        close(pipe_ends[0]);
        close(pipe_ends[1]);
        return;
    }
    wake = pipe_ends[1];
    for (size_t i = 0; i < N_SIGNALS; i++) {
        struct sigaction before;
        /* Who started the program with a signal ignored wants it to go on: a shell does that with jobs in the background. */
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    }
}

void pgdbm__cli_interrupt_gently(void)
{
    patience = 1;
}

int pgdbm__cli_interrupt_descriptor(void)
{
    return wake >= 0 ? pipe_ends[0] : -1;
}

bool pgdbm__cli_interrupted(void)
{
    return signals > 0;
}

int pgdbm__cli_interrupt_end(int code)
{
    if (wake < 0)
        return code;
    for (size_t i = 0; i < N_SIGNALS; i++) {
        struct sigaction now;
        if (sigaction(numbers[i], NULL, &now) == 0 && now.sa_handler == note)
            signal(numbers[i], SIG_DFL);
    }
    wake = -1;
    close(pipe_ends[1]);
    pthread_join(watcher, NULL);
    close(pipe_ends[0]);
    pgdbm_close(keeper);
    keeper = NULL;
    if (signals == 0 || code == CLI_FINE)
        return code;
    pgdbm__cli_say_error("what was reported as done is done; the same command goes on from there",
                         "interrupted: what was under way was cancelled on the server");
    return CLI_INTERRUPTED;
}
