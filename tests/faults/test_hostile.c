/* SPDX-License-Identifier: MIT */
/* Servers that break off, contradict themselves, send garbage or say nothing: calls come back with an error that is true,
 * nothing crashes, and the pool goes on with the next session. */
#include "support/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Generous; without an end of its own the wait would be one for ever. */
#define LIMIT_MS 30000

#define SQL "SELECT word FROM words"

/* Up to where a session is open: two questions of the pool's follow the handshake. */
#define WELCOME                                                                                                        \
    PGDBM_FAKE_GREETING, PGDBM_FAKE_EXPECT('Q'), PGDBM_FAKE_COMMAND("SELECT 1"), PGDBM_FAKE_READY("I"),                \
        PGDBM_FAKE_REPEAT(3, 1)
/* Up to where a statement of one column is to be answered. */
#define DESCRIBED                                                                                                      \
    PGDBM_FAKE_EXPECT_UNTIL('S'), PGDBM_FAKE_PARSE_COMPLETE, PGDBM_FAKE_NO_PARAMETERS, PGDBM_FAKE_COLUMNS("word"),     \
        PGDBM_FAKE_READY("I"), PGDBM_FAKE_EXPECT_UNTIL('S'), PGDBM_FAKE_BIND_COMPLETE
#define ANSWERED(word) PGDBM_FAKE_ROW(word), PGDBM_FAKE_COMMAND("SELECT 1"), PGDBM_FAKE_READY("I")

struct encounter {
    pgdbm_testfake *fake;
    pgdbm_pool *pool;
    pgdbm_db *db;
};

static int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static pgdbm_status open_pool(struct encounter *encounter, pgdbm_config config, pgdbm_error *err)
{
    config.connection_string = pgdbm_testfake_url(encounter->fake);
    config.min_connections = config.max_connections = 1;
    config.fail_fast = true;
    config.on_duplicate_pool = PGDBM_ALLOW;
    return pgdbm_pool_open(&config, &encounter->pool, err);
}

static struct encounter meet_scripts(const pgdbm_testfake_step *first, size_t n_first,
                                     const pgdbm_testfake_step *others, size_t n_others)
{
    struct encounter encounter = {0};
    const pgdbm_testfake_script scripts[] = {{first, n_first}, {others, n_others}};
    pgdbm_error err;
    assert_ok(
        pgdbm_testfake_start(&(pgdbm_testfake_options){.scripts = scripts, .n_scripts = 2}, &encounter.fake, &err));
    assert_ok(open_pool(&encounter, (pgdbm_config){0}, &err));
    assert_ok(pgdbm_attach(encounter.pool, "public", &encounter.db, &err));
    return encounter;
}

/* A server that follows the script once, and behaves from then on. */
static struct encounter meet_steps(const pgdbm_testfake_step *steps, size_t n_steps)
{
    pgdbm_testfake_step good[] = {WELCOME, DESCRIBED, ANSWERED("fine")};
    return meet_scripts(steps, n_steps, good, sizeof good / sizeof *good);
}

#define meet(script) meet_steps((script), sizeof(script) / sizeof *(script))

static void part(struct encounter *encounter)
{
    pgdbm_error err;
    pgdbm_close(encounter->db);
    pgdbm_pool_close(encounter->pool);
    assert_ok(pgdbm_testfake_stop(encounter->fake, &err));
}

/* The pool has got over it. */
static void recover(struct encounter *encounter)
{
    pgdbm_error err;
    pgdbm_result *result = NULL;
    const char *word = NULL;
    assert_ok(pgdbm_fetch_one(encounter->db, "SELECT word FROM others", pgdbm_no_args, &result, &err));
    assert_ok(pgdbm_get_text(result, 0, "word", &word, &err));
    assert_string_equal(word, "fine");
    pgdbm_result_free(result);
    assert_int_equal(pgdbm_testfake_connections(encounter->fake), 2);
}

