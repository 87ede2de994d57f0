/* SPDX-License-Identifier: MIT */
/* Threads for tests. */
#include "db/crew.h"

#include <stdio.h>

static void *work(void *context)
{
    struct crew_hand *hand = context;
    hand->work(hand);
    return NULL;
}

void crew_start(struct crew *crew, void (*task)(struct crew_hand *hand), void *shared)
{
    assert_true(crew->size < CREW_LIMIT);
    struct crew_hand *hand = &crew->hands[crew->size];
    *hand = (struct crew_hand){.number = crew->size, .shared = shared, .work = task};
    assert_int_equal(pthread_create(&hand->thread, NULL, work, hand), 0);
    crew->size++;
}

void crew_join(struct crew *crew)
{
    const char *complaint = "";
    for (size_t i = 0; i < crew->size; i++) {
        pthread_join(crew->hands[i].thread, NULL);
        if (complaint[0] == '\0')
            complaint = crew->hands[i].complaint;
    }
    crew->size = 0;
    if (complaint[0] != '\0')
        fail_msg("%s", complaint);
}

void crew_run(size_t size, void (*task)(struct crew_hand *hand), void *shared)
{
    static struct crew crew; /* too large for some stacks; one test runs at a time */
    for (size_t i = 0; i < size; i++)
        crew_start(&crew, task, shared);
    crew_join(&crew);
}

bool crew_wants(struct crew_hand *hand, pgdbm_status wanted, pgdbm_status status, const pgdbm_error *err)
{
    char text[800] = "";
    if (status == wanted)
        return true;
    if (status != PGDBM_OK)
        pgdbm_error_format(err, text, sizeof text);
    return crew_holds(hand, false, "expected %s, came %s\n%s", pgdbm_status_name(wanted), pgdbm_status_name(status),
                      text);
}

bool crew_holds(struct crew_hand *hand, bool condition, const char *format, ...)
{
    if (condition || hand->complaint[0] != '\0')
        return condition;
    int written = snprintf(hand->complaint, sizeof hand->complaint, "thread %zu: ", hand->number);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(hand->complaint + written, sizeof hand->complaint - (size_t)written, format, arguments);
    va_end(arguments);
    return false;
}
