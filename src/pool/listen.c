/* SPDX-License-Identifier: MIT */
/* The hub: one session on which all listeners of a pool listen. It is leased when the first comes and given back when the
 * last has gone. When it is lost another one is taken, listens to the same channels, and every listener is told that it
 * may have missed something.
 *
 * The hub is what the pool's lock guards; events are posted like other callbacks, and each keeps its listener alive. */
#include "pool/listen.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

#include <stdio.h>
#include <string.h>

#define RETRY_MS 100

enum hub_state { HUB_NONE = 0, HUB_LEASING, HUB_LISTENING };

struct pgdbm_listener {
    _Atomic int references; /* the owner's, and each event's on its way */
    struct pgdbm__hub *hub;
    struct pgdbm_listener *next;
    pgdbm_event_callback on_event;
    void *context;
    bool ended;     /* guarded by the pool's lock, as the list */
    bool asked;     /* LISTEN has been sent on the present session */
    bool ready;     /* and was answered: what another one's LISTEN brings before is not for this one */
    bool was_ready; /* had READY once: from now on it is told of gaps */
    const char *physical;
    char channel[];
};

struct pgdbm__hub {
    struct pgdbm_pool *pool;
    enum hub_state state;
    struct pgdbm__member *member;
    struct pgdbm__need need; /* what the lease was taken for */
    struct pgdbm_listener *first;
    bool was_ready; /* somebody was, on the present session */
};

struct event_post {
    struct pgdbm__post post;
    struct pgdbm_listener *listener;
    pgdbm_event event;
    char payload[];
};

static void release(struct pgdbm_listener *listener)
{
    if (atomic_fetch_sub(&listener->references, 1) == 1) {
        pgdbm__pool_unref(listener->hub->pool);
        pgdbm__free(listener);
    }
}

static void run_event(struct pgdbm__post *post)
{
    struct event_post *event = (struct event_post *)(void *)post;
    struct pgdbm_listener *listener = event->listener;
    struct pgdbm_pool *pool = listener->hub->pool;
    pthread_mutex_lock(&pool->lock);
    bool ended = listener->ended;
    pthread_mutex_unlock(&pool->lock);
    if (!ended)
        listener->on_event(&event->event, listener->context);
    release(listener);
    pgdbm__free(event);
}

/* Locked. When there is no memory for an event the session is given up: the gap that follows tells of it. */
static void post_event(struct pgdbm_listener *listener, pgdbm_event_kind kind, const char *payload, int sender)
{
    struct pgdbm__hub *hub = listener->hub;
    size_t bytes = strlen(payload) + 1;
    struct event_post *made = pgdbm__alloc(sizeof *made + bytes);
    if (made == NULL) {
        if (hub->member != NULL)
            pgdbm__session_abort(&hub->member->session, "there is no memory for a notification");
        return;
    }
    memcpy(made->payload, payload, bytes);
    made->post.run = run_event;
    made->listener = listener;
    made->event = (pgdbm_event){.kind = kind, .channel = listener->channel, .payload = made->payload, .sender = sender};
    atomic_fetch_add(&listener->references, 1);
    pgdbm__pool_post(hub->pool, &made->post);
}

/* Called by whoever reads a session that is the hub's, or was. */
static void heard(void *context, const char *channel, const char *payload, int sender)
{
    struct pgdbm__member *member = context;
    struct pgdbm_pool *pool = member->pool;
    if (strcmp(channel, PGDBM__SCHEMA_CHANNEL) == 0)
        pgdbm__statements_forget_schema(pool, payload[0] != '\0' ? payload : NULL);
    pthread_mutex_lock(&pool->lock);
    struct pgdbm_listener *listener = pool->hub->member == member ? pool->hub->first : NULL;
    for (; listener != NULL; listener = listener->next)
        if (listener->ready && strcmp(listener->physical, channel) == 0)
            post_event(listener, PGDBM_EVENT_NOTIFICATION, payload, sender);
    pthread_mutex_unlock(&pool->lock);
}

