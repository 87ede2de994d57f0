/* SPDX-License-Identifier: MIT */
/* Closing a pool: what is in flight, what waits, and what is used too late. */
#include "db/crew.h"

struct ending {
    struct stage *stage;
    pgdbm_pool *pool; /* closed by a hand */
    pgdbm_db *db;
    pgdbm_status status;
    pgdbm_error err;
};

static void begin_ending(struct ending *ending, struct stage *stage, pgdbm_config config)
{
    pgdbm_error err;
    stage_open(stage, config);
    *ending = (struct ending){.stage = stage, .pool = stage->pool, .db = stage->db};
    stage->pool = NULL;
    stage->db = NULL;
    assert_ok(pgdbm_attach(ending->pool, NULL, &stage->db, &err));
}

static void close_pool(struct crew_hand *hand)
{
    struct ending *ending = hand->shared;
    pgdbm_pool_close(ending->pool);
}

static void pass_the_gate(struct crew_hand *hand)
{
    struct ending *ending = hand->shared;
    ending->status = pgdbm_execute(ending->db, STAGE_PASS, pgdbm_no_args, NULL, &ending->err);
}

/* The pool has begun to close when it refuses work. */
static void await_refusal(struct ending *ending)
{
    int64_t give_up = stage_clock_ms() + 20000;
    pgdbm_error err;
    pgdbm_db *db = NULL;
    while (pgdbm_attach(pgdbm_pool_of(ending->db), NULL, &db, &err) != PGDBM_ERR_POOL) {
        pgdbm_close(db);
        assert_true(stage_clock_ms() < give_up);
        usleep(1000);
    }
}

static void close_waits_for_the_statement_in_flight(void **state)
{
    struct ending ending;
    static struct crew crew;
    stage_gate_shut(*state);
    begin_ending(&ending, *state, (pgdbm_config){.max_connections = 2, .lock_timeout_ms = -1});
    crew_start(&crew, pass_the_gate, &ending);
    stage_gate_awaited(ending.stage, 1);
    crew_start(&crew, close_pool, &ending);
    await_refusal(&ending);
    stage_gate_open(ending.stage);
    crew_join(&crew);
    pgdbm_close(ending.db);
    assert_int_equal(ending.status, PGDBM_OK);
}

static void finish_transaction(struct crew_hand *hand)
{
    struct ending *ending = hand->shared;
    pgdbm_error err;
    pgdbm_db *tx = NULL;
    if (!crew_wants(hand, PGDBM_OK, pgdbm_begin(ending->db, NULL, &tx, &err), &err))
        return;
    ending->status = pgdbm_execute(tx, STAGE_PASS, pgdbm_no_args, NULL, &ending->err);
    if (ending->status == PGDBM_OK)
        ending->status = pgdbm_execute(tx, "INSERT INTO gate VALUES (2)", pgdbm_no_args, NULL, &ending->err);
    if (ending->status == PGDBM_OK)
        ending->status = pgdbm_commit(tx, &ending->err);
    else
        pgdbm_close(tx);
}

static void close_lets_an_open_transaction_finish(void **state)
{
    struct ending ending;
    static struct crew crew;
    stage_gate_shut(*state);
    begin_ending(&ending, *state, (pgdbm_config){.max_connections = 2, .lock_timeout_ms = -1});
    crew_start(&crew, finish_transaction, &ending);
    stage_gate_awaited(ending.stage, 1);
    crew_start(&crew, close_pool, &ending);
    await_refusal(&ending);
    stage_gate_open(ending.stage);
    crew_join(&crew);
    pgdbm_close(ending.db);
    assert_int_equal(ending.status, PGDBM_OK);
    test_psql(ending.stage->url, "DO $$ BEGIN ASSERT (SELECT count(*) FROM gate) = 2; END $$");
}

static void close_ends_what_is_not_done_in_time(void **state)
{
    struct ending ending;
    static struct crew crew;
    stage_gate_shut(*state);
    begin_ending(&ending, *state, (pgdbm_config){.max_connections = 2, .lock_timeout_ms = -1, .drain_timeout_ms = 100});
    crew_start(&crew, pass_the_gate, &ending);
    stage_gate_awaited(ending.stage, 1);
    int64_t begun = stage_clock_ms();
    pgdbm_pool_close(ending.pool);
    assert_true(stage_clock_ms() - begun < 20000);
    crew_join(&crew);
    pgdbm_close(ending.db);
    assert_int_not_equal(ending.status, PGDBM_OK);
    assert_int_not_equal(ending.err.outcome, PGDBM_OUTCOME_NOT_SENT);
}

