/* SPDX-License-Identifier: MIT */
/* Captures: an observer that keeps texts and counts them. Its list is guarded by a lock, because any thread may be told of a
 * statement; a text stays where it is until the capture ends. */
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/error.h"
#include "sql/report.h"

#include <pgdbm/observe.h>
#include <pgdbm/testdata.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct text {
    char *sql;
    size_t times;
    uint64_t hash;
};

struct pgdbm_capture {
    pgdbm_observer *observer;
    pgdbm_capture_options options;

    pthread_mutex_t lock;       /* guards what follows */
    struct pgdbm__buffer texts; /* struct text */
    size_t count;
    size_t lost; /* statements whose text found no memory */
};

static size_t texts_of(const pgdbm_capture *capture)
{
    return capture->texts.length / sizeof(struct text);
}

static struct text *text_at(const pgdbm_capture *capture, size_t number)
{
    return (struct text *)(void *)capture->texts.data + number;
}

/* FNV-1a. */
static uint64_t hash_of(const char *sql)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; *sql != '\0'; sql++)
        hash = (hash ^ (unsigned char)*sql) * UINT64_C(1099511628211);
    return hash;
}

/* Locked. */
static void keep(pgdbm_capture *capture, const char *sql)
{
    uint64_t hash = hash_of(sql);
    capture->count++;
    for (size_t i = 0; i < texts_of(capture); i++) {
        struct text *text = text_at(capture, i);
        if (text->hash == hash && strcmp(text->sql, sql) == 0) {
            text->times++;
            return;
        }
    }
    const struct text text = {pgdbm__strdup(sql), 1, hash};
    if (text.sql != NULL && pgdbm__buffer_reserve(&capture->texts, sizeof text)) {
        pgdbm__buffer_append(&capture->texts, &text, sizeof text);
        return;
    }
    pgdbm__free(text.sql);
    capture->texts.failed = false; /* the next one may find memory */
    capture->lost++;
}

static void observe(const pgdbm_observation *observation, void *context)
{
    pgdbm_capture *capture = context;
    if ((observation->kind == PGDBM_OBSERVED_CONTROL && !capture->options.control) ||
        (observation->kind == PGDBM_OBSERVED_FETCH && !capture->options.fetches))
        return;
    pthread_mutex_lock(&capture->lock);
    keep(capture, observation->sql);
    pthread_mutex_unlock(&capture->lock);
}

pgdbm_status pgdbm_capture_begin_sized(pgdbm_db *db, const pgdbm_capture_options *options, size_t options_bytes,
                                       pgdbm_capture **capture, pgdbm_error *err)
{
    if (db == NULL || capture == NULL)
        return pgdbm__fail_null(err, "pgdbm_capture_begin", db == NULL ? "db" : "capture");
    *capture = NULL;
    pgdbm_capture *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "capturing statements");
    if (options != NULL)
        memcpy(&made->options, options, options_bytes < sizeof made->options ? options_bytes : sizeof made->options);
    pthread_mutex_init(&made->lock, NULL);
    pgdbm_status status = pgdbm_observe(db, observe, made, &made->observer, err);
    if (status == PGDBM_OK)
        *capture = made;
    else
        pgdbm_capture_end(made);
    return status;
}

void pgdbm_capture_end(pgdbm_capture *capture)
{
    if (capture == NULL)
        return;
    pgdbm_unobserve(capture->observer);
    for (size_t i = 0; i < texts_of(capture); i++)
        pgdbm__free(text_at(capture, i)->sql);
    pgdbm__buffer_free(&capture->texts);
    pthread_mutex_destroy(&capture->lock);
    pgdbm__free(capture);
}

size_t pgdbm_capture_count(pgdbm_capture *capture)
{
    if (capture == NULL)
        return 0;
    pthread_mutex_lock(&capture->lock);
    size_t count = capture->count;
    pthread_mutex_unlock(&capture->lock);
    return count;
}

size_t pgdbm_capture_texts(pgdbm_capture *capture)
{
    if (capture == NULL)
        return 0;
    pthread_mutex_lock(&capture->lock);
    size_t count = texts_of(capture);
    pthread_mutex_unlock(&capture->lock);
    return count;
}

