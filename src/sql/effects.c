/* SPDX-License-Identifier: MIT */
/* Effects of statements, by a token scan. No state; any thread. */
#include "sql/effects.h"

#include "sql/harmless.h"
#include "sql/identifier.h"
#include "sql/scan.h"
#include "sql/split.h"

#include <stdbool.h>
#include <string.h>

/* The leading keywords that need a further look. */
enum lead {
    LEAD_NONE, /* not seen yet */
    LEAD_OTHER,
    LEAD_COPY,
    LEAD_CREATE,
    LEAD_DECLARE,
    LEAD_EXPLAIN,
    LEAD_PREPARE,
    LEAD_SET,
    LEAD_WITH
};

struct leading_word {
    const char *word;
    enum lead lead;
    unsigned effects;
};

#define SESSION PGDBM__EFFECT_SESSION
#define TRANSACTION (PGDBM__EFFECT_TRANSACTION | PGDBM__EFFECT_WRITE)
#define FUNCTION PGDBM__EFFECT_FUNCTION
#define WRITE PGDBM__EFFECT_WRITE

/* Any other word is LEAD_OTHER and WRITE. */
static const struct leading_word leading_words[] = {
    {"abort", LEAD_OTHER, TRANSACTION},
    {"begin", LEAD_OTHER, TRANSACTION},
    {"call", LEAD_OTHER, SESSION | FUNCTION | WRITE},
    {"commit", LEAD_OTHER, TRANSACTION},
    {"copy", LEAD_COPY, WRITE},
    {"create", LEAD_CREATE, WRITE},
    {"deallocate", LEAD_OTHER, SESSION | WRITE},
    {"declare", LEAD_DECLARE, WRITE},
    {"discard", LEAD_OTHER, SESSION | WRITE},
    {"do", LEAD_OTHER, SESSION | FUNCTION | WRITE},
    {"end", LEAD_OTHER, TRANSACTION},
    {"execute", LEAD_OTHER, FUNCTION | WRITE},
    {"explain", LEAD_EXPLAIN, 0},
    {"listen", LEAD_OTHER, SESSION | WRITE},
    {"load", LEAD_OTHER, SESSION | WRITE},
    {"prepare", LEAD_PREPARE, WRITE},
    {"release", LEAD_OTHER, TRANSACTION},
    {"reset", LEAD_OTHER, SESSION | WRITE},
    {"rollback", LEAD_OTHER, TRANSACTION},
    {"savepoint", LEAD_OTHER, TRANSACTION},
    {"select", LEAD_OTHER, 0},
    {"set", LEAD_SET, WRITE},
    {"show", LEAD_OTHER, 0},
    {"start", LEAD_OTHER, TRANSACTION},
    {"table", LEAD_OTHER, 0},
    {"unlisten", LEAD_OTHER, SESSION | WRITE},
    {"values", LEAD_OTHER, 0},
    {"with", LEAD_WITH, 0},
};

/* Functions that leave something in the session. A name stands for all that begin with it. */
static const char *const session_functions[] = {
    "dblink_connect",  "pg_advisory_lock",     "pg_backup_start", "pg_replication_origin_session_",
    "pg_start_backup", "pg_try_advisory_lock", "set_config",      "setseed",
};

/* One statement while it is read: a window of tokens, and what is known so far. */
struct reading {
    struct pgdbm__scanner scanner;
    struct pgdbm__token beyond;
    struct pgdbm__token previous;
    struct pgdbm__token current;
    struct pgdbm__token next;
    struct pgdbm__token before_name; /* of the last name a.b.c, the token before a */
    size_t depth;
    enum lead lead;
    size_t since_lead; /* tokens */
    bool prefix;       /* between CREATE and the kind of object it makes */
    bool explain;
    bool analyze;
    unsigned effects;
};

static bool is(const struct reading *reading, const struct pgdbm__token *token, const char *word)
{
    return pgdbm__token_is_word(reading->scanner.text, token, word);
}

static bool is_symbol(const struct reading *reading, const struct pgdbm__token *token, char symbol)
{
    return pgdbm__token_is_symbol(reading->scanner.text, token, symbol);
}

static bool is_any(const struct reading *reading, const struct pgdbm__token *token, const char *const *words)
{
    for (; *words != NULL; words++)
        if (is(reading, token, *words))
            return true;
    return false;
}

static bool is_temporary(const struct reading *reading, const struct pgdbm__token *token)
{
    static const char *const words[] = {"temp", "temporary", "local", "global", NULL};
    return is_any(reading, token, words);
}

