/* SPDX-License-Identifier: MIT */
/* The audit library. Its manager is all it owns. */
#include "audit/audit.h"

#include "audit_migrations.h"

#include <stdlib.h>

static const pgdbm_module module = {.name = "audit", .migrations = &audit_migrations};

struct audit {
    pgdbm_db *db;
    bool standalone;
};

pgdbm_status audit_open(const pgdbm_source *source, audit **log, pgdbm_error *err)
{
    audit *made = calloc(1, sizeof *made);
    *log = NULL;
    if (made == NULL) {
        if (err != NULL)
            *err = (pgdbm_error){.status = PGDBM_ERR_NOMEM, .message = "out of memory"};
        return PGDBM_ERR_NOMEM;
    }
    made->standalone = source->connection_string != NULL;
    pgdbm_status status = pgdbm_module_open(&module, source, &made->db, err);
    if (status == PGDBM_OK)
        *log = made;
    else
        free(made);
    return status;
}

pgdbm_status audit_record(audit *log, const char *action, int64_t subject_id, pgdbm_error *err)
{
    return pgdbm_execute(log->db, "INSERT INTO {{tables.entries}} (action, subject_id) VALUES ($1, $2)",
                         pgdbm_args(action, subject_id), NULL, err);
}

pgdbm_status audit_count(audit *log, int64_t *entries, pgdbm_error *err)
{
    return pgdbm_fetch_value(log->db, "SELECT count(*) FROM {{tables.entries}}", pgdbm_no_args, entries, err);
}

const char *audit_schema(const audit *log)
{
    return pgdbm_schema(log->db);
}

size_t audit_connections(const audit *log)
{
    pgdbm_pool_stats stats = {0};
    if (!log->standalone || pgdbm_pool_stats_read(pgdbm_pool_of(log->db), &stats, NULL) != PGDBM_OK)
        return 0;
    return stats.idle + stats.shared + stats.leased + stats.retiring;
}

void audit_close(audit *log)
{
    if (log == NULL)
        return;
    pgdbm_close(log->db);
    free(log);
}
