/* SPDX-License-Identifier: MIT */
/* A table of the library's words and the command's. No state. */
#include "hint.h"

#include <ctype.h>
#include <pgdbm/config.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct words {
    const char *library, *command;
};

/* Those that begin alike: the longer one first. */
static const struct words table[] = {
    {"policies.changed", "--allow-changed"},
    {"policies.missing", "--allow-missing"},
    {"policies.out_of_order", "--allow-out-of-order"},
    {"policies.future", "--allow-future"},
    {"policies.gap", "--allow-gap"},
    {"set the policy `duplicate`", "say --allow-duplicate"},
    {"wait_timeout_ms", "--wait"},
    {"max_connections", "max_connections"}, /* that of pgdbm.conf: the command does not take its variable */
    {"set options.target to the number that shall stay", "say --target NUMBER, which shall stay"},
    {" or the call's timeout_ms", ""},
    {", read them by pgdbm_stream", ""},
    {", or fetch less at a time (pgdbm_stream)", ""},
    {", or embed them in the program with pgdbm_embed_migrations()", ""},
    {"; set allow_empty if it is meant", ""},
    {"or give a URL", "or say --url"},
    {"create the database (createdb)", "create the database (pgdbm db create)"},
    {"pgdbm_migrate_modules", "pgdbm migrate apply --all"},
    {"pgdbm_migrate_status", "pgdbm migrate status"},
    {"pgdbm_migrate_verify", "pgdbm migrate verify"},
    {"pgdbm_fleet_roll_out or pgdbm_migrate", "pgdbm fleet apply"},
    {"pgdbm_fleet_attach uses a tenant that is there, and migrates it if need be",
     "pgdbm fleet apply migrates one that is there"},
    {"give .reference, .fingerprint, or neither", "give --reference, --fingerprint, or neither"},
    {"pgdbm_fleet_create_tenant", "pgdbm fleet create"},
    {"pgdbm_fleet_quarantine", "pgdbm fleet quarantine"},
    {"pgdbm_fleet_release", "pgdbm fleet release"},
    {"pgdbm_fleet_roll_out", "pgdbm fleet apply"},
    {"pgdbm_fleet_status", "pgdbm fleet status"},
    {"pgdbm_fleet_sync", "pgdbm fleet sync"},
};

static const char outcome_is_elsewhere[] =
    "the pool opens a new session by itself. `outcome` says whether this request may have taken effect";

static const char *outcome_of(const pgdbm_error *err)
{
    switch (err->outcome) {
    case PGDBM_OUTCOME_DONE:
        return "it has taken effect";
    case PGDBM_OUTCOME_UNKNOWN:
        return "whether it has taken effect is not known";
    default:
        return "it has had no effect";
    }
}

static bool continues_word(char letter)
{
    return isalnum((unsigned char)letter) || letter == '_';
}

/* The setting whose name begins at `at`; the command takes its variable. */
static const char *variable_of(const char *at, size_t *bytes)
{
    size_t n_fields = 0;
    const pgdbm_config_field *fields = pgdbm_config_fields(&n_fields);
    for (*bytes = 0; continues_word(at[*bytes]); (*bytes)++)
        continue;
    /* One word alone, as `port`, is what people call it, too. */
    for (size_t i = 0; memchr(at, '_', *bytes) != NULL && i < n_fields; i++)
        if (strlen(fields[i].name) == *bytes && memcmp(fields[i].name, at, *bytes) == 0 &&
            fields[i].environment[0] != '\0')
            return fields[i].environment;
    return NULL;
}

/* What stands for the text at `at`, `*bytes` long; NULL: it stands for itself. */
static const char *replacement(const pgdbm_error *err, const char *at, size_t *bytes)
{
    *bytes = strlen(outcome_is_elsewhere);
    if (strncmp(at, outcome_is_elsewhere, *bytes) == 0)
        return outcome_of(err);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        *bytes = strlen(table[i].library);
        if (strncmp(at, table[i].library, *bytes) == 0 && !continues_word(at[*bytes]))
            return table[i].command;
    }
    /* What stands in quotes or behind a dot is a name of the database's. */
    return at == err->hint || !(continues_word(at[-1]) || at[-1] == '"' || at[-1] == '.') ? variable_of(at, bytes)
                                                                                          : NULL;
}

void pgdbm__cli_hint(const pgdbm_error *err, char *text, size_t bytes)
{
    size_t used = 0;
    for (const char *at = err->hint; *at != '\0' && used + 1 < bytes;) {
        size_t taken = 1;
        const char *other = replacement(err, at, &taken);
        if (other == NULL) {
            text[used++] = *at++;
            continue;
        }
        int length = snprintf(text + used, bytes - used, "%s", other);
        used += (size_t)length < bytes - used ? (size_t)length : bytes - used - 1;
        at += taken;
    }
    text[used] = '\0';
}
