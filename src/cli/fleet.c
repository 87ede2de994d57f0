/* SPDX-License-Identifier: MIT */
/* `pgdbm fleet sync|status|pause|resume|cancel|quarantine|release`: who is where, and the orders to roll-outs. No state. */
#include "fleet.h"
#include "output.h"
#include "progress.h"

#include <stdlib.h>
#include <string.h>

#define N_OF(table) (sizeof(table) / sizeof(table)[0])

int pgdbm__cli_list_read(const char *option, const char *text, struct pgdbm__cli_list *list)
{
    size_t most = 1;
    for (const char *at = text; *at != '\0'; at++)
        most += *at == ',';
    list->text = strdup(text);
    list->words = calloc(most, sizeof *list->words);
    if (list->text == NULL || list->words == NULL) {
        pgdbm__cli_say_error(NULL, "out of memory");
        return CLI_FAILED;
    }
    char *rest = list->text;
    for (char *word = strtok_r(list->text, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest))
        list->words[list->n_words++] = word;
    if (list->n_words > 0)
        return CLI_FINE;
    pgdbm__cli_say_error("words with commas between them: a,b", "--%s has no word in it: %.60s", option, text);
    return CLI_USAGE;
}

void pgdbm__cli_list_free(struct pgdbm__cli_list *list)
{
    free(list->text);
    free(list->words);
    *list = (struct pgdbm__cli_list){0};
}

int pgdbm__cli_fleet_fail(const struct pgdbm__cli_fleet *fleet, const pgdbm_error *err)
{
    if (fleet->json)
        pgdbm__cli_print_json(json_pack("{s:o}", "error", pgdbm__cli_json_error(err)));
    pgdbm__cli_say_library_error(err);
    return pgdbm__cli_exit_code(err, false);
}

/* Exactly one says which schemas are meant. */
static int check_selection(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    int n = (pgdbm__cli_value(command, given, "schemas") != NULL) +
            (pgdbm__cli_value(command, given, "pattern") != NULL) + (pgdbm__cli_value(command, given, "query") != NULL);
    if (n == 1)
        return CLI_FINE;
    pgdbm__cli_say_error("give one of --schemas a,b, --pattern 'tenant\\_%' and --query 'SELECT ...'",
                         "fleet %s: %s which schemas are meant", command->name,
                         n == 0 ? "nothing says" : "more than one option says");
    return CLI_USAGE;
}

int pgdbm__cli_fleet_read(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                          struct pgdbm__cli_fleet *fleet)
{
    const char *schemas = pgdbm__cli_value(command, given, "schemas");
    fleet->json = pgdbm__cli_value(command, given, "json") != NULL;
    int code = pgdbm__cli_target_read(command, given, &fleet->target);
    if (code == CLI_FINE)
        code = pgdbm__cli_choose_module(command, given, &fleet->target, &fleet->chosen);
    if (code == CLI_FINE)
        code = check_selection(command, given);
    if (code == CLI_FINE && schemas != NULL)
        code = pgdbm__cli_list_read("schemas", schemas, &fleet->schemas);
    return code;
}

int pgdbm__cli_fleet_open(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                          int max_connections, struct pgdbm__cli_fleet *fleet)
{
    pgdbm_error err = {0};
    int code = fleet->chosen.module == NULL ? pgdbm__cli_fleet_read(command, given, fleet) : CLI_FINE;
    if (code != CLI_FINE)
        return code;
    fleet->migrations.directory = fleet->chosen.directory;
    const pgdbm_fleet_options options = {
        .migrations = &fleet->migrations,
        .module = fleet->chosen.module,
        .table = fleet->chosen.table,
        .pattern = pgdbm__cli_value(command, given, "pattern"),
        .query = pgdbm__cli_value(command, given, "query"),
        .build = pgdbm__cli_value(command, given, "build"),
        .schemas = fleet->schemas.words,
        .n_schemas = fleet->schemas.n_words,
    };
    code = pgdbm__cli_open(&fleet->target, max_connections, &fleet->db, &err);
    if (code == CLI_FINE && pgdbm_fleet_open(pgdbm_pool_of(fleet->db), &options, &fleet->fleet, &err) != PGDBM_OK)
        code = pgdbm__cli_exit_code(&err, false);
    if (code != CLI_FINE)
        pgdbm__cli_fleet_fail(fleet, &err);
    return code;
}