/* Asks, which must fail with the status and say these words; then goes on. */
static void suffer(struct encounter *encounter, pgdbm_status wanted, pgdbm_outcome_kind outcome, const char *words)
{
    pgdbm_error err;
    pgdbm_result *result = NULL;
    assert_fails(wanted, pgdbm_fetch_all(encounter->db, SQL, pgdbm_no_args, &result, &err));
    assert_null(result);
    assert_contains(err.message, words);
    assert_string_equal(pgdbm_outcome_name(err.outcome), pgdbm_outcome_name(outcome));
    recover(encounter);
    part(encounter);
}

/* ---- while a session is opened ---- */

static void expect_no_pool(const pgdbm_testfake_step *steps, size_t n_steps, pgdbm_config config, const char *words)
{
    struct encounter encounter = {0};
    pgdbm_error err;
    assert_ok(
        pgdbm_testfake_start(&(pgdbm_testfake_options){.steps = steps, .n_steps = n_steps}, &encounter.fake, &err));
    int64_t since = clock_ms();
    assert_fails(PGDBM_ERR_CONNECTION, open_pool(&encounter, config, &err));
    assert_true(clock_ms() - since < LIMIT_MS);
    assert_null(encounter.pool);
    assert_contains(err.message, words);
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    assert_ok(pgdbm_testfake_stop(encounter.fake, &err));
}

#define REFUSED(script, config, words) expect_no_pool((script), sizeof(script) / sizeof *(script), (config), (words))

static void silence_at_any_step_of_the_start_ends_with_the_connect_timeout(void **state)
{
    (void)state;
    pgdbm_config hasty = {.connect_timeout_ms = 200};
    pgdbm_testfake_step authenticated[] = {PGDBM_FAKE_EXPECT_STARTUP, PGDBM_FAKE_AUTHENTICATION_OK};
    pgdbm_testfake_step torn[] = {PGDBM_FAKE_EXPECT_STARTUP, PGDBM_FAKE_SEND("R\0\0\0")};
    pgdbm_testfake_step greeted[] = {PGDBM_FAKE_GREETING};
    REFUSED(authenticated, hasty, "connect_timeout_ms");
    REFUSED(torn, hasty, "connect_timeout_ms");
    REFUSED(greeted, hasty, "connect_timeout_ms");
}

static void garbage_after_authentication_is_a_failed_connection(void **state)
{
    (void)state;
    for (int seed = 0; seed < 20; seed++) {
        pgdbm_testfake_step authenticated[] = {PGDBM_FAKE_EXPECT_STARTUP, PGDBM_FAKE_AUTHENTICATION_OK,
                                               PGDBM_FAKE_GARBAGE(seed, 5000), PGDBM_FAKE_CLOSE};
        pgdbm_testfake_step greeted[] = {PGDBM_FAKE_GREETING, PGDBM_FAKE_GARBAGE(seed, 5000), PGDBM_FAKE_CLOSE};
        REFUSED(authenticated, (pgdbm_config){0}, "cannot connect");
        REFUSED(greeted, (pgdbm_config){0}, "cannot connect");
    }
}

/* Whoever prints shows up in the file that standard error is for so long. */
static void a_flood_of_notices_during_the_start_is_no_obstacle_and_prints_nothing(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_EXPECT_STARTUP,
                                    PGDBM_FAKE_AUTHENTICATION_OK,
                                    PGDBM_FAKE_NOTICE("WARNING", "01000", "the collation has changed"),
                                    PGDBM_FAKE_REPEAT(1, 20000),
                                    PGDBM_FAKE_BACKEND_KEY,
                                    PGDBM_FAKE_READY("I"),
                                    PGDBM_FAKE_EXPECT('Q'),
                                    PGDBM_FAKE_COMMAND("SELECT 1"),
                                    PGDBM_FAKE_READY("I"),
                                    PGDBM_FAKE_REPEAT(3, 1),
                                    DESCRIBED,
                                    ANSWERED("fine")};
    char path[TEST_PATH_BYTES];
    int file = test_file_make("stderr", path);
    fflush(stderr);
    int before = dup(STDERR_FILENO);
    dup2(file, STDERR_FILENO);
    struct encounter encounter = {0};
    pgdbm_error err;
    pgdbm_status status =
        pgdbm_testfake_start(&(pgdbm_testfake_options){PGDBM_FAKE_STEPS(script)}, &encounter.fake, &err);
    if (status == PGDBM_OK)
        status = open_pool(&encounter, (pgdbm_config){0}, &err);
    fflush(stderr);
    off_t printed = lseek(file, 0, SEEK_END);
    dup2(before, STDERR_FILENO);
    close(before);
    close(file);
    unlink(path);
    assert_ok(status);
    assert_int_equal(printed, 0);
    assert_ok(pgdbm_attach(encounter.pool, "public", &encounter.db, &err));
    assert_ok(pgdbm_execute(encounter.db, SQL, pgdbm_no_args, NULL, &err));
    part(&encounter);
}

