/* SPDX-License-Identifier: MIT */
/* The asynchronous contract: each of its sentences is a test. */
#include "async/play.h"

#include <pgdbm/batch.h>
#include <pgdbm/listen.h>
#include <semaphore.h>
#include <stdio.h>

/* --- 1 --- */

static pgdbm_status do_nothing(void *context, pgdbm_error *err)
{
    (void)context;
    (void)err;
    return PGDBM_OK;
}

static pgdbm_status submit_batch(pgdbm_db *db, struct answer *answer, pgdbm_error *err)
{
    pgdbm_batch *batch = NULL;
    pgdbm_status status = pgdbm_batch_new(db, NULL, &batch, err);
    if (status == PGDBM_OK)
        status = pgdbm_batch_add(batch, "SELECT 1", pgdbm_no_args, err);
    if (status == PGDBM_OK)
        status = pgdbm_batch_submit(batch, play_take, answer, NULL, err);
    if (status != PGDBM_OK)
        pgdbm_batch_free(batch); /* what was not submitted is still the caller's */
    return status;
}

/* Sixteen requests of all kinds, half of which fail. */
static void submit_everything(pgdbm_db *db, struct answer *answers)
{
    pgdbm_error err;
    pgdbm_params none = pgdbm_no_args;
    const pgdbm_params sets[] = {pgdbm_args(1), pgdbm_args(0)};
#define NEXT play_take, answers++
    assert_ok(pgdbm_submit(db, "SELECT 1", none, NEXT, &err));
    assert_ok(pgdbm_submit(db, "SELECT nothing", none, NEXT, &err));
    assert_ok(pgdbm_submit(db, "SELECT 1 / (0 * $1::int)", pgdbm_args(1), NEXT, &err));
    assert_ok(pgdbm_submit(db, "SELECT $1::int2", pgdbm_args(100000), NEXT, &err));
    assert_ok(pgdbm_submit(db, "SELECT $1::int", none, NEXT, &err));
    assert_ok(pgdbm_fetch_one_async(db, "SELECT 1 WHERE false", none, NEXT, &err));
    assert_ok(pgdbm_execute_async(db, "SET work_mem = '9MB'", none, NEXT, &err));
    assert_ok(pgdbm_execute_async(db, "SET work_mem = 'much'", none, NEXT, &err));
    assert_ok(pgdbm_execute_many_async(db, "SELECT 1 / $1::int", sets, 2, NEXT, &err));
    assert_ok(pgdbm_execute_many_async(db, "SELECT 1 / $1::int", sets, 1, NEXT, &err));
    assert_ok(pgdbm_execute_many_async(db, "SELECT 1 / $1::int", NULL, 0, NEXT, &err));
    assert_ok(pgdbm_begin_async(db, NULL, NEXT, &err));
    assert_ok(pgdbm_pin_async(db, NEXT, &err));
    assert_ok(submit_batch(db, answers++, &err));
    assert_ok(pgdbm_offload(pgdbm_pool_of(db), do_nothing, NULL, NEXT, &err));
    assert_ok(pgdbm_notify_async(db, "channel", "hello", NEXT, &err));
#undef NEXT
}

static void refuse_everything(pgdbm_db *db, pgdbm_db *tx, struct answer *never)
{
    pgdbm_error err;
    pgdbm_params none = pgdbm_no_args;
    const pgdbm_params lacking = {.count = 1, .values = NULL};
    const pgdbm_params too_many = {.count = 65536, .values = pgdbm_args(1).values};
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_submit(db, NULL, none, play_take, never, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_submit(db, "SELECT $1::int", lacking, play_take, never, &err));
    assert_fails(PGDBM_ERR_TYPE, pgdbm_submit(db, "SELECT 1", too_many, play_take, never, &err));
    assert_fails(PGDBM_ERR_SCHEMA, pgdbm_submit(db, "SELECT {{nothing}}", none, play_take, never, &err));
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_submit(db, "BEGIN", none, play_take, never, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_submit(db, "COPY t FROM STDIN", none, play_take, never, &err));
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_pin_async(tx, play_take, never, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_commit_async(db, play_take, never, &err));
    assert_fails(PGDBM_ERR_SCHEMA, pgdbm_notify_async(db, "1", NULL, play_take, never, &err));
    assert_fails(PGDBM_ERR_TRANSACTION,
                 pgdbm_begin_async(tx, &(pgdbm_tx_options){.read_only = true}, play_take, never, &err));
}

