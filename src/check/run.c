/* SPDX-License-Identifier: MIT */
/* Runs, and the reading of their files by several threads. */
#include "check/run.h"

#include "check/rules_c.h"
#include "check/rules_sql.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pgdbm__check_run *pgdbm__check_run_create(void)
{
    struct pgdbm__check_run *run = calloc(1, sizeof *run);
    if (run != NULL)
        pthread_mutex_init(&run->mutex, NULL);
    return run;
}

static void free_file(struct pgdbm__check_file *file)
{
    for (size_t i = 0; i < file->n_suppressions; i++)
        free(file->suppressions[i].reason);
    free(file->suppressions);
    free(file->path);
}

void pgdbm__check_run_free(struct pgdbm__check_run *run)
{
    if (run == NULL)
        return;
    for (size_t i = 0; i < run->n_files; i++)
        free_file(&run->files[i]);
    for (size_t i = 0; i < run->n_findings; i++)
        free(run->findings[i].message);
    free(run->files);
    free(run->by_path);
    free(run->findings);
    free(run->remarks);
    pthread_mutex_destroy(&run->mutex);
    free(run);
}

static bool keep(struct pgdbm__check_run *run, const struct pgdbm__check_finding *finding)
{
    if (run->n_findings == run->finding_capacity) {
        size_t capacity = run->finding_capacity == 0 ? 64 : 2 * run->finding_capacity;
        struct pgdbm__check_finding *longer = realloc(run->findings, capacity * sizeof *longer);
        if (longer == NULL)
            return false;
        run->findings = longer;
        run->finding_capacity = capacity;
    }
    run->findings[run->n_findings++] = *finding;
    return true;
}

bool pgdbm__check_add(struct pgdbm__check_run *run, const struct pgdbm__check_rule *rule, const char *file,
                      struct pgdbm__check_place place, const char *format, ...)
{
    struct pgdbm__check_finding finding = {.rule = rule, .file = file, .place = place};
    va_list arguments;
    va_start(arguments, format);
    bool kept = vasprintf(&finding.message, format, arguments) >= 0;
    va_end(arguments);
    pthread_mutex_lock(&run->mutex);
    if (kept && !keep(run, &finding)) {
        free(finding.message);
        kept = false;
    }
    run->no_memory = run->no_memory || !kept;
    pthread_mutex_unlock(&run->mutex);
    return kept;
}

bool pgdbm__check_add_remark(struct pgdbm__check_run *run, const char *file, struct pgdbm__check_place place,
                             const char *why)
{
    pthread_mutex_lock(&run->mutex);
    bool kept = run->n_remarks < run->remark_capacity;
    if (!kept) {
        size_t capacity = run->remark_capacity == 0 ? 16 : 2 * run->remark_capacity;
        struct pgdbm__check_remark *longer = realloc(run->remarks, capacity * sizeof *longer);
        kept = longer != NULL;
        if (kept) {
            run->remarks = longer;
            run->remark_capacity = capacity;
        }
    }
    if (kept)
        run->remarks[run->n_remarks++] = (struct pgdbm__check_remark){file, place, why};
    run->no_memory = run->no_memory || !kept;
    pthread_mutex_unlock(&run->mutex);
    return kept;
}

/* What the threads that read share. */
struct reading {
    struct pgdbm__check_run *run;
    struct pgdbm__check_names *names;
    atomic_size_t next; /* the file to be read next */
    atomic_bool no_memory;
};

/* False: no memory. */
static bool read_file(struct reading *reading, struct pgdbm__check_file *file)
{
    char *text = pgdbm__check_file_text(file->path, &file->bytes, &file->why);
    if (text == NULL) {
        file->unreadable = true;
        return true;
    }
    bool read = pgdbm__check_find_suppressions(reading->run, file, text, file->bytes);
    if (read && file->sql) {
        const struct pgdbm__check_sql sql = {
            .file = file->path,
            .text = text,
            .bytes = file->bytes,
            .migration = file->migration,
            .names = reading->names,
        };
        read = pgdbm__check_read_sql(reading->run, &sql);
    } else if (read)
        read = pgdbm__check_read_source(reading->run, file, text, file->bytes, reading->names);
    free(text);
    return read;
}

static void *read_files(void *context)
{
    struct reading *reading = context;
    for (;;) {
        size_t at = atomic_fetch_add(&reading->next, 1);
        if (at >= reading->run->n_files)
            return NULL;
        if (reading->run->on_file != NULL)
            reading->run->on_file(at, reading->run->n_files);
        if (!read_file(reading, &reading->run->files[at]))
            atomic_store(&reading->no_memory, true);
    }
}