/* ---- in an answer ---- */

static void a_server_that_sends_byte_by_byte_is_only_slow(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_SLOW_READS(1, 0), PGDBM_FAKE_SLOW_WRITES(1, 0), WELCOME, DESCRIBED,
                                    ANSWERED("at last")};
    struct encounter encounter = meet(script);
    pgdbm_error err;
    pgdbm_result *result = NULL;
    const char *word = NULL;
    assert_ok(pgdbm_fetch_all(encounter.db, SQL, pgdbm_no_args, &result, &err));
    assert_ok(pgdbm_get_text(result, 0, "word", &word, &err));
    assert_string_equal(word, "at last");
    pgdbm_result_free(result);
    part(&encounter);
}

static void garbage_in_an_answer_is_a_lost_connection(void **state)
{
    (void)state;
    for (int seed = 0; seed < 20; seed++) {
        pgdbm_testfake_step script[] = {WELCOME, DESCRIBED, PGDBM_FAKE_GARBAGE(seed, 5000), PGDBM_FAKE_CLOSE};
        struct encounter encounter = meet(script);
        suffer(&encounter, PGDBM_ERR_CONNECTION, PGDBM_OUTCOME_UNKNOWN, "server");
    }
}

static void impossible_messages_are_a_broken_protocol(void **state)
{
    (void)state;
    static const pgdbm_testfake_step impossible[] = {
        PGDBM_FAKE_SEND("D\xff\xff\xff\xff"),              /* 4 GiB */
        PGDBM_FAKE_SEND("D\x80\0\0\0"),                    /* negative, for those who take it for signed */
        PGDBM_FAKE_SEND("D\0\0\0\x03"),                    /* less than the length itself */
        PGDBM_FAKE_SEND("Z\0\0\1\0"),                      /* longer than its type can be */
        PGDBM_FAKE_MESSAGE('?', "what"),                   /* of no known type */
        PGDBM_FAKE_MESSAGE('D', ""),                       /* a row without its number of columns */
        PGDBM_FAKE_MESSAGE('D', "\0\0"),                   /* a row of no columns where one is due */
        PGDBM_FAKE_MESSAGE('D', "\0\2\0\0\0\1a\0\0\0\1b"), /* of two */
        PGDBM_FAKE_MESSAGE('D', "\xff\xff"),               /* of very many */
        PGDBM_FAKE_MESSAGE('D', "\0\1\0\0\0\5abc"),        /* a value that is longer than the row */
        PGDBM_FAKE_MESSAGE('D', "\0\1\xff\xff\xff\xfe"),   /* of a length that is neither one nor NULL's */
        PGDBM_FAKE_MESSAGE('D', "\0\1\0\0\0\1abc"),        /* with something behind it */
        PGDBM_FAKE_MESSAGE('C', "SELECT 1"),               /* a text without an end */
        PGDBM_FAKE_MESSAGE('E', "Mno end"),
        PGDBM_FAKE_MESSAGE('Z', ""),
        PGDBM_FAKE_MESSAGE('G', "\0\0\0"), /* COPY, that nobody asked for */
        PGDBM_FAKE_MESSAGE('d', "data"),
    };
    for (size_t i = 0; i < sizeof impossible / sizeof *impossible; i++) {
        pgdbm_testfake_step script[] = {WELCOME, DESCRIBED, impossible[i]};
        struct encounter encounter = meet(script);
        suffer(&encounter, PGDBM_ERR_CONNECTION, PGDBM_OUTCOME_UNKNOWN, "broke protocol");
    }
}

