/* SPDX-License-Identifier: MIT */
/* The rules on how a program uses pgdbm: names of modules, pools, who closes what. Each finds what is plain to see; code that could
 * be right is left alone. */
#include "check/rules_c.h"
#include "check/source.h"

#include <string.h>
#include <strings.h>

/* "<before><the token at `subject`><after>", said of the place of the token at `at`. */
static void report(struct pgdbm__source *source, const struct pgdbm__check_rule *rule, size_t at, const char *before,
                   size_t subject, const char *after)
{
    const struct pgdbm__token *token = &source->tokens.tokens[subject];
    if (!pgdbm__check_add(source->run, rule, source->file->path, source->tokens.tokens[at].place, "%s%.*s%s", before,
                          (int)(token->bytes < 60 ? token->bytes : 60), source->tokens.text + token->offset, after))
        source->no_memory = true;
}

/* An initialiser's member at its own depth: where its value stands. `.name` is `member`. */
static bool find_member(const struct pgdbm__source *source, size_t open, const char *member, struct pgdbm__span *value)
{
    size_t end = pgdbm__source_behind(source, open);
    for (size_t i = open + 1; i + 1 < end; i++) {
        if (pgdbm__source_behind(source, i) < source->tokens.n_tokens && pgdbm__source_behind(source, i) > i + 1) {
            i = pgdbm__source_behind(source, i) - 1; /* what is inside of brackets is another's */
            continue;
        }
        if (!pgdbm__source_is(source, i, ".") || !pgdbm__source_is(source, i + 1, member) ||
            !pgdbm__source_is(source, i + 2, "="))
            continue;
        value->begin = i + 3;
        for (i = value->begin; i + 1 < end && !pgdbm__source_is(source, i, ",");)
            i = pgdbm__source_behind(source, i) < source->tokens.n_tokens ? pgdbm__source_behind(source, i) : i + 1;
        value->end = i;
        return true;
    }
    return false;
}

/* NAME.member or NAME->member is used anywhere in the file: set, or handed to somebody who sets it. */
static bool is_member_used(struct pgdbm__source *source, size_t name, const char *member)
{
    if (!pgdbm__source_spend(source, source->tokens.n_tokens))
        return true;
    for (size_t i = 0; i + 3 < source->tokens.n_tokens; i++) {
        if (!pgdbm__source_is_name(source, i) || !pgdbm__source_same(source, i, name))
            continue;
        size_t at = i + 1;
        if (pgdbm__source_is(source, at, "["))
            at = pgdbm__source_behind(source, at);
        bool arrow = pgdbm__source_is(source, at, "-") && pgdbm__source_is(source, at + 1, ">");
        if ((pgdbm__source_is(source, at, ".") || arrow) && pgdbm__source_is(source, at + 1 + arrow, member))
            return true;
    }
    return false;
}

/* The name of the call whose argument the token at `at` is; 0: it is none's. */
static size_t call_of(const struct pgdbm__source *source, size_t at)
{
    enum { MOST_TOKENS = 200 };
    for (size_t depth = 0, n = 0; at-- > 1 && n < MOST_TOKENS; n++) {
        if (pgdbm__source_is(source, at, ")") || pgdbm__source_is(source, at, "}"))
            depth++;
        else if (pgdbm__source_is(source, at, "(") && depth == 0)
            return pgdbm__source_is_name(source, at - 1) ? at - 1 : 0;
        else if (pgdbm__source_is(source, at, "(") || pgdbm__source_is(source, at, "{"))
            depth -= depth > 0;
        else if (pgdbm__source_is(source, at, ";"))
            return 0;
    }
    return 0;
}

/* Whether the call is one of pgdbm's own, which set nothing. */
static bool is_own_call(const struct pgdbm__source *source, size_t name)
{
    const struct pgdbm__token *token = &source->tokens.tokens[name];
    return token->bytes > 6 && memcmp(source->tokens.text + token->offset, "pgdbm_", 6) == 0;
}

/* Whether others may complete what the variable has: its address is given to a function of the program's or kept, or it is copied or
 * returned. */
