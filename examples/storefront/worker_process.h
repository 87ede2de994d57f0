/* SPDX-License-Identifier: MIT */
/* The worker seen from the shop: a child process, told what to do through pipes. One thread. */
#ifndef STOREFRONT_WORKER_PROCESS_H
#define STOREFRONT_WORKER_PROCESS_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

struct worker_process {
    pid_t pid;    /* 0: not running */
    int input;    /* closing it tells the worker to finish; -1: closed */
    FILE *output; /* what it says */
};

/* What the worker said at its end. */
struct worker_answer {
    long long jobs;
    long long transactions;
    long long p50;
    long long p99;
};

/* Starts the program `storefront-worker` that lies beside this one, and waits until its tables are there. False after
 * having said why. */
bool worker_start(struct worker_process *worker);

/* Tells it to finish, waits for its end. False, after having said why, when it did not end well. */
bool worker_finish(struct worker_process *worker, struct worker_answer *answer);

/* Ends a worker that is still running; fine when none is. */
void worker_end(struct worker_process *worker);

#endif
