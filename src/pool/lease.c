/* SPDX-License-Identifier: MIT */
/* Leases under asynchronous requests: they run in the order they were submitted, those of a transaction without waiting
 * for each other; and a session that comes back dirty is cleaned without anybody waiting for it. */
#include "pool/task.h"

#include "base/clock.h"
#include "base/error.h"

#include <string.h>

#define CLEAN_NS (INT64_C(5000) * PGDBM__MS)

void pgdbm__lease_enter(struct pgdbm__member *member, struct pgdbm_request *task, bool front)
{
    task->stage = PGDBM__STAGE_ORDERED;
    task->previous = front ? NULL : member->last_ordered;
    task->next = front ? member->first_ordered : NULL;
    if (task->previous != NULL)
        task->previous->next = task;
    else
        member->first_ordered = task;
    if (task->next != NULL)
        task->next->previous = task;
    else
        member->last_ordered = task;
}

void pgdbm__lease_leave(struct pgdbm__member *member, struct pgdbm_request *task)
{
    if (task->previous != NULL)
        task->previous->next = task->next;
    else
        member->first_ordered = task->next;
    if (task->next != NULL)
        task->next->previous = task->previous;
    else
        member->last_ordered = task->previous;
    task->next = task->previous = NULL;
}

/* Inside a transaction nothing is ever asked again, so the order is safe as soon as the types are known. Outside of one
 * (a pinned session) an answer may call for another attempt: one at a time. What cannot be sent completes at once, and so
 * not before the others that the session was lost with. */
static bool may_follow(const struct pgdbm__member *member, const struct pgdbm_request *task)
{
    if (member->ordered_in_flight == 0)
        return true;
    if (!task->in_transaction || !member->ordered_flow || atomic_load(&member->session.lost))
        return false;
    return task->kind == PGDBM__TASK_COMMAND ||
           (task->kind == PGDBM__TASK_STATEMENT && atomic_load_explicit(&task->statement->ready, memory_order_acquire));
}

void pgdbm__lease_advance(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    struct pgdbm_request *last = NULL;
    if (member->departing)
        return;
    while (member->first_ordered != NULL && !member->canceling.under_way) {
        struct pgdbm_request *task = member->first_ordered;
        if (!may_follow(member, task))
            break;
        pgdbm__lease_leave(member, task);
        pool->n_queued--;
        bool ready = task->statement != NULL && atomic_load_explicit(&task->statement->ready, memory_order_acquire);
        member->ordered_flow = task->in_transaction && (task->kind == PGDBM__TASK_COMMAND || ready);
        member->ordered_in_flight++;
        task->member = member;
        pgdbm__task_board(pool, task);
        last = task;
    }
    if (last != NULL) {
        last->departs_last = true;
        member->departing = true;
        member->in_flight++;
    }
}

void pgdbm__lease_departed(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    pthread_mutex_lock(&pool->lock);
    member->departing = false;
    member->in_flight--;
    pgdbm__lease_advance(pool, member);
    pgdbm__lease_look(pool, member);
    pgdbm__pool_released(pool);
    pgdbm__pool_unlock(pool);
}

bool pgdbm__lease_is_quiet(const struct pgdbm__member *member)
{
    return member->first_ordered == NULL && member->ordered_in_flight == 0 && !member->departing &&
           !member->canceling.under_way;
}

void pgdbm__lease_look(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    if (!member->abandoned || member->in_flight > 0 || !pgdbm__lease_is_quiet(member))
        return;
    member->abandoned = false;
    pgdbm__member_vacate(pool, member);
}

static bool is_quiet(void *context)
{
    return pgdbm__lease_is_quiet(context);
}

void pgdbm__lease_quiesce(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    pgdbm__pool_push_left(pool);
    pthread_mutex_lock(&pool->lock);
    bool quiet = is_quiet(member);
    pthread_mutex_unlock(&pool->lock);
    if (!quiet)
        pgdbm__pool_drive_until(pool, is_quiet, member, PGDBM__NEVER);
}

/* --- giving back --- */

static void settle(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    pool->n_chores -= member->cleaning;
    member->cleaning = false;
    pgdbm__member_settle(pool, member);
    pgdbm__pool_released(pool);
}

