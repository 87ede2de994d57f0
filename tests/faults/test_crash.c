/* SPDX-License-Identifier: MIT */
/* Servers that die and backends that are terminated: who hears of it, what is known of the outcome, and how the pool
 * comes back. */
#include "db/crew.h"

#include <stdio.h>
#include <stdlib.h>

#define HANDS 16
#define IDS_PER_HAND 200000

enum fate { NEVER_TRIED = 0, ACKNOWLEDGED, NOT_DONE, UNKNOWN };

/* What each caller was told of each of its rows. A hand writes its own line only. */
struct ledger {
    pgdbm_db *db;
    atomic_bool stop;
    atomic_size_t acknowledged[HANDS];
    unsigned char fates[HANDS][IDS_PER_HAND];
};

static bool is_fault(pgdbm_status status)
{
    return status == PGDBM_ERR_CONNECTION || status == PGDBM_ERR_POOL || status == PGDBM_ERR_TIMEOUT;
}

static void insert_until_stopped(struct crew_hand *hand)
{
    struct ledger *ledger = hand->shared;
    for (int64_t i = 0; i < IDS_PER_HAND && !atomic_load(&ledger->stop); i++) {
        pgdbm_error err = {0};
        int64_t id = (int64_t)hand->number * IDS_PER_HAND + i;
        int64_t affected = 0;
        pgdbm_status status =
            pgdbm_execute(ledger->db, "INSERT INTO ledger VALUES ($1)", pgdbm_args(id), &affected, &err);
        unsigned char *fate = &ledger->fates[hand->number][i];
        if (status == PGDBM_OK) {
            *fate = ACKNOWLEDGED;
            atomic_fetch_add(&ledger->acknowledged[hand->number], 1);
            if (!crew_holds(hand, affected == 1, "%lld rows affected", (long long)affected))
                return;
        } else {
            *fate = err.outcome == PGDBM_OUTCOME_UNKNOWN ? UNKNOWN : NOT_DONE;
            if (!crew_holds(hand, is_fault(status), "%s: %s", pgdbm_status_name(status), err.message) ||
                !crew_holds(hand, err.outcome != PGDBM_OUTCOME_DONE && err.hint[0] != '\0', "outcome %s, hint '%s'",
                            pgdbm_outcome_name(err.outcome), err.hint))
                return;
        }
    }
}

/* Waits until every hand has so many more acknowledgements than `before`. */
static void await_progress(struct ledger *ledger, const size_t *before, size_t more)
{
    int64_t give_up = stage_clock_ms() + 30000;
    for (int hand = 0; hand < HANDS; hand++)
        while (atomic_load(&ledger->acknowledged[hand]) < before[hand] + more) {
            if (stage_clock_ms() > give_up)
                fail_msg("hand %d was not served: %zu before, %zu now", hand, before[hand],
                         atomic_load(&ledger->acknowledged[hand]));
            usleep(1000);
        }
}

static void compare_ledger(struct ledger *ledger)
{
    pgdbm_error err;
    pgdbm_result *rows = NULL;
    static bool present[HANDS][IDS_PER_HAND];
    memset(present, 0, sizeof present);
    assert_ok(pgdbm_fetch_all(ledger->db, "SELECT id FROM ledger", pgdbm_no_args, &rows, &err));
    for (size_t row = 0; row < pgdbm_result_rows(rows); row++) {
        int64_t id = -1;
        assert_ok(pgdbm_get_int64(rows, row, 0, &id, &err));
        present[id / IDS_PER_HAND][id % IDS_PER_HAND] = true;
    }
    pgdbm_result_free(rows);
    for (int hand = 0; hand < HANDS; hand++)
        for (int i = 0; i < IDS_PER_HAND; i++) {
            enum fate fate = ledger->fates[hand][i];
            if (fate == ACKNOWLEDGED && !present[hand][i])
                fail_msg("row %d of hand %d was acknowledged and is lost", i, hand);
            if ((fate == NOT_DONE || fate == NEVER_TRIED) && present[hand][i])
                fail_msg("row %d of hand %d is there, and was said not to be done", i, hand);
        }
}