const char *pgdbm_capture_statement(pgdbm_capture *capture, size_t number, size_t *times)
{
    struct text text = {0};
    if (capture != NULL) {
        pthread_mutex_lock(&capture->lock);
        if (number < texts_of(capture))
            text = *text_at(capture, number);
        pthread_mutex_unlock(&capture->lock);
    }
    if (times != NULL)
        *times = text.times;
    return text.sql;
}

/* --- the check --- */

/* The text on one line, shortened. */
static void write_text(const struct text *text, struct pgdbm__buffer *out)
{
    char shown[120];
    struct pgdbm__buffer line = {0};
    for (const char *at = text->sql; *at != '\0' && line.length < 4 * sizeof shown; at++) {
        bool blank = strchr(" \t\r\n", *at) != NULL;
        if (!blank)
            pgdbm__buffer_append(&line, at, 1);
        else if (line.length > 0 && line.data[line.length - 1] != ' ')
            pgdbm__buffer_text(&line, " ");
    }
    pgdbm__buffer_format(out, "%zu x %s\n", text->times, pgdbm__printable(line.data, line.length, shown, sizeof shown));
    pgdbm__buffer_free(&line);
}

/* The number of the most frequent text that has not been told of; of equals the first. */
static size_t next_text(const pgdbm_capture *capture, const bool *told)
{
    size_t next = texts_of(capture);
    for (size_t i = 0; i < texts_of(capture); i++)
        if (!told[i] && (next == texts_of(capture) || text_at(capture, i)->times > text_at(capture, next)->times))
            next = i;
    return next;
}

/* As many texts as there is room for. Locked. */
static void list(const pgdbm_capture *capture, size_t room, bool *told, struct pgdbm__buffer *out)
{
    size_t left = texts_of(capture);
    for (; left > 0; left--) {
        size_t next = next_text(capture, told);
        size_t before = out->length;
        write_text(text_at(capture, next), out);
        told[next] = true;
        if (before > 0 && out->length > room) {
            out->length = before;
            break;
        }
    }
    if (left > 0)
        pgdbm__buffer_format(out, "\xE2\x80\xA6 and %zu other text%s\n", left, left == 1 ? "" : "s");
    out->length -= out->length > 0; /* the last line's end */
}

/* Locked. */
static pgdbm_status too_many(const pgdbm_capture *capture, size_t limit, pgdbm_error *err)
{
    struct pgdbm__buffer out = {0};
    bool *told = pgdbm__alloc_zero(texts_of(capture) + 1, sizeof *told);
    if (told == NULL)
        return pgdbm__fail_nomem(err, "listing statements");
    list(capture, sizeof err->detail - sizeof "... and 18446744073709551615 other texts", told, &out);
    size_t length = out.length;
    char *text = pgdbm__buffer_take(&out);
    pgdbm__fail(err, PGDBM_ERR_TESTDB, "%zu statement%s sent, %zu at most expected", capture->count,
                capture->count == 1 ? " was" : "s were", limit);
    pgdbm__error_detail(err, "%.*s", text != NULL ? (int)length : 0, text != NULL ? text : "");
    pgdbm__error_hint(err,
                      "a statement that is sent for each row of another one can be a join, = ANY($1) with an array, a "
                      "batch, or pgdbm_execute_many");
    pgdbm__free(text);
    pgdbm__free(told);
    pgdbm__buffer_free(&out);
    return PGDBM_ERR_TESTDB;
}

pgdbm_status pgdbm_capture_check_at_most(pgdbm_capture *capture, size_t limit, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    if (capture == NULL)
        return pgdbm__fail_null(err, "pgdbm_capture_check_at_most", "capture");
    pthread_mutex_lock(&capture->lock);
    if (capture->lost > 0)
        status = pgdbm__fail_nomem(err, "keeping the texts of statements");
    else if (capture->count > limit)
        status = too_many(capture, limit, err);
    pthread_mutex_unlock(&capture->lock);
    return status;
}
