/* SPDX-License-Identifier: MIT */
/* What a run would send, as text. No state, any thread. */
#include "migrate/dry_run.h"

#include "base/buffer.h"
#include "base/error.h"
#include "migrate/plan.h"
#include "migrate/progress.h"

#include <string.h>

/* A comment at the end of a statement would swallow the semicolon. */
static void append_statement(struct pgdbm__buffer *sql, const struct pgdbm__script_statement *statement)
{
    const char *line = statement->sql;
    for (const char *next = strchr(line, '\n'); next != NULL; next = strchr(line, '\n'))
        line = next + 1;
    pgdbm__buffer_append(sql, statement->sql, statement->bytes);
    pgdbm__buffer_text(sql, strstr(line, "--") != NULL ? "\n;\n" : ";\n");
}

static int lock_timeout_of(const struct pgdbm__run *run, const struct pgdbm__script *script)
{
    int timeout = script->lock_timeout_ms != 0 ? script->lock_timeout_ms : run->options.lock_timeout_ms;
    return timeout < 0 ? 0 : timeout;
}

static void append_script(const struct pgdbm__run *run, const struct pgdbm__script *script, size_t done,
                          struct pgdbm__buffer *sql)
{
    int timeout = lock_timeout_of(run, script);
    const char *scope = script->no_transaction ? "SET" : "SET LOCAL";
    if (!script->no_transaction)
        pgdbm__buffer_text(sql, "BEGIN;\n");
    pgdbm__buffer_format(sql, "%s statement_timeout = 0;\n%s lock_timeout = %d;\n", scope, scope, timeout);
    for (size_t i = 0; i < script->n_statements; i++) {
        if (i < done && !pgdbm__script_sets(&script->statements[i]))
            continue;
        /* It would count the wait for older transactions. */
        bool unlimited = script->no_transaction && script->statements[i].concurrently > 0;
        if (unlimited)
            pgdbm__buffer_text(sql, "SET lock_timeout = 0;\n");
        append_statement(sql, &script->statements[i]);
        if (unlimited)
            pgdbm__buffer_format(sql, "SET lock_timeout = %d;\n", timeout);
    }
}

static pgdbm_status compose(struct pgdbm__run *run, struct pgdbm__migration_file *file, unsigned lacks,
                            pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    struct pgdbm__history_entry entry = pgdbm__run_entry(file, -1);
    pgdbm__history_create_sql(&run->history, lacks, &sql);
    if (sql.length > 0)
        pgdbm__buffer_text(&sql, ";\n");
    append_script(run, &file->script, file->statements_done, &sql);
    pgdbm__history_record_sql(&run->history, &entry, &sql);
    if (file->state == PGDBM_MIGRATION_PARTIAL) {
        pgdbm__buffer_text(&sql, ";\n");
        pgdbm__progress_delete_sql(&run->history, file->filename, &sql);
    }
    pgdbm__buffer_text(&sql, file->no_transaction ? ";\n" : ";\nCOMMIT;\n");
    file->sql = pgdbm__buffer_take(&sql);
    pgdbm__buffer_free(&sql);
    return file->sql != NULL ? PGDBM_OK : pgdbm__fail_nomem(err, "composing a dry run");
}

void pgdbm__dry_run_undo(const struct pgdbm__run *run, const struct pgdbm__script *down,
                         const struct pgdbm__history_row *row, struct pgdbm__buffer *sql)
{
    append_script(run, down, 0, sql);
    pgdbm__history_delete_sql(&run->history, row, sql);
    pgdbm__buffer_text(sql, ";\nCOMMIT;\n");
}

pgdbm_status pgdbm__dry_run(struct pgdbm__run *run, pgdbm_error *err)
{
    unsigned lacks = 0;
    pgdbm_status status = PGDBM_OK;
    if (pgdbm__plan_next(&run->set, run->options.target) != NULL)
        status = pgdbm__history_look(&run->history, run->db, &lacks, err);
    for (size_t i = 0; status == PGDBM_OK && i < run->set.n_files; i++)
        if (pgdbm__plan_runs(&run->set.files[i], run->options.target)) {
            status = compose(run, &run->set.files[i], lacks, err);
            lacks = 0;
        }
    return status;
}
