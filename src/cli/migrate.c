/* SPDX-License-Identifier: MIT */
/* `pgdbm migrate apply|status|rollback|baseline|repair|verify|history|check`: options become pgdbm_migrate_options, a verb
 * of the library is called, its report is printed. No state. */
#include "database.h"
#include "migrate_report.h"
#include "output.h"

#include <string.h>

#define OPTION_SCHEMA                                                                                                  \
    {                                                                                                                  \
        "schema", "NAME", NULL, "The schema to work on (default: PGDBM_SCHEMA, else public)"                           \
    }
#define OPTION_PER_SCHEMA                                                                                              \
    {                                                                                                                  \
        "per-schema", NULL, NULL, "The module lives in several schemas: recorded as NAME_SCHEMA"                       \
    }
#define OPTION_WAIT                                                                                                    \
    {                                                                                                                  \
        "wait", "TIME", NULL, "For another process that migrates the module, or off (default: 5min)"                   \
    }
#define OPTION_DRY_RUN                                                                                                 \
    {                                                                                                                  \
        "dry-run", NULL, NULL, "Check, and print the SQL that would be sent; write nothing"                            \
    }
#define OPTION_ALLOW_CHANGED                                                                                           \
    {                                                                                                                  \
        "allow-changed", NULL, NULL, "Go on though a file was changed after it was applied"                            \
    }
#define OPTION_ALLOW_MISSING                                                                                           \
    {                                                                                                                  \
        "allow-missing", NULL, NULL, "Go on though an applied file is gone"                                            \
    }
#define DATABASE_OPTIONS                                                                                               \
    CLI_OPTION_URL, CLI_OPTION_MODULE, OPTION_SCHEMA, OPTION_PER_SCHEMA, CLI_OPTION_TABLE, CLI_OPTION_JSON
#define COMMON_OPTIONS DATABASE_OPTIONS, CLI_OPTION_DIRECTORY
#define N_OF(table) (sizeof(table) / sizeof(table)[0])

static const struct pgdbm__cli_option apply_options[] = {
    COMMON_OPTIONS,
    OPTION_DRY_RUN,
    {"try", NULL, NULL, "Run everything in one transaction and roll it back; show the locks it took"},
    {"target", "NUMBER", NULL, "Apply up to this number (default: all)"},
    OPTION_WAIT,
    CLI_OPTION_LOCK_TIMEOUT,
    {"lock-attempts", "N", NULL, "How often a file is tried that cannot have its locks (default: 10)"},
    CLI_OPTION_BUILD,
    OPTION_ALLOW_CHANGED,
    OPTION_ALLOW_MISSING,
    {"allow-out-of-order", NULL, NULL, "Apply files whose number is below one that is applied"},
    {"allow-future", NULL, NULL, "Go on though the database has later files than the directory"},
    {"allow-gap", NULL, NULL, "Apply files though a number before them is missing"},
    {"allow-duplicate", NULL, NULL, "Apply files of the same number, by name"},
};
static const struct pgdbm__cli_option look_options[] = {COMMON_OPTIONS};
static const struct pgdbm__cli_option history_options[] = {DATABASE_OPTIONS};
static const struct pgdbm__cli_option rollback_options[] = {
    COMMON_OPTIONS,
    OPTION_DRY_RUN,
    {"count", "N", NULL, "How many files to undo (default: 1)"},
    {"target", "NUMBER", NULL, "Undo what is above this number, which stays; 0 undoes everything"},
    OPTION_WAIT,
    CLI_OPTION_LOCK_TIMEOUT,
    OPTION_ALLOW_CHANGED,
};
static const struct pgdbm__cli_option baseline_options[] = {
    COMMON_OPTIONS, OPTION_DRY_RUN,   {"target", "NUMBER", NULL, "Record up to this number (default: all)"},
    OPTION_WAIT,    CLI_OPTION_BUILD,
};
static const struct pgdbm__cli_option repair_options[] = {
    COMMON_OPTIONS,
    OPTION_DRY_RUN,
    OPTION_WAIT,
    {"allow-changed", NULL, NULL, "Record the checksums of files that were changed, too"},
    {"allow-missing", NULL, NULL, "Delete the rows of files that are gone, too"},
};
static const struct pgdbm__cli_option check_options[] = {
    COMMON_OPTIONS,
    {"min", "NUMBER", NULL, "The least number the program works with (default: the newest file's)"},
    {"max", "NUMBER", NULL, "The highest number it works with (default: no limit)"},
};

