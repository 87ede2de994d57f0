/* SPDX-License-Identifier: MIT */
/* Where a proxy listens, and where its server is. The sockets belong to the proxy's thread, before its start and after its
 * end to whoever starts and stops it. */
#include "base/alloc.h"
#include "base/error.h"
#include "testkit/proxy.h"
#include "testkit/testkit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOCKET_NAME "/.s.PGSQL."
#define UNIX_PORT "5432"
#define BACKLOG 128

static pgdbm_status fail_errno(pgdbm_error *err, const char *what)
{
    return pgdbm__fail(err, PGDBM_ERR_TESTDB, "the proxy cannot %s: %s", what, strerror(errno));
}

/* ---- the server ---- */

static pgdbm_status find_unix(pgdbm_testproxy *proxy, const struct pgdbm__endpoint *server, pgdbm_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length =
        snprintf(address.sun_path, sizeof address.sun_path, "%s" SOCKET_NAME "%s", server->reach, server->port);
    if (length < 0 || (size_t)length >= sizeof address.sun_path)
        return pgdbm__fail(err, PGDBM_ERR_CONFIG, "the path of the server's socket is too long: %s", server->reach);
    memcpy(&proxy->targets[0].address, &address, sizeof address);
    proxy->targets[0].bytes = sizeof address;
    proxy->n_targets = 1;
    return PGDBM_OK;
}

static pgdbm_status find_server(pgdbm_testproxy *proxy, const struct pgdbm__endpoint *server, pgdbm_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (server->reach[0] == '/')
        return find_unix(proxy, server, err);
    int failure = getaddrinfo(server->reach, server->port, &hints, &found);
    if (failure != 0) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "the proxy finds no server at host %s, port %s: %s", server->reach,
                    server->port, gai_strerror(failure));
        pgdbm__error_hint(err, "look at server_url; a socket's directory begins with a slash");
        return PGDBM_ERR_CONFIG;
    }
    for (struct addrinfo *each = found; each != NULL && proxy->n_targets < PGDBM__PROXY_TARGETS; each = each->ai_next)
        if (each->ai_addrlen <= sizeof proxy->targets[0].address) {
            struct pgdbm__proxy_target *target = &proxy->targets[proxy->n_targets++];
            memcpy(&target->address, each->ai_addr, each->ai_addrlen);
            target->bytes = each->ai_addrlen;
        }
    freeaddrinfo(found);
    return PGDBM_OK;
}

/* ---- the listening socket ---- */

