/* SPDX-License-Identifier: MIT */
/* What the lines of a client mean, and the answers. */
#include "protocol.h"

#include "server.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void answer_error(struct client *client, const pgdbm_error *error)
{
    if (strcmp(error->constraint, "events_text_check") == 0)
        client_say(client, "ERROR an event is at most %d bytes in one line", (int)FEED_MAX_TEXT);
    else
        client_say(client, "ERROR %s", error->message);
}

/* [publish] */
static void on_published(const pgdbm_outcome *outcome, void *context)
{
    struct client *client = context;
    int64_t id = 0;
    if (outcome->status != PGDBM_OK)
        answer_error(client, outcome->error);
    else if (pgdbm_get_int64(outcome->result, 0, "id", &id, NULL) == PGDBM_OK)
        client_say(client, "OK PUBLISH %" PRId64, id);
    client_end(client);
}

static void publish(struct client *client, const char *text)
{
    pgdbm_error err;
    client_begin(client);
    if (pgdbm_submit(client->server->db,
                     "WITH next AS (UPDATE {{tables.counter}} SET last = last + 1 RETURNING last)"
                     " INSERT INTO {{tables.events}} (id, text) SELECT last, $1 FROM next RETURNING id",
                     pgdbm_args(text), on_published, client, &err) == PGDBM_OK)
        return;
    answer_error(client, &err); /* it will not be called */
    client_end(client);
}
/* [/publish] */

static void on_last(const pgdbm_outcome *outcome, void *context)
{
    struct client *client = context;
    struct feed_lines lines = {0};
    if (outcome->status != PGDBM_OK)
        answer_error(client, outcome->error);
    else if (!feed_format(outcome->result, "PAST", &lines))
        client_say(client, "ERROR out of memory");
    else {
        client_write(client, lines.text, lines.bytes);
        client_say(client, "OK LAST %zu", lines.count);
    }
    client_end(client);
}

static void last(struct client *client, const char *number)
{
    pgdbm_error err;
    char *rest;
    long count = strtol(number, &rest, 10);
    if (rest == number || *rest != '\0' || count < 1 || count > FEED_PAGE) {
        client_say(client, "ERROR LAST takes a number from 1 to %d", (int)FEED_PAGE);
        return;
    }
    const pgdbm_call call = {.idempotent = true};
    client_begin(client);
    if (pgdbm_submit_with(client->server->db, &call,
                          "SELECT id, text FROM (SELECT id, text FROM {{tables.events}} ORDER BY id DESC LIMIT $1)"
                          " AS newest ORDER BY id",
                          pgdbm_args(count), on_last, client, NULL, &err) == PGDBM_OK)
        return;
    answer_error(client, &err);
    client_end(client);
}

static void subscribe(struct client *client)
{
    if (!client->subscribed)
        client->position = client->server->feed.seen;
    client->subscribed = true;
    client_say(client, "OK SUBSCRIBE %" PRId64, client->position);
}

/* What follows the word and a blank, or NULL when the line begins otherwise. */
static const char *after(const char *line, const char *word)
{
    size_t length = strlen(word);
    return strncmp(line, word, length) == 0 && line[length] == ' ' ? line + length + 1 : NULL;
}

void protocol_line(struct client *client, const char *line, size_t bytes)
{
    const char *rest;
    if (strlen(line) != bytes)
        client_say(client, "ERROR a line cannot have a NUL byte");
    else if ((rest = after(line, "PUBLISH")) != NULL && *rest != '\0')
        publish(client, rest);
    else if ((rest = after(line, "LAST")) != NULL)
        last(client, rest);
    else if (strcmp(line, "SUBSCRIBE") == 0)
        subscribe(client);
    else if (strcmp(line, "UNSUBSCRIBE") == 0) {
        client->subscribed = false;
        client_say(client, "OK UNSUBSCRIBE");
    } else
        client_say(client, "ERROR say PUBLISH text, SUBSCRIBE, UNSUBSCRIBE or LAST n");
}