void pgdbm__cli_fleet_close(struct pgdbm__cli_fleet *fleet)
{
    pgdbm_fleet_close(fleet->fleet);
    pgdbm_close(fleet->db);
    pgdbm__cli_list_free(&fleet->schemas);
    pgdbm__cli_target_free(&fleet->target);
}

static bool print_report(const pgdbm_fleet_report *report, pgdbm_fleet_format format)
{
    char *text = pgdbm_fleet_report_print(report, format);
    if (text == NULL) {
        pgdbm__cli_say_error(NULL, "out of memory");
        return false;
    }
    size_t bytes = strlen(text);
    /* Names are written by others; the other formats have escapes of their own. */
    if (format == PGDBM_FLEET_TEXT)
        pgdbm__cli_put_text(stdout, text, bytes, true);
    else
        fputs(text, stdout);
    if (bytes > 0 && text[bytes - 1] != '\n')
        putchar('\n');
    pgdbm_free(text);
    return true;
}

static const char *const formats[] = {"text", "json", "prometheus", NULL};

static pgdbm_fleet_format format_of(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    const char *format = pgdbm__cli_value(command, given, "format");
    if (pgdbm__cli_value(command, given, "json") != NULL)
        return PGDBM_FLEET_JSON;
    return format == NULL || strcmp(format, "text") == 0 ? PGDBM_FLEET_TEXT
           : strcmp(format, "json") == 0                 ? PGDBM_FLEET_JSON
                                                         : PGDBM_FLEET_PROMETHEUS;
}

/* What a status is held against; the worst decides the exit code. */
struct conditions {
    bool behind, failed, drift;
};

static int read_conditions(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                           struct conditions *conditions)
{
    struct pgdbm__cli_list list = {0};
    const char *value = pgdbm__cli_value(command, given, "fail-if");
    int code = value != NULL ? pgdbm__cli_list_read("fail-if", value, &list) : CLI_FINE;
    for (size_t i = 0; code == CLI_FINE && i < list.n_words; i++)
        if (strcmp(list.words[i], "behind") == 0)
            conditions->behind = true;
        else if (strcmp(list.words[i], "failed") == 0)
            conditions->failed = true;
        else if (strcmp(list.words[i], "drift") == 0)
            conditions->drift = true;
        else {
            pgdbm__cli_say_error("behind, failed, drift, or several with commas",
                                 "fleet status: --fail-if does not know %.60s", list.words[i]);
            code = CLI_USAGE;
        }
    pgdbm__cli_list_free(&list);
    return code;
}

static int check_drift(struct pgdbm__cli_fleet *fleet)
{
    pgdbm_error err = {0};
    pgdbm_drift_report *report = NULL;
    const pgdbm_drift_options options = {.fingerprints_only = true};
    if (pgdbm_fleet_drift(fleet->fleet, &options, &report, &err) != PGDBM_OK) {
        pgdbm__cli_say_library_error(&err);
        return pgdbm__cli_exit_code(&err, false);
    }
    int code = report->n_drifted > 0 ? CLI_PENDING : CLI_FINE;
    if (report->n_drifted > 0)
        pgdbm__cli_say_error("pgdbm fleet drift lists what differs", "%zu of %zu schemas differ in structure, %s first",
                             report->n_drifted, report->n_schemas, report->drifted[0]);
    pgdbm_drift_report_free(report);
    return code;
}

static int judge(struct pgdbm__cli_fleet *fleet, const pgdbm_fleet_report *report, const struct conditions *conditions)
{
    const size_t *counts = report->counts;
    if (conditions->failed &&
        counts[PGDBM_TARGET_FAILED] + counts[PGDBM_TARGET_QUARANTINED] + counts[PGDBM_TARGET_DIVERGED] > 0)
        return CLI_FAILED;
    int code = conditions->drift ? check_drift(fleet) : CLI_FINE;
    if (code == CLI_FINE && conditions->behind && counts[PGDBM_TARGET_BEHIND] + counts[PGDBM_TARGET_UNKNOWN] > 0)
        code = CLI_PENDING;
    return code;
}

