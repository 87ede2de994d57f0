/* SPDX-License-Identifier: MIT */
/* What the application does, at random: submits, begins and ends, cancels, listens, kills connections, closes the pool.
 * While another thread is in the middle of something it does nothing that blocks. */
#include "base/clock.h"
#include "pool/pool.h"
#include "simulation/network.h"
#include "simulation/program.h"
#include "simulation/world.h"

#include <stdio.h>
#include <string.h>

static bool may_block(void)
{
    return world.nested == 0 && !world.blocked;
}

static bool has_room(void)
{
    return program.n_calls + 2 < MAX_CALLS && program.n_handles + 2 < MAX_HANDLES &&
           program.next_effect + MAX_ITEMS < WORLD_EFFECTS;
}

static struct call *new_call(enum call_kind kind, struct handle *handle)
{
    struct call *call = &program.calls[program.n_calls];
    *call = (struct call){.number = (unsigned)program.n_calls++, .kind = kind, .handle = handle};
    call->submitted_at = world.now;
    return call;
}

static struct handle *new_handle(struct handle *outer)
{
    struct handle *handle = &program.handles[program.n_handles];
    *handle = (struct handle){.number = (unsigned)++program.n_handles, .outer = outer};
    handle->root = outer != NULL ? outer->root : handle;
    handle->savepoint = outer != NULL && !outer->pinned;
    return handle;
}

static unsigned owner_of(const struct handle *handle)
{
    while (handle->savepoint)
        handle = handle->outer;
    return handle->number;
}

/* An open handle that can be used, or NULL. */
static struct handle *some_handle(void)
{
    for (int tries = 0; tries < 8 && program.n_handles > 0; tries++) {
        struct handle *handle = &program.handles[world_random(program.n_handles)];
        if (handle->state == HANDLE_OPEN && handle->inner == NULL)
            return handle;
    }
    return NULL;
}

static struct handle *handle_or_manager(void)
{
    return world_chance(550) ? some_handle() : NULL;
}

static pgdbm_db *db_of(const struct handle *handle)
{
    return handle != NULL ? handle->db : program.managers[world_random((uint64_t)program.n_managers)];
}

static void compose_value(const struct call *call, unsigned number, char value[64])
{
    const struct handle *handle = call->handle;
    char class = handle == NULL ? 's' : handle->pinned ? 'p' : 't';
    snprintf(value, 64, "%c%u.%u", class, handle != NULL ? owner_of(handle) : 0, number);
}

static void put_in_order(struct call *call)
{
    if (call->handle != NULL) {
        call->in_order = true;
        call->sequence = ++call->handle->root->next_sequence;
    }
}

/* --- statements --- */

static pgdbm_status submit(struct call *call, pgdbm_params params, pgdbm_error *err)
{
    pgdbm_db *db = db_of(call->handle);
    const pgdbm_call options = {.timeout_ms = call->timeout_ms};
    pgdbm_request **request = world_chance(500) ? &call->request : NULL;
    if (world_chance(100) && pgdbm_future_new(program.pool, &call->future, err) == PGDBM_OK) {
        call->in_order = false;
        if (call->handle != NULL)
            call->handle->root->perhaps_hurt = true;
        return pgdbm_submit_with(db, &options, call->sql, params, pgdbm_future_done, call->future, request, err);
    }
    return pgdbm_submit_with(db, &options, call->sql, params, on_done, call, request, err);
}

static void draw_timeout(struct call *call)
{
    if (world_chance(150))
        call->timeout_ms = (int)world_between(1, world_chance(500) ? 20 : 500);
}

static void operation_statement(struct handle *handle)
{
    static const char *const reads[] = {"SELECT echo $1",  "SELECT echo $1",     "SELECT slow $1",
                                        "SELECT large $1", "SELECT morph $1",    "SELECT echo $1",
                                        "SELECT fail $1",  "SELECT conflict $1", "SELECT wrong $1"};
    static const char *const writes[] = {"INSERT ledger $1", "INSERT ledger $1", "INSERT ledger slow $1",
                                         "INSERT ledger fail $1"};
    bool write = world_chance(450);
    struct call *call = new_call(write ? CALL_WRITE : CALL_READ, handle);
    pgdbm_error err;
    bool may_fail = handle == NULL || world_chance(150);
    call->sql = write ? writes[world_random(may_fail ? 4 : 3)] : reads[world_random(may_fail ? 9 : 6)];
    call->fails = strstr(call->sql, "fail") || strstr(call->sql, "conflict") || strstr(call->sql, "wrong");
    draw_timeout(call);
    if (write)
        call->effects[call->n_effects++] = program.next_effect++;
    compose_value(call, write ? call->effects[0] : call->number, call->value);
    put_in_order(call);
    world_note("call %u: %s (%s)", call->number, call->sql, call->value);
    pgdbm_status status = submit(call, pgdbm_args((const char *)call->value), &err);
    verdict_submitted(call, status, &err);
}

