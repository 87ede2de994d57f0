/* SPDX-License-Identifier: MIT */
/* Waiting for sessions, and sharing them: order, time-outs, and everybody getting his own rows. */
#include "db/crew.h"

#include <stdio.h>

struct queue {
    struct stage *stage;
    pthread_mutex_t lock;
    size_t served[CREW_LIMIT];
    size_t n_served;
    atomic_bool stop;
    atomic_int running;
};

static void queue_up(struct crew_hand *hand)
{
    struct queue *queue = hand->shared;
    pgdbm_error err;
    pgdbm_db *tx = NULL;
    if (!crew_wants(hand, PGDBM_OK, pgdbm_begin(queue->stage->db, NULL, &tx, &err), &err))
        return;
    pthread_mutex_lock(&queue->lock);
    queue->served[queue->n_served++] = hand->number;
    pthread_mutex_unlock(&queue->lock);
    crew_wants(hand, PGDBM_OK, pgdbm_commit(tx, &err), &err);
}

static void waiters_are_served_in_the_order_they_came(void **state)
{
    struct queue queue = {.stage = *state, .lock = PTHREAD_MUTEX_INITIALIZER};
    static struct crew crew;
    pgdbm_error err;
    pgdbm_db *session;
    assert_ok(pgdbm_pin(queue.stage->db, &session, &err));
    for (size_t i = 0; i < 12; i++) {
        crew_start(&crew, queue_up, &queue);
        STAGE_UNTIL(queue.stage, stats.waiting == i + 1);
    }
    pgdbm_close(session);
    crew_join(&crew);
    for (size_t i = 0; i < 12; i++)
        if (queue.served[i] != i)
            fail_msg("number %zu was served in place %zu", queue.served[i], i);
    assert_true(stage_stats(queue.stage).acquire_wait_us > 0);
}

static void ask_for_one_value(struct crew_hand *hand)
{
    struct queue *queue = hand->shared;
    pgdbm_error err;
    int64_t value = -1;
    pgdbm_status status =
        pgdbm_fetch_value(queue->stage->db, "SELECT $1::int8", pgdbm_args(hand->number), &value, &err);
    if (crew_wants(hand, PGDBM_OK, status, &err))
        crew_holds(hand, value == (int64_t)hand->number, "came %lld", (long long)value);
}

static void statements_that_wait_behind_a_lease_are_all_served(void **state)
{
    struct queue queue = {.stage = *state, .lock = PTHREAD_MUTEX_INITIALIZER};
    static struct crew crew;
    pgdbm_error err;
    pgdbm_db *session;
    assert_ok(pgdbm_pin(queue.stage->db, &session, &err));
    for (size_t i = 0; i < 20; i++)
        crew_start(&crew, i % 5 == 0 ? queue_up : ask_for_one_value, &queue);
    STAGE_UNTIL(queue.stage, stats.waiting == 20);
    pgdbm_close(session);
    crew_join(&crew);
    assert_int_equal(stage_stats(queue.stage).waiting, 0);
}

/* Sessions that another thread has taken: one that waits for itself would be told so at once. */
struct holdings {
    struct stage *stage;
    pgdbm_db *longest, *later;
    char place[64];
};

static void take_two_sessions(struct crew_hand *hand)
{
    struct holdings *holdings = hand->shared;
    pgdbm_db *db = holdings->stage->db;
    pgdbm_error err;
    snprintf(holdings->place, sizeof holdings->place, "test_sharing.c:%d", __LINE__ + 1);
    crew_wants(hand, PGDBM_OK, pgdbm_pin(db, &holdings->longest, &err), &err);
    crew_wants(hand, PGDBM_OK, pgdbm_begin(db, NULL, &holdings->later, &err), &err);
}

static void the_timeout_error_says_who_holds_the_sessions(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *none = (pgdbm_db *)&err;
    struct holdings holdings = {.stage = stage};
    stage_open(stage, (pgdbm_config){.max_connections = 2, .acquire_timeout_ms = 100});
    crew_run(1, take_two_sessions, &holdings);
    assert_fails(PGDBM_ERR_POOL, pgdbm_begin(stage->db, NULL, &none, &err));
    assert_null(none);
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    assert_contains(err.message, "2 of at most 2 open");
    assert_contains(err.message, "2 leased");
    assert_contains(err.message, "1 waiting");
    assert_contains(err.message, "test_sharing.c");
    assert_contains(err.detail, holdings.place);
    assert_contains(err.hint, "max_connections");
    assert_fails(PGDBM_ERR_POOL, pgdbm_execute(stage->db, "SELECT 1", pgdbm_no_args, NULL, &err));
    assert_int_equal(stage_stats(stage).acquire_timeouts, 2);
    assert_int_equal(stage_stats(stage).waiting, 0);
    pgdbm_close(holdings.later);
    pgdbm_close(holdings.longest);
    stage_expect_number(stage->db, "SELECT 1", 1);
}

