/* SPDX-License-Identifier: MIT */
/* Hands that make the weather: those who wait for futures, cancel, kill, listen and drive. */
#include "async/storm.h"

#include <libpq-fe.h>

static bool is_over(void)
{
    return atomic_load(&storm.stop) || atomic_load(&storm.closed);
}

static void pause_us(uint64_t *random, unsigned most)
{
    usleep(1 + (useconds_t)storm_random(random, most));
}

/* --- futures --- */

struct promise {
    pgdbm_future *future;
    int64_t id;
    bool writes;
};

static bool promise(uint64_t *random, struct promise *promise)
{
    pgdbm_error err;
    promise->writes = storm_random(random, 2) == 0;
    promise->id = promise->writes ? storm_row() : 1 + (int64_t)storm_random(random, 1 << 30);
    bool limited = storm_random(random, 3) == 0;
    const pgdbm_call call = {.timeout_ms = limited ? 1 + (int)storm_random(random, 10) : 0};
    pgdbm_status status = pgdbm_future_new(storm.pool, &promise->future, &err);
    if (status == PGDBM_OK)
        status = pgdbm_submit_with(storm.db, &call, promise->writes ? STORM_INSERT : "SELECT $1::int8",
                                   pgdbm_args(promise->id), pgdbm_future_done, promise->future, NULL, &err);
    if (status == PGDBM_OK)
        return true;
    if (!atomic_load(&storm.closing))
        storm_complain("a request with a future was refused: %s", err.message);
    if (pgdbm_future_wait(promise->future, -1) != NULL)
        storm_complain("a future has the outcome of a request that was refused");
    pgdbm_future_free(promise->future);
    if (promise->writes)
        storm_settle(promise->id, FATE_UNDONE);
    return false;
}

static void keep_promise(uint64_t *random, struct promise *promise)
{
    enum storm_fate fate = FATE_UNCLEAR;
    if (storm_random(random, 8) != 0) {
        const pgdbm_outcome *outcome = pgdbm_future_wait(promise->future, (int)storm_random(random, 4));
        if (outcome == NULL)
            outcome = pgdbm_future_wait(promise->future, -1);
        int64_t number = 0;
        if (outcome == NULL || outcome != pgdbm_future_poll(promise->future))
            storm_complain("a future was waited for and has no outcome");
        else {
            fate = storm_fate_of(outcome->status, outcome->error, "a request with a future");
            if (outcome->status == PGDBM_OK &&
                (pgdbm_get_int64_at(outcome->result, 0, 0, &number, NULL) != PGDBM_OK || number != promise->id))
                storm_complain("a future for %lld has %lld", (long long)promise->id, (long long)number);
        }
    }
    if (promise->writes)
        storm_settle(promise->id, fate);
    pgdbm_future_free(promise->future);
}

/* A transaction that nobody looks at rolls itself back. */
static void forget_transaction(void)
{
    pgdbm_error err;
    pgdbm_future *future = NULL;
    if (pgdbm_future_new(storm.pool, &future, &err) == PGDBM_OK)
        (void)pgdbm_begin_async(storm.db, NULL, pgdbm_future_done, future, &err);
    pgdbm_future_free(future);
}

void storm_hand_waits(struct crew_hand *hand)
{
    uint64_t random = storm.seed + 2000 + hand->number;
    struct promise promises[6];
    while (!is_over()) {
        size_t count = 0;
        size_t wanted = 1 + storm_random(&random, 6);
        while (count < wanted && promise(&random, &promises[count]))
            count++;
        if (storm_random(&random, 20) == 0)
            forget_transaction();
        while (count > 0) {
            size_t chosen = storm_random(&random, count);
            keep_promise(&random, &promises[chosen]);
            promises[chosen] = promises[--count];
        }
    }
}

/* --- cancelling and killing --- */

void storm_hand_cancels(struct crew_hand *hand)
{
    uint64_t random = storm.seed + 3000 + hand->number;
    while (!is_over()) {
        pgdbm_request *request = storm_take(&random);
        pgdbm_cancel(request);
        pgdbm_request_release(request);
        pause_us(&random, 1000);
    }
}

void storm_hand_kills(struct crew_hand *hand)
{
    uint64_t random = storm.seed + 4000 + hand->number;
    PGconn *connection = PQconnectdb(storm.stage->url);
    while (!is_over()) {
        pause_us(&random, 120000);
        PGresult *result = PQexec(connection, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                                              "datname = current_database() AND application_name = 'pgdbm' "
                                              "ORDER BY random() LIMIT 1");
        crew_holds(hand, PQresultStatus(result) == PGRES_TUPLES_OK, "%s", PQerrorMessage(connection));
        PQclear(result);
    }
    PQfinish(connection);
}

/* --- listening --- */

struct ear {
    atomic_int ready; /* 0: not heard yet */
};

static void hear(const pgdbm_event *event, void *context)
{
    struct ear *ear = context;
    int before = atomic_load(&ear->ready);
    if (atomic_load(&storm.closed))
        storm_complain("an event came after the pool was closed");
    if ((event->kind == PGDBM_EVENT_READY) != (before == 0))
        storm_complain("a listener heard event %d %s READY", (int)event->kind, before == 0 ? "before" : "after");
    if (event->kind == PGDBM_EVENT_NOTIFICATION && strcmp(event->payload, "storm") != 0)
        storm_complain("a listener heard \"%s\"", event->payload);
    if (strcmp(event->channel, "storm") != 0)
        storm_complain("a listener heard of channel \"%s\"", event->channel);
    atomic_store(&ear->ready, 1);
}

void storm_hand_listens(struct crew_hand *hand)
{
    static struct ear ears[4096]; /* an event may be on its way when its listener ends */
    uint64_t random = storm.seed + 5000 + hand->number;
    memset((void *)ears, 0, sizeof ears);
    for (size_t i = 0; i < 4096 && !is_over(); i++) {
        pgdbm_listener *listener = NULL;
        pgdbm_error err;
        pgdbm_status status = pgdbm_listen(storm.db, "storm", hear, &ears[i], &listener, &err);
        if (status != PGDBM_OK && !atomic_load(&storm.closing))
            storm_complain("pgdbm_listen: %s", err.message);
        pause_us(&random, storm_random(&random, 4) == 0 ? 200000 : 5000);
        pgdbm_unlisten(listener);
    }
}

/* --- driving --- */

void storm_hand_drives(struct crew_hand *hand)
{
    uint64_t random = storm.seed + 6000 + hand->number;
    static const int timeouts[] = {-1, -1, 5, 1, 0};
    while (!atomic_load(&storm.driver_stop) && !atomic_load(&storm.closed))
        (void)pgdbm_dispatch(storm.pool, timeouts[storm_random(&random, 5)]);
}
