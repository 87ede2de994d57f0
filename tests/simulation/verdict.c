/* SPDX-License-Identifier: MIT */
/* Whether what came of each request is right: while the program runs, and in the end against the server's ledger. */
#include "base/clock.h"
#include "simulation/program.h"
#include "simulation/world.h"

#include <stdlib.h>
#include <string.h>

#define LARGE_ROWS 14

static const char *outcome_text(const struct call *call)
{
    return call->status == PGDBM_OK ? "" : pgdbm_outcome_name(call->outcome);
}

static void wrong(const struct call *call, const char *what)
{
    world_fail("call %u (%s): %s: %s %s %s", call->number, call->sql != NULL ? call->sql : "", what,
               pgdbm_status_name(call->status), call->sqlstate, outcome_text(call));
}

void verdict_submitted(struct call *call, pgdbm_status status, const pgdbm_error *err)
{
    struct handle *made = call->made;
    call->submitted = status == PGDBM_OK;
    if (call->submitted)
        return;
    world_note("call %u: not submitted: %s", call->number, err->message);
    if (status != PGDBM_ERR_POOL)
        world_fail("call %u cannot be submitted: %s", call->number, err->message);
    call->done = true;
    call->status = status;
    call->outcome = PGDBM_OUTCOME_NOT_SENT;
    if (made != NULL) {
        made->state = HANDLE_OVER;
        if (made->outer != NULL)
            made->outer->inner = NULL;
    }
    if (call->kind == CALL_END) {
        call->handle->state = HANDLE_OPEN;
        call->handle->end = NULL;
    }
    pgdbm_future_free(call->future);
    call->future = NULL;
}

/* --- one outcome --- */

static bool in_transaction(const struct call *call)
{
    return call->handle != NULL && !call->handle->pinned;
}

static bool expected_sqlstate(const struct call *call)
{
    static const char *const own[] = {"22012", "23505", "40001", "42601"};
    static const char *const in_it[] = {"25P02", "26000", "0A000", "3B001"};
    for (size_t i = 0; i < 4; i++)
        if (call->fails && strcmp(call->sqlstate, own[i]) == 0)
            return true;
    if (strcmp(call->sqlstate, "25P02") == 0)
        return in_transaction(call) && (call->handle->root->hurt || call->handle->root->perhaps_hurt);
    for (size_t i = 1; i < 4; i++)
        if (in_transaction(call) && strcmp(call->sqlstate, in_it[i]) == 0)
            return world.weather.forgetful > 0 || world.weather.morphing > 0 || call->handle->root->hurt;
    return false;
}

static bool is_late(const struct call *call)
{
    int limit = call->timeout_ms > 0 ? call->timeout_ms : program.config.command_timeout_ms;
    return limit > 0 && world.now - call->submitted_at >= limit * PGDBM__MS;
}

/* In a transaction nothing can be repeated: the cancel of one that was faster than it may have hit the one behind it. */
static bool hit_for_another(const struct call *call)
{
    for (size_t i = 0; in_transaction(call) && i < program.n_calls; i++) {
        const struct call *other = &program.calls[i];
        if (other != call && other->handle != NULL && other->handle->root == call->handle->root &&
            other->sequence < call->sequence && (other->cancel_asked || is_late(other)))
            return true;
    }
    return false;
}

/* The end of its transaction could not be sent in time: the session is given up, with what is in flight on it. */
static bool given_up(const struct call *call)
{
    for (size_t i = 0; in_transaction(call) && i < program.n_calls; i++) {
        const struct call *other = &program.calls[i];
        if (other->kind == CALL_END && other->handle->root == call->handle->root && is_late(other))
            return true;
    }
    return false;
}

static void check_failure(const struct call *call)
{
    switch (call->status) {
    case PGDBM_ERR_QUERY:
        if (!expected_sqlstate(call))
            wrong(call, "an error that was not its own");
        break;
    case PGDBM_ERR_CANCELED:
        if (!call->cancel_asked && !program.closing && !hit_for_another(call))
            wrong(call, "cancelled, though nobody asked for it");
        break;
    case PGDBM_ERR_TIMEOUT:
        if (!is_late(call))
            wrong(call, "timed out too early");
        break;
    case PGDBM_ERR_CONNECTION:
        if (world.weather.calm && !program.closing && !given_up(call))
            wrong(call, "lost its connection on a calm day");
        break;
    case PGDBM_ERR_POOL:
        if (!program.closing && program.config.acquire_timeout_ms < 0 && call->timeout_ms == 0 &&
            program.config.command_timeout_ms < 0)
            wrong(call, "refused by the pool");
        break;
    case PGDBM_ERR_TRANSACTION:
        if (call->kind != CALL_END && call->kind != CALL_TRANSACT)
            wrong(call, "refused");
        break;
    case PGDBM_ERR_NOMEM:
        if (call->sql == NULL || strstr(call->sql, "large") == NULL)
            wrong(call, "no memory");
        break;
    default:
        wrong(call, "a status that cannot be");
    }
}