static void close_refuses_those_who_wait(void **state)
{
    struct ending ending;
    static struct crew crew;
    pgdbm_error err;
    pgdbm_db *session;
    stage_gate_shut(*state); /* for the table only */
    stage_gate_open(*state);
    begin_ending(&ending, *state, (pgdbm_config){.max_connections = 1, .drain_timeout_ms = 5000});
    ending.stage->pool = ending.pool;
    assert_ok(pgdbm_pin(ending.db, &session, &err));
    crew_start(&crew, pass_the_gate, &ending);
    STAGE_UNTIL(ending.stage, stats.waiting == 1);
    ending.stage->pool = NULL;
    crew_start(&crew, close_pool, &ending);
    await_refusal(&ending);
    pgdbm_close(session);
    crew_join(&crew);
    assert_int_equal(ending.status, PGDBM_ERR_POOL);
    assert_int_equal(ending.err.outcome, PGDBM_OUTCOME_NOT_SENT);
    assert_contains(ending.err.message, "closed");
    pgdbm_close(ending.db);
}

static bool on_row(const pgdbm_result *row, void *context)
{
    (void)row;
    (void)context;
    return true;
}

static pgdbm_status body(pgdbm_db *tx, void *context, pgdbm_error *err)
{
    (void)tx;
    (void)context;
    (void)err;
    return PGDBM_OK;
}

static void a_manager_used_after_its_pool_closed_says_so(void **state)
{
    struct ending ending;
    pgdbm_error err;
    pgdbm_result *result;
    pgdbm_db *other;
    pgdbm_params none = pgdbm_no_args;
    int64_t number;
    bool yes;
    begin_ending(&ending, *state, (pgdbm_config){.max_connections = 2});
    pgdbm_db *db = ending.db;
    stage_run(db, "SELECT 1");
    pgdbm_pool_close(ending.pool);
#define REFUSES(call)                                                                                                  \
    do {                                                                                                               \
        assert_fails(PGDBM_ERR_POOL, call);                                                                            \
        assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);                                                         \
        assert_contains(err.message, "closed");                                                                        \
    } while (0)
    REFUSES(pgdbm_execute(db, "SELECT 1", none, NULL, &err));
    REFUSES(pgdbm_execute_many(db, "SELECT 1", &none, 1, NULL, &err));
    REFUSES(pgdbm_execute_simple(db, "SELECT 1", &err));
    REFUSES(pgdbm_insert_id(db, "INSERT INTO t VALUES (1)", none, &number, &err));
    REFUSES(pgdbm_fetch_all(db, "SELECT 1", none, &result, &err));
    REFUSES(pgdbm_fetch_value(db, "SELECT 1", none, &number, &err));
    REFUSES(pgdbm_stream(db, "SELECT 1", none, on_row, NULL, &err));
    REFUSES(pgdbm_table_exists(db, "t", &yes, &err));
    REFUSES(pgdbm_begin(db, NULL, &other, &err));
    REFUSES(pgdbm_pin(db, &other, &err));
    REFUSES(pgdbm_transact(db, NULL, body, NULL, &err));
    REFUSES(pgdbm_attach(pgdbm_pool_of(db), NULL, &other, &err));
    pgdbm_close(db);
}

static void handles_that_outlive_their_pool_are_errors_and_no_crash(void **state)
{
    struct ending ending;
    pgdbm_error err;
    pgdbm_db *tx, *inner, *session, *on_session, *forgotten;
    begin_ending(&ending, *state, (pgdbm_config){.max_connections = 4, .drain_timeout_ms = 1});
    assert_ok(pgdbm_begin(ending.db, NULL, &tx, &err));
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    assert_ok(pgdbm_pin(ending.db, &session, &err));
    assert_ok(pgdbm_begin(session, NULL, &on_session, &err));
    assert_ok(pgdbm_begin(ending.db, NULL, &forgotten, &err));
    stage_run(inner, "CREATE TABLE t (i int)");
    pgdbm_pool_close(ending.pool);
    assert_int_not_equal(pgdbm_execute(inner, "SELECT 1", pgdbm_no_args, NULL, &err), PGDBM_OK);
    assert_int_not_equal(pgdbm_execute(on_session, "SELECT 1", pgdbm_no_args, NULL, &err), PGDBM_OK);
    assert_int_not_equal(pgdbm_commit(inner, &err), PGDBM_OK);
    assert_int_not_equal(pgdbm_commit(tx, &err), PGDBM_OK);
    assert_ok(pgdbm_rollback(on_session, &err));
    pgdbm_close(session);
    pgdbm_close(ending.db);
    pgdbm_close(forgotten);
    test_psql(ending.stage->url, "DO $$ BEGIN ASSERT to_regclass('t') IS NULL; END $$");
}