/* Else it would be a success that nobody knows anything of. */
static void ready_for_query_is_no_answer_to_an_execution(void **state)
{
    (void)state;
    pgdbm_testfake_step empty[] = {WELCOME, DESCRIBED, PGDBM_FAKE_READY("I")};
    pgdbm_testfake_step torn[] = {WELCOME, DESCRIBED, PGDBM_FAKE_ROW("1"), PGDBM_FAKE_READY("I")};
    struct encounter first = meet(empty);
    suffer(&first, PGDBM_ERR_CONNECTION, PGDBM_OUTCOME_UNKNOWN, "broke protocol");
    struct encounter second = meet(torn);
    suffer(&second, PGDBM_ERR_CONNECTION, PGDBM_OUTCOME_UNKNOWN, "broke protocol");
}

static void a_great_length_whose_bytes_do_not_come_is_a_lost_connection(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {WELCOME, DESCRIBED, PGDBM_FAKE_SEND("D\x10\0\0\0\0\1"), PGDBM_FAKE_CLOSE};
    struct encounter encounter = meet(script);
    suffer(&encounter, PGDBM_ERR_CONNECTION, PGDBM_OUTCOME_UNKNOWN, "lost");
}

static void a_row_that_breaks_off_is_a_lost_connection(void **state)
{
    (void)state;
    for (int bytes = 0; bytes < 16; bytes++) { /* the row's message has 16 */
        pgdbm_testfake_step script[] = {WELCOME, DESCRIBED, PGDBM_FAKE_CUT(bytes), PGDBM_FAKE_ROW("words")};
        struct encounter encounter = meet(script);
        suffer(&encounter, PGDBM_ERR_CONNECTION, PGDBM_OUTCOME_UNKNOWN, "lost");
    }
}

static void a_reset_in_a_result_is_a_lost_connection(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {WELCOME, DESCRIBED, PGDBM_FAKE_ROW("1"), PGDBM_FAKE_REPEAT(1, 1000),
                                    PGDBM_FAKE_RESET};
    struct encounter encounter = meet(script);
    suffer(&encounter, PGDBM_ERR_CONNECTION, PGDBM_OUTCOME_UNKNOWN, "lost");
}

static void a_complete_command_without_ready_for_query_may_have_taken_effect(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {WELCOME, DESCRIBED, PGDBM_FAKE_ROW("1"), PGDBM_FAKE_COMMAND("SELECT 1"),
                                    PGDBM_FAKE_CLOSE};
    struct encounter encounter = meet(script);
    suffer(&encounter, PGDBM_ERR_CONNECTION, PGDBM_OUTCOME_UNKNOWN, "lost");
}

/* A backend that says FATAL has ended its transaction, so that the statement may be asked again elsewhere. */
static void a_statement_is_asked_again_where_its_backend_said_that_it_ends(void **state)
{
    (void)state;
    pgdbm_testfake_step ends[] = {WELCOME, DESCRIBED, PGDBM_FAKE_ROW("1"),
                                  PGDBM_FAKE_ERROR("FATAL", "57P01", "terminating connection"), PGDBM_FAKE_CLOSE};
    pgdbm_testfake_step lives[] = {WELCOME,
                                   PGDBM_FAKE_EXPECT('C'), /* of a statement of that name, should there be one */
                                   PGDBM_FAKE_EXPECT_TEXT('P', "FROM others"),
                                   PGDBM_FAKE_EXPECT_UNTIL('S'),
                                   PGDBM_FAKE_CLOSE_COMPLETE,
                                   PGDBM_FAKE_PARSE_COMPLETE,
                                   PGDBM_FAKE_NO_PARAMETERS,
                                   PGDBM_FAKE_COLUMNS("word"),
                                   PGDBM_FAKE_BIND_COMPLETE,
                                   ANSWERED("fine")};
    struct encounter encounter = meet_scripts(ends, sizeof ends / sizeof *ends, lives, sizeof lives / sizeof *lives);
    recover(&encounter);
    part(&encounter);
}