/* What the command line asks for. */
struct request {
    struct pgdbm__cli_target target;
    pgdbm_migrations migrations;
    pgdbm_migrate_options how;
    int count;
    bool json;
    struct pgdbm__cli_ticker ticker;
};

static pgdbm_migration_policy policy(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                                     const char *name)
{
    return pgdbm__cli_value(command, given, name) != NULL ? PGDBM_POLICY_ALLOW : PGDBM_POLICY_ERROR;
}

/* `request` must stay where it is: its parts point to each other. */
static int read_request(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                        struct request *request)
{
    pgdbm_migrate_options *how = &request->how;
    struct pgdbm__cli_chosen chosen = {0};
    int code = pgdbm__cli_target_read(command, given, &request->target);
    if (code == CLI_FINE)
        code = pgdbm__cli_choose_module(command, given, &request->target, &chosen);
    if (code == CLI_FINE)
        code = pgdbm__cli_duration(command, given, "wait", &how->wait_timeout_ms);
    if (code == CLI_FINE)
        code = pgdbm__cli_duration(command, given, "lock-timeout", &how->lock_timeout_ms);
    if (code == CLI_FINE)
        code = pgdbm__cli_number(command, given, "lock-attempts", 1, &how->lock_attempts);
    if (code == CLI_FINE)
        code = pgdbm__cli_number(command, given, "count", 1, &request->count);
    request->migrations.directory = chosen.directory;
    request->target.config.schema = chosen.schema;
    request->json = pgdbm__cli_value(command, given, "json") != NULL;
    how->migrations = &request->migrations;
    how->module = chosen.module;
    how->table = chosen.table;
    how->dry_run = pgdbm__cli_value(command, given, "dry-run") != NULL;
    how->per_schema = pgdbm__cli_value(command, given, "per-schema") != NULL;
    how->target = pgdbm__cli_value(command, given, "target");
    how->build = pgdbm__cli_value(command, given, "build");
    how->policies.changed = policy(command, given, "allow-changed");
    how->policies.missing = policy(command, given, "allow-missing");
    how->policies.out_of_order = policy(command, given, "allow-out-of-order");
    how->policies.future = policy(command, given, "allow-future");
    how->policies.gap = policy(command, given, "allow-gap");
    how->policies.duplicate = policy(command, given, "allow-duplicate");
    how->on_progress = pgdbm__cli_progress;
    how->context = &request->ticker;
    return code;
}

static pgdbm_status call(enum pgdbm__cli_verb verb, pgdbm_db *db, const struct request *request,
                         pgdbm_migration_report **report, pgdbm_error *err)
{
    const pgdbm_migrate_options *how = &request->how;
    switch (verb) {
    case CLI_APPLY:
        return pgdbm_migrate(db, how, report, err);
    case CLI_TRY:
        return pgdbm_migrate_try(db, how, report, err);
    case CLI_STATUS:
        return pgdbm_migrate_status(db, how, report, err);
    case CLI_ROLLBACK:
        return pgdbm_migrate_rollback(db, how, (size_t)request->count, report, err);
    case CLI_BASELINE:
        return pgdbm_migrate_baseline(db, how, report, err);
    case CLI_REPAIR:
        return pgdbm_migrate_repair(db, how, report, err);
    case CLI_VERIFY:
        return pgdbm_migrate_verify(db, how, report, err);
    case CLI_HISTORY:
        break;
    }
    pgdbm_migrate_options without_files = *how;
    without_files.migrations = NULL;
    return pgdbm_migrate_history(db, &without_files, report, err);
}

