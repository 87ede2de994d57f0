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
    "dblink_connect",       "pg_advisory_lock", "pg_backup_start", "pg_replication_origin_session_",
    "pg_start_backup",      "pg_try_advisory_lock", "set_config",  "setseed",
};

/* One statement while it is read: a window of tokens, and what is known so far. */
struct reading {
    struct pgdbm__scanner scanner;
    struct pgdbm__token previous;
    struct pgdbm__token current;
    struct pgdbm__token next;
    struct pgdbm__token before_name; /* of the name a.b.c, the token before a */
    struct pgdbm__token qualifier;   /* of the name a.b.c at c, b; of a plain name, END */
    size_t depth;
    enum lead lead;
    size_t words;    /* since the leading one, itself included */
    bool prefix;     /* between CREATE and the kind of object it makes */
    bool plan_only;  /* EXPLAIN without ANALYZE */
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
    if (quoted) {
        text++;
        bytes -= 2;
    }
    if ((quoted || token->kind == PGDBM__TOKEN_WORD) && bytes < PGDBM__IDENTIFIER_BYTES) {
        memcpy(name, text, bytes);
        name[bytes] = '\0';
        for (size_t i = 0; !quoted && i < bytes; i++)
            if (name[i] >= 'A' && name[i] <= 'Z')
                name[i] = (char)(name[i] - 'A' + 'a');
    }
    return name;
}