/* Gives the session back when nobody listens any more and nothing is in flight on it. Cleaning it is what unlistens.
 * Locked. */
static void rest(struct pgdbm__hub *hub)
{
    struct pgdbm__member *member = hub->member;
    if (hub->state != HUB_LISTENING || hub->first != NULL || member->first_ordered != NULL ||
        member->ordered_in_flight > 0)
        return;
    hub->member = NULL;
    hub->state = HUB_NONE;
    pgdbm__session_unlisten(&member->session);
    pgdbm__task_release(hub->pool, member, &hub->need);
}

/* LISTEN has been answered: who waited for it is told. */
static void listening(const pgdbm_outcome *outcome, void *context)
{
    struct pgdbm_listener *listener = context;
    struct pgdbm__hub *hub = listener->hub;
    struct pgdbm_pool *pool = hub->pool;
    pthread_mutex_lock(&pool->lock);
    if (hub->member == NULL || pgdbm__task_of_outcome(outcome)->lease != hub->member) {
        /* the answer of a session that is not the hub's any more: it is asked again on the present one */
    } else if (!listener->ended && listener->asked && outcome->status == PGDBM_OK) {
        post_event(listener, listener->was_ready ? PGDBM_EVENT_GAP : PGDBM_EVENT_READY, "", 0);
        listener->ready = listener->was_ready = hub->was_ready = true;
    } else if (outcome->status != PGDBM_OK)
        pgdbm__session_abort(&hub->member->session, "a LISTEN failed"); /* once more, on another one */
    rest(hub);
    struct pgdbm__member *member = hub->member;
    pgdbm__pool_unlock(pool);
    pgdbm__hub_look(pool, member); /* who noticed the loss may have looked while this was under way */
    release(listener);
}

static void unlistened(const pgdbm_outcome *outcome, void *context)
{
    (void)outcome;
    struct pgdbm__hub *hub = context;
    pthread_mutex_lock(&hub->pool->lock);
    rest(hub);
    struct pgdbm__member *member = hub->member;
    pgdbm__pool_unlock(hub->pool);
    pgdbm__hub_look(hub->pool, member);
}

/* Sends a command on the hub's session. For LISTEN `listener` is told when it is done. Locked, so that commands are in
 * the order in which listeners came and went. */
static void command(struct pgdbm__hub *hub, const char *verb, struct pgdbm_listener *listener, bool tell)
{
    char sql[160];
    struct pgdbm_request *task = NULL;
    const char *physical = listener->physical;
    size_t used = (size_t)snprintf(sql, sizeof sql, "%s \"", verb);
    for (; *physical != '\0' && used + 4 < sizeof sql; physical++) {
        if (*physical == '"')
            sql[used++] = '"';
        sql[used++] = *physical;
    }
    memcpy(sql + used, "\"", 2);
    if (pgdbm__task_new(hub->pool, PGDBM__TASK_COMMAND, NULL, 0, sql, &task, NULL) != PGDBM_OK) {
        pgdbm__session_abort(&hub->member->session,
                             "there is no memory for a LISTEN"); /* no memory: it is tried again on another one */
        return;
    }
    task->lease = hub->member;
    task->in_transaction = true; /* they need not wait for each other */
    task->direct = true;
    task->on_done = tell ? listening : unlistened;
    task->context = tell ? (void *)listener : (void *)hub;
    if (tell)
        atomic_fetch_add(&listener->references, 1);
    hub->pool->n_tasks++;
    pgdbm__task_queue(task, false);
}

/* Asks for everything that has not been asked for on this session. Locked. */
static void ask_all(struct pgdbm__hub *hub)
{
    if (hub->state != HUB_LISTENING)
        return;
    for (struct pgdbm_listener *listener = hub->first; listener != NULL; listener = listener->next)
        if (!listener->asked) {
            listener->asked = true;
            command(hub, "LISTEN", listener, true);
        }
}

/* Stands for the pool itself: when it has a hub it hears of changed schemas. */
static struct pgdbm_listener schemas = {.physical = PGDBM__SCHEMA_CHANNEL};