/* Looks, prints, judges; `sync` makes the rows from the histories first. */
static int report_on(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given, bool sync)
{
    pgdbm_error err = {0};
    struct pgdbm__cli_fleet fleet = {0};
    struct conditions conditions = {0};
    pgdbm_fleet_report *report = NULL;
    int code = read_conditions(command, given, &conditions);
    bool silent = sync && pgdbm__cli_settings.quiet && format_of(command, given) == PGDBM_FLEET_TEXT;
    if (code == CLI_FINE)
        code = pgdbm__cli_fleet_open(command, given, 3, &fleet);
    if (code == CLI_FINE) {
        pgdbm__cli_progress_say(0, 0, sync ? "looking into the histories" : "looking at the tenants");
        pgdbm_status status = sync ? pgdbm_fleet_sync(fleet.fleet, &err) : PGDBM_OK;
        if (status == PGDBM_OK)
            status = pgdbm_fleet_status(fleet.fleet, pgdbm__cli_value(command, given, "all") != NULL, &report, &err);
        pgdbm__cli_progress_end();
        if (status != PGDBM_OK)
            code = pgdbm__cli_fleet_fail(&fleet, &err);
        else if (silent || print_report(report, format_of(command, given)))
            code = judge(&fleet, report, &conditions);
        else
            code = CLI_FAILED;
    }
    pgdbm_fleet_report_free(report);
    pgdbm__cli_fleet_close(&fleet);
    return code;
}

static int sync_fleet(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    return report_on(command, given, true);
}

static int status(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    return report_on(command, given, false);
}

/* An order, and what was ordered. */
static int order(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                 pgdbm_status (*give)(pgdbm_fleet *fleet, const char *schema, const char *reason, pgdbm_error *err),
                 const char *done)
{
    pgdbm_error err = {0};
    struct pgdbm__cli_fleet fleet = {0};
    const char *schema = given->n_arguments > 0 ? given->arguments[0] : NULL;
    int code = pgdbm__cli_fleet_open(command, given, 2, &fleet);
    if (code == CLI_FINE && give(fleet.fleet, schema, pgdbm__cli_value(command, given, "reason"), &err) != PGDBM_OK)
        code = pgdbm__cli_fleet_fail(&fleet, &err);
    else if (code == CLI_FINE && fleet.json)
        code = pgdbm__cli_print_json(json_pack("{s:s, s:o, s:s}", "module", fleet.chosen.module, "schema",
                                               pgdbm__cli_json_text(schema), "done", done))
                   ? CLI_FINE
                   : CLI_FAILED;
    else if (code == CLI_FINE && !pgdbm__cli_settings.quiet)
        pgdbm__cli_print_line(stdout, "%s %s", schema != NULL ? schema : "roll-outs of the module:", done);
    pgdbm__cli_fleet_close(&fleet);
    return code;
}

static pgdbm_status give_pause(pgdbm_fleet *fleet, const char *schema, const char *reason, pgdbm_error *err)
{
    (void)schema, (void)reason;
    return pgdbm_fleet_pause(fleet, err);
}

static pgdbm_status give_resume(pgdbm_fleet *fleet, const char *schema, const char *reason, pgdbm_error *err)
{
    (void)schema, (void)reason;
    return pgdbm_fleet_resume(fleet, err);
}

static pgdbm_status give_cancel(pgdbm_fleet *fleet, const char *schema, const char *reason, pgdbm_error *err)
{
    (void)schema, (void)reason;
    return pgdbm_fleet_cancel(fleet, err);
}

static pgdbm_status give_quarantine(pgdbm_fleet *fleet, const char *schema, const char *reason, pgdbm_error *err)
{
    return pgdbm_fleet_quarantine(fleet, schema, reason != NULL ? reason : "by hand", err);
}

static pgdbm_status give_release(pgdbm_fleet *fleet, const char *schema, const char *reason, pgdbm_error *err)
{
    (void)reason;
    return pgdbm_fleet_release(fleet, schema, err);
}

static int pause_roll_out(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    return order(command, given, give_pause, "paused");
}

static int resume(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    return order(command, given, give_resume, "resumed");
}

static int cancel(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    return order(command, given, give_cancel, "canceled");
}

