/* SPDX-License-Identifier: MIT */
/* Where throw-away databases are made: what the caller says, what the environment says, or the private server, whose
 * handle this file owns for the process. Any thread. */
#include "testkit/testdb.h"

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/error.h"

#include <ctype.h>
#include <libpq-fe.h>
#include <pgdbm/testkit.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libpq's keyword for each variable. */
static const struct {
    const char *variable, *keyword;
} parts[] = {{"TEST_DB_HOST", "host"},
             {"TEST_DB_PORT", "port"},
             {"TEST_DB_USER", "user"},
             {"TEST_DB_PASSWORD", "password"},
             {"TEST_DB_NAME", "dbname"}};
enum { N_PARTS = sizeof parts / sizeof *parts };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows; not held while a server is started */
static pgdbm_testserver *server;
static pid_t server_user; /* whose lease it is: not that of a child made by fork */
static bool listens;

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

/* Puts another handle, or none, in the place of the one that is there. */
static void replace_server(pgdbm_testserver *other)
{
    pthread_mutex_lock(&lock);
    pgdbm_testserver *old = server;
    server = other;
    server_user = getpid();
    pthread_mutex_unlock(&lock);
    pgdbm_testserver_stop(old);
}

static void leave_server(void)
{
    replace_server(NULL);
}

static void listen_once(void)
{
    pthread_mutex_lock(&lock);
    bool first = !listens;
    listens = true;
    pthread_mutex_unlock(&lock);
    if (!first)
        return;
    (void)pthread_atfork(before_fork, after_fork, after_fork);
    (void)atexit(leave_server);
}

/* Threads that come at the same moment all join the one server, and one of their handles is kept. */
static pgdbm_status find_private(char **url, pgdbm_error *err)
{
    *url = NULL;
    pthread_mutex_lock(&lock);
    bool known = server != NULL && server_user == getpid();
    if (known)
        *url = pgdbm__strdup(pgdbm_testserver_url(server));
    pthread_mutex_unlock(&lock);
    if (!known) {
        pgdbm_testserver *joined = NULL;
        pgdbm_status status = pgdbm_testserver_shared(NULL, &joined, err);
        if (status != PGDBM_OK)
            return status;
        *url = pgdbm__strdup(pgdbm_testserver_url(joined));
        listen_once();
        replace_server(joined);
    }
    return *url != NULL ? PGDBM_OK : pgdbm__fail_nomem(err, "finding the private server");
}

static void put_encoded(struct pgdbm__buffer *buffer, const char *text)
{
    for (; *text != '\0'; text++)
        if (isalnum((unsigned char)*text) || strchr("-_.~/,", *text) != NULL)
            pgdbm__buffer_append(buffer, text, 1);
        else
            pgdbm__buffer_format(buffer, "%%%02X", (unsigned char)*text);
}

/* A value that takes the place of what is set; "" leaves it out. */
struct replacement {
    const char *keyword, *value;
};

static const char *value_for(const PQconninfoOption *option, const struct replacement *instead)
{
    for (; instead != NULL && instead->keyword != NULL; instead++)
        if (strcmp(option->keyword, instead->keyword) == 0)
            return instead->value;
    return option->val != NULL ? option->val : "";
}

/* A connection string with everything that is set, but the database is `database`, and what stands in `instead` (which ends
 * with an empty one, or is NULL) is used instead. */
static pgdbm_status compose(const PQconninfoOption *options, const char *database, const struct replacement *instead,
                            char **url, pgdbm_error *err)
{
    struct pgdbm__buffer buffer = {0};
    pgdbm__buffer_text(&buffer, "postgresql:///");
    put_encoded(&buffer, database);
    char separator = '?';
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        const char *value = value_for(option, instead);
        /* An empty hostaddr is there to overrule PGHOSTADDR. */
        bool says_nothing = value[0] == '\0' && (option->val == NULL || strcmp(option->keyword, "hostaddr") != 0);
        if (says_nothing || strcmp(option->keyword, "dbname") == 0)
            continue;
        pgdbm__buffer_format(&buffer, "%c%s=", separator, option->keyword);
        put_encoded(&buffer, value);
        separator = '&';
    }
    *url = pgdbm__buffer_take(&buffer);
    pgdbm__buffer_free(&buffer);
    return *url != NULL ? PGDBM_OK : pgdbm__fail_nomem(err, "composing a connection string");
}