/* What only a pinned session may do. */
static void operation_dirty(struct handle *handle)
{
    struct call *call = new_call(CALL_READ, handle);
    pgdbm_error err;
    call->sql = world_chance(700) ? "SET color TO red" : "DISCARD ALL";
    put_in_order(call);
    world_note("call %u: %s", call->number, call->sql);
    pgdbm_status status = pgdbm_submit(handle->db, call->sql, pgdbm_no_args, on_done, call, &err);
    verdict_submitted(call, status, &err);
}

static void operation_many(struct handle *handle)
{
    char values[MAX_ITEMS][64];
    pgdbm_params sets[MAX_ITEMS];
    pgdbm_param list[MAX_ITEMS];
    struct call *call = new_call(CALL_MANY, handle);
    pgdbm_error err;
    call->sql = world_chance(850) ? "INSERT ledger $1" : "INSERT ledger fail $1";
    call->fails = strstr(call->sql, "fail") != NULL;
    call->n_effects = world_random(MAX_ITEMS);
    for (size_t i = 0; i < call->n_effects; i++) {
        call->effects[i] = program.next_effect++;
        compose_value(call, call->effects[i], values[i]);
        list[i] = pgdbm_param_text(values[i]);
        sets[i] = pgdbm_params_array(&list[i], 1);
    }
    call->in_order = false;
    if (call->n_effects > 0)
        put_in_order(call);
    world_note("call %u: %zu times %s", call->number, call->n_effects, call->sql);
    pgdbm_status status =
        pgdbm_execute_many_async(db_of(handle), call->sql, sets, call->n_effects, on_done, call, &err);
    verdict_submitted(call, status, &err);
}

static void operation_batch(struct handle *handle)
{
    bool independent = world_chance(500);
    bool in_transaction = handle != NULL && !handle->pinned;
    struct call *call = new_call(independent && !in_transaction ? CALL_INDEPENDENT : CALL_BATCH, handle);
    const pgdbm_batch_options options = {.independent = independent, .timeout_ms = world_chance(150) ? 30 : 0};
    pgdbm_batch *batch;
    pgdbm_error err;
    call->timeout_ms = options.timeout_ms;
    if (pgdbm_batch_new(db_of(handle), &options, &batch, &err) != PGDBM_OK)
        world_fail("no batch: %s", err.message);
    call->n_effects = 1 + world_random(MAX_ITEMS - 1);
    for (size_t i = 0; i < call->n_effects; i++) {
        char value[64];
        bool fails = world_chance(60);
        bool slow = world_chance(100);
        call->effects[i] = program.next_effect++;
        call->fails = call->fails || fails;
        compose_value(call, call->effects[i], value);
        const char *sql = fails ? "INSERT ledger fail $1" : slow ? "INSERT ledger slow $1" : "INSERT ledger $1";
        if (pgdbm_batch_add(batch, sql, pgdbm_args((const char *)value), &err) != PGDBM_OK)
            world_fail("cannot add to a batch: %s", err.message);
    }
    put_in_order(call);
    world_note("call %u: a batch of %zu%s", call->number, call->n_effects, independent ? ", independent" : "");
    pgdbm_status status = pgdbm_batch_submit(batch, on_done, call, world_chance(500) ? &call->request : NULL, &err);
    verdict_submitted(call, status, &err);
    if (status != PGDBM_OK)
        pgdbm_batch_free(batch);
}

static void operation_notify(struct handle *handle)
{
    struct call *call = new_call(CALL_NOTIFY, handle);
    pgdbm_error err;
    snprintf(call->value, sizeof call->value, "%u", call->number);
    put_in_order(call);
    world_note("call %u: notifies", call->number);
    pgdbm_status status = pgdbm_notify_async(db_of(handle), "news", call->value, on_done, call, &err);
    verdict_submitted(call, status, &err);
}

/* --- transactions --- */

static void operation_begin(struct handle *outer)
{
    struct call *call = new_call(CALL_BEGIN, outer);
    pgdbm_error err;
    call->made = new_handle(outer);
    put_in_order(call);
    if (outer != NULL)
        outer->inner = call->made;
    world_note("call %u: begins %u%s", call->number, call->made->number, call->made->savepoint ? ", a savepoint" : "");
    pgdbm_status status = pgdbm_begin_async_sized("simulation", 1, db_of(outer), NULL, 0, on_done, call,
                                                  world_chance(500) ? &call->request : NULL, &err);
    verdict_submitted(call, status, &err);
}