static bool is_handed_on(struct pgdbm__source *source, size_t name)
{
    if (!pgdbm__source_spend(source, source->tokens.n_tokens))
        return true;
    for (size_t i = 1; i + 1 < source->tokens.n_tokens; i++) {
        if (!pgdbm__source_is_name(source, i) || !pgdbm__source_same(source, i, name))
            continue;
        bool ends = pgdbm__source_is(source, i + 1, ";") || pgdbm__source_is(source, i + 1, ",");
        if (ends && (pgdbm__source_is(source, i - 1, "=") || pgdbm__source_is(source, i - 1, "return")))
            return true;
        if (!pgdbm__source_is(source, i - 1, "&"))
            continue;
        size_t call = call_of(source, i);
        if (call != 0 ? !is_own_call(source, call) : pgdbm__source_is(source, i - 2, "="))
            return true;
    }
    return false;
}

static bool is_empty_text(const struct pgdbm__source *source, struct pgdbm__span value)
{
    if (value.end - value.begin != 1)
        return false;
    return pgdbm__source_is(source, value.begin, "NULL") || pgdbm__source_is(source, value.begin, "nullptr") ||
           (source->tokens.tokens[value.begin].kind == TOKEN_STRING && source->tokens.tokens[value.begin].bytes == 2);
}

/* An initialiser of pgdbm_migrate_options or pgdbm_module at `open`; `name` is the variable's, or 0. */
static void check_module(struct pgdbm__source *source, size_t type, size_t open, size_t name)
{
    bool options = pgdbm__source_is(source, type, "pgdbm_migrate_options");
    if (!pgdbm__source_is(source, open + 1, ".") && !pgdbm__source_is(source, open + 1, "}"))
        return; /* values in the order of the members */
    const char *member = options ? "module" : "name";
    struct pgdbm__span value = {0, 0}, migrations = {0, 0};
    bool named = find_member(source, open, member, &value);
    if (named && !is_empty_text(source, value))
        return;
    /* Options without migrations are options of something else: a base that others copy, a look at the history. */
    if (!named && !find_member(source, open, "migrations", &migrations))
        return;
    if (name != 0 && (is_member_used(source, name, member) || is_handed_on(source, name)))
        return;
    report(source, &pgdbm__check_rule_module_without_name, named ? value.begin : type, "this ", type,
           options ? " has no .module" : " has no .name");
}

static void check_modules(struct pgdbm__source *source)
{
    for (size_t i = 0; i + 2 < source->tokens.n_tokens && !source->no_memory; i++) {
        if (!pgdbm__source_is(source, i, "pgdbm_migrate_options") && !pgdbm__source_is(source, i, "pgdbm_module"))
            continue;
        /* NAME = (type){...}; NAME = type{...} of C++ */
        size_t before = i - (i > 0 && pgdbm__source_is(source, i - 1, "("));
        size_t target = before >= 2 && pgdbm__source_is(source, before - 1, "=") ? before - 2 : 0;
        target = pgdbm__source_is_name(source, target) ? target : 0;
        if (pgdbm__source_is(source, i + 1, ")") && pgdbm__source_is(source, i + 2, "{"))
            check_module(source, i, i + 2, target);
        else if (pgdbm__source_is_name(source, i + 1) && pgdbm__source_is(source, i + 2, "=") &&
                 pgdbm__source_is(source, i + 3, "{"))
            check_module(source, i, i + 3, i + 1);
        else if (pgdbm__source_is(source, i + 1, "{")) /* of C++ */
            check_module(source, i, i + 1, target);
        else if (pgdbm__source_is_name(source, i + 1) && pgdbm__source_is(source, i + 2, "{"))
            check_module(source, i, i + 2, i + 1);
    }
}

/* Pools. */

static bool opens_pool(const struct pgdbm__source *source, size_t at)
{
    return (pgdbm__source_is(source, at, "pgdbm_open") || pgdbm__source_is(source, at, "pgdbm_pool_open")) &&
           pgdbm__source_is(source, at + 1, "(");
}

/* The initialiser of the variable at `name` before `at`, in the function: its brace; 0: not seen. */
static size_t initialiser_of(struct pgdbm__source *source, const struct pgdbm__function *function, size_t name,
                             size_t at)
{
    if (!pgdbm__source_spend(source, at - function->body.begin))
        return 0;
    for (size_t i = at; i-- > function->body.begin;)
        if (pgdbm__source_is_name(source, i) && pgdbm__source_same(source, i, name) &&
            pgdbm__source_is(source, i + 1, "=") && pgdbm__source_is(source, i + 2, "{"))
            return i + 2;
    return 0;
}