static int compare_paths(const void *a, const void *b)
{
    const struct pgdbm__check_file *const *one = a, *const *two = b;
    return strcmp((*one)->path, (*two)->path);
}

static int compare_with_path(const void *path, const void *element)
{
    const struct pgdbm__check_file *const *file = element;
    return strcmp(path, (*file)->path);
}

struct pgdbm__check_file *pgdbm__check_file_of(const struct pgdbm__check_run *run, const char *path)
{
    struct pgdbm__check_file *const *found =
        bsearch(path, run->by_path, run->n_files, sizeof *run->by_path, compare_with_path);
    return *found;
}

/* Findings and remarks get the run's own paths: what they came with belongs to who reported them. */
static bool adopt_paths(struct pgdbm__check_run *run)
{
    run->by_path = calloc(run->n_files + 1, sizeof *run->by_path);
    if (run->by_path == NULL)
        return false;
    for (size_t i = 0; i < run->n_files; i++)
        run->by_path[i] = &run->files[i];
    qsort(run->by_path, run->n_files, sizeof *run->by_path, compare_paths);
    for (size_t i = 0; i < run->n_findings; i++)
        run->findings[i].file = pgdbm__check_file_of(run, run->findings[i].file)->path;
    for (size_t i = 0; i < run->n_remarks; i++)
        run->remarks[i].file = pgdbm__check_file_of(run, run->remarks[i].file)->path;
    return true;
}

static int compare_places(const char *one_file, struct pgdbm__check_place one, const char *two_file,
                          struct pgdbm__check_place two)
{
    int files = strcmp(one_file, two_file);
    if (files != 0)
        return files;
    if (one.line != two.line)
        return one.line < two.line ? -1 : 1;
    return (one.column > two.column) - (one.column < two.column);
}

static int compare_remarks(const void *a, const void *b)
{
    const struct pgdbm__check_remark *one = a, *two = b;
    return compare_places(one->file, one->place, two->file, two->place);
}

/* The order of the files, then of the places, then of the rules: the same whatever threads have read. */
static int compare(const void *a, const void *b)
{
    const struct pgdbm__check_finding *one = a, *two = b;
    int places = compare_places(one->file, one->place, two->file, two->place);
    if (places != 0)
        return places;
    int rules = strcmp(one->rule->id, two->rule->id);
    return rules != 0 ? rules : strcmp(one->message, two->message);
}

bool pgdbm__check_run_read(struct pgdbm__check_run *run)
{
    enum { MOST_THREADS = 8 };
    pthread_t threads[MOST_THREADS];
    size_t n_threads = 0;
    struct reading reading = {.run = run, .names = pgdbm__check_names_create()};
    if (reading.names == NULL)
        return false;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    while (n_threads + 1 < MOST_THREADS && (long)n_threads + 1 < processors && n_threads + 1 < run->n_files &&
           pthread_create(&threads[n_threads], NULL, read_files, &reading) == 0)
        n_threads++;
    read_files(&reading);
    while (n_threads > 0)
        pthread_join(threads[--n_threads], NULL);
    bool read = !reading.no_memory && pgdbm__check_names_report(reading.names, run);
    read = adopt_paths(run) && read;
    pgdbm__check_names_free(reading.names);
    read = read && pgdbm__check_apply_suppressions(run) && !run->no_memory;
    if (run->n_findings > 0)
        qsort(run->findings, run->n_findings, sizeof *run->findings, compare);
    if (run->n_remarks > 0)
        qsort(run->remarks, run->n_remarks, sizeof *run->remarks, compare_remarks);
    return read;
}

const struct pgdbm__check_rule *pgdbm__check_rule_at(size_t n)
{
    if (n < pgdbm__check_n_sql_rules)
        return pgdbm__check_sql_rules[n];
    n -= pgdbm__check_n_sql_rules;
    return n < pgdbm__check_n_c_rules ? pgdbm__check_c_rules[n] : NULL;
}

const struct pgdbm__check_rule *pgdbm__check_rule_find(const char *id, size_t id_bytes)
{
    const struct pgdbm__check_rule *rule;
    for (size_t i = 0; (rule = pgdbm__check_rule_at(i)) != NULL; i++)
        if (strlen(rule->id) == id_bytes && memcmp(rule->id, id, id_bytes) == 0)
            return rule;
    return NULL;
}
