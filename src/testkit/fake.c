/* SPDX-License-Identifier: MIT */
/* Fake servers: starting, awaiting, stopping. A fake has a thread that accepts and one for each connection; whoever has its
 * lock may touch what testkit/fake.h says it guards, the rest is set before the threads start. */
#include "testkit/fake.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128
#define SOCKET_PORT 5432 /* only part of the socket's name */

static pgdbm_status fail_system(pgdbm_error *err, const char *what)
{
    return pgdbm__fail(err, PGDBM_ERR_TESTDB, "a fake server cannot %s: %s", what, strerror(errno));
}

void pgdbm__fake_fail(pgdbm_testfake *fake, const pgdbm_error *failure)
{
    pthread_mutex_lock(&fake->lock);
    if (fake->failure.status == PGDBM_OK)
        fake->failure = *failure;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
}

/* ---- its threads ---- */

static void *serve(void *context)
{
    struct pgdbm__fake_connection *connection = context;
    pgdbm_testfake *fake = connection->fake;
    pgdbm__fake_run(connection);
    pthread_mutex_lock(&fake->lock);
    connection->over = true;
    pthread_mutex_unlock(&fake->lock);
    return NULL;
}

/* Threads that have ended are joined when the next connection comes, so that a long test does not collect them. Connections
 * themselves stay: somebody may ask what they did. */
static void join_those_over(pgdbm_testfake *fake, bool all)
{
    pthread_mutex_lock(&fake->lock);
    struct pgdbm__fake_connection *connection = fake->connections;
    while (connection != NULL) {
        bool join = !connection->joined && (all || connection->over);
        connection->joined |= join;
        pthread_mutex_unlock(&fake->lock);
        if (join)
            pthread_join(connection->thread, NULL);
        pthread_mutex_lock(&fake->lock);
        connection = connection->next;
    }
    pthread_mutex_unlock(&fake->lock);
}

static pgdbm_status take_in(pgdbm_testfake *fake, int fd, pgdbm_error *err)
{
    struct pgdbm__fake_connection *connection = pgdbm__alloc_zero(1, sizeof *connection);
    if (connection == NULL) {
        close(fd);
        return pgdbm__fail_nomem(err, "a fake server accepted a connection");
    }
    const int on = 1;
    if (fake->port != 0) /* what is written byte by byte shall leave so */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection->fake = fake;
    connection->fd = fd;
    pthread_mutex_lock(&fake->lock);
    connection->next = fake->connections;
    int failure = pgdbm__thread_start(&connection->thread, NULL, serve, connection);
    if (failure == 0)
        fake->connections = connection;
    pthread_mutex_unlock(&fake->lock);
    if (failure == 0)
        return PGDBM_OK;
    close(fd);
    pgdbm__free(connection);
    errno = failure;
    return fail_system(err, "start a thread");
}

/* False when the fake is being stopped, or refuses further connections. */
static bool accept_next(pgdbm_testfake *fake, int *fd, pgdbm_error *failure)
{
    struct pollfd entries[2] = {{.fd = fake->stop, .events = POLLIN}, {.fd = fake->listener, .events = POLLIN}};
    *fd = -1;
    if (poll(entries, 2, -1) < 0)
        return errno == EINTR || fail_system(failure, "wait for connections") == PGDBM_OK;
    if (entries[0].revents != 0)
        return false;
    *fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);
    if (*fd >= 0 || errno == EINTR || errno == EAGAIN || errno == ECONNABORTED)
        return true;
    if (errno != EINVAL) /* which says that it listens no longer */
        fail_system(failure, "accept a connection");
    return false;
}

static void *accept_all(void *context)
{
    pgdbm_testfake *fake = context;
    pgdbm_error failure = {0};
    int fd;
    pthread_mutex_lock(&fake->lock);
    while (!fake->stopping && fake->door != PGDBM_TESTFAKE_OPEN)
        pthread_cond_wait(&fake->changed, &fake->lock);
    pthread_mutex_unlock(&fake->lock);
    while (accept_next(fake, &fd, &failure)) {
        join_those_over(fake, false);
        if (fd >= 0 && take_in(fake, fd, &failure) != PGDBM_OK)
            break;
    }
    if (failure.status != PGDBM_OK)
        pgdbm__fake_fail(fake, &failure);
    return NULL;
}

