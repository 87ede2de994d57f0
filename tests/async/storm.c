/* SPDX-License-Identifier: MIT */
/* The book of a storm: what was asked, how it ended, and whether the table agrees. */
#include "async/storm.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

struct storm storm = {.lock = PTHREAD_MUTEX_INITIALIZER};

uint64_t storm_random(uint64_t *random, uint64_t limit)
{
    uint64_t x = *random += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (x ^ (x >> 31)) % limit;
}

void storm_complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    pthread_mutex_lock(&storm.lock);
    if (storm.complaint[0] == '\0')
        vsnprintf(storm.complaint, sizeof storm.complaint, format, arguments);
    pthread_mutex_unlock(&storm.lock);
    va_end(arguments);
}

void storm_check(void)
{
    pthread_mutex_lock(&storm.lock);
    bool fine = storm.complaint[0] == '\0';
    pthread_mutex_unlock(&storm.lock);
    if (!fine)
        fail_msg("%s\n(again with PGDBM_STRESS_SEED=%llu)", storm.complaint, (unsigned long long)storm.seed);
}

/* --- rows --- */

int64_t storm_rows(size_t count)
{
    size_t first = atomic_fetch_add(&storm.n_rows, count) + 1;
    if (first >
        STORM_ROWS / 2) /* hands whose calls fail at once are fast: it ends early, and the rest is for what is open */
        atomic_store(&storm.stop, true);
    return first + count <= STORM_ROWS ? (int64_t)first : 0;
}

int64_t storm_row(void)
{
    return storm_rows(1);
}

void storm_settle(int64_t id, enum storm_fate fate)
{
    if (atomic_exchange(&storm.fates[id], (unsigned char)fate) != FATE_OPEN)
        storm_complain("row %lld has been settled twice", (long long)id);
}

enum storm_fate storm_both(enum storm_fate one, enum storm_fate other)
{
    if (one == FATE_UNDONE || other == FATE_UNDONE)
        return FATE_UNDONE;
    return one == FATE_DONE && other == FATE_DONE ? FATE_DONE : FATE_UNCLEAR;
}

/* Ways of failing that belong to a storm: killed, cancelled, late, refused, and what follows from those. */
static bool is_explained(pgdbm_status status, const pgdbm_error *error)
{
    static const char *const sqlstates[] = {"40001", "40P01", "25P02", "55P03", "57014", "3B001"};
    if (status != PGDBM_ERR_QUERY)
        return status == PGDBM_ERR_CONNECTION || status == PGDBM_ERR_POOL || status == PGDBM_ERR_TIMEOUT ||
               status == PGDBM_ERR_CANCELED || status == PGDBM_ERR_TRANSACTION;
    for (size_t i = 0; i < sizeof sqlstates / sizeof *sqlstates; i++)
        if (strcmp(error->sqlstate, sqlstates[i]) == 0)
            return true;
    return false;
}

enum storm_fate storm_fate_of(pgdbm_status status, const pgdbm_error *error, const char *what)
{
    if ((unsigned)status <= PGDBM_ERR_TESTDB)
        atomic_fetch_add(&storm.tally[status], 1);
    if (status == PGDBM_OK)
        return FATE_DONE;
    if (error == NULL || !is_explained(status, error)) {
        storm_complain("%s: %s %s, outcome %s: %s. %s", what, pgdbm_status_name(status),
                       error != NULL ? error->sqlstate : "", error != NULL ? pgdbm_outcome_name(error->outcome) : "",
                       error != NULL ? error->message : "no error", error != NULL ? error->detail : "");
        return FATE_UNCLEAR;
    }
    switch (error->outcome) {
    case PGDBM_OUTCOME_NOT_SENT:
    case PGDBM_OUTCOME_ROLLED_BACK:
        return FATE_UNDONE;
    case PGDBM_OUTCOME_DONE:
        return FATE_DONE;
    case PGDBM_OUTCOME_UNKNOWN:
        break;
    }
    return FATE_UNCLEAR;
}

/* --- calls --- */

struct storm_call *storm_call(struct storm_walker *walker, int64_t id,
                              void (*then)(struct storm_call *call, const pgdbm_outcome *outcome))
{
    size_t number = atomic_fetch_add(&storm.n_calls, 1);
    if (number >= STORM_CALLS)
        return NULL;
    struct storm_call *call = &storm.calls[number];
    call->walker = walker;
    call->id = id;
    call->fate = FATE_OPEN;
    call->then = then;
    atomic_store(&call->state, CALL_SUBMITTED); /* before it is: the callback may be faster than the return */
    return call;
}

bool storm_submitted(struct storm_call *call, pgdbm_status status, const pgdbm_error *error)
{
    if (status == PGDBM_OK)
        return true;
    if (atomic_exchange(&call->state, CALL_REFUSED) != CALL_SUBMITTED)
        storm_complain("a request was refused and called back");
    call->fate = FATE_UNDONE;
    if (!atomic_load(&storm.closing))
        storm_complain("a request was refused: %s", error->message);
    return false;
}

void storm_answered(const pgdbm_outcome *outcome, void *context)
{
    struct storm_call *call = context;
    int before = atomic_exchange(&call->state, CALL_ENDED);
    if (before != CALL_SUBMITTED)
        storm_complain("a request was called back %s", before == CALL_ENDED ? "twice" : "though it was refused");
    if (atomic_load(&storm.closed))
        storm_complain("a callback came after the pool was closed");
    call->fate = storm_fate_of(outcome->status, outcome->error, "a submitted request");
    int64_t number = 0;
    if (outcome->status == PGDBM_OK && outcome->result != NULL && call->id != 0 &&
        (pgdbm_result_rows(outcome->result) != 1 ||
         pgdbm_get_int64_at(outcome->result, 0, 0, &number, NULL) != PGDBM_OK || number != call->id))
        storm_complain("a request for %lld has the rows of another one: %lld", (long long)call->id, (long long)number);
    call->then(call, outcome);
}