static int quarantine(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    return order(command, given, give_quarantine, "quarantined");
}

static int release(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    return order(command, given, give_release, "released");
}

static const struct pgdbm__cli_option plain_options[] = {CLI_FLEET_OPTIONS};
static const struct pgdbm__cli_option status_options[] = {
    CLI_FLEET_OPTIONS,
    {"all", NULL, NULL, "List current tenants, too"},
    {"format", "text|json|prometheus", formats, "How to print it (default: text)"},
    {"fail-if", "CONDITIONS", NULL, "behind, failed, drift: another exit code where it holds"},
};
static const struct pgdbm__cli_option quarantine_options[] = {
    CLI_FLEET_OPTIONS,
    {"reason", "TEXT", NULL, "Why, for those who look at the status (default: by hand)"},
};

#define WITH_OPTIONS(table) .options = (table), .n_options = N_OF(table)

const struct pgdbm__cli_command pgdbm__cli_fleet_sync = {
    .group = "fleet",
    .name = "sync",
    .summary = "Make the rows of pgdbm.target from the tenants' histories",
    .description = "Finds new tenants, tenants that are gone, and heads that others changed; then shows the status.",
    .example = "pgdbm fleet sync --module shop --pattern 'tenant\\_%'",
    WITH_OPTIONS(status_options),
    .run = sync_fleet,
};

const struct pgdbm__cli_command pgdbm__cli_fleet_status = {
    .group = "fleet",
    .name = "status",
    .summary = "Show which tenants are behind, failed or quarantined",
    .description =
        "One query. With --fail-if the exit code is 1 when a tenant has failed, is quarantined or diverged, and "
        "3 when one is behind or differs in structure.",
    .example = "pgdbm fleet status --module shop --pattern 'tenant\\_%' --fail-if behind,failed\n"
               "pgdbm fleet status --module shop --pattern 'tenant\\_%' --format prometheus",
    WITH_OPTIONS(status_options),
    .run = status,
};

const struct pgdbm__cli_command pgdbm__cli_fleet_pause = {
    .group = "fleet",
    .name = "pause",
    .summary = "Let the module's roll-outs pause, wherever they run",
    .description = "Tenants in work are ended, and nothing new is begun until `pgdbm fleet resume`.",
    .example = "pgdbm fleet pause --module shop --pattern 'tenant\\_%'",
    WITH_OPTIONS(plain_options),
    .run = pause_roll_out,
};

const struct pgdbm__cli_command pgdbm__cli_fleet_resume = {
    .group = "fleet",
    .name = "resume",
    .summary = "Let paused roll-outs go on",
    .description = "The end of `pgdbm fleet pause`.",
    .example = "pgdbm fleet resume --module shop --pattern 'tenant\\_%'",
    WITH_OPTIONS(plain_options),
    .run = resume,
};

const struct pgdbm__cli_command pgdbm__cli_fleet_cancel = {
    .group = "fleet",
    .name = "cancel",
    .summary = "End the module's roll-outs, wherever they run",
    .description = "Tenants in work are ended, and the roll-outs say that they were canceled.",
    .example = "pgdbm fleet cancel --module shop --pattern 'tenant\\_%'",
    WITH_OPTIONS(plain_options),
    .run = cancel,
};

const struct pgdbm__cli_command pgdbm__cli_fleet_quarantine = {
    .group = "fleet",
    .name = "quarantine",
    .summary = "Take a tenant out of roll-outs",
    .description = "It is left alone until `pgdbm fleet release`.",
    .example = "pgdbm fleet quarantine tenant_7 --module shop --pattern 'tenant\\_%' --reason 'ticket 4711'",
    .argument = "SCHEMA",
    .max_arguments = 1,
    WITH_OPTIONS(quarantine_options),
    .run = quarantine,
};

const struct pgdbm__cli_command pgdbm__cli_fleet_release = {
    .group = "fleet",
    .name = "release",
    .summary = "Put a quarantined tenant back into roll-outs",
    .description = "Its attempts are counted from the start again.",
    .example = "pgdbm fleet release tenant_7 --module shop --pattern 'tenant\\_%'",
    .argument = "SCHEMA",
    .max_arguments = 1,
    WITH_OPTIONS(plain_options),
    .run = release,
};
