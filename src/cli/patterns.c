/* SPDX-License-Identifier: MIT */
/* The decision tree and what is said about each end of it. Pure. */
#include "patterns.h"

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

struct pgdbm__cli_choice pgdbm__cli_decide(const struct pgdbm__cli_answers *answers)
{
    static const struct pgdbm__cli_choice library = {
        .pattern = &pgdbm__cli_patterns[CLI_DUAL_MODE],
        .row = {"a library that other programs link", "the code has to work in somebody else's program"},
        .why = "Other programs link this code, so where it will live is unknown: it must work with a database of its "
               "own and inside a host that already has a pool. It brings its own migrations in both.",
    };
    static const struct pgdbm__cli_choice one_service = {
        .pattern = &pgdbm__cli_patterns[CLI_STANDALONE],
        .row = {"a simple service", "one service, its own pool"},
        .why = "One service needs the database and nobody else links its code: there is nothing to share a pool with. "
               "One call opens it, one call closes it.",
    };
    static const struct pgdbm__cli_choice many_in_one = {
        .pattern = &pgdbm__cli_patterns[CLI_SHARED_POOL],
        .row = {"several services, modules or tenants in one process", "connections have to be used well"},
        .why = "Several services live in one process: one pool with few connections serves them all, each through a "
               "manager bound to a schema of its own. A manager costs next to nothing; a pool for each would cost the "
               "server connections.",
    };
    static const struct pgdbm__cli_choice many_apart = {
        .pattern = &pgdbm__cli_patterns[CLI_STANDALONE],
        .row = {"a background worker, or services in containers", "each is an operating-system process of its own"},
        .why = "Processes cannot share a pool, so each opens its own. On one database, give each a schema of its own "
               "(worker, orders, ...), so that their tables never meet.",
    };
    if (answers->library)
        return library;
    if (answers->services <= 1)
        return one_service;
    return answers->same_process ? many_in_one : many_apart;
}