static void a_refused_request_is_never_called_back_and_any_other_exactly_once(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 6});
    pgdbm_error err;
    pgdbm_db *other = NULL;
    struct answer *never = play_answers(1);
    struct answer *answers = play_answers(16);
    static const bool fails[16] = {[1] = true, [2] = true, [3] = true, [4] = true, [7] = true, [8] = true};
    pgdbm_db *tx = play_begin(stage->db);
    refuse_everything(stage->db, tx, never);
    submit_everything(stage->db, answers);
    PLAY_UNTIL(play.n_answers == 17);
    pgdbm_close(tx);
    for (size_t i = 0; i < 16; i++) {
        if (answers[i].calls != 1 || (answers[i].status != PGDBM_OK) != fails[i])
            fail_msg("request %zu was called back %d times, with %s: %s", i, answers[i].calls,
                     pgdbm_status_name(answers[i].status), answers[i].error.message);
        pgdbm_close(answers[i].db);
    }
    assert_ok(pgdbm_attach(stage->pool, NULL, &other, &err));
    stage_close(stage);
    assert_fails(PGDBM_ERR_POOL, pgdbm_submit(other, "SELECT 1", pgdbm_no_args, play_take, never, &err));
    assert_fails(PGDBM_ERR_POOL, pgdbm_begin_async(other, NULL, play_take, never, &err));
    assert_fails(PGDBM_ERR_POOL, submit_batch(other, never, &err));
    pgdbm_close(other);
    assert_int_equal(never->calls, 0);
    assert_int_equal(play.n_answers, 17);
}

/* --- 2 --- */

static _Thread_local bool submitting;
static atomic_int called_inside, called;

static void submit_another(const pgdbm_outcome *outcome, void *context)
{
    pgdbm_db *db = context;
    atomic_fetch_add(&called_inside, submitting);
    if (atomic_fetch_add(&called, 1) < 200) {
        submitting = true;
        if (pgdbm_submit(db, "SELECT 1", pgdbm_no_args, submit_another, db, NULL) != PGDBM_OK)
            atomic_fetch_add(&called, 1000);
        submitting = false;
    }
    play_note();
    (void)outcome;
}

static void a_callback_is_never_called_from_inside_the_submitting_call(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    atomic_store(&called, 0);
    atomic_store(&called_inside, 0);
    for (int i = 0; i < 100; i++) {
        submitting = true;
        assert_ok(pgdbm_submit(stage->db, "SELECT 1", pgdbm_no_args, submit_another, stage->db, &err));
        assert_ok(pgdbm_submit(stage->db, "SELECT nothing", pgdbm_no_args, submit_another, stage->db, &err));
        assert_ok(pgdbm_execute_many_async(stage->db, "SELECT 1", NULL, 0, submit_another, stage->db, &err));
        submitting = false;
        (void)pgdbm_dispatch(stage->pool, 0);
    }
    PLAY_UNTIL(atomic_load(&called) >= 500 && stage_stats(stage).submitted == 0);
    assert_int_equal(atomic_load(&called), 500);
    assert_int_equal(atomic_load(&called_inside), 0);
}

/* --- 3 --- */

static void submit_and_block(struct crew_hand *hand)
{
    struct answer *answers = hand->shared;
    pgdbm_db *db = play.stage->db;
    for (size_t i = 0; i < 50; i++) {
        pgdbm_error err;
        int64_t value = 0;
        pgdbm_status status =
            pgdbm_submit(db, "SELECT $1::int8", pgdbm_args(i), play_take, &answers[hand->number * 50 + i], &err);
        if (!crew_wants(hand, PGDBM_OK, status, &err))
            return;
        status = pgdbm_fetch_value(db, "SELECT 5::int8", pgdbm_no_args, &value, &err);
        if (!crew_wants(hand, PGDBM_OK, status, &err) || !crew_holds(hand, value == 5, "came %lld", (long long)value))
            return;
    }
}

