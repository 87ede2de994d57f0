/* SPDX-License-Identifier: MIT */
/* Building libpq's parameters. The connection string comes first (as dbname, which libpq expands); what follows wins
 * over it, so only what the string leaves out, or what must be our way, follows. */
#include "config/conninfo.h"

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/error.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct pgdbm__conninfo *conninfo, const char *keyword, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    conninfo->keywords[conninfo->count] = keyword;
    conninfo->values[conninfo->count++] = value;
}

/* A value made here. False when memory is short. */
static bool add_owned(struct pgdbm__conninfo *conninfo, const char *keyword, char *value)
{
    if (value == NULL)
        return false;
    conninfo->owned[conninfo->n_owned++] = value;
    add(conninfo, keyword, value);
    return true;
}

static bool add_number(struct pgdbm__conninfo *conninfo, const char *keyword, long long value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", value);
    return add_owned(conninfo, keyword, pgdbm__strdup(text));
}

static const char *given(const PQconninfoOption *parsed, const char *keyword)
{
    for (const PQconninfoOption *option = parsed; option != NULL && option->keyword != NULL; option++)
        if (strcmp(option->keyword, keyword) == 0)
            return option->val;
    return NULL;
}

/* -c name=value, with the escapes of the `options` parameter. */
static void add_setting(struct pgdbm__buffer *options, const char *name, const char *value)
{
    pgdbm__buffer_text(options, options->length > 0 ? " -c " : "-c ");
    pgdbm__buffer_text(options, name);
    pgdbm__buffer_text(options, "=");
    for (; *value != '\0'; value++) {
        if (*value == ' ' || *value == '\\' || *value == '\t' || *value == '\n')
            pgdbm__buffer_text(options, "\\");
        pgdbm__buffer_append(options, value, 1);
    }
}

static void add_timeout(struct pgdbm__buffer *options, const char *name, int value)
{
    char text[16];
    snprintf(text, sizeof text, "%d", value < 0 ? 0 : value);
    add_setting(options, name, text);
}

static char *make_options(const pgdbm_config *values, const char *from_string)
{
    struct pgdbm__buffer options = {0};
    if (from_string != NULL)
        pgdbm__buffer_text(&options, from_string);
    add_timeout(&options, "statement_timeout", values->statement_timeout_ms);
    add_timeout(&options, "lock_timeout", values->lock_timeout_ms);
    add_timeout(&options, "idle_in_transaction_session_timeout", values->idle_in_transaction_session_timeout_ms);
    add_setting(&options, "jit", values->jit ? "on" : "off");
    if (values->strict_isolation)
        add_setting(&options, "search_path", "pg_catalog");
    for (size_t i = 0; i < values->n_server_settings; i++)
        add_setting(&options, values->server_settings[i].name, values->server_settings[i].value);
    char *text = pgdbm__buffer_take(&options);
    pgdbm__buffer_free(&options);
    return text;
}

/* A part beside a connection string that names it too: which one was meant? */
static pgdbm_status check_part(const PQconninfoOption *parsed, const char *keyword, bool set, const char *field,
                               pgdbm_error *err)
{
    if (!set || given(parsed, keyword) == NULL)
        return PGDBM_OK;
    pgdbm__fail(err, PGDBM_ERR_CONFIG, "the connection string names %s, and the configuration's field %s does so too",
                keyword, field);
    pgdbm__error_hint(err, "give it in one place");
    return PGDBM_ERR_CONFIG;
}

/* A port for each host, separated by commas; one may be left out. libpq would find out at the first attempt to connect,
 * and that is tried again. */
static bool are_ports(const char *text)
{
    for (;; text++) {
        char *end = NULL;
        long port = *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : 1;
        text = end != NULL ? end : text;
        if (port < 1 || port > 65535 || (*text != ',' && *text != '\0'))
            return false;
        if (*text == '\0')
            return true;
    }
}

/* An @ or / that a password has and a URI must not have as it is ends the password early: libpq takes the rest for a host, a port
 * or a database, all of which errors show. Names of hosts have no @, but for sockets without a file and in odd directories. */
static bool splits_a_password(const char *string, const PQconninfoOption *parsed)
{
    const char *hosts = given(parsed, "host");
    const char *uri = strncmp(string, "postgres", 8) == 0 ? strstr(string, "://") : NULL;
    for (const char *host = hosts; host != NULL && *host != '\0'; host += *host == ',') {
        size_t bytes = strcspn(host, ",");
        if (*host != '/' && *host != '@' && memchr(host, '@', bytes) != NULL)
            return true;
        host += bytes;
    }
    if (uri == NULL)
        return false;
    size_t authority = strcspn(uri + 3, "/?");
    const char *path = uri + 3 + authority;
    return memchr(uri + 3, '@', authority) == NULL && memchr(path, '@', strcspn(path, "?")) != NULL;
}

static pgdbm_status check_string(const char *string, const PQconninfoOption *parsed, pgdbm_error *err)
{
    const char *ports = given(parsed, "port");
    if (string != NULL && splits_a_password(string, parsed)) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "the connection string has an @ where none can be");
        pgdbm__error_hint(err,
                          "in a URI the @ of a password, a user or a database is written %%40, a / %%2F, a %% %%25");
        return PGDBM_ERR_CONFIG;
    }
    /* Not repeated, for the same reason. */
    if (ports != NULL && !are_ports(ports)) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "the connection string's port is no port");
        pgdbm__error_hint(err,
                          "give a number from 1 to 65535 (one for each host, separated by commas); in a URI the / of a "
                          "password is written %%2F");
        return PGDBM_ERR_CONFIG;
    }
    return PGDBM_OK;
}

