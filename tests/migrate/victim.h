/* SPDX-License-Identifier: MIT */
/* Processes and threads that migrate and come to harm. */
#ifndef PGDBM_TESTS_MIGRATE_VICTIM_H
#define PGDBM_TESTS_MIGRATE_VICTIM_H

#include "migrate/scene.h"

#include <pthread.h>

/* Migrates the scene's folder to `schema` in a process of its own, which is killed (SIGKILL) in the k-th call of its
 * progress callback, from 1. False: it came to the end before that. */
bool victim_is_killed(const struct scene *scene, const char *schema, size_t k);

/* The same, killed as soon as the statement gives a number above zero. */
void victim_dies_when(struct scene *scene, const char *schema, const char *sql);

/* A thread that migrates module "users" on a pool of its own. Zero-initialise; fill in options before the start. */
struct bystander {
    pthread_t thread;
    pgdbm_pool *pool;
    pgdbm_db *db;
    pgdbm_migrate_options options;
    pgdbm_status status;
    pgdbm_error err;
};
void bystander_start(struct bystander *bystander, const struct scene *scene, int max_connections);
/* Waits for its end, and closes its pool. */
void bystander_join(struct bystander *bystander);

/* Looks again and again until the statement gives a number above zero; fails the test after 30 s. */
void wait_until(struct scene *scene, const char *sql);

/* Waits until a statement that begins so waits for a lock or sleeps, terminates its server process, and waits until that is
 * gone. */
void terminate(struct scene *scene, const char *beginning);

#endif
