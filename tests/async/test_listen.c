/* SPDX-License-Identifier: MIT */
/* LISTEN and NOTIFY: ready, notifications, gaps; schemas that do not hear each other; and what listening costs. */
#include "async/play.h"

#include <pgdbm/listen.h>
#include <stdio.h>

/* What one listener heard. Guarded by the play's lock. */
struct ear {
    size_t ready, notifications, gaps, after_end;
    char payloads[256]; /* one behind the other, with commas */
    char channel[64];
    int sender;
    bool ended;
    pgdbm_listener *listener;
    bool unlisten_at_once;
};

static void hear(const pgdbm_event *event, void *context)
{
    struct ear *ear = context;
    pthread_mutex_lock(&play.lock);
    ear->after_end += ear->ended;
    if (event->kind == PGDBM_EVENT_READY)
        ear->ready++;
    else if (event->kind == PGDBM_EVENT_GAP)
        ear->gaps++;
    else {
        size_t used = strlen(ear->payloads);
        ear->notifications++;
        snprintf(ear->payloads + used, sizeof ear->payloads - used, "%s,", event->payload);
        ear->sender = event->sender;
    }
    snprintf(ear->channel, sizeof ear->channel, "%s", event->channel);
    pgdbm_listener *listener = ear->unlisten_at_once && event->kind == PGDBM_EVENT_NOTIFICATION ? ear->listener : NULL;
    ear->ended = ear->ended || listener != NULL;
    pthread_cond_broadcast(&play.changed);
    pthread_mutex_unlock(&play.lock);
    pgdbm_unlisten(listener);
}

/* Events may come as long as the pool lives, also after a test has failed. */
static struct ear *new_ears(void)
{
    static struct ear ears[8];
    memset(ears, 0, sizeof ears);
    return ears;
}

static void listen_to(pgdbm_db *db, const char *channel, struct ear *ear)
{
    pgdbm_error err;
    pgdbm_listener *listener = NULL;
    assert_ok(pgdbm_listen(db, channel, hear, ear, &listener, &err));
    pthread_mutex_lock(&play.lock);
    ear->listener = listener;
    pthread_mutex_unlock(&play.lock);
    PLAY_UNTIL(ear->ready == 1);
}

static void notify(pgdbm_db *db, const char *channel, const char *payload)
{
    pgdbm_error err;
    assert_ok(pgdbm_notify(db, channel, payload, &err));
}

static void a_listener_is_told_that_it_listens_and_then_of_every_notification_in_order(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 3});
    struct ear *ear = new_ears();
    listen_to(stage->db, "jobs", ear);
    assert_string_equal(ear->channel, "jobs");
    notify(stage->db, "jobs", "one");
    notify(stage->db, "others", "not for us");
    notify(stage->db, "jobs", NULL);
    test_psql(stage->url, "SELECT pg_notify('jobs', 'three')");
    PLAY_UNTIL(ear->notifications == 3);
    assert_string_equal(ear->payloads, "one,,three,");
    assert_true(ear->sender > 0);
    assert_int_equal(ear->ready, 1);
    assert_int_equal(ear->gaps, 0);
    pgdbm_unlisten(ear->listener);
    play_rest();
}

static void in_a_transaction_a_notification_comes_with_the_commit(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 3});
    pgdbm_error err;
    struct ear *ear = new_ears();
    listen_to(stage->db, "jobs", ear);
    for (int commits = 0; commits < 2; commits++) {
        pgdbm_db *tx = play_begin(stage->db);
        struct answer *answers = play_answers(2);
        assert_ok(
            pgdbm_notify_async(tx, "jobs", commits == 1 ? "committed" : "rolled back", play_take, &answers[0], &err));
        play_ok(&answers[0]);
        assert_int_equal(ear->notifications, 0);
        if (commits == 1)
            assert_ok(pgdbm_commit_async(tx, play_take, &answers[1], &err));
        else
            assert_ok(pgdbm_rollback_async(tx, play_take, &answers[1], &err));
        play_ok(&answers[1]);
    }
    PLAY_UNTIL(ear->notifications == 1);
    assert_string_equal(ear->payloads, "committed,");
    pgdbm_unlisten(ear->listener);
}

