/* SPDX-License-Identifier: MIT */
/* Observers: who is told of what, how often, and when it ends. */
#include "db/stage.h"

#include <pgdbm/batch.h>
#include <pgdbm/copy.h>
#include <pgdbm/cursor.h>
#include <pgdbm/future.h>
#include <pgdbm/observe.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* What came, as "KIND*executions/params status: sql" lines. */
struct notes {
    pthread_mutex_t lock;
    size_t count;
    char text[8192];
    int64_t affected;
    pgdbm_error error;
    bool timed;
};

static void note(const pgdbm_observation *seen, void *context)
{
    static const char *const kinds[] = {"statement", "simple", "copy", "fetch", "control"};
    struct notes *notes = context;
    pthread_mutex_lock(&notes->lock);
    size_t used = strlen(notes->text);
    snprintf(notes->text + used, sizeof notes->text - used, "%s*%zu/%zu%s%s: %s\n", kinds[seen->kind],
             seen->n_executions, seen->n_params, seen->status != PGDBM_OK ? " " : "",
             seen->status != PGDBM_OK ? pgdbm_status_name(seen->status) : "", seen->sql);
    notes->count++;
    notes->affected += seen->affected;
    notes->timed = seen->duration_ns > 0 && seen->duration_ns < INT64_C(120000000000);
    if (seen->error != NULL)
        notes->error = *seen->error;
    pthread_mutex_unlock(&notes->lock);
}

static pgdbm_observer *observe(pgdbm_db *db, struct notes *notes)
{
    pgdbm_observer *observer = NULL;
    pgdbm_error err;
    *notes = (struct notes){.lock = PTHREAD_MUTEX_INITIALIZER};
    assert_ok(pgdbm_observe(db, note, notes, &observer, &err));
    return observer;
}

static void expect(struct notes *notes, const char *text)
{
    pthread_mutex_lock(&notes->lock);
    assert_string_equal(notes->text, text);
    notes->text[0] = '\0';
    notes->count = 0;
    pthread_mutex_unlock(&notes->lock);
}

static bool take_row(const pgdbm_result *row, void *context)
{
    (void)row;
    (void)context;
    return true;
}

static void each_verb_is_told_of_once(void **state)
{
    struct stage *stage = *state;
    struct notes notes;
    pgdbm_result *rows = NULL;
    int64_t id = 0;
    pgdbm_error err;
    const pgdbm_params sets[] = {pgdbm_args(2), pgdbm_args(3)};
    stage_open(stage, (pgdbm_config){.max_connections = 1, .schema = "app"});
    stage_run(stage->db, "CREATE SCHEMA app");
    pgdbm_observer *observer = observe(stage->db, &notes);
    stage_run(stage->db, "CREATE TABLE {{tables.t}} (id int)");
    expect(&notes, "statement*1/0: CREATE TABLE \"app\".\"t\" (id int)\n");
    assert_true(notes.timed);
    assert_ok(pgdbm_insert_id(stage->db, "INSERT INTO {{tables.t}} VALUES ($1)", pgdbm_args(1), &id, &err));
    expect(&notes, "statement*1/1: INSERT INTO \"app\".\"t\" VALUES ($1) RETURNING id\n");
    assert_ok(pgdbm_execute_many(stage->db, "INSERT INTO {{tables.t}} VALUES ($1)", sets, 2, NULL, &err));
    expect(&notes, "statement*2/1: INSERT INTO \"app\".\"t\" VALUES ($1)\n");
    assert_ok(pgdbm_execute_many(stage->db, "INSERT INTO {{tables.t}} VALUES ($1)", sets, 0, NULL, &err));
    expect(&notes, "");
    assert_ok(pgdbm_fetch_all(stage->db, "SELECT id FROM {{tables.t}}", pgdbm_no_args, &rows, &err));
    pgdbm_result_free(rows);
    expect(&notes, "statement*1/0: SELECT id FROM \"app\".\"t\"\n");
    assert_int_equal(notes.affected, 1 + 2 + 3);
    assert_ok(pgdbm_stream(stage->db, "SELECT 1", pgdbm_no_args, take_row, NULL, &err));
    expect(&notes, "statement*1/0: SELECT 1\n");
    assert_ok(pgdbm_execute_simple(stage->db, "SELECT 1; SELECT 2", &err));
    expect(&notes, "simple*1/0: SELECT 1; SELECT 2\n");
    pgdbm_unobserve(observer);
    stage_run(stage->db, "SELECT 3");
    expect(&notes, "");
}