/* Takes too long: the session is given up, and what is in flight on it ends. */
static void cleaning_is_late(struct pgdbm_pool *pool, struct pgdbm__timer *timer)
{
    (void)pool;
    struct pgdbm__member *member =
        (struct pgdbm__member *)(void *)((char *)timer - offsetof(struct pgdbm__member, canceling.timer));
    pgdbm__session_abort(&member->session, "it could not be cleaned in time");
}

static void clean_next(struct pgdbm_pool *pool, struct pgdbm__member *member, struct pgdbm__request *flight);

static void cleaned(struct pgdbm__request *flight, uint32_t reason)
{
    struct pgdbm__member *member = flight->context;
    struct pgdbm_pool *pool = member->pool;
    if (reason != PGDBM__SIGNAL_DONE)
        return;
    pgdbm_status status = pgdbm__request_conclude(flight);
    if (status != PGDBM_OK && !atomic_load(&member->session.lost)) {
        pgdbm__log_write(&pool->log, PGDBM_LOG_WARNING, "a session could not be cleaned and is closed: %s",
                         flight->error.message);
        pgdbm__session_abort(&member->session, "it could not be cleaned");
    }
    pthread_mutex_lock(&pool->lock);
    clean_next(pool, member, flight);
    pgdbm__pool_unlock(pool);
}

/* Sends the next command of those that clean; after the last the session is free. Locked. */
static void clean_next(struct pgdbm_pool *pool, struct pgdbm__member *member, struct pgdbm__request *flight)
{
    const pgdbm_config *config = &pool->config->values;
    bool lost = atomic_load(&member->session.lost);
    const char *command =
        lost ? NULL
             : pgdbm__session_reset_command(member->cleaning_step++, config->init_commands, config->n_init_commands);
    if (command == NULL) {
        if (!lost)
            atomic_store(&member->session.dirty, false);
        pgdbm__timer_stop(pool, &member->canceling.timer);
        pgdbm__flight_give_locked(pool, flight);
        settle(pool, member);
        return;
    }
    memset(flight, 0, offsetof(struct pgdbm__request, error));
    flight->kind = PGDBM__REQUEST_SIMPLE;
    flight->simple_sql = command;
    flight->notify = cleaned;
    flight->context = member;
    if (pgdbm__session_enqueue(&member->session, flight, PGDBM__NEVER))
        pgdbm__pool_unpushed(pool, member->session.number);
    else {
        pgdbm__session_abort(&member->session, "there is no memory to clean it");
        pgdbm__timer_stop(pool, &member->canceling.timer);
        pgdbm__flight_give_locked(pool, flight);
        settle(pool, member);
    }
}

void pgdbm__member_vacate(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    if (!pgdbm__member_needs_cleaning(member)) {
        settle(pool, member);
        return;
    }
    if (member->place != PGDBM__LEASED)
        pgdbm__pool_move(pool, member, PGDBM__LEASED);
    member->leased_since = pgdbm__now_coarse_ns();
    member->owner = NULL;
    pool->counters.resets++;
    struct pgdbm__request *flight = pgdbm__flight_take_locked(pool);
    member->canceling.timer.fire = cleaning_is_late;
    if (flight == NULL || !pgdbm__timer_start(pool, &member->canceling.timer, pgdbm__now_ns() + CLEAN_NS)) {
        pgdbm__session_abort(&member->session, "there is no memory to clean it");
        pgdbm__flight_give_locked(pool, flight);
        settle(pool, member);
        return;
    }
    pool->n_chores++;
    if (pool->n_tasks == 0)
        pgdbm__pool_wake(pool); /* nobody may be there to drive: the housekeeper does then */
    member->cleaning = true;
    member->cleaning_step = atomic_load(&member->session.transaction_status) == 'I' ? 1 : 0;
    clean_next(pool, member, flight);
}

void pgdbm__task_release(struct pgdbm_pool *pool, struct pgdbm__member *member, const struct pgdbm__need *need)
{
    need->account->in_flight--;
    if (!need->lease)
        pgdbm__member_discharge(member, need);
    if (need->lease) {
        /* Requests that are still under way are of a transaction whose end could not be sent: the server undoes it. */
        if (member->first_ordered != NULL || member->ordered_in_flight > 0)
            pgdbm__session_abort(&member->session, "its transaction was given up while requests of it were in flight");
        member->abandoned = true;
        pgdbm__lease_look(pool, member);
    } else if (member->in_flight == 0)
        pgdbm__member_vacate(pool, member);
    pgdbm__pool_released(pool);
}