/* Reads, opens, calls, prints. What is not all applied is worth a code of its own to those who only look. */
static int run_verb(enum pgdbm__cli_verb verb, const struct pgdbm__cli_command *command,
                    const struct pgdbm__cli_given *given)
{
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    pgdbm_migration_report *report = NULL;
    struct request request = {.count = 1};
    int code = read_request(command, given, &request);
    if (code != CLI_FINE)
        goto done;
    code = pgdbm__cli_open(&request.target, 2, &db, &err);
    if (code == CLI_FINE && call(verb, db, &request, &report, &err) != PGDBM_OK)
        code = pgdbm__cli_exit_code(&err, false);
    pgdbm__cli_progress_end(&request.ticker);
    bool failed = code != CLI_FINE;
    bool printed = true;
    if (request.json)
        printed = pgdbm__cli_print_report_json(report, request.how.dry_run, failed ? &err : NULL);
    else if (report != NULL)
        printed = pgdbm__cli_print_report(verb, report, request.how.dry_run, failed);
    if (failed)
        pgdbm__cli_say_library_error(&err);
    else if (verb == CLI_STATUS && !pgdbm__cli_all_applied(report))
        code = CLI_PENDING;
    if (!printed)
        code = CLI_FAILED;
done:
    pgdbm_migration_report_free(report);
    pgdbm_close(db);
    pgdbm__cli_target_free(&request.target);
    return code;
}

static int apply(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    bool try = pgdbm__cli_value(command, given, "try") != NULL;
    if (try && pgdbm__cli_value(command, given, "dry-run") != NULL) {
        pgdbm__cli_say_error("--try runs everything and takes locks, --dry-run runs nothing",
                             "migrate apply: --try and --dry-run exclude each other");
        return CLI_USAGE;
    }
    return run_verb(try ? CLI_TRY : CLI_APPLY, command, given);
}

static int status(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    return run_verb(CLI_STATUS, command, given);
}

static int rollback(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    if (pgdbm__cli_value(command, given, "count") != NULL && pgdbm__cli_value(command, given, "target") != NULL) {
        pgdbm__cli_say_error("say how many, or down to which",
                             "migrate rollback: --count and --target exclude each other");
        return CLI_USAGE;
    }
    return run_verb(CLI_ROLLBACK, command, given);
}

static int baseline(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    return run_verb(CLI_BASELINE, command, given);
}

static int repair(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    return run_verb(CLI_REPAIR, command, given);
}

static int verify(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    return run_verb(CLI_VERIFY, command, given);
}

static int history(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    return run_verb(CLI_HISTORY, command, given);
}

static int check(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    pgdbm_migration_skew skew = PGDBM_SKEW_EQUAL;
    struct request request = {0};
    int code = read_request(command, given, &request);
    if (code != CLI_FINE)
        goto done;
    code = pgdbm__cli_open(&request.target, 2, &db, &err);
    bool reached = code == CLI_FINE;
    pgdbm_status checked = PGDBM_OK;
    if (reached) {
        checked = pgdbm_migrate_check(db, &request.how, pgdbm__cli_value(command, given, "min"),
                                      pgdbm__cli_value(command, given, "max"), &skew, &err);
        if (checked != PGDBM_OK)
            code = checked == PGDBM_ERR_MIGRATION && skew == PGDBM_SKEW_BEHIND ? CLI_PENDING
                                                                               : pgdbm__cli_exit_code(&err, false);
    }
    bool known = reached && (checked == PGDBM_OK || checked == PGDBM_ERR_MIGRATION);
    bool printed = true;
    if (request.json) {
        json_t *answer =
            json_pack("{s:o, s:b}", "skew", known ? json_string(pgdbm_migration_skew_name(skew)) : json_null(), "fits",
                      code == CLI_FINE);
        if (answer != NULL && code != CLI_FINE)
            json_object_set_new(answer, "error", pgdbm__cli_json_error(&err));
        printed = pgdbm__cli_print_json(answer);
    } else if (known)
        printf("%s\n", pgdbm_migration_skew_name(skew));
    if (code != CLI_FINE)
        pgdbm__cli_say_library_error(&err);
    if (!printed)
        code = CLI_FAILED;
done:
    pgdbm_close(db);
    pgdbm__cli_target_free(&request.target);
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
    .example = "pgdbm migrate apply --module users --schema users --dir migrations/users\n"
               "pgdbm migrate apply --module users --schema users --dry-run | less",
    .options = apply_options,
    .n_options = N_OF(apply_options),
    .run = apply,
};