static void lease(struct pgdbm__hub *hub, int delay_ms);

/* The hub's session has come. */
static void leased(const pgdbm_outcome *outcome, void *context)
{
    struct pgdbm__hub *hub = context;
    struct pgdbm_pool *pool = hub->pool;
    struct pgdbm_request *task = pgdbm__task_of_outcome(outcome);
    pthread_mutex_lock(&pool->lock);
    bool wanted = hub->first != NULL && !pool->closed;
    bool came = outcome->status == PGDBM_OK;
    hub->state = HUB_NONE;
    hub->was_ready = false;
    if (came && wanted) {
        struct pgdbm__member *member = task->granted;
        hub->member = member;
        hub->need = task->need;
        hub->state = HUB_LISTENING;
        member->hub = true;
        member->leak_reported = true; /* it is held for as long as there are listeners */
        member->session.notification_context = member;
        member->session.on_notification = heard;
        atomic_store(&member->session.dirty, true);
        pgdbm__session_listen(&member->session);
        command(hub, "LISTEN", &schemas, false);
        ask_all(hub);
    } else if (came)
        pgdbm__task_release(pool, task->granted, &task->need);
    pgdbm__pool_unlock(pool);
    if (!came && wanted)
        lease(hub, RETRY_MS);
}

static void try_again(const pgdbm_outcome *outcome, void *context)
{
    (void)outcome;
    struct pgdbm__hub *hub = context;
    pthread_mutex_lock(&hub->pool->lock);
    bool wanted = hub->first != NULL && hub->state == HUB_NONE && !hub->pool->closed;
    pthread_mutex_unlock(&hub->pool->lock);
    if (wanted)
        lease(hub, 0);
}

/* No memory for it: the next who listens tries again. */
static void give_up_leasing(struct pgdbm__hub *hub, int delay_ms)
{
    pthread_mutex_lock(&hub->pool->lock);
    if (delay_ms == 0)
        hub->state = HUB_NONE;
    pthread_mutex_unlock(&hub->pool->lock);
}

/* Takes a session, now or a little later. No lock. */
static void lease(struct pgdbm__hub *hub, int delay_ms)
{
    struct pgdbm_pool *pool = hub->pool;
    struct pgdbm_request *task = NULL;
    pthread_mutex_lock(&pool->lock);
    bool idle = hub->state == HUB_NONE;
    if (idle && delay_ms == 0)
        hub->state = HUB_LEASING;
    pthread_mutex_unlock(&pool->lock);
    if (!idle)
        return;
    if (pgdbm__task_new(pool, delay_ms > 0 ? PGDBM__TASK_DELAY : PGDBM__TASK_LEASE, NULL, 0, NULL, &task, NULL) !=
        PGDBM_OK) {
        give_up_leasing(hub, delay_ms);
        return;
    }
    task->direct = true;
    task->context = hub;
    task->on_done = delay_ms > 0 ? try_again : leased;
    task->need.lease = true;
    task->need.since = pgdbm__now_ns();
    task->need.spot = (struct pgdbm__spot){"pgdbm_listen", 0};
    task->keeps_lease = true;
    task->deadline = delay_ms > 0 ? pgdbm__deadline(delay_ms) : PGDBM__NEVER;
    if (pgdbm__task_submit(task, NULL) != PGDBM_OK) {
        give_up_leasing(hub, delay_ms);
        pgdbm__task_unref(task);
    }
}

void pgdbm__hub_look(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    struct pgdbm__hub *hub = pool->hub;
    pthread_mutex_lock(&pool->lock);
    bool lost = hub != NULL && member != NULL && hub->member == member && atomic_load(&member->session.lost) &&
                member->first_ordered == NULL && member->ordered_in_flight == 0;
    if (lost) {
        hub->member = NULL;
        hub->state = HUB_NONE;
        pgdbm__session_unlisten(&member->session);
        for (struct pgdbm_listener *listener = hub->first; listener != NULL; listener = listener->next)
            listener->asked = listener->ready = false;
        pgdbm__task_release(pool, member, &hub->need);
    }
    bool again = lost && hub->first != NULL && !pool->closed;
    bool at_once = lost && hub->was_ready; /* else the server does not let us listen: not too often */
    pgdbm__pool_unlock(pool);
    if (again)
        lease(hub, at_once ? 0 : RETRY_MS);
}

