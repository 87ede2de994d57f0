/* SPDX-License-Identifier: MIT */
/* Channels of a manager's schema, and the news that a schema has changed. The listening is done by the pool's hub. */
#include "pool/listen.h"
#include "base/error.h"
#include "db/async.h"
#include "sql/identifier.h"

#include <stdio.h>
#include <string.h>

#define NAME_BYTES 64

static bool is_name(const char *text)
{
    bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || *text == '_';
    for (; letter && *text != '\0'; text++)
        letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || (*text >= '0' && *text <= '9') ||
                 *text == '_' || *text == '.';
    return letter;
}

/* The channel's name on the server: "<schema>.<channel>", so that tenants do not hear each other. */
static pgdbm_status find_channel(const pgdbm_db *db, const char *channel, char physical[NAME_BYTES], pgdbm_error *err)
{
    const char *schema = pgdbm_schema(db);
    if (!is_name(channel)) {
        pgdbm__fail(err, PGDBM_ERR_SCHEMA, "'%.80s' is not a channel's name", channel);
        pgdbm__error_hint(err, "a letter or underscore, then letters, digits, underscores and dots");
        return PGDBM_ERR_SCHEMA;
    }
    int bytes =
        snprintf(physical, NAME_BYTES, "%s%s%s", schema != NULL ? schema : "", schema != NULL ? "." : "", channel);
    if (bytes < NAME_BYTES)
        return PGDBM_OK;
    pgdbm__fail(err, PGDBM_ERR_SCHEMA,
                "the channel's name '%.64s' is too long: with its schema it has %d bytes, of at most 63", channel,
                bytes);
    pgdbm__error_hint(err, "PostgreSQL would cut it, and take two channels for one");
    return PGDBM_ERR_SCHEMA;
}

pgdbm_status pgdbm_listen(pgdbm_db *db, const char *channel, pgdbm_event_callback on_event, void *context,
                          pgdbm_listener **listener, pgdbm_error *err)
{
    char physical[NAME_BYTES];
    if (db == NULL || channel == NULL || on_event == NULL || listener == NULL)
        return pgdbm__fail_null(err, "pgdbm_listen",
                                db == NULL         ? "db"
                                : channel == NULL  ? "channel"
                                : on_event == NULL ? "on_event"
                                                   : "listener");
    *listener = NULL;
    if (db->kind != PGDBM__DB_MANAGER) {
        pgdbm__fail(err, PGDBM_ERR_TRANSACTION, "a transaction and a pinned session cannot listen");
        pgdbm__error_hint(err, "listen with the manager they came from");
        return PGDBM_ERR_TRANSACTION;
    }
    pgdbm_status status = find_channel(db, channel, physical, err);
    if (status != PGDBM_OK)
        return status;
    return pgdbm__hub_listen(db->pool, physical, channel, on_event, context, listener, err);
}

static const char notify_sql[] = "SELECT pg_catalog.pg_notify($1, $2)";

pgdbm_status pgdbm_notify(pgdbm_db *db, const char *channel, const char *payload, pgdbm_error *err)
{
    char physical[NAME_BYTES];
    if (db == NULL || channel == NULL)
        return pgdbm__fail_null(err, "pgdbm_notify", db == NULL ? "db" : "channel");
    pgdbm_status status = find_channel(db, channel, physical, err);
    if (status != PGDBM_OK)
        return status;
    const char *text = payload != NULL ? payload : "";
    return pgdbm_execute(db, notify_sql, pgdbm_args((const char *)physical, text), NULL, err);
}

pgdbm_status pgdbm_notify_async(pgdbm_db *db, const char *channel, const char *payload, pgdbm_done_callback on_done,
                                void *context, pgdbm_error *err)
{
    char physical[NAME_BYTES];
    if (db == NULL || channel == NULL || on_done == NULL)
        return pgdbm__fail_null(err, "pgdbm_notify_async", db == NULL ? "db" : channel == NULL ? "channel" : "on_done");
    pgdbm_status status = find_channel(db, channel, physical, err);
    if (status != PGDBM_OK)
        return status;
    const char *text = payload != NULL ? payload : "";
    return pgdbm_execute_async(db, notify_sql, pgdbm_args((const char *)physical, text), on_done, context, err);
}

/* The transactions around it tell again when they commit: until then others see the tables as they were. */
static void note_change(pgdbm_db *db)
{
    struct pgdbm_pool *pool = db->pool;
    pthread_mutex_lock(&pool->lock);
    for (; db != NULL; db = db->outer)
        db->changed = db->kind == PGDBM__DB_TRANSACTION;
    pthread_mutex_unlock(&pool->lock);
}

pgdbm_status pgdbm_schema_changed(pgdbm_db *db, pgdbm_error *err)
{
    if (db == NULL)
        return pgdbm__fail_null(err, "pgdbm_schema_changed", "db");
    const char *schema = pgdbm_schema(db);
    pgdbm_status status =
        pgdbm_execute(db, notify_sql, pgdbm_args(PGDBM__SCHEMA_CHANNEL, schema != NULL ? schema : ""), NULL, err);
    if (status == PGDBM_OK)
        note_change(db);
    pgdbm__statements_forget_everywhere(schema);
    return status;
}
