/* SPDX-License-Identifier: MIT */
/* `pgdbm dev watch`: applies migrations whenever their files change. Everything that goes wrong with a run is said, and the next
 * change waited for. The state is the command's, on its stack. */
#include "confirm.h"
#include "interrupt.h"
#include "migrate_request.h"
#include "output.h"
#include "progress.h"
#include "watch_files.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct pgdbm__cli_option options[] = {
    CLI_OPTION_URL,
    CLI_OPTION_MODULE,
    CLI_OPTION_SCHEMA,
    CLI_OPTION_PER_SCHEMA,
    CLI_OPTION_TABLE,
    CLI_OPTION_DIRECTORY,
    CLI_OPTION_BUILD,
    CLI_OPTION_LOCK_TIMEOUT,
    {"redo", NULL, NULL, "Undo the newest file by its down part when it was changed, and apply it anew"},
};

struct watcher {
    struct pgdbm__cli_request request;
    bool redo;
    const char *what;      /* what becomes of files that a run is done with */
    double began_ms;       /* the file at hand, since the call began */
    bool waited;           /* of pgdbm__cli_progress */
    bool failed, was_said; /* the last run; that everything is applied */
};

/* A line for each file, at once. */
static void print_file(const struct watcher *watcher, const pgdbm_migration_progress *progress)
{
    char at[32] = "";
    struct tm parts;
    time_t now = time(NULL);
    if (pgdbm__cli_settings.quiet)
        return;
    if (localtime_r(&now, &parts) != NULL)
        strftime(at, sizeof at, "%H:%M:%S", &parts);
    pgdbm__cli_progress_end();
    printf("%s  %s%s%s  %s  ", at, pgdbm__cli_style_on(stdout, CLI_GREEN), watcher->what, pgdbm__cli_style_off(stdout),
           progress->module);
    pgdbm__cli_put_text(stdout, progress->filename, strlen(progress->filename), false);
    printf(" (%.0f ms)\n", progress->elapsed_ms - watcher->began_ms);
    fflush(stdout);
}

static bool on_progress(const pgdbm_migration_progress *progress, void *context)
{
    struct watcher *watcher = context;
    if (progress->phase == PGDBM_PHASE_BEFORE)
        watcher->began_ms = progress->elapsed_ms;
    if (progress->phase != PGDBM_PHASE_AFTER)
        return pgdbm__cli_progress(progress, &watcher->waited);
    print_file(watcher, progress);
    return !pgdbm__cli_interrupted();
}

static void forget(struct pgdbm__cli_request *request)
{
    for (size_t i = 0; i < request->n_parts; i++) {
        pgdbm_migration_report_free(request->parts[i].report);
        request->parts[i].report = NULL;
        request->parts[i].err = (pgdbm_error){0};
    }
}

static pgdbm_status apply(struct watcher *watcher, pgdbm_error *err)
{
    struct pgdbm__cli_request *request = &watcher->request;
    forget(request);
    watcher->what = "applied";
    if (request->all)
        return pgdbm__cli_call_all(CLI_APPLY, request, err);
    pgdbm_status status = pgdbm__cli_check_dependencies(request, err);
    return status == PGDBM_OK ? pgdbm__cli_call(CLI_APPLY, request, &request->parts[0], err) : status;
}

/* The file that was changed after it was applied; NULL: there is none. */
static const pgdbm_migration *find_changed(const struct pgdbm__cli_request *request, struct pgdbm__cli_part **part)
{
    for (size_t i = 0; i < request->n_parts; i++) {
        const pgdbm_migration_report *report = request->parts[i].report;
        for (size_t j = 0; report != NULL && j < report->n_migrations; j++)
            if (report->migrations[j].state == PGDBM_MIGRATION_CHANGED) {
                *part = &request->parts[i];
                return &report->migrations[j];
            }
    }
    return NULL;
}

/* Whether the last down part would undo this file and no other. */
static bool is_newest(const struct pgdbm__cli_part *part, const pgdbm_migration *file)
{
    return !file->repeatable && file->has_down && strcmp(part->report->head, file->version) == 0;
}

static pgdbm_status undo(struct watcher *watcher, struct pgdbm__cli_part *part, pgdbm_error *err)
{
    pgdbm_migration_report *report = NULL;
    pgdbm_migrate_options how = part->how;
    how.policies.changed = PGDBM_POLICY_ALLOW;
    how.build = NULL;
    watcher->what = "undone";
    pgdbm_status status = pgdbm_migrate_rollback(part->db, &how, 1, &report, err);
    pgdbm_migration_report_free(report);
    return status;
}

