/* SPDX-License-Identifier: MIT */
/* What looks like production: there nothing is made and nothing dropped, unless somebody insists. The rules err on the side
 * of refusing, and their messages say how to insist. No state, any thread. */
#include "testkit/testdb.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <pgdbm/memory.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const production_words[] = {"prod", "production", "prd", "live", NULL};
static const char *const production_ends[] = {"prod", "production", NULL}; /* "shopprod", but not "products" */
static const char *const test_words[] = {"test",    "tests", "testing", "ci",      "dev", "devel", "development",
                                         "staging", "stage", "qa",      "sandbox", "tmp", NULL};
static const char *const local_ends[] = {".localhost", ".local", ".internal", ".test", ".lan", ".home.arpa", NULL};

static bool ends_with(const char *text, size_t length, const char *end)
{
    size_t bytes = strlen(end);
    return length >= bytes && strncasecmp(text + length - bytes, end, bytes) == 0;
}

/* Words are what is between other characters than letters and digits, without digits at the end: "prod", "prod2". */
static bool has_word(const char *text, const char *const *words, const char *const *ends)
{
    while (*text != '\0') {
        size_t length = 0;
        while (isalnum((unsigned char)text[length]))
            length++;
        size_t bare = length;
        while (bare > 0 && isdigit((unsigned char)text[bare - 1]))
            bare--;
        for (const char *const *word = words; *word != NULL; word++)
            if (bare == strlen(*word) && ends_with(text, bare, *word))
                return true;
        for (const char *const *end = ends; end != NULL && *end != NULL; end++)
            if (ends_with(text, bare, *end))
                return true;
        text += length + (text[length] != '\0');
    }
    return false;
}

static bool names_production(const char *text)
{
    return has_word(text, production_words, production_ends);
}

static bool is_private_number(const char *host)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, host, &four) == 1) {
        uint32_t number = ntohl(four.s_addr);
        return number >> 24 == 127 || number >> 24 == 10 || number >> 20 == 0xac1 || number >> 16 == 0xc0a8;
    }
    if (inet_pton(AF_INET6, host, &six) == 1)
        return IN6_IS_ADDR_LOOPBACK(&six) || IN6_IS_ADDR_LINKLOCAL(&six) || (six.s6_addr[0] & 0xfe) == 0xfc;
    return false;
}

/* A name without a dot is one of this machine, of a container, or of the local network. */
static bool is_near(const char *host)
{
    if (host[0] == '\0' || host[0] == '/' || host[0] == '@' || is_private_number(host))
        return true;
    for (const char *const *end = local_ends; *end != NULL; end++)
        if (ends_with(host, strlen(host), *end))
            return true;
    return strchr(host, '.') == NULL && strchr(host, ':') == NULL;
}

static bool is_far(const char *host)
{
    return !is_near(host);
}

static bool is_called_production(const char *host)
{
    return host[0] != '/' && names_production(host); /* a folder on this machine may be called anything */
}

/* The first of several hosts (libpq takes them separated by commas) that is so; false when none is. */
static bool find_host(const char *hosts, bool (*is_so)(const char *host), char *host, size_t bytes)
{
    while (*hosts != '\0') {
        size_t length = strcspn(hosts, ",");
        snprintf(host, bytes, "%.*s", (int)length, hosts);
        if (is_so(host))
            return true;
        hosts += length + (hosts[length] == ',');
    }
    return false;
}

static bool is_told(bool told)
{
    const char *text = getenv("PGDBM_TEST_EVEN_IF_PRODUCTION");
    return told || (text != NULL && (strcasecmp(text, "yes") == 0 || strcmp(text, "1") == 0));
}

static pgdbm_status refuse(pgdbm_error *err, const char *why, const char *what)
{
    pgdbm__fail(err, PGDBM_ERR_CONFIG, "this server looks like production: %s%s", why, what);
    pgdbm__error_hint(err, "tests make and drop databases: point them to another server. If this is the right one, set "
                           ".even_if_production, or PGDBM_TEST_EVEN_IF_PRODUCTION=yes in the environment");
    return PGDBM_ERR_CONFIG;
}

pgdbm_status pgdbm__production_refuse_address(const struct pgdbm__address *address, bool told, pgdbm_error *err)
{
    static const char *const variables[] = {"PGDBM_ENV", "APP_ENV", "ENVIRONMENT"};
    char host[sizeof address->host];
    if (address->is_private || is_told(told))
        return PGDBM_OK;
    if (find_host(address->host, is_called_production, host, sizeof host))
        return refuse(err, "its host is ", host);
    if (names_production(address->service))
        return refuse(err, "its service is ", address->service);
    if (names_production(address->database))
        return refuse(err, "its database is ", address->database);
    if (names_production(address->user))
        return refuse(err, "the user is ", address->user);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *value = getenv(variables[i]);
        if (value != NULL && names_production(value))
            return refuse(err, "production is what the environment says in ", variables[i]);
    }
    const char *where = address->number[0] != '\0' ? address->number : address->host;
    if (find_host(where, is_far, host, sizeof host) && !has_word(address->database, test_words, NULL)) {
        char what[512];
        snprintf(what, sizeof what,
                 "%s is not in a private network, and nothing in the name of the database %s says that "
                 "it is for tests",
                 host, address->database);
        return refuse(err, what, "");
    }
    return PGDBM_OK;
}

pgdbm_status pgdbm__production_refuse_server(struct pgdbm__admin *admin, bool told, pgdbm_error *err)
{
    char *why = NULL;
    if (is_told(told))
        return PGDBM_OK;
    pgdbm_status status = pgdbm_fetch_value_text(
        admin->session,
        "SELECT CASE WHEN pg_is_in_recovery() THEN 'it is a standby'"
        " WHEN current_setting('archive_mode') <> 'off' THEN 'it archives its log'"
        " WHEN EXISTS (SELECT FROM pg_stat_replication) OR EXISTS (SELECT FROM pg_replication_slots WHERE slot_type ="
        " 'physical') THEN 'it has standbys' END",
        pgdbm_no_args, &why, err);
    if (status == PGDBM_OK && why != NULL)
        status = refuse(err, why, "");
    pgdbm_free(why);
    return status;
}