/* What an open goes to: the config's connection string where that is seen, else its name. */
struct goal {
    struct pgdbm__span text;
    size_t config; /* the variable */
    bool allowed;  /* it says itself that the second pool is meant */
};

/* Of pgdbm_open and pgdbm_pool_open themselves. */
static bool find_open_goal(struct pgdbm__source *source, const struct pgdbm__function *function, size_t call,
                           struct goal *goal)
{
    struct pgdbm__span argument;
    struct pgdbm__span policy = {0, 0};
    if (!opens_pool(source, call) || pgdbm__source_arguments(source, call, &argument, 1) != 1)
        return false;
    if (argument.end - argument.begin != 2 || !pgdbm__source_is(source, argument.begin, "&") ||
        !pgdbm__source_is_name(source, argument.begin + 1))
        return false;
    goal->config = argument.begin + 1;
    goal->text = (struct pgdbm__span){goal->config, goal->config + 1};
    size_t open = initialiser_of(source, function, goal->config, call);
    if (source->effort == 0)
        return false;
    goal->allowed = open != 0 && find_member(source, open, "on_duplicate_pool", &policy);
    if (open != 0)
        find_member(source, open, "connection_string", &goal->text);
    return true;
}

/* What a function of the file opens and leaves open: then a call of it opens that. Only what is written out, "..." or
 * getenv("..."), means the same in every function. */
static bool find_opener_goal(struct pgdbm__source *source, size_t call, struct goal *goal)
{
    const struct pgdbm__function *opener = NULL;
    bool found = false;
    if (!pgdbm__source_is_name(source, call) || !pgdbm__source_is(source, call + 1, "(") ||
        !pgdbm__source_spend(source, source->n_functions))
        return false;
    for (size_t i = 0; i < source->n_functions && opener == NULL; i++)
        if (source->functions[i].opens && pgdbm__source_same(source, source->functions[i].name, call))
            opener = &source->functions[i];
    if (opener == NULL || !pgdbm__source_spend(source, opener->body.end - opener->body.begin))
        return false;
    for (size_t i = opener->body.begin; i < opener->body.end; i++) {
        if (pgdbm__source_is(source, i, "pgdbm_close") || pgdbm__source_is(source, i, "pgdbm_pool_close"))
            return false;
        found = found || find_open_goal(source, opener, i, goal);
    }
    for (size_t i = goal->text.begin; found && i < goal->text.end; i++)
        if (source->tokens.tokens[i].kind == TOKEN_STRING)
            return true;
    return false;
}

static bool find_goal(struct pgdbm__source *source, const struct pgdbm__function *function, size_t call,
                      struct goal *goal)
{
    return find_open_goal(source, function, call, goal) || find_opener_goal(source, call, goal);
}

/* Whether a function's name says that it ends what it gets. */
static bool ends_things(const struct pgdbm__source *source, size_t name)
{
    static const char *const words[] = {
        "close",   "free",    "destroy", "end",  "stop",   "down", "release", "drop",      "finish",
        "dispose", "cleanup", "delete",  "exit", "quit",   "done", "deinit",  "clear",     "discard",
        "fini",    "reset",   "fail",    "die",  "fatal",  "bail", "abort",   "terminate", "disconnect",
        "unref",   "consume", "abandon", "dtor", "uninit", "take", "leave",   "kill"};
    const struct pgdbm__token *token = &source->tokens.tokens[name];
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        for (size_t at = 0, bytes = strlen(words[i]); at + bytes <= token->bytes; at++)
            if (strncasecmp(source->tokens.text + token->offset + at, words[i], bytes) == 0)
                return true;
    return false;
}

