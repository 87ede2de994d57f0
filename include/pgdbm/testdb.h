/* SPDX-License-Identifier: MIT */
/* Throw-away databases (part of <pgdbm/testkit.h>; programs link libpgdbm-testkit and libpgdbm).
 *
 *     pgdbm_testdb *testdb = NULL;
 *     const pgdbm_testdb_options options = {.migrations = &shop_migrations, .schema = "shop"};
 *     if (pgdbm_testdb_create(&options, &testdb, &err) != PGDBM_OK) ...
 *     pgdbm_execute(pgdbm_testdb_manager(testdb), "INSERT ...", ...);
 *     pgdbm_testdb_drop(testdb);
 *
 * Where: on the server of TEST_DATABASE_URL, or of TEST_DB_HOST, TEST_DB_PORT, TEST_DB_USER, TEST_DB_PASSWORD and
 * TEST_DB_NAME if any of these is set (the database that they name is only connected to, "postgres" by default; the user
 * needs CREATEDB); else on the private server that all test processes share (pgdbm_testserver_shared).
 *
 * Nothing is left behind. A database is dropped by pgdbm_testdb_drop; if that is not called, also because the process is
 * killed (SIGKILL too), a janitor drops it: a process of the program's own executable, started with the first database,
 * that waits for the end of its starter. What the janitor could not drop (the machine stopped, the server was away, the
 * kit was linked into a library that was loaded by dlopen and there is no janitor) is dropped when the next process makes
 * its first database on that server, and by `pgdbm test sweep`. A child made by fork owns what it creates itself, and
 * leaves its parent's databases alone.
 *
 * Migrations run once. The first database that is to contain them is made by way of a template, which is named by the
 * SHA-256 of the files' names and contents, the schema, the module, pgdbm's version and the server's role; it and all
 * further ones, of other processes too, are copies of that. A file that changes gives another template, and the one before
 * is dropped. Of several processes one makes the template and the others wait for it; one that is not complete is never
 * used. Settings and rights of the database itself (ALTER DATABASE ... SET, GRANT ... ON DATABASE) are not copied: use
 * .without_template where migrations make these, or where they shall run for every test.
 *
 * Every database is named pgdbm_test_PID_START_HOST_TIME_RANDOM (hexadecimal; START is the owner's start time as in
 * /proc/PID/stat, HOST a hash of the kernel's boot id and the process namespace, TIME seconds of the epoch), and says the
 * same in its comment. Only databases that are named so are ever dropped, and none whose comment somebody else wrote.
 *
 * A server that looks like production is refused (PGDBM_ERR_CONFIG, before anything is made or dropped): when its host, the
 * database, the user or libpq's service has a word like prod, production, prd or live in its name, whether the connection
 * string or PGHOST, PGUSER and PGSERVICE say so; when PGDBM_ENV, APP_ENV or ENVIRONMENT says so; when the host (if there is
 * a hostaddr, that) is neither local nor in a private network, and the database's name has no word like test, ci, dev, qa,
 * staging or sandbox; when the server is a standby, archives its log, or has standbys. `.even_if_production`, or
 * PGDBM_TEST_EVEN_IF_PRODUCTION=yes in the environment, overrules that. The kit's private server is never refused. */
#ifndef PGDBM_TESTDB_H
#define PGDBM_TESTDB_H

#include <pgdbm/db.h>
#include <pgdbm/migrate.h>
#include <pgdbm/module.h>

typedef struct pgdbm_testdb pgdbm_testdb;