static void two_listeners_of_one_channel_hear_both(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 3});
    struct ear *ears = new_ears();
    listen_to(stage->db, "jobs", &ears[0]);
    listen_to(stage->db, "jobs", &ears[1]);
    notify(stage->db, "jobs", "both");
    PLAY_UNTIL(ears[0].notifications == 1 && ears[1].notifications == 1);
    pgdbm_unlisten(ears[0].listener);
    notify(stage->db, "jobs", "second");
    PLAY_UNTIL(ears[1].notifications == 2);
    assert_string_equal(ears[0].payloads, "both,");
    assert_string_equal(ears[1].payloads, "both,second,");
    pgdbm_unlisten(ears[1].listener);
}

static void schemas_do_not_hear_each_other(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 3});
    pgdbm_error err;
    struct ear *ears = new_ears();
    pgdbm_db *dbs[3] = {stage->db};
    assert_ok(pgdbm_attach(stage->pool, "app", &dbs[1], &err));
    assert_ok(pgdbm_attach(stage->pool, "other", &dbs[2], &err));
    for (size_t i = 0; i < 3; i++)
        listen_to(dbs[i], "jobs", &ears[i]);
    notify(dbs[1], "jobs", "app");
    test_psql(stage->url, "SELECT pg_notify('other.jobs', 'other')");
    notify(dbs[0], "jobs", "none");
    PLAY_UNTIL(ears[0].notifications + ears[1].notifications + ears[2].notifications == 3);
    assert_string_equal(ears[0].payloads, "none,");
    assert_string_equal(ears[1].payloads, "app,");
    assert_string_equal(ears[1].channel, "jobs");
    assert_string_equal(ears[2].payloads, "other,");
    for (size_t i = 0; i < 3; i++)
        pgdbm_unlisten(ears[i].listener);
    pgdbm_close(dbs[1]);
    pgdbm_close(dbs[2]);
}

#define TERMINATE_LISTENING                                                                                            \
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE " \
    "'LISTEN%'"

static void when_the_connection_is_lost_everybody_is_told_of_the_gap_and_listens_again(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 3});
    struct ear *ears = new_ears();
    listen_to(stage->db, "jobs", &ears[0]);
    listen_to(stage->db, "jobs", &ears[1]);
    listen_to(stage->db, "mail", &ears[2]);
    for (size_t round = 1; round <= 3; round++) {
        test_psql(stage->url, TERMINATE_LISTENING);
        PLAY_UNTIL(ears[0].gaps == round && ears[1].gaps == round && ears[2].gaps == round);
        notify(stage->db, "jobs", "j");
        notify(stage->db, "mail", "m");
        PLAY_UNTIL(ears[0].notifications == round && ears[1].notifications == round && ears[2].notifications == round);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ears[i].ready, 1);
        pgdbm_unlisten(ears[i].listener);
    }
    play_rest();
}

static void a_listener_may_end_inside_of_its_own_callback(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 3});
    struct ear *ears = new_ears();
    ears[0].unlisten_at_once = true;
    listen_to(stage->db, "jobs", &ears[0]);
    listen_to(stage->db, "jobs", &ears[1]);
    for (int i = 0; i < 10; i++)
        notify(stage->db, "jobs", "x");
    PLAY_UNTIL(ears[1].notifications == 10);
    assert_int_equal(ears[0].notifications, 1);
    assert_int_equal(ears[0].after_end, 0);
    pgdbm_unlisten(ears[1].listener);
    play_rest();
}