static void check_rows(const struct call *call, const pgdbm_outcome *outcome)
{
    bool large = strstr(call->sql, "large") != NULL;
    size_t rows = large ? LARGE_ROWS : 1;
    if (call->value[0] == '\0')
        return;
    if (outcome->result == NULL || pgdbm_result_rows(outcome->result) != rows)
        wrong(call, "not its number of rows");
    for (size_t i = 0; i < rows; i++) {
        const char *text = NULL;
        size_t bytes = strlen(call->value);
        if (pgdbm_get_text(outcome->result, i, 0, &text, NULL) != PGDBM_OK || text == NULL ||
            strncmp(text, call->value, bytes) != 0 || text[bytes] != (large ? '#' : '\0') ||
            (large && strtoul(text + bytes + 1, NULL, 10) != i))
            wrong(call, "not its rows");
    }
}

static void check_success(const struct call *call, const pgdbm_outcome *outcome)
{
    if (call->fails && call->kind != CALL_TRANSACT && call->n_effects + (call->kind == CALL_READ) > 0)
        wrong(call, "succeeded, which it cannot");
    if (call->kind == CALL_READ)
        check_rows(call, outcome);
    bool alone = call->handle == NULL || call->handle->pinned;
    for (size_t i = 0; i < call->n_effects; i++)
        if (alone && world.applied[call->effects[i]] != 1)
            wrong(call, "said to be done, and not committed");
    if (call->kind == CALL_WRITE && outcome->affected != 1)
        wrong(call, "not its count");
}

/* Requests of one session complete in the order in which they were submitted. */
static void check_order(const struct call *call)
{
    struct handle *root;
    if (!call->in_order)
        return;
    root = call->handle->root;
    bool withdrawn = call->outcome == PGDBM_OUTCOME_NOT_SENT &&
                     (call->status == PGDBM_ERR_CANCELED || call->status == PGDBM_ERR_TIMEOUT);
    if (withdrawn)
        return;
    if (call->sequence < root->last_sequence)
        wrong(call, "completed behind one that was submitted later");
    root->last_sequence = call->sequence;
}

static void made_completed(struct call *call, const pgdbm_outcome *outcome)
{
    struct handle *made = call->made;
    bool well = call->status == PGDBM_OK;
    if (call->kind == CALL_TRANSACT) {
        if (made != NULL)
            made->state = HANDLE_OVER;
        return;
    }
    made->state = well ? HANDLE_OPEN : HANDLE_OVER;
    made->db = outcome->db;
    if (well != (outcome->db != NULL))
        wrong(call, "a handle, or none, that should not be");
    if (!well && made->outer != NULL)
        made->outer->inner = NULL;
}

static void ended(struct call *call)
{
    struct handle *handle = call->handle;
    handle->state = HANDLE_OVER;
    handle->undone = !call->commits;
    if (handle->outer != NULL && handle->outer->inner == handle)
        handle->outer->inner = NULL;
}

void verdict_completed(struct call *call, const pgdbm_outcome *outcome)
{
    if (call->done || !call->submitted)
        wrong(call, "completed a second time, or without being submitted");
    call->done = true;
    call->status = outcome->status;
    if (outcome->status != PGDBM_OK) {
        if (outcome->error == NULL)
            world_fail("call %u has no error", call->number);
        call->outcome = outcome->error->outcome;
        memcpy(call->sqlstate, outcome->error->sqlstate, sizeof call->sqlstate);
    }
    world_note("call %u: %s %s %s: %.60s", call->number, pgdbm_status_name(call->status), call->sqlstate,
               outcome_text(call), outcome->status != PGDBM_OK ? outcome->error->message : "");
    call->failed = outcome->failed;
    for (size_t i = 0; i < outcome->n_results && i < MAX_ITEMS; i++)
        call->item_done[i] = outcome->results[i] != NULL;
    bool own_error = call->kind == CALL_TRANSACT && !call->commits;
    if (call->status == PGDBM_OK)
        check_success(call, outcome);
    else if (!own_error && !(call->kind == CALL_TRANSACT && call->status == PGDBM_ERR_QUERY))
        check_failure(call);
    check_order(call);
    if (call->status != PGDBM_OK && in_transaction(call)) {
        call->handle->hurt = call->handle->root->hurt = true;
        call->handle->hurt_error = *outcome->error;
    }
    if (call->kind == CALL_BEGIN || call->kind == CALL_PIN || call->kind == CALL_TRANSACT)
        made_completed(call, outcome);
    if (call->kind == CALL_END)
        ended(call);
}