static void echo_with_payload(struct crew_hand *hand)
{
    struct stage *stage = hand->shared;
    static const int sizes[] = {0, 10, 1000, 100000, 1 << 20};
    for (int i = 0; i < 15; i++) {
        pgdbm_error err;
        pgdbm_result *result = NULL;
        int64_t id = (int64_t)hand->number * 1000 + i;
        int64_t came = -1;
        int32_t row_number = -1;
        const char *text = "";
        int bytes = sizes[(hand->number + (size_t)i) % 5];
        int rows = i % 3 == 0 ? 50 : 1;
        pgdbm_status status = pgdbm_fetch_all(
            stage->db, "SELECT $1::int8, n, repeat(chr(97 + $4::int % 26), $2) FROM generate_series(1, $3::int) n",
            pgdbm_args(id, bytes / rows, rows, (int)hand->number), &result, &err);
        bool good = crew_wants(hand, PGDBM_OK, status, &err) &&
                    crew_holds(hand, pgdbm_result_rows(result) == (size_t)rows, "expected %d rows, came %zu", rows,
                               pgdbm_result_rows(result));
        for (int row = 0; good && row < rows; row++) {
            char letter[2] = {(char)('a' + hand->number % 26), '\0'};
            status = pgdbm_get_int64(result, (size_t)row, 0, &came, &err);
            if (status == PGDBM_OK)
                status = pgdbm_get_int32(result, (size_t)row, 1, &row_number, &err);
            if (status == PGDBM_OK)
                status = pgdbm_get_text(result, (size_t)row, 2, &text, &err);
            good = crew_wants(hand, PGDBM_OK, status, &err) &&
                   crew_holds(hand,
                              came == id && row_number == row + 1 && strlen(text) == (size_t)(bytes / rows) &&
                                  strspn(text, letter) == strlen(text),
                              "row %d of %lld came as row %d of %lld with %zu bytes", row + 1, (long long)id,
                              row_number, (long long)came, strlen(text));
        }
        pgdbm_result_free(result);
        if (!good)
            return;
    }
}

static void threads_on_two_sessions_all_get_their_own_rows(void **state)
{
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.max_connections = 2});
    crew_run(32, echo_with_payload, stage);
    pgdbm_pool_stats stats = stage_stats(stage);
    assert_true(stats.connections_opened <= 2);
    assert_int_equal(stats.statements_failed, 0);
}

static void without_sharing_threads_get_their_own_rows_too(void **state)
{
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.max_connections = 2, .max_pipeline = 1});
    crew_run(8, echo_with_payload, stage);
}

static void ask_without_pause(struct crew_hand *hand)
{
    struct queue *queue = hand->shared;
    atomic_fetch_add(&queue->running, 1);
    while (!atomic_load(&queue->stop) && hand->complaint[0] == '\0')
        ask_for_one_value(hand);
}

static void a_lease_is_served_under_constant_traffic(void **state)
{
    struct queue queue = {.stage = *state, .lock = PTHREAD_MUTEX_INITIALIZER};
    static struct crew crew;
    pgdbm_error err;
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; i < 8; i++)
        crew_start(&crew, ask_without_pause, &queue);
    while (atomic_load(&queue.running) < 8)
        usleep(1000);
    for (int i = 0; i < 20 && status == PGDBM_OK; i++) {
        pgdbm_db *tx = NULL;
        status = pgdbm_begin(queue.stage->db, NULL, &tx, &err);
        if (status == PGDBM_OK)
            status = pgdbm_commit(tx, &err);
    }
    atomic_store(&queue.stop, true);
    crew_join(&crew);
    assert_ok(status);
}

static void pass_the_gate(struct crew_hand *hand)
{
    struct queue *queue = hand->shared;
    pgdbm_error err;
    crew_wants(hand, PGDBM_OK, pgdbm_execute(queue->stage->db, STAGE_PASS, pgdbm_no_args, NULL, &err), &err);
}

static void without_sharing_a_third_statement_waits_for_two_sessions(void **state)
{
    struct queue queue = {.stage = *state};
    static struct crew crew;
    stage_gate_shut(queue.stage);
    stage_open(queue.stage, (pgdbm_config){.max_connections = 2, .max_pipeline = 1});
    crew_start(&crew, pass_the_gate, &queue);
    crew_start(&crew, pass_the_gate, &queue);
    stage_gate_awaited(queue.stage, 2);
    crew_start(&crew, ask_for_one_value, &queue);
    STAGE_UNTIL(queue.stage, stats.waiting == 1 && stats.shared == 2);
    stage_gate_open(queue.stage);
    crew_join(&crew);
}

static void with_sharing_statements_queue_on_the_session_up_to_max_pipeline(void **state)
{
    struct queue queue = {.stage = *state};
    static struct crew crew;
    stage_gate_shut(queue.stage);
    stage_open(queue.stage, (pgdbm_config){.max_connections = 1, .max_pipeline = 4, .lock_timeout_ms = -1});
    crew_start(&crew, pass_the_gate, &queue);
    stage_gate_awaited(queue.stage, 1);
    for (size_t i = 0; i < 5; i++)
        crew_start(&crew, ask_for_one_value, &queue);
    STAGE_UNTIL(queue.stage, stats.waiting == 2);
    stage_gate_open(queue.stage);
    crew_join(&crew);
    assert_int_equal(stage_stats(queue.stage).statements, 6);
}

