/* SPDX-License-Identifier: MIT */
/* `pgdbm migrate apply|status|rollback|baseline|repair|verify|history|check`: options become pgdbm_migrate_options, a verb
 * of the library is called, its report is printed. No state. */
#include "confirm.h"
#include "database.h"
#include "migrate_report.h"
#include "migrate_request.h"
#include "output.h"
#include "progress.h"

#include <string.h>

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
    CLI_OPTION_URL, CLI_OPTION_MODULE, CLI_OPTION_SCHEMA, CLI_OPTION_PER_SCHEMA, CLI_OPTION_TABLE, CLI_OPTION_JSON
#define COMMON_OPTIONS DATABASE_OPTIONS, CLI_OPTION_DIRECTORY
#define OPTION_ALL                                                                                                     \
    {                                                                                                                  \
        "all", NULL, NULL, "All modules of pgdbm.conf, each in its schema, dependencies first"                         \
    }
#define N_OF(table) (sizeof(table) / sizeof(table)[0])

static const struct pgdbm__cli_option apply_options[] = {
    COMMON_OPTIONS,
    OPTION_ALL,
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
static const struct pgdbm__cli_option look_options[] = {COMMON_OPTIONS, OPTION_ALL};
static const struct pgdbm__cli_option history_options[] = {DATABASE_OPTIONS, OPTION_ALL};
static const struct pgdbm__cli_option rollback_options[] = {
    COMMON_OPTIONS,
    CLI_OPTION_YES,
    OPTION_DRY_RUN,
    {"count", "N", NULL, "How many files to undo (default: 1)"},
    {"target", "NUMBER", NULL, "Undo what is above this number, which stays; 0 undoes everything"},
    OPTION_WAIT,
    CLI_OPTION_LOCK_TIMEOUT,
    OPTION_ALLOW_CHANGED,
};
static const struct pgdbm__cli_option baseline_options[] = {
    COMMON_OPTIONS, OPTION_ALL,
    OPTION_DRY_RUN, {"target", "NUMBER", NULL, "Record up to this number (default: all)"},
    OPTION_WAIT,    CLI_OPTION_BUILD,
};
static const struct pgdbm__cli_option repair_options[] = {
    COMMON_OPTIONS,
    OPTION_ALL,
    OPTION_DRY_RUN,
    OPTION_WAIT,
    {"allow-changed", NULL, NULL, "Record the checksums of files that were changed, too"},
    {"allow-missing", NULL, NULL, "Delete the rows of files that are gone, too"},
};
static const struct pgdbm__cli_option check_options[] = {
    COMMON_OPTIONS,
    OPTION_ALL,
    {"min", "NUMBER", NULL, "The least number the program works with (default: the newest file's)"},
    {"max", "NUMBER", NULL, "The highest number it works with (default: no limit)"},
};

/* Down parts drop what data lies in. */
static int confirm_rollback(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                            const struct pgdbm__cli_request *request)
{
    const struct pgdbm__cli_part *part = &request->parts[0];
    char what[512];
    if (part->how.target != NULL)
        snprintf(what, sizeof what, "the files of %.100s above %.100s would be undone", part->chosen.module,
                 part->how.target);
    else
        snprintf(what, sizeof what, "the last %d of the files of %.100s would be undone", request->count,
                 part->chosen.module);
    return pgdbm__cli_confirm(command, given, &request->target, NULL, what);
}

/* Reads, opens, calls, prints. What is not all applied is worth a code of its own to those who only look. */
static int run_verb(enum pgdbm__cli_verb verb, enum pgdbm__cli_default by_default,
                    const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    pgdbm_error err = {0};
    struct pgdbm__cli_request request = {0};
    int code = pgdbm__cli_request_read(command, given, by_default, &request);
    if (code == CLI_FINE && verb == CLI_ROLLBACK && !request.dry_run)
        code = confirm_rollback(command, given, &request);
    if (code != CLI_FINE)
        goto done;
    pgdbm_status status = PGDBM_OK;
    code = pgdbm__cli_request_open(&request, &err);
    if (code == CLI_FINE && !request.all && verb == CLI_APPLY)
        status = pgdbm__cli_check_dependencies(&request, &err);
    if (code == CLI_FINE && status == PGDBM_OK)
        status = request.all ? pgdbm__cli_call_all(verb, &request, &err)
                             : pgdbm__cli_call(verb, &request, &request.parts[0], &err);
    if (status != PGDBM_OK)
        code = pgdbm__cli_exit_code(&err, false);
    pgdbm__cli_progress_end();
    if (!pgdbm__cli_print_request(verb, &request, code != CLI_FINE ? &err : NULL))
        code = CLI_FAILED;
    else if (code == CLI_FINE && verb == CLI_STATUS)
        for (size_t i = 0; i < request.n_parts; i++)
            code = pgdbm__cli_all_applied(request.parts[i].report) ? code : CLI_PENDING;
done:
    pgdbm__cli_request_free(&request);
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
    if (try && pgdbm__cli_value(command, given, "all") != NULL) {
        pgdbm__cli_say_error("what one of them makes is rolled back before the next is tried: give --module NAME",
                             "migrate apply: --try and --all exclude each other");
        return CLI_USAGE;
    }
    return run_verb(try ? CLI_TRY : CLI_APPLY, try ? CLI_DEFAULT_ONE : CLI_DEFAULT_ALL, command, given);
}

static int status(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    return run_verb(CLI_STATUS, CLI_DEFAULT_ALL, command, given);
}

static int rollback(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    if (pgdbm__cli_value(command, given, "count") != NULL && pgdbm__cli_value(command, given, "target") != NULL) {
        pgdbm__cli_say_error("say how many, or down to which",
                             "migrate rollback: --count and --target exclude each other");
        return CLI_USAGE;
    }
    return run_verb(CLI_ROLLBACK, CLI_DEFAULT_ONE, command, given);
}

static int baseline(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    return run_verb(CLI_BASELINE, CLI_DEFAULT_ONE, command, given);
}

static int repair(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    return run_verb(CLI_REPAIR, CLI_DEFAULT_ONE, command, given);
}

static int verify(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    return run_verb(CLI_VERIFY, CLI_DEFAULT_ALL, command, given);
}

static int history(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    return run_verb(CLI_HISTORY, CLI_DEFAULT_ALL, command, given);
}

/* How one module stands: `known` unless it could not be seen. */
struct standing {
    pgdbm_migration_skew skew;
    bool known;
    int code;
    pgdbm_error err;
};

static struct standing look_at(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                               const struct pgdbm__cli_part *part)
{
    struct standing found = {.skew = PGDBM_SKEW_EQUAL};
    pgdbm_status status = pgdbm_migrate_check(part->db, &part->how, pgdbm__cli_value(command, given, "min"),
                                              pgdbm__cli_value(command, given, "max"), &found.skew, &found.err);
    found.known = status == PGDBM_OK || status == PGDBM_ERR_MIGRATION;
    if (status != PGDBM_OK)
        found.code = status == PGDBM_ERR_MIGRATION && found.skew == PGDBM_SKEW_BEHIND
                         ? CLI_PENDING
                         : pgdbm__cli_exit_code(&found.err, false);
    return found;
}

static json_t *json_standing(const struct standing *found, const char *module)
{
    json_t *answer = json_pack("{s:o, s:b}", "skew",
                               found->known ? json_string(pgdbm_migration_skew_name(found->skew)) : json_null(), "fits",
                               found->code == CLI_FINE);
    if (answer != NULL && module != NULL)
        json_object_set_new(answer, "module", pgdbm__cli_json_text(module));
    if (answer != NULL && found->code != CLI_FINE)
        json_object_set_new(answer, "error", pgdbm__cli_json_error(&found->err));
    return answer;
}

/* The worst code of them: one that failed, one that is behind. */
static int check(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    struct standing opened = {0};
    struct pgdbm__cli_request request = {0};
    json_t *answers = NULL;
    int code = pgdbm__cli_request_read(command, given, CLI_DEFAULT_ALL, &request);
    if (code != CLI_FINE)
        goto done;
    opened.code = pgdbm__cli_request_open(&request, &opened.err);
    code = opened.code;
    answers = json_array();
    if (code != CLI_FINE) {
        json_array_append_new(answers, json_standing(&opened, NULL));
        pgdbm__cli_say_library_error(&opened.err);
    }
    for (size_t i = 0; opened.code == CLI_FINE && i < request.n_parts; i++) {
        const char *module = request.all ? request.parts[i].chosen.module : NULL;
        const struct standing found = look_at(command, given, &request.parts[i]);
        json_array_append_new(answers, json_standing(&found, module));
        if (found.known && !request.json)
            pgdbm__cli_print_line(stdout, "%s%s%s", pgdbm_migration_skew_name(found.skew), module != NULL ? "  " : "",
                                  module != NULL ? module : "");
        if (found.code != CLI_FINE)
            pgdbm__cli_say_library_error(&found.err);
        if (code == CLI_FINE || found.code == CLI_FAILED)
            code = found.code;
    }
    if (request.json && !pgdbm__cli_print_json(request.all ? json_pack("{s:O}", "modules", answers)
                                                           : json_incref(json_array_get(answers, 0))))
        code = CLI_FAILED;
done:
    json_decref(answers);
    pgdbm__cli_request_free(&request);
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
