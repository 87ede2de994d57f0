/* SPDX-License-Identifier: MIT */
/* What the storefront prints. One thread. */
#ifndef STOREFRONT_REPORT_H
#define STOREFRONT_REPORT_H

#include "checks.h"
#include "traffic.h"
#include "worker_process.h"

/* What the audit library saw in one of its two modes. */
struct audit_view {
    char schema[64];
    size_t own_connections;
    int64_t entries;
};

/* One line about a stage that took from `started` until now. */
void report_stage(int64_t started, const char *format, ...) PGDBM_PRINTF(2, 3);

void report_services(const struct traffic *traffic, const struct worker_answer *worker, int seconds);
void report_connections(const struct traffic *traffic);
void report_audit(const struct audit_view *attached, const struct audit_view *standalone, const char *warning);
void report_checks(const struct checks *checks);

/* An error of the library, with what was being done. */
void report_error(const char *doing, const pgdbm_error *err);

#endif
