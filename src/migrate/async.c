/* SPDX-License-Identifier: MIT */
/* Migrating without waiting for it: the same run in a helper thread. */
#include "base/alloc.h"
#include "base/error.h"

#include <pgdbm/async.h>
#include <pgdbm/future.h>
#include <string.h>

/* One run; the helper thread's, then the callback's. */
struct job {
    pgdbm_db *db;
    pgdbm_migrate_options options;
    char *texts[4]; /* copies of the options' */
    pgdbm_migration_report *report;
    pgdbm_done_callback on_done; /* NULL: the outcome goes to a future, without a report */
    void *context;
};

static void job_free(struct job *job)
{
    pgdbm_migration_report_free(job->report);
    for (size_t i = 0; i < sizeof job->texts / sizeof *job->texts; i++)
        pgdbm__free(job->texts[i]);
    pgdbm__free(job);
}

static pgdbm_status work(void *context, pgdbm_error *err)
{
    struct job *job = context;
    pgdbm_status status = pgdbm_migrate(job->db, &job->options, &job->report, err);
    if (job->on_done == NULL)
        job_free(job);
    return status;
}

static void done(const pgdbm_outcome *outcome, void *context)
{
    struct job *job = context;
    pgdbm_outcome shown = *outcome;
    shown.report = job->report;
    job->on_done(&shown, job->context);
    job_free(job);
}

/* The caller's texts may be gone when the helper thread looks at them. */
static bool copy_texts(struct job *job)
{
    const char **const texts[] = {&job->options.module, &job->options.table, &job->options.target, &job->options.build};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        job->texts[i] = pgdbm__strdup(*texts[i]);
        if (*texts[i] != NULL && job->texts[i] == NULL)
            return false;
        *texts[i] = job->texts[i];
    }
    return true;
}

pgdbm_status pgdbm_migrate_async_sized(pgdbm_db *db, const pgdbm_migrate_options *options, size_t options_bytes,
                                       pgdbm_done_callback on_done, void *context, pgdbm_error *err)
{
    if (db == NULL || options == NULL || on_done == NULL)
        return pgdbm__fail_null(err, "pgdbm_migrate_async",
                                db == NULL        ? "db"
                                : options == NULL ? "options"
                                                  : "on_done");
    bool future = on_done == pgdbm_future_done;
    struct job *job = pgdbm__alloc_zero(1, sizeof *job);
    if (job == NULL)
        return pgdbm__fail_nomem(err, "starting to migrate");
    memcpy(&job->options, options, options_bytes < sizeof job->options ? options_bytes : sizeof job->options);
    job->db = db;
    job->on_done = future ? NULL : on_done;
    job->context = context;
    pgdbm_status status = copy_texts(job) ? PGDBM_OK : pgdbm__fail_nomem(err, "starting to migrate");
    if (status == PGDBM_OK)
        status = pgdbm_offload(pgdbm_pool_of(db), work, job, future ? on_done : done, future ? context : job, err);
    if (status != PGDBM_OK)
        job_free(job);
    return status;
}
