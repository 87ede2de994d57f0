/* SPDX-License-Identifier: MIT */
/* Storms, and pools closed in the middle of one. PGDBM_STRESS_SEED repeats one, PGDBM_STRESS_MS makes them longer. */
#include "async/storm.h"

#include <stdlib.h>

#define QUIET(stats)                                                                                                   \
    ((stats).submitted == 0 && (stats).queued == 0 && (stats).waiting == 0 && (stats).shared == 0 &&                   \
     (stats).leased == 0 && (stats).canceling == 0)

static struct crew crew;
static struct crew drivers;

static int milliseconds(void)
{
    const char *text = getenv("PGDBM_STRESS_MS");
    return text != NULL ? atoi(text) : 4000;
}

static pgdbm_config weather(bool background)
{
    return (pgdbm_config){
        .min_connections = 2,
        .max_connections = 8,
        .acquire_timeout_ms = 5000,
        .command_timeout_ms = 10000,
        .lock_timeout_ms = 1000,
        .retry_delay_ms = 10,
        .retry_max_delay_ms = 50,
        .background = background,
    };
}

static void raise_storm(size_t n_drivers)
{
    for (size_t i = 0; i < 4; i++)
        crew_start(&crew, storm_hand_blocks, NULL);
    for (size_t i = 0; i < 2; i++)
        crew_start(&crew, storm_hand_waits, NULL);
    crew_start(&crew, storm_hand_cancels, NULL);
    crew_start(&crew, storm_hand_kills, NULL);
    crew_start(&crew, storm_hand_listens, NULL);
    for (size_t i = 0; i < n_drivers; i++)
        crew_start(&drivers, storm_hand_drives, NULL);
    atomic_store(&storm.walking, STORM_WALKERS);
    for (size_t i = 0; i < STORM_WALKERS; i++) {
        storm.walkers[i].random = storm.seed + i;
        storm_walk(&storm.walkers[i]);
    }
}

static bool has_complaint(void)
{
    pthread_mutex_lock(&storm.lock);
    bool complaint = storm.complaint[0] != '\0';
    pthread_mutex_unlock(&storm.lock);
    return complaint;
}

static void let_it_rage(int ms)
{
    int64_t end = stage_clock_ms() + ms;
    while (stage_clock_ms() < end && !has_complaint())
        usleep(5000);
}

/* Waits until every walker has come to rest. */
static void await_walkers(void)
{
    int64_t give_up = stage_clock_ms() + 30000;
    while (atomic_load(&storm.walking) > 0) {
        if (stage_clock_ms() > give_up) {
            pgdbm_pool_stats stats = stage_stats(storm.stage);
            print_error("%zu walkers wait still; submitted %zu, queued %zu, cancelling %zu; again with "
                        "PGDBM_STRESS_SEED=%llu\n",
                        atomic_load(&storm.walking), stats.submitted, stats.queued, stats.canceling,
                        (unsigned long long)storm.seed);
            stage_fail_stats(&stats, "every walker comes to rest", __FILE__, __LINE__);
        }
        usleep(1000);
    }
}

/* The pool has forgotten nothing, and works as before. */
static void expect_calm(void)
{
    pgdbm_pool_stats stats;
    int64_t give_up = stage_clock_ms() + 20000;
    while (stats = stage_stats(storm.stage), !QUIET(stats)) {
        if (stage_clock_ms() > give_up) {
            print_error("submitted %zu, queued %zu, cancelling %zu; again with PGDBM_STRESS_SEED=%llu\n",
                        stats.submitted, stats.queued, stats.canceling, (unsigned long long)storm.seed);
            stage_fail_stats(&stats, "nothing is under way", __FILE__, __LINE__);
        }
        (void)pgdbm_dispatch(storm.pool, 10);
    }
    for (int i = 0; i < 50; i++)
        stage_expect_number(storm.db, "SELECT 7::int8", 7);
}

static void ride_out(void **state, size_t n_drivers)
{
    storm_begin(*state, weather(n_drivers == 0));
    raise_storm(n_drivers);
    let_it_rage(milliseconds());
    atomic_store(&storm.stop, true);
    crew_join(&crew);
    await_walkers();
    atomic_store(&storm.driver_stop, true);
    pgdbm_dispatch_stop(storm.pool);
    crew_join(&drivers);
    storm_release_box();
    expect_calm();
    storm_compare();
}

static void everything_has_one_true_outcome_when_a_thread_dispatches(void **state)
{
    ride_out(state, 1);
}

static void everything_has_one_true_outcome_in_the_background(void **state)
{
    ride_out(state, 0);
}

enum closing { BY_A_THREAD = 0, BY_A_CALLBACK, WAYS_OF_CLOSING };

static void close_in_the_middle(void **state, bool background, enum closing way, int drain_ms)
{
    pgdbm_config config = weather(background);
    config.drain_timeout_ms = drain_ms;
    storm_begin(*state, config);
    raise_storm(background ? 0 : 1);
    let_it_rage(milliseconds() / 16);
    if (way == BY_A_THREAD) {
        atomic_store(&storm.closing, true);
        pgdbm_pool_close(storm.pool);
        atomic_store(&storm.closed, true);
    } else
        atomic_store(&storm.close_now, true);
    int64_t give_up = stage_clock_ms() + 30000;
    while (!atomic_load(&storm.closed) && stage_clock_ms() < give_up)
        usleep(1000);
    if (!atomic_load(&storm.closed))
        storm_complain("the pool was not closed within 30 seconds");
    storm_check();
    storm.stage->pool = NULL;
    crew_join(&crew);
    crew_join(&drivers);
    await_walkers();
    storm_release_box();
    pgdbm_close(storm.db);
    storm.stage->db = NULL;
    storm_compare();
}

static void closing_in_the_middle_of_a_storm_completes_everything(void **state)
{
    for (int round = 0; round < 8; round++)
        close_in_the_middle(state, round % 2 == 0, (enum closing)(round / 2 % WAYS_OF_CLOSING), round < 4 ? 1 : 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define STORM(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)
        STORM(everything_has_one_true_outcome_when_a_thread_dispatches),
        STORM(everything_has_one_true_outcome_in_the_background),
        STORM(closing_in_the_middle_of_a_storm_completes_everything),
    };
    return cmocka_run_group_tests_name("stress", tests, NULL, NULL);
}
