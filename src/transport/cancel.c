/* SPDX-License-Identifier: MIT */
/* Cancel requests. PQcancel waits without a limit until the server hangs up, and a server behind a network that swallows
 * everything never does. So it runs on a thread of its own, which is waited for as long as a slow network needs. Who gives up
 * leaves the thread everything that it uses. Any thread. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread.h"
#include "transport/transport.h"

#include <time.h>

/* Below the grace that a session has to answer (session.h): it is the connection that fails here. */
#define ANSWER_MS 3000

struct cancellation {
    PGcancel *request;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    bool over;
    bool taken;
    bool abandoned; /* nobody waits: the thread releases it */
};

static void cancellation_free(struct cancellation *cancellation)
{
    pthread_cond_destroy(&cancellation->changed);
    pthread_mutex_destroy(&cancellation->mutex);
    PQfreeCancel(cancellation->request);
    pgdbm__free(cancellation);
}

static struct cancellation *cancellation_make(PGconn *connection)
{
    pthread_condattr_t attributes;
    struct cancellation *cancellation = pgdbm__alloc_zero(1, sizeof *cancellation);
    if (cancellation == NULL)
        return NULL;
    pthread_mutex_init(&cancellation->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&cancellation->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    /* Of the caller's own: another thread may be cancelling on this connection, and give up before we do. */
    cancellation->request = PQgetCancel(connection);
    if (cancellation->request != NULL)
        return cancellation;
    cancellation_free(cancellation);
    return NULL;
}

static void *deliver(void *context)
{
    struct cancellation *cancellation = context;
    char reason[256];
    bool taken = PQcancel(cancellation->request, reason, sizeof reason) == 1;
    pthread_mutex_lock(&cancellation->mutex);
    bool abandoned = cancellation->abandoned;
    cancellation->over = true;
    cancellation->taken = taken;
    pthread_cond_signal(&cancellation->changed);
    pthread_mutex_unlock(&cancellation->mutex);
    if (abandoned)
        cancellation_free(cancellation);
    return NULL;
}

static bool start(struct cancellation *cancellation)
{
    pthread_t thread;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int failure = pgdbm__thread_start(&thread, &attributes, deliver, cancellation);
    pthread_attr_destroy(&attributes);
    return failure == 0;
}

/* Whether it is over. */
static bool attend(struct cancellation *cancellation, bool *taken)
{
    int64_t deadline = pgdbm__deadline(ANSWER_MS);
    const struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000), .tv_nsec = (long)(deadline % 1000000000)};
    pthread_mutex_lock(&cancellation->mutex);
    while (!cancellation->over && pgdbm__now_ns() < deadline)
        pthread_cond_timedwait(&cancellation->changed, &cancellation->mutex, &until);
    bool over = cancellation->over;
    *taken = cancellation->taken;
    cancellation->abandoned = !over;
    pthread_mutex_unlock(&cancellation->mutex);
    return over;
}

bool pgdbm__transport_cancel(struct pgdbm__transport *transport)
{
    bool taken = false;
    if (transport->operations != NULL)
        return transport->operations->cancel(transport);
    struct cancellation *cancellation = transport->connection != NULL ? cancellation_make(transport->connection) : NULL;
    if (cancellation == NULL)
        return false;
    if (!start(cancellation) || attend(cancellation, &taken))
        cancellation_free(cancellation);
    else
        pgdbm__transport_shutdown(transport);
    return taken;
}
