/* SPDX-License-Identifier: MIT */
/* `pgdbm fleet create|drop|drift`: tenants come, go, and are compared. No state. */
#include "confirm.h"
#include "fleet.h"
#include "output.h"
#include "progress.h"

#include <limits.h>
#include <stdlib.h>

#define N_OF(table) (sizeof(table) / sizeof(table)[0])

static const struct pgdbm__cli_option create_options[] = {
    CLI_FLEET_OPTIONS,
    CLI_OPTION_BUILD,
    {"workers", "N", NULL, "How many are made at the same time (default: 4)"},
};
static const struct pgdbm__cli_option drop_options[] = {
    CLI_FLEET_OPTIONS,
    CLI_OPTION_LOCK_TIMEOUT,
    CLI_OPTION_YES,
};
static const struct pgdbm__cli_option drift_options[] = {
    CLI_FLEET_OPTIONS,
    {"reference", "SCHEMA", NULL, "This one is right (default: what most have)"},
    {"fingerprint", "TEXT", NULL, "or what has this fingerprint is"},
    {"fingerprints-only", NULL, NULL, "Name the schemas, not what differs"},
};

/* One is an error when it is there already; of many those are passed over. */
static pgdbm_status make(pgdbm_fleet *fleet, const struct pgdbm__cli_given *given, int workers, size_t *created,
                         pgdbm_error *err)
{
    pgdbm_status status;
    pgdbm__cli_progress_say(0, 0, "making %zu tenants", given->n_arguments);
    if (given->n_arguments > 1)
        status = pgdbm_fleet_create_tenants(fleet, (const char *const *)given->arguments, given->n_arguments, workers,
                                            created, err);
    else {
        status = pgdbm_fleet_create_tenant(fleet, given->arguments[0], err);
        *created = status == PGDBM_OK;
    }
    pgdbm__cli_progress_end();
    return status;
}

static int create(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    pgdbm_error err = {0};
    struct pgdbm__cli_fleet fleet = {0};
    int workers = 4;
    size_t created = 0;
    int code = pgdbm__cli_number(command, given, "workers", 1, &workers);
    if (code == CLI_FINE)
        code = pgdbm__cli_fleet_open(command, given, workers < INT_MAX - 2 ? workers + 2 : workers, &fleet);
    if (code == CLI_FINE && make(fleet.fleet, given, workers, &created, &err) != PGDBM_OK) {
        pgdbm__cli_fleet_fail(&fleet, &err);
        code = CLI_FAILED; /* the server was asked: a schema that is there already is no wrong usage */
    } else if (code == CLI_FINE && fleet.json)
        code = pgdbm__cli_print_json(json_pack("{s:I, s:I}", "created", (json_int_t)created, "passed_over",
                                               (json_int_t)(given->n_arguments - created)))
                   ? CLI_FINE
                   : CLI_FAILED;
    else if (code == CLI_FINE && !pgdbm__cli_settings.quiet)
        printf("%zu created, %zu there already\n", created, given->n_arguments - created);
    pgdbm__cli_fleet_close(&fleet);
    return code;
}

static int drop(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    pgdbm_error err = {0};
    struct pgdbm__cli_fleet fleet = {0};
    int lock_timeout = 0;
    char what[128];
    snprintf(what, sizeof what, "everything in the schema %.63s would go", given->arguments[0]);
    int code = pgdbm__cli_duration(command, given, "lock-timeout", &lock_timeout);
    if (code == CLI_FINE)
        code = pgdbm__cli_fleet_read(command, given, &fleet);
    if (code == CLI_FINE)
        code = pgdbm__cli_confirm(command, given, &fleet.target, NULL, what);
    if (code == CLI_FINE)
        code = pgdbm__cli_fleet_open(command, given, 2, &fleet);
    if (code == CLI_FINE && pgdbm_fleet_drop_tenant(fleet.fleet, given->arguments[0], lock_timeout, &err) != PGDBM_OK)
        code = pgdbm__cli_fleet_fail(&fleet, &err);
    else if (code == CLI_FINE && fleet.json)
        code = pgdbm__cli_print_json(json_pack("{s:o}", "dropped", pgdbm__cli_json_text(given->arguments[0])))
                   ? CLI_FINE
                   : CLI_FAILED;
    else if (code == CLI_FINE && !pgdbm__cli_settings.quiet)
        pgdbm__cli_print_line(stdout, "%s dropped", given->arguments[0]);
    pgdbm__cli_fleet_close(&fleet);
    return code;
}

static const char *kind_name(pgdbm_drift_kind kind)
{
    return kind == PGDBM_DRIFT_LACKS ? "lacks" : kind == PGDBM_DRIFT_DIFFERS ? "differs" : "beyond";
}

