/* SPDX-License-Identifier: MIT */
/* The replicas. */
#include "migrate/replicas.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

struct replica {
    pthread_t thread;
    pthread_barrier_t *start;
    pgdbm_pool *pool;
    pgdbm_db *db;
    pgdbm_migrate_options options;
    pgdbm_status status;
    size_t applied;
    pgdbm_error err;
};

static void *replica_main(void *argument)
{
    struct replica *replica = argument;
    pgdbm_migration_report *report = NULL;
    pthread_barrier_wait(replica->start);
    replica->status = pgdbm_migrate(replica->db, &replica->options, &report, &replica->err);
    replica->applied = report != NULL ? report->n_applied : 0;
    pgdbm_migration_report_free(report);
    return NULL;
}

size_t replicas_run(struct scene *scene, const char *const *modules, size_t n, const pgdbm_config *config)
{
    struct replica *replicas = calloc(n, sizeof *replicas);
    pthread_barrier_t start;
    size_t applied = 0;
    const struct replica *failed = NULL;
    pthread_barrier_init(&start, NULL, (unsigned)n);
    for (size_t i = 0; i < n; i++) {
        struct replica *replica = &replicas[i];
        replica->start = &start;
        replica->pool = scene_pool(scene, 1, config);
        replica->options = scene->options;
        if (modules != NULL)
            replica->options.module = modules[i];
        assert_int_equal(pgdbm_attach(replica->pool, pgdbm_schema(scene->db), &replica->db, &replica->err), PGDBM_OK);
        assert_int_equal(pthread_create(&replica->thread, NULL, replica_main, replica), 0);
    }
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(pthread_join(replicas[i].thread, NULL), 0);
        pgdbm_close(replicas[i].db);
        pgdbm_pool_close(replicas[i].pool);
        applied += replicas[i].applied;
        if (replicas[i].status != PGDBM_OK)
            failed = &replicas[i];
    }
    pthread_barrier_destroy(&start);
    if (failed != NULL)
        fail_msg("%s: %s (%s)", failed->options.module, failed->err.message, failed->err.detail);
    free(replicas);
    return applied;
}
