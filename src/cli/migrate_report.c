/* SPDX-License-Identifier: MIT */
/* What was found and done, printed. No state but the caller's. */
#include "migrate_report.h"
#include "database.h"
#include "interrupt.h"
#include "output.h"
#include "progress.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

size_t pgdbm__cli_count(const pgdbm_migration_report *report, pgdbm_migration_state state)
{
    size_t found = 0;
    for (size_t i = 0; i < report->n_migrations; i++)
        found += report->migrations[i].state == state;
    return found;
}

bool pgdbm__cli_all_applied(const pgdbm_migration_report *report)
{
    return pgdbm__cli_count(report, PGDBM_MIGRATION_APPLIED) + pgdbm__cli_count(report, PGDBM_MIGRATION_REFORMATTED) ==
           report->n_migrations;
}

static json_t *json_migration(const pgdbm_migration *migration)
{
    return json_pack(
        "{s:o, s:o, s:s, s:b, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:f, s:o, s:o, s:I, s:I}", "filename",
        pgdbm__cli_json_text(migration->filename), "version", pgdbm__cli_json_text(migration->version), "state",
        pgdbm_migration_state_name(migration->state), "no_transaction", (int)migration->no_transaction, "repeatable",
        (int)migration->repeatable, "has_down", (int)migration->has_down, "applied_now", (int)migration->applied_now,
        "checksum", pgdbm__cli_json_text(migration->checksum), "applied_checksum",
        pgdbm__cli_json_text(migration->applied_checksum), "applied_at", pgdbm__cli_json_text(migration->applied_at),
        "applied_by", pgdbm__cli_json_text(migration->applied_by), "execution_ms", migration->execution_ms, "build",
        pgdbm__cli_json_text(migration->build), "sql", pgdbm__cli_json_text(migration->sql), "statements_done",
        (json_int_t)migration->statements_done, "n_statements", (json_int_t)migration->n_statements);
}

static json_t *json_report(const pgdbm_migration_report *report, bool dry_run)
{
    json_t *migrations = json_array();
    json_t *locks = json_array();
    for (size_t i = 0; i < report->n_migrations; i++)
        json_array_append_new(migrations, json_migration(&report->migrations[i]));
    for (size_t i = 0; i < report->n_locks; i++) {
        const pgdbm_migration_lock *lock = &report->locks[i];
        json_array_append_new(locks, json_pack("{s:o, s:I, s:o, s:o, s:f}", "filename",
                                               pgdbm__cli_json_text(lock->filename), "line", (json_int_t)lock->line,
                                               "relation", pgdbm__cli_json_text(lock->relation), "mode",
                                               pgdbm__cli_json_text(lock->mode), "statement_ms", lock->statement_ms));
    }
    return json_pack(
        "{s:o, s:o, s:o, s:b, s:I, s:I, s:I, s:I, s:o, s:o}", "module", pgdbm__cli_json_text(report->module), "schema",
        pgdbm__cli_json_text(report->schema), "head", pgdbm__cli_json_text(report->head), "dry_run", (int)dry_run,
        "applied_now", (json_int_t)report->n_applied, "pending", (json_int_t)report->n_pending, "changed",
        (json_int_t)pgdbm__cli_count(report, PGDBM_MIGRATION_CHANGED), "missing",
        (json_int_t)pgdbm__cli_count(report, PGDBM_MIGRATION_MISSING), "migrations", migrations, "locks", locks);
}

json_t *pgdbm__cli_json_report(const pgdbm_migration_report *report, bool dry_run, const pgdbm_error *err)
{
    json_t *answer = report != NULL ? json_report(report, dry_run) : json_object();
    if (err != NULL && answer != NULL)
        json_object_set_new(answer, "error", pgdbm__cli_json_error(err));
    return answer;
}

static enum pgdbm__cli_style style_of(pgdbm_migration_state state)
{
    switch (state) {
    case PGDBM_MIGRATION_APPLIED:
    case PGDBM_MIGRATION_REFORMATTED:
        return CLI_GREEN;
    case PGDBM_MIGRATION_PENDING:
    case PGDBM_MIGRATION_REPEAT:
        return CLI_YELLOW;
    default:
        return CLI_RED;
    }
}

enum { TEXT_BYTES = 64 };

/* Made texts of a row, which its cells point to. */
struct row_texts {
    char took[TEXT_BYTES], state[TEXT_BYTES];
};