/* ---- starting ---- */

static pgdbm_status bind_port(pgdbm_testfake *fake, pgdbm_error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fake->listener < 0)
        return fail_system(err, "make a socket");
    if (bind(fake->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(fake->listener, (struct sockaddr *)&address, &bytes) != 0)
        return fail_system(err, "get a port on 127.0.0.1");
    fake->port = ntohs(address.sin_port);
    snprintf(fake->url, sizeof fake->url, "postgresql://postgres@127.0.0.1:%d/postgres", fake->port);
    return PGDBM_OK;
}

/* Below PGDBM_TEST_DIRECTORY, or where temporary files go. */
static pgdbm_status make_directory(pgdbm_testfake *fake, pgdbm_error *err)
{
    const struct pgdbm__identity nobody_else = {0};
    char base[PGDBM__PATH_BYTES];
    char path[PGDBM__PATH_BYTES];
    pgdbm_status status = pgdbm__place_chosen(&nobody_else, base, err);
    if (status != PGDBM_OK)
        return status;
    const char *temporary = getenv("TMPDIR");
    if (base[0] == '\0' && temporary != NULL && temporary[0] == '/' && strlen(temporary) < sizeof base)
        memcpy(base, temporary, strlen(temporary) + 1);
    if (base[0] == '\0' || strlen(base) > PGDBM__SOCKET_DIRECTORY_LIMIT - sizeof "/pgdbm-fake-XXXXXX")
        memcpy(base, "/tmp", sizeof "/tmp");
    snprintf(path, sizeof path, "%.100s/pgdbm-fake-XXXXXX", base);
    if (mkdtemp(path) == NULL)
        return fail_system(err, "make a directory for its socket");
    memcpy(fake->directory, path, sizeof fake->directory);
    return PGDBM_OK;
}

static pgdbm_status bind_socket(pgdbm_testfake *fake, pgdbm_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pgdbm_status status = make_directory(fake, err);
    if (status != PGDBM_OK)
        return status;
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%.90s/.s.PGSQL.%d", fake->directory, SOCKET_PORT);
    if (length < 0 || (size_t)length >= sizeof address.sun_path)
        return pgdbm__fail(err, PGDBM_ERR_TESTDB, "the path %.200s is too long for a socket", fake->directory);
    fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fake->listener < 0 || bind(fake->listener, (struct sockaddr *)&address, sizeof address) != 0)
        return fail_system(err, "make its socket");
    memcpy(fake->socket, address.sun_path, sizeof address.sun_path);
    pgdbm__compose_url(fake->directory, SOCKET_PORT, fake->url, sizeof fake->url);
    return PGDBM_OK;
}

static pgdbm_status make_lock(pgdbm_testfake *fake, pgdbm_error *err)
{
    pthread_condattr_t attributes;
    if (pthread_mutex_init(&fake->lock, NULL) != 0)
        return pgdbm__fail_nomem(err, "starting a fake server");
    bool made = pthread_condattr_init(&attributes) == 0;
    if (made) {
        made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
               pthread_cond_init(&fake->changed, &attributes) == 0;
        pthread_condattr_destroy(&attributes);
    }
    if (!made)
        pthread_mutex_destroy(&fake->lock);
    fake->has_lock = made;
    return made ? PGDBM_OK : pgdbm__fail_nomem(err, "starting a fake server");
}

static pgdbm_status compile_all(pgdbm_testfake *fake, const pgdbm_testfake_options *options, pgdbm_error *err)
{
    const pgdbm_testfake_script only = {options->steps, options->n_steps};
    const pgdbm_testfake_script *scripts = options->n_scripts > 0 ? options->scripts : &only;
    if (options->n_scripts > 0 && (options->scripts == NULL || options->n_steps > 0))
        return pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "pgdbm_testfake_start: %s",
                           options->scripts == NULL ? "scripts is NULL" : "steps and scripts are both given");
    size_t count = options->n_scripts > 0 ? options->n_scripts : 1;
    fake->scripts = pgdbm__alloc_zero(count, sizeof *fake->scripts);
    if (fake->scripts == NULL)
        return pgdbm__fail_nomem(err, "starting a fake server");
    for (; fake->n_scripts < count; fake->n_scripts++) {
        struct pgdbm__fake_orders *orders = &fake->scripts[fake->n_scripts];
        pgdbm_status status =
            pgdbm__fake_compile(&scripts[fake->n_scripts], fake->n_scripts + 1, options->unix_socket, orders, err);
        if (status != PGDBM_OK) {
            pgdbm__fake_orders_free(orders);
            return status;
        }
    }
    return PGDBM_OK;
}