static void listening_takes_one_session_inside_of_max_connections_and_gives_it_back(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2});
    pgdbm_error err;
    struct ear *ears = new_ears();
    listen_to(stage->db, "jobs", &ears[0]);
    listen_to(stage->db, "mail", &ears[1]);
    assert_int_equal(stage_stats(stage).leased, 1);
    pgdbm_db *session = play_pin(stage->db);
    pgdbm_pool_stats stats = stage_stats(stage);
    assert_int_equal(stats.leased, 2);
    assert_int_equal(stats.connections_opened, 2);
    struct answer *answer = play_answer();
    assert_ok(pgdbm_submit_with(stage->db, &(pgdbm_call){.timeout_ms = 100}, "SELECT 1", pgdbm_no_args, play_take,
                                answer, NULL, &err));
    play_fails(answer, PGDBM_ERR_POOL, PGDBM_OUTCOME_NOT_SENT);
    pgdbm_close(session);
    pgdbm_unlisten(ears[0].listener);
    assert_int_equal(stage_stats(stage).leased, 1);
    pgdbm_unlisten(ears[1].listener);
    play_rest();
    play_number(stage->db, "SELECT count(*) FROM pg_listening_channels()", 0);
    listen_to(stage->db, "again", &ears[2]);
    notify(stage->db, "again", "heard");
    PLAY_UNTIL(ears[2].notifications == 1);
    pgdbm_unlisten(ears[2].listener);
}

static void a_pool_of_one_session_refuses_to_listen(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    pgdbm_listener *listener = (pgdbm_listener *)&err;
    assert_fails(PGDBM_ERR_CONFIG, pgdbm_listen(stage->db, "jobs", hear, new_ears(), &listener, &err));
    assert_null(listener);
    assert_contains(err.hint, "max_connections");
}

static void names_that_are_none_and_handles_that_cannot_are_refused(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 3, .schema = "app"});
    pgdbm_error err;
    pgdbm_listener *listener = NULL;
    static const char *const bad[] = {
        "", "1jobs", "jo bs", "jobs;", "jobs\"", "-", "a23456789012345678901234567890123456789012345678901234567890"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_fails(PGDBM_ERR_SCHEMA, pgdbm_listen(stage->db, bad[i], hear, new_ears(), &listener, &err));
        assert_fails(PGDBM_ERR_SCHEMA, pgdbm_notify(stage->db, bad[i], "x", &err));
        assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    }
    pgdbm_db *tx = play_begin(stage->db);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_listen(tx, "jobs", hear, new_ears(), &listener, &err));
    pgdbm_close(tx);
    struct ear *ear = new_ears();
    listen_to(stage->db, "Mixed_Case.and.dots_9", ear);
    notify(stage->db, "Mixed_Case.and.dots_9", "heard");
    PLAY_UNTIL(ear->notifications == 1);
    pgdbm_unlisten(ear->listener);
}

static void a_pool_may_close_while_somebody_listens(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 3});
    pgdbm_error err;
    struct ear *ears = new_ears();
    pgdbm_listener *early = NULL;
    listen_to(stage->db, "jobs", &ears[0]);
    assert_ok(pgdbm_listen(stage->db, "mail", hear, &ears[1], &early, &err)); /* and before it is ready */
    int64_t begun = stage_clock_ms();
    stage_close(stage);
    if (stage_clock_ms() - begun > 8000)
        fail_msg("closing waited for the listeners");
    ears[0].ended = true;
    pgdbm_unlisten(ears[0].listener);
    pgdbm_unlisten(early);
    assert_int_equal(ears[0].after_end, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_BOTH(a_listener_is_told_that_it_listens_and_then_of_every_notification_in_order),
        PLAY_BOTH(in_a_transaction_a_notification_comes_with_the_commit),
        PLAY_BOTH(two_listeners_of_one_channel_hear_both),
        PLAY_BOTH(schemas_do_not_hear_each_other),
        PLAY_BOTH(when_the_connection_is_lost_everybody_is_told_of_the_gap_and_listens_again),
        PLAY_BOTH(a_listener_may_end_inside_of_its_own_callback),
        PLAY_BOTH(listening_takes_one_session_inside_of_max_connections_and_gives_it_back),
        PLAY_BOTH(a_pool_of_one_session_refuses_to_listen),
        PLAY_BOTH(names_that_are_none_and_handles_that_cannot_are_refused),
        PLAY_BOTH(a_pool_may_close_while_somebody_listens),
    };
    return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
