/* SPDX-License-Identifier: MIT */
/* The customers. Each thread owns its customer; what they share is the shop, which any thread may use. */
#include "traffic.h"

#include "orders/orders.h"
#include "payments/payments.h"
#include "users/users.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REMEMBERED = 32, SAMPLE_MS = 20 };

struct customer {
    pthread_t thread;
    const struct shop *shop;
    const struct reference *reference;
    int number;
    int64_t deadline;
    uint64_t random;
    int64_t own_id;
    struct order placed[REMEMBERED]; /* the latest orders, to be found again */
    struct measure measures[N_OPERATIONS];
    struct ledger ledger;
    pgdbm_error first_error;
};

/* Begin, three inserts, commit. */
const struct operation_text traffic_operations[N_OPERATIONS] = {
    [FIND_USER] = {"users", "find a user", 1},          [REGISTER_USER] = {"users", "register a user", 1},
    [FIND_ORDER] = {"orders", "find an order", 1},      [PLACE_ORDER] = {"orders", "place and pay an order", 5},
    [FIND_PAYMENT] = {"payments", "find a payment", 1}, [RECORD_AUDIT] = {"audit", "record an entry", 1},
};

/* xorshift64: the same mix in every run. */
static uint64_t next_random(struct customer *self)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return self->random;
}

/* Ends the measurement of a call that began at `started`; true when it succeeded. */
static bool measured(struct customer *self, enum operation operation, int64_t started, pgdbm_status status,
                     const pgdbm_error *err)
{
    struct measure *measure = &self->measures[operation];
    measure_add(measure, measure_now() - started);
    if (status == PGDBM_OK)
        return true;
    measure->errors++;
    if (self->first_error.status == PGDBM_OK)
        self->first_error = *err;
    return false;
}

static void record(struct customer *self, const char *action, int64_t subject)
{
    pgdbm_error err;
    int64_t started = measure_now();
    pgdbm_status status = audit_record(self->shop->audit, action, subject, &err);
    if (measured(self, RECORD_AUDIT, started, status, &err))
        self->ledger.audit_entries++;
}

static void register_user(struct customer *self)
{
    pgdbm_error err;
    char email[64];
    int64_t id = 0;
    const char *time_zone = reference_time_zone(self->reference, next_random(self) % 1000);
    snprintf(email, sizeof email, "customer-%d-%lld@example.com", self->number, (long long)self->ledger.users);
    int64_t started = measure_now();
    pgdbm_status status = users_register(self->shop->users, email, time_zone, &id, &err);
    if (!measured(self, REGISTER_USER, started, status, &err))
        return;
    self->ledger.users++;
    self->own_id = id;
    record(self, "user.registered", id);
}

static void find_user(struct customer *self)
{
    pgdbm_error err;
    struct user user;
    bool found = false;
    int64_t started = measure_now();
    pgdbm_status status = users_find(self->shop->users, self->own_id, &user, &found, &err);
    if (measured(self, FIND_USER, started, status, &err))
        self->ledger.wrong_answers += !found || user.id != self->own_id;
}

static void place_order(struct customer *self)
{
    pgdbm_error err;
    struct order order = {.customer_id = self->own_id, .amount_cents = 100 + (int64_t)(next_random(self) % 50000)};
    int64_t started = measure_now();
    pgdbm_status status = orders_place(self->shop->orders, &order, &err);
    if (!measured(self, PLACE_ORDER, started, status, &err))
        return;
    self->placed[self->ledger.orders % REMEMBERED] = order;
    self->ledger.orders++;
    self->ledger.order_cents += order.amount_cents;
    record(self, "order.placed", order.id);
}

/* One of the orders placed lately, or NULL. */
static const struct order *pick_order(struct customer *self)
{
    int64_t known = self->ledger.orders < REMEMBERED ? self->ledger.orders : REMEMBERED;
    return known > 0 ? &self->placed[next_random(self) % (uint64_t)known] : NULL;
}

