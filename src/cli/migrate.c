/* SPDX-License-Identifier: MIT */
/* `pgdbm migrate apply` and `pgdbm migrate status`. No state. */
#include "command.h"
#include "output.h"

#include <pgdbm/pgdbm.h>
#include <stdlib.h>
#include <string.h>

enum { URL, DIRECTORY, MODULE, SCHEMA, JSON, DRY_RUN, N_APPLY_OPTIONS };
enum { N_STATUS_OPTIONS = DRY_RUN };

static const struct pgdbm__cli_option options[N_APPLY_OPTIONS] = {
    [URL] = {"url", "URL", NULL, "The database, as URI or key=value (default: DATABASE_URL)"},
    [DIRECTORY] = {"dir", "DIRECTORY", NULL, "Where the files are (default: migrations)"},
    [MODULE] = {"module", "NAME", NULL, "Whose migrations they are; recorded in the history (mandatory)"},
    [SCHEMA] = {"schema", "NAME", NULL, "The schema to migrate (default: PGDBM_SCHEMA, else public)"},
    [JSON] = {"json", NULL, NULL, "Print the answer as JSON"},
    [DRY_RUN] = {"dry-run", NULL, NULL, "Check and show what would be applied; write nothing"},
};

static const char *const state_names[] = {
    [PGDBM_MIGRATION_APPLIED] = "applied",
    [PGDBM_MIGRATION_PENDING] = "pending",
    [PGDBM_MIGRATION_CHANGED] = "changed",
    [PGDBM_MIGRATION_MISSING] = "missing",
};

typedef pgdbm_status migrate_call(pgdbm_db *db, const pgdbm_migrate_options *how, pgdbm_migration_report **report,
                                  pgdbm_error *err);

static size_t count(const pgdbm_migration_report *report, pgdbm_migration_state state)
{
    size_t found = 0;
    for (size_t i = 0; i < report->n_migrations; i++)
        found += report->migrations[i].state == state;
    return found;
}

/* Whether anything at all says where the server is; libpq's own default would be a guess. */
static bool names_a_database(const pgdbm_config *config)
{
    static const char *const of_libpq[] = {"PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE"};
    bool named = config->connection_string != NULL || config->host != NULL || config->database != NULL;
    for (size_t i = 0; i < sizeof of_libpq / sizeof of_libpq[0]; i++)
        named = named || getenv(of_libpq[i]) != NULL;
    return named;
}

/* Opens the manager that the options ask for; the exit code. */
static int open_manager(const struct pgdbm__cli_given *given, pgdbm_db **db, pgdbm_error *err)
{
    pgdbm_config config = {
        .connection_string = given->values[URL],
        .schema = given->values[SCHEMA],
        .min_connections = 1,
        .max_connections = 2,
        .fail_fast = true, /* a person waits: the second look is theirs */
    };
    pgdbm_status status = pgdbm_config_from_environment(&config, err);
    if (status == PGDBM_OK && !names_a_database(&config)) {
        *err = (pgdbm_error){.status = PGDBM_ERR_CONFIG, .message = "no database to work on"};
        snprintf(err->hint, sizeof err->hint,
                 "set DATABASE_URL or give --url; `pgdbm dev start` runs a private server and prints its URL");
        status = err->status;
    }
    if (status == PGDBM_OK)
        status = pgdbm_open(&config, db, err);
    return status == PGDBM_OK ? CLI_FINE : pgdbm__cli_exit_code(err, true);
}

static json_t *json_migration(const pgdbm_migration *migration)
{
    return json_pack("{s:o, s:o, s:s, s:b, s:b, s:o, s:o, s:o, s:o, s:f}", "filename",
                     pgdbm__cli_json_text(migration->filename), "version", pgdbm__cli_json_text(migration->version),
                     "state", state_names[migration->state], "no_transaction", (int)migration->no_transaction,
                     "applied_now", (int)migration->applied_now, "checksum", pgdbm__cli_json_text(migration->checksum),
                     "applied_checksum", pgdbm__cli_json_text(migration->applied_checksum), "applied_at",
                     pgdbm__cli_json_text(migration->applied_at), "applied_by",
                     pgdbm__cli_json_text(migration->applied_by), "execution_ms", migration->execution_ms);
}

