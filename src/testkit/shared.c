/* SPDX-License-Identifier: MIT */
/* The server that the processes of a user share: joining the one that runs, or starting it. No state in this process
 * but the handles; any thread may call. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "testkit/testkit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINGER_MS 5000
#define RETRY_MS 10
#define START_MS 30000

/* mmap: segments lie beside the data and go with it, even when postgres is killed and can remove none. Autovacuum would
 * sit in databases that somebody wants to copy or drop. */
static const char *const settings[] = {"max_connections = 400", "autovacuum = off"};

static pgdbm_status check_options(const pgdbm_testserver_options *options, pgdbm_error *err)
{
    const char *refused = options->directory != NULL ? "directory"
                          : options->n_settings > 0  ? "settings"
                          : options->detached        ? "detached"
                          : options->tls             ? "tls"
                          : options->durable         ? "durable"
                                                     : NULL;
    if (refused == NULL)
        return PGDBM_OK;
    pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "a shared server cannot be had with .%s: it is the same for all its users",
                refused);
    pgdbm__error_hint(err, "start one of your own with pgdbm_testserver_start");
    return PGDBM_ERR_ARGUMENT;
}

/* How long the server waits for its next user. The variable is for the test kit's own tests; users need none. */
static int linger_ms(void)
{
    const char *text = getenv("PGDBM_TEST_LINGER_MS");
    long chosen = text != NULL ? strtol(text, NULL, 10) : 0;
    return chosen > 0 && chosen <= 60000 ? (int)chosen : LINGER_MS;
}

static pgdbm_status start(pgdbm_testserver *server, struct pgdbm__place *place, int *lock, pgdbm_error *err)
{
    int alive;
    pgdbm_status status = pgdbm__place_clear(place, err);
    if (status != PGDBM_OK)
        return status;
    status = pgdbm__place_furnish(place, server->data, &alive, err);
    const struct pgdbm__keeper_plan keeper = {
        .lease = place->lease,
        .start = place->start,
        .folder = place->folder,
        .home = place->home,
        .base = place->remove_base ? place->base : NULL,
        .alive = alive,
        .linger_ms = linger_ms(),
    };
    memcpy(server->log, place->log, sizeof server->log);
    memcpy(server->socket_directory, place->sockets, sizeof server->socket_directory);
    server->options.settings = settings;
    server->options.n_settings = sizeof settings / sizeof *settings;
    if (status == PGDBM_OK)
        status = pgdbm__server_launch(server, &keeper, err);
    if (alive >= 0)
        close(alive); /* the keeper has it */
    if (status == PGDBM_OK) {
        close(server->supervisor.control);
        close(server->supervisor.status);
        server->supervisor.control = server->supervisor.status = -1;
    } else if (server->supervisor.control >= 0) {
        close(*lock); /* the keeper needs it to clean up */
        *lock = -1;
        pgdbm__server_dismiss(server);
    } else
        pgdbm__place_abandon(place);
    return status;
}

/* With the lock of starting, so that the keeper cannot leave in between. */
static pgdbm_status join(pgdbm_testserver *server, const struct pgdbm__place *place, pgdbm_error *err)
{
    int lease = open(place->lease, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (lease < 0 || flock(lease, LOCK_SH) != 0 || futimens(lease, NULL) != 0) {
        pgdbm_status status =
            pgdbm__fail(err, PGDBM_ERR_TESTDB, "cannot lock %.300s: %s", place->lease, strerror(errno));
        if (lease >= 0)
            close(lease);
        return status;
    }
    server->lease = lease;
    memcpy(server->directory, place->folder, sizeof server->directory);
    memcpy(server->log, place->log, sizeof server->log);
    memcpy(server->socket_directory, place->sockets, sizeof server->socket_directory);
    pgdbm__compose_url(server->socket_directory, 5432, server->url, sizeof server->url);
    return PGDBM_OK;
}

static pgdbm_status fail_waiting(const struct pgdbm__place *place, const char *what, pgdbm_error *err)
{
    pgdbm__fail(err, PGDBM_ERR_TESTDB, "the shared server was not there in time: %s", what);
    pgdbm__error_detail(err, "its files lie in %.300s", place->folder);
    pgdbm__error_hint(err, "`fuser %.200s` shows the process; when it is ended, the next call starts a new server",
                      place->start);
    return PGDBM_ERR_TESTDB;
}

/* Takes the lock, sees what is there, and joins or starts; again as long as other processes are at it. */
static pgdbm_status join_or_start(pgdbm_testserver *server, struct pgdbm__place *place, pgdbm_error *err)
{
    int64_t deadline =
        pgdbm__deadline(server->options.start_timeout_ms > 0 ? server->options.start_timeout_ms : START_MS);
    for (;; poll(NULL, 0, RETRY_MS)) {
        int lock = -1;
        struct pgdbm__postmaster postmaster;
        enum pgdbm__place_state state = PGDBM__PLACE_BUSY;
        pgdbm_status status = pgdbm__place_lock(place, &lock, err);
        if (status != PGDBM_OK)
            return status;
        if (lock >= 0)
            state = pgdbm__place_look(place, &postmaster, server->data);
        if (state == PGDBM__PLACE_EMPTY)
            status = start(server, place, &lock, err);
        else if (state == PGDBM__PLACE_RUNNING)
            server->pid = postmaster.pid;
        if (status == PGDBM_OK && state != PGDBM__PLACE_BUSY)
            status = join(server, place, err);
        bool locked = lock >= 0;
        if (locked)
            close(lock);
        if (status != PGDBM_OK || state != PGDBM__PLACE_BUSY)
            return status;
        if (pgdbm__now_ns() > deadline)
            return fail_waiting(place, locked ? "its keeper starts or ends it" : "another process is starting it", err);
    }
}

pgdbm_status pgdbm_testserver_shared_sized(const pgdbm_testserver_options *options, size_t options_bytes,
                                           pgdbm_testserver **server, pgdbm_error *err)
{
    struct pgdbm__place place;
    pgdbm_status status = pgdbm__server_make(options, options_bytes, "pgdbm_testserver_shared", server, err);
    if (status != PGDBM_OK)
        return status;
    pgdbm_testserver *made = *server;
    *server = NULL;
    status = check_options(&made->options, err);
    if (status == PGDBM_OK)
        status = pgdbm__place_find(made->binaries, &made->identity, &place, err);
    if (status == PGDBM_OK)
        status = join_or_start(made, &place, err);
    if (status == PGDBM_OK)
        *server = made;
    else
        pgdbm__free(made);
    return status;
}