static void callbacks_run_only_in_the_thread_that_dispatches(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2});
    static struct crew crew;
    struct answer *answers = play_answers(300);
    for (int i = 0; i < 6; i++)
        crew_start(&crew, submit_and_block, answers);
    PLAY_UNTIL(play.n_answers == 300);
    crew_join(&crew);
    for (size_t i = 0; i < 300; i++) {
        assert_int_equal(answers[i].number, i % 50);
        if (!pthread_equal(answers[i].thread, answers[0].thread))
            fail_msg("callbacks %zu and 0 ran in different threads", i);
    }
    assert_int_equal(pthread_equal(answers[0].thread, pthread_self()) != 0, !play.background);
    PLAY_UNTIL(stage_stats(stage).submitted == 0);
}

static void end_inner(struct answer *answer)
{
    pgdbm_error err;
    if (pgdbm_commit_async(answer->db, play_take, answer + 1, &err) != PGDBM_OK)
        answer->error = err;
}

static void do_everything(struct answer *answer)
{
    pgdbm_db *db = play.stage->db;
    pgdbm_error err = {0};
    pgdbm_request *own = answer->context;
    pgdbm_request *other = NULL;
    pgdbm_db *tx = NULL;
    pgdbm_db_stats stats;
    int64_t value = 0;
    bool good = pgdbm_db_stats_read(db, &stats, &err) == PGDBM_OK && stage_stats(play.stage).max_connections == 3 &&
                pgdbm_fetch_value(db, "SELECT 6::int8", pgdbm_no_args, &value, &err) == PGDBM_OK && value == 6 &&
                pgdbm_begin(db, NULL, &tx, &err) == PGDBM_OK && pgdbm_commit(tx, &err) == PGDBM_OK;
    answer[2].then = end_inner;
    pgdbm_cancel(own);
    pgdbm_request_release(own);
    good = good && pgdbm_submit(db, "SELECT 7::int8", pgdbm_no_args, play_take, answer + 1, &err) == PGDBM_OK &&
           pgdbm_begin_async(db, NULL, play_take, answer + 2, &err) == PGDBM_OK &&
           pgdbm_submit_with(db, NULL, "SELECT pg_sleep(60)", pgdbm_no_args, play_take, answer + 4, &other, &err) ==
               PGDBM_OK;
    pgdbm_cancel(other);
    pgdbm_request_release(other);
    if (!good)
        answer->error = err;
    answer->context = (void *)(uintptr_t)good;
    (void)pgdbm_dispatch(play.stage->pool, 0);
}

static void a_callback_may_submit_wait_cancel_begin_and_commit_itself_included(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 3});
    struct answer *answers = play_answers(5);
    pgdbm_error err;
    pgdbm_request *request;
    answers[0].then = do_everything;
    stage_gate_shut(stage); /* until the callback's place for the request is filled */
    assert_ok(pgdbm_submit_with(stage->db, NULL, STAGE_PASS, pgdbm_no_args, play_take, answers, &request, &err));
    answers[0].context = request;
    stage_gate_open(stage);
    PLAY_UNTIL(play.n_answers == 5);
    play_ok(&answers[0]);
    if (answers[0].context == NULL)
        fail_msg("inside the callback: %s", answers[0].error.message);
    play_ok(&answers[1]);
    assert_int_equal(answers[1].number, 7);
    play_ok(&answers[2]);
    play_ok(&answers[3]);
    play_fails(&answers[4], PGDBM_ERR_CANCELED, answers[4].error.outcome);
}

/* A handle must not be closed while another thread uses it. */
static sem_t submitted;

static void close_pool(struct answer *answer)
{
    pgdbm_pool *pool = answer->context;
    while (sem_wait(&submitted) != 0)
        continue;
    pgdbm_close(play.stage->db);
    pgdbm_pool_close(pool);
    play.stage->db = NULL;
}

static void a_callback_may_close_the_pool_and_its_own_handle(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2});
    pgdbm_pool *pool = stage->pool;
    struct answer *first = play_answer();
    struct answer *others = play_answers(20);
    pgdbm_error err;
    first->then = close_pool;
    first->context = pool;
    assert_int_equal(sem_init(&submitted, 0, 0), 0);
    assert_ok(pgdbm_submit(stage->db, "SELECT 1", pgdbm_no_args, play_take, first, &err));
    for (size_t i = 0; i < 20; i++)
        assert_ok(pgdbm_submit(stage->db, "SELECT 2", pgdbm_no_args, play_take, &others[i], &err));
    assert_int_equal(sem_post(&submitted), 0);
    while (!play.background && first->calls == 0)
        (void)pgdbm_dispatch(pool, -1);
    if (play.background)
        PLAY_UNTIL(first->calls == 1);
    stage->pool = NULL;
    play_ok(first);
    for (size_t i = 0; i < 20 && !play.background; i++)
        assert_int_equal(others[i].calls, 1);
}

