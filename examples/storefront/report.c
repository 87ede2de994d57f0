/* SPDX-License-Identifier: MIT */
/* Tables for people. No state. */
#include "report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *style(const char *sequence)
{
    const char *no_color = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && (no_color == NULL || no_color[0] == '\0') ? sequence : "";
}

#define BOLD style("\033[1m")
#define DIM style("\033[2m")
#define GREEN style("\033[32m")
#define RED style("\033[31m")
#define PLAIN style("\033[0m")

/* A number with its thousands set apart; the text is valid for the next eight calls. */
static const char *grouped(int64_t number)
{
    static char ring[8][32];
    static size_t next;
    char digits[24];
    char *text = ring[next++ % 8];
    int n_digits = snprintf(digits, sizeof digits, "%" PRId64, number < 0 ? -number : number);
    size_t used = 0;
    if (number < 0)
        text[used++] = '-';
    for (int i = 0; i < n_digits; i++) {
        text[used++] = digits[i];
        if ((n_digits - i) % 3 == 1 && i + 1 < n_digits)
            text[used++] = ',';
    }
    text[used] = '\0';
    return text;
}

void report_stage(int64_t started, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printf("  %-72s %s%6.2f s%s\n", text, DIM, (double)(measure_now() - started) / 1e9, PLAIN);
    fflush(stdout);
}

static void print_operation(const char *service, const char *what, const struct measure *measure, int64_t statements,
                            int64_t p50, int64_t p99)
{
    printf("  %-9s %-26s %11s %11s %8.2f ms %8.2f ms %s%7s%s\n", service, what, grouped(measure->calls),
           grouped(statements), (double)p50 / 1e6, (double)p99 / 1e6, measure->errors > 0 ? RED : "",
           grouped(measure->errors), measure->errors > 0 ? PLAIN : "");
}

void report_services(const struct traffic *traffic, const struct worker_answer *worker, int seconds)
{
    int64_t statements = 0;
    const char *before = "";
    printf("\n%s  %-9s %-26s %11s %11s %11s %11s %7s%s\n", BOLD, "service", "operation", "calls", "statements", "p50",
           "p99", "errors", PLAIN);
    for (size_t i = 0; i < N_OPERATIONS; i++) {
        const struct operation_text *text = &traffic_operations[i];
        const struct measure *measure = &traffic->measures[i];
        int64_t sent = measure->calls * text->statements;
        print_operation(strcmp(text->service, before) != 0 ? text->service : "", text->what, measure, sent,
                        measure_quantile(measure, 0.50), measure_quantile(measure, 0.99));
        before = text->service;
        statements += sent;
    }
    /* Begin, select, commit, and an insert and an update for each job. */
    const struct measure transactions = {.calls = worker->transactions};
    int64_t sent = 3 * worker->transactions + 2 * worker->jobs;
    print_operation("worker", "do a batch of jobs", &transactions, sent, worker->p50, worker->p99);
    statements += sent;
    printf("  %-36s %11s %11s  %s(%s a second)%s\n", "all", "", grouped(statements), DIM,
           grouped(statements / (seconds > 0 ? seconds : 1)), PLAIN);
    if (traffic->first_error.status != PGDBM_OK)
        report_error("the first call that failed", &traffic->first_error);
}

void report_connections(const struct traffic *traffic)
{
    printf("\n%s  %-63s %11s%s\n", BOLD, "connections", "held", PLAIN);
    printf("  %-63s %s%11zu%s\n", "one pool shared by the shop's 4 services, at its peak", GREEN,
           traffic->peak_connections, PLAIN);
    printf("  %-63s %11d\n", "a pool of that size for each service would have held", SHOP_CONNECTIONS * SHOP_SERVICES);
}

static void print_view(const char *mode, const struct audit_view *view)
{
    printf("  %-36s %-14s %11zu %11s\n", mode, view->schema, view->own_connections, grouped(view->entries));
}

void report_audit(const struct audit_view *attached, const struct audit_view *standalone, const char *warning)
{
    printf("\n%s  %-36s %-14s %11s %11s%s\n", BOLD, "the audit library, one code in two modes", "schema", "own conns",
           "entries", PLAIN);
    print_view("attached to the shop's pool", attached);
    print_view("standalone, by connection string", standalone);
    if (warning[0] != '\0')
        printf("  %sopening the second one was noticed, and logged:%s\n    %s\n", DIM, PLAIN, warning);
}

void report_checks(const struct checks *checks)
{
    printf("\n%s  %-63s %11s %11s%s\n", BOLD, "what was promised, and what is there", "promised", "found", PLAIN);
    for (size_t i = 0; i < checks->n; i++) {
        const struct check *check = &checks->list[i];
        bool equal = check->expected == check->found;
        printf("  %-63s %11s %11s  %s%s%s\n", check->what, grouped(check->expected), grouped(check->found),
               equal ? GREEN : RED, equal ? "ok" : "DOES NOT ADD UP", PLAIN);
    }
    if (checks->err.status != PGDBM_OK)
        report_error("checking", &checks->err);
    if (checks_add_up(checks))
        printf("\n%s  Everything adds up.%s\n", GREEN, PLAIN);
    else
        printf("\n%s  It does not add up: see the lines above.%s\n", RED, PLAIN);
}

void report_error(const char *doing, const pgdbm_error *err)
{
    char text[2048];
    pgdbm_error_format(err, text, sizeof text);
    fflush(stdout);
    fprintf(stderr, "storefront: %s: %s\n", doing, text);
}