static void fill_row(struct pgdbm__cli_cell row[5], struct row_texts *texts, const pgdbm_migration *migration)
{
    if (migration->applied_at != NULL)
        snprintf(texts->took, TEXT_BYTES, "%.0f ms", migration->execution_ms);
    if (migration->state == PGDBM_MIGRATION_PARTIAL)
        snprintf(texts->state, TEXT_BYTES, "partial, %zu of %zu", migration->statements_done, migration->n_statements);
    else
        snprintf(texts->state, TEXT_BYTES, "%s", pgdbm_migration_state_name(migration->state));
    row[0].text = migration->version;
    row[1].text = migration->filename;
    row[2] = (struct pgdbm__cli_cell){texts->state, style_of(migration->state)};
    row[3].text = migration->applied_at;
    row[4].text = texts->took;
}

static void fill_history_row(struct pgdbm__cli_cell row[5], struct row_texts *texts, const pgdbm_migration *migration)
{
    snprintf(texts->took, TEXT_BYTES, "%.0f ms", migration->execution_ms);
    row[0].text = migration->applied_at;
    row[1].text = migration->filename;
    row[2].text = migration->applied_by;
    row[3].text = migration->build;
    row[4].text = texts->took;
}

static bool print_table(const pgdbm_migration_report *report, bool only_now, bool history)
{
    enum { N_COLUMNS = 5 };
    static const char *const headings[][N_COLUMNS] = {{"VERSION", "FILE", "STATE", "APPLIED AT", "TOOK"},
                                                      {"APPLIED AT", "FILE", "BY", "BUILD", "TOOK"}};
    struct pgdbm__cli_cell *cells = calloc(report->n_migrations + 1, sizeof *cells * N_COLUMNS);
    struct row_texts *texts = calloc(report->n_migrations + 1, sizeof *texts);
    size_t n_rows = 0;
    bool enough_memory = cells != NULL && texts != NULL;
    for (size_t i = 0; enough_memory && i < report->n_migrations; i++) {
        if (only_now && !report->migrations[i].applied_now)
            continue;
        (history ? fill_history_row : fill_row)(&cells[n_rows * N_COLUMNS], &texts[n_rows], &report->migrations[i]);
        n_rows++;
    }
    if (!enough_memory)
        pgdbm__cli_say_error(NULL, "out of memory");
    else if (n_rows > 0) {
        putchar('\n');
        pgdbm__cli_print_table(headings[history], N_COLUMNS, cells, n_rows);
        putchar('\n');
    }
    free(cells);
    free(texts);
    return enough_memory;
}

static bool print_locks(const pgdbm_migration_report *report)
{
    enum { N_COLUMNS = 4 };
    static const char *const headings[N_COLUMNS] = {"WHERE", "RELATION", "LOCK", "STATEMENT TOOK"};
    struct pgdbm__cli_cell *cells = calloc(report->n_locks + 1, sizeof *cells * N_COLUMNS);
    char(*texts)[2][TEXT_BYTES * 5] = calloc(report->n_locks + 1, sizeof *texts);
    bool enough_memory = cells != NULL && texts != NULL;
    for (size_t i = 0; enough_memory && i < report->n_locks; i++) {
        const pgdbm_migration_lock *lock = &report->locks[i];
        bool exclusive = strcmp(lock->mode, "AccessExclusiveLock") == 0;
        snprintf(texts[i][0], sizeof texts[i][0], "%s:%zu", lock->filename, lock->line);
        snprintf(texts[i][1], sizeof texts[i][1], "%.1f ms", lock->statement_ms);
        struct pgdbm__cli_cell *row = &cells[i * N_COLUMNS];
        row[0].text = texts[i][0];
        row[1].text = lock->relation;
        row[2] = (struct pgdbm__cli_cell){lock->mode, exclusive ? CLI_RED : CLI_PLAIN};
        row[3].text = texts[i][1];
    }
    if (!enough_memory)
        pgdbm__cli_say_error(NULL, "out of memory");
    else if (report->n_locks > 0) {
        pgdbm__cli_print_table(headings, N_COLUMNS, cells, report->n_locks);
        putchar('\n');
    }
    free(cells);
    free(texts);
    return enough_memory;
}

static const char *files(size_t n)
{
    return n == 1 ? "file" : "files";
}

/* What became of the files. */
static const char *const done[] = {[CLI_APPLY] = "applied",
                                   [CLI_ROLLBACK] = "undone",
                                   [CLI_BASELINE] = "recorded as applied",
                                   [CLI_REPAIR] = "corrected in the history"};

/* Everything that is no SQL is a comment: the output can be given to psql. */
static void print_sql(enum pgdbm__cli_verb verb, const pgdbm_migration_report *report, bool failed)
{
    pgdbm__cli_print_line(stdout, "-- module %s, schema %s", report->module, report->schema);
    for (size_t i = 0; i < report->n_migrations; i++)
        if (report->migrations[i].sql != NULL) {
            const char *sql = report->migrations[i].sql;
            size_t bytes = strlen(sql);
            putchar('\n');
            pgdbm__cli_print_line(stdout, "-- %s", report->migrations[i].filename);
            if (isatty(STDOUT_FILENO))
                pgdbm__cli_put_text(stdout, sql, bytes, true);
            else
                fputs(sql, stdout); /* for psql, byte by byte */
            if (bytes == 0 || sql[bytes - 1] != '\n')
                putchar('\n');
        }
    if (!failed)
        printf("\n-- %zu %s would be %s; nothing was written\n", report->n_applied, files(report->n_applied),
               done[verb]);
}

