/* SPDX-License-Identifier: MIT */
/* The register of pools. Owns one process-wide list. */
#include "config/registry.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct pgdbm__registration {
    struct pgdbm__registration *next;
    char *target;
    char *place;
    void *owner;
    uint64_t process; /* pools of the process this one was forked from are none of ours */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list */
static struct pgdbm__registration *pools;

/* A fork must not find the lock held by a thread that the child does not have. */
static void lock_for_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void unlock_after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

static void listen_to_forks(void)
{
    (void)pthread_atfork(lock_for_fork, unlock_after_fork, unlock_after_fork);
}

static void free_registration(struct pgdbm__registration *registration)
{
    if (registration == NULL)
        return;
    pgdbm__free(registration->target);
    pgdbm__free(registration->place);
    pgdbm__free(registration);
}

static struct pgdbm__registration *make(const struct pgdbm__target *target, const char *file, int line)
{
    char text[512];
    snprintf(text, sizeof text, "%s@%s:%s/%s", target->user != NULL ? target->user : "",
             target->host != NULL ? target->host : "", target->port != NULL ? target->port : "",
             target->database != NULL ? target->database : "");
    char place[512];
    snprintf(place, sizeof place, "%s:%d", file != NULL ? file : "?", line);
    struct pgdbm__registration *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made == NULL)
        return NULL;
    made->target = pgdbm__strdup(text);
    made->place = pgdbm__strdup(place);
    made->process = pgdbm__process_number();
    if (made->target == NULL || made->place == NULL) {
        free_registration(made);
        return NULL;
    }
    return made;
}

pgdbm_status pgdbm__registry_add(const struct pgdbm__target *target, const char *file, int line,
                                 pgdbm_duplicate_policy policy, const struct pgdbm__log *log, void *owner,
                                 struct pgdbm__registration **registration, pgdbm_error *err)
{
    static const char way_out[] = "open one pool and attach a manager for each schema to it (pgdbm_attach)";
    struct pgdbm__registration *made = make(target, file, line);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "registering a pool");
    made->owner = owner;
    char first[512] = "";
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, listen_to_forks);
    pthread_mutex_lock(&lock);
    for (struct pgdbm__registration *other = pools; other != NULL; other = other->next)
        if (other->process == made->process &&
            strcmp(other->target, made->target) == 0) /* the list is newest first: the last match is the first opened */
            PGDBM__COPY_TEXT(first, other->place, strlen(other->place));
    if (first[0] == '\0' || policy != PGDBM_FORBID) {
        made->next = pools;
        pools = made;
        *registration = made;
    }
    pthread_mutex_unlock(&lock);
    if (first[0] == '\0' || policy == PGDBM_ALLOW)
        return PGDBM_OK;
    if (policy == PGDBM_WARN) {
        pgdbm__log_write(log, PGDBM_LOG_WARNING,
                         "Creating another connection pool to %s at %s; the first was opened at %s: %s", made->target,
                         made->place, first, way_out);
        return PGDBM_OK;
    }
    pgdbm__fail(err, PGDBM_ERR_CONFIG, "another connection pool to %s: the first was opened at %.200s", made->target,
                first);
    pgdbm__error_hint(err, "%s", way_out);
    free_registration(made);
    return PGDBM_ERR_CONFIG;
}

void pgdbm__registry_remove(struct pgdbm__registration *registration)
{
    if (registration == NULL)
        return;
    pthread_mutex_lock(&lock);
    struct pgdbm__registration **link = &pools;
    while (*link != registration)
        link = &(*link)->next;
    *link = registration->next;
    pthread_mutex_unlock(&lock);
    free_registration(registration);
}

void pgdbm__registry_visit(void (*visit)(void *owner, void *context), void *context)
{
    uint64_t process = pgdbm__process_number();
    pthread_mutex_lock(&lock);
    for (struct pgdbm__registration *registration = pools; registration != NULL; registration = registration->next)
        if (registration->process == process)
            visit(registration->owner, context);
    pthread_mutex_unlock(&lock);
}
