/* SPDX-License-Identifier: MIT */
/* One world from its beginning to its end: opens a pool, lets the application, the pool's threads and time take turns by
 * chance, closes the pool, and looks at what is left. */
#include "simulation/program.h"

#include "base/clock.h"
#include "pool/pool.h"
#include "simulation/network.h"
#include "simulation/world.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The housekeeper's tick; and how long nothing may get done. */
#define TICK_NS (INT64_C(500) * PGDBM__MS)
#define PATIENCE_NS (INT64_C(300) * 1000000000)

struct program program;
static int64_t next_tick, progress_at;
static bool keeping_house, connecting;
static size_t n_allocated;

/* --- memory --- */

static void *counted_reallocate(void *memory, size_t bytes, void *context)
{
    (void)context;
    n_allocated += memory == NULL;
    return realloc(memory, bytes);
}

static void counted_release(void *memory, void *context)
{
    (void)context;
    n_allocated -= memory != NULL;
    free(memory);
}

/* --- the pool's threads --- */

static bool was_woken(void)
{
    char bytes[256];
    return read(program.pool->wake[0], bytes, sizeof bytes) > 0;
}

/* An idle session whose connection has ended is noticed, sooner or later. */
static void notice_lost(void)
{
    for (struct pgdbm__member *member = program.pool->places[PGDBM__IDLE].first; member != NULL; member = member->next)
        if (network_has_ended(network_backend(&member->session.transport)) && world_chance(500))
            atomic_store(&member->session.lost, true);
}

static bool keep_house(void)
{
    if (keeping_house || program.closed)
        return false;
    bool woken = was_woken();
    if (!woken && world.now < next_tick)
        return false;
    keeping_house = true;
    next_tick = world.now + TICK_NS;
    pthread_mutex_lock(&program.pool->lock);
    notice_lost();
    pgdbm__housekeeper_step(program.pool);
    pthread_mutex_unlock(&program.pool->lock);
    keeping_house = false;
    return true;
}

static bool connect_one(void)
{
    if (connecting || program.closed)
        return false;
    connecting = true;
    pthread_mutex_lock(&program.pool->lock);
    bool tried = pgdbm__connector_step(program.pool);
    pthread_mutex_unlock(&program.pool->lock);
    connecting = false;
    return tried;
}

static bool other_threads(void)
{
    bool first = world_chance(500);
    return first ? keep_house() || connect_one() : connect_one() || keep_house();
}

/* --- turns --- */

static void dispatch(int timeout_ms)
{
    size_t done = program.n_calls;
    int ran = pgdbm_dispatch(program.pool, timeout_ms);
    if (ran > 0 || done != program.n_calls)
        progress_at = world.now;
}

static void check_pool(void)
{
    pthread_mutex_lock(&program.pool->lock);
    bool valid = pgdbm__pool_is_valid(program.pool);
    pthread_mutex_unlock(&program.pool->lock);
    if (!valid)
        world_fail("the pool is not valid");
}

/* What the application does while one of the pool's threads waits for the network. */
static void meanwhile(void)
{
    if (program.closing || program.callback_depth > 0)
        (void)world_advance(world.now + PGDBM__MS);
    else if (network_is_readable() && world_chance(700))
        dispatch(0);
    else if (program.left > 0 && world_chance(150))
        operation_any();
    else
        (void)world_advance(world.now + PGDBM__MS);
}

/* Nobody has anything to do now: time passes until somebody has. */
static void pass_time(void)
{
    int64_t until = next_tick < network_timer() ? next_tick : network_timer();
    if (until < world.now)
        until = world.now + PGDBM__MS;
    if (program.left > 0 && world_chance(800)) { /* the application will not be quiet for long */
        int64_t soon = world.now + world_between(0, world.weather.latency_ns * 2);
        until = soon < until ? soon : until;
    }
    if (world.now - progress_at > PATIENCE_NS)
        world_fail("nothing gets done any more");
    (void)world_advance(until);
}

static void take_turn(void)
{
    bool readable = network_is_readable();
    uint64_t dice = world_random(100);
    if (program.left > 0 && dice < 12) {
        progress_at = world.now;
        operation_any();
    } else if (program.left == 0 && dice < 20)
        operation_end_something();
    else if (dice < 60 && readable)
        dispatch(0);
    else if (dice < 62)
        dispatch(world_chance(500) ? 0 : (int)world_random(40));
    else if (dice < 75 && keep_house())
        return;
    else if (dice < 85 && connect_one())
        return;
    else
        pass_time();
}