static json_t *json_drift(const pgdbm_drift_report *report)
{
    json_t *drifts = json_array();
    json_t *schemas = json_array();
    for (size_t i = 0; i < report->n_drifted; i++)
        json_array_append_new(schemas, pgdbm__cli_json_text(report->drifted[i]));
    for (size_t i = 0; i < report->n_drifts; i++) {
        const pgdbm_drift *drift = &report->drifts[i];
        json_array_append_new(
            drifts, json_pack("{s:o, s:s, s:o, s:o, s:o}", "schema", pgdbm__cli_json_text(drift->schema), "kind",
                              kind_name(drift->kind), "object", pgdbm__cli_json_text(drift->object), "expected",
                              pgdbm__cli_json_text(drift->expected), "found", pgdbm__cli_json_text(drift->found)));
    }
    return json_pack("{s:o, s:I, s:I, s:o, s:o}", "fingerprint", pgdbm__cli_json_text(report->fingerprint), "schemas",
                     (json_int_t)report->n_schemas, "alike", (json_int_t)report->n_alike, "drifted", schemas, "drifts",
                     drifts);
}

static void print_drift(const pgdbm_drift_report *report, bool schemas_only)
{
    printf("%zu schemas, %zu alike, fingerprint %s\n", report->n_schemas, report->n_alike,
           report->fingerprint != NULL ? report->fingerprint : "none");
    for (size_t i = 0; schemas_only && i < report->n_drifted; i++)
        pgdbm__cli_print_line(stdout, "  %s", report->drifted[i]);
    for (size_t i = 0; i < report->n_drifts; i++) {
        const pgdbm_drift *drift = &report->drifts[i];
        if (i == 0 || drift->schema != report->drifts[i - 1].schema) {
            putchar('\n');
            pgdbm__cli_print_line(stdout, "%s", drift->schema);
        }
        pgdbm__cli_print_line(stdout, "  %-8s %s", kind_name(drift->kind), drift->object);
        if (drift->expected != NULL)
            pgdbm__cli_print_line(stdout, "           expected: %s", drift->expected);
        if (drift->found != NULL)
            pgdbm__cli_print_line(stdout, "           found:    %s", drift->found);
    }
}

static int drift(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    pgdbm_error err = {0};
    struct pgdbm__cli_fleet fleet = {0};
    pgdbm_drift_report *report = NULL;
    const pgdbm_drift_options options = {
        .reference = pgdbm__cli_value(command, given, "reference"),
        .fingerprint = pgdbm__cli_value(command, given, "fingerprint"),
        .fingerprints_only = pgdbm__cli_value(command, given, "fingerprints-only") != NULL,
    };
    int code = pgdbm__cli_fleet_open(command, given, 2, &fleet);
    if (code == CLI_FINE) {
        pgdbm__cli_progress_say(0, 0, "comparing the tenants");
        pgdbm_status status = pgdbm_fleet_drift(fleet.fleet, &options, &report, &err);
        pgdbm__cli_progress_end();
        code = status == PGDBM_OK ? CLI_FINE : pgdbm__cli_fleet_fail(&fleet, &err);
    }
    if (code == CLI_FINE) {
        bool printed = true;
        if (fleet.json)
            printed = pgdbm__cli_print_json(json_drift(report));
        else
            print_drift(report, options.fingerprints_only);
        code = !printed ? CLI_FAILED : report->n_drifted > 0 ? CLI_PENDING : CLI_FINE;
    }
    pgdbm_drift_report_free(report);
    pgdbm__cli_fleet_close(&fleet);
    return code;
}

const struct pgdbm__cli_command pgdbm__cli_fleet_create = {
    .group = "fleet",
    .name = "create",
    .summary = "Make new tenants, each in one transaction",
    .description =
        "The schema, everything that the files make, and the history. One tenant that is there already is an "
        "error; of many those are passed over.",
    .example = "pgdbm fleet create tenant_8 --module shop --pattern 'tenant\\_%'",
    .argument = "SCHEMA...",
    .max_arguments = SIZE_MAX,
    .options = create_options,
    .n_options = N_OF(create_options),
    .run = create,
};

const struct pgdbm__cli_command pgdbm__cli_fleet_drop = {
    .group = "fleet",
    .name = "drop",
    .summary = "Drop a tenant's schema with everything in it",
    .description = "And its row of pgdbm.target. Gives up when the locks are not to be had in time.",
    .example = "pgdbm fleet drop tenant_8 --yes --module shop --pattern 'tenant\\_%'",
    .argument = "SCHEMA",
    .max_arguments = 1,
    .options = drop_options,
    .n_options = N_OF(drop_options),
    .run = drop,
};

const struct pgdbm__cli_command pgdbm__cli_fleet_drift = {
    .group = "fleet",
    .name = "drift",
    .summary = "List the tenants whose structure is not that of the others",
    .description =
        "Compares all tenants in one query of the catalog: tables, columns, indexes, constraints, and the rest. "
        "The exit code is 3 when one differs.",
    .example = "pgdbm fleet drift --module shop --pattern 'tenant\\_%'",
    .options = drift_options,
    .n_options = N_OF(drift_options),
    .run = drift,
};