static void closing_leaves_no_session_on_the_server(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    int64_t left = 1;
    int64_t give_up = stage_clock_ms() + 20000;
    pgdbm_db *witness = NULL;
    pgdbm_config other = stage_config(stage, (pgdbm_config){.max_connections = 1, .application_name = "witness"});
    assert_ok(pgdbm_open(&other, &witness, &err));
    stage_open(stage, (pgdbm_config){.min_connections = 3, .max_connections = 3, .drain_timeout_ms = 1});
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_close(stage);
    while (left > 0 && stage_clock_ms() < give_up)
        left = stage_number(witness, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgdbm' AND "
                                     "datname = current_database()");
    pgdbm_close(tx);
    pgdbm_close(witness);
    assert_int_equal(left, 0);
}

static void ask_until_refused(struct crew_hand *hand)
{
    struct ending *ending = hand->shared;
    pgdbm_error err;
    pgdbm_status status;
    do {
        pgdbm_db *tx = NULL;
        if (hand->number % 2 == 0)
            status = pgdbm_execute(ending->db, "SELECT 1", pgdbm_no_args, NULL, &err);
        else if ((status = pgdbm_begin(ending->db, NULL, &tx, &err)) == PGDBM_OK)
            status = pgdbm_commit(tx, &err);
    } while (status == PGDBM_OK);
    crew_wants(hand, PGDBM_ERR_POOL, status, &err);
}

static void a_pool_can_be_closed_under_full_traffic(void **state)
{
    for (int i = 0; i < 5; i++) {
        struct ending ending;
        static struct crew crew;
        struct stage *stage = *state;
        begin_ending(&ending, stage, (pgdbm_config){.max_connections = 3});
        stage->pool = ending.pool;
        for (int hand = 0; hand < 12; hand++)
            crew_start(&crew, ask_until_refused, &ending);
        STAGE_UNTIL(stage, stats.statements > 200);
        stage->pool = NULL;
        pgdbm_pool_close(ending.pool);
        crew_join(&crew);
        pgdbm_close(ending.db);
        pgdbm_close(stage->db);
        stage->db = NULL;
    }
}

/* Whoever waits on the server does not notice that his connection is gone: he has to be cancelled. */
static void close_cancels_on_the_server_what_is_not_done_in_time(void **state)
{
    struct ending ending;
    static struct crew crew;
    stage_gate_shut(*state);
    begin_ending(&ending, *state, (pgdbm_config){.max_connections = 2, .lock_timeout_ms = -1, .drain_timeout_ms = 100});
    crew_start(&crew, pass_the_gate, &ending);
    stage_gate_awaited(ending.stage, 1);
    pgdbm_pool_close(ending.pool);
    stage_gate_awaited(ending.stage, 0);
    crew_join(&crew);
    pgdbm_close(ending.db);
    assert_int_not_equal(ending.status, PGDBM_OK);
    assert_int_equal(ending.err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
}

static void closing_a_pool_again_does_nothing(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *owner = NULL;
    pgdbm_db *guest = NULL;
    pgdbm_pool_stats stats;
    const pgdbm_config config = stage_config(stage, (pgdbm_config){0});
    assert_ok(pgdbm_open(&config, &owner, &err));
    assert_ok(pgdbm_attach(pgdbm_pool_of(owner), "guests", &guest, &err));
    assert_ok(pgdbm_pool_stats_read(pgdbm_pool_of(owner), &stats, &err));
    assert_int_equal(stats.managers, 2);
    pgdbm_pool_close(pgdbm_pool_of(guest));
    pgdbm_pool_close(pgdbm_pool_of(guest));
    assert_fails(PGDBM_ERR_POOL, pgdbm_execute(owner, "SELECT 1", pgdbm_no_args, NULL, &err));
    pgdbm_close(owner); /* which closes its pool, too */
    assert_ok(pgdbm_pool_stats_read(pgdbm_pool_of(guest), &stats, &err));
    assert_int_equal(stats.managers, 1);
    pgdbm_close(guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_NONE(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)
        ON_NONE(close_waits_for_the_statement_in_flight),
        ON_NONE(close_lets_an_open_transaction_finish),
        ON_NONE(close_ends_what_is_not_done_in_time),
        ON_NONE(close_refuses_those_who_wait),
        ON_NONE(closing_a_pool_again_does_nothing),
        ON_NONE(a_manager_used_after_its_pool_closed_says_so),
        ON_NONE(handles_that_outlive_their_pool_are_errors_and_no_crash),
        ON_NONE(closing_leaves_no_session_on_the_server),
        ON_NONE(a_pool_can_be_closed_under_full_traffic),
        ON_NONE(close_cancels_on_the_server_what_is_not_done_in_time),
    };
    return cmocka_run_group_tests_name("close", tests, NULL, NULL);
}
