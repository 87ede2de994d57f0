/* SPDX-License-Identifier: MIT */
/* A crew: threads that do the same thing at once. cmocka's assertions may fail in the test's own thread only, so that
 * each hand notes what went wrong and crew_join fails the test with it. */
#ifndef PGDBM_TESTS_DB_CREW_H
#define PGDBM_TESTS_DB_CREW_H

#include "db/stage.h"

#include <stdatomic.h>

#define CREW_LIMIT 64

struct crew_hand {
    size_t number;
    void *shared;
    char complaint[1024]; /* the first one; "" when all is well */
    void (*work)(struct crew_hand *hand);
    pthread_t thread;
};

struct crew {
    size_t size;
    struct crew_hand hands[CREW_LIMIT];
};

/* Starts one more hand; waits for all and fails the test with the first complaint. */
void crew_start(struct crew *crew, void (*work)(struct crew_hand *hand), void *shared);
void crew_join(struct crew *crew);
/* `size` hands at once, joined. */
void crew_run(size_t size, void (*work)(struct crew_hand *hand), void *shared);

/* For the hands: false, with a complaint, unless the status is the one wanted, or the condition holds. */
bool crew_wants(struct crew_hand *hand, pgdbm_status wanted, pgdbm_status status, const pgdbm_error *err);
bool crew_holds(struct crew_hand *hand, bool condition, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