static void operation_pin(void)
{
    struct call *call = new_call(CALL_PIN, NULL);
    pgdbm_error err;
    call->made = new_handle(NULL);
    call->made->pinned = true;
    world_note("call %u: pins %u", call->number, call->made->number);
    pgdbm_status status = pgdbm_pin_async(db_of(NULL), on_done, call, &err);
    verdict_submitted(call, status, &err);
}

static void body(pgdbm_db *tx, pgdbm_transaction *transaction, void *context)
{
    struct call *call = context;
    if (call->made != NULL) {
        call->made->undone = true;
        call->made->state = HANDLE_OVER;
    }
    call->made = new_handle(NULL);
    call->made->db = tx;
    call->made->transaction = transaction;
    call->made->transact = call;
    call->made->state = HANDLE_OPEN;
    world_note("call %u: its body runs, transaction %u", call->number, call->made->number);
    if (program.n_handles + 2 >= MAX_HANDLES) /* enough */
        call->made->hurt = false;
}

static void operation_transact(void)
{
    struct call *call = new_call(CALL_TRANSACT, NULL);
    pgdbm_error err;
    world_note("call %u: a transaction with a body", call->number);
    pgdbm_status status = pgdbm_transact_async(db_of(NULL), NULL, body, on_done, call, &err);
    verdict_submitted(call, status, &err);
}

static void finish_transact(struct handle *handle)
{
    bool well = !handle->hurt && world_chance(800);
    handle->state = HANDLE_ENDING;
    world_note("transaction %u: its body ends %s", handle->number, well ? "well" : "badly");
    handle->undone = !well;
    handle->end = handle->transact;
    handle->transact->commits = well;
    pgdbm_transaction_finish(handle->transaction, well ? PGDBM_OK : PGDBM_ERR_QUERY,
                             well || !handle->hurt ? NULL : &handle->hurt_error);
}

static void end_asynchronously(struct handle *handle, bool commits)
{
    struct call *call = new_call(CALL_END, handle);
    pgdbm_error err;
    call->commits = commits;
    handle->end = call;
    handle->state = HANDLE_ENDING;
    put_in_order(call);
    world_note("call %u: %s %u", call->number, commits ? "commits" : "rolls back", handle->number);
    pgdbm_status status = commits ? pgdbm_commit_async(handle->db, on_done, call, &err)
                                  : pgdbm_rollback_async(handle->db, on_done, call, &err);
    verdict_submitted(call, status, &err);
}

static void close_handle(struct handle *handle)
{
    world_note("closes %u", handle->number);
    handle->state = HANDLE_OVER;
    handle->undone = !handle->pinned;
    pgdbm_close(handle->db);
    if (handle->outer != NULL)
        handle->outer->inner = NULL;
}

static void commit_synchronously(struct handle *handle)
{
    struct call *call = new_call(CALL_END, handle);
    pgdbm_error err;
    call->commits = true;
    call->submitted = true;
    handle->end = call;
    handle->state = HANDLE_OVER;
    world_note("call %u: commits %u and waits", call->number, handle->number);
    const pgdbm_outcome outcome = {.status = pgdbm_commit(handle->db, &err), .error = &err};
    if (handle->outer != NULL)
        handle->outer->inner = NULL;
    verdict_completed(call, &outcome);
}

static void operation_end(struct handle *handle)
{
    if (handle->transaction != NULL)
        finish_transact(handle);
    else if (handle->pinned) {
        if (may_block())
            close_handle(handle);
    } else if (may_block() && world_chance(100))
        close_handle(handle);
    else if (may_block() && world_chance(100))
        commit_synchronously(handle);
    else
        end_asynchronously(handle, world_chance(750));
}

/* --- the rest --- */

static void operation_cancel(void)
{
    for (int tries = 0; tries < 10 && program.n_calls > 0; tries++) {
        struct call *call =
            &program.calls[program.n_calls - 1 - world_random(program.n_calls < 12 ? program.n_calls : 12)];
        if (call->request == NULL || call->done)
            continue;
        world_note("cancels call %u", call->number);
        call->cancel_asked = true;
        pgdbm_cancel(call->request);
        return;
    }
}

static void operation_listen(void)
{
    pgdbm_error err;
    if (program.n_listeners == MAX_LISTENERS || program.config.max_connections < 2)
        return;
    struct listener *listener = &program.listeners[program.n_listeners];
    listener->manager = (int)world_random((uint64_t)program.n_managers);
    world_note("listener %zu comes", program.n_listeners);
    if (pgdbm_listen(program.managers[listener->manager], "news", on_event, listener, &listener->listener, &err) !=
        PGDBM_OK)
        world_fail("cannot listen: %s", err.message);
    program.n_listeners++;
}

