/* SPDX-License-Identifier: MIT */
/* What the simulated server understands. A value is "<class><owner>.<number>": class s is an independent statement, which
 * must find a clean session; t is one of the transaction `owner`; p is one on a pinned session. */
#include "simulation/backend.h"

#include "simulation/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGE_ROWS 14
#define LARGE_BYTES 1500

static unsigned shape;

static unsigned number_of(const char *value)
{
    const char *dot = strchr(value, '.');
    return dot != NULL ? (unsigned)strtoul(dot + 1, NULL, 10) : 0;
}

/* Whether the statement is where it belongs. */
static void check_place(struct backend *backend, const char *sql, const char *value)
{
    unsigned owner = (unsigned)strtoul(value + 1, NULL, 10);
    if (value[0] == 's' && (backend->block != 'I' || backend->colored || backend->n_listening > 0))
        world_fail("backend %d: %s (%s) came to a session that is not clean: block %c, %s, listening to %zu",
                   backend->number, sql, value, backend->block, backend->colored ? "colored" : "plain",
                   backend->n_listening);
    if (value[0] != 't')
        return;
    if (backend->block == 'I')
        world_fail("backend %d: %s (%s) came outside of its transaction", backend->number, sql, value);
    if (backend->owner == 0)
        backend->owner = owner;
    if (backend->owner != owner)
        world_fail("backend %d: %s (%s) came to transaction %u", backend->number, sql, value, backend->owner);
}

static void run_echo(struct backend *backend, const char *sql, char values[2][VALUE_BYTES])
{
    check_place(backend, sql, values[0]);
    backend_row(backend, values[0], 0);
    backend_answer(backend, "SELECT 1");
}

static void run_morph(struct backend *backend, const char *sql, char values[2][VALUE_BYTES])
{
    run_echo(backend, sql, values);
    if (world_chance(world.weather.morphing)) {
        shape++;
        world_note("a column changes its type");
    }
}

static void run_large(struct backend *backend, const char *sql, char values[2][VALUE_BYTES])
{
    char value[VALUE_BYTES + 16];
    check_place(backend, sql, values[0]);
    for (int i = 0; i < LARGE_ROWS; i++) {
        snprintf(value, sizeof value, "%s#%d", values[0], i);
        backend_row(backend, value, LARGE_BYTES);
    }
    snprintf(value, sizeof value, "SELECT %d", LARGE_ROWS);
    backend_answer(backend, value);
}

static void run_fail(struct backend *backend, const char *sql, char values[2][VALUE_BYTES])
{
    check_place(backend, sql, values[0]);
    backend_error(backend, "22012", "division by zero", "int4div");
}

static void run_conflict(struct backend *backend, const char *sql, char values[2][VALUE_BYTES])
{
    check_place(backend, sql, values[0]);
    backend_error(backend, "40001", "could not serialize access", "CheckForSerializableConflictIn");
}

static void run_insert(struct backend *backend, const char *sql, char values[2][VALUE_BYTES])
{
    check_place(backend, sql, values[0]);
    transaction_effect(backend, number_of(values[0]));
    if (strstr(sql, "fail") != NULL)
        backend_error(backend, "23505", "duplicate key value", "_bt_check_unique");
    else
        backend_answer(backend, "INSERT 0 1");
}

static void run_notify(struct backend *backend, const char *sql, char values[2][VALUE_BYTES])
{
    (void)sql;
    transaction_notify(backend, values[0], values[1]);
    backend_row(backend, "", 0);
    backend_answer(backend, "SELECT 1");
}

static void run_color(struct backend *backend, const char *sql, char values[2][VALUE_BYTES])
{
    (void)sql;
    (void)values;
    backend->colored = true;
    if (world_chance(500))
        backend_changed_setting(backend);
    backend_answer(backend, "SET");
}

static void run_one(struct backend *backend, const char *sql, char values[2][VALUE_BYTES])
{
    (void)values;
    if (strncmp(sql, "SELECT", 6) == 0)
        backend_row(backend, "1", 0);
    backend_answer(backend, strncmp(sql, "SELECT", 6) == 0 ? "SELECT 1" : "SET");
}

static void run_begin(struct backend *backend, const char *sql, char values[2][VALUE_BYTES])
{
    (void)values;
    if (backend->block != 'I' || backend->n_effects > 0)
        world_fail("backend %d: %s inside of a transaction", backend->number, sql);
    transaction_begin(backend);
    backend_answer(backend, "BEGIN");
}

static void run_commit(struct backend *backend, const char *sql, char values[2][VALUE_BYTES])
{
    (void)values;
    bool rolled_back = backend->block == 'E' || strcmp(sql, "ROLLBACK") == 0;
    if (rolled_back)
        transaction_undo(backend);
    else
        transaction_commit(backend);
    backend->block = 'I';
    backend_answer(backend, rolled_back ? "ROLLBACK" : "COMMIT");
}