/* Whether the first open decides on the second: it was meant to fail, is returned, or is compared with success. */
static bool is_decisive(const struct pgdbm__source *source, size_t first)
{
    enum { MOST_TOKENS = 100 };
    size_t end = pgdbm__source_behind(source, first + 1);
    if (pgdbm__source_is(source, first - 1, "return") || pgdbm__source_is(source, first - 1, "!"))
        return true;
    if (pgdbm__source_is(source, end, "=") && pgdbm__source_is(source, end + 1, "="))
        return true;
    for (size_t i = end; i < end + MOST_TOKENS && i < source->tokens.n_tokens; i++) {
        const struct pgdbm__token *token = &source->tokens.tokens[i];
        if (pgdbm__source_is(source, i, ";") || pgdbm__source_is(source, i, "{"))
            return false;
        if (token->bytes > 10 && memcmp(source->tokens.text + token->offset, "PGDBM_ERR_", 10) == 0)
            return true;
    }
    return false;
}

/* Whether `if (...)` or `while (...)` stands before the statement of the token at `at`, which is not in the condition itself. */
static bool is_conditional(const struct pgdbm__source *source, size_t first, size_t at)
{
    size_t begin = at;
    while (begin > first && !pgdbm__source_is(source, begin - 1, ";") && !pgdbm__source_is(source, begin - 1, "{") &&
           !pgdbm__source_is(source, begin - 1, "}"))
        begin--;
    return (pgdbm__source_is(source, begin, "if") || pgdbm__source_is(source, begin, "while")) &&
           pgdbm__source_behind(source, begin + 1) <= at;
}

/* Whether the name at `at` is handed to somebody who may change the config or close what was opened into it. */
static bool is_handed_over(const struct pgdbm__source *source, size_t at, const struct goal *goal, size_t opened)
{
    bool config = pgdbm__source_is(source, at - 1, "&") && pgdbm__source_same(source, at, goal->config);
    size_t call = config || (opened != 0 && pgdbm__source_same(source, at, opened)) ? call_of(source, at) : 0;
    if (call == 0)
        return false;
    return config ? !opens_pool(source, call) : !is_own_call(source, call) && ends_things(source, call);
}

/* Whether something between two opens of one target makes them right: the first is closed, the config changed, or only one of
 * the two runs. */
static bool is_parted(const struct pgdbm__source *source, size_t first, size_t second, const struct goal *goal)
{
    static const char *const words[] = {"else", "case", "default", "pgdbm_close", "pgdbm_pool_close", "fork",
                                        "goto", "?",    ":"};
    struct pgdbm__span arguments[2];
    size_t begin = pgdbm__source_behind(source, first + 1);
    size_t depth = 0, opened = 0;
    bool jumps = false;
    if (is_decisive(source, first) || is_conditional(source, begin, second))
        return true;
    if (pgdbm__source_arguments(source, first, arguments, 2) == 2)
        opened = arguments[1].end - 1;
    for (size_t i = begin; i < second; i++) {
        for (size_t j = 0; j < sizeof words / sizeof words[0]; j++)
            if (pgdbm__source_is(source, i, words[j]))
                return true;
        if (source->tokens.tokens[i].kind == TOKEN_DIRECTIVE)
            return true;
        jumps =
            jumps || (depth == 0 && (pgdbm__source_is(source, i, "return") || pgdbm__source_is(source, i, "break") ||
                                     pgdbm__source_is(source, i, "continue")));
        if (pgdbm__source_is(source, i, "{"))
            depth++;
        else if (pgdbm__source_is(source, i, "}") && depth > 0)
            depth--;
        else if (pgdbm__source_is(source, i, "}") && jumps) /* the block of the first never gets to the second */
            return true;
        if (!pgdbm__source_is_name(source, i))
            continue;
        if (is_handed_over(source, i, goal, opened))
            return true;
        if (pgdbm__source_same(source, i, goal->config) && i != goal->config &&
            (pgdbm__source_is(source, i + 1, ".") || pgdbm__source_is(source, i + 1, "=")))
            return true;
    }
    return depth > 0; /* the second runs under a condition */
}

static void check_pools(struct pgdbm__source *source, const struct pgdbm__function *function)
{
    for (size_t i = function->body.begin; i < function->body.end && !source->no_memory; i++) {
        struct goal first = {.allowed = false};
        if (!find_goal(source, function, i, &first))
            continue;
        for (size_t j = i + 1; j < function->body.end; j++) {
            struct goal second = {.allowed = false};
            if (!find_goal(source, function, j, &second))
                continue;
            bool same = pgdbm__source_same_span(source, first.text, second.text);
            if (same && !first.allowed && !second.allowed && !is_parted(source, i, j, &second))
                report(source, &pgdbm__check_rule_second_pool, j, "", j, " opens a second pool to the same database");
            break; /* the next one is the second's to compare with */
        }
    }
}