/* --- opening and closing --- */

static void keep_quiet(pgdbm_log_level level, const char *message, void *context)
{
    (void)level;
    (void)context;
    world_note("log: %s", message);
}

static void choose_config(pgdbm_config *config)
{
    static const char *const init_commands[] = {"SET greeting TO hello"};
    static const int caches[] = {-1, 1, 2, 4, 256};
    *config = (pgdbm_config){.host = "simulated", .on_duplicate_pool = PGDBM_ALLOW, .log = keep_quiet};
    config->max_connections = 1 + (int)world_random(4);
    config->min_connections = (int)world_random((uint64_t)config->max_connections + 1);
    config->min_connections = config->min_connections > 0 ? config->min_connections : -1;
    config->max_pipeline = 1 + (int)world_random(8);
    config->acquire_timeout_ms = world_chance(700) ? -1 : (int)world_between(20, 3000);
    config->command_timeout_ms = world_chance(600) ? -1 : (int)world_between(20, 3000);
    config->statement_cache_size = caches[world_random(5)];
    config->max_uses = world_chance(800) ? 0 : (int)world_between(1, 20);
    config->max_lifetime_ms = world_chance(800) ? 0 : (int)world_between(1, 2000);
    config->drain_timeout_ms = world_chance(300) ? -1 : (int)world_between(1, 3000);
    config->retry_delay_ms = (int)world_between(1, 50);
    config->retry_max_delay_ms = 200;
    config->max_result_bytes = world_chance(800) ? 0 : (int)world_between(1024, 30000);
    config->max_queued = world_chance(900) ? 0 : (int)world_between(1, 8);
    if (world_chance(400)) {
        config->init_commands = init_commands;
        config->n_init_commands = 1;
    }
}

static void open_pool(void)
{
    pgdbm_error err;
    choose_config(&program.config);
    network_begin(program.config.max_connections, other_threads);
    world.meanwhile = meanwhile;
    if (pgdbm__pool_open_simulated(&program.config, network_connect, &network_poller, &program.pool, &err) != PGDBM_OK)
        world_fail("the pool does not open: %s", err.message);
    program.n_managers = 1 + (int)world_random(MAX_MANAGERS);
    for (int i = 0; i < program.n_managers; i++) {
        const pgdbm_share share = {.weight = 1 + (unsigned)world_random(3),
                                   .max_in_flight = world_chance(800) ? 0 : 1 + (unsigned)world_random(3)};
        if (pgdbm_attach_with(program.pool, i == 1 ? "app" : NULL, &share, &program.managers[i], &err) != PGDBM_OK)
            world_fail("a manager cannot be attached: %s", err.message);
    }
    world_note("%d connections, pipeline %d, %d managers, latency %lld us%s", program.config.max_connections,
               program.config.max_pipeline, program.n_managers, (long long)world.weather.latency_ns / 1000,
               world.weather.calm ? ", calm" : "");
}

static void check_backends(void)
{
    for (size_t i = 0; i < n_backends; i++)
        if (!backends[i]->closed || !backends[i]->exited)
            world_fail("connection %zu is %s", i, backends[i]->closed ? "not ended" : "not closed");
}

void program_run(uint64_t seed, bool print)
{
    const pgdbm_allocator allocator = {.reallocate = counted_reallocate, .release = counted_release};
    n_allocated = 0;
    (void)pgdbm_allocator_set(&allocator, NULL);
    world_begin(seed, print);
    language_begin();
    memset(&program, 0, sizeof program);
    program.left = (int)world_between(5, world_chance(100) ? 300 : 80);
    program.early = world_chance(250);
    keeping_house = connecting = false;
    next_tick = world.now + TICK_NS;
    open_pool();
    progress_at = world.now;
    while (!program.closed && !operations_are_over()) {
        take_turn();
        if (!program.closed)
            check_pool();
    }
    if (!program.closed)
        operation_close_pool();
    verdict_all_done();
    operation_end_all();
    while (!world_is_quiet())
        (void)world_advance(PGDBM__NEVER);
    check_backends();
    verdict_ledger();
    backends_free();
    world_end();
    if (n_allocated != 0)
        world_fail("%zu allocations are still there", n_allocated);
    (void)pgdbm_allocator_set(NULL, NULL);
}
