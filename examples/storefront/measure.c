/* SPDX-License-Identifier: MIT */
/* Latencies in buckets. No state. */
#include "measure.h"

#include <stddef.h>
#include <time.h>

int64_t measure_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Small numbers have a bucket each; from MEASURE_STEPS on, the highest bit picks a row and the next four a bucket. */
static size_t bucket_of(uint64_t value)
{
    size_t row = 0;
    while (value >= 2 * MEASURE_STEPS) {
        value >>= 1;
        row++;
    }
    return row * MEASURE_STEPS + (size_t)value;
}

/* The largest value of a bucket. */
static int64_t limit_of(size_t bucket)
{
    if (bucket < 2 * MEASURE_STEPS)
        return (int64_t)bucket;
    size_t row = bucket / MEASURE_STEPS - 1;
    uint64_t value = bucket % MEASURE_STEPS + MEASURE_STEPS;
    return (int64_t)(((value + 1) << row) - 1);
}

void measure_add(struct measure *measure, int64_t nanoseconds)
{
    measure->buckets[bucket_of(nanoseconds > 0 ? (uint64_t)nanoseconds : 0)]++;
    measure->calls++;
}

void measure_merge(struct measure *sum, const struct measure *part)
{
    sum->calls += part->calls;
    sum->errors += part->errors;
    for (size_t i = 0; i < MEASURE_BUCKETS; i++)
        sum->buckets[i] += part->buckets[i];
}

int64_t measure_quantile(const struct measure *measure, double quantile)
{
    int64_t wanted = (int64_t)((double)measure->calls * quantile);
    int64_t seen = 0;
    for (size_t i = 0; i < MEASURE_BUCKETS; i++) {
        seen += measure->buckets[i];
        if (seen > wanted || (seen == measure->calls && seen > 0))
            return limit_of(i);
    }
    return 0;
}