/* The report and the error as one object; either may be NULL. */
static bool print_json(const pgdbm_migration_report *report, bool dry_run, const pgdbm_error *err)
{
    json_t *answer = json_object();
    if (report != NULL) {
        json_t *migrations = json_array();
        for (size_t i = 0; i < report->n_migrations; i++)
            json_array_append_new(migrations, json_migration(&report->migrations[i]));
        json_object_update_new(answer,
                               json_pack("{s:o, s:o, s:b, s:I, s:I, s:I, s:I, s:o}", "module",
                                         pgdbm__cli_json_text(report->module), "schema",
                                         pgdbm__cli_json_text(report->schema), "dry_run", (int)dry_run, "applied_now",
                                         (json_int_t)report->n_applied, "pending", (json_int_t)report->n_pending,
                                         "changed", (json_int_t)count(report, PGDBM_MIGRATION_CHANGED), "missing",
                                         (json_int_t)count(report, PGDBM_MIGRATION_MISSING), "migrations", migrations));
    }
    if (err != NULL)
        json_object_set_new(answer, "error", pgdbm__cli_json_error(err));
    return pgdbm__cli_print_json(answer);
}

/* The table of all files, or only of those that this run applied or would apply. */
static bool print_table(const pgdbm_migration_report *report, bool only_now, bool dry_run)
{
    static const char *const headings[] = {"VERSION", "FILE", "STATE", "APPLIED AT", "TOOK"};
    static const enum pgdbm__cli_style styles[] = {
        [PGDBM_MIGRATION_APPLIED] = CLI_GREEN,
        [PGDBM_MIGRATION_PENDING] = CLI_YELLOW,
        [PGDBM_MIGRATION_CHANGED] = CLI_RED,
        [PGDBM_MIGRATION_MISSING] = CLI_RED,
    };
    enum { N_COLUMNS = sizeof headings / sizeof headings[0], TOOK_BYTES = 32 };
    struct pgdbm__cli_cell *cells = calloc(report->n_migrations + 1, sizeof *cells * N_COLUMNS);
    char(*took)[TOOK_BYTES] = calloc(report->n_migrations + 1, sizeof *took);
    size_t n_rows = 0;
    bool enough_memory = cells != NULL && took != NULL;
    for (size_t i = 0; enough_memory && i < report->n_migrations; i++) {
        const pgdbm_migration *migration = &report->migrations[i];
        bool would_run = dry_run && migration->state == PGDBM_MIGRATION_PENDING;
        if (only_now && !migration->applied_now && !would_run)
            continue;
        if (migration->state != PGDBM_MIGRATION_PENDING)
            snprintf(took[n_rows], TOOK_BYTES, "%.0f ms", migration->execution_ms);
        struct pgdbm__cli_cell *row = &cells[n_rows * N_COLUMNS];
        row[0].text = migration->version;
        row[1].text = migration->filename;
        row[2] = (struct pgdbm__cli_cell){state_names[migration->state], styles[migration->state]};
        row[3].text = migration->applied_at;
        row[4].text = took[n_rows];
        n_rows++;
    }
    if (!enough_memory)
        pgdbm__cli_say_error(NULL, "out of memory");
    else if (n_rows > 0) {
        putchar('\n');
        pgdbm__cli_print_table(headings, N_COLUMNS, cells, n_rows);
        putchar('\n');
    }
    free(cells);
    free(took);
    return enough_memory;
}

static const char *files(size_t n)
{
    return n == 1 ? "file" : "files";
}

static bool print_applied(const pgdbm_migration_report *report, bool dry_run, bool failed)
{
    printf("module %s, schema %s\n", report->module, report->schema);
    if (!print_table(report, true, dry_run))
        return false;
    if (dry_run)
        printf("%zu %s would be applied; nothing was written\n", report->n_applied, files(report->n_applied));
    else if (report->n_applied == 0 && !failed)
        printf("nothing to do: %zu %s, all applied\n", report->n_migrations, files(report->n_migrations));
    else
        printf("%zu %s applied%s\n", report->n_applied, files(report->n_applied), failed ? ", then it failed" : "");
    return true;
}

