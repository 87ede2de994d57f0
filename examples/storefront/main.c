/* SPDX-License-Identifier: MIT */
/* storefront: pgdbm's three patterns in one program, on a private server and real data.
 *
 * - users, orders and payments are services: managers bound to a schema each, on one shared pool;
 * - audit is a library in dual mode, attached to the same pool, and opened standalone once for comparison;
 * - the worker is a standalone process of its own, on the same database.
 *
 * Exit status 0 only if everything that was promised to a customer is there at the end. */
#include "report.h"

#include <pgdbm/testkit.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_SECONDS = 4, MAX_SECONDS = 3600, STANDALONE_ENTRIES = 100 };

struct storefront {
    int seconds;
    pgdbm_testserver *server;
    struct shop shop;
    struct reference reference;
    struct worker_process worker;
    struct worker_answer worker_answer;
    struct traffic traffic;
    struct audit_view attached;
    struct audit_view standalone;
    struct checks checks;
};

/* The log's latest warning. The pool's own threads log too, hence the lock. */
static pthread_mutex_t warning_lock = PTHREAD_MUTEX_INITIALIZER;
static char warning[512];

static void remember_warning(pgdbm_log_level level, const char *message, void *context)
{
    (void)context;
    if (level > PGDBM_LOG_WARNING)
        return;
    pthread_mutex_lock(&warning_lock);
    snprintf(warning, sizeof warning, "%s", message);
    pthread_mutex_unlock(&warning_lock);
}

static const pgdbm_config logging = {.log = remember_warning};

static bool failed(const char *doing, const pgdbm_error *err)
{
    report_error(doing, err);
    return false;
}

static bool start_server(struct storefront *all)
{
    pgdbm_error err;
    int64_t started = measure_now();
    if (pgdbm_testserver_start(NULL, &all->server, &err) != PGDBM_OK)
        return failed("starting a private server", &err);
    /* Where the worker looks, as a service of its own would. */
    if (setenv("DATABASE_URL", pgdbm_testserver_url(all->server), 1) != 0)
        return false;
    report_stage(started, "a private PostgreSQL server, on a unix socket and no port");
    return true;
}

static bool open_shop(struct storefront *all)
{
    pgdbm_error err;
    int64_t started = measure_now();
    if (shop_open(pgdbm_testserver_url(all->server), &logging, &all->shop, &err) != PGDBM_OK)
        return failed("opening the shop", &err);
    report_stage(started, "users, orders, payments and audit migrated, on one pool");
    started = measure_now();
    if (!worker_start(&all->worker))
        return false;
    report_stage(started, "the worker started, a process of its own, migrated");
    started = measure_now();
    if (reference_load(all->shop.users, &all->reference, &err) != PGDBM_OK)
        return failed("loading countries and time zones", &err);
    report_stage(started, "%zu countries and %zu time zones loaded from tzdata", all->reference.countries.n_rows,
                 all->reference.time_zones.n_rows);
    return true;
}

static bool serve(struct storefront *all)
{
    int64_t started = measure_now();
    if (!traffic_run(&all->shop, &all->reference, all->seconds, &all->traffic))
        return false;
    report_stage(started, "served %d customers at once, a thread each", TRAFFIC_THREADS);
    started = measure_now();
    if (!worker_finish(&all->worker, &all->worker_answer))
        return false;
    report_stage(started, "the worker did what was left and ended");
    return true;
}

static pgdbm_status look_at(audit *log, struct audit_view *view, pgdbm_error *err)
{
    snprintf(view->schema, sizeof view->schema, "%s", audit_schema(log));
    view->own_connections = audit_connections(log);
    return audit_count(log, &view->entries, err);
}

/* The same library, opened by connection string into a schema of its own. In a real program this would be the mistake
 * that the log warns of: a second pool to one database. */
static bool compare_audit(struct storefront *all)
{
    pgdbm_error err;
    audit *log = NULL;
    pgdbm_config config = logging;
    config.min_connections = 1;
    config.max_connections = 1;
    const pgdbm_source source = {
        .connection_string = pgdbm_testserver_url(all->server), .schema = "audit_alone", .config = &config};
    pgdbm_status status = audit_open(&source, &log, &err);
    for (int64_t i = 1; status == PGDBM_OK && i <= STANDALONE_ENTRIES; i++)
        status = audit_record(log, "compared", i, &err);
    if (status == PGDBM_OK)
        status = look_at(log, &all->standalone, &err);
    if (status == PGDBM_OK)
        status = look_at(all->shop.audit, &all->attached, &err);
    audit_close(log);
    return status == PGDBM_OK || failed("comparing the audit library's modes", &err);
}