static void unlisten(struct listener *listener)
{
    if (listener->over)
        return;
    world_note("listener %zu goes", (size_t)(listener - program.listeners));
    listener->over = true;
    pgdbm_unlisten(listener->listener);
}

static void operation_kill(void)
{
    if (n_backends == 0 || world.weather.calm)
        return;
    struct backend *backend = backends[n_backends - 1 - world_random(n_backends < 4 ? n_backends : 4)];
    if (backend->exited)
        return;
    if (world_chance(500))
        backend_terminate(backend);
    else
        network_break(backend);
}

/* Who holds a session must not wait for another one for ever. */
static bool holds_something(void)
{
    for (size_t i = 0; i < program.n_handles; i++)
        if (program.handles[i].state != HANDLE_OVER)
            return true;
    for (size_t i = 0; i < program.n_calls; i++)
        if (program.calls[i].kind == CALL_TRANSACT && program.calls[i].submitted && !program.calls[i].done)
            return true;
    return false;
}

static void wait_for_future(struct call *call)
{
    bool limited = holds_something() || world_chance(500);
    const pgdbm_outcome *outcome = pgdbm_future_wait(call->future, limited ? (int)world_random(30) : -1);
    if (outcome == NULL)
        return;
    verdict_completed(call, outcome);
    pgdbm_future_free(call->future);
    call->future = NULL;
}

static void operation_wait(void)
{
    for (size_t i = 0; i < program.n_calls; i++)
        if (program.calls[i].future != NULL && program.calls[i].submitted) {
            wait_for_future(&program.calls[i]);
            return;
        }
}

void operation_close_pool(void)
{
    for (size_t i = 0; i < program.n_listeners; i++)
        unlisten(&program.listeners[i]);
    world_note("the pool is closed");
    program.closing = true;
    program.left = 0;
    world.nested++;
    pgdbm_pool_close(program.pool);
    world.nested--;
    program.closed = true;
    world_note("the pool has been closed");
}

void operation_any(void)
{
    if (program.closing || !has_room())
        return;
    program.left--;
    struct handle *handle = handle_or_manager();
    uint64_t dice = world_random(100);
    if (dice < 40)
        operation_statement(handle);
    else if (dice < 46)
        operation_batch(handle);
    else if (dice < 50)
        operation_many(handle);
    else if (dice < 60)
        operation_begin(handle != NULL && world_chance(400) ? handle : NULL);
    else if (dice < 74 && handle != NULL)
        operation_end(handle);
    else if (dice < 77)
        operation_transact();
    else if (dice < 79)
        operation_pin();
    else if (dice < 83)
        operation_notify(handle);
    else if (dice < 84)
        operation_listen();
    else if (dice < 85 && program.n_listeners > 0)
        unlisten(&program.listeners[world_random(program.n_listeners)]);
    else if (dice < 87 && handle != NULL && handle->pinned)
        operation_dirty(handle);
    else if (dice < 89 && may_block())
        operation_wait();
    else if (dice < 91)
        operation_kill();
    else if (dice < 92 && program.early && program.left < 20 && may_block())
        operation_close_pool();
    else
        operation_cancel();
}

void operation_end_something(void)
{
    struct handle *handle = some_handle();
    if (program.closing)
        return;
    if (handle != NULL)
        operation_end(handle);
    else if (may_block())
        operation_wait();
}

bool operations_are_over(void)
{
    if (program.left > 0)
        return false;
    for (size_t i = 0; i < program.n_calls; i++)
        if (program.calls[i].submitted && !program.calls[i].done)
            return false;
    for (size_t i = 0; i < program.n_handles; i++)
        if (program.handles[i].state != HANDLE_OVER)
            return false;
    return true;
}

static void end_handles(void)
{
    for (size_t i = program.n_handles; i > 0; i--) {
        struct handle *handle = &program.handles[i - 1];
        if (handle->state == HANDLE_OVER || handle->state == HANDLE_ASKED)
            continue;
        handle->undone = true;
        if (handle->transaction != NULL && handle->state == HANDLE_OPEN)
            pgdbm_transaction_finish(handle->transaction, PGDBM_ERR_QUERY, NULL);
        else if (handle->transaction == NULL && handle->db != NULL)
            pgdbm_close(handle->db);
    }
}

void operation_end_all(void)
{
    for (size_t i = 0; i < program.n_calls; i++) {
        pgdbm_request_release(program.calls[i].request);
        pgdbm_future_free(program.calls[i].future);
    }
    end_handles();
    for (int i = 0; i < program.n_managers; i++)
        pgdbm_close(program.managers[i]);
}