static pgdbm_status check(const pgdbm_config *values, const PQconninfoOption *parsed, pgdbm_error *err)
{
    if (check_string(values->connection_string, parsed, err) != PGDBM_OK)
        return PGDBM_ERR_CONFIG;
    const char *gss = given(parsed, "gssencmode");
    if (gss != NULL && strcmp(gss, "require") == 0) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "gssencmode=require: GSS encryption is not supported");
        pgdbm__error_hint(err, "use TLS (ssl_mode); GSS authentication works");
        return PGDBM_ERR_CONFIG;
    }
    const struct {
        const char *keyword;
        bool set;
        const char *field;
    } parts[] = {
        {"host", values->host != NULL, "host"},
        {"port", values->port != 0, "port"},
        {"dbname", values->database != NULL, "database"},
        {"user", values->user != NULL, "user"},
        {"password", values->password != NULL, "password"},
        {"application_name", values->application_name != NULL, "application_name"},
        {"sslmode", values->ssl_mode != NULL, "ssl_mode"},
        {"sslrootcert", values->ssl_ca_file != NULL, "ssl_ca_file"},
        {"sslcert", values->ssl_cert_file != NULL, "ssl_cert_file"},
        {"sslkey", values->ssl_key_file != NULL, "ssl_key_file"},
        {"sslpassword", values->ssl_key_password != NULL, "ssl_key_password"},
    };
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < sizeof parts / sizeof *parts; i++)
        status = check_part(parsed, parts[i].keyword, parts[i].set, parts[i].field, err);
    return status;
}

static const char *or_else(const char *a, const char *b, const char *c)
{
    return a != NULL && a[0] != '\0' ? a : b != NULL && b[0] != '\0' ? b : c;
}

static void describe(struct pgdbm__conninfo *conninfo, const pgdbm_config *values, const PQconninfoOption *parsed)
{
    char port[16] = "";
    if (values->port != 0)
        snprintf(port, sizeof port, "%d", values->port);
    const char *user = or_else(values->user, given(parsed, "user"), getenv("PGUSER"));
    const char *database = or_else(values->database, given(parsed, "dbname"), getenv("PGDATABASE"));
    snprintf(conninfo->description, sizeof conninfo->description, "host=%.100s port=%.10s dbname=%.60s user=%.60s",
             or_else(values->host, given(parsed, "host"), or_else(getenv("PGHOST"), NULL, "(local socket)")),
             or_else(port, given(parsed, "port"), or_else(getenv("PGPORT"), NULL, "5432")),
             or_else(database, user, "(default)"), or_else(user, NULL, "(default)"));
}

static bool fill(struct pgdbm__conninfo *conninfo, const pgdbm_config *values, const PQconninfoOption *parsed)
{
    add(conninfo, "dbname", values->connection_string);
    add(conninfo, "host", values->host);
    add(conninfo, "user", values->user);
    add(conninfo, "dbname", values->database);
    const char *password = values->password;
    if (password == NULL && given(parsed, "password") == NULL)
        password = getenv("DB_PASSWORD");
    add(conninfo, "password", password);
    if (given(parsed, "application_name") == NULL)
        add(conninfo, "application_name", or_else(values->application_name, getenv("PGAPPNAME"), "pgdbm"));
    add(conninfo, "sslmode", values->ssl_mode);
    add(conninfo, "sslrootcert", values->ssl_ca_file);
    add(conninfo, "sslcert", values->ssl_cert_file);
    add(conninfo, "sslkey", values->ssl_key_file);
    add(conninfo, "sslpassword", values->ssl_key_password);
    add(conninfo, "gssencmode", "disable");
    add(conninfo, "client_encoding", "UTF8");
    bool enough = values->port == 0 || add_number(conninfo, "port", values->port);
    enough = enough && add_number(conninfo, "connect_timeout", ((long long)values->connect_timeout_ms + 999) / 1000);
    if (values->keepalive_ms > 0)
        enough = enough && add_number(conninfo, "keepalives_idle", values->keepalive_ms / 1000);
    else
        add(conninfo, "keepalives", "0");
    return enough && add_owned(conninfo, "options", make_options(values, given(parsed, "options")));
}

pgdbm_status pgdbm__conninfo_build(const struct pgdbm__config *config, struct pgdbm__conninfo *conninfo,
                                   pgdbm_error *err)
{
    *conninfo = (struct pgdbm__conninfo){0};
    const pgdbm_config *values = &config->values;
    PQconninfoOption *parsed = NULL;
    char *reason = NULL;
    pgdbm_status status = PGDBM_OK;
    if (values->connection_string != NULL) {
        parsed = PQconninfoParse(values->connection_string, &reason);
        if (parsed == NULL) {
            /* libpq's reason may quote a piece of the string, and a piece may be the password: only its kind is told.
             */
            pgdbm__fail(err, PGDBM_ERR_CONFIG, "the connection string is malformed");
            pgdbm__error_hint(
                err, "write postgresql://user@host:port/database or \"host=... port=... dbname=... user=...\"; special "
                     "characters of a URI are percent-encoded");
            status = PGDBM_ERR_CONFIG;
        }
    }
    if (status == PGDBM_OK)
        status = check(values, parsed, err);
    if (status == PGDBM_OK) {
        describe(conninfo, values, parsed);
        if (!fill(conninfo, values, parsed))
            status = pgdbm__fail_nomem(err, "preparing to connect");
    }
    PQfreemem(reason);
    PQconninfoFree(parsed);
    return status;
}

void pgdbm__conninfo_free(struct pgdbm__conninfo *conninfo)
{
    for (size_t i = 0; i < conninfo->n_owned; i++)
        pgdbm__free(conninfo->owned[i]);
    *conninfo = (struct pgdbm__conninfo){0};
}

const char *pgdbm__conninfo_describe(const struct pgdbm__conninfo *conninfo)
{
    return conninfo->description;
}