void on_done(const pgdbm_outcome *outcome, void *context)
{
    verdict_completed(context, outcome);
    program.callback_depth++;
    if (program.left > 0 && world_chance(150))
        operation_any();
    program.callback_depth--;
}

void on_event(const pgdbm_event *event, void *context)
{
    struct listener *listener = context;
    world_note("listener %zu: event %d %s", (size_t)(listener - program.listeners), event->kind, event->payload);
    if (listener->over)
        world_fail("an event comes after the listener has gone");
    if (event->kind == PGDBM_EVENT_READY && listener->ready)
        world_fail("a listener becomes ready twice");
    if (event->kind != PGDBM_EVENT_READY && !listener->ready)
        world_fail("an event comes before the listener is ready");
    listener->ready = true;
    listener->gap = listener->gap || event->kind == PGDBM_EVENT_GAP;
    if (event->kind != PGDBM_EVENT_NOTIFICATION)
        return;
    unsigned number = (unsigned)strtoul(event->payload, NULL, 10);
    if (number >= program.n_calls || program.calls[number].kind != CALL_NOTIFY)
        world_fail("a notification that nobody sent: %s", event->payload);
    for (size_t i = 0; i < listener->n_heard; i++)
        if (listener->heard[i] == number)
            world_fail("a notification comes twice: %s", event->payload);
    listener->heard[listener->n_heard++] = number;
}

/* --- in the end --- */

void verdict_all_done(void)
{
    for (size_t i = 0; i < program.n_calls; i++) {
        struct call *call = &program.calls[i];
        if (!call->submitted || call->done)
            continue;
        const pgdbm_outcome *outcome = call->future != NULL ? pgdbm_future_poll(call->future) : NULL;
        if (outcome != NULL)
            verdict_completed(call, outcome);
        else if (call->kind != CALL_TRANSACT || call->made == NULL)
            wrong(call, "was not completed before the pool was closed");
    }
}

enum fate { FATE_UNDONE, FATE_PERHAPS, FATE_DONE };

static enum fate fate_of_call(const struct call *call)
{
    if (!call->done)
        return FATE_UNDONE;
    if (call->status == PGDBM_OK || call->outcome == PGDBM_OUTCOME_DONE)
        return FATE_DONE;
    return call->outcome == PGDBM_OUTCOME_UNKNOWN ? FATE_PERHAPS : FATE_UNDONE;
}

/* Whether what was done on the handle remains. */
static enum fate fate_of_handle(const struct handle *handle)
{
    enum fate fate = FATE_DONE;
    for (; handle != NULL && !handle->pinned; handle = handle->outer) {
        enum fate here = FATE_UNDONE;
        if (handle->end != NULL && !handle->undone)
            here = fate_of_call(handle->end);
        fate = here < fate ? here : fate;
    }
    return fate;
}

static enum fate fate_of_item(const struct call *call, size_t item)
{
    enum fate fate = fate_of_call(call);
    bool some_failed = call->failed < call->n_effects;
    if (call->kind == CALL_INDEPENDENT && call->done && call->status != PGDBM_OK && some_failed) {
        if (item < call->failed)
            fate = FATE_DONE;
        else if (item > call->failed)
            fate = call->item_done[item] ? FATE_DONE : FATE_PERHAPS;
    }
    enum fate around = fate_of_handle(call->handle);
    return around < fate ? around : fate;
}

static void check_effects(const struct call *call)
{
    for (size_t i = 0; i < call->n_effects; i++) {
        unsigned applied = world.applied[call->effects[i]];
        enum fate fate = fate_of_item(call, i);
        if (applied > 1 || (fate == FATE_DONE && applied == 0) || (fate == FATE_UNDONE && applied > 0)) {
            world_note("call %u, effect %u: applied %u times", call->number, call->effects[i], applied);
            wrong(call, applied > 0 ? "took effect, against what was said" : "took no effect, against what was said");
        }
        bool whole = call->kind == CALL_BATCH || call->kind == CALL_MANY;
        if (whole && applied != world.applied[call->effects[0]])
            wrong(call, "took effect in part");
    }
}

/* What a transaction did that may or may not have been committed is all there, or nothing of it. */
static void check_whole(const struct handle *handle)
{
    const struct call *first = NULL;
    if (handle->pinned || handle->savepoint)
        return;
    for (size_t i = 0; i < program.n_calls; i++) {
        const struct call *call = &program.calls[i];
        if (call->handle != handle || call->n_effects == 0 || fate_of_call(call) != FATE_DONE)
            continue;
        if (first == NULL)
            first = call;
        if (world.applied[call->effects[0]] != world.applied[first->effects[0]])
            wrong(call, "its transaction was committed in part");
    }
}

void verdict_ledger(void)
{
    for (size_t i = 0; i < program.n_calls; i++)
        check_effects(&program.calls[i]);
    for (size_t i = 0; i < program.n_handles; i++)
        check_whole(&program.handles[i]);
}
