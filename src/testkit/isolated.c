/* SPDX-License-Identifier: MIT */
/* Isolation by rollback: a pool of one session, a transaction on it that encloses the pool, and a manager inside. Pools are
 * kept with their database for the next test, because opening one takes longer than everything else here. */
#include "base/alloc.h"
#include "base/error.h"
#include "testkit/testdb.h"

#include <pgdbm/transaction.h>

/* What code under test that wants two sessions at once has to wait for until it is told that there is one only. */
#define ACQUIRE_MS 2000

struct pgdbm__isolation {
    struct pgdbm__isolation *next;
    pgdbm_db *host; /* has the pool */
    pgdbm_db *tx;   /* NULL: nobody uses it */
    pgdbm_db *db;
};

static void end(struct pgdbm__isolation *isolation)
{
    pgdbm_close(isolation->db);
    pgdbm_close(isolation->tx);
    isolation->db = isolation->tx = NULL;
}

static pgdbm_status open_pool(const pgdbm_testdb *testdb, struct pgdbm__isolation **isolation, pgdbm_error *err)
{
    const pgdbm_config config = {
        .connection_string = testdb->url,
        .min_connections = 1,
        .max_connections = 1,
        .acquire_timeout_ms = ACQUIRE_MS,
        .idle_in_transaction_session_timeout_ms = -1, /* a debugger may hold the test */
        .max_lifetime_ms = -1,
        .max_uses = -1,
        .drain_timeout_ms = 1,
        .retry_attempts = -1,
        .on_duplicate_pool = PGDBM_ALLOW,
    };
    struct pgdbm__isolation *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "isolating a test");
    pgdbm_status status = pgdbm_open(&config, &made->host, err);
    if (status == PGDBM_OK)
        *isolation = made;
    else
        pgdbm__free(made);
    return status;
}

static pgdbm_status begin(struct pgdbm__isolation *isolation, const char *schema, pgdbm_error *err)
{
    pgdbm_status status = pgdbm_begin(isolation->host, NULL, &isolation->tx, err);
    if (status == PGDBM_OK)
        status = pgdbm_enclose(isolation->tx, err);
    if (status == PGDBM_OK)
        status = pgdbm_attach(pgdbm_pool_of(isolation->host), schema, &isolation->db, err);
    if (status != PGDBM_OK)
        end(isolation);
    return status;
}

pgdbm_status pgdbm_testdb_isolated_as(pgdbm_testdb *testdb, const char *schema, pgdbm_db **db, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    if (testdb == NULL || db == NULL)
        return pgdbm__fail_null(err, "pgdbm_testdb_isolated", testdb == NULL ? "testdb" : "db");
    *db = NULL;
    struct pgdbm__isolation *isolation = testdb->isolations.first;
    while (isolation != NULL && isolation->tx != NULL)
        isolation = isolation->next;
    if (isolation == NULL) {
        status = open_pool(testdb, &isolation, err);
        if (status != PGDBM_OK)
            return status;
        isolation->next = testdb->isolations.first;
        testdb->isolations.first = isolation;
    }
    status = begin(isolation, schema != NULL ? schema : pgdbm_schema(testdb->manager), err);
    *db = isolation->db;
    return status;
}

void pgdbm_testdb_isolated_end(pgdbm_testdb *testdb, pgdbm_db *db)
{
    if (testdb == NULL || db == NULL)
        return;
    for (struct pgdbm__isolation *isolation = testdb->isolations.first; isolation != NULL; isolation = isolation->next)
        if (isolation->db == db)
            end(isolation);
}

void pgdbm__isolations_close(struct pgdbm__isolations *isolations)
{
    while (isolations->first != NULL) {
        struct pgdbm__isolation *isolation = isolations->first;
        isolations->first = isolation->next;
        end(isolation);
        pgdbm_close(isolation->host);
        pgdbm__free(isolation);
    }
}