static void the_last_words_are_told_when_every_backend_ends(void **state)
{
    (void)state;
    pgdbm_testfake_step fatal[] = {WELCOME, PGDBM_FAKE_EXPECT_UNTIL('S'),
                                   PGDBM_FAKE_ERROR("FATAL", "57P01", "terminating connection"), PGDBM_FAKE_CLOSE};
    struct encounter encounter = meet_scripts(fatal, sizeof fatal / sizeof *fatal, fatal, sizeof fatal / sizeof *fatal);
    pgdbm_error err;
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_execute(encounter.db, SQL, pgdbm_no_args, NULL, &err));
    assert_string_equal(err.sqlstate, "57P01");
    assert_contains(err.message, "terminating connection");
    assert_int_not_equal(err.outcome, PGDBM_OUTCOME_UNKNOWN);
    /* A session that was opened in the meantime is closed before it has asked anything: not what its script expects. */
    pgdbm_close(encounter.db);
    pgdbm_pool_close(encounter.pool);
    (void)pgdbm_testfake_stop(encounter.fake, NULL);
}

static void an_error_in_a_result_is_told_though_the_connection_ends_behind_it(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {WELCOME, DESCRIBED, PGDBM_FAKE_ROW("1"),
                                    PGDBM_FAKE_ERROR("ERROR", "22012", "division by zero"), PGDBM_FAKE_CLOSE};
    struct encounter encounter = meet(script);
    suffer(&encounter, PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK, "division by zero");
}

/* ---- beside an answer ---- */

static void an_answer_that_nobody_asked_for_costs_the_session_and_nothing_else(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {WELCOME, DESCRIBED, ANSWERED("first"), PGDBM_FAKE_READY("I"), ANSWERED("unasked")};
    struct encounter encounter = meet(script);
    pgdbm_error err;
    pgdbm_result *result = NULL;
    const char *word = NULL;
    assert_ok(pgdbm_fetch_all(encounter.db, SQL, pgdbm_no_args, &result, &err));
    assert_ok(pgdbm_get_text(result, 0, "word", &word, &err));
    assert_string_equal(word, "first");
    pgdbm_result_free(result);
    assert_ok(pgdbm_testfake_await(encounter.fake, 1, PGDBM_TESTFAKE_ALL, LIMIT_MS, &err));
    recover(&encounter); /* whether the session is found broken before the next statement or by it */
    part(&encounter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_at_any_step_of_the_start_ends_with_the_connect_timeout),
        cmocka_unit_test(garbage_after_authentication_is_a_failed_connection),
        cmocka_unit_test(a_flood_of_notices_during_the_start_is_no_obstacle_and_prints_nothing),
        cmocka_unit_test(a_server_that_sends_byte_by_byte_is_only_slow),
        cmocka_unit_test(garbage_in_an_answer_is_a_lost_connection),
        cmocka_unit_test(impossible_messages_are_a_broken_protocol),
        cmocka_unit_test(ready_for_query_is_no_answer_to_an_execution),
        cmocka_unit_test(a_great_length_whose_bytes_do_not_come_is_a_lost_connection),
        cmocka_unit_test(a_row_that_breaks_off_is_a_lost_connection),
        cmocka_unit_test(a_reset_in_a_result_is_a_lost_connection),
        cmocka_unit_test(a_complete_command_without_ready_for_query_may_have_taken_effect),
        cmocka_unit_test(a_statement_is_asked_again_where_its_backend_said_that_it_ends),
        cmocka_unit_test(the_last_words_are_told_when_every_backend_ends),
        cmocka_unit_test(an_error_in_a_result_is_told_though_the_connection_ends_behind_it),
        cmocka_unit_test(an_answer_that_nobody_asked_for_costs_the_session_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