/* Closing. */

/* The parameter `pgdbm_db *NAME` or `pgdbm_pool *NAME` that is called like the token at `name`. */
static bool is_parameter(const struct pgdbm__source *source, const struct pgdbm__function *function, size_t name)
{
    for (size_t i = function->parameters.begin; i + 2 < function->parameters.end; i++)
        if ((pgdbm__source_is(source, i, "pgdbm_db") || pgdbm__source_is(source, i, "pgdbm_pool")) &&
            pgdbm__source_is(source, i + 1, "*") && pgdbm__source_is_name(source, i + 2) &&
            pgdbm__source_same(source, i + 2, name))
            return true;
    return false;
}

/* A parameter that is given another value is the function's own from then on; one that is declared anew is a lambda's. */
static bool is_given_a_value(struct pgdbm__source *source, const struct pgdbm__function *function, size_t name)
{
    if (!pgdbm__source_spend(source, function->body.end - function->body.begin))
        return true;
    for (size_t i = function->body.begin; i + 1 < function->body.end; i++) {
        if (!pgdbm__source_is_name(source, i) || !pgdbm__source_same(source, i, name))
            continue;
        if (pgdbm__source_is(source, i - 1, "&"))
            return true;
        if (pgdbm__source_is(source, i - 1, "*") &&
            (pgdbm__source_is(source, i - 2, "pgdbm_db") || pgdbm__source_is(source, i - 2, "pgdbm_pool")))
            return true;
        if (pgdbm__source_is(source, i + 1, "=") && !pgdbm__source_is(source, i + 2, "="))
            return true;
    }
    return false;
}

/* Whether `if (...)` before the call asks whether the function owns what it closes. */
static bool is_owner_asked(const struct pgdbm__source *source, const struct pgdbm__function *function, size_t call)
{
    enum { MOST_TOKENS = 30 };
    bool owns = false;
    size_t i = call;
    for (size_t n = 0; i > function->body.begin && n < MOST_TOKENS; n++) {
        const struct pgdbm__token *token = &source->tokens.tokens[--i];
        if (pgdbm__source_is(source, i, "if"))
            return owns;
        if (pgdbm__source_is(source, i, ";") || pgdbm__source_is(source, i, "}"))
            return false;
        owns = owns || memmem(source->tokens.text + token->offset, token->bytes, "own", 3) != NULL;
    }
    return false;
}

static void check_closes(struct pgdbm__source *source, const struct pgdbm__function *function)
{
    if (ends_things(source, function->name))
        return;
    for (size_t i = function->body.begin; i + 3 < function->body.end && !source->no_memory; i++) {
        if (!pgdbm__source_is(source, i, "pgdbm_close") && !pgdbm__source_is(source, i, "pgdbm_pool_close"))
            continue;
        if (!pgdbm__source_is(source, i + 1, "(") || !pgdbm__source_is_name(source, i + 2) ||
            !pgdbm__source_is(source, i + 3, ")"))
            continue;
        if (is_parameter(source, function, i + 2) && !is_given_a_value(source, function, i + 2) &&
            !is_owner_asked(source, function, i))
            report(source, &pgdbm__check_rule_close_borrowed, i, "", i + 2, " is the caller's, and is closed here");
    }
}

/* Marks the functions that open; false when none does, as in most files. */
static bool mark_openers(struct pgdbm__source *source)
{
    bool any = false;
    for (size_t i = 0; i < source->n_functions; i++) {
        struct pgdbm__function *function = &source->functions[i];
        for (size_t j = function->body.begin; j < function->body.end && !function->opens; j++)
            function->opens = opens_pool(source, j);
        any = any || function->opens;
    }
    return any;
}

void pgdbm__source_read_habits(struct pgdbm__source *source)
{
    check_modules(source);
    bool any_opens = mark_openers(source);
    for (size_t i = 0; i < source->n_functions && !source->no_memory; i++) {
        if (any_opens)
            check_pools(source, &source->functions[i]);
        check_closes(source, &source->functions[i]);
    }
}
