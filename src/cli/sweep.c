/* SPDX-License-Identifier: MIT */
/* `pgdbm test sweep`: drops what test processes have left. No state. */
#include "address.h"
#include "database.h"
#include "output.h"

#include <pgdbm/testkit.h>
#include <stdlib.h>

#define N_OF(table) (sizeof(table) / sizeof(table)[0])

static const struct pgdbm__cli_option options[] = {
    {"url", "URL", NULL, "The server (default: TEST_DATABASE_URL, or TEST_DB_HOST and so on)"},
    {"dry-run", NULL, NULL, "Only say what would be dropped; the exit code is 3 when there is something"},
    {"yes", NULL, NULL, "Also where the server looks like production"},
    CLI_OPTION_JSON,
};

static const char *outcome_name(pgdbm_swept what, bool dry_run)
{
    return what == PGDBM_SWEPT_KEPT ? "kept" : what == PGDBM_SWEPT_FAILED ? "failed" : dry_run ? "to drop" : "dropped";
}

static json_t *json_report(const pgdbm_sweep_report *report, bool dry_run)
{
    json_t *databases = json_array();
    for (size_t i = 0; i < report->n_databases; i++) {
        const pgdbm_swept_database *database = &report->databases[i];
        json_array_append_new(databases, json_pack("{s:o, s:s, s:o}", "name", pgdbm__cli_json_text(database->name),
                                                   "outcome", outcome_name(database->what, dry_run), "reason",
                                                   pgdbm__cli_json_text(database->reason)));
    }
    return json_pack("{s:b, s:I, s:I, s:o}", "dry_run", (int)dry_run, "dropped", (json_int_t)report->n_dropped,
                     "failed", (json_int_t)report->n_failed, "databases", databases);
}

static bool print_report(const pgdbm_sweep_report *report, bool dry_run)
{
    static const char *const headings[] = {"DATABASE", "", "WHY"};
    static const enum pgdbm__cli_style styles[] = {
        [PGDBM_SWEPT_KEPT] = CLI_PLAIN, [PGDBM_SWEPT_DROPPED] = CLI_GREEN, [PGDBM_SWEPT_FAILED] = CLI_RED};
    struct pgdbm__cli_cell *cells = calloc(report->n_databases + 1, N_OF(headings) * sizeof *cells);
    if (cells == NULL) {
        pgdbm__cli_say_error(NULL, "out of memory");
        return false;
    }
    for (size_t i = 0; i < report->n_databases; i++) {
        const pgdbm_swept_database *database = &report->databases[i];
        struct pgdbm__cli_cell *row = &cells[N_OF(headings) * i];
        row[0].text = database->name;
        row[1] = (struct pgdbm__cli_cell){outcome_name(database->what, dry_run), styles[database->what]};
        row[2].text = database->reason;
    }
    if (report->n_databases > 0)
        pgdbm__cli_print_table(headings, N_OF(headings), cells, report->n_databases);
    free(cells);
    printf("%zu %s, %zu failed, %zu kept\n", report->n_dropped, dry_run ? "to drop" : "dropped", report->n_failed,
           report->n_databases - report->n_dropped - report->n_failed);
    return true;
}

static int sweep(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    pgdbm_error err = {0};
    pgdbm_sweep_report *report = NULL;
    const pgdbm_sweep_options how = {
        .dry_run = pgdbm__cli_value(command, given, "dry-run") != NULL,
        .even_if_production = pgdbm__cli_value(command, given, "yes") != NULL,
    };
    bool json = pgdbm__cli_value(command, given, "json") != NULL;
    const char *url = pgdbm__cli_value(command, given, "url");
    const char *variable = getenv("TEST_DATABASE_URL");
    pgdbm__cli_address_stands(&(pgdbm_config){.connection_string = url != NULL ? url : variable}, url != NULL);
    if (pgdbm_testdb_sweep(url, &how, &report, &err) != PGDBM_OK) {
        if (json)
            (void)pgdbm__cli_print_json(json_pack("{s:o}", "error", pgdbm__cli_json_error(&err)));
        pgdbm__cli_say_library_error(&err);
        return pgdbm__cli_exit_code(&err, true);
    }
    bool printed = true;
    if (json)
        printed = pgdbm__cli_print_json(json_report(report, how.dry_run));
    else if (how.dry_run || report->n_failed > 0 || !pgdbm__cli_settings.quiet)
        printed = print_report(report, how.dry_run);
    int code = !printed || report->n_failed > 0       ? CLI_FAILED
               : how.dry_run && report->n_dropped > 0 ? CLI_PENDING
                                                      : CLI_FINE;
    pgdbm_sweep_report_free(report);
    return code;
}

const struct pgdbm__cli_command pgdbm__cli_test_sweep = {
    .group = "test",
    .name = "sweep",
    .summary = "Drop the databases that test processes have left",
    .description =
        "Databases of the test kit (pgdbm_testdb_create) whose process is gone; of other hosts when they are a "
        "day old; templates that nobody has used for a week. Databases with other names or with somebody "
        "else's comment are left alone, and so is a server that looks like production.",
    .example = "pgdbm test sweep --url postgresql://postgres@localhost/postgres --dry-run",
    .options = options,
    .n_options = N_OF(options),
    .run = sweep,
};