void storm_offer(pgdbm_request *request)
{
    pthread_mutex_lock(&storm.lock);
    size_t place = storm.n_offered++ % STORM_BOX;
    pgdbm_request *before = storm.box[place];
    storm.box[place] = request;
    pthread_mutex_unlock(&storm.lock);
    pgdbm_request_release(before);
}

pgdbm_request *storm_take(uint64_t *random)
{
    size_t place = storm_random(random, STORM_BOX);
    pthread_mutex_lock(&storm.lock);
    pgdbm_request *request = storm.box[place];
    storm.box[place] = NULL;
    pthread_mutex_unlock(&storm.lock);
    return request;
}

void storm_release_box(void)
{
    for (size_t i = 0; i < STORM_BOX; i++) {
        pgdbm_request_release(storm.box[i]);
        storm.box[i] = NULL;
    }
}

/* --- before and after --- */

static uint64_t choose_seed(void)
{
    const char *text = getenv("PGDBM_STRESS_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : (uint64_t)stage_clock_ms() * 1000 + (uint64_t)getpid() % 1000;
}

void storm_begin(struct stage *stage, pgdbm_config config)
{
    size_t rows = atomic_load(&storm.n_rows) + 1;
    size_t calls = atomic_load(&storm.n_calls);
    memset((void *)storm.fates, 0, rows < STORM_ROWS ? rows : STORM_ROWS);
    memset((void *)storm.calls, 0, (calls < STORM_CALLS ? calls : STORM_CALLS) * sizeof *storm.calls);
    memset((void *)storm.tally, 0, sizeof storm.tally);
    memset(storm.walkers, 0, sizeof storm.walkers);
    storm.seed = choose_seed();
    storm.stop = storm.closing = storm.closed = storm.close_now = storm.driver_stop = false;
    storm.n_rows = storm.n_calls = storm.walking = 0;
    storm.hot_done = storm.hot_unclear = 0;
    storm.complaint[0] = '\0';
    test_psql(
        stage->url,
        "SET client_min_messages = warning; DROP TABLE IF EXISTS ledger, hot; CREATE TABLE ledger (id int8 NOT NULL); "
        "CREATE TABLE hot (id int8 PRIMARY KEY, n int8 NOT NULL DEFAULT 0); "
        "INSERT INTO hot SELECT generate_series(0, 3)");
    stage_open(stage, config);
    storm.stage = stage;
    storm.pool = stage->pool;
    storm.db = stage->db;
}

static void compare_rows(const PGresult *rows)
{
    static unsigned char times[STORM_ROWS];
    size_t n_rows = atomic_load(&storm.n_rows);
    memset(times, 0, sizeof times);
    for (int row = 0; row < PQntuples(rows); row++) {
        long long id = strtoll(PQgetvalue(rows, row, 0), NULL, 10);
        times[id] = (unsigned char)strtol(PQgetvalue(rows, row, 1), NULL, 10);
    }
    for (size_t id = 1; id <= n_rows && id < STORM_ROWS; id++) {
        enum storm_fate fate = (enum storm_fate)atomic_load(&storm.fates[id]);
        if (fate == FATE_OPEN)
            storm_complain("nobody was told what became of row %zu (it is there %d times)", id, times[id]);
        else if ((fate == FATE_DONE && times[id] != 1) || (fate == FATE_UNDONE && times[id] != 0) || times[id] > 1)
            storm_complain("row %zu was said to be %s, and is there %d times", id,
                           fate == FATE_DONE     ? "done"
                           : fate == FATE_UNDONE ? "not done"
                                                 : "unclear",
                           times[id]);
    }
}

void storm_compare(void)
{
    size_t n_calls = atomic_load(&storm.n_calls);
    for (size_t i = 0; i < n_calls && i < STORM_CALLS; i++)
        if (atomic_load(&storm.calls[i].state) == CALL_SUBMITTED)
            storm_complain("request %zu was submitted and never called back", i);
    PGconn *connection = PQconnectdb(storm.stage->url);
    PGresult *rows = PQexec(connection, "SELECT id, count(*) FROM ledger GROUP BY id");
    assert_int_equal(PQresultStatus(rows), PGRES_TUPLES_OK);
    compare_rows(rows);
    PQclear(rows);
    rows = PQexec(connection, "SELECT sum(n) FROM hot");
    long long hot = strtoll(PQgetvalue(rows, 0, 0), NULL, 10);
    long long least = atomic_load(&storm.hot_done);
    long long most = least + atomic_load(&storm.hot_unclear);
    if (hot < least || hot > most)
        storm_complain("the hot rows were incremented %lld times, and it should be %lld to %lld", hot, least, most);
    PQclear(rows);
    PQfinish(connection);
    if (getenv("PGDBM_STRESS_TALLY") != NULL) {
        print_message("%zu rows, %zu calls, %lld hot", atomic_load(&storm.n_rows), n_calls, hot);
        for (int status = 0; status <= PGDBM_ERR_TESTDB; status++)
            if (storm.tally[status] > 0)
                print_message(", %s %lld", pgdbm_status_name((pgdbm_status)status), (long long)storm.tally[status]);
        print_message("\n");
    }
    storm_check();
}