static void statements_avoid_the_session_that_is_busy_for_long(void **state)
{
    struct queue queue = {.stage = *state};
    static struct crew crew;
    stage_gate_shut(queue.stage);
    stage_open(queue.stage, (pgdbm_config){.min_connections = 2, .max_connections = 2, .lock_timeout_ms = -1});
    STAGE_UNTIL(queue.stage, stats.idle == 2);
    crew_start(&crew, pass_the_gate, &queue);
    stage_gate_awaited(queue.stage, 1);
    for (int i = 0; i < 100; i++)
        stage_expect_number(queue.stage->db, "SELECT 3", 3);
    stage_gate_open(queue.stage);
    crew_join(&crew);
}

static void mix_everything(struct crew_hand *hand)
{
    struct queue *queue = hand->shared;
    struct stage *stage = queue->stage;
    for (int i = 0; i < 25; i++) {
        pgdbm_error err;
        pgdbm_db *handle = NULL;
        pgdbm_status status = PGDBM_OK;
        switch ((hand->number + (size_t)i) % 5) {
        case 0:
            status = pgdbm_begin(stage->db, NULL, &handle, &err);
            if (status == PGDBM_OK)
                status = pgdbm_execute(handle, "INSERT INTO t VALUES ($1)", pgdbm_args(i), NULL, &err);
            if (status == PGDBM_OK) {
                status = i % 2 == 0 ? pgdbm_commit(handle, &err) : pgdbm_rollback(handle, &err);
                handle = NULL;
            }
            break;
        case 1:
            status = pgdbm_pin(stage->db, &handle, &err);
            if (status == PGDBM_OK)
                status = pgdbm_execute(handle, "SET work_mem = '9MB'", pgdbm_no_args, NULL, &err);
            break;
        default:
            ask_for_one_value(hand);
        }
        pgdbm_close(handle);
        if (!crew_wants(hand, PGDBM_OK, status, &err) || hand->complaint[0] != '\0')
            return;
    }
}

static void transactions_pins_and_statements_mix(void **state)
{
    struct queue queue = {.stage = *state};
    stage_open(queue.stage, (pgdbm_config){.max_connections = 3, .max_uses = 40});
    stage_run(queue.stage->db, "CREATE TABLE t (i int)");
    crew_run(16, mix_everything, &queue);
    STAGE_UNTIL(queue.stage, stats.leased + stats.shared + stats.waiting + stats.retiring == 0);
    stage_expect_text(queue.stage->db, "SHOW work_mem", "4MB");
}

enum { HURRIES = 10000 };

/* Shares its Sync with statements that fail, and has a millisecond. It may be late, never to blame. */
static void hurry(struct crew_hand *hand)
{
    struct stage *stage = hand->shared;
    const pgdbm_call call = {.timeout_ms = 1};
    for (int i = 0; i < HURRIES; i++) {
        pgdbm_error err = {0};
        int64_t zero = (int64_t)(hand->number % 2), value = -1;
        if (zero > 0) {
            pgdbm_status failed =
                pgdbm_fetch_value_int64(stage->db, "SELECT 1 / ($1::int8 - 1)", pgdbm_args(zero), &value, &err);
            if (!crew_wants(hand, PGDBM_ERR_QUERY, failed, &err))
                return;
            continue;
        }
        pgdbm_status status =
            pgdbm_fetch_value_int64_with(stage->db, &call, "SELECT $1::int8", pgdbm_args(zero), &value, &err);
        bool late = status == PGDBM_ERR_TIMEOUT || status == PGDBM_ERR_POOL;
        if (!late && !crew_wants(hand, PGDBM_OK, status, &err))
            return;
    }
}

static void who_is_late_is_not_blamed_for_a_neighbours_failure(void **state)
{
    struct stage *stage = *state;
    crew_run(24, hurry, stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_NONE(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)
#define ON_ONE(test) cmocka_unit_test_setup_teardown(test, stage_setup_one, stage_teardown)
        ON_ONE(waiters_are_served_in_the_order_they_came),
        ON_ONE(statements_that_wait_behind_a_lease_are_all_served),
        ON_NONE(the_timeout_error_says_who_holds_the_sessions),
        ON_NONE(threads_on_two_sessions_all_get_their_own_rows),
        ON_NONE(without_sharing_threads_get_their_own_rows_too),
        ON_ONE(a_lease_is_served_under_constant_traffic),
        ON_NONE(without_sharing_a_third_statement_waits_for_two_sessions),
        ON_NONE(with_sharing_statements_queue_on_the_session_up_to_max_pipeline),
        ON_NONE(statements_avoid_the_session_that_is_busy_for_long),
        ON_NONE(transactions_pins_and_statements_mix),
        cmocka_unit_test_setup_teardown(who_is_late_is_not_blamed_for_a_neighbours_failure, stage_setup_one,
                                        stage_teardown),
    };
    return cmocka_run_group_tests_name("sharing", tests, NULL, NULL);
}