static const char *value_of(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++)
        if (strcmp(option->keyword, keyword) == 0)
            return option->val != NULL ? option->val : "";
    return "";
}

/* libpq's message may quote a part of the string, so it is not shown: that part may be a password. */
static pgdbm_status parse(const char *text, const char *source, PQconninfoOption **options, pgdbm_error *err)
{
    char *message = NULL;
    *options = PQconninfoParse(text, &message);
    PQfreemem(message);
    /* An @ of a password that is not written %40 makes libpq take what follows it for a host. */
    const char *host = *options != NULL ? value_of(*options, "host") : "";
    if (*options != NULL && (host[0] == '/' || host[0] == '@' || strchr(host, '@') == NULL))
        return PGDBM_OK;
    PQconninfoFree(*options);
    *options = NULL;
    pgdbm__fail(err, PGDBM_ERR_CONFIG, "%s is not a connection string", source);
    pgdbm__error_hint(err, "write postgresql://user:password@host:port/database, special characters as %%40, or "
                           "host=... dbname=...");
    return PGDBM_ERR_CONFIG;
}

static void put_quoted(struct pgdbm__buffer *buffer, const char *text)
{
    pgdbm__buffer_text(buffer, "'");
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            pgdbm__buffer_text(buffer, "\\");
        pgdbm__buffer_append(buffer, text, 1);
    }
    pgdbm__buffer_text(buffer, "' ");
}

/* "host='...' user='...'" from TEST_DB_*; `*text` is NULL when none of them is set. */
static pgdbm_status read_parts(char **text, pgdbm_error *err)
{
    struct pgdbm__buffer buffer = {0};
    *text = NULL;
    for (size_t i = 0; i < N_PARTS; i++) {
        const char *value = getenv(parts[i].variable);
        if (value == NULL || value[0] == '\0')
            continue;
        pgdbm__buffer_format(&buffer, "%s=", parts[i].keyword);
        put_quoted(&buffer, value);
    }
    if (buffer.length > 0 || buffer.failed)
        *text = pgdbm__buffer_take(&buffer);
    bool failed = buffer.failed;
    pgdbm__buffer_free(&buffer);
    return failed ? pgdbm__fail_nomem(err, "reading TEST_DB_*") : PGDBM_OK;
}

/* As libpq would: what the string does not say, the environment does. */
static const char *value_or_variable(const PQconninfoOption *options, const char *keyword, const char *variable)
{
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++)
        if (strcmp(option->keyword, keyword) == 0 && option->val != NULL)
            return option->val;
    const char *value = getenv(variable);
    return value != NULL ? value : "";
}

static pgdbm_status read_address(const char *text, const char *source, struct pgdbm__address *address, pgdbm_error *err)
{
    PQconninfoOption *options = NULL;
    pgdbm_status status = parse(text, source, &options, err);
    if (status != PGDBM_OK)
        return status;
    const char *database = value_of(options, "dbname");
    const char *host = value_or_variable(options, "host", "PGHOST");
    const char *number = value_or_variable(options, "hostaddr", "PGHOSTADDR");
    const char *user = value_or_variable(options, "user", "PGUSER");
    const char *service = value_or_variable(options, "service", "PGSERVICE");
    if (database[0] == '\0')
        database = "postgres";
    PGDBM__COPY_TEXT(address->host, host, strlen(host));
    PGDBM__COPY_TEXT(address->number, number, strlen(number));
    PGDBM__COPY_TEXT(address->database, database, strlen(database));
    PGDBM__COPY_TEXT(address->user, user, strlen(user));
    PGDBM__COPY_TEXT(address->service, service, strlen(service));
    status = compose(options, database, NULL, &address->url, err);
    PQconninfoFree(options);
    return status;
}