static void transactions_and_savepoints_are_told_of_as_control(void **state)
{
    struct stage *stage = *state;
    struct notes notes;
    pgdbm_db *tx = NULL, *inner = NULL, *session = NULL;
    pgdbm_error err;
    pgdbm_observer *observer = observe(stage->db, &notes);
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    stage_run(inner, "SELECT 1");
    assert_ok(pgdbm_commit(inner, &err));
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    assert_ok(pgdbm_rollback(inner, &err));
    assert_ok(pgdbm_commit(tx, &err));
    expect(&notes, "control*1/0: BEGIN\n"
                   "control*1/0: SAVEPOINT pgdbm_1\n"
                   "statement*1/0: SELECT 1\n"
                   "control*1/0: RELEASE SAVEPOINT pgdbm_1\n"
                   "control*1/0: SAVEPOINT pgdbm_1\n"
                   "control*1/0: ROLLBACK TO SAVEPOINT pgdbm_1; RELEASE SAVEPOINT pgdbm_1\n"
                   "control*1/0: COMMIT\n");
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    stage_run(session, "BEGIN");
    assert_ok(pgdbm_execute_simple(session, "ROLLBACK", &err));
    pgdbm_close(session);
    expect(&notes, "control*1/0: BEGIN\ncontrol*1/0: ROLLBACK\n");
    pgdbm_unobserve(observer);
}

static void a_failure_is_told_of_with_its_error_and_what_was_not_sent_is_not(void **state)
{
    struct stage *stage = *state;
    struct notes notes;
    pgdbm_error err;
    pgdbm_observer *observer = observe(stage->db, &notes);
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(stage->db, "SELECT 1 / $1::int", pgdbm_args(0), NULL, &err));
    expect(&notes, "statement*1/1 PGDBM_ERR_QUERY: SELECT 1 / $1::int\n");
    assert_string_equal(notes.error.sqlstate, "22012");
    assert_fails(PGDBM_ERR_SCHEMA, pgdbm_execute(stage->db, "SELECT {{nonsense}}", pgdbm_no_args, NULL, &err));
    assert_fails(PGDBM_ERR_TYPE, pgdbm_execute(stage->db, "SELECT 1 / $1::int", pgdbm_args(1, 2), NULL, &err));
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(stage->db, "BEGIN", pgdbm_no_args, NULL, &err));
    expect(&notes, "");
    pgdbm_unobserve(observer);
}

static void cursors_are_told_of_by_their_opening_and_each_fetch(void **state)
{
    struct stage *stage = *state;
    struct notes notes;
    pgdbm_cursor *cursor = NULL;
    const pgdbm_result *row = NULL;
    pgdbm_error err;
    const pgdbm_cursor_options options = {.chunk_rows = 2};
    pgdbm_observer *observer = observe(stage->db, &notes);
    assert_ok(pgdbm_cursor_open(stage->db, "SELECT generate_series(1, 3)", pgdbm_no_args, &options, &cursor, &err));
    do
        assert_ok(pgdbm_cursor_next(cursor, &row, &err));
    while (row != NULL);
    pgdbm_cursor_close(cursor);
    expect(&notes, "control*1/0: BEGIN\n"
                   "statement*1/0: SELECT generate_series(1, 3)\n"
                   "fetch*1/0: SELECT generate_series(1, 3)\n"
                   "control*1/0: COMMIT\n");
    pgdbm_unobserve(observer);
}

static pgdbm_status give_line(void *buffer, size_t bytes, size_t *filled, void *context, pgdbm_error *err)
{
    bool *given = context;
    (void)err;
    *filled = *given || bytes < 2 ? 0 : 2;
    memcpy(buffer, "1\n", *filled);
    *given = true;
    return PGDBM_OK;
}

static bool take_data(const void *data, size_t bytes, void *context)
{
    (void)data;
    *(size_t *)context += bytes;
    return true;
}

static void copies_are_told_of_when_they_are_over(void **state)
{
    struct stage *stage = *state;
    struct notes notes;
    bool given = false;
    size_t bytes = 0;
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE t (id int)");
    pgdbm_observer *observer = observe(stage->db, &notes);
    assert_ok(pgdbm_copy_in(stage->db, "COPY t FROM STDIN", give_line, &given, NULL, &err));
    assert_ok(pgdbm_copy_out(stage->db, "COPY t TO STDOUT", take_data, &bytes, NULL, &err));
    assert_int_equal(bytes, 2);
    expect(&notes, "copy*1/0: COPY t FROM STDIN\ncopy*1/0: COPY t TO STDOUT\n");
    assert_int_equal(notes.affected, 2);
    pgdbm_unobserve(observer);
}