static void find_order(struct customer *self)
{
    pgdbm_error err;
    const struct order *known = pick_order(self);
    struct order order = {0};
    bool found = false;
    if (known == NULL)
        return;
    int64_t started = measure_now();
    pgdbm_status status = orders_find(self->shop->orders, known->id, &order, &found, &err);
    if (measured(self, FIND_ORDER, started, status, &err))
        self->ledger.wrong_answers +=
            !found || order.amount_cents != known->amount_cents || order.customer_id != known->customer_id;
}

static void find_payment(struct customer *self)
{
    pgdbm_error err;
    const struct order *known = pick_order(self);
    int64_t amount_cents = 0;
    if (known == NULL)
        return;
    int64_t started = measure_now();
    pgdbm_status status = payments_find(self->shop->payments, known->id, &amount_cents, &err);
    if (measured(self, FIND_PAYMENT, started, status, &err))
        self->ledger.wrong_answers += amount_cents != known->amount_cents;
}

static void *live(void *context)
{
    struct customer *self = context;
    register_user(self);
    while (measure_now() < self->deadline) {
        unsigned dice = (unsigned)(next_random(self) % 100);
        if (dice < 45)
            find_user(self);
        else if (dice < 65)
            find_order(self);
        else if (dice < 80)
            find_payment(self);
        else if (dice < 90)
            place_order(self);
        else
            register_user(self);
    }
    return NULL;
}

/* Looks at the pool from time to time until the deadline. */
static size_t watch_connections(pgdbm_pool *pool, int64_t deadline)
{
    const struct timespec pause = {.tv_nsec = SAMPLE_MS * 1000000L};
    size_t peak = 0;
    while (measure_now() < deadline) {
        pgdbm_pool_stats stats = {0};
        if (pgdbm_pool_stats_read(pool, &stats, NULL) == PGDBM_OK) {
            size_t held = stats.idle + stats.shared + stats.leased + stats.retiring;
            peak = held > peak ? held : peak;
        }
        nanosleep(&pause, NULL);
    }
    return peak;
}

static void add_up(const struct customer *customer, struct traffic *traffic)
{
    for (size_t i = 0; i < N_OPERATIONS; i++)
        measure_merge(&traffic->measures[i], &customer->measures[i]);
    traffic->ledger.users += customer->ledger.users;
    traffic->ledger.orders += customer->ledger.orders;
    traffic->ledger.order_cents += customer->ledger.order_cents;
    traffic->ledger.audit_entries += customer->ledger.audit_entries;
    traffic->ledger.wrong_answers += customer->ledger.wrong_answers;
    if (traffic->first_error.status == PGDBM_OK)
        traffic->first_error = customer->first_error;
}

bool traffic_run(const struct shop *shop, const struct reference *reference, int seconds, struct traffic *traffic)
{
    struct customer *customers = calloc(TRAFFIC_THREADS, sizeof *customers);
    int64_t deadline = measure_now() + (int64_t)seconds * 1000000000;
    int n_started = 0;
    *traffic = (struct traffic){0};
    for (; customers != NULL && n_started < TRAFFIC_THREADS; n_started++) {
        struct customer *customer = &customers[n_started];
        customer->shop = shop;
        customer->reference = reference;
        customer->number = n_started + 1;
        customer->deadline = deadline;
        customer->random = 88172645463325252u + (uint64_t)n_started * 2654435761u;
        if (pthread_create(&customer->thread, NULL, live, customer) != 0)
            break;
    }
    if (n_started == TRAFFIC_THREADS)
        traffic->peak_connections = watch_connections(shop->pool, deadline);
    else
        fprintf(stderr, "storefront: only %d of %d threads could be started\n", n_started, TRAFFIC_THREADS);
    for (int i = 0; i < n_started; i++) {
        pthread_join(customers[i].thread, NULL);
        add_up(&customers[i], traffic);
    }
    free(customers);
    return n_started == TRAFFIC_THREADS;
}