/* All zero: an empty database. */
typedef struct pgdbm_testdb_options {
    const char *schema; /* the manager's schema, made if it is missing; NULL: none, or the module's name */
    /* What the database shall contain, one of these at most: */
    const pgdbm_module *module;         /* as pgdbm_module_open would make it */
    const pgdbm_migrations *migrations; /* as pgdbm_migrate would, recorded for the module "test" */
    bool without_template;              /* apply them to this database itself, see above */
    bool without_manager;   /* leave no session open: for programs that make pools of their own with pgdbm_testdb_url */
    const char *server_url; /* another server than the environment's; its database is only connected to */
    const pgdbm_config *config; /* of the manager's pool; its connection fields and schema must be empty. Zero means
                                   here: min_connections 1, drain_timeout_ms 1 000, retry_attempts -1, no remark about a
                                   second pool */
    bool even_if_production;    /* see below */
    int timeout_ms;             /* for making the database, waiting for other processes included; 60 000 */
} pgdbm_testdb_options;

PGDBM_BEGIN_DECLS

PGDBM_EXPORT pgdbm_status pgdbm_testdb_create_sized(const pgdbm_testdb_options *options, size_t options_bytes,
                                                    pgdbm_testdb **testdb, pgdbm_error *err);

/* Makes a database and a manager on it. `options` may be NULL. `*testdb` is the caller's, released with
 * pgdbm_testdb_drop. Errors: ARGUMENT, CONFIG (options that contradict each other, a malformed connection string, naming
 * the variable), TESTDB (no private server), TIMEOUT, and everything that pgdbm_open, pgdbm_migrate and CREATE DATABASE
 * can return. After an error nothing is left. Any thread. */
static inline pgdbm_status pgdbm_testdb_create(const pgdbm_testdb_options *options, pgdbm_testdb **testdb,
                                               pgdbm_error *err)
{
    return pgdbm_testdb_create_sized(options, sizeof *options, testdb, err);
}

PGDBM_EXPORT pgdbm_status pgdbm_testdb_create_many_sized(const pgdbm_testdb_options *options, size_t options_bytes,
                                                         size_t count, pgdbm_testdb **testdbs, pgdbm_error *err);

/* Makes `count` databases alike into the places of `testdbs`: all of them, or after an error none (the places are NULL
 * then). Each is released by itself. */
static inline pgdbm_status pgdbm_testdb_create_many(const pgdbm_testdb_options *options, size_t count,
                                                    pgdbm_testdb **testdbs, pgdbm_error *err)
{
    return pgdbm_testdb_create_many_sized(options, sizeof *options, count, testdbs, err);
}

/* The manager, which pgdbm_testdb_drop closes; the connection string, for programs and pools of your own; the name.
 * Borrowed from the handle; NULL for NULL, and there is no manager with .without_manager. */
PGDBM_EXPORT pgdbm_db *pgdbm_testdb_manager(const pgdbm_testdb *testdb);
PGDBM_EXPORT const char *pgdbm_testdb_url(const pgdbm_testdb *testdb);
PGDBM_EXPORT const char *pgdbm_testdb_name(const pgdbm_testdb *testdb);

/* Closes the manager, drops the database, whoever is connected to it, and releases the handle. NULL is legal. When the
 * server is away the sweep of a later process drops it. In a process forked from the creator's it only releases the
 * handle. */
PGDBM_EXPORT void pgdbm_testdb_drop(pgdbm_testdb *testdb);

/* Isolation by rollback, for tests that can share a database: a manager inside of a transaction that ends with a rollback,
 * which takes less than a millisecond. Code under test gets it as the manager it would get anyhow, and may begin and
 * commit (these become savepoints), attach managers to its pool (pgdbm_pool_of), and open modules on it; nothing of that
 * is there afterwards. Nobody else sees it either: it has one session, and a pool of its own. What is different from a
 * manager of many sessions is said at pgdbm_enclose in <pgdbm/transaction.h>; now() stands still, sequences are not put
 * back, and migrations without a transaction cannot run there: let the database have them, by .module or .migrations.
 * `schema` NULL: that of the database's manager. `*db` is released with pgdbm_testdb_isolated_end, or by dropping the
 * database, never with pgdbm_close. Several may be open at once, each blind to the others. Errors: those of pgdbm_open
 * and pgdbm_begin. The testdb is used by one thread at a time, the managers by others too. */
