/* SPDX-License-Identifier: MIT */
/* The feed: one page under way at most, and another look when something was notified meanwhile. */
#include "feed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { AGAIN_MS = 500 };

static void look(struct feed *feed);

pgdbm_status feed_read(pgdbm_db *db, int64_t after, pgdbm_done_callback on_done, void *context, pgdbm_error *err)
{
    /* Reading changes nothing, so the pool may ask again when a connection is lost. */
    const pgdbm_call call = {.idempotent = true};
    return pgdbm_submit_with(db, &call, "SELECT id, text FROM {{tables.events}} WHERE id > $1 ORDER BY id LIMIT $2",
                             pgdbm_args(after, (int)FEED_PAGE), on_done, context, NULL, err);
}

bool feed_format(const pgdbm_result *rows, const char *word, struct feed_lines *lines)
{
    *lines = (struct feed_lines){.count = pgdbm_result_rows(rows)};
    FILE *page = open_memstream(&lines->text, &lines->bytes);
    bool fine = page != NULL;
    for (size_t row = 0; fine && row < lines->count; row++) {
        const char *text = NULL;
        fine = pgdbm_get_int64(rows, row, "id", &lines->last, NULL) == PGDBM_OK &&
               pgdbm_get_text(rows, row, "text", &text, NULL) == PGDBM_OK &&
               fprintf(page, "%s %" PRId64 " %s\n", word, lines->last, text) > 0;
    }
    if (page != NULL && fclose(page) != 0)
        fine = false;
    if (!fine) {
        free(lines->text);
        lines->text = NULL;
    }
    return fine;
}

static void on_page(const pgdbm_outcome *outcome, void *context)
{
    struct feed *feed = context;
    struct feed_lines lines = {0};
    int64_t before = feed->seen;
    feed->reading = false;
    if (feed->stopped)
        return;
    if (outcome->status != PGDBM_OK || !feed_format(outcome->result, "EVENT", &lines)) {
        fprintf(stderr, "events: cannot read: %s\n", outcome->error != NULL ? outcome->error->message : "no memory");
        feed_look_later(feed);
        return;
    }
    if (lines.count > 0)
        feed->seen = lines.last;
    feed->on_events(&lines, before, feed->context);
    free(lines.text);
    if (feed->look_again || lines.count == FEED_PAGE)
        look(feed);
}

static void look(struct feed *feed)
{
    pgdbm_error err;
    feed->look_again = feed->reading;
    if (feed->reading || feed->stopped)
        return;
    feed->reading = feed_read(feed->db, feed->seen, on_page, feed, &err) == PGDBM_OK;
    if (!feed->reading)
        feed_look_later(feed);
}

static void on_again(uv_timer_t *timer)
{
    look(timer->data);
}

void feed_look_later(struct feed *feed)
{
    if (!feed->stopped)
        (void)uv_timer_start(&feed->again_timer, on_again, AGAIN_MS, 0);
}

/* [event] */
static void on_event(const pgdbm_event *event, void *context)
{
    if (event->kind == PGDBM_EVENT_GAP)
        fprintf(stderr, "events: the connection was lost and is back; looking for what was missed\n");
    look(context); /* READY, NOTIFICATION, GAP: whatever it is, the table knows */
}
/* [/event] */

pgdbm_status feed_start(struct feed *feed, pgdbm_db *db, uv_loop_t *loop, feed_callback on_events, void *context,
                        pgdbm_error *err)
{
    *feed = (struct feed){.db = db, .on_events = on_events, .context = context};
    (void)uv_timer_init(loop, &feed->again_timer);
    feed->again_timer.data = feed;
    /* Once, before the loop runs, waiting is simpler. What comes between this and READY is found by the first look. */
    pgdbm_status status = pgdbm_fetch_value(db, "SELECT last FROM {{tables.counter}}", pgdbm_no_args, &feed->seen, err);
    if (status == PGDBM_OK)
        status = pgdbm_listen(db, "published", on_event, feed, &feed->listener, err);
    return status;
}

void feed_stop(struct feed *feed)
{
    feed->stopped = true;
    pgdbm_unlisten(feed->listener);
    feed->listener = NULL;
    uv_close((uv_handle_t *)&feed->again_timer, NULL);
}