static void close_own_handle(struct answer *answer)
{
    pgdbm_close(answer->context);
}

static void a_callback_may_close_the_transaction_it_belongs_to(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    struct answer *answers = play_answers(2);
    for (size_t i = 0; i < 2; i++) {
        pgdbm_db *handle = i == 0 ? play_begin(stage->db) : play_pin(stage->db);
        answers[i].then = close_own_handle;
        answers[i].context = handle;
        assert_ok(pgdbm_submit(handle, "INSERT INTO t VALUES (1)", pgdbm_no_args, play_take, &answers[i], &err));
        play_ok(&answers[i]);
        play_rest();
    }
    play_number(stage->db, "SELECT count(*) FROM t", 1);
}

/* --- 4 --- */

static void submit_in_order(pgdbm_db *db, struct answer *answers, size_t count)
{
    static const char *const statements[] = {"SELECT 1::int8",
                                             "SELECT $1::int8 FROM pg_sleep(0.002)",
                                             "INSERT INTO t VALUES ($1)",
                                             "SELECT count(*) FROM t WHERE $1::int8 >= 0",
                                             "SELECT $1::int8 - $2::int8",
                                             "UPDATE t SET i = i"};
    static const size_t n_params[] = {0, 1, 1, 1, 2, 0};
    for (size_t i = 0; i < count; i++) {
        pgdbm_error err;
        pgdbm_params params = pgdbm_args((int64_t)i, (int64_t)0);
        params.count = n_params[i % 6];
        assert_ok(pgdbm_submit(db, statements[i % 6], params, play_take, &answers[i], &err));
    }
}

static void requests_of_one_transaction_or_pinned_session_complete_in_the_order_submitted(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 3});
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE t (i int8)");
    pgdbm_db *tx = play_begin(stage->db);
    pgdbm_db *session = play_pin(stage->db);
    struct answer *in_tx = play_answers(121);
    struct answer *pinned = play_answers(120);
    submit_in_order(tx, in_tx, 120);
    submit_in_order(session, pinned, 120);
    assert_ok(pgdbm_commit_async(tx, play_take, &in_tx[120], &err));
    PLAY_UNTIL(in_tx[120].calls + pinned[119].calls == 2);
    for (size_t i = 0; i < 120; i++) {
        play_ok(&in_tx[i]);
        play_ok(&pinned[i]);
        if (in_tx[i].place > in_tx[i + 1].place)
            fail_msg("request %zu of the transaction completed after the one behind it", i);
        if (i > 0 && pinned[i - 1].place > pinned[i].place)
            fail_msg("request %zu of the pinned session completed after the one behind it", i - 1);
    }
    play_ok(&in_tx[120]);
    pgdbm_close(session);
    play_number(stage->db, "SELECT count(*) FROM t", 40);
}

static void independent_requests_may_complete_in_another_order(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.min_connections = 2, .max_connections = 2});
    STAGE_UNTIL(stage, stats.idle == 2);
    stage_gate_shut(stage);
    struct answer *slow = play_submit(stage->db, STAGE_PASS);
    play_gate_awaited(1);
    struct answer *quick = play_submit(stage->db, "SELECT 1");
    play_ok(quick);
    assert_int_equal(slow->calls, 0);
    stage_gate_open(stage);
    play_ok(slow);
}

/* --- 5 --- */