/* A file that was applied and is another now: undone and applied anew where that is asked for and can be done. Whether
 * it was. */
static bool redo(struct watcher *watcher, pgdbm_error *err)
{
    struct pgdbm__cli_part *part = NULL;
    const pgdbm_migration *file = find_changed(&watcher->request, &part);
    if (file == NULL)
        return false;
    bool newest = is_newest(part, file);
    if (watcher->redo && newest)
        return undo(watcher, part, err) == PGDBM_OK && apply(watcher, err) == PGDBM_OK;
    snprintf(err->hint, sizeof err->hint,
             newest
                 ? "it was applied as it was before: pgdbm dev watch --redo undoes it by its down part and applies it "
                   "anew, pgdbm dev reset builds everything anew"
                 : "it was applied as it was before: undo what you changed, or build everything anew with pgdbm dev "
                   "reset%s",
             watcher->redo ? " (--redo is for the newest file, if it has a down part)" : "");
    return false;
}

static void run(struct watcher *watcher)
{
    pgdbm_error err = {0};
    bool failed = apply(watcher, &err) != PGDBM_OK;
    if (failed && !pgdbm__cli_interrupted())
        failed = !redo(watcher, &err);
    pgdbm__cli_progress_end();
    if (pgdbm__cli_interrupted())
        return;
    if (failed) {
        if (err.status == PGDBM_ERR_POOL || err.status == PGDBM_ERR_CONNECTION)
            snprintf(err.hint, sizeof err.hint, "is the server running? The next change tries again");
        pgdbm__cli_say_request_error(&watcher->request, &err);
        pgdbm__cli_remark("waiting for the next change");
    } else if (watcher->failed || !watcher->was_said)
        pgdbm__cli_remark("everything is applied; watching for changes, Ctrl-C ends");
    watcher->was_said = watcher->was_said || !failed;
    watcher->failed = failed;
}

/* Changes during a run are noted: the directories are watched before they are read. */
static int watch_and_run(struct watcher *watcher)
{
    struct pgdbm__cli_request *request = &watcher->request;
    struct pgdbm__cli_watch watch = {.fd = -1};
    int code = CLI_FAILED;
    const char **directories = calloc(request->n_parts, sizeof *directories);
    if (directories == NULL) {
        pgdbm__cli_say_error(NULL, "out of memory");
        return code;
    }
    for (size_t i = 0; i < request->n_parts; i++)
        directories[i] = request->parts[i].chosen.directory;
    /* Where nobody reads what is printed any more, nobody watches. */
    while (pgdbm__cli_watch_begin(&watch, directories, request->n_parts)) {
        run(watcher);
        if (ferror(stdout) || !pgdbm__cli_watch_wait(&watch))
            break;
    }
    if (pgdbm__cli_interrupted() || ferror(stdout))
        code = CLI_FINE; /* main tells of a full disk */
    pgdbm__cli_watch_end(&watch);
    free(directories);
    return code;
}

static int watch(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    enum { PATIENCE_MS = 5000 };
    pgdbm_error err = {0};
    struct watcher watcher = {.redo = pgdbm__cli_value(command, given, "redo") != NULL};
    struct pgdbm__cli_request *request = &watcher.request;
    int code = pgdbm__cli_request_read(command, given, CLI_DEFAULT_ALL, request);
    if (code == CLI_FINE)
        code = pgdbm__cli_refuse_production(command, &request->target);
    if (code != CLI_FINE)
        goto done;
    request->target.config.acquire_timeout_ms = PATIENCE_MS; /* when the server has gone */
    for (size_t i = 0; i < request->n_parts; i++) {
        request->parts[i].how.on_progress = on_progress;
        request->parts[i].how.context = &watcher;
        request->parts[i].how.allow_empty = true; /* the first file is still to come */
    }
    code = pgdbm__cli_request_open(request, &err);
    if (code == CLI_FINE)
        code = watch_and_run(&watcher);
    else
        pgdbm__cli_say_library_error(&err);
done:
    pgdbm__cli_request_free(request);
    return code;
}

const struct pgdbm__cli_command pgdbm__cli_dev_watch = {
    .group = "dev",
    .name = "watch",
    .summary = "Apply migrations whenever their files change",
    .description =
        "Applies what is pending, and again after each change in the modules' directories, until Ctrl-C. An error is "
        "shown with its line, nothing of its file stays, and the next change is waited for. A file that was "
        "changed after it was applied is an error, unless --redo can undo it. Refused in production environments.",
    .example = "pgdbm dev watch\n"
               "pgdbm dev watch --module users --dir migrations/users --redo",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = watch,
};
