/* SPDX-License-Identifier: MIT */
/* Taking connection strings apart and putting them together. No state. */
#include "address.h"

#include "output.h"

#include <libpq-fe.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* A part that is given beside the connection string. */
static const char *part_of(const pgdbm_config *config, const char *keyword, const char *port)
{
    return strcmp(keyword, "host") == 0          ? config->host
           : strcmp(keyword, "port") == 0        ? port
           : strcmp(keyword, "dbname") == 0      ? config->database
           : strcmp(keyword, "user") == 0        ? config->user
           : strcmp(keyword, "password") == 0    ? config->password
           : strcmp(keyword, "sslmode") == 0     ? config->ssl_mode
           : strcmp(keyword, "sslrootcert") == 0 ? config->ssl_ca_file
           : strcmp(keyword, "sslcert") == 0     ? config->ssl_cert_file
           : strcmp(keyword, "sslkey") == 0      ? config->ssl_key_file
                                                 : NULL;
}

static char **place_of(struct pgdbm__cli_address *address, const char *keyword)
{
    return strcmp(keyword, "host") == 0       ? &address->host
           : strcmp(keyword, "port") == 0     ? &address->port
           : strcmp(keyword, "dbname") == 0   ? &address->database
           : strcmp(keyword, "user") == 0     ? &address->user
           : strcmp(keyword, "password") == 0 ? &address->password
           : strcmp(keyword, "options") == 0  ? &address->options
                                              : NULL;
}

/* keyword='value', the value's quotes escaped (PostgreSQL documentation 34.1.1.1). */
static void write_pair(FILE *out, const char *keyword, const char *value)
{
    fprintf(out, "%s='", keyword);
    for (; *value != '\0'; value++) {
        if (*value == '\'' || *value == '\\')
            putc('\\', out);
        putc(*value, out);
    }
    fputs("' ", out);
}

char *pgdbm__cli_address_pair(const char *keyword, const char *value)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (out == NULL)
        return NULL;
    write_pair(out, keyword, value);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static const char *find(const PQconninfoOption *options, const char *keyword)
{
    for (; options != NULL && options->keyword != NULL; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options->val;
    return NULL;
}

/* What nobody but the server may see. */
static bool is_secret(const char *keyword)
{
    return strcmp(keyword, "password") == 0 || strcmp(keyword, "sslpassword") == 0 ||
           strcmp(keyword, "oauth_client_secret") == 0;
}

static bool collect(const pgdbm_config *config, const char *database, const PQconninfoOption *given,
                    const PQconninfoOption *defaults, struct pgdbm__cli_address *address)
{
    char port[16];
    size_t bytes = 0;
    size_t shown_bytes = 0;
    snprintf(port, sizeof port, "%d", config->port);
    FILE *out = open_memstream(&address->connection_string, &bytes);
    FILE *shown = open_memstream(&address->shown_string, &shown_bytes);
    bool fine = out != NULL && shown != NULL;
    for (const PQconninfoOption *option = given; fine && option->keyword != NULL; option++) {
        const char *value = strcmp(option->keyword, "dbname") == 0 && database != NULL ? database : option->val;
        char **place = place_of(address, option->keyword);
        if (value == NULL)
            value = part_of(config, option->keyword, config->port != 0 ? port : NULL);
        if (value != NULL)
            write_pair(out, option->keyword, value);
        if (value != NULL && !is_secret(option->keyword))
            write_pair(shown, option->keyword, value);
        if (value == NULL)
            value = find(defaults, option->keyword);
        if (place == NULL || value == NULL)
            continue;
        *place = strdup(value);
        fine = *place != NULL;
    }
    /* libpq's own default, which it applies last. */
    if (fine && address->database == NULL && address->user != NULL)
        fine = (address->database = strdup(address->user)) != NULL;
    if (out != NULL)
        fine = fclose(out) == 0 && fine;
    if (shown != NULL)
        fine = fclose(shown) == 0 && fine;
    return fine;
}

bool pgdbm__cli_address_read(const pgdbm_config *config, const char *database, struct pgdbm__cli_address *address)
{
    char *message = NULL;
    const char *string = config->connection_string != NULL ? config->connection_string : "";
    PQconninfoOption *given = PQconninfoParse(string, &message);
    PQconninfoOption *defaults = PQconndefaults();
    bool fine = given != NULL && defaults != NULL && collect(config, database, given, defaults, address);
    /* libpq's message may repeat the string, and with it a password. */
    if (message != NULL)
        pgdbm__cli_say_error("a URI postgresql://user@host:port/database, or key=value words",
                             "the connection string cannot be read");
    else if (!fine)
        pgdbm__cli_say_error(NULL, "out of memory");
    PQfreemem(message);
    PQconninfoFree(given);
    PQconninfoFree(defaults);
    return fine;
}

static bool names_host(const pgdbm_config *config)
{
    PQconninfoOption *given =
        config->connection_string != NULL ? PQconninfoParse(config->connection_string, NULL) : NULL;
    const char *host = config->host != NULL ? config->host : find(given, "host");
    bool named = host != NULL && host[0] != '\0';
    PQconninfoFree(given);
    return named;
}

void pgdbm__cli_address_stands(const pgdbm_config *config, bool named)
{
    if (config->connection_string != NULL || config->host != NULL || config->database != NULL)
        unsetenv("PGSERVICE");
    if (named && names_host(config))
        unsetenv("PGHOSTADDR");
}

/* Seconds; no number is said, and 0 is no limit. */
static int timeout_ms(const char *seconds)
{
    char *end = NULL;
    long read = seconds != NULL ? strtol(seconds, &end, 10) : 0;
    if (seconds == NULL || end == seconds || *end != '\0')
        return 0;
    return read <= 0 || read > INT_MAX / 1000 ? INT_MAX : (int)read * 1000;
}

int pgdbm__cli_address_timeout(const pgdbm_config *config)
{
    PQconninfoOption *given =
        config->connection_string != NULL ? PQconninfoParse(config->connection_string, NULL) : NULL;
    int said = timeout_ms(find(given, "connect_timeout"));
    PQconninfoFree(given);
    if (said == 0)
        said = config->connect_timeout_ms;
    return said != 0 ? said : timeout_ms(getenv("PGCONNECT_TIMEOUT"));
}

void pgdbm__cli_address_free(struct pgdbm__cli_address *address)
{
    free(address->host);
    free(address->port);
    free(address->database);
    free(address->user);
    free(address->password);
    free(address->options);
    free(address->connection_string);
    free(address->shown_string);
    *address = (struct pgdbm__cli_address){0};
}
