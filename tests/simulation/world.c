/* SPDX-License-Identifier: MIT */
/* Clock, chance, events and diary. */
#include "simulation/world.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What reading the clock takes; and how often it is read without anything happening until that counts as waiting. */
#define READING_NS 20
#define READINGS 5000
/* No world lives longer. */
#define END_NS (INT64_C(3600) * 1000000000)

struct event {
    int64_t time;
    uint64_t number;
    void (*run)(void *subject, int64_t argument);
    void *subject;
    int64_t argument;
};

struct world world;
static uint64_t chance, next_number, readings;
static struct event *events;
static size_t n_events, capacity;

static bool toss(unsigned permille)
{
    return world_chance(permille);
}

static void draw_weather(struct weather *weather)
{
    static const int64_t latencies[] = {30000, 200000, 2000000, 20000000};
    static const size_t sockets[] = {300, 3000, 30000, 262144};
    *weather = (struct weather){.calm = toss(300)};
    weather->latency_ns = latencies[world_random(4)];
    weather->jitter_ns = weather->latency_ns / (toss(500) ? 4 : 1);
    weather->quick_ns = toss(500) ? 100000 : 3000000;
    weather->slow_ns = toss(700) ? 40000000 : 2000000000;
    weather->socket_bytes = toss(600) ? 262144 : sockets[world_random(4)];
    weather->partial = toss(500) ? 0 : (unsigned)world_random(500);
    weather->again = toss(500) ? 0 : (unsigned)world_random(200);
    weather->cancel_lost = toss(700) ? 0 : (unsigned)world_random(400);
    weather->forgetful = toss(800) ? 0 : (unsigned)world_random(60);
    weather->morphing = toss(700) ? 0 : (unsigned)world_random(60);
    if (!weather->calm) {
        weather->mortal = toss(400) ? 0 : (unsigned)world_random(600);
        weather->refused = toss(600) ? 0 : (unsigned)world_random(300);
    }
}

void world_begin(uint64_t seed, bool print)
{
    world = (struct world){.seed = seed, .print = print, .now = INT64_C(1000000000), .diary_hash = 14695981039346656037U};
    chance = seed * UINT64_C(0xD1342543DE82EF95) + 1;
    next_number = readings = 0;
    n_events = 0;
    draw_weather(&world.weather);
    pgdbm__clock_simulate(world_clock, seed);
}

void world_end(void)
{
    pgdbm__clock_simulate(NULL, 0);
    free(events);
    events = NULL;
    n_events = capacity = 0;
}

uint64_t world_random(uint64_t limit)
{
    uint64_t x = chance += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    x ^= x >> 31;
    return limit > 0 ? x % limit : 0;
}

int64_t world_between(int64_t low, int64_t high)
{
    return high > low ? low + (int64_t)world_random((uint64_t)(high - low) + 1) : low;
}

bool world_chance(unsigned permille)
{
    return permille > 0 && world_random(1000) < permille;
}

int64_t world_clock(void)
{
    /* Who reads the clock again and again waits for it. */
    world.now += ++readings > READINGS ? PGDBM__MS : READING_NS;
    return world.now;
}

static bool earlier(const struct event *a, const struct event *b)
{
    return a->time != b->time ? a->time < b->time : a->number < b->number;
}

void world_at(int64_t time, void (*run)(void *subject, int64_t argument), void *subject, int64_t argument)
{
    if (n_events == capacity) {
        capacity = capacity > 0 ? capacity * 2 : 64;
        events = realloc(events, capacity * sizeof *events);
        if (events == NULL)
            abort();
    }
    struct event event = {time > world.now ? time : world.now, next_number++, run, subject, argument};
    size_t place = n_events++;
    for (; place > 0 && earlier(&event, &events[(place - 1) / 2]); place = (place - 1) / 2)
        events[place] = events[(place - 1) / 2];
    events[place] = event;
}

static struct event take_first(void)
{
    struct event first = events[0];
    struct event last = events[--n_events];
    size_t place = 0;
    for (size_t child = 1; child < n_events; child = place * 2 + 1) {
        if (child + 1 < n_events && earlier(&events[child + 1], &events[child]))
            child++;
        if (!earlier(&events[child], &last))
            break;
        events[place] = events[child];
        place = child;
    }
    events[place] = last;
    return first;
}

bool world_advance(int64_t limit)
{
    readings = 0;
    if (world.now > END_NS)
        world_fail("nothing gets done any more");
    if (n_events == 0 || events[0].time > limit) {
        if (limit == PGDBM__NEVER)
            world_fail("nothing will ever happen again, and a thread waits");
        if (world.now < limit)
            world.now = limit;
        return false;
    }
    struct event event = take_first();
    if (world.now < event.time)
        world.now = event.time;
    event.run(event.subject, event.argument);
    return true;
}

bool world_is_quiet(void)
{
    return n_events == 0;
}

void world_note(const char *format, ...)
{
    char line[400];
    va_list arguments;
    int used = snprintf(line, sizeof line, "%12.6f ", (double)world.now / 1e9);
    va_start(arguments, format);
    vsnprintf(line + used, sizeof line - (size_t)used, format, arguments);
    va_end(arguments);
    for (const char *at = line; *at != '\0'; at++)
        world.diary_hash = (world.diary_hash ^ (unsigned char)*at) * 1099511628211U;
    world.diary_lines++;
    if (world.print)
        puts(line);
}

void world_fail(const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "seed %" PRIu64 ": at %.6f: ", world.seed, (double)world.now / 1e9);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n  see it again: test_simulation --seed %" PRIu64 " --trace\n", world.seed);
    fflush(stderr);
    _exit(1);
}
