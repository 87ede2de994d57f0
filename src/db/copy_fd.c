/* SPDX-License-Identifier: MIT */
/* COPY between the server and a file descriptor of the caller's. Any thread; the descriptor is used in it. */
#include "db/copy.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/thread.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

struct channel {
    struct pgdbm__copy_gauge gauge;
    int fd;
    char *buffer; /* FROM */
};

/* Whether to try again: it was interrupted, or is ready now. */
static bool may_go_on(int fd, short events)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        struct pollfd wait = {.fd = fd, .events = events};
        return poll(&wait, 1, -1) >= 0 || errno == EINTR;
    }
    return errno == EINTR;
}

static pgdbm_status fail_fd(const struct channel *channel, const char *verb, pgdbm_outcome_kind outcome,
                            pgdbm_error *err)
{
    int number = errno;
    pgdbm__fail(err, PGDBM_ERR_QUERY, "cannot %s file descriptor %d: %s", verb, channel->fd, strerror(number));
    pgdbm__error_hint(err, "check that it is open for this, and that there is room where it leads");
    pgdbm__error_outcome(err, outcome);
    return PGDBM_ERR_QUERY;
}

static pgdbm_status feed(const void **data, size_t *bytes, void *context, pgdbm_error *err)
{
    struct channel *channel = context;
    ssize_t got;
    pgdbm_status status = pgdbm__copy_gauge_report(&channel->gauge, err);
    if (status != PGDBM_OK)
        return status;
    do
        got = read(channel->fd, channel->buffer, PGDBM__COPY_PIECE_BYTES);
    while (got < 0 && may_go_on(channel->fd, POLLIN));
    if (got < 0)
        return fail_fd(channel, "read from", PGDBM_OUTCOME_ROLLED_BACK, err);
    *data = channel->buffer;
    *bytes = (size_t)got;
    channel->gauge.bytes += got;
    return PGDBM_OK;
}

static pgdbm_status write_all(struct channel *channel, const char *data, size_t bytes, pgdbm_error *err)
{
    while (bytes > 0) {
        ssize_t put = write(channel->fd, data, bytes);
        if (put < 0 && !may_go_on(channel->fd, POLLOUT))
            return fail_fd(channel, "write to", PGDBM_OUTCOME_DONE, err);
        if (put > 0) {
            data += put;
            bytes -= (size_t)put;
        }
    }
    return PGDBM_OK;
}

static pgdbm_status drain(char *data, size_t bytes, bool *more, void *context, pgdbm_error *err)
{
    struct channel *channel = context;
    pgdbm_status status = write_all(channel, data, bytes, err);
    *more = true;
    channel->gauge.bytes += (int64_t)bytes;
    return status == PGDBM_OK ? pgdbm__copy_gauge_report(&channel->gauge, err) : status;
}

static pgdbm_status open_channel(struct channel *channel, const char *function, int fd,
                                 const pgdbm_copy_options *options, size_t options_bytes, pgdbm_error *err)
{
    *channel = (struct channel){.fd = fd};
    if (fd < 0) {
        pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "%s: fd is %d", function, fd);
        pgdbm__error_hint(err, "pass an open file descriptor");
        return PGDBM_ERR_ARGUMENT;
    }
    pgdbm__copy_gauge_init(&channel->gauge, options, options_bytes);
    return PGDBM_OK;
}

pgdbm_status pgdbm_copy_in_fd_sized(pgdbm_db *db, const char *sql, int fd, const pgdbm_copy_options *options,
                                    size_t options_bytes, int64_t *rows, pgdbm_error *err)
{
    struct channel channel;
    pgdbm_status status = open_channel(&channel, "pgdbm_copy_in_fd", fd, options, options_bytes, err);
    if (status == PGDBM_OK && (channel.buffer = pgdbm__alloc(PGDBM__COPY_PIECE_BYTES)) == NULL)
        status = pgdbm__fail_nomem(err, "starting a COPY");
    int cancel_state = pgdbm__cancel_defer(); /* read and write can be left by it; what is in flight cannot */
    if (status == PGDBM_OK)
        status = pgdbm__db_copy_in(db, "pgdbm_copy_in_fd", sql, feed, &channel, rows, err);
    pgdbm__cancel_restore(cancel_state);
    pgdbm__free(channel.buffer);
    return status;
}

pgdbm_status pgdbm_copy_out_fd_sized(pgdbm_db *db, const char *sql, int fd, const pgdbm_copy_options *options,
                                     size_t options_bytes, int64_t *rows, pgdbm_error *err)
{
    struct channel channel;
    pgdbm_status status = open_channel(&channel, "pgdbm_copy_out_fd", fd, options, options_bytes, err);
    int cancel_state = pgdbm__cancel_defer();
    if (status == PGDBM_OK)
        status = pgdbm__db_copy_out(db, "pgdbm_copy_out_fd", sql, true, drain, &channel, rows, err);
    pgdbm__cancel_restore(cancel_state);
    return status;
}
