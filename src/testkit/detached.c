/* SPDX-License-Identifier: MIT */
/* What postmaster.pid tells (PostgreSQL documentation, "Database File Layout"), and servers that outlive their starter.
 * No state. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "testkit/testkit.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool pgdbm__data_path(const char *directory, char data[PGDBM__PATH_BYTES])
{
    char absolute[PATH_MAX];
    if (realpath(directory, absolute) == NULL)
        return false;
    int length = snprintf(data, PGDBM__PATH_BYTES, "%s/data", absolute);
    return length > 0 && length < PGDBM__PATH_BYTES;
}

bool pgdbm__postmaster_read(const char *data, struct pgdbm__postmaster *postmaster)
{
    char path[PGDBM__PATH_BYTES + 32];
    char line[PGDBM__PATH_BYTES];
    snprintf(path, sizeof path, "%s/postmaster.pid", data);
    FILE *file = fopen(path, "re");
    *postmaster = (struct pgdbm__postmaster){0};
    int number = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        switch (++number) {
        case 1:
            postmaster->pid = (pid_t)strtol(line, NULL, 10);
            break;
        case 4:
            postmaster->port = (int)strtol(line, NULL, 10);
            break;
        case 5:
            memcpy(postmaster->socket_directory, line, sizeof line);
            break;
        case 8:
            postmaster->ready = strncmp(line, "ready", 5) == 0;
            break;
        default:
            break;
        }
    }
    if (file != NULL)
        fclose(file);
    return postmaster->pid > 0;
}

bool pgdbm__postmaster_runs(const char *data, const struct pgdbm__postmaster *postmaster)
{
    char link[64];
    char directory[PATH_MAX];
    if (kill(postmaster->pid, 0) != 0 && errno != EPERM)
        return false;
    snprintf(link, sizeof link, "/proc/%d/cwd", (int)postmaster->pid);
    ssize_t length = readlink(link, directory, sizeof directory - 1);
    if (length <= 0) /* gone in between; or there is no /proc, and its number is all that is known */
        return errno != ENOENT || access("/proc/self", F_OK) != 0;
    directory[length] = '\0';
    return strcmp(directory, data) == 0;
}

void pgdbm__compose_url(const char *socket_directory, int port, char *url, size_t bytes)
{
    char encoded[3 * PGDBM__PATH_BYTES];
    size_t used = 0;
    for (const char *at = socket_directory; *at != '\0' && used + 4 < sizeof encoded; at++) {
        if (isalnum((unsigned char)*at) || strchr("/-_.", *at) != NULL)
            encoded[used++] = *at;
        else
            used += (size_t)snprintf(encoded + used, 4, "%%%02X", (unsigned char)*at);
    }
    encoded[used] = '\0';
    /* PGHOSTADDR would lead elsewhere: libpq prefers it to the host of a connection string. */
    snprintf(url, bytes, "postgresql://postgres@/postgres?host=%s&port=%d%s", encoded, port,
             getenv("PGHOSTADDR") != NULL ? "&hostaddr=" : "");
}

pgdbm_status pgdbm_testserver_find(const char *directory, char **url, pgdbm_error *err)
{
    if (directory == NULL || url == NULL)
        return pgdbm__fail_null(err, "pgdbm_testserver_find", directory == NULL ? "directory" : "url");
    *url = NULL;
    char data[PGDBM__PATH_BYTES];
    char text[4 * PGDBM__PATH_BYTES];
    struct pgdbm__postmaster postmaster;
    if (!pgdbm__data_path(directory, data) || !pgdbm__postmaster_read(data, &postmaster) || !postmaster.ready ||
        !pgdbm__postmaster_runs(data, &postmaster))
        return PGDBM_OK;
    pgdbm__compose_url(postmaster.socket_directory, postmaster.port, text, sizeof text);
    *url = pgdbm__strdup(text);
    return *url != NULL ? PGDBM_OK : pgdbm__fail_nomem(err, "describing a server");
}

/* Sockets lie in a temporary directory where the server's own cannot hold them; the server has removed them. */
static void remove_socket_directory(const char *data, const char *sockets)
{
    const char *name = strrchr(sockets, '/');
    size_t bytes = strlen(sockets);
    bool own = strncmp(data, sockets, bytes) == 0 && data[bytes] == '/';
    if (!own && name != NULL && strncmp(name, "/pgdbm-", strlen("/pgdbm-")) == 0)
        rmdir(sockets);
}

pgdbm_status pgdbm_testserver_stop_directory(const char *directory, pgdbm_error *err)
{
    if (directory == NULL)
        return pgdbm__fail_null(err, "pgdbm_testserver_stop_directory", "directory");
    char data[PGDBM__PATH_BYTES];
    struct pgdbm__postmaster postmaster;
    if (!pgdbm__data_path(directory, data) || !pgdbm__postmaster_read(data, &postmaster) ||
        !pgdbm__postmaster_runs(data, &postmaster))
        return PGDBM_OK;
    if (kill(postmaster.pid, SIGINT) != 0)
        return pgdbm__fail(err, PGDBM_ERR_TESTDB, "cannot stop the server (process %d): %s", (int)postmaster.pid,
                           strerror(errno));
    int64_t deadline = pgdbm__deadline(20000);
    while (pgdbm__postmaster_runs(data, &postmaster)) {
        if (pgdbm__now_ns() > deadline)
            return pgdbm__fail(err, PGDBM_ERR_TESTDB, "the server (process %d) did not stop within 20 s",
                               (int)postmaster.pid);
        poll(NULL, 0, 20);
        if (pgdbm__now_ns() > deadline - 10000 * PGDBM__MS)
            kill(postmaster.pid, SIGQUIT);
    }
    remove_socket_directory(data, postmaster.socket_directory);
    return PGDBM_OK;
}