static void print_counts(const pgdbm_migration_report *report)
{
    printf("%zu applied, %zu pending", pgdbm__cli_count(report, PGDBM_MIGRATION_APPLIED), report->n_pending);
    static const pgdbm_migration_state others[] = {
        PGDBM_MIGRATION_CHANGED, PGDBM_MIGRATION_MISSING, PGDBM_MIGRATION_REFORMATTED, PGDBM_MIGRATION_OUT_OF_ORDER,
        PGDBM_MIGRATION_GAP,     PGDBM_MIGRATION_FUTURE,  PGDBM_MIGRATION_PARTIAL,     PGDBM_MIGRATION_REPEAT};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        size_t n = pgdbm__cli_count(report, others[i]);
        if (n > 0)
            printf(", %zu %s", n, pgdbm_migration_state_name(others[i]));
    }
    putchar('\n');
}

static void print_outcome(enum pgdbm__cli_verb verb, const pgdbm_migration_report *report, bool failed)
{
    if (report->n_applied == 0 && failed)
        return; /* the error says everything */
    if (verb == CLI_TRY && report->n_pending > 0)
        printf("what is pending would be applied; it was tried and rolled back\n");
    else if (report->n_applied == 0)
        printf("nothing to do: %zu %s, %zu pending\n", report->n_migrations, files(report->n_migrations),
               report->n_pending);
    else
        printf("%zu %s %s%s\n", report->n_applied, files(report->n_applied), done[verb],
               failed ? ", then it failed" : "");
}

bool pgdbm__cli_print_report(enum pgdbm__cli_verb verb, const pgdbm_migration_report *report, bool dry_run, bool failed)
{
    if (dry_run) {
        print_sql(verb, report, failed);
        return true;
    }
    pgdbm__cli_print_line(stdout, "module %s, schema %s", report->module, report->schema);
    bool looked = verb == CLI_STATUS || verb == CLI_VERIFY || verb == CLI_HISTORY;
    bool printed = print_table(report, !looked, verb == CLI_HISTORY);
    if (printed && verb == CLI_TRY)
        printed = print_locks(report);
    if (!printed)
        return false;
    if (verb == CLI_HISTORY)
        pgdbm__cli_print_line(stdout, "%zu %s applied, head %s", report->n_migrations, files(report->n_migrations),
                              report->head[0] != '\0' ? report->head : "none");
    else if (looked)
        print_counts(report);
    else
        print_outcome(verb, report, failed);
    return true;
}

/* It lasts as long as a server takes to come back, or as the connection is tried again. */
static void say_lost(void)
{
    static const char text[] = "the connection was lost; asking the server what is done, once it is there again";
    if (pgdbm__cli_progress_is_shown())
        pgdbm__cli_progress_say(0, 0, "%s", text);
    else
        pgdbm__cli_remark("%s", text);
}

bool pgdbm__cli_progress(const pgdbm_migration_progress *progress, void *context)
{
    bool *waited = context;
    bool waits = progress->phase == PGDBM_PHASE_WAITING;
    size_t file = progress->phase == PGDBM_PHASE_AFTER || progress->file == 0 ? progress->file : progress->file - 1;
    if (progress->phase == PGDBM_PHASE_LOST)
        say_lost();
    else if (!pgdbm__cli_progress_is_shown()) {
        if (waits && !*waited)
            pgdbm__cli_remark("waiting for another process that migrates %s", progress->module);
        if (progress->phase == PGDBM_PHASE_RETRY)
            pgdbm__cli_remark("%s could not have its locks; trying again", progress->filename);
    } else if (waits)
        pgdbm__cli_progress_say(0, 0, "waiting for another process that migrates %s", progress->module);
    else if (progress->phase == PGDBM_PHASE_RETRY)
        pgdbm__cli_progress_say(file, progress->n_files, "%s could not have its locks; trying again",
                                progress->filename);
    else if (progress->phase == PGDBM_PHASE_STATEMENT && progress->n_statements > 1)
        pgdbm__cli_progress_say(file, progress->n_files, "%s, statement %zu of %zu", progress->filename,
                                progress->statement, progress->n_statements);
    else
        pgdbm__cli_progress_say(file, progress->n_files, "%s", progress->filename);
    *waited = waits;
    return !pgdbm__cli_interrupted();
}
