/* SPDX-License-Identifier: MIT */
/* The feed: what is published, by this process or any other, in order and without holes.
 *
 * The table is the truth, and a notification only says that it is time to look. So there is one thing to do when the
 * listener is ready, when it was notified, and when its connection was lost and is back (a gap): read what comes after
 * the last event that was handed out. Everything here belongs to the loop's thread. */
#ifndef EVENTS_FEED_H
#define EVENTS_FEED_H

#include <pgdbm/listen.h>
#include <pgdbm/module.h>
#include <uv.h>

enum { FEED_PAGE = 64, FEED_MAX_TEXT = 1000 }; /* events read at once; bytes of one, as the migration says */

/* Some events as lines for clients: "WORD id text". */
struct feed_lines {
    char *text; /* to be freed */
    size_t bytes;
    size_t count;
    int64_t last; /* the last one's id, when there is any */
};

/* Hands out the events after `before`; also called with none, when the feed has looked and there were none. */
typedef void (*feed_callback)(const struct feed_lines *lines, int64_t before, void *context);

struct feed {
    pgdbm_db *db;
    pgdbm_listener *listener;
    uv_timer_t again_timer; /* looks again after a failure */
    int64_t seen;           /* everything up to here was handed out */
    bool reading;           /* a page is under way */
    bool look_again;        /* somebody notified since it was asked for */
    bool stopped;
    feed_callback on_events;
    void *context;
};

/* Starts with what is published from now on. `db` must outlive the feed. */
pgdbm_status feed_start(struct feed *feed, pgdbm_db *db, uv_loop_t *loop, feed_callback on_events, void *context,
                        pgdbm_error *err);
/* Nothing is handed out from here on. The timer is closed by the loop's next turn. */
void feed_stop(struct feed *feed);
/* Looks again in a moment: somebody could not read. */
void feed_look_later(struct feed *feed);

/* Asks for a page of events after `after`. */
pgdbm_status feed_read(pgdbm_db *db, int64_t after, pgdbm_done_callback on_done, void *context, pgdbm_error *err);
/* Puts the rows (id, text) into lines. False when memory is short. */
bool feed_format(const pgdbm_result *rows, const char *word, struct feed_lines *lines);

#endif