static pgdbm_status launch(pgdbm_testfake *fake, const pgdbm_testfake_options *options, pgdbm_error *err)
{
    pgdbm_status status = compile_all(fake, options, err);
    if (status == PGDBM_OK)
        status = make_lock(fake, err);
    if (status != PGDBM_OK)
        return status;
    fake->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fake->stop < 0)
        return fail_system(err, "make an eventfd");
    status = options->unix_socket ? bind_socket(fake, err) : bind_port(fake, err);
    if (status != PGDBM_OK)
        return status;
    if (fake->door != PGDBM_TESTFAKE_SHUT && listen(fake->listener, BACKLOG) != 0)
        return fail_system(err, "listen");
    errno = pgdbm__thread_start(&fake->acceptor, NULL, accept_all, fake);
    fake->has_acceptor = errno == 0;
    return fake->has_acceptor ? PGDBM_OK : fail_system(err, "start a thread");
}

static void fake_free(pgdbm_testfake *fake)
{
    while (fake->connections != NULL) {
        struct pgdbm__fake_connection *connection = fake->connections;
        fake->connections = connection->next;
        pgdbm__free(connection);
    }
    if (fake->listener >= 0)
        close(fake->listener);
    if (fake->stop >= 0)
        close(fake->stop);
    if (fake->socket[0] != '\0')
        unlink(fake->socket);
    if (fake->directory[0] != '\0')
        rmdir(fake->directory);
    if (fake->has_lock) {
        pthread_cond_destroy(&fake->changed);
        pthread_mutex_destroy(&fake->lock);
    }
    for (size_t i = 0; i < fake->n_scripts; i++)
        pgdbm__fake_orders_free(&fake->scripts[i]);
    pgdbm__free(fake->scripts);
    pgdbm__free(fake);
}

pgdbm_status pgdbm_testfake_start_sized(const pgdbm_testfake_options *options, size_t options_bytes,
                                        pgdbm_testfake **fake, pgdbm_error *err)
{
    pgdbm_testfake_options chosen = {0};
    if (fake == NULL)
        return pgdbm__fail_null(err, "pgdbm_testfake_start", "fake");
    *fake = NULL;
    if (options != NULL)
        memcpy(&chosen, options, options_bytes < sizeof chosen ? options_bytes : sizeof chosen);
    if ((unsigned)chosen.door > PGDBM_TESTFAKE_UNHEARD)
        return pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "pgdbm_testfake_start: there is no door %d", (int)chosen.door);
    pgdbm_testfake *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "starting a fake server");
    made->listener = made->stop = -1;
    made->bare = chosen.bare;
    made->door = chosen.door;
    pgdbm_status status = launch(made, &chosen, err);
    if (status == PGDBM_OK)
        *fake = made;
    else
        fake_free(made);
    return status;
}

/* ---- asking and stopping ---- */

const char *pgdbm_testfake_url(const pgdbm_testfake *fake)
{
    return fake != NULL ? fake->url : NULL;
}

int pgdbm_testfake_port(const pgdbm_testfake *fake)
{
    return fake != NULL ? fake->port : 0;
}

void pgdbm_testfake_proceed(pgdbm_testfake *fake)
{
    pgdbm_error failure = {0};
    if (fake == NULL)
        return;
    pthread_mutex_lock(&fake->lock);
    if (fake->door == PGDBM_TESTFAKE_OPEN)
        fake->permits++;
    else if (fake->door == PGDBM_TESTFAKE_SHUT && listen(fake->listener, BACKLOG) != 0)
        fail_system(&failure, "listen");
    fake->door = PGDBM_TESTFAKE_OPEN;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
    if (failure.status != PGDBM_OK)
        pgdbm__fake_fail(fake, &failure);
}

