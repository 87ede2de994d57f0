/* SPDX-License-Identifier: MIT */
/* What became of a request: one module's report as it is, of all modules a line each. No state. */
#include "migrate_request.h"
#include "output.h"
#include "sql_error.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 256, N_COLUMNS = 6 };

struct texts {
    char applied[32], pending[32], what[TEXT_BYTES];
};

static bool is_fine(pgdbm_migration_state state)
{
    return state == PGDBM_MIGRATION_APPLIED || state == PGDBM_MIGRATION_REFORMATTED;
}

/* "2 pending: 003_a.sql, 004_b.sql", state by state; the table has room for the first few names. */
static void describe(const pgdbm_migration_report *report, char text[TEXT_BYTES])
{
    enum { NAMES = 3 };
    size_t length = 0;
    text[0] = '\0';
    for (int state = 0; state <= PGDBM_MIGRATION_REPEAT; state++) {
        size_t n = is_fine((pgdbm_migration_state)state) ? 0 : pgdbm__cli_count(report, (pgdbm_migration_state)state);
        size_t named = 0;
        if (n == 0)
            continue;
        length += (size_t)snprintf(text + length, TEXT_BYTES - length, "%s%zu %s: ", length > 0 ? "; " : "", n,
                                   pgdbm_migration_state_name((pgdbm_migration_state)state));
        for (size_t i = 0; i < report->n_migrations && length < TEXT_BYTES && named < NAMES; i++)
            if ((int)report->migrations[i].state == state)
                length += (size_t)snprintf(text + length, TEXT_BYTES - length, "%s%s", named++ > 0 ? ", " : "",
                                           report->migrations[i].filename);
        if (length < TEXT_BYTES && n > named)
            length += (size_t)snprintf(text + length, TEXT_BYTES - length, " and %zu more", n - named);
        if (length >= TEXT_BYTES)
            return;
    }
    if (length == 0)
        snprintf(text, TEXT_BYTES, "up to date");
}

static void fill_row(struct pgdbm__cli_cell row[N_COLUMNS], struct texts *texts, const struct pgdbm__cli_part *part)
{
    const pgdbm_migration_report *report = part->report;
    bool failed = part->err.status != PGDBM_OK || report == NULL;
    row[0].text = part->chosen.module;
    row[1].text = report != NULL ? report->schema : part->chosen.schema;
    row[2].text = report != NULL && report->head[0] != '\0' ? report->head : "-";
    if (report != NULL) {
        snprintf(texts->applied, sizeof texts->applied, "%zu",
                 pgdbm__cli_count(report, PGDBM_MIGRATION_APPLIED) +
                     pgdbm__cli_count(report, PGDBM_MIGRATION_REFORMATTED));
        snprintf(texts->pending, sizeof texts->pending, "%zu", report->n_pending);
    }
    if (report != NULL && report->n_migrations > 0)
        describe(report, texts->what);
    else
        snprintf(texts->what, sizeof texts->what, "%s", failed ? "see below" : "no files");
    bool fine = !failed && pgdbm__cli_all_applied(report);
    row[3].text = texts->applied;
    row[4].text = texts->pending;
    row[5] = (struct pgdbm__cli_cell){texts->what, fine ? CLI_GREEN : failed ? CLI_RED : CLI_YELLOW};
}

static bool print_summary(const struct pgdbm__cli_request *request)
{
    static const char *const headings[N_COLUMNS] = {"MODULE", "SCHEMA", "HEAD", "APPLIED", "PENDING", "WHAT"};
    struct pgdbm__cli_cell *cells = calloc(request->n_parts, sizeof *cells * N_COLUMNS);
    struct texts *texts = calloc(request->n_parts, sizeof *texts);
    bool enough_memory = cells != NULL && texts != NULL;
    size_t behind = 0;
    for (size_t i = 0; enough_memory && i < request->n_parts; i++) {
        fill_row(&cells[i * N_COLUMNS], &texts[i], &request->parts[i]);
        behind += request->parts[i].report == NULL || !pgdbm__cli_all_applied(request->parts[i].report);
    }
    if (enough_memory) {
        pgdbm__cli_print_table(headings, N_COLUMNS, cells, request->n_parts);
        printf("\n%zu %s, %zu up to date, %zu not\n", request->n_parts, request->n_parts == 1 ? "module" : "modules",
               request->n_parts - behind, behind);
    } else
        pgdbm__cli_say_error(NULL, "out of memory");
    free(cells);
    free(texts);
    return enough_memory;
}