pgdbm_status pgdbm__address_find(const char *url, bool or_private, struct pgdbm__address *address, pgdbm_error *err)
{
    char *composed = NULL;
    const char *source = "server_url";
    *address = (struct pgdbm__address){0};
    if (url == NULL) {
        source = "TEST_DATABASE_URL";
        url = getenv(source);
        url = url != NULL && url[0] != '\0' ? url : NULL;
    }
    pgdbm_status status = PGDBM_OK;
    if (url == NULL) {
        source = "what TEST_DB_* say";
        status = read_parts(&composed, err);
        url = composed;
    }
    if (status == PGDBM_OK && url == NULL && !or_private) {
        status = pgdbm__fail(err, PGDBM_ERR_CONFIG, "no server is named");
        pgdbm__error_hint(err, "set TEST_DATABASE_URL or TEST_DB_HOST, or give a URL");
    } else if (status == PGDBM_OK && url == NULL) {
        address->is_private = true;
        status = find_private(&composed, err);
        url = composed;
    }
    if (status == PGDBM_OK)
        status = read_address(url, source, address, err);
    pgdbm__free(composed);
    return status;
}

void pgdbm__address_forget_private(void)
{
    replace_server(NULL);
}

void pgdbm__address_free(struct pgdbm__address *address)
{
    pgdbm__free(address->url);
    address->url = NULL;
}

pgdbm_status pgdbm__address_of_database(const struct pgdbm__address *address, const char *database, char **url,
                                        pgdbm_error *err)
{
    PQconninfoOption *options = NULL;
    *url = NULL;
    pgdbm_status status = parse(address->url, "the server's address", &options, err);
    if (status == PGDBM_OK)
        status = compose(options, database, NULL, url, err);
    PQconninfoFree(options);
    return status;
}

pgdbm_status pgdbm__address_endpoint(const char *url, struct pgdbm__endpoint *endpoint, pgdbm_error *err)
{
    PQconninfoOption *options = NULL;
    *endpoint = (struct pgdbm__endpoint){0};
    pgdbm_status status = parse(url, "server_url", &options, err);
    if (status != PGDBM_OK)
        return status;
    const char *host = value_or_variable(options, "host", "PGHOST");
    const char *address = value_or_variable(options, "hostaddr", "PGHOSTADDR");
    const char *port = value_or_variable(options, "port", "PGPORT");
    PGDBM__COPY_TEXT(endpoint->host, host, strlen(host));
    PGDBM__COPY_TEXT(endpoint->reach, address[0] != '\0' ? address : host, strlen(address[0] != '\0' ? address : host));
    PGDBM__COPY_TEXT(endpoint->port, port[0] != '\0' ? port : "5432", port[0] != '\0' ? strlen(port) : 4);
    if (endpoint->reach[0] == '\0' || strchr(endpoint->reach, ',') != NULL || strchr(endpoint->port, ',') != NULL) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "server_url names %s",
                    endpoint->reach[0] == '\0' ? "no host" : "several hosts");
        pgdbm__error_hint(err, "name one: postgresql://user@127.0.0.1:5432/database, or host=/directory/of/the/socket");
        status = PGDBM_ERR_CONFIG;
    }
    PQconninfoFree(options);
    return status;
}

pgdbm_status pgdbm__address_detour(const char *url, const struct pgdbm__endpoint *by, char **detour, pgdbm_error *err)
{
    PQconninfoOption *options = NULL;
    *detour = NULL;
    pgdbm_status status = parse(url, "server_url", &options, err);
    if (status != PGDBM_OK)
        return status;
    const struct replacement instead[] = {
        {"host", by->host}, {"hostaddr", by->reach}, {"port", by->port}, {NULL, NULL}};
    status = compose(options, value_of(options, "dbname"), instead, detour, err);
    PQconninfoFree(options);
    return status;
}