static size_t count(pgdbm_testfake *fake, const size_t *which)
{
    pthread_mutex_lock(&fake->lock);
    size_t number = *which;
    pthread_mutex_unlock(&fake->lock);
    return number;
}

size_t pgdbm_testfake_connections(pgdbm_testfake *fake)
{
    return fake != NULL ? count(fake, &fake->n_connections) : 0;
}

size_t pgdbm_testfake_cancels(pgdbm_testfake *fake)
{
    return fake != NULL ? count(fake, &fake->n_cancels) : 0;
}

/* With the lock. */
static const struct pgdbm__fake_connection *find(const pgdbm_testfake *fake, size_t number)
{
    const struct pgdbm__fake_connection *connection = fake->connections;
    while (connection != NULL && connection->number != number)
        connection = connection->next;
    return connection;
}

/* With the lock: whether the waiting has an end, and how it ended. */
static bool decided(const pgdbm_testfake *fake, size_t number, size_t steps, pgdbm_status *status, pgdbm_error *err)
{
    const struct pgdbm__fake_connection *connection = find(fake, number);
    *status = PGDBM_OK;
    if (connection != NULL && (connection->done >= steps || (connection->finished && steps == PGDBM_TESTFAKE_ALL &&
                                                             fake->failure.status == PGDBM_OK)))
        return true;
    if (fake->failure.status != PGDBM_OK) {
        *status = fake->failure.status;
        if (err != NULL)
            *err = fake->failure;
        return true;
    }
    if (connection == NULL || !connection->finished)
        return false;
    *status = pgdbm__fail(err, PGDBM_ERR_TESTDB, "fake server: connection %zu ended after %zu steps, and was to do %zu",
                          number, connection->done, steps);
    return true;
}

static pgdbm_status fail_late(const pgdbm_testfake *fake, size_t number, int timeout_ms, pgdbm_error *err)
{
    const struct pgdbm__fake_connection *connection = find(fake, number);
    if (connection == NULL)
        return pgdbm__fail(err, PGDBM_ERR_TIMEOUT, "fake server: waited %d ms for connection %zu; %zu came", timeout_ms,
                           number, fake->n_connections);
    return pgdbm__fail(err, PGDBM_ERR_TIMEOUT, "fake server: waited %d ms; connection %zu has done %zu steps",
                       timeout_ms, number, connection->done);
}

pgdbm_status pgdbm_testfake_await(pgdbm_testfake *fake, size_t connection, size_t steps, int timeout_ms,
                                  pgdbm_error *err)
{
    if (fake == NULL)
        return pgdbm__fail_null(err, "pgdbm_testfake_await", "fake");
    if (connection == 0)
        return pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "pgdbm_testfake_await: connections are counted from 1");
    struct timespec until;
    pgdbm_status status;
    int waited = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += timeout_ms % 1000 * PGDBM__MS;
    until.tv_sec += timeout_ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&fake->lock);
    while (!decided(fake, connection, steps, &status, err)) {
        if (waited == ETIMEDOUT) {
            status = fail_late(fake, connection, timeout_ms, err);
            break;
        }
        waited = timeout_ms < 0 ? pthread_cond_wait(&fake->changed, &fake->lock)
                                : pthread_cond_timedwait(&fake->changed, &fake->lock, &until);
    }
    pthread_mutex_unlock(&fake->lock);
    return status;
}

pgdbm_status pgdbm_testfake_stop(pgdbm_testfake *fake, pgdbm_error *err)
{
    const uint64_t one = 1;
    if (fake == NULL)
        return PGDBM_OK;
    pthread_mutex_lock(&fake->lock);
    fake->stopping = true;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
    if (write(fake->stop, &one, sizeof one) < 0)
        fail_system(&fake->failure, "stop"); /* cannot happen: the counter is at zero */
    pthread_join(fake->acceptor, NULL);
    join_those_over(fake, true);
    pgdbm_status status = fake->failure.status;
    if (status != PGDBM_OK && err != NULL)
        *err = fake->failure;
    fake_free(fake);
    return status;
}