/* The name a token stands for as the catalog has it; "" when it is no name, or longer than one can be (the server would
 * cut it). A quoted name with a doubled quote in it is none that is looked for. */
static const char *name_of(const struct reading *reading, const struct pgdbm__token *token,
                           char name[PGDBM__IDENTIFIER_BYTES])
{
    const char *text = reading->scanner.text + token->offset;
    size_t bytes = token->bytes;
    bool quoted = token->kind == PGDBM__TOKEN_IDENTIFIER;
    name[0] = '\0';
    if (quoted && text[0] == '"') { /* U&"" may spell anything */
        text++;
        bytes -= 2;
    } else if (quoted)
        return name;
    if ((quoted || token->kind == PGDBM__TOKEN_WORD) && bytes < PGDBM__IDENTIFIER_BYTES) {
        memcpy(name, text, bytes);
        name[bytes] = '\0';
        for (size_t i = 0; !quoted && i < bytes; i++)
            if (name[i] >= 'A' && name[i] <= 'Z')
                name[i] = (char)(name[i] - 'A' + 'a');
    }
    return name;
}

static bool is_session_function(const char *name)
{
    for (size_t i = 0; i < sizeof session_functions / sizeof *session_functions; i++)
        if (strncmp(name, session_functions[i], strlen(session_functions[i])) == 0)
            return true;
    return false;
}

/* A name with a parenthesis behind it: a call, or what only looks like one. */
static void look_at_call(struct reading *reading)
{
    /* INSERT INTO t (a), CREATE TABLE t (...), AS t(a), WITH t(a) AS, CREATE FUNCTION f(), CAST(a AS numeric(9,2)) */
    static const char *const no_call_behind[] = {"aggregate", "as",         "copy",  "exists", "function", "into",
                                                 "procedure", "references", "table", "view",   "with",     NULL};
    char name[PGDBM__IDENTIFIER_BYTES];
    char qualifier[PGDBM__IDENTIFIER_BYTES];
    bool type = reading->before_name.kind == PGDBM__TOKEN_SYMBOL && reading->before_name.bytes == 2; /* a::varchar(9) */
    if (type || is_any(reading, &reading->before_name, no_call_behind))
        return;
    name_of(reading, &reading->current, name);
    if (is_session_function(name))
        reading->effects |= SESSION;
    bool known = reading->current.kind == PGDBM__TOKEN_WORD && pgdbm__sql_harmless(name);
    if (is_symbol(reading, &reading->previous, '.'))
        known = known && strcmp(name_of(reading, &reading->beyond, qualifier), "pg_catalog") == 0;
    if (!known)
        reading->effects |= FUNCTION;
}

static void look_at_name(struct reading *reading)
{
    char name[PGDBM__IDENTIFIER_BYTES];
    if (!is_symbol(reading, &reading->previous, '.'))
        reading->before_name = reading->previous;
    if (strncmp(name_of(reading, &reading->current, name), "pg_temp", strlen("pg_temp")) == 0)
        reading->effects |= SESSION;
    if (is_symbol(reading, &reading->next, '('))
        look_at_call(reading);
}

/* The word that says what kind of statement this is. */
static void set_lead(struct reading *reading)
{
    static const char *const within_transaction[] = {"local", "transaction", "constraints", NULL};
    struct leading_word found = {NULL, LEAD_OTHER, WRITE};
    for (size_t i = 0; i < sizeof leading_words / sizeof *leading_words; i++)
        if (is(reading, &reading->current, leading_words[i].word))
            found = leading_words[i];
    reading->lead = found.lead;
    reading->since_lead = 0;
    reading->effects |= found.effects;
    reading->prefix = found.lead == LEAD_CREATE;
    reading->explain = reading->explain || found.lead == LEAD_EXPLAIN;
    if (found.lead == LEAD_PREPARE)
        reading->effects |= is(reading, &reading->next, "transaction") ? TRANSACTION : SESSION;
    if (found.lead == LEAD_SET && !is_any(reading, &reading->next, within_transaction))
        reading->effects |= SESSION;
}

/* Behind EXPLAIN: its options, until the statement begins that it explains. */
static void look_behind_explain(struct reading *reading)
{
    static const char *const beginnings[] = {"create", "declare", "delete", "execute", "insert", "merge", "refresh",
                                             "select", "table",   "update", "values",  "with",   NULL};
    if (is(reading, &reading->current, "analyze") || is(reading, &reading->current, "analyse"))
        reading->analyze = true;
    else if (is_any(reading, &reading->current, beginnings))
        set_lead(reading);
}