const struct pgdbm__cli_command pgdbm__cli_migrate_status = {
    .group = "migrate",
    .name = "status",
    .summary = "Show which migrations are applied, pending or changed",
    .description = "Looks without writing or locking anything. The exit code is 3 when a file is pending, or anything "
                   "else is not as it was applied, so that a deployment can ask before it starts.",
    .example = "pgdbm migrate status --module users --schema users --dir migrations/users --json",
    .options = look_options,
    .n_options = N_OF(look_options),
    .run = status,
};

const struct pgdbm__cli_command pgdbm__cli_migrate_rollback = {
    .group = "migrate",
    .name = "rollback",
    .summary = "Undo applied migrations by their down parts, the newest first",
    .description =
        "Each file is undone in a transaction, by its down part: NNN_name.down.sql, or what follows a line "
        "`-- pgdbm:down`; where the file is gone, by the one that was recorded. A down part that is missing, "
        "or a file that was changed since, is an error before anything runs.",
    .example = "pgdbm migrate rollback --module users --schema users --count 1\n"
               "pgdbm migrate rollback --module users --schema users --target 12",
    .options = rollback_options,
    .n_options = N_OF(rollback_options),
    .run = rollback,
};

const struct pgdbm__cli_command pgdbm__cli_migrate_baseline = {
    .group = "migrate",
    .name = "baseline",
    .summary = "Record files as applied without running them",
    .description = "For a database that has what the files would make. Refused where the module has a history already.",
    .example = "pgdbm migrate baseline --module users --schema users --target 12",
    .options = baseline_options,
    .n_options = N_OF(baseline_options),
    .run = baseline,
};

const struct pgdbm__cli_command pgdbm__cli_migrate_repair = {
    .group = "migrate",
    .name = "repair",
    .summary = "Make the history fit files of which only comments were changed",
    .description =
        "Records the checksums of files that differ in comments and white space only, and gives rows without "
        "a module to this one where the text is that of its file. What is still wrong afterwards is an error.",
    .example = "pgdbm migrate repair --module users --schema users",
    .options = repair_options,
    .n_options = N_OF(repair_options),
    .run = repair,
};

const struct pgdbm__cli_command pgdbm__cli_migrate_verify = {
    .group = "migrate",
    .name = "verify",
    .summary = "Fail unless history and files say the same",
    .description =
        "Looks without writing or locking anything. Pending and reformatted files count, and so do indexes of "
        "the schema that are invalid.",
    .example = "pgdbm migrate verify --module users --schema users",
    .options = look_options,
    .n_options = N_OF(look_options),
    .run = verify,
};

const struct pgdbm__cli_command pgdbm__cli_migrate_history = {
    .group = "migrate",
    .name = "history",
    .summary = "List what was applied, in the order in which it was",
    .description = "When, by whom, by which build, and how long it took.",
    .example = "pgdbm migrate history --module users --schema users --json",
    .options = history_options,
    .n_options = N_OF(history_options),
    .run = history,
};

const struct pgdbm__cli_command pgdbm__cli_migrate_check = {
    .group = "migrate",
    .name = "check",
    .summary = "Say whether the database is behind, equal, ahead or diverged",
    .description =
        "For the start of a program: one query, no lock. Prints equal, behind, ahead or diverged. The exit code "
        "is 0 when the database's number is between --min and --max, 3 when it is behind, 1 otherwise.",
    .example = "pgdbm migrate check --module users --schema users --min 12 --max 14",
    .options = check_options,
    .n_options = N_OF(check_options),
    .run = check,
};
