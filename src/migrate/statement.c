/* SPDX-License-Identifier: MIT */
/* Facts about statements. No state, any thread. */
#include "migrate/statement.h"

#include "sql/scan.h"

#include <stdbool.h>

/* The statement while it is read, and the token that is next. */
struct reading {
    struct pgdbm__scanner scanner;
    struct pgdbm__token token;
    struct pgdbm__statement_facts *facts;
};

static bool is(const struct reading *reading, const char *word)
{
    return pgdbm__token_is_word(reading->scanner.text, &reading->token, word);
}

static bool is_symbol(const struct reading *reading, char symbol)
{
    return pgdbm__token_is_symbol(reading->scanner.text, &reading->token, symbol);
}

static bool at_end(const struct reading *reading)
{
    return reading->token.kind == PGDBM__TOKEN_END || is_symbol(reading, ';');
}

static bool accept(struct reading *reading, const char *word)
{
    if (!is(reading, word))
        return false;
    pgdbm__scan_next(&reading->scanner, &reading->token);
    return true;
}

/* Goes on to a word at any depth. */
static bool find(struct reading *reading, const char *word)
{
    while (!at_end(reading) && !is(reading, word))
        pgdbm__scan_next(&reading->scanner, &reading->token);
    return is(reading, word);
}

static bool accept_concurrently(struct reading *reading, const char *outside)
{
    struct pgdbm__statement_part word = {reading->token.offset, reading->token.bytes};
    if (!accept(reading, "concurrently"))
        return false;
    reading->facts->concurrently = word;
    reading->facts->outside = outside;
    return true;
}

/* a, "a" or a."b"; nothing when it is written with U&"", which the functions that look names up do not read. */
static struct pgdbm__statement_part accept_name(struct reading *reading)
{
    struct pgdbm__statement_part name = {reading->token.offset, 0};
    bool escaped = false;
    while (reading->token.kind == PGDBM__TOKEN_WORD || reading->token.kind == PGDBM__TOKEN_IDENTIFIER) {
        escaped = escaped || (reading->token.kind == PGDBM__TOKEN_IDENTIFIER &&
                              reading->scanner.text[reading->token.offset] != '"');
        name.bytes = reading->token.offset + reading->token.bytes - name.offset;
        pgdbm__scan_next(&reading->scanner, &reading->token);
        if (!is_symbol(reading, '.'))
            break;
        pgdbm__scan_next(&reading->scanner, &reading->token);
    }
    return escaped ? (struct pgdbm__statement_part){0} : name;
}

/* Behind CREATE: [UNIQUE] INDEX [CONCURRENTLY] [[IF NOT EXISTS] name] ON [ONLY] table. */
static void read_create(struct reading *reading)
{
    if (accept(reading, "database"))
        reading->facts->outside = "CREATE DATABASE";
    else if (accept(reading, "tablespace"))
        reading->facts->outside = "CREATE TABLESPACE";
    else if (accept(reading, "subscription")) {
        /* With `create_slot = false` it can; which value stands there is for the server to read. */
        struct reading ahead = *reading;
        if (!find(&ahead, "create_slot") && !find(reading, "connect"))
            reading->facts->outside = "CREATE SUBSCRIPTION";
    } else {
        accept(reading, "unique");
        if (!accept(reading, "index"))
            return;
        reading->facts->kind = PGDBM__STATEMENT_CREATE_INDEX;
        accept_concurrently(reading, "CREATE INDEX CONCURRENTLY");
        if (accept(reading, "if") && accept(reading, "not"))
            accept(reading, "exists");
        if (!is(reading, "on"))
            reading->facts->index = accept_name(reading);
        if (accept(reading, "on")) {
            accept(reading, "only");
            reading->facts->table = accept_name(reading);
        }
    }
}