static bool print_status(const pgdbm_migration_report *report)
{
    size_t changed = count(report, PGDBM_MIGRATION_CHANGED);
    size_t missing = count(report, PGDBM_MIGRATION_MISSING);
    printf("module %s, schema %s\n", report->module, report->schema);
    if (!print_table(report, false, false))
        return false;
    printf("%zu applied, %zu pending", count(report, PGDBM_MIGRATION_APPLIED), report->n_pending);
    if (changed > 0)
        printf(", %zu changed after being applied", changed);
    if (missing > 0)
        printf(", %zu applied but without a file", missing);
    putchar('\n');
    return true;
}

/* Opens, calls, prints. `report` is left to the caller. */
static int migrate(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given, migrate_call *call,
                   pgdbm_migration_report **report)
{
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    bool dry_run = given->values[DRY_RUN] != NULL;
    bool json = given->values[JSON] != NULL;
    if (given->values[MODULE] == NULL) {
        pgdbm__cli_say_error("a history without names mixes the modules of a schema up: give --module NAME",
                             "migrate %s: no module named", command->name);
        return CLI_USAGE;
    }
    int code = open_manager(given, &db, &err);
    if (code == CLI_FINE) {
        const pgdbm_migrations migrations = {.directory = given->values[DIRECTORY] != NULL ? given->values[DIRECTORY]
                                                                                           : "migrations"};
        const pgdbm_migrate_options how = {
            .module = given->values[MODULE], .migrations = &migrations, .dry_run = dry_run};
        if (call(db, &how, report, &err) != PGDBM_OK)
            code = pgdbm__cli_exit_code(&err, false);
    }
    bool failed = code != CLI_FINE;
    bool printed = true;
    if (json)
        printed = print_json(*report, dry_run, failed ? &err : NULL);
    else if (*report != NULL)
        printed = call == pgdbm_migrate ? print_applied(*report, dry_run, failed) : print_status(*report);
    if (failed)
        pgdbm__cli_say_library_error(&err);
    pgdbm_close(db);
    return printed ? code : CLI_FAILED;
}

static int apply(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    pgdbm_migration_report *report = NULL;
    int code = migrate(command, given, pgdbm_migrate, &report);
    pgdbm_migration_report_free(report);
    return code;
}

static int status(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    pgdbm_migration_report *report = NULL;
    int code = migrate(command, given, pgdbm_migrate_status, &report);
    if (code == CLI_FINE && (report->n_pending > 0 || count(report, PGDBM_MIGRATION_CHANGED) > 0))
        code = CLI_PENDING;
    pgdbm_migration_report_free(report);
    return code;
}

const struct pgdbm__cli_command pgdbm__cli_migrate_apply = {
    .group = "migrate",
    .name = "apply",
    .summary = "Apply the migrations that are pending",
    .description = "Applies the files of a directory to one schema, in the order of their numbers, each exactly once, "
                   "each in a transaction. Makes the schema when it is missing. Stops at the first file that fails: "
                   "the ones before it stay, nothing of it remains, the next run resumes. Any number of processes "
                   "may start together.",
    .example = "pgdbm migrate apply --module users --schema users --dir migrations/users",
    .options = options,
    .n_options = N_APPLY_OPTIONS,
    .run = apply,
};

const struct pgdbm__cli_command pgdbm__cli_migrate_status = {
    .group = "migrate",
    .name = "status",
    .summary = "Show which migrations are applied, pending or changed",
    .description = "Looks without writing or locking anything. The exit code is 3 when a file is pending, or was "
                   "changed after it was applied, so that a deployment can ask before it starts.",
    .example = "pgdbm migrate status --module users --schema users --dir migrations/users --json",
    .options = options,
    .n_options = N_STATUS_OPTIONS,
    .run = status,
};
