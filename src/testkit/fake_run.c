/* SPDX-License-Identifier: MIT */
/* What the thread of a fake server's connection does: opens it, follows its script, lets the client go. It waits nowhere
 * without looking at the fake's `stop`. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "testkit/fake.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOT 65536
#define MESSAGE_LIMIT (UINT32_C(64) << 20)
#define STARTUP_LIMIT 10000 /* PostgreSQL's own */

#define SSL_REQUEST 80877103U
#define GSSENC_REQUEST 80877104U
#define CANCEL_REQUEST 80877102U

enum way {
    GO_ON,
    LAST, /* the step was done, and is the last one */
    GONE, /* the client is */
    END   /* of the script in the middle of a step: stopped, failed */
};

static uint32_t get_uint32(const char *at)
{
    const unsigned char *bytes = (const unsigned char *)at;
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static const char *unused(const struct pgdbm__fake_connection *connection)
{
    return connection->in.data + connection->used;
}

static size_t n_unused(const struct pgdbm__fake_connection *connection)
{
    return connection->in.length - connection->used;
}

static void use(struct pgdbm__fake_connection *connection, size_t bytes)
{
    connection->used += bytes;
    if (connection->used == connection->in.length)
        connection->used = connection->in.length = 0;
}

/* An expectation that was not met, and what came instead. */
static enum way fail(const struct pgdbm__fake_connection *connection, const char *expected, const char *but)
{
    pgdbm_error failure = {0};
    char came[200];
    pgdbm__fake_show(n_unused(connection) > 0 ? unused(connection) : "", n_unused(connection), came, sizeof came);
    pgdbm__fail(&failure, PGDBM_ERR_TESTDB, "fake server, connection %zu, step %zu: expected %s, but %s",
                connection->number, connection->at + 1, expected, but);
    pgdbm__error_detail(&failure, "came: %s", came[0] != '\0' ? came : "(nothing)");
    pgdbm__error_hint(&failure, "compare the step of the script with what the client does");
    pgdbm__fake_fail(connection->fake, &failure);
    return END;
}

static enum way fail_nomem(const struct pgdbm__fake_connection *connection)
{
    pgdbm_error failure = {0};
    pgdbm__fail_nomem(&failure, "a fake server read what its client sent");
    pgdbm__fake_fail(connection->fake, &failure);
    return END;
}

/* Waits for the socket (events 0: only for time to pass) until the deadline. END: the fake is being stopped. */
static enum way await(const struct pgdbm__fake_connection *connection, short events, int64_t deadline)
{
    struct pollfd entries[2] = {{.fd = connection->fake->stop, .events = POLLIN},
                                {.fd = events != 0 ? connection->fd : -1, .events = events}};
    for (;;) {
        int ready = poll(entries, 2, pgdbm__remaining_ms(deadline));
        if (ready > 0 && entries[0].revents != 0)
            return END;
        if (ready >= 0)
            return GO_ON;
        if (errno != EINTR)
            return END;
    }
}

static enum way pause_for(const struct pgdbm__fake_connection *connection, int ms)
{
    return ms > 0 ? await(connection, 0, pgdbm__deadline(ms)) : GO_ON;
}

/* Reads what is there, at least something. */
static enum way receive(struct pgdbm__fake_connection *connection)
{
    size_t lot = connection->read_lot > 0 && connection->read_lot < LOT ? connection->read_lot : LOT;
    if (connection->used > 0) {
        memmove(connection->in.data, unused(connection), n_unused(connection));
        connection->in.length = n_unused(connection);
        connection->used = 0;
    }
    if (!pgdbm__buffer_reserve(&connection->in, lot))
        return fail_nomem(connection);
    for (;;) {
        if (await(connection, POLLIN, PGDBM__NEVER) != GO_ON)
            return END;
        ssize_t got = recv(connection->fd, connection->in.data + connection->in.length, lot, MSG_DONTWAIT);
        if (got > 0) {
            connection->in.length += (size_t)got;
            return pause_for(connection, connection->read_ms);
        }
        if (got == 0 || (errno != EINTR && errno != EAGAIN))
            return GONE;
    }
}

/* Reads until so many bytes are unused. */
static enum way fill(struct pgdbm__fake_connection *connection, size_t bytes)
{
    enum way way = GO_ON;
    while (way == GO_ON && n_unused(connection) < bytes)
        way = receive(connection);
    return way;
}

/* ---- sending ---- */

static enum way send_lot(struct pgdbm__fake_connection *connection, const char *data, size_t bytes, size_t *sent)
{
    for (;;) {
        if (await(connection, POLLOUT, PGDBM__NEVER) != GO_ON)
            return END;
        ssize_t taken = send(connection->fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (taken >= 0) {
            *sent = (size_t)taken;
            return GO_ON;
        }
        if (errno != EINTR && errno != EAGAIN)
            return END; /* the client is gone, which while we send is no failure */
    }
}

static enum way send_all(struct pgdbm__fake_connection *connection, const char *data, size_t bytes)
{
    enum way way = GO_ON;
    while (way == GO_ON && bytes > 0) {
        size_t lot = bytes;
        size_t sent = 0;
        if (connection->write_lot > 0 && connection->write_lot < lot)
            lot = connection->write_lot;
        if (connection->cutting && connection->cut_after < lot)
            lot = connection->cut_after;
        if (lot > 0)
            way = send_lot(connection, data, lot, &sent);
        data += sent;
        bytes -= sent;
        connection->cut_after -= connection->cutting ? sent : 0;
        if (connection->cutting && connection->cut_after == 0)
            return LAST;
        if (way == GO_ON && connection->write_lot > 0)
            way = pause_for(connection, connection->write_ms);
    }
    return way;
}

/* ---- expecting ---- */

static enum way expect_startup(struct pgdbm__fake_connection *connection)
{
    static const char expected[] = "a startup message";
    enum way way = fill(connection, 8);
    if (way != GO_ON)
        return way == GONE ? fail(connection, expected, "the client closed the connection") : END;
    uint32_t bytes = get_uint32(unused(connection));
    if (bytes < 8 || bytes > STARTUP_LIMIT || get_uint32(unused(connection) + 4) >> 16 != 3)
        return fail(connection, expected, "something else came");
    way = fill(connection, bytes);
    if (way != GO_ON)
        return way == GONE ? fail(connection, expected, "the client closed the connection in the middle of it") : END;
    use(connection, bytes);
    return GO_ON;
}

/* Whether an endless round begins with the order in hand: there the client may go. */
static bool may_go(const struct pgdbm__fake_connection *connection)
{
    const struct pgdbm__fake_orders *orders = connection->orders;
    for (size_t i = connection->at + 1; i < orders->count; i++) {
        const struct pgdbm__fake_order *order = &orders->orders[i];
        if (order->kind == PGDBM_TESTFAKE_LOOP && order->times == SIZE_MAX && i - order->number == connection->at)
            return true;
    }
    return false;
}

/* A whole message in `in`, `*bytes` with its head. GONE: the client went where it may. */
static enum way next_message(struct pgdbm__fake_connection *connection, const char *expected, size_t *bytes)
{
    enum way way = fill(connection, 1);
    if (way == GONE && may_go(connection))
        return END;
    if (way == GO_ON)
        way = fill(connection, 5);
    if (way != GO_ON)
        return way == GONE ? fail(connection, expected, "the client closed the connection") : END;
    uint32_t length = get_uint32(unused(connection) + 1);
    if (length < 4 || length > MESSAGE_LIMIT)
        return fail(connection, expected, "what came is no message");
    *bytes = (size_t)length + 1;
    way = fill(connection, *bytes);
    return way == GONE ? fail(connection, expected, "the client closed the connection in the middle of a message")
                       : way;
}

static bool contains(const char *data, size_t bytes, const char *piece, size_t piece_bytes)
{
    return piece_bytes == 0 || memmem(data, bytes, piece, piece_bytes) != NULL;
}

static enum way expect_message(struct pgdbm__fake_connection *connection, const struct pgdbm__fake_order *order)
{
    char name[32];
    char piece[100];
    char expected[160];
    char but[64];
    size_t bytes = 0;
    pgdbm__fake_name(order->type, name);
    pgdbm__fake_show(order->data, order->bytes, piece, sizeof piece);
    snprintf(expected, sizeof expected, order->bytes > 0 ? "%s with \"%s\"" : "%s%s", name, piece);
    for (;;) {
        enum way way = next_message(connection, expected, &bytes);
        if (way != GO_ON)
            return way;
        char type = unused(connection)[0];
        if (type == order->type && contains(unused(connection) + 5, bytes - 5, order->data, order->bytes))
            break;
        if (type == 'X' && may_go(connection))
            return END;
        if (order->kind != PGDBM_TESTFAKE_EXPECT_UNTIL || type == 'X') {
            pgdbm__fake_name(type, name);
            snprintf(but, sizeof but, "%s came", name);
            return fail(connection, expected, but);
        }
        use(connection, bytes);
    }
    use(connection, bytes);
    return GO_ON;
}

static enum way expect_bytes(struct pgdbm__fake_connection *connection, const struct pgdbm__fake_order *order)
{
    char shown[160];
    char expected[200];
    pgdbm__fake_show(order->data, order->bytes, shown, sizeof shown);
    snprintf(expected, sizeof expected, "the bytes \"%s\"", shown);
    for (;;) { /* the first byte that differs is enough: the client may be waiting for an answer */
        size_t both = n_unused(connection) < order->bytes ? n_unused(connection) : order->bytes;
        if (both > 0 && memcmp(unused(connection), order->data, both) != 0)
            return fail(connection, expected, "others came");
        if (both == order->bytes)
            break;
        enum way way = receive(connection);
        if (way != GO_ON)
            return way == GONE ? fail(connection, expected, "the client closed the connection") : END;
    }
    use(connection, order->bytes);
    return GO_ON;
}

/* ---- the script ---- */

static enum way wait_for_permit(const struct pgdbm__fake_connection *connection)
{
    pgdbm_testfake *fake = connection->fake;
    pthread_mutex_lock(&fake->lock);
    while (!fake->stopping && fake->permits == 0)
        pthread_cond_wait(&fake->changed, &fake->lock);
    enum way way = fake->stopping ? END : GO_ON;
    if (way == GO_ON)
        fake->permits--;
    pthread_mutex_unlock(&fake->lock);
    return way;
}

/* Which order comes after a loop's. */
static size_t go_round(struct pgdbm__fake_connection *connection, const struct pgdbm__fake_order *order)
{
    size_t *rounds = &connection->rounds[connection->at];
    if (order->times == SIZE_MAX || (*rounds)++ < order->times)
        return connection->at - order->number;
    *rounds = 0; /* for a loop around this one */
    return connection->at + 1;
}

static enum way follow(struct pgdbm__fake_connection *connection, const struct pgdbm__fake_order *order)
{
    enum way way = GO_ON;
    switch (order->kind) {
    case PGDBM_TESTFAKE_EXPECT_STARTUP:
        return expect_startup(connection);
    case PGDBM_TESTFAKE_GREETING:
        way = expect_startup(connection);
        return way == GO_ON ? send_all(connection, order->data, order->bytes) : way;
    case PGDBM_TESTFAKE_EXPECT_MESSAGE:
    case PGDBM_TESTFAKE_EXPECT_UNTIL:
        return expect_message(connection, order);
    case PGDBM_TESTFAKE_EXPECT_BYTES:
        return expect_bytes(connection, order);
    case PGDBM_TESTFAKE_DELAY:
        return pause_for(connection, order->ms);
    case PGDBM_TESTFAKE_SLOW_READS:
        connection->read_lot = order->number;
        connection->read_ms = order->ms;
        return GO_ON;
    case PGDBM_TESTFAKE_SLOW_WRITES:
        connection->write_lot = order->number;
        connection->write_ms = order->ms;
        return GO_ON;
    case PGDBM_TESTFAKE_WAIT:
        return wait_for_permit(connection);
    case PGDBM_TESTFAKE_LOOP:
        connection->next_at = go_round(connection, order);
        return GO_ON;
    case PGDBM_TESTFAKE_CUT:
        connection->cutting = true;
        connection->cut_after = order->number;
        return order->number > 0 ? GO_ON : LAST;
    case PGDBM_TESTFAKE_REFUSE:
        shutdown(connection->fake->listener, SHUT_RDWR);
        return GO_ON;
    case PGDBM_TESTFAKE_RESET:
        connection->resets = true;
        return LAST;
    case PGDBM_TESTFAKE_CLOSE:
        return LAST;
    default:
        return send_all(connection, order->data, order->bytes);
    }
}

static void note(struct pgdbm__fake_connection *connection, size_t done, bool finished)
{
    pthread_mutex_lock(&connection->fake->lock);
    connection->done += done;
    connection->finished |= finished;
    pthread_cond_broadcast(&connection->fake->changed);
    pthread_mutex_unlock(&connection->fake->lock);
}

/* GO_ON: all steps were done, and none of them ended the connection. */
static enum way follow_all(struct pgdbm__fake_connection *connection)
{
    const struct pgdbm__fake_orders *orders = connection->orders;
    enum way way = GO_ON;
    connection->rounds = pgdbm__alloc_zero(orders->count, sizeof *connection->rounds);
    if (connection->rounds == NULL)
        return fail_nomem(connection);
    while (way == GO_ON && connection->at < orders->count) {
        connection->next_at = connection->at + 1;
        way = follow(connection, &orders->orders[connection->at]);
        if (way == GO_ON || way == LAST)
            note(connection, 1, false);
        connection->at = connection->next_at;
    }
    return way;
}

/* ---- before and after ---- */

static void take_script(struct pgdbm__fake_connection *connection)
{
    pgdbm_testfake *fake = connection->fake;
    pthread_mutex_lock(&fake->lock);
    connection->number = ++fake->n_connections;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
    size_t index = connection->number < fake->n_scripts ? connection->number : fake->n_scripts;
    connection->orders = &fake->scripts[index - 1];
}

/* GO_ON: the client has come to stay. */
static enum way open_connection(struct pgdbm__fake_connection *connection)
{
    for (;;) {
        enum way way = fill(connection, 8);
        if (way != GO_ON)
            return way;
        uint32_t bytes = get_uint32(unused(connection));
        uint32_t code = get_uint32(unused(connection) + 4);
        if (bytes >= 16 && bytes <= STARTUP_LIMIT && code == CANCEL_REQUEST) {
            pthread_mutex_lock(&connection->fake->lock);
            connection->fake->n_cancels++;
            pthread_cond_broadcast(&connection->fake->changed);
            pthread_mutex_unlock(&connection->fake->lock);
            return END;
        }
        if (bytes != 8 || (code != SSL_REQUEST && code != GSSENC_REQUEST))
            return GO_ON;
        use(connection, 8);
        if (send_all(connection, "N", 1) != GO_ON)
            return END;
    }
}

/* Reads and forgets until the client goes: closing a socket with something unread in it would reset the connection, and
 * the client might lose what it has not read yet. */
static void see_off(struct pgdbm__fake_connection *connection)
{
    enum way way = GO_ON;
    while (way == GO_ON) {
        connection->in.length = connection->used = 0;
        way = receive(connection);
    }
}

static void hang_up(struct pgdbm__fake_connection *connection)
{
    const struct linger at_once = {.l_onoff = 1};
    if (connection->resets) /* closing it does the rest */
        setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(connection->fd);
    connection->fd = -1;
}

void pgdbm__fake_run(struct pgdbm__fake_connection *connection)
{
    if (!connection->fake->bare && open_connection(connection) != GO_ON)
        goto done;
    take_script(connection);
    enum way way = follow_all(connection);
    if (connection->resets)
        hang_up(connection);
    else if (way != GO_ON)
        shutdown(connection->fd, SHUT_WR);
    note(connection, 0, true);
    if (!connection->resets)
        see_off(connection);
done:
    if (connection->fd >= 0)
        hang_up(connection);
    pgdbm__buffer_free(&connection->in);
    pgdbm__free(connection->rounds);
    connection->rounds = NULL;
}