void pgdbm__hub_close(struct pgdbm_pool *pool)
{
    struct pgdbm__hub *hub = pool->hub;
    if (hub == NULL)
        return;
    for (struct pgdbm_listener *listener = hub->first; listener != NULL; listener = listener->next)
        listener->ended = true;
    hub->first = NULL;
    rest(hub);
}

pgdbm_status pgdbm__hub_listen(struct pgdbm_pool *pool, const char *physical, const char *channel,
                               pgdbm_event_callback on_event, void *context, pgdbm_listener **listener,
                               pgdbm_error *err)
{
    size_t channel_bytes = strlen(channel) + 1;
    size_t physical_bytes = strlen(physical) + 1;
    pgdbm_status status = pgdbm__pool_ours(pool, err);
    if (status != PGDBM_OK)
        return status;
    if (pool->config->values.max_connections < 2) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "listening takes a session of its own, and this pool has only one");
        pgdbm__error_hint(err, "set max_connections to 2 at least");
        return PGDBM_ERR_CONFIG;
    }
    struct pgdbm_listener *made = pgdbm__alloc(sizeof *made + channel_bytes + physical_bytes);
    struct pgdbm__hub *spare = pgdbm__alloc_zero(1, sizeof *spare);
    if (made == NULL || spare == NULL) {
        pgdbm__free(made);
        pgdbm__free(spare);
        return pgdbm__fail_nomem(err, "listening");
    }
    memset(made, 0, sizeof *made);
    atomic_init(&made->references, 1);
    memcpy(made->channel, channel, channel_bytes);
    made->physical = memcpy(made->channel + channel_bytes, physical, physical_bytes);
    made->on_event = on_event;
    made->context = context;
    pthread_mutex_lock(&pool->lock);
    status = pgdbm__pool_usable(pool, err);
    if (status == PGDBM_OK) {
        if (pool->hub == NULL) {
            pool->hub = spare;
            spare->pool = pool;
            spare = NULL;
        }
        made->hub = pool->hub;
        made->next = pool->hub->first;
        pool->hub->first = made;
        pgdbm__pool_ref(pool);
        ask_all(made->hub);
    }
    pgdbm__pool_unlock(pool);
    pgdbm__free(spare);
    if (status != PGDBM_OK) {
        pgdbm__free(made);
        return status;
    }
    *listener = made;
    lease(made->hub, 0);
    return PGDBM_OK;
}

/* Whether nobody else listens to its channel. Locked. */
static bool is_last(const struct pgdbm_listener *listener)
{
    if (strcmp(listener->physical, PGDBM__SCHEMA_CHANNEL) == 0)
        return false; /* the pool does */
    for (const struct pgdbm_listener *other = listener->hub->first; other != NULL; other = other->next)
        if (other != listener && strcmp(other->physical, listener->physical) == 0)
            return false;
    return true;
}

void pgdbm_unlisten(pgdbm_listener *listener)
{
    if (listener == NULL || pgdbm__pool_ours(listener->hub->pool, NULL) != PGDBM_OK)
        return;
    struct pgdbm__hub *hub = listener->hub;
    struct pgdbm_pool *pool = hub->pool;
    pthread_mutex_lock(&pool->lock);
    listener->ended = true;
    struct pgdbm_listener **link = &hub->first;
    while (*link != NULL && *link != listener)
        link = &(*link)->next;
    if (*link != NULL)
        *link = listener->next;
    rest(hub);
    if (hub->state == HUB_LISTENING && hub->first != NULL && listener->asked && is_last(listener))
        command(hub, "UNLISTEN", listener, false);
    pgdbm__pool_unlock(pool);
    release(listener);
}
