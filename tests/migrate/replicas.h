/* SPDX-License-Identifier: MIT */
/* Many processes that start together. Each is a thread with a pool of its own: to the server that is a process. */
#ifndef PGDBM_TESTS_MIGRATE_REPLICAS_H
#define PGDBM_TESTS_MIGRATE_REPLICAS_H

#include "migrate/scene.h"

/* Starts `n` at once, each with one connection and the scene's options, and fails the test unless each succeeds. The modules'
 * names are `modules`, or the options' where that is NULL. Returns how many files they applied together. */
size_t replicas_run(struct scene *scene, const char *const *modules, size_t n, const pgdbm_config *config);

#endif
