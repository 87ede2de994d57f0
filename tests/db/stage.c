/* SPDX-License-Identifier: MIT */
/* The stage that the engine's tests play on. */
#include "db/stage.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void keep_log(pgdbm_log_level level, const char *message, void *context)
{
    struct stage *stage = context;
    (void)level;
    pthread_mutex_lock(&stage->lock);
    int written = snprintf(stage->log + stage->log_bytes, sizeof stage->log - stage->log_bytes, "%s\n", message);
    stage->log_bytes += (size_t)written;
    if (stage->log_bytes >= sizeof stage->log)
        stage->log_bytes = sizeof stage->log - 1;
    pthread_mutex_unlock(&stage->lock);
}

bool stage_logged(struct stage *stage, const char *piece)
{
    pthread_mutex_lock(&stage->lock);
    bool found = strstr(stage->log, piece) != NULL;
    pthread_mutex_unlock(&stage->lock);
    return found;
}

int stage_setup(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    assert_non_null(stage);
    pthread_mutex_init(&stage->lock, NULL);
    stage->url = test_database_create();
    *state = stage;
    return 0;
}

int stage_setup_four(void **state)
{
    stage_setup(state);
    stage_open(*state, (pgdbm_config){.max_connections = 4});
    return 0;
}

int stage_setup_one(void **state)
{
    stage_setup(state);
    stage_open(*state, (pgdbm_config){.max_connections = 1});
    return 0;
}

int stage_teardown(void **state)
{
    struct stage *stage = *state;
    if (stage->gate != NULL)
        PQfinish(stage->gate);
    stage_close(stage);
    test_database_drop(stage->url);
    pthread_mutex_destroy(&stage->lock);
    free(stage);
    return 0;
}

pgdbm_config stage_config(struct stage *stage, pgdbm_config config)
{
    if (config.connection_string == NULL)
        config.connection_string = stage->url;
    if (config.min_connections == 0)
        config.min_connections = 1;
    if (config.on_duplicate_pool == PGDBM_WARN)
        config.on_duplicate_pool = PGDBM_ALLOW;
    config.log = keep_log;
    config.log_context = stage;
    return config;
}

void stage_open(struct stage *stage, pgdbm_config config)
{
    pgdbm_error err;
    const char *schema = config.schema;
    config = stage_config(stage, config);
    config.schema = NULL;
    assert_ok(pgdbm_pool_open(&config, &stage->pool, &err));
    assert_ok(pgdbm_attach(stage->pool, schema, &stage->db, &err));
}

void stage_close(struct stage *stage)
{
    pgdbm_close(stage->db);
    pgdbm_pool_close(stage->pool);
    stage->db = NULL;
    stage->pool = NULL;
}

pgdbm_pool_stats stage_stats(struct stage *stage)
{
    pgdbm_pool_stats stats;
    pgdbm_error err;
    assert_ok(pgdbm_pool_stats_read(stage->pool, &stats, &err));
    return stats;
}

void stage_fail_stats(const pgdbm_pool_stats *stats, const char *condition, const char *file, int line)
{
    print_error("%s:%d: never came true: %s\n  connecting %zu, idle %zu, shared %zu, leased %zu, retiring %zu, dead "
                "%zu, waiting %zu, opened %llu, failed %llu, closed %llu\n",
                file, line, condition, stats->connecting, stats->idle, stats->shared, stats->leased, stats->retiring,
                stats->dead, stats->waiting, (unsigned long long)stats->connections_opened,
                (unsigned long long)stats->connections_failed, (unsigned long long)stats->connections_closed);
    _fail(file, line);
}

int64_t stage_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void stage_run(pgdbm_db *db, const char *sql)
{
    pgdbm_error err;
    if (pgdbm_execute(db, sql, pgdbm_no_args, NULL, &err) != PGDBM_OK)
        fail_msg("%s\n%s: %s\n%s", sql, pgdbm_status_name(err.status), err.message, err.detail);
}

int64_t stage_number(pgdbm_db *db, const char *sql)
{
    int64_t number = 0;
    pgdbm_error err;
    if (pgdbm_fetch_value(db, sql, pgdbm_no_args, &number, &err) != PGDBM_OK)
        fail_msg("%s\n%s: %s\n%s", sql, pgdbm_status_name(err.status), err.message, err.detail);
    return number;
}

void stage_expect_number(pgdbm_db *db, const char *sql, int64_t expected)
{
    int64_t number = stage_number(db, sql);
    if (number != expected)
        fail_msg("%s\nexpected %lld, came %lld", sql, (long long)expected, (long long)number);
}

void stage_expect_text(pgdbm_db *db, const char *sql, const char *expected)
{
    char *text = NULL;
    char came[1024] = "NULL";
    pgdbm_error err;
    if (pgdbm_fetch_value(db, sql, pgdbm_no_args, &text, &err) != PGDBM_OK)
        fail_msg("%s\n%s: %s\n%s", sql, pgdbm_status_name(err.status), err.message, err.detail);
    if (text != NULL)
        snprintf(came, sizeof came, "%s", text);
    pgdbm_free(text);
    if (strcmp(came, expected) != 0)
        fail_msg("%s\nexpected \"%s\", came \"%s\"", sql, expected, came);
}

static int64_t beside_pool(PGconn *connection, const char *sql)
{
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail_msg("%s\n%s", sql, PQerrorMessage(connection));
    int64_t number = PQntuples(result) > 0 ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : 0;
    PQclear(result);
    return number;
}

void stage_gate_shut(struct stage *stage)
{
    stage->gate = PQconnectdb(stage->url);
    beside_pool(stage->gate, "SET client_min_messages = error; CREATE TABLE IF NOT EXISTS gate (id int); "
                             "INSERT INTO gate SELECT 1 WHERE NOT EXISTS (SELECT FROM gate)");
    beside_pool(stage->gate, "BEGIN");
    beside_pool(stage->gate, "SELECT id FROM gate FOR UPDATE");
}

void stage_gate_open(struct stage *stage)
{
    beside_pool(stage->gate, "COMMIT");
    PQfinish(stage->gate);
    stage->gate = NULL;
}

void stage_gate_awaited(struct stage *stage, int sessions)
{
    int64_t give_up = stage_clock_ms() + 20000;
    int64_t waiting;
    /* The gate's own transaction would look at the same snapshot for ever. */
    while ((beside_pool(stage->gate, "SELECT pg_stat_clear_snapshot()"),
            waiting = beside_pool(stage->gate, "SELECT count(*) FROM pg_stat_activity WHERE datname = "
                                               "current_database() AND wait_event_type = 'Lock'")) != sessions) {
        if (stage_clock_ms() > give_up)
            fail_msg("expected %d sessions at the gate, came %lld", sessions, (long long)waiting);
        usleep(1000);
    }
}
