/* SPDX-License-Identifier: MIT */
/* The decision tree and what is said about each end of it. Pure. */
#include "patterns.h"

#include <stddef.h>

const struct pgdbm__cli_pattern pgdbm__cli_patterns[CLI_N_PATTERNS] = {
    [CLI_STANDALONE] =
        {
            .name = "standalone",
            .title = "Standalone",
            .opened_by = "pgdbm_open: the manager owns its pool, pgdbm_close ends both",
            .red_flags =
                {
                    {"you open several managers on one database in one process", "shared pool"},
                    {"the log says \"Creating another connection pool to ...\"", "shared pool"},
                    {"you run into the server's max_connections", "shared pool"},
                    {"another program is going to link this code", "dual mode"},
                },
            .code = pgdbm__cli_code_standalone,
        },
    [CLI_SHARED_POOL] =
        {
            .name = "shared-pool",
            .title = "Shared pool",
            .opened_by = "pgdbm_pool_open once, then pgdbm_attach for each schema",
            .red_flags =
                {
                    {"another program is going to link this code", "dual mode"},
                    {"its users bring their own database", "dual mode"},
                    {"the services run in processes of their own: a pool cannot be shared across processes",
                     "standalone, each"},
                },
            .code = pgdbm__cli_code_shared_pool,
        },
    [CLI_DUAL_MODE] =
        {
            .name = "dual-mode",
            .title = "Dual mode",
            .opened_by = "pgdbm_module_open: from a connection string, the host's manager or the host's pool",
            .red_flags =
                {
                    {"you control the whole deployment", "standalone or shared pool"},
                    {"the code is never linked by a second program", "standalone or shared pool"},
                    {"only one way of opening it is ever used: the other is needless work", "standalone"},
                },
            .code = pgdbm__cli_code_dual_mode,
        },
};

/* docs/choosing-a-pattern.md has the same lines. */
const struct pgdbm__cli_row pgdbm__cli_rows[CLI_N_ROWS] = {
    [CLI_ROW_LIBRARY] = {"library", "a library, packaged or vendored", "it must work inside somebody else's program",
                         CLI_DUAL_MODE},
    [CLI_ROW_MODULES] = {"modules", "a server with several modules or plug-ins", "several modules, one process",
                         CLI_SHARED_POOL},
    [CLI_ROW_SERVICES] = {"services", "several services in one program", "connections have to be used well",
                          CLI_SHARED_POOL},
    [CLI_ROW_WORKER] = {"worker", "a background worker, or a service, in a process of its own",
                        "processes cannot share a pool", CLI_STANDALONE},
    [CLI_ROW_SMALL] = {"small-service", "a small service with its own database", "one service, nothing to share",
                       CLI_STANDALONE},
    [CLI_ROW_TENANTS] = {"tenants", "a multi-tenant product", "many tenants, a schema for each", CLI_SHARED_POOL},
};

static const char *const reasons[CLI_N_ROWS] = {
    [CLI_ROW_LIBRARY] = "Where the code will live is decided by whoever opens it: it must work with a database of its "
                        "own and inside a host that already has a pool. It brings its own migrations in both.",
    [CLI_ROW_MODULES] = "Several modules live in one process: one pool with few connections serves them all, each "
                        "through a manager bound to a schema of its own. A manager costs next to nothing; a pool for "
                        "each would cost the server connections.",
    [CLI_ROW_SERVICES] = "Several services live in one program. A pool of the default size (20) for each would soon "
                         "take all connections that a server grants by default (100): one pool serves them all, each "
                         "through a manager bound to a schema of its own.",
    [CLI_ROW_WORKER] = "Processes cannot share a pool, so each opens its own. On one database, give each a schema of "
                       "its own (worker, orders, ...), so that their tables never meet.",
    [CLI_ROW_SMALL] = "One service needs the database and nobody else links its code: there is nothing to share a pool "
                      "with. One call opens it, one call closes it.",
    [CLI_ROW_TENANTS] = "Many tenants, a schema for each, in one process: one pool serves them all. A manager is small "
                        "enough to have one for each tenant, and pgdbm_attach makes no connection.",
};

bool pgdbm__cli_is_library(const struct pgdbm__cli_answers *answers)
{
    return answers->library || answers->manager != CLI_MANAGER_OWN;
}

/* A pool of the default size for each of more services than these would take a server's default max_connections. */
enum { POOLS_THAT_FIT = 4 };