static void each_statement_of_a_batch_is_told_of(void **state)
{
    struct stage *stage = *state;
    struct notes notes;
    pgdbm_batch *batch = NULL;
    pgdbm_error err;
    const pgdbm_batch_options independent = {.independent = true};
    pgdbm_observer *observer = observe(stage->db, &notes);
    assert_ok(pgdbm_batch_new(stage->db, &independent, &batch, &err));
    assert_ok(pgdbm_batch_add(batch, "SELECT $1::int", pgdbm_args(1), &err));
    assert_ok(pgdbm_batch_add(batch, "SELECT 1 / $1::int", pgdbm_args(0), &err));
    assert_ok(pgdbm_batch_add(batch, "SELECT no_such_column", pgdbm_no_args, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_batch_run(batch, &err));
    pgdbm_batch_free(batch);
    expect(&notes, "statement*1/1: SELECT $1::int\n"
                   "statement*1/1 PGDBM_ERR_QUERY: SELECT 1 / $1::int\n"
                   "statement*1/0 PGDBM_ERR_QUERY: SELECT no_such_column\n");
    /* As one transaction: what comes behind the failure is skipped. */
    assert_ok(pgdbm_batch_new(stage->db, NULL, &batch, &err));
    assert_ok(pgdbm_batch_add(batch, "SELECT 1 / $1::int", pgdbm_args(0), &err));
    assert_ok(pgdbm_batch_add(batch, "SELECT $1::int", pgdbm_args(1), &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_batch_run(batch, &err));
    pgdbm_batch_free(batch);
    expect(&notes, "statement*1/1 PGDBM_ERR_QUERY: SELECT 1 / $1::int\n");
    pgdbm_unobserve(observer);
}

/* The callback of a request: the observer must have been told before. */
static void look_at_notes(const pgdbm_outcome *outcome, void *context)
{
    struct notes *notes = context;
    pthread_mutex_lock(&notes->lock);
    notes->timed = notes->count > 0;
    pthread_mutex_unlock(&notes->lock);
    (void)outcome;
}

static void submitted_statements_are_told_of_before_their_callback(void **state)
{
    struct stage *stage = *state;
    struct notes notes;
    pgdbm_error err;
    pgdbm_observer *observer = observe(stage->db, &notes);
    assert_ok(pgdbm_submit(stage->db, "SELECT $1::int", pgdbm_args(1), look_at_notes, &notes, &err));
    while (pgdbm_dispatch(stage->pool, 1000) == 0)
        continue;
    assert_true(notes.timed);
    expect(&notes, "statement*1/1: SELECT $1::int\n");
    assert_ok(pgdbm_submit(stage->db, "SELECT 1 / $1::int", pgdbm_args(0), look_at_notes, &notes, &err));
    while (pgdbm_dispatch(stage->pool, 1000) == 0)
        continue;
    assert_true(notes.timed);
    expect(&notes, "statement*1/1 PGDBM_ERR_QUERY: SELECT 1 / $1::int\n");
    pgdbm_unobserve(observer);
}

static void ignore(const pgdbm_outcome *outcome, void *context)
{
    (void)outcome;
    (void)context;
}

static void run_body(pgdbm_db *tx, pgdbm_transaction *transaction, void *context)
{
    pgdbm_error err;
    if (pgdbm_submit(tx, "SELECT 1", pgdbm_no_args, ignore, context, &err) != PGDBM_OK)
        fail_msg("%s", err.message);
    pgdbm_transaction_finish(transaction, PGDBM_OK, NULL);
}

static void asynchronous_transactions_are_told_of_as_control(void **state)
{
    struct stage *stage = *state;
    struct notes notes;
    pgdbm_future *future = NULL;
    pgdbm_error err;
    pgdbm_observer *observer = observe(stage->db, &notes);
    assert_ok(pgdbm_future_new(stage->pool, &future, &err));
    assert_ok(pgdbm_transact_async(stage->db, NULL, run_body, pgdbm_future_done, future, &err));
    const pgdbm_outcome *outcome = NULL;
    while ((outcome = pgdbm_future_poll(future)) == NULL)
        (void)pgdbm_dispatch(stage->pool, 1000);
    assert_int_equal(outcome->status, PGDBM_OK);
    pgdbm_future_free(future);
    expect(&notes, "control*1/0: BEGIN\nstatement*1/0: SELECT 1\ncontrol*1/0: COMMIT\n");
    pgdbm_unobserve(observer);
}

static void managers_of_one_pool_are_told_of_together_and_other_pools_are_not(void **state)
{
    struct stage *stage = *state;
    struct notes notes;
    pgdbm_db *other = NULL, *apart = NULL;
    pgdbm_error err;
    pgdbm_config config = stage_config(stage, (pgdbm_config){.max_connections = 1});
    assert_ok(pgdbm_attach(stage->pool, "other", &other, &err));
    assert_ok(pgdbm_open(&config, &apart, &err));
    pgdbm_observer *observer = observe(stage->db, &notes);
    stage_run(other, "SELECT '{{schema}}'");
    stage_run(apart, "SELECT 1");
    expect(&notes, "statement*1/0: SELECT '\"other\"'\n");
    pgdbm_unobserve(observer);
    pgdbm_close(other);
    pgdbm_close(apart);
}

static void a_statement_that_is_left_at_its_deadline_is_told_of_once(void **state)
{
    struct stage *stage = *state;
    struct notes notes;
    pgdbm_future *future = NULL, *late = NULL;
    pgdbm_error err;
    const pgdbm_call call = {.timeout_ms = 100};
    stage_gate_shut(stage);
    stage_run(stage->db, "SELECT 1"); /* known, so that it is sent at once */
    pgdbm_observer *observer = observe(stage->db, &notes);
    assert_ok(pgdbm_future_new(stage->pool, &future, &err));
    assert_ok(pgdbm_future_new(stage->pool, &late, &err));
    assert_ok(pgdbm_submit(stage->db, STAGE_PASS, pgdbm_no_args, pgdbm_future_done, future, &err));
    assert_null(pgdbm_future_wait(future, 50));
    stage_gate_awaited(stage, 1);
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_execute_with(stage->db, &call, "SELECT 1", pgdbm_no_args, NULL, &err));
    bool sent = err.outcome != PGDBM_OUTCOME_NOT_SENT;
    expect(&notes, sent ? "statement*1/0 PGDBM_ERR_TIMEOUT: SELECT 1\n" : "");
    stage_gate_open(stage);
    assert_int_equal(pgdbm_future_wait(future, -1)->status, PGDBM_OK);
    stage_run(stage->db, "SELECT 2");
    assert_contains(notes.text, STAGE_PASS);
    assert_null(strstr(notes.text, "SELECT 1\n"));
    pgdbm_future_free(future);
    pgdbm_future_free(late);
    pgdbm_unobserve(observer);
}

/* It is in flight behind another one, and its owner is told before its answer has come. */
static void a_submitted_statement_that_is_late_is_told_of_before_its_callback(void **state)
{
    struct stage *stage = *state;
    struct notes notes;
    pgdbm_future *future = NULL;
    pgdbm_error err;
    const pgdbm_call call = {.timeout_ms = 50};
    stage_gate_shut(stage);
    stage_run(stage->db, "SELECT 1"); /* known, so that it is sent at once */
    assert_ok(pgdbm_future_new(stage->pool, &future, &err));
    assert_ok(pgdbm_submit(stage->db, STAGE_PASS, pgdbm_no_args, pgdbm_future_done, future, &err));
    assert_null(pgdbm_future_wait(future, 50));
    stage_gate_awaited(stage, 1);
    pgdbm_observer *observer = observe(stage->db, &notes);
    const pgdbm_params none = pgdbm_no_args;
    assert_ok(pgdbm_submit_sized(stage->db, &call, sizeof call, PGDBM_ROWS_NONE, "SELECT 1", &none, 1, look_at_notes,
                                 &notes, NULL, &err));
    while (pgdbm_dispatch(stage->pool, 1000) == 0)
        continue;
    assert_true(notes.timed);
    expect(&notes, "statement*1/0 PGDBM_ERR_TIMEOUT: SELECT 1\n");
    stage_gate_open(stage);
    assert_int_equal(pgdbm_future_wait(future, -1)->status, PGDBM_OK);
    pgdbm_future_free(future);
    stage_run(stage->db, "SELECT 2"); /* answered behind it */
    assert_null(strstr(notes.text, "SELECT 1\n"));
    pgdbm_unobserve(observer);
}

struct once {
    pgdbm_observer *observer;
    _Atomic int calls;
};

static void end_oneself(const pgdbm_observation *seen, void *context)
{
    struct once *once = context;
    (void)seen;
    once->calls++;
    pgdbm_unobserve(once->observer);
}

static void an_observer_may_end_itself_in_its_callback(void **state)
{
    struct stage *stage = *state;
    struct notes notes;
    struct once once = {0};
    pgdbm_error err;
    assert_ok(pgdbm_observe(stage->db, end_oneself, &once, &once.observer, &err));
    pgdbm_observer *behind = observe(stage->db, &notes);
    stage_run(stage->db, "SELECT 1");
    stage_run(stage->db, "SELECT 2");
    assert_int_equal(once.calls, 1);
    expect(&notes, "statement*1/0: SELECT 1\nstatement*1/0: SELECT 2\n");
    pgdbm_unobserve(behind);
}

static void an_observer_may_outlive_the_pool(void **state)
{
    struct stage *stage = *state;
    struct notes notes;
    pgdbm_observer *observer = observe(stage->db, &notes);
    pgdbm_observer *late = NULL;
    pgdbm_error err;
    pgdbm_pool_close(stage->pool);
    stage->pool = NULL;
    assert_fails(PGDBM_ERR_POOL, pgdbm_execute(stage->db, "SELECT 1", pgdbm_no_args, NULL, &err));
    assert_fails(PGDBM_ERR_POOL, pgdbm_observe(stage->db, note, &notes, &late, &err));
    assert_null(late);
    expect(&notes, "");
    pgdbm_close(stage->db);
    stage->db = NULL;
    pgdbm_unobserve(observer);
    pgdbm_unobserve(NULL);
}

/* One thread is in the callback and stays there until it is let out; who unobserves must wait for it. */
struct door {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool inside, open, left, unobserved;
    pgdbm_observer *observer;
};

static void wait_at_door(const pgdbm_observation *seen, void *context)
{
    struct door *door = context;
    (void)seen;
    pthread_mutex_lock(&door->lock);
    door->inside = true;
    pthread_cond_broadcast(&door->changed);
    while (!door->open)
        pthread_cond_wait(&door->changed, &door->lock);
    door->left = !door->unobserved;
    pthread_mutex_unlock(&door->lock);
}

static void *run_one(void *context)
{
    stage_run(context, "SELECT 1");
    return NULL;
}

static void *end_observer(void *context)
{
    struct door *door = context;
    pgdbm_unobserve(door->observer);
    pthread_mutex_lock(&door->lock);
    door->unobserved = true;
    pthread_mutex_unlock(&door->lock);
    return NULL;
}

static void unobserving_waits_for_the_callback(void **state)
{
    struct stage *stage = *state;
    struct door door = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    pthread_t runner, ender;
    pgdbm_error err;
    assert_ok(pgdbm_observe(stage->db, wait_at_door, &door, &door.observer, &err));
    assert_int_equal(pthread_create(&runner, NULL, run_one, stage->db), 0);
    pthread_mutex_lock(&door.lock);
    while (!door.inside)
        pthread_cond_wait(&door.changed, &door.lock);
    pthread_mutex_unlock(&door.lock);
    assert_int_equal(pthread_create(&ender, NULL, end_observer, &door), 0);
    usleep(20000); /* for who would not wait to be seen; who waits is not hurried by it */
    pthread_mutex_lock(&door.lock);
    door.open = true;
    pthread_cond_broadcast(&door.changed);
    pthread_mutex_unlock(&door.lock);
    pthread_join(ender, NULL);
    pthread_join(runner, NULL);
    assert_true(door.left);
}

struct trap {
    _Atomic bool inside, open, left;
};

static void wait_in_trap(const pgdbm_observation *seen, void *context)
{
    struct trap *trap = context;
    (void)seen;
    trap->inside = true;
    while (!trap->open)
        sched_yield();
    pthread_testcancel();
    trap->left = true;
}

static void *run_a_statement(void *context)
{
    (void)pgdbm_execute(context, "SELECT 1", pgdbm_no_args, NULL, NULL);
    pthread_testcancel();
    return NULL;
}

static void a_thread_that_is_cancelled_in_the_callback_comes_out_of_it(void **state)
{
    struct stage *stage = *state;
    struct trap trap = {0};
    pgdbm_observer *observer = NULL;
    pthread_t runner;
    void *result = NULL;
    pgdbm_error err;
    assert_ok(pgdbm_observe(stage->db, wait_in_trap, &trap, &observer, &err));
    assert_int_equal(pthread_create(&runner, NULL, run_a_statement, stage->db), 0);
    while (!trap.inside)
        sched_yield();
    assert_int_equal(pthread_cancel(runner), 0);
    trap.open = true;
    pthread_join(runner, &result);
    assert_ptr_equal(result, PTHREAD_CANCELED);
    assert_true(trap.left);
    pgdbm_unobserve(observer);
}

#define RUNNERS 3
#define ROUNDS 100

struct traffic {
    struct stage *stage;
    _Atomic bool stop;
    _Atomic uint64_t seen, done;
};

static void count_one(const pgdbm_observation *seen, void *context)
{
    struct traffic *traffic = context;
    assert_string_equal(seen->sql, "SELECT 1");
    atomic_fetch_add(&traffic->seen, 1);
}

static void *run_many(void *context)
{
    struct traffic *traffic = context;
    while (!atomic_load(&traffic->stop)) {
        stage_run(traffic->stage->db, "SELECT 1");
        atomic_fetch_add(&traffic->done, 1);
    }
    return NULL;
}

/* The context is freed as soon as the observer has ended: a callback that came later would be seen by a sanitizer. */
static void *come_and_go(void *context)
{
    struct traffic *traffic = context;
    for (int i = 0; i < ROUNDS; i++) {
        struct traffic *own = calloc(1, sizeof *own);
        pgdbm_observer *observer = NULL;
        pgdbm_error err;
        assert_ok(pgdbm_observe(traffic->stage->db, count_one, own, &observer, &err));
        stage_run(traffic->stage->db, "SELECT 1");
        pgdbm_unobserve(observer);
        assert_true(own->seen > 0);
        free(own);
    }
    return NULL;
}

static void observers_come_and_go_while_statements_run(void **state)
{
    struct traffic traffic = {.stage = *state};
    pthread_t runners[RUNNERS], others[2];
    pgdbm_observer *observer = NULL;
    pgdbm_error err;
    assert_ok(pgdbm_observe(traffic.stage->db, count_one, &traffic, &observer, &err));
    for (int i = 0; i < RUNNERS; i++)
        assert_int_equal(pthread_create(&runners[i], NULL, run_many, &traffic), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&others[i], NULL, come_and_go, &traffic), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(others[i], NULL);
    atomic_store(&traffic.stop, true);
    for (int i = 0; i < RUNNERS; i++)
        pthread_join(runners[i], NULL);
    pgdbm_unobserve(observer);
    assert_int_equal(traffic.seen, traffic.done + 2 * ROUNDS);
}

#define ON_FOUR(test) cmocka_unit_test_setup_teardown(test, stage_setup_four, stage_teardown)
#define ON_ONE(test) cmocka_unit_test_setup_teardown(test, stage_setup_one, stage_teardown)
#define ON_NONE(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_NONE(each_verb_is_told_of_once),
        ON_ONE(transactions_and_savepoints_are_told_of_as_control),
        ON_ONE(a_failure_is_told_of_with_its_error_and_what_was_not_sent_is_not),
        ON_ONE(cursors_are_told_of_by_their_opening_and_each_fetch),
        ON_ONE(copies_are_told_of_when_they_are_over),
        ON_ONE(each_statement_of_a_batch_is_told_of),
        ON_ONE(submitted_statements_are_told_of_before_their_callback),
        ON_ONE(asynchronous_transactions_are_told_of_as_control),
        ON_ONE(managers_of_one_pool_are_told_of_together_and_other_pools_are_not),
        ON_ONE(a_statement_that_is_left_at_its_deadline_is_told_of_once),
        ON_ONE(a_submitted_statement_that_is_late_is_told_of_before_its_callback),
        ON_ONE(an_observer_may_end_itself_in_its_callback),
        ON_ONE(an_observer_may_outlive_the_pool),
        ON_ONE(unobserving_waits_for_the_callback),
        ON_ONE(a_thread_that_is_cancelled_in_the_callback_comes_out_of_it),
        ON_FOUR(observers_come_and_go_while_statements_run),
    };
    return cmocka_run_group_tests_name("observers", tests, NULL, NULL);
}