/* Those that something was done to, one after the other, and how many it was not done to. */
static bool print_changes(enum pgdbm__cli_verb verb, const struct pgdbm__cli_request *request)
{
    size_t idle = 0;
    size_t shown = 0;
    for (size_t i = 0; i < request->n_parts; i++) {
        const struct pgdbm__cli_part *part = &request->parts[i];
        bool failed = part->err.status != PGDBM_OK;
        if (part->report == NULL)
            continue;
        if (part->report->n_applied == 0 && !failed && verb != CLI_HISTORY)
            idle++;
        else if (shown++ > 0 && putchar('\n') == EOF)
            break; /* main tells */
        else if (!pgdbm__cli_print_report(verb, part->report, request->dry_run, failed))
            return false;
    }
    if (idle > 0)
        printf(request->dry_run ? "-- %zu %s nothing to do\n" : "%zu %s nothing to do\n", idle,
               idle == 1 ? "module has" : "modules have");
    return true;
}

static bool print_json(const struct pgdbm__cli_request *request, const pgdbm_error *err)
{
    json_t *modules = json_array();
    for (size_t i = 0; i < request->n_parts; i++) {
        const struct pgdbm__cli_part *part = &request->parts[i];
        json_t *answer =
            pgdbm__cli_json_report(part->report, request->dry_run, part->err.status != PGDBM_OK ? &part->err : NULL);
        if (answer != NULL && part->report == NULL)
            json_object_set_new(answer, "module", pgdbm__cli_json_text(part->chosen.module));
        json_array_append_new(modules, answer);
    }
    json_t *answer = json_pack("{s:o}", "modules", modules);
    if (err != NULL && answer != NULL)
        json_object_set_new(answer, "error", pgdbm__cli_json_error(err));
    return pgdbm__cli_print_json(answer);
}

/* Modules that a run did not come to. */
static void say_untouched(const struct pgdbm__cli_request *request)
{
    char names[512] = "";
    size_t length = 0;
    for (size_t i = 0; i < request->n_parts && length < sizeof names; i++)
        if (request->parts[i].report == NULL)
            length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", length > 0 ? ", " : "",
                                       request->parts[i].chosen.module);
    if (length > 0)
        pgdbm__cli_remark("not touched: %s", names);
}

void pgdbm__cli_say_request_error(const struct pgdbm__cli_request *request, const pgdbm_error *err)
{
    const char *directory = request->all ? NULL : request->parts[0].chosen.directory;
    for (size_t i = 0; request->all && i < request->n_parts; i++)
        if (request->parts[i].err.status != PGDBM_OK && strcmp(request->parts[i].err.message, err->message) == 0)
            directory = request->parts[i].chosen.directory;
    pgdbm__cli_say_sql_error(err, directory);
    for (size_t i = 0; i < request->n_parts; i++) {
        const pgdbm_error *its = &request->parts[i].err;
        if (its->status != PGDBM_OK && strcmp(its->message, err->message) != 0)
            pgdbm__cli_say_sql_error(its, request->parts[i].chosen.directory);
    }
}

bool pgdbm__cli_print_request(enum pgdbm__cli_verb verb, const struct pgdbm__cli_request *request,
                              const pgdbm_error *err)
{
    bool looked = verb == CLI_STATUS || verb == CLI_VERIFY || verb == CLI_HISTORY;
    bool tells = err != NULL || looked || request->dry_run || verb == CLI_TRY || !pgdbm__cli_settings.quiet;
    const struct pgdbm__cli_part *one = request->parts;
    bool printed = true;
    if (request->json)
        printed = request->all ? print_json(request, err)
                               : pgdbm__cli_print_json(pgdbm__cli_json_report(one->report, request->dry_run, err));
    else if (tells && request->all && request->pool != NULL)
        printed = looked && verb != CLI_HISTORY ? print_summary(request) : print_changes(verb, request);
    else if (tells && one->report != NULL)
        printed = pgdbm__cli_print_report(verb, one->report, request->dry_run, err != NULL);
    if (err == NULL)
        return printed;
    pgdbm__cli_say_request_error(request, err);
    if (request->all && !looked)
        say_untouched(request);
    return printed;
}