static void check_everything(struct storefront *all)
{
    const struct ledger *ledger = &all->traffic.ledger;
    const struct shop *shop = &all->shop;
    struct checks *checks = &all->checks;
    int64_t errors = 0;
    for (size_t i = 0; i < N_OPERATIONS; i++)
        errors += all->traffic.measures[i].errors;
    check_number(checks, "calls that failed", 0, errors);
    check_number(checks, "answers that were not true", 0, ledger->wrong_answers);
    check_query(checks, "countries", (int64_t)all->reference.countries.n_rows, shop->users,
                "SELECT count(*) FROM {{tables.countries}}");
    check_query(checks, "time zones", (int64_t)all->reference.time_zones.n_rows, shop->users,
                "SELECT count(*) FROM {{tables.time_zones}}");
    check_query(checks, "users registered", ledger->users, shop->users, "SELECT count(*) FROM {{tables.users}}");
    check_query(checks, "orders placed", ledger->orders, shop->orders, "SELECT count(*) FROM {{tables.orders}}");
    check_query(checks, "cents ordered", ledger->order_cents, shop->orders,
                "SELECT coalesce(sum(amount_cents), 0)::bigint FROM {{tables.orders}}");
    check_query(checks, "cents paid", ledger->order_cents, shop->payments,
                "SELECT coalesce(sum(amount_cents), 0)::bigint FROM {{tables.payments}}");
    check_query(checks, "orders without their payment, or payments without their order", 0, shop->orders,
                "SELECT count(*) FROM {{tables.orders}} o FULL JOIN {{tables.payments.payments}} p"
                " ON p.order_id = o.id WHERE o.amount_cents IS DISTINCT FROM p.amount_cents");
    check_number(checks, "audit entries, attached", ledger->audit_entries, all->attached.entries);
    check_number(checks, "audit entries, standalone", STANDALONE_ENTRIES, all->standalone.entries);
    check_query(checks, "jobs for the worker", ledger->orders, shop->orders,
                "SELECT count(DISTINCT order_id) FROM {{tables.worker.jobs}}");
    check_number(checks, "jobs that the worker says it did", ledger->orders, all->worker_answer.jobs);
    check_query(checks, "jobs done exactly once", ledger->orders, shop->orders,
                "SELECT count(*) FROM (SELECT job_id FROM {{tables.worker.receipts}} GROUP BY job_id"
                " HAVING count(*) = 1) AS once");
    check_query(checks, "jobs left undone", 0, shop->orders,
                "SELECT count(*) FROM {{tables.worker.jobs}} WHERE done_at IS NULL");
}

static bool run(struct storefront *all)
{
    if (!start_server(all) || !open_shop(all) || !serve(all) || !compare_audit(all))
        return false;
    check_everything(all);
    report_services(&all->traffic, &all->worker_answer, all->seconds);
    report_connections(&all->traffic);
    report_audit(&all->attached, &all->standalone, warning);
    report_checks(&all->checks);
    return checks_add_up(&all->checks);
}

/* The number of seconds asked for, or 0. */
static int read_seconds(int argc, char **argv)
{
    if (argc == 1)
        return DEFAULT_SECONDS;
    char *rest = NULL;
    long seconds = argc == 3 && strcmp(argv[1], "--seconds") == 0 ? strtol(argv[2], &rest, 10) : 0;
    return seconds >= 1 && seconds <= MAX_SECONDS && *rest == '\0' ? (int)seconds : 0;
}

int main(int argc, char **argv)
{
    static struct storefront all = {.worker = {.input = -1}};
    all.seconds = read_seconds(argc, argv);
    if (all.seconds == 0) {
        fprintf(stderr, "usage: storefront [--seconds N]   (1 to %d, by default %d)\n", MAX_SECONDS, DEFAULT_SECONDS);
        return 2;
    }
    printf("storefront: one pool, many schemas, and every module brings its own migrations\n\n");
    bool adds_up = run(&all);
    worker_end(&all.worker);
    reference_free(&all.reference);
    shop_close(&all.shop);
    pgdbm_testserver_stop(all.server);
    return adds_up ? EXIT_SUCCESS : EXIT_FAILURE;
}