/* What a word means in this kind of statement. */
static void look_at_lead(struct reading *reading)
{
    static const char *const modifying[] = {"delete", "insert", "merge", "update", NULL};
    static const char *const locking[] = {"for", "key", NULL}; /* FOR UPDATE, FOR NO KEY UPDATE */
    static const char *const client[] = {"stdin", "stdout", NULL};
    static const char *const direction[] = {"from", "to", NULL};
    switch (reading->lead) {
    case LEAD_COPY:
        if (is_any(reading, &reading->current, client) && is_any(reading, &reading->previous, direction))
            reading->effects |= PGDBM__EFFECT_COPY;
        break;
    case LEAD_CREATE:
        if (reading->prefix && is_temporary(reading, &reading->current))
            reading->effects |= SESSION;
        reading->prefix =
            reading->prefix && (is(reading, &reading->current, "or") || is(reading, &reading->current, "replace"));
        break;
    case LEAD_DECLARE:
        if (is(reading, &reading->current, "hold") && is(reading, &reading->previous, "with"))
            reading->effects |= SESSION;
        break;
    case LEAD_SET: /* `SET local.x = 1` is a setting whose name begins with a keyword */
        if (reading->since_lead == 1 && is_symbol(reading, &reading->next, '.'))
            reading->effects |= SESSION;
        break;
    case LEAD_WITH:
        if (is_any(reading, &reading->current, modifying) && !is_any(reading, &reading->previous, locking))
            reading->effects |= WRITE;
        break;
    case LEAD_NONE:
    case LEAD_OTHER:
    case LEAD_EXPLAIN:
    case LEAD_PREPARE:
        break;
    }
}

static void look_at_word(struct reading *reading)
{
    static const char *const makes_no_table[] = {"insert", "merge", NULL};
    if (reading->lead == LEAD_NONE) {
        set_lead(reading);
        return;
    }
    if (is_symbol(reading, &reading->previous, '.') || is(reading, &reading->previous, "as"))
        return; /* a column or a label, whatever it says */
    if (reading->lead == LEAD_EXPLAIN) {
        look_behind_explain(reading);
        return;
    }
    look_at_lead(reading);
    if (is(reading, &reading->current, "returning") && reading->depth == 0 && !is_symbol(reading, &reading->next, '.'))
        reading->effects |= PGDBM__EFFECT_RETURNING;
    if (is(reading, &reading->current, "into") && !is_any(reading, &reading->previous, makes_no_table)) {
        reading->effects |= WRITE;
        if (is_temporary(reading, &reading->next))
            reading->effects |= SESSION;
    }
}

static void shift(struct reading *reading)
{
    reading->beyond = reading->previous;
    reading->previous = reading->current;
    reading->current = reading->next;
    pgdbm__scan_next(&reading->scanner, &reading->next);
}

static unsigned statement_effects(const char *sql, size_t bytes)
{
    struct reading reading = {.scanner = {.text = sql, .bytes = bytes}};
    pgdbm__scan_next(&reading.scanner, &reading.next);
    for (shift(&reading); reading.current.kind != PGDBM__TOKEN_END; shift(&reading)) {
        reading.since_lead++;
        if (is_symbol(&reading, &reading.current, '('))
            reading.depth++;
        else if (is_symbol(&reading, &reading.current, ')') && reading.depth > 0)
            reading.depth--;
        if (reading.current.kind == PGDBM__TOKEN_WORD)
            look_at_word(&reading);
        if (reading.current.kind == PGDBM__TOKEN_WORD || reading.current.kind == PGDBM__TOKEN_IDENTIFIER)
            look_at_name(&reading);
    }
    if (reading.explain && !reading.analyze)
        reading.effects &= ~WRITE;
    else if (reading.explain)
        reading.effects |= WRITE;
    return reading.effects;
}

unsigned pgdbm__sql_effects(const char *sql, size_t bytes)
{
    struct pgdbm__splitter splitter;
    struct pgdbm__statement_span span;
    unsigned effects = 0;
    size_t statements = 0;
    bool found = true;
    pgdbm__splitter_init(&splitter, sql, bytes);
    while (found) {
        if (pgdbm__split_next(&splitter, &span, &found, NULL) != PGDBM_OK) {
            /* What cannot be read may do anything. */
            span = (struct pgdbm__statement_span){splitter.scanner.offset, bytes - splitter.scanner.offset, 0};
            effects |= SESSION | FUNCTION | WRITE | statement_effects(sql + span.offset, span.bytes);
            break;
        }
        if (found) {
            effects |= statement_effects(sql + span.offset, span.bytes);
            statements++;
        }
    }
    return effects | (statements > 1 ? PGDBM__EFFECT_MANY : 0);
}
