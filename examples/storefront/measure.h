/* SPDX-License-Identifier: MIT */
/* How long things took: counts in buckets a sixteenth of a power of two wide, so any number of measurements fits in a
 * few kilobytes and a quantile is right within 6 %. One thread writes; add together afterwards. */
#ifndef STOREFRONT_MEASURE_H
#define STOREFRONT_MEASURE_H

#include <stdint.h>

enum { MEASURE_STEPS = 16, MEASURE_BUCKETS = 64 * MEASURE_STEPS };

struct measure {
    int64_t calls;
    int64_t errors;
    uint32_t buckets[MEASURE_BUCKETS];
};

/* Nanoseconds of a clock that never jumps. */
int64_t measure_now(void);

void measure_add(struct measure *measure, int64_t nanoseconds);
void measure_merge(struct measure *sum, const struct measure *part);

/* The time that the share `quantile` (0.5, 0.99) of the calls stayed within, in nanoseconds; 0 without calls. */
int64_t measure_quantile(const struct measure *measure, double quantile);

#endif