static void run_savepoint(struct backend *backend, const char *sql, char values[2][VALUE_BYTES])
{
    (void)values;
    bool returns = strncmp(sql, "ROLLBACK TO", 11) == 0;
    bool releases = sql[0] == 'R' && !returns;
    const char *name = strrchr(sql, ' ') + 1;
    bool done = returns    ? transaction_return(backend, name)
                : releases ? transaction_release(backend, name)
                           : transaction_savepoint(backend, name);
    if (!done)
        backend_error(backend, backend->block == 'I' ? "25P01" : "3B001", "no such savepoint", "DefineSavepoint");
    else
        backend_answer(backend, returns ? "ROLLBACK" : releases ? "RELEASE" : "SAVEPOINT");
}

static void run_listen(struct backend *backend, const char *sql, char values[2][VALUE_BYTES])
{
    char name[VALUE_BYTES] = "";
    (void)values;
    sscanf(strchr(sql, '"') + 1, "%60[^\"]", name);
    size_t at = 0;
    while (at < backend->n_listening && strcmp(backend->listening[at], name) != 0)
        at++;
    if (sql[0] == 'L' && at == backend->n_listening)
        memcpy(backend->listening[backend->n_listening++], name, sizeof name);
    else if (sql[0] == 'U' && at < backend->n_listening)
        memcpy(backend->listening[at], backend->listening[--backend->n_listening], sizeof name);
    backend_answer(backend, sql[0] == 'L' ? "LISTEN" : "UNLISTEN");
}

static void run_reset(struct backend *backend, const char *sql, char values[2][VALUE_BYTES])
{
    (void)values;
    backend->colored = false;
    backend->n_listening = 0;
    if (strcmp(sql, "DISCARD ALL") == 0)
        backend->n_prepared = 0;
    backend_answer(backend, sql[0] == 'S' ? "DO" : "DISCARD ALL");
}

static const struct phrase phrases[] = {
    {"SELECT echo $1", 1, true, false, false, run_echo},
    {"SELECT slow $1", 1, true, true, false, run_echo},
    {"SELECT large $1", 1, true, false, false, run_large},
    {"SELECT morph $1", 1, true, false, false, run_morph},
    {"SELECT fail $1", 1, true, false, false, run_fail},
    {"SELECT conflict $1", 1, true, false, false, run_conflict},
    {"INSERT ledger $1", 1, false, false, false, run_insert},
    {"INSERT ledger slow $1", 1, false, true, false, run_insert},
    {"INSERT ledger fail $1", 1, false, false, false, run_insert},
    {"SELECT pg_catalog.pg_notify($1, $2)", 2, true, false, false, run_notify},
    {"SET color TO red", 0, false, false, false, run_color},
    {"SET greeting TO hello", 0, false, false, false, run_one},
    {"DISCARD ALL", 0, false, false, false, run_reset},
    {"SELECT 1", 0, true, false, false, run_one},
    {"SELECT 1 WHERE ", 0, true, false, false, run_one},
    {"BEGIN", 0, false, false, false, run_begin},
    {"COMMIT", 0, false, false, true, run_commit},
    {"ROLLBACK", 0, false, false, true, run_commit},
    {"ROLLBACK TO SAVEPOINT ", 0, false, false, true, run_savepoint},
    {"RELEASE SAVEPOINT ", 0, false, false, false, run_savepoint},
    {"SAVEPOINT ", 0, false, false, false, run_savepoint},
    {"LISTEN ", 0, false, false, false, run_listen},
    {"UNLISTEN ", 0, false, false, false, run_listen},
    {"SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; CLOSE ALL; UNLISTEN *; ", 0, false, false, false,
     run_reset},
};

const struct phrase *language_find(const char *sql)
{
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
        size_t bytes = strlen(phrases[i].sql);
        if (phrases[i].sql[bytes - 1] == ' ' ? strncmp(sql, phrases[i].sql, bytes) == 0
                                             : strcmp(sql, phrases[i].sql) == 0)
            return &phrases[i];
    }
    return NULL;
}

static bool run_text(struct backend *backend, const char *sql)
{
    static char no_values[2][VALUE_BYTES];
    const struct phrase *phrase = language_find(sql);
    if (phrase == NULL)
        world_fail("backend %d: does not understand: %s", backend->number, sql);
    if (backend->block == 'E' && !phrase->ends_transaction) {
        backend_error(backend, "25P02", "current transaction is aborted", "exec_simple_query");
        return false;
    }
    char block = backend->block;
    phrase->run(backend, sql, no_values);
    return block == 'E' || backend->block != 'E';
}

bool language_run_query(struct backend *backend, const char *query)
{
    char text[sizeof backend->query];
    if (strncmp(query, "SET SESSION", 11) == 0)
        return run_text(backend, query);
    for (const char *at = query; at != NULL;) {
        const char *end = strstr(at, "; ");
        size_t bytes = end != NULL ? (size_t)(end - at) : strlen(at);
        memcpy(text, at, bytes);
        text[bytes] = '\0';
        if (!run_text(backend, text))
            return false;
        at = end != NULL ? end + 2 : NULL;
    }
    return true;
}

uint32_t language_column_type(const char *sql)
{
    return strstr(sql, "morph") != NULL && shape % 2 == 1 ? 1043 : 25;
}

bool language_is_outdated(const struct prepared *prepared)
{
    return strstr(prepared->sql, "morph") != NULL && prepared->shape % 2 != shape % 2;
}

unsigned language_shape(void)
{
    return shape;
}

void language_begin(void)
{
    shape = 0;
}