static void read_drop(struct reading *reading)
{
    if (accept(reading, "database"))
        reading->facts->outside = "DROP DATABASE";
    else if (accept(reading, "tablespace"))
        reading->facts->outside = "DROP TABLESPACE";
    else if (accept(reading, "index")) {
        reading->facts->kind = PGDBM__STATEMENT_DROP_INDEX;
        accept_concurrently(reading, "DROP INDEX CONCURRENTLY");
        if (accept(reading, "if"))
            accept(reading, "exists");
        reading->facts->index = accept_name(reading);
    }
}

/* Behind REINDEX: [(options)] INDEX | TABLE | SCHEMA | DATABASE | SYSTEM [CONCURRENTLY] name. */
static void read_reindex(struct reading *reading)
{
    static const char concurrently[] = "REINDEX CONCURRENTLY";
    reading->facts->kind = PGDBM__STATEMENT_REINDEX;
    if (is_symbol(reading, '('))
        while (!at_end(reading) && !is_symbol(reading, ')'))
            if (!accept_concurrently(reading, concurrently))
                pgdbm__scan_next(&reading->scanner, &reading->token);
    if (is_symbol(reading, ')'))
        pgdbm__scan_next(&reading->scanner, &reading->token);
    bool index = accept(reading, "index");
    bool table = !index && accept(reading, "table");
    if (!index && !table) {
        if (accept(reading, "schema"))
            reading->facts->outside = "REINDEX SCHEMA";
        else if (accept(reading, "database"))
            reading->facts->outside = "REINDEX DATABASE";
        else if (accept(reading, "system"))
            reading->facts->outside = "REINDEX SYSTEM";
        accept_concurrently(reading, reading->facts->outside);
        return;
    }
    accept_concurrently(reading, concurrently);
    *(index ? &reading->facts->index : &reading->facts->table) = accept_name(reading);
}

static void read_alter(struct reading *reading)
{
    if (accept(reading, "system"))
        reading->facts->outside = "ALTER SYSTEM";
    else if (accept(reading, "database")) {
        accept_name(reading);
        if (accept(reading, "set") && accept(reading, "tablespace"))
            reading->facts->outside = "ALTER DATABASE ... SET TABLESPACE";
    } else if (accept(reading, "table")) {
        if (find(reading, "detach") && find(reading, "concurrently"))
            accept_concurrently(reading, "ALTER TABLE ... DETACH PARTITION CONCURRENTLY");
    } else if (accept(reading, "subscription")) {
        accept_name(reading);
        bool refresh = accept(reading, "refresh");
        bool change = !refresh && (accept(reading, "set") || accept(reading, "add") || accept(reading, "drop"));
        /* With `refresh = false` a changed list can; which value stands there is for the server to read. */
        if (is(reading, "publication") && (refresh || (change && !find(reading, "refresh"))))
            reading->facts->outside = "ALTER SUBSCRIPTION ... PUBLICATION";
    }
}

struct pgdbm__statement_facts pgdbm__statement_facts(const char *sql, size_t bytes)
{
    struct pgdbm__statement_facts facts = {.kind = PGDBM__STATEMENT_OTHER};
    struct reading reading = {.scanner = {.text = sql, .bytes = bytes}, .facts = &facts};
    pgdbm__scan_next(&reading.scanner, &reading.token);
    if (accept(&reading, "create"))
        read_create(&reading);
    else if (accept(&reading, "drop"))
        read_drop(&reading);
    else if (accept(&reading, "reindex"))
        read_reindex(&reading);
    else if (accept(&reading, "alter"))
        read_alter(&reading);
    else if (accept(&reading, "vacuum"))
        facts.outside = "VACUUM";
    else if (accept(&reading, "discard"))
        facts.outside = is(&reading, "all") ? "DISCARD ALL" : NULL;
    else if (accept(&reading, "cluster")) {
        accept(&reading, "verbose");
        facts.outside = at_end(&reading) ? "CLUSTER without a table" : NULL;
    }
    return facts;
}