static void everybody_gets_an_outcome_when_the_server_is_killed_and_the_pool_recovers(void **state)
{
    (void)state;
    static struct ledger ledger;
    static struct crew crew;
    static const size_t nothing[HANDS];
    size_t before[HANDS];
    pgdbm_testserver *server = NULL;
    pgdbm_error err;
    assert_ok(pgdbm_testserver_start(&(pgdbm_testserver_options){.durable = true}, &server, &err));
    const pgdbm_config config = {.connection_string = pgdbm_testserver_url(server),
                                 .max_connections = 4,
                                 .retry_delay_ms = 20,
                                 .retry_max_delay_ms = 100,
                                 .on_duplicate_pool = PGDBM_ALLOW};
    assert_ok(pgdbm_open(&config, &ledger.db, &err));
    stage_run(ledger.db, "CREATE TABLE ledger (id int8 PRIMARY KEY)");
    for (int i = 0; i < HANDS; i++)
        crew_start(&crew, insert_until_stopped, &ledger);
    await_progress(&ledger, nothing, 20);
    for (int crash = 0; crash < 3; crash++) {
        assert_ok(pgdbm_testserver_crash(server, &err));
        assert_ok(pgdbm_testserver_restart(server, &err));
        for (int hand = 0; hand < HANDS; hand++)
            before[hand] = atomic_load(&ledger.acknowledged[hand]);
        await_progress(&ledger, before, 20);
    }
    atomic_store(&ledger.stop, true);
    crew_join(&crew);
    compare_ledger(&ledger);
    pgdbm_close(ledger.db);
    pgdbm_testserver_stop(server);
}

#define TERMINATE_OTHERS                                                                                               \
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() "                \
    "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"

static void a_backend_terminated_while_idle_is_seen_by_nobody(void **state)
{
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.min_connections = 4, .max_connections = 4});
    for (int round = 0; round < 5; round++) {
        STAGE_UNTIL(stage, stats.idle == 4);
        test_psql(stage->url, TERMINATE_OTHERS);
        for (int i = 0; i < 8; i++)
            stage_expect_number(stage->db, "SELECT 7::int8", 7);
    }
}

static void a_transaction_that_begins_on_a_terminated_backend_gets_another(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    stage_open(stage, (pgdbm_config){.min_connections = 2, .max_connections = 2});
    STAGE_UNTIL(stage, stats.idle == 2);
    test_psql(stage->url, TERMINATE_OTHERS);
    for (int i = 0; i < 4; i++) {
        pgdbm_db *tx = NULL;
        assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
        stage_expect_number(tx, "SELECT 8::int8", 8);
        assert_ok(pgdbm_commit(tx, &err));
    }
}

struct passing {
    struct stage *stage;
    bool in_transaction;
    pgdbm_status status;
    pgdbm_error err;
};

static void pass_the_gate(struct crew_hand *hand)
{
    struct passing *passing = hand->shared;
    pgdbm_db *db = passing->stage->db;
    pgdbm_db *tx = NULL;
    int64_t passed = 0;
    if (passing->in_transaction &&
        !crew_wants(hand, PGDBM_OK, pgdbm_begin(db, NULL, &tx, &passing->err), &passing->err))
        return;
    passing->status = pgdbm_fetch_value(tx != NULL ? tx : db, STAGE_PASS, pgdbm_no_args, &passed, &passing->err);
    if (tx != NULL)
        crew_wants(hand, PGDBM_OK, pgdbm_rollback(tx, NULL), &passing->err);
    else
        crew_holds(hand, passed == 1, "expected 1, came %lld", (long long)passed);
}

#define TERMINATE_WAITING                                                                                              \
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() "                \
    "AND wait_event_type = 'Lock'"

static void a_statement_whose_backend_is_terminated_is_run_again(void **state)
{
    struct stage *stage = *state;
    struct passing passing = {.stage = stage};
    static struct crew crew;
    stage_open(stage, (pgdbm_config){.max_connections = 2});
    stage_gate_shut(stage);
    crew_start(&crew, pass_the_gate, &passing);
    stage_gate_awaited(stage, 1);
    test_psql(stage->url, TERMINATE_WAITING);
    stage_gate_awaited(stage, 1);
    stage_gate_open(stage);
    crew_join(&crew);
    assert_int_equal(passing.status, PGDBM_OK);
}

static void in_a_transaction_a_terminated_backend_is_an_error_that_says_rolled_back(void **state)
{
    struct stage *stage = *state;
    struct passing passing = {.stage = stage, .in_transaction = true};
    static struct crew crew;
    stage_open(stage, (pgdbm_config){.max_connections = 2});
    stage_gate_shut(stage);
    crew_start(&crew, pass_the_gate, &passing);
    stage_gate_awaited(stage, 1);
    test_psql(stage->url, TERMINATE_WAITING);
    crew_join(&crew);
    stage_gate_open(stage);
    assert_int_equal(passing.status, PGDBM_ERR_CONNECTION);
    assert_string_equal(passing.err.sqlstate, "57P01");
    assert_int_equal(passing.err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    assert_true(passing.err.retryable);
    stage_expect_number(stage->db, "SELECT 9::int8", 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)
        cmocka_unit_test(everybody_gets_an_outcome_when_the_server_is_killed_and_the_pool_recovers),
        STAGED(a_backend_terminated_while_idle_is_seen_by_nobody),
        STAGED(a_transaction_that_begins_on_a_terminated_backend_gets_another),
        STAGED(a_statement_whose_backend_is_terminated_is_run_again),
        STAGED(in_a_transaction_a_terminated_backend_is_an_error_that_says_rolled_back),
    };
    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