static int bound_socket(const pgdbm_testproxy *proxy)
{
    const int yes = 1;
    int file = socket(proxy->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (file >= 0 && !proxy->is_unix)
        setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (file >= 0 && bind(file, (const struct sockaddr *)&proxy->address, proxy->address_bytes) != 0) {
        int failure = errno;
        close(file);
        errno = failure;
        file = -1;
    }
    return file;
}

int pgdbm__proxy_listen(pgdbm_testproxy *proxy)
{
    if (proxy->is_unix)
        unlink(((struct sockaddr_un *)&proxy->address)->sun_path); /* ours: nobody else may write there */
    int file = bound_socket(proxy);
    if (file >= 0 && listen(file, BACKLOG) == 0) {
        proxy->listener = file;
        return 0;
    }
    int failure = errno;
    if (file >= 0)
        close(file);
    return failure;
}

void pgdbm__proxy_deafen(pgdbm_testproxy *proxy)
{
    if (proxy->listener >= 0)
        close(proxy->listener);
    proxy->listener = -1;
}

static pgdbm_status choose_port(pgdbm_testproxy *proxy, pgdbm_error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    memcpy(&proxy->address, &address, sizeof address);
    proxy->address_bytes = sizeof address;
    proxy->keeper = bound_socket(proxy);
    if (proxy->keeper < 0 || getsockname(proxy->keeper, (struct sockaddr *)&proxy->address, &proxy->address_bytes) != 0)
        return fail_errno(err, "have a port on 127.0.0.1");
    return PGDBM_OK;
}

static pgdbm_status choose_path(pgdbm_testproxy *proxy, pgdbm_error *err)
{
    static const struct pgdbm__identity self = {0};
    char base[PGDBM__PATH_BYTES];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pgdbm_status status = pgdbm__place_chosen(&self, base, err);
    if (status != PGDBM_OK)
        return status;
    const char *temporary = base[0] != '\0' ? base : getenv("TMPDIR");
    if (temporary == NULL || temporary[0] != '/' || strlen(temporary) > PGDBM__SOCKET_DIRECTORY_LIMIT - 20)
        temporary = "/tmp";
    snprintf(proxy->directory, sizeof proxy->directory, "%.80s/pgdbm-proxy-XXXXXX", temporary);
    if (mkdtemp(proxy->directory) == NULL) {
        proxy->directory[0] = '\0';
        return fail_errno(err, "make a directory for its socket");
    }
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s" SOCKET_NAME UNIX_PORT, proxy->directory);
    if (length < 0 || (size_t)length >= sizeof address.sun_path)
        return pgdbm__fail(err, PGDBM_ERR_TESTDB, "the path of the proxy's socket is too long: %s", proxy->directory);
    memcpy(&proxy->address, &address, sizeof address);
    proxy->address_bytes = sizeof address;
    return PGDBM_OK;
}

/* A host that has a name keeps it, because certificates are looked at by it; only the address is another one. */
static pgdbm_status compose_url(pgdbm_testproxy *proxy, const char *server_url, const struct pgdbm__endpoint *server,
                                pgdbm_error *err)
{
    struct pgdbm__endpoint by = {.host = "127.0.0.1", .port = UNIX_PORT};
    if (proxy->is_unix)
        PGDBM__COPY_TEXT(by.host, proxy->directory, strlen(proxy->directory));
    else
        snprintf(by.port, sizeof by.port, "%d", ntohs(((struct sockaddr_in *)&proxy->address)->sin_port));
    if (!proxy->is_unix && server->host[0] != '/' && server->host[0] != '\0') {
        memcpy(by.host, server->host, sizeof by.host);
        memcpy(by.reach, "127.0.0.1", sizeof "127.0.0.1");
    }
    return pgdbm__address_detour(server_url, &by, &proxy->url, err);
}

pgdbm_status pgdbm__proxy_settle(pgdbm_testproxy *proxy, const pgdbm_testproxy_options *options, pgdbm_error *err)
{
    struct pgdbm__endpoint server;
    struct pgdbm__address environment = {0};
    const char *url = options->server_url;
    pgdbm_status status = PGDBM_OK;
    proxy->is_unix = options->unix_socket;
    if (url == NULL) {
        status = pgdbm__address_find(NULL, true, &environment, err);
        url = environment.url;
    }
    if (status == PGDBM_OK)
        status = pgdbm__address_endpoint(url, &server, err);
    if (status == PGDBM_OK)
        status = find_server(proxy, &server, err);
    if (status == PGDBM_OK)
        status = proxy->is_unix ? choose_path(proxy, err) : choose_port(proxy, err);
    if (status == PGDBM_OK && (errno = pgdbm__proxy_listen(proxy)) != 0)
        status = fail_errno(err, "listen");
    if (status == PGDBM_OK)
        status = compose_url(proxy, url, &server, err);
    pgdbm__address_free(&environment);
    return status;
}

void pgdbm__proxy_clear(pgdbm_testproxy *proxy, bool remove)
{
    pgdbm__proxy_deafen(proxy);
    if (proxy->keeper >= 0)
        close(proxy->keeper);
    proxy->keeper = -1;
    if (proxy->directory[0] == '\0' || !remove)
        return;
    unlink(((struct sockaddr_un *)&proxy->address)->sun_path);
    rmdir(proxy->directory);
}