static enum pgdbm__cli_row_kind find_row(const struct pgdbm__cli_answers *answers)
{
    if (pgdbm__cli_is_library(answers))
        return CLI_ROW_LIBRARY;
    if (answers->tenants > 1)
        return CLI_ROW_TENANTS;
    if (answers->worker == CLI_WORKER_SAME_PROCESS)
        return CLI_ROW_SERVICES;
    if (answers->services <= 1)
        return answers->worker == CLI_WORKER_SEPARATE_PROCESS ? CLI_ROW_WORKER : CLI_ROW_SMALL;
    if (!answers->same_process)
        return CLI_ROW_WORKER;
    return answers->services > POOLS_THAT_FIT ? CLI_ROW_SERVICES : CLI_ROW_MODULES;
}

struct remark {
    bool applies;
    const char *text;
};

static void add_notes(struct pgdbm__cli_choice *choice, const struct remark *remarks, size_t n)
{
    size_t used = 0;
    while (choice->notes[used] != NULL)
        used++;
    for (size_t i = 0; i < n && used < CLI_MAX_NOTES; i++)
        if (remarks[i].applies)
            choice->notes[used++] = remarks[i].text;
}

static void remark_on_library(struct pgdbm__cli_choice *choice, const struct pgdbm__cli_answers *answers)
{
    const struct remark remarks[] = {
        {answers->library && answers->manager_told && answers->manager == CLI_MANAGER_OWN,
         "You say that other programs link the code, and that it always opens its own manager. Those programs may have "
         "a pool: a second one to the same database costs the server connections, and the log warns of it. Dual mode "
         "opens its own where there is no host, and uses the host's where there is one."},
        {!answers->library && answers->manager == CLI_MANAGER_HOST,
         "The manager comes from a host: to the code that is the same as being a library, whatever it is called. If "
         "the "
         "host is the only program that has it, it is a module of that program: the program has a shared pool, and the "
         "module's functions take a pgdbm_db."},
        {!answers->library && answers->manager == CLI_MANAGER_EITHER,
         "The manager may come from a host: that makes the code a library in effect, whatever it is called."},
        {answers->services > 1,
         "Several modules in one library: a pgdbm_module for each, all opened from the one source that the caller "
         "gave."},
        {answers->tenants > 1,
         "Many tenants: the host opens the library once for each, with the tenant's schema in pgdbm_source.schema. "
         "Attached to a pool that makes no connection."},
        {answers->worker == CLI_WORKER_SEPARATE_PROCESS,
         "A worker in a process of its own opens the library with a connection string; the program beside it, with its "
         "pool."},
    };
    add_notes(choice, remarks, sizeof remarks / sizeof remarks[0]);
}

static void remark_on_program(struct pgdbm__cli_choice *choice, const struct pgdbm__cli_answers *answers)
{
    bool apart = answers->services > 1 && answers->same_process_told && !answers->same_process;
    bool separate = answers->worker == CLI_WORKER_SEPARATE_PROCESS;
    const struct remark remarks[] = {
        {apart && choice->pattern == &pgdbm__cli_patterns[CLI_SHARED_POOL],
         "You say that the services run in processes of their own: a pool serves one process only. A process with one "
         "schema is standalone; a process with several (tenants, or a service and its worker) has one shared pool."},
        {answers->services == 1 && answers->same_process_told && !answers->same_process,
         "One service in several processes: each process opens its own pool. They may start at the same time: each "
         "migration is applied once."},
        {apart || separate,
         "Add up the pools: the number of processes times max_connections has to fit the server's max_connections, "
         "less what it reserves."},
        {separate, "The worker is a process of its own beside the program: standalone, with a schema of its own "
                   "(worker). After a fork a child must open its own manager."},
        {answers->worker == CLI_WORKER_SAME_PROCESS,
         "The worker is a thread of the program: one more manager on the pool, with a schema of its own (worker)."},
        {answers->tenants > 1, "pgdbm fleet apply migrates the tenants' schemas, pgdbm fleet status tells who is where "
                               "(docs/fleet.md)."},
    };
    add_notes(choice, remarks, sizeof remarks / sizeof remarks[0]);
}

struct pgdbm__cli_choice pgdbm__cli_decide(const struct pgdbm__cli_answers *answers)
{
    enum pgdbm__cli_row_kind kind = find_row(answers);
    const struct pgdbm__cli_row *row = &pgdbm__cli_rows[kind];
    struct pgdbm__cli_choice choice = {.pattern = &pgdbm__cli_patterns[row->use], .row = row, .why = reasons[kind]};
    if (kind == CLI_ROW_LIBRARY) {
        remark_on_library(&choice, answers);
        return choice;
    }
    if (answers->worker == CLI_WORKER_SEPARATE_PROCESS)
        choice.worker = &pgdbm__cli_rows[CLI_ROW_WORKER];
    remark_on_program(&choice, answers);
    return choice;
}