PGDBM_EXPORT pgdbm_status pgdbm_testdb_isolated_as(pgdbm_testdb *testdb, const char *schema, pgdbm_db **db,
                                                   pgdbm_error *err);
static inline pgdbm_status pgdbm_testdb_isolated(pgdbm_testdb *testdb, pgdbm_db **db, pgdbm_error *err)
{
    return pgdbm_testdb_isolated_as(testdb, NULL, db, err);
}

/* Undoes what was done on the manager and all that were attached to its pool, and releases it; managers and transactions
 * that code under test has not released answer PGDBM_ERR_TRANSACTION, and are still to be released. NULL is legal. */
PGDBM_EXPORT void pgdbm_testdb_isolated_end(pgdbm_testdb *testdb, pgdbm_db *db);

/* Dropping what processes have left that are gone. */
typedef struct pgdbm_sweep_options {
    bool dry_run;            /* only say what would be dropped */
    bool even_if_production; /* see above */
    int foreign_age_s;  /* Whether a process of another host, another container, or from before the last start of the
                                machine lives cannot be known: its databases are dropped when they are so old, and nobody is
                                connected to them; 86 400; -1: never */
    int template_age_s; /* templates that no process has used for so long; 604 800 (noted once a day); -1: never */
} pgdbm_sweep_options;

typedef enum pgdbm_swept {
    PGDBM_SWEPT_KEPT = 0,
    PGDBM_SWEPT_DROPPED, /* dry run: would be */
    PGDBM_SWEPT_FAILED   /* was to be dropped, and could not be */
} pgdbm_swept;

typedef struct pgdbm_swept_database {
    char name[64];
    pgdbm_swept what;
    char reason[192]; /* "process 4711 is gone" */
} pgdbm_swept_database;

/* All databases whose names begin with pgdbm_test_ or pgdbm_template_, by name. */
typedef struct pgdbm_sweep_report {
    pgdbm_swept_database *databases;
    size_t n_databases;
    size_t n_dropped;
    size_t n_failed;
} pgdbm_sweep_report;

PGDBM_EXPORT pgdbm_status pgdbm_testdb_sweep_sized(const char *url, const pgdbm_sweep_options *options,
                                                   size_t options_bytes, pgdbm_sweep_report **report, pgdbm_error *err);

/* Drops on the server of `url` (NULL: the environment's, as above) what no living process owns. The first creation of a
 * process on a server does the same. `options` and `report` may be NULL; `*report` is the caller's, released with
 * pgdbm_sweep_report_free, and NULL after an error. A database that could not be dropped is no error. Errors: CONFIG (no
 * server named; it looks like production), CONNECTION, QUERY, NOMEM. Any thread. */
static inline pgdbm_status pgdbm_testdb_sweep(const char *url, const pgdbm_sweep_options *options,
                                              pgdbm_sweep_report **report, pgdbm_error *err)
{
    return pgdbm_testdb_sweep_sized(url, options, sizeof *options, report, err);
}

/* Releases a report. NULL is legal. */
PGDBM_EXPORT void pgdbm_sweep_report_free(pgdbm_sweep_report *report);

static inline void pgdbm_testdb_drop_at(pgdbm_testdb **testdb)
{
    pgdbm_testdb_drop(*testdb);
    *testdb = NULL;
}

/* A variable whose database is dropped at the end of its scope: `PGDBM_TESTDB_AUTO(testdb);` declares `pgdbm_testdb
 * *testdb`, NULL at first. Not by longjmp, which is how cmocka leaves a test that fails: use a teardown function there, or
 * leave it to the janitor. Defined where the compiler can do it (GCC, Clang). */
#if defined(__GNUC__) || defined(__clang__)
#define PGDBM_TESTDB_AUTO(name) pgdbm_testdb *name __attribute__((cleanup(pgdbm_testdb_drop_at))) = NULL
#endif

PGDBM_END_DECLS
#endif