static void closing_a_pool_completes_every_outstanding_request_before_the_close_completes(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2, .drain_timeout_ms = 100});
    pgdbm_error err;
    stage_gate_shut(stage);
    stage_run(stage->db, "CREATE TABLE t (i int)");
    pgdbm_db *tx = play_begin(stage->db);
    size_t before = play.n_answers;
    struct answer *inserted = play_submit(tx, "INSERT INTO t VALUES (1)");
    struct answer *waiting = play_submit(tx, STAGE_PASS);
    struct answer *shared = play_submit(stage->db, STAGE_PASS);
    struct answer *behind = play_answers(50);
    for (size_t i = 0; i < 50; i++)
        assert_ok(pgdbm_submit(i % 2 == 0 ? stage->db : tx, "SELECT 1", pgdbm_no_args, play_take, &behind[i], &err));
    struct answer *begun = play_answer();
    assert_ok(pgdbm_begin_async(stage->db, NULL, play_take, begun, &err));
    play_gate_awaited(2);
    stage_close(stage);
    assert_int_equal(play.n_answers - before, 54);
    play_ok(inserted); /* its answer had arrived */
    assert_int_not_equal(waiting->status, PGDBM_OK);
    assert_int_not_equal(waiting->error.outcome, PGDBM_OUTCOME_NOT_SENT);
    assert_int_not_equal(shared->status, PGDBM_OK);
    play_fails(begun, PGDBM_ERR_POOL, PGDBM_OUTCOME_NOT_SENT);
    for (size_t i = 0; i < 50; i++)
        assert_int_equal(behind[i].calls, 1);
    pgdbm_close(tx);
    stage_gate_open(stage);
}

static void a_pool_that_closes_lets_what_is_in_flight_arrive(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.min_connections = 2, .max_connections = 2});
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    STAGE_UNTIL(stage, stats.idle == 2);
    pgdbm_db *tx = play_begin(stage->db);
    struct answer *answers = play_answers(21);
    for (size_t i = 0; i < 20; i++)
        assert_ok(pgdbm_submit(tx, "INSERT INTO t VALUES (1)", pgdbm_no_args, play_take, &answers[i], &err));
    assert_ok(pgdbm_commit_async(tx, play_take, &answers[20], &err));
    stage_close(stage);
    for (size_t i = 0; i <= 20; i++) {
        assert_int_equal(answers[i].calls, 1);
        play_ok(&answers[i]);
    }
    test_psql(stage->url, "DO $$ BEGIN ASSERT (SELECT count(*) FROM t) = 20; END $$");
}

/* --- 6 --- */

static void a_cancelled_or_timed_out_request_never_damages_a_neighbour_on_the_same_session(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    for (int round = 0; round < 10; round++) {
        pgdbm_request *request = NULL;
        pgdbm_call call = {.timeout_ms = round % 2 == 0 ? 20 : 0};
        struct answer *answers = play_answers(7);
        for (size_t i = 0; i < 7; i++) {
            if (i == 3)
                assert_ok(pgdbm_submit_with(stage->db, &call, "SELECT pg_sleep(60)", pgdbm_no_args, play_take,
                                            &answers[i], &request, &err));
            else
                assert_ok(
                    pgdbm_submit(stage->db, "INSERT INTO t VALUES ($1)", pgdbm_args(i), play_take, &answers[i], &err));
        }
        if (round % 2 != 0)
            pgdbm_cancel(request);
        pgdbm_request_release(request);
        PLAY_UNTIL(answers[3].calls == 1);
        if (answers[3].status == PGDBM_OK)
            fail_msg("the slow request was not ended");
        for (size_t i = 0; i < 7; i++)
            if (i != 3)
                play_ok(&answers[i]);
    }
    play_number(stage->db, "SELECT count(*) FROM t", 60);
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_BOTH(a_refused_request_is_never_called_back_and_any_other_exactly_once),
        PLAY_BOTH(a_callback_is_never_called_from_inside_the_submitting_call),
        PLAY_BOTH(callbacks_run_only_in_the_thread_that_dispatches),
        PLAY_BOTH(a_callback_may_submit_wait_cancel_begin_and_commit_itself_included),
        PLAY_BOTH(a_callback_may_close_the_pool_and_its_own_handle),
        PLAY_BOTH(a_callback_may_close_the_transaction_it_belongs_to),
        PLAY_BOTH(requests_of_one_transaction_or_pinned_session_complete_in_the_order_submitted),
        PLAY_BOTH(independent_requests_may_complete_in_another_order),
        PLAY_BOTH(closing_a_pool_completes_every_outstanding_request_before_the_close_completes),
        PLAY_BOTH(a_pool_that_closes_lets_what_is_in_flight_arrive),
        PLAY_BOTH(a_cancelled_or_timed_out_request_never_damages_a_neighbour_on_the_same_session),
    };
    return cmocka_run_group_tests_name("contract", tests, NULL, NULL);
}
